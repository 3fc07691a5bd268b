/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The MSR bitmap of a guest: one page, one bit per direction for MSRs 0..1FFFh
 * and C0000000h..C0001FFFh (SDM vol. 3, "MSR-Bitmap Address"). A set bit
 * makes the access exit; accesses outside both ranges always do.
 */
#ifndef VMX_MSR_BITMAP_H
#define VMX_MSR_BITMAP_H

#include "lib/compiler.h"
#include "lib/types.h"

struct msr_bitmap {
	uint8_t read_low[1024], read_high[1024], write_low[1024], write_high[1024];
};

#define MSR_PASS_READ (1u << 0)
#define MSR_PASS_WRITE (1u << 1)

/* Every access exits. */
void msr_bitmap_init(struct msr_bitmap *b);

/* @pass: which directions no longer exit; the other ones do. -EINVAL when
 * the bitmap has no bit for @msr. */
must_check int msr_bitmap_set(struct msr_bitmap *b, uint32_t msr, uint32_t pass);

#endif
