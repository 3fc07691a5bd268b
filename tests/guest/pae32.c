// SPDX-License-Identifier: GPL-2.0-only
/*
 * A 32-bit kernel with PAE paging: the four pointers that MOV to CR3 loads and
 * checks, NX, 2 MiB pages, reserved bits, rights against a model; then all
 * the switches between paging off, two-level and PAE paging, and addresses
 * beyond 4 GiB in 4 MiB pages.
 */
#include "tests/guest/rt/rt32.h"

#define VA 0xC0400000u
#define VA_POINTER (VA >> 30)
#define P 1ull
#define W 2ull
#define U 4ull
#define A 0x20ull
#define D 0x40ull
#define PS 0x80ull
#define NX (1ull << 63)
#define CR0_PG (1u << 31)
#define CR0_WP (1u << 16)
#define CR0_CD (1u << 30)
#define CR4_PSE (1u << 4)
#define CR4_PAE (1u << 5)
#define CR4_PGE (1u << 7)
#define CR4_SMEP (1u << 20)
#define CR4_SMAP (1u << 21)
#define MSR_EFER 0xC0000080u
#define EFER_NXE (1u << 11)
#define EFLAGS_AC (1u << 18)

#define PF(code) (0x100u | (code))
#define GP (0x1000u | 13)

static uint64_t *pointers, *directory[4], *table;
static uint32_t *page_a, *page_b;

/* All 4 GiB have directories; the first 64 MiB are mapped onto themselves by 2 MiB pages, VA to page_a. */
static void tables_make(void)
{
	pointers = page_alloc();
	for (uint32_t i = 0; i < 4; i++) {
		directory[i] = page_alloc();
		pointers[i] = (uint32_t)directory[i] | P;
	}
	for (uint32_t i = 0; i < 32; i++)
		directory[0][i] = (uint64_t)i << 21 | P | W | PS;
	table = page_alloc();
	page_a = page_alloc();
	page_b = page_alloc();
	*page_a = 0xAAAA;
	*page_b = 0xBBBB;
	table[0] = (uint32_t)page_a | P | W;
	directory[VA_POINTER][(VA >> 21) & 511] = (uint32_t)table | P | W;
}

static void paging_on(void)
{
	write_cr4(read_cr4() | CR4_PAE);
	write_cr3((uint32_t)pointers);
	write_cr0(read_cr0() | CR0_PG | CR0_WP);
}

static void paging_off(void)
{
	write_cr0(read_cr0() & ~(CR0_PG | CR0_WP));
	write_cr4(read_cr4() & ~(CR4_PAE | CR4_SMEP | CR4_SMAP | CR4_PGE));
}

static void flush(void) { asm volatile("mov %%cr3, %%eax; mov %%eax, %%cr3" : : : "eax", "memory"); }

static void check_read(uint32_t va, uint32_t want)
{
	uint32_t v = 0;

	check_equal(try_read(va, &v), 0);
	check_equal(v, want);
}

static void do_write_cr3(uint32_t v, uint32_t unused) { write_cr3(v); }
static void do_write_cr0(uint32_t v, uint32_t unused) { write_cr0(v); }
static void do_write_cr4(uint32_t v, uint32_t unused) { write_cr4(v); }
static void do_call(uint32_t addr, uint32_t unused) { asm volatile("call *%0" : : "r"(addr) : "memory"); }

static bool has_nx(void)
{
	uint32_t r[4];

	cpuid(0x80000001, 0, r);
	return r[3] >> 20 & 1;
}

static void mapping_is_followed(void)
{
	tables_make();
	paging_on();
	check_read(VA, 0xAAAA);
	table[0] = (uint32_t)page_b | P | W;
	invlpg(VA);
	check_read(VA, 0xBBBB);
	table[0] = 0;
	invlpg(VA);
	check_equal(try_read(VA, NULL), PF(0));
	check_equal(trap.cr2, VA);
	table[0] = (uint32_t)page_a | P;
	check_read(VA, 0xAAAA);
	check_equal(try_write(VA, 1), PF(3));
	check_equal(table[0] & (A | D), A);
	paging_off();
}

