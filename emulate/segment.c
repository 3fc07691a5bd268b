// SPDX-License-Identifier: GPL-2.0-only
/*
 * Descriptors, and what a segment register holds after a load (SDM vol. 3,
 * "Protection"; vol. 2, MOV, JMP, CALL, RET, IRET, INT n, LLDT, LTR). Also the
 * stack that a change of the privilege level switches to.
 *
 * Invariant: no register changes here, and of memory only the type of a
 * descriptor and the stack.
 */
#include <string.h>
#include "emulate/segment.h"

/* Bits of the access rights. */
#define TYPE_ACCESSED 1u
#define TYPE_WRITABLE 2u /* data */
#define TYPE_READABLE 2u /* code */
#define TYPE_EXPAND_DOWN 4u /* data */
#define TYPE_CONFORMING 4u /* code */
#define TYPE_CODE 8u
#define ACCESS_S 0x10u
#define ACCESS_P 0x80u
/* Types with S clear, S included in the mask. */
#define SYSTEM_MASK 0x1fu
#define SYSTEM_LDT 2u
#define SYSTEM_TSS16 1u
#define SYSTEM_TSS32 9u
#define TSS_BUSY 2u

#define SELECTOR_RPL 3u
#define SELECTOR_TI 4u
#define SELECTOR_INDEX 0xfff8u

#define REAL_ACCESS 0x93u

enum emul_status emul_raise(struct emul_ctxt *ctx, enum exception_vector vector, uint32_t error_code)
{
	ctx->exception = (struct emul_exception){
		.vector = (uint8_t)vector, .has_error_code = true, .error_code = error_code
	};
	return EMUL_EXCEPTION;
}

static enum emul_status refuse(struct emul_ctxt *ctx, enum exception_vector vector, uint16_t selector)
{
	return emul_raise(ctx, vector, selector & ~SELECTOR_RPL);
}

static uint64_t table_base(struct emul_ctxt *ctx, uint16_t selector, uint32_t *limit)
{
	struct descriptor_table gdt;
	struct segment ldt;

	if (!(selector & SELECTOR_TI)) {
		ctx->system->get_table(ctx, EMUL_GDT, &gdt);
		*limit = gdt.limit;
		return gdt.base;
	}
	ctx->ops->segment(ctx, SEG_LDTR, &ldt);
	*limit = ldt.access & SEGMENT_UNUSABLE ? 0 : ldt.limit;
	return ldt.base;
}

/* Tables lie anywhere in long mode, below 4 GiB outside. */
static gva_t table_address(const struct emul_ctxt *ctx, uint64_t base, uint32_t offset)
{
	return gva(ctx->long_mode ? base + offset : (uint32_t)(base + offset));
}

gva_t descriptor_type_address(struct emul_ctxt *ctx, uint16_t selector)
{
	uint32_t limit;
	uint64_t base = table_base(ctx, selector, &limit);

	return table_address(ctx, base, (selector & SELECTOR_INDEX) + 5);
}

enum emul_status descriptor_read(struct emul_ctxt *ctx, uint16_t selector, enum exception_vector vector,
				 uint64_t *descriptor)
{
	uint32_t limit, offset = selector & SELECTOR_INDEX;
	uint64_t base = table_base(ctx, selector, &limit);

	if (selector_is_null(selector) || offset + 7 > limit)
		return refuse(ctx, vector, selector);
	return ctx->system->read(ctx, table_address(ctx, base, offset), descriptor, sizeof(*descriptor));
}

struct segment descriptor_segment(uint16_t selector, uint64_t descriptor)
{
	uint32_t low = (uint32_t)descriptor, high = (uint32_t)(descriptor >> 32);
	struct segment s = {
		.selector = selector,
		.access = (high >> 8) & 0xf0ff,
		.limit = (low & 0xffff) | (high & 0xf0000),
		.base = low >> 16 | (high & 0xff) << 16 | (high & 0xff000000),
	};

	if (high & 1u << 23) /* granularity */
		s.limit = s.limit << 12 | 0xfff;
	return s;
}

static bool null_is_allowed(enum segment_register s) { return s != SEG_CS && s != SEG_SS && s != SEG_TR; }

/* A selector or descriptor that does not fit. */
static enum exception_vector refusal(enum segment_register s, enum segment_load how)
{
	return how == LOAD_TASK || (how == LOAD_GATE && s == SEG_SS) ? EXC_TS : EXC_GP;
}

