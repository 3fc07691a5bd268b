// SPDX-License-Identifier: GPL-2.0-only
/*
 * Arithmetic on registers and memory: read, compute, write; with LOCK (and
 * always for xchg) as one atomic exchange.
 *
 * Order: everything that may fault, then the write, then the registers.
 */
#include <string.h>
#include "emulate/exec.h"

/* A locked instruction competes with other processors at most so often before
 * it is left to run natively. */
#define LOCK_TRIES 1000

/* Left to the processor, where it can run: what processors do differently. A
 * double shift by more than the width; whether a failing 32-bit cmpxchg clears
 * the upper half of a register destination. */
static bool is_left_to_processor(const struct exec *x, uint64_t count)
{
	const struct insn *i = &x->insn;

	if (x->ctx->system && !x->ctx->long_mode)
		return false;
	if (i->op == OP_SHLD || i->op == OP_SHRD)
		return (count & (i->op_size == 8 ? 63 : 31)) > 8u * i->op_size;
	return i->op == OP_CMPXCHG && !i->has_mem && i->op_size == 4 && x->ctx->mode == EMUL_MODE_64;
}

static enum emul_status modify_locked(struct exec *x, gva_t addr, struct alu *a)
{
	const struct emul_ops *ops = x->ctx->ops;
	const struct alu before = *a;
	uint64_t expected;
	enum emul_status status = mem_read(x, addr, a->size, &expected);

	for (unsigned int i = 0; status == EMUL_DONE && i < LOCK_TRIES; i++) {
		bool done = false;

		*a = before;
		a->dst = expected;
		alu_run(x->insn.op, a);
		status = ops->cmpxchg(x->ctx, addr, &expected, &a->dst, a->size, &done);
		if (status == EMUL_DONE && done)
			return EMUL_DONE;
	}
	return status == EMUL_DONE ? EMUL_UNKNOWN : status;
}

static enum emul_status modify_memory(struct exec *x, gva_t addr, struct alu *a)
{
	enum emul_status status = x->ctx->ops->probe_write(x->ctx, addr, a->size);

	if (status != EMUL_DONE)
		return status;
	if (x->insn.lock || x->insn.op == OP_XCHG)
		return modify_locked(x, addr, a);
	status = mem_read(x, addr, a->size, &a->dst);
	if (status != EMUL_DONE)
		return status;
	alu_run(x->insn.op, a);
	return mem_write(x, addr, a->size, a->dst);
}

static bool is_bit_op(enum emul_op op) { return op >= OP_BT && op <= OP_BTC; }

/* With a register as bit offset, bt and its kin address memory around the
 * operand: the offset is signed and counts from the operand's bit 0. */
static uint64_t operand_offset(const struct exec *x, uint64_t src)
{
	const struct insn *i = &x->insn;
	uint64_t ea = effective_address(x);
	unsigned int bits = 8 * i->op_size;

	if (!is_bit_op(i->op) || i->src != OPD_REG)
		return ea;
	ea += (uint64_t)((sign_extend(src, i->op_size) & -(int64_t)bits) >> 3);
	return ea & size_mask(i->addr_size);
}

static enum emul_status read_sources(struct exec *x, struct alu *a)
{
	const struct insn *i = &x->insn;
	enum emul_status status = operand_read(x, i->src, i->op_size, &a->src);

	if (status == EMUL_DONE)
		status = operand_read(x, i->src2, i->op_size, &a->src2);
	a->size = i->op_size;
	a->acc = x->regs.gpr[GPR_RAX] & size_mask(i->op_size);
	a->flags = x->regs.rflags;
	return status;
}

/* What beside the destination an instruction changes. Register destinations
 * are written after this, so that `xadd al, al` gives the sum. */
static void write_side_results(struct exec *x, const struct alu *a)
{
	const struct insn *i = &x->insn;

	x->regs.rflags = a->flags;
	if (i->op == OP_XADD || i->op == OP_XCHG)
		reg_write(x, operand_reg(x, i->src), i->op_size, a->src);
	if (i->op == OP_CMPXCHG && !(a->flags & X86_EFLAGS_ZF))
		reg_write(x, GPR_RAX, i->op_size, a->acc);
}

enum emul_status exec_modify(struct exec *x)
{
	const struct insn *i = &x->insn;
	struct alu a = { 0 };
	enum emul_status status = read_sources(x, &a);
	gva_t addr;

	if (status != EMUL_DONE)
		return status;
	if (is_left_to_processor(x, a.src2))
		return EMUL_UNKNOWN;
	if (!operand_is_mem(x, i->dst)) {
		a.dst = reg_read(x, operand_reg(x, i->dst), i->op_size);
		alu_run(i->op, &a);
		write_side_results(x, &a);
		reg_write(x, operand_reg(x, i->dst), i->op_size, a.dst);
		return EMUL_DONE;
	}
	status = linear(x, i->seg, operand_offset(x, a.src), i->op_size, i->op_size, ACCESS_WRITE, &addr);
	if (status == EMUL_DONE)
		status = modify_memory(x, addr, &a);
	if (status == EMUL_DONE)
		write_side_results(x, &a);
	return status;
}

