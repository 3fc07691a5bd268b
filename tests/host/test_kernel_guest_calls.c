// SPDX-License-Identifier: GPL-2.0-only
/* What hypercalls do, from the register to the counters and back to the guest's memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "kernel/guest_calls.h"
#include "lib/errno.h"
#include "tests/host/port_host.h"
#include "tests/host/vcpu_fake.h"

#define PLACE 0x20000u
#define BUFFER 0x30000u
#define ROOM 0x8000u
#define RANGES 6u
#define WRITE SPOOR_ACCESS_WRITE
#define EVERYTHING                                                                                           \
	(SPOOR_MAY(SPOOR_CALL_TRACK) | SPOOR_MAY(SPOOR_CALL_UNTRACK) | SPOOR_MAY(SPOOR_CALL_FREEZE) |          \
	 SPOOR_MAY(SPOOR_CALL_THAW) | SPOOR_MAY(SPOOR_CALL_EVENTS) | SPOOR_MAY(SPOOR_CALL_WHO))

static struct fake_vm f;
static struct guest_calls g;
static uint64_t shadow_counts;

static uint64_t all_counts(void);

static void open_calls(uint32_t allowed)
{
	const struct guest_calls_config c = { .allowed = allowed, .ranges = allowed ? RANGES : 0,
					      .mem = &f.mmu.mem, .tsc_offset = &f.vcpu.tsc_offset };

	guest_calls_destroy(&g);
	assert_int_equal(guest_calls_init(&g, &c), 0);
}

static int made(void **state)
{
	fake_vm_init(&f);
	fake_long_mode(&f);
	f.vcpu.hypercalls = &guest_calls_ops;
	f.vcpu.hypercall_ctx = &g;
	open_calls(EVERYTHING);
	shadow_counts = all_counts();
	return 0;
}

static int gone(void **state)
{
	guest_calls_destroy(&g);
	fake_vm_destroy(&f);
	return 0;
}

static int64_t vmcall(uint64_t number, uint64_t b, uint64_t c, uint64_t d)
{
	uint64_t *r = f.vcpu.regs.gpr;

	r[GPR_RAX] = number;
	r[GPR_RBX] = b;
	r[GPR_RCX] = c;
	r[GPR_RDX] = d;
	r[GPR_RSI] = 0;
	assert_int_equal(vcpu_exit_hypercall(&f.vcpu), VCPU_NEXT_INSN);
	return (int64_t)r[GPR_RAX];
}

static int64_t features(uint64_t what) { return vmcall(SPOOR_CALL_FEATURES, what, 0, 0); }
static int64_t track(uint64_t at, uint64_t n, uint64_t what) { return vmcall(SPOOR_CALL_TRACK, at, n, what); }
static int64_t untrack(int64_t id) { return vmcall(SPOOR_CALL_UNTRACK, (uint64_t)id, 0, 0); }
static int64_t freeze(uint64_t at, uint64_t n, uint64_t how) { return vmcall(SPOOR_CALL_FREEZE, at, n, how); }
static int64_t thaw(int64_t id) { return vmcall(SPOOR_CALL_THAW, (uint64_t)id, 0, 0); }
static int64_t read_events(void) { return vmcall(SPOOR_CALL_EVENTS, BUFFER, ROOM, 0); }
static int64_t who(uint64_t at, uint64_t to) { return vmcall(SPOOR_CALL_WHO, at, to, 0); }

static const struct spoor_event_buffer *told(void)
{
	return (const struct spoor_event_buffer *)(f.ram + BUFFER);
}

static const struct spoor_event *event(unsigned int i) { return &told()->event[i]; }

/* A write by @agent on the vCPU. */
static int write_as(enum access_agent agent, uint64_t at, const void *src, size_t len)
{
	const struct access_origin o = { .agent = agent, .vcpu = 0, .user = true, .rip = 0x1234, .cr3 = 0x5000,
					 .gva = gva(at + 0x100000) };

	return guest_write(&f.mmu.mem, gpa(at), src, len, &o);
}

static void store(uint64_t at, uint64_t v) { assert_int_equal(write_as(AGENT_EMULATOR, at, &v, 8), 0); }

static unsigned int count(uint64_t at, enum page_track_mode mode)
{
	return page_track_count(&f.mmu.mem.slots.slot[0]->track, gpa_to_gfn(gpa(at)), mode);
}

static uint64_t all_counts(void)
{
	const struct page_track_slot *s = &f.mmu.mem.slots.slot[0]->track;

	return page_track_total(s, PAGE_TRACK_WRITE) + page_track_total(s, PAGE_TRACK_READ) +
	       page_track_total(s, PAGE_TRACK_EXEC);
}

/* Beside those of the shadow MMU, which does not change its mind in these tests. */
static uint64_t counts(void) { return all_counts() - shadow_counts; }

