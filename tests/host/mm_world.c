/* SPDX-License-Identifier: GPL-2.0-only */
/* See the header. */
#include "tests/host/mm_world.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/alloc.h"
#include "lib/errno.h"
#include "mm/port.h"
#include "tests/host/mm_model.h"
#include "tests/host/mm_trackers.h"
#include "tests/host/port_host.h"

#define MAXPHYADDR 40
#define VCPUS 3
#define SLEEPERS 10 /* vCPUs that only pin their roots, in worlds with little room */

enum { LOW, MOVING, LARGE, SLOTS };

/* Slot LOW: where the tables are; it stays. */
#define LOW_PAGES 32
#define TABLE_PAGES 14
#define MOVING_PAGES 12
#define MOVING_BASE 64
#define MOVING_STRIDE 18
#define MOVING_PLACES 3
#define LARGE_BASE 512
#define LARGE_PAGES 520 /* one range of 2 MiB, and a bit */
#define GFNS TRACKED_GFNS

struct world {
	uint64_t seed, rng, step;
	uint64_t (*choose)(uint64_t n);
	struct mmu mmu;
	struct mmu_vcpu vcpu[VCPUS], sleeper[SLEEPERS];
	struct model_tlb tlb;
	bool large, tight;
	bool narrow;       /* one tracker is for one address space only: only_cr3 */
	uint64_t only_cr3;
	uint8_t *memory[SLOTS];
	size_t memory_bytes[SLOTS];
	struct memslot_desc desc[SLOTS];
	bool exists[SLOTS];
	gva_t recent[VCPUS][8]; /* addresses that the vCPUs have used */
};

struct world_seen world_seen;

static struct world w;

/* ---- chance --------------------------------------------------------------------- */

static uint64_t rnd(void)
{
	w.rng ^= w.rng >> 12;
	w.rng ^= w.rng << 25;
	w.rng ^= w.rng >> 27;
	return w.rng * 0x2545f4914f6cdd1dull;
}

static uint64_t below(uint64_t n) { return w.choose ? w.choose(n) : (rnd() >> 16) % n; }
static bool chance(unsigned int percent) { return below(100) < percent; }
static uint64_t anything(void) { return below(1ull << 32) << 32 | below(1ull << 32); }

static void check(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "%s (step %lu of the world SPOOR_SEED=0x%lx)\n", what, (unsigned long)w.step,
		(unsigned long)w.seed);
	abort();
}

static uint64_t some_gfn(void)
{
	unsigned int n = (unsigned int)below(100);

	if (n < 45)
		return below(TABLE_PAGES);
	if (n < 75)
		return below(LOW_PAGES);
	if (n < 88)
		return w.desc[MOVING].base_gfn.v + below(MOVING_PAGES);
	if (n < 97 && w.large)
		return LARGE_BASE + below(LARGE_PAGES);
	return below(GFNS);
}

static uint64_t some_gpte(unsigned int size)
{
	static const uint64_t large_frames[] = { 0, LARGE_BASE, LARGE_BASE, LARGE_BASE + 512 };
	uint64_t e = some_gfn() << 12;

	if (chance(15))
		e = (large_frames[below(4)] << 12) | 0x80;
	e |= (chance(95) ? 1 : 0) | (chance(85) ? 2 : 0) | (chance(85) ? 4 : 0);
	e |= below(4) << 5;
	if (chance(10))
		e |= below(8) << 9;
	if (chance(5))
		e |= 0x80;
	if (size == 8 && chance(6))
		e |= 1ull << 63;
	if (chance(1))
		e |= 1ull << below(size * 8);
	return size == 4 ? (uint32_t)e : e;
}

/* Indices and thus addresses are few. */
static uint64_t some_index(const struct guest_paging *p)
{
	static const uint16_t wide[] = { 0, 1, 511 }, narrow[] = { 0, 1, 256, 512, 1023 };

	return paging_pae(p) ? wide[below(3)] : narrow[below(5)];
}

