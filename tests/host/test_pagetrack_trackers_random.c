/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Trackers under random operations, against a flat model: count[tracker][mode]
 * [frame]. SPOOR_SEED=n replays a run, SPOOR_OPS=n changes its length.
 *
 * 64 trackers of random priorities, kinds and budgets add, remove, come and go,
 * half of the time from inside each other's callbacks, over slots that come, go
 * and move; now and then there is no memory. Of each event, and each change of
 * a slot, the model says which callback is the next; a tracker that was
 * destroyed is poisoned, so that nobody can look at it again. After each step
 * a page is audited: its counters are the sum of all holders and of the MMU's
 * own, and what is counted is protected. Every 4096 steps all pages are.
 */
#include <sanitizer/asan_interface.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include "lib/errno.h"
#include "pagetrack/event.h"
#include "pagetrack/tracker.h"
#include "tests/host/port_host.h"
#include "tests/host/random.h"

#define FRAMES 2600u /* guest frames in play, from gfn FIRST */
#define FIRST 0x3F0u /* not aligned to 2 MiB */
#define TRACKERS 64
#define SLOTS 6
#define SLOT_PAGES_MAX 800u
#define OWN_MAX 20u
#define HELD_MAX 12u /* what own_max leaves to trackers on each page */
#define EXCEPT_MAX 3
#define BUSY 500u   /* half of what is added lies around this frame, over a 2 MiB border */
#define OPS 400000

static struct page_track pt;
static struct page_track_slot slot[SLOTS];
static struct page_tracker tracker[TRACKERS];
static struct page_track_range except[TRACKERS][EXCEPT_MAX];

/* ---- the model ----------------------------------------------------------- */

static uint16_t count[TRACKERS][PAGE_TRACK_MODES][FRAMES]; /* in force, or parked where no slot is */
static uint16_t held[PAGE_TRACK_MODES][FRAMES];            /* sum of those in force */
static uint16_t own[PAGE_TRACK_MODES][FRAMES];             /* the MMU's */
static bool taken[PAGE_TRACK_MODES][FRAMES];               /* the MMU lets no such access through */
static int slot_on[FRAMES];                                /* -1: no memory */
static struct {
	bool exists;
	unsigned int base, npages;
} slots[SLOTS];
static struct model_tracker {
	bool registered, walks, follows_gfn;
	int priority;
	uint64_t order;
	unsigned int kind; /* of its ops */
	unsigned int all_modes, except_count;
	struct page_track_budget budget;
	uint64_t hits, untold, window_start;
	uint32_t window_hits;
	bool flooded;
} model[TRACKERS];
static uint64_t registrations, tsc, held_until;

static uint64_t seed, rng, op_number;
static unsigned int flush_owed;
static bool memory_fails;

static unsigned int rnd(uint64_t below)
{
	return (unsigned int)(random_next(&rng) % below);
}

#define CHECK(cond) \
	do { \
		if (!(cond)) { \
			print_error("operation %lu of SPOOR_SEED=%lu\n", op_number, seed); \
			assert_true(cond); \
		} \
	} while (0)

#define FOREACH_MODE(mode) for (unsigned int mode = 0; mode < PAGE_TRACK_MODES; mode++)

static gfn_t frame_gfn(unsigned int f)
{
	return gfn(FIRST + f);
}

static void model_add(int t, unsigned int mode, unsigned int f, unsigned int n)
{
	count[t][mode][f] = (uint16_t)(count[t][mode][f] + n);
	if (slot_on[f] >= 0)
		held[mode][f] = (uint16_t)(held[mode][f] + n);
}

static void model_sub(int t, unsigned int mode, unsigned int f, unsigned int n)
{
	CHECK(count[t][mode][f] >= n);
	count[t][mode][f] = (uint16_t)(count[t][mode][f] - n);
	if (slot_on[f] >= 0)
		held[mode][f] = (uint16_t)(held[mode][f] - n);
}

static void model_clear(int t)
{
	FOREACH_MODE(mode)
		for (unsigned int f = 0; f < FRAMES; f++)
			if (count[t][mode][f])
				model_sub(t, mode, f, count[t][mode][f]);
	model[t].all_modes = 0;
}

