// SPDX-License-Identifier: GPL-2.0-only
/* The emulator's ops, privileged ones too, on flat memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>
#include "lib/assert.h"
#include "tests/host/emulate_machine.h"

static struct machine *of(struct emul_ctxt *ctx) { return ctx->opaque; }

static enum emul_status page_fault(struct emul_ctxt *ctx, uint32_t addr, bool write, bool user)
{
	ctx->exception = (struct emul_exception){
		.vector = EXC_PF, .has_error_code = true, .cr2 = gva(addr),
		.error_code = (write ? PFERR_WRITE : 0) | (user ? PFERR_USER : 0),
	};
	return EMUL_EXCEPTION;
}

/* Every access comes through here. */
static enum emul_status reach(struct emul_ctxt *ctx, gva_t addr, unsigned int len, int kind, bool user)
{
	bool write = kind != MACHINE_READ;
	struct machine *m = of(ctx);

	ASSERT(m->access_count < MACHINE_ACCESSES && len <= EMUL_ACCESS_MAX && addr.v >> 32 == 0);
	m->accesses[m->access_count].kind = kind;
	m->accesses[m->access_count].user = user;
	m->accesses[m->access_count].addr = (uint32_t)addr.v;
	m->accesses[m->access_count++].len = len;
	if (m->odd_status != EMUL_DONE && m->odd_access == m->access_count - 1)
		return m->odd_status;
	for (unsigned int i = 0; i < len; i++) {
		uint32_t a = (uint32_t)(addr.v + i);

		if (a >= MACHINE_MEMORY || (m->bad[a] & (write ? BAD_WRITE : BAD_READ)) ||
		    (user && m->bad[a] & BAD_USER))
			return page_fault(ctx, a, write, user);
	}
	return EMUL_DONE;
}

static enum emul_status do_read(struct emul_ctxt *ctx, gva_t addr, void *dst, unsigned int len, bool user)
{
	enum emul_status status = reach(ctx, addr, len, MACHINE_READ, user);

	if (status == EMUL_DONE)
		memcpy(dst, of(ctx)->memory + addr.v, len);
	return status;
}

static enum emul_status do_write(struct emul_ctxt *ctx, gva_t addr, const void *src, unsigned int len, bool user)
{
	enum emul_status status = reach(ctx, addr, len, MACHINE_WRITE, user);

	if (status == EMUL_DONE)
		memcpy(of(ctx)->memory + addr.v, src, len);
	return status;
}

static enum emul_status op_read(struct emul_ctxt *ctx, gva_t addr, void *dst, unsigned int len)
{
	return do_read(ctx, addr, dst, len, ctx->cpl == 3);
}

static enum emul_status op_write(struct emul_ctxt *ctx, gva_t addr, const void *src, unsigned int len)
{
	return do_write(ctx, addr, src, len, ctx->cpl == 3);
}

static enum emul_status op_probe(struct emul_ctxt *ctx, gva_t addr, unsigned int len)
{
	return reach(ctx, addr, len, MACHINE_PROBE, ctx->cpl == 3);
}

static enum emul_status system_read(struct emul_ctxt *ctx, gva_t addr, void *dst, unsigned int len)
{
	return do_read(ctx, addr, dst, len, false);
}

static enum emul_status system_write(struct emul_ctxt *ctx, gva_t addr, const void *src, unsigned int len)
{
	return do_write(ctx, addr, src, len, false);
}

static enum emul_status system_probe(struct emul_ctxt *ctx, gva_t addr, unsigned int len)
{
	return reach(ctx, addr, len, MACHINE_PROBE, false);
}

static void op_segment(struct emul_ctxt *ctx, enum segment_register s, struct segment *out)
{
	*out = of(ctx)->segments[s];
}

static void set_segment(struct emul_ctxt *ctx, enum segment_register s, const struct segment *in)
{
	of(ctx)->segments[s] = *in;
}

static void get_table(struct emul_ctxt *ctx, enum emul_table t, struct descriptor_table *out)
{
	*out = of(ctx)->tables[t];
}

static uint64_t get_cr(struct emul_ctxt *ctx, unsigned int nr) { return of(ctx)->cr[nr]; }

static enum emul_status set_cr(struct emul_ctxt *ctx, unsigned int nr, uint64_t val)
{
	struct machine *m = of(ctx);

	if (nr == 3) {
		if (m->cr3_is_bad)
			return emul_raise(ctx, EXC_GP, 0);
		m->cr3_loads++;
	}
	m->cr[nr] = val;
	return EMUL_DONE;
}

