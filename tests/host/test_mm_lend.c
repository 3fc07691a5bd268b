/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Trackers of one address space: what traps under their CR3, what is lent under
 * another, and when it is taken back. Two address spaces, A and B, each with tables of
 * its own for the user half, share those of the kernel half. The tracker is A's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "lib/alloc.h"
#include "lib/assert.h"
#include "mm/mmu_internal.h"
#include "mm/port.h"
#include "tests/host/fake_tracker.h"
#include "tests/host/mm_fixture.h"

#define ROOT_A 1ull
#define ROOT_B 2ull
#define A (ROOT_A << PAGE_SHIFT)
#define B (ROOT_B << PAGE_SHIFT)
#define PAGE 600ull /* gfn, and page of each half that maps it */
#define USER(g) ((g) << PAGE_SHIFT)
#define KERNEL(g) (0xffff800000000000ull + ((g) << PAGE_SHIFT))

static const uint32_t code_of[PAGE_TRACK_MODES] = {
	[PAGE_TRACK_WRITE] = PFERR_WRITE, [PAGE_TRACK_READ] = 0, [PAGE_TRACK_EXEC] = PFERR_FETCH,
};

static struct fixture fx;
static struct fake_tracker t; /* of A */

static void go_to(uint64_t cr3)
{
	struct guest_paging p = fx.v.paging;

	p.cr3 = cr3;
	assert_int_equal(mmu_set_paging(&fx.v, &p), 0);
	assert_audit(&fx);
}

/* Entry @e for @addr at @level under the table at @root, with tables on the way. */
static void map_under(uint64_t root, uint64_t addr, int level, uint64_t e)
{
	uint64_t table = root << PAGE_SHIFT;

	for (int l = 4; l > level; l--) {
		gpa_t at = gpa(table + (addr >> (12 + 9 * (l - 1)) & 511) * 8);
		uint64_t entry = 0;

		ASSERT(guest_read(&fx.mmu.mem, at, &entry, 8, NULL) == 0);
		if (!(entry & G_P)) {
			entry = fx.next_table++ << PAGE_SHIFT | G_ALL;
			fx_write(&fx, at, &entry, 8);
		}
		table = entry & SPTE_FRAME_MASK;
	}
	fx_write(&fx, gpa(table + (addr >> (12 + 9 * (level - 1)) & 511) * 8), &e, 8);
}

static void map_page(uint64_t g)
{
	map_under(ROOT_A, USER(g), 1, g << PAGE_SHIFT | G_ALL);
	map_under(ROOT_B, USER(g), 1, g << PAGE_SHIFT | G_ALL);
	map_under(ROOT_A, KERNEL(g), 1, g << PAGE_SHIFT | G_ALL);
}

static int setup(void **state)
{
	const uint64_t shared = 3ull << PAGE_SHIFT | G_ALL;

	fx_open(&fx, 1024, 256);
	fx_long_mode(&fx);
	fx.next_table = 4;
	fx_write(&fx, gpa(A + 256 * 8), &shared, 8);
	fx_write(&fx, gpa(B + 256 * 8), &shared, 8);
	map_page(PAGE);
	fake_tracker_open(&t, &fx.mmu.mem.track, "of A", 10);
	fake_tracker_close(&t);
	t.t.only_cr3 = A;
	ASSERT(page_tracker_register(&fx.mmu.mem.track, &t.t) == 0);
	return 0;
}

static int teardown(void **state)
{
	if (t.t.pt)
		fake_tracker_close(&t);
	fx_close(&fx);
	return 0;
}

static void assert_traps(uint64_t addr, uint32_t code)
{
	assert_false(fx_goes_through(&fx, addr, code));
	assert_int_equal(fx_touch(&fx, addr, code, NULL), FAULT_EMULATE);
	assert_false(fx_goes_through(&fx, addr, code));
	assert_audit(&fx);
}

/* Goes through, after @faults of them. */
static void assert_lent(uint64_t addr, uint32_t code, uint64_t faults)
{
	uint64_t before = fx.mmu.stats.faults;

	assert_int_equal(fx_touch(&fx, addr, code, NULL), FAULT_FIXED);
	assert_true(fx_goes_through(&fx, addr, code));
	assert_int_equal(fx.mmu.stats.faults - before, faults);
	assert_audit(&fx);
}

