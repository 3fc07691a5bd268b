/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The only door to guest memory. Whatever writes guest memory - an emulated
 * store, an accessed bit, string I/O, event delivery, a device, a loader -
 * goes through guest_write() or guest_cmpxchg(), which mark the page dirty
 * and tell the trackers of a tracked page, the shadow MMU first.
 *
 * Naturally aligned units of 1, 2, 4 and 8 bytes are read and written by one
 * access each. Call with no lock held: trackers are called.
 */
#ifndef MM_GUEST_MEM_H
#define MM_GUEST_MEM_H

#include "lib/compiler.h"
#include "lib/types.h"
#include "mm/memslot.h"
#include "pagetrack/page_track.h"

struct guest_mem {
	struct memslots slots;
	struct page_track track;
};

/* Copy [addr, addr + len) out of guest RAM; may cross pages and slots.
 * -EFAULT when part of it is not RAM: nothing was copied. */
must_check int guest_read(struct guest_mem *m, gpa_t addr, void *dst, size_t len);

/* Copy into guest RAM. A write of up to 256 bytes within one tracked page is
 * one event; longer ones are told in several, each after its own part was
 * written. No event crosses a page. -EFAULT when part of it is not RAM or lies in a
 * read-only slot (WRITER_LOADER may write those): nothing was written. */
must_check int guest_write(struct guest_mem *m, gpa_t addr, const void *src, size_t len,
			   enum guest_writer writer);

/* Atomic compare and exchange of @len bytes: 1, 2, 4, 8, or 16, not crossing
 * a page; 16 only where aligned to 16. -EAGAIN: memory did not hold *expected, which now has what it held.
 * -EFAULT as guest_write(), -EINVAL for another length, a page crossing or
 * a misaligned 16. */
must_check int guest_cmpxchg(struct guest_mem *m, gpa_t addr, void *expected, const void *desired,
			     size_t len, enum guest_writer writer);

#endif
