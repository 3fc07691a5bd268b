// SPDX-License-Identifier: GPL-2.0-only
/*
 * Instructions on the CPU's own state: IF, control and debug registers,
 * descriptor tables, MSRs and the like. Outside long mode only. What a value
 * must look like is checked by emul_system_ops; who may set it, here.
 */
#include <string.h>
#include "emulate/exec.h"
#include "emulate/segment.h"

#define CR4_UMIP (1ull << 11)
#define CR0_LMSW 0xfull /* PE MP EM TS */

#define CPUID_XSAVE 0xdu
#define CPUID_XGETBV_1 (1u << 2) /* EAX of subleaf 1 */

/* emul_ctxt has copies of what set_cr() may change. */
static void refresh_cr(struct exec *x)
{
	x->ctx->cr0 = x->ctx->system->get_cr(x->ctx, 0);
	x->ctx->cr4 = x->ctx->system->get_cr(x->ctx, 4);
}

static enum emul_status set_cr(struct exec *x, unsigned int nr, uint64_t v)
{
	enum emul_status status = x->ctx->system->set_cr(x->ctx, nr, v);

	if (status == EMUL_DONE)
		refresh_cr(x);
	return status;
}

/* ---- interrupts ------------------------------------------------------------------ */

enum emul_status exec_cli(struct exec *x)
{
	bool is_virtual = has_virtual_if(x);

	if (!is_virtual && x->ctx->cpl > insn_iopl(x))
		return raise_fault_code(x, EXC_GP, 0);
	x->regs.rflags &= ~(uint64_t)(is_virtual ? X86_EFLAGS_VIF : X86_EFLAGS_IF);
	return EMUL_DONE;
}

/* The virtual one casts no shadow, and is not set while an interrupt waits. */
static enum emul_status set_virtual_if(struct exec *x)
{
	if (x->regs.rflags & X86_EFLAGS_VIP)
		return raise_fault_code(x, EXC_GP, 0);
	x->regs.rflags |= X86_EFLAGS_VIF;
	return EMUL_DONE;
}

enum emul_status exec_sti(struct exec *x)
{
	if (has_virtual_if(x))
		return set_virtual_if(x);
	if (x->ctx->cpl > insn_iopl(x))
		return raise_fault_code(x, EXC_GP, 0);
	x->ctx->interrupt_shadow = !(x->regs.rflags & X86_EFLAGS_IF);
	x->regs.rflags |= X86_EFLAGS_IF;
	return EMUL_DONE;
}

enum emul_status exec_hlt(struct exec *x)
{
	x->ctx->halted = true;
	return EMUL_DONE;
}

/* Of the FPU's pending exceptions nothing is known here. */
enum emul_status exec_wait(struct exec *x)
{
	const uint64_t both = X86_CR0_MP | X86_CR0_TS;

	return (x->ctx->cr0 & both) == both ? raise_fault(x, EXC_NM) : EMUL_DONE;
}

/* ---- descriptor tables ------------------------------------------------------------- */

static enum emul_status may_be_seen(struct exec *x)
{
	bool hidden = (x->ctx->cr4 & CR4_UMIP) && x->ctx->cpl != 0;

	return hidden ? raise_fault_code(x, EXC_GP, 0) : EMUL_DONE;
}

/* lgdt, lidt: with 16-bit operands the base has 24 bits. */
enum emul_status exec_load_table(struct exec *x)
{
	const struct insn *i = &x->insn;
	struct descriptor_table table;
	enum emul_status status;
	uint64_t v;

	status = operand_read(x, OPD_RM, i->mem_size, &v);
	if (status != EMUL_DONE)
		return status;
	table.limit = (uint16_t)v;
	table.base = v >> 16 & (i->op_size == 2 ? 0xffffff : 0xffffffff);
	x->ctx->system->set_table(x->ctx, i->op == OP_LGDT ? EMUL_GDT : EMUL_IDT, &table);
	return EMUL_DONE;
}

/* sgdt, sidt: processors store all of the base, whatever the operand size. */
enum emul_status exec_store_table(struct exec *x)
{
	const struct insn *i = &x->insn;
	struct descriptor_table table;
	enum emul_status status = may_be_seen(x);
	gva_t addr;

