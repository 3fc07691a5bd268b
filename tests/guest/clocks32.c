// SPDX-License-Identifier: GPL-2.0-only
/*
 * A kernel that measures its clocks against each other: every way to poll the
 * 8254 and the real-time clock with interrupts off, the timer as firmware
 * left it, and a TSC that is set. All of it is true of any PC.
 */
#include "tests/guest/rt/rt32.h"

/* @a * @b / @c, which must fit. */
static uint32_t mul_div(uint32_t a, uint32_t b, uint32_t c)
{
	uint32_t q, r;

	asm("mull %3; divl %4" : "=&a"(q), "=&d"(r) : "0"(a), "rm"(b), "rm"(c) : "cc");
	return q;
}

static uint32_t tsc(void) { return (uint32_t)rdtsc(); }

#define PIT_KHZ 1193 /* and 0.182 */

/* kHz of the TSC if @gone ticks of it took @clocks of the 8254. */
static uint32_t khz_by_pit(uint32_t gone, uint32_t clocks) { return mul_div(gone, PIT_KHZ, clocks); }

static uint8_t cmos(uint8_t index)
{
	outb(0x70, index);
	return inb(0x71);
}

/* A second of the RTC, from one end of an update to the next. */
static uint32_t khz_by_uip(void)
{
	uint32_t start;

	outb(0x70, 0x0A);
	if (!wait_for(0x71, 0x80, 0x80) || !wait_for(0x71, 0x80, 0))
		return 0;
	start = tsc();
	if (!wait_for(0x71, 0x80, 0x80) || !wait_for(0x71, 0x80, 0))
		return 0;
	return (tsc() - start) / 1000;
}

/* What all others are held to: what CPUID says, or the RTC. */
static uint32_t reference_khz(void)
{
	static uint32_t khz;
	uint32_t r[4];

	if (khz)
		return khz;
	cpuid(0, 0, r);
	if (r[0] >= 0x15)
		cpuid(0x15, 0, r);
	else
		r[0] = 0;
	khz = r[0] && r[1] && r[2] ? mul_div(r[2] / 1000, r[1], r[0]) : khz_by_uip();
	print("  the TSC runs at %u kHz by %s\n", (unsigned long)khz, r[0] && r[1] && r[2] ? "CPUID" : "the RTC");
	return khz;
}

/* Within 2 %. */
static void check_khz(const char *how, uint32_t khz)
{
	uint32_t want = reference_khz(), off = khz > want ? khz - want : want - khz;

	if (off < want / 50)
		return;
	check_failed(__FILE__, __LINE__, how);
	print("  %u kHz, want %u\n", (unsigned long)khz, (unsigned long)want);
}

static void pit_program(uint8_t channel, uint8_t mode, uint16_t count)
{
	outb(0x43, (uint8_t)(channel << 6 | 0x30 | mode << 1));
	outb((uint16_t)(0x40 + channel), (uint8_t)count);
	outb((uint16_t)(0x40 + channel), (uint8_t)(count >> 8));
}

static uint16_t pit_latched(uint8_t channel, uint8_t latch_command)
{
	uint8_t low;

	outb(0x43, latch_command);
	low = inb((uint16_t)(0x40 + channel));
	return (uint16_t)(low | inb((uint16_t)(0x40 + channel)) << 8);
}

/* Ahead of all others: nobody has touched the timer yet. */
static void timer_as_firmware_left_it(void)
{
	uint16_t first = pit_latched(0, 0x00), now;
	uint32_t changes = 0;

	check_equal(inb(0x21) & 0x05, 0); /* timer and second 8259 are open */
	for (uint32_t i = 0; i < 1000; i++) {
		now = pit_latched(0, 0x00);
		changes += now != first;
		first = now;
	}
	check(changes > 100);
}

static uint32_t khz_by_out2(uint16_t count)
{
	uint32_t start;

	outb(0x61, (uint8_t)((inb(0x61) & ~2u) | 1));
	pit_program(2, 0, count);
	start = tsc();
	return wait_for(0x61, 0x20, 0x20) ? khz_by_pit(tsc() - start, count) : 0;
}

