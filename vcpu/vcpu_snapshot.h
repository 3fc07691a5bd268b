/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * All that decides what a vCPU does next, at a moment between two runs, to go
 * back to. A snapshot holds no pointer and no hole whose content is left to
 * chance: equal states are equal byte by byte. CR8 is the local APIC's, in
 * platform_save(); memory is somebody else's.
 *
 * Not in here: what the vCPU was made with (CPUID, its VM), counters and what
 * was logged, which engine runs it (that follows from the state), and the
 * windows, which are asked for anew before each entry.
 *
 * Time: the guest's TSC goes on from where it was at the save, if the backend
 * can offset it; else the guest sees the machine's.
 */
#ifndef VCPU_VCPU_SNAPSHOT_H
#define VCPU_VCPU_SNAPSHOT_H

#include "vcpu/vcpu.h"

/* An XSAVE area up to the end of AVX-512. */
#define VCPU_FPU_MAX 2688

struct vcpu_snapshot {
	/* First, for its alignment. What the backend does not use is zero. */
	uint8_t fpu[VCPU_FPU_MAX] __attribute__((aligned(64)));
	uint64_t fpu_size;

	struct cpu_regs regs;
	uint64_t cr0, cr2, cr3, cr4, efer, pdpte[4];
	uint64_t xcr0, dr[8], breakpoints;
	uint64_t tsc; /* the guest's */
	struct vcpu_msrs msrs;
	uint64_t hardware_msr[MSR_HARDWARE_COUNT]; /* in the order of msr_hardware */
	struct segment segment[SEG_COUNT];
	struct descriptor_table gdt, idt;
	struct vcpu_event event;
	struct vcpu_interruptibility interruptibility;
	bool halted, nmi_wakes, nmi_pending, interrupt_shadow;
	bool fetch_told; /* trackers know of the fetch at fetch_told_rip */
	uint64_t fetch_told_rip;
};

/* The state of @v, which it loads, at time @now of the platform's clock (see
 * platform_save()). -EBUSY: a native step is under way, @v must run on first.
 * -EINVAL: it has stopped. -E2BIG: an FPU that has no room in here. */
must_check int vcpu_save(struct vcpu *v, uint64_t now, struct vcpu_snapshot *s);

/*
 * At time @now the state of @v is that of @s, whatever it did before: a step is
 * ended, and one that has stopped runs again. @v is loaded. Before the guest's
 * memory is restored: the end of a step may write to it. -EINVAL: made by a CPU
 * of another kind; -ENOMEM: the shadow quota cannot hold a root. @v can go on
 * as it was in both cases.
 */
must_check int vcpu_restore(struct vcpu *v, uint64_t now, const struct vcpu_snapshot *s);

/* One number for all of @s. Equal states have equal ones; but for a component of
 * the FPU that is in its first state, which a CPU may count as in use or not. */
uint64_t vcpu_state_hash(const struct vcpu_snapshot *s);

#endif
