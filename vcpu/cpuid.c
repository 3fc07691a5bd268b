/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * CPUID policy: one mask per feature word of what a guest may know about,
 * and a handler for each leaf whose meaning depends on the virtual machine.
 * Leaf and bit names are those of SDM vol. 2, "CPUID".
 */
#include "vcpu/cpuid.h"
#include "lib/x86.h"

#define BIT(n) (1u << (n))

#define MAX_BASIC 0x16u
#define MAX_EXTENDED 0x80000008u
#define EXTENDED_BASE 0x80000000u

/* Leaf 1. */
#define ECX1_XSAVE BIT(26)
#define ECX1_OSXSAVE BIT(27)
#define ECX1_RDRAND BIT(30)
#define ECX1_AVX_BITS (BIT(12) | BIT(28) | BIT(29)) /* FMA, AVX, F16C */
#define ECX1_ALWAYS (BIT(21) | BIT(24) | BIT(31)) /* x2APIC, TSC deadline: the platform's; hypervisor */
/* SSE3, PCLMULQDQ, SSSE3, FMA, CX16, SSE4.1, SSE4.2, MOVBE, POPCNT, AES, XSAVE, AVX, F16C */
#define ECX1_PASS                                                                                            \
	(BIT(0) | BIT(1) | BIT(9) | BIT(12) | BIT(13) | BIT(19) | BIT(20) | BIT(22) | BIT(23) | BIT(25) |     \
	 ECX1_XSAVE | BIT(28) | BIT(29))
/* FPU VME DE PSE TSC MSR PAE CX8 SEP PGE CMOV PSE36 CLFSH MMX FXSR SSE SSE2 SS */
#define EDX1_PASS                                                                                            \
	(BIT(0) | BIT(1) | BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(8) | BIT(11) | BIT(13) | BIT(15) | \
	 BIT(17) | BIT(19) | BIT(23) | BIT(24) | BIT(25) | BIT(26) | BIT(27))
#define EDX1_ALWAYS (BIT(7) | BIT(9) | BIT(12) | BIT(14) | BIT(16)) /* MCE APIC MTRR MCA PAT: ours */
#define EBX1_KEEP 0x0000FFFFu /* brand index, CLFLUSH size */

/* Leaf 7, subleaf 0. */
/* FSGSBASE BMI1 FDP_EXCPTN SMEP BMI2 ERMS FCS/FDS ADX SMAP CLFLUSHOPT CLWB SHA */
#define EBX7_PASS                                                                                            \
	(BIT(0) | BIT(3) | BIT(6) | BIT(7) | BIT(8) | BIT(9) | BIT(13) | BIT(19) | BIT(20) | BIT(23) | BIT(24) | \
	 BIT(29))
#define EBX7_FSGSBASE BIT(0)
#define EBX7_SMEP BIT(7)
#define EBX7_SMAP BIT(20)
#define EBX7_RDSEED BIT(18)
#define EBX7_AVX2 BIT(5)
#define EBX7_AVX512 (BIT(16) | BIT(17) | BIT(21) | BIT(28) | BIT(30) | BIT(31))
#define ECX7_UMIP BIT(2)
#define ECX7_GFNI BIT(8)
#define ECX7_RDPID BIT(22)
#define ECX7_AVX (BIT(9) | BIT(10)) /* VAES, VPCLMULQDQ */
#define ECX7_AVX512 (BIT(1) | BIT(6) | BIT(11) | BIT(12) | BIT(14))
#define EDX7_PASS (BIT(4) | BIT(10) | BIT(14)) /* FSRM, MD_CLEAR, SERIALIZE */
#define EDX7_AVX512 (BIT(2) | BIT(3) | BIT(8))
/* Subleaf 1. */
#define EAX7_1_PASS (BIT(10) | BIT(11) | BIT(12)) /* fast short REP MOVSB, STOSB, CMPSB */
#define EAX7_1_AVX BIT(4)
#define EAX7_1_AVX512 BIT(5)

/* Leaf 80000001h. */
#define ECX81_PASS (BIT(0) | BIT(5) | BIT(8)) /* LAHF64, LZCNT, PREFETCHW */
#define EDX81_PASS (BIT(11) | BIT(20) | BIT(26) | BIT(29)) /* SYSCALL NX Page1GB LM */
#define EDX81_NX BIT(20)
#define EDX81_PAGE_1GB BIT(26)
#define EDX81_RDTSCP BIT(27)
#define EDX81_LM BIT(29)
#define EDX81_SYSCALL BIT(11)

