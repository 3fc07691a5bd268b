/* SPDX-License-Identifier: GPL-2.0-only */
/* Who wrote last, against a table that forgets nothing. SPOOR_SEED=n replays the random test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include "lib/compiler.h"
#include "lib/errno.h"
#include "pagetrack/last_writer.h"
#include "pagetrack/watch.h"
#include "tests/host/port_host.h"
#include "tests/host/tracked_memory.h"
#include "tests/host/random.h"

#define PAGES 4

static struct last_writer lw;

static int setup(void **state)
{
	tracked_open();
	lw = (struct last_writer){ .tracker = { .name = "last writer" } };
	return 0;
}

static int teardown(void **state)
{
	last_writer_destroy(&lw);
	return tracked_close() != 0;
}

static void start(uint32_t capacity)
{
	assert_int_equal(last_writer_init(&lw, &mem.pt, capacity), 0);
	assert_int_equal(last_writer_add(&lw, gfn(MEM_BASE), PAGES, NULL), 0);
}

static void put(gpa_t at, const char *bytes, uint64_t rip)
{
	const struct access_origin by = vcpu_at(rip);

	tracked_write(at, bytes, (uint32_t)strlen(bytes), &by);
}

/* The instruction that wrote the byte; 0: unknown. */
static uint64_t who(gpa_t at)
{
	struct last_write w;
	uint64_t since;

	return last_writer_find(&lw, at, &w, &since) ? w.origin.rip : 0;
}

static void each_byte_has_its_writer(void **state)
{
	struct last_write w;
	uint64_t since;

	start(64);
	put(AT(1, 0), "abcdefgh", 1);
	put(AT(1, 2), "XY", 2);
	put(AT(1, 3), "Z", 3);
	for (uint64_t i = 0; i < 9; i++)
		assert_int_equal(who(AT(1, i)), i == 2 ? 2 : i == 3 ? 3 : i < 8 ? 1 : 0);
	assert_true(last_writer_find(&lw, AT(1, 2), &w, &since));
	assert_int_equal(w.unit.v, AT(1, 0).v);
	assert_int_equal(w.bytes, 0x04);
	assert_int_equal(w.hit, 2);
	assert_true(w.valued && !w.inexact);
	assert_memory_equal(w.old, "\0\0cd\0\0\0\0", 8);
	assert_memory_equal(w.new, "\0\0XY\0\0\0\0", 8);
	put(AT(1, 0), "12345678", 4);
	for (uint64_t i = 0; i < 8; i++)
		assert_int_equal(who(AT(1, i)), 4);
	assert_int_equal(lw.forgotten, 0);
}

static void across_units_and_pages(void **state)
{
	struct last_write w;
	uint64_t since;

	start(64);
	put(AT(0, 4090), "0123456789abcdef0123", 7);
	for (uint64_t i = 0; i < 20; i++)
		assert_int_equal(who(gpa_add(AT(0, 4090), i)), 7);
	assert_int_equal(who(AT(0, 4089)), 0);
	assert_int_equal(who(AT(1, 14)), 0);
	assert_true(last_writer_find(&lw, AT(1, 8), &w, &since));
	assert_memory_equal(w.new, "ef0123\0\0", 8);
}

static void a_full_table_forgets_the_oldest(void **state)
{
	struct last_write w;
	uint64_t since, started = mem.tsc;

	start(1); /* one set: 8 places */
	assert_false(last_writer_find(&lw, AT(1, 0), &w, &since));
	assert_in_range(since, started, mem.tsc);
	for (uint64_t i = 0; i < 8; i++)
		put(AT(1, 8 * i), "x", i + 1);
	assert_int_equal(lw.forgotten, 0);
	put(AT(1, 0), "y", 100); /* takes the place of the first */
	assert_int_equal(lw.forgotten, 0);
	assert_true(last_writer_find(&lw, AT(1, 8), &w, &since));
	put(AT(2, 0), "z", 101);
	assert_int_equal(lw.forgotten, 1);
	assert_int_equal(who(AT(1, 0)), 100);
	assert_false(last_writer_find(&lw, AT(1, 8), &w, &since) && w.origin.rip);
	assert_int_equal(since, w.tsc); /* of the write that was forgotten */
	assert_int_equal(who(AT(1, 16)), 3);
}

static enum page_track_verdict refuse(struct page_watcher *wr, struct page_watch *w,
				      const struct page_track_event *e, uint8_t *value)
{
	return VERDICT_SKIP;
}

