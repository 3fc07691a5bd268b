// SPDX-License-Identifier: GPL-2.0-only
/*
 * Kernel images as hostile input. The first byte chooses the loader and the
 * size of the VM; the rest is the image. Whatever it holds, nothing outside
 * the image is read and nothing outside the VM's RAM is written; an accepted
 * image has been loaded without a write error.
 */
#include "kernel/load_disk.h"
#include "kernel/load_linux.h"
#include "kernel/load_multiboot.h"
#include "tests/host/test_kernel_fakes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint64_t memory[] = { 2 << 20, 4 << 20, 20 << 20, 34 << 20 };
	static uint8_t module[3000];
	struct vm_config vm = { .name = "fuzz", .kernel = { .args = "x" }, .memory = 1 };
	struct guest_entry e;
	uint8_t *image;
	int err;

	if (size < 2)
		return 0;
	image = malloc(size - 1); /* of its own, so that a read beyond it is seen */
	memcpy(image, data + 1, size - 1);
	vm.kernel.data = image;
	vm.kernel.size = size - 1;
	ram_open(memory[data[0] >> 6]);
	log_clear();
	if ((data[0] & 7) == 6) {
		err = load_disk(NULL, &ram_layout, &vm, &e);
	} else if (data[0] & 1) {
		vm.entry_32 = data[0] & 2;
		vm.initrd = (struct vm_image){ .data = module, .size = sizeof(module), .args = "" };
		err = load_linux(NULL, &ram_layout, &vm, gpa(0xF0000), &e);
	} else {
		vm.module_count = data[0] >> 1 & 3;
		for (unsigned int i = 0; i < vm.module_count; i++)
			vm.modules[i] = (struct vm_image){ .data = module, .size = sizeof(module), .args = "m" };
		err = load_multiboot(NULL, &ram_layout, &vm, &e);
	}
	if (err == -EFAULT || (err && !logged("error: vm \"fuzz\": ")))
		abort();
	ram_close();
	free(image);
	return 0;
}
