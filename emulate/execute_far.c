// SPDX-License-Identifier: GPL-2.0-only
/*
 * Control transfers that load CS, outside long mode: far JMP, CALL and RET,
 * IRET, software interrupts (SDM vol. 2 for each; vol. 3, "Privilege Level
 * Checking When Transferring Program Control Between Code Segments").
 *
 * Invariant: segment registers are set when nothing can fail any more; before
 * that, of memory only accessed bits and the stack have been written.
 */
#include <string.h>
#include "emulate/exec.h"
#include "emulate/segment.h"

#define SELECTOR_RPL 3u

/* Access rights: types of system segments and gates, and the bits of code. */
#define ACCESS_S 0x10u
#define ACCESS_P 0x80u
#define TYPE_CONFORMING_CODE 0xcu
#define SYSTEM_MASK 0x1fu
#define TSS16_AVAILABLE 1u
#define CALL_GATE16 4u
#define TASK_GATE 5u
#define TSS32_AVAILABLE 9u
#define CALL_GATE32 12u
#define CALL_GATE_PARAMETERS 0x1fu

/* What IRET to virtual-8086 mode can set: all that there is. */
#define EFLAGS_DEFINED                                                                                     \
	(STATUS_FLAGS | X86_EFLAGS_TF | X86_EFLAGS_IF | X86_EFLAGS_DF | X86_EFLAGS_IOPL | X86_EFLAGS_NT |  \
	 X86_EFLAGS_RF | X86_EFLAGS_VM | X86_EFLAGS_AC | X86_EFLAGS_VIF | X86_EFLAGS_VIP | X86_EFLAGS_ID)

struct far_pointer {
	uint16_t selector;
	uint32_t offset;
};

static bool is_protected(const struct exec *x) { return !emul_is_real(x->ctx) && !emul_is_v86(x->ctx); }

static uint16_t selector_of(struct exec *x, enum segment_register s)
{
	struct segment held;

	x->ctx->ops->segment(x->ctx, s, &held);
	return held.selector;
}

static enum emul_status check_target(struct exec *x, const struct segment *cs, uint32_t offset)
{
	return offset <= cs->limit ? EMUL_DONE : raise_fault_code(x, EXC_GP, 0);
}

static void enter_code(struct exec *x, const struct segment *cs, uint32_t offset)
{
	x->ctx->system->set_segment(x->ctx, SEG_CS, cs);
	x->ctx->mode = segment_mode(cs);
	x->next_rip = offset;
}

/* Of a 16-bit stack the pointer is only the lower half of ESP; the other half stays. */
static void set_stack(struct exec *x, const struct segment *ss, uint32_t esp)
{
	x->ctx->system->set_segment(x->ctx, SEG_SS, ss);
	reg_write(x, GPR_RSP, ss->access & SEGMENT_DB ? 4 : 2, esp);
}

/* ---- handing over to emul_deliver() and emul_task_switch() --------------------- */

/* They work on ctx->regs, which are put there as they are after this instruction. */
static void lend_registers(struct exec *x, struct cpu_regs *before)
{
	*before = x->ctx->regs;
	x->ctx->regs = x->regs;
	x->ctx->regs.rip = x->next_rip;
	x->ctx->regs.rflags &= ~(uint64_t)X86_EFLAGS_RF;
}

static enum emul_status take_registers(struct exec *x, const struct cpu_regs *before, enum emul_status status)
{
	if (status == EMUL_DONE) {
		x->regs = x->ctx->regs;
		x->next_rip = x->regs.rip;
		x->keeps_rf = true;
	} else if (!x->ctx->task_switched) {
		x->ctx->regs = *before;
	}
	return status;
}

static enum emul_status switch_task(struct exec *x, uint16_t selector, enum emul_task_source source)
{
	const struct emul_task_switch t = { .selector = selector, .source = source };
	struct cpu_regs before;

	lend_registers(x, &before);
	return take_registers(x, &before, emul_task_switch(x->ctx, &t));
}

/* The handler runs without TF, and nothing traps before its first instruction. */
static enum emul_status interrupt(struct exec *x, const struct emul_event *e)
{
	struct cpu_regs before;

