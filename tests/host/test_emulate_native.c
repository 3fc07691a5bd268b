// SPDX-License-Identifier: GPL-2.0-only
/*
 * The emulator beside the processor this test runs on: random instructions
 * it knows, in 64-bit mode, with random registers and flags, run by both;
 * then registers, defined flags and memory are compared.
 *
 * Code and data lie below 2 GiB so that absolute and 32-bit addresses reach
 * them. Each instruction is followed by a jump to native_exit, and the target
 * of branches is a second such jump. The emulator works on its own copy of
 * the memory around the operand. SPOOR_SEED chooses the sequence.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "emulate/alu.h"

#define CASES 1000000u
#define CODE_BASE 0x10000000ull
#define DATA_BASE 0x20000000ull
#define DATA_SIZE 0x40000ull
#define WINDOW_BASE (DATA_BASE + DATA_SIZE / 2)
#define WINDOW_SIZE 4096u
#define BRANCH_TARGET (CODE_BASE + 64)

/* ---- running natively -------------------------------------------------------- */

struct native {
	uint64_t gpr[GPR_COUNT];
	uint64_t flags;
	uint64_t host_rsp;
	uint64_t code;
	uint64_t branched;
	uint64_t signal; /* of an instruction that faulted */
} native;

void native_enter(void);
void native_exit(void);
void native_exit_branched(void);

#define EACH_GPR(insn_of)                                                                                          \
	insn_of(rax, 0) insn_of(rcx, 8) insn_of(rdx, 16) insn_of(rbx, 24) insn_of(rsp, 32) insn_of(rbp, 40)        \
		insn_of(rsi, 48) insn_of(rdi, 56) insn_of(r8, 64) insn_of(r9, 72) insn_of(r10, 80)                 \
			insn_of(r11, 88) insn_of(r12, 96) insn_of(r13, 104) insn_of(r14, 112) insn_of(r15, 120)
#define LOAD(reg, offset) "mov native+" #offset "(%rip), %" #reg "\n"
#define STORE(reg, offset) "mov %" #reg ", native+" #offset "(%rip)\n"

__asm__(".text\n"
	"native_enter:\n"
	"push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
	"mov %rsp, native+136(%rip)\n"
	"push native+128(%rip)\n"
	"popfq\n"
	EACH_GPR(LOAD)
	"jmp *native+144(%rip)\n"
	"native_exit_branched:\n"
	"movq $1, native+152(%rip)\n"
	"native_exit:\n"
	EACH_GPR(STORE)
	"mov native+136(%rip), %rsp\n"
	"pushfq\n"
	"pop native+128(%rip)\n"
	"push $0x202\n"
	"popfq\n"
	"pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
	"ret\n");

/* ---- one case --------------------------------------------------------------------- */

struct test_case {
	uint8_t bytes[32];
	unsigned int disp_at, disp_size; /* where the displacement is */
	struct insn insn;
	struct cpu_regs regs;
	uint64_t operand; /* address of the memory operand */
} now;

static uint8_t copy[WINDOW_SIZE], original[WINDOW_SIZE];
static uint64_t random_state;

