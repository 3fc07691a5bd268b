/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What this CPU's VMX can do, and the control words we run guests with.
 *
 * Pure: works on the raw capability MSRs, so that the choices for any CPU
 * model can be tried on the host. Each control word is what the CPU requires,
 * plus what we want and the CPU allows (SDM vol. 3, "VMX Capability Reporting
 * Facility"). Features beyond the first VMX CPUs are all optional. EPT is
 * reported and never used: guest memory is virtualised by shadow paging.
 */
#ifndef VMX_VMX_CAPS_H
#define VMX_VMX_CAPS_H

#include "lib/compiler.h"
#include "lib/types.h"
#include "lib/x86.h"

#define MSR_IA32_FEATURE_CONTROL 0x3A
#define FEATURE_CONTROL_LOCKED (1u << 0)
#define FEATURE_CONTROL_VMX_OUTSIDE_SMX (1u << 2)

enum vmx_cap_msr {
	MSR_IA32_VMX_BASIC = 0x480,
	MSR_IA32_VMX_PINBASED_CTLS,
	MSR_IA32_VMX_PROCBASED_CTLS,
	MSR_IA32_VMX_EXIT_CTLS,
	MSR_IA32_VMX_ENTRY_CTLS,
	MSR_IA32_VMX_MISC,
	MSR_IA32_VMX_CR0_FIXED0,
	MSR_IA32_VMX_CR0_FIXED1,
	MSR_IA32_VMX_CR4_FIXED0,
	MSR_IA32_VMX_CR4_FIXED1,
	MSR_IA32_VMX_VMCS_ENUM,
	MSR_IA32_VMX_PROCBASED_CTLS2,
	MSR_IA32_VMX_EPT_VPID_CAP,
	MSR_IA32_VMX_TRUE_PINBASED_CTLS,
	MSR_IA32_VMX_TRUE_PROCBASED_CTLS,
	MSR_IA32_VMX_TRUE_EXIT_CTLS,
	MSR_IA32_VMX_TRUE_ENTRY_CTLS,
	VMX_CAP_MSR_END
};

#define VMX_CAP_MSR_FIRST MSR_IA32_VMX_BASIC
#define VMX_CAP_MSR_COUNT (VMX_CAP_MSR_END - VMX_CAP_MSR_FIRST)

/* Raw values by number; those that this CPU does not have are 0. */
struct vmx_cap_msrs {
	uint64_t msr[VMX_CAP_MSR_COUNT];
};

/* The bits of the control words that we name (SDM vol. 3, "VM-Execution
 * Control Fields" and the two chapters after it). */
#define PIN_EXTERNAL_INTERRUPT_EXITING (1u << 0)
#define PIN_NMI_EXITING (1u << 3)
#define PIN_VIRTUAL_NMIS (1u << 5)
#define PIN_PREEMPTION_TIMER (1u << 6)

#define PROC_INTERRUPT_WINDOW_EXITING (1u << 2)
#define PROC_USE_TSC_OFFSETTING (1u << 3)
#define PROC_HLT_EXITING (1u << 7)
#define PROC_INVLPG_EXITING (1u << 9)
#define PROC_MWAIT_EXITING (1u << 10)
#define PROC_RDPMC_EXITING (1u << 11)
#define PROC_RDTSC_EXITING (1u << 12)
#define PROC_CR3_LOAD_EXITING (1u << 15)
#define PROC_CR3_STORE_EXITING (1u << 16)
#define PROC_CR8_LOAD_EXITING (1u << 19)
#define PROC_CR8_STORE_EXITING (1u << 20)
#define PROC_USE_TPR_SHADOW (1u << 21)
#define PROC_NMI_WINDOW_EXITING (1u << 22)
#define PROC_MOV_DR_EXITING (1u << 23)
#define PROC_UNCONDITIONAL_IO_EXITING (1u << 24)
#define PROC_MONITOR_TRAP_FLAG (1u << 27)
#define PROC_USE_MSR_BITMAPS (1u << 28)
#define PROC_MONITOR_EXITING (1u << 29)
#define PROC_SECONDARY_CONTROLS (1u << 31)

#define PROC2_ENABLE_EPT (1u << 1)
#define PROC2_ENABLE_RDTSCP (1u << 3)
#define PROC2_ENABLE_VPID (1u << 5)
#define PROC2_WBINVD_EXITING (1u << 6)
#define PROC2_UNRESTRICTED_GUEST (1u << 7)
#define PROC2_RDRAND_EXITING (1u << 11)
#define PROC2_ENABLE_INVPCID (1u << 12)
#define PROC2_RDSEED_EXITING (1u << 16)
#define PROC2_ENABLE_XSAVES (1u << 20)

#define EXIT_SAVE_DEBUG_CONTROLS (1u << 2)
#define EXIT_HOST_ADDRESS_SPACE_SIZE (1u << 9)
#define EXIT_ACK_INTERRUPT (1u << 15)
#define EXIT_LOAD_PAT (1u << 19)
#define EXIT_LOAD_EFER (1u << 21)

#define ENTRY_LOAD_DEBUG_CONTROLS (1u << 2)
#define ENTRY_IA32E_MODE_GUEST (1u << 9)
#define ENTRY_LOAD_PAT (1u << 14)
#define ENTRY_LOAD_EFER (1u << 15)

/* Exceptions that exit, in any guest and at all times. #AC and #DB can recur without end during their own
 * delivery, and the CPU would never be ours again. */
#define VMX_EXCEPTIONS (1u << EXC_PF | 1u << EXC_DB | 1u << EXC_AC | 1u << EXC_MC)

enum vmx_control_word { VMX_PIN, VMX_PROC, VMX_PROC2, VMX_EXIT, VMX_ENTRY, VMX_CONTROL_WORDS };

/* What the CPU has beyond what we cannot do without. */
struct vmx_features {
	bool ept, unrestricted_guest; /* for the banner only */
	bool pat_load, tpr_shadow;    /* likewise: see the notes in vmx/vmx_vcpu.c */
	bool preemption_timer;        /* likewise: the host's own timer does it */
	bool vpid;                    /* with single-context INVVPID */
	bool mtf;
	bool virtual_nmis, nmi_window;
	bool efer_load;               /* on entry and on exit */
	bool tsc_offset;
	bool msr_bitmap;
	bool secondary;
	bool rdtscp;
	bool rdrand_exiting, rdseed_exiting, wbinvd_exiting;
};

struct vmx_caps {
	uint32_t revision;            /* goes into VMXON region and VMCS */
	uint64_t cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1;
	uint32_t control[VMX_CONTROL_WORDS]; /* to start a guest with */
	struct vmx_features has;
	const char *missing;          /* vmx_caps_compute() failed for want of this */
};

/* Reads the capability MSRs that exist, in an order that touches no other. */
void vmx_caps_read(struct vmx_cap_msrs *m, uint64_t (*rdmsr)(uint32_t msr));

/* Makes @m those of a CPU that has nothing we can do without. */
void vmx_caps_forget(struct vmx_cap_msrs *m);

/* -ENODEV: something mandatory is missing, and @caps->missing names it. */
must_check int vmx_caps_compute(struct vmx_caps *caps, const struct vmx_cap_msrs *m);

/* May firmware's IA32_FEATURE_CONTROL be used as it is (0), must we set and
 * lock it first (-EAGAIN), or has firmware locked VMX off (-EPERM)? */
must_check int vmx_feature_control_check(uint64_t feature_control);

/* @val with the bits set and cleared that VMX operation fixes. */
uint64_t vmx_fix_cr0(const struct vmx_caps *caps, uint64_t val);
uint64_t vmx_fix_cr4(const struct vmx_caps *caps, uint64_t val);

#endif
