// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events, and what their delivery touches: each kind on plain stacks, and on
 * stacks, tables and task-state segments in a page that is a page table too.
 * Faults on the way, NMIs and what holds them back.
 */
#include "tests/guest/rt/events.h"

#define ROOM 0xF00 /* of the page, from its start */
#define VECTOR_INT 0x90
#define NOWHERE 0x80FF000000ul
#define FLAGS_SEEN (EFLAGS_TF | EFLAGS_IF | EFLAGS_NT | EFLAGS_RF)
#define GATE_IST (7ul << 32)
#define GATE_PRESENT (1ul << 47)

/* ---- every kind of event on every kind of stack ------------------------------- */

#define EVENT(name, text) static void name(void) { asm volatile(text ::: "rax", "rcx", "memory", "cc"); }

EVENT(int_n, "int $0x90")
EVENT(int3, "int3")
EVENT(int1, ".byte 0xF1")
EVENT(ud2, "ud2")
EVENT(general_protection, "mov $0x1000, %%eax; .byte 0x8E, 0xE0") /* mov eax, fs */
EVENT(page_fault, "mov $0x80FF000000, %%rcx; mov %%rax, (%%rcx)")
EVENT(self_interrupt, "mov apic_icr, %%rcx; mov apic_icr_self, %%eax; sti; nop; mov %%eax, (%%rcx); nop; nop; cli")
EVENT(self_nmi, "mov apic_icr, %%rcx; mov apic_icr_nmi, %%eax; mov %%eax, (%%rcx); nop; nop")
EVENT(trap_flag, "pushfq; orq $0x100, (%%rsp); popfq; nop; pushfq; andq $~0x100, (%%rsp); popfq")

static const struct event {
	const char *name;
	void (*cause)(void);
	unsigned int vector, skip;
	bool sets_rf;
} kinds[] = {
	{ "INT n", int_n, VECTOR_INT, 0, false },
	{ "INT3", int3, 3, 0, false },
	{ "INT1", int1, 1, 0, false },
	{ "#UD", ud2, 6, 2, true },
	{ "#GP", general_protection, 13, 2, true },
	{ "#PF", page_fault, 14, 3, true },
	{ "interrupt", self_interrupt, VECTOR_SELF, 0, false },
	{ "NMI", self_nmi, 2, 0, false },
	{ "single step", trap_flag, 1, 0, false },
};

/* The stack of the handler ends at @top. */
static void on_ist(const struct event *e, uint8_t *top)
{
	trap_stack(e->vector, (uint64_t)top);
	e->cause();
	trap_stack(e->vector, 0);
}

/* The handler goes on where the stack is: at @top. */
static void on_same_stack(const struct event *e, uint8_t *top)
{
	uint64_t gate = trap_gate(e->vector)[0];

	trap_gate(e->vector)[0] = gate & ~GATE_IST;
	call_on_stack(top, e->cause);
	trap_gate(e->vector)[0] = gate;
}

static void compare_frames(const struct event *e, const struct seen *plain, const struct seen *odd, bool same_stack)
{
	check_equal(odd->vector, e->vector);
	check_equal(odd->error, plain->error);
	check_equal(odd->rip, plain->rip);
	check_equal(odd->cs, 8);
	check_equal(odd->ss, 0x10);
	check_equal(odd->rflags & FLAGS_SEEN, plain->rflags & FLAGS_SEEN);
	check_equal(!(odd->rflags & EFLAGS_RF), !e->sets_rf);
	check_equal(odd->dr6, plain->dr6);
	if (same_stack)
		check_equal(odd->rsp & 0xFFF, plain->rsp & 0xFFF);
	else
		check_equal(odd->rsp, plain->rsp);
	if (e->vector == 14)
		check_equal(odd->cr2, NOWHERE);
}

