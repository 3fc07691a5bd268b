// SPDX-License-Identifier: GPL-2.0-only
/*
 * Single-stepping, breakpoints and interrupt shadows, over instructions that
 * run as they are and over those whose page is a page table too, which a
 * hypervisor emulates or steps itself.
 */
#include "tests/guest/rt/events.h"

#define CR4_DE 8ul

/* Runs @text with TF set, %rdi at the table page, %rsi one word further. The
 * PUSHF, AND and POPF that end it are stepped too. */
#define TAIL 3
#define STEPPED(text)                                                                                        \
	do {                                                                                                 \
		seen_count = 0;                                                                              \
		asm volatile("pushfq; orq $0x100, (%%rsp); popfq\n" text                                     \
			     "\npushfq; andq $~0x100, (%%rsp); popfq"                                        \
			     :                                                                               \
			     : "D"(table_page), "S"(table_page + 8)                                          \
			     : "memory", "rax", "rbx", "rcx", "rdx", "r8", "cc");                            \
	} while (0)
/* The same without TF, to see breakpoints. */
#define PLAIN(text)                                                                                          \
	do {                                                                                                 \
		seen_count = 0;                                                                              \
		asm volatile(text                                                                            \
			     :                                                                               \
			     : "D"(table_page), "S"(table_page + 8)                                          \
			     : "memory", "rax", "rbx", "rcx", "rdx", "r8", "cc");                            \
	} while (0)

static void expect_traps(unsigned int count, uint64_t dr6)
{
	check_equal(seen_count, count);
	for (unsigned int i = 0; i < seen_count; i++) {
		check_equal(seen[i].dr6, DR6_INIT | dr6);
		check(!(seen[i].rflags & EFLAGS_TF) == !(dr6 & DR6_BS) || i + 1 == seen_count);
	}
}

static void begin(void)
{
	see(1, 0);
	write_dr6(DR6_INIT);
	table_live();
}

static void end(void)
{
	write_dr7(DR7_INIT);
	see_no_more(1);
	memset(table_page, 0, 64);
}

/* ---- single steps ---------------------------------------------------------------- */

static void steps_over_stores(void)
{
	begin();
	STEPPED("mov %%rax, (%%rdi); nop");
	expect_traps(2 + TAIL, DR6_BS);
	table_live();
	STEPPED("movq %%rax, %%xmm0; movq %%xmm0, (%%rdi); nop");
	expect_traps(3 + TAIL, DR6_BS);
	table_live();
	STEPPED("fninit; fnstcw (%%rdi); nop"); /* what an emulator is least likely to know */
	expect_traps(3 + TAIL, DR6_BS);
	table_live();
	STEPPED("mov $5, %%ecx; mov $0, %%eax; rep stosb; nop"); /* one for each iteration */
	expect_traps(2 + 5 + 1 + TAIL, DR6_BS);
	table_live();
	STEPPED("xor %%eax, %%eax; cpuid; mov %%cr3, %%rax; mov %%rax, (%%rdi); movq $0, (%%rdi)");
	expect_traps(5 + TAIL, DR6_BS);
	end();
}

/* Where each trap is: behind the instruction. */
static void steps_have_addresses(void)
{
	uint64_t first;

	begin();
	seen_count = 0;
	asm volatile("pushfq; orq $0x100, (%%rsp); popfq\n"
		     "lea 1f(%%rip), %0; mov %0, (%1); 1: movq %0, %%xmm0; fnstcw (%1); nop\n"
		     "pushfq; andq $~0x100, (%%rsp); popfq"
		     : "=&r"(first) : "r"(table_page) : "memory", "cc");
	check_equal(seen_count, 5 + TAIL);
	check_equal(seen[1].rip, first);
	check_equal(seen[2].rip, first + 5);
	check_equal(seen[3].rip, first + 7);
	check_equal(seen[4].rip, first + 8);
	end();
}

static uint64_t pushed_flags;

static void push_flags(void)
{
	asm volatile("pushfq; popq %0" : "=r"(pushed_flags) : : "memory");
}

static void push_flags_stepped(void)
{
	asm volatile("pushfq; orq $0x100, (%%rsp); popfq; pushfq; popq %0; pushfq; andq $~0x100, (%%rsp); popfq"
		     : "=r"(pushed_flags) : : "memory", "cc");
}

