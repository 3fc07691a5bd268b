/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Arithmetic as the processor does it: results and the status flags. Pure.
 * Where the SDM leaves a flag undefined it gets what is simplest.
 */
#ifndef EMULATE_ALU_H
#define EMULATE_ALU_H

#include "emulate/decode.h"

#define STATUS_FLAGS                                                                                         \
	(X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF | X86_EFLAGS_ZF | X86_EFLAGS_SF | X86_EFLAGS_OF)

/* Operands wider than @size bytes are allowed: the rest is ignored. */
struct alu {
	unsigned int size; /* in: 1, 2, 4 or 8 bytes */
	uint64_t dst;      /* in: old value; out: new value */
	uint64_t src;      /* in; out for xchg and xadd: what the source becomes */
	uint64_t src2;     /* in: shift count of shld and shrd */
	uint64_t acc;      /* in: accumulator of cmpxchg; out: what it becomes */
	uint64_t flags;    /* in, out: RFLAGS */
};

/* Run @op, one of those up to OP_XADD, on @a. The comparing ones (cmp, test,
 * bt) leave dst as it was. */
void alu_run(enum emul_op op, struct alu *a);

/* dst = dst * src, signed; CF and OF say that it did not fit. */
void alu_imul(struct alu *a);
/* Full product: low half to dst, high half to src. */
void alu_multiply_wide(struct alu *a, bool is_signed);

/* (high half in src2, low half in dst) / src: quotient to dst, remainder to
 * src2. False: the divisor is 0 or the quotient does not fit. */
bool alu_divide(struct alu *a, bool is_signed) must_check;

/* bsf, bsr, tzcnt, lzcnt, popcnt of src to dst. bsf and bsr of 0 leave dst. */
void alu_bit_scan(enum emul_op op, struct alu *a);
/* daa, das, aaa, aas, aam, aad: dst is AX, src the base of aam and aad. False:
 * the base of aam is 0. */
bool alu_decimal(enum emul_op op, struct alu *a) must_check;

/* Is condition @cc (opcode bits 3:0 of jcc) true? */
bool alu_condition(unsigned int cc, uint64_t flags);

static inline uint64_t size_mask(unsigned int size)
{
	return size >= 8 ? ~0ull : (1ull << (8 * size)) - 1;
}

static inline int64_t sign_extend(uint64_t v, unsigned int size)
{
	unsigned int shift = 64 - 8 * size;

	return (int64_t)(v << shift) >> shift;
}

#endif
