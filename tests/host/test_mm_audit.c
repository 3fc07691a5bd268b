/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The audit itself: every invariant is broken by hand, which must be noticed; then
 * it is mended, and all must be well. What proves others has to be able to fail.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "mm/port.h"
#include "pagetrack/hold.h"
#include "tests/host/mm_fixture.h"
#include "tests/host/others.h"

#define LA 0x5000ull            /* maps PAGE as 4 KiB */
#define LA_LARGE (1ull << 30)   /* maps 2 MiB at gfn 512 */
#define LA_SPLIT (2ull << 30)   /* maps 2 MiB at gfn 1024, in which a page is tracked */
#define LA_CLEAN 0x6000ull      /* maps PAGE + 1, never written */
#define PAGE 30ull

static struct fixture fx;

static int setup(void **state)
{
	fx_open(&fx, 2048, 64);
	fx_long_mode(&fx);
	fx_map(&fx, LA, 1, PAGE << 12 | G_ALL);
	fx_map(&fx, LA_CLEAN, 1, (PAGE + 1) << 12 | G_P | G_W | G_U | G_A);
	fx_map(&fx, LA_LARGE, 2, 512ull << 12 | G_ALL | G_PS);
	fx_map(&fx, LA_SPLIT, 2, 1024ull << 12 | G_ALL | G_PS);
	assert_int_equal(others_add(&fx.mmu, gfn(1024 + 100), PAGE_TRACK_WRITE), 0);
	assert_int_equal(fx_touch(&fx, LA, PFERR_WRITE, NULL), FAULT_FIXED);
	assert_int_equal(fx_touch(&fx, LA_CLEAN, 0, NULL), FAULT_FIXED);
	assert_int_equal(fx_touch(&fx, LA_LARGE, PFERR_WRITE, NULL), FAULT_FIXED);
	assert_int_equal(fx_touch(&fx, LA_SPLIT, PFERR_WRITE, NULL), FAULT_FIXED);
	assert_audit(&fx);
	return 0;
}

static int teardown(void **state)
{
	assert_int_equal(others_remove(&fx.mmu, gfn(1024 + 100), PAGE_TRACK_WRITE), 0);
	fx_close(&fx);
	return 0;
}

/* The spte for @addr at @level. */
static uint64_t *sptep_at(uint64_t addr, int level)
{
	uint64_t *table = port_hpa_to_va(fx.v.hw_cr3);

	for (int l = 4; ; l--) {
		uint64_t *sptep = &table[spte_index(gva(addr), l)];

		if (l == level)
			return sptep;
		table = port_hpa_to_va(hpa(*sptep & SPTE_FRAME_MASK));
	}
}

static struct shadow_page *sp_at(uint64_t addr, int level)
{
	return shadow_of_sptep(&fx.mmu.pool, sptep_at(addr, level));
}

static struct memslot *slot0(void) { return fx.mmu.mem.slots.slot[0]; }

/* The counter of a page in a chunk that is there. */
static uint16_t *counter_at(uint64_t g, enum page_track_mode mode)
{
	return &slot0()->track.chunk[g / PAGE_TRACK_CHUNK_PAGES]->gfn_track[mode][g % PAGE_TRACK_CHUNK_PAGES];
}

/* *@p with the bits of @flip changed is a violation; as it was it is none. */
static void noticed_64(uint64_t *p, uint64_t flip)
{
	*p ^= flip;
	assert_true(mmu_audit(&fx.mmu) > 0);
	*p ^= flip;
	assert_audit(&fx);
}

static void noticed_32(uint32_t *p, uint32_t flip)
{
	*p ^= flip;
	assert_true(mmu_audit(&fx.mmu) > 0);
	*p ^= flip;
	assert_audit(&fx);
}

static void i1_lists_and_entries(void **state)
{
	struct shadow_pool *pool = &fx.mmu.pool;
	struct rmap_head *head = &slot0()->rmap[0][PAGE];
	struct rmap_head *large = &slot0()->rmap[1][memslot_index(slot0(), gfn(512), PG_LEVEL_2M)];
	struct rmap_head *parents = &sp_at(LA, 1)->parents;
	struct rmap_head kept;

	noticed_64(&head->val, head->val);               /* a leaf is on no list */
	noticed_64(&parents->val, parents->val);         /* a link is on none */
	noticed_32(&pool->links[head->val - 1].prev, 5); /* the way back is wrong */
	kept = *large;
	*large = *head; /* a list has an entry of another level */
	assert_true(mmu_audit(&fx.mmu) > 0);
	*large = kept;
	kept = slot0()->rmap[0][PAGE + 2];
	slot0()->rmap[0][PAGE + 2] = *head; /* and one of another frame */
	assert_true(mmu_audit(&fx.mmu) > 0);
	slot0()->rmap[0][PAGE + 2] = kept;
	kept = *parents;
	parents->val = sp_at(LA, 2)->parents.val; /* a parent of another page */
	assert_true(mmu_audit(&fx.mmu) > 0);
	*parents = kept;
	/* A list that is a ring does not hold the audit for ever. */
	pool->links[head->val - 1].next = (uint32_t)head->val;
	assert_true(mmu_audit(&fx.mmu) > 0);
	pool->links[head->val - 1].next = 0;
	assert_audit(&fx);
}

