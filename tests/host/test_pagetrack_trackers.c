/* SPDX-License-Identifier: GPL-2.0-only */
/* What trackers hold: added, removed, given back, and what becomes of it when slots come, go and move. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "lib/errno.h"
#include "pagetrack/hold.h"
#include "tests/host/pagetrack_fake.h"
#include "tests/host/port_host.h"

#define BASE 0x123ull /* not a multiple of 512 */
#define NPAGES 1500ull
#define TRACKERS 4
#define W PAGE_TRACK_W

static struct fake_mmu mmu;
static struct page_tracker t[TRACKERS];

static void ignore(struct page_tracker *who, const struct page_track_event *e) {}
static const struct page_tracker_ops ops = { .after = ignore };

/* Trackers 0 and 1 follow the gfn, 2 and 3 the memory. */
static int setup(void **state)
{
	fake_init(&mmu);
	for (unsigned int i = 0; i < TRACKERS; i++) {
		t[i] = (struct page_tracker){ .name = "t", .priority = 3 - (int)i, .ops = &ops };
		t[i].follow = i < 2 ? PAGE_TRACKER_FOLLOW_GFN : PAGE_TRACKER_FOLLOW_MEMORY;
		if (page_tracker_register(&mmu.pt, &t[i]))
			return -1;
	}
	return fake_slot_create(&mmu, 0, BASE, NPAGES);
}

static int teardown(void **state)
{
	return fake_destroy(&mmu) ? 0 : -1;
}

static unsigned int count(uint64_t g, enum page_track_mode mode)
{
	const struct page_track_slot *slot = mmu.ops.slot_of(&mmu, gfn(g));

	return slot ? page_track_count(slot, gfn(g), mode) : 0;
}

static unsigned int has(unsigned int i, uint64_t g)
{
	return page_tracker_count(&t[i], gfn(g), PAGE_TRACK_WRITE);
}

static int add(unsigned int i, uint64_t g, uint64_t n)
{
	return page_tracker_add(&t[i], gfn(g), n, W, NULL);
}

static int drop(unsigned int i, uint64_t g, uint64_t n)
{
	return page_tracker_remove(&t[i], gfn(g), n, W, NULL);
}

static uint64_t total(void)
{
	uint64_t sum = 0;

	for (unsigned int s = 0; s < FAKE_SLOTS; s++)
		for (unsigned int mode = 0; mode < PAGE_TRACK_MODES && mmu.in_use[s]; mode++)
			sum += page_track_total(&mmu.slot[s], mode);
	return sum;
}

/* ---- adding and removing ------------------------------------------------- */

static void first_add_protects_and_flushes(void **state)
{
	assert_int_equal(page_tracker_add(&t[0], gfn(BASE + 3), 1, PAGE_TRACK_X, NULL), 0);
	assert_int_equal(mmu.protects, 1);
	assert_int_equal(mmu.flushes, 1);
	assert_int_equal(mmu.gfn.v, BASE + 3);
	assert_int_equal(mmu.mode, PAGE_TRACK_EXEC);
	assert_int_equal(count(BASE + 3, PAGE_TRACK_EXEC), 1);
	assert_int_equal(total(), 1);
}

/* On the second add the counts that were there may be the MMU's. */
static void every_add_protects_and_one_flush_is_for_all(void **state)
{
	for (unsigned int i = 1; i <= 2; i++) {
		assert_int_equal(page_tracker_add(&t[0], gfn(BASE), NPAGES, PAGE_TRACK_ALL, NULL), 0);
		assert_int_equal(mmu.protects, i * 3 * NPAGES);
		assert_int_equal(mmu.flushes, i);
		assert_int_equal(total(), i * 3 * NPAGES);
	}
}

static void no_flush_when_no_tlb_can_hold_it(void **state)
{
	mmu.may_be_cached = false;
	assert_int_equal(add(0, BASE, 20), 0);
	assert_int_equal(mmu.protects, 20);
	assert_int_equal(mmu.flushes, 0);
}

