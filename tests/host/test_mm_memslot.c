/* SPDX-License-Identifier: GPL-2.0-only */
/* Memory slots: what is refused, what is kept, what comes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "lib/errno.h"
#include "mm/memslot.h"
#include "tests/host/port_host.h"

static struct memslots s;
static struct page_track pt; /* has no trackers: what becomes of their counts is for others to test */
static const struct page_track_mmu_ops no_ops;

static int setup(void **state)
{
	memset(&s, 0, sizeof(s));
	page_track_init(&pt, &no_ops, NULL);
	return host_pages_used() != 0;
}

static int teardown(void **state)
{
	host_fail_allocation(-1);
	memslots_destroy(&s);
	page_track_destroy(&pt);
	return host_pages_used() != 0;
}

static int create(uint32_t id, uint64_t base, uint64_t npages)
{
	const struct memslot_desc d = {
		.id = id, .base_gfn = gfn(base), .npages = npages, .base_pfn = pfn(base),
	};

	return memslot_create(&s, &d);
}

/* As mm/mmu.c does it, with counters that begin at zero. */
static int move(uint32_t id, uint64_t base)
{
	struct memslot moved;
	int err = memslot_move_prepare(&s, id, gfn(base), &moved);

	if (err)
		return err;
	err = page_track_slot_init(&moved.track, moved.base_gfn, moved.npages);
	if (err) {
		memslot_move_undo(&moved);
		return err;
	}
	memslot_move_commit(&s, memslot_find_id(&s, id), &moved);
	return 0;
}

static void lookup_finds_the_slot_and_no_other(void **state)
{
	/* Not in order, with and without a gap between them. */
	assert_int_equal(create(2, 200, 50), 0);
	assert_int_equal(create(0, 0, 100), 0);
	assert_int_equal(create(1, 100, 50), 0);
	for (int pass = 0; pass < 2; pass++) {
		for (uint64_t g = 0; g < 300; g++) {
			struct memslot *slot = memslot_find(&s, gfn(g * 7 % 300));
			uint64_t at = g * 7 % 300;

			if (at < 150)
				assert_int_equal(slot->id, at / 100);
			else if (at < 200 || at >= 250)
				assert_null(slot);
			else
				assert_int_equal(slot->id, 2);
		}
	}
	assert_null(memslot_find(&s, gfn(UINT64_MAX)));
}

static int create_at(uint32_t id, uint64_t base, uint64_t npages, uint64_t frame)
{
	const struct memslot_desc d = {
		.id = id, .base_gfn = gfn(base), .npages = npages, .base_pfn = pfn(frame),
	};

	return memslot_create(&s, &d);
}

/* Every frame below @frames is found in the slot that has it, and no other: once in order, and
 * once with the last hit elsewhere. */
static void check_frames(uint64_t frames)
{
	for (uint64_t n = 0; n < 2 * frames; n++) {
		uint64_t at = n < frames ? n : n * 7 % frames;
		struct memslot *owner = NULL;

		for (unsigned int i = 0; i < s.count; i++)
			if (at >= s.slot[i]->base_pfn.v && at < s.slot[i]->base_pfn.v + s.slot[i]->npages)
				owner = s.slot[i];
		assert_ptr_equal(memslot_find_pfn(&s, pfn(at)), owner);
	}
	for (unsigned int i = 0; i < s.count; i++)
		assert_true(i == 0 || s.by_pfn[i - 1]->base_pfn.v < s.by_pfn[i]->base_pfn.v);
	for (unsigned int i = s.count; i < MEMSLOTS_MAX; i++)
		assert_null(s.by_pfn[i]);
	assert_null(memslot_find_pfn(&s, pfn(UINT64_MAX)));
}

