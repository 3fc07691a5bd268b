/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every known way to measure the TSC against another clock by polling, as
 * kernels do it while their interrupts are still off. Each access to a device
 * takes a while, the timers run when they are due, and each result must be
 * the true frequency to one part in a thousand. No loop here may run for ever.
 */
#include "tests/host/devices_fixture.h"

#define ACCESS 3571u /* TSC ticks that one access takes: 1.2 us */
#define POLLS_MOST 3000000u

#define PIT_CLOCK 1193182ull
#define GATE 0x01
#define REFRESH 0x10
#define OUT2 0x20

static void pass_time(struct fixture *f)
{
	f->now += ACCESS;
	if (platform_next_deadline(&f->p) <= f->now)
		platform_run_timers(&f->p);
}

static uint8_t in(struct fixture *f, uint16_t port)
{
	pass_time(f);
	return inb(f, port);
}

static void out(struct fixture *f, uint16_t port, uint8_t val)
{
	pass_time(f);
	outb(f, port, val);
}

/* Polls @port until its bits @mask are @want; the time then. */
static uint64_t wait_for(struct fixture *f, uint16_t port, uint8_t mask, uint8_t want)
{
	for (unsigned int i = 0; (in(f, port) & mask) != want; i++)
		assert_in_range(i, 0, POLLS_MOST);
	return f->now;
}

/* @events of a clock of @hz took @tsc ticks. */
static void check_frequency(uint64_t tsc, uint64_t events, uint64_t hz)
{
	uint64_t measured = tsc * hz / events;

	assert_in_range(measured, TSC_HZ - TSC_HZ / 1000, TSC_HZ + TSC_HZ / 1000);
}

static void program(struct fixture *f, unsigned int channel, unsigned int mode, uint16_t count)
{
	out(f, 0x43, (uint8_t)(channel << 6 | 0x30 | mode << 1));
	out(f, (uint16_t)(0x40 + channel), (uint8_t)count);
	out(f, (uint16_t)(0x40 + channel), (uint8_t)(count >> 8));
}

static uint16_t word(struct fixture *f, unsigned int channel)
{
	uint8_t low = in(f, (uint16_t)(0x40 + channel));

	return (uint16_t)(low | in(f, (uint16_t)(0x40 + channel)) << 8);
}

static uint16_t latched(struct fixture *f, unsigned int channel)
{
	out(f, 0x43, (uint8_t)(channel << 6));
	return word(f, channel);
}

/* ---- channel 2 through port 0x61 ---- */

static void out2_of_a_single_count(void **state)
{
	struct fixture *f = *state;
	uint16_t count = PIT_CLOCK / 20;
	uint64_t start;

	out(f, 0x61, (uint8_t)((in(f, 0x61) & ~2u) | GATE));
	program(f, 2, 0, count);
	start = f->now;
	check_frequency(wait_for(f, 0x61, OUT2, OUT2) - start, count, PIT_CLOCK);
}

/* Counts are armed with the gate off and released with it. */
static void out2_released_by_the_gate(void **state)
{
	static const unsigned int modes[] = { 0, 1 };
	struct fixture *f = *state;
	uint64_t start;

	for (unsigned int i = 0; i < ARRAY_SIZE(modes); i++) {
		out(f, 0x61, 0);
		program(f, 2, modes[i], 50000);
		f->now += 7 * MS;
		out(f, 0x61, GATE);
		start = f->now;
		check_frequency(wait_for(f, 0x61, OUT2, OUT2) - start, 50000, PIT_CLOCK);
	}
}

static void out2_square_wave(void **state)
{
	struct fixture *f = *state;
	uint64_t start;

	out(f, 0x61, GATE);
	program(f, 2, 3, 11932);
	wait_for(f, 0x61, OUT2, 0);
	start = wait_for(f, 0x61, OUT2, OUT2);
	for (unsigned int i = 0; i < 10; i++) {
		wait_for(f, 0x61, OUT2, 0);
		wait_for(f, 0x61, OUT2, OUT2);
	}
	check_frequency(f->now - start, 10 * 11932, PIT_CLOCK);
}

