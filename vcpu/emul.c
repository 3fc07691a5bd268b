/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The glue between the instruction emulator and a vCPU: its memory ops walk
 * the guest's tables with the guest's own rights, RAM goes through the door
 * of mm/guest_mem.h, everything else is the platform's.
 *
 * Invariant: both pages of an access that crosses a page are translated and
 * checked before a byte of it is written.
 */
#include "vcpu/emul.h"
#include "lib/errno.h"
#include "lib/log.h"

/* Where the bytes of one access are: one or two runs within a page each. */
struct access {
	unsigned int parts;
	struct access_part {
		gpa_t gpa;
		unsigned int len;
	} part[2];
};

static enum emul_status page_fault(struct emul_ctxt *ctx, gva_t addr, uint32_t error_code)
{
	ctx->exception = (struct emul_exception){
		.vector = EXC_PF, .has_error_code = true, .error_code = error_code, .cr2 = addr
	};
	return EMUL_EXCEPTION;
}

enum emul_status emulation_exception(struct emul_ctxt *ctx, enum exception_vector vector)
{
	ctx->exception = (struct emul_exception){ .vector = (uint8_t)vector };
	return EMUL_EXCEPTION;
}

enum emul_status emulation_gp(struct emul_ctxt *ctx)
{
	ctx->exception = (struct emul_exception){ .vector = EXC_GP, .has_error_code = true };
	return EMUL_EXCEPTION;
}

/* The walk for the exit's fault has found and checked this page already. */
static bool known_from_fault(const struct emulation *e, gva_t addr, uint32_t access)
{
	const struct page_fault *f = e->fault;
	uint32_t asked = access & (PFERR_WRITE | PFERR_FETCH);
	uint32_t had;

	if (!f || f->addr.v >> PAGE_SHIFT != addr.v >> PAGE_SHIFT)
		return false;
	had = f->error_code & (PFERR_WRITE | PFERR_FETCH);
	/* What may be written may be read; user and supervisor are the same CPL. */
	return asked == had || (asked == 0 && had == PFERR_WRITE);
}

static enum emul_status translate(struct emul_ctxt *ctx, gva_t addr, uint32_t access, gpa_t *out)
{
	struct emulation *e = emulation_of(ctx);
	struct guest_walk w;

	if (known_from_fault(e, addr, access)) {
		*out = gpa((e->fault->gpa.v & ~PAGE_OFFSET_MASK) | gva_offset(addr));
		return EMUL_DONE;
	}
	if (ctx->cpl == 3 && !(access & WALK_IMPLICIT))
		access |= PFERR_USER;
	if (ctx->regs.rflags & X86_EFLAGS_AC)
		access |= WALK_AC;
	switch (guest_walk(&w, &e->v->mmu.mmu->mem, &e->v->mmu.paging, addr, access)) {
	case WALK_OK:
		*out = gpa(gfn_to_gpa(w.gfn).v | gva_offset(addr));
		return EMUL_DONE;
	case WALK_FAULT:
		return page_fault(ctx, addr, w.error_code);
	case WALK_NO_RAM:
		break;
	}
	/* A paging structure where there is no memory reads as all ones. */
	return page_fault(ctx, addr,
			  PFERR_PRESENT | PFERR_RSVD | (access & (PFERR_WRITE | PFERR_USER | PFERR_FETCH)));
}

static bool linear_is_canonical(const struct emul_ctxt *ctx, gva_t addr, unsigned int len)
{
	return ctx->mode != EMUL_MODE_64 || (addr_is_canonical(addr.v) && addr_is_canonical(addr.v + len - 1));
}

static gva_t linear_add(const struct emul_ctxt *ctx, gva_t addr, unsigned int n)
{
	return gva(ctx->mode == EMUL_MODE_64 ? addr.v + n : (uint32_t)(addr.v + n));
}

static enum emul_status locate(struct emul_ctxt *ctx, gva_t addr, unsigned int len, uint32_t access,
			       struct access *a)
{
	unsigned int first = (unsigned int)(PAGE_SIZE - gva_offset(addr));
	enum emul_status s;

