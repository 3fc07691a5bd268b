/* SPDX-License-Identifier: GPL-2.0-only */
/* See the header. */
#include "tests/host/mm_trackers.h"
#include <string.h>
#include "lib/errno.h"
#include "mm/port.h"

#define COUNT_MAX 20

struct trackers_seen trackers_seen;

static struct trackers_world w;

/* The first follows the gfn and hears of walks, the second goes with the memory. */
static struct page_tracker tracker[TRACKERS];

/* Parked or in force. */
static uint16_t count[TRACKERS][PAGE_TRACK_MODES][TRACKED_GFNS];

static bool chance(unsigned int percent) { return w.below(100) < percent; }

static unsigned int index_of(const struct page_tracker *t) { return (unsigned int)(t - tracker); }

static bool holds(unsigned int t, enum page_track_mode mode, gfn_t g)
{
	return g.v < TRACKED_GFNS && count[t][mode][g.v] > 0;
}

/* Is what a vCPU does under @cr3 its business? */
static bool cares(unsigned int t, uint64_t cr3)
{
	return !tracker[t].only_cr3 || tracker[t].only_cr3 == (cr3 & 0x000ffffffffff000ull);
}

static bool any_holds(enum page_track_mode mode, gfn_t g)
{
	for (unsigned int t = 0; t < TRACKERS; t++)
		if (holds(t, mode, g))
			return true;
	return false;
}

static struct memslot *slot_of(gfn_t g) { return memslot_find(&w.mmu->mem.slots, g); }

static uint8_t *va_of(gpa_t a)
{
	struct memslot *slot = slot_of(gpa_to_gfn(a));

	if (!slot)
		return NULL;
	return port_hpa_to_va(hpa_add(pfn_to_hpa(memslot_pfn(slot, gpa_to_gfn(a))), gpa_offset(a)));
}

uint32_t trackers_left(gfn_t g, uint64_t cr3)
{
	uint32_t left = ACCESS_ALL | ACCESS_READ;

	for (unsigned int mode = 0; mode < PAGE_TRACK_MODES; mode++) {
		unsigned int objections = page_track_count(&slot_of(g)->track, g, mode);

		for (unsigned int t = 0; t < TRACKERS; t++)
			if (!cares(t, cr3) && g.v < TRACKED_GFNS)
				objections -= count[t][mode][g.v];
		if (!objections)
			continue;
		if (mode == PAGE_TRACK_READ)
			return 0;
		left &= ~(mode == PAGE_TRACK_WRITE ? ACCESS_WRITE : ACCESS_EXEC);
	}
	return left;
}

/* ---- one access through the door --------------------------------------------------- */

#define PARTS 4 /* pages that it may touch */

/* What is going on, and what was heard of it. */
static struct {
	bool going_on;
	bool rule; /* trackers may have an opinion */
	enum page_track_mode mode;
	enum access_agent agent;
	gpa_t at;
	size_t len;
	uint64_t gva, cr3;
	uint8_t old[TRACKERS_BYTES], new[TRACKERS_BYTES]; /* before, and what is to be there or to be read */
	enum page_track_verdict verdict[PARTS];           /* by page */
	int last_priority[PARTS];
	uint8_t asked[TRACKERS][PARTS], told[TRACKERS][PARTS];
	uint8_t covered[TRACKERS][TRACKERS_BYTES]; /* how often a byte was told */
	enum page_track_verdict told_verdict;
} now;

static unsigned int part_of(gpa_t a) { return (unsigned int)(gpa_to_gfn(a).v - gpa_to_gfn(now.at).v); }
static unsigned int parts(void) { return part_of(gpa_add(now.at, now.len - 1)) + 1; }

static void begin(enum page_track_mode mode, gpa_t at, size_t len, enum access_agent agent)
{
	memset(&now, 0, sizeof(now));
	now.going_on = true;
	now.mode = mode;
	now.agent = agent;
	now.at = at;
	now.len = len;
	now.gva = at.v + 0x7000000000;
	now.cr3 = (chance(50) ? w.only_cr3 : 0x12345000) | w.below(32);
	now.rule = len <= GUEST_EVENT_BYTES;
	for (size_t i = 0; i < len; i++) {
		const uint8_t *p = va_of(gpa_add(at, i));

		now.old[i] = now.new[i] = p ? *p : 0;
	}
	for (unsigned int i = 0; i < PARTS; i++)
		now.last_priority[i] = -1;
}

static struct access_origin origin_of_now(void)
{
	return (struct access_origin){ .agent = now.agent, .vcpu = 2, .rip = 0x1234, .cr3 = now.cr3, .gva = gva(now.gva) };
}

