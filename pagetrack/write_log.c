/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A log of accesses.
 *
 * Invariant: records [read, written) are in the ring, at their number modulo
 * the capacity, and written - read <= capacity.
 */
#include "pagetrack/write_log.h"
#include <string.h>
#include "lib/alloc.h"
#include "lib/errno.h"

static void fill(struct write_log_record *r, const struct page_track_event *e)
{
	uint32_t n = e->len < WRITE_LOG_BYTES ? e->len : WRITE_LOG_BYTES;

	*r = (struct write_log_record){
		.mode = e->mode, .verdict = e->verdict, .gpa = e->gpa, .len = e->len, .inexact = e->inexact,
		.valued = e->old && e->new, .truncated = e->len > WRITE_LOG_BYTES, .origin = *e->origin,
		.tsc = e->tsc, .hit = e->hit,
	};
	if (r->valued) {
		memcpy(r->old, e->old, n);
		memcpy(r->new, e->new, n);
	}
}

static void log_after(struct page_tracker *t, const struct page_track_event *e)
{
	struct write_log *log = container_of(t, struct write_log, tracker);
	uint64_t free;

	spin_lock(&log->lock);
	free = log->capacity - (log->written - log->read);
	if (free > 0)
		fill(&log->ring[log->written++ % log->capacity], e);
	else
		log->lost++;
	spin_unlock(&log->lock);
	if (log->stop_when_full && free <= WRITE_LOG_MARGIN + 1)
		page_track_stop(log->pt, t);
}

static const struct page_tracker_ops log_ops = { .after = log_after };

static size_t ring_bytes(const struct write_log *log)
{
	return (size_t)log->capacity * sizeof(log->ring[0]);
}

int write_log_init(struct write_log *log, struct page_track *pt, uint32_t capacity, bool stop_when_full)
{
	int err;

	if (capacity == 0 || (stop_when_full && capacity <= WRITE_LOG_MARGIN))
		return -EINVAL;
	if (log->tracker.pt)
		return -EEXIST;
	log->tracker.ops = &log_ops;
	log->pt = pt;
	log->lock = (struct spinlock){ false };
	log->stop_when_full = stop_when_full;
	log->capacity = capacity;
	log->written = log->read = log->lost = 0;
	log->ring = mem_zalloc(ring_bytes(log));
	if (!log->ring)
		return -ENOMEM;
	err = page_tracker_register(pt, &log->tracker);
	if (err)
		mem_free(log->ring, ring_bytes(log));
	return err;
}

void write_log_destroy(struct write_log *log)
{
	if (page_tracker_destroy(&log->tracker))
		return;
	mem_free(log->ring, ring_bytes(log));
	log->ring = NULL;
}

uint32_t write_log_read(struct write_log *log, struct write_log_record *records, uint32_t n)
{
	uint32_t taken = 0;

	spin_lock(&log->lock);
	while (taken < n && log->read < log->written)
		records[taken++] = log->ring[log->read++ % log->capacity];
	spin_unlock(&log->lock);
	return taken;
}
