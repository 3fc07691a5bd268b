// SPDX-License-Identifier: GPL-2.0-only
/* Exceptions that meet other exceptions, interrupts that wait for a window. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "lib/compiler.h"
#include "tests/host/vcpu_fake.h"

static struct fake_vm f;

static int made(void **state)
{
	fake_vm_init(&f);
	fake_long_mode(&f);
	return 0;
}

static int gone(void **state)
{
	fake_vm_destroy(&f);
	return 0;
}

/* The delivery of @vector was interrupted by the exit being handled. */
static void on_its_way(enum vcpu_event_type type, uint8_t vector)
{
	f.vcpu.event = (struct vcpu_event){ .pending = true, .vector = vector, .type = type };
}

enum { B, C, P, D }; /* benign, contributory, page fault, double fault */
enum { SERIALLY, DOUBLE, SHUTDOWN };

static int class_of(uint8_t vector)
{
	static const uint8_t classes[32] = { [EXC_DE] = C, [EXC_TS] = C, [EXC_NP] = C, [EXC_SS] = C, [EXC_GP] = C,
					     [EXC_CP] = C, [EXC_PF] = P, [EXC_VE] = P, [EXC_DF] = D };

	return classes[vector];
}

/* SDM vol. 3, "Conditions for Generating a Double Fault": rows are the first. */
static const uint8_t table[4][3] = {
	[B] = { SERIALLY, SERIALLY, SERIALLY },
	[C] = { SERIALLY, DOUBLE, SERIALLY },
	[P] = { SERIALLY, DOUBLE, DOUBLE },
	[D] = { SERIALLY, SHUTDOWN, SHUTDOWN },
};

static void assert_outcome(uint8_t a, uint8_t b, bool code)
{
	const struct vcpu_event second = { .vector = b, .type = EVENT_HARDWARE_EXCEPTION, .has_error_code = code,
					   .error_code = 0x1234 };
	int outcome = table[class_of(a)][class_of(b)];

	f.vcpu.stop = (struct vcpu_stop){ 0 };
	f.vcpu.regs.rflags = X86_EFLAGS_FIXED;
	on_its_way(EVENT_HARDWARE_EXCEPTION, a);
	assert_int_equal(vcpu_inject(&f.vcpu, &second), outcome == SHUTDOWN ? VCPU_STOP : VCPU_RESUME);
	assert_int_equal(f.vcpu.stop.reason, outcome == SHUTDOWN ? VCPU_STOP_TRIPLE_FAULT : VCPU_STOP_NONE);
	if (outcome == SHUTDOWN)
		return;
	assert_true(f.vcpu.event.pending);
	assert_int_equal(f.vcpu.event.type, EVENT_HARDWARE_EXCEPTION);
	assert_int_equal(f.vcpu.event.vector, outcome == DOUBLE ? EXC_DF : b);
	assert_int_equal(f.vcpu.event.has_error_code, outcome == DOUBLE || code);
	assert_int_equal(f.vcpu.event.error_code, outcome == DOUBLE ? 0 : 0x1234);
	/* A fault is to be restarted: RF. #DF, #DB and #MC are none. */
	assert_int_equal(!(f.vcpu.regs.rflags & X86_EFLAGS_RF),
			 outcome == DOUBLE || b == EXC_DB || b == EXC_MC);
}

static void lesson_33_double_fault_table(void **state)
{
	for (uint8_t a = 0; a < 32; a++)
		for (uint8_t b = 0; b < 32; b++)
			if (b != EXC_DF) /* nothing raises that by itself */
				assert_outcome(a, b, b & 1);
}

/* A CPU whose event raises itself again while it is delivered, as #AC and #DB can. Each time it exits. */
static enum vcpu_action recurs(struct fake_vm *vm)
{
	struct vcpu *v = &vm->vcpu;
	struct vcpu_event e = vm->entered_with;

	assert_true(e.pending);
	vcpu_event_interrupted(v, &e);
	return e.vector == EXC_DB ? vcpu_inject_debug(v, 1) : vcpu_inject(v, &e);
}

static void lesson_33_what_recurs_can_be_ended(void **state)
{
	static const struct vcpu_event events[] = {
		{ .vector = EXC_AC, .has_error_code = true, .type = EVENT_HARDWARE_EXCEPTION },
		{ .vector = EXC_DB, .type = EVENT_HARDWARE_EXCEPTION },
	};

	f.run = recurs;
	for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
		f.vcpu.event.pending = false;
		assert_int_equal(vcpu_inject(&f.vcpu, &events[i]), VCPU_RESUME);
		for (unsigned int round = 0; round < 100; round++) {
			assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_RESUME);
			assert_true(f.vcpu.event.pending);
			assert_int_equal(f.vcpu.event.vector, events[i].vector);
		}
	}
	assert_int_equal(f.vcpu.exits, 200);
	vcpu_stop(&f.vcpu, VCPU_STOP_KILLED, 0, "");
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_STOP);
	assert_int_equal(f.vcpu.exits, 200);
}

