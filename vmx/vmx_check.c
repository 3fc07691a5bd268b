/* SPDX-License-Identifier: GPL-2.0-only */
/* Checks on the guest-state area, group by group in the order of the SDM. */
#include "vmx/vmx_check.h"
#include "lib/compiler.h"

#define DEBUGCTL_RESERVED (~0xFFC3ull)
#define EFER_RESERVED (~(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE))
#define RFLAGS_RESERVED 0xFFFFFFFFFFC08028ull
#define RFLAGS_FIXED 2ull
#define INTERRUPTIBILITY_RESERVED (~0x1Fu)
#define BLOCKING_STI (1u << 0)
#define BLOCKING_MOV_SS (1u << 1)
#define BLOCKING_SMI (1u << 2)
#define BLOCKING_NMI (1u << 3)
#define PENDING_DEBUG_RESERVED (~0x1500Full)
#define PENDING_DEBUG_BS (1ull << 14)
#define ACTIVITY_ACTIVE 0
#define ACTIVITY_HLT 1
#define ACTIVITY_LAST 3
#define EVENT_VALID (1u << 31)
#define EVENT_ERROR_CODE (1u << 11)
#define EVENT_RESERVED 0x7FFFF000u

#define ACCESS_TYPE(a) ((a) & 15)
#define ACCESS_S (1u << 4)
#define ACCESS_P (1u << 7)
#define ACCESS_RESERVED 0xFFFE0F00u
#define ACCESS_G (1u << 15)
#define ACCESS_DATA_ACCESSED 1u
#define ACCESS_CODE 8u
#define ACCESS_READABLE 2u
#define SELECTOR_TI 4u
#define SELECTOR_RPL 3u

#define CHECK(cond, why)                                                                                     \
	do {                                                                                                 \
		if (!(cond))                                                                                 \
			return why;                                                                          \
	} while (0)

static bool canonical(uint64_t a) { return (uint64_t)((int64_t)(a << 16) >> 16) == a; }
static bool is_long(const struct vmx_guest_state *s) { return s->entry_controls & ENTRY_IA32E_MODE_GUEST; }
static bool is_v86(const struct vmx_guest_state *s) { return s->rflags & X86_EFLAGS_VM; }
static bool usable(const struct segment *g) { return !(g->access & SEGMENT_UNUSABLE); }

static const char *check_control_registers(const struct vmx_guest_state *s, const struct vmx_caps *caps)
{
	CHECK((s->cr0 & caps->cr0_fixed0) == caps->cr0_fixed0, "CR0 lacks a bit that VMX fixes to 1");
	CHECK(!(s->cr0 & ~caps->cr0_fixed1), "CR0 has a bit that VMX fixes to 0");
	CHECK(!(s->cr0 & X86_CR0_PG) || s->cr0 & X86_CR0_PE, "CR0.PG without CR0.PE");
	CHECK((s->cr4 & caps->cr4_fixed0) == caps->cr4_fixed0, "CR4 lacks a bit that VMX fixes to 1");
	CHECK(!(s->cr4 & ~caps->cr4_fixed1), "CR4 has a bit that VMX fixes to 0");
	CHECK(!is_long(s) || (s->cr0 & X86_CR0_PG && s->cr4 & X86_CR4_PAE), "IA-32e mode without paging or PAE");
	CHECK(is_long(s) || !(s->cr4 & X86_CR4_PCIDE), "CR4.PCIDE outside IA-32e mode");
	CHECK(s->cr3 >> s->maxphyaddr == 0, "CR3 beyond the physical address width");
	CHECK(is_long(s) || s->cr3 >> 32 == 0, "CR3 above 4 GiB with PAE paging");
	return NULL;
}