static void one_kind(const struct event *e, void (*deliver)(const struct event *, uint8_t *), bool same_stack)
{
	static struct seen plain[SEEN_MAX];
	uint8_t *page = page_alloc();
	unsigned int count;

	see(e->vector, e->skip);
	for (int i = 0; i < 3; i++) {
		seen_count = 0;
		deliver(e, page + ROOM - 8 * i);
		count = seen_count;
		memcpy(plain, seen, sizeof(seen));
		check(count > 0);
		table_live();
		seen_count = 0;
		deliver(e, table_page + ROOM - 8 * i);
		if (seen_count != count)
			print("  %s: %u times, %u on a plain stack\n", e->name, (unsigned long)seen_count,
			      (unsigned long)count);
		check_equal(seen_count, count);
		for (unsigned int n = 0; n < count; n++)
			compare_frames(e, &plain[n], &seen[n], same_stack);
	}
	see_no_more(e->vector);
	if (e->vector == VECTOR_SELF)
		see(VECTOR_SELF, 0);
}

static void interrupt_stacks(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		one_kind(&kinds[i], on_ist, false);
}

/* Nothing is known of the page when the frame comes. */
static void stacks_touched_first(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		for (int n = 0; n < 2; n++) {
			see(kinds[i].vector, kinds[i].skip);
			seen_count = 0;
			trap_stack(kinds[i].vector, fresh_page() + PAGE);
			kinds[i].cause();
			check(seen_count > 0);
			check_equal(seen[0].vector, kinds[i].vector);
			check_equal(!(seen[0].rflags & EFLAGS_RF), !kinds[i].sets_rf);
			trap_stack(kinds[i].vector, 0);
			see_no_more(kinds[i].vector);
		}
	see(VECTOR_SELF, 0);
}

static void the_stack_in_use(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		one_kind(&kinds[i], on_same_stack, true);
}

/* ---- from ring 3 ----------------------------------------------------------------- */

#define USER(name, text)                                                                                     \
	extern const char name[], name##_end[];                                                              \
	asm(".pushsection .rodata; " #name ": " text "; int $0x80; " #name "_end: .popsection")

USER(user_int, "int $0x90");
USER(user_int3, "int3");
USER(user_ud2, "ud2");
USER(user_fault, "mov %rsi, (%rdi)");
USER(user_spin, "mov $100000000, %ecx; 1: cmpl $0, (%rdi); jne 2f; dec %ecx; jnz 1b; 2:");

static const struct {
	const char *from, *to;
	unsigned int vector, skip;
} user_kinds[] = {
	{ user_int, user_int_end, VECTOR_INT, 0 },
	{ user_int3, user_int3_end, 3, 0 },
	{ user_ud2, user_ud2_end, 6, 2 },
	{ user_fault, user_fault_end, 14, 3 },
};

static void user_frame(const struct seen *s, unsigned int i)
{
	check_equal(s->vector, user_kinds[i].vector);
	check_equal(s->cs, 0x2B);
	check_equal(s->ss, 0x23);
	check_equal(s->rsp, USER_STACK_TOP);
	check_equal(s->rip, USER_CODE + (s->vector == VECTOR_INT ? 2 : s->vector == 3 ? 1 : 0));
	if (s->vector == 14) {
		check_equal(s->error, PF_W | PF_U);
		check_equal(s->cr2, NOWHERE);
	}
}

/* The stack of ring 0 from the TSS, then one from the interrupt stack table. */
static void from_ring_3(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(user_kinds); i++) {
		unsigned int vector = user_kinds[i].vector;
		uint64_t gate = trap_gate(vector)[0];

		see(vector, user_kinds[i].skip);
		for (int ist = 0; ist < 2; ist++) {
			table_live();
			seen_count = 0;
			trap_gate(vector)[0] = (gate & ~GATE_IST) | 3ul << 45;
			trap_stack_ring0((uint64_t)table_page + ROOM);
			if (ist)
				trap_stack(vector, (uint64_t)table_page + ROOM);
			trap_gate(vector)[0] |= 3ul << 45;
			check_equal(user_run(user_kinds[i].from, user_kinds[i].to, NOWHERE, 0), 0);
			trap_stack(vector, 0);
			check_equal(seen_count, 1);
			user_frame(&seen[0], i);
		}
		trap_gate(vector)[0] = gate;
		trap_stack_ring0(0);
		see_no_more(vector);
	}
}

