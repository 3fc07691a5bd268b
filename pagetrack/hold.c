/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Holds, and the holders of a chunk: see hold.h.
 *
 * Making a hold moves those that come after it, and their bits in all 512
 * pages: that is paid once per tracker and chunk, if there are such, so that
 * finding the next holder of a page is a binary search and a bit scan.
 */
#include "pagetrack/hold.h"
#include <string.h>
#include "lib/alloc.h"
#include "lib/assert.h"
#include "pagetrack/chunk.h"

#define WORD_BITS 32u

/* One allocation: the arrays lie behind it. Of ids there may be many more than
 * holds, and the bits, which take the most, are there for the holds alone. */
struct page_holders {
	uint32_t n;        /* holds */
	uint32_t capacity; /* a multiple of 32, @n or more */
	uint32_t ids;      /* a multiple of 32, more than any id */
	uint32_t *bits;    /* [512][capacity / 32]: has hold[i] a count on the page? */
	uint16_t *place;   /* [ids], by id of the tracker: its place in hold[], from 1; 0: none */
	struct page_hold *hold[]; /* [capacity], ascending by key */
};

/* ---- memory -------------------------------------------------------------- */

#define HOLDERS_BYTES(capacity, ids) \
	(sizeof(struct page_holders) + (capacity) * sizeof(struct page_hold *) + (ids) * sizeof(uint16_t) + \
	 PAGE_TRACK_CHUNK_PAGES * ((capacity) / WORD_BITS) * sizeof(uint32_t))

_Static_assert(HOLDERS_BYTES(WORD_BITS, WORD_BITS) <= PAGE_SIZE, "holders of a chunk begin with one page");

static struct page_holders *holders_alloc(uint32_t capacity, uint32_t ids)
{
	struct page_holders *hs = mem_zalloc(HOLDERS_BYTES(capacity, ids));

	if (!hs)
		return NULL;
	hs->capacity = capacity;
	hs->ids = ids;
	hs->bits = (uint32_t *)(hs->hold + capacity);
	hs->place = (uint16_t *)(hs->bits + PAGE_TRACK_CHUNK_PAGES * (capacity / WORD_BITS));
	return hs;
}

static void holders_release(struct page_holders *hs)
{
	if (hs)
		mem_free(hs, HOLDERS_BYTES(hs->capacity, hs->ids));
}

void holders_free(struct page_holders *hs)
{
	ASSERT(!hs || hs->n == 0);
	holders_release(hs);
}

static uint32_t words(const struct page_holders *hs)
{
	return hs->capacity / WORD_BITS;
}

static uint32_t *page_bits(const struct page_holders *hs, unsigned int page)
{
	return hs->bits + page * words(hs);
}

static void holders_copy(struct page_holders *to, const struct page_holders *from)
{
	to->n = from->n;
	memcpy(to->hold, from->hold, from->n * sizeof(struct page_hold *));
	memcpy(to->place, from->place, from->ids * sizeof(from->place[0]));
	for (unsigned int page = 0; page < PAGE_TRACK_CHUNK_PAGES; page++)
		memcpy(page_bits(to, page), page_bits(from, page), words(from) * sizeof(uint32_t));
}

/* @old entries, or as many more as an array needs whose entry @last is in use. */
static uint32_t grown(uint32_t old, uint32_t last)
{
	return last < old ? old : (last / WORD_BITS + 1) * WORD_BITS;
}

/* Makes room in @chunk for one hold more, of a tracker with this @id. */
static bool holders_make_room(struct page_track_chunk *chunk, uint32_t id)
{
	struct page_holders *old = chunk->holders, *hs;
	uint32_t capacity = old ? grown(old->capacity, old->n) : WORD_BITS;
	uint32_t ids = grown(old ? old->ids : 0, id);

	if (old && capacity == old->capacity && ids == old->ids)
		return true;
	hs = holders_alloc(capacity, ids);
	if (!hs)
		return false;
	if (old)
		holders_copy(hs, old);
	chunk->holders = hs;
	holders_release(old);
	return true;
}

/* ---- places -------------------------------------------------------------- */

