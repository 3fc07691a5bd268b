/* SPDX-License-Identifier: GPL-2.0-only */
/* The log of dirty pages, alone, beside others, and under a writer on another CPU. */
#include <setjmp.h>
#include <stdarg.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "lib/compiler.h"
#include "lib/errno.h"
#include "pagetrack/dirty_log.h"
#include "pagetrack/write_log.h"
#include "tests/host/port_host.h"
#include "tests/host/tracked_memory.h"

#define PAGES 110 /* across both slots, and two chunks */

static struct dirty_log dlog;
static uint8_t got[MEM_PAGES];
static unsigned int harvested;

static int setup(void **state)
{
	tracked_open();
	dlog = (struct dirty_log){ .tracker = { .name = "dirty", .priority = 5 } };
	return dirty_log_enable(&dlog, &mem.pt, gfn(MEM_BASE), PAGES, NULL);
}

static int teardown(void **state)
{
	if (dlog.memory)
		dirty_log_disable(&dlog);
	return tracked_close() != 0;
}

static void note(void *ctx, gfn_t g)
{
	got[g.v - MEM_BASE]++;
	harvested++;
}

static void harvest(void)
{
	memset(got, 0, sizeof(got));
	harvested = 0;
	assert_int_equal(dirty_log_harvest(&dlog, note, NULL, NULL), 0);
}

static void touch(uint64_t page) { tracked_write(AT(page, page), "x", 1, BY(DEVICE)); }

static unsigned int count(uint64_t page)
{
	return page_tracker_count(&dlog.tracker, gfn(MEM_BASE + page), PAGE_TRACK_WRITE);
}

static void enabling_arms_all_with_one_flush(void **state)
{
	assert_int_equal(mem.flushes, 1);
	for (uint64_t page = 0; page < MEM_PAGES; page++)
		assert_int_equal(count(page), page < PAGES);
	harvest();
	assert_int_equal(harvested, 0);
	assert_int_equal(mem.flushes, 1);
	dirty_log_disable(&dlog);
	assert_int_equal(page_track_total(&mem.slot[0], PAGE_TRACK_WRITE), 0);
}

static void the_first_write_is_the_last_that_traps(void **state)
{
	for (int i = 0; i < 5; i++)
		touch(3);
	assert_int_equal(mem.silent, 4);
	assert_int_equal(count(3), 0);
	assert_int_equal(dlog.count, 1);
	assert_true(dirty_log_is_dirty(&dlog, gfn(MEM_BASE + 3)));
	assert_false(dirty_log_is_dirty(&dlog, gfn(MEM_BASE + 4)));
	assert_false(dirty_log_is_dirty(&dlog, gfn(MEM_BASE + PAGES)));
}

static void a_harvest_costs_what_is_dirty(void **state)
{
	unsigned int protects = mem.protects;
	uint8_t across[] = "ab";

	for (uint64_t page = 70; page < 110; page += 10)
		touch(page);
	tracked_write(AT(4, 4095), across, 2, BY(LOADER));
	harvest();
	assert_int_equal(mem.protects - protects, 6);
	assert_int_equal(mem.flushes, 2);
	assert_int_equal(harvested, 6);
	for (uint64_t page = 0; page < PAGES; page++)
		assert_int_equal(got[page], page == 4 || page == 5 || (page >= 70 && page % 10 == 0));
	harvest();
	assert_int_equal(harvested, 0);
	assert_int_equal(mem.flushes, 2);
	touch(4);
	assert_int_equal(mem.silent, 0);
	harvest();
	assert_int_equal(harvested, 1);
	assert_int_equal(got[4], 1);
}

static enum page_track_verdict refuse(struct page_tracker *t, const struct page_track_event *e,
				      uint8_t *value)
{
	return VERDICT_SKIP;
}

static void a_write_that_is_not_made_is_none(void **state)
{
	static const struct page_tracker_ops ops = { .before = refuse };
	struct page_tracker no = { .name = "no", .ops = &ops };

	assert_int_equal(page_tracker_register(&mem.pt, &no), 0);
	assert_int_equal(page_tracker_add(&no, gfn(MEM_BASE), 1, PAGE_TRACK_W, NULL), 0);
	touch(0);
	assert_int_equal(dlog.count, 0);
	assert_int_equal(count(0), 1);
	assert_int_equal(page_tracker_destroy(&no), 0);
}