static void count_of_channel_2(void **state)
{
	static const unsigned int modes[] = { 0, 2 };
	struct fixture *f = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(modes); i++) {
		uint64_t start;
		uint16_t first;

		out(f, 0x61, GATE);
		program(f, 2, modes[i], 0xFFFF);
		first = latched(f, 2);
		start = f->now;
		while (latched(f, 2) > 5000)
			assert_true(f->now < start + TSC_HZ);
		check_frequency(f->now - start, (uint16_t)(first - latched(f, 2)), PIT_CLOCK);
	}
}

/* ---- channel 0, interrupts off ---- */

/* Counts down; over a wrap of the counter. @per_clock is how far it counts in a clock. */
static void measure_channel_0(struct fixture *f, uint32_t period, unsigned int per_clock)
{
	uint16_t last = latched(f, 0);
	uint64_t start = f->now, counted = 0;

	while (counted < 40ull * period) {
		uint16_t now = latched(f, 0);

		counted += (period + last - now) % period;
		last = now;
		assert_true(f->now < start + 10 * TSC_HZ);
	}
	check_frequency(f->now - start, counted / per_clock, PIT_CLOCK);
}

static void count_of_channel_0(void **state)
{
	struct fixture *f = *state;

	program(f, 0, 2, 11932);
	measure_channel_0(f, 11932, 1);
	program(f, 0, 2, 0);
	measure_channel_0(f, 0x10000, 1);
	program(f, 0, 3, 11932); /* a square wave counts by two */
	measure_channel_0(f, 11932, 2);
}

/* The count runs already, without a word to the 8254. */
static void count_of_channel_0_as_found(void **state)
{
	measure_channel_0(*state, 0x10000, 1);
}

static void count_by_read_back(void **state)
{
	struct fixture *f = *state;
	uint64_t start;
	uint16_t first;

	program(f, 0, 2, 0);
	out(f, 0x43, 0xD2); /* latch the count of channel 0 */
	start = f->now;
	first = word(f, 0);
	do {
		f->now += MS;
		out(f, 0x43, 0xD2);
	} while (word(f, 0) > 10000);
	out(f, 0x43, 0xD2);
	check_frequency(f->now - start, (uint16_t)(first - word(f, 0)), PIT_CLOCK);
}

/* The OUT pin as the status byte shows it. */
static void wait_for_out_0(struct fixture *f, uint8_t level)
{
	for (unsigned int i = 0;; i++) {
		assert_in_range(i, 0, POLLS_MOST);
		out(f, 0x43, 0xE2);
		if ((in(f, 0x40) & 0x80) == level)
			return;
	}
}

static void out_by_read_back(void **state)
{
	struct fixture *f = *state;
	uint64_t start;

	program(f, 0, 0, 60000);
	start = f->now;
	wait_for_out_0(f, 0x80);
	check_frequency(f->now - start, 60000, PIT_CLOCK);
	program(f, 0, 3, 11932);
	wait_for_out_0(f, 0);
	wait_for_out_0(f, 0x80);
	start = f->now;
	for (unsigned int i = 0; i < 10; i++) {
		wait_for_out_0(f, 0);
		wait_for_out_0(f, 0x80);
	}
	check_frequency(f->now - start, 119320, PIT_CLOCK);
}

/* The request bit of the masked timer, as the 8259 shows it. */
static void request_at_the_8259(void **state)
{
	struct fixture *f = *state;
	uint64_t start = 0;

	program(f, 0, 2, 11932);
	for (unsigned int i = 0; i <= 20; i++) {
		pic_setup(f, 0xFFFF); /* forgets the request */
		out(f, 0x20, 0x0A);
		wait_for(f, 0x20, 0x01, 0x01);
		start = i ? start : f->now;
	}
	check_frequency(f->now - start, 20 * 11932, PIT_CLOCK);
}

static void refresh_of_memory(void **state)
{
	struct fixture *f = *state;
	uint64_t start;

	wait_for(f, 0x61, REFRESH, 0);
	start = wait_for(f, 0x61, REFRESH, REFRESH);
	for (unsigned int i = 0; i < 1000; i++) {
		wait_for(f, 0x61, REFRESH, 0);
		wait_for(f, 0x61, REFRESH, REFRESH);
	}
	check_frequency(f->now - start, 2000 * 18, PIT_CLOCK); /* one toggle in 18 clocks */
}

/* ---- the real-time clock ---- */

