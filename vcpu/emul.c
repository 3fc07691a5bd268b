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

_Static_assert(EMUL_ACCESS_MAX <= GUEST_EVENT_BYTES, "an access is one event in a page");

/* Where the bytes of one access are: one or two runs within a page each. */
struct access {
	unsigned int parts;
	struct guest_part part[GUEST_PARTS_MAX];
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

/* @access as it is of this CPU now: walk_access(ctx, PFERR_WRITE). */
static uint32_t walk_access(const struct emul_ctxt *ctx, uint32_t access)
{
	if (ctx->cpl == 3 && !(access & WALK_IMPLICIT))
		access |= PFERR_USER;
	if (ctx->regs.rflags & X86_EFLAGS_AC)
		access |= WALK_AC;
	return access;
}

/* Who makes an access at @addr. */
static const struct access_origin *origin_at(struct emul_ctxt *ctx, gva_t addr, uint32_t access)
{
	struct access_origin *o = &emulation_of(ctx)->origin;

	o->rip = ctx->regs.rip;
	o->user = ctx->cpl == 3 && !(access & WALK_IMPLICIT);
	o->gva = addr;
	return o;
}

static gva_t linear_add(const struct emul_ctxt *ctx, gva_t addr, unsigned int n)
{
	return gva(ctx->mode == EMUL_MODE_64 ? addr.v + n : (uint32_t)(addr.v + n));
}

/* Of an access at @addr, where the part that trackers deny begins. */
static gva_t denied_at(const struct emul_ctxt *ctx, gva_t addr, const struct access *a)
{
	return a->parts == 2 && a->part[1].denied ? linear_add(ctx, addr, a->part[0].len) : addr;
}

/* What comes of an access that trackers have refused with @err of mm/guest_mem.h. */
static enum emul_status refused(struct emul_ctxt *ctx, gva_t addr, uint32_t access, int err)
{
	struct vcpu *v = emulation_of(ctx)->v;

