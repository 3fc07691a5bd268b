// SPDX-License-Identifier: GPL-2.0-only
/*
 * The TSC frequency comes from CPUID where it says so, else from the PIT: its
 * channel 2 counts CALIBRATE_MS down behind the speaker gate, which needs no
 * interrupt. The LAPIC timer is measured in the same interval.
 */
#include "kernel/clock.h"
#include "kernel/apic.h"

#define PIT_HZ 1193182u
#define PIT_CHANNEL2 0x42
#define PIT_COMMAND 0x43
#define PIT_CHANNEL2_MODE0 0xB0 /* channel 2, low then high byte, mode 0, binary */
#define PORT_B 0x61
#define PORT_B_GATE2 1u
#define PORT_B_SPEAKER 2u
#define PORT_B_OUT2 0x20u
#define CALIBRATE_MS 10

#define CMOS_INDEX 0x70
#define CMOS_DATA 0x71

static uint64_t tsc_hz, lapic_hz; /* lapic_hz: of the divided timer clock */
static uint64_t armed = UINT64_MAX;
static bool fired;

void clock_init(void)
{
	const uint16_t ticks = PIT_HZ * CALIBRATE_MS / 1000;
	uint64_t start, spent;
	uint32_t left;

	outb(PORT_B, (uint8_t)((inb(PORT_B) & ~PORT_B_SPEAKER) | PORT_B_GATE2));
	outb(PIT_COMMAND, PIT_CHANNEL2_MODE0);
	outb(PIT_CHANNEL2, (uint8_t)ticks);
	apic_timer_set(UINT32_MAX);
	start = rdtsc();
	outb(PIT_CHANNEL2, (uint8_t)(ticks >> 8)); /* starts the count */
	while (!(inb(PORT_B) & PORT_B_OUT2))
		;
	spent = rdtsc() - start;
	left = apic_timer_left();
	apic_timer_set(0);
	tsc_hz = spent * PIT_HZ / ticks;
	lapic_hz = (uint64_t)(UINT32_MAX - left) * PIT_HZ / ticks;
}

uint64_t clock_tsc_hz(void) { return tsc_hz; }

void timer_arm(uint64_t deadline)
{
	uint64_t now = rdtsc(), left;

	if (deadline == armed && deadline > now)
		return;
	armed = deadline;
	if (deadline == UINT64_MAX) {
		apic_timer_set(0);
		return;
	}
	left = deadline > now ? deadline - now : 0;
	if (left > tsc_hz)
		left = tsc_hz;
	apic_timer_set((uint32_t)(left * lapic_hz / tsc_hz) + 1);
}

void timer_interrupt(void)
{
	armed = UINT64_MAX;
	fired = true;
}

bool timer_fired(void)
{
	bool f = fired;

	fired = false;
	return f;
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
