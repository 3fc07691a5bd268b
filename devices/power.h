/* SPDX-License-Identifier: GPL-2.0-only */
/* What a write to a device may ask of the VM as a whole. */
#ifndef DEVICES_POWER_H
#define DEVICES_POWER_H

enum power_request { POWER_NOTHING, POWER_OFF, POWER_RESET };

#endif
