/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Fields of the current VMCS and the way to them. Names and encodings are
 * those of SDM vol. 3, "Field Encoding in VMCS". An accessor for the wrong
 * width does not compile: the width is in the encoding. A VMREAD or VMWRITE
 * that fails is our own bug or an unsupported field; it is told by name and
 * stops the VM that runs (vmcs_take_failure()).
 */
#ifndef VMX_VMCS_H
#define VMX_VMCS_H

#include "lib/compiler.h"
#include "lib/types.h"

enum vmcs_field {
	/* 16 bits */
	VMCS_VPID = 0x0000,
	VMCS_GUEST_ES_SELECTOR = 0x0800,
	VMCS_GUEST_CS_SELECTOR = 0x0802,
	VMCS_GUEST_SS_SELECTOR = 0x0804,
	VMCS_GUEST_DS_SELECTOR = 0x0806,
	VMCS_GUEST_FS_SELECTOR = 0x0808,
	VMCS_GUEST_GS_SELECTOR = 0x080A,
	VMCS_GUEST_LDTR_SELECTOR = 0x080C,
	VMCS_GUEST_TR_SELECTOR = 0x080E,
	VMCS_HOST_ES_SELECTOR = 0x0C00,
	VMCS_HOST_CS_SELECTOR = 0x0C02,
	VMCS_HOST_SS_SELECTOR = 0x0C04,
	VMCS_HOST_DS_SELECTOR = 0x0C06,
	VMCS_HOST_FS_SELECTOR = 0x0C08,
	VMCS_HOST_GS_SELECTOR = 0x0C0A,
	VMCS_HOST_TR_SELECTOR = 0x0C0C,
	/* 64 bits */
	VMCS_MSR_BITMAP = 0x2004,
	VMCS_TSC_OFFSET = 0x2010,
	VMCS_LINK_POINTER = 0x2800,
	VMCS_GUEST_DEBUGCTL = 0x2802,
	VMCS_GUEST_EFER = 0x2806,
	VMCS_HOST_EFER = 0x2C02,
	/* 32 bits */
	VMCS_PIN_CONTROLS = 0x4000,
	VMCS_PROC_CONTROLS = 0x4002,
	VMCS_EXCEPTION_BITMAP = 0x4004,
	VMCS_PF_ERROR_MASK = 0x4006,
	VMCS_PF_ERROR_MATCH = 0x4008,
	VMCS_CR3_TARGET_COUNT = 0x400A,
	VMCS_EXIT_CONTROLS = 0x400C,
	VMCS_EXIT_MSR_STORE_COUNT = 0x400E,
	VMCS_EXIT_MSR_LOAD_COUNT = 0x4010,
	VMCS_ENTRY_CONTROLS = 0x4012,
	VMCS_ENTRY_MSR_LOAD_COUNT = 0x4014,
	VMCS_ENTRY_INTERRUPTION_INFO = 0x4016,
	VMCS_ENTRY_ERROR_CODE = 0x4018,
	VMCS_ENTRY_INSTRUCTION_LENGTH = 0x401A,
	VMCS_PROC2_CONTROLS = 0x401E,
	VMCS_INSTRUCTION_ERROR = 0x4400,
	VMCS_EXIT_REASON = 0x4402,
	VMCS_EXIT_INTERRUPTION_INFO = 0x4404,
	VMCS_EXIT_INTERRUPTION_ERROR_CODE = 0x4406,
	VMCS_IDT_VECTORING_INFO = 0x4408,
	VMCS_IDT_VECTORING_ERROR_CODE = 0x440A,
	VMCS_EXIT_INSTRUCTION_LENGTH = 0x440C,
	VMCS_GUEST_ES_LIMIT = 0x4800,
	VMCS_GUEST_GDTR_LIMIT = 0x4810,
	VMCS_GUEST_IDTR_LIMIT = 0x4812,
	VMCS_GUEST_ES_ACCESS = 0x4814,
	VMCS_GUEST_CS_ACCESS = 0x4816,
	VMCS_GUEST_SS_ACCESS = 0x4818,
	VMCS_GUEST_INTERRUPTIBILITY = 0x4824,
	VMCS_GUEST_ACTIVITY = 0x4826,
	VMCS_GUEST_SYSENTER_CS = 0x482A,
	VMCS_HOST_SYSENTER_CS = 0x4C00,
	/* natural width */
	VMCS_CR0_MASK = 0x6000,
	VMCS_CR4_MASK = 0x6002,
	VMCS_CR0_SHADOW = 0x6004,
	VMCS_CR4_SHADOW = 0x6006,
	VMCS_EXIT_QUALIFICATION = 0x6400,
	VMCS_GUEST_LINEAR_ADDRESS = 0x640A,
	VMCS_GUEST_CR0 = 0x6800,
	VMCS_GUEST_CR3 = 0x6802,
	VMCS_GUEST_CR4 = 0x6804,
	VMCS_GUEST_ES_BASE = 0x6806,
	VMCS_GUEST_FS_BASE = 0x680E,
	VMCS_GUEST_GS_BASE = 0x6810,
	VMCS_GUEST_GDTR_BASE = 0x6816,
	VMCS_GUEST_IDTR_BASE = 0x6818,
	VMCS_GUEST_DR7 = 0x681A,
	VMCS_GUEST_RSP = 0x681C,
	VMCS_GUEST_RIP = 0x681E,
	VMCS_GUEST_RFLAGS = 0x6820,
	VMCS_GUEST_PENDING_DEBUG = 0x6822,
	VMCS_GUEST_SYSENTER_ESP = 0x6824,
	VMCS_GUEST_SYSENTER_EIP = 0x6826,
	VMCS_HOST_CR0 = 0x6C00,
	VMCS_HOST_CR3 = 0x6C02,
	VMCS_HOST_CR4 = 0x6C04,
	VMCS_HOST_FS_BASE = 0x6C06,
	VMCS_HOST_GS_BASE = 0x6C08,
	VMCS_HOST_TR_BASE = 0x6C0A,
	VMCS_HOST_GDTR_BASE = 0x6C0C,
	VMCS_HOST_IDTR_BASE = 0x6C0E,
	VMCS_HOST_SYSENTER_ESP = 0x6C10,
	VMCS_HOST_SYSENTER_EIP = 0x6C12,
	VMCS_HOST_RSP = 0x6C14, /* vmexit.asm writes it */
	VMCS_HOST_RIP = 0x6C16,
};

