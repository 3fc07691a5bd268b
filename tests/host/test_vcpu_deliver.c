// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events whose delivery meets pages that are not to be touched natively: what
 * is pushed, what the trackers see of it, and what becomes of a fault on the
 * way. Events that end a native step, or are all there is to an instruction.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "lib/compiler.h"
#include "tests/host/fake_tracker.h"
#include "tests/host/vcpu_fake.h"

#define IDT 0x20000u
#define GDT 0x21000u
#define TSS 0x22000u
#define STACK_PAGE 0x30000u
#define STACK 0x30F08u /* in the page, not on a multiple of 16 */
#define TOP 0x30F00u
#define HANDLER 0x41000u
#define PTE_RW 0x67u
#define CODE_SELECTOR 8u

static struct fake_vm f;
static struct fake_tracker tracker;

static void put64(uint64_t addr, uint64_t val) { memcpy(f.ram + addr, &val, sizeof(val)); }

static uint64_t get64(uint64_t addr)
{
	uint64_t val;

	memcpy(&val, f.ram + addr, sizeof(val));
	return val;
}

/* The last it was told of. */
static const struct seen_event *last(void)
{
	assert_in_range(tracker.told, 1, TRACKER_SEEN);
	return &tracker.tell[tracker.told - 1];
}

static void set_gate64(unsigned int vector, uint8_t rights, unsigned int ist)
{
	put64(IDT + 16 * vector, (HANDLER & 0xFFFF) | CODE_SELECTOR << 16 | (uint64_t)ist << 32 |
				 (uint64_t)rights << 40 | (uint64_t)(HANDLER >> 16) << 48);
	put64(IDT + 16 * vector + 8, 0);
}

static int made(void **state)
{
	fake_vm_init(&f);
	fake_long_mode(&f);
	fake_tracker_open(&tracker, &f.mmu.mem.track, "test", 5);
	f.idt = (struct descriptor_table){ IDT, 0xFFF };
	f.gdt = (struct descriptor_table){ GDT, 0x3F };
	f.segment[SEG_TR].base = TSS;
	f.segment[SEG_TR].limit = 0x67;
	put64(GDT + CODE_SELECTOR, 0x00AF9B000000FFFFull);
	for (unsigned int vector = 0; vector < 256; vector++)
		set_gate64(vector, 0x8E, 0);
	f.vcpu.regs.gpr[GPR_RSP] = STACK;
	f.vcpu.regs.rflags |= X86_EFLAGS_IF;
	fake_tracker_add(&tracker, STACK_PAGE, PAGE_TRACK_W);
	return 0;
}

static int gone(void **state)
{
	fake_tracker_close(&tracker);
	fake_vm_destroy(&f);
	return 0;
}

/* The exit that a delivery to the tracked stack ends with. */
static enum vcpu_action stack_fault(struct vcpu_event e)
{
	vcpu_event_interrupted(&f.vcpu, &e);
	return vcpu_page_fault(&f.vcpu, gva(TOP - 8), PFERR_WRITE);
}

#define INTERRUPT(v) (struct vcpu_event){ .vector = (v), .type = EVENT_EXTERNAL }
#define EXCEPTION(v) (struct vcpu_event){ .vector = (v), .type = EVENT_HARDWARE_EXCEPTION }

static void assert_in_handler(void)
{
	assert_false(f.vcpu.event.pending);
	assert_int_equal(f.vcpu.regs.rip, HANDLER);
	assert_int_equal(f.vcpu.delivered, 1);
	assert_int_equal(f.vcpu.emulated, 0);
	assert_false(f.vcpu.stepping);
	assert_int_equal(mmu_audit(&f.mmu), 0);
}