/* Memory may say what it likes until CR3 is written again. */
static void pointers_are_registers(void)
{
	uint64_t *other, *other_table;

	tables_make();
	other = page_alloc();
	memcpy(other, directory[VA_POINTER], 4096);
	other[(VA >> 21) & 511] = (uint32_t)page_alloc() | P | W;
	other_table = (uint64_t *)(uint32_t)(other[(VA >> 21) & 511] & ~0xFFFull);
	other_table[0] = other_table[1] = (uint32_t)page_b | P | W;
	table[1] = (uint32_t)page_a | P | W;
	paging_on();
	check_read(VA, 0xAAAA);
	pointers[VA_POINTER] = (uint32_t)other | P;
	invlpg(VA);
	check_read(VA, 0xAAAA);
	check_read(VA + 4096, 0xAAAA); /* for the first time: nobody has the translation yet */
	flush();
	check_read(VA, 0xBBBB);
	check_read(VA + 4096, 0xBBBB);
	pointers[VA_POINTER] = 0;
	invlpg(VA);
	check_read(VA, 0xBBBB);
	flush();
	check_equal(try_read(VA, NULL), PF(0));
	paging_off();
}

/* PDPTEs have no rights, no accessed bit, and reserved bits that MOV to CR3 refuses. */
static void reserved_bits_of_pointers(void)
{
	static const uint64_t reserved[] = { 2, 4, 0x20, 0x40, 0x80, 0x100, 1ull << 63, 1ull << 52 };

	tables_make();
	paging_on();
	for (unsigned int i = 0; i < ARRAY_SIZE(reserved); i++) {
		pointers[VA_POINTER] = (uint32_t)directory[VA_POINTER] | P | reserved[i];
		check_equal(trap_result(try_call(do_write_cr3, (uint32_t)pointers, 0)), GP);
		check_read(VA, 0xAAAA); /* as before */
		pointers[VA_POINTER] &= ~P; /* not present: nothing is reserved */
		check_equal(trap_result(try_call(do_write_cr3, (uint32_t)pointers, 0)), 0);
		check_equal(try_read(VA, NULL), PF(0));
		pointers[VA_POINTER] = (uint32_t)directory[VA_POINTER] | P;
		flush();
	}
	check_equal(pointers[VA_POINTER] & A, 0);
	paging_off();
}

/* Turning paging on loads them, and so do changes of some other bits. */
static void who_else_loads_pointers(void)
{
	tables_make();
	paging_on();
	paging_off();
	write_cr4(read_cr4() | CR4_PAE);
	pointers[VA_POINTER] = (uint32_t)directory[VA_POINTER] | P | 2;
	check_equal(trap_result(try_call(do_write_cr0, read_cr0() | CR0_PG, 0)), GP);
	check(!(read_cr0() & CR0_PG));
	pointers[VA_POINTER] = (uint32_t)directory[VA_POINTER] | P;
	paging_on();
	pointers[VA_POINTER] |= 2;
	check_equal(trap_result(try_call(do_write_cr4, read_cr4() ^ CR4_PGE, 0)), GP);
	check_equal(trap_result(try_call(do_write_cr0, read_cr0() ^ CR0_CD, 0)), GP);
	check_read(VA, 0xAAAA);
	pointers[VA_POINTER] = (uint32_t)directory[VA_POINTER] | P;
	write_cr4(read_cr4() ^ CR4_PGE);
	check_read(VA, 0xAAAA);
	paging_off();
}