static void only_the_last_remove_unprotects(void **state)
{
	assert_int_equal(add(0, BASE, 1), 0);
	assert_int_equal(add(0, BASE, 1), 0);
	assert_int_equal(add(1, BASE, 1), 0);
	assert_int_equal(page_track_count_add(&mmu.pt, &mmu.slot[0], gfn(BASE), PAGE_TRACK_WRITE), 0);
	assert_int_equal(drop(0, BASE, 1), 0);
	assert_int_equal(drop(1, BASE, 1), 0);
	assert_int_equal(drop(0, BASE, 1), 0);
	assert_int_equal(mmu.unprotects, 0); /* the MMU's is left */
	assert_int_equal(page_track_count_sub(&mmu.slot[0], gfn(BASE), PAGE_TRACK_WRITE), 0);
	assert_int_equal(add(2, BASE, 1), 0);
	assert_int_equal(drop(2, BASE, 1), 0);
	assert_int_equal(mmu.unprotects, 1);
	assert_int_equal(mmu.gfn.v, BASE);
}

/* Nobody can remove what another has added, and the sum is the counter. */
static void lesson_03_counts_belong_to_a_tracker(void **state)
{
	assert_int_equal(add(0, BASE, 3), 0);
	assert_int_equal(add(1, BASE + 1, 3), 0);
	assert_int_equal(drop(1, BASE, 1), -ENOENT);
	assert_int_equal(drop(0, BASE, 1), 0);
	assert_int_equal(drop(0, BASE, 1), -ENOENT);
	assert_int_equal(count(BASE + 1, PAGE_TRACK_WRITE), 2);
	assert_int_equal(page_track_held(&mmu.pt, gfn(BASE + 1), PAGE_TRACK_WRITE), 2);
	assert_int_equal(page_track_held(&mmu.pt, gfn(BASE + 1), PAGE_TRACK_READ), 0);
	assert_int_equal(page_track_held(&mmu.pt, gfn(BASE + 1), PAGE_TRACK_MODES), 0);
	assert_int_equal(page_track_held(&mmu.pt, gfn(BASE - 1), PAGE_TRACK_WRITE), 0);
	assert_int_equal(page_tracker_destroy(&t[0]), 0);
	assert_int_equal(count(BASE + 1, PAGE_TRACK_WRITE), 1);
	assert_int_equal(has(1, BASE + 1), 1);
	assert_int_equal(total(), 3);
}

static void clear_gives_back_everything(void **state)
{
	size_t chunks, before;

	for (uint64_t g = 0x200; g <= 0x600; g += 0x200)
		assert_int_equal(add(3, g, 1), 0);
	assert_int_equal(add(3, BASE, 1), 0); /* chunks stay with the slot: now there are all */
	before = host_pages_used();
	chunks = page_track_chunks_made(&mmu.slot[0]);
	assert_int_equal(page_tracker_add(&t[0], gfn(BASE), NPAGES, PAGE_TRACK_ALL, NULL), 0);
	assert_int_equal(page_tracker_add(&t[0], gfn(BASE), NPAGES, PAGE_TRACK_W, NULL), 0);
	mmu.unprotects = 0;
	page_tracker_clear(&t[0]);
	assert_int_equal(mmu.unprotects, 3 * NPAGES - 4);
	assert_int_equal(total(), 4);
	assert_int_equal(page_track_chunks_made(&mmu.slot[0]), chunks);
	assert_int_equal(host_pages_used(), before);
	assert_int_equal(add(0, BASE, 1), 0); /* it is still there */
}

