// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loads of segment registers: every type, DPL, RPL, CPL and place of a
 * descriptor, for every way to load it, against the rules of the SDM written
 * down as a table. Then what a table does not say.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>
#include "tests/host/emulate_machine.h"

static struct machine m;

/* ---- the rules ------------------------------------------------------------------- */

/* A letter for each value of S and type (SDM vol. 3, "System Descriptor Types",
 * "Code- and Data-Segment Types"): r w data that can be read, written; x c code
 * that can be executed, read too; X C the same, conforming; l LDT; t TSS that
 * is available; - the rest. */
static const char letters[] = "-tl------t------rrwwrrwwxxccXXCC";

/* Conditions on privilege, all of which must hold: two of D (DPL), R (RPL), C
 * (the CPL asked about), O (the CPL of the code that runs), and a relation. */
struct way {
	const char *types, *conditions;
};

struct rule {
	enum segment_load how;
	const char *registers; /* E, C, S, D for ES and CS to GS, L LDTR, T TR */
	bool null_is_fine;
	enum exception_vector bad, absent;
	struct way ways[2];
};

#define DATA_WAYS { { "rwc", "C<D R<D" }, { "C", "" } }
#define STACK_WAYS { { "w", "R=C D=C" } }

static const struct rule rules[] = {
	{ LOAD_DATA, "D", true, EXC_GP, EXC_NP, DATA_WAYS },
	{ LOAD_DATA, "S", false, EXC_GP, EXC_SS, STACK_WAYS },
	{ LOAD_FAR, "C", false, EXC_GP, EXC_NP, { { "xc", "R<C D=C" }, { "XC", "D<C" } } },
	{ LOAD_RETURN, "C", false, EXC_GP, EXC_NP, { { "xc", "O<R D=R" }, { "XC", "O<R D<R" } } },
	{ LOAD_RETURN, "S", false, EXC_GP, EXC_SS, STACK_WAYS },
	{ LOAD_GATE, "C", false, EXC_GP, EXC_NP, { { "xcXC", "D<C" } } },
	{ LOAD_GATE, "S", false, EXC_TS, EXC_SS, STACK_WAYS },
	{ LOAD_TASK, "C", false, EXC_TS, EXC_NP, { { "xc", "D=R" }, { "XC", "D<R" } } },
	{ LOAD_TASK, "S", false, EXC_TS, EXC_SS, STACK_WAYS },
	{ LOAD_TASK, "D", true, EXC_TS, EXC_NP, DATA_WAYS },
	{ LOAD_TASK, "L", true, EXC_TS, EXC_TS, { { "l", "" } } },
	{ LOAD_SYSTEM, "L", true, EXC_GP, EXC_NP, { { "l", "" } } },
	{ LOAD_SYSTEM, "T", false, EXC_GP, EXC_NP, { { "t", "" } } },
};

static const char names[SEG_COUNT + 1] = "DCSDDDLT";

/* One load of one descriptor. */
struct load {
	unsigned int reg, type, dpl, rpl, cpl, old_cpl;
	bool present, local, beyond, null;
};

static int level(const struct load *l, char which)
{
	switch (which) {
	case 'D':
		return (int)l->dpl;
	case 'R':
		return (int)l->rpl;
	case 'C':
		return (int)l->cpl;
	default:
		return (int)l->old_cpl;
	}
}

/* '<' is "not above". */
static bool holds(const struct load *l, const char *conditions)
{
	for (; *conditions; conditions += conditions[3] ? 4 : 3) {
		int a = level(l, conditions[0]), b = level(l, conditions[2]);

		if (conditions[1] == '=' ? a != b : a > b)
			return false;
	}
	return true;
}

static bool allowed(const struct rule *r, const struct load *l)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(r->ways); i++)
		if (r->ways[i].types && strchr(r->ways[i].types, letters[l->type]) && holds(l, r->ways[i].conditions))
			return true;
	return false;
}

