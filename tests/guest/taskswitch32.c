// SPDX-License-Identifier: GPL-2.0-only
/*
 * A 32-bit kernel of many tasks, each with a TSS: switches by CALL, JMP, IRET
 * and through gates, with paging and a CR3 for each, faults and interrupts
 * that have tasks as handlers. A hypervisor has to do all of this in software.
 *
 * The tests run in the task SEL_MAIN. Other tasks show their registers to
 * task_seen(), which calls the test's hook, and return with IRET.
 */
#include "tests/guest/rt/rt32.h"

struct tss {
	uint16_t link, link_high;
	uint32_t esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags;
	uint32_t eax, ecx, edx, ebx, esp, ebp, esi, edi, es, cs, ss, ds, fs, gs, ldt;
	uint16_t trap, iomap;
};

struct tss16 {
	uint16_t link, sp0, ss0, sp1, ss1, sp2, ss2, ip, flags;
	uint16_t ax, cx, dx, bx, sp, bp, si, di, es, cs, ss, ds, ldt;
};

enum {
	SEL_CODE = 0x08,
	SEL_DATA = 0x10,
	SEL_MAIN = 0x18,
	SEL_A = 0x20,
	SEL_B = 0x28,
	SEL_C = 0x30,
	SEL_GATE = 0x38,  /* a task gate to A */
	SEL_USER_CODE = 0x40,
	SEL_USER_DATA = 0x48,
	SEL_LDT = 0x50,
	SEL_SMALL = 0x58, /* a TSS of 16 bits */
	SEL_SMALL_CODE = 0x60,
	SEL_SMALL_STACK = 0x68,
	SEL_END = 0x70,
};

#define DESC_DATA 0x92u
#define DESC_CODE 0x9Au
#define DESC_LDT 0x82u
#define DESC_TSS 0x89u
#define DESC_TSS16 0x81u
#define DESC_TASK_GATE 0x85u
#define BUSY 2u
#define USER 0x60u
#define DB 0x4000u
#define FLAT 0xC000u /* with granularity */

#define EFLAGS_NT (1u << 14)
#define EFLAGS_VM (1u << 17)
#define EFLAGS_IOPL 0x3000u
#define CR0_TS (1u << 3)
#define CR0_PG (1u << 31)
#define DR6_BT (1u << 15)

#define VEC_DB 1
#define VEC_DF 8
#define VEC_TS 10
#define VEC_NP 11
#define VEC_GP 13
#define VEC_PF 14
#define VEC_A 0x38    /* a task gate to A */
#define VEC_INNER 0x39 /* an interrupt gate for ring 3 */
#define VEC_MAIN 0x3C /* a task gate to the tests, for ring 3 */

/* As task_show pushes them. */
struct seen {
	uint32_t es, cs, ss, ds, fs, gs, edi, esi, ebp, esp, ebx, edx, ecx, eax, eflags;
};

struct task {
	struct tss tss;
	uint8_t stack[4096];
};

void task_seen(const struct seen *s);
extern char task_entry[], task_entry_code[], task_small[], task_small_end[], task_v86[], task_v86_end[];
extern uint32_t task_error;
extern struct {
	uint32_t gpr[8];
	uint16_t es, cs, ss, ds, fs, gs;
	uint32_t eflags;
} task_small_seen;

static uint64_t table[SEL_END / 8], ldt[2];
static uint64_t *idt; /* traps_init()'s */
static uint64_t saved_vectors[64];
static struct task tasks[4]; /* main, A, B, C; main's stack is that of the start */
static struct tss16 small_tss;
static uint8_t small_stack[256], inner_stack[4096], double_fault_stack[4096];

static struct seen seen;
static unsigned int visits;
static void (*hook)(void);

#define TASK(selector) (&tasks[((selector) - SEL_MAIN) / 8])

/* ---- descriptors ------------------------------------------------------------------- */

static uint64_t descriptor(const void *base, uint32_t limit, uint32_t access)
{
	uint64_t b = (uint32_t)base;

	return (limit & 0xFFFF) | (b & 0xFFFFFF) << 16 | (uint64_t)(access & 0xFF) << 40 |
	       (uint64_t)(limit >> 16 & 0xF) << 48 | (uint64_t)(access >> 12 & 0xF) << 52 | (b >> 24) << 56;
}

static uint64_t task_gate(uint16_t selector, uint32_t rights)
{
	return (uint32_t)selector << 16 | (uint64_t)(DESC_TASK_GATE | rights) << 40;
}

static bool is_busy(uint16_t selector) { return table[selector / 8] >> 41 & 1; }

static void set_busy(uint16_t selector, bool busy)
{
	table[selector / 8] = (table[selector / 8] & ~(1ull << 41)) | (uint64_t)busy << 41;
}

