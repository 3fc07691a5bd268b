/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The door to guest memory. Two adjacent slots on machine frames that are not
 * adjacent, a read-only slot, a hole; a tracker that keeps every event.
 *
 *   gfn 16..19 slot 0   20..21 slot 1 (dirty log)   22 slot 2 (read-only)   23.. nothing
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "lib/alloc.h"
#include "lib/errno.h"
#include "mm/guest_mem.h"
#include "mm/port.h"
#include "tests/host/port_host.h"

#define G(frame, offset) gpa(((uint64_t)(frame) << PAGE_SHIFT) + (offset))

static struct guest_mem m;
static uint8_t *ram[3];
static const uint64_t ram_pages[3] = { 4, 2, 1 };

static struct {
	unsigned int events;
	struct page_track_write last;
	uint8_t old[PAGE_SIZE], new[PAGE_SIZE];
	bool crossed_page;
	bool before_the_write; /* memory did not hold the new bytes yet */
} seen;

static void note(struct page_tracker *t, const struct page_track_write *w)
{
	uint8_t now[PAGE_SIZE];

	seen.events++;
	seen.last = *w;
	memcpy(seen.old, w->old, w->len);
	memcpy(seen.new, w->new, w->len);
	seen.crossed_page |= gpa_offset(w->gpa) + w->len > PAGE_SIZE;
	assert_false(m.track.lock.locked);
	assert_int_equal(guest_read(&m, w->gpa, now, w->len), 0);
	seen.before_the_write |= memcmp(now, w->new, w->len) != 0;
}

static struct page_tracker tracker;

static bool no_protect(void *mmu, gfn_t g, enum page_track_mode mode) { return false; }
static void no_unprotect(void *mmu, gfn_t g, enum page_track_mode mode) { }
static void no_flush(void *mmu) { }
static const struct page_track_mmu_ops ops = {
	.protect = no_protect, .unprotect = no_unprotect, .flush = no_flush,
};

static int setup(void **state)
{
	const uint32_t flags[3] = { 0, MEMSLOT_LOG_DIRTY, MEMSLOT_READONLY };
	uint64_t base = 16;

	memset(&m, 0, sizeof(m));
	memset(&seen, 0, sizeof(seen));
	page_track_init(&m.track, &ops, NULL);
	tracker = (struct page_tracker){ .name = "note", .priority = 1, .write = note };
	for (int i = 2; i >= 0; i--)
		ram[i] = mem_zalloc((ram_pages[i] + 1) * PAGE_SIZE); /* one to keep them apart */
	for (uint32_t i = 0; i < 3; base += ram_pages[i++]) {
		const struct memslot_desc d = {
			.id = i, .flags = flags[i], .base_gfn = gfn(base), .npages = ram_pages[i],
			.base_pfn = hpa_to_pfn(port_va_to_hpa(ram[i])),
		};

		if (memslot_create(&m.slots, &d))
			return -1;
	}
	return page_tracker_register(&m.track, &tracker);
}

static int teardown(void **state)
{
	memslots_destroy(&m.slots);
	for (int i = 0; i < 3; i++)
		mem_free(ram[i], (ram_pages[i] + 1) * PAGE_SIZE);
	return host_pages_used() != 0;
}

static void track(uint64_t frame)
{
	struct memslot *slot = memslot_find(&m.slots, gfn(frame));

	assert_int_equal(page_track_add(&m.track, &slot->track, gfn(frame), PAGE_TRACK_WRITE), 0);
}

static bool dirty(uint64_t frame)
{
	return memslot_find_id(&m.slots, 1)->dirty_bitmap[0] >> (frame - 20) & 1;
}

static void copies_cross_pages_and_slots(void **state)
{
	uint8_t out[3 * PAGE_SIZE], in[3 * PAGE_SIZE];

	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i * 7 + i / 256);
	assert_int_equal(guest_write(&m, G(18, 4001), out, sizeof(out), WRITER_DEVICE), 0);
	assert_int_equal(guest_read(&m, G(18, 4001), in, sizeof(in)), 0);
	assert_memory_equal(in, out, sizeof(in));
	assert_memory_equal(ram[0] + 2 * PAGE_SIZE + 4001, out, 95 + PAGE_SIZE);
	assert_memory_equal(ram[1], out + 95 + PAGE_SIZE, 2 * PAGE_SIZE - 95);
	assert_int_equal(ram[0][2 * PAGE_SIZE + 4000], 0);
	assert_int_equal(seen.events, 0);
	assert_true(dirty(20) && dirty(21));
}

static void every_length_at_every_offset(void **state)
{
	uint8_t out[40], in[40];

	for (unsigned int offset = 0; offset < 17; offset++) {
		for (unsigned int len = 0; len <= sizeof(out); len++) {
			memset(ram[0], 0xCC, 64);
			for (unsigned int i = 0; i < len; i++)
				out[i] = (uint8_t)(offset * 40 + len + i);
			assert_int_equal(guest_write(&m, G(16, offset), out, len, WRITER_EMULATOR), 0);
			assert_int_equal(guest_read(&m, G(16, offset), in, len), 0);
			assert_memory_equal(in, out, len);
			for (unsigned int i = 0; i < 64; i++)
				if (i < offset || i >= offset + len)
					assert_int_equal(ram[0][i], 0xCC);
		}
	}
}