/* What is no exception is benign, whatever its vector. */
static void interrupts_do_not_make_double_faults(void **state)
{
	static const enum vcpu_event_type types[] = { EVENT_EXTERNAL, EVENT_NMI, EVENT_SOFTWARE_INTERRUPT,
						      EVENT_PRIVILEGED_SOFTWARE, EVENT_SOFTWARE_EXCEPTION };

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		for (uint8_t first = 0; first < 32; first++)
			for (uint8_t second = 0; second < 32; second++) {
				on_its_way(types[i], first);
				assert_int_equal(vcpu_inject_error(&f.vcpu, second, 2), VCPU_RESUME);
				assert_int_equal(f.vcpu.event.vector, second);
				assert_int_equal(f.vcpu.event.error_code, 2);
			}
	/* Nor is it one that comes second. */
	on_its_way(EVENT_HARDWARE_EXCEPTION, EXC_GP);
	assert_int_equal(vcpu_inject(&f.vcpu, &(struct vcpu_event){ .vector = EXC_GP, .type = EVENT_SOFTWARE_INTERRUPT }),
			 VCPU_RESUME);
	assert_int_equal(f.vcpu.event.vector, EXC_GP);
}

static void a_page_fault_sets_cr2_even_when_doubled(void **state)
{
	on_its_way(EVENT_HARDWARE_EXCEPTION, EXC_PF);
	assert_int_equal(vcpu_inject_page_fault(&f.vcpu, gva(0xABC), 0), VCPU_RESUME);
	assert_int_equal(f.vcpu.event.vector, EXC_DF);
	assert_int_equal(f.cr2, 0xABC);
}

static void faults_set_rf_and_traps_do_not(void **state)
{
	vcpu_inject_error(&f.vcpu, EXC_GP, 0);
	assert_true(f.vcpu.regs.rflags & X86_EFLAGS_RF);
	f.vcpu.regs.rflags &= ~(uint64_t)X86_EFLAGS_RF;
	f.vcpu.event.pending = false;
	vcpu_inject_debug(&f.vcpu, 1u << 14);
	assert_false(f.vcpu.regs.rflags & X86_EFLAGS_RF);
	assert_int_equal(f.vcpu.dr[6], 0xFFFF4FF0);
}

/* ---- external interrupts ----------------------------------------------------- */

static enum vcpu_action nothing(struct fake_vm *vm) { return VCPU_RESUME; }
static enum vcpu_action skips(struct fake_vm *vm) { return VCPU_NEXT_INSN; }
static enum vcpu_action halts(struct fake_vm *vm) { return vcpu_exit_hlt(&vm->vcpu); }

/* A self-IPI through the xAPIC page: vector 0x41. */
static void raise_interrupt(void)
{
	platform_mmio_write(&f.platform, 0, gpa(LAPIC_DEFAULT_BASE + 0xF0), 4, 0x1FF);
	platform_mmio_write(&f.platform, 0, gpa(LAPIC_DEFAULT_BASE + 0x300), 4, 0x40041);
	assert_true(platform_interrupt_pending(&f.platform, 0));
}

static void an_interrupt_waits_for_its_window(void **state)
{
	f.run = nothing;
	raise_interrupt();
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_RESUME);
	assert_false(f.entered_with.pending);
	assert_true(f.window);

	f.vcpu.regs.rflags |= X86_EFLAGS_IF;
	f.shadow = true; /* the instruction after STI */
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_RESUME);
	assert_false(f.entered_with.pending);

	f.shadow = false;
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_RESUME);
	assert_true(f.entered_with.pending);
	assert_int_equal(f.entered_with.vector, 0x41);
	assert_int_equal(f.entered_with.type, EVENT_EXTERNAL);
	assert_false(f.window);
}

static void an_event_on_its_way_goes_first(void **state)
{
	f.run = nothing;
	f.vcpu.regs.rflags |= X86_EFLAGS_IF;
	raise_interrupt();
	on_its_way(EVENT_HARDWARE_EXCEPTION, EXC_UD);
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_RESUME);
	assert_int_equal(f.entered_with.vector, EXC_UD);
	assert_true(f.window);
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_RESUME);
	assert_int_equal(f.entered_with.vector, 0x41);
}

