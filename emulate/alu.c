// SPDX-License-Identifier: GPL-2.0-only
/* Arithmetic and status flags (SDM vol. 1, "EFLAGS Register"; vol. 2 for each instruction). */
#include "emulate/alu.h"

static bool bit(uint64_t v, unsigned int n) { return (v >> n) & 1; }
static unsigned int top_bit(const struct alu *a) { return 8 * a->size - 1; }

static void set_flag(struct alu *a, uint64_t flag, bool on)
{
	a->flags = on ? a->flags | flag : a->flags & ~flag;
}

/* SF, ZF and PF are about the result alone. */
static void set_result_flags(struct alu *a, uint64_t result)
{
	result &= size_mask(a->size);
	set_flag(a, X86_EFLAGS_SF, bit(result, top_bit(a)));
	set_flag(a, X86_EFLAGS_ZF, result == 0);
	set_flag(a, X86_EFLAGS_PF, !__builtin_parity((uint8_t)result));
}

static uint64_t add(struct alu *a, uint64_t x, uint64_t y, bool carry)
{
	uint64_t r = x + y + carry;
	uint64_t carries = (x & y) | ((x | y) & ~r);

	set_result_flags(a, r);
	set_flag(a, X86_EFLAGS_CF, bit(carries, top_bit(a)));
	set_flag(a, X86_EFLAGS_AF, bit(carries, 3));
	set_flag(a, X86_EFLAGS_OF, bit((x ^ r) & (y ^ r), top_bit(a)));
	return r;
}

static uint64_t subtract(struct alu *a, uint64_t x, uint64_t y, bool borrow)
{
	uint64_t r = x - y - borrow;
	uint64_t borrows = (~x & y) | ((~x | y) & r);

	set_result_flags(a, r);
	set_flag(a, X86_EFLAGS_CF, bit(borrows, top_bit(a)));
	set_flag(a, X86_EFLAGS_AF, bit(borrows, 3));
	set_flag(a, X86_EFLAGS_OF, bit((x ^ y) & (x ^ r), top_bit(a)));
	return r;
}

static uint64_t logic(struct alu *a, uint64_t r)
{
	set_result_flags(a, r);
	a->flags &= ~(uint64_t)(X86_EFLAGS_CF | X86_EFLAGS_OF | X86_EFLAGS_AF);
	return r;
}

/* inc and dec leave CF alone. */
static uint64_t step_by_one(struct alu *a, bool up)
{
	uint64_t carry = a->flags & X86_EFLAGS_CF;
	uint64_t r = up ? add(a, a->dst, 1, false) : subtract(a, a->dst, 1, false);

	set_flag(a, X86_EFLAGS_CF, carry);
	return r;
}

static void cmpxchg(struct alu *a)
{
	uint64_t old = a->dst;

	(void)subtract(a, a->acc, old, false);
	if (a->flags & X86_EFLAGS_ZF)
		a->dst = a->src;
	else
		a->acc = old;
}

static void xadd(struct alu *a)
{
	uint64_t old = a->dst;

	a->dst = add(a, a->src, old, false);
	a->src = old;
}

static void bit_op(enum emul_op op, struct alu *a)
{
	unsigned int n = a->src & (8 * a->size - 1);
	uint64_t mask = 1ull << n;

	set_flag(a, X86_EFLAGS_CF, a->dst & mask);
	if (op == OP_BTS)
		a->dst |= mask;
	else if (op == OP_BTR)
		a->dst &= ~mask;
	else if (op == OP_BTC)
		a->dst ^= mask;
}

/* Through-carry rotates move at most 63 times by one bit. */
static uint64_t rotate_through_carry(struct alu *a, uint64_t v, unsigned int count, bool left)
{
	unsigned int top = top_bit(a);

	for (unsigned int i = 0; i < count; i++) {
		uint64_t carry = a->flags & X86_EFLAGS_CF ? 1 : 0;

		set_flag(a, X86_EFLAGS_CF, bit(v, left ? top : 0));
		v = left ? (v << 1) | carry : (v >> 1) | (carry << top);
	}
	return v;
}

static uint64_t rotate(struct alu *a, uint64_t v, unsigned int count, bool left)
{
	unsigned int bits = 8 * a->size;
	uint64_t r = v;

	count %= bits;
	if (count != 0)
		r = left ? (v << count) | (v >> (bits - count)) : (v >> count) | (v << (bits - count));
	set_flag(a, X86_EFLAGS_CF, bit(r, left ? 0 : top_bit(a)));
	return r;
}

