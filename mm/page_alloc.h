/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The machine's physical pages: a buddy allocator over the regions of RAM that
 * the boot memory map hands in. It gives contiguous ranges of any number of
 * pages at any power-of-two alignment, and takes them back exactly.
 *
 * Its bookkeeping - two bits per page - lies in the first pages of each region,
 * reached through port_hpa_to_va(); free pages themselves are never touched.
 * Nothing here zeroes memory: that is for the caller, e.g. mem_zalloc().
 *
 * Invariant: free + used + reserved = total, and no two free buddies lie side
 * by side unmerged.
 *
 * Lock: its own, inside everything else.
 */
#ifndef MM_PAGE_ALLOC_H
#define MM_PAGE_ALLOC_H

#include "lib/compiler.h"
#include "lib/spinlock.h"
#include "lib/types.h"

#define PAGE_ALLOC_ORDERS 19 /* blocks of 2^0 .. 2^18 pages: 4 KiB .. 1 GiB */
#define PAGE_ALLOC_REGIONS_MAX 64

/* A run of RAM, entirely below or entirely above 4 GiB. */
struct page_region {
	pfn_t base;          /* first page that can be handed out */
	uint64_t npages;
	uint64_t meta_pages; /* bookkeeping, just below base */
	/* [order]: one bit for each naturally aligned block of 2^order pages,
	 * from the one that holds base; set: free, and not part of a larger
	 * free block. */
	uint64_t *free_map[PAGE_ALLOC_ORDERS];
	uint64_t free_blocks[PAGE_ALLOC_ORDERS]; /* bits set in free_map */
	uint64_t hint[PAGE_ALLOC_ORDERS];        /* words of free_map below are 0 */
};

/* In pages. */
struct page_alloc_stats {
	uint64_t total;    /* whole pages handed in */
	uint64_t free;
	uint64_t used;     /* allocated now */
	uint64_t reserved; /* bookkeeping, page 0, regions too small to keep */
};

struct page_alloc {
	struct spinlock lock;
	struct page_region region[PAGE_ALLOC_REGIONS_MAX];
	unsigned int regions;
	struct page_alloc_stats stats;
};

void page_alloc_init(struct page_alloc *a);

/* Hands in the RAM [start, start + bytes): only whole pages of it are taken.
 * It must be mapped for port_hpa_to_va() and hold nothing that is needed.
 * -EINVAL: no whole page, or a wrap; -EEXIST: overlaps a region handed in
 * before; -ENOSPC: PAGE_ALLOC_REGIONS_MAX. Nothing has changed on error. */
must_check int page_alloc_add_region(struct page_alloc *a, hpa_t start, uint64_t bytes);

/* @npages contiguous pages at a multiple of @align_pages, a power of two. RAM
 * above 4 GiB goes first. The contents are whatever they were.
 * -EINVAL: no pages or a bad alignment; -ENOMEM: no such run is free. */
must_check int page_alloc(struct page_alloc *a, uint64_t npages, uint64_t align_pages, hpa_t *out);

/* The same, wholly below 4 GiB. */
must_check int page_alloc_low(struct page_alloc *a, uint64_t npages, uint64_t align_pages, hpa_t *out);

/* Gives back [start, start + npages), all of it allocated: as one allocation,
 * or piecemeal. */
void page_free(struct page_alloc *a, hpa_t start, uint64_t npages);

struct page_alloc_stats page_alloc_stats(struct page_alloc *a);

#endif
