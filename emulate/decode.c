// SPDX-License-Identifier: GPL-2.0-only
/*
 * The decoder: prefixes, opcode, ModRM, SIB, displacement, immediates (SDM
 * vol. 2, "Instruction Format"), driven by the maps in opcodes.c.
 *
 * Invariant: no byte past the @have given is looked at. A cursor that runs
 * out stays so and yields zeros; the answer is then DECODE_SHORT.
 */
#include "emulate/decode.h"
#include "emulate/opcodes.h"

#define REX_W 8u
#define REX_R 4u
#define REX_X 2u
#define REX_B 1u

/* What a row of the 0F map says of the VEX instruction with the same opcode. */
#define VECTOR_FLAGS (F_KNOWN | F_MODRM | F_IMM8)

struct cursor {
	const uint8_t *bytes;
	unsigned int have, pos;
	bool ran_out;
};

struct decoder {
	struct cursor in;
	struct insn *insn;
	enum emul_mode mode;
	uint8_t rex;
	bool osize_prefix, asize_prefix;
	int8_t seg_prefix; /* enum segment_register or NO_REG */
	uint8_t mod;
};

static uint8_t next(struct cursor *c)
{
	if (c->pos >= c->have) {
		c->ran_out = true;
		return 0;
	}
	return c->bytes[c->pos++];
}

static uint8_t peek(struct cursor *c)
{
	uint8_t byte = next(c);

	if (!c->ran_out)
		c->pos--;
	return byte;
}

static uint64_t next_bytes(struct cursor *c, unsigned int n)
{
	uint64_t v = 0;

	for (unsigned int i = 0; i < n; i++)
		v |= (uint64_t)next(c) << (8 * i);
	return v;
}

static int64_t next_signed(struct cursor *c, unsigned int n)
{
	unsigned int unused_bits = 64 - 8 * n;

	return (int64_t)(next_bytes(c, n) << unused_bits) >> unused_bits;
}

/* True if @byte was a legacy prefix. In 64-bit mode CS, DS, ES and SS
 * overrides do nothing, not even undo an FS or GS override before them. */
static bool legacy_prefix(struct decoder *d, uint8_t byte)
{
	bool long_mode = d->mode == EMUL_MODE_64;

	switch (byte) {
	case 0x26: case 0x2e: case 0x36: case 0x3e:
		if (!long_mode)
			d->seg_prefix = (byte >> 3) & 3; /* ES CS SS DS, as encoded */
		return true;
	case 0x64: case 0x65:
		d->seg_prefix = byte == 0x64 ? SEG_FS : SEG_GS;
		return true;
	case 0x66:
		return d->osize_prefix = true;
	case 0x67:
		return d->asize_prefix = true;
	case 0xf0:
		return d->insn->lock = true;
	case 0xf2: case 0xf3:
		d->insn->rep = byte == 0xf2 ? REP_NE : REP_E;
		return true;
	default:
		return false;
	}
}

/* Returns the first byte that is no prefix. A REX counts only directly before
 * the opcode. */
static uint8_t prefixes(struct decoder *d)
{
	for (;;) {
		uint8_t byte = next(&d->in);

		if (d->in.ran_out)
			return 0;
		if (legacy_prefix(d, byte))
			d->rex = 0;
		else if (d->mode == EMUL_MODE_64 && (byte & 0xf0) == 0x40)
			d->rex = byte;
		else
			return byte;
	}
}

static void address_size(struct decoder *d)
{
	if (d->mode == EMUL_MODE_64)
		d->insn->addr_size = d->asize_prefix ? 4 : 8;
	else
		d->insn->addr_size = (d->mode == EMUL_MODE_32) != d->asize_prefix ? 4 : 2;
}

static unsigned int operand_size(const struct decoder *d, uint32_t flags)
{
	bool long_mode = d->mode == EMUL_MODE_64;
	bool wide = d->rex & REX_W;

	if (flags & F_BYTE)
		return 1;
	if (flags & F_W32)
		return wide ? 8 : 4;
	if (flags & F_NATIVE)
		return long_mode ? 8 : 4;
	if (long_mode && ((flags & F_F64) || (wide && !(flags & F_MAX32))))
		return 8;
	if ((d->mode == EMUL_MODE_16) != d->osize_prefix)
		return 2;
	return long_mode && (flags & F_D64) ? 8 : 4;
}

/* ModRM with 16-bit addressing (SDM vol. 2, "16-Bit Addressing Forms with the ModR/M Byte"). */
static void memory_16(struct decoder *d, uint8_t rm)
{
	static const int8_t base[8] = { GPR_RBX, GPR_RBX, GPR_RBP, GPR_RBP, GPR_RSI, GPR_RDI, GPR_RBP, GPR_RBX };
	static const int8_t index[8] = { GPR_RSI, GPR_RDI, GPR_RSI, GPR_RDI, NO_REG, NO_REG, NO_REG, NO_REG };
	struct insn *i = d->insn;

	if (d->mod == 0 && rm == 6) {
		i->disp = (int64_t)next_bytes(&d->in, 2);
		return;
	}
	i->base = base[rm];
	i->index = index[rm];
	if (d->mod != 0)
		i->disp = next_signed(&d->in, d->mod == 1 ? 1 : 2);
}

