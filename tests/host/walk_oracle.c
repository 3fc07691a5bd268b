/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The oracle of guest page walks. Meant to be read beside the SDM, table by
 * table, and to be dull: no loops over levels, no shape tables, each reserved
 * field spelled out. Keep it free of anything from mm/.
 */
#include "tests/host/walk_oracle.h"
#include <string.h>

static uint64_t load64(const uint8_t *mem, uint64_t pa)
{
	uint64_t v;

	memcpy(&v, mem + pa, 8);
	return v;
}

static uint64_t load32(const uint8_t *mem, uint64_t pa)
{
	uint32_t v;

	memcpy(&v, mem + pa, 4);
	return v;
}

static bool bit(uint64_t v, int n)
{
	return (v >> n) & 1;
}

/* v[hi:lo], zero if hi < lo */
static uint64_t field(uint64_t v, int hi, int lo)
{
	if (hi < lo)
		return 0;
	return (v << (63 - hi)) >> (63 - hi + lo);
}

/* "Page-Fault Exceptions": the error code. */
static struct oracle_result page_fault(const struct oracle_cpu *c, struct oracle_access a, bool p, bool rsvd)
{
	struct oracle_result r;

	memset(&r, 0, sizeof(r));
	if (p)
		r.error_code += 1;
	if (a.write)
		r.error_code += 2;
	if (a.user)
		r.error_code += 4;
	if (rsvd)
		r.error_code += 8;
	if (a.fetch && (c->smep || (c->pae && c->nxe)))
		r.error_code += 16;
	return r;
}

/* "Determination of Access Rights", sentence by sentence. */
static bool permitted(const struct oracle_cpu *c, struct oracle_access a, bool w, bool u, bool x)
{
	bool user_mode_address = u;
	bool explicit_access = !a.implicit;

	if (!a.user && !a.write && !a.fetch) { /* data reads, supervisor mode */
		if (!user_mode_address)
			return true;
		if (!c->smap)
			return true;
		return explicit_access && a.ac;
	}
	if (!a.user && a.write) { /* data writes, supervisor mode */
		if (!user_mode_address)
			return c->wp ? w : true;
		if (!c->wp)
			return c->smap ? (a.ac && explicit_access) : true;
		if (!c->smap)
			return w;
		return a.ac && explicit_access && w;
	}
	if (!a.user && a.fetch) { /* instruction fetches, supervisor mode */
		if (!user_mode_address)
			return (!c->pae || !c->nxe) ? true : x;
		if (c->smep)
			return false;
		return (!c->pae || !c->nxe) ? true : x;
	}
	if (!user_mode_address) /* user mode: never a supervisor-mode address */
		return false;
	if (a.write)
		return w;
	if (a.fetch)
		return (!c->pae || !c->nxe) ? true : x;
	return true;
}

static struct oracle_result mapped(uint64_t pa, bool w, bool u, bool x)
{
	struct oracle_result r;

	memset(&r, 0, sizeof(r));
	r.ok = true;
	r.pa = pa;
	r.w = w;
	r.u = u;
	r.x = x;
	return r;
}

/* "Accessed and Dirty Flags": bits 5 and 6 of the low byte. */
static void mark(uint8_t *mem, uint64_t entry_pa, bool dirty)
{
	mem[entry_pa] |= 0x20;
	if (dirty)
		mem[entry_pa] |= 0x40;
}

/* "Format of a 4-Level Paging-Structure Entry" */
static struct oracle_result walk_4_level(const struct oracle_cpu *c, uint8_t *mem, uint64_t la,
					 struct oracle_access a)
{
	const int m = (int)c->maxphyaddr;
	uint64_t pml4e, pdpte, pde, pte, pml4e_pa, pdpte_pa, pde_pa, pte_pa, pa;
	bool w, u, x;

