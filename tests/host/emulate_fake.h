/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A machine of 64 KiB for the emulator's tests: flat memory from linear
 * address 0, pages that fault, ports, segments, and a history of every op.
 */
#ifndef TESTS_HOST_EMULATE_FAKE_H
#define TESTS_HOST_EMULATE_FAKE_H

#include "emulate/emulate.h"

#define FAKE_MEMORY 0x10000u
#define FAKE_CODE 0x1000u  /* where rip is */
#define FAKE_DATA 0x4000u
#define FAKE_STACK 0x7000u /* where rsp is */
#define FAKE_EVENTS 4096u

struct fake_event {
	enum {
		FAKE_FETCH, FAKE_READ, FAKE_WRITE, FAKE_CMPXCHG, FAKE_PROBE, FAKE_IN, FAKE_OUT,
		FAKE_SYSTEM_READ, FAKE_SYSTEM_WRITE, FAKE_SYSTEM_PROBE, FAKE_INVLPG
	} kind;
	uint64_t addr; /* or port */
	unsigned int len;
};

struct fake {
	struct emul_ctxt ctx;
	uint8_t memory[FAKE_MEMORY];
	struct segment segments[SEG_COUNT];
	bool absent[FAKE_MEMORY >> PAGE_SHIFT];    /* every access faults */
	bool read_only[FAKE_MEMORY >> PAGE_SHIFT]; /* writes fault */
	bool unknown[FAKE_MEMORY >> PAGE_SHIFT];   /* data ops say EMUL_UNKNOWN */
	unsigned int contention;                   /* so many cmpxchg find other data */
	uint32_t port_value;
	struct fake_event events[FAKE_EVENTS];
	unsigned int event_count;
	uint8_t vectors[16][32];
	/* Reached by the system ops. */
	bool supervisor[FAKE_MEMORY >> PAGE_SHIFT]; /* other accesses at CPL 3 fault */
	struct descriptor_table tables[2]; /* enum emul_table */
	uint64_t cr[9], dr[8], xcr0, msr, tsc;
	uint32_t xsave_features; /* CPUID leaf 0DH, subleaf 1, EAX */
	uint32_t msr_index; /* of the last access */
	bool refuse; /* values for CR, DR, XCR and MSRs get #GP */
};

/* Registers: rip, rsp as above, the others 0; flat segments; ring 0. */
void fake_open(struct fake *f, enum emul_mode mode);
/* With vector registers, too, that the OS has switched on. */
void fake_give_vectors(struct fake *f);
/* With the system ops: protected mode as above with an empty GDT, or real mode
 * with all segments at 0. */
void fake_open_protected(struct fake *f, enum emul_mode mode);
void fake_open_real(struct fake *f);
/* Put code at rip and run one instruction. */
enum emul_status fake_step(struct fake *f, const void *code, unsigned int len);
uint64_t fake_peek(const struct fake *f, uint64_t addr, unsigned int len);
void fake_poke(struct fake *f, uint64_t addr, unsigned int len, uint64_t v);
/* How many ops of @kind there were. */
unsigned int fake_count(const struct fake *f, int kind);

#endif
