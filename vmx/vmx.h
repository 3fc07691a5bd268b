/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The VMX backend: all that knows a VMCS. What the rest may use of it is
 * vmx_init(), vmx_backend and the statistics; the remainder of this header is
 * shared by the files of this folder.
 *
 * State of a guest that lives in hardware while its vCPU is loaded, beyond
 * what the VMCS switches: CR2, DR0-3, the SYSCALL MSRs, KERNEL_GS_BASE,
 * TSC_AUX, XCR0 and the FPU. The hypervisor uses none of them, so an exit
 * costs nothing for them; vmx_load() swaps them when another vCPU comes.
 */
#ifndef VMX_VMX_H
#define VMX_VMX_H

#include "lib/compiler.h"
#include "lib/types.h"
#include "vcpu/vcpu.h"
#include "vmx/msr_bitmap.h"
#include "vmx/vmx_caps.h"

/* Puts this CPU into VMX operation. After its GDT, IDT and TSS are final.
 * -ENODEV: the CPU has no VMX, or lacks something mandatory; -EPERM: locked
 * off by firmware; -ENOMEM; -EIO: VMXON failed. Each is logged. */
must_check int vmx_init(void);

/* Before vmx_init(): use of this CPU's VMX only what the first ones had. */
void vmx_pretend_old(void);

/* One line with what this CPU's VMX has. */
void vmx_log_features(void);

/* Check the guest state before every entry, not only when an entry fails. */
void vmx_set_debug(bool on);

/* Treat the basic exit reason @reason as one that has no handler. */
void vmx_refuse_exit(uint32_t reason);

extern struct vcpu_backend vmx_backend;

/* Exits of @v by reason, as a table. */
void vmx_log_exits(const struct vcpu *v);

/* ---- within vmx/ -------------------------------------------------------- */

#define VMX_EXIT_REASONS_MAX 76

/* How a native step ends: see vmx_step.c. */
enum vmx_step { VMX_STEP_NONE, VMX_STEP_MTF, VMX_STEP_TF, VMX_STEP_NMI_WINDOW };

struct vmx_vcpu {
	void *vmcs;
	struct msr_bitmap *msr_bitmap; /* NULL: every access exits */
	void *fpu;                     /* XSAVE or FXSAVE area */
	bool launched;
	uint16_t vpid;                 /* 0: none */

	/* What the VMCS holds, so that it is written only when it changes. */
	uint32_t proc_controls, entry_controls;
	uint64_t cr3, rip, rsp, rflags;

	uint32_t exit_reason;          /* of the last exit, basic */
	enum vmx_step step;
	bool step_done;                /* the stepped instruction was completed */
	uint64_t step_rip;             /* where it began */
	uint32_t step_shadow;          /* the guest's interrupt shadow then */
	uint64_t step_held;            /* VMX_STEP_TF: debug traps that waited behind it, */
	bool guest_tf;                 /* and the guest's own TF */
	bool nmi_blocked;              /* without virtual NMIs: since one was injected */

	/* Hardware state while the vCPU is not loaded. */
	uint64_t cr2, star, lstar, cstar, fmask, kernel_gs_base, tsc_aux;

	uint64_t exits[VMX_EXIT_REASONS_MAX];
};

/* Whether the monitor trap flag does what it says is seen when it is first used. */
enum vmx_mtf { VMX_MTF_NONE, VMX_MTF_UNTRIED, VMX_MTF_WORKS };

/* The one CPU we run on. */
struct vmx_cpu {
	struct vmx_caps caps;
	bool pretend_old;
	enum vmx_mtf mtf;
	uint64_t host_efer;
	uint8_t maxphyaddr;
	bool has_xsave;
	uint64_t xcr0_full;
	void *vmxon_region;
	struct vcpu *loaded;
	bool debug;
	uint32_t refused_exit;
};

extern struct vmx_cpu vmx_cpu;

static inline struct vmx_vcpu *vmx_of(const struct vcpu *v) { return v->hw; }

/* vmexit.asm */
int vmx_enter(struct cpu_regs *regs, bool launched);
extern const char vmx_exit[];

/* vmx_exit.c: handles the exit that just happened. */
enum vcpu_action vmx_exit_handle(struct vcpu *v);
const char *vmx_exit_name(uint32_t reason);

/* vmx_vector.c */
void vmx_get_vector(struct vcpu *v, unsigned int number, uint8_t *bytes, unsigned int len);
void vmx_set_vector(struct vcpu *v, unsigned int number, const uint8_t *bytes, unsigned int len);

/* vmx_step.c */
void vmx_single_step(struct vcpu *v, bool on);
/* Before each entry of a step. */
void vmx_step_enter(struct vcpu *v);
/* After an exit that does not end a step by itself: is it over all the same? */
void vmx_step_check(struct vcpu *v);
/* The exit that ends a step. / A #DB during one: what of @causes is the guest's. */
enum vcpu_action vmx_step_exit(struct vcpu *v);
must_check uint64_t vmx_step_trap(struct vcpu *v, uint64_t causes);

/* vmx_event.c */
#define INTERRUPTIBILITY_STI (1u << 0)
#define INTERRUPTIBILITY_MOV_SS (1u << 1)
#define INTERRUPTIBILITY_NMI (1u << 3)
#define INTERRUPTIBILITY_SHADOW (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS)
/* SDM vol. 3, "VM-Entry Interruption-Information Field", and those that exits fill. */
#define INTERRUPTION_VALID (1u << 31)
#define INTERRUPTION_ERROR_CODE (1u << 11)
#define INTERRUPTION_TYPE_SHIFT 8
uint32_t vmx_interruptibility(void);
uint64_t vmx_insn_done(struct vcpu *v);
bool vmx_interrupts_open(struct vcpu *v);
bool vmx_nmi_open(struct vcpu *v);
void vmx_windows_changed(struct vcpu *v);
bool vmx_nmi_blocked(struct vcpu *v);
void vmx_set_nmi_blocked(struct vcpu *v, bool blocked);
void vmx_get_interruptibility(struct vcpu *v, struct vcpu_interruptibility *out);
void vmx_set_interruptibility(struct vcpu *v, const struct vcpu_interruptibility *in);
/* After an exit: without virtual NMIs an injected one blocks those of the machine. */
void vmx_unblock_host_nmis(struct vcpu *v);
/* v->event goes into the VMCS. */
void vmx_write_event(struct vcpu *v);
#define PENDING_DEBUG_ENABLED (1ull << 12) /* one of the breakpoints hit was enabled */
/* Debug traps that wait, as bits of DR6: they wait no longer. */
uint64_t vmx_take_pending_debug(void);

/* vmx_vcpu.c */
unsigned int vmx_insn_len(struct vcpu *v);
void vmx_set_proc_control(struct vmx_vcpu *x, uint32_t bit, bool on);
void vmx_set_exception_bitmap(bool all);
/* Brings the bits of CR0 and CR4 that the guest changes without an exit into
 * v->mmu.paging. */
void vmx_sync_cr(struct vcpu *v);

/* vmx_state.c: why an entry would be refused; NULL: it would not. */
const char *vmx_check_current(const struct vcpu *v);
bool vmx_can_run(struct vcpu *v);
const char *vmx_instruction_error_name(uint32_t error);

#endif
