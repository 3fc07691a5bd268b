// SPDX-License-Identifier: GPL-2.0-only
/*
 * The emulator beside the processor this test runs on: random instructions
 * it knows, in 64-, 32- and 16-bit code at user level, with random registers,
 * flags and segments, run by both; then registers, selectors, defined flags,
 * faults and memory are compared.
 *
 * The emulator works on its own copy of the memory around the operand. It has
 * the descriptors that the processor has. SPOOR_SEED chooses the sequence.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include "emulate/alu.h"
#include "emulate/segment.h"
#include "tests/host/native.h"
#include "tests/host/random.h"

#define CASES_64 1000000u
#define CASES_LEGACY 600000u /* of 32-bit code, and of 16-bit code */
#define WINDOW_BASE (NATIVE_DATA + NATIVE_DATA_SIZE / 2)
#define WINDOW_SIZE 4096u
/* Where the emulator finds its tables: nothing else is there. */
#define GDT_BASE 0xa0000000u
#define LDT_BASE 0xb0000000u
#define TSS_BASE 0xc0000000u

/* ---- segments --------------------------------------------------------------------- */

enum {
	LDT_CODE16, LDT_CODE32, LDT_CODE_ONLY, LDT_DATA, LDT_EXTRA, LDT_STACK16, LDT_STACK32, LDT_GS, LDT_READ_ONLY,
	LDT_ABSENT, LDT_EXPAND_DOWN, LDT_COUNT
};
#define LDT_SELECTOR(entry) ((uint16_t)((entry) * 8 + 7))

static const struct native_segment ldt[LDT_COUNT] = {
	[LDT_CODE16] = { .base = NATIVE_CODE, .limit = 0xffff, .is_code = true },
	[LDT_CODE32] = { .base = NATIVE_CODE - 0x1000, .limit = 0xffff, .is_code = true, .is_32bit = true },
	[LDT_CODE_ONLY] = { .base = NATIVE_CODE - 0x2000, .limit = 0xffffffff, .is_code = true, .is_32bit = true,
			    .is_read_only = true },
	[LDT_DATA] = { .base = WINDOW_BASE - 0x7000, .limit = 0xffff },
	[LDT_EXTRA] = { .base = WINDOW_BASE - 0x6000, .limit = 0xffff, .is_32bit = true },
	[LDT_STACK16] = { .base = WINDOW_BASE - 0x5000, .limit = 0xffff },
	[LDT_STACK32] = { .base = WINDOW_BASE - 0x9000, .limit = 0x1ffff, .is_32bit = true },
	[LDT_GS] = { .base = WINDOW_BASE - 0x4000, .limit = 0xffff },
	[LDT_READ_ONLY] = { .base = WINDOW_BASE - 0x3000, .limit = 0xffff, .is_read_only = true },
	[LDT_ABSENT] = { .base = WINDOW_BASE, .limit = 0xffff, .is_absent = true },
	[LDT_EXPAND_DOWN] = { .base = WINDOW_BASE - 0x8000, .limit = 0xfff, .is_expand_down = true },
};

/* As Linux makes them of the above: ring 3, accessed, available for software. */
static uint64_t ldt_descriptor(const struct native_segment *s)
{
	bool pages = s->limit > 0xfffff;
	uint64_t limit = pages ? s->limit >> 12 : s->limit;
	uint64_t type = 1 | (s->is_code ? 8 : 0) | (s->is_expand_down ? 4 : 0) | (s->is_read_only ? 0 : 2);
	uint64_t access = 0x70 | type | (s->is_absent ? 0 : 0x80);
	uint64_t flags = 1 | (s->is_32bit ? 4 : 0) | (pages ? 8 : 0);

	return (limit & 0xffff) | (uint64_t)(s->base & 0xffffff) << 16 | access << 40 | (limit >> 16) << 48 |
	       flags << 52 | (uint64_t)(s->base >> 24) << 56;
}

static uint64_t raw_descriptor(uint16_t selector)
{
	if (selector & 4)
		return selector >> 3 < LDT_COUNT ? ldt_descriptor(&ldt[selector >> 3]) : 0;
	switch (selector >> 3) {
	case SELECTOR_CODE32 >> 3:
		return 0x00cffb000000ffff;
	case SELECTOR_DATA >> 3:
		return 0x00cff3000000ffff;
	case SELECTOR_CODE64 >> 3:
		return 0x00affb000000ffff;
	default:
		return 0;
	}
}

/* ---- one case --------------------------------------------------------------------- */

struct test_case {
	enum emul_mode mode;
	uint8_t bytes[32];
	unsigned int disp_at, disp_size; /* where the displacement is */
	struct insn insn;
	struct cpu_regs regs;
	uint16_t selectors[6];
	uint64_t operand; /* linear address of the memory operand */
	bool checks_alignment;
	unsigned int granularity; /* of addresses */
} now;

static struct segment held[SEG_COUNT];
static uint8_t vectors[16][32], original_vectors[16][32];
static uint8_t copy[WINDOW_SIZE], original[WINDOW_SIZE];
static uint64_t random_state;

static uint64_t random64(void)
{
	return random_next(&random_state);
}

static bool one_in(unsigned int n) { return random64() % n == 0; }

static void *window(void) { return (void *)WINDOW_BASE; }
static uint64_t in_window(void)
{
	return WINDOW_BASE + WINDOW_SIZE / 2 + random64() % 64 / now.granularity * now.granularity;
}

static bool is_legacy_mode(void) { return now.mode != EMUL_MODE_64; }
static uint64_t base_of(enum segment_register s) { return is_legacy_mode() ? held[s].base : 0; }
static bool has_16_bit_stack(void) { return is_legacy_mode() && !(held[SEG_SS].access & SEGMENT_DB); }

