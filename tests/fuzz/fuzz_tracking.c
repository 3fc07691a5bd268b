// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counters and trackers: the input is a program of calls, 5 bytes each, some of
 * which are made from inside the trackers' own callbacks. Counts are those of a
 * model, also while the slot is away; a tracker is told while it is registered
 * and holds the page, in order, and the MMU is asked exactly when it must be.
 */
#include <stdlib.h>
#include <string.h>
#include "lib/errno.h"
#include "pagetrack/event.h"
#include "pagetrack/tracker.h"
#include "tests/host/port_host.h"

#define BASE 0x1FCull /* the slot lies across a 2 MiB border */
#define NPAGES 8
#define TRACKERS 6
#define DEPTH_MAX 3
#define HELD_MAX 20u /* what the MMU leaves to trackers on a page */
#define OWN_MAX (PAGE_TRACK_COUNT_MAX - HELD_MAX)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz_op { uint8_t what, gfn, npages, modes, tracker; };

static struct page_track pt;
static struct page_track_slot slot;
static bool present;
static unsigned int own[PAGE_TRACK_MODES][NPAGES];
static struct {
	struct page_tracker t;
	bool registered;
	unsigned int count[PAGE_TRACK_MODES][NPAGES]; /* parked, while there is no slot */
	uint64_t hits;
} tracker[TRACKERS];
static unsigned int protects, unprotects, flushes, depth;
static const uint8_t *next;
static size_t left;

static void require(bool cond)
{
	if (!cond)
		abort();
}

static struct page_track_slot *slot_of(void *mmu, gfn_t g)
{
	return present && g.v - BASE < NPAGES ? &slot : NULL;
}

static bool protect(void *mmu, gfn_t g, enum page_track_mode mode)
{
	protects++;
	require(page_track_count(&slot, g, mode) > 0);
	return g.v & 1; /* of even pages no TLB knows anything */
}

static void unprotect(void *mmu, gfn_t g, enum page_track_mode mode)
{
	unprotects++;
	require(page_track_count(&slot, g, mode) == 0);
}

static void flush(void *mmu) { flushes++; }
static unsigned int own_count(void *mmu, gfn_t g, enum page_track_mode mode) { return own[mode][g.v - BASE]; }
static const struct page_track_mmu_ops ops = {
	.slot_of = slot_of, .protect = protect, .unprotect = unprotect, .flush = flush,
	.own_count = own_count, .own_max = { OWN_MAX, OWN_MAX, OWN_MAX },
};

static void run_one(void);

/* Who was told last in this notification, and what it is about; page NPAGES: the slot. */
static struct { int priority; unsigned int page, mode; } now;

static unsigned int index_of(const struct page_tracker *t)
{
	unsigned int i = 0;

	while (&tracker[i].t != t)
		i++;
	return i;
}

static void told(struct page_tracker *t)
{
	unsigned int i = index_of(t);
	int before = now.priority;

	require(tracker[i].registered && !pt.lock.locked);
	require(t->priority >= before);
	require(now.page == NPAGES || (present && tracker[i].count[now.mode][now.page] > 0));
	before = t->priority;
	if (depth < DEPTH_MAX && left > 0 && (*next & 0x80))
		run_one();
	now.priority = before;
}

static enum page_track_verdict on_before(struct page_tracker *t, const struct page_track_event *e,
					 uint8_t *value)
{
	enum page_track_verdict says = left > 0 ? *next % (VERDICT_STOP + 1) : VERDICT_NONE;

	if (value)
		*value = 0x55;
	told(t);
	return says;
}

static void on_after(struct page_tracker *t, const struct page_track_event *e)
{
	require(e->hit == ++tracker[index_of(t)].hits && e->verdict != VERDICT_NONE);
	told(t);
}

static void on_region(struct page_tracker *t, const struct page_track_region *r) { told(t); }
static const struct page_tracker_ops quiet = { .before = on_before, .after = on_after };
static const struct page_tracker_ops curious = {
	.before = on_before, .after = on_after, .region = on_region,
};

/* The range and the modes of @op, some of them wrong. */
struct range { uint64_t first, n; unsigned int modes; bool bad, outside; };

