/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Floods: a tracked page that the guest uses like any other becomes a storm of
 * events. A tracker with a budget is held to so many hits in a window of time,
 * which begins with its first hit.
 *
 * Lock: page_track.lock.
 */
#include "pagetrack/flood.h"
#include "pagetrack/internal.h"

void flood_reset(struct page_tracker *t)
{
	t->flooded = false;
	t->window_start = 0;
	t->window_hits = 0;
}

/* Counts the hit in its window. Is the window over the budget? */
static bool over_budget(struct page_tracker *t, uint64_t now)
{
	if (t->budget.hits == 0)
		return false;
	if (t->window_hits == 0 || now - t->window_start >= t->budget.cycles) {
		t->window_start = now;
		t->window_hits = 0;
	}
	if (t->window_hits <= t->budget.hits)
		t->window_hits++;
	return t->window_hits > t->budget.hits;
}

/* Until the end of the window, or of a longer one of another tracker. */
static void hold_the_vm(struct page_tracker *t)
{
	uint64_t end = t->window_start + t->budget.cycles;

	if (end < t->window_start)
		end = UINT64_MAX;
	if (end > t->pt->held_until)
		__atomic_store_n(&t->pt->held_until, end, __ATOMIC_RELAXED);
}

static void apply_policy(struct page_tracker *t)
{
	switch (t->budget.policy) {
	case FLOOD_THROTTLE:
		hold_the_vm(t);
		break;
	case FLOOD_COUNT_ONLY:
		break; /* by t->flooded */
	case FLOOD_DROP:
		tracker_give_back(t);
		break;
	}
}

struct flood_news flood_hit(struct page_tracker *t, uint64_t now)
{
	struct flood_news news = { .event = true };

	t->hits++;
	if (over_budget(t, now)) {
		news.flooded = !t->flooded;
		t->flooded = true;
		apply_policy(t);
	}
	if (t->flooded && t->budget.policy == FLOOD_COUNT_ONLY) {
		news.event = false;
		t->untold++;
	}
	return news;
}