static void print_case(void)
{
	fprintf(stderr, "mode %d insn:", now.mode);
	for (unsigned int i = 0; i < (now.insn.len ? now.insn.len : EMUL_INSN_MAX); i++)
		fprintf(stderr, " %02x", now.bytes[i]);
	fprintf(stderr,
		"\nop %d flags %llx cs %x ss %x ds %x es %x gs %x operand %llx; native: signal %llu branch "
		"%llu\n",
		now.insn.op, (unsigned long long)now.regs.rflags, now.selectors[SEG_CS],
		now.selectors[SEG_SS], now.selectors[SEG_DS], now.selectors[SEG_ES], now.selectors[SEG_GS],
		(unsigned long long)now.operand, (unsigned long long)native.signal,
		(unsigned long long)native.branched);
	for (unsigned int i = 0; i < GPR_COUNT; i++)
		fprintf(stderr, "  %2u in %016llx native %016llx\n", i, (unsigned long long)now.regs.gpr[i],
			(unsigned long long)native.gpr[i]);
}

/* ---- the emulator's side ------------------------------------------------------ */

static uint8_t *in_copy(gva_t addr, unsigned int len)
{
	if (addr.v < WINDOW_BASE || addr.v + len > WINDOW_BASE + WINDOW_SIZE) {
		fprintf(stderr, "access to %llx\n", (unsigned long long)addr.v);
		print_case();
		fail();
	}
	return copy + (addr.v - WINDOW_BASE);
}

static enum emul_status op_fetch(struct emul_ctxt *ctx, gva_t addr, void *dst, unsigned int len, unsigned int *got)
{
	memcpy(dst, now.bytes + (addr.v - NATIVE_CODE), len);
	*got = len;
	return EMUL_DONE;
}

static enum emul_status op_read(struct emul_ctxt *ctx, gva_t addr, void *dst, unsigned int len)
{
	memcpy(dst, in_copy(addr, len), len);
	return EMUL_DONE;
}

static enum emul_status op_write(struct emul_ctxt *ctx, gva_t addr, const void *src, unsigned int len)
{
	memcpy(in_copy(addr, len), src, len);
	return EMUL_DONE;
}

static enum emul_status op_cmpxchg(struct emul_ctxt *ctx, gva_t addr, void *expected, const void *desired,
				   unsigned int len, bool *done)
{
	uint8_t *p = in_copy(addr, len);

	*done = memcmp(p, expected, len) == 0;
	if (*done)
		memcpy(p, desired, len);
	else
		memcpy(expected, p, len);
	return EMUL_DONE;
}

static enum emul_status op_probe(struct emul_ctxt *ctx, gva_t addr, unsigned int len) { return EMUL_DONE; }

static enum emul_status op_port_in(struct emul_ctxt *ctx, uint16_t port, unsigned int len, uint32_t *val)
{
	return EMUL_UNKNOWN;
}

static enum emul_status op_port_out(struct emul_ctxt *ctx, uint16_t port, unsigned int len, uint32_t val)
{
	return EMUL_UNKNOWN;
}

static void op_segment(struct emul_ctxt *ctx, enum segment_register s, struct segment *out)
{
	*out = held[s];
}

static void op_read_vector(struct emul_ctxt *ctx, unsigned int number, uint8_t *bytes, unsigned int len)
{
	assert_true(len == 16 || len == 32);
	memcpy(bytes, vectors[number], len);
}

static void op_write_vector(struct emul_ctxt *ctx, unsigned int number, const uint8_t *bytes,
			    unsigned int len)
{
	assert_true(len == 16 || len == 32);
	memcpy(vectors[number], bytes, len);
}

static const struct emul_ops ops = {
	.fetch = op_fetch, .read = op_read, .write = op_write, .cmpxchg = op_cmpxchg, .probe_write = op_probe,
	.port_in = op_port_in, .port_out = op_port_out, .segment = op_segment,
	.read_vector = op_read_vector, .write_vector = op_write_vector,
};

/* Only descriptors are read; all that Linux makes have the accessed bit. */
static enum emul_status system_read(struct emul_ctxt *ctx, gva_t addr, void *dst, unsigned int len)
{
	uint64_t raw;

	assert_int_equal(len, 8);
	raw = raw_descriptor((uint16_t)(addr.v >= LDT_BASE ? (addr.v - LDT_BASE) | 4 : addr.v - GDT_BASE));
	memcpy(dst, &raw, len);
	return EMUL_DONE;
}

static enum emul_status system_write(struct emul_ctxt *ctx, gva_t addr, const void *src, unsigned int len)
{
	fail();
	return EMUL_UNKNOWN;
}

static void set_segment(struct emul_ctxt *ctx, enum segment_register s, const struct segment *in)
{
	held[s] = *in;
}

static void get_table(struct emul_ctxt *ctx, enum emul_table t, struct descriptor_table *out)
{
	assert_int_equal(t, EMUL_GDT);
	*out = (struct descriptor_table){ .base = GDT_BASE, .limit = 16 * 8 - 1 };
}

/* All others belong to ring 0. */
static const struct emul_system_ops system_ops = {
	.read = system_read, .write = system_write, .set_segment = set_segment, .get_table = get_table,
};

/* ---- making a case ------------------------------------------------------------------ */

static unsigned int random_prefixes(uint8_t *p)
{
	static const uint8_t overrides[] = { 0x2e, 0x36, 0x3e, 0x26, 0x65 };
	unsigned int n = 0;

	if (one_in(4))
		p[n++] = 0x66;
	if (one_in(6))
		p[n++] = 0x67;
	if (one_in(6))
		p[n++] = one_in(2) ? 0xf2 : 0xf3;
	if (one_in(6))
		p[n++] = 0xf0;
	if (one_in(is_legacy_mode() ? 4 : 16))
		p[n++] = overrides[random64() % (is_legacy_mode() ? 5 : 4)];
	if (is_legacy_mode())
		return n;
	if (one_in(32))
		p[n++] = 0x48; /* followed by another: undone */
	if (one_in(2))
		p[n++] = 0x40 | random64() % 16;
	return n;
}

