// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tracked pages as a vCPU meets them: from the fault through the emulator, the
 * interpreter, event delivery or the native step to the trackers, and from
 * their verdicts back to the guest.
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

#define PTE_RW 0x67ull
#define CODE 0x8000u  /* a page of its own */
#define DATA 0x20000u
#define OTHER 0x30000u
#define IDT 0x40000u
#define GDT 0x41000u
#define STACK_PAGE 0x50000u
#define STACK (STACK_PAGE + 0xF00u)
#define HANDLER 0x61000u
#define PATTERN 0x8877665544332211ull
#define TSC 123456u

static struct fake_vm f;
static struct fake_tracker tracker;

static void put64(uint64_t addr, uint64_t val) { memcpy(f.ram + addr, &val, sizeof(val)); }

static uint64_t get64(uint64_t addr)
{
	uint64_t val;

	memcpy(&val, f.ram + addr, sizeof(val));
	return val;
}

static int made(void **state)
{
	fake_vm_init(&f);
	fake_long_mode(&f);
	fake_tracker_open(&tracker, &f.mmu.mem.track, "watcher", 5);
	f.tsc = TSC;
	f.vcpu.regs.gpr[GPR_RBX] = DATA;
	f.idt = (struct descriptor_table){ IDT, 0xFFF };
	f.gdt = (struct descriptor_table){ GDT, 0x3F };
	put64(GDT + 8, 0x00AF9B000000FFFFull);
	for (unsigned int vector = 0; vector < 256; vector++)
		put64(IDT + 16 * vector, (HANDLER & 0xFFFF) | 8ull << 16 | 0x8Eull << 40 |
					 (uint64_t)(HANDLER >> 16) << 48);
	return 0;
}

static int gone(void **state)
{
	fake_tracker_close(&tracker);
	fake_vm_destroy(&f);
	return 0;
}

static void again(void)
{
	gone(NULL);
	made(NULL);
}

#define INSN(...)                                                                                            \
	do {                                                                                                 \
		const uint8_t insn[] = { __VA_ARGS__ };                                                      \
		fake_code(&f, insn, sizeof(insn));                                                           \
	} while (0)

#define MOV_STORE 0x48, 0x89, 0x03 /* mov %rax, (%rbx) */
#define MOV_LOAD 0x48, 0x8B, 0x03  /* mov (%rbx), %rax */
#define ADD_STORE 0x48, 0x01, 0x03 /* add %rax, (%rbx) */
#define FXSAVE 0x0F, 0xAE, 0x03    /* (%rbx): unknown to the emulator */
#define NOP 0x90

static void track(uint64_t addr, unsigned int modes) { fake_tracker_add(&tracker, addr, modes); }

static enum vcpu_action fault(uint64_t addr, uint32_t error_code)
{
	return vcpu_page_fault(&f.vcpu, gva(addr), error_code);
}

static enum vcpu_action nothing(struct fake_vm *vm) { return VCPU_RESUME; }

/* What an event must be; the rest is the same in all of them. */
struct expected {
	enum page_track_mode mode;
	uint64_t gpa, gva;
	uint32_t len;
	enum access_agent agent;
	bool user;
	enum page_track_verdict verdict; /* NONE: that of the question */
	uint64_t hit;
	uint64_t rip;   /* 0: CODE */
	bool no_paging; /* cr3 is 0 */
	bool inexact;
};

static void assert_event_at(const struct seen_event *s, struct expected x, int line)
{
	uint64_t rip = x.rip ? x.rip : CODE, cr3 = x.no_paging ? 0 : FAKE_PML4;

	if (s->e.mode != x.mode || s->e.gpa.v != x.gpa || s->e.len != x.len || s->e.verdict != x.verdict ||
	    s->e.hit != x.hit || s->e.inexact != x.inexact)
		fail_msg("line %d: mode %d gpa %llx len %u verdict %d hit %llu", line, s->e.mode,
			 (unsigned long long)s->e.gpa.v, s->e.len, s->e.verdict, (unsigned long long)s->e.hit);
	if (s->origin.agent != x.agent || s->origin.user != x.user || s->origin.gva.v != x.gva ||
	    s->origin.rip != rip || s->origin.cr3 != cr3 || s->origin.vcpu != f.vcpu.id)
		fail_msg("line %d: agent %d user %d gva %llx rip %llx cr3 %llx", line, s->origin.agent, s->origin.user,
			 (unsigned long long)s->origin.gva.v, (unsigned long long)s->origin.rip,
			 (unsigned long long)s->origin.cr3);
	assert_int_equal(s->e.tsc, TSC);
	assert_ptr_equal(s->e.page, f.ram + (x.gpa & ~(uint64_t)PAGE_OFFSET_MASK));
}

#define assert_event(s, ...) assert_event_at(s, (struct expected){ __VA_ARGS__ }, __LINE__)

static void assert_bytes(const struct seen_event *s, uint64_t old, uint64_t new)
{
	assert_true(s->has_old && s->has_new);
	assert_memory_equal(s->old, &old, s->e.len);
	assert_memory_equal(s->new, &new, s->e.len);
}

static void assert_faulted(enum exception_vector vector, uint32_t error_code)
{
	assert_true(f.vcpu.event.pending);
	assert_int_equal(f.vcpu.event.vector, vector);
	assert_int_equal(f.vcpu.event.error_code, error_code);
	assert_int_equal(f.vcpu.event.type, EVENT_HARDWARE_EXCEPTION);
}

static void assert_stopped(void)
{
	f.run = nothing;
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_STOP);
	assert_int_equal(f.vcpu.stop.reason, VCPU_STOP_TRACKER);
	assert_string_equal(f.vcpu.stop.detail, "watcher");
}

/* ---- events of emulated instructions ---------------------------------------------- */

static void for_user(bool user)
{
	again();
	fake_set_cpl(&f, user ? 3 : 0);
}

static void a_write(void **state)
{
	for (int user = 0; user < 2; user++) {
		for_user(user);
		track(DATA, PAGE_TRACK_W);
		INSN(MOV_STORE);
		fake_map(&f, OTHER, DATA, PTE_RW);
		put64(DATA + 0x18, 0x1111111111111111);
		f.vcpu.regs.gpr[GPR_RAX] = PATTERN;
		f.vcpu.regs.gpr[GPR_RBX] = OTHER + 0x18; /* linear and physical address differ */
		assert_int_equal(fault(OTHER + 0x18, PFERR_WRITE | (user ? PFERR_USER : 0)), VCPU_RESUME);
		assert_int_equal(f.vcpu.regs.rip, CODE + 3);
		assert_int_equal(get64(DATA + 0x18), PATTERN);
		assert_int_equal(tracker.asked, 1);
		assert_int_equal(tracker.told, 1);
		assert_event(&tracker.ask[0], .mode = PAGE_TRACK_WRITE, .gpa = DATA + 0x18, .gva = OTHER + 0x18, .len = 8,
			     .user = user);
		assert_true(tracker.ask[0].has_value);
		assert_bytes(&tracker.ask[0], 0x1111111111111111, PATTERN);
		assert_event(&tracker.tell[0], .mode = PAGE_TRACK_WRITE, .gpa = DATA + 0x18, .gva = OTHER + 0x18, .len = 8,
			     .user = user, .verdict = VERDICT_ALLOW, .hit = 1);
		assert_bytes(&tracker.tell[0], 0x1111111111111111, PATTERN);
	}
}

static void a_read(void **state)
{
	for (int user = 0; user < 2; user++) {
		for_user(user);
		track(DATA, PAGE_TRACK_R);
		INSN(MOV_LOAD);
		put64(DATA, PATTERN);
		assert_int_equal(fault(DATA, user ? PFERR_USER : 0), VCPU_RESUME);
		assert_int_equal(f.vcpu.regs.gpr[GPR_RAX], PATTERN);
		assert_int_equal(tracker.asked, 1);
		assert_int_equal(tracker.told, 1);
		assert_event(&tracker.ask[0], .mode = PAGE_TRACK_READ, .gpa = DATA, .gva = DATA, .len = 8, .user = user);
		assert_true(tracker.ask[0].has_old && tracker.ask[0].has_value);
		assert_false(tracker.ask[0].has_new);
		assert_event(&tracker.tell[0], .mode = PAGE_TRACK_READ, .gpa = DATA, .gva = DATA, .len = 8, .user = user,
			     .verdict = VERDICT_ALLOW, .hit = 1);
		assert_bytes(&tracker.tell[0], PATTERN, PATTERN);
	}
}

