/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The audit of one shadow table: each entry is derived anew from guest memory
 * by a second, simpler reading of the paging formats, and compared.
 */
#include <string.h>
#include "mm/mmu_audit.h"
#include "mm/mmu_internal.h"
#include "mm/port.h"

/* Bits that must be zero in every present spte. */
#define SPTE_ZERO (0x7ff0000000000000ull | (1ull << 8) | (1ull << 4) | (1ull << 3))

/* What stands behind one entry: from the guest's table, or from the frames
 * that a direct page maps. */
struct expectation {
	bool known;      /* false: the guest's table is not in RAM */
	bool present;    /* the guest's entry is, with A set */
	bool maps;       /* it maps a page at this level or above */
	bool dirty;
	gfn_t gfn;       /* of the page, or of the next table */
	uint32_t access; /* of the path down to it */
	uint64_t gpte;
};

static void expect_direct(struct expectation *e, const struct shadow_page *sp, unsigned int i)
{
	*e = (struct expectation){ .known = true, .present = true, .maps = true, .dirty = true,
				   .gfn = shadow_direct_gfn(sp, i), .access = sp->role.access };
}

static void expect_from_8(struct expectation *e, const struct shadow_page *sp, uint64_t gpte)
{
	int level = sp->role.level;

	e->maps = level == 1 || (level < 4 && (gpte & (1ull << 7)));
	e->gfn = gfn((gpte & 0x000ffffffffff000ull) >> PAGE_SHIFT);
	if (e->maps)
		e->gfn = gfn(e->gfn.v & ~(LEVEL_PAGES(level) - 1));
	e->access |= ACCESS_EXEC;
	if (sp->role.nxe && (gpte & (1ull << 63)))
		e->access &= ~ACCESS_EXEC;
}

static void expect_from_4(struct expectation *e, const struct shadow_page *sp, unsigned int i, uint64_t gpte)
{
	bool large = sp->role.level == 2 && sp->role.nxe && (gpte & (1ull << 7));

	e->maps = sp->role.level == 1 || large;
	e->gfn = gfn((gpte & 0xfffff000) >> PAGE_SHIFT);
	if (large)
		e->gfn = gfn((gpte & 0xffc00000) >> 12 | ((gpte >> 13) & 0xff) << 20 | (i & 1) << 9);
	e->access |= ACCESS_EXEC;
}

static unsigned int gpte_offset(const struct shadow_page *sp, unsigned int i)
{
	if (sp->role.cr4_pae)
		return i * 8;
	if (sp->role.level == 1)
		return (sp->role.quadrant * 512 + i) * 4;
	return (sp->role.quadrant * 256 + i / 2) * 4;
}

static void expect(struct expectation *e, struct mmu *mmu, const struct shadow_page *sp, unsigned int i)
{
	struct memslot *slot;

	if (sp->role.direct) {
		expect_direct(e, sp, i);
		return;
	}
	*e = (struct expectation){ .known = false };
	slot = memslot_find(&mmu->mem.slots, sp->gfn);
	if (!slot)
		return;
	e->known = true;
	e->gpte = mmu_read_gpte(slot, sp->gfn, gpte_offset(sp, i), mmu_gpte_size(sp->role));
	/* In a read-only slot the accessed bit cannot be set. */
	e->present = (e->gpte & 1) && ((e->gpte & (1ull << 5)) || (slot->flags & MEMSLOT_READONLY));
	e->dirty = e->gpte & (1ull << 6);
	e->access = (e->gpte & 2 ? ACCESS_WRITE : 0) | (e->gpte & 4 ? ACCESS_USER : 0);
	if (sp->role.cr4_pae)
		expect_from_8(e, sp, e->gpte);
	else
		expect_from_4(e, sp, i, e->gpte);
	e->access &= sp->role.access;
}

/*
 * Are @got within the rights that the guest's tables give, or what they
 * become for a supervisor write with CR0.WP clear: writable, and then no user
 * page (which it stays when tracking takes the write again)?
 */
