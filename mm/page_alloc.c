/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The buddy allocator of machine memory.
 *
 * A block of order k is 2^k pages at a multiple of 2^k. Each region has one
 * bitmap per order; a free page is covered by exactly one set bit. Powers of
 * two come straight from the bitmaps. What the buddies cannot give - a range
 * that is longer than the largest block, or runs across blocks - is searched
 * as a run of free blocks and carved out of them.
 *
 * Lock: page_alloc.lock, taken by the public functions alone.
 */
#include "mm/page_alloc.h"
#include "lib/assert.h"
#include "lib/errno.h"
#include "mm/port.h"

#define ORDER_MAX (PAGE_ALLOC_ORDERS - 1)
#define LOW_END_PFN (1ull << (32 - PAGE_SHIFT))

static uint64_t order_pages(int order)
{
	return 1ull << order;
}

static uint64_t region_end(const struct page_region *r)
{
	return r->base.v + r->npages;
}

static bool region_is_low(const struct page_region *r)
{
	return r->base.v < LOW_END_PFN;
}

/* ---- the bitmaps of a region ------------------------------------------- */

/* Bits in the bitmap of @order for the pages [base, end). */
static uint64_t map_bits(uint64_t base, uint64_t end, int order)
{
	return ((end - 1) >> order) - (base >> order) + 1;
}

static uint64_t map_words(uint64_t base, uint64_t end, int order)
{
	return (map_bits(base, end, order) + 63) / 64;
}

static uint64_t map_index(const struct page_region *r, uint64_t page, int order)
{
	return (page >> order) - (r->base.v >> order);
}

static bool block_is_free(const struct page_region *r, uint64_t page, int order)
{
	uint64_t i = map_index(r, page, order);

	return r->free_map[order][i / 64] >> (i % 64) & 1;
}

static void block_insert(struct page_region *r, uint64_t page, int order)
{
	uint64_t i = map_index(r, page, order);

	r->free_map[order][i / 64] |= 1ull << (i % 64);
	r->free_blocks[order]++;
	if (i / 64 < r->hint[order])
		r->hint[order] = i / 64;
}

static void block_remove(struct page_region *r, uint64_t page, int order)
{
	uint64_t i = map_index(r, page, order);

	r->free_map[order][i / 64] &= ~(1ull << (i % 64));
	r->free_blocks[order]--;
}

/* The lowest free block of @order; there is one. */
static uint64_t block_first(struct page_region *r, int order)
{
	uint64_t word = r->hint[order];
	uint64_t i;

	while (!r->free_map[order][word])
		word++;
	r->hint[order] = word;
	i = word * 64 + (uint64_t)__builtin_ctzll(r->free_map[order][word]);
	return ((r->base.v >> order) + i) << order;
}

/* The order of the free block that holds @page, or -1 when it is not free. */
static int free_order(const struct page_region *r, uint64_t page)
{
	for (int order = 0; order <= ORDER_MAX; order++)
		if (r->free_blocks[order] && block_is_free(r, page, order))
			return order;
	return -1;
}

/* ---- blocks and ranges ------------------------------------------------- */

static bool block_in_region(const struct page_region *r, uint64_t page, int order)
{
	return page >= r->base.v && page + order_pages(order) <= region_end(r);
}

/* Frees one block, merging it with its buddy as long as that is free. */
static void free_block(struct page_region *r, uint64_t page, int order)
{
	for (; order < ORDER_MAX; order++) {
		uint64_t buddy = page ^ order_pages(order);

		if (!block_in_region(r, buddy, order) || !block_is_free(r, buddy, order))
			break;
		block_remove(r, buddy, order);
		page &= ~order_pages(order);
	}
	block_insert(r, page, order);
}

/* The largest aligned block that begins at @page and ends at @end or before. */
static int block_order_at(uint64_t page, uint64_t end)
{
	int order = 0;

	while (order < ORDER_MAX && !(page & order_pages(order)) && page + order_pages(order + 1) <= end)
		order++;
	return order;
}

static void free_range(struct page_region *r, uint64_t page, uint64_t end)
{
	while (page < end) {
		int order = block_order_at(page, end);

		free_block(r, page, order);
		page += order_pages(order);
	}
}

