/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The state of a platform at one moment, to go back to. A snapshot holds no
 * pointer: it can be moved, and restored to any platform that was made for the
 * same machine. It is what platform_save() made; what a device finds in it is
 * not checked.
 *
 * Time: for the guest none passes between the save and the restore. The
 * platform counts by a clock of its own, the host's less what passed so; devices
 * know no other, and nothing in their state has to be moved. The wall clock of
 * the RTC stands, too.
 *
 * Console: output leaves the platform with the guest's write, and what was
 * not shown yet waits at the host. None of it is in here: what was written
 * before the save is shown once, a restore takes nothing back of what was
 * written after it, and the guest that runs again from the save writes that
 * again. Input that the guest has not read is in here, on the wire as in the
 * FIFO: a restore brings back what waited at the save, and drops what was
 * typed since.
 *
 * Belongs to the host and is not in here: who was refused at the console, and
 * the counter of unclaimed accesses.
 */
#ifndef DEVICES_PLATFORM_SNAPSHOT_H
#define DEVICES_PLATFORM_SNAPSHOT_H

#include "devices/platform.h"

struct platform_snapshot {
	/* What it was made for. */
	uint64_t tsc_hz, low_memory, high_memory;
	unsigned int vcpus;

	uint64_t now; /* by the platform's clock */
	struct uart16550 uart;
	struct pic8259 pic;
	struct pit8254 pit;
	struct rtc rtc;
	struct acpi_pm pm;
	struct dma8237 dma;
	struct i8042 i8042;
	struct reset reset;
	struct fw_cfg fw_cfg;
	struct vga vga;
	struct ioapic ioapic;
	struct lapic lapic[PLATFORM_VCPUS_MAX]; /* CR8 is in here */
	uint32_t pci_address;
};

/* The state at time @now of the host's clock. With the same @now as for the
 * vCPUs (vcpu_save()) their clocks stay together to the tick. No access is being
 * served. Timers that are due at @now are due after the restore. */
void platform_save(const struct platform *p, uint64_t now, struct platform_snapshot *s);

/* At time @now the state is that of @s; all vCPUs are kicked. -EINVAL: @s was
 * made for another machine, nothing has changed. */
must_check int platform_restore(struct platform *p, uint64_t now, const struct platform_snapshot *s);

#endif
