// SPDX-License-Identifier: GPL-2.0-only
/* Page faults, the emulator's glue, the native step, ports, debug registers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "lib/errno.h"
#include "tests/host/fake_tracker.h"
#include "tests/host/port_host.h"
#include "tests/host/vcpu_fake.h"

#define PTE_RW 3ull
#define PTE_USER 4ull
#define DATA 0x20000u

static struct fake_vm f;
static struct fake_tracker tracker;

static int made(void **state)
{
	fake_vm_init(&f);
	fake_long_mode(&f);
	fake_tracker_open(&tracker, &f.mmu.mem.track, "test", 5);
	return 0;
}

static int gone(void **state)
{
	fake_tracker_close(&tracker);
	fake_vm_destroy(&f);
	return 0;
}

static uint64_t ram64(uint64_t addr)
{
	uint64_t val;

	memcpy(&val, f.ram + addr, 8);
	return val;
}

#define CODE(...)                                                                                            \
	do {                                                                                                 \
		const uint8_t bytes[] = { __VA_ARGS__ };                                                     \
		fake_code(&f, bytes, sizeof(bytes));                                                         \
	} while (0)

#define MOV_STORE_64 0x48, 0x89, 0x03 /* mov %rax, (%rbx) */
#define MOV_LOAD_32 0x8B, 0x03        /* mov (%rbx), %eax */
#define MOV_STORE_32 0x89, 0x03       /* mov %eax, (%rbx) */

static void tracked_page_is_emulated(void **state)
{
	CODE(MOV_STORE_64);
	fake_tracker_add(&tracker, DATA, PAGE_TRACK_W);
	f.vcpu.regs.gpr[GPR_RAX] = 0x1122334455667788;
	f.vcpu.regs.gpr[GPR_RBX] = DATA + 8;
	assert_int_equal(vcpu_page_fault(&f.vcpu, gva(DATA + 8), PFERR_WRITE), VCPU_RESUME);
	assert_int_equal(ram64(DATA + 8), 0x1122334455667788);
	assert_int_equal(f.vcpu.regs.rip, FAKE_CODE + 3);
	assert_int_equal(f.insns_done, 1);
	assert_int_equal(f.vcpu.emulated, 1);
	fake_tracker_remove(&tracker, DATA, PAGE_TRACK_W);
}

static void an_untracked_page_is_mapped(void **state)
{
	CODE(MOV_STORE_64);
	f.vcpu.regs.gpr[GPR_RBX] = DATA;
	assert_int_equal(vcpu_page_fault(&f.vcpu, gva(DATA), PFERR_WRITE), VCPU_RESUME);
	assert_int_equal(f.vcpu.regs.rip, FAKE_CODE);
	assert_int_equal(f.vcpu.emulated, 0);
}

static void the_guests_own_fault_is_injected(void **state)
{
	fake_map(&f, DATA, 0, 0);
	assert_int_equal(vcpu_page_fault(&f.vcpu, gva(DATA + 5), PFERR_WRITE), VCPU_RESUME);
	assert_int_equal(f.vcpu.event.vector, EXC_PF);
	assert_int_equal(f.vcpu.event.error_code, PFERR_WRITE);
	assert_int_equal(f.cr2, DATA + 5);
}

static void device_memory_reaches_the_platform(void **state)
{
	CODE(MOV_LOAD_32);
	fake_map(&f, DATA, LAPIC_DEFAULT_BASE, PTE_RW);
	f.vcpu.regs.gpr[GPR_RBX] = DATA + 0x30; /* the version register */
	f.vcpu.regs.gpr[GPR_RAX] = ~0ull;
	assert_int_equal(vcpu_page_fault(&f.vcpu, gva(DATA + 0x30), 0), VCPU_RESUME);
	assert_int_equal(f.vcpu.regs.gpr[GPR_RAX] & 0xFF, 0x14);
	assert_int_equal(f.vcpu.regs.gpr[GPR_RAX] >> 32, 0);
	assert_int_equal(f.vcpu.regs.rip, FAKE_CODE + 2);
}

