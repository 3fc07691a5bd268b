// SPDX-License-Identifier: GPL-2.0-only
/*
 * Alignment checks (SDM vol. 3, "Alignment Check Exception (#AC)"): who makes
 * them, for which accesses, and to what. What instructions of user code do is
 * compared with the processor's by test_emulate_native; here is the rest.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>
#include "emulate/segment.h"
#include "tests/host/emulate_fake.h"
#include "tests/host/emulate_machine.h"

#define VECTOR 0x21u

static struct fake f, before;
static struct machine m;

#define REG(r) f.ctx.regs.gpr[GPR_##r]

/* In ring 3, with everything on. */
static void open_user(enum emul_mode mode)
{
	if (mode == EMUL_MODE_64)
		fake_open(&f, mode);
	else
		fake_open_protected(&f, mode);
	f.ctx.cpl = 3;
	f.ctx.cr0 |= X86_CR0_AM;
	f.ctx.regs.rflags |= X86_EFLAGS_AC;
	REG(RBX) = FAKE_DATA;
	REG(RSI) = FAKE_DATA;
	REG(RDI) = FAKE_DATA + 0x100;
	REG(RBP) = FAKE_STACK + 0x100;
}

static bool is_ac(enum emul_status status)
{
	return status == EMUL_EXCEPTION && f.ctx.exception.vector == EXC_AC && f.ctx.exception.has_error_code &&
	       f.ctx.exception.error_code == 0;
}

static enum emul_status step(const char *code, unsigned int len) { return fake_step(&f, code, len); }
#define STEP(bytes) step(bytes, sizeof(bytes) - 1)

/* ---- who checks ------------------------------------------------------------------ */

static void four_conditions(void **state)
{
	open_user(EMUL_MODE_32);
	REG(RBX)++;
	before = f;
	assert_true(is_ac(STEP("\x8b\x03"))); /* mov eax, [ebx] */
	assert_int_equal(fake_count(&f, FAKE_READ), 0);
	assert_memory_equal(&f.ctx.regs, &before.ctx.regs, sizeof(f.ctx.regs));
	for (unsigned int cpl = 0; cpl < 3; cpl++) {
		f = before;
		f.ctx.cpl = (uint8_t)cpl;
		assert_int_equal(STEP("\x8b\x03"), EMUL_DONE);
	}
	f = before;
	f.ctx.cr0 &= ~(uint64_t)X86_CR0_AM;
	assert_int_equal(STEP("\x8b\x03"), EMUL_DONE);
	f = before;
	f.ctx.regs.rflags &= ~(uint64_t)X86_EFLAGS_AC;
	assert_int_equal(STEP("\x8b\x03"), EMUL_DONE);
	f = before;
	REG(RBX)--;
	assert_int_equal(STEP("\x8b\x03"), EMUL_DONE);
}

static void virtual_8086_and_real_mode(void **state)
{
	open_user(EMUL_MODE_16);
	f.ctx.regs.rflags |= X86_EFLAGS_VM | X86_EFLAGS_IOPL;
	for (unsigned int s = SEG_ES; s <= SEG_GS; s++)
		f.segments[s] = segment_v86(0);
	REG(RBX)++;
	assert_true(is_ac(STEP("\x89\x07"))); /* mov [bx], ax */
	assert_int_equal(STEP("\x88\x07"), EMUL_DONE); /* a byte */
	fake_open_real(&f);
	f.ctx.cr0 |= X86_CR0_AM;
	f.ctx.regs.rflags |= X86_EFLAGS_AC;
	REG(RBX) = FAKE_DATA + 1;
	assert_int_equal(STEP("\x89\x07"), EMUL_DONE);
}

/* It is the linear address that counts, not the offset. */
static void bases_count(void **state)
{
	open_user(EMUL_MODE_32);
	f.segments[SEG_DS].base = 2;
	REG(RBX) += 2;
	assert_int_equal(STEP("\x8b\x03"), EMUL_DONE);
	REG(RBX) -= 2;
	assert_true(is_ac(STEP("\x8b\x03")));
	open_user(EMUL_MODE_64);
	f.segments[SEG_FS].base = 4;
	assert_true(is_ac(STEP("\x64\x48\x8b\x03")));
	assert_int_equal(STEP("\x64\x8b\x03"), EMUL_DONE);
}

/* A limit or a canonical address is looked at first. */
static void segment_faults_come_first(void **state)
{
	open_user(EMUL_MODE_32);
	REG(RBX) = 0xfffffffd;
	assert_int_equal(STEP("\x8b\x03"), EMUL_EXCEPTION);
	assert_int_equal(f.ctx.exception.vector, EXC_GP);
	open_user(EMUL_MODE_64);
	REG(RBX) = 0x7ffffffffffd;
	assert_int_equal(STEP("\x8b\x03"), EMUL_EXCEPTION);
	assert_int_equal(f.ctx.exception.vector, EXC_GP);
}

/* ---- which accesses -------------------------------------------------------------- */

struct row {
	const char *text;
	enum emul_mode mode;
	const char *code;
	unsigned int len, align;
};

