/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The trackers of the random world (mm_world.h), and the model they are held
 * against: who has how many counts where, what becomes of them when slots go, and who
 * must be asked and told of which access, with which bytes, exactly once.
 *
 * Whatever the world does with guest memory beside the guest itself goes through
 * here. What must not be is said to the world's check(), which ends the program.
 */
#ifndef TESTS_HOST_MM_TRACKERS_H
#define TESTS_HOST_MM_TRACKERS_H

#include "mm/mmu.h"

#define TRACKERS 3
#define TRACKED_GFNS 1100 /* of the world */

/* What the world lends. */
struct trackers_world {
	struct mmu *mmu;
	uint64_t only_cr3; /* of the last tracker; 0: it hears of all address spaces */
	uint64_t (*below)(uint64_t n);
	void (*check)(bool ok, const char *what);
};

struct trackers_seen {
	uint64_t asked, told, walks, denied, skipped, replaced, stopped, overruled;
	uint64_t native_denied, native_reads, native_writes, silent, fetches, parked, moved;
};
extern struct trackers_seen trackers_seen;

void trackers_open(const struct trackers_world *world);
void trackers_close(void);

/* Compares counts in [base, base + npages). */
void trackers_compare(uint64_t base, uint64_t npages);

/* Adds to, or takes from, what one of them has from @g on. */
void trackers_change(uint64_t g);
/* One gives back all it has: page by page, at once, or by going and coming back. */
void trackers_give_back(void);

/* The rights (ACCESS_*) to @g that trackers and the MMU itself leave to who runs under @cr3. */
uint32_t trackers_left(gfn_t g, uint64_t cr3);

/* The door. Result, bytes and events are checked. At most TRACKERS_BYTES; with verdicts up to GUEST_EVENT_BYTES. */
#define TRACKERS_BYTES 600
int trackers_write(gpa_t at, const void *src, size_t len, enum access_agent agent);
int trackers_read(gpa_t at, size_t len, enum access_agent agent);
/* Now and then memory is not what it expects. */
int trackers_exchange(gpa_t at, const void *desired, size_t len);
/* The instruction at @at; within the page. */
void trackers_fetch(gpa_t at);

/* mmu_page_fault(), with the walk's accesses. */
enum fault_result trackers_fault(struct mmu_vcpu *v, struct page_fault *f);

/* The native step. */
enum page_track_verdict trackers_step_ask(struct mmu_vcpu *v, const struct page_fault *f);
int trackers_step_open(struct mmu_vcpu *v, const struct page_fault *f);
void trackers_step_close(struct mmu_vcpu *v, bool done);
/* The rights (ACCESS_*) that the step has opened on @g. */
uint32_t trackers_step_rights(gfn_t g);

/* Slots with what trackers hear of them. */
int trackers_slot_create(const struct memslot_desc *d);
int trackers_slot_delete(const struct memslot_desc *d);
int trackers_slot_move(const struct memslot_desc *d, gfn_t base);

#endif