static bool is_except(int t, unsigned int n, unsigned int f)
{
	for (unsigned int i = 0; i < n; i++)
		if (FIRST + f >= except[t][i].base.v && FIRST + f < except[t][i].base.v + except[t][i].npages)
			return true;
	return false;
}

static unsigned int of_all(int t, unsigned int mode, unsigned int f)
{
	return (model[t].all_modes >> mode & 1) && !is_except(t, model[t].except_count, f);
}

/* What stays with the frame when its memory goes. */
static unsigned int to_park(int t, unsigned int mode, unsigned int f)
{
	unsigned int n = count[t][mode][f];

	if (!model[t].registered || !model[t].follows_gfn)
		return 0;
	return n ? n - of_all(t, mode, f) : 0;
}

/* What a tracker will have on frame @f when memory comes there that is on frame @from now (-1: nowhere). */
static unsigned int to_come(int t, unsigned int mode, unsigned int f, int from)
{
	if (!model[t].registered)
		return 0;
	if (!model[t].follows_gfn)
		return from < 0 ? 0 : count[t][mode][from];
	return (slot_on[f] >= 0 ? to_park(t, mode, f) : count[t][mode][f]) + of_all(t, mode, f);
}

/* ---- what is called next -------------------------------------------------- */

enum phase { IDLE, ASKING, TELLING, CHANGING };
enum call { CALL_BEFORE, CALL_OVERRULED, CALL_AFTER, CALL_FLOODED, CALL_REGION };

static struct {
	enum phase phase;
	enum page_track_mode mode;
	unsigned int frame;
	bool walk;
	int last_priority; /* key of the tracker whose turn it is */
	uint64_t last_order, newest;
	unsigned int pending_count;
	struct { enum call call; int t; } pending[2];
	int running;       /* -1: nobody, or it was destroyed during its turn */
	bool may_replace;
	enum page_track_verdict verdict;
	int decider;       /* -1: nobody, or gone since */
	enum page_track_verdict mine;
	uint8_t value[8];  /* of the decider, if it replaces */
	unsigned int called;
} ev;

/* Is @t told later than one of that priority and order? */
static bool is_later(int t, int priority, uint64_t order)
{
	return model[t].priority > priority || (model[t].priority == priority && model[t].order > order);
}

static bool is_concerned(int t)
{
	if (!model[t].registered || model[t].order > ev.newest ||
	    !is_later(t, ev.last_priority, ev.last_order))
		return false;
	if (ev.phase == CHANGING)
		return true;
	return slot_on[ev.frame] >= 0 && count[t][ev.mode][ev.frame] && (model[t].walks || !ev.walk);
}

static int model_next(void)
{
	int best = -1;

	for (int t = 0; t < TRACKERS; t++)
		if (is_concerned(t) && (best < 0 || is_later(best, model[t].priority, model[t].order)))
			best = t;
	return best;
}

static void push(enum call call, int t)
{
	CHECK(ev.pending_count < 2);
	ev.pending[ev.pending_count].call = call;
	ev.pending[ev.pending_count++].t = t;
}

static void begin(enum phase phase)
{
	ev.phase = phase;
	ev.last_priority = INT_MIN;
	ev.last_order = 0;
	ev.newest = registrations;
	ev.pending_count = 0;
	ev.running = -1;
}

enum { HAS_BEFORE = 1, HAS_AFTER = 2, HAS_ALL_ELSE = 4 };

static bool has(int t, unsigned int what)
{
	return model[t].kind & what;
}

static void model_hit(int t)
{
	struct model_tracker *m = &model[t];
	uint64_t end = 0;
	bool over = false, news = false;

	m->hits++;
	if (m->budget.hits) {
		if (m->window_hits == 0 || tsc - m->window_start >= m->budget.cycles) {
			m->window_start = tsc;
			m->window_hits = 0;
		}
		over = ++m->window_hits > m->budget.hits;
		end = m->window_start + m->budget.cycles;
	}
	if (over) {
		news = !m->flooded;
		m->flooded = true;
		if (m->budget.policy == FLOOD_DROP)
			model_clear(t);
		else if (m->budget.policy == FLOOD_THROTTLE && end > held_until)
			held_until = end;
	}
	if (m->flooded && m->budget.policy == FLOOD_COUNT_ONLY)
		m->untold++;
	else if (has(t, HAS_AFTER))
		push(CALL_AFTER, t);
	if (news && has(t, HAS_ALL_ELSE))
		push(CALL_FLOODED, t);
}

