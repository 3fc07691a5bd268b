// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest to take snapshots of (tests/system/test_snapshot.py): what it says follows from
 * all that it has done since its start - memory, page tables, a vector register, a
 * debug register, an address space - while a timer interrupts it. Whoever goes back to a
 * snapshot hears the same again. At its end it waits for a key.
 */
#include "tests/guest/rt/rt64.h"

#define ROUNDS 16
#define PAGES 48
#define PASSES 8
#define WORDS (PAGE / sizeof(uint64_t))
#define WINDOW 0x8000000000ul /* where the pages are mapped, another order each round */
#define RW (PTE_P | PTE_W)
#define CR4_OSFXSR (1ul << 9)
#define COM1_DATA 0x3F8
#define COM1_STATUS 0x3FD
#define END_KEY 'q'

static uint64_t *page[PAGES];
static pte_t *pml4;
static uint64_t random_state = 0x9E3779B97F4A7C15ul;

static uint64_t next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static uint64_t get_xmm3(void) { uint64_t v; asm volatile("movq %%xmm3, %0" : "=r"(v)); return v; }
static void set_xmm3(uint64_t v) { asm volatile("movq %0, %%xmm3" : : "r"(v)); }
static uint64_t get_dr2(void) { uint64_t v; asm volatile("mov %%dr2, %0" : "=r"(v)); return v; }
static void set_dr2(uint64_t v) { asm volatile("mov %0, %%dr2" : : "r"(v)); }

/* Place i of the window shows another page. */
static void map_anew(unsigned int round)
{
	for (unsigned int i = 0; i < PAGES; i++) {
		*space_entry(pml4, WINDOW + i * PAGE, 1) = (uint64_t)page[(i + round) % PAGES] | RW;
		invlpg(WINDOW + i * PAGE);
	}
}

static void write_all(unsigned int round)
{
	for (unsigned int pass = 0; pass < PASSES; pass++)
		for (unsigned int i = 0; i < PAGES; i++) {
			volatile uint64_t *p = (uint64_t *)(WINDOW + i * PAGE);

			for (unsigned int k = pass & 7; k < WORDS; k += 8)
				p[k] = (p[k] ^ next()) + round;
		}
}

/* Of what is in the pages, whatever shows it. */
static uint64_t sum_all(void)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < PAGES; i++)
		for (unsigned int k = 0; k < WORDS; k++)
			sum = (sum ^ page[i][k]) * 0x100000001B3ul;
	return sum;
}

/* Through the window and below it there is the same. */
static void window_shows_the_pages(unsigned int round)
{
	for (unsigned int i = 0; i < PAGES; i++)
		for (unsigned int k = 0; k < WORDS; k += 37)
			if (((volatile uint64_t *)(WINDOW + i * PAGE))[k] != page[(i + round) % PAGES][k]) {
				check_failed(__FILE__, __LINE__, "the window shows its page");
				return;
			}
}

static void rounds_follow_from_each_other(void)
{
	uint64_t before = 0, ticks_before;

	for (unsigned int round = 1; round <= ROUNDS; round++) {
		check_equal(sum_all(), before); /* since the last round nobody has written */
		check_equal(get_xmm3(), before);
		check_equal(get_dr2(), before >> 17);
		ticks_before = ticks;
		map_anew(round);
		write_all(round);
		window_shows_the_pages(round);
		check(ticks > ticks_before);
		before = sum_all();
		set_xmm3(before);
		set_dr2(before >> 17);
		print("round %u sum %x\n", (unsigned long)round, before);
	}
}

static void the_key_is_heard(void)
{
	print("all rounds are over\n");
	while (wait_for(COM1_STATUS, 1, 1))
		if (inb(COM1_DATA) == END_KEY)
			return;
	check(!"a key");
}

static void prepare(void)
{
	traps_init();
	write_cr4(read_cr4() | CR4_OSFXSR);
	pml4 = space_new();
	for (unsigned int i = 0; i < PAGES; i++) {
		page[i] = page_alloc();
		space_map(pml4, WINDOW + i * PAGE, page[i], RW);
	}
	space_use(pml4);
	set_xmm3(sum_all());
	pit_start(1000);
	sti();
}

static void first_sum_is_known(void)
{
	check_equal(sum_all(), 0);
}

void main(void)
{
	static const struct test tests[] = {
		{ "first_sum_is_known", first_sum_is_known },
		{ "rounds_follow_from_each_other", rounds_follow_from_each_other },
		{ "the_key_is_heard", the_key_is_heard },
	};

	prepare();
	run_tests(tests, ARRAY_SIZE(tests));
}