static bool rights_fit(union shadow_page_role role, const struct expectation *e, uint32_t got, bool opened)
{
	uint32_t allowed = e->dirty ? e->access : e->access & ~ACCESS_WRITE;
	bool forced = got & ~allowed & ACCESS_WRITE;
	bool hidden = allowed & ~got & ACCESS_USER;

	if (got & ~allowed & (ACCESS_EXEC | ACCESS_USER))
		return false;
	if (forced && (role.cr0_wp || !e->dirty || (allowed & got & ACCESS_USER)))
		return false;
	return !hidden || !(role.cr0_wp || (role.smap_andnot_wp && !opened) ||
			    (role.smep_andnot_wp && (got & ACCESS_EXEC)));
}

static bool is_open_somewhere(const struct mmu *mmu, gfn_t gfn)
{
	const struct mmu_vcpu *v;

	TAILQ_FOREACH(v, &mmu->vcpus, link)
		for (unsigned int i = 0; i < v->step.count; i++)
			if (v->step.page[i].gfn.v == gfn.v)
				return true;
	return false;
}

/* The slot's and the trackers' half of I3. */
static void check_slot_rights(struct audit *a, const struct memslot *slot, gfn_t gfn, uint64_t spte, int level)
{
	uint32_t got = spte_access(spte);
	uint64_t i = gfn.v - slot->base_gfn.v;

	if (slot->flags & MEMSLOT_READONLY)
		audit_check(a, !(got & ACCESS_WRITE), "I3: writable in a read-only slot", gfn.v, spte);
	if (spte & SPTE_OPENED) {
		audit_check(a, is_open_somewhere(a->mmu, gfn), "I3: opened for no step", gfn.v, spte);
		return;
	}
	if (spte & SPTE_LENT) {
		audit_check(a, level == 1 && mmu_is_lent(a->mmu, gfn) && !((got & ACCESS_WRITE) && shadow_count(&a->mmu->pool, gfn)),
			    "I3: lent to nobody", gfn.v, spte);
		return;
	}
	if (slot->dirty_bitmap)
		audit_check(a, level == 1 && (!(got & ACCESS_WRITE) || (slot->dirty_bitmap[i / 64] >> (i % 64)) & 1),
			    "I3: a clean logged page is writable", gfn.v, spte);
	for (uint64_t n = 0; n < LEVEL_PAGES(level); n++) {
		uint32_t left = mmu_tracked_rights(slot, gfn_add(gfn, n));

		audit_check(a, !(got & ~left & ~ACCESS_USER), "I3: lets a tracked access through", gfn.v + n, spte);
		audit_check(a, level == 1 || left == (ACCESS_ALL | ACCESS_READ), "I3: large over a tracked page",
			    gfn.v + n, spte);
	}
}

static void check_leaf(struct audit *a, const struct shadow_page *sp, const struct expectation *e, uint64_t spte)
{
	int level = sp->role.level;
	uint64_t aligned = LEVEL_PAGES(level) - 1;
	struct memslot *slot;
	gfn_t g;

	a->leaves++;
	audit_check(a, level <= MAPPING_LEVEL_MAX && !!(spte & SPTE_LARGE) == (level > 1) &&
		    !!(spte & SPTE_DIRTY) == !!(spte & SPTE_WRITE), "I3: malformed leaf", sp->gfn.v, spte);
	slot = rmap_slot_of_pfn(a->mmu, spte_pfn(spte), &g);
	audit_check(a, slot != NULL, "I2: maps a frame of no slot", sp->gfn.v, spte);
	if (!slot)
		return;
	audit_check(a, e->maps && g.v == e->gfn.v, "I2: maps another frame than the guest's", e->gfn.v, spte);
	audit_check(a, ((g.v | spte_pfn(spte).v) & aligned) == 0 && memslot_contains(slot, gfn_add(g, aligned)),
		    "I2: large mapping sticks out of its slot", g.v, spte);
	audit_check(a, rights_fit(sp->role, e, spte_access(spte), spte & SPTE_OPENED),
		    "I3: rights beyond the guest's path", g.v, spte);
	check_slot_rights(a, slot, g, spte, level);
}

