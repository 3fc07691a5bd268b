// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every form of the emulator that stores, on tracked pages: one event in each
 * page that it touches, with the bytes that were there and those that are. Of
 * the opcode maps all is executed, to find a form that has no row here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "emulate/decode.h"
#include "lib/compiler.h"
#include "tests/host/fake_tracker.h"
#include "tests/host/vcpu_fake.h"
#include "vcpu/emul.h"

#define DATA 0xA000u
#define DATA_ELSEWHERE 0x30000u  /* in long mode, what follows DATA */
#define STACK_PAGE 0xE000u
#define STACK_ELSEWHERE 0x31000u /* in long mode, what follows STACK_PAGE */
#define SOURCE 0x9000u
#define GDT 0x40000u
#define IDT 0x41000u
#define USED 0x42000u            /* of RAM */
#define CODE_SELECTOR 8u
#define DATA_SELECTOR 0x10u
#define TSS_SELECTOR 0x18u
#define PORT 0x7777u
#define RAX 0x1817161514131211ull

static struct fake_vm f;
static struct fake_tracker tracker;
static uint8_t pristine[USED], before[USED];

/* ---- the modes ------------------------------------------------------------------- */

enum mode { REAL, PROTECTED_16, PROTECTED_32, LONG, MODES };
#define IN(mode) (1u << (mode))
#define ALL 0xFu
#define NO64 (IN(REAL) | IN(PROTECTED_16) | IN(PROTECTED_32))
#define PROTECTED (IN(PROTECTED_16) | IN(PROTECTED_32))
#define VEX (PROTECTED | IN(LONG))

static enum mode mode;
static struct cpu_regs first_regs;
static struct segment first_segment[SEG_COUNT];
static struct guest_paging first_paging;

static bool is_16_bit(void) { return mode <= PROTECTED_16; }
static unsigned int stack_width(void) { return is_16_bit() ? 2 : mode == LONG ? 8 : 4; }

static void put64(uint64_t addr, uint64_t val) { memcpy(f.ram + addr, &val, sizeof(val)); }

/* Gates, and descriptors that were not accessed, of a busy TSS and one that is not. */
static void make_tables(void)
{
	uint64_t gate = is_16_bit() ? 0x86ull << 40 : 0x8Eull << 40;

	put64(GDT + CODE_SELECTOR, 0x00CF9A000000FFFFull);
	put64(GDT + DATA_SELECTOR, 0x00CF92000000FFFFull);
	put64(GDT + TSS_SELECTOR, 0x0000890000000067ull);
	for (unsigned int vector = 0; vector < 256; vector++)
		put64(IDT + 8 * vector, gate | CODE_SELECTOR << 16 | 8);
	f.gdt = (struct descriptor_table){ GDT, 0x1F };
	f.idt = (struct descriptor_table){ mode == REAL ? 0 : IDT, 0x7FF };
}

static void enter_mode(void)
{
	struct guest_paging *p = &f.vcpu.mmu.paging;

	if (mode == LONG) {
		fake_long_mode(&f);
		fake_map(&f, DATA + PAGE_SIZE, DATA_ELSEWHERE, 0x67);
		fake_map(&f, STACK_PAGE + PAGE_SIZE, STACK_ELSEWHERE, 0x67);
	} else if (mode == REAL) {
		fake_real_mode(&f);
	} else {
		fake_protected_mode(&f);
	}
	if (mode == PROTECTED_16) {
		f.segment[SEG_CS] = (struct segment){ .selector = 8, .access = 0x9B, .limit = 0xFFFFF };
		f.segment[SEG_SS] = (struct segment){ .selector = 0x10, .access = 0x93, .limit = 0xFFFFF };
	}
	p->cr4 |= X86_CR4_OSFXSR | X86_CR4_OSXSAVE;
	f.vcpu.xcr0 = 7;
	make_tables();
}

static void save_first_state(void)
{
	memcpy(pristine, f.ram, USED);
	first_regs = f.vcpu.regs;
	first_regs.rflags |= X86_EFLAGS_OF; /* into is taken */
	memcpy(first_segment, f.segment, sizeof(first_segment));
	first_paging = f.vcpu.mmu.paging;
	for (unsigned int i = 0; i < sizeof(f.vector[0]); i++)
		f.vector[0][i] = (uint8_t)(0xC0 + i);
}

static void open_mode(enum mode m)
{
	mode = m;
	fake_vm_init(&f);
	enter_mode();
	save_first_state();
	fake_tracker_open(&tracker, &f.mmu.mem.track, "test", 5);
	assert_int_equal(page_tracker_add(&tracker.t, gfn(0), FAKE_RAM >> PAGE_SHIFT, PAGE_TRACK_W, NULL), 0);
}

static void close_mode(void)
{
	fake_tracker_close(&tracker);
	fake_vm_destroy(&f);
}

static uint64_t physical(uint64_t addr)
{
	if (mode == LONG && addr >> PAGE_SHIFT == (DATA >> PAGE_SHIFT) + 1)
		return DATA_ELSEWHERE | (addr & PAGE_OFFSET_MASK);
	if (mode == LONG && addr >> PAGE_SHIFT == (STACK_PAGE >> PAGE_SHIFT) + 1)
		return STACK_ELSEWHERE | (addr & PAGE_OFFSET_MASK);
	return addr;
}

