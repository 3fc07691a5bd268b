// SPDX-License-Identifier: GPL-2.0-only
/*
 * String instructions and port access.
 *
 * Invariant: every iteration is whole. Its registers are committed to the
 * guest's before the next one starts, so that a fault in the middle restarts
 * where it happened (SDM vol. 2, "REP/REPE/REPZ/REPNE/REPNZ").
 */
#include "emulate/exec.h"

#define TSS32_TYPE 9u /* available or busy */
#define TSS32_MASK 0x1du
#define TSS32_IO_MAP 102u
#define TSS32_LIMIT 103u

/* A clear bit for each of the ports in the bitmap of the TSS: allowed (SDM
 * vol. 1, "I/O Permission Bit Map"). Two bytes are read, even for one port. */
static enum emul_status ask_io_map(struct exec *x, uint16_t port, unsigned int len)
{
	const struct emul_system_ops *system = x->ctx->system;
	uint16_t map = 0, bits = 0;
	enum emul_status status;
	struct segment tr;
	uint32_t at;

	x->ctx->ops->segment(x->ctx, SEG_TR, &tr);
	if (tr.access & SEGMENT_UNUSABLE || (tr.access & TSS32_MASK) != TSS32_TYPE || tr.limit < TSS32_LIMIT)
		return raise_fault_code(x, EXC_GP, 0);
	status = system->read(x->ctx, gva((uint32_t)(tr.base + TSS32_IO_MAP)), &map, sizeof(map));
	if (status != EMUL_DONE)
		return status;
	at = map + port / 8u;
	if (at + 1 > tr.limit)
		return raise_fault_code(x, EXC_GP, 0);
	status = system->read(x->ctx, gva((uint32_t)(tr.base + at)), &bits, sizeof(bits));
	if (status == EMUL_DONE && (bits >> port % 8 & ((1u << len) - 1)))
		return raise_fault_code(x, EXC_GP, 0);
	return status;
}

static enum emul_status check_ports(struct exec *x, uint16_t port, unsigned int len)
{
	if (x->ctx->iopl_ok || (x->ctx->cpl <= insn_iopl(x) && !(x->regs.rflags & X86_EFLAGS_VM)))
		return EMUL_DONE;
	/* Without its means, the native step knows. */
	return x->ctx->system && !x->ctx->long_mode ? ask_io_map(x, port, len) : EMUL_UNKNOWN;
}

static uint64_t addr_reg(const struct exec *x, enum gpr reg)
{
	return x->regs.gpr[reg] & size_mask(x->insn.addr_size);
}

static void advance(struct exec *x, enum gpr reg)
{
	uint64_t size = x->insn.op_size;

	reg_write(x, reg, x->insn.addr_size,
		  x->regs.gpr[reg] + (x->regs.rflags & X86_EFLAGS_DF ? -size : size));
}

static enum emul_status source(struct exec *x, gva_t *addr)
{
	unsigned int size = x->insn.op_size;

	return linear(x, x->insn.seg, addr_reg(x, GPR_RSI), size, size, ACCESS_READ, addr);
}

/* Always in ES. */
static enum emul_status destination(struct exec *x, enum access access, gva_t *addr)
{
	unsigned int size = x->insn.op_size;

	return linear(x, SEG_ES, addr_reg(x, GPR_RDI), size, size, access, addr);
}

static enum emul_status read_source(struct exec *x, uint64_t *v)
{
	gva_t addr;
	enum emul_status status = source(x, &addr);

	if (status == EMUL_DONE)
		status = mem_read(x, addr, x->insn.op_size, v);
	if (status == EMUL_DONE)
		advance(x, GPR_RSI);
	return status;
}

static enum emul_status read_destination(struct exec *x, uint64_t *v)
{
	gva_t addr;
	enum emul_status status = destination(x, ACCESS_READ, &addr);

	if (status == EMUL_DONE)
		status = mem_read(x, addr, x->insn.op_size, v);
	if (status == EMUL_DONE)
		advance(x, GPR_RDI);
	return status;
}

static enum emul_status write_destination(struct exec *x, uint64_t v)
{
	gva_t addr;
	enum emul_status status = destination(x, ACCESS_WRITE, &addr);

	if (status == EMUL_DONE)
		status = mem_write(x, addr, x->insn.op_size, v);
	if (status == EMUL_DONE)
		advance(x, GPR_RDI);
	return status;
}

static enum emul_status movs(struct exec *x)
{
	uint64_t v;
	enum emul_status status = read_source(x, &v);

	return status == EMUL_DONE ? write_destination(x, v) : status;
}

static enum emul_status stos(struct exec *x)
{
	return write_destination(x, x->regs.gpr[GPR_RAX]);
}

static enum emul_status lods(struct exec *x)
{
	uint64_t v;
	enum emul_status status = read_source(x, &v);

	if (status == EMUL_DONE)
		reg_write(x, GPR_RAX, x->insn.op_size, v);
	return status;
}

static void compare(struct exec *x, uint64_t left, uint64_t right)
{
	struct alu a = { .size = x->insn.op_size, .dst = left, .src = right, .flags = x->regs.rflags };

	alu_run(OP_CMP, &a);
	x->regs.rflags = a.flags;
}

