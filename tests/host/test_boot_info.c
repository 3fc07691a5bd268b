// SPDX-License-Identifier: GPL-2.0-only
/* Multiboot 1 and 2 information, honest and hostile. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "boot/boot_info.h"
#include "lib/errno.h"

#define INFO_BASE 0x8000u
#define MIB (1ull << 20)

/* The loader's memory: one block from INFO_BASE, exactly as long as was
 * written, so that a read behind it is one that AddressSanitizer sees. */
struct memory {
	uint8_t bytes[65536];
	size_t len;
	uint8_t *exact;
};

static struct memory mem;
static struct boot_info info;

static const void *map(void *ctx, uint64_t base, uint64_t len)
{
	struct memory *m = ctx;

	if (base < INFO_BASE || base - INFO_BASE > m->len || len > m->len - (base - INFO_BASE))
		return NULL;
	return m->exact + (base - INFO_BASE);
}

static void put(const void *p, size_t len)
{
	assert_true(mem.len + len <= sizeof(mem.bytes));
	memcpy(mem.bytes + mem.len, p, len);
	mem.len += len;
}

static void put32(uint32_t v) { put(&v, 4); }
static void put64(uint64_t v) { put(&v, 8); }
static void set32(size_t at, uint32_t v) { memcpy(mem.bytes + at, &v, 4); }
static void align8(void)
{
	while (mem.len % 8)
		put("", 1);
}

static int parse(uint32_t magic)
{
	const struct boot_memory m = { map, &mem };
	int err;

	mem.exact = malloc(mem.len ? mem.len : 1);
	assert_non_null(mem.exact);
	memcpy(mem.exact, mem.bytes, mem.len);
	err = boot_info_parse(&info, magic, INFO_BASE, &m);
	free(mem.exact);
	return err;
}

/* ---- Multiboot 2 building blocks ---- */

static void mb2_begin(void)
{
	mem.len = 0;
	put32(0); /* total size, set at the end */
	put32(0);
}

static void mb2_tag(uint32_t type, const void *payload, uint32_t len)
{
	align8();
	put32(type);
	put32(8 + len);
	put(payload, len);
}

static void mb2_module(uint32_t start, uint32_t end, const char *string)
{
	align8();
	put32(3);
	put32((uint32_t)(16 + strlen(string) + 1));
	put32(start);
	put32(end);
	put(string, strlen(string) + 1);
}

struct range { uint64_t base, size; uint32_t type; };

static void mb2_map(const struct range *r, unsigned int n, uint32_t entry_size)
{
	align8();
	put32(6);
	put32(16 + n * entry_size);
	put32(entry_size);
	put32(0);
	for (unsigned int i = 0; i < n; i++) {
		put64(r[i].base);
		put64(r[i].size);
		put32(r[i].type);
		for (uint32_t pad = 20; pad < entry_size; pad++)
			put("", 1);
	}
}

static int mb2_end(void)
{
	align8();
	put32(0);
	put32(8);
	set32(0, (uint32_t)mem.len);
	return parse(BOOT_MAGIC_MULTIBOOT2);
}

static const struct range pc[] = {
	{ 0, 0x9FC00, 1 }, { 0x9FC00, 0x400, 2 }, { 0xF0000, 0x10000, 2 },
	{ MIB, 127 * MIB, 1 }, { 0xFFFC0000, 0x40000, 2 },
};

static void assert_ram(unsigned int i, uint64_t base, uint64_t end)
{
	assert_true(i < info.ram_count);
	assert_int_equal(info.ram[i].base, base);
	assert_int_equal(info.ram[i].base + info.ram[i].size, end);
}

/* ---- Multiboot 2 ---- */

static void lesson_35_mb2_everything_is_copied(void **state)
{
	uint8_t rsdp_old[20] = "RSD PTR old", rsdp_new[36] = "RSD PTR new";

	mb2_begin();
	mb2_tag(1, "debug noreboot", 15);
	mb2_tag(15, rsdp_new, sizeof(rsdp_new));
	mb2_tag(14, rsdp_old, sizeof(rsdp_old));
	mb2_module(0x200000, 0x280000, "name=a kind=linux");
	mb2_module(0x280000, 0x280000, "");
	mb2_map(pc, 5, 24);
	assert_int_equal(mb2_end(), 0);
	memset(&mem, 0xA5, sizeof(mem)); /* low memory is reused */
	assert_string_equal(info.command_line, "debug noreboot");
	assert_int_equal(info.rsdp_size, 36);
	assert_memory_equal(info.rsdp, rsdp_new, 36);
	assert_int_equal(info.module_count, 2);
	assert_int_equal(info.modules[0].start.v, 0x200000);
	assert_int_equal(info.modules[0].size, 0x80000);
	assert_string_equal(info.modules[0].string, "name=a kind=linux");
	assert_string_equal(info.modules[1].string, "");
	assert_int_equal(info.ram_count, 2);
	assert_ram(0, 0, 0x9F000); /* whole pages only */
	assert_ram(1, MIB, 128 * MIB);
	assert_int_equal(boot_ram_total(&info), 0x9F000 + 127 * MIB);
	assert_int_equal(info.complaints, 0);
	assert_false(info.multiboot1);
}

