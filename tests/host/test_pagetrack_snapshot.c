/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Snapshots of guest memory over the real shadow MMU: all bytes come back, whoever
 * wrote them, and it costs what is dirty. SPOOR_SEED chooses the random writers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "lib/alloc.h"
#include "lib/errno.h"
#include "mm/port.h"
#include "pagetrack/snapshot.h"
#include "tests/host/mm_fixture.h"
#include "tests/host/others.h"
#include "tests/host/port_host.h"
#include "tests/host/random.h"

#define PAGES 700  /* in two chunks */
#define DATA 64    /* gfn of the first page that is no table */
#define KEY 0x123456789ull
#define EXTRA_ID 7
#define EXTRA 2048 /* gfn of a slot that comes and goes */
#define EXTRA_PAGES 8

static struct fixture fx;
static struct page_snapshot s;
static uint8_t *before;          /* [PAGES] what memory held at the take */
static unsigned int writes, lost, restored;
static enum page_snapshot_loss lost_why;
static uint64_t random_state, incremental;
static uint8_t *extra;

static uint64_t rnd(void)
{
	return random_next(&random_state);
}

static uint8_t *ram(uint64_t page) { return port_hpa_to_va(pfn_to_hpa(pfn_add(fx.base_pfn, page))); }

static const uint8_t *page_at(void *ctx, gfn_t gfn)
{
	const struct memslot *slot = memslot_find(&fx.mmu.mem.slots, gfn);

	return slot ? port_hpa_to_va(pfn_to_hpa(memslot_pfn(slot, gfn))) : NULL;
}

static int write_at(void *ctx, gpa_t at, const uint8_t *bytes, uint32_t len)
{
	writes++;
	return guest_write(&fx.mmu.mem, at, bytes, len, BY(DEBUGGER));
}

static void note_restored(void *ctx, gfn_t gfn, const uint8_t *copy, const uint8_t *page)
{
	restored++;
	incremental += page_snapshot_hash(KEY, gfn, page) - page_snapshot_hash(KEY, gfn, copy);
	assert_ptr_equal(page, page_at(NULL, gfn));
}

static const struct page_snapshot_memory memory = {
	.page = page_at, .write = write_at, .restored = note_restored,
};

static void note_lost(struct page_snapshot *which, enum page_snapshot_loss why)
{
	lost++;
	lost_why = why;
	assert_true(which->lost);
}

static int setup(void **state)
{
	random_state = number_from_environment("SPOOR_SEED", 1) * 0x9E3779B97F4A7C15ull | 1;
	before = malloc(PAGES * PAGE_SIZE);
	fx_open(&fx, PAGES, 256);
	for (uint64_t i = DATA; i < PAGES; i++)
		for (unsigned int k = 0; k < PAGE_SIZE; k += 8)
			memcpy(ram(i) + k, &(uint64_t){ i * 512 + k }, 8);
	fx_long_mode(&fx);
	for (uint64_t i = 0; i < PAGES; i++)
		fx_map(&fx, i << PAGE_SHIFT, 1, i << PAGE_SHIFT | G_P | G_W | G_U);
	for (uint64_t i = DATA; i < PAGES; i += i < DATA + 16 ? 1 : 3)
		fx_touch(&fx, i << PAGE_SHIFT, PFERR_WRITE, NULL);
	s = (struct page_snapshot){ .tracker = { .name = "snapshot", .priority = 3 } };
	s.tell_lost = note_lost;
	writes = lost = restored = 0;
	others_ears = (struct others_ears){ 0 };
	host_fail_allocation(-1);
	return 0;
}

static void clear_others(void)
{
	if (others.pt)
		assert_int_equal(page_tracker_destroy(&others), 0);
}

static int teardown(void **state)
{
	page_snapshot_drop(&s);
	clear_others();
	if (extra)
		(void)!mmu_slot_delete(&fx.mmu, EXTRA_ID);
	mem_free(extra, EXTRA_PAGES * PAGE_SIZE);
	extra = NULL;
	fx_close(&fx);
	free(before);
	return 0;
}

static void take(void)
{
	assert_int_equal(page_snapshot_take(&s, &fx.mmu.mem.track, NULL), 0);
	memcpy(before, ram(0), PAGES * PAGE_SIZE);
}