/* The first page that is denied decides for all. */
static enum page_track_verdict verdict_of_all(void)
{
	enum page_track_verdict v = VERDICT_ALLOW;

	for (unsigned int i = 0; i < parts(); i++)
		if ((v == VERDICT_ALLOW || v == VERDICT_REPLACE) && now.verdict[i] > VERDICT_ALLOW)
			v = now.verdict[i];
	return v;
}

static bool is_done(enum page_track_verdict v) { return v == VERDICT_ALLOW || v == VERDICT_REPLACE; }

static int error_of(enum page_track_verdict v)
{
	switch (v) {
	case VERDICT_DENY_PF: return -EACCES;
	case VERDICT_DENY_GP: return -EPERM;
	case VERDICT_STOP: return -ECANCELED;
	default: return 0;
	}
}

/* All that an event says beside its bytes. */
static void check_event(const struct page_track_event *e)
{
	size_t offset = e->gpa.v - now.at.v;

	w.check(now.going_on && e->mode == now.mode, "an event of no access");
	w.check(e->len > 0 && gpa_offset(e->gpa) + e->len <= PAGE_SIZE, "an event crosses a page");
	w.check(offset <= now.len && e->len <= now.len - offset, "an event outside its access");
	w.check(e->origin->gva.v == now.gva + offset && e->origin->vcpu == 2 && e->origin->rip == 0x1234,
		"an origin does not arrive whole");
	w.check(e->page == va_of(gfn_to_gpa(gpa_to_gfn(e->gpa))), "an event shows another page");
}

static enum page_track_verdict opinion(bool can_replace)
{
	static const enum page_track_verdict some[] = {
		VERDICT_ALLOW, VERDICT_DENY_PF, VERDICT_DENY_GP, VERDICT_SKIP, VERDICT_STOP,
	};

	if (!chance(14))
		return VERDICT_NONE;
	return can_replace && chance(40) ? VERDICT_REPLACE : some[w.below(5)];
}

/* What it leaves in @value without saying that it replaces must not matter. */
static void replace(const struct page_track_event *e, uint8_t *value, bool really)
{
	for (unsigned int i = 0; i < e->len; i++) {
		value[i] ^= (uint8_t)(0x5a + i);
		if (really)
			now.new[e->gpa.v - now.at.v + i] = value[i];
	}
}

static enum page_track_verdict asked_at_the_door(struct page_tracker *t, const struct page_track_event *e, uint8_t *value)
{
	unsigned int part = part_of(e->gpa);
	enum page_track_verdict mine;

	check_event(e);
	w.check(holds(index_of(t), e->mode, gpa_to_gfn(e->gpa)), "a tracker is asked of a page that it does not hold");
	w.check(cares(index_of(t), now.cr3), "a tracker is asked of another address space");
	w.check(now.last_priority[part] <= t->priority || !now.rule, "trackers are asked in another order");
	w.check(e->hit == 0 && !memcmp(va_of(e->gpa), now.old + (e->gpa.v - now.at.v), e->len),
		"an access was made before all were asked");
	now.last_priority[part] = t->priority;
	now.asked[index_of(t)][part]++;
	trackers_seen.asked++;
	if (!now.rule)
		return VERDICT_NONE;
	mine = opinion(value != NULL && e->mode != PAGE_TRACK_EXEC);
	if (value && (mine == VERDICT_REPLACE || chance(5)))
		replace(e, value, mine == VERDICT_REPLACE && now.verdict[part] == VERDICT_NONE);
	if (now.verdict[part] == VERDICT_NONE)
		now.verdict[part] = mine;
	return mine;
}

static void told_at_the_door(struct page_tracker *t, const struct page_track_event *e)
{
	size_t offset = e->gpa.v - now.at.v;
	unsigned int n = index_of(t);

	check_event(e);
	w.check(holds(n, e->mode, gpa_to_gfn(e->gpa)), "a tracker is told of a page that it does not hold");
	w.check(e->verdict == verdict_of_all(), "a tracker is told another verdict");
	w.check(!memcmp(e->old, now.old + offset, e->len), "a tracker is told other old bytes");
	if (is_done(e->verdict)) {
		w.check(!memcmp(e->new, now.new + offset, e->len), "a tracker is told other new bytes");
		w.check(now.mode != PAGE_TRACK_WRITE || !memcmp(va_of(e->gpa), e->new, e->len),
			"a tracker is told other bytes than memory has");
	}
	now.told[n][part_of(e->gpa)]++;
	for (unsigned int i = 0; i < e->len; i++)
		now.covered[n][offset + i]++;
	trackers_seen.told++;
}

static void count_verdict(enum page_track_verdict v)
{
	trackers_seen.denied += v == VERDICT_DENY_PF || v == VERDICT_DENY_GP;
	trackers_seen.skipped += v == VERDICT_SKIP;
	trackers_seen.replaced += v == VERDICT_REPLACE;
	trackers_seen.stopped += v == VERDICT_STOP;
}

