// SPDX-License-Identifier: GPL-2.0-only
/* The choice of VMX controls, for made-up CPUs from the first to the newest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "lib/compiler.h"
#include "lib/errno.h"
#include "vmx/vmx_caps.h"

#define BASIC 0x00DA040000000012ull /* revision 0x12, 1 KiB region, write-back, TRUE controls */
#define BASIC_OLD 0x001A040000000012ull
#define CTL(must, may) ((uint64_t)(may) << 32 | (must))

#define PROC_NEEDED                                                                                          \
	(PROC_INTERRUPT_WINDOW_EXITING | PROC_HLT_EXITING | PROC_INVLPG_EXITING | PROC_MWAIT_EXITING |        \
	 PROC_RDPMC_EXITING | PROC_CR3_LOAD_EXITING | PROC_CR3_STORE_EXITING | PROC_CR8_LOAD_EXITING |        \
	 PROC_CR8_STORE_EXITING | PROC_MOV_DR_EXITING | PROC_UNCONDITIONAL_IO_EXITING | PROC_MONITOR_EXITING)
#define PROC_DEFAULT1 0x0401E172u
#define PIN_NEEDED (PIN_EXTERNAL_INTERRUPT_EXITING | PIN_NMI_EXITING)

static struct vmx_cap_msrs cpu;
static bool read_absent;

static uint64_t *at(enum vmx_cap_msr msr) { return &cpu.msr[msr - VMX_CAP_MSR_FIRST]; }

/* A CPU with what is mandatory and no more: the floor. */
static int floor_cpu(void **state)
{
	memset(&cpu, 0, sizeof(cpu));
	*at(MSR_IA32_VMX_BASIC) = BASIC_OLD;
	*at(MSR_IA32_VMX_PINBASED_CTLS) = CTL(0x16, 0x16 | PIN_NEEDED);
	*at(MSR_IA32_VMX_PROCBASED_CTLS) = CTL(PROC_DEFAULT1, PROC_DEFAULT1 | PROC_NEEDED);
	*at(MSR_IA32_VMX_EXIT_CTLS) = CTL(0x36DFF, 0x36DFF | EXIT_HOST_ADDRESS_SPACE_SIZE);
	*at(MSR_IA32_VMX_ENTRY_CTLS) = CTL(0x11FF, 0x11FF | ENTRY_IA32E_MODE_GUEST);
	*at(MSR_IA32_VMX_CR0_FIXED0) = 0x80000021;
	*at(MSR_IA32_VMX_CR0_FIXED1) = 0xFFFFFFFF;
	*at(MSR_IA32_VMX_CR4_FIXED0) = 0x2000;
	*at(MSR_IA32_VMX_CR4_FIXED1) = 0x27FF;
	read_absent = false;
	return 0;
}

/* A CPU that allows everything, with TRUE controls. */
static void full_cpu(void)
{
	*at(MSR_IA32_VMX_BASIC) = BASIC;
	for (int i = MSR_IA32_VMX_TRUE_PINBASED_CTLS; i <= MSR_IA32_VMX_TRUE_ENTRY_CTLS; i++)
		*at(i) = CTL(0, UINT32_MAX);
	*at(MSR_IA32_VMX_PROCBASED_CTLS) = CTL(PROC_DEFAULT1, UINT32_MAX);
	*at(MSR_IA32_VMX_PROCBASED_CTLS2) = CTL(0, UINT32_MAX);
	*at(MSR_IA32_VMX_EPT_VPID_CAP) = 1ull << 32 | 1ull << 41;
}

static uint64_t fake_rdmsr(uint32_t msr)
{
	bool has_secondary = *at(MSR_IA32_VMX_PROCBASED_CTLS) >> 63;
	bool has_true = *at(MSR_IA32_VMX_BASIC) >> 55 & 1;

	if (msr >= MSR_IA32_VMX_TRUE_PINBASED_CTLS && !has_true)
		read_absent = true;
	if ((msr == MSR_IA32_VMX_PROCBASED_CTLS2 || msr == MSR_IA32_VMX_EPT_VPID_CAP) && !has_secondary)
		read_absent = true;
	return *at(msr);
}

static void the_floor_will_do(void **state)
{
	struct vmx_caps caps;
	struct vmx_features none = { 0 };

	assert_int_equal(vmx_caps_compute(&caps, &cpu), 0);
	assert_int_equal(caps.revision, 0x12);
	assert_memory_equal(&caps.has, &none, sizeof(none));
	assert_int_equal(caps.control[VMX_PIN], 0x16 | PIN_NEEDED);
	assert_int_equal(caps.control[VMX_PROC2], 0);
	/* Only wanted when needed. */
	assert_false(caps.control[VMX_PROC] & (PROC_INTERRUPT_WINDOW_EXITING | PROC_INVLPG_EXITING));
	assert_false(caps.control[VMX_ENTRY] & ENTRY_IA32E_MODE_GUEST);
}

