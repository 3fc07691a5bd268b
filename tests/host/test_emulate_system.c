// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the processor of this host cannot be asked from a test: real mode, ring
 * 0, transfers between rings, privileged state. The expectations are from the
 * SDM, vol. 2 for each instruction and vol. 3, "Protection".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>
#include "emulate/alu.h"
#include "tests/host/emulate_fake.h"

static struct fake f;

#define STEP(bytes) fake_step(&f, bytes, sizeof(bytes) - 1)
#define REG(r) f.ctx.regs.gpr[GPR_##r]
#define RIP f.ctx.regs.rip
#define FLAGS f.ctx.regs.rflags
#define SELECTOR(s) f.segments[SEG_##s].selector

/* ---- a protected-mode world ----------------------------------------------------- */

#define GDT 0x8000u
#define LDT 0x8400u
#define IDT 0x8800u
#define TSS 0x9000u     /* the present task's */
#define NEXT_TSS 0x9800u /* of the one that can be switched to */
#define INNER_STACK 0xa000u

enum {
	NULL_SELECTOR = 0,
	CODE0 = 0x08, DATA0 = 0x10, CODE3 = 0x18, DATA3 = 0x20,
	CODE16 = 0x28, DATA16 = 0x30, CONFORMING0 = 0x38, NEXT_TASK = 0x40, SOME_LDT = 0x48,
	GATE32 = 0x50, GATE16 = 0x58, TASK_GATE = 0x60, ABSENT_CODE = 0x68, THIS_TASK = 0x70,
	GATE_RING0 = 0x78, EXECUTE_ONLY = 0x80, READ_ONLY = 0x88, ABSENT_GATE = 0x90, DATA1 = 0x98,
	CODE1 = 0xa0, GATE_TO_CONFORMING = 0xa8, ABSENT_DATA = 0xb0, SMALL_CODE = 0xb8, TASK_GATE0 = 0xc0,
	EXPAND_DOWN = 0xc8, INTERRUPT_GATE = 0xd0, GDT_END = 0xd8
};

static uint64_t descriptor(uint32_t base, uint32_t limit, uint8_t access, uint8_t flags)
{
	return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)access << 40 |
	       (uint64_t)(limit >> 16 & 15) << 48 | (uint64_t)flags << 52 | (uint64_t)(base >> 24) << 56;
}

static uint64_t gate(uint16_t selector, uint32_t offset, uint8_t access, uint8_t parameters)
{
	return (offset & 0xffff) | (uint64_t)selector << 16 | (uint64_t)parameters << 32 | (uint64_t)access << 40 |
	       (uint64_t)(offset >> 16) << 48;
}

#define FLAT(access) descriptor(0, 0xfffff, access, 0xc)
static void put(uint16_t selector, uint64_t d) { fake_poke(&f, GDT + selector, 8, d); }

static void fill_gdt(void)
{
	put(CODE0, FLAT(0x9b));
	put(DATA0, FLAT(0x93));
	put(CODE3, FLAT(0xfb));
	put(DATA3, FLAT(0xf3));
	put(CODE16, descriptor(0x2000, 0xffff, 0x9a, 0));
	put(DATA16, descriptor(0x5000, 0xffff, 0x92, 0));
	put(CONFORMING0, FLAT(0x9e));
	put(NEXT_TASK, descriptor(NEXT_TSS, 0x67, 0x89, 0));
	put(SOME_LDT, descriptor(LDT, 0xff, 0x82, 0));
	put(GATE32, gate(CODE0 | 3, 0x2345, 0xec, 2));
	put(GATE16, gate(CODE0, 0x2345, 0xe4, 1));
	put(TASK_GATE, gate(NEXT_TASK, 0, 0xe5, 0));
	put(ABSENT_CODE, FLAT(0x1a));
	put(THIS_TASK, descriptor(TSS, 0x1ff, 0x8b, 0));
	put(GATE_RING0, gate(CODE0, 0x2345, 0x8c, 0));
	put(EXECUTE_ONLY, FLAT(0xf8));
	put(READ_ONLY, FLAT(0xf0));
	put(ABSENT_GATE, gate(CODE0, 0x2345, 0x6c, 0));
	put(DATA1, FLAT(0xb2));
	put(CODE1, FLAT(0xba));
	put(GATE_TO_CONFORMING, gate(CONFORMING0, 0x2345, 0xec, 0));
	put(ABSENT_DATA, FLAT(0x72));
	put(SMALL_CODE, descriptor(0, 0x10ff, 0xfa, 4));
	put(TASK_GATE0, gate(NEXT_TASK, 0, 0x85, 0));
	put(EXPAND_DOWN, descriptor(0, 0x1, 0xf6, 0xc));
	put(INTERRUPT_GATE, gate(CODE0, 0x2345, 0xee, 0));
}

static void hold(enum segment_register s, uint16_t selector, uint64_t base, uint32_t limit, uint32_t access)
{
	f.segments[s] = (struct segment){ .selector = selector, .access = access, .limit = limit, .base = base };
}

static void hold_flat(uint16_t code, uint16_t data, uint32_t dpl)
{
	static const enum segment_register all[] = { SEG_ES, SEG_SS, SEG_DS, SEG_FS, SEG_GS };

	hold(SEG_CS, code, 0, 0xffffffff, 0xc09b | dpl << 5);
	for (unsigned int i = 0; i < ARRAY_SIZE(all); i++)
		hold(all[i], data, 0, 0xffffffff, 0xc093 | dpl << 5);
	f.ctx.cpl = (uint8_t)dpl;
}

/* 32-bit code in ring 0 or 3; a TSS with stacks for the inner rings. */
static void open_ring(unsigned int ring)
{
	fake_open_protected(&f, EMUL_MODE_32);
	fill_gdt();
	f.tables[EMUL_GDT] = (struct descriptor_table){ .base = GDT, .limit = GDT_END - 1 };
	f.tables[EMUL_IDT] = (struct descriptor_table){ .base = IDT, .limit = 0x7ff };
	hold(SEG_TR, THIS_TASK, TSS, 0x1ff, 0x8b);
	hold(SEG_LDTR, SOME_LDT, LDT, 0xff, 0x82);
	fake_poke(&f, TSS + 4, 4, INNER_STACK);
	fake_poke(&f, TSS + 8, 2, DATA0);
	fake_poke(&f, TSS + 12, 4, INNER_STACK - 0x100);
	fake_poke(&f, TSS + 16, 2, DATA1 | 1);
	fake_poke(&f, TSS + 102, 2, 0x80); /* I/O permission bitmap */
	if (ring == 0)
		hold_flat(CODE0, DATA0, 0);
	else
		hold_flat(CODE3 | 3, DATA3 | 3, 3);
}

static void open_v86(unsigned int iopl)
{
	open_ring(3);
	for (unsigned int s = SEG_ES; s <= SEG_GS; s++)
		hold((enum segment_register)s, 0, 0, 0xffff, 0xf3);
	f.ctx.mode = EMUL_MODE_16;
	FLAGS |= X86_EFLAGS_VM | iopl << X86_EFLAGS_IOPL_BIT;
}

/* ---- expectations ------------------------------------------------------------------ */

/* A fault leaves registers and segments, and of memory changes accessed bits at most. */
static void expect_fault(const void *code, unsigned int len, unsigned int vector, uint32_t error_code)
{
	struct segment segments[SEG_COUNT];
	struct cpu_regs before = f.ctx.regs;
	static uint8_t memory[FAKE_MEMORY];
	uint8_t cpl = f.ctx.cpl;

	memcpy(segments, f.segments, sizeof(segments));
	memcpy(f.memory + f.segments[SEG_CS].base + RIP, code, len);
	memcpy(memory, f.memory, GDT);
	if (fake_step(&f, code, len) != EMUL_EXCEPTION)
		fail_msg("no fault");
	if (f.ctx.exception.vector != vector || f.ctx.exception.error_code != error_code)
		fail_msg("vector %u, error code %x", f.ctx.exception.vector, f.ctx.exception.error_code);
	assert_memory_equal(&before, &f.ctx.regs, sizeof(before));
	assert_memory_equal(segments, f.segments, sizeof(segments));
	assert_memory_equal(memory, f.memory, GDT);
	assert_int_equal(f.ctx.cpl, cpl);
}
#define FAULT(bytes, vector, error_code) expect_fault(bytes, sizeof(bytes) - 1, vector, error_code)

/* Run it at FAKE_CODE. */
#define AGAIN(bytes) (RIP = FAKE_CODE, STEP(bytes))

static void expect_stack(uint64_t addr, const uint32_t *items, unsigned int count, unsigned int size)
{
	for (unsigned int i = 0; i < count; i++)
		assert_int_equal(fake_peek(&f, addr + i * size, size), items[i]);
}
#define EXPECT_STACK(addr, size, ...)                                                     \
	do {                                                                              \
		static const uint32_t items_[] = { __VA_ARGS__ };                         \
		expect_stack(addr, items_, ARRAY_SIZE(items_), size);                     \
	} while (0)

/* ---- real mode ---------------------------------------------------------------------- */

static void real_mode_far_transfers(void **state)
{
	fake_open_real(&f);
	assert_int_equal(STEP("\xea\x34\x12\x00\x02"), EMUL_DONE); /* jmp 200h:1234h */
	assert_int_equal(RIP, 0x1234);
	assert_int_equal(SELECTOR(CS), 0x200);
	assert_int_equal(f.segments[SEG_CS].base, 0x2000);
	assert_int_equal(f.segments[SEG_CS].limit, 0xffff);
	assert_int_equal(STEP("\x9a\x78\x56\x00\x01"), EMUL_DONE); /* call 100h:5678h */
	assert_int_equal(RIP, 0x5678);
	assert_int_equal(f.segments[SEG_CS].base, 0x1000);
	assert_int_equal(REG(RSP), FAKE_STACK - 4);
	EXPECT_STACK(FAKE_STACK - 4, 2, 0x1239, 0x200);
	assert_int_equal(fake_count(&f, FAKE_WRITE), 1);
	assert_int_equal(STEP("\xca\x06\x00"), EMUL_DONE); /* retf 6 */
	assert_int_equal(RIP, 0x1239);
	assert_int_equal(SELECTOR(CS), 0x200);
	assert_int_equal(REG(RSP), FAKE_STACK + 6);
	fake_poke(&f, 0x4000, 4, 0x03000042);
	assert_int_equal(STEP("\xff\x2e\x00\x40"), EMUL_DONE); /* jmp far [4000h] */
	assert_int_equal(RIP, 0x42);
	assert_int_equal(f.segments[SEG_CS].base, 0x3000);
	fake_poke(&f, 0x4000, 6, 0x030000012345);
	FAULT("\x66\xff\x2e\x00\x40", EXC_GP, 0); /* 12345h is beyond the limit */
}

