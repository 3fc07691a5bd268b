/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The native step: what is opened, kept, told and taken back. The guest runs
 * without paging, so that addresses are guest-physical, unless tables matter.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "lib/alloc.h"
#include "lib/errno.h"
#include "mm/port.h"
#include "tests/host/mm_fixture.h"
#include "tests/host/others.h"
#include "tests/host/port_host.h"

#define EVENTS_MAX 64

static struct {
	struct fixture *fx;
	unsigned int count, flushes_when_told;
	struct {
		enum page_track_mode mode;
		enum page_track_verdict verdict;
		bool inexact;
		uint64_t gpa, gva;
		uint32_t len;
		uint8_t old[PAGE_SIZE], new[PAGE_SIZE];
	} event[EVENTS_MAX];
} heard;

static void hear(const struct page_track_event *e)
{
	unsigned int n = heard.count;

	if (e->origin->agent != AGENT_GUEST)
		return; /* the fixture's own */
	assert_true(n < EVENTS_MAX);
	heard.count++;
	heard.event[n].mode = e->mode;
	heard.event[n].verdict = e->verdict;
	heard.event[n].inexact = e->inexact;
	heard.event[n].gpa = e->gpa.v;
	heard.event[n].gva = e->origin->gva.v;
	heard.event[n].len = e->len;
	if (e->old)
		memcpy(heard.event[n].old, e->old, e->len);
	if (e->new)
		memcpy(heard.event[n].new, e->new, e->len);
	heard.flushes_when_told = heard.fx->flushes;
	assert_false(heard.fx->mmu.lock.locked);
}

static void open_world(struct fixture *fx, uint64_t npages)
{
	fx_open(fx, npages, 64);
	memset(&heard, 0, sizeof(heard));
	heard.fx = fx;
	others_ears = (struct others_ears){ .after = hear };
	others_join(&fx->mmu.mem);
}

static void close_world(struct fixture *fx)
{
	fx_close(fx);
}

static void track(struct fixture *fx, uint64_t g)
{
	assert_int_equal(others_add(&fx->mmu, gfn(g), PAGE_TRACK_WRITE), 0);
}

static void untrack(struct fixture *fx, uint64_t g)
{
	assert_int_equal(others_remove(&fx->mmu, gfn(g), PAGE_TRACK_WRITE), 0);
}

/* Faults on @addr and opens its page. */
static int open_page(struct fixture *fx, uint64_t addr, uint32_t code)
{
	struct page_fault f = { .addr = gva(addr), .error_code = code };

	assert_int_equal(mmu_page_fault(&fx->v, &f), FAULT_EMULATE);
	return mmu_step_open(&fx->v, &f);
}

/* The guest's memory, as the stepped instruction reaches it. */
static uint8_t *memory_at(struct fixture *fx, uint64_t addr)
{
	struct cpu_translation t;

	assert_true(cpu_walk(&fx->v, gva(addr), &t) && t.write);
	return (uint8_t *)port_hpa_to_va(t.frame) + gva_offset(gva(addr));
}

/* One event for the page: from the first byte that changed to the last, with what
 * stood there before. */
static void lesson_14_changes_are_told_as_they_are(void **state)
{
	struct fixture fx;
	uint8_t *byte;

	open_world(&fx, 64);
	byte = port_hpa_to_va(pfn_to_hpa(pfn_add(fx.base_pfn, 20)));
	for (unsigned int i = 0; i < PAGE_SIZE; i++)
		byte[i] = (uint8_t)(i * 7 + 1);
	track(&fx, 20);
	assert_int_equal(open_page(&fx, (20 << 12) + 110, PFERR_WRITE), 0);
	byte = memory_at(&fx, 20 << 12);
	for (unsigned int i = 100; i < 117; i++)
		byte[i] ^= 0x55;
	byte[117] = byte[117]; /* stays as it is: told all the same, it lies in between */
	byte[118] ^= 1;
	mmu_step_close(&fx.v, true);

	assert_int_equal(heard.count, 1);
	assert_int_equal(heard.event[0].mode, PAGE_TRACK_WRITE);
	assert_int_equal(heard.event[0].verdict, VERDICT_ALLOW);
	assert_true(heard.event[0].inexact);
	assert_int_equal(heard.event[0].gpa, (20 << 12) + 100);
	assert_int_equal(heard.event[0].gva, (20 << 12) + 110);
	assert_int_equal(heard.event[0].len, 19);
	for (unsigned int i = 0; i < 19; i++) {
		uint8_t flip = i < 17 ? 0x55 : i == 17 ? 0 : 1;

		assert_int_equal(heard.event[0].old[i], (uint8_t)((100 + i) * 7 + 1));
		assert_int_equal(heard.event[0].new[i], heard.event[0].old[i] ^ flip);
	}
	untrack(&fx, 20);
	close_world(&fx);
}

