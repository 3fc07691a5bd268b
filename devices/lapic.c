/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The local APIC. Registers are known by their x2APIC number, which is the
 * offset in the page divided by 16; both windows meet in lapic_read_reg() and
 * lapic_write_reg(). Invariants: bit i of vectors.used says word[i] != 0;
 * lapic->deadline follows expiry and the timer's mask bit.
 */
#include "devices/lapic.h"

#include "devices/ticks.h"
#include "lib/errno.h"

enum lapic_reg {
	REG_ID = 0x02, REG_VERSION = 0x03, REG_TPR = 0x08, REG_APR = 0x09, REG_PPR = 0x0A, REG_EOI = 0x0B,
	REG_RRD = 0x0C, REG_LDR = 0x0D, REG_DFR = 0x0E, REG_SVR = 0x0F, REG_ISR = 0x10, REG_TMR = 0x18,
	REG_IRR = 0x20, REG_ESR = 0x28, REG_ICR = 0x30, REG_ICR_HIGH = 0x31, REG_LVT = 0x32,
	REG_INITIAL = 0x38, REG_CURRENT = 0x39, REG_DIVIDE = 0x3E, REG_SELF_IPI = 0x3F,
};

/* Six LVT entries; EOI broadcast can be suppressed. */
#define LAPIC_VERSION (LAPIC_VERSION_NUMBER | (LVT_COUNT - 1) << 16 | 1u << 24)

#define SVR_ENABLED (1u << 8)
#define SVR_NO_EOI_BROADCAST (1u << 12)
#define SVR_WRITABLE 0x13FFu

#define LVT_DELIVERY(lvt) ((lvt) >> 8 & 7)
#define LVT_STATUS (1u << 12)
#define LVT_REMOTE_IRR (1u << 14)
#define LVT_MASKED (1u << 16)
#define LVT_TIMER_MODE(lvt) ((lvt) >> 17 & 3)
#define TIMER_PERIODIC 1
#define TIMER_TSC_DEADLINE 2

#define ICR_LOGICAL (1u << 11)
#define ICR_LEVEL (1u << 15)
#define ICR_SHORTHAND(icr) ((icr) >> 18 & 3)
#define ICR_WRITABLE 0x000CCFFFu /* all but the delivery status */
#define ICR_STATUS (1u << 12)

#define ESR_SEND_ILLEGAL (1u << 5)
#define ESR_RECEIVE_ILLEGAL (1u << 6)
#define ESR_ILLEGAL_REGISTER (1u << 7)

#define DIVIDE_WRITABLE 0x0Bu
#define FIRST_LEGAL_VECTOR 16

#define APIC_BASE_ADDRESS 0x000FFFFFFFFFF000ull
#define APIC_BASE_DEFAULT 0xFEE00000u

static const uint32_t lvt_writable[LVT_COUNT] = {
	[LVT_TIMER] = 0x000700FF,   [LVT_THERMAL] = 0x000107FF, [LVT_PERF] = 0x000107FF,
	[LVT_LINT0] = 0x0001A7FF, [LVT_LINT1] = 0x0001A7FF, [LVT_ERROR] = 0x000100FF,
};

/* ---- sets of vectors ---- */

static void vectors_set(struct lapic_vectors *s, uint8_t vector)
{
	s->word[vector / 32] |= 1u << vector % 32;
	s->used |= (uint8_t)(1u << vector / 32);
}

static void vectors_clear(struct lapic_vectors *s, uint8_t vector)
{
	s->word[vector / 32] &= ~(1u << vector % 32);
	if (!s->word[vector / 32])
		s->used &= (uint8_t) ~(1u << vector / 32);
}

static bool vectors_test(const struct lapic_vectors *s, uint8_t vector)
{
	return s->word[vector / 32] >> vector % 32 & 1;
}

