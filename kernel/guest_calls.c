// SPDX-License-Identifier: GPL-2.0-only
/* See kernel/guest_calls.h. Arguments are the guest's: all of them are checked. */
#include "kernel/guest_calls.h"
#include "lib/alloc.h"
#include "lib/assert.h"
#include "lib/errno.h"

#define ID_MAX INT32_MAX /* a positive number for a 32-bit guest, too */
#define ALL_ACCESSES (SPOOR_ACCESS_WRITE | SPOOR_ACCESS_READ | SPOOR_ACCESS_EXEC)

_Static_assert(SPOOR_ACCESS_WRITE == PAGE_TRACK_W && SPOOR_ACCESS_READ == PAGE_TRACK_R &&
	       SPOOR_ACCESS_EXEC == PAGE_TRACK_X, "the guest's bits are page tracking's");
_Static_assert(SPOOR_EPERM == EPERM && SPOOR_ENOENT == ENOENT && SPOOR_E2BIG == E2BIG &&
	       SPOOR_ENOMEM == ENOMEM && SPOOR_EFAULT == EFAULT && SPOOR_EINVAL == EINVAL &&
	       SPOOR_ENOSPC == ENOSPC, "the guest's errors are ours");

struct cpuid_regs guest_calls_leaf(uint32_t allowed, uint32_t ranges)
{
	if (!allowed)
		return (struct cpuid_regs){ 0 };
	return (struct cpuid_regs){ allowed | SPOOR_MAY(SPOOR_CALL_FEATURES), ranges, GUEST_CALLS_PAGES,
				    GUEST_EVENTS };
}

static bool may(const struct guest_calls *g, uint32_t call) { return g->allowed & SPOOR_MAY(call); }

static int64_t call_features(void *ctx, uint64_t what)
{
	const struct guest_calls *g = ctx;
	struct cpuid_regs leaf = guest_calls_leaf(g->allowed, g->ranges);

	switch (what) {
	case SPOOR_FEATURE_VERSION:
		return SPOOR_ABI_VERSION;
	case SPOOR_FEATURE_CALLS:
		return leaf.eax;
	case SPOOR_FEATURE_RANGES:
		return leaf.ebx;
	case SPOOR_FEATURE_PAGES:
		return leaf.ecx;
	case SPOOR_FEATURE_EVENTS:
		return leaf.edx;
	case SPOOR_FEATURE_IN_USE:
		return g->in_use;
	}
	return -EINVAL;
}

/* ---- accesses ------------------------------------------------------------------ */

static const struct watched_range *range_of(const struct page_watch *w)
{
	return container_of(w, struct watched_range, watch);
}

/*
 * Accessed and dirty bits are the CPU's own, and change nothing that a table
 * says: without them a guest that has frozen its page tables could not go on.
 */
static bool is_bound(enum access_agent agent)
{
	return agent != AGENT_WALKER && agent != AGENT_LOADER && agent != AGENT_DEBUGGER;
}

static enum page_track_verdict before(struct page_watcher *wr, struct page_watch *w,
				      const struct page_track_event *e, uint8_t *value)
{
	static const enum page_track_verdict verdicts[] = {
		[SPOOR_FREEZE_FAULT] = VERDICT_DENY_GP,
		[SPOOR_FREEZE_SKIP] = VERDICT_SKIP,
		[SPOOR_FREEZE_REPORT] = VERDICT_NONE,
	};
	const struct watched_range *r = range_of(w);

	return r->frozen && is_bound(e->origin->agent) ? verdicts[r->how] : VERDICT_NONE;
}

static void hit(struct page_watcher *wr, struct page_watch *w, const struct page_track_event *e)
{
	struct guest_calls *g = container_of(wr, struct guest_calls, watcher);

	guest_events_add(&g->events, e, range_of(w)->id, e->tsc + (uint64_t)*g->tsc_offset);
}

static const struct page_watcher_ops watcher_ops = { .before = before, .hit = hit };

/* ---- life ------------------------------------------------------------------------ */

static int allocate(struct guest_calls *g, uint32_t ranges)
{
	g->range = mem_zalloc(ranges * sizeof(*g->range));
	if (!g->range)
		return -ENOMEM;
	g->ranges = ranges;
	return guest_events_init(&g->events);
}

