/* SPDX-License-Identifier: GPL-2.0-only */
/* Reading back what an entry would load, and the names of its errors. */
#include "vmx/vmcs.h"
#include "vmx/vmx.h"
#include "vmx/vmx_check.h"

static void read_event(struct vmx_guest_state *s)
{
	s->interruption_info = vmcs_read32(VMCS_ENTRY_INTERRUPTION_INFO);
	s->instruction_length = vmcs_read32(VMCS_ENTRY_INSTRUCTION_LENGTH);
	s->error_code = vmcs_read32(VMCS_ENTRY_ERROR_CODE);
}

static void read_state(const struct vcpu *v, struct vmx_guest_state *s)
{
	struct vcpu *loaded = vmx_cpu.loaded;

	*s = (struct vmx_guest_state){
		.cr0 = vmcs_read(VMCS_GUEST_CR0),
		.cr3 = vmcs_read(VMCS_GUEST_CR3),
		.cr4 = vmcs_read(VMCS_GUEST_CR4),
		.dr7 = vmcs_read(VMCS_GUEST_DR7),
		.debugctl = vmcs_read64(VMCS_GUEST_DEBUGCTL),
		.efer_loaded = vmx_cpu.caps.has.efer_load,
		.efer = vmx_cpu.caps.has.efer_load ? vmcs_read64(VMCS_GUEST_EFER) : 0,
		.entry_controls = vmcs_read32(VMCS_ENTRY_CONTROLS),
		.maxphyaddr = vmx_cpu.maxphyaddr,
		.sysenter_esp = vmcs_read(VMCS_GUEST_SYSENTER_ESP),
		.sysenter_eip = vmcs_read(VMCS_GUEST_SYSENTER_EIP),
		.gdt_limit = vmcs_read32(VMCS_GUEST_GDTR_LIMIT),
		.idt_limit = vmcs_read32(VMCS_GUEST_IDTR_LIMIT),
		.rip = vmcs_read(VMCS_GUEST_RIP),
		.rflags = vmcs_read(VMCS_GUEST_RFLAGS),
		.activity = vmcs_read32(VMCS_GUEST_ACTIVITY),
		.interruptibility = vmcs_read32(VMCS_GUEST_INTERRUPTIBILITY),
		.pending_debug = vmcs_read(VMCS_GUEST_PENDING_DEBUG),
		.link_pointer = vmcs_read64(VMCS_LINK_POINTER),
	};
	read_event(s);
	for (int i = 0; i < SEG_COUNT; i++)
		vmx_backend.get_segment(loaded, i, &s->segment[i]);
	vmx_backend.get_gdt(loaded, &s->gdt);
	vmx_backend.get_idt(loaded, &s->idt);
}

bool vmx_can_run(struct vcpu *v)
{
	struct vmx_guest_state s = {
		.rflags = v->regs.rflags,
		.entry_controls = vmx_of(v)->entry_controls,
	};

	for (int i = 0; i < SEG_COUNT; i++)
		vmx_backend.get_segment(v, i, &s.segment[i]);
	return !vmx_check_segments(&s);
}

const char *vmx_check_current(const struct vcpu *v)
{
	struct vmx_guest_state s;

	read_state(v, &s);
	return vmx_check_guest_state(&s, &vmx_cpu.caps);
}

/* SDM vol. 3, "VM Instruction Error Numbers". */
const char *vmx_instruction_error_name(uint32_t error)
{
	static const char *const names[] = {
		[1] = "VMCALL in VMX root operation",
		[2] = "VMCLEAR with an invalid address",
		[3] = "VMCLEAR with the VMXON pointer",
		[4] = "VMLAUNCH with a VMCS that is not clear",
		[5] = "VMRESUME with a VMCS that is not launched",
		[6] = "VMRESUME after VMXOFF",
		[7] = "invalid control fields",
		[8] = "invalid host-state fields",
		[9] = "VMPTRLD with an invalid address",
		[10] = "VMPTRLD with the VMXON pointer",
		[11] = "VMPTRLD with a wrong revision",
		[12] = "VMREAD or VMWRITE of an unsupported field",
		[13] = "VMWRITE to a read-only field",
		[15] = "VMXON in VMX root operation",
		[16] = "invalid executive-VMCS pointer",
		[17] = "executive VMCS that is not launched",
		[18] = "executive-VMCS pointer is not the VMXON pointer",
		[19] = "VMCALL with a VMCS that is not clear",
		[20] = "VMCALL with invalid exit controls",
		[22] = "VMCALL with a wrong MSEG revision",
		[23] = "VMXOFF under dual-monitor treatment",
		[24] = "VMCALL with invalid SMM-monitor features",
		[25] = "invalid execution controls in the executive VMCS",
		[26] = "events blocked by MOV SS",
		[28] = "invalid operand to INVEPT or INVVPID",
	};

	if (error < ARRAY_SIZE(names) && names[error])
		return names[error];
	return "unknown VM-instruction error";
}
