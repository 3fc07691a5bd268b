/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest walk against the oracle (walk_oracle.c), by exhaustive permutation
 * of entry bits and CPU state, and the cases that an oracle of results cannot
 * see: tables outside RAM, read-only tables, entries that change meanwhile.
 *
 * Guest RAM is 16 pages from gpa 0. Tables: page 1 level 4, page 2 level 3,
 * page 3 level 2, page 4 level 1. The oracle has a copy of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "lib/alloc.h"
#include "lib/errno.h"
#include "mm/guest_walk.h"
#include "mm/port.h"
#include "tests/host/bare_mem.h"
#include "tests/host/port_host.h"
#include "tests/host/walk_oracle.h"

#define RAM_PAGES 16
#define TABLE(level) ((5ull - (level)) << PAGE_SHIFT)
#define LA_LONG ((0x0A5ull << 39) | (0x123ull << 30) | (0x0F1ull << 21) | (0x1C3ull << 12) | 0x678)
#define LA_32 ((2ull << 30) | (0x0F1ull << 21) | (0x1C3ull << 12) | 0x678)

#define P (1ull << 0)
#define W (1ull << 1)
#define U (1ull << 2)
#define A (1ull << 5)
#define D (1ull << 6)
#define PS (1ull << 7)
#define NX (1ull << 63)

static struct guest_mem m;
static uint8_t *ram;
static uint8_t oracle_ram[RAM_PAGES * PAGE_SIZE];
static struct guest_paging paging;

static int setup(void **state)
{
	struct memslot_desc d = { .npages = RAM_PAGES };

	bare_mem_init(&m, NULL);
	ram = mem_zalloc(RAM_PAGES * PAGE_SIZE);
	memset(oracle_ram, 0, sizeof(oracle_ram));
	d.base_pfn = hpa_to_pfn(port_va_to_hpa(ram));
	paging = (struct guest_paging){
		.cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_WP, .cr4 = X86_CR4_PAE,
		.efer = EFER_LME | EFER_LMA | EFER_NXE, .maxphyaddr = 40, .has_1g_pages = true,
	};
	return bare_slot_create(&m, &d);
}

static int teardown(void **state)
{
	bare_mem_destroy(&m);
	mem_free(ram, RAM_PAGES * PAGE_SIZE);
	return host_pages_used() != 0;
}

/* ---- one comparison ---------------------------------------------------- */

static uint64_t cases;

static struct oracle_cpu oracle_view(const struct guest_paging *p)
{
	struct oracle_cpu c = {
		.pg = p->cr0 & X86_CR0_PG, .wp = p->cr0 & X86_CR0_WP, .pse = p->cr4 & X86_CR4_PSE,
		.pae = p->cr4 & X86_CR4_PAE, .smep = p->cr4 & X86_CR4_SMEP, .smap = p->cr4 & X86_CR4_SMAP,
		.lma = p->efer & EFER_LMA, .nxe = p->efer & EFER_NXE,
		.cr3 = p->cr3, .maxphyaddr = p->maxphyaddr, .page1gb = p->has_1g_pages,
	};

	memcpy(c.pdpte, p->pdpte, sizeof(c.pdpte));
	return c;
}

static struct oracle_access oracle_access(uint32_t access)
{
	return (struct oracle_access){
		.write = access & PFERR_WRITE, .fetch = access & PFERR_FETCH, .user = access & PFERR_USER,
		.implicit = access & WALK_IMPLICIT, .ac = access & WALK_AC,
	};
}

/* An entry's address, and the same in the oracle's copy. */
struct entry {
	uint64_t pa;
	unsigned int size;
};

static void put(struct entry e, uint64_t v)
{
	memcpy(ram + e.pa, &v, e.size);
	memcpy(oracle_ram + e.pa, &v, e.size);
}

