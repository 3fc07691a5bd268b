/* SPDX-License-Identifier: GPL-2.0-only */
/* Watches: byte ranges and conditions. SPOOR_SEED=n replays the random test. */
#include <setjmp.h>
#include <stdarg.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "lib/compiler.h"
#include "lib/errno.h"
#include "pagetrack/watch.h"
#include "tests/host/port_host.h"
#include "tests/host/tracked_memory.h"
#include "tests/host/random.h"

/* A watch that notes what it is called for. */
struct noting {
	struct page_watch w;
	unsigned int befores, calls;
	uint64_t last_gpa, last_hit;
	uint32_t last_len;
	enum page_track_verdict say, done;
	struct page_watch *remove, *add; /* from inside */
	bool in_before, destroy, again;
};

static struct page_watcher watcher;
static unsigned int order[16], calls;

static void meddle(struct noting *n)
{
	if (n->remove)
		(void)!page_watch_remove(n->remove);
	if (n->again)
		assert_int_equal(page_watch_add(&watcher, &n->w, NULL), 0);
	if (n->add)
		assert_int_equal(page_watch_add(&watcher, n->add, NULL), 0);
	if (n->destroy) {
		assert_int_equal(page_watcher_destroy(&watcher), 0);
		memset(&watcher, 0xEE, sizeof(watcher)); /* its memory may be another's by now */
	}
}

static enum page_track_verdict note_before(struct page_watcher *wr, struct page_watch *w,
					   const struct page_track_event *e, uint8_t *value)
{
	struct noting *n = container_of(w, struct noting, w);
	enum page_track_verdict say = n->say;

	n->befores++;
	if (say == VERDICT_REPLACE && value)
		memset(value, (int)(0xA0 + w->len), e->len);
	if (n->in_before)
		meddle(n);
	return say;
}

static void note_hit(struct page_watcher *wr, struct page_watch *w, const struct page_track_event *e)
{
	struct noting *n = container_of(w, struct noting, w);

	n->calls++;
	n->last_gpa = e->gpa.v;
	n->last_len = e->len;
	n->last_hit = e->hit;
	n->done = e->verdict;
	order[calls++ % ARRAY_SIZE(order)] = (unsigned int)w->len;
	if (!n->in_before)
		meddle(n);
}

static const struct page_watcher_ops noting_ops = { .before = note_before, .hit = note_hit };

static int setup(void **state)
{
	tracked_open();
	calls = 0;
	watcher = (struct page_watcher){ .tracker = { .name = "watch" }, .ops = &noting_ops };
	return page_watcher_register(&mem.pt, &watcher);
}

static int teardown(void **state)
{
	(void)!page_watcher_destroy(&watcher);
	return tracked_close() != 0;
}

static struct noting noting(gpa_t at, uint64_t len, unsigned int modes)
{
	return (struct noting){ .w = { .gpa = at, .len = len, .modes = modes } };
}

static void add(struct noting *n)
{
	assert_int_equal(page_watch_add(&watcher, &n->w, NULL), 0);
}

/* Before the watches of a test go out of scope. */
static void done(void) { assert_int_equal(page_watcher_destroy(&watcher), 0); }

static enum page_track_verdict write8(gpa_t at, uint64_t value)
{
	const struct access_origin by = vcpu_at(0x1000);

	return tracked_write(at, &value, 8, &by);
}

static uint64_t held(int page, enum page_track_mode mode)
{
	return page_tracker_count(&watcher.tracker, gfn(MEM_BASE + (uint64_t)page), mode);
}

/* ---- ranges ------------------------------------------------------------- */

static void exactly_what_overlaps(void **state)
{
	struct noting n = noting(AT(3, 100), 4, PAGE_TRACK_W);

	add(&n);
	for (unsigned int offset = 90; offset < 110; offset++)
		write8(AT(3, offset), 0);
	assert_int_equal(n.calls, 11); /* from 93 to 103 */
	assert_int_equal(watcher.false_hits, 9);
	assert_int_equal(n.last_gpa, AT(3, 103).v);
	assert_int_equal(n.last_len, 8);
	assert_int_equal(n.last_hit, 11);
	assert_int_equal(n.w.hits, 11);
	assert_int_equal(page_watch_remove(&n.w), 0);
	write8(AT(3, 100), 0);
	assert_int_equal(n.calls, 11);
	assert_int_equal(mem.silent, 1);
	done();
}

