/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Life of a virtual CPU: making it, its first state, one round of running it.
 * This is the only place where an instruction that exited is skipped.
 */
#include "vcpu/vcpu.h"
#include "lib/errno.h"
#include "lib/log.h"
#include "vcpu/cr.h"

#define DR6_RESET 0xFFFF0FF0ull
#define DR7_RESET 0x400ull

int vcpu_init(struct vcpu *v, const struct vcpu_config *c)
{
	int err;

	*v = (struct vcpu){
		.id = c->id,
		.name = c->name,
		.vm = c->vm,
		.backend = c->backend,
		.platform = c->platform,
		.hypercalls = c->hypercalls,
		.hypercall_ctx = c->hypercall_ctx,
		.tsc_hz = c->tsc_hz,
		.xcr0 = XFEATURE_X87,
		.cpuid = {
			.host = c->backend->cpuid,
			.tsc_hz = c->tsc_hz,
			.apic_id = c->id,
			.has_rdtscp = c->backend->has_rdtscp,
			.hide_xsavec = c->backend->hide_xsavec,
			.show_rdrand = c->show_rdrand,
			.calls = c->hypercall_leaf,
		},
	};
	v->dr[6] = DR6_RESET;
	v->dr[7] = DR7_RESET;
	cpuid_policy_init(&v->cpuid);
	msr_init(&v->msrs);

	err = mmu_vcpu_init(&v->mmu, c->mmu, v->cpuid.maxphyaddr, v->cpuid.has_1g_pages);
	if (!err) {
		err = v->backend->create(v);
		if (err)
			mmu_vcpu_destroy(&v->mmu);
	}
	if (err)
		v->backend = NULL; /* so that an owner can tell */
	return err;
}

void vcpu_destroy(struct vcpu *v)
{
	if (v->stepping) {
		v->backend->load(v);
		vcpu_step_abandon(v);
	}
	v->backend->destroy(v);
	mmu_vcpu_destroy(&v->mmu);
}

/* What a chain of MOVs to control registers could have arrived at. */
static bool first_state_is_valid(const struct vcpu *v, const struct vcpu_state *s)
{
	bool pg = s->cr0 & X86_CR0_PG, lme = s->efer & EFER_LME, lma = s->efer & EFER_LMA;

	if (s->cr0 >> 32 || (pg && !(s->cr0 & X86_CR0_PE)) || s->cr4 & ~v->cpuid.cr4_allowed ||
	    s->efer & ~v->cpuid.efer_allowed || !addr_is_canonical(s->regs.rip))
		return false;
	if (lma != (pg && lme) || (lma && !(s->cr4 & X86_CR4_PAE)))
		return false;
	return s->cr3 >> v->cpuid.maxphyaddr == 0;
}

static int set_first_paging(struct vcpu *v, const struct vcpu_state *s)
{
	struct guest_paging p = v->mmu.paging;
	int err;

	p.cr0 = s->cr0;
	p.cr3 = s->cr3;
	p.cr4 = s->cr4;
	p.efer = s->efer;
	if (paging_enabled(&p) && paging_pae(&p) && !paging_long(&p) &&
	    guest_load_pdptes(&v->mmu.mmu->mem, &p, p.pdpte))
		return -EINVAL;
	err = mmu_set_paging(&v->mmu, &p);
	if (!err)
		v->backend->paging_changed(v);
	return err;
}

int vcpu_reset(struct vcpu *v, const struct vcpu_state *s)
{
	int err;

	if (!first_state_is_valid(v, s))
		return -EINVAL;
	v->backend->load(v);
	v->regs = s->regs;
	v->regs.rflags |= X86_EFLAGS_FIXED;
	v->event = (struct vcpu_event){ 0 };
	v->stop = (struct vcpu_stop){ 0 };
	v->halted = false;
	v->nmi_pending = false;
	v->interrupt_shadow = false;
	v->tlb_flush = true;
	for (int i = 0; i < SEG_COUNT; i++)
		v->backend->set_segment(v, i, &s->segment[i]);
	v->backend->set_gdt(v, &s->gdt);
	v->backend->set_idt(v, &s->idt);
	v->backend->set_cr2(v, 0);
	err = set_first_paging(v, s);
	if (!err)
		vcpu_choose_engine(v);
	return err;
}

enum vcpu_action vcpu_stop(struct vcpu *v, enum vcpu_stop_reason why, uint32_t code, const char *detail)
{
	if (v->stop.reason == VCPU_STOP_NONE)
		v->stop = (struct vcpu_stop){ .reason = why, .code = code, .detail = detail ? detail : "" };
	return VCPU_STOP;
}

const char *vcpu_stop_name(enum vcpu_stop_reason why)
{
	static const char *const names[] = {
		[VCPU_STOP_NONE] = "running",
		[VCPU_STOP_POWEROFF] = "power off",
		[VCPU_STOP_RESET] = "reset",
		[VCPU_STOP_DEBUG_EXIT] = "exit",
		[VCPU_STOP_TRIPLE_FAULT] = "triple fault",
		[VCPU_STOP_UNHANDLED_EXIT] = "unhandled exit",
		[VCPU_STOP_INVALID_STATE] = "invalid state",
		[VCPU_STOP_UNSUPPORTED] = "unsupported",
		[VCPU_STOP_NO_MEMORY] = "out of shadow pages",
		[VCPU_STOP_HALTED] = "halted for ever",
		[VCPU_STOP_KILLED] = "killed",
		[VCPU_STOP_TRACKER] = "stopped by a tracker",
	};

	return why < ARRAY_SIZE(names) ? names[why] : "unknown";
}

