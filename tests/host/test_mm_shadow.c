/* SPDX-License-Identifier: GPL-2.0-only */
/* Shadow pages: identity by gfn and role, the quota, reclaim, teardown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "lib/errno.h"
#include "tests/host/mm_fixture.h"
#include "tests/host/others.h"
#include "tests/host/port_host.h"

static union shadow_page_role role_of(uint32_t n)
{
	union shadow_page_role role = { .word = n };

	return role;
}

/* All roles that a shadowed table can have stand on one gfn at once, and leave
 * 49,151 counts to others: no more, no fewer. */
static void lesson_02_all_roles_fit_the_counter(void **state)
{
	struct fixture fx;
	struct memslot *slot;

	fx_open(&fx, 64, SHADOW_COUNT_MAX + 64);
	slot = fx.mmu.mem.slots.slot[0];
	for (uint32_t n = 0; n < SHADOW_COUNT_MAX; n++) {
		assert_false(role_of(n).direct);
		assert_non_null(shadow_get(&fx.mmu, gfn(5), role_of(n)));
	}
	shadow_commit(&fx.mmu);
	assert_int_equal(page_track_count(&slot->track, gfn(5), PAGE_TRACK_WRITE), SHADOW_COUNT_MAX);
	for (unsigned int i = 0; i < 49151; i++)
		assert_int_equal(others_add(&fx.mmu, gfn(5), PAGE_TRACK_WRITE), 0);
	assert_int_equal(page_track_count(&slot->track, gfn(5), PAGE_TRACK_WRITE), PAGE_TRACK_COUNT_MAX);
	assert_int_equal(others_add(&fx.mmu, gfn(5), PAGE_TRACK_WRITE), -EOVERFLOW);
	for (unsigned int i = 0; i < 49151; i++)
		assert_int_equal(others_remove(&fx.mmu, gfn(5), PAGE_TRACK_WRITE), 0);
	assert_int_equal(others_remove(&fx.mmu, gfn(5), PAGE_TRACK_WRITE), -ENOENT);
	assert_int_equal(page_track_count(&slot->track, gfn(5), PAGE_TRACK_WRITE), SHADOW_COUNT_MAX);
	fx_close(&fx);
}

/* Whoever tracks first does not eat into the share of the shadow pages. */
static void lesson_02_others_leave_room(void **state)
{
	struct fixture fx;

	fx_open(&fx, 64, 64);
	for (unsigned int i = 0; i < 49151; i++)
		assert_int_equal(others_add(&fx.mmu, gfn(FX_ROOT), PAGE_TRACK_WRITE), 0);
	assert_int_equal(others_add(&fx.mmu, gfn(FX_ROOT), PAGE_TRACK_WRITE), -EOVERFLOW);
	fx_long_mode(&fx);
	fx_map(&fx, 0, 1, 9 << 12 | G_ALL);
	assert_int_equal(fx_touch(&fx, 0, 0, NULL), FAULT_FIXED);
	for (unsigned int i = 0; i < 49151; i++)
		assert_int_equal(others_remove(&fx.mmu, gfn(FX_ROOT), PAGE_TRACK_WRITE), 0);
	fx_close(&fx);
}

/* The MMU has no counts of its own in the other modes, and leaves them whole. */
static void lesson_02_the_other_modes_are_free_to_the_last(void **state)
{
	struct fixture fx;
	struct memslot *slot;

	fx_open(&fx, 64, 64);
	slot = fx.mmu.mem.slots.slot[0];
	for (unsigned int i = 0; i < PAGE_TRACK_COUNT_MAX; i++)
		assert_int_equal(others_add(&fx.mmu, gfn(5), PAGE_TRACK_READ), 0);
	assert_int_equal(page_track_count(&slot->track, gfn(5), PAGE_TRACK_READ), 65535);
	assert_int_equal(others_add(&fx.mmu, gfn(5), PAGE_TRACK_READ), -EOVERFLOW);
	assert_int_equal(page_track_count(&slot->track, gfn(5), PAGE_TRACK_READ), 65535);
	assert_int_equal(page_tracker_count(&others, gfn(5), PAGE_TRACK_READ), 65535);
	assert_int_equal(fx_touch(&fx, 5 << 12, 0, NULL), FAULT_EMULATE);
	assert_int_equal(others_add(&fx.mmu, gfn(5), PAGE_TRACK_EXEC), 0); /* each has a counter of its own */
	assert_int_equal(others_add(&fx.mmu, gfn(6), PAGE_TRACK_READ), 0);
	for (unsigned int i = 0; i < PAGE_TRACK_COUNT_MAX; i++)
		assert_int_equal(others_remove(&fx.mmu, gfn(5), PAGE_TRACK_READ), 0);
	assert_int_equal(others_remove(&fx.mmu, gfn(5), PAGE_TRACK_READ), -ENOENT);
	assert_int_equal(fx_touch(&fx, 5 << 12, PFERR_WRITE, NULL), FAULT_FIXED);
	fx_close(&fx);
}