/* ---- who may ---------------------------------------------------------------------- */

static void nothing_without_permission(void **state)
{
	size_t before;
	struct cpuid_regs leaf = guest_calls_leaf(0, 0);

	guest_calls_destroy(&g);
	before = host_pages_used();
	open_calls(0);
	assert_int_equal(host_pages_used(), before);
	assert_int_equal(leaf.eax | leaf.ebx | leaf.ecx | leaf.edx, 0);
	assert_int_equal(features(SPOOR_FEATURE_VERSION), SPOOR_ABI_VERSION);
	assert_int_equal(features(SPOOR_FEATURE_CALLS), 0);
	assert_int_equal(track(PLACE, 8, WRITE), -1);
	assert_int_equal(untrack(1), -1);
	assert_int_equal(freeze(PLACE, 8, 0), -1);
	assert_int_equal(thaw(1), -1);
	assert_int_equal(read_events(), -1);
	assert_int_equal(who(PLACE, BUFFER), -1);
	assert_int_equal(counts(), 0);
}

static void each_permission_is_its_own(void **state)
{
	static const uint64_t calls[] = { SPOOR_CALL_TRACK, SPOOR_CALL_UNTRACK, SPOOR_CALL_FREEZE, SPOOR_CALL_THAW,
					  SPOOR_CALL_EVENTS, SPOOR_CALL_WHO };

	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		open_calls(SPOOR_MAY(calls[i]));
		for (size_t k = 0; k < ARRAY_SIZE(calls); k++) {
			int64_t r = vmcall(calls[k], calls[k] == SPOOR_CALL_EVENTS ? BUFFER : PLACE, ROOM, 1);

			if ((r != -1) != (i == k))
				fail_msg("call %zu with permission %zu: %lld", k, i, (long long)r);
		}
	}
}

static void features_are_those_of_cpuid(void **state)
{
	struct cpuid_regs leaf = guest_calls_leaf(EVERYTHING, RANGES);

	assert_int_equal(leaf.eax, EVERYTHING | SPOOR_MAY(SPOOR_CALL_FEATURES));
	assert_int_equal(features(SPOOR_FEATURE_CALLS), leaf.eax);
	assert_int_equal(features(SPOOR_FEATURE_RANGES), RANGES);
	assert_int_equal(leaf.ebx, RANGES);
	assert_int_equal(features(SPOOR_FEATURE_PAGES), leaf.ecx);
	assert_int_equal(leaf.ecx, GUEST_CALLS_PAGES);
	assert_int_equal(features(SPOOR_FEATURE_EVENTS), leaf.edx);
	assert_int_equal(leaf.edx, GUEST_EVENTS);
	assert_int_equal(features(SPOOR_FEATURE_IN_USE), 0);
	assert_int_equal(track(PLACE, 1, WRITE), 1);
	assert_int_equal(features(SPOOR_FEATURE_IN_USE), 1);
	assert_int_equal(features(SPOOR_FEATURE_IN_USE + 1), -22);
}

/* ---- tracking ----------------------------------------------------------------------- */

static void every_field_of_an_event(void **state)
{
	const struct spoor_event *e = event(0);
	uint64_t v = 0x1122334455667788;
	int64_t id;

	store(PLACE + 0x10, 0x99);
	id = track(PLACE + 0x10, 8, WRITE);
	assert_int_equal(id, 1);
	assert_int_equal(count(PLACE, PAGE_TRACK_WRITE), 1);
	assert_int_equal(counts(), 1);
	f.vcpu.tsc_offset = 1ll << 60;
	assert_int_equal(write_as(AGENT_INJECTION, PLACE + 0x10, &v, 8), 0);
	assert_int_equal(read_events(), 1);
	assert_int_equal(told()->count, 1);
	assert_int_equal(told()->event_bytes, 80);
	assert_int_equal(told()->lost, 0);
	assert_int_equal(told()->waiting, 0);
	assert_int_equal(e->sequence, 1);
	assert_int_equal(e->tsc >> 60, 1);
	assert_int_equal(e->gpa, PLACE + 0x10);
	assert_int_equal(e->gva, PLACE + 0x100010);
	assert_int_equal(e->rip, 0x1234);
	assert_int_equal(e->cr3, 0x5000);
	assert_int_equal(e->old_value, 0x99);
	assert_true(e->new_value == v);
	assert_int_equal(e->id, id);
	assert_int_equal(e->len, 8);
	assert_int_equal(e->vcpu, 0);
	assert_int_equal(e->access, SPOOR_ACCESS_WRITE);
	assert_int_equal(e->by, SPOOR_BY_DELIVERY);
	assert_int_equal(e->outcome, SPOOR_DONE);
	assert_int_equal(e->flags, SPOOR_EVENT_USER | SPOOR_EVENT_CPU | SPOOR_EVENT_VALUES);
	assert_int_equal(untrack(id), 0);
	assert_int_equal(counts(), 0);
	store(PLACE + 0x10, 1);
	assert_int_equal(read_events(), 0);
}

