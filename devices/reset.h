/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reset control register 0xCF9, which is the FADT's reset register, and
 * Bochs's shutdown port. The other ways to reset are in devices/i8042.h.
 */
#ifndef DEVICES_RESET_H
#define DEVICES_RESET_H

#include <stdbool.h>
#include <stdint.h>
#include "devices/power.h"
#include "lib/compiler.h"

struct reset {
	uint8_t cf9;
	unsigned int shutdown_chars; /* of "Shutdown" seen at port 0x8900 */
};

void reset_init(struct reset *r);

uint8_t reset_cf9_read(const struct reset *r);
must_check enum power_request reset_cf9_write(struct reset *r, uint8_t val);
must_check enum power_request reset_shutdown_write(struct reset *r, uint8_t val);

#endif
