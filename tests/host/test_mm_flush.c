/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is owed to the TLBs: every right that is taken away, before anyone is
 * told that it is. Machines that flush on each VM entry never show a flush
 * that is missing; these tests do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "lib/errno.h"
#include "mm/port.h"
#include "tests/host/mm_fixture.h"
#include "tests/host/others.h"

#define MB2 (2ull << 20)
#define LME (EFER_LME | EFER_LMA | EFER_NXE)

/* ---- one entry -------------------------------------------------------------- */

/* Is there an access that a TLB with @old lets through and @new does not, in
 * some state of SMEP and SMAP? */
static bool old_gives_more(struct mmu_vcpu *v, uint64_t old, uint64_t new)
{
	static const uint32_t kinds[] = { 0, PFERR_WRITE, PFERR_FETCH, PFERR_USER, PFERR_USER | PFERR_WRITE,
					  PFERR_USER | PFERR_FETCH };
	const struct cpu_translation before = { .write = old & SPTE_WRITE, .user = old & SPTE_USER,
						.exec = !(old & SPTE_NX) };
	const struct cpu_translation after = { .write = new & SPTE_WRITE, .user = new & SPTE_USER,
					       .exec = !(new & SPTE_NX) };

	for (unsigned int i = 0; i < 6 * 2 * 4; i++) {
		struct model_access a = { .error_code = kinds[i % 6], .ac = i / 6 & 1 };

		v->paging.cr0 = X86_CR0_PG | X86_CR0_PE | X86_CR0_WP;
		v->paging.cr4 = (i / 12 & 1 ? X86_CR4_SMEP : 0) | (i / 24 & 1 ? X86_CR4_SMAP : 0);
		if (cpu_permits(v, &before, &a) && !cpu_permits(v, &after, &a))
			return true;
	}
	return false;
}

static bool is_owed(struct fixture *fx, uint64_t *sptep, uint64_t old, uint64_t new)
{
	bool owed;

	spte_set(&fx->mmu, sptep, old);
	fx->mmu.pool.flush_owed = false;
	spte_set(&fx->mmu, sptep, new);
	owed = fx->mmu.pool.flush_owed;
	spte_drop(&fx->mmu, sptep);
	return owed;
}

/* Every change of an entry, against the definition. */
static void lesson_27_every_change_of_an_entry(void **state)
{
	union shadow_page_role role = { .level = 1, .direct = 1, .access = ACCESS_ALL };
	struct guest_paging before;
	struct fixture fx;
	uint64_t *sptep;

	fx_open(&fx, 64, 64);
	before = fx.v.paging;
	sptep = shadow_table(&fx.mmu.pool, shadow_get(&fx.mmu, gfn(0), role));
	for (uint32_t from = 0; from <= ACCESS_ALL; from++) {
		uint64_t old = spte_make_leaf(fx.base_pfn, from, 1);

		for (uint32_t to = 0; to <= ACCESS_ALL; to++) {
			uint64_t new = spte_make_leaf(fx.base_pfn, to, 1);

			assert_int_equal(is_owed(&fx, sptep, old, new), old_gives_more(&fx.v, old, new));
			assert_true(is_owed(&fx, sptep, old, spte_make_leaf(pfn_add(fx.base_pfn, 1), to, 1)));
		}
		assert_true(is_owed(&fx, sptep, old, spte_not_shadowed()));
		assert_true(is_owed(&fx, sptep, old, spte_guest_not_present()));
		/* No TLB keeps what is not there. */
		assert_false(is_owed(&fx, sptep, spte_not_shadowed(), old));
		assert_false(is_owed(&fx, sptep, spte_guest_not_present(), old));
	}
	fx.v.paging = before;
	fx.mmu.pool.flush_owed = false;
	shadow_commit(&fx.mmu);
	fx_close(&fx);
}

