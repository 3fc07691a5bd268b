/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What trackers add.
 *
 * In steps: all is validated, then all memory is made (a chunk, and a hold
 * without counts, for each 2 MiB), and then it cannot fail any more. What the
 * second step leaves behind on an error is empty: holds are freed, chunks stay.
 *
 * Lock: page_track.lock.
 */
#include "lib/assert.h"
#include "lib/errno.h"
#include "pagetrack/chunk.h"
#include "pagetrack/internal.h"
#include "pagetrack/tracker.h"

/* Counts that are being added. */
struct adding {
	struct page_tracker *t;
	unsigned int modes;
	const struct page_track_range *except;
	unsigned int except_count;
	gfn_t at; /* where the work is; after an error: what it is about */
};

static bool in_ranges(const struct page_track_range *range, unsigned int count, gfn_t gfn)
{
	for (unsigned int i = 0; i < count; i++)
		if (gfn.v - range[i].base.v < range[i].npages)
			return true;
	return false;
}

unsigned int count_of_all(const struct page_tracker *t, gfn_t gfn, enum page_track_mode mode)
{
	return (t->all_modes & PAGE_TRACK_BIT(mode)) && !in_ranges(t->except, t->except_count, gfn);
}

static bool left_out(const struct adding *a)
{
	return in_ranges(a->except, a->except_count, a->at);
}

/* Is there room for one more beside all that the MMU may come to need? Its own
 * are asked for first: what it adds meanwhile counts against the tracker. */
static bool has_room(const struct page_track *pt, const struct page_track_slot *slot, gfn_t gfn,
		     enum page_track_mode mode)
{
	unsigned int own = pt->ops->own_count ? pt->ops->own_count(pt->mmu, gfn, mode) : 0;
	unsigned int count = page_track_count(slot, gfn, mode);

	return count + 1 <= PAGE_TRACK_COUNT_MAX - pt->ops->own_max[mode] + own;
}

static int check_page(const struct adding *a)
{
	const struct page_track_slot *slot = slot_at(a->t->pt, a->at);

	if (!slot)
		return -EINVAL;
	for (unsigned int mode = 0; mode < PAGE_TRACK_MODES; mode++)
		if ((a->modes & PAGE_TRACK_BIT(mode)) && !has_room(a->t->pt, slot, a->at, mode))
			return -EOVERFLOW;
	return 0;
}

/* Makes what counting on the page needs. */
static int prepare_page(const struct adding *a)
{
	struct page_track_chunk *chunk = chunk_make(slot_at(a->t->pt, a->at), a->at);

	return chunk && hold_make(chunk, chunk_first(a->at), a->t) ? 0 : -ENOMEM;
}

/* Returns whether a flush is owed. The right is taken on every add, not on the
 * first alone: the count that was there may be the MMU's, who counts before it
 * takes the right away. */
static bool add_page(const struct adding *a)
{
	struct page_track *pt = a->t->pt;
	struct page_hold *h = hold_find(chunk_at(slot_at(pt, a->at), a->at), a->t);
	unsigned int page = chunk_page(a->at);
	bool owed = false;

	for (unsigned int mode = 0; mode < PAGE_TRACK_MODES; mode++) {
		int err;

		if (!(a->modes & PAGE_TRACK_BIT(mode)))
			continue;
		hold_add(h, page, mode, 1);
		err = chunk_add(h->chunk, page, mode, 1);
		ASSERT(!err); /* has_room(), and the MMU keeps to own_max */
		__atomic_fetch_add(&pt->additions, 1, __ATOMIC_SEQ_CST);
		owed |= pt->ops->protect(pt->mmu, a->at, mode);
	}
	return owed;
}

static int check_range(struct adding *a, gfn_t base, uint64_t npages)
{
	int err = 0;

	for (uint64_t i = 0; i < npages && !err; i++) {
		a->at = gfn_add(base, i);
		if (!left_out(a))
			err = check_page(a);
	}
	return err;
}

static int prepare_range(struct adding *a, gfn_t base, uint64_t npages)
{
	int err = 0;

	for (uint64_t i = 0; i < npages && !err; i++) {
		a->at = gfn_add(base, i);
		if (!left_out(a))
			err = prepare_page(a);
	}
	return err;
}

static bool add_range(struct adding *a, gfn_t base, uint64_t npages)
{
	bool owed = false;

	for (uint64_t i = 0; i < npages; i++) {
		a->at = gfn_add(base, i);
		if (!left_out(a))
			owed |= add_page(a);
	}
	return owed;
}

