/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of this folder know of each other beside chunks, holds and
 * cursors. Lock: page_track.lock, held by the caller.
 */
#ifndef PAGETRACK_INTERNAL_H
#define PAGETRACK_INTERNAL_H

#include "pagetrack/hold.h"
#include "pagetrack/tracker.h"

static inline struct page_track_slot *slot_at(const struct page_track *pt, gfn_t gfn)
{
	return pt->ops->slot_of(pt->mmu, gfn);
}

/* Arguments and results of adding and removing. */
static inline bool tracked_modes_ok(unsigned int modes)
{
	return modes != 0 && (modes & ~PAGE_TRACK_ALL) == 0;
}

static inline int tracked_result(int err, gfn_t at, gfn_t *failed)
{
	if (err && failed)
		*failed = at;
	return err;
}

/* One count fewer of each of @modes on @gfn, where @t has them. */
void tracker_remove_page(struct page_tracker *t, gfn_t gfn, unsigned int modes);

/* Gives back all counts of @t, parked ones too, and that it wants all pages. */
void tracker_give_back(struct page_tracker *t);

/* Takes all counts of @h out of the counters of its chunk; @h keeps them. @pt NULL: in
 * a slot that was never in use, of which the MMU knows nothing. */
void hold_withdraw(struct page_track *pt, struct page_hold *h);

/* Its parked hold of the chunk around @gfn, or NULL. */
struct page_hold *parked_find(const struct page_tracker *t, gfn_t gfn);

/* The count that page_tracker_add_all() gives @t on @gfn: 0 or 1. */
unsigned int count_of_all(const struct page_tracker *t, gfn_t gfn, enum page_track_mode mode);

/* @t, which may have stopped the VM, is being destroyed. */
void page_track_stop_forget(struct page_track *pt, const struct page_tracker *t);

/* Is what happens under @cr3 its business? */
static inline bool tracker_wants_cr3(const struct page_tracker *t, uint64_t cr3)
{
	return !t->only_cr3 || ((t->only_cr3 ^ cr3) & PAGE_TRACKER_CR3_MASK) == 0;
}

#endif