static const char *check_msrs(const struct vmx_guest_state *s, const struct vmx_caps *caps)
{
	CHECK(!(s->debugctl & DEBUGCTL_RESERVED), "reserved bit in IA32_DEBUGCTL");
	CHECK(s->dr7 >> 32 == 0, "DR7 wider than 32 bits");
	CHECK(canonical(s->sysenter_esp), "IA32_SYSENTER_ESP is not canonical");
	CHECK(canonical(s->sysenter_eip), "IA32_SYSENTER_EIP is not canonical");
	if (!s->efer_loaded)
		return NULL;
	CHECK(!(s->efer & EFER_RESERVED), "reserved bit in IA32_EFER");
	CHECK(!(s->efer & EFER_LMA) == !is_long(s), "IA32_EFER.LMA differs from the entry control");
	CHECK(!(s->cr0 & X86_CR0_PG) || !(s->efer & EFER_LMA) == !(s->efer & EFER_LME),
	      "IA32_EFER.LME differs from LMA with paging on");
	return NULL;
}

static const char *check_v86_segments(const struct vmx_guest_state *s)
{
	for (int i = SEG_ES; i <= SEG_GS; i++) {
		const struct segment *g = &s->segment[i];

		CHECK(g->base == (uint64_t)g->selector << 4, "virtual-8086: segment base is not selector * 16");
		CHECK(g->limit == 0xFFFF, "virtual-8086: segment limit is not 0xFFFF");
		CHECK(g->access == 0xF3, "virtual-8086: segment access is not 0xF3");
	}
	return NULL;
}

static bool granularity_fits(const struct segment *g)
{
	if ((g->limit & 0xFFF) != 0xFFF && g->access & ACCESS_G)
		return false;
	return !(g->limit >> 20) || g->access & ACCESS_G;
}

static const char *check_code_segment(const struct vmx_guest_state *s)
{
	const struct segment *cs = &s->segment[SEG_CS], *ss = &s->segment[SEG_SS];
	unsigned int type = ACCESS_TYPE(cs->access), dpl = SEGMENT_DPL(cs->access), ss_dpl = SEGMENT_DPL(ss->access);

	CHECK(type == 9 || type == 11 || type == 13 || type == 15, "CS is not an accessed code segment");
	CHECK(cs->access & ACCESS_S, "CS is a system segment");
	CHECK(type >= 13 || dpl == ss_dpl, "CS.DPL differs from SS.DPL");
	CHECK(type < 13 || dpl <= ss_dpl, "conforming CS.DPL above SS.DPL");
	CHECK(cs->access & ACCESS_P, "CS is not present");
	CHECK(!(cs->access & ACCESS_RESERVED), "reserved bit in CS access rights");
	CHECK(!(is_long(s) && cs->access & SEGMENT_L && cs->access & SEGMENT_DB), "CS has both L and D");
	CHECK(granularity_fits(cs), "CS limit does not fit its granularity");
	CHECK(cs->base >> 32 == 0, "CS base above 4 GiB");
	return NULL;
}

static const char *check_stack_segment(const struct vmx_guest_state *s)
{
	const struct segment *cs = &s->segment[SEG_CS], *ss = &s->segment[SEG_SS];
	unsigned int type = ACCESS_TYPE(ss->access);

	CHECK((ss->selector & SELECTOR_RPL) == (cs->selector & SELECTOR_RPL), "SS.RPL differs from CS.RPL");
	CHECK(SEGMENT_DPL(ss->access) == (ss->selector & SELECTOR_RPL), "SS.DPL differs from SS.RPL");
	if (!usable(ss))
		return NULL;
	CHECK(type == 3 || type == 7, "SS is not an accessed writable data segment");
	CHECK(ss->access & ACCESS_S, "SS is a system segment");
	CHECK(ss->access & ACCESS_P, "SS is not present");
	CHECK(!(ss->access & ACCESS_RESERVED), "reserved bit in SS access rights");
	CHECK(granularity_fits(ss), "SS limit does not fit its granularity");
	CHECK(ss->base >> 32 == 0, "SS base above 4 GiB");
	return NULL;
}

