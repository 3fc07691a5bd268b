// SPDX-License-Identifier: GPL-2.0-only
/* The formatter, held against the C library's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "lib/format.h"

/* Formats both ways into every buffer size from 0 up; one behind the end must
 * stay as it was. */
#define same(...)                                                                     \
	do {                                                                          \
		char want[512], *got;                                                 \
		int len = snprintf(want, sizeof(want), __VA_ARGS__);                  \
		for (size_t size = 0; size <= (size_t)len + 2; size++) {              \
			size_t cut = size == 0 ? 0 : (size_t)len < size ? (size_t)len : size - 1; \
			got = malloc(size + 1);                                       \
			assert_non_null(got);                                         \
			memset(got, '~', size + 1);                                   \
			assert_int_equal(format(got, size, __VA_ARGS__), cut);        \
			assert_memory_equal(got, want, cut);                          \
			if (size)                                                     \
				assert_int_equal(got[cut], 0);                        \
			assert_int_equal(got[size], '~');                             \
			free(got);                                                    \
		}                                                                     \
	} while (0)

static void integers(void **state)
{
	same("%d %i %u %x %X", -5, 7, 4000000000u, 0xDEADBEEF, 0xabcdef);
	same("%d %d %d", 0, INT32_MIN, INT32_MAX);
	same("%ld %lu %lx", INT64_MIN, UINT64_MAX, UINT64_MAX);
	same("%lld %llu %llx", (long long)INT64_MIN, (unsigned long long)UINT64_MAX, 0ull);
	same("%zu %zx", (size_t)123456789012, SIZE_MAX);
	same("%hhx %hu", (unsigned char)0x12, (unsigned short)0x1234);
}

static void widths(void **state)
{
	same("[%5d] [%-5d] [%05d] [%05d]", 42, 42, 42, -42);
	same("[%16lx] [%016lx] [%-16lx]", 0xABCul, 0xABCul, 0xABCul);
	same("[%3d] [%03x]", 123456, 0x123456u);
	same("[%*d] [%-*d]", 6, 1, 6, 1);
	same("[%5d] [%-5d]", -42, -42);
}

static void strings(void **state)
{
	static const char unterminated[3] = { 'a', 'b', 'c' };

	same("[%s] [%8s] [%-8s]", "abc", "abc", "abc");
	same("[%.2s] [%5.1s] [%-5.1s] [%.0s]", "abc", "abc", "abc", "abc");
	same("[%.*s]", 3, unterminated);
	same("[%c] [%3c] [%-3c]", 'x', 'y', 'z');
	same("100%% %s", "");
}

static void a_null_string_has_a_name(void **state)
{
	char got[16];
	const char *volatile null = NULL; /* or the compiler sees through it */

	format(got, sizeof(got), "%s", null);
	assert_string_equal(got, "(null)");
}

static void pointers(void **state)
{
	int x;

	same("%p", (void *)&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(integers), cmocka_unit_test(widths), cmocka_unit_test(strings),
		cmocka_unit_test(a_null_string_has_a_name), cmocka_unit_test(pointers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