static uint32_t eflags(void)
{
	uint32_t v;

	asm volatile("pushfl; popl %0" : "=r"(v));
	return v;
}

static void set_eflags(uint32_t v) { asm volatile("pushl %0; popfl" : : "r"(v) : "memory", "cc"); }

static uint16_t task_register(void)
{
	uint16_t v;

	asm volatile("str %0" : "=r"(v));
	return v;
}

static void far_call(uint16_t selector)
{
	const struct {
		uint32_t offset;
		uint16_t selector;
	} __attribute__((packed)) p = { 0xDEADBEEF, selector };

	asm volatile("lcall *%0" : : "m"(p) : "memory", "cc");
}

static void far_jump(uint16_t selector)
{
	const struct {
		uint32_t offset;
		uint16_t selector;
	} __attribute__((packed)) p = { 0xDEADBEEF, selector };

	asm volatile("ljmp *%0" : : "m"(p) : "memory", "cc");
}

/* QEMU's own emulation knows no T bit, sets no accessed bits when it switches
 * and no RF for faults, and loses EIP of a task that cannot be loaded. */
static bool machine_is_tcg(void)
{
	uint32_t r[4];

	cpuid(0x40000000, 0, r);
	return r[1] == 0x54474354;
}

/* ---- a test's ground ---------------------------------------------------------------- */

void task_seen(const struct seen *s)
{
	seen = *s;
	visits++;
	if (hook)
		hook();
}

/* Registers that are easily known again. */
static void task_make(uint16_t selector, const void *entry)
{
	struct task *t = TASK(selector);
	uint32_t n = (uint32_t)selector << 24;

	t->tss = (struct tss){
		.eip = (uint32_t)entry, .eflags = 2, .esp = (uint32_t)(t->stack + sizeof(t->stack)),
		.eax = n | 1, .ecx = n | 2, .edx = n | 3, .ebx = n | 4, .ebp = n | 5, .esi = n | 6,
		.edi = n | 7,
		.es = SEL_DATA, .cs = SEL_CODE, .ss = SEL_DATA, .ds = SEL_DATA, .fs = SEL_DATA, .gs = 0,
		.iomap = sizeof(struct tss),
	};
	table[selector / 8] = descriptor(&t->tss, sizeof(t->tss) - 1, DESC_TSS);
}

static void table_fill(void)
{
	table[SEL_CODE / 8] = descriptor(0, 0xFFFFF, DESC_CODE | FLAT);
	table[SEL_DATA / 8] = descriptor(0, 0xFFFFF, DESC_DATA | FLAT);
	table[SEL_USER_CODE / 8] = descriptor(0, 0xFFFFF, DESC_CODE | USER | FLAT);
	table[SEL_USER_DATA / 8] = descriptor(0, 0xFFFFF, DESC_DATA | USER | FLAT);
	table[SEL_GATE / 8] = task_gate(SEL_A, 0);
	table[SEL_LDT / 8] = descriptor(ldt, sizeof(ldt) - 1, DESC_LDT);
	table[SEL_SMALL / 8] = descriptor(&small_tss, sizeof(small_tss) - 1, DESC_TSS16);
	table[SEL_SMALL_CODE / 8] = descriptor(task_small, 0xFFFF, DESC_CODE | DB);
	table[SEL_SMALL_STACK / 8] = descriptor(small_stack, sizeof(small_stack) - 1, DESC_DATA);
}

static void begin(void)
{
	table_fill();
	task_make(SEL_A, task_entry);
	task_make(SEL_B, task_entry);
	task_make(SEL_C, task_entry);
	TASK(SEL_MAIN)->tss.link = 0;
	set_busy(SEL_MAIN, true);
	memcpy(idt, saved_vectors, sizeof(saved_vectors));
	idt[VEC_A] = task_gate(SEL_A, 0);
	set_eflags(2);
	asm volatile("clts");
	hook = NULL;
	visits = 0;
	seen = (struct seen){ 0 };
	task_error = 0;
}

static void set_up(void)
{
	struct {
		uint16_t limit;
		uint32_t base;
	} __attribute__((packed)) gdtr = { sizeof(table) - 1, (uint32_t)table }, idtr;

	traps_init();
	asm volatile("sidt %0" : "=m"(idtr));
	idt = (uint64_t *)idtr.base;
	memcpy(saved_vectors, idt, sizeof(saved_vectors));
	task_make(SEL_MAIN, NULL);
	table_fill();
	asm volatile("lgdt %0; ltr %w1; lldt %w2" : : "m"(gdtr), "r"(SEL_MAIN), "r"(0) : "memory");
}

