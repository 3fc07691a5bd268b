/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A virtual CPU on a backend made of variables: real MMU, real platform, no
 * hardware. The guest has 2 MiB of RAM at 0; fake_long_mode() maps them 1:1
 * with 4 KiB pages and puts it into 64-bit mode.
 */
#ifndef TESTS_HOST_VCPU_FAKE_H
#define TESTS_HOST_VCPU_FAKE_H

#include "vcpu/vcpu.h"

#define FAKE_RAM 0x200000u
#define FAKE_PML4 0x1000u
#define FAKE_PT 0x4000u   /* of the first 2 MiB: entry i maps page i */
#define FAKE_CODE 0x8000u
#define FAKE_STACK 0x10000u
#define FAKE_MAXPHYADDR 39
#define FAKE_FPU_SIZE (16 * 32 + 64)

struct fake_vm {
	struct mmu mmu;
	struct platform platform;
	struct vcpu vcpu;
	uint8_t *ram;
	/* The backend's variables. */
	struct segment segment[SEG_COUNT];
	struct descriptor_table gdt, idt;
	uint64_t cr2, tsc;
	uint64_t msr_value[32];
	uint32_t msr_number[32];
	unsigned int msrs;
	unsigned int insn_len;
	bool shadow; /* an STI or MOV SS shadow */
	bool sti_shadow; /* the first of them, as a snapshot of another vCPU may have it */
	uint64_t held_debug; /* traps that wait behind it */
	bool nmi_blocked;
	bool window, nmi_window, step;
	uint8_t vector[16][32];
	uint8_t fpu[64]; /* all that is no vector register */
	uint64_t owned_cr0; /* bits of CR0 and CR4 that the guest has changed without an exit */
	uint64_t owned_cr4;
	bool cannot_run; /* the segment registers do not suit the hardware */
	unsigned int loads, paging_changes, insns_done, xcr0_changes, debug_changes, tsc_changes;
	enum vcpu_action (*run)(struct fake_vm *f);
	struct vcpu_event entered_with; /* v->event at the last run() */
};

void fake_vm_init(struct fake_vm *f);
void fake_vm_destroy(struct fake_vm *f);

/* 64-bit code, CPL 0, paging on; rip at FAKE_CODE, rsp at FAKE_STACK. */
void fake_long_mode(struct fake_vm *f);
/* 32-bit code, flat, paging off. */
void fake_protected_mode(struct fake_vm *f);
/* Real mode, all segments at 0, vectors at 0, stack at 7000h. */
void fake_real_mode(struct fake_vm *f);
void fake_set_cpl(struct fake_vm *f, unsigned int cpl);

/* Puts instruction bytes at rip. */
void fake_code(struct fake_vm *f, const void *bytes, size_t len);
/* The 4 KiB page at linear @addr maps @gpa with @flags (0: not present). */
void fake_map(struct fake_vm *f, uint64_t addr, uint64_t gpa, uint64_t flags);

/* The CPU behind the fake: like a Haswell; bits can be taken away. */
struct fake_cpu {
	bool no_xsave, no_avx, no_nx;
	uint32_t max_basic;
};
extern struct fake_cpu fake_cpu;
void fake_cpuid(uint32_t leaf, uint32_t subleaf, struct cpuid_regs *out);

#endif
