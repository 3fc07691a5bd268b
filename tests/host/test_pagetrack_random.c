/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Slots, tracking and the door under random operations, against a model that
 * is one flat array of guest frames. SPOOR_SEED=n replays a run, SPOOR_OPS=n
 * changes its length.
 *
 * The model knows of each frame which slot holds it, its three counters, its
 * first bytes and whether it is dirty. Every result is compared, and every
 * 4096 operations the whole of both worlds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include "lib/alloc.h"
#include "lib/errno.h"
#include "mm/guest_mem.h"
#include "mm/port.h"
#include "tests/host/bare_mem.h"
#include "tests/host/port_host.h"
#include "tests/host/random.h"

#define FRAMES 2048   /* guest frames in play, from gfn FIRST */
#define FIRST 0x3F0   /* not aligned to 2 MiB */
#define IDS 24
#define SLOT_PAGES_MAX 160
#define BYTES 16      /* kept of each frame, from its start */
#define OPS 1500000

struct model_slot {
	bool exists;
	uint32_t flags;
	uint64_t base, npages, base_pfn;
};

static struct model_slot slots[IDS];
static struct {
	int id; /* -1: hole */
	uint16_t count[PAGE_TRACK_MODES];
	bool dirty;
} frames[FRAMES];
static uint8_t bytes[IDS][SLOT_PAGES_MAX][BYTES]; /* of the machine frames behind a slot */
static uint8_t *ram[IDS];

static struct guest_mem m;
static uint64_t seed, rng;
static uint64_t op_number;

static uint64_t rnd(uint64_t below)
{
	return random_next(&rng) % below;
}

#define CHECK(cond) \
	do { \
		if (!(cond)) { \
			print_error("operation %lu of SPOOR_SEED=%lu\n", op_number, seed); \
			assert_true(cond); \
		} \
	} while (0)

/* ---- the MMU's side, and a tracker that hears ---------------------------- */

static struct {
	unsigned int protects, unprotects, flushes;
	uint64_t gfn;
} asked;

static bool note_protect(void *mmu, gfn_t g, enum page_track_mode mode)
{
	asked.protects++;
	asked.gfn = g.v;
	return true;
}

static void note_unprotect(void *mmu, gfn_t g, enum page_track_mode mode)
{
	asked.unprotects++;
	asked.gfn = g.v;
}

static void note_flush(void *mmu)
{
	CHECK(asked.protects > 0);
	asked.flushes++;
}

static const struct page_track_mmu_ops ops = {
	.slot_of = bare_slot_of, .protect = note_protect, .unprotect = note_unprotect, .flush = note_flush,
};

static struct {
	unsigned int events;
	uint64_t len;
	uint8_t old[BYTES];
} heard;

static void hear(struct page_tracker *t, const struct page_track_event *e)
{
	if (e->mode != PAGE_TRACK_WRITE)
		return;
	CHECK(heard.len + e->len <= BYTES);
	memcpy(heard.old + heard.len, e->old, e->len);
	heard.len += e->len;
	heard.events++;
}

/* Follows memory: what it holds is known of each frame that there is. */
static const struct page_tracker_ops hearing = { .after = hear };
static struct page_tracker tracker = { .name = "hear", .priority = 3, .ops = &hearing,
				       .follow = PAGE_TRACKER_FOLLOW_MEMORY };

/* ---- slots in the model -------------------------------------------------- */

static bool model_room(uint64_t base, uint64_t npages, int but)
{
	for (uint64_t g = base; g < base + npages; g++)
		if (frames[g - FIRST].id >= 0 && frames[g - FIRST].id != but)
			return false;
	return true;
}

static void model_take(int id)
{
	for (uint64_t g = slots[id].base; g < slots[id].base + slots[id].npages; g++) {
		memset(&frames[g - FIRST], 0, sizeof(frames[0]));
		frames[g - FIRST].id = -1;
	}
}

/* Counts go along, dirty bits begin at zero. */
static void model_move(int id, uint64_t base)
{
	uint64_t n = slots[id].npages, from = slots[id].base - FIRST, to = base - FIRST;
	uint16_t kept[SLOT_PAGES_MAX][PAGE_TRACK_MODES];

	for (uint64_t i = 0; i < n; i++)
		memcpy(kept[i], frames[from + i].count, sizeof(kept[i]));
	model_take(id);
	slots[id].base = base;
	for (uint64_t i = 0; i < n; i++) {
		frames[to + i].id = id;
		memcpy(frames[to + i].count, kept[i], sizeof(kept[i]));
	}
}

static void model_put(int id)
{
	for (uint64_t g = slots[id].base; g < slots[id].base + slots[id].npages; g++)
		frames[g - FIRST].id = id;
}

/* A random range within the frames in play. */
static void any_range(uint64_t *base, uint64_t *npages)
{
	*npages = 1 + rnd(rnd(4) ? 40 : SLOT_PAGES_MAX);
	*base = FIRST + rnd(FRAMES - *npages + 1);
}