/* The image on the stack has the guest's TF, not a hypervisor's. */
static void flags_on_a_table(void)
{
	for (int i = 0; i < 3; i++) {
		begin();
		seen_count = 0;
		call_on_stack(table_page + 0xF00, push_flags);
		check_equal(pushed_flags & EFLAGS_TF, 0);
		check_equal(seen_count, 0);
		table_live();
		call_on_stack(table_page + 0xF00, push_flags_stepped);
		check_equal(pushed_flags & EFLAGS_TF, EFLAGS_TF);
		expect_traps(2 + TAIL, DR6_BS);
		end();
	}
}

static void iret_to_a_stepped_store(void)
{
	begin();
	seen_count = 0;
	asm volatile("mov %%rsp, %%rax; pushq $0x10; pushq %%rax; pushq $0x102; pushq $8; lea 1f(%%rip), %%rax\n"
		     "pushq %%rax; iretq; 1: mov %%rax, (%0); pushfq; andq $~0x100, (%%rsp); popfq"
		     : : "r"(table_page) : "memory", "rax", "cc");
	expect_traps(1 + TAIL, DR6_BS);
	end();
}

/* Neither INT n nor what it enters is stepped. */
static void steps_over_int(void)
{
	begin();
	see(0x90, 0);
	STEPPED("int $0x90; nop");
	check_equal(seen_count, 2 + TAIL);
	check_equal(seen[0].vector, 0x90);
	check_equal(seen[0].rflags & EFLAGS_TF, EFLAGS_TF);
	check_equal(seen[1].vector, 1);
	see_no_more(0x90);
	end();
}

/* ---- interrupt shadows --------------------------------------------------------------- */

/* MOV SS hides its trap, and the next instruction has but one. */
static void steps_behind_mov_ss(void)
{
	begin();
	STEPPED("mov %%ss, %%eax; mov %%eax, %%ss; nop; nop");
	expect_traps(3 + TAIL, DR6_BS);
	table_live();
	STEPPED("mov %%ss, %%eax; mov %%eax, %%ss; mov %%rax, (%%rdi); nop");
	expect_traps(3 + TAIL, DR6_BS);
	table_live();
	STEPPED("mov %%ss, %%eax; mov %%eax, %%ss; movq %%xmm0, (%%rdi); nop");
	expect_traps(3 + TAIL, DR6_BS);
	table_live();
	STEPPED("mov %%ss, %%eax; mov %%eax, %%ss; fnstcw (%%rdi); nop");
	expect_traps(3 + TAIL, DR6_BS);
	STEPPED("mov %%ss, %%edx; xor %%eax, %%eax; mov %%edx, %%ss; cpuid; nop");
	expect_traps(4 + TAIL, DR6_BS);
	STEPPED("cli; sti; nop; cli"); /* STI hides nothing */
	expect_traps(4 + TAIL, DR6_BS);
	end();
}

/* With an interrupt that waits: where it comes. */
#define SHADOWED(text)                                                                                       \
	do {                                                                                                 \
		uint64_t expected_;                                                                              \
		table_live();                                                                                \
		apic_send_self(VECTOR_SELF);                                                                 \
		seen_count = 0;                                                                              \
		asm volatile("lea 1f(%%rip), %0; mov %%ss, %%eax; " text "; 1: nop; nop; cli"                \
			     : "=&r"(expected_) : "D"(table_page) : "memory", "rax", "rbx", "rcx", "rdx", "cc"); \
		check_equal(seen_count, 1);                                                                  \
		check_equal(seen[0].vector, VECTOR_SELF);                                                    \
		check_equal(seen[0].rip, expected_);                                                             \
	} while (0)

static void interrupts_behind_shadows(void)
{
	SHADOWED("sti; nop");
	SHADOWED("sti; mov %%rax, (%%rdi)");
	SHADOWED("sti; movq %%xmm0, (%%rdi)");
	SHADOWED("sti; fnstcw (%%rdi)");
	SHADOWED("sti; cpuid");
	SHADOWED("sti; mov %%eax, %%ss; nop");
	SHADOWED("sti; mov %%eax, %%ss; mov %%rax, (%%rdi)");
	SHADOWED("sti; mov %%eax, %%ss; movq %%xmm0, (%%rdi)");
	SHADOWED("sti; mov %%eax, %%ss; fnstcw (%%rdi)");
	memset(table_page, 0, 64);
}

static volatile unsigned int nmi_count;
static uint64_t nmi_rip;

static void on_nmi(struct trap_frame *f)
{
	nmi_count++;
	nmi_rip = f->rip;
}

