/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page tracking: how many parties want a given kind of access to a guest
 * page to trap.
 *
 * Every memory slot embeds a struct page_track_slot: 16-bit counters
 * gfn_track[mode][gfn], seen through page_track_count(). Zero means that the
 * page runs at full speed. The first count of a mode takes the matching right
 * out of every shadow translation of the page, the last one removed lets the
 * MMU give it back. A counter is the sum of what the shadow MMU holds for the
 * guest tables that it shadows, and of what each tracker holds (tracker.h);
 * what is told to whom is in event.h.
 *
 * Counters lie in chunks, one for 512 guest pages (2 MiB), which are made when
 * the first of their counters leaves zero and stay as long as the slot:
 * untracked memory costs a pointer per 2 MiB.
 *
 * This folder knows no MMU: it reaches it through the struct
 * page_track_mmu_ops given to page_track_init().
 *
 * Lock: page_track.lock is held over counters, protect() and flush(), so that
 * a second adder does not return before the first one's flush; mmu.lock is
 * inside it. A counter itself changes atomically, because the shadow MMU
 * changes it under its own lock alone. Callbacks run with no lock held, and
 * may call everything here.
 */
#ifndef PAGETRACK_PAGE_TRACK_H
#define PAGETRACK_PAGE_TRACK_H

#include <sys/queue.h>
#include "lib/compiler.h"
#include "lib/spinlock.h"
#include "lib/types.h"

enum page_track_mode {
	PAGE_TRACK_WRITE,
	PAGE_TRACK_READ,
	PAGE_TRACK_EXEC,
	PAGE_TRACK_MODES
};

/* Sets of modes. */
#define PAGE_TRACK_BIT(mode) (1u << (mode))
#define PAGE_TRACK_W PAGE_TRACK_BIT(PAGE_TRACK_WRITE)
#define PAGE_TRACK_R PAGE_TRACK_BIT(PAGE_TRACK_READ)
#define PAGE_TRACK_X PAGE_TRACK_BIT(PAGE_TRACK_EXEC)
#define PAGE_TRACK_ALL (PAGE_TRACK_W | PAGE_TRACK_R | PAGE_TRACK_X)

#define PAGE_TRACK_COUNT_MAX UINT16_MAX
#define PAGE_TRACK_CHUNK_PAGES 512u

struct page_holders; /* which trackers hold what in a chunk; see hold.h */

/* 512 guest pages, the first a multiple of 512. One page of memory. */
struct page_track_chunk {
	uint16_t gfn_track[PAGE_TRACK_MODES][PAGE_TRACK_CHUNK_PAGES];
	uint32_t active;              /* counters that are not zero */
	struct page_holders *holders; /* NULL: no tracker ever held a page here */
};

_Static_assert(sizeof(struct page_track_chunk) <= PAGE_SIZE, "a chunk is one page");

/* The part of a memory slot that belongs to page tracking. */
struct page_track_slot {
	gfn_t base_gfn;
	uint64_t npages;
	struct page_track_chunk **chunk; /* [page_track_chunks()]; NULL: all counters are zero */
	bool prepared;                   /* page_track_slot_move_prepare() made it, with its counts */
	LIST_ENTRY(page_track_slot) link; /* from attach to detach, when it must not change its place */
};

struct page_track_event;
struct page_tracker;

/* What tracking asks of the MMU. The mode is the access that must trap. */
struct page_track_mmu_ops {
	/* The slot that holds @gfn, or NULL. */
	struct page_track_slot *(*slot_of)(void *mmu, gfn_t gfn);
	/* Takes the right away from every translation of @gfn. Returns true
	 * when a TLB may still hold it, so that flush() is owed. */
	bool (*protect)(void *mmu, gfn_t gfn, enum page_track_mode mode);
	/* The page is no longer tracked in @mode: rights may come back. */
	void (*unprotect)(void *mmu, gfn_t gfn, enum page_track_mode mode);
	/* Returns when no CPU holds a translation older than the call. */
	void (*flush)(void *mmu);
	/* How many of the counts of @gfn are the MMU's own, and how many it may
	 * come to need: trackers leave it that many. NULL: none. */
	unsigned int (*own_count)(void *mmu, gfn_t gfn, enum page_track_mode mode);
	unsigned int own_max[PAGE_TRACK_MODES];
	/* Memory was written: told first of all. May be NULL. */
	void (*written)(void *mmu, const struct page_track_event *e);
	/* Which CPU is this? Lets page_tracker_destroy() tell a callback it
	 * was called from and one it must wait for. NULL: there is one CPU. */
	unsigned int (*cpu)(void);
	/* Time stamp of events, and the clock of flood budgets. NULL: always 0. */
	uint64_t (*tsc)(void *mmu);
};