static void mb2_entries_larger_than_known(void **state)
{
	mb2_begin();
	mb2_map(pc, 5, 40);
	assert_int_equal(mb2_end(), 0);
	assert_int_equal(info.ram_count, 2);
}

static void mb2_entries_too_small_are_refused(void **state)
{
	for (uint32_t size = 0; size < 24; size += 8) {
		mb2_begin();
		mb2_map(NULL, 0, 24);
		set32(8 + 8, size); /* entry size */
		assert_int_equal(mb2_end(), 0);
		assert_int_equal(info.ram_count, 0);
		assert_int_equal(info.complaints, 1);
	}
}

static void mb2_zero_size_tag_ends_the_walk(void **state)
{
	for (uint32_t size = 0; size < 8; size++) {
		mb2_begin();
		mb2_tag(1, "x", 2);
		align8();
		put32(77);
		put32(size);
		mb2_tag(1, "never seen", 11);
		assert_int_equal(mb2_end(), 0);
		assert_string_equal(info.command_line, "x");
		assert_int_equal(info.complaints, 1);
	}
}

static void mb2_tag_longer_than_the_information(void **state)
{
	mb2_begin();
	mb2_tag(1, "x", 2);
	set32(8 + 4, 0xFFFFFFFF);
	assert_int_equal(mb2_end(), 0);
	assert_string_equal(info.command_line, "");
	assert_int_equal(info.complaints, 1);
}

static void mb2_missing_end_tag(void **state)
{
	mb2_begin();
	mb2_tag(1, "x", 2);
	align8();
	set32(0, (uint32_t)mem.len);
	assert_int_equal(parse(BOOT_MAGIC_MULTIBOOT2), 0);
	assert_string_equal(info.command_line, "x");
	assert_int_equal(info.complaints, 1);
}

static void mb2_total_size_is_checked(void **state)
{
	static const uint32_t bad[] = { 0, 7, 1u << 21, 0xFFFFFFFF };

	for (size_t i = 0; i < 4; i++) {
		mem.len = 0;
		put32(bad[i]);
		put32(0);
		put64(8ull << 32);
		assert_int_equal(parse(BOOT_MAGIC_MULTIBOOT2), -EINVAL);
	}
	mem.len = 0;
	put32(4096); /* more than there is */
	put32(0);
	assert_int_equal(parse(BOOT_MAGIC_MULTIBOOT2), -EINVAL);
}

static void mb2_unterminated_strings(void **state)
{
	mb2_begin();
	mb2_tag(1, "abc", 3);
	mb2_tag(3, "\0\0\x10\0\0\0\x20\0xyz", 11); /* module 1 MiB..2 MiB, no NUL */
	mb2_map(pc, 5, 24);
	assert_int_equal(mb2_end(), 0);
	assert_string_equal(info.command_line, "abc");
	assert_int_equal(info.module_count, 1);
	assert_string_equal(info.modules[0].string, "xyz");
}

static void mb2_overlong_string_is_cut_and_told(void **state)
{
	char text[3000];

	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	mb2_begin();
	mb2_tag(1, text, sizeof(text));
	assert_int_equal(mb2_end(), 0);
	assert_int_equal(strlen(info.command_line), BOOT_STRING_MAX - 1);
	assert_int_equal(info.complaints, 1);
}

static void mb2_module_tag_too_short(void **state)
{
	for (uint32_t len = 0; len < 8; len++) {
		mb2_begin();
		mb2_tag(3, "\0\0\x10\0\0\0\x20\0", len);
		mb2_map(pc, 5, 24);
		assert_int_equal(mb2_end(), 0);
		assert_int_equal(info.module_count, 0);
		assert_int_equal(info.complaints, 1);
	}
}

/* ---- the memory map ---- */