static bool agree(const struct guest_walk *w, enum walk_status status, const struct oracle_result *r,
		  uint64_t la, const struct entry *entries, unsigned int n)
{
	uint32_t rights = (r->w ? ACCESS_WRITE : 0) | (r->u ? ACCESS_USER : 0) | (r->x ? ACCESS_EXEC : 0);

	for (unsigned int i = 0; i < n; i++)
		if (memcmp(ram + entries[i].pa, oracle_ram + entries[i].pa, entries[i].size))
			return false;
	if (!r->ok)
		return status == WALK_FAULT && w->error_code == r->error_code;
	return status == WALK_OK && w->gfn.v == r->pa >> PAGE_SHIFT && w->access[w->level] == rights;
}

static void compare(uint64_t la, uint32_t access, const struct entry *entries, unsigned int n)
{
	const struct oracle_cpu c = oracle_view(&paging);
	struct oracle_result r = walk_oracle(&c, oracle_ram, la, oracle_access(access));
	struct guest_walk w;
	enum walk_status status = guest_walk(&w, &m, &paging, gva(la), access, NULL);

	cases++;
	if (agree(&w, status, &r, la, entries, n))
		return;
	for (unsigned int i = 0; i < n; i++) {
		uint64_t mine = 0, its = 0;

		memcpy(&mine, ram + entries[i].pa, entries[i].size);
		memcpy(&its, oracle_ram + entries[i].pa, entries[i].size);
		print_error("entry %u: walk left %#lx, oracle %#lx\n", i, mine, its);
	}
	print_error("cr0 %#lx cr4 %#lx efer %#lx access %#x\n", paging.cr0, paging.cr4, paging.efer, access);
	print_error("walk: status %d error %#x level %d gfn %#lx rights %#x\n", status, w.error_code, w.level,
		    w.gfn.v, w.access[w.level]);
	print_error("oracle: ok %d error %#x pa %#lx w %d u %d x %d\n", r.ok, r.error_code, r.pa, r.w, r.u,
		    r.x);
	fail();
}

/* ---- permutations ------------------------------------------------------ */

/* read, write, fetch x supervisor, user, implicit x AC */
static uint32_t access_kind(unsigned int i)
{
	static const uint32_t what[] = { 0, PFERR_WRITE, PFERR_FETCH };
	static const uint32_t who[] = { 0, PFERR_USER, WALK_IMPLICIT };

	return what[i % 3] | who[i / 3 % 3] | (i / 9 ? WALK_AC : 0);
}
#define ACCESS_KINDS 18

static void set_cpu(unsigned int i)
{
	paging.cr0 = (paging.cr0 & ~(uint64_t)X86_CR0_WP) | (i & 1 ? X86_CR0_WP : 0);
	paging.cr4 = (paging.cr4 & ~(uint64_t)(X86_CR4_SMEP | X86_CR4_SMAP)) |
		     (i & 2 ? X86_CR4_SMEP : 0) | (i & 4 ? X86_CR4_SMAP : 0);
	paging.efer = (paging.efer & ~EFER_NXE) | (i & 8 ? EFER_NXE : 0);
}
#define CPU_STATES 16

/* The @i-th subset of the @n bits at @bits. */
static uint64_t subset(const uint64_t *bits, unsigned int n, unsigned int i)
{
	uint64_t v = 0;

	for (unsigned int k = 0; k < n; k++)
		if (i >> k & 1)
			v |= bits[k];
	return v;
}

struct pair {
	struct entry upper, lower;
	uint64_t upper_base, lower_base; /* the address fields */
	const uint64_t *upper_bits, *lower_bits;
	unsigned int upper_n, lower_n;
};

/* Every subset of bits in two entries, in every CPU state, for every access. */
static void permute(const struct pair *t, uint64_t la)
{
	const struct entry both[2] = { t->upper, t->lower };
	uint64_t before = cases;

	for (unsigned int u = 0; u < 1u << t->upper_n; u++) {
		uint64_t upper = t->upper_base | subset(t->upper_bits, t->upper_n, u);

		for (unsigned int l = 0; l < 1u << t->lower_n; l++) {
			uint64_t lower = t->lower_base | subset(t->lower_bits, t->lower_n, l);

			for (unsigned int cpu = 0; cpu < CPU_STATES; cpu++) {
				set_cpu(cpu);
				for (unsigned int k = 0; k < ACCESS_KINDS; k++) {
					put(t->upper, upper);
					put(t->lower, lower);
					compare(la, access_kind(k), both, 2);
				}
			}
		}
	}
	print_message("%lu cases agree\n", cases - before);
}