static void real_mode_segment_loads(void **state)
{
	fake_open_real(&f);
	f.segments[SEG_ES].limit = 0xffffffff;
	REG(RAX) = 0xffff1234;
	assert_int_equal(STEP("\x8e\xc0"), EMUL_DONE); /* mov es, ax */
	assert_int_equal(SELECTOR(ES), 0x1234);
	assert_int_equal(f.segments[SEG_ES].base, 0x12340);
	assert_int_equal(f.segments[SEG_ES].limit, 0xffffffff); /* "unreal" mode */
	assert_false(f.ctx.interrupt_shadow);
	assert_int_equal(STEP("\x8e\xd0"), EMUL_DONE); /* mov ss, ax */
	assert_true(f.ctx.interrupt_shadow);
	f.segments[SEG_SS].base = 0;
	fake_poke(&f, FAKE_STACK, 4, 0x00100020);
	assert_int_equal(STEP("\x17"), EMUL_DONE); /* pop ss */
	assert_true(f.ctx.interrupt_shadow);
	assert_int_equal(SELECTOR(SS), 0x20);
	assert_int_equal(REG(RSP), FAKE_STACK + 2);
	f.segments[SEG_SS].base = 0;
	assert_int_equal(STEP("\x66\x1f"), EMUL_DONE); /* pop ds, 32 bits */
	assert_false(f.ctx.interrupt_shadow);
	assert_int_equal(REG(RSP), FAKE_STACK + 6);
	assert_int_equal(SELECTOR(DS), 0x10);
	assert_int_equal(STEP("\x66\x06"), EMUL_DONE); /* push es, 32 bits */
	assert_int_equal(fake_peek(&f, FAKE_STACK + 2, 4), 0x1234);
	f.segments[SEG_DS].base = 0;
	fake_poke(&f, 0x4000, 4, 0xabcd5678);
	assert_int_equal(STEP("\xc5\x36\x00\x40"), EMUL_DONE); /* lds si, [4000h] */
	assert_int_equal(REG(RSI), 0x5678);
	assert_int_equal(f.segments[SEG_DS].base, 0xabcd0);
	FAULT("\x8e\xc8", EXC_UD, 0); /* mov cs, ax */
	FAULT("\x8e\xf0", EXC_UD, 0);
}

static void real_mode_interrupts(void **state)
{
	fake_open_real(&f);
	FLAGS |= X86_EFLAGS_IF | X86_EFLAGS_TF | X86_EFLAGS_CF | X86_EFLAGS_RF;
	fake_poke(&f, 0x21 * 4, 4, 0x02000010);
	assert_int_equal(STEP("\xcd\x21"), EMUL_DONE); /* int 21h */
	assert_int_equal(RIP, 0x10);
	assert_int_equal(f.segments[SEG_CS].base, 0x2000);
	EXPECT_STACK(FAKE_STACK - 6, 2, FAKE_CODE + 2, 0, 0x303);
	assert_int_equal(FLAGS, X86_EFLAGS_FIXED | X86_EFLAGS_CF);
	fake_poke(&f, FAKE_STACK - 2, 2, 0xffff);
	assert_int_equal(STEP("\xcf"), EMUL_DONE); /* iret */
	assert_true(f.ctx.nmi_unblocked);
	assert_int_equal(RIP, FAKE_CODE + 2);
	assert_int_equal(SELECTOR(CS), 0);
	assert_int_equal(REG(RSP), FAKE_STACK);
	assert_int_equal(FLAGS, 0x7fd7);
	f.tables[EMUL_IDT].limit = 0x83;
	FAULT("\xcd\x21", EXC_GP, 0x21 * 8 + 2);
	f.tables[EMUL_IDT].limit = 0x3ff;
	fake_poke(&f, 4 * 4, 4, 0x02000044);
	FLAGS &= ~(uint64_t)X86_EFLAGS_OF;
	assert_int_equal(AGAIN("\xce"), EMUL_DONE); /* into */
	assert_int_equal(RIP, FAKE_CODE + 1);
	FLAGS |= X86_EFLAGS_OF;
	assert_int_equal(AGAIN("\xce"), EMUL_DONE);
	assert_int_equal(RIP, 0x44);
}

static void real_mode_iretd(void **state)
{
	fake_open_real(&f);
	FLAGS |= X86_EFLAGS_VIF;
	fake_poke(&f, FAKE_STACK, 4, 0x1111);
	fake_poke(&f, FAKE_STACK + 4, 4, 0xffff0123);
	fake_poke(&f, FAKE_STACK + 8, 4, 0xffffffff);
	assert_int_equal(STEP("\x66\xcf"), EMUL_DONE);
	assert_int_equal(RIP, 0x1111);
	assert_int_equal(SELECTOR(CS), 0x123);
	assert_int_equal(FLAGS, 0x00257fd5 | X86_EFLAGS_VIF | X86_EFLAGS_FIXED); /* VM, VIP, VIF stay */
	assert_int_equal(REG(RSP), FAKE_STACK + 12);
}

static void real_mode_writes_through_cs(void **state)
{
	fake_open_real(&f);
	f.segments[SEG_CS].access = 0x9b;
	REG(RAX) = 0x1234;
	assert_int_equal(STEP("\x2e\xa3\x00\x40"), EMUL_DONE); /* mov cs:[4000h], ax */
	assert_int_equal(fake_peek(&f, 0x4000, 2), 0x1234);
}

/* A stack pointer of 0 is the top; one that passes it goes on at the top. */
static void real_mode_stack_wraps(void **state)
{
	fake_open_real(&f);
	REG(RSP) = 0xabcd0002;
	assert_int_equal(STEP("\x9a\x34\x12\x00\x00"), EMUL_DONE); /* call far */
	assert_int_equal(REG(RSP), 0xabcdfffe);
	assert_int_equal(fake_peek(&f, 0xfffe, 2), FAKE_CODE + 5);
	assert_int_equal(fake_peek(&f, 0, 2), 0);
	assert_int_equal(STEP("\xcb"), EMUL_DONE);
	assert_int_equal(REG(RSP), 0xabcd0002);
	assert_int_equal(RIP, FAKE_CODE + 5);
	REG(RSP) = 1;
	FAULT("\x50", EXC_SS, 0); /* half of a word is beyond the limit */
}

static void instruction_pointer_of_16_bits(void **state)
{
	fake_open_real(&f);
	RIP = 0xfff0;
	assert_int_equal(STEP("\xeb\x7f"), EMUL_DONE); /* jmp +7f wraps */
	assert_int_equal(RIP, 0x71);
	RIP = 0xfffe;
	assert_int_equal(STEP("\x72\x10"), EMUL_DONE); /* not taken: beyond the limit now */
	assert_int_equal(f.ctx.regs.rip, 0x10000);
	assert_int_equal(emul_step(&f.ctx), EMUL_EXCEPTION);
	assert_int_equal(f.ctx.exception.vector, EXC_GP);
}

static void real_mode_has_no_protection(void **state)
{
	fake_open_real(&f);
	FAULT("\x0f\x00\xc8", EXC_UD, 0); /* str */
	FAULT("\x0f\x00\xc0", EXC_UD, 0); /* sldt */
	FAULT("\x0f\x00\xd0", EXC_UD, 0); /* lldt */
	FAULT("\x0f\x00\xe0", EXC_UD, 0); /* verr */
	FAULT("\x0f\x02\xc0", EXC_UD, 0); /* lar */
	FAULT("\x0f\x03\xc0", EXC_UD, 0); /* lsl */
	FAULT("\x63\xc0", EXC_UD, 0);     /* arpl */
}

/* The way of every boot loader into protected mode, and back. */
static void into_protected_mode_and_back(void **state)
{
	fake_open_real(&f);
	fill_gdt();
	fake_poke(&f, 0x4000, 6, (uint64_t)GDT << 16 | (GDT_END - 1));
	assert_int_equal(STEP("\x0f\x01\x16\x00\x40"), EMUL_DONE); /* lgdt [4000h] */
	assert_int_equal(STEP("\x0f\x20\xc0"), EMUL_DONE);         /* mov eax, cr0 */
	assert_int_equal(STEP("\x0c\x01"), EMUL_DONE);             /* or al, 1 */
	assert_int_equal(STEP("\x0f\x22\xc0"), EMUL_DONE);         /* mov cr0, eax */
	assert_int_equal(f.ctx.cr0, 1);
	assert_int_equal(STEP("\x66\xea\x00\x30\x00\x00\x08\x00"), EMUL_DONE); /* jmp dword 8:3000h */
	assert_int_equal(RIP, 0x3000);
	assert_int_equal(f.ctx.mode, EMUL_MODE_32);
	assert_int_equal(f.segments[SEG_CS].limit, 0xffffffff);
	assert_int_equal(STEP("\x66\xb8\x10\x00"), EMUL_DONE); /* mov ax, 10h */
	assert_int_equal(STEP("\x8e\xd8"), EMUL_DONE);         /* mov ds, ax */
	assert_int_equal(f.segments[SEG_DS].limit, 0xffffffff);
	assert_int_equal(STEP("\xea\x00\x10\x00\x00\x28\x00"), EMUL_DONE); /* jmp 28h:1000h, 16 bits */
	assert_int_equal(f.ctx.mode, EMUL_MODE_16);
	assert_int_equal(f.segments[SEG_CS].access & 0xff, 0x9b); /* accessed */
	assert_int_equal(fake_peek(&f, GDT + CODE16 + 5, 1), 0x9b);
	assert_int_equal(STEP("\x0f\x20\xc0\x0f\x22"), EMUL_DONE);
	REG(RAX) &= ~1ull;
	assert_int_equal(STEP("\x0f\x22\xc0"), EMUL_DONE);
	assert_int_equal(STEP("\xea\x00\x20\x00\x00"), EMUL_DONE); /* jmp 0:2000h */
	assert_int_equal(f.segments[SEG_CS].base, 0);
	assert_int_equal(RIP, 0x2000);
	assert_int_equal(f.segments[SEG_DS].limit, 0xffffffff);
}