/* ---- calls, jumps, returns ----------------------------------------------------------- */

static void in_called_task(void)
{
	check_equal(task_register(), SEL_A);
	check(is_busy(SEL_A) && is_busy(SEL_MAIN));
	check_equal(TASK(SEL_A)->tss.link, SEL_MAIN);
	check(eflags() & EFLAGS_NT);
	check(read_cr0() & CR0_TS);
}

static void call_and_return(void)
{
	const struct tss *a = &TASK(SEL_A)->tss, *m = &TASK(SEL_MAIN)->tss;

	begin();
	hook = in_called_task;
	far_call(SEL_A);
	check_equal(visits, 1);
	check_equal(task_register(), SEL_MAIN);
	check(!is_busy(SEL_A) && is_busy(SEL_MAIN));
	check_equal(eflags() & EFLAGS_NT, 0);
	check(read_cr0() & CR0_TS);
	check_equal(a->eflags & EFLAGS_NT, 0); /* IRET takes it out of what it saves */
	check_equal(a->eip, (uint32_t)task_entry + 6); /* behind the IRET */
	check_equal(m->cs, SEL_CODE);
	check_equal(m->ss, SEL_DATA);
	check_equal(m->eflags & EFLAGS_NT, 0);
	far_call(SEL_A); /* it goes on there */
	check_equal(visits, 2);
}

static void registers_are_loaded(void)
{
	begin();
	far_call(SEL_A);
	check_equal(seen.eax, 0x20000001);
	check_equal(seen.ecx, 0x20000002);
	check_equal(seen.edx, 0x20000003);
	check_equal(seen.ebx, 0x20000004);
	check_equal(seen.ebp, 0x20000005);
	check_equal(seen.esi, 0x20000006);
	check_equal(seen.edi, 0x20000007);
	check_equal(seen.esp, (uint32_t)TASK(SEL_A)->stack + 4096 - 8);
	check_equal(seen.cs, SEL_CODE);
	check_equal(seen.ss, SEL_DATA);
	check_equal(seen.es, SEL_DATA);
	check_equal(seen.ds, SEL_DATA);
	check_equal(seen.fs, SEL_DATA);
	check_equal(seen.gs, 0);
}

/* All of them, with values of our own, across a switch. */
static void registers_are_saved(void)
{
	const struct tss *m = &TASK(SEL_MAIN)->tss;
	static const struct {
		uint32_t offset;
		uint16_t selector;
	} __attribute__((packed)) to_a = { 0, SEL_A };

	begin();
	asm volatile("pushal\n\t"
		     "movl $0x11111111, %%eax; movl $0x22222222, %%ecx; movl $0x33333333, %%edx\n\t"
		     "movl $0x44444444, %%ebx; movl $0x55555555, %%ebp; movl $0x66666666, %%esi\n\t"
		     "movl $0x77777777, %%edi\n\t"
		     "pushl $3; popfl\n\t" /* carry */
		     "lcall *%0\n\t"
		     "popal"
		     :
		     : "m"(to_a)
		     : "memory", "cc");
	check_equal(m->eax, 0x11111111);
	check_equal(m->ecx, 0x22222222);
	check_equal(m->edx, 0x33333333);
	check_equal(m->ebx, 0x44444444);
	check_equal(m->ebp, 0x55555555);
	check_equal(m->esi, 0x66666666);
	check_equal(m->edi, 0x77777777);
	check_equal(m->eflags & 1, 1);
	check_equal(m->ds, SEL_DATA);
}

static void jump_back(void)
{
	check_equal(eflags() & EFLAGS_NT, 0);
	check(is_busy(SEL_A) && !is_busy(SEL_MAIN));
	check_equal(TASK(SEL_A)->tss.link, 0);
	far_jump(SEL_MAIN);
	check_equal(eflags() & EFLAGS_NT, 0);
	far_jump(SEL_MAIN);
}

static void jump_and_jump_back(void)
{
	begin();
	hook = jump_back;
	far_jump(SEL_A);
	check(!is_busy(SEL_A) && is_busy(SEL_MAIN));
	far_jump(SEL_A); /* into the middle of the hook */
	check_equal(visits, 1);
	check(!is_busy(SEL_A) && is_busy(SEL_MAIN));
}

static void through_gates(void)
{
	begin();
	hook = in_called_task;
	far_call(SEL_GATE);
	check_equal(visits, 1);
	asm volatile("int %0" : : "i"(VEC_A) : "memory");
	check_equal(visits, 2);
	check(!is_busy(SEL_A) && is_busy(SEL_MAIN));
	begin();
	hook = jump_back;
	far_jump(SEL_GATE);
	check_equal(visits, 1);
}

