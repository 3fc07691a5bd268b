/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The public face of the shadow MMU: all that the rest of the hypervisor may
 * ask of it. One struct mmu per VM, one struct mmu_vcpu per virtual CPU.
 *
 *   lock            protects                               order
 *   page_track      trackers and what they hold            first
 *   mmu.lock        slots, shadow pages, rmaps, counters   inside page_track
 *   page_alloc      free lists of machine memory           inside mmu.lock
 *
 * Trackers are called with no lock held. Rights that are taken away are followed by a
 * flush of every CPU that may hold them before the lock is dropped or the
 * caller is told.
 */
#ifndef MM_MMU_H
#define MM_MMU_H

#include "lib/compiler.h"
#include "lib/spinlock.h"
#include "lib/types.h"
#include "mm/guest_mem.h"
#include "mm/guest_walk.h"
#include "mm/shadow.h"

/* The machine under the MMU. */
struct mmu_host {
	uint8_t maxphyaddr; /* the CPU's own: bits above are reserved in sptes */
	/* Drops every translation of this VM on every CPU that may hold one,
	 * at the latest before that CPU enters the guest again. Called with
	 * mmu.lock held: must not call back. */
	void (*flush)(void *ctx);
	/* The clock of events and flood budgets; NULL: it stands still. */
	uint64_t (*tsc)(void *ctx);
	void *ctx;
};

struct mmu_config {
	uint32_t shadow_pages; /* quota: MMU_SHADOW_PAGES_MIN or more; each takes 8 KiB */
	uint64_t hash_key;     /* random: no guest must be able to guess what collides */
	struct mmu_host host;
};

#define MMU_SHADOW_PAGES_MIN 64
#define MMU_SHADOW_PAGES_MAX (1u << 22)

struct mmu_stats {
	uint64_t faults;      /* calls of mmu_page_fault() */
	uint64_t fills;       /* sptes installed by them */
	uint64_t zapped;      /* shadow pages freed */
	uint64_t reclaimed;   /* of those, for want of pages */
	uint64_t table_writes; /* guest writes to shadowed tables */
	uint64_t flushes;
};

/* Pages at a time that run untrapped although a tracker of another address space
 * (page_tracker.only_cr3) holds them. */
#define MMU_LENT_MAX 64

struct mmu {
	struct guest_mem mem; /* slots and tracking of this VM */
	struct spinlock lock;
	struct mmu_host host;
	struct shadow_pool pool;      /* the quota; see mm/shadow.h */
	struct mmu_stats stats;
	gfn_t lent[MMU_LENT_MAX];     /* see mmu_lend.c */
	unsigned int lent_count;
	TAILQ_HEAD(, mmu_vcpu) vcpus;
};

/* Pages opened for one natively stepped instruction. */
#define MMU_STEP_PAGES_MAX 8

struct mmu_step_page {
	gfn_t gfn;
	uint32_t open;               /* ACCESS_*: what the step may do there */
	bool accessed[2];            /* PAGE_TRACK_WRITE, _READ: by a fault that opened it */
	gva_t at[2];                 /* and where first */
};

struct mmu_step {
	unsigned int count;
	struct mmu_step_page page[MMU_STEP_PAGES_MAX];
	uint8_t *before; /* [MMU_STEP_PAGES_MAX][PAGE_SIZE]: what they held */
	struct access_origin origin; /* of the instruction */
};

struct mmu_vcpu {
	struct mmu *mmu;
	struct guest_paging paging;
	/* What the hardware must run on: CR3, and whether the CPU is to run
	 * 4-level (guest in long mode) or PAE paging (all others). The value
	 * is below 4 GiB when PAE. Valid after mmu_vcpu_init(). Any call may
	 * change it, and what a PAE CR3 points at: look before each entry. */
	hpa_t hw_cr3;
	bool hw_long;
	struct shadow_root root;
	struct mmu_step step; /* see mmu_step_open() */
	TAILQ_ENTRY(mmu_vcpu) link;
};

/* -ENOMEM, -EINVAL (quota too small or large): *mmu is all zero then, and there
 * is nothing to undo. */
must_check int mmu_init(struct mmu *mmu, const struct mmu_config *cfg);
/* Frees every shadow page, and gives back the counts they hold. All vCPUs
 * must be gone. */
void mmu_zap_all(struct mmu *mmu);
/* All vCPUs must be gone. Frees every shadow page and slot, and destroys the trackers
 * that are left; not the guest's memory itself, which belongs to whoever made the slots. */
void mmu_destroy(struct mmu *mmu);

/* Starts with paging off. @maxphyaddr and 1 GiB pages: the guest's. */
must_check int mmu_vcpu_init(struct mmu_vcpu *v, struct mmu *mmu, uint8_t maxphyaddr, bool has_1g_pages);
void mmu_vcpu_destroy(struct mmu_vcpu *v);

/*
 * Slots with their translations: as the calls of mm/memslot.h, and no TLB
 * holds an old translation when they return. Also -EEXIST when a machine
 * frame is in a slot already (no two gfns share a page, so protecting one gfn
 * protects the page), and -EINVAL when it is beyond the CPU's addresses.
 * Counts of trackers stay or go by each tracker's policy (pagetrack/tracker.h); a
 * create and a move can fail for them with -ENOMEM and -EOVERFLOW. Trackers hear of a
 * delete before, when it cannot fail any more, and of the others after.
 * The vCPUs of the VM are outside the guest, and only one such call at a time.
 */
