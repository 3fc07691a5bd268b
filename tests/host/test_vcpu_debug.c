// SPDX-License-Identifier: GPL-2.0-only
/*
 * Debug registers, and breakpoints on what is emulated: every length, place
 * and kind of access against a byte-by-byte oracle, and the traps they make.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "lib/compiler.h"
#include "tests/host/fake_tracker.h"
#include "tests/host/vcpu_fake.h"

#define DATA 0x20000u
#define DR6_NONE 0xFFFF0FF0u
#define DR7_NONE 0x400u
#define BREAK(n, rw, len_field) (1ull << 2 * (n) | (uint64_t)((rw) | (len_field) << 2) << (16 + 4 * (n)))
#define LEN_1 0u
#define LEN_2 1u
#define LEN_8 2u
#define LEN_4 3u

static struct fake_vm f;
static struct fake_tracker tracker;

static int made(void **state)
{
	fake_vm_init(&f);
	fake_long_mode(&f);
	fake_tracker_open(&tracker, &f.mmu.mem.track, "test", 5);
	fake_tracker_add(&tracker, DATA, PAGE_TRACK_W);
	return 0;
}

static int gone(void **state)
{
	fake_tracker_close(&tracker);
	fake_vm_destroy(&f);
	return 0;
}

#define CODE(...)                                                                                            \
	do {                                                                                                 \
		const uint8_t bytes[] = { __VA_ARGS__ };                                                     \
		fake_code(&f, bytes, sizeof(bytes));                                                         \
	} while (0)

static void watch(unsigned int n, uint64_t addr, unsigned int rw, unsigned int len)
{
	vcpu_write_dr(&f.vcpu, n, addr);
	vcpu_write_dr(&f.vcpu, 7, f.vcpu.dr[7] | BREAK(n, rw, len));
}

/* ---- which accesses are watched -------------------------------------------------- */

static bool bytes_meet(uint64_t addr, unsigned int len, uint64_t dr, unsigned int length)
{
	for (unsigned int i = 0; i < len; i++)
		for (unsigned int j = 0; j < length; j++)
			if (addr + i == (dr & ~(uint64_t)(length - 1)) + j)
				return true;
	return false;
}

static void every_place_and_length(void **state)
{
	static const unsigned int lengths[] = { 1, 2, 8, 4 };

	for (unsigned int field = 0; field < 4; field++)
		for (uint64_t dr = DATA; dr < DATA + 9; dr++) {
			vcpu_write_dr(&f.vcpu, 7, 0);
			watch(2, dr, 1, field);
			for (unsigned int len = 1; len <= 16; len++)
				for (uint64_t addr = DATA - 20; addr < DATA + 20; addr++) {
					f.vcpu.breakpoints = 0;
					vcpu_note_access(&f.vcpu, gva(addr), len, true);
					assert_int_equal(f.vcpu.breakpoints,
							 bytes_meet(addr, len, dr, lengths[field]) ? 4 : 0);
				}
		}
}

static void every_kind(void **state)
{
	for (unsigned int rw = 0; rw < 4; rw++)
		for (unsigned int enable = 0; enable < 4; enable++)
			for (int write = 0; write < 2; write++) {
				bool hit = enable && (rw == 3 || (rw == 1 && write));

				vcpu_write_dr(&f.vcpu, 7, (uint64_t)enable << 6 | (uint64_t)rw << 28);
				vcpu_write_dr(&f.vcpu, 3, DATA);
				f.vcpu.breakpoints = 0;
				vcpu_note_access(&f.vcpu, gva(DATA), 1, write);
				assert_int_equal(f.vcpu.breakpoints, hit ? 8 : 0);
			}
}

/* Those that hit together are told together. */
static void several_at_once(void **state)
{
	watch(0, DATA, 1, LEN_8);
	watch(1, DATA + 4, 3, LEN_1);
	watch(3, DATA + 16, 1, LEN_8);
	vcpu_note_access(&f.vcpu, gva(DATA + 4), 4, true);
	assert_int_equal(f.vcpu.breakpoints, 3);
}

