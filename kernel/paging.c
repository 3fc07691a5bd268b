// SPDX-License-Identifier: GPL-2.0-only
/* Builds the page tables described in paging.h. Boot CPU only; the root is
 * constant once built, but for device pages. */
#include "kernel/paging.h"
#include "kernel/cpu.h"
#include "lib/alloc.h"
#include "lib/cpu_ops.h"
#include "lib/log.h"
#include "mm/port.h"

#define PTE_P (1ull << 0)
#define PTE_W (1ull << 1)
#define PTE_PWT (1ull << 3)
#define PTE_PCD (1ull << 4)
#define PTE_AD (3ull << 5) /* accessed, dirty */
#define PTE_PS (1ull << 7)
#define PTE_NX (1ull << 63)
#define PTE_ADDRESS 0x000ffffffffff000ull
#define LEVEL_SHIFT(level) (12 + 9 * ((level) - 1)) /* 1: 4 KiB, 2: 2 MiB, 3: 1 GiB */
#define LEVEL_SIZE(level) (1ull << LEVEL_SHIFT(level))

#define LEAF_80000001_EDX_1G_PAGES (1u << 26)

#define RAM_RIGHTS (PTE_W | PTE_NX)
#define DEVICE_RIGHTS (PTE_W | PTE_NX | PTE_PCD | PTE_PWT)

extern uint8_t image_start[], text_end[], rodata_end[], image_end[];
extern uint8_t boot_stack_guard[];

static uint64_t *root;
static int largest_level = 1; /* while the image is mapped, whose pages differ in rights */

/* The entry for @va at @level, tables made on the way; NULL when there is no
 * memory for them, or a larger page is in the way. */
static uint64_t *entry_at(uint64_t va, int level)
{
	uint64_t *table = root;

	for (int l = 4; l > level; l--) {
		uint64_t *e = &table[va >> LEVEL_SHIFT(l) & 511];

		if (*e & PTE_PS)
			return NULL;
		if (!(*e & PTE_P)) {
			void *next = mem_zalloc(PAGE_SIZE);

			if (!next)
				return NULL;
			*e = port_va_to_hpa(next).v | PTE_P | PTE_W;
		}
		table = port_hpa_to_va(hpa(*e & PTE_ADDRESS));
	}
	return &table[va >> LEVEL_SHIFT(level) & 511];
}

/* The largest page that starts at @va and @pa and is no longer than @size. */
static int level_for(uint64_t va, uint64_t pa, uint64_t size)
{
	int level = largest_level;

	while (level > 1 && ((va | pa) & (LEVEL_SIZE(level) - 1) || size < LEVEL_SIZE(level)))
		level--;
	return level;
}

/* False: no memory for tables, or something else is mapped there. */
static bool map(uint64_t va, uint64_t pa, uint64_t size, uint64_t rights)
{
	while (size) {
		int level = level_for(va, pa, size);
		uint64_t *e = entry_at(va, level);

		if (!e || *e & PTE_P)
			return false;
		*e = pa | rights | PTE_P | (level > 1 ? PTE_PS : 0);
		va += LEVEL_SIZE(level);
		pa += LEVEL_SIZE(level);
		size -= LEVEL_SIZE(level);
	}
	return true;
}

static bool map_image(const uint8_t *start, const uint8_t *end, uint64_t rights)
{
	return map((uintptr_t)start, (uintptr_t)start, (uint64_t)(end - start), rights);
}

static bool map_ram_part(uint64_t start, uint64_t end)
{
	return map(DIRECT_MAP_BASE + start, start, end - start, RAM_RIGHTS);
}

static bool unmap_page(const void *va)
{
	uint64_t *e = entry_at((uintptr_t)va, 1);

	if (e)
		*e = 0;
	return e;
}

/* RAM in [start, end), but for the image: a second, writable way to its text
 * would undo W^X. */
static bool map_ram(uint64_t start, uint64_t end)
{
	const uint64_t image = (uintptr_t)image_start, behind = (uintptr_t)image_end;

	if (start < image && !map_ram_part(start, end < image ? end : image))
		return false;
	return end <= behind || map_ram_part(start > behind ? start : behind, end);
}

static bool map_all(const struct boot_range *ram, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		if (!map_ram(ram[i].base, ram[i].base + ram[i].size))
			return false;
	return true;
}

static bool unmap_guards(void)
{
	for (unsigned int i = 0; i < IST_COUNT; i++)
		if (!unmap_page(ist_stacks[i].guard))
			return false;
	return unmap_page(boot_stack_guard);
}

bool paging_init(const struct boot_range *ram, unsigned int count)
{
	root = mem_zalloc(PAGE_SIZE);
	if (!root || !map_image(image_start, text_end, 0) || !map_image(text_end, rodata_end, PTE_NX) ||
	    !map_image(rodata_end, image_end, PTE_W | PTE_NX) || !unmap_guards())
		return false;
	largest_level = cpuid_count(0x80000001, 0).edx & LEAF_80000001_EDX_1G_PAGES ? 3 : 2;
	if (!map_all(ram, count))
		return false;
	write_cr3(port_va_to_hpa(root).v);
	return true;
}

volatile void *paging_map_device(hpa_t page)
{
	uint64_t va = DIRECT_MAP_BASE + page.v, want = page.v | DEVICE_RIGHTS | PTE_P;
	uint64_t *e = page.v & ~PTE_ADDRESS ? NULL : entry_at(va, 1);

	if (!e || (*e & PTE_P && (*e & ~PTE_AD) != want)) {
		log_error("device registers at 0x%lx cannot be mapped", page.v);
		return NULL;
	}
	if (!(*e & PTE_P))
		*e = want;
	return (volatile void *)va; /* NOLINT: the direct map is made of numbers */
}