static struct range range_of(const struct fuzz_op *op)
{
	struct range r = { .first = op->gfn % (NPAGES + 2), .n = op->npages % 5, .modes = op->modes % 10 };

	r.first--; /* before the slot, too */
	r.bad = r.n == 0 || r.modes == 0 || r.modes > PAGE_TRACK_ALL;
	r.outside = r.first >= NPAGES || r.first + r.n > NPAGES;
	return r;
}

static unsigned int sum(unsigned int mode, unsigned int page)
{
	unsigned int n = own[mode][page];

	for (unsigned int i = 0; i < TRACKERS; i++)
		n += present ? tracker[i].count[mode][page] : 0;
	return n;
}

#define FOREACH_COUNT(r, mode, page) \
	for (unsigned int mode = 0; mode < PAGE_TRACK_MODES; mode++) \
		for (uint64_t page = (r).first; ((r).modes >> mode & 1) && page < (r).first + (r).n; page++)

static void add_op(const struct fuzz_op *op)
{
	unsigned int i = op->tracker % TRACKERS, p = protects, f = flushes, odd = 0;
	struct range r = range_of(op);
	bool full = false;
	int err = page_tracker_add(&tracker[i].t, gfn(BASE + r.first), r.n, r.modes, NULL);

	if (!tracker[i].registered || r.bad || r.outside || !present) {
		require(err == (!tracker[i].registered ? -ENOENT : -EINVAL) || err == -EOVERFLOW);
		require(protects == p && flushes == f);
		return;
	}
	FOREACH_COUNT(r, mode, page)
		full |= sum(mode, page) - own[mode][page] + 1 > HELD_MAX;
	require(err == (full ? -EOVERFLOW : 0));
	if (err)
		return;
	FOREACH_COUNT(r, mode, page) {
		tracker[i].count[mode][page]++;
		p++;
		odd |= (BASE + page) & 1;
	}
	require(protects == p && flushes == f + odd);
}

static void remove_op(const struct fuzz_op *op)
{
	unsigned int i = op->tracker % TRACKERS, u = unprotects;
	struct range r = range_of(op);
	bool missing = r.outside;
	int err = page_tracker_remove(&tracker[i].t, gfn(BASE + r.first), r.n, r.modes, NULL);

	if (!tracker[i].registered || r.bad) {
		require(err == (!tracker[i].registered ? -ENOENT : -EINVAL));
		return;
	}
	if (!r.outside)
		FOREACH_COUNT(r, mode, page)
			missing |= tracker[i].count[mode][page] == 0;
	require(err == (missing ? -ENOENT : 0));
	if (err)
		return;
	FOREACH_COUNT(r, mode, page) {
		tracker[i].count[mode][page]--;
		u += present && sum(mode, page) == 0;
	}
	require(unprotects == u);
}

/* The MMU's own; and a tracker's way to the end of what is left to it. */
static void own_op(const struct fuzz_op *op)
{
	unsigned int mode = op->modes % PAGE_TRACK_MODES, page = op->gfn % NPAGES, i = op->tracker % TRACKERS;
	gfn_t g = gfn(BASE + page);

	if (!present)
		return;
	if (op->npages & 0x40) {
		while (tracker[i].registered && sum(mode, page) - own[mode][page] < HELD_MAX) {
			require(page_tracker_add(&tracker[i].t, g, 1, PAGE_TRACK_BIT(mode), NULL) == 0);
			tracker[i].count[mode][page]++;
		}
	} else if (op->npages & 1) {
		require(page_track_count_add(&pt, &slot, g, mode) == 0);
		own[mode][page]++;
	} else if (own[mode][page]) {
		require(page_track_count_sub(&slot, g, mode) == 0);
		own[mode][page]--;
	}
}

static void forget(unsigned int i)
{
	memset(tracker[i].count, 0, sizeof(tracker[i].count));
}