static void an_execution(void **state)
{
	const uint64_t bytes = 0x038948; /* MOV_STORE */

	for (int user = 0; user < 2; user++) {
		for_user(user);
		track(CODE, PAGE_TRACK_X);
		INSN(MOV_STORE);
		assert_int_equal(fault(CODE, PFERR_FETCH | (user ? PFERR_USER : 0)), VCPU_RESUME);
		assert_int_equal(f.vcpu.regs.rip, CODE + 3);
		assert_int_equal(tracker.asked, 1);
		assert_int_equal(tracker.told, 1);
		assert_event(&tracker.ask[0], .mode = PAGE_TRACK_EXEC, .gpa = CODE, .gva = CODE, .len = 3, .user = user);
		assert_false(tracker.ask[0].has_value);
		assert_event(&tracker.tell[0], .mode = PAGE_TRACK_EXEC, .gpa = CODE, .gva = CODE, .len = 3, .user = user,
			     .verdict = VERDICT_ALLOW, .hit = 1);
		assert_bytes(&tracker.tell[0], bytes, bytes);
	}
}

static void hits_are_numbered(void **state)
{
	track(DATA, PAGE_TRACK_W);
	for (unsigned int i = 0; i < 5; i++) {
		f.vcpu.regs.rip = CODE;
		INSN(MOV_STORE);
		assert_int_equal(fault(DATA, PFERR_WRITE), VCPU_RESUME);
		assert_int_equal(tracker.tell[i].e.hit, i + 1);
	}
}

/* Each reads, and then writes. */
static void a_modification_is_one_read_and_one_write(void **state)
{
	static const struct { uint8_t code[6]; uint8_t len; uint64_t new; } all[] = {
		{ { ADD_STORE }, 8, 0x10 + 3 },
		{ { 0xF0, ADD_STORE }, 8, 0x10 + 3 },
		{ { 0x48, 0x87, 0x03 }, 8, 3 },             /* xchg */
		{ { 0x48, 0x0F, 0xC1, 0x03 }, 8, 0x10 + 3 }, /* xadd */
		{ { 0x0F, 0xC7, 0x0B }, 8, 0x10 },           /* cmpxchg8b, not taken */
		{ { 0x48, 0x0F, 0xB1, 0x0B }, 8, 0x10 },     /* cmpxchg, not taken */
		{ { 0xF0, 0x48, 0x0F, 0xB1, 0x0B }, 8, 0x10 },
		{ { 0xFE, 0x03 }, 1, 0x11 },                 /* inc */
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		again();
		track(DATA, PAGE_TRACK_W | PAGE_TRACK_R);
		fake_code(&f, all[i].code, sizeof(all[i].code));
		put64(DATA, 0x10);
		f.vcpu.regs.gpr[GPR_RAX] = 3;
		assert_int_equal(fault(DATA, PFERR_WRITE), VCPU_RESUME);
		assert_int_equal(tracker.asked, 2);
		assert_int_equal(tracker.told, 2);
		assert_event(&tracker.tell[0], .mode = PAGE_TRACK_READ, .gpa = DATA, .gva = DATA, .len = all[i].len,
			     .verdict = VERDICT_ALLOW, .hit = 1);
		assert_bytes(&tracker.tell[0], 0x10, 0x10);
		assert_event(&tracker.tell[1], .mode = PAGE_TRACK_WRITE, .gpa = DATA, .gva = DATA, .len = all[i].len,
			     .verdict = VERDICT_ALLOW, .hit = 2);
		assert_bytes(&tracker.tell[1], 0x10, all[i].new);
		assert_int_equal(get64(DATA), all[i].new);
	}
}

static void a_cmpxchg8b_that_is_taken(void **state)
{
	track(DATA, PAGE_TRACK_W | PAGE_TRACK_R);
	INSN(0x0F, 0xC7, 0x0B);
	put64(DATA, 0x0000000500000004);
	f.vcpu.regs.gpr[GPR_RAX] = 4;
	f.vcpu.regs.gpr[GPR_RDX] = 5;
	f.vcpu.regs.gpr[GPR_RCX] = 7;
	assert_int_equal(fault(DATA, PFERR_WRITE), VCPU_RESUME);
	assert_int_equal(tracker.told, 2);
	assert_int_equal(tracker.tell[0].e.mode, PAGE_TRACK_READ);
	assert_bytes(&tracker.tell[1], 0x0000000500000004, (uint64_t)7 << 32 | DATA);
	assert_true(f.vcpu.regs.rflags & X86_EFLAGS_ZF);
}

/* ---- which access is which event ---------------------------------------------------- */

/* No translation lets a fetch through and a read not: it is emulated, and nobody's event. */
static void a_fetch_is_no_read(void **state)
{
	track(CODE, PAGE_TRACK_R);
	INSN(NOP);
	assert_int_equal(fault(CODE, PFERR_FETCH), VCPU_RESUME);
	assert_int_equal(f.vcpu.regs.rip, CODE + 1);
	assert_int_equal(tracker.asked + tracker.told, 0);
}

static void a_read_is_no_execution(void **state)
{
	track(DATA, PAGE_TRACK_X);
	INSN(MOV_LOAD);
	assert_int_equal(fault(DATA, 0), VCPU_RESUME);
	assert_int_equal(f.vcpu.emulated, 0); /* mapped */
	track(DATA, PAGE_TRACK_W);
	INSN(ADD_STORE);
	assert_int_equal(fault(DATA, PFERR_WRITE), VCPU_RESUME);
	assert_int_equal(f.vcpu.emulated, 1);
	assert_int_equal(tracker.told, 1);
	assert_int_equal(tracker.by_mode[PAGE_TRACK_EXEC], 0);
	assert_int_equal(tracker.by_mode[PAGE_TRACK_READ], 0);
}

/* An instruction in an untracked page, for whose data it is emulated, tells of nothing else. */
static void only_what_is_tracked_is_told(void **state)
{
	track(DATA, PAGE_TRACK_W | PAGE_TRACK_R);
	INSN(MOV_STORE);
	assert_int_equal(fault(DATA, PFERR_WRITE), VCPU_RESUME);
	assert_int_equal(tracker.told, 1);
	again();
	track(DATA, PAGE_TRACK_W);
	track(CODE, PAGE_TRACK_X);
	INSN(MOV_STORE);
	assert_int_equal(fault(CODE, PFERR_FETCH), VCPU_RESUME);
	assert_int_equal(tracker.told, 2);
	assert_int_equal(tracker.tell[0].e.mode, PAGE_TRACK_EXEC);
	assert_int_equal(tracker.tell[1].e.mode, PAGE_TRACK_WRITE);
	/* A look at code that turns out to be undefined is an execution, too. */
	fake_tracker_clear(&tracker);
	f.vcpu.regs.rip = CODE;
	INSN(0x0F, 0x0B);
	assert_int_equal(fault(CODE, PFERR_FETCH), VCPU_RESUME);
	assert_faulted(EXC_UD, 0);
	assert_int_equal(tracker.told, 1);
	assert_int_equal(tracker.tell[0].e.len, 2);
}

/* Two bytes in one page, and one in the next, which is elsewhere. */
static void code_that_crosses(bool first, bool second)
{
	static const uint8_t head[] = { 0x48, 0x89 };

	again();
	fake_map(&f, CODE + 0x1000, OTHER, PTE_RW);
	memcpy(f.ram + CODE + 0xFFE, head, sizeof(head));
	f.ram[OTHER] = 0x03;
	f.vcpu.regs.rip = CODE + 0xFFE;
	if (first)
		track(CODE, PAGE_TRACK_X);
	if (second)
		track(OTHER, PAGE_TRACK_X);
}

static void an_instruction_in_two_pages(void **state)
{
	for (int which = 1; which < 4; which++) {
		unsigned int n = 0;

		code_that_crosses(which & 1, which & 2);
		assert_int_equal(fault(which & 1 ? CODE + 0xFFE : CODE + 0x1000, PFERR_FETCH), VCPU_RESUME);
		assert_int_equal(f.vcpu.regs.rip, CODE + 0x1001);
		if (which & 1) {
			assert_event(&tracker.tell[n], .mode = PAGE_TRACK_EXEC, .gpa = CODE + 0xFFE, .gva = CODE + 0xFFE,
				     .len = 2, .verdict = VERDICT_ALLOW, .hit = n + 1, .rip = CODE + 0xFFE);
			assert_bytes(&tracker.tell[n++], 0x8948, 0x8948);
		}
		if (which & 2) {
			assert_event(&tracker.tell[n], .mode = PAGE_TRACK_EXEC, .gpa = OTHER, .gva = CODE + 0x1000, .len = 1,
				     .verdict = VERDICT_ALLOW, .hit = n + 1, .rip = CODE + 0xFFE);
			assert_bytes(&tracker.tell[n++], 0x03, 0x03);
		}
		assert_int_equal(tracker.told, n);
	}
	/* One that ends with the page is in that page only. */
	code_that_crosses(false, true);
	f.vcpu.regs.rip = CODE + 0xFFD;
	INSN(MOV_STORE);
	track(CODE, PAGE_TRACK_X);
	assert_int_equal(fault(CODE + 0xFFD, PFERR_FETCH), VCPU_RESUME);
	assert_int_equal(tracker.told, 1);
}

