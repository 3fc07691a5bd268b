// SPDX-License-Identifier: GPL-2.0-only
/*
 * Task switches: what is saved and loaded with both kinds of TSS, busy bits,
 * NT and links, every check with its exception, and the commit point: before
 * it a fault changes nothing, after it the new task has it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>
#include "tests/host/emulate_machine.h"

static struct machine m, before;

#define REG(r) m.ctx.regs.gpr[GPR_##r]
#define ALL_SOURCES 4u
#define OLD_FLAGS (X86_EFLAGS_CF | X86_EFLAGS_NT | X86_EFLAGS_RF | X86_EFLAGS_IF)

/* A TSS as the SDM draws it. */
struct tss32 {
	uint16_t link, link_high;
	uint32_t esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags;
	uint32_t eax, ecx, edx, ebx, esp, ebp, esi, edi;
	uint32_t es, cs, ss, ds, fs, gs, ldt;
	uint16_t trap, iomap;
};

struct tss16 {
	uint16_t link, sp0, ss0, sp1, ss1, sp2, ss2, ip, flags;
	uint16_t ax, cx, dx, bx, sp, bp, si, di, es, cs, ss, ds, ldt;
};

_Static_assert(sizeof(struct tss32) == 104 && sizeof(struct tss16) == 44, "as the SDM draws them");

static const struct tss32 task = {
	.cr3 = 0x77000, .eip = 0x6000, .eflags = X86_EFLAGS_ZF,
	.eax = 0xa0a0a0a0, .ecx = 0xc0c0c0c0, .edx = 0xd0d0d0d0, .ebx = 0xb0b0b0b0,
	.esp = 0x9f00, .ebp = 0xb1b1b1b1, .esi = 0x51515151, .edi = 0xd1d1d1d1,
	.es = SEL_DATA, .cs = SEL_CODE, .ss = SEL_DATA, .ds = SEL_DATA, .fs = 0, .gs = SEL_DATA, .ldt = SEL_LDT,
};

static const struct tss16 small = {
	.ip = 0x6000, .flags = X86_EFLAGS_ZF, .ax = 0xa0a0, .cx = 0xc0c0, .dx = 0xd0d0, .bx = 0xb0b0, .sp = 0x9f00,
	.bp = 0xb1b1, .si = 0x5151, .di = 0xd1d1, .es = SEL_DATA, .cs = SEL_CODE, .ss = SEL_FREE, .ds = SEL_DATA,
	.ldt = SEL_LDT,
};

static void put_task(const struct tss32 *t) { memcpy(m.memory + MACHINE_NEW_TSS, t, sizeof(*t)); }

static void busy(uint16_t selector, bool yes)
{
	uint8_t *type = m.memory + MACHINE_GDT + selector + 5;

	*type = (uint8_t)(yes ? *type | 2 : *type & ~2);
}

/* For IRET the new task must be busy already. */
static void open_for(enum emul_task_source source, unsigned int cpl)
{
	machine_open(&m, cpl);
	m.ctx.regs.rflags |= OLD_FLAGS;
	m.dr7 = 0x7ff;
	put_task(&task);
	busy(SEL_NEW_TSS, source == EMUL_TASK_IRET);
}

static void open_small(enum emul_task_source source)
{
	open_for(source, 0);
	machine_put(&m, SEL_FREE, machine_descriptor(0, 0xffff, A_DATA)); /* a stack of 16 bits */
	machine_put(&m, SEL_NEW_TSS, machine_descriptor(MACHINE_NEW_TSS, 43, A_TSS16));
	busy(SEL_NEW_TSS, source == EMUL_TASK_IRET);
	memset(m.memory + MACHINE_NEW_TSS, 0xee, sizeof(task));
	memcpy(m.memory + MACHINE_NEW_TSS, &small, sizeof(small));
}

static enum emul_status switch_to(uint16_t selector, enum emul_task_source source)
{
	const struct emul_task_switch t = { .selector = selector, .source = source };

	m.access_count = 0;
	return emul_task_switch(&m.ctx, &t);
}

static enum emul_status do_switch(enum emul_task_source source) { return switch_to(SEL_NEW_TSS, source); }

static enum emul_status switch_with_code(uint32_t code)
{
	const struct emul_task_switch t = {
		.selector = SEL_NEW_TSS, .source = EMUL_TASK_GATE, .has_error_code = true, .error_code = code
	};

	m.access_count = 0;
	return emul_task_switch(&m.ctx, &t);
}

static bool nests(enum emul_task_source source) { return source == EMUL_TASK_CALL || source == EMUL_TASK_GATE; }

