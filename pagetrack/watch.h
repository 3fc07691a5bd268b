/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Watches: byte ranges of guest memory, and conditions, over a tracker that
 * knows pages only. What hits the page and not the range is counted, not told.
 *
 * Each watch that an access overlaps is called exactly once for it, in order of
 * address; an access that crosses pages is one event for each page, here as
 * everywhere. Watches of one watcher may overlap. A native step, which only
 * tells where it may have touched memory, hits what overlaps that.
 *
 * Removal: callbacks may remove any watch, their own too. When
 * page_watch_remove() has returned, no callback for that watch runs or will
 * run; called from inside that callback, this one is the last. It waits
 * for callbacks of the watch on other CPUs, so two callbacks must not remove each
 * other's watch.
 *
 * Lock: page_watcher.lock, over the tree and the walks; not held during
 * callbacks, nor while page tracking is called.
 */
#ifndef PAGETRACK_WATCH_H
#define PAGETRACK_WATCH_H

#include "lib/interval.h"
#include "pagetrack/tracker.h"

enum watch_cpl { WATCH_ANY_CPL, WATCH_USER, WATCH_SUPERVISOR };

/* All that is set must hold. All zero: every access. What is asked of the CPU
 * (rip, CR3, CPL) does not hold of an access that no vCPU makes. */
struct page_watch_condition {
	/*
	 * The up to 8 bytes at the start of the watch, little-endian, as they are after
	 * the access (would be, if it is denied); of a READ, as they are read:
	 * (bytes & mask) == value. Bytes that the event does not show, those in another page
	 * or of a step that is not made yet, count as equal.
	 */
	uint64_t mask, value;
	uint64_t rip_first, rip_last; /* both 0: any */
	bool match_cr3;
	uint64_t cr3;                 /* bits 51:12 */
	enum watch_cpl cpl;
	uint32_t every;               /* each n-th access for which the rest holds; 0: each */
};

struct page_watch {
	/* By the owner, before it is added; constant while it is: */
	gpa_t gpa;
	uint64_t len;
	unsigned int modes;
	struct page_watch_condition when;

	uint64_t hits;    /* calls of hit(), to be read by anyone */

	/* The watcher's own: */
	uint64_t matches; /* accesses for which all but when.every holds */
	uint64_t born;
	struct page_watcher *watcher; /* NULL: not added */
	struct interval_node node;
};

/* One of them may be NULL. */
struct page_watcher_ops {
	/* As page_tracker_ops.before. All watches are asked; the first, by address, with an
	 * opinion decides, and @value is NULL for those after it. */
	enum page_track_verdict (*before)(struct page_watcher *wr, struct page_watch *w,
					  const struct page_track_event *e, uint8_t *value);
	/* As page_tracker_ops.after. e->hit is the watch's ordinal. */
	void (*hit)(struct page_watcher *wr, struct page_watch *w, const struct page_track_event *e);
};

struct watch_walk; /* one event on its way; see watch.c */

struct page_watcher {
	/* By the owner, before it is registered: name, priority, walks, budget of the tracker, and */
	struct page_tracker tracker;
	const struct page_watcher_ops *ops;

	uint64_t false_hits; /* events for which no watch was called, to be read by anyone */

	/* Its own: */
	struct page_track *pt; /* stays when the tracker is destroyed: callbacks may still run */
	struct spinlock lock;
	struct interval_tree tree;
	LIST_HEAD(, watch_walk) walks;
	uint64_t births; /* watches ever added: an event does not meet those that come after it */
};

/* Errors as page_tracker_register(). Watches stay with their addresses, whatever memory comes there. */
must_check int page_watcher_register(struct page_track *pt, struct page_watcher *wr);

/* Removes all watches. Returns when no callback runs or will run, as page_tracker_destroy(). */
must_check int page_watcher_destroy(struct page_watcher *wr);

/*
 * When it returns 0, no access to the range goes unseen. Errors as
 * page_tracker_add(), with the first gfn that they are about in *@failed (may be
 * NULL), and nothing has changed; -EINVAL also for a length of 0 or past the end
 * of memory, or a value that can never be met; -EEXIST: added already.
 */
must_check int page_watch_add(struct page_watcher *wr, struct page_watch *w, gfn_t *failed);

/* -ENOENT: it is in no watcher. */
must_check int page_watch_remove(struct page_watch *w);

#endif
