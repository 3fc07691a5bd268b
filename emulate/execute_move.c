// SPDX-License-Identifier: GPL-2.0-only
/* Instructions that move data and compute nothing. */
#include "emulate/exec.h"

enum emul_status exec_mov(struct exec *x)
{
	const struct insn *i = &x->insn;
	enum emul_status status;
	uint64_t v;

	status = operand_read(x, i->src, i->op_size, &v);
	return status == EMUL_DONE ? operand_write(x, i->dst, i->op_size, v) : status;
}

/* To memory always 16 bits; to a register zero-extended to the operand size. */
enum emul_status exec_mov_from_sreg(struct exec *x)
{
	const struct insn *i = &x->insn;
	unsigned int sreg = i->reg & 7; /* REX.R is ignored */
	struct segment s;

	x->ctx->ops->segment(x->ctx, (enum segment_register)sreg, &s);
	return operand_write(x, OPD_RM, i->has_mem ? 2 : i->op_size, s.selector);
}

static enum emul_status load_extended(struct exec *x, bool is_signed)
{
	const struct insn *i = &x->insn;
	enum emul_status status;
	uint64_t v;

	status = operand_read(x, OPD_RM, i->mem_size, &v);
	if (status != EMUL_DONE)
		return status;
	reg_write(x, i->reg, i->op_size, is_signed ? (uint64_t)sign_extend(v, i->mem_size) : v);
	return EMUL_DONE;
}

enum emul_status exec_movzx(struct exec *x) { return load_extended(x, false); }
enum emul_status exec_movsx(struct exec *x) { return load_extended(x, true); }

static uint64_t swap_bytes(uint64_t v, unsigned int size)
{
	return __builtin_bswap64(v) >> (64 - 8 * size);
}

enum emul_status exec_movbe(struct exec *x)
{
	const struct insn *i = &x->insn;
	enum emul_status status;
	uint64_t v;

	status = operand_read(x, i->src, i->op_size, &v);
	if (status != EMUL_DONE)
		return status;
	return operand_write(x, i->dst, i->op_size, swap_bytes(v, i->op_size));
}

/* The operand's size cuts the offset, or extends it with zeros. */
enum emul_status exec_lea(struct exec *x)
{
	reg_write(x, x->insn.reg, x->insn.op_size, effective_address(x));
	return EMUL_DONE;
}

enum emul_status exec_xlat(struct exec *x)
{
	const struct insn *i = &x->insn;
	uint64_t offset = x->regs.gpr[GPR_RBX] + reg_read(x, GPR_RAX, 1);
	enum emul_status status;
	uint64_t v;
	gva_t addr;

	status = linear(x, i->seg, offset & size_mask(i->addr_size), 1, 1, ACCESS_READ, &addr);
	if (status == EMUL_DONE)
		status = mem_read(x, addr, 1, &v);
	if (status == EMUL_DONE)
		reg_write(x, GPR_RAX, 1, v);
	return status;
}

enum emul_status exec_setcc(struct exec *x)
{
	return operand_write(x, OPD_RM, 1, alu_condition(x->insn.opcode, x->regs.rflags));
}

/* The source is read whatever the condition, and a 32-bit destination loses
 * its upper half even if nothing is moved. */
enum emul_status exec_cmovcc(struct exec *x)
{
	const struct insn *i = &x->insn;
	enum emul_status status;
	uint64_t v;

	status = operand_read(x, OPD_RM, i->op_size, &v);
	if (status != EMUL_DONE)
		return status;
	if (!alu_condition(i->opcode, x->regs.rflags))
		v = reg_read(x, i->reg, i->op_size);
	reg_write(x, i->reg, i->op_size, v);
	return EMUL_DONE;
}
