/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A machine for the emulator's privileged half: 64 KiB of memory from linear
 * address 0 with a GDT, LDT, IDT and two TSS in it, control registers, and
 * bytes that fault. Every access is recorded, so that each can be made to
 * fault in turn.
 */
#ifndef TESTS_HOST_EMULATE_MACHINE_H
#define TESTS_HOST_EMULATE_MACHINE_H

#include "emulate/segment.h"

#define MACHINE_MEMORY 0x10000u
#define MACHINE_GDT 0x1000u
#define MACHINE_LDT 0x2000u
#define MACHINE_IDT 0x3000u
#define MACHINE_TSS 0x4100u     /* of the present task; in the GDT as SEL_TSS */
#define MACHINE_NEW_TSS 0x5100u /* as SEL_NEW_TSS */
#define MACHINE_STACK 0x8000u   /* where ESP is */
#define MACHINE_INNER 0x9000u   /* ESP for ring 0; 0x100 more for rings 1 and 2 */
#define MACHINE_ACCESSES 256u

/* In the GDT: flat, of 32 bits, not yet accessed. Codes and stacks have one for each ring. */
enum {
	SEL_CODE = 0x08, /* + 8 * ring */
	SEL_DATA = 0x28, /* + 8 * ring */
	SEL_CONFORMING = 0x48,
	SEL_LDT = 0x50,
	SEL_TSS = 0x58, /* busy */
	SEL_NEW_TSS = 0x60,
	SEL_FREE = 0x68, /* for the test, and the next three */
	MACHINE_GDT_LIMIT = 0x87,
};

/* Access rights of descriptors. */
enum {
	A_DATA = 0x92, A_CODE = 0x9a, A_CONFORMING = 0x9e, A_LDT = 0x82,
	A_TSS16 = 0x81, A_TSS32 = 0x89, A_BUSY = 2, A_DB = 0x4000, A_G = 0x8000,
};

#define A_DPL(n) ((uint32_t)(n) << 5)

struct machine_access {
	enum { MACHINE_READ = 1, MACHINE_WRITE, MACHINE_PROBE } kind;
	bool user;
	uint32_t addr;
	unsigned int len;
};

struct machine {
	struct emul_ctxt ctx;
	uint8_t memory[MACHINE_MEMORY];
	uint8_t bad[MACHINE_MEMORY]; /* BAD_ bits of each byte */
	struct segment segments[SEG_COUNT];
	struct descriptor_table tables[2];
	uint64_t cr[9];
	unsigned int cr3_loads;
	bool cr3_is_bad; /* a load of it is #GP */
	uint64_t dr7;
	struct machine_access accesses[MACHINE_ACCESSES];
	unsigned int access_count;
	enum emul_status odd_status; /* if not EMUL_DONE: what access number odd_access says */
	unsigned int odd_access;
};

#define BAD_READ 1u
#define BAD_WRITE 2u
#define BAD_USER 4u

/* Protected mode in ring @cpl with flat segments of 32 bits, the tables as
 * above, an empty IDT of 256 vectors; paging off. */
void machine_open(struct machine *m, unsigned int cpl);
/* Real mode, and virtual-8086 mode in the same tables: segments are their
 * selectors' paragraphs, stack and code as in machine_open(). */
void machine_real(struct machine *m);
void machine_v86(struct machine *m);
void machine_set_segment(struct machine *m, enum segment_register s, uint16_t selector);

uint64_t machine_descriptor(uint32_t base, uint32_t limit, uint32_t access);
uint64_t machine_gate(uint8_t type_and_rights, uint16_t selector, uint32_t offset);
/* At @selector in the GDT or LDT; at @vector in the IDT. */
void machine_put(struct machine *m, uint16_t selector, uint64_t descriptor);
void machine_vector(struct machine *m, unsigned int vector, uint64_t gate);
uint8_t machine_type(const struct machine *m, uint16_t selector); /* the byte with type, S, DPL, P */

uint32_t machine_peek(const struct machine *m, uint32_t addr, unsigned int len);
void machine_poke(struct machine *m, uint32_t addr, unsigned int len, uint32_t v);
unsigned int machine_count(const struct machine *m, int kind);

bool segment_same(const struct segment *a, const struct segment *b);
/* Are registers and memory the same? Accessed bits in GDT and LDT may differ. */
bool machine_same(const struct machine *a, const struct machine *b);
/* Make the bytes of @access fault: what was read is away, what was written is read-only. */
void machine_spoil(struct machine *m, const struct machine_access *access);

/* Fails the test unless @status and m->ctx.exception say so. */
#define expect_fault(m, status, vector, code) expect_fault_at(m, status, vector, code, __FILE__, __LINE__)
void expect_fault_at(const struct machine *m, enum emul_status status, unsigned int vector, uint32_t code,
		     const char *file, int line);

#endif