static bool ends(enum emul_task_source source) { return source == EMUL_TASK_JMP || source == EMUL_TASK_IRET; }

/* ---- what a switch does ------------------------------------------------------------ */

static void the_old_task_is_saved(void **state)
{
	for (unsigned int source = 0; source < ALL_SOURCES; source++) {
		struct tss32 saved, want;

		open_for(source, 0);
		memset(m.memory + MACHINE_TSS + 32, 0xee, 72);
		m.segments[SEG_FS].selector = 0x1234;
		memcpy(&want, m.memory + MACHINE_TSS, sizeof(want));
		want.eip = 0x7000;
		want.eflags = OLD_FLAGS | 2;
		if (source == EMUL_TASK_IRET)
			want.eflags &= ~X86_EFLAGS_NT;
		if (source != EMUL_TASK_GATE)
			want.eflags &= ~X86_EFLAGS_RF;
		want.eax = 0x11111111, want.ecx = 0x22222222, want.edx = 0x33333333, want.ebx = 0x44444444;
		want.esp = MACHINE_STACK, want.ebp = 0x66666666, want.esi = 0x77777777, want.edi = 0x88888888;
		want.es = want.ss = want.ds = want.gs = 0xeeee0000 | SEL_DATA; /* the upper half is not the CPU's */
		want.cs = 0xeeee0000 | SEL_CODE;
		want.fs = 0xeeee1234;
		assert_int_equal(do_switch(source), EMUL_DONE);
		memcpy(&saved, m.memory + MACHINE_TSS, sizeof(saved));
		assert_memory_equal(&saved, &want, sizeof(want));
	}
}

static void the_new_task_is_loaded(void **state)
{
	for (unsigned int source = 0; source < ALL_SOURCES; source++) {
		open_for(source, 0);
		before = m;
		assert_int_equal(do_switch(source), EMUL_DONE);
		assert_true(m.ctx.task_switched);
		assert_int_equal(m.ctx.regs.rip, 0x6000);
		assert_int_equal(m.ctx.regs.rflags, X86_EFLAGS_ZF | 2 | (nests(source) ? X86_EFLAGS_NT : 0));
		for (unsigned int i = 0; i < 8; i++)
			assert_int_equal(m.ctx.regs.gpr[i], (&task.eax)[i]);
		assert_int_equal(m.segments[SEG_CS].selector, SEL_CODE);
		assert_int_equal(m.segments[SEG_CS].access, 0xc09b);
		assert_int_equal(m.segments[SEG_SS].access, 0xc093);
		assert_int_equal(m.segments[SEG_FS].access, SEGMENT_UNUSABLE);
		assert_int_equal(m.segments[SEG_LDTR].selector, SEL_LDT);
		assert_int_equal(m.segments[SEG_LDTR].base, MACHINE_LDT);
		assert_int_equal(m.segments[SEG_TR].selector, SEL_NEW_TSS);
		assert_int_equal(m.segments[SEG_TR].base, MACHINE_NEW_TSS);
		assert_int_equal(m.segments[SEG_TR].limit, 103);
		assert_int_equal(m.segments[SEG_TR].access, A_TSS32 | A_BUSY);
		assert_int_equal(m.cr[0], X86_CR0_PE | X86_CR0_TS);
		assert_int_equal(m.ctx.cr0, X86_CR0_PE | X86_CR0_TS);
		assert_int_equal(m.dr7, 0x7ff & ~0x155);
		assert_int_equal(m.ctx.debug_trap, 0);
		assert_int_equal(m.cr3_loads, 0); /* paging is off */
	}
}

static void busy_bits_and_links(void **state)
{
	for (unsigned int source = 0; source < ALL_SOURCES; source++) {
		open_for(source, 0);
		machine_poke(&m, MACHINE_NEW_TSS, 4, 0xeeeeeeee);
		assert_int_equal(do_switch(source), EMUL_DONE);
		assert_int_equal(machine_type(&m, SEL_NEW_TSS), A_TSS32 | A_BUSY);
		assert_int_equal(machine_type(&m, SEL_TSS), A_TSS32 | (ends(source) ? 0 : A_BUSY));
		assert_int_equal(machine_peek(&m, MACHINE_NEW_TSS, 4), nests(source) ? 0xeeee0000 | SEL_TSS : 0xeeeeeeee);
	}
}

