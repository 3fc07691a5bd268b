// SPDX-License-Identifier: GPL-2.0-only
/*
 * Instructions that use the stack, and near control transfers through memory.
 *
 * Invariant: rsp changes only in the copy of the registers, so that an access
 * that faults leaves it alone. What one instruction pushes goes to memory in
 * one write.
 */
#include <string.h>
#include "emulate/exec.h"

#define CR4_CET (1ull << 23)
#define RFLAGS_NOT_PUSHED (X86_EFLAGS_RF | X86_EFLAGS_VM)

/* Width of the stack pointer. */
static unsigned int stack_size(struct exec *x)
{
	struct segment s;

	if (x->ctx->mode == EMUL_MODE_64)
		return 8;
	x->ctx->ops->segment(x->ctx, SEG_SS, &s);
	return s.access & SEGMENT_DB ? 4 : 2;
}

/* Reserve @len bytes below the stack pointer and write them there. */
static enum emul_status push_bytes(struct exec *x, const void *bytes, unsigned int len)
{
	unsigned int width = stack_size(x);
	uint64_t sp = (x->regs.gpr[GPR_RSP] - len) & size_mask(width);
	enum emul_status status;
	gva_t addr;

	status = linear(x, SEG_SS, sp, len, ACCESS_WRITE, &addr);
	if (status == EMUL_DONE)
		status = x->ctx->ops->write(x->ctx, addr, bytes, len);
	if (status == EMUL_DONE)
		reg_write(x, GPR_RSP, width, sp);
	return status;
}

static enum emul_status push(struct exec *x, uint64_t v)
{
	return push_bytes(x, &v, x->insn.op_size);
}

static enum emul_status pop_bytes(struct exec *x, void *bytes, unsigned int len)
{
	unsigned int width = stack_size(x);
	uint64_t sp = x->regs.gpr[GPR_RSP] & size_mask(width);
	enum emul_status status;
	gva_t addr;

	status = linear(x, SEG_SS, sp, len, ACCESS_READ, &addr);
	if (status == EMUL_DONE)
		status = x->ctx->ops->read(x->ctx, addr, bytes, len);
	if (status == EMUL_DONE)
		reg_write(x, GPR_RSP, width, sp + len);
	return status;
}

static enum emul_status pop(struct exec *x, uint64_t *v)
{
	*v = 0;
	return pop_bytes(x, v, x->insn.op_size);
}

enum emul_status exec_push(struct exec *x)
{
	enum emul_status status;
	uint64_t v;

	status = operand_read(x, x->insn.src, x->insn.op_size, &v);
	return status == EMUL_DONE ? push(x, v) : status;
}

/* An address that uses rsp sees it already incremented. */
enum emul_status exec_pop(struct exec *x)
{
	enum emul_status status;
	uint64_t v;

	status = pop(x, &v);
	return status == EMUL_DONE ? operand_write(x, x->insn.dst, x->insn.op_size, v) : status;
}

/* In virtual-8086 mode it depends on IOPL. */
enum emul_status exec_pushf(struct exec *x)
{
	if (x->regs.rflags & X86_EFLAGS_VM)
		return EMUL_UNKNOWN;
	return push(x, x->regs.rflags & ~(uint64_t)RFLAGS_NOT_PUSHED);
}

/* rAX is at the highest address, rDI at the lowest. */
enum emul_status exec_pusha(struct exec *x)
{
	unsigned int size = x->insn.op_size;
	uint8_t bytes[8 * 4];

	for (unsigned int reg = 0; reg < 8; reg++)
		memcpy(bytes + (7 - reg) * size, &x->regs.gpr[reg], size);
	return push_bytes(x, bytes, 8 * size);
}

enum emul_status exec_popa(struct exec *x)
{
	unsigned int size = x->insn.op_size;
	enum emul_status status;
	uint8_t bytes[8 * 4];

	status = pop_bytes(x, bytes, 8 * size);
	if (status != EMUL_DONE)
		return status;
	for (unsigned int reg = 0; reg < 8; reg++) {
		uint64_t v = 0;

		memcpy(&v, bytes + (7 - reg) * size, size);
		if (reg != GPR_RSP)
			reg_write(x, reg, size, v);
	}
	return EMUL_DONE;
}

/* A transfer to @target would succeed? emul_step() adds the length of the
 * instruction to rip: subtract it here. */