/* The highest vector, or -1. */
static int vectors_highest(const struct lapic_vectors *s)
{
	unsigned int i;

	if (!s->used)
		return -1;
	i = 31u - (unsigned int)__builtin_clz(s->used);
	return (int)(i * 32 + 31 - (unsigned int)__builtin_clz(s->word[i]));
}

/* ---- interrupts ---- */

static bool lapic_sw_enabled(const struct lapic *l)
{
	return l->svr & SVR_ENABLED;
}

static void lapic_request(struct lapic *l, uint8_t vector, bool level)
{
	vectors_set(&l->irr, vector);
	if (level)
		vectors_set(&l->tmr, vector);
	else
		vectors_clear(&l->tmr, vector);
	l->bus.kick(l->bus.ctx, l->id);
}

/* Errors gather until the guest writes ESR; each raises the error LVT. One
 * with an illegal vector is an error itself, but not one more interrupt. */
static void lapic_error(struct lapic *l, uint32_t error)
{
	uint32_t lvt = l->lvt[LVT_ERROR];

	l->errors |= error;
	if (lvt & LVT_MASKED)
		return;
	if ((uint8_t)lvt < FIRST_LEGAL_VECTOR)
		l->errors |= ESR_RECEIVE_ILLEGAL;
	else
		lapic_request(l, (uint8_t)lvt, false);
}

static bool lapic_accept_vector(struct lapic *l, uint8_t vector, bool level)
{
	if (!lapic_sw_enabled(l))
		return false;
	if (vector < FIRST_LEGAL_VECTOR) {
		lapic_error(l, ESR_RECEIVE_ILLEGAL);
		return false;
	}
	lapic_request(l, vector, level);
	return true;
}

bool lapic_accept(struct lapic *l, const struct apic_message *m)
{
	if (!lapic_hw_enabled(l))
		return false;
	switch (m->delivery) {
	case APIC_FIXED:
	case APIC_LOWEST_PRIORITY:
		return lapic_accept_vector(l, m->vector, m->level);
	case APIC_NMI:
		l->nmi = true;
		l->bus.kick(l->bus.ctx, l->id);
		return true;
	default:
		return false;
	}
}

/* A local source (not the timer's mode bits) asks for its interrupt. */
static void lapic_raise_lvt(struct lapic *l, enum lapic_lvt which)
{
	uint32_t lvt = l->lvt[which];
	struct apic_message m = { .vector = (uint8_t)lvt, .delivery = (enum apic_delivery)LVT_DELIVERY(lvt) };

	if (!(lvt & LVT_MASKED))
		(void)lapic_accept(l, &m);
}

/* Flat or cluster model (xAPIC), or the fixed clusters of x2APIC. */
static bool lapic_matches_logical(const struct lapic *l, uint32_t destination)
{
	uint32_t ldr = l->ldr >> 24;

	if (lapic_x2apic(l))
		return l->ldr >> 16 == destination >> 16 && (l->ldr & destination & 0xFFFF);
	if (destination == 0xFF)
		return true;
	if (l->dfr >> 28 == 0xF)
		return ldr & destination & 0xFF;
	return ldr >> 4 == (destination >> 4 & 0xF) && (ldr & destination & 0xF);
}

bool lapic_matches(const struct lapic *l, const struct apic_message *m)
{
	if (!lapic_hw_enabled(l))
		return false;
	if (m->destination == APIC_BROADCAST)
		return true;
	if (m->logical)
		return lapic_matches_logical(l, m->destination);
	return m->destination == l->id;
}

bool lapic_passes_extint(const struct lapic *l)
{
	uint32_t lvt = l->lvt[LVT_LINT0];

	if (!lapic_hw_enabled(l))
		return true;
	return !(lvt & LVT_MASKED) && LVT_DELIVERY(lvt) == APIC_EXTINT;
}

bool lapic_lint0_is_nmi(const struct lapic *l)
{
	uint32_t lvt = l->lvt[LVT_LINT0];

	return lapic_hw_enabled(l) && !(lvt & LVT_MASKED) && LVT_DELIVERY(lvt) == APIC_NMI;
}

