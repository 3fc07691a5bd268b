// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the emulator does when an instruction cannot be finished, and in what
 * order it asks for things: fetching, faults, segments, LOCK, REP.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>
#include "tests/host/emulate_fake.h"

static struct fake f;

#define STEP(bytes) fake_step(&f, bytes, sizeof(bytes) - 1)
#define REG(r) f.ctx.regs.gpr[GPR_##r]

static void assert_exception(enum emul_status status, unsigned int vector, const struct cpu_regs *before)
{
	assert_int_equal(status, EMUL_EXCEPTION);
	assert_int_equal(f.ctx.exception.vector, vector);
	assert_memory_equal(&f.ctx.regs, before, sizeof(*before));
	assert_int_equal(f.ctx.exception.has_error_code, vector != EXC_UD && vector != EXC_NM);
}

/* Run @code and expect @vector, with nothing changed. */
static void expect_exception(const void *code, unsigned int len, unsigned int vector)
{
	struct cpu_regs before = f.ctx.regs;
	static uint8_t memory[FAKE_MEMORY];

	memcpy(f.memory + before.rip, code, len);
	memcpy(memory, f.memory, sizeof(memory));
	assert_exception(fake_step(&f, code, len), vector, &before);
	assert_memory_equal(memory, f.memory, sizeof(memory));
}
#define EXPECT_EXCEPTION(bytes, vector) expect_exception(bytes, sizeof(bytes) - 1, vector)

static void the_second_page_is_fetched_only_if_needed(void **state)
{
	fake_open(&f, EMUL_MODE_64);
	f.absent[2] = true;
	f.ctx.regs.rip = 0x1ffe;
	REG(RAX) = FAKE_DATA;
	assert_int_equal(STEP("\x88\x00"), EMUL_DONE); /* mov [rax], al */
	assert_int_equal(fake_count(&f, FAKE_FETCH), 1);
	assert_int_equal(f.ctx.regs.rip, 0x2000);

	f.ctx.regs.rip = 0x1ffe;
	EXPECT_EXCEPTION("\xc6\x00", EXC_PF); /* mov byte [rax], imm8: imm8 is missing */
	assert_int_equal(f.ctx.exception.cr2.v, 0x2000);
	assert_int_equal(f.ctx.exception.error_code, PFERR_FETCH);

	f.absent[2] = false;
	f.memory[0x2000] = 0x5a;
	assert_int_equal(STEP("\xc6\x00"), EMUL_DONE);
	assert_int_equal(fake_peek(&f, FAKE_DATA, 1), 0x5a);
}

static void longer_than_15_bytes_is_gp(void **state)
{
	fake_open(&f, EMUL_MODE_64);
	REG(RAX) = FAKE_DATA;
	EXPECT_EXCEPTION("\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\xc6\x00\x01", EXC_GP);
	assert_int_equal(STEP("\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\xc6\x00\x01"), EMUL_DONE);
}

static void code_ends_at_the_limit(void **state)
{
	fake_open(&f, EMUL_MODE_32);
	f.segments[SEG_CS].limit = FAKE_CODE + 1;
	EXPECT_EXCEPTION("\xc6\x00\x01", EXC_GP);
	REG(RAX) = FAKE_DATA;
	assert_int_equal(STEP("\x88\x00"), EMUL_DONE);
}

static void lock_where_it_may_not_be_is_ud(void **state)
{
	fake_open(&f, EMUL_MODE_64);
	REG(RAX) = FAKE_DATA;
	EXPECT_EXCEPTION("\xf0\x88\x00", EXC_UD);         /* lock mov [rax], al */
	EXPECT_EXCEPTION("\xf0\x01\xc0", EXC_UD);         /* lock add eax, eax */
	EXPECT_EXCEPTION("\xf0\x03\x00", EXC_UD);         /* lock add eax, [rax] */
	EXPECT_EXCEPTION("\xf0\x38\x00", EXC_UD);         /* lock cmp */
	EXPECT_EXCEPTION("\xf0\x0f\xba\x20\x01", EXC_UD); /* lock bt */
	EXPECT_EXCEPTION("\x0f\xc3\xc0", EXC_UD);         /* movnti eax, eax */
	EXPECT_EXCEPTION("\x60", EXC_UD);                 /* pusha in 64-bit mode */
	EXPECT_EXCEPTION("\x8c\xf0", EXC_UD);             /* no such segment register */
}

