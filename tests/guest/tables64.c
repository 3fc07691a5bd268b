// SPDX-License-Identifier: GPL-2.0-only
/*
 * What guests do with page tables: many address spaces, tables shared between
 * them, tables that map themselves, pages with several names, large pages
 * split and merged, tables that become data and data that become tables, and
 * a long random walk over all of it against a model.
 */
#include "tests/guest/rt/rt64.h"

#define VA 0x8040201000ul
#define RW (PTE_P | PTE_W)
#define LARGE 0x200000ul
#define FREE_RAM 0x800000ul /* 8 MiB up: RAM that nothing else uses, 16 MiB of it */

static void check_value(uint64_t va, uint64_t want, const char *who)
{
	uint64_t v = 0;
	unsigned int r = try_read(va, &v);

	if (r || v != want) {
		check_failed(__FILE__, __LINE__, who);
		print("  read of 0x%x: result 0x%x, value 0x%x, want 0x%x\n", va, (unsigned long)r, v, want);
	}
}

/* ---- address spaces ---- */

#define SPACES 24

static void many_address_spaces(void)
{
	pte_t *pml4[SPACES];

	for (uint64_t i = 0; i < SPACES; i++) {
		pml4[i] = space_new();
		space_map(pml4[i], VA, marked_page(i << 16), RW);
	}
	for (uint64_t round = 0; round < 6; round++)
		for (uint64_t i = 0; i < SPACES; i++) {
			space_use(pml4[(i * 7) % SPACES]);
			check_value(VA, ((i * 7) % SPACES << 16) + round, "own page");
			*(volatile uint64_t *)VA = ((i * 7) % SPACES << 16) + round + 1;
		}
	space_use(boot_pml4);
}

/* Entries of a space that is not in use are changed; no INVLPG is due. */
static void changes_to_another_space(void)
{
	pte_t *a = space_new(), *b = space_new();
	uint64_t *p[3];

	for (uint64_t i = 0; i < 3; i++)
		p[i] = marked_page(0x100 * i);
	space_map(a, VA, p[0], RW);
	space_map(b, VA, p[1], RW);
	for (uint64_t i = 0; i < 20; i++) {
		space_use(a);
		check_value(VA, 0x100 * (i % 3), "space a");
		space_use(b);
		check_value(VA, 0x100, "space b");
		*space_entry(a, VA, 1) = (uint64_t)p[(i + 1) % 3] | RW;
	}
	space_use(boot_pml4);
}

/* One page table under two directories, with different rights above it. */
static void a_table_shared_by_two_spaces(void)
{
	pte_t *a = space_new(), *b = space_new(), *leaf;
	uint64_t *p = marked_page(1), *q = marked_page(100);

	space_map(a, VA, p, RW);
	leaf = space_entry(a, VA, 1);
	*space_entry(b, VA, 2) = (*space_entry(a, VA, 2) & ~PTE_W);
	for (int i = 0; i < 6; i++) {
		space_use(a);
		check_value(VA, i & 1 ? 100 : 1, "space a");
		check_equal(try_write(VA + 8, 2), 0);
		space_use(b);
		check_value(VA, i & 1 ? 100 : 1, "space b");
		check_equal(try_write(VA + 8, 2), PF(PF_P | PF_W));
		*leaf = (uint64_t)(i & 1 ? p : q) | RW;
	}
	space_use(boot_pml4);
}

