/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A vCPU's VMCS: making it, loading it, keeping its fields in step with the
 * neutral state, entering it.
 *
 * Decisions:
 * - IA32_PAT stays the host's: shadow entries ask for write-back by PAT entry
 *   0, and guests own no device. The guest's value is only stored.
 * - CR8 accesses exit and go to the virtual LAPIC: no TPR shadow to keep equal.
 * - No VM-exit MSR areas: what the guest may change lives in hardware (vmx.h).
 * - The host's EFER has NXE on, always; so has the guest's hardware EFER.
 */
#include "lib/alloc.h"
#include "lib/errno.h"
#include "lib/log.h"
#include "mm/port.h"
#include "vmx/cpu.h"
#include "vmx/vmcs.h"
#include "vmx/vmx.h"

/* CR0 and CR4 bits that a guest may change without an exit. */
#define CR0_GUEST_OWNED (X86_CR0_TS | X86_CR0_MP | X86_CR0_EM | X86_CR0_AM)
#define CR4_GUEST_OWNED (X86_CR4_TSD | X86_CR4_DE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT)

/* ---- failures of VMREAD and VMWRITE --------------------------------------- */

static bool access_failed;

void vmcs_note_failure(uint32_t field, bool write)
{
	if (!access_failed)
		log_error("%s of VMCS field 0x%x failed", write ? "VMWRITE" : "VMREAD", field);
	access_failed = true;
}

bool vmcs_take_failure(void)
{
	bool failed = access_failed;

	access_failed = false;
	return failed;
}

/* ---- controls -------------------------------------------------------------- */

void vmx_set_proc_control(struct vmx_vcpu *x, uint32_t bit, bool on)
{
	uint32_t val = on ? x->proc_controls | bit : x->proc_controls & ~bit;

	if (val == x->proc_controls)
		return;
	x->proc_controls = val;
	vmcs_write32(VMCS_PROC_CONTROLS, val);
}

void vmx_set_exception_bitmap(bool all)
{
	vmcs_write32(VMCS_EXCEPTION_BITMAP, all ? UINT32_MAX : VMX_EXCEPTIONS);
}

static void write_controls(struct vcpu *v, struct vmx_vcpu *x)
{
	const struct vmx_caps *caps = &vmx_cpu.caps;
	uint32_t proc2 = caps->control[VMX_PROC2];

	x->proc_controls = caps->control[VMX_PROC] | (v->intercept_invlpg ? PROC_INVLPG_EXITING : 0);
	x->entry_controls = caps->control[VMX_ENTRY];
	if (v->cpuid.show_rdrand)
		proc2 &= ~(PROC2_RDRAND_EXITING | PROC2_RDSEED_EXITING);
	if (!x->vpid)
		proc2 &= ~PROC2_ENABLE_VPID;
	vmcs_write32(VMCS_PIN_CONTROLS, caps->control[VMX_PIN]);
	vmcs_write32(VMCS_PROC_CONTROLS, x->proc_controls);
	if (caps->has.secondary)
		vmcs_write32(VMCS_PROC2_CONTROLS, proc2);
	vmcs_write32(VMCS_EXIT_CONTROLS, caps->control[VMX_EXIT]);
	vmcs_write32(VMCS_ENTRY_CONTROLS, x->entry_controls);
	vmcs_write32(VMCS_EXIT_MSR_STORE_COUNT, 0);
	vmcs_write32(VMCS_EXIT_MSR_LOAD_COUNT, 0);
	vmcs_write32(VMCS_ENTRY_MSR_LOAD_COUNT, 0);
	vmcs_write32(VMCS_ENTRY_INTERRUPTION_INFO, 0);
	vmcs_write32(VMCS_CR3_TARGET_COUNT, 0);
	/* Every page fault exits, whatever its error code. */
	vmcs_write32(VMCS_PF_ERROR_MASK, 0);
	vmcs_write32(VMCS_PF_ERROR_MATCH, 0);
	vmx_set_exception_bitmap(false);
	if (x->vpid)
		vmcs_write16(VMCS_VPID, x->vpid);
	if (x->msr_bitmap)
		vmcs_write64(VMCS_MSR_BITMAP, port_va_to_hpa(x->msr_bitmap).v);
	if (caps->has.tsc_offset)
		vmcs_write64(VMCS_TSC_OFFSET, (uint64_t)v->tsc_offset);
}