static void lesson_11_event_delivery_is_not_an_instruction(void **state)
{
	put64(TOP - 40, 0x1111);
	f.shadow = true;
	assert_int_equal(stack_fault(INTERRUPT(0x30)), VCPU_RESUME);
	assert_in_handler();
	assert_false(f.shadow);
	assert_false(f.vcpu.regs.rflags & X86_EFLAGS_IF);
	assert_int_equal(f.vcpu.regs.gpr[GPR_RSP], TOP - 40);
	assert_int_equal(get64(TOP - 40), FAKE_CODE);
	assert_int_equal(get64(TOP - 16), STACK);
	/* One write, as it was and as it is. */
	assert_int_equal(tracker.told, 1);
	assert_int_equal(last()->e.gpa.v, TOP - 40);
	assert_int_equal(last()->e.len, 40);
	assert_int_equal(last()->origin.agent, AGENT_INJECTION);
	assert_int_equal(last()->old[0] | last()->old[1] << 8, 0x1111);
	assert_memory_equal(last()->new, f.ram + TOP - 40, 40);
}

static void an_error_code(void **state)
{
	struct vcpu_event e = EXCEPTION(EXC_GP);

	e.has_error_code = true;
	e.error_code = 0x1000;
	f.vcpu.regs.rflags |= X86_EFLAGS_RF;
	assert_int_equal(stack_fault(e), VCPU_RESUME);
	assert_in_handler();
	assert_int_equal(get64(TOP - 48), 0x1000);
	assert_true(get64(TOP - 24) & X86_EFLAGS_RF); /* a fault */
	assert_false(f.vcpu.regs.rflags & X86_EFLAGS_RF);
}

/* RF as the #PF exit has left it is not the interrupt's. */
static void rf_of_what_came_in_between(void **state)
{
	f.vcpu.regs.rflags |= X86_EFLAGS_RF;
	assert_int_equal(stack_fault(INTERRUPT(0x30)), VCPU_RESUME);
	assert_false(get64(TOP - 24) & X86_EFLAGS_RF);

	vcpu_event_interrupted(&f.vcpu, &EXCEPTION(EXC_DB));
	assert_false(f.vcpu.regs.rflags & X86_EFLAGS_RF);
	f.vcpu.regs.rflags |= X86_EFLAGS_RF;
	vcpu_event_interrupted(&f.vcpu, &EXCEPTION(EXC_UD));
	assert_true(f.vcpu.regs.rflags & X86_EFLAGS_RF);
}

/* INT n returns behind itself, and only its gate's DPL counts. */
static void software_events(void **state)
{
	static const enum vcpu_event_type types[] = { EVENT_SOFTWARE_INTERRUPT, EVENT_SOFTWARE_EXCEPTION,
						      EVENT_PRIVILEGED_SOFTWARE };

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		bool checked = types[i] != EVENT_PRIVILEGED_SOFTWARE;

		if (i) {
			gone(state);
			made(state);
		}
		fake_set_cpl(&f, 3);
		put64(TSS + 4, TOP);
		assert_int_equal(stack_fault((struct vcpu_event){ .vector = 3, .type = types[i], .insn_len = 2 }),
				 VCPU_RESUME);
		assert_int_equal(f.vcpu.event.pending, checked);
		if (checked) {
			assert_int_equal(f.vcpu.event.vector, EXC_GP);
			assert_int_equal(f.vcpu.event.error_code, 3 * 8 + 2);
			assert_int_equal(f.vcpu.regs.rip, FAKE_CODE);
			continue;
		}
		assert_in_handler();
		assert_int_equal(get64(TOP - 40), FAKE_CODE + 2);
		assert_int_equal(f.segment[SEG_SS].access, SEGMENT_UNUSABLE);
	}
}