	x->ctx->trap_held = true;
	lend_registers(x, &before);
	return take_registers(x, &before, emul_deliver(x->ctx, e));
}

/* ---- JMP and CALL ------------------------------------------------------------- */

static enum emul_status push_return(struct exec *x, unsigned int size)
{
	uint32_t cs = selector_of(x, SEG_CS), rip = (uint32_t)x->next_rip;
	uint8_t frame[8];

	memcpy(frame, &rip, size);
	memcpy(frame + size, &cs, size);
	return rsp_push(x, frame, 2 * size, size);
}

/* A code segment at the present privilege level. */
static enum emul_status to_code(struct exec *x, uint16_t selector, uint32_t offset, unsigned int size)
{
	bool is_call = x->insn.op == OP_CALL_FAR;
	enum emul_status status;
	struct segment cs;

	status = segment_fetch(x->ctx, SEG_CS, selector, LOAD_FAR, x->ctx->cpl, &cs);
	if (status == EMUL_DONE)
		status = check_target(x, &cs, offset);
	if (status == EMUL_DONE && is_call)
		status = push_return(x, size);
	if (status == EMUL_DONE)
		enter_code(x, &cs, offset);
	return status;
}

struct call_gate {
	uint16_t selector;
	uint32_t offset;
	unsigned int parameters;
	unsigned int size; /* of what is pushed */
};

static struct call_gate gate_decode(uint64_t descriptor, bool is_32bit)
{
	struct call_gate g = {
		.selector = (uint16_t)(descriptor >> 16),
		.offset = descriptor & 0xffff,
		.parameters = descriptor >> 32 & CALL_GATE_PARAMETERS,
		.size = is_32bit ? 4 : 2,
	};

	if (is_32bit)
		g.offset |= (uint32_t)(descriptor >> 32) & 0xffff0000;
	return g;
}

/* Into @items in the order of pushing: the one at the highest address first. */
static enum emul_status read_parameters(struct exec *x, const struct call_gate *g, uint32_t *items)
{
	enum emul_status status = EMUL_DONE;

	for (unsigned int i = 0; i < g->parameters && status == EMUL_DONE; i++) {
		items[i] = 0;
		status = rsp_read(x, (g->parameters - 1 - i) * g->size, &items[i], g->size, g->size);
	}
	return status;
}

/* Everything that can fail, up to the frame on the new stack. */
static enum emul_status build_inner_frame(struct exec *x, const struct call_gate *g, struct segment *cs,
					  struct stack *s)
{
	unsigned int count = 4 + g->parameters;
	uint32_t items[STACK_ITEMS_MAX];
	enum emul_status status = read_parameters(x, g, items + 2);

	items[0] = selector_of(x, SEG_SS);
	items[1] = (uint32_t)x->regs.gpr[GPR_RSP];
	items[count - 2] = selector_of(x, SEG_CS);
	items[count - 1] = (uint32_t)x->next_rip;
	if (status == EMUL_DONE)
		status = stack_check(x->ctx, s, count, g->size, s->ss.selector & ~SELECTOR_RPL);
	if (status == EMUL_DONE)
		status = check_target(x, cs, g->offset);
	if (status == EMUL_DONE)
		status = segment_touch(x->ctx, cs);
	if (status == EMUL_DONE)
		status = segment_touch(x->ctx, &s->ss);
	return status == EMUL_DONE ? stack_push(x->ctx, s, items, count, g->size) : status;
}

static enum emul_status call_inner(struct exec *x, const struct call_gate *g, struct segment *cs)
{
	struct stack s = { .cpl = cs->selector & SELECTOR_RPL };
	enum emul_status status = stack_inner(x->ctx, &s);

	if (status == EMUL_DONE)
		status = build_inner_frame(x, g, cs, &s);
	if (status != EMUL_DONE)
		return status;
	set_stack(x, &s.ss, s.esp);
	enter_code(x, cs, g->offset);
	x->ctx->cpl = (uint8_t)s.cpl;
	return EMUL_DONE;
}

