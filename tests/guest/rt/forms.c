// SPDX-License-Identifier: GPL-2.0-only
/* See forms.h. */
#include "tests/guest/rt/forms.h"

#define FORM(name) static void name(uint64_t *p, uint64_t old, uint64_t new)

FORM(mov8) { asm volatile("movq %1, %0" : "=m"(*p) : "r"(new) : "memory"); }

FORM(mov4)
{
	uint32_t *q = (uint32_t *)p;

	asm volatile("movl %1, %0" : "=m"(q[1]) : "r"((uint32_t)(new >> 32)) : "memory");
	asm volatile("movl %1, %0" : "=m"(q[0]) : "r"((uint32_t)new) : "memory");
}

FORM(mov2)
{
	for (int i = 3; i >= 0; i--)
		asm volatile("movw %1, %0" : "=m"(((uint16_t *)p)[i]) : "r"((uint16_t)(new >> 16 * i)) : "memory");
}

FORM(mov1)
{
	for (int i = 7; i >= 0; i--)
		asm volatile("movb %1, %0" : "=m"(((uint8_t *)p)[i]) : "q"((uint8_t)(new >> 8 * i)) : "memory");
}

FORM(mov1_high_register)
{
	for (int i = 7; i >= 0; i--)
		asm volatile("movb %%ah, (%1)" : : "a"((new >> 8 * i & 0xFF) << 8), "r"((uint8_t *)p + i) : "memory");
}

/* C7 /0 with a sign-extended immediate clears, then OR sets. */
FORM(mov_immediate)
{
	asm volatile("movq $0, %0" : "=m"(*p) : : "memory");
	asm volatile("orq %1, %0" : "+m"(*p) : "r"(new) : "memory");
}

FORM(mov_moffs)
{
	/* The address is part of the instruction (A3 with prefix 67: 32 bits). */
	static uint8_t code[16] __attribute__((aligned(16)));

	code[0] = 0x67;
	code[1] = 0x48;
	code[2] = 0xA3;
	*(uint32_t *)(code + 3) = (uint32_t)(uintptr_t)p;
	code[7] = 0xC3;
	asm volatile("cpuid" : : "a"(0) : "rbx", "rcx", "rdx", "memory");
	asm volatile("call *%0" : : "r"(code), "a"(new) : "memory");
}

FORM(mov_segment_register)
{
	/* DS holds 0x10: 16 bits of a known value, then the true ones. */
	asm volatile("movw %%ds, %0" : "=m"(*(uint16_t *)p) : : "memory");
	asm volatile("movq %1, %0" : "=m"(*p) : "r"(new) : "memory");
}

FORM(xchg8) { asm volatile("xchgq %1, %0" : "+m"(*p), "+r"(new) : : "memory"); }

FORM(xchg1)
{
	for (int i = 7; i >= 0; i--) {
		uint8_t v = (uint8_t)(new >> 8 * i);

		asm volatile("xchgb %1, %0" : "+m"(((uint8_t *)p)[i]), "+q"(v) : : "memory");
	}
}

FORM(lock_cmpxchg)
{
	uint64_t seen = *p;

	asm volatile("lock cmpxchgq %2, %0" : "+m"(*p), "+a"(seen) : "r"(new) : "memory");
}

/* One that fails leaves memory as it is, and still writes. */
FORM(lock_cmpxchg_failing)
{
	uint64_t wrong = ~*p;

	asm volatile("lock cmpxchgq %2, %0" : "+m"(*p), "+a"(wrong) : "r"(0x5555ul) : "memory");
	asm volatile("cmpxchgq %2, %0" : "+m"(*p), "+a"(wrong) : "r"(new) : "memory");
}

FORM(cmpxchg4)
{
	uint32_t *q = (uint32_t *)p;

	for (int i = 1; i >= 0; i--) {
		uint32_t seen = q[i];

		asm volatile("lock cmpxchgl %2, %0" : "+m"(q[i]), "+a"(seen) : "r"((uint32_t)(new >> 32 * i)) : "memory");
	}
}

