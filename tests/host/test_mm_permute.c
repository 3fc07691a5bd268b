/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The shadow MMU by exhaustive permutation: every legal combination of bits in
 * two adjacent guest entries, in every state of CR0.WP, CR4.SMEP, SMAP, PSE
 * and EFER.NXE, for every kind of access, to a page that is plain, tracked in
 * one of the modes, logged or in a read-only slot. In each case the result of
 * mmu_page_fault(), the error code, the A and D bits left in guest memory and
 * the rights left in the shadow must be those of the oracle (walk_oracle.c)
 * and of one dull formula below.
 *
 * SPOOR_PART=n/m runs every m-th combination of entries only.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "lib/alloc.h"
#include "mm/port.h"
#include "tests/host/mm_model.h"
#include "tests/host/others.h"
#include "tests/host/walk_oracle.h"

/* Guest memory: tables in gfns 1..4, and the page that the tables map, in a
 * slot of its own, twice: as a 4 KiB page, and inside a large one. */
#define TABLE_PAGES 8
#define SMALL_GFN 0x10ull  /* one page */
#define LARGE_GFN 0x400ull /* 2 MiB */
#define LARGE_PAGES 512ull
#define ORACLE_RAM (TABLE_PAGES << PAGE_SHIFT)
#define MAXPHYADDR 40

#define P (1ull << 0)
#define W (1ull << 1)
#define U (1ull << 2)
#define A (1ull << 5)
#define D (1ull << 6)
#define PS (1ull << 7)
#define NX (1ull << 63)
#define RSVD (1ull << 45) /* beyond MAXPHYADDR */

enum page_kind { PLAIN, TRACKED_WRITE, TRACKED_READ, TRACKED_EXEC, LOGGED, READ_ONLY, PAGE_KINDS };
enum paging_kind { LONG, PAE, TWO_LEVEL };

/* An entry of a guest table, and where it is. */
struct entry {
	uint64_t pa;
	unsigned int size;
};

static struct {
	struct mmu mmu;
	struct mmu_vcpu v;
	uint8_t *memory;
	size_t bytes;
	pfn_t base;
	uint8_t oracle_ram[ORACLE_RAM];
	enum page_kind kind;
	enum paging_kind paging;
	uint64_t la, gfn; /* of the access: linear address, and the frame it leads to */
	struct entry upper, lower;
	bool leaf_below; /* neither maps the page: that one is below, writable and dirty */
	unsigned long part, parts, combination;
	uint64_t cases, fixed, injected, emulated;
} w;

static uint64_t all_cases;

/* ---- the machine --------------------------------------------------------------- */

static void no_flush(void *ctx) { }

static void make_slot(uint32_t id, uint64_t base, uint64_t npages, uint64_t offset)
{
	const struct memslot_desc d = { .id = id, .base_gfn = gfn(base), .npages = npages,
					.base_pfn = pfn_add(w.base, offset) };

	assert_int_equal(mmu_slot_create(&w.mmu, &d), 0);
}

static int setup(void **state)
{
	const struct mmu_config cfg = { .shadow_pages = 256, .hash_key = 0x5eed,
					.host = { .maxphyaddr = 46, .flush = no_flush } };
	const char *part = getenv("SPOOR_PART");

	memset(&w, 0, sizeof(w));
	w.parts = 1;
	if (part && sscanf(part, "%lu/%lu", &w.part, &w.parts) != 2)
		return -1;
	w.bytes = 3 * LARGE_PAGES * PAGE_SIZE;
	w.memory = mem_zalloc(w.bytes);
	assert_non_null(w.memory);
	w.base = pfn((hpa_to_pfn(port_va_to_hpa(w.memory)).v + LARGE_PAGES - 1) & ~(LARGE_PAGES - 1));
	assert_int_equal(mmu_init(&w.mmu, &cfg), 0);
	make_slot(0, 0, TABLE_PAGES, LARGE_PAGES);
	make_slot(1, SMALL_GFN, 1, LARGE_PAGES + TABLE_PAGES);
	make_slot(2, LARGE_GFN, LARGE_PAGES, 0);
	return mmu_vcpu_init(&w.v, &w.mmu, MAXPHYADDR, true);
}

static int teardown(void **state)
{
	assert_int_equal(mmu_audit(&w.mmu), 0);
	mmu_vcpu_destroy(&w.v);
	mmu_destroy(&w.mmu);
	mem_free(w.memory, w.bytes);
	return 0;
}

