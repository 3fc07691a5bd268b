/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Frozen memory: ranges of bytes that nobody may write to but chosen agents.
 *
 * What a write to a frozen byte comes to is set for each range. The CPU makes or
 * does not make an access as a whole: bytes beside the range that the same access
 * would write are not written, either. An instruction that runs natively is
 * refused if the access that traps may write to a range, since it cannot be held
 * back later; what it does to a page that is open for it already is reported.
 *
 * Whoever has a lower priority number is asked first and may allow what the
 * guard denies; give it the lowest. Lock: none of its own, see watch.h.
 */
#ifndef PAGETRACK_INTEGRITY_GUARD_H
#define PAGETRACK_INTEGRITY_GUARD_H

#include "pagetrack/watch.h"

enum guard_response {
	GUARD_REPORT,  /* let it happen */
	GUARD_DENY_PF, /* the guest gets a #PF */
	GUARD_DENY_GP, /* #GP(0) */
	GUARD_SKIP,    /* the guest goes on as if it had written */
	GUARD_STOP,    /* the VM stops before the write */
};

#define GUARD_ALLOWS(who) (1u << AGENT_##who)

struct guarded_range {
	/* By the owner, before it is frozen; constant while it is: */
	gpa_t gpa;
	uint64_t len;
	enum guard_response response;
	unsigned int allowed; /* GUARD_ALLOWS(LOADER) | ...: who may write, unreported */

	uint64_t attempts; /* by others, to be read by anyone */
	struct page_watch watch; /* the guard's own */
};

struct integrity_guard {
	/* By the owner, before it is registered: name and priority of watcher.tracker, and */
	struct page_watcher watcher;
	/* What was tried: @e has who, where, old and new bytes, and in e->verdict what came of
	 * it. No lock is held. May be NULL. */
	void (*report)(struct integrity_guard *g, struct guarded_range *r, const struct page_track_event *e);
};

/* Errors as page_tracker_register(). */
must_check int integrity_guard_register(struct page_track *pt, struct integrity_guard *g);
/* Thaws all ranges. */
must_check int integrity_guard_destroy(struct integrity_guard *g);

/* Errors as page_watch_add(). Ranges may overlap: the first by address decides, all report. */
must_check int integrity_guard_freeze(struct integrity_guard *g, struct guarded_range *r, gfn_t *failed);
/* As page_watch_remove(). */
must_check int integrity_guard_thaw(struct guarded_range *r);

#endif