/* ---- host state ------------------------------------------------------------ */

/* Base of a 16-byte system descriptor in the GDT (SDM vol. 3, "TSS
 * Descriptor in 64-bit mode"). */
static uint64_t system_descriptor_base(uint64_t gdt_base, uint16_t selector)
{
	const uint64_t *d = (const uint64_t *)(gdt_base + (selector & ~7u));

	return (d[0] >> 16 & 0xFFFFFF) | (d[0] >> 56 & 0xFF) << 24 | d[1] << 32;
}

static void write_host_state(void)
{
	uint64_t gdt = cpu_sgdt().base;

	vmcs_write(VMCS_HOST_CR0, read_cr0());
	vmcs_write(VMCS_HOST_CR3, read_cr3());
	vmcs_write(VMCS_HOST_CR4, read_cr4());
	vmcs_write16(VMCS_HOST_CS_SELECTOR, cpu_read_cs());
	vmcs_write16(VMCS_HOST_SS_SELECTOR, cpu_read_ss());
	vmcs_write16(VMCS_HOST_DS_SELECTOR, 0);
	vmcs_write16(VMCS_HOST_ES_SELECTOR, 0);
	vmcs_write16(VMCS_HOST_FS_SELECTOR, 0);
	vmcs_write16(VMCS_HOST_GS_SELECTOR, 0);
	vmcs_write16(VMCS_HOST_TR_SELECTOR, cpu_read_tr());
	vmcs_write(VMCS_HOST_FS_BASE, rdmsr(MSR_IA32_FS_BASE));
	vmcs_write(VMCS_HOST_GS_BASE, rdmsr(MSR_IA32_GS_BASE));
	vmcs_write(VMCS_HOST_TR_BASE, system_descriptor_base(gdt, cpu_read_tr()));
	vmcs_write(VMCS_HOST_GDTR_BASE, gdt);
	vmcs_write(VMCS_HOST_IDTR_BASE, cpu_sidt().base);
	vmcs_write32(VMCS_HOST_SYSENTER_CS, 0);
	vmcs_write(VMCS_HOST_SYSENTER_ESP, 0);
	vmcs_write(VMCS_HOST_SYSENTER_EIP, 0);
	vmcs_write(VMCS_HOST_RIP, (uint64_t)vmx_exit);
	if (vmx_cpu.caps.has.efer_load)
		vmcs_write64(VMCS_HOST_EFER, vmx_cpu.host_efer);
}

/* ---- guest state ------------------------------------------------------------ */

static void write_first_guest_state(void)
{
	vmcs_write64(VMCS_LINK_POINTER, ~0ull);
	vmcs_write64(VMCS_GUEST_DEBUGCTL, 0);
	vmcs_write32(VMCS_GUEST_INTERRUPTIBILITY, 0);
	vmcs_write32(VMCS_GUEST_ACTIVITY, 0);
	vmcs_write(VMCS_GUEST_PENDING_DEBUG, 0);
	vmcs_write32(VMCS_GUEST_SYSENTER_CS, 0);
	vmcs_write(VMCS_GUEST_SYSENTER_ESP, 0);
	vmcs_write(VMCS_GUEST_SYSENTER_EIP, 0);
}

void vmx_sync_cr(struct vcpu *v)
{
	struct guest_paging *p = &v->mmu.paging;

	p->cr0 = (p->cr0 & ~(uint64_t)CR0_GUEST_OWNED) | (vmcs_read(VMCS_GUEST_CR0) & CR0_GUEST_OWNED);
	p->cr4 = (p->cr4 & ~(uint64_t)CR4_GUEST_OWNED) | (vmcs_read(VMCS_GUEST_CR4) & CR4_GUEST_OWNED);
}