static void modes_are_told_apart(void **state)
{
	const struct access_origin by = vcpu_at(0);
	struct noting w = noting(AT(1, 0), 8, PAGE_TRACK_W), r = noting(AT(1, 0), 8, PAGE_TRACK_R),
		      x = noting(AT(1, 0), 8, PAGE_TRACK_X | PAGE_TRACK_W);
	uint64_t v;

	add(&w);
	add(&r);
	add(&x);
	tracked_read(AT(1, 0), &v, 8, &by);
	assert_int_equal(w.calls + x.calls, 0);
	assert_int_equal(r.calls, 1);
	tracked_fetch(AT(1, 0), 3, &by);
	assert_int_equal(w.calls, 0);
	assert_int_equal(x.calls, 1);
	write8(AT(1, 0), 1);
	assert_int_equal(w.calls, 1);
	assert_int_equal(r.calls, 1);
	assert_int_equal(x.calls, 2);
	done();
}

/* A watch over three pages, two slots; an access over two of them. */
static void across_pages_and_slots(void **state)
{
	struct noting n = noting(AT(MEM_FIRST_SLOT - 2, 4090), 6 + PAGE_SIZE + 6, PAGE_TRACK_W);

	add(&n);
	for (int page = MEM_FIRST_SLOT - 2; page <= MEM_FIRST_SLOT; page++)
		assert_int_equal(held(page, PAGE_TRACK_WRITE), 1);
	assert_int_equal(held(MEM_FIRST_SLOT + 1, PAGE_TRACK_WRITE), 0);
	write8(AT(MEM_FIRST_SLOT - 1, 4092), 0);
	assert_int_equal(n.calls, 2);
	assert_int_equal(n.last_gpa, AT(MEM_FIRST_SLOT, 0).v);
	assert_int_equal(n.last_len, 4);
	write8(AT(MEM_FIRST_SLOT, 4), 0);
	assert_int_equal(n.calls, 3);
	write8(AT(MEM_FIRST_SLOT, 6), 0);
	assert_int_equal(n.calls, 3);
	assert_int_equal(page_watch_remove(&n.w), 0);
	assert_int_equal(page_track_total(&mem.slot[0], PAGE_TRACK_WRITE), 0);
	assert_int_equal(page_track_total(&mem.slot[1], PAGE_TRACK_WRITE), 0);
	done();
}

static void a_step_hits_what_it_may_have_touched(void **state)
{
	struct noting a = noting(AT(5, 8), 8, PAGE_TRACK_W), b = noting(AT(5, 800), 8, PAGE_TRACK_W),
		      c = noting(AT(6, 0), 8, PAGE_TRACK_W);

	add(&a);
	add(&b);
	add(&c);
	tracked_step_write(AT(5, 8), "x", 1);
	assert_int_equal(a.calls, 1);
	assert_int_equal(b.calls, 1);
	assert_int_equal(c.calls, 0);
	done();
}

static void watches_stay_with_their_addresses(void **state)
{
	struct noting n = noting(AT(MEM_FIRST_SLOT - 1, 4090), 12, PAGE_TRACK_W);

	add(&n);
	tracked_remove_slot(1);
	tracked_make_slot(1);
	write8(AT(MEM_FIRST_SLOT, 0), 0);
	assert_int_equal(n.calls, 1);
	tracked_remove_slot(1);
	assert_int_equal(page_watch_remove(&n.w), 0);
	tracked_make_slot(1);
	write8(AT(MEM_FIRST_SLOT, 0), 0);
	assert_int_equal(n.calls, 1);
	assert_int_equal(mem.silent, 1);
	done();
}

/* ---- many, at random ------------------------------------------------------ */

