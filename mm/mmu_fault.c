/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The page fault: walk the guest's tables, find the slot, ask the trackers,
 * and install one shadow page per level down to a leaf whose rights are the
 * AND of the guest's path, the slot and the trackers.
 *
 * Invariant: FAULT_FIXED is returned only when the leaf lets the access
 * through. What no leaf can express is emulated, so the guest always gets on.
 * Lock: taken here; the guest walk, which may write A and D bits through the
 * trackers, runs before. Each guest entry is therefore read once more when
 * its table is write-protected.
 */
#include <string.h>
#include "lib/assert.h"
#include "lib/errno.h"
#include "mm/mmu_internal.h"

#define GPTE_DIRTY (1ull << 6)

/* Entries of a direct page that are filled by one fault. */
#define NEIGHBOURS 16u

uint64_t mmu_read_gpte(const struct memslot *slot, gfn_t gfn, unsigned int offset, unsigned int size)
{
	const uint8_t *table = memslot_page(slot, gfn);

	if (size == 8)
		return __atomic_load_n((const uint64_t *)(const void *)(table + offset), __ATOMIC_ACQUIRE);
	return __atomic_load_n((const uint32_t *)(const void *)(table + offset), __ATOMIC_ACQUIRE);
}

/* ---- rights --------------------------------------------------------------- */

uint32_t mmu_mode_takes(enum page_track_mode mode)
{
	static const uint32_t takes[PAGE_TRACK_MODES] = {
		[PAGE_TRACK_WRITE] = ACCESS_WRITE,
		[PAGE_TRACK_READ] = ACCESS_READ | ACCESS_WRITE | ACCESS_EXEC,
		[PAGE_TRACK_EXEC] = ACCESS_EXEC,
	};

	return takes[mode];
}

uint32_t mmu_tracked_rights(const struct memslot *slot, gfn_t gfn)
{
	uint32_t rights = ACCESS_ALL | ACCESS_READ;
	unsigned int modes = page_track_modes(&slot->track, gfn);

	for (unsigned int mode = 0; modes; mode++, modes >>= 1)
		if (modes & 1)
			rights &= ~mmu_mode_takes(mode);
	return rights;
}

static bool is_logged_clean(const struct memslot *slot, gfn_t gfn)
{
	uint64_t i = gfn.v - slot->base_gfn.v;

	return slot->dirty_bitmap && !(slot->dirty_bitmap[i / 64] & (1ull << (i % 64)));
}

uint32_t mmu_needed_rights(const struct page_fault *f)
{
	return ACCESS_READ | (f->error_code & PFERR_WRITE ? ACCESS_WRITE : 0) |
	       (f->error_code & PFERR_USER ? ACCESS_USER : 0) |
	       (f->error_code & PFERR_FETCH ? ACCESS_EXEC : 0);
}

/*
 * CR0.WP is always set in hardware. For a guest that has it clear, a
 * supervisor write to a read-only page makes the page writable; were it a
 * user page, that would let the user write too, so it becomes a supervisor
 * page until the user's next access flips it back. With SMEP the supervisor
 * must not be able to fetch from it now; with SMAP it must not be able to
 * read it with AC clear, which no spte can say: for one instruction at most,
 * whose access the walk has allowed.
 */
static bool force_write(const struct mmu_vcpu *v, uint32_t open, uint32_t *access)
{
	if (v->paging.cr0 & X86_CR0_WP)
		return false;
	*access |= ACCESS_WRITE;
	if (!(*access & ACCESS_USER))
		return true;
	if ((v->paging.cr4 & X86_CR4_SMAP) && !open)
		return false;
	*access &= ~ACCESS_USER;
	if (v->paging.cr4 & X86_CR4_SMEP)
		*access &= ~ACCESS_EXEC;
	return true;
}

/* The rights that the guest's tables give, in the form that the access of @f
 * needs. A clean page is read-only, so that the write that makes it dirty is
 * seen. False: no spte can let this access through. */