static void unknown_changes_nothing_and_has_a_length(void **state)
{
	static const struct {
		const char *bytes;
		unsigned int len;
	} unknown[] = {
		{ "\x0f\x11\x00", 3 },                 /* movups [rax], xmm0 */
		{ "\x66\x0f\x7f\x40\x10", 5 },         /* movdqa [rax+16], xmm0 */
		{ "\xc5\xf8\x11\x00", 4 },             /* vmovups */
		{ "\xc4\xe2\x79\x18\x00", 5 },         /* vbroadcastss */
		{ "\x62\xf1\x7c\x48\x11\x40\x01", 7 }, /* vmovups zmm */
		{ "\x0f\xae\x00", 3 },                 /* fxsave */
		{ "\xd9\x18", 2 },                     /* fstp */
		{ "\xff\x28", 2 },                     /* far jmp */
		{ "\x0f\x0f\x00\x0d", 0 },             /* 3DNow */
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(unknown); i++) {
		struct cpu_regs before;

		fake_open(&f, EMUL_MODE_64);
		REG(RAX) = FAKE_DATA;
		before = f.ctx.regs;
		assert_int_equal(fake_step(&f, unknown[i].bytes, (unsigned int)strlen(unknown[i].bytes) + 1),
				 EMUL_UNKNOWN);
		assert_int_equal(f.ctx.insn_len, unknown[i].len);
		assert_memory_equal(&before, &f.ctx.regs, sizeof(before));
		assert_int_equal(fake_count(&f, FAKE_FETCH), f.event_count);
	}
}

static void vector_moves_need_the_os(void **state)
{
	fake_open(&f, EMUL_MODE_64);
	fake_give_vectors(&f);
	REG(RAX) = FAKE_DATA;
	f.ctx.cr0 |= X86_CR0_EM;
	EXPECT_EXCEPTION("\x0f\x11\x00", EXC_UD); /* movups [rax], xmm0 */
	assert_int_equal(STEP("\xc5\xf8\x11\x00"), EMUL_DONE); /* vmovups does not look at EM */
	f.ctx.cr0 &= ~(uint64_t)X86_CR0_EM;
	f.ctx.cr4 &= ~(uint64_t)X86_CR4_OSFXSR;
	EXPECT_EXCEPTION("\x0f\x10\x00", EXC_UD);
	assert_int_equal(STEP("\xc5\xf8\x10\x00"), EMUL_DONE);
	f.ctx.cr4 |= X86_CR4_OSFXSR;
	f.ctx.xcr0 = 3;
	EXPECT_EXCEPTION("\xc5\xf8\x10\x00", EXC_UD);
	f.ctx.xcr0 = 7;
	f.ctx.cr4 &= ~(uint64_t)X86_CR4_OSXSAVE;
	EXPECT_EXCEPTION("\xc5\xf8\x10\x00", EXC_UD);
	f.ctx.cr4 |= X86_CR4_OSXSAVE;
	f.ctx.cr0 |= X86_CR0_TS;
	EXPECT_EXCEPTION("\x0f\x10\x00", EXC_NM);
	EXPECT_EXCEPTION("\xc5\xf8\x10\x00", EXC_NM);
	assert_int_equal(fake_count(&f, FAKE_READ), 0);
	f.ctx.cr0 &= ~(uint64_t)X86_CR0_TS;
	assert_int_equal(STEP("\x0f\x10\x00"), EMUL_DONE);
	fake_open_real(&f);
	fake_give_vectors(&f);
	EXPECT_EXCEPTION("\xc5\xf8\x10\x00", EXC_UD); /* in real mode VEX is lds with a register */
}