#define XSAVE_LEGACY_SIZE 576u /* FXSAVE area and XSAVE header */
#define XSAVE1_PASS (BIT(0) | BIT(2)) /* XSAVEOPT, XGETBV with ECX=1 */
#define XSAVE1_XSAVEC BIT(1)

static struct cpuid_regs host(const struct cpuid_policy *p, uint32_t leaf, uint32_t subleaf)
{
	uint32_t max = leaf & EXTENDED_BASE ? p->host_max_extended : p->host_max_basic;
	struct cpuid_regs r = { 0 };

	/* Above its maximum a CPU answers with the highest basic leaf. */
	if (leaf <= max)
		p->host(leaf, subleaf, &r);
	return r;
}

static uint64_t choose_xcr0(const struct cpuid_policy *p)
{
	struct cpuid_regs r = host(p, 0xD, 0);
	uint64_t mask = r.eax | (uint64_t)r.edx << 32;

	if (!(host(p, 1, 0).ecx & ECX1_XSAVE))
		return 0;
	mask &= XFEATURE_X87 | XFEATURE_SSE | XFEATURE_AVX | XFEATURE_AVX512;
	if (!(mask & XFEATURE_AVX) || (mask & XFEATURE_AVX512) != XFEATURE_AVX512)
		mask &= ~XFEATURE_AVX512;
	return mask;
}

static uint64_t choose_cr4(const struct cpuid_policy *p)
{
	struct cpuid_regs l1 = host(p, 1, 0), l7 = host(p, 7, 0);
	uint64_t cr4 = X86_CR4_TSD | X86_CR4_MCE | X86_CR4_PCE;

	cr4 |= l1.edx & BIT(1) ? X86_CR4_VME | X86_CR4_PVI : 0;
	cr4 |= l1.edx & BIT(2) ? X86_CR4_DE : 0;
	cr4 |= l1.edx & BIT(3) ? X86_CR4_PSE : 0;
	cr4 |= l1.edx & BIT(6) ? X86_CR4_PAE : 0;
	cr4 |= l1.edx & BIT(13) ? X86_CR4_PGE : 0;
	cr4 |= l1.edx & BIT(24) ? X86_CR4_OSFXSR : 0;
	cr4 |= l1.edx & BIT(25) ? X86_CR4_OSXMMEXCPT : 0;
	cr4 |= p->xcr0_allowed ? X86_CR4_OSXSAVE : 0;
	cr4 |= l7.ebx & EBX7_FSGSBASE ? X86_CR4_FSGSBASE : 0;
	cr4 |= l7.ebx & EBX7_SMEP ? X86_CR4_SMEP : 0;
	cr4 |= l7.ebx & EBX7_SMAP ? X86_CR4_SMAP : 0;
	cr4 |= l7.ecx & ECX7_UMIP ? X86_CR4_UMIP : 0;
	return cr4;
}

void cpuid_policy_init(struct cpuid_policy *p)
{
	struct cpuid_regs r;

	p->host(0, 0, &r);
	p->host_max_basic = r.eax;
	p->host(EXTENDED_BASE, 0, &r);
	p->host_max_extended = r.eax & EXTENDED_BASE ? r.eax : 0;

	p->xcr0_allowed = choose_xcr0(p);
	p->cr4_allowed = choose_cr4(p);
	r = host(p, 0x80000001, 0);
	p->efer_allowed = (r.edx & EDX81_SYSCALL ? EFER_SCE : 0) | (r.edx & EDX81_NX ? EFER_NXE : 0) |
			  (r.edx & EDX81_LM ? EFER_LME | EFER_LMA : 0);
	p->has_1g_pages = r.edx & EDX81_PAGE_1GB;
	p->has_rdtscp &= (r.edx & EDX81_RDTSCP) != 0;
	r = host(p, 0x80000008, 0);
	p->maxphyaddr = r.eax & 0xFF ? r.eax & 0xFF : 36;
}

static bool allows(const struct cpuid_policy *p, uint64_t xfeature)
{
	return (p->xcr0_allowed & xfeature) == xfeature;
}

static void leaf_features(const struct cpuid_policy *p, uint64_t cr4, struct cpuid_regs *r)
{
	uint32_t ecx = ECX1_PASS | (p->show_rdrand ? ECX1_RDRAND : 0);

	if (!p->xcr0_allowed)
		ecx &= ~ECX1_XSAVE;
	if (!allows(p, XFEATURE_AVX))
		ecx &= ~ECX1_AVX_BITS;
	r->ebx = (r->ebx & EBX1_KEEP) | 1u << 16 | p->apic_id << 24;
	r->ecx = (r->ecx & ecx) | ECX1_ALWAYS | (cr4 & X86_CR4_OSXSAVE ? ECX1_OSXSAVE : 0);
	r->edx = (r->edx & EDX1_PASS) | EDX1_ALWAYS;
}