/* Each holder was told of each byte once, in one event for each page unless it was long. */
static void check_told(bool made)
{
	for (unsigned int t = 0; t < TRACKERS; t++) {
		for (unsigned int i = 0; i < parts(); i++) {
			bool held = cares(t, now.cr3) && holds(t, now.mode, gfn_add(gpa_to_gfn(now.at), i));

			w.check(!now.rule || now.told[t][i] == (made && held), "not told once for a page");
			w.check(!now.rule || !made || now.asked[t][i] == held, "not asked once for a page");
		}
		for (size_t i = 0; i < now.len; i++)
			w.check(now.covered[t][i] == (made && cares(t, now.cr3) &&
						      holds(t, now.mode, gpa_to_gfn(gpa_add(now.at, i)))),
				"a byte was not told once");
	}
	if (made)
		count_verdict(verdict_of_all());
	now.going_on = false;
}

/* Memory is what it should be: written, or as it was. */
static void check_memory(bool written)
{
	for (size_t i = 0; i < now.len; i++) {
		const uint8_t *p = va_of(gpa_add(now.at, i));

		w.check(!p || *p == (written ? now.new[i] : now.old[i]),
			written ? "a write did not arrive" : "memory has changed without a write");
	}
}

static bool all_ram(uint32_t refuse)
{
	for (unsigned int i = 0; i < parts(); i++) {
		const struct memslot *slot = slot_of(gfn_add(gpa_to_gfn(now.at), i));

		if (!slot || (slot->flags & refuse))
			return false;
	}
	return true;
}

int trackers_write(gpa_t at, const void *src, size_t len, enum access_agent agent)
{
	struct access_origin origin;
	bool ok;
	int err;

	begin(PAGE_TRACK_WRITE, at, len, agent);
	memcpy(now.new, src, len);
	origin = origin_of_now();
	ok = all_ram(agent == AGENT_LOADER ? 0 : MEMSLOT_READONLY);
	err = guest_write(&w.mmu->mem, at, src, len, &origin);
	w.check(err == (ok ? error_of(verdict_of_all()) : -EFAULT), "guest_write");
	check_memory(ok && is_done(verdict_of_all()));
	check_told(ok);
	return err;
}

int trackers_read(gpa_t at, size_t len, enum access_agent agent)
{
	uint8_t got[TRACKERS_BYTES];
	struct access_origin origin;
	bool ok;
	int err;

	begin(PAGE_TRACK_READ, at, len, agent);
	origin = origin_of_now();
	ok = all_ram(0);
	err = guest_read(&w.mmu->mem, at, got, len, &origin);
	w.check(err == (ok ? error_of(verdict_of_all()) : -EFAULT), "guest_read");
	if (ok && verdict_of_all() == VERDICT_SKIP)
		memset(now.new, 0, len);
	w.check(err != 0 || !memcmp(got, now.new, len), "a read gives other bytes");
	check_memory(false);
	check_told(ok);
	return err;
}

static bool can_exchange(gpa_t at, size_t len)
{
	return len <= 16 && len > 0 && !(len & (len - 1)) && (len != 16 || at.v % 16 == 0) &&
	       gpa_offset(at) + len <= PAGE_SIZE;
}

static int exchange_wanted(gpa_t at, size_t len, bool equal)
{
	if (!can_exchange(at, len))
		return -EINVAL;
	if (!all_ram(MEMSLOT_READONLY))
		return -EFAULT;
	return equal ? error_of(verdict_of_all()) : -EAGAIN;
}

int trackers_exchange(gpa_t at, const void *desired, size_t len)
{
	struct access_origin origin;
	uint8_t expected[16];
	bool equal = !chance(10), made;
	int err, want;

	begin(PAGE_TRACK_WRITE, at, len, AGENT_EMULATOR);
	memcpy(expected, now.old, len);
	expected[0] ^= !equal;
	memcpy(now.new, desired, len);
	origin = origin_of_now();
	err = guest_cmpxchg(&w.mmu->mem, at, expected, desired, len, &origin);
	want = exchange_wanted(at, len, equal);
	w.check(err == want, "guest_cmpxchg");
	w.check(err != -EAGAIN || !memcmp(expected, now.old, len), "guest_cmpxchg gives other bytes");
	made = err != -EINVAL && err != -EFAULT && err != -EAGAIN;
	check_memory(made && is_done(verdict_of_all()));
	check_told(made);
	return err;
}

