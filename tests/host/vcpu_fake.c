/* SPDX-License-Identifier: GPL-2.0-only */
/* A vCPU without hardware: see the header. */
#include "tests/host/vcpu_fake.h"
#include <string.h>
#include "lib/alloc.h"
#include "lib/assert.h"
#include "mm/port.h"

#define PTE_FLAGS 0x67ull /* present, writable, user, accessed, dirty */

struct fake_cpu fake_cpu = { .max_basic = 0xD };

/* The answers of a Haswell, as far as anything here asks. */
void fake_cpuid(uint32_t leaf, uint32_t subleaf, struct cpuid_regs *r)
{
	*r = (struct cpuid_regs){ 0 };
	if (leaf > fake_cpu.max_basic && leaf < 0x40000000) { /* what the highest basic leaf says */
		*r = (struct cpuid_regs){ 7, 7, 7, 7 };
		return;
	}
	switch (leaf) {
	case 0x0:
		*r = (struct cpuid_regs){ fake_cpu.max_basic, 0x756E6547, 0x6C65746E, 0x49656E69 };
		break;
	case 0x1:
		*r = (struct cpuid_regs){ 0x306C3, 0x03100800, 0x7FFAFBFF, 0xBFEBFBFF };
		if (fake_cpu.no_xsave)
			r->ecx &= ~(1u << 26 | 1u << 27);
		break;
	case 0x4:
		*r = (struct cpuid_regs){ 0x1C004121, 0x01C0003F, 0x3F, 0 };
		break;
	case 0x5:
	case 0xA:
		*r = (struct cpuid_regs){ 0x07300403, 0x40, 0x40, 0x603 };
		break;
	case 0x7:
		if (subleaf == 0)
			*r = (struct cpuid_regs){ 0, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF };
		break;
	case 0xD:
		if (subleaf == 0)
			*r = (struct cpuid_regs){ fake_cpu.no_avx ? 3 : 0x207, 832, 2696, 0 };
		else if (subleaf == 1)
			*r = (struct cpuid_regs){ 0xF, 832, 0x100, 0 };
		else if (subleaf == 2)
			*r = (struct cpuid_regs){ 256, 576, 0, 0 };
		else if (subleaf == 9)
			*r = (struct cpuid_regs){ 8, 2688, 0, 0 };
		break;
	case 0x80000000:
		r->eax = 0x80000008;
		break;
	case 0x80000001:
		*r = (struct cpuid_regs){ 0, 0, 0x21, 0x2C100800 };
		if (fake_cpu.no_nx)
			r->edx &= ~(1u << 20);
		break;
	case 0x80000007:
		r->edx = 0x100;
		break;
	case 0x80000008:
		*r = (struct cpuid_regs){ 48u << 8 | FAKE_MAXPHYADDR, 0xFFFF, 7, 0 };
		break;
	}
}

static struct fake_vm *of(struct vcpu *v) { return v->vm; }

static int fake_create(struct vcpu *v)
{
	v->hw = of(v);
	return 0;
}

static void fake_destroy(struct vcpu *v) { v->hw = NULL; }
static void fake_load(struct vcpu *v) { of(v)->loads++; }
static void fake_put(struct vcpu *v) { }

static enum vcpu_action fake_run(struct vcpu *v)
{
	struct fake_vm *f = of(v);

	f->entered_with = v->event;
	if (v->event.pending && v->event.type == EVENT_NMI)
		f->nmi_blocked = true;
	v->event.pending = false;
	return f->run(f);
}

static unsigned int fake_insn_len(struct vcpu *v) { return of(v)->insn_len; }

static uint64_t fake_insn_done(struct vcpu *v)
{
	uint64_t held = of(v)->held_debug;

	of(v)->insns_done++;
	of(v)->shadow = of(v)->sti_shadow = false;
	of(v)->held_debug = 0;
	return held;
}

static bool in_shadow(const struct fake_vm *f) { return f->shadow || f->sti_shadow; }

static bool fake_interrupts_open(struct vcpu *v)
{
	return v->regs.rflags & X86_EFLAGS_IF && !in_shadow(of(v));
}