static void uip_falls_every_second(void **state)
{
	struct fixture *f = *state;
	uint64_t start;

	out(f, 0x70, 0x0A);
	wait_for(f, 0x71, 0x80, 0x80);
	start = wait_for(f, 0x71, 0x80, 0);
	for (unsigned int i = 0; i < 2; i++) {
		wait_for(f, 0x71, 0x80, 0x80);
		wait_for(f, 0x71, 0x80, 0);
	}
	check_frequency(f->now - start, 2, 1);
}

/* One poll in a millisecond, by a guest that shares its CPU, misses none. */
static void uip_is_seen_by_slow_pollers(void **state)
{
	struct fixture *f = *state;
	unsigned int seen = 0;
	bool before = false;

	outb(f, 0x70, 0x0A);
	while (f->now < 10 * TSC_HZ) {
		bool uip = inb(f, 0x71) & 0x80;

		seen += uip && !before;
		before = uip;
		f->now += MS;
	}
	assert_int_equal(seen, 10);
}

/* Nobody who waits for UIP to fall reads a second that is about to change. */
static void time_stands_after_uip(void **state)
{
	struct fixture *f = *state;
	uint8_t second;

	out(f, 0x70, 0x0A);
	wait_for(f, 0x71, 0x80, 0x80);
	out(f, 0x70, 0x00);
	second = in(f, 0x71);
	out(f, 0x70, 0x0A);
	wait_for(f, 0x71, 0x80, 0);
	out(f, 0x70, 0x00);
	assert_int_equal(in(f, 0x71), second + 1);
}

static void seconds_register(void **state)
{
	struct fixture *f = *state;
	uint64_t start = 0;

	out(f, 0x70, 0x00);
	for (unsigned int i = 0; i < 4; i++) {
		uint8_t second = in(f, 0x71);

		while (in(f, 0x71) == second)
			assert_true(f->now < 10 * TSC_HZ);
		start = i ? start : f->now;
	}
	check_frequency(f->now - start, 3, 1);
}

/* Flags of register C rise without their interrupts. */
static void flags_of_register_c(void **state)
{
	static const struct {
		uint8_t flag;
		unsigned int hz, events;
	} kind[] = { { 0x40, 1024, 256 }, { 0x10, 1, 2 } };
	struct fixture *f = *state;

	out(f, 0x70, 0x0C);
	for (unsigned int i = 0; i < ARRAY_SIZE(kind); i++) {
		uint64_t start;

		in(f, 0x71);
		start = wait_for(f, 0x71, kind[i].flag, kind[i].flag);
		for (unsigned int n = 0; n < kind[i].events; n++)
			wait_for(f, 0x71, kind[i].flag, kind[i].flag);
		check_frequency(f->now - start, kind[i].events, kind[i].hz);
	}
}

/* ---- the other clocks of the platform ---- */

static void acpi_timer(void **state)
{
	struct fixture *f = *state;
	uint32_t first = inl(f, 0x608);
	uint64_t start = f->now;

	while (inl(f, 0x608) - first < 3579545 / 10)
		pass_time(f);
	check_frequency(f->now - start, 3579545 / 10, 3579545);
}

static void apic_timer_against_the_8254(void **state)
{
	struct fixture *f = *state;

	out(f, 0x61, GATE);
	program(f, 2, 0, 59659);
	apic_write(f, 0x3E0, 0x0B); /* undivided: TSC ticks */
	apic_write(f, 0x380, 0xFFFFFFFF);
	wait_for(f, 0x61, OUT2, OUT2);
	check_frequency(0xFFFFFFFF - apic_read(f, 0x390), 59659, PIT_CLOCK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		firmware_test(out2_of_a_single_count),
		firmware_test(out2_released_by_the_gate),
		firmware_test(out2_square_wave),
		firmware_test(count_of_channel_2),
		firmware_test(count_of_channel_0),
		firmware_test(count_of_channel_0_as_found),
		firmware_test(count_by_read_back),
		firmware_test(out_by_read_back),
		firmware_test(request_at_the_8259),
		firmware_test(refresh_of_memory),
		firmware_test(uip_falls_every_second),
		firmware_test(uip_is_seen_by_slow_pollers),
		firmware_test(time_stands_after_uip),
		firmware_test(seconds_register),
		firmware_test(flags_of_register_c),
		firmware_test(acpi_timer),
		firmware_test(apic_timer_against_the_8254),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
