// SPDX-License-Identifier: GPL-2.0-only
/*
 * Delivery of interrupts and exceptions outside long mode: the vectors of real
 * mode, interrupt, trap and task gates (SDM vol. 3, "Exception- and Interrupt-
 * Handler Procedures"; vol. 2, INT n has the order of the checks). That of long
 * mode is in deliver64.c.
 *
 * Invariant: registers change only when the frame is on the stack, and of
 * memory only accessed bits are written before that.
 */
#include <string.h>
#include "emulate/segment.h"

#define GATE_TYPE_MASK 0x1fu /* with S */
#define GATE_TASK 5u
#define GATE_INTERRUPT16 6u
#define GATE_TRAP16 7u
#define GATE_INTERRUPT32 14u
#define GATE_TRAP32 15u
#define GATE_PRESENT 0x80u

#define ERROR_EXT 1u
#define ERROR_IDT 2u

#define TSS32_IO_MAP 102u
#define TSS32_LIMIT 103u
#define REDIRECTION_BYTES 32u

#define FRAME_MAX 10u

struct gate {
	uint8_t type;
	uint16_t selector;
	uint32_t offset;
	unsigned int size; /* of what is pushed */
};

struct delivery {
	const struct emul_event *event;
	struct gate gate;
	struct segment cs;
	struct stack stack;
	uint32_t frame[FRAME_MAX];
	unsigned int count;
};

static uint32_t idt_error(const struct emul_event *e) { return e->vector * 8u + ERROR_IDT; }

static void frame_add(struct delivery *d, uint32_t v) { d->frame[d->count++] = v; }

static void frame_add_selector(struct emul_ctxt *ctx, struct delivery *d, enum segment_register s)
{
	struct segment held;

	ctx->ops->segment(ctx, s, &held);
	frame_add(d, held.selector);
}

static void frame_add_return(struct emul_ctxt *ctx, struct delivery *d)
{
	frame_add(d, (uint32_t)ctx->regs.rflags);
	frame_add_selector(ctx, d, SEG_CS);
	frame_add(d, (uint32_t)ctx->regs.rip);
}

static void present_stack(struct emul_ctxt *ctx, struct stack *s)
{
	ctx->ops->segment(ctx, SEG_SS, &s->ss);
	s->esp = (uint32_t)ctx->regs.gpr[GPR_RSP];
}

static void enter_handler(struct emul_ctxt *ctx, const struct delivery *d, uint64_t flags_cleared)
{
	ctx->system->set_segment(ctx, SEG_CS, &d->cs);
	ctx->regs.gpr[GPR_RSP] = d->stack.esp;
	ctx->regs.rip = d->gate.offset;
	ctx->regs.rflags &= ~flags_cleared;
	ctx->mode = segment_mode(&d->cs);
}

/* ---- real mode ------------------------------------------------------------------ */

static enum emul_status vector_read(struct emul_ctxt *ctx, const struct emul_event *e, struct gate *g)
{
	struct descriptor_table idt;
	uint16_t vector[2] = { 0 };
	enum emul_status status;

	ctx->system->get_table(ctx, EMUL_IDT, &idt);
	if (e->vector * 4u + 3 > idt.limit)
		return emul_raise(ctx, EXC_GP, idt_error(e));
	status = ctx->system->read(ctx, gva((uint32_t)(idt.base + e->vector * 4u)), vector, sizeof(vector));
	*g = (struct gate){ .offset = vector[0], .selector = vector[1], .size = 2 };
	return status;
}

/* There are no error codes in real mode. */
static enum emul_status deliver_real(struct emul_ctxt *ctx, struct delivery *d)
{
	enum emul_status status = vector_read(ctx, d->event, &d->gate);

	present_stack(ctx, &d->stack);
	frame_add_return(ctx, d);
	if (status == EMUL_DONE)
		status = stack_check(ctx, &d->stack, d->count, d->gate.size, 0);
	if (status == EMUL_DONE)
		status = segment_fetch(ctx, SEG_CS, d->gate.selector, LOAD_GATE, ctx->cpl, &d->cs);
	if (status == EMUL_DONE)
		status = stack_push(ctx, &d->stack, d->frame, d->count, d->gate.size);
	if (status == EMUL_DONE)
		enter_handler(ctx, d, X86_EFLAGS_IF | X86_EFLAGS_TF | X86_EFLAGS_AC | X86_EFLAGS_RF);
	return status;
}

/* ---- gates ---------------------------------------------------------------------- */

static struct gate gate_decode(uint64_t descriptor)
{
	struct gate g = {
		.type = (descriptor >> 40) & GATE_TYPE_MASK,
		.selector = (uint16_t)(descriptor >> 16),
		.offset = descriptor & 0xffff,
		.size = 2,
	};

	if (g.type == GATE_INTERRUPT32 || g.type == GATE_TRAP32) {
		g.offset |= (uint32_t)(descriptor >> 32) & 0xffff0000;
		g.size = 4;
	}
	return g;
}

