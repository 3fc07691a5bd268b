/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Situations that guests can make and nobody would: tables in holes and in
 * ROM, tables that are their own children, loops, very high frames, pages of
 * 1 GiB over little RAM, roots that are not there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "lib/alloc.h"
#include "lib/errno.h"
#include "mm/port.h"
#include "tests/host/mm_fixture.h"
#include "tests/host/others.h"
#include "tests/host/port_host.h"

#define MB2 (2ull << 20)
#define GB1 (1ull << 30)
#define HOLE 5000ull /* a gfn in no slot */
#define LME (EFER_LME | EFER_LMA | EFER_NXE)

/* A slot over the fixture's spare memory. */
static void add_slot(struct fixture *fx, uint32_t id, uint64_t base, uint64_t npages)
{
	const struct memslot_desc d = { .id = id, .base_gfn = gfn(base), .npages = npages,
					.base_pfn = pfn_add(fx->base_pfn, fx->npages) };

	assert_int_equal(mmu_slot_create(&fx->mmu, &d), 0);
}

static uint64_t frame_at(struct fixture *fx, uint64_t addr)
{
	struct cpu_translation t;

	assert_true(cpu_walk(&fx->v, gva(addr), &t));
	return t.frame.v >> PAGE_SHIFT;
}

/* ---- holes ------------------------------------------------------------------ */

/* A table at each level in turn is in a hole, then RAM comes there, then it
 * goes again. */
static void a_table_in_a_hole_at_every_level(void **state)
{
	const uint64_t addr = 1ull << 39 | 1ull << 30 | 1ull << 21 | 1ull << 12;

	for (int level = 1; level <= 4; level++) {
		struct guest_paging p;
		struct page_fault f;
		struct fixture fx;
		uint64_t e = 0;
		gpa_t at = gpa(HOLE << 12 | 8);

		fx_open(&fx, 64, 64);
		fx_long_mode(&fx);
		fx_map(&fx, addr, 1, 20 << 12 | G_ALL);
		/* The table of @level moves to the hole: the entry above says so. */
		if (level < 4) {
			fx_map(&fx, addr, level + 1, HOLE << 12 | G_ALL);
		} else {
			p = fx.v.paging;
			p.cr3 = HOLE << 12;
			assert_int_equal(mmu_set_paging(&fx.v, &p), 0);
		}
		assert_int_equal(fx_touch(&fx, addr, PFERR_FETCH, &f), FAULT_INJECT);
		assert_int_equal(f.inject_code, PFERR_PRESENT | PFERR_RSVD | PFERR_FETCH); /* NXE is set */
		assert_audit(&fx);

		add_slot(&fx, 1, HOLE, 1);
		assert_int_equal(fx_touch(&fx, addr, 0, &f), FAULT_INJECT);
		assert_int_equal(f.inject_code, 0);
		e = level == 1 ? 20 << 12 | G_ALL : (uint64_t)(FX_ROOT + 5 - level) << 12 | G_ALL;
		fx_write(&fx, at, &e, 8);
		assert_int_equal(fx_touch(&fx, addr, PFERR_WRITE, NULL), FAULT_FIXED);
		assert_int_equal(frame_at(&fx, addr), fx.base_pfn.v + 20);

		assert_int_equal(mmu_slot_delete(&fx.mmu, 1), 0);
		assert_false(fx_goes_through(&fx, addr, 0));
		assert_int_equal(fx_touch(&fx, addr, 0, &f), FAULT_INJECT);
		assert_audit(&fx);
		fx_close(&fx);
	}
}

/* Without NXE and SMEP a fault does not tell of a fetch. */
static void a_fetch_through_a_hole_is_told_where_fetches_are(void **state)
{
	static const struct { uint64_t cr4, efer; bool told; } states[] = {
		{ X86_CR4_PAE, EFER_LME | EFER_LMA, false },
		{ X86_CR4_PAE | X86_CR4_SMEP, EFER_LME | EFER_LMA, true },
		{ X86_CR4_PAE, LME, true },
		{ 0, EFER_NXE, false }, /* two-level tables have no NX */
		{ X86_CR4_SMEP, 0, true },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(states); i++) {
		struct page_fault f;
		struct fixture fx;

		fx_open(&fx, 64, 64);
		fx_paging(&fx, X86_CR0_WP, states[i].cr4, states[i].efer);
		fx_map(&fx, 0, 2, HOLE << 12 | G_ALL);
		assert_int_equal(fx_touch(&fx, 0, PFERR_FETCH, &f), FAULT_INJECT);
		assert_int_equal(f.inject_code,
				 PFERR_PRESENT | PFERR_RSVD | (states[i].told ? PFERR_FETCH : 0));
		fx_close(&fx);
	}
}

/* No entry for a device: each access comes to us. RAM that comes there is
 * mapped, and gone with its slot. */
static void lesson_22_device_memory_leaves_no_entry(void **state)
{
	struct page_fault f;
	struct fixture fx;
	struct cpu_translation t;

	fx_open(&fx, 64, 64);
	fx_long_mode(&fx);
	fx_map(&fx, 0, 1, HOLE << 12 | G_ALL);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(fx_touch(&fx, 0x123, PFERR_WRITE, &f), FAULT_MMIO);
		assert_int_equal(f.gpa.v, (HOLE << 12) + 0x123);
		assert_false(cpu_walk(&fx.v, gva(0), &t));
		assert_audit(&fx);
		add_slot(&fx, 1, HOLE, 1);
		assert_int_equal(fx_touch(&fx, 0x123, PFERR_WRITE, NULL), FAULT_FIXED);
		assert_int_equal(frame_at(&fx, 0), fx.base_pfn.v + 64);
		assert_audit(&fx);
		assert_int_equal(mmu_slot_delete(&fx.mmu, 1), 0);
	}
	fx_close(&fx);
}