static void vector_moves_fault_before_they_move(void **state)
{
	fake_open(&f, EMUL_MODE_64);
	fake_give_vectors(&f);
	REG(RAX) = FAKE_DATA + 16;
	memset(f.vectors, 0x5a, sizeof(f.vectors));
	EXPECT_EXCEPTION("\xc5\xfc\x28\x00", EXC_GP); /* vmovaps ymm0, [rax]: not a multiple of 32 */
	assert_int_equal(STEP("\x0f\x29\x00"), EMUL_DONE); /* movaps [rax], xmm0 */
	REG(RAX) = FAKE_DATA + 8;
	EXPECT_EXCEPTION("\x0f\x2b\x00", EXC_GP); /* movntps */
	REG(RAX) = 0x4ff0;
	f.absent[5] = true;
	EXPECT_EXCEPTION("\xc5\xfe\x7f\x00", EXC_PF); /* vmovdqu [rax], ymm0 */
	EXPECT_EXCEPTION("\xc5\xfe\x6f\x00", EXC_PF);
	for (unsigned int i = 0; i < 32; i++)
		assert_int_equal(f.vectors[0][i], 0x5a);
}

static void lesson_28_a_vector_is_one_write(void **state)
{
	fake_open(&f, EMUL_MODE_64);
	fake_give_vectors(&f);
	memset(f.vectors[9], 0x77, 32);
	REG(RAX) = 0x4ff0;
	assert_int_equal(STEP("\xc5\x7e\x7f\x08"), EMUL_DONE); /* vmovdqu [rax], ymm9 */
	assert_int_equal(fake_count(&f, FAKE_WRITE), 1);
	assert_int_equal(fake_peek(&f, 0x5008, 8), 0x7777777777777777);
	assert_int_equal(STEP("\x0f\x13\x40\x20"), EMUL_DONE); /* movlps [rax+32], xmm0: 8 bytes */
	assert_int_equal(f.events[1].len, 8);
}

/* What lies above the 16 bytes stays with SSE, and is cleared by VEX. */
static void upper_halves_of_vectors(void **state)
{
	fake_open(&f, EMUL_MODE_64);
	fake_give_vectors(&f);
	memset(f.vectors[0], 0x77, 32);
	REG(RAX) = FAKE_DATA;
	assert_int_equal(STEP("\xf3\x0f\x10\x00"), EMUL_DONE); /* movss xmm0, [rax] */
	assert_int_equal(f.vectors[0][15], 0);
	assert_int_equal(f.vectors[0][16], 0x77);
	assert_int_equal(STEP("\xc5\xfa\x10\x00"), EMUL_DONE); /* vmovss */
	assert_int_equal(f.vectors[0][16], 0);
}

static void a_faulting_push_leaves_rsp(void **state)
{
	fake_open(&f, EMUL_MODE_64);
	f.read_only[6] = true;
	EXPECT_EXCEPTION("\x50", EXC_PF);             /* push rax */
	EXPECT_EXCEPTION("\xe8\x00\x00\x00\x00", EXC_PF); /* call */
	EXPECT_EXCEPTION("\xc8\x10\x00\x00", EXC_PF); /* enter */
	f.absent[7] = true;
	EXPECT_EXCEPTION("\x58", EXC_PF); /* pop rax */
	EXPECT_EXCEPTION("\xc3", EXC_PF);
	f.absent[7] = false;
	REG(RAX) = 0x6000;
	EXPECT_EXCEPTION("\x8f\x00", EXC_PF); /* pop [rax], read-only */
}

/* The processor reads with the intent to write: the fault is a write fault,
 * and a device has not been read. */
static void read_modify_write_probes_first(void **state)
{
	fake_open(&f, EMUL_MODE_64);
	f.read_only[FAKE_DATA >> PAGE_SHIFT] = true;
	REG(RAX) = FAKE_DATA;
	EXPECT_EXCEPTION("\x01\x08", EXC_PF); /* add [rax], ecx */
	assert_int_equal(f.ctx.exception.error_code, PFERR_WRITE | PFERR_PRESENT);
	assert_int_equal(fake_count(&f, FAKE_READ), 0);
	EXPECT_EXCEPTION("\xf0\x0f\xb1\x08", EXC_PF); /* lock cmpxchg */
	EXPECT_EXCEPTION("\x0f\xc7\x08", EXC_PF);     /* cmpxchg8b */
	f.ctx.iopl_ok = true;
	REG(RDI) = FAKE_DATA;
	EXPECT_EXCEPTION("\x6c", EXC_PF); /* insb: the port was not read */
	assert_int_equal(fake_count(&f, FAKE_IN), 0);
}