	if (status != EMUL_DONE)
		return status;
	x->ctx->system->get_table(x->ctx, i->op == OP_SGDT ? EMUL_GDT : EMUL_IDT, &table);
	status = linear_operand(x, i->mem_size, 1, ACCESS_WRITE, &addr);
	if (status != EMUL_DONE)
		return status;
	/* The limit is followed by the base, which is to be aligned. */
	if (emul_is_misaligned(x->ctx, x->ctx->cpl, addr.v + 2, 4))
		return raise_fault_code(x, EXC_AC, 0);
	return mem_write(x, addr, i->mem_size, table.base << 16 | table.limit);
}

static bool has_ldt_and_tr(const struct exec *x) { return !emul_is_real(x->ctx) && !emul_is_v86(x->ctx); }

/* lldt, ltr. Outside protected mode they do not exist, which comes first. */
enum emul_status exec_load_system_segment(struct exec *x)
{
	enum segment_register s = x->insn.op == OP_LLDT ? SEG_LDTR : SEG_TR;
	enum emul_status status;
	struct segment loaded;
	uint64_t selector;

	if (!has_ldt_and_tr(x))
		return raise_fault(x, EXC_UD);
	if (x->ctx->cpl != 0)
		return raise_fault_code(x, EXC_GP, 0);
	status = operand_read(x, OPD_RM, 2, &selector);
	if (status == EMUL_DONE)
		status = segment_fetch(x->ctx, s, (uint16_t)selector, LOAD_SYSTEM, 0, &loaded);
	if (status == EMUL_DONE)
		x->ctx->system->set_segment(x->ctx, s, &loaded);
	return status;
}

/* To memory always 16 bits; to a register zero-extended to the operand size. */
static enum emul_status store_word(struct exec *x, uint64_t v)
{
	return operand_write(x, OPD_RM, x->insn.has_mem ? 2 : x->insn.op_size, v);
}

/* sldt, str */
enum emul_status exec_store_system_segment(struct exec *x)
{
	enum emul_status status;
	struct segment s;

	if (!has_ldt_and_tr(x))
		return raise_fault(x, EXC_UD);
	status = may_be_seen(x);
	if (status != EMUL_DONE)
		return status;
	x->ctx->ops->segment(x->ctx, x->insn.op == OP_SLDT ? SEG_LDTR : SEG_TR, &s);
	return store_word(x, s.selector);
}

/* ---- control and debug registers --------------------------------------------------- */

/* A register gets as much of CR0 as it has room for. */
enum emul_status exec_smsw(struct exec *x)
{
	enum emul_status status = may_be_seen(x);

	return status == EMUL_DONE ? store_word(x, x->ctx->system->get_cr(x->ctx, 0)) : status;
}

/* PE can be set by it, and not cleared. */
enum emul_status exec_lmsw(struct exec *x)
{
	uint64_t cr0 = x->ctx->system->get_cr(x->ctx, 0), v;
	enum emul_status status = operand_read(x, OPD_RM, 2, &v);

	if (status != EMUL_DONE)
		return status;
	return set_cr(x, 0, (cr0 & ~(CR0_LMSW & ~(uint64_t)X86_CR0_PE)) | (v & CR0_LMSW));
}

enum emul_status exec_clts(struct exec *x)
{
	return set_cr(x, 0, x->ctx->system->get_cr(x->ctx, 0) & ~(uint64_t)X86_CR0_TS);
}

enum emul_status exec_mov_from_cr(struct exec *x)
{
	reg_write(x, x->insn.rm, x->insn.op_size, x->ctx->system->get_cr(x->ctx, x->insn.reg));
	return EMUL_DONE;
}

enum emul_status exec_mov_to_cr(struct exec *x)
{
	return set_cr(x, x->insn.reg, reg_read(x, x->insn.rm, x->insn.op_size));
}

enum emul_status exec_mov_from_dr(struct exec *x)
{
	uint64_t v;
	enum emul_status status = x->ctx->system->get_dr(x->ctx, x->insn.reg, &v);

