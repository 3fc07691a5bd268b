/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What page tracking costs as there is more of everything: pages, slots,
 * trackers, watches. Each curve is to be flat, or its notes in
 * tools/tracking-costs say why it is not.
 */
#include "lib/errno.h"
#include "tests/bench/tracking.h"

#define PROBES 64

/* ---- pages --------------------------------------------------------------------- */

/* Chunks 0 and 1 are there to be measured on; what makes the curve lies behind. */
#define CROWD_FIRST 1024

static void operations_among(struct bench_vm *vm, struct page_tracker *t, uint64_t n)
{
	const struct page_track_slot *slot = &vm->mmu.mem.slots.slot[0]->track;
	struct page_track_event e = store_event(0);
	unsigned int count;
	int err;

	MEASURE("pages:add", n, 1, add(t, 1, 1));
	MEASURE("pages:remove", n, 1, take_off(t, 1, 1));
	MEASURE("pages:add-first-of-2M", n, 1, add(t, 512, 1));
	MEASURE("pages:remove-last-of-2M", n, 1, take_off(t, 512, 1));
	MEASURE("pages:add-refused", n, 1, err = page_tracker_add(t, gfn(UINT32_MAX), 1, PAGE_TRACK_W, NULL));
	CHECK(err == -EINVAL);
	told = 0;
	MEASURE("pages:event", n, 1, page_track_after(&vm->mmu.mem.track, &e));
	CHECK(told == 1);
	MEASURE("pages:write-untracked", n, 1, guest_stores(vm, PAGE_SIZE));
	MEASURE("pages:count", n, 1, count = page_track_count(slot, gfn(0), PAGE_TRACK_WRITE));
	CHECK(count == 1);
}

static void curve_pages(uint64_t most)
{
	struct page_tracker t;
	struct bench_vm vm;
	uint64_t there = 1;

	bench_bulk_begin();
	bench_vm_open(&vm, 1, CROWD_FIRST + most, true);
	tracker_open(&vm, &t, &after_ops);
	add(&t, 512, 1);
	take_off(&t, 512, 1);
	add(&t, 0, 1);
	for (uint64_t n = 1; n <= most; n *= 10) {
		if (n > there)
			add(&t, CROWD_FIRST + there, n - there);
		there = n;
		bench_bulk_end();
		operations_among(&vm, &t, n);
		bench_bulk_begin();
	}
	bench_vm_close(&vm);
	bench_bulk_end();
}

/* ---- dirty pages ---------------------------------------------------------------- */

static void count_page(void *ctx, gfn_t gfn) { ++*(uint64_t *)ctx; }

/* @dirty pages of @logged are written, and harvested. */
static void harvest(const char *what, uint64_t x, uint64_t logged, uint64_t dirty)
{
	struct dirty_log log = { .tracker.name = "dirty" };
	struct bench_vm vm;
	uint64_t pages = 0;
	int err;

	bench_bulk_begin();
	bench_vm_open(&vm, 1, logged, true);
	CHECK(dirty_log_enable(&log, &vm.mmu.mem.track, gfn(0), logged, NULL) == 0);
	for (uint64_t i = 0; i < dirty; i++)
		guest_stores(&vm, i * (logged / dirty) * PAGE_SIZE);
	bench_bulk_end();
	MEASURE(what, x, dirty, err = dirty_log_harvest(&log, count_page, &pages, NULL));
	CHECK(err == 0 && pages == dirty);
	bench_bulk_begin();
	dirty_log_disable(&log);
	bench_vm_close(&vm);
	bench_bulk_end();
}

static void curve_dirty(uint64_t most)
{
	for (uint64_t n = 1000; n <= most; n *= 10)
		harvest("logged:harvest-of-100-dirty-pages,-per-page", n, n, 100);
	for (uint64_t n = 10; n <= most && n <= 100000; n *= 10)
		harvest("dirty:harvest,-per-page-dirty", n, most, n);
}

/* ---- slots --------------------------------------------------------------------- */

/* Each time a slot half of all slots away: no cache of the last one helps, nor a search from there. */
static uint64_t probe_page(unsigned int i, unsigned int slots)
{
	return (uint64_t)(i * (slots / 2 | 1) % slots) * 512 + i;
}

