/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the MMU does when it is told of a write: a guest table that is shadowed was written, by
 * whomever. Exactly the shadow entries whose guest entries changed are
 * dropped, in every role; a write of any width and place is cut into the
 * guest entries it touches.
 *
 * A page that is written again and again without being used as a table has
 * most likely been freed and reused, and one that nothing points to almost
 * certainly: its shadow pages are zapped, which lifts the write protection, so
 * that it costs nothing from there on.
 * Lock: taken here.
 */
#include <string.h>
#include "mm/mmu_internal.h"

#define GPTE_PRESENT (1ull << 0)
#define GPTE_ACCESSED (1ull << 5)
#define GPTE_DIRTY (1ull << 6)
#define GPTE_IGNORED (7ull << 9) /* for software, in every entry of every format */

/* Writes without a use as a table that make a flood. */
#define FLOOD_WRITES 4

/*
 * May the shadow of an entry stay when it changes from @old to @new? A or D
 * newly set take nothing away; when the guest clears them it wants to see
 * them set again by the next access.
 */
static bool shadow_stays(uint64_t old, uint64_t new)
{
	uint64_t changed = old ^ new;

	return (changed & ~(GPTE_ACCESSED | GPTE_DIRTY | GPTE_IGNORED)) == 0 &&
	       (old & ~new & (GPTE_ACCESSED | GPTE_DIRTY)) == 0;
}

/* The guest entry that is @new now, as it was before @w. @offset: of the
 * entry in its page. */
static uint64_t gpte_before(const struct page_track_event *w, unsigned int offset, unsigned int size,
			    uint64_t new)
{
	unsigned int start = (unsigned int)gpa_offset(w->gpa);
	uint8_t bytes[8];
	uint64_t old = 0;

	memcpy(bytes, &new, sizeof(bytes));
	for (unsigned int i = 0; i < size; i++)
		if (offset + i - start < w->len)
			bytes[i] = w->old[offset + i - start];
	memcpy(&old, bytes, sizeof(old));
	return old;
}

/*
 * Which entries of the table of @sp shadow guest entry @index: *count of them
 * from *first on. A table of 1024 4-byte entries is shadowed in quadrants; an
 * entry of its level 2 maps 4 MiB and has two shadow entries.
 */
static bool shadow_entries(const struct shadow_page *sp, unsigned int index, unsigned int *first,
			   unsigned int *count)
{
	unsigned int per_quadrant;

	if (sp->role.cr4_pae) {
		*first = index;
		*count = 1;
		return true;
	}
	*count = sp->role.level == 1 ? 1 : 2;
	per_quadrant = SPTES_PER_PAGE / *count;
	*first = index % per_quadrant * *count;
	return index / per_quadrant == sp->role.quadrant;
}

static void entry_written(struct mmu *mmu, struct shadow_page *sp, unsigned int index, uint64_t old, uint64_t new)
{
	uint64_t *table = shadow_table(&mmu->pool, sp);
	unsigned int first, count;

	if (!shadow_entries(sp, index, &first, &count) || shadow_stays(old, new))
		return;
	for (unsigned int i = first; i < first + count; i++)
		spte_set(mmu, &table[i], new & GPTE_PRESENT ? spte_not_shadowed() : spte_guest_not_present());
}

static void update(struct mmu *mmu, struct shadow_page *sp, const struct memslot *slot,
		   const struct page_track_event *w)
{
	unsigned int size = mmu_gpte_size(sp->role);
	unsigned int start = (unsigned int)gpa_offset(w->gpa);

	for (unsigned int offset = start & ~(size - 1); offset < start + w->len; offset += size) {
		uint64_t new = mmu_read_gpte(slot, sp->gfn, offset, size);

		entry_written(mmu, sp, offset / size, gpte_before(w, offset, size, new), new);
	}
}

/* Nothing points to the table any more, and it cannot be a root of the guest
 * (level 4, level 2 of 4-byte tables) that is not in use just now. */
static bool is_orphan(const struct shadow_page *sp)
{
	return rmap_empty(&sp->parents) && sp->role.level != 4 && (sp->role.level != 2 || sp->role.cr4_pae);
}

/* Is this how a page is written that is no table any more? */
static bool is_flooded(struct shadow_page *sp, const struct page_track_event *w)
{
	unsigned int size = mmu_gpte_size(sp->role);
	uint64_t first = w->gpa.v / size, last = (w->gpa.v + w->len - 1) / size;
	bool is_flag_byte = w->len == 1 && w->gpa.v % size == 0; /* as "lock andb" changes P, W, U, A and D */

	if (sp->pins || w->origin->agent == AGENT_WALKER)
		return false;
	if (is_orphan(sp) || first != last || (w->len < 4 && !is_flag_byte))
		return true;
	return ++sp->writes >= FLOOD_WRITES;
}

void mmu_table_written(void *opaque, const struct page_track_event *w)
{
	struct mmu *mmu = opaque;
	gfn_t g = gpa_to_gfn(w->gpa);
	struct shadow_page *sp, *next;
	struct memslot *slot;

	spin_lock(&mmu->lock);
	slot = memslot_find(&mmu->mem.slots, g);
	for (sp = slot ? LIST_FIRST(shadow_bucket_of(&mmu->pool, g)) : NULL; sp; sp = next) {
		next = LIST_NEXT(sp, hash);
		if (sp->gfn.v != g.v || sp->role.direct)
			continue;
		mmu->stats.table_writes++;
		if (is_flooded(sp, w))
			shadow_zap(mmu, sp);
		else
			update(mmu, sp, slot, w);
	}
	mmu_unlock(mmu);
}
