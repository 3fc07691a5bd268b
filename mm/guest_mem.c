/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The only door to guest memory: copies between the hypervisor and guest RAM.
 *
 * Invariant: a range is checked whole before its first byte is written; of an
 * access to a tracked page the trackers are asked before any of it happens, and told
 * once, of a write with the bytes it replaced; a write to a logged slot sets the
 * dirty bit. Naturally aligned units of 1, 2,
 * 4 and 8 bytes are read and written by one access each, so that no CPU sees
 * half a page-table entry.
 *
 * Lock: none held by the caller, for trackers are called. Slots do not change
 * while a vCPU of the VM is inside a call.
 */
#include "mm/guest_mem.h"
#include "lib/errno.h"

/* ---- copies in the widest aligned units -------------------------------- */

/* How many bytes the next unit of a copy has: guest memory at @p is aligned to
 * it, and @len bytes are left. */
static size_t unit(const void *p, size_t len)
{
	size_t n = 8;

	while (n > 1 && (n > len || (uintptr_t)p % n))
		n /= 2;
	return n;
}

static void load_unit(void *dst, const void *guest, size_t n)
{
	uint64_t v;

	switch (n) {
	case 8: v = __atomic_load_n((const uint64_t *)guest, __ATOMIC_RELAXED); break;
	case 4: v = __atomic_load_n((const uint32_t *)guest, __ATOMIC_RELAXED); break;
	case 2: v = __atomic_load_n((const uint16_t *)guest, __ATOMIC_RELAXED); break;
	default: v = __atomic_load_n((const uint8_t *)guest, __ATOMIC_RELAXED); break;
	}
	__builtin_memcpy(dst, &v, n);
}

static void store_unit(void *guest, const void *src, size_t n)
{
	uint64_t v = 0;

	__builtin_memcpy(&v, src, n);
	switch (n) {
	case 8: __atomic_store_n((uint64_t *)guest, v, __ATOMIC_RELEASE); break;
	case 4: __atomic_store_n((uint32_t *)guest, (uint32_t)v, __ATOMIC_RELEASE); break;
	case 2: __atomic_store_n((uint16_t *)guest, (uint16_t)v, __ATOMIC_RELEASE); break;
	default: __atomic_store_n((uint8_t *)guest, (uint8_t)v, __ATOMIC_RELEASE); break;
	}
}

static void load_bytes(uint8_t *dst, const uint8_t *guest, size_t len)
{
	for (size_t n; len > 0; dst += n, guest += n, len -= n) {
		n = unit(guest, len);
		load_unit(dst, guest, n);
	}
}

static void store_bytes(uint8_t *guest, const uint8_t *src, size_t len)
{
	for (size_t n; len > 0; guest += n, src += n, len -= n) {
		n = unit(guest, len);
		store_unit(guest, src, n);
	}
}

/* ---- ranges ------------------------------------------------------------ */

static uint8_t *slot_ptr(const struct memslot *slot, gpa_t addr)
{
	return memslot_page(slot, gpa_to_gfn(addr)) + gpa_offset(addr);
}

/* Is all of [addr, addr + len) RAM, in slots with none of the @refuse flags?
 * One step per slot, whatever the length. */
static bool range_is_ram(struct guest_mem *m, gpa_t addr, size_t len, uint32_t refuse)
{
	uint64_t at = addr.v, end;

	if (__builtin_add_overflow(addr.v, len, &end))
		return false;
	while (at < end) {
		const struct memslot *slot = memslot_find(&m->slots, gpa_to_gfn(gpa(at)));

		if (!slot || (slot->flags & refuse))
			return false;
		at = (slot->base_gfn.v + slot->npages) << PAGE_SHIFT;
	}
	return true;
}

static uint32_t flags_refused(const struct access_origin *origin)
{
	return origin->agent == AGENT_LOADER ? 0 : MEMSLOT_READONLY;
}

static size_t to_page_end(gpa_t addr, size_t len)
{
	size_t room = PAGE_SIZE - gpa_offset(addr);

	return len < room ? len : room;
}

/* ---- what trackers say ------------------------------------------------- */

static bool is_withheld(enum page_track_verdict v)
{
	return v != VERDICT_ALLOW && v != VERDICT_REPLACE;
}

