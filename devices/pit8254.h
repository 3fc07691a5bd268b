/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The 8254 of a PC: channel 0 is IRQ 0, channel 1 nothing, channel 2 the
 * speaker, whose gate and output show at port 0x61. Counters are computed
 * from the TSC when somebody looks; only channel 0 ever has a deadline.
 *
 * Starts as firmware leaves it: channel 0 runs freely in mode 2 with the
 * longest period, the others wait for their first mode.
 *
 * A count written while a channel counts takes effect at once, in all modes.
 * If the caller is late, several periods of channel 0 make one interrupt.
 */
#ifndef DEVICES_PIT8254_H
#define DEVICES_PIT8254_H

#include <stdbool.h>
#include <stdint.h>
#include "devices/irq_line.h"

#define PIT_HZ 1193182u
#define PIT_CHANNELS 3

struct pit_channel {
	uint8_t mode;      /* 0..5 */
	uint8_t access;    /* 1 low byte, 2 high byte, 3 both */
	bool bcd;
	bool gate;
	bool loaded;       /* a count was written since the mode was set */
	bool running;      /* counting; else @elapsed is frozen */
	bool write_high;   /* the next byte written is the high one */
	bool read_high;    /* the next byte read is the high one */
	uint8_t write_low; /* the low byte, kept until the high one comes */
	uint32_t count;    /* initial count in clocks: 1..65536, or what BCD makes */
	uint64_t start;    /* PIT clock at which @elapsed was 0 */
	uint64_t elapsed;  /* clocks counted before it was stopped */
	bool status_latched, count_latched;
	uint8_t status;
	uint16_t latch;
};

struct pit8254 {
	struct pit_channel channel[PIT_CHANNELS];
	uint64_t tsc_hz;
	uint64_t edges;    /* PIT clock up to which channel 0's edges were raised */
	uint64_t deadline; /* TSC of the next one, or TICKS_NEVER */
	uint8_t port61;    /* bits 3:0 as written */
	struct irq_line irq;
};

void pit_init(struct pit8254 *pit, uint64_t tsc_hz, struct irq_line irq);
/* @reg 0..3 as at ports 0x40..0x43 */
uint8_t pit_read(struct pit8254 *pit, unsigned int reg, uint64_t now);
void pit_write(struct pit8254 *pit, unsigned int reg, uint8_t val, uint64_t now);
/* Port 0x61: gate, speaker, refresh toggle, output of channel 2. */
uint8_t pit_port61_read(struct pit8254 *pit, uint64_t now);
void pit_port61_write(struct pit8254 *pit, uint8_t val, uint64_t now);
/* Raises the edges of channel 0 that are due and sets the next deadline. */
void pit_run(struct pit8254 *pit, uint64_t now);

/* All of @pit but its wiring, which is NULL in @out. / And back: the wiring is
 * that of @pit, where it is. */
void pit_save(const struct pit8254 *pit, struct pit8254 *out);
void pit_restore(struct pit8254 *pit, const struct pit8254 *saved);

#endif