static void an_nmi_blocks_the_next(void **state)
{
	assert_int_equal(stack_fault((struct vcpu_event){ .vector = 2, .type = EVENT_NMI }), VCPU_RESUME);
	assert_in_handler();
	assert_true(f.nmi_blocked);
	/* Also if it never arrives. */
	f.nmi_blocked = false;
	set_gate64(2, 0, 0);
	f.vcpu.regs.gpr[GPR_RSP] = STACK;
	assert_int_equal(stack_fault((struct vcpu_event){ .vector = 2, .type = EVENT_NMI }), VCPU_RESUME);
	assert_int_equal(f.vcpu.event.vector, EXC_GP);
	assert_int_equal(f.vcpu.event.error_code, 2 * 8 + 2 + 1);
	assert_true(f.nmi_blocked);
}

/* The frame reaches down to a page that is not there. */
static void faults_on_the_way(void **state)
{
	fake_map(&f, STACK_PAGE - 0x1000, 0, 0);
	f.vcpu.regs.gpr[GPR_RSP] = STACK_PAGE + 16;
	assert_int_equal(stack_fault(INTERRUPT(0x30)), VCPU_RESUME);
	assert_int_equal(f.vcpu.event.vector, EXC_PF);
	assert_int_equal(f.vcpu.event.error_code, PFERR_WRITE);
	assert_int_equal(f.cr2, STACK_PAGE - 8);
	assert_int_equal(stack_fault(EXCEPTION(EXC_GP)), VCPU_RESUME);
	assert_int_equal(f.vcpu.event.vector, EXC_PF);
	assert_int_equal(stack_fault(EXCEPTION(EXC_PF)), VCPU_RESUME);
	assert_int_equal(f.vcpu.event.vector, EXC_DF);
	assert_int_equal(stack_fault(EXCEPTION(EXC_DF)), VCPU_STOP);
	assert_int_equal(f.vcpu.stop.reason, VCPU_STOP_TRIPLE_FAULT);
	assert_int_equal(tracker.told, 0);
	assert_int_equal(f.vcpu.delivered, 0);
	assert_int_equal(f.vcpu.regs.rip, FAKE_CODE);
}

/* A stack made of device registers: it takes what it can. */
static void a_stack_in_a_device(void **state)
{
	fake_map(&f, STACK_PAGE, LAPIC_DEFAULT_BASE, PTE_RW);
	f.vcpu.regs.gpr[GPR_RSP] = STACK_PAGE + 0xA8; /* TPR is at 80h: the flags */
	assert_int_equal(stack_fault(INTERRUPT(0x30)), VCPU_RESUME);
	assert_in_handler();
	assert_int_equal(tracker.told, 0);
}

/* A push of ring 3 is no access of the CPU's own: a page of the supervisor's is the guest's fault. */
static void a_handler_in_ring_3(void **state)
{
	fake_set_cpl(&f, 3);
	fake_map(&f, STACK_PAGE, STACK_PAGE, PTE_RW & ~4u);
	vcpu_event_interrupted(&f.vcpu, &INTERRUPT(0x30));
	assert_int_equal(vcpu_page_fault(&f.vcpu, gva(TOP - 8), PFERR_WRITE | PFERR_USER), VCPU_RESUME);
	assert_true(f.vcpu.event.pending);
	assert_int_equal(f.vcpu.event.vector, EXC_PF);
	assert_int_equal(f.vcpu.event.error_code, PFERR_WRITE | PFERR_USER | PFERR_PRESENT);
}

/* Traps that waited behind MOV SS come after INT n, and with nothing else. */
static void traps_behind_mov_ss(void **state)
{
	f.held_debug = 1;
	set_gate64(0x90, 0xEE, 0);
	assert_int_equal(stack_fault((struct vcpu_event){ .vector = 0x90, .type = EVENT_SOFTWARE_INTERRUPT,
							  .insn_len = 2 }), VCPU_RESUME);
	assert_true(f.vcpu.event.pending);
	assert_int_equal(f.vcpu.event.vector, EXC_DB);
	assert_int_equal(f.vcpu.dr[6] & 0xF, 1);
	assert_int_equal(f.vcpu.regs.rip, HANDLER);

	f.vcpu.event.pending = false;
	f.vcpu.regs.gpr[GPR_RSP] = STACK;
	f.held_debug = 2;
	assert_int_equal(stack_fault(INTERRUPT(0x30)), VCPU_RESUME);
	assert_false(f.vcpu.event.pending);
	assert_int_equal(f.vcpu.dr[6] & 0xF, 1);
}