static uint64_t shift_left(struct alu *a, uint64_t v, unsigned int count)
{
	unsigned int bits = 8 * a->size;

	set_flag(a, X86_EFLAGS_CF, count <= bits && bit(v, bits - count));
	set_result_flags(a, v << count);
	return v << count;
}

/* @v is extended to 64 bits, with zeros or with the sign. */
static uint64_t shift_right(struct alu *a, int64_t v, unsigned int count, bool arithmetic)
{
	uint64_t r = arithmetic ? (uint64_t)(v >> count) : (uint64_t)v >> count;

	set_flag(a, X86_EFLAGS_CF, bit((uint64_t)(v >> (count - 1)), 0));
	set_result_flags(a, r);
	return r;
}

/* OF is defined for a count of one and then says: the sign has changed. All
 * counts get that, but for ror and rcr, which look at their two top bits. */
static void set_shift_overflow(struct alu *a, enum emul_op op, uint64_t before, uint64_t after)
{
	unsigned int top = top_bit(a);

	if (op == OP_ROL || op == OP_RCL || op == OP_SHL || op == OP_SAL)
		set_flag(a, X86_EFLAGS_OF, bit(after, top) != !!(a->flags & X86_EFLAGS_CF));
	else if (op == OP_ROR || op == OP_RCR)
		set_flag(a, X86_EFLAGS_OF, bit(after, top) != bit(after, top - 1));
	else
		set_flag(a, X86_EFLAGS_OF, bit(before, top) != bit(after, top));
}

static void shift(enum emul_op op, struct alu *a)
{
	unsigned int count = a->src & (a->size == 8 ? 63 : 31);
	uint64_t v = a->dst & size_mask(a->size);
	uint64_t r;

	if (count == 0)
		return;
	switch (op) {
	case OP_ROL: case OP_ROR:
		r = rotate(a, v, count, op == OP_ROL);
		break;
	case OP_RCL: case OP_RCR:
		r = rotate_through_carry(a, v, count, op == OP_RCL);
		break;
	case OP_SHR:
		r = shift_right(a, (int64_t)v, count, false);
		break;
	case OP_SAR:
		r = shift_right(a, sign_extend(v, a->size), count, true);
		break;
	default:
		r = shift_left(a, v, count);
		break;
	}
	set_shift_overflow(a, op, v, r);
	a->dst = r;
}

/* shld and shrd. A count beyond the width is undefined; what is filled in is
 * then followed by the operand itself, as most processors have it. */
static void double_shift(enum emul_op op, struct alu *a)
{
	unsigned int bits = 8 * a->size;
	unsigned int count = a->src2 & (a->size == 8 ? 63 : 31);
	uint64_t mask = size_mask(a->size);
	uint64_t v = a->dst & mask, fill = a->src & mask, before = v, r;

	if (count == 0)
		return;
	if (count > bits) {
		uint64_t old = v;

		count -= bits;
		v = fill;
		fill = old;
	}
	if (count == bits)
		r = fill;
	else if (op == OP_SHLD)
		r = (v << count) | (fill >> (bits - count));
	else
		r = (v >> count) | (fill << (bits - count));
	set_flag(a, X86_EFLAGS_CF, op == OP_SHLD ? bit(v, bits - count) : bit(v, count - 1));
	set_result_flags(a, r);
	set_flag(a, X86_EFLAGS_OF, bit(before, bits - 1) != bit(r, bits - 1));
	a->dst = r;
}

static void exchange(struct alu *a)
{
	uint64_t old = a->dst;

	a->dst = a->src;
	a->src = old;
}

static void negate(struct alu *a) { a->dst = subtract(a, 0, a->dst, false); }

static void binary(enum emul_op op, struct alu *a)
{
	bool carry = a->flags & X86_EFLAGS_CF;

	switch (op) {
	case OP_ADD: a->dst = add(a, a->dst, a->src, false); break;
	case OP_ADC: a->dst = add(a, a->dst, a->src, carry); break;
	case OP_SUB: a->dst = subtract(a, a->dst, a->src, false); break;
	case OP_SBB: a->dst = subtract(a, a->dst, a->src, carry); break;
	case OP_CMP: (void)subtract(a, a->dst, a->src, false); break;
	case OP_OR: a->dst = logic(a, a->dst | a->src); break;
	case OP_AND: a->dst = logic(a, a->dst & a->src); break;
	case OP_XOR: a->dst = logic(a, a->dst ^ a->src); break;
	default: (void)logic(a, a->dst & a->src); break; /* test */
	}
}