FORM(cmpxchg8b)
{
	uint32_t lo = (uint32_t)*p, hi = (uint32_t)(*p >> 32);

	asm volatile("lock cmpxchg8b %0"
		     : "+m"(*p), "+a"(lo), "+d"(hi)
		     : "b"((uint32_t)new), "c"((uint32_t)(new >> 32))
		     : "memory");
}

FORM(cmpxchg16b)
{
	uint64_t lo = p[0], hi = p[1];

	asm volatile("lock cmpxchg16b %0"
		     : "+m"(*(unsigned __int128 *)p), "+a"(lo), "+d"(hi)
		     : "b"(new), "c"(hi)
		     : "memory");
}

static bool has_cmpxchg16b(void)
{
	uint32_t r[4];

	cpuid(1, 0, r);
	return r[2] >> 13 & 1;
}

FORM(lock_bts_btr)
{
	for (uint64_t i = 0; i < 64; i++) {
		if (new >> i & 1)
			asm volatile("lock btsq %1, %0" : "+m"(*p) : "r"(i) : "memory");
		else
			asm volatile("lock btrq %1, %0" : "+m"(*p) : "r"(i) : "memory");
	}
}

/* The bit offset in a register reaches beyond the operand: from the entry before. */
FORM(btc_far)
{
	for (uint64_t i = 0; i < 64; i++)
		if ((*p ^ new) >> i & 1)
			asm volatile("btcq %1, %0" : "+m"(p[-1]) : "r"(i + 64) : "memory");
}

FORM(bts_immediate)
{
	asm volatile("movq %1, %0" : "=m"(*p) : "r"(new & ~3ull) : "memory");
	if (new & 2)
		asm volatile("btsq $1, %0" : "+m"(*p) : : "memory");
	if (new & 1)
		asm volatile("lock btsq $0, %0" : "+m"(*p) : : "memory");
}

FORM(and_or)
{
	asm volatile("andq %1, %0" : "+m"(*p) : "r"(new) : "memory");
	asm volatile("orq %1, %0" : "+m"(*p) : "r"(new) : "memory");
}

FORM(lock_and_or_bytes)
{
	for (int i = 7; i >= 0; i--) {
		uint8_t v = (uint8_t)(new >> 8 * i);

		asm volatile("lock andb %1, %0" : "+m"(((uint8_t *)p)[i]) : "q"(v) : "memory");
		asm volatile("lock orb %1, %0" : "+m"(((uint8_t *)p)[i]) : "q"(v) : "memory");
	}
}

FORM(and_immediate_or)
{
	asm volatile("andl $0, %0" : "+m"(((uint32_t *)p)[1]) : : "memory");
	asm volatile("andl $0, %0" : "+m"(((uint32_t *)p)[0]) : : "memory");
	asm volatile("lock orq %1, %0" : "+m"(*p) : "r"(new) : "memory");
}

FORM(add) { asm volatile("addq %1, %0" : "+m"(*p) : "r"(new - *p) : "memory"); }
FORM(lock_sub) { asm volatile("lock subq %1, %0" : "+m"(*p) : "r"(*p - new) : "memory"); }
FORM(adc) { asm volatile("stc; adcq %1, %0" : "+m"(*p) : "r"(new - *p - 1) : "memory"); }
FORM(sbb) { asm volatile("clc; sbbq %1, %0" : "+m"(*p) : "r"(*p - new) : "memory"); }
FORM(xor_) { asm volatile("xorq %1, %0" : "+m"(*p) : "r"(new ^ *p) : "memory"); }

FORM(lock_xadd)
{
	uint64_t v = new - *p;

	asm volatile("lock xaddq %1, %0" : "+m"(*p), "+r"(v) : : "memory");
}

FORM(inc_dec)
{
	asm volatile("movq %1, %0" : "=m"(*p) : "r"(new - 1) : "memory");
	asm volatile("incq %0" : "+m"(*p) : : "memory");
	asm volatile("lock incq %0" : "+m"(*p) : : "memory");
	asm volatile("decq %0" : "+m"(*p) : : "memory");
}

