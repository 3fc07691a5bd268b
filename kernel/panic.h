/* SPDX-License-Identifier: GPL-2.0-only */
/* The end of the hypervisor by a bug of its own. Never reached by a guest. */
#ifndef KERNEL_PANIC_H
#define KERNEL_PANIC_H

#include "lib/compiler.h"

/* From here on messages go out at once, with interrupts off. */
void panic_begin(void);

/* Says why and halts for ever. */
noreturn void panic(const char *why);

#endif
