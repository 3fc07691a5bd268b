// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hardware task switches with a TSS of 16 or 32 bits (SDM vol. 3, "Task
 * Switching"; the checks are those of its table of exception conditions).
 *
 * Invariant: all accesses up to the commit point are made, or probed, before
 * the first of them writes. After it the CPU is in the new task, whatever
 * fails: the exception is the new task's.
 */
#include <string.h>
#include "emulate/segment.h"

#define TSS_MAX 104u
#define TSS_LINK 0u
#define TSS_CR3 28u /* 32 bits only */
#define TSS_TRAP 100u
#define TSS_IS_32BIT 8u /* in the type */
#define TSS_BUSY 2u
#define TYPE_TSS_MASK 0x15u /* with S; without busy and width */
#define TYPE_TSS 1u
#define ACCESS_P 0x80u

#define EFLAGS_VALID 0x3f7fd5ull
#define DR6_BT (1ull << 15)

/* Offsets in a TSS, and the size of its items. General registers and segments
 * are in the order of enum gpr and enum segment_register. */
struct tss_format {
	uint8_t item;
	uint8_t length; /* and one less is the least limit */
	uint8_t eip, eflags, gpr;
	uint8_t segments, segment_count;
	uint8_t ldt;
};

static const struct tss_format formats[2] = {
	{ .item = 2, .length = 44, .eip = 14, .eflags = 16, .gpr = 18,
	  .segments = 34, .segment_count = 4, .ldt = 42 },
	{ .item = 4, .length = 104, .eip = 32, .eflags = 36, .gpr = 40,
	  .segments = 72, .segment_count = 6, .ldt = 96 },
};

struct tss {
	const struct tss_format *format;
	struct segment seg; /* as TR holds it */
	uint8_t image[TSS_MAX];
};

struct task_switch {
	const struct emul_task_switch *how;
	struct tss old, new;
	bool nested; /* it can be returned from */
};

static const struct tss_format *format_of(const struct segment *tr)
{
	return &formats[tr->access & TSS_IS_32BIT ? 1 : 0];
}

/* What is saved in it lies together, from EIP to the last segment. */
static unsigned int saved_end(const struct tss_format *f) { return f->segments + f->segment_count * f->item; }

static uint32_t tss_get(const struct tss *t, unsigned int at, unsigned int size)
{
	uint32_t v = 0;

	memcpy(&v, t->image + at, size);
	return v;
}

static void tss_put(struct tss *t, unsigned int at, unsigned int size, uint32_t v)
{
	memcpy(t->image + at, &v, size);
}

static gva_t tss_address(const struct tss *t, unsigned int at) { return gva((uint32_t)(t->seg.base + at)); }

static enum emul_status tss_read(struct emul_ctxt *ctx, struct tss *t, unsigned int from, unsigned int end)
{
	return ctx->system->read(ctx, tss_address(t, from), t->image + from, end - from);
}

/* ---- up to the commit point ------------------------------------------------------- */

/* A return finds the new task busy, all others must not. */
static bool is_tss_for(const struct segment *d, enum emul_task_source source)
{
	bool busy = d->access & TSS_BUSY;

	return (d->access & TYPE_TSS_MASK) == TYPE_TSS && busy == (source == EMUL_TASK_IRET);
}

static enum emul_status check_new(struct emul_ctxt *ctx, struct task_switch *s)
{
	enum exception_vector refusal = s->how->source == EMUL_TASK_IRET ? EXC_TS : EXC_GP;
	uint32_t error_code = s->how->selector & ~3u;
	enum emul_status status;
	uint64_t descriptor = 0;

