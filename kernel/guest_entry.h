/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What every guest loader shares: where a VM's RAM lies, the memory map it
 * is told, and the state its first vCPU starts in. Pure data.
 *
 *   0        640K      736K    768K      960K      1M            low_memory   4G
 *   | RAM    | no RAM  | text  | no RAM  | firmware| RAM         | no RAM     | RAM ...
 *                      ^ VGA             ^ ACPI and MP tables (devices/platform.h)
 *
 * The top 1 KiB below 640K is told as reserved, as firmware does for its
 * extended data area.
 */
#ifndef KERNEL_GUEST_ENTRY_H
#define KERNEL_GUEST_ENTRY_H

#include "lib/compiler.h"
#include "lib/types.h"
#include "lib/x86.h"

#define GUEST_MEMORY_MIN (2ull << 20)
#define GUEST_MEMORY_MAX (1ull << 39)
#define GUEST_EBDA 0x9FC00ull          /* end of conventional RAM a guest may use */
#define GUEST_LOW_RAM_END 0xA0000ull
#define GUEST_FIRMWARE_BASE 0xF0000ull /* RAM up to 1 MiB, told as reserved */
#define GUEST_BIOS_BASE 0xFE000ull     /* the last of it, where a VM has a BIOS (kernel/load_disk.h) */
#define GUEST_HIGH_BASE 0x100000ull
#define GUEST_HOLE_BASE 0xC0000000ull  /* RAM below 4 GiB ends here at the latest */

struct guest_layout {
	uint64_t low_memory;  /* bytes of RAM from 0 up, up to the hole below 4 GiB */
	uint64_t high_memory; /* bytes of RAM from 4 GiB up */
};

/* Splits @bytes of memory at the hole. -EINVAL: not whole pages, less than
 * GUEST_MEMORY_MIN or more than GUEST_MEMORY_MAX. */
must_check int guest_layout_init(struct guest_layout *l, uint64_t bytes);

#define GUEST_RANGES_MAX 5

/* Types as in the BIOS's E820 call and in Multiboot. */
enum guest_range_type { GUEST_RANGE_RAM = 1, GUEST_RANGE_RESERVED = 2 };

struct guest_range {
	uint64_t base, size;
	enum guest_range_type type;
};

/* The memory map the guest is told, ascending. Returns how many. */
unsigned int guest_layout_map(const struct guest_layout *l, struct guest_range map[GUEST_RANGES_MAX]);

/* Does [base, base + size) lie within one RAM range of the map? False for a
 * wrap; an empty range needs its base inside. */
bool guest_layout_is_ram(const struct guest_layout *l, uint64_t base, uint64_t size);

/* The whole state of the first vCPU; all that is not here is as after reset. */
struct guest_entry {
	struct cpu_regs regs;
	uint64_t cr0, cr3, cr4, efer;
	struct segment segment[SEG_COUNT];
	struct descriptor_table gdt, idt;
};

/* Flat segments with the selectors @cs and @ds, a 64-bit code segment if
 * @long_mode; an unusable LDTR, a busy TSS at 0; empty GDT and IDT. */
void guest_entry_segments(struct guest_entry *e, uint16_t cs, uint16_t ds, bool long_mode);

/* The state of a processor after reset (SDM vol. 3, "Processor State After
 * Reset"), but for the base of CS: it is where the selector says, just below
 * 1 MiB and not below 4 GiB, for that is where the firmware is. */
void guest_entry_reset(struct guest_entry *e);

/* A GDT of five entries: null, and code and data as the segments of @e have
 * them, at 0x08 and 0x10 for Multiboot, at 0x10 and 0x18 for Linux. */
#define GUEST_GDT_ENTRIES 5
void guest_entry_gdt(const struct guest_entry *e, uint64_t gdt[GUEST_GDT_ENTRIES]);

#endif
