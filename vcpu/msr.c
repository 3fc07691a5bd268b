/* SPDX-License-Identifier: GPL-2.0-only */
/* MSR policy: one table of ranges, each with its way to read and to write. */
#include "vcpu/msr.h"
#include "lib/errno.h"
#include "lib/log.h"
#include "vcpu/cr.h"
#include "vcpu/vcpu.h"

#define MTRRCAP_VALUE (MTRR_VARIABLE_COUNT | 1u << 8 | 1u << 10) /* fixed ranges, write-combining */
#define MTRR_DEF_TYPE_E (1ull << 11)
#define MTRR_DEF_TYPE_FE (1ull << 10)
#define MTRR_DEF_TYPE_TYPE 0xFFull
#define MTRR_MASK_VALID (1ull << 11)
#define MEMORY_TYPE_WB 6
#define PAT_RESET 0x0007040600070406ull

#define MISC_ENABLE_FAST_STRINGS (1ull << 0)
#define MISC_ENABLE_BTS_UNAVAILABLE (1ull << 11)
#define MISC_ENABLE_PEBS_UNAVAILABLE (1ull << 12)
#define MICROCODE_REVISION (1ull << 32) /* revision 1 */

typedef int msr_read_fn(struct vcpu *v, uint32_t msr, uint64_t *val);
typedef int msr_write_fn(struct vcpu *v, uint32_t msr, uint64_t val);

void msr_init(struct vcpu_msrs *m)
{
	*m = (struct vcpu_msrs){
		.pat = PAT_RESET,
		.misc_enable = MISC_ENABLE_FAST_STRINGS | MISC_ENABLE_BTS_UNAVAILABLE | MISC_ENABLE_PEBS_UNAVAILABLE,
		/* As firmware leaves it: all memory is write-back. Linux gives
		 * up PAT on a machine whose MTRRs are off. */
		.mtrr_def_type = MTRR_DEF_TYPE_E | MEMORY_TYPE_WB,
	};
}

const uint32_t msr_hardware[MSR_HARDWARE_COUNT] = {
	MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP, MSR_IA32_STAR,
	MSR_IA32_LSTAR,	      MSR_IA32_CSTAR,	     MSR_IA32_FMASK,	    MSR_IA32_FS_BASE,
	MSR_IA32_GS_BASE,     MSR_IA32_KERNEL_GS_BASE, MSR_IA32_TSC_AUX,
};

static int read_hardware(struct vcpu *v, uint32_t msr, uint64_t *val)
{
	if (msr == MSR_IA32_TSC_AUX && !v->cpuid.has_rdtscp)
		return -EINVAL;
	*val = v->backend->get_msr(v, msr);
	return 0;
}

static int write_hardware(struct vcpu *v, uint32_t msr, uint64_t val)
{
	bool is_address = msr != MSR_IA32_STAR && msr != MSR_IA32_FMASK && msr != MSR_IA32_TSC_AUX &&
			  msr != MSR_IA32_SYSENTER_CS;

	if (is_address && !addr_is_canonical(val))
		return -EINVAL;
	if ((msr == MSR_IA32_FMASK || msr == MSR_IA32_TSC_AUX) && val >> 32)
		return -EINVAL;
	if (msr == MSR_IA32_TSC_AUX && !v->cpuid.has_rdtscp)
		return -EINVAL;
	if (msr == MSR_IA32_SYSENTER_CS)
		val &= UINT32_MAX;
	v->backend->set_msr(v, msr, val);
	return 0;
}

static int read_platform(struct vcpu *v, uint32_t msr, uint64_t *val)
{
	return platform_msr_read(v->platform, v->id, msr, val);
}

static int write_platform(struct vcpu *v, uint32_t msr, uint64_t val)
{
	return platform_msr_write(v->platform, v->id, msr, val);
}

static int read_tsc(struct vcpu *v, uint32_t msr, uint64_t *val)
{
	*val = v->backend->host_tsc() + (uint64_t)v->tsc_offset;
	return 0;
}

/* The platform's clock is the TSC without the guest's offset. */
static int read_deadline(struct vcpu *v, uint32_t msr, uint64_t *val)
{
	int err = platform_msr_read(v->platform, v->id, msr, val);

	if (!err && *val)
		*val += (uint64_t)v->tsc_offset;
	return err;
}

/* What has passed by the guest's TSC has passed, and what is too far away for
 * the clock never comes; 0 disarms. */
static int write_deadline(struct vcpu *v, uint32_t msr, uint64_t val)
{
	uint64_t now = v->backend->host_tsc(), guest_now = now + (uint64_t)v->tsc_offset;
	uint64_t wait = val > guest_now ? val - guest_now : 0;

	if (val)
		val = wait > PLATFORM_NEVER - now ? PLATFORM_NEVER : now + wait;
	return platform_msr_write(v->platform, v->id, msr, val);
}