static void set_registers(uint64_t data, uint64_t stack)
{
	uint64_t *g = f.vcpu.regs.gpr;

	f.vcpu.regs = first_regs;
	memcpy(f.segment, first_segment, sizeof(first_segment));
	g[GPR_RAX] = RAX;
	g[GPR_RBX] = data;
	g[GPR_RCX] = 1;
	g[GPR_RDX] = PORT;
	g[GPR_RDI] = data;
	g[GPR_RSI] = SOURCE;
	g[GPR_RBP] = SOURCE + 0x800;
	g[GPR_RSP] = stack;
}

static enum emul_status execute(const uint8_t *code, unsigned int len)
{
	struct emulation e;

	memcpy(f.ram + f.vcpu.regs.rip, code, len);
	fake_tracker_clear(&tracker);
	if (mode == LONG)
		emulation_init(&e, &f.vcpu, NULL);
	else
		emulation_init_system(&e, &f.vcpu);
	return emul_step(&e.ctx);
}

/* ---- the forms --------------------------------------------------------------------- */

enum where { AT_RBX, AT_RDI, AT_MOFFS, AT_STACK, AT_CODE_TYPE, AT_DATA_TYPE, AT_TSS_TYPE };
/* Words in memory at RBX and on the stack, where the instruction takes something from there. */
enum fill { FILL_PATTERN, FILL_CODE, FILL_DATA, FILL_TSS, FILL_RAX /* and rDX above it */ };

#define OPERAND 0         /* of the operand size */
#define ITEMS(n) (-(n))   /* as wide as the stack */

#define LOCKABLE 1u
#define IS_LOCKED 2u      /* a write in two pages is left to the CPU */
#define ALIGNED 4u        /* cannot be in two pages */
#define SAME 8u           /* stores what was there */
#define MAX32 16u

struct row {
	const char *text;
	uint8_t code[10], len;
	uint8_t vary_at, vary_by; /* bit n of vary: code[vary_at] + n * vary_by is one, too */
	uint16_t vary;
	enum where where;
	int size;
	unsigned int modes, flags;
	enum fill fill;
};

#define BYTES(...) .code = { __VA_ARGS__ }, .len = sizeof((const uint8_t[]){ __VA_ARGS__ })
#define VARY(at, by, mask) .vary_at = (at), .vary_by = (by), .vary = (mask)
#define REGS(at, mask) VARY(at, 8, mask) /* ModRM.reg */

