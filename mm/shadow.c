/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The pool of shadow pages: their life from free to active to zapped and back,
 * the hash that finds them, and reclaim. Nothing here recurses: a zapped page
 * drops its own entries and its parents' links to it, no other page.
 *
 * Lock: mmu.lock.
 */
#include "mm/shadow.h"
#include "lib/alloc.h"
#include "lib/assert.h"
#include "lib/errno.h"
#include "mm/mmu.h"
#include "mm/port.h"

/* ---- the pool -------------------------------------------------------------- */

static size_t hash_bytes(const struct shadow_pool *pool)
{
	return sizeof(pool->hash[0]) << pool->hash_bits;
}

static size_t entries(const struct shadow_pool *pool)
{
	return (size_t)pool->total * SPTES_PER_PAGE;
}

static void fill_free_list(struct shadow_pool *pool)
{
	for (size_t i = 0; i < entries(pool); i++)
		pool->tables[i] = spte_not_shadowed();
	for (uint32_t i = 0; i < pool->total; i++)
		TAILQ_INSERT_TAIL(&pool->free, &pool->pages[i], list);
	pool->free_count = pool->total;
}

int shadow_pool_init(struct shadow_pool *pool, uint32_t pages, uint64_t hash_key)
{
	*pool = (struct shadow_pool){ .total = pages, .hash_key = hash_key };
	TAILQ_INIT(&pool->free);
	TAILQ_INIT(&pool->active);
	TAILQ_INIT(&pool->zapped);
	while ((1u << pool->hash_bits) < pages)
		pool->hash_bits++;
	pool->pages = mem_zalloc(pages * sizeof(pool->pages[0]));
	pool->tables = mem_zalloc(entries(pool) * sizeof(pool->tables[0]));
	pool->links = mem_zalloc(entries(pool) * sizeof(pool->links[0]));
	pool->hash = mem_zalloc(hash_bytes(pool));
	if (!pool->pages || !pool->tables || !pool->links || !pool->hash) {
		shadow_pool_destroy(pool);
		return -ENOMEM;
	}
	pool->tables_hpa = port_va_to_hpa(pool->tables);
	fill_free_list(pool);
	return 0;
}

void shadow_pool_destroy(struct shadow_pool *pool)
{
	ASSERT(pool->active_count == 0 && pool->zapped_count == 0);
	mem_free(pool->pages, pool->total * sizeof(pool->pages[0]));
	mem_free(pool->tables, entries(pool) * sizeof(pool->tables[0]));
	mem_free(pool->links, entries(pool) * sizeof(pool->links[0]));
	mem_free(pool->hash, hash_bytes(pool));
	*pool = (struct shadow_pool){ 0 };
}

/* ---- the hash -------------------------------------------------------------- */

/*
 * By gfn alone: a write to a guest table must find its shadow pages of all
 * roles. Multiply-shift with a secret key and factor, so that a guest cannot
 * choose gfns that fall into one bucket.
 */
struct shadow_bucket *shadow_bucket_of(const struct shadow_pool *pool, gfn_t gfn)
{
	uint64_t factor = 0x9e3779b97f4a7c15ull ^ (pool->hash_key << 1);
	uint64_t h = (gfn.v ^ (pool->hash_key >> 32)) * factor;

	return &pool->hash[pool->hash_bits ? h >> (64 - pool->hash_bits) : 0];
}

static struct shadow_page *find(const struct shadow_pool *pool, gfn_t gfn, union shadow_page_role role)
{
	struct shadow_page *sp;

	LIST_FOREACH(sp, shadow_bucket_of(pool, gfn), hash)
		if (sp->gfn.v == gfn.v && sp->role.word == role.word)
			return sp;
	return NULL;
}

unsigned int shadow_count(const struct shadow_pool *pool, gfn_t gfn)
{
	const struct shadow_page *sp;
	unsigned int n = 0;

	LIST_FOREACH(sp, shadow_bucket_of(pool, gfn), hash)
		n += sp->gfn.v == gfn.v && !sp->role.direct;
	return n;
}

static void flush_owed(struct mmu *mmu)
{
	if (!mmu->pool.flush_owed)
		return;
	mmu->pool.flush_owed = false;
	mmu->stats.flushes++;
	mmu->host.flush(mmu->host.ctx);
}

/* ---- get ------------------------------------------------------------------- */

/* Keeps the guest table at @gfn as it is: from here on writes to it trap. */
static int hold_table(struct mmu *mmu, gfn_t gfn)
{
	struct memslot *slot = memslot_find(&mmu->mem.slots, gfn);

	if (!slot)
		return -EFAULT;
	if (page_track_count_add(&mmu->mem.track, &slot->track, gfn, PAGE_TRACK_WRITE))
		return -EOVERFLOW;
	rmap_take_rights(mmu, slot, gfn, ACCESS_WRITE);
	return 0;
}

