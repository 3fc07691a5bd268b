/* SPDX-License-Identifier: GPL-2.0-only */
/* The MSR bitmap: see the header. */
#include "vmx/msr_bitmap.h"
#include "lib/errno.h"

#define MSRS_PER_RANGE 0x2000u
#define HIGH_FIRST 0xC0000000u

void msr_bitmap_init(struct msr_bitmap *b)
{
	uint8_t *byte = (uint8_t *)b;

	for (size_t i = 0; i < sizeof(*b); i++)
		byte[i] = 0xFF;
}

static void put_bit(uint8_t *bits, uint32_t nr, bool val)
{
	uint8_t mask = (uint8_t)(1u << (nr % 8));

	bits[nr / 8] = (uint8_t)(val ? bits[nr / 8] | mask : bits[nr / 8] & ~mask);
}

int msr_bitmap_set(struct msr_bitmap *b, uint32_t msr, uint32_t pass)
{
	bool high = msr >= HIGH_FIRST;
	uint32_t nr = high ? msr - HIGH_FIRST : msr;

	if (nr >= MSRS_PER_RANGE)
		return -EINVAL;
	put_bit(high ? b->read_high : b->read_low, nr, !(pass & MSR_PASS_READ));
	put_bit(high ? b->write_high : b->write_low, nr, !(pass & MSR_PASS_WRITE));
	return 0;
}