/* The run reaches to the byte that faulted, on either side, and to both ends of the page. */
static void the_run_has_the_byte_that_faulted(void **state)
{
	static const struct { unsigned int fault, changed[2], first, last; } want[] = {
		{ 10, { 20, 30 }, 10, 30 }, { 40, { 20, 30 }, 20, 40 }, { 25, { 20, 30 }, 20, 30 },
		{ 0, { 4095, 4095 }, 0, 4095 }, { 4095, { 0, 0 }, 0, 4095 }, { 7, { 7, 7 }, 7, 7 },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(want); i++) {
		struct fixture fx;

		open_world(&fx, 64);
		track(&fx, 20);
		assert_int_equal(open_page(&fx, (20 << 12) + want[i].fault, PFERR_WRITE), 0);
		memory_at(&fx, 20 << 12)[want[i].changed[0]] = 1;
		memory_at(&fx, 20 << 12)[want[i].changed[1]] = 2;
		mmu_step_close(&fx.v, true);
		assert_int_equal(heard.count, 1);
		assert_int_equal(heard.event[0].gpa, (20 << 12) + want[i].first);
		assert_int_equal(heard.event[0].len, want[i].last - want[i].first + 1);
		untrack(&fx, 20);
		close_world(&fx);
	}
}

/* The second opening must not take the half-done instruction for the start. The page is
 * tracked for reading, too, and opened for that alone at first. */
static void a_page_is_kept_once(void **state)
{
	struct fixture fx;

	open_world(&fx, 64);
	track(&fx, 20);
	assert_int_equal(others_add(&fx.mmu, gfn(20), PAGE_TRACK_READ), 0);
	assert_int_equal(open_page(&fx, 20 << 12, 0), 0);
	assert_true(fx_goes_through(&fx, 20 << 12, 0));
	assert_false(fx_goes_through(&fx, 20 << 12, PFERR_WRITE));
	*(uint8_t *)port_hpa_to_va(pfn_to_hpa(pfn_add(fx.base_pfn, 20))) = 1; /* by whatever way */
	assert_int_equal(open_page(&fx, 20 << 12, PFERR_WRITE), 0);
	memory_at(&fx, 20 << 12)[0] = 2;
	assert_int_equal(fx.v.step.count, 1);
	mmu_step_close(&fx.v, true);
	assert_int_equal(heard.count, 2); /* the read, then the write */
	assert_int_equal(heard.event[0].mode, PAGE_TRACK_READ);
	assert_int_equal(heard.event[0].old[0], 0);
	assert_int_equal(heard.event[0].new[0], 0);
	assert_int_equal(heard.event[1].mode, PAGE_TRACK_WRITE);
	assert_int_equal(heard.event[1].old[0], 0);
	assert_int_equal(heard.event[1].new[0], 2);
	untrack(&fx, 20);
	assert_int_equal(others_remove(&fx.mmu, gfn(20), PAGE_TRACK_READ), 0);
	close_world(&fx);
}

/* Who hears of the write knows that the guest cannot add another. */
static void lesson_27_told_after_the_flush(void **state)
{
	struct fixture fx;
	unsigned int flushes;

	open_world(&fx, 64);
	track(&fx, 20);
	assert_int_equal(open_page(&fx, 20 << 12, PFERR_WRITE), 0);
	memory_at(&fx, 20 << 12)[0] = 1;
	flushes = fx.flushes;
	mmu_step_close(&fx.v, true);
	assert_int_equal(heard.count, 1);
	assert_true(heard.flushes_when_told > flushes);
	assert_false(fx_goes_through(&fx, 20 << 12, PFERR_WRITE));
	untrack(&fx, 20);
	close_world(&fx);
}