	if (vcpu_stopped_by_tracker(v))
		return EMUL_STOP;
	if (err == -EACCES)
		return page_fault(ctx, addr, mmu_denied_code(&v->mmu.paging, walk_access(ctx, access)));
	return emulation_gp(ctx);
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
	access = walk_access(ctx, access);
	switch (guest_walk(&w, &e->v->mmu.mmu->mem, &e->v->mmu.paging, addr, access, origin_at(ctx, addr, access))) {
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
	*a = (struct access){ .parts = 1, .part[0].len = first };
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

/* Some of it is no RAM, or read-only: then each part is RAM or a device's. */
static int read_apart(struct vcpu *v, struct access *a, uint8_t *dst, const struct access_origin *origin)
{
	int err = 0;

	for (unsigned int i = 0; i < a->parts && !err; dst += a->part[i++].len) {
		err = guest_read_parts(&v->mmu.mmu->mem, &a->part[i], 1, dst, origin);
		if (err == -EFAULT) {
			mmio_read(v, a->part[i].gpa, dst, a->part[i].len);
			err = 0;
		}
	}
	return err;
}

static int write_apart(struct vcpu *v, struct access *a, const uint8_t *src, const struct access_origin *origin)
{
	int err = 0;

	for (unsigned int i = 0; i < a->parts && !err; src += a->part[i++].len) {
		err = guest_write_parts(&v->mmu.mmu->mem, &a->part[i], 1, src, origin);
		if (err == -EFAULT) {
			mmio_write(v, a->part[i].gpa, src, a->part[i].len);
			err = 0;
		}
	}
	return err;
}

/* The access that led here would not trap any more, by the will of who was told:
 * the rest of a repeated instruction can run natively. */
static void let_hardware_go_on(struct emulation *e)
{
	if (e->fault_is_tracking && !mmu_tracking_traps(&e->v->mmu, e->fault))
		e->ctx.one_iteration = true;
}

static enum emul_status stopped_or_done(struct vcpu *v)
{
	return v->stop.reason == VCPU_STOP_NONE && !vcpu_stopped_by_tracker(v) ? EMUL_DONE : EMUL_STOP;
}

/* A locked instruction that goes on to compare memory with what it was given must
 * know what memory holds. */
static void note_altered(struct emulation *e, gva_t addr, const struct access *a, const void *bytes, unsigned int len)
{
	struct altered_read *r = &e->altered;

	r->len = 0;
	if (!a->part[0].altered || a->parts == 2 || len > sizeof(r->memory) ||
	    guest_read(&e->v->mmu.mmu->mem, a->part[0].gpa, r->memory, len, NULL))
		return;
	r->addr = addr;
	r->len = len;
	__builtin_memcpy(r->seen, bytes, len);
}

enum emul_status emulation_read(struct emul_ctxt *ctx, gva_t addr, void *dst, unsigned int len, uint32_t access)
{
	struct vcpu *v = emulation_of(ctx)->v;
	struct access a;
	enum emul_status s = locate(ctx, addr, len, access, &a);

	const struct access_origin *origin = origin_at(ctx, addr, access);
	int err;

	if (s != EMUL_DONE)
		return s;
	err = guest_read_parts(&v->mmu.mmu->mem, a.part, a.parts, dst, origin);
	if (err == -EFAULT)
		err = read_apart(v, &a, dst, origin);
	if (err)
		return refused(ctx, denied_at(ctx, addr, &a), access, err);
	note_altered(emulation_of(ctx), addr, &a, dst, len);
	if (!(access & WALK_IMPLICIT))
		vcpu_note_access(v, addr, len, false);
	let_hardware_go_on(emulation_of(ctx));
	return stopped_or_done(v);
}

enum emul_status emulation_write(struct emul_ctxt *ctx, gva_t addr, const void *src, unsigned int len,
				 uint32_t access)
{
	struct emulation *e = emulation_of(ctx);
	struct access a;
	enum emul_status s = locate(ctx, addr, len, PFERR_WRITE | access, &a);

	const struct access_origin *origin = origin_at(ctx, addr, access);
	int err;

	if (s != EMUL_DONE)
		return s;
	err = guest_write_parts(&e->v->mmu.mmu->mem, a.part, a.parts, src, origin);
	if (err == -EFAULT)
		err = write_apart(e->v, &a, src, origin);
	if (err)
		return refused(ctx, denied_at(ctx, addr, &a), PFERR_WRITE | access, err);
	if (!(access & WALK_IMPLICIT) || e->delivering)
		vcpu_note_access(e->v, addr, len, true);
	let_hardware_go_on(e);
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

static void op_segment(struct emul_ctxt *ctx, enum segment_register s, struct segment *out)
{
	struct emulation *e = emulation_of(ctx);

	if (!(e->segments_known & 1u << s)) {
		e->v->backend->get_segment(e->v, s, &e->segment[s]);
		e->segments_known |= (uint8_t)(1u << s);
	}
	*out = e->segment[s];
}

static bool fetch_part(struct emulation *e, gpa_t a, void *dst, unsigned int len)
{
	if (guest_read(&e->v->mmu.mmu->mem, a, dst, len, NULL))
		return false;
	if (dst == e->ctx.insn)
		e->code_parts = 0;
	if (e->code_parts < GUEST_PARTS_MAX)
		e->code[e->code_parts++] = (struct guest_part){ .gpa = a, .len = len };
	return true;
}

/* Instructions come from RAM only; as many bytes as there are on this page
 * and, if it can be fetched from, the next. */
static enum emul_status op_fetch(struct emul_ctxt *ctx, gva_t addr, void *dst, unsigned int len, unsigned int *got)
{
	struct emulation *e = emulation_of(ctx);
	unsigned int first = (unsigned int)(PAGE_SIZE - gva_offset(addr));
	enum emul_status s;
	gpa_t a;

	if (!linear_is_canonical(ctx, addr, 1))
		return emulation_gp(ctx);
	first = first < len ? first : len;
	s = translate(ctx, addr, PFERR_FETCH, &a);
	if (s != EMUL_DONE)
		return s;
	if (!fetch_part(e, a, dst, first))
		return EMUL_UNKNOWN;
	*got = first;
	addr = linear_add(ctx, addr, first);
	if (first == len || !linear_is_canonical(ctx, addr, 1))
		return EMUL_DONE;
	/* A fault here matters only if the instruction turns out to need the
	 * bytes: the emulator then asks again, from this address. */
	if (translate(ctx, addr, PFERR_FETCH, &a) == EMUL_DONE && fetch_part(e, a, (uint8_t *)dst + first, len - first))
		*got = len;
	return EMUL_DONE;
}

static bool fetch_was_told(struct vcpu *v, uint64_t rip)
{
	bool told = v->fetch_told && v->fetch_told_rip == rip;

	v->fetch_told = false;
	return told;
}

static enum emul_status fetch_refused(struct emul_ctxt *ctx, gva_t addr, enum page_track_verdict verdict)
{
	ctx->skip_insn = verdict == VERDICT_SKIP && ctx->insn_len;
	if (ctx->skip_insn)
		return EMUL_DONE;
	return refused(ctx, addr, PFERR_FETCH, verdict == VERDICT_DENY_PF ? -EACCES : -EPERM);
}

/* Linear address of byte @offset of the instruction. */
static gva_t code_address(struct emul_ctxt *ctx, unsigned int offset)
{
	struct segment cs;

	if (ctx->mode == EMUL_MODE_64)
		return gva(ctx->regs.rip + offset);
	op_segment(ctx, SEG_CS, &cs);
	return gva((uint32_t)(cs.base + ctx->regs.rip + offset));
}

/* @len bytes of the instruction, from @offset on, are at @part, which is tracked. */
static enum emul_status tell_fetch(struct emul_ctxt *ctx, const struct guest_part *part, unsigned int offset,
				   unsigned int len)
{
	gva_t addr = code_address(ctx, offset);
	enum page_track_verdict verdict =
		guest_fetch(&emulation_of(ctx)->v->mmu.mmu->mem, part->gpa, ctx->insn + offset, len, !ctx->insn_len,
			    origin_at(ctx, addr, 0));

	return verdict == VERDICT_ALLOW ? EMUL_DONE : fetch_refused(ctx, addr, verdict);
}

/* The instruction is about to be executed: each of its pages that is tracked for
 * that is an event. */
static enum emul_status op_fetched(struct emul_ctxt *ctx)
{
	struct emulation *e = emulation_of(ctx);
	unsigned int len = ctx->insn_len ? ctx->insn_len : 1, offset = 0, n;
	enum emul_status s = EMUL_DONE;

	if (fetch_was_told(e->v, ctx->regs.rip))
		return EMUL_DONE;
	for (unsigned int i = 0; i < e->code_parts && s == EMUL_DONE && !ctx->skip_insn; i++) {
		n = len - offset < e->code[i].len ? len - offset : e->code[i].len;
		if (n && guest_page_tracked(&e->v->mmu.mmu->mem, e->code[i].gpa, PAGE_TRACK_EXEC))
			s = tell_fetch(ctx, &e->code[i], offset, n);
		offset += n;
	}
	return s;
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

/* What memory must hold for an exchange with the guest's @expected. */
static void *expected_in_memory(struct emulation *e, gva_t addr, void *expected, unsigned int len)
{
	struct altered_read *r = &e->altered;

	return r->len == len && r->addr.v == addr.v && !__builtin_memcmp(r->seen, expected, len) ? r->memory : expected;
}

static enum emul_status op_cmpxchg(struct emul_ctxt *ctx, gva_t addr, void *expected, const void *desired,
				   unsigned int len, bool *done)
{
	struct vcpu *v = emulation_of(ctx)->v;
	struct access a;
	enum emul_status s;
	int err;

	if (len > 16)
		return EMUL_UNKNOWN;
	s = locate(ctx, addr, len, PFERR_WRITE, &a);
	if (s != EMUL_DONE)
		return s;
	if (a.parts == 2)
		return EMUL_UNKNOWN; /* a split lock: let the CPU do it */
	vcpu_note_access(v, addr, len, true); /* it writes in any case */
	err = guest_cmpxchg(&v->mmu.mmu->mem, a.part[0].gpa, expected_in_memory(emulation_of(ctx), addr, expected, len),
			    desired, len, origin_at(ctx, addr, 0));
	switch (err) {
	case 0:
		*done = true;
		return EMUL_DONE;
	case -EAGAIN:
		*done = false;
		return EMUL_DONE;
	case -EINVAL:
		return EMUL_UNKNOWN;
	case -EFAULT:
		break;
	default:
		return refused(ctx, addr, PFERR_WRITE, err);
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
	.fetched = op_fetched,
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
	e->origin.cr3 = v->mmu.paging.cr3;
	e->ctx.cpl = SEGMENT_DPL(ss.access);
}

void emulation_init(struct emulation *e, struct vcpu *v, const struct page_fault *f)
{
	*e = (struct emulation){
		.ctx = { .ops = &vcpu_emul_ops, .opaque = e }, .v = v, .fault = f,
		.origin = { .agent = AGENT_EMULATOR, .vcpu = v->id },
	};
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
	if (e->ctx.rep_unfinished) {
		v->fetch_told = true;
		v->fetch_told_rip = v->regs.rip;
		return vcpu_iteration_done(v, traced);
	}
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
	e.fault_is_tracking = f && mmu_tracking_traps(&v->mmu, f);
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