#define INDEX(level, la) (((la) >> (12 + 9 * ((level) - 1))) & 511)
#define RSVD_ADDR (1ull << 45) /* beyond maxphyaddr 40 */

static struct entry entry_long(int level)
{
	return (struct entry){ TABLE(level) + INDEX(level, LA_LONG) * 8, 8 };
}

/* A path that allows everything, down to a page at gpa 0x7000. */
static void open_path_long(void)
{
	paging.cr3 = TABLE(4) | 0x18; /* PWT, PCD: ignored */
	for (int level = 4; level > 1; level--)
		put(entry_long(level), TABLE(level - 1) | P | W | U | A);
	put(entry_long(1), 0x7000 | P | W | U | A | D);
}

static const uint64_t table_bits[] = { P, W, U, A, PS, NX, RSVD_ADDR };
static const uint64_t leaf_bits[] = { P, W, U, A, D, PS, NX, RSVD_ADDR };

static void lesson_31_long_pde_and_pte(void **state)
{
	struct pair t = {
		.upper = entry_long(2), .lower = entry_long(1), .upper_base = TABLE(1), .lower_base = 0x7000,
		.upper_bits = table_bits, .upper_n = ARRAY_SIZE(table_bits),
		.lower_bits = leaf_bits, .lower_n = ARRAY_SIZE(leaf_bits),
	};

	open_path_long();
	permute(&t, LA_LONG);
}

/* Which bits of a large PDE are reserved depends on PS, so here PS is always
 * set or the address bits 20:13 are. */
static void lesson_31_long_pdpte_and_large_pde(void **state)
{
	static const uint64_t upper_bits[] = { P, W, U, NX, D };
	static const uint64_t large_bits[] = { P, W, U, A, D, NX, 1ull << 12, 1ull << 13, 1ull << 20 };
	struct pair t = {
		.upper = entry_long(3), .lower = entry_long(2),
		.upper_base = TABLE(2), .lower_base = 0x40000000 | PS,
		.upper_bits = upper_bits, .upper_n = ARRAY_SIZE(upper_bits),
		.lower_bits = large_bits, .lower_n = ARRAY_SIZE(large_bits),
	};

	open_path_long();
	permute(&t, LA_LONG);
}

static void lesson_31_long_pml4e_and_1g_pdpte(void **state)
{
	static const uint64_t upper_bits[] = { P, W, U, A, NX, PS };
	static const uint64_t large_bits[] = { P, W, U, D, NX, 1ull << 12, 1ull << 29 };
	struct pair t = {
		.upper = entry_long(4), .lower = entry_long(3),
		.upper_base = TABLE(3), .lower_base = 1ull << 38 | PS,
		.upper_bits = upper_bits, .upper_n = ARRAY_SIZE(upper_bits),
		.lower_bits = large_bits, .lower_n = ARRAY_SIZE(large_bits),
	};

	for (int has = 0; has < 2; has++) {
		open_path_long();
		paging.has_1g_pages = has;
		permute(&t, LA_LONG);
	}
}

/* Every single bit of every level, at every physical width. */
static void lesson_24_every_bit_at_every_width(void **state)
{
	uint64_t before = cases;

	for (unsigned int width = 32; width <= 52; width++) {
		paging.maxphyaddr = width;
		for (int level = 1; level <= 4; level++) {
			for (unsigned int i = 0; i < 64 * 4; i++) {
				unsigned int b = i / 4;
				struct entry e = entry_long(level);
				bool large = (i & 1) && (level == 2 || level == 3);
				uint64_t v = P | W | U | (large ? PS : level == 1 ? 0x7000 : TABLE(level - 1));

				/* Not those that lead to a table out of RAM, or make
				 * a large page of it: permuted elsewhere. */
				if (!large && level > 1 && b >= 12 && b < width)
					continue;
				if (!large && level > 1 && level < 4 && b == 7)
					continue;
				set_cpu(i & 2 ? 15 : 0);
				open_path_long();
				put(e, v ^ 1ull << b);
				compare(LA_LONG, PFERR_WRITE | WALK_AC, &e, 1);
			}
		}
	}
	print_message("%lu cases agree\n", cases - before);
}

