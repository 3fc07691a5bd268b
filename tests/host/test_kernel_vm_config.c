// SPDX-License-Identifier: GPL-2.0-only
/* VM descriptions: every mistake is told by VM name and harms no other VM. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "kernel/vm_config.h"
#include "tests/host/test_kernel_fakes.h"

static const char image[16] = "image";
static struct vm_configs configs;

/* Reads @n strings, each with an image of its own size 1 + index. */
static void read_strings(const char *const *strings, unsigned int n)
{
	struct boot_module m[64];

	assert_true(n <= ARRAY_SIZE(m));
	for (unsigned int i = 0; i < n; i++)
		m[i] = (struct boot_module){ strings[i], image, 1 + i };
	log_clear();
	vm_config_read(&configs, m, n);
}

#define READ(...)                                                                                            \
	do {                                                                                                 \
		const char *const strings_[] = { __VA_ARGS__ };                                              \
		read_strings(strings_, ARRAY_SIZE(strings_));                                                \
	} while (0)

#define GOOD "name=good kind=multiboot mem=4M -- hello  world"

static void assert_only_good(void)
{
	assert_int_equal(configs.count, 1);
	assert_string_equal(configs.vm[0].name, "good");
	assert_string_equal(configs.vm[0].kernel.args, "hello  world");
}

static void two_vms_are_read(void **state)
{
	READ("name=debian kind=linux mem=512M shadow=100 -- console=ttyS0 \"a b\"", "kind=initrd name=debian",
	     "/boot/kernel name=k kind=multiboot", "name=k kind=module -- text of a module",
	     "name=k kind=module file=/second");
	assert_string_equal(log_text, "");
	assert_int_equal(configs.count, 2);
	assert_int_equal(configs.rejected, 0);
	struct vm_config *d = &configs.vm[0], *k = &configs.vm[1];
	assert_string_equal(d->name, "debian");
	assert_int_equal(d->kind, VM_LINUX);
	assert_true(d->memory == 512ull << 20);
	assert_int_equal(d->shadow_pages, 100);
	assert_int_equal(d->kernel.size, 1);
	assert_int_equal(d->initrd.size, 2);
	assert_string_equal(d->kernel.args, "console=ttyS0 \"a b\"");
	assert_string_equal(vm_argv0(d), "debian");
	assert_int_equal(k->kind, VM_MULTIBOOT);
	assert_true(k->memory == VM_MEMORY_DEFAULT);
	assert_int_equal(k->shadow_pages, 0);
	assert_string_equal(vm_argv0(k), "/boot/kernel");
	assert_int_equal(k->module_count, 2);
	assert_string_equal(k->modules[0].args, "text of a module");
	assert_string_equal(k->modules[0].file, "");
	assert_string_equal(k->modules[1].file, "/second");
	assert_int_equal(k->modules[1].size, 5);
}

static void entry_is_read(void **state)
{
	READ("name=a kind=linux", "name=b kind=linux entry=32");
	assert_string_equal(log_text, "");
	assert_false(configs.vm[0].entry_32);
	assert_true(configs.vm[1].entry_32);
}

static void initrd_may_come_first(void **state)
{
	READ("name=a kind=initrd", "name=a kind=linux");
	assert_int_equal(configs.count, 1);
	assert_int_equal(configs.vm[0].initrd.size, 1);
}

