/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shadow pages: the page tables that the hardware walks, each built for one
 * guest table (or, when direct, for a range of guest frames) in one role.
 * They are found by gfn and the whole role word in a keyed hash, and stay
 * there when nothing points to them any more, until written to as ordinary
 * memory or reclaimed as the oldest.
 *
 *   free --shadow_get()--> active --shadow_zap()--> zapped --flush--> free
 *
 * Invariants: free + active + zapped = total. A shadow page that is not
 * direct holds one WRITE count on its gfn as long as
 * it is active. The entries of a page that is not active are all "not
 * shadowed". A zapped page is linked from nowhere, but a TLB may know it, so
 * it waits for the flush.
 *
 * Lock: mmu.lock.
 */
#ifndef MM_SHADOW_H
#define MM_SHADOW_H

#include <sys/queue.h>
#include "lib/compiler.h"
#include "lib/types.h"
#include "mm/guest_walk.h"
#include "mm/rmap.h"
#include "mm/spte.h"

struct mmu;

/*
 * What a shadow page was built for. All bits but `direct` multiply the shadow
 * pages of one gfn that hold a count on it.
 */
union shadow_page_role {
	uint32_t word;
	struct {
		uint32_t level : 3;    /* 4..1, of the shadow table */
		uint32_t cr4_pae : 1;  /* guest entries are 8 bytes, not 4 */
		uint32_t quadrant : 2; /* 4-byte entries: which part of the guest table */
		uint32_t access : 3;   /* ACCESS_* of the guest's path down to here */
		uint32_t nxe : 1;      /* 8-byte entries: EFER.NXE; 4-byte entries: CR4.PSE */
		uint32_t cr0_wp : 1;
		uint32_t smep_andnot_wp : 1;
		uint32_t smap_andnot_wp : 1;
		uint32_t smm : 1;      /* built in system-management mode; always 0 so far */
		uint32_t direct : 1;   /* maps [gfn, ...) itself: no guest table stands behind it */
		uint32_t : 17;
	};
};

/* How many shadow pages, at most, hold a count on one gfn. The rest of the
 * counter's range is left to others. */
#define SHADOW_ROLE_BITS 14
#define SHADOW_COUNT_MAX (1u << SHADOW_ROLE_BITS)

_Static_assert(sizeof(union shadow_page_role) == sizeof(uint32_t), "the role is one word");
_Static_assert(3 + 1 + 2 + 3 + 5 == SHADOW_ROLE_BITS, "bits of the role that multiply shadow pages");
_Static_assert(SHADOW_COUNT_MAX + 49151 == PAGE_TRACK_COUNT_MAX, "the counter must hold all roles and others");

enum shadow_state { SHADOW_FREE, SHADOW_ACTIVE, SHADOW_ZAPPED };

struct shadow_page {
	gfn_t gfn;
	union shadow_page_role role;
	enum shadow_state state;
	uint32_t pins;                    /* vCPUs' roots that this page is */
	uint32_t writes;                  /* to the guest table since it was last used as one */
	struct rmap_head parents;         /* sptes that point here */
	uint64_t used[SPTES_PER_PAGE / 64]; /* entries that are not "not shadowed" */
	LIST_ENTRY(shadow_page) hash;
	TAILQ_ENTRY(shadow_page) list;    /* of its state; active: least recently used first */
};

TAILQ_HEAD(shadow_list, shadow_page);
LIST_HEAD(shadow_bucket, shadow_page);

struct shadow_pool {
	uint32_t total, free_count, active_count, zapped_count;
	struct shadow_list free, active, zapped;
	struct shadow_page *pages;   /* [total] */
	uint64_t *tables;            /* [total][SPTES_PER_PAGE], in the order of pages */
	struct spte_link *links;     /* as tables */
	hpa_t tables_hpa;
	struct shadow_bucket *hash;
	unsigned int hash_bits;
	uint64_t hash_key;
	bool flush_owed;             /* some TLB may hold a right that is gone */
};

/* The tables of a vCPU: one root, or four of level 2 under a PAE PDPT. */
struct shadow_root {
	struct shadow_page *sp[4];
	bool complete; /* false: some table was not in RAM when last looked for */
	uint64_t *page; /* the PDPT, below 4 GiB; for want of a root an empty table */
};

/* Most pages that one operation may take: the roots of a vCPU and one path. */
#define SHADOW_PAGES_PER_OP 8

must_check int shadow_pool_init(struct shadow_pool *pool, uint32_t pages, uint64_t hash_key);
void shadow_pool_destroy(struct shadow_pool *pool);

/* Makes sure that shadow_get() can be called @n times, by zapping what was
 * least recently used, with a counter chunk for each table. To be called before an operation looks at anything.
 * -ENOMEM: too many pages are pinned, or the machine has no memory left. */
must_check int shadow_reserve(struct mmu *mmu, uint32_t n);

/*
 * The shadow page of @gfn in @role, from the hash or new and empty. A new one
 * that is not direct write-protects its gfn, and the flush is done on return:
 * the guest table can be read and stays as read. NULL: no RAM at @gfn (or its
 * counter is full, which the tracking's own limit for others prevents).
 */
struct shadow_page *shadow_get(struct mmu *mmu, gfn_t gfn, union shadow_page_role role);

/* Takes @sp, which no vCPU stands on, out of everything. Its children stay. */
void shadow_zap(struct mmu *mmu, struct shadow_page *sp);

/* Does the flush that is owed, and frees what was zapped before it. */
void shadow_commit(struct mmu *mmu);

/* @sp was just used as a table: it is neither old nor flooded. */
void shadow_touch(struct shadow_pool *pool, struct shadow_page *sp);

/* Shadow pages that hold a WRITE count on @gfn. */
unsigned int shadow_count(const struct shadow_pool *pool, gfn_t gfn);

/* Zaps the direct level-1 pages of the 2 MiB range of @gfn, so that the next
 * access may map it large again. */
void shadow_zap_split(struct mmu *mmu, gfn_t gfn);

/* The bucket that holds every shadow page of @gfn, among others. */
struct shadow_bucket *shadow_bucket_of(const struct shadow_pool *pool, gfn_t gfn);

static inline size_t shadow_index(const struct shadow_pool *pool, const struct shadow_page *sp)
{
	return (size_t)(sp - pool->pages);
}

static inline uint64_t *shadow_table(const struct shadow_pool *pool, const struct shadow_page *sp)
{
	return pool->tables + shadow_index(pool, sp) * SPTES_PER_PAGE;
}

static inline hpa_t shadow_table_hpa(const struct shadow_pool *pool, const struct shadow_page *sp)
{
	return hpa_add(pool->tables_hpa, shadow_index(pool, sp) * PAGE_SIZE);
}

/* The shadow page that *@sptep is an entry of. */
static inline struct shadow_page *shadow_of_sptep(const struct shadow_pool *pool, const uint64_t *sptep)
{
	return &pool->pages[(size_t)(sptep - pool->tables) / SPTES_PER_PAGE];
}

/* The shadow page that a present @spte, not a leaf, points to. */
static inline struct shadow_page *shadow_of_link(const struct shadow_pool *pool, uint64_t spte)
{
	return &pool->pages[((spte & SPTE_FRAME_MASK) - pool->tables_hpa.v) >> PAGE_SHIFT];
}

/* Frame @index of a direct page, or of the direct page that a link at @index
 * asks for. */
static inline gfn_t shadow_direct_gfn(const struct shadow_page *sp, unsigned int index)
{
	return gfn_add(sp->gfn, index * LEVEL_PAGES(sp->role.level));
}

#endif
