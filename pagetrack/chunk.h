/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Chunks of counters, for this folder alone: finding one, making one, and
 * changing a counter in it.
 *
 * A chunk is aligned by gfn, not by the start of its slot, so that it is the
 * 2 MiB that a large mapping covers. Two slots that share such a range have a
 * chunk each for it.
 *
 * Lock: none needed. A chunk is published when it is complete and stays as
 * long as its slot; counters change atomically.
 */
#ifndef PAGETRACK_CHUNK_H
#define PAGETRACK_CHUNK_H

#include "pagetrack/page_track.h"

#define CHUNK_SHIFT 9

_Static_assert(1u << CHUNK_SHIFT == PAGE_TRACK_CHUNK_PAGES, "a chunk has 512 pages");

/* Which page of its chunk is @gfn, and which is the first? */
static inline unsigned int chunk_page(gfn_t gfn)
{
	return gfn.v % PAGE_TRACK_CHUNK_PAGES;
}

static inline gfn_t chunk_first(gfn_t gfn)
{
	return (gfn_t){ gfn.v - chunk_page(gfn) };
}

static inline bool slot_has(const struct page_track_slot *slot, gfn_t gfn)
{
	return gfn.v - slot->base_gfn.v < slot->npages;
}

/* The chunk around @gfn, NULL if it is not made. @gfn is of the slot. */
struct page_track_chunk *chunk_at(const struct page_track_slot *slot, gfn_t gfn);

/* The same, made if need be. NULL: no memory. */
struct page_track_chunk *chunk_make(struct page_track_slot *slot, gfn_t gfn);

static inline unsigned int chunk_count(const struct page_track_chunk *chunk, unsigned int page,
				       enum page_track_mode mode)
{
	return __atomic_load_n(&chunk->gfn_track[mode][page], __ATOMIC_RELAXED);
}

/* @n counts more, or fewer. -EOVERFLOW, -ENOENT: so many are not free, or there; nothing has changed. */
must_check int chunk_add(struct page_track_chunk *chunk, unsigned int page, enum page_track_mode mode,
			 unsigned int n);
must_check int chunk_sub(struct page_track_chunk *chunk, unsigned int page, enum page_track_mode mode,
			 unsigned int n);

#endif
