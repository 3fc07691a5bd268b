/* SPDX-License-Identifier: GPL-2.0-only */
/* The instructions that only vmx/ needs; the common ones are in lib/cpu_ops.h. */
#ifndef VMX_CPU_H
#define VMX_CPU_H

#include "lib/compiler.h"
#include "lib/cpu_ops.h"
#include "lib/types.h"

#define CPU_WRITE_DR(nr, val) asm volatile("mov %0, %%dr" #nr : : "r"((uint64_t)(val)))

#define CPU_SELECTOR(reg)                                                                                    \
	static inline uint16_t cpu_read_##reg(void)                                                          \
	{                                                                                                    \
		uint16_t val;                                                                                \
		asm volatile("mov %%" #reg ", %0" : "=rm"(val));                                             \
		return val;                                                                                  \
	}
CPU_SELECTOR(cs)
CPU_SELECTOR(ss)

static inline uint16_t cpu_read_tr(void)
{
	uint16_t val;

	asm volatile("str %0" : "=rm"(val));
	return val;
}

struct PACKED cpu_table_register {
	uint16_t limit;
	uint64_t base;
};

static inline struct cpu_table_register cpu_sgdt(void)
{
	struct cpu_table_register r;

	asm volatile("sgdt %0" : "=m"(r));
	return r;
}

static inline struct cpu_table_register cpu_sidt(void)
{
	struct cpu_table_register r;

	asm volatile("sidt %0" : "=m"(r));
	return r;
}

static inline void cpu_xsetbv(uint64_t val)
{
	asm volatile("xsetbv" : : "c"(0), "a"((uint32_t)val), "d"((uint32_t)(val >> 32)));
}

/* Whole state, as far as XCR0 goes; @area is 64-byte aligned. */
static inline void cpu_xsave(void *area)
{
	asm volatile("xsave64 (%0)" : : "r"(area), "a"(UINT32_MAX), "d"(UINT32_MAX) : "memory");
}

static inline void cpu_xrstor(const void *area)
{
	asm volatile("xrstor64 (%0)" : : "r"(area), "a"(UINT32_MAX), "d"(UINT32_MAX) : "memory");
}

static inline void cpu_fxsave(void *area)
{
	asm volatile("fxsave64 (%0)" : : "r"(area) : "memory");
}

static inline void cpu_fxrstor(const void *area)
{
	asm volatile("fxrstor64 (%0)" : : "r"(area) : "memory");
}

/* Interrupts are off; lets those that are pending in for a moment. */
static inline void cpu_interrupt_gap(void)
{
	asm volatile("sti; nop; cli" : : : "memory");
}

/* VMX instructions: true when they failed. */
static inline bool cpu_vmxon(uint64_t region_hpa)
{
	bool failed;

	asm volatile("vmxon %1" : "=@ccbe"(failed) : "m"(region_hpa) : "memory");
	return failed;
}

static inline bool cpu_vmclear(uint64_t vmcs_hpa)
{
	bool failed;

	asm volatile("vmclear %1" : "=@ccbe"(failed) : "m"(vmcs_hpa) : "memory");
	return failed;
}

static inline bool cpu_vmptrld(uint64_t vmcs_hpa)
{
	bool failed;

	asm volatile("vmptrld %1" : "=@ccbe"(failed) : "m"(vmcs_hpa) : "memory");
	return failed;
}

static inline bool cpu_invvpid_single_context(uint16_t vpid)
{
	struct {
		uint64_t vpid, linear_address;
	} descriptor = { vpid, 0 };
	bool failed;

	asm volatile("invvpid %1, %2" : "=@ccbe"(failed) : "m"(descriptor), "r"(1ull) : "memory");
	return failed;
}

#endif