void trackers_fetch(gpa_t at)
{
	size_t room = PAGE_SIZE - gpa_offset(at), len = room < 15 ? room : 15;
	enum page_track_verdict v;
	struct access_origin origin;

	begin(PAGE_TRACK_EXEC, at, len, AGENT_EMULATOR);
	origin = origin_of_now();
	v = guest_fetch(&w.mmu->mem, at, now.old, len, false, &origin);
	w.check(v == verdict_of_all(), "guest_fetch");
	check_told(true);
	trackers_seen.fetches += any_holds(PAGE_TRACK_EXEC, gpa_to_gfn(at));
}

/* ---- walks ------------------------------------------------------------------------- */

static struct {
	bool going_on;
	bool of_vcpu;
	uint64_t cr3;
	unsigned int reads[TRACKERS], writes[TRACKERS];
} walking;

/* Nobody has an opinion on these: a walk that is denied is another matter. */
static void told_of_walk(struct page_tracker *t, const struct page_track_event *e)
{
	unsigned int n = index_of(t);

	w.check(walking.going_on, "an event of no walk");
	w.check(holds(n, e->mode, gpa_to_gfn(e->gpa)), "a tracker is told of a walk in a page that it does not hold");
	w.check(e->verdict == VERDICT_ALLOW && (e->len == 4 || e->len == 8), "a walk is told as something else");
	w.check(!memcmp(va_of(e->gpa), e->new, e->len), "a tracker is told other bytes than the table has");
	if (e->mode == PAGE_TRACK_READ) {
		w.check(t->walks && !memcmp(e->old, e->new, e->len), "a read of a walk that nobody asked for");
		walking.reads[n]++;
	} else {
		w.check((e->new[0] & ~e->old[0] & ~0x60) == 0 && (e->old[0] & ~e->new[0]) == 0 &&
			!memcmp(e->old + 1, e->new + 1, e->len - 1), "a walk set more than A and D");
		walking.writes[n]++;
	}
	trackers_seen.walks++;
}

/* Entries on the path, and what they were. */
struct path {
	unsigned int count;
	gpa_t at[WALK_LEVELS_MAX];
	uint64_t entry[WALK_LEVELS_MAX];
	unsigned int size;
	bool twice; /* an entry is there twice: the walk starts over when it has set A there */
};

static uint64_t entry_at(gpa_t at, unsigned int size)
{
	uint64_t e = 0;

	memcpy(&e, va_of(at), size);
	return e;
}

static struct path look_at_path(const struct mmu_vcpu *v, gva_t addr)
{
	struct path p = { .size = paging_pae(&v->paging) ? 8 : 4 };
	struct guest_walk walk;

	(void)guest_walk(&walk, &w.mmu->mem, &v->paging, addr, WALK_PEEK, NULL);
	for (int level = walk.top_level; level > 0 && level >= walk.level; level--) {
		if (walk.top_level == 3 && level == 3)
			continue; /* a register */
		if (!va_of(walk.gpte_gpa[level]))
			continue;
		for (unsigned int i = 0; i < p.count; i++)
			p.twice |= p.at[i].v == walk.gpte_gpa[level].v;
		p.at[p.count] = walk.gpte_gpa[level];
		p.entry[p.count] = entry_at(p.at[p.count], p.size);
		p.count++;
	}
	return p;
}

static void check_walk(const struct path *p, bool told_reads)
{
	for (unsigned int t = 0; t < TRACKERS; t++) {
		unsigned int reads = 0, writes = 0;

		for (unsigned int i = 0; i < p->count; i++) {
			bool written = entry_at(p->at[i], p->size) != p->entry[i];

			if (walking.of_vcpu && !cares(t, walking.cr3))
				continue;
			reads += told_reads && tracker[t].walks && holds(t, PAGE_TRACK_READ, gpa_to_gfn(p->at[i]));
			writes += written && holds(t, PAGE_TRACK_WRITE, gpa_to_gfn(p->at[i]));
		}
		w.check(walking.reads[t] == reads || p->twice, "reads of a walk are not told once");
		w.check(walking.writes[t] == writes || p->twice, "A and D bits are not told once");
	}
	walking.going_on = false;
}

enum fault_result trackers_fault(struct mmu_vcpu *v, struct page_fault *f)
{
	struct access_origin origin = { .agent = AGENT_EMULATOR, .vcpu = 1, .cr3 = v->paging.cr3,
					.gva = f->addr };
	struct path p = look_at_path(v, f->addr);
	enum fault_result result;

	f->origin = chance(70) ? &origin : NULL;
	memset(&walking, 0, sizeof(walking));
	walking.going_on = true;
	walking.of_vcpu = f->origin != NULL;
	walking.cr3 = v->paging.cr3;
	result = mmu_page_fault(v, f);
	check_walk(&p, f->origin != NULL);
	f->origin = NULL;
	return result;
}

