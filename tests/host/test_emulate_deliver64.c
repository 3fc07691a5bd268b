// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events delivered in long mode: what is pushed where, which segments and flags
 * the handler gets, and every way in which a delivery can fault, in the order
 * in which a CPU looks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>
#include "lib/compiler.h"
#include "tests/host/emulate_fake.h"

#define IDT 0x2000u
#define GDT 0x3000u
#define LDT 0x3800u
#define TSS 0x5000u
#define RSP0 0x8ff8u   /* not a multiple of 16 */
#define IST3 0xa008u
#define RIP 0xffffffff81234560ull /* of the handler */

#define CS_KERNEL 0x08u
#define CS_USER 0x2bu
#define SS_USER 0x23u
#define CS_CONFORMING 0x30u
#define CS_IN_LDT 0x0cu
#define CS_RING1 0x38u
#define TR_SELECTOR 0x40u

#define FLAT_CODE 0x00af9b000000ffffull /* present, accessed, 64-bit, DPL 0 */
#define BIT(n) (1ull << (n))

#define GATE_INT 0x8eu
#define GATE_TRAP 0x8fu

static struct fake f;
static struct emul_system_ops system_ops;
static struct descriptor_table idt, gdt;
static unsigned int segments_set;

/* The CPU's own accesses, and how many of them there were. */
static unsigned int system_reads, system_writes;

static enum emul_status system_read(struct emul_ctxt *ctx, gva_t addr, void *dst, unsigned int len)
{
	system_reads++;
	return ctx->ops->read(ctx, addr, dst, len);
}

static enum emul_status system_write(struct emul_ctxt *ctx, gva_t addr, const void *src, unsigned int len)
{
	system_writes++;
	return ctx->ops->write(ctx, addr, src, len);
}

static enum emul_status system_probe(struct emul_ctxt *ctx, gva_t addr, unsigned int len)
{
	return ctx->ops->probe_write(ctx, addr, len);
}

static void set_segment(struct emul_ctxt *ctx, enum segment_register s, const struct segment *in)
{
	segments_set++;
	f.segments[s] = *in;
}

static void get_table(struct emul_ctxt *ctx, enum emul_table t, struct descriptor_table *out)
{
	*out = t == EMUL_IDT ? idt : gdt;
}

static void set_gate(unsigned int vector, uint16_t selector, uint8_t rights, unsigned int ist, uint64_t rip)
{
	fake_poke(&f, IDT + 16 * vector, 8, (rip & 0xffff) | (uint64_t)selector << 16 | (uint64_t)ist << 32 |
		  (uint64_t)rights << 40 | (rip >> 16 & 0xffff) << 48);
	fake_poke(&f, IDT + 16 * vector + 8, 8, rip >> 32);
}

static void set_descriptor(uint16_t selector, uint64_t descriptor)
{
	fake_poke(&f, (selector & 4 ? LDT : GDT) + (selector & ~7u), 8, descriptor);
}

static int made(void **state)
{
	fake_open(&f, EMUL_MODE_64);
	system_ops = (struct emul_system_ops){ .read = system_read, .write = system_write,
					       .probe_write = system_probe,
					       .set_segment = set_segment, .get_table = get_table };
	f.ctx.system = &system_ops;
	f.ctx.long_mode = true;
	f.ctx.cr0 = X86_CR0_PE | X86_CR0_PG;
	f.ctx.cr4 = X86_CR4_PAE;
	f.ctx.regs.rflags |= X86_EFLAGS_IF | X86_EFLAGS_NT | X86_EFLAGS_TF | X86_EFLAGS_CF;
	idt = (struct descriptor_table){ IDT, 0x2ff };
	gdt = (struct descriptor_table){ GDT, 0x4f };
	for (unsigned int vector = 0; vector < 0x30; vector++)
		set_gate(vector, CS_KERNEL, GATE_INT, 0, RIP);
	set_descriptor(CS_KERNEL, FLAT_CODE);
	set_descriptor(CS_CONFORMING, FLAT_CODE | BIT(42));
	set_descriptor(CS_RING1, FLAT_CODE | BIT(45));
	set_descriptor(CS_IN_LDT, FLAT_CODE);
	f.segments[SEG_TR] = (struct segment){ .selector = TR_SELECTOR, .access = 0x8b, .limit = 0x67, .base = TSS };
	f.segments[SEG_LDTR] = (struct segment){ .selector = 0x48, .access = 0x82, .limit = 0xf, .base = LDT };
	fake_poke(&f, TSS + 4, 8, RSP0);
	fake_poke(&f, TSS + 0x24 + 2 * 8, 8, IST3);
	segments_set = system_reads = system_writes = 0;
	return 0;
}