void lapic_set_lint0(struct lapic *l, bool level)
{
	bool rises = level && !l->lint0;

	l->lint0 = level;
	if (rises && lapic_passes_extint(l))
		l->bus.kick(l->bus.ctx, l->id);
	else if (rises)
		lapic_raise_lvt(l, LVT_LINT0);
}

uint8_t lapic_ppr(const struct lapic *l)
{
	int highest = vectors_highest(&l->isr);
	uint8_t served = highest < 0 ? 0 : (uint8_t)highest;

	return l->tpr >> 4 >= served >> 4 ? (uint8_t)l->tpr : served & 0xF0;
}

void lapic_set_tpr(struct lapic *l, uint8_t val)
{
	l->tpr = val;
}

int lapic_pending(const struct lapic *l)
{
	int vector = vectors_highest(&l->irr);

	if (vector < 0 || !lapic_hw_enabled(l) || vector >> 4 <= lapic_ppr(l) >> 4)
		return -1;
	return vector;
}

void lapic_acknowledge(struct lapic *l, uint8_t vector)
{
	vectors_clear(&l->irr, vector);
	vectors_set(&l->isr, vector);
}

static void lapic_eoi(struct lapic *l)
{
	int vector = vectors_highest(&l->isr);

	if (vector < 0)
		return;
	vectors_clear(&l->isr, (uint8_t)vector);
	if (vectors_test(&l->tmr, (uint8_t)vector) && !(l->svr & SVR_NO_EOI_BROADCAST))
		l->bus.eoi(l->bus.ctx, (uint8_t)vector);
}

/* ---- timer ---- */

/* The divider as a shift: 0..7 (the encoding starts at 2, and 7 means 1). */
static unsigned int lapic_timer_shift(const struct lapic *l)
{
	unsigned int code = (l->divide & 3) | (l->divide >> 1 & 4);

	return (code + 1) & 7;
}

static bool lapic_timer_mode_is(const struct lapic *l, unsigned int mode)
{
	return LVT_TIMER_MODE(l->lvt[LVT_TIMER]) == mode;
}

static void lapic_set_expiry(struct lapic *l, uint64_t expiry)
{
	l->expiry = expiry;
	l->deadline = l->lvt[LVT_TIMER] & LVT_MASKED ? TICKS_NEVER : expiry;
}

/* The period between interrupts: whole periods, at most TICKS_MAX_RATE. */
static uint64_t lapic_timer_step(const struct lapic *l)
{
	uint64_t least = l->tsc_hz / TICKS_MAX_RATE;

	if (l->period >= least)
		return l->period;
	return (least + l->period - 1) / l->period * l->period;
}

/* Late by several periods is one interrupt; the phase is kept. */
void lapic_run(struct lapic *l, uint64_t now)
{
	uint64_t step, next = TICKS_NEVER;

	if (l->expiry == TICKS_NEVER || now < l->expiry)
		return;
	if (lapic_timer_mode_is(l, TIMER_PERIODIC) && l->period) {
		step = lapic_timer_step(l);
		next = l->expiry + ((now - l->expiry) / step + 1) * step;
	}
	lapic_set_expiry(l, next);
	lapic_raise_lvt(l, LVT_TIMER);
}

static uint32_t lapic_timer_current(const struct lapic *l, uint64_t now)
{
	unsigned int shift = lapic_timer_shift(l);
	uint64_t left;

	if (l->expiry == TICKS_NEVER || now >= l->expiry || !l->period ||
	    lapic_timer_mode_is(l, TIMER_TSC_DEADLINE))
		return 0;
	left = (l->expiry - now - 1) % l->period;
	return (uint32_t)(left >> shift) + 1;
}

