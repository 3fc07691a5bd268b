// SPDX-License-Identifier: GPL-2.0-only
/* RDMSR and WRMSR as a guest sees them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "lib/compiler.h"
#include "lib/errno.h"
#include "tests/host/vcpu_fake.h"

static struct fake_vm f;

static int made(void **state)
{
	fake_vm_init(&f);
	fake_long_mode(&f);
	return 0;
}

static int gone(void **state)
{
	fake_vm_destroy(&f);
	return 0;
}

static uint64_t rd(uint32_t msr)
{
	uint64_t val = 0;

	assert_int_equal(msr_read(&f.vcpu, msr, &val), 0);
	return val;
}

static void wr(uint32_t msr, uint64_t val) { assert_int_equal(msr_write(&f.vcpu, msr, val), 0); }
static void refused(uint32_t msr, uint64_t val) { assert_int_equal(msr_write(&f.vcpu, msr, val), -EINVAL); }

static void bases_must_be_canonical(void **state)
{
	static const uint32_t bases[] = { MSR_IA32_LSTAR, MSR_IA32_CSTAR, MSR_IA32_FS_BASE, MSR_IA32_GS_BASE,
					  MSR_IA32_KERNEL_GS_BASE, MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP };

	for (size_t i = 0; i < ARRAY_SIZE(bases); i++) {
		wr(bases[i], 0xFFFF800000000000ull);
		refused(bases[i], 0x800000000000ull);
		refused(bases[i], 0xFFFE800000000000ull);
		assert_int_equal(rd(bases[i]), 0xFFFF800000000000ull);
	}
}

static void syscall_msrs_are_the_backends(void **state)
{
	wr(MSR_IA32_STAR, 0x0023001000000000ull);
	assert_int_equal(rd(MSR_IA32_STAR), 0x0023001000000000ull);
	wr(MSR_IA32_FMASK, 0x47700);
	refused(MSR_IA32_FMASK, 1ull << 32);
	wr(MSR_IA32_TSC_AUX, 3);
	refused(MSR_IA32_TSC_AUX, 1ull << 32);
	f.vcpu.cpuid.has_rdtscp = false;
	refused(MSR_IA32_TSC_AUX, 3);
}

static void pat_is_validated_and_kept(void **state)
{
	assert_int_equal(rd(MSR_IA32_PAT), 0x0007040600070406ull);
	wr(MSR_IA32_PAT, 0x0407050600070106ull);
	assert_int_equal(rd(MSR_IA32_PAT), 0x0407050600070106ull);
	refused(MSR_IA32_PAT, 2);
	refused(MSR_IA32_PAT, 0x0800000000000000ull);
}

static void mtrrs_look_like_firmware_left_them(void **state)
{
	assert_int_equal(rd(MSR_IA32_MTRRCAP), 0x508);
	assert_int_equal(rd(MSR_IA32_MTRR_DEF_TYPE), 0x806);
	refused(MSR_IA32_MTRRCAP, 0);
	wr(MSR_IA32_MTRR_PHYSBASE0, 0x80000006);
	wr(MSR_IA32_MTRR_PHYSBASE0 + 1, 0x7F80000800ull);
	assert_int_equal(rd(MSR_IA32_MTRR_PHYSBASE0 + 1), 0x7F80000800ull);
	refused(MSR_IA32_MTRR_PHYSBASE0, 0x80000002);      /* no such type */
	refused(MSR_IA32_MTRR_PHYSBASE0, 1ull << 39);
	refused(MSR_IA32_MTRR_PHYSBASE0 + 1, 0x7F80000801ull);
	refused(MSR_IA32_MTRR_DEF_TYPE, 7);
	refused(MSR_IA32_MTRR_DEF_TYPE, 1u << 12);
	wr(MSR_IA32_MTRR_FIX4K_F8000, 0x0606060606060606ull);
	refused(MSR_IA32_MTRR_FIX64K_00000, 7);
	refused(0x210, 0); /* the ninth variable range */
}