/* Where the displacement is, if the instruction has a ModRM at @p. */
static unsigned int displacement(const uint8_t *p, unsigned int addr_size, unsigned int *size)
{
	uint8_t mod = p[0] >> 6, rm = p[0] & 7;
	bool sib = addr_size != 2 && mod != 3 && rm == 4;
	unsigned int widest = addr_size == 2 ? 2 : 4;

	*size = mod == 1 ? 1 : mod == 2 ? widest : 0;
	if (mod == 0 && (rm == (addr_size == 2 ? 6 : 5) || (sib && (p[1] & 7) == 5)))
		*size = widest;
	return 1 + sib;
}

static bool is_prefix(uint8_t byte)
{
	return (!is_legacy_mode() && ((byte & 0xf0) == 0x40 || byte == 0xc4 || byte == 0xc5)) ||
	       memchr("\x66\x67\xf0\xf2\xf3\x26\x2e\x36\x3e\x64\x65\x0f", byte, 12);
}

/* VEX with the opcode of a move. Outside 64-bit mode two bits must be set. */
static unsigned int random_vex(uint8_t *p)
{
	static const uint8_t opcodes[] = {0x10, 0x11, 0x12, 0x13, 0x16, 0x17, 0x28, 0x29,
					  0x2b, 0x6e, 0x6f, 0x7e, 0x7f, 0xd6, 0xe7, 0xf0};
	bool long_form = one_in(2), other_map = one_in(16);
	uint8_t legacy = is_legacy_mode() ? 0xc0 : 0;
	unsigned int n = 0;

	p[n++] = long_form ? 0xc4 : 0xc5;
	if (long_form)
		p[n++] = (uint8_t)((random64() & 0xe0) | legacy | (other_map ? 2 : 1));
	p[n++] |= (one_in(4) ? 0 : 0x78) | (long_form ? 0 : legacy);
	p[n++] = long_form && other_map ? 0x2a : opcodes[random64() % sizeof(opcodes)];
	return n;
}

/* Returns its length. */
static unsigned int random_opcode(uint8_t *p)
{
	static const uint8_t in_map_38[] = { 0xf0, 0xf1, 0x2a }; /* movbe, movntdqa */

	if (one_in(20)) {
		memcpy(p, "\x0f\x38", 2);
		p[2] = in_map_38[random64() % 3];
		return 3;
	}
	if (native.has_avx && one_in(12))
		return random_vex(p);
	if (one_in(3)) {
		p[0] = 0x0f;
		while (p[1] == 0x38 || p[1] == 0x3a)
			p[1] = (uint8_t)random64();
		return 2;
	}
	while (is_prefix(p[0]))
		p[0] = (uint8_t)random64();
	if (p[0] == 0xc4 || p[0] == 0xc5)
		p[1] &= 0x7f; /* les, lds */
	return 1;
}

static unsigned int default_address_size(void)
{
	return now.mode == EMUL_MODE_64 ? 8 : now.mode == EMUL_MODE_32 ? 4 : 2;
}

static void random_bytes(void)
{
	unsigned int addr_size = default_address_size(), n;
	uint8_t *p = now.bytes;

	for (unsigned int i = 0; i < sizeof(now.bytes); i++)
		p[i] = (uint8_t)random64();
	n = one_in(4) ? 0 : random_prefixes(p); /* VEX has none */
	if (memchr(p, 0x67, n))
		addr_size = addr_size == 4 ? 2 : 4;
	n += random_opcode(p + n);
	now.disp_at = n + displacement(p + n, addr_size, &now.disp_size);
}

static void decode_again(void)
{
	assert_int_equal(decode_insn(&now.insn, now.mode, now.bytes, EMUL_INSN_MAX), DECODE_OK);
}

static bool is_branch(enum emul_op op) { return op >= OP_CALL_REL && op <= OP_LOOPNE; }
static bool is_relative(enum emul_op op) { return op == OP_CALL_REL || op == OP_JMP_REL || op >= OP_JCC; }
static bool is_far(enum emul_op op) { return op >= OP_JMP_FAR && op <= OP_IRET; }
static bool is_string(enum emul_op op) { return op >= OP_MOVS && op <= OP_SCAS; }
static bool is_bit_string(const struct insn *i)
{
	return i->has_mem && i->op >= OP_BT && i->op <= OP_BTC && i->src == OPD_REG;
}

static bool has_byte(uint8_t byte, unsigned int until)
{
	return memchr(now.bytes, byte, until) != NULL;
}

/* FS is the C library's. */
static bool touches_fs(const struct insn *i)
{
	switch (i->op) {
	case OP_MOV_TO_SREG:
		return i->reg == SEG_FS;
	case OP_POP_SREG:
		return i->opcode == 0xa1;
	case OP_LOAD_POINTER:
		return i->opcode == 0xb4;
	default:
		return false;
	}
}

/* System instructions that can be run here: what user code may do, and what is
 * refused. Of the others the kernel has its own view. */
static bool system_insn_usable(const struct insn *i)
{
	if (!is_legacy_mode() || touches_fs(i))
		return false;
	switch (i->op) {
	case OP_INT: case OP_INT3: case OP_INT1: case OP_INTO:
	case OP_SGDT: case OP_SIDT: case OP_SLDT: case OP_STR: case OP_SMSW:
	case OP_RDTSC: case OP_RDPMC: case OP_CPUID: case OP_XCR:
		return false;
	default:
		return true;
	}
}

