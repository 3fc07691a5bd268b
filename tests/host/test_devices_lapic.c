/* SPDX-License-Identifier: GPL-2.0-only */
/* The local APIC: timer modes, priorities, IPIs, errors, x2APIC, APIC_BASE. */
#include "tests/host/devices_fixture.h"

#define ID 0x20
#define VERSION 0x30
#define TPR 0x80
#define PPR 0xA0
#define EOI 0xB0
#define LDR 0xD0
#define DFR 0xE0
#define SVR 0xF0
#define ISR 0x100
#define TMR 0x180
#define IRR 0x200
#define ESR 0x280
#define ICR 0x300
#define ICR_HIGH 0x310
#define TIMER 0x320
#define LINT0 0x350
#define LINT1 0x360
#define ERROR 0x370
#define INITIAL 0x380
#define CURRENT 0x390
#define DIVIDE 0x3E0

#define MASKED 0x10000u
#define PERIODIC 0x20000u
#define DEADLINE 0x40000u
#define BY_1 0x0Bu
#define BY_16 0x03u

#define BASE (LAPIC_DEFAULT_BASE | APIC_BASE_BSP)

static void enable(struct fixture *f)
{
	apic_write(f, SVR, 0x1FF);
	apic_write(f, ERROR, 0xFE);
	apic_write(f, DIVIDE, BY_1);
}

static int wrmsr(struct fixture *f, uint32_t msr, uint64_t val)
{
	return platform_msr_write(&f->p, 0, msr, val);
}

static uint64_t rdmsr(struct fixture *f, uint32_t msr)
{
	uint64_t val;

	assert_int_equal(platform_msr_read(&f->p, 0, msr, &val), 0);
	return val;
}

static int rdmsr_error(struct fixture *f, uint32_t msr)
{
	uint64_t val;

	return platform_msr_read(&f->p, 0, msr, &val);
}

static void go_x2apic(struct fixture *f)
{
	assert_int_equal(wrmsr(f, MSR_IA32_APIC_BASE, BASE | APIC_BASE_EN | APIC_BASE_EXTD), 0);
}

static void starts_in_virtual_wire_mode(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(rdmsr(f, MSR_IA32_APIC_BASE), BASE | APIC_BASE_EN);
	assert_int_equal(apic_read(f, ID), 0);
	assert_int_equal(apic_read(f, VERSION) & 0xFF, 0x14);
	assert_int_equal(apic_read(f, VERSION) >> 16 & 0xFF, 5);
	assert_int_equal(apic_read(f, SVR), 0x10F);
	assert_int_equal(apic_read(f, LINT0), 0x700);
	assert_int_equal(apic_read(f, LINT1), 0x400);
	assert_int_equal(apic_read(f, DFR), 0xFFFFFFFF);
}

static void one_shot_timer(void **state)
{
	struct fixture *f = *state;

	enable(f);
	f->now = 1000;
	apic_write(f, TIMER, 0xEC);
	apic_write(f, INITIAL, 5000);
	assert_int_equal(platform_next_deadline(&f->p), 6000);
	f->now = 3500;
	assert_int_equal(apic_read(f, CURRENT), 2500);
	f->now = 5999;
	platform_run_timers(&f->p);
	assert_int_equal(take(f), -EAGAIN);
	assert_int_equal(apic_read(f, CURRENT), 1);
	f->now = 6000;
	platform_run_timers(&f->p);
	assert_int_equal(take(f), 0xEC);
	assert_int_equal(apic_read(f, CURRENT), 0);
	assert_int_equal(platform_next_deadline(&f->p), PLATFORM_NEVER);
}

static void dividers(void **state)
{
	static const struct { uint8_t code, by; } row[] = {
		{ 0x0, 2 }, { 0x1, 4 }, { 0x2, 8 }, { 0x3, 16 },
		{ 0x8, 32 }, { 0x9, 64 }, { 0xA, 128 }, { 0xB, 1 },
	};
	struct fixture *f = *state;

	enable(f);
	apic_write(f, TIMER, 0xEC);
	for (unsigned int i = 0; i < ARRAY_SIZE(row); i++) {
		apic_write(f, DIVIDE, row[i].code);
		assert_int_equal(apic_read(f, DIVIDE), row[i].code);
		apic_write(f, INITIAL, 1000000);
		assert_int_equal(platform_next_deadline(&f->p), f->now + 1000000ull * row[i].by);
	}
}

