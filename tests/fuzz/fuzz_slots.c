// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory slots: the input is a program of changes, 12 bytes each. After each
 * one the slots are looked at from outside: in order, apart, whole, and found
 * by every address at their edges; a change that failed has changed nothing.
 */
#include <stdlib.h>
#include <string.h>
#include "lib/errno.h"
#include "mm/memslot.h"
#include "tests/host/port_host.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz_op {
	uint8_t what, id, flags, high; /* high: bits of the base beyond 2^32 */
	uint32_t base;
	uint16_t npages;
	uint8_t fail, bits;
} PACKED;

static struct memslots s;
static struct page_track pt;

static void require(bool cond)
{
	if (!cond)
		abort();
}

static void check_slot(const struct memslot *slot)
{
	uint64_t first = slot->base_gfn.v, last = first + slot->npages - 1;

	require(slot->npages > 0 && last >= first && last < 1ull << 40);
	require(memslot_find(&s, gfn(first)) == slot && memslot_find(&s, gfn(last)) == slot);
	require(memslot_find_id(&s, slot->id) == slot);
	require(memslot_pfn(slot, gfn(last)).v == slot->base_pfn.v + slot->npages - 1);
	require(!slot->dirty_bitmap == !(slot->flags & MEMSLOT_LOG_DIRTY));
	/* All arrays reach from the first page to the last. */
	for (unsigned int mode = 0; mode < PAGE_TRACK_MODES; mode++)
		require(page_track_count(&slot->track, gfn(last), (enum page_track_mode)mode) ==
			(mode == PAGE_TRACK_EXEC && slot->npages == 1));
	for (int level = 1; level <= MAPPING_LEVEL_MAX; level++)
		require(slot->rmap[level - 1][memslot_index(slot, gfn(last), level)].val == 0);
	require(slot->no_large[memslot_index(slot, gfn(last), PG_LEVEL_2M)] <= 1);
}

static void check_slots(void)
{
	for (unsigned int i = 0; i < s.count; i++) {
		check_slot(s.slot[i]);
		if (i == 0)
			continue;
		require(s.slot[i - 1]->base_gfn.v + s.slot[i - 1]->npages <= s.slot[i]->base_gfn.v);
		if (s.slot[i - 1]->base_gfn.v + s.slot[i - 1]->npages < s.slot[i]->base_gfn.v)
			require(!memslot_find(&s, gfn(s.slot[i]->base_gfn.v - 1)));
	}
}

/* A count that shows whether a slot's arrays are its own. */
static void mark(uint32_t id)
{
	struct memslot *slot = memslot_find_id(&s, id);

	if (slot && slot->npages == 1)
		require(page_track_count_add(&pt, &slot->track, slot->base_gfn, PAGE_TRACK_EXEC) == 0);
}

/* With counters that begin at zero. */
static int move(uint32_t id, gfn_t base)
{
	struct memslot moved;
	int err = memslot_move_prepare(&s, id, base, &moved);

	if (err)
		return err;
	err = page_track_slot_init(&moved.track, moved.base_gfn, moved.npages);
	if (err)
		memslot_move_undo(&moved);
	else
		memslot_move_commit(&s, memslot_find_id(&s, id), &moved);
	return err;
}

static void run(const struct fuzz_op *op)
{
	struct memslot_desc d = { .id = op->id % 16, .flags = op->flags & 7, .npages = op->npages % 2048 };
	struct memslots before = s;
	size_t pages = host_pages_used();
	int err;

	d.base_gfn = gfn(op->base & (op->bits & 1 ? ~0u : 0x1fff));
	if (op->bits & 2)
		d.base_gfn.v |= (uint64_t)op->high << 32;
	if (op->bits & 4)
		d.base_gfn.v = (1ull << 40) - d.base_gfn.v;
	d.base_pfn = pfn(d.base_gfn.v ^ (op->bits & 8)); /* aligned alike, or not */
	if (op->bits & 0x10)
		host_fail_allocation(op->fail % 9);
	switch (op->what % 4) {
	case 0: err = memslot_create(&s, &d); break;
	case 1: err = memslot_delete(&s, d.id); break;
	case 2: err = move(d.id, d.base_gfn); break;
	default: err = memslot_set_flags(&s, d.id, d.flags); break;
	}
	host_fail_allocation(-1);
	if (!err && op->what % 2 == 0)
		mark(d.id);
	require(err == 0 || err == -EINVAL || err == -EEXIST || err == -ENOENT || err == -ENOMEM);
	if (err) {
		before.last_hit = s.last_hit;
		require(memcmp(&before, &s, sizeof(s)) == 0 && host_pages_used() == pages);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_op op;

	for (; size >= sizeof(op); data += sizeof(op), size -= sizeof(op)) {
		memcpy(&op, data, sizeof(op));
		run(&op);
		check_slots();
	}
	memslots_destroy(&s);
	require(host_pages_used() == 0);
	return 0;
}