static const struct row rows[] = {
	{ "alu r/m8, r8", BYTES(0x00, 0x03), REGS(0, 0x7F), AT_RBX, 1, ALL, LOCKABLE | SAME },
	{ "alu r/m, r", BYTES(0x01, 0x03), REGS(0, 0x7F), AT_RBX, OPERAND, ALL, LOCKABLE | SAME },
	{ "alu r/m8, imm8", BYTES(0x80, 0x03, 0x35), REGS(1, 0x7F), AT_RBX, 1, ALL, LOCKABLE | SAME },
	{ "alu r/m, imm", BYTES(0x81, 0x03, 0x35, 0x36, 0x37, 0x38), REGS(1, 0x7F), AT_RBX, OPERAND, ALL, LOCKABLE | SAME },
	{ "alu r/m8, imm8 (82)", BYTES(0x82, 0x03, 0x35), REGS(1, 0x7F), AT_RBX, 1, NO64, LOCKABLE | SAME },
	{ "alu r/m, imm8", BYTES(0x83, 0x03, 0x35), REGS(1, 0x7F), AT_RBX, OPERAND, ALL, LOCKABLE | SAME },
	{ "not, neg r/m8", BYTES(0xF6, 0x13), REGS(1, 3), AT_RBX, 1, ALL, LOCKABLE },
	{ "not, neg r/m", BYTES(0xF7, 0x13), REGS(1, 3), AT_RBX, OPERAND, ALL, LOCKABLE },
	{ "inc, dec r/m8", BYTES(0xFE, 0x03), REGS(1, 3), AT_RBX, 1, ALL, LOCKABLE },
	{ "inc, dec r/m", BYTES(0xFF, 0x03), REGS(1, 3), AT_RBX, OPERAND, ALL, LOCKABLE },
	{ "shift r/m8, imm8", BYTES(0xC0, 0x03, 3), REGS(1, 0xFF), AT_RBX, 1, ALL },
	{ "shift r/m, imm8", BYTES(0xC1, 0x03, 3), REGS(1, 0xFF), AT_RBX, OPERAND, ALL },
	{ "shift r/m, imm8 of 0", BYTES(0xC1, 0x03, 0), REGS(1, 0xFF), AT_RBX, OPERAND, ALL, SAME },
	{ "shift r/m8, 1", BYTES(0xD0, 0x03), REGS(1, 0xFF), AT_RBX, 1, ALL },
	{ "shift r/m, 1", BYTES(0xD1, 0x03), REGS(1, 0xFF), AT_RBX, OPERAND, ALL },
	{ "shift r/m8, cl", BYTES(0xD2, 0x03), REGS(1, 0xFF), AT_RBX, 1, ALL },
	{ "shift r/m, cl", BYTES(0xD3, 0x03), REGS(1, 0xFF), AT_RBX, OPERAND, ALL },
	{ "shld, shrd r/m, r, imm8", BYTES(0x0F, 0xA4, 0x03, 3), REGS(1, 3), AT_RBX, OPERAND, ALL },
	{ "shld, shrd r/m, r, cl", BYTES(0x0F, 0xA5, 0x03), REGS(1, 3), AT_RBX, OPERAND, ALL },
	{ "bts r/m, r", BYTES(0x0F, 0xAB, 0x0B), .where = AT_RBX, OPERAND, ALL, LOCKABLE | SAME },
	{ "btr, btc r/m, r", BYTES(0x0F, 0xB3, 0x0B), REGS(1, 3), AT_RBX, OPERAND, ALL, LOCKABLE | SAME },
	{ "bts, btr, btc r/m, imm8", BYTES(0x0F, 0xBA, 0x2B, 3), REGS(2, 7), AT_RBX, OPERAND, ALL, LOCKABLE | SAME },
	{ "xchg r/m8, r8", BYTES(0x86, 0x03), .where = AT_RBX, 1, ALL, LOCKABLE | IS_LOCKED },
	{ "xchg r/m, r", BYTES(0x87, 0x03), .where = AT_RBX, OPERAND, ALL, LOCKABLE | IS_LOCKED },
	{ "xadd r/m8, r8", BYTES(0x0F, 0xC0, 0x03), .where = AT_RBX, 1, ALL, LOCKABLE },
	{ "xadd r/m, r", BYTES(0x0F, 0xC1, 0x03), .where = AT_RBX, OPERAND, ALL, LOCKABLE },
	{ "cmpxchg r/m8, r8, not taken", BYTES(0x0F, 0xB0, 0x0B), .where = AT_RBX, 1, ALL, LOCKABLE | SAME },
	{ "cmpxchg r/m, r, not taken", BYTES(0x0F, 0xB1, 0x0B), .where = AT_RBX, OPERAND, ALL, LOCKABLE | SAME },
	{ "cmpxchg r/m8, r8, taken", BYTES(0x0F, 0xB0, 0x0B), .where = AT_RBX, 1, ALL, LOCKABLE, FILL_RAX },
	{ "cmpxchg r/m, r, taken", BYTES(0x0F, 0xB1, 0x0B), .where = AT_RBX, OPERAND, ALL, LOCKABLE, FILL_RAX },
	{ "cmpxchg8b, not taken", BYTES(0x0F, 0xC7, 0x0B), .where = AT_RBX, 8, ALL, LOCKABLE | IS_LOCKED | SAME },
	{ "cmpxchg8b, taken", BYTES(0x0F, 0xC7, 0x0B), .where = AT_RBX, 8, ALL, LOCKABLE | IS_LOCKED, FILL_RAX },
	{ "cmpxchg16b, not taken", BYTES(0x48, 0x0F, 0xC7, 0x0B), .where = AT_RBX, 16, IN(LONG), LOCKABLE | ALIGNED | SAME },
	{ "cmpxchg16b, taken", BYTES(0x48, 0x0F, 0xC7, 0x0B), .where = AT_RBX, 16, IN(LONG), LOCKABLE | ALIGNED, FILL_RAX },

	{ "mov r/m8, r8", BYTES(0x88, 0x03), .where = AT_RBX, 1, ALL },
	{ "mov r/m, r", BYTES(0x89, 0x03), .where = AT_RBX, OPERAND, ALL },
	{ "mov r/m8, imm8", BYTES(0xC6, 0x03, 0x35), .where = AT_RBX, 1, ALL },
	{ "mov r/m, imm", BYTES(0xC7, 0x03, 0x35, 0x36, 0x37, 0x38), .where = AT_RBX, OPERAND, ALL },
	{ "mov moffs8, al", BYTES(0xA2, 0, 0, 0, 0, 0, 0, 0, 0), .where = AT_MOFFS, 1, ALL },
	{ "mov moffs, rax", BYTES(0xA3, 0, 0, 0, 0, 0, 0, 0, 0), .where = AT_MOFFS, OPERAND, ALL },
	{ "movbe m, r", BYTES(0x0F, 0x38, 0xF1, 0x03), .where = AT_RBX, OPERAND, ALL },
	{ "movnti m, r", BYTES(0x0F, 0xC3, 0x03), .where = AT_RBX, 4, ALL },
	{ "setcc", BYTES(0x0F, 0x90, 0x03), VARY(1, 1, 0xFFFF), AT_RBX, 1, ALL },
	{ "mov r/m, sreg", BYTES(0x8C, 0x03), REGS(1, 0x3F), AT_RBX, 2, ALL },

	{ "push r", BYTES(0x50), VARY(0, 1, 0xFF), AT_STACK, ITEMS(1), ALL },
	{ "push imm", BYTES(0x68, 1, 2, 3, 4), .where = AT_STACK, ITEMS(1), ALL },
	{ "push imm8", BYTES(0x6A, 1), .where = AT_STACK, ITEMS(1), ALL },
	{ "push r/m", BYTES(0xFF, 0x33), .where = AT_STACK, ITEMS(1), ALL, .fill = FILL_DATA },
	{ "push sreg", BYTES(0x06), REGS(0, 0xF), AT_STACK, ITEMS(1), NO64 },
	{ "push fs, gs", BYTES(0x0F, 0xA0), REGS(1, 3), AT_STACK, ITEMS(1), ALL },
	{ "pushf", BYTES(0x9C), .where = AT_STACK, ITEMS(1), ALL },
	{ "pusha", BYTES(0x60), .where = AT_STACK, ITEMS(8), NO64 },
	{ "pop r/m", BYTES(0x8F, 0x03), .where = AT_RBX, ITEMS(1), ALL, SAME },
	{ "enter n, 0", BYTES(0xC8, 0x10, 0, 0), .where = AT_STACK, ITEMS(1), ALL },
	{ "enter n, 1", BYTES(0xC8, 0x10, 0, 1), .where = AT_STACK, ITEMS(2), ALL },
	{ "enter n, 31", BYTES(0xC8, 0x10, 0, 31), .where = AT_STACK, ITEMS(32), ALL },
	{ "call rel", BYTES(0xE8, 1, 0, 0, 0), .where = AT_STACK, ITEMS(1), ALL },
	{ "call r/m", BYTES(0xFF, 0xD1), .where = AT_STACK, ITEMS(1), ALL },
	{ "call far imm", BYTES(0x9A, 8, 0, 8, 0, 8, 0), .where = AT_STACK, ITEMS(2), NO64 },
	{ "call far m", BYTES(0xFF, 0x1B), .where = AT_STACK, ITEMS(2), NO64, .fill = FILL_CODE },
	{ "int3", BYTES(0xCC), .where = AT_STACK, ITEMS(3), NO64 },
	{ "int n", BYTES(0xCD, 0x80), .where = AT_STACK, ITEMS(3), NO64 },
	{ "into", BYTES(0xCE), .where = AT_STACK, ITEMS(3), NO64 },
	{ "int1", BYTES(0xF1), .where = AT_STACK, ITEMS(3), NO64 },

	{ "movsb", BYTES(0xA4), .where = AT_RDI, 1, ALL },
	{ "movs", BYTES(0xA5), .where = AT_RDI, OPERAND, ALL },
	{ "stosb", BYTES(0xAA), .where = AT_RDI, 1, ALL },
	{ "stos", BYTES(0xAB), .where = AT_RDI, OPERAND, ALL },
	{ "insb", BYTES(0x6C), .where = AT_RDI, 1, ALL },
	{ "ins", BYTES(0x6D), .where = AT_RDI, OPERAND, ALL, MAX32 },

	{ "sgdt, sidt", BYTES(0x0F, 0x01, 0x03), REGS(2, 3), AT_RBX, 6, NO64 },
	{ "smsw", BYTES(0x0F, 0x01, 0x23), .where = AT_RBX, 2, NO64 },
	{ "sldt, str", BYTES(0x0F, 0x00, 0x03), REGS(2, 3), AT_RBX, 2, PROTECTED },
	{ "arpl", BYTES(0x63, 0x0B), .where = AT_RBX, 2, PROTECTED },

	/* Descriptors are marked as accessed, and as busy. */
	{ "mov sreg, r/m", BYTES(0x8E, 0x1B), .where = AT_DATA_TYPE, 1, PROTECTED, .fill = FILL_DATA },
	{ "pop es, ss, ds", BYTES(0x07), REGS(0, 0xD), AT_DATA_TYPE, 1, PROTECTED, .fill = FILL_DATA },
	{ "pop fs, gs", BYTES(0x0F, 0xA1), REGS(1, 3), AT_DATA_TYPE, 1, PROTECTED, .fill = FILL_DATA },
	{ "les, lds", BYTES(0xC4, 0x03), VARY(0, 1, 3), AT_DATA_TYPE, 1, PROTECTED, .fill = FILL_DATA },
	{ "lss", BYTES(0x0F, 0xB2, 0x03), .where = AT_DATA_TYPE, 1, PROTECTED, .fill = FILL_DATA },
	{ "lfs, lgs", BYTES(0x0F, 0xB4, 0x03), VARY(1, 1, 3), AT_DATA_TYPE, 1, PROTECTED, .fill = FILL_DATA },
	{ "jmp far imm", BYTES(0xEA, 8, 0, 8, 0, 8, 0), .where = AT_CODE_TYPE, 1, PROTECTED },
	{ "jmp far m", BYTES(0xFF, 0x2B), .where = AT_CODE_TYPE, 1, PROTECTED, .fill = FILL_CODE },
	{ "retf", BYTES(0xCB), .where = AT_CODE_TYPE, 1, PROTECTED, .fill = FILL_CODE },
	{ "retf n", BYTES(0xCA, 8, 0), .where = AT_CODE_TYPE, 1, PROTECTED, .fill = FILL_CODE },
	{ "iret", BYTES(0xCF), .where = AT_CODE_TYPE, 1, PROTECTED, .fill = FILL_CODE },
	{ "ltr", BYTES(0x0F, 0x00, 0x1B), .where = AT_TSS_TYPE, 1, PROTECTED, .fill = FILL_TSS },

	{ "movups", BYTES(0x0F, 0x11, 0x03), .where = AT_RBX, 16, ALL },
	{ "movupd", BYTES(0x66, 0x0F, 0x11, 0x03), .where = AT_RBX, 16, ALL },
	{ "movss", BYTES(0xF3, 0x0F, 0x11, 0x03), .where = AT_RBX, 4, ALL },
	{ "movsd", BYTES(0xF2, 0x0F, 0x11, 0x03), .where = AT_RBX, 8, ALL },
	{ "movlps, movhps", BYTES(0x0F, 0x13, 0x03), VARY(1, 4, 3), AT_RBX, 8, ALL },
	{ "movlpd, movhpd", BYTES(0x66, 0x0F, 0x13, 0x03), VARY(2, 4, 3), AT_RBX, 8, ALL },
	{ "movaps, movntps", BYTES(0x0F, 0x29, 0x03), VARY(1, 2, 3), AT_RBX, 16, ALL, ALIGNED },
	{ "movapd, movntpd", BYTES(0x66, 0x0F, 0x29, 0x03), VARY(2, 2, 3), AT_RBX, 16, ALL, ALIGNED },
	{ "movd", BYTES(0x66, 0x0F, 0x7E, 0x03), .where = AT_RBX, 4, ALL },
	{ "movq", BYTES(0x66, 0x48, 0x0F, 0x7E, 0x03), .where = AT_RBX, 8, IN(LONG) },
	{ "movq (d6)", BYTES(0x66, 0x0F, 0xD6, 0x03), .where = AT_RBX, 8, ALL },
	{ "movdqa", BYTES(0x66, 0x0F, 0x7F, 0x03), .where = AT_RBX, 16, ALL, ALIGNED },
	{ "movdqu", BYTES(0xF3, 0x0F, 0x7F, 0x03), .where = AT_RBX, 16, ALL },
	{ "movntdq", BYTES(0x66, 0x0F, 0xE7, 0x03), .where = AT_RBX, 16, ALL, ALIGNED },
	{ "vmovups, vmovupd", BYTES(0xC5, 0xF8, 0x11, 0x03), VARY(1, 1, 3), AT_RBX, 16, VEX },
	{ "vmovups, vmovupd ymm", BYTES(0xC5, 0xFC, 0x11, 0x03), VARY(1, 1, 3), AT_RBX, 32, VEX },
	{ "vmovss", BYTES(0xC5, 0xFA, 0x11, 0x03), .where = AT_RBX, 4, VEX },
	{ "vmovsd", BYTES(0xC5, 0xFB, 0x11, 0x03), .where = AT_RBX, 8, VEX },
	{ "vmovlps, vmovlpd", BYTES(0xC5, 0xF8, 0x13, 0x03), VARY(1, 1, 3), AT_RBX, 8, VEX },
	{ "vmovhps, vmovhpd", BYTES(0xC5, 0xF8, 0x17, 0x03), VARY(1, 1, 3), AT_RBX, 8, VEX },
	{ "vmovaps, vmovapd", BYTES(0xC5, 0xFC, 0x29, 0x03), VARY(1, 1, 3), AT_RBX, 32, VEX, ALIGNED },
	{ "vmovntps, vmovntpd", BYTES(0xC5, 0xFC, 0x2B, 0x03), VARY(1, 1, 3), AT_RBX, 32, VEX, ALIGNED },
	{ "vmovd", BYTES(0xC5, 0xF9, 0x7E, 0x03), .where = AT_RBX, 4, VEX },
	{ "vmovq (d6)", BYTES(0xC5, 0xF9, 0xD6, 0x03), .where = AT_RBX, 8, VEX },
	{ "vmovdqa", BYTES(0xC5, 0xFD, 0x7F, 0x03), .where = AT_RBX, 32, VEX, ALIGNED },
	{ "vmovdqu", BYTES(0xC5, 0xFE, 0x7F, 0x03), .where = AT_RBX, 32, VEX },
	{ "vmovntdq", BYTES(0xC5, 0xFD, 0xE7, 0x03), .where = AT_RBX, 32, VEX, ALIGNED },
};