/* Addresses and memory are in different orders, with and without gaps. */
static void frames_are_found_whatever_comes_goes_and_moves(void **state)
{
	check_frames(11);
	assert_int_equal(create_at(0, 100, 10, 30), 0);
	assert_int_equal(create_at(1, 200, 10, 10), 0);
	assert_int_equal(create_at(2, 0, 5, 40), 0);
	assert_int_equal(create_at(3, 50, 3, 2), 0);
	check_frames(61);
	assert_int_equal(memslot_find_pfn(&s, pfn(39))->id, 0);
	assert_int_equal(move(0, 300), 0);
	check_frames(61);
	assert_int_equal(move(2, 100), 0);
	check_frames(61);
	assert_int_equal(memslot_find_pfn(&s, pfn(15))->id, 1);
	assert_int_equal(memslot_delete(&s, 1), 0);
	check_frames(61);
	assert_int_equal(move(3, 1000), 0);
	assert_int_equal(create_at(4, 1, 7, 15), 0);
	check_frames(61);
	assert_int_equal(memslot_delete(&s, 2), 0);
	check_frames(61);
	assert_int_equal(memslot_set_flags(&s, 0, MEMSLOT_READONLY), 0);
	assert_int_equal(create_at(5, 90, 2, 0), 0);
	check_frames(61);
}

/* A refused change, and one that cannot be made, leave the index as it was. */
static void frames_are_found_after_failures(void **state)
{
	assert_int_equal(create_at(0, 100, 10, 30), 0);
	assert_int_equal(create_at(1, 0, 10, 50), 0);
	assert_int_equal(create_at(2, 105, 10, 5), -EEXIST);
	assert_int_equal(move(0, 5), -EEXIST);
	host_fail_allocation(0);
	assert_int_equal(create_at(2, 200, 10, 5), -ENOMEM);
	host_fail_allocation(0);
	assert_int_equal(move(0, 300), -ENOMEM);
	host_fail_allocation(-1);
	check_frames(61);
	memslots_destroy(&s);
	check_frames(61);
	for (uint32_t i = 0; i < MEMSLOTS_MAX; i++)
		assert_int_equal(create_at(i, i, 1, i * 77 % MEMSLOTS_MAX), 0);
	for (uint64_t f = 0; f < MEMSLOTS_MAX; f++)
		assert_int_equal(memslot_find_pfn(&s, pfn(f * 77 % MEMSLOTS_MAX))->base_gfn.v, f);
}

static void translation_is_relative_to_the_slot(void **state)
{
	const struct memslot_desc d = { .id = 9, .base_gfn = gfn(64), .npages = 10, .base_pfn = pfn(5000) };

	assert_int_equal(memslot_create(&s, &d), 0);
	assert_int_equal(memslot_pfn(memslot_find(&s, gfn(67)), gfn(67)).v, 5003);
}

static void overlaps_are_refused(void **state)
{
	assert_int_equal(create(0, 100, 100), 0);
	assert_int_equal(create(1, 300, 100), 0);
	assert_int_equal(create(2, 100, 100), -EEXIST);
	assert_int_equal(create(2, 199, 1), -EEXIST);
	assert_int_equal(create(2, 50, 51), -EEXIST);
	assert_int_equal(create(2, 150, 10), -EEXIST);
	assert_int_equal(create(2, 0, 1000), -EEXIST);
	assert_int_equal(create(2, 250, 51), -EEXIST);
	assert_int_equal(create(0, 200, 1), -EEXIST); /* the id */
	assert_int_equal(create(2, 200, 100), 0);
	assert_int_equal(create(3, 0, 100), 0);
	assert_int_equal(s.count, 4);
}

