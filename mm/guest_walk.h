/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The walk of the guest's own page tables: paging off, two-level, PAE and
 * 4-level are one loop over a table of shapes. Semantics are those of SDM
 * vol. 3 "Paging". A walk first reads and checks the whole path; only if the
 * access is allowed does it set accessed and dirty bits, each with an atomic
 * compare and exchange through guest_cmpxchg(), starting over if the guest
 * changed an entry meanwhile. A table in a read-only slot cannot take these
 * bits: the walk succeeds without them, as it does when the guest keeps
 * changing the path faster than a bounded number of walks.
 *
 * Call with no lock held: A/D bits in a tracked page are told to the trackers.
 */
#ifndef MM_GUEST_WALK_H
#define MM_GUEST_WALK_H

#include "lib/compiler.h"
#include "lib/types.h"
#include "lib/x86.h"
#include "mm/guest_mem.h"

#define WALK_LEVELS_MAX 4

/* All that mm/ knows of a CPU: the guest's view of its own paging state. */
struct guest_paging {
	uint64_t cr0, cr3, cr4, efer;
	uint64_t pdpte[4];     /* PAE only: as loaded by the last MOV to CR */
	uint8_t maxphyaddr;    /* the guest's: CPUID.80000008H:EAX[7:0] */
	bool has_1g_pages;     /* CPUID.80000001H:EDX.Page1GB */
};

static inline bool paging_enabled(const struct guest_paging *p) { return p->cr0 & X86_CR0_PG; }
static inline bool paging_long(const struct guest_paging *p) { return p->efer & EFER_LMA; }
static inline bool paging_pae(const struct guest_paging *p) { return p->cr4 & X86_CR4_PAE; }

/* Rights along a path, ANDed. */
#define ACCESS_WRITE (1u << 0)
#define ACCESS_USER (1u << 1)
#define ACCESS_EXEC (1u << 2)
#define ACCESS_ALL (ACCESS_WRITE | ACCESS_USER | ACCESS_EXEC)

/* The access asked for: PFERR_WRITE, PFERR_USER, PFERR_FETCH as in a #PF
 * error code, and these. */
#define WALK_IMPLICIT (1u << 16)  /* supervisor access by the CPU itself: SMAP ignores AC */
#define WALK_AC (1u << 17)        /* RFLAGS.AC is set: SMAP lets explicit accesses through */
#define WALK_PEEK (1u << 18)      /* look only: check no rights, set no A/D bits; not-present
				   * and reserved bits still fault */

enum walk_status {
	WALK_OK,
	WALK_FAULT,   /* the guest's own #PF: error_code is valid */
	WALK_NO_RAM,  /* a paging structure is not in RAM; bad_gpa is valid */
};

struct guest_walk {
	/* Where the walk began and ended, levels 4..1: from 4 in long mode, 3
	 * with PAE, 2 with two-level tables. After a fault, level is where it
	 * was found. With paging off both are 0, and only gfn and access[0]
	 * are meaningful. PAE's level 3 is a register of the CPU: gpte[3] is
	 * that register, gpte_gpa[3] where MOV to CR3 loads it from. */
	int top_level, level;
	gpa_t gpte_gpa[WALK_LEVELS_MAX + 1];   /* [level]: the entry's address */
	uint64_t gpte[WALK_LEVELS_MAX + 1];    /* [level]: with A/D as now in memory */
	uint32_t access[WALK_LEVELS_MAX + 1];  /* [level]: rights ANDed from the top down to it */
	gfn_t gfn;             /* the 4 KiB frame that holds the address */
	uint32_t error_code;   /* WALK_FAULT */
	gpa_t bad_gpa;         /* WALK_NO_RAM */
};

/* @addr: of long mode canonical (the caller raises #GP or #SS otherwise), else
 * its low 32 bits are taken. WALK_IMPLICIT is supervisor, whatever PFERR_USER
 * says. Entries that are read and bits that are set are accesses by AGENT_WALKER for
 * @origin, the access that the walk is for; with NULL, reads are nobody's. A tracker that
 * denies the read of an entry makes it WALK_NO_RAM; one that denies an A or D bit
 * leaves the entry as it is. */
enum walk_status guest_walk(struct guest_walk *w, struct guest_mem *m, const struct guest_paging *p,
			    gva_t addr, uint32_t access, const struct access_origin *origin);

/* Loads and checks the four PDPTEs that CR3 points at (SDM vol. 3, "PDPTE
 * Registers"). -EINVAL: a reserved bit is set, MOV to CR must raise #GP;
 * -EFAULT: not RAM. */
must_check int guest_load_pdptes(struct guest_mem *m, const struct guest_paging *p, uint64_t pdpte[4]);

#endif