static bool branch_usable(const struct insn *i)
{
	/* In 64-bit mode vendors differ; 32-bit code is out of reach of 16 bits. */
	if (now.mode != EMUL_MODE_16 && (has_byte(0x66, 6) || i->len > 10))
		return false;
	return (i->op != OP_CALL && i->op != OP_JMP) || i->has_mem || i->rm != GPR_RSP;
}

/* Instructions that cannot be run here, or on which vendors differ. */
static bool usable(void)
{
	const struct insn *i = &now.insn;

	if (i->op == OP_INS || i->op == OP_OUTS || (!is_legacy_mode() && (i->op == OP_IN || i->op == OP_OUT)))
		return false;
	if (i->is_system && !system_insn_usable(i))
		return false;
	if (i->has_mem && i->base != NO_REG && i->base == i->index)
		return false;
	/* The stack pointer is to be in the stack segment as well. */
	if (is_legacy_mode() && i->has_mem && i->base == GPR_RSP && i->seg != SEG_SS)
		return false;
	if (is_branch(i->op) && !branch_usable(i))
		return false;
	/* With a repeat prefix, some processors take loope for loopne. */
	if (i->op >= OP_LOOP && i->op <= OP_LOOPNE && i->rep != REP_NONE)
		return false;
	/* Nothing to aim at in the code segment. */
	if (is_legacy_mode() && i->seg == SEG_CS && (i->has_mem || is_string(i->op) || i->op == OP_XLAT))
		return false;
	return !is_bit_string(i) || (i->reg != i->base && i->reg != i->index);
}

static void set_displacement(int64_t disp)
{
	memcpy(now.bytes + now.disp_at, &disp, now.disp_size);
}

/* A small one; what fits in a byte is as it is. */
static void choose_displacement(void)
{
	if (now.disp_size > 1)
		set_displacement((int64_t)(random64() % 512) - 256);
	decode_again();
}

/* Registers used with 16- or 32-bit addresses have anything above. */
static void set_address_register(unsigned int reg, uint64_t v)
{
	unsigned int size = now.insn.addr_size;
	bool exact = is_legacy_mode() ? size == 4 : size == 8 || reg == GPR_RSP;

	now.regs.gpr[reg] = (v & size_mask(size)) | (exact ? 0 : random64() << (8 * size));
}

/* Choose registers or displacement so that the operand is at now.operand. */
static void aim(void)
{
	struct insn *i = &now.insn;
	uint64_t offset = now.operand - base_of((enum segment_register)i->seg), index = 0;

	if (i->op == OP_MOV && (i->src == OPD_MOFFS || i->dst == OPD_MOFFS)) {
		memcpy(now.bytes + i->len - i->addr_size, &offset, i->addr_size);
		return;
	}
	if (i->index != NO_REG && (i->base == NO_REG || i->base == GPR_RSP))
		now.regs.gpr[i->index] &= 63;
	if (i->index != NO_REG)
		index = now.regs.gpr[i->index] << i->scale;
	if (i->rip_relative) {
		set_displacement((int64_t)(offset - NATIVE_CODE - i->len));
	} else if (i->base == NO_REG) {
		set_displacement((int64_t)(offset - index));
	} else {
		choose_displacement();
		set_address_register((unsigned int)i->base, offset - index - (uint64_t)i->disp);
	}
}

static void set_stack_pointer(uint64_t linear)
{
	uint64_t offset = linear - base_of(SEG_SS);

	now.regs.gpr[GPR_RSP] = has_16_bit_stack() ? (offset & 0xffff) | random64() << 16 : offset;
}

static void choose_frame_pointer(void)
{
	uint64_t upper = has_16_bit_stack() ? random64() << 16 : 0;

	if (now.insn.op == OP_LEAVE)
		now.regs.gpr[GPR_RBP] = ((in_window() - base_of(SEG_SS)) & (upper ? 0xffff : ~0ull)) | upper;
	if (now.insn.op == OP_ENTER)
		now.regs.gpr[GPR_RBP] = now.regs.gpr[GPR_RSP] + 256 + random64() % 64;
	/* What of it is not an address. */
	if (now.insn.op == OP_ENTER && (upper || (now.insn.imm2 & 31) < 2))
		now.regs.gpr[GPR_RBP] ^= random64() << 16;
}

static void choose_string_registers(void)
{
	struct insn *i = &now.insn;

	set_address_register(GPR_RSI, in_window() - base_of((enum segment_register)i->seg));
	set_address_register(GPR_RDI, in_window() - base_of(SEG_ES));
	set_address_register(GPR_RCX, i->rep == REP_NONE ? random64() : random64() % 24);
	if (i->addr_size == 8)
		now.regs.gpr[GPR_RCX] = i->rep == REP_NONE ? random64() : random64() % 24;
}

static void choose_registers(void)
{
	struct insn *i = &now.insn;

	for (unsigned int reg = 0; reg < GPR_COUNT; reg++)
		now.regs.gpr[reg] = one_in(4) ? random64() % 4 - 2 : random64() >> (random64() & 63);
	set_stack_pointer(in_window());
	now.regs.rip = native.offset;
	now.regs.rflags = X86_EFLAGS_FIXED | X86_EFLAGS_IF | (random64() & (STATUS_FLAGS | X86_EFLAGS_DF));
	if (now.checks_alignment)
		now.regs.rflags |= X86_EFLAGS_AC;
	if (is_string(i->op))
		choose_string_registers();
	choose_frame_pointer();
	if (i->op == OP_XLAT)
		now.regs.gpr[GPR_RBX] = in_window() - base_of((enum segment_register)i->seg);
	if (is_bit_string(i))
		now.regs.gpr[i->reg] = random64() % 4096 - 2048;
}

