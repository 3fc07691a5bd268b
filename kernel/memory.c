// SPDX-License-Identifier: GPL-2.0-only
/* Hands the boot loader's RAM to the page allocator. */
#include "kernel/memory.h"
#include <string.h>
#include "kernel/paging.h"
#include "lib/alloc.h"
#include "lib/log.h"
#include "mm/port.h"

#define LOW_MEMORY_END (1ull << 20)
#define EARLY_MAP_END (1ull << 32)
#define GUEST_ALIGN (2ull << 20)

extern uint8_t image_start[], image_end[];

static struct boot_range pool[BOOT_RANGES_MAX];
static unsigned int pool_count;
static uint64_t limit = EARLY_MAP_END, total, used;

void *port_hpa_to_va(hpa_t a)
{
	return (void *)(DIRECT_MAP_BASE + a.v); /* NOLINT: the direct map is made of numbers */
}

hpa_t port_va_to_hpa(const void *va)
{
	return hpa((uintptr_t)va - DIRECT_MAP_BASE);
}

static void *take(uint64_t bytes, uint64_t align)
{
	bytes = (bytes + PAGE_SIZE - 1) & ~PAGE_OFFSET_MASK;
	for (unsigned int i = 0; i < pool_count && bytes; i++) {
		uint64_t start = (pool[i].base + align - 1) & ~(align - 1);

		if (start + bytes > pool[i].base + pool[i].size || start + bytes > limit)
			continue;
		pool[i].size -= start + bytes - pool[i].base;
		pool[i].base = start + bytes;
		used += bytes >> PAGE_SHIFT;
		return memset(port_hpa_to_va(hpa(start)), 0, bytes);
	}
	return NULL;
}

void *mem_zalloc(size_t bytes) { return take(bytes, PAGE_SIZE); }
void *mem_zalloc_low(size_t bytes) { return take(bytes, PAGE_SIZE); }
void mem_free(void *p, size_t bytes) { used -= p ? (bytes + PAGE_SIZE - 1) >> PAGE_SHIFT : 0; }
void *memory_guest_alloc(uint64_t bytes) { return take(bytes, GUEST_ALIGN); }
void memory_guest_free(void *p, uint64_t bytes) { mem_free(p, bytes); }
uint64_t memory_free_pages(void) { return total - used; }
uint64_t memory_total_pages(void) { return total; }

bool memory_init(struct boot_info *b)
{
	static struct boot_range ram[BOOT_RANGES_MAX];
	unsigned int ram_count = b->ram_count;

	memcpy(ram, b->ram, sizeof(ram));
	if (boot_ram_exclude(b, 0, LOW_MEMORY_END) ||
	    boot_ram_exclude(b, (uintptr_t)image_start, (uint64_t)(image_end - image_start)))
		return false;
	for (unsigned int i = 0; i < b->module_count; i++)
		if (boot_ram_exclude(b, b->modules[i].start.v, b->modules[i].size))
			return false;
	memcpy(pool, b->ram, sizeof(pool));
	pool_count = b->ram_count;
	total = boot_ram_total(b) >> PAGE_SHIFT;
	if (!paging_init(ram, ram_count)) {
		log_error("not enough memory for the page tables");
		return false;
	}
	limit = UINT64_MAX;
	return true;
}
