// SPDX-License-Identifier: GPL-2.0-only
/*
 * 16- and 32-bit code, segment checks in all modes, ports: what the host's
 * processor cannot be asked. One row per encoding.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>
#include "tests/host/emulate_fake.h"

static struct fake f;

#define STEP(bytes) fake_step(&f, bytes, sizeof(bytes) - 1)
#define REG(r) f.ctx.regs.gpr[GPR_##r]

/* Registers before each row: all different, with garbage where it must be ignored. */
static void open_row(enum emul_mode mode)
{
	static const uint64_t gpr[8] = { 0x11112222, 0x33334404, 0x55556666, 0x4000, FAKE_STACK, 0x4100, 0x10, 0x20 };

	fake_open(&f, mode);
	memcpy(f.ctx.regs.gpr, gpr, sizeof(gpr));
	for (unsigned int a = FAKE_DATA; a < FAKE_DATA + 0x2000; a++)
		f.memory[a] = (uint8_t)(a ^ a >> 8);
	fake_poke(&f, FAKE_STACK, 8, 0x8877665544332211);
}

/* After the instruction, @len bytes at @addr (or a register) hold @value. */
struct row {
	const char *text;
	uint8_t code[12], code_len;
	enum { AT_MEMORY, AT_REG } at;
	uint64_t where;
	unsigned int len;
	uint64_t value, rsp;
};

static void run_rows(enum emul_mode mode, const struct row *rows, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		const struct row *r = &rows[i];
		uint64_t got;

		open_row(mode);
		if (fake_step(&f, r->code, r->code_len) != EMUL_DONE)
			fail_msg("%s: not done", r->text);
		got = r->at == AT_REG ? f.ctx.regs.gpr[r->where] : fake_peek(&f, r->where, r->len);
		if (got != r->value || REG(RSP) != r->rsp)
			fail_msg("%s: got %llx, rsp %llx", r->text, (unsigned long long)got,
				 (unsigned long long)REG(RSP));
		if (f.ctx.insn_len != r->code_len)
			fail_msg("%s: length %u", r->text, f.ctx.insn_len);
	}
}

static void code_of_16_bits(void **state)
{
	static const struct row rows[] = {
		{ "mov [bx+si], ax", { 0x89, 0x00 }, 2, AT_MEMORY, 0x4010, 4, 0x53522222, 0x7000 },
		{ "mov [bx+di+5], al", { 0x88, 0x41, 0x05 }, 3, AT_MEMORY, 0x4025, 1, 0x22, 0x7000 },
		{ "mov [bp-2], ax", { 0x89, 0x46, 0xfe }, 3, AT_MEMORY, 0x40fe, 2, 0x2222, 0x7000 },
		{ "mov [4200h], eax", { 0x66, 0xa3, 0x00, 0x42 }, 4, AT_MEMORY, 0x4200, 4, 0x11112222, 0x7000 },
		{ "mov [ebx+esi*4], ax", { 0x67, 0x89, 0x04, 0xb3 }, 4, AT_MEMORY, 0x4040, 2, 0x2222, 0x7000 },
		{ "mov word [si+4000h], 1234h", { 0xc7, 0x84, 0x00, 0x40, 0x34, 0x12 }, 6, AT_MEMORY, 0x4010, 2, 0x1234,
		  0x7000 },
		{ "push ax", { 0x50 }, 1, AT_MEMORY, 0x6ffe, 2, 0x2222, 0x6ffe },
		{ "push eax", { 0x66, 0x50 }, 2, AT_MEMORY, 0x6ffc, 4, 0x11112222, 0x6ffc },
		{ "pop dx", { 0x5a }, 1, AT_REG, GPR_RDX, 0, 0x55552211, 0x7002 },
		{ "push 0ffffh", { 0x6a, 0xff }, 2, AT_MEMORY, 0x6ffe, 2, 0xffff, 0x6ffe },
		{ "call +0", { 0xe8, 0x00, 0x00 }, 3, AT_MEMORY, 0x6ffe, 2, 0x1003, 0x6ffe },
		{ "inc word [bx]", { 0xff, 0x07 }, 2, AT_MEMORY, 0x4000, 2, 0x4141, 0x7000 },
		{ "inc ax", { 0x40 }, 1, AT_REG, GPR_RAX, 0, 0x11112223, 0x7000 },
		{ "pusha", { 0x60 }, 1, AT_MEMORY, 0x6ff0, 8, 0x7000410000100020, 0x6ff0 },
	};

	run_rows(EMUL_MODE_16, rows, ARRAY_SIZE(rows));
}

