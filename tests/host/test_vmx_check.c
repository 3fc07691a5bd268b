// SPDX-License-Identifier: GPL-2.0-only
/* Every check on the guest state: a good state, spoilt in one way at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "lib/compiler.h"
#include "vmx/vmx_check.h"

static const struct vmx_caps caps = {
	.cr0_fixed0 = 0x80000021, .cr0_fixed1 = 0xFFFFFFFF, .cr4_fixed0 = 0x2000, .cr4_fixed1 = 0x3767FF,
	.has.virtual_nmis = true,
};

static struct vmx_guest_state good(void)
{
	struct vmx_guest_state s = {
		.cr0 = 0x80010033,
		.cr3 = 0x1000,
		.cr4 = 0x2020,
		.dr7 = 0x400,
		.efer = EFER_LME | EFER_LMA | EFER_NXE,
		.efer_loaded = true,
		.entry_controls = ENTRY_IA32E_MODE_GUEST,
		.maxphyaddr = 39,
		.gdt = { 0xFFFF800000001000ull, 0x7F },
		.gdt_limit = 0x7F,
		.idt_limit = 0xFFF,
		.rip = 0xFFFFFFFF81000000ull,
		.rflags = 0x202,
		.link_pointer = ~0ull,
	};

	for (int i = 0; i < SEG_COUNT; i++)
		s.segment[i] = (struct segment){ .selector = 0x18, .access = 0xC093, .limit = UINT32_MAX };
	s.segment[SEG_CS] = (struct segment){ .selector = 0x10, .access = 0xA09B, .limit = UINT32_MAX };
	s.segment[SEG_LDTR].access = SEGMENT_UNUSABLE;
	s.segment[SEG_TR] = (struct segment){ .selector = 0x40, .access = 0x8B, .limit = 0x67 };
	return s;
}

/* 32-bit, as a multiboot guest starts on shadow tables. */
static struct vmx_guest_state good32(void)
{
	struct vmx_guest_state s = good();

	s.entry_controls = 0;
	s.efer = EFER_NXE;
	s.rip = 0x100000;
	s.segment[SEG_CS].access = 0xC09B;
	return s;
}

static struct vmx_guest_state s;

static void refused(const char *part)
{
	const char *why = vmx_check_guest_state(&s, &caps);

	assert_non_null(why);
	if (!strstr(why, part))
		fail_msg("refused for \"%s\", not for \"%s\"", why, part);
}

#define SPOIL(change, part) do { s = good(); change; refused(part); } while (0)
#define SPOIL32(change, part) do { s = good32(); change; refused(part); } while (0)
#define FINE(change) do { s = good(); change; assert_null(vmx_check_guest_state(&s, &caps)); } while (0)
#define FINE32(change) do { s = good32(); change; assert_null(vmx_check_guest_state(&s, &caps)); } while (0)

static void good_states_pass(void **state)
{
	FINE((void)0);
	FINE32((void)0);
	FINE32(s.segment[SEG_TR].access = 0x83);
	FINE(s.segment[SEG_FS].base = 0xFFFF888000000000ull);
	FINE(s.segment[SEG_DS].access = SEGMENT_UNUSABLE);
}

static void lesson_32_control_registers(void **state)
{
	SPOIL(s.cr0 &= ~0x20ull, "CR0 lacks");
	SPOIL(s.cr0 |= 1ull << 32, "CR0 has");
	SPOIL(s.cr4 &= ~0x2000ull, "CR4 lacks");
	SPOIL(s.cr4 |= 1u << 23, "CR4 has");
	SPOIL(s.cr4 &= ~0x20ull, "without paging or PAE");
	SPOIL32(s.cr4 |= 1u << 17, "PCIDE");
	SPOIL(s.cr3 = 1ull << 39, "CR3 beyond");
	SPOIL32(s.cr3 = 1ull << 32, "above 4 GiB");
}

