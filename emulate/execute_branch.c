// SPDX-License-Identifier: GPL-2.0-only
/* Near control transfers. */
#include "emulate/exec.h"

#define CR4_CET (1ull << 23)

enum emul_status jump_near(struct exec *x, uint64_t target)
{
	enum emul_status status;
	gva_t unused_addr;
	struct segment cs;

	target &= size_mask(x->insn.op_size);
	if (x->ctx->mode == EMUL_MODE_64) {
		status = linear(x, SEG_CS, target, 1, 1, ACCESS_READ, &unused_addr);
		if (status != EMUL_DONE)
			return status;
	} else {
		x->ctx->ops->segment(x->ctx, SEG_CS, &cs);
		if (target > cs.limit)
			return raise_fault_code(x, EXC_GP, 0);
	}
	x->next_rip = target;
	return EMUL_DONE;
}

/* With control-flow enforcement there may be a shadow stack and a branch tracker. */
static bool transfers_are_plain(const struct exec *x) { return !(x->ctx->cr4 & CR4_CET); }

static enum emul_status call(struct exec *x, uint64_t target)
{
	uint64_t return_to = x->next_rip;
	enum emul_status status = jump_near(x, target);

	return status == EMUL_DONE ? rsp_push(x, &return_to, x->insn.op_size, x->insn.op_size) : status;
}

enum emul_status exec_call_rel(struct exec *x)
{
	return transfers_are_plain(x) ? call(x, x->next_rip + x->insn.imm) : EMUL_UNKNOWN;
}

static enum emul_status read_target(struct exec *x, uint64_t *target)
{
	return transfers_are_plain(x) ? operand_read(x, OPD_RM, x->insn.op_size, target) : EMUL_UNKNOWN;
}

enum emul_status exec_call(struct exec *x)
{
	uint64_t target;
	enum emul_status status = read_target(x, &target);

	return status == EMUL_DONE ? call(x, target) : status;
}

enum emul_status exec_jmp_rel(struct exec *x) { return jump_near(x, x->next_rip + x->insn.imm); }

enum emul_status exec_jmp(struct exec *x)
{
	uint64_t target;
	enum emul_status status = read_target(x, &target);

	return status == EMUL_DONE ? jump_near(x, target) : status;
}

enum emul_status exec_jcc(struct exec *x)
{
	return alu_condition(x->insn.opcode, x->regs.rflags) ? exec_jmp_rel(x) : EMUL_DONE;
}

/* The counter is as wide as an address. jcxz only looks at it. */
enum emul_status exec_loop(struct exec *x)
{
	enum emul_op op = x->insn.op;
	unsigned int size = x->insn.addr_size;
	uint64_t count = reg_read(x, GPR_RCX, size);
	bool equal = x->regs.rflags & X86_EFLAGS_ZF;

	if (op == OP_JCXZ)
		return count == 0 ? exec_jmp_rel(x) : EMUL_DONE;
	count = (count - 1) & size_mask(size);
	reg_write(x, GPR_RCX, size, count);
	if (count == 0 || (op == OP_LOOPE && !equal) || (op == OP_LOOPNE && equal))
		return EMUL_DONE;
	return exec_jmp_rel(x);
}

enum emul_status exec_ret(struct exec *x)
{
	unsigned int size = x->insn.op_size;
	enum emul_status status;
	uint64_t target = 0;

	if (!transfers_are_plain(x))
		return EMUL_UNKNOWN;
	status = rsp_read(x, 0, &target, size, size);
	if (status == EMUL_DONE)
		status = jump_near(x, target);
	if (status == EMUL_DONE)
		rsp_release(x, size + x->insn.imm);
	return status;
}
