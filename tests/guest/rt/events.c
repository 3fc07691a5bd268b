// SPDX-License-Identifier: GPL-2.0-only
/* See events.h. */
#include "tests/guest/rt/events.h"

#define TABLE_VA 0x80401FF000ul /* entry 511 of its table */
#define APIC_VA 0x8100000000ul
#define IOAPIC_VA 0x8100001000ul
#define IOAPIC_BASE 0xFEC00000ul
#define FRESH_VA 0x8140000000ul
#define PTE_UNCACHED 0x18ul
#define ICR_NMI 0x4400u
#define ICR_ASSERT 0x4000u

uint8_t *table_page;
struct seen seen[SEEN_MAX];
unsigned int seen_count;
uint32_t apic_icr_self, apic_icr_nmi;
volatile uint32_t *const apic_icr = (volatile uint32_t *)(APIC_VA + 0x300);

static uint8_t skips[256];
static pte_t *space;
static uint8_t *user_code;

void events_init(void)
{
	space = space_new();
	space_map(space, TABLE_VA, marked_page(1), PTE_P | PTE_W);
	table_page = (uint8_t *)((uint64_t)space_entry(space, TABLE_VA, 1) & ~0xFFFul);
	space_map(space, TABLE_ALIAS, table_page, PTE_P | PTE_W);
	space_map(space, APIC_VA, (void *)(rdmsr(0x1B) & PTE_ADDR), PTE_P | PTE_W | PTE_UNCACHED);
	space_map(space, IOAPIC_VA, (void *)IOAPIC_BASE, PTE_P | PTE_W | PTE_UNCACHED);
	user_code = page_alloc();
	space_map(space, USER_CODE, user_code, PTE_P | PTE_U);
	space_map(space, USER_STACK_TOP - PAGE, page_alloc(), PTE_P | PTE_W | PTE_U);
	space_use(space);
	apic_init();
}

void table_live(void)
{
	invlpg(TABLE_VA);
	check_equal(*(volatile uint64_t *)TABLE_VA, 1);
}

uint64_t fresh_page(void)
{
	static uint64_t va = FRESH_VA;

	va += 2 * PAGE;
	space_map(space, va, page_alloc(), PTE_P | PTE_W);
	return va;
}

/* ---- the record ---- */

void see_frame(const struct trap_frame *f)
{
	if (seen_count < SEEN_MAX)
		seen[seen_count++] = (struct seen){ f->vector, f->error, f->rip, f->cs, f->rflags, f->rsp, f->ss,
						    read_cr2(), read_dr6() };
	write_dr6(DR6_INIT);
}

static void on_seen(struct trap_frame *f)
{
	see_frame(f);
	f->rip += skips[f->vector];
	if (f->vector >= VECTOR_IRQ && f->vector < VECTOR_USER_END)
		apic_eoi();
}

void see(unsigned int vector, unsigned int skip_bytes)
{
	skips[vector] = (uint8_t)skip_bytes;
	trap_hook(vector, on_seen);
}

void see_no_more(unsigned int vector)
{
	trap_hook(vector, NULL);
}

void call_on_stack(uint8_t *top, void (*fn)(void))
{
	asm volatile("mov %%rsp, %%rbx; mov %0, %%rsp; call *%1; mov %%rbx, %%rsp"
		     : "+r"(top), "+r"(fn)
		     :
		     : "rbx", "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "cc");
}

/* ---- who sends interrupts ---- */

static volatile uint32_t *apic(unsigned int reg) { return (volatile uint32_t *)(APIC_VA + reg); }

void apic_init(void)
{
	outb(0x21, 0xFF);
	outb(0xA1, 0xFF);
	*apic(0xF0) = 0x1FF;
	*apic(0x80) = 0;
	*apic(0x320) = 0x10000;
	*apic(0x310) = *apic(0x20); /* destination: this CPU */
	apic_icr_nmi = ICR_NMI;
	apic_icr_self = ICR_ASSERT | VECTOR_SELF;
	see(VECTOR_SELF, 0);
}

void apic_send_self(unsigned int vector) { *apic_icr = ICR_ASSERT | vector; }
void apic_send_nmi(void) { *apic_icr = apic_icr_nmi; }
void apic_eoi(void) { *apic(0xB0) = 0; }

static void ioapic_write(unsigned int reg, uint32_t v)
{
	*(volatile uint32_t *)IOAPIC_VA = reg;
	*(volatile uint32_t *)(IOAPIC_VA + 0x10) = v;
}

/* The PIT is at input 2, or 0 where firmware says nothing of it. */
void pit_sends_nmis(unsigned int hz)
{
	for (unsigned int pin = 0; pin <= 2; pin += 2) {
		ioapic_write(0x10 + 2 * pin, 0x10000);
		ioapic_write(0x11 + 2 * pin, *apic(0x20));
		if (hz)
			ioapic_write(0x10 + 2 * pin, 0x400);
	}
	if (!hz)
		return pit_stop();
	pit_start(hz);
	outb(0x21, 0xFF);
}

/* ---- ring 3 ---- */

unsigned int user_run(const char *from, const char *to, uint64_t a, uint64_t b)
{
	memcpy(user_code, from, (size_t)(to - from));
	return trap_result(try_user(USER_CODE, a, b, USER_STACK_TOP));
}
