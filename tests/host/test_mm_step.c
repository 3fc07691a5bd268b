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
#include "tests/host/port_host.h"

#define EVENTS_MAX 16

static struct {
	struct page_tracker tracker;
	struct fixture *fx;
	unsigned int count, flushes_when_told;
	struct {
		uint64_t gpa;
		uint32_t len;
			uint8_t old[64], new[64];
	} event[EVENTS_MAX];
} heard;

static void hear(struct page_tracker *t, const struct page_track_write *w)
{
	unsigned int n = heard.count;

	if (w->writer != WRITER_STEP)
		return; /* the fixture's own, to tables */
	assert_true(n < EVENTS_MAX && w->len <= 64);
	heard.count++;
	heard.event[n].gpa = w->gpa.v;
	heard.event[n].len = w->len;
	memcpy(heard.event[n].old, w->old, w->len);
	memcpy(heard.event[n].new, w->new, w->len);
	heard.flushes_when_told = heard.fx->flushes;
	assert_false(heard.fx->mmu.lock.locked);
}

static void open_world(struct fixture *fx, uint64_t npages)
{
	fx_open(fx, npages, 64);
	memset(&heard, 0, sizeof(heard));
	heard.fx = fx;
	heard.tracker = (struct page_tracker){ .name = "test", .priority = 5, .write = hear };
	assert_int_equal(page_tracker_register(&fx->mmu.mem.track, &heard.tracker), 0);
}

static void close_world(struct fixture *fx)
{
	assert_int_equal(page_tracker_unregister(&fx->mmu.mem.track, &heard.tracker), 0);
	fx_close(fx);
}

static void track(struct fixture *fx, uint64_t g)
{
	assert_int_equal(mmu_track_add(&fx->mmu, gfn(g), PAGE_TRACK_WRITE), 0);
}

static void untrack(struct fixture *fx, uint64_t g)
{
	assert_int_equal(mmu_track_remove(&fx->mmu, gfn(g), PAGE_TRACK_WRITE), 0);
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

/* Each run of changed bytes is one event, with what stood there before. */
static void lesson_14_changes_are_told_as_they_are(void **state)
{
	struct fixture fx;
	uint8_t *byte;

	open_world(&fx, 64);
	byte = port_hpa_to_va(pfn_to_hpa(pfn_add(fx.base_pfn, 20)));
	for (unsigned int i = 0; i < PAGE_SIZE; i++)
		byte[i] = (uint8_t)(i * 7 + 1);
	track(&fx, 20);
	assert_int_equal(open_page(&fx, 20 << 12, PFERR_WRITE), 0);
	byte = memory_at(&fx, 20 << 12);
	byte[0] ^= 0xff;
	for (unsigned int i = 100; i < 117; i++)
		byte[i] ^= 0x55;
	byte[117] = byte[117]; /* stays as it is: not told */
	byte[118] ^= 1;
	byte[4095] ^= 0x80;
	mmu_step_close(&fx.v);

	assert_int_equal(heard.count, 4);
	for (unsigned int n = 0; n < 4; n++) {
		static const struct { unsigned int at, len; uint8_t flip; } want[] = {
			{ 0, 1, 0xff }, { 100, 17, 0x55 }, { 118, 1, 1 }, { 4095, 1, 0x80 },
		};

		assert_int_equal(heard.event[n].gpa, (20 << 12) + want[n].at);
		assert_int_equal(heard.event[n].len, want[n].len);
		for (unsigned int i = 0; i < want[n].len; i++) {
			assert_int_equal(heard.event[n].old[i], (uint8_t)((want[n].at + i) * 7 + 1));
			assert_int_equal(heard.event[n].new[i], heard.event[n].old[i] ^ want[n].flip);
		}
	}
	untrack(&fx, 20);
	close_world(&fx);
}

/* The second opening must not take the half-done instruction for the start. */
static void a_page_is_kept_once(void **state)
{
	struct fixture fx;

	open_world(&fx, 64);
	track(&fx, 20);
	assert_int_equal(mmu_track_add(&fx.mmu, gfn(20), PAGE_TRACK_READ), 0);
	assert_int_equal(open_page(&fx, 20 << 12, 0), 0);
	memory_at(&fx, 20 << 12)[8] = 1;
	assert_int_equal(open_page(&fx, 20 << 12, PFERR_WRITE), 0);
	memory_at(&fx, 20 << 12)[8] = 2;
	assert_int_equal(fx.v.step.count, 1);
	mmu_step_close(&fx.v);
	assert_int_equal(heard.count, 1);
	assert_int_equal(heard.event[0].old[0], 0);
	assert_int_equal(heard.event[0].new[0], 2);
	untrack(&fx, 20);
	assert_int_equal(mmu_track_remove(&fx.mmu, gfn(20), PAGE_TRACK_READ), 0);
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
	mmu_step_close(&fx.v);
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
		assert_int_equal(mmu_track_add(&fx.mmu, gfn(g), PAGE_TRACK_READ), 0);
		assert_int_equal(open_page(&fx, g << 12, 0), 0);
		slot->dirty_bitmap[0] = 0; /* harvested while the page is open */
	}
	*(uint8_t *)port_hpa_to_va(pfn_to_hpa(pfn_add(fx.base_pfn, 21))) = 1;
	mmu_step_close(&fx.v);
	assert_int_equal(slot->dirty_bitmap[0], 1ull << 21);
	assert_int_equal(heard.count, 0); /* nobody tracks WRITE */
	for (uint64_t g = 20; g < 22; g++)
		assert_int_equal(mmu_track_remove(&fx.mmu, gfn(g), PAGE_TRACK_READ), 0);
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
	mmu_step_close(&fx.v);
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
	pages = host_pages_used();
	assert_int_equal(mmu_vcpu_init(&v, &fx.mmu, 40, true), 0);
	track(&fx, 20);
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
			track(&fx, 1003);
		} else {
			assert_int_equal(mmu_slot_delete(&fx.mmu, 1), 0);
		}
		assert_int_equal(fx.v.step.count, 1);
		assert_audit(&fx);
		mmu_step_close(&fx.v);
		assert_int_equal(heard.count, 1);
		assert_int_equal(heard.event[0].gpa, (20 << 12) + 5);
		assert_int_equal(heard.event[0].len, 1);
		assert_int_equal(heard.event[0].old[0], 0x20);
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
		mmu_step_close(&fx.v);
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
	mmu_step_close(&fx.v);
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
	mmu_step_close(&fx.v);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lesson_14_changes_are_told_as_they_are),
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