/* The devices do not notice, but for the deadline that was told in TSC ticks. */
static int write_tsc(struct vcpu *v, uint32_t msr, uint64_t val)
{
	uint64_t deadline = 0;
	int err = read_deadline(v, MSR_IA32_TSC_DEADLINE, &deadline);

	v->tsc_offset = (int64_t)(val - v->backend->host_tsc());
	v->backend->tsc_offset_changed(v);
	if (!err && deadline)
		err = write_deadline(v, MSR_IA32_TSC_DEADLINE, deadline);
	return err;
}

static int read_efer(struct vcpu *v, uint32_t msr, uint64_t *val)
{
	*val = v->mmu.paging.efer;
	return 0;
}

static int write_efer(struct vcpu *v, uint32_t msr, uint64_t val)
{
	return cr_write_efer(v, val);
}

static bool memory_type_is_valid(uint8_t type, bool pat)
{
	return type == 0 || type == 1 || (type >= 4 && type <= 6) || (pat && type == 7);
}

/* Memory types are kept for the guest to read back. They change nothing:
 * shadow entries are write-back, and guests own no device. */
static bool memory_types_are_valid(uint64_t types, bool pat)
{
	for (int i = 0; i < 8; i++)
		if (!memory_type_is_valid((uint8_t)(types >> (8 * i)), pat))
			return false;
	return true;
}

static int read_pat(struct vcpu *v, uint32_t msr, uint64_t *val)
{
	*val = v->msrs.pat;
	return 0;
}

static int write_pat(struct vcpu *v, uint32_t msr, uint64_t val)
{
	if (!memory_types_are_valid(val, true))
		return -EINVAL;
	v->msrs.pat = val;
	return 0;
}

/* The stored MTRR @msr; NULL: a hole between them. */
static uint64_t *mtrr_slot(struct vcpu_msrs *m, uint32_t msr)
{
	if (msr >= MSR_IA32_MTRR_PHYSBASE0 && msr < MSR_IA32_MTRR_PHYSBASE0 + 2 * MTRR_VARIABLE_COUNT)
		return &m->mtrr_variable[msr - MSR_IA32_MTRR_PHYSBASE0];
	if (msr == MSR_IA32_MTRR_FIX64K_00000)
		return &m->mtrr_fixed[0];
	if (msr == MSR_IA32_MTRR_FIX16K_80000 || msr == MSR_IA32_MTRR_FIX16K_A0000)
		return &m->mtrr_fixed[1 + msr - MSR_IA32_MTRR_FIX16K_80000];
	if (msr >= MSR_IA32_MTRR_FIX4K_C0000 && msr <= MSR_IA32_MTRR_FIX4K_F8000)
		return &m->mtrr_fixed[3 + msr - MSR_IA32_MTRR_FIX4K_C0000];
	if (msr == MSR_IA32_MTRR_DEF_TYPE)
		return &m->mtrr_def_type;
	return NULL;
}

static int read_mtrr(struct vcpu *v, uint32_t msr, uint64_t *val)
{
	uint64_t *slot = mtrr_slot(&v->msrs, msr);

	if (!slot)
		return -EINVAL;
	*val = *slot;
	return 0;
}

static bool mtrr_is_valid(const struct vcpu *v, uint32_t msr, uint64_t val)
{
	uint64_t too_high = ~0ull << v->cpuid.maxphyaddr;

	if (msr == MSR_IA32_MTRR_DEF_TYPE)
		return !(val & ~(MTRR_DEF_TYPE_E | MTRR_DEF_TYPE_FE | MTRR_DEF_TYPE_TYPE)) &&
		       memory_type_is_valid((uint8_t)val, false);
	if (msr >= MSR_IA32_MTRR_FIX64K_00000)
		return memory_types_are_valid(val, false);
	if (msr & 1)
		return !(val & (too_high | (PAGE_OFFSET_MASK & ~MTRR_MASK_VALID)));
	return !(val & (too_high | 0xF00)) && memory_type_is_valid((uint8_t)val, false);
}

static int write_mtrr(struct vcpu *v, uint32_t msr, uint64_t val)
{
	uint64_t *slot = mtrr_slot(&v->msrs, msr);

	if (!slot || !mtrr_is_valid(v, msr, val))
		return -EINVAL;
	*slot = val;
	return 0;
}

static int read_mtrrcap(struct vcpu *v, uint32_t msr, uint64_t *val)
{
	*val = MTRRCAP_VALUE;
	return 0;
}

static int read_misc_enable(struct vcpu *v, uint32_t msr, uint64_t *val)
{
	*val = v->msrs.misc_enable;
	return 0;
}

static int write_misc_enable(struct vcpu *v, uint32_t msr, uint64_t val)
{
	v->msrs.misc_enable = val | MISC_ENABLE_BTS_UNAVAILABLE | MISC_ENABLE_PEBS_UNAVAILABLE;
	return 0;
}