/* It is the turn of the next tracker. */
static void advance(void)
{
	int t = model_next();

	CHECK(t >= 0);
	ev.last_priority = model[t].priority;
	ev.last_order = model[t].order;
	ev.running = t;
	if (ev.phase == ASKING && has(t, HAS_BEFORE))
		push(CALL_BEFORE, t);
	if (ev.phase == TELLING)
		model_hit(t);
	if (ev.phase == CHANGING && has(t, HAS_ALL_ELSE))
		push(CALL_REGION, t);
}

/* @t is called: was it to be? */
static void expect(enum call call, int t)
{
	while (ev.pending_count == 0)
		advance();
	CHECK(ev.pending[0].call == call && ev.pending[0].t == t);
	ev.pending[0] = ev.pending[1];
	ev.pending_count--;
	ev.called++;
}

/* Nobody else is called. */
static void finish(void)
{
	CHECK(ev.pending_count == 0);
	while (model_next() >= 0) {
		advance();
		CHECK(ev.pending_count == 0);
	}
	ev.phase = IDLE;
	CHECK(TAILQ_EMPTY(&pt.cursors));
}

/* ---- callbacks ------------------------------------------------------------ */

static void small_op(void);

static int index_of(const struct page_tracker *t)
{
	return (int)(t - tracker);
}

static void maybe_do_something(void)
{
	while (rnd(6) == 0)
		small_op();
}

static enum page_track_verdict before(struct page_tracker *who, const struct page_track_event *e,
				      uint8_t *value)
{
	int t = index_of(who);
	enum page_track_verdict mine = rnd(2) ? VERDICT_NONE : rnd(VERDICT_STOP + 1);

	expect(CALL_BEFORE, t);
	CHECK((value != NULL) == (ev.may_replace && ev.verdict == VERDICT_NONE));
	if (value)
		memset(value, (int)rnd(256), rnd(9));
	if (value && mine == VERDICT_REPLACE)
		memcpy(ev.value, value, sizeof(ev.value));
	maybe_do_something();
	if (mine == VERDICT_NONE)
		return mine;
	if (ev.verdict == VERDICT_NONE) {
		ev.verdict = mine == VERDICT_REPLACE && !value ? VERDICT_DENY_GP : mine;
		ev.decider = ev.running;
	} else if (mine != ev.verdict || mine == VERDICT_REPLACE) {
		ev.mine = mine;
		if (ev.running >= 0 && has(t, HAS_ALL_ELSE))
			push(CALL_OVERRULED, t);
	}
	return mine;
}

static void overruled(struct page_tracker *who, const struct page_track_event *e,
		      enum page_track_verdict mine, const struct page_tracker *by,
		      enum page_track_verdict verdict)
{
	expect(CALL_OVERRULED, index_of(who));
	CHECK(mine == ev.mine && verdict == ev.verdict);
	CHECK(by == (ev.decider < 0 ? NULL : &tracker[ev.decider]));
	maybe_do_something();
}

static void after(struct page_tracker *who, const struct page_track_event *e)
{
	int t = index_of(who);

	expect(CALL_AFTER, t);
	CHECK(e->hit == model[t].hits && e->tsc == tsc && e->verdict == ev.verdict);
	maybe_do_something();
}

static void flooded(struct page_tracker *who)
{
	expect(CALL_FLOODED, index_of(who));
	maybe_do_something();
}

static void region(struct page_tracker *who, const struct page_track_region *r)
{
	expect(CALL_REGION, index_of(who));
	maybe_do_something();
}

#define ALL_ELSE .overruled = overruled, .region = region, .flooded = flooded

