// SPDX-License-Identifier: GPL-2.0-only
/* Power-off, by every way we know, the standard one first. */
#include "kernel/power.h"
#include "kernel/serial.h"
#include "lib/cpu_ops.h"
#include "lib/log.h"

#define SLP_TYP(type) ((uint16_t)((type) << 10))
#define SLP_EN (1u << 13)
#define SCI_EN 1u
#define ACPI_ENABLE_TRIES 1000000
#define WAIT_TICKS (1ull << 31) /* of the TSC: about a second */
#define QEMU_PORT 0x604
#define QEMU_OLD_PORT 0xB004
#define BOCHS_PORT 0x8900

/* Firmware that started in legacy mode ignores SLP_EN until it is told. */
static void acpi_turn_on(const struct acpi_info *acpi)
{
	if (!acpi->smi_command || !acpi->acpi_enable || inw(acpi->pm1a_control) & SCI_EN)
		return;
	outb(acpi->smi_command, acpi->acpi_enable);
	for (int i = 0; i < ACPI_ENABLE_TRIES && !(inw(acpi->pm1a_control) & SCI_EN); i++)
		;
}

/* Machines take a moment, and emulators run on for one. */
static void wait_for_the_end(void)
{
	for (uint64_t start = rdtsc(); rdtsc() - start < WAIT_TICKS;)
		;
}

void power_off(const struct acpi_info *acpi)
{
	interrupts_off();
	serial_set_polled();
	serial_flush();
	if (acpi->has_s5) {
		acpi_turn_on(acpi);
		outw(acpi->pm1a_control, (uint16_t)(SLP_TYP(acpi->s5_type_a) | SLP_EN));
		if (acpi->pm1b_control)
			outw(acpi->pm1b_control, (uint16_t)(SLP_TYP(acpi->s5_type_b) | SLP_EN));
	}
	outw(QEMU_PORT, SLP_EN);
	outw(QEMU_OLD_PORT, SLP_EN);
	for (const char *c = "Shutdown"; *c; c++)
		outb(BOCHS_PORT, (uint8_t)*c);
	wait_for_the_end();
	log_info("this machine does not power off by itself: you may switch it off now");
	serial_flush();
	for (;;)
		asm volatile("cli; hlt");
}
