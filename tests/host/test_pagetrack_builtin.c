/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * All built-in trackers on the same pages, under random writes, against a model
 * of plain arrays. SPOOR_SEED=n replays a run, SPOOR_OPS=n changes its length.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include "lib/compiler.h"
#include "pagetrack/dirty_log.h"
#include "pagetrack/integrity_guard.h"
#include "pagetrack/last_writer.h"
#include "pagetrack/write_log.h"
#include "tests/host/tracked_memory.h"
#include "tests/host/random.h"

#define FIRST (MEM_FIRST_SLOT - 4) /* pages on both sides of the slots' edge */
#define PAGES 8
#define BYTES (PAGES * PAGE_SIZE)
#define RANGES 12
#define WATCHES 12
#define LOGGED 4

static struct integrity_guard guard;
static struct page_watcher watcher;
static struct last_writer last;
static struct write_log wlog;
static struct dirty_log dlog;

static struct guarded_range range[RANGES];
static uint64_t attempts[RANGES];
static struct page_watch watch[WATCHES];
static uint64_t hits[WATCHES];
static uint8_t bytes[BYTES];
static uint64_t writer[BYTES];
static bool dirty[PAGES], harvested[PAGES];
static uint64_t seed, rng, op;

#define CHECK(cond) \
	do { \
		if (!(cond)) { \
			print_error("operation %lu of SPOOR_SEED=%lu\n", op, seed); \
			assert_true(cond); \
		} \
	} while (0)

static uint64_t rnd(uint64_t below)
{
	return random_next(&rng) % below;
}

/* Around the edges of pages, most often. */
static uint64_t any_place(uint64_t len)
{
	uint64_t at = rnd(PAGES) * PAGE_SIZE + (rnd(3) ? PAGE_SIZE - 32 + rnd(64) : rnd(PAGE_SIZE));

	return at + len <= BYTES ? at : BYTES - len;
}

/* ---- what is to happen -------------------------------------------------------- */

static bool overlaps(gpa_t from, uint64_t len, uint64_t at, uint64_t n)
{
	uint64_t start = from.v - AT(FIRST, 0).v;

	return start < at + n && at < start + len;
}

/* What the guard says to the part of a write that lies in one page; its first range by address decides. */
static enum page_track_verdict verdict_on(uint64_t at, uint64_t n)
{
	static const enum page_track_verdict said[] = {
		VERDICT_ALLOW, VERDICT_DENY_PF, VERDICT_DENY_GP, VERDICT_SKIP,
	};
	const struct guarded_range *first = NULL;

	for (int i = 0; i < RANGES; i++) {
		const struct guarded_range *r = &range[i];

		if (!r->watch.watcher || r->response == GUARD_REPORT || !overlaps(r->gpa, r->len, at, n))
			continue;
		if (!first || r->gpa.v < first->gpa.v || (r->gpa.v == first->gpa.v && r < first))
			first = r;
	}
	return first ? said[first->response] : VERDICT_ALLOW;
}

static void expect_calls(uint64_t at, uint64_t n)
{
	for (int i = 0; i < RANGES; i++)
		attempts[i] += range[i].watch.watcher && overlaps(range[i].gpa, range[i].len, at, n);
	for (int i = 0; i < WATCHES; i++)
		hits[i] += overlaps(watch[i].gpa, watch[i].len, at, n);
}

static void expect_record(uint64_t at, uint64_t n, enum page_track_verdict v)
{
	struct write_log_record r;

	if (at / PAGE_SIZE >= LOGGED)
		return;
	CHECK(write_log_read(&wlog, &r, 1) == 1);
	CHECK(r.gpa.v == AT(FIRST, at).v && r.len == n && r.verdict == v && r.origin.rip == op);
}

/* ---- operations ------------------------------------------------------------------ */

static void op_write(void)
{
	const struct access_origin by = vcpu_at(op);
	uint64_t len = 1 + rnd(24), at = any_place(len), first = PAGE_SIZE - at % PAGE_SIZE;
	enum page_track_verdict v;
	uint8_t value[24];

	first = first < len ? first : len;
	for (uint64_t i = 0; i < len; i++)
		value[i] = (uint8_t)rnd(256);
	v = verdict_on(at, first);
	if (v == VERDICT_ALLOW && first < len)
		v = verdict_on(at + first, len - first);
	expect_calls(at, first);
	if (first < len)
		expect_calls(at + first, len - first);
	CHECK(tracked_write(AT(FIRST, at), value, (uint32_t)len, &by) == v);
	expect_record(at, first, v);
	if (first < len)
		expect_record(at + first, len - first, v);
	for (uint64_t i = at; i < at + len && v == VERDICT_ALLOW; i++) {
		bytes[i] = value[i - at];
		writer[i] = op;
		dirty[i / PAGE_SIZE] = true;
	}
}

static void note(void *ctx, gfn_t g) { harvested[g.v - MEM_BASE - FIRST] = true; }

