// SPDX-License-Identifier: GPL-2.0-only
/* See rt32.h. */
#include "tests/guest/rt/rt32.h"

struct trap trap;
volatile uint32_t ticks;

extern const uint32_t trap_stubs[64];
extern uint32_t try_esp;
extern char try_landing[];

static uint64_t idt[64];
static void (*hooks[64])(struct trap_frame *f);

void trap_handler(struct trap_frame *f);

void traps_init(void)
{
	struct {
		uint16_t limit;
		uint32_t base;
	} __attribute__((packed)) idtr = { sizeof(idt) - 1, (uint32_t)idt };

	for (unsigned int i = 0; i < ARRAY_SIZE(idt); i++)
		idt[i] = (trap_stubs[i] & 0xFFFF) | 0x08u << 16 | (uint64_t)0x8E00 << 32 |
			 (uint64_t)(trap_stubs[i] >> 16) << 48;
	asm volatile("lidt %0" : : "m"(idtr));
}

void trap_hook(unsigned int vector, void (*handler)(struct trap_frame *f))
{
	hooks[vector] = handler;
}

void trap_handler(struct trap_frame *f)
{
	if (hooks[f->vector]) {
		hooks[f->vector](f);
		return;
	}
	if (!try_esp) {
		print("unexpected trap %u, error 0x%x at 0x%x, cr2 0x%x\n", (unsigned long)f->vector,
		      (unsigned long)f->error, (unsigned long)f->eip, (unsigned long)read_cr2());
		finish(3);
	}
	trap = (struct trap){ f->vector, f->error, read_cr2(), f->eip };
	f->eax = 1;
	f->ecx = try_esp;
	f->eip = (uint32_t)try_landing;
	f->eflags = 2;
}

unsigned int trap_result(bool trapped)
{
	if (!trapped)
		return 0;
	return trap.vector == 14 ? 0x100 | trap.error : 0x1000 | trap.vector;
}

static void do_read(uint32_t addr, uint32_t out)
{
	*(uint32_t *)out = *(volatile uint32_t *)addr;
}

static void do_write(uint32_t addr, uint32_t v)
{
	*(volatile uint32_t *)addr = v;
}

unsigned int try_read(uint32_t addr, uint32_t *v)
{
	uint32_t ignored;

	return trap_result(try_call(do_read, addr, (uint32_t)(v ? v : &ignored)));
}

unsigned int try_write(uint32_t addr, uint32_t v)
{
	return trap_result(try_call(do_write, addr, v));
}

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
	asm volatile("cli");
	outb(0x21, 0xFF);
	trap_hook(VECTOR_IRQ, NULL);
}
