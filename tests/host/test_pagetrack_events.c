/* SPDX-License-Identifier: GPL-2.0-only */
/* Events: who is asked, whose word counts, who is told, and what a flood does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "lib/errno.h"
#include "tests/host/pagetrack_fake.h"
#include "tests/host/port_host.h"

#define BASE 0x200ull
#define NPAGES 1024ull
#define WATCHERS 4

static struct fake_mmu mmu;

/* What a callback of a watcher does to another, or to itself. */
enum deed { DO_NOTHING, DO_DESTROY, DO_REMOVE, DO_CLEAR, DO_ADD_NEXT_PAGE };
enum place { IN_BEFORE, IN_AFTER, IN_OVERRULED, IN_FLOODED, PLACES };

struct watcher {
	struct page_tracker t;
	enum page_track_verdict says;
	uint8_t bytes;     /* what it leaves in all of *value; 0: nothing */
	enum deed deed;
	enum place where;
	struct watcher *to;
	unsigned int told[PLACES];
	bool had_value;
	struct page_track_event last; /* told in after() */
	enum page_track_verdict mine, taken;
	const struct page_tracker *by;
};

static struct watcher w[WATCHERS];
static char story[64]; /* b0 a1 ...: who was called for what, in order */

static void note(struct watcher *x, enum place place)
{
	size_t at = strlen(story);

	assert_false(mmu.pt.lock.locked);
	x->told[place]++;
	if (at + 3 < sizeof(story)) {
		story[at] = "baof"[place];
		story[at + 1] = x->t.name[0];
		story[at + 2] = 0;
	}
	if (x->where != place || !x->to)
		return;
	switch (x->deed) {
	case DO_NOTHING: break;
	case DO_DESTROY: assert_int_equal(page_tracker_destroy(&x->to->t), 0); break;
	case DO_REMOVE:
		assert_int_equal(page_tracker_remove(&x->to->t, gfn(BASE), 1, PAGE_TRACK_W, NULL), 0);
		break;
	case DO_CLEAR: page_tracker_clear(&x->to->t); break;
	case DO_ADD_NEXT_PAGE:
		assert_int_equal(page_tracker_add(&x->to->t, gfn(BASE + 1), 1, PAGE_TRACK_ALL, NULL), 0);
		break;
	}
	x->to = NULL; /* once */
}

static enum page_track_verdict before(struct page_tracker *t, const struct page_track_event *e,
				      uint8_t *value)
{
	struct watcher *x = container_of(t, struct watcher, t);
	enum page_track_verdict says = x->says;

	assert_int_equal(e->verdict, VERDICT_NONE);
	assert_int_equal(e->hit, 0);
	assert_int_equal(e->tsc, mmu.tsc);
	x->had_value = value != NULL;
	if (value && x->bytes)
		memset(value, x->bytes, e->len);
	note(x, IN_BEFORE);
	return says;
}

static void after(struct page_tracker *t, const struct page_track_event *e)
{
	struct watcher *x = container_of(t, struct watcher, t);

	assert_int_equal(e->tsc, mmu.tsc);
	assert_int_equal(e->hit, t->hits);
	x->last = *e;
	note(x, IN_AFTER);
}

static void overruled(struct page_tracker *t, const struct page_track_event *e, enum page_track_verdict mine,
		      const struct page_tracker *by, enum page_track_verdict taken)
{
	struct watcher *x = container_of(t, struct watcher, t);

	x->mine = mine;
	x->by = by;
	x->taken = taken;
	note(x, IN_OVERRULED);
}

static void flooded(struct page_tracker *t)
{
	assert_true(t->flooded);
	note(container_of(t, struct watcher, t), IN_FLOODED);
}

static const struct page_tracker_ops ops = {
	.before = before, .after = after, .overruled = overruled, .flooded = flooded,
};
static const struct page_tracker_ops after_only = { .after = after };
static const struct page_tracker_ops before_only = { .before = before };

