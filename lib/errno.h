/* SPDX-License-Identifier: GPL-2.0-only */
/* Error numbers: functions return 0 or one of these, negated. */
#ifndef LIB_ERRNO_H
#define LIB_ERRNO_H

#include <asm/errno.h>

#endif