	pml4e_pa = (field(c->cr3, 51, 12) << 12) + field(la, 47, 39) * 8;
	pml4e = load64(mem, pml4e_pa);
	if (!bit(pml4e, 0))
		return page_fault(c, a, false, false);
	if (bit(pml4e, 7) || field(pml4e, 51, m) || (!c->nxe && bit(pml4e, 63)))
		return page_fault(c, a, true, true);

	pdpte_pa = (field(pml4e, 51, 12) << 12) + field(la, 38, 30) * 8;
	pdpte = load64(mem, pdpte_pa);
	if (!bit(pdpte, 0))
		return page_fault(c, a, false, false);
	if (field(pdpte, 51, m) || (!c->nxe && bit(pdpte, 63)))
		return page_fault(c, a, true, true);
	if (bit(pdpte, 7) && !c->page1gb)
		return page_fault(c, a, true, true);
	if (bit(pdpte, 7)) { /* 1-GByte page */
		if (field(pdpte, 29, 13))
			return page_fault(c, a, true, true);
		w = bit(pml4e, 1) && bit(pdpte, 1);
		u = bit(pml4e, 2) && bit(pdpte, 2);
		x = !bit(pml4e, 63) && !bit(pdpte, 63);
		if (!permitted(c, a, w, u, x))
			return page_fault(c, a, true, false);
		mark(mem, pml4e_pa, false);
		mark(mem, pdpte_pa, a.write);
		return mapped((field(pdpte, 51, 30) << 30) + field(la, 29, 0), w, u, x);
	}

	pde_pa = (field(pdpte, 51, 12) << 12) + field(la, 29, 21) * 8;
	pde = load64(mem, pde_pa);
	if (!bit(pde, 0))
		return page_fault(c, a, false, false);
	if (field(pde, 51, m) || (!c->nxe && bit(pde, 63)))
		return page_fault(c, a, true, true);
	if (bit(pde, 7)) { /* 2-MByte page */
		if (field(pde, 20, 13))
			return page_fault(c, a, true, true);
		w = bit(pml4e, 1) && bit(pdpte, 1) && bit(pde, 1);
		u = bit(pml4e, 2) && bit(pdpte, 2) && bit(pde, 2);
		x = !bit(pml4e, 63) && !bit(pdpte, 63) && !bit(pde, 63);
		if (!permitted(c, a, w, u, x))
			return page_fault(c, a, true, false);
		mark(mem, pml4e_pa, false);
		mark(mem, pdpte_pa, false);
		mark(mem, pde_pa, a.write);
		return mapped((field(pde, 51, 21) << 21) + field(la, 20, 0), w, u, x);
	}

	pte_pa = (field(pde, 51, 12) << 12) + field(la, 20, 12) * 8;
	pte = load64(mem, pte_pa);
	if (!bit(pte, 0))
		return page_fault(c, a, false, false);
	if (field(pte, 51, m) || (!c->nxe && bit(pte, 63)))
		return page_fault(c, a, true, true);
	w = bit(pml4e, 1) && bit(pdpte, 1) && bit(pde, 1) && bit(pte, 1);
	u = bit(pml4e, 2) && bit(pdpte, 2) && bit(pde, 2) && bit(pte, 2);
	x = !bit(pml4e, 63) && !bit(pdpte, 63) && !bit(pde, 63) && !bit(pte, 63);
	if (!permitted(c, a, w, u, x))
		return page_fault(c, a, true, false);
	mark(mem, pml4e_pa, false);
	mark(mem, pdpte_pa, false);
	mark(mem, pde_pa, false);
	mark(mem, pte_pa, a.write);
	pa = (field(pte, 51, 12) << 12) + field(la, 11, 0);
	return mapped(pa, w, u, x);
}

/* "PAE Paging": the PDPTEs are registers, with no rights and no A flag. */
static struct oracle_result walk_pae(const struct oracle_cpu *c, uint8_t *mem, uint64_t la,
				     struct oracle_access a)
{
	const int m = (int)c->maxphyaddr;
	uint64_t pdpte, pde, pte, pde_pa, pte_pa;
	bool w, u, x;