static void ports_need_de(void **state)
{
	watch(0, 0x3F8, 2, LEN_2);
	vcpu_note_port(&f.vcpu, 0x3F8, 1);
	assert_int_equal(f.vcpu.breakpoints, 0);
	f.vcpu.mmu.paging.cr4 |= X86_CR4_DE;
	vcpu_note_port(&f.vcpu, 0x3FA, 1);
	assert_int_equal(f.vcpu.breakpoints, 0);
	vcpu_note_port(&f.vcpu, 0x3F9, 4);
	assert_int_equal(f.vcpu.breakpoints, 1);
	f.vcpu.breakpoints = 0;
	vcpu_note_access(&f.vcpu, gva(0x3F8), 1, true); /* memory is something else */
	assert_int_equal(f.vcpu.breakpoints, 0);
}

/* ---- the traps ---------------------------------------------------------------------- */

static void store(uint64_t addr)
{
	f.vcpu.regs.rip = FAKE_CODE;
	f.vcpu.regs.gpr[GPR_RDI] = addr;
	f.vcpu.event.pending = false;
	assert_int_equal(vcpu_page_fault(&f.vcpu, gva(addr), PFERR_WRITE), VCPU_RESUME);
}

static void an_emulated_store(void **state)
{
	CODE(0x48, 0x89, 0x07); /* mov %rax, (%rdi) */
	watch(0, DATA + 8, 1, LEN_4);
	store(DATA);
	assert_false(f.vcpu.event.pending);
	store(DATA + 8);
	assert_true(f.vcpu.event.pending);
	assert_int_equal(f.vcpu.event.vector, EXC_DB);
	assert_int_equal(f.vcpu.regs.rip, FAKE_CODE + 3); /* behind it */
	assert_int_equal(f.vcpu.dr[6], DR6_NONE | 1);
	assert_int_equal(f.vcpu.breakpoints, 0);
	f.vcpu.regs.rflags |= X86_EFLAGS_TF;
	store(DATA + 8);
	assert_int_equal(f.vcpu.dr[6], DR6_NONE | DR6_BS | 1);
}

/* A locked one writes, whatever it compares. */
static void an_emulated_compare_and_exchange(void **state)
{
	CODE(0xF0, 0x48, 0x0F, 0xB1, 0x17); /* lock cmpxchg %rdx, (%rdi) */
	f.vcpu.regs.gpr[GPR_RAX] = 1;
	watch(1, DATA + 8, 1, LEN_8);
	store(DATA + 8);
	assert_int_equal(f.vcpu.dr[6], DR6_NONE | 2);
	assert_int_equal(f.vcpu.regs.gpr[GPR_RAX], 0);
}

/* What an instruction met that then faulted is forgotten. */
static void no_trap_after_a_fault(void **state)
{
	CODE(0x48, 0xA5); /* movsq */
	watch(0, DATA + 8, 3, LEN_8);
	f.vcpu.regs.gpr[GPR_RSI] = DATA + 8;
	fake_map(&f, DATA + 0x1000, 0, 0);
	f.vcpu.regs.gpr[GPR_RDI] = DATA + 0xFFC; /* half of it is not there */
	assert_int_equal(vcpu_page_fault(&f.vcpu, gva(DATA + 0xFFC), PFERR_WRITE), VCPU_RESUME);
	assert_int_equal(f.vcpu.event.vector, EXC_PF);
	assert_int_equal(f.vcpu.breakpoints, 0);
	assert_int_equal(f.vcpu.dr[6], DR6_NONE);
}

/* Each iteration is one by itself; RF keeps an instruction breakpoint quiet. */
static void repeated_instructions(void **state)
{
	CODE(0xF3, 0xAA); /* rep stosb */
	watch(0, DATA + 1, 1, LEN_1);
	f.vcpu.regs.gpr[GPR_RCX] = 4;
	f.vcpu.regs.gpr[GPR_RDI] = DATA;
	assert_int_equal(vcpu_page_fault(&f.vcpu, gva(DATA), PFERR_WRITE), VCPU_RESUME);
	assert_false(f.vcpu.event.pending);
	assert_int_equal(f.vcpu.regs.gpr[GPR_RCX], 3);
	assert_true(f.vcpu.regs.rflags & X86_EFLAGS_RF);
	assert_int_equal(vcpu_page_fault(&f.vcpu, gva(DATA + 1), PFERR_WRITE), VCPU_RESUME);
	assert_true(f.vcpu.event.pending);
	assert_int_equal(f.vcpu.dr[6], DR6_NONE | 1);
	assert_int_equal(f.vcpu.regs.gpr[GPR_RCX], 2);
	assert_int_equal(f.vcpu.regs.rip, FAKE_CODE);
	assert_true(f.vcpu.regs.rflags & X86_EFLAGS_RF);
	assert_int_equal(f.insns_done, 0);
	/* Without breakpoints all at once. */
	vcpu_write_dr(&f.vcpu, 7, 0);
	f.vcpu.event.pending = false;
	assert_int_equal(vcpu_page_fault(&f.vcpu, gva(DATA + 2), PFERR_WRITE), VCPU_RESUME);
	assert_int_equal(f.vcpu.regs.gpr[GPR_RCX], 0);
	assert_int_equal(f.insns_done, 1);
	assert_false(f.vcpu.regs.rflags & X86_EFLAGS_RF);
}

