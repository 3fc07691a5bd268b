/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The walk of the guest's page tables: one loop over a table of shapes.
 *
 *              4-level                 PAE                  two-level
 *   level 4   PML4E  47:39
 *   level 3   PDPTE  38:30 (PS: 1G)   PDPTE 31:30, register
 *   level 2   PDE    29:21 (PS: 2M)   PDE   29:21 (PS: 2M)   PDE 31:22 (PS: 4M)
 *   level 1   PTE    20:12            PTE   20:12            PTE 21:12
 *
 * Invariant: nothing is written before the whole path was read and the access
 * found to be allowed. All functions work on the caller's struct guest_walk;
 * nothing is kept between walks. Lock: none.
 */
#include "mm/guest_walk.h"
#include "lib/errno.h"

#define GPTE_PRESENT (1ull << 0)
#define GPTE_WRITE (1ull << 1)
#define GPTE_USER (1ull << 2)
#define GPTE_ACCESSED (1ull << 5)
#define GPTE_DIRTY (1ull << 6)
#define GPTE_PS (1ull << 7)
#define GPTE_NX (1ull << 63)

/* Bits @hi..@lo, both included. */
#define BITS(hi, lo) ((~0ull >> (63 - (hi))) & (~0ull << (lo)))

/* Where the frame is in an 8-byte and in a 4-byte entry. */
#define FRAME_64 BITS(51, 12)
#define FRAME_32 BITS(31, 12)

/* A restart needs another CPU to write the entry between our read and our
 * exchange, so even the second is rare. */
#define RESTARTS_MAX 16

struct walk_shape {
	int top;                 /* level of the first entry */
	bool top_in_registers;   /* the entries of the top level are guest_paging.pdpte */
	unsigned int entry_size; /* bytes */
	unsigned int index_bits; /* address bits that choose an entry, each level */
	unsigned int addr_bits;  /* of the linear address */
	uint64_t root_mask;      /* the address in CR3 */
	uint64_t frame_mask;     /* the address in an entry */
};

static const struct walk_shape shape_long = {
	.top = 4, .entry_size = 8, .index_bits = 9, .addr_bits = 48,
	.root_mask = FRAME_64, .frame_mask = FRAME_64,
};

static const struct walk_shape shape_pae = {
	.top = 3, .top_in_registers = true, .entry_size = 8, .index_bits = 9, .addr_bits = 32,
	.root_mask = BITS(31, 5), .frame_mask = FRAME_64,
};

static const struct walk_shape shape_two_level = {
	.top = 2, .entry_size = 4, .index_bits = 10, .addr_bits = 32,
	.root_mask = FRAME_32, .frame_mask = FRAME_32,
};

/* NULL: paging is off. */
static const struct walk_shape *shape_of(const struct guest_paging *p)
{
	if (!paging_enabled(p))
		return NULL;
	if (paging_long(p))
		return &shape_long;
	return paging_pae(p) ? &shape_pae : &shape_two_level;
}

/* ---- one entry --------------------------------------------------------- */

static bool nx_enabled(const struct guest_paging *p, const struct walk_shape *s)
{
	return s->entry_size == 8 && (p->efer & EFER_NXE);
}

/* Does the entry map a page (true), or point at a table? PS where it means
 * nothing is reserved in long mode, and ignored without CR4.PSE. */
static bool is_leaf(const struct guest_paging *p, const struct walk_shape *s, int level, uint64_t gpte)
{
	if (level == 1)
		return true;
	if (!(gpte & GPTE_PS))
		return false;
	if (level == 2)
		return s->entry_size == 8 || (p->cr4 & X86_CR4_PSE);
	return level == 3 && s == &shape_long && p->has_1g_pages;
}

/* Address bits from maxphyaddr up to @top. */
static uint64_t beyond_maxphyaddr(const struct guest_paging *p, unsigned int top)
{
	return p->maxphyaddr <= top ? BITS(top, p->maxphyaddr) : 0;
}

/* 4 MiB pages: PDE bits 20:13 are address bits 39:32 (PSE-36), as far as the
 * CPU has them; the bits between these and 21 are reserved. */
static uint64_t reserved_pse36(const struct guest_paging *p)
{
	unsigned int width = p->maxphyaddr < 40 ? p->maxphyaddr : 40;

	return BITS(21, width - 19);
}