static void call_deeper(void)
{
	uint16_t here = task_register();

	check(is_busy(here));
	check_equal(TASK(here)->tss.link, here - 8);
	if (here != SEL_C)
		far_call(here + 8);
	check_equal(task_register(), here);
	check(eflags() & EFLAGS_NT);
}

static void nested(void)
{
	begin();
	hook = call_deeper;
	for (unsigned int i = 1; i <= 10; i++) {
		far_call(SEL_A);
		check_equal(visits, 3 * i);
	}
	check(!is_busy(SEL_A) && !is_busy(SEL_B) && !is_busy(SEL_C));
	check_equal(eflags() & EFLAGS_NT, 0);
}

static void local_breakpoints_end(void)
{
	uint32_t dr7;

	begin();
	asm volatile("mov %0, %%dr0; mov %0, %%dr1" : : "r"(&double_fault_stack));
	asm volatile("mov %0, %%dr7" : : "r"(0x400 | 1 | 8)); /* L0, G1: execution there */
	far_call(SEL_A);
	asm volatile("mov %%dr7, %0" : "=r"(dr7));
	check_equal(dr7, 0x400 | 8);
	asm volatile("mov %0, %%dr7" : : "r"(0x400));
}

static void a_table_of_its_own(void)
{
	static uint32_t word = 0x600DF00D;

	begin();
	ldt[1] = descriptor(&word, 3, DESC_DATA);
	TASK(SEL_A)->tss.ldt = SEL_LDT;
	TASK(SEL_A)->tss.fs = 8 | 4;
	far_call(SEL_A);
	check_equal(seen.fs, 8 | 4);
	if (!machine_is_tcg())
		check_equal(ldt[1] >> 40 & 0xFF, DESC_DATA | 1);
	check_equal(TASK(SEL_A)->tss.ldt, SEL_LDT);
}

static uint32_t fs_word;

static void take_fs_word(void) { asm volatile("movl %%fs:0, %0" : "=r"(fs_word)); }

static void segments_have_bases(void)
{
	static uint32_t word = 0x600DF00D;

	begin();
	ldt[0] = descriptor(&word, 3, DESC_DATA);
	TASK(SEL_A)->tss.ldt = SEL_LDT;
	TASK(SEL_A)->tss.fs = 0 | 4; /* not null: the first of the LDT */
	hook = take_fs_word;
	far_call(SEL_A);
	check_equal(fs_word, word);
}

/* ---- other kinds of task ------------------------------------------------------------- */

static uint32_t inner_cs, inner_esp;

static void on_inner(struct trap_frame *f)
{
	inner_cs = f->cs;
	inner_esp = (uint32_t)&f->eip; /* what the CPU has pushed */
}

static void from_ring_3(void) { asm volatile("int %0" : : "i"(VEC_INNER) : "memory"); }

/* It interrupts on the stack that its TSS names, and returns by IRET all the same. */
static void a_task_of_ring_3(void)
{
	struct tss *a = &TASK(SEL_A)->tss;

	begin();
	a->cs = SEL_USER_CODE | 3;
	a->ss = a->ds = a->es = a->fs = SEL_USER_DATA | 3;
	a->esp0 = (uint32_t)(inner_stack + sizeof(inner_stack));
	a->ss0 = SEL_DATA;
	idt[VEC_INNER] |= (uint64_t)USER << 40;
	trap_hook(VEC_INNER, on_inner);
	hook = from_ring_3;
	inner_cs = 0;
	far_call(SEL_A);
	check_equal(visits, 1);
	check_equal(seen.cs, SEL_USER_CODE | 3);
	check_equal(seen.ss, SEL_USER_DATA | 3);
	check(seen.eflags & EFLAGS_NT);
	check_equal(inner_cs, SEL_USER_CODE | 3);
	check_equal(inner_esp, (uint32_t)inner_stack + sizeof(inner_stack) - 20);
	check_equal(a->cs, SEL_USER_CODE | 3);
	trap_hook(VEC_INNER, NULL);
}

