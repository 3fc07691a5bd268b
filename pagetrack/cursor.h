/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Something that is being told to one tracker after the other, for this folder
 * alone.
 *
 * A cursor lives on the stack of the teller, hung up in the struct page_track,
 * and remembers how far it is by the key of the last tracker told: callbacks
 * may add, remove, register and destroy, and the next tracker is whoever comes
 * after that key by then. Who registered after the cursor was opened is not
 * told. @running is for comparing alone; @decider can be shown to the callbacks,
 * since page_tracker_destroy() on another CPU waits for it.
 *
 * Lock: page_track.lock, held by the caller unless it says otherwise.
 */
#ifndef PAGETRACK_CURSOR_H
#define PAGETRACK_CURSOR_H

#include "pagetrack/hold.h"

struct page_track_cursor {
	const struct page_tracker *running; /* whose callback is being called */
	const struct page_tracker *decider; /* whose verdict stands; NULL: none, or gone since */
	bool gone;                          /* @running was destroyed since its turn began */
	unsigned int cpu;
	struct tracker_key last;
	uint64_t newest; /* page_track.registrations when it was opened */
	TAILQ_ENTRY(page_track_cursor) link;
};

void cursor_open(struct page_track *pt, struct page_track_cursor *c);
void cursor_close(struct page_track *pt, struct page_track_cursor *c);

/* It is the turn of @t. Returns it. */
struct page_tracker *cursor_turn(struct page_track_cursor *c, struct page_tracker *t);

/* The next registered tracker, NULL after the last. */
struct page_tracker *cursor_next_tracker(struct page_track *pt, const struct page_track_cursor *c);

/* The next tracker that is to hear of @e, NULL after the last. */
struct page_tracker *cursor_next_holder(struct page_track *pt, const struct page_track_cursor *c,
					const struct page_track_event *e);

/* @t is being destroyed: cursors forget it, but for those of other CPUs whose callback it waits for. */
void cursors_forget(struct page_track *pt, const struct page_tracker *t);

/* Was the tracker whose turn it is destroyed meanwhile? Takes the lock. */
bool cursor_gone(struct page_track *pt, const struct page_track_cursor *c);

/* Does a cursor of another CPU still need @t? Takes the lock. */
bool cursors_need(struct page_track *pt, const struct page_tracker *t);

#endif
