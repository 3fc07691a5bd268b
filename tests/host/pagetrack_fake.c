/* SPDX-License-Identifier: GPL-2.0-only */
/* The made-up MMU of the tests of pagetrack/. */
#include "tests/host/pagetrack_fake.h"
#include <string.h>
#include "lib/assert.h"
#include "tests/host/port_host.h"

_Thread_local unsigned int fake_running_cpu;

static struct page_track_slot *fake_slot_of(void *ctx, gfn_t g)
{
	struct fake_mmu *m = ctx;

	for (unsigned int i = 0; i < FAKE_SLOTS; i++)
		if (m->in_use[i] && g.v - m->slot[i].base_gfn.v < m->slot[i].npages)
			return &m->slot[i];
	return NULL;
}

static bool fake_protect(void *ctx, gfn_t g, enum page_track_mode mode)
{
	struct fake_mmu *m = ctx;

	ASSERT(m->pt.lock.locked);
	m->protects++;
	m->gfn = g;
	m->mode = mode;
	return m->may_be_cached;
}

static void fake_unprotect(void *ctx, gfn_t g, enum page_track_mode mode)
{
	struct fake_mmu *m = ctx;

	ASSERT(m->pt.lock.locked);
	m->unprotects++;
	m->gfn = g;
	m->mode = mode;
}

static void fake_flush(void *ctx)
{
	struct fake_mmu *m = ctx;

	ASSERT(m->pt.lock.locked && m->protects > 0);
	m->flushes++;
}

static unsigned int fake_own_count(void *ctx, gfn_t g, enum page_track_mode mode)
{
	struct fake_mmu *m = ctx;

	return mode == PAGE_TRACK_WRITE && g.v == m->own_gfn.v ? m->own : 0;
}

static void fake_written(void *ctx, const struct page_track_event *e)
{
	((struct fake_mmu *)ctx)->writes++;
}

static unsigned int fake_this_cpu(void) { return fake_running_cpu; }
static uint64_t fake_tsc(void *ctx) { return ((struct fake_mmu *)ctx)->tsc; }

void fake_init(struct fake_mmu *m)
{
	*m = (struct fake_mmu){
		.ops = {
			.slot_of = fake_slot_of, .protect = fake_protect, .unprotect = fake_unprotect,
			.flush = fake_flush, .own_count = fake_own_count, .written = fake_written,
			.cpu = fake_this_cpu, .tsc = fake_tsc,
		},
		.may_be_cached = true,
	};
	page_track_init(&m->pt, &m->ops, m);
}

void fake_retire(struct fake_mmu *m)
{
	struct page_tracker *t;

	while ((t = TAILQ_FIRST(&m->pt.trackers))) {
		int err = page_tracker_destroy(t);

		ASSERT(!err);
	}
}

bool fake_destroy(struct fake_mmu *m)
{
	for (unsigned int i = 0; i < FAKE_SLOTS; i++)
		if (m->in_use[i])
			fake_slot_delete(m, i);
	page_track_destroy(&m->pt);
	return host_pages_used() == 0;
}

void fake_forget(struct fake_mmu *m)
{
	m->protects = m->unprotects = m->flushes = m->writes = 0;
}

static void notify(struct fake_mmu *m, enum page_track_region_change change, unsigned int i,
		   uint64_t old_base)
{
	struct page_track_region r = {
		.change = change, .base = m->slot[i].base_gfn, .npages = m->slot[i].npages,
		.old_base = gfn(old_base),
	};

	page_track_notify_region(&m->pt, &r);
}

int fake_slot_create(struct fake_mmu *m, unsigned int i, uint64_t base, uint64_t npages)
{
	int err = page_track_slot_init(&m->slot[i], gfn(base), npages);

	if (err)
		return err;
	m->in_use[i] = true;
	err = page_track_slot_attach(&m->pt, &m->slot[i]);
	if (!err) {
		notify(m, REGION_CREATED, i, 0);
		return 0;
	}
	m->in_use[i] = false;
	page_track_slot_destroy(&m->slot[i]);
	return err;
}

void fake_slot_delete(struct fake_mmu *m, unsigned int i)
{
	notify(m, REGION_REMOVED, i, 0);
	page_track_slot_detach(&m->pt, &m->slot[i]);
	m->in_use[i] = false;
	page_track_slot_destroy(&m->slot[i]);
}

int fake_slot_move(struct fake_mmu *m, unsigned int i, uint64_t base)
{
	uint64_t old_base = m->slot[i].base_gfn.v;
	struct page_track_slot to;
	int err = page_track_slot_move_prepare(&m->pt, &m->slot[i], gfn(base), &to);

	if (err)
		return err;
	page_track_slot_detach(&m->pt, &m->slot[i]);
	page_track_slot_destroy(&m->slot[i]);
	m->slot[i] = to;
	err = page_track_slot_attach(&m->pt, &m->slot[i]);
	ASSERT(!err);
	notify(m, REGION_MOVED, i, old_base);
	return 0;
}

enum page_track_verdict fake_access(struct fake_mmu *m, uint64_t g, enum page_track_mode mode,
				    enum access_agent agent)
{
	const struct access_origin origin = { .agent = agent, .vcpu = ACCESS_NO_VCPU };
	const uint8_t old[8] = "before", new[8] = "after";
	uint8_t value[8];
	struct page_track_event e = {
		.mode = mode, .gpa = gpa(g << PAGE_SHIFT), .len = 8, .old = old,
		.new = mode == PAGE_TRACK_WRITE ? new : old, .origin = &origin,
	};

	memcpy(value, e.new, sizeof(value));
	e.verdict = page_track_before(&m->pt, &e, value);
	page_track_after(&m->pt, &e);
	return e.verdict;
}
