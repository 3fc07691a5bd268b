// SPDX-License-Identifier: GPL-2.0-only
/* Builds the page tables described in paging.h. Boot CPU only; the root is
 * constant once built, but for device pages. */
#include "kernel/paging.h"
#include "kernel/cpu.h"
#include "kernel/panic.h"
#include "lib/alloc.h"
#include "lib/cpu_ops.h"
#include "mm/port.h"

#define PTE_P (1ull << 0)
#define PTE_W (1ull << 1)
#define PTE_PWT (1ull << 3)
#define PTE_PCD (1ull << 4)
#define PTE_PS (1ull << 7)
#define PTE_NX (1ull << 63)
#define PTE_ADDRESS 0x000ffffffffff000ull
#define SIZE_2M (1ull << 21)

#define RAM_RIGHTS (PTE_W | PTE_NX)
#define DEVICE_RIGHTS (PTE_W | PTE_NX | PTE_PCD | PTE_PWT)

extern uint8_t image_start[], text_end[], rodata_end[], image_end[];
extern uint8_t boot_stack_guard[];

static uint64_t *root;

/* The entry for @va at @level (1: 4 KiB, 2: 2 MiB), tables made on the way;
 * NULL when there is no memory for them. */
static uint64_t *entry_at(uint64_t va, int level)
{
	uint64_t *table = root;

	for (int l = 4; l > level; l--) {
		uint64_t *e = &table[va >> (12 + 9 * (l - 1)) & 511];

		if (!(*e & PTE_P)) {
			void *next = mem_zalloc(PAGE_SIZE);

			if (!next)
				return NULL;
			*e = port_va_to_hpa(next).v | PTE_P | PTE_W;
		}
		table = port_hpa_to_va(hpa(*e & PTE_ADDRESS));
	}
	return &table[va >> (12 + 9 * (level - 1)) & 511];
}

static bool map(uint64_t va, uint64_t pa, uint64_t size, uint64_t rights)
{
	while (size) {
		bool large = !((va | pa) & (SIZE_2M - 1)) && size >= SIZE_2M;
		uint64_t step = large ? SIZE_2M : PAGE_SIZE;
		uint64_t *e = entry_at(va, large ? 2 : 1);

		if (!e)
			return false;
		*e = pa | rights | PTE_P | (large ? PTE_PS : 0);
		va += step;
		pa += step;
		size -= step;
	}
	return true;
}

static bool map_image(const uint8_t *start, const uint8_t *end, uint64_t rights)
{
	return map((uintptr_t)start, (uintptr_t)start, (uint64_t)(end - start), rights);
}

static bool unmap_page(const void *va)
{
	uint64_t *e = entry_at((uintptr_t)va, 1);

	if (e)
		*e = 0;
	return e;
}

static bool map_all(const struct boot_range *ram, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		if (!map(DIRECT_MAP_BASE + ram[i].base, ram[i].base, ram[i].size, RAM_RIGHTS))
			return false;
	for (unsigned int i = 0; i < IST_COUNT; i++)
		if (!unmap_page(ist_stacks[i].guard))
			return false;
	return unmap_page(boot_stack_guard);
}

bool paging_init(const struct boot_range *ram, unsigned int count)
{
	root = mem_zalloc(PAGE_SIZE);
	if (!root || !map_image(image_start, text_end, 0) || !map_image(text_end, rodata_end, PTE_NX) ||
	    !map_image(rodata_end, image_end, PTE_W | PTE_NX) || !map_all(ram, count))
		return false;
	write_cr3(port_va_to_hpa(root).v);
	return true;
}

volatile void *paging_map_device(hpa_t page)
{
	uint64_t va = DIRECT_MAP_BASE + page.v;

	if (!map(va, page.v, PAGE_SIZE, DEVICE_RIGHTS))
		panic("no memory to map a device");
	asm volatile("invlpg (%0)" : : "r"(va) : "memory");
	return (volatile void *)va; /* NOLINT: the direct map is made of numbers */
}
