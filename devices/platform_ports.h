/* SPDX-License-Identifier: GPL-2.0-only */
/* The map of I/O ports; used by devices/platform.c only. */
#ifndef DEVICES_PLATFORM_PORTS_H
#define DEVICES_PLATFORM_PORTS_H

#include "devices/platform.h"

/* @widths is the OR of the access lengths (1, 2, 4) that the device takes in
 * one piece; any other access is made of bytes. NULL: nothing of that kind. */
struct port_range {
	uint16_t first, last;
	uint8_t widths;
	uint32_t (*read)(struct platform *p, uint16_t port, unsigned int len);
	void (*write)(struct platform *p, uint16_t port, unsigned int len, uint32_t val);
};

/* The range that claims @port, or NULL. */
const struct port_range *port_range_find(uint16_t port);

#endif