/* The same table at two places of one space, and at two levels of it. */
static void a_table_at_two_levels(void)
{
	pte_t *pml4 = space_new(), *table = page_alloc();
	uint64_t base = VA & ~(LARGE - 1), other = base + LARGE, *p = marked_page(7), *q = marked_page(9);
	uint64_t giant = 0x8080000000ul; /* the next GiB of VA's PDPT */

	/* As a page table: */
	table[3] = (uint64_t)p | RW;
	*space_entry(pml4, base, 2) = (uint64_t)table | RW;
	*space_entry(pml4, other, 2) = (uint64_t)table | RW;
	/* ... and as a directory: entry 3 is then a page table made of p's words. */
	*space_entry(pml4, giant, 3) = (uint64_t)table | RW;
	p[5] = (uint64_t)q | RW;
	space_use(pml4);
	check_value(base + 3 * PAGE, 7, "as a page table");
	check_value(other + 3 * PAGE, 7, "at its second place");
	check_value(giant + 3 * LARGE + 5 * PAGE, 9, "as a directory");
	*(volatile uint64_t *)(base + 3 * PAGE + 5 * 8) = (uint64_t)p | RW; /* through the first role */
	flush_tlb();
	check_value(giant + 3 * LARGE + 5 * PAGE, 7, "changed through the page");
	table[3] = 0;
	flush_tlb();
	check_equal(try_read(base + 3 * PAGE, NULL), PF(0));
	check_equal(try_read(other + 3 * PAGE, NULL), PF(0));
	check_equal(try_read(giant + 3 * LARGE + 5 * PAGE, NULL), PF(0));
	space_use(boot_pml4);
}

/* Tables that point at themselves, on every level. */
static void a_table_that_is_its_own_child(void)
{
	pte_t *pml4 = space_new(), *loop = page_alloc();
	uint64_t at = 0x10000000000ul; /* PML4 entry 2 */

	for (unsigned int i = 0; i < 512; i++)
		loop[i] = (uint64_t)loop | RW;
	pml4[2] = (uint64_t)loop | RW;
	space_use(pml4);
	for (uint64_t i = 0; i < 64; i++)
		check_equal(*(volatile uint64_t *)(at + i * 0x1234567000ul % 0x8000000000ul) & PTE_ADDR, loop);
	/* Through itself: a store to the table is a store to a mapped page. */
	*(volatile uint64_t *)(at + 511 * 8) = 0;
	flush_tlb();
	check_equal(loop[511], 0);
	check_equal(try_read(at + 511 * PAGE, NULL), PF(0));
	check_value(at + 511 * 8, 0, "its last entry");
	space_use(boot_pml4);
}

/* The classic recursive slot: PML4[510] is the PML4 itself. */
static void recursive_slot(void)
{
	pte_t *pml4 = space_new();
	uint64_t *p = marked_page(0x11), *q = marked_page(0x22);
	uint64_t slot = 510, self = 0xFFFF000000000000ul | slot << 39;
	volatile pte_t *leaf = (pte_t *)(self | (VA >> 9 & 0x7FFFFFFFF8ul));
	volatile pte_t *pde = (pte_t *)(self | slot << 30 | (VA >> 18 & 0x3FFFFFF8ul));

	space_map(pml4, VA, p, RW);
	pml4[slot] = (uint64_t)pml4 | RW;
	space_use(pml4);
	check_value(VA, 0x11, "before");
	check_equal(*leaf & PTE_ADDR, p);
	for (int i = 0; i < 5; i++) {
		*leaf = (uint64_t)(i & 1 ? p : q) | RW;
		invlpg(VA);
		check_value(VA, i & 1 ? 0x11 : 0x22, "through the slot");
	}
	*pde &= ~PTE_P;
	invlpg(VA);
	invlpg((uint64_t)leaf);
	check_equal(try_read(VA, NULL), PF(0));
	check_equal(try_read((uint64_t)leaf, NULL), PF(0));
	*pde |= PTE_P;
	check_value(VA, 0x22, "linked again");
	check_equal(*leaf & PTE_ADDR, q);
	space_use(boot_pml4);
}

/* ---- pages with several names ---- */

static void aliases_of_a_page(void)
{
	pte_t *pml4 = space_new();
	uint64_t *p = marked_page(0), ro = VA + PAGE, far = 0x20000000000ul;

	space_map(pml4, VA, p, RW);
	space_map(pml4, ro, p, PTE_P);
	space_map(pml4, far, p, RW);
	space_use(pml4);
	for (uint64_t i = 1; i < 50; i++) {
		*(volatile uint64_t *)(i & 1 ? VA : far) = i;
		check_value(ro, i, "read-only name");
		check_value(i & 1 ? far : VA, i, "other name");
		check_equal(p[0], i);
		check_equal(try_write(ro, 0), PF(PF_P | PF_W));
	}
	space_use(boot_pml4);
}

