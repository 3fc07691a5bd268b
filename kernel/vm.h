/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A virtual machine: its RAM, shadow MMU, platform and virtual CPU, made from
 * one struct vm_config and destroyed as a whole. Whatever goes wrong in here
 * is told with the VM's name and ends that VM only.
 *
 * Lock: none; a VM is used by the CPU whose run loop (kernel/vmm.c) holds it.
 */
#ifndef KERNEL_VM_H
#define KERNEL_VM_H

#include "devices/platform.h"
#include "kernel/guest_calls.h"
#include "kernel/vm_config.h"
#include "kernel/vm_guard.h"
#include "kernel/vm_snapshot.h"
#include "kernel/vm_track.h"
#include "lib/compiler.h"
#include "mm/mmu.h"
#include "vcpu/vcpu.h"

struct vm {
	const struct vm_config *config;
	unsigned int index; /* console number */
	void *ram;
	uint64_t ram_bytes;
	uint64_t free_pages_before; /* machine pages free before this VM was made */
	struct mmu mmu;
	struct platform platform;
	struct vcpu vcpu;
	struct guest_calls calls;
	struct vm_track track; /* track= */
	struct vm_guard guard; /* freeze= */
	struct vm_snapshot *snapshot; /* NULL: none was ever taken */
	enum vm_snapshot_request snapshot_request; /* waits */
	/* Set by whatever the run loop must look at before it enters the guest
	 * again: an interrupt to take, a deadline that came nearer. */
	bool attention;
	bool debug;
};

/* NULL when the VM cannot be made: the reason was logged. @debug: audit the
 * shadow tables at the end. */
must_check struct vm *vm_create(const struct vm_config *config, unsigned int index, bool debug);

/* Reports how the VM ended, what it cost, and what was tracked; then frees
 * everything and checks that the machine has its pages back. */
void vm_destroy(struct vm *vm);

/* Runs the guest until @slice_end (host TSC), until it sleeps or stops. */
void vm_run(struct vm *vm, uint64_t slice_end);

bool vm_stopped(const struct vm *vm);

/* Brings the devices up to date; true when the guest then has nothing to do
 * before an interrupt or vm_deadline(). */
bool vm_sleeping(struct vm *vm);

/* Host TSC at which the VM's devices have work; UINT64_MAX: never. */
uint64_t vm_deadline(const struct vm *vm);

/* Ends the VM as the person at the console asked. */
void vm_kill(struct vm *vm);

#endif