static enum emul_status jump(struct exec *x, uint64_t target)
{
	enum emul_status status;
	gva_t unused_addr;
	struct segment cs;

	target &= size_mask(x->insn.op_size);
	if (x->ctx->mode == EMUL_MODE_64) {
		status = linear(x, SEG_CS, target, 1, ACCESS_READ, &unused_addr);
		if (status != EMUL_DONE)
			return status;
	} else {
		x->ctx->ops->segment(x->ctx, SEG_CS, &cs);
		if (target > cs.limit)
			return raise_fault_code(x, EXC_GP, 0);
	}
	x->regs.rip = target - x->insn.len;
	return EMUL_DONE;
}

/* With control-flow enforcement there may be a shadow stack and a branch tracker. */
static bool transfers_are_plain(const struct exec *x) { return !(x->ctx->cr4 & CR4_CET); }

static enum emul_status call(struct exec *x, uint64_t target)
{
	uint64_t return_to = x->regs.rip + x->insn.len;
	enum emul_status status = jump(x, target);

	return status == EMUL_DONE ? push(x, return_to) : status;
}

enum emul_status exec_call_rel(struct exec *x)
{
	if (!transfers_are_plain(x))
		return EMUL_UNKNOWN;
	return call(x, x->regs.rip + x->insn.len + x->insn.imm);
}

enum emul_status exec_call(struct exec *x)
{
	enum emul_status status;
	uint64_t target;

	if (!transfers_are_plain(x))
		return EMUL_UNKNOWN;
	status = operand_read(x, OPD_RM, x->insn.op_size, &target);
	return status == EMUL_DONE ? call(x, target) : status;
}

enum emul_status exec_jmp(struct exec *x)
{
	enum emul_status status;
	uint64_t target;

	if (!transfers_are_plain(x))
		return EMUL_UNKNOWN;
	status = operand_read(x, OPD_RM, x->insn.op_size, &target);
	return status == EMUL_DONE ? jump(x, target) : status;
}

enum emul_status exec_ret(struct exec *x)
{
	unsigned int width = stack_size(x);
	enum emul_status status;
	uint64_t target;

	if (!transfers_are_plain(x))
		return EMUL_UNKNOWN;
	status = pop(x, &target);
	if (status == EMUL_DONE)
		status = jump(x, target);
	if (status == EMUL_DONE)
		reg_write(x, GPR_RSP, width, x->regs.gpr[GPR_RSP] + x->insn.imm);
	return status;
}

/* What enter pushes: rbp; with nesting level 1 the new frame pointer too.
 * Deeper nesting copies frame pointers and is left to the processor, and so is
 * an operand narrower than the stack pointer, on which vendors differ. */
enum emul_status exec_enter(struct exec *x)
{
	unsigned int size = x->insn.op_size, level = x->insn.imm2 & 31;
	unsigned int width = stack_size(x), len = size * (1 + level);
	uint64_t frame = (x->regs.gpr[GPR_RSP] - size) & size_mask(width);
	enum emul_status status;
	uint8_t bytes[16];
	uint64_t sp;
	gva_t addr;

	if (level > 1 || size != width)
		return EMUL_UNKNOWN;
	memcpy(bytes + level * size, &x->regs.gpr[GPR_RBP], size);
	if (level == 1)
		memcpy(bytes, &frame, size);
	/* It faults if the new top of the stack cannot be written. */
	sp = (x->regs.gpr[GPR_RSP] - len - x->insn.imm) & size_mask(width);
	status = linear(x, SEG_SS, sp, size, ACCESS_WRITE, &addr);
	if (status == EMUL_DONE)
		status = x->ctx->ops->probe_write(x->ctx, addr, size);
	if (status == EMUL_DONE)
		status = push_bytes(x, bytes, len);
	if (status != EMUL_DONE)
		return status;
	reg_write(x, GPR_RSP, width, sp);
	reg_write(x, GPR_RBP, width, frame);
	return EMUL_DONE;
}

enum emul_status exec_leave(struct exec *x)
{
	unsigned int width = stack_size(x);
	enum emul_status status;
	uint64_t frame;

	reg_write(x, GPR_RSP, width, x->regs.gpr[GPR_RBP]);
	status = pop(x, &frame);
	if (status == EMUL_DONE)
		reg_write(x, GPR_RBP, x->insn.op_size, frame);
	return status;
}