/* The trap of the store that sends an NMI goes first: the NMI meets its handler. */
static void nmi_while_stepping(void)
{
	extern const uint64_t trap_stubs[256];
	uint64_t after;

	begin();
	trap_hook(2, on_nmi);
	trap_stack(2, (uint64_t)page_alloc() + PAGE);
	nmi_count = 0;
	seen_count = 0;
	asm volatile("pushfq; orq $0x100, (%%rsp); popfq\n"
		     "lea 1f(%%rip), %0; mov %1, (%2); 1: nop; nop; pushfq; andq $~0x100, (%%rsp); popfq"
		     : "=&r"(after) : "r"(apic_icr_nmi), "r"(apic_icr) : "memory", "cc");
	check_equal(nmi_count, 1);
	check_equal(seen_count, 4 + TAIL);
	check_equal(seen[1].rip, after);
	check_equal(nmi_rip, trap_stubs[1]);
	trap_stack(2, 0);
	trap_hook(2, NULL);
	end();
}

/* ---- breakpoints on data --------------------------------------------------------------- */

static void watch(unsigned int n, uint64_t offset, unsigned int rw, unsigned int len)
{
	if (n)
		write_dr1((uint64_t)table_page + offset);
	else
		write_dr0((uint64_t)table_page + offset);
	write_dr7(read_dr7() | DR7_BREAK(n, rw, len));
	table_live();
}

static void data_breakpoints(void)
{
	begin();
	watch(0, 8, 1, 8);
	PLAIN("mov %%rax, (%%rdi); mov %%rax, 16(%%rdi)"); /* beside it */
	expect_traps(0, 0);
	table_live();
	PLAIN("mov %%rax, (%%rsi); nop");
	expect_traps(1, 1);
	table_live();
	PLAIN("movb %%al, 7(%%rsi); nop");
	expect_traps(1, 1);
	table_live();
	PLAIN("mov %%rax, 4(%%rdi); nop"); /* across its start */
	expect_traps(1, 1);
	table_live();
	PLAIN("lock; addq $1, (%%rsi); nop");
	expect_traps(1, 1);
	table_live();
	PLAIN("movq %%xmm0, (%%rsi); nop");
	expect_traps(1, 1);
	table_live();
	PLAIN("fnstcw (%%rsi); nop");
	expect_traps(1, 1);
	table_live();
	PLAIN("fnstcw (%%rdi); nop");
	expect_traps(0, 0);
	PLAIN("mov (%%rsi), %%rax; nop"); /* it is for writes */
	expect_traps(0, 0);
	end();
}

static void data_breakpoints_of_any_access(void)
{
	begin();
	watch(0, 8, 3, 4);
	PLAIN("mov (%%rsi), %%eax; nop");
	expect_traps(1, 1);
	table_live();
	PLAIN("add %%rax, (%%rsi); nop");
	expect_traps(1, 1);
	watch(1, 8, 1, 1);
	PLAIN("mov %%rax, (%%rsi); nop"); /* both */
	expect_traps(1, 3);
	end();
}

/* A repeated instruction stops behind each iteration that hits. */
static void breakpoints_in_strings(void)
{
	begin();
	watch(0, 8, 1, 2);
	PLAIN("mov $16, %%ecx; mov $0, %%eax; cld; rep stosb");
	expect_traps(2, 1);
	table_live();
	PLAIN("mov $4, %%ecx; rep stosq");
	expect_traps(1, 1);
	end();
}

static void breakpoints_and_steps(void)
{
	begin();
	watch(0, 8, 1, 8);
	STEPPED("mov %%rax, (%%rsi)");
	check_equal(seen_count, 1 + TAIL);
	check_equal(seen[0].dr6, DR6_INIT | DR6_BS | 1);
	check_equal(seen[1].dr6, DR6_INIT | DR6_BS);
	table_live();
	STEPPED("fnstcw (%%rsi)");
	check_equal(seen_count, 1 + TAIL);
	check_equal(seen[0].dr6, DR6_INIT | DR6_BS | 1);
	check_equal(seen[1].dr6, DR6_INIT | DR6_BS);
	end();
}

/* DR6 keeps BS, BD and BT until software clears them; the others are of the last trap. */
static void what_dr6_keeps(void)
{
	begin();
	watch(0, 8, 1, 8);
	write_dr6(DR6_INIT | DR6_BS | 0xC);
	seen_count = 0;
	asm volatile("mov %%rax, (%0); nop" : : "r"(table_page + 8) : "memory");
	check_equal(seen_count, 1);
	check_equal(seen[0].dr6, DR6_INIT | DR6_BS | 1);
	end();
}

/* What the delivery of an event writes is watched too: the trap meets the
 * handler. (The handler writes there once more.) */