static void nothing_is_injected_into_a_step(void **state)
{
	f.run = nothing;
	f.vcpu.regs.rflags |= X86_EFLAGS_IF;
	f.vcpu.stepping = true;
	raise_interrupt();
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_RESUME);
	assert_false(f.entered_with.pending);
	assert_false(f.window);
	vcpu_step_done(&f.vcpu);
}

static void halt_sleeps_until_an_interrupt(void **state)
{
	f.run = halts;
	f.vcpu.regs.rflags |= X86_EFLAGS_IF;
	f.shadow = true; /* sti; hlt */
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_YIELD);
	assert_true(f.vcpu.halted);
	assert_int_equal(f.vcpu.regs.rip, FAKE_CODE + 2);
	assert_false(f.shadow);
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_YIELD);
	assert_int_equal(f.vcpu.exits, 1);

	f.run = nothing;
	raise_interrupt();
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_RESUME);
	assert_false(f.vcpu.halted);
	assert_int_equal(f.entered_with.vector, 0x41);
}

static void halt_with_interrupts_off_ends_the_vm(void **state)
{
	f.run = halts;
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_STOP);
	assert_int_equal(f.vcpu.stop.reason, VCPU_STOP_HALTED);
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_STOP);
	assert_int_equal(f.vcpu.exits, 1);
}

/* ---- NMIs ---------------------------------------------------------------------- */

/* The vCPU sends itself one, by the xAPIC page. */
static void raise_nmi(void)
{
	platform_mmio_write(&f.platform, 0, gpa(LAPIC_DEFAULT_BASE + 0x300), 4, 0x4400);
}

static void ioapic(uint32_t reg, uint32_t val)
{
	platform_mmio_write(&f.platform, 0, gpa(IOAPIC_DEFAULT_BASE), 4, reg);
	platform_mmio_write(&f.platform, 0, gpa(IOAPIC_DEFAULT_BASE + 0x10), 4, val);
}

static void assert_entered_with_nmi(void)
{
	assert_true(f.entered_with.pending);
	assert_int_equal(f.entered_with.vector, EXC_NMI);
	assert_int_equal(f.entered_with.type, EVENT_NMI);
	assert_false(f.entered_with.has_error_code);
}

static void an_nmi_is_taken_whatever_if_is(void **state)
{
	f.run = nothing;
	raise_nmi();
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_RESUME);
	assert_entered_with_nmi();
	assert_false(f.nmi_window);
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_RESUME);
	assert_false(f.entered_with.pending);
}

/* One is taken and one waits: the third is the second. */
static void a_second_nmi_waits_and_a_third_is_lost(void **state)
{
	f.run = nothing;
	raise_nmi();
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_RESUME);
	assert_true(f.nmi_blocked);
	for (int i = 0; i < 2; i++) {
		raise_nmi();
		assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_RESUME);
		assert_false(f.entered_with.pending);
		assert_true(f.nmi_window);
	}
	f.nmi_blocked = false; /* IRET */
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_RESUME);
	assert_entered_with_nmi();
	assert_false(f.nmi_window);
	f.nmi_blocked = false;
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_RESUME);
	assert_false(f.entered_with.pending);
}

static void an_nmi_waits_for_a_shadow_an_event_and_a_step(void **state)
{
	f.run = nothing;
	raise_nmi();
	f.shadow = true;
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_RESUME);
	assert_false(f.entered_with.pending);
	assert_true(f.nmi_window);
	f.shadow = false;
	f.vcpu.interrupt_shadow = true;
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_RESUME);
	assert_false(f.entered_with.pending);
	f.vcpu.interrupt_shadow = false;
	f.vcpu.stepping = true;
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_RESUME);
	assert_false(f.entered_with.pending);
	assert_false(f.nmi_window);
	vcpu_step_done(&f.vcpu);
	on_its_way(EVENT_HARDWARE_EXCEPTION, EXC_UD);
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_RESUME);
	assert_int_equal(f.entered_with.vector, EXC_UD);
	assert_true(f.nmi_window);
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_RESUME);
	assert_entered_with_nmi();
}

static void an_nmi_goes_before_an_interrupt(void **state)
{
	f.run = nothing;
	f.vcpu.regs.rflags |= X86_EFLAGS_IF;
	raise_interrupt();
	raise_nmi();
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_RESUME);
	assert_entered_with_nmi();
	assert_true(f.window);
	assert_true(platform_interrupt_pending(&f.platform, 0));
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_RESUME);
	assert_int_equal(f.entered_with.vector, 0x41);
}

