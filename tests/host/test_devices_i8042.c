/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The keyboard controller without a keyboard: as drivers probe it, and that
 * nobody who asks politely or impolitely is kept waiting.
 */
#include "tests/host/devices_fixture.h"

#define DATA 0x60
#define STATUS 0x64
#define COMMAND 0x64

#define FULL 0x01
#define BUSY 0x02
#define AUX 0x20
#define TIMEOUT 0x40

static void command(struct fixture *f, uint8_t val)
{
	assert_int_equal(inb(f, STATUS) & BUSY, 0);
	outb(f, COMMAND, val);
}

static void command_with(struct fixture *f, uint8_t val, uint8_t data)
{
	command(f, val);
	assert_int_equal(inb(f, STATUS) & (FULL | BUSY), 0); /* it waits for its byte, and says nothing */
	outb(f, DATA, data);
}

/* The answer is there at once, and is taken by reading it. */
static uint8_t answer(struct fixture *f, uint8_t kind)
{
	uint8_t val;

	assert_int_equal(inb(f, STATUS) & (FULL | BUSY | AUX | TIMEOUT), FULL | kind);
	val = inb(f, DATA);
	assert_int_equal(inb(f, STATUS) & (FULL | AUX | TIMEOUT), 0);
	return val;
}

static void idle_at_the_start(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(inb(f, STATUS), 0x14); /* self-test passed, not locked, empty, not busy */
	assert_int_equal(inb(f, DATA), 0);
	assert_int_equal(f->p.unclaimed, 0);
}

static void tests_pass(void **state)
{
	struct fixture *f = *state;

	command(f, 0xAA);
	assert_int_equal(inb(f, STATUS) & 0x08, 0x08); /* the last write was a command */
	assert_int_equal(answer(f, 0), 0x55);
	command(f, 0xAB);
	assert_int_equal(answer(f, 0), 0x00);
	command(f, 0xA9);
	assert_int_equal(answer(f, 0), 0x00);
	command(f, 0xA4); /* a password? */
	assert_int_equal(answer(f, 0), 0xF1);
	command(f, 0xC0);
	assert_int_equal(answer(f, 0) & 0x80, 0x80); /* not locked */
	command(f, 0xE0);
	assert_int_equal(answer(f, 0), 0x00);
}

static uint8_t config(struct fixture *f)
{
	command(f, 0x20);
	return answer(f, 0);
}

static void configuration_byte(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(config(f), 0x34); /* both off, no interrupts */
	for (unsigned int val = 0; val < 256; val += 17) {
		command_with(f, 0x60, (uint8_t)val);
		assert_int_equal(config(f), val);
	}
	command_with(f, 0x60, 0);
	command(f, 0xAD);
	assert_int_equal(config(f), 0x10);
	command(f, 0xA7);
	assert_int_equal(config(f), 0x30);
	command(f, 0xAE);
	assert_int_equal(config(f), 0x20);
	command(f, 0xA8);
	assert_int_equal(config(f), 0x00);
}

/* Reset, identify, LEDs, scan, echo, rate: nobody is there. Each byte of a
 * command and of its data has its own time-out. */
static void no_keyboard_answers(void **state)
{
	static const uint8_t bytes[] = { 0xFF, 0xF2, 0xED, 0x07, 0xF4, 0xF5, 0xEE, 0xF3, 0x20, 0xF6 };
	struct fixture *f = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(bytes); i++) {
		outb(f, DATA, bytes[i]);
		assert_int_equal(inb(f, STATUS) & 0x08, 0);
		assert_int_equal(answer(f, TIMEOUT), 0xFE);
	}
	assert_int_equal(f->stops, 0);
}

static void no_mouse_answers(void **state)
{
	struct fixture *f = *state;

	command_with(f, 0xD4, 0xFF);
	assert_int_equal(answer(f, TIMEOUT | AUX), 0xFE);
	command_with(f, 0xD4, 0xF4);
	assert_int_equal(answer(f, TIMEOUT | AUX), 0xFE);
}

static void loops_bring_bytes_back(void **state)
{
	struct fixture *f = *state;

	command_with(f, 0xD2, 0x5A);
	assert_int_equal(answer(f, 0), 0x5A);
	command_with(f, 0xD3, 0xA5);
	assert_int_equal(answer(f, AUX), 0xA5);
}

