// SPDX-License-Identifier: GPL-2.0-only
/*
 * See kernel/vm_snapshot.h.
 *
 * Invariant: vcpu and platform are of the moment of the last take that pages knows. A
 * restore that has changed the vCPU and cannot go on stops the VM, which must
 * not run with the registers of one moment and the memory of another.
 */
#include "kernel/vm_snapshot.h"
#include <string.h>
#include "devices/platform_snapshot.h"
#include "kernel/clock.h"
#include "kernel/memory.h"
#include "kernel/vm.h"
#include "lib/alloc.h"
#include "lib/errno.h"
#include "lib/log.h"
#include "pagetrack/snapshot.h"
#include "vcpu/vcpu_snapshot.h"

/* Any will do: it has no opinion, and is asked in any case. */
#define PRIORITY 200
#define KIB_PER_PAGE (PAGE_SIZE / 1024)

struct vm_snapshot {
	struct vm *vm;
	struct vcpu_snapshot vcpu, now;
	struct platform_snapshot platform;
	struct page_snapshot pages;
	uint64_t key, memory_hash;
};

static const char *name_of(const struct vm *vm) { return vm->config->name; }

static const char *reason(int err)
{
	switch (err) {
	case -ENOMEM: return "there is not enough memory";
	case -EINVAL: return "the VM has stopped, or is another machine";
	case -E2BIG: return "its FPU is too large";
	case -EACCES:
	case -EPERM: return "a tracker does not let its memory be restored";
	default: return "it cannot be tracked";
	}
}

/* ---- guest memory ------------------------------------------------------------ */

static const uint8_t *page_of(void *ctx, gfn_t gfn)
{
	struct vm_snapshot *s = ctx;
	const struct memslot *slot = memslot_find(&s->vm->mmu.mem.slots, gfn);

	return slot ? memslot_page(slot, gfn) : NULL;
}

static int write_page(void *ctx, gpa_t at, const uint8_t *bytes, uint32_t len)
{
	struct vm_snapshot *s = ctx;

	return guest_write(&s->vm->mmu.mem, at, bytes, len, BY(DEBUGGER));
}

/* The hash follows what memory holds, not what it should hold. */
static void page_restored(void *ctx, gfn_t gfn, const uint8_t *copy, const uint8_t *page)
{
	struct vm_snapshot *s = ctx;

	s->memory_hash -= page_snapshot_hash(s->key, gfn, copy);
	s->memory_hash += page_snapshot_hash(s->key, gfn, page);
}

static struct page_snapshot_memory memory_of(struct vm_snapshot *s)
{
	return (struct page_snapshot_memory){
		.page = page_of, .write = write_page, .restored = page_restored, .ctx = s,
	};
}

static uint64_t hash_all(struct vm_snapshot *s)
{
	const struct page_snapshot_memory memory = memory_of(s);

	return page_snapshot_hash_all(&s->vm->mmu.mem.track, s->key, &memory);
}

static void tell_lost(struct page_snapshot *pages, enum page_snapshot_loss why)
{
	static const char *const because[] = {
		[SNAPSHOT_LOST_MEMORY] = "there is no memory for one more page",
		[SNAPSHOT_LOST_QUOTA] = "too much of its memory was written to",
		[SNAPSHOT_LOST_SLOT] = "memory was taken from it",
	};
	const struct vm_snapshot *s = container_of(pages, struct vm_snapshot, pages);

	log_error("vm \"%s\": the snapshot is lost: %s", name_of(s->vm), because[why]);
}

/* ---- take -------------------------------------------------------------------- */

static struct vm_snapshot *make(struct vm *vm)
{
	struct vm_snapshot *s = mem_zalloc(sizeof(*s));

	if (!s)
		return NULL;
	s->vm = vm;
	s->key = clock_now();
	s->pages.tracker.name = "snapshot";
	s->pages.tracker.priority = PRIORITY;
	s->pages.tell_lost = tell_lost;
	return s;
}

/* Half of what is free, so that something is left for the VMs' tables. */
static void set_quota(struct page_snapshot *pages)
{
	if (!pages->taken || pages->lost)
		pages->quota = memory_free_pages() / 2 + 1;
}

