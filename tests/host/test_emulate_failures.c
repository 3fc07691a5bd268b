// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every instruction form, with every access that it makes failing in turn: the
 * answer is the access's own, and registers and memory are as before. First
 * the access itself fails, then its segment does not reach so far.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>
#include "tests/host/emulate_fake.h"

static struct fake f;

/* ---- ops of which one fails ---------------------------------------------------- */

static const struct emul_ops *real;
static int calls, fail_at; /* of all that are not fetches */
static enum emul_status fail_with;

static bool fails(struct emul_ctxt *ctx, enum emul_status *status)
{
	if (calls++ != fail_at)
		return false;
	*status = fail_with;
	if (fail_with == EMUL_EXCEPTION)
		ctx->exception = (struct emul_exception){ .vector = EXC_PF, .has_error_code = true };
	return true;
}

static enum emul_status op_read(struct emul_ctxt *ctx, gva_t addr, void *dst, unsigned int len)
{
	enum emul_status status;

	return fails(ctx, &status) ? status : real->read(ctx, addr, dst, len);
}

static enum emul_status op_write(struct emul_ctxt *ctx, gva_t addr, const void *src, unsigned int len)
{
	enum emul_status status;

	return fails(ctx, &status) ? status : real->write(ctx, addr, src, len);
}

static enum emul_status op_cmpxchg(struct emul_ctxt *ctx, gva_t addr, void *expected, const void *desired,
				   unsigned int len, bool *done)
{
	enum emul_status status;

	return fails(ctx, &status) ? status : real->cmpxchg(ctx, addr, expected, desired, len, done);
}

static enum emul_status op_probe(struct emul_ctxt *ctx, gva_t addr, unsigned int len)
{
	enum emul_status status;

	return fails(ctx, &status) ? status : real->probe_write(ctx, addr, len);
}

static enum emul_status op_in(struct emul_ctxt *ctx, uint16_t port, unsigned int len, uint32_t *val)
{
	enum emul_status status;

	return fails(ctx, &status) ? status : real->port_in(ctx, port, len, val);
}

static enum emul_status op_out(struct emul_ctxt *ctx, uint16_t port, unsigned int len, uint32_t val)
{
	enum emul_status status;

	return fails(ctx, &status) ? status : real->port_out(ctx, port, len, val);
}

/* ---- the forms ------------------------------------------------------------------ */

