// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events outside long mode: frames, flags and stacks of every kind of gate,
 * the order and the error codes of the checks, and no change when one fails.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>
#include "tests/host/emulate_machine.h"

#define VECTOR 0x21u
#define IDT_CODE (VECTOR * 8 + 2)
#define EXT 1u
#define HANDLER 0x00123450u /* beyond 64 KiB: nobody runs it */

#define G_INTERRUPT32 0x8eu
#define G_TRAP32 0x8fu
#define G_INTERRUPT16 0x86u
#define G_TRAP16 0x87u
#define G_TASK 0x85u

#define FLAGS (X86_EFLAGS_CF | X86_EFLAGS_TF | X86_EFLAGS_IF | X86_EFLAGS_NT | X86_EFLAGS_RF | X86_EFLAGS_AC)

static struct machine m, before;

#define REG(r) m.ctx.regs.gpr[GPR_##r]

static enum emul_status deliver(const struct emul_event *e)
{
	m.access_count = 0;
	return emul_deliver(&m.ctx, e);
}

static const struct emul_event external = { .vector = VECTOR };
static const struct emul_event by_program = { .vector = VECTOR, .software = true };
static const struct emul_event int_n = { .vector = VECTOR, .software = true, .int_n = true };
static const struct emul_event with_code = { .vector = VECTOR, .has_error_code = true, .error_code = 0xabcd1234 };

/* A machine in ring @cpl, and the vector leads to @selector. */
static void open_gate(unsigned int cpl, uint8_t type, uint16_t selector)
{
	machine_open(&m, cpl);
	m.ctx.regs.rflags |= FLAGS;
	machine_vector(&m, VECTOR, machine_gate(type, selector, HANDLER));
}

static void open_gate_v86(uint8_t type, uint16_t selector)
{
	machine_v86(&m);
	m.ctx.regs.rflags |= FLAGS | X86_EFLAGS_IOPL;
	machine_vector(&m, VECTOR, machine_gate(type, selector, HANDLER));
}

/* A delivery of @e fails so, and nothing is changed by it. */
static void expect_unchanged(const struct emul_event *e, unsigned int vector, uint32_t code, int line)
{
	enum emul_status status;

	m.ctx.task_switched = true; /* by one before */
	before = m;
	status = deliver(e);
	expect_fault_at(&m, status, vector, code, __FILE__, line);
	if (!machine_same(&m, &before) || m.ctx.task_switched)
		fail_msg("line %d: something has changed", line);
}
#define EXPECT(e, vector, code) expect_unchanged(&(e), vector, code, __LINE__)

/* @count words of @size bytes are at the stack's top, the lowest first. */
static void expect_frame(uint32_t top, unsigned int size, const uint32_t *words, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		if (machine_peek(&m, top + i * size, size) != words[i])
			fail_msg("word %u of the frame is %#x, want %#x", i, machine_peek(&m, top + i * size, size),
				 words[i]);
}

static void expect_flags(uint64_t cleared)
{
	assert_int_equal(m.ctx.regs.rflags, before.ctx.regs.rflags & ~cleared);
}

#define INTERRUPT_CLEARS (X86_EFLAGS_TF | X86_EFLAGS_NT | X86_EFLAGS_RF | X86_EFLAGS_VM | X86_EFLAGS_IF)
#define TRAP_CLEARS (INTERRUPT_CLEARS & ~X86_EFLAGS_IF)

/* ---- real mode ------------------------------------------------------------------- */

static void open_real(void)
{
	machine_real(&m);
	m.ctx.regs.rflags |= FLAGS;
	machine_poke(&m, VECTOR * 4, 4, 0xa000b123);
}

static void real_mode_vectors(void **state)
{
	const uint32_t frame[] = { 0x1000, 0x600, (FLAGS & 0xffff) | 2, 0 };

	open_real();
	before = m;
	assert_int_equal(deliver(&with_code), EMUL_DONE); /* the code is not pushed */
	assert_int_equal(REG(RSP), 0xffa);
	expect_frame(MACHINE_STACK - 6, 2, frame, 4);
	assert_int_equal(m.ctx.regs.rip, 0xb123);
	expect_flags(X86_EFLAGS_IF | X86_EFLAGS_TF | X86_EFLAGS_AC | X86_EFLAGS_RF);
	assert_int_equal(m.segments[SEG_CS].selector, 0xa000);
	assert_int_equal(m.segments[SEG_CS].base, 0xa0000);
	assert_int_equal(m.segments[SEG_CS].access, 0x9b);
	assert_int_equal(machine_count(&m, MACHINE_WRITE), 1);
	assert_int_equal(m.ctx.mode, EMUL_MODE_16);
}