static void release(struct guest_calls *g)
{
	mem_free(g->range, g->ranges * sizeof(*g->range));
	guest_events_destroy(&g->events);
	*g = (struct guest_calls){ 0 };
}

int guest_calls_init(struct guest_calls *g, const struct guest_calls_config *c)
{
	int err = 0;

	*g = (struct guest_calls){
		.watcher = { .tracker = { .name = "guest", .priority = GUEST_CALLS_PRIORITY }, .ops = &watcher_ops },
		.allowed = c->allowed,
		.mem = c->mem,
		.tsc_offset = c->tsc_offset,
	};
	if (c->allowed)
		err = allocate(g, c->ranges);
	if (c->allowed && !err)
		err = page_watcher_register(&c->mem->track, &g->watcher);
	if (err)
		release(g);
	return err;
}

void guest_calls_destroy(struct guest_calls *g)
{
	int err = g->range ? page_watcher_destroy(&g->watcher) : 0;

	ASSERT(!err); /* where there are ranges it is registered */
	release(g);
}

/* ---- ranges --------------------------------------------------------------------- */

static struct watched_range *find(struct guest_calls *g, uint64_t id, bool frozen)
{
	for (uint32_t i = 0; id && i < g->ranges; i++)
		if (g->range[i].id == id && g->range[i].frozen == frozen)
			return &g->range[i];
	return NULL;
}

static bool id_is_taken(const struct guest_calls *g, uint32_t id)
{
	for (uint32_t i = 0; i < g->ranges; i++)
		if (g->range[i].id == id)
			return true;
	return false;
}

/* Not one that was given lately: there are far more ids than ranges. */
static uint32_t next_id(struct guest_calls *g)
{
	do {
		g->last_id = g->last_id == ID_MAX ? 1 : g->last_id + 1;
	} while (id_is_taken(g, g->last_id));
	return g->last_id;
}

static struct watched_range *free_range(struct guest_calls *g)
{
	for (uint32_t i = 0; i < g->ranges; i++)
		if (!g->range[i].id)
			return &g->range[i];
	return NULL;
}

/* -EINVAL, -E2BIG. */
static int check_shape(gpa_t base, uint64_t bytes)
{
	uint64_t end;

	if (!bytes || __builtin_add_overflow(base.v, bytes, &end))
		return -EINVAL;
	return ((end - 1) >> PAGE_SHIFT) - (base.v >> PAGE_SHIFT) >= GUEST_CALLS_PAGES ? -E2BIG : 0;
}

static int add(struct guest_calls *g, struct watched_range *r)
{
	int err = page_watch_add(&g->watcher, &r->watch, NULL);

	/* The rest of it is good: it is not RAM. */
	return err == -EINVAL ? -EFAULT : err == -EOVERFLOW ? -ENOSPC : err;
}

/* @like: what the new range is to be. Its id, or an error. */
static int64_t begin_range(struct guest_calls *g, const struct watched_range *like)
{
	struct watched_range *r = free_range(g);
	int err = check_shape(like->watch.gpa, like->watch.len);

	if (err)
		return err;
	if (!r)
		return -ENOSPC;
	*r = *like;
	r->since = g->events.next;
	err = add(g, r);
	if (err)
		return err;
	r->id = next_id(g);
	g->in_use++;
	return r->id;
}

static int64_t call_track(void *ctx, gpa_t base, uint64_t bytes, uint64_t accesses)
{
	if (!may(ctx, SPOOR_CALL_TRACK))
		return -EPERM;
	if (!accesses || accesses & ~(uint64_t)ALL_ACCESSES)
		return -EINVAL;
	return begin_range(ctx, &(struct watched_range){
					.watch = { .gpa = base, .len = bytes, .modes = (unsigned int)accesses } });
}

static int64_t call_freeze(void *ctx, gpa_t base, uint64_t bytes, uint64_t how)
{
	if (!may(ctx, SPOOR_CALL_FREEZE))
		return -EPERM;
	if (how > SPOOR_FREEZE_REPORT)
		return -EINVAL;
	return begin_range(ctx, &(struct watched_range){
					.watch = { .gpa = base, .len = bytes, .modes = PAGE_TRACK_W },
					.frozen = true, .how = (uint32_t)how });
}

