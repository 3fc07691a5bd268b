/* SPDX-License-Identifier: GPL-2.0-only */
/* The parts of the measure of page tracking's costs: see tracking.c. */
#ifndef TESTS_BENCH_TRACKING_H
#define TESTS_BENCH_TRACKING_H

#include "pagetrack/dirty_log.h"
#include "pagetrack/watch.h"
#include "tests/bench/bench.h"

/* How far the curves go. */
struct extent {
	uint64_t pages, watches;
	unsigned int slots, trackers, elsewhere;
};

void measure_operations(const struct extent *most);
void measure_curves(const struct extent *most);

/* Callbacks that do nothing but count. */
extern uint64_t told, asked;
extern const struct page_tracker_ops after_ops, both_ops;

static inline void tracker_open(struct bench_vm *vm, struct page_tracker *t,
				const struct page_tracker_ops *ops)
{
	*t = (struct page_tracker){ .name = "bench", .ops = ops };
	CHECK(page_tracker_register(&vm->mmu.mem.track, t) == 0);
}

static inline void add(struct page_tracker *t, uint64_t base, uint64_t n)
{
	CHECK(page_tracker_add(t, gfn(base), n, PAGE_TRACK_W, NULL) == 0);
}

static inline void take_off(struct page_tracker *t, uint64_t base, uint64_t n)
{
	CHECK(page_tracker_remove(t, gfn(base), n, PAGE_TRACK_W, NULL) == 0);
}

/* The guest stores 8 bytes at @at, emulated. */
static inline void guest_stores(struct bench_vm *vm, uint64_t at)
{
	static const uint64_t value = 0x1122334455667788;

	CHECK(guest_write(&vm->mmu.mem, gpa(at), &value, sizeof(value), BY(EMULATOR)) == 0);
}

/* The same as page tracking alone has it. */
static inline struct page_track_event store_event(uint64_t at)
{
	static const uint8_t bytes[8];

	return (struct page_track_event){ .mode = PAGE_TRACK_WRITE, .gpa = gpa(at), .len = 8, .old = bytes,
					  .new = bytes, .origin = BY(EMULATOR), .verdict = VERDICT_ALLOW };
}

#endif