static void vmx_paging_changed(struct vcpu *v)
{
	const struct vmx_caps *caps = &vmx_cpu.caps;
	struct vmx_vcpu *x = vmx_of(v);
	uint64_t cr0 = mmu_hw_cr0(&v->mmu) & ~(uint64_t)(X86_CR0_CD | X86_CR0_NW);
	uint64_t cr4 = mmu_hw_cr4(&v->mmu);
	uint64_t efer = mmu_hw_efer(&v->mmu);
	uint32_t entry = v->mmu.hw_long ? x->entry_controls | ENTRY_IA32E_MODE_GUEST
					: x->entry_controls & ~ENTRY_IA32E_MODE_GUEST;

	/* A machine check must reach the host whatever the guest thinks. */
	cr4 |= read_cr4() & X86_CR4_MCE;
	vmcs_write(VMCS_CR0_MASK, ~(uint64_t)CR0_GUEST_OWNED);
	vmcs_write(VMCS_CR0_SHADOW, v->mmu.paging.cr0);
	vmcs_write(VMCS_GUEST_CR0, vmx_fix_cr0(caps, cr0));
	vmcs_write(VMCS_CR4_MASK, ~(CR4_GUEST_OWNED & v->cpuid.cr4_allowed));
	vmcs_write(VMCS_CR4_SHADOW, v->mmu.paging.cr4);
	vmcs_write(VMCS_GUEST_CR4, vmx_fix_cr4(caps, cr4));
	if (entry != x->entry_controls) {
		x->entry_controls = entry;
		vmcs_write32(VMCS_ENTRY_CONTROLS, entry);
	}
	if (caps->has.efer_load)
		vmcs_write64(VMCS_GUEST_EFER, efer);
	else /* the entry sets LMA and LME by itself */
		wrmsr(MSR_IA32_EFER, (vmx_cpu.host_efer & ~EFER_SCE) | (efer & EFER_SCE));
}

static uint32_t segment_field(uint32_t first, enum segment_register s)
{
	return first + VMCS_SEGMENT_STRIDE * (uint32_t)s;
}

static void vmx_get_segment(struct vcpu *v, enum segment_register s, struct segment *out)
{
	out->selector = (uint16_t)vmcs_read_any(segment_field(VMCS_GUEST_ES_SELECTOR, s));
	out->access = (uint32_t)vmcs_read_any(segment_field(VMCS_GUEST_ES_ACCESS, s));
	out->limit = (uint32_t)vmcs_read_any(segment_field(VMCS_GUEST_ES_LIMIT, s));
	out->base = vmcs_read_any(segment_field(VMCS_GUEST_ES_BASE, s));
}

static void vmx_set_segment(struct vcpu *v, enum segment_register s, const struct segment *in)
{
	vmcs_write_any(segment_field(VMCS_GUEST_ES_SELECTOR, s), in->selector);
	vmcs_write_any(segment_field(VMCS_GUEST_ES_ACCESS, s), in->access);
	vmcs_write_any(segment_field(VMCS_GUEST_ES_LIMIT, s), in->limit);
	vmcs_write_any(segment_field(VMCS_GUEST_ES_BASE, s), in->base);
}

static void vmx_get_idt(struct vcpu *v, struct descriptor_table *out)
{
	out->base = vmcs_read(VMCS_GUEST_IDTR_BASE);
	out->limit = (uint16_t)vmcs_read32(VMCS_GUEST_IDTR_LIMIT);
}

static void vmx_set_idt(struct vcpu *v, const struct descriptor_table *in)
{
	vmcs_write(VMCS_GUEST_IDTR_BASE, in->base);
	vmcs_write32(VMCS_GUEST_IDTR_LIMIT, in->limit);
}