static int64_t end_by_id(struct guest_calls *g, uint64_t id, bool frozen)
{
	struct watched_range *r = find(g, id, frozen);

	int err;

	if (!r)
		return -ENOENT;
	err = page_watch_remove(&r->watch);
	ASSERT(!err); /* a range in use is a watch */
	*r = (struct watched_range){ 0 };
	g->in_use--;
	return 0;
}

static int64_t call_untrack(void *ctx, uint64_t id)
{
	return may(ctx, SPOOR_CALL_UNTRACK) ? end_by_id(ctx, id, false) : -EPERM;
}

static int64_t call_thaw(void *ctx, uint64_t id)
{
	return may(ctx, SPOOR_CALL_THAW) ? end_by_id(ctx, id, true) : -EPERM;
}

/* ---- what is told ----------------------------------------------------------------- */

/* The guest's own ranges may hold the buffer, too. */
static int put(struct guest_calls *g, const struct vcpu *v, uint64_t addr, const void *src, size_t len)
{
	const struct access_origin origin = { .agent = AGENT_HYPERCALL, .vcpu = v->id, .rip = v->regs.rip,
					      .cr3 = v->mmu.paging.cr3 };

	return guest_write(g->mem, gpa(addr), src, len, &origin) ? -EFAULT : 0;
}

/* As many as there were at the start, and have room: writing them makes new ones,
 * if the buffer is tracked. Returns how many. */
static int64_t put_events(struct guest_calls *g, const struct vcpu *v, uint64_t addr, uint64_t room)
{
	uint64_t waiting = g->events.next - g->events.reader, n = room < waiting ? room : waiting;
	struct spoor_event event;

	for (uint64_t i = 0; i < n && guest_events_read(&g->events, &event); i++)
		if (put(g, v, addr + i * sizeof(event), &event, sizeof(event)))
			return -EFAULT;
	return (int64_t)n;
}

static int64_t call_events(void *ctx, const struct vcpu *v, gpa_t buffer, uint64_t bytes)
{
	struct guest_calls *g = ctx;
	struct spoor_event_buffer head = { .event_bytes = sizeof(struct spoor_event) };
	uint64_t reader = g->events.reader, lost = g->events.lost, end;
	int64_t n;

	if (!may(g, SPOOR_CALL_EVENTS))
		return -EPERM;
	if (bytes < sizeof(head) || __builtin_add_overflow(buffer.v, bytes, &end))
		return -EINVAL;
	n = put_events(g, v, buffer.v + sizeof(head), (bytes - sizeof(head)) / sizeof(struct spoor_event));
	if (n >= 0) {
		head.count = (uint32_t)n;
		head.lost = lost;
		head.waiting = g->events.next - g->events.reader;
		if (put(g, v, buffer.v, &head, sizeof(head)))
			n = -EFAULT;
	}
	if (n < 0)
		guest_events_unread(&g->events, reader, lost);
	else
		g->events.lost -= lost;
	return n;
}

/* When did the guest begin to see writes to @addr? false: it does not. */
static bool sees_writes(const struct guest_calls *g, gpa_t addr, uint64_t *since)
{
	bool found = false;

	*since = UINT64_MAX;
	for (uint32_t i = 0; i < g->ranges; i++) {
		const struct watched_range *r = &g->range[i];

		if (!r->id || !(r->watch.modes & PAGE_TRACK_W) || addr.v - r->watch.gpa.v >= r->watch.len)
			continue;
		found = true;
		*since = r->since < *since ? r->since : *since;
	}
	return found;
}

static int64_t call_who(void *ctx, const struct vcpu *v, gpa_t addr, gpa_t record)
{
	struct guest_calls *g = ctx;
	const struct spoor_event *e;
	struct spoor_event copy;
	uint64_t since;

	if (!may(g, SPOOR_CALL_WHO))
		return -EPERM;
	e = sees_writes(g, addr, &since) ? guest_events_last_write(&g->events, addr, since) : NULL;
	if (!e)
		return -ENOENT;
	copy = *e; /* its place may be needed while it is written */
	return put(g, v, record.v, &copy, sizeof(copy));
}

const struct hypercall_ops guest_calls_ops = {
	.features = call_features,
	.track = call_track,
	.untrack = call_untrack,
	.freeze = call_freeze,
	.thaw = call_thaw,
	.events = call_events,
	.who = call_who,
};
