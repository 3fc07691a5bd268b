// SPDX-License-Identifier: GPL-2.0-only
/*
 * Descriptor tables of this CPU and the one handler of all traps. The stacks
 * of NMI, #DF and #MC lie in .bss, each above a guard page that
 * kernel/paging.c leaves unmapped.
 */
#include "kernel/traps.h"
#include "kernel/apic.h"
#include "kernel/clock.h"
#include "kernel/cpu.h"
#include "kernel/panic.h"
#include "kernel/serial.h"
#include "lib/compiler.h"
#include "lib/cpu_ops.h"
#include "lib/log.h"

#define GDT_CODE64 0x00AF9B000000FFFFull
#define GDT_DATA 0x00CF93000000FFFFull
#define TSS_AVAILABLE 0x89ull
#define GATE_INTERRUPT 0x8Eu
#define CALLERS_MAX 16

struct gate {
	uint16_t offset_low, selector;
	uint8_t ist, type;
	uint16_t offset_mid;
	uint32_t offset_high, zero;
} PACKED;

struct tss {
	uint32_t zero0;
	uint64_t rsp[3];
	uint64_t zero1;
	uint64_t ist[7];
	uint64_t zero2;
	uint16_t zero3, io_map;
} PACKED;

struct table_pointer {
	uint16_t limit;
	uint64_t base;
} PACKED;

extern const uint64_t trap_entries[256];
extern uint8_t boot_stack_guard[], boot_stack_top[];

struct ist_stack ist_stacks[IST_COUNT];
static struct tss tss;
static uint64_t gdt[5];
static struct gate idt[256];

static void load_gdt(void)
{
	const uint64_t base = (uintptr_t)&tss, limit = sizeof(tss) - 1;
	const struct table_pointer p = { sizeof(gdt) - 1, (uintptr_t)gdt };

	gdt[1] = GDT_CODE64;
	gdt[2] = GDT_DATA;
	gdt[3] = limit | (base & 0xFFFFFF) << 16 | TSS_AVAILABLE << 40 | (base >> 24 & 0xFF) << 56;
	gdt[4] = base >> 32;
	asm volatile("lgdt %0" : : "m"(p));
	asm volatile("push %0; lea 1f(%%rip), %%rax; push %%rax; lretq; 1:" : : "i"(SELECTOR_CODE) : "rax", "memory");
	asm volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%ss" : : "r"(SELECTOR_DATA));
	asm volatile("ltr %w0" : : "r"(SELECTOR_TSS));
}

static void load_idt(void)
{
	const struct table_pointer p = { sizeof(idt) - 1, (uintptr_t)idt };

	for (unsigned int v = 0; v < ARRAY_SIZE(idt); v++)
		idt[v] = (struct gate){
			.offset_low = (uint16_t)trap_entries[v],
			.offset_mid = (uint16_t)(trap_entries[v] >> 16),
			.offset_high = (uint32_t)(trap_entries[v] >> 32),
			.selector = SELECTOR_CODE,
			.type = GATE_INTERRUPT,
		};
	idt[EXC_NMI].ist = 1 + IST_NMI;
	idt[EXC_DF].ist = 1 + IST_DF;
	idt[EXC_MC].ist = 1 + IST_MC;
	asm volatile("lidt %0" : : "m"(p));
}

void traps_init(void)
{
	for (unsigned int i = 0; i < IST_COUNT; i++)
		tss.ist[i] = (uintptr_t)(ist_stacks[i].stack + sizeof(ist_stacks[i].stack));
	tss.io_map = sizeof(tss);
	load_gdt();
	load_idt();
}

static const char *trap_name(uint64_t vector)
{
	static const char *const names[] = {
		[EXC_DE] = "#DE", [EXC_DB] = "#DB", [EXC_NMI] = "NMI", [EXC_BP] = "#BP", [EXC_OF] = "#OF",
		[EXC_BR] = "#BR", [EXC_UD] = "#UD", [EXC_NM] = "#NM", [EXC_DF] = "#DF", [EXC_TS] = "#TS",
		[EXC_NP] = "#NP", [EXC_SS] = "#SS", [EXC_GP] = "#GP", [EXC_PF] = "#PF", [EXC_MF] = "#MF",
		[EXC_AC] = "#AC", [EXC_MC] = "#MC", [EXC_XM] = "#XM",
	};

	return vector < ARRAY_SIZE(names) && names[vector] ? names[vector] : "interrupt";
}

/* The return addresses on the boot stack, as far as the frame pointers make
 * sense. addr2line -e spoor.elf turns them into lines. */
static void dump_callers(uint64_t rbp)
{
	const uint64_t low = (uintptr_t)boot_stack_guard + PAGE_SIZE, high = (uintptr_t)boot_stack_top;

	for (int i = 0; i < CALLERS_MAX && rbp >= low && rbp <= high - 16 && !(rbp & 7); i++) {
		const uint64_t *frame = (const uint64_t *)(uintptr_t)rbp;

		log_error("called from 0x%lx", frame[1]);
		if (frame[0] <= rbp)
			return;
		rbp = frame[0];
	}
}

static void dump(const struct trap_frame *f)
{
	log_error("unexpected trap %lu (%s), error code 0x%lx, at rip 0x%lx", f->vector, trap_name(f->vector),
		  f->error_code, f->rip);
	log_error("rax %016lx rbx %016lx rcx %016lx rdx %016lx", f->rax, f->rbx, f->rcx, f->rdx);
	log_error("rsi %016lx rdi %016lx rbp %016lx rsp %016lx", f->rsi, f->rdi, f->rbp, f->rsp);
	log_error("r8  %016lx r9  %016lx r10 %016lx r11 %016lx", f->r8, f->r9, f->r10, f->r11);
	log_error("r12 %016lx r13 %016lx r14 %016lx r15 %016lx", f->r12, f->r13, f->r14, f->r15);
	log_error("rflags %lx cr0 %lx cr2 %lx cr3 %lx cr4 %lx", f->rflags, read_cr0(), read_cr2(), read_cr3(),
		  read_cr4());
	dump_callers(f->rbp);
}

void trap_handle(struct trap_frame *f)
{
	switch (f->vector) {
	case VECTOR_TIMER:
		timer_interrupt();
		apic_eoi();
		break;
	case VECTOR_SERIAL:
		serial_interrupt();
		apic_eoi();
		break;
	case VECTOR_SPURIOUS:
		break;
	default:
		panic_begin();
		dump(f);
		panic("a trap in the hypervisor");
	}
}