	if (s->how->selector & 4) /* in the LDT */
		return emul_raise(ctx, refusal, error_code);
	status = descriptor_read(ctx, s->how->selector, refusal, &descriptor);
	if (status != EMUL_DONE)
		return status;
	s->new.seg = descriptor_segment(s->how->selector, descriptor);
	s->new.format = format_of(&s->new.seg);
	if (!is_tss_for(&s->new.seg, s->how->source))
		return emul_raise(ctx, refusal, error_code);
	if (!(s->new.seg.access & ACCESS_P))
		return emul_raise(ctx, EXC_NP, error_code);
	if (s->new.seg.limit < s->new.format->length - 1u)
		return emul_raise(ctx, EXC_TS, error_code);
	return EMUL_DONE;
}

static enum emul_status check_old(struct emul_ctxt *ctx, struct task_switch *s)
{
	const struct segment *tr = &s->old.seg;

	ctx->ops->segment(ctx, SEG_TR, &s->old.seg);
	s->old.format = format_of(tr);
	if (tr->access & SEGMENT_UNUSABLE || tr->limit < saved_end(s->old.format) - 1)
		return emul_raise(ctx, EXC_TS, tr->selector & ~3u);
	return EMUL_DONE;
}

static bool old_ends(const struct task_switch *s)
{
	return s->how->source == EMUL_TASK_JMP || s->how->source == EMUL_TASK_IRET;
}

static bool new_begins(const struct task_switch *s) { return s->how->source != EMUL_TASK_IRET; }

static enum emul_status probe_type(struct emul_ctxt *ctx, const struct tss *t)
{
	return ctx->system->probe_write(ctx, descriptor_type_address(ctx, t->seg.selector), 1);
}

/* Everything that set_out() writes, and what it reads. */
static enum emul_status probe(struct emul_ctxt *ctx, struct task_switch *s)
{
	const struct tss_format *f = s->old.format;
	enum emul_status status;

	status = tss_read(ctx, &s->old, f->eip, saved_end(f));
	if (status == EMUL_DONE)
		status = ctx->system->probe_write(ctx, tss_address(&s->old, f->eip), saved_end(f) - f->eip);
	if (status == EMUL_DONE)
		status = tss_read(ctx, &s->new, 0, s->new.format->length);
	if (status == EMUL_DONE && s->nested)
		status = ctx->system->probe_write(ctx, tss_address(&s->new, TSS_LINK), 2);
	if (status == EMUL_DONE && old_ends(s))
		status = probe_type(ctx, &s->old);
	if (status == EMUL_DONE && new_begins(s))
		status = probe_type(ctx, &s->new);
	return status;
}

/* In the descriptor, by a change of its one byte. */
static enum emul_status write_busy(struct emul_ctxt *ctx, const struct tss *t, bool busy)
{
	gva_t at = descriptor_type_address(ctx, t->seg.selector);
	enum emul_status status;
	uint8_t type = 0;

	status = ctx->system->read(ctx, at, &type, 1);
	if (status != EMUL_DONE)
		return status;
	type = (uint8_t)(busy ? type | TSS_BUSY : type & ~TSS_BUSY);
	return ctx->system->write(ctx, at, &type, 1);
}

/* A task that returns is no longer nested. RF ends with the instruction that
 * switches; with a gate it is what the caller says. */
static uint32_t saved_flags(const struct emul_ctxt *ctx, const struct task_switch *s)
{
	uint64_t flags = ctx->regs.rflags;

	if (s->how->source == EMUL_TASK_IRET)
		flags &= ~(uint64_t)X86_EFLAGS_NT;
	if (s->how->source != EMUL_TASK_GATE)
		flags &= ~(uint64_t)X86_EFLAGS_RF;
	return (uint32_t)flags;
}

/* One write; the upper halves of the selectors stay as they were. */
static enum emul_status save_old(struct emul_ctxt *ctx, struct task_switch *s)
{
	const struct tss_format *f = s->old.format;
	struct tss *t = &s->old;

