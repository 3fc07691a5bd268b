/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest's memory for tests of trackers: two slots beside each other, and
 * accesses that page tracking is asked about and told of, as mm/ does it. A
 * page whose counter is zero runs at full speed: nobody hears of it.
 */
#ifndef TESTS_HOST_TRACKED_MEMORY_H
#define TESTS_HOST_TRACKED_MEMORY_H

#include "pagetrack/event.h"
#include "pagetrack/page_track.h"
#include "pagetrack/tracker.h"

#define MEM_BASE 0x3B0 /* gfn; the first slot lies across 2 MiB */
#define MEM_PAGES 128
#define MEM_FIRST_SLOT 100 /* pages of the first slot; the second has the rest */
#define MEM_SLOTS 2
#define MEM_ACCESS_MAX 64

/* The gpa of byte @offset of page @page. */
#define AT(page, offset) gpa(((uint64_t)(MEM_BASE + (page)) << PAGE_SHIFT) + (offset))

extern struct tracked_memory {
	struct page_track pt;
	struct page_track_slot slot[MEM_SLOTS];
	bool there[MEM_SLOTS];
	uint8_t bytes[MEM_PAGES][PAGE_SIZE] aligned_to(PAGE_SIZE);
	unsigned int protects, unprotects, flushes;
	uint64_t silent; /* parts of accesses that nobody was told of */
	uint64_t tsc;    /* one more with each event */
	void (*at_flush)(void); /* may be NULL */
} mem;

extern _Thread_local unsigned int tracked_cpu;

/* An origin with a vCPU, its instruction at @rip. */
struct access_origin vcpu_at(uint64_t rip);

void tracked_open(void);
/* Returns the pages of host memory that are still in use: 0. */
size_t tracked_close(void);

/* The slot goes; comes again. */
void tracked_remove_slot(int i);
void tracked_make_slot(int i);

/* Up to MEM_ACCESS_MAX bytes. Of the verdicts on its parts the first that is not ALLOW
 * counts for the whole, and is returned. */
enum page_track_verdict tracked_write(gpa_t at, const void *bytes, uint32_t len,
				      const struct access_origin *by);
enum page_track_verdict tracked_read(gpa_t at, void *bytes, uint32_t len, const struct access_origin *by);
enum page_track_verdict tracked_fetch(gpa_t at, uint32_t len, const struct access_origin *by);

/* One byte, or so, by an instruction that runs natively: asked about the whole page, without
 * values; told of the whole page, with them. */
enum page_track_verdict tracked_step_write(gpa_t at, const void *bytes, uint32_t len);

#endif