static void the_second_page_of_an_instruction_is_denied(void **state)
{
	code_that_crosses(true, true);
	tracker.answer[PAGE_TRACK_EXEC] = VERDICT_DENY_PF;
	tracker.answer_page = OTHER >> PAGE_SHIFT;
	assert_int_equal(fault(CODE + 0xFFE, PFERR_FETCH), VCPU_RESUME);
	assert_faulted(EXC_PF, PFERR_PRESENT);
	assert_int_equal(f.cr2, CODE + 0x1000);
	assert_int_equal(f.vcpu.regs.rip, CODE + 0xFFE);
	assert_int_equal(tracker.told, 2);
	assert_int_equal(tracker.tell[0].e.verdict, VERDICT_ALLOW);
	assert_int_equal(tracker.tell[1].e.verdict, VERDICT_DENY_PF);
}

/* ---- repeated instructions ---------------------------------------------------------- */

#define ITERATIONS (2 * EMUL_REP_MAX + 100u)

static void repeat_from(uint64_t rip)
{
	unsigned int rounds = 0;

	while (f.vcpu.regs.rip == rip) {
		assert_int_equal(fault(rip, PFERR_FETCH), VCPU_RESUME);
		assert_false(f.vcpu.event.pending);
		rounds++;
	}
	assert_int_equal(rounds, 3);
}

static void one_execution_for_all_iterations(void **state)
{
	static const uint8_t all[][3] = { { 0xF3, 0xAA }, { 0xF3, 0xA4 }, { 0xF3, 0xAC }, { 0xF3, 0xA6 }, { 0xF3, 0xAE } };
	static const unsigned int reads[] = { 0, 1, 1, 2, 1 }, writes[] = { 1, 1, 0, 0, 0 };

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		again();
		track(CODE, PAGE_TRACK_X);
		track(DATA, PAGE_TRACK_W | PAGE_TRACK_R);
		track(OTHER, PAGE_TRACK_W | PAGE_TRACK_R);
		INSN(all[i][0], all[i][1]);
		f.vcpu.regs.gpr[GPR_RDI] = DATA;
		f.vcpu.regs.gpr[GPR_RSI] = OTHER;
		f.vcpu.regs.gpr[GPR_RCX] = ITERATIONS;
		repeat_from(CODE);
		assert_int_equal(tracker.by_mode[PAGE_TRACK_EXEC], 1);
		assert_int_equal(tracker.by_mode[PAGE_TRACK_READ], reads[i] * ITERATIONS);
		assert_int_equal(tracker.by_mode[PAGE_TRACK_WRITE], writes[i] * ITERATIONS);
		assert_int_equal(tracker.asked, tracker.told);
		/* The next time it is another. */
		f.vcpu.regs.rip = CODE;
		assert_int_equal(fault(CODE, PFERR_FETCH), VCPU_RESUME);
		assert_int_equal(tracker.by_mode[PAGE_TRACK_EXEC], 2);
	}
}

/* What is tracked no more need not be emulated: the hardware goes on with the second iteration. */
static void a_repetition_is_left_to_the_hardware(void **state)
{
	track(DATA, PAGE_TRACK_W | PAGE_TRACK_X);
	tracker.lets_go = true;
	INSN(0xF3, 0xAA);
	f.vcpu.regs.gpr[GPR_RDI] = DATA;
	f.vcpu.regs.gpr[GPR_RCX] = ITERATIONS;
	assert_int_equal(fault(DATA, PFERR_WRITE), VCPU_RESUME);
	assert_int_equal(f.vcpu.regs.rip, CODE);
	assert_int_equal(f.vcpu.regs.gpr[GPR_RCX], ITERATIONS - 1);
	assert_int_equal(tracker.told, 1);
	tracker.lets_go = false;
	fake_tracker_remove(&tracker, DATA, PAGE_TRACK_X);
}

/* It was completed by the hardware: the next time at the same place it is another. */
static void a_repetition_that_ends_unseen(void **state)
{
	track(CODE, PAGE_TRACK_X);
	INSN(0xF3, 0xAA);
	f.vcpu.regs.gpr[GPR_RDI] = DATA;
	f.vcpu.regs.gpr[GPR_RCX] = ITERATIONS;
	assert_int_equal(fault(CODE, PFERR_FETCH), VCPU_RESUME);
	assert_int_equal(f.vcpu.regs.rip, CODE);
	f.vcpu.regs.rip = CODE + 2; /* the hardware did the rest, and had another exit */
	f.run = nothing;
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_RESUME);
	f.vcpu.regs.rip = CODE;
	assert_int_equal(fault(CODE, PFERR_FETCH), VCPU_RESUME);
	assert_int_equal(tracker.by_mode[PAGE_TRACK_EXEC], 2);
}

/* An interrupt in between: it is fetched again behind the handler. */
static void an_interrupted_repetition_is_fetched_again(void **state)
{
	track(CODE, PAGE_TRACK_X);
	INSN(0xF3, 0xAA);
	f.vcpu.regs.gpr[GPR_RDI] = DATA;
	f.vcpu.regs.gpr[GPR_RCX] = ITERATIONS;
	assert_int_equal(fault(CODE, PFERR_FETCH), VCPU_RESUME);
	assert_int_equal(f.vcpu.regs.rip, CODE);
	f.run = nothing;
	f.vcpu.event = (struct vcpu_event){ .pending = true, .vector = 0x30, .type = EVENT_EXTERNAL };
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_RESUME);
	assert_int_equal(fault(CODE, PFERR_FETCH), VCPU_RESUME);
	assert_int_equal(tracker.by_mode[PAGE_TRACK_EXEC], 2);
}

static void iterations_before_a_denial_stay_done(void **state)
{
	track(DATA, PAGE_TRACK_W);
	INSN(0xF3, 0xAA);
	f.vcpu.regs.gpr[GPR_RAX] = 0x55;
	f.vcpu.regs.gpr[GPR_RDI] = DATA + 2;
	f.vcpu.regs.gpr[GPR_RCX] = 20;
	tracker.answer[PAGE_TRACK_WRITE] = VERDICT_DENY_PF;
	tracker.answer_after = 5;
	assert_int_equal(fault(DATA + 2, PFERR_WRITE), VCPU_RESUME);
	assert_faulted(EXC_PF, PFERR_PRESENT | PFERR_WRITE);
	assert_int_equal(f.cr2, DATA + 7);
	assert_int_equal(f.vcpu.regs.gpr[GPR_RDI], DATA + 7);
	assert_int_equal(f.vcpu.regs.gpr[GPR_RCX], 15);
	assert_int_equal(f.vcpu.regs.rip, CODE);
	assert_int_equal(f.ram[DATA + 6], 0x55);
	assert_int_equal(f.ram[DATA + 7], 0);
	assert_int_equal(tracker.told, 6);
	assert_int_equal(tracker.tell[5].e.verdict, VERDICT_DENY_PF);
}

/* ---- accesses in two pages ------------------------------------------------------------ */

#define FIRST (DATA + 0xFFC)

/* Linear neighbours, of which the second is elsewhere. */
static void two_pages(unsigned int modes)
{
	again();
	fake_map(&f, DATA + 0x1000, OTHER, PTE_RW);
	track(DATA, modes);
	track(OTHER, modes);
	f.vcpu.regs.gpr[GPR_RBX] = FIRST;
	f.vcpu.regs.gpr[GPR_RAX] = PATTERN;
}

static void one_event_for_each_page(void **state)
{
	two_pages(PAGE_TRACK_W);
	INSN(MOV_STORE);
	assert_int_equal(fault(FIRST, PFERR_WRITE), VCPU_RESUME);
	assert_int_equal(tracker.told, 2);
	assert_event(&tracker.tell[0], .mode = PAGE_TRACK_WRITE, .gpa = FIRST, .gva = FIRST, .len = 4,
		     .verdict = VERDICT_ALLOW, .hit = 1);
	assert_bytes(&tracker.tell[0], 0, PATTERN & 0xFFFFFFFF);
	assert_event(&tracker.tell[1], .mode = PAGE_TRACK_WRITE, .gpa = OTHER, .gva = DATA + 0x1000, .len = 4,
		     .verdict = VERDICT_ALLOW, .hit = 2);
	assert_bytes(&tracker.tell[1], 0, PATTERN >> 32);
	assert_int_equal(get64(DATA + 0x1000), 0); /* the physical neighbour */

	two_pages(PAGE_TRACK_R);
	INSN(MOV_LOAD);
	memset(f.ram + FIRST, 0xAA, 4);
	memset(f.ram + OTHER, 0xBB, 4);
	assert_int_equal(fault(FIRST, 0), VCPU_RESUME);
	assert_int_equal(tracker.told, 2);
	assert_event(&tracker.tell[0], .mode = PAGE_TRACK_READ, .gpa = FIRST, .gva = FIRST, .len = 4,
		     .verdict = VERDICT_ALLOW, .hit = 1);
	assert_event(&tracker.tell[1], .mode = PAGE_TRACK_READ, .gpa = OTHER, .gva = DATA + 0x1000, .len = 4,
		     .verdict = VERDICT_ALLOW, .hit = 2);
	assert_int_equal(f.vcpu.regs.gpr[GPR_RAX], 0xBBBBBBBBAAAAAAAA);
}

