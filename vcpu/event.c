/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Event delivery: what becomes of an exception that meets an event which was
 * still being delivered (SDM vol. 3, "Interrupt 8 - Double Fault Exception").
 *
 * Invariant: when an exit is handled, v->event is pending only if it is the
 * event whose delivery that exit interrupted.
 */
#include "vcpu/vcpu.h"

enum exception_class { CLASS_BENIGN, CLASS_CONTRIBUTORY, CLASS_PAGE_FAULT, CLASS_DOUBLE_FAULT };

static enum exception_class classify(uint8_t vector)
{
	switch (vector) {
	case EXC_DE:
	case EXC_TS:
	case EXC_NP:
	case EXC_SS:
	case EXC_GP:
	case EXC_CP:
		return CLASS_CONTRIBUTORY;
	case EXC_PF:
	case EXC_VE:
		return CLASS_PAGE_FAULT;
	case EXC_DF:
		return CLASS_DOUBLE_FAULT;
	default:
		return CLASS_BENIGN;
	}
}

enum combination { COMBINE_REPLACE, COMBINE_DOUBLE_FAULT, COMBINE_TRIPLE_FAULT };

static enum combination combine(const struct vcpu_event *first, const struct vcpu_event *second)
{
	enum exception_class a, b;

	if (!first->pending || first->type != EVENT_HARDWARE_EXCEPTION || second->type != EVENT_HARDWARE_EXCEPTION)
		return COMBINE_REPLACE;
	a = classify(first->vector);
	b = classify(second->vector);
	if (b == CLASS_BENIGN || b == CLASS_DOUBLE_FAULT)
		return COMBINE_REPLACE;
	if (a == CLASS_DOUBLE_FAULT)
		return COMBINE_TRIPLE_FAULT;
	if (a == CLASS_PAGE_FAULT || (a == CLASS_CONTRIBUTORY && b == CLASS_CONTRIBUTORY))
		return COMBINE_DOUBLE_FAULT;
	return COMBINE_REPLACE;
}

/* Faults push RF=1, so that the restarted instruction does not meet its
 * instruction breakpoint again. */
static bool is_fault(const struct vcpu_event *e)
{
	return e->type == EVENT_HARDWARE_EXCEPTION && e->vector != EXC_DB && e->vector != EXC_DF &&
	       e->vector != EXC_MC;
}

/* A native step is over: its instruction raised the event. RF may be that of
 * the fault which came in between. An interrupt within a repeated instruction
 * pushes RF=1 too; that is not known any more, and at worst an instruction
 * breakpoint is met twice. */
void vcpu_event_interrupted(struct vcpu *v, const struct vcpu_event *e)
{
	if (v->stepping)
		vcpu_step_abandon(v);
	v->event = *e;
	v->event.pending = true;
	if (!is_fault(e))
		v->regs.rflags &= ~(uint64_t)X86_EFLAGS_RF;
}

enum vcpu_action vcpu_inject(struct vcpu *v, const struct vcpu_event *e)
{
	enum combination c = combine(&v->event, e);

	if (v->stepping)
		vcpu_step_abandon(v);
	if (c == COMBINE_TRIPLE_FAULT)
		return vcpu_stop(v, VCPU_STOP_TRIPLE_FAULT, 0, "a fault while a double fault was delivered");
	if (c == COMBINE_DOUBLE_FAULT)
		v->event = (struct vcpu_event){ .vector = EXC_DF,
						.has_error_code = true,
						.type = EVENT_HARDWARE_EXCEPTION };
	else
		v->event = *e;
	v->event.pending = true;
	v->breakpoints = 0; /* of an instruction that did not get to its end */
	if (is_fault(&v->event))
		v->regs.rflags |= X86_EFLAGS_RF;
	return VCPU_RESUME;
}

enum vcpu_action vcpu_inject_exception(struct vcpu *v, enum exception_vector vector)
{
	struct vcpu_event e = { .vector = (uint8_t)vector, .type = EVENT_HARDWARE_EXCEPTION };

	return vcpu_inject(v, &e);
}

enum vcpu_action vcpu_inject_error(struct vcpu *v, enum exception_vector vector, uint32_t error_code)
{
	struct vcpu_event e = { .vector = (uint8_t)vector,
				.has_error_code = true,
				.error_code = error_code,
				.type = EVENT_HARDWARE_EXCEPTION };

	return vcpu_inject(v, &e);
}

enum vcpu_action vcpu_inject_page_fault(struct vcpu *v, gva_t addr, uint32_t error_code)
{
	/* Also when this becomes a double fault: the CPU has written CR2 by then. */
	v->backend->set_cr2(v, addr.v);
	return vcpu_inject_error(v, EXC_PF, error_code);
}

enum vcpu_action vcpu_inject_debug(struct vcpu *v, uint64_t cause)
{
	vcpu_note_debug(v, cause);
	return vcpu_inject_exception(v, EXC_DB);
}

enum vcpu_action vcpu_insn_done(struct vcpu *v, bool traced)
{
	uint64_t causes = v->backend->insn_done(v) | v->breakpoints | (traced ? DR6_BS : 0);

	v->breakpoints = 0;
	v->regs.rflags &= ~(uint64_t)X86_EFLAGS_RF;
	return causes ? vcpu_inject_debug(v, causes) : VCPU_RESUME;
}

enum vcpu_action vcpu_iteration_done(struct vcpu *v, bool traced)
{
	uint64_t causes = v->breakpoints | (traced ? DR6_BS : 0);

	v->breakpoints = 0;
	v->regs.rflags |= X86_EFLAGS_RF;
	return causes ? vcpu_inject_debug(v, causes) : VCPU_RESUME;
}
