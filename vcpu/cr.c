/* SPDX-License-Identifier: GPL-2.0-only */
/* Control register rules: see the header. */
#include "vcpu/cr.h"
#include "lib/errno.h"
#include "vcpu/vcpu.h"

#define CR0_DEFINED                                                                                          \
	(X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_ET | X86_CR0_NE | X86_CR0_WP |           \
	 X86_CR0_AM | X86_CR0_NW | X86_CR0_CD | X86_CR0_PG)
/* A change of one of these reloads the PDPTEs of PAE paging. */
#define CR0_PDPTE_BITS (X86_CR0_CD | X86_CR0_NW | X86_CR0_PG)
#define CR4_PDPTE_BITS (X86_CR4_PAE | X86_CR4_PGE | X86_CR4_PSE | X86_CR4_SMEP)

static bool uses_pdptes(const struct guest_paging *p)
{
	return paging_enabled(p) && paging_pae(p) && !paging_long(p);
}

/* Adopts @p: everything has been checked but what is in memory. */
static int commit(struct vcpu *v, struct guest_paging *p, bool load_pdptes)
{
	if (load_pdptes && uses_pdptes(p) && guest_load_pdptes(&v->mmu.mmu->mem, p, p->pdpte))
		return -EINVAL;
	if (mmu_set_paging(&v->mmu, p)) {
		vcpu_stop(v, VCPU_STOP_NO_MEMORY, 0, "no shadow page left for a root");
		return -ENOMEM;
	}
	v->backend->paging_changed(v);
	return 0;
}

/* PG goes from 0 to 1, or back. */
static int switch_paging(struct vcpu *v, struct guest_paging *p)
{
	bool in_64bit = vcpu_in_64bit_mode(v);
	struct segment cs;

	if (!paging_enabled(p)) {
		if (in_64bit)
			return -EINVAL;
		p->efer &= ~EFER_LMA;
		return 0;
	}
	if (!(p->efer & EFER_LME))
		return 0;
	v->backend->get_segment(v, SEG_CS, &cs);
	if (!paging_pae(p) || cs.access & SEGMENT_L)
		return -EINVAL;
	p->efer |= EFER_LMA;
	return 0;
}

int cr_write_cr0(struct vcpu *v, uint64_t val)
{
	struct guest_paging p = v->mmu.paging;
	uint64_t changed;
	int err;

	if (val >> 32)
		return -EINVAL;
	val = (val & CR0_DEFINED) | X86_CR0_ET;
	if ((val & X86_CR0_PG && !(val & X86_CR0_PE)) || (val & X86_CR0_NW && !(val & X86_CR0_CD)))
		return -EINVAL;
	changed = val ^ p.cr0;
	p.cr0 = val;
	if (changed & X86_CR0_PG && switch_paging(v, &p))
		return -EINVAL;
	err = commit(v, &p, changed & CR0_PDPTE_BITS);
	if (!err && changed & X86_CR0_PE)
		vcpu_choose_engine(v);
	return err;
}

int cr_write_cr3(struct vcpu *v, uint64_t val)
{
	struct guest_paging p = v->mmu.paging;

	if (paging_long(&p) && val >> p.maxphyaddr)
		return -EINVAL;
	p.cr3 = val;
	return commit(v, &p, true);
}

int cr_write_cr4(struct vcpu *v, uint64_t val)
{
	struct guest_paging p = v->mmu.paging;
	uint64_t changed = val ^ p.cr4;

	if (val & ~v->cpuid.cr4_allowed)
		return -EINVAL;
	if (paging_long(&p) && !(val & X86_CR4_PAE))
		return -EINVAL;
	p.cr4 = val;
	return commit(v, &p, changed & CR4_PDPTE_BITS);
}

int cr_write_efer(struct vcpu *v, uint64_t val)
{
	struct guest_paging p = v->mmu.paging;

	if (val & ~v->cpuid.efer_allowed)
		return -EINVAL;
	if (paging_enabled(&p) && (val ^ p.efer) & EFER_LME)
		return -EINVAL;
	/* LMA is the CPU's: what is written to it is ignored. */
	p.efer = (val & ~EFER_LMA) | (p.efer & EFER_LMA);
	return commit(v, &p, false);
}

int cr_write_xcr0(struct vcpu *v, uint32_t index, uint64_t val)
{
	if (index != 0 || val & ~v->cpuid.xcr0_allowed || !(val & XFEATURE_X87))
		return -EINVAL;
	if (val & XFEATURE_AVX && !(val & XFEATURE_SSE))
		return -EINVAL;
	if (val & XFEATURE_AVX512 &&
	    ((val & XFEATURE_AVX512) != XFEATURE_AVX512 || !(val & XFEATURE_AVX)))
		return -EINVAL;
	v->xcr0 = val;
	v->backend->xcr0_changed(v);
	return 0;
}

int cr_lmsw(struct vcpu *v, uint16_t msw)
{
	const uint64_t writable = X86_CR0_MP | X86_CR0_EM | X86_CR0_TS;
	uint64_t cr0 = v->mmu.paging.cr0;

	return cr_write_cr0(v, (cr0 & ~writable) | (msw & (writable | X86_CR0_PE)));
}