static void in_ring_3(void)
{
	f.ctx.cpl = 3;
	f.segments[SEG_CS].selector = CS_USER;
	f.segments[SEG_CS].access |= 0x60;
	f.segments[SEG_SS].selector = SS_USER;
	f.segments[SEG_SS].access |= 0x60;
}

static enum emul_status deliver(uint8_t vector, bool software)
{
	const struct emul_event e = { .vector = vector, .software = software };

	return emul_deliver(&f.ctx, &e);
}

/* rsp as it was, the flags as they were, a return address: from @top down. */
static void assert_frame(uint64_t top, const struct cpu_regs *before, uint16_t cs, uint16_t ss)
{
	assert_int_equal(fake_peek(&f, top - 8, 8), ss);
	assert_int_equal(fake_peek(&f, top - 16, 8), before->gpr[GPR_RSP]);
	assert_int_equal(fake_peek(&f, top - 24, 8), before->rflags);
	assert_int_equal(fake_peek(&f, top - 32, 8), cs);
	assert_int_equal(fake_peek(&f, top - 40, 8), before->rip);
}

static void the_same_ring(void **state)
{
	struct cpu_regs before = f.ctx.regs;
	struct segment ss = f.segments[SEG_SS];

	before.gpr[GPR_RSP] = f.ctx.regs.gpr[GPR_RSP] = FAKE_STACK - 4; /* to be aligned */
	assert_int_equal(deliver(0x20, false), EMUL_DONE);
	assert_frame(FAKE_STACK - 16, &before, f.segments[SEG_DS].selector - 16, ss.selector);
	assert_int_equal(f.ctx.regs.gpr[GPR_RSP], FAKE_STACK - 16 - 40);
	assert_int_equal(f.ctx.regs.rip, RIP);
	assert_int_equal(f.ctx.regs.rflags, X86_EFLAGS_FIXED | X86_EFLAGS_CF);
	assert_int_equal(f.segments[SEG_CS].selector, CS_KERNEL);
	assert_int_equal(f.segments[SEG_CS].access, 0xa09b);
	assert_memory_equal(&f.segments[SEG_SS], &ss, sizeof(ss));
	assert_int_equal(f.ctx.cpl, 0);
	/* Nothing of memory but the frame, in one write. */
	assert_int_equal(fake_count(&f, FAKE_WRITE), 1);
}

static void a_trap_gate_leaves_if(void **state)
{
	set_gate(3, CS_KERNEL, GATE_TRAP, 0, RIP);
	assert_int_equal(deliver(3, true), EMUL_DONE);
	assert_int_equal(f.ctx.regs.rflags, X86_EFLAGS_FIXED | X86_EFLAGS_CF | X86_EFLAGS_IF);
}

static void an_error_code_is_pushed_last(void **state)
{
	const struct emul_event e = { .vector = EXC_PF, .has_error_code = true, .error_code = 0x8000001f };
	struct cpu_regs before = f.ctx.regs;

	assert_int_equal(emul_deliver(&f.ctx, &e), EMUL_DONE);
	assert_frame(FAKE_STACK, &before, 0x10, 0x18);
	assert_int_equal(f.ctx.regs.gpr[GPR_RSP], FAKE_STACK - 48);
	assert_int_equal(fake_peek(&f, FAKE_STACK - 48, 8), 0x8000001f);
}

static void from_ring_3(void **state)
{
	struct cpu_regs before = f.ctx.regs;

	in_ring_3();
	assert_int_equal(deliver(0x20, false), EMUL_DONE);
	assert_frame(RSP0 & ~15u, &before, CS_USER, SS_USER);
	assert_int_equal(f.ctx.regs.gpr[GPR_RSP], (RSP0 & ~15u) - 40);
	assert_int_equal(f.segments[SEG_SS].selector, 0);
	assert_int_equal(f.segments[SEG_SS].access, SEGMENT_UNUSABLE);
	assert_int_equal(f.ctx.cpl, 0);
	assert_int_equal(fake_count(&f, FAKE_WRITE), 1);
	assert_int_equal(system_writes, 1);
}