/* Starts to count down from @count (in divided ticks). */
static void lapic_timer_start(struct lapic *l, uint32_t count, uint64_t now)
{
	unsigned int shift = lapic_timer_shift(l);

	l->period = (uint64_t)l->initial << shift;
	lapic_set_expiry(l, count ? now + ((uint64_t)count << shift) : TICKS_NEVER);
}

static void lapic_write_initial(struct lapic *l, uint32_t val, uint64_t now)
{
	if (lapic_timer_mode_is(l, TIMER_TSC_DEADLINE))
		return;
	l->initial = val;
	lapic_timer_start(l, val, now);
}

/* A running count goes on from where it is, at the new speed. */
static void lapic_write_divide(struct lapic *l, uint32_t val, uint64_t now)
{
	uint32_t current = lapic_timer_current(l, now);

	l->divide = val & DIVIDE_WRITABLE;
	if (!lapic_timer_mode_is(l, TIMER_TSC_DEADLINE))
		lapic_timer_start(l, current, now);
}

/* Going into or out of TSC-deadline mode stops the timer. */
static void lapic_timer_mode_changed(struct lapic *l, uint32_t before)
{
	bool was = LVT_TIMER_MODE(before) == TIMER_TSC_DEADLINE;

	if (was != lapic_timer_mode_is(l, TIMER_TSC_DEADLINE)) {
		l->initial = 0;
		l->period = 0;
		l->expiry = TICKS_NEVER;
	}
	lapic_set_expiry(l, l->expiry);
}

static void lapic_write_deadline(struct lapic *l, uint64_t val, uint64_t now)
{
	if (!lapic_timer_mode_is(l, TIMER_TSC_DEADLINE))
		return;
	lapic_set_expiry(l, val ? val : TICKS_NEVER);
	lapic_run(l, now);
}

static uint64_t lapic_read_deadline(const struct lapic *l)
{
	return lapic_timer_mode_is(l, TIMER_TSC_DEADLINE) && l->expiry != TICKS_NEVER ? l->expiry : 0;
}

/* ---- registers ---- */

static void lapic_mask_all(struct lapic *l)
{
	for (unsigned int i = 0; i < LVT_COUNT; i++)
		l->lvt[i] |= LVT_MASKED;
	lapic_set_expiry(l, l->expiry);
}

static void lapic_write_svr(struct lapic *l, uint32_t val)
{
	l->svr = val & SVR_WRITABLE;
	if (!lapic_sw_enabled(l))
		lapic_mask_all(l);
}

static void lapic_write_lvt(struct lapic *l, enum lapic_lvt which, uint32_t val)
{
	uint32_t before = l->lvt[which];

	l->lvt[which] = val & lvt_writable[which];
	if (!lapic_sw_enabled(l))
		l->lvt[which] |= LVT_MASKED;
	if (which == LVT_TIMER)
		lapic_timer_mode_changed(l, before);
}

/* Writing ESR moves what was collected to where it can be read. */
static void lapic_write_esr(struct lapic *l)
{
	l->esr = l->errors;
	l->errors = 0;
}

static void lapic_send(struct lapic *l)
{
	uint32_t icr = (uint32_t)l->icr, destination = (uint32_t)(l->icr >> 32);
	struct apic_message m = {
		.logical = icr & ICR_LOGICAL,
		.vector = (uint8_t)icr,
		.delivery = (enum apic_delivery)(icr >> 8 & 7),
	};

	if (!lapic_x2apic(l)) {
		destination >>= 24;
		if (!m.logical && destination == 0xFF)
			destination = APIC_BROADCAST;
	}
	m.destination = destination;
	if (m.delivery <= APIC_LOWEST_PRIORITY && m.vector < FIRST_LEGAL_VECTOR) {
		lapic_error(l, ESR_SEND_ILLEGAL);
		return;
	}
	l->bus.send(l->bus.ctx, l->id, &m, (enum apic_shorthand)ICR_SHORTHAND(icr));
}

static uint32_t lapic_read_lvt(const struct lapic *l, unsigned int reg)
{
	return l->lvt[reg - REG_LVT];
}