static bool fake_nmi_open(struct vcpu *v) { return !of(v)->nmi_blocked && !in_shadow(of(v)); }

static void fake_windows_changed(struct vcpu *v)
{
	of(v)->window = v->window;
	of(v)->nmi_window = v->nmi_window;
}

static bool fake_nmi_blocked(struct vcpu *v) { return of(v)->nmi_blocked; }
static void fake_set_nmi_blocked(struct vcpu *v, bool blocked) { of(v)->nmi_blocked = blocked; }

static void fake_get_interruptibility(struct vcpu *v, struct vcpu_interruptibility *out)
{
	out->pending_debug = of(v)->held_debug;
	out->sti = of(v)->sti_shadow;
	out->mov_ss = of(v)->shadow;
	out->nmi = of(v)->nmi_blocked;
}

static void fake_set_interruptibility(struct vcpu *v, const struct vcpu_interruptibility *in)
{
	of(v)->held_debug = in->pending_debug;
	of(v)->sti_shadow = in->sti;
	of(v)->shadow = in->mov_ss;
	of(v)->nmi_blocked = in->nmi;
}

static void fake_single_step(struct vcpu *v, bool on) { of(v)->step = on; }

static void fake_get_segment(struct vcpu *v, enum segment_register s, struct segment *out)
{
	*out = of(v)->segment[s];
}

static void fake_set_segment(struct vcpu *v, enum segment_register s, const struct segment *in)
{
	of(v)->segment[s] = *in;
}

static void fake_get_idt(struct vcpu *v, struct descriptor_table *out) { *out = of(v)->idt; }
static void fake_set_idt(struct vcpu *v, const struct descriptor_table *in) { of(v)->idt = *in; }
static void fake_get_gdt(struct vcpu *v, struct descriptor_table *out) { *out = of(v)->gdt; }
static void fake_set_gdt(struct vcpu *v, const struct descriptor_table *in) { of(v)->gdt = *in; }
static uint64_t fake_get_cr2(struct vcpu *v) { return of(v)->cr2; }
static void fake_set_cr2(struct vcpu *v, uint64_t val) { of(v)->cr2 = val; }

static uint64_t *msr_cell(struct fake_vm *f, uint32_t msr)
{
	for (unsigned int i = 0; i < f->msrs; i++)
		if (f->msr_number[i] == msr)
			return &f->msr_value[i];
	ASSERT(f->msrs < 32);
	f->msr_number[f->msrs] = msr;
	return &f->msr_value[f->msrs++];
}

static uint64_t fake_get_msr(struct vcpu *v, uint32_t msr) { return *msr_cell(of(v), msr); }
static void fake_set_msr(struct vcpu *v, uint32_t msr, uint64_t val) { *msr_cell(of(v), msr) = val; }

/* TS and DE stand for what the guest owns. */
static void fake_sync_paging(struct vcpu *v)
{
	struct guest_paging *p = &v->mmu.paging;

	p->cr0 = (p->cr0 & ~X86_CR0_TS) | (of(v)->owned_cr0 & X86_CR0_TS);
	p->cr4 = (p->cr4 & ~X86_CR4_DE) | (of(v)->owned_cr4 & X86_CR4_DE);
}

static void fake_paging_changed(struct vcpu *v)
{
	of(v)->paging_changes++;
	of(v)->owned_cr0 = v->mmu.paging.cr0;
	of(v)->owned_cr4 = v->mmu.paging.cr4;
}

static void fake_debug_regs_changed(struct vcpu *v) { of(v)->debug_changes++; }
static void fake_xcr0_changed(struct vcpu *v) { of(v)->xcr0_changes++; }
static void fake_tsc_offset_changed(struct vcpu *v) { of(v)->tsc_changes++; }
static uint64_t fake_host_tsc(void) { return 1000; }

static void fake_get_vector(struct vcpu *v, unsigned int number, uint8_t *bytes, unsigned int len)
{
	memcpy(bytes, of(v)->vector[number], len);
}

