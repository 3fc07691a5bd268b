/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The only writer of shadow page-table entries. Contract and drawing in the
 * header.
 */
#include "mm/spte.h"
#include "mm/mmu.h"

uint64_t spte_without(uint64_t spte, uint32_t taken)
{
	if (taken & ACCESS_READ)
		return spte_not_shadowed();
	if (taken & ACCESS_WRITE)
		spte &= ~(SPTE_WRITE | SPTE_DIRTY);
	if (taken & ACCESS_EXEC)
		spte |= SPTE_NX;
	return spte;
}

/* Both are present and stand on the same list. */
static bool same_target(uint64_t a, uint64_t b)
{
	const uint64_t target = SPTE_FRAME_MASK | SPTE_LEAF | SPTE_LARGE;

	return spte_present(a) && spte_present(b) && ((a ^ b) & target) == 0;
}

/*
 * May a TLB that still holds @old let through what @new does not? Only more
 * rights to write or to fetch are safe to add in silence: with SMEP and SMAP
 * both values of U give what the other does not.
 */
static bool needs_flush(uint64_t old, uint64_t new)
{
	uint64_t lost;

	if (!spte_present(old))
		return false;
	if (!same_target(old, new))
		return true;
	lost = (old & ~new & SPTE_WRITE) | (~old & new & SPTE_NX) | ((old ^ new) & SPTE_USER);
	return lost != 0;
}

/* Keeps account of the entries that a zap has to look at. */
static void mark_used(struct shadow_pool *pool, const uint64_t *sptep, uint64_t spte)
{
	struct shadow_page *sp = shadow_of_sptep(pool, sptep);
	unsigned int i = (size_t)(sptep - pool->tables) % SPTES_PER_PAGE;

	if (spte == spte_not_shadowed())
		sp->used[i / 64] &= ~(1ull << (i % 64));
	else
		sp->used[i / 64] |= 1ull << (i % 64);
}

void spte_set(struct mmu *mmu, uint64_t *sptep, uint64_t spte)
{
	uint64_t old = *sptep;
	bool relink = !same_target(old, spte);

	if (old == spte)
		return;
	if (needs_flush(old, spte))
		mmu->pool.flush_owed = true;
	if (relink && spte_present(old))
		rmap_remove(mmu, sptep, old);
	__atomic_store_n(sptep, spte, __ATOMIC_RELEASE);
	if (relink && spte_present(spte))
		rmap_add(mmu, sptep, spte);
	mark_used(&mmu->pool, sptep, spte);
}
