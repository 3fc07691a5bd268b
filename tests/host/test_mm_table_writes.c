/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Writes to guest tables: whatever the guest changes, in whatever way, its
 * shadow lets nothing through that the new entry does not, and what does not
 * change stays.
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

#define PAGE 20ull /* the gfn that is mapped */

static const uint32_t kinds[] = { 0, PFERR_WRITE, PFERR_FETCH, PFERR_USER, PFERR_USER | PFERR_WRITE,
				  PFERR_USER | PFERR_FETCH };

/* What goes through at @addr must be what the guest's tables say now. */
static void check_exact(struct fixture *fx, uint64_t addr)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct model_access a = { .addr = gva(addr), .error_code = kinds[i] };
		struct cpu_translation t;
		struct oracle o;

		if (!fx_goes_through(fx, addr, kinds[i]))
			continue;
		oracle_walk(&o, &fx->mmu.mem.slots, &fx->v.paging, &a);
		assert_int_equal(o.status, ORACLE_OK);
		assert_true(o.accessed && (o.dirty || !(kinds[i] & PFERR_WRITE)));
		assert_true(cpu_walk(&fx->v, gva(addr), &t));
		assert_int_equal(t.frame.v >> PAGE_SHIFT, fx->base_pfn.v + (o.gpa.v >> PAGE_SHIFT));
	}
}

static void touch_all(struct fixture *fx, uint64_t addr)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++)
		(void)fx_touch(fx, addr, kinds[i], NULL);
}

/* Where the entry of @level for @addr is. */
static gpa_t entry_at(struct fixture *fx, uint64_t addr, int level, unsigned int size)
{
	unsigned int bits = size == 8 ? 9 : 10;
	uint64_t table = FX_ROOT << PAGE_SHIFT, e = 0;

	for (int l = size == 8 ? 4 : 2; ; l--) {
		uint64_t index = (addr >> (12 + bits * (unsigned int)(l - 1))) & ((1u << bits) - 1);
		gpa_t at = gpa(table + index * size);

		if (l == level)
			return at;
		assert_int_equal(guest_read(&fx->mmu.mem, at, &e, size, NULL), 0);
		table = e & 0x000ffffffffff000ull;
	}
}

static void exchange(struct fixture *fx, gpa_t at, void *expected, const void *desired, unsigned int size)
{
	assert_int_equal(guest_cmpxchg(&fx->mmu.mem, at, expected, desired, size, BY(EMULATOR)), 0);
}

/* How a guest may change the entry @old to @new. */
enum way { WHOLE, BYTES, CMPXCHG, CMPXCHG_BYTES, STRADDLING, WAYS };

static void change(struct fixture *fx, gpa_t at, unsigned int size, uint64_t old, uint64_t new, enum way way)
{
	uint8_t from[8], to[8], around[16];

	memcpy(from, &old, 8);
	memcpy(to, &new, 8);
	switch (way) {
	case WHOLE:
		fx_write(fx, at, to, size);
		break;
	case CMPXCHG:
		exchange(fx, at, from, to, size);
		break;
	case BYTES:
	case CMPXCHG_BYTES:
		for (unsigned int i = 0; i < size; i++) {
			if (from[i] == to[i])
				continue;
			if (way == BYTES)
				fx_write(fx, gpa_add(at, i), &to[i], 1);
			else
				exchange(fx, gpa_add(at, i), &from[i], &to[i], 1);
		}
		break;
	default: /* begins in the entry before, ends in the one behind */
		at = gpa(at.v - 3);
		assert_int_equal(guest_read(&fx->mmu.mem, at, around, size + 5, NULL), 0);
		memcpy(around + 3, to, size);
		fx_write(fx, at, around, size + 5);
	}
}

