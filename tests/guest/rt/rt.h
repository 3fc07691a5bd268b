/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Runtime of the guest kernels, 32 and 64 bit: console on COM1, the end of a
 * run through port 0xF4, and a list of named tests. They run on any PC-like
 * machine, and must pass there: that is what the hypervisor is held to.
 */
#ifndef TESTS_GUEST_RT_H
#define TESTS_GUEST_RT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define PAGE 4096ul

static inline void outb(uint16_t port, uint8_t v) { asm volatile("outb %0, %1" : : "a"(v), "Nd"(port)); }
static inline uint8_t inb(uint16_t port)
{
	uint8_t v;

	asm volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline void cpuid(uint32_t leaf, uint32_t sub, uint32_t r[4])
{
	asm volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(sub));
}

/* A feature bit of leaf 7, subleaf 0, EBX; false where there is no such leaf. */
bool cpuid_7_ebx(unsigned int bit);

static inline uint64_t rdmsr(uint32_t msr)
{
	uint32_t lo, hi;

	asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return (uint64_t)hi << 32 | lo;
}

static inline void wrmsr(uint32_t msr, uint64_t v)
{
	asm volatile("wrmsr" : : "c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
}

static inline uint64_t rdtsc(void)
{
	uint32_t lo, hi;

	asm volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
	return (uint64_t)hi << 32 | lo;
}

/* Are we a guest of Spoor, or does the machine belong to us? */
bool on_spoor(void);

/* Polls until the bits @mask of @port are @want. False: not in any reasonable time. */
#define POLLS_MOST 200000000u
bool wait_for(uint16_t port, uint8_t mask, uint8_t want);

/* Formats: %s, %u and %x with unsigned long, %%. */
void print(const char *fmt, ...);

/* Ends the machine; @status 0 is success. Does not return. */
__attribute__((noreturn)) void finish(unsigned int status);

/* The Multiboot information, as the loader gave it. */
struct multiboot_info {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr;
	uint32_t syms[4];
	uint32_t mmap_length, mmap_addr, drives_length, drives_addr, config_table, boot_loader_name;
};

extern uint32_t boot_magic;
extern uint32_t boot_info_address;

static inline const struct multiboot_info *boot_info(void)
{
	return (const struct multiboot_info *)(uintptr_t)boot_info_address;
}

/* gcc makes calls of these. */
void *memset(void *p, int c, size_t n);
void *memcpy(void *d, const void *s, size_t n);

/* A page of the kernel's own zeroed pool; fails the run when it is empty. */
void *page_alloc(void);
/* Gives back all pages handed out since the pool had @mark left. */
size_t page_mark(void);
void page_release(size_t mark);

struct test {
	const char *name;
	void (*run)(void);
};

/* Runs them, prints "ok NAME" or "FAIL NAME" for each and "N passed, N
 * failed, N skipped", and finishes. */
__attribute__((noreturn)) void run_tests(const struct test *tests, size_t count);

/* The running test cannot be made on this machine; it returns by itself. */
void skip(const char *why);

void check_failed(const char *file, int line, const char *what);

/* Marks the running test as failed, and goes on. */
#define check(cond)                                                                                          \
	do {                                                                                                 \
		if (!(cond))                                                                                 \
			check_failed(__FILE__, __LINE__, #cond);                                             \
	} while (0)

/* The same, and says what was found. */
#define check_equal(got, want)                                                                               \
	do {                                                                                                 \
		unsigned long got_ = (unsigned long)(got), want_ = (unsigned long)(want);                    \
		if (got_ != want_) {                                                                         \
			check_failed(__FILE__, __LINE__, #got " == " #want);                                 \
			print("  got 0x%x, want 0x%x\n", got_, want_);                                       \
		}                                                                                            \
	} while (0)

/* The same, and leaves the test function. */
#define require(cond)                                                                                        \
	do {                                                                                                 \
		if (!(cond)) {                                                                               \
			check_failed(__FILE__, __LINE__, #cond);                                             \
			return;                                                                              \
		}                                                                                            \
	} while (0)

void main(void);

#endif
