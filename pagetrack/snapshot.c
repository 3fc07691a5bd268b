/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Guest memory at one moment.
 *
 * Invariant, when nothing is under way: a page of the snapshot either has one
 * count of the tracker, and holds what it held at the take, what its copy (if there
 * is one) says, too; or it is dirty, that is in the list exactly once, with
 * its bit set, without a count and with a copy. During a restore pages have both:
 * a write to them is the restore's own.
 *
 * Lock: page_snapshot.lock, see the header.
 */
#include "pagetrack/snapshot.h"
#include "lib/alloc.h"
#include "lib/errno.h"

/* Bytes that are compared, and written if they differ, at once. */
#define BLOCK 256u

struct page_snapshot_range {
	gfn_t base;
	uint64_t npages;
	uint64_t first; /* index of its first page */
};

#define NO_PAGE UINT64_MAX

/* The number of a page; NO_PAGE: it is no part of the snapshot. */
static uint64_t index_of(const struct page_snapshot *s, gfn_t gfn)
{
	for (unsigned int i = 0; i < s->ranges; i++)
		if (gfn.v - s->range[i].base.v < s->range[i].npages)
			return s->range[i].first + (gfn.v - s->range[i].base.v);
	return NO_PAGE;
}

static bool is_dirty(const struct page_snapshot *s, uint64_t page)
{
	return s->dirty_map[page / 64] >> page % 64 & 1;
}

static void set_dirty(struct page_snapshot *s, uint64_t page, bool dirty)
{
	uint64_t bit = 1ull << page % 64;

	s->dirty_map[page / 64] = dirty ? s->dirty_map[page / 64] | bit : s->dirty_map[page / 64] & ~bit;
}

/* ---- memory ---------------------------------------------------------------- */

static uint64_t map_words(const struct page_snapshot *s) { return (s->npages + 63) / 64; }

static size_t bytes(const struct page_snapshot *s)
{
	return s->npages * (sizeof(*s->copy) + sizeof(*s->list)) + map_words(s) * sizeof(uint64_t) +
	       s->ranges * sizeof(*s->range);
}

static void count_slots(struct page_snapshot *s, const struct page_track *pt)
{
	const struct page_track_slot *slot;

	s->npages = 0;
	s->ranges = 0;
	LIST_FOREACH(slot, &pt->slots, link) {
		s->npages += slot->npages;
		s->ranges++;
	}
}

static void note_slots(struct page_snapshot *s, const struct page_track *pt)
{
	const struct page_track_slot *slot;
	uint64_t first = 0;
	unsigned int i = 0;

	LIST_FOREACH(slot, &pt->slots, link) {
		s->range[i++] = (struct page_snapshot_range){ slot->base_gfn, slot->npages, first };
		first += slot->npages;
	}
}

static int make_memory(struct page_snapshot *s, struct page_track *pt)
{
	int err = 0;

	spin_lock(&pt->lock);
	count_slots(s, pt);
	if (s->npages == 0)
		err = -EINVAL;
	else if (!(s->memory = mem_zalloc(bytes(s))))
		err = -ENOMEM;
	if (!err) {
		s->copy = s->memory;
		s->list = (gfn_t *)(s->copy + s->npages);
		s->dirty_map = (uint64_t *)(s->list + s->npages);
		s->range = (struct page_snapshot_range *)(s->dirty_map + map_words(s));
		note_slots(s, pt);
	}
	spin_unlock(&pt->lock);
	return err;
}

static void free_copy(struct page_snapshot *s, uint64_t page)
{
	if (!s->copy[page])
		return;
	mem_free(s->copy[page], PAGE_SIZE);
	s->copy[page] = NULL;
	s->copies--;
}

static void free_memory(struct page_snapshot *s)
{
	if (!s->memory)
		return;
	for (uint64_t page = 0; page < s->npages && s->copies; page++)
		free_copy(s, page);
	mem_free(s->memory, bytes(s));
	s->memory = NULL;
	s->ranges = 0;
	s->npages = s->dirty = 0;
}

/* ---- events ---------------------------------------------------------------- */

/* A restore that is under way needs what there is until it notices. */
static void lose(struct page_snapshot *s, enum page_snapshot_loss why)
{
	bool first;

	spin_lock(&s->lock);
	first = !s->lost;
	s->lost = true;
	spin_unlock(&s->lock);
	if (!first)
		return;
	page_tracker_clear(&s->tracker);
	if (s->stop_if_lost)
		page_track_stop(s->tracker.pt, &s->tracker);
	if (s->tell_lost)
		s->tell_lost(s, why);
	spin_lock(&s->lock);
	if (!s->restoring)
		free_memory(s);
	spin_unlock(&s->lock);
}

