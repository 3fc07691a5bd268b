/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who wrote last.
 *
 * Invariant: of the writes in a set, each byte belongs to one at most, the newest of all
 * that the tracker was told of; a write that is newer than set.since is there.
 */
#include "pagetrack/last_writer.h"
#include "lib/alloc.h"
#include "lib/errno.h"

struct last_writer_set {
	struct last_write way[LAST_WRITER_WAYS];
	uint64_t since; /* TSC of the newest write that was forgotten here */
};

static struct last_writer_set *set_of(struct last_writer *lw, uint64_t unit)
{
	return &lw->set[(unit * 0x9E3779B97F4A7C15ull >> 32) % lw->sets];
}

/* A place for a write to @bytes of @unit: one whose bytes it takes all, a free one, or the oldest. */
static struct last_write *make_place(struct last_writer *lw, struct last_writer_set *set, gpa_t unit,
				     uint8_t bytes)
{
	struct last_write *oldest = NULL, *free = NULL;

	for (unsigned int i = 0; i < LAST_WRITER_WAYS; i++) {
		struct last_write *w = &set->way[i];

		if (w->unit.v == unit.v)
			w->bytes &= (uint8_t)~bytes;
		if (!w->bytes)
			free = w;
		else if (!oldest || w->hit < oldest->hit)
			oldest = w;
	}
	if (free)
		return free;
	lw->forgotten++;
	if (oldest->tsc > set->since)
		set->since = oldest->tsc;
	return oldest;
}

/* Which bytes of the unit were written? Of a native step, those that changed. */
static uint8_t bytes_written(gpa_t unit, const struct page_track_event *e)
{
	uint8_t bytes = 0;

	for (unsigned int k = 0; k < LAST_WRITER_UNIT; k++) {
		uint64_t i = unit.v + k - e->gpa.v;

		if (i < e->len && !(e->inexact && e->old && e->new && e->old[i] == e->new[i]))
			bytes |= (uint8_t)(1u << k);
	}
	return bytes;
}

static void remember(struct last_writer *lw, gpa_t unit, const struct page_track_event *e)
{
	uint8_t bytes = bytes_written(unit, e);
	struct last_write *w;

	if (!bytes)
		return;
	w = make_place(lw, set_of(lw, unit.v / LAST_WRITER_UNIT), unit, bytes);
	*w = (struct last_write){
		.unit = unit, .bytes = bytes, .inexact = e->inexact, .valued = e->old && e->new,
		.origin = *e->origin, .tsc = e->tsc, .hit = e->hit,
	};
	for (unsigned int k = 0; k < LAST_WRITER_UNIT; k++) {
		uint64_t i = unit.v + k - e->gpa.v;

		if (!(bytes >> k & 1) || !e->old || !e->new)
			continue;
		w->old[k] = e->old[i];
		w->new[k] = e->new[i];
	}
}

static gpa_t unit_of(gpa_t at) { return gpa(at.v & ~(uint64_t)(LAST_WRITER_UNIT - 1)); }

static void writer_after(struct page_tracker *t, const struct page_track_event *e)
{
	struct last_writer *lw = container_of(t, struct last_writer, tracker);
	gpa_t last = unit_of(gpa_add(e->gpa, e->len - 1));

	if (e->mode != PAGE_TRACK_WRITE || (e->verdict != VERDICT_ALLOW && e->verdict != VERDICT_REPLACE))
		return;
	spin_lock(&lw->lock);
	for (gpa_t unit = unit_of(e->gpa); unit.v <= last.v; unit.v += LAST_WRITER_UNIT)
		remember(lw, unit, e);
	spin_unlock(&lw->lock);
}

static uint64_t now(const struct page_track *pt)
{
	return pt->ops->tsc ? pt->ops->tsc(pt->mmu) : 0;
}

/* What is in the memory that comes there was written by nobody who is remembered. */
static void writer_region(struct page_tracker *t, const struct page_track_region *r)
{
	struct last_writer *lw = container_of(t, struct last_writer, tracker);
	uint64_t since = now(lw->pt);

	spin_lock(&lw->lock);
	for (uint32_t i = 0; i < lw->sets * LAST_WRITER_WAYS; i++) {
		struct last_write *w = &lw->set[i / LAST_WRITER_WAYS].way[i % LAST_WRITER_WAYS];
		gfn_t gfn = gpa_to_gfn(w->unit);

		if (gfn.v - r->base.v < r->npages ||
		    (r->change == REGION_MOVED && gfn.v - r->old_base.v < r->npages))
			w->bytes = 0;
	}
	lw->since = since;
	spin_unlock(&lw->lock);
}

static const struct page_tracker_ops writer_ops = { .after = writer_after, .region = writer_region };

static size_t table_bytes(const struct last_writer *lw)
{
	return (size_t)lw->sets * sizeof(lw->set[0]);
}

int last_writer_init(struct last_writer *lw, struct page_track *pt, uint32_t capacity)
{
	int err;

	if (lw->tracker.pt)
		return -EEXIST;
	if (capacity == 0)
		return -EINVAL;
	lw->tracker.ops = &writer_ops;
	lw->pt = pt;
	lw->tracker.follow = PAGE_TRACKER_FOLLOW_GFN;
	lw->lock = (struct spinlock){ false };
	lw->forgotten = 0;
	lw->since = now(pt);
	lw->sets = (capacity - 1) / LAST_WRITER_WAYS + 1;
	lw->set = mem_zalloc(table_bytes(lw));
	if (!lw->set)
		return -ENOMEM;
	err = page_tracker_register(pt, &lw->tracker);
	if (err)
		mem_free(lw->set, table_bytes(lw));
	return err;
}

void last_writer_destroy(struct last_writer *lw)
{
	if (page_tracker_destroy(&lw->tracker))
		return;
	mem_free(lw->set, table_bytes(lw));
	lw->set = NULL;
}

int last_writer_add(struct last_writer *lw, gfn_t base, uint64_t npages, gfn_t *failed)
{
	int err = page_tracker_add(&lw->tracker, base, npages, PAGE_TRACK_W, failed);

	if (err)
		return err;
	spin_lock(&lw->lock);
	lw->since = now(lw->pt);
	spin_unlock(&lw->lock);
	return 0;
}

bool last_writer_find(struct last_writer *lw, gpa_t at, struct last_write *w, uint64_t *since)
{
	gpa_t unit = unit_of(at);
	const struct last_writer_set *set = set_of(lw, unit.v / LAST_WRITER_UNIT);
	bool found = false;

	spin_lock(&lw->lock);
	for (unsigned int i = 0; i < LAST_WRITER_WAYS && !found; i++) {
		found = set->way[i].unit.v == unit.v && (set->way[i].bytes >> (at.v - unit.v) & 1);
		if (found)
			*w = set->way[i];
	}
	*since = set->since > lw->since ? set->since : lw->since;
	spin_unlock(&lw->lock);
	return found;
}