static void parse_map(const struct range *r, unsigned int n)
{
	mb2_begin();
	mb2_map(r, n, 24);
	assert_int_equal(mb2_end(), 0);
}

static void map_sorts_and_merges(void **state)
{
	const struct range r[] = {
		{ 8 * MIB, MIB, 1 }, { 0, MIB, 1 }, { 2 * MIB, MIB, 1 }, { MIB, MIB, 1 }, { 7 * MIB, 2 * MIB, 1 },
	};

	parse_map(r, 5);
	assert_int_equal(info.ram_count, 2);
	assert_ram(0, 0, 3 * MIB);
	assert_ram(1, 7 * MIB, 9 * MIB);
}

static void map_reserved_wins_over_usable(void **state)
{
	const struct range r[] = { { 3 * MIB, MIB, 2 }, { MIB, 9 * MIB, 1 }, { 5 * MIB + 10, 1, 5 }, { 9 * MIB, 4 * MIB, 3 } };

	parse_map(r, 4);
	assert_int_equal(info.ram_count, 3);
	assert_ram(0, MIB, 3 * MIB);
	assert_ram(1, 4 * MIB, 5 * MIB);
	assert_ram(2, 5 * MIB + 4096, 9 * MIB);
}

static void lesson_36_wrapped_map_entries(void **state)
{
	const struct range r[] = {
		{ UINT64_MAX - 0x7FF, 0x400, 1 }, /* rounding up its start would wrap */
		{ UINT64_MAX - 0xFFF, 0x2000, 1 },
		{ 0x1000, UINT64_MAX, 1 },
		{ UINT64_MAX, 1, 1 },
		{ UINT64_MAX, UINT64_MAX, 2 },
		{ MIB, MIB, 1 },
	};

	parse_map(r, 6);
	assert_int_equal(info.ram_count, 1);
	assert_ram(0, MIB, 2 * MIB);
	assert_int_equal(info.complaints, 3);
}

static void map_is_clipped_to_52_bits(void **state)
{
	const struct range r[] = { { (1ull << 52) - MIB, 1ull << 60, 1 }, { 1ull << 52, MIB, 1 } };

	parse_map(r, 2);
	assert_int_equal(info.ram_count, 1);
	assert_ram(0, (1ull << 52) - MIB, 1ull << 52);
}

static void map_drops_partial_pages_and_nothing(void **state)
{
	const struct range r[] = { { 0x1001, 0xFFE, 1 }, { 0x3001, 0x2FFE, 1 }, { 0x9000, 0, 1 }, { 0x4000, 0, 2 } };

	parse_map(r, 4);
	assert_int_equal(info.ram_count, 1);
	assert_ram(0, 0x4000, 0x5000);
}

static void map_with_too_many_ranges(void **state)
{
	struct range r[300];

	for (unsigned int i = 0; i < 300; i++)
		r[i] = (struct range){ i * 2 * MIB, MIB, 1 };
	parse_map(r, 300);
	assert_int_equal(info.ram_count, BOOT_RANGES_MAX);
	assert_int_equal(info.complaints, 300 - BOOT_RANGES_MAX);
	for (unsigned int i = 0; i < 300; i++)
		r[i].type = 2;
	mb2_begin();
	mb2_map(r, 300, 24);
	assert_int_equal(mb2_end(), -E2BIG); /* a lost reserved range could be handed out as RAM */
}

static void exclude_cuts_every_way(void **state)
{
	const struct range r[] = { { MIB, 9 * MIB, 1 } };

	parse_map(r, 1);
	assert_int_equal(boot_ram_exclude(&info, 3 * MIB + 1, MIB - 2), 0); /* middle, rounded outwards */
	assert_int_equal(boot_ram_exclude(&info, 0, MIB + 1), 0);           /* the start */
	assert_int_equal(boot_ram_exclude(&info, 9 * MIB, 5 * MIB), 0);     /* the end */
	assert_int_equal(boot_ram_exclude(&info, 20 * MIB, UINT64_MAX), 0);
	assert_int_equal(boot_ram_exclude(&info, 5 * MIB, 0), 0);
	assert_int_equal(info.ram_count, 2);
	assert_ram(0, MIB + 4096, 3 * MIB);
	assert_ram(1, 4 * MIB, 9 * MIB);
	assert_int_equal(boot_ram_exclude(&info, 0, UINT64_MAX), 0);
	assert_int_equal(info.ram_count, 0);
}