static bool is_stepping(const struct mmu *mmu)
{
	const struct mmu_vcpu *v;

	TAILQ_FOREACH(v, &mmu->vcpus, link)
		if (v->step.count > 0)
			return true;
	return false;
}

static union shadow_page_role child_role(const struct audit *a, const struct shadow_page *sp, const struct expectation *e, unsigned int i,
					 const struct shadow_page *child)
{
	union shadow_page_role role = sp->role;

	role.level = sp->role.level - 1;
	role.direct = e->maps;
	role.quadrant = !e->maps && !sp->role.cr4_pae ? i & 1 : 0;
	role.access = e->access;
	if (e->maps && !sp->role.direct && rights_fit(sp->role, e, child->role.access, is_stepping(a->mmu)))
		role.access = child->role.access;
	return role;
}

static void check_link(struct audit *a, const struct shadow_page *sp, const struct expectation *e, unsigned int i,
		       uint64_t spte)
{
	const struct shadow_pool *pool = &a->mmu->pool;
	uint64_t index = (spte_pfn(spte).v << PAGE_SHIFT) - pool->tables_hpa.v;
	const struct shadow_page *child;

	a->links++;
	index >>= PAGE_SHIFT;
	audit_check(a, index < pool->total && sp->role.level > 1, "I5: links to no shadow page", sp->gfn.v, spte);
	if (index >= pool->total)
		return;
	child = &pool->pages[index];
	audit_check(a, spte == spte_make_link(shadow_table_hpa(pool, child)), "I5: malformed link", sp->gfn.v, spte);
	audit_check(a, child->state == SHADOW_ACTIVE, "I6: links to a page that is not active", sp->gfn.v, spte);
	audit_check(a, child->gfn.v == e->gfn.v, "I5: child shadows another frame", e->gfn.v, child->gfn.v);
	audit_check(a, child->role.word == child_role(a, sp, e, i, child).word, "I5: child has another role",
		    child_role(a, sp, e, i, child).word, child->role.word);
}

static void audit_entry(struct audit *a, const struct shadow_page *sp, unsigned int i, uint64_t spte)
{
	struct expectation e;

	expect(&e, a->mmu, sp, i);
	audit_check(a, e.known, "I5: shadows a table outside RAM", sp->gfn.v, spte);
	if (!spte_present(spte)) {
		audit_check(a, spte == spte_guest_not_present(), "I8: not present, unknown kind", sp->gfn.v, spte);
		audit_check(a, !(e.gpte & 1), "shadowed as not present, but is", sp->gfn.v, e.gpte);
		return;
	}
	audit_check(a, (spte & SPTE_ACCESSED) && !(spte & SPTE_ZERO), "malformed spte", sp->gfn.v, spte);
	audit_check(a, e.present, "present, but the guest's entry is not", sp->gfn.v, e.gpte);
	if (spte_is_leaf(spte))
		check_leaf(a, sp, &e, spte);
	else
		check_link(a, sp, &e, i, spte);
}

void audit_table(struct audit *a, const struct shadow_page *sp)
{
	const uint64_t *table = shadow_table(&a->mmu->pool, sp);

	for (unsigned int word = 0; word < ARRAY_SIZE(sp->used); word++) {
		uint64_t used = sp->used[word];

		for (unsigned int i = word * 64; i < word * 64 + 64; i++, used >>= 1) {
			if ((table[i] != spte_not_shadowed()) != (used & 1))
				audit_check(a, false, "bitmap of used entries is wrong", i, table[i]);
			else if (used & 1)
				audit_entry(a, sp, i, table[i]);
		}
	}
}
