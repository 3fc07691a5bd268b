// SPDX-License-Identifier: GPL-2.0-only
/* What a guest is told by CPUID. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "guests/spoor_hypercall.h"
#include "lib/compiler.h"
#include "lib/x86.h"
#include "tests/host/vcpu_fake.h"

static struct cpuid_policy p;

static int make_policy(void **state)
{
	p = (struct cpuid_policy){ .host = fake_cpuid, .tsc_hz = 3400000000u, .apic_id = 0, .has_rdtscp = true };
	cpuid_policy_init(&p);
	return 0;
}

static int restore_cpu(void **state)
{
	fake_cpu = (struct fake_cpu){ .max_basic = 0xD };
	return 0;
}

static struct cpuid_regs ask(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid_regs r;

	cpuid_guest(&p, X86_CR4_OSXSAVE, XFEATURE_X87 | XFEATURE_SSE, leaf, subleaf, &r);
	return r;
}

static void what_we_do_not_provide_is_hidden(void **state)
{
	struct cpuid_regs r = ask(1, 0);
	static const uint8_t ecx_hidden[] = { 2, 3, 4, 5, 6, 7, 8, 10, 11, 14, 15, 17, 18, 30 };
	static const uint8_t edx_hidden[] = { 21, 22, 28, 29, 31 };
	static const uint8_t ebx7_hidden[] = { 1, 2, 4, 10, 11, 12, 14, 15, 16, 18, 25 };

	for (size_t i = 0; i < ARRAY_SIZE(ecx_hidden); i++)
		assert_false(r.ecx >> ecx_hidden[i] & 1);
	for (size_t i = 0; i < ARRAY_SIZE(edx_hidden); i++)
		assert_false(r.edx >> edx_hidden[i] & 1);
	r = ask(7, 0);
	for (size_t i = 0; i < ARRAY_SIZE(ebx7_hidden); i++)
		assert_false(r.ebx >> ebx7_hidden[i] & 1);
	assert_false(r.ecx & (1u << 3 | 1u << 4 | 1u << 7 | 1u << 16)); /* PKU OSPKE CET LA57 */
	assert_false(r.edx & (1u << 20 | 1u << 26 | 1u << 29));         /* IBT, SPEC_CTRL, ARCH_CAPABILITIES */
	assert_int_equal(r.eax, 0);
}

static void what_the_platform_does_is_shown(void **state)
{
	struct cpuid_regs r = ask(1, 0);

	assert_true(r.ecx >> 21 & 1 && r.ecx >> 24 & 1 && r.ecx >> 31 & 1);
	assert_true(r.edx >> 9 & 1 && r.edx >> 12 & 1 && r.edx >> 16 & 1);
}

static void osxsave_follows_cr4(void **state)
{
	struct cpuid_regs r = ask(1, 0);

	assert_true(r.ecx >> 27 & 1);
	cpuid_guest(&p, 0, 1, 1, 0, &r);
	assert_false(r.ecx >> 27 & 1);
}

static void one_thread_in_one_core(void **state)
{
	struct cpuid_regs r = ask(1, 0);

	assert_int_equal(r.ebx >> 16 & 0xFF, 1);
	assert_int_equal(r.ebx >> 24, 0);
	assert_int_equal(ask(4, 0).eax >> 14, 0);
	r = ask(0xB, 0);
	assert_int_equal(r.eax, 0);
	assert_int_equal(r.ebx, 1);
	assert_int_equal(r.ecx, 0x100);
	r = ask(0xB, 1);
	assert_int_equal(r.ecx, 0x201);
	assert_int_equal(ask(0xB, 2).ecx, 2);
	assert_int_equal(ask(0xB, 2).ebx, 0);
}

static void leaves_above_the_host_are_not_garbage(void **state)
{
	static const uint32_t empty[] = { 3, 5, 9, 0xA, 0xE, 0xF, 0x10, 0x12, 0x14, 0x17, 0x1F, 0x3FFFFFFF,
					  0x40000011, 0x40000101, 0x80000009, 0xFFFFFFFF };

	for (size_t i = 0; i < ARRAY_SIZE(empty); i++) {
		struct cpuid_regs r = ask(empty[i], 0);

		assert_int_equal(r.eax | r.ebx | r.ecx | r.edx, 0);
	}
	assert_int_equal(ask(0, 0).eax, 0x16);
}

static void the_tsc_needs_no_calibration(void **state)
{
	struct cpuid_regs r = ask(0x15, 0);

	assert_int_equal(r.eax, 1);
	assert_int_equal(r.ebx, 1);
	assert_int_equal(r.ecx, 3400000000u);
	assert_int_equal(ask(0x16, 0).eax, 3400);
	assert_int_equal(ask(0x40000010, 0).eax, 3400000);
	assert_int_equal(ask(0x80000007, 0).edx, 0x100);
	p.tsc_hz = 1ull << 32; /* does not fit */
	assert_int_equal(ask(0x15, 0).eax, 0);
}

static void signatures(void **state)
{
	struct cpuid_regs r = ask(0x40000000, 0);
	char name[13] = { 0 };

	memcpy(name, &r.ebx, 12);
	assert_string_equal(name, "SpoorSpoor");
	r = ask(0x40000100, 0);
	memcpy(name, &r.ebx, 12);
	assert_string_equal(name, "KVMKVMKVM");
	assert_int_equal(r.eax, 0x40000101);
}

