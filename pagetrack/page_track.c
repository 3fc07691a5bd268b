/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page-tracking counters, and the trackers that are told of writes.
 *
 * Invariant: a counter never wraps; whoever cannot be counted gets an error
 * and has changed nothing. While a counter is not zero, no translation of its
 * page lets the access through. The second half is the work of the MMU behind
 * struct page_track_mmu_ops; this file calls it in the right order.
 *
 * Lock: page_track.lock, see the header.
 */
#include "pagetrack/page_track.h"
#include "lib/alloc.h"
#include "lib/errno.h"

/*
 * A notification on its way down the list of trackers. It lives on the stack
 * of the notifier, hung up where page_tracker_unregister() finds it, so that a
 * tracker can vanish while notifications are under way: the notifier touches
 * no tracker after its callback was called.
 */
struct page_track_cursor {
	struct page_tracker *running; /* whose callback is being called */
	struct page_tracker *next;
	unsigned int cpu;
	TAILQ_ENTRY(page_track_cursor) link;
};

void page_track_init(struct page_track *pt, const struct page_track_mmu_ops *ops, void *mmu)
{
	*pt = (struct page_track){ .ops = ops, .mmu = mmu };
	TAILQ_INIT(&pt->trackers);
	TAILQ_INIT(&pt->cursors);
}

/* ---- counters ---------------------------------------------------------- */

static size_t track_bytes(const struct page_track_slot *slot)
{
	return slot->npages * sizeof(slot->gfn_track[0][0]);
}

int page_track_slot_init(struct page_track_slot *slot, gfn_t base, uint64_t npages)
{
	*slot = (struct page_track_slot){ 0 };
	if (npages == 0 || npages > SIZE_MAX / sizeof(slot->gfn_track[0][0]))
		return -EINVAL;
	slot->base_gfn = base;
	slot->npages = npages;
	for (unsigned int mode = 0; mode < PAGE_TRACK_MODES; mode++) {
		slot->gfn_track[mode] = mem_zalloc(track_bytes(slot));
		if (!slot->gfn_track[mode]) {
			page_track_slot_destroy(slot, NULL);
			return -ENOMEM;
		}
	}
	return 0;
}

void page_track_slot_destroy(struct page_track_slot *slot, const struct page_track_slot *dont)
{
	for (unsigned int mode = 0; mode < PAGE_TRACK_MODES; mode++)
		if (!dont || dont->gfn_track[mode] != slot->gfn_track[mode])
			mem_free(slot->gfn_track[mode], track_bytes(slot));
	*slot = (struct page_track_slot){ 0 };
}

/* The counter, or NULL for an unknown mode or a gfn outside the slot. */
static uint16_t *counter(const struct page_track_slot *slot, gfn_t gfn, enum page_track_mode mode)
{
	uint64_t index = gfn.v - slot->base_gfn.v;

	if ((unsigned int)mode >= PAGE_TRACK_MODES || index >= slot->npages)
		return NULL;
	return &slot->gfn_track[mode][index];
}