static void restore(void) { assert_int_equal(page_snapshot_restore(&s, &memory), 0); }
static void must_be_as_before(void) { assert_memory_equal(before, ram(0), PAGES * PAGE_SIZE); }
static uint64_t hash(void) { return page_snapshot_hash_all(&fx.mmu.mem.track, KEY, &memory); }

static unsigned int count(uint64_t page)
{
	return page_tracker_count(&s.tracker, gfn(page), PAGE_TRACK_WRITE);
}

static uint64_t counts(void)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < PAGES; i++)
		sum += count(i);
	return sum;
}

/* As the guest does: natively if the page lets it, else emulated. */
static void store(uint64_t page, unsigned int at, uint64_t value)
{
	gpa_t where = gpa(page << PAGE_SHIFT | at);
	enum fault_result r = fx_touch(&fx, where.v, PFERR_WRITE, NULL);

	if (r == FAULT_FIXED) {
		memcpy(ram(page) + at, &value, sizeof(value));
	} else {
		assert_int_equal(r, FAULT_EMULATE);
		assert_int_equal(guest_write(&fx.mmu.mem, where, &value, sizeof(value), BY(EMULATOR)), 0);
	}
}

static bool runs_freely(uint64_t page)
{
	return fx_touch(&fx, page << PAGE_SHIFT, PFERR_WRITE, NULL) == FAULT_FIXED;
}

/* ---- take, write, restore ------------------------------------------------------ */

static void a_take_tracks_all_with_one_flush(void **state)
{
	unsigned int flushes = fx.flushes;

	take();
	assert_int_equal(fx.flushes - flushes, 1);
	assert_int_equal(counts(), PAGES);
	assert_int_equal(s.dirty, 0);
	assert_int_equal(s.copies, 0);
	assert_false(runs_freely(DATA));
	assert_audit(&fx);
	restore();
	assert_int_equal(writes, 0);
	assert_int_equal(fx.flushes - flushes, 1);
}

static void the_first_write_is_the_last_that_traps(void **state)
{
	take();
	store(DATA, 8, 1);
	assert_int_equal(count(DATA), 0);
	assert_int_equal(counts(), PAGES - 1);
	assert_int_equal(s.dirty, 1);
	assert_int_equal(s.copies, 1);
	assert_true(runs_freely(DATA));
	store(DATA, 16, 2);
	assert_int_equal(s.tracker.hits, 0); /* it went before it was told */
	assert_int_equal(s.copies, 1);
	restore();
	must_be_as_before();
	assert_int_equal(counts(), PAGES);
	assert_false(runs_freely(DATA));
	assert_audit(&fx);
}

/* The page of @f is opened, and what is written there is told afterwards. */
static void step_natively(uint64_t page)
{
	struct page_fault f = { .addr = gva(page << PAGE_SHIFT | 24), .error_code = PFERR_WRITE };

	assert_int_equal(mmu_page_fault(&fx.v, &f), FAULT_EMULATE);
	assert_int_equal(mmu_step_ask(&fx.v, &f), VERDICT_ALLOW);
	assert_int_equal(mmu_step_open(&fx.v, &f), 0);
	memset(ram(page) + 24, 0xAA, 64);
	mmu_step_close(&fx.v, true);
}

static void whoever_writes_is_noticed(void **state)
{
	static const struct access_origin by[] = {
		{ .agent = AGENT_EMULATOR }, { .agent = AGENT_GUEST }, { .agent = AGENT_WALKER },
		{ .agent = AGENT_INJECTION }, { .agent = AGENT_DEVICE }, { .agent = AGENT_HYPERCALL },
		{ .agent = AGENT_LOADER }, { .agent = AGENT_DEBUGGER },
	};
	struct guest_mem *m = &fx.mmu.mem;
	uint64_t expected, put = 5;

	take();
	for (unsigned int i = 0; i < ARRAY_SIZE(by); i++)
		assert_int_equal(guest_write(m, gpa((DATA + i) << PAGE_SHIFT), "abc", 3, &by[i]), 0);
	memcpy(&expected, ram(DATA + 20), 8);
	assert_int_equal(guest_cmpxchg(m, gpa((DATA + 20) << PAGE_SHIFT), &expected, &put, 8, &by[0]), 0);
	step_natively(DATA + 31);
	assert_int_equal(s.dirty, ARRAY_SIZE(by) + 2);
	/* The walk of a page that was not used yet sets A and D. */
	assert_int_equal(fx_touch(&fx, (DATA + 41) << PAGE_SHIFT | 8, 0, NULL), FAULT_FIXED);
	assert_true(s.dirty > ARRAY_SIZE(by) + 2);
	assert_true(memcmp(before, ram(0), DATA << PAGE_SHIFT) != 0);
	restore();
	must_be_as_before();
	assert_int_equal(counts(), PAGES);
	assert_audit(&fx);
}