/* What the caller gets to hear. Of what is skipped, nothing. */
static int verdict_error(enum page_track_verdict v)
{
	switch (v) {
	case VERDICT_DENY_PF: return -EACCES;
	case VERDICT_DENY_GP: return -EPERM;
	case VERDICT_STOP: return -ECANCELED;
	default: return 0;
	}
}

/* One event: the part of an access that lies in one page. */
struct piece {
	gpa_t gpa;
	uint32_t len;
	bool tracked;
	struct access_origin origin;    /* with the address of this part */
	uint8_t old[GUEST_EVENT_BYTES]; /* what memory holds */
	uint8_t new[GUEST_EVENT_BYTES]; /* what is stored, or what the guest gets to read */
};

/* An access, before which the trackers of all its pages are asked. */
struct guest_access {
	enum page_track_mode mode;
	enum page_track_verdict verdict; /* the first that denies, for all of it */
	unsigned int count;
	struct piece piece[GUEST_PARTS_MAX];
};

/* Where a contiguous access of up to GUEST_EVENT_BYTES lies. */
static unsigned int cut(struct guest_part part[GUEST_PARTS_MAX], gpa_t addr, size_t len)
{
	size_t first = to_page_end(addr, len);

	part[0] = (struct guest_part){ .gpa = addr, .len = (uint32_t)first };
	part[1] = (struct guest_part){ .gpa = gpa_add(addr, first), .len = (uint32_t)(len - first) };
	return first == len ? 1 : 2;
}

static bool parts_are_ram(struct guest_mem *m, const struct guest_part *part, unsigned int count, uint32_t refuse)
{
	for (unsigned int i = 0; i < count; i++)
		if (!range_is_ram(m, part[i].gpa, part[i].len, refuse))
			return false;
	return true;
}

static bool part_is_tracked(struct guest_mem *m, const struct guest_part *part, enum page_track_mode mode)
{
	const struct memslot *slot = memslot_find(&m->slots, gpa_to_gfn(part->gpa));

	return page_track_is_active(&slot->track, gpa_to_gfn(part->gpa), mode);
}

static bool parts_are_tracked(struct guest_mem *m, const struct guest_part *part, unsigned int count,
			      enum page_track_mode mode)
{
	for (unsigned int i = 0; i < count; i++)
		if (part_is_tracked(m, &part[i], mode))
			return true;
	return false;
}

static struct page_track_event event_of(struct guest_mem *m, const struct guest_access *a, const struct piece *p,
					 const uint8_t *new)
{
	const struct memslot *slot = memslot_find(&m->slots, gpa_to_gfn(p->gpa));

	return (struct page_track_event){
		.mode = a->mode, .gpa = p->gpa, .len = p->len, .old = p->old, .new = new,
		.page = slot ? memslot_page(slot, gpa_to_gfn(p->gpa)) : NULL,
		.origin = &p->origin, .verdict = a->verdict,
	};
}

/* A walk must see what is in memory: of its accesses nothing can be replaced,
 * nor made to look as if it had happened. */
static enum page_track_verdict for_walker(enum page_track_verdict v)
{
	return v == VERDICT_SKIP ? VERDICT_DENY_PF : v;
}

/* @src: what is to be stored, NULL for a read. p->new has a copy, or what is read. */
static enum page_track_verdict ask(struct guest_mem *m, const struct guest_access *a, struct piece *p,
				   const uint8_t *src)
{
	struct page_track_event e = event_of(m, a, p, src);

	if (p->origin.agent == AGENT_WALKER)
		return for_walker(page_track_before(&m->track, &e, NULL));
	return page_track_before(&m->track, &e, p->new);
}

/* The origin of the part that begins @offset bytes into the access. */
static struct access_origin origin_at(const struct access_origin *origin, size_t offset)
{
	struct access_origin o = *origin;

	if (o.gva.v)
		o.gva = gva(o.gva.v + offset);
	return o;
}

static void make_piece(struct guest_mem *m, struct guest_access *a, const struct guest_part *part, const uint8_t *src,
		       const struct access_origin *origin, size_t offset)
{
	struct piece *p = &a->piece[a->count++];

	p->gpa = part->gpa;
	p->len = part->len;
	p->origin = origin_at(origin, offset);
	p->tracked = part_is_tracked(m, part, a->mode);
	if (p->tracked)
		load_bytes(p->old, slot_ptr(memslot_find(&m->slots, gpa_to_gfn(p->gpa)), p->gpa), p->len);
	if (src || p->tracked)
		__builtin_memcpy(p->new, src ? src : p->old, p->len);
}

