/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The native step: an instruction the emulator does not know, or the delivery
 * of an event, runs on the hardware while the tracked pages it touches are
 * open to this vCPU alone. Nothing else is injected meanwhile.
 */
#include "lib/errno.h"
#include "vcpu/vcpu.h"

enum vcpu_action vcpu_step_begin(struct vcpu *v, const struct page_fault *f)
{
	int err = mmu_step_open(&v->mmu, f);

	if (err) {
		if (v->stepping)
			vcpu_step_done(v);
		return vcpu_stop(v, VCPU_STOP_UNSUPPORTED, (uint32_t)-err,
				 err == -E2BIG ? "one instruction touches too many tracked pages"
					       : "an instruction cannot be stepped on this page");
	}
	if (!v->stepping) {
		v->stepped++;
		v->stepping = true;
		v->backend->single_step(v, true);
	}
	return VCPU_RESUME;
}

void vcpu_step_done(struct vcpu *v)
{
	if (!v->stepping)
		return;
	v->stepping = false;
	v->backend->single_step(v, false);
	v->step_opcode = 0;
	mmu_step_close(&v->mmu);
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
	if (guest_walk(&w, &v->mmu.mmu->mem, &v->mmu.paging, gva(sp + tf_byte), WALK_PEEK) != WALK_OK)
		return;
	a = gpa(gfn_to_gpa(w.gfn).v | gva_offset(gva(sp + tf_byte)));
	if (guest_read(&v->mmu.mmu->mem, a, &byte, 1))
		return;
	byte &= (uint8_t)~(X86_EFLAGS_TF >> 8);
	if (guest_write(&v->mmu.mmu->mem, a, &byte, 1, WRITER_STEP))
		return; /* read-only: then PUSHF wrote nothing there either */
}