/* Form @n of @row, or 0: the length of its code, with what 16-bit code needs before it
 * to have 32-bit addresses. */
static unsigned int form_code(const struct row *row, unsigned int n, uint8_t code[16])
{
	unsigned int at = 0;

	if (row->vary ? !(row->vary >> n & 1) : n != 0)
		return 0;
	if (is_16_bit())
		code[at++] = 0x67;
	memcpy(code + at, row->code, row->len);
	code[at + row->vary_at] = (uint8_t)(code[at + row->vary_at] + n * row->vary_by);
	return at + row->len;
}

/* ---- one form on tracked pages -------------------------------------------------------- */

/* One run: a form with prefixes before it, somewhere. */
struct run {
	const struct row *row;
	uint8_t code[20];
	unsigned int len, size;
	bool locked, crosses;
	uint64_t at; /* linear */
};

static void fill_words(uint64_t addr, unsigned int n, enum fill fill)
{
	static const uint16_t words[] = { [FILL_CODE] = CODE_SELECTOR, [FILL_DATA] = DATA_SELECTOR,
					  [FILL_TSS] = TSS_SELECTOR };

	for (unsigned int i = 0; i < n; i++) {
		uint16_t w = fill == FILL_PATTERN || fill == FILL_RAX ? (uint16_t)(0x5554 + 0x404 * i) : words[fill];

		f.ram[physical(addr + 2 * i)] = (uint8_t)w;
		f.ram[physical(addr + 2 * i + 1)] = (uint8_t)(w >> 8);
	}
}