static void code_of_32_bits(void **state)
{
	static const struct row rows[] = {
		{ "mov [ebx], eax", { 0x89, 0x03 }, 2, AT_MEMORY, 0x4000, 4, 0x11112222, 0x7000 },
		{ "mov [bx+si], ax", { 0x66, 0x67, 0x89, 0x00 }, 4, AT_MEMORY, 0x4010, 2, 0x2222, 0x7000 },
		{ "mov [4200h], al", { 0xa2, 0x00, 0x42, 0x00, 0x00 }, 5, AT_MEMORY, 0x4200, 1, 0x22, 0x7000 },
		{ "dec dword [ebx]", { 0xff, 0x0b }, 2, AT_MEMORY, 0x4000, 4, 0x4342413f, 0x7000 },
		{ "dec ecx", { 0x49 }, 1, AT_REG, GPR_RCX, 0, 0x33334403, 0x7000 },
		{ "or byte [ebx], 0fh (82)", { 0x82, 0x0b, 0x0f }, 3, AT_MEMORY, 0x4000, 1, 0x4f, 0x7000 },
		{ "push dword [ebx]", { 0xff, 0x33 }, 2, AT_MEMORY, 0x6ffc, 4, 0x43424140, 0x6ffc },
		{ "pop dword [ebx]", { 0x8f, 0x03 }, 2, AT_MEMORY, 0x4000, 4, 0x44332211, 0x7004 },
		{ "push esp", { 0x54 }, 1, AT_MEMORY, 0x6ffc, 4, 0x7000, 0x6ffc },
		{ "pop dword [esp+4]", { 0x8f, 0x44, 0x24, 0x04 }, 4, AT_MEMORY, 0x7008, 4, 0x44332211, 0x7004 },
		{ "call [ebx] pushes", { 0xff, 0x13 }, 2, AT_MEMORY, 0x6ffc, 4, 0x1002, 0x6ffc },
		{ "ret 8", { 0xc2, 0x08, 0x00 }, 3, AT_MEMORY, 0x7000, 1, 0x11, 0x700c },
		{ "pushad", { 0x60 }, 1, AT_MEMORY, 0x6fe8, 8, 0x0000700000004100, 0x6fe0 },
		{ "popad skips esp", { 0x61 }, 1, AT_REG, GPR_RDI, 0, 0x44332211, 0x7020 },
		{ "leave", { 0xc9 }, 1, AT_REG, GPR_RBP, 0, 0x42434041, 0x4104 },
		{ "enter 20h,1", { 0xc8, 0x20, 0x00, 0x01 }, 4, AT_MEMORY, 0x6ff8, 8, 0x0000410000006ffc, 0x6fd8 },
		{ "pushf", { 0x9c }, 1, AT_MEMORY, 0x6ffc, 4, 2, 0x6ffc },
		{ "mov [ebx], ds", { 0x8c, 0x1b }, 2, AT_MEMORY, 0x4000, 4, 0x43420020, 0x7000 },
		{ "mov eax, ds", { 0x8c, 0xd8 }, 2, AT_REG, GPR_RAX, 0, 0x20, 0x7000 },
		{ "xlat", { 0xd7 }, 1, AT_REG, GPR_RAX, 0, 0x11112200 | (0x22 ^ 0x40), 0x7000 },
		{ "in al, dx", { 0xec }, 1, AT_REG, GPR_RAX, 0, 0x11112200, 0x7000 },
		{ "in ax, 10h", { 0x66, 0xe5, 0x10 }, 3, AT_REG, GPR_RAX, 0, 0x11110000, 0x7000 },
	};

	run_rows(EMUL_MODE_32, rows, ARRAY_SIZE(rows));
}

