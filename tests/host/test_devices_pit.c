/* SPDX-License-Identifier: GPL-2.0-only */
/* The 8254: calibration as guests do it, modes, latches, exact periods. */
#include "tests/host/devices_fixture.h"

#define IRQ0_VECTOR 0x30

static uint64_t pit_tsc(uint64_t clocks)
{
	return ticks_scale_up(clocks, TSC_HZ, PIT_HZ);
}

static void only_irq0(struct fixture *f)
{
	pic_setup(f, (uint16_t)~1u);
}

static unsigned int count_irq0(struct fixture *f)
{
	unsigned int n = 0;

	while (take(f) == IRQ0_VECTOR) {
		outb(f, 0x20, 0x20);
		n++;
	}
	return n;
}

static void program(struct fixture *f, unsigned int channel, unsigned int mode, uint16_t count)
{
	outb(f, 0x43, (uint8_t)(channel << 6 | 0x30 | mode << 1));
	outb(f, (uint16_t)(0x40 + channel), (uint8_t)count);
	outb(f, (uint16_t)(0x40 + channel), (uint8_t)(count >> 8));
}

static uint16_t latched(struct fixture *f, unsigned int channel)
{
	uint16_t low;

	outb(f, 0x43, (uint8_t)(channel << 6));
	low = inb(f, (uint16_t)(0x40 + channel));
	return (uint16_t)(low | inb(f, (uint16_t)(0x40 + channel)) << 8);
}

/* quick_pit_calibrate(): channel 2 in mode 0 from 0xFFFF, the high byte must
 * go down one by one, and the TSC between them gives the frequency. */
static void linux_quick_calibration(void **state)
{
	struct fixture *f = *state;
	uint64_t first = 0, last = 0;

	outb(f, 0x61, (uint8_t)((inb(f, 0x61) & ~2u) | 1));
	outb(f, 0x43, 0xB0);
	outb(f, 0x42, 0xFF);
	outb(f, 0x42, 0xFF);
	for (unsigned int expect = 0xFF; expect > 0xF0; expect--) {
		uint8_t msb;

		do {
			f->now += TSC_HZ / 1000000;
			inb(f, 0x42);
			msb = inb(f, 0x42);
		} while (msb == expect);
		assert_int_equal(msb, expect - 1);
		last = f->now;
		if (expect == 0xFF)
			first = f->now;
	}
	assert_in_range((last - first) * PIT_HZ / (14 * 256), TSC_HZ - TSC_HZ / 1000, TSC_HZ + TSC_HZ / 1000);
}

/* pit_calibrate_tsc(): wait for OUT of channel 2 at port 0x61. */
static void out2_rises_after_50_ms(void **state)
{
	struct fixture *f = *state;
	uint16_t count = PIT_HZ / 20;

	outb(f, 0x61, 1);
	program(f, 2, 0, count);
	assert_int_equal(inb(f, 0x61) & 0x21, 0x01);
	f->now = pit_tsc(count) - 1;
	assert_int_equal(inb(f, 0x61) & 0x20, 0);
	f->now = pit_tsc(count);
	assert_int_equal(inb(f, 0x61) & 0x20, 0x20);
}

static void gate_pauses_mode_0(void **state)
{
	struct fixture *f = *state;

	outb(f, 0x61, 1);
	program(f, 2, 0, 1000);
	f->now = pit_tsc(400);
	outb(f, 0x61, 0);
	f->now = pit_tsc(5000);
	assert_int_equal(latched(f, 2), 600);
	outb(f, 0x61, 1);
	f->now = pit_tsc(5599);
	assert_int_equal(inb(f, 0x61) & 0x20, 0);
	f->now = pit_tsc(5600);
	assert_int_equal(inb(f, 0x61) & 0x20, 0x20);
}

static void gate_triggers_mode_1(void **state)
{
	struct fixture *f = *state;

	outb(f, 0x61, 0);
	program(f, 2, 1, 100);
	f->now = pit_tsc(500);
	assert_int_equal(inb(f, 0x61) & 0x20, 0x20);
	outb(f, 0x61, 1);
	f->now = pit_tsc(599);
	assert_int_equal(inb(f, 0x61) & 0x20, 0);
	f->now = pit_tsc(600);
	assert_int_equal(inb(f, 0x61) & 0x20, 0x20);
}

static void gate_restarts_mode_2(void **state)
{
	struct fixture *f = *state;

	outb(f, 0x61, 1);
	program(f, 2, 2, 1000);
	f->now = pit_tsc(300);
	outb(f, 0x61, 0);
	assert_int_equal(inb(f, 0x61) & 0x20, 0x20);
	f->now = pit_tsc(2000);
	outb(f, 0x61, 1);
	f->now = pit_tsc(2010);
	assert_int_equal(latched(f, 2), 990);
}

static void refresh_bit_toggles(void **state)
{
	struct fixture *f = *state;
	unsigned int changes = 0;
	uint8_t before = inb(f, 0x61) & 0x10;

	for (unsigned int i = 0; i < 1000; i++, f->now += US) {
		uint8_t bit = inb(f, 0x61) & 0x10;

		changes += bit != before;
		before = bit;
	}
	assert_in_range(changes, 60, 70);
}