static void periodic_timer_does_not_drift(void **state)
{
	struct fixture *f = *state;
	const uint64_t period = 16ull * 187501;

	enable(f);
	apic_write(f, DIVIDE, BY_16);
	apic_write(f, TIMER, PERIODIC | 0x40);
	apic_write(f, INITIAL, 187501);
	for (unsigned int i = 1; i <= 5000; i++) {
		assert_int_equal(platform_next_deadline(&f->p), i * period);
		f->now = i * period + i % 977; /* a little late */
		platform_run_timers(&f->p);
		assert_int_equal(take(f), 0x40);
		apic_write(f, EOI, 0);
	}
	f->now += 10 * period;
	platform_run_timers(&f->p);
	assert_int_equal(take(f), 0x40);
	apic_write(f, EOI, 0);
	assert_int_equal(take(f), -EAGAIN);
	assert_int_equal(platform_next_deadline(&f->p) % period, 0);
}

static void absurd_period_is_thinned_out(void **state)
{
	struct fixture *f = *state;

	enable(f);
	apic_write(f, TIMER, PERIODIC | 0x40);
	apic_write(f, INITIAL, 1);
	f->now = 1;
	platform_run_timers(&f->p);
	assert_int_equal(take(f), 0x40);
	assert_true(platform_next_deadline(&f->p) - f->now >= TSC_HZ / TICKS_MAX_RATE);
}

static void masked_timer_counts_in_silence(void **state)
{
	struct fixture *f = *state;

	enable(f);
	apic_write(f, TIMER, MASKED | 0x40);
	apic_write(f, INITIAL, 1000);
	assert_int_equal(platform_next_deadline(&f->p), PLATFORM_NEVER);
	f->now = 400;
	assert_int_equal(apic_read(f, CURRENT), 600);
	apic_write(f, TIMER, 0x40);
	assert_int_equal(platform_next_deadline(&f->p), 1000);
	apic_write(f, TIMER, MASKED | 0x40);
	f->now = 2000;
	apic_write(f, TIMER, 0x40); /* it expired while masked */
	platform_run_timers(&f->p);
	assert_int_equal(take(f), -EAGAIN);
}

static void a_write_does_not_swallow_what_was_due(void **state)
{
	struct fixture *f = *state;

	enable(f);
	apic_write(f, TIMER, 0x40);
	apic_write(f, INITIAL, 1000);
	f->now = 1500;
	apic_write(f, INITIAL, 1000); /* before anybody ran the timers */
	assert_int_equal(take(f), 0x40);
	assert_int_equal(platform_next_deadline(&f->p), 2500);
}

static void divider_change_keeps_the_count(void **state)
{
	struct fixture *f = *state;

	enable(f);
	apic_write(f, TIMER, 0x40);
	apic_write(f, INITIAL, 1000);
	f->now = 400;
	apic_write(f, DIVIDE, BY_16);
	assert_int_equal(apic_read(f, CURRENT), 600);
	assert_int_equal(platform_next_deadline(&f->p), 400 + 600 * 16);
}

static void tsc_deadline_timer(void **state)
{
	struct fixture *f = *state;

	enable(f);
	f->now = 1000;
	assert_int_equal(wrmsr(f, MSR_IA32_TSC_DEADLINE, 5000), 0);
	assert_int_equal(rdmsr(f, MSR_IA32_TSC_DEADLINE), 0); /* not in that mode */
	apic_write(f, TIMER, DEADLINE | 0xEC);
	f->kicks = 0;
	assert_int_equal(wrmsr(f, MSR_IA32_TSC_DEADLINE, 5000), 0);
	assert_int_equal(f->kicks, 1);
	assert_int_equal(rdmsr(f, MSR_IA32_TSC_DEADLINE), 5000);
	assert_int_equal(platform_next_deadline(&f->p), 5000);
	apic_write(f, INITIAL, 77); /* ignored */
	assert_int_equal(apic_read(f, INITIAL), 0);
	assert_int_equal(apic_read(f, CURRENT), 0);
	run_until(f, 5000);
	assert_int_equal(take(f), 0xEC);
	apic_write(f, EOI, 0);
	assert_int_equal(rdmsr(f, MSR_IA32_TSC_DEADLINE), 0);
	assert_int_equal(wrmsr(f, MSR_IA32_TSC_DEADLINE, 4000), 0); /* the past: at once */
	assert_int_equal(take(f), 0xEC);
	apic_write(f, EOI, 0);
	assert_int_equal(wrmsr(f, MSR_IA32_TSC_DEADLINE, 9000), 0);
	assert_int_equal(wrmsr(f, MSR_IA32_TSC_DEADLINE, 0), 0);
	assert_int_equal(platform_next_deadline(&f->p), PLATFORM_NEVER);
	assert_int_equal(wrmsr(f, MSR_IA32_TSC_DEADLINE, 9000), 0);
	apic_write(f, TIMER, 0xEC); /* leaving the mode disarms */
	assert_int_equal(platform_next_deadline(&f->p), PLATFORM_NEVER);
}

