/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * tsc WORDS: prints WORDS and the time-stamp counter, for measuring from inside a guest. In Bochs with one CPU the
 * counter counts instructions. Static, without a C library: it costs a guest one exec of a 4 KiB file. 32-bit code, so
 * that one program serves all guests: Debian's 64-bit kernels run it too.
 */
#include <asm/unistd_32.h>

static long system_call(long number, long first, const void *second, unsigned long third)
{
	long result;

	__asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(first), "c"(second), "d"(third) : "memory");
	return result;
}

static void put(char *line, unsigned *at, const char *text)
{
	while (*text && *at < 200)
		line[(*at)++] = *text++;
}

/* Divides high:low by 10 and returns the remainder: there is no libgcc here for 64 bits. */
static unsigned divide_by_10(unsigned *high, unsigned *low)
{
	unsigned rest = *high % 10;

	*high /= 10;
	__asm__("divl %2" : "+a"(*low), "+d"(rest) : "r"(10u) : "cc");
	return rest;
}

__attribute__((noreturn, used)) void tsc_main(const long *stack)
{
	const char *words = stack[0] > 1 ? (const char *)stack[2] : "tsc";
	unsigned low, high, at = 0, digits = 0;
	char line[256], number[24];

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	put(line, &at, words);
	line[at++] = ' ';
	do {
		number[digits++] = (char)('0' + divide_by_10(&high, &low));
	} while (high | low);
	while (digits)
		line[at++] = number[--digits];
	line[at++] = '\n';
	system_call(__NR_write, 1, line, at);
	system_call(__NR_exit, 0, 0, 0);
	__builtin_unreachable();
}

__asm__(".globl _start\n_start: mov %esp, %eax\nand $-16, %esp\npush %eax\ncall tsc_main\n");