static gva_t new_addr(const struct guest_paging *p)
{
	uint64_t offset = below(PAGE_SIZE) & ~7ull, a = 0;

	if (!paging_enabled(p))
		return gva((some_gfn() << 12) | offset);
	if (!paging_pae(p))
		return gva(some_index(p) << 22 | some_index(p) << 12 | offset);
	for (int level = 1; level <= 4; level++)
		a |= some_index(p) << (12 + 9 * (level - 1));
	a = paging_long(p) ? (uint64_t)((int64_t)(a << 16) >> 16) : (uint32_t)a;
	return gva(a | offset);
}

/* As real programs do, mostly one that was used just before. */
static gva_t some_addr(const struct mmu_vcpu *v)
{
	gva_t *recent = &w.recent[v - w.vcpu][below(8)];

	if (chance(40))
		*recent = new_addr(&v->paging);
	return paging_enabled(&v->paging) && paging_long(&v->paging) ? *recent : gva((uint32_t)recent->v);
}

/* A page is lent only if there is one. */
static int vcpus(void) { return w.narrow ? 1 : VCPUS; }
static struct mmu_vcpu *some_vcpu(void) { return &w.vcpu[below((uint64_t)vcpus())]; }

/* ---- the world -------------------------------------------------------------------- */

static void host_flush(void *ctx) { tlb_flush(&w.tlb); }

static uint8_t *va_of(gpa_t a)
{
	struct memslot *slot = memslot_find(&w.mmu.mem.slots, gpa_to_gfn(a));

	if (!slot)
		return NULL;
	return port_hpa_to_va(hpa_add(pfn_to_hpa(memslot_pfn(slot, gpa_to_gfn(a))), gpa_offset(a)));
}

static void make_memory(int id, uint64_t npages, uint64_t base)
{
	uint64_t spare = id == LARGE ? 512 : 0;
	uint64_t frame;

	w.memory_bytes[id] = (npages + spare) * PAGE_SIZE;
	w.memory[id] = mem_zalloc(w.memory_bytes[id]);
	check(w.memory[id] != NULL, "the host has no memory");
	frame = port_va_to_hpa(w.memory[id]).v >> PAGE_SHIFT;
	if (spare)
		frame = (frame + 511) & ~511ull;
	w.desc[id] = (struct memslot_desc){ .id = (uint32_t)id, .base_gfn = gfn(base), .npages = npages,
					    .base_pfn = pfn(frame) };
	check(mmu_slot_create(&w.mmu, &w.desc[id]) == 0, "a slot cannot be made");
	w.exists[id] = true;
}

/* Into a hole or a read-only slot, or not where a tracker denies it: all the same. */
static void write_gpte(gpa_t a, uint64_t e, unsigned int size, enum access_agent agent)
{
	(void)trackers_write(a, &e, size, agent);
}

static void fill_tables(void)
{
	for (uint64_t g = 0; g < TABLE_PAGES; g++)
		for (unsigned int i = 0; i < 1024; i++)
			if (i < 2 || (i > 509 && i < 514) || i > 1021)
				write_gpte(gpa(g << 12 | i * 4), some_gpte(8), 8 - 4 * (i & 1),
					   AGENT_LOADER);
}

static int sleepers(void) { return w.tight ? SLEEPERS : 0; }

/* Another page directory, and with it four other roots that stay pinned. */
static void turn_over(struct mmu_vcpu *v)
{
	struct guest_paging p = v->paging;

	p.cr0 = X86_CR0_PE | X86_CR0_PG | (chance(50) ? X86_CR0_WP : 0);
	p.cr4 = chance(50) ? X86_CR4_PSE : 0;
	p.cr3 = below(LOW_PAGES) << 12;
	check(mmu_set_paging(v, &p) == 0, "no root can be made");
}

