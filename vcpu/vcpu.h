/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The vendor-neutral half of a virtual CPU: its registers, the event it has
 * pending, what its control registers may become, and the exits that mean the
 * same on every vendor's hardware (page fault, port access, CPUID, MSR, HLT).
 *
 * A backend (vmx/) runs the vCPU and reports exits in neutral calls; what it
 * must provide is struct vcpu_backend. Nothing here knows a VMCS.
 *
 * Life: vcpu_init(), vcpu_reset(), vcpu_run_once() until it says
 * VCPU_STOP, vcpu_destroy(). A vCPU is run by one CPU at a time, which has
 * loaded it before (backend->load).
 */
#ifndef VCPU_VCPU_H
#define VCPU_VCPU_H

#include "devices/platform.h"
#include "emulate/emulate.h"
#include "lib/compiler.h"
#include "lib/types.h"
#include "lib/x86.h"
#include "mm/mmu.h"
#include "vcpu/cpuid.h"
#include "vcpu/msr.h"

#define DR6_BD (1ull << 13)
#define DR6_BS (1ull << 14)
#define DR7_ENABLED 0xFFull /* L0 to G3 */
#define DR7_GD (1ull << 13)

struct vcpu;
struct hypercall_ops; /* vcpu/hypercall.h */

/* What is to be done after an exit was handled. */
enum vcpu_action {
	VCPU_RESUME,    /* run again at rip as it stands */
	VCPU_NEXT_INSN, /* skip the instruction that exited, then run again; vcpu_run_once() does that itself */
	VCPU_YIELD,     /* a host interrupt came, or the vCPU halted: let the run loop look around */
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
	VCPU_STOP_HALTED,        /* HLT with interrupts off and no NMI to come: nothing can wake it */
	VCPU_STOP_KILLED,        /* by the person at the console */
	VCPU_STOP_TRACKER,       /* a tracker would have it so: detail is its name */
};

struct vcpu_stop {
	enum vcpu_stop_reason reason;
	uint32_t code;
	const char *detail; /* for people: which check failed, which exit, ...; never NULL once stopped */
};

enum vcpu_event_type {
	EVENT_EXTERNAL,
	EVENT_NMI,
	EVENT_HARDWARE_EXCEPTION,
	EVENT_SOFTWARE_INTERRUPT,
	EVENT_PRIVILEGED_SOFTWARE,
	EVENT_SOFTWARE_EXCEPTION,
};

struct vcpu_event {
	bool pending;
	uint8_t vector;
	bool has_error_code;
	uint32_t error_code;
	enum vcpu_event_type type;
	uint8_t insn_len; /* software events */
};

/* What holds events back. */
struct vcpu_interruptibility {
	uint64_t pending_debug; /* debug traps that wait, as in the VMCS field "pending debug exceptions" */
	bool sti, mov_ss;       /* the interrupt shadow of one */
	bool nmi;               /* from the delivery of one until an IRET */
};

/* What a hardware backend provides. Register access works on the loaded vCPU. */
struct vcpu_backend {
	const char *name;
	bool has_rdtscp; /* RDTSCP and RDPID can be given to a guest; set by the backend's own init */
	bool hide_xsavec; /* it does not work: cpuid_xsavec_contradicts() */
	bool no_nmi_window; /* an NMI that cannot be taken now is not told of when it can */
	size_t fpu_size; /* of what get_fpu() fills */
	/* The CPU's own CPUID. */
	void (*cpuid)(uint32_t leaf, uint32_t subleaf, struct cpuid_regs *out);

	must_check int (*create)(struct vcpu *v);
	void (*destroy)(struct vcpu *v);
	/* Make @v the one this CPU runs: cheap when it is that already, and
	 * takes the previous one off. / Take it off and keep its state. */
	void (*load)(struct vcpu *v);
	void (*put)(struct vcpu *v);

	/* Enters the guest once with v->event, handles the exit. An event that
	 * could not be delivered is back in v->event afterwards. */
	enum vcpu_action (*run)(struct vcpu *v);
	/* Length of the instruction that exited. */
	unsigned int (*insn_len)(struct vcpu *v);
	/* The instruction at rip was completed by us: ends its interrupt shadow.
	 * The debug traps, bits of DR6, that a MOV SS before it has held back. */
	uint64_t (*insn_done)(struct vcpu *v);