/* By kind: at least one of before and after. */
static const struct page_tracker_ops ops_of[8] = {
	[HAS_BEFORE] = { .before = before },
	[HAS_AFTER] = { .after = after },
	[HAS_BEFORE | HAS_AFTER] = { .before = before, .after = after },
	[HAS_BEFORE | HAS_ALL_ELSE] = { .before = before, ALL_ELSE },
	[HAS_AFTER | HAS_ALL_ELSE] = { .after = after, ALL_ELSE },
	[HAS_BEFORE | HAS_AFTER | HAS_ALL_ELSE] = { .before = before, .after = after, ALL_ELSE },
};

/* ---- the MMU's side -------------------------------------------------------- */

static struct page_track_slot *find_slot(void *mmu, gfn_t g)
{
	int i = g.v >= FIRST && g.v < FIRST + FRAMES ? slot_on[g.v - FIRST] : -1;

	return i < 0 ? NULL : &slot[i];
}

static bool protect(void *mmu, gfn_t g, enum page_track_mode mode)
{
	bool owed = rnd(2);

	CHECK(pt.lock.locked);
	CHECK(page_track_count(find_slot(mmu, g), g, mode) > 0);
	taken[mode][g.v - FIRST] = true;
	flush_owed += owed;
	return owed;
}

static void unprotect(void *mmu, gfn_t g, enum page_track_mode mode)
{
	CHECK(pt.lock.locked);
	CHECK(page_track_count(find_slot(mmu, g), g, mode) == 0);
	taken[mode][g.v - FIRST] = false;
}

static void flush(void *mmu)
{
	CHECK(flush_owed > 0);
	flush_owed = 0;
}

static unsigned int own_count(void *mmu, gfn_t g, enum page_track_mode mode)
{
	return own[mode][g.v - FIRST];
}

static unsigned int writes;
static void written(void *mmu, const struct page_track_event *e) { writes++; }
static uint64_t now(void *mmu) { return tsc; }

static const struct page_track_mmu_ops mmu_ops = {
	.slot_of = find_slot, .protect = protect, .unprotect = unprotect, .flush = flush,
	.own_count = own_count, .own_max = { 65535 - HELD_MAX, 65535 - HELD_MAX, 65535 - HELD_MAX },
	.written = written, .tsc = now,
};

/* ---- operations that callbacks do, too ------------------------------------- */

/* Results of what needs memory: when there may be none, -ENOMEM is as good as success. */
static bool succeeded(int err, int want)
{
	CHECK(err == want || (err == -ENOMEM && want == 0 && memory_fails));
	return err == 0;
}

static void op_register(int t)
{
	struct model_tracker *m = &model[t];

	if (m->registered) {
		CHECK(page_tracker_register(&pt, &tracker[t]) == -EEXIST);
		return;
	}
	*m = (struct model_tracker){ .registered = true, .walks = rnd(2), .follows_gfn = rnd(2),
				     .priority = (int)rnd(9) - 4, .kind = 1 + rnd(3) };
	m->kind |= rnd(3) ? HAS_ALL_ELSE : 0;
	if (rnd(6) == 0)
		m->budget = (struct page_track_budget){ 1 + rnd(6), 1 + rnd(5000), rnd(FLOOD_DROP + 1) };
	m->order = ++registrations;
	ASAN_UNPOISON_MEMORY_REGION(&tracker[t], sizeof(tracker[t]));
	tracker[t] = (struct page_tracker){ .name = "t", .priority = m->priority, .ops = &ops_of[m->kind],
					    .walks = m->walks, .budget = m->budget,
					    .follow = m->follows_gfn ? PAGE_TRACKER_FOLLOW_GFN
								     : PAGE_TRACKER_FOLLOW_MEMORY };
	CHECK(page_tracker_register(&pt, &tracker[t]) == 0);
}

/* The turn of @t ends with it. */
static void model_forget(int t)
{
	model_clear(t);
	model[t].registered = false;
	if (ev.decider == t)
		ev.decider = -1;
	if (ev.phase == IDLE || ev.running != t)
		return;
	ev.running = -1;
	ev.pending_count = 0;
}

static void op_destroy(int t)
{
	if (!model[t].registered)
		return;
	CHECK(page_tracker_destroy(&tracker[t]) == 0);
	CHECK(page_tracker_destroy(&tracker[t]) == -ENOENT);
	ASAN_POISON_MEMORY_REGION(&tracker[t], sizeof(tracker[t]));
	model_forget(t);
}

