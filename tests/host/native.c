// SPDX-License-Identifier: GPL-2.0-only
/*
 * Enters the code by a far jump with all registers loaded; a far jump after
 * it, and one at every target, leads back. What faults is left as if it had
 * been jumped over.
 */
#define _GNU_SOURCE
#include "tests/host/native.h"
#include <assert.h>
#include <asm/ldt.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>
#include "lib/compiler.h"

struct native native;

static_assert(offsetof(struct native, flags) == 128 && offsetof(struct native, host_rsp) == 136 &&
	      offsetof(struct native, offset) == 144 && offsetof(struct native, cs) == 148 &&
	      offsetof(struct native, branched) == 152 && offsetof(struct native, signal) == 160 &&
	      offsetof(struct native, ds) == 168 && offsetof(struct native, vector) == 176 &&
	      offsetof(struct native, has_avx) == 688, "known to the code below");

void native_enter(void);
void native_exit(void);
void native_exit_branched(void);
void native_exit_branched_32(void);
void native_exit_branched_16(void);

#define EACH_GPR(insn_of) \
	insn_of(rax, 0) insn_of(rcx, 8) insn_of(rdx, 16) insn_of(rbx, 24) \
	insn_of(rsp, 32) insn_of(rbp, 40) insn_of(rsi, 48) insn_of(rdi, 56) \
	insn_of(r8, 64) insn_of(r9, 72) insn_of(r10, 80) insn_of(r11, 88) \
	insn_of(r12, 96) insn_of(r13, 104) insn_of(r14, 112) insn_of(r15, 120)
#define LOAD(reg, offset) "mov native+" #offset "(%rip), %" #reg "\n"
#define STORE(reg, offset) "mov %" #reg ", native+" #offset "(%rip)\n"

#define EACH_VECTOR(insn_of) \
	insn_of(0, 176) insn_of(1, 208) insn_of(2, 240) insn_of(3, 272) \
	insn_of(4, 304) insn_of(5, 336) insn_of(6, 368) insn_of(7, 400) \
	insn_of(8, 432) insn_of(9, 464) insn_of(10, 496) insn_of(11, 528) \
	insn_of(12, 560) insn_of(13, 592) insn_of(14, 624) insn_of(15, 656)