/* A null SS of ring 1 has the RPL of ring 1. */
static void from_ring_3_to_ring_1(void **state)
{
	in_ring_3();
	fake_poke(&f, TSS + 12, 8, 0x9000);
	set_gate(0x21, CS_RING1, GATE_INT, 0, RIP);
	assert_int_equal(deliver(0x21, false), EMUL_DONE);
	assert_int_equal(f.segments[SEG_SS].selector, 1);
	assert_int_equal(SEGMENT_DPL(f.segments[SEG_SS].access), 1);
	assert_int_equal(f.segments[SEG_CS].selector, CS_RING1 | 1);
	assert_int_equal(f.ctx.regs.gpr[GPR_RSP], 0x9000 - 40);
	assert_int_equal(f.ctx.cpl, 1);
}

/* Out of compatibility mode all of rsp counts, and tables above 4 GiB are reached. */
static void from_32_bit_code(void **state)
{
	struct cpu_regs before = f.ctx.regs;

	in_ring_3();
	f.ctx.mode = EMUL_MODE_32;
	assert_int_equal(deliver(0x20, false), EMUL_DONE);
	assert_frame(RSP0 & ~15u, &before, CS_USER, SS_USER);
	assert_int_equal(f.ctx.mode, EMUL_MODE_64);

	f.ctx.mode = EMUL_MODE_32;
	idt.base = 0xffff800000000000ull;
	assert_int_equal(deliver(0x20, false), EMUL_EXCEPTION);
	assert_int_equal(f.ctx.exception.cr2.v, 0xffff800000000200ull);
	assert_int_equal(f.ctx.mode, EMUL_MODE_32);
}

static void a_conforming_handler_runs_in_ring_3(void **state)
{
	struct cpu_regs before = f.ctx.regs;

	in_ring_3();
	set_gate(0x21, CS_CONFORMING, GATE_INT, 0, RIP);
	assert_int_equal(deliver(0x21, false), EMUL_DONE);
	assert_frame(FAKE_STACK, &before, CS_USER, SS_USER);
	assert_int_equal(f.segments[SEG_CS].selector, CS_CONFORMING | 3);
	assert_int_equal(f.segments[SEG_SS].selector, SS_USER);
	assert_int_equal(f.ctx.cpl, 3);
	assert_int_equal(system_writes, 0); /* as the user */
}

static void the_interrupt_stack_table(void **state)
{
	struct cpu_regs before = f.ctx.regs;

	set_gate(EXC_DF, CS_KERNEL, GATE_INT, 3, RIP);
	assert_int_equal(deliver(EXC_DF, false), EMUL_DONE);
	assert_frame(IST3 & ~15u, &before, 0x10, 0x18);
	assert_int_equal(f.segments[SEG_SS].selector, 0x18); /* the same ring: it stays */
}

static void a_segment_is_marked_accessed_once(void **state)
{
	set_descriptor(CS_KERNEL, FLAT_CODE & ~BIT(40));
	assert_int_equal(deliver(0x20, false), EMUL_DONE);
	assert_int_equal(fake_peek(&f, GDT + CS_KERNEL, 8), FLAT_CODE);
	assert_int_equal(f.segments[SEG_CS].access, 0xa09b);
	assert_int_equal(fake_count(&f, FAKE_WRITE), 2);
}

static void a_segment_of_the_ldt(void **state)
{
	set_gate(0x20, CS_IN_LDT, GATE_INT, 0, RIP);
	assert_int_equal(deliver(0x20, false), EMUL_DONE);
	assert_int_equal(f.segments[SEG_CS].selector, CS_IN_LDT);
}

/* INT n ends the reach of RF; a fault pushes the RF it has set. */
static void rf_in_the_frame(void **state)
{
	f.ctx.regs.rflags |= X86_EFLAGS_RF;
	assert_int_equal(deliver(EXC_UD, false), EMUL_DONE);
	assert_true(fake_peek(&f, FAKE_STACK - 24, 8) & X86_EFLAGS_RF);
	assert_false(f.ctx.regs.rflags & X86_EFLAGS_RF);

	made(state);
	f.ctx.regs.rflags |= X86_EFLAGS_RF;
	assert_int_equal(deliver(0x20, true), EMUL_DONE);
	assert_false(fake_peek(&f, FAKE_STACK - 24, 8) & X86_EFLAGS_RF);
}

/* ---- faults ----------------------------------------------------------------- */

#define NO_CODE UINT32_MAX