static void op_harvest(void)
{
	memset(harvested, 0, sizeof(harvested));
	CHECK(dirty_log_harvest(&dlog, note, NULL, NULL) == 0);
	CHECK(memcmp(harvested, dirty, sizeof(dirty)) == 0);
	memset(dirty, 0, sizeof(dirty));
}

static void op_guard(void)
{
	struct guarded_range *r = &range[rnd(RANGES)];

	CHECK(r->attempts == attempts[r - range]);
	if (r->watch.watcher) {
		CHECK(integrity_guard_thaw(r) == 0);
		return;
	}
	r->len = 1 + rnd(rnd(8) ? 8 : PAGE_SIZE);
	r->gpa = AT(FIRST, any_place(r->len));
	r->response = (enum guard_response)rnd(GUARD_STOP);
	CHECK(integrity_guard_freeze(&guard, r, NULL) == 0);
	attempts[r - range] = 0;
}

static void op_ask(void)
{
	uint64_t at = any_place(1), since;
	struct last_write w;

	if (last_writer_find(&last, AT(FIRST, at), &w, &since))
		CHECK(w.origin.rip == writer[at] && w.new[at % 8] == bytes[at]);
	else
		CHECK(!writer[at] || last.forgotten);
}

static void check_counts(void)
{
	CHECK(memcmp(mem.bytes[FIRST], bytes, BYTES) == 0);
	for (int i = 0; i < WATCHES; i++)
		CHECK(watch[i].hits == hits[i]);
	for (uint64_t page = 0; page < PAGES; page++)
		CHECK(page_tracker_count(&dlog.tracker, gfn(MEM_BASE + FIRST + page), PAGE_TRACK_WRITE) ==
		      !dirty[page]);
	CHECK(wlog.lost == 0);
}

/* ---- the run --------------------------------------------------------------------- */

static void no_hit(struct page_watcher *wr, struct page_watch *w, const struct page_track_event *e)
{
	CHECK(e->hit == w->hits);
}

static const struct page_watcher_ops watcher_ops = { .hit = no_hit };

/* Priorities in any order: who is told first must not matter but to the guard. */
static void open_all(void)
{
	const gfn_t base = gfn(MEM_BASE + FIRST);

	guard = (struct integrity_guard){ .watcher.tracker = { .name = "guard", .priority = -1 } };
	watcher = (struct page_watcher){ .tracker = { .name = "watch", .priority = (int)rnd(9) },
					 .ops = &watcher_ops };
	last = (struct last_writer){ .tracker = { .name = "last", .priority = (int)rnd(9) } };
	wlog = (struct write_log){ .tracker = { .name = "log", .priority = (int)rnd(9) } };
	dlog = (struct dirty_log){ .tracker = { .name = "dirty", .priority = (int)rnd(9) } };
	CHECK(!integrity_guard_register(&mem.pt, &guard) && !page_watcher_register(&mem.pt, &watcher));
	CHECK(!last_writer_init(&last, &mem.pt, 256) && !last_writer_add(&last, base, PAGES, NULL));
	CHECK(!write_log_init(&wlog, &mem.pt, 4, false));
	CHECK(!page_tracker_add(&wlog.tracker, base, LOGGED, PAGE_TRACK_W, NULL));
	CHECK(!dirty_log_enable(&dlog, &mem.pt, base, PAGES, NULL));
	for (int i = 0; i < WATCHES; i++) {
		uint64_t len = 1 + rnd(i % 2 ? 8 : 5000);

		watch[i] = (struct page_watch){ .gpa = AT(FIRST, any_place(len)), .len = len };
		watch[i].modes = PAGE_TRACK_W;
		CHECK(!page_watch_add(&watcher, &watch[i], NULL));
	}
}

static void close_all(void)
{
	dirty_log_disable(&dlog);
	write_log_destroy(&wlog);
	last_writer_destroy(&last);
	CHECK(!page_watcher_destroy(&watcher) && !integrity_guard_destroy(&guard));
	CHECK(page_track_total(&mem.slot[0], PAGE_TRACK_WRITE) == 0);
	CHECK(page_track_total(&mem.slot[1], PAGE_TRACK_WRITE) == 0);
}

static void all_on_the_same_pages(void **state)
{
	uint64_t ops = number_from_environment("SPOOR_OPS", 60000);

	seed = number_from_environment("SPOOR_SEED", (uint64_t)time(NULL));
	rng = seed * 0x9E3779B97F4A7C15ull + 1;
	tracked_open();
	open_all();
	for (op = 1; op <= ops; op++) {
		op_write();
		if (rnd(40) == 0)
			op_harvest();
		if (rnd(20) == 0)
			op_guard();
		op_ask();
		if (op % 64 == 0)
			check_counts();
	}
	close_all();
	assert_int_equal(tracked_close(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(all_on_the_same_pages) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
