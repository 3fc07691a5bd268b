/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The content of all guest memory at one moment, to go back to any number of
 * times.
 *
 * A page traps once: before its first write, whoever makes it, a copy of it is
 * kept and the snapshot's count is taken off, and from then on it runs at full
 * speed until it is restored. So the guest, and a restore, pay for what is
 * dirty, not for what there is. The copy of a page that was restored stays: when
 * it is written to again, nothing has to be allocated or copied.
 *
 * If a copy cannot be kept (no memory, quota), the snapshot is lost: that is told
 * once, all copies and counts go, and the guest runs on.
 *
 * Slots: memory that is removed or moved loses the snapshot, since there is nothing
 * to restore to. Memory that comes later is no part of it, and left alone.
 *
 * Memory: beside the copies, 16 bytes and a bit for each guest page.
 *
 * Lock: page_snapshot.lock, over copies and lists; not held while page tracking
 * or the owner is called. The vCPUs of the VM are outside the guest during
 * take, restore and drop, and no device writes.
 */
#ifndef PAGETRACK_SNAPSHOT_H
#define PAGETRACK_SNAPSHOT_H

#include "pagetrack/tracker.h"

enum page_snapshot_loss {
	SNAPSHOT_LOST_MEMORY, /* no memory for a copy */
	SNAPSHOT_LOST_QUOTA,
	SNAPSHOT_LOST_SLOT,   /* a slot was removed or moved */
};

/* How restoring reaches guest memory: pagetrack/ does not know it. */
struct page_snapshot_memory {
	/* The page, to be looked at. */
	const uint8_t *(*page)(void *ctx, gfn_t gfn);
	/* Writes [at, at + len), within a page, so that the MMU and all trackers hear of it. */
	int (*write)(void *ctx, gpa_t at, const uint8_t *bytes, uint32_t len);
	/* @gfn, which held something else, maybe, is @page again. May be NULL. */
	void (*restored)(void *ctx, gfn_t gfn, const uint8_t *copy, const uint8_t *page);
	void *ctx;
};

struct page_snapshot_range; /* of guest memory; see snapshot.c */

struct page_snapshot {
	/* By the owner, before the first take: name and priority, no budget; and */
	struct page_tracker tracker;
	uint64_t quota;    /* copies at most; 0: as many as there is memory for */
	bool stop_if_lost; /* the VM stops (page_track_stop()) rather than run on without it */
	/* Called once when it is lost, with no lock held. May be NULL. */
	void (*tell_lost)(struct page_snapshot *s, enum page_snapshot_loss why);

	/* To be read by anyone: */
	bool taken, lost;
	uint64_t dirty;    /* pages that were written to since the take, or the last restore */
	uint64_t copies;   /* kept, of dirty pages and of those restored */

	/* Its own: */
	struct spinlock lock;
	bool restoring, grown; /* memory has come since the take */
	uint64_t npages;
	unsigned int ranges;
	struct page_snapshot_range *range; /* [ranges] */
	void *memory;
	uint8_t **copy;       /* [npages] NULL: none */
	gfn_t *list;          /* [dirty] */
	uint64_t *dirty_map;  /* a bit a page: it is in the list */
};

/*
 * From now on, the snapshot is of this moment. The first registers the tracker
 * and tracks all pages, with one flush; one more costs what is dirty, as long as no
 * memory has come. -EINVAL: there is no memory; -ENOMEM, -EOVERFLOW, -ENOSPC as page_tracker_add():
 * *@failed (may be NULL) is the page. On an error an older snapshot stays, if all of memory
 * was in it; else there is none.
 */
must_check int page_snapshot_take(struct page_snapshot *s, struct page_track *pt, gfn_t *failed);

/*
 * All bytes are as they were at the take. One flush. Of a dirty page, the parts that
 * differ are written. -ENOENT: nothing was taken, or it is lost. -ENOMEM, -EOVERFLOW: pages cannot
 * be tracked again, nothing has changed. Other errors are those of write(), or
 * -EACCES where a tracker had it changed or passed over: some pages are restored, the
 * others are still dirty. What trackers write to while they hear of it stays, and is dirty.
 */
must_check int page_snapshot_restore(struct page_snapshot *s, const struct page_snapshot_memory *memory);

/* Forgets it, and gives all back. From no callback of the snapshot. */
void page_snapshot_drop(struct page_snapshot *s);

/*
 * A number for the content of one page at its place. The hash of memory is the sum
 * over all pages: it does not depend on their order, and follows a page that changes
 * by a difference. Not against those who know @key.
 */
uint64_t page_snapshot_hash(uint64_t key, gfn_t gfn, const uint8_t *page);

/* The sum over all slots there are. */
uint64_t page_snapshot_hash_all(struct page_track *pt, uint64_t key,
				const struct page_snapshot_memory *memory);

#endif