static bool is_gate(const struct gate *g)
{
	switch (g->type) {
	case GATE_TASK:
	case GATE_INTERRUPT16:
	case GATE_TRAP16:
	case GATE_INTERRUPT32:
	case GATE_TRAP32:
		return true;
	default:
		return false;
	}
}

static enum emul_status gate_read(struct emul_ctxt *ctx, const struct emul_event *e, struct gate *g)
{
	struct descriptor_table idt;
	enum emul_status status;
	uint64_t descriptor = 0;
	uint8_t rights;

	ctx->system->get_table(ctx, EMUL_IDT, &idt);
	if (e->vector * 8u + 7 > idt.limit)
		return emul_raise(ctx, EXC_GP, idt_error(e));
	status = ctx->system->read(ctx, gva((uint32_t)(idt.base + e->vector * 8u)), &descriptor,
				   sizeof(descriptor));
	if (status != EMUL_DONE)
		return status;
	*g = gate_decode(descriptor);
	rights = (uint8_t)(descriptor >> 40);
	if (!is_gate(g) || (e->software && SEGMENT_DPL(rights) < ctx->cpl))
		return emul_raise(ctx, EXC_GP, idt_error(e));
	return rights & GATE_PRESENT ? EMUL_DONE : emul_raise(ctx, EXC_NP, idt_error(e));
}

/* From virtual-8086 mode all segments are saved: a handler would not know them. */
static void frame_make(struct emul_ctxt *ctx, struct delivery *d, bool inner)
{
	static const enum segment_register data[] = { SEG_GS, SEG_FS, SEG_DS, SEG_ES };

	for (unsigned int i = 0; emul_is_v86(ctx) && i < ARRAY_SIZE(data); i++)
		frame_add_selector(ctx, d, data[i]);
	if (inner) {
		frame_add_selector(ctx, d, SEG_SS);
		frame_add(d, (uint32_t)ctx->regs.gpr[GPR_RSP]);
	}
	frame_add_return(ctx, d);
	if (d->event->has_error_code)
		frame_add(d, d->event->error_code);
}

/* All that can be known without a write. */
static enum emul_status check_handler(struct emul_ctxt *ctx, struct delivery *d, bool inner)
{
	enum emul_status status = EMUL_DONE;

	if (inner)
		status = stack_inner(ctx, &d->stack);
	else
		present_stack(ctx, &d->stack);
	if (status != EMUL_DONE)
		return status;
	frame_make(ctx, d, inner);
	status = stack_check(ctx, &d->stack, d->count, d->gate.size,
			     inner ? d->stack.ss.selector & ~3u : 0);
	if (status != EMUL_DONE)
		return status;
	return d->gate.offset <= d->cs.limit ? EMUL_DONE : emul_raise(ctx, EXC_GP, 0);
}

static void leave_v86(struct emul_ctxt *ctx)
{
	static const enum segment_register data[] = { SEG_ES, SEG_DS, SEG_FS, SEG_GS };
	static const struct segment null = { .access = SEGMENT_UNUSABLE };

	for (unsigned int i = 0; i < ARRAY_SIZE(data); i++)
		ctx->system->set_segment(ctx, data[i], &null);
}

static void enter_gate(struct emul_ctxt *ctx, const struct delivery *d, bool inner)
{
	bool is_interrupt = d->gate.type == GATE_INTERRUPT16 || d->gate.type == GATE_INTERRUPT32;

	if (emul_is_v86(ctx))
		leave_v86(ctx);
	if (inner)
		ctx->system->set_segment(ctx, SEG_SS, &d->stack.ss);
	enter_handler(ctx, d, X86_EFLAGS_TF | X86_EFLAGS_NT | X86_EFLAGS_RF | X86_EFLAGS_VM |
				      (is_interrupt ? X86_EFLAGS_IF : 0));
	ctx->cpl = (uint8_t)d->stack.cpl;
}

static enum emul_status through_gate(struct emul_ctxt *ctx, struct delivery *d)
{
	enum emul_status status;
	bool inner;

	status = segment_check(ctx, SEG_CS, d->gate.selector, LOAD_GATE, ctx->cpl, &d->cs);
	if (status != EMUL_DONE)
		return status;
	d->stack.cpl = d->cs.selector & 3;
	if (emul_is_v86(ctx) && d->stack.cpl != 0)
		return emul_raise(ctx, EXC_GP, d->gate.selector & ~3u);
	inner = d->stack.cpl < ctx->cpl;
	status = check_handler(ctx, d, inner);
	if (status == EMUL_DONE)
		status = segment_touch(ctx, &d->cs);
	if (status == EMUL_DONE && inner)
		status = segment_touch(ctx, &d->stack.ss);
	if (status == EMUL_DONE)
		status = stack_push(ctx, &d->stack, d->frame, d->count, d->gate.size);
	if (status == EMUL_DONE)
		enter_gate(ctx, d, inner);
	return status;
}

static enum emul_status through_task_gate(struct emul_ctxt *ctx, const struct delivery *d)
{
	const struct emul_task_switch t = {
		.selector = d->gate.selector,
		.source = EMUL_TASK_GATE,
		.has_error_code = d->event->has_error_code,
		.error_code = d->event->error_code,
	};

