/* SPDX-License-Identifier: GPL-2.0-only */
/* Reset and power-off ports; see reset.h. No interrupts, no time. */
#include "devices/reset.h"

#define CF9_SYSTEM 0x02
#define CF9_CPU 0x04
#define CF9_FULL 0x08

#define PORT92_RESET 0x01
#define PORT92_A20 0x02

#define I8042_OUTPUT_FULL 0x01
#define I8042_SYSTEM 0x04
#define I8042_IS_COMMAND 0x08
#define I8042_UNLOCKED 0x10
#define I8042_AUX 0x20
#define I8042_TIMEOUT 0x40

#define I8042_RESEND 0xFE
#define OUTPUT_PORT_NO_RESET 0x01
#define OUTPUT_PORT_A20 0x02
#define COMMAND_BYTE_KEYBOARD_OFF 0x10
#define COMMAND_BYTE_AUX_OFF 0x20

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

uint8_t reset_port92_read(const struct reset *r)
{
	return r->port92;
}

/* A20 is always open; the bit is for whoever reads it back. */
enum power_request reset_port92_write(struct reset *r, uint8_t val)
{
	bool rises = val & ~r->port92 & PORT92_RESET;

	r->port92 = val & (PORT92_RESET | PORT92_A20);
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

static void i8042_answer(struct reset *r, uint8_t data, uint8_t status)
{
	r->data = data;
	r->status = (r->status & I8042_IS_COMMAND) | I8042_OUTPUT_FULL | status;
}

/* What a device would do with a byte if there were one. */
static void i8042_no_device(struct reset *r, uint8_t aux)
{
	i8042_answer(r, I8042_RESEND, I8042_TIMEOUT | aux);
}

uint8_t i8042_read_data(struct reset *r)
{
	r->status &= I8042_IS_COMMAND;
	return r->data;
}

uint8_t i8042_read_status(const struct reset *r)
{
	return r->status | I8042_SYSTEM | I8042_UNLOCKED;
}

static enum power_request i8042_write_output_port(struct reset *r, uint8_t val)
{
	r->output_port = val | OUTPUT_PORT_NO_RESET;
	return val & OUTPUT_PORT_NO_RESET ? POWER_NOTHING : POWER_RESET;
}

enum power_request i8042_write_data(struct reset *r, uint8_t val)
{
	uint8_t command = r->command;

	r->command = 0;
	r->status &= (uint8_t)~I8042_IS_COMMAND;
	switch (command) {
	case 0x60:
		r->command_byte = val;
		return POWER_NOTHING;
	case 0xD1:
		return i8042_write_output_port(r, val);
	case 0xD2: /* put into the output buffer as if it came from a device */
		i8042_answer(r, val, 0);
		return POWER_NOTHING;
	case 0xD3:
		i8042_answer(r, val, I8042_AUX);
		return POWER_NOTHING;
	case 0xD4:
		i8042_no_device(r, I8042_AUX);
		return POWER_NOTHING;
	}
	i8042_no_device(r, 0);
	return POWER_NOTHING;
}

/* Commands that take a data byte, and those that answer or only set a bit. */
static void i8042_simple_command(struct reset *r, uint8_t val)
{
	switch (val) {
	case 0x20:
		i8042_answer(r, r->command_byte, 0);
		break;
	case 0x60:
	case 0xD1 ... 0xD4:
		r->command = val;
		break;
	case 0xA7:
		r->command_byte |= COMMAND_BYTE_AUX_OFF;
		break;
	case 0xA8:
		r->command_byte &= (uint8_t)~COMMAND_BYTE_AUX_OFF;
		break;
	case 0xA9: /* interface tests: "clock line stuck low" */
	case 0xAB:
		i8042_answer(r, 0x01, 0);
		break;
	case 0xAA: /* self test passed */
		i8042_answer(r, 0x55, 0);
		break;
	case 0xAD:
		r->command_byte |= COMMAND_BYTE_KEYBOARD_OFF;
		break;
	case 0xAE:
		r->command_byte &= (uint8_t)~COMMAND_BYTE_KEYBOARD_OFF;
		break;
	case 0xD0:
		i8042_answer(r, r->output_port, 0);
		break;
	}
}

/* 0xF0..0xFF pulse the low bits of the output port: bit 0 clear is reset. */
enum power_request i8042_write_command(struct reset *r, uint8_t val)
{
	r->command = 0;
	r->status |= I8042_IS_COMMAND;
	if (val >= 0xF0)
		return val & OUTPUT_PORT_NO_RESET ? POWER_NOTHING : POWER_RESET;
	i8042_simple_command(r, val);
	return POWER_NOTHING;
}

void reset_init(struct reset *r)
{
	*r = (struct reset){
		.port92 = PORT92_A20,
		.command_byte = I8042_SYSTEM | COMMAND_BYTE_KEYBOARD_OFF | COMMAND_BYTE_AUX_OFF,
		.output_port = OUTPUT_PORT_NO_RESET | OUTPUT_PORT_A20,
	};
}
