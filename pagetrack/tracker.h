/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Trackers: the parties that watch guest pages. A tracker owns the counts it
 * adds: nobody else can remove them, and they go with it.
 *
 * A tracker counts per page and mode: what it has added n times it removes n times.
 * What it holds is kept in a struct page_hold per 2 MiB, found in O(1) from
 * page and tracker; each page has a bit for each tracker that holds it, so an
 * event costs what the holders of its page cost, however many others there are.
 *
 * To write one: fill struct page_tracker (name, priority, ops, follow), register
 * it, add pages. docs/page-tracking.md has the contract and an example.
 */
#ifndef PAGETRACK_TRACKER_H
#define PAGETRACK_TRACKER_H

#include "pagetrack/event.h"
#include "pagetrack/page_track.h"

/* What becomes of a tracker's counts when a slot is moved, or deleted. */
enum page_tracker_follow {
	/* They stay with the guest frame numbers: parked as long as there is no
	 * memory, and in force again before the first access to what comes there. */
	PAGE_TRACKER_FOLLOW_GFN,
	/* They go with the memory: along with a move, lost with a delete. */
	PAGE_TRACKER_FOLLOW_MEMORY,
};

enum page_track_region_change { REGION_CREATED, REGION_MOVED, REGION_REMOVED };

/* [base, base + npages) got, changed or loses its memory. */
struct page_track_region {
	enum page_track_region_change change;
	gfn_t base;
	uint64_t npages;
	gfn_t old_base; /* REGION_MOVED: where it was */
};

enum page_track_flood_policy {
	FLOOD_THROTTLE,   /* all events; the VM is slowed down to the budget */
	FLOOD_COUNT_ONLY, /* hits are counted and no longer told */
	FLOOD_DROP,       /* the tracker loses all it holds */
};

/* At most @hits events in @cycles of the TSC (in an emulator whose clock counts
 * instructions: so many instructions). hits 0: no budget. */
struct page_track_budget {
	uint32_t hits;
	uint64_t cycles;
	enum page_track_flood_policy policy;
};

/* All but one of before and after may be NULL. */
struct page_tracker_ops {
	/* Before an access, e->hit is 0. To replace, write to @value[e->len] (NULL: cannot be done
	 * now, or somebody has decided). A flood does not end the asking. */
	enum page_track_verdict (*before)(struct page_tracker *t, const struct page_track_event *e,
					  uint8_t *value);
	/* After it, or after it was denied: the event. */
	void (*after)(struct page_tracker *t, const struct page_track_event *e);
	/* @mine, said in before(), does not count: @by (NULL: gone since) has said @taken.
	 * Of two who replace, the second is overruled. */
	void (*overruled)(struct page_tracker *t, const struct page_track_event *e,
			  enum page_track_verdict mine, const struct page_tracker *by,
			  enum page_track_verdict taken);
	/* Memory changes under the tracker. REMOVED comes before, with the
	 * counts still in force; CREATED and MOVED after, when what the policy
	 * gives the tracker is in force, and before any access. */
	void (*region)(struct page_tracker *t, const struct page_track_region *r);
	/* The budget is spent, and the policy begins. Told once until page_tracker_rearm(). */
	void (*flooded)(struct page_tracker *t);
};

LIST_HEAD(page_hold_list, page_hold);

struct page_tracker {
	/* By the owner, before it is registered: */
	const char *name;
	int priority; /* lower is asked and told first; any number may have the same */
	const struct page_tracker_ops *ops;
	enum page_tracker_follow follow;
	bool walks;   /* wants READ events of page-table walks, too */
	/* One address space only: what vCPUs do under another CR3 (bits 51:12) is not told, and
	 * does not trap for this tracker. 0: all. What has no vCPU is told in any case. */
	uint64_t only_cr3;
	struct page_track_budget budget; /* page_tracker_rearm() after a change */

	/* To be read by anyone: */
	uint64_t hits;        /* events, told or counted */
	uint64_t untold;      /* of these, not told, by the flood policy */
	bool flooded;

	/* Page tracking's own: */
	struct page_track *pt; /* NULL: not registered */
	uint64_t order;        /* among equals in priority */
	uint16_t id;
	struct page_hold_list holds, parked;
	/* All pages, of slots to come too; see page_tracker_add_all(). */
	unsigned int all_modes;
	const struct page_track_range *except;
	unsigned int except_count;
	uint64_t window_start; /* TSC */
	uint32_t window_hits;
	TAILQ_ENTRY(page_tracker) link;
};

