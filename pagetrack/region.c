/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory comes, goes and moves under the trackers.
 *
 * A slot is given all counts that are to be on its pages before it is in use
 * (fill_slot); only when nothing can fail any more are those that were parked
 * taken from there (take_parked). A slot that goes leaves behind what follows
 * the gfn, as parked holds, which are the same objects: that cannot fail.
 *
 * Lock: page_track.lock, but for the notification.
 */
#include "lib/errno.h"
#include "pagetrack/chunk.h"
#include "pagetrack/cursor.h"
#include "pagetrack/internal.h"
#include "pagetrack/tracker.h"

#define FOREACH_PAGE(page) for (unsigned int page = 0; page < PAGE_TRACK_CHUNK_PAGES; page++)
#define FOREACH_MODE(mode) for (unsigned int mode = 0; mode < PAGE_TRACK_MODES; mode++)

/* The first gfn of chunk @i of the slot, which may lie before the slot. */
static gfn_t chunk_gfn(const struct page_track_slot *slot, uint64_t i)
{
	return gfn_add(chunk_first(slot->base_gfn), i * PAGE_TRACK_CHUNK_PAGES);
}

/* Chunk @i of the slot, or NULL. */
static struct page_track_chunk *nth_chunk(const struct page_track_slot *slot, uint64_t i)
{
	return chunk_at(slot, chunk_gfn(slot, i));
}

/* ---- giving counts to a slot that is not in use --------------------------- */

/* The MMU has no counts there yet, and is left all it may come to need. */
static int give(struct page_track *pt, struct page_track_slot *slot, struct page_tracker *t, gfn_t gfn,
		enum page_track_mode mode, unsigned int n)
{
	struct page_track_chunk *chunk = chunk_make(slot, gfn);
	struct page_hold *h = chunk ? hold_make(chunk, chunk_first(gfn), t) : NULL;
	unsigned int page = chunk_page(gfn);

	if (!h)
		return -ENOMEM;
	if (chunk_count(chunk, page, mode) + n > PAGE_TRACK_COUNT_MAX - pt->ops->own_max[mode] ||
	    chunk_add(chunk, page, mode, n))
		return -EOVERFLOW;
	hold_add(h, page, mode, n);
	return 0;
}

/* What of a count follows the gfn: all but what page_tracker_add_all() will give again. */
static unsigned int count_to_park(const struct page_hold *h, unsigned int page, enum page_track_mode mode)
{
	unsigned int n = h->count[mode][page];

	return n - (n ? count_of_all(h->tracker, gfn_add(h->first, page), mode) : 0);
}

/* The counts of the parked hold @h on pages of the slot; those of one in force
 * as if it were parked already. */
static int give_from_gfn(struct page_track *pt, struct page_track_slot *slot, const struct page_hold *h)
{
	int err = 0;

	FOREACH_PAGE(page) {
		gfn_t gfn = gfn_add(h->first, page);

		if (!slot_has(slot, gfn))
			continue;
		FOREACH_MODE(mode) {
			unsigned int n = h->chunk ? count_to_park(h, page, mode) : h->count[mode][page];

			if (n && !err)
				err = give(pt, slot, h->tracker, gfn, mode, n);
		}
	}
	return err;
}

/* The counts of @h, in force on pages of @from, on the same memory in @slot. */
static int give_from_memory(struct page_track *pt, struct page_track_slot *slot,
			    const struct page_track_slot *from, const struct page_hold *h)
{
	int err = 0;

	FOREACH_PAGE(page) {
		uint64_t offset = gfn_add(h->first, page).v - from->base_gfn.v;

		FOREACH_MODE(mode) {
			unsigned int n = h->count[mode][page];

			if (n && !err)
				err = give(pt, slot, h->tracker, gfn_add(slot->base_gfn, offset), mode, n);
		}
	}
	return err;
}