/* Watchers 0 to 3, by priority, each with a count on page BASE in each mode. */
static void watch_all(void)
{
	static const char *const names[WATCHERS] = { "0", "1", "2", "3" };

	story[0] = 0;
	for (int i = WATCHERS - 1; i >= 0; i--) {
		w[i] = (struct watcher){ .t = { .name = names[i], .priority = i, .ops = &ops } };
		assert_int_equal(page_tracker_register(&mmu.pt, &w[i].t), 0);
		assert_int_equal(page_tracker_add(&w[i].t, gfn(BASE), 1, PAGE_TRACK_ALL, NULL), 0);
	}
}

static int setup(void **state)
{
	fake_init(&mmu);
	if (fake_slot_create(&mmu, 0, BASE, NPAGES))
		return -1;
	watch_all();
	return 0;
}

static int teardown(void **state)
{
	assert_true(TAILQ_EMPTY(&mmu.pt.cursors));
	return fake_destroy(&mmu) ? 0 : -1;
}

static enum page_track_verdict a_write(void)
{
	return fake_access(&mmu, BASE, PAGE_TRACK_WRITE, AGENT_DEVICE);
}

/* A write whose bytes can be replaced: all 8 are @value[0] afterwards, or as they were. */
static enum page_track_verdict ask(uint8_t *value)
{
	static const uint8_t old[8] = "oldbyte", new[8] = "newbyte";
	struct page_track_event e = {
		.mode = PAGE_TRACK_WRITE, .gpa = gpa(BASE << PAGE_SHIFT), .len = 8, .old = old, .new = new,
		.origin = BY(DEVICE),
	};

	if (value)
		memcpy(value, new, 8);
	return page_track_before(&mmu.pt, &e, value);
}

static void all_are_asked_then_all_are_told(void **state)
{
	assert_int_equal(a_write(), VERDICT_ALLOW);
	assert_string_equal(story, "b0b1b2b3a0a1a2a3");
	assert_int_equal(w[2].last.verdict, VERDICT_ALLOW);
	assert_int_equal(w[2].last.gpa.v, BASE << PAGE_SHIFT);
	assert_int_equal(w[2].last.origin->agent, AGENT_DEVICE);
	assert_int_equal(w[2].last.hit, 1);
	a_write();
	assert_int_equal(w[2].last.hit, 2);
	assert_int_equal(w[2].t.hits, 2);
}

/* Who does not hold the page in the mode hears nothing. */
static void lesson_18_only_the_holders_of_the_page_are_told(void **state)
{
	assert_int_equal(page_tracker_remove(&w[1].t, gfn(BASE), 1, PAGE_TRACK_W, NULL), 0);
	assert_int_equal(page_tracker_add(&w[3].t, gfn(BASE + 1), 1, PAGE_TRACK_X, NULL), 0);
	page_tracker_clear(&w[2].t);
	a_write();
	assert_string_equal(story, "b0b3a0a3");
	story[0] = 0;
	fake_access(&mmu, BASE, PAGE_TRACK_EXEC, AGENT_EMULATOR);
	assert_string_equal(story, "b0b1b3a0a1a3");
	story[0] = 0;
	fake_access(&mmu, BASE + 1, PAGE_TRACK_EXEC, AGENT_EMULATOR);
	assert_string_equal(story, "b3a3");
	story[0] = 0;
	assert_int_equal(fake_access(&mmu, BASE + 1, PAGE_TRACK_WRITE, AGENT_EMULATOR), VERDICT_ALLOW);
	assert_int_equal(fake_access(&mmu, BASE + 511, PAGE_TRACK_WRITE, AGENT_EMULATOR), VERDICT_ALLOW);
	assert_int_equal(fake_access(&mmu, BASE + NPAGES, PAGE_TRACK_WRITE, AGENT_EMULATOR), VERDICT_ALLOW);
	assert_int_equal(fake_access(&mmu, BASE - 1, PAGE_TRACK_WRITE, AGENT_EMULATOR), VERDICT_ALLOW);
	assert_string_equal(story, "");
}