static void vmx_get_gdt(struct vcpu *v, struct descriptor_table *out)
{
	out->base = vmcs_read(VMCS_GUEST_GDTR_BASE);
	out->limit = (uint16_t)vmcs_read32(VMCS_GUEST_GDTR_LIMIT);
}

static void vmx_set_gdt(struct vcpu *v, const struct descriptor_table *in)
{
	vmcs_write(VMCS_GUEST_GDTR_BASE, in->base);
	vmcs_write32(VMCS_GUEST_GDTR_LIMIT, in->limit);
}

static uint64_t vmx_get_cr2(struct vcpu *v) { return read_cr2(); }
static void vmx_set_cr2(struct vcpu *v, uint64_t val) { write_cr2(val); }

static uint64_t vmx_get_msr(struct vcpu *v, uint32_t msr)
{
	switch (msr) {
	case MSR_IA32_FS_BASE:
		return vmcs_read(VMCS_GUEST_FS_BASE);
	case MSR_IA32_GS_BASE:
		return vmcs_read(VMCS_GUEST_GS_BASE);
	case MSR_IA32_SYSENTER_CS:
		return vmcs_read32(VMCS_GUEST_SYSENTER_CS);
	case MSR_IA32_SYSENTER_ESP:
		return vmcs_read(VMCS_GUEST_SYSENTER_ESP);
	case MSR_IA32_SYSENTER_EIP:
		return vmcs_read(VMCS_GUEST_SYSENTER_EIP);
	}
	return rdmsr(msr);
}

static void vmx_set_msr(struct vcpu *v, uint32_t msr, uint64_t val)
{
	switch (msr) {
	case MSR_IA32_FS_BASE:
		vmcs_write(VMCS_GUEST_FS_BASE, val);
		return;
	case MSR_IA32_GS_BASE:
		vmcs_write(VMCS_GUEST_GS_BASE, val);
		return;
	case MSR_IA32_SYSENTER_CS:
		vmcs_write32(VMCS_GUEST_SYSENTER_CS, val);
		return;
	case MSR_IA32_SYSENTER_ESP:
		vmcs_write(VMCS_GUEST_SYSENTER_ESP, val);
		return;
	case MSR_IA32_SYSENTER_EIP:
		vmcs_write(VMCS_GUEST_SYSENTER_EIP, val);
		return;
	}
	wrmsr(msr, val);
}

static void vmx_debug_regs_changed(struct vcpu *v)
{
	CPU_WRITE_DR(0, v->dr[0]);
	CPU_WRITE_DR(1, v->dr[1]);
	CPU_WRITE_DR(2, v->dr[2]);
	CPU_WRITE_DR(3, v->dr[3]);
	vmcs_write(VMCS_GUEST_DR7, v->dr[7]);
}

static void vmx_xcr0_changed(struct vcpu *v)
{
	if (vmx_cpu.has_xsave)
		cpu_xsetbv(v->xcr0);
}

/* Without the control the guest sees the host's TSC. */
static void vmx_tsc_offset_changed(struct vcpu *v)
{
	if (vmx_cpu.caps.has.tsc_offset)
		vmcs_write64(VMCS_TSC_OFFSET, (uint64_t)v->tsc_offset);
	else
		v->tsc_offset = 0;
}

/* ---- the FPU ------------------------------------------------------------------ */

/* XCR0 is left as it must be for that. */
static void save_fpu(void *area)
{
	if (vmx_cpu.has_xsave) {
		cpu_xsetbv(vmx_cpu.xcr0_full);
		cpu_xsave(area);
	} else {
		cpu_fxsave(area);
	}
}

/* Components in their first state may be left out: they are zero then. */
static void vmx_get_fpu(struct vcpu *v, void *area)
{
	__builtin_memset(area, 0, vmx_backend.fpu_size);
	save_fpu(area);
	vmx_xcr0_changed(v);
}