static void lesson_28_an_access_across_pages_is_one_write(void **state)
{
	fake_open(&f, EMUL_MODE_64);
	REG(RAX) = 0x4ffc;
	REG(RCX) = 0x1122334455667788;
	assert_int_equal(STEP("\x48\x89\x08"), EMUL_DONE);
	assert_int_equal(fake_count(&f, FAKE_WRITE), 1);
	assert_int_equal(fake_peek(&f, 0x4ffc, 8), 0x1122334455667788);
	f.absent[5] = true;
	f.ctx.regs.rip = FAKE_CODE;
	REG(RCX) = 0;
	EXPECT_EXCEPTION("\x48\x89\x08", EXC_PF);
	assert_int_equal(f.ctx.exception.cr2.v, 0x5000);
}

static void lesson_28_sixteen_bytes_are_one_exchange(void **state)
{
	fake_open(&f, EMUL_MODE_64);
	REG(RSI) = FAKE_DATA;
	REG(RBX) = 7;
	REG(RCX) = 9;
	assert_int_equal(STEP("\xf0\x48\x0f\xc7\x0e"), EMUL_DONE); /* lock cmpxchg16b [rsi] */
	assert_int_equal(fake_count(&f, FAKE_CMPXCHG), 1);
	assert_int_equal(fake_peek(&f, FAKE_DATA, 8), 7);
	assert_int_equal(fake_peek(&f, FAKE_DATA + 8, 8), 9);
	assert_true(f.ctx.regs.rflags & X86_EFLAGS_ZF);
	REG(RSI) = FAKE_DATA + 8;
	EXPECT_EXCEPTION("\xf0\x48\x0f\xc7\x0e", EXC_GP); /* not aligned */
}

static void locked_instructions_retry(void **state)
{
	fake_open(&f, EMUL_MODE_64);
	f.contention = 3;
	REG(RSI) = FAKE_DATA;
	REG(RCX) = 0x100;
	assert_int_equal(STEP("\xf0\x01\x0e"), EMUL_DONE); /* lock add [rsi], ecx */
	assert_int_equal(fake_count(&f, FAKE_CMPXCHG), 4);
	assert_int_equal(fake_peek(&f, FAKE_DATA, 4), 0x103);

	assert_int_equal(STEP("\x87\x0e"), EMUL_DONE); /* xchg is locked without being told */
	assert_int_equal(fake_count(&f, FAKE_CMPXCHG), 1);
	assert_int_equal(REG(RCX), 0x103);

	f.contention = ~0u;
	assert_int_equal(STEP("\xf0\x01\x0e"), EMUL_UNKNOWN); /* no end of it: the processor's turn */
}

static void a_repeated_store_restarts_where_it_faulted(void **state)
{
	fake_open(&f, EMUL_MODE_64);
	f.absent[5] = true;
	REG(RAX) = 0xab;
	REG(RDI) = 0x5000 - 24;
	REG(RCX) = 10;
	assert_int_equal(STEP("\xf3\x48\xab"), EMUL_EXCEPTION); /* rep stosq */
	assert_int_equal(REG(RCX), 7);
	assert_int_equal(REG(RDI), 0x5000);
	assert_int_equal(f.ctx.regs.rip, FAKE_CODE);
	f.absent[5] = false;
	assert_int_equal(STEP("\xf3\x48\xab"), EMUL_DONE);
	assert_int_equal(REG(RCX), 0);
	assert_int_equal(f.ctx.regs.rip, FAKE_CODE + 3);
	assert_int_equal(fake_peek(&f, 0x5000 + 48, 8), 0xab);
}

static void a_repeated_move_keeps_its_source_when_the_store_faults(void **state)
{
	fake_open(&f, EMUL_MODE_64);
	f.ctx.regs.rflags |= X86_EFLAGS_DF;
	f.absent[4] = true;
	REG(RSI) = 0x6008;
	REG(RDI) = 0x5008;
	REG(RCX) = 5;
	fake_poke(&f, 0x6000, 8, 0x77);
	assert_int_equal(STEP("\xf3\x48\xa5"), EMUL_EXCEPTION); /* rep movsq, downwards */
	assert_int_equal(REG(RCX), 3);
	assert_int_equal(REG(RSI), 0x6008 - 16);
	assert_int_equal(REG(RDI), 0x5008 - 16);
	assert_int_equal(fake_peek(&f, 0x5000, 8), 0x77);
}

