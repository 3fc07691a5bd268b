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
