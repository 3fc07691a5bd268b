/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * libFuzzer target: the input is a program of accesses to the platform, 12
 * bytes each: kind, length, address (16 bits within the kind), value.
 */
#include <string.h>

#include "devices/platform.h"

struct fuzz_op {
	uint8_t kind, len;
	uint16_t address;
	uint64_t value;
} PACKED;

static uint64_t clock_now;

static uint64_t fuzz_now(void *ctx) { return clock_now; }
static void fuzz_put(void *ctx, uint8_t byte) { }
static void fuzz_stop(void *ctx, enum platform_stop why, uint32_t code) { }
static void fuzz_kick(void *ctx, unsigned int cpu) { }

static const struct platform_config config = {
	.tsc_hz = 2500000000ull,
	.low_memory = 1ull << 30,
	.vcpus = 1,
	.rtc_epoch = 1700000000,
	.host = { fuzz_now, fuzz_put, fuzz_stop, fuzz_kick, NULL },
};

static void fuzz_mmio(struct platform *p, const struct fuzz_op *op, bool write)
{
	uint64_t base = op->address & 0x8000 ? IOAPIC_DEFAULT_BASE : LAPIC_DEFAULT_BASE;
	gpa_t addr = gpa(base + (op->address & 0xFFF));
	uint64_t val;

	if (write)
		platform_mmio_write(p, 0, addr, op->len, op->value);
	else
		platform_mmio_read(p, 0, addr, op->len, &val);
}

static uint32_t fuzz_msr(uint16_t address)
{
	switch (address >> 14) {
	case 0:
		return MSR_IA32_APIC_BASE;
	case 1:
		return MSR_IA32_TSC_DEADLINE;
	}
	return MSR_X2APIC_FIRST + (address & 0xFF);
}

static void fuzz_step(struct platform *p, const struct fuzz_op *op)
{
	uint32_t val32;
	uint64_t val64;

	switch (op->kind % 9) {
	case 0:
		platform_port_read(p, 0, op->address, op->len, &val32);
		break;
	case 1:
		platform_port_write(p, 0, op->address, op->len, (uint32_t)op->value);
		break;
	case 2:
	case 3:
		fuzz_mmio(p, op, op->kind % 9 == 3);
		break;
	case 4:
		(void)!platform_msr_read(p, 0, fuzz_msr(op->address), &val64);
		break;
	case 5:
		(void)!platform_msr_write(p, 0, fuzz_msr(op->address), op->value);
		break;
	case 6:
		clock_now += op->value >> (op->len & 63);
		platform_run_timers(p);
		break;
	case 7:
		(void)!platform_console_input(p, (uint8_t)op->value);
		platform_cr8_write(p, 0, op->len);
		break;
	case 8:
		if (platform_interrupt_pending(p, 0) && platform_interrupt_ack(p, 0) < 0)
			__builtin_trap();
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct platform p;
	struct fuzz_op op;

	clock_now = 0;
	if (platform_init(&p, &config))
		__builtin_trap();
	for (; size >= sizeof(op); data += sizeof(op), size -= sizeof(op)) {
		memcpy(&op, data, sizeof(op));
		fuzz_step(&p, &op);
	}
	return 0;
}
