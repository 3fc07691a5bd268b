/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a guest may write to its control registers, EFER and XCR0, and what
 * follows from it: LMA, PDPTE loads, a new root. The rules are those of SDM
 * vol. 2, "MOV - Move to/from Control Registers", and vol. 3, "Initializing
 * IA-32e Mode". Validate first, commit after.
 *
 * All return 0, -EINVAL (the guest must get #GP(0), nothing has changed) or
 * -ENOMEM (the shadow quota cannot hold a root; v->stop is filled).
 */
#ifndef VCPU_CR_H
#define VCPU_CR_H

#include "lib/compiler.h"
#include "lib/types.h"

struct vcpu;

must_check int cr_write_cr0(struct vcpu *v, uint64_t val);
must_check int cr_write_cr3(struct vcpu *v, uint64_t val);
must_check int cr_write_cr4(struct vcpu *v, uint64_t val);
must_check int cr_write_efer(struct vcpu *v, uint64_t val);
must_check int cr_write_xcr0(struct vcpu *v, uint32_t index, uint64_t val);
/* LMSW: sets MP, EM, TS as given; PE can be set but not cleared. */
must_check int cr_lmsw(struct vcpu *v, uint16_t msw);

#endif