static void real_mode_vectors_are_where_idtr_says(void **state)
{
	open_real();
	m.tables[EMUL_IDT] = (struct descriptor_table){ 0x5000, VECTOR * 4 + 3 };
	machine_poke(&m, 0x5000 + VECTOR * 4, 4, 0x00501234);
	assert_int_equal(deliver(&external), EMUL_DONE);
	assert_int_equal(m.ctx.regs.rip, 0x1234);
	assert_int_equal(m.segments[SEG_CS].base, 0x500);
	open_real();
	m.tables[EMUL_IDT].limit = VECTOR * 4 + 2;
	EXPECT(external, EXC_GP, IDT_CODE + EXT);
	EXPECT(by_program, EXC_GP, IDT_CODE);
}

static void real_mode_stacks_wrap_between_words(void **state)
{
	open_real();
	m.segments[SEG_SS].base = 0;
	REG(RSP) = 0xabcd0002;
	assert_int_equal(deliver(&external), EMUL_DONE);
	assert_int_equal(REG(RSP), 0xabcdfffc);
	expect_frame(0, 2, (uint32_t[]){ (FLAGS & 0xffff) | 2 }, 1);
	expect_frame(0xfffc, 2, (uint32_t[]){ 0x1000, 0x600 }, 2);
	for (unsigned int sp = 1; sp <= 5; sp += 2) {
		open_real();
		REG(RSP) = sp;
		EXPECT(external, EXC_SS, EXT);
		EXPECT(by_program, EXC_SS, 0);
	}
}

static void real_mode_with_a_big_stack(void **state)
{
	open_real();
	m.segments[SEG_SS] = (struct segment){ .access = 0xc093, .limit = ~0u };
	REG(RSP) = 0x8000;
	assert_int_equal(deliver(&external), EMUL_DONE);
	assert_int_equal(REG(RSP), 0x7ffa);
	expect_frame(0x7ffa, 2, (uint32_t[]){ 0x1000, 0x600 }, 2);
}

/* ---- gates of protected mode ------------------------------------------------------ */

static void same_ring(void **state)
{
	static const uint8_t types[] = { G_INTERRUPT32, G_TRAP32, G_INTERRUPT16, G_TRAP16 };

	for (unsigned int i = 0; i < ARRAY_SIZE(types); i++) {
		bool is_32 = types[i] & 8, is_trap = types[i] & 1;
		unsigned int size = is_32 ? 4 : 2;
		uint32_t mask = is_32 ? ~0u : 0xffff;

		open_gate(0, types[i], SEL_CODE);
		before = m;
		assert_int_equal(deliver(&external), EMUL_DONE);
		assert_int_equal(REG(RSP), MACHINE_STACK - 3 * size);
		expect_frame(MACHINE_STACK - 3 * size, size,
			     (uint32_t[]){ 0x7000, SEL_CODE, (FLAGS | 2) & mask }, 3);
		assert_int_equal(m.ctx.regs.rip, HANDLER & mask);
		expect_flags(is_trap ? TRAP_CLEARS : INTERRUPT_CLEARS);
		assert_int_equal(machine_type(&m, SEL_CODE), A_CODE | 1);
		assert_true(segment_same(&m.segments[SEG_SS], &before.segments[SEG_SS]));

		open_gate(0, types[i], SEL_CODE);
		assert_int_equal(deliver(&with_code), EMUL_DONE);
		expect_frame(MACHINE_STACK - 4 * size, size, (uint32_t[]){ 0xabcd1234 & mask, 0x7000 }, 2);
	}
}

static void the_handlers_code_sets_mode_and_rpl(void **state)
{
	open_gate(0, G_INTERRUPT32, SEL_FREE + 3); /* the RPL in the gate is not used */
	machine_put(&m, SEL_FREE, machine_descriptor(0x5000, 0xffffff, A_CODE | A_G));
	assert_int_equal(deliver(&external), EMUL_DONE);
	assert_int_equal(m.ctx.mode, EMUL_MODE_16);
	assert_int_equal(m.segments[SEG_CS].selector, SEL_FREE);
	assert_int_equal(m.segments[SEG_CS].base, 0x5000);
	assert_int_equal(m.segments[SEG_CS].access, 0x809b);
}

static void inner_ring(void **state)
{
	for (unsigned int ring = 0; ring < 3; ring++) {
		uint32_t top = MACHINE_INNER + 0x100 * ring - 24;
		const uint32_t frame[] = { 0xabcd1234,	 0x7000,	SEL_CODE + 27, FLAGS | 2,
					   MACHINE_STACK, SEL_DATA + 27 };

		open_gate(3, G_INTERRUPT32, (uint16_t)(SEL_CODE + 8 * ring));
		before = m;
		assert_int_equal(deliver(&with_code), EMUL_DONE);
		assert_int_equal(REG(RSP), top);
		expect_frame(top, 4, frame, 6);
		assert_int_equal(m.ctx.cpl, ring);
		assert_int_equal(m.segments[SEG_CS].selector, SEL_CODE + 9 * ring);
		assert_int_equal(m.segments[SEG_SS].selector, SEL_DATA + 9 * ring);
		assert_int_equal(m.segments[SEG_SS].access, 0xc093 | A_DPL(ring));
		assert_int_equal(machine_type(&m, (uint16_t)(SEL_DATA + 8 * ring)), A_DATA | 1 | A_DPL(ring));
		assert_int_equal(m.segments[SEG_DS].selector, SEL_DATA + 27);
		expect_flags(INTERRUPT_CLEARS);
	}
}