static void keep_32_bits(void)
{
	for (unsigned int reg = 0; reg < GPR_COUNT; reg++)
		now.regs.gpr[reg] = reg < 8 ? (uint32_t)now.regs.gpr[reg] : 0;
}

/* ---- what instructions read from the stack or the operand ------------------------ */

static uint8_t *at_stack(void)
{
	uint64_t sp = now.regs.gpr[GPR_RSP] & (has_16_bit_stack() ? 0xffff : ~0ull);

	return original + (sp + base_of(SEG_SS) - WINDOW_BASE);
}

static uint8_t *at_operand(void) { return original + (now.operand - WINDOW_BASE); }

static uint16_t random_selector(void)
{
	static const uint16_t flat[] = { SELECTOR_CODE32, SELECTOR_DATA, SELECTOR_CODE64 };

	switch (random64() % 8) {
	case 0:
		return random64() % 4; /* null */
	case 1:
		return (uint16_t)(random64() | 0x800); /* beyond both tables */
	case 2:
		return flat[random64() % 3];
	case 3:
		return (uint16_t)(flat[random64() % 3] ^ (random64() & 3));
	case 4:
		return (uint16_t)(LDT_SELECTOR(random64() % LDT_COUNT) ^ (random64() & 3));
	default:
		return LDT_SELECTOR(random64() % LDT_COUNT);
	}
}

/* Where code can go on in @selector; not that all can be entered. */
static uint32_t target_offset(uint16_t selector)
{
	switch (selector | 3) {
	case LDT_SELECTOR(LDT_CODE16):
		return NATIVE_TARGET_16 - NATIVE_CODE;
	case LDT_SELECTOR(LDT_CODE32):
		return NATIVE_TARGET_32 - NATIVE_CODE + 0x1000;
	case LDT_SELECTOR(LDT_CODE_ONLY):
		return NATIVE_TARGET_32 - NATIVE_CODE + 0x2000;
	default:
		return NATIVE_TARGET_32;
	}
}

/* Not to 64-bit code; to flat code only if the offset is wide enough. */
static uint16_t random_target(void)
{
	uint16_t selector = random_selector();

	while ((selector & 0xfff8) == (SELECTOR_CODE64 & 0xfff8) ||
	       (now.insn.op_size == 2 && (selector & 0xfff8) == (SELECTOR_CODE32 & 0xfff8)))
		selector = random_selector();
	if (one_in(2))
		selector = LDT_SELECTOR(random64() % (LDT_CODE_ONLY + 1));
	return selector;
}

static void put_far_pointer(uint8_t *at, uint16_t selector)
{
	uint32_t offset = target_offset(selector);

	memcpy(at, &offset, now.insn.op_size);
	memcpy(at + now.insn.op_size, &selector, 2);
}

/* No traps, no tasks; no alignment checks after it. */
static void tame_flags(uint8_t *flags, unsigned int size)
{
	flags[1] &= (uint8_t)~((X86_EFLAGS_TF | X86_EFLAGS_NT) >> 8);
	if (size > 2)
		flags[2] &= (uint8_t)~(X86_EFLAGS_AC >> 16);
}

static void set_far_target(void)
{
	struct insn *i = &now.insn;
	uint16_t selector = random_target();

	if (i->op == OP_RET_FAR || i->op == OP_IRET)
		put_far_pointer(at_stack(), selector);
	else if (i->has_mem)
		put_far_pointer(at_operand(), selector);
	else
		put_far_pointer(now.bytes + i->len - 2 - i->op_size, selector);
	if (i->op == OP_IRET)
		tame_flags(at_stack() + 2 * i->op_size, i->op_size);
}

static void set_near_target(void)
{
	struct insn *i = &now.insn;
	uint64_t target = native.offset + (NATIVE_TARGET - NATIVE_CODE);
	unsigned int size = is_legacy_mode() ? i->op_size : 8;

	if (is_relative(i->op)) {
		int32_t rel = (int32_t)(target - native.offset - i->len);
		bool is_short = (i->opcode & 0xf0) == 0x70 || i->opcode == 0xeb || (i->opcode & 0xfc) == 0xe0;

		memcpy(now.bytes + i->len - (is_short ? 1 : size == 2 ? 2 : 4), &rel,
		       is_short ? 1 : size == 2 ? 2 : 4);
	} else if (i->op == OP_RET) {
		memcpy(at_stack(), &target, size);
	} else if (i->has_mem) {
		memcpy(at_operand(), &target, size);
	} else {
		now.regs.gpr[i->rm] = target;
	}
}

static void set_selector(void)
{
	const struct insn *i = &now.insn;
	uint16_t selector = random_selector();

	if (i->op == OP_POP_SREG)
		memcpy(at_stack(), &selector, 2);
	else if (i->op == OP_LOAD_POINTER)
		memcpy(at_operand() + i->op_size, &selector, 2);
	else if (i->has_mem)
		memcpy(at_operand(), &selector, 2);
	else
		now.regs.gpr[i->rm] = (now.regs.gpr[i->rm] & ~0xffffull) | selector;
}

/* Give the comparison of cmpxchg a chance. */
static void set_accumulator(void)
{
	const struct insn *i = &now.insn;
	bool free_acc = i->base != GPR_RAX && i->index != GPR_RAX;

	if (!i->has_mem || !free_acc || one_in(2))
		return;
	memcpy(&now.regs.gpr[GPR_RAX], at_operand(), i->op_size);
	if (i->op == OP_CMPXCHG_PAIR && i->base != GPR_RDX && i->index != GPR_RDX)
		memcpy(&now.regs.gpr[GPR_RDX], at_operand() + i->op_size, i->op_size);
}