/* Makes *@a of its parts, and asks for each. @src: what is to be stored; NULL: a
 * read, of what memory holds. */
static void ask_all(struct guest_mem *m, struct guest_access *a, struct guest_part *part, unsigned int count,
		    const uint8_t *src, const struct access_origin *origin)
{
	size_t offset = 0;

	a->mode = src ? PAGE_TRACK_WRITE : PAGE_TRACK_READ;
	a->verdict = VERDICT_ALLOW;
	a->count = 0;
	for (unsigned int i = 0; i < count; offset += part[i++].len)
		make_piece(m, a, &part[i], src ? src + offset : NULL, origin, offset);
	for (unsigned int i = 0; i < count; i++) {
		struct piece *p = &a->piece[i];
		enum page_track_verdict v = p->tracked ? ask(m, a, p, src) : VERDICT_ALLOW;

		part[i].denied = is_withheld(v) && !is_withheld(a->verdict);
		if (!is_withheld(a->verdict) && v != VERDICT_ALLOW)
			a->verdict = v;
		src = src ? src + p->len : NULL;
	}
}

static void tell(struct guest_mem *m, const struct guest_access *a)
{
	for (unsigned int i = 0; i < a->count; i++) {
		struct page_track_event e;

		if (!a->piece[i].tracked)
			continue;
		e = event_of(m, a, &a->piece[i], a->piece[i].new);
		page_track_after(&m->track, &e);
	}
}

/* ---- reading ----------------------------------------------------------- */

static void read_plain(struct guest_mem *m, gpa_t addr, uint8_t *to, size_t len)
{
	for (size_t n; len > 0; addr = gpa_add(addr, n), to += n, len -= n) {
		n = to_page_end(addr, len);
		load_bytes(to, slot_ptr(memslot_find(&m->slots, gpa_to_gfn(addr)), addr), n);
	}
}

static void fill_piece(struct guest_mem *m, const struct guest_access *a, struct piece *p)
{
	if (a->verdict == VERDICT_SKIP)
		__builtin_memset(p->new, 0, p->len);
	else if (!p->tracked)
		read_plain(m, p->gpa, p->new, p->len);
}

static int read_tracked(struct guest_mem *m, struct guest_part *part, unsigned int count, uint8_t *to,
			const struct access_origin *origin)
{
	struct guest_access a;

	ask_all(m, &a, part, count, NULL, origin);
	if (!parts_are_ram(m, part, count, 0)) /* trackers were called */
		return -EFAULT;
	for (unsigned int i = 0; i < count; to += part[i++].len) {
		fill_piece(m, &a, &a.piece[i]);
		part[i].altered = a.verdict == VERDICT_REPLACE || a.verdict == VERDICT_SKIP;
		__builtin_memcpy(to, a.piece[i].new, part[i].len);
	}
	tell(m, &a);
	return verdict_error(a.verdict);
}

int guest_read_parts(struct guest_mem *m, struct guest_part *part, unsigned int count, void *dst,
		     const struct access_origin *origin)
{
	uint8_t *to = dst;

	if (!parts_are_ram(m, part, count, 0))
		return -EFAULT;
	if (origin && parts_are_tracked(m, part, count, PAGE_TRACK_READ))
		return read_tracked(m, part, count, to, origin);
	for (unsigned int i = 0; i < count; to += part[i++].len)
		read_plain(m, part[i].gpa, to, part[i].len);
	return 0;
}

/* How much of a long access is done at once: up to a multiple of
 * GUEST_EVENT_BYTES, so that no aligned unit is cut. */
static size_t at_once(gpa_t addr, size_t len)
{
	return len <= GUEST_EVENT_BYTES ? len : GUEST_EVENT_BYTES - addr.v % GUEST_EVENT_BYTES;
}

/* Most reads, page-table entries above all, are short, and nobody wants to hear of them. */
static bool read_in_one(struct guest_mem *m, gpa_t addr, void *dst, size_t len, const struct access_origin *origin)
{
	const struct memslot *slot;

	if (to_page_end(addr, len) != len)
		return false;
	slot = memslot_find(&m->slots, gpa_to_gfn(addr));
	if (!slot || (origin && page_track_is_active(&slot->track, gpa_to_gfn(addr), PAGE_TRACK_READ)))
		return false;
	load_bytes(dst, slot_ptr(slot, addr), len);
	return true;
}

