/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Watches.
 *
 * Invariant: each watch in the tree holds one count of each of its modes on each
 * page that it touches, from before it can be found until after it cannot.
 *
 * Lock: page_watcher.lock, see the header.
 */
#include "pagetrack/watch.h"
#include "lib/errno.h"

#define CR3_FRAME 0x000FFFFFFFFFF000ull

/* An event on its way from watch to watch. It lives on the stack of whoever brings it, hung up where
 * a removal finds it. */
struct watch_walk {
	struct page_watcher *watcher; /* NULL: destroyed meanwhile */
	struct page_watch *running;   /* whose callback is being called */
	unsigned int cpu;
	uint64_t births;              /* watches that were there when it began */
	struct interval_key key;
	LIST_ENTRY(watch_walk) link;
};

/* ---- conditions -------------------------------------------------------- */

/* The byte at @at after the access, or NULL: the event does not show it. */
static const uint8_t *byte_after(const struct page_track_event *e, uint64_t at)
{
	uint64_t i = at - e->gpa.v;

	if (i < e->len && e->new)
		return &e->new[i];
	if (i < e->len && e->mode == PAGE_TRACK_WRITE)
		return NULL;
	if (i < e->len && e->old)
		return &e->old[i];
	if (e->page && at >> PAGE_SHIFT == e->gpa.v >> PAGE_SHIFT)
		return &e->page[at & PAGE_OFFSET_MASK];
	return NULL;
}

static uint64_t value_bytes(const struct page_watch *w)
{
	return w->len < sizeof(w->when.value) ? w->len : sizeof(w->when.value);
}

static bool value_holds(const struct page_watch *w, const struct page_track_event *e)
{
	for (uint64_t i = 0; i < value_bytes(w); i++) {
		uint8_t mask = (uint8_t)(w->when.mask >> (8 * i));
		uint8_t value = (uint8_t)(w->when.value >> (8 * i));
		const uint8_t *byte = mask ? byte_after(e, w->gpa.v + i) : NULL;

		if (byte && (*byte & mask) != value)
			return false;
	}
	return true;
}

static bool cpu_holds(const struct page_watch_condition *c, const struct access_origin *o)
{
	bool any_rip = !c->rip_first && !c->rip_last;

	if (any_rip && !c->match_cr3 && c->cpl == WATCH_ANY_CPL)
		return true;
	if (o->vcpu == ACCESS_NO_VCPU)
		return false;
	if (!any_rip && (o->rip < c->rip_first || o->rip > c->rip_last))
		return false;
	if (c->match_cr3 && ((o->cr3 ^ c->cr3) & CR3_FRAME))
		return false;
	return c->cpl == WATCH_ANY_CPL || o->user == (c->cpl == WATCH_USER);
}

static bool holds(const struct page_watch *w, const struct page_track_event *e)
{
	return (w->modes & PAGE_TRACK_BIT(e->mode)) && cpu_holds(&w->when, e->origin) && value_holds(w, e);
}

/* Is it this access's turn? @made: count it. */
static bool is_turn(struct page_watch *w, bool made)
{
	uint64_t n = w->matches + 1;

	if (made)
		w->matches = n;
	return w->when.every <= 1 || n % w->when.every == 0;
}

/* ---- one event --------------------------------------------------------- */

static unsigned int this_cpu(const struct page_watcher *wr)
{
	const struct page_track_mmu_ops *ops = wr->pt->ops;

	return ops->cpu ? ops->cpu() : 0;
}

static void walk_begin(struct page_watcher *wr, struct watch_walk *walk)
{
	*walk = (struct watch_walk){ .watcher = wr, .cpu = this_cpu(wr), .key = INTERVAL_START };
	spin_lock(&wr->lock);
	walk->births = wr->births;
	LIST_INSERT_HEAD(&wr->walks, walk, link);
	spin_unlock(&wr->lock);
}

/* The next watch, in order, that is to be called for @e; NULL after the last. The lock is held. */
static struct page_watch *next_match(struct watch_walk *walk, const struct page_track_event *e, bool made)
{
	const struct interval_tree *tree = &walk->watcher->tree;
	uint64_t last = e->gpa.v + e->len - 1;
	struct interval_node *n;

	while ((n = interval_next(tree, e->gpa.v, last, &walk->key))) {
		struct page_watch *w = container_of(n, struct page_watch, node);

		if (w->born <= walk->births && holds(w, e) && is_turn(w, made))
			return w;
	}
	return NULL;
}

/* The next watch to be called for @e, or NULL after the last, when the walk has ended. Touches no watch
 * that it returned before. @told is @e with the watch's ordinal. */
static struct page_watch *walk_next(struct watch_walk *walk, const struct page_track_event *e, bool made,
				    struct page_track_event *told)
{
	struct page_watcher *wr = walk->watcher;
	struct page_watch *w;

	if (!wr)
		return NULL;
	spin_lock(&wr->lock);
	w = next_match(walk, e, made);
	walk->running = w;
	if (w) {
		told->hit = w->hits + 1;
		w->hits += made;
	} else {
		LIST_REMOVE(walk, link);
	}
	spin_unlock(&wr->lock);
	return w;
}

static enum page_track_verdict watcher_before(struct page_tracker *t, const struct page_track_event *e,
					      uint8_t *value)
{
	struct page_watcher *wr = container_of(t, struct page_watcher, tracker);
	const struct page_watcher_ops *ops = wr->ops;
	enum page_track_verdict first = VERDICT_NONE;
	struct page_track_event told = *e;
	struct watch_walk walk;
	struct page_watch *w;

	if (!ops->before)
		return VERDICT_NONE;
	walk_begin(wr, &walk);
	while ((w = walk_next(&walk, e, false, &told))) {
		enum page_track_verdict v = ops->before(wr, w, &told, first == VERDICT_NONE ? value : NULL);

		if (first == VERDICT_NONE)
			first = v;
	}
	return first;
}

