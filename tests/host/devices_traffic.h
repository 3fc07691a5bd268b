/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Random accesses to a platform, by a guest that means no good. Header-only, as
 * the fixture is; what comes follows from random_state.
 */
#ifndef TESTS_HOST_DEVICES_TRAFFIC_H
#define TESTS_HOST_DEVICES_TRAFFIC_H

#include "tests/host/devices_fixture.h"

static uint64_t random_state = 0x9E3779B97F4A7C15ull;

static inline uint64_t rnd(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static inline uint16_t random_port(void)
{
	static const uint16_t base[] = { 0x00,	0x08,  0x20,  0x40,  0x60,  0x64,  0x70,  0x80,	 0x92,
					 0xA0,	0xC0,  0xD0,  0xE9,  0xF4,  0x3B4, 0x3C0, 0x3C8, 0x3D4,
					 0x3F8, 0x4D0, 0x510, 0x600, 0xCF8, 0xCFC, 0x8900 };

	return rnd() % 8 ? (uint16_t)(base[rnd() % ARRAY_SIZE(base)] + rnd() % 8) : (uint16_t)rnd();
}

static inline gpa_t random_address(void)
{
	switch (rnd() % 4) {
	case 0:
		return gpa(IOAPIC_DEFAULT_BASE + (rnd() % 8 ? (rnd() % 8) * 16 : rnd() % 4096));
	case 1:
		return gpa(rnd());
	default:
		return gpa(LAPIC_DEFAULT_BASE + (rnd() % 8 ? (rnd() % 64) * 16 : rnd() % 4096));
	}
}

static inline uint32_t random_msr(void)
{
	switch (rnd() % 8) {
	case 0:
		return MSR_IA32_APIC_BASE;
	case 1:
		return MSR_IA32_TSC_DEADLINE;
	case 2:
		return (uint32_t)rnd();
	default:
		return 0x800 + (uint32_t)(rnd() % 0x48);
	}
}

static inline uint64_t random_value(void)
{
	uint64_t v = rnd();

	switch (rnd() % 4) {
	case 0:
		return v & 0xFF;
	case 1:
		return LAPIC_DEFAULT_BASE | (v & 0xD00);
	case 2:
		return v & 0x3FFFF;
	default:
		return v;
	}
}

/* Ports, memory, MSRs, priority, typing. @deadline: for the APIC timer, if that
 * is written. What the guest is told; deadlines from now on. */
static inline uint64_t hostile_access(struct fixture *f, uint64_t deadline)
{
	static const unsigned int odd[] = { 1, 2, 4, 8, 3, 0, 16 };
	unsigned int len = odd[rnd() % (rnd() % 4 ? 3 : ARRAY_SIZE(odd))];
	uint32_t msr = random_msr(), val32 = 0;
	uint64_t val64 = 0;

	switch (rnd() % 10) {
	case 0 ... 1:
		platform_port_read(&f->p, 0, random_port(), len, &val32);
		return val32;
	case 2 ... 4:
		platform_port_write(&f->p, 0, random_port(), len, (uint32_t)random_value());
		return 0;
	case 5:
		platform_mmio_read(&f->p, 0, random_address(), len, &val64);
		return val64;
	case 6 ... 7:
		platform_mmio_write(&f->p, 0, random_address(), len, random_value());
		return 0;
	case 8:
		val64 = msr == MSR_IA32_TSC_DEADLINE ? deadline : random_value();
		if (platform_msr_write(&f->p, 0, msr, val64))
			return UINT64_MAX;
		if (platform_msr_read(&f->p, 0, msr, &val64))
			return UINT64_MAX;
		return msr == MSR_IA32_TSC_DEADLINE && val64 ? val64 - f->now : val64;
	default:
		platform_cr8_write(&f->p, 0, (uint8_t)rnd());
		return (uint64_t)platform_console_input(&f->p, (uint8_t)rnd());
	}
}

/* Or time goes by, or the CPU takes what there is to take. */
static inline uint64_t hostile_step(struct fixture *f)
{
	switch (rnd() % 12) {
	case 0:
		f->now += rnd() >> (8 + rnd() % 56);
		platform_run_timers(&f->p);
		return 0;
	case 1:
		return (uint64_t)platform_interrupt_ack(&f->p, 0) << 1 | platform_nmi_take(&f->p, 0);
	default:
		return hostile_access(f, random_value());
	}
}

#endif
