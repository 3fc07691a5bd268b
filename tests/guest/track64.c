// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest that has its own pages tracked and frozen: an example of how it is
 * done, and a test of all that guests/spoor_hypercall.h says. Which tests are
 * made depends on where it runs: on a machine of its own, in a VM that may make no
 * such calls, or in one that may.
 */
#include "guests/spoor_hypercall.h"
#include "tests/guest/rt/rt64.h"

#define GP (0x1000u | 13)
#define UD (0x1000u | 6)
#define NOT_RAM 0xFEC00000ul /* an I/O APIC, if anything */
#define EVENTS_MOST 400u

/* What is frozen may stay so: each test has a page of its own. */
static uint8_t ice[8][PAGE] __attribute__((aligned(4096)));
static uint8_t buffer[9][PAGE] __attribute__((aligned(4096)));

static const struct spoor_event_buffer *const told = (const struct spoor_event_buffer *)buffer;
static uint32_t calls; /* that we may make */

static bool may(uint32_t call) { return calls & SPOOR_MAY(call); }

static long features(unsigned long what) { return spoor_call(SPOOR_CALL_FEATURES, what, 0, 0, 0); }

static long track(const void *p, unsigned long bytes, unsigned long accesses)
{
	return spoor_call(SPOOR_CALL_TRACK, (unsigned long)p, bytes, accesses, 0);
}

static long untrack(long id) { return spoor_call(SPOOR_CALL_UNTRACK, (unsigned long)id, 0, 0, 0); }

static long freeze(const void *p, unsigned long bytes, unsigned long how)
{
	return spoor_call(SPOOR_CALL_FREEZE, (unsigned long)p, bytes, how, 0);
}

static long thaw(long id) { return spoor_call(SPOOR_CALL_THAW, (unsigned long)id, 0, 0, 0); }

static long events_to(unsigned long gpa, unsigned long bytes)
{
	return spoor_call(SPOOR_CALL_EVENTS, gpa, bytes, 0, 0);
}

static long read_events(void) { return events_to((unsigned long)buffer, sizeof(buffer)); }

static long who(const void *p, struct spoor_event *e)
{
	return spoor_call(SPOOR_CALL_WHO, (unsigned long)p, (unsigned long)e, 0, 0);
}

/* No more events than those that are read here, by a test that starts afresh. */
static void forget(void)
{
	while (read_events() > 0)
		;
}

/* A store and a load, and where they stand. */
static uint64_t store(void *p, uint64_t v)
{
	uint64_t rip;

	asm volatile("lea 1f(%%rip), %0; 1: mov %1, (%2)" : "=&r"(rip) : "r"(v), "r"(p) : "memory");
	return rip;
}

static uint64_t load(const void *p, uint32_t *v)
{
	uint64_t rip;
	uint32_t got;

	asm volatile("lea 1f(%%rip), %0; 1: mov (%2), %1" : "=&r"(rip), "=&r"(got) : "r"(p) : "memory");
	*v = got;
	return rip;
}

static void check_cpu(const struct spoor_event *e, const void *p, uint64_t rip)
{
	check_equal(e->gpa, (uint64_t)p); /* memory is mapped where it is */
	check_equal(e->gva, (uint64_t)p);
	check_equal(e->rip, rip);
	check_equal(e->cr3, read_cr3());
	check_equal(e->vcpu, 0);
}

/* ---- where we are ------------------------------------------------------------------ */

static void call_blindly(uint64_t number, uint64_t to)
{
	*(long *)to = spoor_call(number, SPOOR_FEATURE_VERSION, 0, 0, 0);
}

/* Nobody is there: VMCALL is undefined. */
static void nobody_answers(void)
{
	long answer;

	print("  not under Spoor\n");
	check_equal(trap_result(try_call(call_blindly, SPOOR_CALL_FEATURES, (uint64_t)&answer)), UD);
}