	pdpte = c->pdpte[field(la, 31, 30)];
	if (!bit(pdpte, 0))
		return page_fault(c, a, false, false);

	pde_pa = (field(pdpte, 51, 12) << 12) + field(la, 29, 21) * 8;
	pde = load64(mem, pde_pa);
	if (!bit(pde, 0))
		return page_fault(c, a, false, false);
	if (field(pde, 62, m) || (!c->nxe && bit(pde, 63)))
		return page_fault(c, a, true, true);
	if (bit(pde, 7)) { /* 2-MByte page */
		if (field(pde, 20, 13))
			return page_fault(c, a, true, true);
		w = bit(pde, 1);
		u = bit(pde, 2);
		x = !bit(pde, 63);
		if (!permitted(c, a, w, u, x))
			return page_fault(c, a, true, false);
		mark(mem, pde_pa, a.write);
		return mapped((field(pde, 51, 21) << 21) + field(la, 20, 0), w, u, x);
	}

	pte_pa = (field(pde, 51, 12) << 12) + field(la, 20, 12) * 8;
	pte = load64(mem, pte_pa);
	if (!bit(pte, 0))
		return page_fault(c, a, false, false);
	if (field(pte, 62, m) || (!c->nxe && bit(pte, 63)))
		return page_fault(c, a, true, true);
	w = bit(pde, 1) && bit(pte, 1);
	u = bit(pde, 2) && bit(pte, 2);
	x = !bit(pde, 63) && !bit(pte, 63);
	if (!permitted(c, a, w, u, x))
		return page_fault(c, a, true, false);
	mark(mem, pde_pa, false);
	mark(mem, pte_pa, a.write);
	return mapped((field(pte, 51, 12) << 12) + field(la, 11, 0), w, u, x);
}

/* "32-Bit Paging", on a CPU with PSE-36 and PAT. */
static struct oracle_result walk_32_bit(const struct oracle_cpu *c, uint8_t *mem, uint64_t la,
					struct oracle_access a)
{
	const int m = c->maxphyaddr > 40 ? 40 : (int)c->maxphyaddr;
	uint64_t pde, pte, pde_pa, pte_pa;
	bool w, u;

	pde_pa = (field(c->cr3, 31, 12) << 12) + field(la, 31, 22) * 4;
	pde = load32(mem, pde_pa);
	if (!bit(pde, 0))
		return page_fault(c, a, false, false);
	if (c->pse && bit(pde, 7)) { /* 4-MByte page */
		/* 39:32 of the address are bits M-20:13, the rest up to 21 is reserved */
		if (field(pde, 21, m - 19))
			return page_fault(c, a, true, true);
		w = bit(pde, 1);
		u = bit(pde, 2);
		if (!permitted(c, a, w, u, true))
			return page_fault(c, a, true, false);
		mark(mem, pde_pa, a.write);
		return mapped((field(pde, m - 20, 13) << 32) + (field(pde, 31, 22) << 22) + field(la, 21, 0),
			      w, u, true);
	}

	pte_pa = (field(pde, 31, 12) << 12) + field(la, 21, 12) * 4;
	pte = load32(mem, pte_pa);
	if (!bit(pte, 0))
		return page_fault(c, a, false, false);
	w = bit(pde, 1) && bit(pte, 1);
	u = bit(pde, 2) && bit(pte, 2);
	if (!permitted(c, a, w, u, true))
		return page_fault(c, a, true, false);
	mark(mem, pde_pa, false);
	mark(mem, pte_pa, a.write);
	return mapped((field(pte, 31, 12) << 12) + field(la, 11, 0), w, u, true);
}

struct oracle_result walk_oracle(const struct oracle_cpu *c, uint8_t *mem, uint64_t la,
				 struct oracle_access a)
{
	if (!c->pg)
		return mapped(la & 0xFFFFFFFF, true, true, true);
	if (c->lma)
		return walk_4_level(c, mem, la, a);
	if (c->pae)
		return walk_pae(c, mem, la, a);
	return walk_32_bit(c, mem, la, a);
}