static struct memslot *slot_of_page(void) { return memslot_find(&w.mmu.mem.slots, gfn(w.gfn)); }

/* ---- what kind of page it is ------------------------------------------------------ */

static bool is_tracked(enum page_kind kind) { return kind >= TRACKED_WRITE && kind <= TRACKED_EXEC; }

static enum page_track_mode mode_of(enum page_kind kind)
{
	return (enum page_track_mode)(kind - TRACKED_WRITE);
}

static void make_kind(enum page_kind kind)
{
	static const uint32_t flags[PAGE_KINDS] = {
		[LOGGED] = MEMSLOT_LOG_DIRTY, [READ_ONLY] = MEMSLOT_READONLY,
	};

	if (is_tracked(w.kind))
		assert_int_equal(others_remove(&w.mmu, gfn(w.gfn), mode_of(w.kind)), 0);
	if (is_tracked(kind))
		assert_int_equal(others_add(&w.mmu, gfn(w.gfn), mode_of(kind)), 0);
	assert_int_equal(mmu_slot_set_flags(&w.mmu, slot_of_page()->id, flags[kind]), 0);
	w.kind = kind;
}

/* ---- kinds of access --------------------------------------------------------------- */

static const struct model_access accesses[] = {
	{ .error_code = 0 },
	{ .error_code = 0, .ac = true },
	{ .error_code = PFERR_WRITE },
	{ .error_code = PFERR_WRITE, .ac = true },
	{ .error_code = PFERR_FETCH },
	{ .error_code = PFERR_USER },
	{ .error_code = PFERR_USER | PFERR_WRITE },
	{ .error_code = PFERR_USER | PFERR_FETCH },
	{ .error_code = 0, .ac = true, .implicit = true },
	{ .error_code = PFERR_WRITE, .ac = true, .implicit = true },
};

static struct oracle_result ask_oracle(const struct model_access *a)
{
	const struct guest_paging *p = &w.v.paging;
	struct oracle_cpu c = {
		.pg = true, .wp = p->cr0 & X86_CR0_WP,
		.pse = p->cr4 & X86_CR4_PSE, .pae = p->cr4 & X86_CR4_PAE,
		.smep = p->cr4 & X86_CR4_SMEP, .smap = p->cr4 & X86_CR4_SMAP, .lma = p->efer & EFER_LMA,
		.nxe = p->efer & EFER_NXE, .cr3 = p->cr3, .maxphyaddr = MAXPHYADDR, .page1gb = true,
	};
	const struct oracle_access access = {
		.write = a->error_code & PFERR_WRITE, .fetch = a->error_code & PFERR_FETCH,
		.user = a->error_code & PFERR_USER, .implicit = a->implicit, .ac = a->ac,
	};

	memcpy(c.pdpte, p->pdpte, sizeof(c.pdpte));
	return walk_oracle(&c, w.oracle_ram, w.la, access);
}

/* ---- the formula ----------------------------------------------------------------------- */

/* Does the kind of page keep this access from the guest? */
static bool kind_traps(const struct model_access *a)
{
	bool write = a->error_code & PFERR_WRITE, fetch = a->error_code & PFERR_FETCH;

	return w.kind == TRACKED_READ || (w.kind == TRACKED_EXEC && fetch) ||
	       (write && (w.kind == TRACKED_WRITE || w.kind == READ_ONLY));
}

/* A write that only WP = 0 allows. */
static bool is_forced(const struct model_access *a, const struct oracle_result *r)
{
	return (a->error_code & PFERR_WRITE) && !r->w;
}

struct rights { bool write, user, exec; };

/* What the shadow must give after an allowed access @a; @dirty: D of the leaf
 * as it is now. */
static struct rights rights_after(const struct model_access *a, const struct oracle_result *r, bool dirty)
{
	bool written = a->error_code & PFERR_WRITE;
	struct rights x = { .write = r->w && dirty, .user = r->u, .exec = r->x };

	if (is_forced(a, r)) {
		x.write = true;
		x.user = false;
		if (r->u && (w.v.paging.cr4 & X86_CR4_SMEP))
			x.exec = false;
	}
	if (w.kind == TRACKED_WRITE || w.kind == READ_ONLY || (w.kind == LOGGED && !written))
		x.write = false;
	if (w.kind == TRACKED_EXEC)
		x.exec = false;
	return x;
}