/* What its flags hold is kept, but for NT; what does not exist is not loaded. */
static void flags_of_the_new_task(void **state)
{
	struct tss32 t = task;

	t.eflags = ~0u & ~(uint32_t)X86_EFLAGS_VM;
	open_for(EMUL_TASK_JMP, 0);
	put_task(&t);
	assert_int_equal(do_switch(EMUL_TASK_JMP), EMUL_DONE);
	assert_int_equal(m.ctx.regs.rflags, 0x3d7fd7);
}

static void a_16_bit_task_is_loaded(void **state)
{
	for (unsigned int source = 0; source < ALL_SOURCES; source++) {
		open_small(source);
		assert_int_equal(do_switch(source), EMUL_DONE);
		assert_int_equal(m.ctx.regs.rip, 0x6000);
		assert_int_equal(m.ctx.regs.rflags, X86_EFLAGS_ZF | 2 | (nests(source) ? X86_EFLAGS_NT : 0));
		for (unsigned int i = 0; i < 8; i++)
			assert_int_equal(m.ctx.regs.gpr[i], 0xffff0000 | (&small.ax)[i]);
		assert_int_equal(m.segments[SEG_DS].selector, SEL_DATA);
		assert_int_equal(m.segments[SEG_FS].selector, 0);
		assert_int_equal(m.segments[SEG_GS].access, SEGMENT_UNUSABLE);
		assert_int_equal(m.segments[SEG_LDTR].selector, SEL_LDT);
		assert_int_equal(m.segments[SEG_TR].access, A_TSS16 | A_BUSY);
		assert_int_equal(machine_type(&m, SEL_NEW_TSS), A_TSS16 | A_BUSY);
		assert_int_equal(m.ctx.debug_trap, 0); /* there is no T bit */
	}
}

static void a_16_bit_task_is_saved(void **state)
{
	struct tss16 saved, want;

	open_for(EMUL_TASK_JMP, 0);
	machine_put(&m, SEL_TSS, machine_descriptor(MACHINE_TSS, 43, A_TSS16 | A_BUSY));
	machine_set_segment(&m, SEG_TR, SEL_TSS);
	m.segments[SEG_TR].limit = 41; /* just what is saved */
	memset(m.memory + MACHINE_TSS, 0xee, 104);
	memset(&want, 0xee, sizeof(want));
	want.ip = 0x7000;
	want.flags = (OLD_FLAGS | 2) & 0xffff;
	want.ax = 0x1111, want.cx = 0x2222, want.dx = 0x3333, want.bx = 0x4444, want.sp = MACHINE_STACK;
	want.bp = 0x6666, want.si = 0x7777, want.di = 0x8888;
	want.es = want.ss = want.ds = SEL_DATA;
	want.cs = SEL_CODE;
	assert_int_equal(do_switch(EMUL_TASK_JMP), EMUL_DONE);
	memcpy(&saved, m.memory + MACHINE_TSS, sizeof(saved));
	assert_memory_equal(&saved, &want, sizeof(want));
	assert_int_equal(machine_peek(&m, MACHINE_TSS + 44, 4), 0xeeeeeeee);
	assert_int_equal(machine_type(&m, SEL_TSS), A_TSS16);
}

static void tables_are_loaded_with_paging(void **state)
{
	open_for(EMUL_TASK_JMP, 0);
	m.ctx.cr0 = m.cr[0] = X86_CR0_PE | X86_CR0_PG;
	m.cr[3] = 0x55000;
	assert_int_equal(do_switch(EMUL_TASK_JMP), EMUL_DONE);
	assert_int_equal(m.cr[3], 0x77000);
	assert_int_equal(m.cr3_loads, 1);
	open_for(EMUL_TASK_JMP, 0);
	m.ctx.cr0 = m.cr[0] = X86_CR0_PE | X86_CR0_PG;
	m.cr[3] = 0x77000; /* the same: not again */
	assert_int_equal(do_switch(EMUL_TASK_JMP), EMUL_DONE);
	assert_int_equal(m.cr3_loads, 0);
	open_small(EMUL_TASK_JMP); /* has none */
	m.ctx.cr0 = m.cr[0] = X86_CR0_PE | X86_CR0_PG;
	assert_int_equal(do_switch(EMUL_TASK_JMP), EMUL_DONE);
	assert_int_equal(m.cr3_loads, 0);
	open_for(EMUL_TASK_JMP, 0);
	m.ctx.cr0 = m.cr[0] = X86_CR0_PE | X86_CR0_PG;
	m.cr3_is_bad = true;
	expect_fault(&m, do_switch(EMUL_TASK_JMP), EXC_GP, 0);
	assert_true(m.ctx.task_switched);
	assert_int_equal(m.ctx.regs.rip, 0x6000);
}

