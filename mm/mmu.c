/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The MMU's life, its vCPUs, and the changes from above: slots and tracking.
 *
 * Invariant: translations go before what they stand on - the slot, the right,
 * the shadow page - and no TLB holds one when the caller is told.
 * Lock: taken here by every public call; see mm/mmu.h.
 */
#include "mm/mmu.h"
#include "lib/alloc.h"
#include "lib/assert.h"
#include "lib/errno.h"
#include "mm/mmu_internal.h"

void mmu_unlock(struct mmu *mmu)
{
	shadow_commit(mmu);
	spin_unlock(&mmu->lock);
}

/* ---- what page tracking asks ------------------------------------------------ */

static struct page_track_slot *track_slot_of(void *opaque, gfn_t gfn)
{
	struct mmu *mmu = opaque;
	struct memslot *slot;

	spin_lock(&mmu->lock);
	slot = memslot_find(&mmu->mem.slots, gfn);
	spin_unlock(&mmu->lock);
	return slot ? &slot->track : NULL;
}

static bool track_protect(void *opaque, gfn_t gfn, enum page_track_mode mode)
{
	struct mmu *mmu = opaque;
	struct memslot *slot;
	bool owed;

	spin_lock(&mmu->lock);
	slot = memslot_find(&mmu->mem.slots, gfn);
	if (slot)
		rmap_take_rights(mmu, slot, gfn, mmu_mode_takes(mode));
	owed = mmu->pool.flush_owed; /* the tracker flushes, once for all it protects */
	spin_unlock(&mmu->lock);
	return owed;
}

/* Rights come back with the next fault, and a large mapping with the last
 * count in its range. */
static void track_unprotect(void *opaque, gfn_t gfn, enum page_track_mode mode)
{
	struct mmu *mmu = opaque;
	struct memslot *slot;

	spin_lock(&mmu->lock);
	slot = memslot_find(&mmu->mem.slots, gfn);
	if (slot && !page_track_range_is_active(&slot->track, gfn))
		shadow_zap_split(mmu, gfn);
	mmu_unlock(mmu);
}

static void track_flush(void *opaque)
{
	struct mmu *mmu = opaque;

	spin_lock(&mmu->lock);
	mmu->pool.flush_owed = true;
	mmu_unlock(mmu);
}

/* The MMU's own counts: one for each shadow page of a guest table there. */
static unsigned int track_own_count(void *opaque, gfn_t gfn, enum page_track_mode mode)
{
	struct mmu *mmu = opaque;
	unsigned int n;

	if (mode != PAGE_TRACK_WRITE)
		return 0;
	spin_lock(&mmu->lock);
	n = shadow_count(&mmu->pool, gfn);
	spin_unlock(&mmu->lock);
	return n;
}

static uint64_t track_tsc(void *opaque)
{
	const struct mmu *mmu = opaque;

	return mmu->host.tsc ? mmu->host.tsc(mmu->host.ctx) : 0;
}

static const struct page_track_mmu_ops track_ops = {
	.slot_of = track_slot_of,
	.protect = track_protect,
	.unprotect = track_unprotect,
	.flush = track_flush,
	.own_count = track_own_count,
	.own_max = { [PAGE_TRACK_WRITE] = SHADOW_COUNT_MAX },
	.written = mmu_table_written,
	.tsc = track_tsc,
};

/* ---- life --------------------------------------------------------------------- */

int mmu_init(struct mmu *mmu, const struct mmu_config *cfg)
{
	int err;

	*mmu = (struct mmu){ 0 };
	if (cfg->shadow_pages < MMU_SHADOW_PAGES_MIN || cfg->shadow_pages > MMU_SHADOW_PAGES_MAX)
		return -EINVAL;
	mmu->host = cfg->host;
	err = shadow_pool_init(&mmu->pool, cfg->shadow_pages, cfg->hash_key);
	if (err) {
		*mmu = (struct mmu){ 0 };
		return err;
	}
	TAILQ_INIT(&mmu->vcpus);
	page_track_init(&mmu->mem.track, &track_ops, mmu);
	return 0;
}

void mmu_zap_all(struct mmu *mmu)
{
	struct shadow_page *sp;

	ASSERT(TAILQ_EMPTY(&mmu->vcpus));
	spin_lock(&mmu->lock);
	while ((sp = TAILQ_FIRST(&mmu->pool.active)) != NULL)
		shadow_zap(mmu, sp);
	mmu_unlock(mmu);
}

