/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shadow page-table entries: what the hardware walks. The same format serves
 * 4-level and PAE paging, so software may use bits 11:9 only.
 *
 *   63   62..52  51..12           11   10     9        8    7   6  5     2   1   0
 *  +----+-------+----------------+----+------+--------+---+----+---+---+ +---+---+---+
 *  | NX |   0   | machine frame  |LENT| LEAF | OPENED | 0 | PS | D | A | | U | W | P |
 *  +----+-------+----------------+----+------+--------+---+----+---+---+ +---+---+---+
 *
 * A is always set, and D wherever W is, so the hardware never writes an spte.
 * An entry that is not present says why in bit 1, and its frame field is all
 * ones: a speculative load through it (L1TF) meets the last frame that the
 * format can name, which is never cacheable RAM.
 *
 * Invariant: spte_set() is the only writer. Every present leaf is on the
 * reverse map of its gfn, every other present entry on the list of parents of
 * the shadow page it points to, and a right taken away marks a flush as owed.
 * Lock: mmu.lock.
 */
#ifndef MM_SPTE_H
#define MM_SPTE_H

#include "lib/compiler.h"
#include "lib/types.h"
#include "mm/guest_walk.h"

struct mmu;

#define SPTES_PER_PAGE 512

#define SPTE_PRESENT (1ull << 0)
#define SPTE_WRITE (1ull << 1)
#define SPTE_USER (1ull << 2)
#define SPTE_ACCESSED (1ull << 5)
#define SPTE_DIRTY (1ull << 6)
#define SPTE_LARGE (1ull << 7)
#define SPTE_OPENED (1ull << 9) /* leaf: for a native step, despite tracking */
#define SPTE_LEAF (1ull << 10)  /* maps a guest page; else points to a shadow page */
#define SPTE_LENT (1ull << 11)  /* leaf: despite trackers of another address space, until CR3 changes */
#define SPTE_NX (1ull << 63)
#define SPTE_FRAME_MASK 0x000ffffffffff000ull

#define SPTE_RIGHTS (SPTE_WRITE | SPTE_DIRTY | SPTE_USER | SPTE_NX)

/* The right that ACCESS_* has no bit for. x86 has no way to write or to fetch
 * from a page that cannot be read. */
#define ACCESS_READ (1u << 3)

/* "Not shadowed yet": the access must exit to us. */
static inline uint64_t spte_not_shadowed(void)
{
	return SPTE_FRAME_MASK;
}

/* "The guest's own entry is not present": the fault is the guest's. */
static inline uint64_t spte_guest_not_present(void)
{
	return SPTE_FRAME_MASK | (1ull << 1);
}

static inline bool spte_present(uint64_t spte) { return spte & SPTE_PRESENT; }
static inline bool spte_is_leaf(uint64_t spte) { return spte & SPTE_LEAF; }
static inline pfn_t spte_pfn(uint64_t spte) { return pfn((spte & SPTE_FRAME_MASK) >> PAGE_SHIFT); }

/* An entry that points to the shadow page at @table: all rights, since the
 * leaf has the AND of the whole path. */
static inline uint64_t spte_make_link(hpa_t table)
{
	return table.v | SPTE_PRESENT | SPTE_WRITE | SPTE_USER | SPTE_ACCESSED;
}

/* A leaf at @level with the rights @access (ACCESS_*). */
static inline uint64_t spte_make_leaf(pfn_t frame, uint32_t access, int level)
{
	uint64_t spte = pfn_to_hpa(frame).v | SPTE_PRESENT | SPTE_ACCESSED | SPTE_LEAF;

	if (access & ACCESS_WRITE)
		spte |= SPTE_WRITE | SPTE_DIRTY;
	if (access & ACCESS_USER)
		spte |= SPTE_USER;
	if (!(access & ACCESS_EXEC))
		spte |= SPTE_NX;
	if (level > 1)
		spte |= SPTE_LARGE;
	return spte;
}

/* The rights of a present leaf. */
static inline uint32_t spte_access(uint64_t spte)
{
	return ACCESS_READ | (spte & SPTE_WRITE ? ACCESS_WRITE : 0) | (spte & SPTE_USER ? ACCESS_USER : 0) |
	       (spte & SPTE_NX ? 0 : ACCESS_EXEC);
}

/* The rights that remain of the leaf @spte when those in @taken are gone. */
uint64_t spte_without(uint64_t spte, uint32_t taken);

/* The index of @addr's entry in a table of @level. */
static inline unsigned int spte_index(gva_t addr, int level)
{
	return (addr.v >> (PAGE_SHIFT + 9 * (level - 1))) % SPTES_PER_PAGE;
}

/* Replaces *@sptep, an entry of a shadow page in use. */
void spte_set(struct mmu *mmu, uint64_t *sptep, uint64_t spte);

static inline void spte_drop(struct mmu *mmu, uint64_t *sptep)
{
	spte_set(mmu, sptep, spte_not_shadowed());
}

#endif