/* An ordinary page becomes a page table and back, many times. */
static void data_becomes_table_becomes_data(void)
{
	pte_t *pml4 = space_new(), *table = page_alloc();
	uint64_t *p = marked_page(0x33), window = 0x20000000000ul, index = VA >> 12 & 511;
	pte_t *pde = space_entry(pml4, VA, 2);

	space_map(pml4, window, table, RW);
	space_use(pml4);
	for (uint64_t round = 0; round < 12; round++) {
		for (uint64_t i = 0; i < 512; i += 1) /* as data */
			((volatile uint64_t *)window)[i] = round << 32 | i << 1;
		check_value(window + 8 * 77, round << 32 | 77 << 1, "as data");
		((volatile uint64_t *)window)[index] = (uint64_t)p | RW;
		*pde = (uint64_t)table | RW;
		check_value(VA, 0x33, "as a table");
		((volatile uint64_t *)window)[index] = 0;
		invlpg(VA);
		check_equal(try_read(VA, NULL), PF(0));
		*pde = 0;
		invlpg(VA);
		check_equal(try_read(VA, NULL), PF(0));
	}
	space_use(boot_pml4);
}

/* ---- large pages ---- */

static void fill_marks(void)
{
	for (uint64_t at = FREE_RAM; at < FREE_RAM + 4 * LARGE; at += PAGE)
		*(volatile uint64_t *)at = at;
}

static void large_page_split_and_merged(void)
{
	pte_t *pml4 = space_new(), *table = page_alloc(), *pde;
	uint64_t base = VA & ~(LARGE - 1), *odd = marked_page(0x44);

	fill_marks();
	pde = space_entry(pml4, base, 2);
	space_use(pml4);
	for (int round = 0; round < 4; round++) {
		*pde = FREE_RAM | RW | PTE_PS;
		invlpg(base);
		for (uint64_t i = 0; i < 512; i += 37)
			check_value(base + i * PAGE, FREE_RAM + i * PAGE, "large");
		*(volatile uint64_t *)(base + 100 * PAGE + 8) = (uint64_t)round;
		for (uint64_t i = 0; i < 512; i++)
			table[i] = (FREE_RAM + i * PAGE) | RW;
		table[3] = (uint64_t)odd | RW;
		table[4] = 0;
		*pde = (uint64_t)table | RW;
		flush_tlb();
		for (uint64_t i = 5; i < 512; i += 37)
			check_value(base + i * PAGE, FREE_RAM + i * PAGE, "split");
		check_value(base + 3 * PAGE, 0x44, "split, one page replaced");
		check_equal(try_read(base + 4 * PAGE, NULL), PF(0));
		check_value(base + 100 * PAGE + 8, (uint64_t)round, "split, written before");
	}
	space_use(boot_pml4);
}

static void large_page_moved(void)
{
	pte_t *pml4 = space_new(), *pde;
	uint64_t base = VA & ~(LARGE - 1);

	fill_marks();
	pde = space_entry(pml4, base, 2);
	space_use(pml4);
	for (uint64_t round = 0; round < 16; round++) {
		uint64_t to = FREE_RAM + round % 4 * LARGE;

		*pde = to | RW | PTE_PS;
		invlpg(base);
		check_value(base, to, "moved");
		check_value(base + 511 * PAGE, to + 511 * PAGE, "moved");
	}
	*pde = FREE_RAM | PTE_P | PTE_PS;
	invlpg(base);
	check_equal(try_write(base + 8, 1), PF(PF_P | PF_W));
	check_value(base, FREE_RAM, "read-only");
	space_use(boot_pml4);
}

/* A page table inside the range that a large page maps: stores by that name count. */
static void page_table_under_a_large_page(void)
{
	pte_t *pml4 = space_new(), *leaf;
	uint64_t large = 0x20000000000ul, *p = marked_page(0x55), *q = marked_page(0x66);
	uint64_t frame = (uint64_t)(leaf = space_entry(pml4, VA, 1)) & ~(LARGE - 1);
	volatile pte_t *other = (pte_t *)(large + ((uint64_t)leaf & (LARGE - 1)));

	*space_entry(pml4, large, 2) = frame | RW | PTE_PS;
	space_use(pml4);
	for (int i = 0; i < 8; i++) {
		*other = (uint64_t)(i & 1 ? p : q) | RW;
		invlpg(VA);
		check_value(VA, i & 1 ? 0x55 : 0x66, "through the large page");
		check_equal(*leaf & PTE_ADDR, i & 1 ? p : q);
	}
	space_use(boot_pml4);
}