static enum exception_vector absence(enum segment_register s, enum segment_load how)
{
	if (s == SEG_SS)
		return EXC_SS;
	return s == SEG_LDTR && how == LOAD_TASK ? EXC_TS : EXC_NP;
}

static bool is_code(const struct segment *d)
{
	return (d->access & (ACCESS_S | TYPE_CODE)) == (ACCESS_S | TYPE_CODE);
}

static bool is_conforming(const struct segment *d) { return is_code(d) && d->access & TYPE_CONFORMING; }

static bool code_fits(const struct emul_ctxt *ctx, const struct segment *d, enum segment_load how,
		      unsigned int cpl)
{
	unsigned int dpl = SEGMENT_DPL(d->access), rpl = d->selector & SELECTOR_RPL;

	if (!is_code(d))
		return false;
	switch (how) {
	case LOAD_GATE:
		return dpl <= cpl;
	case LOAD_FAR:
		return is_conforming(d) ? dpl <= cpl : dpl == cpl && rpl <= cpl;
	case LOAD_RETURN:
		if (rpl < ctx->cpl)
			return false;
		break;
	default:
		break;
	}
	return is_conforming(d) ? dpl <= rpl : dpl == rpl;
}

static bool stack_fits(const struct segment *d, unsigned int cpl)
{
	if ((d->access & (ACCESS_S | TYPE_CODE | TYPE_WRITABLE)) != (ACCESS_S | TYPE_WRITABLE))
		return false;
	return SEGMENT_DPL(d->access) == cpl && (d->selector & SELECTOR_RPL) == cpl;
}

static bool data_fits(const struct segment *d, unsigned int cpl)
{
	unsigned int dpl = SEGMENT_DPL(d->access), rpl = d->selector & SELECTOR_RPL;

	if (!(d->access & ACCESS_S) || (is_code(d) && !(d->access & TYPE_READABLE)))
		return false;
	return is_conforming(d) || (rpl <= dpl && cpl <= dpl);
}

static bool system_fits(const struct segment *d, enum segment_register s)
{
	unsigned int type = d->access & SYSTEM_MASK;

	return s == SEG_LDTR ? type == SYSTEM_LDT : type == SYSTEM_TSS16 || type == SYSTEM_TSS32;
}

static bool fits(const struct emul_ctxt *ctx, const struct segment *d, enum segment_register s,
		 enum segment_load how, unsigned int cpl)
{
	switch (s) {
	case SEG_CS:
		return code_fits(ctx, d, how, cpl);
	case SEG_SS:
		return stack_fits(d, cpl);
	case SEG_LDTR:
	case SEG_TR:
		return system_fits(d, s);
	default:
		return data_fits(d, cpl);
	}
}

/* The CPL that code runs at is the RPL of CS. */
static uint16_t code_selector(const struct segment *d, enum segment_load how, unsigned int cpl)
{
	unsigned int rpl = d->selector & SELECTOR_RPL;

	if (how == LOAD_FAR)
		rpl = cpl;
	if (how == LOAD_GATE)
		rpl = is_conforming(d) ? cpl : SEGMENT_DPL(d->access);
	return (uint16_t)((d->selector & ~SELECTOR_RPL) | rpl);
}

static enum emul_status check_protected(struct emul_ctxt *ctx, enum segment_register s, uint16_t selector,
					enum segment_load how, unsigned int cpl, struct segment *out)
{
	enum emul_status status;
	uint64_t descriptor = 0;

	if (selector_is_null(selector) && null_is_allowed(s)) {
		*out = (struct segment){ .selector = selector, .access = SEGMENT_UNUSABLE };
		return EMUL_DONE;
	}
	if ((s == SEG_LDTR || s == SEG_TR) && (selector & SELECTOR_TI)) /* only from the GDT */
		return refuse(ctx, refusal(s, how), selector);
	status = descriptor_read(ctx, selector, refusal(s, how), &descriptor);
	if (status != EMUL_DONE)
		return status;
	*out = descriptor_segment(selector, descriptor);
	if (!fits(ctx, out, s, how, cpl))
		return refuse(ctx, refusal(s, how), selector);
	if (!(out->access & ACCESS_P))
		return refuse(ctx, absence(s, how), selector);
	if (s == SEG_CS)
		out->selector = code_selector(out, how, cpl);
	return EMUL_DONE;
}