/* One count on each page, for a tracker that has them all. */
static int give_all(struct page_track *pt, struct page_track_slot *slot, struct page_tracker *t)
{
	int err = 0;

	for (uint64_t i = 0; i < slot->npages && !err; i++) {
		gfn_t gfn = gfn_add(slot->base_gfn, i);

		FOREACH_MODE(mode)
			if (!err && count_of_all(t, gfn, mode))
				err = give(pt, slot, t, gfn, mode, 1);
	}
	return err;
}

static int give_to_one(struct page_track *pt, struct page_track_slot *slot, struct page_tracker *t)
{
	const struct page_hold *h;
	int err = 0;

	if (t->follow != PAGE_TRACKER_FOLLOW_GFN)
		return 0;
	if (t->all_modes)
		err = give_all(pt, slot, t);
	LIST_FOREACH(h, &t->parked, link)
		if (!err)
			err = give_from_gfn(pt, slot, h);
	return err;
}

/* What trackers in force in @from bring along: those that follow memory all
 * they have, the others what they have where the slot is to be. */
static int give_from_slot(struct page_track *pt, struct page_track_slot *slot,
			  const struct page_track_slot *from)
{
	int err = 0;

	for (uint64_t i = 0; i < page_track_chunks(from) && !err; i++) {
		const struct page_track_chunk *chunk = nth_chunk(from, i);
		const struct page_hold *h;

		for (unsigned int k = 0; chunk && !err && (h = holders_at(chunk->holders, k)); k++)
			err = h->tracker->follow == PAGE_TRACKER_FOLLOW_MEMORY
				      ? give_from_memory(pt, slot, from, h)
				      : give_from_gfn(pt, slot, h);
	}
	return err;
}

/* Gives @slot, which takes the place of @from (NULL: of nothing), all counts it is to have. */
static int fill_slot(struct page_track *pt, struct page_track_slot *slot,
		     const struct page_track_slot *from)
{
	struct page_tracker *t;
	int err = from ? give_from_slot(pt, slot, from) : 0;

	TAILQ_FOREACH(t, &pt->trackers, link)
		if (!err)
			err = give_to_one(pt, slot, t);
	return err;
}

/* Takes all holds out of a slot that was never in use. */
static void empty_slot(struct page_track_slot *slot)
{
	for (uint64_t i = 0; i < page_track_chunks(slot); i++) {
		struct page_track_chunk *chunk = nth_chunk(slot, i);
		struct page_hold *h;

		while (chunk && (h = holders_last(chunk->holders))) {
			hold_withdraw(NULL, h);
			hold_unlink(h);
			hold_free(h);
		}
	}
}

/* Takes the counts on pages of @slot, which has been given them, off the parked holds of @t. */
static void take_parked(struct page_tracker *t, const struct page_track_slot *slot)
{
	struct page_hold *h, *next;

	for (h = LIST_FIRST(&t->parked); h; h = next) {
		next = LIST_NEXT(h, link);
		FOREACH_PAGE(page)
			FOREACH_MODE(mode)
				if (slot_has(slot, gfn_add(h->first, page)))
					hold_sub(h, page, mode, h->count[mode][page]);
		hold_tidy(h);
	}
}

/* Takes the rights of all tracked pages. */
static void protect_slot(struct page_track *pt, const struct page_track_slot *slot)
{
	bool owed = false;

	for (uint64_t i = 0; i < page_track_chunks(slot); i++) {
		const struct page_track_chunk *chunk = nth_chunk(slot, i);
		gfn_t first = chunk_gfn(slot, i);

		if (!chunk || !chunk->active)
			continue;
		FOREACH_PAGE(page)
			FOREACH_MODE(mode)
				if (chunk_count(chunk, page, mode))
					owed |= pt->ops->protect(pt->mmu, gfn_add(first, page), mode);
	}
	if (owed)
		pt->ops->flush(pt->mmu);
}

