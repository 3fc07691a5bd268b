// SPDX-License-Identifier: GPL-2.0-only
/*
 * How an instruction reaches its operands: registers, effective addresses,
 * segment checks (SDM vol. 3, "Limit Checking", "Type Checking"), memory.
 */
#include <string.h>
#include "emulate/exec.h"
#include "emulate/segment.h"

#define SEGMENT_TYPE_CODE 8u
#define SEGMENT_TYPE_EXPAND_DOWN 4u /* data */
#define SEGMENT_TYPE_WRITABLE 2u    /* data */
#define SEGMENT_TYPE_READABLE 2u    /* code */
#define CR4_LA57 (1ull << 12)

uint64_t reg_read(const struct exec *x, unsigned int reg, unsigned int size)
{
	if (size == 1 && !x->insn.rex && reg >= 4 && reg < 8)
		return (x->regs.gpr[reg - 4] >> 8) & 0xff;
	return x->regs.gpr[reg] & size_mask(size);
}

void reg_write(struct exec *x, unsigned int reg, unsigned int size, uint64_t v)
{
	uint64_t mask = size_mask(size);
	unsigned int shift = 0;

	if (size == 1 && !x->insn.rex && reg >= 4 && reg < 8) {
		reg -= 4;
		shift = 8;
	}
	if (size >= 4)
		x->regs.gpr[reg] = v & mask;
	else
		x->regs.gpr[reg] = (x->regs.gpr[reg] & ~(mask << shift)) | (v & mask) << shift;
}

enum emul_status raise_fault(struct exec *x, enum exception_vector vector)
{
	x->ctx->exception = (struct emul_exception){ .vector = (uint8_t)vector };
	return EMUL_EXCEPTION;
}

enum emul_status raise_fault_code(struct exec *x, enum exception_vector vector, uint32_t error_code)
{
	x->ctx->exception = (struct emul_exception){
		.vector = (uint8_t)vector, .has_error_code = true, .error_code = error_code
	};
	return EMUL_EXCEPTION;
}

uint64_t effective_address(const struct exec *x)
{
	const struct insn *i = &x->insn;
	uint64_t ea = (uint64_t)i->disp;

	if (i->rip_relative)
		ea += x->regs.rip + i->len;
	if (i->base != NO_REG)
		ea += x->regs.gpr[i->base];
	if (i->index != NO_REG)
		ea += x->regs.gpr[i->index] << i->scale;
	return ea & size_mask(i->addr_size);
}

static enum emul_status segment_fault(struct exec *x, enum segment_register seg)
{
	return raise_fault_code(x, seg == SEG_SS ? EXC_SS : EXC_GP, 0);
}

/* In 64-bit mode FS and GS have a base, and nothing has a limit or type. */
static enum emul_status linear_64(struct exec *x, enum segment_register seg, uint64_t offset,
				  unsigned int len, gva_t *addr)
{
	unsigned int linear_bits = x->ctx->cr4 & CR4_LA57 ? 57 : 48;
	unsigned int shift = 64 - linear_bits;
	uint64_t first = offset, last;

	if (seg == SEG_FS || seg == SEG_GS) {
		struct segment s;

		x->ctx->ops->segment(x->ctx, seg, &s);
		first += s.base;
	}
	last = first + len - 1;
	if ((uint64_t)((int64_t)(first << shift) >> shift) != first ||
	    (uint64_t)((int64_t)(last << shift) >> shift) != last)
		return segment_fault(x, seg);
	*addr = gva(first);
	return EMUL_DONE;
}

/* In real mode code is written through CS. */
static bool segment_allows(const struct exec *x, const struct segment *s, enum access access)
{
	if (emul_is_real(x->ctx))
		return true;
	if (s->access & SEGMENT_UNUSABLE)
		return false;
	if (s->access & SEGMENT_TYPE_CODE)
		return access == ACCESS_READ && (s->access & SEGMENT_TYPE_READABLE);
	return access == ACCESS_READ || (s->access & SEGMENT_TYPE_WRITABLE);
}

static bool within_limit(const struct segment *s, uint64_t first, uint64_t last)
{
	bool is_data = !(s->access & SEGMENT_TYPE_CODE);

	if (is_data && (s->access & SEGMENT_TYPE_EXPAND_DOWN))
		return first > s->limit && last <= (s->access & SEGMENT_DB ? 0xffffffff : 0xffff);
	return last <= s->limit;
}

