// SPDX-License-Identifier: GPL-2.0-only
/* Formatting into a bounded buffer; no state. */
#include "lib/format.h"
#include <stdbool.h>
#include <stdint.h>

struct out {
	char *buf;
	size_t size, len;
};

struct spec {
	bool left, zero;
	int width, precision; /* precision -1: none */
	int longs;            /* 0 int, 1 long, 2 long long */
};

static void put(struct out *o, char c)
{
	if (o->len + 1 < o->size)
		o->buf[o->len++] = c;
}

static void put_padded(struct out *o, const struct spec *s, const char *text, int len)
{
	int pad = s->width - len;

	for (; !s->left && pad > 0; pad--)
		put(o, s->zero ? '0' : ' ');
	for (int i = 0; i < len; i++)
		put(o, text[i]);
	for (; s->left && pad > 0; pad--)
		put(o, ' ');
}

static void put_number(struct out *o, const struct spec *s, uint64_t v, unsigned int base, bool negative,
		       const char *digits)
{
	char text[24];
	int at = sizeof(text);
	struct spec rest = *s;

	do {
		text[--at] = digits[v % base];
		v /= base;
	} while (v);
	if (negative && s->zero && !s->left) { /* the sign stands before the zeros */
		put(o, '-');
		rest.width--;
	} else if (negative) {
		text[--at] = '-';
	}
	put_padded(o, &rest, text + at, (int)sizeof(text) - at);
}

static void put_string(struct out *o, const struct spec *s, const char *text)
{
	struct spec plain = *s;
	int len = 0;

	if (!text)
		text = "(null)";
	while ((s->precision < 0 || len < s->precision) && text[len])
		len++;
	plain.zero = false;
	put_padded(o, &plain, text, len);
}

static const char *parse_spec(struct spec *s, const char *f, va_list args)
{
	*s = (struct spec){ .precision = -1 };
	for (; *f == '-' || *f == '0'; f++) {
		s->left |= *f == '-';
		s->zero |= *f == '0';
	}
	if (*f == '*') {
		s->width = va_arg(args, int);
		f++;
	}
	for (; *f >= '0' && *f <= '9'; f++)
		s->width = s->width * 10 + (*f - '0');
	if (*f == '.') {
		s->precision = 0;
		if (*++f == '*') {
			s->precision = va_arg(args, int);
			f++;
		}
		for (; *f >= '0' && *f <= '9'; f++)
			s->precision = s->precision * 10 + (*f - '0');
	}
	for (; *f == 'l' || *f == 'h' || *f == 'z'; f++)
		s->longs += *f == 'h' ? 0 : *f == 'z' ? 2 : 1;
	return f;
}

static uint64_t get_unsigned(const struct spec *s, va_list args)
{
	return s->longs ? va_arg(args, uint64_t) : va_arg(args, unsigned int);
}

static void put_one(struct out *o, const struct spec *s, char conversion, va_list args)
{
	static const char lower[] = "0123456789abcdef", upper[] = "0123456789ABCDEF";
	int64_t v;
	char c;

	switch (conversion) {
	case 'd':
	case 'i':
		v = s->longs ? va_arg(args, int64_t) : va_arg(args, int);
		put_number(o, s, v < 0 ? 0 - (uint64_t)v : (uint64_t)v, 10, v < 0, lower);
		break;
	case 'u':
		put_number(o, s, get_unsigned(s, args), 10, false, lower);
		break;
	case 'x':
	case 'X':
		put_number(o, s, get_unsigned(s, args), 16, false, conversion == 'x' ? lower : upper);
		break;
	case 'p':
		put(o, '0');
		put(o, 'x');
		put_number(o, s, (uintptr_t)va_arg(args, void *), 16, false, lower);
		break;
	case 's':
		put_string(o, s, va_arg(args, const char *));
		break;
	case 'c':
		c = (char)va_arg(args, int);
		put_padded(o, s, &c, 1);
		break;
	default:
		put(o, conversion);
	}
}

/* va_list is an array on x86-64: the helpers advance the caller's. */
size_t format_args(char *buf, size_t size, const char *fmt, va_list args)
{
	struct out o = { buf, size, 0 };
	struct spec s;

	for (const char *f = fmt; *f; f++) {
		if (*f != '%') {
			put(&o, *f);
			continue;
		}
		f = parse_spec(&s, f + 1, args);
		if (!*f)
			break;
		put_one(&o, &s, *f, args);
	}
	if (size)
		buf[o.len] = '\0';
	return o.len;
}

size_t format(char *buf, size_t size, const char *fmt, ...)
{
	va_list args;
	size_t n;

	va_start(args, fmt);
	n = format_args(buf, size, fmt, args);
	va_end(args);
	return n;
}