	tss_put(t, f->eip, f->item, (uint32_t)ctx->regs.rip);
	tss_put(t, f->eflags, f->item, saved_flags(ctx, s));
	for (unsigned int i = 0; i < 8; i++)
		tss_put(t, f->gpr + i * f->item, f->item, (uint32_t)ctx->regs.gpr[i]);
	for (unsigned int i = 0; i < f->segment_count; i++) {
		struct segment held;

		ctx->ops->segment(ctx, (enum segment_register)i, &held);
		tss_put(t, f->segments + i * f->item, 2, held.selector);
	}
	return ctx->system->write(ctx, tss_address(t, f->eip), t->image + f->eip, saved_end(f) - f->eip);
}

static enum emul_status set_out(struct emul_ctxt *ctx, struct task_switch *s)
{
	enum emul_status status = EMUL_DONE;

	if (old_ends(s))
		status = write_busy(ctx, &s->old, false);
	if (status == EMUL_DONE)
		status = save_old(ctx, s);
	if (status == EMUL_DONE && s->nested)
		status = ctx->system->write(ctx, tss_address(&s->new, TSS_LINK), &s->old.seg.selector, 2);
	if (status == EMUL_DONE && new_begins(s))
		status = write_busy(ctx, &s->new, true);
	/* Again: the two may overlap, or be the same. */
	if (status == EMUL_DONE)
		status = tss_read(ctx, &s->new, 0, s->new.format->length);
	return status;
}

/* ---- after it ---------------------------------------------------------------------- */

/* FS and GS are not in a TSS of 16 bits: null. */
static uint16_t new_selector(const struct tss *t, unsigned int seg)
{
	if (seg >= t->format->segment_count)
		return 0;
	return (uint16_t)tss_get(t, t->format->segments + seg * t->format->item, 2);
}

static void load_registers(struct emul_ctxt *ctx, struct task_switch *s)
{
	const struct tss_format *f = s->new.format;
	/* What a 16-bit TSS does not hold is ones in general registers, as processors have it. */
	uint32_t upper = f->item == 2 ? 0xffff0000 : 0;

	ctx->regs.rip = tss_get(&s->new, f->eip, f->item);
	ctx->regs.rflags = (tss_get(&s->new, f->eflags, f->item) & EFLAGS_VALID) | X86_EFLAGS_FIXED;
	if (s->nested)
		ctx->regs.rflags |= X86_EFLAGS_NT;
	for (unsigned int i = 0; i < 8; i++)
		ctx->regs.gpr[i] = tss_get(&s->new, f->gpr + i * f->item, f->item) | upper;
	ctx->cpl = emul_is_v86(ctx) ? 3 : new_selector(&s->new, SEG_CS) & 3;
}

/* The selectors alone: what they name is not known to be good. */
static void load_selectors(struct emul_ctxt *ctx, struct task_switch *s)
{
	struct segment seg = { .access = SEGMENT_UNUSABLE };

	for (unsigned int i = 0; i <= SEG_GS; i++) {
		seg.selector = new_selector(&s->new, i);
		ctx->system->set_segment(ctx, (enum segment_register)i, &seg);
	}
	seg.selector = (uint16_t)tss_get(&s->new, s->new.format->ldt, 2);
	ctx->system->set_segment(ctx, SEG_LDTR, &seg);
	s->new.seg.access |= TSS_BUSY;
	ctx->system->set_segment(ctx, SEG_TR, &s->new.seg);
}

static enum emul_status load_control(struct emul_ctxt *ctx, struct task_switch *s)
{
	uint64_t cr3 = tss_get(&s->new, TSS_CR3, 4);
	enum emul_status status;

	ctx->system->clear_local_breakpoints(ctx);
	ctx->cr0 |= X86_CR0_TS;
	status = ctx->system->set_cr(ctx, 0, ctx->system->get_cr(ctx, 0) | X86_CR0_TS);
	if (status != EMUL_DONE || !(ctx->cr0 & X86_CR0_PG) || s->new.format->item == 2)
		return status;
	/* The same tables again: translations stay. */
	return cr3 == ctx->system->get_cr(ctx, 3) ? EMUL_DONE : ctx->system->set_cr(ctx, 3, cr3);
}