bool vcpu_stopped_by_tracker(struct vcpu *v)
{
	const struct page_tracker *t = __atomic_load_n(&v->mmu.mmu->mem.track.stopped_by, __ATOMIC_ACQUIRE);

	if (t)
		vcpu_stop(v, VCPU_STOP_TRACKER, 0, t->name);
	return t != NULL;
}

unsigned int vcpu_cpl(struct vcpu *v)
{
	struct segment ss;

	v->backend->get_segment(v, SEG_SS, &ss);
	return SEGMENT_DPL(ss.access);
}

bool vcpu_in_64bit_mode(struct vcpu *v)
{
	struct segment cs;

	if (!paging_long(&v->mmu.paging))
		return false;
	v->backend->get_segment(v, SEG_CS, &cs);
	return cs.access & SEGMENT_L;
}

void vcpu_move_rip(struct vcpu *v, unsigned int len)
{
	v->regs.rip += len;
	/* Outside 64-bit mode rip wraps at 4 GiB. */
	if (v->regs.rip >> 32 && !vcpu_in_64bit_mode(v))
		v->regs.rip = (uint32_t)v->regs.rip;
}

/* An instruction that exited is done. */
static enum vcpu_action skip_insn(struct vcpu *v)
{
	vcpu_move_rip(v, v->backend->insn_len(v));
	if (v->stepping)
		vcpu_step_done(v); /* TF is the guest's again */
	return vcpu_insn_done(v, v->regs.rflags & X86_EFLAGS_TF);
}

/* The hardware knows nothing of a shadow that an interpreted instruction has left. */
static bool is_for_interpreter(const struct vcpu *v)
{
	return v->interpreting || (v->interrupt_shadow && !v->stepping);
}

static enum vcpu_action run_natively(struct vcpu *v)
{
	enum vcpu_action action;

	v->exits++;
	action = v->backend->run(v);
	if (v->regs.rip != v->fetch_told_rip)
		v->fetch_told = false; /* that instruction was completed */
	return action == VCPU_NEXT_INSN ? skip_insn(v) : action;
}

enum vcpu_action vcpu_run_once(struct vcpu *v)
{
	enum vcpu_action action;

	if (v->stop.reason != VCPU_STOP_NONE)
		return VCPU_STOP;
	if (vcpu_is_asleep(v))
		return VCPU_YIELD;
	vcpu_queue_interrupts(v);
	if (v->stop.reason != VCPU_STOP_NONE)
		return VCPU_STOP;
	if (v->event.pending)
		v->fetch_told = false;
	action = is_for_interpreter(v) ? vcpu_interpret(v) : run_natively(v);
	if (v->stop.reason != VCPU_STOP_NONE || vcpu_stopped_by_tracker(v))
		return VCPU_STOP;
	return v->halted ? VCPU_YIELD : action;
}

static void dump_segments(struct vcpu *v)
{
	static const char *const names[SEG_COUNT] = { "es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr" };
	struct segment s;

	for (int i = 0; i < SEG_COUNT; i++) {
		v->backend->get_segment(v, i, &s);
		log_info("  %s sel %04x base %016llx limit %08x access %05x", names[i], s.selector,
			 (unsigned long long)s.base, s.limit, s.access);
	}
}

void vcpu_dump(struct vcpu *v)
{
	static const char *const names[GPR_COUNT] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
						      "r8 ", "r9 ", "r10", "r11", "r12", "r13", "r14", "r15" };
	const struct guest_paging *p = &v->mmu.paging;
	struct descriptor_table gdt, idt;

	log_info("%s: vCPU %u after %llu exits", v->name, v->id, (unsigned long long)v->exits);
	log_info("  rip %016llx rflags %08llx", (unsigned long long)v->regs.rip, (unsigned long long)v->regs.rflags);
	for (int i = 0; i < GPR_COUNT; i += 4)
		log_info("  %s %016llx %s %016llx %s %016llx %s %016llx", names[i],
			 (unsigned long long)v->regs.gpr[i], names[i + 1], (unsigned long long)v->regs.gpr[i + 1],
			 names[i + 2], (unsigned long long)v->regs.gpr[i + 2], names[i + 3],
			 (unsigned long long)v->regs.gpr[i + 3]);
	log_info("  cr0 %llx cr2 %llx cr3 %llx cr4 %llx efer %llx xcr0 %llx", (unsigned long long)p->cr0,
		 (unsigned long long)v->backend->get_cr2(v), (unsigned long long)p->cr3,
		 (unsigned long long)p->cr4, (unsigned long long)p->efer, (unsigned long long)v->xcr0);
	dump_segments(v);
	v->backend->get_gdt(v, &gdt);
	v->backend->get_idt(v, &idt);
	log_info("  gdt %016llx limit %04x idt %016llx limit %04x", (unsigned long long)gdt.base, gdt.limit,
		 (unsigned long long)idt.base, idt.limit);
	if (v->event.pending)
		log_info("  event on its way: vector %u type %d error %s%x", v->event.vector, v->event.type,
			 v->event.has_error_code ? "0x" : "-", v->event.error_code);
}