static void to_an_outer_ring(void **state)
{
	struct tss32 t = task;

	t.cs = SEL_CODE + 27, t.ss = t.ds = t.es = t.gs = SEL_DATA + 27;
	open_for(EMUL_TASK_CALL, 0);
	put_task(&t);
	assert_int_equal(do_switch(EMUL_TASK_CALL), EMUL_DONE);
	assert_int_equal(m.ctx.cpl, 3);
	assert_int_equal(m.segments[SEG_CS].selector, SEL_CODE + 27);
	for (unsigned int i = 0; i < m.access_count; i++)
		assert_false(m.accesses[i].user);
}

static void to_virtual_8086_mode_and_back(void **state)
{
	struct tss32 t = task;

	t.eflags = X86_EFLAGS_VM;
	t.cs = 0x600, t.ss = 0x700, t.ds = 0x111, t.es = 0xffff, t.fs = 0, t.gs = 0x222;
	open_for(EMUL_TASK_CALL, 0);
	put_task(&t);
	assert_int_equal(do_switch(EMUL_TASK_CALL), EMUL_DONE);
	assert_int_equal(m.ctx.cpl, 3);
	assert_int_equal(m.ctx.mode, EMUL_MODE_16);
	for (unsigned int s = 0; s <= SEG_GS; s++) {
		struct segment want = segment_v86((uint16_t)(&t.es)[s]);

		assert_true(segment_same(&m.segments[s], &want));
	}
	assert_int_equal(m.segments[SEG_LDTR].selector, SEL_LDT); /* a descriptor all the same */
	m.ctx.regs.rip = 0x1234;
	assert_int_equal(switch_to(SEL_TSS, EMUL_TASK_IRET), EMUL_DONE);
	assert_int_equal(m.ctx.mode, EMUL_MODE_32);
	assert_int_equal(m.ctx.cpl, 0);
	assert_int_equal(m.ctx.regs.rip, 0x7000);
	assert_int_equal(machine_peek(&m, MACHINE_NEW_TSS + 32, 4), 0x1234);
	assert_int_equal(machine_peek(&m, MACHINE_NEW_TSS + 36, 4), X86_EFLAGS_VM | 2);
	assert_int_equal(machine_peek(&m, MACHINE_NEW_TSS + 76, 4), 0x600);
}

/* EIP is checked against the limit of virtual-8086 mode too. */
static void virtual_8086_code_ends_at_64_kib(void **state)
{
	struct tss32 t = task;

	t.eflags = X86_EFLAGS_VM;
	t.eip = 0x10000;
	open_for(EMUL_TASK_JMP, 0);
	put_task(&t);
	expect_fault(&m, do_switch(EMUL_TASK_JMP), EXC_GP, 0);
}

static void there_and_back_again(void **state)
{
	struct cpu_regs first;

	open_for(EMUL_TASK_CALL, 0);
	m.ctx.regs.rflags &= ~(uint64_t)(X86_EFLAGS_NT | X86_EFLAGS_RF);
	m.segments[SEG_LDTR] = (struct segment){ .access = SEGMENT_UNUSABLE };
	before = m;
	first = m.ctx.regs;
	assert_int_equal(do_switch(EMUL_TASK_CALL), EMUL_DONE);
	assert_int_equal(machine_peek(&m, MACHINE_NEW_TSS, 2), SEL_TSS);
	assert_int_equal(switch_to(SEL_TSS, EMUL_TASK_IRET), EMUL_DONE);
	assert_memory_equal(&m.ctx.regs, &first, sizeof(first));
	for (unsigned int s = 0; s < SEG_COUNT; s++)
		assert_true(segment_same(&m.segments[s], &before.segments[s]));
	assert_int_equal(machine_type(&m, SEL_TSS), A_TSS32 | A_BUSY);
	assert_int_equal(machine_type(&m, SEL_NEW_TSS), A_TSS32);
	assert_int_equal(machine_peek(&m, MACHINE_NEW_TSS + 36, 4), X86_EFLAGS_ZF | 2); /* NT is not saved */
}

/* A task that returns to itself: saved first, then loaded. */
static void to_itself(void **state)
{
	open_for(EMUL_TASK_IRET, 0);
	REG(RSI) = 0xfeedbeef;
	assert_int_equal(switch_to(SEL_TSS, EMUL_TASK_IRET), EMUL_DONE);
	assert_int_equal(REG(RSI), 0xfeedbeef);
	assert_int_equal(m.ctx.regs.rip, 0x7000);
	assert_int_equal(machine_type(&m, SEL_TSS), A_TSS32); /* not busy: as processors have it */
	open_for(EMUL_TASK_JMP, 0);
	expect_fault(&m, switch_to(SEL_TSS, EMUL_TASK_JMP), EXC_GP, SEL_TSS);
}

