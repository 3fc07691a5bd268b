/* SPDX-License-Identifier: GPL-2.0-only */
/* The 8259 pair: initialisation, priorities, end of interrupt, spurious. */
#include "tests/host/devices_fixture.h"

static void raise_irq(struct fixture *f, unsigned int irq, bool level)
{
	pic_set_irq(&f->p.pic, irq, level);
}

static void edge(struct fixture *f, unsigned int irq)
{
	raise_irq(f, irq, true);
	raise_irq(f, irq, false);
}

/* Linux's probe_8259A() */
static void mask_register_reads_back(void **state)
{
	struct fixture *f = *state;

	outb(f, 0xA1, 0xFF);
	outb(f, 0x21, 0xFB);
	assert_int_equal(inb(f, 0x21), 0xFB);
	assert_int_equal(inb(f, 0xA1), 0xFF);
}

static void starts_as_firmware_leaves_it(void **state)
{
	struct fixture *f = *state;

	edge(f, 1);
	assert_int_equal(take(f), -EAGAIN);
	outb(f, 0x21, 0xFD);
	assert_int_equal(take(f), 0x09);
}

static void vectors_come_from_icw2(void **state)
{
	struct fixture *f = *state;

	for (unsigned int irq = 0; irq < 16; irq++) {
		if (irq == 2)
			continue;
		pic_setup(f, 0);
		raise_irq(f, irq, true);
		assert_int_equal(take(f), 0x30 + irq);
		raise_irq(f, irq, false);
	}
}

static void nothing_is_asked_between_icw1_and_icw4(void **state)
{
	struct fixture *f = *state;

	pic_setup(f, 0);
	outb(f, 0x20, 0x11);
	edge(f, 3);
	assert_false(platform_interrupt_pending(&f->p, 0));
	outb(f, 0x21, 0x40);
	outb(f, 0x21, 4);
	assert_false(platform_interrupt_pending(&f->p, 0));
	outb(f, 0x21, 1);
	assert_int_equal(take(f), 0x43);
}

static void priority_nests(void **state)
{
	struct fixture *f = *state;

	pic_setup(f, 0);
	edge(f, 4);
	assert_int_equal(take(f), 0x34);
	edge(f, 5);
	edge(f, 4);
	assert_int_equal(take(f), -EAGAIN);
	edge(f, 8); /* the slave is on input 2: above 4 */
	assert_int_equal(take(f), 0x38);
	outb(f, 0xA0, 0x20);
	outb(f, 0x20, 0x20);
	assert_int_equal(take(f), -EAGAIN); /* 4 is still in service */
	outb(f, 0x20, 0x20);
	assert_int_equal(take(f), 0x34);
	outb(f, 0x20, 0x64); /* specific EOI for 4 */
	assert_int_equal(take(f), 0x35);
}

static void spurious_interrupt_sets_no_isr(void **state)
{
	struct fixture *f = *state;

	pic_setup(f, 0);
	edge(f, 3);
	outb(f, 0x21, 0xFF);
	assert_int_equal(pic_acknowledge(&f->p.pic), 0x37);
	outb(f, 0x20, 0x0B);
	assert_int_equal(inb(f, 0x20), 0);
	outb(f, 0x20, 0x0A);
	assert_int_equal(inb(f, 0x20), 0x08); /* the request itself waits */
}

/* The slave's request goes between the master's and the slave's cycle. */
static void spurious_interrupt_of_the_slave(void **state)
{
	struct fixture *f = *state;

	pic_setup(f, 0);
	edge(f, 10);
	f->p.pic.chip[1].irr = 0;
	assert_int_equal(take(f), 0x3F);
	outb(f, 0x20, 0x0B);
	assert_int_equal(inb(f, 0x20), 0x04);
	outb(f, 0xA0, 0x0B);
	assert_int_equal(inb(f, 0xA0), 0);
}

static void level_input_asks_again_after_eoi(void **state)
{
	struct fixture *f = *state;

	pic_setup(f, 0);
	outb(f, 0x4D0, 0xFF);
	outb(f, 0x4D1, 0xFF);
	assert_int_equal(inb(f, 0x4D0), 0xF8); /* IRQ 0, 1, 2, 8, 13 cannot */
	assert_int_equal(inb(f, 0x4D1), 0xDE);
	raise_irq(f, 5, true);
	assert_int_equal(take(f), 0x35);
	assert_int_equal(take(f), -EAGAIN);
	outb(f, 0x20, 0x20);
	assert_int_equal(take(f), 0x35);
	raise_irq(f, 5, false);
	outb(f, 0x20, 0x20);
	assert_int_equal(take(f), -EAGAIN);
}

static void automatic_eoi(void **state)
{
	struct fixture *f = *state;

	pic_setup(f, 0);
	outb(f, 0x20, 0x11);
	outb(f, 0x21, 0x30);
	outb(f, 0x21, 4);
	outb(f, 0x21, 3);
	outb(f, 0x21, 0);
	edge(f, 3);
	assert_int_equal(take(f), 0x33);
	edge(f, 4);
	assert_int_equal(take(f), 0x34);
	outb(f, 0x20, 0x80); /* rotate in automatic EOI mode */
	edge(f, 3);
	assert_int_equal(take(f), 0x33);
	edge(f, 3);
	edge(f, 4);
	assert_int_equal(take(f), 0x34); /* 3 became the lowest */
}

static void rotation(void **state)
{
	struct fixture *f = *state;

	pic_setup(f, 0);
	outb(f, 0x20, 0xC0 | 4); /* 4 lowest, 5 highest */
	edge(f, 0);
	edge(f, 5);
	assert_int_equal(take(f), 0x35);
	outb(f, 0x20, 0xA0); /* EOI, and 5 becomes the lowest */
	edge(f, 5);
	assert_int_equal(take(f), 0x30);
	outb(f, 0x20, 0x20);
	assert_int_equal(take(f), 0x35);
}

static void poll_acknowledges(void **state)
{
	struct fixture *f = *state;

	pic_setup(f, 0);
	outb(f, 0x20, 0x0C);
	assert_int_equal(inb(f, 0x20), 0);
	edge(f, 6);
	outb(f, 0x20, 0x0C);
	assert_int_equal(inb(f, 0x20), 0x86);
	outb(f, 0x20, 0x0B);
	assert_int_equal(inb(f, 0x20), 0x40);
	assert_int_equal(take(f), -EAGAIN);
}

static void special_mask_lets_lower_ones_through(void **state)
{
	struct fixture *f = *state;

	pic_setup(f, 0);
	edge(f, 3);
	assert_int_equal(take(f), 0x33);
	edge(f, 6);
	assert_int_equal(take(f), -EAGAIN);
	outb(f, 0x20, 0x68);
	outb(f, 0x21, 0x08);
	assert_int_equal(take(f), 0x36);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		device_test(mask_register_reads_back),
		device_test(starts_as_firmware_leaves_it),
		device_test(vectors_come_from_icw2),
		device_test(nothing_is_asked_between_icw1_and_icw4),
		device_test(priority_nests),
		device_test(spurious_interrupt_sets_no_isr),
		device_test(spurious_interrupt_of_the_slave),
		device_test(level_input_asks_again_after_eoi),
		device_test(automatic_eoi),
		device_test(rotation),
		device_test(poll_acknowledges),
		device_test(special_mask_lets_lower_ones_through),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