/* The vector it must raise, or -1. */
static int expected_fault(const struct rule *r, const struct load *l)
{
	bool global_only = strpbrk(r->registers, "LT") != NULL;

	if (l->null && !l->local)
		return r->null_is_fine ? -1 : (int)r->bad;
	if (l->beyond || (l->local && global_only) || !allowed(r, l))
		return (int)r->bad;
	return l->present ? -1 : (int)r->absent;
}

/* ---- and the machine -------------------------------------------------------------- */

static uint16_t selector_of(const struct load *l)
{
	uint16_t index = l->null ? 0 : l->beyond ? 24 : SEL_LDT / 8;

	return (uint16_t)(index << 3 | (l->local ? 4 : 0) | l->rpl);
}

static void set_up(const struct load *l)
{
	uint16_t selector = selector_of(l);
	uint32_t access = l->type | A_DPL(l->dpl) | (l->present ? 0x80 : 0) | A_DB | A_G;

	m.ctx.cpl = (uint8_t)l->old_cpl;
	m.access_count = 0;
	machine_put(&m, selector, machine_descriptor(0x12345678, 0x9abcdfff, access));
}

/* The RPL of CS is the CPL. */
static uint16_t expected_selector(const struct rule *r, const struct load *l)
{
	uint16_t selector = selector_of(l);

	if (r->how == LOAD_FAR || (r->how == LOAD_GATE && l->reg == SEG_CS && strchr("XC", letters[l->type])))
		return (uint16_t)((selector & ~3u) | l->cpl);
	if (r->how == LOAD_GATE && l->reg == SEG_CS)
		return (uint16_t)((selector & ~3u) | l->dpl);
	return selector;
}

static void check_loaded(const struct rule *r, const struct load *l, const struct segment *got)
{
	uint32_t bit = l->reg == SEG_TR ? 2 : l->reg == SEG_LDTR ? 0 : 1;
	struct segment want = { .selector = expected_selector(r, l), .base = 0x12345678, .limit = 0x9abcdfff };

	if (l->null && !l->local) {
		want = (struct segment){ .selector = selector_of(l), .access = SEGMENT_UNUSABLE };
		assert_true(segment_same(got, &want));
		assert_int_equal(m.access_count, 0);
		return;
	}
	want.access = l->type | A_DPL(l->dpl) | 0x80 | A_DB | A_G | bit;
	assert_true(segment_same(got, &want));
	assert_int_equal(machine_type(&m, selector_of(l)), want.access & 0xff);
	assert_int_equal(machine_count(&m, MACHINE_WRITE), (l->type & bit) == bit ? 0 : 1);
	for (unsigned int i = 0; i < m.access_count; i++) /* the CPU's own, and the one byte */
		assert_true(!m.accesses[i].user && (m.accesses[i].kind == MACHINE_READ || m.accesses[i].len == 1));
}

static void run_load(const struct rule *r, const struct load *l)
{
	int vector = expected_fault(r, l);
	uint16_t selector = selector_of(l);
	struct segment got = { 0 };
	enum emul_status status;

	set_up(l);
	status = segment_fetch(&m.ctx, l->reg, selector, r->how, l->cpl, &got);
	if (vector < 0 ? status != EMUL_DONE : status != EMUL_EXCEPTION || m.ctx.exception.vector != vector)
		fail_msg("how %d register %u: type %u dpl %u rpl %u cpl %u old %u present %d local %d beyond %d "
			 "null %d: status %d vector %u, want %d",
			 r->how, l->reg, l->type, l->dpl, l->rpl, l->cpl, l->old_cpl, l->present, l->local,
			 l->beyond, l->null, status, m.ctx.exception.vector, vector);
	if (vector < 0) {
		check_loaded(r, l, &got);
		return;
	}
	assert_true(m.ctx.exception.has_error_code);
	assert_int_equal(m.ctx.exception.error_code, selector & 0xfffc);
	assert_int_equal(machine_count(&m, MACHINE_WRITE), 0);
}

/* @n picks one of the combinations. */
static struct load load_number(unsigned int reg, unsigned int n)
{
	unsigned int place = n >> 14;

