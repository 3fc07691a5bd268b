// SPDX-License-Identifier: GPL-2.0-only
/* See kernel/guest_events.h. */
#include "kernel/guest_events.h"
#include <string.h>
#include "lib/alloc.h"
#include "lib/errno.h"

#define RING_BYTES (GUEST_EVENTS * sizeof(struct spoor_event))

int guest_events_init(struct guest_events *g)
{
	*g = (struct guest_events){ .ring = mem_zalloc(RING_BYTES), .next = 1, .reader = 1 };
	return g->ring ? 0 : -ENOMEM;
}

void guest_events_destroy(struct guest_events *g)
{
	mem_free(g->ring, RING_BYTES);
	*g = (struct guest_events){ 0 };
}

/* ---- in the guest's words ------------------------------------------------- */

static uint8_t access_of(enum page_track_mode mode)
{
	static const uint8_t accesses[] = {
		[PAGE_TRACK_WRITE] = SPOOR_ACCESS_WRITE,
		[PAGE_TRACK_READ] = SPOOR_ACCESS_READ,
		[PAGE_TRACK_EXEC] = SPOOR_ACCESS_EXEC,
	};

	return accesses[mode];
}

static uint8_t by(enum access_agent agent)
{
	static const uint8_t who[AGENTS] = {
		[AGENT_EMULATOR] = SPOOR_BY_INSTRUCTION, [AGENT_GUEST] = SPOOR_BY_INSTRUCTION,
		[AGENT_WALKER] = SPOOR_BY_WALK,          [AGENT_INJECTION] = SPOOR_BY_DELIVERY,
		[AGENT_DEVICE] = SPOOR_BY_DEVICE,        [AGENT_HYPERCALL] = SPOOR_BY_HYPERCALL,
		[AGENT_LOADER] = SPOOR_BY_OUTSIDE,       [AGENT_DEBUGGER] = SPOOR_BY_OUTSIDE,
	};

	return who[agent];
}

static uint8_t outcome(enum page_track_verdict verdict)
{
	switch (verdict) {
	case VERDICT_DENY_PF:
	case VERDICT_DENY_GP:
		return SPOOR_FAULTED;
	case VERDICT_SKIP:
		return SPOOR_SKIPPED;
	case VERDICT_REPLACE:
		return SPOOR_CHANGED;
	case VERDICT_STOP:
		return SPOOR_STOPPED;
	case VERDICT_NONE:
	case VERDICT_ALLOW:
		break;
	}
	return SPOOR_DONE;
}

static uint64_t first_bytes(const uint8_t *bytes, uint32_t len)
{
	uint64_t value = 0;

	memcpy(&value, bytes, len < sizeof(value) ? len : sizeof(value));
	return value;
}

static void set_origin(struct spoor_event *out, const struct access_origin *o)
{
	out->by = by(o->agent);
	if (o->vcpu == ACCESS_NO_VCPU)
		return;
	out->flags |= SPOOR_EVENT_CPU | (o->user ? SPOOR_EVENT_USER : 0);
	out->vcpu = o->vcpu;
	out->rip = o->rip;
	out->cr3 = o->cr3;
	out->gva = o->gva.v;
}

static void set_values(struct spoor_event *out, const struct page_track_event *e)
{
	if (!e->old || !e->new)
		return;
	out->flags |= SPOOR_EVENT_VALUES;
	out->old_value = first_bytes(e->old, e->len);
	out->new_value = first_bytes(e->new, e->len);
}

/* ---- the ring ------------------------------------------------------------- */

static struct spoor_event *place(const struct guest_events *g, uint64_t sequence)
{
	return &g->ring[sequence % GUEST_EVENTS];
}

static uint64_t oldest(const struct guest_events *g)
{
	return g->next > GUEST_EVENTS ? g->next - GUEST_EVENTS : 1;
}

/* The reader was overtaken. */
static void lose_overwritten(struct guest_events *g)
{
	if (g->reader >= oldest(g))
		return;
	g->lost += oldest(g) - g->reader;
	g->reader = oldest(g);
}

void guest_events_add(struct guest_events *g, const struct page_track_event *e, uint32_t id, uint64_t tsc)
{
	struct spoor_event *out = place(g, g->next);

	*out = (struct spoor_event){
		.sequence = g->next++,
		.tsc = tsc,
		.gpa = e->gpa.v,
		.id = id,
		.len = e->len,
		.access = access_of(e->mode),
		.outcome = outcome(e->verdict),
		.flags = e->inexact ? SPOOR_EVENT_INEXACT : 0,
	};
	set_origin(out, e->origin);
	set_values(out, e);
	lose_overwritten(g);
}

bool guest_events_read(struct guest_events *g, struct spoor_event *out)
{
	if (g->reader == g->next)
		return false;
	*out = *place(g, g->reader++);
	return true;
}

void guest_events_unread(struct guest_events *g, uint64_t reader, uint64_t lost)
{
	g->reader = reader;
	g->lost = lost;
	lose_overwritten(g);
}

static bool wrote(const struct spoor_event *e, gpa_t addr)
{
	return e->access == SPOOR_ACCESS_WRITE && (e->outcome == SPOOR_DONE || e->outcome == SPOOR_CHANGED) &&
	       addr.v - e->gpa < e->len;
}

const struct spoor_event *guest_events_last_write(const struct guest_events *g, gpa_t addr, uint64_t since)
{
	uint64_t first = since > oldest(g) ? since : oldest(g);

	for (uint64_t n = g->next; n > first; n--)
		if (wrote(place(g, n - 1), addr))
			return place(g, n - 1);
	return NULL;
}
