/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Saving and restoring a vCPU: see the header. Invariant: what is copied out
 * of a struct that has holes goes member by member into zeroed memory.
 */
#include "vcpu/vcpu_snapshot.h"
#include "lib/errno.h"

#define FNV_BASIS 0xCBF29CE484222325ull
#define FNV_PRIME 0x100000001B3ull

/* ---- save ---------------------------------------------------------------------- */

static void save_paging(const struct guest_paging *p, struct vcpu_snapshot *s)
{
	s->cr0 = p->cr0;
	s->cr3 = p->cr3;
	s->cr4 = p->cr4;
	s->efer = p->efer;
	for (unsigned int i = 0; i < ARRAY_SIZE(s->pdpte); i++)
		s->pdpte[i] = p->pdpte[i];
}

static void save_segments(struct vcpu *v, struct vcpu_snapshot *s)
{
	struct segment from;

	for (unsigned int i = 0; i < SEG_COUNT; i++) {
		v->backend->get_segment(v, i, &from);
		s->segment[i].selector = from.selector;
		s->segment[i].access = from.access;
		s->segment[i].limit = from.limit;
		s->segment[i].base = from.base;
	}
}

static void save_tables(struct vcpu *v, struct vcpu_snapshot *s)
{
	struct descriptor_table gdt, idt;

	v->backend->get_gdt(v, &gdt);
	v->backend->get_idt(v, &idt);
	s->gdt.base = gdt.base;
	s->gdt.limit = gdt.limit;
	s->idt.base = idt.base;
	s->idt.limit = idt.limit;
}

static bool has_msr(const struct vcpu *v, uint32_t msr)
{
	return msr != MSR_IA32_TSC_AUX || v->cpuid.has_rdtscp;
}

static void save_msrs(struct vcpu *v, struct vcpu_snapshot *s)
{
	s->msrs = v->msrs;
	for (unsigned int i = 0; i < MSR_HARDWARE_COUNT; i++)
		if (has_msr(v, msr_hardware[i]))
			s->hardware_msr[i] = v->backend->get_msr(v, msr_hardware[i]);
}

/* What of @from decides nothing is zero: an event that is not pending, an error
 * code that is not there. */
static void save_event(const struct vcpu_event *from, struct vcpu_event *to)
{
	if (!from->pending)
		return;
	to->pending = true;
	to->vector = from->vector;
	to->type = from->type;
	to->has_error_code = from->has_error_code;
	to->error_code = from->has_error_code ? from->error_code : 0;
	to->insn_len = from->insn_len;
}

static void save_interruptibility(struct vcpu *v, struct vcpu_snapshot *s)
{
	struct vcpu_interruptibility from;

	v->backend->get_interruptibility(v, &from);
	s->interruptibility.pending_debug = from.pending_debug;
	s->interruptibility.sti = from.sti;
	s->interruptibility.mov_ss = from.mov_ss;
	s->interruptibility.nmi = from.nmi;
	s->nmi_pending = v->nmi_pending;
	s->interrupt_shadow = v->interrupt_shadow;
	s->halted = v->halted;
	s->nmi_wakes = v->halted && v->nmi_wakes;
	s->fetch_told = v->fetch_told;
	s->fetch_told_rip = v->fetch_told ? v->fetch_told_rip : 0;
}

static void save_registers(struct vcpu *v, struct vcpu_snapshot *s)
{
	s->regs = v->regs;
	s->cr2 = v->backend->get_cr2(v);
	s->xcr0 = v->xcr0;
	for (unsigned int i = 0; i < ARRAY_SIZE(s->dr); i++)
		s->dr[i] = v->dr[i];
	s->breakpoints = v->breakpoints;
}

int vcpu_save(struct vcpu *v, uint64_t now, struct vcpu_snapshot *s)
{
	if (v->stepping || v->v86.borrowed)
		return -EBUSY;
	if (v->stop.reason != VCPU_STOP_NONE)
		return -EINVAL;
	if (v->backend->fpu_size > sizeof(s->fpu))
		return -E2BIG;
	v->backend->load(v);
	v->backend->sync_paging(v);
	__builtin_memset(s, 0, sizeof(*s));
	save_registers(v, s);
	save_paging(&v->mmu.paging, s);
	save_segments(v, s);
	save_tables(v, s);
	save_msrs(v, s);
	save_event(&v->event, &s->event);
	save_interruptibility(v, s);
	s->tsc = now + (uint64_t)v->tsc_offset;
	s->fpu_size = v->backend->fpu_size;
	v->backend->get_fpu(v, s->fpu);
	return 0;
}