static void vmx_set_fpu(struct vcpu *v, const void *area)
{
	if (vmx_cpu.has_xsave) {
		cpu_xsetbv(vmx_cpu.xcr0_full);
		cpu_xrstor(area);
	} else {
		cpu_fxrstor(area);
	}
	vmx_xcr0_changed(v);
}

/* ---- load and put ------------------------------------------------------------ */

static void vmx_put(struct vcpu *v)
{
	struct vmx_vcpu *x = vmx_of(v);

	if (vmx_cpu.loaded != v)
		return;
	x->cr2 = read_cr2();
	x->star = rdmsr(MSR_IA32_STAR);
	x->lstar = rdmsr(MSR_IA32_LSTAR);
	x->cstar = rdmsr(MSR_IA32_CSTAR);
	x->fmask = rdmsr(MSR_IA32_FMASK);
	x->kernel_gs_base = rdmsr(MSR_IA32_KERNEL_GS_BASE);
	if (v->cpuid.has_rdtscp)
		x->tsc_aux = rdmsr(MSR_IA32_TSC_AUX);
	save_fpu(x->fpu);
	vmx_cpu.loaded = NULL;
}

static void load_hardware_state(struct vcpu *v, struct vmx_vcpu *x)
{
	write_cr2(x->cr2);
	wrmsr(MSR_IA32_STAR, x->star);
	wrmsr(MSR_IA32_LSTAR, x->lstar);
	wrmsr(MSR_IA32_CSTAR, x->cstar);
	wrmsr(MSR_IA32_FMASK, x->fmask);
	wrmsr(MSR_IA32_KERNEL_GS_BASE, x->kernel_gs_base);
	if (v->cpuid.has_rdtscp)
		wrmsr(MSR_IA32_TSC_AUX, x->tsc_aux);
	vmx_set_fpu(v, x->fpu);
}

static void vmx_load(struct vcpu *v)
{
	struct vmx_vcpu *x = vmx_of(v);

	if (vmx_cpu.loaded == v)
		return;
	if (vmx_cpu.loaded)
		vmx_put(vmx_cpu.loaded);
	vmx_cpu.loaded = v;
	if (cpu_vmptrld(port_va_to_hpa(x->vmcs).v))
		vmcs_note_failure(VMCS_LINK_POINTER, true);
	load_hardware_state(v, x);
	vmx_debug_regs_changed(v);
	if (!vmx_cpu.caps.has.efer_load) {
		vmx_sync_cr(v);
		vmx_paging_changed(v);
	}
}

/* ---- create and destroy -------------------------------------------------------- */

static void pass_msrs(struct msr_bitmap *b)
{
	static const struct {
		uint32_t msr, pass;
	} passed[] = {
		{ MSR_IA32_TSC, MSR_PASS_READ },
		{ MSR_IA32_SYSENTER_CS, MSR_PASS_READ | MSR_PASS_WRITE },
		{ MSR_IA32_SYSENTER_ESP, MSR_PASS_READ | MSR_PASS_WRITE },
		{ MSR_IA32_SYSENTER_EIP, MSR_PASS_READ | MSR_PASS_WRITE },
		{ MSR_IA32_STAR, MSR_PASS_READ | MSR_PASS_WRITE },
		{ MSR_IA32_LSTAR, MSR_PASS_READ | MSR_PASS_WRITE },
		{ MSR_IA32_CSTAR, MSR_PASS_READ | MSR_PASS_WRITE },
		{ MSR_IA32_FMASK, MSR_PASS_READ | MSR_PASS_WRITE },
		{ MSR_IA32_FS_BASE, MSR_PASS_READ | MSR_PASS_WRITE },
		{ MSR_IA32_GS_BASE, MSR_PASS_READ | MSR_PASS_WRITE },
		{ MSR_IA32_KERNEL_GS_BASE, MSR_PASS_READ | MSR_PASS_WRITE },
	};

	msr_bitmap_init(b);
	for (size_t i = 0; i < ARRAY_SIZE(passed); i++)
		if (msr_bitmap_set(b, passed[i].msr, passed[i].pass))
			log_error("MSR 0x%x has no bit in the MSR bitmap", passed[i].msr);
}

