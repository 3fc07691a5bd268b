/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The only door to guest memory. Whatever touches guest memory in the guest's
 * place - an emulated access, a page walk and the accessed bits it sets, string
 * I/O, event delivery, a device, a loader - goes through here. On a
 * tracked page the trackers are asked before anything happens and told after
 * it, of a write the shadow MMU first (pagetrack/event.h).
 *
 * An access of up to GUEST_EVENT_BYTES is one event in each page that it touches, and
 * happens whole or not at all. A longer one is many such, one after the other.
 *
 * Naturally aligned units of 1, 2, 4 and 8 bytes are read and written by one
 * access each. Call with no lock held: trackers are called.
 *
 * Beside -EFAULT (part of it is not RAM, or to be written and in a read-only
 * slot, which BY(LOADER) may write; nothing has happened), trackers may have it that
 *   -EACCES     the access is denied with #PF
 *   -EPERM      the access is denied with #GP
 *   -ECANCELED  the VM is to stop (page_track.stopped_by)
 * A device takes each of them as a write that got lost.
 */
#ifndef MM_GUEST_MEM_H
#define MM_GUEST_MEM_H

#include "lib/compiler.h"
#include "lib/types.h"
#include "mm/memslot.h"
#include "pagetrack/event.h"
#include "pagetrack/tracker.h"

/* The most bytes one event tells of. Larger than any access of one
 * instruction that is emulated. */
#define GUEST_EVENT_BYTES 256

/* Pages that one such access lies in, which need not be neighbours. */
#define GUEST_PARTS_MAX 2

struct guest_part {
	gpa_t gpa;
	uint32_t len; /* up to the end of the page; of all parts up to GUEST_EVENT_BYTES */
	bool denied;  /* out, with -EACCES, -EPERM and -ECANCELED: it is this part that trackers deny */
	bool altered; /* out, of a read: trackers gave other bytes than memory holds */
};

struct guest_mem {
	struct memslots slots;
	struct page_track track;
};

/* Copy [addr, addr + len) out of guest RAM; may cross pages and slots. @origin NULL: a
 * look from outside, or for something that no tracker counts as a read, such as a
 * fetch: nobody is told. On an error of trackers @dst is undefined. */
must_check int guest_read(struct guest_mem *m, gpa_t addr, void *dst, size_t len,
			  const struct access_origin *origin);

/* Copy into guest RAM. */
must_check int guest_write(struct guest_mem *m, gpa_t addr, const void *src, size_t len,
			   const struct access_origin *origin);

/* The same for one access to linear addresses: @count parts, 1 or 2. */
must_check int guest_read_parts(struct guest_mem *m, struct guest_part *part, unsigned int count, void *dst,
				const struct access_origin *origin);
must_check int guest_write_parts(struct guest_mem *m, struct guest_part *part, unsigned int count,
				 const void *src, const struct access_origin *origin);

/* Atomic compare and exchange of @len bytes: 1, 2, 4, 8, or 16, not crossing
 * a page; 16 only where aligned to 16. -EAGAIN: memory did not hold *expected, which now has what it held:
 * no write, and no event. -EINVAL for another length, a page crossing or a misaligned 16.
 * What it reads is the caller's to tell. Of a page walk's write nothing can be skipped
 * or replaced: that is -EACCES. */
must_check int guest_cmpxchg(struct guest_mem *m, gpa_t addr, void *expected, const void *desired,
			     size_t len, const struct access_origin *origin);

/* Is the page of @addr RAM that is tracked in @mode? */
static inline bool guest_page_tracked(struct guest_mem *m, gpa_t addr, enum page_track_mode mode)
{
	const struct memslot *slot = memslot_find(&m->slots, gpa_to_gfn(addr));

	return slot && page_track_is_active(&slot->track, gpa_to_gfn(addr), mode);
}

/* An instruction is about to be executed, whose bytes in one page are @insn[len] at
 * @addr. @inexact: its length is not known. VERDICT_ALLOW, _SKIP, _DENY_PF, _DENY_GP or _STOP. */
must_check enum page_track_verdict guest_fetch(struct guest_mem *m, gpa_t addr, const void *insn, size_t len,
					       bool inexact, const struct access_origin *origin);

#endif
