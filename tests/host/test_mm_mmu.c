/* SPDX-License-Identifier: GPL-2.0-only */
/* The shadow MMU from outside: one situation per test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "lib/errno.h"
#include "mm/port.h"
#include "tests/host/mm_fixture.h"
#include "tests/host/others.h"

#define KERNEL_VA 0xffff800000000000ull
#define MB2 (2ull << 20)

static struct memslot *slot0(struct fixture *fx) { return fx->mmu.mem.slots.slot[0]; }

static uint64_t gpte_at(struct fixture *fx, gpa_t at)
{
	uint64_t e = 0;

	assert_int_equal(guest_read(&fx->mmu.mem, at, &e, 8, NULL), 0);
	return e;
}

/* ---- results of a fault --------------------------------------------------------- */

static void lesson_34_paging_off_is_identity(void **state)
{
	struct fixture fx;
	struct page_fault f;

	fx_open(&fx, 1024, 64);
	assert_false(fx.v.hw_long);
	assert_true(fx.v.hw_cr3.v < 1ull << 32);
	assert_int_equal(fx_touch(&fx, 0x201234, PFERR_WRITE, &f), FAULT_FIXED);
	assert_int_equal(f.gpa.v, 0x201234);
	assert_int_equal(fx_touch(&fx, 0x300000, PFERR_FETCH, NULL), FAULT_FIXED);
	assert_int_equal(fx.mmu.stats.faults, 1); /* the large mapping has it */
	assert_int_equal(fx_touch(&fx, 0xfee00010, PFERR_WRITE, &f), FAULT_MMIO);
	assert_int_equal(f.gpa.v, 0xfee00010);
	fx_close(&fx);
}

static void faults_of_the_guest_are_its_own(void **state)
{
	struct fixture fx;
	struct page_fault f;

	fx_open(&fx, 64, 64);
	fx_long_mode(&fx);
	fx_map(&fx, KERNEL_VA, 1, 20 << 12 | G_P | G_A);
	assert_int_equal(fx_touch(&fx, KERNEL_VA, PFERR_WRITE, &f), FAULT_INJECT);
	assert_int_equal(f.inject_code, PFERR_PRESENT | PFERR_WRITE);
	assert_int_equal(fx_touch(&fx, KERNEL_VA, PFERR_USER, &f), FAULT_INJECT);
	assert_int_equal(f.inject_code, PFERR_PRESENT | PFERR_USER);
	assert_int_equal(fx_touch(&fx, KERNEL_VA + 0x1000, PFERR_FETCH, &f), FAULT_INJECT);
	assert_int_equal(f.inject_code, PFERR_FETCH);
	fx_map(&fx, KERNEL_VA, 1, 1ull << 45 | G_ALL);
	assert_int_equal(fx_touch(&fx, KERNEL_VA, 0, &f), FAULT_INJECT);
	assert_int_equal(f.inject_code, PFERR_PRESENT | PFERR_RSVD);
	fx_close(&fx);
}

/* Reads of a hole give all ones, and those have reserved bits. */
static void tables_in_a_hole_fault(void **state)
{
	struct fixture fx;
	struct page_fault f;
	struct guest_paging p;

	fx_open(&fx, 64, 64);
	fx_long_mode(&fx);
	fx_map(&fx, 0, 2, 4000ull << 12 | G_ALL);
	assert_int_equal(fx_touch(&fx, 0, PFERR_WRITE | PFERR_USER, &f), FAULT_INJECT);
	assert_int_equal(f.inject_code, PFERR_PRESENT | PFERR_RSVD | PFERR_WRITE | PFERR_USER);
	p = fx.v.paging;
	p.cr3 = 4000ull << 12;
	assert_int_equal(mmu_set_paging(&fx.v, &p), 0);
	assert_audit(&fx);
	assert_int_equal(fx_touch(&fx, 0, 0, &f), FAULT_INJECT);
	assert_int_equal(f.inject_code, PFERR_PRESENT | PFERR_RSVD);
	fx_close(&fx);
}

static void accessed_and_dirty_are_set_as_by_hardware(void **state)
{
	struct fixture fx;
	gpa_t at;

	fx_open(&fx, 64, 64);
	fx_long_mode(&fx);
	at = fx_map(&fx, KERNEL_VA, 1, 20 << 12 | G_P | G_W);
	assert_int_equal(fx_touch(&fx, KERNEL_VA, 0, NULL), FAULT_FIXED);
	assert_int_equal(gpte_at(&fx, at) & (G_A | G_D), G_A);
	assert_false(fx_goes_through(&fx, KERNEL_VA, PFERR_WRITE));
	assert_int_equal(fx_touch(&fx, KERNEL_VA, PFERR_WRITE, NULL), FAULT_FIXED);
	assert_int_equal(gpte_at(&fx, at) & (G_A | G_D), G_A | G_D);
	/* The guest clears them, and sees them set again. */
	fx_map(&fx, KERNEL_VA, 1, 20 << 12 | G_P | G_W | G_A);
	assert_false(fx_goes_through(&fx, KERNEL_VA, PFERR_WRITE));
	assert_int_equal(fx_touch(&fx, KERNEL_VA, PFERR_WRITE, NULL), FAULT_FIXED);
	assert_int_equal(gpte_at(&fx, at) & G_D, G_D);
	fx_close(&fx);
}

/* Rights are the AND of the path, not those of its last table. */
static void lesson_23_rights_of_the_whole_path(void **state)
{
	const uint64_t va = KERNEL_VA;
	struct fixture fx;
	gpa_t at;
	uint64_t e;

	for (int level = 4; level >= 2; level--) {
		fx_open(&fx, 64, 64);
		fx_long_mode(&fx);
		fx_map(&fx, va, 1, 20 << 12 | G_ALL);
		assert_int_equal(fx_touch(&fx, va, PFERR_WRITE | PFERR_USER, NULL), FAULT_FIXED);
		at = gpa(fx.v.paging.cr3 + 256 * 8);
		for (int l = 4; l > level; l--)
			at = gpa((gpte_at(&fx, at) & 0xfffff000) + 0);
		e = gpte_at(&fx, at) & ~(G_W | G_U);
		e |= G_NX;
		fx_write(&fx, at, &e, 8);
		assert_int_equal(fx_touch(&fx, va, PFERR_WRITE, NULL), FAULT_INJECT);
		assert_int_equal(fx_touch(&fx, va, PFERR_USER, NULL), FAULT_INJECT);
		assert_int_equal(fx_touch(&fx, va, PFERR_FETCH, NULL), FAULT_INJECT);
		assert_int_equal(fx_touch(&fx, va, 0, NULL), FAULT_FIXED);
		fx_close(&fx);
	}
}

