/* SPDX-License-Identifier: GPL-2.0-only */
/* Frozen memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "lib/compiler.h"
#include "lib/errno.h"
#include "pagetrack/dirty_log.h"
#include "pagetrack/integrity_guard.h"
#include "tests/host/port_host.h"
#include "tests/host/tracked_memory.h"

static struct integrity_guard guard;
static struct guarded_range range;
static struct {
	unsigned int n;
	struct guarded_range *range;
	enum page_track_verdict verdict;
	enum access_agent agent;
	uint64_t gpa, rip, hit;
	uint8_t old, new;
} told;

static void report(struct integrity_guard *g, struct guarded_range *r, const struct page_track_event *e)
{
	assert_ptr_equal(g, &guard);
	told.n++;
	told.range = r;
	told.verdict = e->verdict;
	told.agent = e->origin->agent;
	told.rip = e->origin->rip;
	told.gpa = e->gpa.v;
	told.hit = e->hit;
	told.old = e->old ? e->old[0] : 0;
	told.new = e->new ? e->new[0] : 0;
}

static int setup(void **state)
{
	tracked_open();
	memset(&told, 0, sizeof(told));
	guard = (struct integrity_guard){ .watcher.tracker = { .name = "guard" }, .report = report };
	range = (struct guarded_range){ .gpa = AT(3, 100), .len = 10 };
	memset(mem.bytes[3], 0x11, PAGE_SIZE);
	return integrity_guard_register(&mem.pt, &guard);
}

static int teardown(void **state)
{
	(void)!integrity_guard_destroy(&guard);
	return tracked_close() != 0;
}

static enum page_track_verdict poke(uint64_t offset, const struct access_origin *by)
{
	return tracked_write(AT(3, offset), "\x22", 1, by);
}

static void freeze(enum guard_response response, unsigned int allowed)
{
	range.response = response;
	range.allowed = allowed;
	assert_int_equal(integrity_guard_freeze(&guard, &range, NULL), 0);
}

static void each_response(void **state)
{
	static const struct {
		enum guard_response response;
		enum page_track_verdict verdict;
	} want[] = {
		{ GUARD_REPORT, VERDICT_ALLOW },    { GUARD_DENY_PF, VERDICT_DENY_PF },
		{ GUARD_DENY_GP, VERDICT_DENY_GP }, { GUARD_SKIP, VERDICT_SKIP },
		{ GUARD_STOP, VERDICT_STOP },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(want); i++) {
		const struct access_origin by = vcpu_at(0x4444 + i);

		mem.bytes[3][100] = 0x11;
		freeze(want[i].response, 0);
		assert_int_equal(poke(100, &by), want[i].verdict);
		assert_int_equal(mem.bytes[3][100], want[i].response == GUARD_REPORT ? 0x22 : 0x11);
		assert_int_equal(told.n, i + 1);
		assert_ptr_equal(told.range, &range);
		assert_int_equal(told.verdict, want[i].verdict);
		assert_int_equal(told.agent, AGENT_EMULATOR);
		assert_int_equal(told.rip, 0x4444 + i);
		assert_int_equal(told.gpa, AT(3, 100).v);
		assert_int_equal(told.old, 0x11);
		assert_int_equal(told.new, 0x22);
		assert_int_equal(range.attempts, 1);
		assert_int_equal(mem.pt.stopped_by != NULL, want[i].response == GUARD_STOP);
		assert_int_equal(integrity_guard_thaw(&range), 0);
		assert_int_equal(poke(100, &by), VERDICT_ALLOW);
		assert_int_equal(told.n, i + 1);
	}
}

static void byte_for_byte(void **state)
{
	freeze(GUARD_DENY_GP, 0);
	for (uint64_t offset = 90; offset < 120; offset++) {
		bool frozen = offset >= 100 && offset < 110;

		assert_int_equal(poke(offset, BY(DEVICE)), frozen ? VERDICT_DENY_GP : VERDICT_ALLOW);
		assert_int_equal(mem.bytes[3][offset], frozen ? 0x11 : 0x22);
	}
	assert_int_equal(told.n, 10);
	/* One byte of many is enough, and all stay as they were. */
	assert_int_equal(tracked_write(AT(3, 109), "abcd", 4, BY(DEVICE)), VERDICT_DENY_GP);
	assert_int_equal(mem.bytes[3][112], 0x22);
}