/* ---- protected mode: transfers -------------------------------------------------------- */

static void far_jumps_within_a_ring(void **state)
{
	open_ring(3);
	assert_int_equal(STEP("\xea\x00\x30\x00\x00\x18\x00"), EMUL_DONE); /* RPL 0 becomes 3 */
	assert_int_equal(SELECTOR(CS), CODE3 | 3);
	assert_int_equal(RIP, 0x3000);
	RIP = FAKE_CODE;
	FAULT("\xea\x00\x30\x00\x00\x00\x00", EXC_GP, 0);           /* null */
	FAULT("\xea\x00\x30\x00\x00\x08\x00", EXC_GP, CODE0);       /* inner */
	FAULT("\xea\x00\x30\x00\x00\x23\x00", EXC_GP, DATA3);       /* no code */
	FAULT("\xea\x00\x30\x00\x00\xfb\xff", EXC_GP, 0xfff8);      /* beyond the table */
	FAULT("\xea\x00\x11\x00\x00\xbb\x00", EXC_GP, 0);           /* beyond the new limit */
	FAULT("\xea\x00\x11\x00\x00\xd0\x00", EXC_GP, INTERRUPT_GATE);
	assert_int_equal(STEP("\xea\xff\x10\x00\x00\xbb\x00"), EMUL_DONE); /* its last byte */
	RIP = FAKE_CODE;
	assert_int_equal(STEP("\xea\x00\x30\x00\x00\x38\x00"), EMUL_DONE); /* conforming: the CPL stays */
	assert_int_equal(SELECTOR(CS), CONFORMING0 | 3);
	assert_int_equal(f.ctx.cpl, 3);
	open_ring(0);
	FAULT("\xea\x00\x30\x00\x00\x18\x00", EXC_GP, CODE3); /* outer */
	FAULT("\xea\x00\x30\x00\x00\x68\x00", EXC_NP, ABSENT_CODE);
	FAULT("\xea\x00\x30\x00\x00\x09\x00", EXC_GP, CODE0); /* RPL above the CPL */
}

static void far_calls_and_returns_within_a_ring(void **state)
{
	open_ring(0);
	assert_int_equal(STEP("\x9a\x00\x30\x00\x00\x08\x00"), EMUL_DONE);
	assert_int_equal(RIP, 0x3000);
	EXPECT_STACK(FAKE_STACK - 8, 4, FAKE_CODE + 7, CODE0);
	assert_int_equal(STEP("\xca\x04\x00"), EMUL_DONE); /* retf 4 */
	assert_int_equal(RIP, FAKE_CODE + 7);
	assert_int_equal(REG(RSP), FAKE_STACK + 4);
	assert_int_equal(STEP("\x66\x9a\x00\x30\x08\x00"), EMUL_DONE); /* 16-bit operands */
	assert_int_equal(REG(RSP), FAKE_STACK);
	EXPECT_STACK(FAKE_STACK, 2, FAKE_CODE + 13, CODE0);
	assert_int_equal(STEP("\x66\xcb"), EMUL_DONE);
	assert_int_equal(RIP, FAKE_CODE + 13);
	f.read_only[6] = true;
	REG(RSP) = FAKE_STACK;
	FAULT("\x9a\x00\x30\x00\x00\x08\x00", EXC_PF, PFERR_WRITE | PFERR_PRESENT);
	hold(SEG_SS, DATA0, 0, FAKE_STACK - 9, 0xc097); /* expand-down: valid is what lies above */
	FAULT("\x9a\x00\x10\x00\x00\x28\x00", EXC_PF, PFERR_WRITE | PFERR_PRESENT);
	f.segments[SEG_SS].limit = FAKE_STACK - 8;
	FAULT("\x9a\x00\x10\x00\x00\x28\x00", EXC_SS, 0);
}

static void returns_are_checked(void **state)
{
	open_ring(3);
	fake_poke(&f, FAKE_STACK, 4, 0x3000);
	fake_poke(&f, FAKE_STACK + 4, 4, CODE0);
	FAULT("\xcb", EXC_GP, CODE0); /* to an inner ring */
	fake_poke(&f, FAKE_STACK + 4, 4, 3);
	FAULT("\xcb", EXC_GP, 0);
	fake_poke(&f, FAKE_STACK + 4, 4, DATA3 | 3);
	FAULT("\xcb", EXC_GP, DATA3);
	fake_poke(&f, FAKE_STACK, 4, 0x1100);
	fake_poke(&f, FAKE_STACK + 4, 4, SMALL_CODE | 3);
	FAULT("\xcb", EXC_GP, 0);
	open_ring(0);
	fake_poke(&f, FAKE_STACK + 4, 4, ABSENT_CODE);
	FAULT("\xcb", EXC_NP, ABSENT_CODE);
	fake_poke(&f, FAKE_STACK + 4, 4, CODE3 | 3);
	fake_poke(&f, FAKE_STACK + 12, 4, 0);
	FAULT("\xcb", EXC_GP, 0); /* null SS */
	fake_poke(&f, FAKE_STACK + 12, 4, DATA0);
	FAULT("\xcb", EXC_GP, DATA0); /* the wrong ring's */
	fake_poke(&f, FAKE_STACK + 12, 4, READ_ONLY | 3);
	FAULT("\xcb", EXC_GP, READ_ONLY);
	fake_poke(&f, FAKE_STACK + 12, 4, ABSENT_DATA | 3);
	FAULT("\xcb", EXC_SS, ABSENT_DATA);
}

static void a_return_to_an_outer_ring_drops_inner_segments(void **state)
{
	open_ring(0);
	fake_poke(&f, FAKE_STACK, 4, 0x3000);
	fake_poke(&f, FAKE_STACK + 4, 4, CODE3 | 3);
	fake_poke(&f, FAKE_STACK + 8 + 8, 4, 0x6000);
	fake_poke(&f, FAKE_STACK + 12 + 8, 4, DATA3 | 3);
	hold(SEG_ES, DATA3, 0, 0xffffffff, 0xc0f3);
	hold(SEG_FS, CONFORMING0, 0, 0xffffffff, 0xc09f);
	hold(SEG_GS, 0, 0, 0, SEGMENT_UNUSABLE);
	assert_int_equal(STEP("\xca\x08\x00"), EMUL_DONE);
	assert_int_equal(RIP, 0x3000);
	assert_int_equal(SELECTOR(CS), CODE3 | 3);
	assert_int_equal(SELECTOR(SS), DATA3 | 3);
	assert_int_equal(REG(RSP), 0x6008); /* parameters are released there, too */
	assert_int_equal(f.ctx.cpl, 3);
	assert_int_equal(SELECTOR(ES), DATA3);
	assert_int_equal(SELECTOR(FS), CONFORMING0);
	assert_int_equal(SELECTOR(DS), 0);
	assert_true(f.segments[SEG_DS].access & SEGMENT_UNUSABLE);
	assert_int_equal(STEP("\xa1\x00\x40\x00\x00"), EMUL_EXCEPTION); /* mov eax, [4000h] */
	assert_int_equal(f.ctx.exception.vector, EXC_GP);
}

static void a_call_gate_to_an_inner_ring(void **state)
{
	open_ring(3);
	f.supervisor[(INNER_STACK >> PAGE_SHIFT) - 1] = true;
	f.supervisor[GDT >> PAGE_SHIFT] = f.supervisor[TSS >> PAGE_SHIFT] = true;
	fake_poke(&f, FAKE_STACK, 8, 0x2222222211111111);
	assert_int_equal(STEP("\x9a\xff\xff\xff\xff\x53\x00"), EMUL_DONE); /* the offset is the gate's */
	assert_int_equal(RIP, 0x2345);
	assert_int_equal(SELECTOR(CS), CODE0);
	assert_int_equal(SELECTOR(SS), DATA0);
	assert_int_equal(f.ctx.cpl, 0);
	assert_int_equal(REG(RSP), INNER_STACK - 24);
	EXPECT_STACK(INNER_STACK - 24, 4, FAKE_CODE + 7, CODE3 | 3, 0x11111111, 0x22222222, FAKE_STACK, DATA3 | 3);
	assert_int_equal(STEP("\xca\x08\x00"), EMUL_DONE); /* and back */
	assert_int_equal(RIP, FAKE_CODE + 7);
	assert_int_equal(f.ctx.cpl, 3);
	assert_int_equal(REG(RSP), FAKE_STACK + 8);
	assert_int_equal(SELECTOR(SS), DATA3 | 3);
	assert_int_equal(SELECTOR(DS), DATA3 | 3);
}

static void a_16_bit_call_gate(void **state)
{
	open_ring(3);
	fake_poke(&f, FAKE_STACK, 2, 0x7777);
	assert_int_equal(STEP("\x9a\x00\x00\x00\x00\x58\x00"), EMUL_DONE);
	assert_int_equal(RIP, 0x2345);
	assert_int_equal(REG(RSP), INNER_STACK - 10);
	EXPECT_STACK(INNER_STACK - 10, 2, FAKE_CODE + 7, CODE3 | 3, 0x7777, FAKE_STACK, DATA3 | 3);
}