/* Dividends that are not too large for the divisor, and counters near the end. */
static void choose_operands(void)
{
	const struct insn *i = &now.insn;

	if ((i->op == OP_DIV || i->op == OP_IDIV) && one_in(2)) {
		now.regs.gpr[GPR_RDX] = one_in(2) ? 0 : random64() % 16;
		if (i->op == OP_IDIV && one_in(2))
			now.regs.gpr[GPR_RDX] = (uint64_t)(sign_extend(now.regs.gpr[GPR_RAX], i->op_size) >> 63);
	}
	if (i->op >= OP_JCXZ && i->op <= OP_LOOPNE && one_in(2))
		now.regs.gpr[GPR_RCX] = (random64() & 1) | random64() << (8 * i->addr_size - 1) << 1;
}

static void prepare_operands(void)
{
	const struct insn *i = &now.insn;

	if (i->op == OP_CMPXCHG || i->op == OP_CMPXCHG_PAIR)
		set_accumulator();
	if (i->op == OP_POPF)
		tame_flags(at_stack(), i->op_size);
	if (is_branch(i->op))
		set_near_target();
	if (is_far(i->op))
		set_far_target();
	if (i->op >= OP_MOV_TO_SREG && i->op <= OP_LSL && i->op != OP_PUSH_SREG && i->op != OP_ARPL)
		set_selector();
}

/* ---- the case as a whole -------------------------------------------------------------- */

static void hold(enum segment_register s, uint16_t selector)
{
	now.selectors[s] = selector;
	held[s] = descriptor_segment(selector, raw_descriptor(selector));
}

/* 16-bit addresses do not reach the window in a flat segment. */
static void choose_segments(void)
{
	static const uint16_t stacks[] = { SELECTOR_DATA, LDT_SELECTOR(LDT_STACK16), LDT_SELECTOR(LDT_STACK32) };
	bool reach = now.insn.addr_size > 2;
	uint16_t fs;

	hold(SEG_CS, now.mode == EMUL_MODE_64 ? SELECTOR_CODE64 :
		     now.mode == EMUL_MODE_32 ? (one_in(2) ? SELECTOR_CODE32 : LDT_SELECTOR(LDT_CODE32)) :
						LDT_SELECTOR(LDT_CODE16));
	hold(SEG_SS, is_legacy_mode() ? stacks[reach ? random64() % 3 : 1 + random64() % 2] : SELECTOR_DATA);
	hold(SEG_DS, is_legacy_mode() && (!reach || one_in(2)) ? LDT_SELECTOR(LDT_DATA) : SELECTOR_DATA);
	hold(SEG_ES, is_legacy_mode() && (!reach || one_in(2)) ? LDT_SELECTOR(LDT_EXTRA) : SELECTOR_DATA);
	if (is_legacy_mode()) {
		hold(SEG_GS, LDT_SELECTOR(LDT_GS));
	} else {
		now.selectors[SEG_GS] = 0;
		held[SEG_GS] = (struct segment){ .access = SEGMENT_UNUSABLE };
	}
	__asm__("mov %%fs, %0" : "=r"(fs));
	held[SEG_FS] = (struct segment){ .selector = fs };
	held[SEG_LDTR] =
	    (struct segment){.selector = 8, .access = 0x82, .limit = LDT_COUNT * 8 - 1, .base = LDT_BASE};
	held[SEG_TR] = (struct segment){ .selector = 8, .access = 0x8b, .limit = 102, .base = TSS_BASE };
	native.offset = (uint32_t)(NATIVE_CODE - base_of(SEG_CS));
}

/* Wide vectors, and far returns that may look for the outer stack before they fault. */
static bool alignment_differs(const struct insn *i)
{
	if (i->op == OP_RET_FAR)
		return i->imm % i->op_size != 0;
	return i->op >= OP_VECTOR_LOAD && i->op <= OP_VECTOR_STORE_HIGH && i->mem_size > 8;
}

/* With alignment checks, in half of the cases all is aligned but what comes from displacements. */
static void choose_alignment(void)
{
	now.checks_alignment = !alignment_differs(&now.insn) && one_in(4);
	now.granularity = now.checks_alignment && one_in(2) ? 16 : 1;
}

/* A double shift by more than the width. */
static bool has_undefined_result(const struct insn *i)
{
	uint64_t count = i->src2 == OPD_CL ? now.regs.gpr[GPR_RCX] : i->imm;

	return (i->op == OP_SHLD || i->op == OP_SHRD) && i->op_size == 2 && count % 32 > 16;
}

/* False: not this one. */
static bool make_case(enum emul_mode mode)
{
	struct insn *i = &now.insn;

	now.mode = mode;
	random_bytes();
	if (decode_insn(i, mode, now.bytes, EMUL_INSN_MAX) != DECODE_OK || !usable())
		return false;
	choose_segments();
	choose_alignment();
	for (unsigned int k = 0; k < WINDOW_SIZE; k += 8) {
		uint64_t v = one_in(4) ? random64() & 1 ? ~0ull : 0 : random64();

		memcpy(original + k, &v, 8);
	}
	for (unsigned int k = 0; k < sizeof(original_vectors); k++)
		original_vectors[k / 32][k % 32] = (uint8_t)(k % 32 < 16 || native.has_avx ? random64() : 0);
	now.operand = in_window();
	if (i->lock || i->op == OP_XCHG || i->op == OP_CMPXCHG_PAIR)
		now.operand &= ~15ull; /* no split locks */
	if (i->is_aligned && !one_in(4))
		now.operand &= ~31ull;
	choose_registers();
	choose_operands();
	if (i->has_mem)
		aim();
	prepare_operands();
	if (is_legacy_mode())
		keep_32_bits();
	decode_again();
	return !is_legacy_mode() || !has_undefined_result(i);
}