static volatile uint32_t *user_flag;

static void on_tick(struct trap_frame *f)
{
	see_frame(f);
	*user_flag = 1;
	outb(0x20, 0x20);
}

static void interrupt_in_ring_3(void)
{
	uint64_t gate = trap_gate(VECTOR_IRQ)[0];

	user_flag = (volatile uint32_t *)(USER_STACK_TOP - 8);
	for (int i = 0; i < 5; i++) {
		table_live();
		*user_flag = 0;
		seen_count = 0;
		trap_gate(VECTOR_IRQ)[0] = gate & ~GATE_IST;
		trap_stack_ring0((uint64_t)table_page + ROOM);
		pit_start(2000);
		trap_hook(VECTOR_IRQ, on_tick);
		user_rflags = 2 | EFLAGS_IF;
		/* On the user's stack: what ring 3 can read. */
		check_equal(user_run(user_spin, user_spin_end, USER_STACK_TOP - 8, 0), 0);
		pit_stop();
		user_rflags = 2;
		check(seen_count >= 1);
		check_equal(seen[0].cs, 0x2B);
		check_equal(seen[0].rsp, USER_STACK_TOP);
		check_equal(seen[0].rflags & FLAGS_SEEN, EFLAGS_IF);
		trap_gate(VECTOR_IRQ)[0] = gate;
		trap_stack_ring0(0);
	}
}

/* ---- tables ------------------------------------------------------------------------ */

