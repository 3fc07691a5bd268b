/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The virtual platform of one VM: a small PC. UART 16550 at 0x3F8 IRQ 4,
 * 8259 pair, 8254 with the speaker-port gate, local APICs, IOAPIC, RTC/CMOS,
 * reset and power-off ports, ACPI PM1a and PM timer, PCI configuration space
 * with nothing in it, QEMU's fw_cfg and isa-debug-exit.
 *
 * Pure code: no globals, no clock of its own. All times are ticks of one clock
 * that runs at the TSC's frequency and that no guest can set, given by the
 * caller through struct platform_host. Everything the outside
 * world must do - print a character, stop the VM, wake a vCPU - goes through
 * the same table.
 */
#ifndef DEVICES_PLATFORM_H
#define DEVICES_PLATFORM_H

#include "lib/compiler.h"
#include "lib/types.h"

#define PLATFORM_VCPUS_MAX 1
#define PLATFORM_NEVER UINT64_MAX /* "no deadline" */

#define LAPIC_DEFAULT_BASE 0xFEE00000u
#define IOAPIC_DEFAULT_BASE 0xFEC00000u

enum platform_stop {
	PLATFORM_STOP_POWEROFF,   /* ACPI S5, QEMU's or Bochs's port */
	PLATFORM_STOP_RESET,      /* 0xCF9, 0x64, 0x92 or the FADT reset register */
	PLATFORM_STOP_DEBUG_EXIT, /* isa-debug-exit: code is the value written */
};

struct platform_host {
	uint64_t (*now)(void *ctx);                     /* the clock; never goes back */
	void (*console_put)(void *ctx, uint8_t byte);   /* UART output */
	void (*stop)(void *ctx, enum platform_stop why, uint32_t code);
	/* vCPU @cpu may have an interrupt to take, or a deadline came nearer. */
	void (*kick)(void *ctx, unsigned int cpu);
	void *ctx;
};

struct platform_config {
	uint64_t tsc_hz;
	uint64_t low_memory;  /* bytes of RAM from 0 up to the hole, end of RAM below 4 GiB */
	uint64_t high_memory; /* bytes of RAM from 4 GiB up */
	unsigned int vcpus;   /* 1..PLATFORM_VCPUS_MAX */
	uint64_t rtc_epoch;   /* Unix time at tick 0 of the clock */
	struct platform_host host;
};

#include "devices/platform_state.h" /* struct platform, private to devices/ */

/* -EINVAL for an impossible configuration. The devices point at each other: the
 * platform must not be moved afterwards. */
must_check int platform_init(struct platform *p, const struct platform_config *c);

/* Port and memory access by vCPU @cpu; @len 1, 2 or 4 (8 for memory too).
 * Unclaimed addresses read as all ones and swallow writes; that is counted
 * in p->unclaimed. */
void platform_port_read(struct platform *p, unsigned int cpu, uint16_t port, unsigned int len, uint32_t *val);
void platform_port_write(struct platform *p, unsigned int cpu, uint16_t port, unsigned int len, uint32_t val);
void platform_mmio_read(struct platform *p, unsigned int cpu, gpa_t addr, unsigned int len, uint64_t *val);
void platform_mmio_write(struct platform *p, unsigned int cpu, gpa_t addr, unsigned int len, uint64_t val);

/* The local APIC's MSRs: IA32_APIC_BASE (0x1B), IA32_TSC_DEADLINE (0x6E0) and
 * the x2APIC range 0x800..0x8FF. -EINVAL: the guest must get #GP. The deadline
 * is a time of the clock: the caller knows how far the guest's TSC is from it. */
must_check int platform_msr_read(struct platform *p, unsigned int cpu, uint32_t msr, uint64_t *val);
must_check int platform_msr_write(struct platform *p, unsigned int cpu, uint32_t msr, uint64_t val);

/* CR8 is the upper nibble of the task priority. */
uint8_t platform_cr8_read(struct platform *p, unsigned int cpu);
void platform_cr8_write(struct platform *p, unsigned int cpu, uint8_t val);

/* Is there an external interrupt for vCPU @cpu (LAPIC above its priority, or
 * the 8259 through LINT0 / with the LAPIC off)? */
bool platform_interrupt_pending(struct platform *p, unsigned int cpu);
/* Acknowledges it: IRR to ISR, or 8259 INTA. The vector; -EAGAIN: none. */
must_check int platform_interrupt_ack(struct platform *p, unsigned int cpu);
/* Was an NMI sent to vCPU @cpu (ICR, LINT0, I/O APIC)? Asking takes it. */
bool platform_nmi_take(struct platform *p, unsigned int cpu);
/* Could one come while the vCPU does nothing: from a device, by an entry of
 * the I/O APIC or by LINT0? */
bool platform_nmi_possible(const struct platform *p, unsigned int cpu);

/* Brings timers up to now() and raises what is due. */
void platform_run_timers(struct platform *p);
/* When platform_run_timers() next has something to do, or PLATFORM_NEVER. */
uint64_t platform_next_deadline(const struct platform *p);

/* A byte typed at the guest's console. -EAGAIN: no room now, nothing taken;
 * host.kick() is called when there is room again. */
must_check int platform_console_input(struct platform *p, uint8_t byte);

/* Tables for this configuration, to be put at guest physical ACPI_TABLES_BASE
 * (the RSDP is at its start) and MP_TABLE_BASE. Return the length, or -ENOSPC.
 * The guest must find that range reserved, and writable (the FACS is there). */
#define ACPI_TABLES_BASE 0xF0000u
#define ACPI_TABLES_MAX 0x8000u
#define MP_TABLE_BASE 0xF8000u
#define MP_TABLE_MAX 0x8000u
must_check int platform_acpi_tables(const struct platform_config *c, void *buf, size_t size);
must_check int platform_mp_table(const struct platform_config *c, void *buf, size_t size);

/* The BIOS data area, and its extension in the last KiB of conventional
 * memory, which the guest must find reserved. */
#define BIOS_DATA_BASE 0x400u
#define BIOS_DATA_SIZE 0x100u
#define PLATFORM_EBDA 0x9FC00u
#define PLATFORM_EBDA_SIZE 0x400u

/* VGA text memory: the caller puts RAM there. */
#define VGA_TEXT_BASE 0xB8000u
#define VGA_TEXT_SIZE 0x8000u

/* All that firmware leaves in guest memory before a kernel is loaded: what
 * @make makes (aligned to 2) goes to @base, and is never longer than @max. */
struct platform_image {
	uint32_t base, max;
	int (*make)(const struct platform_config *c, void *buf, size_t size);
};

#define PLATFORM_IMAGES 5
extern const struct platform_image platform_images[PLATFORM_IMAGES];

#endif