static const char *check_data_segment(const struct segment *g, bool base_is_64bit)
{
	unsigned int type = ACCESS_TYPE(g->access);

	CHECK(!base_is_64bit || canonical(g->base), "FS or GS base is not canonical");
	if (!usable(g))
		return NULL;
	CHECK(type & ACCESS_DATA_ACCESSED, "a data segment is not accessed");
	CHECK(!(type & ACCESS_CODE) || type & ACCESS_READABLE, "a data segment register holds unreadable code");
	CHECK(g->access & ACCESS_S, "a data segment register holds a system segment");
	CHECK(type >= 12 || SEGMENT_DPL(g->access) >= (g->selector & SELECTOR_RPL), "a data segment's DPL is below its RPL");
	CHECK(g->access & ACCESS_P, "a data segment is not present");
	CHECK(!(g->access & ACCESS_RESERVED), "reserved bit in data segment access rights");
	CHECK(granularity_fits(g), "a data segment's limit does not fit its granularity");
	CHECK(base_is_64bit || g->base >> 32 == 0, "DS or ES base above 4 GiB");
	return NULL;
}

static const char *check_system_segments(const struct vmx_guest_state *s)
{
	const struct segment *tr = &s->segment[SEG_TR], *ldtr = &s->segment[SEG_LDTR];
	unsigned int type = ACCESS_TYPE(tr->access);

	CHECK(!(tr->selector & SELECTOR_TI), "TR selects from the LDT");
	CHECK(canonical(tr->base), "TR base is not canonical");
	CHECK(type == 11 || (type == 3 && !is_long(s)), "TR is not a busy TSS of the right size");
	CHECK(!(tr->access & ACCESS_S), "TR is not a system segment");
	CHECK(tr->access & ACCESS_P, "TR is not present");
	CHECK(usable(tr) && !(tr->access & ACCESS_RESERVED), "TR is unusable or has reserved access rights");
	CHECK(granularity_fits(tr), "TR limit does not fit its granularity");
	if (!usable(ldtr))
		return NULL;
	CHECK(!(ldtr->selector & SELECTOR_TI), "LDTR selects from the LDT");
	CHECK(canonical(ldtr->base), "LDTR base is not canonical");
	CHECK(ACCESS_TYPE(ldtr->access) == 2 && !(ldtr->access & ACCESS_S), "LDTR is not an LDT");
	CHECK(ldtr->access & ACCESS_P, "LDTR is not present");
	CHECK(!(ldtr->access & ACCESS_RESERVED), "reserved bit in LDTR access rights");
	CHECK(granularity_fits(ldtr), "LDTR limit does not fit its granularity");
	return NULL;
}

const char *vmx_check_segments(const struct vmx_guest_state *s)
{
	static const uint8_t data[] = { SEG_DS, SEG_ES, SEG_FS, SEG_GS };
	const char *why = check_system_segments(s);

	if (why)
		return why;
	if (is_v86(s))
		return check_v86_segments(s);
	why = check_code_segment(s);
	if (!why)
		why = check_stack_segment(s);
	for (size_t i = 0; !why && i < ARRAY_SIZE(data); i++)
		why = check_data_segment(&s->segment[data[i]], data[i] == SEG_FS || data[i] == SEG_GS);
	return why;
}

static const char *check_segments(const struct vmx_guest_state *s, const struct vmx_caps *caps)
{
	return vmx_check_segments(s);
}

static const char *check_tables_and_rip(const struct vmx_guest_state *s, const struct vmx_caps *caps)
{
	bool in_64bit = is_long(s) && s->segment[SEG_CS].access & SEGMENT_L;

	CHECK(canonical(s->gdt.base), "GDTR base is not canonical");
	CHECK(canonical(s->idt.base), "IDTR base is not canonical");
	CHECK(s->gdt_limit >> 16 == 0, "GDTR limit above 0xFFFF");
	CHECK(s->idt_limit >> 16 == 0, "IDTR limit above 0xFFFF");
	CHECK(in_64bit || s->rip >> 32 == 0, "RIP above 4 GiB outside 64-bit mode");
	CHECK(!in_64bit || canonical(s->rip), "RIP is not canonical");
	CHECK(!(s->rflags & RFLAGS_RESERVED) && s->rflags & RFLAGS_FIXED, "reserved bit in RFLAGS");
	CHECK(!is_v86(s) || (!is_long(s) && s->cr0 & X86_CR0_PE), "virtual-8086 mode in IA-32e mode");
	return NULL;
}

