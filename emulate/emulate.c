// SPDX-License-Identifier: GPL-2.0-only
/*
 * One instruction: fetch, decode, execute, commit.
 *
 * Invariant: ctx->regs changes only when a handler has finished, or a whole
 * iteration of a repeated string instruction has.
 */
#include "emulate/exec.h"

static const exec_fn handlers[OP_COUNT] = {
	[OP_ADD ... OP_XOR] = exec_modify,
	[OP_CMP ... OP_TEST] = exec_compare,
	[OP_ROL ... OP_NOT] = exec_modify,
	[OP_BT] = exec_compare,
	[OP_BTS ... OP_XADD] = exec_modify,
	[OP_CMPXCHG_PAIR] = exec_cmpxchg_pair,
	[OP_IMUL] = exec_imul,
	[OP_MUL_ACC ... OP_IMUL_ACC] = exec_multiply_acc,
	[OP_MOV] = exec_mov,
	[OP_MOV_FROM_SREG] = exec_mov_from_sreg,
	[OP_MOVZX] = exec_movzx,
	[OP_MOVSX] = exec_movsx,
	[OP_MOVBE] = exec_movbe,
	[OP_XLAT] = exec_xlat,
	[OP_SETCC] = exec_setcc,
	[OP_CMOVCC] = exec_cmovcc,
	[OP_PUSH] = exec_push,
	[OP_POP] = exec_pop,
	[OP_PUSHF] = exec_pushf,
	[OP_PUSHA] = exec_pusha,
	[OP_POPA] = exec_popa,
	[OP_CALL_REL] = exec_call_rel,
	[OP_CALL] = exec_call,
	[OP_JMP] = exec_jmp,
	[OP_RET] = exec_ret,
	[OP_ENTER] = exec_enter,
	[OP_LEAVE] = exec_leave,
	[OP_MOVS ... OP_OUTS] = exec_string,
	[OP_IN] = exec_in,
	[OP_OUT] = exec_out,
};

/* Bytes of code from rip to the end of CS, at most @want; 0 is past the end. */
static unsigned int code_left(struct exec *x, unsigned int want, gva_t *base)
{
	struct segment cs;
	uint64_t left;

	*base = gva(0);
	if (x->ctx->mode == EMUL_MODE_64)
		return want;
	x->ctx->ops->segment(x->ctx, SEG_CS, &cs);
	*base = gva(cs.base);
	if (x->regs.rip > cs.limit)
		return 0;
	left = (uint64_t)cs.limit - x->regs.rip + 1;
	return left < want ? (unsigned int)left : want;
}

/* Get more of the instruction than the @have bytes that ctx->insn has. */
static enum emul_status fetch_more(struct exec *x, unsigned int *have)
{
	gva_t base;
	unsigned int left = code_left(x, EMUL_INSN_MAX, &base), got = 0;
	uint64_t addr = base.v + x->regs.rip + *have;
	enum emul_status status;

	/* Longer than 15 bytes, or beyond the limit of CS. */
	if (left <= *have)
		return raise_fault_code(x, EXC_GP, 0);
	if (x->ctx->mode != EMUL_MODE_64)
		addr &= 0xffffffff;
	status = x->ctx->ops->fetch(x->ctx, gva(addr), x->ctx->insn + *have, left - *have, &got);
	if (status == EMUL_DONE && got == 0)
		return EMUL_UNKNOWN;
	*have += got;
	return status;
}

/* The second part of an instruction that crosses a page is fetched only when
 * the first does not suffice: it may not be there. */
static enum emul_status fetch_and_decode(struct exec *x)
{
	enum decode_result result = DECODE_SHORT;
	enum emul_status status;
	unsigned int have = 0;

	while (result == DECODE_SHORT) {
		status = fetch_more(x, &have);
		if (status != EMUL_DONE)
			return status;
		result = decode_insn(&x->insn, x->ctx->mode, x->ctx->insn, have);
	}
	x->ctx->insn_len = x->insn.len;
	if (result == DECODE_INVALID)
		return raise_fault(x, EXC_UD);
	return result == DECODE_OK ? EMUL_DONE : EMUL_UNKNOWN;
}

static void commit(struct exec *x)
{
	if (!x->ctx->rep_unfinished) {
		x->regs.rip += x->insn.len;
		if (x->ctx->mode != EMUL_MODE_64)
			x->regs.rip &= 0xffffffff;
		x->regs.rflags &= ~(uint64_t)X86_EFLAGS_RF;
		x->ctx->regs = x->regs;
	}
}

enum emul_status emul_step(struct emul_ctxt *ctx)
{
	struct exec x = { .ctx = ctx, .regs = ctx->regs };
	enum emul_status status;

	ctx->insn_len = 0;
	ctx->rep_unfinished = false;
	status = fetch_and_decode(&x);
	if (status != EMUL_DONE)
		return status;
	status = handlers[x.insn.op](&x);
	if (status == EMUL_DONE)
		commit(&x);
	return status;
}