/* ---- tables in ROM ------------------------------------------------------------ */

/* The whole hierarchy is in a read-only slot. */
static void all_tables_in_a_read_only_slot(void **state)
{
	struct guest_paging p;
	struct page_fault f = { .addr = gva(0), .error_code = PFERR_WRITE };
	struct fixture fx;

	fx_open(&fx, 64, 64);
	add_slot(&fx, 1, HOLE, 4);
	assert_int_equal(mmu_slot_set_flags(&fx.mmu, 1, MEMSLOT_READONLY), 0);
	for (uint64_t i = 0; i < 4; i++) {
		uint64_t e = (i < 3 ? HOLE + i + 1 : 20) << 12 | G_P | G_W | (i == 3 ? 0 : G_U);

		assert_int_equal(guest_write(&fx.mmu.mem, gpa((HOLE + i) << 12), &e, 8, BY(LOADER)), 0);
	}
	fx_long_mode(&fx);
	p = fx.v.paging;
	p.cr3 = HOLE << 12;
	assert_int_equal(mmu_set_paging(&fx.v, &p), 0);
	assert_int_equal(fx_touch(&fx, 0, PFERR_FETCH, NULL), FAULT_FIXED);
	assert_int_equal(frame_at(&fx, 0), fx.base_pfn.v + 20);
	assert_int_equal(fx_touch(&fx, 0, PFERR_USER, &f), FAULT_INJECT);
	f.error_code = PFERR_WRITE;
	assert_int_equal(mmu_page_fault(&fx.v, &f), FAULT_EMULATE); /* D cannot be set */
	assert_audit(&fx);
	fx_close(&fx);
}

/* ---- tables that are their own children ------------------------------------------ */

/* The top table's last entry is the table itself, as some kernels have it:
 * all tables appear as data, and writing them there is writing them. */
static void lesson_25_a_recursive_slot(void **state)
{
	const uint64_t addr = 0x12345678000ull;
	const uint64_t top = 0xffffff0000000000ull; /* sign-extended index 510 at level 4 */
	uint64_t pte_va = top | (addr >> 12 << 3), e;
	struct page_fault f;
	struct fixture fx;
	gpa_t at;

	fx_open(&fx, 64, 64);
	fx_long_mode(&fx);
	at = fx_map(&fx, addr, 1, 20 << 12 | G_ALL);
	fx_map(&fx, top, 4, FX_ROOT << 12 | G_ALL);
	assert_int_equal(fx_touch(&fx, addr, PFERR_WRITE, NULL), FAULT_FIXED);
	/* The PTE, the PDE, ... and the PML4 itself, as data. */
	for (int level = 1; level <= 4; level++) {
		assert_int_equal(fx_touch(&fx, pte_va, 0, NULL), FAULT_FIXED);
		assert_int_equal(fx_touch(&fx, pte_va, PFERR_WRITE, &f), FAULT_EMULATE);
		assert_audit(&fx);
		if (level == 1)
			assert_int_equal(f.gpa.v, at.v);
		pte_va = top | (pte_va & 0xffffffffffff) >> 12 << 3;
	}
	e = 21 << 12 | G_ALL;
	fx_write(&fx, at, &e, 8);
	assert_false(fx_goes_through(&fx, addr, 0));
	assert_int_equal(fx_touch(&fx, addr, 0, NULL), FAULT_FIXED);
	assert_int_equal(frame_at(&fx, addr), fx.base_pfn.v + 21);
	fx_close(&fx);
}

/* Two tables that are each other's children at every level: 2^4 paths, eight
 * shadow pages, and an end. */
static void lesson_25_a_loop_of_two(void **state)
{
	const uint64_t a = FX_ROOT, b = 9;
	struct fixture fx;
	uint64_t e;

	fx_open(&fx, 64, 64);
	fx_long_mode(&fx);
	for (unsigned int i = 0; i < 2; i++) { /* entry 0: to a, entry 1: to b */
		e = (i ? b : a) << 12 | G_ALL;
		fx_write(&fx, gpa(a << 12 | i * 8), &e, 8);
		fx_write(&fx, gpa(b << 12 | i * 8), &e, 8);
	}
	for (uint64_t path = 0; path < 32; path++) {
		uint64_t addr = (path >> 3 & 1) << 39 | (path >> 2 & 1) << 30 | (path >> 1 & 1) << 21 |
				(path & 1) << 12;

		assert_int_equal(fx_touch(&fx, addr, 0, NULL), FAULT_FIXED);
		assert_int_equal(frame_at(&fx, addr), fx.base_pfn.v + (path & 1 ? b : a));
		if (path >= 16) /* the second time round all is a table */
			assert_int_equal(fx_touch(&fx, addr, PFERR_WRITE, NULL), FAULT_EMULATE);
	}
	assert_int_equal(shadow_count(&fx.mmu.pool, gfn(a)), 4);
	assert_int_equal(shadow_count(&fx.mmu.pool, gfn(b)), 3); /* never the root */
	assert_audit(&fx);
	e = 0;
	fx_write(&fx, gpa(a << 12), &e, 8);
	assert_false(fx_goes_through(&fx, 0, 0));
	assert_audit(&fx);
	fx_close(&fx);
}

/* A chain as long as RAM allows on one level: each directory's entry leads to
 * the next page, which is a directory, too, under another root. */
