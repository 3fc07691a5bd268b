/* SPDX-License-Identifier: GPL-2.0-only */
/* The keyboard controller; see i8042.h. No time: every answer is there at once. */
#include "devices/i8042.h"

#define STATUS_OUTPUT_FULL 0x01
#define STATUS_SYSTEM 0x04     /* the self-test has passed: always */
#define STATUS_IS_COMMAND 0x08 /* the last write was to port 0x64 */
#define STATUS_UNLOCKED 0x10   /* always */
#define STATUS_AUX 0x20
#define STATUS_TIMEOUT 0x40

#define CONFIG_KEYBOARD_IRQ 0x01
#define CONFIG_AUX_IRQ 0x02
#define CONFIG_SYSTEM 0x04
#define CONFIG_KEYBOARD_OFF 0x10
#define CONFIG_AUX_OFF 0x20

#define OUTPUT_PORT_NO_RESET 0x01
#define OUTPUT_PORT_A20 0x02
#define OUTPUT_PORT_KEYBOARD_FULL 0x10
#define OUTPUT_PORT_AUX_FULL 0x20

#define PORT92_RESET 0x01
#define PORT92_A20 0x02

#define CMD_READ_CONFIG 0x20
#define CMD_WRITE_CONFIG 0x60
#define CMD_PASSWORD 0xA4
#define CMD_AUX_OFF 0xA7
#define CMD_AUX_ON 0xA8
#define CMD_TEST_AUX 0xA9
#define CMD_SELF_TEST 0xAA
#define CMD_TEST_KEYBOARD 0xAB
#define CMD_KEYBOARD_OFF 0xAD
#define CMD_KEYBOARD_ON 0xAE
#define CMD_READ_INPUT 0xC0
#define CMD_READ_OUTPUT 0xD0
#define CMD_WRITE_OUTPUT 0xD1
#define CMD_LOOP_KEYBOARD 0xD2 /* the byte comes back as if a device had sent it */
#define CMD_LOOP_AUX 0xD3
#define CMD_WRITE_AUX 0xD4
#define CMD_A20_OFF 0xDD
#define CMD_A20_ON 0xDF
#define CMD_READ_TEST 0xE0
#define CMD_PULSE 0xF0 /* and above: the low bits that are clear */

#define ANSWER_RESEND 0xFE
#define ANSWER_SELF_TEST 0x55
#define ANSWER_NO_ERROR 0x00 /* the wires of a port are fine, with or without a device */
#define ANSWER_NO_PASSWORD 0xF1
#define INPUT_PORT_UNLOCKED 0x80

static void i8042_update_irq(struct i8042 *k)
{
	bool full = k->status & STATUS_OUTPUT_FULL, aux = k->status & STATUS_AUX;

	irq_line_set(&k->keyboard, full && !aux && (k->config & CONFIG_KEYBOARD_IRQ));
	irq_line_set(&k->aux, full && aux && (k->config & CONFIG_AUX_IRQ));
}

static void i8042_answer(struct i8042 *k, uint8_t data, uint8_t status)
{
	k->data = data;
	k->status = (k->status & STATUS_IS_COMMAND) | STATUS_OUTPUT_FULL | status;
}

/* What a device would do with a byte if there were one. */
static void i8042_no_device(struct i8042 *k, uint8_t aux)
{
	i8042_answer(k, ANSWER_RESEND, STATUS_TIMEOUT | aux);
}

uint8_t i8042_read_data(struct i8042 *k)
{
	k->status &= STATUS_IS_COMMAND;
	i8042_update_irq(k);
	return k->data;
}

uint8_t i8042_read_status(const struct i8042 *k)
{
	return k->status | STATUS_SYSTEM | STATUS_UNLOCKED;
}

static uint8_t i8042_output_port(const struct i8042 *k)
{
	uint8_t val = OUTPUT_PORT_NO_RESET | (k->a20 ? OUTPUT_PORT_A20 : 0);

	if (k->status & STATUS_OUTPUT_FULL)
		val |= k->status & STATUS_AUX ? OUTPUT_PORT_AUX_FULL : OUTPUT_PORT_KEYBOARD_FULL;
	return val;
}

static enum power_request i8042_write_output_port(struct i8042 *k, uint8_t val)
{
	k->a20 = val & OUTPUT_PORT_A20;
	return val & OUTPUT_PORT_NO_RESET ? POWER_NOTHING : POWER_RESET;
}

