// SPDX-License-Identifier: GPL-2.0-only
/*
 * Instructions that use the stack.
 *
 * Invariant: rsp changes only in the copy of the registers, so that an access
 * that faults leaves it alone. What one instruction pushes goes to memory in
 * one write, but where the stack pointer wraps around in between.
 */
#include <string.h>
#include "emulate/exec.h"
#include "emulate/segment.h"

#define RFLAGS_NOT_PUSHED (X86_EFLAGS_RF | X86_EFLAGS_VM)

unsigned int rsp_width(struct exec *x)
{
	struct segment s;

	if (x->ctx->mode == EMUL_MODE_64)
		return 8;
	x->ctx->ops->segment(x->ctx, SEG_SS, &s);
	return s.access & SEGMENT_DB ? 4 : 2;
}

/* How many of @len bytes at @sp lie below where the stack pointer wraps. An
 * element is never divided: it goes beyond the limit of a segment. */
static unsigned int before_wrap(uint64_t sp, unsigned int width, unsigned int len, unsigned int element)
{
	uint64_t last = size_mask(width) - sp;

	if (last >= len - 1 || (last + 1) % element != 0)
		return len;
	return (unsigned int)last + 1;
}

static enum emul_status probe_at(struct exec *x, uint64_t sp, unsigned int len, unsigned int element)
{
	gva_t addr;
	enum emul_status status = linear(x, SEG_SS, sp, len, element, ACCESS_WRITE, &addr);

	return status == EMUL_DONE ? x->ctx->ops->probe_write(x->ctx, addr, len) : status;
}

static enum emul_status write_at(struct exec *x, uint64_t sp, const uint8_t *bytes, unsigned int len,
				 unsigned int element)
{
	gva_t addr;
	enum emul_status status = linear(x, SEG_SS, sp, len, element, ACCESS_WRITE, &addr);

	return status == EMUL_DONE ? x->ctx->ops->write(x->ctx, addr, bytes, len) : status;
}

static enum emul_status write_wrapped(struct exec *x, uint64_t sp, const uint8_t *bytes, unsigned int first,
					    unsigned int rest, unsigned int element)
{
	enum emul_status status = probe_at(x, sp, first, element);

	if (status == EMUL_DONE)
		status = probe_at(x, 0, rest, element);
	if (status == EMUL_DONE)
		status = write_at(x, 0, bytes + first, rest, element);
	if (status == EMUL_DONE)
		status = write_at(x, sp, bytes, first, element);
	return status;
}

enum emul_status rsp_push(struct exec *x, const void *bytes, unsigned int len, unsigned int element)
{
	unsigned int width = rsp_width(x);
	uint64_t sp = (x->regs.gpr[GPR_RSP] - len) & size_mask(width);
	unsigned int first = before_wrap(sp, width, len, element);
	enum emul_status status;

	if (first < len)
		status = write_wrapped(x, sp, bytes, first, len - first, element);
	else
		status = write_at(x, sp, bytes, len, element);
	if (status == EMUL_DONE)
		reg_write(x, GPR_RSP, width, sp);
	return status;
}

static enum emul_status read_at(struct exec *x, uint64_t sp, void *bytes, unsigned int len,
				unsigned int element)
{
	gva_t addr;
	enum emul_status status = linear(x, SEG_SS, sp, len, element, ACCESS_READ, &addr);

	return status == EMUL_DONE ? x->ctx->ops->read(x->ctx, addr, bytes, len) : status;
}

enum emul_status rsp_read(struct exec *x, unsigned int offset, void *bytes, unsigned int len,
			    unsigned int element)
{
	unsigned int width = rsp_width(x);
	uint64_t sp = (x->regs.gpr[GPR_RSP] + offset) & size_mask(width);
	unsigned int first = before_wrap(sp, width, len, element);
	enum emul_status status = read_at(x, sp, bytes, first, element);

	if (status == EMUL_DONE && first < len)
		status = read_at(x, 0, (uint8_t *)bytes + first, len - first, element);
	return status;
}