/* An entry is off its old list before it is on another. */
static void lesson_22_a_present_entry_is_dropped_first(void **state)
{
	union shadow_page_role role = { .level = 1, .direct = 1, .access = ACCESS_ALL };
	struct memslot *slot;
	struct fixture fx;
	uint64_t *sptep;

	fx_open(&fx, 64, 64);
	slot = fx.mmu.mem.slots.slot[0];
	sptep = shadow_table(&fx.mmu.pool, shadow_get(&fx.mmu, gfn(0), role));
	spte_set(&fx.mmu, sptep, spte_make_leaf(fx.base_pfn, ACCESS_ALL, 1));
	assert_ptr_equal(rmap_first(&fx.mmu.pool, &slot->rmap[0][0]), sptep);
	spte_set(&fx.mmu, sptep, spte_make_leaf(pfn_add(fx.base_pfn, 9), 0, 1));
	assert_true(rmap_empty(&slot->rmap[0][0]));
	assert_ptr_equal(rmap_first(&fx.mmu.pool, &slot->rmap[0][9]), sptep);
	spte_set(&fx.mmu, sptep, spte_guest_not_present());
	assert_true(rmap_empty(&slot->rmap[0][9]));
	spte_drop(&fx.mmu, sptep);
	shadow_commit(&fx.mmu);
	fx_close(&fx);
}

/* ---- operations -------------------------------------------------------------- */

/* All TLBs are full; whatever takes a right away must say so by the end. */
static void lesson_08_add_returns_after_the_flush(void **state)
{
	for (unsigned int mode = 0; mode < PAGE_TRACK_MODES; mode++) {
		struct fixture fx;
		unsigned int flushes;

		fx_open(&fx, 64, 64);
		fx_long_mode(&fx);
		fx_map(&fx, 0, 1, 20 << 12 | G_ALL);
		assert_int_equal(fx_touch(&fx, 0, PFERR_WRITE, NULL), FAULT_FIXED);
		flushes = fx.flushes;
		assert_int_equal(others_add(&fx.mmu, gfn(20), mode), 0);
		assert_int_equal(fx.flushes, flushes + 1);
		/* The second finds nothing to take. */
		assert_int_equal(others_add(&fx.mmu, gfn(20), mode), 0);
		assert_int_equal(fx.flushes, flushes + 1);
		assert_int_equal(others_remove(&fx.mmu, gfn(20), mode), 0);
		assert_int_equal(others_remove(&fx.mmu, gfn(20), mode), 0);
		fx_close(&fx);
	}
}

static void lesson_31_a_flipped_user_page_is_flushed(void **state)
{
	struct fixture fx;
	unsigned int flushes;

	fx_open(&fx, 64, 64);
	fx_paging(&fx, 0, X86_CR4_PAE, LME);
	fx_map(&fx, 0, 1, 20 << 12 | G_P | G_U | G_A | G_D);
	assert_int_equal(fx_touch(&fx, 0, PFERR_USER, NULL), FAULT_FIXED);
	flushes = fx.flushes;
	assert_int_equal(fx_touch(&fx, 0, PFERR_WRITE, NULL), FAULT_FIXED); /* the user's rights go */
	assert_int_equal(fx.flushes, flushes + 1);
	assert_int_equal(fx_touch(&fx, 0, PFERR_USER, NULL), FAULT_FIXED); /* W goes */
	assert_int_equal(fx.flushes, flushes + 2);
	fx_close(&fx);
}

/* With WP set, SMEP and SMAP choose no other root: the flush is all there is. */
static void lesson_31_control_bits_owe_a_flush(void **state)
{
	static const uint64_t bits[] = { X86_CR4_SMEP, X86_CR4_SMAP, X86_CR4_PGE };
	struct fixture fx;

	fx_open(&fx, 64, 64);
	fx_long_mode(&fx);
	for (unsigned int i = 0; i < ARRAY_SIZE(bits); i++) {
		struct guest_paging p = fx.v.paging;
		unsigned int flushes = fx.flushes;

		p.cr4 ^= bits[i];
		assert_int_equal(mmu_set_paging(&fx.v, &p), 0);
		assert_int_equal(fx.flushes, flushes + 1);
	}
	fx_close(&fx);
}

static void slots_that_change_are_flushed(void **state)
{
	struct fixture fx;
	unsigned int flushes;

	fx_open(&fx, 1024, 64);
	assert_int_equal(fx_touch(&fx, MB2, PFERR_WRITE, NULL), FAULT_FIXED);
	flushes = fx.flushes;
	assert_int_equal(mmu_slot_set_flags(&fx.mmu, 0, MEMSLOT_READONLY), 0);
	assert_int_equal(fx.flushes, flushes + 1);
	assert_int_equal(fx_touch(&fx, MB2, 0, NULL), FAULT_FIXED);
	assert_int_equal(mmu_slot_move(&fx.mmu, 0, gfn(2048)), 0);
	assert_int_equal(fx.flushes, flushes + 2);
	assert_int_equal(fx_touch(&fx, 5 * MB2, 0, NULL), FAULT_FIXED);
	assert_int_equal(mmu_slot_delete(&fx.mmu, 0), 0);
	assert_int_equal(fx.flushes, flushes + 3);
	fx_close(&fx);
}

