/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The instruction emulator: decodes and executes one guest instruction on
 * memory and ports reached through an ops table. No globals, no memory of
 * its own, no knowledge of VMs: the same source runs in the hypervisor, in
 * unit tests and under a fuzzer.
 *
 * It knows what reaches device registers and page tables in practice and,
 * outside long mode, all of the integer instructions, privileged ones too. For
 * any other it says EMUL_UNKNOWN having changed nothing, and the caller runs
 * the instruction natively for one step, if the hardware can.
 */
#ifndef EMULATE_EMULATE_H
#define EMULATE_EMULATE_H

#include "lib/compiler.h"
#include "lib/types.h"
#include "lib/x86.h"

#define EMUL_INSN_MAX 15
/* REP iterations done in one call before interrupts get a chance: the call
 * then returns EMUL_DONE with rip still at the instruction. */
#define EMUL_REP_MAX 512
/* Bytes of one access to memory: ENTER with 31 frames in 64-bit mode. */
#define EMUL_ACCESS_MAX 256

enum emul_status {
	EMUL_DONE,      /* registers are updated */
	EMUL_EXCEPTION, /* ctx->exception must be delivered; rip unchanged */
	EMUL_UNKNOWN,   /* not emulated, nothing changed */
	EMUL_STOP,      /* an op stopped the VM */
};

enum emul_mode { EMUL_MODE_16, EMUL_MODE_32, EMUL_MODE_64 };

struct emul_exception {
	uint8_t vector;
	bool has_error_code;
	uint32_t error_code;
	gva_t cr2; /* #PF */
};

struct emul_ctxt;

/*
 * Each op returns EMUL_DONE, EMUL_EXCEPTION (having filled ctx->exception),
 * EMUL_UNKNOWN (cannot be done here: leave it to the native step; only
 * before anything was changed) or EMUL_STOP. Linear addresses are checked
 * for canonical form and page rights by the ops; an access that crosses a
 * page is checked whole before a byte is written. Outside 64-bit mode, what
 * goes beyond 4 GiB goes on at 0.
 */
struct emul_ops {
	/* Up to @len instruction bytes at linear @addr; *got is how many could
	 * be had (at least 1 with EMUL_DONE). */
	enum emul_status (*fetch)(struct emul_ctxt *ctx, gva_t addr, void *dst, unsigned int len,
				  unsigned int *got);
	/* The instruction was fetched and decoded (ctx->insn, insn_len; 0: its length is
	 * not known), and is about to be executed, or to turn out invalid or unknown. May set
	 * ctx->skip_insn. NULL: nobody wants to know. */
	enum emul_status (*fetched)(struct emul_ctxt *ctx);
	enum emul_status (*read)(struct emul_ctxt *ctx, gva_t addr, void *dst, unsigned int len);
	enum emul_status (*write)(struct emul_ctxt *ctx, gva_t addr, const void *src, unsigned int len);
	/* Atomic: if memory holds *expected, store *desired and *done is true;
	 * else *expected gets what it holds and *done is false. @len 1..16. */
	enum emul_status (*cmpxchg)(struct emul_ctxt *ctx, gva_t addr, void *expected,
				    const void *desired, unsigned int len, bool *done);
	/* Would a write of @len bytes succeed? Same faults as write(). */
	enum emul_status (*probe_write)(struct emul_ctxt *ctx, gva_t addr, unsigned int len);
	enum emul_status (*port_in)(struct emul_ctxt *ctx, uint16_t port, unsigned int len, uint32_t *val);
	enum emul_status (*port_out)(struct emul_ctxt *ctx, uint16_t port, unsigned int len, uint32_t val);
	void (*segment)(struct emul_ctxt *ctx, enum segment_register s, struct segment *out);
	/*
	 * Vector register @number, 0 to 15. Both may be NULL: the instructions
	 * that need them are EMUL_UNKNOWN then. With a @len of 16 it is the XMM
	 * register, and a write leaves what is above; with 32 the YMM register,
	 * and a write clears what is above. 32 only if xcr0 has AVX.
	 */
	void (*read_vector)(struct emul_ctxt *ctx, unsigned int number, uint8_t *bytes, unsigned int len);
	void (*write_vector)(struct emul_ctxt *ctx, unsigned int number, const uint8_t *bytes, unsigned int len);
};

enum emul_table { EMUL_GDT, EMUL_IDT };

/*
 * The privileged state of the CPU, for running code that the hardware cannot
 * run at all: real mode, and protected mode with segment registers that no VM
 * entry accepts. Those that return a status may fill ctx->exception, as in
 * struct emul_ops; the others cannot fail.
 */