/* Both pages are checked before a byte is written. */
static void a_crossing_store_that_faults_writes_nothing(void **state)
{
	CODE(MOV_STORE_64);
	fake_tracker_add(&tracker, DATA, PAGE_TRACK_W);
	fake_map(&f, DATA + 0x1000, 0, 0);
	f.vcpu.regs.gpr[GPR_RAX] = ~0ull;
	f.vcpu.regs.gpr[GPR_RBX] = DATA + 0xFFC;
	assert_int_equal(vcpu_page_fault(&f.vcpu, gva(DATA + 0xFFC), PFERR_WRITE), VCPU_RESUME);
	assert_int_equal(f.vcpu.event.vector, EXC_PF);
	assert_int_equal(f.cr2, DATA + 0x1000);
	assert_int_equal(f.vcpu.event.error_code, PFERR_WRITE);
	assert_int_equal(ram64(DATA + 0xFF8), 0);
	assert_int_equal(f.vcpu.regs.rip, FAKE_CODE);
	fake_tracker_remove(&tracker, DATA, PAGE_TRACK_W);
}

static void a_crossing_store_reaches_both_pages(void **state)
{
	CODE(MOV_STORE_64);
	fake_tracker_add(&tracker, DATA, PAGE_TRACK_W);
	fake_map(&f, DATA + 0x1000, 0x30000, PTE_RW);
	f.vcpu.regs.gpr[GPR_RAX] = 0x1122334455667788;
	f.vcpu.regs.gpr[GPR_RBX] = DATA + 0xFFC;
	assert_int_equal(vcpu_page_fault(&f.vcpu, gva(DATA + 0xFFC), PFERR_WRITE), VCPU_RESUME);
	assert_int_equal(ram64(DATA + 0xFF8), 0x5566778800000000);
	assert_int_equal(ram64(0x30000), 0x11223344);
	assert_int_equal(ram64(DATA + 0x1000), 0);
	fake_tracker_remove(&tracker, DATA, PAGE_TRACK_W);
}

static void user_code_faults_as_user(void **state)
{
	CODE(MOV_STORE_64);
	fake_set_cpl(&f, 3);
	fake_tracker_add(&tracker, DATA, PAGE_TRACK_W);
	fake_map(&f, DATA + 0x1000, DATA + 0x1000, PTE_RW); /* a supervisor page */
	f.vcpu.regs.gpr[GPR_RBX] = DATA + 0xFFC;
	assert_int_equal(vcpu_page_fault(&f.vcpu, gva(DATA + 0xFFC), PFERR_WRITE | PFERR_USER), VCPU_RESUME);
	assert_int_equal(f.vcpu.event.error_code, PFERR_PRESENT | PFERR_WRITE | PFERR_USER);
	fake_tracker_remove(&tracker, DATA, PAGE_TRACK_W);
}

#define UNKNOWN_STORE 0x0F, 0xAE, 0x03 /* fxsave (%rbx) */

static void lesson_11_what_is_not_emulated_is_stepped(void **state)
{
	CODE(UNKNOWN_STORE);
	fake_tracker_add(&tracker, DATA, PAGE_TRACK_W);
	f.vcpu.regs.gpr[GPR_RBX] = DATA;
	assert_int_equal(vcpu_page_fault(&f.vcpu, gva(DATA), PFERR_WRITE), VCPU_RESUME);
	assert_true(f.vcpu.stepping && f.step);
	assert_int_equal(f.vcpu.regs.rip, FAKE_CODE);
	/* Another tracked page of the same instruction is opened too. */
	fake_tracker_add(&tracker, DATA + 0x1000, PAGE_TRACK_W);
	assert_int_equal(vcpu_page_fault(&f.vcpu, gva(DATA + 0x1000), PFERR_WRITE), VCPU_RESUME);
	assert_int_equal(f.vcpu.stepped, 1);
	vcpu_step_done(&f.vcpu);
	assert_false(f.vcpu.stepping || f.step);
	assert_int_equal(mmu_audit(&f.mmu), 0);
	fake_tracker_remove(&tracker, DATA, PAGE_TRACK_W);
	fake_tracker_remove(&tracker, DATA + 0x1000, PAGE_TRACK_W);
}

static void a_fault_ends_the_step(void **state)
{
	CODE(UNKNOWN_STORE);
	fake_tracker_add(&tracker, DATA, PAGE_TRACK_W);
	f.vcpu.regs.gpr[GPR_RBX] = DATA;
	assert_int_equal(vcpu_page_fault(&f.vcpu, gva(DATA), PFERR_WRITE), VCPU_RESUME);
	assert_true(f.vcpu.stepping);
	assert_int_equal(vcpu_inject_error(&f.vcpu, EXC_GP, 0), VCPU_RESUME);
	assert_false(f.vcpu.stepping || f.step);
	fake_tracker_remove(&tracker, DATA, PAGE_TRACK_W);
}