static void lesson_12_a_stepped_write_is_logged(void **state)
{
	struct fixture fx;
	struct memslot *slot;

	open_world(&fx, 64);
	assert_int_equal(mmu_slot_set_flags(&fx.mmu, 0, MEMSLOT_LOG_DIRTY), 0);
	slot = fx.mmu.mem.slots.slot[0];
	for (uint64_t g = 20; g < 22; g++) {
		assert_int_equal(others_add(&fx.mmu, gfn(g), PAGE_TRACK_READ), 0);
		assert_int_equal(open_page(&fx, g << 12, 0), 0);
		slot->dirty_bitmap[0] = 0; /* harvested while the page is open */
	}
	*(uint8_t *)port_hpa_to_va(pfn_to_hpa(pfn_add(fx.base_pfn, 21))) = 1;
	mmu_step_close(&fx.v, true);
	assert_int_equal(slot->dirty_bitmap[0], 1ull << 21);
	assert_int_equal(heard.count, 2); /* nobody tracks WRITE: these are the reads */
	assert_true(heard.event[0].mode == PAGE_TRACK_READ && heard.event[1].mode == PAGE_TRACK_READ);
	for (uint64_t g = 20; g < 22; g++)
		assert_int_equal(others_remove(&fx.mmu, gfn(g), PAGE_TRACK_READ), 0);
	close_world(&fx);
}

static void a_page_that_nobody_tracks_any_more_is_not_told(void **state)
{
	struct fixture fx;

	open_world(&fx, 64);
	track(&fx, 20);
	assert_int_equal(open_page(&fx, 20 << 12, PFERR_WRITE), 0);
	memory_at(&fx, 20 << 12)[0] = 1;
	untrack(&fx, 20);
	mmu_step_close(&fx.v, true);
	assert_int_equal(heard.count, 0);
	close_world(&fx);
}

/* A vCPU that goes in the middle of a step has written all the same. */
static void lesson_09_the_last_step_of_a_vcpu_is_told(void **state)
{
	struct mmu_vcpu v;
	struct page_fault f = { .addr = gva(20 << 12), .error_code = PFERR_WRITE };
	struct fixture fx;
	size_t pages;

	open_world(&fx, 64);
	track(&fx, 20);
	pages = host_pages_used();
	assert_int_equal(mmu_vcpu_init(&v, &fx.mmu, 40, true), 0);
	assert_int_equal(mmu_page_fault(&v, &f), FAULT_EMULATE);
	assert_int_equal(mmu_step_open(&v, &f), 0);
	*(uint8_t *)port_hpa_to_va(pfn_to_hpa(pfn_add(fx.base_pfn, 20))) = 7;
	mmu_vcpu_destroy(&v);
	assert_int_equal(heard.count, 1);
	assert_int_equal(heard.event[0].new[0], 7);
	assert_int_equal(host_pages_used(), pages);
	assert_audit(&fx);
	untrack(&fx, 20);
	close_world(&fx);
}

/* Two pages are open, and the slot of one of them goes: with its gfn other
 * memory may come, of which the step knows nothing. */
static void lesson_05_a_slot_that_goes_takes_its_open_pages(void **state)
{
	for (int way = 0; way < 4; way++) {
		bool first = way & 1, by_move = way & 2;
		struct memslot_desc d = { .id = 1, .base_gfn = gfn(1000), .npages = 8 };
		struct fixture fx;

		open_world(&fx, 64);
		d.base_pfn = pfn_add(fx.base_pfn, 64); /* the fixture's spare memory */
		assert_int_equal(mmu_slot_create(&fx.mmu, &d), 0);
		memset(port_hpa_to_va(pfn_to_hpa(pfn_add(fx.base_pfn, 20))), 0x20, PAGE_SIZE);
		memset(port_hpa_to_va(pfn_to_hpa(pfn_add(fx.base_pfn, 64 + 3))), 0x33, PAGE_SIZE);
		track(&fx, 20);
		track(&fx, 1003);
		assert_int_equal(open_page(&fx, first ? 1003 << 12 : 20 << 12, PFERR_WRITE), 0);
		assert_int_equal(open_page(&fx, first ? 20 << 12 : 1003 << 12, PFERR_WRITE), 0);
		memory_at(&fx, 20 << 12)[5] = 1;
		memory_at(&fx, 1003 << 12)[6] = 2;
		if (by_move) {
			assert_int_equal(mmu_slot_move(&fx.mmu, 1, gfn(2000)), 0);
			d.id = 2;
			d.base_pfn = pfn_add(fx.base_pfn, 80);
			assert_int_equal(mmu_slot_create(&fx.mmu, &d), 0);
			track(&fx, 1003); /* the count that was there has moved along */
		} else {
			assert_int_equal(mmu_slot_delete(&fx.mmu, 1), 0);
		}
		assert_int_equal(fx.v.step.count, 1);
		assert_audit(&fx);
		mmu_step_close(&fx.v, true);
		assert_int_equal(heard.count, 1);
		assert_int_equal(heard.event[0].gpa, 20 << 12);
		assert_int_equal(heard.event[0].len, 6); /* from where it faulted */
		assert_int_equal(heard.event[0].old[0], 0x20);
		assert_true(heard.event[0].old[5] == 0x20 && heard.event[0].new[5] == 1);
		untrack(&fx, 20);
		close_world(&fx);
	}
}

