/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Time conversion. Every device counts in its own unit, and the only clock is
 * the TSC without what the guest set it to. A device tick number is always computed from the absolute
 * TSC, never summed up, so nothing drifts: tick n begins at the smallest TSC
 * value for which ticks_scale() gives n, and that is ticks_scale_up(n).
 *
 * Products are 128 bits wide and divided by the one instruction that does so:
 * the freestanding image has no library to call for it.
 */
#ifndef DEVICES_TICKS_H
#define DEVICES_TICKS_H

#include <stdbool.h>
#include <stdint.h>

#define TICKS_NEVER UINT64_MAX

/* *@quotient and *@remainder of a * b / c. False: the quotient does not fit. */
static inline bool ticks_mul_div(uint64_t a, uint64_t b, uint64_t c, uint64_t *quotient, uint64_t *remainder)
{
	unsigned __int128 product = (unsigned __int128)a * b;
	uint64_t high = (uint64_t)(product >> 64), low = (uint64_t)product;

	if (high >= c)
		return false;
	asm("divq %[c]" : "=a"(*quotient), "=d"(*remainder) : "a"(low), "d"(high), [c] "r"(c) : "cc");
	return true;
}

/* @t ticks of @from_hz in whole ticks of @to_hz. TICKS_NEVER: too far away. */
static inline uint64_t ticks_scale(uint64_t t, uint64_t to_hz, uint64_t from_hz)
{
	uint64_t quotient, remainder;

	return ticks_mul_div(t, to_hz, from_hz, &quotient, &remainder) ? quotient : TICKS_NEVER;
}

/* The same, rounded up. */
static inline uint64_t ticks_scale_up(uint64_t t, uint64_t to_hz, uint64_t from_hz)
{
	uint64_t quotient, remainder;

	if (!ticks_mul_div(t, to_hz, from_hz, &quotient, &remainder))
		return TICKS_NEVER;
	return remainder && quotient != TICKS_NEVER ? quotient + 1 : quotient;
}

static inline uint64_t ticks_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/*
 * A guest may ask for a periodic interrupt at every tick of the clock. No
 * timer here raises more than this many interrupts a second; the others
 * coalesce. (Linux and the rest of the world ask for 1000 at most.)
 */
#define TICKS_MAX_RATE 20000u

#endif