/* Reads of a page walk are for those who want them; its writes, and others' reads, are for all. */
static void walks_are_for_those_who_want_them(void **state)
{
	w[1].t.walks = true;
	fake_access(&mmu, BASE, PAGE_TRACK_READ, AGENT_WALKER);
	assert_string_equal(story, "b1a1");
	assert_int_equal(w[0].t.hits, 0);
	story[0] = 0;
	fake_access(&mmu, BASE, PAGE_TRACK_WRITE, AGENT_WALKER);
	assert_string_equal(story, "b0b1b2b3a0a1a2a3");
	story[0] = 0;
	fake_access(&mmu, BASE, PAGE_TRACK_READ, AGENT_EMULATOR);
	assert_string_equal(story, "b0b1b2b3a0a1a2a3");
}

/* A write by vCPU 0 under @cr3. */
static void write_under(uint64_t cr3, enum access_agent agent)
{
	const struct access_origin origin = { .agent = agent, .vcpu = 0, .cr3 = cr3 };
	static const uint8_t old[8], new[8];
	struct page_track_event e = {
		.mode = PAGE_TRACK_WRITE, .gpa = gpa(BASE << PAGE_SHIFT), .len = 8, .old = old, .new = new,
		.origin = &origin,
	};

	story[0] = 0;
	e.verdict = page_track_before(&mmu.pt, &e, NULL);
	page_track_after(&mmu.pt, &e);
}

static void narrow(unsigned int i, uint64_t cr3)
{
	assert_int_equal(page_tracker_destroy(&w[i].t), 0);
	w[i].t.only_cr3 = cr3;
	assert_int_equal(page_tracker_register(&mmu.pt, &w[i].t), 0);
	assert_int_equal(page_tracker_add(&w[i].t, gfn(BASE), 1, PAGE_TRACK_W, NULL), 0);
}

/* Bits 51:12 of CR3 are compared. Who has no vCPU has no address space, either. */
static void one_address_space_only(void **state)
{
	narrow(1, 0x5000);
	narrow(2, 0x8000000000006000 | 0x18);
	write_under(0x5000, AGENT_EMULATOR);
	assert_string_equal(story, "b0b1b3a0a1a3");
	write_under(0x8000000000005fff, AGENT_GUEST);
	assert_string_equal(story, "b0b1b3a0a1a3");
	write_under(0x6000, AGENT_INJECTION);
	assert_string_equal(story, "b0b2b3a0a2a3");
	write_under(0x7000, AGENT_EMULATOR);
	assert_string_equal(story, "b0b3a0a3");
	write_under(0x0008000000005000, AGENT_EMULATOR); /* bit 51 */
	assert_string_equal(story, "b0b3a0a3");
	assert_int_equal(w[1].t.hits, 2);
	story[0] = 0;
	a_write();
	assert_string_equal(story, "b0b1b2b3a0a1a2a3");
}

