// SPDX-License-Identifier: GPL-2.0-only
/*
 * The decoder beside an independent one, libzydis, on random encodings in
 * all three modes: instruction length, operation, operands.
 * SPOOR_SEED chooses the sequence.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <Zydis/Zydis.h>
#include <cmocka.h>
#include "emulate/decode.h"
#include "tests/host/random.h"

#define CASES 3000000u /* for each mode */

static uint64_t random_state;

static uint64_t random64(void)
{
	return random_next(&random_state);
}

static void seed(void)
{
	const char *text = getenv("SPOOR_SEED");

	random_state = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL);
	printf("SPOOR_SEED=%llu\n", (unsigned long long)random_state);
	random_state = random_state * 0x9e3779b97f4a7c15ull | 1;
}

/* Prefixes often, then an opcode, then anything. */
static void random_insn(uint8_t *bytes)
{
	static const uint8_t prefix[] = { 0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65,
					  0x48, 0x41, 0x44, 0x4f, 0x40 };
	unsigned int n = 0, prefixes = random64() % 8;

	for (unsigned int i = 0; i < EMUL_INSN_MAX; i++)
		bytes[i] = (uint8_t)random64();
	if (prefixes > 4)
		prefixes = 0;
	while (n < prefixes)
		bytes[n++] = prefix[random64() % sizeof(prefix)];
	switch (random64() % 8) {
	case 0: case 1: case 2:
		bytes[n] = 0x0f;
		break;
	case 3:
		bytes[n++] = 0x0f;
		bytes[n] = random64() & 1 ? 0x38 : 0x3a;
		if (random64() & 1)
			bytes[n + 1] |= 0xf0;
		break;
	default:
		break;
	}
}

static int8_t gpr_of(ZydisRegister r)
{
	ZyanI8 id;

	if (r == ZYDIS_REGISTER_NONE || r == ZYDIS_REGISTER_RIP || r == ZYDIS_REGISTER_EIP)
		return NO_REG;
	id = ZydisRegisterGetId(r);
	assert_true(id >= 0);
	return id;
}

static const ZydisDecodedOperand *memory_operand(const ZydisDecodedInstruction *z,
						 const ZydisDecodedOperand *operands)
{
	for (unsigned int i = 0; i < z->operand_count; i++)
		if (operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY &&
		    operands[i].visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT)
			return &operands[i];
	return NULL;
}

static bool is_string(enum emul_op op) { return op >= OP_MOVS && op <= OP_OUTS; }
/* Instructions that name memory and do not access it. */
static bool has_no_size(enum emul_op op)
{
	return op == OP_NOP || op == OP_LEA || op == OP_INVLPG || op == OP_UD;
}

/* @notrack: DS override on an indirect branch, which libzydis takes to mean
 * that and nothing else. */
static bool same_memory(const struct insn *ours, const ZydisDecodedOperand *theirs, bool notrack)
{
	uint64_t mask = ours->addr_size == 8 ? ~0ull : (1ull << (8 * ours->addr_size)) - 1;
	bool rip = theirs->mem.base == ZYDIS_REGISTER_RIP || theirs->mem.base == ZYDIS_REGISTER_EIP;

	if (!notrack && ours->op != OP_LEA && ours->seg != ZydisRegisterGetId(theirs->mem.segment))
		return false;
	return ours->rip_relative == rip &&
	       ours->base == gpr_of(theirs->mem.base) && ours->index == gpr_of(theirs->mem.index) &&
	       (ours->index == NO_REG || 1 << ours->scale == theirs->mem.scale) &&
	       ((uint64_t)(ours->disp ^ theirs->mem.disp.value) & mask) == 0 &&
	       (has_no_size(ours->op) || ours->mem_size * 8 == theirs->size);
}