struct table_register {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

static void load_code_segment(void)
{
	asm volatile("pushq $8; lea 1f(%%rip), %%rax; pushq %%rax; lretq; 1:" : : : "rax", "memory");
}

/* The gates in the first 3 KiB of the page. */
static void descriptor_table_of_interrupts(void)
{
	struct table_register before, odd = { 0xBFF, (uint64_t)table_page };

	asm volatile("sidt %0" : "=m"(before));
	memcpy(table_page, (void *)before.base, 0xC00);
	asm volatile("lidt %0" : : "m"(odd));
	see(VECTOR_INT, 0);
	for (int i = 0; i < 3; i++) {
		table_live();
		seen_count = 0;
		trap_stack(VECTOR_INT, (uint64_t)table_page + ROOM); /* changes the other table's gate */
		memcpy(table_page + 16 * VECTOR_INT, trap_gate(VECTOR_INT), 16);
		table_live();
		int_n();
		check_equal(seen_count, 1);
		trap_stack(VECTOR_INT, 0);
	}
	asm volatile("lidt %0" : : "m"(before));
	see_no_more(VECTOR_INT);
}

/* The CPU marks a segment as accessed when it enters it, and a TSS as busy. */
static void descriptor_table_of_segments(void)
{
	struct table_register before, odd = { 0x3F, (uint64_t)table_page };
	uint64_t *gdt = (uint64_t *)table_page;

	asm volatile("sgdt %0" : "=m"(before));
	see(VECTOR_INT, 0);
	for (int i = 0; i < 3; i++) {
		memcpy(gdt, (void *)before.base, 0x40);
		gdt[1] &= ~(1ul << 40);
		gdt[2] &= ~(1ul << 40);
		gdt[6] &= ~(1ul << 41);
		table_live();
		asm volatile("lgdt %0" : : "m"(odd));
		seen_count = 0;
		int_n();
		check_equal(seen_count, 1);
		check(gdt[1] >> 40 & 1);
		table_live();
		asm volatile("ltr %w0" : : "r"(0x30));
		check(gdt[6] >> 41 & 1);
		table_live();
		asm volatile("mov %w0, %%es" : : "r"(0x10));
		check(gdt[2] >> 40 & 1);
		gdt[1] &= ~(1ul << 40);
		table_live();
		load_code_segment();
		check(gdt[1] >> 40 & 1);
		asm volatile("lgdt %0" : : "m"(before));
	}
	see_no_more(VECTOR_INT);
}

/* ---- faults on the way ----------------------------------------------------------------- */

enum way { STACK_ABSENT, STACK_HALF_ABSENT, GATE_ABSENT, GATE_BROKEN, WAYS };

static uint64_t gate_of_first;

static void obstruct(enum way way, unsigned int vector)
{
	gate_of_first = trap_gate(vector)[0];
	switch (way) {
	case STACK_ABSENT:
		trap_stack(vector, NOWHERE);
		break;
	case STACK_HALF_ABSENT: /* the first items fit above the page border */
		trap_stack(vector, TABLE_ALIAS + 16);
		table_live();
		break;
	case GATE_ABSENT:
		trap_gate(vector)[0] &= ~GATE_PRESENT;
		break;
	default:
		trap_gate(vector)[0] &= ~(0x1Ful << 40);
	}
}

/* What comes of a fault while @first was delivered: SDM, "Interrupt 8". */
static unsigned int outcome(unsigned int first, enum way way)
{
	bool page_fault_on_the_way = way == STACK_ABSENT || way == STACK_HALF_ABSENT;

	if (first == 14 || (first == 13 && !page_fault_on_the_way))
		return 8;
	if (page_fault_on_the_way)
		return 14;
	return way == GATE_ABSENT ? 11 : 13;
}

static bool is_software(unsigned int vector) { return vector == VECTOR_INT || vector == 3; }

static void on_second(struct trap_frame *f)
{
	extern uint64_t try_rsp;
	extern char try_landing[];

	see_frame(f);
	f->rax = 1;
	f->rip = (uint64_t)try_landing;
	f->rsp = try_rsp;
	f->rflags = 2;
}

static void cause(uint64_t fn, uint64_t unused) { ((void (*)(void))fn)(); }

static void obstructed(const struct event *e, enum way way)
{
	unsigned int want = outcome(e->vector, way);

	seen_count = 0;
	trap_hook(want, on_second);
	obstruct(way, e->vector);
	check(try_call(cause, (uint64_t)e->cause, 0));
	trap_stack(e->vector, 0);
	trap_gate(e->vector)[0] = gate_of_first;
	trap_hook(want, NULL);
	check_equal(seen_count, 1);
	check_equal(seen[0].vector, want);
	if (want == 8)
		check_equal(seen[0].error, 0);
	else if (want == 14)
		check_equal(seen[0].error, PF_W);
	else
		check_equal(seen[0].error, e->vector * 8 + 2 + !is_software(e->vector));
	if (way == STACK_ABSENT && want == 14)
		check_equal(seen[0].cr2, NOWHERE - 8);
	if (way == STACK_HALF_ABSENT)
		check_equal(seen[0].cr2, TABLE_ALIAS - 8);
}

static void faults_on_the_way(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const struct event *e = &kinds[i];

		if (e->vector == VECTOR_SELF || e->vector == 2 || e->vector == 1)
			continue; /* lost then, with what they leave in service or blocked */
		for (enum way way = 0; way < WAYS; way++)
			obstructed(e, way);
	}
}

/* ---- NMIs ------------------------------------------------------------------------------ */

static unsigned int nmi_depth, nmi_deepest, nmis;
static void (*in_first_nmi)(void);

static void on_nmi(struct trap_frame *f)
{
	see_frame(f);
	nmis++;
	if (++nmi_depth > nmi_deepest)
		nmi_deepest = nmi_depth;
	if (nmis == 1 && in_first_nmi)
		in_first_nmi();
	nmi_depth--;
}

/* The stack of a nested one must be another. */
static void expect_nmis(void (*inside)(void))
{
	trap_hook(2, on_nmi);
	trap_gate(2)[0] &= ~GATE_IST;
	in_first_nmi = inside;
	seen_count = nmis = nmi_deepest = nmi_depth = 0;
}

