// SPDX-License-Identifier: GPL-2.0-only
/*
 * The decoder beside an independent one, libzydis, on random encodings in
 * all three modes: instruction length, and the parts of the memory operand.
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

#define CASES 3000000u /* for each mode */

static uint64_t random_state;

static uint64_t random64(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
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
static bool has_no_size(enum emul_op op) { return op == OP_NOP || op == OP_LEA || op == OP_INVLPG || op == OP_UD; }

/* @notrack: DS override on an indirect branch, which libzydis takes to mean
 * that and nothing else. */
static bool same_memory(const struct insn *ours, const ZydisDecodedOperand *theirs, bool notrack)
{
	uint64_t mask = ours->addr_size == 8 ? ~0ull : (1ull << (8 * ours->addr_size)) - 1;
	bool rip = theirs->mem.base == ZYDIS_REGISTER_RIP || theirs->mem.base == ZYDIS_REGISTER_EIP;

	return (notrack || ours->op == OP_LEA || ours->seg == ZydisRegisterGetId(theirs->mem.segment)) && ours->rip_relative == rip &&
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
	if (result != DECODE_OK)
		return;
	tally->known++;
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
