/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests of kernel/ put under the code they test: a log that
 * remembers, and guest RAM as one array that refuses what is not RAM. To be
 * included by one test program each.
 */
#ifndef TESTS_HOST_TEST_KERNEL_FAKES_H
#define TESTS_HOST_TEST_KERNEL_FAKES_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "kernel/guest_entry.h"
#include "lib/errno.h"
#include "lib/log.h"
#include "mm/guest_mem.h"

static char log_text[16384];
static size_t log_len;

static inline void log_clear(void)
{
	log_len = 0;
	log_text[0] = 0;
}

static inline void log_add(const char *prefix, const char *fmt, va_list args)
{
	if (log_len > sizeof(log_text) / 2)
		log_clear();
	log_len += (size_t)snprintf(log_text + log_len, sizeof(log_text) - log_len, "%s", prefix);
	log_len += (size_t)vsnprintf(log_text + log_len, sizeof(log_text) - log_len, fmt, args);
	log_len += (size_t)snprintf(log_text + log_len, sizeof(log_text) - log_len, "\n");
}

void log_info(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	log_add("", fmt, args);
	va_end(args);
}

void log_error(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	log_add("error: ", fmt, args);
	va_end(args);
}

static inline bool logged(const char *what)
{
	return strstr(log_text, what) != NULL;
}

/* ---- guest RAM ------------------------------------------------------------ */

static uint8_t *ram;
static struct guest_layout ram_layout;
static uint64_t ram_writes, ram_fail_at = UINT64_MAX;

/* RAM below 4 GiB only; freed by ram_close(). */
static inline void ram_open(uint64_t bytes)
{
	if (guest_layout_init(&ram_layout, bytes))
		abort();
	free(ram);
	ram = calloc(1, ram_layout.low_memory);
	if (!ram)
		abort();
	ram_writes = 0;
	ram_fail_at = UINT64_MAX;
}

static inline void ram_close(void)
{
	free(ram);
	ram = NULL;
}

/* RAM as the guest is told, and what its firmware is in. */
static inline bool ram_is_there(uint64_t base, size_t len)
{
	return guest_layout_is_ram(&ram_layout, base, len) ||
	       (base >= GUEST_FIRMWARE_BASE && base < GUEST_HIGH_BASE && len <= GUEST_HIGH_BASE - base);
}

int guest_write(struct guest_mem *m, gpa_t addr, const void *src, size_t len, const struct access_origin *origin)
{
	if (origin->agent != AGENT_LOADER || ram_writes++ >= ram_fail_at)
		return -EFAULT;
	if (addr.v > ram_layout.low_memory || len > ram_layout.low_memory - addr.v)
		return -EFAULT;
	if (!ram_is_there(addr.v, len))
		return -EFAULT;
	memcpy(ram + addr.v, src, len);
	return 0;
}

static inline uint32_t ram_u32(uint64_t at)
{
	uint32_t v;

	memcpy(&v, ram + at, sizeof(v));
	return v;
}

static inline uint64_t ram_u64(uint64_t at)
{
	uint64_t v;

	memcpy(&v, ram + at, sizeof(v));
	return v;
}

#endif
