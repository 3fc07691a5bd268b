// SPDX-License-Identifier: GPL-2.0-only
/*
 * The vector instructions with a meaning here: those that move a register to
 * memory or back, as SSE and as VEX (SDM vol. 2, "Opcode Map", with the
 * mandatory prefixes). All others have their length in opcodes.c at most.
 */
#include "emulate/opcodes.h"

/* @prefix as VEX.pp has it. */
enum { NP, P66, PF3, PF2 };

#define ROW(p, code, operation, n, f) \
	{ .map = 1, .prefix = p, .opcode = code, .op = OP_VECTOR_##operation, .size = n, .flags = f }
/* Single and double precision: without a prefix, and with 66. */
#define BOTH(code, operation, n, f) ROW(NP, code, operation, n, f), ROW(P66, code, operation, n, f)

static const struct vector_row rows[] = {
	BOTH(0x10, LOAD, 0, 0), /* movups, movupd */
	ROW(PF3, 0x10, LOAD, 4, 0), ROW(PF2, 0x10, LOAD, 8, 0), /* movss, movsd */
	BOTH(0x11, STORE, 0, 0),
	ROW(PF3, 0x11, STORE, 4, 0), ROW(PF2, 0x11, STORE, 8, 0),
	BOTH(0x12, LOAD_LOW, 8, V_L0 | V_NDS), BOTH(0x13, STORE, 8, V_L0), /* movlps, movlpd */
	BOTH(0x16, LOAD_HIGH, 8, V_L0 | V_NDS), BOTH(0x17, STORE_HIGH, 8, V_L0), /* movhps, movhpd */
	BOTH(0x28, LOAD, 0, V_ALIGNED), BOTH(0x29, STORE, 0, V_ALIGNED), /* movaps, movapd */
	BOTH(0x2b, STORE, 0, V_ALIGNED), /* movntps, movntpd */
	ROW(P66, 0x6e, LOAD, 4, V_L0 | V_W), ROW(P66, 0x7e, STORE, 4, V_L0 | V_W), /* movd, movq */
	ROW(PF3, 0x7e, LOAD, 8, V_L0), ROW(P66, 0xd6, STORE, 8, V_L0), /* movq */
	ROW(P66, 0x6f, LOAD, 0, V_ALIGNED), ROW(P66, 0x7f, STORE, 0, V_ALIGNED), /* movdqa */
	ROW(PF3, 0x6f, LOAD, 0, 0), ROW(PF3, 0x7f, STORE, 0, 0), /* movdqu */
	ROW(P66, 0xe7, STORE, 0, V_ALIGNED), /* movntdq */
	ROW(PF2, 0xf0, LOAD, 0, 0), /* lddqu */
	{ .map = 2, .prefix = P66, .opcode = 0x2a, .op = OP_VECTOR_LOAD, .flags = V_ALIGNED }, /* movntdqa */
};

const struct vector_row *vector_row_find(unsigned int map, unsigned int prefix, uint8_t opcode)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].opcode == opcode && rows[i].prefix == prefix && rows[i].map == map)
			return &rows[i];
	return NULL;
}