#define WATCHES 10000
#define PAGES 100 /* across both slots */
#define FIRST_PAGE 14

static struct many {
	struct page_watch w;
	uint64_t calls;
} many[WATCHES];
static uint64_t last_start, last_event;
static uint64_t seed, rng;

static uint64_t rnd(uint64_t below)
{
	return random_next(&rng) % below;
}

static void count_hit(struct page_watcher *wr, struct page_watch *w, const struct page_track_event *e)
{
	container_of(w, struct many, w)->calls++;
	if (e->tsc == last_event)
		assert_true(w->gpa.v >= last_start);
	last_event = e->tsc;
	last_start = w->gpa.v;
	assert_int_equal(e->hit, w->hits);
}

static const struct page_watcher_ops counting_ops = { .hit = count_hit };

/* Adds what an access to one page must do to each watch. Returns what it must do to false_hits. */
static unsigned int expect(enum page_track_mode mode, uint64_t at, uint64_t len, uint64_t *want)
{
	unsigned int overlap = 0, page = 0;

	for (int i = 0; i < WATCHES; i++) {
		const struct page_watch *w = &many[i].w;
		uint64_t last = w->gpa.v + w->len - 1;

		if (!w->watcher || !(w->modes & PAGE_TRACK_BIT(mode)))
			continue;
		page |= w->gpa.v >> 12 <= at >> 12 && at >> 12 <= last >> 12;
		if (w->gpa.v < at + len && at <= last) {
			want[i]++;
			overlap = 1;
		}
	}
	return page && !overlap;
}

static void make_any(struct page_watch *w)
{
	uint64_t len = 1 + rnd(rnd(50) ? 16 : 9000);

	w->len = len;
	w->gpa = gpa(AT(FIRST_PAGE, 0).v + rnd(PAGES * PAGE_SIZE - len));
	w->modes = (unsigned int)(rnd(3) ? PAGE_TRACK_W : 1 + rnd(PAGE_TRACK_ALL));
	assert_int_equal(page_watch_add(&watcher, w, NULL), 0);
}

static void access_any(uint64_t *want, uint64_t *false_hits)
{
	const struct access_origin by = vcpu_at(0);
	uint8_t bytes[MEM_ACCESS_MAX] = { 0 };
	uint32_t len = (uint32_t)(1 + rnd(rnd(10) ? 8 : MEM_ACCESS_MAX));
	gpa_t at = gpa(AT(FIRST_PAGE, 0).v + rnd(PAGES * PAGE_SIZE - len));
	enum page_track_mode mode = (enum page_track_mode)rnd(PAGE_TRACK_MODES);
	uint64_t first = PAGE_SIZE - gpa_offset(at);

	if (first > len)
		first = len;
	if (rnd(16) == 0 && len > 1) /* across a page */
		at = gpa((at.v | PAGE_OFFSET_MASK) - rnd(len - 1)), first = PAGE_SIZE - gpa_offset(at);
	if (at.v + len > AT(FIRST_PAGE + PAGES, 0).v)
		return;
	*false_hits += expect(mode, at.v, first, want);
	if (first < len)
		*false_hits += expect(mode, at.v + first, len - first, want);
	if (mode == PAGE_TRACK_WRITE)
		tracked_write(at, bytes, len, &by);
	else if (mode == PAGE_TRACK_READ)
		tracked_read(at, bytes, len, &by);
	else
		tracked_fetch(at, len, &by);
}