/* The limit and the rights stay, whatever they are: "unreal mode". */
static void real_segment(struct emul_ctxt *ctx, enum segment_register s, uint16_t selector,
			 struct segment *out)
{
	ctx->ops->segment(ctx, s, out);
	if (out->access & SEGMENT_UNUSABLE) /* null since protected mode: nothing that could stay */
		*out = (struct segment){ .access = REAL_ACCESS, .limit = 0xffff };
	out->selector = selector;
	out->base = (uint32_t)selector << 4;
}

enum emul_status segment_check(struct emul_ctxt *ctx, enum segment_register s, uint16_t selector,
			       enum segment_load how, unsigned int cpl, struct segment *out)
{
	if (!ctx->system || ctx->long_mode)
		return EMUL_UNKNOWN;
	if (emul_is_real(ctx)) {
		real_segment(ctx, s, selector, out);
		return EMUL_DONE;
	}
	/* A gate leaves virtual-8086 mode; LDTR and TR are not of it. */
	if (emul_is_v86(ctx) && how != LOAD_GATE && s != SEG_LDTR && s != SEG_TR) {
		*out = segment_v86(selector);
		return EMUL_DONE;
	}
	return check_protected(ctx, s, selector, how, cpl, out);
}

enum emul_status segment_touch(struct emul_ctxt *ctx, struct segment *s)
{
	bool is_system = !(s->access & ACCESS_S);
	uint32_t bit = is_system ? TSS_BUSY : TYPE_ACCESSED; /* an LDT's type has it set */
	enum emul_status status;
	uint8_t type;

	if (emul_is_real(ctx) || s->access & (SEGMENT_UNUSABLE | bit))
		return EMUL_DONE;
	type = (uint8_t)(s->access | bit);
	status = ctx->system->write(ctx, descriptor_type_address(ctx, s->selector), &type, 1);
	if (status == EMUL_DONE)
		s->access |= bit;
	return status;
}

enum emul_status segment_fetch(struct emul_ctxt *ctx, enum segment_register s, uint16_t selector,
			       enum segment_load how, unsigned int cpl, struct segment *out)
{
	enum emul_status status = segment_check(ctx, s, selector, how, cpl, out);

	return status == EMUL_DONE ? segment_touch(ctx, out) : status;
}

/* ---- stacks ------------------------------------------------------------------ */

/* A TSS of 32 bits: ESP0 at 4, SS0 at 8, 8 bytes for each level; of 16 bits: SP0 at 2, SS0 at 4. */
static enum emul_status tss_stack(struct emul_ctxt *ctx, unsigned int cpl, uint16_t *ss, uint32_t *esp)
{
	unsigned int size, at, len;
	uint8_t bytes[6] = { 0 };
	enum emul_status status;
	struct segment tr;

	ctx->ops->segment(ctx, SEG_TR, &tr);
	size = (tr.access & 0xf) >= SYSTEM_TSS32 ? 4 : 2;
	at = size + cpl * 2 * size;
	len = size + 2;
	if (tr.access & SEGMENT_UNUSABLE || at + len - 1 > tr.limit)
		return refuse(ctx, EXC_TS, tr.selector);
	status = ctx->system->read(ctx, gva((uint32_t)(tr.base + at)), bytes, len);
	if (status != EMUL_DONE)
		return status;
	*esp = 0;
	memcpy(esp, bytes, size);
	memcpy(ss, bytes + size, 2);
	return EMUL_DONE;
}

static uint32_t stack_mask(const struct stack *s) { return s->ss.access & SEGMENT_DB ? 0xffffffff : 0xffff; }

enum emul_status stack_inner(struct emul_ctxt *ctx, struct stack *s)
{
	uint32_t present = (uint32_t)ctx->regs.gpr[GPR_RSP], mask;
	uint16_t selector = 0;
	enum emul_status status = tss_stack(ctx, s->cpl, &selector, &s->esp);

	if (status == EMUL_DONE)
		status = segment_check(ctx, SEG_SS, selector, LOAD_GATE, s->cpl, &s->ss);
	if (status != EMUL_DONE)
		return status;
	mask = stack_mask(s);
	s->esp = (s->esp & mask) | (present & ~mask);
	return EMUL_DONE;
}

