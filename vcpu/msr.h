/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Model-specific registers as a guest sees them. Some live in hardware while
 * the guest runs (msr_hardware: the backend holds them), some belong to
 * the virtual platform, some are only stored, all are validated here. An MSR
 * that nobody provides raises #GP, as on a CPU that does not have it.
 */
#ifndef VCPU_MSR_H
#define VCPU_MSR_H

#include "lib/compiler.h"
#include "lib/types.h"

struct vcpu;

/* Those of the local APIC are in devices/lapic.h. */
enum msr_number {
	MSR_IA32_P5_MC_ADDR = 0x0,
	MSR_IA32_P5_MC_TYPE = 0x1,
	MSR_IA32_TSC = 0x10,
	MSR_IA32_PLATFORM_ID = 0x17,
	MSR_EBL_CR_POWERON = 0x2A,
	MSR_IA32_BIOS_UPDT_TRIG = 0x79,
	MSR_IA32_BIOS_SIGN_ID = 0x8B,
	MSR_IA32_MTRRCAP = 0xFE,
	MSR_IA32_SYSENTER_CS = 0x174,
	MSR_IA32_SYSENTER_ESP = 0x175,
	MSR_IA32_SYSENTER_EIP = 0x176,
	MSR_IA32_MCG_CAP = 0x179,
	MSR_IA32_MCG_STATUS = 0x17A,
	MSR_IA32_MISC_ENABLE = 0x1A0,
	MSR_IA32_DEBUGCTL = 0x1D9,
	MSR_IA32_MTRR_PHYSBASE0 = 0x200,
	MSR_IA32_MTRR_FIX64K_00000 = 0x250,
	MSR_IA32_MTRR_FIX16K_80000 = 0x258,
	MSR_IA32_MTRR_FIX16K_A0000 = 0x259,
	MSR_IA32_MTRR_FIX4K_C0000 = 0x268,
	MSR_IA32_MTRR_FIX4K_F8000 = 0x26F,
	MSR_IA32_PAT = 0x277,
	MSR_IA32_MTRR_DEF_TYPE = 0x2FF,
	MSR_IA32_EFER = 0xC0000080,
	MSR_IA32_STAR = 0xC0000081,
	MSR_IA32_LSTAR = 0xC0000082,
	MSR_IA32_CSTAR = 0xC0000083,
	MSR_IA32_FMASK = 0xC0000084,
	MSR_IA32_FS_BASE = 0xC0000100,
	MSR_IA32_GS_BASE = 0xC0000101,
	MSR_IA32_KERNEL_GS_BASE = 0xC0000102,
	MSR_IA32_TSC_AUX = 0xC0000103,
};

#define MTRR_VARIABLE_COUNT 8
#define MTRR_FIXED_COUNT 11

/* The stored ones: the guest's state, all of it. */
struct vcpu_msrs {
	uint64_t pat;
	uint64_t misc_enable;
	uint64_t mtrr_def_type;
	uint64_t mtrr_variable[2 * MTRR_VARIABLE_COUNT]; /* base, mask, base, mask, ... */
	uint64_t mtrr_fixed[MTRR_FIXED_COUNT];
};

/* Those that nobody provides. */
struct unknown_msrs {
	uint64_t reads, writes;
	uint32_t logged[16]; /* named in the log already */
	unsigned int logged_count;
};

void msr_init(struct vcpu_msrs *m);

/* Held by the backend; 64-bit addresses among them must be canonical. TSC_AUX is
 * there only if the guest is shown RDTSCP. */
#define MSR_HARDWARE_COUNT 11
extern const uint32_t msr_hardware[MSR_HARDWARE_COUNT];

/* RDMSR and WRMSR by the guest. -EINVAL: #GP(0). -ENOMEM: stop the VM. */
must_check int msr_read(struct vcpu *v, uint32_t msr, uint64_t *val);
must_check int msr_write(struct vcpu *v, uint32_t msr, uint64_t val);

/* Is @addr canonical for 48-bit linear addresses? */
static inline bool addr_is_canonical(uint64_t addr)
{
	return (uint64_t)((int64_t)(addr << 16) >> 16) == addr;
}

#endif