/* Whichever page is denied: nothing is written, and the fault is at that page. */
static void nothing_is_written_if_one_page_is_denied(void **state)
{
	for (int second = 0; second < 2; second++) {
		two_pages(PAGE_TRACK_W);
		INSN(MOV_STORE);
		tracker.answer[PAGE_TRACK_WRITE] = VERDICT_DENY_PF;
		tracker.answer_page = (second ? OTHER : DATA) >> PAGE_SHIFT;
		assert_int_equal(fault(FIRST, PFERR_WRITE), VCPU_RESUME);
		assert_faulted(EXC_PF, PFERR_PRESENT | PFERR_WRITE);
		assert_int_equal(f.cr2, second ? DATA + 0x1000 : FIRST);
		assert_int_equal(get64(DATA + 0xFF8), 0);
		assert_int_equal(get64(OTHER), 0);
		assert_int_equal(tracker.asked, 2);
		assert_int_equal(tracker.told, 2);
		assert_int_equal(tracker.tell[0].e.verdict, VERDICT_DENY_PF);
		assert_int_equal(tracker.tell[1].e.verdict, VERDICT_DENY_PF);
		assert_int_equal(f.vcpu.regs.rip, CODE);

		two_pages(PAGE_TRACK_R);
		INSN(MOV_LOAD);
		tracker.answer[PAGE_TRACK_READ] = VERDICT_DENY_PF;
		tracker.answer_page = (second ? OTHER : DATA) >> PAGE_SHIFT;
		assert_int_equal(fault(FIRST, 0), VCPU_RESUME);
		assert_faulted(EXC_PF, PFERR_PRESENT);
		assert_int_equal(f.cr2, second ? DATA + 0x1000 : FIRST);
		assert_int_equal(f.vcpu.regs.gpr[GPR_RAX], PATTERN);
	}
}

/* ---- verdicts ----------------------------------------------------------------------------- */

static void answer(enum page_track_mode mode, enum page_track_verdict verdict)
{
	tracker.answer[mode] = verdict;
	memset(tracker.value, 0xEE, 8);
}

static void assert_told(enum page_track_verdict verdict)
{
	assert_int_equal(tracker.told, 1);
	assert_int_equal(tracker.tell[0].e.verdict, verdict);
	assert_int_equal(tracker.tell[0].e.hit, 1);
}

static void write_with(enum page_track_verdict verdict, bool user)
{
	for_user(user);
	track(DATA, PAGE_TRACK_W);
	answer(PAGE_TRACK_WRITE, verdict);
	INSN(MOV_STORE);
	f.vcpu.regs.gpr[GPR_RAX] = PATTERN;
	assert_int_equal(fault(DATA, PFERR_WRITE | (user ? PFERR_USER : 0)), verdict == VERDICT_STOP ? VCPU_STOP : VCPU_RESUME);
}

static void verdicts_on_a_write(void **state)
{
	write_with(VERDICT_ALLOW, false);
	assert_told(VERDICT_ALLOW);
	assert_int_equal(get64(DATA), PATTERN);

	for (int user = 0; user < 2; user++) {
		write_with(VERDICT_DENY_PF, user);
		assert_told(VERDICT_DENY_PF);
		assert_faulted(EXC_PF, PFERR_PRESENT | PFERR_WRITE | (user ? PFERR_USER : 0));
		assert_int_equal(f.cr2, DATA);
		assert_int_equal(get64(DATA), 0);
		assert_int_equal(f.vcpu.regs.rip, CODE);
	}

	write_with(VERDICT_DENY_GP, false);
	assert_told(VERDICT_DENY_GP);
	assert_faulted(EXC_GP, 0);
	assert_int_equal(f.cr2, 0);
	assert_int_equal(get64(DATA), 0);
	assert_int_equal(f.vcpu.regs.rip, CODE);

	write_with(VERDICT_SKIP, false);
	assert_told(VERDICT_SKIP);
	assert_false(f.vcpu.event.pending);
	assert_int_equal(get64(DATA), 0);
	assert_int_equal(f.vcpu.regs.rip, CODE + 3);

	write_with(VERDICT_REPLACE, false);
	assert_told(VERDICT_REPLACE);
	assert_bytes(&tracker.tell[0], 0, 0xEEEEEEEEEEEEEEEE);
	assert_int_equal(get64(DATA), 0xEEEEEEEEEEEEEEEE);
	assert_int_equal(f.vcpu.regs.rip, CODE + 3);

	write_with(VERDICT_STOP, false);
	assert_told(VERDICT_STOP);
	assert_int_equal(get64(DATA), 0);
	assert_int_equal(f.vcpu.regs.rip, CODE);
	assert_stopped();
}

static void read_with(enum page_track_verdict verdict, bool user)
{
	for_user(user);
	track(DATA, PAGE_TRACK_R);
	answer(PAGE_TRACK_READ, verdict);
	INSN(MOV_LOAD);
	put64(DATA, PATTERN);
	f.vcpu.regs.gpr[GPR_RAX] = 1;
	assert_int_equal(fault(DATA, user ? PFERR_USER : 0), verdict == VERDICT_STOP ? VCPU_STOP : VCPU_RESUME);
}

static void verdicts_on_a_read(void **state)
{
	read_with(VERDICT_ALLOW, false);
	assert_told(VERDICT_ALLOW);
	assert_int_equal(f.vcpu.regs.gpr[GPR_RAX], PATTERN);

	for (int user = 0; user < 2; user++) {
		read_with(VERDICT_DENY_PF, user);
		assert_told(VERDICT_DENY_PF);
		assert_faulted(EXC_PF, PFERR_PRESENT | (user ? PFERR_USER : 0));
		assert_int_equal(f.cr2, DATA);
		assert_int_equal(f.vcpu.regs.gpr[GPR_RAX], 1);
		assert_int_equal(f.vcpu.regs.rip, CODE);
	}

	read_with(VERDICT_DENY_GP, false);
	assert_told(VERDICT_DENY_GP);
	assert_faulted(EXC_GP, 0);
	assert_int_equal(f.vcpu.regs.gpr[GPR_RAX], 1);

	read_with(VERDICT_SKIP, false);
	assert_told(VERDICT_SKIP);
	assert_bytes(&tracker.tell[0], PATTERN, 0);
	assert_int_equal(f.vcpu.regs.gpr[GPR_RAX], 0);
	assert_int_equal(f.vcpu.regs.rip, CODE + 3);

	read_with(VERDICT_REPLACE, false);
	assert_told(VERDICT_REPLACE);
	assert_bytes(&tracker.tell[0], PATTERN, 0xEEEEEEEEEEEEEEEE);
	assert_int_equal(f.vcpu.regs.gpr[GPR_RAX], 0xEEEEEEEEEEEEEEEE);
	assert_int_equal(get64(DATA), PATTERN);

	read_with(VERDICT_STOP, false);
	assert_told(VERDICT_STOP);
	assert_int_equal(f.vcpu.regs.gpr[GPR_RAX], 1);
	assert_stopped();
}

static void execute_with(enum page_track_verdict verdict, bool user)
{
	for_user(user);
	track(CODE, PAGE_TRACK_X);
	answer(PAGE_TRACK_EXEC, verdict);
	INSN(MOV_STORE);
	f.vcpu.regs.gpr[GPR_RAX] = PATTERN;
	assert_int_equal(fault(CODE, PFERR_FETCH | (user ? PFERR_USER : 0)),
			 verdict == VERDICT_STOP ? VCPU_STOP : VCPU_RESUME);
	assert_int_equal(get64(DATA), verdict == VERDICT_ALLOW ? PATTERN : 0);
	assert_int_equal(f.vcpu.regs.rip, verdict == VERDICT_ALLOW || verdict == VERDICT_SKIP ? CODE + 3 : CODE);
	assert_int_equal(f.vcpu.regs.gpr[GPR_RAX], PATTERN);
}

