/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A tracker for tests: remembers what it was asked and told, with the bytes,
 * and answers as it is told to.
 */
#ifndef TESTS_HOST_FAKE_TRACKER_H
#define TESTS_HOST_FAKE_TRACKER_H

#include "pagetrack/tracker.h"

#define TRACKER_SEEN 64u
#define TRACKER_BYTES 256u

/* The pointers of @e are dangling: its bytes are here, the first TRACKER_BYTES of them. */
struct seen_event {
	struct page_track_event e;
	struct access_origin origin;
	bool has_old, has_new, has_value;
	uint8_t old[TRACKER_BYTES], new[TRACKER_BYTES];
};

struct fake_tracker {
	struct page_tracker t;
	/* All of them; those beyond TRACKER_SEEN are only counted. */
	unsigned int asked, told, overruled, by_mode[PAGE_TRACK_MODES];
	struct seen_event ask[TRACKER_SEEN], tell[TRACKER_SEEN];
	enum page_track_verdict answer[PAGE_TRACK_MODES];
	unsigned int answer_after;    /* so many questions get VERDICT_NONE before */
	uint64_t answer_page;         /* gfn of the only page that gets an answer; 0: all */
	uint8_t value[TRACKER_BYTES]; /* VERDICT_REPLACE: with this */
	bool lets_go;                 /* takes its count off a page when it is told */
};

void fake_tracker_open(struct fake_tracker *k, struct page_track *pt, const char *name, int priority);
void fake_tracker_close(struct fake_tracker *k);
/* One count on the page of @addr, in each of the PAGE_TRACK_BIT()s. */
void fake_tracker_add(struct fake_tracker *k, uint64_t addr, unsigned int modes);
void fake_tracker_remove(struct fake_tracker *k, uint64_t addr, unsigned int modes);
/* Forgets what it has seen and what to answer. Hits go on. */
void fake_tracker_clear(struct fake_tracker *k);

#endif