static void unknown_on_a_device_is_undefined(void **state)
{
	CODE(UNKNOWN_STORE);
	fake_map(&f, DATA, LAPIC_DEFAULT_BASE, PTE_RW);
	f.vcpu.regs.gpr[GPR_RBX] = DATA;
	assert_int_equal(vcpu_page_fault(&f.vcpu, gva(DATA), PFERR_WRITE), VCPU_RESUME);
	assert_int_equal(f.vcpu.event.vector, EXC_UD);
	assert_int_equal(f.vcpu.injected_ud, 1);
}

static void pushf_hides_the_flag_of_the_step(void **state)
{
	f.vcpu.regs.gpr[GPR_RSP] = DATA;
	f.ram[DATA + 1] = 0x03; /* TF and IF of the image */
	vcpu_step_hide_pushed_tf(&f.vcpu);
	assert_int_equal(f.ram[DATA + 1], 0x02);
}

/* ---- ports, CPUID, CR8, debug registers ------------------------------------------ */

static void port_reads_merge_into_rax(void **state)
{
	f.vcpu.regs.gpr[GPR_RAX] = 0x1111111122222222;
	assert_int_equal(vcpu_port_io(&f.vcpu, true, 0x3FD, 1), VCPU_NEXT_INSN); /* UART line status: empty */
	assert_int_equal(f.vcpu.regs.gpr[GPR_RAX], 0x1111111122222260);
	assert_int_equal(vcpu_port_io(&f.vcpu, true, 0x7777, 2), VCPU_NEXT_INSN);
	assert_int_equal(f.vcpu.regs.gpr[GPR_RAX], 0x111111112222FFFF);
	assert_int_equal(vcpu_port_io(&f.vcpu, true, 0x7777, 4), VCPU_NEXT_INSN);
	assert_int_equal(f.vcpu.regs.gpr[GPR_RAX], 0xFFFFFFFF);
}

static enum vcpu_action writes_debug_exit(struct fake_vm *vm)
{
	vm->vcpu.regs.gpr[GPR_RAX] = 7;
	return vcpu_port_io(&vm->vcpu, false, 0xF4, 4);
}

static void a_port_can_stop_the_vm(void **state)
{
	f.run = writes_debug_exit;
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_STOP);
	assert_int_equal(f.vcpu.stop.reason, VCPU_STOP_DEBUG_EXIT);
	assert_int_equal(f.vcpu.stop.code, 7);
}

static void cpuid_fills_whole_registers(void **state)
{
	for (int i = 0; i < 4; i++)
		f.vcpu.regs.gpr[i] = 0xFFFFFFFF00000000ull;
	assert_int_equal(vcpu_exit_cpuid(&f.vcpu), VCPU_NEXT_INSN);
	assert_int_equal(f.vcpu.regs.gpr[GPR_RAX], 0x16);
	assert_int_equal(f.vcpu.regs.gpr[GPR_RBX], 0x756E6547);
}

static void cr8_is_the_task_priority(void **state)
{
	f.vcpu.regs.gpr[GPR_RDI] = 5;
	assert_int_equal(vcpu_exit_mov_to_cr(&f.vcpu, 8, GPR_RDI), VCPU_NEXT_INSN);
	assert_int_equal(vcpu_exit_mov_from_cr(&f.vcpu, 8, GPR_RSI), VCPU_NEXT_INSN);
	assert_int_equal(f.vcpu.regs.gpr[GPR_RSI], 5);
	f.vcpu.regs.gpr[GPR_RDI] = 16;
	assert_int_equal(vcpu_exit_mov_to_cr(&f.vcpu, 8, GPR_RDI), VCPU_RESUME);
	assert_int_equal(f.vcpu.event.vector, EXC_GP);
}

static void moves_to_cr_are_32_bits_wide_in_32_bit_code(void **state)
{
	f.segment[SEG_CS].access = 0xC09B;
	f.vcpu.regs.gpr[GPR_RAX] = 0xFFFFFFFF00000000ull | FAKE_PML4;
	assert_int_equal(vcpu_exit_mov_to_cr(&f.vcpu, 3, GPR_RAX), VCPU_NEXT_INSN);
	assert_int_equal(f.vcpu.mmu.paging.cr3, FAKE_PML4);
}