static void inner_ring_with_16_bit_gate_and_tss(void **state)
{
	const uint32_t frame[] = { 0x7000, SEL_CODE + 27, (FLAGS | 2) & 0xffff, MACHINE_STACK, SEL_DATA + 27 };

	open_gate(3, G_TRAP16, SEL_CODE);
	m.segments[SEG_TR].access = A_TSS16 | A_BUSY;
	m.segments[SEG_TR].limit = 43;
	machine_poke(&m, MACHINE_TSS + 2, 4, (uint32_t)SEL_FREE << 16 | 0x9800);
	machine_put(&m, SEL_FREE, machine_descriptor(0, 0xffff, A_DATA)); /* a stack of 16 bits */
	REG(RSP) = 0x55550000 | MACHINE_STACK;
	assert_int_equal(deliver(&external), EMUL_DONE);
	assert_int_equal(REG(RSP), 0x55559800 - 10);
	expect_frame(0x9800 - 10, 2, frame, 5);
}

/* The stack is one of 16 bits: SP comes from the TSS and the upper half of ESP stays. */
static void a_16_bit_inner_stack_has_sp(void **state)
{
	open_gate(3, G_INTERRUPT32, SEL_CODE);
	REG(RSP) = 0x55550000 | MACHINE_STACK;
	machine_poke(&m, MACHINE_TSS + 4, 4, 0x12349800);
	machine_poke(&m, MACHINE_TSS + 8, 2, SEL_FREE);
	machine_put(&m, SEL_FREE, machine_descriptor(0, 0xffff, A_DATA));
	assert_int_equal(deliver(&external), EMUL_DONE);
	assert_int_equal(REG(RSP), 0x55559800 - 20);
	expect_frame(0x9800 - 20, 4, (uint32_t[]){ 0x7000, SEL_CODE + 27 }, 2);
	expect_frame(0x9800 - 8, 4, (uint32_t[]){ 0x55550000 | MACHINE_STACK }, 1);
}

static void conforming_handlers_stay_in_their_ring(void **state)
{
	open_gate(3, G_INTERRUPT32, SEL_CONFORMING);
	assert_int_equal(deliver(&external), EMUL_DONE);
	assert_int_equal(m.ctx.cpl, 3);
	assert_int_equal(m.segments[SEG_CS].selector, SEL_CONFORMING + 3);
	assert_int_equal(REG(RSP), MACHINE_STACK - 12);
	assert_true(m.accesses[m.access_count - 1].user); /* the push */
}

static void handlers_of_the_same_outer_ring(void **state)
{
	open_gate(3, G_INTERRUPT32, SEL_CODE + 24);
	memset(m.bad + MACHINE_STACK - 0x1000, BAD_USER, 0x1000);
	EXPECT(external, EXC_PF, PFERR_WRITE | PFERR_USER);
	memset(m.bad, 0, sizeof(m.bad));
	assert_int_equal(deliver(&external), EMUL_DONE);
	assert_int_equal(m.segments[SEG_CS].selector, SEL_CODE + 27);
}

static void from_virtual_8086_mode(void **state)
{
	const uint32_t frame[] = { 0xabcd1234, 0x1000, 0x600, FLAGS | X86_EFLAGS_IOPL | X86_EFLAGS_VM | 2,
				   0x1000, 0x700, 0x111, 0x444, 0x555, 0x666 };

	open_gate_v86(G_INTERRUPT32, SEL_CODE);
	before = m;
	assert_int_equal(deliver(&with_code), EMUL_DONE);
	assert_int_equal(REG(RSP), MACHINE_INNER - 40);
	expect_frame(MACHINE_INNER - 40, 4, frame, 10);
	expect_flags(INTERRUPT_CLEARS);
	assert_int_equal(m.ctx.cpl, 0);
	assert_int_equal(m.ctx.mode, EMUL_MODE_32);
	assert_int_equal(m.segments[SEG_CS].selector, SEL_CODE);
	for (unsigned int s = 0; s <= SEG_GS; s++)
		if (s != SEG_CS && s != SEG_SS) {
			assert_int_equal(m.segments[s].selector, 0);
			assert_int_equal(m.segments[s].access, SEGMENT_UNUSABLE);
		}
}

