/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page-tracking counters, in chunks.
 *
 * Invariant: a counter never wraps; whoever cannot be counted gets an error
 * and has changed nothing. While a counter is not zero, no translation of its
 * page lets the access through. The second half is the work of those who count:
 * trackers through struct page_track_mmu_ops (tracker.c), and the MMU itself.
 *
 * Lock: none over counters, see chunk.h; spare_lock over the reserve.
 */
#include "pagetrack/page_track.h"
#include "lib/alloc.h"
#include "lib/assert.h"
#include "lib/errno.h"
#include "pagetrack/chunk.h"
#include "pagetrack/hold.h"
#include "pagetrack/tracker.h"

void page_track_init(struct page_track *pt, const struct page_track_mmu_ops *ops, void *mmu)
{
	*pt = (struct page_track){ .ops = ops, .mmu = mmu };
	TAILQ_INIT(&pt->trackers);
	TAILQ_INIT(&pt->cursors);
	LIST_INIT(&pt->slots);
}

/* ---- the reserve -------------------------------------------------------- */

static void spare_put(struct page_track *pt, struct page_track_chunk *chunk)
{
	spin_lock(&pt->spare_lock);
	chunk->holders = (void *)pt->spare;
	pt->spare = chunk;
	pt->spares++;
	spin_unlock(&pt->spare_lock);
}

static struct page_track_chunk *spare_get(struct page_track *pt)
{
	struct page_track_chunk *chunk;

	spin_lock(&pt->spare_lock);
	chunk = pt->spare;
	if (chunk) {
		pt->spare = (void *)chunk->holders;
		pt->spares--;
		chunk->holders = NULL;
	}
	spin_unlock(&pt->spare_lock);
	return chunk;
}

static struct page_track_chunk *chunk_alloc(void)
{
	return mem_zalloc(sizeof(struct page_track_chunk));
}

static void chunk_free(struct page_track_chunk *chunk)
{
	mem_free(chunk, sizeof(*chunk));
}

int page_track_reserve(struct page_track *pt, unsigned int n)
{
	while (__atomic_load_n(&pt->spares, __ATOMIC_RELAXED) < n) {
		struct page_track_chunk *chunk = chunk_alloc();

		if (!chunk)
			return -ENOMEM;
		spare_put(pt, chunk);
	}
	return 0;
}

void page_track_destroy(struct page_track *pt)
{
	struct page_track_chunk *chunk;
	struct page_tracker *t;

	while ((t = TAILQ_FIRST(&pt->trackers))) {
		int err = page_tracker_destroy(t);

		ASSERT(!err);
	}
	while ((chunk = spare_get(pt)))
		chunk_free(chunk);
}

/* ---- chunks -------------------------------------------------------------- */

static uint64_t chunk_index(const struct page_track_slot *slot, gfn_t gfn)
{
	return (gfn.v >> CHUNK_SHIFT) - (slot->base_gfn.v >> CHUNK_SHIFT);
}

uint64_t page_track_chunks(const struct page_track_slot *slot)
{
	return slot->npages ? chunk_index(slot, gfn_add(slot->base_gfn, slot->npages - 1)) + 1 : 0;
}

/* Chunk @i of the slot; pairs with the release in chunk_publish(). */
static struct page_track_chunk *chunk_load(const struct page_track_slot *slot, uint64_t i)
{
	return __atomic_load_n(&slot->chunk[i], __ATOMIC_ACQUIRE);
}

struct page_track_chunk *chunk_at(const struct page_track_slot *slot, gfn_t gfn)
{
	return chunk_load(slot, chunk_index(slot, gfn));
}

/* The zeroed @made becomes the chunk around @gfn, unless another CPU was
 * faster. Returns which one it is. */
static struct page_track_chunk *chunk_publish(struct page_track_slot *slot, gfn_t gfn,
					      struct page_track_chunk *made)
{
	struct page_track_chunk **at = &slot->chunk[chunk_index(slot, gfn)], *there = NULL;

