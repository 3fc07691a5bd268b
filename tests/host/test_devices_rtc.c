/* SPDX-License-Identifier: GPL-2.0-only */
/* The clock and its CMOS; dates are held against the C library's. */
#include "tests/host/devices_fixture.h"

#include <time.h>

#define REG_A 10
#define REG_B 11
#define REG_C 12
#define REG_D 13
#define CENTURY 0x32
#define VECTOR 0x38

static uint8_t cmos_read(struct fixture *f, uint8_t index)
{
	outb(f, 0x70, index);
	return inb(f, 0x71);
}

static void cmos_write(struct fixture *f, uint8_t index, uint8_t val)
{
	outb(f, 0x70, index);
	outb(f, 0x71, val);
}

static unsigned int bcd(uint8_t v)
{
	return (v >> 4) * 10u + (v & 15);
}

static time_t guest_time(struct fixture *f)
{
	struct tm tm = {
		.tm_year = (int)(bcd(cmos_read(f, CENTURY)) * 100 + bcd(cmos_read(f, 9))) - 1900,
		.tm_mon = (int)bcd(cmos_read(f, 8)) - 1,
		.tm_mday = (int)bcd(cmos_read(f, 7)),
		.tm_hour = (int)bcd(cmos_read(f, 4)),
		.tm_min = (int)bcd(cmos_read(f, 2)),
		.tm_sec = (int)bcd(cmos_read(f, 0)),
	};

	return timegm(&tm);
}

static void tells_the_time(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(cmos_read(f, REG_D), 0x80);
	assert_int_equal(cmos_read(f, REG_B), 0x02); /* 24 hours, BCD */
	assert_int_equal(cmos_read(f, REG_A), 0x26);
	assert_int_equal(guest_time(f), EPOCH);
	f->now = 12345 * TSC_HZ - 1;
	assert_int_equal(guest_time(f), EPOCH + 12344);
	f->now++;
	assert_int_equal(guest_time(f), EPOCH + 12345);
}

static void calendar_agrees_with_the_c_library(void **state)
{
	struct fixture *f = *state;

	for (uint64_t t = 0; t < 253402300800ull; t += 86400ull * 97 + 54321) {
		struct platform_config c = fixture_config(f);
		time_t as_time = (time_t)t;
		struct tm tm;

		c.rtc_epoch = t;
		assert_int_equal(platform_init(&f->p, &c), 0);
		assert_int_equal(guest_time(f), t);
		gmtime_r(&as_time, &tm);
		assert_int_equal(cmos_read(f, 6), tm.tm_wday + 1);
	}
}

static void update_in_progress_before_every_second(void **state)
{
	struct fixture *f = *state;

	f->now = TSC_HZ - 2300 * US; /* 244 us before an update of 1984 us */
	assert_int_equal(cmos_read(f, REG_A) & 0x80, 0);
	f->now = TSC_HZ - 2200 * US;
	assert_int_equal(cmos_read(f, REG_A) & 0x80, 0x80);
	f->now = TSC_HZ - 1;
	assert_int_equal(cmos_read(f, REG_A) & 0x80, 0x80);
	f->now = TSC_HZ;
	assert_int_equal(cmos_read(f, REG_A) & 0x80, 0);
}

static void set_the_clock(struct fixture *f)
{
	static const uint8_t index[] = { 0, 2, 4, 7, 8, 9, CENTURY };
	static const uint8_t val[] = { 0x58, 0x59, 0x23, 0x28, 0x02, 0x24, 0x20 };

	cmos_write(f, REG_B, cmos_read(f, REG_B) | 0x80);
	for (unsigned int i = 0; i < ARRAY_SIZE(index); i++)
		cmos_write(f, index[i], val[i]);
}

static void clock_can_be_set(void **state)
{
	struct fixture *f = *state;

	set_the_clock(f);
	f->now += 100 * TSC_HZ;
	assert_int_equal(cmos_read(f, 0), 0x58); /* stands still */
	cmos_write(f, REG_B, 0x02);
	f->now += 2 * TSC_HZ;
	assert_int_equal(cmos_read(f, 7), 0x29); /* a leap year */
	assert_int_equal(cmos_read(f, 4), 0x00);
}

static void twelve_hours_and_binary(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(cmos_read(f, 4), 0x22);
	cmos_write(f, REG_B, 0x00);
	assert_int_equal(cmos_read(f, 4), 0x80 | 0x10);
	cmos_write(f, REG_B, 0x06);
	assert_int_equal(cmos_read(f, 4), 22);
	cmos_write(f, REG_B, 0x04);
	assert_int_equal(cmos_read(f, 4), 0x80 | 10);
	f->now = 2 * 3600 * TSC_HZ;
	assert_int_equal(cmos_read(f, 4), 12); /* midnight */
	cmos_write(f, 4, 0x80 | 12);           /* noon */
	cmos_write(f, REG_B, 0x06);
	assert_int_equal(cmos_read(f, 4), 12);
}

static void only_irq8(struct fixture *f)
{
	pic_setup(f, (uint16_t)~(1u << 8 | 1u << 2));
}

static bool irq8(struct fixture *f)
{
	if (take(f) != VECTOR)
		return false;
	outb(f, 0xA0, 0x20);
	outb(f, 0x20, 0x20);
	return true;
}

static void periodic_interrupt(void **state)
{
	struct fixture *f = *state;
	unsigned int n = 0;

	only_irq8(f);
	cmos_read(f, REG_C);
	cmos_write(f, REG_A, 0x26);
	cmos_write(f, REG_B, 0x42);
	for (unsigned int i = 1; i <= 2048; i++) {
		assert_int_equal(platform_next_deadline(&f->p), ticks_scale_up(32ull * i, TSC_HZ, 32768));
		f->now = platform_next_deadline(&f->p);
		platform_run_timers(&f->p);
		n += irq8(f);
		assert_int_equal(cmos_read(f, REG_C) & 0xC0, 0xC0);
	}
	assert_int_equal(n, 2048);
	assert_int_equal(f->now, 2 * TSC_HZ);
}