static void leaf_extended_features(const struct cpuid_policy *p, uint32_t subleaf, struct cpuid_regs *r)
{
	bool avx = allows(p, XFEATURE_AVX), avx512 = allows(p, XFEATURE_AVX512);

	if (subleaf == 1) {
		*r = (struct cpuid_regs){ .eax = r->eax & (EAX7_1_PASS | (avx ? EAX7_1_AVX : 0) |
							   (avx512 ? EAX7_1_AVX512 : 0)) };
		return;
	}
	if (subleaf > 1) {
		*r = (struct cpuid_regs){ 0 };
		return;
	}
	r->eax = r->eax > 1 ? 1 : r->eax;
	r->ebx &= EBX7_PASS | (p->show_rdrand ? EBX7_RDSEED : 0) | (avx ? EBX7_AVX2 : 0) |
		  (avx512 ? EBX7_AVX512 : 0);
	r->ecx &= ECX7_UMIP | ECX7_GFNI | (p->has_rdtscp ? ECX7_RDPID : 0) | (avx ? ECX7_AVX : 0) |
		  (avx512 ? ECX7_AVX512 : 0);
	r->edx &= EDX7_PASS | (avx512 ? EDX7_AVX512 : 0);
}

/* One thread in one core in one package. */
static void leaf_topology(const struct cpuid_policy *p, uint32_t subleaf, struct cpuid_regs *r)
{
	uint32_t type = subleaf < 2 ? subleaf + 1 : 0; /* SMT, core, invalid */

	*r = (struct cpuid_regs){ .ebx = type ? 1 : 0, .ecx = type << 8 | (subleaf & 0xFF), .edx = p->apic_id };
}

/* Bytes of an XSAVE area with the components of @mask. */
static uint32_t xsave_size(cpuid_fn *cpu, uint64_t mask, bool compacted)
{
	uint32_t size = XSAVE_LEGACY_SIZE;

	for (uint32_t i = 2; i < 63; i++) {
		struct cpuid_regs r;
		uint32_t start, end;

		if (!(mask & 1ull << i))
			continue;
		cpu(0xD, i, &r);
		start = !compacted ? r.ebx : r.ecx & BIT(1) ? (size + 63) & ~63u : size;
		end = start + r.eax;
		size = end > size ? end : size;
	}
	return size;
}

uint32_t cpuid_xsave_size(cpuid_fn *cpu, uint64_t xcr0) { return xsave_size(cpu, xcr0, false); }

bool cpuid_xsavec_contradicts(cpuid_fn *cpu, uint64_t xcr0)
{
	struct cpuid_regs r;

	cpu(0xD, 1, &r);
	return r.eax & XSAVE1_XSAVEC && r.ebx != xsave_size(cpu, xcr0, true);
}

static void leaf_xsave(const struct cpuid_policy *p, uint64_t xcr0, uint32_t subleaf, struct cpuid_regs *r)
{
	struct cpuid_regs h = *r;

	*r = (struct cpuid_regs){ 0 };
	if (!p->xcr0_allowed)
		return;
	if (subleaf == 0) {
		r->eax = (uint32_t)p->xcr0_allowed;
		r->edx = (uint32_t)(p->xcr0_allowed >> 32);
		r->ebx = xsave_size(p->host, xcr0, false);
		r->ecx = xsave_size(p->host, p->xcr0_allowed, false);
	} else if (subleaf == 1) {
		r->eax = h.eax & (XSAVE1_PASS | (p->hide_xsavec ? 0 : XSAVE1_XSAVEC));
		r->ebx = r->eax & XSAVE1_XSAVEC ? xsave_size(p->host, xcr0, true) : 0;
	} else if (subleaf < 63 && p->xcr0_allowed & 1ull << subleaf) {
		*r = (struct cpuid_regs){ .eax = h.eax, .ebx = h.ebx, .ecx = h.ecx & BIT(1) };
	}
}

/* TSC and "crystal" run at the same rate, and so does the LAPIC timer:
 * guests need not calibrate. A rate that does not fit is left out. */
