/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What CPUID tells a guest: the truth about the CPU, minus what we do not
 * provide, plus what the virtual platform does. Pure: the CPU's own answers
 * come through a function.
 */
#ifndef VCPU_CPUID_H
#define VCPU_CPUID_H

#include "lib/compiler.h"
#include "lib/types.h"

struct cpuid_regs { uint32_t eax, ebx, ecx, edx; };

typedef void cpuid_fn(uint32_t leaf, uint32_t subleaf, struct cpuid_regs *out);

#define CPUID_HYPERVISOR_BASE 0x40000000u
#define CPUID_HYPERVISOR_CALLS 0x40000001u
#define CPUID_HYPERVISOR_TIMING 0x40000010u
#define CPUID_KVM_BASE 0x40000100u

/* XSAVE state components a guest may have. */
#define XFEATURE_X87 (1ull << 0)
#define XFEATURE_SSE (1ull << 1)
#define XFEATURE_AVX (1ull << 2)
#define XFEATURE_OPMASK (1ull << 5)
#define XFEATURE_ZMM_HI256 (1ull << 6)
#define XFEATURE_HI16_ZMM (1ull << 7)
#define XFEATURE_AVX512 (XFEATURE_OPMASK | XFEATURE_ZMM_HI256 | XFEATURE_HI16_ZMM)

struct cpuid_policy {
	cpuid_fn *host;
	uint64_t tsc_hz;
	uint64_t xcr0_allowed;  /* 0: no XSAVE */
	uint64_t cr4_allowed;   /* CR4 bits the guest may set, by what it is shown */
	uint64_t efer_allowed;
	uint32_t apic_id;
	uint32_t host_max_basic, host_max_extended;
	uint8_t maxphyaddr;
	bool has_1g_pages;
	bool has_rdtscp, hide_xsavec, show_rdrand;
	struct cpuid_regs calls; /* leaf CPUID_HYPERVISOR_CALLS: guests/spoor_hypercall.h */
};

/* The CPU has XSAVEC, but the size of a compacted area that it tells is not what its components add up to: it cannot
 * be trusted with compaction. (Bochs 2.7's models with AVX-512: their XRSTOR refuses what their XSAVEC has written.)
 * @xcr0: what XCR0 holds now; IA32_XSS is clear. */
bool cpuid_xsavec_contradicts(cpuid_fn *host, uint64_t xcr0);

/* Bytes of an XSAVE area, not compacted, with the components of @xcr0. */
uint32_t cpuid_xsave_size(cpuid_fn *host, uint64_t xcr0);

/* Fills @p from the CPU's answers; the caller gives host, tsc_hz, apic_id,
 * has_rdtscp (the backend can provide it), hide_xsavec, show_rdrand and calls. */
void cpuid_policy_init(struct cpuid_policy *p);

/* The guest executes CPUID with its CR4 and XCR0 as given. */
void cpuid_guest(const struct cpuid_policy *p, uint64_t cr4, uint64_t xcr0, uint32_t leaf, uint32_t subleaf,
		 struct cpuid_regs *out);

#endif