/* Each step makes tables of its own: the quota must be asked for each time. */
static void lesson_26_steps_reserve_what_they_take(void **state)
{
	struct fixture fx;

	open_world(&fx, 512);
	fx_long_mode(&fx);
	track(&fx, 20);
	for (uint64_t i = 1; i < 60; i++) {
		uint64_t addr = i << 39;

		fx_map(&fx, addr, 1, 20 << 12 | G_ALL);
		assert_int_equal(open_page(&fx, addr, PFERR_WRITE), 0);
		assert_true(fx_goes_through(&fx, addr, PFERR_WRITE));
		mmu_step_close(&fx.v, true);
		assert_audit(&fx);
	}
	assert_true(fx.mmu.stats.reclaimed > 0);
	untrack(&fx, 20);
	close_world(&fx);
}

/* A tracked page inside a large one: the step opens 4 KiB and no more. */
static void lesson_07_a_step_opens_one_small_page(void **state)
{
	struct fixture fx;

	open_world(&fx, 1024);
	fx_long_mode(&fx);
	fx_map(&fx, 0, 2, 512ull << 12 | G_ALL | G_PS);
	for (uint64_t g = 512; g < 515; g++)
		track(&fx, g);
	assert_int_equal(open_page(&fx, 1 << 12, PFERR_WRITE), 0);
	assert_true(fx_goes_through(&fx, 1 << 12, PFERR_WRITE));
	assert_false(fx_goes_through(&fx, 0, PFERR_WRITE) || fx_goes_through(&fx, 2 << 12, PFERR_WRITE));
	/* Tracking goes away meanwhile: large again only when the step is over. */
	for (uint64_t g = 512; g < 515; g++)
		untrack(&fx, g);
	assert_audit(&fx);
	mmu_step_close(&fx.v, true);
	assert_int_equal(fx_touch(&fx, 1 << 12, PFERR_WRITE, NULL), FAULT_FIXED);
	assert_true(fx_is_large(&fx, 1 << 12));
	close_world(&fx);
}

/* An untracked page of a large range needs no step; asked all the same, it
 * is opened small, so that closing finds it. */
static void a_step_over_an_untracked_page_is_small(void **state)
{
	struct page_fault f = { .addr = gva(513 << 12), .error_code = PFERR_WRITE };
	struct fixture fx;

	open_world(&fx, 1024);
	assert_int_equal(mmu_page_fault(&fx.v, &f), FAULT_FIXED);
	assert_true(fx_is_large(&fx, 513 << 12));
	assert_int_equal(mmu_step_open(&fx.v, &f), 0);
	assert_false(fx_is_large(&fx, 513 << 12));
	assert_audit(&fx);
	mmu_step_close(&fx.v, true);
	assert_false(fx_goes_through(&fx, 513 << 12, 0));
	close_world(&fx);
}