static void the_tsc_can_be_moved(void **state)
{
	wr(MSR_IA32_TSC, 5000);
	assert_int_equal(rd(MSR_IA32_TSC), 5000); /* the fake's own stands still */
	assert_int_equal(f.vcpu.tsc_offset, 4000);
}

/* The APIC timer in TSC-deadline mode; the clock says what the fake's TSC says. */
static void deadline_timer(void)
{
	f.tsc = 1000;
	platform_mmio_write(&f.platform, 0, gpa(LAPIC_DEFAULT_BASE + 0x320), 4, 0x400EF);
}

static bool timer_fires(void)
{
	return platform_interrupt_pending(&f.platform, 0) && platform_interrupt_ack(&f.platform, 0) == 0xEF;
}

/* A deadline is a time of the guest's TSC, wherever the guest sets that to. */
static void deadlines_follow_the_tsc_that_was_set(void **state)
{
	deadline_timer();
	wr(MSR_IA32_TSC, 5000); /* 4000 ahead */
	wr(MSR_IA32_TSC_DEADLINE, 6000);
	assert_int_equal(rd(MSR_IA32_TSC_DEADLINE), 6000);
	assert_int_equal(platform_next_deadline(&f.platform), 2000);
	wr(MSR_IA32_TSC, 100);
	assert_int_equal(rd(MSR_IA32_TSC_DEADLINE), 6000);
	assert_int_equal(platform_next_deadline(&f.platform), 6900);
	assert_false(timer_fires());
	wr(MSR_IA32_TSC, 7000); /* past it */
	assert_true(timer_fires());
	assert_int_equal(rd(MSR_IA32_TSC_DEADLINE), 0);
}

static void a_deadline_of_the_past_fires_at_once(void **state)
{
	deadline_timer();
	wr(MSR_IA32_TSC, 1ull << 63);
	wr(MSR_IA32_TSC_DEADLINE, 5); /* no wrap into the future */
	assert_true(timer_fires());
	wr(MSR_IA32_TSC_DEADLINE, (1ull << 63) + 10);
	assert_int_equal(platform_next_deadline(&f.platform), f.tsc + 10);
	wr(MSR_IA32_TSC_DEADLINE, 0);
	assert_int_not_equal(platform_next_deadline(&f.platform), f.tsc + 10);
}

/* A guest whose TSC is behind the machine's may name a time that the machine does not reach. */
static void a_deadline_beyond_the_clock_never_comes(void **state)
{
	deadline_timer();
	platform_port_write(&f.platform, 0, 0x43, 1, 0x30); /* no PIT */
	wr(MSR_IA32_TSC, 400); /* 600 behind */
	wr(MSR_IA32_TSC_DEADLINE, UINT64_MAX - 600);
	assert_int_equal(platform_next_deadline(&f.platform), PLATFORM_NEVER);
	wr(MSR_IA32_TSC_DEADLINE, UINT64_MAX);
	assert_false(timer_fires());
	wr(MSR_IA32_TSC_DEADLINE, UINT64_MAX - 601);
	assert_false(timer_fires());
	assert_int_equal(platform_next_deadline(&f.platform), UINT64_MAX - 1);
	assert_int_equal(rd(MSR_IA32_TSC_DEADLINE), UINT64_MAX - 601);
}

/* A kernel that clears its TSC at start: clocks go on, forwards. */
static void devices_do_not_notice_a_tsc_that_was_set(void **state)
{
	uint32_t before, after;
	uint64_t deadline;

	f.tsc = 100000000;
	platform_port_read(&f.platform, 0, 0x608, 4, &before);
	deadline = platform_next_deadline(&f.platform);
	wr(MSR_IA32_TSC, 0);
	assert_int_equal(platform_next_deadline(&f.platform), deadline);
	platform_port_read(&f.platform, 0, 0x608, 4, &after);
	assert_int_equal(after, before);
	f.tsc += 1000000;
	platform_port_read(&f.platform, 0, 0x608, 4, &after);
	assert_in_range(after - before, 3579, 3580); /* a millisecond */
}