void rsp_release(struct exec *x, uint64_t bytes)
{
	unsigned int width = rsp_width(x);

	reg_write(x, GPR_RSP, width, x->regs.gpr[GPR_RSP] + bytes);
}

static enum emul_status push(struct exec *x, uint64_t v)
{
	return rsp_push(x, &v, x->insn.op_size, x->insn.op_size);
}

static enum emul_status pop(struct exec *x, uint64_t *v)
{
	enum emul_status status;

	*v = 0;
	status = rsp_read(x, 0, v, x->insn.op_size, x->insn.op_size);
	if (status == EMUL_DONE)
		rsp_release(x, x->insn.op_size);
	return status;
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

enum emul_status exec_push_sreg(struct exec *x)
{
	struct segment s;

	x->ctx->ops->segment(x->ctx, insn_sreg(&x->insn), &s);
	return push(x, s.selector);
}

/* Without privileged state in reach it is left to the processor. */
enum emul_status v86_needs_iopl(struct exec *x)
{
	if (!emul_is_v86(x->ctx) || insn_iopl(x) == 3)
		return EMUL_DONE;
	if (!x->ctx->system)
		return EMUL_UNKNOWN;
	if (has_virtual_if(x) && x->insn.op_size == 2)
		return EMUL_DONE;
	return raise_fault_code(x, EXC_GP, 0);
}

bool has_virtual_if(const struct exec *x)
{
	uint64_t enabled = x->ctx->cr4 & (emul_is_v86(x->ctx) ? X86_CR4_VME : X86_CR4_PVI);

	return enabled && x->ctx->cpl == 3 && insn_iopl(x) < 3;
}

static bool v86_has_virtual_if(const struct exec *x) { return emul_is_v86(x->ctx) && has_virtual_if(x); }

bool v86_may_load(const struct exec *x, uint64_t flags)
{
	bool waits = (flags & X86_EFLAGS_IF) && (x->regs.rflags & X86_EFLAGS_VIP);

	return !v86_has_virtual_if(x) || !(waits || flags & X86_EFLAGS_TF);
}

void load_virtual_if(struct exec *x, bool set)
{
	if (!v86_has_virtual_if(x))
		return;
	x->regs.rflags &= ~(uint64_t)X86_EFLAGS_VIF;
	if (set)
		x->regs.rflags |= X86_EFLAGS_VIF;
}

static uint64_t visible_flags(const struct exec *x)
{
	uint64_t flags = v86_has_virtual_if(x) ? emul_v86_flags(x->ctx) : x->regs.rflags;

	return flags & ~(uint64_t)RFLAGS_NOT_PUSHED;
}

enum emul_status exec_pushf(struct exec *x)
{
	enum emul_status status = v86_needs_iopl(x);

	return status == EMUL_DONE ? push(x, visible_flags(x)) : status;
}

uint64_t loadable_flags(const struct exec *x)
{
	uint64_t mask = STATUS_FLAGS | X86_EFLAGS_TF | X86_EFLAGS_DF | X86_EFLAGS_NT;

	if (x->insn.op_size > 2)
		mask |= X86_EFLAGS_AC | X86_EFLAGS_ID;
	if (x->ctx->cpl <= insn_iopl(x))
		mask |= X86_EFLAGS_IF;
	if (x->ctx->cpl == 0)
		mask |= X86_EFLAGS_IOPL;
	return mask;
}

enum emul_status exec_popf(struct exec *x)
{
	enum emul_status status = v86_needs_iopl(x);
	uint64_t v, mask = loadable_flags(x);

	if (status == EMUL_DONE)
		status = pop(x, &v);
	if (status != EMUL_DONE)
		return status;
	if (!v86_may_load(x, v))
		return raise_fault_code(x, EXC_GP, 0);
	x->regs.rflags = (x->regs.rflags & ~mask) | (v & mask);
	load_virtual_if(x, v & X86_EFLAGS_IF);
	return EMUL_DONE;
}

/* rAX is at the highest address, rDI at the lowest. */
enum emul_status exec_pusha(struct exec *x)
{
	unsigned int size = x->insn.op_size;
	uint8_t bytes[8 * 4];

