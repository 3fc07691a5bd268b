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
#define DR6_BS (1ull << 14)

/* Access rights of the first segments; see struct segment. */
#define ACCESS_CODE64 0xA09Bu
#define ACCESS_CODE32 0xC09Bu
#define ACCESS_DATA 0xC093u
#define ACCESS_TSS_BUSY 0x008Bu

int vcpu_init(struct vcpu *v, const struct vcpu_config *c)
{
	int err;

	*v = (struct vcpu){
		.id = c->id,
		.name = c->name,
		.vm = c->vm,
		.backend = c->backend,
		.platform = c->platform,
		.tsc_hz = c->tsc_hz,
		.xcr0 = XFEATURE_X87,
		.cpuid = {
			.host = c->backend->cpuid,
			.tsc_hz = c->tsc_hz,
			.apic_id = c->id,
			.has_rdtscp = c->backend->has_rdtscp,
			.show_rdrand = c->show_rdrand,
		},
	};
	v->dr[6] = DR6_RESET;
	v->dr[7] = DR7_RESET;
	cpuid_policy_init(&v->cpuid);
	msr_init(&v->msrs);

	err = mmu_vcpu_init(&v->mmu, c->mmu, v->cpuid.maxphyaddr, v->cpuid.has_1g_pages);
	if (err)
		return err;
	err = v->backend->create(v);
	if (err)
		mmu_vcpu_destroy(&v->mmu);
	return err;
}

void vcpu_destroy(struct vcpu *v)
{
	if (v->stepping)
		vcpu_step_done(v);
	v->backend->destroy(v);
	mmu_vcpu_destroy(&v->mmu);
}

static void set_flat(struct vcpu *v, uint16_t cs, uint32_t cs_access, uint16_t ds)
{
	const struct segment code = { .selector = cs, .access = cs_access, .limit = UINT32_MAX };
	const struct segment data = { .selector = ds, .access = ACCESS_DATA, .limit = UINT32_MAX };
	const struct segment ldt = { .access = SEGMENT_UNUSABLE };
	const struct segment tss = { .access = ACCESS_TSS_BUSY, .limit = 0x67 };

	v->backend->set_segment(v, SEG_CS, &code);
	for (int s = SEG_ES; s <= SEG_GS; s++)
		if (s != SEG_CS)
			v->backend->set_segment(v, s, &data);
	v->backend->set_segment(v, SEG_LDTR, &ldt);
	v->backend->set_segment(v, SEG_TR, &tss);
}

/* Paging state as a whole: what MOV to CR would refuse is refused here. */
static int set_first_paging(struct vcpu *v, uint64_t cr0, uint64_t cr3, uint64_t cr4, uint64_t efer)
{
	struct guest_paging p = v->mmu.paging;
	int err;

	p.cr0 = cr0;
	p.cr3 = cr3;
	p.cr4 = cr4;
	p.efer = efer;
	err = mmu_set_paging(&v->mmu, &p);
	if (!err)
		v->backend->paging_changed(v);
	return err;
}

static void set_first_registers(struct vcpu *v, uint64_t entry, const struct descriptor_table *gdt)
{
	const struct descriptor_table no_idt = { 0 };

	v->regs = (struct cpu_regs){ .rip = entry, .rflags = X86_EFLAGS_FIXED };
	v->event = (struct vcpu_event){ 0 };
	v->stop = (struct vcpu_stop){ 0 };
	v->halted = false;
	v->tlb_flush = true;
	v->backend->set_gdt(v, gdt);
	v->backend->set_idt(v, &no_idt);
}

int vcpu_reset_to_64bit(struct vcpu *v, const struct vcpu_boot64 *b)
{
	int err;

	if (b->cr3.v >> v->cpuid.maxphyaddr || !addr_is_canonical(b->entry))
		return -EINVAL;
	v->backend->load(v);
	set_first_registers(v, b->entry, &b->gdt);
	v->regs.gpr[GPR_RSI] = b->boot_params;
	set_flat(v, 0x10, ACCESS_CODE64, 0x18);
	err = set_first_paging(v, X86_CR0_PG | X86_CR0_WP | X86_CR0_NE | X86_CR0_ET | X86_CR0_PE, b->cr3.v,
			       X86_CR4_PAE, EFER_LME | EFER_LMA);
	return err;
}

int vcpu_reset_to_protected32(struct vcpu *v, const struct vcpu_boot32 *b)
{
	v->backend->load(v);
	set_first_registers(v, b->entry, &b->gdt);
	v->regs.gpr[GPR_RAX] = b->eax;
	v->regs.gpr[GPR_RBX] = b->ebx;
	set_flat(v, 0x08, ACCESS_CODE32, 0x10);
	return set_first_paging(v, X86_CR0_ET | X86_CR0_PE, 0, 0, 0);
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
	};

	return why < ARRAY_SIZE(names) ? names[why] : "unknown";
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

/* The only place where rip moves past an instruction that exited. */
static enum vcpu_action skip_insn(struct vcpu *v)
{
	bool traced = v->regs.rflags & X86_EFLAGS_TF && !v->stepping;

	v->regs.rip += v->backend->insn_len(v);
	/* Outside 64-bit mode rip wraps at 4 GiB. */
	if (v->regs.rip >> 32 && !vcpu_in_64bit_mode(v))
		v->regs.rip = (uint32_t)v->regs.rip;
	v->regs.rflags &= ~(uint64_t)X86_EFLAGS_RF;
	v->backend->insn_done(v);
	if (v->stepping)
		vcpu_step_done(v);
	return traced ? vcpu_inject_debug(v, DR6_BS) : VCPU_RESUME;
}

/* Takes a pending external interrupt if the guest can, or asks to be told
 * when it can. Nothing is added to an event on its way, nor to a step. */
static void queue_interrupt(struct vcpu *v)
{
	bool pending = !v->stepping && platform_interrupt_pending(v->platform, v->id);
	bool take = pending && !v->event.pending && v->backend->interrupts_open(v);
	bool window = pending && !take;

	if (take) {
		int vector = platform_interrupt_ack(v->platform, v->id);

		if (vector >= 0)
			v->event = (struct vcpu_event){ .pending = true,
							.vector = (uint8_t)vector,
							.type = EVENT_EXTERNAL };
	}
	if (window != v->window) {
		v->window = window;
		v->backend->interrupt_window(v, window);
	}
}

/* A halted vCPU wakes for an interrupt only; its IF was on when it halted. */
static bool still_halted(struct vcpu *v)
{
	if (v->halted && (v->event.pending || platform_interrupt_pending(v->platform, v->id)))
		v->halted = false;
	return v->halted;
}

enum vcpu_action vcpu_run_once(struct vcpu *v)
{
	enum vcpu_action action;

	if (v->stop.reason != VCPU_STOP_NONE)
		return VCPU_STOP;
	if (v->halted && still_halted(v))
		return VCPU_YIELD;
	queue_interrupt(v);
	v->exits++;
	action = v->backend->run(v);
	if (action == VCPU_NEXT_INSN)
		action = skip_insn(v);
	if (v->stop.reason != VCPU_STOP_NONE)
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