void world_open(uint64_t seed)
{
	struct mmu_config cfg = { .shadow_pages = MMU_SHADOW_PAGES_MIN, .hash_key = seed,
				  .host = { .maxphyaddr = 46, .flush = host_flush } };
	struct trackers_world lent = { .mmu = &w.mmu, .below = below, .check = check };

	memset(&w, 0, sizeof(w));
	w.seed = seed;
	w.rng = seed * 0x9e3779b97f4a7c15ull | 1;
	w.large = chance(25);
	w.narrow = chance(30);
	w.tight = !w.narrow && chance(50);
	if (w.narrow)
		w.only_cr3 = lent.only_cr3 = (1 + below(TABLE_PAGES - 1)) << 12;
	check(mmu_init(&w.mmu, &cfg) == 0, "mmu_init");
	make_memory(LOW, LOW_PAGES, 0);
	make_memory(MOVING, MOVING_PAGES, MOVING_BASE);
	if (w.large)
		make_memory(LARGE, LARGE_PAGES, LARGE_BASE);
	trackers_open(&lent);
	fill_tables();
	for (int i = 0; i < vcpus(); i++)
		check(mmu_vcpu_init(&w.vcpu[i], &w.mmu, MAXPHYADDR, seed & 1) == 0, "a vCPU cannot be made");
	for (int i = 0; i < sleepers(); i++) {
		check(mmu_vcpu_init(&w.sleeper[i], &w.mmu, MAXPHYADDR, false) == 0, "a vCPU cannot be made");
		turn_over(&w.sleeper[i]);
	}
}

/* @all: of the large slot, too. */
static void compare_counts(bool all)
{
	trackers_compare(0, LOW_PAGES);
	trackers_compare(MOVING_BASE, MOVING_PLACES * MOVING_STRIDE);
	if (all)
		trackers_compare(0, GFNS);
}

void world_close(void)
{
	world_seen.reclaimed += w.mmu.stats.reclaimed;
	world_seen.flushes += w.mmu.stats.flushes;
	for (int i = 0; i < vcpus(); i++)
		mmu_vcpu_destroy(&w.vcpu[i]);
	for (int i = 0; i < sleepers(); i++)
		mmu_vcpu_destroy(&w.sleeper[i]);
	check(mmu_audit(&w.mmu) == 0, "audit after the last vCPU");
	compare_counts(true);
	trackers_close();
	check(mmu_audit(&w.mmu) == 0, "audit after the last tracker");
	mmu_destroy(&w.mmu);
	for (int i = 0; i < SLOTS; i++)
		mem_free(w.memory[i], w.memory_bytes[i]);
}

/* ---- an access ----------------------------------------------------------------------- */

static uint32_t left_by_tracking(const struct memslot *slot, gfn_t g)
{
	uint32_t left = ACCESS_ALL | ACCESS_READ;

	if (page_track_count(&slot->track, g, PAGE_TRACK_WRITE))
		left &= ~ACCESS_WRITE;
	if (page_track_count(&slot->track, g, PAGE_TRACK_EXEC))
		left &= ~ACCESS_EXEC;
	return page_track_count(&slot->track, g, PAGE_TRACK_READ) ? 0 : left;
}

/* To @v, under its CR3. */
static uint32_t left_to(const struct mmu_vcpu *v, const struct memslot *slot, gfn_t g)
{
	return w.narrow && paging_enabled(&v->paging) ? trackers_left(g, v->paging.cr3) : left_by_tracking(slot, g);
}

static uint32_t rights_for(const struct model_access *a)
{
	return ACCESS_READ | (a->error_code & PFERR_WRITE ? ACCESS_WRITE : 0) |
	       (a->error_code & PFERR_FETCH ? ACCESS_EXEC : 0);
}

static bool tracked_against(const struct memslot *slot, gfn_t g, const struct model_access *a)
{
	return rights_for(a) & ~left_by_tracking(slot, g);
}

