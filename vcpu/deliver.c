/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An event delivered in software: while interpreting, and when its delivery by
 * the hardware met a page that is not to be touched natively. The trackers see
 * what is pushed as AGENT_INJECTION.
 *
 * Invariant: a fault of the delivery meets the event itself, which is pending
 * until the delivery is done.
 */
#include "vcpu/emul.h"

static bool is_software(const struct vcpu_event *e)
{
	return e->type == EVENT_SOFTWARE_INTERRUPT || e->type == EVENT_SOFTWARE_EXCEPTION;
}

/* A trap that waited behind MOV SS comes after INT n, and is lost with anything
 * else. What was pushed may have met a breakpoint. */
static enum vcpu_action delivered(struct emulation *e)
{
	struct vcpu *v = e->v;
	uint64_t held = v->backend->insn_done(v), causes = e->ctx.debug_trap | v->breakpoints;

	if (is_software(&v->event))
		causes |= held;
	v->breakpoints = 0;
	v->event.pending = false;
	v->regs = e->ctx.regs;
	v->interrupt_shadow = false;
	v->delivered++;
	vcpu_choose_engine(v);
	return causes ? vcpu_inject_debug(v, causes) : VCPU_RESUME;
}

static enum emul_status deliver(struct emulation *e)
{
	const struct vcpu_event *event = &e->v->event;
	const struct emul_event d = {
		.vector = event->vector,
		.software = is_software(event),
		.int_n = event->type == EVENT_SOFTWARE_INTERRUPT,
		.has_error_code = event->has_error_code,
		.error_code = event->error_code,
	};
	enum emul_status s;

	if (d.software || event->type == EVENT_PRIVILEGED_SOFTWARE)
		e->ctx.regs.rip += event->insn_len;
	e->ctx.debug_trap = 0;
	e->origin.agent = AGENT_INJECTION;
	e->delivering = true;
	s = emul_deliver(&e->ctx, &d);
	e->delivering = false;
	e->origin.agent = AGENT_EMULATOR;
	return s;
}

enum vcpu_action emulation_deliver(struct emulation *e)
{
	struct vcpu *v = e->v;
	enum emul_status s = deliver(e);

	if (v->event.type == EVENT_NMI)
		v->backend->set_nmi_blocked(v, true);
	switch (s) {
	case EMUL_DONE:
		return delivered(e);
	case EMUL_EXCEPTION:
		if (e->ctx.task_switched)
			v->regs = e->ctx.regs;
		return emulation_raise(v, &e->ctx.exception);
	case EMUL_UNKNOWN:
		return vcpu_stop(v, VCPU_STOP_UNSUPPORTED, v->event.vector, "an event that cannot be delivered in software");
	case EMUL_STOP:
		break;
	}
	return vcpu_stop(v, VCPU_STOP_UNSUPPORTED, 0, "stopped by the platform");
}

enum vcpu_action vcpu_deliver_event(struct vcpu *v)
{
	struct emulation e;

	emulation_init_system(&e, v);
	return emulation_deliver(&e);
}
