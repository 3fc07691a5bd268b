/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A local APIC: xAPIC through its page, x2APIC through MSRs, and the timer in
 * all three modes (SDM vol. 3, "Advanced Programmable Interrupt Controller").
 * The timer counts at the TSC frequency before the divider. Starts as
 * firmware leaves it on the boot processor: on, LINT0 ExtINT, LINT1 NMI.
 *
 * INIT, SIPI and SMI are taken from the bus and change nothing. The APIC ID
 * is read-only. LINT0 in fixed mode is edge-triggered.
 */
#ifndef DEVICES_LAPIC_H
#define DEVICES_LAPIC_H

#include <stdbool.h>
#include <stdint.h>
#include "devices/apic_message.h"
#include "lib/compiler.h"

#define LAPIC_VERSION_NUMBER 0x14u

#define APIC_BASE_BSP (1u << 8)
#define APIC_BASE_EXTD (1u << 10)
#define APIC_BASE_EN (1u << 11)

#define MSR_IA32_APIC_BASE 0x1Bu
#define MSR_IA32_TSC_DEADLINE 0x6E0u
#define MSR_X2APIC_FIRST 0x800u
#define MSR_X2APIC_LAST 0x8FFu

enum lapic_lvt { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_COUNT };

/* What a local APIC asks of the world. */
struct lapic_bus {
	void (*send)(void *ctx, unsigned int from, const struct apic_message *m, enum apic_shorthand to);
	void (*eoi)(void *ctx, uint8_t vector);   /* of a level-triggered interrupt */
	void (*kick)(void *ctx, unsigned int cpu); /* something to take */
	void *ctx;
};

/* 256 bits, and which of the words are not zero. */
struct lapic_vectors {
	uint32_t word[8];
	uint8_t used;
};

struct lapic {
	uint64_t base; /* IA32_APIC_BASE */
	uint32_t id, tpr, ldr, dfr, svr, lvt[LVT_COUNT];
	uint64_t icr;
	uint32_t esr, errors; /* as latched; collected since */
	struct lapic_vectors irr, isr, tmr;
	bool nmi;             /* one is pending */
	bool lint0;           /* level of the pin */

	uint64_t tsc_hz;
	uint32_t initial;     /* initial count register */
	uint32_t divide;      /* divide configuration register */
	uint64_t period;      /* @initial in TSC ticks */
	uint64_t expiry;      /* TSC at which the timer is next done, TICKS_NEVER: stopped */
	uint64_t deadline;    /* the same if an interrupt comes of it */
	struct lapic_bus bus;
};

void lapic_init(struct lapic *l, uint32_t id, uint64_t tsc_hz, const struct lapic_bus *bus);

static inline bool lapic_hw_enabled(const struct lapic *l) { return l->base & APIC_BASE_EN; }
static inline bool lapic_x2apic(const struct lapic *l) { return l->base & APIC_BASE_EXTD; }

/* The page of registers; @offset 0..4095, @len 1, 2, 4 or 8. */
uint64_t lapic_mmio_read(struct lapic *l, uint32_t offset, unsigned int len, uint64_t now);
void lapic_mmio_write(struct lapic *l, uint32_t offset, unsigned int len, uint64_t val, uint64_t now);
/* The MSRs above. -EINVAL: #GP. */
must_check int lapic_msr_read(struct lapic *l, uint32_t msr, uint64_t now, uint64_t *val);
must_check int lapic_msr_write(struct lapic *l, uint32_t msr, uint64_t now, uint64_t val);

/* Is the message meant for this APIC? */
bool lapic_matches(const struct lapic *l, const struct apic_message *m);
/* Takes it. False: it was dropped. */
bool lapic_accept(struct lapic *l, const struct apic_message *m);

/* LINT0, where the 8259 pair is connected. */
void lapic_set_lint0(struct lapic *l, bool level);
/* Does LINT0 pass the 8259's interrupts on to the CPU (virtual wire)? */
bool lapic_passes_extint(const struct lapic *l);

/* Would LINT0 that rises be an NMI? */
bool lapic_lint0_is_nmi(const struct lapic *l);

/* The task and processor priorities; TPR is CR8 << 4. */
uint8_t lapic_ppr(const struct lapic *l);
void lapic_set_tpr(struct lapic *l, uint8_t val);

/* The vector to take now (above the processor priority), or -1. */
int lapic_pending(const struct lapic *l);
/* Moves @vector, as told by lapic_pending(), from IRR to ISR. */
void lapic_acknowledge(struct lapic *l, uint8_t vector);

/* Raises the timer interrupt if it is due. */
void lapic_run(struct lapic *l, uint64_t now);

/* All of @l but its wiring, which is NULL in @out. / And back: the wiring is
 * that of @l, where it is. */
void lapic_save(const struct lapic *l, struct lapic *out);
void lapic_restore(struct lapic *l, const struct lapic *saved);

#endif