static void bad_arguments_change_nothing(void **state)
{
	gfn_t bad = gfn(0);

	assert_int_equal(page_tracker_add(&t[0], gfn(BASE), 1, 0, &bad), -EINVAL);
	assert_int_equal(page_tracker_add(&t[0], gfn(BASE), 1, (PAGE_TRACK_ALL + 1) | W, &bad), -EINVAL);
	assert_int_equal(page_tracker_add(&t[0], gfn(BASE), 0, W, &bad), -EINVAL);
	assert_int_equal(page_tracker_remove(&t[0], gfn(BASE), 1, 0, &bad), -EINVAL);
	assert_int_equal(page_tracker_remove(&t[0], gfn(BASE), 0, W, &bad), -EINVAL);
	assert_int_equal(bad.v, BASE);
	assert_int_equal(page_tracker_add(&t[0], gfn(BASE + NPAGES - 3), 8, W, &bad), -EINVAL);
	assert_int_equal(bad.v, BASE + NPAGES);
	assert_int_equal(page_tracker_add(&t[0], gfn(BASE - 1), 8, W, &bad), -EINVAL);
	assert_int_equal(bad.v, BASE - 1);
	assert_int_equal(page_tracker_add(&t[0], gfn(BASE), UINT64_MAX, W, &bad), -EINVAL);
	assert_int_equal(bad.v, BASE + NPAGES);
	assert_int_equal(page_tracker_add_all(&t[0], 0, NULL, 0, &bad), -EINVAL);
	assert_int_equal(page_tracker_count(&t[0], gfn(BASE), PAGE_TRACK_MODES), 0);
	assert_int_equal(total() + mmu.protects + mmu.unprotects + mmu.flushes, 0);
	assert_int_equal(page_track_chunks_made(&mmu.slot[0]), 0);
}

static void a_remove_is_all_or_nothing(void **state)
{
	gfn_t bad;

	assert_int_equal(page_tracker_add(&t[0], gfn(BASE), 600, W | PAGE_TRACK_R, NULL), 0);
	assert_int_equal(page_tracker_remove(&t[0], gfn(BASE + 590), 1, PAGE_TRACK_R, NULL), 0);
	assert_int_equal(page_tracker_remove(&t[0], gfn(BASE), 600, W | PAGE_TRACK_R, &bad), -ENOENT);
	assert_int_equal(bad.v, BASE + 590);
	assert_int_equal(page_tracker_remove(&t[0], gfn(BASE), 601, W, &bad), -ENOENT);
	assert_int_equal(bad.v, BASE + 600);
	assert_int_equal(total(), 1199);
	assert_int_equal(page_tracker_remove(&t[0], gfn(BASE), 600, W, &bad), 0);
	assert_int_equal(total(), 599);
}

/* ---- the end of a counter ------------------------------------------------ */

static void fill(unsigned int i, uint64_t g, unsigned int n)
{
	for (unsigned int k = 0; k < n; k++)
		assert_int_equal(add(i, g, 1), 0);
}

/* Alone, two trackers fill a counter to its very end. */
static void lesson_01_trackers_overflow_together(void **state)
{
	gfn_t bad;

	fill(0, BASE + 5, 40000);
	fill(1, BASE + 5, 25535);
	fake_forget(&mmu);
	assert_int_equal(page_tracker_add(&t[1], gfn(BASE), 10, W, &bad), -EOVERFLOW);
	assert_int_equal(bad.v, BASE + 5);
	assert_int_equal(page_tracker_add(&t[0], gfn(BASE + 5), 1, W | PAGE_TRACK_R, NULL), -EOVERFLOW);
	assert_int_equal(page_tracker_add_all(&t[2], W, NULL, 0, &bad), -EOVERFLOW);
	assert_int_equal(bad.v, BASE + 5);
	assert_int_equal(mmu.protects + mmu.flushes, 0);
	assert_int_equal(count(BASE + 5, PAGE_TRACK_WRITE), PAGE_TRACK_COUNT_MAX);
	assert_int_equal(total(), PAGE_TRACK_COUNT_MAX);
	for (unsigned int i = 0; i < 40000; i++)
		assert_int_equal(drop(0, BASE + 5, 1), 0);
	assert_int_equal(drop(0, BASE + 5, 1), -ENOENT);
	assert_int_equal(mmu.unprotects, 0);
	page_tracker_clear(&t[1]);
	assert_int_equal(mmu.unprotects, 1);
}