static void verdicts_on_an_execution(void **state)
{
	execute_with(VERDICT_ALLOW, false);
	assert_told(VERDICT_ALLOW);

	for (int user = 0; user < 2; user++) {
		execute_with(VERDICT_DENY_PF, user);
		assert_told(VERDICT_DENY_PF);
		assert_faulted(EXC_PF, PFERR_PRESENT | (user ? PFERR_USER : 0));
		assert_int_equal(f.cr2, CODE);
	}

	execute_with(VERDICT_DENY_GP, false);
	assert_told(VERDICT_DENY_GP);
	assert_faulted(EXC_GP, 0);

	execute_with(VERDICT_SKIP, false);
	assert_told(VERDICT_SKIP);
	assert_false(f.vcpu.event.pending);
	assert_int_equal(f.insns_done, 1);

	execute_with(VERDICT_REPLACE, false); /* of an instruction nothing can be replaced */
	assert_told(VERDICT_DENY_GP);
	assert_faulted(EXC_GP, 0);

	execute_with(VERDICT_STOP, false);
	assert_told(VERDICT_STOP);
	assert_stopped();
}

/* The CPU says that it was a fetch only where fetches can be refused. */
static void the_fetch_bit_of_a_denied_execution(void **state)
{
	for (int how = 0; how < 2; how++) {
		again();
		track(CODE, PAGE_TRACK_X);
		answer(PAGE_TRACK_EXEC, VERDICT_DENY_PF);
		INSN(NOP);
		if (how == 0)
			f.vcpu.mmu.paging.efer |= EFER_NXE;
		else
			f.vcpu.mmu.paging.cr4 |= X86_CR4_SMEP;
		fake_map(&f, CODE, CODE, PTE_RW & ~4ull);
		assert_int_equal(fault(CODE, PFERR_FETCH), VCPU_RESUME);
		assert_faulted(EXC_PF, PFERR_PRESENT | PFERR_FETCH);
	}
}

/* Passed over whatever it is: also one that jumps, repeats, or is not known. */
static void any_instruction_can_be_passed_over(void **state)
{
	static const struct { uint8_t code[4], len; } all[] = {
		{ { 0xEB, 0x40 }, 2 },       /* jmp */
		{ { 0xF3, 0xAA }, 2 },       /* rep stosb */
		{ { FXSAVE }, 3 },           { { 0x0F, 0x0B }, 2 }, /* ud2 */
		{ { 0xCD, 0x80 }, 2 },       { { 0x0F, 0xA2 }, 2 }, /* cpuid */
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		again();
		track(CODE, PAGE_TRACK_X);
		answer(PAGE_TRACK_EXEC, VERDICT_SKIP);
		fake_code(&f, all[i].code, sizeof(all[i].code));
		f.vcpu.regs.gpr[GPR_RCX] = 1000;
		f.vcpu.regs.gpr[GPR_RDI] = DATA;
		f.vcpu.regs.gpr[GPR_RAX] = PATTERN;
		assert_int_equal(fault(CODE, PFERR_FETCH), VCPU_RESUME);
		assert_int_equal(f.vcpu.regs.rip, CODE + all[i].len);
		assert_int_equal(f.vcpu.regs.gpr[GPR_RCX], 1000);
		assert_int_equal(f.vcpu.regs.gpr[GPR_RAX], PATTERN);
		assert_int_equal(get64(DATA), 0);
		assert_false(f.vcpu.event.pending || f.vcpu.stepping);
		assert_told(VERDICT_SKIP);
	}
}

/* A trap of the guest's own comes behind what is passed over as behind any instruction. */
static void a_trap_behind_what_is_passed_over(void **state)
{
	track(CODE, PAGE_TRACK_X);
	answer(PAGE_TRACK_EXEC, VERDICT_SKIP);
	INSN(MOV_STORE);
	f.vcpu.regs.rflags |= X86_EFLAGS_TF;
	assert_int_equal(fault(CODE, PFERR_FETCH), VCPU_RESUME);
	assert_int_equal(f.vcpu.regs.rip, CODE + 3);
	assert_int_equal(f.vcpu.event.vector, EXC_DB);
}

/* What it reads is not what is there: it works on what it is given, and stores that. */
static void what_a_modification_reads_can_be_replaced(void **state)
{
	static const struct { uint8_t code[6]; enum page_track_verdict verdict; uint64_t memory, rax; } all[] = {
		{ { ADD_STORE }, VERDICT_REPLACE, 0xEEEEEEEEEEEEEEEE + 3, 3 },
		{ { 0xF0, ADD_STORE }, VERDICT_REPLACE, 0xEEEEEEEEEEEEEEEE + 3, 3 },
		{ { 0x48, 0x87, 0x03 }, VERDICT_REPLACE, 3, 0xEEEEEEEEEEEEEEEE },
		{ { 0x48, 0x87, 0x03 }, VERDICT_SKIP, 3, 0 },
		{ { 0x48, 0x0F, 0xC1, 0x03 }, VERDICT_REPLACE, 0xEEEEEEEEEEEEEEEE + 3, 0xEEEEEEEEEEEEEEEE },
		{ { 0xF0, 0x48, 0x0F, 0xC1, 0x03 }, VERDICT_REPLACE, 0xEEEEEEEEEEEEEEEE + 3, 0xEEEEEEEEEEEEEEEE },
		{ { 0xF0, 0x48, 0x0F, 0xB1, 0x0B }, VERDICT_REPLACE, 0xEEEEEEEEEEEEEEEE, 0xEEEEEEEEEEEEEEEE },
		{ { 0x0F, 0xC7, 0x0B }, VERDICT_REPLACE, 0xEEEEEEEEEEEEEEEE, 0xEEEEEEEE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		again();
		track(DATA, PAGE_TRACK_R | PAGE_TRACK_W);
		answer(PAGE_TRACK_READ, all[i].verdict);
		fake_code(&f, all[i].code, sizeof(all[i].code));
		put64(DATA, 0x10);
		f.vcpu.regs.gpr[GPR_RAX] = 3;
		assert_int_equal(fault(DATA, PFERR_WRITE), VCPU_RESUME);
		assert_false(f.vcpu.stepping);
		assert_int_equal(f.vcpu.regs.gpr[GPR_RAX], all[i].rax);
		assert_int_equal(get64(DATA), all[i].memory);
		assert_int_equal(tracker.told, 2);
		assert_bytes(&tracker.tell[1], 0x10, all[i].memory);
	}
}

static enum page_track_verdict changes_memory(struct page_tracker *t, const struct page_track_event *e, uint8_t *value)
{
	if (e->mode == PAGE_TRACK_READ)
		f.ram[DATA] = 0x20;
	tracker.asked++;
	return VERDICT_NONE;
}

/* Nobody is asked for an exchange that cannot be: it is tried again with what is there. */
static void each_write_is_asked_for_once(void **state)
{
	static const struct page_tracker_ops ops = { .before = changes_memory };
	const struct page_tracker_ops *kept = tracker.t.ops;

	track(DATA, PAGE_TRACK_W | PAGE_TRACK_R);
	INSN(0xF0, ADD_STORE);
	put64(DATA, 0x10);
	f.vcpu.regs.gpr[GPR_RAX] = 3;
	tracker.t.ops = &ops; /* what was read is no longer there when it writes */
	assert_int_equal(fault(DATA, PFERR_WRITE), VCPU_RESUME);
	tracker.t.ops = kept;
	assert_int_equal(get64(DATA), 0x23);
	assert_int_equal(tracker.asked, 2);
}

static void a_locked_write_obeys_too(void **state)
{
	static const enum page_track_verdict all[] = { VERDICT_DENY_PF, VERDICT_DENY_GP, VERDICT_SKIP, VERDICT_REPLACE };
	static const uint64_t memory[] = { 0x10, 0x10, 0x10, 0xEEEEEEEEEEEEEEEE };

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		bool denied = all[i] == VERDICT_DENY_PF || all[i] == VERDICT_DENY_GP;

		again();
		track(DATA, PAGE_TRACK_W);
		answer(PAGE_TRACK_WRITE, all[i]);
		INSN(0xF0, ADD_STORE);
		put64(DATA, 0x10);
		f.vcpu.regs.gpr[GPR_RAX] = 3;
		assert_int_equal(fault(DATA, PFERR_WRITE), VCPU_RESUME);
		assert_int_equal(get64(DATA), memory[i]);
		assert_told(all[i]);
		assert_int_equal(f.vcpu.event.pending, denied);
		assert_int_equal(f.vcpu.regs.rip, denied ? CODE : CODE + 4);
	}
}

/* ---- event delivery --------------------------------------------------------------------- */

