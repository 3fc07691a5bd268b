// SPDX-License-Identifier: GPL-2.0-only
/* The loader of disk images: where the image goes, what the firmware is told, the state after reset. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "kernel/load_disk.h"
#include "tests/host/test_kernel_fakes.h"

#define MEMORY (4u << 20)
#define ROOM (MEMORY - GUEST_HIGH_BASE)
#define PUSH_IMM16 0x68 /* the firmware's first instruction, right behind its parameters */
#define JMP_FAR 0xEA

static uint8_t image[ROOM + 1];
static struct vm_config vm;
static struct guest_entry entry;

static int setup(void **state)
{
	for (unsigned int i = 0; i < sizeof(image); i++)
		image[i] = (uint8_t)(i * 7 + (i >> 8));
	image[510] = 0x55;
	image[511] = 0xAA;
	vm = (struct vm_config){ .name = "d", .kind = VM_DISK, .kernel = { image, 64 * 512, "", "" } };
	ram_open(MEMORY);
	memset(ram, 0xEE, MEMORY);
	log_clear();
	return 0;
}

static int teardown(void **state)
{
	ram_close();
	return 0;
}

static int load(uint64_t size)
{
	vm.kernel.size = size;
	return load_disk(NULL, &ram_layout, &vm, &entry);
}

static struct bios_block block(void)
{
	struct bios_block b;

	memcpy(&b, ram + GUEST_BIOS_BASE, sizeof(b));
	return b;
}

static void assert_range(const struct bios_range *r, uint64_t base, uint64_t end, uint32_t type)
{
	struct bios_range got = *r;

	if (got.base != base || got.size != end - base || got.type != type)
		fail_msg("range 0x%llx+0x%llx type %u", (unsigned long long)got.base,
			 (unsigned long long)got.size, got.type);
}

static void assert_low_ranges(const struct bios_block *b)
{
	assert_range(&b->range[0], 0, 0x9FC00, GUEST_RANGE_RAM);
	assert_range(&b->range[1], 0x9FC00, 0xA0000, GUEST_RANGE_RESERVED);
	assert_range(&b->range[2], 0xF0000, 0x100000, GUEST_RANGE_RESERVED);
}

static void image_goes_to_the_end_of_memory(void **state)
{
	uint64_t base = MEMORY - 64 * 512;
	struct bios_block b;

	assert_int_equal(load(64 * 512), 0);
	assert_string_equal(log_text, "");
	assert_memory_equal(ram + base, image, 64 * 512);
	assert_int_equal(ram[base - 1], 0xEE);
	b = block();
	assert_memory_equal(b.magic, "SpoorDsk", 8);
	assert_int_equal(b.disk_base, base);
	assert_int_equal(b.disk_sectors, 64);
	assert_int_equal(b.range_count, 5);
	assert_low_ranges(&b);
	assert_range(&b.range[3], 0x100000, base, GUEST_RANGE_RAM);
	assert_range(&b.range[4], base, MEMORY, GUEST_RANGE_RESERVED);
}

static void firmware_ends_at_1_mib(void **state)
{
	assert_int_equal(load(512), 0);
	assert_int_equal(ram[GUEST_BIOS_BASE - 1], 0xEE);
	assert_int_equal(ram[GUEST_BIOS_BASE + sizeof(struct bios_block)], PUSH_IMM16);
	assert_int_equal(ram[0xFFFF0], JMP_FAR);
	assert_int_equal(ram_u32(0xFFFF1) >> 16, 0xF000);
	assert_in_range(ram_u32(0xFFFF1) & 0xFFFF, 0xE000 + sizeof(struct bios_block), 0xFFEF);
	assert_int_equal(ram[0xFFFFE], 0xFC);
	assert_int_equal(ram[0x100000], 0xEE);
}

static void the_last_sector_is_filled_up(void **state)
{
	uint64_t base = MEMORY - 4096;

	assert_int_equal(load(3 * 512 + 1), 0);
	assert_int_equal(block().disk_sectors, 4);
	assert_int_equal(block().disk_base, base); /* whole pages */
	assert_memory_equal(ram + base, image, 3 * 512 + 1);
	for (unsigned int i = 3 * 512 + 1; i < 4 * 512; i++)
		assert_int_equal(ram[base + i], 0);
	assert_int_equal(ram[base + 4 * 512], 0xEE);
}

