/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One instruction on the processor that the test runs on, in code of 16, 32
 * or 64 bits: registers in, registers out, or the signal it caused.
 *
 * 16-bit code, and segments other than flat ones, come from an LDT. Code and
 * data lie below 2 GiB so that absolute and 32-bit addresses reach them.
 */
#ifndef TESTS_HOST_NATIVE_H
#define TESTS_HOST_NATIVE_H

#include "lib/x86.h"

#define NATIVE_CODE 0x10000000ull /* the instruction is here */
#define NATIVE_DATA 0x20000000ull
#define NATIVE_DATA_SIZE 0x40000ull
/* Branches that get here are seen in native.branched. */
#define NATIVE_TARGET (NATIVE_CODE + 64)
#define NATIVE_TARGET_32 (NATIVE_CODE + 80) /* of far transfers, in 32-bit code */
#define NATIVE_TARGET_16 (NATIVE_CODE + 96) /* in 16-bit code */

/* Flat segments that Linux has in its GDT. */
#define SELECTOR_CODE32 0x23
#define SELECTOR_DATA 0x2b
#define SELECTOR_CODE64 0x33

struct native {
	uint64_t gpr[GPR_COUNT];
	uint64_t flags;
	uint64_t host_rsp;
	uint32_t offset; /* of the instruction, in CS */
	uint16_t cs;
	uint64_t branched; /* out: the target reached, 0 if none */
	uint64_t signal;   /* out: 0 if it did not fault */
	uint16_t ds, es, gs, ss; /* in and out */
	uint8_t vector[16][32];  /* in and out; the upper halves only with AVX */
	bool has_avx;
};

extern struct native native;

/* One entry of the LDT; see modify_ldt(2). */
struct native_segment {
	uint32_t base, limit;
	bool is_32bit, is_code, is_read_only, is_expand_down, is_absent;
};

/* Memory, and an LDT of @count entries. 0 or -1. */
int native_open(const struct native_segment *ldt, unsigned int count);
/* In a test, where cmocka's handlers are to be replaced. @report is called
 * before the process ends by a signal that is no instruction's. */
void native_catch_signals(void (*report)(void));
/* Run @len bytes of @code as native says; CS decides the mode. */
void native_run(const void *code, unsigned int len, unsigned int mode_bits);

#endif