/* What the MMU may come to need is left to it, whether it has some already or not. */
static void lesson_02_trackers_leave_the_mmu_room(void **state)
{
	mmu.ops.own_max[PAGE_TRACK_WRITE] = 16384;
	mmu.own_gfn = gfn(BASE);
	mmu.own = 100;
	for (unsigned int i = 0; i < mmu.own; i++)
		assert_int_equal(page_track_count_add(&mmu.pt, &mmu.slot[0], gfn(BASE), PAGE_TRACK_WRITE), 0);
	fill(0, BASE, 65535 - 16384);
	assert_int_equal(add(0, BASE, 1), -EOVERFLOW);
	for (; mmu.own < 16384; mmu.own++)
		assert_int_equal(page_track_count_add(&mmu.pt, &mmu.slot[0], gfn(BASE), PAGE_TRACK_WRITE), 0);
	assert_int_equal(count(BASE, PAGE_TRACK_WRITE), PAGE_TRACK_COUNT_MAX);
	assert_int_equal(page_tracker_add(&t[0], gfn(BASE), 1, PAGE_TRACK_R, NULL), 0); /* another mode */
	for (; mmu.own > 0; mmu.own--)
		assert_int_equal(page_track_count_sub(&mmu.slot[0], gfn(BASE), PAGE_TRACK_WRITE), 0);
	assert_int_equal(add(1, BASE, 1), -EOVERFLOW);
}

/* ---- no memory ----------------------------------------------------------- */

/* Each allocation fails once; what is left is what was there, but for chunks. */
static void add_is_all_or_nothing_without_memory(void **state)
{
	const uint64_t first_of[] = { BASE, 0x200, 0x400, 0x600 };
	unsigned int failures = 0;
	gfn_t bad;

	assert_int_equal(add(1, BASE + 1, 1), 0);
	for (long nth = 0;; nth++) {
		int err;

		host_fail_allocation(nth);
		err = page_tracker_add(&t[0], gfn(BASE), NPAGES, PAGE_TRACK_ALL, &bad);
		host_fail_allocation(-1);
		if (!err)
			break;
		assert_int_equal(err, -ENOMEM);
		failures++;
		assert_true(bad.v == first_of[0] || bad.v == first_of[1] || bad.v == first_of[2] ||
			    bad.v == first_of[3]);
		assert_true(LIST_EMPTY(&t[0].holds));
		assert_int_equal(total(), 1);
		assert_int_equal(mmu.protects, 1);
	}
	assert_true(failures >= 4);
	assert_int_equal(total(), 1 + 3 * NPAGES);
}

static void no_memory_to_attach_changes_nothing(void **state)
{
	assert_int_equal(add(0, BASE, NPAGES), 0);
	assert_int_equal(page_tracker_add_all(&t[1], PAGE_TRACK_R, NULL, 0, NULL), 0);
	fake_slot_delete(&mmu, 0);
	for (long nth = 0;; nth++) {
		size_t before = host_pages_used();
		int err;

		host_fail_allocation(nth);
		err = fake_slot_create(&mmu, 0, BASE, NPAGES);
		host_fail_allocation(-1);
		if (!err)
			break;
		assert_int_equal(err, -ENOMEM);
		assert_int_equal(host_pages_used(), before);
		assert_int_equal(has(0, BASE + 700), 1); /* parked still */
		assert_true(nth < 100);
	}
	assert_int_equal(total(), 2 * NPAGES);
	assert_true(LIST_EMPTY(&t[0].parked));
}

static void no_memory_to_move_changes_nothing(void **state)
{
	const struct page_track_slot zero = { 0 };
	long nth;

	for (unsigned int i = 0; i < TRACKERS; i++)
		assert_int_equal(add(i, BASE, NPAGES), 0);
	for (nth = 0;; nth++) {
		size_t before = host_pages_used();
		struct page_track_slot to;
		int err;

		host_fail_allocation(nth);
		err = page_track_slot_move_prepare(&mmu.pt, &mmu.slot[0], gfn(BASE + 77), &to);
		host_fail_allocation(-1);
		if (!err) {
			page_track_slot_move_undo(&mmu.pt, &to);
			assert_int_equal(host_pages_used(), before);
			break;
		}
		assert_int_equal(err, -ENOMEM);
		assert_memory_equal(&to, &zero, sizeof(to));
		assert_int_equal(host_pages_used(), before);
		assert_int_equal(total(), TRACKERS * NPAGES);
	}
	assert_true(nth > 16);
	assert_int_equal(mmu.unprotects, 0);
	assert_int_equal(total(), TRACKERS * NPAGES);
}