static enum emul_status load_segment(struct emul_ctxt *ctx, enum segment_register reg, uint16_t selector,
				     struct segment *out)
{
	enum emul_status status = segment_fetch(ctx, reg, selector, LOAD_TASK, ctx->cpl, out);

	if (status == EMUL_DONE)
		ctx->system->set_segment(ctx, reg, out);
	return status;
}

/* LDTR is the first: the others may be in its table. Then the CPL must be sure. */
static enum emul_status load_segments(struct emul_ctxt *ctx, struct task_switch *s)
{
	static const enum segment_register order[] = { SEG_CS, SEG_SS, SEG_DS, SEG_ES, SEG_FS, SEG_GS };
	uint16_t ldt = (uint16_t)tss_get(&s->new, s->new.format->ldt, 2);
	struct segment seg;
	enum emul_status status = load_segment(ctx, SEG_LDTR, ldt, &seg);

	for (unsigned int i = 0; i < ARRAY_SIZE(order) && status == EMUL_DONE; i++) {
		status = load_segment(ctx, order[i], new_selector(&s->new, order[i]), &seg);
		if (status == EMUL_DONE && order[i] == SEG_CS)
			ctx->mode = segment_mode(&seg);
	}
	return status;
}

static enum emul_status push_error_code(struct emul_ctxt *ctx, struct task_switch *s)
{
	struct stack stack = { .esp = (uint32_t)ctx->regs.gpr[GPR_RSP], .cpl = ctx->cpl };
	unsigned int size = s->new.format->item;
	enum emul_status status;

	ctx->ops->segment(ctx, SEG_SS, &stack.ss);
	status = stack_check(ctx, &stack, 1, size, 0);
	if (status == EMUL_DONE)
		status = stack_push(ctx, &stack, &s->how->error_code, 1, size);
	if (status == EMUL_DONE)
		ctx->regs.gpr[GPR_RSP] = stack.esp;
	return status;
}

static enum emul_status arrive(struct emul_ctxt *ctx, struct task_switch *s)
{
	enum emul_status status;
	struct segment cs;

	ctx->task_switched = true;
	load_registers(ctx, s);
	load_selectors(ctx, s);
	status = load_control(ctx, s);
	if (status == EMUL_DONE)
		status = load_segments(ctx, s);
	if (status == EMUL_DONE && s->how->has_error_code)
		status = push_error_code(ctx, s);
	if (status != EMUL_DONE)
		return status;
	ctx->ops->segment(ctx, SEG_CS, &cs);
	if (ctx->regs.rip > cs.limit)
		return emul_raise(ctx, EXC_GP, 0);
	if (s->new.format->item == 4 && tss_get(&s->new, TSS_TRAP, 2) & 1)
		ctx->debug_trap |= DR6_BT;
	return EMUL_DONE;
}

enum emul_status emul_task_switch(struct emul_ctxt *ctx, const struct emul_task_switch *t)
{
	struct task_switch s = {
		.how = t,
		.nested = t->source == EMUL_TASK_CALL || t->source == EMUL_TASK_GATE,
	};
	enum emul_status status;

	ctx->task_switched = false;
	if (!ctx->system || ctx->long_mode || emul_is_real(ctx))
		return EMUL_UNKNOWN;
	status = check_new(ctx, &s);
	if (status == EMUL_DONE)
		status = check_old(ctx, &s);
	if (status == EMUL_DONE)
		status = probe(ctx, &s);
	if (status != EMUL_DONE)
		return status;
	status = set_out(ctx, &s);
	if (status == EMUL_DONE)
		status = arrive(ctx, &s);
	/* "Nothing changed" is no longer true. */
	return status == EMUL_UNKNOWN ? EMUL_STOP : status;
}
