/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the hypervisor wants from the machine's ACPI tables: interrupt
 * controllers (MADT) and how to power off (FADT, \_S5 in the DSDT). Pure, and
 * the tables are hostile input: lengths and checksums are verified, loops are
 * bounded.
 */
#ifndef BOOT_ACPI_TABLES_H
#define BOOT_ACPI_TABLES_H

#include "boot/boot_info.h"
#include "lib/compiler.h"
#include "lib/types.h"

#define ACPI_CPUS_MAX 256
#define ACPI_IOAPICS_MAX 16
#define ACPI_ISA_IRQS 16

struct acpi_irq {
	uint32_t gsi;
	bool active_low, level;
};

struct acpi_info {
	uint64_t lapic_base; /* 0: no MADT */
	uint32_t cpu_apic_id[ACPI_CPUS_MAX]; /* usable CPUs */
	unsigned int cpu_count;
	struct { uint32_t base, gsi_base; } ioapic[ACPI_IOAPICS_MAX];
	unsigned int ioapic_count;
	struct { bool present; struct acpi_irq irq; } override[ACPI_ISA_IRQS];
	bool has_s5;
	uint16_t pm1a_control, pm1b_control; /* ports; 0: none */
	uint16_t smi_command; /* writing acpi_enable to this port turns ACPI on; 0: always on */
	uint8_t acpi_enable;
	uint8_t s5_type_a, s5_type_b;
	unsigned int complaints; /* tables and entries left out, each logged */
};

/* Finds the root pointer in @b or, when the loader gave none, where the BIOS
 * keeps it, and reads the tables. -ENOENT: no ACPI; @a is empty then. */
must_check int acpi_tables_parse(struct acpi_info *a, const struct boot_info *b, const struct boot_memory *m);

/* How ISA interrupt @irq reaches the IOAPICs. */
struct acpi_irq acpi_isa_irq(const struct acpi_info *a, unsigned int irq);

#endif
