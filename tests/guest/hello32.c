// SPDX-License-Identifier: GPL-2.0-only
/* The smallest guest: paging off, says what it was given, ends. */
#include "guests/spoor_hypercall.h"
#include "tests/guest/rt/rt.h"

static void started_by_multiboot(void)
{
	check_equal(boot_magic, 0x2BADB002);
	check(boot_info()->flags & 1);
	print("  %u KiB low, %u KiB high memory\n", (unsigned long)boot_info()->mem_lower,
	      (unsigned long)boot_info()->mem_upper);
	if (boot_info()->flags & 4)
		print("  command line: %s\n", (const char *)(uintptr_t)boot_info()->cmdline);
}

static void paging_is_off(void)
{
	uint32_t cr0;

	asm volatile("mov %%cr0, %0" : "=r"(cr0));
	check_equal(cr0 & 0x80000001, 1);
}

/* Nothing is allowed, but there is an answer, as wide as the register. */
static void hypercalls_are_answered(void)
{
	if (!spoor_is_there()) {
		skip("not under Spoor");
		return;
	}
	check_equal(spoor_calls(), 0);
	check_equal(spoor_call(SPOOR_CALL_FEATURES, SPOOR_FEATURE_VERSION, 0, 0, 0), SPOOR_ABI_VERSION);
	check_equal(spoor_call(SPOOR_CALL_TRACK, 0, 1, SPOOR_ACCESS_WRITE, 0), -SPOOR_EPERM);
	check_equal(spoor_call(0, 0, 0, 0, 0), -SPOOR_ENOSYS);
}

void main(void)
{
	static const struct test tests[] = {
		{ "started_by_multiboot", started_by_multiboot },
		{ "paging_is_off", paging_is_off },
		{ "hypercalls_are_answered", hypercalls_are_answered },
	};

	print("hello from 32 bits\n");
	run_tests(tests, ARRAY_SIZE(tests));
}
