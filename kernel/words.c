// SPDX-License-Identifier: GPL-2.0-only
/* See kernel/words.h. */
#include "kernel/words.h"
#include "lib/errno.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static char printable(char c)
{
	return c >= ' ' && c <= '~' ? c : '?';
}

enum word_result word_next(const char **cursor, char *word, size_t size)
{
	const char *s = *cursor;
	size_t len = 0;
	char quote = 0;
	bool too_long = false;

	while (is_blank(*s))
		s++;
	word[0] = 0;
	if (!*s) {
		*cursor = s;
		return WORD_END;
	}
	for (; *s && (quote || !is_blank(*s)); s++) {
		if (*s == quote) {
			quote = 0;
			continue;
		}
		if (!quote && (*s == '"' || *s == '\'')) {
			quote = *s;
			continue;
		}
		if (*s == '\\' && s[1])
			s++;
		if (len + 1 < size)
			word[len++] = printable(*s);
		else
			too_long = true;
	}
	word[len] = 0;
	*cursor = s;
	if (quote)
		return WORD_OPEN_QUOTE;
	return too_long ? WORD_TOO_LONG : WORD_OK;
}

const char *word_value(const char *word, const char *key)
{
	while (*key && *word == *key) {
		word++;
		key++;
	}
	return !*key && *word == '=' ? word + 1 : NULL;
}

/* The value of a digit in any base up to 16; 16 for anything else. */
static unsigned int digit(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned int)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (unsigned int)(c - 'a') + 10;
	if (c >= 'A' && c <= 'F')
		return (unsigned int)(c - 'A') + 10;
	return 16;
}

/* Reads the digits at @s, and where they end. */
static int number(const char *s, const char **end, uint64_t *v)
{
	unsigned int base = 10;
	uint64_t n = 0;
	const char *first;

	if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
		base = 16;
		s += 2;
	}
	for (first = s; digit(*s) < base; s++)
		if (__builtin_mul_overflow(n, base, &n) || __builtin_add_overflow(n, digit(*s), &n))
			return -ERANGE;
	if (s == first)
		return -EINVAL;
	*end = s;
	*v = n;
	return 0;
}

int word_number(const char *s, uint64_t *v)
{
	const char *end;
	uint64_t n;
	int err = number(s, &end, &n);

	if (err)
		return err;
	if (*end)
		return -EINVAL;
	*v = n;
	return 0;
}

static int size_shift(char c)
{
	switch (c) {
	case 'k':
	case 'K':
		return 10;
	case 'm':
	case 'M':
		return 20;
	case 'g':
	case 'G':
		return 30;
	default:
		return -1;
	}
}

int word_size(const char *s, uint64_t *bytes)
{
	const char *end;
	uint64_t n;
	int shift, err = number(s, &end, &n);

	if (err)
		return err;
	if (*end) {
		shift = size_shift(*end);
		if (shift < 0 || end[1])
			return -EINVAL;
		if (n > UINT64_MAX >> shift)
			return -ERANGE;
		n <<= shift;
	}
	*bytes = n;
	return 0;
}