/* Counters of new tables come from a reserve that is filled before: when memory is out, an
 * operation that has begun can go on to its end. */
static void counters_of_tables_are_paid_for_in_advance(void **state)
{
	struct fixture fx;

	fx_open(&fx, 2048, 64);
	fx_long_mode(&fx);
	fx_map(&fx, 0, 1, 9 << 12 | G_ALL);
	assert_int_equal(fx_touch(&fx, 0, 0, NULL), FAULT_FIXED); /* fills it */
	fx.next_table = 1500; /* no counter is there yet */
	fx_map(&fx, 1ull << 39, 1, 9 << 12 | G_ALL);
	host_fail_allocation(0);
	assert_int_equal(fx_touch(&fx, 1ull << 39, 0, NULL), FAULT_FIXED);
	host_fail_allocation(-1);
	assert_int_equal(page_track_count(&fx.mmu.mem.slots.slot[0]->track, gfn(1500), PAGE_TRACK_WRITE), 1);
	fx_close(&fx);
}

static void lesson_19_each_bit_of_the_role_is_identity(void **state)
{
	struct fixture fx;
	struct shadow_page *sp;

	fx_open(&fx, 64, 64);
	sp = shadow_get(&fx.mmu, gfn(7), role_of(1));
	assert_ptr_equal(sp, shadow_get(&fx.mmu, gfn(7), role_of(1)));
	for (unsigned int bit = 1; bit < 15; bit++)
		assert_ptr_not_equal(sp, shadow_get(&fx.mmu, gfn(7), role_of(1 | 1u << bit)));
	assert_ptr_not_equal(sp, shadow_get(&fx.mmu, gfn(8), role_of(1)));
	shadow_commit(&fx.mmu);
	fx_close(&fx);
}

static void no_shadow_page_outside_ram(void **state)
{
	struct fixture fx;

	fx_open(&fx, 64, 64);
	assert_null(shadow_get(&fx.mmu, gfn(64), role_of(1)));
	assert_null(shadow_get(&fx.mmu, gfn(1ull << 40), role_of(1)));
	fx_close(&fx);
}

/* Every root of the guest in turn: the roots in use survive reclaim, and the
 * vCPU always stands on a live one. */
static void lesson_21_reclaim_leaves_the_roots_in_use(void **state)
{
	struct fixture fx;

	fx_open(&fx, 512, MMU_SHADOW_PAGES_MIN);
	fx_long_mode(&fx);
	for (uint64_t n = 0; n < 300; n++) {
		struct guest_paging p = fx.v.paging;

		p.cr3 = (n % 200 + 1) << PAGE_SHIFT;
		assert_int_equal(mmu_set_paging(&fx.v, &p), 0);
		assert_int_equal(fx.v.root.sp[0]->gfn.v, n % 200 + 1);
		assert_audit(&fx);
	}
	assert_true(fx.mmu.stats.reclaimed > 100);
	fx_close(&fx);
}

static void lesson_26_all_pinned_is_an_error(void **state)
{
	struct fixture fx;
	struct mmu_vcpu v[16];
	unsigned int n = 0;
	int err = 0;

	fx_open(&fx, 64, MMU_SHADOW_PAGES_MIN);
	for (; n < 16; n++) {
		struct guest_paging p;

		err = mmu_vcpu_init(&v[n], &fx.mmu, 40, true);
		if (err)
			break;
		/* Two-level paging: four roots of its own each. */
		p = v[n].paging;
		p.cr0 |= X86_CR0_PG | X86_CR0_PE;
		p.cr3 = (n + 1) << PAGE_SHIFT;
		err = mmu_set_paging(&v[n], &p);
		if (err) {
			assert_int_equal(v[n].root.sp[0]->role.direct, 1); /* the old root stays */
			mmu_vcpu_destroy(&v[n]);
			break;
		}
	}
	assert_true(n > 4 && n < 16);
	assert_int_equal(err, -ENOMEM);
	assert_audit(&fx);
	while (n-- > 0)
		mmu_vcpu_destroy(&v[n]);
	fx_close(&fx);
}

