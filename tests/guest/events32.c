// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events of a 32-bit kernel with two-level paging: each kind delivered on plain
 * stacks and on stacks in a page that is a page table in use, from ring 0,
 * ring 3 and virtual-8086 mode; then tables and faults on the way.
 */
#include "tests/guest/rt/rt32.h"

#define P 1u
#define W 2u
#define U 4u
#define PS 0x80u
#define CR0_PG (1u << 31)
#define CR0_WP (1u << 16)
#define CR4_PSE (1u << 4)
#define EFLAGS_TF (1u << 8)
#define EFLAGS_IF (1u << 9)
#define EFLAGS_IOPL3 (3u << 12)
#define EFLAGS_RF (1u << 16)
#define EFLAGS_VM (1u << 17)
#define FLAGS_SEEN (EFLAGS_TF | EFLAGS_IF | EFLAGS_RF | EFLAGS_VM)

#define TABLE_VA 0xC03FF000u /* entry 1023 of its table */
#define TABLE_ALIAS 0xC0801000u /* nothing is mapped below */
#define NOWHERE 0xC0C00000u
#define ROOM 0xF00u
#define TSS_SELECTOR 0x18u
#define USER_CODE 0x23u
#define USER_DATA 0x2Bu
#define VECTOR_USER_END 0x31u
#define VECTOR_INT 0x30u

static uint32_t *directory;
static uint8_t *table_page;
static struct {
	uint32_t link, esp0, ss0, rest[22];
	uint16_t trap, io_map;
} tss;

static struct seen {
	uint32_t vector, error, eip, cs, eflags, cr2, esp, ss, stack;
} seen[16];
static unsigned int seen_count;
static uint8_t skips[64];

extern uint32_t try_esp;
extern char try_landing[];
extern uint64_t gdt[];

/* ---- the stage ---------------------------------------------------------------------- */

static void map(uint32_t va, const void *page)
{
	uint32_t *entry = &directory[va >> 22];

	if (!(*entry & P))
		*entry = (uint32_t)page_alloc() | P | W | U;
	((uint32_t *)(*entry & ~0xFFFu))[va >> 12 & 1023] = (uint32_t)page | P | W;
}

static void paging_on(void)
{
	uint32_t *marked = page_alloc();

	directory = page_alloc();
	for (uint32_t i = 0; i < 16; i++)
		directory[i] = i << 22 | P | W | U | PS;
	marked[0] = 0x1234;
	map(TABLE_VA, marked);
	table_page = (uint8_t *)(directory[TABLE_VA >> 22] & ~0xFFFu);
	map(TABLE_ALIAS, table_page);
	write_cr4(read_cr4() | CR4_PSE);
	write_cr3((uint32_t)directory);
	write_cr0(read_cr0() | CR0_PG | CR0_WP);
}

static void table_live(void)
{
	invlpg(TABLE_VA);
	check_equal(*(volatile uint32_t *)TABLE_VA, 0x1234);
}

static uint64_t *gate(unsigned int vector)
{
	struct {
		uint16_t limit;
		uint32_t base;
	} __attribute__((packed)) idtr;

	asm volatile("sidt %0" : "=m"(idtr));
	return (uint64_t *)idtr.base + vector;
}

static void segments(void)
{
	uint32_t base = (uint32_t)&tss;

	tss.ss0 = 0x10;
	tss.io_map = sizeof(tss);
	gdt[TSS_SELECTOR / 8] = (sizeof(tss) - 1) | (uint64_t)(base & 0xFFFFFF) << 16 | 0x89ull << 40 |
				(uint64_t)(base >> 24) << 56;
	gdt[USER_CODE / 8] = 0x00CFFB000000FFFFull;
	gdt[USER_DATA / 8] = 0x00CFF3000000FFFFull;
	asm volatile("ltr %w0" : : "r"(TSS_SELECTOR));
	*gate(VECTOR_INT) |= 3ull << 45;
	*gate(VECTOR_USER_END) |= 3ull << 45;
	*gate(3) |= 3ull << 45;
	*gate(4) |= 3ull << 45;
}

static void on_seen(struct trap_frame *f)
{
	const uint32_t *outer = &f->eflags + 1;

	if (seen_count < ARRAY_SIZE(seen))
		seen[seen_count++] = (struct seen){ f->vector, f->error, f->eip, f->cs, f->eflags, read_cr2(), outer[0],
						    outer[1], (uint32_t)f };
	f->eip += skips[f->vector];
	if (f->vector == VECTOR_IRQ)
		outb(0x20, 0x20);
}

static void see(unsigned int vector, unsigned int skip_bytes)
{
	skips[vector] = (uint8_t)skip_bytes;
	trap_hook(vector, on_seen);
}