static void op_create(void)
{
	int id = (int)rnd(IDS);
	struct memslot_desc d = { .id = (uint32_t)id, .flags = (uint32_t)rnd(MEMSLOT_FLAGS + 1) };
	int want = 0;

	any_range(&d.base_gfn.v, &d.npages);
	d.base_pfn = hpa_to_pfn(port_va_to_hpa(ram[id]));
	if (slots[id].exists || !model_room(d.base_gfn.v, d.npages, -1))
		want = -EEXIST;
	CHECK(bare_slot_create(&m, &d) == want);
	if (want)
		return;
	slots[id] = (struct model_slot){ true, d.flags, d.base_gfn.v, d.npages, d.base_pfn.v };
	model_put(id);
}

static void op_delete(void)
{
	int id = (int)rnd(IDS);

	CHECK(bare_slot_delete(&m, (uint32_t)id) == (slots[id].exists ? 0 : -ENOENT));
	if (slots[id].exists)
		model_take(id);
	slots[id].exists = false;
}

static void op_move(void)
{
	int id = (int)rnd(IDS), want = 0;
	uint64_t base, unused_pages;

	any_range(&base, &unused_pages);
	if (slots[id].exists && base + slots[id].npages > FIRST + FRAMES)
		base = FIRST + FRAMES - slots[id].npages;
	if (!slots[id].exists)
		want = -ENOENT;
	else if (!model_room(base, slots[id].npages, id))
		want = -EEXIST;
	CHECK(bare_slot_move(&m, (uint32_t)id, gfn(base)) == want);
	if (want)
		return;
	model_move(id, base);
}

static void op_flags(void)
{
	int id = (int)rnd(IDS);
	uint32_t flags = (uint32_t)rnd(MEMSLOT_FLAGS + 1);

	CHECK(memslot_set_flags(&m.slots, (uint32_t)id, flags) == (slots[id].exists ? 0 : -ENOENT));
	if (!slots[id].exists)
		return;
	slots[id].flags = flags;
	if (!(flags & MEMSLOT_LOG_DIRTY))
		for (uint64_t g = 0; g < slots[id].npages; g++)
			frames[slots[id].base + g - FIRST].dirty = false;
}

/* A change that runs out of memory must not be one. */
static void op_no_memory(void)
{
	int id = (int)rnd(IDS);
	size_t pages = host_pages_used();
	struct memslot_desc d = { .id = (uint32_t)id, .flags = MEMSLOT_LOG_DIRTY, .npages = 1 };
	int err;

	d.base_gfn = gfn(FIRST + FRAMES); /* outside: free for sure */
	host_fail_allocation((long)rnd(1 + MAPPING_LEVEL_MAX + 1));
	if (slots[id].exists)
		err = bare_slot_move(&m, (uint32_t)id, gfn(FIRST + FRAMES));
	else
		err = bare_slot_create(&m, &d);
	host_fail_allocation(-1);
	CHECK(err == -ENOMEM);
	CHECK(host_pages_used() == pages);
}

/* ---- tracking and access ------------------------------------------------- */

static uint64_t any_gfn(void)
{
	return FIRST + rnd(FRAMES);
}

static void op_lookup(void)
{
	uint64_t g = any_gfn();
	struct memslot *slot = memslot_find(&m.slots, gfn(g));
	int id = frames[g - FIRST].id;

	CHECK((slot != NULL) == (id >= 0));
	if (!slot)
		return;
	CHECK(slot->id == (uint32_t)id);
	CHECK(memslot_pfn(slot, gfn(g)).v == slots[id].base_pfn + (g - slots[id].base));
}

static void op_track(void)
{
	uint64_t g = any_gfn();
	enum page_track_mode mode = (enum page_track_mode)rnd(PAGE_TRACK_MODES);
	struct memslot *slot = memslot_find(&m.slots, gfn(g));
	uint16_t *count = &frames[g - FIRST].count[mode];
	gfn_t failed;

	memset(&asked, 0, sizeof(asked));
	if (!slot) {
		CHECK(page_tracker_add(&tracker, gfn(g), 1, PAGE_TRACK_BIT(mode), &failed) == -EINVAL);
		CHECK(page_tracker_remove(&tracker, gfn(g), 1, PAGE_TRACK_BIT(mode), &failed) == -ENOENT);
		return;
	}
	if (rnd(2)) {
		CHECK(page_tracker_add(&tracker, gfn(g), 1, PAGE_TRACK_BIT(mode), NULL) == 0);
		(*count)++;
		CHECK(asked.protects == 1 && asked.flushes == 1 && asked.gfn == g && !asked.unprotects);
	} else {
		CHECK(page_tracker_remove(&tracker, gfn(g), 1, PAGE_TRACK_BIT(mode), NULL) == (*count ? 0 : -ENOENT));
		CHECK(asked.unprotects == (*count == 1) && !asked.protects && !asked.flushes);
		*count -= *count > 0;
	}
	CHECK(page_track_count(&slot->track, gfn(g), mode) == *count);
	CHECK(page_tracker_count(&tracker, gfn(g), mode) == *count);
}

