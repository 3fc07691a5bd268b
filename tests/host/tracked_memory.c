/* SPDX-License-Identifier: GPL-2.0-only */
/* See tracked_memory.h. */
#include "tests/host/tracked_memory.h"
#include <string.h>
#include "lib/assert.h"
#include "tests/host/port_host.h"

struct tracked_memory mem;
_Thread_local unsigned int tracked_cpu;

struct access_origin vcpu_at(uint64_t rip)
{
	return (struct access_origin){ .agent = AGENT_EMULATOR, .rip = rip, .gva = gva(0x1234) };
}

/* ---- the MMU's side --------------------------------------------------------- */

static struct page_track_slot *slot_of(void *mmu, gfn_t gfn)
{
	for (int i = 0; i < MEM_SLOTS; i++)
		if (mem.there[i] && gfn.v - mem.slot[i].base_gfn.v < mem.slot[i].npages)
			return &mem.slot[i];
	return NULL;
}

static bool protect(void *mmu, gfn_t gfn, enum page_track_mode mode)
{
	mem.protects++;
	return true;
}

static void unprotect(void *mmu, gfn_t gfn, enum page_track_mode mode)
{
	mem.unprotects++;
}

static void flush(void *mmu)
{
	mem.flushes++;
	if (mem.at_flush)
		mem.at_flush();
}

static unsigned int cpu(void) { return tracked_cpu; }
static uint64_t tsc(void *mmu) { return ++mem.tsc; }

static const struct page_track_mmu_ops ops = {
	.slot_of = slot_of, .protect = protect, .unprotect = unprotect,
	.flush = flush, .cpu = cpu, .tsc = tsc,
};

void tracked_make_slot(int i)
{
	struct page_track_region r = {
		.change = REGION_CREATED,
		.base = gfn(MEM_BASE + (i ? MEM_FIRST_SLOT : 0)),
		.npages = i ? MEM_PAGES - MEM_FIRST_SLOT : MEM_FIRST_SLOT,
	};
	int err = page_track_slot_init(&mem.slot[i], r.base, r.npages);

	ASSERT(!err);
	mem.there[i] = true;
	err = page_track_slot_attach(&mem.pt, &mem.slot[i]);
	ASSERT(!err);
	page_track_notify_region(&mem.pt, &r);
}

void tracked_remove_slot(int i)
{
	struct page_track_region r = {
		.change = REGION_REMOVED, .base = mem.slot[i].base_gfn, .npages = mem.slot[i].npages,
	};

	page_track_notify_region(&mem.pt, &r);
	page_track_slot_detach(&mem.pt, &mem.slot[i]);
	mem.there[i] = false;
	page_track_slot_destroy(&mem.slot[i]);
}

void tracked_open(void)
{
	memset(&mem, 0, sizeof(mem));
	page_track_init(&mem.pt, &ops, &mem);
	for (int i = 0; i < MEM_SLOTS; i++)
		tracked_make_slot(i);
}

size_t tracked_close(void)
{
	for (int i = 0; i < MEM_SLOTS; i++)
		if (mem.there[i])
			tracked_remove_slot(i);
	page_track_destroy(&mem.pt);
	return host_pages_used();
}

/* ---- accesses --------------------------------------------------------------- */

static uint8_t *page_at(gpa_t at)
{
	return mem.bytes[gpa_to_gfn(at).v - MEM_BASE];
}

/* The part of an access that lies in one page. */
struct part {
	struct page_track_event e;
	uint8_t old[MEM_ACCESS_MAX], value[MEM_ACCESS_MAX];
	bool told;
};

static void part_open(struct part *p, enum page_track_mode mode, gpa_t at, uint32_t len, const uint8_t *bytes,
		      const struct access_origin *by)
{
	struct page_track_slot *slot = slot_of(NULL, gpa_to_gfn(at));

	ASSERT(slot);
	memcpy(p->old, page_at(at) + gpa_offset(at), len);
	memcpy(p->value, mode == PAGE_TRACK_WRITE ? bytes : p->old, len);
	p->told = page_track_is_active(slot, gpa_to_gfn(at), mode);
	mem.silent += !p->told;
	p->e = (struct page_track_event){
		.mode = mode, .gpa = at, .len = len, .old = p->old, .page = page_at(at), .origin = by,
		.new = mode == PAGE_TRACK_READ ? NULL : p->value,
	};
}