static void counts_under_a_cr3(void **state)
{
	assert_int_equal(mmu.pt.narrow, 0);
	narrow(1, 0x5000);
	narrow(2, 0x6000);
	assert_int_equal(page_tracker_add(&w[2].t, gfn(BASE), 1, PAGE_TRACK_W | PAGE_TRACK_X, NULL), 0);
	assert_int_equal(mmu.pt.narrow, 2);
	assert_int_equal(page_track_count_under(&mmu.pt, gfn(BASE), PAGE_TRACK_WRITE, 0x5000), 3);
	assert_int_equal(page_track_count_under(&mmu.pt, gfn(BASE), PAGE_TRACK_WRITE, 0x6fff), 4);
	assert_int_equal(page_track_count_under(&mmu.pt, gfn(BASE), PAGE_TRACK_WRITE, 0x7000), 2);
	assert_int_equal(page_track_count_under(&mmu.pt, gfn(BASE), PAGE_TRACK_EXEC, 0x7000), 2);
	assert_int_equal(page_track_count_under(&mmu.pt, gfn(BASE), PAGE_TRACK_EXEC, 0x6000), 3);
	assert_int_equal(page_track_count_under(&mmu.pt, gfn(BASE + 1), PAGE_TRACK_WRITE, 0x5000), 0);
	assert_int_equal(page_track_count_under(&mmu.pt, gfn(BASE + NPAGES), PAGE_TRACK_WRITE, 0x5000), 0);
	assert_int_equal(page_tracker_destroy(&w[0].t) | page_tracker_destroy(&w[3].t), 0);
	assert_int_equal(page_track_count_under(&mmu.pt, gfn(BASE), PAGE_TRACK_WRITE, 0x7000), 0);
	assert_int_equal(page_tracker_destroy(&w[1].t), 0);
	assert_int_equal(mmu.pt.narrow, 1);
}

static void before_and_after_are_optional(void **state)
{
	w[0].t.ops = &after_only;
	w[1].t.ops = &before_only;
	w[2].t.ops = &before_only;
	w[1].says = VERDICT_SKIP;
	w[2].says = VERDICT_ALLOW; /* overruled, and cannot be told */
	assert_int_equal(a_write(), VERDICT_SKIP);
	assert_string_equal(story, "b1b2b3a0a3");
	assert_int_equal(w[1].t.hits, 1);
}

/* Every pair of opinions of the second and the fourth: the first that has one decides. */
static void the_first_opinion_decides(void **state)
{
	for (unsigned int a = VERDICT_NONE; a <= VERDICT_STOP; a++) {
		for (unsigned int b = VERDICT_NONE; b <= VERDICT_STOP; b++) {
			enum page_track_verdict want = a ? a : b ? b : VERDICT_ALLOW;
			unsigned int lost = a && b && (a != b || a == VERDICT_REPLACE);
			uint8_t value[8];

			fake_retire(&mmu);
			watch_all();
			mmu.pt.stopped_by = NULL;
			w[1].says = a;
			w[3].says = b;
			assert_int_equal(ask(value), want);
			assert_int_equal(w[1].told[IN_OVERRULED], 0);
			assert_int_equal(w[3].told[IN_OVERRULED], lost);
			if (lost) {
				assert_int_equal(w[3].mine, b);
				assert_int_equal(w[3].taken, a);
				assert_ptr_equal(w[3].by, &w[1].t);
			}
			assert_ptr_equal(mmu.pt.stopped_by, want == VERDICT_STOP ? &w[a ? 1 : 3].t : NULL);
			for (unsigned int i = 0; i < WATCHERS; i++)
				assert_int_equal(w[i].told[IN_BEFORE], 1);
		}
	}
	mmu.pt.stopped_by = NULL;
}

/* Everybody scribbles into the bytes; those of the tracker that decides to replace are there. */
static void only_the_deciders_bytes_land(void **state)
{
	uint8_t value[8];

	for (unsigned int i = 0; i < WATCHERS; i++)
		w[i].bytes = (uint8_t)(0xA0 + i);
	assert_int_equal(ask(value), VERDICT_ALLOW);
	assert_string_equal((char *)value, "newbyte");
	w[1].says = VERDICT_REPLACE;
	w[2].says = VERDICT_REPLACE;
	assert_int_equal(ask(value), VERDICT_REPLACE);
	for (unsigned int i = 0; i < 8; i++)
		assert_int_equal(value[i], 0xA1);
	assert_true(w[0].had_value && w[1].had_value);
	assert_false(w[2].had_value || w[3].had_value);
	assert_int_equal(w[2].told[IN_OVERRULED], 1);
	w[0].says = VERDICT_ALLOW;
	assert_int_equal(ask(value), VERDICT_ALLOW);
	assert_string_equal((char *)value, "newbyte");
	assert_int_equal(w[1].told[IN_OVERRULED], 1);
}

