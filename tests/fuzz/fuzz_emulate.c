// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest code as hostile input: the first byte chooses mode and faults, the
 * next 144 are registers and segment bits, the rest is the instruction.
 * Whatever it is: EMUL_UNKNOWN changes nothing, a fault leaves rip, the length
 * is one that an instruction can have, and no op gets an absurd size.
 */
#include <stdlib.h>
#include <string.h>
#include "tests/host/emulate_fake.h"

#define HEADER (1 + 16 * 8 + 8 + 8)

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

static void check_sizes(void)
{
	for (unsigned int i = 0; i < f.event_count; i++)
		require(f.events[i].len >= 1 && f.events[i].len <= 32);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t code[EMUL_INSN_MAX + 1] = { 0 };
	enum emul_status status;
	struct cpu_regs before;

	if (size <= HEADER)
		return 0;
	size = size - HEADER < sizeof(code) ? size - HEADER : sizeof(code);
	memcpy(code, data + HEADER, size);
	fake_open(&f, (enum emul_mode)((data[0] & 3) % 3));
	set_registers(data + 1);
	set_faults(data[0]);
	memcpy(f.memory + f.ctx.regs.rip, code, sizeof(code));
	memcpy(memory, f.memory, sizeof(memory));
	before = f.ctx.regs;
	status = fake_step(&f, code, sizeof(code));
	require(f.ctx.insn_len <= EMUL_INSN_MAX);
	require(status != EMUL_STOP);
	require(status != EMUL_DONE || f.ctx.insn_len > 0);
	if (status == EMUL_UNKNOWN) {
		require(memcmp(&before, &f.ctx.regs, sizeof(before)) == 0);
		/* Contention is the fake's own writing. */
		require((data[0] & 64) || memcmp(memory, f.memory, sizeof(memory)) == 0);
	}
	if (status == EMUL_EXCEPTION)
		require(f.ctx.regs.rip == before.rip);
	check_sizes();
	return 0;
}