static void bit_offset_in_a_register_reaches_beyond_the_operand(void **state)
{
	open_row(EMUL_MODE_32);
	fake_poke(&f, 0x3ffc, 4, 0);
	REG(RDX) = (uint32_t)-1;
	assert_int_equal(STEP("\x0f\xab\x13"), EMUL_DONE); /* bts [ebx], edx */
	assert_int_equal(fake_peek(&f, 0x3ffc, 4), 0x80000000);
	REG(RDX) = 32 * 100 + 3;
	assert_int_equal(STEP("\x0f\xb3\x13"), EMUL_DONE); /* btr */
	assert_int_equal(f.events[1].addr, 0x4000 + 400);
	assert_int_equal(STEP("\x0f\xba\x2b\x23"), EMUL_DONE); /* an immediate does not: bit 35 is bit 3 */
	assert_int_equal(f.events[1].addr, 0x4000);
}

static void string_addresses_wrap_at_their_size(void **state)
{
	fake_open(&f, EMUL_MODE_16);
	REG(RDI) = 0x99990000ull;
	REG(RCX) = 0x77770001ull;
	f.ctx.regs.rflags |= X86_EFLAGS_DF;
	assert_int_equal(STEP("\xf3\xaa"), EMUL_DONE); /* rep stosb */
	assert_int_equal(REG(RDI), 0x9999ffffull);
	assert_int_equal(REG(RCX), 0x77770000ull);
	assert_int_equal(f.ctx.regs.rip, FAKE_CODE + 2);
}

static void expect(const void *code, unsigned int len, unsigned int vector)
{
	struct cpu_regs before = f.ctx.regs;

	assert_int_equal(fake_step(&f, code, len), EMUL_EXCEPTION);
	assert_int_equal(f.ctx.exception.vector, vector);
	assert_true(f.ctx.exception.has_error_code);
	assert_int_equal(f.ctx.exception.error_code, 0);
	assert_memory_equal(&before, &f.ctx.regs, sizeof(before));
	for (unsigned int i = 0; i < f.event_count; i++)
		assert_int_equal(f.events[i].kind, FAKE_FETCH);
}
#define EXPECT(bytes, vector) expect(bytes, sizeof(bytes) - 1, vector)

static void limits(void **state)
{
	open_row(EMUL_MODE_32);
	f.segments[SEG_DS].limit = 0x4003;
	assert_int_equal(STEP("\x89\x03"), EMUL_DONE); /* mov [ebx], eax: the last four bytes */
	f.ctx.regs.rip = FAKE_CODE;
	f.segments[SEG_DS].limit = 0x4002;
	EXPECT("\x89\x03", EXC_GP);
	EXPECT("\x8b\x03", EXC_GP);
	f.segments[SEG_SS].limit = 0x4fff;
	EXPECT("\x50", EXC_SS);
	EXPECT("\x8b\x84\x24\x00\x00\x00\x00", EXC_SS); /* mov eax, [esp] */
	assert_int_equal(STEP("\x8b\x45\x00"), EMUL_DONE); /* mov eax, [ebp] */
	f.ctx.regs.rip = FAKE_CODE;
	f.segments[SEG_ES].limit = 0;
	REG(RDI) = 1;
	EXPECT("\xaa", EXC_GP);
}

static void expand_down_limits(void **state)
{
	open_row(EMUL_MODE_32);
	f.segments[SEG_DS].access = 0x97 | SEGMENT_DB;
	f.segments[SEG_DS].limit = 0x3fff;
	assert_int_equal(STEP("\x89\x03"), EMUL_DONE);
	f.ctx.regs.rip = FAKE_CODE;
	f.segments[SEG_DS].limit = 0x4000; /* the first byte is not above it */
	EXPECT("\x89\x03", EXC_GP);
	f.segments[SEG_DS].access = 0x97; /* 16-bit: ends at 64 KiB */
	f.segments[SEG_DS].limit = 0x3fff;
	REG(RBX) = 0xfffd;
	EXPECT("\x89\x03", EXC_GP);
	REG(RBX) = 0xfffc;
	assert_int_equal(STEP("\x89\x03"), EMUL_DONE);
}