/* ---- slots that come and go ---------------------------------------------- */

static void counts_are_parked_or_lost_with_the_memory(void **state)
{
	for (unsigned int i = 0; i < TRACKERS; i++)
		assert_int_equal(add(i, BASE + 2, 1000), 0);
	fake_forget(&mmu);
	fake_slot_delete(&mmu, 0);
	assert_int_equal(mmu.unprotects, 1000);
	assert_int_equal(has(0, BASE + 2), 1);
	assert_int_equal(has(0, BASE + 1), 0);
	assert_int_equal(has(2, BASE + 2), 0);
	assert_int_equal(page_track_held(&mmu.pt, gfn(BASE + 2), PAGE_TRACK_WRITE), 0);
	assert_int_equal(add(0, BASE + 2, 1), -EINVAL);
	assert_int_equal(drop(0, BASE + 1, 1), -ENOENT);
	assert_int_equal(drop(0, BASE + 2, 5), 0); /* from what is parked */
	assert_int_equal(drop(0, BASE + 2, 1), -ENOENT);
	assert_int_equal(drop(2, BASE + 2, 1), -ENOENT);
	fake_forget(&mmu);
	assert_int_equal(fake_slot_create(&mmu, 1, BASE + 4, 3), 0); /* a part of it comes back */
	assert_int_equal(count(BASE + 4, PAGE_TRACK_WRITE), 1);
	assert_int_equal(count(BASE + 6, PAGE_TRACK_WRITE), 1);
	assert_int_equal(mmu.protects, 3);
	assert_int_equal(mmu.flushes, 1);
	assert_int_equal(has(1, BASE + 4), 1);
	assert_int_equal(has(1, BASE + 3), 1); /* still parked */
	assert_int_equal(drop(1, BASE + 3, 2), 0); /* one parked, one in force */
	assert_int_equal(count(BASE + 4, PAGE_TRACK_WRITE), 0);
}

/* Parts of 2 MiB in different slots are parked, and come back, each for itself. */
static void parked_counts_of_two_slots_meet(void **state)
{
	fake_slot_delete(&mmu, 0);
	assert_int_equal(fake_slot_create(&mmu, 0, 0x400, 100), 0);
	assert_int_equal(fake_slot_create(&mmu, 1, 0x480, 100), 0);
	assert_int_equal(add(0, 0x400, 100), 0);
	assert_int_equal(add(0, 0x480, 100), 0);
	assert_int_equal(add(0, 0x480, 100), 0);
	fake_slot_delete(&mmu, 1);
	assert_int_equal(has(0, 0x480), 2);
	assert_int_equal(has(0, 0x400), 1);
	fake_slot_delete(&mmu, 0);
	assert_int_equal(has(0, 0x480 + 99), 2);
	assert_int_equal(has(0, 0x400), 1);
	assert_ptr_equal(LIST_NEXT(LIST_FIRST(&t[0].parked), link), NULL);
	assert_int_equal(fake_slot_create(&mmu, 1, 0x480, 100), 0);
	assert_int_equal(has(0, 0x480), 2);
	assert_int_equal(total(), 200);
	page_tracker_clear(&t[0]);
	assert_int_equal(fake_slot_create(&mmu, 0, 0x400, 100), 0);
	assert_int_equal(total(), 0);
}