/* Past the end of a segment of 4 GiB it is a fault, as processors may have it; a linear address wraps. */
static enum emul_status linear_32(struct exec *x, enum segment_register seg, uint64_t offset,
				  unsigned int len, enum access access, gva_t *addr)
{
	struct segment s;

	x->ctx->ops->segment(x->ctx, seg, &s);
	if (!segment_allows(x, &s, access) || !within_limit(&s, offset, offset + len - 1))
		return segment_fault(x, seg);
	*addr = gva((s.base + offset) & 0xffffffff);
	return EMUL_DONE;
}

/* Whether #AC comes before #PF is the processor's; here it does. */
enum emul_status linear(struct exec *x, enum segment_register seg, uint64_t offset, unsigned int len,
			unsigned int element, enum access access, gva_t *addr)
{
	enum emul_status status;

	if (x->ctx->mode == EMUL_MODE_64)
		status = linear_64(x, seg, offset, len, addr);
	else
		status = linear_32(x, seg, offset, len, access, addr);
	if (status == EMUL_DONE && emul_is_misaligned(x->ctx, x->ctx->cpl, addr->v, element))
		return raise_fault_code(x, EXC_AC, 0);
	return status;
}

enum emul_status linear_operand(struct exec *x, unsigned int len, unsigned int element, enum access access,
				gva_t *addr)
{
	return linear(x, x->insn.seg, effective_address(x), len, element, access, addr);
}

/* An offset of 2 or 4 bytes is reached as such, and so it is aligned. */
enum emul_status far_pointer_read(struct exec *x, uint64_t *pointer)
{
	const struct insn *i = &x->insn;
	gva_t addr;
	enum emul_status status = linear_operand(x, i->mem_size, i->op_size, ACCESS_READ, &addr);

	return status == EMUL_DONE ? mem_read(x, addr, i->mem_size, pointer) : status;
}

enum emul_status mem_read(struct exec *x, gva_t addr, unsigned int size, uint64_t *v)
{
	uint8_t bytes[8] = { 0 };
	enum emul_status status = x->ctx->ops->read(x->ctx, addr, bytes, size);

	memcpy(v, bytes, sizeof(*v));
	return status;
}

enum emul_status mem_write(struct exec *x, gva_t addr, unsigned int size, uint64_t v)
{
	uint8_t bytes[8];

	memcpy(bytes, &v, sizeof(bytes));
	return x->ctx->ops->write(x->ctx, addr, bytes, size);
}

bool operand_is_mem(const struct exec *x, enum operand_kind kind)
{
	return kind == OPD_MOFFS || (kind == OPD_RM && x->insn.has_mem);
}

unsigned int operand_reg(const struct exec *x, enum operand_kind kind)
{
	switch (kind) {
	case OPD_RM:
		return x->insn.rm;
	case OPD_REG: case OPD_OPREG:
		return x->insn.reg;
	case OPD_CL:
		return GPR_RCX;
	case OPD_DX:
		return GPR_RDX;
	default:
		return GPR_RAX;
	}
}

enum emul_status operand_read(struct exec *x, enum operand_kind kind, unsigned int size, uint64_t *v)
{
	enum emul_status status;
	gva_t addr;

	if (operand_is_mem(x, kind)) {
		status = linear_operand(x, size, size, ACCESS_READ, &addr);
		return status == EMUL_DONE ? mem_read(x, addr, size, v) : status;
	}
	if (kind == OPD_NONE || kind == OPD_ONE)
		*v = kind == OPD_ONE;
	else if (kind == OPD_IMM)
		*v = x->insn.imm & size_mask(size);
	else
		*v = reg_read(x, operand_reg(x, kind), kind == OPD_CL ? 1 : kind == OPD_DX ? 2 : size);
	return EMUL_DONE;
}

enum emul_status operand_write(struct exec *x, enum operand_kind kind, unsigned int size, uint64_t v)
{
	enum emul_status status;
	gva_t addr;

	if (!operand_is_mem(x, kind)) {
		reg_write(x, operand_reg(x, kind), size, v);
		return EMUL_DONE;
	}
	status = linear_operand(x, size, size, ACCESS_WRITE, &addr);
	return status == EMUL_DONE ? mem_write(x, addr, size, v) : status;
}

enum emul_status operand_probe_write(struct exec *x, enum operand_kind kind, unsigned int size)
{
	enum emul_status status;
	gva_t addr;

	if (!operand_is_mem(x, kind))
		return EMUL_DONE;
	status = linear_operand(x, size, size, ACCESS_WRITE, &addr);
	return status == EMUL_DONE ? x->ctx->ops->probe_write(x->ctx, addr, size) : status;
}
