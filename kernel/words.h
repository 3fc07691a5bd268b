/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Words and numbers in the strings that a boot loader hands over. Words are
 * separated by blanks; '...' and "..." keep blanks together, and a backslash
 * takes the next character as it is, which is how GRUB writes an argument
 * that holds a blank or a quote. Pure: no memory, no state.
 */
#ifndef KERNEL_WORDS_H
#define KERNEL_WORDS_H

#include "lib/compiler.h"
#include "lib/types.h"

enum word_result {
	WORD_END,        /* no further word; @word is empty */
	WORD_OK,
	WORD_TOO_LONG,   /* @word holds its first size - 1 characters */
	WORD_OPEN_QUOTE, /* the string ends inside quotes */
};

/* Takes the next word off *@cursor into @word (@size >= 1 bytes, always
 * terminated), quotes removed. Characters that are not printable ASCII
 * become '?', so that a word can be shown to a person. */
enum word_result word_next(const char **cursor, char *word, size_t size);

/* "key=value": the value, or NULL when @word does not begin with "@key=". */
const char *word_value(const char *word, const char *key);

/* Decimal, or hexadecimal behind 0x. -EINVAL: no number, or something after
 * it; -ERANGE: beyond 64 bits. *@v is unchanged on error. */
must_check int word_number(const char *s, uint64_t *v);

/* A number with K, M or G (powers of 1024, either case) behind it, or none.
 * Errors as word_number(). */
must_check int word_size(const char *s, uint64_t *bytes);

#endif