static void fake_set_vector(struct vcpu *v, unsigned int number, const uint8_t *bytes, unsigned int len)
{
	memcpy(of(v)->vector[number], bytes, len);
}

static void fake_get_fpu(struct vcpu *v, void *area)
{
	struct fake_vm *f = of(v);

	memcpy(area, f->vector, sizeof(f->vector));
	memcpy((uint8_t *)area + sizeof(f->vector), f->fpu, sizeof(f->fpu));
}

static void fake_set_fpu(struct vcpu *v, const void *area)
{
	struct fake_vm *f = of(v);

	memcpy(f->vector, area, sizeof(f->vector));
	memcpy(f->fpu, (const uint8_t *)area + sizeof(f->vector), sizeof(f->fpu));
}

static bool fake_can_run(struct vcpu *v) { return !of(v)->cannot_run; }

static const struct vcpu_backend fake_backend = {
	.name = "fake",
	.has_rdtscp = true,
	.fpu_size = FAKE_FPU_SIZE,
	.cpuid = fake_cpuid,
	.create = fake_create,
	.destroy = fake_destroy,
	.load = fake_load,
	.put = fake_put,
	.run = fake_run,
	.insn_len = fake_insn_len,
	.insn_done = fake_insn_done,
	.can_run = fake_can_run,
	.interrupts_open = fake_interrupts_open,
	.nmi_open = fake_nmi_open,
	.windows_changed = fake_windows_changed,
	.nmi_blocked = fake_nmi_blocked,
	.set_nmi_blocked = fake_set_nmi_blocked,
	.get_interruptibility = fake_get_interruptibility,
	.set_interruptibility = fake_set_interruptibility,
	.single_step = fake_single_step,
	.get_segment = fake_get_segment,
	.set_segment = fake_set_segment,
	.get_idt = fake_get_idt,
	.set_idt = fake_set_idt,
	.get_gdt = fake_get_gdt,
	.set_gdt = fake_set_gdt,
	.get_cr2 = fake_get_cr2,
	.set_cr2 = fake_set_cr2,
	.get_vector = fake_get_vector,
	.set_vector = fake_set_vector,
	.get_fpu = fake_get_fpu,
	.set_fpu = fake_set_fpu,
	.get_msr = fake_get_msr,
	.set_msr = fake_set_msr,
	.sync_paging = fake_sync_paging,
	.paging_changed = fake_paging_changed,
	.debug_regs_changed = fake_debug_regs_changed,
	.xcr0_changed = fake_xcr0_changed,
	.tsc_offset_changed = fake_tsc_offset_changed,
	.host_tsc = fake_host_tsc,
};

static uint64_t now(void *ctx) { return ((struct fake_vm *)ctx)->tsc; }
static void console_put(void *ctx, uint8_t byte) { }
static void kick(void *ctx, unsigned int cpu) { }
static void flush(void *ctx) { ((struct fake_vm *)ctx)->vcpu.tlb_flush = true; }

static void stop(void *ctx, enum platform_stop why, uint32_t code)
{
	vcpu_stop(&((struct fake_vm *)ctx)->vcpu,
		  why == PLATFORM_STOP_DEBUG_EXIT ? VCPU_STOP_DEBUG_EXIT : VCPU_STOP_POWEROFF, code, "");
}

void fake_vm_init(struct fake_vm *f)
{
	const struct mmu_config mc = {
		.shadow_pages = MMU_SHADOW_PAGES_MIN,
		.host = { .maxphyaddr = FAKE_MAXPHYADDR, .flush = flush, .tsc = now, .ctx = f },
	};
	const struct platform_config pc = {
		.tsc_hz = 1000000000,
		.low_memory = FAKE_RAM,
		.vcpus = 1,
		.host = { .now = now, .console_put = console_put, .stop = stop, .kick = kick, .ctx = f },
	};
	const struct vcpu_config vc = {
		.name = "fake", .vm = f, .backend = &fake_backend, .mmu = &f->mmu, .platform = &f->platform,
		.tsc_hz = 1000000000,
	};
	struct memslot_desc slot = { .npages = FAKE_RAM >> PAGE_SHIFT };

	memset(f, 0, sizeof(*f));
	f->ram = mem_zalloc(FAKE_RAM);
	ASSERT(f->ram);
	slot.base_pfn = hpa_to_pfn(port_va_to_hpa(f->ram));
	ASSERT(mmu_init(&f->mmu, &mc) == 0);
	ASSERT(mmu_slot_create(&f->mmu, &slot) == 0);
	ASSERT(platform_init(&f->platform, &pc) == 0);
	ASSERT(vcpu_init(&f->vcpu, &vc) == 0);
	f->insn_len = 2;
}