static void watcher_after(struct page_tracker *t, const struct page_track_event *e)
{
	struct page_watcher *wr = container_of(t, struct page_watcher, tracker);
	const struct page_watcher_ops *ops = wr->ops;
	struct page_track_event told = *e;
	struct watch_walk walk;
	struct page_watch *w = NULL;
	bool any = false;

	walk_begin(wr, &walk);
	while ((w = walk_next(&walk, e, true, &told))) {
		any = true;
		if (ops->hit)
			ops->hit(wr, w, &told);
	}
	if (!any)
		__atomic_fetch_add(&wr->false_hits, 1, __ATOMIC_RELAXED);
}

static const struct page_tracker_ops watcher_ops = { .before = watcher_before, .after = watcher_after };

/* ---- watchers and watches ---------------------------------------------- */

int page_watcher_register(struct page_track *pt, struct page_watcher *wr)
{
	if (!wr->ops || (!wr->ops->before && !wr->ops->hit))
		return -EINVAL;
	if (wr->tracker.pt)
		return -EEXIST;
	wr->tracker.ops = &watcher_ops;
	wr->tracker.follow = PAGE_TRACKER_FOLLOW_GFN;
	wr->pt = pt;
	wr->lock = (struct spinlock){ false };
	wr->tree = (struct interval_tree){ NULL };
	LIST_INIT(&wr->walks);
	wr->births = wr->false_hits = 0;
	return page_tracker_register(pt, &wr->tracker);
}

int page_watcher_destroy(struct page_watcher *wr)
{
	struct watch_walk *walk;
	int err = page_tracker_destroy(&wr->tracker);

	if (err)
		return err;
	/* The walks that are left are those that we were called from. */
	spin_lock(&wr->lock);
	LIST_FOREACH(walk, &wr->walks, link)
		walk->watcher = NULL;
	while (wr->tree.root) {
		container_of(wr->tree.root, struct page_watch, node)->watcher = NULL;
		interval_remove(&wr->tree, wr->tree.root);
	}
	spin_unlock(&wr->lock);
	return 0;
}

static gfn_t first_gfn(const struct page_watch *w) { return gpa_to_gfn(w->gpa); }

static uint64_t pages_of(const struct page_watch *w)
{
	return gpa_to_gfn(gpa_add(w->gpa, w->len - 1)).v - first_gfn(w).v + 1;
}

static bool is_valid(const struct page_watch *w)
{
	const struct page_watch_condition *c = &w->when;
	uint64_t shown;

	if (!w->len || w->gpa.v + (w->len - 1) < w->gpa.v)
		return false;
	shown = UINT64_MAX >> (64 - 8 * value_bytes(w));
	return !(c->mask & ~shown) && !(c->value & ~c->mask) && c->rip_first <= c->rip_last &&
	       (unsigned int)c->cpl <= WATCH_SUPERVISOR;
}

/* The counts come first: whoever is told of an access in between knows of no watch. */
int page_watch_add(struct page_watcher *wr, struct page_watch *w, gfn_t *failed)
{
	int err;

	if (failed)
		*failed = first_gfn(w);
	if (w->watcher)
		return -EEXIST;
	if (!is_valid(w))
		return -EINVAL;
	err = page_tracker_add(&wr->tracker, first_gfn(w), pages_of(w), w->modes, failed);
	if (err)
		return err;
	w->hits = w->matches = 0;
	w->node.first = w->gpa.v;
	w->node.last = w->gpa.v + (w->len - 1);
	spin_lock(&wr->lock);
	w->watcher = wr;
	w->born = ++wr->births;
	interval_insert(&wr->tree, &w->node);
	spin_unlock(&wr->lock);
	return 0;
}

static bool runs_elsewhere(struct page_watcher *wr, const struct page_watch *w)
{
	const struct watch_walk *walk;
	unsigned int cpu = this_cpu(wr);
	bool runs = false;

	spin_lock(&wr->lock);
	LIST_FOREACH(walk, &wr->walks, link)
		if (walk->running == w && walk->cpu != cpu)
			runs = true;
	spin_unlock(&wr->lock);
	return runs;
}

/* All counts, or, when a flood policy has taken some of them, those that are left. */
static void give_back(struct page_watcher *wr, const struct page_watch *w)
{
	struct page_tracker *t = &wr->tracker;
	gfn_t gfn = first_gfn(w);

	if (!page_tracker_remove(t, gfn, pages_of(w), w->modes, NULL))
		return;
	for (uint64_t i = 0; i < pages_of(w); i++)
		for (unsigned int bit = 1; bit <= PAGE_TRACK_ALL; bit <<= 1)
			if (w->modes & bit)
				(void)!page_tracker_remove(t, gfn_add(gfn, i), 1, bit, NULL);
}

int page_watch_remove(struct page_watch *w)
{
	struct page_watcher *wr = w->watcher;

	if (!wr)
		return -ENOENT;
	spin_lock(&wr->lock);
	if (w->watcher != wr) {
		spin_unlock(&wr->lock);
		return -ENOENT;
	}
	interval_remove(&wr->tree, &w->node);
	w->watcher = NULL;
	spin_unlock(&wr->lock);
	give_back(wr, w);
	while (runs_elsewhere(wr, w))
		__builtin_ia32_pause();
	return 0;
}