static void call_gates_within_a_ring(void **state)
{
	open_ring(0);
	assert_int_equal(STEP("\x9a\x00\x00\x00\x00\x50\x00"), EMUL_DONE);
	assert_int_equal(RIP, 0x2345);
	EXPECT_STACK(FAKE_STACK - 8, 4, FAKE_CODE + 7, CODE0);
	assert_int_equal(AGAIN("\xea\x00\x00\x00\x00\x50\x00"), EMUL_DONE);
	assert_int_equal(RIP, 0x2345);
	assert_int_equal(REG(RSP), FAKE_STACK - 8);
	assert_int_equal(AGAIN("\x9a\x00\x00\x00\x00\x58\x00"), EMUL_DONE); /* 16 bits are pushed */
	assert_int_equal(REG(RSP), FAKE_STACK - 12);
	open_ring(3);
	assert_int_equal(STEP("\x9a\x00\x00\x00\x00\xab\x00"), EMUL_DONE); /* conforming */
	assert_int_equal(SELECTOR(CS), CONFORMING0 | 3);
	assert_int_equal(f.ctx.cpl, 3);
	assert_int_equal(REG(RSP), FAKE_STACK - 8);
}

static void call_gates_are_checked(void **state)
{
	open_ring(3);
	FAULT("\x9a\x00\x00\x00\x00\x7b\x00", EXC_GP, GATE_RING0); /* DPL below the CPL */
	FAULT("\x9a\x00\x00\x00\x00\x93\x00", EXC_NP, ABSENT_GATE);
	FAULT("\xea\x00\x00\x00\x00\x53\x00", EXC_GP, CODE0); /* jmp does not change rings */
	fake_poke(&f, TSS + 8, 2, 0);
	FAULT("\x9a\x00\x00\x00\x00\x53\x00", EXC_TS, 0);
	fake_poke(&f, TSS + 8, 2, DATA3);
	FAULT("\x9a\x00\x00\x00\x00\x53\x00", EXC_TS, DATA3);
	fake_poke(&f, TSS + 8, 2, DATA0);
	f.segments[SEG_TR].limit = 8;
	FAULT("\x9a\x00\x00\x00\x00\x53\x00", EXC_TS, THIS_TASK);
	f.segments[SEG_TR].limit = 0x67;
	f.read_only[(INNER_STACK >> PAGE_SHIFT) - 1] = true;
	FAULT("\x9a\x00\x00\x00\x00\x53\x00", EXC_PF, PFERR_WRITE | PFERR_PRESENT);
	f.read_only[(INNER_STACK >> PAGE_SHIFT) - 1] = false;
	put(DATA0, descriptor(0, INNER_STACK - 5, 0x93, 4));
	FAULT("\x9a\x00\x00\x00\x00\x53\x00", EXC_SS, DATA0);
	put(DATA0, FLAT(0x93));
	put(GATE32, gate(CODE0, 0x2345, 0xec, 31)); /* the caller's stack ends before that */
	f.segments[SEG_SS].limit = FAKE_STACK + 31 * 4 - 2;
	FAULT("\x9a\x00\x00\x00\x00\x53\x00", EXC_SS, 0);
	f.segments[SEG_SS].limit++;
	assert_int_equal(STEP("\x9a\x00\x00\x00\x00\x53\x00"), EMUL_DONE);
	assert_int_equal(REG(RSP), INNER_STACK - 35 * 4);
	open_ring(0);
	FAULT("\x9a\x00\x00\x00\x00\x7b\x00", EXC_GP, GATE_RING0); /* RPL above its DPL */
}

static void interrupts_to_an_inner_ring_and_back(void **state)
{
	open_ring(3);
	fake_poke(&f, IDT + 0x80 * 8, 8, gate(CODE0, 0x2345, 0xee, 0));
	fake_poke(&f, IDT + 0x81 * 8, 8, gate(CODE0, 0x2345, 0x8e, 0));
	fake_poke(&f, IDT + 3 * 8, 8, gate(CODE0, 0x3333, 0xef, 0));
	fake_poke(&f, IDT + 1 * 8, 8, gate(CODE0, 0x1111, 0x8e, 0));
	FLAGS |= X86_EFLAGS_IF | X86_EFLAGS_CF | X86_EFLAGS_RF;
	FAULT("\xcd\x81", EXC_GP, 0x81 * 8 + 2); /* the gate is not for ring 3 */
	assert_int_equal(STEP("\xcd\x80"), EMUL_DONE);
	assert_int_equal(RIP, 0x2345);
	assert_int_equal(f.ctx.cpl, 0);
	EXPECT_STACK(INNER_STACK - 20, 4, FAKE_CODE + 2, CODE3 | 3, 0x203, FAKE_STACK, DATA3 | 3);
	assert_int_equal(FLAGS, X86_EFLAGS_FIXED | X86_EFLAGS_CF);
	fake_poke(&f, INNER_STACK - 12, 4, 0x13202 | X86_EFLAGS_VIF);
	assert_int_equal(STEP("\xcf"), EMUL_DONE);
	assert_int_equal(RIP, FAKE_CODE + 2);
	assert_int_equal(f.ctx.cpl, 3);
	assert_int_equal(REG(RSP), FAKE_STACK);
	assert_int_equal(FLAGS, 0x13202 | X86_EFLAGS_VIF); /* RF and IOPL, too */
	FLAGS &= ~(uint64_t)X86_EFLAGS_IOPL;
	assert_int_equal(AGAIN("\xcc"), EMUL_DONE); /* int3 */
	assert_int_equal(RIP, 0x3333);
	assert_true(FLAGS & X86_EFLAGS_IF); /* a trap gate */
	open_ring(3);
	fake_poke(&f, IDT + 1 * 8, 8, gate(CODE0, 0x1111, 0x8e, 0));
	FLAGS |= X86_EFLAGS_RF;
	assert_int_equal(STEP("\xf1"), EMUL_DONE); /* int1 needs no DPL */
	assert_int_equal(RIP, 0x1111);
	assert_int_equal(fake_peek(&f, INNER_STACK - 12, 4), X86_EFLAGS_FIXED);
}

static void iret_within_a_ring(void **state)
{
	open_ring(3);
	fake_poke(&f, FAKE_STACK, 4, 0x3000);
	fake_poke(&f, FAKE_STACK + 4, 4, CODE3 | 3);
	fake_poke(&f, FAKE_STACK + 8, 4, 0xffffffff & ~X86_EFLAGS_NT);
	assert_int_equal(STEP("\xcf"), EMUL_DONE);
	/* Not IF, IOPL, VM, VIF, VIP in ring 3. */
	assert_int_equal(FLAGS, 0x250dd7 & ~X86_EFLAGS_IF);
	assert_int_equal(REG(RSP), FAKE_STACK + 12);
	open_ring(0);
	fake_poke(&f, FAKE_STACK, 2, 0x3000);
	fake_poke(&f, FAKE_STACK + 2, 2, CODE0);
	fake_poke(&f, FAKE_STACK + 4, 2, 0xffff & ~X86_EFLAGS_NT);
	FLAGS |= X86_EFLAGS_AC | X86_EFLAGS_RF;
	assert_int_equal(STEP("\x66\xcf"), EMUL_DONE);
	assert_int_equal(FLAGS, 0x3fd7 | X86_EFLAGS_AC);
	assert_int_equal(REG(RSP), FAKE_STACK + 6);
	assert_int_equal(RIP, 0x3000);
}

/* The upper half of ESP does not come back from a 16-bit stack. */
static void iret_to_a_16_bit_stack(void **state)
{
	open_ring(0);
	put(DATA16, descriptor(0x5000, 0xffff, 0xf2, 0));
	fake_poke(&f, FAKE_STACK, 4, 0x3000);
	fake_poke(&f, FAKE_STACK + 4, 4, CODE3 | 3);
	fake_poke(&f, FAKE_STACK + 8, 4, 0);
	fake_poke(&f, FAKE_STACK + 12, 4, 0x12345678);
	fake_poke(&f, FAKE_STACK + 16, 4, DATA16 | 3);
	assert_int_equal(STEP("\xcf"), EMUL_DONE);
	assert_int_equal(REG(RSP), 0x5678);
	assert_int_equal(f.segments[SEG_SS].base, 0x5000);
	assert_int_equal(fake_peek(&f, GDT + DATA16 + 5, 1), 0xf3); /* accessed */
}

/* ---- virtual-8086 mode ------------------------------------------------------------------- */

static void iret_to_virtual_8086_mode(void **state)
{
	static const uint32_t frame[] = { 0x1234, 0x0100, 0x23202, 0xabcd7000, 0x10, 0x20, 0x30, 0x40, 0x50 };

	open_ring(0);
	memcpy(f.memory + FAKE_STACK, frame, sizeof(frame));
	assert_int_equal(STEP("\xcf"), EMUL_DONE);
	assert_int_equal(RIP, 0x1234);
	assert_int_equal(f.segments[SEG_CS].base, 0x1000);
	assert_int_equal(f.segments[SEG_SS].base, 0x100);
	assert_int_equal(f.segments[SEG_ES].base, 0x200);
	assert_int_equal(f.segments[SEG_DS].base, 0x300);
	assert_int_equal(f.segments[SEG_FS].base, 0x400);
	assert_int_equal(f.segments[SEG_GS].base, 0x500);
	assert_int_equal(f.segments[SEG_GS].access, 0xf3);
	assert_int_equal(REG(RSP), 0xabcd7000);
	assert_int_equal(FLAGS, 0x23202);
	assert_int_equal(f.ctx.cpl, 3);
	assert_int_equal(f.ctx.mode, EMUL_MODE_16);
	open_ring(0);
	memcpy(f.memory + FAKE_STACK, frame, sizeof(frame));
	fake_poke(&f, FAKE_STACK, 4, 0x10000);
	FAULT("\xcf", EXC_GP, 0);
	open_ring(3); /* not from there: VM is ignored */
	memcpy(f.memory + FAKE_STACK, frame, sizeof(frame));
	fake_poke(&f, FAKE_STACK + 4, 4, CODE3 | 3);
	assert_int_equal(STEP("\xcf"), EMUL_DONE);
	assert_int_equal(FLAGS, 0x2);
}