	return (struct load){
		.reg = reg, .type = n & 31, .dpl = n >> 5 & 3, .rpl = n >> 7 & 3, .cpl = n >> 9 & 3,
		.old_cpl = n >> 11 & 3, .present = n >> 13 & 1,
		.local = place & 1, .beyond = place >> 1 == 1, .null = place >> 1 == 2,
	};
}

#define LOADS (6u << 14)

static void every_load_keeps_the_rules(void **state)
{
	unsigned long cases = 0;

	machine_open(&m, 0);
	m.segments[SEG_LDTR].limit = 0xbf;
	for (unsigned int i = 0; i < ARRAY_SIZE(rules); i++) {
		for (unsigned int reg = 0; reg < SEG_COUNT; reg++) {
			if (!strchr(rules[i].registers, names[reg]))
				continue;
			for (unsigned int n = 0; n < LOADS; n++) {
				struct load l = load_number(reg, n);

				run_load(&rules[i], &l);
				cases++;
			}
		}
	}
	print_message("%lu loads\n", cases);
}

/* ---- what the table does not say ------------------------------------------------- */

static void a_descriptor_is_taken_apart(void **state)
{
	struct segment s = descriptor_segment(0x1234, 0x12f9b3456789abcd);

	assert_int_equal(s.selector, 0x1234);
	assert_int_equal(s.base, 0x12456789);
	assert_int_equal(s.limit, 0x9abcdfff);
	assert_int_equal(s.access, 0xf0b3);
	s = descriptor_segment(8, 0x00009b000000ffff);
	assert_int_equal(s.limit, 0xffff);
	assert_int_equal(s.access, 0x9b);
	assert_int_equal(s.base, 0);
	s = descriptor_segment(8, 0x000f00000000ffff);
	assert_int_equal(s.limit, 0xfffff);
	s = descriptor_segment(8, 0x0080000000000000); /* one page */
	assert_int_equal(s.limit, 0xfff);
}

static void the_last_byte_of_a_descriptor_counts(void **state)
{
	struct segment s;

	machine_open(&m, 0);
	m.tables[EMUL_GDT].limit = SEL_DATA + 7;
	assert_int_equal(segment_fetch(&m.ctx, SEG_DS, SEL_DATA, LOAD_DATA, 0, &s), EMUL_DONE);
	m.tables[EMUL_GDT].limit--;
	expect_fault(&m, segment_fetch(&m.ctx, SEG_DS, SEL_DATA, LOAD_DATA, 0, &s), EXC_GP, SEL_DATA);
	machine_put(&m, 0x1c, machine_descriptor(0, 0, A_DATA));
	assert_int_equal(segment_fetch(&m.ctx, SEG_DS, 0x1c, LOAD_DATA, 0, &s), EMUL_DONE);
	m.segments[SEG_LDTR].limit = 0x1e;
	expect_fault(&m, segment_fetch(&m.ctx, SEG_DS, 0x1c, LOAD_DATA, 0, &s), EXC_GP, 0x1c);
	m.segments[SEG_LDTR].limit = 0x1f;
	m.segments[SEG_LDTR].access = SEGMENT_UNUSABLE;
	expect_fault(&m, segment_fetch(&m.ctx, SEG_SS, 0x1c, LOAD_DATA, 0, &s), EXC_GP, 0x1c);
	expect_fault(&m, segment_fetch(&m.ctx, SEG_SS, 0x1f, LOAD_TASK, 0, &s), EXC_TS, 0x1c);
}

static void tables_lie_anywhere(void **state)
{
	uint64_t descriptor = 0, want = machine_descriptor(0x77, 0x66, A_DATA);

	machine_open(&m, 0);
	m.tables[EMUL_GDT].base = 0xfffffff0; /* wraps around, as linear addresses do */
	memcpy(m.memory + 0x18, &want, 8);
	assert_int_equal(descriptor_read(&m.ctx, 0x28, EXC_GP, &descriptor), EMUL_DONE);
	assert_int_equal(descriptor, want);
	assert_int_equal(descriptor_type_address(&m.ctx, 0x2b).v, 0x1d);
}

