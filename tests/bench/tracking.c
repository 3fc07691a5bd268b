/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What page tracking costs, operation by operation. The curves are in
 * tracking_curves.c.
 *
 * `tracking` measures all, `tracking small` the same at sizes that take a few
 * seconds.
 */
#include <stdio.h>
#include <string.h>
#include "tests/bench/tracking.h"

uint64_t told, asked;

static void count_told(struct page_tracker *t, const struct page_track_event *e) { told++; }

static enum page_track_verdict count_asked(struct page_tracker *t, const struct page_track_event *e,
					   uint8_t *value)
{
	asked++;
	return VERDICT_NONE;
}

const struct page_tracker_ops after_ops = { .after = count_told };
const struct page_tracker_ops both_ops = { .before = count_asked, .after = count_told };

/* ---- the measure itself --------------------------------------------------- */

static void loop(uint32_t n)
{
	asm volatile("1: dec %0\n\tjnz 1b" : "+r"(n) : : "cc");
}

/* What is known beforehand: between the last two are 2000 instructions. */
static void measure_the_measure(void)
{
	MEASURE("nothing", 0, 1, );
	MEASURE("known:loop", 1000, 1, loop(1000));
	MEASURE("known:loop", 2000, 1, loop(2000));
}

/* A search that is linear, which must show as such. */
static void measure_a_linear_search(void)
{
	static volatile uint32_t list[1000];

	for (uint32_t n = 1; n <= 1000; n *= 10) {
		list[n - 1] = n;
		MEASURE("known:linear-search", n, 1, ({
			uint32_t i = 0;

			while (list[i] != n)
				i++;
		}));
	}
}

/* ---- adding and removing --------------------------------------------------- */

static void single_pages_unmapped(struct bench_vm *vm)
{
	struct page_tracker t;

	tracker_open(vm, &t, &after_ops);
	MEASURE("add:first-page-ever-in-its-2M", 0, 1, add(&t, 512, 1));
	MEASURE("add:further-page", 0, 1, add(&t, 513, 1));
	MEASURE("remove:not-the-last", 0, 1, take_off(&t, 513, 1));
	MEASURE("remove:last-of-its-2M", 0, 1, take_off(&t, 512, 1));
	MEASURE("add:first-page-of-tracker-in-its-2M", 0, 1, add(&t, 512, 1));
	CHECK(vm->flushes == 0);
	take_off(&t, 512, 1);
	CHECK(page_tracker_destroy(&t) == 0);
}

static void single_pages_mapped_small(struct bench_vm *vm)
{
	struct page_tracker t;

	tracker_open(vm, &t, &after_ops);
	add(&t, 512, 1);
	bench_touch(vm, gfn(600));
	vm->flushes = 0;
	MEASURE("add:further-page-mapped-4K", 0, 1, add(&t, 600, 1));
	CHECK(vm->flushes == 1);
	MEASURE("remove:not-the-last-mapped-4K", 0, 1, take_off(&t, 600, 1));
	CHECK(page_tracker_destroy(&t) == 0);
}

static void single_pages_mapped_large(struct bench_vm *vm)
{
	struct page_tracker t;

	tracker_open(vm, &t, &after_ops);
	add(&t, 512, 1);
	take_off(&t, 512, 1);
	bench_touch(vm, gfn(512));
	vm->flushes = 0;
	MEASURE("add:first-page-of-tracker-in-its-2M-mapped-2M", 0, 1, add(&t, 700, 1));
	CHECK(vm->flushes == 1); /* though the page itself was never touched */
	bench_touch(vm, gfn(512));
	MEASURE("remove:last-of-its-2M-that-was-mapped-2M", 0, 1, take_off(&t, 700, 1));
	CHECK(page_tracker_destroy(&t) == 0);
}