/* ---- guest tables ---------------------------------------------------------------- */

static void tables_are_tracked_while_shadowed(void **state)
{
	struct fixture fx;

	fx_open(&fx, 64, 64);
	fx_long_mode(&fx);
	fx_map(&fx, 0, 1, 2 << 12 | G_ALL); /* maps one of its own tables */
	assert_int_equal(fx_touch(&fx, 0, 0, NULL), FAULT_FIXED);
	for (uint64_t g = FX_ROOT; g < fx.next_table; g++)
		assert_int_equal(page_track_count(&slot0(&fx)->track, gfn(g), PAGE_TRACK_WRITE), 1);
	assert_int_equal(fx_touch(&fx, 0, PFERR_WRITE, NULL), FAULT_EMULATE);
	fx_close(&fx);
}

static void a_changed_entry_alone_is_dropped(void **state)
{
	struct fixture fx;

	fx_open(&fx, 64, 64);
	fx_long_mode(&fx);
	for (uint64_t i = 0; i < 3; i++) {
		fx_map(&fx, i << 12, 1, (20 + i) << 12 | G_ALL);
		assert_int_equal(fx_touch(&fx, i << 12, PFERR_WRITE, NULL), FAULT_FIXED);
	}
	fx_map(&fx, 1 << 12, 1, 30 << 12 | G_ALL);
	assert_true(fx_goes_through(&fx, 0 << 12, PFERR_WRITE));
	assert_false(fx_goes_through(&fx, 1 << 12, 0));
	assert_true(fx_goes_through(&fx, 2 << 12, PFERR_WRITE));
	/* Bits for software change nothing. */
	fx_map(&fx, 0, 1, 20 << 12 | G_ALL | 5 << 9);
	assert_true(fx_goes_through(&fx, 0, PFERR_WRITE));
	fx_close(&fx);
}

/* 16 bytes are two entries; the table is a root in use, so it is not zapped. */
static void lesson_28_a_wide_write_is_all_its_entries(void **state)
{
	struct fixture fx;
	uint64_t two[2] = { 0, 0 };
	uint8_t zero[4096] = { 0 };

	fx_open(&fx, 64, 64);
	fx_long_mode(&fx);
	fx_map(&fx, 0, 1, 20 << 12 | G_ALL);
	fx_map(&fx, 1ull << 39, 1, 21 << 12 | G_ALL);
	assert_int_equal(fx_touch(&fx, 0, 0, NULL), FAULT_FIXED);
	assert_int_equal(fx_touch(&fx, 1ull << 39, 0, NULL), FAULT_FIXED);
	fx_write(&fx, gpa(FX_ROOT << 12), two, 16);
	assert_false(fx_goes_through(&fx, 0, 0) || fx_goes_through(&fx, 1ull << 39, 0));
	assert_audit(&fx);
	/* Half of two entries each, misaligned. */
	two[0] = two[1] = 2 << 12 | G_ALL;
	fx_write(&fx, gpa(FX_ROOT << 12), two, 16);
	assert_int_equal(fx_touch(&fx, 0, 0, NULL), FAULT_FIXED);
	assert_int_equal(fx_touch(&fx, 1ull << 39, 0, NULL), FAULT_FIXED);
	fx_write(&fx, gpa((FX_ROOT << 12) + 1), zero, 8);
	assert_false(fx_goes_through(&fx, 0, 0) || fx_goes_through(&fx, 1ull << 39, 0));
	fx_write(&fx, gpa(FX_ROOT << 12), zero, sizeof(zero));
	fx_close(&fx);
}

/* A table that was freed and is filled as data stops costing anything. */
static void lesson_13_a_reused_table_is_let_go(void **state)
{
	struct fixture fx;
	gpa_t at;

	fx_open(&fx, 64, 64);
	fx_long_mode(&fx);
	at = fx_map(&fx, 0, 1, 20 << 12 | G_ALL);
	at.v &= ~0xfffull;
	fx_map(&fx, 1ull << 39, 1, at.v | G_ALL); /* the table as data */
	assert_int_equal(fx_touch(&fx, 0, 0, NULL), FAULT_FIXED);
	for (uint64_t i = 8; i < 8 + 4; i++) {
		uint64_t e = i;

		assert_int_equal(fx_touch(&fx, 1ull << 39, PFERR_WRITE, NULL), FAULT_EMULATE);
		fx_write(&fx, gpa(at.v + i * 8), &e, 8);
	}
	assert_int_equal(fx_touch(&fx, 1ull << 39, PFERR_WRITE, NULL), FAULT_FIXED);
	/* Unlinked: the first write is enough. */
	assert_int_equal(fx_touch(&fx, 0, 0, NULL), FAULT_FIXED);
	assert_int_equal(fx_touch(&fx, 1ull << 39, PFERR_WRITE, NULL), FAULT_EMULATE);
	fx_map(&fx, 0, 2, 0);
	fx_write(&fx, at, &at, 8);
	assert_int_equal(fx_touch(&fx, 1ull << 39, PFERR_WRITE, NULL), FAULT_FIXED);
	fx_close(&fx);
}