static void i2_frames(void **state)
{
	noticed_64(sptep_at(LA, 1), 1ull << 12);          /* another frame of the slot */
	noticed_64(sptep_at(LA, 1), 1ull << 45);          /* one of no slot */
	noticed_64(sptep_at(LA_SPLIT, 1), 1ull << 12);    /* of a direct page */
	noticed_64(sptep_at(LA_LARGE, 2), 1ull << 12);    /* a large one that is not aligned */
}

static void i3_rights(void **state)
{
	uint64_t *tracked = sptep_at(LA_SPLIT + (100 << 12), 1);
	uint64_t *clean = sptep_at(LA_CLEAN, 1);
	uint16_t *count = counter_at(PAGE, PAGE_TRACK_WRITE);

	assert_int_equal(fx_touch(&fx, LA_SPLIT + (100 << 12), 0, NULL), FAULT_FIXED);
	noticed_64(tracked, SPTE_WRITE | SPTE_DIRTY);       /* lets a tracked write through */
	noticed_64(clean, SPTE_WRITE | SPTE_DIRTY);         /* a write that leaves D clear */
	noticed_64(sptep_at(LA, 1), SPTE_DIRTY);            /* the CPU would have D to set */
	noticed_64(sptep_at(LA, 1), SPTE_ACCESSED);
	noticed_64(sptep_at(LA, 1), 1ull << 8);             /* global */
	noticed_64(sptep_at(LA, 1), 1ull << 55);            /* reserved with PAE */
	noticed_64(sptep_at(LA, 1), SPTE_OPENED);           /* for no step */
	noticed_64(sptep_at(LA_LARGE, 2), SPTE_LARGE);
	noticed_64(sptep_at(LA, 1), SPTE_LARGE);
	*count += 1; /* tracked, behind everyone's back */
	assert_true(mmu_audit(&fx.mmu) > 0);
	*count -= 1;
	slot0()->flags = MEMSLOT_READONLY; /* and read-only */
	assert_true(mmu_audit(&fx.mmu) > 0);
	slot0()->flags = 0;
	assert_audit(&fx);
}

/* What the guest's path gives, entry by entry. */
static void i3_rights_of_the_path(void **state)
{
	for (unsigned int bit = 1; bit <= 2; bit++) { /* W, then U of the guest's PTE vanish unseen */
		uint64_t *gpte = port_hpa_to_va(pfn_to_hpa(pfn_add(fx.base_pfn, 4)));
		unsigned int i = spte_index(gva(LA), 1);

		assert_int_equal(gpte[i], PAGE << 12 | G_ALL);
		noticed_64(&gpte[i], 1ull << bit);
		noticed_64(&gpte[i], G_NX);
		noticed_64(&gpte[i], G_D);
		noticed_64(&gpte[i], G_A);
		noticed_64(&gpte[i], G_P);
	}
	noticed_32(&sp_at(LA, 1)->role.word, 1u << 6); /* the access that the path gives */
	noticed_32(&sp_at(LA, 1)->role.word, 1u << 7);
}

static void i4_counters(void **state)
{
	struct page_track_chunk *chunk = slot0()->track.chunk[2];
	struct page_hold *hold = LIST_FIRST(&others.holds);
	uint16_t *tables = counter_at(FX_ROOT, PAGE_TRACK_WRITE);
	uint16_t *nobodys = counter_at(1500, PAGE_TRACK_EXEC);

	*tables -= 1;
	assert_true(mmu_audit(&fx.mmu) > 0);
	*tables += 1;
	*nobodys += 1;
	assert_true(mmu_audit(&fx.mmu) > 0);
	*nobodys -= 1;
	hold->count[PAGE_TRACK_WRITE][100] += 1; /* a tracker has more than was counted */
	assert_true(mmu_audit(&fx.mmu) > 0);
	hold->count[PAGE_TRACK_WRITE][100] -= 1;
	noticed_32(&chunk->active, 1); /* a range in which a page is tracked says that none is */
	slot0()->no_large[0] ^= 1;
	assert_true(mmu_audit(&fx.mmu) > 0);
	slot0()->no_large[0] ^= 1;
	slot0()->no_large[3] ^= 1;
	assert_true(mmu_audit(&fx.mmu) > 0);
	slot0()->no_large[3] ^= 1;
	assert_audit(&fx);
}