static void all_pages_and_those_to_come(void **state)
{
	const struct page_track_range except[] = {
		{ gfn(BASE), 10 }, { gfn(0x2000), 5 }, { gfn(BASE + 600), 1 },
	};

	assert_int_equal(page_tracker_add_all(&t[0], W, except, 3, NULL), 0);
	assert_int_equal(mmu.flushes, 1);
	assert_int_equal(page_tracker_add_all(&t[0], PAGE_TRACK_R, NULL, 0, NULL), -EEXIST);
	assert_int_equal(page_tracker_add_all(&t[2], PAGE_TRACK_R, NULL, 0, NULL), 0);
	assert_int_equal(page_track_total(&mmu.slot[0], PAGE_TRACK_WRITE), NPAGES - 11);
	assert_int_equal(has(0, BASE + 9) + has(0, BASE + 600), 0);
	assert_int_equal(has(0, BASE + 10), 1);
	assert_int_equal(fake_slot_create(&mmu, 1, 0x2000 - 5, 100), 0);
	assert_int_equal(page_track_total(&mmu.slot[1], PAGE_TRACK_WRITE), 95);
	/* Tracker 2 follows memory: that which was there. */
	assert_int_equal(page_track_total(&mmu.slot[1], PAGE_TRACK_READ), 0);
	fake_slot_delete(&mmu, 0);
	assert_true(LIST_EMPTY(&t[0].parked)); /* nothing of its own */
	assert_int_equal(fake_slot_create(&mmu, 0, BASE, NPAGES), 0);
	assert_int_equal(page_track_total(&mmu.slot[0], PAGE_TRACK_WRITE), NPAGES - 11);
	page_tracker_clear(&t[0]);
	assert_int_equal(total(), 0);
	assert_int_equal(fake_slot_create(&mmu, 2, 0x9000, 100), 0);
	assert_int_equal(total(), 0);
	assert_int_equal(page_tracker_add_all(&t[0], PAGE_TRACK_R, NULL, 0, NULL), 0);
	assert_int_equal(total(), NPAGES + 200);
}

/* What is excepted altogether costs no chunk. */
static void excepted_memory_has_no_chunks(void **state)
{
	const struct page_track_range except = { gfn(0), 0x600 };

	assert_int_equal(page_tracker_add_all(&t[0], W, &except, 1, NULL), 0);
	assert_int_equal(page_track_chunks(&mmu.slot[0]), 4);
	assert_int_equal(page_track_chunks_made(&mmu.slot[0]), 1);
}

/* The count of all pages is given again with the memory, others are parked beside it. */
static void all_and_some_twice(void **state)
{
	assert_int_equal(page_tracker_add_all(&t[0], W, NULL, 0, NULL), 0);
	assert_int_equal(add(0, BASE + 1, 2), 0);
	assert_int_equal(drop(0, BASE + 5, 1), 0); /* the one of all */
	fake_slot_delete(&mmu, 0);
	assert_int_equal(has(0, BASE), 0);
	assert_int_equal(has(0, BASE + 1), 1);
	assert_int_equal(has(0, BASE + 5), 0);
	assert_int_equal(fake_slot_create(&mmu, 0, BASE, NPAGES), 0);
	assert_int_equal(has(0, BASE + 1), 2);
	assert_int_equal(has(0, BASE + 5), 1);
	assert_int_equal(total(), NPAGES + 2);
}

/* ---- slots that move ----------------------------------------------------- */

static void a_move_takes_memory_and_leaves_gfns(void **state)
{
	const int64_t by[] = { 512, -512, 1, -1, 77, 511, 5000, -0x123, 1499, 1024 };

	for (unsigned int i = 0; i < ARRAY_SIZE(by); i++) {
		uint64_t to = BASE + (uint64_t)by[i];

		if (by[i] < 0 && (uint64_t)-by[i] > BASE)
			continue;
		for (uint64_t k = 0; k < NPAGES; k += 7) {
			assert_int_equal(add(0, BASE + k, 1), 0);
			assert_int_equal(add(2, BASE + k, 1), 0);
			assert_int_equal(add(2, BASE + k, 1), 0);
		}
		fake_forget(&mmu);
		assert_int_equal(fake_slot_move(&mmu, 0, to), 0);
		for (uint64_t g = BASE - 0x123; g < BASE + 8000; g++) {
			bool was = g >= BASE && g < BASE + NPAGES && (g - BASE) % 7 == 0;
			bool is = g >= to && g < to + NPAGES;
			bool moved = is && (g - to) % 7 == 0;

			assert_int_equal(has(0, g), was);
			assert_int_equal(has(2, g), moved ? 2 : 0);
			assert_int_equal(count(g, PAGE_TRACK_WRITE), (was && is) + (moved ? 2 : 0));
		}
		assert_int_equal(fake_slot_move(&mmu, 0, BASE), 0);
		assert_int_equal(total(), 3 * ((NPAGES + 6) / 7));
		page_tracker_clear(&t[0]);
		page_tracker_clear(&t[2]);
	}
}