static void no_more_nmis(void)
{
	trap_stack(2, 0);
	trap_hook(2, NULL);
}

/* Whatever IF is; the next instruction is not executed before. */
static void nmi_to_self(void)
{
	uint64_t next;

	expect_nmis(NULL);
	asm volatile("lea 1f(%%rip), %0; mov %1, (%2); 1: nop; nop"
		     : "=&r"(next) : "r"(apic_icr_nmi), "r"(apic_icr) : "memory");
	check_equal(nmis, 1);
	check_equal(seen[0].rip, next);
	check_equal(seen[0].rflags & FLAGS_SEEN, 0);
	no_more_nmis();
}

static unsigned int nmis_inside;

static void another_nmi(void)
{
	apic_send_nmi();
	asm volatile("nop; nop; nop");
	apic_send_nmi(); /* not more than one can wait */
	asm volatile("nop; nop; nop");
	nmis_inside = nmis;
}

static void second_nmi_waits_for_iret(void)
{
	for (int i = 0; i < 3; i++) {
		expect_nmis(another_nmi);
		apic_send_nmi();
		asm volatile("nop; nop");
		check_equal(nmis_inside, 1);
		check_equal(nmis, 2);
		check_equal(nmi_deepest, 1);
		check_equal(seen[1].rip, seen[0].rip);
		no_more_nmis();
	}
}

/* Any IRET ends the blocking, also one from a breakpoint inside the handler. */
static void nmi_with_a_breakpoint_inside(void)
{
	apic_send_nmi();
	asm volatile("nop; nop");
	nmis_inside = nmis;
	asm volatile("int3");
	asm volatile("nop; nop");
}

static void iret_inside_ends_the_blocking(void)
{
	expect_nmis(nmi_with_a_breakpoint_inside);
	see(3, 0);
	apic_send_nmi();
	asm volatile("nop; nop");
	check_equal(nmis_inside, 1);
	check_equal(nmis, 2);
	check_equal(nmi_deepest, 2);
	see_no_more(3);
	no_more_nmis();
}

/* An IRET that faults ends it too: the second NMI meets the first instruction
 * of the handler of #GP. */
static void on_nmi_that_returns_nowhere(struct trap_frame *f)
{
	see_frame(f);
	if (++nmis > 1)
		return;
	apic_send_nmi();
	asm volatile("nop; nop");
	nmis_inside = nmis;
	f->rip |= 1ul << 62;
}

static void on_bad_iret(struct trap_frame *f)
{
	uint64_t *frame = (uint64_t *)f->rsp; /* what IRET was to load */

	see_frame(f);
	frame[0] &= ~(1ul << 62);
}

/* The IRET of @on_entry raises @vector, and the second NMI comes before its handler. */
static void nmi_whose_iret_faults(void (*on_entry)(struct trap_frame *), unsigned int vector,
				  void (*on_fault)(struct trap_frame *))
{
	extern const uint64_t trap_stubs[256];

	expect_nmis(NULL);
	trap_hook(2, on_entry);
	trap_hook(vector, on_fault);
	trap_stack(vector, (uint64_t)page_alloc() + PAGE);
	apic_send_nmi();
	asm volatile("nop; nop");
	check_equal(nmis_inside, 1);
	check_equal(nmis, 2);
	check_equal(seen[1].vector, 2);
	check_equal(seen[1].rip, trap_stubs[vector]);
	check_equal(seen[2].vector, vector);
	trap_stack(vector, 0);
	trap_hook(vector, NULL);
	no_more_nmis();
}

static void iret_that_faults_ends_the_blocking(void)
{
	nmi_whose_iret_faults(on_nmi_that_returns_nowhere, 13, on_bad_iret);
}

static uint64_t after_iret;

static void iret_from_nowhere(struct trap_frame *f)
{
	see_frame(f);
	if (++nmis > 1)
		return;
	apic_send_nmi();
	asm volatile("nop; nop");
	nmis_inside = nmis;
	asm volatile("lea 1f(%%rip), %%rax; mov %%rax, %0; mov %%rsp, %%rbx; mov %1, %%rsp; iretq; 1: mov %%rbx, %%rsp"
		     : "=m"(after_iret) : "r"(NOWHERE) : "rax", "rbx", "memory");
}