static void types(void **state)
{
	open_row(EMUL_MODE_32);
	f.segments[SEG_DS].access = 0x91 | SEGMENT_DB; /* read-only data */
	EXPECT("\x89\x03", EXC_GP);
	EXPECT("\x01\x03", EXC_GP);
	assert_int_equal(STEP("\x8b\x03"), EMUL_DONE);
	f.ctx.regs.rip = FAKE_CODE;
	EXPECT("\x2e\x89\x03", EXC_GP); /* code is not written */
	assert_int_equal(STEP("\x2e\x8b\x03"), EMUL_DONE);
	f.ctx.regs.rip = FAKE_CODE;
	f.segments[SEG_CS].access = 0x99 | SEGMENT_DB; /* execute-only */
	EXPECT("\x2e\x8b\x03", EXC_GP);
	f.segments[SEG_DS].access = SEGMENT_UNUSABLE;
	EXPECT("\x8b\x03", EXC_GP);
}

static void bases_and_overrides(void **state)
{
	open_row(EMUL_MODE_32);
	f.segments[SEG_FS].base = 0x1000;
	assert_int_equal(STEP("\x64\x89\x03"), EMUL_DONE);
	assert_int_equal(fake_peek(&f, 0x5000, 4), 0x11112222);
	f.segments[SEG_DS].base = 0xffffffffffff0000 & 0xffffffff;
	REG(RBX) = 0x14000; /* the sum wraps at 4 GiB */
	assert_int_equal(STEP("\x89\x03"), EMUL_DONE);
	assert_int_equal(fake_peek(&f, 0x4000, 4), 0x11112222);
}

/* Bytes beyond 4 GiB are at 0: the ops are told one access. Not in a flat segment: that ends there. */
static void accesses_wrap_at_4_gib(void **state)
{
	static const char *const code[] = { "\x8b\x03", "\x89\x03", "\x01\x03", "\xa5", "\x50" };

	for (unsigned int i = 0; i < ARRAY_SIZE(code); i++) {
		bool is_push = code[i][0] == '\x50';

		open_row(EMUL_MODE_32);
		f.segments[SEG_DS].base = f.segments[SEG_SS].base = 0x10;
		REG(RBX) = REG(RSI) = 0xffffffee;
		REG(RSP) = 0xffffffee + 4;
		assert_int_equal(fake_step(&f, code[i], (unsigned int)strlen(code[i])), EMUL_EXCEPTION);
		assert_int_equal(f.ctx.exception.vector, EXC_PF);
		assert_int_equal(f.events[1].addr, 0xfffffffe);
		assert_int_equal(f.events[1].len, 4);
		f.segments[SEG_DS].base = f.segments[SEG_SS].base = 0;
		REG(RBX) = REG(RSI) = 0xfffffffe;
		REG(RSP) = 2;
		assert_int_equal(fake_step(&f, code[i], (unsigned int)strlen(code[i])), EMUL_EXCEPTION);
		assert_int_equal(f.ctx.exception.vector, is_push ? EXC_SS : EXC_GP);
		assert_int_equal(f.event_count, 1); /* the fetch */
	}
}

/* At 64 KiB the limit decides: a segment of 64 KiB ends there, a bigger one does not. */
static void accesses_at_64_kib(void **state)
{
	open_row(EMUL_MODE_16);
	REG(RBX) = 0xffff;
	EXPECT("\x8b\x07", EXC_GP); /* mov ax, [bx] */
	EXPECT("\x36\x8b\x07", EXC_SS);
	assert_int_equal(STEP("\x8a\x07"), EMUL_DONE); /* mov al, [bx] */
	f.segments[SEG_DS].limit = 0xfffff;
	assert_int_equal(STEP("\x8b\x07"), EMUL_EXCEPTION); /* there is no memory */
	assert_int_equal(f.ctx.exception.vector, EXC_PF);
	assert_int_equal(f.events[1].addr, 0xffff);
	f.segments[SEG_DS].base = 0xffff8000;
	REG(RBX) = 0xc123; /* the base and the offset wrap */
	f.ctx.regs.rip = FAKE_CODE;
	assert_int_equal(STEP("\x8b\x07"), EMUL_DONE);
	assert_int_equal(f.events[1].addr, 0x4123);
}

