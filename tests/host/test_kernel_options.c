// SPDX-License-Identifier: GPL-2.0-only
/* The hypervisor's command line, and the words and numbers under it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "kernel/options.h"
#include "kernel/words.h"
#include "tests/host/test_kernel_fakes.h"

static void words_are_split_and_unquoted(void **state)
{
	const char *s = "  one \"two words\" 'it''s'\tback\\ slash a\\\"b x\"y z\"w ";
	static const char *const want[] = { "one", "two words", "its", "back slash", "a\"b", "xy zw" };
	char word[32];

	for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
		assert_int_equal(word_next(&s, word, sizeof(word)), WORD_OK);
		assert_string_equal(word, want[i]);
	}
	assert_int_equal(word_next(&s, word, sizeof(word)), WORD_END);
	assert_int_equal(word_next(&s, word, sizeof(word)), WORD_END);
}

static void words_that_are_wrong(void **state)
{
	const char *s = "abcdefgh ok \"open";
	char word[5];

	assert_int_equal(word_next(&s, word, sizeof(word)), WORD_TOO_LONG);
	assert_string_equal(word, "abcd");
	assert_int_equal(word_next(&s, word, sizeof(word)), WORD_OK);
	assert_int_equal(word_next(&s, word, sizeof(word)), WORD_OPEN_QUOTE);
	assert_string_equal(word, "open");
	s = "a\x1b[2J\xff\\";
	char shown[16];
	assert_int_equal(word_next(&s, shown, sizeof(shown)), WORD_OK);
	assert_string_equal(shown, "a?[2J?\\");
	assert_int_equal(word_next(&s, shown, sizeof(shown)), WORD_END);
}

static void numbers_and_sizes(void **state)
{
	uint64_t v = 7;

	assert_int_equal(word_number("0", &v), 0);
	assert_int_equal(v, 0);
	assert_int_equal(word_number("0x1fF", &v), 0);
	assert_int_equal(v, 0x1ff);
	assert_int_equal(word_number("18446744073709551615", &v), 0);
	assert_true(v == UINT64_MAX);
	assert_int_equal(word_number("18446744073709551616", &v), -ERANGE);
	assert_int_equal(word_number("", &v), -EINVAL);
	assert_int_equal(word_number("0x", &v), -EINVAL);
	assert_int_equal(word_number("-1", &v), -EINVAL);
	assert_int_equal(word_number("12a", &v), -EINVAL);
	assert_true(v == UINT64_MAX);
	assert_int_equal(word_size("3k", &v), 0);
	assert_int_equal(v, 3072);
	assert_int_equal(word_size("2G", &v), 0);
	assert_true(v == 2ull << 30);
	assert_int_equal(word_size("17179869184G", &v), -ERANGE);
	assert_int_equal(word_size("1MB", &v), -EINVAL);
	assert_int_equal(word_size("M", &v), -EINVAL);
}

static void options_defaults(void **state)
{
	struct options o;

	log_clear();
	assert_int_equal(options_parse(&o, NULL, false), 0);
	assert_int_equal(options_parse(&o, "", false), 0);
	assert_false(o.noreboot || o.debug || o.old_cpu);
	assert_int_equal(o.console_port, 0x3F8);
	assert_int_equal(o.console_baud, 115200);
	assert_int_equal(o.shadow_pages, OPTIONS_SHADOW_PAGES_DEFAULT);
	assert_int_equal(o.refused_exit, OPTIONS_NO_EXIT);
	assert_string_equal(log_text, "");
}

static void options_all_of_them(void **state)
{
	struct options o;

	assert_int_equal(options_parse(&o, "noreboot debug console=com2,9600 shadow=64 old-cpu refuse-exit=18", false),
			 0);
	assert_true(o.noreboot && o.debug && o.old_cpu);
	assert_int_equal(o.console_port, 0x2F8);
	assert_int_equal(o.console_baud, 9600);
	assert_int_equal(o.shadow_pages, 64);
	assert_int_equal(o.refused_exit, 18);
	assert_int_equal(options_parse(&o, "console=none", false), 0);
	assert_int_equal(o.console_port, 0);
}

static void options_mistakes_are_named_and_the_rest_counts(void **state)
{
	static const struct {
		const char *word, *told;
	} bad[] = {
		{ "frobnicate", "unknown option \"frobnicate\"" },
		{ "noreboots", "unknown option \"noreboots\"" },
		{ "noreboot=1", "\"noreboot\" takes no value" },
		{ "console", "bad option \"console\": want console=" },
		{ "console=com9", "bad option \"console=com9\"" },
		{ "console=com1,0", "bad option" },
		{ "console=com1,115201", "bad option" },
		{ "console=com1,110000", "bad option" },
		{ "console=com1,", "bad option" },
		{ "console=com1com1com1", "bad option" },
		{ "shadow=63", "bad option" },
		{ "shadow=1048577", "bad option" },
		{ "shadow=many", "bad option" },
		{ "refuse-exit=65536", "bad option" },
		{ "refuse-exit=x", "bad option" },
		{ "\"", "quote is not closed" },
	};
	struct options o;
	char line[256];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		log_clear();
		snprintf(line, sizeof(line), "noreboot %s", bad[i].word);
		assert_int_equal(options_parse(&o, line, false), 1);
		if (!logged(bad[i].told))
			fail_msg("%s: logged %s", bad[i].word, log_text);
		assert_true(o.noreboot);
		assert_int_equal(o.console_port, 0x3F8);
		assert_int_equal(o.console_baud, 115200);
		assert_int_equal(o.shadow_pages, OPTIONS_SHADOW_PAGES_DEFAULT);
	}
	memset(line, 'x', 200);
	line[200] = 0;
	log_clear();
	assert_int_equal(options_parse(&o, line, false), 1);
	assert_true(logged("is too long"));
}

static void options_first_word_may_be_the_file(void **state)
{
	struct options o;

	assert_int_equal(options_parse(&o, "build/spoor.elf debug", false), 0);
	assert_true(o.debug);
	assert_int_equal(options_parse(&o, "spoor.elf debug", true), 0);
	assert_true(o.debug);
	assert_int_equal(options_parse(&o, "debug", true), 0);
	assert_true(o.debug);
	assert_int_equal(options_parse(&o, "spoor.elf debug", false), 1);
	assert_int_equal(options_parse(&o, "debug build/spoor.elf", true), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_are_split_and_unquoted),
		cmocka_unit_test(words_that_are_wrong),
		cmocka_unit_test(numbers_and_sizes),
		cmocka_unit_test(options_defaults),
		cmocka_unit_test(options_all_of_them),
		cmocka_unit_test(options_mistakes_are_named_and_the_rest_counts),
		cmocka_unit_test(options_first_word_may_be_the_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
