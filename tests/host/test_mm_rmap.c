/* SPDX-License-Identifier: GPL-2.0-only */
/* Reverse maps: many aliases of one frame, and who is found through them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <cmocka.h>
#include "tests/host/mm_fixture.h"
#include "tests/host/others.h"
#include "tests/host/port_host.h"

#define ALIASES 100000ul
#define VICTIM 700ull

static struct rmap_head *head_of(struct fixture *fx, uint64_t g)
{
	return &fx->mmu.mem.slots.slot[0]->rmap[0][g];
}

static size_t length(struct fixture *fx, uint64_t g)
{
	size_t n = 0;

	for (uint64_t *p = rmap_first(&fx->mmu.pool, head_of(fx, g)); p; p = rmap_next(&fx->mmu.pool, p))
		n++;
	return n;
}

/* Microseconds. */
static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void map_aliases(struct fixture *fx, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		fx_map(fx, i << PAGE_SHIFT, 1, VICTIM << PAGE_SHIFT | G_ALL);
		assert_int_equal(fx_touch(fx, i << PAGE_SHIFT, PFERR_WRITE, NULL), FAULT_FIXED);
	}
}

static void lesson_08_protects_every_alias(void **state)
{
	struct fixture fx;
	uint64_t started;
	size_t pages;

	fx_open(&fx, 1024, 256);
	fx_long_mode(&fx);
	map_aliases(&fx, 1); /* the counters of the tables are made */
	pages = host_pages_used();
	map_aliases(&fx, ALIASES);
	assert_int_equal(length(&fx, VICTIM), ALIASES);
	assert_int_equal(host_pages_used(), pages); /* the links were made with the pool */
	started = now();
	assert_int_equal(others_add(&fx.mmu, gfn(VICTIM), PAGE_TRACK_WRITE), 0);
	print_message("tracking a page under %lu aliases: %lu us\n", ALIASES, now() - started);
	assert_in_range(host_pages_used() - pages, 0, 3); /* a chunk of counters, its holders, what the tracker holds */
	assert_int_equal(length(&fx, VICTIM), ALIASES);
	for (uint64_t i = 0; i < ALIASES; i++) {
		assert_false(fx_goes_through(&fx, i << PAGE_SHIFT, PFERR_WRITE));
		assert_true(fx_goes_through(&fx, i << PAGE_SHIFT, 0));
	}
	assert_int_equal(others_add(&fx.mmu, gfn(VICTIM), PAGE_TRACK_READ), 0);
	assert_int_equal(length(&fx, VICTIM), 0);
	assert_int_equal(others_remove(&fx.mmu, gfn(VICTIM), PAGE_TRACK_READ), 0);
	assert_int_equal(others_remove(&fx.mmu, gfn(VICTIM), PAGE_TRACK_WRITE), 0);
	fx_close(&fx);
}

static void reclaim_forgets_aliases(void **state)
{
	struct fixture fx;

	fx_open(&fx, 1024, MMU_SHADOW_PAGES_MIN);
	fx_long_mode(&fx);
	map_aliases(&fx, ALIASES);
	assert_true(fx.mmu.stats.reclaimed > 0);
	assert_true(length(&fx, VICTIM) < ALIASES);
	assert_audit(&fx);
	fx_close(&fx);
}

static void an_alias_leaves_from_anywhere(void **state)
{
	struct fixture fx;

	fx_open(&fx, 1024, 64);
	fx_long_mode(&fx);
	map_aliases(&fx, 9);
	for (uint64_t i = 0; i < 9; i += 4) /* first, middle, last */
		fx_map(&fx, i << PAGE_SHIFT, 1, 0);
	assert_int_equal(length(&fx, VICTIM), 6);
	assert_audit(&fx);
	fx_close(&fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lesson_08_protects_every_alias),
		cmocka_unit_test(reclaim_forgets_aliases),
		cmocka_unit_test(an_alias_leaves_from_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
