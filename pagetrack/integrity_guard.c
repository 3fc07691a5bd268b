/* SPDX-License-Identifier: GPL-2.0-only */
/* Frozen memory: a watcher for writes, with a verdict. */
#include "pagetrack/integrity_guard.h"
#include "lib/errno.h"

static const enum page_track_verdict verdict_of[] = {
	[GUARD_REPORT] = VERDICT_NONE,       [GUARD_DENY_PF] = VERDICT_DENY_PF,
	[GUARD_DENY_GP] = VERDICT_DENY_GP,   [GUARD_SKIP] = VERDICT_SKIP,
	[GUARD_STOP] = VERDICT_STOP,
};

static struct guarded_range *range_of(struct page_watch *w)
{
	return container_of(w, struct guarded_range, watch);
}

static bool is_allowed(const struct guarded_range *r, const struct page_track_event *e)
{
	return r->allowed >> e->origin->agent & 1;
}

static enum page_track_verdict guard_before(struct page_watcher *wr, struct page_watch *w,
					    const struct page_track_event *e, uint8_t *value)
{
	const struct guarded_range *r = range_of(w);

	return is_allowed(r, e) ? VERDICT_NONE : verdict_of[r->response];
}

static void guard_hit(struct page_watcher *wr, struct page_watch *w, const struct page_track_event *e)
{
	struct integrity_guard *g = container_of(wr, struct integrity_guard, watcher);
	struct guarded_range *r = range_of(w);

	if (is_allowed(r, e))
		return;
	__atomic_fetch_add(&r->attempts, 1, __ATOMIC_RELAXED);
	if (g->report)
		g->report(g, r, e);
}

static const struct page_watcher_ops guard_ops = { .before = guard_before, .hit = guard_hit };

int integrity_guard_register(struct page_track *pt, struct integrity_guard *g)
{
	g->watcher.ops = &guard_ops;
	return page_watcher_register(pt, &g->watcher);
}

int integrity_guard_destroy(struct integrity_guard *g)
{
	return page_watcher_destroy(&g->watcher);
}

int integrity_guard_freeze(struct integrity_guard *g, struct guarded_range *r, gfn_t *failed)
{
	if (failed)
		*failed = gpa_to_gfn(r->gpa);
	if (r->watch.watcher)
		return -EEXIST;
	if ((unsigned int)r->response >= ARRAY_SIZE(verdict_of) || r->allowed >> AGENTS)
		return -EINVAL;
	r->attempts = 0;
	r->watch = (struct page_watch){ .gpa = r->gpa, .len = r->len, .modes = PAGE_TRACK_W };
	return page_watch_add(&g->watcher, &r->watch, failed);
}

int integrity_guard_thaw(struct guarded_range *r)
{
	return page_watch_remove(&r->watch);
}
