/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The only door to guest memory: copies between the hypervisor and guest RAM.
 *
 * Invariant: a range is checked whole before its first byte is written; a
 * write to a tracked page is told to the trackers with the bytes it replaced;
 * a write to a logged slot sets the dirty bit. Naturally aligned units of 1, 2,
 * 4 and 8 bytes are read and written by one access each, so that no CPU sees
 * half a page-table entry.
 *
 * Lock: none held by the caller, for trackers are called. Slots do not change
 * while a vCPU of the VM is inside a call.
 */
#include "mm/guest_mem.h"
#include "lib/errno.h"
#include "mm/port.h"

/* The most bytes one event holds; a longer write to a tracked page is told in
 * several. Larger than any store of one instruction. */
#define EVENT_BYTES 256

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
	return port_hpa_to_va(hpa_add(pfn_to_hpa(memslot_pfn(slot, gpa_to_gfn(addr))), gpa_offset(addr)));
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

static uint32_t flags_refused(enum guest_writer writer)
{
	return writer == WRITER_LOADER ? 0 : MEMSLOT_READONLY;
}

static size_t to_page_end(gpa_t addr, size_t len)
{
	size_t room = PAGE_SIZE - gpa_offset(addr);

	return len < room ? len : room;
}

int guest_read(struct guest_mem *m, gpa_t addr, void *dst, size_t len)
{
	uint8_t *to = dst;

	if (!range_is_ram(m, addr, len, 0))
		return -EFAULT;
	for (size_t n; len > 0; addr = gpa_add(addr, n), to += n, len -= n) {
		n = to_page_end(addr, len);
		load_bytes(to, slot_ptr(memslot_find(&m->slots, gpa_to_gfn(addr)), addr), n);
	}
	return 0;
}

static void tell(struct guest_mem *m, gpa_t addr, const void *old, const void *new, size_t len,
		 enum guest_writer writer)
{
	const struct page_track_write w = {
		.gpa = addr, .len = (uint32_t)len, .old = old, .new = new, .writer = writer,
	};

	page_track_notify_write(&m->track, &w);
}

/* Writes what one event can tell, within one page; returns how much. A write
 * of up to EVENT_BYTES within a page is one event. Longer ones are cut at
 * multiples of EVENT_BYTES, so never inside an aligned unit. */
static size_t write_tracked(struct guest_mem *m, struct memslot *slot, gpa_t addr, const uint8_t *src,
			    size_t len, enum guest_writer writer)
{
	uint8_t *to = slot_ptr(slot, addr);
	uint8_t old[EVENT_BYTES];

	if (len > EVENT_BYTES)
		len = EVENT_BYTES - addr.v % EVENT_BYTES;
	load_bytes(old, to, len);
	store_bytes(to, src, len);
	memslot_mark_dirty(slot, gpa_to_gfn(addr));
	tell(m, addr, old, src, len, writer);
	return len;
}

static size_t write_chunk(struct guest_mem *m, struct memslot *slot, gpa_t addr, const uint8_t *src,
			  size_t len, enum guest_writer writer)
{
	size_t n = to_page_end(addr, len);

	if (page_track_is_active(&slot->track, gpa_to_gfn(addr), PAGE_TRACK_WRITE))
		return write_tracked(m, slot, addr, src, n, writer);
	store_bytes(slot_ptr(slot, addr), src, n);
	memslot_mark_dirty(slot, gpa_to_gfn(addr));
	return n;
}

int guest_write(struct guest_mem *m, gpa_t addr, const void *src, size_t len, enum guest_writer writer)
{
	const uint8_t *from = src;

	if (!range_is_ram(m, addr, len, flags_refused(writer)))
		return -EFAULT;
	for (size_t n; len > 0; addr = gpa_add(addr, n), from += n, len -= n)
		n = write_chunk(m, memslot_find(&m->slots, gpa_to_gfn(addr)), addr, from, len, writer);
	return 0;
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

int guest_cmpxchg(struct guest_mem *m, gpa_t addr, void *expected, const void *desired, size_t len,
		  enum guest_writer writer)
{
	struct memslot *slot;

	if (!cmpxchg_shape_ok(addr, len))
		return -EINVAL;
	slot = memslot_find(&m->slots, gpa_to_gfn(addr));
	if (!slot || (slot->flags & flags_refused(writer)))
		return -EFAULT;
	if (!cmpxchg(slot_ptr(slot, addr), expected, desired, len))
		return -EAGAIN;
	memslot_mark_dirty(slot, gpa_to_gfn(addr));
	/* It succeeded, so *expected is what memory held. */
	if (page_track_is_active(&slot->track, gpa_to_gfn(addr), PAGE_TRACK_WRITE))
		tell(m, addr, expected, desired, len, writer);
	return 0;
}