#define FRAME (STACK - 40)
#define ERROR_EXT 1u /* of a fault during a delivery */
#define INTERRUPT(v) (struct vcpu_event){ .vector = (v), .type = EVENT_EXTERNAL }
#define EXCEPTION(v) (struct vcpu_event){ .vector = (v), .type = EVENT_HARDWARE_EXCEPTION }

/* The exit that a delivery to the tracked stack ends with. */
static enum vcpu_action deliver(struct vcpu_event e, enum page_track_verdict verdict)
{
	again();
	track(STACK_PAGE, PAGE_TRACK_W);
	answer(PAGE_TRACK_WRITE, verdict);
	memset(tracker.value, 0xEE, 64);
	f.vcpu.regs.gpr[GPR_RSP] = STACK;
	put64(STACK - 8, 0x77);
	vcpu_event_interrupted(&f.vcpu, &e);
	return fault(STACK - 8, PFERR_WRITE);
}

static void delivery_is_the_cpus_own_access(void **state)
{
	assert_int_equal(deliver(INTERRUPT(0x30), VERDICT_ALLOW), VCPU_RESUME);
	assert_int_equal(f.vcpu.regs.rip, HANDLER);
	assert_int_equal(tracker.asked, 1);
	assert_int_equal(tracker.told, 1);
	assert_event(&tracker.ask[0], .mode = PAGE_TRACK_WRITE, .gpa = FRAME, .gva = FRAME, .len = 40,
		     .agent = AGENT_INJECTION);
	assert_event(&tracker.tell[0], .mode = PAGE_TRACK_WRITE, .gpa = FRAME, .gva = FRAME, .len = 40,
		     .agent = AGENT_INJECTION, .verdict = VERDICT_ALLOW, .hit = 1);
	assert_int_equal(tracker.tell[0].old[32], 0x77);
	assert_memory_equal(tracker.tell[0].new, f.ram + FRAME, 40);
}

/* From ring 3 to ring 0, too. */
static void delivery_from_user_code_is_the_cpus_own(void **state)
{
	again();
	track(STACK_PAGE, PAGE_TRACK_W);
	fake_set_cpl(&f, 3);
	f.segment[SEG_TR].base = DATA;
	f.segment[SEG_TR].limit = 0x67;
	put64(DATA + 4, STACK);
	vcpu_event_interrupted(&f.vcpu, &INTERRUPT(0x30));
	assert_int_equal(fault(STACK - 8, PFERR_WRITE), VCPU_RESUME);
	assert_int_equal(f.vcpu.regs.rip, HANDLER);
	assert_int_equal(tracker.told, 1);
	assert_event(&tracker.tell[0], .mode = PAGE_TRACK_WRITE, .gpa = FRAME, .gva = FRAME, .len = 40,
		     .agent = AGENT_INJECTION, .verdict = VERDICT_ALLOW, .hit = 1);
}

/* A denial is a fault of the delivery: SDM vol. 3, "Interrupt 8 - Double Fault". */
static void a_denied_delivery(void **state)
{
	static const struct { uint8_t first; enum page_track_verdict verdict; uint8_t then; } all[] = {
		{ EXC_UD, VERDICT_DENY_PF, EXC_PF }, { EXC_GP, VERDICT_DENY_PF, EXC_PF },
		{ EXC_PF, VERDICT_DENY_PF, EXC_DF }, { EXC_UD, VERDICT_DENY_GP, EXC_GP },
		{ EXC_GP, VERDICT_DENY_GP, EXC_DF }, { EXC_PF, VERDICT_DENY_GP, EXC_DF },
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		assert_int_equal(deliver(EXCEPTION(all[i].first), all[i].verdict), VCPU_RESUME);
		assert_faulted(all[i].then, all[i].then == EXC_PF ? PFERR_PRESENT | PFERR_WRITE :
					    all[i].then == EXC_GP ? ERROR_EXT : 0);
		assert_int_equal(f.cr2, all[i].verdict == VERDICT_DENY_PF ? FRAME : 0);
		assert_int_equal(get64(STACK - 8), 0x77);
		assert_int_equal(f.vcpu.regs.rip, CODE);
		assert_int_equal(f.vcpu.regs.gpr[GPR_RSP], STACK);
		assert_told(all[i].verdict);
	}
	assert_int_equal(deliver(INTERRUPT(0x30), VERDICT_DENY_GP), VCPU_RESUME);
	assert_faulted(EXC_GP, ERROR_EXT);
	assert_int_equal(deliver(EXCEPTION(EXC_DF), VERDICT_DENY_PF), VCPU_STOP);
	assert_int_equal(f.vcpu.stop.reason, VCPU_STOP_TRIPLE_FAULT);
	/* Skipped: the handler runs, and finds what was there. */
	assert_int_equal(deliver(INTERRUPT(0x30), VERDICT_SKIP), VCPU_RESUME);
	assert_int_equal(f.vcpu.regs.rip, HANDLER);
	assert_int_equal(get64(STACK - 8), 0x77);
	assert_told(VERDICT_SKIP);
	assert_int_equal(deliver(INTERRUPT(0x30), VERDICT_REPLACE), VCPU_RESUME);
	assert_int_equal(f.vcpu.regs.rip, HANDLER);
	assert_int_equal(get64(STACK - 8), 0xEEEEEEEEEEEEEEEE);
	assert_int_equal(deliver(INTERRUPT(0x30), VERDICT_STOP), VCPU_STOP);
	assert_int_equal(get64(STACK - 8), 0x77);
	assert_stopped();
}

/* ---- the native step ---------------------------------------------------------------------- */

static void step_at(uint64_t addr, unsigned int modes, uint32_t error_code)
{
	track(addr, modes);
	INSN(FXSAVE);
	f.vcpu.regs.gpr[GPR_RBX] = addr + 0x40;
	assert_int_equal(fault(addr + 0x40, error_code), VCPU_RESUME);
}

#define ROOM (PAGE_SIZE - 0x40)

static void a_step_asks_before_and_tells_after(void **state)
{
	for (int user = 0; user < 2; user++) {
		for_user(user);
		step_at(DATA, PAGE_TRACK_W, PFERR_WRITE | (user ? PFERR_USER : 0));
		assert_true(f.vcpu.stepping && f.step);
		assert_int_equal(tracker.asked, 1);
		assert_int_equal(tracker.told, 0);
		assert_event(&tracker.ask[0], .mode = PAGE_TRACK_WRITE, .gpa = DATA + 0x40, .gva = DATA + 0x40, .len = ROOM,
			     .agent = AGENT_GUEST, .user = user, .inexact = true);
		assert_false(tracker.ask[0].has_old || tracker.ask[0].has_new || tracker.ask[0].has_value);
		put64(DATA + 0x40, PATTERN); /* by the hardware */
		put64(DATA + 0x50, PATTERN);
		f.vcpu.regs.rip += 3;
		vcpu_step_done(&f.vcpu);
		assert_false(f.vcpu.stepping || f.step);
		assert_int_equal(tracker.told, 1);
		assert_event(&tracker.tell[0], .mode = PAGE_TRACK_WRITE, .gpa = DATA + 0x40, .gva = DATA + 0x40, .len = 0x18,
			     .agent = AGENT_GUEST, .user = user, .inexact = true, .verdict = VERDICT_ALLOW, .hit = 1);
		assert_int_equal(tracker.tell[0].old[0], 0);
		assert_memory_equal(tracker.tell[0].new, f.ram + DATA + 0x40, 0x18);
		assert_int_equal(tracker.asked, 1);
	}
}

static void a_stepped_read(void **state)
{
	put64(DATA + 0x40, PATTERN);
	step_at(DATA, PAGE_TRACK_R, 0);
	assert_true(f.vcpu.stepping);
	assert_event(&tracker.ask[0], .mode = PAGE_TRACK_READ, .gpa = DATA + 0x40, .gva = DATA + 0x40, .len = ROOM,
		     .agent = AGENT_GUEST, .inexact = true);
	vcpu_step_done(&f.vcpu);
	assert_int_equal(tracker.told, 1);
	assert_event(&tracker.tell[0], .mode = PAGE_TRACK_READ, .gpa = DATA + 0x40, .gva = DATA + 0x40, .len = ROOM,
		     .agent = AGENT_GUEST, .inexact = true, .verdict = VERDICT_ALLOW, .hit = 1);
	assert_memory_equal(tracker.tell[0].old, f.ram + DATA + 0x40, TRACKER_BYTES);
}