static bool stack_holds(const struct stack *s, uint32_t offset, unsigned int size)
{
	uint64_t last = (uint64_t)offset + size - 1;

	if (s->ss.access & (SEGMENT_UNUSABLE | TYPE_CODE) || !(s->ss.access & TYPE_WRITABLE))
		return false;
	if (s->ss.access & TYPE_EXPAND_DOWN)
		return offset > s->ss.limit && last <= stack_mask(s);
	return last <= s->ss.limit;
}

static enum emul_status stack_probe(struct emul_ctxt *ctx, const struct stack *s, uint32_t offset,
				    unsigned int len)
{
	gva_t addr = gva((uint32_t)(s->ss.base + offset));

	if (s->cpl == 3)
		return ctx->ops->probe_write(ctx, addr, len);
	return ctx->system->probe_write(ctx, addr, len);
}

static enum emul_status stack_write(struct emul_ctxt *ctx, const struct stack *s, uint32_t offset,
				    const uint8_t *bytes, unsigned int len)
{
	gva_t addr = gva((uint32_t)(s->ss.base + offset));

	if (s->cpl == 3)
		return ctx->ops->write(ctx, addr, bytes, len);
	return ctx->system->write(ctx, addr, bytes, len);
}

_Static_assert(STACK_ITEMS_MAX * 4 <= EMUL_ACCESS_MAX, "a frame is one access");

/* Bytes of the @len at @offset that one access reaches: up to the end of the
 * stack, where it goes on at its start. */
static unsigned int run_length(const struct stack *s, uint32_t offset, unsigned int len)
{
	uint64_t left = (uint64_t)stack_mask(s) + 1 - offset;

	return left < len ? (unsigned int)left : len;
}

/* @bytes at @offset and up, in as few accesses as can be. */
static enum emul_status frame_write(struct emul_ctxt *ctx, const struct stack *s, uint32_t offset,
				    const uint8_t *bytes, unsigned int len)
{
	enum emul_status status = EMUL_DONE;
	unsigned int done, n;

	if (run_length(s, offset, len) == len) /* one write is whole or not at all */
		return stack_write(ctx, s, offset, bytes, len);
	for (done = 0; done < len && status == EMUL_DONE; done += n) {
		uint32_t at = (offset + done) & stack_mask(s);

		n = run_length(s, at, len - done);
		status = stack_probe(ctx, s, at, n);
	}
	for (done = 0; done < len && status == EMUL_DONE; done += n) {
		uint32_t at = (offset + done) & stack_mask(s);

		n = run_length(s, at, len - done);
		status = stack_write(ctx, s, at, bytes + done, n);
	}
	return status;
}

enum emul_status stack_check(struct emul_ctxt *ctx, const struct stack *s, unsigned int count,
			     unsigned int size, uint32_t error_code)
{
	for (unsigned int i = 1; i <= count; i++)
		if (!stack_holds(s, (s->esp - i * size) & stack_mask(s), size))
			return emul_raise(ctx, EXC_SS, error_code);
	return EMUL_DONE;
}

/* A CPU pushes one item after the other, so CR2 is that of the first which
 * cannot be. If a probe finds none the write's own exception stands. */
static enum emul_status find_fault(struct emul_ctxt *ctx, const struct stack *s, unsigned int count,
				   unsigned int size)
{
	enum emul_status status = EMUL_DONE;

	for (unsigned int i = 1; i <= count && status == EMUL_DONE; i++)
		status = stack_probe(ctx, s, (s->esp - i * size) & stack_mask(s), size);
	return status == EMUL_DONE ? EMUL_EXCEPTION : status;
}

enum emul_status stack_push(struct emul_ctxt *ctx, struct stack *s, const uint32_t *items, unsigned int count,
			    unsigned int size)
{
	uint32_t mask = stack_mask(s), offset = (s->esp - count * size) & mask;
	uint8_t bytes[STACK_ITEMS_MAX * 4];
	enum emul_status status;

	if (emul_is_misaligned(ctx, s->cpl, s->ss.base + offset, size))
		return emul_raise(ctx, EXC_AC, 0);
	for (unsigned int i = 0; i < count; i++)
		memcpy(bytes + (count - 1 - i) * size, &items[i], size);
	status = frame_write(ctx, s, offset, bytes, count * size);
	if (status == EMUL_EXCEPTION)
		return find_fault(ctx, s, count, size);
	if (status == EMUL_DONE)
		s->esp = (s->esp & ~mask) | offset;
	return status;
}
