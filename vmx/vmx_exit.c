/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * VM exits: one table, one handler per reason. An empty row stops that VM
 * with a dump; nothing is resumed silently. Handlers translate what the VMCS
 * says into the neutral calls of vcpu/, and never move rip themselves.
 */
#include <asm/vmx.h>
#include "lib/log.h"
#include "vcpu/hypercall.h"
#include "vmx/cpu.h"
#include "vmx/vmcs.h"
#include "vmx/vmx.h"

#define EXIT_REASON_GETSEC 11
#define EXIT_REASON_MASK 0xFFFFu

#define INTERRUPTION_VECTOR 0xFFu
#define INTERRUPTION_TYPE(info) ((info) >> INTERRUPTION_TYPE_SHIFT & 7)
#define INTERRUPTION_NMI_UNBLOCKED (1u << 12) /* by an IRET that then faulted */
#define TYPE_NMI 2

#define DEBUG_CAUSES 0x600Full /* B0-B3, BD, BS */

typedef enum vcpu_action exit_handler(struct vcpu *v);

static uint64_t qualification(void) { return vmcs_read(VMCS_EXIT_QUALIFICATION); }

/* ---- events ---------------------------------------------------------------- */

static struct vcpu_event event_from(uint32_t info, uint32_t error_code)
{
	static const uint8_t types[8] = {
		[0] = EVENT_EXTERNAL,
		[2] = EVENT_NMI,
		[3] = EVENT_HARDWARE_EXCEPTION,
		[4] = EVENT_SOFTWARE_INTERRUPT,
		[5] = EVENT_PRIVILEGED_SOFTWARE,
		[6] = EVENT_SOFTWARE_EXCEPTION,
	};
	struct vcpu_event e = {
		.pending = true,
		.vector = info & INTERRUPTION_VECTOR,
		.has_error_code = info & INTERRUPTION_ERROR_CODE,
		.type = types[INTERRUPTION_TYPE(info)],
	};

	if (e.has_error_code)
		e.error_code = error_code;
	if (e.type >= EVENT_SOFTWARE_INTERRUPT)
		e.insn_len = (uint8_t)vmcs_read32(VMCS_EXIT_INSTRUCTION_LENGTH);
	return e;
}

/* An event whose delivery this exit interrupted is delivered again, unless
 * the handler puts another in its place. */
static void requeue_event(struct vcpu *v)
{
	uint32_t info = vmcs_read32(VMCS_IDT_VECTORING_INFO);
	struct vcpu_event e;

	v->event.pending = false;
	if (!(info & INTERRUPTION_VALID))
		return;
	e = event_from(info, info & INTERRUPTION_ERROR_CODE ? vmcs_read32(VMCS_IDT_VECTORING_ERROR_CODE) : 0);
	vcpu_event_interrupted(v, &e);
}

/* INT1 is no #DB: DR6 and DR7 do not know of it. */
static enum vcpu_action on_debug_exception(struct vcpu *v, uint32_t info)
{
	uint64_t causes = qualification() & DEBUG_CAUSES;
	struct vcpu_event e = event_from(info, 0);

	if (e.type == EVENT_PRIVILEGED_SOFTWARE)
		return vcpu_inject(v, &e);
	if (v->stepping)
		causes = vmx_step_trap(v, causes);
	return causes ? vcpu_inject_debug(v, causes) : VCPU_RESUME;
}

static enum vcpu_action handle_exception(struct vcpu *v, uint32_t info)
{
	uint32_t error_code = info & INTERRUPTION_ERROR_CODE ? vmcs_read32(VMCS_EXIT_INTERRUPTION_ERROR_CODE) : 0;
	struct vcpu_event e;

