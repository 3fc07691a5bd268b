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
	LOAD_FAR,     /* CS by JMP or CALL, the CPL stays; JMP through a gate too, with RPL 0 */
	LOAD_RETURN,  /* CS and SS by RET or IRET: the CPL becomes the selector's RPL */
	LOAD_GATE,    /* CS and SS by an interrupt or call gate: the CPL becomes CS's DPL, or stays */
	LOAD_TASK,    /* all but TR by a task switch; virtual-8086 if regs.rflags, the new task's, say so */
	LOAD_SYSTEM,  /* LDTR by LLDT, TR by LTR */
};

static inline bool emul_is_real(const struct emul_ctxt *ctx) { return !(ctx->cr0 & X86_CR0_PE); }
static inline bool emul_is_v86(const struct emul_ctxt *ctx)
{
	return !emul_is_real(ctx) && (ctx->regs.rflags & X86_EFLAGS_VM);
}
/* FLAGS as the program sees them in virtual-8086 mode where VIF is its IF: below IOPL 3, by CR4.VME. */
static inline uint64_t emul_v86_flags(const struct emul_ctxt *ctx)
{
	uint64_t flags = (ctx->regs.rflags & ~(uint64_t)X86_EFLAGS_IF) | X86_EFLAGS_IOPL;

	return flags & X86_EFLAGS_VIF ? flags | X86_EFLAGS_IF : flags;
}
/* Index 0 of the GDT, whatever the RPL. */
static inline bool selector_is_null(uint16_t selector) { return selector < 4; }
/* Is it #AC for a CPU at @cpl to reach an item of @size bytes at linear @addr (SDM vol. 3, "Alignment
 * Check Exception (#AC)")? Items wider than 8 bytes are never checked. */
static inline bool emul_is_misaligned(const struct emul_ctxt *ctx, unsigned int cpl, uint64_t addr,
				      unsigned int size)
{
	bool is_checked = cpl == 3 && (ctx->cr0 & X86_CR0_AM) && (ctx->regs.rflags & X86_EFLAGS_AC);

	return is_checked && size <= 8 && addr % size != 0;
}
/* As virtual-8086 mode has it in every register; IRET to it loads all six. */
static inline struct segment segment_v86(uint16_t selector)
{
	return (struct segment){ .selector = selector, .access = 0xf3, .limit = 0xffff,
				 .base = (uint32_t)selector << 4 };
}

/* Of code that runs in @cs. */
static inline enum emul_mode segment_mode(const struct segment *cs)
{
	return cs->access & SEGMENT_DB ? EMUL_MODE_32 : EMUL_MODE_16;
}

/* ctx->exception = @vector with @error_code; EMUL_EXCEPTION. */
enum emul_status emul_raise(struct emul_ctxt *ctx, enum exception_vector vector, uint32_t error_code);

/* The 8 bytes of the descriptor that @selector names, in the GDT or the LDT.
 * Beyond the table, or null: @vector(selector). */
enum emul_status descriptor_read(struct emul_ctxt *ctx, uint16_t selector, enum exception_vector vector,
				 uint64_t *descriptor) must_check;
/* Where its byte with type, S, DPL and P is: the one the CPU writes. Unchecked. */
gva_t descriptor_type_address(struct emul_ctxt *ctx, uint16_t selector);
/* Base, limit and access rights of @descriptor, as a register holds them. */
struct segment descriptor_segment(uint16_t selector, uint64_t descriptor);

/*
 * What @s must hold after a load of @selector by a CPU at @cpl: the present
 * CPL for LOAD_DATA, LOAD_FAR and CS of LOAD_GATE, the new one for the others.
 * The RPL of CS in @out is the CPL to run at. The accessed bit of the
 * descriptor, and the busy bit of LTR's, are set in memory. EMUL_EXCEPTION
 * with #GP, #NP, #SS or #TS and the selector as error code.
 */
enum emul_status segment_fetch(struct emul_ctxt *ctx, enum segment_register s, uint16_t selector,
			       enum segment_load how, unsigned int cpl, struct segment *out) must_check;

/* The two halves of it, for more loads than one: all the checks, without a
 * write; then the accessed or busy bit, in memory and in @s. */
enum emul_status segment_check(struct emul_ctxt *ctx, enum segment_register s, uint16_t selector,
			       enum segment_load how, unsigned int cpl, struct segment *out) must_check;
enum emul_status segment_touch(struct emul_ctxt *ctx, struct segment *s) must_check;

/* A stack that may not be in the registers yet. */
struct stack {
	struct segment ss;
	uint32_t esp;
	unsigned int cpl; /* whose rights its memory is reached with */
};

/* That of s->cpl, 0 to 2, from the present TSS, with SS checked as a gate does; beyond the TSS: #TS(TR).
 * Of a 16-bit stack the pointer is only the lower half of ESP; the other half is what is in the register. */
enum emul_status stack_inner(struct emul_ctxt *ctx, struct stack *s) must_check;

#define STACK_ITEMS_MAX 36u

/* Is there room for @count items of @size bytes, 2 or 4? If not: #SS(@error_code). */
enum emul_status stack_check(struct emul_ctxt *ctx, const struct stack *s, unsigned int count,
			     unsigned int size, uint32_t error_code) must_check;
/*
 * Pushes @count items after such a check, the first one first; nothing is
 * written unless all can be.
 */
enum emul_status stack_push(struct emul_ctxt *ctx, struct stack *s, const uint32_t *items, unsigned int count,
			    unsigned int size) must_check;

/* deliver64.c: emul_deliver() in long mode, but for EXT in the error code. */
enum emul_status deliver_long(struct emul_ctxt *ctx, const struct emul_event *e) must_check;

#endif
