// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counters and trackers: the input is a program of calls, 4 bytes each, some of
 * which are made from inside the trackers' own callbacks. Counts are those of a
 * model; a tracker is told exactly while it is registered, in order, and the
 * MMU is asked exactly when it must be.
 */
#include <stdlib.h>
#include <string.h>
#include "lib/errno.h"
#include "pagetrack/page_track.h"
#include "tests/host/port_host.h"

#define BASE 0x123ull
#define NPAGES 8
#define TRACKERS 6
#define DEPTH_MAX 3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz_op { uint8_t what, gfn, mode, tracker; };

static struct page_track pt;
static struct page_track_slot slot;
static uint32_t count[PAGE_TRACK_MODES][NPAGES];
static struct {
	struct page_tracker t;
	bool registered;
} tracker[TRACKERS];
static unsigned int protects, unprotects, flushes, depth;
static const uint8_t *next;
static size_t left;

static void require(bool cond)
{
	if (!cond)
		abort();
}

static bool protect(void *mmu, gfn_t g, enum page_track_mode mode)
{
	protects++;
	return g.v & 1; /* of even pages no TLB knows anything */
}

static void unprotect(void *mmu, gfn_t g, enum page_track_mode mode) { unprotects++; }
static void flush(void *mmu) { flushes++; }
static const struct page_track_mmu_ops ops = { .protect = protect, .unprotect = unprotect, .flush = flush };

static void run_one(void);

/* Priorities of those told in this notification never fall. */
static int last_priority;

static void told(struct page_tracker *t)
{
	int before = last_priority;
	unsigned int i = 0;

	while (&tracker[i].t != t)
		i++;
	require(tracker[i].registered && !pt.lock.locked);
	require(t->priority >= last_priority);
	if (depth < DEPTH_MAX && left > 0 && (*next & 0x80))
		run_one();
	last_priority = t->priority > before ? t->priority : before;
}

static void on_write(struct page_tracker *t, const struct page_track_write *w) { told(t); }
static void on_region(struct page_tracker *t, gfn_t base, uint64_t npages) { told(t); }

static void count_op(const struct fuzz_op *op, bool add)
{
	gfn_t g = gfn(BASE + op->gfn % (NPAGES + 2) - 1);
	enum page_track_mode mode = (enum page_track_mode)(op->mode % (PAGE_TRACK_MODES + 1));
	bool bad = g.v - BASE >= NPAGES || mode >= PAGE_TRACK_MODES;
	uint32_t *n = bad ? NULL : &count[mode][g.v - BASE];
	unsigned int p = protects, u = unprotects, f = flushes;

	if (add) {
		require(page_track_add(&pt, &slot, g, mode) ==
			(bad ? -EINVAL : *n == PAGE_TRACK_COUNT_MAX ? -EOVERFLOW : 0));
		if (!bad && *n < PAGE_TRACK_COUNT_MAX) {
			(*n)++;
			require(protects == p + 1 && flushes == f + (g.v & 1));
			return;
		}
	} else {
		require(page_track_remove(&pt, &slot, g, mode) == (bad ? -EINVAL : *n == 0 ? -ENOENT : 0));
		if (!bad && *n > 0) {
			(*n)--;
			u += *n == 0;
		}
	}
	require(protects == p && unprotects == u && flushes == f);
}

/* All but a few of the way to the counter's end, and back. */
static void count_far(const struct fuzz_op *op)
{
	unsigned int mode = op->mode % PAGE_TRACK_MODES, i = op->gfn % NPAGES;

	if (op->gfn & 0x40) {
		while (count[mode][i] < PAGE_TRACK_COUNT_MAX - 2) {
			require(page_track_count_add(&slot, gfn(BASE + i), (enum page_track_mode)mode) == 0);
			count[mode][i]++;
		}
	} else {
		while (count[mode][i] > 2) {
			require(page_track_count_sub(&slot, gfn(BASE + i), (enum page_track_mode)mode) == 0);
			count[mode][i]--;
		}
	}
}

static void tracker_op(const struct fuzz_op *op, bool add)
{
	unsigned int i = op->tracker % TRACKERS;

	if (add) {
		if (!tracker[i].registered)
			tracker[i].t = (struct page_tracker){
				.priority = op->mode & 3, .write = on_write,
				.region_removed = op->mode & 4 ? on_region : NULL,
			};
		require(page_tracker_register(&pt, &tracker[i].t) == (tracker[i].registered ? -EEXIST : 0));
		tracker[i].registered = true;
	} else {
		require(page_tracker_unregister(&pt, &tracker[i].t) == (tracker[i].registered ? 0 : -ENOENT));
		tracker[i].registered = false;
	}
}

static void notify(bool region)
{
	const uint8_t byte = 0;
	const struct page_track_write w = { .gpa = gpa(BASE << 12), .len = 1, .old = &byte, .new = &byte };
	int outer = last_priority;

	depth++;
	last_priority = 0;
	if (region)
		page_track_notify_region_removed(&pt, gfn(BASE), NPAGES);
	else
		page_track_notify_write(&pt, &w);
	last_priority = outer;
	depth--;
}

static void run_one(void)
{
	struct fuzz_op op = { 0 };

	memcpy(&op, next, left < sizeof(op) ? left : sizeof(op));
	next += left < sizeof(op) ? left : sizeof(op);
	left -= left < sizeof(op) ? left : sizeof(op);
	switch (op.what & 7) {
	case 0: case 1: count_op(&op, op.what & 1); break;
	case 2: case 3: tracker_op(&op, op.what & 1); break;
	case 4: case 5: notify(false); break;
	case 6: notify(true); break;
	default: count_far(&op); break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	memset(count, 0, sizeof(count));
	memset(tracker, 0, sizeof(tracker));
	page_track_init(&pt, &ops, NULL);
	require(page_track_slot_init(&slot, gfn(BASE), NPAGES) == 0);
	next = data;
	left = size;
	while (left > 0) {
		run_one();
		require(TAILQ_EMPTY(&pt.cursors));
	}
	for (unsigned int n = 0; n < PAGE_TRACK_MODES * NPAGES; n++)
		require(page_track_count(&slot, gfn(BASE + n % NPAGES), (enum page_track_mode)(n / NPAGES)) ==
			count[n / NPAGES][n % NPAGES]);
	page_track_slot_destroy(&slot, NULL);
	require(host_pages_used() == 0);
	return 0;
}
