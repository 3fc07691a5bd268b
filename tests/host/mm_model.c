/* SPDX-License-Identifier: GPL-2.0-only */
/* See the header. Written from SDM vol. 3 "Paging", for being obvious. */
#include "tests/host/mm_model.h"
#include <string.h>
#include "lib/assert.h"
#include "mm/port.h"

/* ---- the oracle: the guest's tables ------------------------------------------ */

struct oracle_state {
	struct memslots *slots;
	const struct guest_paging *p;
	const struct model_access *a;
	bool w, u, x; /* ANDed */
};

static bool read_entry(struct memslots *slots, uint64_t addr, unsigned int size, uint64_t *out)
{
	struct memslot *slot = memslot_find(slots, gfn(addr >> 12));

	if (!slot)
		return false;
	*out = 0;
	memcpy(out, (uint8_t *)port_hpa_to_va(pfn_to_hpa(memslot_pfn(slot, gfn(addr >> 12)))) + (addr & 0xfff), size);
	return true;
}

static uint32_t access_bits(const struct oracle_state *s)
{
	bool nx = (s->p->cr4 & X86_CR4_PAE) && (s->p->efer & EFER_NXE);
	uint32_t code = s->a->error_code & (PFERR_WRITE | PFERR_USER);

	if ((s->a->error_code & PFERR_FETCH) && (nx || (s->p->cr4 & X86_CR4_SMEP)))
		code |= PFERR_FETCH;
	return code;
}

static uint64_t bits(unsigned int high, unsigned int low)
{
	return high < low ? 0 : (~0ull >> (63 - high)) & (~0ull << low);
}

static bool is_reserved(const struct oracle_state *s, int level, uint64_t e)
{
	const struct guest_paging *p = s->p;
	bool is_long = p->efer & EFER_LMA, large = e & 0x80;
	uint64_t reserved;

	if (!(p->cr4 & X86_CR4_PAE)) {
		if (level == 2 && large && (p->cr4 & X86_CR4_PSE))
			reserved = bits(21, p->maxphyaddr < 40 ? p->maxphyaddr - 19u : 21);
		else
			reserved = 0;
		return e & reserved;
	}
	reserved = bits(is_long ? 51 : 62, p->maxphyaddr);
	if (!(p->efer & EFER_NXE))
		reserved |= 1ull << 63;
	if (level == 4 || (level == 3 && !p->has_1g_pages))
		reserved |= 0x80;
	if (level == 3 && large)
		reserved |= bits(29, 13);
	if (level == 2 && large)
		reserved |= bits(20, 13);
	return e & reserved;
}

static bool rights_allow(const struct oracle_state *s, bool *forced)
{
	bool user = s->a->error_code & PFERR_USER, write = s->a->error_code & PFERR_WRITE;
	bool fetch = s->a->error_code & PFERR_FETCH;

	*forced = false;
	if (user) {
		if (!s->u || (write && !s->w) || (fetch && !s->x))
			return false;
		return true;
	}
	if (fetch)
		return s->x && !(s->u && (s->p->cr4 & X86_CR4_SMEP));
	if (s->u && (s->p->cr4 & X86_CR4_SMAP) && (s->a->implicit || !s->a->ac))
		return false;
	if (write && !s->w) {
		*forced = s->u;
		return !(s->p->cr0 & X86_CR0_WP);
	}
	return true;
}

void oracle_walk(struct oracle *o, struct memslots *slots, const struct guest_paging *p,
		 const struct model_access *a)
{
	struct oracle_state s = { .slots = slots, .p = p, .a = a, .w = true, .u = true, .x = true };
	bool is_long = p->efer & EFER_LMA, pae = p->cr4 & X86_CR4_PAE;
	unsigned int size = pae ? 8 : 4, index_bits = pae ? 9 : 10;
	int level = is_long ? 4 : 2;
	uint64_t table = p->cr3 & (is_long ? 0x000ffffffffff000ull : 0xfffff000ull), e;

	*o = (struct oracle){ .status = ORACLE_OK, .accessed = true, .dirty = true };
	if (!(p->cr0 & X86_CR0_PG)) {
		o->gpa = gpa(a->addr.v);
		return;
	}
	o->error_code = access_bits(&s);
	if (pae && !is_long) {
		e = p->pdpte[(a->addr.v >> 30) & 3];
		if (!(e & 1)) {
			o->status = ORACLE_FAULT;
			return;
		}
		table = e & 0x000ffffffffff000ull;
	}
	for (;; level--) {
		unsigned int shift = 12 + index_bits * (unsigned int)(level - 1);
		uint64_t index = (a->addr.v >> shift) & ((1u << index_bits) - 1);
		bool maps;

		if (!read_entry(slots, table + index * size, size, &e)) {
			o->status = ORACLE_HOLE;
			o->error_code |= PFERR_PRESENT | PFERR_RSVD;
			return;
		}
		if (!(e & 1)) {
			o->status = ORACLE_FAULT;
			return;
		}
		if (is_reserved(&s, level, e)) {
			o->status = ORACLE_FAULT;
			o->error_code |= PFERR_PRESENT | PFERR_RSVD;
			return;
		}
		s.w = s.w && (e & 2);
		s.u = s.u && (e & 4);
		s.x = s.x && !(pae && (e >> 63));
		o->accessed = o->accessed && (e & 0x20);
		maps = level == 1 || (level < 4 && (e & 0x80) && (pae || (p->cr4 & X86_CR4_PSE)));
		if (maps) {
			uint64_t mask = bits(pae ? 51 : 31, shift);

			o->gpa = gpa((e & mask) | (a->addr.v & ((1ull << shift) - 1)));
			if (!pae && level == 2)
				o->gpa.v |= ((e >> 13) & 0xff) << 32;
			o->dirty = e & 0x40;
			break;
		}
		table = e & (pae ? 0x000ffffffffff000ull : 0xfffff000ull);
	}
	if (!rights_allow(&s, &o->forced)) {
		o->status = ORACLE_FAULT;
		o->error_code |= PFERR_PRESENT;
	}
}