static void lesson_24_wraps_and_wide_frames_are_refused(void **state)
{
	const uint64_t top = 1ull << 40;
	struct memslot_desc d = { .npages = 2, .base_pfn = pfn(top - 1) };

	assert_int_equal(create(0, 0, 0), -EINVAL);
	assert_int_equal(create(0, top, 1), -EINVAL);
	assert_int_equal(create(0, top - 1, 2), -EINVAL);
	assert_int_equal(create(0, UINT64_MAX, 1), -EINVAL);
	assert_int_equal(create(0, UINT64_MAX, 2), -EINVAL);
	assert_int_equal(create(0, UINT64_MAX - 10, 20), -EINVAL);
	assert_int_equal(create(0, 1, UINT64_MAX), -EINVAL);
	assert_int_equal(create(0, 0, MEMSLOT_PAGES_MAX + 1), -EINVAL);
	assert_int_equal(memslot_create(&s, &d), -EINVAL);
	d = (struct memslot_desc){ .npages = 2, .base_pfn = pfn(UINT64_MAX) };
	assert_int_equal(memslot_create(&s, &d), -EINVAL);
	d = (struct memslot_desc){ .npages = 2, .flags = 1u << 31 };
	assert_int_equal(memslot_create(&s, &d), -EINVAL);
	assert_int_equal(create(0, 0, MEMSLOT_PAGES_MAX), -ENOMEM);
	assert_int_equal(s.count, 0);
	assert_int_equal(create(0, top - 1, 1), 0);
	assert_int_equal(memslot_find(&s, gfn(top - 1))->id, 0);
}

static void unknown_ids_are_refused(void **state)
{
	assert_int_equal(memslot_delete(&s, 7), -ENOENT);
	assert_int_equal(move(7, 0), -ENOENT);
	assert_int_equal(memslot_set_flags(&s, 7, 0), -ENOENT);
	assert_null(memslot_find_id(&s, 7));
}

static void the_array_fills_up(void **state)
{
	for (uint32_t i = 0; i < MEMSLOTS_MAX; i++)
		assert_int_equal(create(i, (i * 77 % MEMSLOTS_MAX) * 2, 1), 0);
	assert_int_equal(create(MEMSLOTS_MAX, 5000, 1), -ENOSPC);
	for (uint64_t g = 0; g < 2 * MEMSLOTS_MAX; g++)
		assert_int_equal(memslot_find(&s, gfn(g)) != NULL, g % 2 == 0);
	assert_int_equal(memslot_delete(&s, 0), 0);
	assert_int_equal(create(MEMSLOTS_MAX, 5000, 1), 0);
}

static void last_hit_survives_delete(void **state)
{
	assert_int_equal(create(0, 0, 10), 0);
	assert_int_equal(create(1, 10, 10), 0);
	assert_int_equal(memslot_find(&s, gfn(15))->id, 1);
	assert_int_equal(memslot_delete(&s, 1), 0);
	assert_null(memslot_find(&s, gfn(15)));
	assert_int_equal(memslot_find(&s, gfn(5))->id, 0);
	assert_int_equal(memslot_delete(&s, 0), 0);
	assert_null(memslot_find(&s, gfn(5)));
}

static void lesson_04_create_is_all_or_nothing(void **state)
{
	struct memslot_desc d = { .flags = MEMSLOT_LOG_DIRTY, .npages = 5000 };
	int nth, err;

	assert_int_equal(create(1, 9000, 10), 0);
	size_t before = host_pages_used();

	for (nth = 0; ; nth++) {
		host_fail_allocation(nth);
		err = memslot_create(&s, &d);
		host_fail_allocation(-1);
		if (!err)
			break;
		assert_int_equal(err, -ENOMEM);
		assert_int_equal(host_pages_used(), before);
		assert_int_equal(s.count, 1);
		assert_null(memslot_find(&s, gfn(0)));
	}
	/* The slot, the array of chunks, two rmaps, no_large, dirty bits. */
	assert_int_equal(nth, 1 + 1 + MAPPING_LEVEL_MAX + 2);
	assert_int_equal(memslot_delete(&s, 0), 0);
	assert_int_equal(host_pages_used(), before);
}

