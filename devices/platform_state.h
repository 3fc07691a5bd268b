/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * struct platform: the devices of one VM side by side. Included by
 * devices/platform.h only; nobody outside devices/ touches the fields, apart
 * from reading @unclaimed.
 *
 * No lock here: the caller makes one call at a time on a platform.
 */
#ifndef DEVICES_PLATFORM_STATE_H
#define DEVICES_PLATFORM_STATE_H

#include "devices/acpi_pm.h"
#include "devices/dma8237.h"
#include "devices/fw_cfg.h"
#include "devices/i8042.h"
#include "devices/ioapic.h"
#include "devices/lapic.h"
#include "devices/pic8259.h"
#include "devices/pit8254.h"
#include "devices/reset.h"
#include "devices/rtc.h"
#include "devices/uart16550.h"
#include "devices/vga.h"

struct platform {
	struct platform_config config;
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
	struct lapic lapic[PLATFORM_VCPUS_MAX];
	uint32_t pci_address;  /* 0xCF8 */
	uint64_t access_now;   /* the time of the access being served */
	uint64_t clock_offset; /* the host's clock less ours, modulo 2^64: see platform_snapshot.h */
	uint64_t unclaimed;    /* accesses, or bytes of them, that nobody answered */
};

#endif