/* ---- the native step --------------------------------------------------------------- */

struct open_page {
	gfn_t gfn;
	uint32_t rights;
	bool accessed[2];
	gva_t at[2];
	uint8_t before[PAGE_SIZE];
	unsigned int told[TRACKERS][2];
};

static struct {
	unsigned int count;
	struct open_page page[MMU_STEP_PAGES_MAX];
	bool closing, done;
	/* Being asked: */
	bool asking;
	gpa_t gpa;
	gva_t gva;
	enum page_track_mode mode;
	enum page_track_verdict verdict;
	unsigned int asked[TRACKERS], told[TRACKERS];
} step;

static enum page_track_mode mode_of(const struct page_fault *f)
{
	if (f->error_code & PFERR_FETCH)
		return PAGE_TRACK_EXEC;
	return f->error_code & PFERR_WRITE ? PAGE_TRACK_WRITE : PAGE_TRACK_READ;
}

static enum page_track_verdict asked_of_step(struct page_tracker *t, const struct page_track_event *e, uint8_t *value)
{
	enum page_track_verdict mine = chance(5) ? VERDICT_REPLACE : opinion(false);

	w.check(step.asking && e->mode == step.mode && e->gpa.v == step.gpa.v && e->inexact, "asked of no step");
	w.check(e->len == PAGE_SIZE - gpa_offset(e->gpa) && !e->old && !e->new && !value, "a step's values are known");
	w.check(e->origin->gva.v == step.gva.v, "a step's address is another");
	w.check(holds(index_of(t), e->mode, gpa_to_gfn(e->gpa)), "a tracker is asked of a step elsewhere");
	step.asked[index_of(t)]++;
	if (step.verdict == VERDICT_NONE && mine != VERDICT_NONE)
		step.verdict = mine == VERDICT_REPLACE ? VERDICT_DENY_GP : mine;
	return mine;
}

static struct open_page *open_page_of(gfn_t g)
{
	for (unsigned int i = 0; i < step.count; i++)
		if (step.page[i].gfn.v == g.v)
			return &step.page[i];
	return NULL;
}

/* The bytes from the first to the last that changed, and the one that faulted. */
static void expected_run(const struct open_page *p, unsigned int *first, unsigned int *last)
{
	const uint8_t *is = va_of(gfn_to_gpa(p->gfn));

	*first = PAGE_SIZE;
	*last = 0;
	if (step.done && p->accessed[PAGE_TRACK_WRITE])
		*first = *last = (unsigned int)gva_offset(p->at[PAGE_TRACK_WRITE]);
	for (unsigned int i = 0; i < PAGE_SIZE; i++) {
		if (p->before[i] == is[i])
			continue;
		*first = i < *first ? i : *first;
		*last = i > *last ? i : *last;
	}
}

static void check_step_write(const struct open_page *p, const struct page_track_event *e)
{
	unsigned int first, last;

	expected_run(p, &first, &last);
	w.check(first <= last, "a step is told to have written and has not");
	w.check(gpa_offset(e->gpa) == first && e->len == last - first + 1, "a step's write is another run");
	w.check(!memcmp(e->old, p->before + first, e->len), "a step's write has other old bytes");
	w.check(!memcmp(e->new, va_of(e->gpa), e->len), "a step's write has other new bytes");
	trackers_seen.native_writes++;
	trackers_seen.silent += !memcmp(e->old, e->new, e->len);
}

static void check_step_read(const struct open_page *p, unsigned int t, const struct page_track_event *e)
{
	unsigned int at = (unsigned int)gva_offset(p->at[PAGE_TRACK_READ]);

	w.check(step.done && p->accessed[PAGE_TRACK_READ] && !p->told[t][PAGE_TRACK_WRITE], "a step's read is none");
	w.check(gpa_offset(e->gpa) == at && e->len == PAGE_SIZE - at, "a step's read is elsewhere");
	w.check(!memcmp(e->old, p->before + at, e->len) && !memcmp(e->new, e->old, e->len),
		"a step's read has other bytes");
	trackers_seen.native_reads++;
}

static void told_of_step(struct page_tracker *t, const struct page_track_event *e)
{
	struct open_page *p = open_page_of(gpa_to_gfn(e->gpa));
	unsigned int n = index_of(t);

	w.check(e->inexact && holds(n, e->mode, gpa_to_gfn(e->gpa)), "a tracker is told of a step elsewhere");
	if (step.asking) {
		w.check(e->verdict == step.verdict && e->gpa.v == step.gpa.v, "a tracker is told of no denial");
		step.told[n]++;
		return;
	}
	w.check(step.closing && p && e->verdict == VERDICT_ALLOW && e->mode < 2, "a tracker is told of no step");
	if (e->mode == PAGE_TRACK_WRITE)
		check_step_write(p, e);
	else
		check_step_read(p, n, e);
	p->told[n][e->mode]++;
}

