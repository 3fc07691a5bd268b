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
#include "tests/host/bare_mem.h"
#include "tests/host/port_host.h"

#define G(frame, offset) gpa(((uint64_t)(frame) << PAGE_SHIFT) + (offset))

static struct guest_mem m;
static uint8_t *ram[3];
static const uint64_t ram_pages[3] = { 4, 2, 1 };

/* What the tracker was told of, the last event whole. */
static struct {
	unsigned int events;
	struct page_track_event last;
	struct access_origin origin;
	uint8_t old[PAGE_SIZE], new[PAGE_SIZE];
	bool crossed_page;
	bool before_the_write; /* memory did not hold the new bytes yet */
} seen;

/* What the tracker says before, and what it was asked. */
static struct {
	enum page_track_verdict verdict;
	uint64_t only_frame; /* 0: of any */
	uint8_t bytes[GUEST_EVENT_BYTES]; /* to replace with */
	unsigned int asked;
	bool could_replace;
	void (*action)(void);
} says;

static enum page_track_verdict ask(struct page_tracker *t, const struct page_track_event *e, uint8_t *value)
{
	assert_false(m.track.lock.locked);
	says.asked++;
	says.could_replace = value != NULL;
	if (says.action)
		says.action();
	if (says.only_frame && says.only_frame != gpa_to_gfn(e->gpa).v)
		return VERDICT_NONE;
	if (says.verdict == VERDICT_REPLACE && value)
		memcpy(value, says.bytes, e->len);
	return says.verdict;
}

static void note(struct page_tracker *t, const struct page_track_event *e)
{
	uint8_t now[PAGE_SIZE];

	seen.events++;
	seen.last = *e;
	seen.origin = *e->origin;
	memcpy(seen.old, e->old, e->len);
	memcpy(seen.new, e->new, e->len);
	seen.crossed_page |= gpa_offset(e->gpa) + e->len > PAGE_SIZE;
	assert_false(m.track.lock.locked);
	if (guest_read(&m, e->gpa, now, e->len, NULL) == 0)
		seen.before_the_write |= e->mode == PAGE_TRACK_WRITE && memcmp(now, e->new, e->len) != 0;
}

static const struct page_tracker_ops ops = { .before = ask, .after = note };
static struct page_tracker tracker;

static int setup(void **state)
{
	const uint32_t flags[3] = { 0, MEMSLOT_LOG_DIRTY, MEMSLOT_READONLY };
	uint64_t base = 16;

	bare_mem_init(&m, NULL);
	memset(&seen, 0, sizeof(seen));
	memset(&says, 0, sizeof(says));
	tracker = (struct page_tracker){ .name = "note", .priority = 1, .ops = &ops };
	for (int i = 2; i >= 0; i--)
		ram[i] = mem_zalloc((ram_pages[i] + 1) * PAGE_SIZE); /* one to keep them apart */
	for (uint32_t i = 0; i < 3; base += ram_pages[i++]) {
		const struct memslot_desc d = {
			.id = i, .flags = flags[i], .base_gfn = gfn(base), .npages = ram_pages[i],
			.base_pfn = hpa_to_pfn(port_va_to_hpa(ram[i])),
		};

		if (bare_slot_create(&m, &d))
			return -1;
	}
	return page_tracker_register(&m.track, &tracker);
}

static int teardown(void **state)
{
	bare_mem_destroy(&m);
	for (int i = 0; i < 3; i++)
		mem_free(ram[i], (ram_pages[i] + 1) * PAGE_SIZE);
	return host_pages_used() != 0;
}

static void track_in(uint64_t frame, unsigned int modes)
{
	assert_int_equal(page_tracker_add(&tracker, gfn(frame), 1, modes, NULL), 0);
}

static void track(uint64_t frame) { track_in(frame, PAGE_TRACK_W); }