static void sib(struct decoder *d)
{
	uint8_t byte = next(&d->in);
	uint8_t index = ((byte >> 3) & 7) | (d->rex & REX_X ? 8 : 0);
	struct insn *i = d->insn;

	i->scale = byte >> 6;
	if (index != GPR_RSP)
		i->index = (int8_t)index;
	if ((byte & 7) != GPR_RBP || d->mod != 0)
		i->base = (byte & 7) | (d->rex & REX_B ? 8 : 0);
}

/* ModRM with 32- or 64-bit addressing. */
static void memory_32(struct decoder *d, uint8_t rm)
{
	struct insn *i = d->insn;

	if (rm == GPR_RSP) {
		sib(d);
	} else if (rm == GPR_RBP && d->mod == 0) {
		i->rip_relative = d->mode == EMUL_MODE_64;
		i->disp = next_signed(&d->in, 4);
		return;
	} else {
		i->base = rm | (d->rex & REX_B ? 8 : 0);
	}
	if (d->mod == 1)
		i->disp = next_signed(&d->in, 1);
	else if (d->mod == 2 || i->base == NO_REG)
		i->disp = next_signed(&d->in, 4);
}

static void modrm(struct decoder *d, uint32_t flags)
{
	uint8_t byte = next(&d->in);
	struct insn *i = d->insn;

	d->mod = flags & F_MODRM_REG ? 3 : byte >> 6;
	i->reg = ((byte >> 3) & 7) | (d->rex & REX_R ? 8 : 0);
	i->rm = (byte & 7) | (d->rex & REX_B ? 8 : 0);
	if (d->mod == 3)
		return;
	i->has_mem = true;
	if (i->addr_size == 2)
		memory_16(d, byte & 7);
	else
		memory_32(d, byte & 7);
	if (d->seg_prefix == NO_REG && (i->base == GPR_RSP || i->base == GPR_RBP))
		i->seg = SEG_SS;
}

static void immediates(struct decoder *d, uint32_t flags)
{
	struct insn *i = d->insn;
	/* Whether REX.W is there or not, no more than IMMV is wider than 4. */
	unsigned int z = operand_size(d, flags & ~F_BYTE) == 2 ? 2 : 4;

	if (flags & F_MOFFS) {
		i->has_mem = true;
		i->disp = (int64_t)next_bytes(&d->in, i->addr_size);
	}
	if (flags & F_IMMZ)
		i->imm = (uint64_t)next_signed(&d->in, z);
	if (flags & F_IMMV)
		i->imm = next_bytes(&d->in, i->op_size);
	if (flags & F_IMM16)
		i->imm = next_bytes(&d->in, 2);
	if (flags & F_IMM8)
		i->imm = (uint64_t)next_signed(&d->in, 1);
	if (flags & F_IMM8_2)
		i->imm2 = next(&d->in);
	if (flags & F_PTR) {
		i->imm = next_bytes(&d->in, z);
		i->imm2 = (uint16_t)next_bytes(&d->in, 2);
	}
}

/* Legacy encodings that need more than the table says. */
static bool is_other_insn(const struct decoder *d, const struct opcode_row *row, uint32_t flags)
{
	const struct insn *i = d->insn;

	if (row->op == OP_UNKNOWN || ((flags & F_NOREP) && i->rep != REP_NONE) ||
	    ((flags & F_REP_E) && i->rep != REP_E) || ((flags & F_NO66) && d->osize_prefix))
		return true;
	if (row->op == OP_XCR)
		return (i->rm & 7) > 1;
	/* movsxd: with 16 bits, vendors differ in how much it reads. */
	return (flags & F_SRC32) && i->op_size == 2;
}

/* Registers that do not exist or cannot be loaded so. */
static bool is_bad_register(const struct insn *i, enum emul_op op)
{
	switch (op) {
	case OP_MOV_FROM_SREG:
		return (i->reg & 7) > SEG_GS; /* REX.R is ignored */
	case OP_MOV_TO_SREG:
		return (i->reg & 7) > SEG_GS || (i->reg & 7) == SEG_CS;
	case OP_MOV_FROM_CR: case OP_MOV_TO_CR:
		return i->reg > 8 || (i->reg > 4 && i->reg < 8) || i->reg == 1;
	case OP_MOV_FROM_DR: case OP_MOV_TO_DR:
		return i->reg > 7;
	default:
		return false;
	}
}

