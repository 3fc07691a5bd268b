/* SPDX-License-Identifier: GPL-2.0-only */
/* The I/O APIC through its window, edges, levels, EOI in all its forms. */
#include "tests/host/devices_fixture.h"

#define APIC_EOI 0xB0
#define APIC_SVR 0xF0
#define LEVEL 0x8000u
#define REMOTE_IRR 0x4000u
#define MASKED 0x10000u

static void pin(struct fixture *f, unsigned int n, bool level)
{
	ioapic_set_pin(&f->p.ioapic, n, level);
}

static void eoi(struct fixture *f)
{
	apic_write(f, APIC_EOI, 0);
}

static void identification(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ioapic_reg_read(f, 1), 0x00170020);
	assert_int_equal(ioapic_reg_read(f, 0), IOAPIC_ID << 24);
	ioapic_reg_write(f, 0, 0x05000000);
	assert_int_equal(ioapic_reg_read(f, 0), 0x05000000);
	assert_int_equal(ioapic_reg_read(f, 2), 0x05000000);
	ioapic_reg_write(f, 1, 0xFFFFFFFF);
	assert_int_equal(ioapic_reg_read(f, 1), 0x00170020);
	for (unsigned int i = 0; i < IOAPIC_PINS; i++)
		assert_int_equal(ioapic_reg_read(f, (uint8_t)(0x10 + 2 * i)), MASKED);
	assert_int_equal(ioapic_reg_read(f, 0x10 + 2 * IOAPIC_PINS), 0);
}

static void status_bits_are_read_only(void **state)
{
	struct fixture *f = *state;

	ioapic_reg_write(f, 0x11, 0xFFFFFFFF);
	ioapic_reg_write(f, 0x10, 0xFFFFFFFF);
	assert_int_equal(ioapic_reg_read(f, 0x10), 0x1AFFF);
	assert_int_equal(ioapic_reg_read(f, 0x11), 0xFF000000);
}

static void edge_is_delivered_once(void **state)
{
	struct fixture *f = *state;

	ioapic_route(f, 4, 0x44);
	pin(f, 4, true);
	assert_int_equal(take(f), 0x44);
	eoi(f);
	assert_int_equal(take(f), -EAGAIN);
	pin(f, 4, false);
	pin(f, 4, true);
	assert_int_equal(take(f), 0x44);
}

static void edge_at_a_masked_input_is_lost(void **state)
{
	struct fixture *f = *state;

	ioapic_route(f, 4, MASKED | 0x44);
	pin(f, 4, true);
	ioapic_route(f, 4, 0x44);
	assert_int_equal(take(f), -EAGAIN);
}

static void level_asks_again_until_it_falls(void **state)
{
	struct fixture *f = *state;

	ioapic_route(f, 9, LEVEL | 0x49);
	pin(f, 9, true);
	assert_int_equal(ioapic_reg_read(f, 0x22), LEVEL | REMOTE_IRR | 0x49);
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(take(f), 0x49);
		assert_int_equal(take(f), -EAGAIN);
		eoi(f);
	}
	assert_int_equal(take(f), 0x49);
	pin(f, 9, false);
	eoi(f);
	assert_int_equal(take(f), -EAGAIN);
	assert_int_equal(ioapic_reg_read(f, 0x22), LEVEL | 0x49);
}

static void level_waits_while_masked(void **state)
{
	struct fixture *f = *state;

	ioapic_route(f, 9, MASKED | LEVEL | 0x49);
	pin(f, 9, true);
	assert_int_equal(take(f), -EAGAIN);
	ioapic_route(f, 9, LEVEL | 0x49);
	assert_int_equal(take(f), 0x49);
	ioapic_route(f, 9, MASKED | LEVEL | 0x49); /* masked in the handler */
	eoi(f);
	assert_int_equal(take(f), -EAGAIN);
	ioapic_route(f, 9, LEVEL | 0x49);
	assert_int_equal(take(f), 0x49);
}

/* With the broadcast suppressed (SVR bit 12) the guest writes the register. */
static void directed_eoi(void **state)
{
	struct fixture *f = *state;

	apic_write(f, APIC_SVR, 0x11FF);
	ioapic_route(f, 9, LEVEL | 0x49);
	pin(f, 9, true);
	assert_int_equal(take(f), 0x49);
	eoi(f);
	assert_int_equal(take(f), -EAGAIN);
	assert_true(ioapic_reg_read(f, 0x22) & REMOTE_IRR);
	mmio_write(f, IOAPIC_DEFAULT_BASE + 0x40, 0x48);
	assert_int_equal(take(f), -EAGAIN);
	mmio_write(f, IOAPIC_DEFAULT_BASE + 0x40, 0x49);
	assert_int_equal(take(f), 0x49);
}

/* How Linux ends a level interrupt on parts without that register. */
static void switching_to_edge_clears_remote_irr(void **state)
{
	struct fixture *f = *state;

	ioapic_route(f, 9, LEVEL | 0x49);
	pin(f, 9, true);
	ioapic_route(f, 9, MASKED | 0x49);
	assert_false(ioapic_reg_read(f, 0x22) & REMOTE_IRR);
}

static void destinations(void **state)
{
	struct fixture *f = *state;

	ioapic_route(f, 5, 0x45);
	ioapic_reg_write(f, 0x1B, 0x07000000); /* another CPU */
	pin(f, 5, true);
	assert_int_equal(take(f), -EAGAIN);
	ioapic_reg_write(f, 0x1B, 0xFF000000);
	pin(f, 5, false);
	pin(f, 5, true);
	assert_int_equal(take(f), 0x45);
	eoi(f);
	apic_write(f, 0xD0, 0x01000000);
	ioapic_reg_write(f, 0x1B, 0x01000000);
	ioapic_reg_write(f, 0x1A, 0x0900 | 0x45); /* logical, lowest priority */
	pin(f, 5, false);
	pin(f, 5, true);
	assert_int_equal(take(f), 0x45);
}

static void nmi_delivery(void **state)
{
	struct fixture *f = *state;

	assert_false(platform_nmi_possible(&f->p, 0));
	ioapic_route(f, 7, 0x0400 | MASKED);
	assert_false(platform_nmi_possible(&f->p, 0));
	ioapic_route(f, 7, 0x0400);
	assert_true(platform_nmi_possible(&f->p, 0));
	pin(f, 7, true);
	ioapic_route(f, 7, 0x0147);
	assert_true(platform_nmi_possible(&f->p, 0)); /* it is here */
	assert_true(platform_nmi_take(&f->p, 0));
	assert_false(platform_nmi_possible(&f->p, 0));
	assert_int_equal(take(f), -EAGAIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		device_test(identification),
		device_test(status_bits_are_read_only),
		device_test(edge_is_delivered_once),
		device_test(edge_at_a_masked_input_is_lost),
		device_test(level_asks_again_until_it_falls),
		device_test(level_waits_while_masked),
		device_test(directed_eoi),
		device_test(switching_to_edge_clears_remote_irr),
		device_test(destinations),
		device_test(nmi_delivery),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