static void from_virtual_8086_mode_through_a_16_bit_gate(void **state)
{
	open_gate_v86(G_TRAP16, SEL_CODE);
	assert_int_equal(deliver(&external), EMUL_DONE);
	assert_int_equal(REG(RSP), MACHINE_INNER - 18);
	expect_frame(MACHINE_INNER - 18, 2, (uint32_t[]){ 0x1000, 0x600 }, 2);
	expect_frame(MACHINE_INNER - 4, 2, (uint32_t[]){ 0x555, 0x666 }, 2);
}

static void virtual_8086_mode_is_left_to_ring_0_only(void **state)
{
	open_gate_v86(G_INTERRUPT32, SEL_CODE + 8 + 3);
	EXPECT(external, EXC_GP, (SEL_CODE + 8) | EXT);
	open_gate_v86(G_INTERRUPT32, SEL_CODE + 24);
	EXPECT(external, EXC_GP, (SEL_CODE + 24) | EXT);
	open_gate_v86(G_INTERRUPT32, SEL_CONFORMING);
	EXPECT(by_program, EXC_GP, IDT_CODE); /* the gate's DPL is for programs */
	EXPECT(external, EXC_GP, SEL_CONFORMING | EXT);
}

/* ---- INT n with CR4.VME ------------------------------------------------------------ */

#define IO_MAP 0x88u
#define REDIRECTION (MACHINE_TSS + IO_MAP - 32 + VECTOR / 8)

/* The bit of the vector is @bit, all others are not. The program's own handler is at 50h:1234h. */
static void open_vme(unsigned int iopl, bool bit)
{
	open_gate_v86(G_INTERRUPT32 | 0x60, SEL_CODE);
	m.ctx.cr4 = X86_CR4_VME;
	m.ctx.regs.rflags = (m.ctx.regs.rflags & ~(uint64_t)X86_EFLAGS_IOPL) | iopl << X86_EFLAGS_IOPL_BIT;
	m.segments[SEG_TR].limit = IO_MAP;
	machine_poke(&m, MACHINE_TSS + 102, 2, IO_MAP);
	memset(m.memory + MACHINE_TSS + IO_MAP - 32, bit ? 0 : 0xff, 32);
	m.memory[REDIRECTION] ^= 1 << VECTOR % 8;
	machine_poke(&m, VECTOR * 4, 4, 0x00501234);
}

static void expect_redirected(uint32_t flags_pushed, uint64_t cleared)
{
	before = m;
	assert_int_equal(deliver(&int_n), EMUL_DONE);
	assert_int_equal(REG(RSP), 0x1000 - 6);
	expect_frame(MACHINE_STACK - 6, 2, (uint32_t[]){ 0x1000, 0x600, flags_pushed & 0xffff }, 3);
	assert_int_equal(m.ctx.regs.rip, 0x1234);
	assert_true(segment_same(&m.segments[SEG_CS], &(struct segment){ 0x50, 0xf3, 0xffff, 0x500 }));
	assert_true(segment_same(&m.segments[SEG_DS], &before.segments[SEG_DS]));
	assert_int_equal(m.ctx.cpl, 3);
	assert_int_equal(m.ctx.mode, EMUL_MODE_16);
	expect_flags(cleared | X86_EFLAGS_RF);
	assert_true(m.accesses[m.access_count - 1].user); /* the push */
	assert_false(m.accesses[m.access_count - 2].user); /* the vector */
}

static void vme_redirects_to_the_program(void **state)
{
	open_vme(3, false);
	expect_redirected(FLAGS | X86_EFLAGS_IOPL | 2, X86_EFLAGS_TF | X86_EFLAGS_IF);
	/* Below IOPL 3 VIF is the program's IF, and it sees an IOPL of 3. */
	open_vme(0, false);
	m.ctx.regs.rflags |= X86_EFLAGS_VIF;
	expect_redirected(FLAGS | X86_EFLAGS_IOPL | 2, X86_EFLAGS_TF | X86_EFLAGS_VIF);
	open_vme(2, false);
	expect_redirected((FLAGS & ~X86_EFLAGS_IF) | X86_EFLAGS_IOPL | 2, X86_EFLAGS_TF);
	assert_true(m.ctx.regs.rflags & X86_EFLAGS_IF);
}

static void vme_leaves_the_others_to_the_gate(void **state)
{
	open_vme(3, true);
	assert_int_equal(deliver(&int_n), EMUL_DONE);
	assert_int_equal(m.ctx.cpl, 0);
	assert_int_equal(m.ctx.regs.rip, HANDLER);
	for (unsigned int iopl = 0; iopl < 3; iopl++) {
		open_vme(iopl, true);
		EXPECT(int_n, EXC_GP, 0);
	}
	/* What is not INT n has no bit, and without VME there are none. */
	open_vme(0, false);
	assert_int_equal(deliver(&external), EMUL_DONE);
	assert_int_equal(m.ctx.cpl, 0);
	open_vme(3, false);
	assert_int_equal(deliver(&by_program), EMUL_DONE);
	assert_int_equal(m.ctx.cpl, 0);
	open_vme(3, false);
	m.ctx.cr4 = 0;
	assert_int_equal(deliver(&int_n), EMUL_DONE);
	assert_int_equal(m.ctx.cpl, 0);
	open_gate(3, G_INTERRUPT32 | 0x60, SEL_CODE); /* nor outside virtual-8086 mode */
	m.ctx.cr4 = X86_CR4_VME;
	assert_int_equal(deliver(&int_n), EMUL_DONE);
	assert_int_equal(m.ctx.cpl, 0);
}

