/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The page allocator, over regions that are pieces of the host arena: each
 * test gives it memory, and sees its statistics come back exactly.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "lib/alloc.h"
#include "lib/errno.h"
#include "mm/page_alloc.h"
#include "mm/port.h"

#define MIB (1ull << 20)

static struct page_alloc a;

static void assert_balanced(void)
{
	struct page_alloc_stats s = page_alloc_stats(&a);

	assert_int_equal(s.free + s.used + s.reserved, s.total);
}

static void *area;
static size_t area_bytes;

static hpa_t open_area(size_t bytes)
{
	page_alloc_init(&a);
	area_bytes = bytes;
	area = mem_zalloc(bytes);
	assert_non_null(area);
	return port_va_to_hpa(area);
}

static int close_area(void **state)
{
	mem_free(area, area_bytes);
	area = NULL;
	return 0;
}

static void empty_allocator_has_nothing(void **state)
{
	hpa_t p;

	page_alloc_init(&a);
	assert_int_equal(page_alloc(&a, 1, 1, &p), -ENOMEM);
	assert_int_equal(page_alloc_stats(&a).total, 0);
}

static void bad_requests_are_refused(void **state)
{
	hpa_t p, start = open_area(MIB);

	assert_int_equal(page_alloc_add_region(&a, start, MIB), 0);
	assert_int_equal(page_alloc(&a, 0, 1, &p), -EINVAL);
	assert_int_equal(page_alloc(&a, 1, 0, &p), -EINVAL);
	assert_int_equal(page_alloc(&a, 1, 3, &p), -EINVAL);
	assert_int_equal(page_alloc(&a, 1, 1ull << 63, &p), -EINVAL);
	assert_int_equal(page_alloc(&a, UINT64_MAX, 1, &p), -ENOMEM);
	assert_int_equal(page_alloc(&a, 257, 1, &p), -ENOMEM);
	assert_balanced();
}

static void lesson_36_bad_regions_are_refused(void **state)
{
	hpa_t start = open_area(4 * MIB);
	struct page_alloc_stats before, after;

	assert_int_equal(page_alloc_add_region(&a, hpa(0xFFFFFFFFFFFFF000), 0x2000), -EINVAL);
	assert_int_equal(page_alloc_add_region(&a, start, 0), -EINVAL);
	assert_int_equal(page_alloc_add_region(&a, hpa_add(start, 1), PAGE_SIZE), -EINVAL);
	assert_int_equal(page_alloc_add_region(&a, hpa_add(start, MIB), MIB), 0);
	before = page_alloc_stats(&a);
	assert_int_equal(page_alloc_add_region(&a, hpa_add(start, MIB), PAGE_SIZE), -EEXIST);
	assert_int_equal(page_alloc_add_region(&a, hpa_add(start, 2 * MIB - PAGE_SIZE), MIB), -EEXIST);
	assert_int_equal(page_alloc_add_region(&a, start, MIB + PAGE_SIZE), -EEXIST);
	after = page_alloc_stats(&a);
	assert_memory_equal(&before, &after, sizeof(before));
	assert_int_equal(page_alloc_add_region(&a, start, MIB), 0);
	assert_int_equal(page_alloc_add_region(&a, hpa_add(start, 2 * MIB), MIB), 0);
	assert_balanced();
}

static void parts_of_pages_are_left_out(void **state)
{
	hpa_t start = open_area(MIB);

	assert_int_equal(page_alloc_add_region(&a, hpa_add(start, 100), 10 * PAGE_SIZE), 0);
	assert_int_equal(page_alloc_stats(&a).total, 9);
	assert_balanced();
}

static void a_region_too_small_is_reserved(void **state)
{
	hpa_t p, start = open_area(MIB);

	assert_int_equal(page_alloc_add_region(&a, start, PAGE_SIZE), 0);
	assert_int_equal(page_alloc_stats(&a).reserved, 1);
	assert_int_equal(a.regions, 0);
	assert_int_equal(page_alloc(&a, 1, 1, &p), -ENOMEM);
}