static void ranges(struct bench_vm *vm, bool large)
{
	struct page_tracker t;

	tracker_open(vm, &t, &after_ops);
	if (large) {
		bench_touch(vm, gfn(1024));
		vm->flushes = 0;
		MEASURE("add:range-of-512-mapped-2M,-per-page", 0, 512, add(&t, 1024, 512));
		CHECK(vm->flushes == 1);
		MEASURE("remove:range-of-512,-per-page", 0, 512, take_off(&t, 1024, 512));
	} else {
		MEASURE("add:range-of-512-unmapped,-per-page", 0, 512, add(&t, 1024, 512));
		take_off(&t, 1024, 512);
		add(&t, 2048, 1); /* no large mapping */
		for (unsigned int i = 0; i < 512; i += 16) /* a fault maps 16 */
			bench_touch(vm, gfn(2048 + (i ? i : 1)));
		vm->flushes = 0;
		MEASURE("add:range-of-511-mapped-4K,-per-page", 0, 511, add(&t, 2049, 511));
		CHECK(vm->flushes == 1);
	}
	CHECK(page_tracker_destroy(&t) == 0);
}

static void all_pages(uint64_t pages)
{
	struct page_tracker t;
	struct bench_vm vm;
	int err;

	bench_vm_open(&vm, 1, pages, true);
	tracker_open(&vm, &t, &after_ops);
	MEASURE("add:all-pages,-per-page", 0, pages,
		err = page_tracker_add_all(&t, PAGE_TRACK_W, NULL, 0, NULL));
	CHECK(err == 0 && page_tracker_count(&t, gfn(pages - 1), PAGE_TRACK_WRITE) == 1);
	MEASURE("remove:all-pages,-per-page", 0, pages, page_tracker_clear(&t));
	CHECK(page_track_count(&vm.mmu.mem.slots.slot[0]->track, gfn(pages - 1), PAGE_TRACK_WRITE) == 0);
	bench_vm_close(&vm);
}

/* ---- events ---------------------------------------------------------------- */

static void events(struct bench_vm *vm)
{
	struct page_track *pt = &vm->mmu.mem.track;
	struct page_track_event e = store_event(PAGE_SIZE);
	uint8_t value[8] = { 0 };
	struct page_tracker t;

	tracker_open(vm, &t, &after_ops);
	guest_stores(vm, 0);
	MEASURE("write:2M-without-tracked-page", 0, 1, guest_stores(vm, 0));
	add(&t, 1, 1);
	MEASURE("write:untracked-page-beside-tracked-one", 0, 1, guest_stores(vm, 0));
	told = 0;
	MEASURE("event:after-only", 0, 1, page_track_after(pt, &e));
	MEASURE("write:tracked-page,-after-only", 0, 1, guest_stores(vm, PAGE_SIZE));
	CHECK(told == 2);
	t.ops = &both_ops;
	told = asked = 0;
	MEASURE("event:before-and-after", 0, 1, ({
		(void)page_track_before(pt, &e, value);
		page_track_after(pt, &e);
	}));
	MEASURE("write:tracked-page,-before-and-after", 0, 1, guest_stores(vm, PAGE_SIZE));
	CHECK(told == 2 && asked == 2);
	CHECK(page_tracker_destroy(&t) == 0);
}

static void counting(struct bench_vm *vm)
{
	const struct page_track_slot *slot = &vm->mmu.mem.slots.slot[0]->track;
	struct page_tracker t;
	unsigned int n = 0;

	tracker_open(vm, &t, &after_ops);
	add(&t, 1, 1);
	MEASURE("count:of-a-tracked-page", 0, 1, n += page_track_count(slot, gfn(1), PAGE_TRACK_WRITE));
	MEASURE("count:in-2M-never-tracked", 0, 1, n += page_track_count(slot, gfn(3584), PAGE_TRACK_WRITE));
	MEASURE("count:of-one-tracker", 0, 1, n += page_tracker_count(&t, gfn(1), PAGE_TRACK_WRITE));
	CHECK(n == 2);
	CHECK(page_tracker_destroy(&t) == 0);
}

static void count_hit(struct page_watcher *wr, struct page_watch *w, const struct page_track_event *e)
{
	told++;
}