static void roots_stay_cached(void **state)
{
	struct fixture fx;
	struct guest_paging p;
	unsigned int flushes;
	uint64_t fills;

	fx_open(&fx, 64, 64);
	fx_long_mode(&fx);
	fx_map(&fx, 0, 1, 20 << 12 | G_ALL);
	assert_int_equal(fx_touch(&fx, 0, PFERR_WRITE, NULL), FAULT_FIXED);
	fills = fx.mmu.stats.fills;
	p = fx.v.paging;
	p.cr3 = 30 << 12;
	assert_int_equal(mmu_set_paging(&fx.v, &p), 0);
	assert_false(fx_goes_through(&fx, 0, 0));
	p.cr3 = FX_ROOT << 12;
	flushes = fx.flushes;
	assert_int_equal(mmu_set_paging(&fx.v, &p), 0);
	assert_true(fx.flushes > flushes); /* another root */
	assert_true(fx_goes_through(&fx, 0, PFERR_WRITE));
	flushes = fx.flushes;
	assert_int_equal(mmu_set_paging(&fx.v, &p), 0);
	assert_int_equal(fx.flushes, flushes); /* the same tables, which are exact */
	p.cr0 &= ~X86_CR0_PG; /* and over a visit to no paging at all */
	p.efer &= ~EFER_LMA;
	assert_int_equal(mmu_set_paging(&fx.v, &p), 0);
	fx_long_mode(&fx);
	assert_true(fx_goes_through(&fx, 0, PFERR_WRITE));
	assert_int_equal(fx.mmu.stats.fills, fills);
	fx_close(&fx);
}

/* ---- large pages ----------------------------------------------------------------- */

static void lesson_07_tracking_splits_and_gives_back(void **state)
{
	struct fixture fx;

	fx_open(&fx, 1024, 64);
	fx_long_mode(&fx);
	fx_map(&fx, KERNEL_VA, 2, MB2 | G_ALL | G_PS);
	assert_int_equal(fx_touch(&fx, KERNEL_VA, PFERR_WRITE, NULL), FAULT_FIXED);
	assert_true(fx_is_large(&fx, KERNEL_VA));
	assert_int_equal(others_add(&fx.mmu, gfn(512 + 7), PAGE_TRACK_WRITE), 0);
	assert_false(fx_goes_through(&fx, KERNEL_VA, 0));
	assert_int_equal(fx_touch(&fx, KERNEL_VA + 0x7000, PFERR_WRITE, NULL), FAULT_EMULATE);
	assert_int_equal(fx_touch(&fx, KERNEL_VA + 0x7000, 0, NULL), FAULT_FIXED);
	assert_int_equal(fx_touch(&fx, KERNEL_VA + 0x6000, PFERR_WRITE, NULL), FAULT_FIXED);
	assert_false(fx_is_large(&fx, KERNEL_VA));
	assert_int_equal(others_add(&fx.mmu, gfn(512 + 9), PAGE_TRACK_EXEC), 0);
	assert_int_equal(others_remove(&fx.mmu, gfn(512 + 9), PAGE_TRACK_EXEC), 0);
	assert_true(fx_goes_through(&fx, KERNEL_VA + 0x6000, PFERR_WRITE)); /* as long as any page is tracked */
	assert_int_equal(others_remove(&fx.mmu, gfn(512 + 7), PAGE_TRACK_WRITE), 0);
	assert_false(fx_goes_through(&fx, KERNEL_VA + 0x6000, 0)); /* so that it faults, and comes back large */
	assert_int_equal(fx_touch(&fx, KERNEL_VA + 0x7000, PFERR_WRITE, NULL), FAULT_FIXED);
	assert_true(fx_is_large(&fx, KERNEL_VA));
	fx_close(&fx);
}

static void a_table_inside_a_large_page_splits_it(void **state)
{
	struct fixture fx;

	fx_open(&fx, 1024, 64);
	fx_long_mode(&fx);
	fx_map(&fx, KERNEL_VA, 2, MB2 | G_ALL | G_PS);
	assert_int_equal(fx_touch(&fx, KERNEL_VA, PFERR_WRITE, NULL), FAULT_FIXED);
	fx.next_table = 600; /* tables from inside the large page */
	fx_map(&fx, 0, 1, 20 << 12 | G_ALL);
	assert_true(fx_is_large(&fx, KERNEL_VA)); /* not used as tables yet */
	assert_int_equal(fx_touch(&fx, 0, 0, NULL), FAULT_FIXED);
	assert_int_equal(fx_touch(&fx, KERNEL_VA + (600 - 512) * 4096, PFERR_WRITE, NULL), FAULT_EMULATE);
	assert_int_equal(fx_touch(&fx, KERNEL_VA + (700 - 512) * 4096, PFERR_WRITE, NULL), FAULT_FIXED);
	assert_false(fx_is_large(&fx, KERNEL_VA));
	fx_close(&fx);
}

static void lesson_20_a_split_follows_its_entry(void **state)
{
	struct fixture fx;
	struct cpu_translation t;

	fx_open(&fx, 1024, 64);
	fx_long_mode(&fx);
	assert_int_equal(others_add(&fx.mmu, gfn(0), PAGE_TRACK_WRITE), 0);
	assert_int_equal(others_add(&fx.mmu, gfn(512), PAGE_TRACK_WRITE), 0);
	fx_map(&fx, KERNEL_VA, 2, MB2 | G_ALL | G_PS);
	assert_int_equal(fx_touch(&fx, KERNEL_VA + 0x9000, 0, NULL), FAULT_FIXED);
	fx_map(&fx, KERNEL_VA, 2, 0 | G_ALL | G_PS);
	assert_false(fx_goes_through(&fx, KERNEL_VA + 0x9000, 0));
	assert_int_equal(fx_touch(&fx, KERNEL_VA + 0x9000, 0, NULL), FAULT_FIXED);
	assert_true(cpu_walk(&fx.v, gva(KERNEL_VA + 0x9000), &t));
	assert_int_equal(t.frame.v >> 12, fx.base_pfn.v + 9);
	/* Same frames, fewer rights: another direct page. */
	fx_map(&fx, KERNEL_VA, 2, 0 | G_P | G_A | G_D | G_PS);
	assert_int_equal(fx_touch(&fx, KERNEL_VA + 0x9000, 0, NULL), FAULT_FIXED);
	assert_int_equal(fx_touch(&fx, KERNEL_VA + 0x9000, PFERR_WRITE, NULL), FAULT_INJECT);
	assert_int_equal(fx_touch(&fx, KERNEL_VA + 0x9000, PFERR_USER, NULL), FAULT_INJECT);
	assert_int_equal(others_remove(&fx.mmu, gfn(0), PAGE_TRACK_WRITE), 0);
	assert_int_equal(others_remove(&fx.mmu, gfn(512), PAGE_TRACK_WRITE), 0);
	fx_close(&fx);
}