static void clear_local_breakpoints(struct emul_ctxt *ctx) { of(ctx)->dr7 &= ~0x155ull; }

static const struct emul_ops ops = {
	.read = op_read, .write = op_write, .probe_write = op_probe, .segment = op_segment,
};

static const struct emul_system_ops system_ops = {
	.read = system_read, .write = system_write, .probe_write = system_probe, .set_segment = set_segment,
	.get_table = get_table, .get_cr = get_cr, .set_cr = set_cr,
	.clear_local_breakpoints = clear_local_breakpoints,
};

/* ---- memory ---------------------------------------------------------------------- */

uint32_t machine_peek(const struct machine *m, uint32_t addr, unsigned int len)
{
	uint32_t v = 0;

	memcpy(&v, m->memory + addr, len);
	return v;
}

void machine_poke(struct machine *m, uint32_t addr, unsigned int len, uint32_t v)
{
	memcpy(m->memory + addr, &v, len);
}

uint64_t machine_descriptor(uint32_t base, uint32_t limit, uint32_t access)
{
	uint64_t field = access & A_G ? limit >> 12 : limit;

	return (field & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)(access & 0xff) << 40 |
	       (field >> 16) << 48 | (uint64_t)(access >> 12 & 0xf) << 52 | (uint64_t)(base >> 24) << 56;
}

uint64_t machine_gate(uint8_t type_and_rights, uint16_t selector, uint32_t offset)
{
	return (offset & 0xffff) | (uint64_t)selector << 16 | (uint64_t)type_and_rights << 40 |
	       (uint64_t)(offset >> 16) << 48;
}

static uint32_t place(uint16_t selector)
{
	return (selector & 4 ? MACHINE_LDT : MACHINE_GDT) + (selector & ~7u);
}

void machine_put(struct machine *m, uint16_t selector, uint64_t descriptor)
{
	memcpy(m->memory + place(selector), &descriptor, sizeof(descriptor));
}

void machine_vector(struct machine *m, unsigned int vector, uint64_t gate)
{
	memcpy(m->memory + MACHINE_IDT + 8 * vector, &gate, sizeof(gate));
}

uint8_t machine_type(const struct machine *m, uint16_t selector)
{
	return m->memory[place(selector) + 5];
}

/* ---- the machine ----------------------------------------------------------------- */

void machine_set_segment(struct machine *m, enum segment_register s, uint16_t selector)
{
	uint64_t descriptor;

	memcpy(&descriptor, m->memory + place(selector), sizeof(descriptor));
	m->segments[s] = descriptor_segment(selector, descriptor);
	if (m->segments[s].access & 0x10)
		m->segments[s].access |= 1;
}

static void fill_gdt(struct machine *m)
{
	const uint32_t flat = A_DB | A_G;

	for (unsigned int ring = 0; ring < 4; ring++) {
		machine_put(m, (uint16_t)(SEL_CODE + 8 * ring),
			    machine_descriptor(0, ~0u, A_CODE | A_DPL(ring) | flat));
		machine_put(m, (uint16_t)(SEL_DATA + 8 * ring),
			    machine_descriptor(0, ~0u, A_DATA | A_DPL(ring) | flat));
	}
	machine_put(m, SEL_CONFORMING, machine_descriptor(0, ~0u, A_CONFORMING | flat));
	machine_put(m, SEL_LDT, machine_descriptor(MACHINE_LDT, 0x1f, A_LDT));
	machine_put(m, SEL_TSS, machine_descriptor(MACHINE_TSS, 103, A_TSS32 | A_BUSY));
	machine_put(m, SEL_NEW_TSS, machine_descriptor(MACHINE_NEW_TSS, 103, A_TSS32));
}

static void fill_tss(struct machine *m)
{
	for (unsigned int ring = 0; ring < 3; ring++) {
		machine_poke(m, MACHINE_TSS + 4 + 8 * ring, 4, MACHINE_INNER + 0x100 * ring);
		machine_poke(m, MACHINE_TSS + 8 + 8 * ring, 2, SEL_DATA + 8 * ring + ring);
	}
}