static void leaf_tsc(const struct cpuid_policy *p, struct cpuid_regs *r)
{
	*r = (struct cpuid_regs){ 0 };
	if (p->tsc_hz && p->tsc_hz <= UINT32_MAX)
		*r = (struct cpuid_regs){ .eax = 1, .ebx = 1, .ecx = (uint32_t)p->tsc_hz };
}

static void basic_leaf(const struct cpuid_policy *p, uint64_t cr4, uint64_t xcr0, uint32_t leaf,
		       uint32_t subleaf, struct cpuid_regs *r)
{
	uint32_t mhz = (uint32_t)(p->tsc_hz / 1000000);

	*r = host(p, leaf, subleaf);
	switch (leaf) {
	case 0x0:
		r->eax = MAX_BASIC;
		break;
	case 0x1:
		leaf_features(p, cr4, r);
		break;
	case 0x2: /* cache descriptors */
		break;
	case 0x4: /* caches: shared by one thread, in a package of one core */
		if (r->eax & 0x1F)
			r->eax &= 0x3FFF;
		break;
	case 0x6:
		*r = (struct cpuid_regs){ .eax = BIT(2) }; /* the LAPIC timer always runs */
		break;
	case 0x7:
		leaf_extended_features(p, subleaf, r);
		break;
	case 0xB:
		leaf_topology(p, subleaf, r);
		break;
	case 0xD:
		leaf_xsave(p, xcr0, subleaf, r);
		break;
	case 0x15:
		leaf_tsc(p, r);
		break;
	case 0x16:
		*r = (struct cpuid_regs){ .eax = mhz, .ebx = mhz, .ecx = 100 };
		break;
	default: /* serial number, MWAIT, DCA, performance counters, QoS, SGX, PT */
		*r = (struct cpuid_regs){ 0 };
	}
}

static void extended_leaf(const struct cpuid_policy *p, uint32_t leaf, struct cpuid_regs *r)
{
	*r = host(p, leaf, 0);
	switch (leaf) {
	case 0x80000000:
		r->eax = MAX_EXTENDED;
		break;
	case 0x80000001:
		r->ecx &= ECX81_PASS;
		r->edx &= EDX81_PASS | (p->has_rdtscp ? EDX81_RDTSCP : 0);
		break;
	case 0x80000007:
		*r = (struct cpuid_regs){ .edx = BIT(8) }; /* the TSC never stops or changes its rate */
		break;
	case 0x80000008:
		*r = (struct cpuid_regs){ .eax = p->maxphyaddr | 48u << 8 };
		break;
	default: /* brand string and caches pass, the rest does not exist */
		if (leaf > MAX_EXTENDED)
			*r = (struct cpuid_regs){ 0 };
	}
}

/*
 * Our own signature and calls, and KVM's signature with no paravirtual feature: Linux takes
 * x2APIC without interrupt remapping only from a hypervisor it knows. Features of KVM
 * would be in leaf CPUID_KVM_BASE + 1: our own leaves mean nothing to it.
 */
static void hypervisor_leaf(const struct cpuid_policy *p, uint32_t leaf, struct cpuid_regs *r)
{
	uint32_t khz = (uint32_t)(p->tsc_hz / 1000);

	*r = (struct cpuid_regs){ 0 };
	switch (leaf) {
	case CPUID_HYPERVISOR_BASE: /* "SpoorSpoor\0\0" */
		*r = (struct cpuid_regs){ CPUID_HYPERVISOR_TIMING, 0x6F6F7053, 0x6F705372, 0x0000726F };
		break;
	case CPUID_HYPERVISOR_CALLS:
		*r = p->calls;
		break;
	case CPUID_HYPERVISOR_TIMING: /* TSC and LAPIC timer in kHz */
		*r = (struct cpuid_regs){ .eax = khz, .ebx = khz };
		break;
	case CPUID_KVM_BASE: /* "KVMKVMKVM\0\0\0" */
		*r = (struct cpuid_regs){ CPUID_KVM_BASE + 1, 0x4B4D564B, 0x564B4D56, 0x0000004D };
		break;
	}
}

void cpuid_guest(const struct cpuid_policy *p, uint64_t cr4, uint64_t xcr0, uint32_t leaf, uint32_t subleaf,
		 struct cpuid_regs *out)
{
	if (leaf >= EXTENDED_BASE)
		extended_leaf(p, leaf, out);
	else if (leaf >= CPUID_HYPERVISOR_BASE)
		hypervisor_leaf(p, leaf, out);
	else
		basic_leaf(p, cr4, xcr0, leaf, subleaf, out);
}