static void the_redirection_bitmap_is_in_the_tss(void **state)
{
	open_vme(3, false);
	m.segments[SEG_TR].limit = 102; /* where the bitmap is, is not there */
	machine_poke(&m, MACHINE_TSS + 102, 2, 64);
	m.memory[MACHINE_TSS + 32 + VECTOR / 8] = 0;
	EXPECT(int_n, EXC_GP, 0);
	m.segments[SEG_TR].limit = 103;
	machine_poke(&m, MACHINE_TSS + 102, 2, 103 + 32 - VECTOR / 8 + 1); /* its byte is at 104 */
	EXPECT(int_n, EXC_GP, 0);
	machine_poke(&m, MACHINE_TSS + 102, 2, 103 + 32 - VECTOR / 8);
	m.memory[MACHINE_TSS + 103] = 0;
	assert_int_equal(deliver(&int_n), EMUL_DONE);
	assert_int_equal(m.ctx.regs.rip, 0x1234);
	open_vme(3, false);
	machine_poke(&m, MACHINE_TSS + 102, 2, 31 - VECTOR / 8); /* below the TSS */
	EXPECT(int_n, EXC_GP, 0);
}

static void redirection_may_fault(void **state)
{
	static struct machine clean, good;

	open_vme(3, false);
	clean = m;
	assert_int_equal(deliver(&int_n), EMUL_DONE);
	good = m;
	assert_int_equal(good.access_count, 4); /* where the bitmap is, its byte, the vector, the frame */
	for (unsigned int i = 0; i < good.access_count; i++) {
		m = clean;
		machine_spoil(&m, &good.accesses[i]);
		before = m;
		assert_int_equal(deliver(&int_n), EMUL_EXCEPTION);
		assert_int_equal(m.ctx.exception.vector, EXC_PF);
		assert_true(machine_same(&m, &before));
	}
	m = clean;
	REG(RSP) = 5; /* no room for the third word */
	EXPECT(int_n, EXC_SS, 0);
}

static void an_instruction_pushes_no_resume_flag(void **state)
{
	open_gate(0, G_INTERRUPT32, SEL_CODE);
	assert_int_equal(deliver(&by_program), EMUL_DONE);
	expect_frame(MACHINE_STACK - 4, 4, (uint32_t[]){ (FLAGS | 2) & ~X86_EFLAGS_RF }, 1);
}

/* ---- checks ----------------------------------------------------------------------- */

static void gates_are_checked(void **state)
{
	for (unsigned int type = 0; type < 32; type++) {
		bool good = type == 5 || type == 6 || type == 7 || type == 14 || type == 15;

		open_gate(0, (uint8_t)(type | 0x80), 0);
		if (good)
			EXPECT(external, EXC_GP, EXT); /* the null selector in it */
		else
			EXPECT(external, EXC_GP, IDT_CODE | EXT);
		open_gate(0, (uint8_t)type, 0);
		EXPECT(external, good ? EXC_NP : EXC_GP, IDT_CODE | EXT);
	}
	open_gate(0, G_INTERRUPT32, SEL_CODE);
	m.tables[EMUL_IDT].limit = VECTOR * 8 + 6;
	EXPECT(external, EXC_GP, IDT_CODE | EXT);
	EXPECT(by_program, EXC_GP, IDT_CODE);
	m.tables[EMUL_IDT].limit++;
	assert_int_equal(deliver(&external), EMUL_DONE);
}

static void a_gates_dpl_is_for_programs(void **state)
{
	for (unsigned int dpl = 0; dpl < 4; dpl++) {
		for (unsigned int cpl = 0; cpl < 4; cpl++) {
			open_gate(cpl, (uint8_t)(G_INTERRUPT32 | dpl << 5), SEL_CODE);
			if (cpl > dpl)
				EXPECT(by_program, EXC_GP, IDT_CODE);
			assert_int_equal(deliver(&external), EMUL_DONE);
			open_gate(cpl, (uint8_t)((G_INTERRUPT32 & 0x7f) | dpl << 5), SEL_CODE);
			EXPECT(by_program, cpl > dpl ? EXC_GP : EXC_NP, IDT_CODE);
		}
	}
}