/* A read that is not replaced gives what memory holds. */
static void a_read_is_restored_to_what_memory_holds(void **state)
{
	static const uint8_t old[8] = "oldbyte";
	uint8_t value[8] = "oldbyte";
	struct page_track_event e = {
		.mode = PAGE_TRACK_READ, .gpa = gpa(BASE << PAGE_SHIFT), .len = 8, .old = old,
		.origin = BY(DEVICE),
	};

	w[0].bytes = 0x55;
	assert_int_equal(page_track_before(&mmu.pt, &e, value), VERDICT_ALLOW);
	assert_string_equal((char *)value, "oldbyte");
	w[0].says = VERDICT_REPLACE;
	assert_int_equal(page_track_before(&mmu.pt, &e, value), VERDICT_REPLACE);
	assert_int_equal(value[7], 0x55);
}

static void nothing_can_be_replaced_without_bytes(void **state)
{
	struct page_track_event native = {
		.mode = PAGE_TRACK_WRITE, .gpa = gpa(BASE << PAGE_SHIFT), .len = 8, .inexact = true,
		.origin = BY(GUEST),
	};
	uint8_t value[8] = "as it is";

	w[1].says = VERDICT_REPLACE;
	w[1].bytes = 0xEE;
	w[2].says = VERDICT_DENY_GP;
	w[3].says = VERDICT_REPLACE;
	assert_int_equal(ask(NULL), VERDICT_DENY_GP);
	assert_false(w[1].had_value);
	assert_int_equal(w[1].told[IN_OVERRULED], 0);
	assert_int_equal(w[2].told[IN_OVERRULED], 0); /* the same in the end */
	assert_int_equal(w[3].told[IN_OVERRULED], 1);
	assert_int_equal(page_track_before(&mmu.pt, &native, value), VERDICT_DENY_GP);
	assert_memory_equal(value, "as it is", 8);
}

/* The MMU is told first, and of memory that was written alone. */
static void the_mmu_is_told_of_what_was_written(void **state)
{
	static const uint8_t b[8];

	for (unsigned int mode = 0; mode < PAGE_TRACK_MODES; mode++) {
		for (unsigned int v = VERDICT_ALLOW; v <= VERDICT_STOP; v++) {
			struct page_track_event e = {
				.mode = mode, .gpa = gpa(BASE << PAGE_SHIFT), .len = 8, .old = b, .new = b,
				.origin = BY(DEVICE), .verdict = v,
			};

			fake_forget(&mmu);
			page_track_after(&mmu.pt, &e);
			assert_int_equal(mmu.writes, mode == PAGE_TRACK_WRITE &&
							     (v == VERDICT_ALLOW || v == VERDICT_REPLACE));
			assert_int_equal(w[0].last.verdict, v);
		}
	}
	assert_int_equal(w[0].t.hits, PAGE_TRACK_MODES * VERDICT_STOP);
}

static void the_first_to_stop_is_kept(void **state)
{
	page_track_stop(&mmu.pt, &w[2].t);
	w[0].says = VERDICT_STOP;
	assert_int_equal(a_write(), VERDICT_STOP);
	assert_ptr_equal(mmu.pt.stopped_by, &w[2].t);
	assert_int_equal(page_tracker_destroy(&w[0].t), 0);
	assert_ptr_equal(mmu.pt.stopped_by, &w[2].t);
	assert_int_equal(page_tracker_destroy(&w[2].t), 0);
	assert_non_null(mmu.pt.stopped_by); /* the VM is stopped all the same */
	assert_ptr_not_equal(mmu.pt.stopped_by, &w[2].t);
	assert_non_null(mmu.pt.stopped_by->name);
}

/* ---- changes from inside callbacks --------------------------------------- */