static void nothing_is_allowed(void)
{
	uint32_t r[4];

	cpuid(SPOOR_CPUID_CALLS, 0, r);
	check_equal(r[0] | r[1] | r[2] | r[3], 0);
	check_equal(features(SPOOR_FEATURE_VERSION), SPOOR_ABI_VERSION);
	check_equal(features(SPOOR_FEATURE_CALLS), 0);
	check_equal(track(ice[0], PAGE, SPOOR_ACCESS_WRITE), -SPOOR_EPERM);
	check_equal(untrack(1), -SPOOR_EPERM);
	check_equal(freeze(ice[0], PAGE, SPOOR_FREEZE_FAULT), -SPOOR_EPERM);
	check_equal(thaw(1), -SPOOR_EPERM);
	check_equal(read_events(), -SPOOR_EPERM);
	check_equal(who(ice[0], (struct spoor_event *)buffer), -SPOOR_EPERM);
	check_equal(spoor_call(SPOOR_CALL(7), 0, 0, 0, 0), -SPOOR_ENOSYS);
	check_equal(try_write((uint64_t)ice[0], 1), 0);
}

static void what_we_may(void)
{
	uint32_t r[4];

	cpuid(SPOOR_CPUID_CALLS, 0, r);
	print("  calls 0x%x, %u ranges of %u pages, %u events\n", (unsigned long)r[0], (unsigned long)r[1],
	      (unsigned long)r[2], (unsigned long)r[3]);
	check_equal(features(SPOOR_FEATURE_VERSION), SPOOR_ABI_VERSION);
	check_equal(features(SPOOR_FEATURE_CALLS), r[0]);
	check_equal(features(SPOOR_FEATURE_RANGES), r[1]);
	check_equal(features(SPOOR_FEATURE_PAGES), r[2]);
	check_equal(features(SPOOR_FEATURE_EVENTS), r[3]);
	check_equal(features(SPOOR_FEATURE_IN_USE), 0);
	check_equal(features(SPOOR_FEATURE_IN_USE + 1), -SPOOR_EINVAL);
	check(r[1] >= 4 && r[3] && r[3] < EVENTS_MOST);
}

/* ---- tracking ------------------------------------------------------------------------ */

static void a_write_is_told(void)
{
	uint8_t *p = page_alloc();
	uint64_t before, rip;
	long id;

	forget();
	*(uint64_t *)(p + 0x108) = 0x1111;
	id = track(p + 0x100, 0x40, SPOOR_ACCESS_WRITE);
	check(id > 0);
	check_equal(features(SPOOR_FEATURE_IN_USE), 1);
	before = rdtsc();
	rip = store(p + 0x108, 0x2222333344445555);
	store(p + 0x140, 1); /* beside the range */
	store(p + 0xF8, 1);
	check_equal(read_events(), 1);
	check_equal(told->count, 1);
	check_equal(told->event_bytes, sizeof(struct spoor_event));
	check_equal(told->lost, 0);
	check_equal(told->waiting, 0);
	check(told->event[0].tsc > before && told->event[0].tsc < rdtsc());
	check_cpu(&told->event[0], p + 0x108, rip);
	check_equal(told->event[0].old_value, 0x1111);
	check_equal(told->event[0].new_value, 0x2222333344445555);
	check_equal(told->event[0].id, id);
	check_equal(told->event[0].len, 8);
	check_equal(told->event[0].access, SPOOR_ACCESS_WRITE);
	check_equal(told->event[0].by, SPOOR_BY_INSTRUCTION);
	check_equal(told->event[0].outcome, SPOOR_DONE);
	check_equal(told->event[0].flags, SPOOR_EVENT_VALUES | SPOOR_EVENT_CPU);
	check_equal(*(uint64_t *)(p + 0x108), 0x2222333344445555);
	check_equal(read_events(), 0);
	store(p + 0xFC, 7); /* half of it */
	check_equal(read_events(), 1);
	check_equal(told->event[0].gpa, (uint64_t)p + 0xFC);
	check_equal(untrack(id), 0);
	check_equal(untrack(id), -SPOOR_ENOENT);
	store(p + 0x108, 1);
	check_equal(read_events(), 0);
}

