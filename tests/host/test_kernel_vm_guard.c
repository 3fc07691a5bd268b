// SPDX-License-Identifier: GPL-2.0-only
/* Memory that is frozen from outside: at once or later, what comes of a write, and what is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "kernel/vm_guard.h"
#include "tests/host/port_host.h"
#include "tests/host/test_kernel_fakes.h"
#include "tests/host/tracked_memory.h"

static struct vm_guard guard;
static struct vm_config config;

static int setup(void **state)
{
	tracked_open();
	log_clear();
	config = (struct vm_config){ .name = "k" };
	return 0;
}

static int teardown(void **state)
{
	vm_guard_destroy(&guard);
	return tracked_close() != 0;
}

static void want_frozen(gpa_t base, uint64_t length, enum guard_response response, bool later)
{
	config.freeze[config.freeze_count++] = (struct vm_freeze){ base.v, length, response, later };
}

static enum page_track_verdict poke(gpa_t at)
{
	const struct access_origin by = vcpu_at(0x4444);

	return tracked_write(at, "x", 1, &by);
}

static void begin(void)
{
	assert_int_equal(vm_guard_init(&guard, &mem.pt, &config), 0);
}

static void at_once(void **state)
{
	want_frozen(AT(3, 100), 10, GUARD_DENY_GP, false);
	want_frozen(AT(MEM_FIRST_SLOT - 1, 0), 2 * PAGE_SIZE, GUARD_SKIP, false); /* in both slots */
	begin();
	assert_string_equal(log_text, "");
	assert_int_equal(guard.frozen, 2);
	assert_int_equal(poke(AT(3, 99)), VERDICT_ALLOW);
	assert_int_equal(poke(AT(3, 100)), VERDICT_DENY_GP);
	assert_int_equal(poke(AT(3, 109)), VERDICT_DENY_GP);
	assert_int_equal(poke(AT(3, 110)), VERDICT_ALLOW);
	assert_int_equal(poke(AT(MEM_FIRST_SLOT - 1, 0)), VERDICT_SKIP);
	assert_int_equal(poke(AT(MEM_FIRST_SLOT, PAGE_SIZE - 1)), VERDICT_SKIP);
	assert_int_equal(poke(AT(MEM_FIRST_SLOT + 1, 0)), VERDICT_ALLOW);
	assert_int_equal(guard.attempts, 4);
}

static void later_when_asked(void **state)
{
	want_frozen(AT(3, 0), 64, GUARD_DENY_PF, true);
	want_frozen(AT(4, 0), 64, GUARD_DENY_PF, false);
	want_frozen(AT(5, 0), 64, GUARD_DENY_PF, true);
	begin();
	assert_int_equal(guard.frozen, 1);
	assert_int_equal(poke(AT(3, 0)), VERDICT_ALLOW);
	assert_int_equal(poke(AT(4, 0)), VERDICT_DENY_PF);
	assert_int_equal(poke(AT(5, 0)), VERDICT_ALLOW);
	log_clear();
	vm_guard_freeze_later(&guard);
	assert_string_equal(log_text, "vm \"k\": 2 ranges are frozen now, 3 in all\n");
	for (unsigned int page = 3; page <= 5; page++)
		assert_int_equal(poke(AT(page, 0)), VERDICT_DENY_PF);
	log_clear();
	vm_guard_freeze_later(&guard); /* once more: they are frozen already */
	assert_string_equal(log_text, "vm \"k\": 0 ranges are frozen now, 3 in all\n");
	assert_int_equal(poke(AT(3, 0)), VERDICT_DENY_PF);
}

static void no_memory_there_at_once(void **state)
{
	want_frozen(AT(3, 0), 64, GUARD_STOP, false);
	want_frozen(AT(MEM_PAGES - 1, 0), PAGE_SIZE + 1, GUARD_STOP, false);
	assert_int_equal(vm_guard_init(&guard, &mem.pt, &config), -EINVAL);
	vm_guard_destroy(&guard);
	assert_int_equal(poke(AT(3, 0)), VERDICT_ALLOW);
	assert_int_equal(mem.silent, 1);
}

/* It may be there when asked again. */
static void no_memory_there_later(void **state)
{
	want_frozen(AT(3, 0), 64, GUARD_DENY_GP, true);
	want_frozen(AT(MEM_FIRST_SLOT, 0), 64, GUARD_DENY_GP, true);
	begin();
	tracked_remove_slot(1);
	vm_guard_freeze_later(&guard);
	assert_true(logged("vm \"k\": 1 ranges are frozen now, 1 in all; one cannot be: it is not all "
			   "memory"));
	assert_int_equal(poke(AT(3, 0)), VERDICT_DENY_GP);
	tracked_make_slot(1);
	assert_int_equal(poke(AT(MEM_FIRST_SLOT, 0)), VERDICT_ALLOW);
	log_clear();
	vm_guard_freeze_later(&guard);
	assert_string_equal(log_text, "vm \"k\": 1 ranges are frozen now, 2 in all\n");
	assert_int_equal(poke(AT(MEM_FIRST_SLOT, 0)), VERDICT_DENY_GP);
}

