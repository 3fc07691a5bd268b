/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Guests in a state that no VM entry accepts: real mode, and protected mode
 * whose segment registers still hold what real mode left in them. Their code
 * is interpreted, instruction by instruction, until the hardware can take over
 * (SDM vol. 3, "Switching to Protected Mode"). Hardware task switches, which
 * VMX leaves to software, are here for the same reason: they end in a state
 * that is to be looked at.
 *
 * Invariant: v->interpreting is true exactly while the hardware must not run
 * the vCPU; it changes here, and where CR0.PE goes to 0.
 */
#include "lib/log.h"
#include "vcpu/emul.h"

/* Instructions between two looks at the clock and at what the console says. */
#define INTERPRET_BATCH 256
#define COMPLAINTS_MAX 8

#define V86_LIMIT 0xFFFFu
#define V86_ACCESS 0xF3u
#define V86_FLAGS ((uint64_t)(X86_EFLAGS_VM | X86_EFLAGS_IOPL))
/* And AC: real mode never checks alignment, as its CPL is 0. */
#define V86_FLAGS_KEPT (V86_FLAGS | X86_EFLAGS_AC)

void vcpu_choose_engine(struct vcpu *v)
{
	v->interpreting = !(v->mmu.paging.cr0 & X86_CR0_PE) || !v->backend->can_run(v);
}

/* ---- what the emulator does not know --------------------------------------------- */

static bool is_as_in_v86(const struct segment *s)
{
	return s->base == (uint64_t)s->selector << 4 && s->limit == V86_LIMIT;
}

/*
 * x87, SSE and more: the hardware runs one such instruction of real mode in
 * virtual-8086 mode, if the segments are what that mode has, too. All
 * exceptions exit meanwhile, to be delivered through real mode's vectors.
 */
static bool borrow_v86(struct vcpu *v)
{
	struct segment s[SEG_GS + 1];

	if (v->mmu.paging.cr0 & X86_CR0_PE)
		return false;
	for (unsigned int i = 0; i <= SEG_GS; i++) {
		v->backend->get_segment(v, i, &s[i]);
		if (!is_as_in_v86(&s[i]))
			return false;
	}
	for (unsigned int i = 0; i <= SEG_GS; i++) {
		v->v86.access[i] = s[i].access;
		s[i].access = V86_ACCESS;
		v->backend->set_segment(v, i, &s[i]);
	}
	v->v86.flags = v->regs.rflags & V86_FLAGS_KEPT;
	v->v86.borrowed = true;
	v->regs.rflags = (v->regs.rflags & ~V86_FLAGS_KEPT) | V86_FLAGS;
	return true;
}

void vcpu_return_v86(struct vcpu *v)
{
	struct segment s;

	if (!v->v86.borrowed)
		return;
	v->v86.borrowed = false;
	for (unsigned int i = 0; i <= SEG_GS; i++) {
		v->backend->get_segment(v, i, &s);
		s.access = v->v86.access[i];
		v->backend->set_segment(v, i, &s);
	}
	v->regs.rflags = (v->regs.rflags & ~V86_FLAGS_KEPT) | v->v86.flags;
	v->interpreting = true;
}

static enum vcpu_action unknown_instruction(struct vcpu *v, const struct emul_ctxt *ctx)
{
	if (borrow_v86(v)) {
		v->interpreting = false;
		v->step_insn_len = ctx->insn_len;
		vcpu_step_natively(v);
		return VCPU_RESUME;
	}
	if (v->injected_ud++ < COMPLAINTS_MAX)
		log_info("%s: cannot interpret %02x %02x %02x %02x at rip 0x%llx: #UD", v->name, ctx->insn[0], ctx->insn[1],
			 ctx->insn[2], ctx->insn[3], (unsigned long long)v->regs.rip);
	return vcpu_inject_exception(v, EXC_UD);
}

/* ---- one instruction after the other ------------------------------------------------ */

static enum vcpu_action executed(struct vcpu *v, struct emulation *e, bool traced)
{
	enum vcpu_action action;

	v->regs = e->ctx.regs;
	v->interpreted++;
	v->interrupt_shadow = e->ctx.interrupt_shadow;
	if (e->ctx.nmi_unblocked)
		v->backend->set_nmi_blocked(v, false);
	action = emulation_completed(e, traced && !e->ctx.trap_held);
	if (action == VCPU_RESUME && e->ctx.debug_trap)
		action = vcpu_inject_debug(v, e->ctx.debug_trap);
	if (action == VCPU_RESUME && e->ctx.halted)
		action = vcpu_halt(v);
	vcpu_choose_engine(v);
	return action;
}

static enum vcpu_action one_instruction(struct vcpu *v, struct emulation *e)
{
	bool traced = v->regs.rflags & X86_EFLAGS_TF;

	switch (emul_step(&e->ctx)) {
	case EMUL_DONE:
		return executed(v, e, traced);
	case EMUL_EXCEPTION: /* iterations of REP that were done stay done */
		v->regs = e->ctx.regs;
		v->interrupt_shadow = false;
		return emulation_raise(v, &e->ctx.exception);
	case EMUL_UNKNOWN:
		return unknown_instruction(v, &e->ctx);
	case EMUL_STOP:
		break;
	}
	return vcpu_stop(v, VCPU_STOP_UNSUPPORTED, 0, "stopped by the platform");
}

enum vcpu_action vcpu_interpret(struct vcpu *v)
{
	enum vcpu_action action = VCPU_RESUME;
	struct emulation e;

	emulation_init_system(&e, v);
	for (unsigned int i = 0; i < INTERPRET_BATCH; i++) {
		action = v->event.pending ? emulation_deliver(&e) : one_instruction(v, &e);
		if (action != VCPU_RESUME || v->halted || v->stop.reason != VCPU_STOP_NONE)
			break;
		if (!v->interpreting && (v->stepping || !v->interrupt_shadow))
			break;
		if (vcpu_interrupt_is_due(v))
			break;
		emulation_refresh(&e);
	}
	return action;
}

/* ---- task switches ---------------------------------------------------------- */

enum vcpu_action vcpu_exit_task_switch(struct vcpu *v, const struct emul_task_switch *t, unsigned int insn_len)
{
	struct emulation e;

	emulation_init_system(&e, v);
	e.origin.agent = AGENT_INJECTION;
	e.ctx.regs.rip += insn_len;
	switch (emul_task_switch(&e.ctx, t)) {
	case EMUL_DONE:
		v->event.pending = false;
		v->regs = e.ctx.regs;
		vcpu_choose_engine(v);
		return e.ctx.debug_trap ? vcpu_inject_debug(v, e.ctx.debug_trap) : VCPU_RESUME;
	case EMUL_EXCEPTION:
		if (e.ctx.task_switched) /* the fault is the new task's */
			v->regs = e.ctx.regs;
		vcpu_choose_engine(v);
		return emulation_raise(v, &e.ctx.exception);
	case EMUL_UNKNOWN:
		return vcpu_stop(v, VCPU_STOP_UNSUPPORTED, t->selector, "a task switch in long mode");
	case EMUL_STOP:
		break;
	}
	return vcpu_stop(v, VCPU_STOP_UNSUPPORTED, 0, "stopped by the platform");
}