must_check int mmu_slot_create(struct mmu *mmu, const struct memslot_desc *d);
must_check int mmu_slot_delete(struct mmu *mmu, uint32_t id);
must_check int mmu_slot_move(struct mmu *mmu, uint32_t id, gfn_t base);
must_check int mmu_slot_set_flags(struct mmu *mmu, uint32_t id, uint32_t flags);

/*
 * What the hardware's registers must hold beside hw_cr3 while the guest runs:
 * the guest's own bits with those forced that shadow paging needs. CR0: PG,
 * WP and PE set. CR4: PAE set; SMEP and SMAP are the guest's while its paging
 * is on, clear while off (its pages are all user pages then); PCIDE, LA57 and
 * PKE clear. EFER: NXE set; LME and LMA as hw_long.
 */
uint64_t mmu_hw_cr0(const struct mmu_vcpu *v);
uint64_t mmu_hw_cr4(const struct mmu_vcpu *v);
uint64_t mmu_hw_efer(const struct mmu_vcpu *v);

/* After any change of CR0, CR3, CR4 or EFER: adopt the new state and the
 * root that fits it (from the cache when there is one). The caller has
 * checked the architecture's rules on the values and, when the change loads
 * them, called guest_load_pdptes(). -ENOMEM only when the quota is exhausted by pinned
 * pages: the old root stays. */
must_check int mmu_set_paging(struct mmu_vcpu *v, const struct guest_paging *p);

enum fault_result {
	FAULT_FIXED,    /* shadow entry installed: run the guest again */
	FAULT_SPURIOUS, /* nothing was wrong: run the guest again */
	FAULT_INJECT,   /* the guest's own fault: error_code is what it must see */
	FAULT_EMULATE,  /* the page is tracked or read-only: emulate the access */
	FAULT_MMIO,     /* no RAM at @gpa */
	FAULT_NOMEM,    /* the quota cannot hold one path: stop this VM */
};

/* Filled once and passed down: inputs first, results after. */
struct page_fault {
	gva_t addr;
	uint32_t error_code;   /* the hardware's: PFERR_* */
	bool ac;               /* RFLAGS.AC of the guest */
	bool implicit;         /* access by the CPU itself, e.g. event delivery */
	const struct access_origin *origin; /* for trackers; NULL: walks are nobody's reads */
	struct guest_walk walk;
	gpa_t gpa;             /* FAULT_FIXED, _EMULATE and _MMIO */
	uint32_t inject_code;  /* FAULT_INJECT: error code for the guest */
};

/* Does tracking keep the access of @f, to @f->gpa, from running natively? */
bool mmu_tracking_traps(const struct mmu_vcpu *v, const struct page_fault *f);

/* A #PF of the running guest, @f->addr/.error_code/.ac/.implicit set. */
enum fault_result mmu_page_fault(struct mmu_vcpu *v, struct page_fault *f);

/* The error code of a #PF by which a tracker denies the access of @error_code. */
uint32_t mmu_denied_code(const struct guest_paging *p, uint32_t error_code);

/* The guest executed INVLPG or an equivalent. Shadow tables are exact, and
 * what a write to a guest table took away is flushed by then: there is
 * nothing to do, and INVLPG need not exit. */
void mmu_invlpg(struct mmu_vcpu *v, gva_t addr);

/*
 * The native step: an instruction the emulator does not know runs on the
 * hardware with the tracked page opened for this vCPU alone, and only for what
 * its faults have asked for.
 *
 *   mmu_step_ask(v, f)    the trackers are asked about the fault that could not be
 *                         emulated, and about each further FAULT_EMULATE during the
 *                         step. If they deny it they are told so, and it is not
 *                         opened. Fetches are not asked about: see guest_fetch().
 *   mmu_step_open(v, f)   then
 *   mmu_step_close(v, done) after the step: takes the rights away again, and
 *                         tells the trackers. @done: the instruction was completed,
 *                         otherwise it will run again and only what has changed is told
 *
 * A write is one event in a page: the run of bytes from the first to the last of those
 * that changed and the one that faulted. A read is one, somewhere from the address that
 * faulted to the end of the page. What the instruction does in a page beyond
 * that with rights it has been given is not seen.
 *
 * The caller keeps the other vCPUs of the VM out of the guest in between.
 * -E2BIG: more than MMU_STEP_PAGES_MAX pages, -EFAULT: not RAM or read-only,
 * -ENOMEM: as FAULT_NOMEM.
 */
must_check enum page_track_verdict mmu_step_ask(struct mmu_vcpu *v, const struct page_fault *f);
must_check int mmu_step_open(struct mmu_vcpu *v, const struct page_fault *f);
void mmu_step_close(struct mmu_vcpu *v, bool done);

/* Checks invariants I1..I8 (docs/shadow-mmu.md) over everything. Returns the
 * number of violations, each logged. Slow; for tests and debug builds. */
unsigned int mmu_audit(struct mmu *mmu);

#endif