/* ---- the CPU: the shadow tables ----------------------------------------------- */

bool cpu_walk(const struct mmu_vcpu *v, gva_t addr, struct cpu_translation *t)
{
	uint64_t table = v->hw_cr3.v, e;
	int level = v->hw_long ? 4 : 2;

	*t = (struct cpu_translation){ .write = true, .user = true, .exec = true };
	if (!v->hw_long) {
		ASSERT((table >> 32) == 0);
		e = ((uint64_t *)port_hpa_to_va(hpa(table)))[(addr.v >> 30) & 3];
		if (!(e & 1))
			return false;
		ASSERT((e & ~0x000ffffffffff001ull) == 0); /* else VM entry fails */
		table = e & ~0xfffull;
	}
	for (;; level--) {
		unsigned int shift = 12 + 9 * (unsigned int)(level - 1);

		e = ((uint64_t *)port_hpa_to_va(hpa(table)))[(addr.v >> shift) & 511];
		if (!(e & 1))
			return false;
		ASSERT((e & 0x7ff0000000000000ull) == 0 && (e & 0x20));
		ASSERT(level < 3 || !(e & 0x80));
		t->write = t->write && (e & 2);
		t->user = t->user && (e & 4);
		t->exec = t->exec && !(e >> 63);
		if (level == 1 || (e & 0x80)) {
			ASSERT(!(e & 2) || (e & 0x40)); /* the CPU must have nothing to set */
			t->frame = hpa((e & bits(51, shift)) | (addr.v & bits(shift - 1, 12)));
			return true;
		}
		table = e & 0x000ffffffffff000ull;
	}
}

bool cpu_permits(const struct mmu_vcpu *v, const struct cpu_translation *t, const struct model_access *a)
{
	uint64_t cr4 = mmu_hw_cr4(v);

	ASSERT((mmu_hw_cr0(v) & X86_CR0_WP) && (mmu_hw_cr0(v) & X86_CR0_PG) && (mmu_hw_efer(v) & EFER_NXE));
	if ((a->error_code & PFERR_WRITE) && !t->write)
		return false;
	if ((a->error_code & PFERR_FETCH) && !t->exec)
		return false;
	if (a->error_code & PFERR_USER)
		return t->user;
	if (a->error_code & PFERR_FETCH)
		return !(t->user && (cr4 & X86_CR4_SMEP));
	return !(t->user && (cr4 & X86_CR4_SMAP) && (a->implicit || !a->ac));
}

/* ---- the TLB -------------------------------------------------------------------- */

void tlb_flush(struct model_tlb *tlb)
{
	tlb->count = 0;
	tlb->flushes++;
}

struct cpu_translation *tlb_find(struct model_tlb *tlb, const struct mmu_vcpu *v, gva_t addr)
{
	for (unsigned int i = 0; i < tlb->count; i++)
		if (tlb->entry[i].v == v && tlb->entry[i].page == addr.v >> 12)
			return &tlb->entry[i].t;
	return NULL;
}

void tlb_insert(struct model_tlb *tlb, const struct mmu_vcpu *v, gva_t addr, const struct cpu_translation *t)
{
	unsigned int i = tlb->count < MODEL_TLB_ENTRIES ? tlb->count++ : (addr.v >> 12) % MODEL_TLB_ENTRIES;

	tlb->entry[i].v = v;
	tlb->entry[i].page = addr.v >> 12;
	tlb->entry[i].t = *t;
}

void tlb_invalidate(struct model_tlb *tlb, const struct mmu_vcpu *v, gva_t addr)
{
	for (unsigned int i = 0; i < tlb->count; i++)
		if (tlb->entry[i].v == v && tlb->entry[i].page == addr.v >> 12)
			tlb->entry[i--] = tlb->entry[--tlb->count];
}