	return emul_task_switch(ctx, &t);
}

static enum emul_status deliver_gate(struct emul_ctxt *ctx, struct delivery *d)
{
	enum emul_status status = gate_read(ctx, d->event, &d->gate);

	if (status != EMUL_DONE)
		return status;
	return d->gate.type == GATE_TASK ? through_task_gate(ctx, d) : through_gate(ctx, d);
}

/* ---- INT n in virtual-8086 mode with CR4.VME ------------------------------------ */

/* A clear bit in the 32 bytes below the TSS's bitmap of ports: the program has its own handler (SDM vol. 3,
 * "Software Interrupt Handling in Virtual-8086 Mode"). */
static enum emul_status ask_redirection(struct emul_ctxt *ctx, uint8_t vector, bool *redirected)
{
	enum emul_status status;
	struct segment tr;
	uint16_t map = 0;
	uint8_t bits = 0;
	uint32_t at;

	ctx->ops->segment(ctx, SEG_TR, &tr);
	if (tr.limit < TSS32_LIMIT)
		return emul_raise(ctx, EXC_GP, 0);
	status = ctx->system->read(ctx, gva((uint32_t)(tr.base + TSS32_IO_MAP)), &map, sizeof(map));
	if (status != EMUL_DONE)
		return status;
	at = map - REDIRECTION_BYTES + vector / 8u;
	if (at > tr.limit)
		return emul_raise(ctx, EXC_GP, 0);
	status = ctx->system->read(ctx, gva((uint32_t)(tr.base + at)), &bits, 1);
	*redirected = !(bits >> vector % 8 & 1);
	return status;
}

static bool iopl_is_3(const struct emul_ctxt *ctx)
{
	return (ctx->regs.rflags & X86_EFLAGS_IOPL) == X86_EFLAGS_IOPL;
}

/* As in real mode, through the vectors at linear address 0, on the program's stack. */
static enum emul_status deliver_redirected(struct emul_ctxt *ctx, struct delivery *d)
{
	uint16_t vector[2] = { 0 };
	enum emul_status status;

	status = ctx->system->read(ctx, gva(d->event->vector * 4u), vector, sizeof(vector));
	if (status != EMUL_DONE)
		return status;
	d->gate = (struct gate){ .offset = vector[0], .size = 2 };
	d->cs = segment_v86(vector[1]);
	d->stack.cpl = 3;
	present_stack(ctx, &d->stack);
	frame_add(d, (uint32_t)(iopl_is_3(ctx) ? ctx->regs.rflags : emul_v86_flags(ctx)));
	frame_add_selector(ctx, d, SEG_CS);
	frame_add(d, (uint32_t)ctx->regs.rip);
	status = stack_check(ctx, &d->stack, d->count, d->gate.size, 0);
	if (status == EMUL_DONE)
		status = stack_push(ctx, &d->stack, d->frame, d->count, d->gate.size);
	if (status == EMUL_DONE)
		enter_handler(ctx, d, X86_EFLAGS_TF | (iopl_is_3(ctx) ? X86_EFLAGS_IF : X86_EFLAGS_VIF));
	return status;
}

static enum emul_status deliver_v86_int(struct emul_ctxt *ctx, struct delivery *d)
{
	bool redirected = false;
	enum emul_status status = ask_redirection(ctx, d->event->vector, &redirected);

	if (status != EMUL_DONE)
		return status;
	if (redirected)
		return deliver_redirected(ctx, d);
	return iopl_is_3(ctx) ? deliver_gate(ctx, d) : emul_raise(ctx, EXC_GP, 0);
}

static enum emul_status deliver_protected(struct emul_ctxt *ctx, struct delivery *d)
{
	bool by_bitmap = d->event->int_n && emul_is_v86(ctx) && (ctx->cr4 & X86_CR4_VME);

	return by_bitmap ? deliver_v86_int(ctx, d) : deliver_gate(ctx, d);
}

/* Error codes that name a descriptor say whether the program is to blame. */
static bool has_ext(uint8_t vector)
{
	return vector == EXC_TS || vector == EXC_NP || vector == EXC_SS || vector == EXC_GP;
}

enum emul_status emul_deliver(struct emul_ctxt *ctx, const struct emul_event *e)
{
	uint64_t resume_flag = ctx->regs.rflags & X86_EFLAGS_RF;
	struct delivery d = { .event = e };
	enum emul_status status;

	ctx->task_switched = false;
	if (!ctx->system)
		return EMUL_UNKNOWN;
	/* It ends with the instruction that interrupts. */
	if (e->software)
		ctx->regs.rflags &= ~(uint64_t)X86_EFLAGS_RF;
	if (ctx->long_mode)
		status = deliver_long(ctx, e);
	else
		status = emul_is_real(ctx) ? deliver_real(ctx, &d) : deliver_protected(ctx, &d);
	if (status == EMUL_EXCEPTION && !e->software && has_ext(ctx->exception.vector))
		ctx->exception.error_code |= ERROR_EXT;
	if (status != EMUL_DONE && !ctx->task_switched)
		ctx->regs.rflags |= resume_flag;
	return status;
}
