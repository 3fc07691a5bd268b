/* SPDX-License-Identifier: GPL-2.0-only */
/* A VM with one slot and one vCPU, for tests of the shadow MMU. */
#ifndef TESTS_HOST_MM_FIXTURE_H
#define TESTS_HOST_MM_FIXTURE_H

#include "tests/host/mm_model.h"

#define G_P 0x1ull
#define G_W 0x2ull
#define G_U 0x4ull
#define G_A 0x20ull
#define G_D 0x40ull
#define G_PS 0x80ull
#define G_NX (1ull << 63)
#define G_ALL (G_P | G_W | G_U | G_A | G_D)

/* The slot: gfns [0, npages), its memory aligned to 2 MiB. */
struct fixture {
	struct mmu mmu;
	struct mmu_vcpu v;
	uint8_t *allocated;
	size_t bytes;
	size_t pages_before;
	pfn_t base_pfn;
	uint64_t npages;
	uint64_t next_table; /* where fx_map() takes tables from */
	unsigned int flushes;
};

#define FX_ROOT 1 /* gfn of the top table */

void fx_open(struct fixture *fx, uint64_t npages, uint32_t shadow_pages);
/* Asserts a clean audit and that all memory came back. */
void fx_close(struct fixture *fx);

/* Turns paging on: CR4.PAE and EFER choose the kind; WP, SMEP... as given. */
void fx_paging(struct fixture *fx, uint64_t cr0, uint64_t cr4, uint64_t efer);
void fx_long_mode(struct fixture *fx);

/* Guest entry @e for @addr at @level, making tables on the way. Returns where
 * it is. */
gpa_t fx_map(struct fixture *fx, uint64_t addr, int level, uint64_t e);
void fx_write(struct fixture *fx, gpa_t at, const void *src, size_t len);

/* What comes of an access (PFERR_*), run as a CPU would: FAULT_FIXED when it
 * goes through. *f (may be NULL) has the last fault. */
enum fault_result fx_touch(struct fixture *fx, uint64_t addr, uint32_t code, struct page_fault *f);
/* Would it go through as the tables are? */
bool fx_goes_through(struct fixture *fx, uint64_t addr, uint32_t code);
/* Is the address mapped by a large spte? */
bool fx_is_large(struct fixture *fx, uint64_t addr);

#define assert_audit(fx) assert_int_equal(mmu_audit(&(fx)->mmu), 0)

#endif