static void watching(struct bench_vm *vm)
{
	static const struct page_watcher_ops ops = { .hit = count_hit };
	struct page_watcher wr = { .tracker.name = "bench", .ops = &ops };
	struct page_watch w = { .gpa = gpa(PAGE_SIZE), .len = 8, .modes = PAGE_TRACK_W };
	struct page_track_event hit = store_event(PAGE_SIZE), miss = store_event(PAGE_SIZE + 64);
	int err;

	CHECK(page_watcher_register(&vm->mmu.mem.track, &wr) == 0);
	CHECK(page_watch_add(&wr, &w, NULL) == 0 && page_watch_remove(&w) == 0);
	MEASURE("watch:add", 0, 1, err = page_watch_add(&wr, &w, NULL));
	CHECK(err == 0);
	told = 0;
	MEASURE("watch:event-that-hits", 0, 1, page_track_after(&vm->mmu.mem.track, &hit));
	MEASURE("watch:event-that-misses", 0, 1, page_track_after(&vm->mmu.mem.track, &miss));
	CHECK(told == 1 && wr.false_hits == 1);
	MEASURE("watch:remove", 0, 1, err = page_watch_remove(&w));
	CHECK(err == 0 && page_watcher_destroy(&wr) == 0);
}

/* ---- dirty log --------------------------------------------------------------- */

static void count_page(void *ctx, gfn_t gfn) { ++*(uint64_t *)ctx; }

static void dirty_logging(struct bench_vm *vm)
{
	struct dirty_log log = { .tracker.name = "dirty" };
	uint64_t pages = 0;
	int err;

	MEASURE("dirty:enable,-per-page", 0, 1024,
		err = dirty_log_enable(&log, &vm->mmu.mem.track, gfn(512), 1024, NULL));
	CHECK(err == 0);
	MEASURE("dirty:first-write-to-a-page", 0, 100, ({
		for (uint64_t i = 0; i < 100; i++)
			guest_stores(vm, (600 + i) * PAGE_SIZE);
	}));
	CHECK(log.count == 100);
	MEASURE("dirty:further-write-to-a-page", 0, 100, ({
		for (uint64_t i = 0; i < 100; i++)
			guest_stores(vm, (600 + i) * PAGE_SIZE);
	}));
	MEASURE("dirty:harvest,-per-dirty-page", 0, 100,
		err = dirty_log_harvest(&log, count_page, &pages, NULL));
	CHECK(err == 0 && pages == 100);
	MEASURE("dirty:harvest-of-nothing", 0, 1, err = dirty_log_harvest(&log, count_page, &pages, NULL));
	CHECK(err == 0 && pages == 100);
	MEASURE("dirty:disable,-per-page", 0, 1024, dirty_log_disable(&log));
}

/* ---- all ---------------------------------------------------------------------- */

static void in_vm(bool large, void (*measure)(struct bench_vm *vm))
{
	struct bench_vm vm;

	bench_vm_open(&vm, 1, 4096, large);
	measure(&vm);
	bench_vm_close(&vm);
}

static void ranges_large(struct bench_vm *vm) { ranges(vm, true); }
static void ranges_small(struct bench_vm *vm) { ranges(vm, false); }

void measure_operations(const struct extent *most)
{
	in_vm(true, single_pages_unmapped);
	in_vm(false, single_pages_mapped_small);
	in_vm(true, single_pages_mapped_large);
	in_vm(true, ranges_small);
	in_vm(true, ranges_large);
	all_pages(most->pages < 1000000 ? 4096 : 65536);
	in_vm(true, events);
	in_vm(true, counting);
	in_vm(true, watching);
	in_vm(true, dirty_logging);
}

int main(int argc, char **argv)
{
	const struct extent all = { .pages = 1000000, .watches = 10000, .slots = 512, .trackers = 64,
				    .elsewhere = 1000 };
	const struct extent small = { .pages = 100000, .watches = 1000, .slots = 64, .trackers = 16,
				      .elsewhere = 100 };
	const struct extent *most = argc > 1 && !strcmp(argv[1], "small") ? &small : &all;

	measure_the_measure();
	measure_a_linear_search();
	measure_operations(most);
	measure_curves(most);
	puts("measured");
	return 0;
}
