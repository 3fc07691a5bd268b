/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Cursors: see cursor.h.
 */
#include "pagetrack/cursor.h"
#include "pagetrack/chunk.h"
#include "pagetrack/internal.h"

static unsigned int this_cpu(const struct page_track *pt)
{
	return pt->ops->cpu ? pt->ops->cpu() : 0;
}

void cursor_open(struct page_track *pt, struct page_track_cursor *c)
{
	*c = (struct page_track_cursor){
		.cpu = this_cpu(pt), .last = TRACKER_KEY_MIN, .newest = pt->registrations,
	};
	TAILQ_INSERT_TAIL(&pt->cursors, c, link);
}

void cursor_close(struct page_track *pt, struct page_track_cursor *c)
{
	TAILQ_REMOVE(&pt->cursors, c, link);
}

struct page_tracker *cursor_turn(struct page_track_cursor *c, struct page_tracker *t)
{
	c->running = t;
	c->gone = false;
	if (t)
		c->last = tracker_key(t);
	return t;
}

struct page_tracker *cursor_next_tracker(struct page_track *pt, const struct page_track_cursor *c)
{
	struct page_tracker *t;

	TAILQ_FOREACH(t, &pt->trackers, link)
		if (t->order <= c->newest && tracker_key_less(c->last, tracker_key(t)))
			return t;
	return NULL;
}

/* Does it want to hear of such an access to a page that it holds? */
static bool wants(const struct page_tracker *t, const struct page_track_event *e)
{
	const struct access_origin *o = e->origin;

	if (!o)
		return true;
	if (e->mode == PAGE_TRACK_READ && o->agent == AGENT_WALKER && !t->walks)
		return false;
	return o->vcpu == ACCESS_NO_VCPU || tracker_wants_cr3(t, o->cr3);
}

struct page_tracker *cursor_next_holder(struct page_track *pt, const struct page_track_cursor *c,
					const struct page_track_event *e)
{
	gfn_t gfn = gpa_to_gfn(e->gpa);
	const struct page_track_slot *slot = slot_at(pt, gfn);
	const struct page_track_chunk *chunk = slot ? chunk_at(slot, gfn) : NULL;
	unsigned int page = chunk_page(gfn);
	struct tracker_key key = c->last;
	const struct page_hold *h;

	while (chunk && (h = holders_next(chunk->holders, page, key))) {
		struct page_tracker *t = h->tracker;

		if (h->count[e->mode][page] && t->order <= c->newest && wants(t, e))
			return t;
		key = tracker_key(t);
	}
	return NULL;
}

void cursors_forget(struct page_track *pt, const struct page_tracker *t)
{
	struct page_track_cursor *c;
	unsigned int cpu = this_cpu(pt);

	TAILQ_FOREACH(c, &pt->cursors, link) {
		if (c->running == t)
			c->gone = true;
		if (c->decider == t && c->cpu == cpu)
			c->decider = NULL;
	}
}

bool cursor_gone(struct page_track *pt, const struct page_track_cursor *c)
{
	bool gone;

	spin_lock(&pt->lock);
	gone = c->gone;
	spin_unlock(&pt->lock);
	return gone;
}

bool cursors_need(struct page_track *pt, const struct page_tracker *t)
{
	const struct page_track_cursor *c;
	unsigned int cpu = this_cpu(pt);
	bool need = false;

	spin_lock(&pt->lock);
	TAILQ_FOREACH(c, &pt->cursors, link)
		need |= c->cpu != cpu && (c->running == t || c->decider == t);
	spin_unlock(&pt->lock);
	return need;
}
