/* SPDX-License-Identifier: GPL-2.0-only */
/* The example of docs/page-tracking.md, word for word. */
#include "pagetrack/tracker.h"

/* Keeps user mode out of a page, and counts how often it tried. */
struct fence {
	struct page_tracker tracker;
	unsigned int tries;
};

static enum page_track_verdict fence_before(struct page_tracker *t, const struct page_track_event *e,
					    uint8_t *value)
{
	return e->origin->user ? VERDICT_DENY_PF : VERDICT_NONE;
}

static void fence_after(struct page_tracker *t, const struct page_track_event *e)
{
	struct fence *f = container_of(t, struct fence, tracker);

	if (e->verdict == VERDICT_DENY_PF)
		__atomic_fetch_add(&f->tries, 1, __ATOMIC_RELAXED);
}

static const struct page_tracker_ops fence_ops = { .before = fence_before, .after = fence_after };

static int fence_open(struct fence *f, struct page_track *pt, gfn_t page)
{
	int err;

	*f = (struct fence){ .tracker = { .name = "fence", .priority = 10, .ops = &fence_ops } };
	err = page_tracker_register(pt, &f->tracker);
	if (err)
		return err;
	err = page_tracker_add(&f->tracker, page, 1, PAGE_TRACK_W | PAGE_TRACK_R, NULL);
	if (err)
		(void)!page_tracker_destroy(&f->tracker);
	return err;
}
