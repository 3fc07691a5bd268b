/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which pages of a range were written since they were last asked for.
 *
 * A page traps once: its first write marks it and takes the log's count off,
 * and from then on it runs at full speed until it is harvested. So a harvest,
 * and the writes between two, cost what is dirty, not what is logged.
 *
 * A write is in the harvest that takes its page or in a later one, never lost: a
 * write that comes before dirty_log_harvest() calls @each for the page is in the
 * memory that @each can read, and any later one traps.
 *
 * Memory: two frame numbers and two bits for each page of the range.
 *
 * Lock: dirty_log.lock, over all but the counts; not held while page tracking
 * is called. dirty_log.harvesting makes harvests one at a time.
 */
#ifndef PAGETRACK_DIRTY_LOG_H
#define PAGETRACK_DIRTY_LOG_H

#include "pagetrack/tracker.h"

struct dirty_log {
	/* Name and priority by the owner, before dirty_log_enable(); no budget. */
	struct page_tracker tracker;
	uint64_t count; /* dirty pages, to be read by anyone */
	/* Its own: */
	struct spinlock lock;
	gfn_t base;
	uint64_t npages;
	void *memory;
	uint64_t *dirty; /* a bit a page: it is in the list */
	uint64_t *armed; /* a bit a page: the log has its count there, or is about to give it */
	gfn_t *list;     /* [count] */
	gfn_t *spare;    /* the list of the harvest before, to be used again */
	bool harvesting;
};

/* Registers the log and arms all pages, with one flush. -EINVAL, -ENOMEM, -EOVERFLOW
 * as page_tracker_add(); -EEXIST. Nothing is left of it on an error. */
must_check int dirty_log_enable(struct dirty_log *log, struct page_track *pt, gfn_t base, uint64_t npages,
				gfn_t *failed);
/* From no callback of the log. */
void dirty_log_disable(struct dirty_log *log);

/* Was it written? A gfn outside the range was not. */
bool dirty_log_is_dirty(struct dirty_log *log, gfn_t gfn);

/*
 * Takes all dirty pages, arms them again with one flush, then calls @each for
 * each, in no order. -EBUSY: another harvest is under way. If a page cannot be
 * armed (-ENOMEM, -EOVERFLOW, -EINVAL: its memory is gone), *@failed (may be NULL) is
 * that page, @each is not called, and all stay dirty.
 */
must_check int dirty_log_harvest(struct dirty_log *log, void (*each)(void *ctx, gfn_t gfn), void *ctx,
				 gfn_t *failed);

#endif