static void self_ipi(struct fixture *f, uint8_t vector)
{
	apic_write(f, ICR, 0x40000u | vector);
}

static void priorities_and_eoi(void **state)
{
	struct fixture *f = *state;

	enable(f);
	self_ipi(f, 0x45);
	self_ipi(f, 0x52);
	assert_int_equal(apic_read(f, IRR + 0x20), 1u << 5 | 1u << 18);
	assert_int_equal(take(f), 0x52);
	assert_int_equal(apic_read(f, PPR), 0x50);
	assert_int_equal(take(f), -EAGAIN);
	self_ipi(f, 0x58); /* same class */
	assert_false(platform_interrupt_pending(&f->p, 0));
	self_ipi(f, 0x61);
	assert_int_equal(take(f), 0x61);
	assert_int_equal(apic_read(f, ISR + 0x30), 2);
	apic_write(f, EOI, 0);
	apic_write(f, EOI, 0);
	assert_int_equal(take(f), 0x58);
	apic_write(f, EOI, 0);
	apic_write(f, EOI, 0); /* nothing in service: no harm */
	assert_int_equal(take(f), 0x45);
	apic_write(f, EOI, 0);
	assert_int_equal(apic_read(f, PPR), 0);
}

static void cr8_is_the_task_priority(void **state)
{
	struct fixture *f = *state;

	enable(f);
	platform_cr8_write(&f->p, 0, 5);
	assert_int_equal(apic_read(f, TPR), 0x50);
	self_ipi(f, 0x5F);
	assert_int_equal(take(f), -EAGAIN);
	apic_write(f, TPR, 0x4F);
	assert_int_equal(platform_cr8_read(&f->p, 0), 4);
	assert_int_equal(apic_read(f, PPR), 0x4F);
	assert_int_equal(take(f), 0x5F);
}

static void ipi_destinations(void **state)
{
	static const struct { uint32_t high, low; bool arrives; } row[] = {
		{ 0, 0x00040, true },          { 0x01000000, 0x00040, false }, { 0xFF000000, 0x00040, true },
		{ 0, 0x40040, true },          { 0, 0x80040, true },           { 0, 0xC0040, false },
		{ 0x01000000, 0x00840, true }, { 0x02000000, 0x00840, false }, { 0xFF000000, 0x00840, true },
		{ 0, 0x00140, true },          { 0x01000000, 0x00940, true },  { 0x01000000, 0x00540, false },
	};
	struct fixture *f = *state;

	enable(f);
	apic_write(f, LDR, 0x01000000);
	for (unsigned int i = 0; i < ARRAY_SIZE(row); i++) {
		apic_write(f, ICR_HIGH, row[i].high);
		apic_write(f, ICR, row[i].low);
		assert_int_equal(take(f), row[i].arrives ? 0x40 : -EAGAIN);
		assert_int_equal(apic_read(f, ICR) & 0x1000, 0);
		apic_write(f, EOI, 0);
	}
	apic_write(f, DFR, 0x0FFFFFFF); /* clusters */
	apic_write(f, LDR, 0x21000000);
	apic_write(f, ICR_HIGH, 0x23000000);
	apic_write(f, ICR, 0x00840);
	assert_int_equal(take(f), 0x40);
	apic_write(f, EOI, 0);
	apic_write(f, ICR_HIGH, 0x33000000);
	apic_write(f, ICR, 0x00840);
	assert_int_equal(take(f), -EAGAIN);
}

static void init_and_startup_to_nobody_are_quiet(void **state)
{
	struct fixture *f = *state;

	enable(f);
	apic_write(f, ICR_HIGH, 0x01000000);
	apic_write(f, ICR, 0xC500);
	apic_write(f, ICR, 0x8500);
	apic_write(f, ICR, 0x0608);
	apic_write(f, ICR, 0xC4500); /* all but self */
	assert_false(platform_interrupt_pending(&f->p, 0));
	apic_write(f, ESR, 0);
	assert_int_equal(apic_read(f, ESR), 0);
}