static void a_write_across_pages(void **state)
{
	static uint8_t many[3 * PAGE_SIZE];

	take();
	assert_int_equal(guest_write(&fx.mmu.mem, gpa((DATA << PAGE_SHIFT) + 4000), many, sizeof(many),
				     BY(DEVICE)), 0);
	assert_int_equal(s.dirty, 4);
	restore();
	must_be_as_before();
}

static void a_restore_costs_what_is_dirty(void **state)
{
	unsigned int flushes;

	take();
	for (unsigned int n = 1; n <= 64; n *= 2) {
		for (unsigned int i = 0; i < n; i++)
			store(DATA + 5 * i, 128, rnd());
		assert_true(s.dirty >= n && s.dirty <= n + 4); /* A and D bits are in tables */
		flushes = fx.flushes;
		writes = restored = 0;
		restore();
		assert_true(restored >= n && restored <= n + 4);
		assert_true(writes >= n && writes <= n + 12);
		/* One for all the counts; what the MMU flushes for restored tables is beside. */
		assert_true(fx.flushes - flushes <= 1 + (writes - n));
		must_be_as_before();
	}
}

/* Written to again, it needs no memory. */
static void copies_stay(void **state)
{
	take();
	store(DATA, 0, 1);
	restore();
	assert_int_equal(s.copies, 1);
	host_fail_allocation(0);
	store(DATA, 8, 3);
	host_fail_allocation(-1);
	assert_int_equal(lost, 0);
	assert_int_equal(s.dirty, 1);
	assert_int_equal(s.copies, 1);
	restore();
	must_be_as_before();
}

static void a_page_that_is_as_it_was_is_not_written(void **state)
{
	uint64_t same;

	take();
	memcpy(&same, ram(DATA) + 8, 8);
	store(DATA, 8, same);
	assert_int_equal(s.dirty, 1);
	restore();
	assert_int_equal(writes, 0);
	assert_int_equal(s.dirty, 0);
	assert_int_equal(counts(), PAGES);
}

static void a_second_take_is_of_its_moment(void **state)
{
	unsigned int flushes;

	take();
	store(DATA, 8, 1);
	restore();
	store(DATA, 8, 2);
	store(DATA + 1, 8, 2);
	assert_true(runs_freely(DATA) && runs_freely(DATA + 1));
	flushes = fx.flushes;
	take();
	assert_int_equal(fx.flushes - flushes, 1);
	assert_int_equal(counts(), PAGES);
	assert_int_equal(s.dirty, 0);
	assert_int_equal(s.copies, 0);
	store(DATA, 8, 3);
	store(DATA + 2, 8, 3);
	restore();
	must_be_as_before();
	assert_int_equal(ram(DATA)[8], 2);
}

static void nothing_to_restore(void **state)
{
	const struct page_track_slot *track = &fx.mmu.mem.slots.slot[0]->track;
	uint64_t own = page_track_total(track, PAGE_TRACK_WRITE); /* the MMU's */
	static const struct page_track_mmu_ops none;
	struct page_track empty;

	assert_int_equal(page_snapshot_restore(&s, &memory), -ENOENT);
	take();
	assert_int_equal(page_track_total(track, PAGE_TRACK_WRITE), own + PAGES);
	page_snapshot_drop(&s);
	assert_int_equal(page_snapshot_restore(&s, &memory), -ENOENT);
	assert_int_equal(page_track_total(track, PAGE_TRACK_WRITE), own);
	page_snapshot_drop(&s);
	page_track_init(&empty, &none, NULL);
	assert_int_equal(page_snapshot_take(&s, &empty, NULL), -EINVAL);
	page_track_destroy(&empty);
}

/* ---- other trackers -------------------------------------------------------------- */

static unsigned int heard[AGENTS];
static enum page_track_verdict answer;

static void hear(const struct page_track_event *e)
{
	if (e->mode == PAGE_TRACK_WRITE)
		heard[e->origin->agent]++;
}

