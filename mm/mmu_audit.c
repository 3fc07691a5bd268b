/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * mmu_audit(): the invariants of docs/shadow-mmu.md, checked over everything.
 * This half does what goes across tables: pool, lists, counters and roots.
 * Lock: taken here.
 */
#include "mm/mmu_audit.h"
#include "lib/log.h"
#include "mm/mmu_internal.h"
#include "mm/port.h"

#define LOGGED_MAX 20

void audit_check(struct audit *a, bool ok, const char *what, uint64_t where, uint64_t value)
{
	if (ok)
		return;
	if (a->violations++ < LOGGED_MAX)
		log_error("mmu audit: %s (at 0x%lx: 0x%lx)\n", what, (unsigned long)where, (unsigned long)value);
}

/* ---- I7, I6: the pool ------------------------------------------------------- */

static uint32_t list_length(struct audit *a, const struct shadow_list *list, enum shadow_state state)
{
	const struct shadow_page *sp;
	uint32_t n = 0;

	TAILQ_FOREACH(sp, list, list) {
		audit_check(a, sp->state == state, "I6: on the list of another state", shadow_index(&a->mmu->pool, sp),
			    sp->state);
		if (++n > a->mmu->pool.total)
			break;
	}
	return n;
}

static void check_not_active(struct audit *a, const struct shadow_page *sp)
{
	const uint64_t *table = shadow_table(&a->mmu->pool, sp);
	uint64_t differs = 0, used = 0;

	audit_check(a, sp->pins == 0 && rmap_empty(&sp->parents), "I6: a free page is in use", sp->gfn.v, sp->pins);
	for (unsigned int i = 0; i < SPTES_PER_PAGE; i++)
		differs |= table[i] ^ spte_not_shadowed();
	for (unsigned int i = 0; i < ARRAY_SIZE(sp->used); i++)
		used |= sp->used[i];
	audit_check(a, !differs, "I8: a free page has an entry", shadow_index(&a->mmu->pool, sp), differs);
	audit_check(a, !used, "a free page has used entries", shadow_index(&a->mmu->pool, sp), used);
}

static uint32_t pins_wanted(const struct mmu *mmu, const struct shadow_page *sp)
{
	const struct mmu_vcpu *v;
	uint32_t n = 0;

	TAILQ_FOREACH(v, &mmu->vcpus, link)
		for (unsigned int i = 0; i < 4; i++)
			n += v->root.sp[i] == sp;
	return n;
}

static void check_active(struct audit *a, const struct shadow_page *sp)
{
	const struct shadow_page *i;
	unsigned int found = 0;

	LIST_FOREACH(i, shadow_bucket_of(&a->mmu->pool, sp->gfn), hash)
		found += i->gfn.v == sp->gfn.v && i->role.word == sp->role.word;
	audit_check(a, found == 1, "I6: not exactly once in the hash", sp->gfn.v, sp->role.word);
	audit_check(a, sp->pins == pins_wanted(a->mmu, sp), "pins are not the roots in use", sp->gfn.v, sp->pins);
	audit_table(a, sp);
}

static void check_pool(struct audit *a)
{
	struct shadow_pool *pool = &a->mmu->pool;
	const struct shadow_page *sp;

	audit_check(a, list_length(a, &pool->free, SHADOW_FREE) == pool->free_count &&
		    list_length(a, &pool->active, SHADOW_ACTIVE) == pool->active_count &&
		    list_length(a, &pool->zapped, SHADOW_ZAPPED) == pool->zapped_count &&
		    pool->free_count + pool->active_count + pool->zapped_count == pool->total,
		    "I7: free + active + zapped is not the total", pool->free_count, pool->active_count);
	audit_check(a, pool->zapped_count == 0 && !pool->flush_owed, "I9: a flush is owed outside an operation",
		    pool->zapped_count, pool->flush_owed);
	TAILQ_FOREACH(sp, &pool->free, list)
		check_not_active(a, sp);
	TAILQ_FOREACH(sp, &pool->active, list)
		check_active(a, sp);
}

/* ---- I1: lists against tables ------------------------------------------------- */

/* Walks a list of sptes, of which each must be present and link @target, or
 * be a leaf of @level that maps a frame of @slot at @index. */
static uint64_t check_list(struct audit *a, const struct rmap_head *head, const struct shadow_page *target,
			   const struct memslot *slot, int level, uint64_t index)
{
	const struct shadow_pool *pool = &a->mmu->pool;
	const uint64_t *sptep, *before = NULL;
	uint64_t n = 0;

	for (sptep = rmap_first(pool, head); sptep; before = sptep, sptep = rmap_next(pool, sptep)) {
		const struct shadow_page *sp = shadow_of_sptep(pool, sptep);
		uint32_t prev = pool->links[sptep - pool->tables].prev;
		bool right = sp->state == SHADOW_ACTIVE && spte_present(*sptep);

		audit_check(a, prev == (before ? (uint32_t)(before - pool->tables) + 1 : 0), "I1: broken list",
			    index, prev);
		if (target)
			right = right && !spte_is_leaf(*sptep) && shadow_of_link(pool, *sptep) == target;
		else
			right = right && spte_is_leaf(*sptep) && sp->role.level == level &&
				(spte_pfn(*sptep).v >= slot->base_pfn.v) &&
				memslot_index(slot, gfn_add(slot->base_gfn, spte_pfn(*sptep).v - slot->base_pfn.v),
					      level) == index;
		audit_check(a, right, "I1: a list has an spte of another", index, *sptep);
		if (++n > (uint64_t)pool->total * SPTES_PER_PAGE)
			break;
	}
	return n;
}