static void efer_goes_by_its_rules(void **state)
{
	assert_int_equal(rd(MSR_IA32_EFER), EFER_LME | EFER_LMA);
	wr(MSR_IA32_EFER, EFER_LME | EFER_LMA | EFER_SCE);
	refused(MSR_IA32_EFER, EFER_SCE);
	assert_int_equal(rd(MSR_IA32_EFER), EFER_LME | EFER_LMA | EFER_SCE);
}

static void the_apic_is_the_platforms(void **state)
{
	assert_int_equal(rd(MSR_IA32_APIC_BASE) & 0xFFFFF000u, LAPIC_DEFAULT_BASE);
	wr(MSR_IA32_TSC_DEADLINE, 0);
}

static void unknown_msrs_fault_and_are_counted(void **state)
{
	uint64_t val;

	for (uint32_t i = 0; i < 40; i++)
		assert_int_equal(msr_read(&f.vcpu, 0x12340000 + i, &val), -EINVAL);
	refused(0x12340000, 1);
	assert_int_equal(f.vcpu.unknown_msrs.reads, 40);
	assert_int_equal(f.vcpu.unknown_msrs.writes, 1);
	assert_int_equal(f.vcpu.unknown_msrs.logged_count, ARRAY_SIZE(f.vcpu.unknown_msrs.logged));
}

static void read_only_and_empty_ones(void **state)
{
	assert_int_equal(rd(MSR_IA32_MCG_CAP), 0);
	refused(MSR_IA32_MCG_CAP, 0);
	assert_int_equal(rd(MSR_IA32_BIOS_SIGN_ID), 1ull << 32);
	wr(MSR_IA32_BIOS_SIGN_ID, 0);
	assert_int_equal(rd(MSR_IA32_DEBUGCTL), 0);
	refused(MSR_IA32_DEBUGCTL, 1);
	assert_true(rd(MSR_IA32_MISC_ENABLE) & 1);
}

static void rdmsr_and_wrmsr_move_halves(void **state)
{
	uint64_t *g = f.vcpu.regs.gpr;

	g[GPR_RCX] = 0xFFFFFFFF00000000ull | MSR_IA32_PAT;
	g[GPR_RAX] = 0xFFFFFFFF00070406ull;
	g[GPR_RDX] = 0xFFFFFFFF00070405ull;
	assert_int_equal(vcpu_exit_msr(&f.vcpu, true), VCPU_NEXT_INSN);
	assert_int_equal(f.vcpu.msrs.pat, 0x0007040500070406ull);
	assert_int_equal(vcpu_exit_msr(&f.vcpu, false), VCPU_NEXT_INSN);
	assert_int_equal(g[GPR_RAX], 0x00070406);
	assert_int_equal(g[GPR_RDX], 0x00070405);
	g[GPR_RCX] = 0xBAD;
	assert_int_equal(vcpu_exit_msr(&f.vcpu, false), VCPU_RESUME);
	assert_int_equal(f.vcpu.event.vector, EXC_GP);
	assert_int_equal(g[GPR_RAX], 0x00070406);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, made, gone)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bases_must_be_canonical),
		TEST(syscall_msrs_are_the_backends),
		TEST(pat_is_validated_and_kept),
		TEST(mtrrs_look_like_firmware_left_them),
		TEST(the_tsc_can_be_moved),
		TEST(deadlines_follow_the_tsc_that_was_set),
		TEST(a_deadline_of_the_past_fires_at_once),
		TEST(a_deadline_beyond_the_clock_never_comes),
		TEST(devices_do_not_notice_a_tsc_that_was_set),
		TEST(efer_goes_by_its_rules),
		TEST(the_apic_is_the_platforms),
		TEST(unknown_msrs_fault_and_are_counted),
		TEST(read_only_and_empty_ones),
		TEST(rdmsr_and_wrmsr_move_halves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