	/* Would the hardware accept the segment registers, RFLAGS and mode that
	 * @v has now? PE is set. */
	bool (*can_run)(struct vcpu *v);
	/* Could an external interrupt be taken now, or an NMI? */
	bool (*interrupts_open)(struct vcpu *v);
	bool (*nmi_open)(struct vcpu *v);
	/* v->window, v->nmi_window changed: exit as soon as it could, or do not. */
	void (*windows_changed)(struct vcpu *v);
	/* NMIs are blocked from the delivery of one until an IRET. The hardware
	 * keeps account of it; this is for what is done in its place. */
	bool (*nmi_blocked)(struct vcpu *v);
	void (*set_nmi_blocked)(struct vcpu *v, bool blocked);
	/* All of that at once, between two runs. Setting it also drops what an entry
	 * that failed has left to be injected. */
	void (*get_interruptibility)(struct vcpu *v, struct vcpu_interruptibility *out);
	void (*set_interruptibility)(struct vcpu *v, const struct vcpu_interruptibility *in);
	/* Run one instruction, then call vcpu_step_done(). */
	void (*single_step)(struct vcpu *v, bool on);

	void (*get_segment)(struct vcpu *v, enum segment_register s, struct segment *out);
	void (*set_segment)(struct vcpu *v, enum segment_register s, const struct segment *in);
	void (*get_idt)(struct vcpu *v, struct descriptor_table *out);
	void (*set_idt)(struct vcpu *v, const struct descriptor_table *in);
	void (*get_gdt)(struct vcpu *v, struct descriptor_table *out);
	void (*set_gdt)(struct vcpu *v, const struct descriptor_table *in);
	uint64_t (*get_cr2)(struct vcpu *v);
	void (*set_cr2)(struct vcpu *v, uint64_t val);
	/* XMM (@len 16) or, if XCR0 has AVX, YMM (32) register @number. A write
	 * of 16 bytes leaves what is above, one of 32 clears it. */
	void (*get_vector)(struct vcpu *v, unsigned int number, uint8_t *bytes, unsigned int len);
	void (*set_vector)(struct vcpu *v, unsigned int number, const uint8_t *bytes, unsigned int len);
	/* The whole state of x87, SSE and beyond: @fpu_size bytes, aligned to 64, of
	 * an FXSAVE or an XSAVE area that is not compacted, whatever XCR0 has on. An
	 * area that is set came from get_fpu() on a CPU of this kind. */
	void (*get_fpu)(struct vcpu *v, void *area);
	void (*set_fpu)(struct vcpu *v, const void *area);
	/* The MSRs that live in hardware while the guest runs: see
	 * msr_hardware. Values are valid. */
	uint64_t (*get_msr)(struct vcpu *v, uint32_t msr);
	void (*set_msr)(struct vcpu *v, uint32_t msr, uint64_t val);

	/* Brings into v->mmu.paging what the guest changes of CR0 and CR4 without
	 * an exit. */
	void (*sync_paging)(struct vcpu *v);
	/* v->mmu.paging changed: put CR0/CR4/EFER, entry controls and hw_cr3
	 * where the hardware sees them. */
	void (*paging_changed)(struct vcpu *v);
	/* v->dr, v->xcr0, v->tsc_offset changed. */
	void (*debug_regs_changed)(struct vcpu *v);
	void (*xcr0_changed)(struct vcpu *v);
	void (*tsc_offset_changed)(struct vcpu *v);
	uint64_t (*host_tsc)(void);
};

struct vcpu {
	unsigned int id;
	const char *name;          /* of the VM, for messages */
	void *vm;                  /* the kernel's, opaque here */
	const struct vcpu_backend *backend;
	void *hw;                  /* the backend's own, e.g. the VMCS */
	struct cpu_regs regs;      /* as of the last exit */
	uint64_t xcr0;
	uint64_t dr[8];            /* 4 and 5 unused */
	uint64_t breakpoints;      /* met by the instruction that we execute: bits of DR6 */
	struct mmu_vcpu mmu;       /* .paging is the guest's view of CR0/3/4, EFER */
	struct platform *platform;
	const struct hypercall_ops *hypercalls; /* NULL: none */
	void *hypercall_ctx;
	struct cpuid_policy cpuid;
	struct vcpu_msrs msrs;
	struct unknown_msrs unknown_msrs;
	struct vcpu_event event;   /* to be injected at the next entry */
	bool halted;               /* HLT: sleeps until an interrupt or an NMI */
	bool nmi_wakes;            /* NMIs were not blocked when it halted */
	bool nmi_pending;          /* one is to be taken: no more than one can wait */
	bool interpreting;         /* the hardware cannot run this state: see interpret.c */
	bool interrupt_shadow;     /* of an interpreted instruction */
	/* Real mode is in virtual-8086 mode for one native step: what it had instead. */
	struct {
		bool borrowed;
		uint32_t access[SEG_GS + 1];
		uint64_t flags;
	} v86;
	bool tlb_flush;            /* flush before the next entry */
	bool stepping;             /* a native step is under way */
	bool window, nmi_window;   /* were asked for */
	bool intercept_invlpg;     /* the MMU wants to see INVLPG; before create() */
	uint8_t step_opcode;       /* being stepped, if it is one of OPCODE_ below; 0: another */
	uint8_t step_insn_len;     /* 0: not known */
	/* The trackers know of the fetch of the instruction at this rip, which begins again. */
	bool fetch_told;
	uint64_t fetch_told_rip;
	int64_t tsc_offset;        /* guest TSC = host TSC + offset */
	uint64_t tsc_hz;
	struct vcpu_stop stop;
	uint64_t exits;            /* all of them; the backend counts by reason */
	uint64_t emulated, stepped, injected_ud; /* instructions: emulated, run natively, refused */
	uint64_t interpreted;      /* of those emulated, for want of hardware that runs them */
	uint64_t delivered;        /* events, in software */
};

