/* SPDX-License-Identifier: GPL-2.0-only */
/* This CPU: selectors, trap stacks, protections, and the two places where
 * interrupts are let in. */
#ifndef KERNEL_CPU_H
#define KERNEL_CPU_H

#include "lib/types.h"

#define SELECTOR_CODE 0x08
#define SELECTOR_DATA 0x10
#define SELECTOR_TSS 0x18

enum { IST_NMI, IST_DF, IST_MC, IST_COUNT };

struct ist_stack {
	uint8_t guard[PAGE_SIZE]; /* unmapped */
	uint8_t stack[2 * PAGE_SIZE];
} __attribute__((aligned(4096)));

extern struct ist_stack ist_stacks[IST_COUNT];

/* SMEP, SMAP, UMIP where the CPU has them; the FPU state left to guests. */
void cpu_init(void);

/* The CPU's brand for people, at least 49 bytes. */
void cpu_brand(char brand[49]);

/* Sleeps until an interrupt was handled. Interrupts are off before and after;
 * one that is pending already is not missed. */
void cpu_idle(void);

/* Lets pending interrupts in. */
void cpu_take_interrupts(void);

/* Physical address bits: CPUID.80000008H. */
uint8_t cpu_maxphyaddr(void);

#endif