/* A breakpoint on what is pushed meets the handler. */
static void a_breakpoint_on_the_frame(void **state)
{
	vcpu_write_dr(&f.vcpu, 0, TOP - 8);
	vcpu_write_dr(&f.vcpu, 7, 0x90001); /* L0, writes of 8 bytes */
	assert_int_equal(stack_fault(INTERRUPT(0x30)), VCPU_RESUME);
	assert_true(f.vcpu.event.pending);
	assert_int_equal(f.vcpu.event.vector, EXC_DB);
	assert_int_equal(f.vcpu.dr[6] & 0xF, 1);
	assert_int_equal(f.vcpu.regs.rip, HANDLER);
	assert_int_equal(f.vcpu.breakpoints, 0);
}

/* Outside long mode: a 32-bit gate, paging off. */
static void in_protected_mode(void **state)
{
	fake_protected_mode(&f);
	f.idt = (struct descriptor_table){ IDT, 0x7FF };
	f.gdt = (struct descriptor_table){ GDT, 0x3F };
	put64(GDT + CODE_SELECTOR, 0x00CF9B000000FFFFull);
	put64(IDT + 8 * 0x30, (HANDLER & 0xFFFF) | CODE_SELECTOR << 16 | 0x8Eull << 40 |
			      (uint64_t)(HANDLER >> 16) << 48);
	f.vcpu.regs.gpr[GPR_RSP] = STACK;
	assert_int_equal(stack_fault(INTERRUPT(0x30)), VCPU_RESUME);
	assert_in_handler();
	assert_int_equal(f.vcpu.regs.gpr[GPR_RSP], STACK - 12);
	assert_int_equal(last()->origin.agent, AGENT_INJECTION);
}