static void each_agent_has_its_name(void **state)
{
	static const uint8_t name[AGENTS] = {
		SPOOR_BY_INSTRUCTION, SPOOR_BY_INSTRUCTION, SPOOR_BY_WALK, SPOOR_BY_DELIVERY, SPOOR_BY_DEVICE,
		SPOOR_BY_HYPERCALL, SPOOR_BY_OUTSIDE, SPOOR_BY_OUTSIDE,
	};
	uint64_t v = 5;

	assert_true(track(PLACE, 8, WRITE) > 0);
	for (int a = 0; a < AGENTS; a++)
		assert_int_equal(write_as(a, PLACE, &v, 8), 0);
	assert_int_equal(guest_write(&f.mmu.mem, gpa(PLACE), &v, 2, BY(DEVICE)), 0);
	assert_int_equal(read_events(), AGENTS + 1);
	for (unsigned int a = 0; a < AGENTS; a++)
		assert_int_equal(event(a)->by, name[a]);
	assert_int_equal(event(AGENTS)->flags, SPOOR_EVENT_VALUES); /* no CPU made it */
	assert_int_equal(event(AGENTS)->rip | event(AGENTS)->gva, 0);
	assert_int_equal(event(AGENTS)->new_value, 5);
	assert_int_equal(event(AGENTS)->len, 2);
}

static void reads_and_their_values(void **state)
{
	const struct access_origin o = { .agent = AGENT_EMULATOR, .gva = gva(PLACE) };
	uint32_t v;

	store(PLACE, 0xAABBCCDD11223344);
	assert_true(track(PLACE, 8, SPOOR_ACCESS_READ) > 0);
	assert_int_equal(count(PLACE, PAGE_TRACK_READ), 1);
	assert_int_equal(guest_read(&f.mmu.mem, gpa(PLACE + 4), &v, 4, &o), 0);
	assert_int_equal(read_events(), 1);
	assert_int_equal(event(0)->access, SPOOR_ACCESS_READ);
	assert_true(event(0)->old_value == 0xAABBCCDD && event(0)->new_value == 0xAABBCCDD);
	assert_int_equal(track(PLACE, 8, SPOOR_ACCESS_EXEC), 2);
	assert_int_equal(count(PLACE, PAGE_TRACK_EXEC), 1);
}

/* To the byte, on both ends, and over two pages. */
static void only_the_range_is_told(void **state)
{
	static const struct { uint32_t at, len; unsigned int events; } w[] = {
		{ 0xFF7, 8, 0 }, { 0xFF7, 9, 1 }, { 0xFFF, 1, 1 }, { 0x1000, 1, 1 }, { 0x100F, 1, 1 },
		{ 0x1010, 8, 0 }, { 0x100F, 8, 1 }, { 0xFFC, 8, 2 }, { 0xF00, 0x10, 0 }, { 0xF00, 0x200, 2 },
	};
	uint8_t bytes[0x200] = { 0 };

	assert_true(track(PLACE + 0xFFF, 0x11, WRITE) > 0);
	assert_int_equal(counts(), 2);
	for (size_t i = 0; i < ARRAY_SIZE(w); i++) {
		assert_int_equal(write_as(AGENT_EMULATOR, PLACE + w[i].at, bytes, w[i].len), 0);
		if (read_events() < w[i].events || told()->count > w[i].events + 1 || (!w[i].events && told()->count))
			fail_msg("write %zu: %u events", i, told()->count);
	}
}

static void ranges_are_counted_apart(void **state)
{
	int64_t a = track(PLACE, 16, WRITE), b = track(PLACE + 8, 16, WRITE | SPOOR_ACCESS_READ);

	assert_true(a > 0 && b > 0 && a != b);
	assert_int_equal(count(PLACE, PAGE_TRACK_WRITE), 2);
	store(PLACE + 8, 1);
	assert_int_equal(read_events(), 2);
	assert_int_equal(event(0)->id + event(1)->id, a + b);
	assert_int_equal(untrack(a), 0);
	assert_int_equal(count(PLACE, PAGE_TRACK_WRITE), 1);
	store(PLACE + 8, 1);
	assert_int_equal(read_events(), 1);
	assert_int_equal(event(0)->id, b);
	assert_int_equal(untrack(b), 0);
	assert_int_equal(counts(), 0);
}

/* ---- mistakes ------------------------------------------------------------------------- */