static void ten_thousand_ranges_on_a_hundred_pages(void **state)
{
	static uint64_t want[WATCHES];
	uint64_t false_hits = 0;

	seed = number_from_environment("SPOOR_SEED", (uint64_t)time(NULL));
	rng = seed * 0x9E3779B97F4A7C15ull + 1;
	watcher.ops = &counting_ops;
	memset(many, 0, sizeof(many));
	memset(want, 0, sizeof(want));
	for (int i = 0; i < WATCHES; i++)
		make_any(&many[i].w);
	for (int step = 0; step < 1500; step++) {
		int i = (int)rnd(WATCHES);

		access_any(want, &false_hits);
		if (rnd(4) == 0) {
			assert_int_equal(page_watch_remove(&many[i].w), 0);
			make_any(&many[i].w);
		}
		for (int k = 0; k < WATCHES; k++) {
			if (many[k].calls != want[k])
				print_error("SPOOR_SEED=%lu step %d watch %d\n", seed, step, k);
			assert_int_equal(many[k].calls, want[k]);
		}
		assert_int_equal(watcher.false_hits, false_hits);
	}
	for (int i = 0; i < WATCHES; i++)
		assert_int_equal(page_watch_remove(&many[i].w), 0);
	for (int m = 0; m < PAGE_TRACK_MODES; m++)
		assert_int_equal(page_track_total(&mem.slot[0], m) + page_track_total(&mem.slot[1], m), 0);
}

/* ---- conditions ------------------------------------------------------------ */

static void a_value_after_a_write(void **state)
{
	struct noting n = noting(AT(2, 16), 8, PAGE_TRACK_W);

	n.w.when.mask = 0xFF00FF;
	n.w.when.value = 0x220011;
	add(&n);
	write8(AT(2, 16), 0x223311);
	assert_int_equal(n.calls, 1);
	assert_int_equal(n.befores, 1);
	write8(AT(2, 16), 0x233311);
	assert_int_equal(n.calls, 1);
	assert_int_equal(n.befores, 1);
	/* The rest of the value is in memory already: 0x22 in its place, then 0x11. */
	tracked_write(AT(2, 18), "\x22", 1, BY(DEVICE));
	assert_int_equal(n.calls, 2);
	/* Half of the access lies before the watch. */
	tracked_write(AT(2, 12), "abcd\x12", 5, BY(DEVICE));
	assert_int_equal(n.calls, 2);
	tracked_write(AT(2, 12), "abcd\x11", 5, BY(DEVICE));
	assert_int_equal(n.calls, 3);
	/* With the rest as it is in memory, it is another value. */
	tracked_write(AT(2, 18), "z", 1, BY(DEVICE));
	tracked_write(AT(2, 16), "\x11", 1, BY(DEVICE));
	assert_int_equal(n.calls, 3);
	tracked_write(AT(2, 18), "\x22", 1, BY(DEVICE));
	assert_int_equal(n.calls, 4);
	/* Behind the value, but in the watch. */
	tracked_write(AT(2, 23), "z", 1, BY(DEVICE));
	assert_int_equal(n.calls, 5);
	done();
}

static void a_value_that_is_read_or_run(void **state)
{
	struct noting n = noting(AT(2, 16), 2, PAGE_TRACK_R | PAGE_TRACK_X);
	uint8_t b[4];

	n.w.when.mask = 0xFFFF;
	n.w.when.value = 0x050F;
	add(&n);
	tracked_read(AT(2, 15), b, 4, BY(DEVICE));
	assert_int_equal(n.calls, 0);
	memcpy(mem.bytes[2] + 16, "\x0F\x05", 2);
	tracked_read(AT(2, 15), b, 4, BY(DEVICE));
	tracked_read(AT(2, 17), b, 1, BY(DEVICE));
	assert_int_equal(n.calls, 2);
	assert_int_equal(n.befores, 2);
	tracked_fetch(AT(2, 16), 2, BY(DEVICE));
	assert_int_equal(n.calls, 3);
	done();
}

/* A value across pages: the event shows the bytes of its own page, the others count as equal. */
static void a_value_that_is_shown_in_part(void **state)
{
	struct noting n = noting(AT(2, 4094), 4, PAGE_TRACK_W);

	n.w.when.mask = 0xFFFFFFFF;
	n.w.when.value = 0x44332211;
	add(&n);
	tracked_write(AT(2, 4094), "\x11\x22\x33\x45", 4, BY(DEVICE));
	assert_int_equal(n.calls, 1);
	assert_int_equal(n.last_gpa, AT(2, 4094).v);
	tracked_step_write(AT(2, 0), "x", 1);
	assert_int_equal(n.befores, 2);
	assert_int_equal(n.calls, 2);
	tracked_step_write(AT(2, 4095), "x", 1);
	assert_int_equal(n.befores, 3);
	assert_int_equal(n.calls, 2); /* after it, it is known */
	tracked_step_write(AT(2, 4095), "\x22", 1);
	assert_int_equal(n.befores, 4); /* memory has another value now */
	assert_int_equal(n.calls, 3);
	done();
}