static void op_write(void)
{
	uint64_t g = any_gfn(), offset = rnd(BYTES), len = 1 + rnd(BYTES - offset);
	int id = frames[g - FIRST].id, want = 0;
	const struct access_origin writer = { .agent = (enum access_agent)rnd(AGENTS), .vcpu = ACCESS_NO_VCPU };
	uint8_t src[BYTES], *kept;

	for (unsigned int i = 0; i < len; i++)
		src[i] = (uint8_t)rnd(256);
	if (id < 0 || ((slots[id].flags & MEMSLOT_READONLY) && writer.agent != AGENT_LOADER))
		want = -EFAULT;
	memset(&heard, 0, sizeof(heard));
	CHECK(guest_write(&m, gpa((g << PAGE_SHIFT) + offset), src, len, &writer) == want);
	if (want) {
		CHECK(heard.events == 0);
		return;
	}
	kept = bytes[id][g - slots[id].base] + offset;
	CHECK(heard.events == (frames[g - FIRST].count[PAGE_TRACK_WRITE] ? 1 : 0));
	CHECK(heard.events == 0 || (heard.len == len && !memcmp(heard.old, kept, len)));
	memcpy(kept, src, len);
	if (slots[id].flags & MEMSLOT_LOG_DIRTY)
		frames[g - FIRST].dirty = true;
}

static void op_read(void)
{
	uint64_t g = any_gfn();
	uint8_t got[BYTES];
	int id = frames[g - FIRST].id;

	CHECK(guest_read(&m, gpa(g << PAGE_SHIFT), got, BYTES, NULL) == (id < 0 ? -EFAULT : 0));
	CHECK(id < 0 || !memcmp(got, bytes[id][g - slots[id].base], BYTES));
}

/* ---- the run ------------------------------------------------------------- */

static void compare_all(void)
{
	unsigned int exist = 0;

	for (uint64_t g = FIRST; g < FIRST + FRAMES; g++) {
		int id = frames[g - FIRST].id;
		struct memslot *slot = memslot_find(&m.slots, gfn(g));
		uint64_t at;

		CHECK((id < 0) == !slot);
		if (!slot)
			continue;
		at = g - slots[id].base;
		CHECK(slot->id == (uint32_t)id && slot->flags == slots[id].flags);
		for (unsigned int mode = 0; mode < PAGE_TRACK_MODES; mode++)
			CHECK(page_track_count(&slot->track, gfn(g), mode) == frames[g - FIRST].count[mode]);
		CHECK(!slot->dirty_bitmap == !(slot->flags & MEMSLOT_LOG_DIRTY));
		if (slot->dirty_bitmap)
			CHECK((slot->dirty_bitmap[at / 64] >> (at % 64) & 1) == frames[g - FIRST].dirty);
	}
	for (unsigned int id = 0; id < IDS; id++)
		exist += slots[id].exists;
	CHECK(m.slots.count == exist);
	for (unsigned int i = 1; i < m.slots.count; i++)
		CHECK(m.slots.slot[i - 1]->base_gfn.v + m.slots.slot[i - 1]->npages <=
		      m.slots.slot[i]->base_gfn.v);
}

static void one_op(void)
{
	uint64_t what = rnd(1000);

	if (what < 12)
		op_create();
	else if (what < 20)
		op_delete();
	else if (what < 30)
		op_move();
	else if (what < 45)
		op_flags();
	else if (what < 50)
		op_no_memory();
	else if (what < 200)
		op_lookup();
	else if (what < 550)
		op_track();
	else if (what < 850)
		op_write();
	else
		op_read();
}

static void random_operations_agree_with_a_flat_model(void **state)
{
	uint64_t n = number_from_environment("SPOOR_OPS", OPS);

	seed = number_from_environment("SPOOR_SEED", (uint64_t)time(NULL));
	rng = seed * 2654435761u + 1;
	print_message("SPOOR_SEED=%lu, %lu operations\n", seed, n);
	bare_mem_init(&m, &ops);
	assert_int_equal(page_tracker_register(&m.track, &tracker), 0);
	for (unsigned int id = 0; id < IDS; id++)
		ram[id] = mem_zalloc(SLOT_PAGES_MAX * PAGE_SIZE);
	for (unsigned int f = 0; f < FRAMES; f++)
		frames[f].id = -1;
	for (op_number = 0; op_number < n; op_number++) {
		one_op();
		if (op_number % 4096 == 0)
			compare_all();
	}
	compare_all();
	bare_mem_destroy(&m);
	for (unsigned int id = 0; id < IDS; id++)
		mem_free(ram[id], SLOT_PAGES_MAX * PAGE_SIZE);
	assert_int_equal(host_pages_used(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(random_operations_agree_with_a_flat_model) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
