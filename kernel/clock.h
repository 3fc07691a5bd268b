/* SPDX-License-Identifier: GPL-2.0-only */
/* Time: the TSC is the only clock, the LAPIC timer the only alarm. */
#ifndef KERNEL_CLOCK_H
#define KERNEL_CLOCK_H

#include "lib/compiler.h"
#include "lib/cpu_ops.h"
#include "lib/types.h"

/* Measures the TSC and the LAPIC timer against the PIT. False: there is no
 * PIT; logged. */
must_check bool clock_init(void);

uint64_t clock_tsc_hz(void);
static inline uint64_t clock_now(void) { return rdtsc(); }

/* An interrupt at host TSC @deadline, but a second from now at the latest, and
 * at once if it is past. UINT64_MAX: none. */
void timer_arm(uint64_t deadline);

/* The timer fired. */
void timer_interrupt(void);

/* Unix time of the machine's clock chip. */
uint64_t clock_unix_time(void);

#endif