static void report(const char *what, enum emul_mode mode, const uint8_t *bytes, const struct insn *ours,
		   const ZydisDecodedInstruction *z)
{
	printf("%s: mode %d, ours: op %d len %u seg %u base %d index %d disp %llx size %u; zydis len %u %s\n  ", what,
	       mode, ours->op, ours->len, ours->seg, ours->base, ours->index, (unsigned long long)ours->disp,
	       ours->mem_size, z->length, ZydisMnemonicGetString(z->mnemonic));
	for (unsigned int i = 0; i < EMUL_INSN_MAX; i++)
		printf(" %02x", bytes[i]);
	printf("\n");
	fail();
}

/* ---- operations ------------------------------------------------------------------ */

#define SAME(name) { OP_##name, ZYDIS_MNEMONIC_##name }
#define NAME(op, name) { OP_##op, ZYDIS_MNEMONIC_##name }
/* A condition has two or three names; libzydis uses one. */
#define CONDITIONS(op, prefix) \
	NAME(op, prefix##O), NAME(op, prefix##NO), NAME(op, prefix##B), NAME(op, prefix##NB), \
		NAME(op, prefix##Z), NAME(op, prefix##NZ), NAME(op, prefix##BE), NAME(op, prefix##NBE), \
		NAME(op, prefix##S), NAME(op, prefix##NS), NAME(op, prefix##P), NAME(op, prefix##NP), \
		NAME(op, prefix##L), NAME(op, prefix##NL), NAME(op, prefix##LE), NAME(op, prefix##NLE)
/* A move with and without VEX, single and double precision. */
#define VECTOR(op, name) NAME(VECTOR_##op, name), NAME(VECTOR_##op, V##name)
#define VECTOR_BOTH(op, name) VECTOR(op, name##S), VECTOR(op, name##D)

static const struct {
	enum emul_op op;
	ZydisMnemonic name;
} names[] = {
	SAME(ADD), SAME(OR), SAME(ADC), SAME(SBB), SAME(AND), SAME(SUB), SAME(XOR), SAME(CMP), SAME(TEST),
	SAME(ROL), SAME(ROR), SAME(RCL), SAME(RCR), SAME(SHL), SAME(SHR), NAME(SAL, SHL), SAME(SAR),
	SAME(SHLD), SAME(SHRD), SAME(INC), SAME(DEC), SAME(NEG), SAME(NOT), SAME(BT), SAME(BTS), SAME(BTR),
	SAME(BTC), SAME(XCHG), SAME(CMPXCHG), SAME(XADD), NAME(CMPXCHG_PAIR, CMPXCHG8B),
	NAME(CMPXCHG_PAIR, CMPXCHG16B), SAME(IMUL), NAME(MUL_ACC, MUL), NAME(IMUL_ACC, IMUL), SAME(DIV),
	SAME(IDIV), SAME(BSF), SAME(BSR), SAME(TZCNT), SAME(LZCNT), SAME(POPCNT), SAME(BSWAP), SAME(CBW),
	NAME(CBW, CWDE), NAME(CBW, CDQE), SAME(CWD), NAME(CWD, CDQ), NAME(CWD, CQO), SAME(DAA), SAME(DAS),
	SAME(AAA), SAME(AAS), SAME(AAM), SAME(AAD), SAME(LAHF), SAME(SAHF), SAME(CLC), SAME(STC),
	SAME(CMC), SAME(CLD), SAME(STD), SAME(SALC), SAME(BOUND), NAME(UD, UD0), NAME(UD, UD1),
	NAME(UD, UD2), SAME(NOP), NAME(NOP, PAUSE), NAME(NOP, PREFETCH), NAME(NOP, PREFETCHW),
	NAME(NOP, PREFETCHWT1), NAME(NOP, PREFETCHT0), NAME(NOP, PREFETCHT1), NAME(NOP, PREFETCHT2),
	NAME(NOP, PREFETCHNTA), NAME(NOP, CLFLUSH), NAME(NOP, CLFLUSHOPT), NAME(NOP, LFENCE),
	NAME(NOP, MFENCE), NAME(NOP, SFENCE), NAME(NOP, ENDBR32), NAME(NOP, ENDBR64), NAME(NOP, RDSSPD),
	NAME(NOP, RDSSPQ), NAME(NOP, CLDEMOTE), SAME(MOV), NAME(MOV, MOVNTI), SAME(MOVZX), SAME(MOVSX),
	NAME(MOVSX, MOVSXD), SAME(MOVBE), SAME(LEA), NAME(XLAT, XLAT), CONDITIONS(SETCC, SET),
	CONDITIONS(CMOVCC, CMOV), CONDITIONS(JCC, J), SAME(PUSH), SAME(POP), SAME(PUSHF),
	NAME(PUSHF, PUSHFD), NAME(PUSHF, PUSHFQ), SAME(POPF), NAME(POPF, POPFD), NAME(POPF, POPFQ),
	SAME(PUSHA), NAME(PUSHA, PUSHAD), SAME(POPA), NAME(POPA, POPAD), SAME(ENTER), SAME(LEAVE),
	NAME(CALL_REL, CALL), SAME(CALL), NAME(JMP_REL, JMP), SAME(JMP), SAME(RET), NAME(JCXZ, JCXZ),
	NAME(JCXZ, JECXZ), NAME(JCXZ, JRCXZ), SAME(LOOP), SAME(LOOPE), SAME(LOOPNE), NAME(MOVS, MOVSB),
	NAME(MOVS, MOVSW), NAME(MOVS, MOVSD), NAME(MOVS, MOVSQ), NAME(CMPS, CMPSB), NAME(CMPS, CMPSW),
	NAME(CMPS, CMPSD), NAME(CMPS, CMPSQ), NAME(STOS, STOSB), NAME(STOS, STOSW), NAME(STOS, STOSD),
	NAME(STOS, STOSQ), NAME(LODS, LODSB), NAME(LODS, LODSW), NAME(LODS, LODSD), NAME(LODS, LODSQ),
	NAME(SCAS, SCASB), NAME(SCAS, SCASW), NAME(SCAS, SCASD), NAME(SCAS, SCASQ), NAME(INS, INSB),
	NAME(INS, INSW), NAME(INS, INSD), NAME(OUTS, OUTSB), NAME(OUTS, OUTSW), NAME(OUTS, OUTSD),
	SAME(IN), SAME(OUT), VECTOR_BOTH(LOAD, MOVUP), VECTOR_BOTH(STORE, MOVUP), VECTOR_BOTH(LOAD, MOVAP),
	VECTOR_BOTH(STORE, MOVAP), VECTOR_BOTH(LOAD, MOVS), VECTOR_BOTH(STORE, MOVS),
	VECTOR_BOTH(STORE, MOVNTP), VECTOR_BOTH(LOAD_LOW, MOVLP), VECTOR_BOTH(STORE, MOVLP),
	VECTOR_BOTH(LOAD_HIGH, MOVHP), VECTOR_BOTH(STORE_HIGH, MOVHP), VECTOR(LOAD, MOVD),
	VECTOR(STORE, MOVD), VECTOR(LOAD, MOVQ), VECTOR(STORE, MOVQ), VECTOR(LOAD, MOVDQA),
	VECTOR(STORE, MOVDQA), VECTOR(LOAD, MOVDQU), VECTOR(STORE, MOVDQU), VECTOR(STORE, MOVNTDQ),
	VECTOR(LOAD, MOVNTDQA), VECTOR(LOAD, LDDQU), NAME(MOV_FROM_SREG, MOV), NAME(MOV_TO_SREG, MOV),
	NAME(PUSH_SREG, PUSH), NAME(POP_SREG, POP), NAME(LOAD_POINTER, LDS), NAME(LOAD_POINTER, LES),
	NAME(LOAD_POINTER, LSS), NAME(LOAD_POINTER, LFS), NAME(LOAD_POINTER, LGS), SAME(ARPL), SAME(VERR),
	SAME(VERW), SAME(LAR), SAME(LSL), NAME(JMP_FAR, JMP), NAME(CALL_FAR, CALL), NAME(RET_FAR, RET),
	SAME(IRET), NAME(IRET, IRETD), NAME(IRET, IRETQ), SAME(INT), SAME(INT3), SAME(INT1), SAME(INTO),
	SAME(CLI), SAME(STI), SAME(HLT), SAME(CLTS), NAME(WAIT, FWAIT), SAME(LGDT), SAME(LIDT), SAME(SGDT),
	SAME(SIDT), SAME(LLDT), SAME(LTR), SAME(SLDT), SAME(STR), SAME(LMSW), SAME(SMSW),
	NAME(MOV_FROM_CR, MOV), NAME(MOV_TO_CR, MOV), NAME(MOV_FROM_DR, MOV), NAME(MOV_TO_DR, MOV),
	SAME(RDMSR), SAME(WRMSR), NAME(XCR, XGETBV), NAME(XCR, XSETBV), SAME(RDTSC), SAME(RDPMC),
	SAME(CPUID), SAME(INVLPG), SAME(WBINVD), NAME(WBINVD, INVD),
};

static bool same_name(enum emul_op op, ZydisMnemonic name)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].op == op && names[i].name == name)
			return true;
	return false;
}

/* Conditions are in the order of their encoding. */
static bool same_condition(const struct insn *ours, ZydisMnemonic name)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].op == ours->op)
			return names[i + (ours->opcode & 15)].name == name;
	return false;
}