/* In a page that is tracked for it: told before, by the emulator that looked at it. */
static void a_stepped_execution(void **state)
{
	track(CODE, PAGE_TRACK_X);
	INSN(FXSAVE);
	assert_int_equal(fault(CODE, PFERR_FETCH), VCPU_RESUME);
	assert_true(f.vcpu.stepping);
	assert_int_equal(tracker.told, 1);
	assert_event(&tracker.tell[0], .mode = PAGE_TRACK_EXEC, .gpa = CODE, .gva = CODE, .len = 3,
		     .verdict = VERDICT_ALLOW, .hit = 1);
	/* Its data is tracked, too. */
	track(DATA, PAGE_TRACK_W);
	assert_int_equal(fault(DATA, PFERR_WRITE), VCPU_RESUME);
	put64(DATA, 1);
	vcpu_step_done(&f.vcpu);
	assert_int_equal(tracker.told, 2);
	assert_int_equal(tracker.by_mode[PAGE_TRACK_EXEC], 1);
}

static void denied_steps(void **state)
{
	static const enum page_track_verdict all[] = { VERDICT_DENY_PF, VERDICT_DENY_GP, VERDICT_SKIP, VERDICT_REPLACE };

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		again();
		answer(PAGE_TRACK_WRITE, all[i]);
		step_at(DATA, PAGE_TRACK_W, PFERR_WRITE);
		assert_false(f.vcpu.stepping || f.step);
		assert_told(all[i] == VERDICT_REPLACE ? VERDICT_DENY_GP : all[i]);
		assert_int_equal(f.vcpu.regs.rip, all[i] == VERDICT_SKIP ? CODE + 3 : CODE);
		if (all[i] == VERDICT_SKIP)
			assert_false(f.vcpu.event.pending);
		else if (all[i] == VERDICT_DENY_PF)
			assert_faulted(EXC_PF, PFERR_PRESENT | PFERR_WRITE);
		else
			assert_faulted(EXC_GP, 0);
		assert_int_equal(f.cr2, all[i] == VERDICT_DENY_PF ? DATA + 0x40 : 0);
		assert_int_equal(mmu_audit(&f.mmu), 0);
	}
	again();
	answer(PAGE_TRACK_WRITE, VERDICT_STOP);
	track(DATA, PAGE_TRACK_W);
	INSN(FXSAVE);
	assert_int_equal(fault(DATA, PFERR_WRITE), VCPU_STOP);
	assert_false(f.vcpu.stepping);
	assert_stopped();
}

/* The second page of a step is denied when the first is open already: the instruction
 * has changed nothing yet. */
static void a_step_denied_on_its_way(void **state)
{
	step_at(DATA, PAGE_TRACK_W, PFERR_WRITE);
	track(OTHER, PAGE_TRACK_W);
	answer(PAGE_TRACK_WRITE, VERDICT_DENY_PF);
	assert_int_equal(fault(OTHER, PFERR_WRITE), VCPU_RESUME);
	assert_faulted(EXC_PF, PFERR_PRESENT | PFERR_WRITE);
	assert_int_equal(f.cr2, OTHER);
	assert_false(f.vcpu.stepping || f.step);
	assert_told(VERDICT_DENY_PF);
	assert_int_equal(tracker.tell[0].e.gpa.v, OTHER);
	assert_int_equal(mmu_audit(&f.mmu), 0);
}

/* 32-bit code at the end of the address space goes on at its start. */
static void a_passed_over_step_wraps(void **state)
{
	fake_protected_mode(&f);
	answer(PAGE_TRACK_WRITE, VERDICT_SKIP);
	track(DATA, PAGE_TRACK_W);
	f.segment[SEG_CS].base = (uint32_t)(CODE - 0xFFFFFFFDu);
	f.vcpu.regs.rip = CODE;
	INSN(FXSAVE);
	f.vcpu.regs.rip = 0xFFFFFFFD;
	f.vcpu.regs.gpr[GPR_RBX] = DATA;
	assert_int_equal(fault(DATA, PFERR_WRITE), VCPU_RESUME);
	assert_false(f.vcpu.event.pending);
	assert_int_equal(f.vcpu.regs.rip, 0);
}

static void a_fault_inside_a_step(void **state)
{
	step_at(DATA, PAGE_TRACK_W, PFERR_WRITE);
	assert_int_equal(vcpu_inject_error(&f.vcpu, EXC_GP, 0), VCPU_RESUME);
	assert_false(f.vcpu.stepping);
	assert_int_equal(tracker.told, 0);
	/* The handler is done, and it runs again. */
	f.vcpu.event.pending = false;
	assert_int_equal(fault(DATA + 0x40, PFERR_WRITE), VCPU_RESUME);
	put64(DATA + 0x40, PATTERN);
	vcpu_step_done(&f.vcpu);
	assert_int_equal(tracker.told, 1);
	assert_int_equal(tracker.tell[0].e.len, 8);
	/* What it had written before it faulted was written. */
	fake_tracker_clear(&tracker);
	assert_int_equal(fault(DATA + 0x40, PFERR_WRITE), VCPU_RESUME);
	put64(DATA + 0x48, PATTERN);
	assert_int_equal(vcpu_inject_error(&f.vcpu, EXC_GP, 0), VCPU_RESUME);
	assert_int_equal(tracker.told, 1);
	assert_int_equal(tracker.tell[0].e.gpa.v, DATA + 0x48);
	assert_int_equal(tracker.tell[0].e.len, 8);
}

/* ---- the interpreter -------------------------------------------------------------------- */

static const uint8_t real_code[] = {
	0xB8, 0x34, 0x12, /* mov $1234h, %ax */
	0xA3, 0x00, 0x06, /* mov %ax, (600h) */
	0xF4,             /* hlt */
};

/* Behind a base: linear addresses are told. */
static void in_real_mode(void)
{
	fake_real_mode(&f);
	f.segment[SEG_CS].selector = 0x700;
	f.segment[SEG_CS].base = 0x7000;
	memcpy(f.ram + CODE, real_code, sizeof(real_code));
	f.vcpu.regs.rip = 0x1000;
	f.vcpu.regs.rflags |= X86_EFLAGS_IF;
}

static void interpreted_code(void **state)
{
	static const uint32_t at[] = { 0, 3, 6 }, len[] = { 3, 3, 1 };

	in_real_mode();
	track(CODE, PAGE_TRACK_X);
	track(0, PAGE_TRACK_W);
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_YIELD);
	assert_int_equal(tracker.by_mode[PAGE_TRACK_EXEC], 3);
	assert_int_equal(tracker.told, 4);
	for (unsigned int i = 0, n = 0; i < 3; i++, n++) {
		assert_event(&tracker.tell[n], .mode = PAGE_TRACK_EXEC, .gpa = CODE + at[i], .gva = CODE + at[i],
			     .len = len[i], .verdict = VERDICT_ALLOW, .hit = n + 1, .rip = 0x1000 + at[i], .no_paging = true);
		assert_memory_equal(tracker.tell[n].new, real_code + at[i], len[i]);
		if (i == 1) { /* its store */
			n++;
			assert_event(&tracker.tell[n], .mode = PAGE_TRACK_WRITE, .gpa = 0x600, .gva = 0x600, .len = 2,
				     .verdict = VERDICT_ALLOW, .hit = n + 1, .rip = 0x1003, .no_paging = true);
		}
	}
}

static void verdicts_on_interpreted_code(void **state)
{
	const uint16_t vector[] = { 0x500, 0 };

	for (int verdict = VERDICT_DENY_PF; verdict <= VERDICT_STOP; verdict++) {
		again();
		in_real_mode();
		track(CODE, PAGE_TRACK_X);
		answer(PAGE_TRACK_EXEC, verdict);
		tracker.answer_after = 1;
		memcpy(f.ram + 4 * EXC_GP, vector, sizeof(vector));
		memcpy(f.ram + 4 * EXC_PF, vector, sizeof(vector));
		f.ram[0x500] = 0xF4;
		vcpu_run_once(&f.vcpu);
		assert_int_equal(f.ram[0x600] | f.ram[0x601], 0); /* the second instruction is not executed */
		if (verdict == VERDICT_STOP) {
			assert_stopped();
			assert_int_equal(f.vcpu.regs.rip, 0x1003);
		} else if (verdict == VERDICT_SKIP) {
			/* hlt, too: on to zeros, add %al, (%bx,%si) */
			assert_true(f.vcpu.regs.rip > 0x1007);
		} else {
			assert_int_equal(f.vcpu.regs.rip, 0x501);
			assert_int_equal(f.ram[0x7000 - 6] | f.ram[0x7000 - 5] << 8, 0x1003);
			assert_int_equal(tracker.told, 2);
		}
	}
}

static enum vcpu_action touches_data(struct fake_vm *vm)
{
	return vm->vcpu.stepping ? vcpu_page_fault(&vm->vcpu, gva(0x9040), PFERR_WRITE | PFERR_USER) :
				   VCPU_RESUME;
}

