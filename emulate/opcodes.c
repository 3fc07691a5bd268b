// SPDX-License-Identifier: GPL-2.0-only
/*
 * The opcode maps, as in SDM vol. 2, "Opcode Map". Rows with an operation are
 * what the executor knows; the others are there for their length. A range of
 * rows is written as [first ... last].
 */
#include "emulate/opcodes.h"

#define M (F_KNOWN | F_MODRM)
#define K F_KNOWN

#define LENGTH(f) { .flags = (f) | K }
#define INSN(operation, d, s, f) { .op = OP_##operation, .dst = OPD_##d, .src = OPD_##s, .flags = (f) | K }
#define INSN3(operation, d, s, s2, f) \
	{ .op = OP_##operation, .dst = OPD_##d, .src = OPD_##s, .src2 = OPD_##s2, .flags = (f) | K }
#define GROUP(table, f) { .flags = (f) | M, .group = table }

#define PUSH_SREG INSN(PUSH_SREG, NONE, NONE, F_NO64)
#define POP_SREG INSN(POP_SREG, NONE, NONE, F_NO64 | F_SYSTEM)
#define LOAD_POINTER INSN(LOAD_POINTER, REG, RM, M | F_MEM | F_SYSTEM)

/* The six forms of a two-operand ALU instruction. */
#define ALU(base, operation, lock)                                                                       \
	[(base) + 0] = INSN(operation, RM, REG, M | F_BYTE | (lock)),                                    \
	[(base) + 1] = INSN(operation, RM, REG, M | (lock)),                                             \
	[(base) + 2] = INSN(operation, REG, RM, M | F_BYTE), [(base) + 3] = INSN(operation, REG, RM, M), \
	[(base) + 4] = INSN(operation, ACC, IMM, F_BYTE | F_IMM8), [(base) + 5] = INSN(operation, ACC, IMM, F_IMMZ)

static const struct opcode_row group1[8] = {
	INSN(ADD, RM, IMM, F_LOCK), INSN(OR, RM, IMM, F_LOCK),	INSN(ADC, RM, IMM, F_LOCK),
	INSN(SBB, RM, IMM, F_LOCK), INSN(AND, RM, IMM, F_LOCK), INSN(SUB, RM, IMM, F_LOCK),
	INSN(XOR, RM, IMM, F_LOCK), INSN(CMP, RM, IMM, 0),
};

/* Group 2, the shifts, by where the count is. */
#define SHIFTS(count)                                                                            \
	{                                                                                        \
		INSN(ROL, RM, count, 0), INSN(ROR, RM, count, 0), INSN(RCL, RM, count, 0),       \
		INSN(RCR, RM, count, 0), INSN(SHL, RM, count, 0), INSN(SHR, RM, count, 0),       \
		INSN(SAL, RM, count, 0), INSN(SAR, RM, count, 0)                                 \
	}
static const struct opcode_row group2_imm[8] = SHIFTS(IMM);
static const struct opcode_row group2_one[8] = SHIFTS(ONE);
static const struct opcode_row group2_cl[8] = SHIFTS(CL);

#define GROUP3(imm)                                                                              \
	{                                                                                        \
		INSN(TEST, RM, IMM, imm), INSN(TEST, RM, IMM, imm), INSN(NOT, RM, NONE, F_LOCK), \
		INSN(NEG, RM, NONE, F_LOCK), INSN(MUL_ACC, NONE, RM, 0),                         \
		INSN(IMUL_ACC, NONE, RM, 0), INSN(DIV, NONE, RM, 0), INSN(IDIV, NONE, RM, 0)     \
	}
static const struct opcode_row group3_byte[8] = GROUP3(F_IMM8);
static const struct opcode_row group3[8] = GROUP3(F_IMMZ);

static const struct opcode_row group4[8] = {
	INSN(INC, RM, NONE, F_LOCK),
	INSN(DEC, RM, NONE, F_LOCK),
};

static const struct opcode_row group5[8] = {
	INSN(INC, RM, NONE, F_LOCK),
	INSN(DEC, RM, NONE, F_LOCK),
	INSN(CALL, NONE, RM, F_F64),
	INSN(CALL_FAR, NONE, RM, F_MEM | F_SYSTEM),
	INSN(JMP, NONE, RM, F_F64),
	INSN(JMP_FAR, NONE, RM, F_MEM | F_SYSTEM),
	INSN(PUSH, NONE, RM, F_D64),
};

static const struct opcode_row group1a[8] = { INSN(POP, RM, NONE, F_D64) };
static const struct opcode_row group11[8] = { INSN(MOV, RM, IMM, 0) };

static const struct opcode_row group6[8] = {
	INSN(SLDT, RM, NONE, F_SYSTEM), INSN(STR, RM, NONE, F_SYSTEM),
	INSN(LLDT, NONE, RM, F_SYSTEM), INSN(LTR, NONE, RM, F_SYSTEM),
	INSN(VERR, NONE, RM, F_SYSTEM), INSN(VERW, NONE, RM, F_SYSTEM),
};

static const struct opcode_row group7[8] = {
	INSN(SGDT, RM, NONE, F_SYSTEM), INSN(SIDT, RM, NONE, F_SYSTEM),
	INSN(LGDT, NONE, RM, F_RING0), INSN(LIDT, NONE, RM, F_RING0),
	INSN(SMSW, RM, NONE, F_SRC16 | F_SYSTEM), LENGTH(0),
	INSN(LMSW, NONE, RM, F_SRC16 | F_RING0), INSN(INVLPG, NONE, RM, F_SRC8 | F_RING0),
};
static const struct opcode_row group7_reg[8] = {
	LENGTH(0), LENGTH(0), /* vmcall, monitor and others, told apart by the r/m field */
	INSN(XCR, NONE, NONE, F_NOREP | F_NO66 | F_SYSTEM), LENGTH(0),
	INSN(SMSW, RM, NONE, F_SRC16 | F_SYSTEM), LENGTH(0),
	INSN(LMSW, NONE, RM, F_SRC16 | F_RING0), LENGTH(0),
};

static const struct opcode_row prefetch[8] = { [0 ... 7] = INSN(NOP, NONE, RM, 0) };
static const struct opcode_row prefetch_reg[8] = { [0 ... 7] = LENGTH(0) }; /* vendors differ */

static const struct opcode_row group8[8] = {
	[4] = INSN(BT, RM, IMM, 0),
	[5] = INSN(BTS, RM, IMM, F_LOCK),
	[6] = INSN(BTR, RM, IMM, F_LOCK),
	[7] = INSN(BTC, RM, IMM, F_LOCK),
};

static const struct opcode_row group9[8] = {
	/* With a register it is undefined; the others are rdrand, VMX and the like. */
	[1] = INSN(CMPXCHG_PAIR, RM, NONE, F_LOCK | F_MEM | F_W32),
};

static const struct opcode_row group15[8] = {
	[0 ... 6] = LENGTH(0), /* fxsave, ldmxcsr, xsave and others */
	[7] = INSN(NOP, NONE, RM, F_SRC8 | F_NOREP), /* clflush */
};
static const struct opcode_row group15_reg[8] = {
	[0 ... 4] = LENGTH(0),
	[5 ... 7] = INSN(NOP, NONE, NONE, F_NOREP | F_NO66), /* lfence, mfence, sfence */
};

const struct opcode_row arpl_row = INSN(ARPL, RM, REG, M | F_SRC16);

const struct opcode_row one_byte_map[256] = {
	ALU(0x00, ADD, F_LOCK),
	ALU(0x08, OR, F_LOCK),
	ALU(0x10, ADC, F_LOCK),
	ALU(0x18, SBB, F_LOCK),
	ALU(0x20, AND, F_LOCK),
	ALU(0x28, SUB, F_LOCK),
	ALU(0x30, XOR, F_LOCK),
	ALU(0x38, CMP, 0),
	[0x06] = PUSH_SREG, [0x07] = POP_SREG, [0x0e] = PUSH_SREG, [0x16] = PUSH_SREG, [0x17] = POP_SREG,
	[0x1e] = PUSH_SREG, [0x1f] = POP_SREG,
	[0x27] = INSN(DAA, NONE, NONE, F_NO64), [0x2f] = INSN(DAS, NONE, NONE, F_NO64),
	[0x37] = INSN(AAA, NONE, NONE, F_NO64), [0x3f] = INSN(AAS, NONE, NONE, F_NO64),
	/* In 64-bit mode these are REX. */
	[0x40 ... 0x47] = INSN(INC, OPREG, NONE, 0), [0x48 ... 0x4f] = INSN(DEC, OPREG, NONE, 0),
	[0x50 ... 0x57] = INSN(PUSH, NONE, OPREG, F_D64), [0x58 ... 0x5f] = INSN(POP, OPREG, NONE, F_D64),
	[0x60] = INSN(PUSHA, NONE, NONE, F_NO64), [0x61] = INSN(POPA, NONE, NONE, F_NO64),
	[0x62] = INSN(BOUND, REG, RM, M | F_MEM), /* EVEX is seen before */
	[0x63] = INSN(MOVSX, REG, RM, M | F_SRC32), /* movsxd; arpl outside 64-bit mode */
	[0x68] = INSN(PUSH, NONE, IMM, F_D64 | F_IMMZ), [0x69] = INSN3(IMUL, REG, RM, IMM, M | F_IMMZ),
	[0x6a] = INSN(PUSH, NONE, IMM, F_D64 | F_IMM8), [0x6b] = INSN3(IMUL, REG, RM, IMM, M | F_IMM8),
	[0x6c] = INSN(INS, NONE, NONE, F_BYTE), [0x6d] = INSN(INS, NONE, NONE, F_MAX32),
	[0x6e] = INSN(OUTS, NONE, NONE, F_BYTE), [0x6f] = INSN(OUTS, NONE, NONE, F_MAX32),
	[0x70 ... 0x7f] = INSN(JCC, NONE, IMM, F_F64 | F_IMM8),
	[0x80] = GROUP(group1, F_BYTE | F_IMM8), [0x81] = GROUP(group1, F_IMMZ),
	[0x82] = GROUP(group1, F_BYTE | F_IMM8 | F_NO64), [0x83] = GROUP(group1, F_IMM8),
	[0x84] = INSN(TEST, RM, REG, M | F_BYTE), [0x85] = INSN(TEST, RM, REG, M),
	[0x86] = INSN(XCHG, RM, REG, M | F_BYTE | F_LOCK), [0x87] = INSN(XCHG, RM, REG, M | F_LOCK),
	[0x88] = INSN(MOV, RM, REG, M | F_BYTE), [0x89] = INSN(MOV, RM, REG, M),
	[0x8a] = INSN(MOV, REG, RM, M | F_BYTE), [0x8b] = INSN(MOV, REG, RM, M),
	[0x8c] = INSN(MOV_FROM_SREG, RM, REG, M | F_SRC16),
	[0x8d] = INSN(LEA, REG, NONE, M | F_MEM),
	[0x8e] = INSN(MOV_TO_SREG, NONE, RM, M | F_SRC16 | F_SYSTEM),
	[0x8f] = GROUP(group1a, 0),
	[0x90 ... 0x97] = INSN(XCHG, ACC, OPREG, 0),
	[0x98] = INSN(CBW, NONE, NONE, 0), [0x99] = INSN(CWD, NONE, NONE, 0),
	[0x9a] = INSN(CALL_FAR, NONE, IMM, F_NO64 | F_PTR | F_SYSTEM),
	[0x9b] = INSN(WAIT, NONE, NONE, F_SYSTEM),
	[0x9c] = INSN(PUSHF, NONE, NONE, F_D64), [0x9d] = INSN(POPF, NONE, NONE, F_D64),
	[0x9e] = INSN(SAHF, NONE, NONE, 0), [0x9f] = INSN(LAHF, NONE, NONE, 0),
	[0xa0] = INSN(MOV, ACC, MOFFS, F_BYTE | F_MOFFS), [0xa1] = INSN(MOV, ACC, MOFFS, F_MOFFS),
	[0xa2] = INSN(MOV, MOFFS, ACC, F_BYTE | F_MOFFS), [0xa3] = INSN(MOV, MOFFS, ACC, F_MOFFS),
	[0xa4] = INSN(MOVS, NONE, NONE, F_BYTE), [0xa5] = INSN(MOVS, NONE, NONE, 0),
	[0xa6] = INSN(CMPS, NONE, NONE, F_BYTE), [0xa7] = INSN(CMPS, NONE, NONE, 0),
	[0xa8] = INSN(TEST, ACC, IMM, F_BYTE | F_IMM8), [0xa9] = INSN(TEST, ACC, IMM, F_IMMZ),
	[0xaa] = INSN(STOS, NONE, NONE, F_BYTE), [0xab] = INSN(STOS, NONE, NONE, 0),
	[0xac] = INSN(LODS, NONE, NONE, F_BYTE), [0xad] = INSN(LODS, NONE, NONE, 0),
	[0xae] = INSN(SCAS, NONE, NONE, F_BYTE), [0xaf] = INSN(SCAS, NONE, NONE, 0),
	[0xb0 ... 0xb7] = INSN(MOV, OPREG, IMM, F_BYTE | F_IMM8), [0xb8 ... 0xbf] = INSN(MOV, OPREG, IMM, F_IMMV),
	[0xc0] = GROUP(group2_imm, F_BYTE | F_IMM8), [0xc1] = GROUP(group2_imm, F_IMM8),
	[0xc2] = INSN(RET, NONE, IMM, F_F64 | F_IMM16), [0xc3] = INSN(RET, NONE, NONE, F_F64),
	[0xc4 ... 0xc5] = LOAD_POINTER, /* VEX is seen before */
	[0xc6] = GROUP(group11, F_BYTE | F_IMM8), [0xc7] = GROUP(group11, F_IMMZ),
	[0xc8] = INSN(ENTER, NONE, IMM, F_D64 | F_IMM16 | F_IMM8_2), [0xc9] = INSN(LEAVE, NONE, NONE, F_D64),
	[0xca] = INSN(RET_FAR, NONE, IMM, F_IMM16 | F_SYSTEM), [0xcb] = INSN(RET_FAR, NONE, NONE, F_SYSTEM),
	[0xcc] = INSN(INT3, NONE, NONE, F_SYSTEM), [0xcd] = INSN(INT, NONE, IMM, F_IMM8 | F_SYSTEM),
	[0xce] = INSN(INTO, NONE, NONE, F_NO64 | F_SYSTEM), [0xcf] = INSN(IRET, NONE, NONE, F_SYSTEM),
	[0xd0] = GROUP(group2_one, F_BYTE), [0xd1] = GROUP(group2_one, 0),
	[0xd2] = GROUP(group2_cl, F_BYTE), [0xd3] = GROUP(group2_cl, 0),
	[0xd4] = INSN(AAM, NONE, IMM, F_NO64 | F_BYTE | F_IMM8),
	[0xd5] = INSN(AAD, NONE, IMM, F_NO64 | F_BYTE | F_IMM8),
	[0xd6] = INSN(SALC, NONE, NONE, F_NO64), [0xd7] = INSN(XLAT, NONE, NONE, F_BYTE),
	[0xd8 ... 0xdf] = LENGTH(M), /* x87 */
	[0xe0] = INSN(LOOPNE, NONE, IMM, F_F64 | F_IMM8), [0xe1] = INSN(LOOPE, NONE, IMM, F_F64 | F_IMM8),
	[0xe2] = INSN(LOOP, NONE, IMM, F_F64 | F_IMM8), [0xe3] = INSN(JCXZ, NONE, IMM, F_F64 | F_IMM8),
	[0xe4] = INSN(IN, ACC, IMM, F_BYTE | F_IMM8), [0xe5] = INSN(IN, ACC, IMM, F_MAX32 | F_IMM8),
	[0xe6] = INSN(OUT, IMM, ACC, F_BYTE | F_IMM8), [0xe7] = INSN(OUT, IMM, ACC, F_MAX32 | F_IMM8),
	[0xe8] = INSN(CALL_REL, NONE, IMM, F_F64 | F_IMMZ), [0xe9] = INSN(JMP_REL, NONE, IMM, F_F64 | F_IMMZ),
	[0xea] = INSN(JMP_FAR, NONE, IMM, F_NO64 | F_PTR | F_SYSTEM),
	[0xeb] = INSN(JMP_REL, NONE, IMM, F_F64 | F_IMM8),
	[0xec] = INSN(IN, ACC, DX, F_BYTE), [0xed] = INSN(IN, ACC, DX, F_MAX32),
	[0xee] = INSN(OUT, DX, ACC, F_BYTE), [0xef] = INSN(OUT, DX, ACC, F_MAX32),
	[0xf1] = INSN(INT1, NONE, NONE, F_SYSTEM), [0xf4] = INSN(HLT, NONE, NONE, F_RING0),
	[0xf5] = INSN(CMC, NONE, NONE, 0),
	[0xf6] = GROUP(group3_byte, F_BYTE), [0xf7] = GROUP(group3, 0),
	[0xf8] = INSN(CLC, NONE, NONE, 0), [0xf9] = INSN(STC, NONE, NONE, 0),
	[0xfa] = INSN(CLI, NONE, NONE, F_SYSTEM), [0xfb] = INSN(STI, NONE, NONE, F_SYSTEM),
	[0xfc] = INSN(CLD, NONE, NONE, 0), [0xfd] = INSN(STD, NONE, NONE, 0),
	[0xfe] = GROUP(group4, F_BYTE), [0xff] = GROUP(group5, 0),
};

const struct opcode_row two_byte_map[256] = {
	[0x00] = GROUP(group6, F_SRC16), [0x01] = { .flags = M, .group = group7, .group_reg = group7_reg },
	[0x02] = INSN(LAR, REG, RM, M | F_SRC16 | F_SYSTEM),
	[0x03] = INSN(LSL, REG, RM, M | F_SRC16 | F_SYSTEM),
	[0x05] = LENGTH(0), [0x06] = INSN(CLTS, NONE, NONE, F_RING0), [0x07] = LENGTH(0),
	[0x08 ... 0x09] = INSN(WBINVD, NONE, NONE, F_RING0), /* and invd */
	[0x0b] = INSN(UD, NONE, NONE, 0),
	[0x0d] = { .flags = M, .group = prefetch, .group_reg = prefetch_reg },
	[0x10 ... 0x17] = LENGTH(M), [0x18 ... 0x19] = INSN(NOP, NONE, RM, M), [0x1a ... 0x1b] = LENGTH(M),
	[0x1c ... 0x1f] = INSN(NOP, NONE, RM, M),
	[0x20] = INSN(MOV_FROM_CR, RM, REG, F_MODRM_REG | F_NATIVE | F_RING0),
	[0x21] = INSN(MOV_FROM_DR, RM, REG, F_MODRM_REG | F_NATIVE | F_RING0),
	[0x22] = INSN(MOV_TO_CR, REG, RM, F_MODRM_REG | F_NATIVE | F_RING0),
	[0x23] = INSN(MOV_TO_DR, REG, RM, F_MODRM_REG | F_NATIVE | F_RING0),
	[0x28 ... 0x2f] = LENGTH(M),
	[0x30] = INSN(WRMSR, NONE, NONE, F_RING0 | F_NOREP | F_NO66),
	[0x31] = INSN(RDTSC, NONE, NONE, F_SYSTEM),
	[0x32] = INSN(RDMSR, NONE, NONE, F_RING0 | F_NOREP | F_NO66),
	[0x33] = INSN(RDPMC, NONE, NONE, F_SYSTEM),
	[0x34 ... 0x35] = LENGTH(0), [0x37] = LENGTH(0),
	[0x40 ... 0x4f] = INSN(CMOVCC, REG, RM, M),
	[0x50 ... 0x6f] = LENGTH(M), [0x70 ... 0x73] = LENGTH(M | F_IMM8), [0x74 ... 0x76] = LENGTH(M),
	[0x77] = LENGTH(0), [0x7c ... 0x7f] = LENGTH(M),
	[0x80 ... 0x8f] = INSN(JCC, NONE, IMM, F_F64 | F_IMMZ),
	[0x90 ... 0x9f] = INSN(SETCC, RM, NONE, M | F_BYTE),
	[0xa0] = INSN(PUSH_SREG, NONE, NONE, F_D64), [0xa1] = INSN(POP_SREG, NONE, NONE, F_D64 | F_SYSTEM),
	[0xa2] = INSN(CPUID, NONE, NONE, F_SYSTEM), [0xa3] = INSN(BT, RM, REG, M),
	[0xa4] = INSN3(SHLD, RM, REG, IMM, M | F_IMM8), [0xa5] = INSN3(SHLD, RM, REG, CL, M),
	[0xa8] = INSN(PUSH_SREG, NONE, NONE, F_D64), [0xa9] = INSN(POP_SREG, NONE, NONE, F_D64 | F_SYSTEM),
	[0xaa] = LENGTH(0), [0xab] = INSN(BTS, RM, REG, M | F_LOCK),
	[0xac] = INSN3(SHRD, RM, REG, IMM, M | F_IMM8), [0xad] = INSN3(SHRD, RM, REG, CL, M),
	[0xae] = { .flags = M, .group = group15, .group_reg = group15_reg }, [0xaf] = INSN(IMUL, REG, RM, M),
	[0xb0] = INSN(CMPXCHG, RM, REG, M | F_BYTE | F_LOCK), [0xb1] = INSN(CMPXCHG, RM, REG, M | F_LOCK),
	[0xb2] = LOAD_POINTER, [0xb3] = INSN(BTR, RM, REG, M | F_LOCK), [0xb4 ... 0xb5] = LOAD_POINTER,
	[0xb6] = INSN(MOVZX, REG, RM, M | F_SRC8), [0xb7] = INSN(MOVZX, REG, RM, M | F_SRC16),
	[0xb8] = INSN(POPCNT, REG, RM, M | F_REP_E), [0xb9] = INSN(UD, REG, RM, M),
	[0xba] = GROUP(group8, F_IMM8), [0xbb] = INSN(BTC, RM, REG, M | F_LOCK),
	[0xbc] = INSN(BSF, REG, RM, M), [0xbd] = INSN(BSR, REG, RM, M), /* with F3 tzcnt, lzcnt */
	[0xbe] = INSN(MOVSX, REG, RM, M | F_SRC8), [0xbf] = INSN(MOVSX, REG, RM, M | F_SRC16),
	[0xc0] = INSN(XADD, RM, REG, M | F_BYTE | F_LOCK), [0xc1] = INSN(XADD, RM, REG, M | F_LOCK),
	[0xc2] = LENGTH(M | F_IMM8),
	[0xc3] = INSN(MOV, RM, REG, M | F_MEM | F_W32 | F_NOREP | F_NO66), /* movnti */
	[0xc4 ... 0xc6] = LENGTH(M | F_IMM8), [0xc7] = GROUP(group9, 0),
	[0xc8 ... 0xcf] = INSN(BSWAP, OPREG, NONE, 0), [0xd0 ... 0xfe] = LENGTH(M),
	[0xff] = INSN(UD, REG, RM, M),
};

const struct opcode_row map_0f38[256] = {
	[0x00 ... 0xef] = LENGTH(M),
	/* With F2 they are crc32. */
	[0xf0] = INSN(MOVBE, REG, RM, M | F_MEM | F_NOREP), [0xf1] = INSN(MOVBE, RM, REG, M | F_MEM | F_NOREP),
	[0xf2 ... 0xff] = LENGTH(M),
};