static bool any_read_only(void)
{
	for (int i = 0; i < SLOTS; i++)
		if (w.exists[i] && (w.desc[i].flags & MEMSLOT_READONLY))
			return true;
	return false;
}

static bool is_logged(const struct memslot *slot, gfn_t g)
{
	uint64_t i = g.v - slot->base_gfn.v;

	return !slot->dirty_bitmap || (slot->dirty_bitmap[i / 64] >> (i % 64) & 1);
}

/* The CPU lets @a through to @t: may it? @stepping: some pages are open, for what was asked for. */
static void must_be_allowed(const struct mmu_vcpu *v, const struct model_access *a,
			    const struct cpu_translation *t, bool stepping)
{
	struct memslot *slot;
	struct oracle o;
	gfn_t g;

	oracle_walk(&o, &w.mmu.mem.slots, &v->paging, a);
	check(o.status == ORACLE_OK, "an access got through that the guest's tables forbid");
	g = gpa_to_gfn(o.gpa);
	slot = memslot_find(&w.mmu.mem.slots, g);
	check(slot != NULL, "an access got through to a hole");
	check(pfn_to_hpa(memslot_pfn(slot, g)).v == t->frame.v, "an access got through to another page");
	world_seen.lent += (rights_for(a) & ~left_by_tracking(slot, g) & left_to(v, slot, g)) != 0;
	check(!(rights_for(a) & ~left_to(v, slot, g) & ~(stepping ? trackers_step_rights(g) : 0)),
	      "an access to a tracked page got through");
	check(o.accessed || any_read_only(), "an access left the accessed bit clear");
	if (a->error_code & PFERR_WRITE) {
		check(o.dirty, "a write left the dirty bit clear");
		check(!(slot->flags & MEMSLOT_READONLY), "a write to a read-only slot got through");
		check(stepping || is_logged(slot, g), "a write was not logged");
	}
}

/* What the guest's instruction stores. */
static void store(hpa_t frame, gva_t addr)
{
	uint64_t e = chance(90) ? some_gpte(8) : anything();

	memcpy((uint8_t *)port_hpa_to_va(frame) + gva_offset(addr), &e, 8);
}

static bool goes_through(struct mmu_vcpu *v, const struct model_access *a, struct cpu_translation *t)
{
	struct cpu_translation *cached = tlb_find(&w.tlb, v, a->addr);

	if (cached && cpu_permits(v, cached, a)) {
		*t = *cached;
		world_seen.tlb_hits++;
		return true;
	}
	if (cached) {
		/* The CPU forgets a translation that faults; it may or may not
		 * have looked into the tables again first. */
		tlb_invalidate(&w.tlb, v, a->addr);
		if (chance(50))
			return false;
	}
	if (!cpu_walk(v, a->addr, t) || !cpu_permits(v, t, a))
		return false;
	tlb_insert(&w.tlb, v, a->addr, t);
	world_seen.cpu_hits++;
	return true;
}

static struct page_fault fault_of(const struct mmu_vcpu *v, const struct model_access *a)
{
	struct cpu_translation t;

	return (struct page_fault){ .addr = a->addr, .ac = a->ac, .implicit = a->implicit,
				    .error_code = a->error_code | cpu_walk(v, a->addr, &t) };
}

static void emulate_write(const struct page_fault *f)
{
	static const uint8_t widths[] = { 1, 2, 4, 8, 16 };
	uint8_t data[16];
	uint64_t e[2] = { some_gpte(8), some_gpte(8) };
	unsigned int width = widths[below(5)];
	uint64_t at = f->gpa.v & ~7ull;

	memcpy(data, e, sizeof(data));
	if (chance(20))
		at += below(8); /* misaligned */
	if ((at & 0xfff) + width > PAGE_SIZE)
		at = (at | 0xfff) + 1 - width;
	(void)trackers_write(gpa(at), data, width, AGENT_EMULATOR);
}