/* INT n of virtual-8086 mode, by CR4.VME to the program's own handler; INT3 and interrupts are not asked about. */
static void int_n_in_virtual_8086_mode(void **state)
{
	static const struct vcpu_event events[] = {
		{ .vector = 0x30, .type = EVENT_SOFTWARE_INTERRUPT, .insn_len = 2 },
		{ .vector = 0x30, .type = EVENT_SOFTWARE_EXCEPTION, .insn_len = 1 },
		{ .vector = 0x30, .type = EVENT_EXTERNAL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
		fake_protected_mode(&f);
		f.idt = (struct descriptor_table){ IDT, 0x7FF };
		f.gdt = (struct descriptor_table){ GDT, 0x3F };
		put64(GDT + CODE_SELECTOR, 0x00CF9B000000FFFFull);
		put64(GDT + 0x10, 0x00CF93000000FFFFull);
		put64(IDT + 8 * 0x30, (HANDLER & 0xFFFF) | CODE_SELECTOR << 16 | 0xEEull << 40 | (uint64_t)(HANDLER >> 16) << 48);
		put64(TSS + 4, 0x10ull << 32 | STACK); /* for ring 0 */
		put64(TSS + 0x60, 0x88ull << 48); /* ports from 88h, vectors from 68h */
		put64(TSS + 0x68, 0);
		f.segment[SEG_TR] = (struct segment){ .access = 0x8B, .limit = 0x88, .base = TSS };
		put64(4 * 0x30, 0x00501234);
		for (unsigned int s = 0; s <= SEG_GS; s++)
			f.segment[s] = (struct segment){ .access = 0xF3, .limit = 0xFFFF };
		f.segment[SEG_SS] = (struct segment){ .selector = 0x3000, .base = 0x30000, .access = 0xF3, .limit = 0xFFFF };
		f.vcpu.mmu.paging.cr4 |= X86_CR4_VME;
		f.vcpu.regs.rflags |= X86_EFLAGS_VM | X86_EFLAGS_IOPL;
		f.vcpu.regs.gpr[GPR_RSP] = 0xF00;
		assert_int_equal(stack_fault(events[i]), VCPU_RESUME);
		assert_false(f.vcpu.event.pending);
		assert_int_equal(f.vcpu.regs.rip, i ? HANDLER : 0x1234);
		assert_int_equal(f.segment[SEG_CS].selector, i ? CODE_SELECTOR : 0x50);
		assert_int_equal(last()->origin.agent, AGENT_INJECTION);
		if (i == 0)
			assert_int_equal(get64(0x30F00 - 6) & 0xFFFF, FAKE_CODE + 2);
	}
}

static enum vcpu_action nothing(struct fake_vm *vm) { return VCPU_RESUME; }

/* Without a window for NMIs the event before one is delivered at once. */
static void an_nmi_behind_an_event(void **state)
{
	static struct vcpu_backend windowless;

	f.run = nothing;
	windowless = *f.vcpu.backend;
	windowless.no_nmi_window = true;
	for (int window = 1; window >= 0; window--) {
		if (!window)
			f.vcpu.backend = &windowless;
		f.vcpu.nmi_pending = true;
		f.nmi_blocked = false;
		assert_int_equal(vcpu_inject_exception(&f.vcpu, EXC_UD), VCPU_RESUME);
		assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_RESUME);
		assert_int_equal(f.entered_with.vector, window ? EXC_UD : EXC_NMI);
		assert_int_equal(f.vcpu.delivered, window ? 0 : 1);
	}
	assert_int_equal(f.vcpu.regs.rip, HANDLER);
	/* In the handler of one it waits. */
	f.vcpu.nmi_pending = true;
	assert_int_equal(vcpu_inject_exception(&f.vcpu, EXC_UD), VCPU_RESUME);
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_RESUME);
	assert_int_equal(f.entered_with.vector, EXC_UD);
}

/* ---- events and the native step ------------------------------------------------ */

static const uint8_t unknown_store[] = { 0x0F, 0xAE, 0x03 }; /* fxsave (%rbx) */

static void begin_step(void)
{
	fake_code(&f, unknown_store, sizeof(unknown_store));
	f.vcpu.regs.gpr[GPR_RBX] = STACK_PAGE;
	assert_int_equal(vcpu_page_fault(&f.vcpu, gva(STACK_PAGE), PFERR_WRITE), VCPU_RESUME);
	assert_true(f.vcpu.stepping && f.step);
}

/* What the stepped instruction raised is delivered on the closed page. */
static void an_event_ends_the_step(void **state)
{
	begin_step();
	put64(STACK_PAGE + 8, 0x77); /* by the hardware */
	assert_int_equal(stack_fault(EXCEPTION(EXC_UD)), VCPU_RESUME);
	assert_in_handler();
	assert_false(f.step);
	assert_int_equal(tracker.told, 2);
	assert_int_equal(last()->origin.agent, AGENT_INJECTION);
}

static enum vcpu_action skips(struct fake_vm *vm) { return VCPU_NEXT_INSN; }

static void a_skipped_instruction_ends_the_step(void **state)
{
	begin_step();
	f.run = skips;
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_RESUME);
	assert_false(f.vcpu.stepping || f.step);
	assert_int_equal(f.vcpu.regs.rip, FAKE_CODE + 2);
}