static void large_pages(void)
{
	uint64_t *entry;

	tables_make();
	entry = &directory[VA_POINTER][(VA >> 21) & 511];
	*(volatile uint32_t *)0x800000 = 0x1234;
	*(volatile uint32_t *)0x9FF000 = 0x5678;
	*entry = 0x800000 | P | W | PS;
	paging_on();
	check_read(VA, 0x1234);
	check_read(VA + 0x1FF000, 0x5678);
	check_equal(*entry & (A | D), A);
	check_equal(try_write(VA, 0x1234), 0);
	check_equal(*entry & (A | D), A | D);
	*entry |= 1u << 13; /* reserved in a page of 2 MiB */
	invlpg(VA);
	check_equal(try_read(VA, NULL), PF(9));
	*entry = (uint32_t)table | P | W;
	invlpg(VA);
	check_read(VA, 0xAAAA);
	paging_off();
}

static void reserved_bits(void)
{
	static const uint64_t high[] = { 1ull << 52, 1ull << 62 };

	tables_make();
	paging_on();
	for (unsigned int i = 0; i < ARRAY_SIZE(high); i++) {
		table[0] |= high[i];
		invlpg(VA);
		check_equal(try_read(VA, NULL), PF(9));
		check_equal(try_write(VA, 0), PF(11));
		table[0] &= ~high[i];
		directory[VA_POINTER][(VA >> 21) & 511] |= high[i];
		invlpg(VA);
		check_equal(try_read(VA, NULL), PF(9));
		directory[VA_POINTER][(VA >> 21) & 511] &= ~high[i];
		invlpg(VA);
		check_read(VA, 0xAAAA);
	}
	paging_off();
}

/* NX on either level, with NXE set and clear: then it is a reserved bit. */
static void no_execute(void)
{
	uint64_t *entry;
	uint32_t efer;

	if (!has_nx()) {
		skip("the CPU has no NX");
		return;
	}
	tables_make();
	entry = &directory[VA_POINTER][(VA >> 21) & 511];
	*(uint8_t *)page_a = 0xC3;
	efer = (uint32_t)rdmsr(MSR_EFER);
	wrmsr(MSR_EFER, efer | EFER_NXE);
	paging_on();
	check_equal(trap_result(try_call(do_call, VA, 0)), 0);
	table[0] |= NX;
	invlpg(VA);
	check_equal(trap_result(try_call(do_call, VA, 0)), PF(0x11));
	check_equal(try_read(VA, NULL), 0);
	table[0] &= ~NX;
	*entry |= NX;
	invlpg(VA);
	check_equal(trap_result(try_call(do_call, VA, 0)), PF(0x11));
	wrmsr(MSR_EFER, efer & ~EFER_NXE);
	flush();
	check_equal(try_read(VA, NULL), PF(9));
	*entry &= ~NX;
	flush();
	check_equal(trap_result(try_call(do_call, VA, 0)), 0);
	wrmsr(MSR_EFER, efer);
	paging_off();
}

/* Supervisor accesses to every combination of W and U on both levels, with WP, SMEP and SMAP. */
static void supervisor_rights(void)
{
	uint64_t *entry;
	bool smep = cpuid_7_ebx(7), smap = cpuid_7_ebx(20);

	tables_make();
	entry = &directory[VA_POINTER][(VA >> 21) & 511];
	*(uint8_t *)page_a = 0xC3;
	paging_on();
	for (unsigned int i = 0; i < 128; i++) {
		bool w = (i & 5) == 5, u = (i & 10) == 10, wp = i & 16;
		bool use_smep = smep && i & 32, use_smap = smap && i & 64;
		uint32_t cr4 = read_cr4() & ~(CR4_SMEP | CR4_SMAP);

		table[0] = (uint32_t)page_a | P | (i & 1 ? W : 0) | (i & 2 ? U : 0);
		*entry = (uint32_t)table | P | (i & 4 ? W : 0) | (i & 8 ? U : 0);
		write_cr0((read_cr0() & ~CR0_WP) | (wp ? CR0_WP : 0));
		write_cr4(cr4 | (use_smep ? CR4_SMEP : 0) | (use_smap ? CR4_SMAP : 0));
		flush();
		check_equal(try_read(VA, NULL), u && use_smap ? PF(1) : 0);
		check_equal(try_write(VA + 4, 1), (u && use_smap) || (!w && wp) ? PF(3) : 0);
		check_equal(trap_result(try_call(do_call, VA, 0)), u && use_smep ? PF(0x11) : 0);
	}
	paging_off();
}

