/* SPDX-License-Identifier: GPL-2.0-only */
/* The VGA registers, as drivers of text consoles use them. */
#include "tests/host/devices_fixture.h"

#define STATUS 0x3DA

static uint8_t indexed_read(struct fixture *f, uint16_t port, uint8_t index)
{
	outb(f, port, index);
	return inb(f, (uint16_t)(port + 1));
}

static void indexed_write(struct fixture *f, uint16_t port, uint8_t index, uint8_t val)
{
	outw(f, port, (uint16_t)(val << 8 | index)); /* both at once, as drivers do */
}

static uint8_t attribute_read(struct fixture *f, uint8_t index)
{
	uint8_t val;

	inb(f, STATUS);
	outb(f, 0x3C0, index);
	val = inb(f, 0x3C1);
	inb(f, STATUS);
	outb(f, 0x3C0, 0x20);
	return val;
}

static void attribute_write(struct fixture *f, uint8_t index, uint8_t val)
{
	inb(f, STATUS);
	outb(f, 0x3C0, index);
	outb(f, 0x3C0, val);
	outb(f, 0x3C0, 0x20);
}

static void colour_text_mode_at_the_start(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(inb(f, 0x3CC) & 0x03, 0x03); /* colour, memory enabled */
	assert_int_equal(indexed_read(f, 0x3CE, 6) & 0x0D, 0x0C); /* text at 0xB8000 */
	assert_int_equal(indexed_read(f, 0x3D4, 0x13), 40); /* 80 columns */
	assert_int_equal(attribute_read(f, 0x10) & 1, 0);
	assert_int_equal(f->p.unclaimed, 0);
}

static void cursor_goes_where_it_is_put(void **state)
{
	struct fixture *f = *state;

	for (unsigned int at = 0; at < 2000; at += 37) {
		indexed_write(f, 0x3D4, 0x0E, (uint8_t)(at >> 8));
		indexed_write(f, 0x3D4, 0x0F, (uint8_t)at);
		assert_int_equal(indexed_read(f, 0x3D4, 0x0E) << 8 | indexed_read(f, 0x3D4, 0x0F), at);
	}
	assert_int_equal(inb(f, 0x3D4), 0x0F); /* the index reads back */
}

static const struct bank {
	uint16_t port;
	unsigned int count;
} banks[] = { { 0x3D4, 25 }, { 0x3C4, 5 }, { 0x3CE, 9 } };

/* Every register of every bank keeps a value of its own. */
static void registers_hold_what_is_written(void **state)
{
	struct fixture *f = *state;

	indexed_write(f, 0x3D4, 0x11, 0); /* CRTC 0..7 are protected no more */
	for (unsigned int b = 0; b < ARRAY_SIZE(banks); b++)
		for (uint8_t i = 0; i < banks[b].count; i++)
			indexed_write(f, banks[b].port, i, (uint8_t)((0x35 + 7 * i + b) & 0x7F));
	for (uint8_t i = 0; i < 21; i++)
		attribute_write(f, i, (uint8_t)(0x60 - i));
	for (unsigned int b = 0; b < ARRAY_SIZE(banks); b++)
		for (uint8_t i = 0; i < banks[b].count; i++)
			assert_int_equal(indexed_read(f, banks[b].port, i), (0x35 + 7 * i + b) & 0x7F);
	for (uint8_t i = 0; i < 21; i++)
		assert_int_equal(attribute_read(f, i), 0x60 - i);
	assert_int_equal(f->p.unclaimed, 0);
}

#define DUMP_SIZE (25u + 5 + 9 + 21 + 768)

static void dump(struct fixture *f, uint8_t *to)
{
	for (unsigned int b = 0; b < ARRAY_SIZE(banks); b++)
		for (uint8_t i = 0; i < banks[b].count; i++)
			*to++ = indexed_read(f, banks[b].port, i);
	for (uint8_t i = 0; i < 21; i++)
		*to++ = attribute_read(f, i);
	outb(f, 0x3C7, 0);
	for (unsigned int i = 0; i < 768; i++)
		*to++ = inb(f, 0x3C9);
}

/* They read as zero, and writing to them changes no other. */
static void registers_beyond_the_last_are_nothing(void **state)
{
	uint8_t before[DUMP_SIZE], after[DUMP_SIZE];
	struct fixture *f = *state;

	dump(f, before);
	for (unsigned int b = 0; b < ARRAY_SIZE(banks); b++)
		for (unsigned int index = banks[b].count; index < 256; index++) {
			indexed_write(f, banks[b].port, (uint8_t)index, 0xA5);
			assert_int_equal(indexed_read(f, banks[b].port, (uint8_t)index), 0);
		}
	for (uint8_t index = 21; index < 32; index++) {
		attribute_write(f, index, 0xA5);
		assert_int_equal(attribute_read(f, index), 0);
	}
	dump(f, after);
	assert_memory_equal(before, after, sizeof(before));
}

