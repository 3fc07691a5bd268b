// SPDX-License-Identifier: GPL-2.0-only
/* Hands the boot loader's RAM to the page allocator. */
#include "kernel/memory.h"
#include <string.h>
#include "kernel/paging.h"
#include "lib/alloc.h"
#include "lib/log.h"
#include "mm/page_alloc.h"
#include "mm/port.h"

#define LOW_MEMORY_END (1ull << 20)
#define EARLY_MAP_END (1ull << 32)
#define GUEST_ALIGN (2ull << 20)

extern uint8_t image_start[], image_end[];

static struct page_alloc pages;

void *port_hpa_to_va(hpa_t a)
{
	return (void *)(DIRECT_MAP_BASE + a.v); /* NOLINT: the direct map is made of numbers */
}

hpa_t port_va_to_hpa(const void *va)
{
	return hpa((uintptr_t)va - DIRECT_MAP_BASE);
}

static uint64_t whole_pages(uint64_t bytes)
{
	return (bytes + PAGE_SIZE - 1) >> PAGE_SHIFT;
}

static void *zeroed(hpa_t a, uint64_t bytes)
{
	return memset(port_hpa_to_va(a), 0, whole_pages(bytes) << PAGE_SHIFT);
}

void *mem_zalloc(size_t bytes)
{
	hpa_t a;

	return page_alloc(&pages, whole_pages(bytes), 1, &a) ? NULL : zeroed(a, bytes);
}

void *mem_zalloc_low(size_t bytes)
{
	hpa_t a;

	return page_alloc_low(&pages, whole_pages(bytes), 1, &a) ? NULL : zeroed(a, bytes);
}

void mem_free(void *p, size_t bytes)
{
	if (p)
		page_free(&pages, port_va_to_hpa(p), whole_pages(bytes));
}

void *memory_guest_alloc(uint64_t bytes)
{
	hpa_t a;

	return page_alloc(&pages, whole_pages(bytes), GUEST_ALIGN >> PAGE_SHIFT, &a) ? NULL : zeroed(a, bytes);
}

void memory_guest_free(void *p, uint64_t bytes) { mem_free(p, bytes); }
uint64_t memory_free_pages(void) { return page_alloc_stats(&pages).free; }
uint64_t memory_total_pages(void) { return page_alloc_stats(&pages).total; }

/* What the loader put into RAM, and what we are, is not free. */
static int exclude_used(struct boot_info *b)
{
	int err = boot_ram_exclude(b, 0, LOW_MEMORY_END);

	if (!err)
		err = boot_ram_exclude(b, (uintptr_t)image_start, (uint64_t)(image_end - image_start));
	for (unsigned int i = 0; !err && i < b->module_count; i++)
		err = boot_ram_exclude(b, b->modules[i].start.v, b->modules[i].size);
	return err;
}

/* Hands in the part of all ranges that lies within [base, end). */
static void hand_in(const struct boot_info *b, uint64_t base, uint64_t end)
{
	for (unsigned int i = 0; i < b->ram_count; i++) {
		uint64_t first = b->ram[i].base > base ? b->ram[i].base : base;
		uint64_t last = b->ram[i].base + b->ram[i].size;

		last = last < end ? last : end;
		if (first < last && page_alloc_add_region(&pages, hpa(first), last - first))
			log_error("memory at 0x%lx is left unused", first);
	}
}

bool memory_init(struct boot_info *b)
{
	static struct boot_range ram[BOOT_RANGES_MAX];
	unsigned int ram_count = b->ram_count;

	memcpy(ram, b->ram, sizeof(ram));
	page_alloc_init(&pages);
	if (exclude_used(b)) {
		log_error("the memory map has too many ranges");
		return false;
	}
	hand_in(b, 0, EARLY_MAP_END);
	if (!paging_init(ram, ram_count)) {
		log_error("not enough memory for the hypervisor itself");
		return false;
	}
	hand_in(b, EARLY_MAP_END, UINT64_MAX);
	return true;
}