static void long_mode_has_bases_in_fs_and_gs_only(void **state)
{
	open_row(EMUL_MODE_64);
	for (unsigned int s = 0; s < SEG_COUNT; s++)
		f.segments[s] = (struct segment){ .base = 0x1000, .access = SEGMENT_UNUSABLE };
	assert_int_equal(STEP("\x89\x03"), EMUL_DONE);
	assert_int_equal(fake_peek(&f, 0x4000, 4), 0x11112222);
	assert_int_equal(STEP("\x65\x2e\x89\x03"), EMUL_DONE); /* cs: does not undo gs: */
	assert_int_equal(fake_peek(&f, 0x5000, 4), 0x11112222);
	REG(RBX) = 0x800000000000;
	EXPECT("\x89\x03", EXC_GP);
	REG(RBP) = 0x7ffffffffffd; /* the last byte is beyond */
	EXPECT("\x89\x45\x00", EXC_SS);
	f.ctx.cr4 = 1 << 12;
	assert_int_equal(STEP("\x89\x03"), EMUL_EXCEPTION); /* canonical with 57 bits: a page fault */
	assert_int_equal(f.ctx.exception.vector, EXC_PF);
}

static void branches_stay_within_their_segment(void **state)
{
	open_row(EMUL_MODE_32);
	f.segments[SEG_CS].limit = 0x1fff;
	EXPECT("\xe8\x00\x10\x00\x00", EXC_GP); /* call beyond; nothing is pushed */
	assert_int_equal(STEP("\xe8\x00\x01\x00\x00"), EMUL_DONE);
	assert_int_equal(f.ctx.regs.rip, FAKE_CODE + 0x105);
	assert_int_equal(fake_peek(&f, FAKE_STACK - 4, 4), FAKE_CODE + 5);
	assert_int_equal(STEP("\x66\xc3"), EMUL_DONE); /* a 16-bit return */
	assert_int_equal(f.ctx.regs.rip, FAKE_CODE + 5);
	assert_int_equal(REG(RSP), FAKE_STACK - 2);
	f.ctx.cr4 = 1 << 23;
	assert_int_equal(STEP("\xc3"), EMUL_UNKNOWN); /* there may be a shadow stack */
}

static void a_16_bit_stack_in_32_bit_code(void **state)
{
	open_row(EMUL_MODE_32);
	f.segments[SEG_SS].access = 0x93;
	f.segments[SEG_SS].limit = 0xffff;
	REG(RSP) = 0x12340000;
	assert_int_equal(STEP("\x50"), EMUL_DONE); /* wraps to the top; the upper half stays */
	assert_int_equal(REG(RSP), 0x1234fffc);
	assert_int_equal(fake_peek(&f, 0xfffc, 4), 0x11112222);
}

static void string_ports(void **state)
{
	open_row(EMUL_MODE_32);
	f.port_value = 0x40;
	REG(RDI) = FAKE_DATA;
	REG(RCX) = 3;
	REG(RDX) = 0x3f8;
	assert_int_equal(STEP("\xf3\x6c"), EMUL_DONE); /* rep insb */
	assert_int_equal(fake_peek(&f, FAKE_DATA, 3), 0x424140);
	assert_int_equal(fake_count(&f, FAKE_IN), 3);
	f.segments[SEG_FS].base = 1;
	REG(RSI) = FAKE_DATA;
	assert_int_equal(STEP("\x64\x66\x6f"), EMUL_DONE); /* outsw fs:[esi] */
	assert_int_equal(f.port_value, 0x4241);
	assert_int_equal(REG(RSI), FAKE_DATA + 2);
	assert_int_equal(STEP("\xe6\x80"), EMUL_DONE); /* out 80h, al */
	assert_int_equal(f.events[1].addr, 0x80);
	assert_int_equal(f.port_value, 0x22);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(code_of_16_bits),
		cmocka_unit_test(code_of_32_bits),
		cmocka_unit_test(bit_offset_in_a_register_reaches_beyond_the_operand),
		cmocka_unit_test(string_addresses_wrap_at_their_size),
		cmocka_unit_test(limits),
		cmocka_unit_test(expand_down_limits),
		cmocka_unit_test(types),
		cmocka_unit_test(bases_and_overrides),
		cmocka_unit_test(accesses_wrap_at_4_gib),
		cmocka_unit_test(accesses_at_64_kib),
		cmocka_unit_test(long_mode_has_bases_in_fs_and_gs_only),
		cmocka_unit_test(branches_stay_within_their_segment),
		cmocka_unit_test(a_16_bit_stack_in_32_bit_code),
		cmocka_unit_test(string_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