static void virtual_8086_mode_looks_at_iopl(void **state)
{
	static const char *const sensitive[] = { "\xfa", "\xfb", "\x9c", "\x9d", "\xcd\x21", "\xcf" };

	for (unsigned int i = 0; i < ARRAY_SIZE(sensitive); i++) {
		unsigned int len = (unsigned int)strlen(sensitive[i]);

		open_v86(2);
		expect_fault(sensitive[i], len, EXC_GP, 0);
		f.ctx.cr4 = X86_CR4_PVI; /* of protected mode */
		expect_fault(sensitive[i], len, EXC_GP, 0);
		f.ctx.cr4 = X86_CR4_VME;
		f.ctx.system = NULL; /* IF is virtual: the processor's turn */
		assert_int_equal(fake_step(&f, sensitive[i], len), EMUL_UNKNOWN);
		open_v86(3);
		fake_poke(&f, IDT + 0x21 * 8, 8, gate(CODE0, 0x2345, 0xee, 0));
		assert_int_equal(fake_step(&f, sensitive[i], len), EMUL_DONE);
	}
}

static void open_vme(uint64_t flags)
{
	open_v86(0);
	f.ctx.cr4 = X86_CR4_VME;
	FLAGS |= flags;
}

/* With VME, below IOPL 3: VIF is what the program has for IF, and IF stays as it is. */
static void virtual_interrupt_flag(void **state)
{
	open_vme(X86_EFLAGS_VIF | X86_EFLAGS_IF);
	assert_int_equal(STEP("\xfa"), EMUL_DONE); /* cli */
	assert_int_equal(FLAGS & (X86_EFLAGS_VIF | X86_EFLAGS_IF), X86_EFLAGS_IF);
	assert_int_equal(AGAIN("\x9c"), EMUL_DONE); /* pushf */
	assert_int_equal(fake_peek(&f, FAKE_STACK - 2, 2), 0x3002);
	assert_int_equal(AGAIN("\xfb"), EMUL_DONE); /* sti */
	assert_int_equal(FLAGS & (X86_EFLAGS_VIF | X86_EFLAGS_IF), X86_EFLAGS_VIF | X86_EFLAGS_IF);
	assert_false(f.ctx.interrupt_shadow);
	FLAGS &= ~(uint64_t)X86_EFLAGS_IF;
	assert_int_equal(AGAIN("\x9c"), EMUL_DONE);
	assert_int_equal(fake_peek(&f, FAKE_STACK - 4, 2), 0x3202);
	FLAGS |= X86_EFLAGS_VIP; /* an interrupt waits: the monitor wants to know */
	RIP = FAKE_CODE;
	FAULT("\xfb", EXC_GP, 0);
	assert_int_equal(STEP("\xfa"), EMUL_DONE);
	/* Operands of 32 bits have no such thing. */
	RIP = FAKE_CODE;
	FAULT("\x66\x9c", EXC_GP, 0);
	FAULT("\x66\x9d", EXC_GP, 0);
	FAULT("\x66\xcf", EXC_GP, 0);
}

/* On the stack for popf or iret, which goes on nearby. */
static void load_v86_flags(uint16_t flags, bool by_iret)
{
	fake_poke(&f, FAKE_STACK, 2, by_iret ? FAKE_CODE + 0x10 : flags);
	fake_poke(&f, FAKE_STACK + 2, 2, 0);
	fake_poke(&f, FAKE_STACK + 4, 2, flags);
}

static void loading_the_virtual_interrupt_flag(void **state)
{
	static const char *const code[] = { "\x9d", "\xcf" };

	for (unsigned int i = 0; i < 2; i++) {
		open_vme(X86_EFLAGS_IF);
		load_v86_flags(0x72d7, i); /* IF, IOPL, NT; not TF */
		assert_int_equal(fake_step(&f, code[i], 1), EMUL_DONE);
		assert_int_equal(FLAGS, X86_EFLAGS_VM | X86_EFLAGS_VIF | X86_EFLAGS_IF | 0x40d7);
		assert_int_equal(REG(RSP), FAKE_STACK + (i ? 6 : 2));
		open_vme(X86_EFLAGS_IF | X86_EFLAGS_VIF | X86_EFLAGS_VIP);
		load_v86_flags(0, i);
		assert_int_equal(fake_step(&f, code[i], 1), EMUL_DONE);
		assert_int_equal(FLAGS, X86_EFLAGS_VM | X86_EFLAGS_VIP | X86_EFLAGS_IF | 2);
		open_vme(X86_EFLAGS_VIP);
		load_v86_flags(X86_EFLAGS_IF, i);
		expect_fault(code[i], 1, EXC_GP, 0);
		open_vme(0);
		load_v86_flags(X86_EFLAGS_TF, i);
		expect_fault(code[i], 1, EXC_GP, 0);
		open_v86(3); /* IOPL suffices: IF is IF, and TF may be set */
		f.ctx.cr4 = X86_CR4_VME;
		FLAGS |= X86_EFLAGS_VIP;
		load_v86_flags(X86_EFLAGS_IF | X86_EFLAGS_TF, i);
		assert_int_equal(fake_step(&f, code[i], 1), EMUL_DONE);
		assert_int_equal(FLAGS, X86_EFLAGS_VM | X86_EFLAGS_VIP | 0x3302);
	}
}

static void int_n_with_vme(void **state)
{
	open_vme(X86_EFLAGS_VIF);
	fake_poke(&f, TSS + 102, 2, 0x100);
	memset(f.memory + TSS + 0xe0, 0, 0x20);
	fake_poke(&f, 0x21 * 4, 4, 0x00501234);
	assert_int_equal(STEP("\xcd\x21"), EMUL_DONE);
	assert_int_equal(f.segments[SEG_CS].base, 0x500);
	assert_int_equal(RIP, 0x1234);
	EXPECT_STACK(FAKE_STACK - 6, 2, FAKE_CODE + 2, 0, 0x3202);
	assert_int_equal(FLAGS, X86_EFLAGS_VM | 2);
	open_vme(0);
	fake_poke(&f, TSS + 102, 2, 0x100);
	memset(f.memory + TSS + 0xe0, 0xff, 0x20);
	FAULT("\xcd\x21", EXC_GP, 0);
	open_vme(0); /* INT3 is not asked about */
	fake_poke(&f, IDT + EXC_BP * 8, 8, gate(CODE0, 0x2345, 0xee, 0));
	assert_int_equal(STEP("\xcc"), EMUL_DONE);
	assert_int_equal(f.ctx.cpl, 0);
}

static void virtual_8086_mode_far_transfers_and_flags(void **state)
{
	open_v86(3);
	assert_int_equal(STEP("\xea\x00\x20\x00\x01"), EMUL_DONE);
	assert_int_equal(f.segments[SEG_CS].base, 0x1000);
	assert_int_equal(f.segments[SEG_CS].access, 0xf3);
	assert_int_equal(RIP, 0x2000);
	FLAGS |= X86_EFLAGS_IF;
	assert_int_equal(STEP("\x9c"), EMUL_DONE); /* pushf */
	assert_int_equal(fake_peek(&f, FAKE_STACK - 2, 2), 0x3202);
	fake_poke(&f, FAKE_STACK - 2, 2, 0x4d7);
	assert_int_equal(STEP("\x9d"), EMUL_DONE); /* popf: IF but not IOPL */
	assert_int_equal(FLAGS, 0x234d7 | 0x2);
	fake_poke(&f, FAKE_STACK, 2, 0x1111);
	fake_poke(&f, FAKE_STACK + 2, 2, 0x22);
	fake_poke(&f, FAKE_STACK + 4, 2, 0x0202);
	assert_int_equal(STEP("\xcf"), EMUL_DONE);
	assert_int_equal(FLAGS, 0x23202);
	assert_int_equal(f.segments[SEG_CS].base, 0x220);
	FAULT("\x0f\x00\xc8", EXC_UD, 0); /* str */
	FAULT("\xf4", EXC_GP, 0);
	FAULT("\x0f\x01\x16\x00\x40", EXC_GP, 0); /* lgdt */
}

static void an_interrupt_leaves_virtual_8086_mode(void **state)
{
	open_v86(3);
	fake_poke(&f, IDT + 0x21 * 8, 8, gate(CODE0, 0x2345, 0xee, 0));
	hold(SEG_DS, 0x123, 0x1230, 0xffff, 0xf3);
	assert_int_equal(STEP("\xcd\x21"), EMUL_DONE);
	assert_int_equal(f.ctx.cpl, 0);
	assert_int_equal(f.ctx.mode, EMUL_MODE_32);
	EXPECT_STACK(INNER_STACK - 36, 4, FAKE_CODE + 2, 0, 0x23002, FAKE_STACK, 0, 0, 0x123, 0, 0);
	assert_int_equal(STEP("\xcf"), EMUL_DONE);
	assert_int_equal(f.segments[SEG_DS].base, 0x1230);
	assert_int_equal(FLAGS, 0x23002);
}

/* ---- tasks ----------------------------------------------------------------------------------- */

static void fill_next_task(void)
{
	fake_poke(&f, NEXT_TSS + 32, 4, 0x3000); /* EIP */
	fake_poke(&f, NEXT_TSS + 36, 4, X86_EFLAGS_FIXED);
	fake_poke(&f, NEXT_TSS + 40, 4, 0xaaaa); /* EAX */
	fake_poke(&f, NEXT_TSS + 56, 4, 0x6000); /* ESP */
	fake_poke(&f, NEXT_TSS + 76, 4, CODE0);
	for (unsigned int at = 72; at <= 92; at += 4)
		if (at != 76)
			fake_poke(&f, NEXT_TSS + at, 4, DATA0);
}

static void expect_in_next_task(void)
{
	assert_int_equal(RIP, 0x3000);
	assert_int_equal(REG(RAX), 0xaaaa);
	assert_int_equal(REG(RSP), 0x6000);
	assert_int_equal(SELECTOR(TR), NEXT_TASK);
	assert_int_equal(f.ctx.cpl, 0);
}