static enum page_track_verdict say(const struct page_track_event *e, uint8_t *value)
{
	if (answer == VERDICT_REPLACE && value)
		value[0] ^= 0x80;
	return answer;
}

static void others_are_told(void **state)
{
	for (int priority = 0; priority < 10; priority += 9) {
		memset(heard, 0, sizeof(heard));
		clear_others();
		others.priority = priority;
		others_ears = (struct others_ears){ .after = hear };
		assert_int_equal(others_add(&fx.mmu, gfn(DATA), PAGE_TRACK_WRITE), 0);
		take();
		for (int i = 0; i < 3; i++)
			store(DATA, 8, (uint64_t)i + 77);
		assert_int_equal(heard[AGENT_EMULATOR], 3);
		restore();
		must_be_as_before();
		assert_int_equal(heard[AGENT_DEBUGGER], 1);
		store(DATA, 8, 9);
		assert_int_equal(heard[AGENT_EMULATOR], 4);
		restore();
		page_snapshot_drop(&s);
		assert_int_equal(page_tracker_count(&others, gfn(DATA), PAGE_TRACK_WRITE), 1);
	}
	others.priority = 5;
}

/* Kept for nothing. */
static void a_write_that_is_not_made_does_no_harm(void **state)
{
	others_ears = (struct others_ears){ .before = say };
	assert_int_equal(others_add(&fx.mmu, gfn(DATA), PAGE_TRACK_WRITE), 0);
	take();
	answer = VERDICT_DENY_PF;
	assert_int_equal(guest_write(&fx.mmu.mem, gpa(DATA << PAGE_SHIFT), "abc", 3, BY(EMULATOR)), -EACCES);
	must_be_as_before();
	restore();
	assert_int_equal(writes, 0);
	assert_int_equal(count(DATA), 1);
	answer = VERDICT_NONE;
}

static void a_restore_that_others_forbid(void **state)
{
	static const struct { enum page_track_verdict verdict; int err; } no[] = {
		{ VERDICT_DENY_PF, -EACCES }, { VERDICT_DENY_GP, -EPERM }, { VERDICT_SKIP, -EACCES },
		{ VERDICT_REPLACE, -EACCES },
	};

	others_ears = (struct others_ears){ .before = say };
	assert_int_equal(others_add(&fx.mmu, gfn(DATA + 1), PAGE_TRACK_WRITE), 0);
	take();
	for (unsigned int i = 0; i < ARRAY_SIZE(no); i++) {
		for (uint64_t page = DATA; page < DATA + 3; page++)
			store(page, 0, 0x1111 + i);
		answer = no[i].verdict;
		assert_int_equal(page_snapshot_restore(&s, &memory), no[i].err);
		answer = VERDICT_NONE;
		assert_int_equal(count(DATA), 1);
		assert_int_equal(count(DATA + 1), 0);
		assert_int_equal(count(DATA + 2), 0);
		assert_int_equal(s.dirty, 2);
		store(DATA + 2, 8, 0x2222);
		restore();
		must_be_as_before();
		assert_int_equal(counts(), PAGES);
	}
}

/* Writes beside the restore, of pages that were and were not dirty. */
static void meddle(const struct page_track_event *e)
{
	if (e->origin->agent != AGENT_DEBUGGER)
		return;
	assert_int_equal(guest_write(&fx.mmu.mem, gpa((DATA + 7) << PAGE_SHIFT), "zz", 2, BY(DEVICE)), 0);
	assert_int_equal(guest_write(&fx.mmu.mem, gpa(DATA << PAGE_SHIFT), "zz", 2, BY(DEVICE)), 0);
}

static void what_is_written_meanwhile_is_dirty(void **state)
{
	take();
	store(DATA, 8, 1);
	store(DATA + 1, 8, 1);
	others_ears = (struct others_ears){ .after = meddle };
	assert_int_equal(others_add(&fx.mmu, gfn(DATA + 1), PAGE_TRACK_WRITE), 0);
	restore();
	others_ears.after = NULL;
	assert_int_equal(s.dirty, 2);
	assert_int_equal(ram(DATA)[0], 'z');
	restore();
	must_be_as_before();
	assert_int_equal(counts(), PAGES);
}

/* ---- it is lost ---------------------------------------------------------------------- */

