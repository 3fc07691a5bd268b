/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The native step: an instruction the emulator does not know runs on the
 * hardware while the tracked pages it touches are open to this vCPU alone.
 * Nothing is injected meanwhile. What the instruction raises is no part of it:
 * INT n and its kin are not stepped at all, but injected.
 */
#include "lib/errno.h"
#include "vcpu/emul.h"

#define OPCODE_INT3 0xCC
#define OPCODE_INT 0xCD
#define OPCODE_INTO 0xCE
#define OPCODE_INT1 0xF1
#define OPCODE_MOV_SREG 0x8E
#define MODRM_REG(b) ((b) >> 3 & 7)

/* The trackers do not let the instruction touch the page of @f. */
static enum vcpu_action denied(struct vcpu *v, const struct page_fault *f, enum page_track_verdict verdict)
{
	unsigned int len = v->step_insn_len;

	vcpu_step_abandon(v);
	if (vcpu_stopped_by_tracker(v))
		return VCPU_STOP;
	if (verdict == VERDICT_DENY_PF)
		return vcpu_inject_page_fault(v, f->addr, mmu_denied_code(&v->mmu.paging, f->error_code));
	if (verdict != VERDICT_SKIP || !len)
		return vcpu_inject_error(v, EXC_GP, 0);
	vcpu_move_rip(v, len);
	return vcpu_insn_done(v, v->regs.rflags & X86_EFLAGS_TF);
}

enum vcpu_action vcpu_step_begin(struct vcpu *v, const struct page_fault *f)
{
	enum page_track_verdict verdict = mmu_step_ask(&v->mmu, f);
	int err;

	if (verdict != VERDICT_ALLOW)
		return denied(v, f, verdict);
	err = mmu_step_open(&v->mmu, f);
	if (err) {
		vcpu_step_abandon(v);
		return vcpu_stop(v, VCPU_STOP_UNSUPPORTED, (uint32_t)-err,
				 err == -E2BIG ? "one instruction touches too many tracked pages"
					       : "an instruction cannot be stepped on this page");
	}
	if (!v->stepping)
		vcpu_step_natively(v);
	return VCPU_RESUME;
}

void vcpu_step_natively(struct vcpu *v)
{
	v->stepped++;
	v->stepping = true;
	v->backend->single_step(v, true);
}

static bool is_prefix(uint8_t b, enum emul_mode mode)
{
	return b == 0x66 || b == 0x67 || b == 0xF0 || b == 0xF2 || b == 0xF3 || (b & 0xE7) == 0x26 ||
	       b == 0x64 || b == 0x65 || (mode == EMUL_MODE_64 && (b & 0xF0) == 0x40);
}

/* The first byte after prefixes, and what follows it. At most 15 bytes were fetched. */
static const uint8_t *find_opcode(const struct emul_ctxt *ctx)
{
	const uint8_t *at = ctx->insn;

	while (at < ctx->insn + EMUL_INSN_MAX - 2 && is_prefix(*at, ctx->mode))
		at++;
	return at;
}

/* What a backend's step must know: it sees or sets TF, or makes a shadow. */
static uint8_t notable(const uint8_t *opcode)
{
	switch (opcode[0]) {
	case OPCODE_PUSHF:
	case OPCODE_POPF:
	case OPCODE_IRET:
	case OPCODE_LOAD_SS:
		return opcode[0];
	case OPCODE_MOV_SREG:
		return MODRM_REG(opcode[1]) == SEG_SS ? OPCODE_LOAD_SS : 0;
	default:
		return 0;
	}
}

/* An instruction that is nothing but an event. In virtual-8086 mode there is
 * more to it. */
static bool is_event(const struct emul_ctxt *ctx, const uint8_t *opcode, struct vcpu_event *e)
{
	*e = (struct vcpu_event){ .type = EVENT_SOFTWARE_EXCEPTION, .insn_len = ctx->insn_len };
	if (!ctx->insn_len || ctx->regs.rflags & X86_EFLAGS_VM)
		return false;
	switch (opcode[0]) {
	case OPCODE_INT3:
		e->vector = EXC_BP;
		return true;
	case OPCODE_INTO:
		e->vector = EXC_OF;
		return ctx->mode != EMUL_MODE_64 && ctx->regs.rflags & X86_EFLAGS_OF;
	case OPCODE_INT:
		e->type = EVENT_SOFTWARE_INTERRUPT;
		e->vector = opcode[1];
		return true;
	case OPCODE_INT1:
		e->type = EVENT_PRIVILEGED_SOFTWARE;
		e->vector = EXC_DB;
		return true;
	default:
		return false;
	}
}

enum vcpu_action emulation_step(const struct emulation *e)
{
	const uint8_t *opcode = find_opcode(&e->ctx);
	struct vcpu_event event;

	if (is_event(&e->ctx, opcode, &event))
		return vcpu_inject(e->v, &event);
	e->v->breakpoints = 0; /* the hardware meets them */
	e->v->step_opcode = notable(opcode);
	e->v->step_insn_len = e->ctx.insn_len;
	return vcpu_step_begin(e->v, e->fault);
}

static void end_step(struct vcpu *v, bool done)
{
	if (!v->stepping)
		return;
	v->stepping = false;
	v->backend->single_step(v, false);
	v->step_opcode = 0;
	v->step_insn_len = 0;
	vcpu_return_v86(v);
	mmu_step_close(&v->mmu, done);
}

void vcpu_step_done(struct vcpu *v)
{
	end_step(v, true);
}

void vcpu_step_abandon(struct vcpu *v)
{
	end_step(v, false);
}

void vcpu_step_hide_pushed_tf(struct vcpu *v)
{
	const unsigned int tf_byte = 1; /* TF is bit 8 */
	struct guest_walk w;
	struct segment ss;
	uint64_t sp = v->regs.gpr[GPR_RSP];
	uint8_t byte;
	gpa_t a;

	if (!vcpu_in_64bit_mode(v)) {
		v->backend->get_segment(v, SEG_SS, &ss);
		sp = (uint32_t)(ss.base + (ss.access & SEGMENT_DB ? (uint32_t)sp : (uint16_t)sp));
	}
	if (guest_walk(&w, &v->mmu.mmu->mem, &v->mmu.paging, gva(sp + tf_byte), WALK_PEEK, NULL) != WALK_OK)
		return;
	a = gpa(gfn_to_gpa(w.gfn).v | gva_offset(gva(sp + tf_byte)));
	if (guest_read(&v->mmu.mmu->mem, a, &byte, 1, NULL))
		return;
	byte &= (uint8_t)~(X86_EFLAGS_TF >> 8);
	if (guest_write(&v->mmu.mmu->mem, a, &byte, 1, BY(GUEST)))
		return; /* read-only: then PUSHF wrote nothing there either */
}
