/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Messages to the person at the console. One call is one or more whole
 * lines; each line comes out as "spoor: ...". The sink is the console on the
 * metal and stderr on the host.
 */
#ifndef LIB_LOG_H
#define LIB_LOG_H

#include <stdarg.h>
#include <stddef.h>
#include "lib/compiler.h"

printf_like(1, 2) void log_info(const char *fmt, ...);

/* Like log_info(), with "error: " in front. */
printf_like(1, 2) void log_error(const char *fmt, ...);

/* Where finished lines go; supplied by the kernel or by the host tests. */
void log_sink(const char *text, size_t len);

#endif