static void where_the_instruction_is(void **state)
{
	struct noting n = noting(AT(2, 0), 8, PAGE_TRACK_W);
	const uint64_t rip[] = { 0xFFF, 0x1000, 0x1FFF, 0x2000, 0 };

	n.w.when.rip_first = 0x1000;
	n.w.when.rip_last = 0x1FFF;
	add(&n);
	for (unsigned int i = 0; i < ARRAY_SIZE(rip); i++) {
		const struct access_origin by = vcpu_at(rip[i]);

		tracked_write(AT(2, 0), "x", 1, &by);
	}
	assert_int_equal(n.calls, 2);
	tracked_write(AT(2, 0), "x", 1, BY(DEVICE));
	assert_int_equal(n.calls, 2);
	done();
}

static void which_address_space(void **state)
{
	struct noting n = noting(AT(2, 0), 8, PAGE_TRACK_W);
	/* PCID and the bit that keeps translations are not part of the address. */
	const uint64_t cr3[] = { 0x5000, 0x5018, 0x8000000000005FFFull, 0x6000, 0x8000000005000ull, 0 };

	n.w.when.match_cr3 = true;
	n.w.when.cr3 = 0x5001;
	add(&n);
	for (unsigned int i = 0; i < ARRAY_SIZE(cr3); i++) {
		struct access_origin by = vcpu_at(0);

		by.cr3 = cr3[i];
		tracked_write(AT(2, 0), "x", 1, &by);
		assert_int_equal(n.calls, i < 3 ? i + 1 : 3);
	}
	n.w.when.cr3 = 0;
	tracked_write(AT(2, 0), "x", 1, BY(LOADER));
	assert_int_equal(n.calls, 3);
	done();
}

static void who_is_in_the_ring(void **state)
{
	struct noting u = noting(AT(2, 0), 8, PAGE_TRACK_W), s = noting(AT(2, 0), 8, PAGE_TRACK_W);
	struct access_origin by = vcpu_at(0);

	u.w.when.cpl = WATCH_USER;
	s.w.when.cpl = WATCH_SUPERVISOR;
	add(&u);
	add(&s);
	tracked_write(AT(2, 0), "x", 1, &by);
	assert_int_equal(u.calls, 0);
	assert_int_equal(s.calls, 1);
	by.user = true;
	tracked_write(AT(2, 0), "x", 1, &by);
	assert_int_equal(u.calls, 1);
	assert_int_equal(s.calls, 1);
	tracked_write(AT(2, 0), "x", 1, BY(DEVICE));
	assert_int_equal(u.calls + s.calls, 2);
	done();
}

static void each_third_time(void **state)
{
	struct noting n = noting(AT(2, 0), 8, PAGE_TRACK_W);

	n.w.when.every = 3;
	n.w.when.mask = 1;
	n.w.when.value = 1;
	n.say = VERDICT_SKIP;
	add(&n);
	for (int i = 1; i <= 10; i++) {
		write8(AT(2, 0), 0); /* does not count */
		assert_int_equal(write8(AT(2, 0), 1), i % 3 ? VERDICT_ALLOW : VERDICT_SKIP);
		assert_int_equal(n.calls, i / 3);
		assert_int_equal(n.befores, i / 3);
	}
	assert_int_equal(n.last_hit, 3);
	assert_int_equal(n.w.matches, 10);
	assert_int_equal(watcher.false_hits, 17);
	done();
}

/* ---- verdicts ---------------------------------------------------------------- */