/* SDM vol. 3, "4-Level Paging", "PAE Paging", "32-Bit Paging": the bits that
 * must be 0 in a present entry. PDPTE registers were checked when loaded. */
static uint64_t reserved_bits(const struct guest_paging *p, const struct walk_shape *s, int level, bool leaf)
{
	uint64_t reserved;

	if (s->entry_size == 4)
		return leaf && level == 2 ? reserved_pse36(p) : 0;
	if (s->top_in_registers && level == s->top)
		return 0;
	/* PAE reserves up to bit 62; in long mode 62:52 are the guest's. */
	reserved = beyond_maxphyaddr(p, s == &shape_long ? 51 : 62);
	if (!nx_enabled(p, s))
		reserved |= GPTE_NX;
	if (leaf && level > 1)
		reserved |= BITS(12 + 9 * (level - 1) - 1, 13);
	if (!leaf && level > 2)
		reserved |= GPTE_PS;
	return reserved;
}

/* The rights one entry gives. PDPTE registers restrict nothing. */
static uint32_t entry_access(const struct guest_paging *p, const struct walk_shape *s, int level,
			     uint64_t gpte)
{
	uint32_t access = 0;

	if (s->top_in_registers && level == s->top)
		return ACCESS_ALL;
	if (gpte & GPTE_WRITE)
		access |= ACCESS_WRITE;
	if (gpte & GPTE_USER)
		access |= ACCESS_USER;
	if (!(nx_enabled(p, s) && (gpte & GPTE_NX)))
		access |= ACCESS_EXEC;
	return access;
}

static gfn_t leaf_gfn(const struct walk_shape *s, int level, uint64_t gpte, uint64_t addr)
{
	uint64_t below = (1ull << (s->index_bits * (level - 1))) - 1; /* frames in the page, minus 1 */
	uint64_t frame = (gpte & s->frame_mask) >> PAGE_SHIFT;

	if (s->entry_size == 4 && level == 2)
		frame |= (gpte & BITS(20, 13)) >> 13 << 20;
	return gfn((frame & ~below) | ((addr >> PAGE_SHIFT) & below));
}

/* ---- rights ------------------------------------------------------------ */

/* SDM vol. 3, "Determination of Access Rights". */
static bool access_allowed(const struct guest_paging *p, uint32_t rights, uint32_t access)
{
	bool user = access & PFERR_USER;
	bool fetch = access & PFERR_FETCH;

	if (user && !(rights & ACCESS_USER))
		return false;
	if (fetch) {
		if (!user && (rights & ACCESS_USER) && (p->cr4 & X86_CR4_SMEP))
			return false;
		return rights & ACCESS_EXEC;
	}
	if (!user && (rights & ACCESS_USER) && (p->cr4 & X86_CR4_SMAP) &&
	    ((access & WALK_IMPLICIT) || !(access & WALK_AC)))
		return false;
	if (access & PFERR_WRITE)
		return (rights & ACCESS_WRITE) || (!user && !(p->cr0 & X86_CR0_WP));
	return true;
}

/* The fetch bit is reported only where fetches can be refused. */
static enum walk_status walk_fault(struct guest_walk *w, const struct guest_paging *p,
				   const struct walk_shape *s, uint32_t access, uint32_t why)
{
	uint32_t kind = PFERR_WRITE | PFERR_USER;

	if (nx_enabled(p, s) || (p->cr4 & X86_CR4_SMEP))
		kind |= PFERR_FETCH;
	w->error_code = (access & kind) | why;
	return WALK_FAULT;
}

/* ---- the walk ---------------------------------------------------------- */

/* Reads the entry of @level in the table at @table. False: not RAM. */
static bool read_gpte(struct guest_walk *w, struct guest_mem *m, const struct guest_paging *p,
		      const struct walk_shape *s, uint64_t table, uint64_t addr, const struct access_origin *origin)
{
	int level = w->level;
	unsigned int shift = PAGE_SHIFT + s->index_bits * (level - 1);
	uint64_t index = (addr >> shift) & ((1ull << s->index_bits) - 1);

	w->gpte_gpa[level] = gpa(table + index * s->entry_size);
	w->gpte[level] = 0; /* a 4-byte entry leaves the upper half */
	if (s->top_in_registers && level == s->top) {
		w->gpte[level] = p->pdpte[index];
		return true;
	}
	if (guest_read(m, w->gpte_gpa[level], &w->gpte[level], s->entry_size, origin) == 0)
		return true;
	w->bad_gpa = w->gpte_gpa[level];
	return false;
}