int page_track_slot_attach(struct page_track *pt, struct page_track_slot *slot)
{
	struct page_tracker *t;
	int err = 0;

	spin_lock(&pt->lock);
	if (!slot->prepared)
		err = fill_slot(pt, slot, NULL);
	if (err) {
		empty_slot(slot);
	} else {
		TAILQ_FOREACH(t, &pt->trackers, link)
			take_parked(t, slot);
		slot->prepared = false;
		LIST_INSERT_HEAD(&pt->slots, slot, link);
		protect_slot(pt, slot);
	}
	spin_unlock(&pt->lock);
	return err;
}

/* ---- a slot goes --------------------------------------------------------- */

/* Adds the counts of @h to @there, which is parked in the same chunk: on other
 * pages, those of another slot that shares it. */
static void merge(struct page_hold *there, const struct page_hold *h)
{
	FOREACH_PAGE(page)
		FOREACH_MODE(mode)
			hold_add(there, page, mode, h->count[mode][page]);
}

/* @h is out of its chunk. @shared: other slots may lie in it, too. */
static void park(struct page_hold *h, bool shared)
{
	struct page_tracker *t = h->tracker;
	struct page_hold *there = shared ? parked_find(t, h->first) : NULL;

	FOREACH_PAGE(page)
		FOREACH_MODE(mode)
			hold_sub(h, page, mode, h->count[mode][page] - count_to_park(h, page, mode));
	if (there)
		merge(there, h);
	if (there || !h->used)
		hold_free(h);
	else
		LIST_INSERT_HEAD(&t->parked, h, link);
}

static void detach_chunk(struct page_track *pt, struct page_track_chunk *chunk, bool shared)
{
	struct page_hold *h;

	while ((h = holders_last(chunk->holders))) {
		hold_withdraw(pt, h);
		hold_unlink(h);
		if (h->tracker->follow == PAGE_TRACKER_FOLLOW_GFN)
			park(h, shared);
		else
			hold_free(h);
	}
}

void page_track_slot_detach(struct page_track *pt, struct page_track_slot *slot)
{
	spin_lock(&pt->lock);
	for (uint64_t i = 0; i < page_track_chunks(slot); i++) {
		struct page_track_chunk *chunk = nth_chunk(slot, i);
		gfn_t first = chunk_gfn(slot, i), last = gfn_add(first, PAGE_TRACK_CHUNK_PAGES - 1);

		if (chunk)
			detach_chunk(pt, chunk, !slot_has(slot, first) || !slot_has(slot, last));
	}
	LIST_REMOVE(slot, link);
	spin_unlock(&pt->lock);
}

/* ---- a slot moves -------------------------------------------------------- */

int page_track_slot_move_prepare(struct page_track *pt, struct page_track_slot *from, gfn_t base,
				 struct page_track_slot *to)
{
	int err = page_track_slot_init(to, base, from->npages);

	if (err)
		return err;
	spin_lock(&pt->lock);
	err = fill_slot(pt, to, from);
	to->prepared = !err;
	if (err)
		empty_slot(to);
	spin_unlock(&pt->lock);
	if (err)
		page_track_slot_destroy(to);
	return err;
}

void page_track_slot_move_undo(struct page_track *pt, struct page_track_slot *to)
{
	spin_lock(&pt->lock);
	empty_slot(to);
	spin_unlock(&pt->lock);
	page_track_slot_destroy(to);
}

/* ---- telling ------------------------------------------------------------- */

/* The next tracker that wants to hear of it, or NULL, with the cursor taken down. Lock held. */
static struct page_tracker *next_to_tell(struct page_track *pt, struct page_track_cursor *c)
{
	struct page_tracker *t;

	do {
		t = cursor_turn(c, cursor_next_tracker(pt, c));
	} while (t && !t->ops->region);
	if (!t)
		cursor_close(pt, c);
	return t;
}

void page_track_notify_region(struct page_track *pt, const struct page_track_region *r)
{
	struct page_track_cursor c;
	struct page_tracker *t;

	spin_lock(&pt->lock);
	cursor_open(pt, &c);
	while ((t = next_to_tell(pt, &c))) {
		spin_unlock(&pt->lock);
		t->ops->region(t, r);
		spin_lock(&pt->lock);
	}
	spin_unlock(&pt->lock);
}