/* ---- upper levels ---- */

static void whole_branches_cut_and_linked(void)
{
	pte_t *pml4 = space_new();
	uint64_t *p = marked_page(0x77);

	space_map(pml4, VA, p, RW);
	space_use(pml4);
	for (int round = 0; round < 4; round++)
		for (int level = 4; level >= 1; level--) {
			pte_t *e = space_entry(pml4, VA, level), was = *e;

			check_value(VA, 0x77, "linked");
			*e = 0;
			invlpg(VA);
			check_equal(try_read(VA, NULL), PF(0));
			*e = was;
			check_value(VA, 0x77, "linked again");
			*e = was & ~PTE_W;
			invlpg(VA);
			check_equal(try_write(VA + 8, 1), PF(PF_P | PF_W));
			*e = was;
			invlpg(VA);
			check_equal(try_write(VA + 8, 1), 0);
		}
	space_use(boot_pml4);
}

/* A global page outlives CR3 loads, but not CR4.PGE. */
static void global_pages(void)
{
	pte_t *pml4 = space_new(), *leaf;
	uint64_t *p = marked_page(1), *q = marked_page(2), cr4 = read_cr4();

	space_map(pml4, VA, p, RW | PTE_G);
	leaf = space_entry(pml4, VA, 1);
	space_use(pml4);
	write_cr4(cr4 | CR4_PGE);
	check_value(VA, 1, "global");
	*leaf = (uint64_t)q | RW | PTE_G;
	invlpg(VA);
	check_value(VA, 2, "global, after INVLPG");
	*leaf = (uint64_t)p | RW | PTE_G;
	write_cr4(cr4);
	check_value(VA, 1, "after CR4.PGE changed");
	write_cr4(cr4 | CR4_PGE);
	*leaf = (uint64_t)q | RW;
	write_cr4(cr4);
	check_value(VA, 2, "after CR4.PGE changed");
	space_use(boot_pml4);
}

/* More tables than a hypervisor may want to keep shadows of. */
static void a_flood_of_tables(void)
{
	pte_t *pml4 = space_new();
	uint64_t *p = marked_page(0x88), n = 200;

	for (uint64_t i = 0; i < n; i++)
		space_map(pml4, VA + i * LARGE, p, RW);
	space_use(pml4);
	for (int round = 0; round < 3; round++)
		for (uint64_t i = 0; i < n; i++)
			check_value(VA + i * LARGE, 0x88, "one of many");
	space_use(boot_pml4);
}

/* ---- at random ---- */

#define PAGES 12
#define SLOTS 24 /* addresses: three tables of eight */
#define MODELS 4

struct model {
	pte_t *pml4;
	int page[SLOTS]; /* which page, -1: none */
	bool writable[SLOTS];
	bool table_linked[3];
	uint64_t pde[3];
};

static uint64_t random_state;

static uint64_t random_below(uint64_t n)
{
	random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
	return (random_state >> 33) % n;
}

static uint64_t slot_va(unsigned int slot)
{
	return (VA & ~(LARGE - 1)) + slot / 8 * LARGE + slot % 8 * 61 * PAGE;
}

static void check_slot(struct model *m, unsigned int slot, uint64_t *const page[PAGES], uint64_t *value)
{
	uint64_t va = slot_va(slot);
	bool there = m->page[slot] >= 0 && m->table_linked[slot / 8];

	if (!there) {
		check_equal(try_read(va, NULL), PF(0));
		return;
	}
	check_value(va, value[m->page[slot]], "random");
	if (m->writable[slot]) {
		value[m->page[slot]]++;
		check_equal(try_write(va, value[m->page[slot]]), 0);
		check_equal(*page[m->page[slot]], value[m->page[slot]]);
	} else {
		check_equal(try_write(va, 0), PF(PF_P | PF_W));
	}
}