static void the_handlers_code_is_checked(void **state)
{
	static const struct {
		uint16_t selector;
		uint32_t access;
		unsigned int cpl, vector;
	} rows[] = {
		{ SEL_FREE, A_DATA, 0, EXC_GP }, { SEL_FREE, A_LDT, 0, EXC_GP },
		{ SEL_FREE, A_CODE | A_DPL(1), 0, EXC_GP }, { SEL_FREE, A_CONFORMING | A_DPL(3), 2, EXC_GP },
		{ SEL_FREE, A_CODE & 0x7f, 3, EXC_NP }, { SEL_FREE, (A_CODE & 0x7f) | A_DPL(1), 0, EXC_GP },
		{ 0xfff0, A_CODE, 0, EXC_GP }, { 0x17 /* LDT */, A_CODE & 0x7f, 1, EXC_GP },
		{ 0x3, A_CODE, 0, EXC_GP },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		uint16_t code = rows[i].selector & 0xfffc;

		open_gate(rows[i].cpl, G_INTERRUPT32, rows[i].selector);
		machine_put(&m, SEL_FREE, machine_descriptor(0, 0xffffff, rows[i].access | A_G));
		EXPECT(external, rows[i].vector, code | EXT);
		open_gate(rows[i].cpl, G_INTERRUPT32 | 0x60, rows[i].selector);
		machine_put(&m, SEL_FREE, machine_descriptor(0, 0xffffff, rows[i].access | A_G));
		EXPECT(by_program, rows[i].vector, code);
	}
}

static void the_inner_stack_is_checked(void **state)
{
	static const struct {
		uint16_t selector;
		uint32_t access;
		unsigned int vector;
	} rows[] = {
		{ SEL_FREE, A_DATA & ~2u, EXC_TS }, { SEL_FREE, A_CODE, EXC_TS }, { SEL_FREE, A_TSS32, EXC_TS },
		{ SEL_FREE + 1, A_DATA, EXC_TS }, { SEL_FREE, A_DATA | A_DPL(3), EXC_TS },
		{ SEL_FREE, A_DATA & 0x7f, EXC_SS }, { 0, 0, EXC_TS }, { 0xfff0, 0, EXC_TS },
		{ 0xfff4, 0, EXC_TS },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		open_gate(3, G_INTERRUPT32, SEL_CODE);
		machine_put(&m, SEL_FREE, machine_descriptor(0, 0xffffff, rows[i].access | A_G));
		machine_poke(&m, MACHINE_TSS + 8, 2, rows[i].selector);
		EXPECT(external, rows[i].vector, (rows[i].selector & 0xfffc) | EXT);
	}
	open_gate(3, G_INTERRUPT32 | 0x60, SEL_CODE);
	m.segments[SEG_TR].limit = 8;
	EXPECT(by_program, EXC_TS, SEL_TSS);
}

/* Exactly the frame's room, and one byte less; a bad EIP comes after that. */
static void stacks_have_room_or_not(void **state)
{
	static const struct {
		unsigned int cpl;
		uint8_t type;
		bool code;
		unsigned int bytes;
	} rows[] = {
		{ 0, G_INTERRUPT32, false, 12 }, { 0, G_INTERRUPT32, true, 16 }, { 0, G_TRAP16, false, 6 },
		{ 0, G_TRAP16, true, 8 }, { 3, G_INTERRUPT32, false, 20 }, { 3, G_INTERRUPT32, true, 24 },
		{ 3, G_INTERRUPT16, false, 10 }, { 3, G_INTERRUPT16, true, 12 }, { 4, G_INTERRUPT32, false, 36 },
		{ 4, G_INTERRUPT32, true, 40 }, { 4, G_INTERRUPT16, true, 20 },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct emul_event *e = rows[i].code ? &with_code : &external;
		bool inner = rows[i].cpl != 0;

		for (unsigned int missing = 0; missing < 2; missing++) {
			if (rows[i].cpl == 4)
				open_gate_v86(rows[i].type, SEL_CODE);
			else
				open_gate(rows[i].cpl, rows[i].type, SEL_CODE);
			/* a stack that expands down to just below what is asked for */
			machine_put(&m, SEL_FREE, machine_descriptor(0, 0x8800 - rows[i].bytes - 1 + missing,
								     (A_DATA + 4) | A_DB));
			machine_poke(&m, MACHINE_TSS + 4, 4, 0x8800);
			machine_poke(&m, MACHINE_TSS + 8, 2, SEL_FREE);
			if (!inner) {
				machine_set_segment(&m, SEG_SS, SEL_FREE);
				REG(RSP) = 0x8800;
			}
			if (!missing) {
				assert_int_equal(deliver(e), EMUL_DONE);
				continue;
			}
			expect_unchanged(e, EXC_SS, (inner ? SEL_FREE : 0) | EXT, (int)i);
			machine_put(&m, SEL_CODE, machine_descriptor(0, 0x344f, A_CODE | A_DB));
			expect_unchanged(e, EXC_SS, (inner ? SEL_FREE : 0) | EXT, (int)i);
		}
	}
}

