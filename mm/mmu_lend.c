/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pages that trackers hold for one address space only. Under another CR3 the
 * page is lent: mapped with the rights that nobody else objects to, marked
 * SPTE_LENT, and taken back when CR3 changes. So the one address space traps, and
 * the others pay one fault for the page each time that they are switched to.
 *
 * Shadow tables may be shared between address spaces, so what is lent is lent to
 * the whole VM. That is right only as long as it has one vCPU; with more there
 * is no lending, and the accesses of others are filtered after they have trapped.
 *
 * Invariant: a lent spte maps a page of mmu.lent[].
 * Lock: mmu.lock, but for mmu_lendable().
 */
#include "mm/mmu_internal.h"

struct mmu_loan mmu_lendable(struct mmu_vcpu *v, gfn_t gfn)
{
	struct page_track *pt = &v->mmu->mem.track;
	struct mmu_loan loan = { .additions = __atomic_load_n(&pt->additions, __ATOMIC_SEQ_CST) };
	uint32_t rights = ACCESS_ALL | ACCESS_READ;

	if (!pt->narrow || !paging_enabled(&v->paging))
		return loan;
	for (unsigned int mode = 0; mode < PAGE_TRACK_MODES; mode++)
		if (page_track_count_under(pt, gfn, mode, v->paging.cr3))
			rights &= ~mmu_mode_takes(mode);
	loan.rights = rights;
	return loan;
}

bool mmu_is_lent(const struct mmu *mmu, gfn_t gfn)
{
	for (unsigned int i = 0; i < mmu->lent_count; i++)
		if (mmu->lent[i].v == gfn.v)
			return true;
	return false;
}

/* The only vCPU of the VM; NULL: there are more. */
static const struct mmu_vcpu *only_vcpu(const struct mmu *mmu)
{
	const struct mmu_vcpu *first = TAILQ_FIRST(&mmu->vcpus);

	return first && !TAILQ_NEXT(first, link) ? first : NULL;
}

/* A page that is open for a step gets more rights from the step: were it lent, what is open
 * would be taken away, and the instruction would fault for the one and the other by turns. */
static bool is_open(const struct mmu_vcpu *v, gfn_t gfn)
{
	for (unsigned int i = 0; i < v->step.count; i++)
		if (v->step.page[i].gfn.v == gfn.v)
			return true;
	return false;
}

uint32_t mmu_lend(struct mmu *mmu, gfn_t gfn, const struct mmu_loan *loan)
{
	const struct mmu_vcpu *v = only_vcpu(mmu);

	if (!loan->rights || !v || is_open(v, gfn) ||
	    loan->additions != __atomic_load_n(&mmu->mem.track.additions, __ATOMIC_SEQ_CST))
		return 0;
	if (!mmu_is_lent(mmu, gfn)) {
		if (mmu->lent_count == MMU_LENT_MAX)
			return 0;
		mmu->lent[mmu->lent_count++] = gfn;
	}
	return loan->rights;
}

void mmu_lent_take_back(struct mmu *mmu)
{
	while (mmu->lent_count) {
		gfn_t gfn = mmu->lent[--mmu->lent_count];
		struct memslot *slot = memslot_find(&mmu->mem.slots, gfn);

		if (slot)
			rmap_drop_marked(mmu, slot, gfn, SPTE_LENT);
	}
}
