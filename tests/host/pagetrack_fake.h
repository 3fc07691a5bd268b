/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A made-up MMU and some slots for the tests of pagetrack/, which need no mm/:
 * it notes what it is asked.
 */
#ifndef TESTS_HOST_PAGETRACK_FAKE_H
#define TESTS_HOST_PAGETRACK_FAKE_H

#include "pagetrack/event.h"
#include "pagetrack/page_track.h"
#include "pagetrack/tracker.h"

#define FAKE_SLOTS 8

struct fake_mmu {
	struct page_track pt;
	struct page_track_mmu_ops ops; /* may be changed by the test */
	struct page_track_slot slot[FAKE_SLOTS];
	bool in_use[FAKE_SLOTS]; /* slot_of() finds it */
	unsigned int protects, unprotects, flushes, writes;
	gfn_t gfn; /* of the last protect or unprotect */
	enum page_track_mode mode;
	bool may_be_cached; /* what protect() answers */
	unsigned int own;   /* what own_count() answers for own_gfn */
	gfn_t own_gfn;
	uint64_t tsc;
};

/* Zeroes what was noted, sets up page tracking without slots. */
void fake_init(struct fake_mmu *m);
/* Destroys all trackers: before those on the stack of a test go. */
void fake_retire(struct fake_mmu *m);
/* Takes everything down; true if all memory is given back. */
bool fake_destroy(struct fake_mmu *m);
/* Forgets what was asked so far. */
void fake_forget(struct fake_mmu *m);

/* A slot comes, goes and moves as mm/ does it. The first and the last return what page tracking said. */
int fake_slot_create(struct fake_mmu *m, unsigned int i, uint64_t base, uint64_t npages);
void fake_slot_delete(struct fake_mmu *m, unsigned int i);
int fake_slot_move(struct fake_mmu *m, unsigned int i, uint64_t base);

/* Which CPU a thread is. */
extern _Thread_local unsigned int fake_running_cpu;

/* An access: 8 bytes at the start of the page, before and, as the verdict has it, after. */
enum page_track_verdict fake_access(struct fake_mmu *m, uint64_t gfn, enum page_track_mode mode,
				    enum access_agent agent);

#endif