static bool guest_rights(const struct mmu_vcpu *v, const struct page_fault *f, uint32_t open, uint32_t *access)
{
	const struct guest_walk *w = &f->walk;
	bool write = f->error_code & PFERR_WRITE;

	*access = ACCESS_ALL;
	if (!paging_enabled(&v->paging))
		return true;
	*access = w->access[w->level];
	if (!(w->gpte[w->level] & GPTE_DIRTY)) {
		*access &= ~ACCESS_WRITE;
		return !write;
	}
	if (write && !(*access & ACCESS_WRITE))
		return force_write(v, open, access);
	return true;
}

/* ---- the path ------------------------------------------------------------- */

/* One descent: where it is, and what it is for. */
struct descent {
	struct mmu_vcpu *v;
	const struct page_fault *f;
	struct memslot *slot; /* of the page that is mapped */
	gfn_t gfn;
	uint32_t access;      /* the guest's rights to it */
	uint32_t open;        /* rights of a native step, whatever tracking says */
	uint32_t lent;        /* rights lent in this address space, though tracked in another */
	struct shadow_page *sp;
};

static struct shadow_page *root_of(const struct mmu_vcpu *v, gva_t addr)
{
	return v->root.sp[v->hw_long ? 0 : (addr.v >> 30) & 3];
}

/* Is the guest's entry for this level still what the walk has read? */
static bool gpte_unchanged(const struct descent *d)
{
	const struct guest_walk *w = &d->f->walk;
	int level = d->sp->role.level;
	struct memslot *slot;

	if (d->sp->role.direct)
		return true;
	slot = memslot_find(&d->v->mmu->mem.slots, d->sp->gfn);
	return slot && gpa_to_gfn(w->gpte_gpa[level]).v == d->sp->gfn.v &&
	       mmu_read_gpte(slot, d->sp->gfn, (unsigned int)gpa_offset(w->gpte_gpa[level]),
			     mmu_gpte_size(d->sp->role)) == w->gpte[level];
}

/* Does the leaf belong into the table at d->sp? */
static bool is_leaf_level(const struct descent *d)
{
	int level = d->sp->role.level;

	if (level == PG_LEVEL_4K)
		return true;
	if (level > MAPPING_LEVEL_MAX || d->open || d->lent || (d->slot->flags & MEMSLOT_LOG_DIRTY))
		return false;
	if (!d->sp->role.direct && d->f->walk.level < level)
		return false;
	return !d->slot->no_large[memslot_index(d->slot, d->gfn, level)] &&
	       !page_track_range_is_active(&d->slot->track, d->gfn);
}

/* The shadow page that the entry of d->sp for the address must point to. */
static void child_wanted(const struct descent *d, gfn_t *child, union shadow_page_role *role)
{
	const struct guest_walk *w = &d->f->walk;
	int level = d->sp->role.level;

	*role = d->sp->role;
	role->level = level - 1;
	role->quadrant = 0;
	if (d->sp->role.direct || level <= w->level) {
		role->direct = true;
		role->access = d->access;
		*child = gfn(d->gfn.v & ~(LEVEL_PAGES(level) - 1));
		return;
	}
	role->access = w->access[level];
	if (!role->cr4_pae)
		role->quadrant = spte_index(d->f->addr, level) & 1;
	*child = gpa_to_gfn(w->gpte_gpa[level - 1]);
}

/* Moves d->sp one level down, linking what is missing. */
static bool descend(struct descent *d)
{
	struct mmu *mmu = d->v->mmu;
	uint64_t *sptep = &shadow_table(&mmu->pool, d->sp)[spte_index(d->f->addr, d->sp->role.level)];
	union shadow_page_role role;
	struct shadow_page *child;
	gfn_t g;

	child_wanted(d, &g, &role);
	if (spte_present(*sptep) && !spte_is_leaf(*sptep)) {
		child = shadow_of_link(&mmu->pool, *sptep);
		if (child->gfn.v == g.v && child->role.word == role.word) {
			d->sp = child;
			return true;
		}
	}
	child = shadow_get(mmu, g, role);
	if (!child)
		return false;
	spte_set(mmu, sptep, spte_make_link(shadow_table_hpa(&mmu->pool, child)));
	d->sp = child;
	return true;
}

