/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * "The others": one tracker that holds pages in the name of a test, beside the
 * shadow MMU's own counts. It registers itself with the MMU that it is used with, and
 * goes with it. Who wants to be told of an access must hold its page.
 */
#ifndef TESTS_HOST_OTHERS_H
#define TESTS_HOST_OTHERS_H

#include "mm/mmu.h"

/* For page_tracker_count(). Its policy is others.follow, which may be changed while
 * it holds nothing: PAGE_TRACKER_FOLLOW_MEMORY at first. */
extern struct page_tracker others;

/* What comes to its ears goes on to these; NULL: nowhere. */
extern struct others_ears {
	enum page_track_verdict (*before)(const struct page_track_event *e, uint8_t *value);
	void (*after)(const struct page_track_event *e);
	void (*region)(const struct page_track_region *r);
} others_ears;

/* Registers it, if it is not yet; what it held of another MMU is given back. */
void others_join(struct guest_mem *m);

/* One count, any value for the mode. Errors are those of page_tracker_add(), _remove(). */
must_check int others_add(struct mmu *mmu, gfn_t g, enum page_track_mode mode);
must_check int others_remove(struct mmu *mmu, gfn_t g, enum page_track_mode mode);

#endif
