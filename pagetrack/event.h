/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Accesses to tracked pages: what is known of one, who is asked before it, and
 * who is told after it.
 *
 * Whoever makes an access to guest memory (mm/guest_mem.h) calls
 * page_track_before() while nothing has happened yet and does what it says,
 * then page_track_after(). Both go to the trackers that hold the page in the
 * mode of the access, and to no others, in ascending priority. Each of them is
 * told of an access exactly once; of one that was asked about and then did not come
 * about (a compare and exchange that failed), nobody is.
 *
 * Lock: none held by the caller, none during callbacks, from which trackers may
 * add, remove, register and destroy, themselves too.
 */
#ifndef PAGETRACK_EVENT_H
#define PAGETRACK_EVENT_H

#include "pagetrack/page_track.h"

enum access_agent {
	AGENT_EMULATOR,  /* a guest instruction, emulated */
	AGENT_GUEST,     /* a guest instruction that ran natively, page opened for it */
	AGENT_WALKER,    /* a walk of the guest's page tables: entries read, A and D bits set */
	AGENT_INJECTION, /* event delivery, task switches: the CPU itself */
	AGENT_DEVICE,
	AGENT_HYPERCALL,
	AGENT_LOADER,    /* before the first instruction of the guest */
	AGENT_DEBUGGER,  /* people, and tools in their place; snapshots too */
	AGENTS
};

#define ACCESS_NO_VCPU UINT32_MAX

/* Who makes an access, and where the CPU stood. */
struct access_origin {
	enum access_agent agent;
	uint32_t vcpu;     /* id; ACCESS_NO_VCPU: none, and what follows is 0 */
	bool user;         /* CPL 3, and not the CPU's own access */
	uint64_t rip, cr3; /* the guest's */
	gva_t gva;         /* linear address of the first byte; 0: it was reached by gpa */
};

/* An origin without a vCPU: BY(DEVICE). */
#define BY(who) (&(const struct access_origin){ .agent = AGENT_##who, .vcpu = ACCESS_NO_VCPU })

enum page_track_verdict {
	VERDICT_NONE,    /* no opinion: like ALLOW, if nobody else has one */
	VERDICT_ALLOW,
	VERDICT_DENY_PF, /* the guest gets a #PF at the address, on a page that is present */
	VERDICT_DENY_GP, /* #GP(0) */
	VERDICT_SKIP,    /* a write changes nothing, a read gives zeros, an instruction is passed over */
	VERDICT_REPLACE, /* go on with the bytes in *value */
	VERDICT_STOP,    /* the access is not made, and the VM stops */
};

/* One access, or the part of it that lies in one page. */
struct page_track_event {
	enum page_track_mode mode;
	gpa_t gpa;
	uint32_t len;             /* bytes, 1..PAGE_SIZE, within the page */
	bool inexact;             /* a native step: the access lies within [gpa, gpa + len) */
	/*
	 * [len]  WRITE: what memory held, and what was to be stored there.
	 *        READ:  what memory holds, and what the guest gets.
	 *        EXEC:  the instruction's bytes in this page, twice.
	 * Both NULL before a native step, whose values nobody knows yet, and
	 * new == NULL while nothing replaces what is read.
	 */
	const uint8_t *old, *new;
	const uint8_t *page;      /* the whole page as it is now; may be NULL */
	const struct access_origin *origin;
	uint64_t tsc;
	enum page_track_verdict verdict; /* after: what was done, never NONE */
	uint64_t hit;             /* ordinal among the events of the tracker that is told, from 1 */
};

/*
 * Asks before the access of @e (gpa, len, mode, old, new, page and origin are set). The
 * first tracker, by priority, that has an opinion decides; the others are
 * asked too, and told if they are overruled. The shadow MMU's own counts have no
 * opinion. Never VERDICT_NONE. With VERDICT_REPLACE @value[len] has the bytes; it
 * holds a copy of new (WRITE) or old (READ) before. @value NULL: nothing can be
 * replaced, and VERDICT_REPLACE becomes VERDICT_DENY_GP.
 */
enum page_track_verdict page_track_before(struct page_track *pt, const struct page_track_event *e,
					  uint8_t *value);

/* Tells of it. e->verdict says what was done: first the MMU, if memory was
 * written, then the holders. */
void page_track_after(struct page_track *pt, const struct page_track_event *e);

/* The VM is to stop at once, by the will of @t. The first to say so is kept. */
void page_track_stop(struct page_track *pt, const struct page_tracker *t);

#endif
