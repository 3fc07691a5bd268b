/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Architectural names shared by all folders that speak of an x86 CPU:
 * registers, segments, exceptions. Control-register and EFLAGS bits come
 * from the kernel's <asm/processor-flags.h>. Register numbers are those of
 * the instruction encoding (SDM vol. 2, "ModR/M and SIB Bytes").
 */
#ifndef LIB_X86_H
#define LIB_X86_H

#include <asm/processor-flags.h>
#include "lib/types.h"

enum gpr {
	GPR_RAX, GPR_RCX, GPR_RDX, GPR_RBX, GPR_RSP, GPR_RBP, GPR_RSI, GPR_RDI,
	GPR_R8, GPR_R9, GPR_R10, GPR_R11, GPR_R12, GPR_R13, GPR_R14, GPR_R15,
	GPR_COUNT
};

struct cpu_regs {
	uint64_t gpr[GPR_COUNT];
	uint64_t rip;
	uint64_t rflags;
};

enum segment_register { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR, SEG_COUNT };

/* @access is in the format of the VMCS "access rights" field:
 * type 3:0, S 4, DPL 6:5, P 7, AVL 12, L 13, D/B 14, G 15, unusable 16. */
struct segment {
	uint16_t selector;
	uint32_t access;
	uint32_t limit; /* in bytes, expanded */
	uint64_t base;
};

#define SEGMENT_UNUSABLE (1u << 16)
#define SEGMENT_DB (1u << 14)
#define SEGMENT_L (1u << 13)
#define SEGMENT_DPL(access) (((access) >> 5) & 3)

struct descriptor_table {
	uint64_t base;
	uint16_t limit;
};

enum exception_vector {
	EXC_DE = 0, EXC_DB = 1, EXC_NMI = 2, EXC_BP = 3, EXC_OF = 4, EXC_BR = 5, EXC_UD = 6, EXC_NM = 7,
	EXC_DF = 8, EXC_TS = 10, EXC_NP = 11, EXC_SS = 12, EXC_GP = 13, EXC_PF = 14, EXC_MF = 16,
	EXC_AC = 17, EXC_MC = 18, EXC_XM = 19, EXC_VE = 20, EXC_CP = 21
};

/* Page-fault error code (SDM vol. 3, "Page-Fault Exceptions"). */
#define PFERR_PRESENT (1u << 0)
#define PFERR_WRITE (1u << 1)
#define PFERR_USER (1u << 2)
#define PFERR_RSVD (1u << 3)
#define PFERR_FETCH (1u << 4)

/* Not in <asm/processor-flags.h>: IA32_EFER. */
#define EFER_SCE (1ull << 0)
#define EFER_LME (1ull << 8)
#define EFER_LMA (1ull << 10)
#define EFER_NXE (1ull << 11)

#endif
