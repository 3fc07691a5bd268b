// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exceptions, interrupts and single-stepping as a 64-bit kernel sees them.
 */
#include "tests/guest/rt/rt64.h"

#define TRAPPED(vector) (0x1000u | (vector))
#define EFLAGS_TF (1ull << 8)
#define VA 0x8040201000ul

#define INSN(name, text)                                                                                     \
	static void name(uint64_t a, uint64_t b) { asm volatile(text : : "a"(a), "c"(b) : "rdx", "memory"); }

INSN(divide, "xor %%edx, %%edx; div %%rcx")
INSN(undefined, "ud2")
INSN(breakpoint, "int3")
INSN(bad_msr, "rdmsr")
INSN(bad_msr_write, "xor %%edx, %%edx; wrmsr")
INSN(interrupt_0x90, "int $0x90")
INSN(load_bad_segment, "mov %%ax, %%fs")
INSN(stack_not_canonical, "mov %%rsp, %%rdx; mov %%rcx, %%rsp; push %%rax; mov %%rdx, %%rsp")
INSN(x87_wait, "fninit; fwait")
INSN(aligned_store, "movaps %%xmm0, (%%rcx)")
INSN(jump, "jmp *%%rcx")
INSN(set_cr4, "mov %%rcx, %%cr4")
INSN(set_cr0, "mov %%rcx, %%cr0")
INSN(set_cr3, "mov %%rcx, %%cr3")
INSN(set_xcr0, "xor %%edx, %%edx; mov %%ecx, %%eax; xor %%ecx, %%ecx; xsetbv")
INSN(vmx_instruction, "vmxoff")
INSN(icebp, ".byte 0xF1")

static unsigned int run(void (*fn)(uint64_t, uint64_t), uint64_t a, uint64_t b)
{
	return trap_result(try_call(fn, a, b));
}

static void exceptions(void)
{
	for (int i = 0; i < 3; i++) {
		check_equal(run(divide, 1, 0), TRAPPED(0));
		check_equal(run(divide, 1, 1), 0);
		check_equal(run(undefined, 0, 0), TRAPPED(6));
		check_equal(run(breakpoint, 0, 0), TRAPPED(3));
		check_equal(run(interrupt_0x90, 0, 0), TRAPPED(0x90));
		check_equal(run(load_bad_segment, 0x1000, 0), TRAPPED(13));
		check_equal(trap.error, 0x1000);
		check_equal(run(aligned_store, 0, (uint64_t)&trap + 4), TRAPPED(13));
	}
}

/* RIP: at the instruction for a fault, behind it for a trap. */
static void rip_of_exceptions(void)
{
	check_equal(run(undefined, 0, 0), TRAPPED(6));
	check_equal(*(uint16_t *)trap.rip, 0x0B0F);
	check_equal(run(breakpoint, 0, 0), TRAPPED(3));
	check_equal(((uint8_t *)trap.rip)[-1], 0xCC);
	check_equal(run(interrupt_0x90, 0, 0), TRAPPED(0x90));
	check_equal(((uint8_t *)trap.rip)[-1], 0x90);
	check_equal(trap.cs, 8);
}

static void stack_fault(void)
{
	if (on_tcg()) {
		skip("TCG raises #GP");
		return;
	}
	check_equal(run(stack_not_canonical, 0, 0x800000001000ul), TRAPPED(12));
	check_equal(trap.error, 0);
}

static void fetch_from_nowhere(void)
{
	check_equal(run(jump, 0, VA), PF(PF_I));
	check_equal(trap.cr2, VA);
	check_equal(trap.rip, VA);
	check_equal(run(jump, 0, 0x800000000000ul), TRAPPED(13));
}

static void device_not_available(void)
{
	uint64_t cr0 = read_cr0();

	write_cr0(cr0 | CR0_TS);
	check_equal(run(x87_wait, 0, 0), TRAPPED(7));
	asm volatile("clts");
	check_equal(read_cr0(), cr0);
	check_equal(run(x87_wait, 0, 0), 0);
}

static void bad_control_registers(void)
{
	uint64_t cr0 = read_cr0(), cr3 = read_cr3(), cr4 = read_cr4();

	if (on_tcg()) {
		skip("TCG lets these through");
		return;
	}
	check_equal(run(set_cr4, 0, cr4 & ~0x20ul), TRAPPED(13)); /* PAE in long mode */
	check_equal(run(set_cr4, 0, cr4 | 1ul << 40), TRAPPED(13));
	check_equal(run(set_cr0, 0, cr0 & ~1ul), TRAPPED(13)); /* PG without PE */
	check_equal(run(set_cr0, 0, (cr0 & ~(1ul << 30)) | 1ul << 29), TRAPPED(13)); /* NW without CD */
	check_equal(run(set_cr0, 0, cr0 | 1ul << 32), TRAPPED(13));
	check_equal(run(set_cr3, 0, cr3 | 1ul << 62), TRAPPED(13));
	check_equal(read_cr0(), cr0);
	check_equal(read_cr3(), cr3);
	check_equal(read_cr4(), cr4);
}

