// SPDX-License-Identifier: GPL-2.0-only
/* Hypercalls as the guest makes them: numbers, registers, who may. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "guests/spoor_hypercall.h"
#include "tests/host/vcpu_fake.h"
#include "vcpu/hypercall.h"

#define HIGH 0xAAAAAAAA00000000ull

static struct fake_vm f;

/* What was called last, and what it is to answer. */
static struct {
	const char *name;
	uint64_t arg[3];
	unsigned int count;
	int64_t answer;
} call;

static int64_t note(void *ctx, const char *name, uint64_t a, uint64_t b, uint64_t c)
{
	assert_ptr_equal(ctx, &call);
	call.name = name;
	call.arg[0] = a;
	call.arg[1] = b;
	call.arg[2] = c;
	call.count++;
	return call.answer;
}

static int64_t features(void *ctx, uint64_t what) { return note(ctx, "features", what, 0, 0); }
static int64_t track(void *ctx, gpa_t a, uint64_t n, uint64_t m) { return note(ctx, "track", a.v, n, m); }
static int64_t untrack(void *ctx, uint64_t id) { return note(ctx, "untrack", id, 0, 0); }
static int64_t freeze(void *ctx, gpa_t a, uint64_t n, uint64_t h) { return note(ctx, "freeze", a.v, n, h); }
static int64_t thaw(void *ctx, uint64_t id) { return note(ctx, "thaw", id, 0, 0); }

static int64_t events(void *ctx, const struct vcpu *v, gpa_t a, uint64_t n)
{
	assert_ptr_equal(v, &f.vcpu);
	return note(ctx, "events", a.v, n, 0);
}

static int64_t who(void *ctx, const struct vcpu *v, gpa_t a, gpa_t to)
{
	assert_ptr_equal(v, &f.vcpu);
	return note(ctx, "who", a.v, to.v, 0);
}

static const struct hypercall_ops all = { features, track, untrack, freeze, thaw, events, who };

static int made(void **state)
{
	fake_vm_init(&f);
	fake_long_mode(&f);
	f.vcpu.hypercalls = &all;
	f.vcpu.hypercall_ctx = &call;
	memset(&call, 0, sizeof(call));
	return 0;
}

static int gone(void **state)
{
	fake_vm_destroy(&f);
	return 0;
}

/* VMCALL with these registers; all others must stay. Returns RAX. */
static uint64_t vmcall(uint64_t number, uint64_t b, uint64_t c, uint64_t d, uint64_t s)
{
	struct cpu_regs before;

	for (unsigned int i = 0; i < GPR_COUNT; i++)
		f.vcpu.regs.gpr[i] = 0x1111111111111111ull * i;
	f.vcpu.regs.gpr[GPR_RAX] = number;
	f.vcpu.regs.gpr[GPR_RBX] = b;
	f.vcpu.regs.gpr[GPR_RCX] = c;
	f.vcpu.regs.gpr[GPR_RDX] = d;
	f.vcpu.regs.gpr[GPR_RSI] = s;
	before = f.vcpu.regs;
	assert_int_equal(vcpu_exit_hypercall(&f.vcpu), VCPU_NEXT_INSN);
	before.gpr[GPR_RAX] = f.vcpu.regs.gpr[GPR_RAX];
	assert_memory_equal(&before, &f.vcpu.regs, sizeof(before));
	return f.vcpu.regs.gpr[GPR_RAX];
}

static void each_number_is_its_call(void **state)
{
	static const struct {
		uint64_t number;
		const char *name;
		unsigned int args;
	} want[] = {
		{ SPOOR_CALL_FEATURES, "features", 1 }, { SPOOR_CALL_TRACK, "track", 3 },
		{ SPOOR_CALL_UNTRACK, "untrack", 1 },   { SPOOR_CALL_FREEZE, "freeze", 3 },
		{ SPOOR_CALL_THAW, "thaw", 1 },         { SPOOR_CALL_EVENTS, "events", 2 },
		{ SPOOR_CALL_WHO, "who", 2 },
	};
	const uint64_t arg[3] = { HIGH | 0x1000, HIGH | 0x20, HIGH | 7 };

	for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
		call.answer = (int64_t)i << 33 | 5;
		assert_true(vmcall(want[i].number, arg[0], arg[1], arg[2], 99) == (uint64_t)call.answer);
		assert_string_equal(call.name, want[i].name);
		assert_int_equal(call.count, i + 1);
		for (unsigned int a = 0; a < want[i].args; a++)
			assert_true(call.arg[a] == arg[a]);
	}
}