/* Neither the RPL nor, for an instruction, EXT is in the error code. */
static void error_codes_without_room(void **state)
{
	open_gate(3, G_INTERRUPT32 | 0x60, SEL_CODE + 8);
	machine_put(&m, SEL_FREE, machine_descriptor(0, 0xff, A_DATA | A_DPL(1) | A_DB));
	machine_poke(&m, MACHINE_TSS + 16, 2, SEL_FREE + 1);
	EXPECT(external, EXC_SS, SEL_FREE | EXT);
	EXPECT(by_program, EXC_SS, SEL_FREE);
	open_gate(0, G_INTERRUPT32, SEL_CODE);
	m.segments[SEG_SS].limit = MACHINE_STACK - 2;
	EXPECT(by_program, EXC_SS, 0);
}

static void the_handler_is_within_its_code(void **state)
{
	open_gate(3, G_INTERRUPT32, SEL_FREE);
	machine_put(&m, SEL_FREE, machine_descriptor(0, HANDLER & 0xfffff, A_CODE | A_DB));
	EXPECT(external, EXC_GP, EXT);
	machine_vector(&m, VECTOR, machine_gate(G_TRAP32 | 0x60, SEL_FREE, (HANDLER & 0xfffff) + 1));
	EXPECT(external, EXC_GP, EXT);
	EXPECT(by_program, EXC_GP, 0);
	machine_vector(&m, VECTOR, machine_gate(G_TRAP32, SEL_FREE, HANDLER & 0xfffff));
	assert_int_equal(deliver(&external), EMUL_DONE);
}

/* ---- task gates: what a switch does is in test_emulate_task ------------------------ */

static void a_task_gate_switches(void **state)
{
	open_gate(3, G_TASK, SEL_NEW_TSS);
	machine_poke(&m, MACHINE_NEW_TSS + 32, 4, 0x6000);
	machine_poke(&m, MACHINE_NEW_TSS + 56, 4, 0x9f00); /* ESP */
	machine_poke(&m, MACHINE_NEW_TSS + 76, 2, SEL_CODE);
	machine_poke(&m, MACHINE_NEW_TSS + 80, 2, SEL_DATA);
	assert_int_equal(deliver(&with_code), EMUL_DONE);
	assert_true(m.ctx.task_switched);
	assert_int_equal(m.ctx.regs.rip, 0x6000);
	assert_int_equal(m.ctx.regs.rflags, X86_EFLAGS_NT | X86_EFLAGS_FIXED);
	assert_int_equal(machine_peek(&m, 0x9efc, 4), 0xabcd1234);
	assert_int_equal(machine_peek(&m, MACHINE_TSS + 36, 4), FLAGS | 2); /* RF as it was */
	open_gate(3, G_TASK | 0x60, SEL_NEW_TSS);
	machine_poke(&m, MACHINE_NEW_TSS + 76, 2, SEL_CODE);
	machine_poke(&m, MACHINE_NEW_TSS + 80, 2, SEL_DATA);
	assert_int_equal(deliver(&by_program), EMUL_DONE);
	assert_int_equal(machine_peek(&m, MACHINE_TSS + 36, 4), (FLAGS | 2) & ~X86_EFLAGS_RF);
}

static void a_bad_task_gate_says_so(void **state)
{
	open_gate(3, G_TASK, SEL_TSS); /* busy */
	EXPECT(external, EXC_GP, SEL_TSS | EXT);
	EXPECT(by_program, EXC_GP, IDT_CODE);
	open_gate(3, G_TASK | 0x60, SEL_TSS + 3);
	EXPECT(by_program, EXC_GP, SEL_TSS);
	open_gate(3, G_TASK & 0x7f, SEL_NEW_TSS);
	EXPECT(external, EXC_NP, IDT_CODE | EXT);
	/* After the switch it is the new task that is at fault. */
	open_gate(3, G_TASK, SEL_NEW_TSS);
	expect_fault(&m, deliver(&external), EXC_TS, EXT);
	assert_true(m.ctx.task_switched);
	assert_int_equal(m.ctx.regs.rflags, X86_EFLAGS_NT | X86_EFLAGS_FIXED);
}

/* ---- every access fails once --------------------------------------------------------- */

