// SPDX-License-Identifier: GPL-2.0-only
/* The smallest 64-bit guest: enters long mode, says what it was given, ends. */
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

static void long_mode_is_on(void)
{
	check_equal(rdmsr(0xC0000080) & 0x500, 0x500);
}

void main(void)
{
	static const struct test tests[] = {
		{ "started_by_multiboot", started_by_multiboot },
		{ "long_mode_is_on", long_mode_is_on },
	};

	print("hello from 64 bits\n");
	run_tests(tests, ARRAY_SIZE(tests));
}