static void change_slot(struct model *m, unsigned int slot, uint64_t *const page[PAGES])
{
	pte_t *table = (pte_t *)(m->pde[slot / 8] & PTE_ADDR);
	pte_t *e = &table[slot_va(slot) >> 12 & 511];

	m->page[slot] = (int)random_below(PAGES + 2) - 2;
	m->writable[slot] = random_below(2);
	if (m->page[slot] < 0)
		*e = random_below(2) ? 0 : 0xDEAD000;
	else
		*e = (uint64_t)page[m->page[slot]] | PTE_P | (m->writable[slot] ? PTE_W : 0);
	if (m->page[slot] < 0)
		m->page[slot] = -1;
	invlpg(slot_va(slot));
}

static void change_table(struct model *m, unsigned int t)
{
	pte_t *pde = space_entry(m->pml4, slot_va(t * 8), 2);

	m->table_linked[t] = !m->table_linked[t];
	*pde = m->table_linked[t] ? m->pde[t] : 0;
	flush_tlb();
}

static void random_start(struct model *m)
{
	m->pml4 = space_new();
	for (unsigned int s = 0; s < SLOTS; s++)
		m->page[s] = -1;
	for (unsigned int t = 0; t < 3; t++) {
		m->pde[t] = (uint64_t)page_alloc() | RW;
		*space_entry(m->pml4, slot_va(t * 8), 2) = m->pde[t];
		m->table_linked[t] = true;
	}
}

static void random_operations(uint64_t seed, unsigned int count)
{
	static struct model model[MODELS];
	uint64_t *page[PAGES], value[PAGES];
	unsigned int in_use = 0;

	random_state = seed;
	for (unsigned int i = 0; i < PAGES; i++) {
		page[i] = marked_page(i * 0x10000);
		value[i] = i * 0x10000;
	}
	for (unsigned int i = 0; i < MODELS; i++)
		random_start(&model[i]);
	space_use(model[0].pml4);
	for (unsigned int i = 0; i < count; i++) {
		struct model *m = &model[in_use];

		switch (random_below(10)) {
		case 0:
			in_use = (unsigned int)random_below(MODELS);
			space_use(model[in_use].pml4);
			break;
		case 1:
			change_table(m, (unsigned int)random_below(3));
			break;
		case 2: /* in a space that is not in use */
			change_slot(&model[random_below(MODELS)], (unsigned int)random_below(SLOTS), page);
			break;
		case 3:
		case 4:
		case 5:
			change_slot(m, (unsigned int)random_below(SLOTS), page);
			break;
		default:
			check_slot(m, (unsigned int)random_below(SLOTS), page, value);
		}
	}
	space_use(boot_pml4);
}

static void random_walk(void)
{
	random_operations(1, 20000);
}

static void random_walk_with_interrupts(void)
{
	uint64_t seed = 2;

	pit_start(1000);
	sti();
	while (ticks < 30 && seed < 2000) {
		size_t mark = page_mark();

		random_operations(seed++, 500);
		page_release(mark);
	}
	pit_stop();
	print("  %u ticks\n", ticks);
	check(ticks > 0);
}

void main(void)
{
	static const struct test tests[] = {
		{ "many_address_spaces", many_address_spaces },
		{ "changes_to_another_space", changes_to_another_space },
		{ "a_table_shared_by_two_spaces", a_table_shared_by_two_spaces },
		{ "a_table_at_two_levels", a_table_at_two_levels },
		{ "a_table_that_is_its_own_child", a_table_that_is_its_own_child },
		{ "recursive_slot", recursive_slot },
		{ "aliases_of_a_page", aliases_of_a_page },
		{ "data_becomes_table_becomes_data", data_becomes_table_becomes_data },
		{ "large_page_split_and_merged", large_page_split_and_merged },
		{ "large_page_moved", large_page_moved },
		{ "page_table_under_a_large_page", page_table_under_a_large_page },
		{ "whole_branches_cut_and_linked", whole_branches_cut_and_linked },
		{ "global_pages", global_pages },
		{ "a_flood_of_tables", a_flood_of_tables },
		{ "random_walk", random_walk },
		{ "random_walk_with_interrupts", random_walk_with_interrupts },
	};

	traps_init();
	run_tests(tests, ARRAY_SIZE(tests));
}