/* A step in borrowed virtual-8086 mode knows how long its instruction is. */
static void a_real_mode_step_that_is_passed_over(void **state)
{
	static const uint8_t fxsave[] = { 0x0F, 0xAE, 0x06, 0x40, 0x90, 0xF4 };

	fake_real_mode(&f);
	fake_code(&f, fxsave, sizeof(fxsave));
	f.run = touches_data;
	track(0x9000, PAGE_TRACK_W);
	answer(PAGE_TRACK_WRITE, VERDICT_SKIP);
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_RESUME); /* interprets */
	assert_true(f.vcpu.stepping && f.vcpu.v86.borrowed);
	assert_int_equal(vcpu_run_once(&f.vcpu), VCPU_RESUME);
	assert_false(f.vcpu.stepping || f.vcpu.v86.borrowed);
	assert_true(f.vcpu.interpreting);
	assert_false(f.vcpu.event.pending);
	assert_int_equal(f.vcpu.regs.rip, FAKE_CODE + 5);
	assert_told(VERDICT_SKIP);
}

/* ---- task switches ------------------------------------------------------------------------- */

#define OLD_TSS (DATA + 0x100)
#define NEW_TSS OTHER

static void a_task_switch_is_the_cpus_own_access(void **state)
{
	const struct emul_task_switch t = { .selector = 0x10, .source = EMUL_TASK_JMP };

	fake_protected_mode(&f);
	put64(GDT + 0x08, 0x00CF9B000000FFFFull);
	put64(GDT + 0x10, 0x0000890000000067ull | (uint64_t)(NEW_TSS & 0xFFFFFF) << 16);
	put64(GDT + 0x18, 0x00CF93000000FFFFull);
	put64(GDT + 0x20, 0x00008B0000000067ull | (uint64_t)(OLD_TSS & 0xFFFFFF) << 16);
	f.segment[SEG_TR] = (struct segment){ .selector = 0x20, .base = OLD_TSS, .limit = 0x67, .access = 0x8B };
	f.gdt = (struct descriptor_table){ GDT, 0x3F };
	put64(NEW_TSS + 0x20, HANDLER);
	put64(NEW_TSS + 0x4C, 0x08);
	put64(NEW_TSS + 0x50, 0x18);
	track(DATA, PAGE_TRACK_W);
	assert_int_equal(vcpu_exit_task_switch(&f.vcpu, &t, 5), VCPU_RESUME);
	assert_int_equal(f.vcpu.regs.rip, HANDLER);
	assert_int_equal(tracker.told, 1);
	assert_int_equal(tracker.tell[0].origin.agent, AGENT_INJECTION);
	assert_false(tracker.tell[0].origin.user);
	assert_int_equal(tracker.tell[0].e.gpa.v, OLD_TSS + 0x20);
	assert_int_equal(f.vcpu.breakpoints, 0);
}

/* ---- page walks ----------------------------------------------------------------------------- */

static void walks_are_told_to_those_who_want_them(void **state)
{
	for (int walks = 0; walks < 2; walks++) {
		again();
		tracker.t.walks = walks;
		track(FAKE_PT, PAGE_TRACK_R);
		assert_int_equal(fault(DATA, 0), VCPU_RESUME); /* mapped */
		assert_int_equal(tracker.told, walks);
		if (walks) {
			assert_event(&tracker.tell[0], .mode = PAGE_TRACK_READ, .gpa = FAKE_PT + 8 * (DATA >> PAGE_SHIFT),
				     .gva = DATA, .len = 8, .agent = AGENT_WALKER, .verdict = VERDICT_ALLOW, .hit = 1);
			assert_bytes(&tracker.tell[0], DATA | PTE_RW, DATA | PTE_RW);
		}
	}
}

/* The walks of an emulated instruction: for what it fetches, and for its data. */
static void walks_of_an_emulated_instruction(void **state)
{
	fake_set_cpl(&f, 3);
	tracker.t.walks = true;
	track(FAKE_PT, PAGE_TRACK_R);
	track(DATA, PAGE_TRACK_W);
	INSN(MOV_STORE);
	assert_int_equal(fault(DATA, PFERR_WRITE | PFERR_USER), VCPU_RESUME);
	assert_int_equal(f.vcpu.regs.rip, CODE + 3);
	assert_int_equal(tracker.by_mode[PAGE_TRACK_READ], 2);
	assert_event(&tracker.tell[0], .mode = PAGE_TRACK_READ, .gpa = FAKE_PT + 8 * (DATA >> PAGE_SHIFT), .gva = DATA,
		     .len = 8, .agent = AGENT_WALKER, .verdict = VERDICT_ALLOW, .hit = 1);
	assert_event(&tracker.tell[1], .mode = PAGE_TRACK_READ, .gpa = FAKE_PT + 8 * (CODE >> PAGE_SHIFT), .gva = CODE,
		     .len = 8, .agent = AGENT_WALKER, .verdict = VERDICT_ALLOW, .hit = 2);
}

/* The accessed bit is set by a write, which all trackers of the page see. */
static void accessed_bits_are_writes(void **state)
{
	fake_map(&f, DATA, DATA, PTE_RW & ~0x60ull);
	track(FAKE_PT, PAGE_TRACK_W);
	assert_int_equal(fault(DATA, PFERR_WRITE), VCPU_RESUME);
	assert_int_equal(tracker.told, 1);
	assert_event(&tracker.tell[0], .mode = PAGE_TRACK_WRITE, .gpa = FAKE_PT + 8 * (DATA >> PAGE_SHIFT), .gva = DATA,
		     .len = 8, .agent = AGENT_WALKER, .verdict = VERDICT_ALLOW, .hit = 1);
	assert_bytes(&tracker.tell[0], DATA | (PTE_RW & ~0x60ull), DATA | PTE_RW);
}

/* ---- several trackers ------------------------------------------------------------------------ */

static void the_first_of_two_decides(void **state)
{
	static struct fake_tracker second;

	fake_tracker_open(&second, &f.mmu.mem.track, "second", 9);
	track(DATA, PAGE_TRACK_W);
	fake_tracker_add(&second, DATA, PAGE_TRACK_W);
	answer(PAGE_TRACK_WRITE, VERDICT_SKIP);
	second.answer[PAGE_TRACK_WRITE] = VERDICT_DENY_GP;
	INSN(MOV_STORE);
	assert_int_equal(fault(DATA, PFERR_WRITE), VCPU_RESUME);
	assert_false(f.vcpu.event.pending);
	assert_int_equal(f.vcpu.regs.rip, CODE + 3);
	assert_int_equal(second.overruled, 1);
	assert_int_equal(second.tell[0].e.verdict, VERDICT_SKIP);
	fake_tracker_close(&second);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, made, gone)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_write),
		TEST(a_read),
		TEST(an_execution),
		TEST(hits_are_numbered),
		TEST(a_modification_is_one_read_and_one_write),
		TEST(a_cmpxchg8b_that_is_taken),
		TEST(a_fetch_is_no_read),
		TEST(a_read_is_no_execution),
		TEST(only_what_is_tracked_is_told),
		TEST(an_instruction_in_two_pages),
		TEST(the_second_page_of_an_instruction_is_denied),
		TEST(one_execution_for_all_iterations),
		TEST(a_repetition_is_left_to_the_hardware),
		TEST(a_repetition_that_ends_unseen),
		TEST(an_interrupted_repetition_is_fetched_again),
		TEST(iterations_before_a_denial_stay_done),
		TEST(one_event_for_each_page),
		TEST(nothing_is_written_if_one_page_is_denied),
		TEST(verdicts_on_a_write),
		TEST(verdicts_on_a_read),
		TEST(verdicts_on_an_execution),
		TEST(the_fetch_bit_of_a_denied_execution),
		TEST(any_instruction_can_be_passed_over),
		TEST(a_trap_behind_what_is_passed_over),
		TEST(what_a_modification_reads_can_be_replaced),
		TEST(each_write_is_asked_for_once),
		TEST(a_locked_write_obeys_too),
		TEST(delivery_is_the_cpus_own_access),
		TEST(delivery_from_user_code_is_the_cpus_own),
		TEST(a_denied_delivery),
		TEST(a_step_asks_before_and_tells_after),
		TEST(a_stepped_read),
		TEST(a_stepped_execution),
		TEST(denied_steps),
		TEST(a_step_denied_on_its_way),
		TEST(a_passed_over_step_wraps),
		TEST(a_fault_inside_a_step),
		TEST(interpreted_code),
		TEST(verdicts_on_interpreted_code),
		TEST(a_real_mode_step_that_is_passed_over),
		TEST(a_task_switch_is_the_cpus_own_access),
		TEST(walks_are_told_to_those_who_want_them),
		TEST(walks_of_an_emulated_instruction),
		TEST(accessed_bits_are_writes),
		TEST(the_first_of_two_decides),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