struct emul_system_ops {
	/* Accesses by the CPU itself - descriptors, TSS, interrupt vectors:
	 * supervisor whatever the CPL is. */
	enum emul_status (*read)(struct emul_ctxt *ctx, gva_t addr, void *dst, unsigned int len);
	enum emul_status (*write)(struct emul_ctxt *ctx, gva_t addr, const void *src, unsigned int len);
	enum emul_status (*probe_write)(struct emul_ctxt *ctx, gva_t addr, unsigned int len);
	/* All that a segment register holds, hidden part too; checked by the caller. */
	void (*set_segment)(struct emul_ctxt *ctx, enum segment_register s, const struct segment *in);
	void (*get_table)(struct emul_ctxt *ctx, enum emul_table t, struct descriptor_table *out);
	void (*set_table)(struct emul_ctxt *ctx, enum emul_table t, const struct descriptor_table *in);
	/* Control register 0, 2, 3, 4, 8. A write is checked as MOV to CR is. */
	uint64_t (*get_cr)(struct emul_ctxt *ctx, unsigned int nr);
	enum emul_status (*set_cr)(struct emul_ctxt *ctx, unsigned int nr, uint64_t val);
	/* Debug register 0-3, 6, 7; 4 and 5 are resolved, and DR7.GD is looked at, by the op. */
	enum emul_status (*get_dr)(struct emul_ctxt *ctx, unsigned int nr, uint64_t *val);
	enum emul_status (*set_dr)(struct emul_ctxt *ctx, unsigned int nr, uint64_t val);
	/* A task switch clears L0-L3 and LE of DR7, whatever GD says. */
	void (*clear_local_breakpoints)(struct emul_ctxt *ctx);
	enum emul_status (*set_xcr)(struct emul_ctxt *ctx, uint32_t index, uint64_t val);
	enum emul_status (*read_msr)(struct emul_ctxt *ctx, uint32_t msr, uint64_t *val);
	enum emul_status (*write_msr)(struct emul_ctxt *ctx, uint32_t msr, uint64_t val);
	/* @out: EAX, EBX, ECX, EDX. */
	void (*cpuid)(struct emul_ctxt *ctx, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);
	uint64_t (*tsc)(struct emul_ctxt *ctx);
	void (*invlpg)(struct emul_ctxt *ctx, gva_t addr);
};

struct emul_ctxt {
	const struct emul_ops *ops;
	/* NULL: privileged state cannot be reached. Segment loads, far transfers,
	 * interrupts and system instructions are EMUL_UNKNOWN then, as they are
	 * in long mode. */
	const struct emul_system_ops *system;
	void *opaque; /* the ops' own */
	/* mode, cpl, cr0, cr4 and xcr0 follow what the instruction does. */
	enum emul_mode mode; /* of CS: the width of code */
	bool long_mode;      /* EFER.LMA */
	uint64_t cr0;        /* guest's: PE tells real mode */
	uint8_t cpl;
	uint64_t cr4; /* guest's, for UMIP and the like */
	uint64_t xcr0; /* guest's, for XGETBV and AVX; counts with CR4.OSXSAVE only */
	uint8_t iopl_ok; /* port access was already checked by the caller */
	bool one_iteration; /* of a repeated instruction in one call, or no further one if an op sets it; with TF
			     * it is so anyway */
	struct cpu_regs regs; /* in and out */
	struct emul_exception exception;
	/* Out: */
	uint8_t insn[EMUL_INSN_MAX];
	uint8_t insn_len; /* decoded length, 0 when not even that is known */
	bool skip_insn;      /* by op fetched: EMUL_DONE with nothing but rip moved */
	bool rep_unfinished; /* EMUL_DONE with rip still at the instruction */
	bool halted;           /* HLT was executed */
	bool interrupt_shadow; /* STI that set IF, MOV SS or POP SS: none before the next instruction */
	bool trap_held;        /* MOV SS, POP SS, a software interrupt: no single-step trap follows */
	bool nmi_unblocked;    /* IRET was executed */
	bool task_switched;    /* a task switch was committed: regs are the new task's, whatever the status */
	uint64_t debug_trap;   /* bits of DR6 for a #DB that is due after the instruction (a task's T flag) */
};

/* One instruction at regs.rip. */
enum emul_status emul_step(struct emul_ctxt *ctx);

struct emul_event {
	uint8_t vector;
	bool software; /* INT n, INT3, INTO: the gate's DPL counts; IOPL in virtual-8086 mode is the caller's */
	bool int_n;    /* INT n only: with CR4.VME, the TSS and then IOPL decide in virtual-8086 mode */
	bool has_error_code;
	uint32_t error_code;
};

/*
 * Delivers an event as the CPU does: through the vectors of real mode, or a
 * gate of the IDT (SDM vol. 3, "Exception- and Interrupt-Handler Procedures",
 * "Exception and Interrupt Handling in 64-bit Mode"). regs.rip is what the
 * handler returns to, with RF in regs.rflags as it shall find it.
 * EMUL_EXCEPTION: the delivery faulted with ctx->exception, and registers are
 * as before unless ctx->task_switched.
 * ctx->cpl and ctx->mode follow. Needs ctx->system.
 */
enum emul_status emul_deliver(struct emul_ctxt *ctx, const struct emul_event *e);

enum emul_task_source { EMUL_TASK_CALL, EMUL_TASK_IRET, EMUL_TASK_JMP, EMUL_TASK_GATE };

struct emul_task_switch {
	uint16_t selector; /* of the new task's TSS */
	enum emul_task_source source;
	bool has_error_code; /* pushed on the new task's stack */
	uint32_t error_code;
};

/*
 * A hardware task switch (SDM vol. 3, "Task Switching"). regs.rip is what the
 * old task continues at; who may name the task is for the caller to check.
 * EMUL_EXCEPTION before the switch is committed leaves everything as it was;
 * after it ctx->task_switched is set and ctx->regs are the new task's, as on a
 * CPU. Needs ctx->system; EMUL_UNKNOWN in real and long mode.
 */
enum emul_status emul_task_switch(struct emul_ctxt *ctx, const struct emul_task_switch *t);

#endif
