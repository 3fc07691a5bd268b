/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The MC146818 clock with 128 bytes of CMOS memory, IRQ 8. Time is the Unix
 * time at TSC 0 plus what the TSC counted, plus how far the guest has set it.
 * Update, alarm and periodic events that the caller was late for coalesce.
 * The divider is not modelled: the clock keeps its phase when it is set.
 */
#ifndef DEVICES_RTC_H
#define DEVICES_RTC_H

#include <stdbool.h>
#include <stdint.h>
#include "devices/irq_line.h"

#define RTC_CMOS_SIZE 128

struct rtc {
	uint8_t cmos[RTC_CMOS_SIZE]; /* 0..9 and the century only count while SET is on */
	uint8_t index;               /* as written to port 0x70, bit 7: NMI off */
	uint64_t tsc_hz;
	int64_t offset;    /* Unix time = offset + seconds of TSC */
	uint64_t seen;     /* 32768 Hz tick up to which events were raised */
	uint64_t deadline; /* TSC of the next enabled event */
	struct irq_line irq;
};

/* @low_memory below 4 GiB and @high_memory above it, in bytes, go into the
 * CMOS as PC firmware reports them. */
void rtc_init(struct rtc *r, uint64_t tsc_hz, uint64_t epoch, uint64_t low_memory, uint64_t high_memory,
	      struct irq_line irq);
/* @reg 0: port 0x70, 1: port 0x71 */
uint8_t rtc_read(struct rtc *r, unsigned int reg, uint64_t now);
void rtc_write(struct rtc *r, unsigned int reg, uint8_t val, uint64_t now);
void rtc_run(struct rtc *r, uint64_t now);

/* All of @r but its wiring, which is NULL in @out. / And back: the wiring is
 * that of @r, where it is. */
void rtc_save(const struct rtc *r, struct rtc *out);
void rtc_restore(struct rtc *r, const struct rtc *saved);

#endif