static void tasks_are_called_and_return(void **state)
{
	open_ring(3);
	fill_next_task();
	FAULT("\x9a\x00\x00\x00\x00\x43\x00", EXC_GP, NEXT_TASK); /* its DPL is 0 */
	FAULT("\x9a\x00\x00\x00\x00\xc3\x00", EXC_GP, TASK_GATE0);
	REG(RBX) = 0xbbbb;
	assert_int_equal(STEP("\x9a\x00\x00\x00\x00\x63\x00"), EMUL_DONE); /* call a task gate */
	expect_in_next_task();
	assert_true(FLAGS & X86_EFLAGS_NT);
	assert_int_equal(fake_peek(&f, TSS + 32, 4), FAKE_CODE + 7);
	assert_int_equal(fake_peek(&f, NEXT_TSS, 2), THIS_TASK);
	assert_int_equal(STEP("\xcf"), EMUL_DONE); /* iret with NT */
	assert_true(f.ctx.nmi_unblocked);
	assert_int_equal(RIP, FAKE_CODE + 7);
	assert_int_equal(REG(RBX), 0xbbbb);
	assert_int_equal(f.ctx.cpl, 3);
	assert_int_equal(SELECTOR(TR), THIS_TASK);
	assert_int_equal(fake_peek(&f, GDT + NEXT_TASK + 5, 1), 0x89); /* not busy */
}

static void tasks_are_jumped_to(void **state)
{
	open_ring(0);
	fill_next_task();
	assert_int_equal(STEP("\xea\x00\x00\x00\x00\x40\x00"), EMUL_DONE); /* the TSS itself */
	expect_in_next_task();
	assert_false(FLAGS & X86_EFLAGS_NT);
	assert_int_equal(fake_peek(&f, GDT + THIS_TASK + 5, 1), 0x89);
	open_ring(0);
	fill_next_task();
	put(NEXT_TASK, descriptor(NEXT_TSS, 0x67, 0x8b, 0)); /* busy */
	FAULT("\xea\x00\x00\x00\x00\x40\x00", EXC_GP, NEXT_TASK);
	put(NEXT_TASK, descriptor(NEXT_TSS, 0x66, 0x89, 0));
	FAULT("\xea\x00\x00\x00\x00\x40\x00", EXC_TS, NEXT_TASK);
	put(NEXT_TASK, descriptor(NEXT_TSS, 0x67, 0x09, 0));
	FAULT("\xea\x00\x00\x00\x00\x40\x00", EXC_NP, NEXT_TASK);
}

/* Faults after the point of no return are the new task's. */
static void a_task_that_cannot_run_faults_in_its_own_context(void **state)
{
	open_ring(0);
	fill_next_task();
	fake_poke(&f, NEXT_TSS + 84, 4, CODE3 | 3); /* DS: fine for its RPL, not */
	fake_poke(&f, NEXT_TSS + 76, 4, DATA0);     /* CS: data */
	assert_int_equal(STEP("\xea\x00\x00\x00\x00\x40\x00"), EMUL_EXCEPTION);
	assert_int_equal(f.ctx.exception.vector, EXC_TS);
	assert_int_equal(f.ctx.exception.error_code, DATA0);
	assert_int_equal(RIP, 0x3000);
	assert_int_equal(SELECTOR(TR), NEXT_TASK);
}

static void a_software_interrupt_through_a_task_gate(void **state)
{
	open_ring(0);
	fill_next_task();
	fake_poke(&f, IDT + 0x30 * 8, 8, gate(NEXT_TASK, 0, 0xe5, 0));
	FLAGS |= X86_EFLAGS_RF;
	assert_int_equal(STEP("\xcd\x30"), EMUL_DONE);
	expect_in_next_task();
	assert_int_equal(fake_peek(&f, TSS + 32, 4), FAKE_CODE + 2);
	assert_false(fake_peek(&f, TSS + 36, 4) & X86_EFLAGS_RF);
}

/* ---- segments -------------------------------------------------------------------------------- */

static void segment_loads_are_checked(void **state)
{
	open_ring(3);
	REG(RAX) = DATA0;
	FAULT("\x8e\xd8", EXC_GP, DATA0); /* mov ds, ax */
	REG(RAX) = EXECUTE_ONLY | 3;
	FAULT("\x8e\xd8", EXC_GP, EXECUTE_ONLY);
	REG(RAX) = READ_ONLY | 3;
	FAULT("\x8e\xd0", EXC_GP, READ_ONLY); /* mov ss, ax */
	assert_int_equal(STEP("\x8e\xd8"), EMUL_DONE);
	REG(RAX) = 3;
	assert_int_equal(STEP("\x8e\xd8"), EMUL_DONE); /* null */
	assert_true(f.segments[SEG_DS].access & SEGMENT_UNUSABLE);
	FAULT("\x8e\xd0", EXC_GP, 0);
	fake_poke(&f, FAKE_STACK, 4, ABSENT_DATA | 3);
	FAULT("\x07", EXC_NP, ABSENT_DATA); /* pop es */
	FAULT("\x17", EXC_SS, ABSENT_DATA); /* pop ss */
	fake_poke(&f, FAKE_STACK, 8, (uint64_t)(DATA3 | 3) << 32 | 0x12345678);
	assert_int_equal(STEP("\x36\xc4\x0c\x24"), EMUL_DONE); /* les ecx, ss:[esp] */
	assert_int_equal(REG(RCX), 0x12345678);
	assert_int_equal(SELECTOR(ES), DATA3 | 3);
	fake_poke(&f, FAKE_STACK, 8, (uint64_t)DATA0 << 32 | 0x55555555);
	FAULT("\x36\x0f\xb2\x0c\x24", EXC_GP, DATA0); /* lss */
}

static void ldt_and_task_register(void **state)
{
	open_ring(0);
	f.segments[SEG_TR] = f.segments[SEG_LDTR] = (struct segment){ .access = SEGMENT_UNUSABLE };
	put(NEXT_TASK, descriptor(NEXT_TSS, 0x67, 0x89, 0));
	REG(RAX) = NEXT_TASK;
	FAULT("\x0f\x00\xd0", EXC_GP, NEXT_TASK); /* lldt ax: a TSS */
	assert_int_equal(STEP("\x0f\x00\xd8"), EMUL_DONE); /* ltr ax */
	assert_int_equal(f.segments[SEG_TR].base, NEXT_TSS);
	assert_int_equal(fake_peek(&f, GDT + NEXT_TASK + 5, 1), 0x8b);
	FAULT("\x0f\x00\xd8", EXC_GP, NEXT_TASK); /* busy now */
	REG(RAX) = SOME_LDT;
	assert_int_equal(STEP("\x0f\x00\xd0"), EMUL_DONE);
	assert_int_equal(f.segments[SEG_LDTR].base, LDT);
	assert_int_equal(STEP("\x0f\x00\xc9"), EMUL_DONE); /* str ecx */
	assert_int_equal(REG(RCX), NEXT_TASK);
	REG(RDX) = 0xffffffff;
	assert_int_equal(STEP("\x66\x0f\x00\xc2"), EMUL_DONE); /* sldt dx */
	assert_int_equal(REG(RDX), 0xffff0000 | SOME_LDT);
	fake_poke(&f, LDT + 8, 8, FLAT(0x93));
	REG(RAX) = 0xc;
	assert_int_equal(STEP("\x8e\xd8"), EMUL_DONE); /* mov ds, an LDT selector */
	REG(RAX) = 0;
	assert_int_equal(STEP("\x0f\x00\xd0"), EMUL_DONE); /* lldt null */
	assert_true(f.segments[SEG_LDTR].access & SEGMENT_UNUSABLE);
	REG(RAX) = 0xc;
	FAULT("\x8e\xd8", EXC_GP, 0xc);
	REG(RAX) = 0;
	FAULT("\x0f\x00\xd8", EXC_GP, 0); /* ltr null */
	open_ring(3);
	FAULT("\x0f\x00\xd0", EXC_GP, 0);
	FAULT("\x0f\x00\xd8", EXC_GP, 0);
}

/* Each row: ZF of VERR, VERW, LAR and LSL, and what the last two load. */
static void descriptors_are_asked_about(void **state)
{
	static const struct {
		uint16_t selector;
		bool verr, verw, lar, lsl;
		uint32_t rights, limit;
	} rows[] = {
		{ DATA3 | 3, true, true, true, true, 0xcff300, 0xffffffff },
		{ DATA3, true, true, true, true, 0xcff300, 0xffffffff },
		{ CODE3 | 3, true, false, true, true, 0xcffb00, 0xffffffff },
		{ EXECUTE_ONLY | 3, false, false, true, true, 0xcff800, 0xffffffff },
		{ READ_ONLY | 3, true, false, true, true, 0xcff000, 0xffffffff },
		{ DATA0, false, false, false, false, 0, 0 },
		{ CONFORMING0 | 3, true, false, true, true, 0xcf9e00, 0xffffffff },
		{ SMALL_CODE | 3, true, false, true, true, 0x40fa00, 0x10ff },
		{ GATE32 | 3, false, false, true, false, 0xec00, 0 },
		{ GATE16 | 3, false, false, true, false, 0xe400, 0 },
		{ TASK_GATE | 3, false, false, true, false, 0xe500, 0 },
		{ INTERRUPT_GATE | 3, false, false, false, false, 0, 0 },
		{ EXPAND_DOWN | 3, true, true, true, true, 0xc0f600, 0x1fff },
		{ 0, false, false, false, false, 0, 0 },
		{ 0xfff8, false, false, false, false, 0, 0 },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		open_ring(3);
		REG(RAX) = rows[i].selector;
		REG(RCX) = REG(RDX) = 0x77777777;
		assert_int_equal(STEP("\x0f\x00\xe0"), EMUL_DONE);
		assert_int_equal(!!(FLAGS & X86_EFLAGS_ZF), rows[i].verr);
		assert_int_equal(STEP("\x0f\x00\xe8"), EMUL_DONE);
		assert_int_equal(!!(FLAGS & X86_EFLAGS_ZF), rows[i].verw);
		assert_int_equal(STEP("\x0f\x02\xc8"), EMUL_DONE); /* lar ecx, eax */
		assert_int_equal(!!(FLAGS & X86_EFLAGS_ZF), rows[i].lar);
		assert_int_equal(REG(RCX), rows[i].lar ? rows[i].rights : 0x77777777);
		assert_int_equal(STEP("\x0f\x03\xd0"), EMUL_DONE); /* lsl edx, eax */
		assert_int_equal(!!(FLAGS & X86_EFLAGS_ZF), rows[i].lsl);
		assert_int_equal(REG(RDX), rows[i].lsl ? rows[i].limit : 0x77777777);
	}
	open_ring(0);
	REG(RAX) = THIS_TASK;
	assert_int_equal(STEP("\x66\x0f\x02\xc8"), EMUL_DONE); /* lar cx, ax */
	assert_int_equal(REG(RCX), 0x8b00);
	assert_int_equal(STEP("\x0f\x03\xd0"), EMUL_DONE);
	assert_int_equal(REG(RDX), 0x1ff);
	REG(RAX) = DATA0 | 3; /* asked for by ring 3 */
	assert_int_equal(STEP("\x0f\x00\xe0"), EMUL_DONE);
	assert_false(FLAGS & X86_EFLAGS_ZF);
}