static void nothing_is_written_when_part_cannot_be(void **state)
{
	uint8_t buf[2 * PAGE_SIZE];

	memset(buf, 0x55, sizeof(buf));
	track(21);
	/* into the read-only slot, into the hole, from the hole, around the end */
	assert_int_equal(guest_write(&m, G(21, 10), buf, PAGE_SIZE, WRITER_EMULATOR), -EFAULT);
	assert_int_equal(guest_write(&m, G(22, 10), buf, PAGE_SIZE, WRITER_LOADER), -EFAULT);
	assert_int_equal(guest_write(&m, G(15, 4095), buf, 2, WRITER_EMULATOR), -EFAULT);
	assert_int_equal(guest_write(&m, gpa(UINT64_MAX - 1), buf, 8, WRITER_EMULATOR), -EFAULT);
	assert_int_equal(guest_write(&m, gpa(1ull << 52), buf, 8, WRITER_EMULATOR), -EFAULT);
	for (int i = 0; i < 3; i++)
		for (uint64_t k = 0; k < ram_pages[i] * PAGE_SIZE; k++)
			assert_int_equal(ram[i][k], 0);
	assert_int_equal(seen.events, 0);
	assert_false(dirty(21));
	buf[0] = 0x77;
	assert_int_equal(guest_read(&m, G(22, 10), buf, PAGE_SIZE), -EFAULT);
	assert_int_equal(guest_read(&m, gpa(UINT64_MAX), buf, 2), -EFAULT);
	assert_int_equal(buf[0], 0x77);
}

static void read_only_is_for_all_but_the_loader(void **state)
{
	uint64_t v = 1, zero = 0;

	for (int w = WRITER_EMULATOR; w <= WRITER_DEBUGGER; w++) {
		int want = w == WRITER_LOADER ? 0 : -EFAULT;

		assert_int_equal(guest_write(&m, G(22, 8 * w), &v, 8, w), want);
		zero = 0;
		assert_int_equal(guest_cmpxchg(&m, G(22, 512 + 8 * w), &zero, &v, 8, w), want);
	}
}

static void lesson_14_the_event_has_old_and_new_bytes(void **state)
{
	const uint8_t was[3] = { 1, 2, 3 }, is[3] = { 9, 8, 7 };

	assert_int_equal(guest_write(&m, G(17, 5), was, 3, WRITER_LOADER), 0);
	track(17);
	assert_int_equal(guest_write(&m, G(17, 5), is, 3, WRITER_INJECTION), 0);
	assert_int_equal(seen.events, 1);
	assert_int_equal(seen.last.gpa.v, G(17, 5).v);
	assert_int_equal(seen.last.len, 3);
	assert_int_equal(seen.last.writer, WRITER_INJECTION);
	assert_memory_equal(seen.old, was, 3);
	assert_memory_equal(seen.new, is, 3);
	assert_false(seen.before_the_write);
	assert_int_equal(guest_write(&m, G(18, 5), is, 3, WRITER_EMULATOR), 0);
	assert_int_equal(seen.events, 1);
}

static void lesson_09_every_writer_is_told(void **state)
{
	uint32_t v = 1, expect = 1;

	track(16);
	for (int w = WRITER_EMULATOR; w <= WRITER_DEBUGGER; w++) {
		seen.events = 0;
		assert_int_equal(guest_write(&m, G(16, 0), &v, 4, w), 0);
		expect = 1;
		assert_int_equal(guest_cmpxchg(&m, G(16, 0), &expect, &v, 4, w), 0);
		assert_int_equal(seen.events, 2);
		assert_int_equal(seen.last.writer, w);
	}
}

static void lesson_28_one_store_is_one_event(void **state)
{
	uint8_t wide[64] = { 1 };

	track(16);
	for (unsigned int offset = 200; offset < 300; offset++) {
		seen.events = 0;
		assert_int_equal(guest_write(&m, G(16, offset), wide, sizeof(wide), WRITER_EMULATOR), 0);
		assert_int_equal(seen.events, 1);
		assert_int_equal(seen.last.len, sizeof(wide));
	}
}

static void no_event_crosses_a_page(void **state)
{
	static uint8_t big[2 * PAGE_SIZE + 16];
	uint32_t told;

	track(16);
	track(17);
	track(18);
	assert_int_equal(guest_write(&m, G(16, 4092), big, 8, WRITER_EMULATOR), 0);
	assert_int_equal(seen.events, 2);
	assert_int_equal(seen.last.gpa.v, G(17, 0).v);
	assert_int_equal(seen.last.len, 4);
	memset(big, 1, sizeof(big));
	seen.events = 0;
	assert_int_equal(guest_write(&m, G(16, 4088), big, sizeof(big), WRITER_DEVICE), 0);
	told = seen.events;
	assert_true(told >= 4);
	assert_false(seen.crossed_page);
	assert_false(seen.before_the_write);
	assert_int_equal(seen.last.gpa.v + seen.last.len, G(19, 0).v); /* 19 is not tracked */
}

