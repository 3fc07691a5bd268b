/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Hypercalls of Spoor: how a guest has its own pages tracked and frozen. For
 * guests to include, C of any kind, 32-bit and 64-bit: it needs <stdint.h>
 * and nothing else. docs/hypercalls.md tells the rest.
 *
 * VMCALL in ring 0: number in RAX, arguments in RBX, RCX, RDX, RSI, result in
 * RAX; all other registers are kept. Outside 64-bit mode the low halves count.
 * A negative result is an error. Invariant: what is here never changes its
 * meaning; what is added makes SPOOR_ABI_VERSION higher.
 */
#ifndef SPOOR_HYPERCALL_H
#define SPOOR_HYPERCALL_H

#include <stdint.h>

#define SPOOR_ABI_VERSION 1

/*
 * Discovery. CPUID.1:ECX[31] is set, leaf SPOOR_CPUID_BASE has the highest leaf
 * in EAX and "SpoorSpoor" in EBX, ECX, EDX. Leaf SPOOR_CPUID_CALLS:
 *   EAX  the calls that this VM may use, a bit each: SPOOR_MAY(call)
 *   EBX  how many ranges may be tracked or frozen at a time
 *   ECX  how many pages one of them may touch
 *   EDX  how many events can wait; of more, the last ones are kept
 * All are 0 in a VM that may use none; SPOOR_CALL_FEATURES always works.
 */
#define SPOOR_CPUID_BASE 0x40000000u
#define SPOOR_CPUID_CALLS 0x40000001u
#define SPOOR_SIGNATURE_EBX 0x6F6F7053u
#define SPOOR_SIGNATURE_ECX 0x6F705372u
#define SPOOR_SIGNATURE_EDX 0x0000726Fu

/* Numbers, away from those of other hypervisors. */
#define SPOOR_CALL(n) (0x53700000u + (n))
#define SPOOR_CALL_FEATURES SPOOR_CALL(0) /* (SPOOR_FEATURE_...): a number */
#define SPOOR_CALL_TRACK SPOOR_CALL(1)    /* (gpa, bytes, SPOOR_ACCESS_ bits): an id, 1 or more */
#define SPOOR_CALL_UNTRACK SPOOR_CALL(2)  /* (id): 0 */
#define SPOOR_CALL_FREEZE SPOOR_CALL(3)   /* (gpa, bytes, SPOOR_FREEZE_...): an id, 1 or more */
#define SPOOR_CALL_THAW SPOOR_CALL(4)     /* (id): 0 */
#define SPOOR_CALL_EVENTS SPOOR_CALL(5)   /* (gpa, bytes): how many events it has put there */
#define SPOOR_CALL_WHO SPOOR_CALL(6)      /* (gpa, gpa of a struct spoor_event): 0 */

#define SPOOR_MAY(call) (1u << ((call) & 31))

/* Of SPOOR_CALL_FEATURES. */
#define SPOOR_FEATURE_VERSION 0u /* SPOOR_ABI_VERSION of the hypervisor */
#define SPOOR_FEATURE_CALLS 1u   /* as EAX, EBX, ECX, EDX of the CPUID leaf */
#define SPOOR_FEATURE_RANGES 2u
#define SPOOR_FEATURE_PAGES 3u
#define SPOOR_FEATURE_EVENTS 4u
#define SPOOR_FEATURE_IN_USE 5u  /* ranges that are tracked or frozen now */

/* Accesses to track, and which one an event is about. */
#define SPOOR_ACCESS_WRITE 1u
#define SPOOR_ACCESS_READ 2u
#define SPOOR_ACCESS_EXEC 4u

/* What becomes of a write to a frozen range; it is an event in any case. */
#define SPOOR_FREEZE_FAULT 0u  /* it does not happen: #GP(0) */
#define SPOOR_FREEZE_SKIP 1u   /* it does not happen, and the guest goes on as if it had */
#define SPOOR_FREEZE_REPORT 2u /* it happens */

