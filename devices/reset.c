/* SPDX-License-Identifier: GPL-2.0-only */
/* See reset.h. No interrupts, no time. */
#include "devices/reset.h"

#define CF9_SYSTEM 0x02
#define CF9_CPU 0x04
#define CF9_FULL 0x08

uint8_t reset_cf9_read(const struct reset *r)
{
	return r->cf9;
}

/* The reset happens as the CPU bit goes from 0 to 1. */
enum power_request reset_cf9_write(struct reset *r, uint8_t val)
{
	bool rises = val & ~r->cf9 & CF9_CPU;

	r->cf9 = val & (CF9_SYSTEM | CF9_CPU | CF9_FULL);
	return rises ? POWER_RESET : POWER_NOTHING;
}

enum power_request reset_shutdown_write(struct reset *r, uint8_t val)
{
	static const char word[] = "Shutdown";

	if (val != (uint8_t)word[r->shutdown_chars]) {
		r->shutdown_chars = val == (uint8_t)word[0];
		return POWER_NOTHING;
	}
	r->shutdown_chars++;
	if (word[r->shutdown_chars])
		return POWER_NOTHING;
	r->shutdown_chars = 0;
	return POWER_OFF;
}

void reset_init(struct reset *r)
{
	*r = (struct reset){ 0 };
}