static void must_be_lost(enum page_snapshot_loss why)
{
	assert_int_equal(lost, 1);
	assert_int_equal(lost_why, why);
	assert_true(s.lost);
	assert_int_equal(s.copies, 0);
	assert_int_equal(counts(), 0);
	assert_int_equal(page_snapshot_restore(&s, &memory), -ENOENT);
	assert_audit(&fx);
}

static void no_memory_for_a_copy(void **state)
{
	size_t used;

	take();
	page_snapshot_drop(&s);
	used = host_pages_used(); /* with chunks, which stay */
	take();
	store(DATA, 8, 1);
	host_fail_allocation(0);
	store(DATA + 1, 8, 0x5555);
	host_fail_allocation(-1);
	must_be_lost(SNAPSHOT_LOST_MEMORY);
	assert_int_equal(ram(DATA + 1)[8], 0x55); /* the guest runs on */
	store(DATA + 2, 8, 1);
	assert_true(runs_freely(DATA + 3));
	assert_int_equal(lost, 1);
	assert_null(fx.mmu.mem.track.stopped_by);
	assert_int_equal(host_pages_used(), used);
	take();
	store(DATA, 8, 2);
	restore();
	must_be_as_before();
}

static void the_quota_is_full(void **state)
{
	s.quota = 2;
	take();
	store(DATA, 8, 1);
	store(DATA + 1, 8, 1);
	restore();
	store(DATA, 8, 1);
	assert_int_equal(lost, 0);
	store(DATA + 2, 8, 1);
	must_be_lost(SNAPSHOT_LOST_QUOTA);
}

static void the_vm_stops_if_asked_for(void **state)
{
	s.quota = 1;
	s.stop_if_lost = true;
	take();
	store(DATA, 8, 1);
	assert_null(fx.mmu.mem.track.stopped_by);
	store(DATA + 1, 8, 1);
	assert_ptr_equal(fx.mmu.mem.track.stopped_by, &s.tracker);
	assert_int_equal(lost, 1);
}

static void a_take_without_memory_leaves_nothing(void **state)
{
	int err = -ENOMEM;

	for (long nth = 0; err; nth++) {
		size_t used = host_pages_used();

		assert_true(nth < 20);
		host_fail_allocation(nth);
		err = page_snapshot_take(&s, &fx.mmu.mem.track, NULL);
		host_fail_allocation(-1);
		if (!err)
			break;
		assert_int_equal(err, -ENOMEM);
		assert_false(s.taken);
		assert_null(s.tracker.pt);
		assert_int_equal(page_snapshot_restore(&s, &memory), -ENOENT);
		assert_true(host_pages_used() <= used + 2); /* chunks stay */
		assert_int_equal(counts(), 0);
		assert_true(runs_freely(DATA));
		if (nth > 4) /* chunks are there by now: no page more */
			assert_int_equal(host_pages_used(), used);
	}
	assert_int_equal(lost, 0);
	assert_int_equal(counts(), PAGES);
}

/* All pages of a chunk are dirty: its hold is gone and must be made again. */
static void dirty_the_second_chunk(uint64_t value)
{
	for (uint64_t page = 512; page < PAGES; page++)
		assert_int_equal(guest_write(&fx.mmu.mem, gpa(page << PAGE_SHIFT), &value, 8, BY(DEVICE)), 0);
}

static void a_restore_without_memory_changes_nothing(void **state)
{
	static uint8_t dirty[PAGES * PAGE_SIZE];

	take();
	dirty_the_second_chunk(99);
	memcpy(dirty, ram(0), sizeof(dirty));
	host_fail_allocation(0);
	assert_int_equal(page_snapshot_restore(&s, &memory), -ENOMEM);
	host_fail_allocation(0);
	assert_int_equal(page_snapshot_take(&s, &fx.mmu.mem.track, NULL), -ENOMEM);
	host_fail_allocation(-1);
	assert_int_equal(writes, 0);
	assert_memory_equal(dirty, ram(0), sizeof(dirty));
	assert_int_equal(s.dirty, PAGES - 512);
	assert_int_equal(lost, 0);
	restore();
	must_be_as_before();
	assert_int_equal(counts(), PAGES);
}