static void arpl_raises_the_rpl(void **state)
{
	open_ring(0);
	REG(RAX) = 0x1234;
	REG(RCX) = 0xffff0003;
	assert_int_equal(STEP("\x63\xc8"), EMUL_DONE); /* arpl ax, cx */
	assert_int_equal(REG(RAX), 0x1237);
	assert_true(FLAGS & X86_EFLAGS_ZF);
	assert_int_equal(STEP("\x63\xc8"), EMUL_DONE);
	assert_int_equal(REG(RAX), 0x1237);
	assert_false(FLAGS & X86_EFLAGS_ZF);
	f.read_only[4] = true;
	FAULT("\x63\x0d\x00\x40\x00\x00", EXC_PF, PFERR_WRITE | PFERR_PRESENT);
}

/* ---- privileged instructions --------------------------------------------------------------- */

static void ring_0_only(void **state)
{
	static const char *const privileged[] = {
		"\xf4",             /* hlt */
		"\x0f\x06",         /* clts */
		"\x0f\x08",         /* invd */
		"\x0f\x09",         /* wbinvd */
		"\x0f\x01\x10",     /* lgdt [eax] */
		"\x0f\x01\x18",     /* lidt [eax] */
		"\x0f\x01\xf0",     /* lmsw ax */
		"\x0f\x01\x38",     /* invlpg [eax] */
		"\x0f\x20\xc0",     /* mov eax, cr0 */
		"\x0f\x22\xd8",     /* mov cr3, eax */
		"\x0f\x21\xf8",     /* mov eax, dr7 */
		"\x0f\x23\xf8",     /* mov dr7, eax */
		"\x0f\x30", "\x0f\x32", /* wrmsr, rdmsr */
		"\x0f\x33",         /* rdpmc */
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(privileged); i++) {
		bool is_rdpmc = privileged[i][1] == 0x33;

		open_ring(3);
		FLAGS |= X86_EFLAGS_IOPL;
		REG(RAX) = 0x4000;
		expect_fault(privileged[i], (unsigned int)strlen(privileged[i]), EXC_GP, 0);
		f.ctx.cpl = 0;
		assert_int_equal(fake_step(&f, privileged[i], (unsigned int)strlen(privileged[i])),
				 is_rdpmc ? EMUL_EXCEPTION : EMUL_DONE);
		f.ctx.system = NULL;
		assert_int_equal(fake_step(&f, privileged[i], (unsigned int)strlen(privileged[i])), EMUL_UNKNOWN);
	}
}

static void system_instructions_are_unknown_in_long_mode(void **state)
{
	static const char *const system[] = { "\xf4", "\xfa", "\xfb", "\xcf", "\xcb", "\xcd\x80", "\x0f\xa2",
					      "\x0f\x31", "\x8e\xd8", "\x0f\xa1", "\x0f\x20\xc0", "\xff\x28" };

	for (unsigned int i = 0; i < ARRAY_SIZE(system); i++) {
		open_ring(0);
		f.ctx.long_mode = true;
		f.ctx.mode = i & 1 ? EMUL_MODE_64 : EMUL_MODE_32;
		assert_int_equal(fake_step(&f, system[i], (unsigned int)strlen(system[i])), EMUL_UNKNOWN);
		assert_true(f.ctx.insn_len > 0);
	}
}

static void interrupt_flag(void **state)
{
	open_ring(3);
	FAULT("\xfa", EXC_GP, 0);
	FAULT("\xfb", EXC_GP, 0);
	f.ctx.cr4 = X86_CR4_VME; /* of virtual-8086 mode */
	FAULT("\xfa", EXC_GP, 0);
	f.ctx.cr4 = X86_CR4_PVI;
	assert_int_equal(AGAIN("\xfb"), EMUL_DONE);
	assert_int_equal(FLAGS, X86_EFLAGS_VIF | X86_EFLAGS_FIXED);
	assert_int_equal(AGAIN("\x9c"), EMUL_DONE); /* pushf is as ever */
	assert_int_equal(fake_peek(&f, REG(RSP), 4), X86_EFLAGS_VIF | X86_EFLAGS_FIXED);
	assert_int_equal(AGAIN("\xfa"), EMUL_DONE);
	assert_int_equal(FLAGS, X86_EFLAGS_FIXED);
	f.ctx.cpl = 2; /* nor is it for rings 1 and 2 */
	RIP = FAKE_CODE;
	FAULT("\xfb", EXC_GP, 0);
	f.ctx.cpl = 3;
	FLAGS |= X86_EFLAGS_IOPL;
	assert_int_equal(STEP("\xfb"), EMUL_DONE);
	assert_true(FLAGS & X86_EFLAGS_IF);
	assert_true(f.ctx.interrupt_shadow);
	assert_int_equal(STEP("\xfb"), EMUL_DONE); /* it was set before */
	assert_false(f.ctx.interrupt_shadow);
	assert_int_equal(STEP("\xfa"), EMUL_DONE);
	assert_false(FLAGS & X86_EFLAGS_IF);
	open_ring(0);
	assert_int_equal(STEP("\xf4"), EMUL_DONE);
	assert_true(f.ctx.halted);
	assert_int_equal(RIP, FAKE_CODE + 1);
	assert_int_equal(STEP("\x90"), EMUL_DONE);
	assert_false(f.ctx.halted);
}

static void popf_by_privilege(void **state)
{
	static const struct {
		unsigned int ring, iopl;
		uint32_t flags;
	} rows[] = {
		{ 0, 0, 0x247fd7 },
		{ 3, 0, 0x244dd7 },
		{ 3, 3, 0x247fd7 },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		open_ring(rows[i].ring);
		FLAGS |= rows[i].iopl << X86_EFLAGS_IOPL_BIT | X86_EFLAGS_RF;
		fake_poke(&f, FAKE_STACK, 4, 0xffffffff);
		assert_int_equal(STEP("\x9d"), EMUL_DONE);
		assert_int_equal(FLAGS, rows[i].flags);
		assert_int_equal(REG(RSP), FAKE_STACK + 4);
	}
	open_ring(0);
	FLAGS |= X86_EFLAGS_AC;
	fake_poke(&f, FAKE_STACK, 4, 0);
	assert_int_equal(STEP("\x66\x9d"), EMUL_DONE); /* 16 bits: the upper half stays */
	assert_int_equal(FLAGS, X86_EFLAGS_FIXED | X86_EFLAGS_AC);
}

static void descriptor_table_registers(void **state)
{
	open_ring(0);
	fake_poke(&f, 0x4000, 6, 0x123456789abc);
	assert_int_equal(STEP("\x0f\x01\x1d\x00\x40\x00\x00"), EMUL_DONE); /* lidt */
	assert_int_equal(f.tables[EMUL_IDT].limit, 0x9abc);
	assert_int_equal(f.tables[EMUL_IDT].base, 0x12345678);
	assert_int_equal(STEP("\x66\x0f\x01\x15\x00\x40\x00\x00"), EMUL_DONE); /* lgdt, 24 bits */
	assert_int_equal(f.tables[EMUL_GDT].base, 0x345678);
	assert_int_equal(STEP("\x66\x0f\x01\x0d\x00\x50\x00\x00"), EMUL_DONE); /* sidt */
	assert_int_equal(fake_peek(&f, 0x5000, 8), 0x123456789abc);
	assert_int_equal(fake_count(&f, FAKE_WRITE), 1);
	assert_int_equal(STEP("\x0f\x01\x05\x00\x50\x00\x00"), EMUL_DONE); /* sgdt */
	assert_int_equal(fake_peek(&f, 0x5000, 6), 0x003456789abc);
}

static void umip_hides_tables_from_user_code(void **state)
{
	static const char *const hidden[] = { "\x0f\x01\x00", "\x0f\x01\x08", "\x0f\x01\xe0", "\x0f\x00\xc0",
					      "\x0f\x00\xc8" }; /* sgdt sidt smsw sldt str */

	for (unsigned int i = 0; i < ARRAY_SIZE(hidden); i++) {
		open_ring(3);
		REG(RAX) = 0x4000;
		assert_int_equal(fake_step(&f, hidden[i], 3), EMUL_DONE);
		REG(RAX) = 0x4000;
		f.ctx.cr4 = 1 << 11;
		expect_fault(hidden[i], 3, EXC_GP, 0);
		f.ctx.cpl = 0;
		assert_int_equal(fake_step(&f, hidden[i], 3), EMUL_DONE);
	}
}

static void control_registers(void **state)
{
	open_ring(0);
	f.cr[3] = 0x1000;
	assert_int_equal(STEP("\x66\x0f\x20\x18"), EMUL_DONE); /* mov eax, cr3: 66 and mod do not matter */
	assert_int_equal(REG(RAX), 0x1000);
	REG(RAX) = 0xffffffff80000011;
	assert_int_equal(STEP("\x0f\x22\xc0"), EMUL_DONE);
	assert_int_equal(f.cr[0], 0x80000011);
	assert_int_equal(f.ctx.cr0, 0x80000011);
	REG(RAX) = 0x20;
	assert_int_equal(STEP("\x0f\x22\xe0"), EMUL_DONE);
	assert_int_equal(f.ctx.cr4, 0x20);
	f.refuse = true;
	FAULT("\x0f\x22\xe0", EXC_GP, 0);
	FAULT("\x0f\x22\xc8", EXC_UD, 0); /* cr1 */
	FAULT("\x0f\x20\xe8", EXC_UD, 0); /* cr5 */
	f.refuse = false;
	REG(RAX) = 0xa;
	assert_int_equal(STEP("\x0f\x01\xf0"), EMUL_DONE); /* lmsw ax: PE stays */
	assert_int_equal(f.cr[0], 0x8000001b);
	assert_int_equal(STEP("\x0f\x06"), EMUL_DONE); /* clts */
	assert_int_equal(f.cr[0], 0x80000013);
	assert_int_equal(STEP("\x0f\x01\xe1"), EMUL_DONE); /* smsw ecx */
	assert_int_equal(REG(RCX), 0x80000013);
	fake_poke(&f, 0x4000, 4, 0x77777777);
	assert_int_equal(STEP("\x0f\x01\x25\x00\x40\x00\x00"), EMUL_DONE);
	assert_int_equal(fake_peek(&f, 0x4000, 4), 0x77770013);
	REG(RAX) = 0x400;
	assert_int_equal(STEP("\x0f\x23\xf8"), EMUL_DONE); /* mov dr7, eax */
	assert_int_equal(f.dr[7], 0x400);
	assert_int_equal(STEP("\x0f\x21\xfb"), EMUL_DONE);
	assert_int_equal(REG(RBX), 0x400);
}