/* How many holds come before, or at, @key: the place of the first after it. */
static uint32_t place_after(const struct page_holders *hs, struct tracker_key key)
{
	uint32_t low = 0, high = hs->n;

	while (low < high) {
		uint32_t mid = (low + high) / 2;

		if (tracker_key_less(key, tracker_key(hs->hold[mid]->tracker)))
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

/* The bits of a word below @bit. */
static uint32_t below(uint32_t bit)
{
	return (1u << bit) - 1;
}

/* Bits from @at on move up by one; bit @at becomes 0. The topmost is 0: there is room. */
static void bits_open(uint32_t *bits, uint32_t n, uint32_t at)
{
	uint32_t first = at / WORD_BITS, low = below(at % WORD_BITS);

	for (uint32_t i = n - 1; i > first; i--)
		bits[i] = bits[i] << 1 | bits[i - 1] >> (WORD_BITS - 1);
	bits[first] = (bits[first] & low) | (bits[first] & ~low) << 1;
}

/* Bit @at goes, and those above it move down. */
static void bits_close(uint32_t *bits, uint32_t n, uint32_t at)
{
	uint32_t first = at / WORD_BITS, low = below(at % WORD_BITS);

	bits[first] = (bits[first] & low) | (bits[first] >> 1 & ~low);
	for (uint32_t i = first + 1; i < n; i++) {
		bits[i - 1] |= bits[i] << (WORD_BITS - 1);
		bits[i] >>= 1;
	}
}

/* Writes down where the holds from place @from on are. */
static void note_places(struct page_holders *hs, uint32_t from)
{
	for (uint32_t i = from; i < hs->n; i++)
		hs->place[hs->hold[i]->tracker->id] = (uint16_t)(i + 1);
}

static void holders_insert(struct page_holders *hs, struct page_hold *h)
{
	uint32_t at = place_after(hs, tracker_key(h->tracker));

	memmove(hs->hold + at + 1, hs->hold + at, (hs->n - at) * sizeof(struct page_hold *));
	hs->hold[at] = h;
	if (at < hs->n) /* else there are no bits from there on */
		for (unsigned int page = 0; page < PAGE_TRACK_CHUNK_PAGES; page++)
			bits_open(page_bits(hs, page), words(hs), at);
	hs->n++;
	note_places(hs, at);
}

static uint32_t place_of(const struct page_holders *hs, const struct page_tracker *t)
{
	return hs->place[t->id] - 1u;
}

static void set_bit(struct page_hold *h, unsigned int page, bool on)
{
	const struct page_holders *hs = h->chunk->holders;
	uint32_t at = place_of(hs, h->tracker), bit = 1u << at % WORD_BITS;
	uint32_t *word = page_bits(hs, page) + at / WORD_BITS;

	*word = on ? *word | bit : *word & ~bit;
}

static bool holds_page(const struct page_hold *h, unsigned int page)
{
	for (unsigned int mode = 0; mode < PAGE_TRACK_MODES; mode++)
		if (h->count[mode][page])
			return true;
	return false;
}

static void holders_remove(struct page_holders *hs, struct page_hold *h)
{
	uint32_t at = place_of(hs, h->tracker);

	if (h->used || at + 1 < hs->n) /* else there are no bits from there on */
		for (unsigned int page = 0; page < PAGE_TRACK_CHUNK_PAGES; page++)
			bits_close(page_bits(hs, page), words(hs), at);
	hs->place[h->tracker->id] = 0;
	hs->n--;
	memmove(hs->hold + at, hs->hold + at + 1, (hs->n - at) * sizeof(struct page_hold *));
	note_places(hs, at);
}

struct page_hold *holders_next(const struct page_holders *hs, unsigned int page, struct tracker_key key)
{
	const uint32_t *bits;
	uint32_t at, i, word;

	if (!hs)
		return NULL;
	at = place_after(hs, key);
	if (at == hs->n)
		return NULL;
	bits = page_bits(hs, page);
	i = at / WORD_BITS;
	word = bits[i] & ~below(at % WORD_BITS);
	while (!word && ++i < words(hs))
		word = bits[i];
	return word ? hs->hold[i * WORD_BITS + (uint32_t)__builtin_ctz(word)] : NULL;
}

struct page_hold *holders_at(const struct page_holders *hs, unsigned int i)
{
	return hs && i < hs->n ? hs->hold[i] : NULL;
}

struct page_hold *holders_last(const struct page_holders *hs)
{
	return hs && hs->n ? hs->hold[hs->n - 1] : NULL;
}

/* ---- holds --------------------------------------------------------------- */

struct page_hold *hold_find(const struct page_track_chunk *chunk, const struct page_tracker *t)
{
	const struct page_holders *hs = chunk ? chunk->holders : NULL;

	if (!hs || t->id >= hs->ids || hs->place[t->id] == 0)
		return NULL;
	return hs->hold[place_of(hs, t)];
}

struct page_hold *hold_make(struct page_track_chunk *chunk, gfn_t first, struct page_tracker *t)
{
	struct page_hold *h = hold_find(chunk, t);

	if (h)
		return h;
	if (!holders_make_room(chunk, t->id))
		return NULL;
	h = mem_zalloc(sizeof(*h));
	if (!h)
		return NULL;
	h->tracker = t;
	h->first = first;
	h->chunk = chunk;
	holders_insert(chunk->holders, h);
	LIST_INSERT_HEAD(&t->holds, h, link);
	return h;
}

void hold_add(struct page_hold *h, unsigned int page, enum page_track_mode mode, unsigned int n)
{
	uint16_t *c = &h->count[mode][page];

	ASSERT(n <= PAGE_TRACK_COUNT_MAX - (unsigned int)*c);
	h->used += *c == 0 && n > 0;
	*c = (uint16_t)(*c + n);
	if (h->chunk && n > 0)
		set_bit(h, page, true);
}

void hold_sub(struct page_hold *h, unsigned int page, enum page_track_mode mode, unsigned int n)
{
	uint16_t *c = &h->count[mode][page];

	ASSERT(n <= *c);
	h->used -= *c == n && n > 0;
	*c = (uint16_t)(*c - n);
	if (h->chunk && !holds_page(h, page))
		set_bit(h, page, false);
}

void hold_unlink(struct page_hold *h)
{
	if (h->chunk)
		holders_remove(h->chunk->holders, h);
	h->chunk = NULL;
	LIST_REMOVE(h, link);
}

void hold_free(struct page_hold *h)
{
	mem_free(h, sizeof(*h));
}

void hold_tidy(struct page_hold *h)
{
	if (h->used)
		return;
	hold_unlink(h);
	hold_free(h);
}
