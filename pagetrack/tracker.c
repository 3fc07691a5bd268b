/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Trackers come and go. What they add and remove is in add.c and remove.c.
 *
 * Lock: page_track.lock.
 */
#include "pagetrack/tracker.h"
#include "lib/errno.h"
#include "pagetrack/cursor.h"
#include "pagetrack/flood.h"
#include "pagetrack/internal.h"

/* The lowest id that is free; PAGE_TRACKERS_MAX if there is none. */
static unsigned int free_id(const struct page_track *pt)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(pt->ids); i++)
		if (~pt->ids[i])
			return i * 64 + (unsigned int)__builtin_ctzll(~pt->ids[i]);
	return PAGE_TRACKERS_MAX;
}

static void mark_id(struct page_track *pt, unsigned int id, bool in_use)
{
	uint64_t bit = 1ull << id % 64;

	pt->ids[id / 64] = in_use ? pt->ids[id / 64] | bit : pt->ids[id / 64] & ~bit;
}

static void list_by_priority(struct page_track *pt, struct page_tracker *t)
{
	struct page_tracker *after;

	TAILQ_FOREACH(after, &pt->trackers, link)
		if (after->priority > t->priority)
			break;
	if (after)
		TAILQ_INSERT_BEFORE(after, t, link);
	else
		TAILQ_INSERT_TAIL(&pt->trackers, t, link);
}

static void begin(struct page_track *pt, struct page_tracker *t, unsigned int id)
{
	t->pt = pt;
	t->id = (uint16_t)id;
	t->order = ++pt->registrations;
	t->hits = t->untold = 0;
	t->all_modes = 0;
	LIST_INIT(&t->holds);
	LIST_INIT(&t->parked);
	flood_reset(t);
	mark_id(pt, id, true);
	pt->narrow += t->only_cr3 != 0;
	list_by_priority(pt, t);
}

int page_tracker_register(struct page_track *pt, struct page_tracker *t)
{
	unsigned int id;
	int err = 0;

	if (!t->ops || (!t->ops->before && !t->ops->after))
		return -EINVAL;
	spin_lock(&pt->lock);
	id = free_id(pt);
	if (t->pt)
		err = -EEXIST;
	else if (id == PAGE_TRACKERS_MAX)
		err = -ENOSPC;
	else
		begin(pt, t, id);
	spin_unlock(&pt->lock);
	return err;
}

int page_tracker_destroy(struct page_tracker *t)
{
	struct page_track *pt = t->pt;

	if (!pt)
		return -ENOENT;
	spin_lock(&pt->lock);
	tracker_give_back(t);
	TAILQ_REMOVE(&pt->trackers, t, link);
	mark_id(pt, t->id, false);
	pt->narrow -= t->only_cr3 != 0;
	t->pt = NULL;
	cursors_forget(pt, t);
	page_track_stop_forget(pt, t);
	spin_unlock(&pt->lock);

	while (cursors_need(pt, t))
		__builtin_ia32_pause();
	return 0;
}

void page_tracker_rearm(struct page_tracker *t)
{
	if (!t->pt)
		return;
	spin_lock(&t->pt->lock);
	flood_reset(t);
	spin_unlock(&t->pt->lock);
}