	if (len > EMUL_ACCESS_MAX)
		return EMUL_UNKNOWN;
	if (!linear_is_canonical(ctx, addr, len))
		return emulation_gp(ctx);
	first = first < len ? first : len;
	a->parts = 1;
	a->part[0].len = first;
	s = translate(ctx, addr, access, &a->part[0].gpa);
	if (s != EMUL_DONE || first == len)
		return s;
	a->parts = 2;
	a->part[1].len = len - first;
	return translate(ctx, linear_add(ctx, addr, first), access, &a->part[1].gpa);
}

/* The widest naturally aligned access at @a within @len bytes. */
static unsigned int mmio_width(gpa_t a, unsigned int len)
{
	unsigned int width = 8;

	while (width > len || a.v & (width - 1))
		width /= 2;
	return width;
}

static void mmio_read(struct vcpu *v, gpa_t a, uint8_t *dst, unsigned int len)
{
	while (len) {
		unsigned int width = mmio_width(a, len);
		uint64_t val = 0;

		platform_mmio_read(v->platform, v->id, a, width, &val);
		__builtin_memcpy(dst, &val, width);
		a = gpa_add(a, width);
		dst += width;
		len -= width;
	}
}

static void mmio_write(struct vcpu *v, gpa_t a, const uint8_t *src, unsigned int len)
{
	while (len) {
		unsigned int width = mmio_width(a, len);
		uint64_t val = 0;

		__builtin_memcpy(&val, src, width);
		platform_mmio_write(v->platform, v->id, a, width, val);
		a = gpa_add(a, width);
		src += width;
		len -= width;
	}
}

static void read_part(struct vcpu *v, const struct access_part *p, uint8_t *dst)
{
	if (guest_read(&v->mmu.mmu->mem, p->gpa, dst, p->len))
		mmio_read(v, p->gpa, dst, p->len);
}

static void write_part(const struct emulation *e, const struct access_part *p, const uint8_t *src)
{
	if (guest_write(&e->v->mmu.mmu->mem, p->gpa, src, p->len, e->writer))
		mmio_write(e->v, p->gpa, src, p->len);
}

static enum emul_status stopped_or_done(const struct vcpu *v)
{
	return v->stop.reason == VCPU_STOP_NONE ? EMUL_DONE : EMUL_STOP;
}

enum emul_status emulation_read(struct emul_ctxt *ctx, gva_t addr, void *dst, unsigned int len, uint32_t access)
{
	struct vcpu *v = emulation_of(ctx)->v;
	struct access a;
	enum emul_status s = locate(ctx, addr, len, access, &a);

	if (s != EMUL_DONE)
		return s;
	read_part(v, &a.part[0], dst);
	if (a.parts == 2)
		read_part(v, &a.part[1], (uint8_t *)dst + a.part[0].len);
	if (!(access & WALK_IMPLICIT))
		vcpu_note_access(v, addr, len, false);
	return stopped_or_done(v);
}

enum emul_status emulation_write(struct emul_ctxt *ctx, gva_t addr, const void *src, unsigned int len,
				 uint32_t access)
{
	struct emulation *e = emulation_of(ctx);
	struct access a;
	enum emul_status s = locate(ctx, addr, len, PFERR_WRITE | access, &a);

	if (s != EMUL_DONE)
		return s;
	write_part(e, &a.part[0], src);
	if (a.parts == 2)
		write_part(e, &a.part[1], (const uint8_t *)src + a.part[0].len);
	if (!(access & WALK_IMPLICIT) || e->writer == WRITER_INJECTION)
		vcpu_note_access(e->v, addr, len, true);
	return stopped_or_done(e->v);
}

static enum emul_status op_read(struct emul_ctxt *ctx, gva_t addr, void *dst, unsigned int len)
{
	return emulation_read(ctx, addr, dst, len, 0);
}

static enum emul_status op_write(struct emul_ctxt *ctx, gva_t addr, const void *src, unsigned int len)
{
	return emulation_write(ctx, addr, src, len, 0);
}

enum emul_status emulation_probe_write(struct emul_ctxt *ctx, gva_t addr, unsigned int len, uint32_t access)
{
	struct access a;

	return locate(ctx, addr, len, PFERR_WRITE | access, &a);
}

static enum emul_status op_probe_write(struct emul_ctxt *ctx, gva_t addr, unsigned int len)
{
	return emulation_probe_write(ctx, addr, len, 0);
}