/* ---- PAE --------------------------------------------------------------- */

static struct entry entry_pae(int level)
{
	return (struct entry){ TABLE(level) + INDEX(level, LA_32) * 8, 8 };
}

static void open_path_pae(void)
{
	paging.efer = EFER_NXE;
	paging.cr3 = TABLE(3) | 0x20; /* 32-byte aligned is enough */
	paging.pdpte[2] = TABLE(2) | P;
	put(entry_pae(2), TABLE(1) | P | W | U | A);
	put(entry_pae(1), 0x7000 | P | W | U | A | D);
}

static void lesson_31_pae_pde_and_pte(void **state)
{
	static const uint64_t bits[] = { P, W, U, A, D, NX, 1ull << 62 };
	struct pair t = {
		.upper = entry_pae(2), .lower = entry_pae(1), .upper_base = TABLE(1), .lower_base = 0x7000,
		.upper_bits = table_bits, .upper_n = ARRAY_SIZE(table_bits),
		.lower_bits = bits, .lower_n = ARRAY_SIZE(bits),
	};

	open_path_pae();
	permute(&t, LA_32);
}

static void lesson_31_pae_pdpte_registers(void **state)
{
	const struct entry both[2] = { entry_pae(2), entry_pae(1) };
	struct guest_walk w;

	open_path_pae();
	for (unsigned int cpu = 0; cpu < CPU_STATES; cpu++) {
		for (unsigned int k = 0; k < ACCESS_KINDS; k++) {
			open_path_pae();
			set_cpu(cpu); /* after it: it sets EFER */
			compare(LA_32, access_kind(k), both, 2);
			compare(LA_32 | 0xFFFFull << 32, access_kind(k), both, 0); /* 32 bits count */
			paging.pdpte[2] = TABLE(2);
			compare(LA_32, access_kind(k), both, 2);
		}
	}
	open_path_pae();
	set_cpu(0);
	assert_int_equal(guest_walk(&w, &m, &paging, gva(LA_32), 0, NULL), WALK_OK);
	assert_int_equal(w.top_level, 3);
	assert_int_equal(w.level, 1);
	assert_int_equal(w.gpte[3], paging.pdpte[2]);
	assert_int_equal(w.gpte_gpa[3].v, TABLE(3) + 0x20 + 2 * 8);
	assert_int_equal(w.access[3], ACCESS_ALL);
}

/* ---- two-level --------------------------------------------------------- */

static const struct entry pde_32 = { 0x1000 + (LA_32 >> 22) * 4, 4 };
static const struct entry pte_32 = { 0x2000 + (LA_32 >> 12 & 1023) * 4, 4 };

static void lesson_31_two_level(void **state)
{
	static const uint64_t upper_bits[] = { P, W, U, A, D, PS };
	static const uint64_t lower_bits[] = { P, W, U, A, D, PS };
	struct pair t = {
		.upper = pde_32, .lower = pte_32, .upper_base = 0x2000, .lower_base = 0x7000,
		.upper_bits = upper_bits, .upper_n = ARRAY_SIZE(upper_bits),
		.lower_bits = lower_bits, .lower_n = ARRAY_SIZE(lower_bits),
	};

	paging.cr3 = 0x1000;
	paging.efer = 0;
	for (int pse = 0; pse < 2; pse++) {
		paging.cr4 = pse ? X86_CR4_PSE : 0;
		permute(&t, LA_32);
	}
}

