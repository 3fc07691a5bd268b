/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The native step: a tracked page is opened for one instruction that the
 * emulator does not know. What the page held is kept, the translation is
 * marked SPTE_OPENED, and when the step is over it is dropped and the trackers
 * are told what was done.
 *
 * Invariant: an opened spte maps a page of some vCPU's step.page[].
 * Lock: taken here; the trackers are asked and told without it.
 */
#include <string.h>
#include "lib/errno.h"
#include "mm/mmu_internal.h"

/* PAGE_TRACK_EXEC for a fetch. */
static enum page_track_mode mode_of(const struct page_fault *f)
{
	if (f->error_code & PFERR_FETCH)
		return PAGE_TRACK_EXEC;
	return f->error_code & PFERR_WRITE ? PAGE_TRACK_WRITE : PAGE_TRACK_READ;
}

/* ---- before the step --------------------------------------------------------- */

/* How a native access looks: where it is, and no more is known. */
static struct page_track_event native_event(const struct memslot *slot, const struct access_origin *origin,
					    enum page_track_mode mode, gpa_t at)
{
	return (struct page_track_event){
		.mode = mode, .gpa = at, .len = (uint32_t)(PAGE_SIZE - gpa_offset(at)), .inexact = true,
		.page = memslot_page(slot, gpa_to_gfn(at)), .origin = origin,
	};
}

static struct access_origin native_origin(const struct page_fault *f)
{
	struct access_origin origin = f->origin ? *f->origin : *BY(GUEST);

	origin.agent = AGENT_GUEST;
	origin.gva = f->addr;
	return origin;
}

enum page_track_verdict mmu_step_ask(struct mmu_vcpu *v, const struct page_fault *f)
{
	struct guest_mem *m = &v->mmu->mem;
	const struct memslot *slot = memslot_find(&m->slots, gpa_to_gfn(f->gpa));
	struct access_origin origin = native_origin(f);
	enum page_track_mode mode = mode_of(f);
	struct page_track_event e;

	if (!slot || mode == PAGE_TRACK_EXEC || !page_track_is_active(&slot->track, gpa_to_gfn(f->gpa), mode))
		return VERDICT_ALLOW;
	e = native_event(slot, &origin, mode, f->gpa);
	e.verdict = page_track_before(&m->track, &e, NULL);
	if (e.verdict != VERDICT_ALLOW)
		page_track_after(&m->track, &e);
	return e.verdict;
}

/* The page of @gfn among those of the step: if it is new, what it holds is kept. NULL: too many. */
static struct mmu_step_page *page_to_open(struct mmu_step *step, const struct memslot *slot, gfn_t gfn)
{
	for (unsigned int i = 0; i < step->count; i++)
		if (step->page[i].gfn.v == gfn.v)
			return &step->page[i];
	if (step->count == MMU_STEP_PAGES_MAX)
		return NULL;
	memcpy(step->before + step->count * PAGE_SIZE, memslot_page(slot, gfn), PAGE_SIZE);
	step->page[step->count] = (struct mmu_step_page){ .gfn = gfn };
	return &step->page[step->count++];
}

static void note_access(struct mmu_step_page *page, const struct page_fault *f)
{
	enum page_track_mode mode = mode_of(f);

	page->open |= mmu_needed_rights(f) & ~ACCESS_USER;
	if (mode == PAGE_TRACK_EXEC || page->accessed[mode])
		return;
	page->accessed[mode] = true;
	page->at[mode] = f->addr;
}