static void page_faults_of_the_tables_are_passed_on(void **state)
{
	struct segment s;

	machine_open(&m, 3);
	m.bad[MACHINE_GDT + SEL_DATA + 24 + 7] = BAD_READ;
	expect_fault(&m, segment_fetch(&m.ctx, SEG_DS, SEL_DATA + 27, LOAD_DATA, 3, &s), EXC_PF, 0);
	assert_int_equal(m.ctx.exception.cr2.v, MACHINE_GDT + SEL_DATA + 24 + 7);
	m.bad[MACHINE_GDT + SEL_DATA + 24 + 7] = BAD_USER; /* the CPU is not the user */
	m.bad[MACHINE_GDT + SEL_DATA + 24 + 5] = BAD_WRITE;
	expect_fault(&m, segment_fetch(&m.ctx, SEG_DS, SEL_DATA + 27, LOAD_DATA, 3, &s), EXC_PF, PFERR_WRITE);
	machine_put(&m, SEL_DATA + 24, machine_descriptor(0, 0, A_DATA | A_DPL(3) | 1));
	assert_int_equal(segment_fetch(&m.ctx, SEG_DS, SEL_DATA + 27, LOAD_DATA, 3, &s), EMUL_DONE);
}

static void a_check_writes_nothing_and_a_touch_the_rest(void **state)
{
	struct segment s;

	machine_open(&m, 0);
	assert_int_equal(segment_check(&m.ctx, SEG_CS, SEL_CODE, LOAD_FAR, 0, &s), EMUL_DONE);
	assert_int_equal(machine_count(&m, MACHINE_WRITE), 0);
	assert_int_equal(s.access & 1, 0);
	assert_int_equal(segment_touch(&m.ctx, &s), EMUL_DONE);
	assert_int_equal(s.access & 1, 1);
	assert_int_equal(machine_type(&m, SEL_CODE), A_CODE | 1);
	assert_int_equal(segment_touch(&m.ctx, &s), EMUL_DONE); /* set already */
	assert_int_equal(machine_count(&m, MACHINE_WRITE), 1);
}

static void ltr_of_a_16_bit_tss(void **state)
{
	struct segment s;

	machine_open(&m, 0);
	machine_put(&m, SEL_FREE, machine_descriptor(0x6000, 43, A_TSS16));
	assert_int_equal(segment_fetch(&m.ctx, SEG_TR, SEL_FREE, LOAD_SYSTEM, 0, &s), EMUL_DONE);
	assert_int_equal(s.access, A_TSS16 | A_BUSY);
	expect_fault(&m, segment_fetch(&m.ctx, SEG_TR, SEL_FREE, LOAD_SYSTEM, 0, &s), EXC_GP, SEL_FREE);
}

static void virtual_8086_mode_has_paragraphs(void **state)
{
	struct segment s;

	machine_v86(&m);
	m.bad[MACHINE_GDT + 8] = BAD_READ;
	for (unsigned int reg = 0; reg <= SEG_GS; reg++) {
		assert_int_equal(segment_fetch(&m.ctx, reg, 0xfffb, LOAD_DATA, 3, &s), EMUL_DONE);
		assert_int_equal(s.selector, 0xfffb);
		assert_int_equal(s.base, 0xfffb0);
		assert_int_equal(s.limit, 0xffff);
		assert_int_equal(s.access, 0xf3);
	}
	assert_int_equal(m.access_count, 0);
	assert_int_equal(segment_fetch(&m.ctx, SEG_CS, 0, LOAD_FAR, 3, &s), EMUL_DONE);
	assert_int_equal(s.base, 0);
	/* A gate leads out of it; a task's LDT is not of it. */
	expect_fault(&m, segment_fetch(&m.ctx, SEG_CS, 0xfff0, LOAD_GATE, 3, &s), EXC_GP, 0xfff0);
	expect_fault(&m, segment_fetch(&m.ctx, SEG_LDTR, 0xfff0, LOAD_TASK, 3, &s), EXC_TS, 0xfff0);
}