/* In CR3 two-level paging ignores bits 11:5, which PAE paging does not: one value names both kinds of table. */
#define POINTERS_AT 0xFE0u

/* The same memory by all three kinds of paging, changed in between. */
static void between_the_modes(void)
{
	uint32_t *two_level, *small;

	tables_make();
	two_level = page_alloc();
	small = page_alloc();
	for (uint32_t i = 0; i < 16; i++)
		two_level[i] = i << 22 | 0x83;
	two_level[VA >> 22] = (uint32_t)small | 3;
	memcpy((uint8_t *)two_level + POINTERS_AT, pointers, 32);
	for (uint32_t i = 0; i < 12; i++) {
		uint32_t *want = i & 1 ? page_b : page_a, mark = 0x1000 + i;

		table[0] = (uint32_t)want | P | W;
		small[0] = (uint32_t)(i & 1 ? page_a : page_b) | 3;
		paging_on();
		check_equal(try_write(VA, mark), 0);
		paging_off();
		check_equal(*want, mark);
		write_cr4(read_cr4() | CR4_PSE);
		write_cr3((uint32_t)two_level + POINTERS_AT);
		write_cr0(read_cr0() | CR0_PG | CR0_WP);
		check_equal(try_write(VA, ~mark), 0);
		if (i % 3 == 0) { /* PAE on while two-level paging is on: CR3 then names pointers */
			write_cr4(read_cr4() | CR4_PAE);
			check_read(VA, mark);
			write_cr4(read_cr4() & ~CR4_PAE);
			check_read(VA, ~mark);
		}
		write_cr0(read_cr0() & ~(CR0_PG | CR0_WP));
		check_equal(i & 1 ? *page_a : *page_b, ~mark);
	}
	write_cr4(read_cr4() & ~CR4_PSE);
}

/* Bits 20:13 of a 4 MiB entry are address bits 39:32: nothing is mapped there, and bit 21 is reserved. */
static void pse36(void)
{
	uint32_t *two_level, r[4];

	cpuid(1, 0, r);
	if (!(r[3] >> 17 & 1)) {
		skip("the CPU has no PSE-36");
		return;
	}
	two_level = page_alloc();
	for (uint32_t i = 0; i < 16; i++)
		two_level[i] = i << 22 | 0x83;
	*(volatile uint32_t *)0x800000 = 0x77;
	write_cr4(read_cr4() | CR4_PSE);
	write_cr3((uint32_t)two_level);
	write_cr0(read_cr0() | CR0_PG);
	two_level[VA >> 22] = 0x800000 | 0x83;
	check_read(VA, 0x77);
	two_level[VA >> 22] = 0x800000 | 0x83 | 1u << 21;
	invlpg(VA);
	check_equal(try_read(VA, NULL), PF(9));
	two_level[VA >> 22] = 0x800000 | 0x83 | 8u << 13; /* 32 GiB + 8 MiB */
	invlpg(VA);
	check_read(VA, 0xFFFFFFFF);
	two_level[VA >> 22] = 0x800000 | 0x83;
	invlpg(VA);
	check_read(VA, 0x77);
	write_cr0(read_cr0() & ~CR0_PG);
	write_cr4(read_cr4() & ~CR4_PSE);
}

void main(void)
{
	static const struct test tests[] = {
		{ "mapping_is_followed", mapping_is_followed },
		{ "pointers_are_registers", pointers_are_registers },
		{ "reserved_bits_of_pointers", reserved_bits_of_pointers },
		{ "who_else_loads_pointers", who_else_loads_pointers },
		{ "large_pages", large_pages },
		{ "reserved_bits", reserved_bits },
		{ "no_execute", no_execute },
		{ "supervisor_rights", supervisor_rights },
		{ "between_the_modes", between_the_modes },
		{ "pse36", pse36 },
	};

	traps_init();
	run_tests(tests, ARRAY_SIZE(tests));
}
