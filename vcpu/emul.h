/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Within vcpu/: one use of the instruction emulator on a vCPU. Its memory ops
 * walk the guest's tables with the guest's own rights (emul.c), its system
 * ops are the vCPU's privileged state (emul_system.c).
 */
#ifndef VCPU_EMUL_H
#define VCPU_EMUL_H

#include "emulate/emulate.h"
#include "vcpu/vcpu.h"

/* A read for which trackers gave the guest something else than memory holds. */
struct altered_read {
	gva_t addr;
	unsigned int len; /* 0: there was none */
	uint8_t seen[16], memory[16];
};

struct emulation {
	struct emul_ctxt ctx;
	struct vcpu *v;
	const struct page_fault *fault; /* what led here, or NULL */
	bool fault_is_tracking;         /* its page was tracked then */
	struct access_origin origin;    /* for the trackers */
	bool delivering;                /* an event: what it pushes meets breakpoints */
	struct altered_read altered;    /* the last read, for a compare and exchange behind it */
	/* Where the bytes of the instruction are. */
	struct guest_part code[GUEST_PARTS_MAX];
	unsigned int code_parts;
	/* Segment registers by number, as far as read; interpret.c keeps them over many instructions. */
	struct segment segment[SEG_COUNT];
	uint8_t segments_known;
};

static inline struct emulation *emulation_of(struct emul_ctxt *ctx) { return ctx->opaque; }

/* Makes @e fit the vCPU as it is: registers, mode, privilege. @f: the fault that led here, or NULL. */
void emulation_init(struct emulation *e, struct vcpu *v, const struct page_fault *f);
/* For no fault, with the privileged state in reach. */
void emulation_init_system(struct emulation *e, struct vcpu *v);
/* The same again after an instruction: what is known of segments stays. */
void emulation_refresh(struct emulation *e);

/* RFLAGS.TF was set before the instruction that was just completed: #DB if @traced. */
enum vcpu_action emulation_completed(struct emulation *e, bool traced);
enum vcpu_action emulation_raise(struct vcpu *v, const struct emul_exception *x);

/* step.c: the hardware runs the instruction that @e could not. */
enum vcpu_action emulation_step(const struct emulation *e);
/* deliver.c: delivers v->event, or raises what comes of it. */
enum vcpu_action emulation_deliver(struct emulation *e);

/* Fills ctx->exception. */
enum emul_status emulation_exception(struct emul_ctxt *ctx, enum exception_vector vector);
enum emul_status emulation_gp(struct emul_ctxt *ctx);

/* @len bytes at linear @addr with @access as for guest_walk(). */
enum emul_status emulation_read(struct emul_ctxt *ctx, gva_t addr, void *dst, unsigned int len, uint32_t access);
enum emul_status emulation_write(struct emul_ctxt *ctx, gva_t addr, const void *src, unsigned int len,
				 uint32_t access);

/* Would the write succeed? */
enum emul_status emulation_probe_write(struct emul_ctxt *ctx, gva_t addr, unsigned int len, uint32_t access);

extern const struct emul_system_ops vcpu_emul_system_ops;

#endif