static const struct form {
	const char *text;
	uint8_t code[12], len;
	enum { ALL, ONLY_32, ONLY_64 } modes;
} forms[] = {
	{ "add [rbx], eax", { 0x01, 0x03 }, 2, ALL },
	{ "add eax, [rbx]", { 0x03, 0x03 }, 2, ALL },
	{ "lock add [rbx], eax", { 0xf0, 0x01, 0x03 }, 3, ALL },
	{ "cmp [rbx], eax", { 0x39, 0x03 }, 2, ALL },
	{ "cmp eax, [rbx]", { 0x3b, 0x03 }, 2, ALL },
	{ "test [rbx], imm", { 0xf7, 0x03, 1, 0, 0, 0 }, 6, ALL },
	{ "xchg [rbx], eax", { 0x87, 0x03 }, 2, ALL },
	{ "inc dword [rbx]", { 0xff, 0x03 }, 2, ALL },
	{ "not dword [rbx]", { 0xf7, 0x13 }, 2, ALL },
	{ "neg dword [rbx]", { 0xf7, 0x1b }, 2, ALL },
	{ "shl dword [rbx], cl", { 0xd3, 0x23 }, 2, ALL },
	{ "shld [rbx], eax, 1", { 0x0f, 0xa4, 0x03, 1 }, 4, ALL },
	{ "shrd [rbx], eax, cl", { 0x0f, 0xad, 0x03 }, 3, ALL },
	{ "bt [rbx], eax", { 0x0f, 0xa3, 0x03 }, 3, ALL },
	{ "bts [rbx], eax", { 0x0f, 0xab, 0x03 }, 3, ALL },
	{ "lock btc [rbx], 3", { 0xf0, 0x0f, 0xba, 0x3b, 3 }, 5, ALL },
	{ "xadd [rbx], eax", { 0x0f, 0xc1, 0x03 }, 3, ALL },
	{ "lock cmpxchg [rbx], ecx", { 0xf0, 0x0f, 0xb1, 0x0b }, 4, ALL },
	{ "cmpxchg8b [rbx]", { 0x0f, 0xc7, 0x0b }, 3, ALL },
	{ "imul eax, [rbx]", { 0x0f, 0xaf, 0x03 }, 3, ALL },
	{ "imul eax, [rbx], 5", { 0x6b, 0x03, 5 }, 3, ALL },
	{ "mul dword [rbx]", { 0xf7, 0x23 }, 2, ALL },
	{ "imul byte [rbx]", { 0xf6, 0x2b }, 2, ALL },
	{ "mov [rbx], eax", { 0x89, 0x03 }, 2, ALL },
	{ "mov eax, [rbx]", { 0x8b, 0x03 }, 2, ALL },
	{ "mov [rbx], imm", { 0xc7, 0x03, 1, 2, 3, 4 }, 6, ALL },
	{ "mov eax, [moffs]", { 0xa1, 0x00, 0x41, 0, 0 }, 5, ONLY_32 },
	{ "mov [moffs], eax", { 0xa3, 0x00, 0x41, 0, 0 }, 5, ONLY_32 },
	{ "mov [moffs], rax", { 0x48, 0xa3, 0x00, 0x41, 0, 0, 0, 0, 0, 0 }, 10, ONLY_64 },
	{ "mov [rbx], ds", { 0x8c, 0x1b }, 2, ALL },
	{ "movzx eax, byte [rbx]", { 0x0f, 0xb6, 0x03 }, 3, ALL },
	{ "movsx eax, word [rbx]", { 0x0f, 0xbf, 0x03 }, 3, ALL },
	{ "movsxd rax, [rbx]", { 0x48, 0x63, 0x03 }, 3, ONLY_64 },
	{ "movbe eax, [rbx]", { 0x0f, 0x38, 0xf0, 0x03 }, 4, ALL },
	{ "movbe [rbx], eax", { 0x0f, 0x38, 0xf1, 0x03 }, 4, ALL },
	{ "xlat", { 0xd7 }, 1, ALL },
	{ "setz [rbx]", { 0x0f, 0x94, 0x03 }, 3, ALL },
	{ "cmovz eax, [rbx]", { 0x0f, 0x44, 0x03 }, 3, ALL },
	{ "cmovnz eax, [rbx]", { 0x0f, 0x45, 0x03 }, 3, ALL },
	{ "push rax", { 0x50 }, 1, ALL },
	{ "push [rbx]", { 0xff, 0x33 }, 2, ALL },
	{ "pop rax", { 0x58 }, 1, ALL },
	{ "pop [rbx]", { 0x8f, 0x03 }, 2, ALL },
	{ "pushf", { 0x9c }, 1, ALL },
	{ "pusha", { 0x60 }, 1, ONLY_32 },
	{ "popa", { 0x61 }, 1, ONLY_32 },
	{ "call", { 0xe8, 0, 1, 0, 0 }, 5, ALL },
	{ "call [rbx]", { 0xff, 0x13 }, 2, ALL },
	{ "jmp [rbx]", { 0xff, 0x23 }, 2, ALL },
	{ "ret", { 0xc3 }, 1, ALL },
	{ "ret 8", { 0xc2, 8, 0 }, 3, ALL },
	{ "enter 16, 0", { 0xc8, 16, 0, 0 }, 4, ALL },
	{ "leave", { 0xc9 }, 1, ALL },
	{ "movsd", { 0xa5 }, 1, ALL },
	{ "cmpsd", { 0xa7 }, 1, ALL },
	{ "stosd", { 0xab }, 1, ALL },
	{ "lodsd", { 0xad }, 1, ALL },
	{ "scasd", { 0xaf }, 1, ALL },
	{ "insd", { 0x6d }, 1, ALL },
	{ "outsd", { 0x6f }, 1, ALL },
	{ "in eax, dx", { 0xed }, 1, ALL },
	{ "out dx, eax", { 0xef }, 1, ALL },
};

static bool exists(const struct form *form, enum emul_mode mode)
{
	return form->modes != (mode == EMUL_MODE_64 ? ONLY_32 : ONLY_64);
}