static void lesson_25_a_chain_on_one_level(void **state)
{
	struct fixture fx;

	fx_open(&fx, 512, MMU_SHADOW_PAGES_MIN);
	fx_long_mode(&fx);
	for (uint64_t g = 1; g < 511; g++) {
		uint64_t e = (g + 1) << 12 | G_ALL;

		fx_write(&fx, gpa(g << 12), &e, 8);
	}
	for (uint64_t g = 1; g < 500; g++) {
		struct guest_paging p = fx.v.paging;

		p.cr3 = g << 12;
		assert_int_equal(mmu_set_paging(&fx.v, &p), 0);
		assert_int_equal(fx_touch(&fx, 0, 0, NULL), FAULT_FIXED);
		assert_int_equal(frame_at(&fx, 0), fx.base_pfn.v + g + 4);
	}
	assert_true(fx.mmu.stats.reclaimed > 400);
	fx_close(&fx);
}

/* The same table under parents that give different rights: as many shadow
 * pages as rights, each exact. */
static void lesson_23_one_table_under_different_rights(void **state)
{
	struct fixture fx;
	gpa_t at;

	fx_open(&fx, 64, 64);
	fx_long_mode(&fx);
	at = fx_map(&fx, 0, 1, 20 << 12 | G_ALL);
	for (uint64_t i = 0; i < 8; i++)
		fx_map(&fx, i << 21, 2, (at.v & ~0xfffull) | G_P | G_A | (i & 1 ? G_W : 0) |
		       (i & 2 ? G_U : 0) | (i & 4 ? G_NX : 0));
	for (uint64_t i = 0; i < 8; i++) {
		const enum fault_result is[2] = { FAULT_INJECT, FAULT_FIXED };

		assert_int_equal(fx_touch(&fx, i << 21, 0, NULL), FAULT_FIXED);
		assert_int_equal(fx_touch(&fx, i << 21, PFERR_WRITE, NULL), is[i & 1]);
		assert_int_equal(fx_touch(&fx, i << 21, PFERR_USER, NULL), is[i >> 1 & 1]);
		assert_int_equal(fx_touch(&fx, i << 21, PFERR_FETCH, NULL), is[~i >> 2 & 1]);
	}
	assert_int_equal(shadow_count(&fx.mmu.pool, gfn(at.v >> 12)), 8);
	assert_audit(&fx);
	fx_map(&fx, 0, 1, 0); /* gone from under all of them */
	for (uint64_t i = 0; i < 8; i++)
		assert_false(fx_goes_through(&fx, i << 21, 0));
	fx_close(&fx);
}

/* ---- high frames ------------------------------------------------------------------ */

/* A 4 MiB page of a two-level table reaches above 4 GiB. */
static void lesson_31_pse36_reaches_above_4_gib(void **state)
{
	const uint64_t high = 0x5ull << 32 >> 12; /* gfn of 20 GiB */
	struct fixture fx;

	fx_open(&fx, 64, 64);
	fx_paging(&fx, X86_CR0_WP, X86_CR4_PSE, 0);
	add_slot(&fx, 1, high + 3, 20);
	fx_map(&fx, 0x00c00000, 2, 0x5ull << 13 | G_ALL | G_PS);
	for (uint64_t i = 3; i < 23; i++) {
		assert_int_equal(fx_touch(&fx, 0x00c00000 + (i << 12), PFERR_WRITE, NULL), FAULT_FIXED);
		assert_int_equal(frame_at(&fx, 0x00c00000 + (i << 12)), fx.base_pfn.v + 64 + i - 3);
	}
	assert_int_equal(fx_touch(&fx, 0x00c00000 + (2 << 12), 0, NULL), FAULT_MMIO);
	assert_int_equal(others_add(&fx.mmu, gfn(high + 5), PAGE_TRACK_WRITE), 0);
	assert_int_equal(fx_touch(&fx, 0x00c05000, PFERR_WRITE, NULL), FAULT_EMULATE);
	assert_int_equal(fx_touch(&fx, 0x00c04000, PFERR_WRITE, NULL), FAULT_FIXED);
	assert_int_equal(others_remove(&fx.mmu, gfn(high + 5), PAGE_TRACK_WRITE), 0);
	fx_close(&fx);
}

/* The last frame that a page-table entry can name, as data and as a table. */
static void lesson_24_the_last_frame_there_is(void **state)
{
	const uint64_t last = (1ull << 40) - 1;
	struct page_fault f;
	struct fixture fx;

	fx_open(&fx, 64, 64);
	fx.v.paging.maxphyaddr = 52;
	fx_long_mode(&fx);
	add_slot(&fx, 1, last, 1);
	fx_map(&fx, 0, 1, last << 12 | G_ALL);
	assert_int_equal(fx_touch(&fx, 0xabc, PFERR_WRITE, &f), FAULT_FIXED);
	assert_int_equal(f.gpa.v, (last << 12) + 0xabc);
	assert_int_equal(frame_at(&fx, 0), fx.base_pfn.v + 64);
	assert_int_equal(others_add(&fx.mmu, gfn(last), PAGE_TRACK_WRITE), 0);
	assert_false(fx_goes_through(&fx, 0, PFERR_WRITE));
	assert_int_equal(others_remove(&fx.mmu, gfn(last), PAGE_TRACK_WRITE), 0);
	fx_map(&fx, MB2, 2, last << 12 | G_ALL);
	fx_map(&fx, MB2, 1, 20 << 12 | G_ALL);
	assert_int_equal(fx_touch(&fx, MB2, PFERR_WRITE, NULL), FAULT_FIXED);
	assert_int_equal(page_track_count(&memslot_find(&fx.mmu.mem.slots, gfn(last))->track, gfn(last),
					  PAGE_TRACK_WRITE), 1);
	assert_int_equal(others_add(&fx.mmu, gfn(1ull << 40), PAGE_TRACK_WRITE), -EINVAL);
	fx_close(&fx);
}