/* What cannot be opened is told and leaves nothing open. */
static void lesson_29_an_error_opens_nothing(void **state)
{
	struct page_fault f = { .addr = gva(20 << 12), .error_code = PFERR_WRITE };
	struct fixture fx;

	open_world(&fx, 64);
	assert_int_equal(mmu_slot_set_flags(&fx.mmu, 0, MEMSLOT_READONLY), 0);
	assert_int_equal(mmu_page_fault(&fx.v, &f), FAULT_EMULATE);
	assert_int_equal(mmu_step_open(&fx.v, &f), -EFAULT);
	assert_int_equal(fx.v.step.count, 0);
	assert_false(fx_goes_through(&fx, 20 << 12, 0));
	f.addr = gva(5000 << 12);
	assert_int_equal(mmu_page_fault(&fx.v, &f), FAULT_MMIO);
	assert_int_equal(mmu_step_open(&fx.v, &f), -EFAULT);
	assert_int_equal(fx.v.step.count, 0);
	close_world(&fx);
}

/* ---- asking ------------------------------------------------------------------------ */

static struct {
	enum page_track_verdict verdict;
	unsigned int asked;
	enum page_track_mode mode;
	uint64_t gpa, gva, rip;
	uint32_t len;
} says;

static enum page_track_verdict answer(const struct page_track_event *e, uint8_t *value)
{
	says.asked++;
	says.mode = e->mode;
	says.gpa = e->gpa.v;
	says.gva = e->origin->gva.v;
	says.rip = e->origin->rip;
	says.len = e->len;
	assert_null(value); /* nobody knows the bytes */
	assert_true(e->inexact && !e->old && !e->new && e->page);
	assert_int_equal(e->origin->agent, AGENT_GUEST);
	return says.verdict;
}

static void the_trackers_are_asked_of_a_step(void **state)
{
	static const enum page_track_verdict verdicts[] = {
		VERDICT_NONE, VERDICT_ALLOW, VERDICT_DENY_PF, VERDICT_DENY_GP, VERDICT_SKIP, VERDICT_REPLACE, VERDICT_STOP,
	};

	for (unsigned int i = 0; i < 2 * ARRAY_SIZE(verdicts); i++) {
		struct access_origin origin = { .agent = AGENT_EMULATOR, .vcpu = 1, .rip = 0x1234 };
		struct page_fault f = { .addr = gva((20 << 12) + 0x123), .error_code = i & 1 ? PFERR_WRITE : 0,
					.origin = &origin };
		enum page_track_verdict want = verdicts[i / 2];
		enum page_track_mode mode = i & 1 ? PAGE_TRACK_WRITE : PAGE_TRACK_READ;
		struct fixture fx;

		if (want == VERDICT_NONE)
			want = VERDICT_ALLOW;
		if (want == VERDICT_REPLACE) /* there is nothing to replace yet */
			want = VERDICT_DENY_GP;
		open_world(&fx, 64);
		memset(&says, 0, sizeof(says));
		others_ears.before = answer;
		says.verdict = verdicts[i / 2];
		assert_int_equal(others_add(&fx.mmu, gfn(20), mode), 0);
		assert_int_equal(mmu_page_fault(&fx.v, &f), FAULT_EMULATE);
		assert_int_equal(mmu_step_ask(&fx.v, &f), want);
		assert_true(says.asked == 1 && says.mode == mode && says.rip == 0x1234);
		assert_true(says.gpa == (20 << 12) + 0x123 && says.gva == says.gpa && says.len == PAGE_SIZE - 0x123);
		/* Who denies is told so at once; who allows is told what came of it. */
		assert_int_equal(heard.count, want != VERDICT_ALLOW);
		if (want != VERDICT_ALLOW)
			assert_true(heard.event[0].verdict == want && heard.event[0].mode == mode);
		assert_int_equal(fx.v.step.count, 0);
		assert_int_equal(others_remove(&fx.mmu, gfn(20), mode), 0);
		close_world(&fx);
	}
}

/* Not of fetches, which guest_fetch() asks about, nor of a page that is tracked in another mode,
 * nor of what is no RAM. */
