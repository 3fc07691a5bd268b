/* SPDX-License-Identifier: GPL-2.0-only */
/* The machine's memory: who gets which page. Supplies lib/alloc.h and
 * mm/port.h on the metal. */
#ifndef KERNEL_MEMORY_H
#define KERNEL_MEMORY_H

#include "boot/boot_info.h"
#include "lib/compiler.h"
#include "lib/types.h"

/* Takes over @b->ram less the image, the modules and the first MiB, and
 * builds the final page tables. False, with a message: not enough. */
must_check bool memory_init(struct boot_info *b);

/* Contiguous RAM for a guest, aligned to 2 MiB, zeroed. NULL: none. */
void *memory_guest_alloc(uint64_t bytes);
void memory_guest_free(void *p, uint64_t bytes);

uint64_t memory_free_pages(void);
uint64_t memory_total_pages(void);

#endif