/* An origin of each kind. */
static const struct access_origin *by(int agent)
{
	static struct access_origin origin[AGENTS];

	origin[agent] = (struct access_origin){ .agent = (enum access_agent)agent, .vcpu = ACCESS_NO_VCPU };
	return &origin[agent];
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
	assert_int_equal(guest_write(&m, G(18, 4001), out, sizeof(out), BY(DEVICE)), 0);
	assert_int_equal(guest_read(&m, G(18, 4001), in, sizeof(in), NULL), 0);
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
			assert_int_equal(guest_write(&m, G(16, offset), out, len, BY(EMULATOR)), 0);
			assert_int_equal(guest_read(&m, G(16, offset), in, len, NULL), 0);
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
	assert_int_equal(guest_write(&m, G(21, 10), buf, PAGE_SIZE, BY(EMULATOR)), -EFAULT);
	assert_int_equal(guest_write(&m, G(22, 10), buf, PAGE_SIZE, BY(LOADER)), -EFAULT);
	assert_int_equal(guest_write(&m, G(15, 4095), buf, 2, BY(EMULATOR)), -EFAULT);
	assert_int_equal(guest_write(&m, gpa(UINT64_MAX - 1), buf, 8, BY(EMULATOR)), -EFAULT);
	assert_int_equal(guest_write(&m, gpa(1ull << 52), buf, 8, BY(EMULATOR)), -EFAULT);
	for (int i = 0; i < 3; i++)
		for (uint64_t k = 0; k < ram_pages[i] * PAGE_SIZE; k++)
			assert_int_equal(ram[i][k], 0);
	assert_int_equal(seen.events, 0);
	assert_false(dirty(21));
	buf[0] = 0x77;
	assert_int_equal(guest_read(&m, G(22, 10), buf, PAGE_SIZE, NULL), -EFAULT);
	assert_int_equal(guest_read(&m, gpa(UINT64_MAX), buf, 2, NULL), -EFAULT);
	assert_int_equal(buf[0], 0x77);
}

static void read_only_is_for_all_but_the_loader(void **state)
{
	uint64_t v = 1, zero = 0;

	for (int w = AGENT_EMULATOR; w <= AGENT_DEBUGGER; w++) {
		int want = w == AGENT_LOADER ? 0 : -EFAULT;

		assert_int_equal(guest_write(&m, G(22, 8 * w), &v, 8, by(w)), want);
		zero = 0;
		assert_int_equal(guest_cmpxchg(&m, G(22, 512 + 8 * w), &zero, &v, 8, by(w)), want);
	}
	track(22); /* nobody is asked about what cannot be */
	assert_int_equal(guest_write(&m, G(22, 0), &v, 8, BY(EMULATOR)), -EFAULT);
	assert_int_equal(guest_cmpxchg(&m, G(22, 0), &v, &v, 8, BY(EMULATOR)), -EFAULT);
	assert_true(says.asked == 0 && seen.events == 0);
}

static void lesson_14_the_event_has_old_and_new_bytes(void **state)
{
	const uint8_t was[3] = { 1, 2, 3 }, is[3] = { 9, 8, 7 };

	assert_int_equal(guest_write(&m, G(17, 5), was, 3, BY(LOADER)), 0);
	track(17);
	assert_int_equal(guest_write(&m, G(17, 5), is, 3, BY(INJECTION)), 0);
	assert_int_equal(seen.events, 1);
	assert_int_equal(seen.last.gpa.v, G(17, 5).v);
	assert_int_equal(seen.last.len, 3);
	assert_int_equal(seen.origin.agent, AGENT_INJECTION);
	assert_memory_equal(seen.old, was, 3);
	assert_memory_equal(seen.new, is, 3);
	assert_false(seen.before_the_write);
	assert_int_equal(guest_write(&m, G(18, 5), is, 3, BY(EMULATOR)), 0);
	assert_int_equal(seen.events, 1);
}

static void lesson_09_every_writer_is_told(void **state)
{
	uint32_t v = 1, expect = 1;

	track(16);
	for (int w = AGENT_EMULATOR; w <= AGENT_DEBUGGER; w++) {
		seen.events = 0;
		assert_int_equal(guest_write(&m, G(16, 0), &v, 4, by(w)), 0);
		expect = 1;
		assert_int_equal(guest_cmpxchg(&m, G(16, 0), &expect, &v, 4, by(w)), 0);
		assert_int_equal(seen.events, 2);
		assert_int_equal(seen.origin.agent, w);
	}
}