static void everything_is_found_and_ept_never_set(void **state)
{
	struct vmx_caps caps;

	full_cpu();
	assert_int_equal(vmx_caps_compute(&caps, &cpu), 0);
	assert_true(caps.has.ept && caps.has.vpid && caps.has.mtf && caps.has.efer_load && caps.has.msr_bitmap &&
		    caps.has.unrestricted_guest && caps.has.tpr_shadow && caps.has.preemption_timer);
	assert_false(caps.control[VMX_PROC2] & (PROC2_ENABLE_EPT | PROC2_UNRESTRICTED_GUEST));
	assert_true(caps.control[VMX_PROC2] & PROC2_ENABLE_VPID);
	assert_false(caps.control[VMX_PROC] & (PROC_USE_TPR_SHADOW | PROC_MONITOR_TRAP_FLAG));
	assert_false(caps.control[VMX_PIN] & PIN_PREEMPTION_TIMER);
	assert_false(caps.control[VMX_EXIT] & EXIT_ACK_INTERRUPT);
}

/* No guest can keep the CPU busy with the delivery of one event; shadow paging sees every page fault, and a machine
 * check is never the guest's. */
static void lesson_33_ac_and_db_always_exit(void **state)
{
	assert_int_equal(VMX_EXCEPTIONS, 1 << 1 | 1 << 14 | 1 << 17 | 1 << 18);
}

/* With or without TRUE controls, and what the CPU requires stays. */
static void a_full_cpu_can_pretend_to_be_old(void **state)
{
	struct vmx_features none = { 0 };
	struct vmx_caps caps;

	for (int plain = 0; plain < 2; plain++) {
		full_cpu();
		if (plain) {
			*at(MSR_IA32_VMX_BASIC) = BASIC_OLD;
			*at(MSR_IA32_VMX_PINBASED_CTLS) = CTL(0x16, UINT32_MAX);
			*at(MSR_IA32_VMX_EXIT_CTLS) = CTL(0x36DFF, UINT32_MAX);
			*at(MSR_IA32_VMX_ENTRY_CTLS) = CTL(0x11FF, UINT32_MAX);
		}
		vmx_caps_forget(&cpu);
		assert_int_equal(vmx_caps_compute(&caps, &cpu), 0);
		assert_memory_equal(&caps.has, &none, sizeof(none));
		assert_int_equal(caps.control[VMX_PIN], (plain ? 0x16 : 0) | PIN_NEEDED);
		assert_int_equal(caps.control[VMX_PROC2], 0);
		assert_int_equal(caps.control[VMX_EXIT], (plain ? 0x36DFF : 0) | EXIT_HOST_ADDRESS_SPACE_SIZE);
	}
}

static void virtual_nmis_need_their_window(void **state)
{
	struct vmx_caps caps;

	full_cpu();
	assert_int_equal(vmx_caps_compute(&caps, &cpu), 0);
	assert_true(caps.has.virtual_nmis && caps.has.nmi_window);
	assert_true(caps.control[VMX_PIN] & PIN_VIRTUAL_NMIS);
	assert_false(caps.control[VMX_PROC] & PROC_NMI_WINDOW_EXITING);
	*at(MSR_IA32_VMX_TRUE_PROCBASED_CTLS) &= ~((uint64_t)PROC_NMI_WINDOW_EXITING << 32);
	assert_int_equal(vmx_caps_compute(&caps, &cpu), 0);
	assert_false(caps.has.virtual_nmis || caps.has.nmi_window);
	assert_false(caps.control[VMX_PIN] & PIN_VIRTUAL_NMIS);
}

static void true_controls_are_preferred(void **state)
{
	struct vmx_caps caps;

	full_cpu();
	assert_int_equal(vmx_caps_compute(&caps, &cpu), 0);
	/* The default1 bits of the plain MSR are not required by the TRUE one. */
	assert_int_equal(caps.control[VMX_PROC] & 0x2u, 0);
	*at(MSR_IA32_VMX_BASIC) = BASIC_OLD;
	assert_int_equal(vmx_caps_compute(&caps, &cpu), 0);
	assert_int_equal(caps.control[VMX_PROC] & PROC_DEFAULT1, PROC_DEFAULT1);
}

