/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A log of dirty pages.
 *
 * Invariant: a page is in the list exactly once if its dirty bit is set, and
 * not at all if it is clear. A page that is not armed is dirty or being
 * harvested. When nothing is under way, the log has one count on an armed page
 * and none on another; whoever changes an armed bit owes the change of the count.
 *
 * Lock: dirty_log.lock, see the header.
 */
#include "pagetrack/dirty_log.h"
#include "lib/alloc.h"
#include "lib/errno.h"

static bool test_and_set(uint64_t *bits, uint64_t i)
{
	bool was = bits[i / 64] >> i % 64 & 1;

	bits[i / 64] |= 1ull << i % 64;
	return was;
}

static bool test_and_clear(uint64_t *bits, uint64_t i)
{
	bool was = bits[i / 64] >> i % 64 & 1;

	bits[i / 64] &= ~(1ull << i % 64);
	return was;
}

static void mark(struct dirty_log *log, uint64_t page)
{
	if (!test_and_set(log->dirty, page))
		log->list[log->count++] = gfn_add(log->base, page);
}

/* ---- events -------------------------------------------------------------- */

static void log_after(struct page_tracker *t, const struct page_track_event *e)
{
	struct dirty_log *log = container_of(t, struct dirty_log, tracker);
	gfn_t gfn = gpa_to_gfn(e->gpa);
	uint64_t page = gfn.v - log->base.v;
	bool disarm;

	if (page >= log->npages || (e->verdict != VERDICT_ALLOW && e->verdict != VERDICT_REPLACE))
		return;
	spin_lock(&log->lock);
	mark(log, page);
	disarm = test_and_clear(log->armed, page);
	spin_unlock(&log->lock);
	if (disarm)
		(void)!page_tracker_remove(t, gfn, 1, PAGE_TRACK_W, NULL);
}

/* What comes to be at these frames is not what was there. */
static void log_region(struct page_tracker *t, const struct page_track_region *r)
{
	struct dirty_log *log = container_of(t, struct dirty_log, tracker);

	if (r->change == REGION_REMOVED)
		return;
	spin_lock(&log->lock);
	for (uint64_t i = 0; i < r->npages; i++) {
		uint64_t page = gfn_add(r->base, i).v - log->base.v;

		if (page < log->npages)
			mark(log, page);
	}
	spin_unlock(&log->lock);
}

static const struct page_tracker_ops log_ops = { .after = log_after, .region = log_region };

/* ---- on and off ------------------------------------------------------------ */

static uint64_t words(const struct dirty_log *log) { return (log->npages + 63) / 64; }

static size_t bytes(const struct dirty_log *log)
{
	return words(log) * 2 * sizeof(uint64_t) + log->npages * 2 * sizeof(gfn_t);
}

static int make_memory(struct dirty_log *log)
{
	log->memory = mem_zalloc(bytes(log));
	if (!log->memory)
		return -ENOMEM;
	log->dirty = log->memory;
	log->armed = log->dirty + words(log);
	log->list = (gfn_t *)(log->armed + words(log));
	log->spare = log->list + log->npages;
	for (uint64_t i = 0; i < log->npages; i++)
		test_and_set(log->armed, i);
	return 0;
}

int dirty_log_enable(struct dirty_log *log, struct page_track *pt, gfn_t base, uint64_t npages, gfn_t *failed)
{
	int err;

	if (failed)
		*failed = base;
	if (log->tracker.pt)
		return -EEXIST;
	if (npages == 0 || npages > SIZE_MAX / PAGE_SIZE)
		return -EINVAL;
	log->tracker.ops = &log_ops;
	log->tracker.follow = PAGE_TRACKER_FOLLOW_GFN;
	log->lock = (struct spinlock){ false };
	log->base = base;
	log->npages = npages;
	log->count = 0;
	log->harvesting = false;
	err = make_memory(log);
	if (err)
		return err;
	err = page_tracker_register(pt, &log->tracker);
	if (!err)
		err = page_tracker_add(&log->tracker, base, npages, PAGE_TRACK_W, failed);
	if (err)
		dirty_log_disable(log);
	return err;
}

void dirty_log_disable(struct dirty_log *log)
{
	(void)!page_tracker_destroy(&log->tracker);
	mem_free(log->memory, bytes(log));
	log->memory = NULL;
	log->npages = log->count = 0;
}

bool dirty_log_is_dirty(struct dirty_log *log, gfn_t gfn)
{
	uint64_t page = gfn.v - log->base.v;
	bool is = false;

	spin_lock(&log->lock);
	if (page < log->npages)
		is = log->dirty[page / 64] >> page % 64 & 1;
	spin_unlock(&log->lock);
	return is;
}

/* ---- harvest --------------------------------------------------------------- */

/* Takes the list and clears the bits of its pages, so that a write that traps
 * from here on marks its page anew. -EBUSY. */
static int take(struct dirty_log *log, gfn_t **list, uint64_t *n)
{
	int err = 0;

	spin_lock(&log->lock);
	if (log->harvesting) {
		err = -EBUSY;
	} else {
		log->harvesting = true;
		*list = log->list;
		*n = log->count;
		log->list = log->spare;
		log->count = 0;
		for (uint64_t i = 0; i < *n; i++)
			test_and_clear(log->dirty, (*list)[i].v - log->base.v);
	}
	spin_unlock(&log->lock);
	return err;
}

static void give_list_back(struct dirty_log *log, gfn_t *list)
{
	spin_lock(&log->lock);
	log->spare = list;
	log->harvesting = false;
	spin_unlock(&log->lock);
}

/* A page has its count again. It had one already if memory came to be there
 * while it was armed, or if it was written to between take() and here. */
static void note_armed(struct dirty_log *log, gfn_t gfn)
{
	bool had;

	spin_lock(&log->lock);
	had = test_and_set(log->armed, gfn.v - log->base.v);
	spin_unlock(&log->lock);
	if (had)
		(void)!page_tracker_remove(&log->tracker, gfn, 1, PAGE_TRACK_W, NULL);
}

static void mark_again(struct dirty_log *log, const gfn_t *list, uint64_t n)
{
	spin_lock(&log->lock);
	for (uint64_t i = 0; i < n; i++)
		mark(log, list[i].v - log->base.v);
	spin_unlock(&log->lock);
}

int dirty_log_harvest(struct dirty_log *log, void (*each)(void *ctx, gfn_t gfn), void *ctx, gfn_t *failed)
{
	gfn_t *list;
	uint64_t n;
	int err = take(log, &list, &n);

	if (err)
		return err;
	if (n)
		err = page_tracker_add_list(&log->tracker, list, n, PAGE_TRACK_W, failed);
	if (err)
		mark_again(log, list, n);
	for (uint64_t i = 0; i < n && !err; i++)
		note_armed(log, list[i]);
	for (uint64_t i = 0; i < n && !err; i++)
		each(ctx, list[i]);
	give_list_back(log, list);
	return err;
}
