/* SPDX-License-Identifier: GPL-2.0-only */
/* The log of accesses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <pthread.h>
#include <cmocka.h>
#include "lib/compiler.h"
#include "lib/errno.h"
#include "pagetrack/write_log.h"
#include "tests/host/port_host.h"
#include "tests/host/tracked_memory.h"

static struct write_log wlog;

static int setup(void **state)
{
	tracked_open();
	wlog = (struct write_log){ .tracker = { .name = "log" } };
	return 0;
}

static int teardown(void **state)
{
	write_log_destroy(&wlog);
	return tracked_close() != 0;
}

static void open_log(uint32_t capacity, bool stop)
{
	assert_int_equal(write_log_init(&wlog, &mem.pt, capacity, stop), 0);
	assert_int_equal(page_tracker_add(&wlog.tracker, gfn(MEM_BASE), 4,
					  PAGE_TRACK_W | PAGE_TRACK_R, NULL), 0);
}

static void a_record_has_all_that_is_known(void **state)
{
	struct access_origin by = vcpu_at(0x7777);
	struct write_log_record r[4];
	uint8_t long_one[17] = "0123456789abcdef!";

	by.vcpu = 3;
	by.user = true;
	by.cr3 = 0x5000;
	open_log(8, false);
	memcpy(mem.bytes[1] + 100, "old bytes", 9);
	tracked_write(AT(1, 100), "new", 3, &by);
	tracked_write(AT(0, 4090), long_one, 17, BY(DEVICE));
	assert_int_equal(write_log_read(&wlog, r, 4), 3);
	assert_int_equal(r[0].mode, PAGE_TRACK_WRITE);
	assert_int_equal(r[0].verdict, VERDICT_ALLOW);
	assert_int_equal(r[0].gpa.v, AT(1, 100).v);
	assert_int_equal(r[0].len, 3);
	assert_true(r[0].valued && !r[0].inexact && !r[0].truncated);
	assert_memory_equal(&r[0].origin, &by, sizeof(by));
	assert_memory_equal(r[0].old, "old\0", 4);
	assert_memory_equal(r[0].new, "new\0", 4);
	assert_int_equal(r[0].hit, 1);
	assert_true(r[0].tsc > 0 && r[1].tsc > r[0].tsc);
	assert_int_equal(r[1].len, 6);
	assert_int_equal(r[1].origin.agent, AGENT_DEVICE);
	assert_int_equal(r[2].gpa.v, AT(1, 0).v);
	assert_memory_equal(r[2].new, "6789abcdef!\0", 12);
	assert_int_equal(r[2].hit, 3);
	assert_int_equal(write_log_read(&wlog, r, 4), 0);
}

static void long_accesses_are_cut(void **state)
{
	struct write_log_record r;
	uint8_t long_one[17] = "0123456789abcdef!";

	open_log(2, false);
	tracked_write(AT(1, 0), long_one, 16, BY(DEVICE));
	assert_int_equal(write_log_read(&wlog, &r, 1), 1);
	assert_false(r.truncated);
	tracked_read(AT(1, 0), long_one, 17, BY(DEVICE));
	assert_int_equal(write_log_read(&wlog, &r, 1), 1);
	assert_true(r.truncated);
	assert_int_equal(r.len, 17);
	assert_int_equal(r.mode, PAGE_TRACK_READ);
	assert_memory_equal(r.new, "0123456789abcdef", 16);
	tracked_step_write(AT(1, 0), "x", 1);
	assert_int_equal(write_log_read(&wlog, &r, 1), 1);
	assert_true(r.inexact && r.truncated && r.valued);
}

/* The oldest stay, the newest are lost; the ordinals show which. */
static void a_full_ring_counts_what_it_loses(void **state)
{
	struct write_log_record r[8];
	uint64_t next = 1;

	open_log(5, false);
	for (int round = 0; round < 4; round++) {
		for (unsigned int i = 0; i < 7; i++)
			tracked_write(AT(1, i), "x", 1, BY(DEVICE));
		assert_int_equal(wlog.lost, 2 * (round + 1));
		assert_int_equal(write_log_read(&wlog, r, 2), 2);
		assert_int_equal(write_log_read(&wlog, r + 2, 6), 3);
		for (unsigned int i = 0; i < 5; i++)
			assert_int_equal(r[i].hit, next + i);
		next += 7;
	}
	assert_null(mem.pt.stopped_by);
}

static void a_log_that_must_not_lose_stops_the_vm(void **state)
{
	struct write_log_record r;
	unsigned int writes = 0;

	assert_int_equal(write_log_init(&wlog, &mem.pt, WRITE_LOG_MARGIN, true), -EINVAL);
	open_log(WRITE_LOG_MARGIN + 10, true);
	while (!mem.pt.stopped_by && writes < 1000) {
		tracked_write(AT(1, 0), "x", 1, BY(DEVICE));
		writes++;
	}
	assert_int_equal(writes, 10);
	assert_ptr_equal(mem.pt.stopped_by, &wlog.tracker);
	for (unsigned int i = 0; i < WRITE_LOG_MARGIN; i++) /* what was under way */
		tracked_write(AT(1, 0), "x", 1, BY(DEVICE));
	assert_int_equal(wlog.lost, 0);
	tracked_write(AT(1, 0), "x", 1, BY(DEVICE));
	assert_int_equal(wlog.lost, 1);
	assert_int_equal(write_log_read(&wlog, &r, 1), 1);
}

/* ---- on three CPUs -------------------------------------------------------- */

static void *write_one(void *nothing)
{
	tracked_cpu = 1;
	tracked_write(AT(1, 0), "x", 1, BY(DEVICE));
	return NULL;
}

static void *destroy_it(void *nothing)
{
	tracked_cpu = 2;
	write_log_destroy(&wlog);
	return NULL;
}

/* The log goes while an event is being written to it, the one after which it stops the VM. */
static void destroyed_while_an_event_is_logged(void **state)
{
	pthread_t a, b;

	open_log(WRITE_LOG_MARGIN + 1, true);
	spin_lock(&wlog.lock);
	assert_int_equal(pthread_create(&a, NULL, write_one, NULL), 0);
	while (!__atomic_load_n(&wlog.tracker.hits, __ATOMIC_ACQUIRE))
		;
	assert_int_equal(pthread_create(&b, NULL, destroy_it, NULL), 0);
	while (__atomic_load_n(&wlog.tracker.pt, __ATOMIC_ACQUIRE))
		;
	spin_unlock(&wlog.lock);
	pthread_join(a, NULL);
	pthread_join(b, NULL);
	assert_non_null(mem.pt.stopped_by);
	assert_ptr_not_equal(mem.pt.stopped_by, &wlog.tracker);
	assert_null(wlog.ring);
}

static void errors(void **state)
{
	assert_int_equal(write_log_init(&wlog, &mem.pt, 0, false), -EINVAL);
	host_fail_allocation(0);
	assert_int_equal(write_log_init(&wlog, &mem.pt, 10, false), -ENOMEM);
	host_fail_allocation(-1);
	assert_true(TAILQ_EMPTY(&mem.pt.trackers));
	open_log(10, false);
	assert_int_equal(write_log_init(&wlog, &mem.pt, 10, false), -EEXIST);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_record_has_all_that_is_known),
		T(long_accesses_are_cut),
		T(a_full_ring_counts_what_it_loses),
		T(a_log_that_must_not_lose_stops_the_vm),
		T(destroyed_while_an_event_is_logged),
		T(errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
