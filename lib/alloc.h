/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where the pure folders get their memory from. On the metal it is
 * mm/page_alloc.c, on the host an arena that poisons what is freed and can
 * fail the n-th request. Whole pages only: small objects live in pools that
 * their owners carve out of such areas.
 */
#ifndef LIB_ALLOC_H
#define LIB_ALLOC_H

#include "lib/types.h"

/* Zeroed, physically contiguous, page-aligned; @bytes is rounded up to whole
 * pages. NULL when there is none (or @bytes is 0). */
void *mem_zalloc(size_t bytes);

/* The same, at a physical address below 4 GiB, where CR3 of a CPU in PAE
 * paging can point. */
void *mem_zalloc_low(size_t bytes);

/* Frees what mem_zalloc(@bytes) or mem_zalloc_low(@bytes) returned. NULL is allowed. */
void mem_free(void *p, size_t bytes);

#endif