static void operations_in_slots(struct bench_vm *vm, struct page_tracker *t, unsigned int n)
{
	MEASURE("slots:add", n, PROBES, ({
		for (unsigned int i = 0; i < PROBES; i++)
			add(t, probe_page(i, n), 1);
	}));
	told = 0;
	MEASURE("slots:event", n, PROBES, ({
		for (unsigned int i = 0; i < PROBES; i++) {
			struct page_track_event e = store_event(probe_page(i, n) * PAGE_SIZE);

			page_track_after(&vm->mmu.mem.track, &e);
		}
	}));
	CHECK(told == PROBES);
	MEASURE("slots:write-untracked", n, PROBES, ({
		for (unsigned int i = 0; i < PROBES; i++)
			guest_stores(vm, (probe_page(i, n) + 100) * PAGE_SIZE);
	}));
	MEASURE("slots:remove", n, PROBES, ({
		for (unsigned int i = 0; i < PROBES; i++)
			take_off(t, probe_page(i, n), 1);
	}));
}

/* The same where the MMU has something to take away. The slots' memory allows
 * small mappings alone. */
static void adding_mapped_in_slots(struct bench_vm *vm, struct page_tracker *t, unsigned int n)
{
	unsigned int probes = n < PROBES ? n : PROBES;

	for (unsigned int i = 0; i < probes; i++)
		bench_touch(vm, gfn(probe_page(i, n)));
	vm->flushes = 0;
	MEASURE("slots:add-mapped-4K", n, probes, ({
		for (unsigned int i = 0; i < probes; i++)
			add(t, probe_page(i, n), 1);
	}));
	CHECK(vm->flushes == probes);
	for (unsigned int i = 0; i < probes; i++)
		take_off(t, probe_page(i, n), 1);
	MEASURE("slots:fault-that-gives-W-back", n, probes, ({
		for (unsigned int i = 0; i < probes; i++)
			bench_touch(vm, gfn(probe_page(i, n)));
	}));
	MEASURE("slots:fault-that-maps-16-pages", n, probes, ({
		for (unsigned int i = 0; i < probes; i++)
			bench_touch(vm, gfn(probe_page(i, n) + 256));
	}));
}

static void curve_slots(unsigned int most)
{
	for (unsigned int n = 1; n <= most; n *= 2) {
		struct page_tracker t;
		struct bench_vm vm;

		bench_bulk_begin();
		bench_vm_open(&vm, n, 512, false);
		tracker_open(&vm, &t, &after_ops);
		for (unsigned int i = 0; i < n; i++)
			add(&t, i * 512ull + 511, 1);
		bench_bulk_end();
		operations_in_slots(&vm, &t, n);
		adding_mapped_in_slots(&vm, &t, n);
		bench_bulk_begin();
		bench_vm_close(&vm);
		bench_bulk_end();
	}
}

/* ---- trackers ------------------------------------------------------------------- */

static struct page_tracker crowd[PAGE_TRACKERS_MAX - 2];

static void curve_trackers_on_page(unsigned int most)
{
	for (unsigned int n = 1; n <= most; n *= 2) {
		struct page_track_event e = store_event(0);
		struct page_tracker more;
		struct bench_vm vm;

		bench_vm_open(&vm, 1, 1024, true);
		for (unsigned int i = 0; i < n; i++) {
			tracker_open(&vm, &crowd[i], &after_ops);
			add(&crowd[i], 0, 1);
		}
		told = 0;
		MEASURE("holders:event,-per-holder", n, n, page_track_after(&vm.mmu.mem.track, &e));
		CHECK(told == n);
		tracker_open(&vm, &more, &after_ops);
		add(&more, 1, 1);
		MEASURE("holders:add-of-one-more", n, 1, add(&more, 0, 1));
		MEASURE("holders:remove-of-it", n, 1, take_off(&more, 0, 1));
		bench_vm_close(&vm);
	}
}