static void lesson_31_pse36_at_every_width(void **state)
{
	uint64_t before = cases;

	paging.cr3 = 0x1000;
	paging.cr4 = X86_CR4_PSE;
	for (paging.maxphyaddr = 32; paging.maxphyaddr <= 52; paging.maxphyaddr++) {
		for (unsigned int high = 0; high < 1u << 10; high++) { /* bits 21:12 */
			set_cpu(high % CPU_STATES);
			paging.efer = 0;
			put(pde_32, (uint64_t)high << 12 | 0x5AC00000 | P | W | U | PS);
			compare(LA_32, PFERR_WRITE | PFERR_USER, &pde_32, 1);
		}
	}
	print_message("%lu cases agree\n", cases - before);
}

/* ---- paging off -------------------------------------------------------- */

static void paging_off_is_the_identity(void **state)
{
	struct guest_walk w;

	paging.cr0 = X86_CR0_PE;
	paging.efer = 0;
	for (unsigned int pae = 0; pae < 2; pae++) {
		paging.cr4 = pae ? X86_CR4_PAE : 0;
		for (unsigned int cpu = 0; cpu < CPU_STATES; cpu++) {
			set_cpu(cpu);
			for (unsigned int k = 0; k < ACCESS_KINDS; k++)
				for (unsigned int b = 0; b < 64; b++)
					compare(1ull << b, access_kind(k), NULL, 0);
		}
	}
	assert_int_equal(guest_walk(&w, &m, &paging, gva(0xFFFFFFFF12345678), PFERR_WRITE, NULL), WALK_OK);
	assert_int_equal(w.gfn.v, 0x12345);
	assert_int_equal(w.level, 0);
	assert_int_equal(w.top_level, 0);
}

/* ---- what the oracle does not see -------------------------------------- */

static uint64_t gpte(struct entry e)
{
	uint64_t v = 0;

	memcpy(&v, ram + e.pa, e.size);
	return v;
}

static void lesson_23_rights_are_anded_along_the_path(void **state)
{
	struct guest_walk w;

	open_path_long();
	put(entry_long(4), TABLE(3) | P | W | U | NX);
	put(entry_long(3), TABLE(2) | P | U);
	put(entry_long(2), TABLE(1) | P | W);
	assert_int_equal(guest_walk(&w, &m, &paging, gva(LA_LONG), 0, NULL), WALK_OK);
	assert_int_equal(w.access[4], ACCESS_WRITE | ACCESS_USER);
	assert_int_equal(w.access[3], ACCESS_USER);
	assert_int_equal(w.access[2], 0);
	assert_int_equal(w.access[1], 0);
	for (int level = 1; level <= 4; level++) {
		assert_int_equal(w.gpte_gpa[level].v, entry_long(level).pa);
		assert_int_equal(w.gpte[level], gpte(entry_long(level)));
		assert_true(w.gpte[level] & A);
	}
}

static void peek_checks_no_rights_and_sets_nothing(void **state)
{
	struct guest_walk w;

	open_path_long();
	for (int level = 4; level > 1; level--)
		put(entry_long(level), TABLE(level - 1) | P);
	put(entry_long(1), 0x7000 | P | NX);
	assert_int_equal(guest_walk(&w, &m, &paging, gva(LA_LONG), PFERR_WRITE | PFERR_USER | WALK_PEEK, NULL),
			 WALK_OK);
	assert_int_equal(w.gfn.v, 7);
	assert_int_equal(w.access[1], 0);
	for (int level = 1; level <= 4; level++)
		assert_false(gpte(entry_long(level)) & (A | D));
	put(entry_long(2), 0);
	assert_int_equal(guest_walk(&w, &m, &paging, gva(LA_LONG), WALK_PEEK, NULL), WALK_FAULT);
}

/* The CPU's own accesses are a supervisor's, whatever ran when they came. */
static void implicit_is_supervisor(void **state)
{
	struct guest_walk w;

	open_path_long();
	put(entry_long(1), 0x7000 | P | W);
	assert_int_equal(guest_walk(&w, &m, &paging, gva(LA_LONG), PFERR_USER | WALK_IMPLICIT, NULL), WALK_OK);
	assert_int_equal(guest_walk(&w, &m, &paging, gva(LA_LONG), PFERR_USER, NULL), WALK_FAULT);
	put(entry_long(1), 0x7000 | P | U);
	assert_int_equal(guest_walk(&w, &m, &paging, gva(LA_LONG), PFERR_USER | PFERR_WRITE | WALK_IMPLICIT, NULL),
			 WALK_FAULT);
	assert_int_equal(w.error_code, PFERR_PRESENT | PFERR_WRITE);
}