#define R16(text, code, align) { text, EMUL_MODE_16, code, sizeof(code) - 1, align }
#define R32(text, code, align) { text, EMUL_MODE_32, code, sizeof(code) - 1, align }
#define R64(text, code, align) { text, EMUL_MODE_64, code, sizeof(code) - 1, align }

/* Each is tried at every offset from a multiple of 16, for all that it reaches. */
static const struct row rows[] = {
	R64("mov al, [rbx]", "\x8a\x03", 1), R64("mov ax, [rbx]", "\x66\x8b\x03", 2),
	R64("mov eax, [rbx]", "\x8b\x03", 4), R64("mov rax, [rbx]", "\x48\x8b\x03", 8),
	R64("mov [rbx], rax", "\x48\x89\x03", 8), R64("add [rbx], eax", "\x01\x03", 4),
	R64("lock add [rbx], rax", "\xf0\x48\x01\x03", 8), R64("xchg [rbx], ax", "\x66\x87\x03", 2),
	R64("movzx eax, word [rbx]", "\x0f\xb7\x03", 2), R64("movsxd rax, dword [rbx]", "\x48\x63\x03", 4),
	R64("movsx eax, byte [rbx]", "\x0f\xbe\x03", 1), R64("cmpxchg8b [rbx]", "\x0f\xc7\x0b", 8),
	R64("bt dword [rbx], 3", "\x0f\xba\x23\x03", 4), R64("bt qword [rbx], rax", "\x48\x0f\xa3\x03", 8),
	R64("movbe eax, [rbx]", "\x0f\x38\xf0\x03", 4), R64("setz [rbx]", "\x0f\x94\x03", 1),
	R64("xlat", "\xd7", 1), R64("lodsq", "\x48\xad", 8), R64("stosw", "\x66\xab", 2), R64("scasd", "\xaf", 4),
	R64("movsb", "\xa4", 1), R64("movsd", "\xa5", 4), R64("cmpsq", "\x48\xa7", 8),
	R64("jmp [rbx]", "\xff\x23", 8), R64("cmp qword [rbx], 1", "\x48\x83\x3b\x01", 8),
	R64("mov [rbx], ds", "\x8c\x1b", 2), R64("lea rax, [rbx]", "\x48\x8d\x03", 1),
	R64("movups xmm0, [rbx]", "\x0f\x10\x03", 1), R64("movss xmm0, [rbx]", "\xf3\x0f\x10\x03", 4),
	R64("movsd [rbx], xmm0", "\xf2\x0f\x11\x03", 8), R64("movhps xmm0, [rbx]", "\x0f\x16\x03", 8),
	R64("vmovdqu ymm0, [rbx]", "\xc5\xfe\x6f\x03", 1),
	R32("lds eax, [ebx]", "\xc5\x03", 4), R16("lds ax, [bx]", "\xc5\x07", 2),
	R32("jmp far [ebx]", "\xff\x2b", 4), R16("jmp far [bx]", "\xff\x2f", 2),
	R32("bound eax, [ebx]", "\x62\x03", 4), R16("bound ax, [bx]", "\x62\x07", 2),
	R32("smsw [ebx]", "\x0f\x01\x23", 2), R32("sldt [ebx]", "\x0f\x00\x03", 2), R32("lar eax, [ebx]", "\x0f\x02\x03", 2),
	R32("mov es, [ebx]", "\x8e\x03", 2),
};

/* Of the stack. */
static const struct row stack_rows[] = {
	R64("push rax", "\x50", 8), R64("pop rax", "\x58", 8), R64("push ax", "\x66\x50", 2), R64("pushfq", "\x9c", 8),
	R64("call +0", "\xe8\0\0\0\0", 8), R64("ret", "\xc3", 8),
	R32("pusha", "\x60", 4), R32("popa", "\x61", 4), R16("pusha", "\x60", 2), R32("popf", "\x9d", 4),
	R32("push ds", "\x1e", 4), R32("pop ds", "\x1f", 4), R32("retf", "\xcb", 4), R32("iret", "\xcf", 4),
	R32("enter 4, 0", "\xc8\x04\x00\x00", 4), R16("enter 2, 0", "\xc8\x02\x00\x00", 2),
};

static void try_row(const struct row *r, unsigned int offset, bool stack)
{
	enum emul_status status;

	open_user(r->mode);
	fake_give_vectors(&f);
	if (stack) {
		REG(RSP) += offset;
	} else {
		REG(RBX) += offset;
		REG(RSI) += offset;
		REG(RDI) += offset;
	}
	before = f;
	status = step(r->code, r->len);
	if (is_ac(status) != (offset % r->align != 0))
		fail_msg("%s + %u: status %d, exception %u", r->text, offset, status, f.ctx.exception.vector);
	if (is_ac(status) && (memcmp(&f.ctx.regs, &before.ctx.regs, sizeof(f.ctx.regs)) || fake_count(&f, FAKE_WRITE)))
		fail_msg("%s + %u: not without effect", r->text, offset);
}

static void operands(void **state)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++)
		for (unsigned int offset = 0; offset < 16; offset++)
			try_row(&rows[i], offset, false);
}

