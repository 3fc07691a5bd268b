// SPDX-License-Identifier: GPL-2.0-only
/* The MSR bitmap, bit by bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "lib/compiler.h"
#include "lib/errno.h"
#include "vmx/msr_bitmap.h"

static unsigned int clear_bits(const struct msr_bitmap *b)
{
	const uint8_t *byte = (const uint8_t *)b;
	unsigned int n = 0;

	for (size_t i = 0; i < sizeof(*b); i++)
		n += 8 - (unsigned int)__builtin_popcount(byte[i]);
	return n;
}

static void it_is_one_page_that_traps_all(void **state)
{
	struct msr_bitmap b;

	assert_int_equal(sizeof(b), 4096);
	msr_bitmap_init(&b);
	assert_int_equal(clear_bits(&b), 0);
}

static void each_direction_has_its_bit(void **state)
{
	static const struct {
		uint32_t msr;
		size_t read_byte;
		uint8_t mask;
	} rows[] = {
		{ 0x0, 0, 1 },		       { 0x174, 0x174 / 8, 1 << 4 },
		{ 0x1FFF, 1023, 0x80 },	       { 0xC0000000, 1024, 1 },
		{ 0xC0000102, 1024 + 32, 4 },  { 0xC0001FFF, 2047, 0x80 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct msr_bitmap b;
		const uint8_t *byte = (const uint8_t *)&b;

		msr_bitmap_init(&b);
		assert_int_equal(msr_bitmap_set(&b, rows[i].msr, MSR_PASS_READ), 0);
		assert_int_equal(byte[rows[i].read_byte], 0xFF & ~rows[i].mask);
		assert_int_equal(clear_bits(&b), 1);
		assert_int_equal(msr_bitmap_set(&b, rows[i].msr, MSR_PASS_WRITE), 0);
		assert_int_equal(byte[rows[i].read_byte + 2048], 0xFF & ~rows[i].mask);
		assert_int_equal(clear_bits(&b), 1);
		assert_int_equal(msr_bitmap_set(&b, rows[i].msr, 0), 0);
		assert_int_equal(clear_bits(&b), 0);
	}
}

static void msrs_without_a_bit_are_refused(void **state)
{
	struct msr_bitmap b;

	msr_bitmap_init(&b);
	assert_int_equal(msr_bitmap_set(&b, 0x2000, MSR_PASS_READ), -EINVAL);
	assert_int_equal(msr_bitmap_set(&b, 0xBFFFFFFF, MSR_PASS_READ), -EINVAL);
	assert_int_equal(msr_bitmap_set(&b, 0xC0002000, MSR_PASS_WRITE), -EINVAL);
	assert_int_equal(msr_bitmap_set(&b, UINT32_MAX, MSR_PASS_WRITE), -EINVAL);
	assert_int_equal(clear_bits(&b), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_one_page_that_traps_all),
		cmocka_unit_test(each_direction_has_its_bit),
		cmocka_unit_test(msrs_without_a_bit_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
