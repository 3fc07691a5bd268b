/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What blocks events in a guest, and how one is put in: the interruptibility
 * state, the windows, the blocking of NMIs, debug exceptions that are held
 * back, the injected event.
 *
 * NMIs: with virtual NMIs the CPU itself blocks them from the delivery of one
 * to the guest's IRET, and can exit when it no longer does. Without, nothing
 * tells of an IRET: the blocking counts as over when the guest can take
 * interrupts again, or halts, which comes later if at all.
 *
 * Invariant: at a VM entry with an interrupt shadow, a single-step trap is
 * pending exactly if RFLAGS.TF is set (SDM vol. 3, "Checks on Guest Non-
 * Register State"). The CPU leaves it so; who changes one of the three here
 * changes the others.
 */
#include "vmx/vmcs.h"
#include "vmx/vmx.h"

#define PENDING_DEBUG_HITS 0xFull

static bool has_virtual_nmis(void) { return vmx_cpu.caps.has.virtual_nmis; }

uint32_t vmx_interruptibility(void) { return vmcs_read32(VMCS_GUEST_INTERRUPTIBILITY); }

static void set_interruptibility(uint32_t old, uint32_t val)
{
	if (val != old)
		vmcs_write32(VMCS_GUEST_INTERRUPTIBILITY, val);
}

/* ---- the interrupt shadow ---------------------------------------------------- */

uint64_t vmx_take_pending_debug(void)
{
	uint64_t pending = vmcs_read(VMCS_GUEST_PENDING_DEBUG), causes = pending & DR6_BS;

	if (pending)
		vmcs_write(VMCS_GUEST_PENDING_DEBUG, 0);
	if (pending & PENDING_DEBUG_ENABLED)
		causes |= pending & PENDING_DEBUG_HITS;
	return causes;
}

/* Debug traps wait behind MOV SS only. */
uint64_t vmx_insn_done(struct vcpu *v)
{
	uint32_t val = vmx_interruptibility();

	set_interruptibility(val, val & ~INTERRUPTIBILITY_SHADOW);
	return val & INTERRUPTIBILITY_MOV_SS ? vmx_take_pending_debug() : 0;
}

/* ---- windows ----------------------------------------------------------------- */

bool vmx_interrupts_open(struct vcpu *v)
{
	return v->regs.rflags & X86_EFLAGS_IF && !(vmx_interruptibility() & INTERRUPTIBILITY_SHADOW);
}

/* Without virtual NMIs their window is that of interrupts. */
void vmx_windows_changed(struct vcpu *v)
{
	struct vmx_vcpu *x = vmx_of(v);
	bool by_interrupts = v->nmi_window && !has_virtual_nmis();

	vmx_set_proc_control(x, PROC_INTERRUPT_WINDOW_EXITING, v->window || by_interrupts);
	vmx_set_proc_control(x, PROC_NMI_WINDOW_EXITING, v->nmi_window && !by_interrupts);
}

/* ---- NMIs -------------------------------------------------------------------- */

bool vmx_nmi_blocked(struct vcpu *v)
{
	struct vmx_vcpu *x = vmx_of(v);

	if (has_virtual_nmis())
		return vmx_interruptibility() & INTERRUPTIBILITY_NMI;
	if (vmx_interrupts_open(v))
		x->nmi_blocked = false;
	return x->nmi_blocked;
}

void vmx_set_nmi_blocked(struct vcpu *v, bool blocked)
{
	uint32_t val = vmx_interruptibility();

	vmx_of(v)->nmi_blocked = blocked;
	/* Without virtual NMIs the bit would block the host's own. */
	if (!has_virtual_nmis())
		blocked = false;
	set_interruptibility(val, blocked ? val | INTERRUPTIBILITY_NMI : val & ~INTERRUPTIBILITY_NMI);
}

void vmx_unblock_host_nmis(struct vcpu *v)
{
	if (!has_virtual_nmis() && vmx_of(v)->nmi_blocked)
		vmx_set_nmi_blocked(v, true);
}

/* Not behind STI either: some CPUs refuse such an entry. */
bool vmx_nmi_open(struct vcpu *v)
{
	return !(vmx_interruptibility() & INTERRUPTIBILITY_SHADOW) && !vmx_nmi_blocked(v);
}

/* ---- all of it, for a snapshot -------------------------------------------------- */

void vmx_get_interruptibility(struct vcpu *v, struct vcpu_interruptibility *out)
{
	uint32_t val = vmx_interruptibility();

	out->pending_debug = vmcs_read(VMCS_GUEST_PENDING_DEBUG);
	out->sti = val & INTERRUPTIBILITY_STI;
	out->mov_ss = val & INTERRUPTIBILITY_MOV_SS;
	out->nmi = vmx_nmi_blocked(v);
}

void vmx_set_interruptibility(struct vcpu *v, const struct vcpu_interruptibility *in)
{
	vmcs_write32(VMCS_ENTRY_INTERRUPTION_INFO, 0);
	vmcs_write(VMCS_GUEST_PENDING_DEBUG, in->pending_debug);
	vmcs_write32(VMCS_GUEST_INTERRUPTIBILITY,
		     (in->sti ? INTERRUPTIBILITY_STI : 0) | (in->mov_ss ? INTERRUPTIBILITY_MOV_SS : 0));
	vmx_set_nmi_blocked(v, in->nmi);
}

/* ---- injection --------------------------------------------------------------- */

/* SDM vol. 3, "VM-Entry Interruption-Information Field": its types. */
static const uint8_t interruption_type[] = {
	[EVENT_EXTERNAL] = 0,	       [EVENT_NMI] = 2,			[EVENT_HARDWARE_EXCEPTION] = 3,
	[EVENT_SOFTWARE_INTERRUPT] = 4, [EVENT_PRIVILEGED_SOFTWARE] = 5, [EVENT_SOFTWARE_EXCEPTION] = 6,
};

/* What waits for the end of a shadow is lost with it when an event comes. A
 * #DB has taken its trap out of the field, and the shadow may still be there. */
static void clear_what_the_event_ends(const struct vcpu *v)
{
	uint32_t val = vmx_interruptibility();

	if (!(val & INTERRUPTIBILITY_SHADOW))
		return;
	set_interruptibility(val, val & ~INTERRUPTIBILITY_SHADOW);
	vmcs_write(VMCS_GUEST_PENDING_DEBUG, 0);
}

void vmx_write_event(struct vcpu *v)
{
	const struct vcpu_event *e = &v->event;
	uint32_t info = INTERRUPTION_VALID | e->vector | (uint32_t)interruption_type[e->type] << INTERRUPTION_TYPE_SHIFT;

	if (v->regs.rflags & X86_EFLAGS_TF)
		clear_what_the_event_ends(v);
	if (e->type == EVENT_NMI) { /* an entry with one blocked is refused; the CPU blocks the next */
		vmx_set_nmi_blocked(v, false);
		vmx_of(v)->nmi_blocked = true;
	}
	if (e->has_error_code) {
		info |= INTERRUPTION_ERROR_CODE;
		vmcs_write32(VMCS_ENTRY_ERROR_CODE, e->error_code);
	}
	if (e->type >= EVENT_SOFTWARE_INTERRUPT)
		vmcs_write32(VMCS_ENTRY_INSTRUCTION_LENGTH, e->insn_len);
	vmcs_write32(VMCS_ENTRY_INTERRUPTION_INFO, info);
}
