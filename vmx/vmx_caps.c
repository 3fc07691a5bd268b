/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The choice of VMX controls: one table of what we want of each control word,
 * whether we can live without it, and which feature flag it sets.
 */
#include "vmx/vmx_caps.h"
#include "lib/errno.h"

#define BASIC_REVISION 0x7FFFFFFFu
#define BASIC_REGION_SIZE_SHIFT 32
#define BASIC_REGION_SIZE_MASK 0x1FFFu
#define BASIC_32BIT_ADDRESSES (1ull << 48)
#define BASIC_MEMORY_TYPE_SHIFT 50
#define BASIC_MEMORY_TYPE_MASK 0xFu
#define BASIC_TRUE_CONTROLS (1ull << 55)
#define MEMORY_TYPE_WB 6

#define EPT_VPID_INVVPID (1ull << 32)
#define EPT_VPID_INVVPID_SINGLE_CONTEXT (1ull << 41)

enum want {
	MANDATORY, /* set, or there is no running guests here */
	OPTIONAL,  /* set where the CPU can */
	CAPABLE,   /* mandatory to be able to, set only when needed */
	PROBE,     /* not set: only find out */
};

struct control_want {
	uint8_t word;
	uint8_t want;
	uint32_t bit;
	size_t feature; /* offset in struct vmx_features, or NO_FEATURE */
	const char *name;
};

#define NO_FEATURE SIZE_MAX
#define FEATURE(f) offsetof(struct vmx_features, f)

