/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * tsc WORDS: prints WORDS and the time-stamp counter, for measuring from inside a guest. In Bochs with one CPU the
 * counter counts instructions. Static, without a C library: it costs a guest one exec of a 4 KiB file.
 */
#include <asm/unistd.h>

static long write_out(const char *text, unsigned long length)
{
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(__NR_write), "D"(1), "S"(text), "d"(length)
			 : "rcx", "r11", "memory");
	return result;
}

static void put(char *line, unsigned *at, const char *text)
{
	while (*text && *at < 200)
		line[(*at)++] = *text++;
}

__attribute__((noreturn, used)) void tsc_main(const long *stack)
{
	const char *words = stack[0] > 1 ? (const char *)stack[2] : "tsc";
	unsigned low, high, at = 0, digits = 0;
	char line[256], number[24];

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	unsigned long tsc = (unsigned long)high << 32 | low;

	put(line, &at, words);
	line[at++] = ' ';
	do {
		number[digits++] = (char)('0' + tsc % 10);
		tsc /= 10;
	} while (tsc);
	while (digits)
		line[at++] = number[--digits];
	line[at++] = '\n';
	write_out(line, at);
	__asm__ volatile("syscall" : : "a"(__NR_exit), "D"(0) : "memory");
	__builtin_unreachable();
}

__asm__(".globl _start\n_start: mov %rsp, %rdi\nand $-16, %rsp\ncall tsc_main\n");
