/* SPDX-License-Identifier: GPL-2.0-only */
/* Encodings of shadow page-table entries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "mm/spte.h"

static void lesson_30_not_present_names_no_ram(void **state)
{
	const uint64_t kinds[] = { spte_not_shadowed(), spte_guest_not_present() };

	for (int i = 0; i < 2; i++) {
		assert_false(spte_present(kinds[i]));
		/* For every physical address width: the top frame. */
		for (unsigned int width = 32; width <= 52; width++) {
			uint64_t frames = (1ull << (width - PAGE_SHIFT)) - 1;

			assert_int_equal((kinds[i] >> PAGE_SHIFT) & frames, frames);
		}
	}
	assert_int_not_equal(kinds[0], kinds[1]);
}

static void leaf_says_what_was_asked(void **state)
{
	for (uint32_t access = 0; access <= ACCESS_ALL; access++)
		for (int level = 1; level <= 2; level++) {
			uint64_t spte = spte_make_leaf(pfn(0x12345600), access, level);

			assert_true(spte_present(spte) && spte_is_leaf(spte));
			assert_int_equal(spte_access(spte), access | ACCESS_READ);
			assert_int_equal(spte_pfn(spte).v, 0x12345600);
			assert_int_equal(!!(spte & SPTE_LARGE), level == 2);
			/* PAE paging reserves bits 62:52. */
			assert_int_equal(spte & 0x7ff0000000000000ull, 0);
			/* The CPU must have nothing to set. */
			assert_true((spte & SPTE_ACCESSED) && !(spte & SPTE_DIRTY) == !(spte & SPTE_WRITE));
		}
}

static void rights_are_taken_one_by_one(void **state)
{
	uint64_t all = spte_make_leaf(pfn(5), ACCESS_ALL, 1);

	assert_int_equal(spte_access(spte_without(all, ACCESS_WRITE)), ACCESS_READ | ACCESS_USER | ACCESS_EXEC);
	assert_int_equal(spte_access(spte_without(all, ACCESS_EXEC)), ACCESS_READ | ACCESS_USER | ACCESS_WRITE);
	assert_int_equal(spte_without(all, ACCESS_READ | ACCESS_WRITE), spte_not_shadowed());
	assert_int_equal(spte_without(all, 0), all);
}

static void link_gives_all_rights(void **state)
{
	uint64_t spte = spte_make_link(hpa(0x7000));

	assert_true(spte_present(spte) && !spte_is_leaf(spte));
	assert_int_equal(spte & (SPTE_WRITE | SPTE_USER | SPTE_NX), SPTE_WRITE | SPTE_USER);
	assert_int_equal(spte_pfn(spte).v, 7);
}

static void index_of_each_level(void **state)
{
	gva_t a = gva(0xffff800000000000ull | 3ull << 30 | 4ull << 21 | 5ull << 12 | 0x678);

	assert_int_equal(spte_index(a, 4), 256);
	assert_int_equal(spte_index(a, 3), 3);
	assert_int_equal(spte_index(a, 2), 4);
	assert_int_equal(spte_index(a, 1), 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lesson_30_not_present_names_no_ram),
		cmocka_unit_test(leaf_says_what_was_asked),
		cmocka_unit_test(rights_are_taken_one_by_one),
		cmocka_unit_test(link_gives_all_rights),
		cmocka_unit_test(index_of_each_level),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