struct vcpu_config {
	unsigned int id;
	const char *name;
	void *vm;
	const struct vcpu_backend *backend;
	struct mmu *mmu;
	struct platform *platform;
	uint64_t tsc_hz;     /* of host and guest */
	bool show_rdrand;    /* off: the guest's run is repeatable */
	const struct hypercall_ops *hypercalls; /* NULL: none */
	void *hypercall_ctx; /* for them */
	struct cpuid_regs hypercall_leaf; /* what CPUID tells of them */
};

/* Everything off, registers zero: a reset function must follow.
 * -ENOMEM; on error there is nothing to undo and v->backend is NULL. */
must_check int vcpu_init(struct vcpu *v, const struct vcpu_config *c);
void vcpu_destroy(struct vcpu *v);

/* The whole state of a vCPU that has not run yet, real mode or protected; all
 * that is not here is as after reset. */
struct vcpu_state {
	struct cpu_regs regs;
	uint64_t cr0, cr3, cr4, efer;
	struct segment segment[SEG_COUNT];
	struct descriptor_table gdt, idt;
};

/* Loads @v and gives it its first state. -EINVAL: control registers that no
 * CPU can have together; -ENOMEM: the shadow quota. */
must_check int vcpu_reset(struct vcpu *v, const struct vcpu_state *s);

/* Injects a pending NMI or interrupt if the guest can take it, enters once,
 * handles the exit. @v is loaded. Never returns VCPU_NEXT_INSN. VCPU_YIELD at once
 * when @v is halted and nothing woke it. */
enum vcpu_action vcpu_run_once(struct vcpu *v);

/* Notes why @v stops, unless a reason is noted already, and returns VCPU_STOP.
 * @detail is a string that stays. */
enum vcpu_action vcpu_stop(struct vcpu *v, enum vcpu_stop_reason why, uint32_t code, const char *detail);
const char *vcpu_stop_name(enum vcpu_stop_reason why);

/* Registers, segments, control registers and pending event to the log. @v is loaded. */
void vcpu_dump(struct vcpu *v);

unsigned int vcpu_cpl(struct vcpu *v);
/* CS is a 64-bit code segment. */
bool vcpu_in_64bit_mode(struct vcpu *v);
/* Past an instruction of @len bytes that the emulator has not executed. */
void vcpu_move_rip(struct vcpu *v, unsigned int len);

/*
 * Event delivery (event.c). Each returns VCPU_RESUME, or VCPU_STOP on a
 * triple fault. The rules of SDM vol. 3, "Interrupt 8 - Double Fault", apply
 * to the event whose delivery was interrupted by the exit.
 */
enum vcpu_action vcpu_inject(struct vcpu *v, const struct vcpu_event *e);
enum vcpu_action vcpu_inject_exception(struct vcpu *v, enum exception_vector vector);
enum vcpu_action vcpu_inject_error(struct vcpu *v, enum exception_vector vector, uint32_t error_code);
enum vcpu_action vcpu_inject_page_fault(struct vcpu *v, gva_t addr, uint32_t error_code);
/* #DB: @cause are the bits to set in DR6. */
enum vcpu_action vcpu_inject_debug(struct vcpu *v, uint64_t cause);
/* An instruction was completed in the hardware's place, rip is behind it. @traced:
 * RFLAGS.TF was set before it. Raises the debug traps that are due. */
enum vcpu_action vcpu_insn_done(struct vcpu *v, bool traced);
/* The same for an iteration of a repeated one, rip is still at it. */
enum vcpu_action vcpu_iteration_done(struct vcpu *v, bool traced);
/* For a backend: this exit interrupted the delivery of @e, which is to be
 * delivered again. */
void vcpu_event_interrupted(struct vcpu *v, const struct vcpu_event *e);
/* Delivers v->event in software (deliver.c). A fault of the delivery is
 * injected by the same rules. */
enum vcpu_action vcpu_deliver_event(struct vcpu *v);

/*
 * What comes from outside (interrupt.c). vcpu_queue_interrupts() puts a pending
 * NMI or interrupt into v->event if the guest can take it, or asks to be told
 * when it can; nothing is added to an event on its way, nor to a step.
 */