static void breakpoint_on_a_frame(void)
{
	extern const uint64_t trap_stubs[256];

	begin();
	see(0x90, 0);
	for (int i = 0; i < 4; i++) {
		uint8_t *top = (i < 2 ? table_page : (uint8_t *)page_alloc()) + 0xF00;

		trap_stack(0x90, (uint64_t)top);
		write_dr0((uint64_t)top - 40);
		write_dr7(DR7_INIT | DR7_BREAK(0, 1, 8));
		table_live();
		seen_count = 0;
		asm volatile("int $0x90" ::: "memory");
		write_dr7(DR7_INIT);
		check_equal(seen_count, 3);
		check_equal(seen[0].vector, 1);
		check_equal(seen[0].rip, trap_stubs[0x90]);
		check_equal(seen[0].dr6, DR6_INIT | 1);
		check_equal(seen[1].vector, 0x90);
		check_equal(seen[2].vector, 1);
		trap_stack(0x90, 0);
	}
	see_no_more(0x90);
	end();
}

/* ---- breakpoints on instructions and ports ------------------------------------------------ */

static void on_breakpoint(struct trap_frame *f)
{
	see_frame(f);
	f->rflags |= EFLAGS_RF;
}

#define BREAK_AT(text)                                                                                       \
	do {                                                                                                 \
		uint64_t at_;                                                                                \
		table_live();                                                                                \
		seen_count = 0;                                                                              \
		asm volatile("lea 1f(%%rip), %0; mov %0, %%dr0; mov %1, %%dr7; xor %%eax, %%eax\n"           \
			     "1: " text "; nop; nop; mov %2, %%dr7"                                          \
			     : "=&r"(at_) : "r"(DR7_INIT | DR7_BREAK(0, 0, 1)), "r"(DR7_INIT), "D"(table_page) \
			     : "memory", "rax", "rbx", "rcx", "rdx", "cc");                                  \
		check_equal(seen_count, 1);                                                                  \
		check_equal(seen[0].rip, at_);                                                               \
		check_equal(seen[0].dr6, DR6_INIT | 1);                                                      \
		check_equal(seen[0].rflags & EFLAGS_RF, 0);                                                  \
	} while (0)

static void instruction_breakpoints(void)
{
	pte_t *pml4 = space_new();
	uint64_t cr3 = read_cr3();

	begin();
	trap_hook(1, on_breakpoint);
	BREAK_AT("nop");
	BREAK_AT("mov %%rax, (%%rdi)");
	BREAK_AT("movq %%xmm0, (%%rdi)");
	BREAK_AT("fnstcw (%%rdi)");
	BREAK_AT("cpuid");
	BREAK_AT("mov $4, %%ecx; rep stosb"); /* at its first instruction */
	/* A page that is not in the TLB, nor in anyone's shadow. */
	space_map(pml4, 0x9000000000, page_alloc(), PTE_P | PTE_W);
	space_use(pml4);
	seen_count = 0;
	asm volatile("lea 1f(%%rip), %%rax; mov %%rax, %%dr0; mov %0, %%dr7; 1: movq $1, (%1); mov %2, %%dr7"
		     : : "r"(DR7_INIT | DR7_BREAK(0, 0, 1)), "r"(0x9000000000ul), "r"(DR7_INIT) : "rax", "memory");
	asm volatile("mov %0, %%cr3" : : "r"(cr3) : "memory");
	check_equal(seen_count, 1);
	end();
}

static void port_breakpoints(void)
{
	begin();
	write_cr4(read_cr4() | CR4_DE);
	write_dr0(0x80);
	write_dr7(DR7_INIT | DR7_BREAK(0, 2, 1));
	PLAIN("out %%al, $0x80; nop");
	expect_traps(1, 1);
	PLAIN("in $0x80, %%al; nop");
	expect_traps(1, 1);
	PLAIN("out %%al, $0xED; nop");
	expect_traps(0, 0);
	write_dr7(DR7_INIT);
	write_cr4(read_cr4() & ~CR4_DE);
	end();
}

/* ---- the registers ---------------------------------------------------------------------------- */

#define INSN(name, text)                                                                                     \
	static void name(uint64_t a, uint64_t b) { asm volatile(text : : "a"(a), "c"(b) : "rdx", "memory"); }

INSN(read_dr4, "mov %%dr4, %%rdx")
INSN(set_dr6, "mov %%rcx, %%dr6")
INSN(set_dr7, "mov %%rcx, %%dr7")