static const char *check_non_register_state(const struct vmx_guest_state *s, const struct vmx_caps *caps)
{
	uint32_t shadow = s->interruptibility & (BLOCKING_STI | BLOCKING_MOV_SS);
	bool trap = s->pending_debug & PENDING_DEBUG_BS, traced = s->rflags & X86_EFLAGS_TF;
	bool trap_is_known = shadow || s->activity == ACTIVITY_HLT;

	CHECK(s->activity <= ACTIVITY_LAST, "unknown activity state");
	CHECK(s->activity != ACTIVITY_HLT || SEGMENT_DPL(s->segment[SEG_SS].access) == 0, "HLT state with SS.DPL not 0");
	CHECK(!shadow || s->activity == ACTIVITY_ACTIVE, "interrupt shadow while not active");
	CHECK(!(s->interruptibility & INTERRUPTIBILITY_RESERVED), "reserved bit in interruptibility");
	CHECK(shadow != (BLOCKING_STI | BLOCKING_MOV_SS), "blocking by STI and by MOV SS at once");
	CHECK(!(shadow & BLOCKING_STI) || s->rflags & X86_EFLAGS_IF, "blocking by STI with RFLAGS.IF clear");
	CHECK(!(s->interruptibility & BLOCKING_SMI), "blocking by SMI outside SMM");
	CHECK(!(s->pending_debug & PENDING_DEBUG_RESERVED), "reserved bit in pending debug exceptions");
	CHECK(!trap_is_known || trap || !traced, "TF in an interrupt shadow without a pending trap");
	CHECK(!trap_is_known || traced || !trap, "a pending trap in an interrupt shadow without TF");
	CHECK(s->link_pointer == ~0ull, "the VMCS link pointer is set");
	return NULL;
}

static bool has_error_code(unsigned int vector)
{
	return vector == EXC_DF || (vector >= EXC_TS && vector <= EXC_PF) || vector == EXC_AC;
}

static const char *check_event(const struct vmx_guest_state *s, const struct vmx_caps *caps)
{
	unsigned int vector = s->interruption_info & 0xFF, type = s->interruption_info >> 8 & 7;
	uint32_t shadow = s->interruptibility & (BLOCKING_STI | BLOCKING_MOV_SS);
	bool error_code = s->interruption_info & EVENT_ERROR_CODE;

	if (!(s->interruption_info & EVENT_VALID))
		return NULL;
	CHECK(!(s->interruption_info & EVENT_RESERVED), "reserved bit in the injected event");
	CHECK(type != 1 && type != 7, "injected event of an unknown type");
	CHECK(type != 2 || vector == EXC_NMI, "injected NMI with another vector");
	CHECK(type != 3 || vector < 32, "injected exception with a vector above 31");
	CHECK(error_code == (type == 3 && has_error_code(vector)), "injected event with a wrong error-code flag");
	CHECK(!error_code || s->error_code >> 16 == 0, "injected error code wider than 16 bits");
	CHECK(type < 4 || (s->instruction_length >= 1 && s->instruction_length <= 15), "software event of an impossible length");
	CHECK(type != 0 || s->rflags & X86_EFLAGS_IF, "injected interrupt with RFLAGS.IF clear");
	CHECK(type != 0 || !shadow, "injected interrupt in an interrupt shadow");
	CHECK(type != 2 || !shadow, "injected NMI in an interrupt shadow");
	CHECK(type != 2 || !caps->has.virtual_nmis || !(s->interruptibility & BLOCKING_NMI),
	      "injected NMI while NMIs are blocked");
	return NULL;
}

const char *vmx_check_guest_state(const struct vmx_guest_state *s, const struct vmx_caps *caps)
{
	static const char *(*const groups[])(const struct vmx_guest_state *, const struct vmx_caps *) = {
		check_control_registers, check_msrs, check_segments, check_tables_and_rip,
		check_non_register_state, check_event,
	};
	const char *why = NULL;

	for (size_t i = 0; !why && i < ARRAY_SIZE(groups); i++)
		why = groups[i](s, caps);
	return why;
}