/* A 32-bit register; -EINVAL: there is none of this number to be read. */
static int lapic_read_reg(struct lapic *l, unsigned int reg, uint64_t now, uint32_t *val)
{
	*val = 0;
	switch (reg) {
	case REG_ID:
		*val = lapic_x2apic(l) ? l->id : l->id << 24;
		return 0;
	case REG_VERSION:
		*val = LAPIC_VERSION;
		return 0;
	case REG_TPR:
		*val = l->tpr;
		return 0;
	case REG_PPR:
		*val = lapic_ppr(l);
		return 0;
	case REG_LDR:
		*val = l->ldr;
		return 0;
	case REG_SVR:
		*val = l->svr;
		return 0;
	case REG_ISR ... REG_ISR + 7:
		*val = l->isr.word[reg - REG_ISR];
		return 0;
	case REG_TMR ... REG_TMR + 7:
		*val = l->tmr.word[reg - REG_TMR];
		return 0;
	case REG_IRR ... REG_IRR + 7:
		*val = l->irr.word[reg - REG_IRR];
		return 0;
	case REG_ESR:
		*val = l->esr;
		return 0;
	case REG_ICR:
		*val = (uint32_t)l->icr;
		return 0;
	case REG_LVT ... REG_LVT + LVT_COUNT - 1:
		*val = lapic_read_lvt(l, reg);
		return 0;
	case REG_INITIAL:
		*val = l->initial;
		return 0;
	case REG_CURRENT:
		*val = lapic_timer_current(l, now);
		return 0;
	case REG_DIVIDE:
		*val = l->divide;
		return 0;
	}
	return -EINVAL;
}

/* Registers that are written alike in both modes. -EINVAL: none of these. */
static int lapic_write_reg(struct lapic *l, unsigned int reg, uint32_t val, uint64_t now)
{
	switch (reg) {
	case REG_TPR:
		l->tpr = val & 0xFF;
		return 0;
	case REG_EOI:
		lapic_eoi(l);
		return 0;
	case REG_SVR:
		lapic_write_svr(l, val);
		return 0;
	case REG_ESR:
		lapic_write_esr(l);
		return 0;
	case REG_LVT ... REG_LVT + LVT_COUNT - 1:
		lapic_write_lvt(l, (enum lapic_lvt)(reg - REG_LVT), val);
		return 0;
	case REG_INITIAL:
		lapic_write_initial(l, val, now);
		return 0;
	case REG_DIVIDE:
		lapic_write_divide(l, val, now);
		return 0;
	}
	return -EINVAL;
}

/* ---- xAPIC ---- */

static bool xapic_read_only(unsigned int reg)
{
	return reg == REG_ID || reg == REG_VERSION || reg == REG_APR || reg == REG_PPR || reg == REG_RRD ||
	       (reg >= REG_ISR && reg < REG_ESR) || reg == REG_CURRENT;
}

static uint32_t xapic_read(struct lapic *l, unsigned int reg, uint64_t now)
{
	uint32_t val;

	switch (reg) {
	case REG_DFR:
		return l->dfr;
	case REG_ICR_HIGH:
		return (uint32_t)(l->icr >> 32);
	case REG_EOI: /* write-only and reserved-for-reading registers */
	case REG_APR:
	case REG_RRD:
		return 0;
	}
	if (lapic_read_reg(l, reg, now, &val))
		lapic_error(l, ESR_ILLEGAL_REGISTER);
	return val;
}

static void xapic_write(struct lapic *l, unsigned int reg, uint32_t val, uint64_t now)
{
	switch (reg) {
	case REG_LDR:
		l->ldr = val & 0xFF000000u;
		return;
	case REG_DFR:
		l->dfr = val | 0x0FFFFFFFu;
		return;
	case REG_ICR_HIGH:
		l->icr = (l->icr & UINT32_MAX) | (uint64_t)(val & 0xFF000000u) << 32;
		return;
	case REG_ICR:
		l->icr = (l->icr & ~(uint64_t)UINT32_MAX) | (val & ICR_WRITABLE);
		lapic_send(l);
		return;
	}
	if (!xapic_read_only(reg) && lapic_write_reg(l, reg, val, now))
		lapic_error(l, ESR_ILLEGAL_REGISTER);
}

