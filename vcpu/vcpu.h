/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The vendor-neutral half of a virtual CPU: its registers, the event it has
 * pending, what its control registers may become, and the exits that mean the
 * same on every vendor's hardware (page fault, port access, CPUID, MSR, HLT).
 *
 * A backend (vmx/) runs the vCPU and reports exits in neutral calls; what it
 * must provide is struct vcpu_backend. Nothing here knows a VMCS.
 */
#ifndef VCPU_VCPU_H
#define VCPU_VCPU_H

#include "devices/platform.h"
#include "lib/compiler.h"
#include "lib/types.h"
#include "lib/x86.h"
#include "mm/mmu.h"

struct vcpu;

/* What the run loop does after an exit was handled. */
enum vcpu_action {
	VCPU_RESUME,    /* run again at rip as it stands */
	VCPU_NEXT_INSN, /* skip the instruction that exited, then run again */
	VCPU_STOP,      /* vcpu->stop says why */
};

enum vcpu_stop_reason {
	VCPU_STOP_NONE,
	VCPU_STOP_POWEROFF,
	VCPU_STOP_RESET,
	VCPU_STOP_DEBUG_EXIT,    /* code: the value written */
	VCPU_STOP_TRIPLE_FAULT,
	VCPU_STOP_UNHANDLED_EXIT, /* code: the backend's exit reason */
	VCPU_STOP_INVALID_STATE, /* VM entry refused, or would be */
	VCPU_STOP_UNSUPPORTED,   /* the guest entered a state we cannot run (real mode, ...) */
	VCPU_STOP_NO_MEMORY,     /* shadow quota cannot hold one path */
	VCPU_STOP_HALTED,        /* HLT with interrupts off: nothing can wake it */
	VCPU_STOP_KILLED,        /* by the person at the console */
};

struct vcpu_stop {
	enum vcpu_stop_reason reason;
	uint32_t code;
	char detail[96]; /* for people: which check failed, which exit, ... */
};

struct vcpu_event {
	bool pending;
	uint8_t vector;
	bool has_error_code;
	uint32_t error_code;
	enum { EVENT_EXTERNAL, EVENT_NMI, EVENT_HARDWARE_EXCEPTION, EVENT_SOFTWARE_INTERRUPT,
	       EVENT_PRIVILEGED_SOFTWARE, EVENT_SOFTWARE_EXCEPTION } type;
	uint8_t insn_len; /* software events */
};

struct vcpu_features; /* vcpu/cpuid.h: what the CPU has and the guest is shown */

/* What a hardware backend provides. Register access works on the loaded vCPU. */
struct vcpu_backend {
	const char *name;
	must_check int (*create)(struct vcpu *v);
	void (*destroy)(struct vcpu *v);
	/* Make @v the one this CPU runs / take it off again. */
	void (*load)(struct vcpu *v);
	void (*put)(struct vcpu *v);
	/* Enters the guest once, handles the exit. */
	enum vcpu_action (*run)(struct vcpu *v);
	void (*get_segment)(struct vcpu *v, enum segment_register s, struct segment *out);
	void (*set_segment)(struct vcpu *v, enum segment_register s, const struct segment *in);
	void (*get_idt)(struct vcpu *v, struct descriptor_table *out);
	void (*set_idt)(struct vcpu *v, const struct descriptor_table *in);
	void (*get_gdt)(struct vcpu *v, struct descriptor_table *out);
	void (*set_gdt)(struct vcpu *v, const struct descriptor_table *in);
	/* v->mmu.paging changed: put CR0/CR4/EFER, entry controls and hw_cr3
	 * where the hardware sees them. */
	void (*paging_changed)(struct vcpu *v);
	/* Run one instruction, then report; see vcpu_step_done(). */
	void (*single_step)(struct vcpu *v, bool on);
	/* The instruction at rip is done by emulation: end its interrupt
	 * shadow, deliver #DB if the guest traces itself. */
	void (*insn_done)(struct vcpu *v);
};

struct vcpu {
	unsigned int id;
	void *vm; /* the kernel's, opaque here */
	const struct vcpu_backend *backend;
	void *hw;                  /* the backend's own, e.g. the VMCS */
	struct cpu_regs regs;      /* as of the last exit */
	uint64_t cr2, cr8, xcr0;
	uint64_t dr[8];
	struct mmu_vcpu mmu;       /* .paging is the guest's view of CR0/3/4, EFER */
	struct platform *platform;
	struct vcpu_event event;   /* to be injected at the next entry */
	bool halted;               /* HLT: sleeps until an interrupt */
	bool tlb_flush;            /* flush before the next entry */
	bool stepping;             /* a native step is under way */
	int64_t tsc_offset;        /* guest TSC = host TSC + offset */
	uint64_t tsc_hz;
	struct vcpu_stop stop;
	uint64_t exits;            /* all of them; the backend counts by reason */
};

#endif