	if (status == EMUL_DONE)
		reg_write(x, x->insn.rm, x->insn.op_size, v);
	return status;
}

enum emul_status exec_mov_to_dr(struct exec *x)
{
	return x->ctx->system->set_dr(x->ctx, x->insn.reg, reg_read(x, x->insn.rm, x->insn.op_size));
}

/* ---- the rest ------------------------------------------------------------------------ */

static void write_edx_eax(struct exec *x, uint64_t v)
{
	reg_write(x, GPR_RAX, 4, v);
	reg_write(x, GPR_RDX, 4, v >> 32);
}

static uint64_t read_edx_eax(const struct exec *x)
{
	return reg_read(x, GPR_RDX, 4) << 32 | reg_read(x, GPR_RAX, 4);
}

static uint32_t ecx(const struct exec *x) { return (uint32_t)x->regs.gpr[GPR_RCX]; }

enum emul_status exec_rdmsr(struct exec *x)
{
	uint64_t v;
	enum emul_status status = x->ctx->system->read_msr(x->ctx, ecx(x), &v);

	if (status == EMUL_DONE)
		write_edx_eax(x, v);
	return status;
}

enum emul_status exec_wrmsr(struct exec *x)
{
	return x->ctx->system->write_msr(x->ctx, ecx(x), read_edx_eax(x));
}

/* Index 1 is what of XCR0 is in use: all of it, for a processor need not know of any that it is not. */
static bool has_xcr(struct exec *x, uint32_t index)
{
	uint32_t out[4];

	if (index != 1)
		return index == 0;
	x->ctx->system->cpuid(x->ctx, CPUID_XSAVE, 1, out);
	return out[0] & CPUID_XGETBV_1;
}

static enum emul_status xgetbv(struct exec *x)
{
	if (!has_xcr(x, ecx(x)))
		return raise_fault_code(x, EXC_GP, 0);
	write_edx_eax(x, x->ctx->xcr0);
	return EMUL_DONE;
}

static enum emul_status xsetbv(struct exec *x)
{
	uint64_t v = read_edx_eax(x);
	enum emul_status status;

	if (x->ctx->cpl != 0)
		return raise_fault_code(x, EXC_GP, 0);
	status = x->ctx->system->set_xcr(x->ctx, ecx(x), v);
	if (status == EMUL_DONE && ecx(x) == 0)
		x->ctx->xcr0 = v;
	return status;
}

enum emul_status exec_xcr(struct exec *x)
{
	if (!(x->ctx->cr4 & X86_CR4_OSXSAVE))
		return raise_fault(x, EXC_UD);
	return (x->insn.rm & 7) == 0 ? xgetbv(x) : xsetbv(x);
}

enum emul_status exec_rdtsc(struct exec *x)
{
	if ((x->ctx->cr4 & X86_CR4_TSD) && x->ctx->cpl != 0)
		return raise_fault_code(x, EXC_GP, 0);
	write_edx_eax(x, x->ctx->system->tsc(x->ctx));
	return EMUL_DONE;
}

/* There are no performance counters. */
enum emul_status exec_rdpmc(struct exec *x) { return raise_fault_code(x, EXC_GP, 0); }

enum emul_status exec_cpuid(struct exec *x)
{
	uint32_t out[4];

	x->ctx->system->cpuid(x->ctx, (uint32_t)x->regs.gpr[GPR_RAX], ecx(x), out);
	reg_write(x, GPR_RAX, 4, out[0]);
	reg_write(x, GPR_RBX, 4, out[1]);
	reg_write(x, GPR_RCX, 4, out[2]);
	reg_write(x, GPR_RDX, 4, out[3]);
	return EMUL_DONE;
}

/* The address is not accessed: no limit, no rights. */
enum emul_status exec_invlpg(struct exec *x)
{
	struct segment s;

	x->ctx->ops->segment(x->ctx, (enum segment_register)x->insn.seg, &s);
	x->ctx->system->invlpg(x->ctx, gva((uint32_t)(s.base + effective_address(x))));
	return EMUL_DONE;
}
