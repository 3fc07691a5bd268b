/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which virtual machines to start: read from the strings that stand behind
 * the boot modules in grub.cfg (docs/configuration.md has the syntax).
 *
 *   module2 /boot/vmlinuz    name=debian kind=linux mem=512M -- console=ttyS0
 *   module2 /boot/initrd.img name=debian kind=initrd
 *
 * Each mistake is told with the name of its VM, that VM is left out, and the
 * others start. Pure: the result points into the strings and images given,
 * which must outlive it.
 */
#ifndef KERNEL_VM_CONFIG_H
#define KERNEL_VM_CONFIG_H

#include "lib/compiler.h"
#include "lib/types.h"
#include "pagetrack/integrity_guard.h"

#define VM_NAME_MAX 31
#define VMS_MAX 16
#define VM_MODULES_MAX 16
#define VM_FILE_MAX 63
#define VM_FREEZE_MAX 8
#define VM_TRACK_PERIOD_MAX 1000000
#define VM_MEMORY_DEFAULT (256ull << 20)
#define VM_WATCHES_DEFAULT 64
#define VM_WATCHES_MAX 256

/* What the boot loader handed over. @string is terminated; NULL is empty. */
struct boot_module {
	const char *string;
	const void *data;
	uint64_t size;
};

struct vm_image {
	const void *data; /* NULL: there is none */
	uint64_t size;
	char file[VM_FILE_MAX + 1]; /* file=, or what stood in front of the first key; may be empty */
	const char *args;           /* what follows "--", never NULL */
};

/* [base, base + length) of guest-physical memory that nobody may write to. */
struct vm_freeze {
	uint64_t base, length;
	enum guard_response response;
	bool later; /* not at once, but when the person at the console says so */
};

enum vm_kind { VM_LINUX, VM_MULTIBOOT, VM_DISK };

struct vm_config {
	char name[VM_NAME_MAX + 1];
	enum vm_kind kind;
	uint64_t memory;       /* bytes, fit for guest_layout_init() */
	uint32_t shadow_pages; /* 0: none named */
	uint32_t calls;        /* hypercalls that it may make, as SPOOR_MAY() bits; 0: none */
	uint32_t watches;      /* ranges that it may track or freeze at a time; 0: no calls */
	unsigned int track_modes; /* PAGE_TRACK_W, _R, _X on all pages; 0: not asked for */
	uint32_t track_period; /* milliseconds; 0: every access tells */
	struct vm_freeze freeze[VM_FREEZE_MAX];
	unsigned int freeze_count;
	bool entry_32;         /* VM_LINUX: the 32-bit entry even if there is a 64-bit one */
	struct vm_image kernel;                 /* VM_DISK: the disk image */
	struct vm_image initrd;                 /* VM_LINUX */
	struct vm_image modules[VM_MODULES_MAX]; /* VM_MULTIBOOT */
	unsigned int module_count;
	bool broken; /* used while reading; false in every result */
};

struct vm_configs {
	struct vm_config vm[VMS_MAX]; /* in the order their names first appear */
	unsigned int count;
	unsigned int rejected; /* VMs and modules left out, each told */
};

/* Fills @c from all of @modules; see above for mistakes. */
void vm_config_read(struct vm_configs *c, const struct boot_module *modules, unsigned int count);

/* A guest without a file name still expects argv[0] in its command line. */
static inline const char *vm_argv0(const struct vm_config *vm)
{
	return vm->kernel.file[0] ? vm->kernel.file : vm->name;
}

#endif
