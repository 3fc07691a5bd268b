/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One instruction on the hardware, or one event delivery, then an exit.
 *
 *   MTF          the monitor trap flag: exact for both; where present
 *   TF           the guest's own trap flag, borrowed: for an instruction.
 *                All exceptions exit meanwhile, so that none pushes the flag;
 *                what POPF and IRET load is the guest's, and what PUSHF
 *                pushed is put right.
 *   NMI window   for an event: the window of virtual NMIs is open at the first
 *                instruction of the handler, TF would be in the pushed image
 *
 * Which one is needed may change between two entries of one step, when the
 * stepped instruction turns out to be a software interrupt.
 */
#include "vmx/vmcs.h"
#include "vmx/vmx.h"

static enum vmx_step choose(const struct vcpu *v)
{
	const struct vmx_features *has = &vmx_cpu.caps.has;

	if (has->mtf)
		return VMX_STEP_MTF;
	if (!v->event.pending)
		return VMX_STEP_TF;
	return has->nmi_window ? VMX_STEP_NMI_WINDOW : VMX_STEP_NONE;
}

static void give_tf_back(struct vcpu *v, struct vmx_vcpu *x)
{
	bool loaded_by_guest = x->step_done && (v->step_opcode == OPCODE_POPF || v->step_opcode == OPCODE_IRET);

	vmx_set_exception_bitmap(false);
	if (loaded_by_guest || x->guest_tf)
		return;
	v->regs.rflags &= ~(uint64_t)X86_EFLAGS_TF;
	if (x->step_done && v->step_opcode == OPCODE_PUSHF)
		vcpu_step_hide_pushed_tf(v);
}

static void disarm(struct vcpu *v, struct vmx_vcpu *x)
{
	switch (x->step) {
	case VMX_STEP_MTF:
		vmx_set_proc_control(x, PROC_MONITOR_TRAP_FLAG, false);
		break;
	case VMX_STEP_NMI_WINDOW:
		vmx_set_proc_control(x, PROC_NMI_WINDOW_EXITING, false);
		break;
	case VMX_STEP_TF:
		give_tf_back(v, x);
		break;
	case VMX_STEP_NONE:
		break;
	}
	x->step = VMX_STEP_NONE;
}

/* Before each entry of a step. False: this CPU has no way to do it. */
bool vmx_step_arm(struct vcpu *v)
{
	struct vmx_vcpu *x = vmx_of(v);
	enum vmx_step want = choose(v);

	if (x->step == want && want != VMX_STEP_NONE)
		return true;
	disarm(v, x);
	x->step = want;
	x->step_done = false;
	switch (want) {
	case VMX_STEP_MTF:
		vmx_set_proc_control(x, PROC_MONITOR_TRAP_FLAG, true);
		return true;
	case VMX_STEP_NMI_WINDOW:
		vmx_set_proc_control(x, PROC_NMI_WINDOW_EXITING, true);
		return true;
	case VMX_STEP_TF:
		x->guest_tf = v->regs.rflags & X86_EFLAGS_TF;
		v->regs.rflags |= X86_EFLAGS_TF;
		vmx_set_exception_bitmap(true);
		return true;
	case VMX_STEP_NONE:
		break;
	}
	return false;
}

void vmx_single_step(struct vcpu *v, bool on)
{
	/* Nothing is injected during a step, so the shadow is of no use; an
	 * entry with TF set and a shadow would be refused. */
	if (on) {
		vmx_clear_interrupt_shadow();
		if (v->window) {
			v->window = false;
			vmx_set_proc_control(vmx_of(v), PROC_INTERRUPT_WINDOW_EXITING, false);
		}
		return;
	}
	disarm(v, vmx_of(v));
}