	if (INTERRUPTION_TYPE(info) == TYPE_NMI) { /* the host's */
		asm volatile("int $2");
		return VCPU_RESUME;
	}
	if ((info & INTERRUPTION_VECTOR) == EXC_DB)
		return on_debug_exception(v, info);
	vmx_step_check(v);
	switch (info & INTERRUPTION_VECTOR) {
	case EXC_PF:
		return vcpu_page_fault(v, gva(qualification()), error_code);
	case EXC_MC: /* the machine's own, not the guest's business */
		asm volatile("int $18");
		return VCPU_RESUME;
	}
	e = event_from(info, error_code);
	return vcpu_inject(v, &e);
}

/* An IRET that faults has ended the blocking of NMIs all the same, unless the
 * fault was not the guest's and it runs again. */
static enum vcpu_action on_exception(struct vcpu *v)
{
	uint32_t info = vmcs_read32(VMCS_EXIT_INTERRUPTION_INFO);
	bool by_iret = info & INTERRUPTION_NMI_UNBLOCKED && !v->event.pending &&
		       (info & INTERRUPTION_VECTOR) != EXC_DF;
	enum vcpu_action action = handle_exception(v, info);

	if (by_iret && !v->event.pending)
		vmx_set_nmi_blocked(v, true);
	return action;
}

static enum vcpu_action on_external_interrupt(struct vcpu *v)
{
	cpu_interrupt_gap();
	return VCPU_YIELD;
}

/* Whatever waits is looked at anew before the next entry. */
static enum vcpu_action on_window(struct vcpu *v)
{
	v->window = v->nmi_window = false;
	vmx_windows_changed(v);
	return VCPU_RESUME;
}

static enum vcpu_action on_nmi_window(struct vcpu *v)
{
	return vmx_of(v)->step == VMX_STEP_NMI_WINDOW ? vmx_step_exit(v) : on_window(v);
}

static enum vcpu_action on_triple_fault(struct vcpu *v)
{
	return vcpu_stop(v, VCPU_STOP_TRIPLE_FAULT, 0, "a fault while a double fault was delivered");
}

/* SDM vol. 3, "Exit Qualification for Task Switches". */
static enum vcpu_action on_task_switch(struct vcpu *v)
{
	static const enum emul_task_source sources[] = { EMUL_TASK_CALL, EMUL_TASK_IRET, EMUL_TASK_JMP, EMUL_TASK_GATE };
	uint64_t q = qualification();
	const struct vcpu_event *e = &v->event;
	struct emul_task_switch t = { .selector = (uint16_t)q, .source = sources[q >> 30 & 3] };
	bool by_event = t.source == EMUL_TASK_GATE && e->pending;

	vmx_sync_cr(v);
	if (by_event) {
		t.has_error_code = e->has_error_code;
		t.error_code = e->error_code;
	}
	return vcpu_exit_task_switch(v, &t, by_event && e->type < EVENT_SOFTWARE_INTERRUPT ? 0 : vmx_insn_len(v));
}

/* ---- instructions ------------------------------------------------------------ */

/* SDM vol. 3, "Exit Qualification for Control-Register Accesses". */
static enum vcpu_action on_cr_access(struct vcpu *v)
{
	uint64_t q = qualification();
	unsigned int nr = q & 15;
	enum gpr gpr = q >> 8 & 15;

	vmx_sync_cr(v);
	switch (q >> 4 & 3) {
	case 0:
		return vcpu_exit_mov_to_cr(v, nr, gpr);
	case 1:
		return vcpu_exit_mov_from_cr(v, nr, gpr);
	case 2:
		return vcpu_exit_clts(v);
	default:
		return vcpu_exit_lmsw(v, (uint16_t)(q >> 16));
	}
}

/* SDM vol. 3, "Exit Qualification for MOV DR". */
static enum vcpu_action on_dr_access(struct vcpu *v)
{
	uint64_t q = qualification();

	vmx_sync_cr(v);
	return vcpu_exit_mov_dr(v, q & 7, q >> 8 & 15, !(q & 16));
}

/* SDM vol. 3, "Exit Qualification for I/O Instructions". */
static enum vcpu_action on_io(struct vcpu *v)
{
	uint64_t q = qualification();
	bool in = q & 8, string = q & 16;

