/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A whole VM at one moment: vCPU, platform and memory, to go back to any number of
 * times. One for each VM. What it costs and whether it is as it was is told: the hash of
 * memory and that of the registers are those of the snapshot after each restore.
 *
 * Between two runs of the VM only. If that falls in the middle of a native step, the
 * request waits until the VM has run on.
 *
 * Lock: none; as struct vm.
 */
#ifndef KERNEL_VM_SNAPSHOT_H
#define KERNEL_VM_SNAPSHOT_H

struct vm;
struct vm_snapshot;

enum vm_snapshot_request {
	VM_SNAPSHOT_NOTHING,
	VM_SNAPSHOT_TAKE,
	VM_SNAPSHOT_RESTORE,
	VM_SNAPSHOT_RESTORE_AND_LOOK, /* the hash is of all memory, not of what was dirty alone */
};

/* Does it at once, or as soon as it can be done. Errors are told. */
void vm_snapshot_ask(struct vm *vm, enum vm_snapshot_request what);
/* Does what waits: to be called between two runs of @vm. */
void vm_snapshot_serve(struct vm *vm);
/* Gives back all that it holds. There may be none. */
void vm_snapshot_destroy(struct vm *vm);

#endif