static void lesson_28_one_store_is_one_event(void **state)
{
	uint8_t wide[64] = { 1 };

	track(16);
	for (unsigned int offset = 200; offset < 300; offset++) {
		seen.events = 0;
		assert_int_equal(guest_write(&m, G(16, offset), wide, sizeof(wide), BY(EMULATOR)), 0);
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
	assert_int_equal(guest_write(&m, G(16, 4092), big, 8, BY(EMULATOR)), 0);
	assert_int_equal(seen.events, 2);
	assert_int_equal(seen.last.gpa.v, G(17, 0).v);
	assert_int_equal(seen.last.len, 4);
	memset(big, 1, sizeof(big));
	seen.events = 0;
	assert_int_equal(guest_write(&m, G(16, 4088), big, sizeof(big), BY(DEVICE)), 0);
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
		assert_int_equal(guest_write(&m, G(16, offset), big, sizeof(big), BY(DEVICE)), 0);
		assert_int_equal(seen.last.gpa.v % 8, 0);
		assert_int_equal(seen.last.gpa.v + seen.last.len, G(16, offset + sizeof(big)).v);
	}
}

static void lesson_18_untracked_pages_tell_nobody(void **state)
{
	uint8_t b = 1;

	track_in(16, PAGE_TRACK_R | PAGE_TRACK_X);
	track(18); /* another page is no reason either */
	assert_int_equal(guest_write(&m, G(16, 0), &b, 1, BY(EMULATOR)), 0);
	assert_int_equal(guest_write(&m, G(17, 0), &b, 1, BY(EMULATOR)), 0);
	assert_int_equal(guest_cmpxchg(&m, G(17, 0), &b, &b, 1, BY(EMULATOR)), 0);
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
			assert_int_equal(guest_cmpxchg(&m, G(17, offset), expect, desired, n, BY(EMULATOR)),
					 0);
			assert_int_equal(seen.events, 1);
			assert_int_equal(seen.last.len, n);
			assert_memory_equal(seen.old, expect, n);
			assert_int_equal(guest_read(&m, G(17, offset), now, n, NULL), 0);
			assert_memory_equal(now, desired, n);
			assert_int_equal(ram[0][PAGE_SIZE + offset + n], 0x11);
			/* again: memory is no longer what is expected */
			assert_int_equal(guest_cmpxchg(&m, G(17, offset), expect, expect, n, BY(EMULATOR)),
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
			assert_int_equal(guest_cmpxchg(&m, G(16, 0), a, b, n, BY(EMULATOR)), -EINVAL);
	assert_int_equal(guest_cmpxchg(&m, G(16, 8), a, b, 16, BY(EMULATOR)), -EINVAL);
	assert_int_equal(guest_cmpxchg(&m, G(16, 4095), a, b, 2, BY(EMULATOR)), -EINVAL);
	assert_int_equal(guest_cmpxchg(&m, G(16, 4089), a, b, 8, BY(EMULATOR)), -EINVAL);
	assert_int_equal(guest_cmpxchg(&m, G(23, 0), a, b, 8, BY(EMULATOR)), -EFAULT);
	assert_int_equal(guest_cmpxchg(&m, G(20, 0), a, b, 8, BY(EMULATOR)), 0);
	assert_true(dirty(20));
	assert_false(dirty(21));
}

/* ---- verdicts -------------------------------------------------------------------- */

static const struct { enum page_track_verdict verdict; int err; } verdicts[] = {
	{ VERDICT_NONE, 0 },           { VERDICT_ALLOW, 0 },       { VERDICT_DENY_PF, -EACCES },
	{ VERDICT_DENY_GP, -EPERM },   { VERDICT_SKIP, 0 },        { VERDICT_REPLACE, 0 },
	{ VERDICT_STOP, -ECANCELED },
};

#define FOREACH_VERDICT(i) for (unsigned int i = 0; i < ARRAY_SIZE(verdicts); i++)

/* @bytes: to replace with. */
static void say(enum page_track_verdict verdict, const char *bytes)
{
	memset(&says, 0, sizeof(says));
	memset(&seen, 0, sizeof(seen));
	m.track.stopped_by = NULL;
	says.verdict = verdict;
	memcpy(says.bytes, bytes, strlen(bytes));
}

static bool is_done(enum page_track_verdict v) { return v <= VERDICT_ALLOW || v == VERDICT_REPLACE; }

/* Told once, of what was done. */
static void assert_told(enum page_track_verdict v, enum page_track_mode mode, const char *old, const char *new)
{
	assert_int_equal(says.asked, 1);
	assert_int_equal(seen.events, 1);
	assert_int_equal(seen.last.mode, mode);
	assert_int_equal(seen.last.verdict, v == VERDICT_NONE ? VERDICT_ALLOW : v);
	assert_int_equal(seen.last.len, strlen(old));
	assert_memory_equal(seen.old, old, strlen(old));
	assert_memory_equal(seen.new, new, strlen(new));
	assert_int_equal(m.track.stopped_by == &tracker, v == VERDICT_STOP);
}

static void verdicts_on_a_write(void **state)
{
	track(20);
	FOREACH_VERDICT(i) {
		enum page_track_verdict v = verdicts[i].verdict;
		const char *want = v == VERDICT_REPLACE ? "repl" : "new.";

		say(v, "repl");
		memcpy(ram[1] + 8, "old.", 4);
		memslot_find_id(&m.slots, 1)->dirty_bitmap[0] = 0;
		assert_int_equal(guest_write(&m, G(20, 8), "new.", 4, BY(EMULATOR)), verdicts[i].err);
		assert_memory_equal(ram[1] + 8, is_done(v) ? want : "old.", 4);
		assert_int_equal(dirty(20), is_done(v));
		assert_told(v, PAGE_TRACK_WRITE, "old.", want);
	}
}

static void verdicts_on_a_read(void **state)
{
	char got[4];

	track_in(16, PAGE_TRACK_R);
	memcpy(ram[0] + 8, "here", 4);
	FOREACH_VERDICT(i) {
		enum page_track_verdict v = verdicts[i].verdict;

		say(v, "fake");
		assert_int_equal(guest_read(&m, G(16, 8), got, 4, BY(EMULATOR)), verdicts[i].err);
		if (verdicts[i].err == 0)
			assert_memory_equal(got, v == VERDICT_SKIP ? "\0\0\0" : v == VERDICT_REPLACE ? "fake" : "here", 4);
		assert_memory_equal(ram[0] + 8, "here", 4);
		assert_told(v, PAGE_TRACK_READ, "here", v == VERDICT_REPLACE ? "fake" : v == VERDICT_SKIP ? "" : "here");
		if (v == VERDICT_SKIP)
			assert_memory_equal(seen.new, "\0\0\0", 4);
	}
	say(VERDICT_DENY_PF, ""); /* a look from outside is nobody's business */
	assert_int_equal(guest_read(&m, G(16, 8), got, 4, NULL), 0);
	assert_memory_equal(got, "here", 4);
	assert_true(says.asked == 0 && seen.events == 0);
}

static void verdicts_on_an_exchange(void **state)
{
	track(20);
	FOREACH_VERDICT(i) {
		enum page_track_verdict v = verdicts[i].verdict;
		const char *want = v == VERDICT_REPLACE ? "repl" : "new.";
		char expected[4];

		say(v, "repl");
		memcpy(ram[1] + 8, "old.", 4);
		memcpy(expected, "old.", 4);
		memslot_find_id(&m.slots, 1)->dirty_bitmap[0] = 0;
		assert_int_equal(guest_cmpxchg(&m, G(20, 8), expected, "new.", 4, BY(EMULATOR)), verdicts[i].err);
		assert_memory_equal(ram[1] + 8, is_done(v) ? want : "old.", 4);
		assert_int_equal(dirty(20), is_done(v));
		assert_told(v, PAGE_TRACK_WRITE, "old.", want);
		/* One that would fail anyway fails as such, whatever is said. */
		say(v, "repl");
		memcpy(ram[1] + 8, "else", 4);
		memcpy(expected, "old.", 4);
		assert_int_equal(guest_cmpxchg(&m, G(20, 8), expected, "new.", 4, BY(EMULATOR)), -EAGAIN);
		assert_memory_equal(expected, "else", 4);
		assert_memory_equal(ram[1] + 8, "else", 4);
		assert_int_equal(seen.events, 0);
	}
}

static void verdicts_on_a_fetch(void **state)
{
	assert_int_equal(guest_fetch(&m, G(17, 8), "code", 4, false, BY(EMULATOR)), VERDICT_ALLOW);
	assert_int_equal(guest_fetch(&m, G(30, 8), "code", 4, false, BY(EMULATOR)), VERDICT_ALLOW); /* a hole */
	track_in(17, PAGE_TRACK_X);
	FOREACH_VERDICT(i) {
		enum page_track_verdict v = verdicts[i].verdict, want = v;

		if (v == VERDICT_NONE)
			want = VERDICT_ALLOW;
		if (v == VERDICT_REPLACE) /* no instruction can be put in its place */
			want = VERDICT_DENY_GP;
		say(v, "nops");
		assert_int_equal(guest_fetch(&m, G(17, 8), "code", 4, i & 1, BY(EMULATOR)), want);
		assert_false(says.could_replace);
		assert_told(want, PAGE_TRACK_EXEC, "code", "code");
		assert_int_equal(seen.last.inexact, i & 1);
		assert_ptr_equal(seen.last.page, ram[0] + PAGE_SIZE);
	}
	track_in(18, PAGE_TRACK_R | PAGE_TRACK_W); /* that is something else */
	say(VERDICT_DENY_PF, "");
	assert_int_equal(guest_fetch(&m, G(18, 8), "code", 4, false, BY(EMULATOR)), VERDICT_ALLOW);
	assert_int_equal(says.asked, 0);
}

/* Two pages that are neighbours in linear addresses alone, in either order, one or both
 * of them tracked: the one that is denied holds the other. */
static void parts_happen_whole_or_not_at_all(void **state)
{
	static const uint64_t frame[2][2] = { { 21, 16 }, { 17, 20 } };

	track(16);
	track(17);
	track(20);
	track(21);
	FOREACH_VERDICT(i) {
		for (unsigned int k = 0; k < 4; k++) {
			const uint64_t *f = frame[k & 1];
			struct guest_part part[2] = { { .gpa = G(f[0], 4093), .len = 3 }, { .gpa = G(f[1], 0), .len = 5 } };
			enum page_track_verdict v = verdicts[i].verdict;
			char was[8] = "before..", now[8];

			say(VERDICT_NONE, "");
			assert_int_equal(guest_write_parts(&m, part, 2, was, BY(EMULATOR)), 0);
			say(v, "12345");
			says.only_frame = f[k >> 1];
			memslot_find_id(&m.slots, 1)->dirty_bitmap[0] = 0;
			assert_int_equal(guest_write_parts(&m, part, 2, "changed.", BY(EMULATOR)), verdicts[i].err);
			assert_int_equal(guest_read_parts(&m, part, 2, now, NULL), 0);
			if (v == VERDICT_REPLACE)
				assert_memory_equal(now, k >> 1 ? "cha12345" : "123nged.", 8);
			else
				assert_memory_equal(now, is_done(v) ? "changed." : "before..", 8);
			assert_int_equal(says.asked, 2);
			assert_int_equal(seen.events, 2); /* both are told what became of all of it */
			assert_int_equal(seen.last.verdict, v == VERDICT_NONE ? VERDICT_ALLOW : v);
			assert_int_equal(seen.last.gpa.v, part[1].gpa.v);
			assert_int_equal(dirty(21) || dirty(20), is_done(v));
		}
	}
}

static void reads_of_parts_too(void **state)
{
	struct guest_part part[2] = { { .gpa = G(19, 4092), .len = 4 }, { .gpa = G(16, 0), .len = 4 } };
	char got[8];

	track_in(16, PAGE_TRACK_R); /* the second alone */
	memcpy(ram[0] + 3 * PAGE_SIZE + 4092, "abcd", 4);
	memcpy(ram[0], "efgh", 4);
	FOREACH_VERDICT(i) {
		enum page_track_verdict v = verdicts[i].verdict;

		say(v, "EFGH");
		assert_int_equal(guest_read_parts(&m, part, 2, got, BY(EMULATOR)), verdicts[i].err);
		if (v == VERDICT_SKIP)
			assert_memory_equal(got, "\0\0\0\0\0\0\0", 8);
		else if (verdicts[i].err == 0)
			assert_memory_equal(got, v == VERDICT_REPLACE ? "abcdEFGH" : "abcdefgh", 8);
		assert_true(says.asked == 1 && seen.events == 1);
	}
}

/* Of two that deny, the first part's says how. */
static enum page_track_verdict second_says(struct page_tracker *t, const struct page_track_event *e, uint8_t *value)
{
	return VERDICT_DENY_GP;
}

static void the_first_part_that_is_denied_decides(void **state)
{
	struct guest_part part[2] = { { .gpa = G(19, 4092), .len = 4 }, { .gpa = G(16, 0), .len = 4 } };
	const struct page_tracker_ops other_ops = { .before = second_says };
	struct page_tracker other = { .name = "other", .ops = &other_ops };

	track(19);
	assert_int_equal(page_tracker_register(&m.track, &other), 0);
	assert_int_equal(page_tracker_add(&other, gfn(16), 1, PAGE_TRACK_W, NULL), 0);
	say(VERDICT_DENY_PF, "");
	assert_int_equal(guest_write_parts(&m, part, 2, "changed.", BY(EMULATOR)), -EACCES);
	say(VERDICT_REPLACE, "1234"); /* denies nothing */
	assert_int_equal(guest_write_parts(&m, part, 2, "changed.", BY(EMULATOR)), -EPERM);
	assert_int_equal(seen.last.verdict, VERDICT_DENY_GP);
	assert_int_equal(ram[0][3 * PAGE_SIZE + 4092], 0);
	assert_int_equal(page_tracker_destroy(&other), 0);
}

/* ---- trackers that change the ground -------------------------------------------- */

static void delete_slots(void)
{
	if (memslot_find_id(&m.slots, 0))
		assert_int_equal(bare_slot_delete(&m, 0), 0);
}

static void make_read_only(void)
{
	assert_int_equal(memslot_set_flags(&m.slots, 0, MEMSLOT_READONLY), 0);
}

static void a_tracker_deletes_the_slot_when_asked(void **state)
{
	track(19);
	track(20);
	say(VERDICT_NONE, "");
	says.action = delete_slots;
	assert_int_equal(guest_write(&m, G(19, 4094), "wxyz", 4, BY(EMULATOR)), -EFAULT);
	assert_int_equal(ram[1][0], 0); /* nor the half of it that is still there */
	assert_int_equal(seen.events, 0);
}

static void or_while_it_is_read_exchanged_or_fetched(void **state)
{
	static const uint8_t zero[4];
	uint8_t buf[4] = { 9, 9, 9, 9 };

	for (int way = 0; way < 3; way++) {
		struct memslot_desc d = { .id = 0, .base_gfn = gfn(16), .npages = 4 };

		d.base_pfn = hpa_to_pfn(port_va_to_hpa(ram[0]));
		track_in(17, PAGE_TRACK_ALL);
		say(VERDICT_ALLOW, "");
		says.action = delete_slots;
		memset(buf, 0, sizeof(buf));
		if (way == 0)
			assert_int_equal(guest_read(&m, G(17, 0), buf, 4, BY(EMULATOR)), -EFAULT);
		else if (way == 1)
			assert_int_equal(guest_cmpxchg(&m, G(17, 0), buf, "new.", 4, BY(EMULATOR)), -EFAULT);
		else
			assert_int_equal(guest_fetch(&m, G(17, 0), "code", 4, false, BY(EMULATOR)), VERDICT_ALLOW);
		assert_int_equal(says.asked, 1);
		assert_int_equal(seen.events, 0); /* nobody holds the page any more */
		assert_memory_equal(ram[0] + PAGE_SIZE, zero, 4);
		assert_int_equal(page_tracker_remove(&tracker, gfn(17), 1, PAGE_TRACK_ALL, NULL), 0); /* it waited */
		assert_int_equal(bare_slot_create(&m, &d), 0);
	}
}

static void a_tracker_makes_the_slot_read_only_when_asked(void **state)
{
	uint8_t buf[4] = { 0 };

	track(17);
	say(VERDICT_ALLOW, "");
	says.action = make_read_only;
	assert_int_equal(guest_write(&m, G(17, 0), "new.", 4, BY(EMULATOR)), -EFAULT);
	assert_int_equal(memslot_set_flags(&m.slots, 0, 0), 0);
	assert_int_equal(guest_cmpxchg(&m, G(17, 0), buf, "new.", 4, BY(EMULATOR)), -EFAULT);
	assert_int_equal(ram[0][PAGE_SIZE], 0);
	assert_int_equal(seen.events, 0);
}

/* Memory changes between the question and the write: told is what was replaced. */
static void another_cpu_writes(void) { memcpy(ram[0] + PAGE_SIZE, "thre", 4); }

static void old_bytes_are_those_that_were_replaced(void **state)
{
	track(17);
	say(VERDICT_NONE, "");
	says.action = another_cpu_writes;
	assert_int_equal(guest_write(&m, G(17, 0), "new.", 4, BY(EMULATOR)), 0);
	assert_told(VERDICT_NONE, PAGE_TRACK_WRITE, "thre", "new.");
}

/* ---- who, and where ---------------------------------------------------------------- */

/* A walk must see what is in memory. */
static void accesses_of_a_walk_cannot_be_forged(void **state)
{
	track_in(17, PAGE_TRACK_R | PAGE_TRACK_W);
	FOREACH_VERDICT(i) {
		enum page_track_verdict v = verdicts[i].verdict;
		uint64_t e = 0, desired = 0x21, old = 1;
		int err = v == VERDICT_SKIP ? -EACCES : v == VERDICT_REPLACE ? -EPERM : verdicts[i].err;

		memcpy(ram[0] + PAGE_SIZE, &old, 8);
		tracker.walks = true;
		say(v, "forged..");
		assert_int_equal(guest_read(&m, G(17, 0), &e, 8, BY(WALKER)), err);
		assert_true(err || e == 1);
		assert_false(says.could_replace);
		assert_true(says.asked == 1 && seen.events == 1);
		say(v, "forged..");
		assert_int_equal(guest_cmpxchg(&m, G(17, 0), &old, &desired, 8, BY(WALKER)), err);
		memcpy(&e, ram[0] + PAGE_SIZE, 8);
		assert_int_equal(e, err ? 1 : 0x21);
		assert_false(says.could_replace);
		assert_true(says.asked == 1 && seen.events == 1);
		/* Reads of walks are for those who asked for them. */
		tracker.walks = false;
		say(v, "forged..");
		assert_int_equal(guest_read(&m, G(17, 0), &e, 8, BY(WALKER)), 0);
		assert_true(says.asked == 0 && seen.events == 0);
	}
}

static void origins_arrive_whole(void **state)
{
	struct access_origin o = { .agent = AGENT_INJECTION, .vcpu = 3, .user = true, .rip = 0x401000, .cr3 = 0x5000,
				   .gva = gva(0x7ffe) };
	struct guest_part part[2] = { { .gpa = G(21, 4094), .len = 2 }, { .gpa = G(16, 0), .len = 6 } };
	char buf[8];

	track_in(16, PAGE_TRACK_R | PAGE_TRACK_W);
	assert_int_equal(guest_write_parts(&m, part, 2, "changed.", &o), 0);
	assert_int_equal(seen.events, 1);
	assert_int_equal(seen.origin.gva.v, 0x8000); /* of the second part, though the first is not told */
	assert_true(seen.origin.agent == AGENT_INJECTION && seen.origin.vcpu == 3 && seen.origin.user &&
		    seen.origin.rip == 0x401000 && seen.origin.cr3 == 0x5000);
	assert_memory_equal(seen.new, "anged.", 6);
	assert_ptr_equal(seen.last.page, ram[0]);
	assert_int_equal(guest_read_parts(&m, part, 2, buf, &o), 0);
	assert_int_equal(seen.origin.gva.v, 0x8000);
	assert_int_equal(guest_write_parts(&m, &part[1], 1, "change", &o), 0);
	assert_int_equal(seen.origin.gva.v, 0x7ffe);
	assert_int_equal(guest_write(&m, G(16, 8), "ab", 2, BY(DEVICE)), 0);
	assert_int_equal(seen.origin.gva.v, 0); /* by gpa: an address is not made up */
	assert_int_equal(guest_write_parts(&m, part, 2, "changed.", BY(DEVICE)), 0);
	assert_int_equal(seen.last.len, 6);
	assert_int_equal(seen.origin.gva.v, 0);
	assert_int_equal(seen.origin.vcpu, ACCESS_NO_VCPU);
}

/* Each piece of a long one has the address of its own first byte. */
static void a_long_access_has_addresses_all_along(void **state)
{
	static uint8_t big[PAGE_SIZE];
	const struct access_origin o = { .agent = AGENT_EMULATOR, .gva = gva(0x40000100) };

	for (uint64_t f = 16; f < 18; f++)
		track_in(f, PAGE_TRACK_R | PAGE_TRACK_W);
	assert_int_equal(guest_write(&m, G(16, 0x100), big, PAGE_SIZE, &o), 0);
	assert_int_equal(seen.events, 16);
	assert_int_equal(seen.origin.gva.v - 0x40000100, seen.last.gpa.v - G(16, 0x100).v);
	assert_int_equal(guest_read(&m, G(16, 0x100), big, PAGE_SIZE - 1, &o), 0);
	assert_int_equal(seen.events, 32);
	assert_int_equal(seen.origin.gva.v - 0x40000100, seen.last.gpa.v - G(16, 0x100).v);
}

/* A device's transfer that is denied in the middle has happened up to there. */
static void a_long_access_ends_where_it_is_denied(void **state)
{
	static uint8_t big[2 * PAGE_SIZE];

	memset(big, 7, sizeof(big));
	track(17);
	say(VERDICT_DENY_PF, "");
	assert_int_equal(guest_write(&m, G(16, 0), big, sizeof(big), BY(DEVICE)), -EACCES);
	assert_int_equal(seen.events, 1);
	assert_int_equal(ram[0][PAGE_SIZE - 1], 7);
	for (unsigned int i = 0; i < PAGE_SIZE; i++)
		assert_int_equal(ram[0][PAGE_SIZE + i], 0);
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
		T(verdicts_on_a_write),
		T(verdicts_on_a_read),
		T(verdicts_on_an_exchange),
		T(verdicts_on_a_fetch),
		T(parts_happen_whole_or_not_at_all),
		T(reads_of_parts_too),
		T(the_first_part_that_is_denied_decides),
		T(a_tracker_deletes_the_slot_when_asked),
		T(or_while_it_is_read_exchanged_or_fetched),
		T(a_tracker_makes_the_slot_read_only_when_asked),
		T(old_bytes_are_those_that_were_replaced),
		T(accesses_of_a_walk_cannot_be_forged),
		T(origins_arrive_whole),
		T(a_long_access_has_addresses_all_along),
		T(a_long_access_ends_where_it_is_denied),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