static void a_clean_large_page_is_read_only(void **state)
{
	struct fixture fx;

	fx_open(&fx, 1024, 64);
	fx_long_mode(&fx);
	fx_map(&fx, KERNEL_VA, 3, G_P | G_W | G_PS); /* 1 GiB, of which 4 MiB are RAM */
	assert_int_equal(fx_touch(&fx, KERNEL_VA + MB2, 0, NULL), FAULT_FIXED);
	assert_false(fx_goes_through(&fx, KERNEL_VA + MB2, PFERR_WRITE));
	assert_int_equal(fx_touch(&fx, KERNEL_VA + MB2, PFERR_WRITE, NULL), FAULT_FIXED);
	assert_true(fx_is_large(&fx, KERNEL_VA + MB2));
	assert_int_equal(fx_touch(&fx, KERNEL_VA + 2 * MB2, 0, NULL), FAULT_MMIO);
	fx_close(&fx);
}

/* ---- CR0.WP, SMEP, SMAP ------------------------------------------------------------ */

static void lesson_31_wp_off_flips_a_user_page(void **state)
{
	const uint64_t lme = EFER_LME | EFER_LMA | EFER_NXE;
	struct fixture fx;

	fx_open(&fx, 64, 64);
	fx_paging(&fx, 0, X86_CR4_PAE | X86_CR4_SMEP, lme);
	fx_map(&fx, 0, 1, 20 << 12 | G_P | G_U);
	assert_int_equal(fx_touch(&fx, 0, PFERR_WRITE, NULL), FAULT_FIXED);
	assert_false(fx_goes_through(&fx, 0, PFERR_USER));
	assert_false(fx_goes_through(&fx, 0, PFERR_FETCH)); /* SMEP, though U is clear */
	assert_int_equal(fx_touch(&fx, 0, PFERR_FETCH, NULL), FAULT_INJECT);
	assert_int_equal(fx_touch(&fx, 0, PFERR_USER, NULL), FAULT_FIXED);
	assert_false(fx_goes_through(&fx, 0, PFERR_WRITE));
	assert_int_equal(fx_touch(&fx, 0, PFERR_USER | PFERR_WRITE, NULL), FAULT_INJECT);
	/* None of it is there any more with WP set, or without SMEP. */
	assert_int_equal(fx_touch(&fx, 0, PFERR_WRITE, NULL), FAULT_FIXED);
	fx_paging(&fx, X86_CR0_WP, X86_CR4_PAE | X86_CR4_SMEP, lme);
	assert_int_equal(fx_touch(&fx, 0, PFERR_WRITE, NULL), FAULT_INJECT);
	fx_paging(&fx, 0, X86_CR4_PAE, lme);
	assert_int_equal(fx_touch(&fx, 0, PFERR_WRITE, NULL), FAULT_FIXED);
	assert_true(fx_goes_through(&fx, 0, PFERR_FETCH));
	fx_paging(&fx, 0, X86_CR4_PAE | X86_CR4_SMEP, lme);
	assert_false(fx_goes_through(&fx, 0, PFERR_FETCH));
	/* WP alone makes the difference. */
	fx_paging(&fx, 0, X86_CR4_PAE, lme);
	assert_int_equal(fx_touch(&fx, 0, PFERR_WRITE, NULL), FAULT_FIXED);
	fx_paging(&fx, X86_CR0_WP, X86_CR4_PAE, lme);
	assert_int_equal(fx_touch(&fx, 0, PFERR_WRITE, NULL), FAULT_INJECT);
	fx_close(&fx);
}

/* What no spte can say is emulated; the native step may, and takes it back. */
static void wp_off_with_smap_is_emulated(void **state)
{
	struct page_fault f = { .addr = gva(0), .error_code = PFERR_WRITE, .ac = true };
	struct fixture fx;

	fx_open(&fx, 1024, 64);
	fx_paging(&fx, 0, X86_CR4_PAE | X86_CR4_SMAP, EFER_LME | EFER_LMA | EFER_NXE);
	fx_map(&fx, 0, 2, MB2 | G_P | G_U | G_A | G_D | G_PS);
	assert_int_equal(mmu_page_fault(&fx.v, &f), FAULT_EMULATE);
	assert_int_equal(mmu_step_open(&fx.v, &f), 0);
	assert_true(fx_goes_through(&fx, 0, PFERR_WRITE));
	assert_audit(&fx);
	mmu_step_close(&fx.v, true);
	assert_false(fx_goes_through(&fx, 0, 0));
	assert_int_equal(fx_touch(&fx, 0, 0, NULL), FAULT_INJECT);
	fx_close(&fx);
}

static void the_hardware_registers(void **state)
{
	struct fixture fx;

	fx_open(&fx, 64, 64);
	assert_int_equal(mmu_hw_cr0(&fx.v), X86_CR0_PG | X86_CR0_WP | X86_CR0_PE);
	assert_int_equal(mmu_hw_cr4(&fx.v), X86_CR4_PAE);
	assert_int_equal(mmu_hw_efer(&fx.v), EFER_NXE);
	fx_paging(&fx, 0, X86_CR4_SMEP | X86_CR4_SMAP | X86_CR4_PGE, 0);
	assert_int_equal(mmu_hw_cr4(&fx.v), X86_CR4_PAE | X86_CR4_SMEP | X86_CR4_SMAP | X86_CR4_PGE);
	assert_false(fx.v.hw_long);
	fx_long_mode(&fx);
	assert_true(fx.v.hw_long);
	assert_int_equal(mmu_hw_efer(&fx.v), EFER_NXE | EFER_LME | EFER_LMA);
	/* Bits that mean something to shadow tables which it does not mean to them. */
	fx.v.paging.cr4 |= X86_CR4_PCIDE | X86_CR4_LA57 | 1ull << 22 /* PKE */;
	assert_int_equal(mmu_hw_cr4(&fx.v), X86_CR4_PAE);
	/* Paging off, LME left on: the hardware runs PAE, thus outside long mode. */
	assert_int_equal(mmu_set_paging(&fx.v, &(struct guest_paging){ .cr0 = X86_CR0_PE, .efer = EFER_LME,
			 .cr4 = X86_CR4_SMEP | X86_CR4_SMAP, .maxphyaddr = 40 }), 0);
	assert_int_equal(mmu_hw_efer(&fx.v), EFER_NXE);
	assert_int_equal(mmu_hw_cr4(&fx.v), X86_CR4_PAE);
	fx_close(&fx);
}