static void any_range(unsigned int *base, unsigned int *n)
{
	static const unsigned int longest[] = { 1, 1, 8, 8, 64, 600 };

	*n = 1 + rnd(longest[rnd(ARRAY_SIZE(longest))]);
	*base = rnd(2) ? rnd(FRAMES - *n + 1) : BUSY + rnd(60);
}

static int want_of_page(unsigned int f, unsigned int modes)
{
	if (slot_on[f] < 0)
		return -EINVAL;
	FOREACH_MODE(mode)
		if ((modes >> mode & 1) && held[mode][f] + 1u > HELD_MAX)
			return -EOVERFLOW;
	return 0;
}

static void op_add(int t)
{
	unsigned int base, n, modes = 1 + rnd(PAGE_TRACK_ALL), at;
	int want = 0, err;
	gfn_t failed;

	any_range(&base, &n);
	for (at = base; at < base + n && slot_on[at] >= 0; at++)
		;
	if (at > base && rnd(8))
		n = at - base; /* one without a hole, mostly */
	for (at = base; at < base + n && !want; at++)
		want = want_of_page(at, modes);
	err = page_tracker_add(&tracker[t], frame_gfn(base), n, modes, &failed);
	if (err == -EINVAL || err == -EOVERFLOW)
		CHECK(failed.v == frame_gfn(at - 1).v);
	if (!succeeded(err, want))
		return;
	FOREACH_MODE(mode)
		for (unsigned int f = base; f < base + n; f++)
			if (modes >> mode & 1)
				model_add(t, mode, f, 1);
}

static bool has_all(int t, unsigned int f, unsigned int modes)
{
	FOREACH_MODE(mode)
		if ((modes >> mode & 1) && !count[t][mode][f])
			return false;
	return true;
}

static void op_remove(int t)
{
	unsigned int base, n, modes = 1 + rnd(PAGE_TRACK_ALL), at;
	gfn_t failed;
	int err;

	any_range(&base, &n);
	for (unsigned int tries = 0; tries < 20 && !has_all(t, base, modes); tries++)
		any_range(&base, &n);
	for (at = base; at < base + n && has_all(t, at, modes); at++)
		;
	if (at > base && rnd(4))
		n = at - base; /* one that works, mostly */
	err = page_tracker_remove(&tracker[t], frame_gfn(base), n, modes, &failed);
	CHECK(err == (at < base + n ? -ENOENT : 0));
	if (err) {
		CHECK(failed.v == frame_gfn(at).v);
		return;
	}
	FOREACH_MODE(mode)
		for (unsigned int f = base; f < base + n; f++)
			if (modes >> mode & 1)
				model_sub(t, mode, f, 1);
}

static void op_add_all(int t)
{
	unsigned int modes = 1 + rnd(PAGE_TRACK_ALL), n = rnd(EXCEPT_MAX + 1);
	int want = model[t].all_modes ? -EEXIST : 0;

	if (!want)
		for (unsigned int i = 0; i < n; i++)
			except[t][i] = (struct page_track_range){ frame_gfn(rnd(FRAMES)), rnd(1500) };
	for (unsigned int f = 0; f < FRAMES && !want; f++)
		if (slot_on[f] >= 0 && !is_except(t, n, f))
			want = want_of_page(f, modes);
	if (!succeeded(page_tracker_add_all(&tracker[t], modes, except[t], n, NULL), want))
		return;
	model[t].all_modes = modes;
	model[t].except_count = n;
	FOREACH_MODE(mode)
		for (unsigned int f = 0; f < FRAMES; f++)
			if (slot_on[f] >= 0)
				model_add(t, mode, f, of_all(t, mode, f));
}

static void op_clear(int t)
{
	page_tracker_clear(&tracker[t]);
	model_clear(t);
}

static void op_rearm(int t)
{
	page_tracker_rearm(&tracker[t]);
	model[t].flooded = false;
	model[t].window_hits = 0;
}

