/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The decoder: bytes in, one struct insn out. Pure: no state, no ops, no
 * faults. It knows the length of most of the instruction set, and the meaning
 * of the forms that the executor carries out.
 */
#ifndef EMULATE_DECODE_H
#define EMULATE_DECODE_H

#include "emulate/emulate.h"

enum emul_op {
	OP_UNKNOWN, /* at most the length is known */

	/* In the order of the encoding: opcode bits 5:3, ModRM.reg of group 1. */
	OP_ADD, OP_OR, OP_ADC, OP_SBB, OP_AND, OP_SUB, OP_XOR, OP_CMP,
	OP_TEST,
	/* ModRM.reg of group 2. */
	OP_ROL, OP_ROR, OP_RCL, OP_RCR, OP_SHL, OP_SHR, OP_SAL, OP_SAR,
	OP_SHLD, OP_SHRD,
	OP_INC, OP_DEC, OP_NEG, OP_NOT,
	/* ModRM.reg of group 8, from 4. */
	OP_BT, OP_BTS, OP_BTR, OP_BTC,
	OP_XCHG, OP_CMPXCHG, OP_XADD, OP_CMPXCHG_PAIR,
	OP_IMUL, /* destination, source, source 2 or the destination */
	OP_MUL_ACC, OP_IMUL_ACC, /* rDX:rAX */

	OP_DIV, OP_IDIV,
	OP_BSF, OP_BSR, OP_TZCNT, OP_LZCNT, OP_POPCNT,
	OP_BSWAP,
	OP_CBW, OP_CWD, /* and their wider forms */
	OP_DAA, OP_DAS, OP_AAA, OP_AAS, OP_AAM, OP_AAD,
	OP_LAHF, OP_SAHF, OP_CLC, OP_STC, OP_CMC, OP_CLD, OP_STD, OP_SALC,
	OP_BOUND, OP_UD,
	OP_NOP, /* also hints, fences and cache flushes, which have no effect here */

	OP_MOV, OP_MOVZX, OP_MOVSX, OP_MOVBE, OP_LEA, OP_XLAT, OP_SETCC, OP_CMOVCC,

	OP_PUSH, OP_POP, OP_PUSHF, OP_POPF, OP_PUSHA, OP_POPA, OP_ENTER, OP_LEAVE,
	OP_CALL_REL, OP_CALL, OP_JMP_REL, OP_JMP, OP_RET, OP_JCC, OP_JCXZ, OP_LOOP, OP_LOOPE, OP_LOOPNE,

	OP_MOVS, OP_CMPS, OP_STOS, OP_LODS, OP_SCAS, OP_INS, OP_OUTS,
	OP_IN, OP_OUT,

	OP_VECTOR_LOAD, OP_VECTOR_LOAD_LOW, OP_VECTOR_LOAD_HIGH, OP_VECTOR_STORE, OP_VECTOR_STORE_HIGH,

	OP_MOV_FROM_SREG, OP_MOV_TO_SREG, OP_PUSH_SREG, OP_POP_SREG, OP_LOAD_POINTER, /* lds and the like */
	OP_ARPL, OP_VERR, OP_VERW, OP_LAR, OP_LSL,
	OP_JMP_FAR, OP_CALL_FAR, OP_RET_FAR, OP_IRET,
	OP_INT, OP_INT3, OP_INT1, OP_INTO,
	OP_CLI, OP_STI, OP_HLT, OP_CLTS, OP_WAIT,
	OP_LGDT, OP_LIDT, OP_SGDT, OP_SIDT, OP_LLDT, OP_LTR, OP_SLDT, OP_STR, OP_LMSW, OP_SMSW,
	OP_MOV_FROM_CR, OP_MOV_TO_CR, OP_MOV_FROM_DR, OP_MOV_TO_DR,
	OP_RDMSR, OP_WRMSR, OP_XCR, /* xgetbv, xsetbv */
	OP_RDTSC, OP_RDPMC, OP_CPUID, OP_INVLPG, OP_WBINVD,
	OP_COUNT
};

enum operand_kind {
	OPD_NONE,
	OPD_RM,    /* register or memory named by ModRM */
	OPD_REG,   /* ModRM.reg */
	OPD_OPREG, /* opcode bits 2:0 */
	OPD_ACC,   /* AL, AX, EAX, RAX */
	OPD_MOFFS, /* memory at the offset in the instruction */
	OPD_IMM,
	OPD_ONE,
	OPD_CL,
	OPD_DX
};

enum rep_prefix { REP_NONE, REP_E /* F3 */, REP_NE /* F2 */ };

#define NO_REG (-1)

/* Packed into 40 bytes, because each instruction clears it. */
struct insn {
	enum emul_op op : 8;
	uint8_t dst, src, src2; /* enum operand_kind */
	uint8_t op_size;        /* bytes: 1, 2, 4, 8 */
	uint8_t mem_size;       /* of the r/m operand; differs for movzx and the like */
	uint8_t addr_size;      /* bytes: 2, 4, 8 */
	uint8_t len;            /* 0 when unknown */
	uint8_t opcode;         /* last opcode byte */
	uint8_t rep;            /* enum rep_prefix, the last one given */
	bool lock : 1;
	bool rex : 1;           /* present: byte registers 4-7 are SPL BPL SIL DIL */
	bool has_mem : 1;       /* a memory operand of ModRM or moffs, described below */
	bool rip_relative : 1;
	bool is_aligned : 1;    /* a vector's memory must be */
	bool is_system : 1;     /* needs privileged state: emul_ctxt.system */
	bool is_privileged : 1; /* ring 0 only */
	uint8_t reg;            /* ModRM.reg or opcode 2:0, with REX applied */
	uint8_t rm;             /* register number of a register r/m operand */
	/* Of the memory operand. String instructions have @seg only. */
	uint8_t seg;            /* enum segment_register */
	int8_t base, index;     /* enum gpr or NO_REG */
	uint8_t scale;          /* index is shifted left by */
	/* Moves of vector registers, whose number is in @reg. */
	uint8_t vector_len;     /* VEX: 16 or 32; 0 for SSE */
	uint8_t vvvv;           /* VEX: the second register */
	uint16_t imm2;          /* enter: nesting level; far pointer: selector */
	int64_t disp;
	uint64_t imm;           /* extended to 64 bits as the instruction does */
};

enum decode_result {
	DECODE_OK,
	DECODE_SHORT,   /* more bytes are needed */
	DECODE_INVALID, /* raises #UD on any processor */
	DECODE_UNKNOWN, /* insn->len may be known all the same */
};

/* Decode the instruction at the start of @bytes, of which @have are there.
 * With EMUL_INSN_MAX bytes, DECODE_SHORT means: longer than allowed. */
enum decode_result decode_insn(struct insn *insn, enum emul_mode mode, const uint8_t *bytes,
			       unsigned int have) must_check;

#endif