/* From the top down to the leaf, changing nothing. */
static enum walk_status walk_path(struct guest_walk *w, struct guest_mem *m, const struct guest_paging *p,
				  const struct walk_shape *s, uint64_t addr, uint32_t access,
				  const struct access_origin *origin)
{
	uint64_t table = p->cr3 & s->root_mask;
	uint32_t rights = ACCESS_ALL;

	for (w->level = s->top; ; w->level--) {
		uint64_t gpte;
		bool leaf;

		if (!read_gpte(w, m, p, s, table, addr, origin))
			return WALK_NO_RAM;
		gpte = w->gpte[w->level];
		if (!(gpte & GPTE_PRESENT))
			return walk_fault(w, p, s, access, 0);
		leaf = is_leaf(p, s, w->level, gpte);
		if (gpte & reserved_bits(p, s, w->level, leaf))
			return walk_fault(w, p, s, access, PFERR_PRESENT | PFERR_RSVD);
		rights &= entry_access(p, s, w->level, gpte);
		w->access[w->level] = rights;
		if (leaf)
			break;
		table = gpte & s->frame_mask;
	}
	w->gfn = leaf_gfn(s, w->level, w->gpte[w->level], addr);
	if (!(access & WALK_PEEK) && !access_allowed(p, rights, access))
		return walk_fault(w, p, s, access, PFERR_PRESENT);
	return WALK_OK;
}

/* Sets accessed on the whole path and dirty on the leaf of a write. -EAGAIN:
 * an entry is no longer what was read. */
static int set_accessed_dirty(struct guest_walk *w, struct guest_mem *m, const struct walk_shape *s,
			      uint32_t access, const struct access_origin *origin)
{
	int top = s->top_in_registers ? s->top - 1 : s->top;

	for (int level = top; level >= w->level; level--) {
		uint64_t old = w->gpte[level];
		uint64_t new = old | GPTE_ACCESSED;

		if (level == w->level && (access & PFERR_WRITE))
			new |= GPTE_DIRTY;
		if (new == old)
			continue;
		switch (guest_cmpxchg(m, w->gpte_gpa[level], &old, &new, s->entry_size, origin)) {
		case 0:
			w->gpte[level] = new;
			break;
		case -EAGAIN:
			return -EAGAIN;
		default: /* a read-only slot, a tracker: the bits stay as they are */
			break;
		}
	}
	return 0;
}

enum walk_status guest_walk(struct guest_walk *w, struct guest_mem *m, const struct guest_paging *p,
			    gva_t addr, uint32_t access, const struct access_origin *origin)
{
	const struct walk_shape *s = shape_of(p);
	struct access_origin walker = origin ? *origin : *BY(WALKER);
	uint64_t linear = addr.v & BITS(s ? s->addr_bits - 1 : 31, 0);
	enum walk_status status = WALK_OK;

	*w = (struct guest_walk){ 0 };
	if (!s) {
		w->gfn = gfn(linear >> PAGE_SHIFT);
		w->access[0] = ACCESS_ALL;
		return WALK_OK;
	}
	if (access & WALK_IMPLICIT)
		access &= ~PFERR_USER;
	w->top_level = s->top;
	walker.agent = AGENT_WALKER;
	walker.user = false;
	walker.cr3 = p->cr3;
	walker.gva = addr;
	for (int i = 0; i <= RESTARTS_MAX; i++) {
		status = walk_path(w, m, p, s, linear, access, origin ? &walker : NULL);
		if (status != WALK_OK || (access & WALK_PEEK) || !set_accessed_dirty(w, m, s, access, &walker))
			break;
	}
	return status;
}

int guest_load_pdptes(struct guest_mem *m, const struct guest_paging *p, uint64_t pdpte[4])
{
	uint64_t reserved = BITS(2, 1) | BITS(8, 5) | beyond_maxphyaddr(p, 63);
	uint64_t loaded[4];

	if (guest_read(m, gpa(p->cr3 & shape_pae.root_mask), loaded, sizeof(loaded), NULL))
		return -EFAULT;
	for (int i = 0; i < 4; i++)
		if ((loaded[i] & GPTE_PRESENT) && (loaded[i] & reserved))
			return -EINVAL;
	for (int i = 0; i < 4; i++)
		pdpte[i] = loaded[i];
	return 0;
}