static void crtc_protection(void **state)
{
	struct fixture *f = *state;

	indexed_write(f, 0x3D4, 0x11, 0x8E);
	indexed_write(f, 0x3D4, 0x00, 0x11);
	indexed_write(f, 0x3D4, 0x07, 0x00);
	assert_int_equal(indexed_read(f, 0x3D4, 0x00), 0x5F);
	assert_int_equal(indexed_read(f, 0x3D4, 0x07), 0x0F); /* all but the line compare bit */
	indexed_write(f, 0x3D4, 0x08, 0x12);
	assert_int_equal(indexed_read(f, 0x3D4, 0x08), 0x12);
	indexed_write(f, 0x3D4, 0x11, 0x0E);
	indexed_write(f, 0x3D4, 0x00, 0x11);
	assert_int_equal(indexed_read(f, 0x3D4, 0x00), 0x11);
}

/* Whoever waits for the beginning or the end of a retrace waits for no time
 * at all: the clock of the fixture stands still. */
static void retraces_come_and_go(void **state)
{
	static const uint8_t bits[] = { 0x01, 0x08 };
	struct fixture *f = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(bits); i++)
		for (unsigned int turn = 0; turn < 10; turn++) {
			unsigned int reads = 0;

			while (inb(f, STATUS) & bits[i])
				assert_in_range(reads++, 0, 8);
			while (!(inb(f, STATUS) & bits[i]))
				assert_in_range(reads++, 0, 8);
		}
	for (unsigned int i = 0; i < 100; i++) {
		uint8_t s = inb(f, STATUS);

		assert_true(s == 0x00 || s == 0x01 || s == 0x09); /* vertical means blank */
	}
}

static void status_resets_the_attribute_flip_flop(void **state)
{
	struct fixture *f = *state;

	inb(f, STATUS);
	outb(f, 0x3C0, 0x11);
	inb(f, STATUS);
	outb(f, 0x3C0, 0x10); /* an index again */
	outb(f, 0x3C0, 0x0D);
	assert_int_equal(attribute_read(f, 0x10), 0x0D);
	assert_int_equal(attribute_read(f, 0x11), 0);
	assert_int_equal(inb(f, 0x3C0), 0x20);
}

static void colour_table_counts_up(void **state)
{
	struct fixture *f = *state;

	outb(f, 0x3C8, 254);
	for (unsigned int i = 0; i < 9; i++) /* over the end: colour 0 follows */
		outb(f, 0x3C9, (uint8_t)(0xC1 + i));
	assert_int_equal(inb(f, 0x3C7), 0);
	outb(f, 0x3C7, 254);
	assert_int_equal(inb(f, 0x3C7), 3);
	for (unsigned int i = 0; i < 9; i++)
		assert_int_equal(inb(f, 0x3C9), 1 + i); /* six bits */
	assert_int_equal(inb(f, 0x3C6), 0xFF);
}

static void colours_of_the_text_mode(void **state)
{
	static const uint8_t grey[] = { 0x2A, 0x2A, 0x2A }, brown[] = { 0x2A, 0x15, 0x00 };
	static const uint8_t yellow[] = { 0x3F, 0x3F, 0x15 };
	struct fixture *f = *state;

	outb(f, 0x3C7, 7);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(inb(f, 0x3C9), grey[i]);
	outb(f, 0x3C7, attribute_read(f, 6));
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(inb(f, 0x3C9), brown[i]);
	outb(f, 0x3C7, attribute_read(f, 14));
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(inb(f, 0x3C9), yellow[i]);
}

/* A driver that asks for a monochrome adapter finds none, until it makes one. */
static void one_place_answers_at_a_time(void **state)
{
	struct fixture *f = *state;

	outb(f, 0x3B4, 0x0F);
	assert_int_equal(inb(f, 0x3B4), 0xFF);
	assert_int_equal(inb(f, 0x3BA), 0xFF);
	outb(f, 0x3C2, inb(f, 0x3CC) & 0xFE);
	assert_int_equal(inb(f, 0x3CC) & 1, 0);
	indexed_write(f, 0x3B4, 0x0F, 0x77);
	assert_int_equal(indexed_read(f, 0x3B4, 0x0F), 0x77);
	assert_int_equal(inb(f, 0x3D4), 0xFF);
	assert_int_equal(inb(f, 0x3DA), 0xFF);
	outb(f, 0x3BA, 0x02);
	assert_int_equal(inb(f, 0x3CA), 0x02);
}

static void neighbours_are_not_ours(void **state)
{
	static const uint16_t port[] = { 0x3B3, 0x3B6, 0x3B9, 0x3BB, 0x3BC, 0x3BF,
					 0x3D0, 0x3D3, 0x3D6, 0x3D8, 0x3D9, 0x3DB, 0x3DF };
	struct fixture *f = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(port); i++) {
		outb(f, port[i], 0x55);
		assert_int_equal(inb(f, port[i]), 0xFF); /* no printer, no CGA registers */
	}
	assert_int_equal(f->p.unclaimed, 2 * ARRAY_SIZE(port));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		device_test(colour_text_mode_at_the_start),
		device_test(cursor_goes_where_it_is_put),
		device_test(registers_hold_what_is_written),
		device_test(registers_beyond_the_last_are_nothing),
		device_test(crtc_protection),
		device_test(retraces_come_and_go),
		device_test(status_resets_the_attribute_flip_flop),
		device_test(colour_table_counts_up),
		device_test(colours_of_the_text_mode),
		device_test(one_place_answers_at_a_time),
		device_test(neighbours_are_not_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
