/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The instruction emulator: decodes and executes one guest instruction on
 * memory and ports reached through an ops table. No globals, no memory of
 * its own, no knowledge of VMs: the same source runs in the hypervisor, in
 * unit tests and under a fuzzer.
 *
 * It knows the forms that reach device registers and page tables in
 * practice. For any other it says EMUL_UNKNOWN having changed nothing, and
 * the caller runs the instruction natively for one step.
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
 * page is checked whole before a byte is written.
 */
struct emul_ops {
	/* Up to @len instruction bytes at linear @addr; *got is how many could
	 * be had (at least 1 with EMUL_DONE). */
	enum emul_status (*fetch)(struct emul_ctxt *ctx, gva_t addr, void *dst, unsigned int len,
				  unsigned int *got);
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
};

struct emul_ctxt {
	const struct emul_ops *ops;
	void *opaque; /* the ops' own */
	enum emul_mode mode;
	uint8_t cpl;
	uint64_t cr4; /* guest's, for UMIP and the like */
	uint8_t iopl_ok; /* port access was already checked by the caller */
	struct cpu_regs regs; /* in and out */
	struct emul_exception exception;
	/* Out: */
	uint8_t insn[EMUL_INSN_MAX];
	uint8_t insn_len; /* decoded length, 0 when not even that is known */
	bool rep_unfinished; /* EMUL_DONE with rip still at the instruction */
};

/* One instruction at regs.rip. */
enum emul_status emul_step(struct emul_ctxt *ctx);

#endif
