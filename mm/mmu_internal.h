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

/* Installs the path of f->walk down to its leaf. @open: for a native step,
 * whatever tracking says. */
enum fault_result mmu_map(struct mmu_vcpu *v, const struct page_fault *f, bool open);

/* The tracker callback of the MMU itself; takes mmu.lock. */
void mmu_table_written(struct page_tracker *t, const struct page_track_write *w);

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