int guest_read(struct guest_mem *m, gpa_t addr, void *dst, size_t len, const struct access_origin *origin)
{
	struct guest_part part[GUEST_PARTS_MAX];
	struct access_origin o;
	uint8_t *to = dst;
	int err = 0;

	if (read_in_one(m, addr, dst, len, origin))
		return 0;
	if (!range_is_ram(m, addr, len, 0))
		return -EFAULT;
	if (!origin) {
		read_plain(m, addr, to, len);
		return 0;
	}
	for (size_t n; len > 0 && !err; addr = gpa_add(addr, n), to += n, len -= n) {
		n = at_once(addr, len);
		o = origin_at(origin, (size_t)(to - (uint8_t *)dst));
		err = guest_read_parts(m, part, cut(part, addr, n), to, &o);
	}
	return err;
}

/* ---- writing ----------------------------------------------------------- */

/* Within one page. */
static void store(struct guest_mem *m, gpa_t addr, const uint8_t *src, size_t len)
{
	struct memslot *slot = memslot_find(&m->slots, gpa_to_gfn(addr));

	store_bytes(slot_ptr(slot, addr), src, len);
	memslot_mark_dirty(slot, gpa_to_gfn(addr));
}

static int write_tracked(struct guest_mem *m, struct guest_part *part, unsigned int count, const uint8_t *src,
			 const struct access_origin *origin)
{
	struct guest_access a;

	ask_all(m, &a, part, count, src, origin);
	if (!parts_are_ram(m, part, count, flags_refused(origin))) /* trackers were called */
		return -EFAULT;
	for (unsigned int i = 0; i < count; i++) {
		struct piece *p = &a.piece[i];

		if (p->tracked) /* what is replaced, not what was there when they were asked */
			read_plain(m, p->gpa, p->old, p->len);
		if (!is_withheld(a.verdict))
			store(m, p->gpa, p->new, p->len);
	}
	tell(m, &a);
	return verdict_error(a.verdict);
}

int guest_write_parts(struct guest_mem *m, struct guest_part *part, unsigned int count, const void *src,
		      const struct access_origin *origin)
{
	const uint8_t *from = src;

	if (!parts_are_ram(m, part, count, flags_refused(origin)))
		return -EFAULT;
	if (parts_are_tracked(m, part, count, PAGE_TRACK_WRITE))
		return write_tracked(m, part, count, from, origin);
	for (unsigned int i = 0; i < count; from += part[i++].len)
		store(m, part[i].gpa, from, part[i].len);
	return 0;
}

int guest_write(struct guest_mem *m, gpa_t addr, const void *src, size_t len, const struct access_origin *origin)
{
	struct guest_part part[GUEST_PARTS_MAX];
	const uint8_t *from = src;
	struct access_origin o;
	int err = 0;

	if (!range_is_ram(m, addr, len, flags_refused(origin)))
		return -EFAULT;
	for (size_t n; len > 0 && !err; addr = gpa_add(addr, n), from += n, len -= n) {
		n = at_once(addr, len);
		o = origin_at(origin, (size_t)(from - (const uint8_t *)src));
		err = guest_write_parts(m, part, cut(part, addr, n), from, &o);
	}
	return err;
}

/* ---- compare and exchange ---------------------------------------------- */

/* In assembler, because a guest may use LOCK CMPXCHG on an address that is not
 * aligned, which C's atomics may not. True: @desired was stored; else
 * *expected has what memory held. */
#define CMPXCHG(type, suffix, p, expected, desired) ({							\
	type want_, put_;										\
	bool done_;											\
	__builtin_memcpy(&want_, expected, sizeof(type));						\
	__builtin_memcpy(&put_, desired, sizeof(type));							\
	asm volatile("lock cmpxchg" suffix " %[put], (%[p])"						\
		     : "=@ccz"(done_), "+a"(want_) : [p] "r"(p), [put] "q"(put_) : "memory");		\
	__builtin_memcpy(expected, &want_, sizeof(type));						\
	done_; })