static void part_make(struct part *p, enum page_track_verdict v, uint8_t *bytes)
{
	bool done = v == VERDICT_ALLOW || v == VERDICT_REPLACE;

	if (p->e.mode == PAGE_TRACK_WRITE && done)
		memcpy(page_at(p->e.gpa) + gpa_offset(p->e.gpa), p->value, p->e.len);
	if (p->e.mode == PAGE_TRACK_READ && !done)
		memset(p->value, 0, p->e.len);
	if (p->e.mode == PAGE_TRACK_READ)
		memcpy(bytes, p->value, p->e.len);
}

static enum page_track_verdict access_memory(enum page_track_mode mode, gpa_t at, uint8_t *bytes,
					     uint32_t len, const struct access_origin *by)
{
	enum page_track_verdict v = VERDICT_ALLOW;
	struct part part[2];
	unsigned int parts = 0;

	ASSERT(len && len <= MEM_ACCESS_MAX);
	for (uint32_t done = 0, n; done < len; done += n) {
		gpa_t here = gpa_add(at, done);
		uint32_t room = (uint32_t)(PAGE_SIZE - gpa_offset(here));
		uint8_t asked[MEM_ACCESS_MAX];
		struct part *p = &part[parts++];
		enum page_track_verdict mine;

		n = len - done <= room ? len - done : room;
		part_open(p, mode, here, n, bytes + done, by);
		memcpy(asked, p->value, n);
		mine = p->told ? page_track_before(&mem.pt, &p->e, asked) : VERDICT_ALLOW;
		if (mine == VERDICT_REPLACE)
			memcpy(p->value, asked, n);
		if (v == VERDICT_ALLOW)
			v = mine;
	}
	for (unsigned int i = 0; i < parts; i++) {
		part_make(&part[i], v, bytes);
		bytes += part[i].e.len;
	}
	for (unsigned int i = 0; i < parts; i++) {
		part[i].e.verdict = v;
		part[i].e.new = part[i].value;
		if (part[i].told)
			page_track_after(&mem.pt, &part[i].e);
	}
	return v;
}

enum page_track_verdict tracked_write(gpa_t at, const void *bytes, uint32_t len,
				      const struct access_origin *by)
{
	uint8_t copy[MEM_ACCESS_MAX];

	memcpy(copy, bytes, len);
	return access_memory(PAGE_TRACK_WRITE, at, copy, len, by);
}

enum page_track_verdict tracked_read(gpa_t at, void *bytes, uint32_t len, const struct access_origin *by)
{
	return access_memory(PAGE_TRACK_READ, at, bytes, len, by);
}

enum page_track_verdict tracked_fetch(gpa_t at, uint32_t len, const struct access_origin *by)
{
	uint8_t copy[MEM_ACCESS_MAX];

	return access_memory(PAGE_TRACK_EXEC, at, copy, len, by);
}

enum page_track_verdict tracked_step_write(gpa_t at, const void *bytes, uint32_t len)
{
	const struct access_origin by = { .agent = AGENT_GUEST };
	uint8_t old[PAGE_SIZE];
	struct page_track_event e = {
		.mode = PAGE_TRACK_WRITE, .gpa = gfn_to_gpa(gpa_to_gfn(at)), .len = PAGE_SIZE,
		.inexact = true, .page = page_at(at), .origin = &by,
	};

	memcpy(old, page_at(at), PAGE_SIZE);
	e.verdict = page_track_before(&mem.pt, &e, NULL);
	if (e.verdict == VERDICT_ALLOW) {
		memcpy(page_at(at) + gpa_offset(at), bytes, len);
		e.old = old;
		e.new = page_at(at);
	}
	page_track_after(&mem.pt, &e);
	return e.verdict;
}
