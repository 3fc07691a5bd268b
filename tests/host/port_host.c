/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The machine, as the host tests see it: an arena of pages with made-up
 * physical addresses. Freed pages are poisoned for AddressSanitizer, the
 * n-th allocation can be made to fail, and what is in use is counted.
 */
#include <sanitizer/asan_interface.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "lib/alloc.h"
#include "lib/assert.h"
#include "lib/log.h"
#include "mm/port.h"
#include "tests/host/port_host.h"

/* Physical addresses are arena offsets + this: never equal to a pointer. The
 * arena lies across 4 GiB, and all but mem_zalloc_low() begins above, so that
 * whoever needs a low page and does not say so is found out. */
#define ARENA_HPA 0xD0000000ull
#define ARENA_PAGES 262144u /* 1 GiB, touched on demand */
#define ARENA_LOW_PAGES ((size_t)(((1ull << 32) - ARENA_HPA) >> PAGE_SHIFT))

static uint8_t *arena;
static uint8_t used[ARENA_PAGES]; /* 1 in use, 0 free */
static size_t next_fit = ARENA_LOW_PAGES, next_low, pages_used;
static long fail_in = -1;

static void arena_open(void)
{
	if (arena)
		return;
	arena = mmap(NULL, ARENA_PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (arena == MAP_FAILED)
		abort();
}

static bool run_is_free(size_t start, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (used[start + i])
			return false;
	return true;
}

/* The next run that fits within the first @limit pages, from *@next on. */
static void *take_run(size_t n, size_t *next, size_t limit)
{
	arena_open();
	if (n == 0 || n > limit || n > ARENA_PAGES - pages_used || (fail_in >= 0 && fail_in-- == 0))
		return NULL;
	for (size_t tries = 0; tries < limit; tries++) {
		if (*next + n > limit)
			*next = 0;
		if (run_is_free(*next, n)) {
			void *p = arena + *next * PAGE_SIZE;

			memset(used + *next, 1, n);
			pages_used += n;
			*next += n;
			ASAN_UNPOISON_MEMORY_REGION(p, n * PAGE_SIZE);
			return memset(p, 0, n * PAGE_SIZE);
		}
		++*next;
	}
	return NULL;
}

static size_t pages_for(size_t bytes)
{
	return bytes / PAGE_SIZE + (bytes % PAGE_SIZE != 0);
}

void *mem_zalloc(size_t bytes)
{
	return take_run(pages_for(bytes), &next_fit, ARENA_PAGES);
}

void *mem_zalloc_low(size_t bytes)
{
	return take_run(pages_for(bytes), &next_low, ARENA_LOW_PAGES);
}

void mem_free(void *p, size_t bytes)
{
	size_t n = pages_for(bytes);
	size_t start;

	if (!p)
		return;
	start = (size_t)((uint8_t *)p - arena) >> PAGE_SHIFT;
	for (size_t i = 0; i < n; i++) {
		ASSERT(start + i < ARENA_PAGES && used[start + i]);
		used[start + i] = 0;
	}
	pages_used -= n;
	ASAN_POISON_MEMORY_REGION(p, n * PAGE_SIZE);
}

void *port_hpa_to_va(hpa_t a)
{
	ASSERT(a.v >= ARENA_HPA && a.v < ARENA_HPA + ARENA_PAGES * PAGE_SIZE);
	return arena + (a.v - ARENA_HPA);
}

hpa_t port_va_to_hpa(const void *va)
{
	ASSERT((const uint8_t *)va >= arena && (const uint8_t *)va < arena + ARENA_PAGES * PAGE_SIZE);
	return hpa((uint64_t)((const uint8_t *)va - arena) + ARENA_HPA);
}

size_t host_pages_used(void) { return pages_used; }
void host_fail_allocation(long nth) { fail_in = nth; }

void log_sink(const char *text, size_t len)
{
	fwrite(text, 1, len, stderr);
}

void assert_failed(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, what);
	abort();
}