/* Keeps what @page held at the take, which is what it holds. False: it cannot. */
static bool keep(struct page_snapshot *s, uint64_t page, const uint8_t *content, enum page_snapshot_loss *why)
{
	if (s->copy[page])
		return true;
	*why = SNAPSHOT_LOST_QUOTA;
	if (s->quota && s->copies >= s->quota)
		return false;
	*why = SNAPSHOT_LOST_MEMORY;
	if (!content || !(s->copy[page] = mem_zalloc(PAGE_SIZE)))
		return false;
	__builtin_memcpy(s->copy[page], content, PAGE_SIZE);
	s->copies++;
	return true;
}

/* What comes of the first write to a page. */
enum first_write { NOT_FIRST, KEPT, CANNOT_KEEP };

static enum first_write first_write(struct page_snapshot *s, gfn_t gfn, const uint8_t *content,
				    enum page_snapshot_loss *why)
{
	uint64_t page = index_of(s, gfn);

	if (s->lost || page == NO_PAGE || is_dirty(s, page))
		return NOT_FIRST;
	if (!keep(s, page, content, why))
		return CANNOT_KEEP;
	set_dirty(s, page, true);
	s->list[s->dirty++] = gfn;
	return KEPT;
}

/* The copy is complete before the count goes: who finds none writes after it. */
static enum page_track_verdict snapshot_before(struct page_tracker *t, const struct page_track_event *e,
					       uint8_t *value)
{
	struct page_snapshot *s = container_of(t, struct page_snapshot, tracker);
	enum page_snapshot_loss why = SNAPSHOT_LOST_MEMORY;
	gfn_t gfn = gpa_to_gfn(e->gpa);
	enum first_write what;

	spin_lock(&s->lock);
	what = first_write(s, gfn, e->page, &why);
	spin_unlock(&s->lock);
	if (what == KEPT)
		(void)!page_tracker_remove(t, gfn, 1, PAGE_TRACK_W, NULL);
	else if (what == CANNOT_KEEP)
		lose(s, why);
	return VERDICT_NONE;
}

static bool touches(const struct page_snapshot *s, gfn_t base, uint64_t npages)
{
	for (unsigned int i = 0; i < s->ranges; i++)
		if (s->range[i].base.v - base.v < npages || base.v - s->range[i].base.v < s->range[i].npages)
			return true;
	return false;
}

static void snapshot_region(struct page_tracker *t, const struct page_track_region *r)
{
	struct page_snapshot *s = container_of(t, struct page_snapshot, tracker);
	gfn_t gone = r->change == REGION_MOVED ? r->old_base : r->base;

	s->grown = true;
	if (r->change != REGION_CREATED && touches(s, gone, r->npages))
		lose(s, SNAPSHOT_LOST_SLOT);
}

static const struct page_tracker_ops snapshot_ops = { .before = snapshot_before, .region = snapshot_region };

/* ---- take ------------------------------------------------------------------ */

static int take_all(struct page_snapshot *s, struct page_track *pt, gfn_t *failed)
{
	int err;

	page_snapshot_drop(s);
	s->tracker.ops = &snapshot_ops;
	s->tracker.follow = PAGE_TRACKER_FOLLOW_MEMORY;
	s->lock = (struct spinlock){ false };
	s->lost = s->restoring = s->grown = false;
	err = make_memory(s, pt);
	if (!err)
		err = page_tracker_register(pt, &s->tracker);
	if (!err)
		err = page_tracker_add_all(&s->tracker, PAGE_TRACK_W, NULL, 0, failed);
	s->taken = !err;
	if (err)
		page_snapshot_drop(s);
	return err;
}

/* The copies of clean pages are as good for this moment. */
static int take_dirty(struct page_snapshot *s, gfn_t *failed)
{
	int err = s->dirty ? page_tracker_add_list(&s->tracker, s->list, s->dirty, PAGE_TRACK_W, failed) : 0;

	if (err)
		return err;
	spin_lock(&s->lock);
	for (; s->dirty; s->dirty--) {
		uint64_t page = index_of(s, s->list[s->dirty - 1]);

		set_dirty(s, page, false);
		free_copy(s, page);
	}
	spin_unlock(&s->lock);
	return 0;
}

int page_snapshot_take(struct page_snapshot *s, struct page_track *pt, gfn_t *failed)
{
	if (failed)
		*failed = gfn(0);
	if (s->taken && !s->lost && !s->grown && s->tracker.pt == pt)
		return take_dirty(s, failed);
	return take_all(s, pt, failed);
}

