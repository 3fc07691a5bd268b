// SPDX-License-Identifier: GPL-2.0-only
/*
 * A kernel that patches its own code, if its command line says "patch", and one
 * that leaves it alone otherwise. tests/system/test_freeze.py freezes the code.
 */
#include "tests/guest/rt/rt.h"

/* In a page of its own, whose address the test takes from the symbol table. */
__attribute__((aligned(4096), noinline, section(".text.patched"))) static int patched(void)
{
	asm volatile("" ::: "memory");
	return 1;
}

static bool is_told_to_patch(void)
{
	static const char word[] = "patch";
	const char *s = boot_info()->flags & 4 ? (const char *)(uintptr_t)boot_info()->cmdline : "";

	for (; *s; s++) {
		unsigned int n = 0;

		while (n < sizeof(word) - 1 && s[n] == word[n])
			n++;
		if (n == sizeof(word) - 1)
			return true;
	}
	return false;
}

/* mov eax, 2; ret */
static void patch(void)
{
	static const uint8_t code[] = { 0xB8, 2, 0, 0, 0, 0xC3 };
	volatile uint8_t *at = (volatile uint8_t *)(uintptr_t)patched;

	for (unsigned int i = 0; i < sizeof(code); i++)
		at[i] = code[i];
}

static void code_is_what_was_made_of_it(void)
{
	int (*volatile call)(void) = patched;

	check_equal(call(), 1);
	if (!is_told_to_patch())
		return;
	patch();
	check_equal(call(), 2);
	print("  patched\n");
}

void main(void)
{
	static const struct test tests[] = { { "code_is_what_was_made_of_it", code_is_what_was_made_of_it } };

	run_tests(tests, ARRAY_SIZE(tests));
}