/* ---- large guest pages -------------------------------------------------------------- */

/* 1 GiB of which little is RAM, some is tracked and some read-only. */
static void a_page_of_1_gib_over_all_kinds(void **state)
{
	struct fixture fx;

	fx_open(&fx, 1024, 64);
	fx_long_mode(&fx);
	add_slot(&fx, 1, 2048, 16);
	assert_int_equal(mmu_slot_set_flags(&fx.mmu, 1, MEMSLOT_READONLY), 0);
	fx_map(&fx, 7 * GB1, 3, G_ALL | G_PS);
	assert_int_equal(others_add(&fx.mmu, gfn(30), PAGE_TRACK_READ), 0);
	assert_int_equal(fx_touch(&fx, 7 * GB1 + MB2 + 0x5000, PFERR_WRITE, NULL), FAULT_FIXED);
	assert_true(fx_is_large(&fx, 7 * GB1 + MB2));
	assert_int_equal(fx_touch(&fx, 7 * GB1 + (31 << 12), PFERR_WRITE, NULL), FAULT_FIXED);
	assert_false(fx_is_large(&fx, 7 * GB1));
	assert_int_equal(fx_touch(&fx, 7 * GB1 + (30 << 12), 0, NULL), FAULT_EMULATE);
	assert_false(fx_goes_through(&fx, 7 * GB1 + (30 << 12), 0)); /* nor as a neighbour */
	assert_int_equal(fx_touch(&fx, 7 * GB1 + (2050 << 12), 0, NULL), FAULT_FIXED);
	assert_int_equal(frame_at(&fx, 7 * GB1 + (2050 << 12)), fx.base_pfn.v + 1024 + 2);
	assert_int_equal(fx_touch(&fx, 7 * GB1 + (2050 << 12), PFERR_WRITE, NULL), FAULT_EMULATE);
	assert_int_equal(fx_touch(&fx, 7 * GB1 + (2047 << 12), 0, NULL), FAULT_MMIO);
	assert_int_equal(fx_touch(&fx, 7 * GB1 + (2064 << 12), 0, NULL), FAULT_MMIO);
	assert_audit(&fx);
	/* The guest splits it. */
	fx_map(&fx, 7 * GB1, 3, 40 << 12 | G_ALL);
	fx_map(&fx, 7 * GB1, 2, MB2 | G_ALL | G_PS);
	assert_false(fx_goes_through(&fx, 7 * GB1 + MB2 + 0x5000, 0));
	assert_int_equal(fx_touch(&fx, 7 * GB1 + 0x5000, PFERR_WRITE, NULL), FAULT_FIXED);
	assert_int_equal(frame_at(&fx, 7 * GB1 + 0x5000), fx.base_pfn.v + 512 + 5);
	assert_int_equal(others_remove(&fx.mmu, gfn(30), PAGE_TRACK_READ), 0);
	fx_close(&fx);
}

/* G means nothing without the guest's TLB, and must not reach an spte: a
 * translation that survives CR3 loads would be a hole in the flush. */
static void global_pages_are_ordinary(void **state)
{
	const uint64_t g_bit = 1ull << 8;
	struct fixture fx;

	fx_open(&fx, 1024, 64);
	fx_long_mode(&fx);
	fx_map(&fx, 0, 1, 20 << 12 | G_ALL | g_bit);
	fx_map(&fx, GB1, 2, MB2 | G_ALL | G_PS | g_bit);
	for (int pge = 0; pge < 2; pge++) {
		fx_paging(&fx, X86_CR0_WP, X86_CR4_PAE | (pge ? X86_CR4_PGE : 0), LME);
		assert_int_equal(fx_touch(&fx, 0, PFERR_WRITE, NULL), FAULT_FIXED);
		assert_int_equal(fx_touch(&fx, GB1, PFERR_WRITE, NULL), FAULT_FIXED);
		for (size_t i = 0; i < (size_t)fx.mmu.pool.total * SPTES_PER_PAGE; i++)
			assert_false(spte_present(fx.mmu.pool.tables[i]) && (fx.mmu.pool.tables[i] & g_bit));
	}
	fx_map(&fx, 0, 1, 21 << 12 | G_ALL); /* no INVLPG, and global: gone all the same */
	assert_false(fx_goes_through(&fx, 0, 0));
	fx_close(&fx);
}

/* ---- roots ------------------------------------------------------------------------------ */