/* Nothing is left above 1 MiB: there is no such range. */
static void image_may_take_all_above_1_mib(void **state)
{
	struct bios_block b;

	assert_int_equal(load(ROOM), 0);
	b = block();
	assert_int_equal(b.disk_base, GUEST_HIGH_BASE);
	assert_int_equal(b.range_count, 4);
	assert_low_ranges(&b);
	assert_range(&b.range[3], 0x100000, MEMORY, GUEST_RANGE_RESERVED);
}

static void memory_above_4_gib_is_told(void **state)
{
	struct bios_block b;

	ram_layout.high_memory = 1ull << 30;
	assert_int_equal(load(512), 0);
	b = block();
	assert_int_equal(b.range_count, 6);
	assert_range(&b.range[5], 1ull << 32, 5ull << 30, GUEST_RANGE_RAM);
}

static void told(int got, int err, const char *what)
{
	assert_int_equal(got, err);
	if (!logged(what) || !logged("error: vm \"d\": disk image "))
		fail_msg("logged %s", log_text);
	assert_int_equal(ram_writes, 0);
	log_clear();
}

static void mistakes_are_told(void **state)
{
	told(load(511), -ENOEXEC, "is too short: 511 bytes");
	told(load(1), -ENOEXEC, "is too short: 1 bytes");
	told(load(ROOM + 1), -ENOMEM, "of 3072 KiB does not fit above 1 MiB in 4096 KiB");
	told(load(UINT64_MAX), -ENOMEM, "does not fit");
	image[511] = 0xAB;
	told(load(4096), -ENOEXEC, "no boot sector: signature 0xab55 at byte 510, not 0xaa55");
	image[511] = 0xAA;
	image[510] = 0;
	told(load(512), -ENOEXEC, "signature 0xaa00");
}

static void memory_that_cannot_be_written(void **state)
{
	for (unsigned int n = 0; n < 4; n++) {
		ram_writes = 0;
		ram_fail_at = n;
		assert_int_equal(load(513), -EFAULT);
		assert_true(logged("vm \"d\": guest memory cannot be written"));
		log_clear();
	}
	ram_writes = 0;
	ram_fail_at = 4;
	assert_int_equal(load(513), 0);
}

/* SDM vol. 3, "Processor State After Reset". */
static void the_processor_is_as_after_reset(void **state)
{
	memset(&entry, 0x55, sizeof(entry));
	assert_int_equal(load(512), 0);
	assert_int_equal(entry.regs.rip, 0xFFF0);
	assert_int_equal(entry.regs.rflags, 2);
	assert_int_equal(entry.cr0, 0x60000010);
	assert_true(entry.cr3 == 0 && entry.cr4 == 0 && entry.efer == 0);
	assert_int_equal(entry.segment[SEG_CS].selector, 0xF000);
	assert_int_equal(entry.segment[SEG_CS].base, 0xF0000);
	assert_int_equal(entry.segment[SEG_CS].access, 0x9B);
	for (int s = SEG_ES; s <= SEG_GS; s++) {
		assert_int_equal(entry.segment[s].limit, 0xFFFF);
		if (s == SEG_CS)
			continue;
		assert_int_equal(entry.segment[s].selector, 0);
		assert_int_equal(entry.segment[s].base, 0);
		assert_int_equal(entry.segment[s].access, 0x93);
	}
	assert_true(entry.segment[SEG_LDTR].access & SEGMENT_UNUSABLE);
	assert_int_equal(entry.segment[SEG_TR].access, 0x8B);
	assert_int_equal(entry.idt.limit, 0xFFFF);
	assert_int_equal(entry.gdt.limit, 0xFFFF);
	for (int r = 0; r < GPR_COUNT; r++)
		assert_true(r == GPR_RDX ? entry.regs.gpr[r] >> 8 == 6 : entry.regs.gpr[r] == 0);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(image_goes_to_the_end_of_memory), TEST(firmware_ends_at_1_mib),
		TEST(the_last_sector_is_filled_up),    TEST(image_may_take_all_above_1_mib),
		TEST(memory_above_4_gib_is_told),      TEST(mistakes_are_told),
		TEST(memory_that_cannot_be_written),   TEST(the_processor_is_as_after_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