static void mistakes(void **state)
{
	assert_int_equal(track(PLACE, 0, WRITE), -22);
	assert_int_equal(track(PLACE, 8, 0), -22);
	assert_int_equal(track(PLACE, 8, 8), -22);
	assert_int_equal(track(PLACE, 8, 1ull << 32 | WRITE), -22);
	assert_int_equal(track(PLACE, UINT64_MAX, WRITE), -22);
	assert_int_equal(track(UINT64_MAX - 7, 9, WRITE), -22);
	assert_int_equal(track(UINT64_MAX - 7, 8, WRITE), -22);
	assert_int_equal(track(UINT64_MAX - 15, 8, WRITE), -14);
	assert_int_equal(track(0, GUEST_CALLS_PAGES * PAGE_SIZE + 1, WRITE), -7);
	assert_int_equal(track(1, GUEST_CALLS_PAGES * PAGE_SIZE, WRITE), -7);
	assert_int_equal(track(0, GUEST_CALLS_PAGES * PAGE_SIZE, WRITE), -14); /* not all RAM */
	assert_int_equal(track(FAKE_RAM - 8, 9, WRITE), -14);
	assert_int_equal(track(FAKE_RAM, 8, WRITE), -14);
	assert_int_equal(freeze(PLACE, 8, 3), -22);
	assert_int_equal(freeze(PLACE, 8, 1ull << 32), -22);
	assert_int_equal(freeze(PLACE, 0, 0), -22);
	assert_int_equal(freeze(FAKE_RAM, 8, 0), -14);
	assert_int_equal(untrack(0), -2);
	assert_int_equal(untrack(1), -2);
	assert_int_equal(thaw(0), -2);
	assert_int_equal(counts(), 0);
	assert_int_equal(features(SPOOR_FEATURE_IN_USE), 0);
	assert_int_equal(track(0, FAKE_RAM, WRITE), 1);
	assert_int_equal(untrack(1ll << 32 | 1), -2);
	assert_int_equal(untrack(1), 0);
}

static void the_number_of_ranges_is_limited(void **state)
{
	for (unsigned int i = 0; i < RANGES; i++)
		assert_int_equal(track(PLACE, 8, WRITE), i + 1);
	assert_int_equal(track(PLACE, 8, WRITE), -28);
	assert_int_equal(freeze(PLACE, 8, 0), -28);
	assert_int_equal(track(PLACE, 0, WRITE), -22); /* what is wrong with it is told first */
	assert_int_equal(features(SPOOR_FEATURE_IN_USE), RANGES);
	assert_int_equal(untrack(2), 0);
	assert_int_equal(untrack(2), -2);
	assert_int_equal(features(SPOOR_FEATURE_IN_USE), RANGES - 1);
	assert_int_equal(track(PLACE, 8, WRITE), RANGES + 1); /* no number comes back soon */
	assert_int_equal(count(PLACE, PAGE_TRACK_WRITE), RANGES);
}

static void numbers_stay_positive_and_apart(void **state)
{
	assert_int_equal(track(PLACE, 8, WRITE), 1);
	g.last_id = INT32_MAX - 1;
	assert_int_equal(track(PLACE, 8, WRITE), INT32_MAX);
	assert_int_equal(track(PLACE, 8, WRITE), 2);
}

static void a_full_counter_is_no_room(void **state)
{
	struct page_track_slot *s = &f.mmu.mem.slots.slot[0]->track;

	for (unsigned int i = 0; i < PAGE_TRACK_COUNT_MAX; i++)
		assert_int_equal(page_track_count_add(&f.mmu.mem.track, s, gpa_to_gfn(gpa(PLACE)), PAGE_TRACK_READ), 0);
	assert_int_equal(track(PLACE - 8, 16, SPOOR_ACCESS_READ | WRITE), -28);
	assert_int_equal(counts(), PAGE_TRACK_COUNT_MAX);
	assert_int_equal(features(SPOOR_FEATURE_IN_USE), 0);
	for (unsigned int i = 0; i < PAGE_TRACK_COUNT_MAX; i++)
		assert_int_equal(page_track_count_sub(s, gpa_to_gfn(gpa(PLACE)), PAGE_TRACK_READ), 0);
}

static void without_memory_nothing_changes(void **state)
{
	const struct guest_calls_config c = { .allowed = EVERYTHING, .ranges = RANGES, .mem = &f.mmu.mem,
					      .tsc_offset = &f.vcpu.tsc_offset };
	size_t before;
	int n = 0, err;

	guest_calls_destroy(&g);
	before = host_pages_used();
	do {
		host_fail_allocation(n++);
		err = guest_calls_init(&g, &c);
		host_fail_allocation(-1);
		assert_true(err == 0 || (err == -ENOMEM && host_pages_used() == before && !g.range));
	} while (err);
	assert_true(n > 2);
	assert_int_equal(untrack(track(PLACE, 8, WRITE)), 0); /* counters stay when they were made once */
	n = 0;
	before = host_pages_used();
	do {
		host_fail_allocation(n++);
		err = (int)track(PLACE, 8, WRITE);
		host_fail_allocation(-1);
		assert_true(err == 2 || (err == -12 && host_pages_used() == before && counts() == 0));
	} while (err < 0);
	assert_true(n > 1);
}