static void others_are_not_asked(void **state)
{
	struct page_fault f = { .addr = gva(20 << 12), .gpa = gpa(20 << 12) };
	struct fixture fx;

	open_world(&fx, 64);
	memset(&says, 0, sizeof(says));
	others_ears.before = answer;
	says.verdict = VERDICT_DENY_PF;
	assert_int_equal(others_add(&fx.mmu, gfn(20), PAGE_TRACK_EXEC), 0);
	track(&fx, 20);
	assert_int_equal(mmu_step_ask(&fx.v, &f), VERDICT_ALLOW); /* a read */
	f.error_code = PFERR_FETCH;
	assert_int_equal(mmu_step_ask(&fx.v, &f), VERDICT_ALLOW);
	f.error_code = PFERR_WRITE;
	f.gpa = gpa(21 << 12);
	assert_int_equal(mmu_step_ask(&fx.v, &f), VERDICT_ALLOW);
	f.gpa = gpa(1000 << 12);
	assert_int_equal(mmu_step_ask(&fx.v, &f), VERDICT_ALLOW);
	assert_true(says.asked == 0 && heard.count == 0);
	f.gpa = gpa(20 << 12);
	assert_int_equal(mmu_step_ask(&fx.v, &f), VERDICT_DENY_PF);
	close_world(&fx);
}

/* ---- telling ----------------------------------------------------------------------- */

/* A store of what was there already is a write. */
static void a_silent_store_is_told(void **state)
{
	struct fixture fx;

	open_world(&fx, 64);
	track(&fx, 20);
	assert_int_equal(open_page(&fx, (20 << 12) + 77, PFERR_WRITE), 0);
	mmu_step_close(&fx.v, true);
	assert_int_equal(heard.count, 1);
	assert_true(heard.event[0].gpa == (20 << 12) + 77 && heard.event[0].len == 1);
	assert_int_equal(heard.event[0].old[0], heard.event[0].new[0]);
	close_world(&fx);
}

/* It may fault again, when others have taken its translation meanwhile. */
static void the_first_address_that_faulted_is_told(void **state)
{
	struct fixture fx;

	open_world(&fx, 64);
	track(&fx, 20);
	assert_int_equal(open_page(&fx, (20 << 12) + 50, PFERR_WRITE), 0);
	assert_int_equal(open_page(&fx, (20 << 12) + 90, PFERR_WRITE), 0);
	mmu_step_close(&fx.v, true);
	assert_int_equal(heard.count, 1);
	assert_true(heard.event[0].gpa == (20 << 12) + 50 && heard.event[0].len == 1);
	close_world(&fx);
}

/* An instruction that was not completed will run again: only what it has changed is told. */
static void an_abandoned_step_tells_what_has_changed(void **state)
{
	struct fixture fx;

	open_world(&fx, 64);
	for (uint64_t g = 20; g < 23; g++)
		track(&fx, g);
	assert_int_equal(others_add(&fx.mmu, gfn(22), PAGE_TRACK_READ), 0);
	assert_int_equal(open_page(&fx, (20 << 12) + 77, PFERR_WRITE), 0);
	assert_int_equal(open_page(&fx, (21 << 12) + 77, PFERR_WRITE), 0);
	assert_int_equal(open_page(&fx, (22 << 12) + 77, 0), 0);
	memory_at(&fx, 21 << 12)[80] = 5;
	mmu_step_close(&fx.v, false);
	assert_int_equal(heard.count, 1);
	assert_int_equal(heard.event[0].mode, PAGE_TRACK_WRITE);
	assert_true(heard.event[0].gpa == (21 << 12) + 80 && heard.event[0].len == 1); /* without the fault */
	assert_int_equal(heard.event[0].new[0], 5);
	close_world(&fx);
}

/* A read is told from where it faulted to the end of the page, with the bytes of before. */
static void a_read_is_told_as_far_as_it_is_known(void **state)
{
	struct fixture fx;
	uint8_t *byte;

	open_world(&fx, 64);
	byte = port_hpa_to_va(pfn_to_hpa(pfn_add(fx.base_pfn, 20)));
	memset(byte, 0x11, PAGE_SIZE);
	assert_int_equal(others_add(&fx.mmu, gfn(20), PAGE_TRACK_READ), 0);
	track(&fx, 20);
	assert_int_equal(open_page(&fx, (20 << 12) + 0xff0, 0), 0);
	assert_int_equal(open_page(&fx, (20 << 12) + 0xff8, PFERR_WRITE), 0);
	memset(byte + 0xff8, 0x22, 8);
	mmu_step_close(&fx.v, true);
	assert_int_equal(heard.count, 2);
	assert_true(heard.event[0].mode == PAGE_TRACK_READ && heard.event[0].inexact);
	assert_true(heard.event[0].gpa == (20 << 12) + 0xff0 && heard.event[0].len == 16);
	assert_true(heard.event[0].gva == (20 << 12) + 0xff0 && heard.event[1].gva == (20 << 12) + 0xff8);
	assert_int_equal(heard.event[0].old[15], 0x11);
	assert_int_equal(heard.event[0].new[15], 0x11);
	assert_int_equal(heard.event[1].mode, PAGE_TRACK_WRITE);
	assert_true(heard.event[1].old[0] == 0x11 && heard.event[1].new[0] == 0x22 && heard.event[1].len == 8);
	close_world(&fx);
}

