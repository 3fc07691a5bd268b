/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the measuring programs of this folder have in common: a machine made of the
 * image's own object files, and sections of which valgrind counts the instructions.
 *
 * All is the same in each run, so the counts are. tools/tracking-costs runs such a
 * program under callgrind and reads what it counted.
 */
#ifndef TESTS_BENCH_BENCH_H
#define TESTS_BENCH_BENCH_H

#include <valgrind/callgrind.h>
#include "mm/mmu.h"

/* ---- sections ------------------------------------------------------------ */

/* Counts @code, which does @n of what @what is, at @x of whatever the curve is
 * over. Names have no spaces. */
#define MEASURE(what, x, n, code) do {		\
	CALLGRIND_TOGGLE_COLLECT;		\
	code;					\
	CALLGRIND_TOGGLE_COLLECT;		\
	bench_report(what, x, n);		\
} while (0)

void bench_report(const char *what, uint64_t x, uint64_t n);

/* Much work that is not measured runs faster in between. Not within another. */
void bench_bulk_begin(void);
void bench_bulk_end(void);

/* What is measured is what was meant. In every build. */
#define CHECK(cond) ((cond) ? (void)0 : bench_failed(__FILE__, __LINE__, #cond))
noreturn void bench_failed(const char *file, int line, const char *what);

/* ---- machines ------------------------------------------------------------ */

/* A VM with paging off on one vCPU, and slots that lie side by side from gfn 0 on. */
struct bench_vm {
	struct mmu mmu;
	struct mmu_vcpu v;
	unsigned int flushes;
};

/* @large: the memory allows mappings of 2 MiB. */
void bench_vm_open(struct bench_vm *vm, unsigned int slots, uint64_t pages_each, bool large);
/* Destroys the trackers that are left. All memory is back. */
void bench_vm_close(struct bench_vm *vm);

/* The guest writes to the page, which is not tracked, and has it mapped from then on. */
void bench_touch(struct bench_vm *vm, gfn_t gfn);

#endif