static void bad_msrs(void)
{
	uint32_t r[4];

	cpuid(1, 0, r);
	if (on_tcg() || !(r[2] >> 31)) {
		skip("plain emulators let unknown MSRs through");
		return;
	}
	check_equal(run(bad_msr, 0, 0xDEAD), TRAPPED(13));
	check_equal(trap.error, 0);
	check_equal(run(bad_msr_write, 0x80000000, 0xDEAD), TRAPPED(13));
	check_equal(run(bad_msr_write, 1ul << 20, MSR_EFER), TRAPPED(13)); /* reserved */
	check_equal(rdmsr(MSR_EFER) & 0xD00, 0xD00);
}

static void icebp_is_a_debug_exception(void)
{
	if (on_tcg()) {
		skip("TCG has no ICEBP");
		return;
	}
	check_equal(run(icebp, 0, 0), TRAPPED(1));
}

static void bad_xcr0(void)
{
	uint32_t r[4];

	cpuid(1, 0, r);
	if (!(r[2] >> 26 & 1)) {
		check_equal(run(set_xcr0, 0, 1), TRAPPED(6));
		return;
	}
	check_equal(run(set_xcr0, 0, 1), TRAPPED(6)); /* CR4.OSXSAVE is clear */
	write_cr4(read_cr4() | 1ul << 18);
	check_equal(run(set_xcr0, 0, 0), TRAPPED(13)); /* x87 must be on */
	check_equal(run(set_xcr0, 0, 1), 0);
	check_equal(run(set_xcr0, 0, 5), TRAPPED(13)); /* AVX without SSE */
	check_equal(run(set_xcr0, 0, 3), 0);
	cpuid(1, 0, r);
	check(r[2] >> 27 & 1);
	write_cr4(read_cr4() & ~(1ul << 18));
	cpuid(1, 0, r);
	check(!(r[2] >> 27 & 1));
}

static void no_vmx_for_guests(void)
{
	uint32_t r[4];

	cpuid(1, 0, r);
	if (r[2] >> 5 & 1 || on_tcg()) {
		skip("this machine has VMX, or is lax");
		return;
	}
	if (!(r[2] >> 31))
		check_equal(run(vmx_instruction, 0, 0), TRAPPED(6));
	check_equal(run(set_cr4, 0, read_cr4() | 1ul << 13), TRAPPED(13));
}

static uint64_t trapped_vector, trapped_error;

static void on_double_fault(struct trap_frame *f)
{
	extern uint64_t try_rsp;
	extern char try_landing[];

	trapped_vector = f->vector;
	trapped_error = f->error;
	f->rax = 1;
	f->rip = (uint64_t)try_landing;
	f->rsp = try_rsp;
	f->rflags = 2;
}

static void double_fault(void)
{
	uint64_t gate = trap_gate(13)[0];

	trap_hook(8, on_double_fault);
	for (int i = 0; i < 2; i++) {
		trapped_vector = 0;
		trap_gate(13)[0] = gate & ~(1ul << 47); /* not present: #NP on the way to #GP */
		check(try_call(load_bad_segment, 0x1000, 0));
		trap_gate(13)[0] = gate;
		check_equal(trapped_vector, 8);
		check_equal(trapped_error, 0);
	}
	trap_hook(8, NULL);
}

/* #UD is benign: the fault on the way is delivered in its place. */
static void fault_during_a_benign_exception(void)
{
	uint64_t gate = trap_gate(6)[0];

	trap_gate(6)[0] = gate & ~(1ul << 47);
	check_equal(run(undefined, 0, 0), TRAPPED(11));
	if (!on_tcg()) /* it says vector * 16 + 2 */
		check_equal(trap.error & ~1ul, 6 * 8 + 2);
	trap_gate(6)[0] = gate;
	check_equal(run(undefined, 0, 0), TRAPPED(6));
}

/* ---- single steps ---- */

static uint64_t steps, step_dr6;

static void on_debug(struct trap_frame *f)
{
	uint64_t dr6;

	asm volatile("mov %%dr6, %0" : "=r"(dr6));
	step_dr6 |= dr6;
	steps++;
	asm volatile("mov %0, %%dr6" : : "r"(0ul));
}