void fake_vm_destroy(struct fake_vm *f)
{
	vcpu_destroy(&f->vcpu);
	mmu_destroy(&f->mmu);
	mem_free(f->ram, FAKE_RAM);
}

static void put64(struct fake_vm *f, uint64_t addr, uint64_t val)
{
	ASSERT(guest_write(&f->mmu.mem, gpa(addr), &val, sizeof(val), BY(EMULATOR)) == 0);
}

static void reset(struct fake_vm *f, uint32_t cs_access, struct vcpu_state *s)
{
	for (int i = 0; i < SEG_COUNT; i++)
		s->segment[i] = (struct segment){ .selector = 0x10, .access = 0xC093, .limit = UINT32_MAX };
	s->segment[SEG_CS].access = cs_access;
	s->segment[SEG_TR].access = 0x8B;
	s->segment[SEG_LDTR].access = SEGMENT_UNUSABLE;
	s->regs.rip = FAKE_CODE;
	s->regs.gpr[GPR_RSP] = FAKE_STACK;
	ASSERT(vcpu_reset(&f->vcpu, s) == 0);
}

void fake_long_mode(struct fake_vm *f)
{
	struct vcpu_state s = {
		.cr0 = X86_CR0_PG | X86_CR0_PE | X86_CR0_WP | X86_CR0_ET,
		.cr3 = FAKE_PML4,
		.cr4 = X86_CR4_PAE,
		.efer = EFER_LME | EFER_LMA,
	};

	put64(f, FAKE_PML4, 0x2000 | PTE_FLAGS);
	put64(f, 0x2000, 0x3000 | PTE_FLAGS);
	put64(f, 0x3000, FAKE_PT | PTE_FLAGS);
	for (uint64_t i = 0; i < 512; i++)
		fake_map(f, i << PAGE_SHIFT, i << PAGE_SHIFT, PTE_FLAGS);
	reset(f, 0xA09B, &s);
}

void fake_protected_mode(struct fake_vm *f)
{
	struct vcpu_state s = { .cr0 = X86_CR0_PE | X86_CR0_ET };

	reset(f, 0xC09B, &s);
}

void fake_real_mode(struct fake_vm *f)
{
	struct vcpu_state s = { .cr0 = X86_CR0_ET, .idt.limit = 0x3FF };

	reset(f, 0x9B, &s);
	for (int i = 0; i <= SEG_GS; i++)
		f->segment[i] = (struct segment){ .access = i == SEG_CS ? 0x9B : 0x93, .limit = 0xFFFF };
	f->vcpu.regs.gpr[GPR_RSP] = 0x7000;
}

void fake_set_cpl(struct fake_vm *f, unsigned int cpl)
{
	f->segment[SEG_SS].access = (f->segment[SEG_SS].access & ~0x60u) | cpl << 5;
	f->segment[SEG_CS].access = (f->segment[SEG_CS].access & ~0x60u) | cpl << 5;
}

void fake_code(struct fake_vm *f, const void *bytes, size_t len)
{
	ASSERT(guest_write(&f->mmu.mem, gpa(f->vcpu.regs.rip), bytes, len, BY(LOADER)) == 0);
}

void fake_map(struct fake_vm *f, uint64_t addr, uint64_t to, uint64_t flags)
{
	put64(f, FAKE_PT + 8 * (addr >> PAGE_SHIFT), flags ? to | flags : 0);
}