/* @code without EXT, which only an event from outside the program adds. */
static void assert_fault(uint8_t vector, enum exception_vector fault, uint32_t code)
{
	bool ext = fault != EXC_PF;

	for (int software = 0; software < 2; software++) {
		static struct fake before;

		before = f;
		segments_set = 0;
		assert_int_equal(deliver(vector, software), EMUL_EXCEPTION);
		assert_int_equal(f.ctx.exception.vector, fault);
		assert_true(f.ctx.exception.has_error_code);
		if (code != NO_CODE)
			assert_int_equal(f.ctx.exception.error_code, code + (ext && !software));
		assert_memory_equal(&f.ctx.regs, &before.ctx.regs, sizeof(before.ctx.regs));
		assert_memory_equal(f.memory, before.memory, sizeof(before.memory));
		assert_int_equal(segments_set, 0);
		assert_int_equal(f.ctx.mode, before.ctx.mode);
		assert_int_equal(f.ctx.cpl, before.ctx.cpl);
	}
}

static void gates(void **state)
{
	idt.limit = 0x20e; /* 1 byte short of vector 20h */
	assert_fault(0x20, EXC_GP, 0x102);
	idt.limit = 0x20f;
	assert_int_equal(deliver(0x20, false), EMUL_DONE);

	made(state);
	for (unsigned int type = 0; type < 32; type++) {
		set_gate(0x20, CS_KERNEL, (uint8_t)(0x80 | type), 0, RIP);
		if (type == 14 || type == 15)
			continue;
		assert_fault(0x20, EXC_GP, 0x102);
	}
	set_gate(0x20, CS_KERNEL, GATE_INT & 0x7f, 0, RIP);
	assert_fault(0x20, EXC_NP, 0x102);
}

/* The DPL of a gate is for programs only, and comes before its presence. */
static void dpl_of_a_gate(void **state)
{
	in_ring_3();
	assert_int_equal(deliver(0x20, true), EMUL_EXCEPTION);
	assert_int_equal(f.ctx.exception.vector, EXC_GP);
	assert_int_equal(f.ctx.exception.error_code, 0x102);
	set_gate(0x20, CS_KERNEL, 0x0e, 0, RIP);
	assert_int_equal(deliver(0x20, true), EMUL_EXCEPTION);
	assert_int_equal(f.ctx.exception.vector, EXC_GP);
	set_gate(0x20, CS_KERNEL, 0xee, 0, RIP);
	assert_int_equal(deliver(0x20, true), EMUL_DONE);
}

static void code_segments(void **state)
{
	static const struct {
		uint64_t descriptor;
		enum exception_vector fault;
	} bad[] = {
		{ 0, EXC_GP },
		{ 0x00cf93000000ffffull, EXC_GP },     /* data */
		{ FLAT_CODE & ~BIT(44), EXC_GP },      /* a system segment */
		{ FLAT_CODE | BIT(45), EXC_GP },       /* DPL 1 from ring 0 */
		{ FLAT_CODE & ~BIT(53), EXC_GP },      /* not 64-bit */
		{ FLAT_CODE | BIT(54), EXC_GP },       /* D and L */
		{ FLAT_CODE & ~BIT(47), EXC_NP },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		set_descriptor(CS_KERNEL, bad[i].descriptor);
		assert_fault(0x20, bad[i].fault, CS_KERNEL);
	}
	set_gate(0x20, 3, GATE_INT, 0, RIP); /* null */
	assert_fault(0x20, EXC_GP, 0);
	set_gate(0x20, 0x53, GATE_INT, 0, RIP); /* beyond the GDT */
	assert_fault(0x20, EXC_GP, 0x50);
	set_gate(0x20, 0x14, GATE_INT, 0, RIP); /* beyond the LDT */
	assert_fault(0x20, EXC_GP, 0x14);
	f.segments[SEG_LDTR].access = SEGMENT_UNUSABLE;
	set_gate(0x20, CS_IN_LDT, GATE_INT, 0, RIP);
	assert_fault(0x20, EXC_GP, CS_IN_LDT);
}

static void stacks(void **state)
{
	f.segments[SEG_TR].limit = 0x24 + 3 * 8 - 2;
	set_gate(0x20, CS_KERNEL, GATE_INT, 3, RIP);
	assert_fault(0x20, EXC_TS, TR_SELECTOR);
	f.segments[SEG_TR].limit++;
	assert_int_equal(deliver(0x20, false), EMUL_DONE);

	made(state);
	f.ctx.regs.gpr[GPR_RSP] = 0x800000000010ull; /* the frame reaches below, its end does not */
	assert_fault(0x20, EXC_SS, 0);
	f.ctx.regs.gpr[GPR_RSP] = 0xffff800000000010ull; /* the other way round */
	assert_fault(0x20, EXC_SS, 0);
	fake_poke(&f, TSS + 0x24 + 2 * 8, 8, 0x8000000000000000ull);
	set_gate(0x20, CS_KERNEL, GATE_INT, 3, RIP);
	assert_fault(0x20, EXC_SS, 0);
}