static void mistakes_in_one_line(void **state)
{
	static const struct {
		const char *string, *told;
	} bad[] = {
		{ "name=x", "vm \"x\": kind= is missing" },
		{ "name=x kind=windows", "vm \"x\": \"kind=windows\": unknown kind (want linux, multiboot, disk, " },
		{ "name=x kind=disk -- console=ttyS0", "vm \"x\": a disk image takes no arguments" },
		{ "name=x kind=disk kind=linux", "kind= is given twice" },
		{ "name=x kind=disk mem=1M", "memory must be whole" },
		{ "name=x kind=linux kind=linux", "kind= is given twice" },
		{ "name=x name=y kind=linux", "vm \"x\": \"name=y\": name= is given twice" },
		{ "name=x kind=linux mem=12Q", "vm \"x\": \"mem=12Q\": bad memory size" },
		{ "name=x kind=linux mem=1M", "memory must be whole" },
		{ "name=x kind=linux mem=0", "memory must be whole" },
		{ "name=x kind=linux mem=4194305", "memory must be whole" },
		{ "name=x kind=linux mem=513G", "memory must be whole" },
		{ "name=x kind=linux mem=99999999999999999999", "bad memory size" },
		{ "name=x kind=linux mem=4M mem=4M", "mem= is given twice" },
		{ "name=x kind=linux shadow=1", "bad number of shadow pages" },
		{ "name=x kind=linux shadow=64 shadow=64", "shadow= is given twice" },
		{ "name=x kind=linux colour=red", "vm \"x\": \"colour=red\": unknown key" },
		{ "name=x kind=linux noargs", "vm \"x\": \"noargs\": unknown key" },
		{ "colour=red name=x kind=linux", "vm \"x\": \"colour=red\": unknown key" },
		{ "name=x kind=initrd mem=4M", "belong to the kernel's line" },
		{ "name=x kind=linux file=a file=b", "file= is given twice" },
		{ "name=x kind=linux entry=64", "vm \"x\": \"entry=64\": the only entry to ask for is 32" },
		{ "name=x kind=linux entry=", "the only entry to ask for is 32" },
		{ "name=x kind=linux entry=32 entry=32", "entry= is given twice" },
		{ "name=x kind=multiboot entry=32", "entry= belongs to a Linux kernel's line" },
		{ "name=x kind=initrd entry=32", "entry= belongs to a Linux kernel's line" },
		{ "name=x kind=initrd", "vm \"x\": has an initrd but no kernel" },
		{ "name=x kind=module", "vm \"x\": has modules but no kernel" },
		{ "name=x 'kind=linux", "the quote is not closed" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		READ(bad[i].string, GOOD);
		assert_only_good();
		assert_int_equal(configs.rejected, 1);
		if (!logged(bad[i].told) || !logged("vm \"x\" is not started"))
			fail_msg("%s: logged %s", bad[i].string, log_text);
	}
}

static void mistakes_in_names(void **state)
{
	READ("kind=linux", GOOD);
	assert_only_good();
	assert_true(logged("boot module 0 has no name="));
	READ(GOOD, "");
	assert_only_good();
	assert_true(logged("boot module 1 has no name="));
	READ("name= kind=linux", GOOD);
	assert_only_good();
	READ("name=a/b kind=linux", GOOD);
	assert_only_good();
	assert_true(logged("\"name=a/b\": a name is made of"));
	READ("name=12345678901234567890123456789012 kind=linux", GOOD);
	assert_only_good();
	assert_true(logged("longer than 31"));
}

static void mistakes_between_lines(void **state)
{
	READ("name=x kind=linux", GOOD, "name=x kind=linux");
	assert_only_good();
	assert_true(logged("vm \"x\": two kernels"));
	READ("name=x kind=linux", GOOD, "name=x kind=module");
	assert_only_good();
	assert_true(logged("vm \"x\": a Linux kernel takes an initrd"));
	READ("name=x kind=multiboot", GOOD, "name=x kind=initrd");
	assert_only_good();
	assert_true(logged("vm \"x\": a Multiboot kernel takes modules"));
	READ("name=x kind=linux", GOOD, "name=x kind=initrd", "name=x kind=initrd");
	assert_only_good();
	assert_true(logged("vm \"x\": two initrds"));
}

static void a_disk_is_read(void **state)
{
	READ("image.iso name=d kind=disk mem=64M shadow=64 --", GOOD);
	assert_int_equal(configs.count, 2);
	assert_int_equal(configs.vm[0].kind, VM_DISK);
	assert_int_equal(configs.vm[0].kernel.size, 1);
	assert_true(configs.vm[0].memory == 64 << 20);
	assert_int_equal(configs.vm[0].shadow_pages, 64);
}

static void a_disk_is_alone(void **state)
{
	READ("name=x kind=disk", GOOD, "name=x kind=initrd");
	assert_only_good();
	assert_true(logged("vm \"x\": a disk image takes no initrd and no modules"));
	READ("name=x kind=module", GOOD, "name=x kind=disk");
	assert_only_good();
	assert_true(logged("vm \"x\": a disk image takes no initrd and no modules"));
	READ("name=x kind=disk", GOOD, "name=x kind=disk");
	assert_only_good();
	assert_true(logged("vm \"x\": two kernels"));
}

static void empty_images(void **state)
{
	struct boot_module m[] = { { "name=x kind=linux", image, 0 },
				   { "name=z kind=disk", image, 0 },
				   { "name=y kind=linux", image, 4 },
				   { "name=y kind=initrd", image, 0 },
				   { GOOD, image, 1 } };

	log_clear();
	vm_config_read(&configs, m, ARRAY_SIZE(m));
	assert_only_good();
	assert_true(logged("vm \"x\": the kernel is empty"));
	assert_true(logged("vm \"y\": the initrd is empty"));
	assert_true(logged("vm \"z\": the disk image is empty"));
}

static void too_many(void **state)
{
	static char names[VMS_MAX + 2][64];
	const char *strings[VMS_MAX + 2];

	for (unsigned int i = 0; i < ARRAY_SIZE(strings); i++) {
		snprintf(names[i], sizeof(names[i]), "name=vm%u kind=multiboot", i);
		strings[i] = names[i];
	}
	read_strings(strings, ARRAY_SIZE(strings));
	assert_int_equal(configs.count, VMS_MAX);
	assert_int_equal(configs.rejected, 2);
	assert_true(logged("vm \"vm16\": more than 16 VMs"));

	strings[0] = GOOD;
	for (unsigned int i = 1; i < ARRAY_SIZE(strings); i++)
		strings[i] = "name=m kind=module";
	read_strings(strings, ARRAY_SIZE(strings));
	assert_only_good();
	assert_true(logged("vm \"m\": more than 16 modules"));
}

static void null_string_is_empty(void **state)
{
	READ(NULL, GOOD);
	assert_only_good();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_vms_are_read),      cmocka_unit_test(initrd_may_come_first),
		cmocka_unit_test(mistakes_in_one_line),  cmocka_unit_test(mistakes_in_names),
		cmocka_unit_test(mistakes_between_lines), cmocka_unit_test(empty_images),
		cmocka_unit_test(too_many),              cmocka_unit_test(null_string_is_empty),
		cmocka_unit_test(a_disk_is_read),        cmocka_unit_test(a_disk_is_alone),
		cmocka_unit_test(entry_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
