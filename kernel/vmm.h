/* SPDX-License-Identifier: GPL-2.0-only */
/* The run of all virtual machines, from the first to the last. */
#ifndef KERNEL_VMM_H
#define KERNEL_VMM_H

#include "boot/boot_info.h"
#include "kernel/options.h"

/* Makes the VMs the boot modules describe and runs them until the last has
 * stopped. The machine is up: memory, traps, clock, console, VMX. */
void vmm_start(const struct boot_info *info, const struct options *options);

#endif