static void too_many_regions_is_an_error(void **state)
{
	const uint64_t step = 4 * PAGE_SIZE;
	hpa_t start = open_area((PAGE_ALLOC_REGIONS_MAX + 1) * step);
	uint64_t i;

	for (i = 0; i < PAGE_ALLOC_REGIONS_MAX; i++)
		assert_int_equal(page_alloc_add_region(&a, hpa_add(start, i * step), 3 * PAGE_SIZE), 0);
	assert_int_equal(page_alloc_add_region(&a, hpa_add(start, i * step), 3 * PAGE_SIZE), -ENOSPC);
	assert_balanced();
}

static void every_page_can_be_had_once(void **state)
{
	static hpa_t got[256];
	hpa_t start = open_area(MIB);
	struct page_alloc_stats before;
	uint8_t seen[256] = { 0 };

	assert_int_equal(page_alloc_add_region(&a, start, MIB), 0);
	before = page_alloc_stats(&a);
	for (uint64_t i = 0; i < before.free; i++) {
		assert_int_equal(page_alloc(&a, 1, 1, &got[i]), 0);
		assert_int_equal(got[i].v % PAGE_SIZE, 0);
		assert_false(seen[(got[i].v - start.v) / PAGE_SIZE]++);
		memset(port_hpa_to_va(got[i]), 0xEE, PAGE_SIZE); /* must not hurt the bookkeeping */
	}
	assert_int_equal(page_alloc_stats(&a).free, 0);
	for (uint64_t i = 0; i < before.free; i++)
		page_free(&a, got[i], 1);
	assert_int_equal(page_alloc_stats(&a).free, before.free);
	assert_int_equal(page_alloc_stats(&a).used, 0);
	assert_int_equal(page_alloc(&a, before.free, 1, &got[0]), 0); /* merged again */
	page_free(&a, got[0], before.free);
}

/* The machine of the test bed: RAM from 1 MiB to just under the end. */
static void a_guest_larger_than_any_aligned_block(void **state)
{
	hpa_t start = open_area(900 * MIB), p, q;
	struct page_alloc_stats before;

	assert_int_equal(page_alloc_add_region(&a, start, 900 * MIB), 0);
	before = page_alloc_stats(&a);
	assert_int_equal(page_alloc(&a, 1, 1, &q), 0);
	assert_int_equal(page_alloc(&a, 700 * MIB / PAGE_SIZE, 512, &p), 0);
	assert_int_equal(p.v % (2 * MIB), 0);
	assert_true(p.v >= start.v && p.v + 700 * MIB <= start.v + 900 * MIB);
	assert_true(q.v < p.v || q.v >= p.v + 700 * MIB);
	assert_balanced();
	page_free(&a, p, 700 * MIB / PAGE_SIZE);
	page_free(&a, q, 1);
	assert_int_equal(page_alloc_stats(&a).free, before.free);
	assert_int_equal(page_alloc_stats(&a).used, 0);
}

static void an_allocation_can_be_freed_piecemeal(void **state)
{
	hpa_t start = open_area(MIB), p;
	uint64_t free;

	assert_int_equal(page_alloc_add_region(&a, start, MIB), 0);
	free = page_alloc_stats(&a).free;
	assert_int_equal(page_alloc(&a, 100, 1, &p), 0);
	page_free(&a, hpa_add(p, 37 * PAGE_SIZE), 50);
	page_free(&a, p, 37);
	page_free(&a, hpa_add(p, 87 * PAGE_SIZE), 13);
	page_free(&a, p, 0);
	assert_int_equal(page_alloc_stats(&a).free, free);
	assert_int_equal(page_alloc(&a, free, 1, &p), 0);
}

