/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Hits of a tracker against its budget, for this folder alone.
 * Lock: page_track.lock, held by the caller.
 */
#ifndef PAGETRACK_FLOOD_H
#define PAGETRACK_FLOOD_H

#include "pagetrack/tracker.h"

/* What is to be told after a hit. */
struct flood_news {
	bool event;   /* the access */
	bool flooded; /* that the policy has begun */
};

/* One hit more, at TSC @now. Does what the policy says. */
struct flood_news flood_hit(struct page_tracker *t, uint64_t now);

/* A fresh budget. */
void flood_reset(struct page_tracker *t);

#endif