/* ---- comparing ---------------------------------------------------------------- */

static uint64_t shift_flags(const struct insn *i)
{
	uint64_t count = i->src == OPD_ONE ? 1 : i->imm, undefined = X86_EFLAGS_AF;
	bool is_rotate = i->op >= OP_ROL && i->op <= OP_RCR;

	if (i->src == OPD_CL || i->src2 == OPD_CL)
		count = now.regs.gpr[GPR_RCX];
	count &= i->op_size == 8 ? 63 : 31;
	if (count == 0)
		return 0;
	if (is_rotate)
		return count == 1 ? 0 : X86_EFLAGS_OF;
	if (count != 1)
		undefined |= X86_EFLAGS_OF;
	return count >= 8u * i->op_size ? undefined | X86_EFLAGS_CF : undefined;
}

/* Status flags that the SDM leaves undefined. */
static uint64_t undefined_flags(const struct insn *i)
{
	switch (i->op) {
	case OP_AND: case OP_OR: case OP_XOR: case OP_TEST:
		return X86_EFLAGS_AF;
	case OP_ROL: case OP_ROR: case OP_RCL: case OP_RCR:
	case OP_SHL: case OP_SHR: case OP_SAL: case OP_SAR:
	case OP_SHLD: case OP_SHRD:
		return shift_flags(i);
	case OP_DIV: case OP_IDIV:
		return STATUS_FLAGS;
	case OP_BSF: case OP_BSR:
		return STATUS_FLAGS & ~X86_EFLAGS_ZF;
	case OP_TZCNT: case OP_LZCNT:
		return STATUS_FLAGS & ~(X86_EFLAGS_ZF | X86_EFLAGS_CF);
	case OP_IMUL: case OP_MUL_ACC: case OP_IMUL_ACC:
		return X86_EFLAGS_SF | X86_EFLAGS_ZF | X86_EFLAGS_AF | X86_EFLAGS_PF;
	case OP_BT: case OP_BTS: case OP_BTR: case OP_BTC:
		return X86_EFLAGS_OF | X86_EFLAGS_SF | X86_EFLAGS_AF | X86_EFLAGS_PF;
	case OP_DAA: case OP_DAS:
		return X86_EFLAGS_OF;
	case OP_AAA: case OP_AAS:
		return X86_EFLAGS_OF | X86_EFLAGS_SF | X86_EFLAGS_ZF | X86_EFLAGS_PF;
	case OP_AAM: case OP_AAD:
		return X86_EFLAGS_OF | X86_EFLAGS_AF | X86_EFLAGS_CF;
	case OP_IRET:
		return X86_EFLAGS_RF; /* pushf does not show it */
	default:
		return 0;
	}
}

static void run_natively(void)
{
	static const unsigned int mode_bits[] = { [EMUL_MODE_16] = 16, [EMUL_MODE_32] = 32, [EMUL_MODE_64] = 64 };

	memcpy(native.gpr, now.regs.gpr, sizeof(native.gpr));
	native.flags = now.regs.rflags;
	native.cs = now.selectors[SEG_CS];
	native.ss = now.selectors[SEG_SS];
	native.ds = now.selectors[SEG_DS];
	native.es = now.selectors[SEG_ES];
	native.gs = now.selectors[SEG_GS];
	memcpy(native.vector, original_vectors, sizeof(native.vector));
	memcpy(window(), original, WINDOW_SIZE);
	native_run(now.bytes, now.insn.len, mode_bits[now.mode]);
}

static enum emul_status run_emulated(struct emul_ctxt *ctx)
{
	*ctx = (struct emul_ctxt){
		.ops = &ops, .mode = now.mode, .cpl = 3, .regs = now.regs, .cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_AM,
		.cr4 = X86_CR4_OSFXSR | (native.has_avx ? X86_CR4_OSXSAVE : 0), .xcr0 = native.has_avx ? 7 : 3,
		.system = is_legacy_mode() ? &system_ops : NULL, .long_mode = !is_legacy_mode(),
	};
	memcpy(vectors, original_vectors, sizeof(vectors));
	memcpy(copy, original, WINDOW_SIZE);
	return emul_step(ctx);
}

static uint64_t signal_of(const struct emul_ctxt *ctx)
{
	switch (ctx->exception.vector) {
	case EXC_DE:
		return SIGFPE;
	case EXC_UD:
		return SIGILL;
	case EXC_NP: case EXC_SS: case EXC_AC:
		return SIGBUS;
	default:
		return SIGSEGV;
	}
}

/* Where the processor went on. */
static uint64_t native_rip(void)
{
	uint64_t next = native.offset + now.insn.len;

	switch (native.branched) {
	case 0:
		return native.signal ? native.offset : next;
	case 1:
		return native.offset + (NATIVE_TARGET - NATIVE_CODE);
	default:
		return target_offset(held[SEG_CS].selector);
	}
}

static bool same_gprs(const struct emul_ctxt *ctx)
{
	unsigned int count = is_legacy_mode() ? 8 : GPR_COUNT;

	for (unsigned int i = 0; i < count; i++) {
		uint64_t mask = is_legacy_mode() ? 0xffffffff : ~0ull;

		/* What Linux makes of the upper half of ESP, "espfix". */
		if (i == GPR_RSP && has_16_bit_stack())
			mask = 0xffff;
		if ((ctx->regs.gpr[i] ^ native.gpr[i]) & mask)
			return false;
	}
	return true;
}

static bool same_selectors(void)
{
	if (!is_legacy_mode())
		return true;
	return held[SEG_DS].selector == native.ds && held[SEG_ES].selector == native.es &&
	       held[SEG_SS].selector == native.ss && held[SEG_GS].selector == native.gs;
}