	if (vcpu_has_breakpoints(v))
		vmx_sync_cr(v); /* CR4.DE: they may be on ports */
	if (string)
		return vcpu_emulate(v, NULL);
	return vcpu_port_io(v, in, (uint16_t)(q >> 16), (unsigned int)(q & 7) + 1);
}

static enum vcpu_action on_msr_read(struct vcpu *v) { return vcpu_exit_msr(v, false); }

static enum vcpu_action on_msr_write(struct vcpu *v)
{
	vmx_sync_cr(v); /* EFER makes paging_changed() write CR0 and CR4 */
	return vcpu_exit_msr(v, true);
}

static enum vcpu_action on_invlpg(struct vcpu *v) { return vcpu_exit_invlpg(v, gva(qualification())); }

/* Who halts has returned from its NMI, as far as can be known without virtual NMIs. */
static enum vcpu_action on_hlt(struct vcpu *v)
{
	if (!vmx_cpu.caps.has.virtual_nmis)
		vmx_set_nmi_blocked(v, false);
	return vcpu_exit_hlt(v);
}

/* Nothing a guest has in the caches is lost, and no device reads behind them. */
static enum vcpu_action on_cache_flush(struct vcpu *v) { return VCPU_NEXT_INSN; }

/* Instructions that CPUID does not show. */
static enum vcpu_action on_undefined(struct vcpu *v) { return vcpu_inject_exception(v, EXC_UD); }

static enum vcpu_action on_rdpmc(struct vcpu *v) { return vcpu_inject_error(v, EXC_GP, 0); }

/* ---- failed entries ------------------------------------------------------------ */

static enum vcpu_action on_invalid_state(struct vcpu *v)
{
	const char *check = vmx_check_current(v);

	if (!check)
		check = "none of our checks says why";
	log_error("%s: VM entry refused: guest state: %s (qualification %llu)", v->name, check,
		  (unsigned long long)qualification());
	return vcpu_stop(v, VCPU_STOP_INVALID_STATE, EXIT_REASON_INVALID_STATE, check);
}

static enum vcpu_action on_entry_failure(struct vcpu *v)
{
	return vcpu_stop(v, VCPU_STOP_INVALID_STATE, vmx_of(v)->exit_reason,
			 vmx_exit_name(vmx_of(v)->exit_reason));
}

/* ---- dispatch ------------------------------------------------------------------ */