static void a_read_is_told(void)
{
	uint8_t *p = page_alloc();
	uint64_t rip;
	uint32_t v;
	long id;

	forget();
	*(uint64_t *)(p + 0x10) = 0xAABBCCDD12345678;
	id = track(p, PAGE, SPOOR_ACCESS_READ);
	check(id > 0);
	rip = load(p + 0x10, &v);
	check_equal(v, 0x12345678);
	store(p + 0x20, 1); /* not a read */
	check_equal(read_events(), 1);
	check_cpu(&told->event[0], p + 0x10, rip);
	check_equal(told->event[0].old_value, 0x12345678);
	check_equal(told->event[0].new_value, 0x12345678);
	check_equal(told->event[0].id, id);
	check_equal(told->event[0].len, 4);
	check_equal(told->event[0].access, SPOOR_ACCESS_READ);
	check_equal(told->event[0].by, SPOOR_BY_INSTRUCTION);
	check_equal(told->event[0].outcome, SPOOR_DONE);
	check_equal(told->event[0].flags, SPOOR_EVENT_VALUES | SPOOR_EVENT_CPU);
	check_equal(untrack(id), 0);
}

static void execution_is_told(void)
{
	static const uint8_t code[] = { 0xB8, 0x2A, 0, 0, 0, 0xC3 }; /* mov $42, %eax; ret */
	uint8_t *p = page_alloc();
	unsigned long result = 0;
	long id;

	forget();
	memcpy(p + 0x30, code, sizeof(code));
	id = track(p, PAGE, SPOOR_ACCESS_EXEC);
	check(id > 0);
	asm volatile("call *%1" : "=a"(result) : "r"(p + 0x30) : "memory");
	check_equal(result, 42);
	check_equal(read_events(), 2);
	for (unsigned int i = 0; i < 2; i++) {
		const struct spoor_event *e = &told->event[i];

		check_cpu(e, p + (i ? 0x35 : 0x30), (uint64_t)p + (i ? 0x35 : 0x30));
		check_equal(e->len, i ? 1 : 5);
		check_equal(e->old_value, i ? 0xC3 : 0x2AB8);
		check_equal(e->new_value, e->old_value);
		check_equal(e->access, SPOOR_ACCESS_EXEC);
		check_equal(e->by, SPOOR_BY_INSTRUCTION);
		check_equal(e->outcome, SPOOR_DONE);
		check_equal(e->id, id);
		check_equal(e->flags, SPOOR_EVENT_VALUES | SPOOR_EVENT_CPU);
	}
	check_equal(told->event[1].sequence, told->event[0].sequence + 1);
	check_equal(untrack(id), 0);
}

/* Code in a page that is tracked for execution asks for something: mov %ecx, %eax; vmcall; ret. */
static long call_from(uint8_t *code, unsigned long number, unsigned long a)
{
	long result;

	asm volatile("call *%1" : "=a"(result) : "r"(code), "b"(a), "c"(number), "d"(0), "S"(0) : "memory");
	return result;
}

static void tracked_code_makes_calls(void)
{
	static const uint8_t code[] = { 0x89, 0xC8, 0x0F, 0x01, 0xC1, 0xC3 };
	uint8_t *p = page_alloc();
	long id;

	forget();
	memcpy(p, code, sizeof(code));
	id = track(p, PAGE, SPOOR_ACCESS_EXEC);
	check(id > 0);
	check_equal(call_from(p, SPOOR_CALL_FEATURES, SPOOR_FEATURE_VERSION), SPOOR_ABI_VERSION);
	check_equal(read_events(), 3);
	check_equal(told->event[1].gpa, (uint64_t)p + 2);
	check_equal(told->event[2].gpa, (uint64_t)p + 5);
	check_equal(call_from(p, 1, 0), -SPOOR_ENOSYS);
	forget();
	/* It ends its own tracking: the last that is told is the call, if at all. */
	check_equal(call_from(p, SPOOR_CALL_UNTRACK, (unsigned long)id), 0);
	check(read_events() <= 2);
	check_equal(features(SPOOR_FEATURE_IN_USE), 0);
	check_equal(call_from(p, SPOOR_CALL_FEATURES, SPOOR_FEATURE_VERSION), SPOOR_ABI_VERSION);
	check_equal(read_events(), 0);
}