static void open_form(const struct form *form, enum emul_mode mode)
{
	static struct emul_ops ops;

	fake_open(&f, mode);
	real = f.ctx.ops;
	ops = *real;
	ops.read = op_read;
	ops.write = op_write;
	ops.cmpxchg = op_cmpxchg;
	ops.probe_write = op_probe;
	ops.port_in = op_in;
	ops.port_out = op_out;
	f.ctx.ops = &ops;
	f.ctx.iopl_ok = 1;
	for (unsigned int reg = 0; reg < GPR_COUNT; reg++)
		if (reg != GPR_RSP)
			f.ctx.regs.gpr[reg] = 0x11 * reg;
	f.ctx.regs.gpr[GPR_RBX] = FAKE_DATA;
	f.ctx.regs.gpr[GPR_RSI] = FAKE_DATA + 0x100;
	f.ctx.regs.gpr[GPR_RDI] = FAKE_DATA + 0x200;
	f.ctx.regs.gpr[GPR_RBP] = FAKE_STACK + 0x40;
	/* Branch targets that every mode takes. */
	for (unsigned int a = FAKE_DATA; a < FAKE_STACK + 0x100; a += 8)
		fake_poke(&f, a, 8, 0x1800);
	memcpy(f.memory + FAKE_CODE, form->code, form->len);
	calls = 0;
	fail_at = -1;
}

static struct cpu_regs regs_before;
static uint8_t memory_before[FAKE_MEMORY];

static enum emul_status run(const struct form *form)
{
	regs_before = f.ctx.regs;
	memcpy(memory_before, f.memory, sizeof(memory_before));
	return fake_step(&f, form->code, form->len);
}

static void nothing_has_changed(const struct form *form, const char *when)
{
	if (memcmp(&regs_before, &f.ctx.regs, sizeof(regs_before)))
		fail_msg("%s: registers have changed though %s", form->text, when);
	if (memcmp(memory_before, f.memory, sizeof(memory_before)))
		fail_msg("%s: memory has changed though %s", form->text, when);
}

/* ---- tests ----------------------------------------------------------------------- */

/* How many accesses it makes when none fails. */
static int accesses_of(const struct form *form, enum emul_mode mode)
{
	open_form(form, mode);
	if (run(form) != EMUL_DONE)
		fail_msg("%s: not done in mode %d", form->text, mode);
	if (calls == 0)
		fail_msg("%s: makes no access", form->text);
	return calls;
}

static void each_access_fails(const struct form *form, enum emul_mode mode)
{
	static const enum emul_status with[] = { EMUL_EXCEPTION, EMUL_STOP, EMUL_UNKNOWN };
	int n = accesses_of(form, mode);

	for (unsigned int i = 0; i < ARRAY_SIZE(with); i++) {
		/* An op says "unknown" only before anything has changed. */
		for (int k = 0; k < (with[i] == EMUL_UNKNOWN ? 1 : n); k++) {
			enum emul_status status;

			open_form(form, mode);
			fail_at = k;
			fail_with = with[i];
			status = run(form);
			if (status != with[i])
				fail_msg("%s: access %d fails with %d, the instruction with %d",
					 form->text, k, with[i], status);
			nothing_has_changed(form, "an access failed");
			assert_int_equal(calls, k + 1); /* and nothing was tried after it */
		}
	}
}

static void an_access_that_fails_changes_nothing(void **state)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(forms); i++) {
		if (exists(&forms[i], EMUL_MODE_64))
			each_access_fails(&forms[i], EMUL_MODE_64);
		if (exists(&forms[i], EMUL_MODE_32))
			each_access_fails(&forms[i], EMUL_MODE_32);
	}
}

/* Of the segments that the form uses one is too short, or unusable. */
static void a_segment_that_fails_changes_nothing(void **state)
{
	static const enum segment_register segments[] = { SEG_DS, SEG_ES, SEG_SS };

	for (unsigned int i = 0; i < ARRAY_SIZE(forms); i++) {
		unsigned int failed = 0;

		if (!exists(&forms[i], EMUL_MODE_32))
			continue;
		for (unsigned int k = 0; k < 2 * ARRAY_SIZE(segments); k++) {
			enum segment_register s = segments[k / 2];

			open_form(&forms[i], EMUL_MODE_32);
			f.segments[s].limit = 0x100;
			if (k & 1)
				f.segments[s].access |= SEGMENT_UNUSABLE;
			if (run(&forms[i]) == EMUL_DONE)
				continue;
			failed++;
			assert_int_equal(f.ctx.exception.vector, s == SEG_SS ? EXC_SS : EXC_GP);
			nothing_has_changed(&forms[i], "a segment failed");
			assert_int_equal(fake_count(&f, FAKE_WRITE) + fake_count(&f, FAKE_CMPXCHG), 0);
		}
		if (failed == 0 && forms[i].code[0] != 0xed && forms[i].code[0] != 0xef)
			fail_msg("%s: uses no segment", forms[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_access_that_fails_changes_nothing),
		cmocka_unit_test(a_segment_that_fails_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