/* rAX, and rDX in the upper half of what is compared by a pair. */
static void fill_rax(uint64_t addr, unsigned int size, bool pair)
{
	unsigned int half = size / 2;
	uint64_t rax = RAX, rdx = PORT;
	uint8_t bytes[16];

	memcpy(bytes, &rax, 8);
	if (pair)
		memcpy(bytes + half, &rdx, half);
	for (unsigned int i = 0; i < size; i++)
		f.ram[physical(addr + i)] = bytes[i];
}

static void set_up(const struct run *r)
{
	const struct row *row = r->row;
	uint64_t data = DATA + 0x140, stack = STACK_PAGE + 0x800;

	if (row->where <= AT_MOFFS)
		data = r->at;
	if (row->where == AT_STACK)
		stack = r->at + r->size;
	memcpy(f.ram, pristine, USED);
	set_registers(data, stack);
	if (row->fill == FILL_RAX) {
		fill_words(data - 8, 24, FILL_PATTERN);
		fill_rax(data, r->size, row->size >= 8);
	} else {
		fill_words(data - 8, 24, row->fill);
	}
	fill_words(stack - 8, 24, row->where == AT_STACK ? FILL_PATTERN : row->fill);
	fill_words(SOURCE, 16, FILL_TSS);
}

static void assert_event_is(const struct run *r, const struct seen_event *s, uint64_t at, unsigned int len)
{
	uint64_t where = physical(at);

	if (s->e.mode != PAGE_TRACK_WRITE || s->e.gpa.v != where || s->e.len != len || s->origin.gva.v != at)
		fail_msg("%s in mode %d: [%llx, +%u) instead of [%llx, +%u)", r->row->text, mode,
			 (unsigned long long)s->e.gpa.v, s->e.len, (unsigned long long)where, len);
	if (memcmp(s->old, before + where, len) || memcmp(s->new, f.ram + where, len))
		fail_msg("%s in mode %d: old or new bytes", r->row->text, mode);
	if (s->e.verdict != VERDICT_ALLOW)
		fail_msg("%s in mode %d: verdict %d", r->row->text, mode, s->e.verdict);
}