struct page_track_range {
	gfn_t base;
	uint64_t npages;
};

/* -EEXIST: registered already; -EINVAL: no ops, or neither before nor after;
 * -ENOSPC: PAGE_TRACKERS_MAX. */
must_check int page_tracker_register(struct page_track *pt, struct page_tracker *t);

/* Gives back all it holds and forgets it. Returns when no callback of @t runs or
 * will run; called from inside a callback of @t itself, that one is the last.
 * Waits for callbacks on other CPUs: two that destroy each other's tracker at the same
 * time wait for ever. -ENOENT: not registered. */
must_check int page_tracker_destroy(struct page_tracker *t);

/*
 * Accesses of @modes to [base, base + npages) trap, for @t. One flush for all;
 * when it returns 0 no TLB holds a translation that lets such an access
 * through. On an error nothing has changed, and *@failed (may be NULL) is the
 * first gfn that it is about.
 * -EINVAL: no or unknown modes, no pages, a page outside every slot;
 * -EOVERFLOW: a counter is full; -ENOMEM; -ENOENT: not registered.
 */
must_check int page_tracker_add(struct page_tracker *t, gfn_t base, uint64_t npages, unsigned int modes,
				gfn_t *failed);

/* The same for @n single pages, in any order, with one flush for all. A page that
 * stands there twice gets two counts. */
must_check int page_tracker_add_list(struct page_tracker *t, const gfn_t *list, uint64_t n,
				     unsigned int modes, gfn_t *failed);

/* One count fewer on each, parked ones too. -EINVAL: no or unknown modes, no pages;
 * -ENOENT: @t has no count there, or is not registered. Nothing has changed on error. */
must_check int page_tracker_remove(struct page_tracker *t, gfn_t base, uint64_t npages, unsigned int modes,
				   gfn_t *failed);

/* One count on each page of each slot, and of each slot to come if @t follows the
 * gfn, but in [except]: @count ranges, which stay valid until
 * page_tracker_clear(). -EEXIST: done before. Other errors as page_tracker_add(). */
must_check int page_tracker_add_all(struct page_tracker *t, unsigned int modes,
				    const struct page_track_range *except, unsigned int count, gfn_t *failed);

/* Gives back all counts of @t, parked ones too. */
void page_tracker_clear(struct page_tracker *t);

/* The counts of @t on @gfn in @mode, parked or in force. O(1) where there is memory. */
unsigned int page_tracker_count(const struct page_tracker *t, gfn_t gfn, enum page_track_mode mode);

/* A flooded tracker is told again, within a fresh budget. */
void page_tracker_rearm(struct page_tracker *t);

#define PAGE_TRACKER_CR3_MASK 0x000ffffffffff000ull

/* The counter, less what trackers hold who do not care for what happens under @cr3. For the MMU: 0 means
 * that such an access need not trap. */
unsigned int page_track_count_under(struct page_track *pt, gfn_t gfn, enum page_track_mode mode, uint64_t cr3);

/* What all trackers together hold there: for audits. */
unsigned int page_track_held(struct page_track *pt, gfn_t gfn, enum page_track_mode mode);

/*
 * For mm/: a slot comes, goes, moves. The vCPUs of the VM are outside the guest.
 *
 *   attach        the slot can be found by slot_of(). It gets the counts that are
 *                 parked for its frames, and those on all pages. -ENOMEM, -EOVERFLOW (a
 *                 counter would be full): none.
 *   detach        before it can no longer be found: its counts are parked or lost
 *   move_prepare  makes *@to for the memory of @from at @base: with the counts that
 *                 follow memory, and those that will be there for the gfn.
 *                 -ENOMEM, -EINVAL, -EOVERFLOW: *@to is all zero. To go on: detach(@from), put
 *                 *@to in its place, then attach() cannot fail. Until then nobody adds
 *                 or removes.
 *   move_undo     instead of that
 *
 * A slot does not change its place in memory from attach to detach.
 */
must_check int page_track_slot_attach(struct page_track *pt, struct page_track_slot *slot);
void page_track_slot_detach(struct page_track *pt, struct page_track_slot *slot);
must_check int page_track_slot_move_prepare(struct page_track *pt, struct page_track_slot *from, gfn_t base,
					    struct page_track_slot *to);
void page_track_slot_move_undo(struct page_track *pt, struct page_track_slot *to);

/* Tells all trackers. */
void page_track_notify_region(struct page_track *pt, const struct page_track_region *r);

#endif
