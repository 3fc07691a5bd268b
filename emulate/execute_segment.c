// SPDX-License-Identifier: GPL-2.0-only
/*
 * Instructions that load segment registers, and those that ask what a
 * descriptor allows. Outside long mode only.
 */
#include "emulate/exec.h"
#include "emulate/segment.h"

/* Types of system descriptors that LAR and LSL know, as bits. */
#define LAR_TYPES 0x1a3eu /* TSS, LDT, call gates, task gate */
#define LSL_TYPES 0x0a0eu /* TSS, LDT: what has a limit */
#define LAR_RIGHTS 0x00ffff00u /* with bits 19:16 of the limit, which the SDM leaves undefined */

#define TYPE_CODE 8u
#define TYPE_CONFORMING 4u
#define TYPE_READABLE 2u
#define TYPE_WRITABLE 2u
#define ACCESS_S 0x10u

static enum emul_status fetch(struct exec *x, enum segment_register s, uint64_t selector, struct segment *out)
{
	return segment_fetch(x->ctx, s, (uint16_t)selector, LOAD_DATA, x->ctx->cpl, out);
}

/* A new SS holds off interrupts and traps until its stack pointer is there, too. */
static void load_with_shadow(struct exec *x, enum segment_register s, const struct segment *in)
{
	x->ctx->system->set_segment(x->ctx, s, in);
	x->ctx->interrupt_shadow = s == SEG_SS;
	x->ctx->trap_held = s == SEG_SS;
}

enum emul_status exec_mov_to_sreg(struct exec *x)
{
	enum segment_register s = (enum segment_register)(x->insn.reg & 7);
	enum emul_status status;
	struct segment loaded;
	uint64_t selector;

	status = operand_read(x, OPD_RM, 2, &selector);
	if (status == EMUL_DONE)
		status = fetch(x, s, selector, &loaded);
	if (status == EMUL_DONE)
		load_with_shadow(x, s, &loaded);
	return status;
}

enum emul_status exec_pop_sreg(struct exec *x)
{
	enum segment_register s = insn_sreg(&x->insn);
	unsigned int size = x->insn.op_size;
	enum emul_status status;
	struct segment loaded;
	uint64_t selector = 0;

	status = rsp_read(x, 0, &selector, size, size);
	if (status == EMUL_DONE)
		status = fetch(x, s, selector, &loaded);
	if (status != EMUL_DONE)
		return status;
	rsp_release(x, size); /* as wide as the old SS says */
	load_with_shadow(x, s, &loaded);
	return EMUL_DONE;
}

static enum segment_register pointer_sreg(const struct insn *i)
{
	switch (i->opcode) {
	case 0xc4:
		return SEG_ES;
	case 0xc5:
		return SEG_DS;
	case 0xb2:
		return SEG_SS;
	default:
		return i->opcode == 0xb4 ? SEG_FS : SEG_GS;
	}
}

/* les, lds, lss, lfs, lgs: an offset, then a selector. */
enum emul_status exec_load_pointer(struct exec *x)
{
	const struct insn *i = &x->insn;
	enum segment_register s = pointer_sreg(i);
	enum emul_status status;
	struct segment loaded;
	uint64_t pointer;

	status = far_pointer_read(x, &pointer);
	if (status == EMUL_DONE)
		status = fetch(x, s, pointer >> (8 * i->op_size), &loaded);
	if (status != EMUL_DONE)
		return status;
	x->ctx->system->set_segment(x->ctx, s, &loaded);
	reg_write(x, i->reg, i->op_size, pointer);
	return EMUL_DONE;
}

/* arpl: the selector's RPL is raised to that of the source. */
enum emul_status exec_arpl(struct exec *x)
{
	enum emul_status status;
	uint64_t selector, rpl;

	if (emul_is_real(x->ctx) || emul_is_v86(x->ctx))
		return raise_fault(x, EXC_UD);
	rpl = reg_read(x, x->insn.reg, 2) & 3;
	status = operand_probe_write(x, OPD_RM, 2);
	if (status == EMUL_DONE)
		status = operand_read(x, OPD_RM, 2, &selector);
	if (status != EMUL_DONE)
		return status;
	x->regs.rflags &= ~(uint64_t)X86_EFLAGS_ZF;
	if ((selector & 3) >= rpl)
		return EMUL_DONE;
	x->regs.rflags |= X86_EFLAGS_ZF;
	return operand_write(x, OPD_RM, 2, (selector & ~3ull) | rpl);
}

struct query {
	bool exists; /* within its table */
	bool is_code_or_data;
	bool is_conforming;
	bool is_accessible; /* by its DPL, from this CPL and with this RPL */
	unsigned int type;
	uint64_t descriptor;
	uint32_t limit;
};

static void examine(struct exec *x, uint16_t selector, struct query *q)
{
	struct segment s = descriptor_segment(selector, q->descriptor);
	unsigned int dpl = SEGMENT_DPL(s.access);

	q->exists = true;
	q->is_code_or_data = s.access & ACCESS_S;
	q->type = s.access & 0xf;
	q->is_conforming = q->is_code_or_data && (q->type & TYPE_CODE) && (q->type & TYPE_CONFORMING);
	q->is_accessible = q->is_conforming || (x->ctx->cpl <= dpl && (selector & 3u) <= dpl);
	q->limit = s.limit;
}

/* What the selector in the r/m operand names. A bad one is an answer, not a fault. */
static enum emul_status ask(struct exec *x, struct query *q)
{
	enum emul_status status;
	uint64_t selector;

	*q = (struct query){ 0 };
	if (emul_is_real(x->ctx) || emul_is_v86(x->ctx))
		return raise_fault(x, EXC_UD);
	status = operand_read(x, OPD_RM, 2, &selector);
	if (status != EMUL_DONE)
		return status;
	status = descriptor_read(x->ctx, (uint16_t)selector, EXC_GP, &q->descriptor);
	if (status == EMUL_EXCEPTION && x->ctx->exception.vector == EXC_GP)
		return EMUL_DONE;
	if (status == EMUL_DONE)
		examine(x, (uint16_t)selector, q);
	return status;
}

static void answer(struct exec *x, bool yes)
{
	x->regs.rflags &= ~(uint64_t)X86_EFLAGS_ZF;
	if (yes)
		x->regs.rflags |= X86_EFLAGS_ZF;
}

/* verr, verw */
enum emul_status exec_verify(struct exec *x)
{
	struct query q;
	enum emul_status status = ask(x, &q);
	bool allowed;

	if (status != EMUL_DONE)
		return status;
	if (x->insn.op == OP_VERR)
		allowed = !(q.type & TYPE_CODE) || (q.type & TYPE_READABLE);
	else
		allowed = !(q.type & TYPE_CODE) && (q.type & TYPE_WRITABLE);
	answer(x, q.exists && q.is_code_or_data && q.is_accessible && allowed);
	return EMUL_DONE;
}

/* lar, lsl */
enum emul_status exec_load_rights(struct exec *x)
{
	bool is_lar = x->insn.op == OP_LAR;
	unsigned int types = is_lar ? LAR_TYPES : LSL_TYPES;
	struct query q;
	enum emul_status status = ask(x, &q);
	bool valid;

	if (status != EMUL_DONE)
		return status;
	valid = q.exists && q.is_accessible && (q.is_code_or_data || (types >> q.type & 1));
	answer(x, valid);
	if (valid && is_lar)
		reg_write(x, x->insn.reg, x->insn.op_size, q.descriptor >> 32 & LAR_RIGHTS);
	else if (valid)
		reg_write(x, x->insn.reg, x->insn.op_size, q.limit);
	return EMUL_DONE;
}