/* A log of accesses on the same page goes on to hear of every write, whoever is told first. */
static void others_keep_the_page(void **state)
{
	for (int priority = 0; priority <= 9; priority += 9) {
		struct write_log wl = { .tracker = { .name = "log", .priority = priority } };
		struct write_log_record r[8];

		assert_int_equal(write_log_init(&wl, &mem.pt, 8, false), 0);
		assert_int_equal(page_tracker_add(&wl.tracker, gfn(MEM_BASE + 7), 1, PAGE_TRACK_W, NULL), 0);
		for (int i = 0; i < 3; i++)
			touch(7);
		assert_int_equal(write_log_read(&wl, r, 8), 3);
		assert_int_equal(dlog.count, 1);
		assert_int_equal(count(7), 0);
		harvest();
		assert_int_equal(got[7], 1);
		assert_int_equal(count(7), 1);
		touch(7);
		assert_int_equal(dlog.count, 1);
		assert_int_equal(write_log_read(&wl, r, 8), 1);
		write_log_destroy(&wl);
		touch(7);
		assert_int_equal(mem.silent, priority ? 2 : 1);
		harvest();
	}
}

/* What comes to be in memory without a write is dirty, too; a page that was armed has one count still. */
static void new_memory_is_dirty(void **state)
{
	touch(MEM_FIRST_SLOT + 1);
	tracked_remove_slot(1);
	assert_int_equal(dirty_log_harvest(&dlog, note, NULL, NULL), -EINVAL);
	tracked_make_slot(1);
	assert_int_equal(dlog.count, PAGES - MEM_FIRST_SLOT);
	touch(MEM_FIRST_SLOT);
	harvest();
	for (uint64_t page = 0; page < PAGES; page++) {
		assert_int_equal(got[page], page >= MEM_FIRST_SLOT);
		assert_int_equal(count(page), 1);
	}
}

static void a_harvest_that_fails_loses_nothing(void **state)
{
	gfn_t failed = gfn(0);
	int err, nth;

	for (uint64_t page = 0; page < PAGES; page++)
		touch(page); /* no count is left: memory is needed to count again */
	for (nth = 0;; nth++) {
		harvested = 0;
		host_fail_allocation(nth);
		err = dirty_log_harvest(&dlog, note, NULL, &failed);
		host_fail_allocation(-1);
		if (!err)
			break;
		assert_int_equal(err, -ENOMEM);
		assert_in_range(failed.v, MEM_BASE, MEM_BASE + PAGES - 1);
		assert_int_equal(harvested, 0);
		assert_int_equal(dlog.count, PAGES);
		assert_int_equal(count(0), 0);
	}
	assert_true(nth > 0);
	assert_int_equal(harvested, PAGES);
}

static void harvest_inside(void *ctx, gfn_t g)
{
	assert_int_equal(dirty_log_harvest(&dlog, note, NULL, NULL), -EBUSY);
	touch(g.v - MEM_BASE); /* after the harvest: in the next */
	touch(50);
}

static void writes_during_a_harvest_are_in_the_next(void **state)
{
	touch(1);
	touch(2);
	assert_int_equal(dirty_log_harvest(&dlog, harvest_inside, NULL, NULL), 0);
	harvest();
	assert_int_equal(harvested, 3);
	assert_int_equal(got[1] + got[2] + got[50], 3);
}

static void errors(void **state)
{
	struct dirty_log other = { .tracker = { .name = "other" } };
	gfn_t failed = gfn(0);
	size_t before = host_pages_used();

	assert_int_equal(dirty_log_enable(&dlog, &mem.pt, gfn(MEM_BASE), 1, &failed), -EEXIST);
	assert_int_equal(dirty_log_enable(&other, &mem.pt, gfn(MEM_BASE), 0, &failed), -EINVAL);
	assert_int_equal(dirty_log_enable(&other, &mem.pt, gfn(MEM_BASE), UINT64_MAX, &failed), -EINVAL);
	assert_int_equal(dirty_log_enable(&other, &mem.pt, gfn(MEM_BASE), MEM_PAGES + 1, &failed), -EINVAL);
	assert_int_equal(failed.v, MEM_BASE + MEM_PAGES);
	for (int nth = 0; nth < 3; nth++) {
		host_fail_allocation(nth);
		assert_int_equal(dirty_log_enable(&other, &mem.pt, gfn(MEM_BASE), 100, &failed), -ENOMEM);
		host_fail_allocation(-1);
		assert_null(other.tracker.pt);
		assert_int_equal(page_track_count(&mem.slot[0], gfn(MEM_BASE), PAGE_TRACK_WRITE), 1);
	}
	assert_true(host_pages_used() <= before + 1); /* the holders of a chunk may have grown */
}

/* ---- lists of pages ------------------------------------------------------------ */