enum page_track_verdict trackers_step_ask(struct mmu_vcpu *v, const struct page_fault *f)
{
	enum page_track_mode mode = mode_of(f);
	enum page_track_verdict verdict, want;

	step.asking = true;
	step.gpa = f->gpa;
	step.gva = f->addr;
	step.mode = mode;
	step.verdict = VERDICT_NONE;
	memset(step.asked, 0, sizeof(step.asked));
	memset(step.told, 0, sizeof(step.told));
	verdict = mmu_step_ask(v, f);
	want = step.verdict == VERDICT_NONE ? VERDICT_ALLOW : step.verdict;
	w.check(verdict == want, "mmu_step_ask");
	for (unsigned int t = 0; t < TRACKERS; t++) {
		bool held = mode != PAGE_TRACK_EXEC && slot_of(gpa_to_gfn(f->gpa)) && holds(t, mode, gpa_to_gfn(f->gpa));

		w.check(step.asked[t] == held, "not asked once of a step");
		w.check(step.told[t] == (held && verdict != VERDICT_ALLOW), "not told once of a step's denial");
	}
	step.asking = false;
	trackers_seen.native_denied += verdict != VERDICT_ALLOW;
	return verdict;
}

/* What the page was when it was opened first, and what for. */
static void note_open(const struct page_fault *f)
{
	gfn_t g = gpa_to_gfn(f->gpa);
	struct open_page *p = open_page_of(g);
	enum page_track_mode mode = mode_of(f);

	if (!p) {
		p = &step.page[step.count++];
		memset(p, 0, sizeof(*p));
		p->gfn = g;
		memcpy(p->before, va_of(gfn_to_gpa(g)), PAGE_SIZE);
	}
	p->rights |= ACCESS_READ | (f->error_code & PFERR_WRITE ? ACCESS_WRITE : 0) |
		     (f->error_code & PFERR_FETCH ? ACCESS_EXEC : 0);
	if (mode == PAGE_TRACK_EXEC || p->accessed[mode])
		return;
	p->accessed[mode] = true;
	p->at[mode] = f->addr;
}

int trackers_step_open(struct mmu_vcpu *v, const struct page_fault *f)
{
	gfn_t g = gpa_to_gfn(f->gpa);
	const struct memslot *slot = slot_of(g);
	int err = mmu_step_open(v, f);

	if (!slot || ((slot->flags & MEMSLOT_READONLY) && (f->error_code & PFERR_WRITE))) {
		w.check(err == -EFAULT, "a page was opened that is none");
		return err;
	}
	if (!open_page_of(g) && step.count == MMU_STEP_PAGES_MAX) {
		w.check(err == -E2BIG, "more pages are open than can be");
		return err;
	}
	w.check(err == 0 || err == -EFAULT, "a page cannot be opened");
	note_open(f);
	return err;
}

uint32_t trackers_step_rights(gfn_t g)
{
	const struct open_page *p = open_page_of(g);

	return p ? p->rights : 0;
}

static void check_closed(const struct open_page *p)
{
	unsigned int first, last;

	expected_run(p, &first, &last);
	for (unsigned int t = 0; t < TRACKERS; t++) {
		bool wrote = first <= last && holds(t, PAGE_TRACK_WRITE, p->gfn);
		bool read = step.done && p->accessed[PAGE_TRACK_READ] && holds(t, PAGE_TRACK_READ, p->gfn);

		w.check(p->told[t][PAGE_TRACK_WRITE] == wrote, "a step's write is not told once");
		w.check(p->told[t][PAGE_TRACK_READ] == read, "a step's read is not told once");
	}
}

void trackers_step_close(struct mmu_vcpu *v, bool done)
{
	step.closing = true;
	step.done = done;
	mmu_step_close(v, done);
	step.closing = false;
	for (unsigned int i = 0; i < step.count; i++)
		check_closed(&step.page[i]);
	step.count = 0;
}

/* With the slot go the pages that are open. */
static void step_forget(gfn_t base, uint64_t npages)
{
	for (unsigned int i = step.count; i-- > 0;)
		if (step.page[i].gfn.v - base.v < npages)
			step.page[i] = step.page[--step.count];
}

/* ---- what trackers are ------------------------------------------------------------- */

static struct {
	struct page_track_region region;
	unsigned int told[TRACKERS];
} change;

static void check_unlocked(void)
{
	w.check(!w.mmu->lock.locked && !w.mmu->mem.track.lock.locked, "a tracker is called under a lock");
}

