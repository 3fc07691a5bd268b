/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A second opinion on guest page walks, for tests: written from SDM vol. 3
 * "Paging" alone, one straight-line function per paging mode, sharing nothing
 * with mm/guest_walk.c. Guest physical memory is one flat array from 0.
 */
#ifndef TESTS_HOST_WALK_ORACLE_H
#define TESTS_HOST_WALK_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct oracle_cpu {
	bool pg, wp;                   /* CR0 */
	bool pse, pae, smep, smap;     /* CR4 */
	bool lma, nxe;                 /* EFER */
	uint64_t cr3;
	uint64_t pdpte[4];
	unsigned int maxphyaddr;
	bool page1gb;
};

struct oracle_access {
	bool write, fetch;
	bool user;     /* CPL 3 and not implicit */
	bool implicit; /* supervisor access by the CPU itself */
	bool ac;       /* EFLAGS.AC */
};

struct oracle_result {
	bool ok;
	uint32_t error_code; /* !ok: as pushed with #PF */
	uint64_t pa;         /* ok: of the byte asked for */
	bool w, u, x;        /* ok: what the path allows */
};

/* Sets accessed and dirty flags in @mem, when the access is allowed. */
struct oracle_result walk_oracle(const struct oracle_cpu *c, uint8_t *mem, uint64_t la,
				 struct oracle_access a);

#endif