static void a_16_bit_task(void)
{
	begin();
	small_tss = (struct tss16){
		.ip = 0, .flags = 2, .ax = 0x1111, .cx = 0x2222, .dx = 0x3333, .bx = 0x4444,
		.sp = sizeof(small_stack), .bp = 0x5555, .si = 0x6666, .di = 0x7777,
		.es = SEL_DATA, .cs = SEL_SMALL_CODE, .ss = SEL_SMALL_STACK, .ds = SEL_DATA,
	};
	for (unsigned int i = 0; i < 3; i++) {
		memset(&task_small_seen, 0xEE, sizeof(task_small_seen));
		far_call(SEL_SMALL);
		for (unsigned int r = 0; r < 8; r++)
			if (r != 4)
				check_equal(task_small_seen.gpr[r] & 0xFFFF, 0x1111 * (r < 4 ? r + 1 : r));
		check_equal(task_small_seen.gpr[4] & 0xFFFF, sizeof(small_stack));
		check_equal(task_small_seen.cs, SEL_SMALL_CODE);
		check_equal(task_small_seen.ss, SEL_SMALL_STACK);
		check_equal(task_small_seen.ds, SEL_DATA);
		check_equal(task_small_seen.fs, 0);
		check_equal(task_small_seen.gs, 0);
		check(task_small_seen.eflags & EFLAGS_NT);
		check_equal(small_tss.link, SEL_MAIN);
		check_equal(small_tss.flags & EFLAGS_NT, 0);
		check_equal(small_tss.ip, (uint32_t)(task_small_end - task_small) - 2);
		check(!is_busy(SEL_SMALL));
	}
}

#define V86_CODE 0x70000u
#define V86_STACK 0x71000u
#define V86_DATA 0x72000u /* a paragraph for each segment */

/* It is jumped to, and leaves by INT through a gate to this task: nested in it, so to say. */
static void a_virtual_8086_task(void)
{
	volatile uint16_t *data = (volatile uint16_t *)V86_DATA;
	struct tss *a = &TASK(SEL_A)->tss;

	begin();
	memcpy((void *)V86_CODE, task_v86, (size_t)(task_v86_end - task_v86));
	memset((void *)V86_DATA, 0, 64);
	a->eflags = EFLAGS_VM | EFLAGS_IOPL | 2;
	a->cs = V86_CODE >> 4, a->eip = 0;
	a->ss = V86_STACK >> 4, a->esp = 0x100;
	a->ds = V86_DATA >> 4, a->es = a->ds + 1, a->fs = a->ds + 2, a->gs = a->ds + 3;
	a->esp0 = (uint32_t)(inner_stack + sizeof(inner_stack));
	a->ss0 = SEL_DATA;
	idt[VEC_MAIN] = task_gate(SEL_MAIN, USER);
	for (unsigned int i = 1; i <= 3; i++) {
		set_busy(SEL_A, false); /* as INT leaves it */
		far_jump(SEL_A);
		check(eflags() & EFLAGS_NT);
		set_eflags(2);
		check_equal(TASK(SEL_MAIN)->tss.link, SEL_A);
		check(is_busy(SEL_A) && is_busy(SEL_MAIN));
		check_equal(data[0], i);
		check_equal(data[8 + 1], i);
		check_equal(data[16 + 2], i);
		check_equal(data[24 + 3], i);
		check_equal(a->eax & 0xFFFF, 0x1234);
		check(a->eflags & EFLAGS_VM);
		check_equal(a->cs, V86_CODE >> 4);
		check_equal(a->gs, (V86_DATA >> 4) + 3);
		check_equal(a->esp, 0x100);
	}
}

/* ---- tasks as handlers ---------------------------------------------------------------- */

static uint32_t resume_at, saved_eip;

/* Let the interrupted task go on elsewhere. */
static void handler(void)
{
	saved_eip = TASK(SEL_MAIN)->tss.eip;
	TASK(SEL_MAIN)->tss.eip = resume_at;
}

/* Loads a bad selector; the handler lets the tests go on behind it. */
static void an_error_code(void)
{
	uint32_t fault_at;

	begin();
	task_make(SEL_A, task_entry_code);
	idt[VEC_GP] = task_gate(SEL_A, 0);
	hook = handler;
	for (unsigned int i = 0; i < 3; i++) {
		task_error = 0;
		asm volatile("movl $1f, %1; movl $0f, %0\n"
			     "0: movw %w2, %%es\n"
			     "1:"
			     : "=m"(fault_at), "=m"(resume_at)
			     : "r"(0x7FF0)
			     : "memory", "cc");
		check_equal(visits, i + 1);
		check_equal(task_error, 0x7FF0);
		check_equal(saved_eip, fault_at);
		if (!machine_is_tcg())
			check_equal(TASK(SEL_MAIN)->tss.eflags >> 16 & 1, 1); /* RF: a fault */
		check_equal(TASK(SEL_A)->tss.esp, (uint32_t)TASK(SEL_A)->stack + 4096);
	}
}

/* Its own vector is no gate at all, so #GP becomes a double fault. */
static void a_double_fault(void)
{
	uint32_t fault_at;

	begin();
	task_make(SEL_B, task_entry_code);
	idt[VEC_GP] = 0;
	idt[VEC_DF] = task_gate(SEL_B, 0);
	hook = handler;
	task_error = 0x55;
	asm volatile("movl $1f, %1; movl $0f, %0\n"
		     "0: movw %w2, %%es\n"
		     "1:"
		     : "=m"(fault_at), "=m"(resume_at)
		     : "r"(0x7FF0)
		     : "memory", "cc");
	check_equal(visits, 1);
	check_equal(task_error, 0);
	check_equal(saved_eip, fault_at);
	check_equal(TASK(SEL_B)->tss.link, SEL_MAIN);
}

