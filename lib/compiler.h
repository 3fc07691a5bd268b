/* SPDX-License-Identifier: GPL-2.0-only */
/* Names for the gcc and clang attributes in use. */
#ifndef LIB_COMPILER_H
#define LIB_COMPILER_H

#define must_check __attribute__((warn_unused_result))
#define noreturn __attribute__((noreturn))
#define PACKED __attribute__((packed))
#define aligned_to(n) __attribute__((aligned(n)))
#define printf_like(fmt, args) __attribute__((format(printf, fmt, args)))
#define unused __attribute__((unused))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))

#endif