struct page_track_cursor; /* one event on its way; see cursor.h */

#define PAGE_TRACKERS_MAX 1024

struct page_track {
	struct spinlock lock;
	const struct page_track_mmu_ops *ops;
	void *mmu;
	TAILQ_HEAD(page_tracker_list, page_tracker) trackers; /* ascending priority, then age */
	TAILQ_HEAD(, page_track_cursor) cursors;
	LIST_HEAD(, page_track_slot) slots; /* attached */
	uint64_t ids[PAGE_TRACKERS_MAX / 64]; /* in use */
	uint64_t registrations;               /* ever */
	unsigned int narrow; /* trackers of one address space only */
	uint64_t additions;  /* of counts, ever; each before its protect() */
	/* See page_track_reserve(). Innermost lock: the shadow MMU takes from here under its own. */
	struct spinlock spare_lock;
	struct page_track_chunk *spare; /* linked through ->holders */
	unsigned int spares;
	/* Set by verdicts and by trackers that rather stop the VM than lose an
	 * event: who. The vCPU that made the access looks. Of a tracker that is
	 * destroyed since, a stand-in. */
	const struct page_tracker *stopped_by;
	uint64_t held_until; /* TSC: a flooded tracker slows the VM down until then */
};

void page_track_init(struct page_track *pt, const struct page_track_mmu_ops *ops, void *mmu);
/* Destroys the trackers that are left, and frees the reserve. All slots are gone. */
void page_track_destroy(struct page_track *pt);

/* ---- counters ---------------------------------------------------------- */

/* Makes the counters of @slot, all zero, for [base, base + npages).
 * -ENOMEM, or -EINVAL for no pages or too many: *slot is all zero then. */
must_check int page_track_slot_init(struct page_track_slot *slot, gfn_t base, uint64_t npages);
/* Frees them. No tracker holds a page of it: page_track_slot_detach() came before. */
void page_track_slot_destroy(struct page_track_slot *slot);

/* Chunks that cover the slot, and those that are there. */
uint64_t page_track_chunks(const struct page_track_slot *slot);
uint64_t page_track_chunks_made(const struct page_track_slot *slot);

/* The counter gfn_track[mode][gfn]; 0 for an unknown mode or a gfn outside the slot. */
uint16_t page_track_count(const struct page_track_slot *slot, gfn_t gfn, enum page_track_mode mode);

static inline bool page_track_is_active(const struct page_track_slot *slot, gfn_t gfn,
					enum page_track_mode mode)
{
	return page_track_count(slot, gfn, mode) != 0;
}

/* The modes, as PAGE_TRACK_BIT()s, in which @gfn is tracked: one look at what the MMU asks
 * for each entry that it fills. */
unsigned int page_track_modes(const struct page_track_slot *slot, gfn_t gfn);

/* Is some page of the 2 MiB around @gfn tracked in any mode? */
bool page_track_range_is_active(const struct page_track_slot *slot, gfn_t gfn);

/* Sum of all counters of @slot in @mode. */
uint64_t page_track_total(const struct page_track_slot *slot, enum page_track_mode mode);

/* Makes sure that page_track_count_add() can be called @n times without
 * -ENOMEM. */
must_check int page_track_reserve(struct page_track *pt, unsigned int n);

/* The counter alone, for the shadow MMU, which holds its own lock and takes
 * the rights away itself: no protect, no flush.
 * -EINVAL: unknown mode or gfn outside the slot; -EOVERFLOW: 65,535 already;
 * -ENOENT: 0 already; -ENOMEM. Nothing has changed on error. */
must_check int page_track_count_add(struct page_track *pt, struct page_track_slot *slot, gfn_t gfn,
				    enum page_track_mode mode);
must_check int page_track_count_sub(struct page_track_slot *slot, gfn_t gfn, enum page_track_mode mode);

#endif