/* Whatever the instruction is: what an emulator does not know is told, too. */
static void odd_instructions_are_told(void)
{
	uint8_t *p = page_alloc();
	long id = track(p, PAGE, SPOOR_ACCESS_WRITE);

	forget();
	check(id > 0);
	asm volatile("fninit; fnstcw 0x80(%0)" : : "r"(p) : "memory");
	check(read_events() >= 1);
	check(told->event[0].gpa <= (uint64_t)p + 0x80);
	check(told->event[0].gpa + told->event[0].len > (uint64_t)p + 0x80);
	asm volatile("lock incl 0x90(%0)" : : "r"(p) : "memory");
	check_equal(read_events(), 1);
	check_equal(told->event[0].new_value, 1);
	asm volatile("push %%rdi; mov $10, %%ecx; mov $7, %%eax; lea 0xA0(%0), %%rdi; rep stosb; pop %%rdi"
		     : : "r"(p) : "memory", "rax", "rcx", "rdi");
	check_equal(read_events(), 10);
	check_equal(untrack(id), 0);
}

static void ranges_overlap(void)
{
	uint8_t *p = page_alloc();
	long a = track(p, 0x10, SPOOR_ACCESS_WRITE), b = track(p + 8, 0x10, SPOOR_ACCESS_WRITE | SPOOR_ACCESS_READ);

	forget();
	check(a > 0 && b > 0 && a != b);
	store(p + 8, 5);
	check_equal(read_events(), 2);
	check(told->event[0].id != told->event[1].id);
	check_equal(untrack(a), 0);
	store(p + 8, 6);
	check_equal(read_events(), 1);
	check_equal(told->event[0].id, b);
	check_equal(untrack(b), 0);
}

/* Of more than the queue holds, the last ones are there. */
static void events_are_lost_and_counted(void)
{
	const unsigned int queue = (unsigned int)features(SPOOR_FEATURE_EVENTS), more = 20;
	uint8_t *p = page_alloc();
	long id = track(p, PAGE, SPOOR_ACCESS_WRITE);

	forget();
	check(id > 0);
	for (unsigned int i = 0; i < queue + more; i++)
		store(p, i);
	check_equal(events_to((unsigned long)buffer, sizeof(*told)), 0); /* no room */
	check_equal(told->waiting, queue);
	check_equal(told->lost, more);
	check_equal(events_to((unsigned long)buffer, sizeof(*told) + 2 * sizeof(struct spoor_event)), 2);
	check_equal(told->lost, 0);
	check_equal(told->waiting, queue - 2);
	check_equal(told->event[0].new_value, more);
	check_equal(told->event[1].new_value, more + 1);
	check_equal(read_events(), queue - 2);
	check_equal(told->event[0].new_value, more + 2);
	check_equal(told->event[queue - 3].new_value, queue + more - 1);
	check_equal(told->event[queue - 3].sequence, told->event[0].sequence + queue - 3);
	check_equal(untrack(id), 0);
}

/* The hypervisor writes there on our behalf, and that is told like any write. */
static void our_buffer_is_tracked_too(void)
{
	uint8_t *p = page_alloc();
	long id, at;

	forget();
	at = track(p, 8, SPOOR_ACCESS_WRITE);
	id = track(buffer, PAGE, SPOOR_ACCESS_WRITE);
	check(id > 0 && at > 0);
	store(p, 1);
	check_equal(read_events(), 1);
	check_equal(told->event[0].id, at);
	check_equal(untrack(at), 0);
	check_equal(untrack(id), 0);
	check_equal(read_events(), 2);
	for (unsigned int i = 0; i < 2; i++) {
		check_equal(told->event[i].gpa, (uint64_t)buffer + (i ? 0 : sizeof(*told)));
		check_equal(told->event[i].len, i ? sizeof(*told) : sizeof(struct spoor_event));
		check_equal(told->event[i].by, SPOOR_BY_HYPERCALL);
		check_equal(told->event[i].gva, 0);
		check_equal(told->event[i].id, id);
	}
}

