// SPDX-License-Identifier: GPL-2.0-only
/* The smallest guest: paging off, says what it was given, ends. */
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

void main(void)
{
	static const struct test tests[] = {
		{ "started_by_multiboot", started_by_multiboot },
		{ "paging_is_off", paging_is_off },
	};

	print("hello from 32 bits\n");
	run_tests(tests, ARRAY_SIZE(tests));
}