void alu_run(enum emul_op op, struct alu *a)
{
	switch (op) {
	case OP_ROL: case OP_ROR: case OP_RCL: case OP_RCR:
	case OP_SHL: case OP_SHR: case OP_SAL: case OP_SAR: shift(op, a); break;
	case OP_SHLD: case OP_SHRD: double_shift(op, a); break;
	case OP_INC: a->dst = step_by_one(a, true); break;
	case OP_DEC: a->dst = step_by_one(a, false); break;
	case OP_NEG: negate(a); break;
	case OP_NOT: a->dst = ~a->dst; break;
	case OP_BT: case OP_BTS: case OP_BTR: case OP_BTC: bit_op(op, a); break;
	case OP_XCHG: exchange(a); break;
	case OP_CMPXCHG: cmpxchg(a); break;
	case OP_XADD: xadd(a); break;
	default: binary(op, a); break;
	}
}

void alu_imul(struct alu *a)
{
	__int128 product = (__int128)sign_extend(a->dst, a->size) * sign_extend(a->src, a->size);
	bool lost = product != sign_extend((uint64_t)product, a->size);

	a->dst = (uint64_t)product;
	set_flag(a, X86_EFLAGS_CF, lost);
	set_flag(a, X86_EFLAGS_OF, lost);
}

void alu_multiply_wide(struct alu *a, bool is_signed)
{
	uint64_t mask = size_mask(a->size);
	unsigned __int128 product;
	bool wide;

	if (is_signed) {
		product = (unsigned __int128)((__int128)sign_extend(a->dst, a->size) * sign_extend(a->src, a->size));
		wide = (__int128)product != sign_extend((uint64_t)product, a->size);
	} else {
		product = (unsigned __int128)(a->dst & mask) * (a->src & mask);
		wide = (product >> (8 * a->size)) != 0;
	}
	a->dst = (uint64_t)product & mask;
	a->src = (uint64_t)(product >> (8 * a->size)) & mask;
	set_flag(a, X86_EFLAGS_CF, wide);
	set_flag(a, X86_EFLAGS_OF, wide);
}

/* @high:@low / @divisor by long division; the remainder stays in @high. Wants
 * @high < @divisor, so that the quotient fits. */
static uint64_t divide_wide(uint64_t *high, uint64_t low, uint64_t divisor)
{
	uint64_t remainder = *high;

	for (unsigned int i = 0; i < 64; i++) {
		bool carry = remainder >> 63;

		remainder = remainder << 1 | low >> 63;
		low <<= 1;
		if (carry || remainder >= divisor) {
			remainder -= divisor;
			low |= 1;
		}
	}
	*high = remainder;
	return low;
}

/* Both halves, and the divisor, have no more than the bits of the operand size. */
static bool divide_unsigned(struct alu *a, uint64_t high, uint64_t low, uint64_t divisor)
{
	unsigned int bits = 8 * a->size;

	if (high >= divisor)
		return false;
	if (a->size == 8) {
		a->dst = divide_wide(&high, low, divisor);
		a->src2 = high;
	} else {
		a->dst = (high << bits | low) / divisor;
		a->src2 = (high << bits | low) % divisor;
	}
	return true;
}

/* The remainder has the sign of the dividend. */
static bool divide_signed(struct alu *a, uint64_t high, uint64_t low, uint64_t divisor)
{
	uint64_t mask = size_mask(a->size);
	bool dividend_negative = bit(high, top_bit(a)), divisor_negative = bit(divisor, top_bit(a));
	bool negative = dividend_negative != divisor_negative;

	if (dividend_negative) {
		high = (~high + (low == 0)) & mask;
		low = -low & mask;
	}
	if (divisor_negative)
		divisor = -divisor & mask;
	if (!divide_unsigned(a, high, low, divisor) || a->dst > (mask >> 1) + negative)
		return false;
	if (negative)
		a->dst = -a->dst;
	if (dividend_negative)
		a->src2 = -a->src2;
	return true;
}

bool alu_divide(struct alu *a, bool is_signed)
{
	uint64_t mask = size_mask(a->size);

	if (is_signed)
		return divide_signed(a, a->src2 & mask, a->dst & mask, a->src & mask);
	return divide_unsigned(a, a->src2 & mask, a->dst & mask, a->src & mask);
}

