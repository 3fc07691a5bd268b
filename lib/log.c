// SPDX-License-Identifier: GPL-2.0-only
/* One line at a time to log_sink(). A line too long is cut, never split. */
#include "lib/log.h"
#include "lib/format.h"

#define LINE_MAX 512

static void log_line(const char *prefix, const char *fmt, va_list args)
{
	char line[LINE_MAX];
	size_t n = format(line, sizeof(line) - 1, "spoor: %s", prefix);

	n += format_args(line + n, sizeof(line) - 1 - n, fmt, args);
	if (!n || line[n - 1] != '\n')
		line[n++] = '\n';
	log_sink(line, n);
}

void log_info(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	log_line("", fmt, args);
	va_end(args);
}

void log_error(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	log_line("error: ", fmt, args);
	va_end(args);
}