/* Results: the negative ones, in a register as wide as the mode. */
#define SPOOR_EPERM 1     /* ring 3, or the configuration does not allow it */
#define SPOOR_ENOENT 2    /* no such id; nobody has written there */
#define SPOOR_E2BIG 7     /* the range has too many pages */
#define SPOOR_ENOMEM 12   /* the hypervisor has none left */
#define SPOOR_EFAULT 14   /* not RAM, or a buffer that must not be written */
#define SPOOR_EINVAL 22   /* no bytes, unknown bits, a range that wraps, a buffer without room */
#define SPOOR_ENOSPC 28   /* too many ranges, or counts on one page */
#define SPOOR_ENOSYS 1000 /* no such call */

/* Who made the access. */
#define SPOOR_BY_INSTRUCTION 0u
#define SPOOR_BY_WALK 1u      /* the CPU, reading page tables or setting accessed and dirty bits */
#define SPOOR_BY_DELIVERY 2u  /* the CPU, delivering an event or switching tasks */
#define SPOOR_BY_DEVICE 3u
#define SPOOR_BY_HYPERCALL 4u /* the hypervisor, as the guest asked */
#define SPOOR_BY_OUTSIDE 5u   /* a person or a tool */

#define SPOOR_DONE 0u    /* what became of it */
#define SPOOR_FAULTED 1u /* not made: #GP, or #PF */
#define SPOOR_SKIPPED 2u
#define SPOOR_CHANGED 3u /* made with another value */
#define SPOOR_STOPPED 4u

#define SPOOR_EVENT_USER 1u    /* CPL 3 */
#define SPOOR_EVENT_INEXACT 2u /* the access lies within [gpa, gpa + len): no more is known */
#define SPOOR_EVENT_VALUES 4u  /* old_value and new_value are known */
#define SPOOR_EVENT_CPU 8u     /* vcpu, rip, cr3 and gva are known */

/* One access, or its part in one page. 80 bytes. */
struct spoor_event {
	uint64_t sequence;  /* 1, 2, ... over all events of the VM; a gap: that many were lost */
	uint64_t tsc;       /* as RDTSC of the guest would have said */
	uint64_t gpa;
	uint64_t gva;       /* linear address; 0: it was reached by gpa */
	uint64_t rip;
	uint64_t cr3;
	uint64_t old_value; /* the first 8 bytes, fewer if len is less, zero-extended */
	uint64_t new_value; /* of a write: what was to be stored; else as old_value */
	uint32_t id;        /* of the range */
	uint32_t len;       /* bytes */
	uint32_t vcpu;
	uint8_t access;     /* one of SPOOR_ACCESS_ */
	uint8_t by;         /* SPOOR_BY_ */
	uint8_t outcome;    /* SPOOR_DONE and below */
	uint8_t flags;      /* SPOOR_EVENT_ bits */
};

/* What SPOOR_CALL_EVENTS puts into the buffer: this, then count times
 * struct spoor_event. */
struct spoor_event_buffer {
	uint32_t count;
	uint32_t event_bytes; /* of each */
	uint64_t lost;        /* events that waited too long, since the last call */
	uint64_t waiting;     /* that are left in the queue */
	uint64_t reserved;
	struct spoor_event event[];
};

_Static_assert(sizeof(struct spoor_event) == 80, "the layout is fixed");
_Static_assert(sizeof(struct spoor_event_buffer) == 32, "the layout is fixed");

#if defined(__x86_64__) || defined(__i386__)

/* In ring 0, and only on Spoor: elsewhere VMCALL is #UD or somebody else's. */
static inline long spoor_call(unsigned long number, unsigned long a, unsigned long b, unsigned long c,
			      unsigned long d)
{
	long result;

	__asm__ volatile("vmcall" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d) : "memory");
	return result;
}

/* Are we a guest of Spoor? */
static inline int spoor_is_there(void)
{
	uint32_t a = 1, b, c = 0, d;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	if (!(c >> 31))
		return 0;
	a = SPOOR_CPUID_BASE;
	c = 0;
	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	return a >= SPOOR_CPUID_CALLS && b == SPOOR_SIGNATURE_EBX && c == SPOOR_SIGNATURE_ECX &&
	       d == SPOOR_SIGNATURE_EDX;
}

/* The calls that may be used, as SPOOR_MAY() bits. Spoor is there. */
static inline uint32_t spoor_calls(void)
{
	uint32_t a = SPOOR_CPUID_CALLS, b, c = 0, d;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	return a;
}

#endif

#endif