/* ---- rights ------------------------------------------------------------------------ */

/* Tracked in all modes: each fault opens what it has asked for, beside what is open. */
static void rights_are_opened_one_by_one(void **state)
{
	static const uint32_t code[3] = { 0, PFERR_WRITE, PFERR_FETCH };

	for (unsigned int first = 0; first < 3; first++) {
		for (unsigned int second = 0; second < 3; second++) {
			struct fixture fx;

			open_world(&fx, 64);
			for (unsigned int mode = 0; mode < PAGE_TRACK_MODES; mode++)
				assert_int_equal(others_add(&fx.mmu, gfn(20), mode), 0);
			assert_int_equal(open_page(&fx, 20 << 12, code[first]), 0);
			for (unsigned int i = 1; i < 3; i++)
				assert_int_equal(fx_goes_through(&fx, 20 << 12, code[i]), i == first);
			assert_true(fx_goes_through(&fx, 20 << 12, 0));
			assert_false(fx_goes_through(&fx, 21 << 12, 0)); /* nor the neighbour */
			if (second > 0 && second != first) {
				assert_int_equal(open_page(&fx, 20 << 12, code[second]), 0);
				for (unsigned int i = 1; i < 3; i++)
					assert_int_equal(fx_goes_through(&fx, 20 << 12, code[i]),
							 i == first || i == second);
			}
			assert_audit(&fx);
			mmu_step_close(&fx.v, true);
			for (unsigned int i = 0; i < 3; i++)
				assert_false(fx_goes_through(&fx, 20 << 12, code[i]));
			close_world(&fx);
		}
	}
}

/* What tracking leaves of the page anyway stays, while it is open for something else. */
static void a_step_takes_nothing_away(void **state)
{
	struct fixture fx;

	open_world(&fx, 64);
	track(&fx, 20);
	assert_int_equal(open_page(&fx, 20 << 12, PFERR_WRITE), 0);
	assert_true(fx_goes_through(&fx, 20 << 12, PFERR_FETCH));
	mmu_step_close(&fx.v, true);
	assert_int_equal(heard.count, 1); /* not the fetch */
	assert_int_equal(fx_touch(&fx, 20 << 12, PFERR_FETCH, NULL), FAULT_FIXED);
	assert_false(fx_goes_through(&fx, 20 << 12, PFERR_WRITE));
	close_world(&fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lesson_14_changes_are_told_as_they_are),
		cmocka_unit_test(the_run_has_the_byte_that_faulted),
		cmocka_unit_test(a_page_is_kept_once),
		cmocka_unit_test(lesson_27_told_after_the_flush),
		cmocka_unit_test(lesson_12_a_stepped_write_is_logged),
		cmocka_unit_test(a_page_that_nobody_tracks_any_more_is_not_told),
		cmocka_unit_test(lesson_09_the_last_step_of_a_vcpu_is_told),
		cmocka_unit_test(lesson_05_a_slot_that_goes_takes_its_open_pages),
		cmocka_unit_test(lesson_26_steps_reserve_what_they_take),
		cmocka_unit_test(lesson_07_a_step_opens_one_small_page),
		cmocka_unit_test(a_step_over_an_untracked_page_is_small),
		cmocka_unit_test(lesson_29_an_error_opens_nothing),
		cmocka_unit_test(the_trackers_are_asked_of_a_step),
		cmocka_unit_test(others_are_not_asked),
		cmocka_unit_test(a_silent_store_is_told),
		cmocka_unit_test(the_first_address_that_faulted_is_told),
		cmocka_unit_test(an_abandoned_step_tells_what_has_changed),
		cmocka_unit_test(a_read_is_told_as_far_as_it_is_known),
		cmocka_unit_test(rights_are_opened_one_by_one),
		cmocka_unit_test(a_step_takes_nothing_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
