/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Loads a Multiboot (version 1) kernel: an ELF32 or ELF64 executable whose
 * entry is 32-bit code, or any file with the address fields in its header.
 * The entry address is taken as it stands. The image is hostile input:
 * everything is checked before the first byte of guest memory is written.
 *
 *   where the kernel says   its segments
 *   behind them, above 1M   modules, each on a page of its own
 *   from 0x9000 up          GDT and boot information, in the lowest gap that
 *                           the kernel leaves; else behind the modules
 */
#ifndef KERNEL_LOAD_MULTIBOOT_H
#define KERNEL_LOAD_MULTIBOOT_H

#include "kernel/guest_entry.h"
#include "kernel/vm_config.h"
#include "lib/compiler.h"
#include "mm/guest_mem.h"

/* Puts @vm's kernel, modules and boot information into @m and fills @e.
 * -ENOEXEC: not a kernel we can load, or damaged; -ENOMEM: does not fit the
 * VM's memory; -EFAULT: @m does not match @layout. All told by VM name. */
must_check int load_multiboot(struct guest_mem *m, const struct guest_layout *layout,
			      const struct vm_config *vm, struct guest_entry *e);

#endif
