/* SPDX-License-Identifier: GPL-2.0-only */
/* What a host test may ask of the made-up machine (port_host.c). */
#ifndef TESTS_HOST_PORT_HOST_H
#define TESTS_HOST_PORT_HOST_H

#include <stddef.h>

/* Pages handed out and not yet freed. */
size_t host_pages_used(void);
/* Fail the allocation after @nth more succeeded; -1: never. */
void host_fail_allocation(long nth);

#endif