#define STEP(text, ...)                                                                                      \
	do {                                                                                                 \
		steps = 0;                                                                                   \
		asm volatile("pushfq; orq $0x100, (%%rsp); popfq\n" text                                     \
			     "\npushfq; andq $~0x100, (%%rsp); popfq" : : __VA_ARGS__ : "memory", "rax", "rbx", \
			     "rcx", "rdx", "rdi", "cc");                                                     \
	} while (0)

static void single_steps(void)
{
	static uint64_t buffer[4];

	trap_hook(1, on_debug);
	step_dr6 = 0;
	/* PUSHF, AND and POPF that end it are stepped too. */
	STEP("nop; nop; nop; nop", "m"(buffer[0]));
	check_equal(steps, 4 + 3);
	STEP("xor %%eax, %%eax; cpuid; nop", "m"(buffer[0]));
	check_equal(steps, 3 + 3);
	STEP("mov $0x80, %%edx; in %%dx, %%al; out %%al, %%dx", "m"(buffer[0]));
	check_equal(steps, 3 + 3);
	STEP("mov %%cr3, %%rax; mov %%rax, %%cr3; mov %%cr0, %%rax", "m"(buffer[0]));
	check_equal(steps, 3 + 3);
	STEP("mov $3, %%ecx; lea %0, %%rdi; rep stosb", "m"(buffer[0]));
	check_equal(steps, 2 + 3 + 3); /* one for each iteration */
	check(step_dr6 & 1ul << 14);
	trap_hook(1, NULL);
}

/* A stepped store to a page-table page: seen by both. */
static void single_step_over_a_table_write(void)
{
	pte_t *pml4 = space_new(), *leaf;
	uint64_t *p = marked_page(1), *q = marked_page(2), v = 0;

	space_map(pml4, VA, p, PTE_P);
	leaf = space_entry(pml4, VA, 1);
	space_use(pml4);
	check_equal(try_read(VA, &v), 0);
	check_equal(v, 1);
	trap_hook(1, on_debug);
	STEP("movq %1, %%xmm0; movq %%xmm0, %0; invlpg (%2)", "m"(*leaf), "r"((uint64_t)q | PTE_P), "r"(VA));
	check_equal(steps, 3 + 3);
	check_equal(try_read(VA, &v), 0);
	check_equal(v, 2);
	STEP("mov %1, %0; invlpg (%2)", "m"(*leaf), "r"((uint64_t)p | PTE_P), "r"(VA));
	check_equal(steps, 2 + 3);
	check_equal(try_read(VA, &v), 0);
	check_equal(v, 1);
	STEP("lea 1024(%0), %%rdi; fxsave64 (%%rdi); nop", "S"(p));
	check_equal(steps, 3 + 3);
	trap_hook(1, NULL);
	space_use(boot_pml4);
}

static void hardware_breakpoint(void)
{
	static volatile uint64_t watched;

	trap_hook(1, on_debug);
	steps = step_dr6 = 0;
	asm volatile("mov %0, %%dr0" : : "r"(&watched));
	asm volatile("mov %0, %%dr7" : : "r"(0x000D0402ul)); /* DR0: writes of 4 bytes, global */
	watched = 1;
	asm volatile("nop");
	asm volatile("mov %0, %%dr7" : : "r"(0x400ul));
	watched = 2;
	check_equal(steps, 1);
	check(step_dr6 & 1);
	trap_hook(1, NULL);
}

/* ---- interrupts ---- */

static void timer_ticks(void)
{
	uint64_t spins = 0;

	pit_start(1000);
	sti();
	while (ticks < 20 && ++spins < 1ul << 34)
		asm volatile("pause");
	check(ticks >= 20);
	pit_stop();
}

static void halt_wakes_up(void)
{
	pit_start(1000);
	for (uint64_t i = 0; i < 20; i++) {
		uint64_t before = ticks;

		asm volatile("sti; hlt; cli" ::: "memory");
		check(ticks > before);
	}
	pit_stop();
}

static uint64_t shadow_rip;

static void on_irq_in_shadow(struct trap_frame *f)
{
	shadow_rip = f->rip;
	ticks++;
	outb(0x20, 0x20);
}

