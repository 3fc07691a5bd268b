/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A log of accesses, most often writes: a ring of records that one reader
 * empties. What is logged is what its tracker holds:
 * page_tracker_add(&log->tracker, ...).
 *
 * When the ring is full, events are lost, and counted; or the VM is stopped
 * while there is still room for what is under way: the other parts of the same
 * instruction, other vCPUs.
 *
 * Lock: write_log.lock.
 */
#ifndef PAGETRACK_WRITE_LOG_H
#define PAGETRACK_WRITE_LOG_H

#include "pagetrack/tracker.h"

#define WRITE_LOG_BYTES 16
#define WRITE_LOG_MARGIN 64u /* records that are free when the VM is stopped */

struct write_log_record {
	enum page_track_mode mode;
	enum page_track_verdict verdict;
	gpa_t gpa;
	uint32_t len;
	bool inexact;
	bool valued;    /* old and new are known */
	bool truncated; /* they have the first WRITE_LOG_BYTES of more */
	struct access_origin origin;
	uint64_t tsc;
	uint64_t hit;   /* the events of the log in their order; one that is missing was lost */
	uint8_t old[WRITE_LOG_BYTES], new[WRITE_LOG_BYTES];
};

struct write_log {
	struct page_tracker tracker; /* name and priority by the owner, before write_log_init() */
	uint64_t lost;               /* to be read by anyone */
	/* Its own: */
	struct page_track *pt; /* stays when the tracker is destroyed: callbacks may still run */
	struct spinlock lock;
	bool stop_when_full;
	struct write_log_record *ring;
	uint32_t capacity;
	uint64_t written, read; /* records ever */
};

/* Registers a log of @capacity records. -ENOMEM; -EINVAL: no capacity, or with @stop_when_full
 * not more than WRITE_LOG_MARGIN; others as page_tracker_register(). */
must_check int write_log_init(struct write_log *log, struct page_track *pt, uint32_t capacity,
			      bool stop_when_full);
/* From no callback of the log. */
void write_log_destroy(struct write_log *log);

/* Takes the oldest records, at most @n; returns how many. One reader at a time. */
uint32_t write_log_read(struct write_log *log, struct write_log_record *records, uint32_t n);

#endif