static unsigned int rm_size(const struct decoder *d, uint32_t flags)
{
	const struct insn *i = d->insn;

	if (flags & F_SRC8)
		return 1;
	if (flags & F_SRC16)
		return 2;
	if (flags & F_SRC32)
		return 4;
	switch (i->op) {
	case OP_CMPXCHG_PAIR: case OP_BOUND:
		return i->op_size * 2u;
	case OP_JMP_FAR: case OP_CALL_FAR: case OP_LOAD_POINTER:
		return i->op_size + 2u;
	case OP_LGDT: case OP_LIDT: case OP_SGDT: case OP_SIDT:
		return d->mode == EMUL_MODE_64 ? 10 : 6;
	default:
		return i->op_size;
	}
}

/* What the row does not say: by REX.B and F3. */
static enum emul_op exact_op(const struct insn *i, const struct opcode_row *row)
{
	if (row->op == OP_XCHG && row->dst == OPD_ACC && i->reg == GPR_RAX)
		return OP_NOP; /* 90: does not clear the upper half of rax */
	if (row->op == OP_BSF && i->rep == REP_E)
		return OP_TZCNT;
	if (row->op == OP_BSR && i->rep == REP_E)
		return OP_LZCNT;
	return (enum emul_op)row->op;
}

static enum decode_result finish(struct decoder *d, const struct opcode_row *row, uint32_t flags)
{
	struct insn *i = d->insn;

	if (d->in.ran_out)
		return DECODE_SHORT;
	i->len = (uint8_t)d->in.pos;
	if ((flags & F_NO64) && d->mode == EMUL_MODE_64)
		return DECODE_INVALID;
	if (i->lock && !((flags & F_LOCK) && i->has_mem))
		return DECODE_INVALID;
	if (is_other_insn(d, row, flags))
		return DECODE_UNKNOWN;
	if (((flags & F_MEM) && !i->has_mem) || is_bad_register(i, (enum emul_op)row->op))
		return DECODE_INVALID;
	i->op = exact_op(i, row);
	i->dst = row->dst;
	i->src = row->src;
	i->src2 = row->src2;
	i->mem_size = (uint8_t)rm_size(d, flags);
	i->is_privileged = flags & F_RING0;
	i->is_system = flags & (F_SYSTEM | F_RING0);
	return DECODE_OK;
}

static enum decode_result decode_row(struct decoder *d, const struct opcode_row *row)
{
	uint32_t flags = row->flags;
	struct insn *i = d->insn;

	if (d->in.ran_out)
		return DECODE_SHORT;
	if (flags == 0)
		return DECODE_UNKNOWN;
	i->reg = (i->opcode & 7) | (d->rex & REX_B ? 8 : 0);
	if (flags & (F_MODRM | F_MODRM_REG))
		modrm(d, flags);
	if (row->group) {
		row = &(row->group_reg && !i->has_mem ? row->group_reg : row->group)[i->reg & 7];
		flags |= row->flags;
	}
	i->op_size = (uint8_t)operand_size(d, flags);
	immediates(d, flags);
	return finish(d, row, flags);
}

/* What a VEX prefix says beside register numbers. */
struct vex {
	unsigned int map, prefix; /* as in struct vector_row */
	uint8_t vvvv;
	bool l, w;
};

/* The length is known, and the memory operand, of what the maps have no
 * meaning for: find out if it is a move of a vector register. */
static enum decode_result vector_move(struct decoder *d, const struct vex *v, bool is_vex)
{
	const struct vector_row *row = vector_row_find(v->map, v->prefix, d->insn->opcode);
	struct insn *i = d->insn;

	if (!row || !i->has_mem)
		return DECODE_UNKNOWN;
	if (is_vex && (((row->flags & V_L0) && v->l) || (!(row->flags & V_NDS) && v->vvvv != 0)))
		return DECODE_UNKNOWN;
	i->op = (enum emul_op)row->op;
	i->vector_len = is_vex ? (v->l ? 32 : 16) : 0;
	i->vvvv = d->mode == EMUL_MODE_64 ? v->vvvv : v->vvvv & 7;
	i->is_aligned = row->flags & V_ALIGNED;
	i->mem_size = row->size ? row->size : is_vex && v->l ? 32 : 16;
	if ((row->flags & V_W) && v->w)
		i->mem_size = 8;
	return DECODE_OK;
}

static enum decode_result sse_move(struct decoder *d, unsigned int map)
{
	struct vex as_vex = { .map = map, .prefix = d->osize_prefix, .w = d->rex & REX_W };

	if (d->insn->rep != REP_NONE)
		as_vex.prefix = d->insn->rep == REP_E ? 2 : 3;
	return vector_move(d, &as_vex, false);
}

/* Of a vector instruction whose prefix is read. Map numbers are 1 for 0F, 2
 * for 0F38, 3 for 0F3A. */
