/* SPDX-License-Identifier: GPL-2.0-only */
/* See the header. */
#include "tests/host/others.h"
#include "lib/assert.h"

struct others_ears others_ears;

static enum page_track_verdict before(struct page_tracker *t, const struct page_track_event *e, uint8_t *value)
{
	return others_ears.before ? others_ears.before(e, value) : VERDICT_NONE;
}

static void after(struct page_tracker *t, const struct page_track_event *e)
{
	if (others_ears.after)
		others_ears.after(e);
}

static void region(struct page_tracker *t, const struct page_track_region *r)
{
	if (others_ears.region)
		others_ears.region(r);
}

static const struct page_tracker_ops ops = { .before = before, .after = after, .region = region };

struct page_tracker others = {
	.name = "others", .priority = 5, .ops = &ops, .follow = PAGE_TRACKER_FOLLOW_MEMORY,
};

void others_join(struct guest_mem *m)
{
	if (others.pt == &m->track)
		return;
	if (others.pt)
		ASSERT(page_tracker_destroy(&others) == 0);
	ASSERT(page_tracker_register(&m->track, &others) == 0);
}

/* Modes that there are not, too. */
static unsigned int bit(enum page_track_mode mode)
{
	return (unsigned int)mode < 32 ? PAGE_TRACK_BIT(mode) : 1u << 31;
}

int others_add(struct mmu *mmu, gfn_t g, enum page_track_mode mode)
{
	others_join(&mmu->mem);
	return page_tracker_add(&others, g, 1, bit(mode), NULL);
}

int others_remove(struct mmu *mmu, gfn_t g, enum page_track_mode mode)
{
	others_join(&mmu->mem);
	return page_tracker_remove(&others, g, 1, bit(mode), NULL);
}