static volatile unsigned int timer_visits;

static void timer(void)
{
	timer_visits++;
	outb(0x20, 0x20);
}

/* The task for it interrupts whatever runs; IRET leads back there, with IF set again. */
static void a_timer_task(void)
{
	unsigned long spin = 0;

	begin();
	pit_start(1000);
	idt[VECTOR_IRQ] = task_gate(SEL_C, 0);
	hook = timer;
	timer_visits = 0;
	asm volatile("sti");
	while (timer_visits < 5 && ++spin < 400000000)
		asm volatile("" : : : "memory");
	pit_stop();
	check(timer_visits >= 5);
	check_equal(task_register(), SEL_MAIN);
	check_equal(TASK(SEL_MAIN)->tss.eflags >> 9 & 1, 1);
	check(!is_busy(SEL_C) && is_busy(SEL_MAIN));
}

static uint32_t trap_dr6, trap_eip, trap_tr;

static void on_debug(struct trap_frame *f)
{
	asm volatile("mov %%dr6, %0" : "=r"(trap_dr6));
	asm volatile("mov %0, %%dr6" : : "r"(0xFFFF0FF0));
	trap_eip = f->eip;
	trap_tr = task_register();
}

static void the_trap_bit(void)
{
	if (machine_is_tcg()) {
		skip("this machine does not know the T bit");
		return;
	}
	begin();
	asm volatile("mov %0, %%dr6" : : "r"(0xFFFF0FF0));
	TASK(SEL_A)->tss.trap = 1;
	trap_hook(VEC_DB, on_debug);
	trap_eip = 0;
	far_call(SEL_A);
	trap_hook(VEC_DB, NULL);
	check_equal(visits, 1);
	check_equal(trap_dr6 & 0xF00F, DR6_BT);
	check_equal(trap_eip, (uint32_t)task_entry);
	check_equal(trap_tr, SEL_A);
}

/* ---- what is refused ------------------------------------------------------------------ */

static void do_call(uint32_t selector, uint32_t ignored) { far_call((uint16_t)selector); }
static void do_jump(uint32_t selector, uint32_t ignored) { far_jump((uint16_t)selector); }

static void do_return(uint32_t link, uint32_t ignored)
{
	TASK(SEL_MAIN)->tss.link = (uint16_t)link;
	asm volatile("pushfl; orl %0, (%%esp); popfl; iret" : : "i"(EFLAGS_NT) : "memory", "cc");
}

static void expect_refusal(void (*fn)(uint32_t, uint32_t), uint32_t selector, uint32_t vector, uint32_t error)
{
	check_equal(trap_result(try_call(fn, selector, 0)), 0x1000 | vector);
	check_equal(trap.error, error);
	check_equal(task_register(), SEL_MAIN);
	check(is_busy(SEL_MAIN));
	check_equal(visits, 0);
}

static void bad_targets(void)
{
	void (*const both[])(uint32_t, uint32_t) = { do_call, do_jump };

	for (unsigned int i = 0; i < 2; i++) {
		begin();
		expect_refusal(both[i], SEL_MAIN, VEC_GP, SEL_MAIN); /* busy */
		table[SEL_A / 8] = descriptor(TASK(SEL_A), 102, DESC_TSS);
		expect_refusal(both[i], SEL_A, VEC_TS, SEL_A);
		expect_refusal(both[i], SEL_GATE, VEC_TS, SEL_A);
		table[SEL_A / 8] = descriptor(TASK(SEL_A), 103, DESC_TSS & ~0x80u);
		expect_refusal(both[i], SEL_A, VEC_NP, SEL_A);
		table[SEL_SMALL / 8] = descriptor(&small_tss, 42, DESC_TSS16);
		expect_refusal(both[i], SEL_SMALL, VEC_TS, SEL_SMALL);
		table[SEL_GATE / 8] = task_gate(SEL_MAIN, 0);
		expect_refusal(both[i], SEL_GATE, VEC_GP, SEL_MAIN);
		table[SEL_GATE / 8] = task_gate(SEL_DATA, 0);
		expect_refusal(both[i], SEL_GATE, VEC_GP, SEL_DATA);
		check(!is_busy(SEL_A));
	}
}