static void nmi_to_self(void **state)
{
	struct fixture *f = *state;

	enable(f);
	assert_false(platform_nmi_take(&f->p, 0));
	f->kicks = 0;
	apic_write(f, ICR, 0x40400);
	assert_int_equal(f->kicks, 1);
	assert_true(platform_nmi_take(&f->p, 0));
	assert_false(platform_nmi_take(&f->p, 0));
}

static void errors_gather_until_esr_is_written(void **state)
{
	struct fixture *f = *state;

	enable(f);
	self_ipi(f, 0x05);
	assert_int_equal(apic_read(f, ESR), 0);
	assert_int_equal(take(f), 0xFE);
	apic_write(f, EOI, 0);
	mmio_write(f, LAPIC_DEFAULT_BASE + 0x40, 1); /* no such register */
	apic_write(f, ESR, 0);
	assert_int_equal(apic_read(f, ESR), 0xA0);
	apic_write(f, ESR, 0);
	assert_int_equal(apic_read(f, ESR), 0);
	apic_write(f, ERROR, 3); /* an illegal vector for the error itself */
	self_ipi(f, 0x05);
	apic_write(f, ESR, 0);
	assert_int_equal(apic_read(f, ESR), 0x60);
}

static void software_disable_masks_everything(void **state)
{
	struct fixture *f = *state;

	enable(f);
	apic_write(f, TIMER, 0x40);
	apic_write(f, SVR, 0xFF);
	assert_int_equal(apic_read(f, TIMER), MASKED | 0x40);
	apic_write(f, TIMER, 0x41);
	assert_int_equal(apic_read(f, TIMER), MASKED | 0x41);
	self_ipi(f, 0x40);
	assert_int_equal(take(f), -EAGAIN);
}

static void lint0_passes_or_masks_the_8259(void **state)
{
	struct fixture *f = *state;

	enable(f);
	pic_setup(f, 0);
	apic_write(f, LINT0, MASKED | 0x700);
	pic_set_irq(&f->p.pic, 3, true);
	assert_false(platform_interrupt_pending(&f->p, 0));
	apic_write(f, LINT0, 0x700);
	platform_cr8_write(&f->p, 0, 15); /* no matter for the 8259 */
	assert_int_equal(take(f), 0x33);
	outb(f, 0x20, 0x20);
	platform_cr8_write(&f->p, 0, 0);
	apic_write(f, LINT0, 0x0051); /* fixed: the pin is an edge */
	pic_set_irq(&f->p.pic, 4, true);
	assert_int_equal(take(f), 0x51);
	assert_false(platform_nmi_possible(&f->p, 0));
	apic_write(f, LINT0, 0x10400);
	assert_false(platform_nmi_possible(&f->p, 0));
	apic_write(f, LINT0, 0x0400); /* NMI */
	assert_true(platform_nmi_possible(&f->p, 0));
	pic_set_irq(&f->p.pic, 1, true);
	assert_false(platform_nmi_take(&f->p, 0)); /* INT was high already */
	assert_int_equal(pic_acknowledge(&f->p.pic), 0x31);
	outb(f, 0x20, 0x20);
	assert_true(platform_nmi_take(&f->p, 0));
}

/* The 8259 in automatic EOI mode has the next request as soon as one is
 * acknowledged; its INT falls in between, and LINT0 sees an edge for each. */
static void every_8259_request_is_an_edge_at_lint0(void **state)
{
	struct fixture *f = *state;

	enable(f);
	pic_setup(f, 0);
	outb(f, 0x20, 0x11);
	outb(f, 0x21, 0x30);
	outb(f, 0x21, 4);
	outb(f, 0x21, 3);
	outb(f, 0x21, 0);
	apic_write(f, LINT0, 0x0400);
	pic_set_irq(&f->p.pic, 3, true);
	pic_set_irq(&f->p.pic, 4, true);
	assert_true(platform_nmi_take(&f->p, 0));
	assert_int_equal(pic_acknowledge(&f->p.pic), 0x33);
	assert_true(platform_nmi_take(&f->p, 0));
	assert_int_equal(pic_acknowledge(&f->p.pic), 0x34);
	assert_false(platform_nmi_take(&f->p, 0));
}

