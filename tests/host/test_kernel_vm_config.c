// SPDX-License-Identifier: GPL-2.0-only
/* VM descriptions: every mistake is told by VM name and harms no other VM. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "guests/spoor_hypercall.h"
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

#define MAY(name) SPOOR_MAY(SPOOR_CALL_##name)

static void calls_are_read(void **state)
{
	READ("name=a kind=linux", "name=b kind=linux calls=track", "name=c kind=multiboot calls=freeze watches=256",
	     "name=d kind=disk calls=who,freeze", "name=e kind=linux watches=1 calls=thaw,freeze,who,track",
	     "name=f kind=linux calls=freeze,thaw");
	assert_string_equal(log_text, "");
	assert_int_equal(configs.count, 6);
	assert_int_equal(configs.vm[0].calls, 0); /* nothing is allowed unless it is named */
	assert_int_equal(configs.vm[0].watches, 0);
	assert_int_equal(configs.vm[1].calls, MAY(TRACK) | MAY(UNTRACK) | MAY(EVENTS));
	assert_int_equal(configs.vm[1].watches, VM_WATCHES_DEFAULT);
	assert_int_equal(configs.vm[2].calls, MAY(FREEZE) | MAY(EVENTS)); /* for good */
	assert_int_equal(configs.vm[2].watches, 256);
	assert_int_equal(configs.vm[3].calls, MAY(FREEZE) | MAY(EVENTS) | MAY(WHO));
	assert_int_equal(configs.vm[3].watches, VM_WATCHES_DEFAULT);
	assert_int_equal(configs.vm[4].calls,
			 MAY(TRACK) | MAY(UNTRACK) | MAY(FREEZE) | MAY(THAW) | MAY(EVENTS) | MAY(WHO));
	assert_int_equal(configs.vm[4].watches, 1);
	assert_int_equal(configs.vm[5].calls, MAY(FREEZE) | MAY(THAW) | MAY(EVENTS));
}

static void tracking_is_read(void **state)
{
	READ("name=a kind=linux", "name=b kind=linux track=w", "name=c kind=multiboot track=xr:1",
	     "name=d kind=disk track=rwx:1000000", "name=e kind=linux track=x:0x10");
	assert_string_equal(log_text, "");
	assert_int_equal(configs.count, 5);
	assert_int_equal(configs.vm[0].track_modes, 0);
	assert_int_equal(configs.vm[0].track_period, 0);
	assert_int_equal(configs.vm[1].track_modes, PAGE_TRACK_W);
	assert_int_equal(configs.vm[1].track_period, 0);
	assert_int_equal(configs.vm[2].track_modes, PAGE_TRACK_R | PAGE_TRACK_X);
	assert_int_equal(configs.vm[2].track_period, 1);
	assert_int_equal(configs.vm[3].track_modes, PAGE_TRACK_R | PAGE_TRACK_W | PAGE_TRACK_X);
	assert_int_equal(configs.vm[3].track_period, VM_TRACK_PERIOD_MAX);
	assert_int_equal(configs.vm[4].track_modes, PAGE_TRACK_X);
	assert_int_equal(configs.vm[4].track_period, 16);
}

static void assert_frozen(const struct vm_freeze *f, uint64_t base, uint64_t length,
			  enum guard_response response, bool later)
{
	assert_int_equal(f->base, base);
	assert_int_equal(f->length, length);
	assert_int_equal(f->response, response);
	assert_int_equal(f->later, later);
}

static void freezing_is_read(void **state)
{
	READ("name=a kind=linux",
	     "name=b kind=linux freeze=0x1000+64:report freeze-later=4K+2k:pf freeze=1m+1M:gp",
	     "name=c kind=multiboot freeze-later=1G+1g:skip", "name=d kind=disk freeze=0+1:stop track=w");
	assert_string_equal(log_text, "");
	assert_int_equal(configs.count, 4);
	assert_int_equal(configs.vm[0].freeze_count, 0);
	assert_int_equal(configs.vm[1].freeze_count, 3);
	assert_frozen(&configs.vm[1].freeze[0], 0x1000, 64, GUARD_REPORT, false);
	assert_frozen(&configs.vm[1].freeze[1], 0x1000, 0x800, GUARD_DENY_PF, true);
	assert_frozen(&configs.vm[1].freeze[2], 1 << 20, 1 << 20, GUARD_DENY_GP, false);
	assert_int_equal(configs.vm[2].freeze_count, 1);
	assert_frozen(&configs.vm[2].freeze[0], 1 << 30, 1 << 30, GUARD_SKIP, true);
	assert_int_equal(configs.vm[3].freeze_count, 1);
	assert_frozen(&configs.vm[3].freeze[0], 0, 1, GUARD_STOP, false);
	assert_int_equal(configs.vm[3].track_modes, PAGE_TRACK_W);
}