/* Descriptors are marked beside what the row is about. */
static bool is_mark(const struct run *r, const struct seen_event *s)
{
	return r->row->where == AT_STACK && s->e.gpa.v >> PAGE_SHIFT == GDT >> PAGE_SHIFT && s->e.len == 1;
}

static void assert_nothing_else_changed(const struct run *r)
{
	for (unsigned int i = 0; i < tracker.told; i++)
		memcpy(before + tracker.tell[i].e.gpa.v, f.ram + tracker.tell[i].e.gpa.v, tracker.tell[i].e.len);
	if (memcmp(before, f.ram, USED))
		fail_msg("%s in mode %d: memory changed, and nobody was told", r->row->text, mode);
}

static bool bytes_changed(const struct run *r)
{
	for (unsigned int i = 0; i < r->size; i++)
		if (before[physical(r->at + i)] != f.ram[physical(r->at + i)])
			return true;
	return false;
}

static void assert_events(const struct run *r)
{
	unsigned int room = (unsigned int)(PAGE_SIZE - (r->at & PAGE_OFFSET_MASK)), n = 0, first;
	const struct seen_event *s[TRACKER_SEEN];

	assert_true(tracker.told <= TRACKER_SEEN && tracker.told == tracker.asked);
	for (unsigned int i = 0; i < tracker.told; i++)
		if (!is_mark(r, &tracker.tell[i]))
			s[n++] = &tracker.tell[i];
	if (n != (r->crosses ? 2 : 1))
		fail_msg("%s in mode %d%s: %u events", r->row->text, mode, r->crosses ? " in two pages" : "", n);
	first = r->crosses ? room : r->size;
	assert_event_is(r, s[0], r->at, first);
	if (r->crosses)
		assert_event_is(r, s[1], r->at + first, r->size - first);
	if (!(r->row->flags & SAME) && !bytes_changed(r))
		fail_msg("%s in mode %d: stores nothing new", r->row->text, mode);
}

static void run_once(struct run *r)
{
	bool split = r->crosses && (r->locked || r->row->flags & IS_LOCKED);
	enum emul_status status;

	set_up(r);
	memcpy(f.ram + FAKE_CODE, r->code, r->len);
	memcpy(before, f.ram, USED);
	status = execute(r->code, r->len);
	if (status != (split ? EMUL_UNKNOWN : EMUL_DONE))
		fail_msg("%s in mode %d%s: status %d vector %u", r->row->text, mode, r->crosses ? " in two pages" : "",
			 status, f.vcpu.event.vector);
	if (split)
		assert_int_equal(tracker.told, 0);
	else
		assert_events(r);
	assert_nothing_else_changed(r);
}

static void set_moffs(struct run *r)
{
	for (unsigned int i = 0; i < r->len; i++)
		if (r->code[i] == 0xA2 || r->code[i] == 0xA3) {
			r->code[i + 1] = (uint8_t)r->at;
			r->code[i + 2] = (uint8_t)(r->at >> 8);
			return;
		}
}

static void run_at(struct run *r, uint64_t at, bool crosses)
{
	r->at = at;
	r->crosses = crosses;
	if (r->row->where == AT_MOFFS)
		set_moffs(r);
	run_once(r);
}

static void run_in_all_places(struct run *r)
{
	static const uint64_t types[] = { [AT_CODE_TYPE] = GDT + CODE_SELECTOR + 5, [AT_DATA_TYPE] = GDT + DATA_SELECTOR + 5,
					  [AT_TSS_TYPE] = GDT + TSS_SELECTOR + 5 };
	enum where where = r->row->where;
	uint64_t page = where == AT_STACK ? STACK_PAGE : DATA;

	if (where > AT_STACK) {
		run_at(r, types[where], false);
		return;
	}
	run_at(r, page + 0x200, false);
	run_at(r, page + PAGE_SIZE - r->size, false);
	if (r->size > 1 && !(r->row->flags & ALIGNED))
		run_at(r, page + PAGE_SIZE - r->size / 2, true);
}

