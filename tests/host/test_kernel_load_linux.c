// SPDX-License-Identifier: GPL-2.0-only
/* The bzImage loader, on made-up images. */
/* First: our own headers make "packed" a macro. */
#include <asm/bootparam.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "kernel/load_linux.h"
#include "tests/host/test_kernel_fakes.h"

#define SECTS 2
#define CODE 0x1000u
#define IMAGE_SIZE ((SECTS + 1) * 512 + CODE)
#define PREF 0x1000000u
#define INIT_SIZE 0x300000u

static uint8_t image[IMAGE_SIZE];
static struct setup_header hdr;
static struct vm_config vm;
static struct guest_entry entry;
static uint8_t initrd[5000];

static int setup(void **state)
{
	memset(image, 0xCC, sizeof(image));
	memset(image + (SECTS + 1) * 512, 0x5A, CODE);
	memset(initrd, 0x77, sizeof(initrd));
	hdr = (struct setup_header){
		.setup_sects = SECTS, .syssize = CODE / 16, .boot_flag = 0xAA55, .jump = 0x6AEB, .header = 0x53726448,
		.version = 0x020F, .loadflags = LOADED_HIGH, .initrd_addr_max = 0x7FFFFFFF,
		.kernel_alignment = 0x200000, .relocatable_kernel = 1, .xloadflags = XLF_KERNEL_64,
		.cmdline_size = 2047, .pref_address = PREF, .init_size = INIT_SIZE,
	};
	vm = (struct vm_config){ .name = "tux", .kernel = { image, sizeof(image), "", "console=ttyS0" } };
	ram_open(32 << 20);
	log_clear();
	return 0;
}

static int teardown(void **state)
{
	ram_close();
	return 0;
}

static int load(void)
{
	memcpy(image + 0x1F1, &hdr, sizeof(hdr));
	return load_linux(NULL, &ram_layout, &vm, gpa(0xF0000), &entry);
}

static void refused(int err, const char *told)
{
	assert_int_equal(load(), err);
	if (!logged(told) || !logged("error: vm \"tux\": "))
		fail_msg("logged %s", log_text);
	assert_int_equal(ram_writes, 0);
}

static void linux_loads(void **state)
{
	struct boot_params bp;

	vm.initrd = (struct vm_image){ initrd, sizeof(initrd), "", "" };
	assert_int_equal(load(), 0);
	assert_string_equal(log_text, "");
	assert_int_equal(entry.regs.rip, PREF + 0x200);
	assert_int_equal(entry.cr0, X86_CR0_PE | X86_CR0_ET | X86_CR0_PG);
	assert_int_equal(entry.efer, EFER_LME | EFER_LMA);
	assert_int_equal(entry.segment[SEG_CS].selector, 0x10);
	assert_true(entry.segment[SEG_CS].access & SEGMENT_L);
	assert_int_equal(entry.segment[SEG_SS].selector, 0x18);
	assert_memory_equal(ram + PREF, image + (SECTS + 1) * 512, CODE);
	memcpy(&bp, ram + entry.regs.gpr[GPR_RSI], sizeof(bp));
	assert_int_equal(bp.hdr.header, 0x53726448);
	assert_int_equal(bp.hdr.type_of_loader, 0xFF);
	assert_string_equal((char *)ram + bp.hdr.cmd_line_ptr, "console=ttyS0");
	assert_int_equal(bp.hdr.ramdisk_size, sizeof(initrd));
	assert_int_equal(bp.hdr.ramdisk_image, ((32 << 20) - sizeof(initrd)) & ~0xFFFull);
	assert_memory_equal(ram + bp.hdr.ramdisk_image, initrd, sizeof(initrd));
	assert_true(bp.acpi_rsdp_addr == 0xF0000);
	assert_int_equal(bp.e820_entries, 4);
	assert_true(bp.e820_table[3].addr == 0x100000 && bp.e820_table[3].size == 31 << 20);
	assert_true(bp.e820_table[0].size == 0x9FC00 && bp.e820_table[0].type == 1);
	/* A byte behind the header the image has must not come from the image. */
	assert_int_equal(bp._pad7[0x290 - 0x1f1 - sizeof(struct setup_header) - 1], 0);
}

static void assert_32_bit_entry(void)
{
	assert_int_equal(load(), 0);
	assert_string_equal(log_text, "");
	assert_int_equal(entry.regs.rip, PREF);
	assert_int_equal(entry.regs.rflags, X86_EFLAGS_FIXED);
	assert_int_equal(entry.cr0, X86_CR0_PE | X86_CR0_ET);
	assert_true(entry.cr3 == 0 && entry.cr4 == 0 && entry.efer == 0);
	for (int i = 0; i < GPR_COUNT; i++)
		assert_int_equal(entry.regs.gpr[i], i == GPR_RSI ? 0x2000 : 0);
}

