/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ACPI fixed hardware: PM1a event block (0x600), PM1a control (0x604) and the
 * 32-bit PM timer (0x608). Always in ACPI mode: SCI_EN reads as one. S5 is
 * SLP_TYP 0, as in devices/dsdt.asl, so that writing 0x2000 to port 0x604
 * powers off as on QEMU too; other sleep types do nothing.
 */
#ifndef DEVICES_ACPI_PM_H
#define DEVICES_ACPI_PM_H

#include <stdint.h>
#include "devices/irq_line.h"
#include "devices/power.h"
#include "lib/compiler.h"

#define ACPI_PM_BASE 0x600u
#define ACPI_PM1_EVENT 0x600u
#define ACPI_PM1_CONTROL 0x604u
#define ACPI_PM_TIMER 0x608u
#define ACPI_PM_LAST 0x60Bu
#define ACPI_PM_TIMER_HZ 3579545u
#define ACPI_S5_SLEEP_TYPE 0u
#define ACPI_SCI_IRQ 9u

struct acpi_pm {
	uint16_t status, enable, control;
	uint64_t tsc_hz;
	uint64_t seen;     /* timer tick up to which TMR_STS was set */
	uint64_t deadline; /* next change of the timer's top bit, if enabled */
	struct irq_line irq;
};

void acpi_pm_init(struct acpi_pm *pm, uint64_t tsc_hz, struct irq_line irq);
/* One byte of 0x600..0x60B; wider accesses are made of bytes, all with the
 * same @now. A sleep begins when the high byte of PM1a control is written. */
uint8_t acpi_pm_read(struct acpi_pm *pm, uint16_t port, uint64_t now);
must_check enum power_request acpi_pm_write(struct acpi_pm *pm, uint16_t port, uint8_t val, uint64_t now);
void acpi_pm_run(struct acpi_pm *pm, uint64_t now);

/* All of @pm but its wiring, which is NULL in @out. / And back: the wiring is
 * that of @pm, where it is. */
void acpi_pm_save(const struct acpi_pm *pm, struct acpi_pm *out);
void acpi_pm_restore(struct acpi_pm *pm, const struct acpi_pm *saved);

#endif