static void cr3_has_bits_above_the_address(void **state)
{
	struct guest_walk w;

	open_path_long();
	paging.cr3 |= 1ull << 63 | 0x7ffull << 52;
	assert_int_equal(guest_walk(&w, &m, &paging, gva(LA_LONG), PFERR_WRITE, NULL), WALK_OK);
	assert_int_equal(w.gfn.v, 7);
}

static void tables_outside_ram_are_told(void **state)
{
	struct guest_walk w;

	for (int level = 4; level > 1; level--) {
		open_path_long();
		put(entry_long(level), (1ull << 39) | P | W | U);
		assert_int_equal(guest_walk(&w, &m, &paging, gva(LA_LONG), PFERR_WRITE, NULL), WALK_NO_RAM);
		assert_int_equal(w.bad_gpa.v, (1ull << 39) + INDEX(level - 1, LA_LONG) * 8);
		assert_int_equal(w.level, level - 1);
		assert_false(gpte(entry_long(level)) & A);
	}
	paging.cr3 = 1ull << 39;
	assert_int_equal(guest_walk(&w, &m, &paging, gva(LA_LONG), 0, NULL), WALK_NO_RAM);
}

static void lesson_25_tables_that_point_at_themselves(void **state)
{
	struct entry e = { TABLE(4) + 511 * 8, 8 };
	struct guest_walk w;

	paging.cr3 = TABLE(4);
	put(e, TABLE(4) | P | W);
	assert_int_equal(guest_walk(&w, &m, &paging, gva(~0ull), PFERR_WRITE, NULL), WALK_OK);
	assert_int_equal(w.gfn.v, TABLE(4) >> PAGE_SHIFT);
	assert_int_equal(gpte(e), TABLE(4) | P | W | A | D);
}

static void read_only_tables_keep_their_bits(void **state)
{
	struct guest_walk w;

	open_path_long();
	put(entry_long(1), 0x7000 | P | W | U);
	assert_int_equal(memslot_set_flags(&m.slots, 0, MEMSLOT_READONLY), 0);
	assert_int_equal(guest_walk(&w, &m, &paging, gva(LA_LONG), PFERR_WRITE, NULL), WALK_OK);
	assert_int_equal(w.gfn.v, 7);
	assert_int_equal(w.gpte[1], 0x7000 | P | W | U);
	assert_int_equal(gpte(entry_long(1)), 0x7000 | P | W | U);
}

/* A tracker on the top table: it hears of the accessed bit there, and as
 * another CPU might, changes the PTE before the walk comes to it. */
static unsigned int told, changes_left;

static void change_pte(struct page_tracker *t, const struct page_track_event *e)
{
	told++;
	assert_int_equal(e->origin->agent, AGENT_WALKER);
	assert_int_equal(e->mode, PAGE_TRACK_WRITE);
	assert_int_equal(e->len, 8);
	assert_int_equal(e->new[0] & ~e->old[0], A);
	if (changes_left == 0)
		return;
	changes_left--;
	put(entry_long(1), 0x8000 | P | W | U);
}

static void change_for_ever(struct page_tracker *t, const struct page_track_event *e)
{
	told++;
	put(entry_long(4), TABLE(3) | P | W | U);
	put(entry_long(1), (gpte(entry_long(1)) ^ 0xF000) & ~(A | D));
}