static void every_access_may_fault(void **state)
{
	static struct machine clean, good;
	unsigned int cases = 0;

	for (unsigned int kind = 0; kind < 6; kind++) {
		if (kind == 0)
			open_real();
		else if (kind == 1)
			open_gate_v86(G_INTERRUPT32, SEL_CODE);
		else if (kind == 5)
			open_gate(0, G_INTERRUPT32, SEL_CODE);
		else
			open_gate(3, kind == 2 ? G_TRAP16 : G_INTERRUPT32, kind == 4 ? SEL_CONFORMING : SEL_CODE);
		if (kind == 5) { /* a stack in two parts */
			machine_put(&m, SEL_FREE, machine_descriptor(0, 0xffff, A_DATA));
			machine_set_segment(&m, SEG_SS, SEL_FREE);
			REG(RSP) = 8;
		}
		clean = m;
		assert_int_equal(deliver(&with_code), EMUL_DONE);
		good = m;
		for (unsigned int i = 0; i < good.access_count; i++, cases++) {
			bool write = good.accesses[i].kind != MACHINE_READ;

			m = clean;
			machine_spoil(&m, &good.accesses[i]);
			before = m;
			assert_int_equal(deliver(&with_code), EMUL_EXCEPTION);
			assert_int_equal(m.ctx.exception.vector, EXC_PF);
			assert_int_equal(!!(m.ctx.exception.error_code & PFERR_WRITE), write);
			assert_in_range(m.ctx.exception.cr2.v, good.accesses[i].addr,
					good.accesses[i].addr + good.accesses[i].len - 1);
			assert_true(machine_same(&m, &before));
		}
	}
	print_message("%u faults\n", cases);
	assert_true(cases >= 20);
}

/* A processor pushes from the top: the first word that cannot be written is in CR2. */
static void the_first_push_that_faults_is_told(void **state)
{
	open_gate(3, G_INTERRUPT32, SEL_CODE);
	memset(m.bad + MACHINE_INNER - 24, BAD_WRITE, 24);
	expect_fault(&m, deliver(&with_code), EXC_PF, PFERR_WRITE);
	assert_int_equal(m.ctx.exception.cr2.v, MACHINE_INNER - 4);
	memset(m.bad + MACHINE_INNER - 8, 0, 8);
	expect_fault(&m, deliver(&with_code), EXC_PF, PFERR_WRITE);
	assert_int_equal(m.ctx.exception.cr2.v, MACHINE_INNER - 12);
}

static void every_access_may_be_the_last(void **state)
{
	unsigned int count;

	open_gate(3, G_INTERRUPT32, SEL_CODE);
	before = m;
	assert_int_equal(deliver(&with_code), EMUL_DONE);
	count = m.access_count;
	for (unsigned int i = 0; i < count; i++) {
		m = before;
		m.odd_status = EMUL_STOP;
		m.odd_access = i;
		assert_int_equal(deliver(&with_code), EMUL_STOP);
		assert_int_equal(m.access_count, i + 1);
		assert_true(machine_same(&m, &before));
	}
	/* A write that is refused, though the probe found nothing. */
	m = before;
	m.odd_status = EMUL_EXCEPTION;
	m.odd_access = count - 1;
	assert_int_equal(deliver(&with_code), EMUL_EXCEPTION);
	assert_true(machine_same(&m, &before));
}

static void unknown_without_a_system(void **state)
{
	open_gate(0, G_INTERRUPT32, SEL_CODE);
	m.ctx.system = NULL;
	before = m;
	assert_int_equal(deliver(&external), EMUL_UNKNOWN);
	assert_true(machine_same(&m, &before));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(real_mode_vectors),
		cmocka_unit_test(real_mode_vectors_are_where_idtr_says),
		cmocka_unit_test(real_mode_stacks_wrap_between_words),
		cmocka_unit_test(real_mode_with_a_big_stack),
		cmocka_unit_test(same_ring),
		cmocka_unit_test(the_handlers_code_sets_mode_and_rpl),
		cmocka_unit_test(inner_ring),
		cmocka_unit_test(inner_ring_with_16_bit_gate_and_tss),
		cmocka_unit_test(a_16_bit_inner_stack_has_sp),
		cmocka_unit_test(conforming_handlers_stay_in_their_ring),
		cmocka_unit_test(handlers_of_the_same_outer_ring),
		cmocka_unit_test(from_virtual_8086_mode),
		cmocka_unit_test(from_virtual_8086_mode_through_a_16_bit_gate),
		cmocka_unit_test(virtual_8086_mode_is_left_to_ring_0_only),
		cmocka_unit_test(vme_redirects_to_the_program),
		cmocka_unit_test(vme_leaves_the_others_to_the_gate),
		cmocka_unit_test(the_redirection_bitmap_is_in_the_tss),
		cmocka_unit_test(redirection_may_fault),
		cmocka_unit_test(an_instruction_pushes_no_resume_flag),
		cmocka_unit_test(gates_are_checked),
		cmocka_unit_test(a_gates_dpl_is_for_programs),
		cmocka_unit_test(the_handlers_code_is_checked),
		cmocka_unit_test(the_inner_stack_is_checked),
		cmocka_unit_test(stacks_have_room_or_not),
		cmocka_unit_test(error_codes_without_room),
		cmocka_unit_test(the_handler_is_within_its_code),
		cmocka_unit_test(a_task_gate_switches),
		cmocka_unit_test(a_bad_task_gate_says_so),
		cmocka_unit_test(every_access_may_fault),
		cmocka_unit_test(every_access_may_be_the_last),
		cmocka_unit_test(the_first_push_that_faults_is_told),
		cmocka_unit_test(unknown_without_a_system),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
