/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page tracking: how many parties want a given kind of access to a guest
 * page to trap.
 *
 * Every memory slot embeds a struct page_track_slot, whose arrays
 * gfn_track[mode][gfn - base_gfn] are 16-bit counters. Zero means that the
 * page runs at full speed. The first count of a mode takes the matching right
 * out of every shadow translation of the page, the last one removed lets the
 * MMU give it back. This folder knows no MMU: it reaches it through the
 * struct page_track_mmu_ops given to page_track_init().
 *
 * Lock: page_track_add() and page_track_remove() hold page_track.lock over the
 * counter, protect() and flush(), so that a second adder does not return
 * before the first one's flush. A counter itself changes atomically, because
 * the shadow MMU changes it under its own lock. Trackers' callbacks are called
 * with no lock held, and may register and unregister trackers.
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

#define PAGE_TRACK_COUNT_MAX UINT16_MAX

/* The part of a memory slot that belongs to page tracking. */
struct page_track_slot {
	gfn_t base_gfn;
	uint64_t npages;
	uint16_t *gfn_track[PAGE_TRACK_MODES]; /* [npages] each */
};

/* Who writes guest memory. */
enum guest_writer {
	WRITER_EMULATOR,  /* an emulated guest instruction */
	WRITER_STEP,      /* a guest instruction that ran natively, page opened for it */
	WRITER_WALKER,    /* accessed and dirty bits */
	WRITER_INJECTION, /* event delivery */
	WRITER_DEVICE,
	WRITER_HYPERCALL,
	WRITER_LOADER,    /* before the first instruction of the guest */
	WRITER_DEBUGGER,
};

/* A write to a tracked page, after it was done. Never crosses a page. */
struct page_track_write {
	gpa_t gpa;
	uint32_t len;       /* bytes, 1..PAGE_SIZE */
	const uint8_t *old; /* [len] */
	const uint8_t *new; /* [len] */
	enum guest_writer writer;
};

struct page_tracker {
	const char *name;
	/* Lower is told first. 0 is the shadow MMU's: it must see a write
	 * before anyone else can cause a new translation. */
	int priority;
	void (*write)(struct page_tracker *t, const struct page_track_write *w);
	/* The frames [base, base + npages) are about to lose their slot, and
	 * their counters with it. May be NULL. */
	void (*region_removed)(struct page_tracker *t, gfn_t base, uint64_t npages);
	TAILQ_ENTRY(page_tracker) link;
};

/* What tracking asks of the MMU. The mode is the access that must trap. */
struct page_track_mmu_ops {
	/* Takes the right away from every translation of @gfn. Returns true
	 * when a TLB may still hold it, so that flush() is owed. */
	bool (*protect)(void *mmu, gfn_t gfn, enum page_track_mode mode);
	/* The page is no longer tracked in @mode: rights may come back. */
	void (*unprotect)(void *mmu, gfn_t gfn, enum page_track_mode mode);
	/* Returns when no CPU holds a translation older than the call. */
	void (*flush)(void *mmu);
	/* Which CPU is this? Lets page_tracker_unregister() tell a callback it
	 * was called from and one it must wait for. NULL: there is one CPU. */
	unsigned int (*cpu)(void);
};

struct page_track_cursor; /* one notification under way; see page_track.c */

struct page_track {
	struct spinlock lock;
	const struct page_track_mmu_ops *ops;
	void *mmu;
	TAILQ_HEAD(, page_tracker) trackers; /* ascending priority */
	TAILQ_HEAD(, page_track_cursor) cursors;
};

void page_track_init(struct page_track *pt, const struct page_track_mmu_ops *ops, void *mmu);

/* Makes the counters of @slot, all zero, for [base, base + npages).
 * All or nothing: on -ENOMEM, or -EINVAL for no pages or too many to count,
 * the slot holds no array. */
must_check int page_track_slot_init(struct page_track_slot *slot, gfn_t base, uint64_t npages);

/* Frees the arrays of @slot but those that @dont shares (NULL: none), so
 * that a flags-only change of a slot keeps its counters. */
void page_track_slot_destroy(struct page_track_slot *slot, const struct page_track_slot *dont);

/* One more party wants @mode accesses to @gfn to trap. When it returns 0 no
 * TLB holds a translation that lets such an access through.
 * -EINVAL: unknown mode or gfn outside the slot; -EOVERFLOW: 65,535 already.
 * Nothing has changed on error. */
must_check int page_track_add(struct page_track *pt, struct page_track_slot *slot, gfn_t gfn,
			      enum page_track_mode mode);

/* One party fewer. -EINVAL as above; -ENOENT: the count is 0 already. */
must_check int page_track_remove(struct page_track *pt, struct page_track_slot *slot, gfn_t gfn,
				 enum page_track_mode mode);

/* The counter alone, for the shadow MMU, which holds its own lock and takes
 * the rights away itself: same errors, no protect, no flush. */
must_check int page_track_count_add(struct page_track_slot *slot, gfn_t gfn, enum page_track_mode mode);
must_check int page_track_count_sub(struct page_track_slot *slot, gfn_t gfn, enum page_track_mode mode);

/* The counter itself; 0 for an unknown mode or a gfn outside the slot. */
uint16_t page_track_count(const struct page_track_slot *slot, gfn_t gfn, enum page_track_mode mode);
bool page_track_is_active(const struct page_track_slot *slot, gfn_t gfn, enum page_track_mode mode);

/* Sum of all counters of @slot in @mode. */
uint64_t page_track_total(const struct page_track_slot *slot, enum page_track_mode mode);

/* -EEXIST: registered already; -EINVAL: no write callback. */
must_check int page_tracker_register(struct page_track *pt, struct page_tracker *t);
/* Returns when no callback of @t runs or will run; called from inside a
 * callback of @t itself, that one is the last. -ENOENT: not registered. */
must_check int page_tracker_unregister(struct page_track *pt, struct page_tracker *t);

/* Tell all trackers, in order. */
void page_track_notify_write(struct page_track *pt, const struct page_track_write *w);
void page_track_notify_region_removed(struct page_track *pt, gfn_t base, uint64_t npages);

#endif