static void debug_registers(void **state)
{
	struct vcpu *v = &f.vcpu;

	v->regs.gpr[GPR_RAX] = 0xFFFF800000001234ull;
	assert_int_equal(vcpu_exit_mov_dr(v, 0, GPR_RAX, true), VCPU_NEXT_INSN);
	assert_int_equal(vcpu_exit_mov_dr(v, 0, GPR_RBX, false), VCPU_NEXT_INSN);
	assert_int_equal(v->regs.gpr[GPR_RBX], 0xFFFF800000001234ull);
	v->regs.gpr[GPR_RAX] = 1ull << 32;
	assert_int_equal(vcpu_exit_mov_dr(v, 7, GPR_RAX, true), VCPU_RESUME);
	assert_int_equal(v->event.vector, EXC_GP);
	v->event.pending = false;
	/* DR4 is DR6 unless CR4.DE. */
	assert_int_equal(vcpu_exit_mov_dr(v, 4, GPR_RBX, false), VCPU_NEXT_INSN);
	assert_int_equal(v->regs.gpr[GPR_RBX], 0xFFFF0FF0);
	v->mmu.paging.cr4 |= X86_CR4_DE;
	assert_int_equal(vcpu_exit_mov_dr(v, 4, GPR_RBX, false), VCPU_RESUME);
	assert_int_equal(v->event.vector, EXC_UD);
	v->event.pending = false;
	/* General detect. */
	v->regs.gpr[GPR_RAX] = 1u << 13;
	assert_int_equal(vcpu_exit_mov_dr(v, 7, GPR_RAX, true), VCPU_NEXT_INSN);
	assert_int_equal(vcpu_exit_mov_dr(v, 0, GPR_RBX, false), VCPU_RESUME);
	assert_int_equal(v->event.vector, EXC_DB);
	assert_true(v->dr[6] & 1u << 13);
	assert_int_equal(v->dr[7], 0x400);
}

static void a_failed_init_leaves_nothing(void **state)
{
	size_t before = host_pages_used();
	struct vcpu v;
	struct vcpu_config c = { .name = "x", .backend = f.vcpu.backend, .vm = &f, .mmu = &f.mmu,
				 .platform = &f.platform };

	host_fail_allocation(0);
	assert_int_equal(vcpu_init(&v, &c), -ENOMEM);
	host_fail_allocation(-1);
	assert_null(v.backend);
	assert_int_equal(host_pages_used(), before);
}

static void impossible_first_states_are_refused(void **state)
{
	struct vcpu_state s = { .cr0 = X86_CR0_PE | X86_CR0_PG, .cr3 = FAKE_PML4, .cr4 = X86_CR4_PAE,
				.efer = EFER_LME };

	assert_int_equal(vcpu_reset(&f.vcpu, &s), -EINVAL); /* LMA is missing */
	s.efer |= EFER_LMA;
	s.cr4 = 0;
	assert_int_equal(vcpu_reset(&f.vcpu, &s), -EINVAL);
	s.cr4 = X86_CR4_PAE;
	s.cr3 = 1ull << 50;
	assert_int_equal(vcpu_reset(&f.vcpu, &s), -EINVAL);
	s.cr3 = 0;
	s.cr0 = X86_CR0_PE; /* LMA without paging */
	assert_int_equal(vcpu_reset(&f.vcpu, &s), -EINVAL);
	s.efer = 0;
	assert_int_equal(vcpu_reset(&f.vcpu, &s), 0);
	s.cr0 = X86_CR0_PG; /* without PE */
	assert_int_equal(vcpu_reset(&f.vcpu, &s), -EINVAL);
	s.cr0 = 0;
	assert_int_equal(vcpu_reset(&f.vcpu, &s), 0);
	assert_true(f.vcpu.interpreting);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, made, gone)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(tracked_page_is_emulated),
		TEST(an_untracked_page_is_mapped),
		TEST(the_guests_own_fault_is_injected),
		TEST(device_memory_reaches_the_platform),
		TEST(a_crossing_store_that_faults_writes_nothing),
		TEST(a_crossing_store_reaches_both_pages),
		TEST(user_code_faults_as_user),
		TEST(lesson_11_what_is_not_emulated_is_stepped),
		TEST(a_fault_ends_the_step),
		TEST(unknown_on_a_device_is_undefined),
		TEST(pushf_hides_the_flag_of_the_step),
		TEST(port_reads_merge_into_rax),
		TEST(a_port_can_stop_the_vm),
		TEST(cpuid_fills_whole_registers),
		TEST(cr8_is_the_task_priority),
		TEST(moves_to_cr_are_32_bits_wide_in_32_bit_code),
		TEST(debug_registers),
		TEST(a_failed_init_leaves_nothing),
		TEST(impossible_first_states_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
