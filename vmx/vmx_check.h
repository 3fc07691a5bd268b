/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Would the CPU accept this guest state? Our own version of SDM vol. 3,
 * "Checking and Loading Guest State", for debug builds and to explain an
 * entry that the CPU refused. Pure: the state is a struct.
 */
#ifndef VMX_VMX_CHECK_H
#define VMX_VMX_CHECK_H

#include "lib/types.h"
#include "lib/x86.h"
#include "vmx/vmx_caps.h"

struct vmx_guest_state {
	uint64_t cr0, cr3, cr4, dr7, debugctl, efer;
	bool efer_loaded;        /* the entry loads efer */
	uint32_t entry_controls;
	uint8_t maxphyaddr;
	uint64_t sysenter_esp, sysenter_eip;
	struct segment segment[SEG_COUNT];
	struct descriptor_table gdt, idt;
	uint32_t gdt_limit, idt_limit;
	uint64_t rip, rflags;
	uint32_t activity, interruptibility;
	uint64_t pending_debug, link_pointer;
	uint32_t interruption_info; /* the event to be injected; bit 31: there is one */
	uint32_t instruction_length;
	uint32_t error_code;
};

/* The part on segment registers: looks at segment, rflags and entry_controls alone. */
const char *vmx_check_segments(const struct vmx_guest_state *s);

/* The first check that fails, in words; NULL when all hold. */
const char *vmx_check_guest_state(const struct vmx_guest_state *s, const struct vmx_caps *caps);

#endif
