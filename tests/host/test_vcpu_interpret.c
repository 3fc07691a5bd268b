// SPDX-License-Identifier: GPL-2.0-only
/* States that the hardware cannot run: who executes, events in between, and the way back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "lib/assert.h"
#include "tests/host/vcpu_fake.h"

#define HANDLER 0x500u
#define HLT 0xF4
#define TIMER_VECTOR 8

static struct fake_vm f;
static unsigned int native_runs;

static enum vcpu_action run_natively(struct fake_vm *vm)
{
	native_runs++;
	return vcpu_stop(&vm->vcpu, VCPU_STOP_KILLED, 0, "");
}

static int in_real_mode(void **state)
{
	fake_vm_init(&f);
	fake_real_mode(&f);
	f.run = run_natively;
	native_runs = 0;
	return 0;
}

static int gone(void **state)
{
	fake_vm_destroy(&f);
	return 0;
}

static void poke(uint64_t addr, const void *bytes, size_t len)
{
	ASSERT(guest_write(&f.mmu.mem, gpa(addr), bytes, len, BY(LOADER)) == 0);
}

static uint16_t peek(uint64_t addr)
{
	uint16_t v = 0;

	ASSERT(guest_read(&f.mmu.mem, gpa(addr), &v, sizeof(v), NULL) == 0);
	return v;
}

static void set_vector(unsigned int vector, uint16_t ip)
{
	const uint16_t entry[2] = { ip, 0 };

	poke(vector * 4, entry, sizeof(entry));
}

static void code_is_interpreted_until_it_halts(void **state)
{
	static const uint8_t code[] = { 0xB8, 0x34, 0x12, 0xA3, 0x00, 0x06, HLT }; /* mov ax, 1234h; mov [600h], ax; hlt */

	fake_code(&f, code, sizeof(code));
	f.vcpu.regs.rflags |= X86_EFLAGS_IF;
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_YIELD);
	assert_true(f.vcpu.halted);
	assert_int_equal(peek(0x600), 0x1234);
	assert_int_equal(f.vcpu.regs.rip, FAKE_CODE + sizeof(code));
	assert_int_equal(f.vcpu.interpreted, 3);
	assert_int_equal(native_runs, 0);
}

static void halting_with_interrupts_off_stops(void **state)
{
	static const uint8_t code[] = { HLT };

	fake_code(&f, code, sizeof(code));
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_STOP);
	assert_int_equal(f.vcpu.stop.reason, VCPU_STOP_HALTED);
}

static void an_event_goes_through_the_vectors(void **state)
{
	static const uint8_t handler[] = { HLT };

	set_vector(TIMER_VECTOR, HANDLER);
	poke(HANDLER, handler, sizeof(handler));
	f.vcpu.regs.rflags |= X86_EFLAGS_IF;
	f.vcpu.event = (struct vcpu_event){ .pending = true, .vector = TIMER_VECTOR, .type = EVENT_EXTERNAL };
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_STOP); /* IF is clear in the handler */
	assert_int_equal(f.vcpu.stop.reason, VCPU_STOP_HALTED);
	assert_false(f.vcpu.event.pending);
	assert_int_equal(peek(0x7000 - 6), FAKE_CODE);
	assert_int_equal(peek(0x7000 - 2), X86_EFLAGS_IF | X86_EFLAGS_FIXED);
}

static void a_fault_goes_through_the_vectors(void **state)
{
	static const uint8_t code[] = { 0xA1, 0xFF, 0xFF }; /* mov ax, [FFFFh]: beyond the limit */
	static const uint8_t handler[] = { HLT };

	set_vector(EXC_GP, HANDLER);
	poke(HANDLER, handler, sizeof(handler));
	fake_code(&f, code, sizeof(code));
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_STOP);
	assert_int_equal(f.vcpu.regs.rip, HANDLER + 1);
	assert_int_equal(peek(0x7000 - 6), FAKE_CODE); /* the instruction itself */
}

/* The vectors are beyond the limit: a fault, a double fault, a shutdown. */
static void no_vectors_is_a_triple_fault(void **state)
{
	static const uint8_t code[] = { 0xA1, 0xFF, 0xFF };

	f.idt.limit = 0;
	fake_code(&f, code, sizeof(code));
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_STOP);
	assert_int_equal(f.vcpu.stop.reason, VCPU_STOP_TRIPLE_FAULT);
}