/* Frees the holds that were made and never counted in: they are the first of the
 * list, so that an error costs what was made, however much @t holds. */
static void tidy(struct page_tracker *t)
{
	struct page_hold *h;

	while ((h = LIST_FIRST(&t->holds)) && h->used == 0)
		hold_tidy(h);
}

int page_tracker_add(struct page_tracker *t, gfn_t base, uint64_t npages, unsigned int modes, gfn_t *failed)
{
	struct adding a = { .t = t, .modes = modes, .at = base };
	struct page_track *pt = t->pt;
	int err;

	if (!pt)
		return tracked_result(-ENOENT, base, failed);
	if (!tracked_modes_ok(modes) || npages == 0)
		return tracked_result(-EINVAL, base, failed);
	spin_lock(&pt->lock);
	err = check_range(&a, base, npages);
	if (!err)
		err = prepare_range(&a, base, npages);
	if (err)
		tidy(t);
	else if (add_range(&a, base, npages))
		pt->ops->flush(pt->mmu);
	spin_unlock(&pt->lock);
	return tracked_result(err, a.at, failed);
}

/* ---- single pages --------------------------------------------------------- */

static int prepare_list(struct adding *a, const gfn_t *list, uint64_t n)
{
	int err = 0;

	for (uint64_t i = 0; i < n && !err; i++) {
		a->at = list[i];
		err = check_page(a);
	}
	for (uint64_t i = 0; i < n && !err; i++) {
		a->at = list[i];
		err = prepare_page(a);
	}
	return err;
}

/* Checks each page once more: it may stand in the list twice, with room for one. */
static int add_list(struct adding *a, const gfn_t *list, uint64_t n, bool *owed)
{
	uint64_t i;
	int err = 0;

	for (i = 0; i < n && !err; i++) {
		a->at = list[i];
		err = check_page(a);
		if (!err)
			*owed |= add_page(a);
	}
	if (err)
		for (i--; i > 0; i--)
			tracker_remove_page(a->t, list[i - 1], a->modes);
	return err;
}

int page_tracker_add_list(struct page_tracker *t, const gfn_t *list, uint64_t n, unsigned int modes,
			  gfn_t *failed)
{
	struct adding a = { .t = t, .modes = modes };
	struct page_track *pt = t->pt;
	bool owed = false;
	int err;

	if (!pt)
		return tracked_result(-ENOENT, a.at, failed);
	if (!tracked_modes_ok(modes) || n == 0)
		return tracked_result(-EINVAL, a.at, failed);
	spin_lock(&pt->lock);
	err = prepare_list(&a, list, n);
	if (!err)
		err = add_list(&a, list, n, &owed);
	if (err)
		tidy(t);
	if (owed)
		pt->ops->flush(pt->mmu);
	spin_unlock(&pt->lock);
	return tracked_result(err, a.at, failed);
}

/* ---- all pages ----------------------------------------------------------- */

static int prepare_all(struct adding *a)
{
	struct page_track_slot *slot;
	int err = 0;

	LIST_FOREACH(slot, &a->t->pt->slots, link)
		if (!err)
			err = check_range(a, slot->base_gfn, slot->npages);
	LIST_FOREACH(slot, &a->t->pt->slots, link)
		if (!err)
			err = prepare_range(a, slot->base_gfn, slot->npages);
	return err;
}

static bool add_all(struct adding *a)
{
	struct page_track_slot *slot;
	bool owed = false;

	LIST_FOREACH(slot, &a->t->pt->slots, link)
		owed |= add_range(a, slot->base_gfn, slot->npages);
	a->t->all_modes = a->modes;
	a->t->except = a->except;
	a->t->except_count = a->except_count;
	return owed;
}

int page_tracker_add_all(struct page_tracker *t, unsigned int modes, const struct page_track_range *except,
			 unsigned int count, gfn_t *failed)
{
	struct adding a = { .t = t, .modes = modes, .except = except, .except_count = count };
	struct page_track *pt = t->pt;
	int err;

	if (!pt)
		return tracked_result(-ENOENT, a.at, failed);
	if (!tracked_modes_ok(modes))
		return tracked_result(-EINVAL, a.at, failed);
	spin_lock(&pt->lock);
	err = t->all_modes ? -EEXIST : prepare_all(&a);
	if (err)
		tidy(t);
	else if (add_all(&a))
		pt->ops->flush(pt->mmu);
	spin_unlock(&pt->lock);
	return tracked_result(err, a.at, failed);
}
