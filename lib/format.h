/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Text formatting, a subset of printf: %d %i %u %x %X %c %s %p %%, the
 * lengths h hh l ll z, the flags 0 and -, a width, and a precision for %s.
 * The attribute lets the compiler check every call.
 */
#ifndef LIB_FORMAT_H
#define LIB_FORMAT_H

#include <stdarg.h>
#include <stddef.h>
#include "lib/compiler.h"

/* Writes at most @size bytes with the terminator; cuts what does not fit.
 * Returns the length written, without the terminator. */
size_t format_args(char *buf, size_t size, const char *fmt, va_list args);
printf_like(3, 4) size_t format(char *buf, size_t size, const char *fmt, ...);

#endif
