/* SPDX-License-Identifier: GPL-2.0-only */
/* Rows of the opcode maps: what follows an opcode byte, and what it means. */
#ifndef EMULATE_OPCODES_H
#define EMULATE_OPCODES_H

#include "emulate/decode.h"

/* What follows the opcode. A row that is all zero has no known length. */
#define F_KNOWN (1u << 0)   /* nothing follows, or what the other flags say */
#define F_MODRM (1u << 1)
#define F_MODRM_REG (1u << 2) /* ModRM, and mod is ignored: always registers */
#define F_IMM8 (1u << 3)    /* sign-extended */
#define F_IMM16 (1u << 4)   /* zero-extended */
#define F_IMMZ (1u << 5)    /* 2 or 4 bytes, sign-extended */
#define F_IMMV (1u << 6)    /* 2, 4 or 8 bytes */
#define F_MOFFS (1u << 7)   /* as wide as an address */
#define F_IMM8_2 (1u << 8)  /* one more byte, unsigned */
/* Operand size; 2, 4 or 8 bytes by prefixes and mode if none is given. */
#define F_BYTE (1u << 9)
#define F_D64 (1u << 10)    /* 8 by default in 64-bit mode, never 4 */
#define F_F64 (1u << 11)    /* always 8 in 64-bit mode */
#define F_MAX32 (1u << 12)  /* REX.W has no effect */
#define F_W32 (1u << 13)    /* 4, or 8 with REX.W: 66 has no effect */
#define F_SRC8 (1u << 14)   /* the r/m operand has 1 byte */
#define F_SRC16 (1u << 15)  /* the r/m operand has 2 bytes */
#define F_SRC32 (1u << 16)  /* the r/m operand has 4 bytes */
/* Legality. */
#define F_LOCK (1u << 17)   /* LOCK is allowed with a memory r/m */
#define F_MEM (1u << 18)    /* a register r/m is #UD */
#define F_NO64 (1u << 19)   /* #UD in 64-bit mode */
#define F_NOREP (1u << 20)  /* another instruction with F2 or F3 */
#define F_NO66 (1u << 21)   /* another instruction with 66 */
#define F_REP_E (1u << 22)  /* another instruction without F3 */
#define F_PTR (1u << 23)    /* far pointer: offset of 2 or 4 bytes, selector */
#define F_NATIVE (1u << 24) /* 8 in 64-bit mode, else 4 */
#define F_SYSTEM (1u << 25) /* needs privileged state */
#define F_RING0 (1u << 26)  /* that, and #GP outside ring 0 */

struct opcode_row {
	uint8_t op; /* enum emul_op */
	uint8_t dst, src, src2;
	uint32_t flags;
	/* Eight rows chosen by ModRM.reg; their flags add to those above. The
	 * second, if any, for a register r/m. */
	const struct opcode_row *group, *group_reg;
};

/* A move between a vector register and memory. */
struct vector_row {
	uint8_t map;    /* 1 for 0F, 2 for 0F38 */
	uint8_t prefix; /* 0, 1 for 66, 2 for F3, 3 for F2 */
	uint8_t opcode;
	uint8_t op;   /* enum emul_op */
	uint8_t size; /* of memory; 0 for the vector's */
	uint8_t flags;
};
#define V_ALIGNED 1u /* memory is aligned to its size */
#define V_W 2u       /* 8 bytes with W */
#define V_L0 4u      /* VEX.L must be 0 */
#define V_NDS 8u     /* VEX.vvvv is a source; else it must not name a register */

/* NULL: it is no such move. */
const struct vector_row *vector_row_find(unsigned int map, unsigned int prefix, uint8_t opcode);

extern const struct opcode_row one_byte_map[256];
extern const struct opcode_row arpl_row; /* 63 outside 64-bit mode */
extern const struct opcode_row two_byte_map[256]; /* 0F */
extern const struct opcode_row map_0f38[256];

#endif