/* The initial FPU state: x87 control word and MXCSR as after reset. */
static void init_fpu_area(void *area)
{
	*(uint16_t *)area = 0x037F;
	*(uint32_t *)((char *)area + 24) = 0x1F80;
}

/* VPIDs are never used again: a guest's translations die with it. At the end
 * of their range guests do without one. */
static uint16_t new_vpid(void)
{
	static uint16_t last;

	return vmx_cpu.caps.has.vpid && last < UINT16_MAX ? ++last : 0;
}

static void free_pages(struct vmx_vcpu *x)
{
	mem_free(x->vmcs, PAGE_SIZE);
	mem_free(x->msr_bitmap, sizeof(*x->msr_bitmap));
	mem_free(x->fpu, vmx_backend.fpu_size);
	mem_free(x, sizeof(*x));
}

static int vmx_create(struct vcpu *v)
{
	struct vmx_vcpu *x = mem_zalloc(sizeof(*x));

	if (!x)
		return -ENOMEM;
	x->vmcs = mem_zalloc(PAGE_SIZE);
	x->fpu = mem_zalloc(vmx_backend.fpu_size);
	if (vmx_cpu.caps.has.msr_bitmap)
		x->msr_bitmap = mem_zalloc(sizeof(*x->msr_bitmap));
	if (!x->vmcs || !x->fpu || (vmx_cpu.caps.has.msr_bitmap && !x->msr_bitmap)) {
		free_pages(x);
		return -ENOMEM;
	}
	if (x->msr_bitmap)
		pass_msrs(x->msr_bitmap);
	init_fpu_area(x->fpu);
	x->vpid = new_vpid();
	if (!vmx_cpu.caps.has.tsc_offset)
		v->tsc_offset = 0;
	*(uint32_t *)x->vmcs = vmx_cpu.caps.revision;
	if (cpu_vmclear(port_va_to_hpa(x->vmcs).v)) {
		log_error("VMCLEAR of a new VMCS failed");
		free_pages(x);
		return -EIO;
	}
	v->hw = x;
	v->tlb_flush = true;
	vmx_load(v);
	write_controls(v, x);
	write_host_state();
	write_first_guest_state();
	vmx_paging_changed(v);
	x->cr3 = x->rip = x->rsp = x->rflags = ~0ull; /* nothing written yet */
	if (!vmcs_take_failure())
		return 0;
	vmx_backend.destroy(v);
	return -EIO;
}

static void vmx_destroy(struct vcpu *v)
{
	struct vmx_vcpu *x = vmx_of(v);

	if (vmx_cpu.loaded == v)
		vmx_put(v);
	if (cpu_vmclear(port_va_to_hpa(x->vmcs).v))
		log_error("VMCLEAR failed");
	free_pages(x);
	v->hw = NULL;
}

/* ---- run ------------------------------------------------------------------- */

unsigned int vmx_insn_len(struct vcpu *v) { return vmcs_read32(VMCS_EXIT_INSTRUCTION_LENGTH); }

/* What changed since the last exit goes into the VMCS. */
static void write_entry_state(struct vcpu *v, struct vmx_vcpu *x)
{
	if (x->rip != v->regs.rip)
		vmcs_write(VMCS_GUEST_RIP, v->regs.rip);
	if (x->rsp != v->regs.gpr[GPR_RSP])
		vmcs_write(VMCS_GUEST_RSP, v->regs.gpr[GPR_RSP]);
	if (x->rflags != v->regs.rflags)
		vmcs_write(VMCS_GUEST_RFLAGS, v->regs.rflags);
	if (x->cr3 != v->mmu.hw_cr3.v) {
		x->cr3 = v->mmu.hw_cr3.v;
		vmcs_write(VMCS_GUEST_CR3, x->cr3);
		v->tlb_flush = true;
	}
	if (v->tlb_flush) { /* without a VPID every entry flushes */
		v->tlb_flush = false;
		if (x->vpid && cpu_invvpid_single_context(x->vpid))
			vmcs_note_failure(VMCS_VPID, true);
	}
	if (v->event.pending)
		vmx_write_event(v);
}

