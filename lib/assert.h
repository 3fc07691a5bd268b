/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Assertions, for our own bugs only: nothing a guest, a boot loader or a
 * user does may reach one. ASSERT is always compiled in.
 */
#ifndef LIB_ASSERT_H
#define LIB_ASSERT_H

#include "lib/compiler.h"

/* Reports and stops the machine (metal) or aborts (host). */
noreturn void assert_failed(const char *file, int line, const char *what);

#define ASSERT(cond) ((cond) ? (void)0 : assert_failed(__FILE__, __LINE__, #cond))

#endif