/* ---- restore ------------------------------------------------------------------- */

static bool same_kind(const struct vcpu *v, const struct vcpu_snapshot *s)
{
	const struct cpuid_policy *c = &v->cpuid;

	return s->fpu_size == v->backend->fpu_size && !(s->xcr0 & ~(c->xcr0_allowed | XFEATURE_X87)) &&
	       !(s->cr4 & ~c->cr4_allowed) && !(s->efer & ~c->efer_allowed) && !(s->cr3 >> c->maxphyaddr);
}

/* The first, as it can fail. */
static int restore_paging(struct vcpu *v, const struct vcpu_snapshot *s)
{
	struct guest_paging p = v->mmu.paging;
	int err;

	p.cr0 = s->cr0;
	p.cr3 = s->cr3;
	p.cr4 = s->cr4;
	p.efer = s->efer;
	for (unsigned int i = 0; i < ARRAY_SIZE(p.pdpte); i++)
		p.pdpte[i] = s->pdpte[i];
	err = mmu_set_paging(&v->mmu, &p);
	if (!err)
		v->backend->paging_changed(v);
	return err;
}

/* Segments before MSRs: two of those are their bases. */
static void restore_segments(struct vcpu *v, const struct vcpu_snapshot *s)
{
	for (unsigned int i = 0; i < SEG_COUNT; i++)
		v->backend->set_segment(v, i, &s->segment[i]);
	v->backend->set_gdt(v, &s->gdt);
	v->backend->set_idt(v, &s->idt);
}

static void restore_msrs(struct vcpu *v, const struct vcpu_snapshot *s)
{
	v->msrs = s->msrs;
	for (unsigned int i = 0; i < MSR_HARDWARE_COUNT; i++)
		if (has_msr(v, msr_hardware[i]))
			v->backend->set_msr(v, msr_hardware[i], s->hardware_msr[i]);
}

static void restore_registers(struct vcpu *v, const struct vcpu_snapshot *s)
{
	v->regs = s->regs;
	v->backend->set_cr2(v, s->cr2);
	for (unsigned int i = 0; i < ARRAY_SIZE(v->dr); i++)
		v->dr[i] = s->dr[i];
	v->breakpoints = s->breakpoints;
	v->backend->debug_regs_changed(v);
	v->xcr0 = s->xcr0;
	v->backend->xcr0_changed(v);
	v->backend->set_fpu(v, s->fpu);
}

static void restore_events(struct vcpu *v, const struct vcpu_snapshot *s)
{
	v->event = s->event;
	v->backend->set_interruptibility(v, &s->interruptibility);
	v->nmi_pending = s->nmi_pending;
	v->interrupt_shadow = s->interrupt_shadow;
	v->halted = s->halted;
	v->nmi_wakes = s->nmi_wakes;
	v->fetch_told = s->fetch_told;
	v->fetch_told_rip = s->fetch_told_rip;
	v->stop = (struct vcpu_stop){ 0 };
}

int vcpu_restore(struct vcpu *v, uint64_t now, const struct vcpu_snapshot *s)
{
	int err;

	if (!same_kind(v, s))
		return -EINVAL;
	v->backend->load(v);
	vcpu_step_done(v);
	v->backend->sync_paging(v);
	err = restore_paging(v, s);
	if (err)
		return err;
	restore_segments(v, s);
	restore_msrs(v, s);
	restore_registers(v, s);
	restore_events(v, s);
	v->tsc_offset = (int64_t)(s->tsc - now);
	v->backend->tsc_offset_changed(v);
	v->tlb_flush = true;
	vcpu_choose_engine(v);
	return 0;
}

/* ---- the hash: FNV-1a ----------------------------------------------------------- */

uint64_t vcpu_state_hash(const struct vcpu_snapshot *s)
{
	const uint8_t *bytes = (const uint8_t *)s;
	uint64_t hash = FNV_BASIS;

	for (size_t i = 0; i < sizeof(*s); i++)
		hash = (hash ^ bytes[i]) * FNV_PRIME;
	return hash;
}