/* While it is being restored: another tracker writes, and there is no room for that page. */
static void lost_in_the_middle_of_a_restore(void **state)
{
	s.quota = 2;
	take();
	store(DATA, 8, 1);
	store(DATA + 1, 8, 1);
	others_ears = (struct others_ears){ .after = meddle };
	assert_int_equal(others_add(&fx.mmu, gfn(DATA + 1), PAGE_TRACK_WRITE), 0);
	assert_int_equal(page_snapshot_restore(&s, &memory), -ENOENT);
	must_be_lost(SNAPSHOT_LOST_QUOTA);
}

/* ---- slots ---------------------------------------------------------------------------- */

static void make_extra(void)
{
	struct memslot_desc d = { .id = EXTRA_ID, .base_gfn = gfn(EXTRA), .npages = EXTRA_PAGES };

	if (!extra)
		extra = mem_zalloc(EXTRA_PAGES * PAGE_SIZE);
	d.base_pfn = hpa_to_pfn(port_va_to_hpa(extra));
	assert_int_equal(mmu_slot_create(&fx.mmu, &d), 0);
}

static int write_extra(const char *what)
{
	return guest_write(&fx.mmu.mem, gpa((uint64_t)EXTRA << PAGE_SHIFT), what, 1, BY(DEVICE));
}

static void all_slots_are_in_it(void **state)
{
	make_extra();
	take();
	assert_int_equal(write_extra("x"), 0);
	assert_int_equal(extra[0], 'x');
	restore();
	assert_int_equal(extra[0], 0);
}

static void memory_that_comes_is_no_part_of_it(void **state)
{
	take();
	make_extra();
	assert_int_equal(write_extra("x"), 0);
	store(DATA, 8, 1);
	restore();
	must_be_as_before();
	assert_int_equal(extra[0], 'x');
	take(); /* now it is */
	assert_int_equal(write_extra("y"), 0);
	restore();
	assert_int_equal(extra[0], 'x');
	assert_int_equal(lost, 0);
}

static void memory_that_goes_loses_it(void **state)
{
	make_extra();
	take();
	assert_int_equal(mmu_slot_delete(&fx.mmu, EXTRA_ID), 0);
	must_be_lost(SNAPSHOT_LOST_SLOT);
	take();
	lost = 0;
	make_extra();
	assert_int_equal(mmu_slot_delete(&fx.mmu, EXTRA_ID), 0); /* was none of it */
	assert_int_equal(lost, 0);
	make_extra();
	take();
	assert_int_equal(mmu_slot_move(&fx.mmu, EXTRA_ID, gfn(EXTRA + 100)), 0);
	must_be_lost(SNAPSHOT_LOST_SLOT);
}

/* ---- the hash --------------------------------------------------------------------------- */

