/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Hypercalls: a guest asks for something by VMCALL. What a call is, its
 * registers and who may make it are decided here; what it does is not: the
 * owner of the VM gives a table of functions. The numbers and layouts that a
 * guest sees are in guests/spoor_hypercall.h.
 *
 * Lock: none. Functions run on the CPU whose vCPU is loaded, outside the guest.
 */
#ifndef VCPU_HYPERCALL_H
#define VCPU_HYPERCALL_H

#include "vcpu/vcpu.h"

/*
 * Each returns 0 or more, or the negative of an error number of the ABI, and
 * checks all that it is given: arguments are the guest's, cut to 32 bits outside
 * 64-bit mode. @ctx: vcpu_config.hypercall_ctx. A missing function is an unknown call.
 */
struct hypercall_ops {
	int64_t (*features)(void *ctx, uint64_t what);
	int64_t (*track)(void *ctx, gpa_t base, uint64_t bytes, uint64_t accesses);
	int64_t (*untrack)(void *ctx, uint64_t id);
	int64_t (*freeze)(void *ctx, gpa_t base, uint64_t bytes, uint64_t how);
	int64_t (*thaw)(void *ctx, uint64_t id);
	/* @v makes the call, and so makes the writes to the buffer. */
	int64_t (*events)(void *ctx, const struct vcpu *v, gpa_t buffer, uint64_t bytes);
	int64_t (*who)(void *ctx, const struct vcpu *v, gpa_t addr, gpa_t record);
};

/* VMCALL was executed. */
enum vcpu_action vcpu_exit_hypercall(struct vcpu *v);

#endif
