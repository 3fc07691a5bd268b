/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Loads a raw disk image, which is then started as a PC would start it: the
 * vCPU begins at the reset vector, in real mode, and a small firmware of our
 * own (kernel/bios/) runs the image's boot sector. The image is hostile input,
 * but nothing of it is read here beyond the boot signature.
 *
 *   0xFE000 to 1M           the firmware
 *   the last pages of RAM   the image, told as reserved; INT 13h reads and
 *   below the hole          writes this copy
 */
#ifndef KERNEL_LOAD_DISK_H
#define KERNEL_LOAD_DISK_H

#include "kernel/guest_entry.h"
#include "kernel/vm_config.h"
#include "lib/compiler.h"
#include "mm/guest_mem.h"

#define DISK_SECTOR 512u

/* The parameter block at the start of the firmware; kernel/bios/bios.asm has
 * the same. Addresses are guest physical. */
#define BIOS_MAGIC "SpoorDsk"
#define BIOS_RANGES_MAX 8
struct bios_block {
	char magic[8];
	uint32_t disk_base, disk_sectors;
	uint32_t range_count; /* what INT 15h, AX=E820 tells */
	struct bios_range {
		uint64_t base, size;
		uint32_t type; /* enum guest_range_type */
	} PACKED range[BIOS_RANGES_MAX];
} PACKED;

/* Puts @vm's disk image and the firmware into @m and fills @e. -ENOEXEC: not a
 * disk image that can be started; -ENOMEM: does not fit the VM's memory;
 * -EFAULT: @m does not match @layout. All told by VM name. */
must_check int load_disk(struct guest_mem *m, const struct guest_layout *layout, const struct vm_config *vm,
			 struct guest_entry *e);

#endif