/* ---- the other kinds of tables -------------------------------------------------------- */

static void two_level_quadrants(void **state)
{
	static const uint64_t addrs[] = { 0, 0x1000, 0x200000, 0x3ff000, 0x40000000, 0x7fe00000, 0xc0000000, 0xffc00000,
					  0xfffff000 };
	struct cpu_translation t;
	struct fixture fx;

	fx_open(&fx, 1024, 64);
	fx_paging(&fx, X86_CR0_WP, X86_CR4_PSE, 0);
	for (uint64_t i = 0; i < 9; i++)
		fx_map(&fx, addrs[i], 1, (100 + i) << 12 | G_ALL);
	for (uint64_t i = 0; i < 9; i++) {
		assert_int_equal(fx_touch(&fx, addrs[i], PFERR_WRITE, NULL), FAULT_FIXED);
		assert_true(cpu_walk(&fx.v, gva(addrs[i]), &t));
		assert_int_equal(t.frame.v >> 12, fx.base_pfn.v + 100 + i);
	}
	assert_audit(&fx);
	for (uint64_t i = 0; i < 9; i++) {
		fx_map(&fx, addrs[i], 1, 0);
		assert_false(fx_goes_through(&fx, addrs[i], 0));
	}
	/* 4 MiB are two large sptes; both go with their one entry. */
	fx_map(&fx, 0x80000000, 2, G_ALL | G_PS);
	assert_int_equal(fx_touch(&fx, 0x80200000, PFERR_WRITE, NULL), FAULT_FIXED);
	assert_true(fx_is_large(&fx, 0x80200000));
	assert_int_equal(fx_touch(&fx, 0x80300000, PFERR_WRITE, NULL), FAULT_FIXED);
	assert_int_equal(fx_touch(&fx, 0x80000000 + 200 * 4096, 0, NULL), FAULT_FIXED);
	fx_map(&fx, 0x80000000, 2, 0);
	assert_false(fx_goes_through(&fx, 0x80200000, 0) || fx_goes_through(&fx, 0x80000000 + 200 * 4096, 0));
	fx_close(&fx);
}

/* CR4.PSE decides whether an entry is a page or a table. */
static void pse_is_part_of_the_role(void **state)
{
	struct cpu_translation t;
	struct fixture fx;
	uint64_t e = 900 << 12 | G_ALL;

	fx_open(&fx, 1024, 64);
	fx_paging(&fx, X86_CR0_WP, X86_CR4_PSE, 0);
	fx_map(&fx, 0x80000000, 2, G_ALL | G_PS);
	assert_int_equal(fx_touch(&fx, 0x80205000, 0, NULL), FAULT_FIXED);
	fx_write(&fx, gpa(0x205 * 4), &e, 4); /* frame 0 as a table */
	fx_paging(&fx, X86_CR0_WP, 0, 0);
	assert_int_equal(fx_touch(&fx, 0x80205000, 0, NULL), FAULT_FIXED);
	assert_true(cpu_walk(&fx.v, gva(0x80205000), &t));
	assert_int_equal(t.frame.v >> 12, fx.base_pfn.v + 900);
	fx_paging(&fx, X86_CR0_WP, X86_CR4_PSE, 0);
	assert_int_equal(fx_touch(&fx, 0x80205000, 0, NULL), FAULT_FIXED);
	assert_true(cpu_walk(&fx.v, gva(0x80205000), &t));
	assert_int_equal(t.frame.v >> 12, fx.base_pfn.v + 0x205);
	fx_close(&fx);
}

static void pae_runs_on_the_loaded_pdptes(void **state)
{
	struct fixture fx;
	struct page_fault f;
	uint64_t pdpte = 10 << 12 | G_P, pde = 11 << 12 | G_ALL, pte = 40 << 12 | G_ALL | G_NX;

	fx_open(&fx, 64, 64);
	fx_write(&fx, gpa((FX_ROOT << 12) + 3 * 8), &pdpte, 8);
	fx_write(&fx, gpa(10 << 12), &pde, 8);
	fx_write(&fx, gpa(11 << 12), &pte, 8);
	fx_paging(&fx, X86_CR0_WP, X86_CR4_PAE, EFER_NXE);
	assert_false(fx.v.hw_long);
	assert_int_equal(fx_touch(&fx, 0xc0000000, PFERR_WRITE | PFERR_USER, NULL), FAULT_FIXED);
	assert_int_equal(fx_touch(&fx, 0xc0000000, PFERR_FETCH, &f), FAULT_INJECT);
	assert_int_equal(fx_touch(&fx, 0x80000000, 0, &f), FAULT_INJECT);
	assert_int_equal(f.inject_code, 0);
	/* A change in memory counts when CR3 is loaded, not before. */
	pdpte = 0;
	fx_write(&fx, gpa((FX_ROOT << 12) + 3 * 8), &pdpte, 8);
	assert_true(fx_goes_through(&fx, 0xc0000000, PFERR_WRITE));
	fx_paging(&fx, X86_CR0_WP, X86_CR4_PAE, EFER_NXE);
	assert_int_equal(fx_touch(&fx, 0xc0000000, 0, NULL), FAULT_INJECT);
	fx_close(&fx);
}

/* ---- tracking ---------------------------------------------------------------------- */

static void lesson_10_read_and_exec_tracking(void **state)
{
	struct fixture fx;

	fx_open(&fx, 64, 64);
	fx_long_mode(&fx);
	fx_map(&fx, 0, 1, 20 << 12 | G_P | G_A); /* read-only for the guest */
	assert_int_equal(fx_touch(&fx, 0, PFERR_FETCH, NULL), FAULT_FIXED);
	assert_int_equal(others_add(&fx.mmu, gfn(20), PAGE_TRACK_EXEC), 0);
	assert_false(fx_goes_through(&fx, 0, PFERR_FETCH));
	assert_true(fx_goes_through(&fx, 0, 0));
	assert_int_equal(fx_touch(&fx, 0, PFERR_FETCH, NULL), FAULT_EMULATE);
	assert_int_equal(others_add(&fx.mmu, gfn(20), PAGE_TRACK_READ), 0);
	assert_int_equal(fx_touch(&fx, 0, 0, NULL), FAULT_EMULATE);
	assert_int_equal(others_remove(&fx.mmu, gfn(20), PAGE_TRACK_EXEC), 0);
	assert_int_equal(fx_touch(&fx, 0, PFERR_FETCH, NULL), FAULT_EMULATE); /* who cannot read cannot fetch */
	assert_int_equal(others_remove(&fx.mmu, gfn(20), PAGE_TRACK_READ), 0);
	assert_int_equal(fx_touch(&fx, 0, PFERR_FETCH, NULL), FAULT_FIXED);
	fx_close(&fx);
}

