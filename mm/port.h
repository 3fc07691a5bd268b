/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * All that mm/ needs from the machine beside memory (lib/alloc.h): the way
 * between a physical address and a pointer. On the metal it is the direct
 * map; on the host an arena with made-up physical addresses. Chosen by
 * linking.
 */
#ifndef MM_PORT_H
#define MM_PORT_H

#include "lib/types.h"

/* @a is RAM owned by the hypervisor or by a guest. */
void *port_hpa_to_va(hpa_t a);
/* @va came from mem_zalloc() or port_hpa_to_va(). */
hpa_t port_va_to_hpa(const void *va);

#endif