/* Beside a watch on the same page, which refuses some of the writes. */
static void what_is_not_written_has_no_writer(void **state)
{
	static const struct page_watcher_ops ops = { .before = refuse };
	struct page_watcher wr = { .tracker = { .name = "no", .priority = 9 }, .ops = &ops };
	struct page_watch w = { .gpa = AT(1, 8), .len = 8, .modes = PAGE_TRACK_W };

	start(64);
	assert_int_equal(page_watcher_register(&mem.pt, &wr), 0);
	assert_int_equal(page_watch_add(&wr, &w, NULL), 0);
	put(AT(1, 8), "x", 5);
	put(AT(1, 16), "x", 6);
	assert_int_equal(who(AT(1, 8)), 0);
	assert_int_equal(who(AT(1, 16)), 6);
	assert_int_equal(w.hits, 1);
	assert_int_equal(wr.false_hits, 1);
	assert_int_equal(page_watcher_destroy(&wr), 0);
}

static void of_a_step_what_changed(void **state)
{
	struct last_write w;
	uint64_t since;

	start(64);
	put(AT(1, 0), "abc", 1);
	tracked_step_write(AT(1, 0), "aBc", 3);
	assert_int_equal(who(AT(1, 0)), 1);
	assert_int_equal(who(AT(1, 2)), 1);
	assert_true(last_writer_find(&lw, AT(1, 1), &w, &since));
	assert_int_equal(w.origin.agent, AGENT_GUEST);
	assert_true(w.inexact && w.valued);
	assert_memory_equal(w.new, "\0B\0\0\0\0\0\0", 8);
}

static void new_memory_was_written_by_nobody(void **state)
{
	struct last_write w;
	uint64_t since, gone;

	start(64);
	put(AT(1, 0), "x", 1);
	tracked_remove_slot(0);
	tracked_make_slot(0);
	gone = mem.tsc;
	assert_false(last_writer_find(&lw, AT(1, 0), &w, &since));
	assert_int_equal(since, gone);
	put(AT(1, 0), "x", 2);
	assert_int_equal(who(AT(1, 0)), 2);
}

/* ---- at random ------------------------------------------------------------------- */

static uint64_t seed, rng;

static uint64_t rnd(uint64_t below)
{
	return random_next(&rng) % below;
}

#define SPAN 512 /* bytes in play */
#define CHECK(cond) \
	do { \
		if (!(cond)) \
			print_error("SPOOR_SEED=%lu\n", seed); \
		assert_true(cond); \
	} while (0)

static void never_a_wrong_answer(void **state)
{
	static uint64_t writer[SPAN], when[SPAN];
	uint64_t unknown = 0, known = 0;

	seed = number_from_environment("SPOOR_SEED", (uint64_t)time(NULL));
	rng = seed * 0x9E3779B97F4A7C15ull + 1;
	memset(writer, 0, sizeof(writer));
	memset(when, 0, sizeof(when));
	start(48);
	for (uint64_t step = 1; step < 20000; step++) {
		char bytes[25] = "0123456789abcdefghijklmn";
		uint64_t len = 1 + rnd(24), at = rnd(SPAN - len), asked = rnd(SPAN), since;
		struct last_write w;

		bytes[len] = 0;
		put(AT(1, at), bytes, step);
		for (uint64_t i = 0; i < len; i++) {
			writer[at + i] = step;
			when[at + i] = mem.tsc;
		}
		if (last_writer_find(&lw, AT(1, asked), &w, &since)) {
			CHECK(w.origin.rip == writer[asked] && w.tsc == when[asked]);
			known++;
		} else {
			CHECK(when[asked] <= since);
			unknown++;
		}
	}
	CHECK(known > 1000 && unknown > 1000 && lw.forgotten > 1000);
}

static void errors(void **state)
{
	gfn_t failed;

	assert_int_equal(last_writer_init(&lw, &mem.pt, 0), -EINVAL);
	host_fail_allocation(0);
	assert_int_equal(last_writer_init(&lw, &mem.pt, 64), -ENOMEM);
	host_fail_allocation(-1);
	assert_true(TAILQ_EMPTY(&mem.pt.trackers));
	start(64);
	assert_int_equal(last_writer_init(&lw, &mem.pt, 64), -EEXIST);
	assert_int_equal(last_writer_add(&lw, gfn(MEM_BASE + MEM_PAGES), 1, &failed), -EINVAL);
	assert_int_equal(failed.v, MEM_BASE + MEM_PAGES);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(each_byte_has_its_writer),
		T(across_units_and_pages),
		T(a_full_table_forgets_the_oldest),
		T(what_is_not_written_has_no_writer),
		T(of_a_step_what_changed),
		T(new_memory_was_written_by_nobody),
		T(never_a_wrong_answer),
		T(errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