static void lesson_01_errors_change_nothing(void **state)
{
	struct fixture fx;

	fx_open(&fx, 64, 64);
	assert_int_equal(others_add(&fx.mmu, gfn(64), PAGE_TRACK_WRITE), -EINVAL);
	assert_int_equal(others_add(&fx.mmu, gfn(1), PAGE_TRACK_MODES), -EINVAL);
	assert_int_equal(others_remove(&fx.mmu, gfn(1), PAGE_TRACK_WRITE), -ENOENT);
	assert_int_equal(others_remove(&fx.mmu, gfn(1), (enum page_track_mode)77), -EINVAL);
	fx_close(&fx);
}

/* A count of the MMU's own is not there for others to remove. */
static void lesson_03_the_mmus_counts_are_its_own(void **state)
{
	struct fixture fx;

	fx_open(&fx, 64, 64);
	fx_long_mode(&fx);
	assert_int_equal(page_track_count(&slot0(&fx)->track, gfn(FX_ROOT), PAGE_TRACK_WRITE), 1);
	assert_int_equal(others_remove(&fx.mmu, gfn(FX_ROOT), PAGE_TRACK_WRITE), -ENOENT);
	assert_int_equal(page_track_count(&slot0(&fx)->track, gfn(FX_ROOT), PAGE_TRACK_WRITE), 1);
	fx_close(&fx);
}

static void lesson_12_two_reasons_to_be_read_only(void **state)
{
	struct fixture fx;

	fx_open(&fx, 64, 64);
	fx_long_mode(&fx);
	fx_map(&fx, 0, 1, 20 << 12 | G_ALL);
	assert_int_equal(others_add(&fx.mmu, gfn(20), PAGE_TRACK_WRITE), 0);
	assert_int_equal(mmu_slot_set_flags(&fx.mmu, 0, MEMSLOT_LOG_DIRTY), 0);
	assert_int_equal(fx_touch(&fx, 0, PFERR_WRITE, NULL), FAULT_EMULATE);
	assert_int_equal(mmu_slot_set_flags(&fx.mmu, 0, 0), 0);
	assert_int_equal(fx_touch(&fx, 0, PFERR_WRITE, NULL), FAULT_EMULATE);
	assert_int_equal(mmu_slot_set_flags(&fx.mmu, 0, MEMSLOT_LOG_DIRTY), 0);
	assert_int_equal(others_remove(&fx.mmu, gfn(20), PAGE_TRACK_WRITE), 0);
	assert_int_equal(fx_touch(&fx, 0, 0, NULL), FAULT_FIXED);
	assert_false(fx_goes_through(&fx, 0, PFERR_WRITE)); /* not logged yet */
	assert_false(slot0(&fx)->dirty_bitmap[0] & (1ull << 20));
	assert_int_equal(fx_touch(&fx, 0, PFERR_WRITE, NULL), FAULT_FIXED);
	assert_true(slot0(&fx)->dirty_bitmap[0] & (1ull << 20));
	fx_close(&fx);
}

/* ---- slots --------------------------------------------------------------------------- */

/* What the others were told. */
static struct {
	struct page_track_region region;
	unsigned int regions, writes;
	struct page_track_event last;
	struct access_origin origin;
	uint8_t old[PAGE_SIZE], new[PAGE_SIZE];
} heard;

static void hear_write(const struct page_track_event *e)
{
	if (e->mode != PAGE_TRACK_WRITE)
		return;
	heard.writes++;
	heard.last = *e;
	heard.origin = *e->origin;
	memcpy(heard.old, e->old, e->len);
	memcpy(heard.new, e->new, e->len);
}

static void hear_region(const struct page_track_region *r)
{
	heard.regions++;
	heard.region = *r;
}

static void listen(struct fixture *fx)
{
	memset(&heard, 0, sizeof(heard));
	others_ears = (struct others_ears){ .after = hear_write, .region = hear_region };
	others_join(&fx->mmu.mem);
}

static bool told_region(unsigned int nth, enum page_track_region_change change, uint64_t base)
{
	return heard.regions == nth && heard.region.change == change && heard.region.base.v == base &&
	       heard.region.npages == 64;
}

/* Of the MMU's own there is nothing left. The count of the others follows memory, by
 * their policy: it moves along, and ends with the slot. */
