/* SPDX-License-Identifier: GPL-2.0-only */
/* What the two halves of mmu_audit() share. */
#ifndef MM_MMU_AUDIT_H
#define MM_MMU_AUDIT_H

#include "mm/mmu.h"

struct audit {
	struct mmu *mmu;
	unsigned int violations;
	uint64_t leaves, links; /* present sptes met in the tables */
};

/* Checks @ok; a violation is counted and, the first few, logged. */
void audit_check(struct audit *a, bool ok, const char *what, uint64_t where, uint64_t value);

/* Every entry of the table of @sp: I1 (its half), I2, I3, I5, I8. */
void audit_table(struct audit *a, const struct shadow_page *sp);

#endif