static void exclude_without_room(void **state)
{
	struct range r[BOOT_RANGES_MAX];

	for (unsigned int i = 0; i < BOOT_RANGES_MAX; i++)
		r[i] = (struct range){ i * 4 * MIB, 3 * MIB, 1 };
	parse_map(r, BOOT_RANGES_MAX);
	assert_int_equal(boot_ram_exclude(&info, MIB, MIB), -ENOSPC);
	assert_int_equal(info.ram_count, BOOT_RANGES_MAX);
	assert_ram(0, 0, 3 * MIB);
}

/* ---- modules ---- */

static void lesson_36_overlapping_modules(void **state)
{
	mb2_begin();
	mb2_module(2 * MIB, 3 * MIB, "first");
	mb2_module(3 * MIB - 1, 4 * MIB, "overlaps");
	mb2_module(MIB, 5 * MIB, "holds it");
	mb2_module(3 * MIB, 4 * MIB, "touches");
	mb2_map(pc, 5, 24);
	assert_int_equal(mb2_end(), 0);
	assert_int_equal(info.module_count, 2);
	assert_string_equal(info.modules[1].string, "touches");
	assert_int_equal(info.complaints, 2);
}

static void modules_outside_ram_are_left_out(void **state)
{
	mb2_begin();
	mb2_module(127 * MIB, 129 * MIB, "sticks out");
	mb2_module(0xFFFF0000, 0xFFFFFFFF, "in the ROM");
	mb2_module(4 * MIB, 3 * MIB, "ends first");
	mb2_module(126 * MIB, 127 * MIB, "good");
	mb2_map(pc, 5, 24);
	assert_int_equal(mb2_end(), 0);
	assert_int_equal(info.module_count, 1);
	assert_string_equal(info.modules[0].string, "good");
	assert_int_equal(info.complaints, 3);
}

static void too_many_modules(void **state)
{
	mb2_begin();
	for (uint32_t i = 0; i < BOOT_MODULES_MAX + 3; i++)
		mb2_module((uint32_t)MIB + i * 4096, (uint32_t)MIB + (i + 1) * 4096, "m");
	mb2_map(pc, 5, 24);
	assert_int_equal(mb2_end(), 0);
	assert_int_equal(info.module_count, BOOT_MODULES_MAX);
	assert_int_equal(info.complaints, 3);
}

/* ---- Multiboot 1 ---- */

#define MB1_SIZE 52u

static void mb1_begin(uint32_t flags)
{
	mem.len = 0;
	put32(flags);
	for (unsigned int i = 4; i < MB1_SIZE; i += 4)
		put32(0);
}

static uint32_t here(void) { return INFO_BASE + (uint32_t)mem.len; }

static void mb1_string(size_t field, const char *s)
{
	set32(field, here());
	put(s, strlen(s) + 1);
}

static void mb1_map(const struct range *r, unsigned int n)
{
	set32(44, n * 24);
	set32(48, here());
	for (unsigned int i = 0; i < n; i++) {
		put32(20);
		put64(r[i].base);
		put64(r[i].size);
		put32(r[i].type);
	}
}

static void lesson_35_mb1_everything_is_copied(void **state)
{
	uint32_t string;

	mb1_begin(1 << 2 | 1 << 3 | 1 << 6);
	mb1_string(16, "spoor.elf debug");
	string = here();
	put("name=x", 7);
	set32(20, 1);
	set32(24, here());
	put32(0x200000);
	put32(0x201000);
	put32(string);
	put32(0);
	mb1_map(pc, 5);
	assert_int_equal(parse(BOOT_MAGIC_MULTIBOOT1), 0);
	memset(&mem, 0xA5, sizeof(mem)); /* low memory is reused */
	assert_true(info.multiboot1);
	assert_string_equal(info.command_line, "spoor.elf debug");
	assert_int_equal(info.module_count, 1);
	assert_string_equal(info.modules[0].string, "name=x");
	assert_int_equal(info.ram_count, 2);
	assert_int_equal(info.complaints, 0);
}

static void mb1_string_without_end(void **state)
{
	mb1_begin(1 << 2 | 1 << 6);
	mb1_map(pc, 5);
	set32(16, here());
	put("abc", 3); /* then memory ends */
	assert_int_equal(parse(BOOT_MAGIC_MULTIBOOT1), 0);
	assert_string_equal(info.command_line, "abc");
}

