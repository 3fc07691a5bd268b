// SPDX-License-Identifier: GPL-2.0-only
/* The emulator's ops on flat memory, with a history. */
#include "tests/host/emulate_fake.h"
#include <string.h>
#include "lib/assert.h"

static struct fake *fake_of(struct emul_ctxt *ctx) { return ctx->opaque; }

static void note(struct fake *f, int kind, uint64_t addr, unsigned int len)
{
	ASSERT(f->event_count < FAKE_EVENTS);
	f->events[f->event_count++] = (struct fake_event){ .kind = kind, .addr = addr, .len = len };
}

static enum emul_status page_fault(struct emul_ctxt *ctx, uint64_t addr, uint32_t code)
{
	ctx->exception = (struct emul_exception){
		.vector = EXC_PF, .has_error_code = true, .error_code = code, .cr2 = gva(addr)
	};
	return EMUL_EXCEPTION;
}

/* @as_cpu: whatever the CPL is. */
static enum emul_status check_as(struct emul_ctxt *ctx, gva_t addr, unsigned int len, bool write, bool as_cpu)
{
	struct fake *f = fake_of(ctx);

	for (unsigned int i = 0; i < len; i++) {
		uint64_t a = addr.v + i, page = a >> PAGE_SHIFT;

		if (a >= FAKE_MEMORY || f->absent[page])
			return page_fault(ctx, a, write ? PFERR_WRITE : 0);
		if (write && f->read_only[page])
			return page_fault(ctx, a, PFERR_WRITE | PFERR_PRESENT);
		if (f->supervisor[page] && ctx->cpl == 3 && !as_cpu)
			return page_fault(ctx, a, PFERR_USER | PFERR_PRESENT | (write ? PFERR_WRITE : 0));
		if (f->unknown[page])
			return EMUL_UNKNOWN;
	}
	return EMUL_DONE;
}

static enum emul_status check(struct emul_ctxt *ctx, gva_t addr, unsigned int len, bool write)
{
	return check_as(ctx, addr, len, write, false);
}

/* Only up to the end of the page, as much as a hypervisor may have at hand. */
static enum emul_status op_fetch(struct emul_ctxt *ctx, gva_t addr, void *dst, unsigned int len, unsigned int *got)
{
	struct fake *f = fake_of(ctx);
	unsigned int left = (unsigned int)(PAGE_SIZE - gva_offset(addr));

	note(f, FAKE_FETCH, addr.v, len);
	if (addr.v >= FAKE_MEMORY || f->absent[addr.v >> PAGE_SHIFT])
		return page_fault(ctx, addr.v, PFERR_FETCH);
	*got = len < left ? len : left;
	memcpy(dst, f->memory + addr.v, *got);
	return EMUL_DONE;
}

static enum emul_status op_read(struct emul_ctxt *ctx, gva_t addr, void *dst, unsigned int len)
{
	enum emul_status status = check(ctx, addr, len, false);

	note(fake_of(ctx), FAKE_READ, addr.v, len);
	if (status == EMUL_DONE)
		memcpy(dst, fake_of(ctx)->memory + addr.v, len);
	return status;
}

static enum emul_status op_write(struct emul_ctxt *ctx, gva_t addr, const void *src, unsigned int len)
{
	enum emul_status status = check(ctx, addr, len, true);

	note(fake_of(ctx), FAKE_WRITE, addr.v, len);
	if (status == EMUL_DONE)
		memcpy(fake_of(ctx)->memory + addr.v, src, len);
	return status;
}

static enum emul_status op_cmpxchg(struct emul_ctxt *ctx, gva_t addr, void *expected, const void *desired,
				   unsigned int len, bool *done)
{
	struct fake *f = fake_of(ctx);
	enum emul_status status = check(ctx, addr, len, true);
	uint8_t *p = f->memory + addr.v;

	note(f, FAKE_CMPXCHG, addr.v, len);
	if (status != EMUL_DONE)
		return status;
	if (f->contention) {
		f->contention--;
		p[0]++;
	}
	*done = memcmp(p, expected, len) == 0;
	if (*done)
		memcpy(p, desired, len);
	else
		memcpy(expected, p, len);
	return EMUL_DONE;
}

static enum emul_status op_probe(struct emul_ctxt *ctx, gva_t addr, unsigned int len)
{
	note(fake_of(ctx), FAKE_PROBE, addr.v, len);
	return check(ctx, addr, len, true);
}

static enum emul_status op_port_in(struct emul_ctxt *ctx, uint16_t port, unsigned int len, uint32_t *val)
{
	note(fake_of(ctx), FAKE_IN, port, len);
	*val = fake_of(ctx)->port_value++;
	return EMUL_DONE;
}