static void lesson_05_move_starts_from_nothing(void **state)
{
	struct memslot *slot;

	assert_int_equal(create(0, 1000, 100), 0);
	slot = memslot_find_id(&s, 0);
	assert_int_equal(page_track_count_add(&pt, &slot->track, gfn(1050), PAGE_TRACK_WRITE), 0);
	slot->rmap[0][50].val = 1;
	assert_int_equal(move(0, 1040), 0); /* overlaps itself */
	assert_ptr_equal(memslot_find_id(&s, 0), slot);
	assert_null(memslot_find(&s, gfn(1039)));
	assert_ptr_equal(memslot_find(&s, gfn(1139)), slot);
	assert_int_equal(page_track_total(&slot->track, PAGE_TRACK_WRITE), 0);
	assert_int_equal(page_track_count_add(&pt, &slot->track, gfn(1000), PAGE_TRACK_WRITE), -EINVAL);
	assert_int_equal(page_track_count_add(&pt, &slot->track, gfn(1139), PAGE_TRACK_WRITE), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(slot->rmap[0][i].val, 0);
	assert_int_equal(memslot_pfn(slot, gfn(1040)).v, 1000);
}

static void move_keeps_the_order_and_refuses_overlap(void **state)
{
	assert_int_equal(create(0, 0, 10), 0);
	assert_int_equal(create(1, 100, 10), 0);
	assert_int_equal(create(2, 200, 10), 0);
	assert_int_equal(move(0, 95), -EEXIST);
	assert_int_equal(move(0, 109), -EEXIST);
	assert_int_equal(move(1, 191), -EEXIST);
	assert_int_equal(create(3, 210, 10), 0);
	assert_int_equal(move(3, 205), -EEXIST); /* it lies between itself and 2 */
	assert_int_equal(memslot_delete(&s, 3), 0);
	assert_int_equal(move(0, (1ull << 40) - 9), -EINVAL);
	assert_int_equal(move(0, UINT64_MAX - 3), -EINVAL);
	assert_int_equal(memslot_find(&s, gfn(0))->id, 0);
	assert_int_equal(move(0, 300), 0);
	assert_int_equal(move(2, 0), 0);
	for (unsigned int i = 1; i < s.count; i++)
		assert_true(s.slot[i - 1]->base_gfn.v < s.slot[i]->base_gfn.v);
	assert_int_equal(memslot_find(&s, gfn(305))->id, 0);
	assert_int_equal(memslot_find(&s, gfn(9))->id, 2);
}

static void move_is_all_or_nothing(void **state)
{
	struct memslot before;
	size_t pages;

	assert_int_equal(create(0, 0, 3000), 0);
	pages = host_pages_used();
	before = *memslot_find_id(&s, 0);
	for (int nth = 0; nth < MAPPING_LEVEL_MAX + 1 + 1; nth++) {
		host_fail_allocation(nth);
		assert_int_equal(move(0, 10000), -ENOMEM);
		assert_memory_equal(memslot_find(&s, gfn(0)), &before, sizeof(before));
		assert_int_equal(host_pages_used(), pages);
	}
}

static void lesson_04_flags_change_keeps_counters(void **state)
{
	struct memslot *slot;
	struct page_track_slot track;
	size_t pages;

	assert_int_equal(create(0, 0, 100), 0);
	slot = memslot_find_id(&s, 0);
	assert_null(slot->dirty_bitmap);
	assert_int_equal(page_track_count_add(&pt, &slot->track, gfn(5), PAGE_TRACK_WRITE), 0);
	pages = host_pages_used();
	slot->rmap[0][5].val = 42;
	track = slot->track;
	host_fail_allocation(0);
	assert_int_equal(memslot_set_flags(&s, 0, MEMSLOT_LOG_DIRTY), -ENOMEM);
	host_fail_allocation(-1);
	assert_int_equal(slot->flags, 0);
	assert_int_equal(memslot_set_flags(&s, 0, 4), -EINVAL);
	assert_int_equal(memslot_set_flags(&s, 0, MEMSLOT_LOG_DIRTY | MEMSLOT_READONLY), 0);
	assert_non_null(slot->dirty_bitmap);
	memslot_mark_dirty(slot, gfn(99));
	assert_int_equal(memslot_set_flags(&s, 0, MEMSLOT_LOG_DIRTY), 0); /* keeps the bits too */
	assert_int_equal(slot->dirty_bitmap[1], 1ull << 35);
	assert_int_equal(memslot_set_flags(&s, 0, 0), 0);
	assert_null(slot->dirty_bitmap);
	memslot_mark_dirty(slot, gfn(99)); /* nothing to do */
	assert_memory_equal(&track, &slot->track, sizeof(track));
	assert_int_equal(page_track_count(&slot->track, gfn(5), PAGE_TRACK_WRITE), 1);
	assert_int_equal(slot->rmap[0][5].val, 42);
	assert_int_equal(host_pages_used(), pages);
}

/* [base, base + npages) onto pfn: which 2 MiB ranges may be large. */
static void check_large(uint64_t base, uint64_t npages, uint64_t frame, const char *expect)
{
	const struct memslot_desc d = { .base_gfn = gfn(base), .npages = npages, .base_pfn = pfn(frame) };
	struct memslot *slot;

	assert_int_equal(memslot_create(&s, &d), 0);
	slot = memslot_find_id(&s, 0);
	assert_int_equal(memslot_index(slot, gfn(base + npages - 1), PG_LEVEL_2M) + 1, strlen(expect));
	for (size_t i = 0; i < strlen(expect); i++)
		assert_int_equal(slot->no_large[i] == 0, expect[i] == 'L');
	assert_int_equal(memslot_delete(&s, 0), 0);
}

static void large_mappings_need_whole_congruent_ranges(void **state)
{
	check_large(0, 1024, 0, "LL");
	check_large(0, 1023, 512, "L4");
	check_large(1, 1023, 513, "4L");
	check_large(0, 1024, 1, "44");
	check_large(511, 514, 1023, "4L4");
	check_large(5, 20, 5, "4");
	check_large(512, 512, 0, "L");
	check_large(256, 1024, 0, "444");
}

static void rmaps_cover_the_slot_at_each_level(void **state)
{
	struct memslot *slot;

	assert_int_equal(create(0, 511, 514), 0);
	slot = memslot_find_id(&s, 0);
	slot->rmap[0][memslot_index(slot, gfn(1024), PG_LEVEL_4K)].val = 1; /* ASan watches */
	slot->rmap[1][memslot_index(slot, gfn(1024), PG_LEVEL_2M)].val = 1;
	assert_int_equal(memslot_index(slot, gfn(1024), PG_LEVEL_2M), 2);
	assert_int_equal(memslot_index(slot, gfn(511), PG_LEVEL_2M), 0);
}

/* What tracking costs a guest that is not tracked: a pointer for 2 MiB of counters, and
 * the heads of the reverse maps beside them. Counters are made where there is one. */
static void lesson_17_what_a_slot_costs(void **state)
{
	const uint64_t npages = 1 << 18; /* 1 GiB */
	size_t before = host_pages_used(), cost;
	struct memslot *slot;

	assert_int_equal(create(0, 0, npages), 0);
	cost = (host_pages_used() - before) * PAGE_SIZE;
	assert_true(cost >= npages * sizeof(struct rmap_head));
	assert_true(cost <= npages * 9);
	assert_true(cost * 400 < npages * PAGE_SIZE); /* 0.25 % */
	slot = memslot_find_id(&s, 0);
	before = host_pages_used();
	for (uint64_t g = 512; g < 1024; g++)
		for (unsigned int mode = 0; mode < PAGE_TRACK_MODES; mode++)
			assert_int_equal(page_track_count_add(&pt, &slot->track, gfn(g), mode), 0);
	assert_int_equal(host_pages_used() - before, 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(lookup_finds_the_slot_and_no_other),
		T(frames_are_found_whatever_comes_goes_and_moves),
		T(frames_are_found_after_failures),
		T(translation_is_relative_to_the_slot),
		T(overlaps_are_refused),
		T(lesson_24_wraps_and_wide_frames_are_refused),
		T(unknown_ids_are_refused),
		T(the_array_fills_up),
		T(last_hit_survives_delete),
		T(lesson_04_create_is_all_or_nothing),
		T(lesson_05_move_starts_from_nothing),
		T(move_keeps_the_order_and_refuses_overlap),
		T(move_is_all_or_nothing),
		T(lesson_04_flags_change_keeps_counters),
		T(large_mappings_need_whole_congruent_ranges),
		T(rmaps_cover_the_slot_at_each_level),
		T(lesson_17_what_a_slot_costs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