static void mb1_pointers_into_nowhere(void **state)
{
	mb1_begin(1 << 2 | 1 << 3 | 1 << 6);
	for (size_t field = 16; field < MB1_SIZE; field += 4)
		set32(field, 0xFFFFFFF0);
	assert_int_equal(parse(BOOT_MAGIC_MULTIBOOT1), 0);
	assert_string_equal(info.command_line, "");
	assert_int_equal(info.module_count, 0);
	assert_int_equal(info.ram_count, 0);
	assert_true(info.complaints > 0);
}

static void mb1_map_entry_of_impossible_size(void **state)
{
	for (uint32_t size = 0; size < 20; size++) {
		mb1_begin(1 << 6);
		mb1_map(pc, 5);
		set32(MB1_SIZE, size);
		assert_int_equal(parse(BOOT_MAGIC_MULTIBOOT1), 0);
		assert_int_equal(info.ram_count, 0);
		assert_int_equal(info.complaints, 1);
	}
	mb1_begin(1 << 6);
	mb1_map(pc, 5);
	set32(MB1_SIZE, 0xFFFFFFFF); /* the next entry would be 4 GiB on */
	assert_int_equal(parse(BOOT_MAGIC_MULTIBOOT1), 0);
	assert_int_equal(info.ram_count, 1);
}

static void mb1_without_a_map_is_refused(void **state)
{
	mb1_begin(0);
	assert_int_equal(parse(BOOT_MAGIC_MULTIBOOT1), -EINVAL);
	mem.len = 10;
	assert_int_equal(parse(BOOT_MAGIC_MULTIBOOT1), -EINVAL);
}

static void other_magic_is_refused(void **state)
{
	mb2_begin();
	mb2_end();
	assert_int_equal(parse(0), -EINVAL);
	assert_int_equal(parse(0x1BADB002), -EINVAL);
}

/* Every byte of good information, each with every value of a few. */
static void every_byte_damaged(void **state)
{
	static const uint8_t values[] = { 0x00, 0x01, 0x07, 0x7F, 0x80, 0xFF };
	int out = dup(STDERR_FILENO), quiet = open("/dev/null", O_WRONLY); /* some ten thousand complaints */
	struct memory good;

	dup2(quiet, STDERR_FILENO);
	mb2_begin();
	mb2_tag(1, "debug", 6);
	mb2_module(0x200000, 0x280000, "name=a");
	mb2_map(pc, 5, 24);
	assert_int_equal(mb2_end(), 0);
	good = mem;
	for (size_t i = 0; i < good.len; i++)
		for (size_t v = 0; v < sizeof(values); v++) {
			mem = good;
			mem.bytes[i] = values[v];
			(void)!parse(BOOT_MAGIC_MULTIBOOT2);
			(void)!parse(BOOT_MAGIC_MULTIBOOT1);
		}
	dup2(out, STDERR_FILENO);
	close(out);
	close(quiet);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lesson_35_mb2_everything_is_copied),
		cmocka_unit_test(mb2_entries_larger_than_known),
		cmocka_unit_test(mb2_entries_too_small_are_refused),
		cmocka_unit_test(mb2_zero_size_tag_ends_the_walk),
		cmocka_unit_test(mb2_tag_longer_than_the_information),
		cmocka_unit_test(mb2_missing_end_tag),
		cmocka_unit_test(mb2_total_size_is_checked),
		cmocka_unit_test(mb2_unterminated_strings),
		cmocka_unit_test(mb2_overlong_string_is_cut_and_told),
		cmocka_unit_test(mb2_module_tag_too_short),
		cmocka_unit_test(map_sorts_and_merges),
		cmocka_unit_test(map_reserved_wins_over_usable),
		cmocka_unit_test(lesson_36_wrapped_map_entries),
		cmocka_unit_test(map_is_clipped_to_52_bits),
		cmocka_unit_test(map_drops_partial_pages_and_nothing),
		cmocka_unit_test(map_with_too_many_ranges),
		cmocka_unit_test(exclude_cuts_every_way),
		cmocka_unit_test(exclude_without_room),
		cmocka_unit_test(lesson_36_overlapping_modules),
		cmocka_unit_test(modules_outside_ram_are_left_out),
		cmocka_unit_test(too_many_modules),
		cmocka_unit_test(lesson_35_mb1_everything_is_copied),
		cmocka_unit_test(mb1_string_without_end),
		cmocka_unit_test(mb1_pointers_into_nowhere),
		cmocka_unit_test(mb1_map_entry_of_impossible_size),
		cmocka_unit_test(mb1_without_a_map_is_refused),
		cmocka_unit_test(other_magic_is_refused),
		cmocka_unit_test(every_byte_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
