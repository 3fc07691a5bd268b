// SPDX-License-Identifier: GPL-2.0-only
/* See rt64.h. */
#include "tests/guest/rt/rt64.h"

#define IST_USUAL 1
#define IST_CHOSEN 2
#define KERNEL_CS 0x08
#define KERNEL_DS 0x10
#define TSS_SELECTOR 0x30

struct tss {
	uint32_t reserved0;
	uint64_t rsp[3], reserved1, ist[7], reserved2;
	uint16_t reserved3, iomap;
} __attribute__((packed));

struct trap trap;
volatile uint64_t ticks;

extern const uint64_t trap_stubs[256];
extern uint64_t try_rsp;
extern char try_landing[];
extern uint64_t gdt[];

static struct tss tss;
static uint64_t idt[256][2];
static uint8_t trap_stack_area[16384] __attribute__((aligned(16)));
static void (*hooks[256])(struct trap_frame *f);

void trap_handler(struct trap_frame *f);

static void set_gate(unsigned int vector, unsigned int ist)
{
	uint64_t at = trap_stubs[vector];
	unsigned int dpl = vector == VECTOR_USER_END || vector == 3 ? 3 : 0;

	idt[vector][0] = (at & 0xFFFF) | (uint64_t)KERNEL_CS << 16 | (uint64_t)ist << 32 | 0x8Eull << 40 |
			 (uint64_t)dpl << 45 | (at >> 16 & 0xFFFF) << 48;
	idt[vector][1] = at >> 32;
}

void traps_init(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) idtr = { sizeof(idt) - 1, (uint64_t)idt };
	uint64_t base = (uint64_t)&tss;

	for (unsigned int i = 0; i < 256; i++)
		set_gate(i, IST_USUAL);
	asm volatile("lidt %0" : : "m"(idtr));
	tss.rsp[0] = tss.ist[IST_USUAL - 1] = (uint64_t)trap_stack_area + sizeof(trap_stack_area);
	tss.iomap = sizeof(tss);
	gdt[TSS_SELECTOR / 8] = (sizeof(tss) - 1) | (base & 0xFFFFFF) << 16 | 0x89ull << 40 | (base >> 24 & 0xFF) << 56;
	gdt[TSS_SELECTOR / 8 + 1] = base >> 32;
	asm volatile("ltr %w0" : : "r"(TSS_SELECTOR));
}

void trap_hook(unsigned int vector, void (*handler)(struct trap_frame *f))
{
	hooks[vector] = handler;
}

void trap_stack(unsigned int vector, uint64_t stack)
{
	tss.ist[IST_CHOSEN - 1] = stack;
	set_gate(vector, stack ? IST_CHOSEN : IST_USUAL);
}

void trap_stack_ring0(uint64_t stack)
{
	tss.rsp[0] = stack ? stack : tss.ist[IST_USUAL - 1];
}

uint64_t *trap_gate(unsigned int vector)
{
	return idt[vector];
}

static void dump(const struct trap_frame *f)
{
	print("unexpected trap %u, error 0x%x at 0x%x:0x%x, rflags 0x%x\n", f->vector, f->error, f->cs, f->rip,
	      f->rflags);
	print("  cr2 0x%x cr3 0x%x rsp 0x%x rax 0x%x rdi 0x%x rsi 0x%x\n", read_cr2(), read_cr3(), f->rsp, f->rax,
	      f->rdi, f->rsi);
	finish(3);
}

void trap_handler(struct trap_frame *f)
{
	if (hooks[f->vector]) {
		hooks[f->vector](f);
		return;
	}
	if (!try_rsp)
		dump(f);
	trap = (struct trap){ f->vector, f->error, read_cr2(), f->rip, f->rflags, f->cs };
	f->rax = f->vector != VECTOR_USER_END;
	f->rip = (uint64_t)try_landing;
	f->cs = KERNEL_CS;
	f->ss = KERNEL_DS;
	f->rsp = try_rsp;
	f->rflags = 2;
}

unsigned int trap_result(bool trapped)
{
	if (!trapped)
		return 0;
	return trap.vector == 14 ? PF((unsigned int)trap.error) : 0x1000u | (unsigned int)trap.vector;
}

static void do_read(uint64_t addr, uint64_t out)
{
	*(uint64_t *)out = *(volatile uint64_t *)addr;
}

static void do_write(uint64_t addr, uint64_t v)
{
	*(volatile uint64_t *)addr = v;
}

static void do_exec(uint64_t addr, uint64_t unused)
{
	asm volatile("call *%0" : : "r"(addr) : "memory");
}

unsigned int try_read(uint64_t addr, uint64_t *v)
{
	uint64_t ignored;

	return trap_result(try_call(do_read, addr, (uint64_t)(v ? v : &ignored)));
}

unsigned int try_write(uint64_t addr, uint64_t v)
{
	return trap_result(try_call(do_write, addr, v));
}

unsigned int try_exec(uint64_t addr)
{
	return trap_result(try_call(do_exec, addr, 0));
}

bool has_smep(void)
{
	return cpuid_7_ebx(7);
}

bool has_smap(void)
{
	return cpuid_7_ebx(20);
}

bool on_tcg(void)
{
	uint32_t r[4];

	cpuid(0x40000000, 0, r);
	return r[1] == 0x54474354; /* "TCGT" */
}

pte_t *space_new(void)
{
	pte_t *pml4 = page_alloc();

	pml4[0] = boot_pml4[0];
	return pml4;
}

pte_t *space_entry(pte_t *pml4, uint64_t va, int level)
{
	pte_t *table = pml4;

	for (int l = 4; l > level; l--) {
		pte_t *e = &table[va >> (3 + 9 * l) & 511];

		if (*e & PTE_P && *e & PTE_PS)
			return NULL;
		if (!(*e & PTE_P))
			*e = (uint64_t)page_alloc() | PTE_P | PTE_W | PTE_U;
		table = (pte_t *)(*e & PTE_ADDR);
	}
	return &table[va >> (3 + 9 * level) & 511];
}

void space_map(pte_t *pml4, uint64_t va, const void *page, uint64_t flags)
{
	*space_entry(pml4, va, 1) = (uint64_t)page | flags;
}

uint64_t *marked_page(uint64_t mark)
{
	uint64_t *p = page_alloc();

	for (unsigned int i = 0; i < 8; i++)
		p[i] = mark + i;
	return p;
}

/* ---- timer interrupts ---- */

static void on_irq0(struct trap_frame *f)
{
	ticks++;
	outb(0x20, 0x20);
}

void pit_start(unsigned int hz)
{
	unsigned int divisor = 1193182 / hz;

	outb(0x20, 0x11);
	outb(0xA0, 0x11);
	outb(0x21, VECTOR_IRQ);
	outb(0xA1, VECTOR_IRQ + 8);
	outb(0x21, 4);
	outb(0xA1, 2);
	outb(0x21, 1);
	outb(0xA1, 1);
	outb(0x21, 0xFE);
	outb(0xA1, 0xFF);
	ticks = 0;
	trap_hook(VECTOR_IRQ, on_irq0);
	outb(0x43, 0x34);
	outb(0x40, (uint8_t)divisor);
	outb(0x40, (uint8_t)(divisor >> 8));
}

void pit_stop(void)
{
	cli();
	outb(0x21, 0xFF);
	trap_hook(VECTOR_IRQ, NULL);
}