static void what_is_missing_is_named(void **state)
{
	static const struct {
		enum vmx_cap_msr msr;
		uint32_t bit;
		const char *name;
	} rows[] = {
		{ MSR_IA32_VMX_PINBASED_CTLS, PIN_EXTERNAL_INTERRUPT_EXITING, "external-interrupt exiting" },
		{ MSR_IA32_VMX_PINBASED_CTLS, PIN_NMI_EXITING, "NMI exiting" },
		{ MSR_IA32_VMX_PROCBASED_CTLS, PROC_HLT_EXITING, "HLT exiting" },
		{ MSR_IA32_VMX_PROCBASED_CTLS, PROC_INTERRUPT_WINDOW_EXITING, "interrupt-window exiting" },
		{ MSR_IA32_VMX_PROCBASED_CTLS, PROC_UNCONDITIONAL_IO_EXITING, "unconditional I/O exiting" },
		{ MSR_IA32_VMX_EXIT_CTLS, EXIT_HOST_ADDRESS_SPACE_SIZE, "64-bit host" },
		{ MSR_IA32_VMX_ENTRY_CTLS, ENTRY_IA32E_MODE_GUEST, "64-bit guests" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vmx_caps caps;

		floor_cpu(NULL);
		*at(rows[i].msr) &= ~((uint64_t)rows[i].bit << 32);
		assert_int_equal(vmx_caps_compute(&caps, &cpu), -ENODEV);
		assert_string_equal(caps.missing, rows[i].name);
	}
}

static void impossible_regions_are_refused(void **state)
{
	struct vmx_caps caps;

	*at(MSR_IA32_VMX_BASIC) = 0x001A200000000012ull; /* 8 KiB */
	assert_int_equal(vmx_caps_compute(&caps, &cpu), -ENODEV);
	*at(MSR_IA32_VMX_BASIC) = 0x0002040000000012ull; /* uncached */
	assert_int_equal(vmx_caps_compute(&caps, &cpu), -ENODEV);
	*at(MSR_IA32_VMX_BASIC) = BASIC_OLD | 1ull << 48;
	assert_int_equal(vmx_caps_compute(&caps, &cpu), -ENODEV);
}

static void vpid_needs_its_own_flush(void **state)
{
	struct vmx_caps caps;

	full_cpu();
	*at(MSR_IA32_VMX_EPT_VPID_CAP) = 1ull << 32 | 1ull << 42; /* all-context only */
	assert_int_equal(vmx_caps_compute(&caps, &cpu), 0);
	assert_false(caps.has.vpid);
	assert_false(caps.control[VMX_PROC2] & PROC2_ENABLE_VPID);
}

static void efer_is_loaded_both_ways_or_not(void **state)
{
	struct vmx_caps caps;

	full_cpu();
	*at(MSR_IA32_VMX_TRUE_EXIT_CTLS) &= ~((uint64_t)EXIT_LOAD_EFER << 32);
	assert_int_equal(vmx_caps_compute(&caps, &cpu), 0);
	assert_false(caps.has.efer_load);
	assert_false(caps.control[VMX_ENTRY] & ENTRY_LOAD_EFER);
}

static void only_msrs_that_exist_are_read(void **state)
{
	struct vmx_cap_msrs m;

	vmx_caps_read(&m, fake_rdmsr);
	assert_false(read_absent);
	assert_memory_equal(&m, &cpu, sizeof(m));
	full_cpu();
	vmx_caps_read(&m, fake_rdmsr);
	assert_false(read_absent);
	assert_memory_equal(&m, &cpu, sizeof(m));
}

static void firmware_decides_first(void **state)
{
	assert_int_equal(vmx_feature_control_check(5), 0);
	assert_int_equal(vmx_feature_control_check(0), -EAGAIN);
	assert_int_equal(vmx_feature_control_check(4), -EAGAIN);
	assert_int_equal(vmx_feature_control_check(1), -EPERM);
	assert_int_equal(vmx_feature_control_check(3), -EPERM); /* inside SMX only */
}

static void fixed_bits_are_forced(void **state)
{
	struct vmx_caps caps;

	assert_int_equal(vmx_caps_compute(&caps, &cpu), 0);
	assert_int_equal(vmx_fix_cr0(&caps, 0), 0x80000021);
	assert_int_equal(vmx_fix_cr4(&caps, 0x100020), 0x2020);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_floor_will_do, floor_cpu),
		cmocka_unit_test_setup(everything_is_found_and_ept_never_set, floor_cpu),
		cmocka_unit_test_setup(lesson_33_ac_and_db_always_exit, floor_cpu),
		cmocka_unit_test_setup(a_full_cpu_can_pretend_to_be_old, floor_cpu),
		cmocka_unit_test_setup(virtual_nmis_need_their_window, floor_cpu),
		cmocka_unit_test_setup(true_controls_are_preferred, floor_cpu),
		cmocka_unit_test_setup(what_is_missing_is_named, floor_cpu),
		cmocka_unit_test_setup(impossible_regions_are_refused, floor_cpu),
		cmocka_unit_test_setup(vpid_needs_its_own_flush, floor_cpu),
		cmocka_unit_test_setup(efer_is_loaded_both_ways_or_not, floor_cpu),
		cmocka_unit_test_setup(only_msrs_that_exist_are_read, floor_cpu),
		cmocka_unit_test_setup(firmware_decides_first, floor_cpu),
		cmocka_unit_test_setup(fixed_bits_are_forced, floor_cpu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
