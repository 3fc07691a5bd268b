/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Traps and interrupts of the hypervisor itself. Interrupts are off but for
 * two places, cpu_idle() and cpu_take_interrupts() (kernel/cpu.h), so a
 * handler runs at no other time and only sets flags and fills rings. Any
 * exception is our own bug: registers are printed and the machine stops.
 */
#ifndef KERNEL_TRAPS_H
#define KERNEL_TRAPS_H

#include "lib/types.h"

/* Interrupt vectors. Above 0xEF the LAPIC's own. */
enum {
	VECTOR_SERIAL = 0x30,
	VECTOR_TIMER = 0xF0,
	VECTOR_SPURIOUS = 0xFF,
};

struct trap_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t vector, error_code;
	uint64_t rip, cs, rflags, rsp, ss; /* by the CPU */
};

/* GDT, TSS and IDT of this CPU; NMI, #DF and #MC get stacks of their own. */
void traps_init(void);

void trap_handle(struct trap_frame *f);

#endif
