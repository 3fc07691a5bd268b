/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A VM all of whose pages are tracked: "track=rwx" on its module line. Each
 * access is counted by mode and by who made it, and the sums are reported when the VM
 * ends. The guest must not notice, but for the time it takes.
 *
 * With a period ("track=rwx:100", in milliseconds) a page tells of its first
 * access of each mode only, and then runs at full speed until the period is over.
 * No page can be written to or fetched from that cannot be read, so a page that
 * has told of one of these does not tell of reads.
 *
 * Lock: none; as struct vm.
 */
#ifndef KERNEL_VM_TRACK_H
#define KERNEL_VM_TRACK_H

#include "lib/compiler.h"
#include "pagetrack/tracker.h"

struct vm_track {
	struct page_tracker tracker;
	unsigned int modes;   /* PAGE_TRACK_W, _R, _X */
	uint64_t period;      /* TSC; 0: every access tells */
	uint64_t rearm_at;    /* TSC */
	/* What runs at full speed now, gfn and mode in a word; NULL without a period. */
	uint64_t *touched; /* [touched_max] */
	uint64_t touched_count, touched_max;
	uint64_t count[PAGE_TRACK_MODES][AGENTS];
};

/* Tracks @modes on all pages, of which there are @npages, from now on. @period: TSC cycles, or 0. -ENOMEM. */
must_check int vm_track_init(struct vm_track *t, struct page_track *pt, uint64_t npages, unsigned int modes,
			     uint64_t period, uint64_t now);
/* To be called now and then: begins a new period when one is over. */
void vm_track_tick(struct vm_track *t, uint64_t now);
/* Logs what was counted, for the VM @name. */
void vm_track_report(const struct vm_track *t, const char *name);
void vm_track_destroy(struct vm_track *t);

#endif