static bool cmpxchg_16(void *p, void *expected, const void *desired)
{
	uint64_t want[2], put[2];
	bool done;

	__builtin_memcpy(want, expected, sizeof(want));
	__builtin_memcpy(put, desired, sizeof(put));
	asm volatile("lock cmpxchg16b (%[p])"
		     : "=@ccz"(done), "+a"(want[0]), "+d"(want[1])
		     : [p] "r"(p), "b"(put[0]), "c"(put[1]) : "memory");
	__builtin_memcpy(expected, want, sizeof(want));
	return done;
}

static bool cmpxchg(void *p, void *expected, const void *desired, size_t len)
{
	switch (len) {
	case 1: return CMPXCHG(uint8_t, "b", p, expected, desired);
	case 2: return CMPXCHG(uint16_t, "w", p, expected, desired);
	case 4: return CMPXCHG(uint32_t, "l", p, expected, desired);
	case 8: return CMPXCHG(uint64_t, "q", p, expected, desired);
	default: return cmpxchg_16(p, expected, desired);
	}
}

static bool cmpxchg_shape_ok(gpa_t addr, size_t len)
{
	if (len == 0 || len > 16 || (len & (len - 1)))
		return false;
	/* CMPXCHG16B faults on an address that is not aligned. */
	if (len == 16 && addr.v % 16)
		return false;
	return to_page_end(addr, len) == len;
}

/* Is *expected what memory holds? Else it gets that. */
static bool memory_holds(struct guest_mem *m, gpa_t addr, void *expected, size_t len)
{
	uint8_t now[16];

	read_plain(m, addr, now, len);
	if (!__builtin_memcmp(now, expected, len))
		return true;
	__builtin_memcpy(expected, now, len);
	return false;
}

/* Asks before an exchange that would succeed as things are. -EAGAIN: it would not. */
static int ask_cmpxchg(struct guest_mem *m, struct guest_access *a, gpa_t addr, void *expected, const void *desired,
		       size_t len, const struct access_origin *origin)
{
	struct guest_part part = { .gpa = addr, .len = (uint32_t)len };

	if (part_is_tracked(m, &part, PAGE_TRACK_WRITE) && !memory_holds(m, addr, expected, len))
		return -EAGAIN;
	ask_all(m, a, &part, 1, desired, origin);
	return 0;
}

/* Does it if the verdict is so. */
static int do_cmpxchg(struct guest_mem *m, struct guest_access *a, gpa_t addr, void *expected, size_t len)
{
	struct memslot *slot = memslot_find(&m->slots, gpa_to_gfn(addr));

	if (!slot || (slot->flags & flags_refused(&a->piece[0].origin)))
		return -EFAULT;
	if (is_withheld(a->verdict))
		return verdict_error(a->verdict);
	if (!cmpxchg(slot_ptr(slot, addr), expected, a->piece[0].new, len))
		return -EAGAIN;
	memslot_mark_dirty(slot, gpa_to_gfn(addr));
	return 0;
}

int guest_cmpxchg(struct guest_mem *m, gpa_t addr, void *expected, const void *desired, size_t len,
		  const struct access_origin *origin)
{
	struct guest_access a;
	int err;

	if (!cmpxchg_shape_ok(addr, len))
		return -EINVAL;
	if (!range_is_ram(m, addr, len, flags_refused(origin)))
		return -EFAULT;
	err = ask_cmpxchg(m, &a, addr, expected, desired, len, origin);
	if (!err)
		err = do_cmpxchg(m, &a, addr, expected, len);
	if (err != -EAGAIN && err != -EFAULT)
		tell(m, &a);
	return err;
}

/* ---- fetching ---------------------------------------------------------- */

enum page_track_verdict guest_fetch(struct guest_mem *m, gpa_t addr, const void *insn, size_t len, bool inexact,
				    const struct access_origin *origin)
{
	const struct memslot *slot = memslot_find(&m->slots, gpa_to_gfn(addr));
	struct page_track_event e = {
		.mode = PAGE_TRACK_EXEC, .gpa = addr, .len = (uint32_t)len, .inexact = inexact,
		.old = insn, .new = insn, .origin = origin,
	};

	if (!slot || !page_track_is_active(&slot->track, gpa_to_gfn(addr), PAGE_TRACK_EXEC))
		return VERDICT_ALLOW;
	e.page = memslot_page(slot, gpa_to_gfn(addr));
	e.verdict = page_track_before(&m->track, &e, NULL);
	page_track_after(&m->track, &e);
	return e.verdict;
}
