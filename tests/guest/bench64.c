// SPDX-License-Identifier: GPL-2.0-only
/*
 * What memory management costs a guest: the time-stamp counter around many
 * repetitions of one operation each. In Bochs with one CPU the counter counts
 * instructions, the hypervisor's own included, so the numbers repeat exactly.
 * On the bare machine the same kernel says what the operations cost alone.
 */
#include "tests/guest/rt/rt64.h"

#define VA 0x8040000000ul
#define RW (PTE_P | PTE_W)
#define PAGES 256u
#define TABLES 16u
#define SPACES 8u

static inline uint64_t now(void)
{
	uint32_t lo, hi;

	asm volatile("rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
	return (uint64_t)hi << 32 | lo;
}

static inline void touch(uint64_t va) { asm volatile("movb (%0), %%al" : : "r"(va) : "rax", "memory"); }
static inline void write_pte(pte_t *pte, uint64_t v) { *(volatile pte_t *)pte = v; }

static pte_t *pml4, *pt, *pd;
static uint64_t page_a, page_b;
static uint64_t other_space[SPACES];

static void say(const char *what, uint64_t since, unsigned int times)
{
	uint64_t each = (now() - since + times / 2) / times;

	print("bench %s: %u\n", what, each);
	check(each > 0);
}

static uint64_t va_of(unsigned int i) { return VA + i * PAGE; }

static void fill(uint64_t flags)
{
	for (unsigned int i = 0; i < PAGES; i++)
		write_pte(&pt[i], flags ? page_a | flags : 0);
	flush_tlb();
}

static void touch_all(void)
{
	for (unsigned int i = 0; i < PAGES; i++)
		touch(va_of(i));
}

static void set_up(void)
{
	space_use(boot_pml4); /* the pages of the last space are handed out again */
	pml4 = space_new();
	page_a = (uint64_t)page_alloc();
	page_b = (uint64_t)page_alloc();
	pt = space_entry(pml4, VA, 1);
	pd = space_entry(pml4, VA, 2);
	space_use(pml4);
	touch((uint64_t)pt);
}

static void exit_cpuid(void)
{
	uint64_t start = now();
	uint32_t r[4];

	for (unsigned int i = 0; i < 1000; i++)
		cpuid(0, 0, r);
	say("cpuid", start, 1000);
}

static void map(void)
{
	uint64_t start;

	set_up();
	fill(0);
	touch((uint64_t)pt);
	start = now();
	for (unsigned int i = 0; i < PAGES; i++) {
		write_pte(&pt[i], page_a | RW);
		touch(va_of(i));
	}
	say("write a PTE and touch", start, PAGES);
}

static void first_touch(void)
{
	uint64_t start;

	set_up();
	fill(RW);
	start = now();
	touch_all();
	say("first touch of a mapped page", start, PAGES);
}

/* Writes @value to the PTE of each page, which was in use, and touches it again. */
static void change_each(uint64_t value, void (*invalidate)(uint64_t va), const char *what)
{
	uint64_t start;

	set_up();
	fill(RW);
	touch_all();
	start = now();
	for (unsigned int i = 0; i < PAGES; i++) {
		write_pte(&pt[i], value);
		invalidate(va_of(i));
		touch(va_of(i));
	}
	say(what, start, PAGES);
}

static void by_invlpg(uint64_t va) { invlpg(va); }
static void by_reload(uint64_t va) { flush_tlb(); }

static void remap(void) { change_each(page_b | RW, by_invlpg, "remap, INVLPG, touch"); }
static void remap_by_reload(void) { change_each(page_b | RW, by_reload, "remap one PTE, CR3 reload, touch"); }
static void write_protect(void) { change_each(page_a | PTE_P, by_invlpg, "write-protect, INVLPG, read"); }

static void new_table(void)
{
	pte_t *table[TABLES];
	uint64_t start;

	set_up();
	fill(RW);
	for (unsigned int i = 0; i < TABLES; i++) {
		table[i] = page_alloc();
		table[i][0] = page_a | RW;
	}
	touch(VA);
	start = now();
	for (unsigned int i = 0; i < TABLES; i++) {
		write_pte(pd + 1 + i, (uint64_t)table[i] | RW);
		touch(VA + ((1ul + i) << 21));
	}
	say("new page table: link, touch", start, TABLES);
}

static void switch_spaces(unsigned int n, const char *what)
{
	uint64_t start;

	set_up();
	other_space[0] = read_cr3();
	for (unsigned int i = 1; i < n; i++)
		other_space[i] = (uint64_t)space_new();
	for (unsigned int i = 0; i < 2 * n; i++)
		write_cr3(other_space[i % n]);
	start = now();
	for (unsigned int i = 0; i < 512; i++)
		write_cr3(other_space[i % n]);
	say(what, start, 512);
}

static void cr3_reload(void) { switch_spaces(1, "CR3 reload"); }
static void cr3_two(void) { switch_spaces(2, "CR3, two spaces in turn"); }
static void cr3_eight(void) { switch_spaces(SPACES, "CR3, eight spaces in turn"); }

static void invalidate(void)
{
	uint64_t start;

	set_up();
	fill(RW);
	touch_all();
	start = now();
	for (unsigned int i = 0; i < PAGES; i++) {
		invlpg(va_of(i));
		touch(va_of(i));
	}
	say("INVLPG, touch", start, PAGES);
}

/* Handlers of the shortest kind. touch() is two bytes long. */
void bench_skip(void);
void bench_map(void);
asm("bench_skip: addq $8, %rsp\n addq $2, (%rsp)\n iretq\n"
    "bench_map: addq $8, %rsp\n movq %r9, (%r8)\n iretq\n");

static void set_handler(void (*handler)(void), uint64_t gate[2])
{
	uint64_t *g = trap_gate(14), at = (uint64_t)handler;

	gate[0] = g[0];
	gate[1] = g[1];
	g[0] = (g[0] & 0x0000FFFFFFFF0000ull) | (at & 0xFFFF) | (at >> 16 & 0xFFFF) << 48;
	g[1] = at >> 32;
}

static void restore_handler(const uint64_t gate[2])
{
	trap_gate(14)[0] = gate[0];
	trap_gate(14)[1] = gate[1];
}

static void own_fault(void)
{
	uint64_t start, gate[2];

	set_up();
	fill(0);
	set_handler(bench_skip, gate);
	touch_all();
	start = now();
	touch_all();
	say("the guest's own #PF", start, PAGES);
	restore_handler(gate);
}

static void demand_paging(void)
{
	uint64_t start, gate[2];

	set_up();
	fill(0);
	set_handler(bench_map, gate);
	start = now();
	for (unsigned int i = 0; i < PAGES; i++) {
		register pte_t *pte asm("r8") = &pt[i];
		register uint64_t value asm("r9") = page_a | RW;

		asm volatile("movb (%0), %%al" : : "r"(va_of(i)), "r"(pte), "r"(value) : "rax", "memory");
	}
	say("demand paging", start, PAGES);
	restore_handler(gate);
}

void main(void)
{
	static const struct test tests[] = {
		{ "cpuid", exit_cpuid },
		{ "map", map },
		{ "remap", remap },
		{ "write_protect", write_protect },
		{ "new_table", new_table },
		{ "cr3_reload", cr3_reload },
		{ "cr3_two", cr3_two },
		{ "cr3_eight", cr3_eight },
		{ "remap_by_reload", remap_by_reload },
		{ "invalidate", invalidate },
		{ "own_fault", own_fault },
		{ "demand_paging", demand_paging },
		{ "first_touch", first_touch },
	};

	traps_init();
	run_tests(tests, ARRAY_SIZE(tests));
}