/* ---- one case ------------------------------------------------------------------------------ */

static void explain(const char *what, const struct model_access *a, const struct page_fault *f,
		    const struct oracle_result *r)
{
	const struct guest_paging *p = &w.v.paging;
	struct cpu_translation t = { 0 };
	uint64_t e[2] = { 0 };
	bool there = cpu_walk(&w.v, gva(w.la), &t);

	memcpy(&e[0], w.oracle_ram + w.upper.pa, w.upper.size);
	memcpy(&e[1], w.oracle_ram + w.lower.pa, w.lower.size);
	print_error("%s\n", what);
	print_error("cr0 %#lx cr4 %#lx efer %#lx page kind %d entries %#lx %#lx\n", p->cr0, p->cr4, p->efer,
		    w.kind, e[0], e[1]);
	print_error("access %#x ac %d implicit %d; gpa %#lx inject %#x\n", a->error_code, a->ac, a->implicit,
		    f->gpa.v, f->inject_code);
	print_error("oracle: ok %d error %#x pa %#lx w %d u %d x %d\n", r->ok, r->error_code, r->pa, r->w,
		    r->u, r->x);
	print_error("shadow: present %d w %d u %d x %d\n", there, t.write, t.user, t.exec);
	fail();
}

static uint8_t *ram_at(uint64_t pa)
{
	return (uint8_t *)port_hpa_to_va(pfn_to_hpa(pfn_add(w.base, LARGE_PAGES))) + pa;
}

static bool same_entries(void)
{
	return memcmp(ram_at(w.upper.pa), w.oracle_ram + w.upper.pa, w.upper.size) == 0 &&
	       memcmp(ram_at(w.lower.pa), w.oracle_ram + w.lower.pa, w.lower.size) == 0;
}

static void put(struct entry e, uint64_t v)
{
	memcpy(w.oracle_ram + e.pa, &v, e.size);
	if (memcmp(ram_at(e.pa), &v, e.size))
		assert_int_equal(guest_write(&w.mmu.mem, gpa(e.pa), &v, e.size, BY(EMULATOR)), 0);
}

/* The D bit of whatever entry maps the page. */
static bool leaf_is_dirty(uint64_t upper)
{
	uint64_t e = 0;

	if (w.leaf_below)
		return true;
	if (upper & PS && (w.paging != TWO_LEVEL || (w.v.paging.cr4 & X86_CR4_PSE)))
		memcpy(&e, w.oracle_ram + w.upper.pa, w.upper.size);
	else
		memcpy(&e, w.oracle_ram + w.lower.pa, w.lower.size);
	return e & D;
}

/* Whatever the shadow lets through now, the guest's tables and the page must
 * allow, with no A or D left to set. */
static bool nothing_more_goes_through(void)
{
	struct cpu_translation t;

	if (!cpu_walk(&w.v, gva(w.la), &t))
		return true;
	for (unsigned int k = 0; k < ARRAY_SIZE(accesses); k++)
		if (cpu_permits(&w.v, &t, &accesses[k]) &&
		    (!ask_oracle(&accesses[k]).ok || kind_traps(&accesses[k]) || !same_entries()))
			return false;
	return true;
}

static void check_fixed(const struct model_access *a, const struct page_fault *f,
			const struct oracle_result *r, uint64_t upper)
{
	struct rights x = rights_after(a, r, leaf_is_dirty(upper));
	struct cpu_translation t;

	if (f->gpa.v != r->pa)
		explain("another address", a, f, r);
	if (!cpu_walk(&w.v, gva(w.la), &t) || !cpu_permits(&w.v, &t, a))
		explain("fixed, but the access does not go through", a, f, r);
	if (t.frame.v >> PAGE_SHIFT != memslot_pfn(slot_of_page(), gfn(w.gfn)).v)
		explain("another frame", a, f, r);
	if (t.write != x.write || t.user != x.user || t.exec != x.exec)
		explain("other rights", a, f, r);
}

static bool is_logged(void)
{
	const struct memslot *slot = slot_of_page();
	uint64_t i = w.gfn - slot->base_gfn.v;

	return slot->dirty_bitmap && (slot->dirty_bitmap[i / 64] >> (i % 64) & 1);
}