static unsigned int trailing_zeros(uint64_t v, unsigned int bits)
{
	return v ? (unsigned int)__builtin_ctzll(v) : bits;
}

static unsigned int leading_zeros(uint64_t v, unsigned int bits)
{
	return v ? (unsigned int)__builtin_clzll(v) - (64 - bits) : bits;
}

static unsigned int bits_set(uint64_t v)
{
	unsigned int n = 0;

	for (; v; v &= v - 1)
		n++;
	return n;
}

void alu_bit_scan(enum emul_op op, struct alu *a)
{
	unsigned int bits = 8 * a->size;
	uint64_t v = a->src & size_mask(a->size);

	if (op == OP_BSF || op == OP_BSR) {
		set_flag(a, X86_EFLAGS_ZF, v == 0);
		if (v)
			a->dst = op == OP_BSF ? trailing_zeros(v, bits) : bits - 1 - leading_zeros(v, bits);
		return;
	}
	if (op == OP_POPCNT) {
		a->flags &= ~(uint64_t)STATUS_FLAGS;
		set_flag(a, X86_EFLAGS_ZF, v == 0);
		a->dst = bits_set(v);
		return;
	}
	a->dst = op == OP_TZCNT ? trailing_zeros(v, bits) : leading_zeros(v, bits);
	set_flag(a, X86_EFLAGS_CF, v == 0);
	set_flag(a, X86_EFLAGS_ZF, a->dst == 0);
}

/* daa and das (SDM vol. 2). */
static void adjust_packed(struct alu *a, bool add)
{
	uint8_t al = (uint8_t)a->dst, correction = 0;
	bool carry = (a->flags & X86_EFLAGS_CF) || al > 0x99;
	bool half_carry = (a->flags & X86_EFLAGS_AF) || (al & 15) > 9;
	/* A borrow out of the low digit of das counts, too. */
	bool borrow = !add && half_carry && al < 6;

	if (half_carry)
		correction += 6;
	if (carry)
		correction += 0x60;
	al = (uint8_t)(add ? al + correction : al - correction);
	a->dst = (a->dst & ~0xffull) | al;
	set_flag(a, X86_EFLAGS_CF, carry || borrow);
	set_flag(a, X86_EFLAGS_AF, half_carry);
	set_result_flags(a, al);
}

/* aaa and aas: a carry goes to AH. */
static void adjust_unpacked(struct alu *a, bool add)
{
	bool carry = (a->flags & X86_EFLAGS_AF) || (a->dst & 15) > 9;

	if (carry)
		a->dst = add ? a->dst + 0x106 : a->dst - 0x106;
	a->dst &= 0xff0f;
	set_flag(a, X86_EFLAGS_CF, carry);
	set_flag(a, X86_EFLAGS_AF, carry);
	set_result_flags(a, a->dst);
}

bool alu_decimal(enum emul_op op, struct alu *a)
{
	uint8_t al = (uint8_t)a->dst, ah = (uint8_t)(a->dst >> 8), base = (uint8_t)a->src;

	a->size = 1;
	switch (op) {
	case OP_DAA: case OP_DAS:
		adjust_packed(a, op == OP_DAA);
		return true;
	case OP_AAA: case OP_AAS:
		adjust_unpacked(a, op == OP_AAA);
		return true;
	case OP_AAM:
		if (base == 0)
			return false;
		a->dst = (uint64_t)(al / base) << 8 | al % base;
		break;
	default: /* aad */
		a->dst = (uint8_t)(al + ah * base);
		break;
	}
	set_result_flags(a, a->dst);
	return true;
}

bool alu_condition(unsigned int cc, uint64_t flags)
{
	bool sign_differs = !(flags & X86_EFLAGS_SF) != !(flags & X86_EFLAGS_OF);
	bool result;

	switch ((cc >> 1) & 7) {
	case 0: result = flags & X86_EFLAGS_OF; break;
	case 1: result = flags & X86_EFLAGS_CF; break;
	case 2: result = flags & X86_EFLAGS_ZF; break;
	case 3: result = flags & (X86_EFLAGS_CF | X86_EFLAGS_ZF); break;
	case 4: result = flags & X86_EFLAGS_SF; break;
	case 5: result = flags & X86_EFLAGS_PF; break;
	case 6: result = sign_differs; break;
	default: result = sign_differs || (flags & X86_EFLAGS_ZF); break;
	}
	return result != (cc & 1);
}