/* Drain, as every driver begins: it ends. */
static void draining_ends(void **state)
{
	struct fixture *f = *state;

	outb(f, DATA, 0xFF);
	outb(f, DATA, 0xFF);
	for (unsigned int i = 0; inb(f, STATUS) & FULL; i++) {
		assert_in_range(i, 0, 1);
		inb(f, DATA);
	}
}

/* A command that nobody knows says nothing, and does not eat the next byte. */
static void unknown_commands_are_silent(void **state)
{
	struct fixture *f = *state;

	for (unsigned int val = 0x21; val < 0x60; val++) {
		command(f, (uint8_t)val);
		assert_int_equal(inb(f, STATUS) & FULL, 0);
	}
	command(f, 0x60);
	command(f, 0xBF); /* takes the place of the one that waits for a byte */
	outb(f, DATA, 0x99);
	assert_int_equal(answer(f, TIMEOUT), 0xFE);
	assert_int_equal(config(f), 0x34);
}

static bool a20(struct fixture *f)
{
	bool by_8042;

	command(f, 0xD0);
	by_8042 = answer(f, 0) & 2;
	assert_int_equal(inb(f, 0x92) >> 1 & 1, by_8042); /* one line, whoever asks */
	return by_8042;
}

static void a20_has_one_owner(void **state)
{
	struct fixture *f = *state;

	assert_true(a20(f));
	command_with(f, 0xD1, 0xDD);
	assert_false(a20(f));
	command_with(f, 0xD1, 0xDF);
	assert_true(a20(f));
	outb(f, 0x92, 0x00);
	assert_false(a20(f));
	outb(f, 0x92, 0x02);
	assert_true(a20(f));
	command(f, 0xDD);
	assert_false(a20(f));
	command(f, 0xDF);
	assert_true(a20(f));
	assert_int_equal(f->stops, 0);
}

static void output_port_shows_a_waiting_byte(void **state)
{
	struct fixture *f = *state;

	command(f, 0xD0);
	assert_int_equal(answer(f, 0), 0x03);
	command_with(f, 0xD2, 1);
	command(f, 0xD0);
	assert_int_equal(answer(f, 0), 0x13);
	command_with(f, 0xD3, 1);
	command(f, 0xD0);
	assert_int_equal(answer(f, 0), 0x23);
}

static void expect_reset(struct fixture *f)
{
	assert_int_equal(f->stops, 1);
	assert_int_equal(f->stop, PLATFORM_STOP_RESET);
	f->stops = 0;
}

static void ways_to_reset(void **state)
{
	struct fixture *f = *state;

	command(f, 0xFE);
	expect_reset(f);
	command_with(f, 0xD1, 0x02);
	expect_reset(f);
	outb(f, 0x92, 0x03);
	expect_reset(f);
	outb(f, 0x92, 0x03); /* no edge */
	for (unsigned int val = 0xF1; val < 0x100; val += 2)
		command(f, (uint8_t)val); /* pulses of other lines */
	command_with(f, 0xD1, 0x03);
	assert_int_equal(f->stops, 0);
	command(f, 0xF0);
	expect_reset(f);
}

/* The mouse at IRQ 12, the keyboard at IRQ 1, both only if they are let. */
static void answers_interrupt_where_enabled(void **state)
{
	struct fixture *f = *state;

	pic_setup(f, (uint16_t)~(1u << 1 | 1u << 2 | 1u << 12));
	outb(f, DATA, 0xF2);
	assert_int_equal(take(f), -EAGAIN);
	inb(f, DATA);
	command_with(f, 0x60, 0x03);
	outb(f, DATA, 0xF2);
	assert_int_equal(take(f), 0x31);
	outb(f, 0x20, 0x20);
	assert_int_equal(answer(f, TIMEOUT), 0xFE);
	command_with(f, 0xD4, 0xF2);
	assert_int_equal(take(f), 0x3C);
	outb(f, 0xA0, 0x20);
	outb(f, 0x20, 0x20);
	assert_int_equal(answer(f, TIMEOUT | AUX), 0xFE);
	assert_int_equal(take(f), -EAGAIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		device_test(idle_at_the_start),
		device_test(tests_pass),
		device_test(configuration_byte),
		device_test(no_keyboard_answers),
		device_test(no_mouse_answers),
		device_test(loops_bring_bytes_back),
		device_test(draining_ends),
		device_test(unknown_commands_are_silent),
		device_test(a20_has_one_owner),
		device_test(output_port_shows_a_waiting_byte),
		device_test(ways_to_reset),
		device_test(answers_interrupt_where_enabled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