static void an_attempt_is_told(void **state)
{
	struct access_origin by = vcpu_at(0xffffffff81000000);
	char want[160];

	want_frozen(AT(3, 0), 64, GUARD_DENY_GP, false);
	want_frozen(AT(4, 0), 64, GUARD_REPORT, false);
	begin();
	by.cr3 = 0x5000;
	assert_int_equal(tracked_write(AT(3, 8), "abcd", 4, &by), VERDICT_DENY_GP);
	snprintf(want, sizeof(want), "vm \"k\": frozen memory: the guest writes 4 bytes at 0x%llx, "
		 "rip 0xffffffff81000000, cr3 0x5000: refused\n", (unsigned long long)AT(3, 8).v);
	assert_string_equal(log_text, want);
	log_clear();
	assert_int_equal(tracked_write(AT(4, 0), "ab", 2, &by), VERDICT_ALLOW);
	snprintf(want, sizeof(want), "vm \"k\": frozen memory: the guest writes 2 bytes at 0x%llx, "
		 "rip 0xffffffff81000000, cr3 0x5000: done\n", (unsigned long long)AT(4, 0).v);
	assert_string_equal(log_text, want);
}

static void it_is_told_who(void **state)
{
	static const struct {
		struct access_origin by;
		const char *told;
	} who[] = {
		{ { .agent = AGENT_EMULATOR }, "memory: the guest writes" },
		{ { .agent = AGENT_WALKER }, "memory: a page walk writes" },
		{ { .agent = AGENT_INJECTION }, "memory: an event's delivery writes" },
		{ { .agent = AGENT_DEVICE }, "memory: a device writes" },
		{ { .agent = AGENT_HYPERCALL }, "memory: a hypercall writes" },
	};

	want_frozen(AT(3, 0), 64, GUARD_SKIP, false);
	begin();
	for (unsigned int i = 0; i < ARRAY_SIZE(who); i++) {
		log_clear();
		assert_int_equal(tracked_write(AT(3, 0), "x", 1, &who[i].by), VERDICT_SKIP);
		if (!logged(who[i].told))
			fail_msg("%s: logged %s", who[i].told, log_text);
	}
	log_clear();
	assert_int_equal(tracked_step_write(AT(3, 0), "x", 1), VERDICT_SKIP);
	assert_true(logged("memory: the guest writes"));
}

static void the_loader_and_people_may(void **state)
{
	want_frozen(AT(3, 0), 64, GUARD_STOP, false);
	begin();
	assert_int_equal(tracked_write(AT(3, 0), "x", 1, BY(LOADER)), VERDICT_ALLOW);
	assert_int_equal(tracked_write(AT(3, 0), "x", 1, BY(DEBUGGER)), VERDICT_ALLOW);
	assert_string_equal(log_text, "");
	assert_int_equal(guard.attempts, 0);
}

static void sixteen_are_told_all_are_counted(void **state)
{
	unsigned int lines = 0;

	want_frozen(AT(3, 0), 64, GUARD_SKIP, false);
	begin();
	for (unsigned int i = 0; i < 20; i++)
		poke(AT(3, i));
	for (const char *s = log_text; *s; s++)
		lines += *s == '\n';
	assert_int_equal(lines, 16);
	log_clear();
	vm_guard_report(&guard);
	assert_string_equal(log_text, "vm \"k\": frozen memory: 20 attempts to write to 1 ranges\n");
}

static void nothing_frozen_nothing_said(void **state)
{
	begin();
	vm_guard_report(&guard);
	assert_string_equal(log_text, "");
	assert_int_equal(poke(AT(3, 0)), VERDICT_ALLOW);
	assert_int_equal(mem.silent, 1);
}

static void all_is_given_back(void **state)
{
	want_frozen(AT(3, 0), 64, GUARD_STOP, false);
	begin();
	vm_guard_destroy(&guard);
	assert_int_equal(poke(AT(3, 0)), VERDICT_ALLOW);
	vm_guard_destroy(&guard); /* once more does no harm */
	assert_int_equal(mem.silent, 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(at_once),
		T(later_when_asked),
		T(no_memory_there_at_once),
		T(no_memory_there_later),
		T(an_attempt_is_told),
		T(it_is_told_who),
		T(the_loader_and_people_may),
		T(sixteen_are_told_all_are_counted),
		T(nothing_frozen_nothing_said),
		T(all_is_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