static void something_else(void);

/* The step has opened no more than what was asked for. */
static void must_be_closed_else(const struct mmu_vcpu *v, const struct page_fault *f)
{
	struct memslot *slot = memslot_find(&w.mmu.mem.slots, gpa_to_gfn(f->gpa));
	struct cpu_translation t;
	uint32_t rights;

	if (!slot || !cpu_walk(v, f->addr, &t) || t.frame.v != pfn_to_hpa(memslot_pfn(slot, gpa_to_gfn(f->gpa))).v)
		return;
	rights = left_to(v, slot, gpa_to_gfn(f->gpa)) | trackers_step_rights(gpa_to_gfn(f->gpa));
	check(!t.write || (rights & ACCESS_WRITE), "a step opens a page for writing that was not asked for");
	check(!t.exec || (rights & ACCESS_EXEC), "a step opens a page for fetches that was not asked for");
}

static void interrupt_step(void)
{
	something_else();
	check(mmu_audit(&w.mmu) == 0, "audit after a change during a step");
	world_seen.interrupted++;
}

/* True: the instruction was completed. */
static bool run_step(struct mmu_vcpu *v, const struct model_access *a, struct page_fault *f)
{
	struct cpu_translation t;

	for (int tries = 0, others = 0; ; tries++) {
		if (trackers_step_ask(v, f) != VERDICT_ALLOW)
			return false;
		if (trackers_step_open(v, f))
			return false;
		check(tries < 4, "a page cannot be opened");
		must_be_closed_else(v, f);
		if (chance(10))
			check(mmu_audit(&w.mmu) == 0, "audit during a step");
		if (others < 8 && chance(25)) {
			interrupt_step();
			others++;
			tries--; /* it may have taken the translation away */
		}
		if (goes_through(v, a, &t)) {
			must_be_allowed(v, a, &t, true);
			if ((a->error_code & PFERR_WRITE) && chance(90)) /* else a silent one */
				store(t.frame, a->addr);
			world_seen.steps++;
			return true;
		}
		if (trackers_fault(v, f) != FAULT_EMULATE)
			return false;
	}
}

static void native_step(struct mmu_vcpu *v, const struct model_access *a, struct page_fault *f)
{
	bool done = run_step(v, a, f);

	trackers_step_close(v, done && chance(95));
}

static void emulate(const struct model_access *a, const struct page_fault *f)
{
	if (a->error_code & PFERR_WRITE)
		emulate_write(f);
	else if (a->error_code & PFERR_FETCH)
		trackers_fetch(f->gpa);
	else
		(void)trackers_read(f->gpa, 1 + below(16), AGENT_EMULATOR);
}

static void must_emulate(struct mmu_vcpu *v, const struct model_access *a, struct page_fault *f,
			 const struct oracle *o)
{
	struct memslot *slot = memslot_find(&w.mmu.mem.slots, gpa_to_gfn(o->gpa));
	bool write = a->error_code & PFERR_WRITE;
	struct oracle after;

	oracle_walk(&after, &w.mmu.mem.slots, &v->paging, a);
	check(slot && o->status == ORACLE_OK && f->gpa.v == o->gpa.v,
	      "emulation of an access that is the guest's fault");
	check(tracked_against(slot, gpa_to_gfn(o->gpa), a) || (write && (slot->flags & MEMSLOT_READONLY)) ||
	      (write && o->forced && (v->paging.cr4 & X86_CR4_SMAP)) ||
	      (write && !after.dirty && any_read_only()),
	      "emulation of an access for no reason");
	if (chance(40))
		native_step(v, a, f);
	else
		emulate(a, f);
}