static uint64_t random64(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static bool one_in(unsigned int n) { return random64() % n == 0; }

static void *window(void) { return (void *)WINDOW_BASE; }

static void print_case(void)
{
	fprintf(stderr, "insn:");
	for (unsigned int i = 0; i < (now.insn.len ? now.insn.len : EMUL_INSN_MAX); i++)
		fprintf(stderr, " %02x", now.bytes[i]);
	fprintf(stderr, "\nflags %llx\n", (unsigned long long)now.regs.rflags);
	for (unsigned int i = 0; i < GPR_COUNT; i++)
		fprintf(stderr, "  %2u in %016llx native %016llx\n", i, (unsigned long long)now.regs.gpr[i],
			(unsigned long long)native.gpr[i]);
}

static bool fault_expected;

/* The instruction under test is left as if it had been jumped over. */
static void native_fault(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	if (!fault_expected || (uint64_t)uc->uc_mcontext.gregs[REG_RIP] != CODE_BASE) {
		fprintf(stderr, "signal %d at %llx\n", sig, uc->uc_mcontext.gregs[REG_RIP]);
		print_case();
		_exit(1);
	}
	native.signal = (uint64_t)sig;
	uc->uc_mcontext.gregs[REG_RIP] = (greg_t)native_exit;
	uc->uc_mcontext.gregs[REG_EFL] &= ~X86_EFLAGS_RF;
}

/* ---- the emulator's side ------------------------------------------------------ */

static uint8_t *in_copy(gva_t addr, unsigned int len)
{
	if (addr.v < WINDOW_BASE || addr.v + len > WINDOW_BASE + WINDOW_SIZE) {
		fprintf(stderr, "access to %llx\n", (unsigned long long)addr.v);
		print_case();
		fail();
	}
	return copy + (addr.v - WINDOW_BASE);
}

static enum emul_status op_fetch(struct emul_ctxt *ctx, gva_t addr, void *dst, unsigned int len, unsigned int *got)
{
	memcpy(dst, now.bytes + (addr.v - CODE_BASE), len);
	*got = len;
	return EMUL_DONE;
}

static enum emul_status op_read(struct emul_ctxt *ctx, gva_t addr, void *dst, unsigned int len)
{
	memcpy(dst, in_copy(addr, len), len);
	return EMUL_DONE;
}

static enum emul_status op_write(struct emul_ctxt *ctx, gva_t addr, const void *src, unsigned int len)
{
	memcpy(in_copy(addr, len), src, len);
	return EMUL_DONE;
}

static enum emul_status op_cmpxchg(struct emul_ctxt *ctx, gva_t addr, void *expected, const void *desired,
				   unsigned int len, bool *done)
{
	uint8_t *p = in_copy(addr, len);

	*done = memcmp(p, expected, len) == 0;
	if (*done)
		memcpy(p, desired, len);
	else
		memcpy(expected, p, len);
	return EMUL_DONE;
}

static enum emul_status op_probe(struct emul_ctxt *ctx, gva_t addr, unsigned int len) { return EMUL_DONE; }

static enum emul_status op_port_in(struct emul_ctxt *ctx, uint16_t port, unsigned int len, uint32_t *val)
{
	return EMUL_UNKNOWN;
}

static enum emul_status op_port_out(struct emul_ctxt *ctx, uint16_t port, unsigned int len, uint32_t val)
{
	return EMUL_UNKNOWN;
}

static uint16_t selectors[6];

static void op_segment(struct emul_ctxt *ctx, enum segment_register s, struct segment *out)
{
	*out = (struct segment){ .selector = selectors[s] };
}

static const struct emul_ops ops = {
	.fetch = op_fetch, .read = op_read, .write = op_write, .cmpxchg = op_cmpxchg, .probe_write = op_probe,
	.port_in = op_port_in, .port_out = op_port_out, .segment = op_segment,
};

/* ---- making a case ------------------------------------------------------------------ */

static unsigned int random_prefixes(uint8_t *p)
{
	static const uint8_t ignored[] = { 0x2e, 0x36, 0x3e, 0x26 };
	unsigned int n = 0;

	if (one_in(4))
		p[n++] = 0x66;
	if (one_in(6))
		p[n++] = 0x67;
	if (one_in(6))
		p[n++] = one_in(2) ? 0xf2 : 0xf3;
	if (one_in(6))
		p[n++] = 0xf0;
	if (one_in(16))
		p[n++] = ignored[random64() % 4];
	if (one_in(32))
		p[n++] = 0x48; /* followed by another: undone */
	if (one_in(2))
		p[n++] = 0x40 | random64() % 16;
	return n;
}

/* Where the displacement is, if the instruction has a ModRM at @p. */
static unsigned int displacement(const uint8_t *p, unsigned int *size)
{
	uint8_t mod = p[0] >> 6, rm = p[0] & 7;
	bool sib = mod != 3 && rm == 4;

	*size = mod == 1 ? 1 : mod == 2 ? 4 : 0;
	if (mod == 0 && (rm == 5 || (sib && (p[1] & 7) == 5)))
		*size = 4;
	return 1 + sib;
}

static bool is_prefix(uint8_t byte)
{
	return (byte & 0xf0) == 0x40 || memchr("\x66\x67\xf0\xf2\xf3\x26\x2e\x36\x3e\x64\x65\x0f", byte, 12);
}

/* Returns its length. */
static unsigned int random_opcode(uint8_t *p)
{
	if (one_in(20)) {
		memcpy(p, "\x0f\x38", 2);
		p[2] = 0xf0 | (random64() & 1); /* movbe */
		return 3;
	}
	if (one_in(3)) {
		p[0] = 0x0f;
		while (p[1] == 0x38 || p[1] == 0x3a)
			p[1] = (uint8_t)random64();
		return 2;
	}
	while (is_prefix(p[0]))
		p[0] = (uint8_t)random64();
	return 1;
}

static void random_bytes(void)
{
	uint8_t *p = now.bytes;
	unsigned int n;

	for (unsigned int i = 0; i < sizeof(now.bytes); i++)
		p[i] = (uint8_t)random64();
	n = random_prefixes(p);
	n += random_opcode(p + n);
	now.disp_at = n + displacement(p + n, &now.disp_size);
}

static bool is_branch(enum emul_op op) { return op >= OP_CALL_REL && op <= OP_LOOPNE; }
static bool is_relative(enum emul_op op) { return op == OP_CALL_REL || op == OP_JMP_REL || op >= OP_JCC; }
static bool is_string(enum emul_op op) { return op >= OP_MOVS && op <= OP_SCAS; }
static bool is_bit_string(const struct insn *i)
{
	return i->has_mem && i->op >= OP_BT && i->op <= OP_BTC && i->src == OPD_REG;
}

static bool has_byte(uint8_t byte, unsigned int until)
{
	return memchr(now.bytes, byte, until) != NULL;
}

/* Instructions that cannot be run here, or on which vendors differ. */
static bool usable(void)
{
	const struct insn *i = &now.insn;

	if (i->is_system || i->op == OP_IN || i->op == OP_OUT || i->op == OP_INS || i->op == OP_OUTS)
		return false;
	if (i->has_mem && i->base != NO_REG && i->base == i->index)
		return false;
	if (is_branch(i->op) && (has_byte(0x66, 6) || i->len > 10))
		return false;
	/* With a repeat prefix, some processors take loope for loopne. */
	if (i->op >= OP_LOOP && i->op <= OP_LOOPNE && i->rep != REP_NONE)
		return false;
	if ((i->op == OP_CALL || i->op == OP_JMP) && !i->has_mem && i->rm == GPR_RSP)
		return false;
	return !is_bit_string(i) || (i->reg != i->base && i->reg != i->index);
}

static void set_displacement(int64_t disp)
{
	memcpy(now.bytes + now.disp_at, &disp, now.disp_size);
}

/* Choose registers or displacement so that the operand is at now.operand. */
static void aim(void)
{
	struct insn *i = &now.insn;
	uint64_t index = 0;

	if (i->op == OP_MOV && (i->src == OPD_MOFFS || i->dst == OPD_MOFFS)) {
		memcpy(now.bytes + i->len - i->addr_size, &now.operand, i->addr_size);
		return;
	}
	if (i->index != NO_REG && (i->base == NO_REG || i->base == GPR_RSP))
		now.regs.gpr[i->index] &= 63;
	if (i->index != NO_REG)
		index = now.regs.gpr[i->index] << i->scale;
	if (i->rip_relative) {
		set_displacement((int64_t)(now.operand - CODE_BASE - i->len));
	} else if (i->base == NO_REG) {
		set_displacement((int64_t)(now.operand - index));
	} else {
		if (now.disp_size == 4)
			set_displacement((int64_t)(random64() % 512) - 256);
		assert_int_equal(decode_insn(i, EMUL_MODE_64, now.bytes, EMUL_INSN_MAX), DECODE_OK);
		now.regs.gpr[i->base] = now.operand - index - (uint64_t)i->disp;
		if (i->addr_size == 4 && i->base == GPR_RSP)
			now.regs.gpr[i->base] = (uint32_t)now.regs.gpr[i->base];
		else if (i->addr_size == 4)
			now.regs.gpr[i->base] ^= random64() << 32;
	}
}

static uint64_t in_window(void) { return WINDOW_BASE + WINDOW_SIZE / 2 + random64() % 64; }

static void choose_registers(void)
{
	struct insn *i = &now.insn;

	for (unsigned int reg = 0; reg < GPR_COUNT; reg++)
		now.regs.gpr[reg] = one_in(4) ? random64() % 4 - 2 : random64() >> (random64() & 63);
	now.regs.gpr[GPR_RSP] = in_window();
	now.regs.rip = CODE_BASE;
	now.regs.rflags = X86_EFLAGS_FIXED | X86_EFLAGS_IF | (random64() & (STATUS_FLAGS | X86_EFLAGS_DF));
	if (is_string(i->op)) {
		now.regs.gpr[GPR_RSI] = in_window();
		now.regs.gpr[GPR_RDI] = in_window();
		now.regs.gpr[GPR_RCX] = i->rep == REP_NONE ? random64() : random64() % 24;
	}
	if (i->op == OP_ENTER)
		now.regs.gpr[GPR_RBP] = now.regs.gpr[GPR_RSP] + 256 + random64() % 64;
	if (i->op == OP_LEAVE)
		now.regs.gpr[GPR_RBP] = in_window();
	if (i->op == OP_XLAT)
		now.regs.gpr[GPR_RBX] = in_window();
	if (is_bit_string(i))
		now.regs.gpr[i->reg] = random64() % 4096 - 2048;
}

static void set_branch_target(void)
{
	struct insn *i = &now.insn;
	uint64_t target = BRANCH_TARGET;

	if (is_relative(i->op)) {
		int32_t rel = (int32_t)(target - CODE_BASE - i->len);
		unsigned int size = (i->opcode & 0xf0) == 0x80 || i->opcode == 0xe8 || i->opcode == 0xe9 ? 4 : 1;

		memcpy(now.bytes + i->len - size, &rel, size);
	} else if (i->op == OP_RET) {
		memcpy(original + (now.regs.gpr[GPR_RSP] - WINDOW_BASE), &target, 8);
	} else if (i->has_mem) {
		memcpy(original + (now.operand - WINDOW_BASE), &target, 8);
	} else {
		now.regs.gpr[i->rm] = target;
	}
}

/* Give the comparison of cmpxchg a chance. */
static void set_accumulator(void)
{
	const struct insn *i = &now.insn;
	const uint8_t *operand = original + (now.operand - WINDOW_BASE);
	bool free_acc = i->base != GPR_RAX && i->index != GPR_RAX;

	if (!i->has_mem || !free_acc || one_in(2))
		return;
	memcpy(&now.regs.gpr[GPR_RAX], operand, i->op_size);
	if (i->op == OP_CMPXCHG_PAIR && i->base != GPR_RDX && i->index != GPR_RDX)
		memcpy(&now.regs.gpr[GPR_RDX], operand + i->op_size, i->op_size);
}

/* Dividends that are not too large for the divisor, and counters near the end. */
static void choose_operands(void)
{
	const struct insn *i = &now.insn;

	if ((i->op == OP_DIV || i->op == OP_IDIV) && one_in(2) && i->base != GPR_RDX && i->index != GPR_RDX) {
		now.regs.gpr[GPR_RDX] = one_in(2) ? 0 : random64() % 16;
		if (i->op == OP_IDIV && one_in(2))
			now.regs.gpr[GPR_RDX] = (uint64_t)((int64_t)now.regs.gpr[GPR_RAX] >> 63);
	}
	if (i->op >= OP_JCXZ && i->op <= OP_LOOPNE && one_in(2))
		now.regs.gpr[GPR_RCX] = (random64() & 1) | random64() << 32;
	if (i->op == OP_POPF) { /* no traps, no alignment checks */
		uint8_t *flags = original + (now.regs.gpr[GPR_RSP] - WINDOW_BASE);

		flags[1] &= ~(X86_EFLAGS_TF >> 8);
		flags[2] &= ~(X86_EFLAGS_AC >> 16);
	}
}

/* False: not this one. */
static bool make_case(void)
{
	struct insn *i = &now.insn;

	random_bytes();
	if (decode_insn(i, EMUL_MODE_64, now.bytes, EMUL_INSN_MAX) != DECODE_OK || !usable())
		return false;
	for (unsigned int k = 0; k < WINDOW_SIZE; k += 8) {
		uint64_t v = one_in(4) ? random64() & 1 ? ~0ull : 0 : random64();

		memcpy(original + k, &v, 8);
	}
	now.operand = in_window();
	if (i->lock || i->op == OP_XCHG || i->op == OP_CMPXCHG_PAIR)
		now.operand &= ~15ull; /* no split locks */
	choose_registers();
	choose_operands();
	if (i->has_mem)
		aim();
	if (i->op == OP_CMPXCHG || i->op == OP_CMPXCHG_PAIR)
		set_accumulator();
	if (is_branch(i->op))
		set_branch_target();
	return decode_insn(i, EMUL_MODE_64, now.bytes, EMUL_INSN_MAX) == DECODE_OK;
}

/* ---- comparing ---------------------------------------------------------------- */

static uint64_t shift_flags(const struct insn *i)
{
	uint64_t count = i->src == OPD_ONE ? 1 : i->imm, undefined = X86_EFLAGS_AF;
	bool is_rotate = i->op >= OP_ROL && i->op <= OP_RCR;

	if (i->src == OPD_CL || i->src2 == OPD_CL)
		count = now.regs.gpr[GPR_RCX];
	count &= i->op_size == 8 ? 63 : 31;
	if (count == 0)
		return 0;
	if (is_rotate)
		return count == 1 ? 0 : X86_EFLAGS_OF;
	if (count != 1)
		undefined |= X86_EFLAGS_OF;
	return count >= 8u * i->op_size ? undefined | X86_EFLAGS_CF : undefined;
}

/* Status flags that the SDM leaves undefined. */
static uint64_t undefined_flags(const struct insn *i)
{
	switch (i->op) {
	case OP_AND: case OP_OR: case OP_XOR: case OP_TEST:
		return X86_EFLAGS_AF;
	case OP_ROL: case OP_ROR: case OP_RCL: case OP_RCR: case OP_SHL: case OP_SHR: case OP_SAL: case OP_SAR:
	case OP_SHLD: case OP_SHRD:
		return shift_flags(i);
	case OP_DIV: case OP_IDIV:
		return STATUS_FLAGS;
	case OP_BSF: case OP_BSR:
		return STATUS_FLAGS & ~X86_EFLAGS_ZF;
	case OP_TZCNT: case OP_LZCNT:
		return STATUS_FLAGS & ~(X86_EFLAGS_ZF | X86_EFLAGS_CF);
	case OP_IMUL: case OP_MUL_ACC: case OP_IMUL_ACC:
		return X86_EFLAGS_SF | X86_EFLAGS_ZF | X86_EFLAGS_AF | X86_EFLAGS_PF;
	case OP_BT: case OP_BTS: case OP_BTR: case OP_BTC:
		return X86_EFLAGS_OF | X86_EFLAGS_SF | X86_EFLAGS_AF | X86_EFLAGS_PF;
	default:
		return 0;
	}
}

static void put_jump(uint8_t *at, void (*target)(void))
{
	uint64_t address = (uint64_t)(uintptr_t)target;

	memcpy(at, "\xff\x25\0\0\0\0", 6);
	memcpy(at + 6, &address, 8);
}

static void run_natively(void)
{
	uint8_t *code = (uint8_t *)CODE_BASE;

	memcpy(code, now.bytes, now.insn.len);
	put_jump(code + now.insn.len, native_exit);
	put_jump((uint8_t *)BRANCH_TARGET, native_exit_branched);
	memcpy(native.gpr, now.regs.gpr, sizeof(native.gpr));
	native.flags = now.regs.rflags;
	native.code = CODE_BASE;
	native.branched = 0;
	native.signal = 0;
	memcpy(window(), original, WINDOW_SIZE);
	native_enter();
}

static enum emul_status run_emulated(struct emul_ctxt *ctx)
{
	*ctx = (struct emul_ctxt){ .ops = &ops, .mode = EMUL_MODE_64, .cpl = 3, .regs = now.regs };
	memcpy(copy, original, WINDOW_SIZE);
	return emul_step(ctx);
}

static void compare(const struct emul_ctxt *ctx)
{
	uint64_t rip = native.branched ? BRANCH_TARGET : CODE_BASE + (native.signal ? 0 : now.insn.len);
	uint64_t flags = (ctx->regs.rflags ^ native.flags) & ~undefined_flags(&now.insn);

	if (memcmp(ctx->regs.gpr, native.gpr, sizeof(native.gpr)) == 0 && ctx->regs.rip == rip && flags == 0 &&
	    memcmp(copy, window(), WINDOW_SIZE) == 0)
		return;
	for (unsigned int i = 0; i < GPR_COUNT; i++)
		if (ctx->regs.gpr[i] != native.gpr[i])
			fprintf(stderr, "gpr %u emulated %llx\n", i, (unsigned long long)ctx->regs.gpr[i]);
	fprintf(stderr, "op %d flags differ %llx, rip %llx, memory differs %d\n", now.insn.op,
		(unsigned long long)flags, (unsigned long long)ctx->regs.rip,
		memcmp(copy, window(), WINDOW_SIZE) != 0);
	for (unsigned int i = 0; i < WINDOW_SIZE; i++)
		if (copy[i] != ((uint8_t *)window())[i])
			fprintf(stderr, "%llx: was %02x emulated %02x native %02x\n", WINDOW_BASE + i, original[i],
				copy[i], ((uint8_t *)window())[i]);
	print_case();
	fail();
}

/* Double shifts beyond the width, narrow enter, bit scans of 0, 32-bit cmpxchg of registers. */
static bool may_be_left(const struct insn *i)
{
	return i->op == OP_SHLD || i->op == OP_SHRD || i->op == OP_ENTER || i->op == OP_BSF || i->op == OP_BSR ||
	       (i->op == OP_CMPXCHG && !i->has_mem);
}

static int signal_of(const struct emul_ctxt *ctx)
{
	if (ctx->exception.vector == EXC_DE)
		return SIGFPE;
	return ctx->exception.vector == EXC_UD ? SIGILL : SIGSEGV;
}

/* Not in 64-bit mode. */
static bool is_legacy(enum emul_op op)
{
	return op == OP_PUSHA || op == OP_POPA || (op >= OP_DAA && op <= OP_AAD) || op == OP_SALC || op == OP_BOUND;
}

/* In the test itself: cmocka has handlers of its own until then. */
static void catch_faults(void)
{
	static const int signals[] = { SIGSEGV, SIGILL, SIGBUS, SIGFPE, SIGTRAP };
	static uint8_t stack[65536];
	stack_t alt = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction action = { .sa_sigaction = native_fault, .sa_flags = SA_ONSTACK | SA_SIGINFO };

	sigaltstack(&alt, NULL);
	for (unsigned int i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &action, NULL);
}

static void emulator_agrees_with_the_processor(void **state)
{
	unsigned int ran = 0, seen[OP_COUNT] = { 0 }, left = 0, faults = 0;
	struct emul_ctxt ctx;

	catch_faults();
	while (ran < CASES) {
		enum emul_status status;

		if (!make_case())
			continue;
		status = run_emulated(&ctx);
		if (status == EMUL_UNKNOWN && may_be_left(&now.insn)) {
			left++;
			continue;
		}
		if (status != EMUL_DONE && status != EMUL_EXCEPTION)
			print_case();
		assert_true(status == EMUL_DONE || status == EMUL_EXCEPTION);
		fault_expected = status == EMUL_EXCEPTION;
		run_natively();
		if (native.signal != (fault_expected ? (uint64_t)signal_of(&ctx) : 0))
			print_case();
		assert_int_equal(native.signal, fault_expected ? signal_of(&ctx) : 0);
		faults += fault_expected;
		compare(&ctx);
		seen[now.insn.op]++;
		ran++;
	}
	printf("%u instructions agree, %u of them fault, %u left to the processor\n", ran, faults, left);
	for (unsigned int op = OP_ADD; op < OP_INS; op++)
		if (!is_legacy((enum emul_op)op) && seen[op] == 0)
			fail_msg("operation %u never ran", op);
}

static int open_memory(void **state)
{
	void *code = mmap((void *)CODE_BASE, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	void *data = mmap((void *)DATA_BASE, DATA_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	__asm__("mov %%es, %0" : "=r"(selectors[SEG_ES]));
	__asm__("mov %%cs, %0" : "=r"(selectors[SEG_CS]));
	__asm__("mov %%ss, %0" : "=r"(selectors[SEG_SS]));
	__asm__("mov %%ds, %0" : "=r"(selectors[SEG_DS]));
	__asm__("mov %%fs, %0" : "=r"(selectors[SEG_FS]));
	__asm__("mov %%gs, %0" : "=r"(selectors[SEG_GS]));
	return code == (void *)CODE_BASE && data == (void *)DATA_BASE ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(emulator_agrees_with_the_processor) };
	const char *text = getenv("SPOOR_SEED");

	random_state = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL);
	printf("SPOOR_SEED=%llu\n", (unsigned long long)random_state);
	fflush(stdout);
	random_state = random_state * 0x9e3779b97f4a7c15ull | 1;
	return cmocka_run_group_tests(tests, open_memory, NULL);
}
