/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Debug registers. Every MOV DR exits; v->dr is the truth. The backend puts
 * DR0-3 and DR7 into hardware while the guest runs, #DB comes back through
 * vcpu_inject_debug(). What we access in the hardware's place is compared with
 * the breakpoints here.
 */
#include "vcpu/vcpu.h"

#define DR6_HITS 0xFull
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

/* The hits are those of this #DB; the other bits stay until software clears
 * them. GD goes, so that the handler can use the registers. */
void vcpu_note_debug(struct vcpu *v, uint64_t cause)
{
	v->dr[6] = (v->dr[6] & ~DR6_HITS) | cause | DR6_ONES;
	if (!(v->dr[7] & DR7_GD))
		return;
	v->dr[7] &= ~DR7_GD;
	v->backend->debug_regs_changed(v);
}

/* ---- breakpoints ---------------------------------------------------------------- */

enum breakpoint { BREAK_EXECUTE, BREAK_WRITE, BREAK_PORT, BREAK_ACCESS };

static bool is_enabled(const struct vcpu *v, unsigned int n) { return v->dr[7] >> 2 * n & 3; }
static enum breakpoint kind_of(const struct vcpu *v, unsigned int n) { return v->dr[7] >> (16 + 4 * n) & 3; }

/* Length and alignment are one. */
static bool watches(const struct vcpu *v, unsigned int n, uint64_t addr, unsigned int len)
{
	static const uint8_t lengths[] = { 1, 2, 8, 4 };
	unsigned int length = lengths[v->dr[7] >> (18 + 4 * n) & 3];
	uint64_t first = v->dr[n] & ~(uint64_t)(length - 1);

	return addr <= first + length - 1 && first <= addr + len - 1;
}

void vcpu_note_access(struct vcpu *v, gva_t addr, unsigned int len, bool write)
{
	if (!vcpu_has_breakpoints(v))
		return;
	for (unsigned int n = 0; n < 4; n++) {
		enum breakpoint kind = kind_of(v, n);
		bool of_kind = kind == BREAK_ACCESS || (write && kind == BREAK_WRITE);

		if (of_kind && is_enabled(v, n) && watches(v, n, addr.v, len))
			v->breakpoints |= 1ull << n;
	}
}

void vcpu_note_port(struct vcpu *v, uint16_t port, unsigned int len)
{
	if (!vcpu_has_breakpoints(v) || !(v->mmu.paging.cr4 & X86_CR4_DE))
		return;
	for (unsigned int n = 0; n < 4; n++)
		if (kind_of(v, n) == BREAK_PORT && is_enabled(v, n) && watches(v, n, port, len))
			v->breakpoints |= 1ull << n;
}

/* ---- MOV DR ------------------------------------------------------------------------ */

enum vcpu_action vcpu_exit_mov_dr(struct vcpu *v, unsigned int nr, enum gpr gpr, bool to_dr)
{
	bool in_64bit = vcpu_in_64bit_mode(v);
	uint64_t val = v->regs.gpr[gpr];

	/* The exit comes before all checks. */
	if (nr == 4 || nr == 5) {
		if (v->mmu.paging.cr4 & X86_CR4_DE)
			return vcpu_inject_exception(v, EXC_UD);
		nr += 2;
	}
	if (vcpu_cpl(v) != 0)
		return vcpu_inject_error(v, EXC_GP, 0);
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