static void one_case(const struct model_access *a, uint64_t upper, uint64_t lower)
{
	struct page_fault f = { .addr = gva(w.la), .error_code = a->error_code,
				.ac = a->ac, .implicit = a->implicit };
	enum fault_result result;
	struct oracle_result r;
	bool emulate;

	/* From an empty shadow: what maps the page is not there for a moment. */
	put(w.lower, 0);
	if (upper & PS)
		put(w.upper, 0);
	put(w.upper, upper);
	put(w.lower, lower);
	if (w.kind == LOGGED)
		memset(slot_of_page()->dirty_bitmap, 0, slot_of_page()->npages / 8 + 1);
	r = ask_oracle(a);
	result = mmu_page_fault(&w.v, &f);
	w.cases++;
	if (!same_entries())
		explain("other A or D bits", a, &f, &r);
	if (!r.ok) {
		w.injected++;
		if (result != FAULT_INJECT || f.inject_code != r.error_code)
			explain("not the guest's fault", a, &f, &r);
	} else {
		emulate = kind_traps(a) || (is_forced(a, &r) && r.u && (w.v.paging.cr4 & X86_CR4_SMAP));
		w.emulated += emulate;
		w.fixed += !emulate;
		if (emulate && result != FAULT_EMULATE)
			explain("not emulated", a, &f, &r);
		/* Spurious: a table further down still had it. */
		if (!emulate && result != FAULT_FIXED && result != FAULT_SPURIOUS)
			explain("not fixed", a, &f, &r);
		if (!emulate)
			check_fixed(a, &f, &r, upper);
		if (is_logged() != (w.kind == LOGGED && !emulate && (a->error_code & PFERR_WRITE)))
			explain("logged or not logged", a, &f, &r);
	}
	if (!nothing_more_goes_through())
		explain("more goes through than may", a, &f, &r);
}

static void set_cpu(unsigned int i)
{
	struct guest_paging p = w.v.paging;

	p.cr0 = X86_CR0_PE | X86_CR0_PG | (i & 1 ? X86_CR0_WP : 0);
	p.cr4 = (w.paging == TWO_LEVEL ? 0 : X86_CR4_PAE) | (i & 2 ? X86_CR4_SMEP : 0) |
		(i & 4 ? X86_CR4_SMAP : 0);
	p.efer = w.paging == LONG ? EFER_LME | EFER_LMA : 0;
	if (i & 8) {
		p.efer |= EFER_NXE;
		p.cr4 |= X86_CR4_PSE;
	}
	assert_int_equal(mmu_set_paging(&w.v, &p), 0);
}
#define CPU_STATES 16

/* Both entries as given, in every CPU state, for every access. */
static void one_pair(uint64_t upper, uint64_t lower)
{
	if (w.combination++ % w.parts != w.part)
		return;
	for (unsigned int cpu = 0; cpu < CPU_STATES; cpu++) {
		set_cpu(cpu);
		for (unsigned int k = 0; k < ARRAY_SIZE(accesses); k++)
			one_case(&accesses[k], upper, lower);
	}
}

/* ---- permutations ---------------------------------------------------------------------------- */

/* The @i-th subset of the bits in @of. */
static uint64_t subset(uint64_t of, unsigned int i)
{
	uint64_t v = 0;

	for (; of; of &= of - 1, i >>= 1)
		if (i & 1)
			v |= of & -of;
	return v;
}

static unsigned int subsets(uint64_t of) { return 1u << __builtin_popcountll(of); }

/*
 * All subsets of @upper_bits in an entry that leads to a table, with all of
 * @lower_bits in the one below. Where the walk ends at the upper entry, one
 * lower entry will do.
 */
static void permute_tables(uint64_t upper_base, uint64_t upper_bits, uint64_t lower_base, uint64_t lower_bits)
{
	for (unsigned int i = 0; i < subsets(upper_bits); i++) {
		uint64_t upper = upper_base | subset(upper_bits, i);
		bool ends = !(upper & P) || (upper & RSVD);

		for (unsigned int k = 0; k < (ends ? 1 : subsets(lower_bits)); k++)
			one_pair(upper, lower_base | (ends ? P | W | U | A | D : subset(lower_bits, k)));
	}
}

/* All subsets of @bits in an upper entry that maps a large page; the lower one
 * is only there for a CPU that does not know PS in the upper. */
