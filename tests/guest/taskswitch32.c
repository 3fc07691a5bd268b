// SPDX-License-Identifier: GPL-2.0-only
/*
 * A hardware task switch: rare enough that a hypervisor may not know the
 * exit. Natively the far jump arrives and the run ends well; else the VM must
 * be stopped with a reason, and only the VM.
 */
#include "tests/guest/rt/rt.h"

struct tss {
	uint32_t link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags;
	uint32_t eax, ecx, edx, ebx, esp, ebp, esi, edi, es, cs, ss, ds, fs, gs, ldt, iomap;
};

extern uint64_t gdt[];

static struct tss old_task, new_task;
static uint8_t stack[4096];

static uint64_t tss_descriptor(const struct tss *t)
{
	uint64_t base = (uint32_t)t;

	return (sizeof(*t) - 1) | (base & 0xFFFFFF) << 16 | 0x89ull << 40 | (base >> 24) << 56;
}

static void arrived(void)
{
	print("ok hardware_task_switch\n1 passed, 0 failed\n");
	finish(0);
}

void main(void)
{
	print("task switch follows\n");
	new_task = (struct tss){ .eip = (uint32_t)arrived, .eflags = 2, .esp = (uint32_t)(stack + sizeof(stack)),
				 .cs = 0x08, .ds = 0x10, .es = 0x10, .fs = 0x10, .gs = 0x10, .ss = 0x10 };
	gdt[3] = tss_descriptor(&old_task);
	gdt[4] = tss_descriptor(&new_task);
	asm volatile("ltr %w0" : : "r"(0x18));
	asm volatile("ljmp $0x20, $0");
	print("FAIL still here\n");
	finish(1);
}