/* The instruction after STI runs before an interrupt that waits. */
static void interrupt_shadow_of_sti(void)
{
	uint64_t first;

	for (int i = 0; i < 10; i++) {
		pit_start(100); /* far apart: a second tick must not come meanwhile */
		trap_hook(VECTOR_IRQ, on_irq_in_shadow);
		outb(0x20, 0x0A);
		while (!(inb(0x20) & 1)) /* IRR: it waits */
			;
		asm volatile("sti; lea 1f(%%rip), %0; 1: nop; nop; cli" : "=r"(first) : : "memory");
		check(ticks == 1 && shadow_rip == first);
		pit_stop();
		outb(0x21, 0xFE);
		asm volatile("sti; nop; nop; cli");
		pit_stop();
	}
}

#define LAPIC 0x9000000000ul

static volatile uint32_t *lapic(unsigned int reg)
{
	return (volatile uint32_t *)(LAPIC + reg);
}

static volatile uint64_t apic_ticks;

static void on_apic_timer(struct trap_frame *f)
{
	apic_ticks++;
	*lapic(0xB0) = 0;
}

static void apic_timer(void)
{
	pte_t *pml4 = space_new();
	uint64_t base = rdmsr(0x1B), spins = 0;
	uint32_t r[4];

	cpuid(1, 0, r);
	if (!(r[3] >> 9 & 1) || !(base >> 11 & 1)) {
		skip("no local APIC");
		return;
	}
	space_map(pml4, LAPIC, (void *)(base & PTE_ADDR), PTE_P | PTE_W | 0x18);
	space_use(pml4);
	apic_ticks = 0;
	trap_hook(VECTOR_TIMER, on_apic_timer);
	outb(0x21, 0xFF);
	*lapic(0xF0) = 0x1FF;
	*lapic(0x80) = 0;
	*lapic(0x3E0) = 0xB; /* by 1 */
	*lapic(0x320) = VECTOR_TIMER | 1u << 17; /* periodic */
	*lapic(0x380) = 200000;
	sti();
	while (apic_ticks < 5 && ++spins < 1ul << 32)
		asm volatile("pause");
	check(apic_ticks >= 5);
	cli();
	*lapic(0x320) = VECTOR_TIMER; /* one shot */
	*lapic(0x380) = 100000;
	apic_ticks = 0;
	spins = 0;
	sti();
	while (apic_ticks < 1 && ++spins < 1ul << 32)
		asm volatile("pause");
	cli();
	check_equal(apic_ticks, 1);
	check_equal(*lapic(0x390), 0);
	*lapic(0x320) = 0x10000;
	trap_hook(VECTOR_TIMER, NULL);
	space_use(boot_pml4);
}

/* An interrupt the CPU sends itself. */
static void self_interrupt(void)
{
	pte_t *pml4 = space_new();
	uint64_t base = rdmsr(0x1B);

	if (!(base >> 11 & 1)) {
		skip("no local APIC");
		return;
	}
	space_map(pml4, LAPIC, (void *)(base & PTE_ADDR), PTE_P | PTE_W | 0x18);
	space_use(pml4);
	trap_hook(VECTOR_TIMER, on_apic_timer);
	*lapic(0xF0) = 0x1FF;
	apic_ticks = 0;
	for (uint64_t i = 1; i <= 3; i++) {
		*lapic(0x300) = 1u << 18 | VECTOR_TIMER;
		check_equal(apic_ticks, i - 1);
		asm volatile("sti; nop; nop; cli" ::: "memory");
		check_equal(apic_ticks, i);
	}
	trap_hook(VECTOR_TIMER, NULL);
	space_use(boot_pml4);
}

void main(void)
{
	static const struct test tests[] = {
		{ "exceptions", exceptions },
		{ "rip_of_exceptions", rip_of_exceptions },
		{ "stack_fault", stack_fault },
		{ "fetch_from_nowhere", fetch_from_nowhere },
		{ "device_not_available", device_not_available },
		{ "bad_control_registers", bad_control_registers },
		{ "bad_msrs", bad_msrs },
		{ "icebp_is_a_debug_exception", icebp_is_a_debug_exception },
		{ "bad_xcr0", bad_xcr0 },
		{ "no_vmx_for_guests", no_vmx_for_guests },
		{ "double_fault", double_fault },
		{ "fault_during_a_benign_exception", fault_during_a_benign_exception },
		{ "single_steps", single_steps },
		{ "single_step_over_a_table_write", single_step_over_a_table_write },
		{ "hardware_breakpoint", hardware_breakpoint },
		{ "timer_ticks", timer_ticks },
		{ "halt_wakes_up", halt_wakes_up },
		{ "interrupt_shadow_of_sti", interrupt_shadow_of_sti },
		{ "apic_timer", apic_timer },
		{ "self_interrupt", self_interrupt },
	};

	traps_init();
	run_tests(tests, ARRAY_SIZE(tests));
}
