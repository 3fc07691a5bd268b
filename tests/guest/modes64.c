// SPDX-License-Identifier: GPL-2.0-only
/*
 * A kernel that leaves long mode: compatibility code, paging off and on
 * again, tables and CR3 changed meanwhile.
 */
#include "tests/guest/rt/rt64.h"

#define VA 0x8040201000ul
#define LOW_VA 0x40201000ul /* in the second GiB: reachable with 32 bits */
#define RW (PTE_P | PTE_W)

struct trip {
	uint64_t address, value, cr3, seen, cr0, efer;
};

void mode_trip(struct trip *t);
uint64_t compat_call(uint64_t address);

static void check_value(uint64_t va, uint64_t want)
{
	uint64_t v = 0;

	check_equal(try_read(va, &v), 0);
	check_equal(v, want);
}

/* A PML4 with a first GiB of its own PDPT, so that the second can be mapped. */
static pte_t *low_space(void)
{
	pte_t *pml4 = page_alloc(), *pdpt = page_alloc();

	memcpy(pdpt, (void *)(boot_pml4[0] & PTE_ADDR), PAGE);
	pml4[0] = (uint64_t)pdpt | RW | PTE_U;
	return pml4;
}

static void there_and_back(void)
{
	static uint64_t word;
	struct trip t = { .address = (uint64_t)&word };

	for (uint64_t i = 1; i < 20; i++) {
		t.value = i << 32 | i;
		mode_trip(&t);
		check_equal(word, t.value);
		check_equal(t.seen, t.value);
		check_equal(t.cr0 >> 31 & 1, 0);
		check_equal(t.efer & 0x500, 0x100); /* LME stays, LMA goes */
		check_equal(rdmsr(MSR_EFER) & 0x500, 0x500);
	}
}

/* An entry is changed by code that runs with paging off. */
static void entry_changed_while_paging_is_off(void)
{
	pte_t *pml4 = space_new(), *leaf;
	uint64_t *p = marked_page(1), *q = marked_page(100);

	space_map(pml4, VA, p, RW);
	leaf = space_entry(pml4, VA, 1);
	space_use(pml4);
	for (int i = 0; i < 10; i++) {
		struct trip t = { (uint64_t)leaf, (uint64_t)(i & 1 ? p : q) | RW };

		check_value(VA, i & 1 ? 100 : 1);
		mode_trip(&t);
		check_equal(t.seen, t.value);
		check_value(VA, i & 1 ? 1 : 100);
	}
	space_use(boot_pml4);
}

static void cr3_changed_while_paging_is_off(void)
{
	static uint64_t word;
	pte_t *a = space_new(), *b = space_new();

	space_map(a, VA, marked_page(1), RW);
	space_map(b, VA, marked_page(100), RW);
	space_use(a);
	for (int i = 0; i < 10; i++) {
		struct trip t = { (uint64_t)&word, (uint64_t)i, (uint64_t)(i & 1 ? a : b) };

		check_value(VA, i & 1 ? 100 : 1);
		mode_trip(&t);
		check_equal(word, i);
		check_value(VA, i & 1 ? 1 : 100);
		check_equal(read_cr3(), t.cr3);
	}
	space_use(boot_pml4);
}

static void compatibility_mode(void)
{
	pte_t *pml4 = low_space(), *leaf;
	uint64_t *p = marked_page(1), *q = marked_page(100);

	space_map(pml4, LOW_VA, p, RW);
	leaf = space_entry(pml4, LOW_VA, 1);
	space_use(pml4);
	for (uint64_t i = 0; i < 10; i++) {
		check_equal(compat_call(LOW_VA), i & 1 ? 100 + i / 2 : 1 + i / 2);
		*leaf = (uint64_t)(i & 1 ? p : q) | RW;
		invlpg(LOW_VA);
	}
	space_use(boot_pml4);
}

/* The PGE and PSE bits, and WP, change while everything is mapped. */
static void control_bits_come_and_go(void)
{
	pte_t *pml4 = space_new();
	uint64_t cr4 = read_cr4();

	space_map(pml4, VA, marked_page(7), RW | PTE_G);
	space_use(pml4);
	for (int i = 0; i < 8; i++) {
		check_value(VA, 7);
		write_cr4(cr4 ^ (i & 1 ? CR4_PGE : 1ul << 4));
		check_value(VA, 7);
		write_cr4(cr4);
	}
	space_use(boot_pml4);
}

void main(void)
{
	static const struct test tests[] = {
		{ "there_and_back", there_and_back },
		{ "entry_changed_while_paging_is_off", entry_changed_while_paging_is_off },
		{ "cr3_changed_while_paging_is_off", cr3_changed_while_paging_is_off },
		{ "compatibility_mode", compatibility_mode },
		{ "control_bits_come_and_go", control_bits_come_and_go },
	};

	traps_init();
	run_tests(tests, ARRAY_SIZE(tests));
}