static void the_first_by_address_decides(void **state)
{
	struct noting third = noting(AT(2, 6), 3, PAGE_TRACK_W), first = noting(AT(2, 0), 1, PAGE_TRACK_W),
		      second = noting(AT(2, 4), 2, PAGE_TRACK_W);

	third.say = VERDICT_DENY_PF;
	second.say = VERDICT_SKIP;
	add(&third);
	add(&first);
	add(&second);
	assert_int_equal(write8(AT(2, 0), 1), VERDICT_SKIP);
	assert_int_equal(first.befores + second.befores + third.befores, 3);
	assert_int_equal(calls, 3);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(order[i], i + 1);
	assert_int_equal(third.done, VERDICT_SKIP);
	second.say = VERDICT_NONE;
	assert_int_equal(write8(AT(2, 0), 1), VERDICT_DENY_PF);
	first.say = VERDICT_REPLACE;
	third.say = VERDICT_REPLACE; /* too late for the bytes */
	assert_int_equal(write8(AT(2, 0), 1), VERDICT_REPLACE);
	assert_int_equal(mem.bytes[2][0], 0xA1);
	assert_int_equal(mem.bytes[2][7], 0xA1);
	done();
}

/* ---- changes from inside ------------------------------------------------------- */

static void each_removes_each(void **state)
{
	for (int how = 0; how < 18; how++) {
		int who = how % 3, whom = how / 3 % 3, in_before = how / 9;
		struct noting n[3];

		for (int i = 0; i < 3; i++) {
			n[i] = noting(AT(2, (uint64_t)i), 8, PAGE_TRACK_W);
			add(&n[i]);
		}
		n[who].remove = &n[whom].w;
		n[who].in_before = in_before;
		write8(AT(2, 2), 0);
		for (int i = 0; i < 3; i++) {
			assert_int_equal(n[i].calls, i != whom || (!in_before && whom <= who));
			assert_int_equal(n[i].befores, i != whom || !in_before || whom <= who);
		}
		assert_int_equal(held(2, PAGE_TRACK_WRITE), 2);
		write8(AT(2, 2), 0);
		assert_int_equal(n[whom].calls, !in_before && whom <= who);
		for (int i = 0; i < 3; i++)
			assert_int_equal(page_watch_remove(&n[i].w), i == whom ? -ENOENT : 0);
	}
	assert_int_equal(page_track_total(&mem.slot[0], PAGE_TRACK_WRITE), 0);
}

static void added_again_from_inside_it_waits_for_the_next(void **state)
{
	struct noting n = noting(AT(2, 0), 8, PAGE_TRACK_W), other = noting(AT(2, 0), 8, PAGE_TRACK_W);

	n.remove = &n.w;
	n.again = true;
	add(&n);
	add(&other);
	for (unsigned int i = 1; i < 5; i++) {
		write8(AT(2, 0), 0);
		assert_int_equal(n.calls, i);
		assert_int_equal(other.calls, i);
	}
	done();
}

static void added_from_inside_it_waits_for_the_next(void **state)
{
	struct noting n = noting(AT(2, 0), 8, PAGE_TRACK_W), later = noting(AT(2, 1), 8, PAGE_TRACK_W);

	n.add = &later.w;
	add(&n);
	write8(AT(2, 0), 0);
	assert_int_equal(n.calls, 1);
	assert_int_equal(later.calls, 0);
	n.add = NULL;
	write8(AT(2, 0), 0);
	assert_int_equal(later.calls, 1);
	done();
}

static void destroyed_from_inside(void **state)
{
	for (int in_before = 0; in_before < 2; in_before++) {
		struct noting a = noting(AT(2, 0), 8, PAGE_TRACK_W), b = noting(AT(2, 1), 8, PAGE_TRACK_W);

		a.destroy = true;
		a.in_before = in_before;
		add(&a);
		add(&b);
		write8(AT(2, 1), 0);
		assert_int_equal(a.befores, 1);
		assert_int_equal(a.calls, !in_before);
		assert_int_equal(b.calls, 0);
		assert_int_equal(page_watch_remove(&a.w), -ENOENT);
		assert_int_equal(page_watch_remove(&b.w), -ENOENT);
		assert_int_equal(page_track_total(&mem.slot[0], PAGE_TRACK_WRITE), 0);
		watcher = (struct page_watcher){ .tracker = { .name = "watch" }, .ops = &noting_ops };
		assert_int_equal(page_watcher_register(&mem.pt, &watcher), 0);
	}
}