/* The MMU counts for itself. */
static void op_own(void)
{
	unsigned int f = rnd(FRAMES), mode = rnd(PAGE_TRACK_MODES);
	struct page_track_slot *s = find_slot(NULL, frame_gfn(f));

	if (!s)
		return;
	if (own[mode][f] < OWN_MAX && rnd(2)) {
		if (!succeeded(page_track_count_add(&pt, s, frame_gfn(f), mode), 0))
			return;
		own[mode][f]++;
		taken[mode][f] = true;
	} else if (own[mode][f]) {
		CHECK(page_track_count_sub(s, frame_gfn(f), mode) == 0);
		own[mode][f]--;
		taken[mode][f] = page_track_count(s, frame_gfn(f), mode) > 0;
	}
}

static void small_op(void)
{
	int t = (int)rnd(TRACKERS);
	unsigned int what = rnd(400);

	if (what < 50)
		op_own();
	else if (what < 51)
		op_destroy(t);
	else if (what < 60)
		op_register(t);
	else if (!model[t].registered)
		return;
	else if (what < 220)
		op_add(t);
	else if (what < 390)
		op_remove(t);
	else if (what < 391)
		op_clear(t);
	else if (what < 398)
		op_rearm(t);
	else if (rnd(8) == 0)
		op_add_all(t);
}

/* ---- events ---------------------------------------------------------------- */

static void op_access(void)
{
	const struct access_origin origin = { .agent = rnd(3) ? AGENT_EMULATOR : AGENT_WALKER };
	static const uint8_t bytes[2][8] = { "old____", "new____" };
	uint8_t value[8], *v = rnd(4) ? value : NULL;
	const uint8_t *source;
	bool made;
	struct page_track_event e = { .len = 8, .old = bytes[0], .new = bytes[1], .origin = &origin };

	e.mode = ev.mode = rnd(PAGE_TRACK_MODES);
	ev.frame = rnd(FRAMES);
	for (unsigned int tries = 0; tries < 10 && !held[ev.mode][ev.frame]; tries++)
		ev.frame = rnd(FRAMES);
	e.gpa = gfn_to_gpa(frame_gfn(ev.frame));
	ev.walk = origin.agent == AGENT_WALKER && e.mode == PAGE_TRACK_READ;
	ev.may_replace = v != NULL;
	ev.verdict = VERDICT_NONE;
	ev.decider = -1;
	source = bytes[e.mode == PAGE_TRACK_WRITE];
	memcpy(value, source, 8);
	tsc += rnd(400);

	begin(ASKING);
	e.verdict = page_track_before(&pt, &e, v);
	finish();
	if (ev.verdict == VERDICT_NONE)
		ev.verdict = VERDICT_ALLOW;
	CHECK(e.verdict == ev.verdict);
	CHECK(!memcmp(value, ev.verdict == VERDICT_REPLACE ? ev.value : source, 8));
	CHECK(!pt.stopped_by == (ev.verdict != VERDICT_STOP));
	pt.stopped_by = NULL;

	writes = 0;
	begin(TELLING);
	page_track_after(&pt, &e);
	finish();
	made = e.verdict == VERDICT_ALLOW || e.verdict == VERDICT_REPLACE;
	CHECK(writes == (e.mode == PAGE_TRACK_WRITE && made));
	CHECK(pt.held_until == held_until);
}

/* ---- slots ----------------------------------------------------------------- */

static void tell_region(enum page_track_region_change change, unsigned int i)
{
	const struct page_track_region r = { change, frame_gfn(slots[i].base), slots[i].npages, gfn(0) };

	begin(CHANGING);
	page_track_notify_region(&pt, &r);
	finish();
}

/* Are these frames without memory, but for that of slot @but? */
static bool is_free(unsigned int base, unsigned int n, int but)
{
	for (unsigned int f = base; f < base + n; f++)
		if (slot_on[f] >= 0 && slot_on[f] != but)
			return false;
	return true;
}

/* Would a counter be full with the memory of frames from @from on (-1: new memory) at @base? */
static bool too_many(unsigned int base, unsigned int n, int from)
{
	for (unsigned int i = 0; i < n; i++) {
		FOREACH_MODE(mode) {
			unsigned int sum = 0;

			for (int t = 0; t < TRACKERS; t++)
				sum += to_come(t, mode, base + i, from < 0 ? -1 : from + (int)i);
			if (sum > HELD_MAX)
				return true;
		}
	}
	return false;
}