static void each_mode_traps_in_its_address_space_only(void **state)
{
	for (unsigned int mode = 0; mode < PAGE_TRACK_MODES; mode++) {
		go_to(A);
		fake_tracker_add(&t, USER(PAGE), PAGE_TRACK_BIT(mode));
		for (unsigned int pass = 0; pass < 3; pass++) {
			assert_traps(USER(PAGE), code_of[mode]);
			assert_traps(KERNEL(PAGE), code_of[mode]);
			go_to(B);
			assert_false(fx_goes_through(&fx, USER(PAGE), code_of[mode]));
			assert_lent(USER(PAGE), code_of[mode], 1);
			assert_lent(USER(PAGE), code_of[mode], 0);
			assert_lent(KERNEL(PAGE), code_of[mode], 1);
			for (unsigned int other = 0; other < PAGE_TRACK_MODES; other++)
				assert_lent(KERNEL(PAGE), code_of[other], 0);
			assert_int_equal(fx.mmu.lent_count, 1);
			go_to(A);
			assert_int_equal(fx.mmu.lent_count, 0);
		}
		fake_tracker_remove(&t, USER(PAGE), PAGE_TRACK_BIT(mode));
	}
	assert_int_equal(t.asked + t.told, 0);
}

/* The tables of the kernel half are the same ones, and no TLB keeps what was lent. */
static void shared_tables_trap_again_after_a_switch(void **state)
{
	unsigned int flushes;

	fake_tracker_add(&t, USER(PAGE), PAGE_TRACK_BIT(PAGE_TRACK_WRITE));
	go_to(B);
	assert_lent(KERNEL(PAGE), PFERR_WRITE, 1);
	flushes = fx.flushes;
	go_to(A);
	assert_true(fx.flushes > flushes);
	assert_traps(KERNEL(PAGE), PFERR_WRITE);
	go_to(B);
	assert_false(fx_goes_through(&fx, KERNEL(PAGE), PFERR_WRITE));
	assert_lent(KERNEL(PAGE), PFERR_WRITE, 1);
	go_to(B | 5); /* a PCID, or flags: the same address space */
	assert_lent(KERNEL(PAGE), PFERR_WRITE, 0);
}

static void what_is_lent_is_taken_by_the_next_who_adds(void **state)
{
	for (unsigned int mode = 0; mode < PAGE_TRACK_MODES; mode++) {
		struct fake_tracker all;
		unsigned int flushes;

		fake_tracker_open(&all, &fx.mmu.mem.track, "of all", 20);
		fake_tracker_add(&t, USER(PAGE), PAGE_TRACK_ALL);
		go_to(B);
		assert_lent(USER(PAGE), code_of[mode], 1);
		flushes = fx.flushes;
		fake_tracker_add(&all, USER(PAGE), PAGE_TRACK_BIT(mode));
		assert_true(fx.flushes > flushes);
		assert_traps(USER(PAGE), code_of[mode]);
		fake_tracker_remove(&all, USER(PAGE), PAGE_TRACK_BIT(mode));
		assert_lent(USER(PAGE), code_of[mode], 1);
		fake_tracker_close(&all);
		fake_tracker_remove(&t, USER(PAGE), PAGE_TRACK_ALL);
		go_to(A);
	}
}

/* What is left to lend is what others do not hold. */
static void lent_rights_are_those_that_no_other_holder_takes(void **state)
{
	struct fake_tracker all;

	fake_tracker_open(&all, &fx.mmu.mem.track, "of all", 20);
	fake_tracker_add(&t, USER(PAGE), PAGE_TRACK_BIT(PAGE_TRACK_READ));
	fake_tracker_add(&all, USER(PAGE), PAGE_TRACK_BIT(PAGE_TRACK_WRITE));
	go_to(B);
	assert_lent(USER(PAGE), 0, 1);
	assert_lent(USER(PAGE), PFERR_FETCH, 0);
	assert_traps(USER(PAGE), PFERR_WRITE);
	assert_lent(USER(PAGE), 0, 0);
	fake_tracker_close(&all);
}

