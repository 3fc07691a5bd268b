// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every form of writing to memory, on page-table entries of every level: the
 * mapping must change at once, or after INVLPG where the architecture asks
 * for one. Then writes that are wider than an entry, and writes by the CPU
 * itself.
 */
#include "tests/guest/rt/forms.h"

#define INDEX ((uint64_t)FORM_SLOT)
#define VA (INDEX << 39 | INDEX << 30 | INDEX << 21 | INDEX << 12)
#define RW (PTE_P | PTE_W)
#define MARK_A 0xAAAA0000ul
#define MARK_B 0xBBBB0000ul

/* Two ways from one entry to a page: the entry's level and what it can be. */
struct fork {
	pte_t *pml4, *entry;
	uint64_t a, b;
};

/* A chain of tables from @level - 1 down that maps VA to @page. */
static uint64_t chain(int level, const void *page)
{
	uint64_t below = (uint64_t)page | RW;

	for (int l = 1; l < level; l++) {
		pte_t *table = page_alloc();

		table[INDEX] = below;
		below = (uint64_t)table | RW;
	}
	return below;
}

static struct fork fork_at(int level)
{
	struct fork f = { .pml4 = space_new() };

	f.entry = space_entry(f.pml4, VA, level);
	f.a = chain(level, marked_page(MARK_A));
	f.b = chain(level, marked_page(MARK_B));
	*f.entry = f.a;
	return f;
}

static void check_mark(uint64_t va, uint64_t mark, const char *who)
{
	uint64_t v = 0;
	unsigned int r = try_read(va, &v);

	if (r || v != mark) {
		check_failed(__FILE__, __LINE__, who);
		print("  read of 0x%x: result 0x%x, value 0x%x, want 0x%x\n", va, (unsigned long)r, v, mark);
	}
}

/* a -> b -> not present -> a, by one form, with the hardware's own bits in between. */
static void go_round(const struct form *form, struct fork *f)
{
	check_mark(VA, MARK_A, form->name);
	form->write(f->entry, *f->entry, f->b);
	invlpg(VA);
	check_mark(VA, MARK_B, form->name);
	form->write(f->entry, *f->entry, f->b & ~PTE_P);
	invlpg(VA);
	if (try_read(VA, NULL) != PF(0) || trap.cr2 != VA)
		check_failed(__FILE__, __LINE__, form->name);
	form->write(f->entry, *f->entry, f->a); /* not present before: no INVLPG */
	check_mark(VA, MARK_A, form->name);
}

static void forms_at(int level)
{
	struct fork f = fork_at(level);

	space_use(f.pml4);
	for (size_t i = 0; i < form_count; i++) {
		if (forms[i].available && !forms[i].available())
			continue;
		if (level == 4 && forms[i].flags & FORM_WIDE)
			continue; /* would write over the kernel's own entry */
		go_round(&forms[i], &f);
	}
	space_use(boot_pml4);
}

static void forms_on_page_tables(void) { forms_at(1); }
static void forms_on_directories(void) { forms_at(2); }
static void forms_on_pointer_tables(void) { forms_at(3); }
static void forms_on_pml4(void) { forms_at(4); }

/* The same while the entry is reached through 4 KiB mappings of its own. */
static void forms_through_a_small_alias(void)
{
	struct fork f = fork_at(1);
	uint64_t alias = 0x8000000000ul;

	space_map(f.pml4, alias, (void *)((uint64_t)f.entry & ~(PAGE - 1)), RW);
	space_use(f.pml4);
	f.entry = (pte_t *)(alias + INDEX * 8);
	for (size_t i = 0; i < form_count; i++) {
		if (forms[i].flags & FORM_LOW)
			continue;
		if (!forms[i].available || forms[i].available())
			go_round(&forms[i], &f);
	}
	space_use(boot_pml4);
}

static void forms_with_interrupts(void)
{
	struct fork f = fork_at(1);
	unsigned long rounds = 0;

	space_use(f.pml4);
	pit_start(2000);
	sti();
	while (ticks < 40 && rounds < 5000) {
		for (size_t i = 0; i < form_count; i++) {
			if (forms[i].flags & FORM_IO || (forms[i].available && !forms[i].available()))
				continue;
			if (forms[i].flags & FORM_STACK)
				cli();
			go_round(&forms[i], &f);
			sti();
		}
		rounds++;
	}
	pit_stop();
	print("  %u rounds, %u ticks\n", rounds, ticks);
	check(ticks >= 40);
	space_use(boot_pml4);
}