static void bad_links(void)
{
	begin();
	expect_refusal(do_return, SEL_A, VEC_TS, SEL_A); /* not busy */
	expect_refusal(do_return, SEL_DATA, VEC_TS, SEL_DATA);
	expect_refusal(do_return, SEL_END, VEC_TS, SEL_END);
	check_equal(eflags() & EFLAGS_NT, 0);
}

static struct tss failed_task;
static uint16_t failed_link;

/* The handler of #TS: notes the task that failed and returns to the tests instead. */
static void on_bad_task(void)
{
	struct tss *b = &TASK(SEL_B)->tss;

	failed_task = TASK(SEL_A)->tss;
	failed_link = b->link;
	b->link = SEL_MAIN;
}

static void expect_failed(uint32_t error)
{
	far_call(SEL_A);
	check_equal(visits, 1);
	check_equal(task_error, error);
	check_equal(failed_link, SEL_A);
	if (!machine_is_tcg())
		check_equal(failed_task.eip, (uint32_t)task_entry);
	check_equal(failed_task.esi, 0x20000006);
	check(failed_task.eflags & EFLAGS_NT);
	check(is_busy(SEL_A) && is_busy(SEL_MAIN));
}

static void begin_bad_task(unsigned int vector)
{
	begin();
	task_make(SEL_B, task_entry_code);
	idt[vector] = task_gate(SEL_B, 0);
	hook = on_bad_task;
}

/* The new task cannot be loaded: it exists all the same, and is who has the fault. */
static void bad_tasks(void)
{
	begin_bad_task(VEC_TS);
	TASK(SEL_A)->tss.ss = SEL_CODE;
	expect_failed(SEL_CODE);
	check_equal(failed_task.ss & 0xFFFF, SEL_CODE);
	begin_bad_task(VEC_TS);
	TASK(SEL_A)->tss.ds = SEL_END;
	expect_failed(SEL_END);
	begin_bad_task(VEC_TS);
	TASK(SEL_A)->tss.cs = SEL_USER_CODE;
	expect_failed(SEL_USER_CODE);
	begin_bad_task(VEC_TS);
	TASK(SEL_A)->tss.ldt = SEL_DATA;
	expect_failed(SEL_DATA);
	begin_bad_task(VEC_NP);
	table[SEL_LDT / 8] = descriptor(0, 0xFFFFF, (DESC_DATA & ~0x80u) | FLAT);
	TASK(SEL_A)->tss.fs = SEL_LDT;
	expect_failed(SEL_LDT);
}

/* ---- with paging ------------------------------------------------------------------------ */

#define VA 0xC0400000u
#define P 1u
#define W 2u

static uint32_t *spaces[2], *leaves[2];

/* The first 64 MiB onto themselves in both, VA to a page of its own with its number. */
static void spaces_make(void)
{
	for (unsigned int s = 0; s < 2; s++) {
		uint32_t *page = page_alloc();

		spaces[s] = page_alloc();
		leaves[s] = page_alloc();
		for (uint32_t i = 0; i < 16 && s == 0; i++) {
			uint32_t *t = page_alloc();

			for (uint32_t j = 0; j < 1024; j++)
				t[j] = (i << 22 | j << 12) | P | W;
			spaces[0][i] = (uint32_t)t | P | W;
		}
		memcpy(spaces[s], spaces[0], 16 * sizeof(uint32_t));
		*page = s;
		leaves[s][0] = (uint32_t)page | P | W;
		spaces[s][VA >> 22] = (uint32_t)leaves[s] | P | W;
	}
	TASK(SEL_MAIN)->tss.cr3 = (uint32_t)spaces[0];
	TASK(SEL_A)->tss.cr3 = (uint32_t)spaces[1];
	TASK(SEL_B)->tss.cr3 = (uint32_t)spaces[0];
	TASK(SEL_C)->tss.cr3 = (uint32_t)spaces[1];
	write_cr3((uint32_t)spaces[0]);
	write_cr0(read_cr0() | CR0_PG);
}

static void paging_off(void)
{
	write_cr0(read_cr0() & ~CR0_PG);
	TASK(SEL_MAIN)->tss.cr3 = 0;
}

static uint32_t read_cr3(void)
{
	uint32_t v;

	asm volatile("mov %%cr3, %0" : "=r"(v));
	return v;
}

static uint32_t at_va, cr3_there;

static void look_at_va(void)
{
	at_va = *(volatile uint32_t *)VA;
	cr3_there = read_cr3();
	*(volatile uint32_t *)(VA + 4) = 0xA;
}