static void error_codes_are_pushed(void **state)
{
	open_for(EMUL_TASK_GATE, 0);
	assert_int_equal(switch_with_code(0x12345678), EMUL_DONE);
	assert_int_equal(REG(RSP), 0x9efc);
	assert_int_equal(machine_peek(&m, 0x9efc, 4), 0x12345678);
	open_small(EMUL_TASK_GATE);
	assert_int_equal(switch_with_code(0x12345678), EMUL_DONE);
	assert_int_equal(REG(RSP), 0xffff9efe);
	assert_int_equal(machine_peek(&m, 0x9efe, 2), 0x5678);
}

static void an_error_code_without_room(void **state)
{
	struct tss32 t = task;

	t.ss = SEL_FREE, t.esp = 3;
	open_for(EMUL_TASK_GATE, 0);
	machine_put(&m, SEL_FREE, machine_descriptor(0x4000, 0xfff, A_DATA | A_DB));
	put_task(&t);
	expect_fault(&m, switch_with_code(1), EXC_SS, 0);
	assert_int_equal(m.ctx.regs.rip, 0x6000);
	t.cs = SEL_CODE + 27, t.ss = SEL_DATA + 27, t.ds = t.es = t.gs = 0, t.esp = 0x9f00;
	open_for(EMUL_TASK_GATE, 0);
	put_task(&t);
	memset(m.bad + 0x9000, BAD_USER, 0x1000); /* a user's stack is reached as the user */
	expect_fault(&m, switch_with_code(1), EXC_PF, PFERR_WRITE | PFERR_USER);
}

static void the_t_bit_traps(void **state)
{
	struct tss32 t = task;

	t.trap = 1;
	open_for(EMUL_TASK_JMP, 0);
	put_task(&t);
	m.ctx.debug_trap = 1;
	assert_int_equal(do_switch(EMUL_TASK_JMP), EMUL_DONE);
	assert_int_equal(m.ctx.debug_trap, 1 | 1 << 15);
}

static void code_ends_at_its_limit(void **state)
{
	struct tss32 t = task;

	t.cs = SEL_FREE;
	for (unsigned int beyond = 0; beyond < 2; beyond++) {
		open_for(EMUL_TASK_JMP, 0);
		machine_put(&m, SEL_FREE, machine_descriptor(0, 0x6000 - beyond, A_CODE));
		put_task(&t);
		if (beyond)
			expect_fault(&m, do_switch(EMUL_TASK_JMP), EXC_GP, 0);
		else
			assert_int_equal(do_switch(EMUL_TASK_JMP), EMUL_DONE);
		assert_int_equal(m.ctx.mode, EMUL_MODE_16);
	}
}

/* ---- checks before the commit point ------------------------------------------------ */

static void expect_unchanged(uint16_t selector, enum emul_task_source source, unsigned int vector, uint32_t code,
			     int line)
{
	enum emul_status status;

	m.ctx.task_switched = true; /* by one before */
	before = m;
	status = switch_to(selector, source);
	expect_fault_at(&m, status, vector, code, __FILE__, line);
	if (!machine_same(&m, &before) || m.ctx.task_switched)
		fail_msg("line %d: something has changed", line);
}
#define EXPECT(selector, source, vector, code) expect_unchanged(selector, source, vector, code, __LINE__)

static void the_tss_descriptor_is_checked(void **state)
{
	for (unsigned int source = 0; source < ALL_SOURCES; source++) {
		unsigned int refusal = source == EMUL_TASK_IRET ? EXC_TS : EXC_GP;

		for (unsigned int type = 0; type < 32; type++) {
			bool good = source == EMUL_TASK_IRET ? type == 3 || type == 11 : type == 1 || type == 9;

			open_for(source, 0);
			machine_put(&m, SEL_FREE, machine_descriptor(MACHINE_NEW_TSS, 43, type | 0x80));
			if (!good)
				EXPECT(SEL_FREE + 2, source, refusal, SEL_FREE);
			else if (type & 8) /* too small for one of 32 bits */
				EXPECT(SEL_FREE + 2, source, EXC_TS, SEL_FREE);
			machine_put(&m, SEL_FREE, machine_descriptor(MACHINE_NEW_TSS, 42, type));
			EXPECT(SEL_FREE, source, good ? EXC_NP : refusal, SEL_FREE);
			machine_put(&m, SEL_FREE, machine_descriptor(MACHINE_NEW_TSS, 42, type | 0x80));
			EXPECT(SEL_FREE, source, good ? EXC_TS : refusal, SEL_FREE);
			machine_put(&m, SEL_FREE, machine_descriptor(MACHINE_NEW_TSS, 102, type | 0x80));
			if (good && type & 8)
				EXPECT(SEL_FREE, source, EXC_TS, SEL_FREE);
		}
		open_for(source, 0);
		EXPECT(3, source, refusal, 0);
		EXPECT(SEL_NEW_TSS | 4, source, refusal, SEL_NEW_TSS | 4);
		EXPECT(0x8b, source, refusal, 0x88);
	}
}

