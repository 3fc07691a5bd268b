/* SPDX-License-Identifier: GPL-2.0-only */
/* Instructions that C has no words for. Most are privileged: of use on the
 * metal only, to kernel/ and the backends. */
#ifndef LIB_CPU_OPS_H
#define LIB_CPU_OPS_H

#include "lib/types.h"
#include "lib/x86.h"

static inline uint8_t inb(uint16_t port)
{
	uint8_t v;

	asm volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline void outb(uint16_t port, uint8_t v)
{
	asm volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static inline uint16_t inw(uint16_t port)
{
	uint16_t v;

	asm volatile("inw %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline void outw(uint16_t port, uint16_t v)
{
	asm volatile("outw %0, %1" : : "a"(v), "Nd"(port));
}

static inline uint64_t rdmsr(uint32_t msr)
{
	uint32_t lo, hi;

	asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return lo | (uint64_t)hi << 32;
}

static inline void wrmsr(uint32_t msr, uint64_t v)
{
	asm volatile("wrmsr" : : "c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
}

static inline uint64_t rdtsc(void)
{
	uint32_t lo, hi;

	asm volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return lo | (uint64_t)hi << 32;
}

struct cpuid_result { uint32_t eax, ebx, ecx, edx; };

static inline struct cpuid_result cpuid_count(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid_result r;

	asm volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf));
	return r;
}

#define DEFINE_CR_ACCESS(cr)                                                        \
	static inline uint64_t read_##cr(void)                                      \
	{                                                                           \
		uint64_t v;                                                         \
		asm volatile("mov %%" #cr ", %0" : "=r"(v));                        \
		return v;                                                           \
	}                                                                           \
	static inline void write_##cr(uint64_t v)                                   \
	{                                                                           \
		asm volatile("mov %0, %%" #cr : : "r"(v) : "memory");               \
	}
DEFINE_CR_ACCESS(cr0)
DEFINE_CR_ACCESS(cr2)
DEFINE_CR_ACCESS(cr3)
DEFINE_CR_ACCESS(cr4)

static inline void interrupts_off(void) { asm volatile("cli" : : : "memory"); }

#endif
