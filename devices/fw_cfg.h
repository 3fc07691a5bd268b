/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * QEMU's firmware configuration interface, as far as its two I/O ports: a
 * 16-bit selector at 0x510 and a byte stream at 0x511. Items are signature,
 * id (no DMA), RAM size, CPU counts and a file directory without files.
 * Reading beyond an item, or an item that is not there, gives zeros.
 */
#ifndef DEVICES_FW_CFG_H
#define DEVICES_FW_CFG_H

#include <stdint.h>

struct fw_cfg {
	uint64_t ram_size;
	uint16_t cpus;
	uint16_t selector;
	uint32_t position; /* next byte of the item; stops at its end */
};

void fw_cfg_init(struct fw_cfg *f, uint64_t ram_size, uint16_t cpus);
void fw_cfg_select(struct fw_cfg *f, uint16_t item);
uint8_t fw_cfg_read(struct fw_cfg *f);

#endif
