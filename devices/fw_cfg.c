/* SPDX-License-Identifier: GPL-2.0-only */
/* fw_cfg; items are at most 8 bytes long, so each is made when it is read. */
#include "devices/fw_cfg.h"

enum {
	ITEM_SIGNATURE = 0x00, ITEM_ID = 0x01, ITEM_RAM_SIZE = 0x03, ITEM_CPUS = 0x05, ITEM_MAX_CPUS = 0x0F,
	ITEM_DIRECTORY = 0x19,
};

#define ID_TRADITIONAL 1u
#define SIGNATURE 0x554D4551u /* "QEMU" in memory order */

struct item {
	uint64_t value; /* byte 0 is the first */
	unsigned int len;
};

/* The directory begins with a big-endian count, and zero it stays. */
static struct item fw_cfg_item(const struct fw_cfg *f)
{
	switch (f->selector) {
	case ITEM_SIGNATURE:
		return (struct item){ SIGNATURE, 4 };
	case ITEM_ID:
		return (struct item){ ID_TRADITIONAL, 4 };
	case ITEM_RAM_SIZE:
		return (struct item){ f->ram_size, 8 };
	case ITEM_CPUS:
	case ITEM_MAX_CPUS:
		return (struct item){ f->cpus, 2 };
	case ITEM_DIRECTORY:
		return (struct item){ 0, 4 };
	}
	return (struct item){ 0, 0 };
}

void fw_cfg_select(struct fw_cfg *f, uint16_t item)
{
	f->selector = item;
	f->position = 0;
}

uint8_t fw_cfg_read(struct fw_cfg *f)
{
	struct item item = fw_cfg_item(f);

	if (f->position >= item.len)
		return 0;
	return (uint8_t)(item.value >> 8 * f->position++);
}

void fw_cfg_init(struct fw_cfg *f, uint64_t ram_size, uint16_t cpus)
{
	*f = (struct fw_cfg){ .ram_size = ram_size, .cpus = cpus };
}