static void the_stack(void **state)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(stack_rows); i++)
		for (unsigned int offset = 0; offset < 16; offset++)
			try_row(&stack_rows[i], offset, true);
}

/* A limit of 2 bytes and then a base of 4, which is to be aligned. */
static void sgdt_is_aligned_at_its_base(void **state)
{
	for (unsigned int offset = 0; offset < 8; offset++) {
		open_user(EMUL_MODE_32);
		REG(RBX) += offset;
		assert_int_equal(is_ac(STEP("\x0f\x01\x03")), offset % 4 != 2);
		assert_int_equal(fake_count(&f, FAKE_WRITE), offset % 4 == 2);
	}
}

/* Sixteen bytes that must be aligned are #GP, checks or not. */
static void sixteen_bytes_are_gp(void **state)
{
	static const char *const code[] = { "\x0f\x28\x03", "\x48\x0f\xc7\x0b" }; /* movaps, cmpxchg16b */

	for (unsigned int i = 0; i < ARRAY_SIZE(code); i++) {
		open_user(EMUL_MODE_64);
		fake_give_vectors(&f);
		REG(RBX) += 8;
		assert_int_equal(step(code[i], (unsigned int)strlen(code[i])), EMUL_EXCEPTION);
		assert_int_equal(f.ctx.exception.vector, EXC_GP);
	}
}

/* Iterations before the fault stay done. */
static void in_a_repeated_instruction(void **state)
{
	open_user(EMUL_MODE_32);
	REG(RDI) = FAKE_DATA + 2;
	REG(RCX) = 3;
	REG(RSI) = FAKE_DATA;
	assert_true(is_ac(STEP("\xf3\xa5"))); /* reads, then faults */
	assert_int_equal(REG(RCX), 3);
	assert_int_equal(REG(RSI), FAKE_DATA);
	assert_int_equal(fake_count(&f, FAKE_WRITE), 0);
}

/* ---- the CPU's own accesses ------------------------------------------------------- */

/* Descriptors are read as supervisor, wherever the table is. */
static void tables_are_not_checked(void **state)
{
	struct segment s;

	machine_open(&m, 3);
	m.ctx.cr0 |= X86_CR0_AM;
	m.ctx.regs.rflags |= X86_EFLAGS_AC;
	memmove(m.memory + MACHINE_GDT + 3, m.memory + MACHINE_GDT, MACHINE_GDT_LIMIT + 1);
	m.tables[EMUL_GDT].base = MACHINE_GDT + 3;
	assert_int_equal(segment_fetch(&m.ctx, SEG_DS, SEL_DATA + 27, LOAD_DATA, 3, &s), EMUL_DONE);
	assert_int_equal(s.selector, SEL_DATA + 27);
}

static void open_delivery(unsigned int cpl, uint16_t code, uint8_t type, uint32_t esp)
{
	machine_open(&m, cpl);
	m.ctx.cr0 |= X86_CR0_AM;
	m.ctx.regs.rflags |= X86_EFLAGS_AC;
	m.ctx.regs.gpr[GPR_RSP] = esp;
	machine_vector(&m, VECTOR, machine_gate(type, code, 0x6000));
}

/* Frames for ring 3 are pushed as ring 3; those of an inner ring are not checked. */
static void frames_of_ring_3_are_checked(void **state)
{
	static const struct emul_event event = { .vector = VECTOR };

	for (unsigned int offset = 0; offset < 4; offset++) {
		open_delivery(3, SEL_CODE + 24, 0x8e, MACHINE_STACK + offset);
		if (offset == 0) {
			assert_int_equal(emul_deliver(&m.ctx, &event), EMUL_DONE);
			continue;
		}
		expect_fault(&m, emul_deliver(&m.ctx, &event), EXC_AC, 0);
		assert_int_equal(m.ctx.regs.gpr[GPR_RSP], MACHINE_STACK + offset);
		assert_int_equal(machine_count(&m, MACHINE_WRITE), 1); /* an accessed bit */
	}
	open_delivery(3, SEL_CODE + 24, 0x86, MACHINE_STACK + 2); /* words */
	assert_int_equal(emul_deliver(&m.ctx, &event), EMUL_DONE);
	open_delivery(0, SEL_CODE, 0x8e, MACHINE_STACK + 1);
	assert_int_equal(emul_deliver(&m.ctx, &event), EMUL_DONE);
	open_delivery(3, SEL_CODE, 0x8e, MACHINE_STACK + 1);
	machine_poke(&m, MACHINE_TSS + 4, 4, MACHINE_INNER + 1);
	assert_int_equal(emul_deliver(&m.ctx, &event), EMUL_DONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(four_conditions),
		cmocka_unit_test(virtual_8086_and_real_mode),
		cmocka_unit_test(bases_count),
		cmocka_unit_test(segment_faults_come_first),
		cmocka_unit_test(operands),
		cmocka_unit_test(the_stack),
		cmocka_unit_test(sgdt_is_aligned_at_its_base),
		cmocka_unit_test(sixteen_bytes_are_gp),
		cmocka_unit_test(in_a_repeated_instruction),
		cmocka_unit_test(tables_are_not_checked),
		cmocka_unit_test(frames_of_ring_3_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