static void periodic_interrupts_do_not_drift(void **state)
{
	struct fixture *f = *state;
	unsigned int n = 0;

	only_irq0(f);
	program(f, 0, 2, 4772); /* 250 Hz */
	count_irq0(f);
	for (unsigned int i = 1; i <= 2500; i++) {
		assert_int_equal(platform_next_deadline(&f->p), pit_tsc(4772ull * i));
		f->now = platform_next_deadline(&f->p) - 1;
		platform_run_timers(&f->p);
		assert_int_equal(count_irq0(f), 0);
		f->now++;
		platform_run_timers(&f->p);
		n += count_irq0(f);
	}
	assert_int_equal(n, 2500);
}

static void late_periods_coalesce_and_keep_the_phase(void **state)
{
	struct fixture *f = *state;

	only_irq0(f);
	program(f, 0, 3, 10000);
	count_irq0(f);
	f->now = pit_tsc(55000);
	platform_run_timers(&f->p);
	assert_int_equal(count_irq0(f), 1);
	assert_int_equal(platform_next_deadline(&f->p), pit_tsc(60000));
}

/* Linux's one-shot clock event: mode 4. Mode 0 is older. */
static void one_shot_modes_fire_once(void **state)
{
	static const unsigned int modes[] = { 0, 4 };

	for (unsigned int i = 0; i < ARRAY_SIZE(modes); i++) {
		struct fixture *f = *state;
		uint64_t start = f->now;

		only_irq0(f);
		program(f, 0, modes[i], 1193);
		count_irq0(f);
		assert_in_range(platform_next_deadline(&f->p), start + MS - 2 * US, start + MS + 2 * US);
		run_until(f, start + 10 * MS);
		assert_int_equal(count_irq0(f), 1);
		assert_int_equal(platform_next_deadline(&f->p), PLATFORM_NEVER);
	}
}

static void absurd_rates_are_thinned_out(void **state)
{
	struct fixture *f = *state;
	unsigned int n = 0;

	only_irq0(f);
	program(f, 0, 2, 1);
	while (f->now < 10 * MS) {
		f->now = platform_next_deadline(&f->p);
		platform_run_timers(&f->p);
		n++;
	}
	assert_in_range(n, 150, 250);
}

static void read_back_latches_count_and_status(void **state)
{
	struct fixture *f = *state;
	uint16_t count;

	outb(f, 0x43, 0x34);
	outb(f, 0x43, 0xE2); /* status of channel 0 */
	assert_int_equal(inb(f, 0x40), 0xF4); /* OUT, null count, both bytes, mode 2 */
	outb(f, 0x40, 0xE8);
	outb(f, 0x40, 0x03);
	f->now = pit_tsc(10);
	outb(f, 0x43, 0xC2); /* both */
	f->now = pit_tsc(500);
	outb(f, 0x43, 0xC2); /* a second latch changes nothing */
	assert_int_equal(inb(f, 0x40), 0xB4);
	count = inb(f, 0x40);
	count |= (uint16_t)(inb(f, 0x40) << 8);
	assert_int_equal(count, 990);
	assert_int_equal(latched(f, 0), 500);
}

static void bcd_counts(void **state)
{
	struct fixture *f = *state;

	outb(f, 0x43, 0x31); /* channel 0, mode 0, BCD */
	outb(f, 0x40, 0x00);
	outb(f, 0x40, 0x10); /* 1000 */
	f->now = pit_tsc(1);
	assert_int_equal(latched(f, 0), 0x0999);
	f->now = pit_tsc(1001);
	assert_int_equal(latched(f, 0), 0x9999);
	outb(f, 0x43, 0x35); /* mode 2; 0 means 10000 */
	outb(f, 0x40, 0);
	outb(f, 0x40, 0);
	f->now = pit_tsc(1001 + 2500);
	assert_int_equal(latched(f, 0), 0x7500);
}

static void single_byte_access(void **state)
{
	struct fixture *f = *state;

	outb(f, 0x43, 0x14); /* low byte, mode 2 */
	outb(f, 0x40, 100);
	f->now = pit_tsc(30);
	assert_int_equal(inb(f, 0x40), 70);
	outb(f, 0x43, 0x24); /* high byte */
	outb(f, 0x40, 2);
	f->now += pit_tsc(256);
	assert_int_equal(inb(f, 0x40), 1);
	assert_int_equal(inb(f, 0x43), 0xFF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		device_test(linux_quick_calibration),
		device_test(out2_rises_after_50_ms),
		device_test(gate_pauses_mode_0),
		device_test(gate_triggers_mode_1),
		device_test(gate_restarts_mode_2),
		device_test(refresh_bit_toggles),
		device_test(periodic_interrupts_do_not_drift),
		device_test(late_periods_coalesce_and_keep_the_phase),
		device_test(one_shot_modes_fire_once),
		device_test(absurd_rates_are_thinned_out),
		device_test(read_back_latches_count_and_status),
		device_test(bcd_counts),
		device_test(single_byte_access),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