static void handler_that_is_not_canonical(void **state)
{
	set_gate(0x20, CS_KERNEL, GATE_INT, 0, 0x800000000000ull);
	assert_fault(0x20, EXC_GP, 0);
	f.ctx.regs.gpr[GPR_RSP] = 0x800000000010ull; /* the stack is looked at first */
	assert_fault(0x20, EXC_SS, 0);
}

/* Every table and the stack, not present one after the other. */
static void page_faults(void **state)
{
	static const uint64_t pages[] = { IDT, GDT, TSS, RSP0 - 0x100 };

	in_ring_3();
	set_gate(0x20, CS_KERNEL, 0xee, 0, RIP);
	for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
		f.absent[pages[i] >> PAGE_SHIFT] = true;
		assert_fault(0x20, EXC_PF, NO_CODE);
		assert_int_equal(f.ctx.exception.cr2.v >> PAGE_SHIFT, pages[i] >> PAGE_SHIFT);
		f.absent[pages[i] >> PAGE_SHIFT] = false;
	}
	assert_int_equal(deliver(0x20, true), EMUL_DONE);
}

/* What the CPU pushes first is highest. */
static void where_the_stack_faults(void **state)
{
	f.absent[FAKE_STACK >> PAGE_SHIFT] = true;
	f.ctx.regs.gpr[GPR_RSP] = FAKE_STACK + 16; /* two items above a page border, three below */
	assert_fault(0x20, EXC_PF, PFERR_WRITE);
	assert_int_equal(f.ctx.exception.cr2.v, FAKE_STACK + 8);
	f.absent[FAKE_STACK >> PAGE_SHIFT] = false;
	f.read_only[(FAKE_STACK >> PAGE_SHIFT) - 1] = true;
	assert_fault(0x20, EXC_PF, PFERR_WRITE | PFERR_PRESENT);
	assert_int_equal(f.ctx.exception.cr2.v, FAKE_STACK - 8);
	f.ctx.regs.gpr[GPR_RSP] = FAKE_STACK; /* all below */
	assert_fault(0x20, EXC_PF, PFERR_WRITE | PFERR_PRESENT);
	assert_int_equal(f.ctx.exception.cr2.v, FAKE_STACK - 8);
	f.ctx.regs.gpr[GPR_RSP] = FAKE_STACK + 48; /* all above, up to the border */
	assert_int_equal(deliver(0x20, false), EMUL_DONE);
}

/* A GDT that cannot be written matters only for a segment not yet accessed. */
static void a_read_only_gdt(void **state)
{
	f.read_only[GDT >> PAGE_SHIFT] = true;
	assert_int_equal(deliver(0x20, false), EMUL_DONE);
	made(state);
	f.read_only[GDT >> PAGE_SHIFT] = true;
	set_descriptor(CS_KERNEL, FLAT_CODE & ~BIT(40));
	assert_fault(0x20, EXC_PF, PFERR_WRITE | PFERR_PRESENT);
}

static void needs_the_system(void **state)
{
	f.ctx.system = NULL;
	assert_int_equal(deliver(0x20, false), EMUL_UNKNOWN);
}

#define TEST(t) cmocka_unit_test_setup(t, made)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_same_ring),
		TEST(a_trap_gate_leaves_if),
		TEST(an_error_code_is_pushed_last),
		TEST(from_ring_3),
		TEST(from_ring_3_to_ring_1),
		TEST(from_32_bit_code),
		TEST(a_conforming_handler_runs_in_ring_3),
		TEST(the_interrupt_stack_table),
		TEST(a_segment_is_marked_accessed_once),
		TEST(a_segment_of_the_ldt),
		TEST(rf_in_the_frame),
		TEST(gates),
		TEST(dpl_of_a_gate),
		TEST(code_segments),
		TEST(stacks),
		TEST(handler_that_is_not_canonical),
		TEST(page_faults),
		TEST(where_the_stack_faults),
		TEST(a_read_only_gdt),
		TEST(needs_the_system),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