/* Each bit of each level's entry, changed in each way and back. */
static void lesson_28_every_bit_of_every_level(void **state)
{
	/* Not the first of their tables, so that there is something before. */
	const uint64_t addr = 3ull << 39 | 5ull << 30 | 7ull << 21 | 9ull << 12;

	for (int smep = 0; smep < 2; smep++) {
		struct fixture fx;

		fx_open(&fx, 64, 64);
		fx_paging(&fx, smep ? X86_CR0_WP : 0, X86_CR4_PAE | (smep ? X86_CR4_SMEP : 0),
			  EFER_LME | EFER_LMA | EFER_NXE);
		fx_map(&fx, addr, 1, PAGE << 12 | G_ALL);
		for (unsigned int n = 0; n < 4 * 64 * WAYS; n++) {
			int level = 1 + (int)(n % 4);
			uint64_t bit = 1ull << (n / 4 % 64), old = 0;
			gpa_t at = entry_at(&fx, addr, level, 8);

			touch_all(&fx, addr);
			assert_int_equal(guest_read(&fx.mmu.mem, at, &old, 8, NULL), 0);
			change(&fx, at, 8, old, old ^ bit, n / 256);
			check_exact(&fx, addr);
			assert_audit(&fx);
			touch_all(&fx, addr);
			check_exact(&fx, addr);
			/* The walker may have set bits meanwhile. */
			assert_int_equal(guest_read(&fx.mmu.mem, at, &bit, 8, NULL), 0);
			change(&fx, at, 8, bit, old | G_A, n / 256);
			check_exact(&fx, addr);
			assert_audit(&fx);
		}
		fx_close(&fx);
	}
}

static void lesson_28_every_bit_of_two_level_tables(void **state)
{
	static const uint64_t addrs[] = { 0x00801000, 0x40e05000, 0x80bff000, 0xffc03000 };

	for (unsigned int k = 0; k < ARRAY_SIZE(addrs); k++) {
		struct fixture fx;

		fx_open(&fx, 64, 64);
		fx_paging(&fx, X86_CR0_WP, X86_CR4_PSE, 0);
		fx_map(&fx, addrs[k], 1, PAGE << 12 | G_ALL);
		for (unsigned int n = 0; n < 2 * 32 * WAYS; n++) {
			int level = 1 + (int)(n % 2);
			uint64_t bit = 1ull << (n / 2 % 32), old = 0, now = 0;
			gpa_t at = entry_at(&fx, addrs[k], level, 4);

			touch_all(&fx, addrs[k]);
			assert_int_equal(guest_read(&fx.mmu.mem, at, &old, 4, NULL), 0);
			change(&fx, at, 4, old, old ^ bit, n / 64);
			check_exact(&fx, addrs[k]);
			assert_audit(&fx);
			touch_all(&fx, addrs[k]);
			check_exact(&fx, addrs[k]);
			assert_int_equal(guest_read(&fx.mmu.mem, at, &now, 4, NULL), 0);
			change(&fx, at, 4, now, old | G_A, n / 64);
			check_exact(&fx, addrs[k]);
			assert_audit(&fx);
		}
		fx_close(&fx);
	}
}

/* An entry that the guest has cleared faults in the guest; one that it has
 * changed is looked up anew. The two are told apart. */
static void the_two_kinds_of_absence(void **state)
{
	struct fixture fx;
	struct shadow_page *sp;

	fx_open(&fx, 64, 64);
	fx_long_mode(&fx);
	fx_map(&fx, 1ull << 39, 1, PAGE << 12 | G_ALL);
	assert_int_equal(fx_touch(&fx, 1ull << 39, 0, NULL), FAULT_FIXED);
	sp = fx.v.root.sp[0];
	fx_map(&fx, 1ull << 39, 4, 9 << 12 | G_P);
	assert_int_equal(shadow_table(&fx.mmu.pool, sp)[1], spte_not_shadowed());
	fx_map(&fx, 1ull << 39, 4, 9 << 12);
	assert_int_equal(shadow_table(&fx.mmu.pool, sp)[1], spte_guest_not_present());
	fx_map(&fx, 1ull << 39, 4, 2 << 12 | G_ALL);
	assert_int_equal(shadow_table(&fx.mmu.pool, sp)[1], spte_not_shadowed());
	fx_close(&fx);
}

/* A direct page maps frames, whatever they hold: with paging off the first
 * root stands for frame 0, which may be a guest's table of old. */
static void a_write_is_nothing_to_a_direct_page(void **state)
{
	struct fixture fx;
	uint64_t e = 0;

	fx_open(&fx, 1024, 64);
	assert_int_equal(others_add(&fx.mmu, gfn(0), PAGE_TRACK_WRITE), 0);
	assert_int_equal(fx_touch(&fx, 0x1000, PFERR_WRITE, NULL), FAULT_FIXED);
	for (unsigned int i = 0; i < 512; i++) {
		e = i << 12 | G_ALL;
		fx_write(&fx, gpa(i * 8), &e, 8);
		e = 0;
		fx_write(&fx, gpa(i * 8), &e, 8);
	}
	assert_true(fx_goes_through(&fx, 0x1000, PFERR_WRITE));
	assert_int_equal(others_remove(&fx.mmu, gfn(0), PAGE_TRACK_WRITE), 0);
	fx_close(&fx);
}