/* From a page whose fetches trap: nothing to step, nothing pushed natively. */
static void instructions_that_are_events(void **state)
{
	static const struct {
		uint8_t code[4];
		unsigned int len;
		enum vcpu_event_type type;
		uint8_t vector;
	} all[] = {
		{ { 0xCC }, 1, EVENT_SOFTWARE_EXCEPTION, 3 },
		{ { 0xCD, 0x80 }, 2, EVENT_SOFTWARE_INTERRUPT, 0x80 },
		{ { 0x66, 0x48, 0xCD, 0x41 }, 4, EVENT_SOFTWARE_INTERRUPT, 0x41 },
		{ { 0xF1 }, 1, EVENT_PRIVILEGED_SOFTWARE, 1 },
	};

	fake_tracker_add(&tracker, FAKE_CODE, PAGE_TRACK_X);
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		f.vcpu.event.pending = false;
		fake_code(&f, all[i].code, sizeof(all[i].code));
		assert_int_equal(vcpu_page_fault(&f.vcpu, gva(FAKE_CODE), PFERR_FETCH), VCPU_RESUME);
		assert_false(f.vcpu.stepping);
		assert_true(f.vcpu.event.pending);
		assert_int_equal(f.vcpu.event.type, all[i].type);
		assert_int_equal(f.vcpu.event.vector, all[i].vector);
		assert_int_equal(f.vcpu.event.insn_len, all[i].len);
		assert_int_equal(f.vcpu.regs.rip, FAKE_CODE);
	}
}

static void into_is_one_if_of_is_set(void **state)
{
	static const uint8_t into[] = { 0xCE };

	fake_protected_mode(&f);
	fake_tracker_add(&tracker, FAKE_CODE, PAGE_TRACK_X);
	fake_code(&f, into, sizeof(into));
	assert_int_equal(vcpu_page_fault(&f.vcpu, gva(FAKE_CODE), PFERR_FETCH), VCPU_RESUME);
	assert_false(f.vcpu.event.pending);
	assert_true(f.vcpu.stepping);
	vcpu_step_done(&f.vcpu);
	f.vcpu.regs.rflags |= X86_EFLAGS_OF;
	assert_int_equal(vcpu_page_fault(&f.vcpu, gva(FAKE_CODE), PFERR_FETCH), VCPU_RESUME);
	assert_true(f.vcpu.event.pending);
	assert_int_equal(f.vcpu.event.vector, EXC_OF);
	assert_int_equal(f.vcpu.event.type, EVENT_SOFTWARE_EXCEPTION);
}

/* What a backend must know of a stepped instruction. */
static void notable_instructions(void **state)
{
	static const struct {
		uint8_t code[4];
		uint8_t opcode;
	} all[] = {
		{ { 0x48, 0xCF }, OPCODE_IRET },
		{ { 0x8E, 0x13 }, OPCODE_LOAD_SS },	 { { 0x41, 0x8E, 0xD1 }, OPCODE_LOAD_SS },
		{ { 0x8E, 0x03 }, 0 },			 { { 0xDB, 0xE3 }, 0 },
	};

	fake_tracker_add(&tracker, FAKE_CODE, PAGE_TRACK_X);
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		fake_code(&f, all[i].code, sizeof(all[i].code));
		assert_int_equal(vcpu_page_fault(&f.vcpu, gva(FAKE_CODE), PFERR_FETCH), VCPU_RESUME);
		assert_true(f.vcpu.stepping);
		assert_int_equal(f.vcpu.step_opcode, all[i].opcode);
		vcpu_step_done(&f.vcpu);
	}
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, made, gone)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lesson_11_event_delivery_is_not_an_instruction),
		TEST(an_error_code),
		TEST(rf_of_what_came_in_between),
		TEST(software_events),
		TEST(an_nmi_blocks_the_next),
		TEST(faults_on_the_way),
		TEST(a_stack_in_a_device),
		TEST(a_handler_in_ring_3),
		TEST(traps_behind_mov_ss),
		TEST(a_breakpoint_on_the_frame),
		TEST(in_protected_mode),
		TEST(int_n_in_virtual_8086_mode),
		TEST(an_nmi_behind_an_event),
		TEST(an_event_ends_the_step),
		TEST(a_skipped_instruction_ends_the_step),
		TEST(instructions_that_are_events),
		TEST(into_is_one_if_of_is_set),
		TEST(notable_instructions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