static void msrs(void **state)
{
	SPOIL(s.debugctl = 4, "DEBUGCTL");
	SPOIL(s.dr7 = 1ull << 32, "DR7");
	SPOIL(s.sysenter_esp = 1ull << 47, "SYSENTER_ESP");
	SPOIL(s.sysenter_eip = 1ull << 63, "SYSENTER_EIP");
	SPOIL(s.efer |= 2, "reserved bit in IA32_EFER");
	SPOIL(s.efer &= ~EFER_LMA, "LMA differs");
	SPOIL(s.efer &= ~EFER_LME, "LME differs");
	FINE(s.efer = 0; s.efer_loaded = false);
}

static void code_and_stack(void **state)
{
	SPOIL(s.segment[SEG_CS].access = 0xA093, "not an accessed code");
	SPOIL(s.segment[SEG_CS].access = 0xA08B, "system segment");
	SPOIL(s.segment[SEG_CS].access = 0xA0FB, "CS.DPL differs");
	SPOIL(s.segment[SEG_CS].access = 0xA01B, "CS is not present");
	SPOIL(s.segment[SEG_CS].access = 0xA19B, "reserved bit in CS");
	SPOIL(s.segment[SEG_CS].access = 0xE09B, "both L and D");
	SPOIL(s.segment[SEG_CS].limit = 0xFFFFFFFE, "granularity");
	SPOIL(s.segment[SEG_CS].access &= ~(1u << 15), "granularity");
	SPOIL(s.segment[SEG_CS].base = 1ull << 32, "CS base");
	SPOIL(s.segment[SEG_SS].selector = 0x1B, "SS.RPL differs");
	SPOIL(s.segment[SEG_SS].access = 0xC0F3, "CS.DPL differs");
	SPOIL(s.segment[SEG_SS].access = 0xC091, "not an accessed writable");
	SPOIL(s.segment[SEG_SS].base = 1ull << 40, "SS base");
}

static void data_segments(void **state)
{
	SPOIL(s.segment[SEG_DS].access = 0xC092, "not accessed");
	SPOIL(s.segment[SEG_ES].access = 0xC099, "unreadable code");
	SPOIL(s.segment[SEG_DS].selector = 0x1B, "below its RPL");
	SPOIL(s.segment[SEG_GS].access = 0xC013, "not present");
	SPOIL(s.segment[SEG_FS].access = 0xC083, "system segment");
	SPOIL(s.segment[SEG_FS].base = 1ull << 47, "FS or GS base");
	SPOIL(s.segment[SEG_DS].base = 1ull << 32, "DS or ES base");
}

static void system_segments(void **state)
{
	SPOIL(s.segment[SEG_TR].selector = 4, "TR selects");
	SPOIL(s.segment[SEG_TR].base = 1ull << 47, "TR base");
	SPOIL(s.segment[SEG_TR].access = 0x83, "busy TSS");
	SPOIL(s.segment[SEG_TR].access = 0x89, "busy TSS");
	SPOIL(s.segment[SEG_TR].access = 0x0B, "TR is not present");
	SPOIL(s.segment[SEG_TR].access |= SEGMENT_UNUSABLE, "unusable");
	SPOIL(s.segment[SEG_LDTR].access = 0x89, "not an LDT");
	SPOIL((s.segment[SEG_LDTR] = (struct segment){ .selector = 4, .access = 0x82 }), "LDTR selects");
	SPOIL(s.segment[SEG_LDTR].access = 0x02, "LDTR is not present");
}

static void tables_rip_and_flags(void **state)
{
	SPOIL(s.gdt.base = 1ull << 47, "GDTR base");
	SPOIL(s.idt.base = 1ull << 47, "IDTR base");
	SPOIL(s.gdt_limit = 0x10000, "GDTR limit");
	SPOIL(s.idt_limit = 0x10000, "IDTR limit");
	SPOIL(s.rip = 1ull << 47, "RIP is not canonical");
	SPOIL32(s.rip = 1ull << 32, "RIP above 4 GiB");
	SPOIL(s.rflags = 0, "RFLAGS");
	SPOIL(s.rflags |= 8, "RFLAGS");
	SPOIL(s.rflags |= X86_EFLAGS_VM, "virtual-8086");
}

