/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Loading segment registers outside long mode: descriptors, their checks, the
 * accessed bit. Real and virtual-8086 mode have a base of selector * 16 and
 * keep the rest of what the register holds.
 *
 * Nothing here changes a register: the caller sets what was fetched when
 * nothing else of the instruction can fail.
 */
#ifndef EMULATE_SEGMENT_H
#define EMULATE_SEGMENT_H

#include "emulate/emulate.h"

/* What loads it: decides the checks, and #TS instead of #GP for a task. */
enum segment_load {
	LOAD_DATA,    /* MOV, POP, LDS and the like: DS ES FS GS, and SS */
	LOAD_FAR,     /* CS by JMP or CALL of a code segment: the new CS has the old CPL */
	LOAD_RETURN,  /* CS and SS by RET or IRET: the CPL becomes the selector's RPL */
	LOAD_GATE,    /* CS and SS by an interrupt or call gate: the CPL becomes the DPL, or stays if conforming */
	LOAD_TASK,    /* all by a task switch */
	LOAD_SYSTEM,  /* LDTR by LLDT, TR by LTR */
};

static inline bool emul_is_real(const struct emul_ctxt *ctx) { return !(ctx->cr0 & X86_CR0_PE); }
static inline bool emul_is_v86(const struct emul_ctxt *ctx)
{
	return !emul_is_real(ctx) && (ctx->regs.rflags & X86_EFLAGS_VM);
}

/* The 8 bytes of the descriptor that @selector names, in the GDT or the LDT.
 * Beyond the table, or null where that is not allowed: @vector(selector). */
enum emul_status descriptor_read(struct emul_ctxt *ctx, uint16_t selector, enum exception_vector vector,
				 uint64_t *descriptor) must_check;
enum emul_status descriptor_write(struct emul_ctxt *ctx, uint16_t selector, uint64_t descriptor) must_check;
/* Base, limit and access rights of @descriptor, as a register holds them. */
struct segment descriptor_segment(uint16_t selector, uint64_t descriptor);

/*
 * What @s must hold after a load of @selector by a CPU at @cpl (the new CPL
 * for LOAD_RETURN, LOAD_GATE and LOAD_TASK). The accessed bit of the
 * descriptor, and the busy bit of LTR's, are set in memory. EMUL_EXCEPTION
 * with #GP, #NP, #SS or #TS and the selector as error code.
 */
enum emul_status segment_fetch(struct emul_ctxt *ctx, enum segment_register s, uint16_t selector,
			       enum segment_load how, unsigned int cpl, struct segment *out) must_check;

#endif