static void i5_links(void **state)
{
	uint64_t *link = sptep_at(LA, 2);

	noticed_64(link, SPTE_WRITE); /* links give all rights */
	noticed_64(link, 1ull << 12); /* the next page of the pool */
	noticed_64(link, 1ull << 40); /* outside the pool */
	noticed_64(&sp_at(LA, 1)->gfn.v, 1);
	noticed_32(&sp_at(LA, 1)->role.word, 1 ^ 2); /* the level */
	for (unsigned int bit = 3; bit < 15; bit++) {
		noticed_32(&sp_at(LA, 1)->role.word, 1u << bit);
		noticed_32(&sp_at(LA_SPLIT, 1)->role.word, 1u << bit);
	}
}

static void i6_states_and_roots(void **state)
{
	struct shadow_page *sp = sp_at(LA, 1), *free = TAILQ_FIRST(&fx.mmu.pool.free);

	sp->state = SHADOW_FREE;
	assert_true(mmu_audit(&fx.mmu) > 0);
	sp->state = SHADOW_ACTIVE;
	noticed_32(&sp->pins, 1);
	noticed_32(&fx.v.root.sp[0]->pins, 1);
	noticed_32(&free->pins, 1);
	noticed_64(&free->parents.val, 3);
	noticed_64(&free->used[3], 8);
	noticed_64(&fx.v.root.page[2], 1);
	noticed_64(&fx.v.hw_cr3.v, 1 << 12);
	LIST_REMOVE(sp, hash);
	assert_true(mmu_audit(&fx.mmu) > 0);
	LIST_INSERT_HEAD(shadow_bucket_of(&fx.mmu.pool, sp->gfn), sp, hash);
	assert_audit(&fx);
}

static void i7_the_pool(void **state)
{
	struct shadow_pool *pool = &fx.mmu.pool;
	struct shadow_page *sp = TAILQ_FIRST(&pool->free);

	noticed_32(&pool->free_count, 1);
	noticed_32(&pool->active_count, 1);
	noticed_32(&pool->zapped_count, 1);
	noticed_32(&pool->total, 128);
	TAILQ_REMOVE(&pool->free, sp, list);
	assert_true(mmu_audit(&fx.mmu) > 0);
	TAILQ_INSERT_HEAD(&pool->active, sp, list);
	assert_true(mmu_audit(&fx.mmu) > 0);
	TAILQ_REMOVE(&pool->active, sp, list);
	TAILQ_INSERT_HEAD(&pool->free, sp, list);
	assert_audit(&fx);
}

static void i8_entries_that_are_not_present(void **state)
{
	struct shadow_page *free = TAILQ_FIRST(&fx.mmu.pool.free);
	uint64_t *absent = sptep_at(LA + 0x3000, 1);

	assert_int_equal(*absent, spte_not_shadowed());
	noticed_64(absent, *absent ^ (fx.base_pfn.v << 12)); /* names RAM */
	noticed_64(absent, *absent);
	noticed_64(shadow_table(&fx.mmu.pool, free), 1ull << 12);
	noticed_64(&sp_at(LA, 1)->used[0], 1ull << 60);
	noticed_64(&sp_at(LA, 1)->used[0], 1ull << spte_index(gva(LA), 1));
	/* "The guest has none" where it has one. */
	sp_at(LA, 1)->used[0] |= 1ull << 8;
	fx_map(&fx, LA + 0x3000, 1, (PAGE + 3) << 12 | G_ALL);
	spte_set(&fx.mmu, absent, spte_guest_not_present());
	assert_true(mmu_audit(&fx.mmu) > 0);
	spte_drop(&fx.mmu, absent);
	assert_audit(&fx);
}

static void i9_a_flush_that_is_owed(void **state)
{
	fx.mmu.pool.flush_owed = true;
	assert_true(mmu_audit(&fx.mmu) > 0);
	fx.mmu.pool.flush_owed = false;
	assert_audit(&fx);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(i1_lists_and_entries),
		T(i2_frames),
		T(i3_rights),
		T(i3_rights_of_the_path),
		T(i4_counters),
		T(i5_links),
		T(i6_states_and_roots),
		T(i7_the_pool),
		T(i8_entries_that_are_not_present),
		T(i9_a_flush_that_is_owed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