static const uint8_t fninit[] = { 0xDB, 0xE3 };

static enum vcpu_action step_over_fninit(struct fake_vm *vm)
{
	struct vcpu *v = &vm->vcpu;

	native_runs++;
	assert_true(vm->step);
	assert_true(v->regs.rflags & X86_EFLAGS_VM && (v->regs.rflags & X86_EFLAGS_IOPL) == X86_EFLAGS_IOPL);
	assert_false(v->regs.rflags & X86_EFLAGS_AC); /* or alignment would be checked */
	for (int i = 0; i <= SEG_GS; i++)
		assert_int_equal(vm->segment[i].access, 0xF3);
	v->regs.rip += sizeof(fninit);
	vcpu_step_done(v);
	return VCPU_RESUME;
}

static void what_the_emulator_does_not_know_is_stepped(void **state)
{
	fake_code(&f, fninit, sizeof(fninit));
	f.run = step_over_fninit;
	f.vcpu.regs.rflags |= X86_EFLAGS_AC;
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_RESUME);
	assert_int_equal(native_runs, 0);
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_RESUME);
	assert_int_equal(native_runs, 1);
	assert_true(f.vcpu.interpreting);
	assert_false(f.vcpu.stepping || f.step);
	assert_int_equal(f.vcpu.regs.rip, FAKE_CODE + sizeof(fninit));
	assert_false(f.vcpu.regs.rflags & (X86_EFLAGS_VM | X86_EFLAGS_IOPL));
	assert_true(f.vcpu.regs.rflags & X86_EFLAGS_AC);
	assert_int_equal(f.segment[SEG_CS].access, 0x9B);
	assert_int_equal(f.segment[SEG_DS].access, 0x93);
}

static enum vcpu_action no_coprocessor(struct fake_vm *vm)
{
	return vcpu_inject_exception(&vm->vcpu, EXC_NM);
}

static void what_it_raises_goes_through_the_vectors(void **state)
{
	static const uint8_t handler[] = { HLT };

	set_vector(EXC_NM, HANDLER);
	poke(HANDLER, handler, sizeof(handler));
	fake_code(&f, fninit, sizeof(fninit));
	f.run = no_coprocessor;
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_RESUME);
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_RESUME);
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_STOP);
	assert_int_equal(f.vcpu.regs.rip, HANDLER + 1);
	assert_int_equal(peek(0x7000 - 6), FAKE_CODE);
	assert_int_equal(peek(0x7000 - 2), X86_EFLAGS_FIXED);
}

/* A segment that virtual-8086 mode cannot have. */
static void what_nobody_can_run_is_undefined(void **state)
{
	static const uint8_t handler[] = { HLT };

	set_vector(EXC_UD, HANDLER);
	poke(HANDLER, handler, sizeof(handler));
	fake_code(&f, fninit, sizeof(fninit));
	f.segment[SEG_ES].limit = UINT32_MAX;
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_STOP);
	assert_int_equal(f.vcpu.regs.rip, HANDLER + 1);
	assert_int_equal(f.vcpu.injected_ud, 1);
	assert_int_equal(native_runs, 0);
}

static void a_batch_ends(void **state)
{
	uint8_t code[3000];

	for (unsigned int i = 0; i < sizeof(code); i += 3)
		memcpy(code + i, "\xB8\x01\x00", 3); /* mov ax, 1 */
	fake_code(&f, code, sizeof(code));
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_RESUME);
	assert_in_range(f.vcpu.interpreted, 1, 999);
	assert_true(f.vcpu.interpreting);
}

static void the_hardware_takes_over(void **state)
{
	static const uint8_t code[] = { 0xB8, 0x01, 0x00 };

	fake_code(&f, code, sizeof(code));
	f.vcpu.mmu.paging.cr0 |= X86_CR0_PE;
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_RESUME); /* looks after each instruction */
	assert_int_equal(f.vcpu.interpreted, 1);
	assert_false(f.vcpu.interpreting);
	assert_int_equal(native_runs, 0);
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_STOP);
	assert_int_equal(native_runs, 1);
}

static void unfit_segments_keep_it_away(void **state)
{
	static const uint8_t code[] = { 0xB8, 0x01, 0x00, 0xB8, 0x02, 0x00, HLT };

	fake_code(&f, code, sizeof(code));
	f.vcpu.mmu.paging.cr0 |= X86_CR0_PE;
	f.vcpu.regs.rflags |= X86_EFLAGS_IF;
	f.cannot_run = true;
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_YIELD);
	assert_int_equal(f.vcpu.interpreted, 3);
	assert_int_equal(native_runs, 0);
}