static void run_with(const struct row *row, unsigned int n, const uint8_t *prefix, unsigned int prefixes,
		     unsigned int operand)
{
	struct run r = { .row = row };
	uint8_t code[16];
	unsigned int len = form_code(row, n, code);

	memcpy(r.code, prefix, prefixes);
	memcpy(r.code + prefixes, code, len);
	r.len = prefixes + len;
	r.locked = prefixes && prefix[0] == 0xF0;
	r.size = row->size > 0 ? (unsigned int)row->size : row->size ? (unsigned int)-row->size * stack_width() : operand;
	run_in_all_places(&r);
}

/* A form with all prefixes that make another of it. */
static void run_form(const struct row *row, unsigned int n)
{
	static const uint8_t none[] = { 0 }, size[] = { 0x66 }, lock[] = { 0xF0 }, rex_w[] = { 0x48 }, both[] = { 0xF0, 0x48 };
	unsigned int operand = is_16_bit() ? 2 : 4, other = is_16_bit() ? 4 : 2;

	run_with(row, n, none, 0, operand);
	if (row->flags & LOCKABLE)
		run_with(row, n, lock, 1, operand);
	if (row->size != OPERAND)
		return;
	run_with(row, n, size, 1, other);
	if (mode == LONG)
		run_with(row, n, rex_w, 1, row->flags & MAX32 ? 4 : 8);
	if (mode == LONG && row->flags & LOCKABLE)
		run_with(row, n, both, 2, 8);
}

static void every_store_is_one_event_in_each_page(void **state)
{
	uint8_t code[16];

	for (enum mode m = 0; m < MODES; m++) {
		open_mode(m);
		for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
			for (unsigned int n = 0; n < 16 && rows[i].modes & IN(m); n++)
				if (form_code(&rows[i], n, code))
					run_form(&rows[i], n);
		close_mode();
	}
}

/* ---- repeated ---------------------------------------------------------------------------- */

#define COUNT 24u

static void repeat(const struct row *row, uint8_t rep, bool down, unsigned int size)
{
	struct run r = { .row = row, .at = DATA + 0x400, .size = size };
	uint8_t code[17] = { rep };
	unsigned int len = 1 + form_code(row, 0, code + 1);
	int step = down ? -(int)size : (int)size;

	set_up(&r);
	f.vcpu.regs.gpr[GPR_RCX] = COUNT;
	f.vcpu.regs.gpr[GPR_RSI] = SOURCE + 0x400;
	if (down)
		f.vcpu.regs.rflags |= X86_EFLAGS_DF;
	memcpy(f.ram + FAKE_CODE, code, len);
	memcpy(before, f.ram, USED);
	assert_int_equal(execute(code, len), EMUL_DONE);
	assert_int_equal(tracker.told, COUNT);
	for (unsigned int i = 0; i < COUNT; i++)
		assert_event_is(&r, &tracker.tell[i], (uint64_t)((int)r.at + (int)i * step), size);
	assert_nothing_else_changed(&r);
}

static void every_iteration_is_one_event(void **state)
{
	for (enum mode m = 0; m < MODES; m++) {
		open_mode(m);
		for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
			for (int down = 0; down < 2 && rows[i].where == AT_RDI; down++) {
				unsigned int size = rows[i].size ? (unsigned int)rows[i].size : is_16_bit() ? 2 : 4;

				repeat(&rows[i], 0xF3, down, size);
				repeat(&rows[i], 0xF2, down, size); /* means the same for these */
			}
		close_mode();
	}
}

/* ---- no form is missing -------------------------------------------------------------------- */

/* What tells forms apart: the map, the opcode, what it means and, of vector moves, which. */
struct key { unsigned int map, opcode, op, prefix, vex; };

static bool is_legacy_prefix(uint8_t b)
{
	return b == 0x66 || b == 0x67 || b == 0xF0 || b == 0xF2 || b == 0xF3;
}

static unsigned int mandatory(uint8_t b) { return b == 0x66 ? 1 : b == 0xF3 ? 2 : b == 0xF2 ? 3 : 0; }

/* False: it is no instruction that has a meaning. */
static bool key_of(const uint8_t *code, unsigned int have, struct key *k)
{
	static const enum emul_mode modes[] = { EMUL_MODE_16, EMUL_MODE_16, EMUL_MODE_32, EMUL_MODE_64 };
	uint8_t bytes[EMUL_INSN_MAX] = { 0 };
	const uint8_t *at = bytes;
	struct insn i;

	memcpy(bytes, code, have < sizeof(bytes) ? have : sizeof(bytes));
	if (decode_insn(&i, modes[mode], bytes, sizeof(bytes)) != DECODE_OK || i.op == OP_UNKNOWN)
		return false;
	*k = (struct key){ .opcode = i.opcode, .op = i.op };
	for (; is_legacy_prefix(*at); at++)
		if (mandatory(*at))
			k->prefix = mandatory(*at);
	if (mode == LONG && (*at & 0xF0) == 0x40)
		at++;
	if (at[0] == 0x0F)
		k->map = at[1] == 0x38 ? 2 : 1;
	k->vex = i.vector_len;
	if (i.vector_len) {
		k->map = 1;
		k->prefix = at[1] & 3;
	}
	if (i.op < OP_VECTOR_LOAD || i.op > OP_VECTOR_STORE_HIGH)
		k->prefix = 0;
	return true;
}

