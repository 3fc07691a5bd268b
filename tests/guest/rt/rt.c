// SPDX-License-Identifier: GPL-2.0-only
/* See rt.h. */
#include <stdarg.h>
#include "tests/guest/rt/rt.h"

#define COM1 0x3F8
#define LSR_THRE 0x20
#define LSR_TEMT 0x40
#define BOCHS_SHUTDOWN 0x8900
#define DEBUG_EXIT 0xF4
#define POOL_PAGES 768
#define COMPLAINTS_MAX 5

uint32_t boot_magic, boot_info_address;

static uint8_t pool[POOL_PAGES][PAGE] __attribute__((aligned(4096)));
static size_t pool_used;
static unsigned int failures; /* in the running test */
static bool skipped;
static bool console_ready;

void *memset(void *p, int c, size_t n)
{
	void *d = p;

	asm volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(c) : "memory");
	return p;
}

void *memcpy(void *d, const void *s, size_t n)
{
	void *r = d;

	asm volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
	return r;
}

bool on_spoor(void)
{
	uint32_t r[4];

	cpuid(1, 0, r);
	if (!(r[2] >> 31))
		return false;
	cpuid(0x40000000, 0, r);
	return r[1] == 0x6F6F7053; /* "Spoo" */
}

bool wait_for(uint16_t port, uint8_t mask, uint8_t want)
{
	for (uint32_t i = 0; i < POLLS_MOST; i++)
		if ((inb(port) & mask) == want)
			return true;
	return false;
}

static void console_open(void)
{
	outb(COM1 + 1, 0);
	outb(COM1 + 3, 0x80);
	outb(COM1 + 0, 1); /* 115200 baud */
	outb(COM1 + 1, 0);
	outb(COM1 + 3, 3); /* 8n1 */
	outb(COM1 + 2, 1);
	console_ready = true;
}

static void put(char c)
{
	if (!console_ready)
		console_open();
	while (!(inb(COM1 + 5) & LSR_THRE))
		;
	outb(COM1, (uint8_t)c);
}

static void put_string(const char *s)
{
	while (*s)
		put(*s++);
}

static void put_number(unsigned long v, unsigned int base)
{
	char digits[24];
	int n = 0;

	do {
		digits[n++] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v);
	while (n)
		put(digits[--n]);
}

void print(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	for (; *fmt; fmt++) {
		if (*fmt != '%') {
			put(*fmt);
			continue;
		}
		switch (*++fmt) {
		case 's':
			put_string(va_arg(args, const char *));
			break;
		case 'u':
			put_number(va_arg(args, unsigned long), 10);
			break;
		case 'x':
			put_number(va_arg(args, unsigned long), 16);
			break;
		default:
			put(*fmt);
		}
	}
	va_end(args);
}

void finish(unsigned int status)
{
	while (!(inb(COM1 + 5) & LSR_TEMT))
		;
	outb(DEBUG_EXIT, (uint8_t)(0x10 | status));
	for (const char *s = "Shutdown"; *s; s++) /* Bochs itself */
		outb(BOCHS_SHUTDOWN, (uint8_t)*s);
	for (;;)
		asm volatile("cli; hlt");
}

void *page_alloc(void)
{
	if (pool_used == POOL_PAGES) {
		print("the pool of pages is empty\n");
		finish(2);
	}
	return memset(pool[pool_used++], 0, PAGE);
}

size_t page_mark(void)
{
	return pool_used;
}

void page_release(size_t mark)
{
	pool_used = mark;
}

void check_failed(const char *file, int line, const char *what)
{
	if (failures++ < COMPLAINTS_MAX)
		print("  %s:%u: %s\n", file, (unsigned long)line, what);
}

void skip(const char *why)
{
	print("  skipped: %s\n", why);
	skipped = true;
}

bool cpuid_7_ebx(unsigned int bit)
{
	uint32_t r[4];

	cpuid(0, 0, r);
	if (r[0] < 7)
		return false;
	cpuid(7, 0, r);
	return r[1] >> bit & 1;
}

void run_tests(const struct test *tests, size_t count)
{
	unsigned long passed = 0, failed = 0, left_out = 0;

	for (size_t i = 0; i < count; i++) {
		size_t mark = page_mark();

		failures = 0;
		skipped = false;
		tests[i].run();
		page_release(mark);
		if (failures)
			failed++;
		else if (skipped)
			left_out++;
		else
			passed++;
		print("%s %s%s\n", failures ? "FAIL" : "ok", tests[i].name, skipped ? " (skipped)" : "");
	}
	print("%u passed, %u failed, %u skipped\n", passed, failed, left_out);
	finish(failed != 0);
}
