/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Debug registers. Every MOV DR exits; v->dr is the truth. The backend puts
 * DR0-3 and DR7 into hardware while the guest runs, #DB comes back through
 * vcpu_inject_debug().
 */
#include "vcpu/vcpu.h"

#define DR6_WRITABLE 0x0000E00Full
#define DR6_ONES 0xFFFF0FF0ull
#define DR7_WRITABLE 0xFFFF2BFFull
#define DR7_ONES (1ull << 10)

void vcpu_write_dr(struct vcpu *v, unsigned int nr, uint64_t val)
{
	if (nr == 6)
		v->dr[6] = (val & DR6_WRITABLE) | DR6_ONES;
	else if (nr == 7)
		v->dr[7] = (val & DR7_WRITABLE) | DR7_ONES;
	else
		v->dr[nr] = val;
	v->backend->debug_regs_changed(v);
}

enum vcpu_action vcpu_exit_mov_dr(struct vcpu *v, unsigned int nr, enum gpr gpr, bool to_dr)
{
	bool in_64bit = vcpu_in_64bit_mode(v);
	uint64_t val = v->regs.gpr[gpr];

	/* The exit comes before all checks but that of the privilege level. */
	if (nr == 4 || nr == 5) {
		if (v->mmu.paging.cr4 & X86_CR4_DE)
			return vcpu_inject_exception(v, EXC_UD);
		nr += 2;
	}
	if (v->dr[7] & DR7_GD)
		return vcpu_inject_debug(v, DR6_BD);
	if (!to_dr) {
		v->regs.gpr[gpr] = in_64bit ? v->dr[nr] : (uint32_t)v->dr[nr];
		return VCPU_NEXT_INSN;
	}
	if (!in_64bit)
		val = (uint32_t)val;
	if (nr >= 6 && val >> 32)
		return vcpu_inject_error(v, EXC_GP, 0);
	vcpu_write_dr(v, nr, val);
	return VCPU_NEXT_INSN;
}
