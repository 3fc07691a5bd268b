/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * gcc's __builtin_clear_padding() goes wrong behind an array of structs, and struct
 * mmu_vcpu has one. Here it is so many words, so that what stands behind it is
 * where it is, and the holes of struct vcpu are found.
 */
#include "tests/host/vcpu_holes.h"
#include "mm/mmu.h"
#include "tests/host/value_bytes.h"

struct flat_mmu_vcpu { uint64_t word[sizeof(struct mmu_vcpu) / sizeof(uint64_t)]; };

_Static_assert(sizeof(struct flat_mmu_vcpu) == sizeof(struct mmu_vcpu), "the same place");

#define mmu_vcpu flat_mmu_vcpu
#include "vcpu/vcpu.h"

void clear_vcpu_holes(void *map)
{
	struct vcpu *v = map;

	CLEAR_HOLES(v);
}