/* What the slot and the trackers leave of the guest's rights to @g. */
static uint32_t page_rights(const struct descent *d, gfn_t g)
{
	uint32_t rights = d->access | ACCESS_READ;

	rights &= mmu_tracked_rights(d->slot, g) | (g.v == d->gfn.v ? d->open | d->lent : 0);
	if (d->slot->flags & MEMSLOT_READONLY)
		rights &= ~ACCESS_WRITE;
	return rights;
}

/* A direct page needs no further look at the guest's tables: fill the
 * neighbours too. They are what a loop touches next, and come one by one when
 * a tracked page has split a large mapping. */
static void fill_neighbours(const struct descent *d)
{
	struct mmu *mmu = d->v->mmu;
	uint64_t *table = shadow_table(&mmu->pool, d->sp);
	unsigned int first = spte_index(d->f->addr, 1) & ~(NEIGHBOURS - 1);

	for (unsigned int i = first; i < first + NEIGHBOURS; i++) {
		gfn_t g = shadow_direct_gfn(d->sp, i);
		uint32_t rights;

		if (spte_present(table[i]) || !memslot_contains(d->slot, g))
			continue;
		rights = page_rights(d, g);
		if (is_logged_clean(d->slot, g))
			rights &= ~ACCESS_WRITE;
		if (rights & ACCESS_READ)
			spte_set(mmu, &table[i], spte_make_leaf(memslot_pfn(d->slot, g), rights, 1));
	}
}

static enum fault_result set_leaf(const struct descent *d)
{
	struct mmu *mmu = d->v->mmu;
	int level = d->sp->role.level;
	uint64_t *sptep = &shadow_table(&mmu->pool, d->sp)[spte_index(d->f->addr, level)];
	/* Asked anew: the path may have write-protected the very page. */
	uint32_t rights = page_rights(d, d->gfn), needed = mmu_needed_rights(d->f);
	uint64_t spte;

	if (d->lent && shadow_count(&mmu->pool, d->gfn))
		return FAULT_EMULATE;

	/* The user bit is not ours to judge: the walk has. */
	if (needed & ~rights & (ACCESS_READ | ACCESS_WRITE | ACCESS_EXEC))
		return FAULT_EMULATE;
	if (needed & ACCESS_WRITE)
		memslot_mark_dirty(d->slot, d->gfn);
	else if (is_logged_clean(d->slot, d->gfn))
		rights &= ~ACCESS_WRITE;
	spte = spte_make_leaf(memslot_pfn(d->slot, gfn(d->gfn.v & ~(LEVEL_PAGES(level) - 1))), rights, level);
	if (d->open)
		spte |= SPTE_OPENED;
	if (d->lent)
		spte |= SPTE_LENT;
	if (*sptep == spte)
		return FAULT_SPURIOUS;
	spte_set(mmu, sptep, spte);
	mmu->stats.fills++;
	if (d->sp->role.direct && level == PG_LEVEL_4K && !d->open)
		fill_neighbours(d);
	return FAULT_FIXED;
}

/* What trackers leave is too little for the access: may more be lent? Not of a
 * page that is a table, nor of one that becomes one on the way to it. */
static bool borrow(struct descent *d, const struct mmu_loan *loan)
{
	uint32_t needed = mmu_needed_rights(d->f) & ~ACCESS_USER;

	if (!(needed & ~mmu_tracked_rights(d->slot, d->gfn)))
		return true;
	d->lent = loan && (needed & ~loan->rights) == 0 ? mmu_lend(d->v->mmu, d->gfn, loan) : 0;
	return d->lent != 0;
}