/* The guest's fault handler: maps something there. */
static void repair(const struct mmu_vcpu *v, const struct guest_walk *walk)
{
	unsigned int size = paging_pae(&v->paging) ? 8 : 4;
	uint64_t frame = walk->level > 1 ? below(TABLE_PAGES) : some_gfn();

	if (walk->level == 0 || (walk->top_level == 3 && walk->level == 3))
		return;
	write_gpte(walk->gpte_gpa[walk->level], frame << 12 | 5 | (chance(60) ? 2 : 0) | below(4) << 5, size,
		   AGENT_EMULATOR);
}

/* True: run the access again. */
static bool fault(struct mmu_vcpu *v, const struct model_access *a)
{
	struct page_fault f = fault_of(v, a);
	enum fault_result result;
	struct oracle o;

	oracle_walk(&o, &w.mmu.mem.slots, &v->paging, a);
	result = trackers_fault(v, &f);
	world_seen.result[result]++;
	switch (result) {
	case FAULT_FIXED:
	case FAULT_SPURIOUS:
		check(o.status == ORACLE_OK, "a fault of the guest was not injected");
		check(f.gpa.v == o.gpa.v, "the fault reports another gpa");
		return true;
	case FAULT_INJECT:
		check(o.status != ORACLE_OK, "a fault was injected that is not the guest's");
		check(f.inject_code == o.error_code, "a fault was injected with a wrong error code");
		if (chance(40))
			repair(v, &f.walk);
		return false;
	case FAULT_MMIO:
		check(o.status == ORACLE_OK && f.gpa.v == o.gpa.v && !va_of(o.gpa), "MMIO where RAM is");
		return false;
	case FAULT_EMULATE:
		must_emulate(v, a, &f, &o);
		return false;
	default:
		check(false, "the quota cannot hold one path");
		return false;
	}
}

static void touch(struct mmu_vcpu *v)
{
	struct model_access a = { .addr = some_addr(v), .ac = chance(50), .implicit = chance(10) };
	struct cpu_translation t;

	a.error_code = chance(40) ? PFERR_WRITE : chance(20) ? PFERR_FETCH : 0;
	if (a.implicit)
		a.error_code = 0;
	else if (chance(50))
		a.error_code |= PFERR_USER;
	for (int tries = 0; ; tries++) {
		check(tries < 6, "an access gets nowhere");
		if (goes_through(v, &a, &t)) {
			must_be_allowed(v, &a, &t, false);
			if ((a.error_code & PFERR_WRITE) && chance(60))
				store(t.frame, a.addr);
			return;
		}
		if (!fault(v, &a))
			return;
	}
}

/* ---- other operations ------------------------------------------------------------------- */

/* False: a width or an address that CMPXCHG has not. */
static bool exchange(gpa_t at, const void *desired, unsigned int width)
{
	int err = trackers_exchange(at, desired, width);

	world_seen.exchanges += err == 0;
	return err != -EINVAL;
}

static void write_table(void)
{
	static const uint8_t widths[] = { 8, 8, 8, 4, 4, 2, 1, 16 };
	const struct guest_paging *p = &some_vcpu()->paging;
	unsigned int width = widths[below(8)], size = paging_pae(p) ? 8 : 4;
	uint64_t at = below(chance(80) ? TABLE_PAGES : LOW_PAGES) << 12 | some_index(p) * size;
	uint64_t e[2] = { some_gpte(size), some_gpte(size) };

	if (size == 4)
		e[0] |= some_gpte(4) << 32;
	if (chance(15)) { /* change flags alone */
		memcpy(e, va_of(gpa(at)), 8);
		e[0] ^= 1ull << below(8);
	}
	if (chance(5))
		at += below(4);
	if ((at & 0xfff) + width > PAGE_SIZE)
		width = (unsigned int)(PAGE_SIZE - (at & 0xfff));
	if (chance(20) && exchange(gpa(at), e, width))
		return;
	(void)trackers_write(gpa(at), e, width, chance(80) ? AGENT_EMULATOR : AGENT_INJECTION);
}

