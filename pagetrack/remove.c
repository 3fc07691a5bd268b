/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What trackers hold: counting it, and giving it back.
 *
 * Invariant: a counter has at least what its holds have, so that giving back
 * cannot fail; whoever would take more is refused before anything changes.
 *
 * Lock: page_track.lock.
 */
#include "lib/assert.h"
#include "lib/errno.h"
#include "pagetrack/chunk.h"
#include "pagetrack/internal.h"
#include "pagetrack/tracker.h"

struct page_hold *parked_find(const struct page_tracker *t, gfn_t gfn)
{
	struct page_hold *h;

	LIST_FOREACH(h, &t->parked, link)
		if (h->first.v == chunk_first(gfn).v)
			return h;
	return NULL;
}

/* What @t holds on @gfn: in the memory that is there, or parked when there is none. */
static struct page_hold *hold_on(const struct page_tracker *t, gfn_t gfn)
{
	const struct page_track_slot *slot = slot_at(t->pt, gfn);

	return slot ? hold_find(chunk_at(slot, gfn), t) : parked_find(t, gfn);
}

/* Takes @n counts out of the whole counter. @pt NULL: the MMU does not know the slot yet. */
static void count_less(struct page_track *pt, struct page_track_chunk *chunk, gfn_t gfn,
		       enum page_track_mode mode, unsigned int n)
{
	int err = chunk_sub(chunk, chunk_page(gfn), mode, n);

	ASSERT(!err); /* the counter has all that its holds have */
	if (pt && chunk_count(chunk, chunk_page(gfn), mode) == 0)
		pt->ops->unprotect(pt->mmu, gfn, mode);
}

/* Has @t a count of each mode on each page? @at: where not. */
static bool has_counts(const struct page_tracker *t, gfn_t base, uint64_t npages, unsigned int modes,
		       gfn_t *at)
{
	for (uint64_t i = 0; i < npages; i++) {
		const struct page_hold *h;

		*at = gfn_add(base, i);
		h = hold_on(t, *at);
		for (unsigned int mode = 0; mode < PAGE_TRACK_MODES; mode++)
			if ((modes & PAGE_TRACK_BIT(mode)) && (!h || !h->count[mode][chunk_page(*at)]))
				return false;
	}
	return true;
}

void tracker_remove_page(struct page_tracker *t, gfn_t gfn, unsigned int modes)
{
	struct page_hold *h = hold_on(t, gfn);

	for (unsigned int mode = 0; mode < PAGE_TRACK_MODES; mode++) {
		if (!(modes & PAGE_TRACK_BIT(mode)))
			continue;
		hold_sub(h, chunk_page(gfn), mode, 1);
		if (h->chunk)
			count_less(t->pt, h->chunk, gfn, mode, 1);
	}
	hold_tidy(h);
}

int page_tracker_remove(struct page_tracker *t, gfn_t base, uint64_t npages, unsigned int modes,
			gfn_t *failed)
{
	struct page_track *pt = t->pt;
	gfn_t at = base;
	int err = 0;

	if (!pt)
		return tracked_result(-ENOENT, at, failed);
	if (!tracked_modes_ok(modes) || npages == 0)
		return tracked_result(-EINVAL, at, failed);
	spin_lock(&pt->lock);
	if (!has_counts(t, base, npages, modes, &at))
		err = -ENOENT;
	for (uint64_t i = 0; i < npages && !err; i++)
		tracker_remove_page(t, gfn_add(base, i), modes);
	spin_unlock(&pt->lock);
	return tracked_result(err, at, failed);
}

void hold_withdraw(struct page_track *pt, struct page_hold *h)
{
	uint32_t left = h->used;

	for (unsigned int mode = 0; mode < PAGE_TRACK_MODES; mode++) {
		for (unsigned int page = 0; page < PAGE_TRACK_CHUNK_PAGES && left; page++) {
			if (!h->count[mode][page])
				continue;
			count_less(pt, h->chunk, gfn_add(h->first, page), mode, h->count[mode][page]);
			left--;
		}
	}
}

void tracker_give_back(struct page_tracker *t)
{
	struct page_hold *h;

	while ((h = LIST_FIRST(&t->holds))) {
		hold_withdraw(t->pt, h);
		hold_unlink(h);
		hold_free(h);
	}
	while ((h = LIST_FIRST(&t->parked))) {
		hold_unlink(h);
		hold_free(h);
	}
	t->all_modes = 0;
}

void page_tracker_clear(struct page_tracker *t)
{
	if (!t->pt)
		return;
	spin_lock(&t->pt->lock);
	tracker_give_back(t);
	spin_unlock(&t->pt->lock);
}

/* ---- counts -------------------------------------------------------------- */

unsigned int page_tracker_count(const struct page_tracker *t, gfn_t gfn, enum page_track_mode mode)
{
	const struct page_hold *h;
	unsigned int n;

	if (!t->pt || (unsigned int)mode >= PAGE_TRACK_MODES)
		return 0;
	spin_lock(&t->pt->lock);
	h = hold_on(t, gfn);
	n = h ? h->count[mode][chunk_page(gfn)] : 0;
	spin_unlock(&t->pt->lock);
	return n;
}

/* The counts on a page of those trackers that do not care for @cr3; with
 * @everyone, of all. */
static unsigned int held(struct page_track *pt, gfn_t gfn, enum page_track_mode mode, bool everyone, uint64_t cr3)
{
	const struct page_track_slot *slot = slot_at(pt, gfn);
	const struct page_track_chunk *chunk = slot ? chunk_at(slot, gfn) : NULL;
	unsigned int page = chunk_page(gfn), n = 0;
	const struct page_hold *h;

	if (!chunk)
		return 0;
	for (h = holders_next(chunk->holders, page, TRACKER_KEY_MIN); h;
	     h = holders_next(chunk->holders, page, tracker_key(h->tracker)))
		if (everyone || !tracker_wants_cr3(h->tracker, cr3))
			n += h->count[mode][page];
	return n;
}

unsigned int page_track_held(struct page_track *pt, gfn_t gfn, enum page_track_mode mode)
{
	unsigned int n;

	if ((unsigned int)mode >= PAGE_TRACK_MODES)
		return 0;
	spin_lock(&pt->lock);
	n = held(pt, gfn, mode, true, 0);
	spin_unlock(&pt->lock);
	return n;
}

unsigned int page_track_count_under(struct page_track *pt, gfn_t gfn, enum page_track_mode mode, uint64_t cr3)
{
	const struct page_track_slot *slot;
	unsigned int n;

	if ((unsigned int)mode >= PAGE_TRACK_MODES)
		return 0;
	spin_lock(&pt->lock);
	slot = slot_at(pt, gfn);
	n = slot ? page_track_count(slot, gfn, mode) - held(pt, gfn, mode, false, cr3) : 0;
	spin_unlock(&pt->lock);
	return n;
}