static unsigned int all_calls(const struct watcher *x)
{
	return x->told[IN_BEFORE] + x->told[IN_AFTER] + x->told[IN_OVERRULED] + x->told[IN_FLOODED];
}

/* Each of four is destroyed by each of four, from each kind of callback: from
 * then on it hears nothing, the others hear all. */
static void destroy_from_every_callback(void **state)
{
	for (unsigned int place = 0; place < PLACES; place++) {
		for (unsigned int who = 0; who < WATCHERS * WATCHERS; who++) {
			struct watcher *x = &w[who / WATCHERS], *victim = &w[who % WATCHERS];
			unsigned int calls;

			fake_retire(&mmu);
			watch_all();
			w[0].says = VERDICT_SKIP;
			for (unsigned int i = 0; i < WATCHERS; i++) {
				w[i].t.budget = (struct page_track_budget){ .hits = 1, .cycles = 100 };
				if (i > 0)
					w[i].says = VERDICT_ALLOW;
			}
			a_write(); /* the second is over the budget */
			x->deed = DO_DESTROY;
			x->where = place;
			x->to = victim;
			story[0] = 0;
			assert_int_equal(a_write(), VERDICT_SKIP);
			/* Overruled each time, unless it has gone before it can be told. */
			assert_int_equal(x->told[IN_OVERRULED],
					 x == &w[0] ? 0 : x == victim && place == IN_BEFORE ? 1 : 2);
			if (place == IN_OVERRULED && x == &w[0])
				continue; /* is never overruled */
			assert_null(victim->t.pt);
			assert_ptr_equal(LIST_FIRST(&victim->t.holds), NULL);
			calls = all_calls(victim);
			story[0] = 0;
			a_write();
			assert_int_equal(all_calls(victim), calls);
			assert_int_equal(page_track_held(&mmu.pt, gfn(BASE), PAGE_TRACK_WRITE), WATCHERS - 1);
		}
	}
}

/* The decider is destroyed before the overruled is told. */
static void who_decided_may_be_gone(void **state)
{
	w[0].says = VERDICT_SKIP;
	w[1].says = VERDICT_ALLOW;
	w[1].deed = DO_DESTROY;
	w[1].where = IN_BEFORE;
	w[1].to = &w[0];
	w[2].says = VERDICT_STOP;
	assert_int_equal(a_write(), VERDICT_SKIP);
	assert_int_equal(w[1].told[IN_OVERRULED], 1);
	assert_null(w[1].by);
	assert_int_equal(w[2].told[IN_OVERRULED], 1);
	assert_null(w[2].by);
	assert_int_equal(w[2].taken, VERDICT_SKIP);
	assert_null(mmu.pt.stopped_by);
}

/* Who says stop and destroys itself in one go has stopped the VM. */
static void the_last_word_of_a_tracker_counts(void **state)
{
	w[1].says = VERDICT_STOP;
	w[1].deed = DO_DESTROY;
	w[1].where = IN_BEFORE;
	w[1].to = &w[1];
	assert_int_equal(a_write(), VERDICT_STOP);
	assert_non_null(mmu.pt.stopped_by);
	assert_ptr_not_equal(mmu.pt.stopped_by, &w[1].t);
	assert_string_equal(story, "b0b1b2b3a0a2a3");
}

static unsigned int held(const struct watcher *x, uint64_t g)
{
	return page_tracker_count(&x->t, gfn(g), PAGE_TRACK_WRITE);
}