#define LOAD_XMM(reg, offset) "movdqu native+" #offset "(%rip), %xmm" #reg "\n"
#define STORE_XMM(reg, offset) "movdqu %xmm" #reg ", native+" #offset "(%rip)\n"
#define LOAD_YMM(reg, offset) "vmovdqu native+" #offset "(%rip), %ymm" #reg "\n"
#define STORE_YMM(reg, offset) "vmovdqu %ymm" #reg ", native+" #offset "(%rip)\n"
/* As wide as they are. Changes the flags. */
#define VECTORS(what) \
	"testb $1, native+688(%rip)\n" \
	"jz 1f\n" EACH_VECTOR(what##_YMM) "jmp 2f\n" \
	"1:\n" EACH_VECTOR(what##_XMM) "2:\n"

__asm__(".text\n"
	"native_enter:\n"
	"push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
	"mov %rsp, native+136(%rip)\n"
	"mov native+168(%rip), %ds\n"
	"mov native+170(%rip), %es\n"
	"mov native+172(%rip), %gs\n"
	VECTORS(LOAD)
	"push native+128(%rip)\n"
	"popfq\n"
	"mov native+174(%rip), %ss\n"
	EACH_GPR(LOAD)
	"ljmp *native+144(%rip)\n"
	"native_exit_branched:\n"
	"movq $1, native+152(%rip)\n"
	"jmp native_exit\n"
	"native_exit_branched_32:\n"
	"movq $2, native+152(%rip)\n"
	"jmp native_exit\n"
	"native_exit_branched_16:\n"
	"movq $3, native+152(%rip)\n"
	"native_exit:\n"
	EACH_GPR(STORE)
	"mov native+136(%rip), %rsp\n"
	"pushfq\n"
	"pop native+128(%rip)\n"
	"movw %ds, native+168(%rip)\n"
	"movw %es, native+170(%rip)\n"
	"movw %gs, native+172(%rip)\n"
	"movw %ss, native+174(%rip)\n"
	"mov $0x2b, %eax\n"
	"mov %eax, %ss\n"
	"mov %eax, %ds\n"
	"mov %eax, %es\n"
	"xor %eax, %eax\n"
	"mov %eax, %gs\n"
	VECTORS(STORE)
	"push $0x202\n"
	"popfq\n"
	"pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
	"ret\n");

/* ---- the ways back ------------------------------------------------------------- */

/* 64-bit code that jumps to the exits, where code of fewer bits can reach it. */
#define TRAMPOLINES (NATIVE_CODE + 0x800)
#define TRAMPOLINE_SIZE 16u

enum exit { EXIT, EXIT_BRANCHED, EXIT_BRANCHED_32, EXIT_BRANCHED_16 };

static void put_trampoline(enum exit which, void (*to)(void))
{
	uint8_t *at = (uint8_t *)TRAMPOLINES + which * TRAMPOLINE_SIZE;
	uint64_t address = (uint64_t)(uintptr_t)to;

	memcpy(at, "\xff\x25\x02\0\0\0", 6); /* jmp [rip+2] */
	memcpy(at + 8, &address, 8); /* aligned, for RFLAGS.AC may be set */
}

static void put_exit(uint64_t at, enum exit which, unsigned int mode_bits)
{
	uint32_t offset = (uint32_t)(TRAMPOLINES + which * TRAMPOLINE_SIZE);
	uint32_t relative = (uint32_t)(offset - (at + 5));
	uint8_t *p = (uint8_t *)at;

	if (mode_bits == 64) {
		*p++ = 0xe9;
		memcpy(p, &relative, 4);
		return;
	}
	if (mode_bits == 16)
		*p++ = 0x66;
	*p++ = 0xea; /* jmp far */
	memcpy(p, &offset, 4);
	memcpy(p + 4, "\x33", 2);
}

static void (*report_case)(void);

static void on_signal(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	greg_t *gregs = uc->uc_mcontext.gregs;

	__asm__ volatile("pushfq; andl %0, (%%rsp); popfq" ::"i"(~X86_EFLAGS_AC) : "cc", "memory");

	if ((uint64_t)gregs[REG_RIP] != native.offset) {
		fprintf(stderr, "signal %d at %llx\n", sig, gregs[REG_RIP]);
		report_case();
		_exit(1);
	}
	native.signal = (uint64_t)sig;
	gregs[REG_RIP] = (greg_t)TRAMPOLINES;
	gregs[REG_EFL] &= ~X86_EFLAGS_RF;
	/* CS, GS, FS, SS from bit 0 up: 64-bit code again, on the same stack. */
	gregs[REG_CSGSFS] = (greg_t)(((uint64_t)gregs[REG_CSGSFS] & ~0xffffull) | SELECTOR_CODE64);
}

void native_catch_signals(void (*report)(void))
{
	static const int signals[] = { SIGSEGV, SIGILL, SIGBUS, SIGFPE, SIGTRAP };
	static uint8_t stack[65536];
	stack_t alt = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_ONSTACK | SA_SIGINFO };

	report_case = report;
	sigaltstack(&alt, NULL);
	for (unsigned int i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &action, NULL);
}

static int ldt_set(unsigned int entry, const struct native_segment *s)
{
	struct user_desc d = {
		.entry_number = entry,
		.base_addr = s->base,
		.limit = s->limit > 0xfffff ? s->limit >> 12 : s->limit,
		.limit_in_pages = s->limit > 0xfffff,
		.seg_32bit = s->is_32bit,
		.contents = s->is_code ? 2 : s->is_expand_down,
		.read_exec_only = s->is_read_only,
		.seg_not_present = s->is_absent,
		.useable = 1,
	};

	return (int)syscall(SYS_modify_ldt, 0x11, &d, sizeof(d));
}

static void *map(uint64_t at, size_t size, int rights)
{
	return mmap((void *)at, size, rights, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
}

int native_open(const struct native_segment *ldt, unsigned int count)
{
	if (map(NATIVE_CODE, 4096, PROT_READ | PROT_WRITE | PROT_EXEC) != (void *)NATIVE_CODE)
		return -1;
	if (map(NATIVE_DATA, NATIVE_DATA_SIZE, PROT_READ | PROT_WRITE) != (void *)NATIVE_DATA)
		return -1;
	native.has_avx = __builtin_cpu_supports("avx");
	put_trampoline(EXIT, native_exit);
	put_trampoline(EXIT_BRANCHED, native_exit_branched);
	put_trampoline(EXIT_BRANCHED_32, native_exit_branched_32);
	put_trampoline(EXIT_BRANCHED_16, native_exit_branched_16);
	for (unsigned int i = 0; i < count; i++) {
		if (ldt_set(i, &ldt[i])) {
			perror("modify_ldt (needs CONFIG_MODIFY_LDT_SYSCALL and CONFIG_X86_16BIT)");
			return -1;
		}
	}
	return 0;
}

void native_run(const void *code, unsigned int len, unsigned int mode_bits)
{
	memcpy((void *)NATIVE_CODE, code, len);
	put_exit(NATIVE_CODE + len, EXIT, mode_bits);
	put_exit(NATIVE_TARGET, EXIT_BRANCHED, mode_bits);
	put_exit(NATIVE_TARGET_32, EXIT_BRANCHED_32, 32);
	put_exit(NATIVE_TARGET_16, EXIT_BRANCHED_16, 16);
	native.branched = 0;
	native.signal = 0;
	native_enter();
}
