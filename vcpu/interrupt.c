/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * NMIs and external interrupts: when they are taken, and what they wake. An
 * NMI is latched here; what blocks it is the backend's to know.
 */
#include "vcpu/vcpu.h"

static void latch_nmi(struct vcpu *v)
{
	if (platform_nmi_take(v->platform, v->id))
		v->nmi_pending = true;
}

static bool interrupts_on(const struct vcpu *v) { return v->regs.rflags & X86_EFLAGS_IF; }

static bool interrupt_pending(struct vcpu *v) { return platform_interrupt_pending(v->platform, v->id); }

/* The windows of what is pending and cannot be taken. */
static void want_windows(struct vcpu *v, bool nmi, bool interrupt)
{
	if (v->nmi_window == nmi && v->window == interrupt)
		return;
	v->nmi_window = nmi;
	v->window = interrupt;
	v->backend->windows_changed(v);
}

/* True: it was taken. */
static bool take_nmi(struct vcpu *v)
{
	if (v->event.pending || v->interrupt_shadow || !v->backend->nmi_open(v))
		return false;
	v->nmi_pending = false;
	v->event = (struct vcpu_event){ .pending = true, .vector = EXC_NMI, .type = EVENT_NMI };
	return true;
}

static bool take_interrupt(struct vcpu *v)
{
	int vector;

	if (v->event.pending || v->interrupt_shadow || !v->backend->interrupts_open(v))
		return false;
	vector = platform_interrupt_ack(v->platform, v->id);
	if (vector >= 0)
		v->event = (struct vcpu_event){ .pending = true, .vector = (uint8_t)vector, .type = EVENT_EXTERNAL };
	return true;
}

/* An NMI that waits for an event alone is to meet its handler. Who has no window
 * would hear too late that it can: the event is delivered now, in software. */
static bool take_nmi_behind_event(struct vcpu *v)
{
	if (!v->backend->no_nmi_window || !v->event.pending || v->interrupt_shadow || !v->backend->nmi_open(v))
		return false;
	return vcpu_deliver_event(v) == VCPU_RESUME && take_nmi(v);
}

void vcpu_queue_interrupts(struct vcpu *v)
{
	bool nmi_waits, interrupt_waits;

	latch_nmi(v);
	nmi_waits = v->nmi_pending && !v->stepping && !take_nmi(v) && !take_nmi_behind_event(v);
	interrupt_waits = !v->stepping && interrupt_pending(v) && !take_interrupt(v);
	want_windows(v, nmi_waits, interrupt_waits);
}

bool vcpu_interrupt_is_due(struct vcpu *v)
{
	latch_nmi(v);
	if (v->event.pending || v->interrupt_shadow)
		return false;
	return (v->nmi_pending && v->backend->nmi_open(v)) || (interrupts_on(v) && interrupt_pending(v));
}

enum vcpu_action vcpu_halt(struct vcpu *v)
{
	latch_nmi(v);
	v->nmi_wakes = !v->backend->nmi_blocked(v);
	if (!interrupts_on(v) &&
	    !(v->nmi_wakes && (v->nmi_pending || platform_nmi_possible(v->platform, v->id))))
		return vcpu_stop(v, VCPU_STOP_HALTED, 0, "HLT with interrupts off");
	v->halted = true;
	return VCPU_RESUME;
}

bool vcpu_is_asleep(struct vcpu *v)
{
	if (!v->halted)
		return false;
	latch_nmi(v);
	if (v->event.pending || (v->nmi_pending && v->nmi_wakes) || (interrupts_on(v) && interrupt_pending(v)))
		v->halted = false;
	return v->halted;
}
