/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The old ways to reset a PC and to switch it off: 0xCF9, port 0x92, the
 * 8042 keyboard controller, and Bochs's shutdown port. The 8042 has nothing
 * plugged in: it answers its own commands, and every byte meant for keyboard
 * or mouse times out at once. It never keeps anybody waiting, and never
 * interrupts.
 */
#ifndef DEVICES_RESET_H
#define DEVICES_RESET_H

#include <stdbool.h>
#include <stdint.h>
#include "devices/power.h"
#include "lib/compiler.h"

struct reset {
	uint8_t cf9;
	uint8_t port92;
	unsigned int shutdown_chars; /* of "Shutdown" seen at port 0x8900 */

	/* the 8042 */
	uint8_t command_byte, output_port;
	uint8_t status; /* without the bit "system flag" */
	uint8_t data;   /* what port 0x60 reads */
	uint8_t command; /* waits for its data byte at port 0x60; 0: none */
};

void reset_init(struct reset *r);

uint8_t reset_cf9_read(const struct reset *r);
must_check enum power_request reset_cf9_write(struct reset *r, uint8_t val);
uint8_t reset_port92_read(const struct reset *r);
must_check enum power_request reset_port92_write(struct reset *r, uint8_t val);
must_check enum power_request reset_shutdown_write(struct reset *r, uint8_t val);

/* Ports 0x60 (data) and 0x64 (status, command). */
uint8_t i8042_read_data(struct reset *r);
uint8_t i8042_read_status(const struct reset *r);
must_check enum power_request i8042_write_data(struct reset *r, uint8_t val);
must_check enum power_request i8042_write_command(struct reset *r, uint8_t val);

#endif