static exit_handler *const handlers[VMX_EXIT_REASONS_MAX] = {
	[EXIT_REASON_EXCEPTION_NMI] = on_exception,
	[EXIT_REASON_EXTERNAL_INTERRUPT] = on_external_interrupt,
	[EXIT_REASON_TRIPLE_FAULT] = on_triple_fault,
	[EXIT_REASON_INTERRUPT_WINDOW] = on_window,
	[EXIT_REASON_NMI_WINDOW] = on_nmi_window,
	[EXIT_REASON_TASK_SWITCH] = on_task_switch,
	[EXIT_REASON_CPUID] = vcpu_exit_cpuid,
	[EXIT_REASON_GETSEC] = on_undefined,
	[EXIT_REASON_HLT] = on_hlt,
	[EXIT_REASON_INVD] = on_cache_flush,
	[EXIT_REASON_INVLPG] = on_invlpg,
	[EXIT_REASON_RDPMC] = on_rdpmc,
	[EXIT_REASON_VMCALL] = vcpu_exit_hypercall,
	[EXIT_REASON_VMCLEAR] = on_undefined,
	[EXIT_REASON_VMLAUNCH] = on_undefined,
	[EXIT_REASON_VMPTRLD] = on_undefined,
	[EXIT_REASON_VMPTRST] = on_undefined,
	[EXIT_REASON_VMREAD] = on_undefined,
	[EXIT_REASON_VMRESUME] = on_undefined,
	[EXIT_REASON_VMWRITE] = on_undefined,
	[EXIT_REASON_VMOFF] = on_undefined,
	[EXIT_REASON_VMON] = on_undefined,
	[EXIT_REASON_CR_ACCESS] = on_cr_access,
	[EXIT_REASON_DR_ACCESS] = on_dr_access,
	[EXIT_REASON_IO_INSTRUCTION] = on_io,
	[EXIT_REASON_MSR_READ] = on_msr_read,
	[EXIT_REASON_MSR_WRITE] = on_msr_write,
	[EXIT_REASON_INVALID_STATE] = on_invalid_state,
	[EXIT_REASON_MSR_LOAD_FAIL] = on_entry_failure,
	[EXIT_REASON_MCE_DURING_VMENTRY] = on_entry_failure,
	[EXIT_REASON_MWAIT_INSTRUCTION] = on_undefined,
	[EXIT_REASON_MONITOR_TRAP_FLAG] = vmx_step_exit,
	[EXIT_REASON_MONITOR_INSTRUCTION] = on_undefined,
	[EXIT_REASON_INVEPT] = on_undefined,
	[EXIT_REASON_INVVPID] = on_undefined,
	[EXIT_REASON_WBINVD] = on_cache_flush,
	[EXIT_REASON_XSETBV] = vcpu_exit_xsetbv,
	[EXIT_REASON_RDRAND] = on_undefined,
	[EXIT_REASON_INVPCID] = on_undefined,
	[EXIT_REASON_VMFUNC] = on_undefined,
	[EXIT_REASON_RDSEED] = on_undefined,
};

const char *vmx_exit_name(uint32_t reason)
{
	static const struct {
		uint32_t reason;
		const char *name;
	} names[] = { VMX_EXIT_REASONS, { EXIT_REASON_GETSEC, "GETSEC" } };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].reason == reason)
			return names[i].name;
	return "unknown exit";
}

static enum vcpu_action unhandled(struct vcpu *v, uint32_t reason)
{
	log_error("%s: no handler for VM exit %u (%s), qualification 0x%llx", v->name, reason,
		  vmx_exit_name(reason), (unsigned long long)qualification());
	return vcpu_stop(v, VCPU_STOP_UNHANDLED_EXIT, reason, vmx_exit_name(reason));
}

/* Or may: of exceptions only #DB does. */
static bool ends_step(uint32_t reason)
{
	return reason == EXIT_REASON_MONITOR_TRAP_FLAG || reason == EXIT_REASON_NMI_WINDOW ||
	       reason == EXIT_REASON_EXCEPTION_NMI;
}

enum vcpu_action vmx_exit_handle(struct vcpu *v)
{
	struct vmx_vcpu *x = vmx_of(v);
	uint32_t reason = vmcs_read32(VMCS_EXIT_REASON) & EXIT_REASON_MASK;

	x->exit_reason = reason;
	vmx_unblock_host_nmis(v);
	requeue_event(v);
	if (reason >= VMX_EXIT_REASONS_MAX || !handlers[reason] || reason == vmx_cpu.refused_exit)
		return unhandled(v, reason);
	x->exits[reason]++;
	if (!ends_step(reason))
		vmx_step_check(v);
	return handlers[reason](v);
}

void vmx_log_exits(const struct vcpu *v)
{
	const struct vmx_vcpu *x = vmx_of(v);

	log_info("%s: %llu VM exits, %llu instructions emulated, %llu of them interpreted, %llu stepped, %llu events delivered",
		 v->name, (unsigned long long)v->exits, (unsigned long long)v->emulated,
		 (unsigned long long)v->interpreted, (unsigned long long)v->stepped, (unsigned long long)v->delivered);
	for (uint32_t i = 0; i < VMX_EXIT_REASONS_MAX; i++)
		if (x->exits[i])
			log_info("  %-24s %12llu", vmx_exit_name(i), (unsigned long long)x->exits[i]);
}