static void last_writer(void)
{
	uint8_t *p = page_alloc();
	struct spoor_event *e = page_alloc();
	uint64_t rip;
	long id;

	if (!may(SPOOR_CALL_WHO)) {
		check_equal(who(p, e), -SPOOR_EPERM);
		return;
	}
	check_equal(who(p, e), -SPOOR_ENOENT);
	id = track(p, 0x100, SPOOR_ACCESS_WRITE);
	check(id > 0);
	check_equal(who(p, e), -SPOOR_ENOENT);
	store(p, 1);
	rip = store(p + 4, 2);
	store(p + 0x10, 3);
	forget(); /* reading them changes nothing */
	check_equal(who(p + 5, e), 0);
	check_cpu(e, p + 4, rip);
	check_equal(e->new_value, 2);
	check_equal(who(p + 0x18, e), -SPOOR_ENOENT);
	check_equal(who(p, (struct spoor_event *)NOT_RAM), -SPOOR_EFAULT);
	check_equal(untrack(id), 0);
	check_equal(who(p + 5, e), -SPOOR_ENOENT);
}

/* ---- freezing ------------------------------------------------------------------------ */

/* What was frozen is free again, or frozen for good. */
static void end_of_ice(long id, uint8_t *p)
{
	if (may(SPOOR_CALL_THAW)) {
		check_equal(thaw(id), 0);
		check_equal(thaw(id), -SPOOR_ENOENT);
		check_equal(try_write((uint64_t)p, 5), 0);
		check_equal(*(uint64_t *)p, 5);
		return;
	}
	check_equal(thaw(id), -SPOOR_EPERM);
	check_equal(untrack(id), -SPOOR_ENOENT);
}

static void frozen_memory_faults(void)
{
	uint8_t *p = ice[0] + 0x800;
	uint64_t v;
	long id;

	forget();
	*(uint64_t *)p = 0x77;
	id = freeze(p, 0x100, SPOOR_FREEZE_FAULT);
	check(id > 0);
	for (unsigned int i = 0; i < 3; i++) {
		check_equal(try_write((uint64_t)p + 8 * i, 1), GP);
		check_equal(trap.error, 0);
		check_equal(read_events(), 1);
		check_cpu(&told->event[0], p + 8 * i, trap.rip);
		check_equal(told->event[0].outcome, SPOOR_FAULTED);
		check_equal(told->event[0].access, SPOOR_ACCESS_WRITE);
		check_equal(told->event[0].id, id);
		check_equal(told->event[0].old_value, i ? 0 : 0x77);
		check_equal(told->event[0].new_value, 1);
	}
	check_equal(try_read((uint64_t)p, &v), 0);
	check_equal(v, 0x77);
	check_equal(try_write((uint64_t)p - 8, 1), 0);
	check_equal(try_write((uint64_t)p + 0x100, 1), 0);
	check_equal(try_write((uint64_t)p - 4, 1), GP); /* half of it */
	check_equal(*(uint32_t *)(p - 4), 0);
	check_equal(untrack(id), -SPOOR_ENOENT);
	check_equal(read_events(), 1);
	end_of_ice(id, p);
}

static void frozen_memory_skips(void)
{
	uint8_t *p = ice[1];
	long id = freeze(p, PAGE, SPOOR_FREEZE_SKIP);

	forget();
	check(id > 0);
	check_equal(try_write((uint64_t)p, 1), 0);
	check_equal(*(uint64_t *)p, 0);
	check_equal(read_events(), 1);
	check_equal(told->event[0].outcome, SPOOR_SKIPPED);
	end_of_ice(id, p);
}

static void frozen_memory_reports(void)
{
	uint8_t *p = ice[2];
	long id = freeze(p, PAGE, SPOOR_FREEZE_REPORT);

	forget();
	check(id > 0);
	check_equal(try_write((uint64_t)p, 1), 0);
	check_equal(*(uint64_t *)p, 1);
	check_equal(read_events(), 1);
	check_equal(told->event[0].outcome, SPOOR_DONE);
	end_of_ice(id, p);
}