/* Registers are the first 4 of each 16 bytes; the rest reads as zero. */
uint64_t lapic_mmio_read(struct lapic *l, uint32_t offset, unsigned int len, uint64_t now)
{
	unsigned int byte = offset & 15;

	lapic_run(l, now);
	if (byte >= 4)
		return 0;
	return (uint64_t)xapic_read(l, offset >> 4 & 0xFF, now) >> byte * 8;
}

/* Only whole, aligned registers are written; anything else is undefined by
 * the SDM and dropped here. */
void lapic_mmio_write(struct lapic *l, uint32_t offset, unsigned int len, uint64_t val, uint64_t now)
{
	lapic_run(l, now);
	if ((offset & 15) == 0 && len >= 4)
		xapic_write(l, offset >> 4 & 0xFF, (uint32_t)val, now);
}

/* ---- x2APIC ---- */

/* Bits that may be set in a written register; the read-only ones among them
 * are ignored, the others are reserved: #GP. */
static uint32_t x2apic_allowed(unsigned int reg)
{
	switch (reg) {
	case REG_TPR:
	case REG_SELF_IPI:
		return 0xFF;
	case REG_SVR:
		return SVR_WRITABLE;
	case REG_LVT ... REG_LVT + LVT_COUNT - 1:
		return lvt_writable[reg - REG_LVT] | LVT_STATUS |
		       (reg == REG_LVT + LVT_LINT0 || reg == REG_LVT + LVT_LINT1 ? LVT_REMOTE_IRR : 0);
	case REG_INITIAL:
		return UINT32_MAX;
	case REG_DIVIDE:
		return DIVIDE_WRITABLE;
	}
	return 0; /* EOI and ESR take only zero */
}

static int x2apic_write_icr(struct lapic *l, uint64_t val)
{
	if ((uint32_t)val & ~(ICR_WRITABLE | ICR_STATUS))
		return -EINVAL;
	l->icr = val & ~(uint64_t)ICR_STATUS;
	lapic_send(l);
	return 0;
}

static int x2apic_self_ipi(struct lapic *l, uint8_t vector)
{
	l->icr = vector;
	if (vector < FIRST_LEGAL_VECTOR)
		lapic_error(l, ESR_SEND_ILLEGAL);
	else
		(void)lapic_accept_vector(l, vector, false);
	return 0;
}

static int x2apic_write(struct lapic *l, unsigned int reg, uint64_t val, uint64_t now)
{
	if (reg == REG_ICR)
		return x2apic_write_icr(l, val);
	if (val & ~(uint64_t)x2apic_allowed(reg))
		return -EINVAL;
	if (reg == REG_SELF_IPI)
		return x2apic_self_ipi(l, (uint8_t)val);
	return lapic_write_reg(l, reg, (uint32_t)val, now);
}

static int x2apic_read(struct lapic *l, unsigned int reg, uint64_t now, uint64_t *val)
{
	uint32_t low;
	int err;

	if (reg == REG_ICR) {
		*val = l->icr;
		return 0;
	}
	err = lapic_read_reg(l, reg, now, &low);
	*val = low;
	return err;
}

/* ---- IA32_APIC_BASE ---- */

static void lapic_reset(struct lapic *l)
{
	l->tpr = l->ldr = 0;
	l->dfr = UINT32_MAX;
	l->svr = 0xFF;
	l->icr = 0;
	l->esr = l->errors = 0;
	l->irr = l->isr = l->tmr = (struct lapic_vectors){ 0 };
	l->initial = l->divide = 0;
	l->period = 0;
	l->expiry = TICKS_NEVER;
	for (unsigned int i = 0; i < LVT_COUNT; i++)
		l->lvt[i] = 0;
	lapic_mask_all(l);
}