static void add_remove_and_clear_from_every_callback(void **state)
{
	for (unsigned int place = 0; place < IN_OVERRULED; place++) {
		for (enum deed deed = DO_REMOVE; deed <= DO_ADD_NEXT_PAGE; deed++) {
			for (unsigned int who = 0; who < WATCHERS * WATCHERS; who++) {
				struct watcher *x = &w[who / WATCHERS], *to = &w[who % WATCHERS];
				bool takes = deed != DO_ADD_NEXT_PAGE;

				fake_retire(&mmu);
				watch_all();
				x->deed = deed;
				x->where = place;
				x->to = to;
				a_write();
				for (unsigned int i = 0; i < WATCHERS; i++) {
					bool hit = takes && &w[i] == to;

					assert_int_equal(w[i].told[IN_BEFORE],
							 !(hit && place == IN_BEFORE && to > x));
					assert_int_equal(w[i].told[IN_AFTER],
							 !(hit && (place == IN_BEFORE || to > x)));
				}
				assert_int_equal(held(to, BASE), !takes);
				assert_int_equal(held(to, BASE + 1), !takes);
			}
		}
	}
}

/* Registers another of its kind, for the same page, every time it is told. */
static struct watcher bred[8];
static unsigned int bred_count;

static void breed(struct page_tracker *t, const struct page_track_event *e)
{
	struct watcher *x = &bred[bred_count++];

	*x = (struct watcher){ .t = { .name = "x", .priority = t->priority, .ops = t->ops } };
	assert_int_equal(page_tracker_register(&mmu.pt, &x->t), 0);
	assert_int_equal(page_tracker_add(&x->t, gfn(BASE), 1, PAGE_TRACK_W, NULL), 0);
}

static void who_comes_during_an_event_is_not_told_of_it(void **state)
{
	static const struct page_tracker_ops breeding = { .after = breed };

	bred_count = 0;
	w[2].t.ops = &breeding;
	a_write();
	assert_int_equal(bred_count, 1);
	assert_int_equal(bred[0].t.hits, 0);
	a_write();
	assert_int_equal(bred_count, 3);
	assert_int_equal(bred[0].t.hits, 1);
}

/* ---- floods -------------------------------------------------------------- */

static void writes(unsigned int n, uint64_t apart)
{
	for (unsigned int i = 0; i < n; i++) {
		a_write();
		mmu.tsc += apart;
	}
}

static void budget(unsigned int i, uint32_t hits, uint64_t cycles, enum page_track_flood_policy policy)
{
	w[i].t.budget = (struct page_track_budget){ hits, cycles, policy };
}

static void within_its_budget_nobody_is_flooded(void **state)
{
	budget(0, 3, 100, FLOOD_DROP);
	budget(1, 0, 0, FLOOD_DROP); /* no budget */
	mmu.tsc = 5000;
	for (unsigned int window = 0; window < 10; window++) {
		writes(3, 1);
		mmu.tsc += 97; /* the window began with the first hit */
	}
	assert_int_equal(w[0].told[IN_FLOODED] + w[1].told[IN_FLOODED], 0);
	writes(4, 24); /* at 0, 24, 48, 72: one more than the budget */
	assert_int_equal(w[0].told[IN_FLOODED], 1);
	assert_true(w[0].t.flooded);
	assert_false(w[1].t.flooded);
	assert_int_equal(w[0].t.hits, 34);
}

static void a_throttled_tracker_is_told_all_and_holds_the_vm(void **state)
{
	budget(1, 3, 1000, FLOOD_THROTTLE);
	mmu.tsc = 500;
	writes(3, 10);
	assert_int_equal(mmu.pt.held_until, 0);
	writes(1, 10);
	assert_int_equal(mmu.pt.held_until, 1500);
	assert_int_equal(w[1].told[IN_FLOODED], 1);
	writes(20, 1);
	assert_int_equal(mmu.pt.held_until, 1500);
	mmu.tsc = 1500;
	writes(3, 1);
	assert_int_equal(mmu.pt.held_until, 1500); /* a new window */
	writes(1, 1);
	assert_int_equal(mmu.pt.held_until, 2500);
	assert_int_equal(w[1].told[IN_FLOODED], 1);
	assert_int_equal(w[1].told[IN_AFTER], 28);
	assert_int_equal(w[1].t.untold, 0);
	budget(2, 1, 10, FLOOD_THROTTLE); /* a shorter window does not let the VM go */
	writes(2, 0);
	assert_int_equal(w[2].told[IN_FLOODED], 1);
	assert_int_equal(mmu.pt.held_until, 2500);
	budget(3, 1, UINT64_MAX, FLOOD_THROTTLE);
	writes(2, 0);
	assert_true(mmu.pt.held_until == UINT64_MAX);
}

