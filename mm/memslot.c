/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory slots: the sorted arrays, and the per-page arrays that each slot owns.
 *
 * Invariant: slots are ascending by base_gfn and never overlap; by_pfn has the
 * same slots, ascending by base_pfn; every slot in the array has all of its per-page arrays, and a dirty bitmap exactly when
 * MEMSLOT_LOG_DIRTY is set. Every change validates and allocates first and
 * commits after, so that an error has changed nothing.
 *
 * Lock: mmu.lock, held by the caller.
 */
#include "mm/memslot.h"
#include "lib/alloc.h"
#include "lib/errno.h"
#include "mm/port.h"

/* 2^52 bytes is the most that x86-64 can address physically. */
#define FRAMES_MAX (1ull << 40)

/* ---- what a slot owns -------------------------------------------------- */

/* How many entries of @level cover [base, base + npages). */
static uint64_t level_entries(gfn_t base, uint64_t npages, int level)
{
	int shift = 9 * (level - 1);

	return ((base.v + npages - 1) >> shift) - (base.v >> shift) + 1;
}

static uint64_t slot_entries(const struct memslot *slot, int level)
{
	return level_entries(slot->base_gfn, slot->npages, level);
}

static size_t dirty_bytes(const struct memslot *slot)
{
	return (slot->npages + 63) / 64 * sizeof(uint64_t);
}

/* Frees what fill_arrays() made; also when it stopped half way. */
static void free_arrays(struct memslot *slot)
{
	page_track_slot_destroy(&slot->track);
	for (int level = 1; level <= MAPPING_LEVEL_MAX; level++) {
		mem_free(slot->rmap[level - 1], slot_entries(slot, level) * sizeof(struct rmap_head));
		slot->rmap[level - 1] = NULL;
	}
	mem_free(slot->no_large, slot_entries(slot, PG_LEVEL_2M));
	slot->no_large = NULL;
	mem_free(slot->dirty_bitmap, dirty_bytes(slot));
	slot->dirty_bitmap = NULL;
}

/* A 2 MiB range that sticks out of the slot, or whose guest and machine frames
 * are not aligned alike, can never be one large mapping. */
static void forbid_impossible_large(struct memslot *slot)
{
	uint64_t pages = LEVEL_PAGES(PG_LEVEL_2M);
	uint64_t first = slot->base_gfn.v & ~(pages - 1);
	uint64_t end = slot->base_gfn.v + slot->npages;
	bool congruent = ((slot->base_gfn.v ^ slot->base_pfn.v) & (pages - 1)) == 0;

	for (uint64_t i = 0; i < slot_entries(slot, PG_LEVEL_2M); i++) {
		uint64_t start = first + i * pages;

		if (!congruent || start < slot->base_gfn.v || start + pages > end)
			slot->no_large[i] = 1;
	}
}

/* Makes the arrays for slot->base_gfn, npages and flags, but for the counters.
 * On -ENOMEM there are none. */
static int fill_arrays(struct memslot *slot)
{
	for (int level = 1; level <= MAPPING_LEVEL_MAX; level++) {
		slot->rmap[level - 1] = mem_zalloc(slot_entries(slot, level) * sizeof(struct rmap_head));
		if (!slot->rmap[level - 1])
			goto nomem;
	}
	slot->no_large = mem_zalloc(slot_entries(slot, PG_LEVEL_2M));
	if (!slot->no_large)
		goto nomem;
	if (slot->flags & MEMSLOT_LOG_DIRTY) {
		slot->dirty_bitmap = mem_zalloc(dirty_bytes(slot));
		if (!slot->dirty_bitmap)
			goto nomem;
	}
	forbid_impossible_large(slot);
	return 0;
nomem:
	free_arrays(slot);
	return -ENOMEM;
}

/* ---- the sorted arrays ------------------------------------------------- */

/* The number of slots that begin at or below @gfn: where a slot that begins
 * there goes. */