/* What the executor has a name for, it should know in every form; but vector
 * registers between each other, MMX, what vendors differ on, and EVEX. */
static bool should_be_known(const struct insn *ours, const ZydisDecodedInstruction *z,
			    const ZydisDecodedOperand *operands)
{
	bool named = false;

	if (z->encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX || z->mnemonic == ZYDIS_MNEMONIC_NOP ||
	    z->mnemonic == ZYDIS_MNEMONIC_MOVSXD)
		return false;
	if (z->mnemonic == ZYDIS_MNEMONIC_CMPSD) /* a comparison of vectors has the name, too */
		return z->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT;
	for (unsigned int i = 0; i < z->operand_count; i++)
		if (operands[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    ZydisRegisterGetClass(operands[i].reg.value) == ZYDIS_REGCLASS_MMX)
			return false;
	for (unsigned int i = 0; i < ARRAY_SIZE(names) && !named; i++)
		named = names[i].name == z->mnemonic;
	return named && (ours->has_mem || z->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT);
}

/* ---- operands other than memory ------------------------------------------------------- */

static ZydisRegister gpr(const struct insn *ours, unsigned int n, unsigned int size)
{
	switch (size) {
	case 1:
		if (n >= 8)
			return ZYDIS_REGISTER_R8B + n - 8;
		if (n < 4)
			return ZYDIS_REGISTER_AL + n;
		return (ours->rex ? ZYDIS_REGISTER_SPL : ZYDIS_REGISTER_AH) + n - 4;
	case 2:
		return ZYDIS_REGISTER_AX + n;
	case 4:
		return ZYDIS_REGISTER_EAX + n;
	default:
		return ZYDIS_REGISTER_RAX + n;
	}
}

static ZydisRegister operand_register(const struct insn *ours, enum operand_kind kind, bool is_rm_narrow)
{
	unsigned int size = ours->op_size;

	if (kind == OPD_RM)
		return gpr(ours, ours->rm, is_rm_narrow ? ours->mem_size : size);
	if (kind == OPD_ACC)
		return gpr(ours, GPR_RAX, size);
	return kind == OPD_CL ? ZYDIS_REGISTER_CL : kind == OPD_DX ? ZYDIS_REGISTER_DX : gpr(ours, ours->reg, size);
}

/* Ours is extended as it is used; theirs, if unsigned, is as it was encoded. */
static bool same_immediate(const struct insn *ours, const ZydisDecodedInstruction *z,
			   const ZydisDecodedOperand *theirs)
{
	unsigned int bits = theirs->imm.is_signed ? 8u * ours->op_size : z->raw.imm[0].size;
	uint64_t mask = bits == 64 ? ~0ull : (1ull << bits) - 1;

	if (ours->op == OP_ENTER)
		return theirs->imm.value.u == ours->imm || theirs->imm.value.u == ours->imm2;
	return ((theirs->imm.value.u ^ ours->imm) & mask) == 0;
}

static bool is_sreg_op(enum emul_op op)
{
	return op >= OP_MOV_FROM_SREG && op <= OP_POP_SREG;
}

/* A register of another kind than the general ones. */
static ZydisRegister special_register(const struct insn *ours)
{
	switch (ours->op) {
	case OP_MOV_FROM_SREG: case OP_MOV_TO_SREG:
		return ZYDIS_REGISTER_ES + (ours->reg & 7);
	case OP_PUSH_SREG: case OP_POP_SREG:
		return ZYDIS_REGISTER_ES + (ours->opcode >> 3 & 7);
	case OP_MOV_FROM_CR: case OP_MOV_TO_CR:
		return ZYDIS_REGISTER_CR0 + ours->reg;
	case OP_MOV_FROM_DR: case OP_MOV_TO_DR:
		return ZYDIS_REGISTER_DR0 + ours->reg;
	default:
		return (ours->mem_size == 32 ? ZYDIS_REGISTER_YMM0 : ZYDIS_REGISTER_XMM0) + ours->reg;
	}
}

static bool is_special_class(ZydisRegisterClass class)
{
	return class == ZYDIS_REGCLASS_SEGMENT || class == ZYDIS_REGCLASS_CONTROL || class == ZYDIS_REGCLASS_DEBUG ||
	       class == ZYDIS_REGCLASS_XMM || class == ZYDIS_REGCLASS_YMM;
}

/* These read a register source that is narrower than the operand size. */
static bool has_narrow_rm(const struct insn *ours)
{
	return ours->op == OP_MOVZX || ours->op == OP_MOVSX || ours->op == OP_ARPL || ours->op == OP_VERR ||
	       ours->op == OP_VERW || ours->op == OP_LLDT || ours->op == OP_LTR || ours->op == OP_LMSW;
}

static bool is_among(const struct insn *ours, ZydisRegister r)
{
	const enum operand_kind kinds[] = { ours->dst, ours->src, ours->src2 };

	for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i] != OPD_NONE && kinds[i] != OPD_IMM && operand_register(ours, kinds[i], has_narrow_rm(ours)) == r)
			return true;
	return false;
}