/* The old one stays until the new one is there. */
static int take(struct vm *vm)
{
	struct vm_snapshot *s = vm->snapshot;
	uint64_t now = clock_now();
	int err = vcpu_save(&vm->vcpu, now, &s->now);

	if (err)
		return err;
	set_quota(&s->pages);
	err = page_snapshot_take(&s->pages, &vm->mmu.mem.track, NULL);
	if (err)
		return err;
	memcpy(&s->vcpu, &s->now, sizeof(s->vcpu));
	platform_save(&vm->platform, now, &s->platform);
	s->memory_hash = hash_all(s);
	return 0;
}

static int take_and_tell(struct vm *vm)
{
	uint64_t before = memory_free_pages();
	int err;

	if (!vm->snapshot)
		vm->snapshot = make(vm);
	err = vm->snapshot ? take(vm) : -ENOMEM;
	if (err == -EBUSY)
		return err;
	if (err)
		log_error("vm \"%s\": no snapshot: %s", name_of(vm), reason(err));
	else
		log_info("vm \"%s\": snapshot of %lu pages, for %ld KiB, memory 0x%lx, registers 0x%lx",
			 name_of(vm), (unsigned long)vm->snapshot->pages.npages,
			 ((long)before - (long)memory_free_pages()) * (long)KIB_PER_PAGE,
			 (unsigned long)vm->snapshot->memory_hash,
			 (unsigned long)vcpu_state_hash(&vm->snapshot->vcpu));
	return 0;
}

/* ---- restore ----------------------------------------------------------------- */

static int restore(struct vm *vm)
{
	struct vm_snapshot *s = vm->snapshot;
	const struct page_snapshot_memory memory = memory_of(s);
	uint64_t now = clock_now();
	int err = vcpu_restore(&vm->vcpu, now, &s->vcpu);

	if (err)
		return err;
	err = platform_restore(&vm->platform, now, &s->platform);
	if (!err)
		err = page_snapshot_restore(&s->pages, &memory);
	if (!err)
		err = vcpu_save(&vm->vcpu, now, &s->now);
	if (err)
		vcpu_stop(&vm->vcpu, VCPU_STOP_UNSUPPORTED, (uint32_t)-err, "it was restored in part");
	return err;
}

static void restore_and_tell(struct vm *vm, bool look)
{
	struct vm_snapshot *s = vm->snapshot;
	uint64_t dirty;
	int err;

	if (!s || !s->pages.taken || s->pages.lost) {
		log_error("vm \"%s\": there is no snapshot to restore", name_of(vm));
		return;
	}
	dirty = s->pages.dirty;
	err = restore(vm);
	if (err) {
		log_error("vm \"%s\": not restored: %s", name_of(vm), reason(err));
		return;
	}
	log_info("vm \"%s\": restored %lu pages, %lu kept in %lu KiB, %s 0x%lx, registers 0x%lx", name_of(vm),
		 (unsigned long)dirty, (unsigned long)s->pages.copies,
		 (unsigned long)(s->pages.copies * KIB_PER_PAGE), look ? "all memory" : "memory",
		 (unsigned long)(look ? hash_all(s) : s->memory_hash),
		 (unsigned long)vcpu_state_hash(&s->now));
}

/* ---- requests ------------------------------------------------------------------ */

/* A restore ends a step; only a take must wait for its end. */
static bool must_wait(struct vm *vm, enum vm_snapshot_request what)
{
	if (what == VM_SNAPSHOT_TAKE)
		return take_and_tell(vm) == -EBUSY;
	if (what != VM_SNAPSHOT_NOTHING)
		restore_and_tell(vm, what == VM_SNAPSHOT_RESTORE_AND_LOOK);
	return false;
}

void vm_snapshot_ask(struct vm *vm, enum vm_snapshot_request what)
{
	vm->snapshot_request = what;
	vm_snapshot_serve(vm);
}

void vm_snapshot_serve(struct vm *vm)
{
	if (!must_wait(vm, vm->snapshot_request))
		vm->snapshot_request = VM_SNAPSHOT_NOTHING;
}

void vm_snapshot_destroy(struct vm *vm)
{
	if (!vm->snapshot)
		return;
	page_snapshot_drop(&vm->snapshot->pages);
	mem_free(vm->snapshot, sizeof(*vm->snapshot));
	vm->snapshot = NULL;
}
