/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Exits that mean the same on every vendor's hardware: page faults, ports,
 * CPUID, MSRs, HLT, INVLPG, XSETBV. Each handler validates, acts, and says
 * whether the instruction is done; none moves rip.
 */
#include "lib/errno.h"
#include "lib/log.h"
#include "vcpu/cr.h"
#include "vcpu/vcpu.h"

static uint32_t low32(uint64_t v) { return (uint32_t)v; }

/* The running guest's access at @addr. */
static struct access_origin vcpu_origin(const struct vcpu *v, gva_t addr, bool user)
{
	return (struct access_origin){
		.agent = v->event.pending ? AGENT_INJECTION : AGENT_GUEST, .vcpu = v->id, .user = user,
		.rip = v->regs.rip, .cr3 = v->mmu.paging.cr3, .gva = addr,
	};
}

/* A fault on a page that must not be touched natively. */
static enum vcpu_action fault_emulate(struct vcpu *v, const struct page_fault *f)
{
	/* An event is being delivered, there is no instruction to emulate. */
	if (v->event.pending)
		return vcpu_deliver_event(v);
	return v->stepping ? vcpu_step_begin(v, f) : vcpu_emulate(v, f);
}

static enum vcpu_action fault_mmio(struct vcpu *v, const struct page_fault *f)
{
	if (v->event.pending)
		return vcpu_deliver_event(v);
	if (v->stepping) {
		vcpu_step_abandon(v);
		v->fetch_told = true; /* it was emulated before it was stepped */
		v->fetch_told_rip = v->regs.rip;
	}
	return vcpu_emulate(v, f);
}

enum vcpu_action vcpu_page_fault(struct vcpu *v, gva_t addr, uint32_t error_code)
{
	const struct access_origin origin = vcpu_origin(v, addr, error_code & PFERR_USER);
	struct page_fault f = {
		.addr = addr,
		.error_code = error_code,
		.ac = v->regs.rflags & X86_EFLAGS_AC,
		.implicit = v->event.pending && !(error_code & PFERR_USER),
		.origin = &origin,
	};

	/* It has met its breakpoint, if it has one, and does not meet it again.
	 * An exit for a fault says so with RF; Bochs leaves that out. */
	if (!v->event.pending && vcpu_has_breakpoints(v))
		v->regs.rflags |= X86_EFLAGS_RF;
	switch (mmu_page_fault(&v->mmu, &f)) {
	case FAULT_FIXED:
	case FAULT_SPURIOUS:
		return VCPU_RESUME;
	case FAULT_INJECT:
		return vcpu_inject_page_fault(v, addr, f.inject_code);
	case FAULT_EMULATE:
		return fault_emulate(v, &f);
	case FAULT_MMIO:
		return fault_mmio(v, &f);
	case FAULT_NOMEM:
		break;
	}
	return vcpu_stop(v, VCPU_STOP_NO_MEMORY, 0, "no shadow page left for one path");
}

enum vcpu_action vcpu_port_io(struct vcpu *v, bool in, uint16_t port, unsigned int len)
{
	uint64_t *rax = &v->regs.gpr[GPR_RAX];
	uint64_t mask = len == 4 ? UINT32_MAX : (1ull << (8 * len)) - 1;
	uint32_t val = 0;

	vcpu_note_port(v, port, len);
	if (!in) {
		platform_port_write(v->platform, v->id, port, len, low32(*rax & mask));
		return VCPU_NEXT_INSN;
	}
	platform_port_read(v->platform, v->id, port, len, &val);
	*rax = len == 4 ? val : (*rax & ~mask) | (val & mask);
	return VCPU_NEXT_INSN;
}

enum vcpu_action vcpu_exit_cpuid(struct vcpu *v)
{
	uint64_t *g = v->regs.gpr;
	struct cpuid_regs r;

	cpuid_guest(&v->cpuid, v->mmu.paging.cr4, v->xcr0, low32(g[GPR_RAX]), low32(g[GPR_RCX]), &r);
	g[GPR_RAX] = r.eax;
	g[GPR_RBX] = r.ebx;
	g[GPR_RCX] = r.ecx;
	g[GPR_RDX] = r.edx;
	return VCPU_NEXT_INSN;
}

/* The outcome of a register write whose rules are in cr.c or msr.c. */
static enum vcpu_action written(struct vcpu *v, int err)
{
	if (!err)
		return VCPU_NEXT_INSN;
	if (v->stop.reason != VCPU_STOP_NONE)
		return VCPU_STOP;
	return vcpu_inject_error(v, EXC_GP, 0);
}

enum vcpu_action vcpu_exit_msr(struct vcpu *v, bool write)
{
	uint64_t *g = v->regs.gpr;
	uint64_t val = low32(g[GPR_RAX]) | g[GPR_RDX] << 32;
	uint32_t msr = low32(g[GPR_RCX]);
	int err;

	if (write)
		return written(v, msr_write(v, msr, val));
	err = msr_read(v, msr, &val);
	if (!err) {
		g[GPR_RAX] = low32(val);
		g[GPR_RDX] = val >> 32;
	}
	return written(v, err);
}

enum vcpu_action vcpu_exit_hlt(struct vcpu *v)
{
	return vcpu_halt(v) == VCPU_STOP ? VCPU_STOP : VCPU_NEXT_INSN;
}

enum vcpu_action vcpu_exit_invlpg(struct vcpu *v, gva_t addr)
{
	mmu_invlpg(&v->mmu, addr);
	return VCPU_NEXT_INSN;
}

enum vcpu_action vcpu_exit_xsetbv(struct vcpu *v)
{
	uint64_t *g = v->regs.gpr;

	return written(v, cr_write_xcr0(v, low32(g[GPR_RCX]), low32(g[GPR_RAX]) | g[GPR_RDX] << 32));
}

/* Control registers: the value of a MOV is 32 bits wide outside 64-bit mode. */
enum vcpu_action vcpu_exit_mov_to_cr(struct vcpu *v, unsigned int nr, enum gpr gpr)
{
	uint64_t val = vcpu_in_64bit_mode(v) ? v->regs.gpr[gpr] : low32(v->regs.gpr[gpr]);

	switch (nr) {
	case 0:
		return written(v, cr_write_cr0(v, val));
	case 3:
		return written(v, cr_write_cr3(v, val));
	case 4:
		return written(v, cr_write_cr4(v, val));
	case 8:
		if (val > 15)
			return vcpu_inject_error(v, EXC_GP, 0);
		platform_cr8_write(v->platform, v->id, (uint8_t)val);
		return VCPU_NEXT_INSN;
	}
	return vcpu_inject_exception(v, EXC_UD);
}

enum vcpu_action vcpu_exit_mov_from_cr(struct vcpu *v, unsigned int nr, enum gpr gpr)
{
	if (nr == 3)
		v->regs.gpr[gpr] = v->mmu.paging.cr3;
	else if (nr == 8)
		v->regs.gpr[gpr] = platform_cr8_read(v->platform, v->id);
	else
		return vcpu_inject_exception(v, EXC_UD);
	return VCPU_NEXT_INSN;
}

enum vcpu_action vcpu_exit_lmsw(struct vcpu *v, uint16_t msw)
{
	return written(v, cr_lmsw(v, msw));
}

enum vcpu_action vcpu_exit_clts(struct vcpu *v)
{
	return written(v, cr_write_cr0(v, v->mmu.paging.cr0 & ~(uint64_t)X86_CR0_TS));
}