static enum decode_result vector_length(struct decoder *d, unsigned int map)
{
	uint8_t opcode = next(&d->in);
	struct opcode_row row = { .flags = F_KNOWN | F_MODRM };

	d->insn->opcode = opcode;
	if (map < 1 || map > 3)
		return d->in.ran_out ? DECODE_SHORT : DECODE_UNKNOWN;
	if (map == 1 && opcode == 0x77) /* vzeroupper, vzeroall */
		row.flags = F_KNOWN;
	else if (map == 1)
		row.flags = two_byte_map[opcode].flags & VECTOR_FLAGS;
	if (map == 1 && opcode != 0x77 && !(row.flags & F_MODRM))
		row.flags = 0;
	if (map == 3)
		row.flags |= F_IMM8;
	d->insn->lock = false; /* #UD, but not to be told from here */
	return decode_row(d, &row);
}

/* VEX, EVEX, or XOP, which starts like pop with an undefined ModRM. C4, C5
 * and 62 outside 64-bit mode are les, lds and bound, whose ModRM names memory. */
static bool is_vector_prefix(struct decoder *d, uint8_t byte)
{
	if (byte == 0x8f)
		return (peek(&d->in) & 0x1f) >= 8;
	if (byte != 0xc4 && byte != 0xc5 && byte != 0x62)
		return false;
	return d->mode == EMUL_MODE_64 || peek(&d->in) >= 0xc0;
}

/* VEX has register numbers and vvvv inverted; outside 64-bit mode there are
 * eight registers. */
static enum decode_result vex_insn(struct decoder *d, uint8_t byte)
{
	bool has_prefix = d->insn->lock || d->insn->rep != REP_NONE || d->osize_prefix || d->rex;
	uint8_t registers = ~next(&d->in), last = registers;
	enum decode_result result;
	struct vex v = { .map = 1 };

	if (byte == 0xc4) {
		v.map = ~registers & 0x1f;
		last = ~next(&d->in);
		v.w = !(last & 0x80);
	}
	v.prefix = ~last & 3;
	v.l = !(last & 4);
	v.vvvv = last >> 3 & 15;
	d->rex = registers >> 5 & (byte == 0xc4 ? REX_R | REX_X | REX_B : REX_R);
	if (d->mode != EMUL_MODE_64) {
		d->rex = 0;
		v.w = false;
	}
	result = vector_length(d, v.map);
	if (result != DECODE_UNKNOWN || d->insn->len == 0 || has_prefix)
		return result;
	return vector_move(d, &v, true);
}

static enum decode_result vector_insn(struct decoder *d, uint8_t byte)
{
	uint8_t p0;

	if (byte == 0xc4 || byte == 0xc5)
		return vex_insn(d, byte);
	p0 = next(&d->in);
	(void)next(&d->in);
	if (byte == 0x62) {
		(void)next(&d->in);
		return vector_length(d, p0 & 7);
	}
	return vector_length(d, p0 & 0x1f);
}

static enum decode_result two_byte_opcode(struct decoder *d)
{
	static const struct opcode_row map_0f3a = { .flags = F_KNOWN | F_MODRM | F_IMM8 };
	uint8_t byte = next(&d->in);
	enum decode_result result;

	if (byte == 0x3a) {
		d->insn->opcode = next(&d->in);
		return decode_row(d, &map_0f3a);
	}
	d->insn->opcode = byte;
	if (byte == 0x38) {
		d->insn->opcode = next(&d->in);
		result = decode_row(d, &map_0f38[d->insn->opcode]);
	} else {
		result = decode_row(d, &two_byte_map[byte]);
	}
	return result == DECODE_UNKNOWN && d->insn->len ? sse_move(d, byte == 0x38 ? 2 : 1) : result;
}

enum decode_result decode_insn(struct insn *insn, enum emul_mode mode, const uint8_t *bytes,
			       unsigned int have)
{
	struct decoder d = {
		.in = { .bytes = bytes, .have = have < EMUL_INSN_MAX ? have : EMUL_INSN_MAX },
		.insn = insn,
		.mode = mode,
		.seg_prefix = NO_REG,
	};
	uint8_t byte;

	*insn = (struct insn){ .base = NO_REG, .index = NO_REG };
	byte = prefixes(&d);
	insn->rex = d.rex != 0;
	insn->seg = d.seg_prefix == NO_REG ? SEG_DS : (uint8_t)d.seg_prefix;
	address_size(&d);
	if (is_vector_prefix(&d, byte))
		return vector_insn(&d, byte);
	if (byte == 0x0f)
		return two_byte_opcode(&d);
	insn->opcode = byte;
	if (byte == 0x63 && mode != EMUL_MODE_64)
		return decode_row(&d, &arpl_row);
	return decode_row(&d, &one_byte_map[byte]);
}