/* A processor has pushed its frame when it finds no room for what is below. */
static bool same_memory(enum emul_status status)
{
	return (now.insn.op == OP_ENTER && status == EMUL_EXCEPTION) || memcmp(copy, window(), WINDOW_SIZE) == 0;
}

static bool same_results(const struct emul_ctxt *ctx, enum emul_status status)
{
	uint64_t flags = (ctx->regs.rflags ^ native.flags) & ~undefined_flags(&now.insn);

	return native.signal == (status == EMUL_EXCEPTION ? signal_of(ctx) : 0) && same_gprs(ctx) &&
	       flags == 0 && ctx->regs.rip == native_rip() &&
	       memcmp(vectors, native.vector, sizeof(vectors)) == 0 && same_selectors() &&
	       same_memory(status);
}

static void report_difference(const struct emul_ctxt *ctx, enum emul_status status)
{
	fprintf(stderr,
		"status %d vector %u: gprs %d vectors %d selectors %d, flags emulated %llx native %llx, rip "
		"%llx %llx\n",
		status, ctx->exception.vector, same_gprs(ctx),
		memcmp(vectors, native.vector, sizeof(vectors)) == 0, same_selectors(),
		(unsigned long long)ctx->regs.rflags, (unsigned long long)native.flags,
		(unsigned long long)ctx->regs.rip, (unsigned long long)native_rip());
	for (unsigned int i = 0; i < GPR_COUNT; i++)
		if (ctx->regs.gpr[i] != native.gpr[i])
			fprintf(stderr, "gpr %u emulated %llx\n", i, (unsigned long long)ctx->regs.gpr[i]);
	for (unsigned int i = 0; i < WINDOW_SIZE; i++)
		if (copy[i] != ((uint8_t *)window())[i])
			fprintf(stderr, "%llx: was %02x emulated %02x native %02x\n", WINDOW_BASE + i,
				original[i], copy[i], ((uint8_t *)window())[i]);
	print_case();
	fail();
}

/* An interrupt while SS is of 16 bits changes the upper half of ESP: what has
 * come out different gets another chance. */
static void compare(const struct emul_ctxt *ctx, enum emul_status status)
{
	for (unsigned int try = 0; try < 4; try++) {
		run_natively();
		if (same_results(ctx, status))
			return;
	}
	report_difference(ctx, status);
}

/* Double shifts beyond the width, narrow enter, bit scans of 0, 32-bit cmpxchg of registers. */
static bool may_be_left(const struct insn *i)
{
	if (is_legacy_mode())
		return false;
	return i->op == OP_SHLD || i->op == OP_SHRD || i->op == OP_ENTER || i->op == OP_BSF || i->op == OP_BSR ||
	       (i->op == OP_CMPXCHG && !i->has_mem);
}

/* Can it be in a case of this mode? */
static bool is_tried(enum emul_mode mode, enum emul_op op)
{
	bool is_legacy = op == OP_PUSHA || op == OP_POPA || (op >= OP_DAA && op <= OP_AAD) || op == OP_SALC ||
			 op == OP_BOUND;

	if (op < OP_INS || (op >= OP_VECTOR_LOAD && op <= OP_VECTOR_STORE_HIGH))
		return mode != EMUL_MODE_64 || !is_legacy;
	return mode != EMUL_MODE_64 && op >= OP_MOV_FROM_SREG && op <= OP_IRET;
}

static void agree(enum emul_mode mode, unsigned int cases)
{
	unsigned int ran = 0, seen[OP_COUNT] = { 0 }, left = 0, faults = 0, far = 0, misaligned = 0;
	struct emul_ctxt ctx;

	native_catch_signals(print_case);
	while (ran < cases) {
		enum emul_status status;

		if (!make_case(mode))
			continue;
		status = run_emulated(&ctx);
		if (status == EMUL_UNKNOWN && may_be_left(&now.insn)) {
			left++;
			continue;
		}
		if (status != EMUL_DONE && status != EMUL_EXCEPTION) {
			print_case();
			fail();
		}
		compare(&ctx, status);
		faults += status == EMUL_EXCEPTION;
		far += native.branched > 1;
		misaligned += status == EMUL_EXCEPTION && ctx.exception.vector == EXC_AC;
		seen[now.insn.op]++;
		ran++;
	}
	printf("%u instructions agree, %u of them fault, %u for alignment, %u go far, %u left to the processor\n", ran,
	       faults, misaligned, far, left);
	assert_true(misaligned > cases / 100);
	assert_true(mode == EMUL_MODE_64 || far > cases / 1000);
	for (unsigned int op = OP_ADD; op < OP_COUNT; op++)
		if (is_tried(mode, (enum emul_op)op) && seen[op] == 0)
			fail_msg("operation %u never ran", op);
}

static void code_of_64_bits_agrees(void **state) { agree(EMUL_MODE_64, CASES_64); }
static void code_of_32_bits_agrees(void **state) { agree(EMUL_MODE_32, CASES_LEGACY); }
static void code_of_16_bits_agrees(void **state) { agree(EMUL_MODE_16, CASES_LEGACY); }

static int open_native(void **state) { return native_open(ldt, LDT_COUNT); }

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(code_of_64_bits_agrees),
		cmocka_unit_test(code_of_32_bits_agrees),
		cmocka_unit_test(code_of_16_bits_agrees),
	};
	const char *text = getenv("SPOOR_SEED");

	random_state = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL);
	printf("SPOOR_SEED=%llu\n", (unsigned long long)random_state);
	fflush(stdout);
	random_state = random_state * 0x9e3779b97f4a7c15ull | 1;
	return cmocka_run_group_tests(tests, open_native, NULL);
}