static unsigned int slots_upto(const struct memslots *s, gfn_t gfn)
{
	unsigned int lo = 0, hi = s->count;

	while (lo < hi) {
		unsigned int mid = lo + (hi - lo) / 2;

		if (s->slot[mid]->base_gfn.v <= gfn.v)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* The number of slots whose memory begins at or below @frame. */
static unsigned int frames_upto(const struct memslots *s, pfn_t frame)
{
	unsigned int lo = 0, hi = s->count;

	while (lo < hi) {
		unsigned int mid = lo + (hi - lo) / 2;

		if (s->by_pfn[mid]->base_pfn.v <= frame.v)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void insert_at(struct memslot **array, unsigned int count, unsigned int at, struct memslot *slot)
{
	for (unsigned int i = count; i > at; i--)
		array[i] = array[i - 1];
	array[at] = slot;
}

static void insert_slot(struct memslots *s, struct memslot *slot)
{
	insert_at(s->slot, s->count, slots_upto(s, slot->base_gfn), slot);
	insert_at(s->by_pfn, s->count, frames_upto(s, slot->base_pfn), slot);
	s->count++;
}

/* @array has @slot, and @left others. */
static void take_out(struct memslot **array, unsigned int left, const struct memslot *slot)
{
	unsigned int at = 0;

	while (array[at] != slot)
		at++;
	for (; at < left; at++)
		array[at] = array[at + 1];
	array[left] = NULL;
}

static void take_out_slot(struct memslots *s, const struct memslot *slot)
{
	s->count--;
	take_out(s->slot, s->count, slot);
	take_out(s->by_pfn, s->count, slot);
}

struct memslot *memslot_find(struct memslots *s, gfn_t gfn)
{
	unsigned int n;

	if (s->last_hit < s->count && memslot_contains(s->slot[s->last_hit], gfn))
		return s->slot[s->last_hit];
	n = slots_upto(s, gfn);
	if (n == 0 || !memslot_contains(s->slot[n - 1], gfn))
		return NULL;
	s->last_hit = n - 1;
	return s->slot[n - 1];
}

struct memslot *memslot_find_pfn(struct memslots *s, pfn_t frame)
{
	unsigned int n;

	if (s->last_hit_pfn < s->count && memslot_contains_pfn(s->by_pfn[s->last_hit_pfn], frame))
		return s->by_pfn[s->last_hit_pfn];
	n = frames_upto(s, frame);
	if (n == 0 || !memslot_contains_pfn(s->by_pfn[n - 1], frame))
		return NULL;
	s->last_hit_pfn = n - 1;
	return s->by_pfn[n - 1];
}

uint8_t *memslot_page(const struct memslot *slot, gfn_t gfn)
{
	return port_hpa_to_va(pfn_to_hpa(memslot_pfn(slot, gfn)));
}

struct memslot *memslot_find_id(struct memslots *s, uint32_t id)
{
	for (unsigned int i = 0; i < s->count; i++)
		if (s->slot[i]->id == id)
			return s->slot[i];
	return NULL;
}

/* [start, start + npages) lies below FRAMES_MAX and does not wrap. */
static bool range_ok(uint64_t start, uint64_t npages)
{
	return npages != 0 && npages <= MEMSLOT_PAGES_MAX && start <= FRAMES_MAX - npages;
}

/* Some slot other than @but overlaps [base, base + npages). */
static bool overlaps(const struct memslots *s, gfn_t base, uint64_t npages, const struct memslot *but)
{
	/* Slots do not overlap each other, so only the last few that begin
	 * below the end can reach into the range: one, or two with @but. */
	unsigned int n = slots_upto(s, gfn(base.v + npages - 1));

	for (unsigned int i = n; i > 0 && i + 2 > n; i--) {
		const struct memslot *slot = s->slot[i - 1];

		if (slot != but && slot->base_gfn.v + slot->npages > base.v)
			return true;
	}
	return false;
}

/* ---- changes ----------------------------------------------------------- */

int memslot_create(struct memslots *s, const struct memslot_desc *d)
{
	struct memslot *slot;

	if (!range_ok(d->base_gfn.v, d->npages) || !range_ok(d->base_pfn.v, d->npages) ||
	    (d->flags & ~MEMSLOT_FLAGS))
		return -EINVAL;
	if (overlaps(s, d->base_gfn, d->npages, NULL) || memslot_find_id(s, d->id))
		return -EEXIST;
	if (s->count == MEMSLOTS_MAX)
		return -ENOSPC;
	slot = mem_zalloc(sizeof(*slot));
	if (!slot)
		return -ENOMEM;
	slot->id = d->id;
	slot->flags = d->flags;
	slot->base_gfn = d->base_gfn;
	slot->npages = d->npages;
	slot->base_pfn = d->base_pfn;
	if (page_track_slot_init(&slot->track, slot->base_gfn, slot->npages) || fill_arrays(slot)) {
		page_track_slot_destroy(&slot->track);
		mem_free(slot, sizeof(*slot));
		return -ENOMEM;
	}
	insert_slot(s, slot);
	return 0;
}

int memslot_delete(struct memslots *s, uint32_t id)
{
	struct memslot *slot = memslot_find_id(s, id);

	if (!slot)
		return -ENOENT;
	take_out_slot(s, slot);
	free_arrays(slot);
	mem_free(slot, sizeof(*slot));
	return 0;
}

int memslot_move_prepare(struct memslots *s, uint32_t id, gfn_t base, struct memslot *moved)
{
	struct memslot *slot = memslot_find_id(s, id);

	if (!slot)
		return -ENOENT;
	if (!range_ok(base.v, slot->npages))
		return -EINVAL;
	if (overlaps(s, base, slot->npages, slot))
		return -EEXIST;
	*moved = (struct memslot){
		.id = slot->id, .flags = slot->flags, .base_gfn = base,
		.npages = slot->npages, .base_pfn = slot->base_pfn,
	};
	return fill_arrays(moved);
}

void memslot_move_commit(struct memslots *s, struct memslot *slot, struct memslot *moved)
{
	take_out_slot(s, slot);
	free_arrays(slot);
	*slot = *moved; /* the same object: pointers to it stay good */
	insert_slot(s, slot);
}

void memslot_move_undo(struct memslot *moved)
{
	free_arrays(moved);
}

int memslot_set_flags(struct memslots *s, uint32_t id, uint32_t flags)
{
	struct memslot *slot = memslot_find_id(s, id);

	if (!slot)
		return -ENOENT;
	if (flags & ~MEMSLOT_FLAGS)
		return -EINVAL;
	if ((flags & MEMSLOT_LOG_DIRTY) && !slot->dirty_bitmap) {
		slot->dirty_bitmap = mem_zalloc(dirty_bytes(slot));
		if (!slot->dirty_bitmap)
			return -ENOMEM;
	}
	if (!(flags & MEMSLOT_LOG_DIRTY)) {
		mem_free(slot->dirty_bitmap, dirty_bytes(slot));
		slot->dirty_bitmap = NULL;
	}
	slot->flags = flags;
	return 0;
}

void memslots_destroy(struct memslots *s)
{
	while (s->count > 0) {
		struct memslot *slot = s->slot[--s->count];

		free_arrays(slot);
		mem_free(slot, sizeof(*slot));
		s->slot[s->count] = s->by_pfn[s->count] = NULL;
	}
	s->last_hit = s->last_hit_pfn = 0;
}
