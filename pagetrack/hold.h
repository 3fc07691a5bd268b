/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who holds what in a chunk, for this folder alone.
 *
 * A struct page_hold has the counts of one tracker in one chunk. The struct
 * page_holders of a chunk has all its holds, in the order in which trackers
 * are told, finds one by the id of its tracker, and knows of each page which
 * holds have a count there: a bit for each.
 *
 * Invariant: the counter of a page is the sum of the counts in the chunk's
 * holds, and the MMU's own. A hold without counts is freed, but for the moment
 * between making it and counting.
 *
 * Lock: page_track.lock.
 */
#ifndef PAGETRACK_HOLD_H
#define PAGETRACK_HOLD_H

#include <limits.h>
#include "pagetrack/page_track.h"
#include "pagetrack/tracker.h"

struct page_hold {
	struct page_tracker *tracker;
	gfn_t first;                    /* of the chunk */
	struct page_track_chunk *chunk; /* NULL: parked, there is no memory */
	uint32_t used;                  /* counts that are not zero */
	LIST_ENTRY(page_hold) link;     /* tracker->holds, or tracker->parked */
	uint16_t count[PAGE_TRACK_MODES][PAGE_TRACK_CHUNK_PAGES];
};

_Static_assert(sizeof(struct page_hold) <= PAGE_SIZE, "a hold is one page");

/* The order in which trackers are told. */
struct tracker_key {
	int priority;
	uint64_t order; /* from 1 */
};

/* Less than that of any tracker. */
#define TRACKER_KEY_MIN ((struct tracker_key){ .priority = INT_MIN })

static inline struct tracker_key tracker_key(const struct page_tracker *t)
{
	return (struct tracker_key){ t->priority, t->order };
}

static inline bool tracker_key_less(struct tracker_key a, struct tracker_key b)
{
	return a.priority < b.priority || (a.priority == b.priority && a.order < b.order);
}

/* May be given NULL. No hold is left in it. */
void holders_free(struct page_holders *hs);

/* The hold of the next tracker after @key that has a count of any mode on
 * @page; NULL if there is none. @hs may be NULL. */
struct page_hold *holders_next(const struct page_holders *hs, unsigned int page, struct tracker_key key);

/* Hold number @i in that order, NULL past the last; and the last, NULL if there
 * is none. @hs may be NULL. */
struct page_hold *holders_at(const struct page_holders *hs, unsigned int i);
struct page_hold *holders_last(const struct page_holders *hs);

/* The hold of @t in @chunk (may be NULL), or NULL. O(1). */
struct page_hold *hold_find(const struct page_track_chunk *chunk, const struct page_tracker *t);

/* The same, made without counts if need be. NULL: no memory. */
struct page_hold *hold_make(struct page_track_chunk *chunk, gfn_t first, struct page_tracker *t);

/* @n counts more, fewer, in the hold alone. There is room, and there are so many. */
void hold_add(struct page_hold *h, unsigned int page, enum page_track_mode mode, unsigned int n);
void hold_sub(struct page_hold *h, unsigned int page, enum page_track_mode mode, unsigned int n);

/* Takes the hold out of its chunk, if it is in one, and off the list of its
 * tracker. It is the caller's. */
void hold_unlink(struct page_hold *h);

void hold_free(struct page_hold *h);

/* Unlinks and frees it if no count is left. */
void hold_tidy(struct page_hold *h);

#endif