static void illegal_vector_from_a_local_source(void **state)
{
	struct fixture *f = *state;

	enable(f);
	apic_write(f, TIMER, 0x0F);
	apic_write(f, INITIAL, 100);
	run_until(f, 100);
	assert_int_equal(take(f), 0xFE);
	apic_write(f, EOI, 0);
	assert_int_equal(take(f), -EAGAIN);
	assert_int_equal(apic_read(f, IRR), 0);
	apic_write(f, ESR, 0);
	assert_int_equal(apic_read(f, ESR), 0x40);
}

static void apic_base_transitions(void **state)
{
	static const uint32_t off = 0, on = APIC_BASE_EN, bad = APIC_BASE_EXTD,
			      x2 = APIC_BASE_EN | APIC_BASE_EXTD;
	static const struct { uint32_t from, to; bool ok; } row[] = {
		{ off, off, true }, { off, on, true },  { off, x2, false }, { off, bad, false },
		{ on, off, true },  { on, on, true },   { on, x2, true },   { on, bad, false },
		{ x2, off, true },  { x2, on, false },  { x2, x2, true },   { x2, bad, false },
	};
	struct fixture *f = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(row); i++) {
		assert_int_equal(wrmsr(f, MSR_IA32_APIC_BASE, BASE), 0);
		assert_int_equal(wrmsr(f, MSR_IA32_APIC_BASE, row[i].from == off ? BASE : BASE | on), 0);
		assert_int_equal(wrmsr(f, MSR_IA32_APIC_BASE, BASE | row[i].from), 0);
		assert_int_equal(wrmsr(f, MSR_IA32_APIC_BASE, BASE | row[i].to), row[i].ok ? 0 : -EINVAL);
		assert_int_equal(rdmsr(f, MSR_IA32_APIC_BASE), BASE | (row[i].ok ? row[i].to : row[i].from));
	}
	assert_int_equal(wrmsr(f, MSR_IA32_APIC_BASE, BASE | 1), -EINVAL);
	assert_int_equal(wrmsr(f, MSR_IA32_APIC_BASE, BASE | 1ull << 52), -EINVAL);
}

static void page_follows_apic_base(void **state)
{
	struct fixture *f = *state;
	uint64_t unclaimed = f->p.unclaimed;

	assert_int_equal(wrmsr(f, MSR_IA32_APIC_BASE, 0xFED00000 | APIC_BASE_BSP | APIC_BASE_EN), 0);
	assert_int_equal(mmio_read(f, 0xFED00000 + SVR), 0x10F);
	assert_int_equal(apic_read(f, SVR), 0xFFFFFFFF);
	assert_int_equal(f->p.unclaimed, unclaimed + 1);
	assert_int_equal(wrmsr(f, MSR_IA32_APIC_BASE, BASE), 0);
	assert_int_equal(apic_read(f, SVR), 0xFFFFFFFF);
	assert_int_equal(wrmsr(f, MSR_IA32_APIC_BASE, BASE | APIC_BASE_EN), 0);
	assert_int_equal(apic_read(f, SVR), 0xFF); /* lost its state */
	assert_int_equal(apic_read(f, LINT0), MASKED);
}

static void x2apic_registers(void **state)
{
	struct fixture *f = *state;

	enable(f);
	assert_int_equal(rdmsr_error(f, 0x802), -EINVAL);
	assert_int_equal(wrmsr(f, 0x80B, 0), -EINVAL);
	go_x2apic(f);
	assert_int_equal(apic_read(f, SVR), 0xFFFFFFFF); /* the page is gone */
	assert_int_equal(rdmsr(f, 0x802), 0);
	assert_int_equal(rdmsr(f, 0x803) & 0xFF, 0x14);
	assert_int_equal(rdmsr(f, 0x80D), 1);
	assert_int_equal(rdmsr(f, 0x80F), 0x1FF);
	assert_int_equal(wrmsr(f, 0x83F, 0x77), 0); /* SELF IPI */
	assert_int_equal(rdmsr(f, 0x823), 1u << 23);
	assert_int_equal(take(f), 0x77);
	assert_int_equal(rdmsr(f, 0x813), 1u << 23);
	assert_int_equal(wrmsr(f, 0x80B, 0), 0);
	assert_int_equal(rdmsr(f, 0x813), 0);
	assert_int_equal(wrmsr(f, 0x830, 0x0000000100000840ull), 0); /* logical, cluster 0, bit 0 */
	assert_int_equal(rdmsr(f, 0x830), 0x0000000100000840ull);
	assert_int_equal(take(f), 0x40);
	assert_int_equal(wrmsr(f, 0x80B, 0), 0);
	assert_int_equal(wrmsr(f, 0x830, 0x0001000100000840ull), 0); /* another cluster */
	assert_int_equal(take(f), -EAGAIN);
	assert_int_equal(wrmsr(f, 0x830, 0xFFFFFFFF00000041ull), 0);
	assert_int_equal(take(f), 0x41);
}

