/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A VM under random operations, against the models of mm_model.h: the shadow
 * MMU in all four paging modes, with a TLB that keeps every translation until
 * it must not. The world is small so that everything collides: a few dozen
 * pages are tables, data and both at once, on several vCPUs, with a quota that
 * does not suffice. Memory runs out at every allocation, slots come and go, and
 * all of it also while pages are open for a native step.
 *
 * What must not be ends the program with abort(), having said what, and the
 * seed. There is one world at a time.
 */
#ifndef TESTS_HOST_MM_WORLD_H
#define TESTS_HOST_MM_WORLD_H

#include "mm/mmu.h"

/* What a run has met; one that has not met everything proves little. */
struct world_seen {
	uint64_t result[FAULT_NOMEM + 1]; /* of faults */
	uint64_t modes[4];                /* of paging, entered */
	uint64_t tlb_hits, cpu_hits;      /* accesses that went through */
	uint64_t steps, interrupted;      /* native ones, and those with other changes meanwhile */
	uint64_t large, reclaimed, flushes;
	uint64_t lent;                    /* accesses through pages that another address space's tracker holds */
	uint64_t exchanges, nomem, remade;
};
extern struct world_seen world_seen;

/* The seed decides the world, and all that happens in it unless chosen by others. */
void world_open(uint64_t seed);
void world_close(void);

/* One operation and the audit of all invariants. @choose: gives numbers below
 * @n; NULL: from the seed. */
void world_step(uint64_t (*choose)(uint64_t n));

#endif