/* A table that is its own child on every level, and its own data. */
static void lesson_25_tables_chained_onto_themselves(void **state)
{
	struct fixture fx;
	uint64_t e = (uint64_t)FX_ROOT << PAGE_SHIFT | G_ALL;

	fx_open(&fx, 64, 64);
	fx_long_mode(&fx);
	fx_write(&fx, gpa(FX_ROOT << PAGE_SHIFT), &e, 8);
	assert_int_equal(fx_touch(&fx, 0, 0, NULL), FAULT_FIXED);
	assert_int_equal(fx_touch(&fx, 0, PFERR_WRITE, NULL), FAULT_EMULATE);
	assert_audit(&fx);
	e = 0;
	fx_write(&fx, gpa(FX_ROOT << PAGE_SHIFT), &e, 8);
	assert_false(fx_goes_through(&fx, 0, 0));
	fx_close(&fx);
}

static void no_flush(void *ctx) {}

static void the_quota_has_limits(void **state)
{
	struct mmu_config cfg = { .shadow_pages = MMU_SHADOW_PAGES_MIN - 1,
				  .host = { .maxphyaddr = 46, .flush = no_flush } };
	struct mmu mmu;
	size_t pages = host_pages_used();

	assert_int_equal(mmu_init(&mmu, &cfg), -EINVAL);
	cfg.shadow_pages = MMU_SHADOW_PAGES_MAX + 1;
	assert_int_equal(mmu_init(&mmu, &cfg), -EINVAL);
	for (long n = 0; n < 4; n++) {
		cfg.shadow_pages = MMU_SHADOW_PAGES_MIN;
		host_fail_allocation(n);
		assert_int_equal(mmu_init(&mmu, &cfg), -ENOMEM);
		assert_null(mmu.host.flush); /* as if never touched */
		host_fail_allocation(-1);
		assert_int_equal(host_pages_used(), pages);
	}
}

/* One table under 512 parents' entries: unlinked from all of them at once. */
static void many_parents_of_one_table(void **state)
{
	struct fixture fx;
	uint64_t table = 40;

	fx_open(&fx, 64, 64);
	fx_long_mode(&fx);
	for (uint64_t i = 0; i < 512; i++) {
		fx_map(&fx, i << 21, 2, table << PAGE_SHIFT | G_ALL);
		if (i == 0)
			fx_map(&fx, 0, 1, 50 << PAGE_SHIFT | G_ALL);
		assert_int_equal(fx_touch(&fx, i << 21, 0, NULL), FAULT_FIXED);
	}
	assert_int_equal(shadow_count(&fx.mmu.pool, gfn(table)), 1);
	assert_audit(&fx);
	shadow_zap(&fx.mmu, LIST_FIRST(shadow_bucket_of(&fx.mmu.pool, gfn(table))));
	shadow_commit(&fx.mmu);
	for (uint64_t i = 0; i < 512; i++)
		assert_false(fx_goes_through(&fx, i << 21, 0));
	fx_close(&fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lesson_02_all_roles_fit_the_counter),
		cmocka_unit_test(lesson_02_others_leave_room),
		cmocka_unit_test(lesson_02_the_other_modes_are_free_to_the_last),
		cmocka_unit_test(counters_of_tables_are_paid_for_in_advance),
		cmocka_unit_test(lesson_19_each_bit_of_the_role_is_identity),
		cmocka_unit_test(no_shadow_page_outside_ram),
		cmocka_unit_test(lesson_21_reclaim_leaves_the_roots_in_use),
		cmocka_unit_test(lesson_26_all_pinned_is_an_error),
		cmocka_unit_test(lesson_25_tables_chained_onto_themselves),
		cmocka_unit_test(the_quota_has_limits),
		cmocka_unit_test(many_parents_of_one_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