static void lesson_09_accessed_bits_are_told_and_the_walk_starts_over(void **state)
{
	const struct page_tracker_ops cpu = { .after = change_pte };
	struct page_tracker t = { .name = "cpu", .priority = 1, .ops = &cpu };
	struct guest_walk w;

	told = 0;
	changes_left = 1;
	open_path_long();
	put(entry_long(4), TABLE(3) | P | W | U);
	put(entry_long(1), 0x7000 | P | W | U);
	assert_int_equal(page_tracker_register(&m.track, &t), 0);
	assert_int_equal(page_tracker_add(&t, gfn(1), 1, PAGE_TRACK_W, NULL), 0);
	assert_int_equal(guest_walk(&w, &m, &paging, gva(LA_LONG), PFERR_WRITE, NULL), WALK_OK);
	assert_int_equal(told, 1);
	assert_int_equal(w.gfn.v, 8);
	assert_int_equal(gpte(entry_long(1)), 0x8000 | P | W | U | A | D);
	assert_int_equal(w.gpte[1], gpte(entry_long(1)));
	assert_int_equal(page_tracker_destroy(&t), 0);
}

static void a_guest_that_changes_for_ever_does_not_hold_us(void **state)
{
	const struct page_tracker_ops cpu = { .after = change_for_ever };
	struct page_tracker t = { .name = "cpu", .priority = 1, .ops = &cpu };
	struct guest_walk w;

	told = 0;
	open_path_long();
	put(entry_long(4), TABLE(3) | P | W | U);
	put(entry_long(1), 0x7000 | P | W | U);
	assert_int_equal(page_tracker_register(&m.track, &t), 0);
	assert_int_equal(page_tracker_add(&t, gfn(1), 1, PAGE_TRACK_W, NULL), 0);
	assert_int_equal(guest_walk(&w, &m, &paging, gva(LA_LONG), PFERR_WRITE, NULL), WALK_OK);
	assert_in_range(told, 2, 100);
	assert_int_equal(page_tracker_destroy(&t), 0);
}

static void pdptes_are_loaded_whole_or_not_at_all(void **state)
{
	const uint64_t good[4] = { 0x1000 | P, 0, 0x3000 | P | 0x18 | 0xE00, ~0ull & ~P };
	uint64_t got[4] = { 1, 2, 3, 4 }, bad[4];

	paging.cr3 = 0xFFFFFFFF00000000 | 0x2FE0 | 0x18; /* above bit 31 and below 5: ignored */
	memcpy(ram + 0x2FE0, good, 32);
	assert_int_equal(guest_load_pdptes(&m, &paging, got), 0);
	assert_memory_equal(got, good, 32);
	for (unsigned int b = 1; b < 64; b++) {
		bool reserved = (b >= 1 && b <= 2) || (b >= 5 && b <= 8) || b >= paging.maxphyaddr;

		for (unsigned int i = 0; i < 4; i++) {
			memset(bad, 0, sizeof(bad));
			bad[i] = P | 1ull << b;
			memcpy(ram + 0x2FE0, bad, 32);
			memset(got, 0x99, sizeof(got));
			assert_int_equal(guest_load_pdptes(&m, &paging, got), reserved ? -EINVAL : 0);
			assert_int_equal(got[i], reserved ? 0x9999999999999999 : bad[i]);
		}
	}
	paging.cr3 = RAM_PAGES << PAGE_SHIFT;
	assert_int_equal(guest_load_pdptes(&m, &paging, got), -EFAULT);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(lesson_31_long_pde_and_pte),
		T(lesson_31_long_pdpte_and_large_pde),
		T(lesson_31_long_pml4e_and_1g_pdpte),
		T(lesson_24_every_bit_at_every_width),
		T(lesson_31_pae_pde_and_pte),
		T(lesson_31_pae_pdpte_registers),
		T(lesson_31_two_level),
		T(lesson_31_pse36_at_every_width),
		T(paging_off_is_the_identity),
		T(lesson_23_rights_are_anded_along_the_path),
		T(peek_checks_no_rights_and_sets_nothing),
		T(implicit_is_supervisor),
		T(cr3_has_bits_above_the_address),
		T(tables_outside_ram_are_told),
		T(lesson_25_tables_that_point_at_themselves),
		T(read_only_tables_keep_their_bits),
		T(lesson_09_accessed_bits_are_told_and_the_walk_starts_over),
		T(a_guest_that_changes_for_ever_does_not_hold_us),
		T(pdptes_are_loaded_whole_or_not_at_all),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	printf("walk against oracle: %lu cases\n", cases);
	return failed;
}