/* Ring 3 with alignment checks, in a state that only the interpreter runs: @vector leads to ring 3 as well. */
static void in_ring_3(unsigned int vector)
{
	static const uint64_t gate_and_code[] = { 0x0000EE0000080000 | HANDLER, 0x00CFFB000000FFFF };

	fake_protected_mode(&f);
	f.idt = (struct descriptor_table){ 0x1000, 0x7FF };
	f.gdt = (struct descriptor_table){ 0x2000, 0x0F };
	poke(0x1000 + 8 * vector, &gate_and_code[0], 8);
	poke(0x2008, &gate_and_code[1], 8);
	fake_set_cpl(&f, 3);
	f.vcpu.mmu.paging.cr0 |= X86_CR0_AM;
	f.vcpu.regs.rflags |= X86_EFLAGS_AC;
	f.cannot_run = true;
	vcpu_choose_engine(&f.vcpu);
}

static void alignment_is_checked(void **state)
{
	static const uint8_t code[] = { 0xA1, 0x01, 0x06, 0x00, 0x00 }; /* mov eax, [601h] */

	in_ring_3(EXC_AC);
	fake_code(&f, code, sizeof(code));
	poke(HANDLER, (uint8_t[]){ 0xF4 }, 1); /* hlt, which ring 3 may not */
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_STOP);
	assert_int_equal(peek(FAKE_STACK - 16), 0); /* error code */
	assert_int_equal(peek(FAKE_STACK - 12), FAKE_CODE);
}

/* The stack of its handler is misaligned, too: the fault meets itself for ever, and the host goes on. */
static void lesson_33_ac_on_its_own_stack(void **state)
{
	static const uint8_t code[] = { 0x50 }; /* push eax */

	in_ring_3(EXC_AC);
	fake_code(&f, code, sizeof(code));
	f.vcpu.regs.gpr[GPR_RSP] = FAKE_STACK + 2;
	for (unsigned int i = 0; i < 10; i++) {
		assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_RESUME);
		assert_true(f.vcpu.event.pending);
		assert_int_equal(f.vcpu.event.vector, EXC_AC);
		assert_int_equal(f.vcpu.regs.rip, FAKE_CODE);
		assert_int_equal(f.vcpu.regs.gpr[GPR_RSP], FAKE_STACK + 2);
	}
	vcpu_stop(&f.vcpu, VCPU_STOP_KILLED, 0, "");
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_STOP);
}

/* Half in the ROM below 4 GiB, half at 0. */
static void addresses_wrap_at_4_gib(void **state)
{
	static const uint8_t code[] = { 0xA1, 0xEE, 0xFF, 0xFF, 0xFF, HLT }; /* mov eax, [FFFFFFEEh] */
	static const uint8_t low[] = { 0x34, 0x12 };

	fake_protected_mode(&f);
	f.cannot_run = true;
	vcpu_choose_engine(&f.vcpu);
	f.segment[SEG_DS].base = 0x10;
	f.vcpu.regs.rflags |= X86_EFLAGS_IF;
	poke(0, low, sizeof(low));
	fake_code(&f, code, sizeof(code));
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_YIELD);
	assert_int_equal(f.vcpu.regs.gpr[GPR_RAX], 0x1234FFFF);
}

static void single_steps_trap(void **state)
{
	static const uint8_t code[] = { 0xB8, 0x01, 0x00 };
	static const uint8_t handler[] = { HLT };

	set_vector(EXC_DB, HANDLER);
	poke(HANDLER, handler, sizeof(handler));
	fake_code(&f, code, sizeof(code));
	f.vcpu.regs.rflags |= X86_EFLAGS_TF;
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_STOP);
	assert_int_equal(f.vcpu.regs.rip, HANDLER + 1);
	assert_int_equal(peek(0x7000 - 6), FAKE_CODE + sizeof(code));
	assert_true(f.vcpu.dr[6] & DR6_BS);
}