static void a_list_is_added_as_a_whole(void **state)
{
	gfn_t list[] = { gfn(MEM_BASE + 9), gfn(MEM_BASE + 2), gfn(MEM_BASE + 9), gfn(MEM_BASE + MEM_PAGES) };
	struct page_track_slot *slot = &mem.slot[0];
	struct page_tracker *t = &dlog.tracker;
	unsigned int flushes = mem.flushes;
	gfn_t failed = gfn(0);

	assert_int_equal(page_tracker_add_list(t, list, 0, PAGE_TRACK_W, &failed), -EINVAL);
	assert_int_equal(page_tracker_add_list(t, list, 3, 0, &failed), -EINVAL);
	assert_int_equal(page_tracker_add_list(t, list, 4, PAGE_TRACK_W, &failed), -EINVAL);
	assert_int_equal(failed.v, MEM_BASE + MEM_PAGES);
	assert_int_equal(count(9), 1);
	assert_int_equal(mem.flushes, flushes);
	assert_int_equal(page_tracker_add_list(t, list, 3, PAGE_TRACK_W | PAGE_TRACK_X, &failed), 0);
	assert_int_equal(mem.flushes, flushes + 1);
	assert_int_equal(count(9), 3);
	assert_int_equal(count(2), 2);
	/* Room for one of two. */
	for (int i = 3; i < PAGE_TRACK_COUNT_MAX - 1; i++)
		assert_int_equal(page_track_count_add(&mem.pt, slot, gfn(MEM_BASE + 9), PAGE_TRACK_WRITE), 0);
	assert_int_equal(page_tracker_add_list(t, list, 3, PAGE_TRACK_W, &failed), -EOVERFLOW);
	assert_int_equal(failed.v, MEM_BASE + 9);
	assert_int_equal(count(9), 3);
	assert_int_equal(count(2), 2);
	for (int i = 3; i < PAGE_TRACK_COUNT_MAX - 1; i++)
		assert_int_equal(page_track_count_sub(slot, gfn(MEM_BASE + 9), PAGE_TRACK_WRITE), 0);
	dirty_log_disable(&dlog);
	assert_int_equal(page_tracker_add_list(t, list, 3, PAGE_TRACK_W, &failed), -ENOENT);
	assert_int_equal(page_track_total(slot, PAGE_TRACK_WRITE), 0);
}

/* ---- on two CPUs ------------------------------------------------------------------ */

#define BUSY 6 /* pages */
#define HARVESTED 2000 /* pages, until it is enough */

/* A write at full speed is over before a flush is. */
static pthread_mutex_t native = PTHREAD_MUTEX_INITIALIZER;
static uint32_t copy[BUSY];
static int enough;

static void wait_for_native_writes(void)
{
	pthread_mutex_lock(&native);
	pthread_mutex_unlock(&native);
}

static uint32_t *word(uint64_t page) { return (uint32_t *)mem.bytes[page]; }

static void write_word(uint64_t page, uint32_t value)
{
	const gfn_t g = gfn(MEM_BASE + page);
	uint32_t old = *word(page);
	const struct page_track_event e = {
		.mode = PAGE_TRACK_WRITE, .gpa = gfn_to_gpa(g), .len = 4, .old = (uint8_t *)&old,
		.new = (uint8_t *)&value, .origin = BY(DEVICE), .verdict = VERDICT_ALLOW,
	};
	bool traps;

	pthread_mutex_lock(&native);
	traps = page_track_is_active(&mem.slot[0], g, PAGE_TRACK_WRITE);
	if (!traps)
		__atomic_store_n(word(page), value, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&native);
	if (!traps)
		return;
	__atomic_store_n(word(page), value, __ATOMIC_RELEASE);
	page_track_after(&mem.pt, &e);
}

static void *writer(void *nothing)
{
	uint32_t x = 1;

	tracked_cpu = 1;
	for (uint32_t i = 1; !__atomic_load_n(&enough, __ATOMIC_ACQUIRE); i++) {
		x = x * 1664525 + 1013904223;
		write_word((x >> 16) % BUSY, i);
	}
	return NULL;
}

static void copy_page(void *ctx, gfn_t g)
{
	copy[g.v - MEM_BASE] = __atomic_load_n(word(g.v - MEM_BASE), __ATOMIC_ACQUIRE);
	harvested++;
}

/* Whoever copies what is harvested ends with what is in memory. */
static void no_write_is_lost_between_harvests(void **state)
{
	pthread_t thread;

	mem.at_flush = wait_for_native_writes;
	memset(copy, 0, sizeof(copy));
	harvested = 0;
	enough = 0;
	assert_int_equal(pthread_create(&thread, NULL, writer, NULL), 0);
	while (harvested < HARVESTED)
		assert_int_equal(dirty_log_harvest(&dlog, copy_page, NULL, NULL), 0);
	__atomic_store_n(&enough, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	assert_int_equal(dirty_log_harvest(&dlog, copy_page, NULL, NULL), 0);
	for (uint64_t page = 0; page < BUSY; page++) {
		assert_int_equal(copy[page], *word(page));
		assert_int_equal(count(page), 1);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(enabling_arms_all_with_one_flush),
		T(the_first_write_is_the_last_that_traps),
		T(a_harvest_costs_what_is_dirty),
		T(a_write_that_is_not_made_is_none),
		T(others_keep_the_page),
		T(new_memory_is_dirty),
		T(a_harvest_that_fails_loses_nothing),
		T(writes_during_a_harvest_are_in_the_next),
		T(errors),
		T(a_list_is_added_as_a_whole),
		T(no_write_is_lost_between_harvests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