static void release_table(struct mmu *mmu, gfn_t gfn)
{
	struct memslot *slot = memslot_find(&mmu->mem.slots, gfn);
	int err;

	ASSERT(slot); /* a slot's shadow pages go before it */
	err = page_track_count_sub(&slot->track, gfn, PAGE_TRACK_WRITE);
	ASSERT(!err); /* nobody else can remove our counts */
}

static struct shadow_page *take_free(struct shadow_pool *pool, gfn_t gfn, union shadow_page_role role)
{
	struct shadow_page *sp = TAILQ_FIRST(&pool->free);

	ASSERT(sp); /* shadow_reserve() came first */
	TAILQ_REMOVE(&pool->free, sp, list);
	pool->free_count--;
	sp->gfn = gfn;
	sp->role = role;
	sp->state = SHADOW_ACTIVE;
	sp->writes = 0;
	LIST_INSERT_HEAD(shadow_bucket_of(pool, gfn), sp, hash);
	TAILQ_INSERT_TAIL(&pool->active, sp, list);
	pool->active_count++;
	return sp;
}

struct shadow_page *shadow_get(struct mmu *mmu, gfn_t gfn, union shadow_page_role role)
{
	struct shadow_page *sp = find(&mmu->pool, gfn, role);

	if (sp)
		return sp;
	if (!role.direct) {
		if (hold_table(mmu, gfn))
			return NULL;
		/* Another CPU must not write through an old translation after
		 * the caller has read the table. */
		flush_owed(mmu);
	}
	return take_free(&mmu->pool, gfn, role);
}

void shadow_touch(struct shadow_pool *pool, struct shadow_page *sp)
{
	sp->writes = 0;
	TAILQ_REMOVE(&pool->active, sp, list);
	TAILQ_INSERT_TAIL(&pool->active, sp, list);
}

/* ---- zap ------------------------------------------------------------------- */

static void drop_entries(struct mmu *mmu, struct shadow_page *sp)
{
	uint64_t *table = shadow_table(&mmu->pool, sp);

	for (unsigned int w = 0; w < ARRAY_SIZE(sp->used); w++)
		while (sp->used[w])
			spte_drop(mmu, &table[w * 64 + (unsigned int)__builtin_ctzll(sp->used[w])]);
}

void shadow_zap(struct mmu *mmu, struct shadow_page *sp)
{
	struct shadow_pool *pool = &mmu->pool;

	ASSERT(sp->state == SHADOW_ACTIVE && sp->pins == 0);
	while (!rmap_empty(&sp->parents))
		spte_drop(mmu, rmap_first(pool, &sp->parents));
	drop_entries(mmu, sp);
	if (!sp->role.direct)
		release_table(mmu, sp->gfn);
	LIST_REMOVE(sp, hash);
	TAILQ_REMOVE(&pool->active, sp, list);
	pool->active_count--;
	sp->state = SHADOW_ZAPPED;
	TAILQ_INSERT_TAIL(&pool->zapped, sp, list);
	pool->zapped_count++;
	pool->flush_owed = true;
	mmu->stats.zapped++;
}

void shadow_commit(struct mmu *mmu)
{
	struct shadow_pool *pool = &mmu->pool;
	struct shadow_page *sp;

	flush_owed(mmu);
	while ((sp = TAILQ_FIRST(&pool->zapped)) != NULL) {
		TAILQ_REMOVE(&pool->zapped, sp, list);
		pool->zapped_count--;
		sp->state = SHADOW_FREE;
		TAILQ_INSERT_TAIL(&pool->free, sp, list);
		pool->free_count++;
	}
}

int shadow_reserve(struct mmu *mmu, uint32_t n)
{
	struct shadow_pool *pool = &mmu->pool;
	struct shadow_page *sp, *next;
	uint32_t want = n + pool->total / 32; /* one flush for many */

	if (page_track_reserve(&mmu->mem.track, n))
		return -ENOMEM;
	if (pool->free_count >= n)
		return 0;
	for (sp = TAILQ_FIRST(&pool->active); sp && pool->free_count + pool->zapped_count < want; sp = next) {
		next = TAILQ_NEXT(sp, list); /* a zap takes no other page off the list */
		if (sp->pins)
			continue;
		shadow_zap(mmu, sp);
		mmu->stats.reclaimed++;
	}
	shadow_commit(mmu);
	return pool->free_count >= n ? 0 : -ENOMEM;
}

void shadow_zap_split(struct mmu *mmu, gfn_t g)
{
	gfn_t base = gfn(g.v & ~(LEVEL_PAGES(PG_LEVEL_2M) - 1));
	struct shadow_page *sp, *next;

	for (sp = LIST_FIRST(shadow_bucket_of(&mmu->pool, base)); sp; sp = next) {
		next = LIST_NEXT(sp, hash);
		if (sp->gfn.v == base.v && sp->role.direct && sp->role.level == PG_LEVEL_4K)
			shadow_zap(mmu, sp);
	}
}
