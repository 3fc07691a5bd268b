// SPDX-License-Identifier: GPL-2.0-only
/* Features and protections of this CPU. No state. */
#include "kernel/cpu.h"
#include <string.h>
#include "lib/cpu_ops.h"

#define LEAF1_ECX_XSAVE (1u << 26)
#define LEAF7_EBX_SMEP (1u << 7)
#define LEAF7_EBX_SMAP (1u << 20)
#define LEAF7_ECX_UMIP (1u << 2)

void cpu_init(void)
{
	uint64_t cr4 = read_cr4() | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT;
	struct cpuid_result r = cpuid_count(1, 0);

	if (r.ecx & LEAF1_ECX_XSAVE)
		cr4 |= X86_CR4_OSXSAVE;
	if (cpuid_count(0, 0).eax >= 7) {
		r = cpuid_count(7, 0);
		if (r.ebx & LEAF7_EBX_SMEP)
			cr4 |= X86_CR4_SMEP;
		if (r.ebx & LEAF7_EBX_SMAP)
			cr4 |= X86_CR4_SMAP;
		if (r.ecx & LEAF7_ECX_UMIP)
			cr4 |= X86_CR4_UMIP;
	}
	write_cr4(cr4);
	/* Some firmware leaves the caches off. */
	write_cr0((read_cr0() | X86_CR0_WP | X86_CR0_NE | X86_CR0_MP) &
		  ~(uint64_t)(X86_CR0_EM | X86_CR0_TS | X86_CR0_CD | X86_CR0_NW));
}

void cpu_brand(char brand[49])
{
	memset(brand, 0, 49);
	if (cpuid_count(0x80000000, 0).eax < 0x80000004)
		return;
	for (uint32_t i = 0; i < 3; i++) {
		struct cpuid_result r = cpuid_count(0x80000002 + i, 0);

		memcpy(brand + 16 * i, &r, sizeof(r));
	}
}

uint8_t cpu_maxphyaddr(void)
{
	if (cpuid_count(0x80000000, 0).eax < 0x80000008)
		return 36;
	return (uint8_t)cpuid_count(0x80000008, 0).eax;
}

void cpu_idle(void)
{
	asm volatile("sti; hlt; cli" : : : "memory");
}

void cpu_take_interrupts(void)
{
	asm volatile("sti; nop; nop; cli" : : : "memory");
}
