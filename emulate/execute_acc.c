// SPDX-License-Identifier: GPL-2.0-only
/* Instructions on registers and flags, most of them on the accumulator. */
#include "emulate/exec.h"

#define FLAGS_IN_AH (X86_EFLAGS_SF | X86_EFLAGS_ZF | X86_EFLAGS_AF | X86_EFLAGS_PF | X86_EFLAGS_CF)

/* AH is the high half of a dividend of bytes, rDX of all others. */
static void read_dividend(const struct exec *x, struct alu *a)
{
	a->dst = x->regs.gpr[GPR_RAX];
	a->src2 = a->size == 1 ? x->regs.gpr[GPR_RAX] >> 8 : x->regs.gpr[GPR_RDX];
}

enum emul_status exec_divide(struct exec *x)
{
	unsigned int size = x->insn.op_size;
	struct alu a = { .size = size, .flags = x->regs.rflags };
	enum emul_status status = operand_read(x, OPD_RM, size, &a.src);

	if (status != EMUL_DONE)
		return status;
	read_dividend(x, &a);
	if (!alu_divide(&a, x->insn.op == OP_IDIV))
		return raise_fault(x, EXC_DE);
	if (size == 1) {
		reg_write(x, GPR_RAX, 2, (a.src2 & 0xff) << 8 | (a.dst & 0xff));
	} else {
		reg_write(x, GPR_RAX, size, a.dst);
		reg_write(x, GPR_RDX, size, a.src2);
	}
	return EMUL_DONE;
}

/* bsf and bsr of 0 leave the destination as it was. In 64-bit mode processors
 * differ in what becomes of the upper half of a 32-bit one. */
enum emul_status exec_bit_scan(struct exec *x)
{
	const struct insn *i = &x->insn;
	struct alu a = { .size = i->op_size, .flags = x->regs.rflags };
	enum emul_status status = operand_read(x, OPD_RM, i->op_size, &a.src);

	if (status != EMUL_DONE)
		return status;
	if ((i->op == OP_BSF || i->op == OP_BSR) && (a.src & size_mask(i->op_size)) == 0) {
		if (x->ctx->mode == EMUL_MODE_64 && i->op_size == 4)
			return EMUL_UNKNOWN;
		x->regs.rflags |= X86_EFLAGS_ZF;
		return EMUL_DONE;
	}
	alu_bit_scan(i->op, &a);
	x->regs.rflags = a.flags;
	reg_write(x, i->reg, i->op_size, a.dst);
	return EMUL_DONE;
}

/* With 16 bits the result is undefined; processors give 0. */
enum emul_status exec_bswap(struct exec *x)
{
	unsigned int size = x->insn.op_size;
	uint64_t v = __builtin_bswap64(x->regs.gpr[x->insn.reg]);

	reg_write(x, x->insn.reg, size, size == 8 ? v : size == 4 ? v >> 32 : 0);
	return EMUL_DONE;
}

/* cbw, cwde, cdqe */
enum emul_status exec_cbw(struct exec *x)
{
	unsigned int size = x->insn.op_size;

	reg_write(x, GPR_RAX, size, (uint64_t)sign_extend(x->regs.gpr[GPR_RAX], size / 2));
	return EMUL_DONE;
}

/* cwd, cdq, cqo */
enum emul_status exec_cwd(struct exec *x)
{
	unsigned int size = x->insn.op_size;

	reg_write(x, GPR_RDX, size, sign_extend(x->regs.gpr[GPR_RAX], size) < 0 ? ~0ull : 0);
	return EMUL_DONE;
}

enum emul_status exec_decimal(struct exec *x)
{
	struct alu a = { .dst = reg_read(x, GPR_RAX, 2), .src = x->insn.imm, .flags = x->regs.rflags };

	if (!alu_decimal(x->insn.op, &a))
		return raise_fault(x, EXC_DE);
	reg_write(x, GPR_RAX, 2, a.dst);
	x->regs.rflags = a.flags;
	return EMUL_DONE;
}

enum emul_status exec_lahf(struct exec *x)
{
	uint64_t ah = (x->regs.rflags & FLAGS_IN_AH) | X86_EFLAGS_FIXED;

	x->regs.gpr[GPR_RAX] = (x->regs.gpr[GPR_RAX] & ~0xff00ull) | ah << 8;
	return EMUL_DONE;
}

enum emul_status exec_sahf(struct exec *x)
{
	uint64_t ah = x->regs.gpr[GPR_RAX] >> 8;

	x->regs.rflags = (x->regs.rflags & ~(uint64_t)FLAGS_IN_AH) | (ah & FLAGS_IN_AH);
	return EMUL_DONE;
}

enum emul_status exec_flag(struct exec *x)
{
	switch (x->insn.op) {
	case OP_CLC: x->regs.rflags &= ~(uint64_t)X86_EFLAGS_CF; break;
	case OP_STC: x->regs.rflags |= X86_EFLAGS_CF; break;
	case OP_CMC: x->regs.rflags ^= X86_EFLAGS_CF; break;
	case OP_CLD: x->regs.rflags &= ~(uint64_t)X86_EFLAGS_DF; break;
	default: x->regs.rflags |= X86_EFLAGS_DF; break;
	}
	return EMUL_DONE;
}

/* Not in the SDM, and in every processor: AL is set to 0 or FF by CF. */
enum emul_status exec_salc(struct exec *x)
{
	reg_write(x, GPR_RAX, 1, x->regs.rflags & X86_EFLAGS_CF ? 0xff : 0);
	return EMUL_DONE;
}

/* The two bounds, signed, lie side by side in memory. */
enum emul_status exec_bound(struct exec *x)
{
	const struct insn *i = &x->insn;
	unsigned int size = i->op_size;
	enum emul_status status;
	int64_t index = sign_extend(reg_read(x, i->reg, size), size);
	uint64_t bounds;
	gva_t addr;

	status = linear_operand(x, 2 * size, size, ACCESS_READ, &addr);
	if (status == EMUL_DONE)
		status = mem_read(x, addr, 2 * size, &bounds);
	if (status != EMUL_DONE)
		return status;
	if (index < sign_extend(bounds, size) || index > sign_extend(bounds >> (8 * size), size))
		return raise_fault(x, EXC_BR);
	return EMUL_DONE;
}

enum emul_status exec_ud(struct exec *x) { return raise_fault(x, EXC_UD); }
enum emul_status exec_nop(struct exec *x) { return EMUL_DONE; }
