/* SPDX-License-Identifier: GPL-2.0-only */
/* What the mm/mmu*.c files share among themselves. Everything here is called
 * with mmu.lock held unless it says otherwise. */
#ifndef MM_MMU_INTERNAL_H
#define MM_MMU_INTERNAL_H

#include "mm/mmu.h"

/* Ends a locked section: what is owed to the TLBs is done first. */
void mmu_unlock(struct mmu *mmu);

/* The rights (ACCESS_*) that tracking leaves of a page. */
uint32_t mmu_tracked_rights(const struct memslot *slot, gfn_t gfn);
/* The rights that a mode of tracking takes from a page. */
uint32_t mmu_mode_takes(enum page_track_mode mode);

/* Makes v->root and hw_cr3 fit v->paging. SHADOW_PAGES_PER_OP pages have been
 * reserved. */
void mmu_root_load(struct mmu_vcpu *v);
/* Takes v off its root: an empty one until mmu_root_load(). */
void mmu_root_drop(struct mmu_vcpu *v);

/* The rights (ACCESS_*) that the access of @f needs. */
uint32_t mmu_needed_rights(const struct page_fault *f);

/* What may be lent of a page, as things stand when mmu_lendable() looks. */
struct mmu_loan {
	uint32_t rights;    /* ACCESS_* that no tracker of this address space objects to; 0: none */
	uint64_t additions; /* of the tracking then */
};

/* Installs the path of f->walk down to its leaf. @open: rights (ACCESS_*) to the page that
 * a native step has, whatever tracking says; 0: no step. @loan: NULL in a step. */
enum fault_result mmu_map(struct mmu_vcpu *v, const struct page_fault *f, uint32_t open,
			  const struct mmu_loan *loan);

/* The one that needs page_track.lock, and is called without mmu.lock. */
struct mmu_loan mmu_lendable(struct mmu_vcpu *v, gfn_t gfn);
/* The rights of @loan, if it still stands: the page is on the list. 0: nothing is lent. */
uint32_t mmu_lend(struct mmu *mmu, gfn_t gfn, const struct mmu_loan *loan);
bool mmu_is_lent(const struct mmu *mmu, gfn_t gfn);
/* CR3 changes, or a vCPU comes: nothing is lent any more. */
void mmu_lent_take_back(struct mmu *mmu);

/* Memory was written; takes mmu.lock. */
void mmu_table_written(void *mmu, const struct page_track_event *e);

/* Forgets opened pages in [base, base + npages). */
void mmu_step_forget(struct mmu *mmu, gfn_t base, uint64_t npages);

/* The entry of @size bytes (4 or 8) at offset @offset of the guest table at
 * @gfn, which is in @slot. */
uint64_t mmu_read_gpte(const struct memslot *slot, gfn_t gfn, unsigned int offset, unsigned int size);

static inline unsigned int mmu_gpte_size(union shadow_page_role role)
{
	return role.cr4_pae ? 8 : 4;
}

#endif