/* The processor's own A bit is no sign that a table is reused as data. */
static void accessed_bits_do_not_drop_a_table(void **state)
{
	struct fixture fx;
	gpa_t at;

	fx_open(&fx, 64, 64);
	fx_long_mode(&fx);
	for (uint64_t i = 0; i < 8; i++)
		at = fx_map(&fx, i << 12, 1, (PAGE + i) << 12 | G_P | G_W | (i ? 0 : G_A));
	assert_int_equal(fx_touch(&fx, 0, 0, NULL), FAULT_FIXED);
	/* Unlinked for a moment: nothing points to its shadow. */
	fx_map(&fx, 0, 2, 0);
	fx_map(&fx, 0, 2, (at.v & ~0xfffull) | G_ALL);
	for (uint64_t i = 1; i < 8; i++)
		assert_int_equal(fx_touch(&fx, i << 12, 0, NULL), FAULT_FIXED);
	assert_true(fx_goes_through(&fx, 0, 0));
	assert_int_equal(fx.mmu.stats.zapped, 0);
	fx_close(&fx);
}

/* ---- while a fault is handled ---------------------------------------------------- */

static struct {
	struct fixture *fx;
	gpa_t at;
	uint64_t entry;
	unsigned int calls;
} other;

/* Another CPU writes the entry just when the walk has set its A bit. */
static void on_write(const struct page_track_event *e)
{
	uint64_t *p = port_hpa_to_va(pfn_to_hpa(pfn_add(other.fx->base_pfn, other.at.v >> PAGE_SHIFT)));

	if (e->origin->agent != AGENT_WALKER || e->gpa.v != other.at.v || other.calls++)
		return;
	p[gpa_offset(other.at) / 8] = other.entry;
}

static void lesson_29_an_entry_that_changed_is_not_installed(void **state)
{
	struct page_fault f = { .addr = gva(0x1000) };
	struct cpu_translation t;
	struct fixture fx;

	fx_open(&fx, 64, 64);
	fx_long_mode(&fx);
	memset(&other, 0, sizeof(other));
	other.fx = &fx;
	fx_map(&fx, 0, 1, PAGE << 12 | G_ALL);
	assert_int_equal(fx_touch(&fx, 0, 0, NULL), FAULT_FIXED);
	other.at = fx_map(&fx, 0x1000, 1, PAGE << 12 | G_P);
	other.entry = (PAGE + 1) << 12 | G_P | G_A;
	others_ears.after = on_write;
	assert_int_equal(others_add(&fx.mmu, gpa_to_gfn(other.at), PAGE_TRACK_WRITE), 0);
	assert_int_equal(mmu_page_fault(&fx.v, &f), FAULT_SPURIOUS);
	assert_int_equal(other.calls, 1);
	assert_false(fx_goes_through(&fx, 0x1000, 0));
	assert_audit(&fx);
	assert_int_equal(mmu_page_fault(&fx.v, &f), FAULT_FIXED);
	assert_true(cpu_walk(&fx.v, gva(0x1000), &t));
	assert_int_equal(t.frame.v >> PAGE_SHIFT, fx.base_pfn.v + PAGE + 1);
	others_ears.after = NULL;
	fx_close(&fx);
}

/* The write that makes a page a table of its own path: it is tracked by the
 * time that it could be mapped. FAULT_FIXED would be a lie. */
static void a_page_on_its_own_path_is_emulated_at_once(void **state)
{
	struct page_fault f = { .addr = gva(0), .error_code = PFERR_WRITE };
	struct fixture fx;
	gpa_t at;

	fx_open(&fx, 64, 64);
	fx_long_mode(&fx);
	at = fx_map(&fx, 0, 1, 0);
	fx_map(&fx, 0, 1, (at.v & ~0xfffull) | G_ALL);
	assert_int_equal(mmu_page_fault(&fx.v, &f), FAULT_EMULATE);
	assert_audit(&fx);
	fx_close(&fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lesson_28_every_bit_of_every_level),
		cmocka_unit_test(lesson_28_every_bit_of_two_level_tables),
		cmocka_unit_test(the_two_kinds_of_absence),
		cmocka_unit_test(a_write_is_nothing_to_a_direct_page),
		cmocka_unit_test(accessed_bits_do_not_drop_a_table),
		cmocka_unit_test(lesson_29_an_entry_that_changed_is_not_installed),
		cmocka_unit_test(a_page_on_its_own_path_is_emulated_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
