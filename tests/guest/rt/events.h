/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For guests that look closely at events: a record of each trap, the
 * controllers that send interrupts and NMIs, a ring 3, and a page that is a
 * page table in use and has room for other things beside its one entry. A
 * hypervisor with shadow paging tracks writes to that page, whatever is written.
 */
#ifndef TESTS_GUEST_EVENTS_H
#define TESTS_GUEST_EVENTS_H

#include "tests/guest/rt/rt64.h"

#define EFLAGS_TF (1ull << 8)
#define EFLAGS_IF (1ull << 9)
#define EFLAGS_NT (1ull << 14)
#define EFLAGS_RF (1ull << 16)

/* Makes the address space of all this and uses it. After traps_init(). */
void events_init(void);

/* The page; its last 8 bytes are taken. */
extern uint8_t *table_page;
/* The same once more, with nothing below it. */
#define TABLE_ALIAS 0x8080001000ul
/* Sees to it that the page is in use as a table. */
void table_live(void);

/* ---- the record ---- */

struct seen {
	uint64_t vector, error, rip, cs, rflags, rsp, ss, cr2, dr6;
};

#define SEEN_MAX 64u
extern struct seen seen[SEEN_MAX];
extern unsigned int seen_count;

/* Records @vector from now on, and goes on @skip bytes further. */
void see(unsigned int vector, unsigned int skip);
void see_no_more(unsigned int vector);
/* For a hook of one's own. */
void see_frame(const struct trap_frame *f);

/* An address that maps a page which nobody has touched through it. */
uint64_t fresh_page(void);

/* Calls @fn with a stack that ends at @top. */
void call_on_stack(uint8_t *top, void (*fn)(void));

/* ---- debug registers ---- */

#define DR6_INIT 0xFFFF0FF0ul
#define DR6_BD (1ul << 13)
#define DR6_BS (1ul << 14)
#define DR7_INIT 0x400ul
#define DR7_GD (1ul << 13)
/* Breakpoint @n, global; @rw 0: execution, 1: write, 2: port, 3: any but execution. */
#define DR7_BREAK(n, rw, len) (2ul << 2 * (n) | ((rw) | ((len) == 8 ? 2ul : (len) - 1ul) << 2) << (16 + 4 * (n)))

static inline uint64_t read_dr6(void) { uint64_t v; asm volatile("mov %%dr6, %0" : "=r"(v)); return v; }
static inline uint64_t read_dr7(void) { uint64_t v; asm volatile("mov %%dr7, %0" : "=r"(v)); return v; }
static inline void write_dr0(uint64_t v) { asm volatile("mov %0, %%dr0" : : "r"(v) : "memory"); }
static inline void write_dr1(uint64_t v) { asm volatile("mov %0, %%dr1" : : "r"(v) : "memory"); }
static inline void write_dr6(uint64_t v) { asm volatile("mov %0, %%dr6" : : "r"(v) : "memory"); }
static inline void write_dr7(uint64_t v) { asm volatile("mov %0, %%dr7" : : "r"(v) : "memory"); }

/* ---- who sends interrupts ---- */

#define VECTOR_SELF 0x31

/* The local APIC on, its timer off, the PICs off; VECTOR_SELF is recorded. */
void apic_init(void);
void apic_send_self(unsigned int vector);
void apic_send_nmi(void);
extern volatile uint32_t *const apic_icr;
extern uint32_t apic_icr_self, apic_icr_nmi; /* what to write there */
void apic_eoi(void);
/* The PIT's interrupt as NMIs, @hz of them in a second; 0: no more. */
void pit_sends_nmis(unsigned int hz);

/* ---- ring 3 ---- */

#define USER_CODE 0x80C0000000ul
#define USER_STACK_TOP 0x80C0002000ul

/* Puts the code between @from and @to where ring 3 can run it, and runs it
 * until INT 0x80 or a trap that is not recorded; a in rdi, b in rsi. */
unsigned int user_run(const char *from, const char *to, uint64_t a, uint64_t b);

#endif