static void permute_large(uint64_t base, uint64_t bits, uint64_t lower)
{
	for (unsigned int i = 0; i < subsets(bits); i++)
		one_pair(base | PS | subset(bits, i), lower);
}

static void start(enum paging_kind paging, uint64_t la, uint64_t page, struct entry upper, struct entry lower)
{
	w.paging = paging;
	w.la = la;
	w.gfn = page;
	w.upper = upper;
	w.lower = lower;
	w.leaf_below = false;
	w.v.paging.cr3 = 1 << PAGE_SHIFT;
	memset(w.v.paging.pdpte, 0, sizeof(w.v.paging.pdpte));
}

static void done(const char *what)
{
	make_kind(PLAIN);
	all_cases += w.cases;
	print_message("%s: %lu cases agree (%lu fixed, %lu injected, %lu emulated)\n", what, w.cases, w.fixed,
		      w.injected, w.emulated);
	assert_true(w.fixed && w.injected && w.emulated);
}

#define LA_LONG ((0x0A5ull << 39) | (0x123ull << 30) | (0x0F1ull << 21) | (0x1C3ull << 12) | 0x678)
#define LA_32 ((2ull << 30) | (0x0F1ull << 21) | (0x1C3ull << 12) | 0x678)
#define INDEX(level, la) (((la) >> (12 + 9 * ((level) - 1))) & 511)

/* Of 4-level and PAE paging: tables in gfns 1 (level 4) to 4 (level 1). */
static struct entry entry_8(int level, uint64_t la)
{
	return (struct entry){ ((5ull - (uint64_t)level) << PAGE_SHIFT) + INDEX(level, la) * 8, 8 };
}

static void open_path(int from, uint64_t la)
{
	for (int level = from; level > 1; level--)
		put(entry_8(level, la), (6ull - (uint64_t)level) << PAGE_SHIFT | P | W | U | A);
}

static void lesson_31_long_mode_pde_and_pte(void **state)
{
	start(LONG, LA_LONG, SMALL_GFN, entry_8(2, LA_LONG), entry_8(1, LA_LONG));
	open_path(4, LA_LONG);
	for (int kind = PLAIN; kind < PAGE_KINDS; kind++) {
		make_kind(kind);
		permute_tables(4 << PAGE_SHIFT, P | W | U | A | NX | RSVD, SMALL_GFN << PAGE_SHIFT,
			       P | W | U | A | D | PS | NX | RSVD);
	}
	done("long mode, PDE and PTE");
}

static void lesson_31_long_mode_large_pages(void **state)
{
	const uint64_t page = LARGE_GFN + INDEX(1, LA_LONG);
	const uint64_t path[] = { P | W | U | A, P | W | A, P | U };

	start(LONG, LA_LONG, page, entry_8(2, LA_LONG), entry_8(1, LA_LONG));
	open_path(4, LA_LONG);
	for (int kind = PLAIN; kind < PAGE_KINDS; kind++) {
		make_kind(kind);
		for (unsigned int i = 0; i < ARRAY_SIZE(path); i++) {
			put(entry_8(3, LA_LONG), 3 << PAGE_SHIFT | path[i]);
			permute_large(LARGE_GFN << PAGE_SHIFT,
				      P | W | U | A | D | NX | RSVD | 1ull << 12 | 1ull << 13, 0);
		}
	}
	done("long mode, 2 MiB pages");
}

static void lesson_31_long_mode_1_gib_pages(void **state)
{
	/* The large slot is at the bottom of the first GiB but for the tables. */
	const uint64_t la = (LA_LONG & ~((1ull << 30) - 1)) | (LARGE_GFN + 0x1C3) << PAGE_SHIFT | 0x678;

	start(LONG, la, LARGE_GFN + 0x1C3, entry_8(3, la), entry_8(2, la));
	open_path(4, la);
	for (int kind = PLAIN; kind < PAGE_KINDS; kind++) {
		make_kind(kind);
		permute_large(0, P | W | U | A | D | NX | RSVD | 1ull << 12 | 1ull << 29, 0);
	}
	done("long mode, 1 GiB pages");
}