/* Whether a row has 16 or 32 bytes of VEX is the same. */
static bool same_key(const struct key *a, const struct key *b)
{
	return a->map == b->map && a->opcode == b->opcode && a->op == b->op && a->prefix == b->prefix && !a->vex == !b->vex;
}

static bool has_row(const struct key *k)
{
	struct key have;
	uint8_t code[16];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (unsigned int n = 0; n < 16 && rows[i].modes & IN(mode); n++) {
			unsigned int len = form_code(&rows[i], n, code);

			if (len && key_of(code, len, &have) && same_key(k, &have))
				return true;
		}
	return false;
}

static void restore(void)
{
	for (unsigned int i = 0; i < tracker.told && i < TRACKER_SEEN; i++) {
		uint64_t page = tracker.tell[i].e.gpa.v & ~(uint64_t)PAGE_OFFSET_MASK;

		if (page < USED)
			memcpy(f.ram + page, pristine + page, PAGE_SIZE);
	}
	make_tables();
	if (memcmp(&f.vcpu.mmu.paging, &first_paging, sizeof(first_paging)))
		assert_int_equal(mmu_set_paging(&f.vcpu.mmu, &first_paging), 0);
	f.vcpu.stop = (struct vcpu_stop){ 0 };
}

static unsigned int stores;

/* Selectors of a code or of a data segment wherever one could be looked for. */
static void try(const uint8_t *code, unsigned int len, enum fill fill)
{
	struct key k;
	bool stored;

	if (!key_of(code, len, &k))
		return;
	set_registers(DATA + 0x200, STACK_PAGE + 0x800);
	fill_words(DATA + 0x200 - 8, 24, fill);
	fill_words(STACK_PAGE + 0x800 - 8, 24, fill);
	execute(code, len);
	stored = tracker.by_mode[PAGE_TRACK_WRITE] != 0;
	restore();
	stores += stored;
	if (stored && !has_row(&k))
		fail_msg("map %u opcode %02x op %u prefix %u vex %u in mode %d stores, and is in no row", k.map, k.opcode,
			 k.op, k.prefix, k.vex, mode);
}

static void try_all_fills(const uint8_t *prefix, unsigned int prefixes, uint8_t opcode, uint8_t modrm)
{
	uint8_t code[24] = { 0 };
	unsigned int at = 0;

	if (is_16_bit())
		code[at++] = 0x67;
	memcpy(code + at, prefix, prefixes);
	at += prefixes;
	code[at++] = opcode;
	code[at] = modrm;
	for (enum fill fill = FILL_CODE; fill <= FILL_TSS; fill++) {
		/* Far pointers and offsets begin at once; for others it is ModRM. */
		for (int follows = 0; follows < 2; follows++) {
			for (unsigned int i = at + (follows ? 1 : 0); i < sizeof(code); i++)
				code[i] = (i - at - (follows ? 1 : 0)) % 2 ? 0 : CODE_SELECTOR;
			if (follows)
				code[at] = modrm;
			if (follows || modrm == 0x03)
				try(code, EMUL_INSN_MAX, fill);
		}
	}
}

static void try_map(const uint8_t *prefix, unsigned int prefixes)
{
	for (unsigned int opcode = 0; opcode < 256; opcode++)
		for (unsigned int reg = 0; reg < 8; reg++)
			try_all_fills(prefix, prefixes, (uint8_t)opcode, (uint8_t)(reg << 3 | 3));
}

static void no_form_is_without_a_row(void **state)
{
	static const struct { uint8_t bytes[4]; unsigned int len; } maps[] = {
		{ { 0 }, 0 },	       { { 0x0F }, 1 },	      { { 0x66, 0x0F }, 2 }, { { 0xF3, 0x0F }, 2 },
		{ { 0xF2, 0x0F }, 2 }, { { 0x0F, 0x38 }, 2 }, { { 0xC5, 0xF8 }, 2 }, { { 0xC5, 0xF9 }, 2 },
		{ { 0xC5, 0xFA }, 2 }, { { 0xC5, 0xFB }, 2 }, { { 0xC5, 0xFD }, 2 },
	};

	for (enum mode m = 0; m < MODES; m++) {
		open_mode(m);
		stores = 0;
		for (size_t i = 0; i < ARRAY_SIZE(maps); i++)
			try_map(maps[i].bytes, maps[i].len);
		assert_true(stores > 100);
		close_mode();
	}
}

/* Each row is what the search looks for, and it would be missed. */
static void every_row_has_a_meaning(void **state)
{
	struct key k;
	uint8_t code[16];

	for (enum mode m = 0; m < MODES; m++) {
		mode = m;
		for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
			if (!(rows[i].modes & IN(m)))
				continue;
			for (unsigned int n = 0, len; n < 16; n++)
				if ((len = form_code(&rows[i], n, code)) && !key_of(code, len, &k))
					fail_msg("%s, form %u in mode %d", rows[i].text, n, m);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_has_a_meaning),
		cmocka_unit_test(every_store_is_one_event_in_each_page),
		cmocka_unit_test(every_iteration_is_one_event),
		cmocka_unit_test(no_form_is_without_a_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
