/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory slots: which guest frames are RAM, and which machine frames back
 * them. A slot maps [base_gfn, base_gfn + npages) onto the contiguous machine
 * frames [base_pfn, base_pfn + npages) and embeds everything that is known
 * per guest page: the tracking counters, the reverse maps, what forbids a
 * large mapping, and the dirty bitmap.
 *
 * Slots of one VM never overlap. They are kept sorted by base_gfn, and once more
 * by base_pfn, so each lookup is a binary search behind a last-hit cache. This file changes the data
 * only; mm/mmu.h has the calls that also take the old translations away.
 *
 * Lock: mmu.lock for every change; lookups by the MMU hold it too.
 */
#ifndef MM_MEMSLOT_H
#define MM_MEMSLOT_H

#include "lib/compiler.h"
#include "lib/types.h"
#include "pagetrack/page_track.h"

#define MEMSLOTS_MAX 512
#define MEMSLOT_PAGES_MAX (1ull << 36)

/* Shadow mappings are 4 KiB (level 1) or 2 MiB (level 2). */
#define PG_LEVEL_4K 1
#define PG_LEVEL_2M 2
#define PG_LEVEL_1G 3
#define MAPPING_LEVEL_MAX PG_LEVEL_2M

#define LEVEL_PAGES(level) (1ull << (9 * ((level) - 1))) /* 4 KiB pages in one entry */

#define MEMSLOT_READONLY (1u << 0)  /* guest writes are as if there were no RAM */
#define MEMSLOT_LOG_DIRTY (1u << 1) /* every write sets a bit of dirty_bitmap */
#define MEMSLOT_FLAGS (MEMSLOT_READONLY | MEMSLOT_LOG_DIRTY)

/* Head of the sptes that map one frame (or one 2 MiB range); see mm/rmap.h. */
struct rmap_head { uintptr_t val; };

struct memslot {
	uint32_t id; /* chosen by the owner of the VM, unique in it */
	uint32_t flags;
	gfn_t base_gfn;
	uint64_t npages;
	pfn_t base_pfn;
	struct page_track_slot track; /* gfn_track[mode][gfn - base_gfn] */
	struct rmap_head *rmap[MAPPING_LEVEL_MAX]; /* [level - 1][index of gfn at that level] */
	uint8_t *no_large;     /* [index of the 2 MiB range]: no large mapping can ever fit there */
	uint64_t *dirty_bitmap; /* NULL unless MEMSLOT_LOG_DIRTY */
};

struct memslots {
	struct memslot *slot[MEMSLOTS_MAX];   /* ascending base_gfn */
	struct memslot *by_pfn[MEMSLOTS_MAX]; /* the same, ascending base_pfn */
	unsigned int count;
	unsigned int last_hit, last_hit_pfn;
};

struct memslot_desc {
	uint32_t id;
	uint32_t flags;
	gfn_t base_gfn;
	uint64_t npages;
	pfn_t base_pfn;
};

/* -EINVAL: no pages, unknown flags, or an end beyond frame 2^40 or a wrap, of
 * the guest's frames or the machine's;
 * -EEXIST: overlaps a slot, or the id is taken; -ENOSPC: MEMSLOTS_MAX;
 * -ENOMEM. Nothing has changed on error. */
must_check int memslot_create(struct memslots *s, const struct memslot_desc *d);

/* -ENOENT: no such id. */
must_check int memslot_delete(struct memslots *s, uint32_t id);

/*
 * A move gives the slot a new base_gfn: reverse maps and dirty bits
 * start from nothing; the struct memslot stays the same object.
 * memslot_move_prepare() fills *@moved with what it will be, but for its
 * counters: moved->track is the caller's to make. Errors as memslot_create(), and -ENOENT.
 * Then memslot_move_commit(), which frees what the slot had, or
 * memslot_move_undo(), with moved->track zero.
 */
must_check int memslot_move_prepare(struct memslots *s, uint32_t id, gfn_t base, struct memslot *moved);
void memslot_move_commit(struct memslots *s, struct memslot *slot, struct memslot *moved);
void memslot_move_undo(struct memslot *moved);

/* A flags-only change keeps counters and reverse maps. -EINVAL: unknown flags;
 * -ENOENT, -ENOMEM. */
must_check int memslot_set_flags(struct memslots *s, uint32_t id, uint32_t flags);

void memslots_destroy(struct memslots *s);

/* The slot that holds @gfn, or NULL. O(log n), O(1) on the last hit. */
struct memslot *memslot_find(struct memslots *s, gfn_t gfn);
struct memslot *memslot_find_id(struct memslots *s, uint32_t id);
/* The slot that the machine frame @frame backs, or NULL. As quick. Right where no two
 * slots share a frame, which mmu_slot_create() sees to. */
struct memslot *memslot_find_pfn(struct memslots *s, pfn_t frame);

static inline bool memslot_contains(const struct memslot *slot, gfn_t gfn)
{
	return gfn.v - slot->base_gfn.v < slot->npages;
}

static inline bool memslot_contains_pfn(const struct memslot *slot, pfn_t frame)
{
	return frame.v - slot->base_pfn.v < slot->npages;
}

static inline pfn_t memslot_pfn(const struct memslot *slot, gfn_t gfn)
{
	return pfn_add(slot->base_pfn, gfn.v - slot->base_gfn.v);
}

/* What @gfn, which is in @slot, holds: PAGE_SIZE bytes. */
uint8_t *memslot_page(const struct memslot *slot, gfn_t gfn);

/* To be called after each write to @gfn; does nothing unless dirty logging is
 * on. Atomic: the harvester may take bits at the same time. */
static inline void memslot_mark_dirty(struct memslot *slot, gfn_t gfn)
{
	uint64_t i = gfn.v - slot->base_gfn.v;

	if (slot->dirty_bitmap)
		__atomic_fetch_or(&slot->dirty_bitmap[i / 64], 1ull << (i % 64), __ATOMIC_RELEASE);
}

/* Index of @gfn's entry at @level in the per-slot arrays: counted from the
 * aligned start, so a slot that begins inside a 2 MiB range has entry 0 for
 * the partial range. */
static inline uint64_t memslot_index(const struct memslot *slot, gfn_t gfn, int level)
{
	int shift = 9 * (level - 1);

	return (gfn.v >> shift) - (slot->base_gfn.v >> shift);
}

#endif