static void x2apic_faults(void **state)
{
	static const uint32_t read_only[] = { 0x802, 0x803, 0x80A, 0x80D, 0x810,
					    0x817, 0x818, 0x820, 0x827, 0x839 };
	static const uint32_t absent[] = { 0x800, 0x804, 0x809, 0x80C, 0x80E, 0x829,
					 0x82F, 0x831, 0x83A, 0x840, 0x8FF };
	static const struct { uint32_t msr; uint64_t val; } reserved[] = {
		{ 0x808, 0x100 }, { 0x80B, 1 }, { 0x80F, 0x400 }, { 0x80F, 1ull << 32 }, { 0x828, 1 },
		{ 0x830, 0x100000 }, { 0x832, 0x80000 }, { 0x832, 0x700 }, { 0x835, 0x800 },
		{ 0x837, 0x100 }, { 0x838, 1ull << 32 }, { 0x83E, 4 }, { 0x83F, 0x100 },
	};
	struct fixture *f = *state;

	go_x2apic(f);
	for (unsigned int i = 0; i < ARRAY_SIZE(read_only); i++) {
		rdmsr(f, read_only[i]);
		assert_int_equal(wrmsr(f, read_only[i], 0), -EINVAL);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(absent); i++) {
		assert_int_equal(rdmsr_error(f, absent[i]), -EINVAL);
		assert_int_equal(wrmsr(f, absent[i], 0), -EINVAL);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(reserved); i++)
		assert_int_equal(wrmsr(f, reserved[i].msr, reserved[i].val), -EINVAL);
	assert_int_equal(rdmsr_error(f, 0x80B), -EINVAL); /* write only */
	assert_int_equal(rdmsr_error(f, 0x83F), -EINVAL);
	assert_int_equal(rdmsr_error(f, 0x900), -EINVAL);
	assert_int_equal(wrmsr(f, 0x10, 0), -EINVAL);
}

static void odd_accesses_to_the_page(void **state)
{
	struct fixture *f = *state;
	uint64_t val;

	enable(f);
	platform_mmio_read(&f->p, 0, gpa(LAPIC_DEFAULT_BASE + SVR + 1), 1, &val);
	assert_int_equal(val, 0x01);
	platform_mmio_read(&f->p, 0, gpa(LAPIC_DEFAULT_BASE + SVR), 8, &val);
	assert_int_equal(val, 0x1FF);
	platform_mmio_read(&f->p, 0, gpa(LAPIC_DEFAULT_BASE + SVR + 4), 4, &val);
	assert_int_equal(val, 0);
	platform_mmio_write(&f->p, 0, gpa(LAPIC_DEFAULT_BASE + SVR), 1, 0);
	platform_mmio_write(&f->p, 0, gpa(LAPIC_DEFAULT_BASE + SVR + 2), 4, 0);
	assert_int_equal(apic_read(f, SVR), 0x1FF);
	platform_mmio_read(&f->p, 0, gpa(LAPIC_DEFAULT_BASE + SVR), 3, &val);
	assert_true(val == UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		device_test(starts_in_virtual_wire_mode),
		device_test(one_shot_timer),
		device_test(dividers),
		device_test(periodic_timer_does_not_drift),
		device_test(absurd_period_is_thinned_out),
		device_test(masked_timer_counts_in_silence),
		device_test(a_write_does_not_swallow_what_was_due),
		device_test(divider_change_keeps_the_count),
		device_test(tsc_deadline_timer),
		device_test(priorities_and_eoi),
		device_test(cr8_is_the_task_priority),
		device_test(ipi_destinations),
		device_test(init_and_startup_to_nobody_are_quiet),
		device_test(nmi_to_self),
		device_test(errors_gather_until_esr_is_written),
		device_test(software_disable_masks_everything),
		device_test(lint0_passes_or_masks_the_8259),
		device_test(every_8259_request_is_an_edge_at_lint0),
		device_test(illegal_vector_from_a_local_source),
		device_test(apic_base_transitions),
		device_test(page_follows_apic_base),
		device_test(x2apic_registers),
		device_test(x2apic_faults),
		device_test(odd_accesses_to_the_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