static void lesson_05_move_and_delete_leave_nothing(void **state)
{
	struct fixture fx;

	fx_open(&fx, 64, 64);
	listen(&fx);
	fx_long_mode(&fx);
	fx_map(&fx, 0, 1, 20 << 12 | G_ALL);
	assert_int_equal(fx_touch(&fx, 0, PFERR_WRITE, NULL), FAULT_FIXED);
	assert_int_equal(others_add(&fx.mmu, gfn(21), PAGE_TRACK_WRITE), 0);
	assert_int_equal(mmu_slot_move(&fx.mmu, 0, gfn(1000)), 0);
	assert_true(told_region(1, REGION_MOVED, 1000) && heard.region.old_base.v == 0);
	assert_int_equal(page_track_total(&slot0(&fx)->track, PAGE_TRACK_WRITE), 1);
	assert_int_equal(page_track_count(&slot0(&fx)->track, gfn(1021), PAGE_TRACK_WRITE), 1);
	assert_audit(&fx);
	assert_false(fx_goes_through(&fx, 0, 0)); /* the root itself has gone */
	assert_int_equal(fx_touch(&fx, 0, 0, NULL), FAULT_INJECT);
	assert_int_equal(others_add(&fx.mmu, gfn(21), PAGE_TRACK_WRITE), -EINVAL);
	assert_int_equal(others_remove(&fx.mmu, gfn(21), PAGE_TRACK_WRITE), -ENOENT);
	assert_int_equal(mmu_slot_move(&fx.mmu, 0, gfn(0)), 0);
	assert_int_equal(fx_touch(&fx, 0, PFERR_WRITE, NULL), FAULT_FIXED);
	assert_int_equal(page_track_count(&slot0(&fx)->track, gfn(21), PAGE_TRACK_WRITE), 1);
	assert_int_equal(mmu_slot_move(&fx.mmu, 0, gfn(1ull << 40)), -EINVAL);
	assert_true(told_region(2, REGION_MOVED, 0)); /* not for a move that failed */
	assert_int_equal(mmu_slot_delete(&fx.mmu, 0), 0);
	assert_true(told_region(3, REGION_REMOVED, 0));
	assert_int_equal(page_tracker_count(&others, gfn(21), PAGE_TRACK_WRITE), 0);
	assert_int_equal(mmu_slot_delete(&fx.mmu, 0), -ENOENT);
	assert_int_equal(heard.regions, 3);
	assert_int_equal(fx_touch(&fx, 0, 0, NULL), FAULT_INJECT);
	assert_audit(&fx);
	fx_close(&fx);
}

static void no_two_gfns_share_a_frame(void **state)
{
	struct memslot_desc d = { .id = 1, .base_gfn = gfn(5000), .npages = 4 };
	struct fixture fx;

	fx_open(&fx, 64, 64);
	d.base_pfn = pfn_add(fx.base_pfn, 63);
	assert_int_equal(mmu_slot_create(&fx.mmu, &d), -EEXIST);
	d.base_pfn = pfn(fx.base_pfn.v - 3);
	assert_int_equal(mmu_slot_create(&fx.mmu, &d), -EEXIST);
	d.base_pfn = pfn((1ull << (46 - 12)) - 3);
	assert_int_equal(mmu_slot_create(&fx.mmu, &d), -EINVAL); /* beyond the CPU's addresses */
	fx_close(&fx);
}

static void a_read_only_slot(void **state)
{
	struct fixture fx;

	fx_open(&fx, 1024, 64);
	assert_int_equal(fx_touch(&fx, MB2, PFERR_WRITE, NULL), FAULT_FIXED);
	assert_int_equal(mmu_slot_set_flags(&fx.mmu, 0, MEMSLOT_READONLY), 0);
	assert_int_equal(fx_touch(&fx, MB2, PFERR_WRITE, NULL), FAULT_EMULATE);
	assert_int_equal(fx_touch(&fx, MB2, PFERR_FETCH, NULL), FAULT_FIXED);
	assert_true(fx_is_large(&fx, MB2));
	fx_close(&fx);
}

/* Tables in ROM: no A, no D, but they work. */
static void tables_in_a_read_only_slot(void **state)
{
	struct page_fault f = { .addr = gva(0), .error_code = PFERR_WRITE };
	struct memslot_desc d = { .id = 1, .base_gfn = gfn(5000), .npages = 1 };
	struct fixture fx;

	fx_open(&fx, 64, 64);
	fx_long_mode(&fx);
	d.base_pfn = pfn_add(fx.base_pfn, 64); /* the fixture's spare memory */
	assert_int_equal(mmu_slot_create(&fx.mmu, &d), 0);
	fx_map(&fx, 0, 2, 5000ull << 12 | G_ALL);
	fx_map(&fx, 0, 1, 20 << 12 | G_P | G_W);
	assert_int_equal(mmu_slot_set_flags(&fx.mmu, 1, MEMSLOT_READONLY), 0);
	assert_int_equal(fx_touch(&fx, 0, 0, NULL), FAULT_FIXED);
	assert_int_equal(mmu_page_fault(&fx.v, &f), FAULT_EMULATE); /* D can never be set */
	assert_audit(&fx);
	assert_int_equal(mmu_slot_set_flags(&fx.mmu, 1, 0), 0);
	assert_int_equal(fx_touch(&fx, 0, PFERR_WRITE, NULL), FAULT_FIXED);
	fx_close(&fx);
}

/* ---- the native step ----------------------------------------------------------------- */

/* One event for the page: from the first byte that changed to the last. */
static void a_step_opens_tells_and_closes(void **state)
{
	struct page_fault f = { .addr = gva(0x123), .error_code = PFERR_WRITE };
	struct cpu_translation t;
	struct fixture fx;
	uint8_t *byte;

	fx_open(&fx, 64, 64);
	listen(&fx);
	fx_long_mode(&fx);
	fx_map(&fx, 0, 1, 20 << 12 | G_ALL);
	assert_int_equal(others_add(&fx.mmu, gfn(20), PAGE_TRACK_WRITE), 0);
	assert_int_equal(others_add(&fx.mmu, gfn(20), PAGE_TRACK_READ), 0);
	assert_int_equal(mmu_page_fault(&fx.v, &f), FAULT_EMULATE);
	assert_int_equal(mmu_step_open(&fx.v, &f), 0);
	assert_true(cpu_walk(&fx.v, gva(0x123), &t) && t.write);
	byte = (uint8_t *)port_hpa_to_va(t.frame) + 0x123;
	byte[0] = 0xaa;
	byte[1] = 0xbb;
	byte[100] = 0xcc;
	assert_audit(&fx);
	assert_int_equal(heard.writes, 0);
	mmu_step_close(&fx.v, true);
	assert_false(cpu_walk(&fx.v, gva(0x123), &t));
	assert_int_equal(heard.writes, 1);
	assert_int_equal(heard.last.gpa.v, (20 << 12) + 0x123);
	assert_int_equal(heard.last.len, 101);
	assert_true(heard.last.inexact);
	assert_int_equal(heard.origin.agent, AGENT_GUEST);
	assert_int_equal(heard.origin.gva.v, 0x123);
	assert_true(heard.old[0] == 0 && heard.old[100] == 0);
	assert_true(heard.new[0] == 0xaa && heard.new[1] == 0xbb && heard.new[2] == 0 && heard.new[100] == 0xcc);
	mmu_step_close(&fx.v, true); /* nothing is open: nothing happens */
	assert_int_equal(heard.writes, 1);
	assert_int_equal(others_remove(&fx.mmu, gfn(20), PAGE_TRACK_WRITE), 0);
	assert_int_equal(others_remove(&fx.mmu, gfn(20), PAGE_TRACK_READ), 0);
	fx_close(&fx);
}