/* Flat segments, paging off, and nothing where the 64-bit entry has tables. */
static void linux_32_bit_entry(void **state)
{
	hdr.xloadflags = 0;
	assert_32_bit_entry();
	assert_int_equal(entry.segment[SEG_CS].selector, 0x10);
	assert_int_equal(entry.segment[SEG_CS].access, 0xC09B);
	for (int s = SEG_ES; s <= SEG_GS; s++) {
		assert_true(entry.segment[s].base == 0 && entry.segment[s].limit == UINT32_MAX);
		if (s != SEG_CS)
			assert_int_equal(entry.segment[s].selector, 0x18);
	}
	assert_true(ram_u64(entry.gdt.base + 0x10) == 0x00CF9B000000FFFFull);
	assert_true(ram_u64(entry.gdt.base + 0x18) == 0x00CF93000000FFFFull);
	assert_int_equal(entry.gdt.limit, 5 * 8 - 1);
	for (uint64_t at = 0x3000; at < 0x9000; at += 8)
		assert_true(ram_u64(at) == 0);
	assert_memory_equal(ram + PREF, image + (SECTS + 1) * 512, CODE);
}

static void linux_64_bit_kernel_by_its_32_bit_entry(void **state)
{
	vm.entry_32 = true;
	assert_32_bit_entry();
}

/* Fields that a protocol does not have yet are not taken for what they say. */
static void linux_by_protocol(void **state)
{
	static const struct {
		uint16_t version;
		bool entry_64, rsdp;
	} protocol[] = {
		{ 0x020A, false, false }, { 0x020B, false, false }, { 0x020C, true, false },
		{ 0x020D, true, false }, { 0x020E, true, true }, { 0x020F, true, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(protocol); i++) {
		struct boot_params *bp;

		hdr.version = protocol[i].version;
		assert_int_equal(load(), 0);
		bp = (void *)(ram + entry.regs.gpr[GPR_RSI]);
		assert_int_equal(entry.regs.rip, PREF + (protocol[i].entry_64 ? 0x200 : 0));
		assert_int_equal(entry.efer, protocol[i].entry_64 ? EFER_LME | EFER_LMA : 0);
		assert_true(bp->acpi_rsdp_addr == (protocol[i].rsdp ? 0xF0000 : 0));
	}
}

/* The tables map all of the first 4 GiB onto itself. */
static void linux_page_tables(void **state)
{
	static const uint64_t probe[] = { 0, 0x1FFFFF, 0x1234567, 0x7FFFFFFF, 0xFEE00000, 0xFFFFFFFF };

	assert_int_equal(load(), 0);
	for (size_t i = 0; i < ARRAY_SIZE(probe); i++) {
		uint64_t e = ram_u64(entry.cr3 + 8 * (probe[i] >> 39));

		assert_int_equal(e & 0xFFF, 3);
		e = ram_u64((e & ~0xFFFull) + 8 * (probe[i] >> 30 & 511));
		assert_int_equal(e & 0xFFF, 3);
		e = ram_u64((e & ~0xFFFull) + 8 * (probe[i] >> 21 & 511));
		assert_int_equal(e & 0xFFF, 0x83);
		assert_true((e & ~0x1FFFFFull) == (probe[i] & ~0x1FFFFFull));
	}
	/* CS and DS in the GDT are what the segments say. */
	assert_true(ram_u64(entry.gdt.base + 0x10) == 0x00AF9B000000FFFFull);
	assert_true(ram_u64(entry.gdt.base + 0x18) == 0x00CF93000000FFFFull);
}

static void linux_is_moved_when_its_place_is_not_ram(void **state)
{
	hdr.pref_address = 0x1E00000;
	assert_int_equal(load(), 0);
	assert_int_equal(entry.regs.rip, 0x200000 + 0x200);
	hdr.relocatable_kernel = 0;
	log_clear();
	ram_writes = 0;
	refused(-ENOMEM, "kernel needs 3072 KiB at 0x1e00000; the VM has 32768 KiB");
}

static void lesson_36_bad_headers(void **state)
{
	vm.kernel.size = 0x200;
	refused(-ENOEXEC, "kernel is truncated: 512 bytes hold no setup header");
	vm.kernel.size = sizeof(image);
	hdr.header = 0x12345678;
	refused(-ENOEXEC, "not a Linux bzImage");
	setup(NULL);
	hdr.boot_flag = 0;
	refused(-ENOEXEC, "not a Linux bzImage");
}

static void linux_too_old_or_wrong(void **state)
{
	hdr.version = 0x0209;
	refused(-ENOEXEC, "boot protocol 2.09; 2.10");
	hdr.version = 0x020A;
	hdr.loadflags = 0;
	refused(-ENOEXEC, "zImage");
	hdr.loadflags = LOADED_HIGH;
	hdr.jump = 0x10EB;
	refused(-ENOEXEC, "too short");
}

static void linux_bad_sizes(void **state)
{
	hdr.syssize = CODE / 16 + 1;
	refused(-ENOEXEC, "kernel is truncated: 5632 of 5648 bytes");
	hdr.syssize = UINT32_MAX;
	refused(-ENOEXEC, "kernel is truncated");
	hdr.syssize = 0;
	refused(-ENOEXEC, "kernel is damaged");
	hdr.syssize = CODE / 16;
	hdr.init_size = CODE - 1;
	refused(-ENOEXEC, "init_size 4095 is less");
	hdr.init_size = INIT_SIZE;
	hdr.setup_sects = 255;
	refused(-ENOEXEC, "kernel is truncated");
	hdr.setup_sects = SECTS;
	hdr.kernel_alignment = 0;
	refused(-ENOEXEC, "alignment 0x0");
	hdr.kernel_alignment = 0x3000;
	refused(-ENOEXEC, "alignment 0x3000");
	hdr.kernel_alignment = 0x200000;
	hdr.init_size = 0xFFFFF000;
	refused(-ENOMEM, "kernel needs 4194300 KiB");
}

static void linux_hostile_addresses(void **state)
{
	static const uint64_t bad[] = { 0, 0x1000, 0x9F000, 0xF0000, 0x100800, UINT64_MAX, UINT64_MAX - 0xFFF,
					0x100000000, 0xFEE00000 };

	hdr.relocatable_kernel = 0;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		log_clear();
		hdr.pref_address = bad[i];
		refused(-ENOMEM, "kernel needs");
	}
	hdr.relocatable_kernel = 1;
	hdr.kernel_alignment = 0x80000000;
	refused(-ENOMEM, "kernel needs");
}

