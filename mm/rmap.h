/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reverse maps: from a guest frame to the leaf sptes that map it, and from a
 * shadow page to the sptes that point to it (its parents).
 *
 * Each spte is on at most one list, so its links lie in an array beside the
 * tables, made with the pool: a list of any length takes no memory, adding
 * and removing are O(1) and cannot fail. A list is named by the number of its
 * first spte in a struct rmap_head, 0 when empty.
 *
 * Lock: mmu.lock.
 */
#ifndef MM_RMAP_H
#define MM_RMAP_H

#include "lib/compiler.h"
#include "lib/types.h"
#include "mm/memslot.h"

struct mmu;
struct shadow_page;
struct shadow_pool;

/* Numbers of sptes, 1 + their index in the pool; 0 is none. */
struct spte_link { uint32_t next, prev; };

static inline bool rmap_empty(const struct rmap_head *head) { return head->val == 0; }

/* The first spte of a list, or NULL, and the one after @sptep. */
uint64_t *rmap_first(const struct shadow_pool *pool, const struct rmap_head *head);
uint64_t *rmap_next(const struct shadow_pool *pool, const uint64_t *sptep);

/* Only spte_set() calls these two. @spte is the value whose target's list is
 * meant. */
void rmap_add(struct mmu *mmu, uint64_t *sptep, uint64_t spte);
void rmap_remove(struct mmu *mmu, uint64_t *sptep, uint64_t spte);

/* The slot whose machine frames hold @frame, and the gfn there. NULL: none.
 * Slots of one VM share no machine frame, so there is one at most. */
struct memslot *rmap_slot_of_pfn(struct mmu *mmu, pfn_t frame, gfn_t *gfn);

/* Takes the rights @taken (ACCESS_*) from every translation of @gfn; large
 * mappings over it go altogether. */
void rmap_take_rights(struct mmu *mmu, struct memslot *slot, gfn_t gfn, uint32_t taken);

/* Drops every translation of every frame of @slot. */
void rmap_drop_slot(struct mmu *mmu, struct memslot *slot);

/* Drops the translations of @gfn that have a bit of @marks: SPTE_OPENED, SPTE_LENT. */
void rmap_drop_marked(struct mmu *mmu, struct memslot *slot, gfn_t gfn, uint64_t marks);

#endif
