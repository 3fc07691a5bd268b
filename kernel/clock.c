// SPDX-License-Identifier: GPL-2.0-only
/*
 * The frequencies of the TSC and the LAPIC timer are measured against the PIT:
 * its channel 2 counts CALIBRATE_MS down behind the speaker gate, which needs
 * no interrupt. Where CPUID states the TSC's, that is exact and believed,
 * unless it is off by more than measuring can be: emulators state the
 * frequency of the model they imitate, not their own.
 */
#include "kernel/clock.h"
#include "kernel/apic.h"
#include "lib/log.h"

#define PIT_HZ 1193182u
#define PIT_CHANNEL2 0x42
#define PIT_COMMAND 0x43
#define PIT_CHANNEL2_MODE0 0xB0 /* channel 2, low then high byte, mode 0, binary */
#define PORT_B 0x61
#define PORT_B_GATE2 1u
#define PORT_B_SPEAKER 2u
#define PORT_B_OUT2 0x20u
#define CALIBRATE_MS 10
#define CALIBRATE_TRIES 3
#define CALIBRATE_GIVE_UP (1ull << 30) /* TSC ticks: far more than CALIBRATE_MS */
#define PIT_TICKS (PIT_HZ * CALIBRATE_MS / 1000)

#define LEAF_TSC 0x15
#define LEAF1_ECX_TSC_DEADLINE (1u << 24)
#define MSR_TSC_DEADLINE 0x6E0

#define CMOS_INDEX 0x70
#define CMOS_DATA 0x71

static uint64_t tsc_hz, lapic_hz; /* lapic_hz: of the divided timer clock */
static uint64_t armed = UINT64_MAX;
static bool by_deadline;

struct calibration { uint64_t tsc, lapic; }; /* ticks in the interval */

/* False: the PIT does not count. */
static bool measure(struct calibration *c)
{
	uint64_t start, spent;
	bool done;

	outb(PORT_B, (uint8_t)((inb(PORT_B) & ~PORT_B_SPEAKER) | PORT_B_GATE2));
	outb(PIT_COMMAND, PIT_CHANNEL2_MODE0);
	outb(PIT_CHANNEL2, (uint8_t)PIT_TICKS);
	apic_timer_set(UINT32_MAX);
	start = rdtsc();
	outb(PIT_CHANNEL2, (uint8_t)(PIT_TICKS >> 8)); /* starts the count */
	do { /* in this order, so that a pause anywhere makes it longer */
		done = inb(PORT_B) & PORT_B_OUT2;
		spent = rdtsc() - start;
	} while (!done && spent < CALIBRATE_GIVE_UP);
	*c = (struct calibration){ spent, UINT32_MAX - apic_timer_left() };
	apic_timer_set(0);
	return spent < CALIBRATE_GIVE_UP && c->lapic;
}

/* 0: the CPU does not say. */
static uint64_t tsc_hz_of_cpuid(void)
{
	struct cpuid_result r = cpuid_count(LEAF_TSC, 0);

	if (cpuid_count(0, 0).eax < LEAF_TSC || !r.eax || !r.ebx || !r.ecx)
		return 0;
	return (uint64_t)r.ecx * r.ebx / r.eax;
}

static bool close_to(uint64_t a, uint64_t b)
{
	uint64_t off = a > b ? a - b : b - a;

	return off < b / 50;
}

bool clock_init(void)
{
	struct calibration best = { UINT64_MAX, 0 }, c;
	uint64_t stated = tsc_hz_of_cpuid();

	/* What disturbs a measurement makes it longer. */
	for (int i = 0; i < CALIBRATE_TRIES && !(stated && close_to(tsc_hz, stated)); i++) {
		if (!measure(&c)) {
			log_error("the machine's PIT does not count: there is no clock");
			return false;
		}
		if (c.tsc < best.tsc)
			best = c;
		tsc_hz = best.tsc * PIT_HZ / PIT_TICKS;
	}
	lapic_hz = best.lapic * PIT_HZ / PIT_TICKS;
	if (stated && close_to(tsc_hz, stated))
		tsc_hz = stated;
	else if (stated)
		log_info("clock: CPUID says %lu kHz, which is not so", (unsigned long)(stated / 1000));
	by_deadline = cpuid_count(1, 0).ecx & LEAF1_ECX_TSC_DEADLINE;
	if (by_deadline)
		apic_timer_use_deadline();
	return true;
}

uint64_t clock_tsc_hz(void) { return tsc_hz; }

/* LAPIC count for @left TSC ticks, of which a second at most is looked at. */
static uint32_t timer_count(uint64_t left)
{
	if (left > tsc_hz)
		left = tsc_hz;
	return (uint32_t)(left * lapic_hz / tsc_hz) + 1;
}

void timer_arm(uint64_t deadline)
{
	uint64_t now = rdtsc();

	if (deadline == armed && deadline > now)
		return;
	armed = deadline;
	if (by_deadline) /* 0 stops the timer, as a count of 0 does */
		wrmsr(MSR_TSC_DEADLINE, deadline == UINT64_MAX ? 0 : deadline | !deadline);
	else
		apic_timer_set(deadline == UINT64_MAX ? 0 : timer_count(deadline > now ? deadline - now : 0));
}

void timer_interrupt(void)
{
	armed = UINT64_MAX;
}

static uint8_t cmos_read(uint8_t reg)
{
	outb(CMOS_INDEX, reg);
	return inb(CMOS_DATA);
}

static unsigned int from_bcd(unsigned int v) { return (v >> 4) * 10 + (v & 15); }

/* Days since 1970-01-01 of a date in the Gregorian calendar. */
static uint64_t days_since_epoch(unsigned int year, unsigned int month, unsigned int day)
{
	unsigned int y = month > 2 ? year : year - 1, m = (month + 9) % 12; /* years begin in March */

	return 365ull * y + y / 4 - y / 100 + y / 400 + (m * 306 + 5) / 10 + day - 1 - 719468;
}

uint64_t clock_unix_time(void)
{
	static const uint8_t regs[] = { 0x00, 0x02, 0x04, 0x07, 0x08, 0x09 }; /* s, min, h, day, month, year */
	unsigned int t[6], again[6];
	bool binary = cmos_read(0x0B) & 4;
	int same;

	do { /* twice the same: no update was under way */
		same = 1;
		for (int i = 0; i < 6; i++)
			t[i] = cmos_read(regs[i]);
		for (int i = 0; i < 6; i++) {
			again[i] = cmos_read(regs[i]);
			same &= again[i] == t[i];
		}
	} while (!same);
	for (int i = 0; i < 6 && !binary; i++)
		t[i] = from_bcd(t[i]);
	return days_since_epoch(2000 + t[5], t[4], t[3]) * 86400 + t[2] * 3600 + t[1] * 60 + t[0];
}
