// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest code as hostile input: two bytes choose mode, means and faults, the
 * next 144 are registers and segment bits, 16 are the instruction, the rest
 * fills the descriptor tables. A few instructions are run. Whatever they are:
 * EMUL_UNKNOWN changes nothing, a fault leaves registers, the length is one
 * that an instruction can have, and no op gets an absurd size.
 */
#include <stdlib.h>
#include <string.h>
#include "emulate/segment.h"
#include "tests/host/emulate_fake.h"

#define HEADER (2 + 16 * 8 + 8 + 8)
#define CODE_LEN 16u
#define STEPS 6u
/* Where descriptors, vectors and a TSS are. What the CPU marks as accessed or
 * busy is in there. */
#define TABLES 0x8000u
#define TABLES_END 0xa000u

enum { WITH_SYSTEM = 1, REAL_MODE = 2, VIRTUAL_8086 = 4, WITH_VECTORS = 8, REFUSE = 16, IN_LONG_MODE = 32 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct fake f;
static uint8_t memory[FAKE_MEMORY];

static void require(bool cond)
{
	if (!cond)
		abort();
}

/* Addresses land in memory often enough to be of use. */
static void set_registers(const uint8_t *data)
{
	uint64_t bits;

	memcpy(f.ctx.regs.gpr, data, sizeof(f.ctx.regs.gpr));
	memcpy(&f.ctx.regs.rflags, data + 128, 8);
	memcpy(&bits, data + 136, 8);
	for (unsigned int reg = 0; reg < GPR_COUNT; reg++)
		if (bits >> reg & 1)
			f.ctx.regs.gpr[reg] &= FAKE_MEMORY - 1;
	for (unsigned int s = 0; s < 6; s++)
		if (bits >> (16 + s) & 1)
			f.segments[s].access ^= (uint32_t)(bits >> 24 & 0x1ff0f);
	f.ctx.cpl = bits >> 22 & 3;
	f.ctx.cr4 = bits >> 48;
	f.ctx.regs.rflags &= ~(uint64_t)X86_EFLAGS_VM;
}

static void set_faults(uint8_t flags)
{
	f.absent[2] = flags & 4;
	f.absent[9] = flags & 8;
	f.read_only[4] = flags & 16;
	f.unknown[5] = flags & 32;
	f.contention = flags & 64 ? 3 : 0;
	if (flags & 128) /* code that ends at a page */
		f.ctx.regs.rip = 0x1ffd;
}

static void set_means(uint8_t flags)
{
	f.refuse = flags & REFUSE;
	if (flags & WITH_VECTORS)
		fake_give_vectors(&f);
	if (!(flags & WITH_SYSTEM))
		f.ctx.system = NULL;
	if (f.ctx.mode != EMUL_MODE_64)
		f.ctx.long_mode = flags & IN_LONG_MODE;
	if (f.ctx.mode == EMUL_MODE_16 && (flags & VIRTUAL_8086)) {
		f.ctx.regs.rflags |= X86_EFLAGS_VM;
		f.ctx.cpl = 3;
	}
	f.tables[EMUL_GDT] = (struct descriptor_table){ .base = TABLES, .limit = 0xfff };
	f.tables[EMUL_IDT] = (struct descriptor_table){ .base = TABLES + 0x800, .limit = 0x7ff };
	f.segments[SEG_LDTR] = (struct segment){ .selector = 8, .access = 0x82, .limit = 0x3ff, .base = TABLES + 0x400 };
	f.segments[SEG_TR] = (struct segment){ .selector = 16, .access = 0x8b, .limit = 0x1ff, .base = TABLES + 0x1000 };
}

static void open_machine(const uint8_t *data)
{
	if ((data[1] & (REAL_MODE | WITH_SYSTEM)) == (REAL_MODE | WITH_SYSTEM))
		fake_open_real(&f);
	else
		fake_open_protected(&f, (enum emul_mode)((data[0] & 3) % 3));
	set_registers(data + 2);
	set_faults(data[0]);
	set_means(data[1]);
	if (emul_is_real(&f.ctx))
		f.ctx.cpl = 0;
}

static void check_sizes(void)
{
	for (unsigned int i = 0; i < f.event_count; i++)
		if (f.events[i].kind != FAKE_INVLPG)
			require(f.events[i].len >= 1 && f.events[i].len <= EMUL_ACCESS_MAX);
}

/* But for marks in the tables. Contention is the fake's own writing. */
static bool memory_is_unchanged(void)
{
	return f.contention || (memcmp(memory, f.memory, TABLES) == 0 &&
				memcmp(memory + TABLES_END, f.memory + TABLES_END, FAKE_MEMORY - TABLES_END) == 0);
}

/* False: that was the last one. */
static bool step(void)
{
	struct segment segments[SEG_COUNT];
	struct cpu_regs before = f.ctx.regs;
	enum emul_status status;
	uint8_t cpl = f.ctx.cpl;

	memcpy(memory, f.memory, sizeof(memory));
	memcpy(segments, f.segments, sizeof(segments));
	f.event_count = 0;
	status = emul_step(&f.ctx);
	check_sizes();
	require(f.ctx.insn_len <= EMUL_INSN_MAX && f.ctx.cpl <= 3);
	require(status != EMUL_STOP);
	require(status != EMUL_DONE || f.ctx.insn_len > 0);
	if (status == EMUL_UNKNOWN) {
		require(memcmp(&before, &f.ctx.regs, sizeof(before)) == 0);
		require(memory_is_unchanged());
	}
	if (status != EMUL_DONE && !f.ctx.task_switched) {
		require(f.ctx.regs.rip == before.rip && f.ctx.cpl == cpl);
		require(memcmp(segments, f.segments, sizeof(segments)) == 0);
	}
	return status == EMUL_DONE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t rest;

	if (size <= HEADER + CODE_LEN)
		return 0;
	open_machine(data);
	memcpy(f.memory + f.ctx.regs.rip, data + HEADER, CODE_LEN);
	rest = size - HEADER - CODE_LEN;
	memcpy(f.memory + TABLES, data + HEADER + CODE_LEN, rest < TABLES_END - TABLES ? rest : TABLES_END - TABLES);
	for (unsigned int i = 0; i < STEPS && step(); i++)
		;
	return 0;
}