static enum emul_status op_port_out(struct emul_ctxt *ctx, uint16_t port, unsigned int len, uint32_t val)
{
	note(fake_of(ctx), FAKE_OUT, port, len);
	fake_of(ctx)->port_value = val;
	return EMUL_DONE;
}

static void op_segment(struct emul_ctxt *ctx, enum segment_register s, struct segment *out)
{
	*out = fake_of(ctx)->segments[s];
}

static void op_read_vector(struct emul_ctxt *ctx, unsigned int number, uint8_t *bytes, unsigned int len)
{
	ASSERT(number < 16 && (len == 16 || len == 32));
	memcpy(bytes, fake_of(ctx)->vectors[number], len);
}

static void op_write_vector(struct emul_ctxt *ctx, unsigned int number, const uint8_t *bytes,
			    unsigned int len)
{
	ASSERT(number < 16 && (len == 16 || len == 32));
	memcpy(fake_of(ctx)->vectors[number], bytes, len);
}

#define PLAIN_OPS                                                                                            \
	.fetch = op_fetch, .read = op_read, .write = op_write, .cmpxchg = op_cmpxchg,                        \
	.probe_write = op_probe, .port_in = op_port_in, .port_out = op_port_out, .segment = op_segment

static const struct emul_ops ops = { PLAIN_OPS };
static const struct emul_ops ops_with_vectors = {
	PLAIN_OPS, .read_vector = op_read_vector, .write_vector = op_write_vector
};

/* ---- privileged state ---------------------------------------------------------- */

static enum emul_status system_read(struct emul_ctxt *ctx, gva_t addr, void *dst, unsigned int len)
{
	enum emul_status status = check_as(ctx, addr, len, false, true);

	note(fake_of(ctx), FAKE_SYSTEM_READ, addr.v, len);
	if (status == EMUL_DONE)
		memcpy(dst, fake_of(ctx)->memory + addr.v, len);
	return status;
}

static enum emul_status system_write(struct emul_ctxt *ctx, gva_t addr, const void *src, unsigned int len)
{
	enum emul_status status = check_as(ctx, addr, len, true, true);

	note(fake_of(ctx), FAKE_SYSTEM_WRITE, addr.v, len);
	if (status == EMUL_DONE)
		memcpy(fake_of(ctx)->memory + addr.v, src, len);
	return status;
}

static enum emul_status system_probe(struct emul_ctxt *ctx, gva_t addr, unsigned int len)
{
	note(fake_of(ctx), FAKE_SYSTEM_PROBE, addr.v, len);
	return check_as(ctx, addr, len, true, true);
}

static void set_segment(struct emul_ctxt *ctx, enum segment_register s, const struct segment *in)
{
	fake_of(ctx)->segments[s] = *in;
}

static void get_table(struct emul_ctxt *ctx, enum emul_table t, struct descriptor_table *out)
{
	*out = fake_of(ctx)->tables[t];
}

static void set_table(struct emul_ctxt *ctx, enum emul_table t, const struct descriptor_table *in)
{
	fake_of(ctx)->tables[t] = *in;
}

static enum emul_status allow(struct emul_ctxt *ctx)
{
	if (!fake_of(ctx)->refuse)
		return EMUL_DONE;
	ctx->exception = (struct emul_exception){ .vector = EXC_GP, .has_error_code = true };
	return EMUL_EXCEPTION;
}

static uint64_t get_cr(struct emul_ctxt *ctx, unsigned int nr) { return fake_of(ctx)->cr[nr]; }

static enum emul_status set_cr(struct emul_ctxt *ctx, unsigned int nr, uint64_t val)
{
	enum emul_status status = allow(ctx);

	if (status == EMUL_DONE)
		fake_of(ctx)->cr[nr] = val;
	return status;
}

static enum emul_status get_dr(struct emul_ctxt *ctx, unsigned int nr, uint64_t *val)
{
	*val = fake_of(ctx)->dr[nr];
	return allow(ctx);
}

static enum emul_status set_dr(struct emul_ctxt *ctx, unsigned int nr, uint64_t val)
{
	fake_of(ctx)->dr[nr] = val;
	return allow(ctx);
}

static void clear_local_breakpoints(struct emul_ctxt *ctx) { fake_of(ctx)->dr[7] &= ~0x155ull; }

static enum emul_status set_xcr(struct emul_ctxt *ctx, uint32_t index, uint64_t val)
{
	fake_of(ctx)->xcr0 = val;
	return allow(ctx);
}

