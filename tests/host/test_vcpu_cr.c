// SPDX-License-Identifier: GPL-2.0-only
/* What may be written to control registers, EFER and XCR0. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "lib/errno.h"
#include "tests/host/vcpu_fake.h"
#include "vcpu/cr.h"

static struct fake_vm f;

static int in_long_mode(void **state)
{
	fake_vm_init(&f);
	fake_long_mode(&f);
	return 0;
}

static int in_protected_mode(void **state)
{
	fake_vm_init(&f);
	fake_protected_mode(&f);
	return 0;
}

static int gone(void **state)
{
	fake_vm_destroy(&f);
	return 0;
}

static struct guest_paging *paging(void) { return &f.vcpu.mmu.paging; }

static void a_refusal_changes_nothing(void **state)
{
	struct guest_paging before = *paging();
	unsigned int changes = f.paging_changes;

	assert_int_equal(cr_write_cr0(&f.vcpu, 1ull << 32), -EINVAL);
	assert_int_equal(cr_write_cr0(&f.vcpu, X86_CR0_PG), -EINVAL);                    /* without PE */
	assert_int_equal(cr_write_cr0(&f.vcpu, before.cr0 | X86_CR0_NW), -EINVAL);       /* without CD */
	assert_int_equal(cr_write_cr0(&f.vcpu, before.cr0 & ~(uint64_t)X86_CR0_PG), -EINVAL); /* in 64-bit code */
	assert_int_equal(cr_write_cr3(&f.vcpu, 1ull << FAKE_MAXPHYADDR), -EINVAL);
	assert_int_equal(cr_write_cr4(&f.vcpu, before.cr4 | X86_CR4_VMXE), -EINVAL);
	assert_int_equal(cr_write_cr4(&f.vcpu, before.cr4 | X86_CR4_PCIDE), -EINVAL);
	assert_int_equal(cr_write_cr4(&f.vcpu, 0), -EINVAL);                              /* PAE in long mode */
	assert_int_equal(cr_write_efer(&f.vcpu, before.efer | 2), -EINVAL);
	assert_int_equal(cr_write_efer(&f.vcpu, before.efer & ~EFER_LME), -EINVAL);       /* with paging on */
	assert_memory_equal(paging(), &before, sizeof(before));
	assert_int_equal(f.paging_changes, changes);
	assert_int_equal(f.vcpu.stop.reason, VCPU_STOP_NONE);
}

static void reserved_bits_of_cr0_are_ignored(void **state)
{
	assert_int_equal(cr_write_cr0(&f.vcpu, paging()->cr0 | 1u << 6 | 1u << 28), 0);
	assert_false(paging()->cr0 & (1u << 6 | 1u << 28));
	assert_int_equal(cr_write_cr0(&f.vcpu, paging()->cr0 & ~(uint64_t)X86_CR0_ET), 0);
	assert_true(paging()->cr0 & X86_CR0_ET);
}

static void lma_cannot_be_written(void **state)
{
	assert_int_equal(cr_write_efer(&f.vcpu, EFER_LME | EFER_SCE | EFER_NXE), 0);
	assert_int_equal(paging()->efer, EFER_LME | EFER_LMA | EFER_SCE | EFER_NXE);
}

static void into_long_mode_and_out(void **state)
{
	struct vcpu *v = &f.vcpu;

	assert_int_equal(cr_write_efer(v, EFER_LME), 0);
	assert_int_equal(cr_write_cr0(v, X86_CR0_PE | X86_CR0_PG), -EINVAL); /* PAE is off */
	assert_int_equal(cr_write_cr4(v, X86_CR4_PAE), 0);
	assert_int_equal(cr_write_cr3(v, FAKE_PML4), 0);
	f.segment[SEG_CS].access = 0xA09B;
	assert_int_equal(cr_write_cr0(v, X86_CR0_PE | X86_CR0_PG), -EINVAL); /* CS.L is set */
	f.segment[SEG_CS].access = 0xC09B;
	assert_int_equal(cr_write_cr0(v, X86_CR0_PE | X86_CR0_PG), 0);
	assert_true(paging()->efer & EFER_LMA);
	assert_true(v->mmu.hw_long);
	assert_int_equal(cr_write_cr0(v, X86_CR0_PE), 0); /* from compatibility mode */
	assert_false(paging()->efer & EFER_LMA);
	assert_false(v->mmu.hw_long);
}

