/* SPDX-License-Identifier: GPL-2.0-only */
/* What travels between I/O APIC and local APICs (SDM vol. 3, "Local APIC
 * Overview" and "Interrupt Command Register"). */
#ifndef DEVICES_APIC_MESSAGE_H
#define DEVICES_APIC_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#define APIC_BROADCAST UINT32_MAX

enum apic_delivery {
	APIC_FIXED = 0, APIC_LOWEST_PRIORITY = 1, APIC_SMI = 2, APIC_NMI = 4,
	APIC_INIT = 5, APIC_STARTUP = 6, APIC_EXTINT = 7
};

enum apic_shorthand { APIC_TO_DESTINATION, APIC_TO_SELF, APIC_TO_ALL, APIC_TO_OTHERS };

struct apic_message {
	uint32_t destination; /* physical: an APIC ID, or APIC_BROADCAST */
	bool logical;
	bool level; /* trigger mode */
	uint8_t vector;
	enum apic_delivery delivery; /* 3 bits as the guest wrote them */
};

#endif
