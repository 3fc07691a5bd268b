/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What hypercalls do: a guest has ranges of its own memory tracked or frozen,
 * and is told of accesses to them. docs/hypercalls.md is for guests.
 *
 * Each range is a watch of the guest's own watcher, which comes after all others
 * in priority: what people want of the VM counts first.
 *
 * Invariant: a range in use is a watch that was added; a frozen one is
 * removed only where the configuration says so, or with the VM.
 * Lock: none; used by the CPU that runs the VM.
 */
#ifndef KERNEL_GUEST_CALLS_H
#define KERNEL_GUEST_CALLS_H

#include "kernel/guest_events.h"
#include "mm/guest_mem.h"
#include "pagetrack/watch.h"
#include "vcpu/hypercall.h"

#define GUEST_CALLS_PRIORITY 1000
/* Pages in one range: a bound to what one call costs. */
#define GUEST_CALLS_PAGES 4096u

struct watched_range {
	struct page_watch watch;
	uint32_t id;    /* 0: free */
	bool frozen;
	uint32_t how;   /* SPOOR_FREEZE_, if frozen */
	uint64_t since; /* sequence number of the first event that it can have */
};

struct guest_calls {
	struct page_watcher watcher;
	struct guest_mem *mem;
	const int64_t *tsc_offset; /* from the machine's TSC to the guest's */
	uint32_t allowed;          /* SPOOR_MAY() bits */
	uint32_t ranges, in_use;
	struct watched_range *range; /* [ranges] */
	uint32_t last_id;
	struct guest_events events;
};

struct guest_calls_config {
	uint32_t allowed; /* 0: every call but SPOOR_CALL_FEATURES is -EPERM, and nothing is allocated */
	uint32_t ranges;
	struct guest_mem *mem;
	const int64_t *tsc_offset;
};

/* *g stays where it is until it is destroyed. -ENOMEM, -ENOSPC (too many trackers): *g is all zero. */
must_check int guest_calls_init(struct guest_calls *g, const struct guest_calls_config *c);
/* Ends all ranges. *g may be all zero. */
void guest_calls_destroy(struct guest_calls *g);

/* The CPUID leaf that tells a guest of all this. */
struct cpuid_regs guest_calls_leaf(uint32_t allowed, uint32_t ranges);

/* The context is the struct guest_calls. */
extern const struct hypercall_ops guest_calls_ops;

#endif