enum power_request i8042_write_data(struct i8042 *k, uint8_t val)
{
	enum power_request request = POWER_NOTHING;
	uint8_t command = k->command;

	k->command = 0;
	k->status &= (uint8_t)~STATUS_IS_COMMAND;
	switch (command) {
	case CMD_WRITE_CONFIG:
		k->config = val;
		break;
	case CMD_WRITE_OUTPUT:
		request = i8042_write_output_port(k, val);
		break;
	case CMD_LOOP_KEYBOARD:
		i8042_answer(k, val, 0);
		break;
	case CMD_LOOP_AUX:
		i8042_answer(k, val, STATUS_AUX);
		break;
	case CMD_WRITE_AUX:
		i8042_no_device(k, STATUS_AUX);
		break;
	default:
		i8042_no_device(k, 0);
	}
	i8042_update_irq(k);
	return request;
}

/* Commands that answer. False: @command is not one of them. */
static bool i8042_answers(struct i8042 *k, uint8_t command)
{
	uint8_t answer;

	switch (command) {
	case CMD_READ_CONFIG:
		answer = k->config;
		break;
	case CMD_PASSWORD:
		answer = ANSWER_NO_PASSWORD;
		break;
	case CMD_SELF_TEST:
		answer = ANSWER_SELF_TEST;
		break;
	case CMD_TEST_AUX:
	case CMD_TEST_KEYBOARD:
	case CMD_READ_TEST:
		answer = ANSWER_NO_ERROR;
		break;
	case CMD_READ_INPUT:
		answer = INPUT_PORT_UNLOCKED;
		break;
	case CMD_READ_OUTPUT:
		answer = i8042_output_port(k);
		break;
	default:
		return false;
	}
	i8042_answer(k, answer, 0);
	return true;
}

/* Commands that take a data byte, and those that set a bit. */
static void i8042_silent_command(struct i8042 *k, uint8_t command)
{
	switch (command) {
	case CMD_WRITE_CONFIG:
	case CMD_WRITE_OUTPUT ... CMD_WRITE_AUX:
		k->command = command;
		break;
	case CMD_AUX_OFF:
		k->config |= CONFIG_AUX_OFF;
		break;
	case CMD_AUX_ON:
		k->config &= (uint8_t)~CONFIG_AUX_OFF;
		break;
	case CMD_KEYBOARD_OFF:
		k->config |= CONFIG_KEYBOARD_OFF;
		break;
	case CMD_KEYBOARD_ON:
		k->config &= (uint8_t)~CONFIG_KEYBOARD_OFF;
		break;
	case CMD_A20_OFF:
	case CMD_A20_ON:
		k->a20 = command == CMD_A20_ON;
		break;
	}
}

enum power_request i8042_write_command(struct i8042 *k, uint8_t val)
{
	k->command = 0;
	k->status |= STATUS_IS_COMMAND;
	if (val >= CMD_PULSE)
		return val & OUTPUT_PORT_NO_RESET ? POWER_NOTHING : POWER_RESET;
	if (!i8042_answers(k, val))
		i8042_silent_command(k, val);
	i8042_update_irq(k);
	return POWER_NOTHING;
}

uint8_t i8042_port92_read(const struct i8042 *k)
{
	return k->port92_reset | (k->a20 ? PORT92_A20 : 0);
}

/* The reset happens as its bit goes from 0 to 1. */
enum power_request i8042_port92_write(struct i8042 *k, uint8_t val)
{
	bool rises = val & ~k->port92_reset & PORT92_RESET;

	k->port92_reset = val & PORT92_RESET;
	k->a20 = val & PORT92_A20;
	return rises ? POWER_RESET : POWER_NOTHING;
}

void i8042_init(struct i8042 *k, struct irq_line keyboard, struct irq_line aux)
{
	*k = (struct i8042){
		.a20 = true,
		.config = CONFIG_SYSTEM | CONFIG_KEYBOARD_OFF | CONFIG_AUX_OFF,
		.keyboard = keyboard,
		.aux = aux,
	};
}

void i8042_save(const struct i8042 *k, struct i8042 *out)
{
	*out = *k;
	irq_line_unwire(&out->keyboard);
	irq_line_unwire(&out->aux);
}

void i8042_restore(struct i8042 *k, const struct i8042 *saved)
{
	struct i8042 wiring = *k;

	*k = *saved;
	irq_line_rewire(&k->keyboard, &wiring.keyboard);
	irq_line_rewire(&k->aux, &wiring.aux);
}