static void machine_specific_state(void **state)
{
	open_ring(0);
	REG(RCX) = 0xffffffffc0000080;
	REG(RAX) = 0xffffffff11112222;
	REG(RDX) = 0xffffffff33334444;
	assert_int_equal(STEP("\x0f\x30"), EMUL_DONE); /* wrmsr */
	assert_int_equal(f.msr_index, 0xc0000080);
	assert_int_equal(f.msr, 0x3333444411112222);
	f.msr = 0x5555666677778888;
	assert_int_equal(STEP("\x0f\x32"), EMUL_DONE); /* rdmsr */
	assert_int_equal(REG(RAX), 0x77778888);
	assert_int_equal(REG(RDX), 0x55556666);
	f.refuse = true;
	FAULT("\x0f\x32", EXC_GP, 0);
	FAULT("\x0f\x30", EXC_GP, 0);
	f.refuse = false;
	REG(RAX) = 0x100;
	REG(RCX) = 2;
	assert_int_equal(STEP("\x0f\xa2"), EMUL_DONE); /* cpuid */
	assert_int_equal(REG(RAX), 0x120);
	assert_int_equal(REG(RBX), 0x121);
	assert_int_equal(REG(RCX), 0x122);
	assert_int_equal(REG(RDX), 0x123);
	f.tsc = 0x123456789a;
	assert_int_equal(STEP("\x0f\x31"), EMUL_DONE); /* rdtsc */
	assert_int_equal(REG(RAX), 0x3456789a);
	assert_int_equal(REG(RDX), 0x12);
	f.segments[SEG_DS].base = 0x100;
	f.segments[SEG_DS].limit = 0;
	REG(RAX) = 0x12345678;
	assert_int_equal(STEP("\x0f\x01\x38"), EMUL_DONE); /* invlpg [eax] */
	assert_int_equal(fake_count(&f, FAKE_INVLPG), 1);
	assert_int_equal(f.events[1].addr, 0x12345778);
	open_ring(3);
	f.ctx.cr4 = X86_CR4_TSD;
	FAULT("\x0f\x31", EXC_GP, 0);
}

static void extended_control_register(void **state)
{
	open_ring(3);
	FAULT("\x0f\x01\xd0", EXC_UD, 0); /* xgetbv without OSXSAVE */
	f.ctx.cr4 = X86_CR4_OSXSAVE;
	f.ctx.xcr0 = 7;
	assert_int_equal(STEP("\x0f\x01\xd0"), EMUL_DONE);
	assert_int_equal(REG(RAX), 7);
	FAULT("\x0f\x01\xd1", EXC_GP, 0); /* xsetbv in ring 3 */
	f.ctx.cpl = 0;
	REG(RAX) = 3;
	assert_int_equal(STEP("\x0f\x01\xd1"), EMUL_DONE);
	assert_int_equal(f.xcr0, 3);
	assert_int_equal(f.ctx.xcr0, 3);
	REG(RCX) = 1; /* what is in use: if CPUID shows it */
	f.xsave_features = 4;
	assert_int_equal(AGAIN("\x0f\x01\xd0"), EMUL_DONE);
	assert_int_equal(REG(RAX), 3);
	assert_int_equal(REG(RDX), 0);
	f.xsave_features = (uint32_t)~4u;
	RIP = FAKE_CODE;
	FAULT("\x0f\x01\xd0", EXC_GP, 0);
	f.xsave_features = 4;
	REG(RCX) = 2;
	FAULT("\x0f\x01\xd0", EXC_GP, 0);
}

static void ports_by_the_permission_bitmap(void **state)
{
	open_ring(3);
	fake_poke(&f, TSS + 0x80 + 0x60 / 8, 2, 0xfff0); /* ports 60h to 63h are free */
	REG(RDX) = 0x60;
	assert_int_equal(STEP("\xec"), EMUL_DONE);
	assert_int_equal(STEP("\xed"), EMUL_DONE); /* four of them */
	REG(RDX) = 0x61;
	FAULT("\xed", EXC_GP, 0); /* the last is not */
	REG(RDX) = 0x64;
	FAULT("\x6c", EXC_GP, 0); /* insb */
	FAULT("\xec", EXC_GP, 0);
	FAULT("\xee", EXC_GP, 0);
	assert_int_equal(fake_count(&f, FAKE_OUT), 0);
	f.segments[SEG_TR].limit = 0x80 + 0x60 / 8; /* the byte after is needed, too */
	FAULT("\xe4\x60", EXC_GP, 0);
	f.segments[SEG_TR].limit++;
	assert_int_equal(STEP("\xe4\x60"), EMUL_DONE);
	f.segments[SEG_TR].access = 0x83; /* a 16-bit TSS has none */
	FAULT("\xe4\x60", EXC_GP, 0);
	open_v86(3); /* there IOPL does not count */
	fake_poke(&f, TSS + 0x80 + 0x60 / 8, 2, 0xfffe);
	assert_int_equal(STEP("\xe4\x60"), EMUL_DONE);
	FAULT("\xe4\x61", EXC_GP, 0);
}

static void waiting_for_an_fpu_that_is_another_tasks(void **state)
{
	open_ring(0);
	f.ctx.cr0 |= X86_CR0_TS;
	assert_int_equal(STEP("\x9b"), EMUL_DONE);
	f.ctx.cr0 |= X86_CR0_MP;
	FAULT("\x9b", EXC_NM, 0);
}

static void faults_of_their_own(void **state)
{
	open_ring(0);
	FAULT("\x0f\x0b", EXC_UD, 0); /* ud2 */
	fake_poke(&f, 0x4000, 8, 0x0000000500000001);
	REG(RAX) = 6;
	FAULT("\x62\x05\x00\x40\x00\x00", EXC_BR, 0); /* bound eax, [4000h] */
	REG(RAX) = 5;
	assert_int_equal(STEP("\x62\x05\x00\x40\x00\x00"), EMUL_DONE);
	REG(RAX) = 0;
	FAULT("\x62\x05\x00\x40\x00\x00", EXC_BR, 0);
	FAULT("\xd4\x00", EXC_DE, 0); /* aam 0 */
	FAULT("\xf7\xf1", EXC_DE, 0); /* div ecx */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(real_mode_far_transfers),
		cmocka_unit_test(real_mode_segment_loads),
		cmocka_unit_test(real_mode_interrupts),
		cmocka_unit_test(real_mode_iretd),
		cmocka_unit_test(real_mode_writes_through_cs),
		cmocka_unit_test(real_mode_stack_wraps),
		cmocka_unit_test(instruction_pointer_of_16_bits),
		cmocka_unit_test(real_mode_has_no_protection),
		cmocka_unit_test(into_protected_mode_and_back),
		cmocka_unit_test(far_jumps_within_a_ring),
		cmocka_unit_test(far_calls_and_returns_within_a_ring),
		cmocka_unit_test(returns_are_checked),
		cmocka_unit_test(a_return_to_an_outer_ring_drops_inner_segments),
		cmocka_unit_test(a_call_gate_to_an_inner_ring),
		cmocka_unit_test(a_16_bit_call_gate),
		cmocka_unit_test(call_gates_within_a_ring),
		cmocka_unit_test(call_gates_are_checked),
		cmocka_unit_test(interrupts_to_an_inner_ring_and_back),
		cmocka_unit_test(iret_within_a_ring),
		cmocka_unit_test(iret_to_a_16_bit_stack),
		cmocka_unit_test(iret_to_virtual_8086_mode),
		cmocka_unit_test(virtual_8086_mode_looks_at_iopl),
		cmocka_unit_test(virtual_interrupt_flag),
		cmocka_unit_test(loading_the_virtual_interrupt_flag),
		cmocka_unit_test(int_n_with_vme),
		cmocka_unit_test(virtual_8086_mode_far_transfers_and_flags),
		cmocka_unit_test(an_interrupt_leaves_virtual_8086_mode),
		cmocka_unit_test(tasks_are_called_and_return),
		cmocka_unit_test(tasks_are_jumped_to),
		cmocka_unit_test(a_task_that_cannot_run_faults_in_its_own_context),
		cmocka_unit_test(a_software_interrupt_through_a_task_gate),
		cmocka_unit_test(segment_loads_are_checked),
		cmocka_unit_test(ldt_and_task_register),
		cmocka_unit_test(descriptors_are_asked_about),
		cmocka_unit_test(arpl_raises_the_rpl),
		cmocka_unit_test(ring_0_only),
		cmocka_unit_test(system_instructions_are_unknown_in_long_mode),
		cmocka_unit_test(interrupt_flag),
		cmocka_unit_test(popf_by_privilege),
		cmocka_unit_test(descriptor_table_registers),
		cmocka_unit_test(umip_hides_tables_from_user_code),
		cmocka_unit_test(control_registers),
		cmocka_unit_test(machine_specific_state),
		cmocka_unit_test(extended_control_register),
		cmocka_unit_test(ports_by_the_permission_bitmap),
		cmocka_unit_test(waiting_for_an_fpu_that_is_another_tasks),
		cmocka_unit_test(faults_of_their_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
