/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The hypervisor's own address space.
 *
 *   1 MiB ..                 the image, where it is linked, W^X by section
 *   DIRECT_MAP_BASE + hpa    RAM but the image, no execute; devices page by page, uncached
 *
 * Nothing else is mapped: not address 0, not the guard pages below stacks.
 */
#ifndef KERNEL_PAGING_H
#define KERNEL_PAGING_H

#include "boot/boot_info.h"
#include "lib/types.h"

#define DIRECT_MAP_BASE 0xffff888000000000ull

/* Leaves the early tables, which map the first 4 GiB, for the final ones.
 * @ram: every byte of RAM to be reached. False: out of memory. */
must_check bool paging_init(const struct boot_range *ram, unsigned int count);

/* A 4 KiB page of device registers. May be called again for the same page.
 * NULL: the address is no page's, is RAM, or there is no memory; logged. */
volatile void *paging_map_device(hpa_t page);

#endif