static int read_microcode(struct vcpu *v, uint32_t msr, uint64_t *val)
{
	*val = MICROCODE_REVISION;
	return 0;
}

static int read_zero(struct vcpu *v, uint32_t msr, uint64_t *val)
{
	*val = 0;
	return 0;
}

static int write_ignored(struct vcpu *v, uint32_t msr, uint64_t val)
{
	return 0;
}

static int write_zero_only(struct vcpu *v, uint32_t msr, uint64_t val)
{
	return val ? -EINVAL : 0;
}

static const struct msr_range {
	uint32_t first, last;
	msr_read_fn *read;
	msr_write_fn *write; /* NULL: read-only, #GP */
} msr_ranges[] = {
	{ MSR_IA32_FS_BASE, MSR_IA32_TSC_AUX, read_hardware, write_hardware },
	{ MSR_IA32_STAR, MSR_IA32_FMASK, read_hardware, write_hardware },
	{ MSR_IA32_EFER, MSR_IA32_EFER, read_efer, write_efer },
	{ MSR_X2APIC_FIRST, MSR_X2APIC_LAST, read_platform, write_platform },
	{ MSR_IA32_TSC_DEADLINE, MSR_IA32_TSC_DEADLINE, read_deadline, write_deadline },
	{ MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_EIP, read_hardware, write_hardware },
	{ MSR_IA32_TSC, MSR_IA32_TSC, read_tsc, write_tsc },
	{ MSR_IA32_APIC_BASE, MSR_IA32_APIC_BASE, read_platform, write_platform },
	{ MSR_IA32_PAT, MSR_IA32_PAT, read_pat, write_pat },
	{ MSR_IA32_MTRRCAP, MSR_IA32_MTRRCAP, read_mtrrcap, NULL },
	{ MSR_IA32_MTRR_PHYSBASE0, MSR_IA32_MTRR_FIX4K_F8000, read_mtrr, write_mtrr },
	{ MSR_IA32_MTRR_DEF_TYPE, MSR_IA32_MTRR_DEF_TYPE, read_mtrr, write_mtrr },
	{ MSR_IA32_MISC_ENABLE, MSR_IA32_MISC_ENABLE, read_misc_enable, write_misc_enable },
	{ MSR_IA32_BIOS_SIGN_ID, MSR_IA32_BIOS_SIGN_ID, read_microcode, write_ignored },
	{ MSR_IA32_BIOS_UPDT_TRIG, MSR_IA32_BIOS_UPDT_TRIG, read_zero, write_ignored },
	/* No machine-check bank, no last-branch record, nothing to configure. */
	{ MSR_IA32_MCG_CAP, MSR_IA32_MCG_CAP, read_zero, NULL },
	{ MSR_IA32_MCG_STATUS, MSR_IA32_MCG_STATUS, read_zero, write_zero_only },
	{ MSR_IA32_P5_MC_ADDR, MSR_IA32_P5_MC_TYPE, read_zero, write_zero_only },
	{ MSR_IA32_PLATFORM_ID, MSR_IA32_PLATFORM_ID, read_zero, NULL },
	{ MSR_EBL_CR_POWERON, MSR_EBL_CR_POWERON, read_zero, write_ignored },
	{ MSR_IA32_DEBUGCTL, MSR_IA32_DEBUGCTL, read_zero, write_zero_only },
};

static const struct msr_range *find_range(uint32_t msr)
{
	for (size_t i = 0; i < ARRAY_SIZE(msr_ranges); i++)
		if (msr >= msr_ranges[i].first && msr <= msr_ranges[i].last)
			return &msr_ranges[i];
	return NULL;
}

/* Each unknown MSR is named once, and only so many of them. */
static void log_unknown(struct vcpu *v, const char *insn, uint32_t msr)
{
	struct unknown_msrs *m = &v->unknown_msrs;

	for (unsigned int i = 0; i < m->logged_count; i++)
		if (m->logged[i] == msr)
			return;
	if (m->logged_count == ARRAY_SIZE(m->logged))
		return;
	m->logged[m->logged_count++] = msr;
	log_info("%s: %s of unknown MSR 0x%x: #GP", v->name, insn, msr);
}

int msr_read(struct vcpu *v, uint32_t msr, uint64_t *val)
{
	const struct msr_range *r = find_range(msr);

	if (r)
		return r->read(v, msr, val);
	v->unknown_msrs.reads++;
	log_unknown(v, "RDMSR", msr);
	return -EINVAL;
}

int msr_write(struct vcpu *v, uint32_t msr, uint64_t val)
{
	const struct msr_range *r = find_range(msr);

	if (r)
		return r->write ? r->write(v, msr, val) : -EINVAL;
	v->unknown_msrs.writes++;
	log_unknown(v, "WRMSR", msr);
	return -EINVAL;
}
