/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Finding VMX on this CPU and turning it on. Each way in which it can be
 * missing has a message of its own.
 */
#include "lib/alloc.h"
#include "lib/errno.h"
#include "lib/log.h"
#include "mm/port.h"
#include "vmx/cpu.h"
#include "vmx/vmcs.h"
#include "vmx/vmx.h"

#define CPUID1_ECX_VMX (1u << 5)
#define CPUID1_ECX_XSAVE (1u << 26)
#define FXSAVE_SIZE 512

struct vmx_cpu vmx_cpu;

static void cpuid(uint32_t leaf, uint32_t subleaf, struct cpuid_regs *r)
{
	asm volatile("cpuid" : "=a"(r->eax), "=b"(r->ebx), "=c"(r->ecx), "=d"(r->edx) : "a"(leaf), "c"(subleaf));
}

static int check_cpuid(void)
{
	struct cpuid_regs r;

	cpuid(1, 0, &r);
	if (r.ecx & CPUID1_ECX_VMX)
		return 0;
	log_error("this CPU has no VMX (Intel VT-x): it cannot run guests");
	return -ENODEV;
}

static int check_firmware(void)
{
	uint64_t fc = rdmsr(MSR_IA32_FEATURE_CONTROL);
	int err = vmx_feature_control_check(fc);

	if (err == -EAGAIN) { /* firmware left the choice to us */
		wrmsr(MSR_IA32_FEATURE_CONTROL, fc | FEATURE_CONTROL_LOCKED | FEATURE_CONTROL_VMX_OUTSIDE_SMX);
		return 0;
	}
	if (err)
		log_error("VMX is locked off by firmware (IA32_FEATURE_CONTROL 0x%llx): enable VT-x in its setup",
			  (unsigned long long)fc);
	return err;
}

static int check_capabilities(void)
{
	struct vmx_cap_msrs msrs;

	vmx_caps_read(&msrs, rdmsr);
	if (vmx_cpu.pretend_old)
		vmx_caps_forget(&msrs);
	if (!vmx_caps_compute(&vmx_cpu.caps, &msrs))
		return 0;
	log_error("this CPU's VMX lacks a mandatory feature: %s", vmx_cpu.caps.missing);
	return -ENODEV;
}

/* The guest's FPU state is switched whole, by the widest XCR0. */
static void find_fpu(void)
{
	struct cpuid_regs r;

	write_cr0(read_cr0() & ~(uint64_t)(X86_CR0_TS | X86_CR0_EM));
	write_cr4(read_cr4() | X86_CR4_OSFXSR);
	cpuid(1, 0, &r);
	vmx_cpu.has_xsave = r.ecx & CPUID1_ECX_XSAVE;
	vmx_backend.fpu_size = FXSAVE_SIZE;
	if (!vmx_cpu.has_xsave)
		return;
	write_cr4(read_cr4() | X86_CR4_OSXSAVE);
	cpuid(0xD, 0, &r);
	/* No more than a guest can have: it sizes the area and the time. */
	vmx_cpu.xcr0_full = (r.eax | (uint64_t)r.edx << 32) &
			    (XFEATURE_X87 | XFEATURE_SSE | XFEATURE_AVX | XFEATURE_AVX512);
	vmx_backend.fpu_size = cpuid_xsave_size(cpuid, vmx_cpu.xcr0_full);
	cpu_xsetbv(vmx_cpu.xcr0_full);
	vmx_backend.hide_xsavec = cpuid_xsavec_contradicts(cpuid, vmx_cpu.xcr0_full);
	if (vmx_backend.hide_xsavec)
		log_info("this CPU contradicts itself on compacted XSAVE areas: XSAVEC is hidden from guests");
}

static int enter_vmx_operation(void)
{
	vmx_cpu.vmxon_region = mem_zalloc(PAGE_SIZE);
	if (!vmx_cpu.vmxon_region) {
		log_error("no memory for the VMXON region");
		return -ENOMEM;
	}
	*(uint32_t *)vmx_cpu.vmxon_region = vmx_cpu.caps.revision;
	write_cr0(vmx_fix_cr0(&vmx_cpu.caps, read_cr0()));
	write_cr4(vmx_fix_cr4(&vmx_cpu.caps, read_cr4()));
	if (!cpu_vmxon(port_va_to_hpa(vmx_cpu.vmxon_region).v))
		return 0;
	log_error("VMXON failed");
	write_cr4(read_cr4() & ~(uint64_t)X86_CR4_VMXE);
	mem_free(vmx_cpu.vmxon_region, PAGE_SIZE);
	return -EIO;
}

int vmx_init(void)
{
	struct cpuid_regs r;
	int err;

	err = check_cpuid();
	if (!err)
		err = check_firmware();
	if (!err)
		err = check_capabilities();
	if (err)
		return err;
	find_fpu();
	cpuid(0x80000008, 0, &r);
	vmx_cpu.maxphyaddr = (uint8_t)r.eax;
	vmx_cpu.host_efer = rdmsr(MSR_IA32_EFER);
	vmx_cpu.mtf = vmx_cpu.caps.has.mtf ? VMX_MTF_UNTRIED : VMX_MTF_NONE;
	vmx_backend.cpuid = cpuid;
	vmx_backend.no_nmi_window = !vmx_cpu.caps.has.virtual_nmis;
	vmx_backend.has_rdtscp = vmx_cpu.caps.has.rdtscp;
	return enter_vmx_operation();
}

void vmx_log_features(void)
{
	const struct vmx_features *f = &vmx_cpu.caps.has;

	log_info("VMX revision %u:%s%s%s%s%s%s%s%s%s%s%s", vmx_cpu.caps.revision, f->ept ? " EPT(unused)" : "",
		 f->unrestricted_guest ? " unrestricted-guest(unused)" : "", f->vpid ? " VPID" : "",
		 f->mtf ? " MTF" : "", f->preemption_timer ? " preemption-timer(unused)" : "",
		 f->tpr_shadow ? " TPR-shadow(unused)" : "", f->virtual_nmis ? " virtual-NMIs" : "",
		 f->msr_bitmap ? " MSR-bitmaps" : "", f->tsc_offset ? " TSC-offset" : "",
		 f->efer_load ? " EFER-load" : "", f->pat_load ? " PAT-load(unused)" : "");
}

void vmx_pretend_old(void) { vmx_cpu.pretend_old = true; }
void vmx_set_debug(bool on) { vmx_cpu.debug = on; }
void vmx_refuse_exit(uint32_t reason) { vmx_cpu.refused_exit = reason; }