/* Of four PDPTEs one is absent, one leads into a hole. */
static void pae_roots_that_are_not_there(void **state)
{
	uint64_t pdpte[4] = { 10 << 12 | G_P, 11 << 12, HOLE << 12 | G_P, 10 << 12 | G_P };
	uint64_t e = MB2 | G_ALL | G_PS;
	struct page_fault f;
	struct fixture fx;

	fx_open(&fx, 1024, 64);
	fx_write(&fx, gpa(FX_ROOT << 12), pdpte, 32);
	fx_write(&fx, gpa(10 << 12), &e, 8);
	fx_write(&fx, gpa(11 << 12), &e, 8);
	fx_paging(&fx, X86_CR0_WP, X86_CR4_PAE, EFER_NXE);
	assert_int_equal(fx_touch(&fx, 0, PFERR_WRITE, NULL), FAULT_FIXED);
	assert_int_equal(fx_touch(&fx, 3 * GB1, PFERR_WRITE, NULL), FAULT_FIXED);
	assert_int_equal(fx_touch(&fx, GB1, 0, &f), FAULT_INJECT);
	assert_int_equal(f.inject_code, 0);
	assert_int_equal(fx_touch(&fx, 2 * GB1, 0, &f), FAULT_INJECT);
	assert_int_equal(f.inject_code, PFERR_PRESENT | PFERR_RSVD);
	assert_null(fx.v.root.sp[1]);
	assert_null(fx.v.root.sp[2]);
	assert_audit(&fx);
	add_slot(&fx, 1, HOLE, 1);
	fx_write(&fx, gpa(HOLE << 12), &e, 8);
	assert_int_equal(fx_touch(&fx, 2 * GB1, 0, NULL), FAULT_FIXED);
	assert_true(fx_goes_through(&fx, 0, PFERR_WRITE));
	/* One root's slot goes, the others are as they were in the end. */
	assert_int_equal(mmu_slot_delete(&fx.mmu, 1), 0);
	assert_int_equal(fx_touch(&fx, 2 * GB1, 0, &f), FAULT_INJECT);
	assert_int_equal(fx_touch(&fx, 3 * GB1, PFERR_WRITE, NULL), FAULT_FIXED);
	fx_close(&fx);
}

/* A PDPTE with a reserved bit is refused when it is loaded; the guest goes on
 * with those it has. */
static void bad_pdptes_are_refused_at_load(void **state)
{
	uint64_t pdpte = 10 << 12 | G_P, e = MB2 | G_ALL | G_PS;
	struct guest_paging p;
	struct fixture fx;

	fx_open(&fx, 1024, 64);
	fx_write(&fx, gpa(FX_ROOT << 12), &pdpte, 8);
	fx_write(&fx, gpa(10 << 12), &e, 8);
	fx_paging(&fx, X86_CR0_WP, X86_CR4_PAE, EFER_NXE);
	assert_int_equal(fx_touch(&fx, 0, PFERR_WRITE, NULL), FAULT_FIXED);
	for (unsigned int bit = 1; bit < 64; bit++) {
		bool reserved = bit < 3 || (bit >= 5 && bit <= 8) || bit >= 40;

		pdpte = 11 << 12 | G_P | 1ull << bit;
		fx_write(&fx, gpa(FX_ROOT << 12), &pdpte, 8);
		p = fx.v.paging;
		assert_int_equal(guest_load_pdptes(&fx.mmu.mem, &p, p.pdpte), reserved ? -EINVAL : 0);
		if (reserved)
			assert_memory_equal(p.pdpte, fx.v.paging.pdpte, sizeof(p.pdpte));
	}
	assert_true(fx_goes_through(&fx, 0, PFERR_WRITE));
	fx_close(&fx);
}

/* While a root is missing the CPU walks a table of ours, of which every entry
 * is one that names no RAM. */
static void lesson_30_the_empty_root_names_no_ram(void **state)
{
	struct guest_paging p;
	struct fixture fx;
	const uint64_t *table;

	fx_open(&fx, 64, 64);
	fx_long_mode(&fx);
	p = fx.v.paging;
	p.cr3 = HOLE << 12;
	assert_int_equal(mmu_set_paging(&fx.v, &p), 0);
	assert_true(fx.v.hw_long && fx.v.hw_cr3.v < 1ull << 32);
	table = port_hpa_to_va(fx.v.hw_cr3);
	for (unsigned int i = 0; i < SPTES_PER_PAGE; i++)
		assert_int_equal(table[i], spte_not_shadowed());
	fx_close(&fx);
}

/* CR3 has bits that are no address: above 2^32 for two-level tables (left
 * from long mode), PCD and PWT in all. */
static void bits_of_cr3_that_are_no_address(void **state)
{
	struct guest_paging p;
	struct fixture fx;

	fx_open(&fx, 64, 64);
	fx_paging(&fx, X86_CR0_WP, 0, 0);
	fx_map(&fx, 0, 1, 20 << 12 | G_ALL);
	p = fx.v.paging;
	p.cr3 |= 0xabcdull << 32 | 0x18;
	assert_int_equal(mmu_set_paging(&fx.v, &p), 0);
	assert_int_equal(fx.v.root.sp[0]->gfn.v, FX_ROOT);
	assert_int_equal(fx_touch(&fx, 0, PFERR_WRITE, NULL), FAULT_FIXED);
	/* No second set of roots beside those of paging off. */
	assert_int_equal(fx.mmu.pool.active_count, 4 + 4 + 1);
	fx_close(&fx);
}

/* ---- rights that only some modes have ------------------------------------------------ */

/* What a write made of a page while SMAP was off must not outlive SMAP. */
static void lesson_31_smap_is_part_of_the_role(void **state)
{
	struct fixture fx;

	fx_open(&fx, 64, 64);
	fx_paging(&fx, 0, X86_CR4_PAE, LME);
	fx_map(&fx, 0, 1, 20 << 12 | G_P | G_U | G_A | G_D);
	assert_int_equal(fx_touch(&fx, 0, PFERR_WRITE, NULL), FAULT_FIXED);
	assert_true(fx_goes_through(&fx, 0, 0)); /* a supervisor page for now */
	fx_paging(&fx, 0, X86_CR4_PAE | X86_CR4_SMAP, LME);
	assert_false(fx_goes_through(&fx, 0, 0));
	assert_int_equal(fx_touch(&fx, 0, 0, NULL), FAULT_INJECT);
	fx_close(&fx);
}

/* ---- the quota --------------------------------------------------------------------------- */