static void call_on_stack(uint8_t *top, void (*fn)(void))
{
	asm volatile("mov %%esp, %%ebx; mov %0, %%esp; call *%1; mov %%ebx, %%esp"
		     : "+r"(top), "+r"(fn) : : "ebx", "eax", "ecx", "edx", "memory", "cc");
}

/* ---- ring 0 --------------------------------------------------------------------------- */

#define EVENT(name, text) static void name(void) { asm volatile(text ::: "eax", "ecx", "memory", "cc"); }

EVENT(int_n, "int $0x30")
EVENT(int3, "int3")
EVENT(into, "mov $0x7fffffff, %%eax; inc %%eax; into")
EVENT(ud2, "ud2")
EVENT(general_protection, "mov $0x1000, %%eax; .byte 0x8E, 0xE0") /* mov eax, fs */
EVENT(page_fault, "mov $0xC0C00000, %%ecx; mov %%eax, (%%ecx)")
EVENT(interrupt, "mov $100000000, %%ecx; sti; 1: cmp $0, seen_count; jne 2f; dec %%ecx; jnz 1b; 2: cli")

static const struct event {
	void (*cause)(void);
	unsigned int vector, skip;
	bool sets_rf;
} kinds[] = {
	{ int_n, VECTOR_INT, 0, false }, { int3, 3, 0, false },	       { into, 4, 0, false },
	{ ud2, 6, 2, true },		 { general_protection, 13, 2, true }, { page_fault, 14, 2, true },
	{ interrupt, VECTOR_IRQ, 0, false },
};

static void cause(const struct event *e, uint8_t *top)
{
	seen_count = 0;
	if (e->vector == VECTOR_IRQ)
		pit_start(1000);
	see(e->vector, e->skip);
	call_on_stack(top, e->cause);
	if (e->vector == VECTOR_IRQ)
		pit_stop();
	trap_hook(e->vector, NULL);
}

static void the_stack_in_use(void)
{
	uint8_t *page = page_alloc();

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		for (int n = 0; n < 3; n++) {
			const struct event *e = &kinds[i];
			struct seen plain;

			cause(e, page + ROOM);
			check(seen_count >= 1);
			plain = seen[0];
			table_live();
			cause(e, table_page + ROOM);
			check(seen_count >= 1);
			check_equal(seen[0].vector, e->vector);
			check_equal(seen[0].error, plain.error);
			check_equal(seen[0].cs, 8);
			check_equal(seen[0].stack & 0xFFF, plain.stack & 0xFFF);
			check_equal(seen[0].eflags & FLAGS_SEEN, plain.eflags & FLAGS_SEEN);
			check_equal(!(seen[0].eflags & EFLAGS_RF), !e->sets_rf);
			if (e->vector != VECTOR_IRQ)
				check_equal(seen[0].eip, plain.eip);
			if (e->vector == 14)
				check_equal(seen[0].cr2, NOWHERE);
		}
}

/* ---- ring 3 and virtual-8086 mode --------------------------------------------------------- */

static void on_user_end(struct trap_frame *f)
{
	f->eax = 0;
	f->ecx = try_esp;
	f->eip = (uint32_t)try_landing;
	f->cs = 8;
	f->ds = f->es = 0x10;
	f->eflags = 2;
}

static void go_to_ring_3(uint32_t eip, uint32_t esp)
{
	asm volatile("mov %0, %%ds; mov %0, %%es; push %0; push %1; push $0x202; push %2; push %3; iretl"
		     : : "r"(USER_DATA), "r"(esp), "r"(USER_CODE), "r"(eip) : "memory");
}

/* At linear 8000h, in a segment of 800h. */
#define V86_CODE 0x8000u

static void go_to_v86(uint32_t unused, uint32_t esp)
{
	asm volatile("push $0x400; push $0x300; push $0x200; push $0x100; push $0x900; push %0; push %1; push $0x800\n"
		     "push $0; iretl" : : "r"(esp), "r"(2 | EFLAGS_VM | EFLAGS_IOPL3) : "memory");
}