static void unknown_numbers(void **state)
{
	static const uint64_t numbers[] = { 0, 1, 5, SPOOR_CALL(0) - 1, SPOOR_CALL_WHO + 1, SPOOR_CALL(0x10000),
					    HIGH | SPOOR_CALL_FEATURES, UINT32_MAX, UINT64_MAX };

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		assert_true(vmcall(numbers[i], 0, 0, 0, 0) == (uint64_t)-1000);
	assert_int_equal(call.count, 0);
}

static void what_is_not_provided_is_unknown(void **state)
{
	static const struct hypercall_ops none;

	f.vcpu.hypercalls = &none;
	for (uint64_t n = SPOOR_CALL_FEATURES; n <= SPOOR_CALL_WHO; n++)
		assert_true(vmcall(n, 0, 0, 0, 0) == (uint64_t)-1000);
	f.vcpu.hypercalls = NULL;
	for (uint64_t n = SPOOR_CALL_FEATURES; n <= SPOOR_CALL_WHO; n++)
		assert_true(vmcall(n, 0, 0, 0, 0) == (uint64_t)-1000);
}

static void ring_0_only(void **state)
{
	for (unsigned int cpl = 1; cpl <= 3; cpl++) {
		fake_set_cpl(&f, cpl);
		assert_true(vmcall(SPOOR_CALL_FEATURES, 0, 0, 0, 0) == (uint64_t)-1);
		assert_true(vmcall(12345, 0, 0, 0, 0) == (uint64_t)-1); /* nor is it told what there is */
	}
	assert_int_equal(call.count, 0);
}

static void low_halves_only(const char *mode)
{
	call.answer = -22;
	/* Not sign-extended: EAX was written. */
	assert_true(vmcall(HIGH | SPOOR_CALL_TRACK, HIGH | 0x1000, HIGH | 0x20, HIGH | 7, 0) == 0xFFFFFFEA);
	if (call.count != 1)
		fail_msg("no call from %s", mode);
	assert_true(call.arg[0] == 0x1000 && call.arg[1] == 0x20 && call.arg[2] == 7);
	call.count = 0;
}

static void outside_64_bit_mode(void **state)
{
	f.segment[SEG_CS].access = 0xC09B;
	low_halves_only("compatibility mode");
	fake_protected_mode(&f);
	low_halves_only("protected mode without paging");
}

static void real_mode_has_no_calls(void **state)
{
	f.vcpu.v86.borrowed = true;
	f.vcpu.regs.gpr[GPR_RAX] = SPOOR_CALL_FEATURES;
	assert_int_equal(vcpu_exit_hypercall(&f.vcpu), VCPU_RESUME);
	assert_true(f.vcpu.event.pending);
	assert_int_equal(f.vcpu.event.vector, EXC_UD);
	assert_int_equal(f.vcpu.regs.gpr[GPR_RAX], SPOOR_CALL_FEATURES);
	assert_int_equal(call.count, 0);
}

static enum vcpu_action runs_vmcall(struct fake_vm *vm)
{
	vm->vcpu.regs.gpr[GPR_RAX] = SPOOR_CALL_UNTRACK;
	return vcpu_exit_hypercall(&vm->vcpu);
}

static void goes_on_behind_it(void **state)
{
	f.run = runs_vmcall;
	f.insn_len = 3;
	call.answer = -2;
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_RESUME);
	assert_int_equal(f.vcpu.regs.rip, FAKE_CODE + 3);
	assert_true(f.vcpu.regs.gpr[GPR_RAX] == (uint64_t)-2);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, made, gone)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_number_is_its_call),
		TEST(unknown_numbers),
		TEST(what_is_not_provided_is_unknown),
		TEST(ring_0_only),
		TEST(outside_64_bit_mode),
		TEST(real_mode_has_no_calls),
		TEST(goes_on_behind_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