static void lesson_31_long_mode_upper_levels(void **state)
{
	start(LONG, LA_LONG, SMALL_GFN, entry_8(4, LA_LONG), entry_8(3, LA_LONG));
	w.leaf_below = true;
	open_path(4, LA_LONG);
	put(entry_8(1, LA_LONG), SMALL_GFN << PAGE_SHIFT | P | W | U | A | D);
	for (int kind = PLAIN; kind < PAGE_KINDS; kind++) {
		make_kind(kind);
		for (unsigned int i = 0; i < 128; i++) {
			uint64_t upper = 2 << PAGE_SHIFT | subset(P | W | U | A | PS | NX | RSVD, i);
			bool ends = !(upper & P) || (upper & (RSVD | PS));

			for (unsigned int k = 0; k < (ends ? 1 : 32); k++)
				one_pair(upper,
					 3 << PAGE_SHIFT | P | subset(W | U | A | NX | RSVD, ends ? 7 : k));
		}
	}
	done("long mode, PML4E and PDPTE");
}

static void start_pae(uint64_t page)
{
	start(PAE, LA_32, page, entry_8(2, LA_32), entry_8(1, LA_32));
	w.v.paging.pdpte[2] = 3 << PAGE_SHIFT | P;
}

static void lesson_31_pae_pde_and_pte(void **state)
{
	start_pae(SMALL_GFN);
	for (int kind = PLAIN; kind < PAGE_KINDS; kind++) {
		make_kind(kind);
		permute_tables(4 << PAGE_SHIFT, P | W | U | A | NX | RSVD, SMALL_GFN << PAGE_SHIFT,
			       P | W | U | A | D | NX | RSVD);
	}
	done("PAE, PDE and PTE");
}

static void lesson_31_pae_large_pages(void **state)
{
	start_pae(LARGE_GFN + INDEX(1, LA_32));
	for (int kind = PLAIN; kind < PAGE_KINDS; kind++) {
		make_kind(kind);
		permute_large(LARGE_GFN << PAGE_SHIFT,
			      P | W | U | A | D | NX | RSVD | 1ull << 62 | 1ull << 12 | 1ull << 20, 0);
	}
	done("PAE, 2 MiB pages");
}

static const struct entry pde_32 = { 0x1000 + (LA_32 >> 22) * 4, 4 };
static const struct entry pte_32 = { 0x2000 + (LA_32 >> 12 & 1023) * 4, 4 };

static void lesson_31_two_level_pde_and_pte(void **state)
{
	start(TWO_LEVEL, LA_32, SMALL_GFN, pde_32, pte_32);
	for (int kind = PLAIN; kind < PAGE_KINDS; kind++) {
		make_kind(kind);
		permute_tables(2 << PAGE_SHIFT, P | W | U | A | D, SMALL_GFN << PAGE_SHIFT,
			       P | W | U | A | D | PS);
	}
	done("two-level, PDE and PTE");
}

/* With PSE a page of 4 MiB; without, a table that lies where the page would:
 * CR4.PSE is one of the CPU states. */
static void lesson_31_two_level_large_pages(void **state)
{
	/* 4 MiB at gfn 0x400: the slot is its first half. */
	const uint64_t la = (LA_32 & ~((1ull << 22) - 1)) | 0x1C3678;
	const uint64_t bits = P | W | U | A | D | 1 << 8 | 1 << 12 | 1 << 21;
	const struct entry pde = { 0x1000 + (la >> 22) * 4, 4 };

	start(TWO_LEVEL, la, LARGE_GFN + 0x1C3, pde, pte_32);
	for (int kind = PLAIN; kind < PAGE_KINDS; kind++) {
		make_kind(kind);
		for (unsigned int i = 0; i < 256; i++) {
			uint64_t upper = LARGE_GFN << PAGE_SHIFT | PS | subset(bits, i);

			if (w.combination++ % w.parts != w.part)
				continue;
			for (unsigned int cpu = 8; cpu < CPU_STATES; cpu++) {
				set_cpu(cpu);
				for (unsigned int k = 0; k < ARRAY_SIZE(accesses); k++)
					one_case(&accesses[k], upper, 0);
			}
		}
	}
	done("two-level, 4 MiB pages");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(lesson_31_long_mode_pde_and_pte),
		T(lesson_31_long_mode_large_pages),
		T(lesson_31_long_mode_1_gib_pages),
		T(lesson_31_long_mode_upper_levels),
		T(lesson_31_pae_pde_and_pte),
		T(lesson_31_pae_large_pages),
		T(lesson_31_two_level_pde_and_pte),
		T(lesson_31_two_level_large_pages),
	};

	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	printf("shadow against oracle: %lu cases\n", all_cases);
	return failed;
}
