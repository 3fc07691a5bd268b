/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Events: who is asked before an access, what comes of it, and who is told
 * afterwards.
 *
 * Lock: page_track.lock between callbacks, to find the next tracker; none
 * during them.
 */
#include "pagetrack/event.h"
#include <string.h>
#include "lib/assert.h"
#include "pagetrack/cursor.h"
#include "pagetrack/flood.h"
#include "pagetrack/internal.h"
#include "pagetrack/tracker.h"

/* Stands for a tracker that stopped the VM and was destroyed since. */
static const struct page_tracker gone = { .name = "(a tracker that is gone)" };

static uint64_t now(const struct page_track *pt)
{
	return pt->ops->tsc ? pt->ops->tsc(pt->mmu) : 0;
}

static struct page_tracker *next_holder(struct page_track *pt, struct page_track_cursor *c,
					const struct page_track_event *e)
{
	return cursor_turn(c, cursor_next_holder(pt, c, e));
}

/* ---- before -------------------------------------------------------------- */

/* One access on its way to a verdict. */
struct asking {
	struct page_track *pt;
	struct page_track_event e;
	const uint8_t *bytes; /* what *value holds as long as nobody replaced it */
	uint8_t *value;       /* NULL: nothing can be replaced */
	struct page_track_cursor cursor;
	enum page_track_verdict verdict;
};

/* The verdict of @t, if it is still there, stands. */
static void decide(struct asking *a, const struct page_tracker *t, enum page_track_verdict verdict)
{
	bool cannot = verdict == VERDICT_REPLACE && !a->value;

	a->verdict = cannot ? VERDICT_DENY_GP : verdict;
	spin_lock(&a->pt->lock);
	a->cursor.decider = a->cursor.gone ? NULL : t;
	spin_unlock(&a->pt->lock);
	if (verdict == VERDICT_STOP)
		page_track_stop(a->pt, a->cursor.decider);
}

/* Of two who replace, each has bytes of its own. */
static bool agrees(const struct asking *a, enum page_track_verdict mine)
{
	return mine == a->verdict && mine != VERDICT_REPLACE;
}

static void tell_overruled(struct asking *a, struct page_tracker *t, enum page_track_verdict mine)
{
	if (t->ops->overruled)
		t->ops->overruled(t, &a->e, mine, a->cursor.decider, a->verdict);
}

/* Who is asked when the verdict stands gets no bytes to replace, and what a
 * tracker leaves in them without saying so is undone. */
static void ask(struct asking *a, struct page_tracker *t)
{
	bool decided = a->verdict != VERDICT_NONE;
	uint8_t *value = decided ? NULL : a->value;
	enum page_track_verdict mine = t->ops->before(t, &a->e, value);

	if (value && mine != VERDICT_REPLACE)
		memcpy(value, a->bytes, a->e.len);
	if (mine == VERDICT_NONE)
		return;
	if (!decided)
		decide(a, t, mine);
	else if (!agrees(a, mine) && !cursor_gone(a->pt, &a->cursor))
		tell_overruled(a, t, mine);
}

/* The next tracker that is asked, or NULL, with the cursor taken down. Lock held. */
static struct page_tracker *next_to_ask(struct asking *a)
{
	struct page_tracker *t;

	do {
		t = next_holder(a->pt, &a->cursor, &a->e);
	} while (t && !t->ops->before);
	if (!t)
		cursor_close(a->pt, &a->cursor);
	return t;
}

enum page_track_verdict page_track_before(struct page_track *pt, const struct page_track_event *e,
					  uint8_t *value)
{
	struct asking a = { .pt = pt, .e = *e, .verdict = VERDICT_NONE };
	struct page_tracker *t;

	a.e.tsc = now(pt);
	a.e.verdict = VERDICT_NONE;
	a.e.hit = 0;
	a.bytes = e->mode == PAGE_TRACK_WRITE ? e->new : e->old;
	a.value = a.bytes ? value : NULL;
	spin_lock(&pt->lock);
	cursor_open(pt, &a.cursor);
	while ((t = next_to_ask(&a))) {
		spin_unlock(&pt->lock);
		ask(&a, t);
		spin_lock(&pt->lock);
	}
	spin_unlock(&pt->lock);
	return a.verdict == VERDICT_NONE ? VERDICT_ALLOW : a.verdict;
}

/* ---- after --------------------------------------------------------------- */

static bool memory_was_written(const struct page_track_event *e)
{
	return e->mode == PAGE_TRACK_WRITE && (e->verdict == VERDICT_ALLOW || e->verdict == VERDICT_REPLACE);
}

/* The next tracker that is told, with its hit counted, and what to tell it; or
 * NULL, with the cursor taken down. Lock held. */
static struct page_tracker *next_to_tell(struct page_track *pt, struct page_track_cursor *c,
					 struct page_track_event *e, struct flood_news *news)
{
	struct page_tracker *t = next_holder(pt, c, e);

	if (!t) {
		cursor_close(pt, c);
		return NULL;
	}
	*news = flood_hit(t, e->tsc);
	e->hit = t->hits;
	return t;
}

static void tell(struct page_track *pt, const struct page_track_cursor *c, struct page_tracker *t,
		 const struct page_track_event *e, struct flood_news news)
{
	if (news.event && t->ops->after)
		t->ops->after(t, e);
	if (news.flooded && !cursor_gone(pt, c) && t->ops->flooded)
		t->ops->flooded(t);
}

void page_track_after(struct page_track *pt, const struct page_track_event *event)
{
	struct page_track_event e = *event;
	struct page_track_cursor c;
	struct page_tracker *t;
	struct flood_news news;

	ASSERT(e.verdict != VERDICT_NONE);
	e.tsc = now(pt);
	if (memory_was_written(&e) && pt->ops->written)
		pt->ops->written(pt->mmu, &e);
	spin_lock(&pt->lock);
	cursor_open(pt, &c);
	while ((t = next_to_tell(pt, &c, &e, &news))) {
		spin_unlock(&pt->lock);
		tell(pt, &c, t, &e, news);
		spin_lock(&pt->lock);
	}
	spin_unlock(&pt->lock);
}

/* ---- stop ---------------------------------------------------------------- */

void page_track_stop(struct page_track *pt, const struct page_tracker *t)
{
	spin_lock(&pt->lock);
	if (!pt->stopped_by)
		__atomic_store_n(&pt->stopped_by, t && t->pt ? t : &gone, __ATOMIC_RELEASE);
	spin_unlock(&pt->lock);
}

void page_track_stop_forget(struct page_track *pt, const struct page_tracker *t)
{
	if (pt->stopped_by == t)
		__atomic_store_n(&pt->stopped_by, &gone, __ATOMIC_RELEASE);
}