/* SDM vol. 3, "x2APIC State Transitions": EXTD without EN is invalid, EXTD
 * is set from xAPIC mode only and leaves only by disabling. */
static bool apic_base_transition_ok(uint64_t from, uint64_t to)
{
	bool en = to & APIC_BASE_EN, extd = to & APIC_BASE_EXTD;

	if (to & ~(APIC_BASE_ADDRESS | APIC_BASE_EN | APIC_BASE_EXTD | APIC_BASE_BSP))
		return false;
	if (extd && (!en || !(from & APIC_BASE_EN)))
		return false;
	return extd || !en || !(from & APIC_BASE_EXTD);
}

static int lapic_write_base(struct lapic *l, uint64_t val)
{
	uint64_t changed = l->base ^ val;

	if (!apic_base_transition_ok(l->base, val))
		return -EINVAL;
	l->base = val;
	if ((changed & APIC_BASE_EN) && !(val & APIC_BASE_EN))
		lapic_reset(l);
	if ((changed & APIC_BASE_EXTD) && (val & APIC_BASE_EXTD)) {
		l->ldr = (l->id >> 4) << 16 | 1u << (l->id & 15);
		l->icr &= UINT32_MAX;
	}
	l->bus.kick(l->bus.ctx, l->id); /* the 8259's way to the CPU may have opened */
	return 0;
}

int lapic_msr_read(struct lapic *l, uint32_t msr, uint64_t now, uint64_t *val)
{
	*val = 0;
	lapic_run(l, now);
	if (msr == MSR_IA32_APIC_BASE) {
		*val = l->base;
		return 0;
	}
	if (msr == MSR_IA32_TSC_DEADLINE) {
		*val = lapic_read_deadline(l);
		return 0;
	}
	if (msr < MSR_X2APIC_FIRST || msr > MSR_X2APIC_LAST || !lapic_x2apic(l))
		return -EINVAL;
	return x2apic_read(l, msr - MSR_X2APIC_FIRST, now, val);
}

int lapic_msr_write(struct lapic *l, uint32_t msr, uint64_t now, uint64_t val)
{
	lapic_run(l, now);
	if (msr == MSR_IA32_APIC_BASE)
		return lapic_write_base(l, val);
	if (msr == MSR_IA32_TSC_DEADLINE) {
		lapic_write_deadline(l, val, now);
		return 0;
	}
	if (msr < MSR_X2APIC_FIRST || msr > MSR_X2APIC_LAST || !lapic_x2apic(l))
		return -EINVAL;
	return x2apic_write(l, msr - MSR_X2APIC_FIRST, val, now);
}

/* After reset firmware turned it on and opened the virtual wire of the MP
 * specification: spurious vector 0x0F, LINT0 ExtINT, LINT1 NMI. */
void lapic_init(struct lapic *l, uint32_t id, uint64_t tsc_hz, const struct lapic_bus *bus)
{
	*l = (struct lapic){ .id = id, .tsc_hz = tsc_hz, .bus = *bus };
	l->base = APIC_BASE_DEFAULT | APIC_BASE_EN | (id == 0 ? APIC_BASE_BSP : 0);
	lapic_reset(l);
	if (id != 0)
		return;
	l->svr = SVR_ENABLED | 0x0F;
	l->lvt[LVT_LINT0] = APIC_EXTINT << 8;
	l->lvt[LVT_LINT1] = APIC_NMI << 8;
}

void lapic_save(const struct lapic *l, struct lapic *out)
{
	*out = *l;
	out->bus = (struct lapic_bus){ 0 };
}

void lapic_restore(struct lapic *l, const struct lapic *saved)
{
	struct lapic wiring = *l;

	*l = *saved;
	l->bus = wiring.bus;
}