/* The host arena lies across 4 GiB; a large area of it does too. */
static void high_memory_goes_first_and_low_stays_low(void **state)
{
	const uint64_t four_gib = 1ull << 32;
	hpa_t start = open_area(900 * MIB), p;

	assert_true(start.v < four_gib - 4 * MIB && start.v + 900 * MIB > four_gib + 4 * MIB);
	start = hpa(four_gib - 4 * MIB);
	assert_int_equal(page_alloc_add_region(&a, start, 8 * MIB), 0);
	assert_int_equal(a.regions, 2);
	assert_int_equal(page_alloc_stats(&a).total, 8 * MIB / PAGE_SIZE);
	assert_int_equal(page_alloc_add_region(&a, hpa(four_gib - PAGE_SIZE), 2 * PAGE_SIZE), -EEXIST);
	assert_int_equal(page_alloc(&a, 5 * MIB / PAGE_SIZE, 1, &p), -ENOMEM); /* never across */
	assert_int_equal(page_alloc(&a, 1, 1, &p), 0);
	assert_true(p.v >= four_gib);
	page_free(&a, p, 1);
	while (page_alloc_low(&a, 1, 1, &p) == 0)
		assert_true(p.v < four_gib);
	assert_int_equal(page_alloc_low(&a, 3, 1, &p), -ENOMEM);
	assert_int_equal(page_alloc(&a, 1, 1, &p), 0);
	assert_true(p.v >= four_gib);
	assert_balanced();
	while (page_alloc(&a, 1, 1, &p) == 0)
		assert_true(p.v >= four_gib);
	assert_int_equal(page_alloc_stats(&a).free, 0);
}

static void the_arena_gives_low_pages_when_asked(void **state)
{
	void *p = mem_zalloc(PAGE_SIZE), *low = mem_zalloc_low(PAGE_SIZE);

	assert_true(port_va_to_hpa(low).v < 1ull << 32);
	mem_free(p, PAGE_SIZE);
	mem_free(low, PAGE_SIZE);
	assert_null(mem_zalloc(SIZE_MAX));
}

/* ---- what comes back -------------------------------------------------- */

/* Every block of every order is as it was: all buddies have merged. */
static void assert_merged(const uint64_t before[PAGE_ALLOC_ORDERS])
{
	for (int order = 0; order < PAGE_ALLOC_ORDERS; order++)
		assert_int_equal(a.region[0].free_blocks[order], before[order]);
}

/* Pages freed one by one in any order become the blocks that they were. */
static void freed_pages_merge(void **state)
{
	static const unsigned int steps[] = { 1, 3, 7, 101, 255 }; /* coprime to 254 */
	uint64_t before[PAGE_ALLOC_ORDERS];
	hpa_t start = open_area(MIB), p;
	uint64_t n;

	assert_int_equal(page_alloc_add_region(&a, start, MIB - PAGE_SIZE), 0);
	memcpy(before, a.region[0].free_blocks, sizeof(before));
	n = page_alloc_stats(&a).free;
	assert_int_equal(n, 254);
	for (unsigned int k = 0; k < ARRAY_SIZE(steps); k++) {
		assert_int_equal(page_alloc(&a, n, 1, &p), 0);
		for (uint64_t i = 0; i < n; i++)
			page_free(&a, hpa_add(p, (i * steps[k] % n) * PAGE_SIZE), 1);
		assert_merged(before);
		assert_int_equal(page_alloc(&a, n, 1, &p), 0);
		for (uint64_t i = n; i-- > 0;)
			page_free(&a, hpa_add(p, (i * steps[k] % n) * PAGE_SIZE), 1);
		assert_merged(before);
	}
}