static void the_old_tss_must_hold_what_is_saved(void **state)
{
	open_for(EMUL_TASK_CALL, 0);
	m.segments[SEG_TR].limit = 94;
	EXPECT(SEL_NEW_TSS, EMUL_TASK_CALL, EXC_TS, SEL_TSS);
	m.segments[SEG_TR].limit = 95;
	assert_int_equal(do_switch(EMUL_TASK_CALL), EMUL_DONE);
	open_for(EMUL_TASK_CALL, 0);
	m.segments[SEG_TR].access = A_TSS16 | A_BUSY;
	m.segments[SEG_TR].limit = 40;
	EXPECT(SEL_NEW_TSS, EMUL_TASK_CALL, EXC_TS, SEL_TSS);
	m.segments[SEG_TR].access = SEGMENT_UNUSABLE;
	m.segments[SEG_TR].limit = ~0u;
	EXPECT(SEL_NEW_TSS, EMUL_TASK_CALL, EXC_TS, SEL_TSS);
}

/* ---- checks after it ---------------------------------------------------------------- */

/* One field of the new task is bad. */
struct bad_task {
	const char *text;
	size_t field;
	uint16_t selector;
	uint32_t access; /* of the descriptor SEL_FREE, with a ring of its own */
	unsigned int vector;
};

#define FIELD(f) offsetof(struct tss32, f)

static const struct bad_task bad_tasks[] = {
	{ "null code", FIELD(cs), 0, 0, EXC_TS },
	{ "null code of ring 3", FIELD(cs), 3, 0, EXC_TS },
	{ "code that is data", FIELD(cs), SEL_FREE, A_DATA, EXC_TS },
	{ "code of another ring", FIELD(cs), SEL_FREE, A_CODE | A_DPL(1), EXC_TS },
	{ "conforming code of an outer ring", FIELD(cs), SEL_FREE, A_CONFORMING | A_DPL(1), EXC_TS },
	{ "code that is not present", FIELD(cs), SEL_FREE, A_CODE & 0x7f, EXC_NP },
	{ "code beyond the table", FIELD(cs), 0xfff0, 0, EXC_TS },
	{ "null stack", FIELD(ss), 0, 0, EXC_TS },
	{ "stack that cannot be written", FIELD(ss), SEL_FREE, A_DATA & ~2u, EXC_TS },
	{ "stack of another ring", FIELD(ss), SEL_FREE, A_DATA | A_DPL(3), EXC_TS },
	{ "stack with another RPL", FIELD(ss), SEL_FREE + 1, A_DATA, EXC_TS },
	{ "stack that is not present", FIELD(ss), SEL_FREE, A_DATA & 0x7f, EXC_SS },
	{ "data that cannot be read", FIELD(ds), SEL_FREE, A_CODE & ~2u, EXC_TS },
	{ "data of an inner ring", FIELD(es), SEL_FREE + 3, A_DATA, EXC_TS },
	{ "data that is not present", FIELD(fs), SEL_FREE, A_DATA & 0x7f, EXC_NP },
	{ "data in a table's gap", FIELD(gs), SEL_FREE, 0, EXC_TS },
	{ "data beyond the LDT", FIELD(gs), 0x24, 0, EXC_TS },
	{ "LDT that is none", FIELD(ldt), SEL_FREE, A_TSS32, EXC_TS },
	{ "LDT that is not present", FIELD(ldt), SEL_FREE, A_LDT & 0x7f, EXC_TS },
	{ "LDT in the LDT", FIELD(ldt), 4, 0, EXC_TS },
};