static void real_mode_keeps_limit_and_rights(void **state)
{
	struct segment s;

	machine_real(&m);
	m.segments[SEG_DS] = (struct segment){ .selector = 0x10, .access = 0xc0b2, .limit = ~0u, .base = 0x12345678 };
	assert_int_equal(segment_fetch(&m.ctx, SEG_DS, 0xb800, LOAD_DATA, 0, &s), EMUL_DONE);
	assert_int_equal(s.selector, 0xb800);
	assert_int_equal(s.base, 0xb8000);
	assert_int_equal(s.limit, ~0u);
	assert_int_equal(s.access, 0xc0b2); /* not even the accessed bit */
	m.segments[SEG_DS].access = SEGMENT_UNUSABLE;
	m.segments[SEG_DS].limit = 0;
	assert_int_equal(segment_fetch(&m.ctx, SEG_DS, 0, LOAD_DATA, 0, &s), EMUL_DONE);
	assert_int_equal(s.access, 0x93);
	assert_int_equal(s.limit, 0xffff);
	assert_int_equal(m.access_count, 0);
}

static void unknown_in_long_mode_and_without_a_system(void **state)
{
	struct segment s;

	machine_open(&m, 0);
	m.ctx.long_mode = true;
	assert_int_equal(segment_fetch(&m.ctx, SEG_DS, SEL_DATA, LOAD_DATA, 0, &s), EMUL_UNKNOWN);
	m.ctx.long_mode = false;
	m.ctx.system = NULL;
	assert_int_equal(segment_fetch(&m.ctx, SEG_DS, SEL_DATA, LOAD_DATA, 0, &s), EMUL_UNKNOWN);
}

/* ---- stacks ---------------------------------------------------------------------- */

static void the_tss_names_stacks(void **state)
{
	struct stack s;

	machine_open(&m, 3);
	for (unsigned int ring = 0; ring < 3; ring++) {
		s = (struct stack){ .cpl = ring };
		assert_int_equal(stack_inner(&m.ctx, &s), EMUL_DONE);
		assert_int_equal(s.ss.selector, SEL_DATA + 9 * ring);
		assert_int_equal(s.esp, MACHINE_INNER + 0x100 * ring);
	}
	m.segments[SEG_TR].limit = 25; /* SS2 is at 24 */
	assert_int_equal(stack_inner(&m.ctx, &s), EMUL_DONE);
	m.segments[SEG_TR].limit = 24;
	expect_fault(&m, stack_inner(&m.ctx, &s), EXC_TS, SEL_TSS);

	s.cpl = 1;
	m.ctx.regs.gpr[GPR_RSP] = 0x12345678;
	m.segments[SEG_TR].access = A_TSS16 | A_BUSY;
	machine_poke(&m, MACHINE_TSS + 6, 4, (uint32_t)(SEL_DATA + 9) << 16 | 0x8888);
	m.segments[SEG_TR].limit = 9;
	assert_int_equal(stack_inner(&m.ctx, &s), EMUL_DONE);
	assert_int_equal(s.ss.selector, SEL_DATA + 9);
	assert_int_equal(s.esp, 0x8888);
	m.segments[SEG_TR].limit = 8;
	expect_fault(&m, stack_inner(&m.ctx, &s), EXC_TS, SEL_TSS);
}

/* Of a 16-bit stack, SP comes from the TSS and the upper half of ESP stays, whatever the TSS says of it. */
static void a_16_bit_inner_stack_has_sp(void **state)
{
	struct stack s = { .cpl = 0 };

	machine_open(&m, 3);
	m.ctx.regs.gpr[GPR_RSP] = 0x12345678;
	machine_put(&m, SEL_FREE, machine_descriptor(0, 0xffff, A_DATA));
	machine_poke(&m, MACHINE_TSS + 4, 4, 0xabcd9800);
	machine_poke(&m, MACHINE_TSS + 8, 2, SEL_FREE);
	assert_int_equal(stack_inner(&m.ctx, &s), EMUL_DONE);
	assert_int_equal(s.esp, 0x12349800);
}

