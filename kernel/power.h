/* SPDX-License-Identifier: GPL-2.0-only */
/* The end of the machine's run. */
#ifndef KERNEL_POWER_H
#define KERNEL_POWER_H

#include "boot/acpi_tables.h"
#include "lib/compiler.h"

/* Flushes the console and powers off: ACPI S5 as @acpi says, then the ports
 * of QEMU and Bochs, then a halt for ever. */
noreturn void power_off(const struct acpi_info *acpi);

#endif