static void the_new_task_is_checked(void **state)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(bad_tasks); i++) {
		const struct bad_task *b = &bad_tasks[i];
		enum emul_status status;

		open_for(EMUL_TASK_CALL, 0);
		machine_put(&m, SEL_FREE, machine_descriptor(0, ~0u, b->access | A_G | A_DB));
		memcpy(m.memory + MACHINE_NEW_TSS + b->field, &b->selector, 2);
		status = do_switch(EMUL_TASK_CALL);
		if (status != EMUL_EXCEPTION || m.ctx.exception.vector != b->vector ||
		    m.ctx.exception.error_code != (b->selector & 0xfffcu))
			fail_msg("%s: status %d, %u(%#x)", b->text, status, m.ctx.exception.vector,
				 m.ctx.exception.error_code);
		/* It is the new task's: all that needs no check is loaded. */
		assert_true(m.ctx.task_switched);
		assert_int_equal(m.ctx.regs.rip, task.eip);
		assert_int_equal(REG(RSP), task.esp);
		assert_int_equal(m.segments[SEG_TR].selector, SEL_NEW_TSS);
		assert_int_equal(m.cr[0] & X86_CR0_TS, X86_CR0_TS);
		for (unsigned int s = 0; s <= SEG_GS; s++)
			assert_int_equal(m.segments[s].selector,
					 machine_peek(&m, MACHINE_NEW_TSS + 72 + 4 * s, 2));
		assert_int_equal(m.ctx.debug_trap, 0);
	}
}

/* What was not reached has its selector and no more. */
static void segments_behind_a_bad_one_are_not_there(void **state)
{
	struct tss32 t = task;

	t.ss = 0xfff0;
	open_for(EMUL_TASK_JMP, 0);
	put_task(&t);
	expect_fault(&m, do_switch(EMUL_TASK_JMP), EXC_TS, 0xfff0);
	assert_int_equal(m.segments[SEG_CS].access, 0xc09b);
	assert_int_equal(m.segments[SEG_LDTR].access, A_LDT);
	assert_int_equal(m.segments[SEG_SS].access, SEGMENT_UNUSABLE);
	assert_int_equal(m.segments[SEG_DS].access, SEGMENT_UNUSABLE);
	assert_int_equal(m.segments[SEG_DS].selector, SEL_DATA);
	t.ldt = 0xfff0;
	open_for(EMUL_TASK_JMP, 0);
	put_task(&t);
	expect_fault(&m, do_switch(EMUL_TASK_JMP), EXC_TS, 0xfff0);
	assert_int_equal(m.segments[SEG_LDTR].selector, 0xfff0);
	assert_int_equal(m.segments[SEG_LDTR].access, SEGMENT_UNUSABLE);
	assert_int_equal(m.segments[SEG_CS].access, SEGMENT_UNUSABLE);
}

/* ---- every access fails once ---------------------------------------------------------- */

/* As @how, with an error code where there can be one. */
static enum emul_status any_switch(enum emul_task_source source)
{
	return source == EMUL_TASK_GATE ? switch_with_code(0) : do_switch(source);
}

/* @access faults: either nothing has happened, or all has and the new task is at fault. */
static bool fails_late(const struct machine_access *access, enum emul_task_source source)
{
	machine_spoil(&m, access);
	before = m;
	assert_int_equal(any_switch(source), EMUL_EXCEPTION);
	assert_int_equal(m.ctx.exception.vector, EXC_PF);
	if (!m.ctx.task_switched) {
		assert_true(machine_same(&m, &before));
		return false;
	}
	assert_int_equal(m.ctx.exception.cr2.v, access->addr);
	assert_int_equal(m.ctx.regs.rip, 0x6000);
	assert_int_equal(m.segments[SEG_TR].selector, SEL_NEW_TSS);
	assert_int_equal(machine_peek(&m, MACHINE_TSS + 32, 4), 0x7000);
	return true;
}

static void every_access_may_fault(void **state)
{
	static struct machine clean, good;
	unsigned int early = 0, late = 0;

	for (unsigned int kind = 0; kind < 2 * ALL_SOURCES; kind++) {
		enum emul_task_source source = kind % ALL_SOURCES;

		if (kind < ALL_SOURCES)
			open_for(source, 0);
		else
			open_small(source);
		clean = m;
		assert_int_equal(any_switch(source), EMUL_DONE);
		good = m;
		for (unsigned int i = 0; i < good.access_count; i++) {
			m = clean;
			if (fails_late(&good.accesses[i], source))
				late++;
			else
				early++;
		}
	}
	print_message("%u faults before the commit point, %u after it\n", early, late);
	assert_true(early >= 40 && late >= 40);
}

/* An access that stops the VM is the last one. What cannot be done here is left
 * to others only as long as nothing has changed: up to the last probe. */