static enum emul_status read_msr(struct emul_ctxt *ctx, uint32_t msr, uint64_t *val)
{
	fake_of(ctx)->msr_index = msr;
	*val = fake_of(ctx)->msr;
	return allow(ctx);
}

static enum emul_status write_msr(struct emul_ctxt *ctx, uint32_t msr, uint64_t val)
{
	fake_of(ctx)->msr_index = msr;
	fake_of(ctx)->msr = val;
	return allow(ctx);
}

static void cpuid(struct emul_ctxt *ctx, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	for (uint32_t i = 0; i < 4; i++)
		out[i] = leaf + subleaf * 16 + i;
	if (leaf == 0xd && subleaf == 1)
		out[0] = fake_of(ctx)->xsave_features;
}

static uint64_t tsc(struct emul_ctxt *ctx) { return fake_of(ctx)->tsc; }

static void invlpg(struct emul_ctxt *ctx, gva_t addr) { note(fake_of(ctx), FAKE_INVLPG, addr.v, 0); }

static const struct emul_system_ops system_ops = {
	.read = system_read, .write = system_write, .probe_write = system_probe, .set_segment = set_segment,
	.get_table = get_table, .set_table = set_table, .get_cr = get_cr, .set_cr = set_cr, .get_dr = get_dr,
	.set_dr = set_dr, .clear_local_breakpoints = clear_local_breakpoints, .set_xcr = set_xcr,
	.read_msr = read_msr, .write_msr = write_msr, .cpuid = cpuid, .tsc = tsc, .invlpg = invlpg,
};

void fake_open(struct fake *f, enum emul_mode mode)
{
	uint32_t db = mode == EMUL_MODE_32 ? SEGMENT_DB : 0;
	uint32_t limit = mode == EMUL_MODE_16 ? 0xffff : 0xffffffff;

	memset(f, 0, sizeof(*f));
	f->ctx.ops = &ops;
	f->ctx.opaque = f;
	f->ctx.mode = mode;
	f->ctx.cr0 = X86_CR0_PE;
	f->ctx.long_mode = mode == EMUL_MODE_64;
	f->ctx.regs.rip = FAKE_CODE;
	f->ctx.regs.gpr[GPR_RSP] = FAKE_STACK;
	f->ctx.regs.rflags = X86_EFLAGS_FIXED;
	for (unsigned int s = 0; s < SEG_COUNT; s++) /* accessed data, writable; code, readable */
		f->segments[s] = (struct segment){
			.selector = (uint16_t)(8 * s + 8), .access = 0x93 | db, .limit = limit
		};
	f->segments[SEG_CS].access = 0x9b | db | (mode == EMUL_MODE_64 ? SEGMENT_L : 0);
}

void fake_give_vectors(struct fake *f)
{
	f->ctx.ops = &ops_with_vectors;
	f->ctx.cr4 |= X86_CR4_OSFXSR | X86_CR4_OSXSAVE;
	f->ctx.xcr0 = 7;
}

void fake_open_protected(struct fake *f, enum emul_mode mode)
{
	fake_open(f, mode);
	f->ctx.system = &system_ops;
	f->cr[0] = f->ctx.cr0;
	f->segments[SEG_LDTR] = (struct segment){ .access = SEGMENT_UNUSABLE };
	f->segments[SEG_TR] = (struct segment){ .access = SEGMENT_UNUSABLE };
}

void fake_open_real(struct fake *f)
{
	fake_open_protected(f, EMUL_MODE_16);
	f->cr[0] = f->ctx.cr0 = 0;
	for (unsigned int s = SEG_ES; s <= SEG_GS; s++)
		f->segments[s] = (struct segment){ .access = 0x93, .limit = 0xffff };
	f->tables[EMUL_IDT].limit = 0x3ff;
}

enum emul_status fake_step(struct fake *f, const void *code, unsigned int len)
{
	uint64_t base = f->ctx.mode == EMUL_MODE_64 ? 0 : f->segments[SEG_CS].base;

	memcpy(f->memory + base + f->ctx.regs.rip, code, len);
	f->event_count = 0;
	return emul_step(&f->ctx);
}

uint64_t fake_peek(const struct fake *f, uint64_t addr, unsigned int len)
{
	uint64_t v = 0;

	memcpy(&v, f->memory + addr, len);
	return v;
}

void fake_poke(struct fake *f, uint64_t addr, unsigned int len, uint64_t v)
{
	memcpy(f->memory + addr, &v, len);
}

unsigned int fake_count(const struct fake *f, int kind)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < f->event_count; i++)
		n += f->events[i].kind == (unsigned int)kind;
	return n;
}