static void write_long(void)
{
	uint8_t data[TRACKERS_BYTES];
	uint64_t at = below((LOW_PAGES - 1) << 12), len = 1 + below(sizeof(data));

	for (size_t i = 0; i < len; i++)
		data[i] = chance(50) ? 0 : (uint8_t)below(256);
	(void)trackers_write(gpa(at), data, len, AGENT_DEVICE);
}

static void read_some(void)
{
	uint64_t at = some_gfn() << 12 | below(PAGE_SIZE), len = 1 + below(chance(80) ? 32 : TRACKERS_BYTES);

	(void)trackers_read(gpa(at), len, chance(50) ? AGENT_EMULATOR : AGENT_DEVICE);
}

static void make_pdpt(uint64_t cr3)
{
	for (unsigned int i = 0; i < 4; i++)
		write_gpte(gpa((cr3 & ~31ull) + i * 8), some_gfn() << 12 | chance(85), 8, AGENT_EMULATOR);
}

/* The same tables under other rules. */
static void toggle_bit(struct mmu_vcpu *v)
{
	struct guest_paging p = v->paging;

	switch (below(5)) {
	case 0: case 1: p.cr0 ^= X86_CR0_WP; break;
	case 2: p.cr4 ^= X86_CR4_SMEP; break;
	case 3: p.cr4 ^= X86_CR4_SMAP; break;
	default: p.efer ^= EFER_NXE; break;
	}
	check(mmu_set_paging(v, &p) == 0, "no root can be made");
	for (int i = 0; i < 6; i++)
		touch(v);
}

/* From the address space of the tracker to another and back, by CR3 alone: what PDPTEs the vCPU
 * has it keeps, and the tables with them. */
static void switch_space(struct mmu_vcpu *v)
{
	struct guest_paging p = v->paging;

	for (int n = 0; n < 4; n++) {
		p.cr3 = n % 2 ? w.only_cr3 : below(TABLE_PAGES) << 12;
		check(mmu_set_paging(v, &p) == 0, "no root can be made");
		for (int i = 0; i < 6; i++)
			touch(v);
	}
}

static void set_paging(struct mmu_vcpu *v)
{
	struct guest_paging p = v->paging;
	unsigned int mode = (unsigned int)below(4);

	if (w.narrow && chance(50)) {
		switch_space(v);
		return;
	}
	if (chance(35)) {
		toggle_bit(v);
		return;
	}
	p.cr3 = (chance(96) ? below(TABLE_PAGES) : some_gfn()) << 12;
	if (w.narrow && chance(40))
		p.cr3 = w.only_cr3;
	if (chance(40))
		mode = 4; /* CR3 alone */
	else
		p.cr0 = p.cr4 = p.efer = 0;
	if (mode < 4) {
		world_seen.modes[mode]++;
		p.cr0 = X86_CR0_PE | (chance(60) ? X86_CR0_WP : 0) | (mode > 0 ? X86_CR0_PG : 0);
		p.cr4 = (mode >= 2 ? X86_CR4_PAE : 0) | (chance(60) ? X86_CR4_PSE : 0) |
			(chance(25) ? X86_CR4_SMEP : 0) | (chance(25) ? X86_CR4_SMAP : 0);
		p.efer = (chance(70) ? EFER_NXE : 0) | (mode == 3 ? EFER_LME | EFER_LMA : 0);
	}
	if (paging_enabled(&p) && paging_pae(&p) && !paging_long(&p)) {
		p.cr3 |= below(4) << 5;
		make_pdpt(p.cr3);
		if (guest_load_pdptes(&w.mmu.mem, &p, p.pdpte))
			return;
	}
	check(mmu_set_paging(v, &p) == 0, "no root can be made");
}

static void track(void)
{
	uint64_t g = some_gfn();

	if (g >= LARGE_BASE && chance(80))
		return; /* else there would be no large mapping */
	trackers_change(g);
}

