// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moves between vector registers and memory. The registers are the CPU's own
 * and reached by ops; which of their bytes change is decided here.
 */
#include <string.h>
#include "emulate/exec.h"
#include "emulate/segment.h"

#define XCR0_SSE_AND_AVX 6u

static bool is_vex(const struct insn *i) { return i->vector_len != 0; }

static bool vex_is_enabled(const struct emul_ctxt *ctx)
{
	if (emul_is_real(ctx) || emul_is_v86(ctx))
		return false;
	return (ctx->cr4 & X86_CR4_OSXSAVE) && (ctx->xcr0 & XCR0_SSE_AND_AVX) == XCR0_SSE_AND_AVX;
}

static bool sse_is_enabled(const struct emul_ctxt *ctx)
{
	return !(ctx->cr0 & X86_CR0_EM) && (ctx->cr4 & X86_CR4_OSFXSR);
}

static enum emul_status may_be_used(struct exec *x)
{
	struct emul_ctxt *ctx = x->ctx;

	if (!ctx->ops->read_vector || !ctx->ops->write_vector)
		return EMUL_UNKNOWN;
	if (is_vex(&x->insn) ? !vex_is_enabled(ctx) : !sse_is_enabled(ctx))
		return raise_fault(x, EXC_UD);
	return ctx->cr0 & X86_CR0_TS ? raise_fault(x, EXC_NM) : EMUL_DONE;
}

static enum emul_status locate(struct exec *x, enum access access, gva_t *addr)
{
	enum emul_status status = may_be_used(x);

	if (status == EMUL_DONE)
		status = linear_operand(x, x->insn.mem_size, x->insn.mem_size, access, addr);
	if (status == EMUL_DONE && x->insn.is_aligned && addr->v % x->insn.mem_size != 0)
		return raise_fault_code(x, EXC_GP, 0);
	return status;
}

/* SSE leaves what is above the 16 bytes; VEX clears it. */
static void write_vector(struct exec *x, const uint8_t bytes[32])
{
	x->ctx->ops->write_vector(x->ctx, x->insn.reg, bytes, is_vex(&x->insn) ? 32 : 16);
}

static enum emul_status load(struct exec *x, uint8_t *dst)
{
	gva_t addr;
	enum emul_status status = locate(x, ACCESS_READ, &addr);

	return status == EMUL_DONE ? x->ctx->ops->read(x->ctx, addr, dst, x->insn.mem_size) : status;
}

enum emul_status exec_vector_load(struct exec *x)
{
	uint8_t bytes[32] = { 0 };
	enum emul_status status = load(x, bytes);

	if (status == EMUL_DONE)
		write_vector(x, bytes);
	return status;
}

/* movlps, movhps and the like: one half is loaded, the other comes from the
 * register or, with VEX, from a second one. */
enum emul_status exec_vector_load_half(struct exec *x)
{
	const struct insn *i = &x->insn;
	unsigned int at = i->op == OP_VECTOR_LOAD_HIGH ? 8 : 0;
	uint8_t half[8], bytes[32] = { 0 };
	enum emul_status status = load(x, half);

	if (status != EMUL_DONE)
		return status;
	x->ctx->ops->read_vector(x->ctx, is_vex(i) ? i->vvvv : i->reg, bytes, 16);
	memcpy(bytes + at, half, sizeof(half));
	write_vector(x, bytes);
	return EMUL_DONE;
}

enum emul_status exec_vector_store(struct exec *x)
{
	const struct insn *i = &x->insn;
	unsigned int from = i->op == OP_VECTOR_STORE_HIGH ? 8 : 0;
	enum emul_status status;
	uint8_t bytes[32];
	gva_t addr;

	status = locate(x, ACCESS_WRITE, &addr);
	if (status != EMUL_DONE)
		return status;
	x->ctx->ops->read_vector(x->ctx, i->reg, bytes, i->mem_size > 16 ? 32 : 16);
	return x->ctx->ops->write(x->ctx, addr, bytes + from, i->mem_size);
}