static void a_flooded_tracker_may_only_count(void **state)
{
	budget(1, 3, 1000, FLOOD_COUNT_ONLY);
	mmu.tsc = 7;
	writes(10, 1);
	assert_int_equal(w[1].told[IN_AFTER], 3);
	assert_int_equal(w[1].told[IN_BEFORE], 10); /* a guard keeps guarding */
	assert_int_equal(w[1].told[IN_FLOODED], 1);
	assert_int_equal(w[1].t.hits, 10);
	assert_int_equal(w[1].t.untold, 7);
	mmu.tsc += 5000;
	writes(1, 1); /* for good */
	assert_int_equal(w[1].told[IN_AFTER], 3);
	page_tracker_rearm(&w[1].t);
	assert_false(w[1].t.flooded);
	writes(4, 1);
	assert_int_equal(w[1].told[IN_AFTER], 6);
	assert_int_equal(w[1].told[IN_FLOODED], 2);
	assert_int_equal(w[1].t.untold, 9);
	assert_int_equal(w[1].last.hit, 14);
	assert_int_equal(w[2].told[IN_AFTER], 15); /* others are not concerned */
	assert_int_equal(mmu.pt.held_until, 0);
}

static void a_flooded_tracker_may_lose_its_pages(void **state)
{
	budget(1, 2, 1000, FLOOD_DROP);
	assert_int_equal(page_tracker_add(&w[1].t, gfn(BASE + 700), 100, PAGE_TRACK_W, NULL), 0);
	writes(2, 1);
	assert_int_equal(page_tracker_count(&w[1].t, gfn(BASE + 700), PAGE_TRACK_WRITE), 1);
	fake_forget(&mmu);
	writes(5, 1);
	assert_int_equal(w[1].told[IN_AFTER], 3);
	assert_int_equal(w[1].told[IN_BEFORE], 3);
	assert_int_equal(w[1].told[IN_FLOODED], 1);
	assert_int_equal(page_tracker_count(&w[1].t, gfn(BASE + 700), PAGE_TRACK_WRITE), 0);
	assert_int_equal(mmu.unprotects, 100);
	assert_int_equal(page_track_held(&mmu.pt, gfn(BASE), PAGE_TRACK_WRITE), 3);
	page_tracker_rearm(&w[1].t);
	assert_int_equal(page_tracker_add(&w[1].t, gfn(BASE), 1, PAGE_TRACK_W, NULL), 0);
	writes(2, 1);
	assert_int_equal(w[1].told[IN_AFTER], 5);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(all_are_asked_then_all_are_told),
		T(lesson_18_only_the_holders_of_the_page_are_told),
		T(walks_are_for_those_who_want_them),
		T(one_address_space_only),
		T(counts_under_a_cr3),
		T(before_and_after_are_optional),
		T(the_first_opinion_decides),
		T(only_the_deciders_bytes_land),
		T(a_read_is_restored_to_what_memory_holds),
		T(nothing_can_be_replaced_without_bytes),
		T(the_mmu_is_told_of_what_was_written),
		T(the_first_to_stop_is_kept),
		T(destroy_from_every_callback),
		T(who_decided_may_be_gone),
		T(the_last_word_of_a_tracker_counts),
		T(add_remove_and_clear_from_every_callback),
		T(who_comes_during_an_event_is_not_told_of_it),
		T(within_its_budget_nobody_is_flooded),
		T(a_throttled_tracker_is_told_all_and_holds_the_vm),
		T(a_flooded_tracker_may_only_count),
		T(a_flooded_tracker_may_lose_its_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
