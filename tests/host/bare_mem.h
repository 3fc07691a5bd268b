/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Guest memory with slots and page tracking and no shadow MMU: for tests of the
 * door and of walks. Slots come and go as mm/mmu.c does it.
 */
#ifndef TESTS_HOST_BARE_MEM_H
#define TESTS_HOST_BARE_MEM_H

#include "mm/guest_mem.h"

/* @ops NULL: an MMU that has nothing to do. Otherwise .slot_of must be
 * bare_slot_of(), and what they are given is @m. */
void bare_mem_init(struct guest_mem *m, const struct page_track_mmu_ops *ops);
/* Trackers that are left are destroyed. */
void bare_mem_destroy(struct guest_mem *m);

struct page_track_slot *bare_slot_of(void *m, gfn_t gfn);

int bare_slot_create(struct guest_mem *m, const struct memslot_desc *d);
int bare_slot_delete(struct guest_mem *m, uint32_t id);
int bare_slot_move(struct guest_mem *m, uint32_t id, gfn_t base);

#endif