/* What was used last is there when something else is reclaimed. */
static void lesson_21_reclaim_takes_the_oldest(void **state)
{
	const uint64_t hot = 100ull << 39;
	struct fixture fx;
	uint64_t faults;

	fx_open(&fx, 512, MMU_SHADOW_PAGES_MIN);
	fx_long_mode(&fx);
	for (uint64_t i = 0; i < 40; i++) {
		fx_map(&fx, hot, 1, 400 << 12 | G_ALL);
		fx_map(&fx, hot + (i << 12), 1, 400 << 12 | G_ALL);
		fx_map(&fx, i << 39, 1, 401 << 12 | G_ALL);
		assert_int_equal(fx_touch(&fx, hot + (i << 12), PFERR_WRITE, NULL), FAULT_FIXED);
		assert_int_equal(fx_touch(&fx, i << 39, 0, NULL), FAULT_FIXED);
	}
	assert_true(fx.mmu.stats.reclaimed > 0);
	faults = fx.mmu.stats.faults;
	for (uint64_t i = 0; i < 40; i++)
		assert_int_equal(fx_touch(&fx, hot + (i << 12), PFERR_WRITE, NULL), FAULT_FIXED);
	assert_int_equal(fx.mmu.stats.faults, faults); /* none of it was lost */
	fx_close(&fx);
}

/* A vCPU that cannot be made leaves nothing, wherever memory runs out. */
static void lesson_29_a_vcpu_that_cannot_be_made(void **state)
{
	struct mmu_vcpu v[16];
	struct fixture fx;
	unsigned int n = 0;
	size_t pages;
	int err;

	fx_open(&fx, 64, MMU_SHADOW_PAGES_MIN);
	pages = host_pages_used();
	for (long nth = 0; nth < 2; nth++) {
		host_fail_allocation(nth);
		assert_int_equal(mmu_vcpu_init(&v[0], &fx.mmu, 40, true), -ENOMEM);
		host_fail_allocation(-1);
		assert_int_equal(host_pages_used(), pages);
	}
	/* Each has roots of its own, until the quota is pinned. */
	do {
		struct guest_paging p;

		pages = host_pages_used();
		err = mmu_vcpu_init(&v[n], &fx.mmu, 40, true);
		if (err)
			break;
		p = v[n].paging;
		p.cr0 |= X86_CR0_PG | X86_CR0_PE;
		p.cr3 = (uint64_t)(n + 1) << PAGE_SHIFT;
		err = mmu_set_paging(&v[n++], &p);
	} while (!err && n < 16);
	assert_int_equal(err, -ENOMEM);
	err = mmu_vcpu_init(&v[n], &fx.mmu, 40, true);
	assert_int_equal(err, -ENOMEM);
	assert_audit(&fx);
	while (n-- > 0)
		mmu_vcpu_destroy(&v[n]);
	fx_close(&fx);
}

/* The quota is pinned whole: the fault says so and installs nothing. */
static void lesson_26_a_fault_without_quota_is_told(void **state)
{
	struct page_fault f = { .addr = gva(0) };
	struct mmu_vcpu v[16];
	struct fixture fx;
	unsigned int n = 0;
	uint64_t fills;

	fx_open(&fx, 64, MMU_SHADOW_PAGES_MIN);
	for (; n < 16; n++) {
		struct guest_paging p;

		if (mmu_vcpu_init(&v[n], &fx.mmu, 40, true))
			break;
		p = v[n].paging;
		p.cr0 |= X86_CR0_PG | X86_CR0_PE;
		p.cr3 = (uint64_t)(n + 1) << PAGE_SHIFT;
		if (mmu_set_paging(&v[n], &p)) {
			n++;
			break;
		}
	}
	assert_true(fx.mmu.pool.free_count < SHADOW_PAGES_PER_OP);
	fills = fx.mmu.stats.fills;
	assert_int_equal(mmu_page_fault(&fx.v, &f), FAULT_NOMEM);
	assert_int_equal(mmu_step_open(&fx.v, &f), -ENOMEM);
	assert_int_equal(fx.mmu.stats.fills, fills);
	assert_int_equal(fx.v.step.count, 0);
	assert_audit(&fx);
	while (n-- > 0)
		mmu_vcpu_destroy(&v[n]);
	assert_int_equal(mmu_page_fault(&fx.v, &f), FAULT_FIXED);
	fx_close(&fx);
}

/* ---- slots ------------------------------------------------------------------------------- */

/* A change that fails has taken nothing from anyone who tracks. */
static void lesson_06_a_failed_change_loses_no_tracking(void **state)
{
	struct fixture fx;

	fx_open(&fx, 64, 64);
	fx_long_mode(&fx);
	fx_map(&fx, 0, 1, 20 << 12 | G_ALL);
	assert_int_equal(others_add(&fx.mmu, gfn(20), PAGE_TRACK_WRITE), 0);
	/* Two rmaps, no_large, the array of chunks; a chunk, its holders and the hold of the count. */
	for (long nth = 0; nth < MAPPING_LEVEL_MAX + 2 + 3; nth++) {
		host_fail_allocation(nth);
		assert_int_equal(mmu_slot_move(&fx.mmu, 0, gfn(1000)), -ENOMEM);
		host_fail_allocation(-1);
		assert_audit(&fx);
		assert_int_equal(page_tracker_count(&others, gfn(20), PAGE_TRACK_WRITE), 1);
		assert_int_equal(fx_touch(&fx, 0, PFERR_WRITE, NULL), FAULT_EMULATE);
	}
	host_fail_allocation(0);
	assert_int_equal(mmu_slot_set_flags(&fx.mmu, 0, MEMSLOT_LOG_DIRTY), -ENOMEM);
	host_fail_allocation(-1);
	assert_int_equal(fx_touch(&fx, 0, PFERR_WRITE, NULL), FAULT_EMULATE);
	assert_int_equal(mmu_slot_set_flags(&fx.mmu, 0, 1u << 31), -EINVAL);
	assert_int_equal(fx_touch(&fx, 0, PFERR_WRITE, NULL), FAULT_EMULATE);
	assert_int_equal(others_remove(&fx.mmu, gfn(20), PAGE_TRACK_WRITE), 0);
	fx_close(&fx);
}

