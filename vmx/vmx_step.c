/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One instruction on the hardware, then an exit. Nothing is injected during a
 * step; what an instruction raises ends it.
 *
 *   MTF          the monitor trap flag, where it works: Bochs 2.7 shows it in
 *                the capabilities and does not know it. The first step asks
 *                for both this and the next, and what comes decides
 *   NMI window   entered as if MOV SS had just been executed, with NMI-window
 *                exiting: the window opens, and the CPU exits, behind the one
 *                instruction. Where there are virtual NMIs and none is blocked
 *   TF           the guest's own trap flag, borrowed. All exceptions exit
 *                meanwhile, so that none pushes the flag; what POPF and IRET
 *                load is the guest's, and what PUSHF pushed is put right
 *
 * The first two are exact for every instruction, the guest's single-stepping
 * included. TF is left for a handler of NMIs and the oldest CPUs; SYSCALL and
 * the like may clear or show it there, and MOV SS takes the next instruction
 * with it. A step that did not end with its instruction ends at the next exit.
 */
#include <asm/vmx.h>
#include "lib/log.h"
#include "vmx/vmcs.h"
#include "vmx/vmx.h"

static enum vmx_step choose(void)
{
	if (vmx_cpu.mtf == VMX_MTF_WORKS)
		return VMX_STEP_MTF;
	if (vmx_cpu.caps.has.virtual_nmis && !(vmx_interruptibility() & INTERRUPTIBILITY_NMI))
		return VMX_STEP_NMI_WINDOW;
	return VMX_STEP_TF;
}

static void set_shadow(uint32_t shadow)
{
	vmcs_write32(VMCS_GUEST_INTERRUPTIBILITY, (vmx_interruptibility() & ~INTERRUPTIBILITY_SHADOW) | shadow);
}

/* ---- NMI window ---------------------------------------------------------------- */

/* Before each entry, as an exit on the way may have ended the shadow. With TF
 * set the trap of the instruction before must be pending in a shadow; it joins
 * that of this one. */
static void arm_window(struct vcpu *v, struct vmx_vcpu *x)
{
	set_shadow(INTERRUPTIBILITY_MOV_SS);
	if (v->regs.rflags & X86_EFLAGS_TF)
		vmcs_write(VMCS_GUEST_PENDING_DEBUG, vmcs_read(VMCS_GUEST_PENDING_DEBUG) | DR6_BS);
	vmx_set_proc_control(x, PROC_NMI_WINDOW_EXITING, true);
}

/* The shadow is again what it was, if the instruction did not run; else it is
 * over, but for the one that MOV SS itself makes, which this one has hidden. */
static void disarm_window(struct vcpu *v, struct vmx_vcpu *x)
{
	bool hid_shadow = x->step_done && v->step_opcode == OPCODE_LOAD_SS;
	bool trap = v->regs.rflags & X86_EFLAGS_TF;

	vmx_set_proc_control(x, PROC_NMI_WINDOW_EXITING, false);
	if (x->step_done && !hid_shadow)
		return;
	set_shadow(hid_shadow ? INTERRUPTIBILITY_MOV_SS : x->step_shadow);
	if (hid_shadow || !(x->step_shadow & INTERRUPTIBILITY_MOV_SS))
		vmcs_write(VMCS_GUEST_PENDING_DEBUG, trap && (hid_shadow || x->step_shadow) ? DR6_BS : 0);
}

/* ---- TF ------------------------------------------------------------------------ */

/* An entry with TF set and a shadow would need a trap that is pending. */
static void arm_tf(struct vcpu *v, struct vmx_vcpu *x)
{
	x->step_held = vmx_insn_done(v);
	x->guest_tf = v->regs.rflags & X86_EFLAGS_TF;
	v->regs.rflags |= X86_EFLAGS_TF;
	vmx_set_exception_bitmap(true);
}

static void disarm_tf(struct vcpu *v, struct vmx_vcpu *x)
{
	bool loaded_by_guest = x->step_done && (v->step_opcode == OPCODE_POPF || v->step_opcode == OPCODE_IRET);

	vmx_set_exception_bitmap(false);
	if (loaded_by_guest || x->guest_tf)
		return;
	v->regs.rflags &= ~(uint64_t)X86_EFLAGS_TF;
	if (x->step_done && v->step_opcode == OPCODE_PUSHF)
		vcpu_step_hide_pushed_tf(v);
}