static void the_hash_sees_every_bit_and_place(void **state)
{
	static uint8_t page[PAGE_SIZE] aligned_to(64);
	uint64_t all = hash(), zero = page_snapshot_hash(KEY, gfn(1), page), h;

	assert_true(zero != page_snapshot_hash(KEY, gfn(2), page));
	assert_true(zero != page_snapshot_hash(KEY + 1, gfn(1), page));
	for (unsigned int bit = 0; bit < PAGE_SIZE * 8; bit += 7) {
		page[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_true(page_snapshot_hash(KEY, gfn(1), page) != zero);
		page[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	page[0] = 1; /* words that change places, in a lane and across */
	h = page_snapshot_hash(KEY, gfn(1), page);
	page[0] = 0;
	page[8] = 1;
	assert_true(page_snapshot_hash(KEY, gfn(1), page) != h);
	page[8] = 0;
	page[16] = 1;
	assert_true(page_snapshot_hash(KEY, gfn(1), page) != h);
	/* Two pages that change places. */
	memcpy(page, ram(DATA), PAGE_SIZE);
	memcpy(ram(DATA), ram(DATA + 1), PAGE_SIZE);
	memcpy(ram(DATA + 1), page, PAGE_SIZE);
	assert_true(hash() != all);
	memcpy(ram(DATA + 1), ram(DATA), PAGE_SIZE);
	memcpy(ram(DATA), page, PAGE_SIZE);
	assert_true(hash() == all);
}

static void the_hash_follows_by_differences(void **state)
{
	uint64_t all = hash();

	take();
	store(DATA, 8, 1);
	assert_true(hash() != all);
	incremental = all;
	restore();
	assert_true(incremental == all);
	assert_true(hash() == all);
}

/* ---- often ------------------------------------------------------------------------------ */

/* The entry of the guest's lowest table that maps @page. */
static gpa_t entry_of(uint64_t page)
{
	uint64_t table = FX_ROOT << PAGE_SHIFT, entry;

	for (int level = 4; level > 1; level--) {
		memcpy(&entry, ram(table >> PAGE_SHIFT) + (page >> 9 * (level - 1) & 511) * 8, 8);
		table = entry & 0x000ffffffffff000ull;
	}
	return gpa(table + (page & 511) * 8);
}

/* One of the bits that are free. */
static void write_entry(uint64_t page)
{
	uint64_t entry;

	memcpy(&entry, ram(gpa_to_gfn(entry_of(page)).v) + gpa_offset(entry_of(page)), 8);
	entry ^= 0x200ull << (rnd() & 1);
	assert_int_equal(guest_write(&fx.mmu.mem, entry_of(page), &entry, 8, BY(EMULATOR)), 0);
}

static void write_at_random(void)
{
	static const struct access_origin by[] = {
		{ .agent = AGENT_EMULATOR }, { .agent = AGENT_DEVICE }, { .agent = AGENT_INJECTION },
	};
	uint64_t page = DATA + (rnd() >> 20) % (PAGES - DATA - 1), value = rnd();

	switch (rnd() >> 30 & 3) {
	case 0:
		assert_int_equal(guest_write(&fx.mmu.mem, gpa(page << PAGE_SHIFT | (rnd() >> 9 & 4095)),
					     &value, 1 + (rnd() >> 40) % 8,
					     &by[(rnd() >> 7) % ARRAY_SIZE(by)]), 0);
		break;
	case 1:
		write_entry(page);
		break;
	default:
		store(page, (unsigned int)(rnd() >> 9 & 4088), value);
	}
}

static void a_thousand_times(void **state)
{
	uint64_t all;

	take();
	all = incremental = hash();
	for (unsigned int i = 0; i < 1000; i++) {
		unsigned int n = (rnd() >> 33) % 30;

		while (n--)
			write_at_random();
		restore();
		assert_true(incremental == all);
		assert_true(i % 10 || hash() == all);
		assert_int_equal(counts(), PAGES);
	}
	assert_true(hash() == all);
	must_be_as_before();
	assert_int_equal(lost, 0);
}

static void at_random(void **state)
{
	bool taken = false;

	others_ears = (struct others_ears){ .after = hear };
	for (unsigned int i = 0; i < 20000; i++) {
		uint64_t what = (rnd() >> 13) % 200, page = DATA + (rnd() >> 20) % (PAGES - DATA);

		if (what == 0) {
			take();
			taken = true;
		} else if (what == 1) {
			page_snapshot_drop(&s);
			taken = false;
		} else if (what < 6 && taken) {
			restore();
			must_be_as_before();
		} else if (what == 6) {
			assert_int_equal(others_add(&fx.mmu, gfn(page), PAGE_TRACK_WRITE), 0);
		} else if (what == 7 && others.pt) {
			page_tracker_clear(&others);
		} else {
			write_at_random();
		}
		if (i % 1000 == 0)
			assert_audit(&fx);
	}
	assert_int_equal(lost, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_take_tracks_all_with_one_flush),
		T(the_first_write_is_the_last_that_traps),
		T(whoever_writes_is_noticed),
		T(a_write_across_pages),
		T(a_restore_costs_what_is_dirty),
		T(copies_stay),
		T(a_page_that_is_as_it_was_is_not_written),
		T(a_second_take_is_of_its_moment),
		T(nothing_to_restore),
		T(others_are_told),
		T(a_write_that_is_not_made_does_no_harm),
		T(a_restore_that_others_forbid),
		T(what_is_written_meanwhile_is_dirty),
		T(no_memory_for_a_copy),
		T(the_quota_is_full),
		T(the_vm_stops_if_asked_for),
		T(a_take_without_memory_leaves_nothing),
		T(a_restore_without_memory_changes_nothing),
		T(lost_in_the_middle_of_a_restore),
		T(all_slots_are_in_it),
		T(memory_that_comes_is_no_part_of_it),
		T(memory_that_goes_loses_it),
		T(the_hash_sees_every_bit_and_place),
		T(the_hash_follows_by_differences),
		T(a_thousand_times),
		T(at_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