/* Trackers go with the slots they hold pages of. */
static void drop_trackers(struct mmu *mmu)
{
	const struct memslots *s = &mmu->mem.slots;

	for (unsigned int i = 0; i < s->count; i++)
		page_track_slot_detach(&mmu->mem.track, &s->slot[i]->track);
}

void mmu_destroy(struct mmu *mmu)
{
	mmu_zap_all(mmu);
	drop_trackers(mmu);
	memslots_destroy(&mmu->mem.slots);
	page_track_destroy(&mmu->mem.track);
	shadow_pool_destroy(&mmu->pool);
}

static void free_pages(struct mmu_vcpu *v)
{
	mem_free(v->root.page, PAGE_SIZE);
	mem_free(v->step.before, MMU_STEP_PAGES_MAX * PAGE_SIZE);
}

static int make_pages(struct mmu_vcpu *v)
{
	v->root.page = mem_zalloc_low(PAGE_SIZE);
	v->step.before = mem_zalloc(MMU_STEP_PAGES_MAX * PAGE_SIZE);
	if (!v->root.page || !v->step.before) {
		free_pages(v);
		return -ENOMEM;
	}
	for (unsigned int i = 0; i < SPTES_PER_PAGE; i++)
		v->root.page[i] = spte_not_shadowed();
	return 0;
}

int mmu_vcpu_init(struct mmu_vcpu *v, struct mmu *mmu, uint8_t maxphyaddr, bool has_1g_pages)
{
	struct guest_paging p = { .maxphyaddr = maxphyaddr, .has_1g_pages = has_1g_pages };
	int err;

	*v = (struct mmu_vcpu){ .mmu = mmu, .paging = p };
	err = make_pages(v);
	if (err)
		return err;
	err = mmu_set_paging(v, &p);
	if (err) {
		free_pages(v);
		return err;
	}
	spin_lock(&mmu->lock);
	TAILQ_INSERT_TAIL(&mmu->vcpus, v, link);
	mmu_lent_take_back(mmu); /* that goes with one vCPU only */
	mmu_unlock(mmu);
	return 0;
}

void mmu_vcpu_destroy(struct mmu_vcpu *v)
{
	struct mmu *mmu = v->mmu;

	mmu_step_close(v, false);
	spin_lock(&mmu->lock);
	mmu_root_drop(v);
	TAILQ_REMOVE(&mmu->vcpus, v, link);
	mmu_unlock(mmu);
	free_pages(v);
}

/* ---- slots ---------------------------------------------------------------------- */

/* Some slot but @but has machine frames of [base, base + npages). */
static bool frames_taken(const struct mmu *mmu, pfn_t base, uint64_t npages)
{
	const struct memslots *s = &mmu->mem.slots;

	for (unsigned int i = 0; i < s->count; i++)
		if (base.v < s->slot[i]->base_pfn.v + s->slot[i]->npages &&
		    s->slot[i]->base_pfn.v < base.v + npages)
			return true;
	return false;
}

static void tell_region(struct mmu *mmu, enum page_track_region_change change, const struct memslot *slot, gfn_t old)
{
	const struct page_track_region r = {
		.change = change, .base = slot->base_gfn, .npages = slot->npages, .old_base = old,
	};

	page_track_notify_region(&mmu->mem.track, &r);
}

static int create(struct mmu *mmu, const struct memslot_desc *d, struct memslot **slot)
{
	int err = -EEXIST;

	spin_lock(&mmu->lock);
	if (!frames_taken(mmu, d->base_pfn, d->npages))
		err = memslot_create(&mmu->mem.slots, d);
	*slot = err ? NULL : memslot_find_id(&mmu->mem.slots, d->id);
	mmu_unlock(mmu);
	return err;
}

int mmu_slot_create(struct mmu *mmu, const struct memslot_desc *d)
{
	uint64_t frames = 1ull << (mmu->host.maxphyaddr - PAGE_SHIFT);
	struct memslot *slot;
	int err, undone;

	if (d->npages > frames || d->base_pfn.v > frames - d->npages)
		return -EINVAL;
	err = create(mmu, d, &slot);
	if (err)
		return err;
	err = page_track_slot_attach(&mmu->mem.track, &slot->track);
	if (err) {
		spin_lock(&mmu->lock);
		undone = memslot_delete(&mmu->mem.slots, d->id);
		mmu_unlock(mmu);
		ASSERT(!undone);
		return err;
	}
	tell_region(mmu, REGION_CREATED, slot, slot->base_gfn);
	return 0;
}