static void unknown_in_the_middle_ends_the_call_first(void **state)
{
	fake_open(&f, EMUL_MODE_64);
	f.unknown[5] = true;
	REG(RDI) = 0x5000 - 2;
	REG(RCX) = 10;
	assert_int_equal(STEP("\xf3\xaa"), EMUL_DONE);
	assert_true(f.ctx.rep_unfinished);
	assert_int_equal(REG(RCX), 8);
	assert_int_equal(f.ctx.regs.rip, FAKE_CODE);
	assert_int_equal(STEP("\xf3\xaa"), EMUL_UNKNOWN);
	assert_int_equal(REG(RCX), 8);
}

static void long_repeats_come_back_for_interrupts(void **state)
{
	fake_open(&f, EMUL_MODE_64);
	REG(RDI) = FAKE_DATA;
	REG(RCX) = EMUL_REP_MAX + 5;
	assert_int_equal(STEP("\xf3\xaa"), EMUL_DONE);
	assert_true(f.ctx.rep_unfinished);
	assert_int_equal(f.ctx.regs.rip, FAKE_CODE);
	assert_int_equal(REG(RCX), 5);
	assert_int_equal(STEP("\xf3\xaa"), EMUL_DONE);
	assert_false(f.ctx.rep_unfinished);
	assert_int_equal(f.ctx.regs.rip, FAKE_CODE + 2);

	f.ctx.regs.rflags |= X86_EFLAGS_TF;
	REG(RCX) = 3;
	assert_int_equal(STEP("\xf3\xaa"), EMUL_DONE); /* traps after each iteration */
	assert_int_equal(REG(RCX), 2);
}

static void resume_flag_is_cleared(void **state)
{
	fake_open(&f, EMUL_MODE_64);
	f.ctx.regs.rflags |= X86_EFLAGS_RF;
	assert_int_equal(STEP("\x50"), EMUL_DONE);
	assert_false(f.ctx.regs.rflags & X86_EFLAGS_RF);
	f.ctx.regs.rflags |= X86_EFLAGS_RF;
	assert_int_equal(STEP("\x9c"), EMUL_DONE); /* pushf does not show it */
	assert_int_equal(fake_peek(&f, REG(RSP), 8), X86_EFLAGS_FIXED);
}

static void ports_need_permission(void **state)
{
	fake_open(&f, EMUL_MODE_64);
	f.ctx.cpl = 3;
	assert_int_equal(STEP("\xec"), EMUL_UNKNOWN);
	assert_int_equal(STEP("\x6e"), EMUL_UNKNOWN);
	f.ctx.regs.rflags |= X86_EFLAGS_IOPL;
	assert_int_equal(STEP("\xec"), EMUL_DONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_second_page_is_fetched_only_if_needed),
		cmocka_unit_test(longer_than_15_bytes_is_gp),
		cmocka_unit_test(code_ends_at_the_limit),
		cmocka_unit_test(lock_where_it_may_not_be_is_ud),
		cmocka_unit_test(unknown_changes_nothing_and_has_a_length),
		cmocka_unit_test(vector_moves_need_the_os),
		cmocka_unit_test(vector_moves_fault_before_they_move),
		cmocka_unit_test(lesson_28_a_vector_is_one_write),
		cmocka_unit_test(upper_halves_of_vectors),
		cmocka_unit_test(a_faulting_push_leaves_rsp),
		cmocka_unit_test(read_modify_write_probes_first),
		cmocka_unit_test(lesson_28_an_access_across_pages_is_one_write),
		cmocka_unit_test(lesson_28_sixteen_bytes_are_one_exchange),
		cmocka_unit_test(locked_instructions_retry),
		cmocka_unit_test(a_repeated_store_restarts_where_it_faulted),
		cmocka_unit_test(a_repeated_move_keeps_its_source_when_the_store_faults),
		cmocka_unit_test(unknown_in_the_middle_ends_the_call_first),
		cmocka_unit_test(long_repeats_come_back_for_interrupts),
		cmocka_unit_test(resume_flag_is_cleared),
		cmocka_unit_test(ports_need_permission),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