/* Behind our own signature, where a guest that takes us for KVM does not look. */
static void calls_are_told(void **state)
{
	struct cpuid_regs r = ask(SPOOR_CPUID_CALLS, 0);

	assert_int_equal(r.eax | r.ebx | r.ecx | r.edx, 0);
	p.calls = (struct cpuid_regs){ 0x7F, 64, 4096, 256 };
	r = ask(SPOOR_CPUID_CALLS, 0);
	assert_memory_equal(&r, &p.calls, sizeof(r));
	assert_true(ask(SPOOR_CPUID_BASE, 0).eax >= SPOOR_CPUID_CALLS);
	r = ask(CPUID_KVM_BASE + 1, 0);
	assert_int_equal(r.eax | r.ebx | r.ecx | r.edx, 0);
}

static void the_abi_names_our_leaves(void **state)
{
	struct cpuid_regs r = ask(SPOOR_CPUID_BASE, 0);

	assert_int_equal(SPOOR_CPUID_BASE, CPUID_HYPERVISOR_BASE);
	assert_int_equal(SPOOR_CPUID_CALLS, CPUID_HYPERVISOR_CALLS);
	assert_int_equal(r.ebx, SPOOR_SIGNATURE_EBX);
	assert_int_equal(r.ecx, SPOOR_SIGNATURE_ECX);
	assert_int_equal(r.edx, SPOOR_SIGNATURE_EDX);
}

static void xsave_has_what_we_switch(void **state)
{
	struct cpuid_regs r = ask(0xD, 0);

	assert_int_equal(r.eax, 7); /* not PKRU */
	assert_int_equal(r.ebx, 576);
	assert_int_equal(r.ecx, 832);
	r = ask(0xD, 1);
	assert_int_equal(r.eax, 7); /* not XSAVES */
	assert_int_equal(ask(0xD, 2).eax, 256);
	assert_int_equal(ask(0xD, 9).eax, 0);
	cpuid_guest(&p, 0, 7, 0xD, 0, &r);
	assert_int_equal(r.ebx, 832);
}

/* The fake's components: 576 for the legacy part, 256 for AVX. */
static void a_wrong_compacted_size_hides_xsavec(void **state)
{
	assert_false(cpuid_xsavec_contradicts(fake_cpuid, 7));
	assert_true(cpuid_xsavec_contradicts(fake_cpuid, 3));
	p.hide_xsavec = true;
	assert_int_equal(ask(0xD, 1).eax, 5);
	assert_int_equal(ask(0xD, 1).ebx, 0);
}

static void no_xsave_means_no_avx(void **state)
{
	fake_cpu.no_xsave = true;
	make_policy(NULL);
	assert_int_equal(p.xcr0_allowed, 0);
	assert_false(p.cr4_allowed & X86_CR4_OSXSAVE);
	assert_false(ask(1, 0).ecx & (1u << 12 | 1u << 26 | 1u << 28 | 1u << 29));
	assert_false(ask(7, 0).ebx & 1u << 5);
	assert_int_equal(ask(0xD, 0).eax, 0);
}

static void no_avx_means_no_avx2(void **state)
{
	fake_cpu.no_avx = true;
	make_policy(NULL);
	assert_int_equal(p.xcr0_allowed, 3);
	assert_false(ask(1, 0).ecx & (1u << 12 | 1u << 28 | 1u << 29));
	assert_false(ask(7, 0).ebx & 1u << 5);
	assert_int_equal(ask(0xD, 0).eax, 3);
}

static void an_old_cpu_has_empty_leaves(void **state)
{
	fake_cpu.max_basic = 4;
	make_policy(NULL);
	assert_int_equal(ask(7, 0).ebx | ask(7, 0).ecx, 0);
	assert_int_equal(p.xcr0_allowed, 0);
	assert_false(p.cr4_allowed & (X86_CR4_SMEP | X86_CR4_SMAP));
	assert_int_equal(ask(0x15, 0).eax, 1); /* ours all the same */
}

static void rdrand_only_on_request(void **state)
{
	p.show_rdrand = true;
	assert_true(ask(1, 0).ecx >> 30 & 1);
	assert_true(ask(7, 0).ebx >> 18 & 1);
}

static void rdtscp_only_where_it_works(void **state)
{
	assert_true(ask(0x80000001, 0).edx >> 27 & 1);
	p.has_rdtscp = false;
	assert_false(ask(0x80000001, 0).edx >> 27 & 1);
	assert_false(ask(7, 0).ecx >> 22 & 1);
}

static void cr4_and_efer_follow_what_is_shown(void **state)
{
	assert_true(p.cr4_allowed & X86_CR4_SMEP && p.cr4_allowed & X86_CR4_PAE);
	assert_false(p.cr4_allowed & (X86_CR4_VMXE | X86_CR4_SMXE | X86_CR4_PCIDE | X86_CR4_LA57 | 1ul << 22));
	assert_int_equal(p.efer_allowed, EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE);
	assert_int_equal(p.maxphyaddr, FAKE_MAXPHYADDR);
	fake_cpu.no_nx = true;
	make_policy(NULL);
	assert_false(p.efer_allowed & EFER_NXE);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_policy, restore_cpu)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_we_do_not_provide_is_hidden),
		TEST(what_the_platform_does_is_shown),
		TEST(osxsave_follows_cr4),
		TEST(one_thread_in_one_core),
		TEST(leaves_above_the_host_are_not_garbage),
		TEST(the_tsc_needs_no_calibration),
		TEST(signatures),
		TEST(calls_are_told),
		TEST(the_abi_names_our_leaves),
		TEST(xsave_has_what_we_switch),
		TEST(a_wrong_compacted_size_hides_xsavec),
		TEST(no_xsave_means_no_avx),
		TEST(no_avx_means_no_avx2),
		TEST(an_old_cpu_has_empty_leaves),
		TEST(rdrand_only_on_request),
		TEST(rdtscp_only_where_it_works),
		TEST(cr4_and_efer_follow_what_is_shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