/* A page-table entry in the middle of a long write is in one event. */
static void long_writes_are_cut_between_aligned_units(void **state)
{
	static const uint8_t big[600] = { 1 };

	track(16);
	for (unsigned int offset = 1; offset < 64; offset++) {
		assert_int_equal(guest_write(&m, G(16, offset), big, sizeof(big), WRITER_DEVICE), 0);
		assert_int_equal(seen.last.gpa.v % 8, 0);
		assert_int_equal(seen.last.gpa.v + seen.last.len, G(16, offset + sizeof(big)).v);
	}
}

static void lesson_18_untracked_pages_tell_nobody(void **state)
{
	struct memslot *slot = memslot_find(&m.slots, gfn(16));
	uint8_t b = 1;

	assert_int_equal(page_track_add(&m.track, &slot->track, gfn(16), PAGE_TRACK_READ), 0);
	assert_int_equal(page_track_add(&m.track, &slot->track, gfn(16), PAGE_TRACK_EXEC), 0);
	track(18); /* another page is no reason either */
	assert_int_equal(guest_write(&m, G(16, 0), &b, 1, WRITER_EMULATOR), 0);
	assert_int_equal(guest_write(&m, G(17, 0), &b, 1, WRITER_EMULATOR), 0);
	assert_int_equal(guest_cmpxchg(&m, G(17, 0), &b, &b, 1, WRITER_EMULATOR), 0);
	assert_int_equal(seen.events, 0);
}

static void cmpxchg_at_all_lengths(void **state)
{
	const size_t lengths[] = { 1, 2, 4, 8, 16 };
	uint8_t expect[16], desired[16], now[16];

	track(17);
	for (unsigned int i = 0; i < ARRAY_SIZE(lengths); i++) {
		size_t n = lengths[i], step = n == 16 ? 16 : 1;

		for (size_t offset = 0; offset <= 32; offset += step) {
			memset(ram[0] + PAGE_SIZE, 0x11, 64);
			memset(expect, 0x11, 16);
			memset(desired, 0x22, 16);
			seen.events = 0;
			assert_int_equal(guest_cmpxchg(&m, G(17, offset), expect, desired, n, WRITER_EMULATOR),
					 0);
			assert_int_equal(seen.events, 1);
			assert_int_equal(seen.last.len, n);
			assert_memory_equal(seen.old, expect, n);
			assert_int_equal(guest_read(&m, G(17, offset), now, n), 0);
			assert_memory_equal(now, desired, n);
			assert_int_equal(ram[0][PAGE_SIZE + offset + n], 0x11);
			/* again: memory is no longer what is expected */
			assert_int_equal(guest_cmpxchg(&m, G(17, offset), expect, expect, n, WRITER_EMULATOR),
					 -EAGAIN);
			assert_memory_equal(expect, desired, n);
			assert_int_equal(seen.events, 1);
		}
	}
}

static void cmpxchg_shapes_are_checked(void **state)
{
	uint8_t a[32] = { 0 }, b[32] = { 0 };

	for (size_t n = 0; n <= 32; n++)
		if (n != 1 && n != 2 && n != 4 && n != 8 && n != 16)
			assert_int_equal(guest_cmpxchg(&m, G(16, 0), a, b, n, WRITER_EMULATOR), -EINVAL);
	assert_int_equal(guest_cmpxchg(&m, G(16, 8), a, b, 16, WRITER_EMULATOR), -EINVAL);
	assert_int_equal(guest_cmpxchg(&m, G(16, 4095), a, b, 2, WRITER_EMULATOR), -EINVAL);
	assert_int_equal(guest_cmpxchg(&m, G(16, 4089), a, b, 8, WRITER_EMULATOR), -EINVAL);
	assert_int_equal(guest_cmpxchg(&m, G(23, 0), a, b, 8, WRITER_EMULATOR), -EFAULT);
	assert_int_equal(guest_cmpxchg(&m, G(20, 0), a, b, 8, WRITER_EMULATOR), 0);
	assert_true(dirty(20));
	assert_false(dirty(21));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(copies_cross_pages_and_slots),
		T(every_length_at_every_offset),
		T(nothing_is_written_when_part_cannot_be),
		T(read_only_is_for_all_but_the_loader),
		T(lesson_14_the_event_has_old_and_new_bytes),
		T(lesson_09_every_writer_is_told),
		T(lesson_28_one_store_is_one_event),
		T(no_event_crosses_a_page),
		T(long_writes_are_cut_between_aligned_units),
		T(lesson_18_untracked_pages_tell_nobody),
		T(cmpxchg_at_all_lengths),
		T(cmpxchg_shapes_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