/* ---- the step ------------------------------------------------------------------ */

static void disarm(struct vcpu *v, struct vmx_vcpu *x)
{
	switch (x->step) {
	case VMX_STEP_MTF:
		vmx_set_proc_control(x, PROC_MONITOR_TRAP_FLAG, false);
		break;
	case VMX_STEP_NMI_WINDOW:
		disarm_window(v, x);
		break;
	case VMX_STEP_TF:
		disarm_tf(v, x);
		break;
	case VMX_STEP_NONE:
		break;
	}
	if (v->v86.borrowed)
		vmx_set_exception_bitmap(false);
	x->step = VMX_STEP_NONE;
}

static void arm(struct vcpu *v, struct vmx_vcpu *x)
{
	x->step = choose();
	x->step_done = false;
	x->step_rip = v->regs.rip;
	x->step_shadow = vmx_interruptibility() & INTERRUPTIBILITY_SHADOW;
	if (v->v86.borrowed)
		vmx_set_exception_bitmap(true);
	if (x->step == VMX_STEP_TF)
		arm_tf(v, x);
	else if (vmx_cpu.mtf != VMX_MTF_NONE)
		vmx_set_proc_control(x, PROC_MONITOR_TRAP_FLAG, true);
}

void vmx_step_enter(struct vcpu *v)
{
	struct vmx_vcpu *x = vmx_of(v);

	if (x->step == VMX_STEP_NONE)
		arm(v, x);
	if (x->step == VMX_STEP_NMI_WINDOW)
		arm_window(v, x);
}

void vmx_single_step(struct vcpu *v, bool on)
{
	if (!on) {
		disarm(v, vmx_of(v));
		return;
	}
	v->window = v->nmi_window = false;
	vmx_windows_changed(v);
}

/* ---- its end --------------------------------------------------------------------- */

static void step_over(struct vcpu *v)
{
	vmx_of(v)->step_done = true;
	vcpu_step_done(v);
}

void vmx_step_check(struct vcpu *v)
{
	if (v->stepping && v->regs.rip != vmx_of(v)->step_rip)
		step_over(v);
}

static void judge_mtf(bool it_came)
{
	if (vmx_cpu.mtf != VMX_MTF_UNTRIED)
		return;
	vmx_cpu.mtf = it_came ? VMX_MTF_WORKS : VMX_MTF_NONE;
	if (!it_came)
		log_info("the monitor trap flag of this CPU does nothing: instructions are stepped without");
}

/* A monitor trap comes before the debug traps of the same instruction, and
 * they wait; those of MOV SS wait for the next one. */
enum vcpu_action vmx_step_exit(struct vcpu *v)
{
	bool by_mtf = vmx_of(v)->exit_reason == EXIT_REASON_MONITOR_TRAP_FLAG;
	uint64_t causes = 0;

	judge_mtf(by_mtf);
	if (by_mtf && !(vmx_interruptibility() & INTERRUPTIBILITY_MOV_SS))
		causes = vmx_take_pending_debug();
	step_over(v);
	return causes ? vcpu_inject_debug(v, causes) : VCPU_RESUME;
}

/* Traps of MOV SS wait for the next instruction. */
static void hold(uint64_t causes)
{
	uint64_t pending = vmcs_read(VMCS_GUEST_PENDING_DEBUG) | causes;

	if (causes & ~DR6_BS)
		pending |= PENDING_DEBUG_ENABLED;
	vmcs_write(VMCS_GUEST_PENDING_DEBUG, pending);
}

uint64_t vmx_step_trap(struct vcpu *v, uint64_t causes)
{
	struct vmx_vcpu *x = vmx_of(v);
	enum vmx_step step = x->step;
	bool load_ss = v->step_opcode == OPCODE_LOAD_SS;

	if (step == VMX_STEP_TF && !(causes & DR6_BS))
		return causes; /* a breakpoint at the instruction itself */
	step_over(v);
	if (step == VMX_STEP_TF)
		return x->step_held | (x->guest_tf ? causes : causes & ~DR6_BS);
	if (step != VMX_STEP_NMI_WINDOW || !load_ss)
		return causes;
	hold(causes);
	return 0;
}