static void pae_loads_and_checks_pdptes(void **state)
{
	uint64_t pdpt[4] = { 0x5001, 0, 0, 0 };

	assert_int_equal(guest_write(&f.mmu.mem, gpa(0x2000), pdpt, sizeof(pdpt), BY(LOADER)), 0);
	assert_int_equal(cr_write_cr4(&f.vcpu, X86_CR4_PAE), 0);
	assert_int_equal(cr_write_cr3(&f.vcpu, 0x2000), 0);
	assert_int_equal(cr_write_cr0(&f.vcpu, X86_CR0_PE | X86_CR0_PG), 0);
	assert_int_equal(paging()->pdpte[0], 0x5001);
	pdpt[1] = 0x6001 | 2; /* a reserved bit */
	assert_int_equal(guest_write(&f.mmu.mem, gpa(0x2000), pdpt, sizeof(pdpt), BY(LOADER)), 0);
	assert_int_equal(cr_write_cr3(&f.vcpu, 0x2000), -EINVAL);
	assert_int_equal(paging()->pdpte[1], 0);
	/* Not reloaded by a change that has nothing to do with them. */
	assert_int_equal(cr_write_cr0(&f.vcpu, X86_CR0_PE | X86_CR0_PG | X86_CR0_WP), 0);
	assert_int_equal(cr_write_cr4(&f.vcpu, X86_CR4_PAE | X86_CR4_PGE), -EINVAL);
}

static void real_mode_is_interpreted(void **state)
{
	assert_false(f.vcpu.interpreting);
	assert_int_equal(cr_write_cr0(&f.vcpu, X86_CR0_ET), 0);
	assert_true(f.vcpu.interpreting);
	assert_false(paging()->cr0 & X86_CR0_PE);
	f.cannot_run = true; /* the segments of real mode */
	assert_int_equal(cr_write_cr0(&f.vcpu, X86_CR0_ET | X86_CR0_PE), 0);
	assert_true(f.vcpu.interpreting);
	f.cannot_run = false;
	assert_int_equal(cr_write_cr0(&f.vcpu, X86_CR0_ET), 0);
	assert_int_equal(cr_write_cr0(&f.vcpu, X86_CR0_ET | X86_CR0_PE), 0);
	assert_false(f.vcpu.interpreting);
}

static void lmsw_sets_pe_but_never_clears_it(void **state)
{
	assert_int_equal(cr_lmsw(&f.vcpu, X86_CR0_PE | X86_CR0_TS | X86_CR0_NE), 0);
	assert_int_equal(paging()->cr0, X86_CR0_PE | X86_CR0_TS | X86_CR0_ET);
	assert_int_equal(cr_lmsw(&f.vcpu, 0), 0);
	assert_int_equal(paging()->cr0, X86_CR0_PE | X86_CR0_ET);
}

static void xcr0_rules(void **state)
{
	struct vcpu *v = &f.vcpu;

	assert_int_equal(cr_write_xcr0(v, 1, 1), -EINVAL);
	assert_int_equal(cr_write_xcr0(v, 0, 0), -EINVAL);
	assert_int_equal(cr_write_xcr0(v, 0, 5), -EINVAL);       /* AVX without SSE */
	assert_int_equal(cr_write_xcr0(v, 0, 1 | 1u << 9), -EINVAL); /* PKRU is not shown */
	assert_int_equal(cr_write_xcr0(v, 0, 0xE7), -EINVAL);    /* AVX-512 is not there */
	assert_int_equal(f.xcr0_changes, 0);
	assert_int_equal(cr_write_xcr0(v, 0, 7), 0);
	assert_int_equal(v->xcr0, 7);
	assert_int_equal(f.xcr0_changes, 1);
}

#define LONG(t) cmocka_unit_test_setup_teardown(t, in_long_mode, gone)
#define PROTECTED(t) cmocka_unit_test_setup_teardown(t, in_protected_mode, gone)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LONG(a_refusal_changes_nothing),
		LONG(reserved_bits_of_cr0_are_ignored),
		LONG(lma_cannot_be_written),
		PROTECTED(into_long_mode_and_out),
		PROTECTED(pae_loads_and_checks_pdptes),
		PROTECTED(real_mode_is_interpreted),
		PROTECTED(lmsw_sets_pe_but_never_clears_it),
		LONG(xcr0_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
