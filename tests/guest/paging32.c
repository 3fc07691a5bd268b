// SPDX-License-Identifier: GPL-2.0-only
/*
 * A 32-bit kernel that turns two-level paging on and off: mappings, rights,
 * 4 MiB pages, and tables changed while paging is off.
 */
#include "tests/guest/rt/rt32.h"

#define VA 0xC0400000u
#define P 1u
#define W 2u
#define A 0x20u
#define D 0x40u
#define PS 0x80u
#define CR0_PG (1u << 31)
#define CR0_WP (1u << 16)
#define CR4_PSE (1u << 4)

static uint32_t *directory, *table, *page_a, *page_b;

/* The first 64 MiB onto themselves in 4 KiB pages, VA to page_a. */
static void tables_make(void)
{
	directory = page_alloc();
	for (uint32_t i = 0; i < 16; i++) {
		uint32_t *t = page_alloc();

		for (uint32_t j = 0; j < 1024; j++)
			t[j] = (i << 22 | j << 12) | P | W;
		directory[i] = (uint32_t)t | P | W;
	}
	table = page_alloc();
	page_a = page_alloc();
	page_b = page_alloc();
	*page_a = 0xAAAA;
	*page_b = 0xBBBB;
	table[0] = (uint32_t)page_a | P | W;
	directory[VA >> 22] = (uint32_t)table | P | W;
	write_cr3((uint32_t)directory);
}

static void paging(bool on)
{
	write_cr0(on ? read_cr0() | CR0_PG | CR0_WP : read_cr0() & ~(CR0_PG | CR0_WP));
}

static void check_read(uint32_t va, uint32_t want)
{
	uint32_t v = 0;

	check_equal(try_read(va, &v), 0);
	check_equal(v, want);
}

static void mapping_is_followed(void)
{
	tables_make();
	paging(true);
	check_read(VA, 0xAAAA);
	table[0] = (uint32_t)page_b | P | W;
	invlpg(VA);
	check_read(VA, 0xBBBB);
	table[0] = 0;
	invlpg(VA);
	check_equal(try_read(VA, NULL), 0x100);
	check_equal(trap.cr2, VA);
	table[0] = (uint32_t)page_a | P;
	check_read(VA, 0xAAAA);
	check_equal(try_write(VA, 1), 0x103);
	write_cr0(read_cr0() & ~CR0_WP);
	check_equal(try_write(VA, 0xAAAB), 0);
	paging(false);
	check_equal(*page_a, 0xAAAB);
}

static void accessed_and_dirty(void)
{
	tables_make();
	paging(true);
	check_read(VA, 0xAAAA);
	check_equal(table[0] & (A | D), A);
	check_equal(directory[VA >> 22] & A, A);
	check_equal(try_write(VA, 2), 0);
	check_equal(table[0] & (A | D), A | D);
	paging(false);
}

static void tables_change_while_paging_is_off(void)
{
	tables_make();
	for (int i = 0; i < 10; i++) {
		paging(true);
		check_read(VA, i & 1 ? 0xBBBB : 0xAAAA);
		paging(false);
		table[0] = (uint32_t)(i & 1 ? page_a : page_b) | P | W;
	}
}

static void large_pages(void)
{
	tables_make();
	write_cr4(read_cr4() | CR4_PSE);
	*(volatile uint32_t *)0x800000 = 0x1234;
	*(volatile uint32_t *)0xBFF000 = 0x5678;
	directory[VA >> 22] = 0x800000 | P | W | PS;
	paging(true);
	check_read(VA, 0x1234);
	check_read(VA + 0x3FF000, 0x5678);
	check_equal(directory[VA >> 22] & (A | D), A);
	check_equal(try_write(VA, 1), 0);
	check_equal(directory[VA >> 22] & (A | D), A | D);
	directory[VA >> 22] = (uint32_t)table | P | W;
	invlpg(VA);
	check_read(VA, 0xAAAA);
	paging(false);
	write_cr4(read_cr4() & ~CR4_PSE);
}

static void many_directories(void)
{
	uint32_t *other[8];

	tables_make();
	for (uint32_t i = 0; i < 8; i++) {
		uint32_t *t = page_alloc(), *p = page_alloc();

		other[i] = page_alloc();
		memcpy(other[i], directory, 4096);
		*p = i;
		t[0] = (uint32_t)p | P | W;
		other[i][VA >> 22] = (uint32_t)t | P | W;
	}
	paging(true);
	for (uint32_t i = 0; i < 40; i++) {
		write_cr3((uint32_t)other[i * 3 % 8]);
		check_read(VA, i * 3 % 8);
	}
	paging(false);
}

void main(void)
{
	static const struct test tests[] = {
		{ "mapping_is_followed", mapping_is_followed },
		{ "accessed_and_dirty", accessed_and_dirty },
		{ "tables_change_while_paging_is_off", tables_change_while_paging_is_off },
		{ "large_pages", large_pages },
		{ "many_directories", many_directories },
	};

	traps_init();
	run_tests(tests, ARRAY_SIZE(tests));
}
