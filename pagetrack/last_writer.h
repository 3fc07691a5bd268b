/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who wrote this byte last? A table of fixed size remembers the newest writes
 * to the pages that it watches, by units of 8 bytes: 8 places for each hash of
 * a unit. A write takes its bytes from those before it, and when no
 * place is free the oldest write of the 8 is forgotten.
 *
 * Lock: last_writer.lock.
 */
#ifndef PAGETRACK_LAST_WRITER_H
#define PAGETRACK_LAST_WRITER_H

#include "pagetrack/tracker.h"

#define LAST_WRITER_UNIT 8u
#define LAST_WRITER_WAYS 8u

/* A write, or the part of it that lies in one unit. */
struct last_write {
	gpa_t unit;          /* a multiple of 8 */
	uint8_t bytes;       /* a bit for each byte of which it is the newest; 0: the place is free */
	bool inexact;        /* a native step: of bytes that kept their value nothing is known */
	bool valued;         /* old and new are known */
	struct access_origin origin;
	uint64_t tsc;
	uint64_t hit;        /* ordinal among all writes to the pages */
	uint8_t old[LAST_WRITER_UNIT], new[LAST_WRITER_UNIT]; /* where the write was; 0 elsewhere */
};

struct last_writer_set;

struct last_writer {
	struct page_tracker tracker; /* name and priority by the owner, before last_writer_init() */
	uint64_t forgotten;          /* writes, to be read by anyone */
	/* Its own: */
	struct page_track *pt; /* stays when the tracker is destroyed: callbacks may still run */
	struct spinlock lock;
	struct last_writer_set *set;
	uint32_t sets;
	uint64_t since;              /* TSC from which on it knew of all pages */
};

/* Remembers @capacity writes, rounded up to a multiple of 8. -ENOMEM; -EINVAL: no capacity; others as
 * page_tracker_register(). */
must_check int last_writer_init(struct last_writer *lw, struct page_track *pt, uint32_t capacity);
/* From no callback of it. */
void last_writer_destroy(struct last_writer *lw);

/* Writes to these pages are remembered from now on; errors as page_tracker_add(). */
must_check int last_writer_add(struct last_writer *lw, gfn_t base, uint64_t npages, gfn_t *failed);

/*
 * The newest write to the byte at @at, in *@w. False: unknown, but if the page
 * is watched, nobody has written it after TSC *@since: since then there was no
 * write, or nothing was forgotten that could have been one.
 */
must_check bool last_writer_find(struct last_writer *lw, gpa_t at, struct last_write *w, uint64_t *since);

#endif