/* An NMI that is there wakes it; so does one that a device may send. */
static void an_nmi_wakes_with_interrupts_off(void **state)
{
	f.run = halts;
	f.vcpu.nmi_pending = true;
	f.nmi_blocked = true; /* in the handler of one there is no waking */
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_STOP);

	f.vcpu.stop = (struct vcpu_stop){ 0 };
	f.nmi_blocked = false;
	f.vcpu.nmi_pending = false;
	ioapic(0x14, 0x400);
	raise_interrupt();
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_YIELD);
	assert_true(f.vcpu.halted);
	assert_true(vcpu_is_asleep(&f.vcpu)); /* IF is clear */
	f.run = nothing;
	raise_nmi();
	assert_false(vcpu_is_asleep(&f.vcpu));
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_RESUME);
	assert_entered_with_nmi();
}

/* Sent by the instruction before: taken behind the HLT. */
static void an_nmi_that_is_there_wakes_at_once(void **state)
{
	f.run = halts;
	f.shadow = true;
	raise_nmi();
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_YIELD);
	assert_int_equal(f.vcpu.stop.reason, VCPU_STOP_NONE);
	f.run = nothing;
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_RESUME);
	assert_entered_with_nmi();
	assert_int_equal(f.vcpu.regs.rip, FAKE_CODE + 2);
}

static void blocked_nmis_do_not_wake(void **state)
{
	f.run = halts;
	f.vcpu.regs.rflags |= X86_EFLAGS_IF;
	f.nmi_blocked = true;
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_YIELD);
	raise_nmi();
	assert_true(vcpu_is_asleep(&f.vcpu));
	raise_interrupt();
	assert_false(vcpu_is_asleep(&f.vcpu));
}

/* ---- completed instructions ---------------------------------------------------- */

/* A trap that MOV SS held back comes with that of the instruction behind it. */
static void held_traps_come_with_the_next(void **state)
{
	f.run = skips;
	f.shadow = true;
	f.held_debug = 2;
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_RESUME);
	assert_int_equal(f.vcpu.event.vector, EXC_DB);
	assert_int_equal(f.vcpu.dr[6], 0xFFFF0FF2);
	f.shadow = true;
	f.held_debug = 1;
	f.vcpu.regs.rflags |= X86_EFLAGS_TF;
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_RESUME);
	assert_int_equal(f.vcpu.dr[6] & 0x400F, 0x4001 | (f.vcpu.dr[6] & 2));
}

static void a_skipped_instruction_ends_its_shadow_and_traps(void **state)
{
	f.run = skips;
	f.shadow = true;
	f.vcpu.regs.rflags |= X86_EFLAGS_TF | X86_EFLAGS_RF;
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_RESUME);
	assert_int_equal(f.vcpu.regs.rip, FAKE_CODE + 2);
	assert_false(f.shadow);
	assert_false(f.vcpu.regs.rflags & X86_EFLAGS_RF);
	assert_int_equal(f.vcpu.event.vector, EXC_DB);
	assert_true(f.vcpu.dr[6] & 1u << 14);
}

static void rip_wraps_outside_64_bit_mode(void **state)
{
	f.run = skips;
	f.segment[SEG_CS].access = 0xC09B;
	f.vcpu.regs.rip = 0xFFFFFFFF;
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_RESUME);
	assert_int_equal(f.vcpu.regs.rip, 1);
	f.segment[SEG_CS].access = 0xA09B;
	f.vcpu.regs.rip = 0xFFFFFFFF;
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_RESUME);
	assert_int_equal(f.vcpu.regs.rip, 0x100000001ull);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, made, gone)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lesson_33_double_fault_table),
		TEST(lesson_33_what_recurs_can_be_ended),
		TEST(interrupts_do_not_make_double_faults),
		TEST(a_page_fault_sets_cr2_even_when_doubled),
		TEST(faults_set_rf_and_traps_do_not),
		TEST(an_interrupt_waits_for_its_window),
		TEST(an_event_on_its_way_goes_first),
		TEST(nothing_is_injected_into_a_step),
		TEST(halt_sleeps_until_an_interrupt),
		TEST(halt_with_interrupts_off_ends_the_vm),
		TEST(an_nmi_is_taken_whatever_if_is),
		TEST(a_second_nmi_waits_and_a_third_is_lost),
		TEST(an_nmi_waits_for_a_shadow_an_event_and_a_step),
		TEST(an_nmi_goes_before_an_interrupt),
		TEST(an_nmi_wakes_with_interrupts_off),
		TEST(an_nmi_that_is_there_wakes_at_once),
		TEST(blocked_nmis_do_not_wake),
		TEST(held_traps_come_with_the_next),
		TEST(a_skipped_instruction_ends_its_shadow_and_traps),
		TEST(rip_wraps_outside_64_bit_mode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