/* The gate's selector counts without its RPL. */
static enum emul_status through_call_gate(struct exec *x, uint64_t descriptor, bool is_32bit)
{
	const struct call_gate g = gate_decode(descriptor, is_32bit);
	uint16_t selector = g.selector & (uint16_t)~SELECTOR_RPL;
	enum emul_status status;
	struct segment cs;

	if (x->insn.op == OP_JMP_FAR)
		return to_code(x, selector, g.offset, g.size);
	status = segment_check(x->ctx, SEG_CS, g.selector, LOAD_GATE, x->ctx->cpl, &cs);
	if (status != EMUL_DONE)
		return status;
	if ((cs.selector & SELECTOR_RPL) < x->ctx->cpl)
		return call_inner(x, &g, &cs);
	status = check_target(x, &cs, g.offset);
	if (status == EMUL_DONE)
		status = segment_touch(x->ctx, &cs);
	if (status == EMUL_DONE)
		status = push_return(x, g.size);
	if (status == EMUL_DONE)
		enter_code(x, &cs, g.offset);
	return status;
}

/* A gate or a TSS: its DPL says who may name it. */
static enum emul_status through_system(struct exec *x, uint16_t selector, uint64_t descriptor)
{
	enum emul_task_source source = x->insn.op == OP_CALL_FAR ? EMUL_TASK_CALL : EMUL_TASK_JMP;
	struct segment d = descriptor_segment(selector, descriptor);
	unsigned int dpl = SEGMENT_DPL(d.access), type = d.access & SYSTEM_MASK;
	bool is_tss = type == TSS16_AVAILABLE || type == TSS32_AVAILABLE;
	bool is_call_gate = type == CALL_GATE16 || type == CALL_GATE32;
	bool is_denied = dpl < x->ctx->cpl || dpl < (selector & SELECTOR_RPL);

	if ((!is_tss && !is_call_gate && type != TASK_GATE) || is_denied)
		return raise_fault_code(x, EXC_GP, selector & ~SELECTOR_RPL);
	if (!(d.access & ACCESS_P))
		return raise_fault_code(x, EXC_NP, selector & ~SELECTOR_RPL);
	if (is_tss)
		return switch_task(x, selector, source);
	if (is_call_gate)
		return through_call_gate(x, descriptor, type == CALL_GATE32);
	return switch_task(x, (uint16_t)(descriptor >> 16), source);
}

static enum emul_status read_far_pointer(struct exec *x, struct far_pointer *p)
{
	const struct insn *i = &x->insn;
	enum emul_status status;
	uint64_t v;

	if (i->src == OPD_IMM) {
		*p = (struct far_pointer){ .selector = i->imm2, .offset = (uint32_t)i->imm };
		return EMUL_DONE;
	}
	status = far_pointer_read(x, &v);
	*p = (struct far_pointer){
		.selector = (uint16_t)(v >> (8 * i->op_size)), .offset = (uint32_t)(v & size_mask(i->op_size))
	};
	return status;
}

/* jmp and call */
enum emul_status exec_far(struct exec *x)
{
	struct far_pointer p;
	enum emul_status status = read_far_pointer(x, &p);
	uint64_t descriptor = 0;

	if (status == EMUL_DONE && is_protected(x)) {
		status = descriptor_read(x->ctx, p.selector, EXC_GP, &descriptor);
		if (status == EMUL_DONE && !(descriptor_segment(p.selector, descriptor).access & ACCESS_S))
			return through_system(x, p.selector, descriptor);
	}
	return status == EMUL_DONE ? to_code(x, p.selector, p.offset, x->insn.op_size) : status;
}

/* ---- RET and IRET -------------------------------------------------------------- */

/* Where a return goes, and how. */
struct far_return {
	struct segment cs, ss;
	uint32_t offset, esp;
	bool outer; /* to an outer ring: SS and ESP are returned, too */
	unsigned int frame_len; /* rip, CS and perhaps the flags */
	unsigned int parameters; /* bytes to be released, on both stacks */
};