FORM(not_neg)
{
	asm volatile("movq %1, %0" : "=m"(*p) : "r"(-~new) : "memory");
	asm volatile("negq %0" : "+m"(*p) : : "memory");
	asm volatile("notq %0" : "+m"(*p) : : "memory");
}

FORM(rotate_shift)
{
	asm volatile("movq %1, %0" : "=m"(*p) : "r"(new >> 13 | new << 51) : "memory");
	asm volatile("rolq $13, %0" : "+m"(*p) : : "memory");
	asm volatile("movq %1, %0" : "=m"(*p) : "r"(new >> 1) : "memory");
	asm volatile("stc; rclq $1, %0" : "+m"(*p) : : "memory");
	asm volatile("movq %1, %0" : "=m"(*p) : "r"(new >> 8) : "memory");
	asm volatile("shldq $8, %1, %0" : "+m"(*p) : "r"(new << 56) : "memory");
}

FORM(setcc)
{
	/* Bit 0 of a byte: rewrites the lowest one around it. */
	asm volatile("movq %1, %0" : "=m"(*p) : "r"(new) : "memory");
	asm volatile("cmp %%rax, %%rax; sete %0" : "=m"(*(uint8_t *)p) : : "memory", "cc");
	asm volatile("movb %1, %0" : "=m"(*(uint8_t *)p) : "q"((uint8_t)new) : "memory");
}

FORM(push)
{
	asm volatile("mov %%rsp, %%rcx; lea 8(%0), %%rsp; push %1; mov %%rcx, %%rsp"
		     : : "r"(p), "r"(new) : "rcx", "memory");
}

FORM(push_memory_pop_memory)
{
	uint64_t from = new;

	asm volatile("mov %%rsp, %%rcx; lea 8(%0), %%rsp; pushq (%1); mov %%rcx, %%rsp"
		     : : "r"(p), "r"(&from) : "rcx", "memory");
	asm volatile("mov %%rsp, %%rcx; mov %1, %%rsp; popq (%0); mov %%rcx, %%rsp"
		     : : "r"(p), "r"(&from) : "rcx", "memory");
}

/* CALL and PUSHF leave what is not an entry there for a moment. */
FORM(call_pushf_enter)
{
	asm volatile("mov %%rsp, %%rcx; lea 8(%0), %%rsp; pushfq; lea 8(%0), %%rsp; call 1f; 1: lea 8(%0), %%rsp;"
		     "mov %%rbp, %%rdx; push %%rdx; lea 8(%0), %%rsp; enter $0, $0; mov %%rdx, %%rbp; mov %%rcx, %%rsp"
		     : : "r"(p) : "rcx", "rdx", "memory");
	*(volatile uint64_t *)p = new;
}

FORM(stos8) { asm volatile("stosq" : "+D"(p) : "a"(new) : "memory"); }

FORM(rep_stos1_then_movs)
{
	uint8_t *d = (uint8_t *)p;
	const uint64_t *s = &new;
	uint64_t n = 8;

	asm volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(0) : "memory");
	d = (uint8_t *)p;
	n = 8;
	asm volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
}

FORM(movs8) { const uint64_t *s = &new; asm volatile("movsq" : "+D"(p), "+S"(s) : : "memory"); }