static void model_attach(int i)
{
	for (unsigned int f = slots[i].base; f < slots[i].base + slots[i].npages; f++) {
		slot_on[f] = i;
		FOREACH_MODE(mode) {
			for (int t = 0; t < TRACKERS; t++) {
				unsigned int n = count[t][mode][f];

				if (model[t].registered && model[t].follows_gfn)
					n += of_all(t, mode, f);
				count[t][mode][f] = (uint16_t)n;
				held[mode][f] = (uint16_t)(held[mode][f] + n);
			}
		}
	}
}

static void model_detach(int i)
{
	for (unsigned int f = slots[i].base; f < slots[i].base + slots[i].npages; f++) {
		FOREACH_MODE(mode) {
			for (int t = 0; t < TRACKERS; t++)
				count[t][mode][f] = (uint16_t)to_park(t, mode, f);
			held[mode][f] = own[mode][f] = 0;
			taken[mode][f] = false;
		}
		slot_on[f] = -1;
	}
}

static void op_create(int i)
{
	unsigned int n = 1 + rnd(SLOT_PAGES_MAX), base = rnd(FRAMES - n + 1);
	size_t pages = host_pages_used();
	bool full;
	int err;

	if (!is_free(base, n, -1))
		return;
	full = too_many(base, n, -1);
	err = page_track_slot_init(&slot[i], frame_gfn(base), n);
	if (!succeeded(err, 0))
		return;
	for (unsigned int f = base; f < base + n; f++)
		slot_on[f] = i;
	err = page_track_slot_attach(&pt, &slot[i]);
	for (unsigned int f = base; f < base + n; f++)
		slot_on[f] = -1;
	if (err) {
		CHECK((err == -EOVERFLOW && full) || (err == -ENOMEM && memory_fails));
		page_track_slot_destroy(&slot[i]);
		CHECK(host_pages_used() == pages);
		return;
	}
	CHECK(!full);
	slots[i].exists = true;
	slots[i].base = base;
	slots[i].npages = n;
	model_attach(i);
	tell_region(REGION_CREATED, (unsigned int)i);
}

static void op_delete(int i)
{
	tell_region(REGION_REMOVED, (unsigned int)i);
	page_track_slot_detach(&pt, &slot[i]);
	page_track_slot_destroy(&slot[i]);
	model_detach(i);
	slots[i].exists = false;
}

/* The counts that follow memory, on their way. */
static uint16_t moving[TRACKERS][PAGE_TRACK_MODES][SLOT_PAGES_MAX];

static void model_move(int i, unsigned int base)
{
	unsigned int n = slots[i].npages;

	for (int t = 0; t < TRACKERS; t++)
		FOREACH_MODE(mode)
			memcpy(moving[t][mode], &count[t][mode][slots[i].base], n * sizeof(uint16_t));
	model_detach(i);
	slots[i].base = base;
	for (int t = 0; t < TRACKERS; t++)
		if (model[t].registered && !model[t].follows_gfn)
			FOREACH_MODE(mode)
				memcpy(&count[t][mode][base], moving[t][mode], n * sizeof(uint16_t));
	model_attach(i);
}

static void op_move(int i)
{
	unsigned int n = slots[i].npages, base = rnd(FRAMES - n + 1);
	size_t pages = host_pages_used();
	struct page_track_slot to;
	bool full;
	int err;

	if (rnd(2) && slots[i].base >= 8 && slots[i].base + n + 8 < FRAMES)
		base = slots[i].base - 8 + rnd(17); /* over itself */
	if (!is_free(base, n, i))
		return;
	full = too_many(base, n, (int)slots[i].base);
	err = page_track_slot_move_prepare(&pt, &slot[i], frame_gfn(base), &to);
	if (!err && rnd(4) == 0) {
		page_track_slot_move_undo(&pt, &to);
		CHECK(host_pages_used() == pages);
		return;
	}
	if (err) {
		CHECK((err == -EOVERFLOW && full) || (err == -ENOMEM && memory_fails));
		CHECK(host_pages_used() == pages);
		return;
	}
	CHECK(!full);
	page_track_slot_detach(&pt, &slot[i]);
	page_track_slot_destroy(&slot[i]);
	slot[i] = to;
	model_move(i, base);
	host_fail_allocation(0); /* none is needed from here on */
	CHECK(page_track_slot_attach(&pt, &slot[i]) == 0);
	host_fail_allocation(-1);
	tell_region(REGION_MOVED, (unsigned int)i);
}