/* cmp, test, bt: the destination is only read. */
enum emul_status exec_compare(struct exec *x)
{
	const struct insn *i = &x->insn;
	struct alu a = { 0 };
	enum emul_status status = read_sources(x, &a);
	gva_t addr;

	if (status != EMUL_DONE)
		return status;
	if (operand_is_mem(x, i->dst)) {
		status = linear(x, i->seg, operand_offset(x, a.src), i->op_size, i->op_size, ACCESS_READ,
				&addr);
		if (status == EMUL_DONE)
			status = mem_read(x, addr, i->op_size, &a.dst);
		if (status != EMUL_DONE)
			return status;
	} else {
		a.dst = reg_read(x, operand_reg(x, i->dst), i->op_size);
	}
	alu_run(i->op, &a);
	x->regs.rflags = a.flags;
	return EMUL_DONE;
}

/* The pair rDX:rAX or rCX:rBX as it lies in memory. */
static void pair_pack(const struct exec *x, enum gpr high, enum gpr low, uint8_t *bytes)
{
	unsigned int half = x->insn.op_size;

	memcpy(bytes, &x->regs.gpr[low], half);
	memcpy(bytes + half, &x->regs.gpr[high], half);
}

static void pair_unpack(struct exec *x, const uint8_t *bytes)
{
	unsigned int half = x->insn.op_size;
	uint64_t low = 0, high = 0;

	memcpy(&low, bytes, half);
	memcpy(&high, bytes + half, half);
	reg_write(x, GPR_RAX, half, low);
	reg_write(x, GPR_RDX, half, high);
}

/* Stores @desired where memory matches @wanted. Where it does not, the processor
 * writes back what it read: so it is here, and whoever watches writes sees one.
 * @seen: what was read, and then what memory held. */
static enum emul_status exchange_pair(struct exec *x, gva_t addr, uint8_t *seen, const uint8_t *wanted,
				      const uint8_t *desired, bool *matches)
{
	unsigned int len = x->insn.mem_size;
	enum emul_status status = EMUL_DONE;

	for (unsigned int i = 0; status == EMUL_DONE && i < LOCK_TRIES; i++) {
		bool done = false;
		uint8_t put[16];

		*matches = memcmp(seen, wanted, len) == 0;
		memcpy(put, *matches ? desired : seen, len);
		status = x->ctx->ops->cmpxchg(x->ctx, addr, seen, put, len, &done);
		if (status == EMUL_DONE && done)
			return EMUL_DONE;
	}
	return status == EMUL_DONE ? EMUL_UNKNOWN : status;
}

/* cmpxchg8b, cmpxchg16b: always carried out as if locked. */
enum emul_status exec_cmpxchg_pair(struct exec *x)
{
	const struct emul_ops *ops = x->ctx->ops;
	unsigned int len = x->insn.mem_size;
	uint8_t wanted[16], desired[16], seen[16];
	enum emul_status status;
	bool matches = false;
	gva_t addr;

	status = linear_operand(x, len, len, ACCESS_WRITE, &addr);
	if (status != EMUL_DONE)
		return status;
	if (len == 16 && addr.v % 16 != 0)
		return raise_fault_code(x, EXC_GP, 0);
	status = ops->probe_write(x->ctx, addr, len);
	if (status != EMUL_DONE)
		return status;
	pair_pack(x, GPR_RDX, GPR_RAX, wanted);
	pair_pack(x, GPR_RCX, GPR_RBX, desired);
	status = ops->read(x->ctx, addr, seen, len);
	if (status == EMUL_DONE)
		status = exchange_pair(x, addr, seen, wanted, desired, &matches);
	if (status != EMUL_DONE)
		return status;
	x->regs.rflags &= ~(uint64_t)X86_EFLAGS_ZF;
	if (matches)
		x->regs.rflags |= X86_EFLAGS_ZF;
	else
		pair_unpack(x, seen);
	return EMUL_DONE;
}

/* imul with two or three operands. */
enum emul_status exec_imul(struct exec *x)
{
	const struct insn *i = &x->insn;
	struct alu a = { 0 };
	enum emul_status status = read_sources(x, &a);

	if (status != EMUL_DONE)
		return status;
	a.dst = i->src2 == OPD_NONE ? reg_read(x, i->reg, i->op_size) : a.src2;
	alu_imul(&a);
	reg_write(x, i->reg, i->op_size, a.dst);
	x->regs.rflags = a.flags;
	return EMUL_DONE;
}

/* mul and imul with one operand: AX = AL * src, or rDX:rAX = rAX * src. */
enum emul_status exec_multiply_acc(struct exec *x)
{
	const struct insn *i = &x->insn;
	struct alu a = { 0 };
	enum emul_status status = read_sources(x, &a);

	if (status != EMUL_DONE)
		return status;
	a.dst = a.acc;
	alu_multiply_wide(&a, i->op == OP_IMUL_ACC);
	if (i->op_size == 1) {
		reg_write(x, GPR_RAX, 2, a.src << 8 | a.dst);
	} else {
		reg_write(x, GPR_RAX, i->op_size, a.dst);
		reg_write(x, GPR_RDX, i->op_size, a.src);
	}
	x->regs.rflags = a.flags;
	return EMUL_DONE;
}