static enum page_track_verdict before(struct page_tracker *t, const struct page_track_event *e, uint8_t *value)
{
	check_unlocked();
	w.check(e->verdict == VERDICT_NONE, "a verdict before one is asked");
	switch (e->origin->agent) {
	case AGENT_WALKER:
		w.check(!value && (e->mode == PAGE_TRACK_WRITE || t->walks), "a walk can be replaced");
		return VERDICT_NONE;
	case AGENT_GUEST:
		return asked_of_step(t, e, value);
	default:
		return asked_at_the_door(t, e, value);
	}
}

static void after(struct page_tracker *t, const struct page_track_event *e)
{
	check_unlocked();
	w.check(e->hit > 0 && e->hit == t->hits, "an event is not counted");
	switch (e->origin->agent) {
	case AGENT_WALKER: told_of_walk(t, e); break;
	case AGENT_GUEST: told_of_step(t, e); break;
	default: told_at_the_door(t, e); break;
	}
}

static void overruled(struct page_tracker *t, const struct page_track_event *e, enum page_track_verdict mine,
		      const struct page_tracker *by, enum page_track_verdict taken)
{
	w.check(by && by != t && (mine != taken || mine == VERDICT_REPLACE), "overruled by nobody");
	trackers_seen.overruled++;
}

static void region(struct page_tracker *t, const struct page_track_region *r)
{
	check_unlocked();
	change.region = *r;
	change.told[index_of(t)]++;
}

static const struct page_tracker_ops ops = {
	.before = before, .after = after, .overruled = overruled, .region = region,
};

void trackers_open(const struct trackers_world *world)
{
	w = *world;
	memset(count, 0, sizeof(count));
	memset(&step, 0, sizeof(step));
	for (unsigned int t = 0; t < TRACKERS; t++) {
		tracker[t] = (struct page_tracker){
			.name = "test", .priority = t == 1 ? 5 : 10, .ops = &ops, .walks = t == 0,
			.follow = t == 1 ? PAGE_TRACKER_FOLLOW_MEMORY : PAGE_TRACKER_FOLLOW_GFN,
			.only_cr3 = t == TRACKERS - 1 ? w.only_cr3 : 0,
		};
		w.check(page_tracker_register(&w.mmu->mem.track, &tracker[t]) == 0, "page_tracker_register");
	}
}

void trackers_close(void)
{
	for (unsigned int t = 0; t < TRACKERS; t++)
		w.check(page_tracker_destroy(&tracker[t]) == 0, "page_tracker_destroy");
}

/* ---- counts ------------------------------------------------------------------------ */

void trackers_compare(uint64_t base, uint64_t npages)
{
	for (unsigned int t = 0; t < TRACKERS; t++)
		for (unsigned int mode = 0; mode < PAGE_TRACK_MODES; mode++)
			for (uint64_t g = base; g < base + npages; g++)
				w.check(page_tracker_count(&tracker[t], gfn(g), mode) == count[t][mode][g],
					"a tracker has another count");
}

static bool has_mode(unsigned int modes, unsigned int mode) { return modes & PAGE_TRACK_BIT(mode); }

/* 0, or the error that a change of [base, base + npages) must have, and where. */
static int add_wanted(uint64_t base, uint64_t npages, uint64_t *where)
{
	for (*where = base; *where < base + npages; ++*where)
		if (!slot_of(gfn(*where)))
			return -EINVAL;
	return 0;
}

static int remove_wanted(unsigned int t, uint64_t base, uint64_t npages, unsigned int modes, uint64_t *where)
{
	for (*where = base; *where < base + npages; ++*where)
		for (unsigned int mode = 0; mode < PAGE_TRACK_MODES; mode++)
			if (has_mode(modes, mode) && !count[t][mode][*where])
				return -ENOENT;
	return 0;
}

static void count_all(unsigned int t, uint64_t base, uint64_t npages, unsigned int modes, int by)
{
	for (uint64_t g = base; g < base + npages; g++)
		for (unsigned int mode = 0; mode < PAGE_TRACK_MODES; mode++)
			if (has_mode(modes, mode))
				count[t][mode][g] = (uint16_t)(count[t][mode][g] + by);
}

static bool has_room(unsigned int t, uint64_t base, uint64_t npages)
{
	for (uint64_t g = base; g < base + npages; g++)
		for (unsigned int mode = 0; mode < PAGE_TRACK_MODES; mode++)
			if (count[t][mode][g] >= COUNT_MAX)
				return false;
	return true;
}