static void a_move_with_all_pages(void **state)
{
	const struct page_track_range except = { gfn(BASE + 100), 50 };

	assert_int_equal(page_tracker_add_all(&t[0], W, &except, 1, NULL), 0);
	assert_int_equal(page_tracker_add_all(&t[2], W, &except, 1, NULL), 0);
	assert_int_equal(add(0, BASE + 100, 1), 0);
	assert_int_equal(fake_slot_move(&mmu, 0, BASE + 10), 0);
	/* Tracker 0 has left out the same gfns, tracker 2 the same memory. */
	assert_int_equal(has(0, BASE + 99), 1);
	assert_int_equal(has(0, BASE + 100), 1);
	assert_int_equal(has(0, BASE + 101), 0);
	assert_int_equal(has(0, BASE + 150), 1);
	assert_int_equal(has(0, BASE + 9), 0);
	assert_int_equal(has(0, BASE + NPAGES + 9), 1);
	assert_int_equal(has(2, BASE + 109), 1);
	assert_int_equal(has(2, BASE + 110), 0);
	assert_int_equal(has(2, BASE + 160), 1);
	assert_int_equal(total(), 2 * (NPAGES - 50) + 1);
}

/* Counts that come together on one page may be too many: then there is no move, no slot. */
static void what_does_not_fit_is_an_error(void **state)
{
	const struct page_track_slot zero = { 0 };
	struct page_track_slot to;

	fill(0, BASE + 10, 65535);
	assert_int_equal(add(2, BASE + 5, 1), 0);
	assert_int_equal(page_track_slot_move_prepare(&mmu.pt, &mmu.slot[0], gfn(BASE + 5), &to), -EOVERFLOW);
	assert_memory_equal(&to, &zero, sizeof(to));
	assert_int_equal(page_track_slot_move_prepare(&mmu.pt, &mmu.slot[0], gfn(-5ull), &to), -EINVAL);
	assert_memory_equal(&to, &zero, sizeof(to));
	assert_int_equal(page_track_slot_move_prepare(&mmu.pt, &mmu.slot[0], gfn(BASE + 4), &to), 0);
	page_track_slot_move_undo(&mmu.pt, &to);
	fake_slot_delete(&mmu, 0);
	assert_int_equal(page_tracker_add_all(&t[1], W, NULL, 0, NULL), 0); /* no memory, no check */
	assert_int_equal(fake_slot_create(&mmu, 0, BASE, NPAGES), -EOVERFLOW);
	assert_int_equal(has(0, BASE + 10), 65535);
	page_tracker_clear(&t[1]);
	mmu.ops.own_max[PAGE_TRACK_WRITE] = 1;
	assert_int_equal(fake_slot_create(&mmu, 0, BASE, NPAGES), -EOVERFLOW);
	mmu.ops.own_max[PAGE_TRACK_WRITE] = 0;
	assert_int_equal(fake_slot_create(&mmu, 0, BASE, NPAGES), 0);
	assert_int_equal(count(BASE + 10, PAGE_TRACK_WRITE), 65535);
}

/* The same slot, taken away after a move and given back. */
static void a_moved_slot_comes_back(void **state)
{
	assert_int_equal(add(0, BASE, 500), 0);
	assert_int_equal(fake_slot_move(&mmu, 0, BASE + 1), 0);
	assert_int_equal(total(), 499);
	page_track_slot_detach(&mmu.pt, &mmu.slot[0]);
	assert_int_equal(total(), 0);
	assert_int_equal(page_track_slot_attach(&mmu.pt, &mmu.slot[0]), 0);
	assert_int_equal(total(), 499);
}

/* ---- what it costs ------------------------------------------------------- */