/* One holder of page 0, and @n other trackers that hold something @away from it. */
static void one_holder(const char *const what[4], unsigned int n, uint64_t away)
{
	struct page_track_event e = store_event(0);
	struct page_tracker one;
	struct bench_vm vm;
	int err;

	bench_bulk_begin();
	bench_vm_open(&vm, 1, 2048, true);
	for (unsigned int i = 0; i < n; i++) {
		tracker_open(&vm, &crowd[i], &after_ops);
		add(&crowd[i], away, 1);
	}
	one = (struct page_tracker){ .name = "bench", .ops = &after_ops };
	bench_bulk_end();
	MEASURE(what[0], n, 1, err = page_tracker_register(&vm.mmu.mem.track, &one));
	CHECK(err == 0);
	add(&one, 0, 1);
	add(&one, 2, 1);
	told = 0;
	MEASURE(what[1], n, 1, page_track_after(&vm.mmu.mem.track, &e));
	CHECK(told == 1);
	take_off(&one, 0, 1);
	MEASURE(what[2], n, 1, add(&one, 0, 1));
	take_off(&one, 0, 1);
	take_off(&one, 2, 1);
	MEASURE(what[3], n, 1, add(&one, 0, 1));
	bench_bulk_begin();
	bench_vm_close(&vm);
	bench_bulk_end();
}

static void curve_trackers_elsewhere(unsigned int most)
{
	static const char *const far[] = { "others:register", "others:event", "others:add",
					   "others:add-first-of-2M" };
	static const char *const near[] = { "others-in-2M:register", "others-in-2M:event", "others-in-2M:add",
					    "others-in-2M:add-first-of-2M" };
	static const unsigned int steps[] = { 1, 4, 16, 64, 250, 1000 };

	for (unsigned int i = 0; i < ARRAY_SIZE(steps) && steps[i] <= most; i++) {
		one_holder(far, steps[i], 1024);
		one_holder(near, steps[i], 1);
	}
}

/* ---- watches -------------------------------------------------------------------- */

#define WATCHED_PAGES 100
#define WATCHES_MAX 10000

static struct page_watch watches[WATCHES_MAX];

static void count_hit(struct page_watcher *wr, struct page_watch *w, const struct page_track_event *e)
{
	told++;
}

/* Of the watches of a page each has 8 bytes of its first part, one beside the other. */
static uint64_t watch_address(uint64_t i)
{
	return i % WATCHED_PAGES * PAGE_SIZE + i / WATCHED_PAGES * 8;
}

static void send(struct bench_vm *vm, uint64_t n, uint64_t offset)
{
	for (uint64_t k = 0; k < PROBES; k++) {
		struct page_track_event e = store_event(watch_address(k * 7919 % n) + offset);

		page_track_after(&vm->mmu.mem.track, &e);
	}
}

static void operations_among_watches(struct bench_vm *vm, struct page_watcher *wr, uint64_t n)
{
	struct page_watch more = { .gpa = gpa(50 * PAGE_SIZE + 3000), .len = 8, .modes = PAGE_TRACK_W };
	int err;

	told = wr->false_hits = 0;
	MEASURE("watches:event-that-hits", n, PROBES, send(vm, n, 0));
	CHECK(told == PROBES && wr->false_hits == 0);
	MEASURE("watches:event-that-misses", n, PROBES, send(vm, n, 2048));
	CHECK(told == PROBES && wr->false_hits == PROBES);
	MEASURE("watches:add", n, 1, err = page_watch_add(wr, &more, NULL));
	CHECK(err == 0);
	MEASURE("watches:remove", n, 1, err = page_watch_remove(&more));
	CHECK(err == 0);
}

static void curve_watches(uint64_t most)
{
	static const struct page_watcher_ops ops = { .hit = count_hit };
	struct page_watcher wr = { .tracker.name = "bench", .ops = &ops };
	struct bench_vm vm;
	uint64_t there = 0;

	bench_vm_open(&vm, 1, 1024, true);
	CHECK(page_watcher_register(&vm.mmu.mem.track, &wr) == 0);
	for (uint64_t n = 1; n <= most; n *= 10) {
		for (; there < n; there++) {
			watches[there] = (struct page_watch){ .gpa = gpa(watch_address(there)), .len = 8,
							      .modes = PAGE_TRACK_W };
			CHECK(page_watch_add(&wr, &watches[there], NULL) == 0);
		}
		operations_among_watches(&vm, &wr, n);
	}
	CHECK(page_watcher_destroy(&wr) == 0);
	bench_vm_close(&vm);
}

/* ---- all ------------------------------------------------------------------------ */

void measure_curves(const struct extent *most)
{
	curve_pages(most->pages);
	curve_dirty(most->pages);
	curve_slots(most->slots);
	curve_trackers_on_page(most->trackers);
	curve_trackers_elsewhere(most->elsewhere);
	curve_watches(most->watches);
}
