/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Roots: which shadow pages a vCPU stands on for the paging state it is in.
 *
 *   guest                  hardware                 root shadow pages
 *   long mode              4-level                  1 of level 4, table at CR3
 *   PAE                    PDPT page of the vCPU    4 of level 2, from the PDPTEs
 *   two-level              PDPT page of the vCPU    4 of level 2, the quadrants of CR3
 *   paging off             PDPT page of the vCPU    4 of level 2, direct, 1 GiB each
 *
 * Invariant: the roots in use are pinned, so neither reclaim nor the guest's
 * writes can take them away; only their memory slot can, and then the vCPU
 * stands on an empty table until a new root is found.
 * Lock: mmu.lock.
 */
#include <string.h>
#include "lib/errno.h"
#include "mm/mmu_internal.h"
#include "mm/port.h"

#define CR3_LONG_MASK SPTE_FRAME_MASK
#define CR3_TWO_LEVEL_MASK 0xfffff000ull
#define GPTE_PRESENT 1ull
#define CR4_PKE (1ull << 22)

uint64_t mmu_hw_cr0(const struct mmu_vcpu *v)
{
	return v->paging.cr0 | X86_CR0_PG | X86_CR0_WP | X86_CR0_PE;
}

uint64_t mmu_hw_cr4(const struct mmu_vcpu *v)
{
	uint64_t cr4 = v->paging.cr4 | X86_CR4_PAE;

	cr4 &= ~(X86_CR4_PCIDE | X86_CR4_LA57 | CR4_PKE);
	if (!paging_enabled(&v->paging))
		cr4 &= ~(X86_CR4_SMEP | X86_CR4_SMAP);
	return cr4;
}

uint64_t mmu_hw_efer(const struct mmu_vcpu *v)
{
	uint64_t efer = v->paging.efer & ~(EFER_LME | EFER_LMA);

	return efer | EFER_NXE | (v->hw_long ? EFER_LME | EFER_LMA : 0);
}

static bool is_long(const struct guest_paging *p)
{
	return paging_enabled(p) && paging_long(p);
}

static bool is_two_level(const struct guest_paging *p)
{
	return paging_enabled(p) && !paging_long(p) && !paging_pae(p);
}

static union shadow_page_role root_role(const struct guest_paging *p)
{
	union shadow_page_role role = { .word = 0 };
	bool wp = p->cr0 & X86_CR0_WP, eight_bytes = !is_two_level(p);

	role.level = is_long(p) ? 4 : 2;
	role.access = ACCESS_ALL;
	if (!paging_enabled(p)) {
		role.direct = true;
		return role;
	}
	role.cr4_pae = eight_bytes;
	role.nxe = eight_bytes ? (p->efer & EFER_NXE) != 0 : (p->cr4 & X86_CR4_PSE) != 0;
	role.cr0_wp = wp;
	role.smep_andnot_wp = (p->cr4 & X86_CR4_SMEP) && !wp;
	role.smap_andnot_wp = (p->cr4 & X86_CR4_SMAP) && !wp;
	return role;
}

/* The guest table, or with paging off the first frame, under root @i. False:
 * the guest has none there. */
static bool root_gfn(const struct guest_paging *p, unsigned int i, gfn_t *out)
{
	if (!paging_enabled(p))
		*out = gfn(i * LEVEL_PAGES(PG_LEVEL_1G));
	else if (is_long(p))
		*out = gfn((p->cr3 & CR3_LONG_MASK) >> PAGE_SHIFT);
	else if (is_two_level(p))
		*out = gfn((p->cr3 & CR3_TWO_LEVEL_MASK) >> PAGE_SHIFT);
	else
		*out = gfn((p->pdpte[i] & SPTE_FRAME_MASK) >> PAGE_SHIFT);
	return !paging_enabled(p) || is_long(p) || is_two_level(p) || (p->pdpte[i] & GPTE_PRESENT);
}

/* Put the roots where the hardware finds them. Non-present PDPTEs name no
 * RAM either. */
static void publish(struct mmu_vcpu *v)
{
	const struct shadow_pool *pool = &v->mmu->pool;
	struct shadow_root *root = &v->root;

	v->hw_long = is_long(&v->paging);
	v->hw_cr3 = port_va_to_hpa(root->page);
	for (unsigned int i = 0; i < 4; i++) {
		uint64_t pdpte = spte_not_shadowed();

		if (!v->hw_long && root->sp[i])
			pdpte = shadow_table_hpa(pool, root->sp[i]).v | SPTE_PRESENT;
		__atomic_store_n(&root->page[i], pdpte, __ATOMIC_RELEASE);
	}
	if (v->hw_long && root->sp[0])
		v->hw_cr3 = shadow_table_hpa(pool, root->sp[0]);
}

static void unpin(struct mmu *mmu, struct shadow_page *const sp[4])
{
	for (unsigned int i = 0; i < 4; i++)
		if (sp[i]) {
			sp[i]->pins--;
			shadow_touch(&mmu->pool, sp[i]);
		}
}

/* @old: what the hardware has stood on so far. */
static void adopt(struct mmu_vcpu *v, struct shadow_page *const sp[4])
{
	struct shadow_page *old[4];

	memcpy(old, v->root.sp, sizeof(old));
	memcpy(v->root.sp, sp, sizeof(old));
	publish(v);
	unpin(v->mmu, old);
	if (memcmp(old, sp, sizeof(old)))
		v->mmu->pool.flush_owed = true;
}

void mmu_root_load(struct mmu_vcpu *v)
{
	const struct guest_paging *p = &v->paging;
	union shadow_page_role role = root_role(p);
	struct shadow_page *sp[4] = { NULL };
	bool complete = true;
	gfn_t g;

	for (unsigned int i = 0; i < (is_long(p) ? 1u : 4u); i++) {
		if (!root_gfn(p, i, &g))
			continue;
		role.quadrant = is_two_level(p) ? i : 0;
		sp[i] = shadow_get(v->mmu, g, role);
		if (sp[i])
			sp[i]->pins++;
		else
			complete = false;
	}
	v->root.complete = complete;
	adopt(v, sp);
}

void mmu_root_drop(struct mmu_vcpu *v)
{
	struct shadow_page *none[4] = { NULL };

	v->root.complete = false;
	adopt(v, none);
}

int mmu_set_paging(struct mmu_vcpu *v, const struct guest_paging *p)
{
	struct mmu *mmu = v->mmu;
	int err;

	spin_lock(&mmu->lock);
	err = shadow_reserve(mmu, SHADOW_PAGES_PER_OP);
	if (!err) {
		if (p->cr0 != v->paging.cr0 || p->cr4 != v->paging.cr4 || p->efer != v->paging.efer)
			mmu->pool.flush_owed = true;
		if ((p->cr3 ^ v->paging.cr3) & SPTE_FRAME_MASK)
			mmu_lent_take_back(mmu);
		v->paging = *p;
		mmu_root_load(v);
	}
	mmu_unlock(mmu);
	return err;
}
