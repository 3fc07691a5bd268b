/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reverse maps: doubly linked lists of sptes, threaded through an array that
 * runs parallel to the tables. See the header.
 */
#include "mm/rmap.h"
#include "lib/assert.h"
#include "mm/mmu.h"

/* ---- lists of sptes ----------------------------------------------------- */

static uint64_t *sptep_of_number(const struct shadow_pool *pool, uint32_t number)
{
	return number ? pool->tables + (number - 1) : NULL;
}

static uint32_t number_of_sptep(const struct shadow_pool *pool, const uint64_t *sptep)
{
	return (uint32_t)(sptep - pool->tables) + 1;
}

uint64_t *rmap_first(const struct shadow_pool *pool, const struct rmap_head *head)
{
	return sptep_of_number(pool, (uint32_t)head->val);
}

uint64_t *rmap_next(const struct shadow_pool *pool, const uint64_t *sptep)
{
	return sptep_of_number(pool, pool->links[number_of_sptep(pool, sptep) - 1].next);
}

static void list_add(struct shadow_pool *pool, struct rmap_head *head, const uint64_t *sptep)
{
	uint32_t number = number_of_sptep(pool, sptep);
	uint32_t first = (uint32_t)head->val;

	pool->links[number - 1] = (struct spte_link){ .next = first, .prev = 0 };
	if (first)
		pool->links[first - 1].prev = number;
	head->val = number;
}

static void list_remove(struct shadow_pool *pool, struct rmap_head *head, const uint64_t *sptep)
{
	struct spte_link *link = &pool->links[number_of_sptep(pool, sptep) - 1];

	if (link->prev)
		pool->links[link->prev - 1].next = link->next;
	else
		head->val = link->next;
	if (link->next)
		pool->links[link->next - 1].prev = link->prev;
	*link = (struct spte_link){ 0 };
}

/* ---- which list ---------------------------------------------------------- */

struct memslot *rmap_slot_of_pfn(struct mmu *mmu, pfn_t frame, gfn_t *out)
{
	struct memslot *slot = memslot_find_pfn(&mmu->mem.slots, frame);

	if (slot)
		*out = gfn_add(slot->base_gfn, frame.v - slot->base_pfn.v);
	return slot;
}

static struct rmap_head *head_of(struct mmu *mmu, const uint64_t *sptep, uint64_t spte)
{
	int level = shadow_of_sptep(&mmu->pool, sptep)->role.level;
	struct memslot *slot;
	gfn_t g;

	if (!spte_is_leaf(spte))
		return &shadow_of_link(&mmu->pool, spte)->parents;
	slot = rmap_slot_of_pfn(mmu, spte_pfn(spte), &g);
	ASSERT(slot); /* translations go before their slot */
	return &slot->rmap[level - 1][memslot_index(slot, g, level)];
}

void rmap_add(struct mmu *mmu, uint64_t *sptep, uint64_t spte)
{
	list_add(&mmu->pool, head_of(mmu, sptep, spte), sptep);
}

void rmap_remove(struct mmu *mmu, uint64_t *sptep, uint64_t spte)
{
	list_remove(&mmu->pool, head_of(mmu, sptep, spte), sptep);
}

/* ---- all translations of a frame ------------------------------------------ */

static void drop_all(struct mmu *mmu, struct rmap_head *head)
{
	while (!rmap_empty(head))
		spte_drop(mmu, rmap_first(&mmu->pool, head));
}

static struct rmap_head *head_at(struct memslot *slot, gfn_t gfn, int level)
{
	return &slot->rmap[level - 1][memslot_index(slot, gfn, level)];
}

void rmap_take_rights(struct mmu *mmu, struct memslot *slot, gfn_t gfn, uint32_t taken)
{
	uint64_t *sptep, *next;

	for (int level = PG_LEVEL_2M; level <= MAPPING_LEVEL_MAX; level++)
		drop_all(mmu, head_at(slot, gfn, level));
	for (sptep = rmap_first(&mmu->pool, head_at(slot, gfn, PG_LEVEL_4K)); sptep; sptep = next) {
		next = rmap_next(&mmu->pool, sptep);
		spte_set(mmu, sptep, spte_without(*sptep, taken));
	}
}

void rmap_drop_slot(struct mmu *mmu, struct memslot *slot)
{
	gfn_t last = gfn_add(slot->base_gfn, slot->npages - 1);

	for (int level = 1; level <= MAPPING_LEVEL_MAX; level++)
		for (uint64_t i = 0; i <= memslot_index(slot, last, level); i++)
			drop_all(mmu, &slot->rmap[level - 1][i]);
}

void rmap_drop_marked(struct mmu *mmu, struct memslot *slot, gfn_t gfn, uint64_t marks)
{
	uint64_t *sptep, *next;

	for (sptep = rmap_first(&mmu->pool, head_at(slot, gfn, PG_LEVEL_4K)); sptep; sptep = next) {
		next = rmap_next(&mmu->pool, sptep);
		if (*sptep & marks)
			spte_drop(mmu, sptep);
	}
}