static const struct control_want control_wants[] = {
	{ VMX_PIN, MANDATORY, PIN_EXTERNAL_INTERRUPT_EXITING, NO_FEATURE, "external-interrupt exiting" },
	{ VMX_PIN, MANDATORY, PIN_NMI_EXITING, NO_FEATURE, "NMI exiting" },
	{ VMX_PIN, OPTIONAL, PIN_VIRTUAL_NMIS, FEATURE(virtual_nmis), "virtual NMIs" },
	{ VMX_PIN, PROBE, PIN_PREEMPTION_TIMER, FEATURE(preemption_timer), "VMX-preemption timer" },

	{ VMX_PROC, CAPABLE, PROC_INTERRUPT_WINDOW_EXITING, NO_FEATURE, "interrupt-window exiting" },
	{ VMX_PROC, MANDATORY, PROC_HLT_EXITING, NO_FEATURE, "HLT exiting" },
	{ VMX_PROC, CAPABLE, PROC_INVLPG_EXITING, NO_FEATURE, "INVLPG exiting" },
	{ VMX_PROC, MANDATORY, PROC_MWAIT_EXITING, NO_FEATURE, "MWAIT exiting" },
	{ VMX_PROC, MANDATORY, PROC_RDPMC_EXITING, NO_FEATURE, "RDPMC exiting" },
	{ VMX_PROC, MANDATORY, PROC_CR3_LOAD_EXITING, NO_FEATURE, "CR3-load exiting" },
	{ VMX_PROC, MANDATORY, PROC_CR3_STORE_EXITING, NO_FEATURE, "CR3-store exiting" },
	{ VMX_PROC, MANDATORY, PROC_CR8_LOAD_EXITING, NO_FEATURE, "CR8-load exiting" },
	{ VMX_PROC, MANDATORY, PROC_CR8_STORE_EXITING, NO_FEATURE, "CR8-store exiting" },
	{ VMX_PROC, MANDATORY, PROC_MOV_DR_EXITING, NO_FEATURE, "MOV-DR exiting" },
	{ VMX_PROC, MANDATORY, PROC_UNCONDITIONAL_IO_EXITING, NO_FEATURE, "unconditional I/O exiting" },
	{ VMX_PROC, MANDATORY, PROC_MONITOR_EXITING, NO_FEATURE, "MONITOR exiting" },
	{ VMX_PROC, OPTIONAL, PROC_USE_TSC_OFFSETTING, FEATURE(tsc_offset), "TSC offsetting" },
	{ VMX_PROC, OPTIONAL, PROC_USE_MSR_BITMAPS, FEATURE(msr_bitmap), "MSR bitmaps" },
	{ VMX_PROC, PROBE, PROC_NMI_WINDOW_EXITING, FEATURE(nmi_window), "NMI-window exiting" },
	{ VMX_PROC, PROBE, PROC_MONITOR_TRAP_FLAG, FEATURE(mtf), "monitor trap flag" },
	{ VMX_PROC, PROBE, PROC_USE_TPR_SHADOW, FEATURE(tpr_shadow), "TPR shadow" },
	{ VMX_PROC, OPTIONAL, PROC_SECONDARY_CONTROLS, FEATURE(secondary), "secondary controls" },

	{ VMX_PROC2, PROBE, PROC2_ENABLE_EPT, FEATURE(ept), "EPT" },
	{ VMX_PROC2, PROBE, PROC2_UNRESTRICTED_GUEST, FEATURE(unrestricted_guest), "unrestricted guest" },
	{ VMX_PROC2, PROBE, PROC2_ENABLE_VPID, FEATURE(vpid), "VPID" },
	{ VMX_PROC2, OPTIONAL, PROC2_ENABLE_RDTSCP, FEATURE(rdtscp), "RDTSCP" },
	{ VMX_PROC2, OPTIONAL, PROC2_WBINVD_EXITING, FEATURE(wbinvd_exiting), "WBINVD exiting" },
	{ VMX_PROC2, OPTIONAL, PROC2_RDRAND_EXITING, FEATURE(rdrand_exiting), "RDRAND exiting" },
	{ VMX_PROC2, OPTIONAL, PROC2_RDSEED_EXITING, FEATURE(rdseed_exiting), "RDSEED exiting" },

	{ VMX_EXIT, OPTIONAL, EXIT_SAVE_DEBUG_CONTROLS, NO_FEATURE, "save debug controls" },
	{ VMX_EXIT, MANDATORY, EXIT_HOST_ADDRESS_SPACE_SIZE, NO_FEATURE, "64-bit host" },
	{ VMX_EXIT, PROBE, EXIT_LOAD_PAT, FEATURE(pat_load), "load IA32_PAT on exit" },

	{ VMX_ENTRY, MANDATORY, ENTRY_LOAD_DEBUG_CONTROLS, NO_FEATURE, "load debug controls" },
	{ VMX_ENTRY, CAPABLE, ENTRY_IA32E_MODE_GUEST, NO_FEATURE, "64-bit guests" },
};

static uint64_t cap(const struct vmx_cap_msrs *m, enum vmx_cap_msr msr)
{
	return m->msr[msr - VMX_CAP_MSR_FIRST];
}

/* The low half of a control MSR: bits that must be 1. The high half: bits
 * that may be. */
static uint32_t must_be_one(uint64_t ctl) { return (uint32_t)ctl; }
static uint32_t may_be_one(uint64_t ctl) { return (uint32_t)(ctl >> 32); }

void vmx_caps_read(struct vmx_cap_msrs *m, uint64_t (*rdmsr)(uint32_t msr))
{
	uint32_t proc, proc2;
	int last;

	*m = (struct vmx_cap_msrs){ 0 };
	for (int i = MSR_IA32_VMX_BASIC; i <= MSR_IA32_VMX_VMCS_ENUM; i++)
		m->msr[i - VMX_CAP_MSR_FIRST] = rdmsr((uint32_t)i);

	proc = may_be_one(cap(m, MSR_IA32_VMX_PROCBASED_CTLS));
	if (proc & PROC_SECONDARY_CONTROLS)
		m->msr[MSR_IA32_VMX_PROCBASED_CTLS2 - VMX_CAP_MSR_FIRST] = rdmsr(MSR_IA32_VMX_PROCBASED_CTLS2);
	proc2 = may_be_one(cap(m, MSR_IA32_VMX_PROCBASED_CTLS2));
	if (proc2 & (PROC2_ENABLE_EPT | PROC2_ENABLE_VPID))
		m->msr[MSR_IA32_VMX_EPT_VPID_CAP - VMX_CAP_MSR_FIRST] = rdmsr(MSR_IA32_VMX_EPT_VPID_CAP);

	last = cap(m, MSR_IA32_VMX_BASIC) & BASIC_TRUE_CONTROLS ? MSR_IA32_VMX_TRUE_ENTRY_CTLS : 0;
	for (int i = MSR_IA32_VMX_TRUE_PINBASED_CTLS; i <= last; i++)
		m->msr[i - VMX_CAP_MSR_FIRST] = rdmsr((uint32_t)i);
}