enum fault_result mmu_map(struct mmu_vcpu *v, const struct page_fault *f, uint32_t open,
			  const struct mmu_loan *loan)
{
	struct descent d = { .v = v, .f = f, .gfn = gpa_to_gfn(f->gpa), .open = open };

	d.slot = memslot_find(&v->mmu->mem.slots, d.gfn);
	if (!d.slot)
		return FAULT_MMIO;
	if ((d.slot->flags & MEMSLOT_READONLY) && (f->error_code & PFERR_WRITE))
		return FAULT_EMULATE;
	if (!open && !borrow(&d, loan))
		return FAULT_EMULATE;
	if (!guest_rights(v, f, open, &d.access))
		return FAULT_EMULATE;
	d.sp = root_of(v, f->addr);
	if (!d.sp)
		return FAULT_NOMEM;
	for (;;) {
		shadow_touch(&v->mmu->pool, d.sp);
		if (!gpte_unchanged(&d))
			return FAULT_SPURIOUS; /* the guest runs again and faults on what is there now */
		if (is_leaf_level(&d))
			return set_leaf(&d);
		if (!descend(&d))
			return FAULT_NOMEM;
	}
}

/* ---- the fault ------------------------------------------------------------ */

static uint32_t walk_access(const struct page_fault *f)
{
	return (f->error_code & (PFERR_WRITE | PFERR_USER | PFERR_FETCH)) | (f->ac ? WALK_AC : 0) |
	       (f->implicit ? WALK_IMPLICIT : 0);
}

uint32_t mmu_denied_code(const struct guest_paging *p, uint32_t error_code)
{
	bool tells_fetch = (paging_pae(p) && (p->efer & EFER_NXE)) || (p->cr4 & X86_CR4_SMEP);

	return PFERR_PRESENT | (error_code & (PFERR_WRITE | PFERR_USER)) |
	       (tells_fetch ? error_code & PFERR_FETCH : 0);
}

/* Reads of a hole give all ones on a PC, which as a paging-structure entry
 * has reserved bits set. */
static uint32_t hole_error_code(const struct guest_paging *p, const struct page_fault *f)
{
	return mmu_denied_code(p, f->error_code) | PFERR_RSVD;
}

bool mmu_tracking_traps(const struct mmu_vcpu *v, const struct page_fault *f)
{
	gfn_t g = gpa_to_gfn(f->gpa);
	const struct memslot *slot = memslot_find(&v->mmu->mem.slots, g);

	return slot && (mmu_needed_rights(f) & ~ACCESS_USER & ~mmu_tracked_rights(slot, g));
}

enum fault_result mmu_page_fault(struct mmu_vcpu *v, struct page_fault *f)
{
	struct mmu *mmu = v->mmu;
	enum fault_result result;
	struct mmu_loan loan;

	switch (guest_walk(&f->walk, &mmu->mem, &v->paging, f->addr, walk_access(f), f->origin)) {
	case WALK_OK:
		break;
	case WALK_FAULT:
		mmu->stats.faults++;
		f->inject_code = f->walk.error_code;
		return FAULT_INJECT;
	case WALK_NO_RAM:
		mmu->stats.faults++;
		f->inject_code = hole_error_code(&v->paging, f);
		return FAULT_INJECT;
	}
	f->gpa = gpa_add(gfn_to_gpa(f->walk.gfn), gva_offset(f->addr));
	loan = mmu_lendable(v, gpa_to_gfn(f->gpa));
	spin_lock(&mmu->lock);
	mmu->stats.faults++;
	if (shadow_reserve(mmu, SHADOW_PAGES_PER_OP)) {
		result = FAULT_NOMEM;
	} else {
		if (!v->root.complete)
			mmu_root_load(v);
		result = mmu_map(v, f, 0, &loan);
	}
	mmu_unlock(mmu);
	return result;
}

void mmu_invlpg(struct mmu_vcpu *v, gva_t addr)
{
}