/* A hold is a page, the holders of a chunk are one for few trackers; an empty hold is freed. */
static void what_a_tracked_chunk_costs(void **state)
{
	size_t before = host_pages_used();

	assert_int_equal(add(0, BASE, 1), 0);
	assert_int_equal(host_pages_used() - before, 3);
	assert_int_equal(add(0, BASE + 1, 100), 0);
	assert_int_equal(add(1, BASE + 1, 100), 0);
	assert_int_equal(host_pages_used() - before, 4);
	assert_int_equal(drop(0, BASE, 101), 0);
	assert_int_equal(host_pages_used() - before, 3);
	page_tracker_clear(&t[1]);
	assert_int_equal(host_pages_used() - before, 2);
}

/* However many trackers there are, and came before. */
static void what_a_tracked_chunk_costs_the_last_of_many(void **state)
{
	static struct page_tracker many[PAGE_TRACKERS_MAX / 2];
	size_t before;

	for (unsigned int i = 0; i < ARRAY_SIZE(many); i++) {
		many[i] = (struct page_tracker){ .name = "m", .ops = &ops };
		assert_int_equal(page_tracker_register(&mmu.pt, &many[i]), 0);
	}
	before = host_pages_used();
	assert_int_equal(page_tracker_add(&many[ARRAY_SIZE(many) - 1], gfn(BASE), 1, W, NULL), 0);
	assert_int_equal(host_pages_used() - before, 3);
	assert_int_equal(add(0, BASE, 1), 0);
	assert_int_equal(host_pages_used() - before, 4);
	fake_retire(&mmu);
}

/* Who holds other pages of the chunk, or no longer this one, is not even looked at. */
static void a_page_finds_its_holders_alone(void **state)
{
	const struct page_holders *holders;

	for (unsigned int i = 0; i < TRACKERS; i++)
		assert_int_equal(add(i, 0x200 + i, 2), 0);
	holders = mmu.slot[0].chunk[1]->holders;
	for (unsigned int page = 0; page <= TRACKERS; page++) {
		struct page_hold *h = holders_next(holders, page, TRACKER_KEY_MIN);

		/* Tracker i holds page i and i + 1, and those with a higher number are told earlier. */
		if (page < TRACKERS) {
			assert_ptr_equal(h->tracker, &t[page]);
			h = holders_next(holders, page, tracker_key(h->tracker));
		}
		if (page > 0) {
			assert_ptr_equal(h->tracker, &t[page - 1]);
			h = holders_next(holders, page, tracker_key(h->tracker));
		}
		assert_null(h);
	}
	assert_int_equal(drop(2, 0x202, 1), 0);
	assert_ptr_equal(holders_next(holders, 2, TRACKER_KEY_MIN)->tracker, &t[1]);
	assert_ptr_equal(holders_next(holders, 3, TRACKER_KEY_MIN)->tracker, &t[3]);
	assert_null(holders_next(holders, 2, tracker_key(&t[1])));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(first_add_protects_and_flushes),
		T(every_add_protects_and_one_flush_is_for_all),
		T(no_flush_when_no_tlb_can_hold_it),
		T(only_the_last_remove_unprotects),
		T(lesson_03_counts_belong_to_a_tracker),
		T(clear_gives_back_everything),
		T(bad_arguments_change_nothing),
		T(a_remove_is_all_or_nothing),
		T(lesson_01_trackers_overflow_together),
		T(lesson_02_trackers_leave_the_mmu_room),
		T(add_is_all_or_nothing_without_memory),
		T(no_memory_to_attach_changes_nothing),
		T(no_memory_to_move_changes_nothing),
		T(counts_are_parked_or_lost_with_the_memory),
		T(parked_counts_of_two_slots_meet),
		T(all_pages_and_those_to_come),
		T(excepted_memory_has_no_chunks),
		T(all_and_some_twice),
		T(a_move_takes_memory_and_leaves_gfns),
		T(a_move_with_all_pages),
		T(what_does_not_fit_is_an_error),
		T(a_moved_slot_comes_back),
		T(what_a_tracked_chunk_costs),
		T(what_a_tracked_chunk_costs_the_last_of_many),
		T(a_page_finds_its_holders_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
