/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory of a VM that is frozen from outside: "freeze=BASE+LENGTH:RESPONSE" on its
 * module line, from its first instruction on, or "freeze-later=" and then Ctrl-A f,
 * for kernels that patch themselves while they start. Who tries to write there
 * is told on the console, and gets the response; the loader does not count.
 *
 * Lock: none; as struct vm.
 */
#ifndef KERNEL_VM_GUARD_H
#define KERNEL_VM_GUARD_H

#include "kernel/vm_config.h"
#include "lib/compiler.h"
#include "pagetrack/integrity_guard.h"

struct vm_guard {
	struct integrity_guard guard;
	const struct vm_config *config;
	struct guarded_range range[VM_FREEZE_MAX];
	unsigned int frozen; /* ranges in force */
	uint64_t attempts;
};

/* Freezes what is to be frozen at once. -EINVAL: not all of it is memory; -ENOMEM. */
must_check int vm_guard_init(struct vm_guard *g, struct page_track *pt, const struct vm_config *config);
/* Freezes the rest. Says what was done, or why not. */
void vm_guard_freeze_later(struct vm_guard *g);
void vm_guard_report(const struct vm_guard *g);
void vm_guard_destroy(struct vm_guard *g);

#endif