static int open_page(struct mmu_vcpu *v, const struct page_fault *f)
{
	struct mmu *mmu = v->mmu;
	gfn_t g = gpa_to_gfn(f->gpa);
	struct mmu_step_page *page;
	struct memslot *slot;

	if (shadow_reserve(mmu, SHADOW_PAGES_PER_OP))
		return -ENOMEM;
	if (!v->root.complete)
		mmu_root_load(v);
	slot = memslot_find(&mmu->mem.slots, g);
	if (!slot || ((slot->flags & MEMSLOT_READONLY) && (f->error_code & PFERR_WRITE)))
		return -EFAULT;
	page = page_to_open(&v->step, slot, g);
	if (!page)
		return -E2BIG;
	note_access(page, f);
	switch (mmu_map(v, f, page->open, NULL)) {
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

	if (v->step.count == 0)
		v->step.origin = native_origin(f);
	spin_lock(&v->mmu->lock);
	err = open_page(v, f);
	mmu_unlock(v->mmu);
	return err;
}

/* ---- after the step ---------------------------------------------------------- */

/* The bytes of one event in a page, from first to last. */
struct run { unsigned int first, last; };

static bool changed(struct run *r, const uint8_t *before, const uint8_t *now)
{
	if (memcmp(before, now, PAGE_SIZE) == 0)
		return false;
	for (r->first = 0; before[r->first] == now[r->first]; r->first++)
		;
	for (r->last = PAGE_SIZE - 1; before[r->last] == now[r->last]; r->last--)
		;
	return true;
}

/* The address of the fault that opened the page is part of the event. */
static void stretch(struct run *r, unsigned int at)
{
	if (at < r->first)
		r->first = at;
	if (at > r->last)
		r->last = at;
}

static void tell(struct mmu *mmu, const struct page_track_event *what, const struct mmu_step *step, gva_t gva)
{
	struct access_origin origin = step->origin;
	struct page_track_event e = *what;

	origin.gva = gva;
	e.origin = &origin;
	e.verdict = VERDICT_ALLOW;
	page_track_after(&mmu->mem.track, &e);
}

static void tell_write(struct mmu *mmu, const struct memslot *slot, const struct mmu_step *step,
		       const struct mmu_step_page *page, const uint8_t *before, bool done)
{
	gva_t gva = page->at[PAGE_TRACK_WRITE];
	unsigned int at = (unsigned int)gva_offset(gva);
	bool wrote = done && page->accessed[PAGE_TRACK_WRITE];
	const uint8_t *now = memslot_page(slot, page->gfn);
	struct page_track_event e;
	struct run r = { at, at };

	if (!changed(&r, before, now) && !wrote)
		return;
	if (wrote)
		stretch(&r, at);
	e = native_event(slot, NULL, PAGE_TRACK_WRITE, gpa_add(gfn_to_gpa(page->gfn), r.first));
	e.len = r.last - r.first + 1;
	e.old = before + r.first;
	e.new = now + r.first;
	tell(mmu, &e, step, gva);
}

static void tell_read(struct mmu *mmu, const struct memslot *slot, const struct mmu_step *step,
		      const struct mmu_step_page *page, const uint8_t *before)
{
	gva_t gva = page->at[PAGE_TRACK_READ];
	struct page_track_event e =
		native_event(slot, NULL, PAGE_TRACK_READ, gpa_add(gfn_to_gpa(page->gfn), gva_offset(gva)));

	e.old = e.new = before + gva_offset(gva);
	tell(mmu, &e, step, gva);
}

/* The slot of @page if it is tracked in @mode. */
static struct memslot *tracked_slot(struct mmu *mmu, const struct mmu_step_page *page, enum page_track_mode mode)
{
	struct memslot *slot = memslot_find(&mmu->mem.slots, page->gfn);

	return slot && page_track_is_active(&slot->track, page->gfn, mode) ? slot : NULL;
}

/* Reads come first: they tell of what was there before. */
static void close_page(struct mmu *mmu, const struct mmu_step *step, const struct mmu_step_page *page,
		       const uint8_t *before, bool done)
{
	struct memslot *slot = memslot_find(&mmu->mem.slots, page->gfn);

	if (slot && memcmp(before, memslot_page(slot, page->gfn), PAGE_SIZE) != 0)
		memslot_mark_dirty(slot, page->gfn);
	slot = tracked_slot(mmu, page, PAGE_TRACK_READ);
	if (slot && done && page->accessed[PAGE_TRACK_READ])
		tell_read(mmu, slot, step, page, before);
	slot = tracked_slot(mmu, page, PAGE_TRACK_WRITE);
	if (slot)
		tell_write(mmu, slot, step, page, before, done);
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
		slot = memslot_find(&mmu->mem.slots, v->step.page[i].gfn);
		if (slot)
			rmap_drop_marked(mmu, slot, v->step.page[i].gfn, SPTE_OPENED);
	}
	if (!(v->paging.cr0 & X86_CR0_WP) && (v->paging.cr4 & X86_CR4_SMAP))
		zap_forced(mmu);
}

void mmu_step_close(struct mmu_vcpu *v, bool done)
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
		struct mmu_step_page last = step->page[--step->count];

		close_page(mmu, step, &last, step->before + step->count * PAGE_SIZE, done);
	}
}

static void forget(struct mmu_step *step, gfn_t base, uint64_t npages)
{
	for (unsigned int i = step->count; i-- > 0;) {
		unsigned int last;

		if (step->page[i].gfn.v - base.v >= npages)
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