#define CODE(name, text)                                                                                     \
	extern const char name[], name##_end[];                                                              \
	asm(".pushsection .rodata; " #name ": " text "; int $0x31; " #name "_end: .popsection")

CODE(user_int, "int $0x30");
CODE(user_int3, "int3");
CODE(user_ud2, "ud2");
CODE(user_fault, "movl $1, 0xC0C00000");

static const struct {
	const char *from, *to;
	unsigned int vector, skip, after;
} user_kinds[] = {
	{ user_int, user_int_end, VECTOR_INT, 0, 2 },
	{ user_int3, user_int3_end, 3, 0, 1 },
	{ user_ud2, user_ud2_end, 6, 2, 0 },
	{ user_fault, user_fault_end, 14, 10, 0 },
};

static void from_outside(unsigned int i, uint8_t *top, bool v86)
{
	uint8_t *code = v86 ? (uint8_t *)V86_CODE : page_alloc(), *stack = page_alloc();

	memcpy(code, user_kinds[i].from, (size_t)(user_kinds[i].to - user_kinds[i].from));
	tss.esp0 = (uint32_t)top;
	seen_count = 0;
	see(user_kinds[i].vector, user_kinds[i].skip);
	trap_hook(VECTOR_USER_END, on_user_end);
	try_call(v86 ? go_to_v86 : go_to_ring_3, (uint32_t)code, v86 ? 0x800 : (uint32_t)stack + PAGE);
	trap_hook(user_kinds[i].vector, NULL);
	check_equal(seen_count, 1);
	check_equal(seen[0].vector, user_kinds[i].vector);
	check_equal(seen[0].cs, v86 ? 0x800 : USER_CODE);
	check_equal(seen[0].ss, v86 ? 0x900 : USER_DATA);
	check_equal(seen[0].esp, v86 ? 0x800 : (uint32_t)stack + PAGE);
	check_equal(seen[0].eip, (v86 ? 0 : (uint32_t)code) + user_kinds[i].after);
	check_equal(!(seen[0].eflags & EFLAGS_VM), !v86);
	if (user_kinds[i].vector == 14)
		check_equal(seen[0].error, 6);
}

static void from_ring_3(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(user_kinds); i++)
		for (int n = 0; n < 3; n++) {
			table_live();
			from_outside(i, n ? table_page + ROOM : (uint8_t *)page_alloc() + ROOM, false);
		}
}

static void from_virtual_8086_mode(void)
{
	for (unsigned int i = 0; i < 3; i++) /* #PF beyond 1 MiB is not for it */
		for (int n = 0; n < 3; n++) {
			table_live();
			from_outside(i, n ? table_page + ROOM : (uint8_t *)page_alloc() + ROOM, true);
		}
}

/* ---- tables and faults ------------------------------------------------------------------------ */

static void segment_is_marked_accessed(void)
{
	struct {
		uint16_t limit;
		uint32_t base;
	} __attribute__((packed)) before, odd = { 0x2F, (uint32_t)table_page };
	uint64_t *copy = (uint64_t *)table_page;

	asm volatile("sgdt %0" : "=m"(before));
	see(VECTOR_INT, 0);
	for (int i = 0; i < 3; i++) {
		memcpy(copy, (void *)before.base, 0x30);
		copy[1] &= ~(1ull << 40);
		table_live();
		asm volatile("lgdt %0" : : "m"(odd));
		seen_count = 0;
		int_n();
		check_equal(seen_count, 1);
		check(copy[1] >> 40 & 1);
		asm volatile("lgdt %0" : : "m"(before));
	}
	trap_hook(VECTOR_INT, NULL);
	memset(table_page, 0, 64);
}

static void on_fault(struct trap_frame *f)
{
	on_seen(f);
	f->eip = (uint32_t)try_landing;
	f->ecx = try_esp;
	f->cs = 8;
	f->eax = 1;
	f->eflags = 2;
}

static void gate_absent_on_the_way(void)
{
	static const struct {
		void (*cause)(void);
		unsigned int vector, want;
	} all[] = { { int_n, VECTOR_INT, 11 }, { ud2, 6, 11 }, { general_protection, 13, 8 }, { page_fault, 14, 8 } };

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		uint64_t was = *gate(all[i].vector);

		seen_count = 0;
		table_live();
		trap_hook(all[i].want, on_fault);
		*gate(all[i].vector) = was & ~(1ull << 47);
		try_call((void (*)(uint32_t, uint32_t))all[i].cause, 0, 0);
		*gate(all[i].vector) = was;
		trap_hook(all[i].want, NULL);
		check_equal(seen_count, 1);
		check_equal(seen[0].vector, all[i].want);
		check_equal(seen[0].error, all[i].want == 8 ? 0 : all[i].vector * 8 + 2 + (all[i].vector != VECTOR_INT));
	}
}

void main(void)
{
	static const struct test tests[] = {
		{ "the_stack_in_use", the_stack_in_use },
		{ "from_ring_3", from_ring_3 },
		{ "from_virtual_8086_mode", from_virtual_8086_mode },
		{ "segment_is_marked_accessed", segment_is_marked_accessed },
		{ "gate_absent_on_the_way", gate_absent_on_the_way },
	};

	traps_init();
	segments();
	paging_on();
	run_tests(tests, ARRAY_SIZE(tests));
}