/* Counts down @channel, which was programmed with 0xFFFF, by @clocks. */
static uint32_t khz_by_count(uint8_t channel, uint8_t latch_command, uint16_t clocks)
{
	uint16_t first = pit_latched(channel, latch_command), gone = 0;
	uint32_t start = tsc();

	for (uint32_t i = 0; i < POLLS_MOST && gone < clocks; i++)
		gone = (uint16_t)(first - pit_latched(channel, latch_command));
	return gone < clocks ? 0 : khz_by_pit(tsc() - start, gone);
}

static void pit_polling(void)
{
	check_khz("OUT of channel 2 at port 61", khz_by_out2(59659));
	pit_program(2, 0, 0xFFFF);
	check_khz("count of channel 2", khz_by_count(2, 0x80, 40000));
	pit_program(0, 2, 0xFFFF);
	check_khz("count of channel 0", khz_by_count(0, 0x00, 40000));
	pit_program(0, 2, 0xFFFF);
	check_khz("count of channel 0, read-back command", khz_by_count(0, 0xD2, 40000));
}

static uint32_t khz_by_status(uint16_t count)
{
	uint32_t start;

	pit_program(0, 0, count);
	start = tsc();
	for (uint32_t i = 0; i < POLLS_MOST; i++) {
		outb(0x43, 0xE2); /* status of channel 0 */
		if (inb(0x40) & 0x80)
			return khz_by_pit(tsc() - start, count);
	}
	return 0;
}

static uint32_t khz_by_refresh(void)
{
	uint32_t start, toggles = 4000;

	if (!wait_for(0x61, 0x10, 0) || !wait_for(0x61, 0x10, 0x10))
		return 0;
	start = tsc();
	for (uint32_t i = 0; i < toggles; i++)
		if (!wait_for(0x61, 0x10, i & 1 ? 0x10 : 0))
			return 0;
	return khz_by_pit(tsc() - start, toggles * 18);
}

/* Does a read of a port take less than a third of the 15 us of a refresh? */
static bool polls_are_fast(void)
{
	uint32_t start = tsc();

	for (int i = 0; i < 100; i++)
		inb(0x61);
	return tsc() - start < 100 * (reference_khz() / 200);
}

/* A slow machine misses toggles: to it the delay is longer, but never shorter. */
static void pit_status_and_refresh(void)
{
	uint32_t khz = khz_by_refresh();

	check_khz("OUT of channel 0 by the read-back command", khz_by_status(59659));
	if (polls_are_fast() || khz < reference_khz())
		check_khz("refresh bit of port 61", khz);
}

static uint32_t khz_by_seconds(void)
{
	uint8_t second = cmos(0);
	uint32_t start = 0;

	for (int i = 0; i < 2; i++) {
		for (uint32_t n = 0; n < POLLS_MOST && inb(0x71) == second; n++)
			;
		start = i ? tsc() - start : tsc();
		second = inb(0x71);
	}
	return start / 1000;
}

/* 64 periods of 1024 Hz in register C. */
static uint32_t khz_by_periodic_flag(void)
{
	uint8_t b = cmos(0x0B);
	uint32_t start = 0;

	outb(0x71, b | 0x40); /* the 8259 is masked, or the interrupts are off */
	outb(0x70, 0x0C);
	for (int i = 0; i <= 64; i++) {
		if (!wait_for(0x71, 0x40, 0x40))
			return 0;
		start = i ? start : tsc();
	}
	start = tsc() - start;
	outb(0x70, 0x0B);
	outb(0x71, b);
	return start / 125 * 2; /* 62.5 ms */
}

static void rtc_polling(void)
{
	check_khz("update-in-progress bit", khz_by_uip());
	check_khz("seconds", khz_by_seconds());
	check_khz("periodic flag", khz_by_periodic_flag());
}