/* Somebody adds a page between the look at its holders and the loan. */
static void a_loan_does_not_outlast_an_addition(void **state)
{
	struct fake_tracker all;
	struct mmu_loan loan;

	fake_tracker_open(&all, &fx.mmu.mem.track, "of all", 20);
	fake_tracker_add(&t, USER(PAGE), PAGE_TRACK_BIT(PAGE_TRACK_WRITE));
	go_to(B);
	loan = mmu_lendable(&fx.v, gfn(PAGE));
	assert_true(loan.rights & ACCESS_WRITE);
	fake_tracker_add(&all, USER(PAGE), PAGE_TRACK_BIT(PAGE_TRACK_WRITE));
	assert_int_equal(mmu_lend(&fx.mmu, gfn(PAGE), &loan), 0);
	loan = mmu_lendable(&fx.v, gfn(PAGE));
	assert_false(loan.rights & ACCESS_WRITE);
	fake_tracker_close(&all);
}

static void a_tracker_of_this_address_space_objects(void **state)
{
	struct fake_tracker b;

	fake_tracker_open(&b, &fx.mmu.mem.track, "of B", 20);
	fake_tracker_close(&b);
	b.t.only_cr3 = B | 7; /* its flags do not count */
	assert_int_equal(page_tracker_register(&fx.mmu.mem.track, &b.t), 0);
	fake_tracker_add(&t, USER(PAGE), PAGE_TRACK_BIT(PAGE_TRACK_WRITE));
	fake_tracker_add(&b, USER(PAGE), PAGE_TRACK_BIT(PAGE_TRACK_WRITE));
	assert_traps(USER(PAGE), PFERR_WRITE);
	go_to(B);
	assert_traps(USER(PAGE), PFERR_WRITE);
	fake_tracker_remove(&t, USER(PAGE), PAGE_TRACK_BIT(PAGE_TRACK_WRITE));
	assert_traps(USER(PAGE), PFERR_WRITE);
	go_to(A);
	assert_lent(USER(PAGE), PFERR_WRITE, 1);
	fake_tracker_close(&b);
}

static void a_page_table_is_never_lent_writable(void **state)
{
	const uint64_t elsewhere = 5ull << 30; /* mapped through a table in PAGE */

	fake_tracker_add(&t, USER(PAGE), PAGE_TRACK_BIT(PAGE_TRACK_WRITE));
	go_to(B);
	assert_lent(USER(PAGE), PFERR_WRITE, 1);
	map_under(ROOT_B, elsewhere, 2, PAGE << PAGE_SHIFT | G_ALL);
	map_under(ROOT_B, elsewhere, 1, PAGE << PAGE_SHIFT | G_ALL);
	assert_int_equal(fx_touch(&fx, elsewhere, 0, NULL), FAULT_FIXED);
	assert_traps(USER(PAGE), PFERR_WRITE); /* it has become one */
	assert_traps(elsewhere, PFERR_WRITE);  /* it is one on the way to itself */
	assert_lent(USER(PAGE), 0, 0);
	go_to(A);
	assert_traps(USER(PAGE), PFERR_WRITE);
}

/* The path to the page makes it a table, after it was found that it is none. */
static void a_page_table_on_the_way_to_itself_is_not_lent(void **state)
{
	const uint64_t elsewhere = 5ull << 30;

	map_under(ROOT_B, elsewhere, 2, PAGE << PAGE_SHIFT | G_ALL);
	map_under(ROOT_B, elsewhere, 1, PAGE << PAGE_SHIFT | G_ALL);
	fake_tracker_add(&t, USER(PAGE), PAGE_TRACK_BIT(PAGE_TRACK_WRITE));
	go_to(B);
	assert_traps(elsewhere, PFERR_WRITE);
}

