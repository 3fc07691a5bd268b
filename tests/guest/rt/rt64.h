/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What 64-bit guest kernels add to rt.h: traps that can be caught, ring 3,
 * page tables, and timer interrupts.
 */
#ifndef TESTS_GUEST_RT64_H
#define TESTS_GUEST_RT64_H

#include "tests/guest/rt/rt.h"

/* ---- traps ---- */

struct trap_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t vector, error;
	uint64_t rip, cs, rflags, rsp, ss;
};

/* The last trap that was caught. */
struct trap {
	uint64_t vector, error, cr2, rip, rflags, cs;
};

extern struct trap trap;

#define VECTOR_IRQ 0x20
#define VECTOR_TIMER 0x30   /* local APIC */
#define VECTOR_USER_END 0x80

/* IDT, TSS; every trap outside try_ functions ends the run with a dump. */
void traps_init(void);
/* Calls @handler for @vector instead; it may change the frame. NULL: none. */
void trap_hook(unsigned int vector, void (*handler)(struct trap_frame *f));
/* Delivers @vector on the stack that ends at @stack; 0: the usual one. */
void trap_stack(unsigned int vector, uint64_t stack);
/* The stack of ring 0 after ring 3; 0: the usual one. */
void trap_stack_ring0(uint64_t stack);
/* The gate itself, to damage and repair. */
uint64_t *trap_gate(unsigned int vector);

bool try_call(void (*fn)(uint64_t, uint64_t), uint64_t a, uint64_t b);
bool try_user(uint64_t rip, uint64_t a, uint64_t b, uint64_t rsp);
extern uint64_t user_rflags; /* try_user() starts with it */

/* Page-fault error code. */
#define PF_P 1u
#define PF_W 2u
#define PF_U 4u
#define PF_RSVD 8u
#define PF_I 16u

/* 0 when it worked, else 0x100 | error code for #PF, else 0x1000 | vector. */
#define PF(code) (0x100u | (code))
unsigned int try_read(uint64_t addr, uint64_t *v);
unsigned int try_write(uint64_t addr, uint64_t v);
unsigned int try_exec(uint64_t addr);
/* Result of the last try_call() or try_user(), in the same words. */
unsigned int trap_result(bool trapped);

/* ---- control registers ---- */

static inline uint64_t read_cr0(void) { uint64_t v; asm volatile("mov %%cr0, %0" : "=r"(v)); return v; }
static inline uint64_t read_cr2(void) { uint64_t v; asm volatile("mov %%cr2, %0" : "=r"(v)); return v; }
static inline uint64_t read_cr3(void) { uint64_t v; asm volatile("mov %%cr3, %0" : "=r"(v)); return v; }
static inline uint64_t read_cr4(void) { uint64_t v; asm volatile("mov %%cr4, %0" : "=r"(v)); return v; }
static inline void write_cr0(uint64_t v) { asm volatile("mov %0, %%cr0" : : "r"(v) : "memory"); }
static inline void write_cr3(uint64_t v) { asm volatile("mov %0, %%cr3" : : "r"(v) : "memory"); }
static inline void write_cr4(uint64_t v) { asm volatile("mov %0, %%cr4" : : "r"(v) : "memory"); }
static inline void invlpg(uint64_t a) { asm volatile("invlpg (%0)" : : "r"(a) : "memory"); }
static inline void flush_tlb(void) { write_cr3(read_cr3()); }

#define CR0_WP (1ull << 16)
#define CR0_TS (1ull << 3)
#define CR4_PGE (1ull << 7)
#define CR4_SMEP (1ull << 20)
#define CR4_SMAP (1ull << 21)
#define MSR_EFER 0xC0000080u
#define EFER_NXE (1ull << 11)

bool has_smep(void);
bool has_smap(void);
/* QEMU's TCG gets reserved bits wrong; see "skipped". */
bool on_tcg(void);

/* ---- page tables ---- */

#define PTE_P 1ull
#define PTE_W 2ull
#define PTE_U 4ull
#define PTE_A 0x20ull
#define PTE_D 0x40ull
#define PTE_PS 0x80ull
#define PTE_G 0x100ull
#define PTE_NX (1ull << 63)
#define PTE_ADDR 0x000FFFFFFFFFF000ull

typedef uint64_t pte_t;

/* A new PML4 that shares the kernel's own first 512 GiB. */
pte_t *space_new(void);
/* The entry for @va at @level (1: page, 4: PML4), tables made on the way;
 * NULL if a large page is in the way. */
pte_t *space_entry(pte_t *pml4, uint64_t va, int level);
/* Maps one 4 KiB page with @flags. */
void space_map(pte_t *pml4, uint64_t va, const void *page, uint64_t flags);
static inline void space_use(const pte_t *pml4) { write_cr3((uint64_t)pml4); }
/* The PML4 the kernel started on. */
extern pte_t boot_pml4[512];

/* A page whose first words say which one it is. */
uint64_t *marked_page(uint64_t mark);

/* ---- timer interrupts ---- */

extern volatile uint64_t ticks;
/* Remaps the PICs and starts the PIT at @hz; enables no interrupts. */
void pit_start(unsigned int hz);
void pit_stop(void);
static inline void sti(void) { asm volatile("sti" ::: "memory"); }
static inline void cli(void) { asm volatile("cli" ::: "memory"); }

#endif