/* Where the first trap comes, with TF on at @code; 0: the code went to its end. */
static uint16_t first_trap(const void *code, size_t len)
{
	static const uint8_t handler[] = { HLT };

	set_vector(EXC_DB, HANDLER);
	poke(HANDLER, handler, sizeof(handler));
	fake_code(&f, code, len);
	f.vcpu.regs.rflags |= X86_EFLAGS_TF;
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_STOP);
	return f.vcpu.regs.rip == HANDLER + 1 ? peek(0x7000 - 6) : 0;
}

static void each_iteration_traps(void **state)
{
	static const uint8_t code[] = { 0xF3, 0xAA, HLT }; /* rep stosb */

	f.vcpu.regs.gpr[GPR_RCX] = 3;
	f.vcpu.regs.gpr[GPR_RDI] = 0x600;
	assert_int_equal(first_trap(code, sizeof(code)), FAKE_CODE);
	assert_int_equal(f.vcpu.regs.gpr[GPR_RCX], 2);
}

static void nothing_traps_behind_a_load_of_ss(void **state)
{
	static const uint8_t code[] = { 0x8E, 0xD0, 0x90, HLT }; /* mov ss, ax; nop */

	assert_int_equal(first_trap(code, sizeof(code)), FAKE_CODE + 3);
}

static void software_interrupts_do_not_trap(void **state)
{
	static const uint8_t code[] = { 0xCD, 0x60, HLT }; /* int 60h */
	static const uint8_t handler[] = { HLT };

	set_vector(0x60, HANDLER + 0x10);
	poke(HANDLER + 0x10, handler, sizeof(handler));
	assert_int_equal(first_trap(code, sizeof(code)), 0);
	assert_int_equal(f.vcpu.regs.rip, HANDLER + 0x11);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, in_real_mode, gone)

#define BATCH 256
#define NEW_STACK 0x18
#define GDT 0x3000

static bool can_run_on_new_stack(struct vcpu *v) { return f.segment[SEG_SS].selector == NEW_STACK; }

/* The last instruction of a batch makes the state one for the hardware, and a
 * shadow: interrupts must not wait for ever. */
static void a_shadow_at_the_end_of_a_batch_ends(void **state)
{
	static const uint8_t load[] = { 0xB8, NEW_STACK, 0, 0, 0 }; /* mov eax, 18h */
	static const uint8_t mov_ss[] = { 0x8E, 0xD0 };
	static const uint64_t flat = 0x00CF93000000FFFFull;
	static struct vcpu_backend backend;
	uint8_t code[BATCH + 64];

	backend = *f.vcpu.backend;
	backend.can_run = can_run_on_new_stack;
	f.vcpu.backend = &backend;
	fake_protected_mode(&f);
	f.gdt = (struct descriptor_table){ .base = GDT, .limit = NEW_STACK + 7 };
	poke(GDT + NEW_STACK, &flat, sizeof(flat));
	memset(code, 0x90, sizeof(code));
	memcpy(code, load, sizeof(load));
	memcpy(code + sizeof(load) + BATCH - 2, mov_ss, sizeof(mov_ss));
	fake_code(&f, code, sizeof(code));
	assert_true(f.vcpu.interpreting);

	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_RESUME);
	assert_int_equal(f.vcpu.interpreted, BATCH);
	assert_true(!f.vcpu.interpreting && f.vcpu.interrupt_shadow);
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_RESUME);
	assert_int_equal(f.vcpu.interpreted, BATCH + 1);
	assert_false(f.vcpu.interrupt_shadow);
	assert_int_equal(native_runs, 0);
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_STOP);
	assert_int_equal(native_runs, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(code_is_interpreted_until_it_halts),
		TEST(halting_with_interrupts_off_stops),
		TEST(an_event_goes_through_the_vectors),
		TEST(a_fault_goes_through_the_vectors),
		TEST(no_vectors_is_a_triple_fault),
		TEST(what_the_emulator_does_not_know_is_stepped),
		TEST(what_it_raises_goes_through_the_vectors),
		TEST(what_nobody_can_run_is_undefined),
		TEST(a_batch_ends),
		TEST(the_hardware_takes_over),
		TEST(unfit_segments_keep_it_away),
		TEST(alignment_is_checked),
		TEST(lesson_33_ac_on_its_own_stack),
		TEST(addresses_wrap_at_4_gib),
		TEST(single_steps_trap),
		TEST(each_iteration_traps),
		TEST(nothing_traps_behind_a_load_of_ss),
		TEST(software_interrupts_do_not_trap),
		TEST(a_shadow_at_the_end_of_a_batch_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