static void check_lists(struct audit *a)
{
	const struct memslots *s = &a->mmu->mem.slots;
	const struct shadow_page *sp;
	uint64_t leaves = 0, links = 0;

	TAILQ_FOREACH(sp, &a->mmu->pool.active, list)
		links += check_list(a, &sp->parents, sp, NULL, 0, sp->gfn.v);
	for (unsigned int n = 0; n < s->count; n++) {
		const struct memslot *slot = s->slot[n];
		gfn_t last = gfn_add(slot->base_gfn, slot->npages - 1);

		for (int level = 1; level <= MAPPING_LEVEL_MAX; level++)
			for (uint64_t i = 0; i <= memslot_index(slot, last, level); i++)
				leaves += check_list(a, &slot->rmap[level - 1][i], NULL, slot, level, i);
	}
	/* Each list holds present sptes of its own only, so equal numbers mean
	 * that each present spte is on exactly one. */
	audit_check(a, links == a->links, "I1: links and lists of parents differ", links, a->links);
	audit_check(a, leaves == a->leaves, "I1: leaves and reverse maps differ", leaves, a->leaves);
}

/* ---- I4: counters ------------------------------------------------------------- */

static bool large_is_impossible(const struct memslot *slot, uint64_t start)
{
	uint64_t n = LEVEL_PAGES(PG_LEVEL_2M);

	return start < slot->base_gfn.v || start + n > slot->base_gfn.v + slot->npages ||
	       ((slot->base_gfn.v ^ slot->base_pfn.v) & (n - 1)) != 0;
}

/* The counts of one page: the shadow MMU's and the trackers'. */
static void check_counts(struct audit *a, const struct memslot *slot, gfn_t gfn)
{
	unsigned int own = shadow_count(&a->mmu->pool, gfn);

	for (unsigned int mode = 0; mode < PAGE_TRACK_MODES; mode++) {
		uint64_t held = page_track_held(&a->mmu->mem.track, gfn, mode) + (mode == PAGE_TRACK_WRITE ? own : 0);

		audit_check(a, page_track_count(&slot->track, gfn, mode) == held,
			    "I4: a counter is not what is held", gfn.v, held);
	}
}

static void check_slot(struct audit *a, const struct memslot *slot)
{
	uint64_t n = LEVEL_PAGES(PG_LEVEL_2M), end = slot->base_gfn.v + slot->npages;

	for (uint64_t start = slot->base_gfn.v & ~(n - 1); start < end; start += n) {
		uint64_t first = start < slot->base_gfn.v ? slot->base_gfn.v : start;
		bool active = false;

		for (uint64_t i = start; i < start + n; i++) {
			if (!memslot_contains(slot, gfn(i)))
				continue;
			check_counts(a, slot, gfn(i));
			for (unsigned int mode = 0; mode < PAGE_TRACK_MODES; mode++)
				active |= page_track_is_active(&slot->track, gfn(i), mode);
		}
		audit_check(a, active == page_track_range_is_active(&slot->track, gfn(first)),
			    "I4: a range is not as active as its pages", start, active);
		audit_check(a, slot->no_large[(start >> 9) - (slot->base_gfn.v >> 9)] == large_is_impossible(slot, start),
			    "no_large is wrong", start, 0);
	}
}

/* Asks page tracking, whose lock is outside mmu.lock. */
static void check_counters(struct audit *a)
{
	const struct memslots *s = &a->mmu->mem.slots;

	for (unsigned int n = 0; n < s->count; n++)
		check_slot(a, s->slot[n]);
}

/* ---- roots -------------------------------------------------------------------- */

static void check_root(struct audit *a, const struct mmu_vcpu *v)
{
	const struct shadow_pool *pool = &a->mmu->pool;
	hpa_t page = port_va_to_hpa(v->root.page);

	for (unsigned int i = 0; i < 4; i++) {
		const struct shadow_page *sp = v->root.sp[i];
		uint64_t pdpte = sp && !v->hw_long ? shadow_table_hpa(pool, sp).v | SPTE_PRESENT : spte_not_shadowed();

		audit_check(a, v->root.page[i] == pdpte, "I6: a PDPTE is not the root", i, v->root.page[i]);
		if (sp)
			audit_check(a, sp->state == SHADOW_ACTIVE && sp->role.level == (v->hw_long ? 4 : 2),
				    "I6: a root is not active", i, sp->role.word);
	}
	if (v->hw_long && v->root.sp[0])
		page = shadow_table_hpa(pool, v->root.sp[0]);
	audit_check(a, v->hw_cr3.v == page.v, "I6: CR3 is not the root", v->hw_cr3.v, page.v);
}

unsigned int mmu_audit(struct mmu *mmu)
{
	struct audit a = { .mmu = mmu };
	const struct mmu_vcpu *v;

	spin_lock(&mmu->lock);
	check_pool(&a);
	check_lists(&a);
	TAILQ_FOREACH(v, &mmu->vcpus, link)
		check_root(&a, v);
	spin_unlock(&mmu->lock);
	check_counters(&a);
	return a.violations;
}
