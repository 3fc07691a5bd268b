/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a guest is told of accesses to the ranges that it tracks: a ring of the
 * last GUEST_EVENTS events, in the layout of guests/spoor_hypercall.h. The
 * guest reads them in order; one that it has not read when its place is needed
 * is lost, and counted. What was read stays until then, to look back at.
 *
 * Invariant: reader <= next <= reader + GUEST_EVENTS.
 * Lock: none; used by the CPU that runs the VM.
 */
#ifndef KERNEL_GUEST_EVENTS_H
#define KERNEL_GUEST_EVENTS_H

#include "guests/spoor_hypercall.h"
#include "lib/compiler.h"
#include "pagetrack/event.h"

#define GUEST_EVENTS 256u

struct guest_events {
	struct spoor_event *ring; /* [GUEST_EVENTS]: event n is at n % GUEST_EVENTS */
	uint64_t next;            /* sequence number of the event to come, from 1 */
	uint64_t reader;          /* of the one to be read next */
	uint64_t lost;            /* before they were read */
};

/* -ENOMEM. */
must_check int guest_events_init(struct guest_events *g);
/* *g may be all zero. */
void guest_events_destroy(struct guest_events *g);

/* Adds @e, which happened in range @id. @tsc: the guest's. */
void guest_events_add(struct guest_events *g, const struct page_track_event *e, uint32_t id, uint64_t tsc);

/* Takes the next one; false: there is none. */
bool guest_events_read(struct guest_events *g, struct spoor_event *out);
/* The reader is again where it was when @reader and @lost were read; what is not there any more is lost. */
void guest_events_unread(struct guest_events *g, uint64_t reader, uint64_t lost);

/* The last write that reached the byte at @addr, with a sequence number of @since
 * or more. NULL: none that is remembered. */
const struct spoor_event *guest_events_last_write(const struct guest_events *g, gpa_t addr, uint64_t since);

#endif