/* A slot that is deleted and made again is another: the counts of a tracker that
 * follows memory have gone with it. */
static void lesson_06_a_slot_made_again_is_another(void **state)
{
	struct memslot_desc d = { .id = 0, .base_gfn = gfn(0), .npages = 64 };
	struct fixture fx;

	fx_open(&fx, 64, 64);
	d.base_pfn = fx.base_pfn;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(others_add(&fx.mmu, gfn(20), PAGE_TRACK_WRITE), 0);
		assert_int_equal(fx_touch(&fx, 20 << 12, PFERR_WRITE, NULL), FAULT_EMULATE);
		assert_int_equal(mmu_slot_delete(&fx.mmu, 0), 0);
		assert_int_equal(others_remove(&fx.mmu, gfn(20), PAGE_TRACK_WRITE), -ENOENT);
		assert_int_equal(mmu_slot_create(&fx.mmu, &d), 0);
		assert_int_equal(others_remove(&fx.mmu, gfn(20), PAGE_TRACK_WRITE), -ENOENT);
		assert_int_equal(fx_touch(&fx, 20 << 12, PFERR_WRITE, NULL), FAULT_FIXED);
		assert_audit(&fx);
	}
	fx_close(&fx);
}

/* Those of one that follows the gfn wait, and are in force before the first access. */
static void lesson_06_counts_wait_for_a_slot(void **state)
{
	struct memslot_desc d = { .id = 0, .base_gfn = gfn(0), .npages = 64 };
	struct fixture fx;
	size_t pages;

	others.follow = PAGE_TRACKER_FOLLOW_GFN;
	fx_open(&fx, 64, 64);
	d.base_pfn = fx.base_pfn;
	assert_int_equal(others_add(&fx.mmu, gfn(20), PAGE_TRACK_WRITE), 0);
	assert_int_equal(mmu_slot_delete(&fx.mmu, 0), 0);
	pages = host_pages_used();
	/* The slot, two rmaps, no_large, the array of chunks; a chunk, its holders and the hold. */
	for (long nth = 0; nth < 1 + MAPPING_LEVEL_MAX + 2 + 3; nth++) {
		host_fail_allocation(nth);
		assert_int_equal(mmu_slot_create(&fx.mmu, &d), -ENOMEM);
		host_fail_allocation(-1);
		assert_null(memslot_find(&fx.mmu.mem.slots, gfn(20)));
		assert_int_equal(host_pages_used(), pages);
		assert_int_equal(page_tracker_count(&others, gfn(20), PAGE_TRACK_WRITE), 1);
	}
	assert_int_equal(mmu_slot_create(&fx.mmu, &d), 0);
	assert_int_equal(fx_touch(&fx, 20 << 12, PFERR_WRITE, NULL), FAULT_EMULATE);
	assert_int_equal(mmu_slot_move(&fx.mmu, 0, gfn(10)), 0); /* other memory comes under gfn 20 */
	assert_int_equal(fx_touch(&fx, 30 << 12, PFERR_WRITE, NULL), FAULT_FIXED);
	assert_int_equal(fx_touch(&fx, 20 << 12, PFERR_WRITE, NULL), FAULT_EMULATE);
	assert_int_equal(mmu_slot_delete(&fx.mmu, 0), 0);
	assert_int_equal(others_remove(&fx.mmu, gfn(20), PAGE_TRACK_WRITE), 0);
	assert_int_equal(mmu_slot_create(&fx.mmu, &d), 0);
	assert_int_equal(fx_touch(&fx, 20 << 12, PFERR_WRITE, NULL), FAULT_FIXED);
	fx_close(&fx);
	others.follow = PAGE_TRACKER_FOLLOW_MEMORY;
}

/* A tracker that hears of a slot's end ends it itself: the one who began finds
 * nothing left to do. */
static struct {
	struct mmu *mmu;
	unsigned int calls;
} quicker;

static void delete_it(const struct page_track_region *r)
{
	assert_int_equal(r->change, REGION_REMOVED);
	if (quicker.calls++ == 0)
		assert_int_equal(mmu_slot_delete(quicker.mmu, 0), 0);
}

static void lesson_06_a_tracker_deletes_the_slot_first(void **state)
{
	struct fixture fx;

	fx_open(&fx, 64, 64);
	quicker.mmu = &fx.mmu;
	quicker.calls = 0;
	others_ears.region = delete_it;
	others_join(&fx.mmu.mem);
	assert_int_equal(fx_touch(&fx, 20 << 12, PFERR_WRITE, NULL), FAULT_FIXED);
	assert_int_equal(mmu_slot_delete(&fx.mmu, 0), -ENOENT);
	assert_int_equal(quicker.calls, 2);
	assert_audit(&fx);
	others_ears.region = NULL;
	fx_close(&fx);
}

static void slots_that_are_not_there(void **state)
{
	struct fixture fx;

	fx_open(&fx, 64, 64);
	assert_int_equal(mmu_slot_delete(&fx.mmu, 9), -ENOENT);
	assert_int_equal(mmu_slot_move(&fx.mmu, 9, gfn(1000)), -ENOENT);
	assert_int_equal(mmu_slot_set_flags(&fx.mmu, 9, 0), -ENOENT);
	assert_audit(&fx);
	fx_close(&fx);
}