/* Guest segment fields are in the order of enum segment_register. */
#define VMCS_SEGMENT_STRIDE 2

enum vmcs_width { VMCS_WIDTH_16, VMCS_WIDTH_64, VMCS_WIDTH_32, VMCS_WIDTH_NATURAL };
#define VMCS_WIDTH_OF(field) (((field) >> 13) & 3)

/* Notes that an access to @field failed; see vmcs_take_failure(). */
void vmcs_note_failure(uint32_t field, bool write);
/* Has an access failed since the last call? */
bool vmcs_take_failure(void);

/* The accessors without a check of the width: for fields that are computed. */
static inline uint64_t vmcs_read_any(uint32_t field)
{
	uint64_t val;
	bool failed;

	asm volatile("vmread %[field], %[val]"
		     : [val] "=r"(val), "=@ccbe"(failed)
		     : [field] "r"((uint64_t)field));
	if (__builtin_expect(failed, 0))
		vmcs_note_failure(field, false);
	return val;
}

static inline void vmcs_write_any(uint32_t field, uint64_t val)
{
	bool failed;

	asm volatile("vmwrite %[val], %[field]"
		     : "=@ccbe"(failed)
		     : [field] "r"((uint64_t)field), [val] "r"(val)
		     : "memory");
	if (__builtin_expect(failed, 0))
		vmcs_note_failure(field, true);
}

#define vmcs_checked(width, field)                                                                           \
	_Static_assert(VMCS_WIDTH_OF(field) == (width), #field " has another width")

#define vmcs_read16(field) ({ vmcs_checked(VMCS_WIDTH_16, field); (uint16_t)vmcs_read_any(field); })
#define vmcs_read32(field) ({ vmcs_checked(VMCS_WIDTH_32, field); (uint32_t)vmcs_read_any(field); })
#define vmcs_read64(field) ({ vmcs_checked(VMCS_WIDTH_64, field); vmcs_read_any(field); })
#define vmcs_read(field) ({ vmcs_checked(VMCS_WIDTH_NATURAL, field); vmcs_read_any(field); })

#define vmcs_write16(field, val) ({ vmcs_checked(VMCS_WIDTH_16, field); vmcs_write_any(field, (uint16_t)(val)); })
#define vmcs_write32(field, val) ({ vmcs_checked(VMCS_WIDTH_32, field); vmcs_write_any(field, (uint32_t)(val)); })
#define vmcs_write64(field, val) ({ vmcs_checked(VMCS_WIDTH_64, field); vmcs_write_any(field, (val)); })
#define vmcs_write(field, val) ({ vmcs_checked(VMCS_WIDTH_NATURAL, field); vmcs_write_any(field, (val)); })

#endif