/* Sizes of selectors in registers are told in several ways; their numbers not. */
static bool is_selector_op(enum emul_op op)
{
	return is_sreg_op(op) || op == OP_LAR || op == OP_LSL || op == OP_SLDT || op == OP_STR || op == OP_ARPL;
}

static bool has_second_vector(const struct insn *ours)
{
	return ours->vector_len && (ours->op == OP_VECTOR_LOAD_LOW || ours->op == OP_VECTOR_LOAD_HIGH);
}

static ZydisRegister second_vector(const struct insn *ours) { return ZYDIS_REGISTER_XMM0 + ours->vvvv; }

static bool same_register(const struct insn *ours, ZydisRegister r)
{
	if (is_special_class(ZydisRegisterGetClass(r)))
		return special_register(ours) == r || (has_second_vector(ours) && r == second_vector(ours));
	if (is_selector_op(ours->op))
		return ZydisRegisterGetId(r) == ours->rm || ZydisRegisterGetId(r) == ours->reg;
	return is_among(ours, r);
}

static bool same_operand(const struct insn *ours, const ZydisDecodedInstruction *z,
			 const ZydisDecodedOperand *theirs)
{
	switch (theirs->type) {
	case ZYDIS_OPERAND_TYPE_REGISTER:
		return ours->op == OP_NOP || ours->op == OP_UD || same_register(ours, theirs->reg.value);
	case ZYDIS_OPERAND_TYPE_IMMEDIATE:
		return ours->src == OPD_ONE ? theirs->imm.value.u == 1 : same_immediate(ours, z, theirs);
	case ZYDIS_OPERAND_TYPE_POINTER:
		return theirs->ptr.segment == ours->imm2 && theirs->ptr.offset == (uint32_t)ours->imm;
	default:
		return true; /* memory is compared on its own */
	}
}