static void every_access_may_be_the_last(void **state)
{
	static const enum emul_status odd[] = { EMUL_STOP, EMUL_UNKNOWN };
	unsigned int count, probes;

	for (unsigned int kind = 0; kind < 2 * ALL_SOURCES; kind++) {
		enum emul_task_source source = kind % ALL_SOURCES;

		open_for(source, 0);
		before = m;
		assert_int_equal(any_switch(source), EMUL_DONE);
		count = m.access_count;
		probes = machine_count(&m, MACHINE_PROBE);
		for (unsigned int i = 0; i < count; i++) {
			enum emul_status status;

			m = before;
			m.odd_status = odd[kind / ALL_SOURCES];
			m.odd_access = i;
			status = any_switch(source);
			probes -= m.accesses[i].kind == MACHINE_PROBE;
			if (probes || m.accesses[i].kind == MACHINE_PROBE)
				assert_int_equal(status, m.odd_status);
			else
				assert_int_equal(status, EMUL_STOP);
			assert_int_equal(m.access_count, i + 1);
		}
	}
}

/* Each single byte of both TSS that a switch needs. */
static void every_byte_of_a_tss_may_be_away(void **state)
{
	unsigned int faults = 0;

	for (unsigned int source = 0; source < ALL_SOURCES; source++) {
		for (unsigned int n = 0; n < 2 * 104; n++) {
			unsigned int at = n % 104;
			bool new = n >= 104, used = new || (at >= 32 && at < 96);
			enum emul_status status;

			open_for(source, 0);
			m.bad[(new ? MACHINE_NEW_TSS : MACHINE_TSS) + at] = BAD_READ | BAD_WRITE;
			before = m;
			status = do_switch(source);
			assert_int_equal(status, used ? EMUL_EXCEPTION : EMUL_DONE);
			if (!used)
				continue;
			assert_true(machine_same(&m, &before) && !m.ctx.task_switched);
			faults++;
		}
		/* The back link is written by a CALL and a gate only. */
		open_for(source, 0);
		m.bad[MACHINE_NEW_TSS + 1] = BAD_WRITE;
		before = m;
		assert_int_equal(do_switch(source), nests(source) ? EMUL_EXCEPTION : EMUL_DONE);
		assert_true(m.ctx.task_switched || machine_same(&m, &before));
		open_for(source, 0);
		m.bad[MACHINE_NEW_TSS + 2] = BAD_WRITE;
		assert_int_equal(do_switch(source), EMUL_DONE);
	}
	assert_int_equal(faults, 4 * (104 + 64));
}

static void unknown_where_there_are_no_tasks(void **state)
{
	open_for(EMUL_TASK_JMP, 0);
	m.ctx.long_mode = true;
	assert_int_equal(do_switch(EMUL_TASK_JMP), EMUL_UNKNOWN);
	m.ctx.long_mode = false;
	m.ctx.cr0 = 0;
	assert_int_equal(do_switch(EMUL_TASK_JMP), EMUL_UNKNOWN);
	m.ctx.cr0 = X86_CR0_PE;
	m.ctx.system = NULL;
	assert_int_equal(do_switch(EMUL_TASK_JMP), EMUL_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_old_task_is_saved),
		cmocka_unit_test(the_new_task_is_loaded),
		cmocka_unit_test(busy_bits_and_links),
		cmocka_unit_test(flags_of_the_new_task),
		cmocka_unit_test(a_16_bit_task_is_loaded),
		cmocka_unit_test(a_16_bit_task_is_saved),
		cmocka_unit_test(tables_are_loaded_with_paging),
		cmocka_unit_test(to_an_outer_ring),
		cmocka_unit_test(to_virtual_8086_mode_and_back),
		cmocka_unit_test(virtual_8086_code_ends_at_64_kib),
		cmocka_unit_test(there_and_back_again),
		cmocka_unit_test(to_itself),
		cmocka_unit_test(error_codes_are_pushed),
		cmocka_unit_test(an_error_code_without_room),
		cmocka_unit_test(the_t_bit_traps),
		cmocka_unit_test(code_ends_at_its_limit),
		cmocka_unit_test(the_tss_descriptor_is_checked),
		cmocka_unit_test(the_old_tss_must_hold_what_is_saved),
		cmocka_unit_test(the_new_task_is_checked),
		cmocka_unit_test(segments_behind_a_bad_one_are_not_there),
		cmocka_unit_test(every_access_may_fault),
		cmocka_unit_test(every_access_may_be_the_last),
		cmocka_unit_test(every_byte_of_a_tss_may_be_away),
		cmocka_unit_test(unknown_where_there_are_no_tasks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
