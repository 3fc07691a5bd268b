// SPDX-License-Identifier: GPL-2.0-only
/* See kernel/load_disk.h. */
#include "kernel/load_disk.h"
#include "lib/errno.h"
#include "lib/log.h"
#include <string.h>
#include "bios.h"

#define SIGNATURE_AT 510u
#define SIGNATURE 0xAA55u

_Static_assert(sizeof(bios_image) == GUEST_HIGH_BASE - GUEST_BIOS_BASE, "it ends with the reset vector");
_Static_assert(GUEST_RANGES_MAX + 1 <= BIOS_RANGES_MAX, "the image is one more range");

#define refuse(err, vm, fmt, ...) (log_error("vm \"%s\": " fmt, (vm)->name, ##__VA_ARGS__), (err))
#define ull(v) ((unsigned long long)(v))

static uint64_t sectors(const struct vm_config *vm)
{
	return (vm->kernel.size + DISK_SECTOR - 1) / DISK_SECTOR;
}

static int check_image(const struct vm_config *vm)
{
	const uint8_t *image = vm->kernel.data;
	unsigned int signature;

	if (vm->kernel.size < DISK_SECTOR)
		return refuse(-ENOEXEC, vm, "disk image is too short: %llu bytes, a boot sector has %u",
			      ull(vm->kernel.size), DISK_SECTOR);
	signature = image[SIGNATURE_AT] | (unsigned int)image[SIGNATURE_AT + 1] << 8;
	if (signature != SIGNATURE)
		return refuse(-ENOEXEC, vm, "disk image has no boot sector: signature 0x%04x at byte %u, not 0x%x",
			      signature, SIGNATURE_AT, SIGNATURE);
	return 0;
}

/* All of the image lies above 1 MiB, its last page at the end of low memory. */
static int place_image(const struct vm_config *vm, const struct guest_layout *l, uint64_t *base)
{
	uint64_t room = l->low_memory - GUEST_HIGH_BASE;

	if (vm->kernel.size > room) /* room is whole sectors */
		return refuse(-ENOMEM, vm, "disk image of %llu KiB does not fit above 1 MiB in %llu KiB of memory",
			      ull(vm->kernel.size) >> 10, ull(l->low_memory) >> 10);
	*base = (l->low_memory - sectors(vm) * DISK_SECTOR) & ~PAGE_OFFSET_MASK;
	return 0;
}

static void add_range(struct bios_block *b, uint64_t base, uint64_t size, enum guest_range_type type)
{
	if (size)
		b->range[b->range_count++] = (struct bios_range){ base, size, type };
}

/* The VM's memory map, without what the image takes. */
static void tell_memory(struct bios_block *b, const struct guest_layout *l)
{
	struct guest_range map[GUEST_RANGES_MAX];
	unsigned int n = guest_layout_map(l, map);

	for (unsigned int i = 0; i < n; i++) {
		uint64_t end = map[i].base + map[i].size;

		if (map[i].base > b->disk_base || end <= b->disk_base) {
			add_range(b, map[i].base, map[i].size, map[i].type);
			continue;
		}
		add_range(b, map[i].base, b->disk_base - map[i].base, map[i].type);
		add_range(b, b->disk_base, end - b->disk_base, GUEST_RANGE_RESERVED);
	}
}

/* The image, then zeros to the end of its last sector. */
static int write_image(struct guest_mem *m, const struct vm_config *vm, uint64_t base)
{
	static const uint8_t zeros[DISK_SECTOR];
	uint64_t rest = sectors(vm) * DISK_SECTOR - vm->kernel.size;
	int err = guest_write(m, gpa(base), vm->kernel.data, vm->kernel.size, BY(LOADER));

	if (!err && rest)
		err = guest_write(m, gpa(base + vm->kernel.size), zeros, rest, BY(LOADER));
	return err;
}

static int write_firmware(struct guest_mem *m, const struct bios_block *b)
{
	int err = guest_write(m, gpa(GUEST_BIOS_BASE), bios_image, sizeof(bios_image), BY(LOADER));

	return err ? err : guest_write(m, gpa(GUEST_BIOS_BASE), b, sizeof(*b), BY(LOADER));
}

int load_disk(struct guest_mem *m, const struct guest_layout *layout, const struct vm_config *vm,
	      struct guest_entry *e)
{
	struct bios_block b = { .magic = BIOS_MAGIC };
	uint64_t base;
	int err;

	if ((err = check_image(vm)) || (err = place_image(vm, layout, &base)))
		return err;
	b.disk_base = (uint32_t)base;
	b.disk_sectors = (uint32_t)sectors(vm);
	tell_memory(&b, layout);
	guest_entry_reset(e);
	if ((err = write_image(m, vm, base)) || (err = write_firmware(m, &b)))
		return refuse(err, vm, "guest memory cannot be written (error %d)", -err);
	return 0;
}