static enum emul_status read_outer_stack(struct exec *x, struct far_return *r)
{
	unsigned int size = x->insn.op_size;
	uint8_t bytes[8];
	enum emul_status status = rsp_read(x, r->frame_len + r->parameters, bytes, 2 * size, size);
	uint16_t selector;

	if (status != EMUL_DONE)
		return status;
	memcpy(&r->esp, bytes, size);
	memcpy(&selector, bytes + size, 2);
	status = segment_check(x->ctx, SEG_SS, selector, LOAD_RETURN, r->cs.selector & SELECTOR_RPL, &r->ss);
	return status == EMUL_DONE ? segment_touch(x->ctx, &r->ss) : status;
}

static enum emul_status check_return(struct exec *x, struct far_return *r, uint16_t selector)
{
	unsigned int rpl = selector & SELECTOR_RPL;
	enum emul_status status = segment_check(x->ctx, SEG_CS, selector, LOAD_RETURN, rpl, &r->cs);

	if (status != EMUL_DONE)
		return status;
	r->outer = is_protected(x) && rpl > x->ctx->cpl;
	status = check_target(x, &r->cs, r->offset);
	if (status == EMUL_DONE && r->outer)
		status = read_outer_stack(x, r);
	return status == EMUL_DONE ? segment_touch(x->ctx, &r->cs) : status;
}

/* What the outer ring must not see is nothing to it. */
static void drop_inner_segments(struct exec *x, unsigned int cpl)
{
	static const enum segment_register data[] = { SEG_ES, SEG_DS, SEG_FS, SEG_GS };
	static const struct segment null = { .access = SEGMENT_UNUSABLE };

	for (unsigned int i = 0; i < ARRAY_SIZE(data); i++) {
		struct segment s;

		x->ctx->ops->segment(x->ctx, data[i], &s);
		if (s.access & SEGMENT_UNUSABLE || (s.access & TYPE_CONFORMING_CODE) == TYPE_CONFORMING_CODE)
			continue;
		if (SEGMENT_DPL(s.access) < cpl)
			x->ctx->system->set_segment(x->ctx, data[i], &null);
	}
}

static void return_to(struct exec *x, const struct far_return *r)
{
	unsigned int cpl = r->cs.selector & SELECTOR_RPL;

	enter_code(x, &r->cs, r->offset);
	if (!r->outer) {
		rsp_release(x, r->frame_len + r->parameters);
		return;
	}
	set_stack(x, &r->ss, r->esp + r->parameters);
	x->ctx->cpl = (uint8_t)cpl;
	drop_inner_segments(x, cpl);
}

/* @frame: what is on the stack, r->frame_len bytes; offset and selector are first. */
static enum emul_status read_frame(struct exec *x, struct far_return *r, uint8_t *frame, uint16_t *selector)
{
	unsigned int size = x->insn.op_size;
	enum emul_status status = rsp_read(x, 0, frame, r->frame_len, size);

	if (status != EMUL_DONE)
		return status;
	memcpy(&r->offset, frame, size);
	memcpy(selector, frame + size, 2);
	return EMUL_DONE;
}

enum emul_status exec_ret_far(struct exec *x)
{
	unsigned int size = x->insn.op_size;
	struct far_return r = { .frame_len = 2 * size, .parameters = (unsigned int)x->insn.imm };
	enum emul_status status;
	uint8_t frame[8];
	uint16_t selector;

	status = read_frame(x, &r, frame, &selector);
	if (status == EMUL_DONE)
		status = check_return(x, &r, selector);
	if (status == EMUL_DONE)
		return_to(x, &r);
	return status;
}

/* Of a task that was called, or interrupted through a task gate: back to it. */
static enum emul_status return_from_task(struct exec *x)
{
	enum emul_status status;
	struct segment tr;
	uint16_t link;

	x->ctx->ops->segment(x->ctx, SEG_TR, &tr);
	status = x->ctx->system->read(x->ctx, gva((uint32_t)tr.base), &link, sizeof(link));
	return status == EMUL_DONE ? switch_task(x, link, EMUL_TASK_IRET) : status;
}

