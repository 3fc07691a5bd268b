/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The native step: a tracked page is opened for one instruction that the
 * emulator does not know. What the page held is kept, the translation is
 * marked SPTE_OPENED, and when the step is over it is dropped and the trackers
 * are told what changed.
 *
 * Invariant: an opened spte maps a page of some vCPU's step.page[].
 * Limits: bytes written with the value they had cannot be seen.
 * Lock: taken here; the trackers are told without it.
 */
#include <string.h>
#include "lib/errno.h"
#include "mm/mmu_internal.h"
#include "mm/port.h"

static uint8_t *page_of(const struct memslot *slot, gfn_t gfn)
{
	return port_hpa_to_va(pfn_to_hpa(memslot_pfn(slot, gfn)));
}

static bool is_open(const struct mmu_step *step, gfn_t gfn)
{
	for (unsigned int i = 0; i < step->count; i++)
		if (step->page[i].v == gfn.v)
			return true;
	return false;
}

/* Keeps what the page holds, once. */
static int keep_page(struct mmu_step *step, const struct memslot *slot, gfn_t gfn)
{
	if (is_open(step, gfn))
		return 0;
	if (step->count == MMU_STEP_PAGES_MAX)
		return -E2BIG;
	memcpy(step->before + step->count * PAGE_SIZE, page_of(slot, gfn), PAGE_SIZE);
	step->page[step->count++] = gfn;
	return 0;
}

static int open_page(struct mmu_vcpu *v, const struct page_fault *f)
{
	struct mmu *mmu = v->mmu;
	gfn_t g = gpa_to_gfn(f->gpa);
	struct memslot *slot;
	int err;

	if (shadow_reserve(mmu, SHADOW_PAGES_PER_OP))
		return -ENOMEM;
	if (!v->root.complete)
		mmu_root_load(v);
	slot = memslot_find(&mmu->mem.slots, g);
	if (!slot || ((slot->flags & MEMSLOT_READONLY) && (f->error_code & PFERR_WRITE)))
		return -EFAULT;
	err = keep_page(&v->step, slot, g);
	if (err)
		return err;
	switch (mmu_map(v, f, true)) {
	case FAULT_FIXED:
	case FAULT_SPURIOUS: /* at worst the instruction faults again */
		return 0;
	case FAULT_NOMEM:
		return -ENOMEM;
	default:
		return -EFAULT;
	}
}

int mmu_step_open(struct mmu_vcpu *v, const struct page_fault *f)
{
	int err;

	spin_lock(&v->mmu->lock);
	err = open_page(v, f);
	mmu_unlock(v->mmu);
	return err;
}

/* Tells the trackers of each run of bytes that changed in a page. */
static void tell_changes(struct mmu *mmu, gfn_t gfn, const uint8_t *before, const uint8_t *now)
{
	unsigned int i = 0, start;

	while (i < PAGE_SIZE) {
		if (before[i] == now[i]) {
			i++;
			continue;
		}
		for (start = i; i < PAGE_SIZE && before[i] != now[i]; i++)
			;
		page_track_notify_write(&mmu->mem.track, &(struct page_track_write){
			.gpa = gpa_add(gfn_to_gpa(gfn), start), .len = i - start,
			.old = before + start, .new = now + start, .writer = WRITER_STEP });
	}
}

static void close_page(struct mmu *mmu, gfn_t gfn, const uint8_t *before)
{
	struct memslot *slot;
	const uint8_t *now;
	bool tracked;

	spin_lock(&mmu->lock);
	slot = memslot_find(&mmu->mem.slots, gfn);
	now = slot ? page_of(slot, gfn) : before;
	if (!slot || memcmp(before, now, PAGE_SIZE) == 0) {
		spin_unlock(&mmu->lock);
		return;
	}
	memslot_mark_dirty(slot, gfn);
	tracked = page_track_is_active(&slot->track, gfn, PAGE_TRACK_WRITE);
	spin_unlock(&mmu->lock);
	if (tracked)
		tell_changes(mmu, gfn, before, now);
}

/*
 * With CR0.WP clear and SMAP set, a user page may have been opened as a
 * supervisor page through a direct page whose other entries that gave away
 * too (see force_write()). So rare that all such pages go.
 */
static void zap_forced(struct mmu *mmu)
{
	struct shadow_page *sp, *next;

	for (sp = TAILQ_FIRST(&mmu->pool.active); sp; sp = next) {
		next = TAILQ_NEXT(sp, list);
		if (sp->role.direct && sp->role.smap_andnot_wp)
			shadow_zap(mmu, sp);
	}
}

static void take_rights_back(struct mmu_vcpu *v)
{
	struct mmu *mmu = v->mmu;
	struct memslot *slot;

	for (unsigned int i = 0; i < v->step.count; i++) {
		slot = memslot_find(&mmu->mem.slots, v->step.page[i]);
		if (slot)
			rmap_drop_opened(mmu, slot, v->step.page[i]);
	}
	if (!(v->paging.cr0 & X86_CR0_WP) && (v->paging.cr4 & X86_CR4_SMAP))
		zap_forced(mmu);
}

void mmu_step_close(struct mmu_vcpu *v)
{
	struct mmu *mmu = v->mmu;
	struct mmu_step *step = &v->step;

	if (step->count == 0)
		return;
	spin_lock(&mmu->lock);
	take_rights_back(v);
	mmu_unlock(mmu);
	/* No CPU can write them any more. A page that a tracker takes the
	 * slot of meanwhile leaves the list. */
	while (step->count > 0) {
		unsigned int last = --step->count;

		close_page(mmu, step->page[last], step->before + last * PAGE_SIZE);
	}
}

static void forget(struct mmu_step *step, gfn_t base, uint64_t npages)
{
	for (unsigned int i = step->count; i-- > 0;) {
		unsigned int last;

		if (step->page[i].v - base.v >= npages)
			continue;
		last = --step->count;
		step->page[i] = step->page[last];
		memmove(step->before + i * PAGE_SIZE, step->before + last * PAGE_SIZE, PAGE_SIZE);
	}
}

void mmu_step_forget(struct mmu *mmu, gfn_t base, uint64_t npages)
{
	struct mmu_vcpu *v;

	TAILQ_FOREACH(v, &mmu->vcpus, link)
		forget(&v->step, base, npages);
}