static void eight_ranges_and_no_more(void **state)
{
#define EIGHT(name)                                                                                          \
	"name=" name " kind=linux freeze=1K+1:gp freeze-later=2K+2:gp freeze=3K+3:gp freeze=4K+4:gp "        \
	"freeze=5K+5:gp freeze=6K+6:gp freeze-later=7K+7:gp freeze=8K+8:gp"
	READ(EIGHT("a"));
	assert_string_equal(log_text, "");
	assert_int_equal(configs.vm[0].freeze_count, VM_FREEZE_MAX);
	for (unsigned int i = 0; i < VM_FREEZE_MAX; i++)
		assert_frozen(&configs.vm[0].freeze[i], (i + 1) << 10, i + 1, GUARD_DENY_GP,
			      i == 1 || i == 6);
	READ(EIGHT("x") " freeze=9K+9:gp", GOOD);
	assert_only_good();
	assert_true(logged("vm \"x\": \"freeze=9K+9:gp\": more than 8 ranges to freeze"));
	READ(EIGHT("x") " freeze-later=9K+9:gp", GOOD);
	assert_only_good();
	assert_true(logged("vm \"x\": \"freeze-later=9K+9:gp\": more than 8 ranges to freeze"));
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
		{ "name=x kind=linux calls=", "vm \"x\": \"calls=\": unknown call" },
		{ "name=x kind=linux calls=trac", "unknown call" },
		{ "name=x kind=linux calls=tracks", "unknown call" },
		{ "name=x kind=linux calls=track,", "unknown call" },
		{ "name=x kind=linux calls=,track", "unknown call" },
		{ "name=x kind=linux calls=track,,who", "unknown call" },
		{ "name=x kind=linux calls=track,all", "vm \"x\": \"calls=track,all\": unknown call" },
		{ "name=x kind=linux calls=thaw", "thaw without freeze" },
		{ "name=x kind=linux calls=track,thaw", "thaw without freeze" },
		{ "name=x kind=linux calls=track calls=who", "calls= is given twice" },
		{ "name=x kind=linux calls=track watches=0", "bad number of watches" },
		{ "name=x kind=linux calls=track watches=257", "bad number of watches" },
		{ "name=x kind=linux calls=track watches=many", "bad number of watches" },
		{ "name=x kind=linux calls=track watches=5 watches=5", "watches= is given twice" },
		{ "name=x kind=linux calls=who", "who without track or freeze" },
		{ "name=x kind=linux watches=5", "watches= without calls=" },
		{ "name=x kind=initrd calls=track", "calls= and watches= belong to the kernel's line" },
		{ "name=x kind=module watches=5", "calls= and watches= belong to the kernel's line" },
		{ "name=x kind=linux track=", "vm \"x\": \"track=\": bad track= (want some of r, w and x, " },
		{ "name=x kind=linux track=:100", "bad track=" },
		{ "name=x kind=linux track=rwz", "vm \"x\": \"track=rwz\": bad track=" },
		{ "name=x kind=linux track=W", "bad track=" },
		{ "name=x kind=linux track=wrw", "bad track=" },
		{ "name=x kind=linux track=w:", "bad track=" },
		{ "name=x kind=linux track=w:0", "bad track=" },
		{ "name=x kind=linux track=w:1000001", "bad track=" },
		{ "name=x kind=linux track=w:100ms", "bad track=" },
		{ "name=x kind=linux track=w:1:1", "bad track=" },
		{ "name=x kind=linux track=w track=w", "track= is given twice" },
		{ "name=x kind=initrd track=w", "vm \"x\": track= belongs to the kernel's line" },
		{ "name=x kind=module track=w:5", "track= belongs to the kernel's line" },
		{ "name=x kind=linux freeze=", "vm \"x\": \"freeze=\": bad freeze= (want BASE+" },
		{ "name=x kind=linux freeze=1M", "bad freeze=" },
		{ "name=x kind=linux freeze=1M+1K", "bad freeze=" },
		{ "name=x kind=linux freeze=1M+1K:", "bad freeze=" },
		{ "name=x kind=linux freeze=1M:gp", "bad freeze=" },
		{ "name=x kind=linux freeze=+1K:gp", "bad freeze=" },
		{ "name=x kind=linux freeze=1M+:gp", "bad freeze=" },
		{ "name=x kind=linux freeze=1M+0:gp", "bad freeze=" },
		{ "name=x kind=linux freeze=1T+1K:gp", "bad freeze=" },
		{ "name=x kind=linux freeze=1M+1Q:gp", "bad freeze=" },
		{ "name=x kind=linux freeze=1M+1K:deny", "vm \"x\": \"freeze=1M+1K:deny\": bad freeze=" },
		{ "name=x kind=linux freeze=1M+1K:gp:", "bad freeze=" },
		{ "name=x kind=linux freeze=1M+1K:GP", "bad freeze=" },
		{ "name=x kind=linux freeze=0x0000000000000000000000001+1K:gp", "bad freeze=" },
		{ "name=x kind=linux freeze-later=1M", "vm \"x\": \"freeze-later=1M\": bad freeze=" },
		{ "name=x kind=initrd freeze=1M+1K:gp", "vm \"x\": freeze= belongs to the kernel's line" },
		{ "name=x kind=module freeze-later=1M+1K:gp", "freeze= belongs to the kernel's line" },
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
		cmocka_unit_test(entry_is_read),         cmocka_unit_test(calls_are_read),
		cmocka_unit_test(tracking_is_read),      cmocka_unit_test(freezing_is_read),
		cmocka_unit_test(eight_ranges_and_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