	if (__atomic_compare_exchange_n(at, &there, made, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return made;
	return there;
}

struct page_track_chunk *chunk_make(struct page_track_slot *slot, gfn_t gfn)
{
	struct page_track_chunk *chunk = chunk_at(slot, gfn), *made;

	if (chunk)
		return chunk;
	made = chunk_alloc();
	if (!made)
		return NULL;
	chunk = chunk_publish(slot, gfn, made);
	if (chunk != made)
		chunk_free(made);
	return chunk;
}

/* The same with the help of the reserve, and what is too much goes there: the
 * caller holds locks under which memory is not freed. */
static struct page_track_chunk *chunk_make_reserved(struct page_track *pt, struct page_track_slot *slot,
						    gfn_t gfn)
{
	struct page_track_chunk *chunk = chunk_at(slot, gfn), *made;

	if (chunk)
		return chunk;
	made = spare_get(pt);
	if (!made)
		made = chunk_alloc();
	if (!made)
		return NULL;
	chunk = chunk_publish(slot, gfn, made);
	if (chunk != made)
		spare_put(pt, made);
	return chunk;
}

static size_t directory_bytes(const struct page_track_slot *slot)
{
	return page_track_chunks(slot) * sizeof(struct page_track_chunk *);
}

int page_track_slot_init(struct page_track_slot *slot, gfn_t base, uint64_t npages)
{
	*slot = (struct page_track_slot){ 0 };
	if (npages == 0 || npages > UINT64_MAX - base.v)
		return -EINVAL;
	slot->base_gfn = base;
	slot->npages = npages;
	slot->chunk = mem_zalloc(directory_bytes(slot));
	if (slot->chunk)
		return 0;
	*slot = (struct page_track_slot){ 0 };
	return -ENOMEM;
}

void page_track_slot_destroy(struct page_track_slot *slot)
{
	for (uint64_t i = 0; i < page_track_chunks(slot); i++) {
		struct page_track_chunk *chunk = chunk_load(slot, i);

		if (!chunk)
			continue;
		holders_free(chunk->holders);
		chunk_free(chunk);
	}
	mem_free(slot->chunk, directory_bytes(slot));
	*slot = (struct page_track_slot){ 0 };
}

uint64_t page_track_chunks_made(const struct page_track_slot *slot)
{
	uint64_t made = 0;

	for (uint64_t i = 0; i < page_track_chunks(slot); i++)
		made += chunk_load(slot, i) != NULL;
	return made;
}

/* ---- counters ------------------------------------------------------------ */

/* A chunk may look active for a moment after its last counter became zero, and
 * idle until whoever counted first has come back from here: both before the
 * rights of the page are changed. */
int chunk_add(struct page_track_chunk *chunk, unsigned int page, enum page_track_mode mode, unsigned int n)
{
	uint16_t *c = &chunk->gfn_track[mode][page];
	uint16_t old = __atomic_load_n(c, __ATOMIC_RELAXED);

	do {
		if (n > PAGE_TRACK_COUNT_MAX - (unsigned int)old)
			return -EOVERFLOW;
	} while (!__atomic_compare_exchange_n(c, &old, (uint16_t)(old + n), false, __ATOMIC_SEQ_CST,
					      __ATOMIC_RELAXED));
	if (old == 0 && n > 0)
		__atomic_fetch_add(&chunk->active, 1, __ATOMIC_SEQ_CST);
	return 0;
}

int chunk_sub(struct page_track_chunk *chunk, unsigned int page, enum page_track_mode mode, unsigned int n)
{
	uint16_t *c = &chunk->gfn_track[mode][page];
	uint16_t old = __atomic_load_n(c, __ATOMIC_RELAXED);

	do {
		if (n > old)
			return -ENOENT;
	} while (!__atomic_compare_exchange_n(c, &old, (uint16_t)(old - n), false, __ATOMIC_SEQ_CST,
					      __ATOMIC_RELAXED));
	if (old == n && n > 0)
		__atomic_fetch_sub(&chunk->active, 1, __ATOMIC_SEQ_CST);
	return 0;
}

static bool counter_exists(const struct page_track_slot *slot, gfn_t gfn, enum page_track_mode mode)
{
	return (unsigned int)mode < PAGE_TRACK_MODES && slot_has(slot, gfn);
}

uint16_t page_track_count(const struct page_track_slot *slot, gfn_t gfn, enum page_track_mode mode)
{
	const struct page_track_chunk *chunk;

	if (!counter_exists(slot, gfn, mode))
		return 0;
	chunk = chunk_at(slot, gfn);
	return chunk ? (uint16_t)chunk_count(chunk, chunk_page(gfn), mode) : 0;
}

unsigned int page_track_modes(const struct page_track_slot *slot, gfn_t gfn)
{
	const struct page_track_chunk *chunk = slot_has(slot, gfn) ? chunk_at(slot, gfn) : NULL;
	unsigned int page = chunk_page(gfn), modes = 0;

	if (!chunk)
		return 0;
	for (unsigned int mode = 0; mode < PAGE_TRACK_MODES; mode++)
		if (chunk_count(chunk, page, mode))
			modes |= PAGE_TRACK_BIT(mode);
	return modes;
}

bool page_track_range_is_active(const struct page_track_slot *slot, gfn_t gfn)
{
	const struct page_track_chunk *chunk = slot_has(slot, gfn) ? chunk_at(slot, gfn) : NULL;

	return chunk && __atomic_load_n(&chunk->active, __ATOMIC_RELAXED) != 0;
}

uint64_t page_track_total(const struct page_track_slot *slot, enum page_track_mode mode)
{
	uint64_t total = 0;

	if ((unsigned int)mode >= PAGE_TRACK_MODES)
		return 0;
	for (uint64_t i = 0; i < page_track_chunks(slot); i++) {
		const struct page_track_chunk *chunk = chunk_load(slot, i);

		for (unsigned int page = 0; chunk && page < PAGE_TRACK_CHUNK_PAGES; page++)
			total += chunk_count(chunk, page, mode);
	}
	return total;
}

int page_track_count_add(struct page_track *pt, struct page_track_slot *slot, gfn_t gfn,
			 enum page_track_mode mode)
{
	struct page_track_chunk *chunk;

	if (!counter_exists(slot, gfn, mode))
		return -EINVAL;
	chunk = chunk_make_reserved(pt, slot, gfn);
	return chunk ? chunk_add(chunk, chunk_page(gfn), mode, 1) : -ENOMEM;
}

int page_track_count_sub(struct page_track_slot *slot, gfn_t gfn, enum page_track_mode mode)
{
	struct page_track_chunk *chunk;

	if (!counter_exists(slot, gfn, mode))
		return -EINVAL;
	chunk = chunk_at(slot, gfn);
	return chunk ? chunk_sub(chunk, chunk_page(gfn), mode, 1) : -ENOENT;
}