/* A stepped write to a guest table reaches its shadow. */
static void lesson_09_a_stepped_table_write_is_seen(void **state)
{
	struct page_fault f = { .addr = gva(0x1000), .error_code = PFERR_WRITE };
	struct cpu_translation t;
	struct fixture fx;
	gpa_t at;

	fx_open(&fx, 64, 64);
	fx_long_mode(&fx);
	at = fx_map(&fx, 0, 1, 20 << 12 | G_ALL);
	fx_map(&fx, 0x1000, 1, (at.v & ~0xfffull) | G_ALL); /* the table maps itself */
	assert_int_equal(fx_touch(&fx, 0, PFERR_WRITE, NULL), FAULT_FIXED);
	assert_int_equal(mmu_page_fault(&fx.v, &f), FAULT_EMULATE);
	assert_int_equal(mmu_step_open(&fx.v, &f), 0);
	assert_true(cpu_walk(&fx.v, gva(0x1000), &t) && t.write);
	*(uint64_t *)port_hpa_to_va(hpa(t.frame.v + gpa_offset(at))) = 0;
	mmu_step_close(&fx.v, true);
	assert_false(fx_goes_through(&fx, 0, 0));
	fx_close(&fx);
}

static void a_step_has_limits(void **state)
{
	struct fixture fx;

	fx_open(&fx, 64, 64);
	fx_long_mode(&fx);
	for (uint64_t i = 0; i <= MMU_STEP_PAGES_MAX; i++) {
		struct page_fault f = { .addr = gva(i << 12), .error_code = PFERR_WRITE };

		fx_map(&fx, i << 12, 1, (20 + i) << 12 | G_ALL);
		assert_int_equal(others_add(&fx.mmu, gfn(20 + i), PAGE_TRACK_WRITE), 0);
		assert_int_equal(mmu_page_fault(&fx.v, &f), FAULT_EMULATE);
		assert_int_equal(mmu_step_open(&fx.v, &f), i < MMU_STEP_PAGES_MAX ? 0 : -E2BIG);
	}
	mmu_step_close(&fx.v, true);
	assert_audit(&fx);
	for (uint64_t i = 0; i <= MMU_STEP_PAGES_MAX; i++)
		assert_int_equal(others_remove(&fx.mmu, gfn(20 + i), PAGE_TRACK_WRITE), 0);
	fx_close(&fx);
}

/* The slot goes while a page of it is open, and other memory comes there. */
static void a_step_over_a_slot_that_goes(void **state)
{
	struct page_fault f = { .addr = gva(20 << 12), .error_code = PFERR_WRITE };
	struct memslot_desc d = { .id = 1, .base_gfn = gfn(0), .npages = 32 };
	struct fixture fx;
	uint8_t byte = 0x55;

	fx_open(&fx, 64, 64);
	listen(&fx);
	fx_write(&fx, gpa(20 << 12), &byte, 1);
	assert_int_equal(others_add(&fx.mmu, gfn(20), PAGE_TRACK_WRITE), 0);
	assert_int_equal(mmu_page_fault(&fx.v, &f), FAULT_EMULATE);
	assert_int_equal(mmu_step_open(&fx.v, &f), 0);
	assert_int_equal(mmu_slot_delete(&fx.mmu, 0), 0);
	assert_audit(&fx);
	assert_int_equal(mmu_step_open(&fx.v, &f), -EFAULT);
	d.base_pfn = pfn_add(fx.base_pfn, 32);
	assert_int_equal(mmu_slot_create(&fx.mmu, &d), 0);
	assert_int_equal(others_add(&fx.mmu, gfn(20), PAGE_TRACK_WRITE), 0);
	mmu_step_close(&fx.v, true);
	assert_int_equal(heard.writes, 0);
	fx_close(&fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lesson_34_paging_off_is_identity),
		cmocka_unit_test(faults_of_the_guest_are_its_own),
		cmocka_unit_test(tables_in_a_hole_fault),
		cmocka_unit_test(accessed_and_dirty_are_set_as_by_hardware),
		cmocka_unit_test(lesson_23_rights_of_the_whole_path),
		cmocka_unit_test(tables_are_tracked_while_shadowed),
		cmocka_unit_test(a_changed_entry_alone_is_dropped),
		cmocka_unit_test(lesson_28_a_wide_write_is_all_its_entries),
		cmocka_unit_test(lesson_13_a_reused_table_is_let_go),
		cmocka_unit_test(roots_stay_cached),
		cmocka_unit_test(lesson_07_tracking_splits_and_gives_back),
		cmocka_unit_test(a_table_inside_a_large_page_splits_it),
		cmocka_unit_test(lesson_20_a_split_follows_its_entry),
		cmocka_unit_test(a_clean_large_page_is_read_only),
		cmocka_unit_test(lesson_31_wp_off_flips_a_user_page),
		cmocka_unit_test(wp_off_with_smap_is_emulated),
		cmocka_unit_test(the_hardware_registers),
		cmocka_unit_test(two_level_quadrants),
		cmocka_unit_test(pse_is_part_of_the_role),
		cmocka_unit_test(pae_runs_on_the_loaded_pdptes),
		cmocka_unit_test(lesson_10_read_and_exec_tracking),
		cmocka_unit_test(lesson_01_errors_change_nothing),
		cmocka_unit_test(lesson_03_the_mmus_counts_are_its_own),
		cmocka_unit_test(lesson_12_two_reasons_to_be_read_only),
		cmocka_unit_test(lesson_05_move_and_delete_leave_nothing),
		cmocka_unit_test(no_two_gfns_share_a_frame),
		cmocka_unit_test(a_read_only_slot),
		cmocka_unit_test(tables_in_a_read_only_slot),
		cmocka_unit_test(a_step_opens_tells_and_closes),
		cmocka_unit_test(lesson_09_a_stepped_table_write_is_seen),
		cmocka_unit_test(a_step_has_limits),
		cmocka_unit_test(a_step_over_a_slot_that_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