static struct stack a_stack(uint32_t access, uint32_t limit, uint32_t esp)
{
	return (struct stack){ .ss = { .access = access, .limit = limit, .base = 0x4000 }, .esp = esp };
}

static const uint32_t items[STACK_ITEMS_MAX] = { 0x11223344, 0x55667788, 0x99aabbcc };

static void pushes_go_down(void **state)
{
	struct stack s = a_stack(0x93 | A_DB, 0xfff, 0x100);

	machine_open(&m, 0);
	assert_int_equal(stack_check(&m.ctx, &s, 3, 4, 0), EMUL_DONE);
	assert_int_equal(stack_push(&m.ctx, &s, items, 3, 4), EMUL_DONE);
	assert_int_equal(s.esp, 0xf4);
	assert_int_equal(machine_peek(&m, 0x40fc, 4), items[0]);
	assert_int_equal(machine_peek(&m, 0x40f4, 4), items[2]);
	assert_int_equal(m.access_count, 1);
	assert_int_equal(stack_push(&m.ctx, &s, items, 2, 2), EMUL_DONE);
	assert_int_equal(s.esp, 0xf0);
	assert_int_equal(machine_peek(&m, 0x40f0, 4), 0x33447788);
}

static void stacks_of_16_bits_wrap(void **state)
{
	struct stack s = a_stack(0x93, 0xffff, 0xaaaa0004);

	machine_open(&m, 0);
	s.ss.base = 0;
	assert_int_equal(stack_check(&m.ctx, &s, 3, 2, 0), EMUL_DONE);
	assert_int_equal(stack_push(&m.ctx, &s, items, 3, 2), EMUL_DONE);
	assert_int_equal(s.esp, 0xaaaafffe);
	assert_int_equal(machine_peek(&m, 0, 4), 0x33447788);
	assert_int_equal(machine_peek(&m, 0xfffe, 2), 0xbbcc);
	s.esp = 3; /* the second word would cross the end */
	assert_int_equal(stack_check(&m.ctx, &s, 1, 2, 0), EMUL_DONE);
	expect_fault(&m, stack_check(&m.ctx, &s, 2, 2, 0x30), EXC_SS, 0x30);
	/* Neither half is written if one cannot be. */
	s.esp = 2;
	for (unsigned int bad = 0; bad < 2; bad++) {
		memset(m.memory, 0, 2);
		memset(m.bad, 0, sizeof(m.bad));
		m.bad[bad ? 0xfffc : 0] = BAD_WRITE;
		memset(m.memory + 0xfffc, 0, 4);
		m.access_count = 0;
		expect_fault(&m, stack_push(&m.ctx, &s, items, 3, 2), EXC_PF, PFERR_WRITE);
		assert_int_equal(machine_peek(&m, 0, 2) | machine_peek(&m, 0xfffc, 4), 0);
		assert_int_equal(machine_count(&m, MACHINE_WRITE), 0);
		assert_int_equal(s.esp, 2);
	}
}

static void stacks_end(void **state)
{
	struct stack s = a_stack(0x93 | A_DB, 0xff, 0x100);

	machine_open(&m, 0);
	assert_int_equal(stack_check(&m.ctx, &s, 5, 4, 0), EMUL_DONE);
	s.esp = 0x101;
	expect_fault(&m, stack_check(&m.ctx, &s, 1, 4, 0), EXC_SS, 0);
	s.esp = 0x13; /* the fifth would be below 0: 4 GiB is beyond the limit */
	assert_int_equal(stack_check(&m.ctx, &s, 4, 4, 0), EMUL_DONE);
	expect_fault(&m, stack_check(&m.ctx, &s, 5, 4, 0), EXC_SS, 0);
	s = a_stack(0x97 | A_DB, 0xff, 0x110); /* expands down: above 0xff */
	assert_int_equal(stack_check(&m.ctx, &s, 4, 4, 0), EMUL_DONE);
	expect_fault(&m, stack_check(&m.ctx, &s, 5, 4, 0), EXC_SS, 0);
	s = a_stack(0x97, 0xff, 0);
	assert_int_equal(stack_check(&m.ctx, &s, 4, 4, 0), EMUL_DONE);
	s.esp = 2;
	expect_fault(&m, stack_check(&m.ctx, &s, 1, 4, 0), EXC_SS, 0);
	s = a_stack(0x91 | A_DB, ~0u, 0x100);
	expect_fault(&m, stack_check(&m.ctx, &s, 1, 4, 0), EXC_SS, 0);
	s = a_stack(SEGMENT_UNUSABLE | 0x93, ~0u, 0x100);
	expect_fault(&m, stack_check(&m.ctx, &s, 1, 4, 0), EXC_SS, 0);
}

