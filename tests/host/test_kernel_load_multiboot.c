// SPDX-License-Identifier: GPL-2.0-only
/* The Multiboot loader, on made-up ELF files and raw images. */
#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "kernel/load_multiboot.h"
#include "tests/host/test_kernel_fakes.h"

#define HEADER_AT 0x200u
#define CODE_AT 0x1000u
#define IMAGE_SIZE 0x2000u
#define BASE 0x100000u

static uint8_t image[IMAGE_SIZE];
static struct vm_config vm;
static struct guest_entry entry;
static Elf32_Phdr ph[40];
static unsigned int phnum;
static uint32_t header[8];
static Elf32_Ehdr eh;

static int setup(void **state)
{
	for (unsigned int i = 0; i < sizeof(image); i++)
		image[i] = (uint8_t)(i * 7 + (i >> 8));
	eh = (Elf32_Ehdr){
		.e_ident = { 0x7F, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_EXEC, .e_machine = EM_386, .e_entry = 0xC0100020, .e_phoff = sizeof(Elf64_Ehdr),
		.e_phentsize = sizeof(Elf32_Phdr),
	};
	ph[0] = (Elf32_Phdr){ PT_LOAD, CODE_AT, 0xC0000000 + BASE, BASE, 0x800, 0x3000, PF_X, 4096 };
	phnum = 1;
	header[0] = 0x1BADB002;
	header[1] = 3;
	vm = (struct vm_config){ .name = "mb", .kind = VM_MULTIBOOT, .kernel = { image, IMAGE_SIZE, "", "a b" } };
	ram_open(8 << 20);
	memset(ram, 0xEE, ram_layout.low_memory);
	log_clear();
	return 0;
}

static int teardown(void **state)
{
	ram_close();
	return 0;
}

static int load_raw(void)
{
	header[2] = -(header[0] + header[1]);
	memcpy(image + HEADER_AT, header, header[1] & 0x10000 ? 32 : 12);
	return load_multiboot(NULL, &ram_layout, &vm, &entry);
}

static int load(void)
{
	eh.e_phnum = (uint16_t)phnum;
	memcpy(image, &eh, sizeof(eh));
	memcpy(image + sizeof(Elf64_Ehdr), ph, phnum * sizeof(ph[0]));
	return load_raw();
}

/* The same kernel in an ELF64 container. */
static int load64(uint64_t e_entry)
{
	Elf64_Ehdr e64 = {
		.e_ident = { 0x7F, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_EXEC, .e_machine = EM_X86_64, .e_entry = e_entry, .e_phoff = sizeof(e64),
		.e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 1,
	};
	Elf64_Phdr p64 = { PT_LOAD, PF_X, ph[0].p_offset, ph[0].p_vaddr, ph[0].p_paddr, ph[0].p_filesz,
			   ph[0].p_memsz, 4096 };

	memcpy(image, &e64, sizeof(e64));
	memcpy(image + sizeof(e64), &p64, sizeof(p64));
	return load_raw();
}

static void told(int got, int err, const char *what)
{
	assert_int_equal(got, err);
	if (!logged(what) || !logged("error: vm \"mb\": "))
		fail_msg("logged %s", log_text);
	assert_int_equal(ram_writes, 0);
	log_clear();
}

static void assert_kernel_is_there(void)
{
	assert_memory_equal(ram + BASE, image + CODE_AT, 0x800);
	for (unsigned int i = 0x800; i < 0x3000; i++)
		assert_int_equal(ram[BASE + i], 0);
	assert_int_equal(ram[BASE + 0x3000], 0xEE);
}

static void multiboot_elf32_loads(void **state)
{
	uint32_t info;

	assert_int_equal(load(), 0);
	assert_string_equal(log_text, "");
	assert_kernel_is_there();
	assert_true(entry.regs.rip == 0xC0100020); /* as it stands, not translated */
	assert_int_equal(entry.regs.gpr[GPR_RAX], 0x2BADB002);
	assert_int_equal(entry.segment[SEG_CS].selector, 8);
	assert_int_equal(entry.segment[SEG_DS].selector, 16);
	assert_int_equal(entry.cr0, X86_CR0_PE | X86_CR0_ET);
	assert_true(ram_u64(entry.gdt.base + 8) == 0x00CF9B000000FFFFull);
	info = (uint32_t)entry.regs.gpr[GPR_RBX];
	assert_int_equal(ram_u32(info), 0x24D);
	assert_int_equal(ram_u32(info + 4), 639);
	assert_int_equal(ram_u32(info + 8), 7 * 1024);
	assert_string_equal((char *)ram + ram_u32(info + 16), "mb a b");
	assert_string_equal((char *)ram + ram_u32(info + 64), "Spoor");
	assert_int_equal(ram_u32(info + 20), 0);
	assert_int_equal(ram_u32(info + 44), 4 * 24);
	assert_int_equal(ram_u32(ram_u32(info + 48)), 20);
	assert_true(ram_u64(ram_u32(info + 48) + 3 * 24 + 12) == 7 << 20);
}

static void multiboot_elf64_container_loads(void **state)
{
	assert_int_equal(load64(0x100123), 0);
	assert_kernel_is_there();
	assert_int_equal(entry.regs.rip, 0x100123);
}

static void multiboot_elf64_entry_above_4g(void **state)
{
	told(load64(0xFFFFFFFF80100000), -ENOEXEC, "entry 0xffffffff80100000 is above 4 GiB");
}

static void multiboot_address_fields_load(void **state)
{
	header[1] = 0x10003;
	header[3] = BASE + 0x100; /* header_addr */
	header[4] = BASE;         /* load_addr: 0x100 in the file */
	header[5] = BASE + 0x900;
	header[6] = BASE + 0x1900;
	header[7] = BASE + 0x20;
	assert_int_equal(load_raw(), 0);
	assert_memory_equal(ram + BASE, image + 0x100, 0x900);
	assert_int_equal(ram[BASE + 0x900] | ram[BASE + 0x18FF], 0);
	assert_int_equal(ram[BASE + 0x1900], 0xEE);
	assert_int_equal(entry.regs.rip, BASE + 0x20);
	header[5] = header[6] = 0; /* whole file, no bss */
	assert_int_equal(load_raw(), 0);
	assert_memory_equal(ram + BASE, image + 0x100, IMAGE_SIZE - 0x100);
}

static void lesson_36_bad_address_fields(void **state)
{
	static const struct {
		uint32_t field[5];
		int err;
		const char *what;
	} bad[] = {
		{ { BASE, BASE + 1, 0, 0, 0 }, -ENOEXEC, "header_addr 0x100000, load_addr 0x100001" },
		{ { BASE + 0x201, BASE, 0, 0, 0 }, -ENOEXEC, "header_addr 0x100201" },
		{ { BASE, BASE, BASE - 1, 0, 0 }, -ENOEXEC, "load_end_addr" },
		{ { BASE, BASE, BASE + 0x2000, 0, 0 }, -ENOEXEC, "truncated" },
		{ { BASE, BASE, 0, BASE + 1, 0 }, -ENOEXEC, "bss_end_addr" },
		{ { BASE, BASE, BASE + 16, 0xFFFFFFFF, 0 }, -ENOMEM, "is not in the VM's 8192 KiB" },
		{ { 0xFFFFFF00, 0xFFFFFF00, 0, 0, 0 }, -ENOMEM, "is not in the VM's" },
	};

	header[1] = 0x10003;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		memcpy(header + 3, bad[i].field, sizeof(bad[i].field));
		told(load_raw(), bad[i].err, bad[i].what);
	}
}

static void multiboot_header_is_searched(void **state)
{
	header[0] = 0x1BADB003;
	told(load(), -ENOEXEC, "no Multiboot header");
	header[0] = 0x1BADB002;
	eh.e_phnum = 1;
	assert_int_equal(load(), 0);
	image[HEADER_AT + 8]++;
	ram_writes = 0;
	told(load_multiboot(NULL, &ram_layout, &vm, &entry), -ENOEXEC, "no Multiboot header");
	image[HEADER_AT + 8]--;
	vm.kernel.size = HEADER_AT + 11;
	told(load_multiboot(NULL, &ram_layout, &vm, &entry), -ENOEXEC, "no Multiboot header");
	header[1] = 0x10003;
	vm.kernel.size = HEADER_AT + 31;
	told(load_raw(), -ENOEXEC, "header at 0x200 is cut");
}

static void multiboot_flags(void **state)
{
	header[1] = 0x13;
	told(load(), -ENOEXEC, "unknown Multiboot features: flags 0x10");
	header[1] = 0x7;
	assert_int_equal(load(), 0);
	assert_true(logged("asks for a video mode"));
	header[1] = 0x80000003; /* above 16: optional */
	assert_int_equal(load(), 0);
}

static void lesson_36_bad_elf_headers(void **state)
{
	eh.e_ident[0] = 0;
	told(load(), -ENOEXEC, "is not ELF");
	setup(NULL);
	eh.e_ident[EI_CLASS] = 3;
	told(load(), -ENOEXEC, "unknown class");
	setup(NULL);
	eh.e_ident[EI_DATA] = ELFDATA2MSB;
	told(load(), -ENOEXEC, "byte order");
	setup(NULL);
	eh.e_type = ET_DYN;
	told(load(), -ENOEXEC, "not an x86 ELF executable");
	setup(NULL);
	eh.e_machine = EM_ARM;
	told(load(), -ENOEXEC, "not an x86 ELF executable");
	setup(NULL);
	eh.e_phentsize = 0;
	told(load(), -ENOEXEC, "program headers of 0 bytes");
	setup(NULL);
	eh.e_phoff = 0xFFFFFFF0;
	told(load(), -ENOEXEC, "program headers at 0xfffffff0");
	setup(NULL);
	eh.e_phoff = IMAGE_SIZE - 31;
	told(load(), -ENOEXEC, "program headers at 0x1fe1");
	setup(NULL);
	phnum = 0;
	told(load(), -ENOEXEC, "nothing to load");
}

static void lesson_36_bad_segments(void **state)
{
	ph[0].p_filesz = 0x3001;
	told(load(), -ENOEXEC, "more in the file than in memory");
	ph[0].p_filesz = 0x1001;
	told(load(), -ENOEXEC, "truncated: segment at 0x100000 needs file bytes 0x1000+0x1001 of 0x2000");
	ph[0].p_offset = 0xFFFFFFFF;
	told(load(), -ENOEXEC, "truncated");
	setup(NULL);
	ph[0].p_memsz = 0xFFFFFFFF;
	told(load(), -ENOMEM, "is not in the VM's");
	setup(NULL);
	ph[0].p_paddr = 0x9F000; /* reaches into the reserved range */
	told(load(), -ENOMEM, "segment at 0x9f000");
	ph[0].p_paddr = 0xB8000;
	told(load(), -ENOMEM, "segment at 0xb8000");
	ph[0].p_paddr = (8 << 20) - 0x2000;
	told(load(), -ENOMEM, "segment at 0x7fe000");
	setup(NULL);
	ph[1] = (Elf32_Phdr){ PT_LOAD, CODE_AT, 0, BASE + 0x2FFF, 1, 1, PF_R, 1 };
	phnum = 2;
	told(load(), -ENOEXEC, "segments at 0x100000 and 0x102fff overlap");
	phnum = 34;
	for (unsigned int i = 1; i < phnum; i++)
		ph[i] = (Elf32_Phdr){ PT_LOAD, 0, 0, BASE + i * 0x4000, 1, 1, PF_R, 1 };
	header[1] = 3;
	eh.e_phoff = 0x800;
	memcpy(image + 0x800, ph, sizeof(ph[0]) * phnum);
	eh.e_phnum = (uint16_t)phnum;
	memcpy(image, &eh, sizeof(eh));
	told(load_raw(), -ENOEXEC, "more than 32 segments");
}

static void multiboot_elf64_segment_wraps(void **state)
{
	Elf64_Phdr p64 = { PT_LOAD, PF_X, CODE_AT, 0, UINT64_MAX - 0xFFF, 0x800, 0x3000, 4096 };

	assert_int_equal(load64(BASE), 0);
	memcpy(image + sizeof(Elf64_Ehdr), &p64, sizeof(p64));
	ram_writes = 0;
	told(load_raw(), -ENOEXEC, "wraps around");
}

static void multiboot_modules(void **state)
{
	static uint8_t data[5000];
	uint32_t info, mods;

	memset(data, 0x42, sizeof(data));
	vm.modules[0] = (struct vm_image){ data, sizeof(data), "", "first module" };
	vm.modules[1] = (struct vm_image){ data, 0, "/empty", "" };
	vm.modules[2] = (struct vm_image){ data, 1, "/third", "x y" };
	vm.module_count = 3;
	assert_int_equal(load(), 0);
	info = (uint32_t)entry.regs.gpr[GPR_RBX];
	assert_int_equal(ram_u32(info + 20), 3);
	mods = ram_u32(info + 24);
	assert_int_equal(ram_u32(mods), BASE + 0x3000);
	assert_int_equal(ram_u32(mods + 4), BASE + 0x3000 + 5000);
	assert_memory_equal(ram + BASE + 0x3000, data, 5000);
	assert_string_equal((char *)ram + ram_u32(mods + 8), "first module");
	assert_int_equal(ram_u32(mods + 16), BASE + 0x5000);
	assert_int_equal(ram_u32(mods + 20), BASE + 0x5000);
	assert_string_equal((char *)ram + ram_u32(mods + 24), "/empty");
	assert_int_equal(ram_u32(mods + 32), BASE + 0x5000);
	assert_string_equal((char *)ram + ram_u32(mods + 40), "/third x y");
	vm.modules[1].size = 7 << 20;
	ram_writes = 0;
	told(load(), -ENOMEM, "module 1 of 7168 KiB does not fit");
	vm.modules[1].size = UINT64_MAX;
	told(load(), -ENOMEM, "module 1");
}

/* The information goes to the first gap the kernel leaves. */
static void multiboot_info_avoids_the_kernel(void **state)
{
	ph[1] = (Elf32_Phdr){ PT_LOAD, CODE_AT, 0, 0x8000, 0x10, 0x2001, PF_R, 1 };
	phnum = 2;
	assert_int_equal(load(), 0);
	assert_int_equal(entry.gdt.base, 0xB000);
	ph[1].p_memsz = 0x97C00; /* all of it */
	assert_int_equal(load(), 0);
	assert_int_equal(entry.gdt.base, BASE + 0x3000);
	assert_memory_equal(ram + 0x8000, image + CODE_AT, 0x10);
	ph[0].p_memsz = 7 << 20;
	ram_writes = 0;
	told(load(), -ENOMEM, "boot information of 0 KiB does not fit");
}

static void multiboot_kernel_below_1m(void **state)
{
	ph[0].p_paddr = 0x9000;
	vm.modules[0] = (struct vm_image){ image, 16, "", "" };
	vm.module_count = 1;
	assert_int_equal(load(), 0);
	assert_memory_equal(ram + 0x9000, image + CODE_AT, 0x800);
	assert_int_equal(entry.gdt.base, 0xC000);
	assert_memory_equal(ram + 0x100000, image, 16);
}

static void multiboot_long_command_line(void **state)
{
	static char line[1 << 20];

	memset(line, 'a', sizeof(line) - 1);
	vm.kernel.args = line;
	assert_int_equal(load(), 0); /* does not fit below 640K: behind the kernel */
	assert_int_equal(entry.gdt.base, BASE + 0x3000);
	ram_writes = 0;
	ph[0].p_memsz = (6 << 20) + 4096;
	told(load(), -ENOMEM, "boot information of 1024 KiB does not fit");
}

static void multiboot_argv0_is_the_file_if_known(void **state)
{
	strcpy(vm.kernel.file, "/boot/k");
	vm.kernel.args = "";
	assert_int_equal(load(), 0);
	assert_string_equal((char *)ram + ram_u32(entry.regs.gpr[GPR_RBX] + 16), "/boot/k");
}

static void multiboot_write_errors_are_told(void **state)
{
	for (ram_fail_at = 0; load(); ram_fail_at++) {
		assert_true(logged("guest memory cannot be written"));
		log_clear();
		ram_writes = 0;
	}
	assert_true(ram_fail_at > 8);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(multiboot_elf32_loads),
		TEST(multiboot_elf64_container_loads),
		TEST(multiboot_elf64_entry_above_4g),
		TEST(multiboot_address_fields_load),
		TEST(lesson_36_bad_address_fields),
		TEST(multiboot_header_is_searched),
		TEST(multiboot_flags),
		TEST(lesson_36_bad_elf_headers),
		TEST(lesson_36_bad_segments),
		TEST(multiboot_elf64_segment_wraps),
		TEST(multiboot_modules),
		TEST(multiboot_info_avoids_the_kernel),
		TEST(multiboot_kernel_below_1m),
		TEST(multiboot_long_command_line),
		TEST(multiboot_argv0_is_the_file_if_known),
		TEST(multiboot_write_errors_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