/* One REP over the whole table. */
static void rep_over_a_whole_table(void)
{
	pte_t *pml4 = space_new(), *table, *image = page_alloc();
	uint64_t *pages[8], base = VA & ~0x1FFFFFul, n;
	void *d;
	const void *s;

	for (int i = 0; i < 8; i++)
		pages[i] = marked_page(0x100 * (uint64_t)i);
	table = space_entry(pml4, base, 1);
	space_use(pml4);

	for (int round = 0; round < 3; round++) {
		d = table;
		n = 512;
		asm volatile("rep stosq" : "+D"(d), "+c"(n) : "a"((uint64_t)pages[round] | RW) : "memory");
		flush_tlb();
		for (uint64_t i = 0; i < 512; i += 3)
			check_mark(base + i * PAGE, 0x100 * (uint64_t)round, "rep stosq");
	}
	for (uint64_t i = 0; i < 512; i++)
		image[i] = (uint64_t)pages[i % 8] | RW;
	d = table;
	s = image;
	n = 512;
	asm volatile("rep movsq" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
	flush_tlb();
	for (uint64_t i = 0; i < 512; i += 5)
		check_mark(base + i * PAGE, 0x100 * (i % 8), "rep movsq");
	d = table;
	n = PAGE;
	asm volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(0) : "memory");
	flush_tlb();
	for (uint64_t i = 0; i < 512; i += 7)
		check_equal(try_read(base + i * PAGE, NULL), PF(0));
	space_use(boot_pml4);
}

/* Stores that begin in one page table and end in the next. */
static void stores_across_two_tables(void)
{
	pte_t *pml4 = space_new(), *t1 = page_alloc(), *t2 = page_alloc();
	uint64_t window = 0x9000000000ul, v1 = VA & ~0x1FFFFFul, v2 = v1 + 0x200000;
	uint64_t *p[4];
	uint8_t bytes[16];

	for (int i = 0; i < 4; i++)
		p[i] = marked_page(0x1000 * ((uint64_t)i + 1));
	/* The last entry of t1 and the first of t2, side by side in a window. */
	*space_entry(pml4, v1, 2) = (uint64_t)t1 | RW;
	*space_entry(pml4, v2, 2) = (uint64_t)t2 | RW;
	space_map(pml4, window, t1, RW);
	space_map(pml4, window + PAGE, t2, RW);
	t1[511] = (uint64_t)p[0] | RW;
	t2[0] = (uint64_t)p[1] | RW;
	space_use(pml4);
	check_mark(v2 - PAGE, 0x1000, "before");
	check_mark(v2, 0x2000, "before");

	*(uint64_t *)bytes = (uint64_t)p[2] | RW;
	*(uint64_t *)(bytes + 8) = (uint64_t)p[3] | RW;
	asm volatile("movdqu %0, %%xmm0; movdqu %%xmm0, (%1)"
		     : : "m"(*(unsigned __int128 *)bytes), "r"(window + PAGE - 8) : "memory");
	flush_tlb();
	check_mark(v2 - PAGE, 0x3000, "movdqu across");
	check_mark(v2, 0x4000, "movdqu across");

	/* Eight bytes: the high half of one entry, the low half of the other. */
	*(volatile uint64_t *)(window + PAGE - 4) = (uint64_t)p[0] << 32 | RW << 32 | 0;
	flush_tlb();
	check_mark(v2 - PAGE, 0x3000, "mov across");
	check_mark(v2, 0x1000, "mov across");

	uint64_t with = (uint64_t)p[1] << 32 | RW << 32;
	asm volatile("lock xchgq %0, (%1)" : "+r"(with) : "r"(window + PAGE - 4) : "memory");
	flush_tlb();
	check_mark(v2, 0x2000, "xchg across");
	space_use(boot_pml4);
}

