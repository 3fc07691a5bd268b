/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A platform with a made-up host around it: the clock is a number that tests
 * set, console output and stops are recorded. Header-only: each test program
 * has its own copy.
 */
#ifndef TESTS_HOST_DEVICES_FIXTURE_H
#define TESTS_HOST_DEVICES_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "devices/platform.h"
#include "devices/ticks.h"
#include "lib/errno.h"

#define TSC_HZ 3000000000ull
#define EPOCH 1700000000ull /* Tue Nov 14 22:13:20 2023 UTC */
#define MS (TSC_HZ / 1000)
#define US (TSC_HZ / 1000000)

struct fixture {
	struct platform p;
	uint64_t now;
	char out[4096];
	size_t out_len;
	unsigned int stops, kicks;
	enum platform_stop stop;
	uint32_t stop_code;
};

static uint64_t fixture_now(void *ctx)
{
	return ((struct fixture *)ctx)->now;
}

static void fixture_put(void *ctx, uint8_t byte)
{
	struct fixture *f = ctx;

	if (f->out_len < sizeof(f->out))
		f->out[f->out_len++] = (char)byte;
}

static void fixture_stop(void *ctx, enum platform_stop why, uint32_t code)
{
	struct fixture *f = ctx;

	f->stops++;
	f->stop = why;
	f->stop_code = code;
}

static void fixture_kick(void *ctx, unsigned int cpu)
{
	assert_true(cpu < PLATFORM_VCPUS_MAX);
	((struct fixture *)ctx)->kicks++;
}

static inline struct platform_config fixture_config(struct fixture *f)
{
	return (struct platform_config){
		.tsc_hz = TSC_HZ,
		.low_memory = 512ull << 20,
		.high_memory = 1ull << 30,
		.vcpus = 1,
		.rtc_epoch = EPOCH,
		.host = { fixture_now, fixture_put, fixture_stop, fixture_kick, f },
	};
}

static inline int fixture_teardown(void **state)
{
	free(*state);
	return 0;
}

static inline uint32_t in_n(struct fixture *f, uint16_t port, unsigned int len)
{
	uint32_t val;

	platform_port_read(&f->p, 0, port, len, &val);
	return val;
}

static inline uint8_t inb(struct fixture *f, uint16_t port) { return (uint8_t)in_n(f, port, 1); }
static inline uint32_t inl(struct fixture *f, uint16_t port) { return in_n(f, port, 4); }

static inline void outb(struct fixture *f, uint16_t port, uint8_t val)
{
	platform_port_write(&f->p, 0, port, 1, val);
}

static inline void outw(struct fixture *f, uint16_t port, uint16_t val)
{
	platform_port_write(&f->p, 0, port, 2, val);
}

static inline void outl(struct fixture *f, uint16_t port, uint32_t val)
{
	platform_port_write(&f->p, 0, port, 4, val);
}

/* The machine as firmware leaves it. */
static inline int fixture_setup_firmware(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct platform_config c = fixture_config(f);

	*state = f;
	return platform_init(&f->p, &c);
}

/* Without the interrupts that firmware leaves on: no timer, no 8259. */
static inline void fixture_quiet(struct fixture *f)
{
	outb(f, 0x43, 0x30);
	outb(f, 0x21, 0xFF);
	f->kicks = 0;
}

static inline int fixture_setup(void **state)
{
	int err = fixture_setup_firmware(state);

	if (!err)
		fixture_quiet(*state);
	return err;
}

#define device_test(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
#define firmware_test(name) cmocka_unit_test_setup_teardown(name, fixture_setup_firmware, fixture_teardown)

static inline uint32_t mmio_read(struct fixture *f, uint64_t addr)
{
	uint64_t val;

	platform_mmio_read(&f->p, 0, gpa(addr), 4, &val);
	return (uint32_t)val;
}

static inline void mmio_write(struct fixture *f, uint64_t addr, uint32_t val)
{
	platform_mmio_write(&f->p, 0, gpa(addr), 4, val);
}

static inline uint32_t apic_read(struct fixture *f, uint32_t reg)
{
	return mmio_read(f, LAPIC_DEFAULT_BASE + reg);
}

static inline void apic_write(struct fixture *f, uint32_t reg, uint32_t val)
{
	mmio_write(f, LAPIC_DEFAULT_BASE + reg, val);
}

static inline void ioapic_reg_write(struct fixture *f, uint8_t reg, uint32_t val)
{
	mmio_write(f, IOAPIC_DEFAULT_BASE, reg);
	mmio_write(f, IOAPIC_DEFAULT_BASE + 0x10, val);
}

static inline uint32_t ioapic_reg_read(struct fixture *f, uint8_t reg)
{
	mmio_write(f, IOAPIC_DEFAULT_BASE, reg);
	return mmio_read(f, IOAPIC_DEFAULT_BASE + 0x10);
}

/* Input @pin to vector @flags_vector (with delivery, trigger, mask bits), CPU 0. */
static inline void ioapic_route(struct fixture *f, unsigned int pin, uint32_t flags_vector)
{
	ioapic_reg_write(f, (uint8_t)(0x11 + 2 * pin), 0);
	ioapic_reg_write(f, (uint8_t)(0x10 + 2 * pin), flags_vector);
}

/* The 8259s as Linux sets them up: vectors 0x30 and 0x38, @mask of 16 inputs. */
static inline void pic_setup(struct fixture *f, uint16_t mask)
{
	static const uint8_t slave[] = { 0x11, 0x38, 2, 1 }, master[] = { 0x11, 0x30, 4, 1 };

	for (unsigned int i = 0; i < 4; i++) {
		outb(f, i ? 0x21 : 0x20, master[i]);
		outb(f, i ? 0xA1 : 0xA0, slave[i]);
	}
	outb(f, 0x21, (uint8_t)mask);
	outb(f, 0xA1, (uint8_t)(mask >> 8));
}

static inline int take(struct fixture *f)
{
	return platform_interrupt_ack(&f->p, 0);
}

/* Lets the clock go to @when, running timers when they ask for it. */
static inline void run_until(struct fixture *f, uint64_t when)
{
	while (platform_next_deadline(&f->p) <= when) {
		if (platform_next_deadline(&f->p) > f->now)
			f->now = platform_next_deadline(&f->p);
		platform_run_timers(&f->p);
	}
	f->now = when;
	platform_run_timers(&f->p);
}

#endif