/* A run may end in the middle of a block; what lies behind stays to be had. */
static void a_run_across_blocks_loses_nothing(void **state)
{
	hpa_t start = open_area(4 * MIB), all, p;
	uint64_t n, had = 0;

	assert_int_equal(page_alloc_add_region(&a, start, 4 * MIB), 0);
	n = page_alloc_stats(&a).free;
	assert_int_equal(page_alloc(&a, n, 1, &all), 0);
	/* Free: the upper half of an aligned 64, and the lower part of the next: a
	 * run of 40 that no block holds. */
	all.v = (all.v + 64 * PAGE_SIZE - 1) & ~(64 * PAGE_SIZE - 1);
	page_free(&a, hpa_add(all, 32 * PAGE_SIZE), 56);
	assert_int_equal(page_alloc(&a, 40, 8, &p), 0);
	assert_true(p.v >= all.v + 32 * PAGE_SIZE && p.v + 40 * PAGE_SIZE <= all.v + 88 * PAGE_SIZE);
	while (page_alloc(&a, 1, 1, &p) == 0)
		had++;
	assert_int_equal(had, 16);
	page_alloc_init(&a);
	assert_int_equal(page_alloc_add_region(&a, start, 4 * MIB), 0);
	n = page_alloc_stats(&a).free;
	assert_int_equal(page_alloc(&a, 600, 64, &p), 0);
	for (had = 0; page_alloc(&a, 1, 1, &p) == 0;)
		had++;
	assert_int_equal(had, n - 600);
}

/* The bitmaps of all orders lie behind each other: a search that ran over the
 * end of one would take the next one's bits for free pages. */
static void a_run_ends_with_its_region(void **state)
{
	hpa_t start = open_area(MIB), p, first;
	uint64_t skip;

	skip = (start.v / PAGE_SIZE + 1) & 1; /* the first page that is handed out has an even number */
	start = hpa_add(start, skip * PAGE_SIZE);
	assert_int_equal(page_alloc_add_region(&a, start, 65 * PAGE_SIZE), 0);
	assert_int_equal(page_alloc_stats(&a).free, 64);
	assert_int_equal(page_alloc(&a, 64, 1, &first), 0);
	assert_int_equal(first.v / PAGE_SIZE % 2, 0);
	page_free(&a, first, 2);                                /* the first block of order 1 */
	page_free(&a, hpa_add(first, 10 * PAGE_SIZE), 1);       /* some block of order 0 */
	page_free(&a, hpa_add(first, 61 * PAGE_SIZE), 3);       /* the end */
	assert_int_equal(page_alloc(&a, 4, 1, &p), -ENOMEM);
	assert_int_equal(page_alloc(&a, 3, 1, &p), 0);
	assert_int_equal(p.v, first.v + 61 * PAGE_SIZE);
	assert_balanced();
}

/* Physical address 0 reads too much like an error. */
static void page_0_is_never_handed_out(void **state)
{
	hpa_t p;

	page_alloc_init(&a);
	assert_int_equal(page_alloc_add_region(&a, hpa(0), PAGE_SIZE), 0);
	assert_int_equal(page_alloc_stats(&a).reserved, 1);
	page_alloc_init(&a);
	/* One page is left, for bookkeeping. */
	assert_int_equal(page_alloc_add_region(&a, hpa(0), 2 * PAGE_SIZE), 0);
	assert_int_equal(page_alloc_stats(&a).reserved, 2);
	assert_int_equal(page_alloc(&a, 1, 1, &p), -ENOMEM);
	assert_balanced();
}

/* Does it end in an assertion? It is our own bug then, not an error to return. */
static bool asserts(void (*f)(hpa_t p), hpa_t p)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		signal(SIGABRT, SIG_DFL);
		(void)!freopen("/dev/null", "w", stderr);
		f(p);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void free_one(hpa_t p) { page_free(&a, p, 1); }

static void pages_that_are_not_allocated_cannot_be_freed(void **state)
{
	hpa_t start = open_area(MIB), p;

	assert_int_equal(page_alloc_add_region(&a, start, MIB), 0);
	assert_int_equal(page_alloc(&a, 4, 1, &p), 0);
	assert_false(asserts(free_one, p));
	page_free(&a, hpa_add(p, PAGE_SIZE), 2);
	assert_true(asserts(free_one, hpa_add(p, PAGE_SIZE)));
	assert_true(asserts(free_one, hpa_add(p, 2 * PAGE_SIZE)));
	assert_true(asserts(free_one, hpa_add(p, 1)));
	assert_true(asserts(free_one, start)); /* bookkeeping */
	assert_true(asserts(free_one, hpa(0)));
	assert_false(asserts(free_one, hpa_add(p, 3 * PAGE_SIZE)));
}