/* Takes [page, end), all of it free, out of the blocks that cover it. */
static void carve(struct page_region *r, uint64_t page, uint64_t end)
{
	for (uint64_t at = page; at < end; ) {
		int order = free_order(r, at);
		uint64_t start, stop;

		ASSERT(order >= 0);
		start = at & ~(order_pages(order) - 1);
		stop = start + order_pages(order);
		block_remove(r, start, order);
		if (start < page)
			free_range(r, start, page);
		if (stop > end)
			free_range(r, end, stop);
		at = stop;
	}
}

/* ---- finding room ------------------------------------------------------ */

static int order_for(uint64_t npages)
{
	return npages <= 1 ? 0 : 64 - __builtin_clzll(npages - 1);
}

/* From one block, split down; what is over goes back. False: none is free. */
static bool take_block(struct page_region *r, uint64_t npages, uint64_t align, uint64_t *page)
{
	int order = order_for(npages > align ? npages : align);

	for (; order <= ORDER_MAX; order++) {
		if (!r->free_blocks[order])
			continue;
		*page = block_first(r, order);
		carve(r, *page, *page + npages);
		return true;
	}
	return false;
}

/* The first page of [page, end) that is not free, or @end. */
static uint64_t first_not_free(const struct page_region *r, uint64_t page, uint64_t end)
{
	while (page < end) {
		int order = free_order(r, page);

		if (order < 0)
			return page;
		page = (page | (order_pages(order) - 1)) + 1;
	}
	return end;
}

/* A run of free blocks, whatever their orders. */
static bool take_run(struct page_region *r, uint64_t npages, uint64_t align, uint64_t *page)
{
	uint64_t at = (r->base.v + align - 1) & ~(align - 1);

	while (at < region_end(r) && npages <= region_end(r) - at) {
		uint64_t stop = first_not_free(r, at, at + npages);

		if (stop == at + npages) {
			carve(r, at, stop);
			*page = at;
			return true;
		}
		at = (stop + align) & ~(align - 1);
	}
	return false;
}

static bool take_from_regions(struct page_alloc *a, bool low, uint64_t npages, uint64_t align, uint64_t *page)
{
	for (unsigned int i = 0; i < a->regions; i++)
		if (region_is_low(&a->region[i]) == low && take_block(&a->region[i], npages, align, page))
			return true;
	if (npages == 1)
		return false; /* no block at all: there is no run either */
	for (unsigned int i = 0; i < a->regions; i++)
		if (region_is_low(&a->region[i]) == low && take_run(&a->region[i], npages, align, page))
			return true;
	return false;
}

static int allocate(struct page_alloc *a, uint64_t npages, uint64_t align, bool low_only, hpa_t *out)
{
	uint64_t page;
	bool found;

	/* The limits keep the arithmetic above from wrapping. */
	if (npages == 0 || align == 0 || (align & (align - 1)) || align > 1ull << 40)
		return -EINVAL;
	if (npages > 1ull << 40)
		return -ENOMEM;
	spin_lock(&a->lock);
	found = !low_only && take_from_regions(a, false, npages, align, &page);
	found = found || take_from_regions(a, true, npages, align, &page);
	if (found) {
		a->stats.free -= npages;
		a->stats.used += npages;
		*out = pfn_to_hpa(pfn(page));
	}
	spin_unlock(&a->lock);
	return found ? 0 : -ENOMEM;
}

int page_alloc(struct page_alloc *a, uint64_t npages, uint64_t align_pages, hpa_t *out)
{
	return allocate(a, npages, align_pages, false, out);
}

int page_alloc_low(struct page_alloc *a, uint64_t npages, uint64_t align_pages, hpa_t *out)
{
	return allocate(a, npages, align_pages, true, out);
}

/* ---- giving back ------------------------------------------------------- */

static struct page_region *region_of(struct page_alloc *a, uint64_t page, uint64_t npages)
{
	for (unsigned int i = 0; i < a->regions; i++) {
		struct page_region *r = &a->region[i];

		if (page >= r->base.v && page < region_end(r) && npages <= region_end(r) - page)
			return r;
	}
	return NULL;
}