static void virtual_8086(void **state)
{
	s = good32();
	s.rflags |= X86_EFLAGS_VM;
	for (int i = SEG_ES; i <= SEG_GS; i++)
		s.segment[i] = (struct segment){ .selector = 0x1000, .base = 0x10000, .limit = 0xFFFF, .access = 0xF3 };
	assert_null(vmx_check_guest_state(&s, &caps));
	s.segment[SEG_DS].base = 0;
	refused("selector * 16");
	s.segment[SEG_DS].base = 0x10000;
	s.segment[SEG_SS].limit = 0xFFFFF;
	refused("segment limit");
	s.segment[SEG_SS].limit = 0xFFFF;
	s.segment[SEG_CS].access = 0x9B;
	refused("segment access");
}

static void non_register_state(void **state)
{
	SPOIL(s.activity = 4, "activity");
	SPOIL(s.interruptibility = 3, "at once");
	SPOIL(s.interruptibility = 32, "reserved bit in interruptibility");
	SPOIL((s.interruptibility = 1, s.rflags = 2), "IF clear");
	SPOIL(s.interruptibility = 4, "SMI");
	SPOIL((s.interruptibility = 1, s.rflags |= X86_EFLAGS_TF), "without a pending trap");
	FINE((s.interruptibility = 1, s.rflags |= X86_EFLAGS_TF, s.pending_debug = 1u << 14));
	SPOIL((s.interruptibility = 2, s.pending_debug = 1u << 14), "without TF");
	FINE((s.interruptibility = 2, s.pending_debug = 1u << 12 | 1));
	FINE(s.pending_debug = 1u << 14);
	SPOIL((s.interruptibility = 1, s.activity = 1), "while not active");
	SPOIL(s.pending_debug = 1u << 4, "pending debug");
	SPOIL(s.link_pointer = 0, "link pointer");
}

static void injected_events(void **state)
{
	FINE(s.interruption_info = 0x80000B0E); /* #PF with its code */
	FINE(s.interruption_info = 0x80000030);
	FINE((s.interruption_info = 0x80000480, s.instruction_length = 2));
	SPOIL(s.interruption_info = 0x8000030E, "error-code flag");
	SPOIL(s.interruption_info = 0x80000B06, "error-code flag");
	SPOIL(s.interruption_info = 0x80000130, "unknown type");
	SPOIL(s.interruption_info = 0x80000230, "NMI with another");
	SPOIL(s.interruption_info = 0x80000330, "above 31");
	SPOIL((s.interruption_info = 0x80000030, s.rflags = 2), "IF clear");
	SPOIL((s.interruption_info = 0x80000030, s.interruptibility = 1), "interrupt shadow");
	SPOIL((s.interruption_info = 0x80000202, s.interruptibility = 1), "NMI in an interrupt shadow");
	SPOIL((s.interruption_info = 0x80000202, s.interruptibility = 2), "NMI in an interrupt shadow");
	SPOIL((s.interruption_info = 0x80000202, s.interruptibility = 8), "NMIs are blocked");
	FINE((s.interruption_info = 0x80000202, s.rflags = 2));
	SPOIL((s.interruption_info = 0x80000480, s.instruction_length = 0), "impossible length");
	SPOIL((s.interruption_info = 0x80000B0D, s.error_code = 0x10000), "wider than 16");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_states_pass),	cmocka_unit_test(lesson_32_control_registers),
		cmocka_unit_test(msrs),			cmocka_unit_test(code_and_stack),
		cmocka_unit_test(data_segments),	cmocka_unit_test(system_segments),
		cmocka_unit_test(tables_rip_and_flags), cmocka_unit_test(virtual_8086),
		cmocka_unit_test(non_register_state),	cmocka_unit_test(injected_events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