/* The frame is nine doublewords: EIP CS EFLAGS ESP SS ES DS FS GS. */
static enum emul_status return_to_v86(struct exec *x, uint32_t rip, uint16_t selector, uint32_t flags)
{
	static const enum segment_register data[] = { SEG_SS, SEG_ES, SEG_DS, SEG_FS, SEG_GS };
	const struct segment cs = segment_v86(selector);
	uint32_t rest[6]; /* from ESP */
	enum emul_status status = rsp_read(x, 12, rest, sizeof(rest), 4);

	if (status == EMUL_DONE)
		status = check_target(x, &cs, rip);
	if (status != EMUL_DONE)
		return status;
	enter_code(x, &cs, rip);
	for (unsigned int i = 0; i < ARRAY_SIZE(data); i++) {
		const struct segment s = segment_v86((uint16_t)rest[1 + i]);

		x->ctx->system->set_segment(x->ctx, data[i], &s);
	}
	x->regs.gpr[GPR_RSP] = rest[0];
	x->regs.rflags = flags;
	x->ctx->cpl = 3;
	return EMUL_DONE;
}

static uint64_t returned_flags_mask(const struct exec *x)
{
	uint64_t mask = loadable_flags(x);

	if (x->insn.op_size > 2)
		mask |= X86_EFLAGS_RF;
	if (x->insn.op_size > 2 && is_protected(x) && x->ctx->cpl == 0)
		mask |= X86_EFLAGS_VIF | X86_EFLAGS_VIP;
	return mask;
}

static enum emul_status return_with_flags(struct exec *x)
{
	unsigned int size = x->insn.op_size;
	struct far_return r = { .frame_len = 3 * size };
	uint64_t mask = returned_flags_mask(x);
	enum emul_status status;
	uint8_t frame[12];
	uint32_t flags = 0;
	uint16_t selector;

	status = read_frame(x, &r, frame, &selector);
	if (status != EMUL_DONE)
		return status;
	memcpy(&flags, frame + 2 * size, size);
	if (!v86_may_load(x, flags))
		return raise_fault_code(x, EXC_GP, 0);
	if (is_protected(x) && (flags & X86_EFLAGS_VM) && x->ctx->cpl == 0)
		return return_to_v86(x, r.offset, selector, (flags & EFLAGS_DEFINED) | X86_EFLAGS_FIXED);
	status = check_return(x, &r, selector);
	if (status != EMUL_DONE)
		return status;
	return_to(x, &r);
	x->regs.rflags = (x->regs.rflags & ~mask) | (flags & mask);
	load_virtual_if(x, flags & X86_EFLAGS_IF);
	return EMUL_DONE;
}

enum emul_status exec_iret(struct exec *x)
{
	enum emul_status status = v86_needs_iopl(x);

	if (status != EMUL_DONE)
		return status;
	if (is_protected(x) && (x->regs.rflags & X86_EFLAGS_NT)) {
		status = return_from_task(x);
	} else {
		status = return_with_flags(x);
		x->keeps_rf = x->insn.op_size > 2;
	}
	x->ctx->nmi_unblocked = status == EMUL_DONE;
	return status;
}

/* ---- software interrupts -------------------------------------------------------- */

/* With CR4.VME, IOPL is not all that counts in virtual-8086 mode: emul_deliver() knows. */
enum emul_status exec_int(struct exec *x)
{
	const struct emul_event e = { .vector = (uint8_t)x->insn.imm, .software = true, .int_n = true };

	if (emul_is_v86(x->ctx) && !(x->ctx->cr4 & X86_CR4_VME) && insn_iopl(x) < 3)
		return raise_fault_code(x, EXC_GP, 0);
	return interrupt(x, &e);
}

enum emul_status exec_int3(struct exec *x)
{
	return interrupt(x, &(struct emul_event){ .vector = EXC_BP, .software = true });
}

enum emul_status exec_int1(struct exec *x) { return interrupt(x, &(struct emul_event){ .vector = EXC_DB }); }

enum emul_status exec_into(struct exec *x)
{
	const struct emul_event e = { .vector = EXC_OF, .software = true };

	return x->regs.rflags & X86_EFLAGS_OF ? interrupt(x, &e) : EMUL_DONE;
}