/* ---- on two CPUs ---------------------------------------------------------------- */

static struct {
	int inside, finished;
} slow;

static void slow_hit(struct page_watcher *wr, struct page_watch *w, const struct page_track_event *e)
{
	__atomic_store_n(&slow.inside, 1, __ATOMIC_RELEASE);
	usleep(20000);
	__atomic_store_n(&slow.finished, 1, __ATOMIC_RELEASE);
}

static void *other_cpu(void *nothing)
{
	tracked_cpu = 1;
	tracked_write(AT(2, 0), "x", 1, BY(DEVICE));
	return NULL;
}

/* How often of two: remove the watch, destroy the watcher. */
static void removal_waits_for_other_cpus(void **state)
{
	static const struct page_watcher_ops slow_ops = { .hit = slow_hit };

	for (int whole = 0; whole < 2; whole++) {
		struct page_watch w = { .gpa = AT(2, 0), .len = 1, .modes = PAGE_TRACK_W };
		pthread_t thread;

		slow.inside = slow.finished = 0;
		watcher.ops = &slow_ops;
		assert_int_equal(page_watch_add(&watcher, &w, NULL), 0);
		assert_int_equal(pthread_create(&thread, NULL, other_cpu, NULL), 0);
		while (!__atomic_load_n(&slow.inside, __ATOMIC_ACQUIRE))
			;
		assert_int_equal(whole ? page_watcher_destroy(&watcher) : page_watch_remove(&w), 0);
		assert_int_equal(__atomic_load_n(&slow.finished, __ATOMIC_ACQUIRE), 1);
		pthread_join(thread, NULL);
	}
}

/* ---- errors ------------------------------------------------------------------- */

static void errors_change_nothing(void **state)
{
	struct noting n = noting(AT(MEM_PAGES - 2, 0), 3 * PAGE_SIZE, PAGE_TRACK_W);
	gfn_t failed = gfn(0);

	assert_int_equal(page_watch_add(&watcher, &n.w, &failed), -EINVAL); /* past the last slot */
	assert_int_equal(failed.v, MEM_BASE + MEM_PAGES);
	n.w.len = 0;
	assert_int_equal(page_watch_add(&watcher, &n.w, &failed), -EINVAL);
	assert_int_equal(failed.v, MEM_BASE + MEM_PAGES - 2);
	n.w.len = UINT64_MAX;
	n.w.gpa = AT(MEM_PAGES - 2, 100);
	assert_int_equal(page_watch_add(&watcher, &n.w, &failed), -EINVAL);
	n.w.len = 4;
	n.w.modes = 0;
	assert_int_equal(page_watch_add(&watcher, &n.w, &failed), -EINVAL);
	n.w.modes = PAGE_TRACK_W;
	n.w.when.mask = 0x100000000;
	assert_int_equal(page_watch_add(&watcher, &n.w, &failed), -EINVAL);
	n.w.when.mask = 0xF0;
	n.w.when.value = 0xF1;
	assert_int_equal(page_watch_add(&watcher, &n.w, &failed), -EINVAL);
	n.w.when = (struct page_watch_condition){ .rip_first = 2, .rip_last = 1 };
	assert_int_equal(page_watch_add(&watcher, &n.w, &failed), -EINVAL);
	n.w.when.rip_first = 0;
	assert_int_equal(page_watch_remove(&n.w), -ENOENT);
	assert_int_equal(page_track_total(&mem.slot[1], PAGE_TRACK_WRITE), 0);
	add(&n);
	assert_int_equal(page_watch_add(&watcher, &n.w, &failed), -EEXIST);
	assert_int_equal(held(MEM_PAGES - 2, PAGE_TRACK_WRITE), 1);
	assert_int_equal(page_watcher_register(&mem.pt, &watcher), -EEXIST);
	watcher.ops = NULL;
	assert_int_equal(page_watcher_register(&mem.pt, &watcher), -EINVAL);
	watcher.ops = &noting_ops;
	done();
}