/* Not by an instruction that nobody emulates, nor by a call. */
static void there_is_no_way_round(void)
{
	uint8_t *p = ice[3];
	long id = freeze(p, PAGE, SPOOR_FREEZE_FAULT), at;

	forget();
	check(id > 0);
	at = track(ice[7], PAGE, SPOOR_ACCESS_WRITE);
	store(ice[7], 1);
	check_equal(events_to((unsigned long)p, PAGE), -SPOOR_EFAULT);
	check_equal(*(uint64_t *)p, 0);
	check(read_events() >= 1); /* and nothing was lost */
	check_equal(told->event[0].id, at);
	check_equal(told->lost, 0);
	check_equal(untrack(at), 0);
	check_equal(trap_result(try_call((void (*)(uint64_t, uint64_t))(uint64_t)store, (uint64_t)p, 1)), GP);
	end_of_ice(id, p);
}

static void odd_store(uint64_t p, uint64_t unused)
{
	asm volatile("fninit; fnstcw 0x80(%0)" : : "r"(p) : "memory");
}

static void odd_instructions_fault(void)
{
	uint8_t *p = ice[4];
	long id = freeze(p, PAGE, SPOOR_FREEZE_FAULT);

	check(id > 0);
	check_equal(trap_result(try_call(odd_store, (uint64_t)p, 0)), GP);
	check_equal(*(uint16_t *)(p + 0x80), 0);
	end_of_ice(id, p);
}

/* The CPU's own bits get in: else nothing could be mapped by it. */
static void a_frozen_page_table_works(void)
{
	const uint64_t va = 0x8040201000ul;
	pte_t *pml4 = space_new(), *pt = (pte_t *)ice[5], *pte = &pt[va >> 12 & 511];
	long id;

	*space_entry(pml4, va, 2) = (uint64_t)pt | PTE_P | PTE_W;
	*pte = (uint64_t)marked_page(0x5050) | PTE_P | PTE_W;
	id = freeze(pt, PAGE, SPOOR_FREEZE_FAULT);
	check(id > 0);
	space_use(pml4);
	check_equal(*(volatile uint64_t *)va, 0x5050);
	*(volatile uint64_t *)va = 1;
	check_equal(*pte & (PTE_A | PTE_D), PTE_A | PTE_D);
	check_equal(try_write((uint64_t)pte, 0), GP);
	check_equal(*(volatile uint64_t *)va, 1);
	space_use(boot_pml4);
	end_of_ice(id, ice[5]);
}

/* ---- mistakes ------------------------------------------------------------------------- */

static void mistakes_are_told(void)
{
	const unsigned long most = (unsigned long)features(SPOOR_FEATURE_PAGES) * PAGE;
	const long used = features(SPOOR_FEATURE_IN_USE);

	check_equal(track(ice[6], 0, SPOOR_ACCESS_WRITE), -SPOOR_EINVAL);
	check_equal(track(ice[6], 1, 0), -SPOOR_EINVAL);
	check_equal(track(ice[6], 1, 8), -SPOOR_EINVAL);
	check_equal(track(ice[6], -8ul, SPOOR_ACCESS_WRITE), -SPOOR_EINVAL);
	check_equal(track((void *)-PAGE, 2 * PAGE, SPOOR_ACCESS_WRITE), -SPOOR_EINVAL);
	check_equal(track(ice[6], most + 1, SPOOR_ACCESS_WRITE), -SPOOR_E2BIG);
	check_equal(track((void *)NOT_RAM, 8, SPOOR_ACCESS_WRITE), -SPOOR_EFAULT);
	check_equal(track((void *)(1ul << 45), 8, SPOOR_ACCESS_WRITE), -SPOOR_EFAULT);
	check_equal(freeze(ice[6], 8, 3), -SPOOR_EINVAL);
	check_equal(freeze(ice[6], 0, SPOOR_FREEZE_FAULT), -SPOOR_EINVAL);
	check_equal(freeze((void *)NOT_RAM, 8, SPOOR_FREEZE_FAULT), -SPOOR_EFAULT);
	check_equal(untrack(0), -SPOOR_ENOENT);
	check_equal(untrack(-1), -SPOOR_ENOENT);
	check_equal(events_to((unsigned long)buffer, sizeof(*told) - 1), -SPOOR_EINVAL);
	check_equal(events_to(NOT_RAM, PAGE), -SPOOR_EFAULT);
	check_equal(events_to(-8ul, PAGE), -SPOOR_EINVAL);
	check_equal(spoor_call(SPOOR_CALL(7), 0, 0, 0, 0), -SPOOR_ENOSYS);
	check_equal(spoor_call(1, 0, 0, 0, 0), -SPOOR_ENOSYS); /* one of KVM's */
	check_equal(features(SPOOR_FEATURE_IN_USE), used);
	check_equal(try_write((uint64_t)ice[6], 1), 0);
}