static void a_space_of_its_own(void)
{
	begin();
	spaces_make();
	hook = look_at_va;
	for (unsigned int i = 0; i < 20; i++) {
		at_va = 99;
		far_call(i & 1 ? SEL_B : SEL_A);
		check_equal(at_va, i & 1 ? 0 : 1);
		check_equal(cr3_there, (uint32_t)spaces[i & 1 ? 0 : 1]);
		check_equal(*(volatile uint32_t *)VA, 0);
		check_equal(read_cr3(), (uint32_t)spaces[0]);
	}
	check_equal(TASK(SEL_A)->tss.cr3, (uint32_t)spaces[1]);
	/* CR3 is loaded from a TSS and never saved in it. */
	write_cr3((uint32_t)spaces[1]);
	check_equal(*(volatile uint32_t *)VA, 1);
	far_call(SEL_A);
	check_equal(*(volatile uint32_t *)VA, 0);
	paging_off();
}

/* The stack has run into a page that is not there: #PF cannot be delivered. */
static void a_stack_overflow(void)
{
	uint32_t fault_at;

	begin();
	spaces_make();
	task_make(SEL_C, task_entry_code);
	TASK(SEL_C)->tss.cr3 = (uint32_t)spaces[1];
	TASK(SEL_C)->tss.esp = (uint32_t)double_fault_stack + sizeof(double_fault_stack);
	idt[VEC_DF] = task_gate(SEL_C, 0);
	hook = handler;
	at_va = 99;
	task_error = 0x55;
	asm volatile("movl $1f, %1; movl $0f, %0\n\t"
		     "movl %%esp, %%ebx; movl %2, %%esp\n"
		     "0: pushl $0\n"
		     "1: movl %%ebx, %%esp"
		     : "=m"(fault_at), "=m"(resume_at)
		     : "i"(VA + 0x100000)
		     : "ebx", "memory", "cc");
	check_equal(visits, 1);
	check_equal(task_error, 0);
	check_equal(saved_eip, fault_at);
	check_equal(TASK(SEL_MAIN)->tss.esp, VA + 0x100000);
	check_equal(read_cr2(), VA + 0x100000 - 4);
	check_equal(read_cr3(), (uint32_t)spaces[0]);
	paging_off();
}

/* A TSS that is not in memory: #PF before anything is done, and it works once it is. */
static void a_tss_that_is_away(void)
{
	struct tss *away = (struct tss *)(VA + 0x1FC0); /* across the end of a page */
	uint32_t *low = page_alloc(), *high = page_alloc();

	begin();
	spaces_make();
	for (unsigned int s = 0; s < 2; s++) {
		leaves[s][1] = (uint32_t)low | P | W;
		leaves[s][2] = (uint32_t)high | P | W;
	}
	*away = TASK(SEL_A)->tss;
	table[SEL_A / 8] = descriptor(away, sizeof(*away) - 1, DESC_TSS);
	for (unsigned int page = 1; page <= 2; page++) {
		leaves[0][page] &= ~P;
		invlpg(VA + page * 0x1000);
		/* By a read or by a write: processors differ. */
		check_equal(trap_result(try_call(do_call, SEL_A, 0)) & 0x1FD, 0x100);
		check_equal(trap.cr2 >> 12, (VA >> 12) + page);
		check_equal(task_register(), SEL_MAIN);
		check(!is_busy(SEL_A));
		leaves[0][page] |= P;
	}
	check_equal(visits, 0);
	hook = look_at_va;
	far_call(SEL_A);
	check_equal(visits, 1);
	check_equal(at_va, 1);
	check_equal(away->link, SEL_MAIN);
	paging_off();
}

void main(void)
{
	static const struct test tests[] = {
		{ "call_and_return", call_and_return },
		{ "registers_are_loaded", registers_are_loaded },
		{ "registers_are_saved", registers_are_saved },
		{ "jump_and_jump_back", jump_and_jump_back },
		{ "through_gates", through_gates },
		{ "nested", nested },
		{ "local_breakpoints_end", local_breakpoints_end },
		{ "a_table_of_its_own", a_table_of_its_own },
		{ "segments_have_bases", segments_have_bases },
		{ "a_task_of_ring_3", a_task_of_ring_3 },
		{ "a_16_bit_task", a_16_bit_task },
		{ "a_virtual_8086_task", a_virtual_8086_task },
		{ "an_error_code", an_error_code },
		{ "a_double_fault", a_double_fault },
		{ "a_timer_task", a_timer_task },
		{ "the_trap_bit", the_trap_bit },
		{ "bad_targets", bad_targets },
		{ "bad_links", bad_links },
		{ "bad_tasks", bad_tasks },
		{ "a_space_of_its_own", a_space_of_its_own },
		{ "a_stack_overflow", a_stack_overflow },
		{ "a_tss_that_is_away", a_tss_that_is_away },
	};

	set_up();
	run_tests(tests, ARRAY_SIZE(tests));
}