static void the_slot_of_a_lent_page_goes(void **state)
{
	const uint64_t far = 2048;
	uint8_t *memory = mem_zalloc(4 * PAGE_SIZE);
	const struct memslot_desc d = { .id = 1, .base_gfn = gfn(far), .npages = 4,
					.base_pfn = hpa_to_pfn(port_va_to_hpa(memory)) };

	assert_int_equal(mmu_slot_create(&fx.mmu, &d), 0);
	map_page(far);
	fake_tracker_add(&t, USER(far), PAGE_TRACK_BIT(PAGE_TRACK_WRITE)); /* stays with the gfn */
	go_to(B);
	assert_lent(USER(far), PFERR_WRITE, 1);
	assert_int_equal(mmu_slot_delete(&fx.mmu, 1), 0);
	assert_false(fx_goes_through(&fx, USER(far), 0));
	assert_int_equal(fx_touch(&fx, USER(far), PFERR_WRITE, NULL), FAULT_MMIO);
	assert_audit(&fx);
	assert_int_equal(mmu_slot_create(&fx.mmu, &d), 0);
	assert_lent(USER(far), PFERR_WRITE, 1);
	assert_int_equal(mmu_slot_move(&fx.mmu, 1, gfn(far + 100)), 0);
	assert_false(fx_goes_through(&fx, USER(far), 0));
	assert_audit(&fx);
	assert_int_equal(mmu_slot_move(&fx.mmu, 1, gfn(far)), 0);
	go_to(A);
	assert_traps(USER(far), PFERR_WRITE);
	assert_int_equal(mmu_slot_delete(&fx.mmu, 1), 0);
	mem_free(memory, 4 * PAGE_SIZE);
}

static void store_emulated(uint64_t g, uint64_t cr3)
{
	const struct access_origin origin = { .agent = AGENT_EMULATOR, .vcpu = 0, .cr3 = cr3, .gva = gva(USER(g)) };
	const uint8_t byte = 1;

	assert_int_equal(guest_write(&fx.mmu.mem, gpa(g << PAGE_SHIFT), &byte, 1, &origin), 0);
}

static void a_full_list_traps_and_nobody_is_told(void **state)
{
	const uint64_t last = PAGE + MMU_LENT_MAX;

	for (uint64_t g = PAGE; g <= last; g++) {
		map_page(g);
		fake_tracker_add(&t, USER(g), PAGE_TRACK_BIT(PAGE_TRACK_WRITE));
	}
	go_to(B);
	for (uint64_t g = PAGE; g < last; g++)
		assert_lent(USER(g), PFERR_WRITE, 1);
	assert_traps(USER(last), PFERR_WRITE);
	assert_lent(KERNEL(PAGE), PFERR_WRITE, 1); /* is on the list */
	store_emulated(last, B);
	assert_int_equal(t.asked + t.told, 0);
	store_emulated(last, A);
	assert_int_equal(t.asked, 1);
	assert_int_equal(t.told, 1);
	go_to(A);
	go_to(B);
	assert_lent(USER(last), PFERR_WRITE, 1); /* there is room again */
	go_to(A);
	for (uint64_t g = PAGE; g <= last; g++)
		assert_traps(USER(g), PFERR_WRITE);
}

static void with_two_vcpus_nothing_is_lent(void **state)
{
	struct mmu_vcpu second;

	fake_tracker_add(&t, USER(PAGE), PAGE_TRACK_BIT(PAGE_TRACK_WRITE));
	go_to(B);
	assert_lent(USER(PAGE), PFERR_WRITE, 1);
	assert_int_equal(mmu_vcpu_init(&second, &fx.mmu, 40, true), 0);
	assert_traps(USER(PAGE), PFERR_WRITE); /* the one that was lent, too */
	mmu_vcpu_destroy(&second);
	assert_lent(USER(PAGE), PFERR_WRITE, 1);
}

static void without_paging_there_is_no_address_space(void **state)
{
	struct guest_paging p = fx.v.paging;

	fake_tracker_add(&t, USER(PAGE), PAGE_TRACK_BIT(PAGE_TRACK_WRITE));
	p.cr0 = p.efer = 0;
	p.cr3 = B;
	assert_int_equal(mmu_set_paging(&fx.v, &p), 0);
	assert_traps(USER(PAGE), PFERR_WRITE);
}