/* The MSR that governs @word on this CPU. */
static enum vmx_cap_msr control_msr_number(const struct vmx_cap_msrs *m, enum vmx_control_word word)
{
	static const struct {
		enum vmx_cap_msr plain, precise;
	} msrs[VMX_CONTROL_WORDS] = {
		[VMX_PIN] = { MSR_IA32_VMX_PINBASED_CTLS, MSR_IA32_VMX_TRUE_PINBASED_CTLS },
		[VMX_PROC] = { MSR_IA32_VMX_PROCBASED_CTLS, MSR_IA32_VMX_TRUE_PROCBASED_CTLS },
		[VMX_PROC2] = { MSR_IA32_VMX_PROCBASED_CTLS2, MSR_IA32_VMX_PROCBASED_CTLS2 },
		[VMX_EXIT] = { MSR_IA32_VMX_EXIT_CTLS, MSR_IA32_VMX_TRUE_EXIT_CTLS },
		[VMX_ENTRY] = { MSR_IA32_VMX_ENTRY_CTLS, MSR_IA32_VMX_TRUE_ENTRY_CTLS },
	};
	bool precise = cap(m, MSR_IA32_VMX_BASIC) & BASIC_TRUE_CONTROLS;

	return precise ? msrs[word].precise : msrs[word].plain;
}

static uint64_t control_msr(const struct vmx_cap_msrs *m, enum vmx_control_word word)
{
	return cap(m, control_msr_number(m, word));
}

static void forbid(struct vmx_cap_msrs *m, enum vmx_control_word word, uint32_t bit)
{
	m->msr[control_msr_number(m, word) - VMX_CAP_MSR_FIRST] &= ~((uint64_t)bit << 32);
}

void vmx_caps_forget(struct vmx_cap_msrs *m)
{
	for (size_t i = 0; i < ARRAY_SIZE(control_wants); i++) {
		const struct control_want *w = &control_wants[i];

		if (w->want != MANDATORY && w->want != CAPABLE)
			forbid(m, w->word, w->bit & ~must_be_one(control_msr(m, w->word)));
	}
	forbid(m, VMX_EXIT, EXIT_LOAD_EFER);
	forbid(m, VMX_ENTRY, ENTRY_LOAD_EFER);
}

static int check_basic(struct vmx_caps *caps, uint64_t basic)
{
	uint32_t size = (uint32_t)(basic >> BASIC_REGION_SIZE_SHIFT) & BASIC_REGION_SIZE_MASK;
	uint32_t type = (uint32_t)(basic >> BASIC_MEMORY_TYPE_SHIFT) & BASIC_MEMORY_TYPE_MASK;

	caps->revision = (uint32_t)basic & BASIC_REVISION;
	if (size == 0 || size > PAGE_SIZE)
		caps->missing = "a VMCS that fits one page";
	else if (type != MEMORY_TYPE_WB)
		caps->missing = "a VMCS in write-back memory";
	else if (basic & BASIC_32BIT_ADDRESSES)
		caps->missing = "64-bit VMX addresses";
	return caps->missing ? -ENODEV : 0;
}

