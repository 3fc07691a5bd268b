/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the boot loader told: memory, command line, modules, the ACPI root
 * pointer. Read from Multiboot 1 or 2 information into one structure that
 * holds copies of everything, so that low memory can be reused. Pure: the
 * loader's memory is reached through a function, and is hostile input.
 */
#ifndef BOOT_BOOT_INFO_H
#define BOOT_BOOT_INFO_H

#include "lib/compiler.h"
#include "lib/types.h"

#define BOOT_MAGIC_MULTIBOOT1 0x2BADB002u
#define BOOT_MAGIC_MULTIBOOT2 0x36D76289u

#define BOOT_RANGES_MAX 128
#define BOOT_MODULES_MAX 64
#define BOOT_STRING_MAX 1024
#define BOOT_RSDP_MAX 36

struct boot_range { uint64_t base, size; };

struct boot_file {
	hpa_t start;
	uint64_t size;
	char string[BOOT_STRING_MAX]; /* as in grub.cfg, without the file name */
};

struct boot_info {
	bool multiboot1;
	char command_line[BOOT_STRING_MAX];
	struct boot_range ram[BOOT_RANGES_MAX]; /* usable RAM: ascending, disjoint, whole pages */
	unsigned int ram_count;
	struct boot_range reserved[BOOT_RANGES_MAX]; /* what the map calls anything else, as it stands there */
	unsigned int reserved_count;
	bool map_too_long; /* reserved[] cannot hold all of it */
	struct boot_file modules[BOOT_MODULES_MAX]; /* disjoint, in RAM */
	unsigned int module_count;
	uint8_t rsdp[BOOT_RSDP_MAX]; /* a copy of the ACPI root pointer */
	unsigned int rsdp_size;      /* 0: the loader gave none */
	unsigned int complaints;     /* entries left out as impossible, each logged */
};

/* Reads physical memory for the parsers: @len bytes at @base, or NULL when
 * that is not to be had. */
struct boot_memory {
	const void *(*map)(void *ctx, uint64_t base, uint64_t len);
	void *ctx;
};

/* @magic and @base are what the loader left in EAX and EBX. -EINVAL: not
 * Multiboot, or the information is damaged beyond use; -E2BIG: the memory map
 * has more entries than can be kept. Impossible entries are left out and
 * counted. */
must_check int boot_info_parse(struct boot_info *b, uint32_t magic, uint32_t base, const struct boot_memory *m);

/* Takes [base, base + size) out of the usable RAM. -ENOSPC: too many ranges. */
must_check int boot_ram_exclude(struct boot_info *b, uint64_t base, uint64_t size);

/* Bytes of usable RAM. */
uint64_t boot_ram_total(const struct boot_info *b);

#endif