int page_track_count_add(struct page_track_slot *slot, gfn_t gfn, enum page_track_mode mode)
{
	uint16_t *c = counter(slot, gfn, mode);
	uint16_t n;

	if (!c)
		return -EINVAL;
	n = __atomic_load_n(c, __ATOMIC_RELAXED);
	do {
		if (n == PAGE_TRACK_COUNT_MAX)
			return -EOVERFLOW;
	} while (!__atomic_compare_exchange_n(c, &n, n + 1, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
	return 0;
}

int page_track_count_sub(struct page_track_slot *slot, gfn_t gfn, enum page_track_mode mode)
{
	uint16_t *c = counter(slot, gfn, mode);
	uint16_t n;

	if (!c)
		return -EINVAL;
	n = __atomic_load_n(c, __ATOMIC_RELAXED);
	do {
		if (n == 0)
			return -ENOENT;
	} while (!__atomic_compare_exchange_n(c, &n, n - 1, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
	return 0;
}

uint16_t page_track_count(const struct page_track_slot *slot, gfn_t gfn, enum page_track_mode mode)
{
	const uint16_t *c = counter(slot, gfn, mode);

	return c ? __atomic_load_n(c, __ATOMIC_RELAXED) : 0;
}

bool page_track_is_active(const struct page_track_slot *slot, gfn_t gfn, enum page_track_mode mode)
{
	return page_track_count(slot, gfn, mode) != 0;
}

uint64_t page_track_total(const struct page_track_slot *slot, enum page_track_mode mode)
{
	uint64_t total = 0;

	for (uint64_t i = 0; i < slot->npages; i++)
		total += page_track_count(slot, gfn_add(slot->base_gfn, i), mode);
	return total;
}

/* Protects on every add, not on the first alone: the count that was there may
 * be the MMU's, who counts before it takes the right away. */
int page_track_add(struct page_track *pt, struct page_track_slot *slot, gfn_t gfn, enum page_track_mode mode)
{
	int err;

	spin_lock(&pt->lock);
	err = page_track_count_add(slot, gfn, mode);
	if (!err && pt->ops->protect(pt->mmu, gfn, mode))
		pt->ops->flush(pt->mmu);
	spin_unlock(&pt->lock);
	return err;
}

int page_track_remove(struct page_track *pt, struct page_track_slot *slot, gfn_t gfn,
		      enum page_track_mode mode)
{
	int err;

	spin_lock(&pt->lock);
	err = page_track_count_sub(slot, gfn, mode);
	if (!err && !page_track_is_active(slot, gfn, mode))
		pt->ops->unprotect(pt->mmu, gfn, mode);
	spin_unlock(&pt->lock);
	return err;
}

/* ---- trackers ---------------------------------------------------------- */

static bool is_registered(const struct page_track *pt, const struct page_tracker *t)
{
	const struct page_tracker *i;

	TAILQ_FOREACH(i, &pt->trackers, link)
		if (i == t)
			return true;
	return false;
}

int page_tracker_register(struct page_track *pt, struct page_tracker *t)
{
	struct page_tracker *after;
	int err = 0;

	if (!t->write)
		return -EINVAL;
	spin_lock(&pt->lock);
	if (is_registered(pt, t)) {
		err = -EEXIST;
	} else {
		TAILQ_FOREACH(after, &pt->trackers, link)
			if (after->priority > t->priority)
				break;
		if (after)
			TAILQ_INSERT_BEFORE(after, t, link);
		else
			TAILQ_INSERT_TAIL(&pt->trackers, t, link);
	}
	spin_unlock(&pt->lock);
	return err;
}

static unsigned int this_cpu(const struct page_track *pt)
{
	return pt->ops->cpu ? pt->ops->cpu() : 0;
}

static bool runs_elsewhere(struct page_track *pt, const struct page_tracker *t)
{
	const struct page_track_cursor *c;
	unsigned int cpu = this_cpu(pt);
	bool runs = false;

	spin_lock(&pt->lock);
	TAILQ_FOREACH(c, &pt->cursors, link)
		if (c->running == t && c->cpu != cpu)
			runs = true;
	spin_unlock(&pt->lock);
	return runs;
}

int page_tracker_unregister(struct page_track *pt, struct page_tracker *t)
{
	struct page_track_cursor *c;

	spin_lock(&pt->lock);
	if (!is_registered(pt, t)) {
		spin_unlock(&pt->lock);
		return -ENOENT;
	}
	TAILQ_FOREACH(c, &pt->cursors, link)
		if (c->next == t)
			c->next = TAILQ_NEXT(t, link);
	TAILQ_REMOVE(&pt->trackers, t, link);
	spin_unlock(&pt->lock);

	while (runs_elsewhere(pt, t))
		__builtin_ia32_pause();
	return 0;
}

static void cursor_open(struct page_track *pt, struct page_track_cursor *c)
{
	c->running = NULL;
	c->cpu = this_cpu(pt);
	spin_lock(&pt->lock);
	c->next = TAILQ_FIRST(&pt->trackers);
	TAILQ_INSERT_TAIL(&pt->cursors, c, link);
	spin_unlock(&pt->lock);
}

/* The tracker whose turn it is, or NULL after the last, with the cursor
 * taken down. */
static struct page_tracker *cursor_next(struct page_track *pt, struct page_track_cursor *c)
{
	spin_lock(&pt->lock);
	c->running = c->next;
	if (c->running)
		c->next = TAILQ_NEXT(c->running, link);
	else
		TAILQ_REMOVE(&pt->cursors, c, link);
	spin_unlock(&pt->lock);
	return c->running;
}

void page_track_notify_write(struct page_track *pt, const struct page_track_write *w)
{
	struct page_track_cursor c;
	struct page_tracker *t;

	cursor_open(pt, &c);
	while ((t = cursor_next(pt, &c)))
		t->write(t, w);
}

void page_track_notify_region_removed(struct page_track *pt, gfn_t base, uint64_t npages)
{
	struct page_track_cursor c;
	struct page_tracker *t;

	cursor_open(pt, &c);
	while ((t = cursor_next(pt, &c)))
		if (t->region_removed)
			t->region_removed(t, base, npages);
}