/* Instructions come from RAM only; as many bytes as there are on this page
 * and, if it can be fetched from, the next. */
static enum emul_status op_fetch(struct emul_ctxt *ctx, gva_t addr, void *dst, unsigned int len, unsigned int *got)
{
	struct guest_mem *m = &emulation_of(ctx)->v->mmu.mmu->mem;
	unsigned int first = (unsigned int)(PAGE_SIZE - gva_offset(addr));
	enum emul_status s;
	gpa_t a;

	if (!linear_is_canonical(ctx, addr, 1))
		return emulation_gp(ctx);
	first = first < len ? first : len;
	s = translate(ctx, addr, PFERR_FETCH, &a);
	if (s != EMUL_DONE)
		return s;
	if (guest_read(m, a, dst, first))
		return EMUL_UNKNOWN;
	*got = first;
	addr = linear_add(ctx, addr, first);
	if (first == len || !linear_is_canonical(ctx, addr, 1))
		return EMUL_DONE;
	/* A fault here matters only if the instruction turns out to need the
	 * bytes: the emulator then asks again, from this address. */
	if (translate(ctx, addr, PFERR_FETCH, &a) == EMUL_DONE &&
	    guest_read(m, a, (uint8_t *)dst + first, len - first) == 0)
		*got = len;
	return EMUL_DONE;
}

/* On device memory: nobody else can be there, so read, compare and write. */
static void mmio_cmpxchg(struct vcpu *v, gpa_t a, void *expected, const void *desired, unsigned int len, bool *done)
{
	uint8_t old[16];

	mmio_read(v, a, old, len);
	*done = __builtin_memcmp(old, expected, len) == 0;
	if (*done)
		mmio_write(v, a, desired, len);
	else
		__builtin_memcpy(expected, old, len);
}

static enum emul_status op_cmpxchg(struct emul_ctxt *ctx, gva_t addr, void *expected, const void *desired,
				   unsigned int len, bool *done)
{
	struct vcpu *v = emulation_of(ctx)->v;
	struct access a;
	enum emul_status s;

	if (len > 16)
		return EMUL_UNKNOWN;
	s = locate(ctx, addr, len, PFERR_WRITE, &a);
	if (s != EMUL_DONE)
		return s;
	if (a.parts == 2)
		return EMUL_UNKNOWN; /* a split lock: let the CPU do it */
	vcpu_note_access(v, addr, len, true); /* it writes in any case */
	switch (guest_cmpxchg(&v->mmu.mmu->mem, a.part[0].gpa, expected, desired, len, WRITER_EMULATOR)) {
	case 0:
		*done = true;
		return EMUL_DONE;
	case -EAGAIN:
		*done = false;
		return EMUL_DONE;
	case -EINVAL:
		return EMUL_UNKNOWN;
	}
	mmio_cmpxchg(v, a.part[0].gpa, expected, desired, len, done);
	return stopped_or_done(v);
}

static enum emul_status op_port_in(struct emul_ctxt *ctx, uint16_t port, unsigned int len, uint32_t *val)
{
	struct vcpu *v = emulation_of(ctx)->v;

	vcpu_note_port(v, port, len);
	platform_port_read(v->platform, v->id, port, len, val);
	return stopped_or_done(v);
}

static enum emul_status op_port_out(struct emul_ctxt *ctx, uint16_t port, unsigned int len, uint32_t val)
{
	struct vcpu *v = emulation_of(ctx)->v;

	vcpu_note_port(v, port, len);
	platform_port_write(v->platform, v->id, port, len, val);
	return stopped_or_done(v);
}

static void op_segment(struct emul_ctxt *ctx, enum segment_register s, struct segment *out)
{
	struct emulation *e = emulation_of(ctx);

	if (!(e->segments_known & 1u << s)) {
		e->v->backend->get_segment(e->v, s, &e->segment[s]);
		e->segments_known |= (uint8_t)(1u << s);
	}
	*out = e->segment[s];
}

static void op_read_vector(struct emul_ctxt *ctx, unsigned int number, uint8_t *bytes, unsigned int len)
{
	struct vcpu *v = emulation_of(ctx)->v;

	v->backend->get_vector(v, number, bytes, len);
}

static void op_write_vector(struct emul_ctxt *ctx, unsigned int number, const uint8_t *bytes, unsigned int len)
{
	struct vcpu *v = emulation_of(ctx)->v;

	v->backend->set_vector(v, number, bytes, len);
}