void trackers_change(uint64_t g)
{
	unsigned int t = w.only_cr3 && chance(60) ? TRACKERS - 1 : (unsigned int)w.below(TRACKERS);
	unsigned int modes = chance(80) ? PAGE_TRACK_BIT(w.below(PAGE_TRACK_MODES)) : 1 + (unsigned int)w.below(7);
	uint64_t npages = chance(80) ? 1 : 1 + w.below(4), where;
	gfn_t failed = gfn(~0ull);
	int err, want;

	if (g + npages > TRACKED_GFNS)
		npages = 1;
	if (chance(45) && has_room(t, g, npages)) {
		want = add_wanted(g, npages, &where);
		err = page_tracker_add(&tracker[t], gfn(g), npages, modes, &failed);
		w.check(err == want, "page_tracker_add");
		count_all(t, g, npages, modes, err ? 0 : 1);
	} else {
		want = remove_wanted(t, g, npages, modes, &where);
		err = page_tracker_remove(&tracker[t], gfn(g), npages, modes, &failed);
		w.check(err == want, "page_tracker_remove");
		count_all(t, g, npages, modes, err ? 0 : -1);
	}
	w.check(failed.v == (err ? where : ~0ull), "an error is about another page");
	trackers_compare(g, npages);
}

static void remove_each(unsigned int t)
{
	for (unsigned int mode = 0; mode < PAGE_TRACK_MODES; mode++)
		for (uint64_t g = 0; g < TRACKED_GFNS; g++)
			for (; count[t][mode][g]; count[t][mode][g]--)
				w.check(page_tracker_remove(&tracker[t], gfn(g), 1, PAGE_TRACK_BIT(mode), NULL) == 0,
					"page_tracker_remove");
}

void trackers_give_back(void)
{
	unsigned int t = (unsigned int)w.below(TRACKERS);

	switch (w.below(3)) {
	case 0:
		remove_each(t);
		break;
	case 1:
		page_tracker_clear(&tracker[t]);
		break;
	default:
		w.check(page_tracker_destroy(&tracker[t]) == 0, "page_tracker_destroy");
		w.check(page_tracker_register(&w.mmu->mem.track, &tracker[t]) == 0, "page_tracker_register");
		break;
	}
	memset(count[t], 0, sizeof(count[t]));
}

/* ---- slots ------------------------------------------------------------------------- */

static void check_region(bool told, enum page_track_region_change what, gfn_t base, uint64_t npages)
{
	for (unsigned int t = 0; t < TRACKERS; t++)
		w.check(change.told[t] == told, "a change of slots is not told once");
	w.check(!told || (change.region.change == what && change.region.base.v == base.v &&
			  change.region.npages == npages), "a change of slots is told as another");
	memset(&change, 0, sizeof(change));
}

static bool any_count(unsigned int t, uint64_t base, uint64_t npages)
{
	for (unsigned int mode = 0; mode < PAGE_TRACK_MODES; mode++)
		for (uint64_t g = base; g < base + npages; g++)
			if (count[t][mode][g])
				return true;
	return false;
}

int trackers_slot_create(const struct memslot_desc *d)
{
	int err = mmu_slot_create(w.mmu, d);

	check_region(!err, REGION_CREATED, d->base_gfn, d->npages);
	trackers_seen.parked += !err && any_count(0, d->base_gfn.v, d->npages);
	return err;
}

int trackers_slot_delete(const struct memslot_desc *d)
{
	int err = mmu_slot_delete(w.mmu, d->id);

	check_region(!err, REGION_REMOVED, d->base_gfn, d->npages);
	if (err)
		return err;
	step_forget(d->base_gfn, d->npages);
	for (unsigned int t = 0; t < TRACKERS; t++)
		for (unsigned int mode = 0; mode < PAGE_TRACK_MODES; mode++)
			if (tracker[t].follow == PAGE_TRACKER_FOLLOW_MEMORY)
				memset(&count[t][mode][d->base_gfn.v], 0, d->npages * sizeof(count[0][0][0]));
	return 0;
}

int trackers_slot_move(const struct memslot_desc *d, gfn_t base)
{
	size_t bytes = d->npages * sizeof(count[0][0][0]);
	int err = mmu_slot_move(w.mmu, d->id, base);

	check_region(!err, REGION_MOVED, base, d->npages);
	if (err)
		return err;
	step_forget(d->base_gfn, d->npages);
	for (unsigned int t = 0; t < TRACKERS; t++) {
		if (tracker[t].follow != PAGE_TRACKER_FOLLOW_MEMORY || base.v == d->base_gfn.v)
			continue;
		trackers_seen.moved += any_count(t, d->base_gfn.v, d->npages);
		for (unsigned int mode = 0; mode < PAGE_TRACK_MODES; mode++) {
			memcpy(&count[t][mode][base.v], &count[t][mode][d->base_gfn.v], bytes);
			memset(&count[t][mode][d->base_gfn.v], 0, bytes);
		}
	}
	return 0;
}