void page_snapshot_drop(struct page_snapshot *s)
{
	(void)!page_tracker_destroy(&s->tracker);
	free_memory(s);
	s->taken = s->lost = false;
}

/* ---- restore --------------------------------------------------------------- */

static bool differs(const uint8_t *a, const uint8_t *b)
{
	return __builtin_memcmp(a, b, BLOCK) != 0;
}

/* Its count is there again, so that what comes after this is noticed. */
static int restore_page(const struct page_snapshot_memory *m, gfn_t gfn, const uint8_t *copy)
{
	const uint8_t *page = m->page(m->ctx, gfn);
	int err = 0;

	for (uint32_t at = 0; at < PAGE_SIZE && !err; at += BLOCK)
		if (differs(page + at, copy + at))
			err = m->write(m->ctx, gpa_add(gfn_to_gpa(gfn), at), copy + at, BLOCK);
	if (!err && __builtin_memcmp(page, copy, PAGE_SIZE) != 0)
		err = -EACCES;
	if (!err && m->restored)
		m->restored(m->ctx, gfn, copy, page);
	return err;
}

/* Restores the first @n of the list. *@done: so many, before an error. */
static int restore_list(struct page_snapshot *s, const struct page_snapshot_memory *m, uint64_t n,
			uint64_t *done)
{
	int err = 0;

	for (*done = 0; *done < n && !s->lost; ++*done) {
		uint64_t page = index_of(s, s->list[*done]);

		err = restore_page(m, s->list[*done], s->copy[page]);
		if (err)
			break;
		spin_lock(&s->lock);
		set_dirty(s, page, false);
		spin_unlock(&s->lock);
	}
	return s->lost ? -ENOENT : err;
}

/* Takes the first @done off the list; the others, up to @n, lose the count they have got again. */
static void tidy_list(struct page_snapshot *s, uint64_t done, uint64_t n)
{
	for (uint64_t i = done; i < n; i++)
		(void)!page_tracker_remove(&s->tracker, s->list[i], 1, PAGE_TRACK_W, NULL);
	spin_lock(&s->lock);
	for (uint64_t i = done; i < s->dirty; i++)
		s->list[i - done] = s->list[i];
	s->dirty -= done;
	spin_unlock(&s->lock);
}

static int restore_dirty(struct page_snapshot *s, const struct page_snapshot_memory *m)
{
	uint64_t n = s->dirty, done;
	int err = page_tracker_add_list(&s->tracker, s->list, n, PAGE_TRACK_W, NULL);

	if (err)
		return err;
	s->restoring = true;
	err = restore_list(s, m, n, &done);
	s->restoring = false;
	if (s->lost)
		free_memory(s);
	else
		tidy_list(s, done, n);
	return err;
}

int page_snapshot_restore(struct page_snapshot *s, const struct page_snapshot_memory *memory)
{
	if (!s->taken || s->lost)
		return -ENOENT;
	return s->dirty ? restore_dirty(s, memory) : 0;
}

/* ---- hash ------------------------------------------------------------------ */

#define MULTIPLIER 0x9E3779B97F4A7C15ull

/* Both halves of a product. */
static uint64_t fold(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* A word that is zero in all of memory must not take the key out: hence the sum, and two lanes
 * that are independent, for speed. */
uint64_t page_snapshot_hash(uint64_t key, gfn_t gfn, const uint8_t *page)
{
	const uint64_t *word = (const uint64_t *)(const void *)page;
	uint64_t a = fold(key + gfn.v, MULTIPLIER), b = fold(key ^ ~gfn.v, MULTIPLIER);

	for (unsigned int i = 0; i < PAGE_SIZE / sizeof(*word); i += 2) {
		a = (a ^ word[i]) * MULTIPLIER;
		a ^= a >> 32;
		b = (b ^ word[i + 1]) * MULTIPLIER;
		b ^= b >> 32;
	}
	return fold(a ^ key, MULTIPLIER) + fold(b, MULTIPLIER ^ key << 1);
}

uint64_t page_snapshot_hash_all(struct page_track *pt, uint64_t key,
				const struct page_snapshot_memory *memory)
{
	const struct page_track_slot *slot;
	uint64_t sum = 0;

	LIST_FOREACH(slot, &pt->slots, link)
		for (uint64_t i = 0; i < slot->npages; i++) {
			gfn_t gfn = gfn_add(slot->base_gfn, i);

			sum += page_snapshot_hash(key, gfn, memory->page(memory->ctx, gfn));
		}
	return sum;
}
