/* SPDX-License-Identifier: GPL-2.0-only */
/* A tracker that remembers: see the header. */
#include "tests/host/fake_tracker.h"
#include <string.h>
#include "lib/assert.h"
#include "lib/compiler.h"

static struct fake_tracker *of(struct page_tracker *t) { return container_of(t, struct fake_tracker, t); }

static void keep_bytes(bool *has, uint8_t *to, const uint8_t *bytes, uint32_t len)
{
	*has = bytes != NULL;
	if (bytes)
		memcpy(to, bytes, len < TRACKER_BYTES ? len : TRACKER_BYTES);
}

static void keep(struct seen_event *s, const struct page_track_event *e, bool has_value)
{
	memset(s, 0, sizeof(*s));
	s->e = *e;
	s->origin = *e->origin;
	s->has_value = has_value;
	keep_bytes(&s->has_old, s->old, e->old, e->len);
	keep_bytes(&s->has_new, s->new, e->new, e->len);
}

static enum page_track_verdict before(struct page_tracker *t, const struct page_track_event *e, uint8_t *value)
{
	struct fake_tracker *k = of(t);

	if (k->asked < TRACKER_SEEN)
		keep(&k->ask[k->asked], e, value != NULL);
	if (k->asked++ < k->answer_after || (k->answer_page && k->answer_page != gpa_to_gfn(e->gpa).v))
		return VERDICT_NONE;
	if (k->answer[e->mode] == VERDICT_REPLACE && value)
		memcpy(value, k->value, e->len);
	return k->answer[e->mode];
}

static void after(struct page_tracker *t, const struct page_track_event *e)
{
	struct fake_tracker *k = of(t);

	if (k->told < TRACKER_SEEN)
		keep(&k->tell[k->told], e, false);
	k->told++;
	k->by_mode[e->mode]++;
	if (k->lets_go)
		ASSERT(page_tracker_remove(t, gpa_to_gfn(e->gpa), 1, PAGE_TRACK_BIT(e->mode), NULL) == 0);
}

static void overruled(struct page_tracker *t, const struct page_track_event *e, enum page_track_verdict mine,
		      const struct page_tracker *by, enum page_track_verdict taken)
{
	of(t)->overruled++;
}

static const struct page_tracker_ops ops = { .before = before, .after = after, .overruled = overruled };

void fake_tracker_open(struct fake_tracker *k, struct page_track *pt, const char *name, int priority)
{
	memset(k, 0, sizeof(*k));
	k->t.name = name;
	k->t.priority = priority;
	k->t.ops = &ops;
	ASSERT(page_tracker_register(pt, &k->t) == 0);
}

void fake_tracker_close(struct fake_tracker *k)
{
	ASSERT(page_tracker_destroy(&k->t) == 0);
}

void fake_tracker_add(struct fake_tracker *k, uint64_t addr, unsigned int modes)
{
	ASSERT(page_tracker_add(&k->t, gpa_to_gfn(gpa(addr)), 1, modes, NULL) == 0);
}

void fake_tracker_remove(struct fake_tracker *k, uint64_t addr, unsigned int modes)
{
	ASSERT(page_tracker_remove(&k->t, gpa_to_gfn(gpa(addr)), 1, modes, NULL) == 0);
}

void fake_tracker_clear(struct fake_tracker *k)
{
	k->asked = k->told = k->overruled = k->answer_after = 0;
	k->answer_page = 0;
	memset(k->by_mode, 0, sizeof(k->by_mode));
	memset(k->answer, 0, sizeof(k->answer));
}