/* ---- the queue ------------------------------------------------------------------------- */

static void of_many_events_the_last_are_kept(void **state)
{
	assert_true(track(PLACE, 8, WRITE) > 0);
	for (unsigned int i = 1; i <= GUEST_EVENTS; i++)
		store(PLACE, i);
	assert_int_equal(vmcall(SPOOR_CALL_EVENTS, BUFFER, 32, 0), 0);
	assert_int_equal(told()->lost, 0); /* it fits */
	assert_int_equal(told()->waiting, GUEST_EVENTS);
	for (unsigned int i = 1; i <= 3; i++)
		store(PLACE, GUEST_EVENTS + i);
	assert_int_equal(vmcall(SPOOR_CALL_EVENTS, BUFFER, 32 + 159, 0), 1); /* a part of one is nothing */
	assert_int_equal(told()->lost, 3);
	assert_int_equal(told()->waiting, GUEST_EVENTS - 1);
	assert_int_equal(event(0)->new_value, 4);
	assert_int_equal(read_events(), GUEST_EVENTS - 1);
	assert_int_equal(told()->lost, 0);
	for (unsigned int i = 0; i < GUEST_EVENTS - 1; i++) {
		assert_int_equal(event(i)->new_value, 5 + i);
		assert_int_equal(event(i)->sequence, 5 + i);
	}
	assert_int_equal(read_events(), 0);
}

static void a_bad_buffer_loses_nothing(void **state)
{
	assert_true(track(PLACE, 8, WRITE) > 0);
	for (unsigned int i = 0; i < GUEST_EVENTS + 5; i++)
		store(PLACE, i);
	assert_int_equal(vmcall(SPOOR_CALL_EVENTS, BUFFER, 31, 0), -22);
	assert_int_equal(vmcall(SPOOR_CALL_EVENTS, UINT64_MAX - 15, 4096, 0), -22);
	assert_int_equal(vmcall(SPOOR_CALL_EVENTS, FAKE_RAM, 4096, 0), -14);
	assert_int_equal(vmcall(SPOOR_CALL_EVENTS, FAKE_RAM - 400, 4096, 0), -14); /* good for four of them */
	assert_true(freeze(BUFFER + 0x1000, PAGE_SIZE, SPOOR_FREEZE_FAULT) > 0);
	assert_int_equal(read_events(), -14);
	assert_int_equal(thaw(2), 0);
	/* The attempt was an event, too, and took the place of the oldest. */
	assert_int_equal(read_events(), GUEST_EVENTS);
	assert_int_equal(told()->lost, 6);
	assert_int_equal(event(0)->new_value, 6);
	assert_int_equal(event(GUEST_EVENTS - 1)->by, SPOOR_BY_HYPERCALL);
	assert_int_equal(event(GUEST_EVENTS - 1)->outcome, SPOOR_FAULTED);
}

/* Events that come while others are written are for the next call. */
static void a_tracked_buffer_does_not_fill_itself(void **state)
{
	int64_t id = track(BUFFER, ROOM, WRITE);

	assert_true(id > 0 && track(PLACE, 8, WRITE) > 0);
	store(PLACE, 1);
	store(PLACE, 2);
	assert_int_equal(read_events(), 2);
	assert_int_equal(event(1)->new_value, 2);
	assert_int_equal(told()->waiting, 2);
	assert_int_equal(untrack(id), 0);
	assert_int_equal(read_events(), 3); /* two records and the head */
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(event(i)->by, SPOOR_BY_HYPERCALL);
		assert_int_equal(event(i)->rip, FAKE_CODE);
		assert_int_equal(event(i)->cr3, FAKE_PML4);
	}
	assert_int_equal(event(2)->gpa, BUFFER);
	assert_int_equal(event(2)->len, 32);
}

/* Each record that is written makes several, and they overtake the reader. */
static void a_reader_can_be_overtaken(void **state)
{
	for (unsigned int i = 0; i < RANGES; i++)
		assert_true(track(BUFFER, ROOM, WRITE) > 0);
	for (unsigned int i = 0; i < 2 * GUEST_EVENTS; i++)
		store(BUFFER + ROOM - 8, i);
	for (unsigned int i = 0; i < 3; i++) {
		uint64_t last = 0;

		assert_int_equal(read_events(), GUEST_EVENTS);
		assert_true(told()->waiting == GUEST_EVENTS);
		for (unsigned int k = 0; k < GUEST_EVENTS; k++) {
			assert_true(event(k)->sequence > last);
			last = event(k)->sequence;
		}
	}
	assert_true(told()->lost > GUEST_EVENTS);
}

