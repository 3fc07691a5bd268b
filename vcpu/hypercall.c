/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Hypercalls by KVM's convention: number in RAX, arguments in RBX, RCX, RDX,
 * RSI, result in RAX, and nothing else changes. The low halves count
 * outside 64-bit mode, and the result is 32 bits wide there, too.
 *
 * Real mode has no calls. Its code is interpreted, and the interpreter, which
 * does not know VMCALL, lets the hardware run it in virtual-8086 mode: #UD.
 */
#include "guests/spoor_hypercall.h"
#include "vcpu/hypercall.h"

struct call {
	struct vcpu *v;
	const struct hypercall_ops *ops;
	void *ctx;
	uint64_t arg[4];
};

typedef int64_t call_fn(const struct call *c);

static int64_t features(const struct call *c)
{
	return c->ops->features ? c->ops->features(c->ctx, c->arg[0]) : -SPOOR_ENOSYS;
}

static int64_t track(const struct call *c)
{
	return c->ops->track ? c->ops->track(c->ctx, gpa(c->arg[0]), c->arg[1], c->arg[2]) : -SPOOR_ENOSYS;
}

static int64_t untrack(const struct call *c)
{
	return c->ops->untrack ? c->ops->untrack(c->ctx, c->arg[0]) : -SPOOR_ENOSYS;
}

static int64_t freeze(const struct call *c)
{
	return c->ops->freeze ? c->ops->freeze(c->ctx, gpa(c->arg[0]), c->arg[1], c->arg[2]) : -SPOOR_ENOSYS;
}

static int64_t thaw(const struct call *c)
{
	return c->ops->thaw ? c->ops->thaw(c->ctx, c->arg[0]) : -SPOOR_ENOSYS;
}

static int64_t events(const struct call *c)
{
	return c->ops->events ? c->ops->events(c->ctx, c->v, gpa(c->arg[0]), c->arg[1]) : -SPOOR_ENOSYS;
}

static int64_t who(const struct call *c)
{
	return c->ops->who ? c->ops->who(c->ctx, c->v, gpa(c->arg[0]), gpa(c->arg[1])) : -SPOOR_ENOSYS;
}

#define INDEX(call) ((call) - SPOOR_CALL(0))

static call_fn *const calls[] = {
	[INDEX(SPOOR_CALL_FEATURES)] = features,
	[INDEX(SPOOR_CALL_TRACK)] = track,
	[INDEX(SPOOR_CALL_UNTRACK)] = untrack,
	[INDEX(SPOOR_CALL_FREEZE)] = freeze,
	[INDEX(SPOOR_CALL_THAW)] = thaw,
	[INDEX(SPOOR_CALL_EVENTS)] = events,
	[INDEX(SPOOR_CALL_WHO)] = who,
};

static int64_t dispatch(struct vcpu *v, uint64_t number, const struct call *c)
{
	if (vcpu_cpl(v) != 0)
		return -SPOOR_EPERM;
	if (!c->ops || INDEX(number) >= ARRAY_SIZE(calls)) /* below the first it wraps */
		return -SPOOR_ENOSYS;
	return calls[INDEX(number)](c);
}

enum vcpu_action vcpu_exit_hypercall(struct vcpu *v)
{
	uint64_t *g = v->regs.gpr;
	uint64_t mask = vcpu_in_64bit_mode(v) ? UINT64_MAX : UINT32_MAX;
	const struct call c = {
		.v = v,
		.ops = v->hypercalls,
		.ctx = v->hypercall_ctx,
		.arg = { g[GPR_RBX] & mask, g[GPR_RCX] & mask, g[GPR_RDX] & mask, g[GPR_RSI] & mask },
	};

	if (v->v86.borrowed)
		return vcpu_inject_exception(v, EXC_UD);
	g[GPR_RAX] = (uint64_t)dispatch(v, g[GPR_RAX] & mask, &c) & mask;
	return VCPU_NEXT_INSN;
}
