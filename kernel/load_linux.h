/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Loads a Linux bzImage by the 64-bit boot protocol if the kernel has that
 * entry, else by the 32-bit one, which starts with paging off (the kernel's
 * Documentation/arch/x86/boot.rst). The image is hostile input: everything is
 * checked before the first byte of guest memory is written.
 *
 *   0x1000  GDT            0x3000..0x9000  64-bit: page tables, first 4 GiB 1:1
 *   0x2000  boot_params    0x10000         command line
 *   pref_address or above 1 MiB            kernel, init_size bytes
 *   as high as the kernel allows           initrd
 */
#ifndef KERNEL_LOAD_LINUX_H
#define KERNEL_LOAD_LINUX_H

#include "kernel/guest_entry.h"
#include "kernel/vm_config.h"
#include "lib/compiler.h"
#include "mm/guest_mem.h"

/* Puts @vm's kernel, initrd and command line into @m and fills @e. @rsdp:
 * where the ACPI tables are, 0 for none. -ENOEXEC: not a kernel we can load,
 * or damaged; -ENOMEM: does not fit the VM's memory; -E2BIG: command line too
 * long; -EFAULT: @m does not match @layout. All told by VM name. */
must_check int load_linux(struct guest_mem *m, const struct guest_layout *layout, const struct vm_config *vm,
			  gpa_t rsdp, struct guest_entry *e);

#endif