static void linux_initrd_limits(void **state)
{
	struct boot_params *bp;

	vm.initrd = (struct vm_image){ initrd, sizeof(initrd), "", "" };
	hdr.initrd_addr_max = PREF + INIT_SIZE + sizeof(initrd) - 1;
	assert_int_equal(load(), 0);
	bp = (void *)(ram + entry.regs.gpr[GPR_RSI]);
	assert_int_equal(bp->hdr.ramdisk_image, PREF + INIT_SIZE);
	ram_writes = 0;
	hdr.initrd_addr_max--;
	refused(-ENOMEM, "initrd of 4 KiB does not fit");
	hdr.initrd_addr_max = 0;
	refused(-ENOMEM, "initrd of 4 KiB does not fit");
	vm.initrd.size = 1ull << 40; /* never read: it cannot fit */
	hdr.initrd_addr_max = UINT32_MAX;
	refused(-ENOMEM, "does not fit");
}

static void linux_cmdline_limits(void **state)
{
	static char line[70000];

	memset(line, 'a', 2048);
	vm.kernel.args = line;
	refused(-E2BIG, "command line of 2048 characters; the kernel takes 2047");
	line[2047] = 0;
	assert_int_equal(load(), 0);
	ram_writes = 0;
	memset(line, 'a', 66000);
	hdr.cmdline_size = UINT32_MAX;
	refused(-E2BIG, "the kernel takes 65535");
	line[65535] = 0;
	assert_int_equal(load(), 0);
}

/* How many writes a load makes; each of them may fail. */
static uint64_t count_writes_failing_each(void)
{
	for (ram_fail_at = 0; load(); ram_fail_at++) {
		assert_true(logged("guest memory cannot be written"));
		log_clear();
		ram_writes = 0;
	}
	return ram_fail_at;
}

static void linux_write_errors_are_told(void **state)
{
	const uint64_t tables = 6;
	uint64_t writes = count_writes_failing_each();

	assert_true(writes > tables);
	vm.entry_32 = true;
	ram_writes = 0;
	assert_int_equal(count_writes_failing_each(), writes - tables);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(linux_loads, setup, teardown),
		cmocka_unit_test_setup_teardown(linux_32_bit_entry, setup, teardown),
		cmocka_unit_test_setup_teardown(linux_64_bit_kernel_by_its_32_bit_entry, setup, teardown),
		cmocka_unit_test_setup_teardown(linux_by_protocol, setup, teardown),
		cmocka_unit_test_setup_teardown(linux_page_tables, setup, teardown),
		cmocka_unit_test_setup_teardown(linux_is_moved_when_its_place_is_not_ram, setup, teardown),
		cmocka_unit_test_setup_teardown(lesson_36_bad_headers, setup, teardown),
		cmocka_unit_test_setup_teardown(linux_too_old_or_wrong, setup, teardown),
		cmocka_unit_test_setup_teardown(linux_bad_sizes, setup, teardown),
		cmocka_unit_test_setup_teardown(linux_hostile_addresses, setup, teardown),
		cmocka_unit_test_setup_teardown(linux_initrd_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(linux_cmdline_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(linux_write_errors_are_told, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