static void the_registers(void)
{
	uint64_t v;

	check_equal(read_dr7(), DR7_INIT);
	check_equal(read_dr6() & ~0xE00Ful, DR6_INIT);
	write_dr7(DR7_INIT | 0xFFFF03FF);
	check_equal(read_dr7(), 0xFFFF07FF);
	write_dr7(0);
	check_equal(read_dr7(), DR7_INIT);
	write_dr6(0);
	check_equal(read_dr6(), DR6_INIT);
	write_dr6(0xFFFFFFFF);
	check_equal(read_dr6(), DR6_INIT | 0xE00F);
	write_dr6(DR6_INIT);
	asm volatile("mov %%dr4, %0" : "=r"(v));
	check_equal(v, DR6_INIT);
	write_cr4(read_cr4() | CR4_DE);
	check_equal(trap_result(try_call(read_dr4, 0, 0)), 0x1006);
	write_cr4(read_cr4() & ~CR4_DE);
	check_equal(trap_result(try_call(set_dr6, 0, 1ul << 32)), 0x100D);
	check_equal(trap_result(try_call(set_dr7, 0, 1ul << 40)), 0x100D);
}

#define USER(name, text)                                                                                     \
	extern const char name[], name##_end[];                                                              \
	asm(".pushsection .rodata; " #name ": " text "; int $0x80; " #name "_end: .popsection")

USER(user_reads, "mov %dr0, %rax");
USER(user_reads_dr7, "mov %dr7, %rax");
USER(user_writes, "xor %eax, %eax; mov %rax, %dr7");

static void not_for_ring_3(void)
{
	write_dr0(0x1234);
	check_equal(user_run(user_reads, user_reads_end, 0, 0), 0x100D);
	check_equal(user_run(user_reads_dr7, user_reads_dr7_end, 0, 0), 0x100D);
	check_equal(user_run(user_writes, user_writes_end, 0, 0), 0x100D);
	check_equal(trap.error, 0);
}

static uint64_t dr7_in_handler;

static void on_general_detect(struct trap_frame *f)
{
	dr7_in_handler = read_dr7();
	see_frame(f);
}

/* It stops the access, and is off in the handler. */
static void general_detect(void)
{
	uint64_t at;

	begin();
	trap_hook(1, on_general_detect);
	seen_count = 0;
	write_dr7(DR7_INIT | DR7_GD);
	asm volatile("lea 1f(%%rip), %0; 1: mov %%dr0, %%rax" : "=&r"(at) : : "rax", "memory");
	check_equal(seen_count, 1);
	check_equal(seen[0].dr6, DR6_INIT | DR6_BD);
	check_equal(seen[0].rip, at);
	check_equal(dr7_in_handler, DR7_INIT);
	check_equal(read_dr7(), DR7_INIT);
	end();
}

/* INT1 is an interrupt that no gate's DPL stops; DR6 does not know it. */
static void int1(void)
{
	uint64_t after;

	begin();
	write_dr6(DR6_INIT | 2);
	seen_count = 0;
	asm volatile("lea 1f(%%rip), %0; .byte 0xF1; 1: nop" : "=&r"(after) : : "memory");
	check_equal(seen_count, 1);
	check_equal(seen[0].rip, after);
	check_equal(seen[0].dr6, DR6_INIT | 2);
	end();
}

void main(void)
{
	static const struct test tests[] = {
		{ "steps_over_stores", steps_over_stores },
		{ "steps_have_addresses", steps_have_addresses },
		{ "flags_on_a_table", flags_on_a_table },
		{ "iret_to_a_stepped_store", iret_to_a_stepped_store },
		{ "steps_over_int", steps_over_int },
		{ "steps_behind_mov_ss", steps_behind_mov_ss },
		{ "interrupts_behind_shadows", interrupts_behind_shadows },
		{ "nmi_while_stepping", nmi_while_stepping },
		{ "data_breakpoints", data_breakpoints },
		{ "data_breakpoints_of_any_access", data_breakpoints_of_any_access },
		{ "breakpoints_in_strings", breakpoints_in_strings },
		{ "breakpoints_and_steps", breakpoints_and_steps },
		{ "what_dr6_keeps", what_dr6_keeps },
		{ "breakpoint_on_a_frame", breakpoint_on_a_frame },
		{ "instruction_breakpoints", instruction_breakpoints },
		{ "port_breakpoints", port_breakpoints },
		{ "the_registers", the_registers },
		{ "not_for_ring_3", not_for_ring_3 },
		{ "general_detect", general_detect },
		{ "int1", int1 },
	};

	traps_init();
	events_init();
	run_tests(tests, ARRAY_SIZE(tests));
}