static void unread_register_c_holds_the_line(void **state)
{
	struct fixture *f = *state;

	only_irq8(f);
	cmos_write(f, REG_B, 0x42);
	run_until(f, 100 * MS);
	assert_true(irq8(f));
	assert_false(irq8(f));
	assert_int_equal(platform_next_deadline(&f->p), PLATFORM_NEVER);
	f->kicks = 0;
	assert_int_equal(cmos_read(f, REG_C), 0xC0);
	assert_true(f->kicks > 0); /* there is a deadline again */
	assert_int_equal(cmos_read(f, REG_C), 0);
	run_until(f, 110 * MS);
	assert_true(irq8(f));
}

static void update_interrupt_every_second(void **state)
{
	struct fixture *f = *state;
	unsigned int n = 0;

	only_irq8(f);
	cmos_write(f, REG_B, 0x12);
	while (f->now < 10 * TSC_HZ) {
		f->now = platform_next_deadline(&f->p);
		platform_run_timers(&f->p);
		n += irq8(f);
		assert_int_equal(cmos_read(f, REG_C), 0xD0); /* the 1024 Hz flag is set too */
	}
	assert_int_equal(n, 10);
}

/* Epoch is 22:13:20. */
static void alarm(struct fixture *f, uint8_t hour, uint8_t minute, uint8_t second, uint64_t expect_seconds)
{
	cmos_write(f, REG_B, 0x02);
	cmos_write(f, 5, hour);
	cmos_write(f, 3, minute);
	cmos_write(f, 1, second);
	cmos_read(f, REG_C);
	cmos_write(f, REG_B, 0x22);
	assert_int_equal(platform_next_deadline(&f->p),
			 expect_seconds ? expect_seconds * TSC_HZ : PLATFORM_NEVER);
}

static void alarm_distances(void **state)
{
	struct fixture *f = *state;

	alarm(f, 0x22, 0x13, 0x21, 1);
	alarm(f, 0x22, 0x13, 0x20, 86400);
	alarm(f, 0x22, 0x14, 0x00, 40);
	alarm(f, 0xFF, 0xFF, 0xFF, 1);
	alarm(f, 0xFF, 0xFF, 0x19, 59);
	alarm(f, 0xFF, 0xFF, 0x20, 60);
	alarm(f, 0xFF, 0x13, 0x10, 3590);
	alarm(f, 0xFF, 0x13, 0xFF, 1);
	alarm(f, 0xFF, 0x12, 0xC0, 3520);
	alarm(f, 0x00, 0x00, 0x00, 6400);
	alarm(f, 0x21, 0xFF, 0xFF, 82000);
	alarm(f, 0x25, 0x00, 0x00, 0);
	alarm(f, 0x22, 0x77, 0x00, 0);
	alarm(f, 0x22, 0x00, 0xAF, 0);
}

static void alarm_interrupts(void **state)
{
	struct fixture *f = *state;

	only_irq8(f);
	alarm(f, 0x22, 0x14, 0x05, 45);
	run_until(f, 45 * TSC_HZ - 1);
	assert_false(irq8(f));
	run_until(f, 45 * TSC_HZ);
	assert_true(irq8(f));
	assert_int_equal(cmos_read(f, REG_C) & 0xA0, 0xA0);
}

static void memory_size(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(cmos_read(f, 0x15) | cmos_read(f, 0x16) << 8, 640);
	assert_int_equal(cmos_read(f, 0x17) | cmos_read(f, 0x18) << 8, 0xFFFF);
	assert_int_equal(cmos_read(f, 0x30) | cmos_read(f, 0x31) << 8, 0xFFFF);
	assert_int_equal(cmos_read(f, 0x34) | cmos_read(f, 0x35) << 8, (512 - 16) * 16);
	assert_int_equal(cmos_read(f, 0x5B) | cmos_read(f, 0x5C) << 8 | cmos_read(f, 0x5D) << 16, 1024 * 16);
}

static void nmi_bit_and_plain_memory(void **state)
{
	struct fixture *f = *state;

	cmos_write(f, 0x80 | 0x40, 0x5A);
	assert_int_equal(inb(f, 0x70), 0xC0);
	assert_int_equal(cmos_read(f, 0x40), 0x5A);
	cmos_write(f, REG_D, 0);
	assert_int_equal(cmos_read(f, REG_D), 0x80);
}

static void nonsense_dates_are_survived(void **state)
{
	struct fixture *f = *state;

	cmos_write(f, REG_B, 0x86);
	for (uint8_t i = 0; i < 10; i++)
		cmos_write(f, i, 0xFF);
	cmos_write(f, CENTURY, 0xFF);
	cmos_write(f, REG_B, 0x02);
	f->now += 40 * 86400 * TSC_HZ;
	assert_in_range(bcd(cmos_read(f, 8)), 1, 12);
	cmos_write(f, 8, 0);
	assert_in_range(bcd(cmos_read(f, 8)), 1, 12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		device_test(tells_the_time),
		device_test(calendar_agrees_with_the_c_library),
		device_test(update_in_progress_before_every_second),
		device_test(clock_can_be_set),
		device_test(twelve_hours_and_binary),
		device_test(periodic_interrupt),
		device_test(unread_register_c_holds_the_line),
		device_test(update_interrupt_every_second),
		device_test(alarm_distances),
		device_test(alarm_interrupts),
		device_test(memory_size),
		device_test(nmi_bit_and_plain_memory),
		device_test(nonsense_dates_are_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
