/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The vCPU's privileged state as the emulator reaches it while it interprets:
 * each op is what the exit of the same instruction would do.
 *
 * Invariant: what an op refuses with an exception has changed nothing.
 */
#include "lib/errno.h"
#include "vcpu/cr.h"
#include "vcpu/emul.h"

#define DR7_LOCAL 0x155ull /* L0 to L3, LE */

static struct vcpu *vcpu_of(struct emul_ctxt *ctx) { return emulation_of(ctx)->v; }

static enum emul_status op_system_read(struct emul_ctxt *ctx, gva_t addr, void *dst, unsigned int len)
{
	return emulation_read(ctx, addr, dst, len, WALK_IMPLICIT);
}

static enum emul_status op_system_write(struct emul_ctxt *ctx, gva_t addr, const void *src, unsigned int len)
{
	return emulation_write(ctx, addr, src, len, WALK_IMPLICIT);
}

static enum emul_status op_system_probe_write(struct emul_ctxt *ctx, gva_t addr, unsigned int len)
{
	return emulation_probe_write(ctx, addr, len, WALK_IMPLICIT);
}

static void op_set_segment(struct emul_ctxt *ctx, enum segment_register s, const struct segment *in)
{
	struct emulation *e = emulation_of(ctx);

	e->segment[s] = *in;
	e->segments_known |= (uint8_t)(1u << s);
	e->v->backend->set_segment(e->v, s, in);
}

static void op_get_table(struct emul_ctxt *ctx, enum emul_table t, struct descriptor_table *out)
{
	struct vcpu *v = vcpu_of(ctx);

	if (t == EMUL_GDT)
		v->backend->get_gdt(v, out);
	else
		v->backend->get_idt(v, out);
}

static void op_set_table(struct emul_ctxt *ctx, enum emul_table t, const struct descriptor_table *in)
{
	struct vcpu *v = vcpu_of(ctx);

	if (t == EMUL_GDT)
		v->backend->set_gdt(v, in);
	else
		v->backend->set_idt(v, in);
}

static uint64_t op_get_cr(struct emul_ctxt *ctx, unsigned int nr)
{
	struct vcpu *v = vcpu_of(ctx);

	switch (nr) {
	case 0:
		return v->mmu.paging.cr0;
	case 2:
		return v->backend->get_cr2(v);
	case 3:
		return v->mmu.paging.cr3;
	case 4:
		return v->mmu.paging.cr4;
	default:
		return platform_cr8_read(v->platform, v->id);
	}
}

/* The outcome of a write whose rules are in cr.c or msr.c. */
static enum emul_status written(struct emul_ctxt *ctx, int err)
{
	if (!err)
		return EMUL_DONE;
	return vcpu_of(ctx)->stop.reason != VCPU_STOP_NONE ? EMUL_STOP : emulation_gp(ctx);
}

static enum emul_status op_set_cr(struct emul_ctxt *ctx, unsigned int nr, uint64_t val)
{
	struct vcpu *v = vcpu_of(ctx);

	switch (nr) {
	case 0:
		return written(ctx, cr_write_cr0(v, val));
	case 2:
		v->backend->set_cr2(v, val);
		return EMUL_DONE;
	case 3:
		return written(ctx, cr_write_cr3(v, val));
	case 4:
		return written(ctx, cr_write_cr4(v, val));
	default:
		if (val > 15)
			return emulation_gp(ctx);
		platform_cr8_write(v->platform, v->id, (uint8_t)val);
		return EMUL_DONE;
	}
}

/* DR4 and DR5 are DR6 and DR7, or nothing; with DR7.GD set nothing may be touched. */
static enum emul_status check_dr(struct emul_ctxt *ctx, unsigned int *nr)
{
	struct vcpu *v = vcpu_of(ctx);

	if (*nr == 4 || *nr == 5) {
		if (v->mmu.paging.cr4 & X86_CR4_DE)
			return emulation_exception(ctx, EXC_UD);
		*nr += 2;
	}
	if (!(v->dr[7] & DR7_GD))
		return EMUL_DONE;
	vcpu_note_debug(v, DR6_BD);
	return emulation_exception(ctx, EXC_DB);
}

static enum emul_status op_get_dr(struct emul_ctxt *ctx, unsigned int nr, uint64_t *val)
{
	enum emul_status s = check_dr(ctx, &nr);

	if (s == EMUL_DONE)
		*val = vcpu_of(ctx)->dr[nr];
	return s;
}

static enum emul_status op_set_dr(struct emul_ctxt *ctx, unsigned int nr, uint64_t val)
{
	enum emul_status s = check_dr(ctx, &nr);

	if (s != EMUL_DONE)
		return s;
	if (nr >= 6 && val >> 32)
		return emulation_gp(ctx);
	vcpu_write_dr(vcpu_of(ctx), nr, val);
	return EMUL_DONE;
}

static void op_clear_local_breakpoints(struct emul_ctxt *ctx)
{
	struct vcpu *v = vcpu_of(ctx);

	vcpu_write_dr(v, 7, v->dr[7] & ~DR7_LOCAL);
}

static enum emul_status op_set_xcr(struct emul_ctxt *ctx, uint32_t index, uint64_t val)
{
	return written(ctx, cr_write_xcr0(vcpu_of(ctx), index, val));
}

static enum emul_status op_read_msr(struct emul_ctxt *ctx, uint32_t msr, uint64_t *val)
{
	return written(ctx, msr_read(vcpu_of(ctx), msr, val));
}

static enum emul_status op_write_msr(struct emul_ctxt *ctx, uint32_t msr, uint64_t val)
{
	return written(ctx, msr_write(vcpu_of(ctx), msr, val));
}

static void op_cpuid(struct emul_ctxt *ctx, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	struct vcpu *v = vcpu_of(ctx);
	struct cpuid_regs r;

	cpuid_guest(&v->cpuid, v->mmu.paging.cr4, v->xcr0, leaf, subleaf, &r);
	out[0] = r.eax;
	out[1] = r.ebx;
	out[2] = r.ecx;
	out[3] = r.edx;
}

static uint64_t op_tsc(struct emul_ctxt *ctx)
{
	struct vcpu *v = vcpu_of(ctx);

	return v->backend->host_tsc() + (uint64_t)v->tsc_offset;
}

static void op_invlpg(struct emul_ctxt *ctx, gva_t addr) { mmu_invlpg(&vcpu_of(ctx)->mmu, addr); }

const struct emul_system_ops vcpu_emul_system_ops = {
	.read = op_system_read,
	.write = op_system_write,
	.probe_write = op_system_probe_write,
	.set_segment = op_set_segment,
	.get_table = op_get_table,
	.set_table = op_set_table,
	.get_cr = op_get_cr,
	.set_cr = op_set_cr,
	.get_dr = op_get_dr,
	.set_dr = op_set_dr,
	.clear_local_breakpoints = op_clear_local_breakpoints,
	.set_xcr = op_set_xcr,
	.read_msr = op_read_msr,
	.write_msr = op_write_msr,
	.cpuid = op_cpuid,
	.tsc = op_tsc,
	.invlpg = op_invlpg,
};