	for (unsigned int reg = 0; reg < 8; reg++)
		memcpy(bytes + (7 - reg) * size, &x->regs.gpr[reg], size);
	return rsp_push(x, bytes, 8 * size, size);
}

enum emul_status exec_popa(struct exec *x)
{
	unsigned int size = x->insn.op_size;
	enum emul_status status;
	uint8_t bytes[8 * 4];

	status = rsp_read(x, 0, bytes, 8 * size, size);
	if (status != EMUL_DONE)
		return status;
	rsp_release(x, 8 * size);
	for (unsigned int reg = 0; reg < 8; reg++) {
		uint64_t v = 0;

		memcpy(&v, bytes + (7 - reg) * size, size);
		if (reg != GPR_RSP)
			reg_write(x, reg, size, v);
	}
	return EMUL_DONE;
}

/* Nested frames: the frame pointers of the outer @level - 1, from below rBP.
 * Of a frame below the stack pointer each processor makes something else. */
static enum emul_status read_display(struct exec *x, uint8_t *bytes, unsigned int level, unsigned int width)
{
	unsigned int size = x->insn.op_size;
	enum emul_status status = EMUL_DONE;

	for (unsigned int i = 1; i < level && status == EMUL_DONE; i++) {
		uint64_t at = (x->regs.gpr[GPR_RBP] - (uint64_t)i * size) & size_mask(width);

		status = read_at(x, at, bytes + (level - i) * size, size, size);
	}
	return status;
}

/* CPUs push one item after the other: CR2 is that of the first which cannot be. */
static enum emul_status push_frame(struct exec *x, const uint8_t *bytes, unsigned int len, unsigned int width)
{
	unsigned int size = x->insn.op_size;
	enum emul_status status = EMUL_DONE;

	for (unsigned int at = size; at <= len && status == EMUL_DONE; at += size)
		status = probe_at(x, (x->regs.gpr[GPR_RSP] - at) & size_mask(width), size, size);
	return status == EMUL_DONE ? rsp_push(x, bytes, len, size) : status;
}

/* rBP, the outer frame pointers, and the new frame pointer, downwards. In
 * 64-bit mode vendors differ on an operand narrower than the stack pointer. */
enum emul_status exec_enter(struct exec *x)
{
	unsigned int size = x->insn.op_size, level = x->insn.imm2 & 31, width = rsp_width(x);
	uint64_t rsp = x->regs.gpr[GPR_RSP];
	uint64_t frame = width == 2 ? (rsp & ~0xffffull) | ((rsp - size) & 0xffff) : rsp - size;
	uint8_t bytes[32 * 8];
	enum emul_status status;
	uint64_t sp;

	if (x->ctx->mode == EMUL_MODE_64 && size != width)
		return EMUL_UNKNOWN;
	memcpy(bytes + level * size, &x->regs.gpr[GPR_RBP], size);
	if (level)
		memcpy(bytes, &frame, size);
	status = read_display(x, bytes, level, width);
	/* It faults if the new top of the stack cannot be written. */
	sp = (rsp - (1 + level) * size - x->insn.imm) & size_mask(width);
	if (status == EMUL_DONE)
		status = probe_at(x, sp, size, size);
	if (status == EMUL_DONE)
		status = push_frame(x, bytes, (1 + level) * size, width);
	if (status != EMUL_DONE)
		return status;
	reg_write(x, GPR_RSP, width, sp);
	reg_write(x, GPR_RBP, size, frame);
	return EMUL_DONE;
}

enum emul_status exec_leave(struct exec *x)
{
	unsigned int width = rsp_width(x);
	enum emul_status status;
	uint64_t frame;

	reg_write(x, GPR_RSP, width, x->regs.gpr[GPR_RBP]);
	status = pop(x, &frame);
	if (status == EMUL_DONE)
		reg_write(x, GPR_RBP, x->insn.op_size, frame);
	return status;
}