/* A step that needs of a page what may be lent and what may not: both are opened. */
static void an_open_page_is_not_lent(void **state)
{
	struct fake_tracker all;
	struct page_fault f;

	fake_tracker_open(&all, &fx.mmu.mem.track, "of all", 20);
	fake_tracker_add(&t, USER(PAGE), PAGE_TRACK_BIT(PAGE_TRACK_READ));
	fake_tracker_add(&all, USER(PAGE), PAGE_TRACK_BIT(PAGE_TRACK_WRITE));
	go_to(B);
	assert_int_equal(fx_touch(&fx, USER(PAGE), PFERR_WRITE, &f), FAULT_EMULATE);
	assert_int_equal(mmu_step_open(&fx.v, &f), 0);
	assert_audit(&fx);
	assert_int_equal(fx_touch(&fx, USER(PAGE), PFERR_FETCH, &f), FAULT_EMULATE);
	assert_int_equal(mmu_step_open(&fx.v, &f), 0);
	assert_true(fx_goes_through(&fx, USER(PAGE), PFERR_FETCH));
	assert_true(fx_goes_through(&fx, USER(PAGE), PFERR_WRITE));
	mmu_step_close(&fx.v, true);
	assert_traps(USER(PAGE), PFERR_WRITE);
	assert_lent(USER(PAGE), PFERR_FETCH, 1);
	fake_tracker_close(&all);
}

static unsigned int count_under(uint64_t g, enum page_track_mode mode, uint64_t cr3)
{
	return page_track_count_under(&fx.mmu.mem.track, gfn(g), mode, cr3);
}

static void counts_are_those_of_who_cares(void **state)
{
	struct fake_tracker all;

	fake_tracker_open(&all, &fx.mmu.mem.track, "of all", 20);
	fake_tracker_add(&t, USER(PAGE), PAGE_TRACK_BIT(PAGE_TRACK_WRITE));
	fake_tracker_add(&t, USER(PAGE), PAGE_TRACK_BIT(PAGE_TRACK_WRITE));
	assert_int_equal(count_under(PAGE, PAGE_TRACK_WRITE, A), 2);
	assert_int_equal(count_under(PAGE, PAGE_TRACK_WRITE, A | 0xfff), 2);
	assert_int_equal(count_under(PAGE, PAGE_TRACK_WRITE, A | 1ull << 63), 2);
	assert_int_equal(count_under(PAGE, PAGE_TRACK_WRITE, B), 0);
	assert_int_equal(count_under(PAGE, PAGE_TRACK_READ, A), 0);
	assert_int_equal(count_under(PAGE + 1, PAGE_TRACK_WRITE, A), 0);
	fake_tracker_add(&all, USER(PAGE), PAGE_TRACK_BIT(PAGE_TRACK_WRITE));
	assert_int_equal(count_under(PAGE, PAGE_TRACK_WRITE, A), 3);
	assert_int_equal(count_under(PAGE, PAGE_TRACK_WRITE, B), 1);
	assert_int_equal(count_under(1 << 20, PAGE_TRACK_WRITE, A), 0);
	assert_int_equal(count_under(PAGE, PAGE_TRACK_MODES, A), 0);
	fake_tracker_add(&t, A, PAGE_TRACK_BIT(PAGE_TRACK_WRITE));
	assert_int_equal(count_under(ROOT_A, PAGE_TRACK_WRITE, B), 1); /* the MMU's own */
	assert_int_equal(count_under(ROOT_A, PAGE_TRACK_WRITE, A), 2);
	fake_tracker_close(&all);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(each_mode_traps_in_its_address_space_only),
		T(shared_tables_trap_again_after_a_switch),
		T(what_is_lent_is_taken_by_the_next_who_adds),
		T(lent_rights_are_those_that_no_other_holder_takes),
		T(a_loan_does_not_outlast_an_addition),
		T(a_tracker_of_this_address_space_objects),
		T(a_page_table_is_never_lent_writable),
		T(a_page_table_on_the_way_to_itself_is_not_lent),
		T(the_slot_of_a_lent_page_goes),
		T(a_full_list_traps_and_nobody_is_told),
		T(with_two_vcpus_nothing_is_lent),
		T(without_paging_there_is_no_address_space),
		T(an_open_page_is_not_lent),
		T(counts_are_those_of_who_cares),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