static void without_memory_nothing_is_watched(void **state)
{
	struct noting n = noting(AT(0x50 - 1, 0), PAGE_SIZE + 1, PAGE_TRACK_ALL); /* in two chunks */
	size_t before = host_pages_used();
	gfn_t failed;
	int nth, err;

	for (nth = 0;; nth++) {
		host_fail_allocation(nth);
		err = page_watch_add(&watcher, &n.w, &failed);
		host_fail_allocation(-1);
		if (!err)
			break;
		assert_int_equal(err, -ENOMEM);
		assert_in_range(failed.v, MEM_BASE + 0x50 - 1, MEM_BASE + 0x50);
		assert_int_equal(held(0x50 - 1, PAGE_TRACK_WRITE), 0);
		assert_null(n.w.watcher);
		write8(AT(0x50, 0), 0);
	}
	assert_in_range(nth, 3, 20);
	assert_int_equal(n.calls, 0);
	write8(AT(0x50, 0), 0);
	assert_int_equal(n.calls, 1);
	assert_true(host_pages_used() > before);
	done();
}

/* A counter is full on the second page of a watch. */
static void a_full_counter_is_named(void **state)
{
	struct page_track_slot *slot = &mem.slot[0];
	struct noting n = noting(AT(4, 0), 2 * PAGE_SIZE, PAGE_TRACK_W);
	gfn_t failed = gfn(0);

	for (int i = 0; i < PAGE_TRACK_COUNT_MAX; i++)
		assert_int_equal(page_track_count_add(&mem.pt, slot, gfn(MEM_BASE + 5), PAGE_TRACK_WRITE), 0);
	assert_int_equal(page_watch_add(&watcher, &n.w, &failed), -EOVERFLOW);
	assert_int_equal(failed.v, MEM_BASE + 5);
	assert_int_equal(page_track_count(slot, gfn(MEM_BASE + 4), PAGE_TRACK_WRITE), 0);
	for (int i = 0; i < PAGE_TRACK_COUNT_MAX; i++)
		assert_int_equal(page_track_count_sub(slot, gfn(MEM_BASE + 5), PAGE_TRACK_WRITE), 0);
	done();
}

/* The flood policy took the counts of one of two watches' pages; the other page was added later. */
static void what_a_flood_left_is_given_back(void **state)
{
	struct noting n = noting(AT(4, 0), 2 * PAGE_SIZE, PAGE_TRACK_W | PAGE_TRACK_R);

	add(&n);
	assert_int_equal(page_tracker_remove(&watcher.tracker, gfn(MEM_BASE + 4), 1, PAGE_TRACK_W, NULL), 0);
	assert_int_equal(page_watch_remove(&n.w), 0);
	for (int page = 4; page < 6; page++)
		for (int m = 0; m < PAGE_TRACK_MODES; m++)
			assert_int_equal(held(page, m), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(exactly_what_overlaps),
		T(modes_are_told_apart),
		T(across_pages_and_slots),
		T(a_step_hits_what_it_may_have_touched),
		T(watches_stay_with_their_addresses),
		T(ten_thousand_ranges_on_a_hundred_pages),
		T(a_value_after_a_write),
		T(a_value_that_is_read_or_run),
		T(a_value_that_is_shown_in_part),
		T(where_the_instruction_is),
		T(which_address_space),
		T(who_is_in_the_ring),
		T(each_third_time),
		T(the_first_by_address_decides),
		T(each_removes_each),
		T(added_again_from_inside_it_waits_for_the_next),
		T(added_from_inside_it_waits_for_the_next),
		T(destroyed_from_inside),
		T(removal_waits_for_other_cpus),
		T(errors_change_nothing),
		T(without_memory_nothing_is_watched),
		T(a_full_counter_is_named),
		T(what_a_flood_left_is_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