/* What is lost is counted once, however often the reader went back. */
static void overtaken_and_sent_back(void **state)
{
	for (unsigned int i = 0; i < RANGES - 1; i++)
		assert_true(track(BUFFER, ROOM, WRITE) > 0);
	assert_true(freeze(BUFFER + 0x1000, 8, SPOOR_FREEZE_FAULT) > 0);
	for (unsigned int i = 0; i < GUEST_EVENTS; i++)
		store(BUFFER + ROOM - 8, i);
	assert_int_equal(read_events(), -14); /* after 50 records, each of which made five */
	assert_int_equal(read_events(), -14);
	assert_int_equal(thaw(RANGES), 0);
	assert_int_equal(read_events(), GUEST_EVENTS);
	assert_true(event(0)->sequence > 2 * GUEST_EVENTS);
	assert_int_equal(told()->lost, event(0)->sequence - 1);
}

/* ---- freezing ----------------------------------------------------------------------------- */

static void frozen_for_each_agent(void **state)
{
	static const struct { int err; bool written; uint8_t outcome; } bound[] = {
		[SPOOR_FREEZE_FAULT] = { -EPERM, false, SPOOR_FAULTED },
		[SPOOR_FREEZE_SKIP] = { 0, false, SPOOR_SKIPPED },
		[SPOOR_FREEZE_REPORT] = { 0, true, SPOOR_DONE },
	};

	for (uint64_t how = 0; how < ARRAY_SIZE(bound); how++)
		for (int a = 0; a < AGENTS; a++) {
			bool is_free = a == AGENT_WALKER || a == AGENT_LOADER || a == AGENT_DEBUGGER;
			uint64_t v = 0x10 + (unsigned int)a;
			int64_t id;

			memset(f.ram + PLACE, 0, 16);
			id = freeze(PLACE + 8, 4, how);
			assert_true(id > 0);
			assert_int_equal(write_as(a, PLACE + 8, &v, 8), is_free ? 0 : bound[how].err);
			assert_int_equal(f.ram[PLACE + 8], is_free || bound[how].written ? v : 0);
			assert_int_equal(read_events(), 1);
			assert_int_equal(event(0)->outcome, is_free ? SPOOR_DONE : bound[how].outcome);
			assert_int_equal(event(0)->new_value, v);
			assert_int_equal(event(0)->id, id);
			assert_int_equal(thaw(id), 0);
			assert_int_equal(write_as(a, PLACE + 8, &v, 8), 0);
		}
	assert_int_equal(counts(), 0);
}

static void beside_the_ice(void **state)
{
	uint64_t v = 1;

	assert_true(freeze(PLACE + 8, 8, SPOOR_FREEZE_FAULT) > 0);
	store(PLACE, 1);
	store(PLACE + 16, 1);
	assert_int_equal(write_as(AGENT_EMULATOR, PLACE + 15, &v, 8), -EPERM);
	assert_int_equal(write_as(AGENT_EMULATOR, PLACE + 1, &v, 8), -EPERM);
	assert_int_equal(f.ram[PLACE + 15] | f.ram[PLACE + 1], 0);
	assert_int_equal(f.ram[PLACE], 1);
}

static void frozen_for_good(void **state)
{
	int64_t id;
	uint64_t v = 1;

	open_calls(EVERYTHING & ~SPOOR_MAY(SPOOR_CALL_THAW));
	id = freeze(PLACE, PAGE_SIZE, SPOOR_FREEZE_FAULT);
	assert_true(id > 0);
	assert_int_equal(thaw(id), -1);
	assert_int_equal(untrack(id), -2); /* is no way out */
	assert_int_equal(write_as(AGENT_EMULATOR, PLACE, &v, 8), -EPERM);
	guest_calls_destroy(&g);
	assert_int_equal(counts(), 0);
	assert_int_equal(write_as(AGENT_EMULATOR, PLACE, &v, 8), 0);
}

static void a_tracked_range_is_not_thawed(void **state)
{
	int64_t id = track(PLACE, 8, WRITE);

	assert_int_equal(thaw(id), -2);
	assert_int_equal(untrack(id), 0);
}

static enum page_track_verdict allow(struct page_tracker *t, const struct page_track_event *e, uint8_t *value)
{
	return VERDICT_ALLOW;
}