/* ---- when, within an operation ------------------------------------------------- */

static struct {
	struct fixture *fx;
	unsigned int flushes;
	uint32_t free_before, freed_early, most_zapped;
	gpa_t at;
	uint64_t entry;
	bool armed;
} cpu;

static void watch_the_pool(void *ctx)
{
	const struct shadow_pool *pool = &cpu.fx->mmu.pool;

	cpu.flushes++;
	if (pool->free_count > cpu.free_before)
		cpu.freed_early++;
	if (pool->zapped_count > cpu.most_zapped)
		cpu.most_zapped = pool->zapped_count;
}

/* A page that a TLB or a walk in progress may still know is not handed out. */
static void lesson_27_zapped_pages_wait_for_the_flush(void **state)
{
	struct fixture fx;

	fx_open(&fx, 512, MMU_SHADOW_PAGES_MIN);
	fx_long_mode(&fx);
	memset(&cpu, 0, sizeof(cpu));
	cpu.fx = &fx;
	fx.mmu.host.flush = watch_the_pool;
	for (uint64_t i = 0; i < 60; i++) {
		fx_map(&fx, i << 39, 1, 20 << 12 | G_ALL);
		cpu.free_before = fx.mmu.pool.free_count;
		assert_int_equal(fx_touch(&fx, i << 39, 0, NULL), FAULT_FIXED);
	}
	assert_true(fx.mmu.stats.reclaimed > 0);
	cpu.free_before = fx.mmu.pool.free_count;
	assert_int_equal(mmu_slot_set_flags(&fx.mmu, 0, MEMSLOT_LOG_DIRTY), 0);
	assert_true(cpu.flushes > 0 && cpu.most_zapped > 1);
	assert_int_equal(cpu.freed_early, 0);
	fx_close(&fx);
}

/* Another CPU, until it is stopped, may write through a translation that it
 * has: the last moment is just before the flush. */
static void write_at_the_last_moment(void *ctx)
{
	uint64_t *p;

	cpu.flushes++;
	if (!cpu.armed)
		return;
	cpu.armed = false;
	p = port_hpa_to_va(pfn_to_hpa(pfn_add(cpu.fx->base_pfn, gpa_to_gfn(cpu.at).v)));
	p[gpa_offset(cpu.at) / 8] = cpu.entry;
}

static void lesson_08_a_table_is_read_after_it_is_protected(void **state)
{
	struct fixture fx;
	gpa_t at;

	fx_open(&fx, 64, 64);
	fx_long_mode(&fx);
	at = fx_map(&fx, 0, 1, 20 << 12 | G_ALL);
	/* The table is writable through a mapping of its own... */
	fx_map(&fx, 1ull << 39, 1, (at.v & ~0xfffull) | G_ALL);
	assert_int_equal(fx_touch(&fx, 1ull << 39, PFERR_WRITE, NULL), FAULT_FIXED);
	/* ... until it is first used as a table. */
	memset(&cpu, 0, sizeof(cpu));
	cpu.fx = &fx;
	cpu.at = at;
	cpu.entry = 21 << 12 | G_ALL;
	cpu.armed = true;
	fx.mmu.host.flush = write_at_the_last_moment;
	assert_int_equal(fx_touch(&fx, 0, 0, NULL), FAULT_FIXED);
	assert_false(cpu.armed);
	assert_audit(&fx);
	fx_close(&fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lesson_27_every_change_of_an_entry),
		cmocka_unit_test(lesson_22_a_present_entry_is_dropped_first),
		cmocka_unit_test(lesson_08_add_returns_after_the_flush),
		cmocka_unit_test(lesson_31_a_flipped_user_page_is_flushed),
		cmocka_unit_test(lesson_31_control_bits_owe_a_flush),
		cmocka_unit_test(slots_that_change_are_flushed),
		cmocka_unit_test(lesson_27_zapped_pages_wait_for_the_flush),
		cmocka_unit_test(lesson_08_a_table_is_read_after_it_is_protected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