static const struct emul_ops vcpu_emul_ops = {
	.fetch = op_fetch,
	.read = op_read,
	.write = op_write,
	.cmpxchg = op_cmpxchg,
	.probe_write = op_probe_write,
	.port_in = op_port_in,
	.port_out = op_port_out,
	.segment = op_segment,
	.read_vector = op_read_vector,
	.write_vector = op_write_vector,
};

static enum emul_mode code_width(const struct emulation *e, uint32_t cs_access)
{
	if (e->ctx.long_mode && cs_access & SEGMENT_L)
		return EMUL_MODE_64;
	return cs_access & SEGMENT_DB ? EMUL_MODE_32 : EMUL_MODE_16;
}

void emulation_refresh(struct emulation *e)
{
	struct vcpu *v = e->v;
	struct segment cs, ss;

	op_segment(&e->ctx, SEG_CS, &cs);
	op_segment(&e->ctx, SEG_SS, &ss);
	e->ctx.regs = v->regs;
	e->ctx.long_mode = paging_long(&v->mmu.paging);
	e->ctx.cr0 = v->mmu.paging.cr0;
	e->ctx.cr4 = v->mmu.paging.cr4;
	e->ctx.xcr0 = v->xcr0;
	e->ctx.one_iteration = vcpu_has_breakpoints(v);
	e->ctx.mode = code_width(e, cs.access);
	e->ctx.cpl = SEGMENT_DPL(ss.access);
}

void emulation_init(struct emulation *e, struct vcpu *v, const struct page_fault *f)
{
	*e = (struct emulation){ .ctx = { .ops = &vcpu_emul_ops, .opaque = e }, .v = v, .fault = f };
	emulation_refresh(e);
}

void emulation_init_system(struct emulation *e, struct vcpu *v)
{
	emulation_init(e, v, NULL);
	e->ctx.system = &vcpu_emul_system_ops;
}

/* The instruction was completed by the emulator, which has moved rip. */
enum vcpu_action emulation_completed(struct emulation *e, bool traced)
{
	struct vcpu *v = e->v;

	v->emulated++;
	if (e->ctx.rep_unfinished)
		return vcpu_iteration_done(v, traced);
	return vcpu_insn_done(v, traced);
}

enum vcpu_action emulation_raise(struct vcpu *v, const struct emul_exception *x)
{
	if (x->vector == EXC_PF)
		return vcpu_inject_page_fault(v, x->cr2, x->error_code);
	if (x->has_error_code)
		return vcpu_inject_error(v, x->vector, x->error_code);
	return vcpu_inject_exception(v, x->vector);
}

static enum vcpu_action not_emulated(struct vcpu *v, const struct emulation *e)
{
	const struct page_fault *f = e->fault;

	if (f && memslot_find(&v->mmu.mmu->mem.slots, gpa_to_gfn(f->gpa)))
		return emulation_step(e);
	if (v->injected_ud++ < 8)
		log_info("%s: cannot emulate %02x %02x %02x %02x on a device at rip 0x%llx: #UD", v->name,
			 e->ctx.insn[0], e->ctx.insn[1], e->ctx.insn[2], e->ctx.insn[3],
			 (unsigned long long)v->regs.rip);
	return vcpu_inject_exception(v, EXC_UD);
}

enum vcpu_action vcpu_emulate(struct vcpu *v, const struct page_fault *f)
{
	bool traced = v->regs.rflags & X86_EFLAGS_TF;
	struct emulation e;

	emulation_init(&e, v, f);
	e.ctx.iopl_ok = f == NULL; /* the CPU has checked it before the exit */
	switch (emul_step(&e.ctx)) {
	case EMUL_DONE:
		v->regs = e.ctx.regs;
		return emulation_completed(&e, traced);
	case EMUL_EXCEPTION: /* iterations of REP that were done stay done */
		v->regs = e.ctx.regs;
		return emulation_raise(v, &e.ctx.exception);
	case EMUL_UNKNOWN:
		return not_emulated(v, &e);
	case EMUL_STOP:
		break;
	}
	return vcpu_stop(v, VCPU_STOP_UNSUPPORTED, 0, "stopped by the platform");
}