static void people_come_first(void **state)
{
	static const struct page_tracker_ops ops = { .before = allow };
	static struct page_tracker t; /* outlives a test that fails */

	t = (struct page_tracker){ .name = "people", .priority = 100, .ops = &ops };
	assert_true(freeze(PLACE, 8, SPOOR_FREEZE_FAULT) > 0);
	assert_int_equal(page_tracker_register(&f.mmu.mem.track, &t), 0);
	assert_int_equal(page_tracker_add(&t, gpa_to_gfn(gpa(PLACE)), 1, PAGE_TRACK_W, NULL), 0);
	store(PLACE, 5);
	assert_int_equal(f.ram[PLACE], 5);
	assert_int_equal(read_events(), 1);
	assert_int_equal(event(0)->outcome, SPOOR_DONE);
	assert_int_equal(page_tracker_destroy(&t), 0);
}

static enum page_track_verdict replace(struct page_tracker *t, const struct page_track_event *e, uint8_t *value)
{
	value[0] = 0x55;
	return VERDICT_REPLACE;
}

static void what_others_change_is_told(void **state)
{
	static const struct page_tracker_ops ops = { .before = replace };
	static struct page_tracker t; /* outlives a test that fails */

	t = (struct page_tracker){ .name = "people", .priority = 100, .ops = &ops };
	assert_true(track(PLACE, 8, WRITE) > 0);
	assert_int_equal(page_tracker_register(&f.mmu.mem.track, &t), 0);
	assert_int_equal(page_tracker_add(&t, gpa_to_gfn(gpa(PLACE)), 1, PAGE_TRACK_W, NULL), 0);
	store(PLACE, 5);
	assert_int_equal(who(PLACE, BUFFER + 0x4000), 0);
	assert_int_equal(read_events(), 1);
	assert_int_equal(event(0)->outcome, SPOOR_CHANGED);
	assert_int_equal(f.ram[PLACE], 0x55);
	assert_int_equal(page_tracker_destroy(&t), 0);
}

/* As a guest sees it: an instruction of its own, and a general-protection fault. */
static void a_store_to_frozen_memory_faults(void **state)
{
	static const uint8_t mov[] = { 0x48, 0x89, 0x03 }; /* mov %rax, (%rbx) */

	fake_code(&f, mov, sizeof(mov));
	assert_true(freeze(PLACE, PAGE_SIZE, SPOOR_FREEZE_FAULT) > 0);
	f.vcpu.regs.gpr[GPR_RAX] = 5;
	f.vcpu.regs.gpr[GPR_RBX] = PLACE + 0x20;
	assert_int_equal(vcpu_page_fault(&f.vcpu, gva(PLACE + 0x20), PFERR_WRITE), VCPU_RESUME);
	assert_true(f.vcpu.event.pending);
	assert_int_equal(f.vcpu.event.vector, EXC_GP);
	assert_int_equal(f.vcpu.event.error_code, 0);
	assert_int_equal(f.vcpu.regs.rip, FAKE_CODE);
	assert_int_equal(f.ram[PLACE + 0x20], 0);
	f.vcpu.event.pending = false;
	assert_int_equal(read_events(), 1);
	assert_int_equal(event(0)->rip, FAKE_CODE);
	assert_int_equal(event(0)->gva, PLACE + 0x20);
	assert_int_equal(event(0)->gpa, PLACE + 0x20);
	assert_int_equal(event(0)->cr3, FAKE_PML4);
	assert_int_equal(event(0)->by, SPOOR_BY_INSTRUCTION);
}

/* ---- who ------------------------------------------------------------------------------------ */

static const struct spoor_event *last(uint64_t at)
{
	assert_int_equal(who(at, BUFFER), 0);
	return (const struct spoor_event *)(f.ram + BUFFER);
}

static void the_last_writer(void **state)
{
	int64_t id, other;

	assert_int_equal(who(PLACE, BUFFER), -2);
	id = track(PLACE, 64, WRITE);
	assert_int_equal(who(PLACE, BUFFER), -2);
	store(PLACE, 1);
	store(PLACE + 8, 2);
	store(PLACE + 4, 3);
	assert_int_equal(read_events(), 3); /* reading them changes nothing */
	assert_int_equal(last(PLACE + 3)->new_value, 1);
	assert_int_equal(last(PLACE + 4)->new_value, 3);
	assert_int_equal(last(PLACE + 11)->new_value, 3);
	assert_int_equal(last(PLACE + 12)->new_value, 2);
	assert_int_equal(last(PLACE + 12)->rip, 0x1234);
	assert_int_equal(who(PLACE + 16, BUFFER), -2);
	assert_int_equal(who(PLACE + 4, FAKE_RAM), -14);
	assert_int_equal(who(PLACE + 4, UINT64_MAX - 3), -14);
	/* Who looks from now on knows nothing of what was before. */
	other = track(PLACE, 64, WRITE);
	assert_int_equal(untrack(id), 0);
	assert_int_equal(who(PLACE + 4, BUFFER), -2);
	store(PLACE + 4, 9);
	assert_int_equal(last(PLACE + 4)->id, other);
	assert_int_equal(untrack(other), 0);
	assert_int_equal(who(PLACE + 4, BUFFER), -2);
}

