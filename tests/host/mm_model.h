/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the shadow MMU is held against: an oracle that walks the guest's
 * tables as the SDM says, and a CPU that walks the shadow tables and keeps
 * every translation in a TLB until it is told to flush. Neither shares code
 * with mm/.
 */
#ifndef TESTS_HOST_MM_MODEL_H
#define TESTS_HOST_MM_MODEL_H

#include "mm/mmu.h"

/* One access of a guest. */
struct model_access {
	gva_t addr;
	uint32_t error_code; /* PFERR_WRITE, _USER, _FETCH: what it is */
	bool ac, implicit;
};

enum oracle_status { ORACLE_OK, ORACLE_FAULT, ORACLE_HOLE };

struct oracle {
	enum oracle_status status;
	gpa_t gpa;            /* ORACLE_OK */
	uint32_t error_code;  /* ORACLE_FAULT, and what a hole should give */
	bool accessed;        /* A is set along the path */
	bool dirty;           /* D is set in the leaf */
	bool forced;          /* a write that only CR0.WP = 0 lets through, to a user page */
};

/* Looks only; guest memory does not change. */
void oracle_walk(struct oracle *o, struct memslots *slots, const struct guest_paging *p,
		 const struct model_access *a);

struct cpu_translation {
	hpa_t frame;
	bool write, user, exec;
};

/* The walk of a CPU over the tables at v->hw_cr3. False: not present. Asserts
 * that no reserved bit is set and nothing points outside the pool. */
bool cpu_walk(const struct mmu_vcpu *v, gva_t addr, struct cpu_translation *t);
/* Would the CPU let @a through @t, with the control bits that @v asks for? */
bool cpu_permits(const struct mmu_vcpu *v, const struct cpu_translation *t, const struct model_access *a);

#define MODEL_TLB_ENTRIES 512

struct model_tlb {
	struct {
		const struct mmu_vcpu *v;
		uint64_t page;
		struct cpu_translation t;
	} entry[MODEL_TLB_ENTRIES];
	unsigned int count;
	uint64_t flushes;
};

void tlb_flush(struct model_tlb *tlb);
struct cpu_translation *tlb_find(struct model_tlb *tlb, const struct mmu_vcpu *v, gva_t addr);
void tlb_insert(struct model_tlb *tlb, const struct mmu_vcpu *v, gva_t addr, const struct cpu_translation *t);
void tlb_invalidate(struct model_tlb *tlb, const struct mmu_vcpu *v, gva_t addr);

#endif