static int apply_want(struct vmx_caps *caps, const struct control_want *w, uint32_t allowed)
{
	bool can = (allowed & w->bit) == w->bit;

	if (!can && (w->want == MANDATORY || w->want == CAPABLE)) {
		caps->missing = w->name;
		return -ENODEV;
	}
	if (can && (w->want == MANDATORY || w->want == OPTIONAL))
		caps->control[w->word] |= w->bit;
	if (w->feature != NO_FEATURE)
		*((bool *)((char *)&caps->has + w->feature)) = can;
	return 0;
}

/* Features that need more than one bit. */
static void combine_features(struct vmx_caps *caps, const struct vmx_cap_msrs *m)
{
	uint64_t ept_vpid = cap(m, MSR_IA32_VMX_EPT_VPID_CAP);
	uint32_t exit = may_be_one(control_msr(m, VMX_EXIT)), entry = may_be_one(control_msr(m, VMX_ENTRY));

	/* Guest and host EFER are loaded both ways or not at all. */
	if ((exit & EXIT_LOAD_EFER) && (entry & ENTRY_LOAD_EFER)) {
		caps->has.efer_load = true;
		caps->control[VMX_EXIT] |= EXIT_LOAD_EFER;
		caps->control[VMX_ENTRY] |= ENTRY_LOAD_EFER;
	}
	caps->has.pat_load &= (entry & ENTRY_LOAD_PAT) != 0;
	/* A VPID that cannot be flushed by itself is of no use to us. */
	caps->has.vpid &= (ept_vpid & EPT_VPID_INVVPID) && (ept_vpid & EPT_VPID_INVVPID_SINGLE_CONTEXT);
	if (caps->has.vpid)
		caps->control[VMX_PROC2] |= PROC2_ENABLE_VPID;
	/* Virtual NMIs, and to be told when they are not blocked: both or none. */
	caps->has.virtual_nmis &= caps->has.nmi_window;
	caps->has.nmi_window = caps->has.virtual_nmis;
	if (!caps->has.virtual_nmis)
		caps->control[VMX_PIN] &= ~PIN_VIRTUAL_NMIS;
}

int vmx_caps_compute(struct vmx_caps *caps, const struct vmx_cap_msrs *m)
{
	*caps = (struct vmx_caps){
		.cr0_fixed0 = cap(m, MSR_IA32_VMX_CR0_FIXED0),
		.cr0_fixed1 = cap(m, MSR_IA32_VMX_CR0_FIXED1),
		.cr4_fixed0 = cap(m, MSR_IA32_VMX_CR4_FIXED0),
		.cr4_fixed1 = cap(m, MSR_IA32_VMX_CR4_FIXED1),
	};
	if (check_basic(caps, cap(m, MSR_IA32_VMX_BASIC)))
		return -ENODEV;
	for (int w = 0; w < VMX_CONTROL_WORDS; w++)
		caps->control[w] = must_be_one(control_msr(m, w));
	for (size_t i = 0; i < ARRAY_SIZE(control_wants); i++) {
		const struct control_want *w = &control_wants[i];

		if (apply_want(caps, w, may_be_one(control_msr(m, w->word))))
			return -ENODEV;
	}
	combine_features(caps, m);
	return 0;
}

int vmx_feature_control_check(uint64_t feature_control)
{
	if (!(feature_control & FEATURE_CONTROL_LOCKED))
		return -EAGAIN;
	return feature_control & FEATURE_CONTROL_VMX_OUTSIDE_SMX ? 0 : -EPERM;
}

uint64_t vmx_fix_cr0(const struct vmx_caps *caps, uint64_t val)
{
	return (val | caps->cr0_fixed0) & caps->cr0_fixed1;
}

uint64_t vmx_fix_cr4(const struct vmx_caps *caps, uint64_t val)
{
	return (val | caps->cr4_fixed0) & caps->cr4_fixed1;
}