static void change_slot(void)
{
	int id = w.large && chance(40) ? LARGE : chance(90) ? MOVING : LOW;
	struct memslot_desc *d = &w.desc[id];
	uint64_t base = MOVING_BASE + below(MOVING_PLACES) * MOVING_STRIDE;
	uint32_t flags = (uint32_t)below(4);
	int err;

	if (chance(30))
		host_fail_allocation((long)below(16));
	if (id != LOW && !w.exists[id]) {
		d->flags = flags;
		err = trackers_slot_create(d);
		w.exists[id] = err == 0;
	} else if (id == MOVING && chance(40)) {
		err = trackers_slot_move(d, gfn(base));
		if (!err)
			d->base_gfn = gfn(base);
	} else if (id != LOW && chance(40)) {
		err = trackers_slot_delete(d);
		check(err == 0, "a slot cannot be deleted");
		w.exists[id] = false;
	} else {
		if (id == LOW)
			flags &= MEMSLOT_LOG_DIRTY;
		err = mmu_slot_set_flags(&w.mmu, (uint32_t)id, flags);
		if (!err)
			d->flags = flags;
	}
	host_fail_allocation(-1);
	check(err == 0 || err == -ENOMEM, "a slot cannot be changed");
	compare_counts(id == LARGE && chance(10));
	world_seen.nomem += err != 0;
}

/* A vCPU goes, and one comes in its place: at the second try, if memory runs
 * out. */
static void remake_vcpu(void)
{
	struct mmu_vcpu *v = some_vcpu();
	int err;

	mmu_vcpu_destroy(v);
	host_fail_allocation((long)below(3));
	err = mmu_vcpu_init(v, &w.mmu, MAXPHYADDR, w.seed & 1);
	host_fail_allocation(-1);
	check(err == 0 || err == -ENOMEM, "a vCPU cannot be made");
	world_seen.nomem += err != 0;
	if (err)
		err = mmu_vcpu_init(v, &w.mmu, MAXPHYADDR, w.seed & 1);
	check(err == 0, "a vCPU cannot be made");
	world_seen.remade++;
}

/* What may happen while a vCPU steps and the others are kept out of the guest. */
static void something_else(void)
{
	for (unsigned int n = 1 + (unsigned int)below(3); n > 0; n--) {
		unsigned int what = (unsigned int)below(100);

		if (what < 30)
			write_table();
		else if (what < 40)
			write_long();
		else if (what < 75)
			track();
		else if (what < 80)
			trackers_give_back();
		else
			change_slot();
	}
}

static void one_step(void)
{
	unsigned int n = (unsigned int)below(1000);

	if (n < 660)
		touch(some_vcpu());
	else if (n < 860)
		write_table();
	else if (n < 868)
		write_long();
	else if (n < 880)
		read_some();
	else if (n < 920)
		set_paging(some_vcpu());
	else if (n < 975)
		track();
	else if (n < 982)
		trackers_give_back();
	else if (n < 990)
		change_slot();
	else if (n < 993)
		remake_vcpu();
	else if (n < 997 && w.tight)
		turn_over(&w.sleeper[below(SLEEPERS)]);
	else
		mmu_invlpg(some_vcpu(), gva(0));
}

static void count_large(void)
{
	const uint64_t large = SPTE_PRESENT | SPTE_LARGE;

	for (size_t i = 0; i < (size_t)w.mmu.pool.total * SPTES_PER_PAGE; i++)
		world_seen.large += (w.mmu.pool.tables[i] & large) == large;
}

void world_step(uint64_t (*choose)(uint64_t n))
{
	w.choose = choose;
	one_step();
	w.step++;
	if (w.large && w.step % 64 == 0)
		count_large();
	check(mmu_audit(&w.mmu) == 0, "audit");
	if (w.step % 256 == 0)
		compare_counts(w.step % 1024 == 0);
	w.choose = NULL;
}
