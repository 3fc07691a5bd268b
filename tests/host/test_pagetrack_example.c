/* SPDX-License-Identifier: GPL-2.0-only */
/* The example of docs/page-tracking.md does what it says there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>
#include "lib/errno.h"
#include "tests/host/example_tracker.h"
#include "tests/host/port_host.h"
#include "tests/host/tracked_memory.h"

static void user_mode_stays_outside(void **state)
{
	struct access_origin kernel = vcpu_at(0x1000), user = kernel;
	struct fence f;
	uint8_t b;

	tracked_open();
	user.user = true;
	assert_int_equal(fence_open(&f, &mem.pt, gfn(MEM_BASE + 1)), 0);
	assert_int_equal(tracked_write(AT(1, 0), "x", 1, &kernel), VERDICT_ALLOW);
	assert_int_equal(tracked_write(AT(1, 0), "y", 1, &user), VERDICT_DENY_PF);
	assert_int_equal(tracked_read(AT(1, 0), &b, 1, &user), VERDICT_DENY_PF);
	assert_int_equal(tracked_read(AT(1, 0), &b, 1, &kernel), VERDICT_ALLOW);
	assert_int_equal(b, 'x');
	assert_int_equal(f.tries, 2);
	assert_int_equal(f.tracker.hits, 4);
	assert_int_equal(tracked_write(AT(2, 0), "y", 1, &user), VERDICT_ALLOW);
	assert_int_equal(f.tracker.hits, 4);
	assert_int_equal(page_tracker_destroy(&f.tracker), 0);
	assert_int_equal(tracked_write(AT(1, 0), "y", 1, &user), VERDICT_ALLOW);
	assert_int_equal(tracked_close(), 0);
}

static void what_cannot_be_opened_leaves_nothing(void **state)
{
	struct fence f;

	tracked_open();
	assert_int_equal(fence_open(&f, &mem.pt, gfn(MEM_BASE + MEM_PAGES)), -EINVAL);
	assert_true(TAILQ_EMPTY(&mem.pt.trackers));
	assert_int_equal(tracked_close(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(user_mode_stays_outside),
		cmocka_unit_test(what_cannot_be_opened_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