static bool same_operands(const struct insn *ours, const ZydisDecodedInstruction *z,
			  const ZydisDecodedOperand *operands)
{
	for (unsigned int i = 0; i < z->operand_count; i++)
		if (operands[i].visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT && !same_operand(ours, z, &operands[i]))
			return false;
	return true;
}

struct tally {
	unsigned int known, invalid, length_only, memory;
};

static void compare(const ZydisDecoder *decoder, enum emul_mode mode, const uint8_t *bytes, struct tally *tally)
{
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	const ZydisDecodedOperand *memory;
	ZydisDecodedInstruction z = { 0 };
	struct insn ours;
	enum decode_result result = decode_insn(&ours, mode, bytes, EMUL_INSN_MAX);
	ZyanStatus status = ZydisDecoderDecodeFull(decoder, bytes, EMUL_INSN_MAX, &z, operands);

	if (result == DECODE_OK && !ZYAN_SUCCESS(status))
		report("ours only", mode, bytes, &ours, &z);
	if ((result == DECODE_INVALID || result == DECODE_SHORT) && ZYAN_SUCCESS(status))
		report("theirs only", mode, bytes, &ours, &z);
	tally->invalid += result == DECODE_INVALID;
	if (!ZYAN_SUCCESS(status) || ours.len == 0)
		return;
	if (ours.len != z.length)
		report("length", mode, bytes, &ours, &z);
	tally->length_only += result == DECODE_UNKNOWN;
	if (result == DECODE_UNKNOWN && should_be_known(&ours, &z, operands))
		report("not known", mode, bytes, &ours, &z);
	if (result != DECODE_OK)
		return;
	tally->known++;
	/* With REX.B it is an xchg with r8, whatever the other prefixes: processors say so. */
	if (ours.op == OP_XCHG && z.mnemonic == ZYDIS_MNEMONIC_PAUSE)
		return;
	if (!same_name(ours.op, z.mnemonic))
		report("operation", mode, bytes, &ours, &z);
	if ((ours.op == OP_SETCC || ours.op == OP_CMOVCC || ours.op == OP_JCC) && !same_condition(&ours, z.mnemonic))
		report("condition", mode, bytes, &ours, &z);
	if (!same_operands(&ours, &z, operands))
		report("operand", mode, bytes, &ours, &z);
	memory = memory_operand(&z, operands);
	if (is_string(ours.op) || !(ours.has_mem || memory))
		return;
	tally->memory++;
	if (!memory || !ours.has_mem || !same_memory(&ours, memory, z.attributes & ZYDIS_ATTRIB_HAS_NOTRACK))
		report("memory operand", mode, bytes, &ours, &z);
}

static void compare_mode(enum emul_mode mode, ZydisMachineMode machine, ZydisStackWidth width)
{
	struct tally tally = { 0 };
	uint8_t bytes[EMUL_INSN_MAX];
	ZydisDecoder decoder;

	assert_true(ZYAN_SUCCESS(ZydisDecoderInit(&decoder, machine, width)));
	for (unsigned int i = 0; i < CASES; i++) {
		random_insn(bytes);
		compare(&decoder, mode, bytes, &tally);
	}
	printf("known %u, with memory operand %u, invalid %u, length only %u\n", tally.known, tally.memory,
	       tally.invalid, tally.length_only);
	assert_true(tally.known > CASES / 5 && tally.memory > CASES / 20 && tally.invalid > 1000);
}

static void long_mode_agrees(void **state)
{
	compare_mode(EMUL_MODE_64, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
}

static void protected_mode_agrees(void **state)
{
	compare_mode(EMUL_MODE_32, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
}

static void mode_16_agrees(void **state)
{
	compare_mode(EMUL_MODE_16, ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(long_mode_agrees),
		cmocka_unit_test(protected_mode_agrees),
		cmocka_unit_test(mode_16_agrees),
	};

	seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