static void read_exit_state(struct vcpu *v, struct vmx_vcpu *x)
{
	x->rip = v->regs.rip = vmcs_read(VMCS_GUEST_RIP);
	x->rsp = v->regs.gpr[GPR_RSP] = vmcs_read(VMCS_GUEST_RSP);
	x->rflags = v->regs.rflags = vmcs_read(VMCS_GUEST_RFLAGS);
}

/* The instruction itself failed: nothing of the guest ran. */
static enum vcpu_action entry_failed(struct vcpu *v, int how)
{
	uint32_t error = how == 2 ? vmcs_read32(VMCS_INSTRUCTION_ERROR) : 0;
	const char *why = how == 2 ? vmx_instruction_error_name(error) : "no current VMCS";
	const char *check = vmx_check_current(v);

	log_error("%s: VM entry failed: %s (error %u)%s%s", v->name, why, error, check ? "; our check: " : "",
		  check ? check : "");
	return vcpu_stop(v, VCPU_STOP_INVALID_STATE, error, why);
}

static enum vcpu_action vmx_run(struct vcpu *v)
{
	struct vmx_vcpu *x = vmx_of(v);
	int how;

	if (v->stepping)
		vmx_step_enter(v);
	write_entry_state(v, x);
	if (vmx_cpu.debug || !x->launched) {
		const char *check = vmx_check_current(v);

		if (check)
			return vcpu_stop(v, VCPU_STOP_INVALID_STATE, 0, check);
	}
	how = vmx_enter(&v->regs, x->launched);
	if (how)
		return entry_failed(v, how);
	x->launched = true;
	read_exit_state(v, x);
	if (vmcs_take_failure())
		return vcpu_stop(v, VCPU_STOP_INVALID_STATE, 0, "a VMCS access failed");
	return vmx_exit_handle(v);
}

struct vcpu_backend vmx_backend = {
	.name = "VMX",
	.create = vmx_create,
	.destroy = vmx_destroy,
	.load = vmx_load,
	.put = vmx_put,
	.run = vmx_run,
	.insn_len = vmx_insn_len,
	.insn_done = vmx_insn_done,
	.can_run = vmx_can_run,
	.interrupts_open = vmx_interrupts_open,
	.nmi_open = vmx_nmi_open,
	.windows_changed = vmx_windows_changed,
	.nmi_blocked = vmx_nmi_blocked,
	.set_nmi_blocked = vmx_set_nmi_blocked,
	.get_interruptibility = vmx_get_interruptibility,
	.set_interruptibility = vmx_set_interruptibility,
	.single_step = vmx_single_step,
	.get_segment = vmx_get_segment,
	.set_segment = vmx_set_segment,
	.get_idt = vmx_get_idt,
	.set_idt = vmx_set_idt,
	.get_gdt = vmx_get_gdt,
	.set_gdt = vmx_set_gdt,
	.get_cr2 = vmx_get_cr2,
	.set_cr2 = vmx_set_cr2,
	.get_vector = vmx_get_vector,
	.set_vector = vmx_set_vector,
	.get_fpu = vmx_get_fpu,
	.set_fpu = vmx_set_fpu,
	.get_msr = vmx_get_msr,
	.set_msr = vmx_set_msr,
	.sync_paging = vmx_sync_cr,
	.paging_changed = vmx_paging_changed,
	.debug_regs_changed = vmx_debug_regs_changed,
	.xcr0_changed = vmx_xcr0_changed,
	.tsc_offset_changed = vmx_tsc_offset_changed,
	.host_tsc = rdtsc,
};