/* Is any page of [page, end) free already? */
static bool any_free(const struct page_region *r, uint64_t page, uint64_t end)
{
	for (int order = 0; order <= ORDER_MAX; order++) {
		uint64_t i = map_index(r, page, order), last = map_index(r, end - 1, order);

		if (!r->free_blocks[order])
			continue;
		for (; i <= last; i = (i / 64 + 1) * 64) {
			uint64_t bits = r->free_map[order][i / 64] & (~0ull << (i % 64));

			if (i / 64 == last / 64)
				bits &= ~0ull >> (63 - last % 64);
			if (bits)
				return true;
		}
	}
	return false;
}

void page_free(struct page_alloc *a, hpa_t start, uint64_t npages)
{
	uint64_t page = hpa_to_pfn(start).v;
	struct page_region *r;

	if (npages == 0)
		return;
	spin_lock(&a->lock);
	r = region_of(a, page, npages);
	ASSERT(r && start.v % PAGE_SIZE == 0 && !any_free(r, page, page + npages));
	free_range(r, page, page + npages);
	a->stats.free += npages;
	a->stats.used -= npages;
	spin_unlock(&a->lock);
}

struct page_alloc_stats page_alloc_stats(struct page_alloc *a)
{
	struct page_alloc_stats stats;

	spin_lock(&a->lock);
	stats = a->stats;
	spin_unlock(&a->lock);
	return stats;
}

/* ---- regions ----------------------------------------------------------- */

void page_alloc_init(struct page_alloc *a)
{
	*a = (struct page_alloc){ 0 };
}

static uint64_t meta_pages_for(uint64_t base, uint64_t end)
{
	uint64_t words = 0;

	for (int order = 0; order <= ORDER_MAX; order++)
		words += map_words(base, end, order);
	return (words * sizeof(uint64_t) + PAGE_SIZE - 1) >> PAGE_SHIFT;
}

/* Cuts the zeroed bookkeeping at @words into the bitmaps of all orders. */
static void cut_maps(struct page_region *r, uint64_t *words)
{
	for (int order = 0; order <= ORDER_MAX; order++) {
		r->free_map[order] = words;
		words += map_words(r->base.v, region_end(r), order);
	}
}

/* One run that does not straddle 4 GiB. Page 0 is never handed out: a
 * physical address 0 reads too much like an error. */
static void add_run(struct page_alloc *a, uint64_t page, uint64_t end)
{
	struct page_region *r = &a->region[a->regions];
	uint64_t meta;
	uint64_t *words;

	a->stats.total += end - page;
	if (page == 0) {
		page = 1;
		a->stats.reserved++;
	}
	if (page == end)
		return;
	meta = meta_pages_for(page, end);
	if (meta >= end - page) {
		a->stats.reserved += end - page;
		return;
	}
	words = port_hpa_to_va(pfn_to_hpa(pfn(page)));
	for (uint64_t i = 0; i < meta * PAGE_SIZE / sizeof(*words); i++)
		words[i] = 0;
	*r = (struct page_region){
		.base = pfn(page + meta), .npages = end - page - meta, .meta_pages = meta,
	};
	cut_maps(r, words);
	a->regions++;
	a->stats.reserved += meta;
	a->stats.free += r->npages;
	free_range(r, r->base.v, region_end(r));
}

static bool region_overlaps(const struct page_alloc *a, uint64_t page, uint64_t end)
{
	for (unsigned int i = 0; i < a->regions; i++) {
		const struct page_region *r = &a->region[i];

		if (page < region_end(r) && r->base.v - r->meta_pages < end)
			return true;
	}
	return false;
}

int page_alloc_add_region(struct page_alloc *a, hpa_t start, uint64_t bytes)
{
	uint64_t page = start.v / PAGE_SIZE + (start.v % PAGE_SIZE != 0);
	uint64_t end;
	bool straddles;
	int err = 0;

	if (__builtin_add_overflow(start.v, bytes, &end))
		return -EINVAL;
	end /= PAGE_SIZE;
	if (page >= end)
		return -EINVAL;
	straddles = page < LOW_END_PFN && end > LOW_END_PFN;
	spin_lock(&a->lock);
	if (region_overlaps(a, page, end)) {
		err = -EEXIST;
	} else if (a->regions + (straddles ? 2 : 1) > PAGE_ALLOC_REGIONS_MAX) {
		err = -ENOSPC;
	} else if (straddles) {
		add_run(a, page, LOW_END_PFN);
		add_run(a, LOW_END_PFN, end);
	} else {
		add_run(a, page, end);
	}
	spin_unlock(&a->lock);
	return err;
}