static void chosen_agents_may(void **state)
{
	freeze(GUARD_STOP, GUARD_ALLOWS(LOADER) | GUARD_ALLOWS(DEBUGGER));
	assert_int_equal(poke(100, BY(LOADER)), VERDICT_ALLOW);
	assert_int_equal(poke(100, BY(DEBUGGER)), VERDICT_ALLOW);
	assert_int_equal(told.n + range.attempts, 0);
	assert_int_equal(poke(100, BY(WALKER)), VERDICT_STOP);
	assert_int_equal(poke(100, BY(INJECTION)), VERDICT_STOP);
	assert_int_equal(poke(100, BY(HYPERCALL)), VERDICT_STOP);
	assert_int_equal(told.n, 3);
	assert_ptr_equal(mem.pt.stopped_by, &guard.watcher.tracker);
}

static void a_native_instruction_is_refused(void **state)
{
	freeze(GUARD_DENY_PF, 0);
	assert_int_equal(tracked_step_write(AT(3, 105), "x", 1), VERDICT_DENY_PF);
	assert_int_equal(mem.bytes[3][105], 0x11);
	assert_int_equal(told.n, 1);
	assert_int_equal(told.agent, AGENT_GUEST);
}

static void reading_is_free(void **state)
{
	uint8_t b;

	freeze(GUARD_STOP, 0);
	assert_int_equal(tracked_read(AT(3, 100), &b, 1, BY(DEVICE)), VERDICT_ALLOW);
	assert_int_equal(mem.silent, 1);
}

static void a_report_may_thaw(struct integrity_guard *g, struct guarded_range *r,
			      const struct page_track_event *e)
{
	told.n++;
	assert_int_equal(integrity_guard_thaw(r), 0);
}

static void thawed_in_its_report(void **state)
{
	guard.report = a_report_may_thaw;
	freeze(GUARD_SKIP, 0);
	assert_int_equal(poke(100, BY(DEVICE)), VERDICT_SKIP);
	assert_int_equal(poke(100, BY(DEVICE)), VERDICT_ALLOW);
	assert_int_equal(told.n, 1);
}

/* Two on one page: what the guard refuses makes nothing dirty, what it lets pass does. */
static void beside_a_dirty_log(void **state)
{
	struct dirty_log d = { .tracker = { .name = "dirty", .priority = -1 } };

	freeze(GUARD_SKIP, 0);
	assert_int_equal(dirty_log_enable(&d, &mem.pt, gfn(MEM_BASE), 10, NULL), 0);
	poke(100, BY(DEVICE));
	assert_int_equal(d.count, 0);
	poke(99, BY(DEVICE));
	assert_int_equal(d.count, 1);
	assert_int_equal(poke(100, BY(DEVICE)), VERDICT_SKIP);
	dirty_log_disable(&d);
	assert_int_equal(poke(100, BY(DEVICE)), VERDICT_SKIP);
	assert_int_equal(told.n, 3);
}

static void errors(void **state)
{
	gfn_t failed = gfn(0);

	range.response = GUARD_STOP + 1;
	assert_int_equal(integrity_guard_freeze(&guard, &range, &failed), -EINVAL);
	assert_int_equal(failed.v, MEM_BASE + 3);
	range.response = GUARD_SKIP;
	range.allowed = 1u << AGENTS;
	assert_int_equal(integrity_guard_freeze(&guard, &range, NULL), -EINVAL);
	range.allowed = 0;
	range.len = 0;
	assert_int_equal(integrity_guard_freeze(&guard, &range, NULL), -EINVAL);
	assert_int_equal(integrity_guard_thaw(&range), -ENOENT);
	range.len = 1;
	freeze(GUARD_SKIP, 0);
	assert_int_equal(integrity_guard_freeze(&guard, &range, NULL), -EEXIST);
	assert_int_equal(integrity_guard_thaw(&range), 0);
	assert_int_equal(integrity_guard_register(&mem.pt, &guard), -EEXIST);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(each_response),
		T(byte_for_byte),
		T(chosen_agents_may),
		T(a_native_instruction_is_refused),
		T(reading_is_free),
		T(thawed_in_its_report),
		T(beside_a_dirty_log),
		T(errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