/* A fault in the second page: the first must not have changed. */
static void a_store_across_that_faults_changes_nothing(void)
{
	pte_t *pml4 = space_new(), *t1 = page_alloc();
	uint64_t window = 0x9000000000ul, v1 = VA & ~0x1FFFFFul, before;

	*space_entry(pml4, v1, 2) = (uint64_t)t1 | RW;
	space_map(pml4, window, t1, RW);
	t1[511] = (uint64_t)marked_page(0x77) | RW;
	space_use(pml4);
	check_mark(v1 + 511 * PAGE, 0x77, "before");
	before = t1[511];
	check_equal(try_write(window + PAGE - 4, 0), PF(PF_W));
	check_equal(trap.cr2, window + PAGE);
	check_equal(t1[511], before);
	check_mark(v1 + 511 * PAGE, 0x77, "after");
	space_use(boot_pml4);
}

static uint64_t frame_seen[5];

static void on_breakpoint(struct trap_frame *f)
{
	frame_seen[0] = f->vector;
	frame_seen[1] = f->rip;
	frame_seen[2] = f->cs;
	frame_seen[3] = f->rsp;
	frame_seen[4] = (uint64_t)f;
}

/* The CPU pushes an exception frame onto a page-table page. */
static void event_frame_on_a_page_table(void)
{
	struct fork f = fork_at(1);
	pte_t *table = (pte_t *)((uint64_t)f.entry & ~(PAGE - 1));
	uint64_t here;

	space_use(f.pml4);
	trap_hook(3, on_breakpoint);
	for (int i = 0; i < 4; i++) {
		check_mark(VA, MARK_A, "before the event");
		frame_seen[0] = 0;
		trap_stack(3, (uint64_t)(table + 512));
		asm volatile("lea 1f(%%rip), %0; int3; 1:" : "=r"(here) : : "memory");
		trap_stack(3, 0);
		check_equal(frame_seen[0], 3);
		check_equal(frame_seen[1], here);
		check_equal(frame_seen[2], 8);
		check((uint64_t)frame_seen[4] > (uint64_t)table && frame_seen[4] < (uint64_t)(table + 512));
		check_mark(VA, MARK_A, "after the event");
		*f.entry = f.b;
		invlpg(VA);
		check_mark(VA, MARK_B, "after the event");
		*f.entry = f.a;
		invlpg(VA);
	}
	trap_hook(3, NULL);
	space_use(boot_pml4);
}

/* Code that runs from a page-table page, and rewrites an entry beside it. */
static void code_on_a_page_table(void)
{
	static const uint8_t code[] = { 0x48, 0x89, 0x37, 0xC3 }; /* mov [rdi], rsi; ret */
	struct fork f = fork_at(1);
	uint8_t *at = (uint8_t *)((uint64_t)f.entry & ~(PAGE - 1)) + 0x800;

	space_use(f.pml4);
	check_mark(VA, MARK_A, "before");
	memcpy(at, code, sizeof(code));
	for (int i = 0; i < 10; i++) {
		((void (*)(uint64_t *, uint64_t))at)(f.entry, i & 1 ? f.a : f.b);
		invlpg(VA);
		check_mark(VA, i & 1 ? MARK_A : MARK_B, "from the page table");
	}
	space_use(boot_pml4);
}

void main(void)
{
	static const struct test tests[] = {
		{ "forms_on_page_tables", forms_on_page_tables },
		{ "forms_on_directories", forms_on_directories },
		{ "forms_on_pointer_tables", forms_on_pointer_tables },
		{ "forms_on_pml4", forms_on_pml4 },
		{ "forms_through_a_small_alias", forms_through_a_small_alias },
		{ "forms_with_interrupts", forms_with_interrupts },
		{ "rep_over_a_whole_table", rep_over_a_whole_table },
		{ "stores_across_two_tables", stores_across_two_tables },
		{ "a_store_across_that_faults_changes_nothing", a_store_across_that_faults_changes_nothing },
		{ "event_frame_on_a_page_table", event_frame_on_a_page_table },
		{ "code_on_a_page_table", code_on_a_page_table },
	};

	traps_init();
	run_tests(tests, ARRAY_SIZE(tests));
}