static void on_fault_of_iret(struct trap_frame *f)
{
	see_frame(f);
	f->rip = after_iret;
}

/* The same when the fault is one that a hypervisor looks at first. */
static void iret_without_a_stack_ends_the_blocking(void)
{
	nmi_whose_iret_faults(iret_from_nowhere, 14, on_fault_of_iret);
	check_equal(seen[2].cr2 & ~0xFFFul, NOWHERE); /* in which order it reads is its own affair */
}

/* Stores inside the handler to a page that is tracked, and one of x87. */
static void stores_inside(void)
{
	table_live();
	*(volatile uint64_t *)table_page = 2;
	table_live();
	asm volatile("fninit; fnstcw 8(%0)" : : "r"(table_page) : "memory");
	apic_send_nmi();
	asm volatile("nop; nop");
	nmis_inside = nmis;
}

static void nmi_handler_writes_to_a_table(void)
{
	expect_nmis(stores_inside);
	apic_send_nmi();
	asm volatile("nop; nop");
	check_equal(((uint64_t *)table_page)[0], 2);
	check_equal(((uint64_t *)table_page)[1] & 0xFFFF, 0x37F);
	check_equal(nmis_inside, 1);
	check_equal(nmis, 2);
	no_more_nmis();
}

/* An interrupt that waits comes after the NMI, and once. */
static void nmi_and_interrupt(void)
{
	expect_nmis(NULL);
	apic_send_self(VECTOR_SELF);
	check_equal(seen_count, 0);
	apic_send_nmi();
	asm volatile("nop; nop");
	check_equal(seen_count, 1);
	asm volatile("sti; nop; nop; cli");
	check_equal(seen_count, 2);
	check_equal(seen[0].vector, 2);
	check_equal(seen[1].vector, VECTOR_SELF);
	no_more_nmis();
}

/* Interrupts are off: only an NMI can wake it. */
static void nmi_wakes_from_halt(void)
{
	expect_nmis(NULL);
	pit_sends_nmis(1000);
	for (unsigned int i = 0; i < 5; i++) {
		uint64_t after;
		unsigned int before = nmis;

		seen_count = 0;
		asm volatile("lea 1f(%%rip), %0; hlt; 1: nop" : "=r"(after) : : "memory");
		check(nmis > before);
		check_equal(seen[0].rip, after);
	}
	pit_sends_nmis(0);
	no_more_nmis();
}

void main(void)
{
	static const struct test tests[] = {
		{ "interrupt_stacks", interrupt_stacks },
		{ "stacks_touched_first", stacks_touched_first },
		{ "the_stack_in_use", the_stack_in_use },
		{ "from_ring_3", from_ring_3 },
		{ "interrupt_in_ring_3", interrupt_in_ring_3 },
		{ "descriptor_table_of_interrupts", descriptor_table_of_interrupts },
		{ "descriptor_table_of_segments", descriptor_table_of_segments },
		{ "faults_on_the_way", faults_on_the_way },
		{ "nmi_to_self", nmi_to_self },
		{ "second_nmi_waits_for_iret", second_nmi_waits_for_iret },
		{ "iret_inside_ends_the_blocking", iret_inside_ends_the_blocking },
		{ "iret_that_faults_ends_the_blocking", iret_that_faults_ends_the_blocking },
		{ "iret_without_a_stack_ends_the_blocking", iret_without_a_stack_ends_the_blocking },
		{ "nmi_handler_writes_to_a_table", nmi_handler_writes_to_a_table },
		{ "nmi_and_interrupt", nmi_and_interrupt },
		{ "nmi_wakes_from_halt", nmi_wakes_from_halt },
	};

	traps_init();
	events_init();
	run_tests(tests, ARRAY_SIZE(tests));
}
