/* SPDX-License-Identifier: GPL-2.0-only */
/* See the header. */
#include "tests/host/bare_mem.h"
#include <string.h>
#include "lib/assert.h"
#include "lib/errno.h"

struct page_track_slot *bare_slot_of(void *m, gfn_t gfn)
{
	struct memslot *slot = memslot_find(&((struct guest_mem *)m)->slots, gfn);

	return slot ? &slot->track : NULL;
}

static bool protect(void *m, gfn_t gfn, enum page_track_mode mode) { return false; }
static void unprotect(void *m, gfn_t gfn, enum page_track_mode mode) { }
static void flush(void *m) { }

static const struct page_track_mmu_ops nothing_to_do = {
	.slot_of = bare_slot_of, .protect = protect, .unprotect = unprotect, .flush = flush,
};

void bare_mem_init(struct guest_mem *m, const struct page_track_mmu_ops *ops)
{
	memset(m, 0, sizeof(*m));
	page_track_init(&m->track, ops ? ops : &nothing_to_do, m);
}

void bare_mem_destroy(struct guest_mem *m)
{
	for (unsigned int i = 0; i < m->slots.count; i++)
		page_track_slot_detach(&m->track, &m->slots.slot[i]->track);
	memslots_destroy(&m->slots);
	page_track_destroy(&m->track);
}

int bare_slot_create(struct guest_mem *m, const struct memslot_desc *d)
{
	int err = memslot_create(&m->slots, d);

	if (err)
		return err;
	err = page_track_slot_attach(&m->track, &memslot_find_id(&m->slots, d->id)->track);
	if (err)
		ASSERT(memslot_delete(&m->slots, d->id) == 0);
	return err;
}

int bare_slot_delete(struct guest_mem *m, uint32_t id)
{
	struct memslot *slot = memslot_find_id(&m->slots, id);

	if (!slot)
		return -ENOENT;
	page_track_slot_detach(&m->track, &slot->track);
	return memslot_delete(&m->slots, id);
}

int bare_slot_move(struct guest_mem *m, uint32_t id, gfn_t base)
{
	struct memslot *slot = memslot_find_id(&m->slots, id), moved;
	int err = memslot_move_prepare(&m->slots, id, base, &moved);

	if (err)
		return err;
	err = page_track_slot_move_prepare(&m->track, &slot->track, base, &moved.track);
	if (err) {
		memslot_move_undo(&moved);
		return err;
	}
	page_track_slot_detach(&m->track, &slot->track);
	memslot_move_commit(&m->slots, slot, &moved);
	ASSERT(page_track_slot_attach(&m->track, &slot->track) == 0);
	return 0;
}