static void tracker_op(const struct fuzz_op *op)
{
	unsigned int i = op->tracker % TRACKERS;

	if (op->npages & 1) {
		if (!tracker[i].registered)
			tracker[i].t = (struct page_tracker){
				.name = "fuzz", .priority = op->modes & 3,
				.ops = op->modes & 4 ? &curious : &quiet,
				.follow = op->modes & 8 ? PAGE_TRACKER_FOLLOW_MEMORY
							: PAGE_TRACKER_FOLLOW_GFN,
			};
		require(page_tracker_register(&pt, &tracker[i].t) == (tracker[i].registered ? -EEXIST : 0));
		if (!tracker[i].registered)
			tracker[i].hits = 0;
		tracker[i].registered = true;
	} else if (op->npages & 2) {
		require(page_tracker_destroy(&tracker[i].t) == (tracker[i].registered ? 0 : -ENOENT));
		tracker[i].registered = false;
		forget(i);
	} else {
		page_tracker_clear(&tracker[i].t);
		forget(i);
	}
}

static void attach(void)
{
	require(page_track_slot_init(&slot, gfn(BASE), NPAGES) == 0);
	present = true;
	require(page_track_slot_attach(&pt, &slot) == 0);
}

static void detach(void)
{
	page_track_slot_detach(&pt, &slot);
	page_track_slot_destroy(&slot);
	present = false;
	memset(own, 0, sizeof(own));
	for (unsigned int i = 0; i < TRACKERS; i++)
		if (tracker[i].t.follow == PAGE_TRACKER_FOLLOW_MEMORY)
			forget(i);
}

static void access_op(const struct fuzz_op *op)
{
	static const uint8_t byte[1];
	struct page_track_event e = {
		.mode = now.mode, .gpa = gfn_to_gpa(gfn(BASE + now.page)), .len = 1, .old = byte, .new = byte,
		.origin = BY(DEVICE),
	};
	uint8_t value = 0;

	now.priority = 0;
	e.verdict = page_track_before(&pt, &e, op->npages & 1 ? &value : NULL);
	require(value == 0 || e.verdict == VERDICT_REPLACE);
	now.priority = 0;
	page_track_after(&pt, &e);
}

static void notify(const struct fuzz_op *op, bool region)
{
	const struct page_track_region r = { REGION_REMOVED, gfn(BASE), NPAGES, gfn(0) };
	int priority = now.priority;
	unsigned int page = now.page, mode = now.mode;

	depth++;
	now.priority = 0;
	now.page = region ? NPAGES : op->gfn % NPAGES;
	now.mode = op->modes % PAGE_TRACK_MODES;
	if (region)
		page_track_notify_region(&pt, &r);
	else
		access_op(op);
	now.priority = priority;
	now.page = page;
	now.mode = mode;
	depth--;
}

static void run_one(void)
{
	struct fuzz_op op = { 0 };

	memcpy(&op, next, left < sizeof(op) ? left : sizeof(op));
	next += left < sizeof(op) ? left : sizeof(op);
	left -= left < sizeof(op) ? left : sizeof(op);
	switch (op.what & 7) {
	case 0: add_op(&op); break;
	case 1: remove_op(&op); break;
	case 2: case 3: tracker_op(&op); break;
	case 4: notify(&op, false); break;
	case 5: notify(&op, true); break;
	case 6: own_op(&op); break;
	default: present ? detach() : attach(); break;
	}
}

static void audit(void)
{
	require(TAILQ_EMPTY(&pt.cursors));
	for (unsigned int mode = 0; mode < PAGE_TRACK_MODES; mode++) {
		for (unsigned int page = 0; page < NPAGES; page++) {
			gfn_t g = gfn(BASE + page);

			for (unsigned int i = 0; i < TRACKERS; i++)
				require(page_tracker_count(&tracker[i].t, g, mode) ==
					tracker[i].count[mode][page]);
			if (!present)
				continue;
			require(page_track_count(&slot, g, mode) == sum(mode, page));
			require(page_track_held(&pt, g, mode) + own[mode][page] == sum(mode, page));
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	memset(tracker, 0, sizeof(tracker));
	memset(own, 0, sizeof(own));
	page_track_init(&pt, &ops, NULL);
	attach();
	next = data;
	left = size;
	while (left > 0) {
		run_one();
		audit();
	}
	if (present)
		detach();
	page_track_destroy(&pt);
	require(host_pages_used() == 0);
	return 0;
}