static void there_is_a_limit(void)
{
	const long most = features(SPOOR_FEATURE_RANGES), used = features(SPOOR_FEATURE_IN_USE);
	long id[512];

	require(most > used && most <= 512);
	for (long i = used; i < most; i++) {
		id[i] = track(ice[6], 8, SPOOR_ACCESS_WRITE);
		check(id[i] > 0);
	}
	check_equal(track(ice[6], 8, SPOOR_ACCESS_WRITE), -SPOOR_ENOSPC);
	check_equal(freeze(ice[6], 8, SPOOR_FREEZE_FAULT), -SPOOR_ENOSPC);
	for (long i = used; i < most; i++)
		check_equal(untrack(id[i]), 0);
	check_equal(features(SPOOR_FEATURE_IN_USE), used);
	check_equal(try_write((uint64_t)ice[6], 1), 0);
}

/* mov $number, %eax; vmcall; mov %rax, (%rdi); int $0x80 */
static void ring_3_may_not(void)
{
	static const uint8_t code[] = { 0xB8, 0, 0, 0x70, 0x53, 0x0F, 0x01, 0xC1, 0x48, 0x89, 0x07, 0xCD, 0x80 };
	const uint64_t at = 0x10000000000ul;
	pte_t *pml4 = space_new();
	uint8_t *text = page_alloc();
	uint64_t *data = page_alloc();

	_Static_assert(SPOOR_CALL_FEATURES == 0x53700000, "the number in the code");
	memcpy(text, code, sizeof(code));
	space_map(pml4, at, text, PTE_P | PTE_U);
	space_map(pml4, at + PAGE, data, PTE_P | PTE_W | PTE_U);
	space_use(pml4);
	check_equal(trap_result(try_user(at, at + PAGE, 0, at + 2 * PAGE)), 0);
	space_use(boot_pml4);
	check_equal(data[0], (uint64_t)-SPOOR_EPERM);
}

void main(void)
{
	static const struct test alone[] = { { "nobody_answers", nobody_answers } };
	static const struct test denied[] = {
		{ "nothing_is_allowed", nothing_is_allowed },
		{ "ring_3_may_not", ring_3_may_not },
	};
	static const struct test allowed[] = {
		{ "what_we_may", what_we_may },
		{ "a_write_is_told", a_write_is_told },
		{ "a_read_is_told", a_read_is_told },
		{ "execution_is_told", execution_is_told },
		{ "tracked_code_makes_calls", tracked_code_makes_calls },
		{ "odd_instructions_are_told", odd_instructions_are_told },
		{ "ranges_overlap", ranges_overlap },
		{ "events_are_lost_and_counted", events_are_lost_and_counted },
		{ "our_buffer_is_tracked_too", our_buffer_is_tracked_too },
		{ "last_writer", last_writer },
		{ "mistakes_are_told", mistakes_are_told },
		{ "frozen_memory_faults", frozen_memory_faults },
		{ "frozen_memory_skips", frozen_memory_skips },
		{ "frozen_memory_reports", frozen_memory_reports },
		{ "there_is_no_way_round", there_is_no_way_round },
		{ "odd_instructions_fault", odd_instructions_fault },
		{ "a_frozen_page_table_works", a_frozen_page_table_works },
		{ "there_is_a_limit", there_is_a_limit },
		{ "ring_3_may_not", ring_3_may_not },
	};

	traps_init();
	if (!spoor_is_there())
		run_tests(alone, ARRAY_SIZE(alone));
	calls = spoor_calls();
	if (!calls)
		run_tests(denied, ARRAY_SIZE(denied));
	run_tests(allowed, ARRAY_SIZE(allowed));
}