static void rtc_tells_a_date(void)
{
	bool binary;
	uint8_t month, day, hour;

	check_equal(cmos(0x0D) & 0x80, 0x80);
	binary = cmos(0x0B) & 4;
	month = cmos(8), day = cmos(7), hour = cmos(4);
	check(binary ? month >= 1 && month <= 12 : month >= 1 && month <= 0x12 && (month & 15) <= 9);
	check(day >= 1 && day <= (binary ? 31 : 0x31));
	check((hour & 0x7F) <= (binary ? 23 : 0x23));
}

/* ---- the first interrupts ---- */

static void on_timer(struct trap_frame *f)
{
	ticks++;
	outb(0x20, 0x20);
}

static void on_other(struct trap_frame *f)
{
	outb(0xA0, 0x20);
	outb(0x20, 0x20);
}

/* The usual way: the vectors move, the masks stay as firmware left them. */
static void remap_8259(void)
{
	static const uint8_t icw[3][2] = { { VECTOR_IRQ, VECTOR_IRQ + 8 }, { 4, 2 }, { 1, 1 } };
	uint8_t master = inb(0x21), slave = inb(0xA1);

	outb(0x20, 0x11);
	outb(0xA0, 0x11);
	for (unsigned int i = 0; i < ARRAY_SIZE(icw); i++) {
		outb(0x21, icw[i][0]);
		outb(0xA1, icw[i][1]);
	}
	outb(0x21, master);
	outb(0xA1, slave);
}

static bool wait_for_tick(void)
{
	uint32_t before = ticks;

	asm volatile("sti");
	for (uint32_t i = 0; i < POLLS_MOST && ticks == before; i++)
		asm volatile("pause");
	asm volatile("cli");
	return ticks != before;
}

static void timer_open(void)
{
	for (unsigned int i = 0; i < 16; i++)
		trap_hook(VECTOR_IRQ + i, i ? on_other : on_timer);
	remap_8259();
}

/* 18.2 a second from a timer that nobody has programmed. */
static void timer_ticks_without_a_word(void)
{
	uint32_t start;

	timer_open();
	require(wait_for_tick());
	start = tsc();
	for (int i = 0; i < 4; i++)
		require(wait_for_tick());
	check_khz("ticks of the timer", khz_by_pit(tsc() - start, 4 * 0x10000));
}

/* ---- a TSC that is set ---- */

/* 150 ms by channel 2: the timer at 18.2 Hz ticks twice or three times. */
static void ticks_come_meanwhile(void)
{
	uint32_t before = ticks;

	asm volatile("sti");
	for (int i = 0; i < 3; i++)
		check_khz("OUT of channel 2 at port 61", khz_by_out2(59659));
	asm volatile("cli");
	check(ticks - before == 2 || ticks - before == 3);
}

/* Some kernels clear the TSC first of all. The other clocks go on, at the
 * same rate, and interrupts that were on their way come. */
static void clocks_go_on_when_the_tsc_is_set(void)
{
	static const uint64_t values[] = { 0, (uint64_t)1 << 40, 0 };

	pit_program(0, 2, 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(values); i++) {
		wrmsr(0x10, values[i]);
		check(rdtsc() - values[i] < (uint64_t)reference_khz() * 1000); /* less than a second since */
		ticks_come_meanwhile();
	}
	check_khz("update-in-progress bit", khz_by_uip());
}

void main(void)
{
	static const struct test tests[] = {
		{ "timer_as_firmware_left_it", timer_as_firmware_left_it },
		{ "timer_ticks_without_a_word", timer_ticks_without_a_word },
		{ "pit_polling", pit_polling },
		{ "pit_status_and_refresh", pit_status_and_refresh },
		{ "rtc_polling", rtc_polling },
		{ "rtc_tells_a_date", rtc_tells_a_date },
		{ "clocks_go_on_when_the_tsc_is_set", clocks_go_on_when_the_tsc_is_set },
	};

	traps_init();
	run_tests(tests, ARRAY_SIZE(tests));
}