static enum emul_status cmps(struct exec *x)
{
	uint64_t left, right;
	enum emul_status status = read_source(x, &left);

	if (status == EMUL_DONE)
		status = read_destination(x, &right);
	if (status == EMUL_DONE)
		compare(x, left, right);
	return status;
}

static enum emul_status scas(struct exec *x)
{
	uint64_t right;
	enum emul_status status = read_destination(x, &right);

	if (status == EMUL_DONE)
		compare(x, x->regs.gpr[GPR_RAX], right);
	return status;
}

/* Reading a port can change the device: be sure first that the value has a place to go. */
static enum emul_status ins(struct exec *x)
{
	uint32_t v;
	gva_t addr;
	enum emul_status status = destination(x, ACCESS_WRITE, &addr);

	if (status == EMUL_DONE)
		status = x->ctx->ops->probe_write(x->ctx, addr, x->insn.op_size);
	if (status == EMUL_DONE)
		status = x->ctx->ops->port_in(x->ctx, (uint16_t)x->regs.gpr[GPR_RDX], x->insn.op_size, &v);
	return status == EMUL_DONE ? write_destination(x, v) : status;
}

static enum emul_status outs(struct exec *x)
{
	uint64_t v;
	enum emul_status status = read_source(x, &v);

	if (status != EMUL_DONE)
		return status;
	return x->ctx->ops->port_out(x->ctx, (uint16_t)x->regs.gpr[GPR_RDX], x->insn.op_size, (uint32_t)v);
}

static enum emul_status one_iteration(struct exec *x)
{
	switch (x->insn.op) {
	case OP_MOVS:
		return movs(x);
	case OP_CMPS:
		return cmps(x);
	case OP_STOS:
		return stos(x);
	case OP_LODS:
		return lods(x);
	case OP_SCAS:
		return scas(x);
	case OP_INS:
		return ins(x);
	default:
		return outs(x);
	}
}

/* repe and repne end early when ZF says so; for the others both mean rep. */
static bool condition_ends(const struct exec *x)
{
	bool equal = x->regs.rflags & X86_EFLAGS_ZF;

	if (x->insn.op != OP_CMPS && x->insn.op != OP_SCAS)
		return false;
	return x->insn.rep == REP_E ? !equal : equal;
}

/* One iteration and its count. *more: there is another to do. */
static enum emul_status counted_iteration(struct exec *x, bool *more)
{
	enum emul_status status = one_iteration(x);
	uint64_t count;

	if (status != EMUL_DONE)
		return status;
	count = addr_reg(x, GPR_RCX) - 1;
	reg_write(x, GPR_RCX, x->insn.addr_size, count);
	*more = count != 0 && !condition_ends(x);
	return EMUL_DONE;
}

static enum emul_status repeat(struct exec *x)
{
	/* With TF there is a trap after every iteration. */
	bool traced = x->regs.rflags & X86_EFLAGS_TF;
	bool more = true;

	if (addr_reg(x, GPR_RCX) == 0)
		return EMUL_DONE;
	for (unsigned int i = 0; i < EMUL_REP_MAX && more; i++) {
		enum emul_status status = counted_iteration(x, &more);

		if (status == EMUL_UNKNOWN && i > 0)
			break; /* not to be undone: the next call says so at its start */
		if (status != EMUL_DONE)
			return status;
		x->ctx->regs = x->regs;
		if (traced || x->ctx->one_iteration)
			break;
	}
	x->ctx->rep_unfinished = more;
	return EMUL_DONE;
}

enum emul_status exec_string(struct exec *x)
{
	enum emul_op op = x->insn.op;
	enum emul_status status = EMUL_DONE;

	if (op == OP_INS || op == OP_OUTS)
		status = check_ports(x, (uint16_t)x->regs.gpr[GPR_RDX], x->insn.op_size);
	if (status != EMUL_DONE)
		return status;
	return x->insn.rep == REP_NONE ? one_iteration(x) : repeat(x);
}

static uint16_t port_number(const struct exec *x, enum operand_kind kind)
{
	return kind == OPD_IMM ? (uint8_t)x->insn.imm : (uint16_t)x->regs.gpr[GPR_RDX];
}

enum emul_status exec_in(struct exec *x)
{
	unsigned int size = x->insn.op_size;
	uint16_t port = port_number(x, x->insn.src);
	enum emul_status status = check_ports(x, port, size);
	uint32_t v;

	if (status == EMUL_DONE)
		status = x->ctx->ops->port_in(x->ctx, port, size, &v);
	if (status == EMUL_DONE)
		reg_write(x, GPR_RAX, size, v);
	return status;
}

enum emul_status exec_out(struct exec *x)
{
	unsigned int size = x->insn.op_size;
	uint16_t port = port_number(x, x->insn.dst);
	enum emul_status status = check_ports(x, port, size);

	if (status != EMUL_DONE)
		return status;
	return x->ctx->ops->port_out(x->ctx, port, size, (uint32_t)reg_read(x, GPR_RAX, size));
}