/* One call counts and protects: no caller can have the one without the other. */
static void lesson_16_one_call_counts_and_protects(void **state)
{
	static const uint32_t trapped[PAGE_TRACK_MODES] = { PFERR_WRITE, 0, PFERR_FETCH };

	for (unsigned int mode = 0; mode < PAGE_TRACK_MODES; mode++) {
		struct fixture fx;

		fx_open(&fx, 64, 64);
		fx_long_mode(&fx);
		fx_map(&fx, 0, 1, 20 << 12 | G_ALL);
		assert_int_equal(fx_touch(&fx, 0, PFERR_WRITE, NULL), FAULT_FIXED);
		assert_int_equal(others_add(&fx.mmu, gfn(20), mode), 0);
		assert_false(fx_goes_through(&fx, 0, trapped[mode]));
		assert_int_equal(fx_touch(&fx, 0, trapped[mode], NULL), FAULT_EMULATE);
		assert_int_equal(others_remove(&fx.mmu, gfn(20), mode), 0);
		assert_int_equal(fx_touch(&fx, 0, trapped[mode], NULL), FAULT_FIXED);
		fx_close(&fx);
	}
}

/* Machine frames of two slots that lie side by side. */
static void a_frame_belongs_to_its_slot(void **state)
{
	struct fixture fx;
	gfn_t g;

	fx_open(&fx, 64, 64);
	add_slot(&fx, 1, HOLE, 8);
	for (uint64_t i = 0; i < 72; i++) {
		/* Asked in an order in which the last hit is the other slot. */
		uint64_t k = i & 1 ? i / 2 : 71 - i / 2;
		struct memslot *slot = rmap_slot_of_pfn(&fx.mmu, pfn_add(fx.base_pfn, k), &g);

		assert_int_equal(slot->id, k < 64 ? 0 : 1);
		assert_int_equal(g.v, k < 64 ? k : HOLE + k - 64);
	}
	assert_int_equal(rmap_slot_of_pfn(&fx.mmu, pfn_add(fx.base_pfn, 63), &g)->id, 0);
	assert_int_equal(rmap_slot_of_pfn(&fx.mmu, pfn_add(fx.base_pfn, 64), &g)->id, 1);
	assert_null(rmap_slot_of_pfn(&fx.mmu, pfn_add(fx.base_pfn, 72), &g));
	assert_null(rmap_slot_of_pfn(&fx.mmu, pfn(fx.base_pfn.v - 1), &g));
	fx_close(&fx);
}

static void the_last_frame_of_the_machine(void **state)
{
	const uint64_t frames = 1ull << (46 - PAGE_SHIFT);
	struct memslot_desc d = { .id = 7, .base_gfn = gfn(HOLE), .npages = 4, .base_pfn = pfn(frames - 4) };
	struct fixture fx;

	fx_open(&fx, 64, 64);
	assert_int_equal(mmu_slot_create(&fx.mmu, &d), 0);
	assert_int_equal(mmu_slot_delete(&fx.mmu, 7), 0);
	d.base_pfn = pfn(frames - 3);
	assert_int_equal(mmu_slot_create(&fx.mmu, &d), -EINVAL);
	d.npages = frames + 1;
	d.base_pfn = pfn(0);
	assert_int_equal(mmu_slot_create(&fx.mmu, &d), -EINVAL);
	fx_close(&fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_table_in_a_hole_at_every_level),
		cmocka_unit_test(a_fetch_through_a_hole_is_told_where_fetches_are),
		cmocka_unit_test(lesson_22_device_memory_leaves_no_entry),
		cmocka_unit_test(all_tables_in_a_read_only_slot),
		cmocka_unit_test(lesson_25_a_recursive_slot),
		cmocka_unit_test(lesson_25_a_loop_of_two),
		cmocka_unit_test(lesson_25_a_chain_on_one_level),
		cmocka_unit_test(lesson_23_one_table_under_different_rights),
		cmocka_unit_test(lesson_31_pse36_reaches_above_4_gib),
		cmocka_unit_test(lesson_24_the_last_frame_there_is),
		cmocka_unit_test(a_page_of_1_gib_over_all_kinds),
		cmocka_unit_test(global_pages_are_ordinary),
		cmocka_unit_test(pae_roots_that_are_not_there),
		cmocka_unit_test(bad_pdptes_are_refused_at_load),
		cmocka_unit_test(lesson_30_the_empty_root_names_no_ram),
		cmocka_unit_test(bits_of_cr3_that_are_no_address),
		cmocka_unit_test(lesson_31_smap_is_part_of_the_role),
		cmocka_unit_test(lesson_21_reclaim_takes_the_oldest),
		cmocka_unit_test(lesson_29_a_vcpu_that_cannot_be_made),
		cmocka_unit_test(lesson_26_a_fault_without_quota_is_told),
		cmocka_unit_test(lesson_06_a_failed_change_loses_no_tracking),
		cmocka_unit_test(lesson_06_a_slot_made_again_is_another),
		cmocka_unit_test(lesson_06_counts_wait_for_a_slot),
		cmocka_unit_test(lesson_06_a_tracker_deletes_the_slot_first),
		cmocka_unit_test(slots_that_are_not_there),
		cmocka_unit_test(lesson_16_one_call_counts_and_protects),
		cmocka_unit_test(a_frame_belongs_to_its_slot),
		cmocka_unit_test(the_last_frame_of_the_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
