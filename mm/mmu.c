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

/* Rights come back with the next fault. */
static void track_unprotect(void *opaque, gfn_t gfn, enum page_track_mode mode)
{
}

static void track_flush(void *opaque)
{
	struct mmu *mmu = opaque;

	spin_lock(&mmu->lock);
	mmu->pool.flush_owed = true;
	mmu_unlock(mmu);
}

static const struct page_track_mmu_ops track_ops = {
	.protect = track_protect,
	.unprotect = track_unprotect,
	.flush = track_flush,
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
	mmu->tracker = (struct page_tracker){ .name = "mmu", .priority = 0, .write = mmu_table_written };
	err = page_tracker_register(&mmu->mem.track, &mmu->tracker);
	ASSERT(!err); /* the first one */
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

void mmu_destroy(struct mmu *mmu)
{
	int err = page_tracker_unregister(&mmu->mem.track, &mmu->tracker);

	ASSERT(!err);
	mmu_zap_all(mmu);
	memslots_destroy(&mmu->mem.slots);
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
	mmu_unlock(mmu);
	return 0;
}

void mmu_vcpu_destroy(struct mmu_vcpu *v)
{
	struct mmu *mmu = v->mmu;

	mmu_step_close(v);
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

int mmu_slot_create(struct mmu *mmu, const struct memslot_desc *d)
{
	uint64_t frames = 1ull << (mmu->host.maxphyaddr - PAGE_SHIFT);
	int err;

	if (d->npages > frames || d->base_pfn.v > frames - d->npages)
		return -EINVAL;
	spin_lock(&mmu->lock);
	if (frames_taken(mmu, d->base_pfn, d->npages))
		err = -EEXIST;
	else
		err = memslot_create(&mmu->mem.slots, d);
	mmu_unlock(mmu);
	return err;
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

/* The counts on a slot that is left, all of them others', by mode. */
static void count_others(const struct memslot *slot, uint64_t total[PAGE_TRACK_MODES])
{
	for (unsigned int mode = 0; mode < PAGE_TRACK_MODES; mode++)
		total[mode] = page_track_total(&slot->track, mode);
}

static void forget_others(struct mmu *mmu, const uint64_t total[PAGE_TRACK_MODES])
{
	for (unsigned int mode = 0; mode < PAGE_TRACK_MODES; mode++)
		mmu->tracked[mode] -= total[mode];
}

int mmu_slot_delete(struct mmu *mmu, uint32_t id)
{
	uint64_t total[PAGE_TRACK_MODES];
	struct memslot *slot;
	uint64_t npages;
	gfn_t base;
	int err;

	spin_lock(&mmu->lock);
	slot = memslot_find_id(&mmu->mem.slots, id);
	if (slot) {
		base = slot->base_gfn;
		npages = slot->npages;
	}
	spin_unlock(&mmu->lock);
	if (!slot)
		return -ENOENT;
	page_track_notify_region_removed(&mmu->mem.track, base, npages);

	spin_lock(&mmu->lock);
	slot = memslot_find_id(&mmu->mem.slots, id);
	err = slot ? 0 : -ENOENT; /* a tracker may have been quicker */
	if (slot) {
		mmu_step_forget(mmu, base, npages);
		leave_slot(mmu, slot);
		count_others(slot, total);
		forget_others(mmu, total);
		err = memslot_delete(&mmu->mem.slots, id);
	}
	mmu_unlock(mmu);
	return err;
}

int mmu_slot_move(struct mmu *mmu, uint32_t id, gfn_t base)
{
	uint64_t total[PAGE_TRACK_MODES];
	uint64_t npages = 0;
	struct memslot *slot;
	gfn_t old = base;
	int err = -ENOENT;

	spin_lock(&mmu->lock);
	slot = memslot_find_id(&mmu->mem.slots, id);
	if (slot) {
		old = slot->base_gfn;
		npages = slot->npages;
		leave_slot(mmu, slot); /* a cache: no loss when the move fails */
		count_others(slot, total);
		err = memslot_move(&mmu->mem.slots, id, base);
	}
	if (!err) {
		mmu_step_forget(mmu, old, npages);
		forget_others(mmu, total);
	}
	mmu_unlock(mmu);
	if (!err)
		page_track_notify_region_removed(&mmu->mem.track, old, npages);
	return err;
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

/* ---- tracking ---------------------------------------------------------------------- */

/* The counts of others than the MMU on @gfn. */
static unsigned int others_count(const struct mmu *mmu, const struct memslot *slot, gfn_t gfn,
				 enum page_track_mode mode)
{
	unsigned int own = mode == PAGE_TRACK_WRITE ? shadow_count(&mmu->pool, gfn) : 0;

	return page_track_count(&slot->track, gfn, mode) - own;
}

int mmu_track_add(struct mmu *mmu, gfn_t gfn, enum page_track_mode mode)
{
	struct memslot *slot;
	uint32_t *no_large;
	int err = 0;

	if ((unsigned int)mode >= PAGE_TRACK_MODES)
		return -EINVAL;
	spin_lock(&mmu->lock);
	slot = memslot_find(&mmu->mem.slots, gfn);
	if (!slot)
		err = -EINVAL;
	else if (others_count(mmu, slot, gfn, mode) >= PAGE_TRACK_COUNT_MAX - SHADOW_COUNT_MAX)
		err = -EOVERFLOW;
	else
		slot->no_large[memslot_index(slot, gfn, PG_LEVEL_2M)]++;
	spin_unlock(&mmu->lock);
	if (err)
		return err;

	err = page_track_add(&mmu->mem.track, &slot->track, gfn, mode);
	spin_lock(&mmu->lock);
	no_large = &slot->no_large[memslot_index(slot, gfn, PG_LEVEL_2M)];
	if (err)
		--*no_large;
	else
		mmu->tracked[mode]++;
	spin_unlock(&mmu->lock);
	return err;
}

int mmu_track_remove(struct mmu *mmu, gfn_t gfn, enum page_track_mode mode)
{
	struct memslot *slot;
	uint32_t *no_large;
	int err = 0;

	if ((unsigned int)mode >= PAGE_TRACK_MODES)
		return -EINVAL;
	spin_lock(&mmu->lock);
	slot = memslot_find(&mmu->mem.slots, gfn);
	if (!slot)
		err = -EINVAL;
	else if (others_count(mmu, slot, gfn, mode) == 0)
		err = -ENOENT;
	spin_unlock(&mmu->lock);
	if (!err)
		err = page_track_remove(&mmu->mem.track, &slot->track, gfn, mode);
	if (err)
		return err;
	spin_lock(&mmu->lock);
	mmu->tracked[mode]--;
	no_large = &slot->no_large[memslot_index(slot, gfn, PG_LEVEL_2M)];
	if (--*no_large == 0)
		shadow_zap_split(mmu, gfn);
	mmu_unlock(mmu);
	return 0;
}
