/* SPDX-License-Identifier: GPL-2.0-only */
/* What 32-bit guest kernels add to rt.h: traps that can be caught, and the timer. */
#ifndef TESTS_GUEST_RT32_H
#define TESTS_GUEST_RT32_H

#include "tests/guest/rt/rt.h"

struct trap_frame {
	uint32_t es, ds, edi, esi, ebp, esp, ebx, edx, ecx, eax;
	uint32_t vector, error, eip, cs, eflags;
};

struct trap {
	uint32_t vector, error, cr2, eip;
};

extern struct trap trap;
extern volatile uint32_t ticks;

#define VECTOR_IRQ 0x20

/* Vectors 0..63; every trap outside try_call() ends the run with a dump. */
void traps_init(void);
void trap_hook(unsigned int vector, void (*handler)(struct trap_frame *f));
bool try_call(void (*fn)(uint32_t, uint32_t), uint32_t a, uint32_t b);
/* 0, 0x100 | error code of a #PF, or 0x1000 | vector. */
unsigned int trap_result(bool trapped);
unsigned int try_read(uint32_t addr, uint32_t *v);
unsigned int try_write(uint32_t addr, uint32_t v);

void pit_start(unsigned int hz);
void pit_stop(void);

static inline uint32_t read_cr0(void) { uint32_t v; asm volatile("mov %%cr0, %0" : "=r"(v)); return v; }
static inline uint32_t read_cr2(void) { uint32_t v; asm volatile("mov %%cr2, %0" : "=r"(v)); return v; }
static inline uint32_t read_cr4(void) { uint32_t v; asm volatile("mov %%cr4, %0" : "=r"(v)); return v; }
static inline void write_cr0(uint32_t v) { asm volatile("mov %0, %%cr0" : : "r"(v) : "memory"); }
static inline void write_cr3(uint32_t v) { asm volatile("mov %0, %%cr3" : : "r"(v) : "memory"); }
static inline void write_cr4(uint32_t v) { asm volatile("mov %0, %%cr4" : : "r"(v) : "memory"); }
static inline void invlpg(uint32_t a) { asm volatile("invlpg (%0)" : : "r"(a) : "memory"); }

#endif