/* Any mix of sizes and alignments against one byte per page. */
#define MODEL_PAGES 2048
static void random_against_a_byte_per_page(void **state)
{
	static uint8_t owner[MODEL_PAGES];
	static struct { hpa_t at; uint64_t n; } held[128];
	hpa_t start = open_area(MODEL_PAGES * PAGE_SIZE);
	uint64_t free, rng = 88172645463325252ull, ops = 0, before[PAGE_ALLOC_ORDERS];

	memset(owner, 0, sizeof(owner));
	memset(held, 0, sizeof(held));
	assert_int_equal(page_alloc_add_region(&a, start, MODEL_PAGES * PAGE_SIZE), 0);
	memcpy(before, a.region[0].free_blocks, sizeof(before));
	free = page_alloc_stats(&a).free;
	for (; ops < 300000; ops++) {
		unsigned int i;

		rng ^= rng << 13, rng ^= rng >> 7, rng ^= rng << 17;
		i = rng % 128;
		if (held[i].n) {
			uint64_t first = (held[i].at.v - start.v) / PAGE_SIZE;

			page_free(&a, held[i].at, held[i].n);
			memset(owner + first, 0, held[i].n);
			held[i].n = 0;
		} else {
			uint64_t n = 1 + (rng >> 20) % ((rng >> 40) % 8 ? 8 : 300);
			uint64_t align = 1ull << (rng >> 50) % 8;
			uint64_t first;

			if (page_alloc(&a, n, align, &held[i].at))
				continue;
			assert_int_equal(held[i].at.v / PAGE_SIZE % align, 0);
			first = (held[i].at.v - start.v) / PAGE_SIZE;
			assert_true(first + n <= MODEL_PAGES);
			for (uint64_t k = 0; k < n; k++)
				assert_false(owner[first + k]++);
			held[i].n = n;
		}
	}
	assert_balanced();
	for (unsigned int i = 0; i < 128; i++)
		page_free(&a, held[i].at, held[i].n);
	assert_int_equal(page_alloc_stats(&a).free, free);
	assert_int_equal(page_alloc_stats(&a).used, 0);
	assert_merged(before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_allocator_has_nothing),
		cmocka_unit_test_teardown(bad_requests_are_refused, close_area),
		cmocka_unit_test_teardown(lesson_36_bad_regions_are_refused, close_area),
		cmocka_unit_test_teardown(parts_of_pages_are_left_out, close_area),
		cmocka_unit_test_teardown(a_region_too_small_is_reserved, close_area),
		cmocka_unit_test_teardown(too_many_regions_is_an_error, close_area),
		cmocka_unit_test_teardown(every_page_can_be_had_once, close_area),
		cmocka_unit_test_teardown(a_guest_larger_than_any_aligned_block, close_area),
		cmocka_unit_test_teardown(an_allocation_can_be_freed_piecemeal, close_area),
		cmocka_unit_test_teardown(high_memory_goes_first_and_low_stays_low, close_area),
		cmocka_unit_test(the_arena_gives_low_pages_when_asked),
		cmocka_unit_test_teardown(freed_pages_merge, close_area),
		cmocka_unit_test_teardown(a_run_across_blocks_loses_nothing, close_area),
		cmocka_unit_test_teardown(a_run_ends_with_its_region, close_area),
		cmocka_unit_test(page_0_is_never_handed_out),
		cmocka_unit_test_teardown(pages_that_are_not_allocated_cannot_be_freed, close_area),
		cmocka_unit_test_teardown(random_against_a_byte_per_page, close_area),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