static void drop_roots_in(struct mmu *mmu, const struct memslot *slot)
{
	struct mmu_vcpu *v;

	TAILQ_FOREACH(v, &mmu->vcpus, link)
		for (unsigned int i = 0; i < 4; i++)
			if (v->root.sp[i] && !v->root.sp[i]->role.direct &&
			    memslot_contains(slot, v->root.sp[i]->gfn)) {
				mmu_root_drop(v);
				break;
			}
}

/* Nothing of the MMU stands on @slot any more: no root, no translation of its
 * frames, no shadow page of a table in it. */
static void leave_slot(struct mmu *mmu, struct memslot *slot)
{
	struct shadow_page *sp, *next;

	drop_roots_in(mmu, slot);
	rmap_drop_slot(mmu, slot);
	for (sp = TAILQ_FIRST(&mmu->pool.active); sp; sp = next) {
		next = TAILQ_NEXT(sp, list);
		if (!sp->role.direct && memslot_contains(slot, sp->gfn))
			shadow_zap(mmu, sp);
	}
	shadow_commit(mmu);
}

static struct memslot *slot_by_id(struct mmu *mmu, uint32_t id)
{
	struct memslot *slot;

	spin_lock(&mmu->lock);
	slot = memslot_find_id(&mmu->mem.slots, id);
	spin_unlock(&mmu->lock);
	return slot;
}

/* Nothing of the MMU, of a step or of trackers is left on @slot. */
static void vacate(struct mmu *mmu, struct memslot *slot)
{
	spin_lock(&mmu->lock);
	mmu_step_forget(mmu, slot->base_gfn, slot->npages);
	leave_slot(mmu, slot);
	mmu_unlock(mmu);
	page_track_slot_detach(&mmu->mem.track, &slot->track);
}

int mmu_slot_delete(struct mmu *mmu, uint32_t id)
{
	struct memslot *slot = slot_by_id(mmu, id);
	int err;

	if (!slot)
		return -ENOENT;
	tell_region(mmu, REGION_REMOVED, slot, slot->base_gfn);
	slot = slot_by_id(mmu, id);
	if (!slot) /* a tracker was quicker */
		return -ENOENT;
	vacate(mmu, slot);
	spin_lock(&mmu->lock);
	err = memslot_delete(&mmu->mem.slots, id);
	mmu_unlock(mmu);
	return err;
}

int mmu_slot_move(struct mmu *mmu, uint32_t id, gfn_t base)
{
	struct memslot *slot, moved;
	gfn_t old;
	int err;

	spin_lock(&mmu->lock);
	err = memslot_move_prepare(&mmu->mem.slots, id, base, &moved);
	slot = memslot_find_id(&mmu->mem.slots, id);
	spin_unlock(&mmu->lock);
	if (err)
		return err;
	err = page_track_slot_move_prepare(&mmu->mem.track, &slot->track, base, &moved.track);
	if (err) {
		memslot_move_undo(&moved);
		return err;
	}
	old = slot->base_gfn;
	vacate(mmu, slot);
	spin_lock(&mmu->lock);
	memslot_move_commit(&mmu->mem.slots, slot, &moved);
	mmu_unlock(mmu);
	err = page_track_slot_attach(&mmu->mem.track, &slot->track);
	ASSERT(!err); /* it was prepared */
	tell_region(mmu, REGION_MOVED, slot, old);
	return 0;
}

int mmu_slot_set_flags(struct mmu *mmu, uint32_t id, uint32_t flags)
{
	struct memslot *slot;
	int err;

	spin_lock(&mmu->lock);
	err = memslot_set_flags(&mmu->mem.slots, id, flags);
	slot = memslot_find_id(&mmu->mem.slots, id);
	/* All comes back with the rights of now, and from tables whose A and D
	 * bits can be set or not. */
	if (!err)
		leave_slot(mmu, slot);
	mmu_unlock(mmu);
	return err;
}