static void a_stepped_instruction_is_the_hardwares(void **state)
{
	CODE(0x0F, 0xAE, 0x07); /* fxsave (%rdi) */
	watch(0, DATA, 1, LEN_8);
	f.vcpu.breakpoints = 1;
	store(DATA);
	assert_true(f.vcpu.stepping);
	assert_int_equal(f.vcpu.breakpoints, 0);
	vcpu_step_done(&f.vcpu);
}

/* The hardware has met the instruction's own breakpoint before its fault. */
static void no_second_instruction_breakpoint(void **state)
{
	assert_int_equal(vcpu_page_fault(&f.vcpu, gva(DATA + 0x1000), 0), VCPU_RESUME);
	assert_false(f.vcpu.regs.rflags & X86_EFLAGS_RF);
	watch(0, FAKE_CODE, 0, LEN_1);
	assert_int_equal(vcpu_page_fault(&f.vcpu, gva(DATA + 0x2000), 0), VCPU_RESUME);
	assert_true(f.vcpu.regs.rflags & X86_EFLAGS_RF);
}

static enum vcpu_action outs(struct fake_vm *vm) { return vcpu_port_io(&vm->vcpu, false, 0x80, 1); }

static void a_port(void **state)
{
	f.run = outs;
	watch(0, 0x80, 2, LEN_1);
	f.vcpu.mmu.paging.cr4 |= X86_CR4_DE;
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_RESUME);
	assert_int_equal(f.vcpu.event.vector, EXC_DB);
	assert_int_equal(f.vcpu.dr[6], DR6_NONE | 1);
	assert_int_equal(f.vcpu.regs.rip, FAKE_CODE + 2);
}

/* ---- the registers ------------------------------------------------------------------- */

static void dr6_forgets_hits_alone(void **state)
{
	f.vcpu.dr[6] = DR6_NONE | DR6_BS | DR6_BD | 0xE;
	assert_int_equal(vcpu_inject_debug(&f.vcpu, 1), VCPU_RESUME);
	assert_int_equal(f.vcpu.dr[6], DR6_NONE | DR6_BS | DR6_BD | 1);
}

static void not_for_ring_3(void **state)
{
	fake_set_cpl(&f, 3);
	for (unsigned int nr = 0; nr < 8; nr++)
		for (int to = 0; to < 2; to++) {
			f.vcpu.event.pending = false;
			f.vcpu.dr[7] |= DR7_GD; /* nor does it say #DB */
			assert_int_equal(vcpu_exit_mov_dr(&f.vcpu, nr, GPR_RBX, to), VCPU_RESUME);
			assert_int_equal(f.vcpu.event.vector, EXC_GP);
			assert_int_equal(f.vcpu.event.error_code, 0);
			assert_true(f.vcpu.dr[7] & DR7_GD);
		}
	f.vcpu.mmu.paging.cr4 |= X86_CR4_DE;
	f.vcpu.event.pending = false;
	assert_int_equal(vcpu_exit_mov_dr(&f.vcpu, 4, GPR_RBX, false), VCPU_RESUME);
	assert_int_equal(f.vcpu.event.vector, EXC_UD);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, made, gone)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_place_and_length),
		TEST(every_kind),
		TEST(several_at_once),
		TEST(ports_need_de),
		TEST(an_emulated_store),
		TEST(an_emulated_compare_and_exchange),
		TEST(no_trap_after_a_fault),
		TEST(repeated_instructions),
		TEST(a_stepped_instruction_is_the_hardwares),
		TEST(no_second_instruction_breakpoint),
		TEST(a_port),
		TEST(dr6_forgets_hits_alone),
		TEST(not_for_ring_3),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