/* Nor does a range that is elsewhere, or sees no writes, make older ones known. */
static void only_ranges_that_see_it_count(void **state)
{
	int64_t id;

	assert_true(track(PLACE, 64, SPOOR_ACCESS_READ) > 0);
	assert_true(track(PLACE + 64, 64, WRITE) > 0);
	id = track(PLACE, 64, WRITE);
	store(PLACE, 1);
	assert_int_equal(last(PLACE)->new_value, 1);
	assert_int_equal(untrack(id), 0);
	assert_int_equal(who(PLACE, BUFFER), -2);
}

static void reads_and_what_was_not_done_are_no_writes(void **state)
{
	const struct access_origin o = { .agent = AGENT_EMULATOR };
	uint64_t v = 7;

	assert_true(freeze(PLACE, 8, SPOOR_FREEZE_SKIP) > 0);
	assert_true(track(PLACE, 8, SPOOR_ACCESS_READ) > 0);
	assert_int_equal(write_as(AGENT_EMULATOR, PLACE, &v, 8), 0);
	assert_int_equal(guest_read(&f.mmu.mem, gpa(PLACE), &v, 8, &o), 0);
	assert_int_equal(who(PLACE, BUFFER), -2);
	assert_int_equal(write_as(AGENT_LOADER, PLACE, &v, 8), 0);
	assert_int_equal(last(PLACE)->by, SPOOR_BY_OUTSIDE);
	/* Only what is tracked for writes is seen. */
	assert_true(track(PLACE + 0x1000, 8, SPOOR_ACCESS_READ) > 0);
	assert_int_equal(who(PLACE + 0x1000, BUFFER), -2);
}

static void what_is_too_long_ago_is_forgotten(void **state)
{
	assert_true(track(PLACE, 16, WRITE) > 0);
	store(PLACE, 1);
	for (unsigned int i = 1; i < GUEST_EVENTS; i++)
		store(PLACE + 8, i);
	assert_int_equal(last(PLACE)->new_value, 1);
	store(PLACE + 8, 0);
	assert_int_equal(who(PLACE, BUFFER), -2);
}

/* ---- the end ---------------------------------------------------------------------------------- */

static void the_end_gives_all_back(void **state)
{
	size_t before;

	guest_calls_destroy(&g);
	guest_calls_destroy(&g); /* nothing left to do */
	before = host_pages_used();
	open_calls(EVERYTHING);
	assert_true(track(0, FAKE_RAM, SPOOR_ACCESS_READ | SPOOR_ACCESS_EXEC) > 0);
	assert_true(freeze(PLACE, 3 * PAGE_SIZE, SPOOR_FREEZE_FAULT) > 0);
	assert_int_equal(counts(), 2 * (FAKE_RAM >> PAGE_SHIFT) + 3);
	guest_calls_destroy(&g);
	assert_int_equal(counts(), 0);
	/* Counters stay as long as their slot: one chunk. */
	assert_true(host_pages_used() <= before + 1);
	assert_int_equal(features(SPOOR_FEATURE_CALLS), 0);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, made, gone)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_without_permission),
		TEST(each_permission_is_its_own),
		TEST(features_are_those_of_cpuid),
		TEST(every_field_of_an_event),
		TEST(each_agent_has_its_name),
		TEST(reads_and_their_values),
		TEST(only_the_range_is_told),
		TEST(ranges_are_counted_apart),
		TEST(mistakes),
		TEST(the_number_of_ranges_is_limited),
		TEST(numbers_stay_positive_and_apart),
		TEST(a_full_counter_is_no_room),
		TEST(without_memory_nothing_changes),
		TEST(of_many_events_the_last_are_kept),
		TEST(a_bad_buffer_loses_nothing),
		TEST(a_tracked_buffer_does_not_fill_itself),
		TEST(a_reader_can_be_overtaken),
		TEST(overtaken_and_sent_back),
		TEST(frozen_for_each_agent),
		TEST(beside_the_ice),
		TEST(frozen_for_good),
		TEST(a_tracked_range_is_not_thawed),
		TEST(people_come_first),
		TEST(what_others_change_is_told),
		TEST(a_store_to_frozen_memory_faults),
		TEST(the_last_writer),
		TEST(only_ranges_that_see_it_count),
		TEST(reads_and_what_was_not_done_are_no_writes),
		TEST(what_is_too_long_ago_is_forgotten),
		TEST(the_end_gives_all_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
