/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The 8042 keyboard controller with nothing plugged in, and system control
 * port A (0x92), which drives the same two lines: A20 and reset. The
 * controller answers its own commands; every byte meant for keyboard or mouse
 * times out at once, with the status and the 0xFE that a PC shows then. It is
 * never busy and keeps nobody waiting.
 *
 * A20 is always open. Its bit is one for both ports, for whoever reads it back.
 * Invariant: IRQ 1 or 12 is up while the output buffer holds a byte of that
 * source and the configuration byte lets it through.
 */
#ifndef DEVICES_I8042_H
#define DEVICES_I8042_H

#include <stdbool.h>
#include <stdint.h>
#include "devices/irq_line.h"
#include "devices/power.h"
#include "lib/compiler.h"

struct i8042 {
	bool a20;
	uint8_t port92_reset; /* bit 0 of port 0x92 */
	uint8_t config;       /* commands 0x20 and 0x60 */
	uint8_t status;       /* without the bits that never change */
	uint8_t data;         /* what port 0x60 reads */
	uint8_t command;      /* waits for its data byte at port 0x60; 0: none */
	struct irq_line keyboard, aux;
};

void i8042_init(struct i8042 *k, struct irq_line keyboard, struct irq_line aux);

/* Ports 0x60 (data) and 0x64 (status, command). */
uint8_t i8042_read_data(struct i8042 *k);
uint8_t i8042_read_status(const struct i8042 *k);
must_check enum power_request i8042_write_data(struct i8042 *k, uint8_t val);
must_check enum power_request i8042_write_command(struct i8042 *k, uint8_t val);

uint8_t i8042_port92_read(const struct i8042 *k);
must_check enum power_request i8042_port92_write(struct i8042 *k, uint8_t val);

/* All of @k but its wiring, which is NULL in @out. / And back: the wiring is
 * that of @k, where it is. */
void i8042_save(const struct i8042 *k, struct i8042 *out);
void i8042_restore(struct i8042 *k, const struct i8042 *saved);

#endif