static void a_long_frame_is_one_write(void **state)
{
	struct stack s = a_stack(0x93 | A_DB, 0xfff, 0x200);

	machine_open(&m, 0);
	memset(m.memory + 0x4000, 0, 0x1000);
	m.bad[0x4000 + 0x200 - 1] = BAD_WRITE; /* its last byte */
	expect_fault(&m, stack_push(&m.ctx, &s, items, STACK_ITEMS_MAX, 4), EXC_PF, PFERR_WRITE);
	for (unsigned int i = 0; i <= STACK_ITEMS_MAX; i++)
		assert_int_equal(machine_peek(&m, 0x4200 - 4 * i, 4), 0);
	m.bad[0x4000 + 0x200 - 1] = 0;
	m.access_count = 0;
	assert_int_equal(stack_push(&m.ctx, &s, items, STACK_ITEMS_MAX, 4), EMUL_DONE);
	assert_int_equal(machine_count(&m, MACHINE_WRITE), 1);
	assert_int_equal(s.esp, 0x200 - 4 * STACK_ITEMS_MAX);
	assert_int_equal(machine_peek(&m, 0x41fc, 4), items[0]);
	assert_int_equal(machine_peek(&m, 0x41f4, 4), items[2]);
}

static void a_stack_of_ring_3_is_the_users(void **state)
{
	struct stack s = a_stack(0x93 | A_DPL(3) | A_DB, 0xfff, 0x100);

	machine_open(&m, 3);
	memset(m.bad + 0x4000, BAD_USER, 0x1000);
	s.cpl = 3;
	expect_fault(&m, stack_push(&m.ctx, &s, items, 1, 4), EXC_PF, PFERR_WRITE | PFERR_USER);
	s.ss.limit = ~0u; /* and where it wraps */
	s.ss.base = 0x4100;
	s.esp = 4;
	m.access_count = 0;
	expect_fault(&m, stack_push(&m.ctx, &s, items, 2, 4), EXC_PF, PFERR_WRITE | PFERR_USER);
	assert_int_equal(machine_count(&m, MACHINE_WRITE), 0);
	s.cpl = 0; /* on the way to ring 0 */
	assert_int_equal(stack_push(&m.ctx, &s, items, 1, 4), EMUL_DONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_load_keeps_the_rules),
		cmocka_unit_test(a_descriptor_is_taken_apart),
		cmocka_unit_test(the_last_byte_of_a_descriptor_counts),
		cmocka_unit_test(tables_lie_anywhere),
		cmocka_unit_test(page_faults_of_the_tables_are_passed_on),
		cmocka_unit_test(a_check_writes_nothing_and_a_touch_the_rest),
		cmocka_unit_test(ltr_of_a_16_bit_tss),
		cmocka_unit_test(virtual_8086_mode_has_paragraphs),
		cmocka_unit_test(real_mode_keeps_limit_and_rights),
		cmocka_unit_test(unknown_in_long_mode_and_without_a_system),
		cmocka_unit_test(the_tss_names_stacks),
		cmocka_unit_test(pushes_go_down),
		cmocka_unit_test(a_16_bit_inner_stack_has_sp),
		cmocka_unit_test(stacks_of_16_bits_wrap),
		cmocka_unit_test(stacks_end),
		cmocka_unit_test(a_long_frame_is_one_write),
		cmocka_unit_test(a_stack_of_ring_3_is_the_users),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
