/* SPDX-License-Identifier: GPL-2.0-only */
/* The interrupt controllers of the machine: this CPU's local APIC, the
 * IOAPIC for the console's line, the 8259 pair masked for good. */
#ifndef KERNEL_APIC_H
#define KERNEL_APIC_H

#include "boot/acpi_tables.h"
#include "lib/compiler.h"
#include "lib/types.h"

/* Masks the 8259s and enables the local APIC. False: its registers cannot be
 * reached. */
must_check bool apic_init(void);

/* Routes ISA interrupt @irq to this CPU as @vector, as the MADT says. False:
 * there is no IOAPIC for it; poll instead. */
must_check bool ioapic_route_isa(const struct acpi_info *acpi, unsigned int irq, uint8_t vector);

void apic_eoi(void);

/* The timer: one shot after @count ticks of the divided bus clock; 0 stops. */
void apic_timer_set(uint32_t count);
uint32_t apic_timer_left(void);

/* From now on the timer is armed by IA32_TSC_DEADLINE instead. */
void apic_timer_use_deadline(void);

#endif
