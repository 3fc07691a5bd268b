// SPDX-License-Identifier: GPL-2.0-only
/*
 * Strings from the boot loader as hostile input: the command line, and the
 * descriptions of VMs, one for each line of the input. Every result must be
 * within the documented limits.
 */
#include "kernel/options.h"
#include "kernel/vm_config.h"
#include "tests/host/test_kernel_fakes.h"

#define LINES_MAX 40

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool cond)
{
	if (!cond)
		abort();
}

static void check_vm(const struct vm_config *vm)
{
	struct guest_layout l;

	require(vm->name[0] && strlen(vm->name) <= VM_NAME_MAX);
	require(vm->kernel.data && vm->kernel.size && vm->kernel.args);
	require(guest_layout_init(&l, vm->memory) == 0);
	require(vm->module_count <= VM_MODULES_MAX);
	require(vm->kind == VM_LINUX ? vm->module_count == 0 : vm->initrd.data == NULL);
	require(!vm->broken);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct vm_configs configs;
	struct boot_module modules[LINES_MAX];
	unsigned int n = 0;
	struct options o;
	char *text = malloc(size + 1);

	memcpy(text, data, size);
	text[size] = 0;
	log_clear();
	options_parse(&o, text, size & 1);
	require(!o.shadow_pages ||
		(o.shadow_pages >= OPTIONS_SHADOW_PAGES_MIN && o.shadow_pages <= OPTIONS_SHADOW_PAGES_MAX));
	require(o.console_baud > 0 && o.console_baud <= 115200);

	for (char *line = text; line && n < LINES_MAX; n++) {
		char *end = strchr(line, '\n');

		if (end)
			*end++ = 0;
		modules[n] = (struct boot_module){ line, "image", strlen(line) % 3 };
		line = end;
	}
	vm_config_read(&configs, modules, n);
	require(configs.count <= VMS_MAX);
	for (unsigned int i = 0; i < configs.count; i++) {
		check_vm(&configs.vm[i]);
		for (unsigned int j = 0; j < i; j++)
			require(strcmp(configs.vm[i].name, configs.vm[j].name) != 0);
	}
	free(text);
	return 0;
}