static void op_slot(void)
{
	int i = (int)rnd(SLOTS);

	if (!slots[i].exists)
		op_create(i);
	else if (rnd(4))
		op_move(i);
	else
		op_delete(i);
}

/* ---- audits ---------------------------------------------------------------- */

static void audit_page(unsigned int f)
{
	gfn_t g = frame_gfn(f);
	const struct page_track_slot *s = find_slot(NULL, g);

	FOREACH_MODE(mode) {
		unsigned int sum = 0;

		for (int t = 0; t < TRACKERS; t++) {
			if (!model[t].registered)
				continue;
			CHECK(page_tracker_count(&tracker[t], g, mode) == count[t][mode][f]);
			sum += s ? count[t][mode][f] : 0;
		}
		CHECK(sum == held[mode][f]);
		CHECK(page_track_held(&pt, g, mode) == sum);
		CHECK(!s || page_track_count(s, g, mode) == sum + own[mode][f]);
		CHECK(taken[mode][f] == (sum + own[mode][f] > 0));
	}
}

static void audit_slot(int i)
{
	unsigned int end = slots[i].base + slots[i].npages, next;

	for (unsigned int f = slots[i].base; f < end; f = next) {
		bool active = false;

		next = f + 512 - (FIRST + f) % 512;
		for (unsigned int k = f; k < next && k < end; k++)
			FOREACH_MODE(mode)
				active |= held[mode][k] + own[mode][k] > 0;
		CHECK(page_track_range_is_active(&slot[i], frame_gfn(f)) == active);
	}
}

static void audit_all(void)
{
	for (unsigned int f = 0; f < FRAMES; f++)
		audit_page(f);
	for (int i = 0; i < SLOTS; i++)
		if (slots[i].exists)
			audit_slot(i);
	for (int t = 0; t < TRACKERS; t++) {
		if (!model[t].registered)
			continue;
		CHECK(tracker[t].hits == model[t].hits && tracker[t].untold == model[t].untold);
		CHECK(tracker[t].flooded == model[t].flooded);
	}
}

/* ---- the run --------------------------------------------------------------- */

static void one_op(void)
{
	unsigned int what = rnd(1000);

	memory_fails = rnd(20) == 0;
	if (memory_fails)
		host_fail_allocation((long)rnd(12));
	if (what < 3)
		op_slot();
	else if (what < 500)
		op_access();
	else
		small_op();
	host_fail_allocation(-1);
	memory_fails = false;
	CHECK(flush_owed == 0 && !pt.lock.locked);
}

static void random_trackers_agree_with_a_flat_model(void **state)
{
	uint64_t n = number_from_environment("SPOOR_OPS", OPS);

	seed = number_from_environment("SPOOR_SEED", (uint64_t)time(NULL));
	rng = seed * 2654435761u + 1;
	print_message("SPOOR_SEED=%lu, %lu operations\n", seed, n);
	page_track_init(&pt, &mmu_ops, NULL);
	for (unsigned int f = 0; f < FRAMES; f++)
		slot_on[f] = -1;
	for (int t = 0; t < TRACKERS; t++)
		op_register(t);
	for (op_number = 0; op_number < n; op_number++) {
		one_op();
		audit_page(rnd(FRAMES));
		if (op_number % 4096 == 0)
			audit_all();
	}
	audit_all();
	print_message("%u callbacks\n", ev.called);
	for (int i = 0; i < SLOTS; i++)
		if (slots[i].exists)
			op_delete(i);
	page_track_destroy(&pt);
	assert_int_equal(host_pages_used(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(random_trackers_agree_with_a_flat_model) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