/* From the high end down. */
FORM(movs_backward)
{
	const uint8_t *s = (const uint8_t *)&new + 7;
	uint8_t *d = (uint8_t *)p + 7;
	uint64_t n = 8;

	asm volatile("std; rep movsb; cld" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
}

FORM(movnti) { asm volatile("movnti %1, %0; sfence" : "=m"(*p) : "r"(new) : "memory"); }

FORM(movq_xmm) { asm volatile("movq %1, %%xmm0; movq %%xmm0, %0" : "=m"(*p) : "r"(new) : "memory"); }
FORM(movlps) { asm volatile("movq %1, %%xmm0; movlps %%xmm0, %0" : "=m"(*p) : "r"(new) : "memory"); }
FORM(movhps)
{
	asm volatile("movq %1, %%xmm1; movlhps %%xmm1, %%xmm1; movhps %%xmm1, %0" : "=m"(*p) : "r"(new) : "memory");
}

FORM(movq_mmx) { asm volatile("movq %1, %%mm0; movq %%mm0, %0; emms" : "=m"(*p) : "r"(new) : "memory"); }
FORM(movntq) { asm volatile("movq %1, %%mm0; movntq %%mm0, %0; emms" : "=m"(*p) : "r"(new) : "memory"); }

/* Stores the pair {new, the entry behind it}. */
#define PAIR(name, insn)                                                                                     \
	FORM(name)                                                                                           \
	{                                                                                                    \
		uint64_t pair[2] __attribute__((aligned(16))) = { new, p[1] };                               \
		asm volatile("movaps %1, %%xmm2; " insn " %%xmm2, %0"                                        \
			     : "=m"(*(unsigned __int128 *)p) : "m"(*(unsigned __int128 *)pair) : "memory");  \
	}

PAIR(movaps, "movaps")
PAIR(movups, "movups")
PAIR(movdqa, "movdqa")
PAIR(movdqu, "movdqu")
PAIR(movntdq, "movntdq")
PAIR(movntps, "movntps")

/* Sixteen bytes that begin in the middle of the entry before. */
FORM(movdqu_askew)
{
	uint8_t b[16];

	for (int i = 0; i < 16; i++)
		b[i] = ((uint8_t *)p)[i - 4];
	for (int i = 0; i < 8; i++)
		b[4 + i] = (uint8_t)(new >> 8 * i);
	asm volatile("movdqu %1, %%xmm3; movdqu %%xmm3, -4(%0)"
		     : : "r"(p), "m"(*(unsigned __int128 *)b) : "memory");
}

/* Eight bytes over two entries, twice. */
FORM(mov_askew)
{
	uint8_t *b = (uint8_t *)p;
	uint64_t low, high;

	asm volatile("movq -4(%1), %0" : "=r"(low) : "r"(b) : "memory");
	low = (low & 0xFFFFFFFF) | new << 32;
	asm volatile("movq %1, -4(%0)" : : "r"(b), "r"(low) : "memory");
	asm volatile("movq 4(%1), %0" : "=r"(high) : "r"(b) : "memory");
	high = (high & 0xFFFFFFFF00000000) | new >> 32;
	asm volatile("movq %1, 4(%0)" : : "r"(b), "r"(high) : "memory");
}

FORM(maskmovdqu)
{
	static const uint64_t mask[2] __attribute__((aligned(16))) = { ~0ull, 0 };

	asm volatile("movq %1, %%xmm4; movdqa %2, %%xmm5; maskmovdqu %%xmm5, %%xmm4; sfence"
		     : : "D"(p), "r"(new), "m"(*(const unsigned __int128 *)mask) : "memory");
}

FORM(x87_fistp) { asm volatile("fninit; fildq %1; fistpq %0" : "=m"(*p) : "m"(new) : "memory"); }

FORM(fxsave)
{
	uint8_t *area = (uint8_t *)p - 160;
	uint64_t pair[2] __attribute__((aligned(16))) = { new, p[1] };

	asm volatile("movaps %0, %%xmm0" : : "m"(*(unsigned __int128 *)pair));
	asm volatile("fxsave64 (%0)" : : "r"(area) : "memory");
}

FORM(sgdt_sidt)
{
	/* Ten bytes over two entries; then the true value. */
	uint64_t next = p[1];

	asm volatile("sgdt (%0)" : : "r"(p) : "memory");
	asm volatile("sidt (%0)" : : "r"(p) : "memory");
	asm volatile("sldt (%0)" : : "r"(p) : "memory");
	p[1] = next;
	*(volatile uint64_t *)p = new;
}

FORM(movbe) { asm volatile("movbeq %1, %0" : "=m"(*p) : "r"(__builtin_bswap64(new)) : "memory"); }

static bool has_movbe(void)
{
	uint32_t r[4];

	cpuid(1, 0, r);
	return r[2] >> 22 & 1;
}

/* The 8259's mask register gives back what was put there. */
FORM(insb)
{
	uint8_t *d = (uint8_t *)p, mask = inb(0xA1);

	for (int i = 0; i < 8; i++) {
		outb(0xA1, (uint8_t)(new >> 8 * i));
		asm volatile("insb" : "+D"(d) : "d"(0xA1) : "memory");
	}
	outb(0xA1, mask);
}

FORM(rep_insb)
{
	uint8_t *d, mask = inb(0xA1);
	uint64_t n;

	for (int i = 7; i >= 0; i--) {
		d = (uint8_t *)p;
		n = (uint64_t)i + 1;
		outb(0xA1, (uint8_t)(new >> 8 * i));
		asm volatile("rep insb" : "+D"(d), "+c"(n) : "d"(0xA1) : "memory");
	}
	outb(0xA1, mask);
}

const struct form forms[] = {
	{ "mov8", 0, mov8 },
	{ "mov4", 0, mov4 },
	{ "mov2", 0, mov2 },
	{ "mov1", 0, mov1 },
	{ "mov1_high_register", 0, mov1_high_register },
	{ "mov_immediate", 0, mov_immediate },
	{ "mov_moffs", FORM_LOW, mov_moffs },
	{ "mov_segment_register", 0, mov_segment_register },
	{ "xchg8", 0, xchg8 },
	{ "xchg1", 0, xchg1 },
	{ "lock_cmpxchg", 0, lock_cmpxchg },
	{ "lock_cmpxchg_failing", 0, lock_cmpxchg_failing },
	{ "cmpxchg4", 0, cmpxchg4 },
	{ "cmpxchg8b", 0, cmpxchg8b },
	{ "cmpxchg16b", 0, cmpxchg16b, has_cmpxchg16b },
	{ "lock_bts_btr", 0, lock_bts_btr },
	{ "btc_far", 0, btc_far },
	{ "bts_immediate", 0, bts_immediate },
	{ "and_or", 0, and_or },
	{ "lock_and_or_bytes", 0, lock_and_or_bytes },
	{ "and_immediate_or", 0, and_immediate_or },
	{ "add", 0, add },
	{ "lock_sub", 0, lock_sub },
	{ "adc", 0, adc },
	{ "sbb", 0, sbb },
	{ "xor", 0, xor_ },
	{ "lock_xadd", 0, lock_xadd },
	{ "inc_dec", 0, inc_dec },
	{ "not_neg", 0, not_neg },
	{ "rotate_shift", 0, rotate_shift },
	{ "setcc", 0, setcc },
	{ "push", FORM_STACK, push },
	{ "push_memory_pop_memory", FORM_STACK, push_memory_pop_memory },
	{ "call_pushf_enter", FORM_STACK, call_pushf_enter },
	{ "stos8", 0, stos8 },
	{ "rep_stos1_then_movs", 0, rep_stos1_then_movs },
	{ "movs8", 0, movs8 },
	{ "movs_backward", 0, movs_backward },
	{ "movnti", 0, movnti },
	{ "movq_xmm", 0, movq_xmm },
	{ "movlps", 0, movlps },
	{ "movhps", 0, movhps },
	{ "movq_mmx", 0, movq_mmx },
	{ "movntq", 0, movntq },
	{ "movaps", 0, movaps },
	{ "movups", 0, movups },
	{ "movdqa", 0, movdqa },
	{ "movdqu", 0, movdqu },
	{ "movntdq", 0, movntdq },
	{ "movntps", 0, movntps },
	{ "movdqu_askew", 0, movdqu_askew },
	{ "mov_askew", 0, mov_askew },
	{ "maskmovdqu", 0, maskmovdqu },
	{ "x87_fistp", 0, x87_fistp },
	{ "fxsave", FORM_WIDE, fxsave },
	{ "sgdt_sidt", 0, sgdt_sidt },
	{ "movbe", 0, movbe, has_movbe },
	{ "insb", FORM_IO, insb },
	{ "rep_insb", FORM_IO, rep_insb },
};

const size_t form_count = ARRAY_SIZE(forms);