void machine_open(struct machine *m, unsigned int cpl)
{
	memset(m, 0, sizeof(*m));
	m->ctx.ops = &ops;
	m->ctx.system = &system_ops;
	m->ctx.opaque = m;
	m->ctx.mode = EMUL_MODE_32;
	m->ctx.cpl = (uint8_t)cpl;
	m->cr[0] = X86_CR0_PE;
	m->ctx.cr0 = m->cr[0];
	m->ctx.regs.rip = 0x7000;
	m->ctx.regs.rflags = X86_EFLAGS_FIXED;
	for (unsigned int r = 0; r < 8; r++)
		m->ctx.regs.gpr[r] = 0x11111111u * (r + 1);
	m->ctx.regs.gpr[GPR_RSP] = MACHINE_STACK;
	m->tables[EMUL_GDT] = (struct descriptor_table){ MACHINE_GDT, MACHINE_GDT_LIMIT };
	m->tables[EMUL_IDT] = (struct descriptor_table){ MACHINE_IDT, 0x7ff };
	fill_gdt(m);
	fill_tss(m);
	for (unsigned int s = 0; s <= SEG_GS; s++)
		machine_set_segment(m, s, (uint16_t)((s == SEG_CS ? SEL_CODE : SEL_DATA) + 8 * cpl + cpl));
	machine_set_segment(m, SEG_LDTR, SEL_LDT);
	machine_set_segment(m, SEG_TR, SEL_TSS);
}

void machine_v86(struct machine *m)
{
	static const uint16_t selectors[] = { 0x111, 0x600, 0x700, 0x444, 0x555, 0x666 };

	machine_open(m, 3);
	m->ctx.regs.rflags |= X86_EFLAGS_VM;
	m->ctx.mode = EMUL_MODE_16;
	m->ctx.regs.rip = 0x1000;
	m->ctx.regs.gpr[GPR_RSP] = 0x1000; /* with SS: MACHINE_STACK */
	for (unsigned int s = 0; s <= SEG_GS; s++)
		m->segments[s] = segment_v86(selectors[s]);
}

void machine_real(struct machine *m)
{
	machine_v86(m);
	m->ctx.cpl = 0;
	m->ctx.regs.rflags &= ~(uint64_t)X86_EFLAGS_VM;
	m->cr[0] = 0;
	m->ctx.cr0 = 0;
	m->tables[EMUL_IDT] = (struct descriptor_table){ 0, 0x3ff };
	for (unsigned int s = 0; s <= SEG_GS; s++)
		m->segments[s].access = s == SEG_CS ? 0x9b : 0x93;
}

unsigned int machine_count(const struct machine *m, int kind)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < m->access_count; i++)
		n += (int)m->accesses[i].kind == kind;
	return n;
}

static bool is_accessed_bit(uint32_t addr, const uint8_t *memory)
{
	bool in_table = addr - MACHINE_GDT <= MACHINE_GDT_LIMIT || addr - MACHINE_LDT <= 0x1f;

	return in_table && addr % 8 == 5 && (memory[addr] & 0x10);
}

bool segment_same(const struct segment *a, const struct segment *b)
{
	return a->selector == b->selector && a->access == b->access && a->limit == b->limit && a->base == b->base;
}

static bool segments_same(const struct machine *a, const struct machine *b)
{
	for (unsigned int s = 0; s < SEG_COUNT; s++)
		if (!segment_same(&a->segments[s], &b->segments[s]))
			return false;
	return true;
}

bool machine_same(const struct machine *a, const struct machine *b)
{
	for (uint32_t i = 0; i < MACHINE_MEMORY; i++) {
		uint8_t ignored = is_accessed_bit(i, a->memory) ? 1 : 0;

		if ((a->memory[i] ^ b->memory[i]) & ~ignored)
			return false;
	}
	return memcmp(&a->ctx.regs, &b->ctx.regs, sizeof(a->ctx.regs)) == 0 && a->ctx.cpl == b->ctx.cpl &&
	       a->ctx.mode == b->ctx.mode && a->ctx.cr0 == b->ctx.cr0 && a->dr7 == b->dr7 &&
	       segments_same(a, b) && memcmp(a->cr, b->cr, sizeof(a->cr)) == 0 &&
	       a->ctx.debug_trap == b->ctx.debug_trap;
}

void machine_spoil(struct machine *m, const struct machine_access *access)
{
	for (unsigned int i = 0; i < access->len; i++)
		m->bad[access->addr + i] = access->kind == MACHINE_READ ? BAD_READ | BAD_WRITE : BAD_WRITE;
}

void expect_fault_at(const struct machine *m, enum emul_status status, unsigned int vector, uint32_t code,
		     const char *file, int line)
{
	const struct emul_exception *x = &m->ctx.exception;

	if (status == EMUL_EXCEPTION && x->vector == vector && x->has_error_code && x->error_code == code)
		return;
	print_error("expected exception %u(%#x); status %d, exception %u(%#x)\n", vector, code, status, x->vector,
		    x->error_code);
	_fail(file, line);
}
