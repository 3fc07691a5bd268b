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
	[OP_DIV ... OP_IDIV] = exec_divide,
	[OP_BSF ... OP_POPCNT] = exec_bit_scan,
	[OP_BSWAP] = exec_bswap,
	[OP_CBW] = exec_cbw,
	[OP_CWD] = exec_cwd,
	[OP_DAA ... OP_AAD] = exec_decimal,
	[OP_LAHF] = exec_lahf,
	[OP_SAHF] = exec_sahf,
	[OP_CLC ... OP_STD] = exec_flag,
	[OP_SALC] = exec_salc,
	[OP_BOUND] = exec_bound,
	[OP_UD] = exec_ud,
	[OP_NOP] = exec_nop,
	[OP_MOV] = exec_mov,
	[OP_MOVZX] = exec_movzx,
	[OP_MOVSX] = exec_movsx,
	[OP_MOVBE] = exec_movbe,
	[OP_LEA] = exec_lea,
	[OP_XLAT] = exec_xlat,
	[OP_SETCC] = exec_setcc,
	[OP_CMOVCC] = exec_cmovcc,
	[OP_PUSH] = exec_push,
	[OP_POP] = exec_pop,
	[OP_PUSHF] = exec_pushf,
	[OP_POPF] = exec_popf,
	[OP_PUSHA] = exec_pusha,
	[OP_POPA] = exec_popa,
	[OP_ENTER] = exec_enter,
	[OP_LEAVE] = exec_leave,
	[OP_CALL_REL] = exec_call_rel,
	[OP_CALL] = exec_call,
	[OP_JMP_REL] = exec_jmp_rel,
	[OP_JMP] = exec_jmp,
	[OP_RET] = exec_ret,
	[OP_JCC] = exec_jcc,
	[OP_JCXZ ... OP_LOOPNE] = exec_loop,
	[OP_MOVS ... OP_OUTS] = exec_string,
	[OP_IN] = exec_in,
	[OP_OUT] = exec_out,
	[OP_VECTOR_LOAD] = exec_vector_load,
	[OP_VECTOR_LOAD_LOW ... OP_VECTOR_LOAD_HIGH] = exec_vector_load_half,
	[OP_VECTOR_STORE ... OP_VECTOR_STORE_HIGH] = exec_vector_store,
	[OP_MOV_FROM_SREG] = exec_mov_from_sreg,
	[OP_PUSH_SREG] = exec_push_sreg,
	[OP_MOV_TO_SREG] = exec_mov_to_sreg,
	[OP_POP_SREG] = exec_pop_sreg,
	[OP_LOAD_POINTER] = exec_load_pointer,
	[OP_ARPL] = exec_arpl,
	[OP_VERR ... OP_VERW] = exec_verify,
	[OP_LAR ... OP_LSL] = exec_load_rights,
	[OP_JMP_FAR ... OP_CALL_FAR] = exec_far,
	[OP_RET_FAR] = exec_ret_far,
	[OP_IRET] = exec_iret,
	[OP_INT] = exec_int,
	[OP_INT3] = exec_int3,
	[OP_INT1] = exec_int1,
	[OP_INTO] = exec_into,
	[OP_CLI] = exec_cli,
	[OP_STI] = exec_sti,
	[OP_HLT] = exec_hlt,
	[OP_CLTS] = exec_clts,
	[OP_WAIT] = exec_wait,
	[OP_LGDT ... OP_LIDT] = exec_load_table,
	[OP_SGDT ... OP_SIDT] = exec_store_table,
	[OP_LLDT ... OP_LTR] = exec_load_system_segment,
	[OP_SLDT ... OP_STR] = exec_store_system_segment,
	[OP_LMSW] = exec_lmsw,
	[OP_SMSW] = exec_smsw,
	[OP_MOV_FROM_CR] = exec_mov_from_cr,
	[OP_MOV_TO_CR] = exec_mov_to_cr,
	[OP_MOV_FROM_DR] = exec_mov_from_dr,
	[OP_MOV_TO_DR] = exec_mov_to_dr,
	[OP_RDMSR] = exec_rdmsr,
	[OP_WRMSR] = exec_wrmsr,
	[OP_XCR] = exec_xcr,
	[OP_RDTSC] = exec_rdtsc,
	[OP_RDPMC] = exec_rdpmc,
	[OP_CPUID] = exec_cpuid,
	[OP_INVLPG] = exec_invlpg,
	[OP_WBINVD] = exec_nop,
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
	if (x->ctx->ops->fetched) {
		status = x->ctx->ops->fetched(x->ctx);
		if (status != EMUL_DONE || x->ctx->skip_insn)
			return status;
	}
	if (result == DECODE_INVALID)
		return raise_fault(x, EXC_UD);
	return result == DECODE_OK ? EMUL_DONE : EMUL_UNKNOWN;
}

/* Done twice for each instruction: one by one, where a compiler that may not
 * use vectors would take a string instruction. */
static void copy_regs(struct cpu_regs *to, const struct cpu_regs *from)
{
#pragma GCC unroll 16
	for (unsigned int i = 0; i < GPR_COUNT; i++)
		to->gpr[i] = from->gpr[i];
	to->rip = from->rip;
	to->rflags = from->rflags;
}

static uint64_t rip_after(const struct exec *x)
{
	uint64_t rip = x->regs.rip + x->insn.len;

	return x->ctx->mode == EMUL_MODE_64 ? rip : (uint32_t)rip;
}

static void commit(struct exec *x)
{
	if (x->ctx->rep_unfinished)
		return;
	x->regs.rip = x->next_rip;
	if (!x->keeps_rf)
		x->regs.rflags &= ~(uint64_t)X86_EFLAGS_RF;
	copy_regs(&x->ctx->regs, &x->regs);
}

/* Privileged state is not reached in long mode, and not without its ops. */
static enum emul_status may_be_executed(struct exec *x)
{
	if (!x->ctx->system || x->ctx->long_mode)
		return EMUL_UNKNOWN;
	if (x->insn.is_privileged && x->ctx->cpl != 0)
		return raise_fault_code(x, EXC_GP, 0);
	return EMUL_DONE;
}

static void clear_outputs(struct emul_ctxt *ctx)
{
	ctx->insn_len = 0;
	ctx->skip_insn = false;
	ctx->rep_unfinished = false;
	ctx->halted = false;
	ctx->interrupt_shadow = false;
	ctx->trap_held = false;
	ctx->nmi_unblocked = false;
	ctx->task_switched = false;
	ctx->debug_trap = 0;
}

enum emul_status emul_step(struct emul_ctxt *ctx)
{
	enum emul_status status;
	struct exec x; /* insn is the decoder's, next_rip set below */

	x.ctx = ctx;
	copy_regs(&x.regs, &ctx->regs);
	x.keeps_rf = false;
	clear_outputs(ctx);
	status = fetch_and_decode(&x);
	if (status != EMUL_DONE)
		return status;
	x.next_rip = rip_after(&x);
	if (x.insn.is_system && !ctx->skip_insn)
		status = may_be_executed(&x);
	if (status == EMUL_DONE && !ctx->skip_insn)
		status = handlers[x.insn.op](&x);
	if (status == EMUL_DONE)
		commit(&x);
	return status;
}