void vcpu_queue_interrupts(struct vcpu *v);
/* Would it put one there now? For an engine without windows. */
bool vcpu_interrupt_is_due(struct vcpu *v);
/* HLT was executed: VCPU_RESUME, or VCPU_STOP if nothing can wake it. */
enum vcpu_action vcpu_halt(struct vcpu *v);
/* Halted, and nothing has woken it. @v need not be loaded. */
bool vcpu_is_asleep(struct vcpu *v);

/*
 * Exits that mean the same everywhere (exit.c, emul.c, dr.c). The backend has
 * filled v->regs, and v->event with an event whose delivery was interrupted.
 */
enum vcpu_action vcpu_page_fault(struct vcpu *v, gva_t addr, uint32_t error_code);
/* @f: the fault that led here, or NULL (string I/O). */
enum vcpu_action vcpu_emulate(struct vcpu *v, const struct page_fault *f);
enum vcpu_action vcpu_port_io(struct vcpu *v, bool in, uint16_t port, unsigned int len);
enum vcpu_action vcpu_exit_cpuid(struct vcpu *v);
enum vcpu_action vcpu_exit_msr(struct vcpu *v, bool write);
enum vcpu_action vcpu_exit_hlt(struct vcpu *v);
enum vcpu_action vcpu_exit_invlpg(struct vcpu *v, gva_t addr);
enum vcpu_action vcpu_exit_xsetbv(struct vcpu *v);
/* MOV to and from CR0, CR3, CR4, CR8; reads of CR0 and CR4 need no exit. */
enum vcpu_action vcpu_exit_mov_to_cr(struct vcpu *v, unsigned int nr, enum gpr gpr);
enum vcpu_action vcpu_exit_mov_from_cr(struct vcpu *v, unsigned int nr, enum gpr gpr);
enum vcpu_action vcpu_exit_lmsw(struct vcpu *v, uint16_t msw);
enum vcpu_action vcpu_exit_clts(struct vcpu *v);
/* MOV to/from DR @nr, general register @gpr. */
enum vcpu_action vcpu_exit_mov_dr(struct vcpu *v, unsigned int nr, enum gpr gpr, bool to_dr);

/* The native step (step.c): @f's page is opened, the instruction runs on the
 * hardware, vcpu_step_done() closes the page and tells the trackers. */
enum vcpu_action vcpu_step_begin(struct vcpu *v, const struct page_fault *f);
/* The same with no page to open. */
void vcpu_step_natively(struct vcpu *v);
/* Called by the backend when the instruction was completed. */
void vcpu_step_done(struct vcpu *v);
/* The step ends early: the instruction has faulted, or is done in another way. */
void vcpu_step_abandon(struct vcpu *v);
/* Has a tracker asked for the end of the VM? Then @v is stopped. */
bool vcpu_stopped_by_tracker(struct vcpu *v);
/* PUSHF ran natively with TF set for the step: takes it out of the image on
 * the stack. For backends that step by TF. */
void vcpu_step_hide_pushed_tf(struct vcpu *v);

/*
 * Interpretation (interpret.c): the state is one that the hardware cannot
 * enter. vcpu_choose_engine() looks whether it is, after each change of CR0.PE
 * and of segment registers that was not the hardware's own. vcpu_interpret()
 * runs a bounded number of instructions, until an interrupt can be taken,
 * or until the hardware can take over.
 */
void vcpu_choose_engine(struct vcpu *v);
/* After a step in borrowed virtual-8086 mode: real mode again. */
void vcpu_return_v86(struct vcpu *v);
enum vcpu_action vcpu_interpret(struct vcpu *v);
/* A hardware task switch. @insn_len: of the instruction that asked for it and
 * is then over; 0: an exception or an external interrupt did. */
enum vcpu_action vcpu_exit_task_switch(struct vcpu *v, const struct emul_task_switch *t, unsigned int insn_len);

/* DR0-3, 6, 7 as MOV to DR writes them. */
void vcpu_write_dr(struct vcpu *v, unsigned int nr, uint64_t val);
/* DR6 and DR7 as #DB leaves them: @cause are bits of DR6. */
void vcpu_note_debug(struct vcpu *v, uint64_t cause);
/* An access in the hardware's place: does a breakpoint watch it? If so there
 * is a trap behind the instruction. */
void vcpu_note_access(struct vcpu *v, gva_t addr, unsigned int len, bool write);
void vcpu_note_port(struct vcpu *v, uint16_t port, unsigned int len);
static inline bool vcpu_has_breakpoints(const struct vcpu *v) { return v->dr[7] & DR7_ENABLED; }

#define OPCODE_PUSHF 0x9C
#define OPCODE_POPF 0x9D
#define OPCODE_IRET 0xCF
#define OPCODE_LOAD_SS 0x17 /* MOV too */

#endif
