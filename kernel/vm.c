// SPDX-License-Identifier: GPL-2.0-only
/*
 * Making, running and unmaking one VM. Creation is a list of steps; what was
 * done is undone in reverse by vm_free(), which therefore copes with a VM
 * made halfway.
 */
#include "kernel/vm.h"
#include <string.h>
#include "kernel/clock.h"
#include "kernel/console.h"
#include "kernel/cpu.h"
#include "kernel/guest_entry.h"
#include "kernel/load_disk.h"
#include "kernel/load_linux.h"
#include "kernel/load_multiboot.h"
#include "kernel/memory.h"
#include "lib/alloc.h"
#include "lib/errno.h"
#include "lib/log.h"
#include "mm/port.h"
#include "vmx/vmx.h"

/* The quota of shadow pages where nobody named one. */
#define PAGES_PER_SHADOW_PAGE 32
#define SHADOW_PAGES_LEAST 512

enum { SLOT_LOW, SLOT_VGA_TEXT, SLOT_FIRMWARE, SLOT_HIGH, SLOT_ABOVE_4G };

_Static_assert(PLATFORM_EBDA == GUEST_EBDA, "the memory map keeps it reserved");

/* Devices go by the machine's TSC: the guest can set its own. */
static uint64_t device_now(void *ctx)
{
	return clock_now();
}

static void guest_console_put(void *ctx, uint8_t byte)
{
	struct vm *vm = ctx;

	console_put(vm->index, byte);
}

static void guest_stop(void *ctx, enum platform_stop why, uint32_t code)
{
	static const enum vcpu_stop_reason reason[] = {
		[PLATFORM_STOP_POWEROFF] = VCPU_STOP_POWEROFF,
		[PLATFORM_STOP_RESET] = VCPU_STOP_RESET,
		[PLATFORM_STOP_DEBUG_EXIT] = VCPU_STOP_DEBUG_EXIT,
	};
	struct vm *vm = ctx;

	vcpu_stop(&vm->vcpu, reason[why], code, "");
}

static void guest_kick(void *ctx, unsigned int cpu)
{
	struct vm *vm = ctx;

	vm->attention = true;
}

static void guest_flush(void *ctx)
{
	struct vm *vm = ctx;

	vm->vcpu.tlb_flush = true;
}

/* RAM of [base, base + size) in guest physical space, from @offset of vm->ram. */
static int add_ram(struct vm *vm, uint32_t id, uint64_t base, uint64_t size, uint64_t offset)
{
	struct memslot_desc d = {
		.id = id,
		.base_gfn = gpa_to_gfn(gpa(base)),
		.npages = size >> PAGE_SHIFT,
		.base_pfn = hpa_to_pfn(hpa_add(port_va_to_hpa(vm->ram), offset)),
	};

	return size ? mmu_slot_create(&vm->mmu, &d) : 0;
}

static int add_all_ram(struct vm *vm, const struct guest_layout *l)
{
	int err = add_ram(vm, SLOT_LOW, 0, GUEST_LOW_RAM_END, 0);

	if (!err)
		err = add_ram(vm, SLOT_VGA_TEXT, VGA_TEXT_BASE, VGA_TEXT_SIZE, VGA_TEXT_BASE);
	if (!err)
		err = add_ram(vm, SLOT_FIRMWARE, GUEST_FIRMWARE_BASE, GUEST_HIGH_BASE - GUEST_FIRMWARE_BASE,
			      GUEST_FIRMWARE_BASE);
	if (!err)
		err = add_ram(vm, SLOT_HIGH, GUEST_HIGH_BASE, l->low_memory - GUEST_HIGH_BASE, GUEST_HIGH_BASE);
	if (!err)
		err = add_ram(vm, SLOT_ABOVE_4G, 1ull << 32, l->high_memory, l->low_memory);
	return err;
}

static uint64_t unix_time_at_tsc_0(void)
{
	uint64_t now = clock_unix_time(), on = clock_now() / clock_tsc_hz();

	return now > on ? now - on : 0;
}

/* Tables and data that the guest expects of its firmware. They stay clear of
 * the firmware itself: -ENOSPC. */
static int put_image(struct vm *vm, const struct platform_config *pc, const struct platform_image *image)
{
	size_t max = image->base + image->max > GUEST_BIOS_BASE ? GUEST_BIOS_BASE - image->base : image->max;
	void *buf = mem_zalloc(max);
	int n = buf ? image->make(pc, buf, max) : -ENOMEM;
	int err = n < 0 ? n : guest_write(&vm->mmu.mem, gpa(image->base), buf, (size_t)n, BY(LOADER));

	mem_free(buf, max);
	return err;
}

static int init_platform(struct vm *vm, const struct guest_layout *l)
{
	const struct platform_config pc = {
		.tsc_hz = clock_tsc_hz(),
		.low_memory = l->low_memory,
		.high_memory = l->high_memory,
		.vcpus = 1,
		.rtc_epoch = unix_time_at_tsc_0(),
		.host = { .now = device_now, .console_put = guest_console_put, .stop = guest_stop,
			  .kick = guest_kick, .ctx = vm },
	};
	int err = 0;

	for (unsigned int i = 0; !err && i < PLATFORM_IMAGES; i++)
		err = put_image(vm, &pc, &platform_images[i]);
	return err ? err : platform_init(&vm->platform, &pc);
}

static int init_calls(struct vm *vm)
{
	const struct guest_calls_config gc = {
		.allowed = vm->config->calls,
		.ranges = vm->config->watches,
		.mem = &vm->mmu.mem,
		.tsc_offset = &vm->vcpu.tsc_offset,
	};

	return guest_calls_init(&vm->calls, &gc);
}

static int init_vcpu(struct vm *vm)
{
	const struct vcpu_config vc = {
		.name = vm->config->name,
		.vm = vm,
		.backend = &vmx_backend,
		.mmu = &vm->mmu,
		.platform = &vm->platform,
		.tsc_hz = clock_tsc_hz(),
		.hypercalls = &guest_calls_ops,
		.hypercall_ctx = &vm->calls,
		.hypercall_leaf = guest_calls_leaf(vm->config->calls, vm->config->watches),
	};

	return vcpu_init(&vm->vcpu, &vc);
}

static int load_image(struct vm *vm, const struct guest_layout *l, struct guest_entry *e)
{
	struct guest_mem *m = &vm->mmu.mem;

	switch (vm->config->kind) {
	case VM_LINUX:
		return load_linux(m, l, vm->config, gpa(ACPI_TABLES_BASE), e);
	case VM_MULTIBOOT:
		return load_multiboot(m, l, vm->config, e);
	case VM_DISK:
		return load_disk(m, l, vm->config, e);
	}
	return -EINVAL;
}

/* Loads the guest's image and puts the vCPU at its entry. */
static int load(struct vm *vm, const struct guest_layout *l)
{
	struct guest_entry e;
	struct vcpu_state s;
	int err = load_image(vm, l, &e);

	if (err)
		return err;
	s = (struct vcpu_state){ .regs = e.regs, .cr0 = e.cr0, .cr3 = e.cr3, .cr4 = e.cr4, .efer = e.efer,
				 .gdt = e.gdt, .idt = e.idt };
	memcpy(s.segment, e.segment, sizeof(s.segment));
	return vcpu_reset(&vm->vcpu, &s);
}

/* The guest's own ranges, the translations, and the counts that they hold. */
static void drop_shadows(struct vm *vm)
{
	vm_track_destroy(&vm->track);
	vm_guard_destroy(&vm->guard);
	guest_calls_destroy(&vm->calls);
	if (vm->vcpu.backend)
		vcpu_destroy(&vm->vcpu);
	if (vm->mmu.host.flush)
		mmu_zap_all(&vm->mmu);
}

static void vm_free(struct vm *vm)
{
	if (vm->mmu.host.flush)
		mmu_destroy(&vm->mmu);
	memory_guest_free(vm->ram, vm->ram_bytes);
	mem_free(vm, sizeof(*vm));
}

static uint32_t vm_shadow_pages(const struct vm_config *config)
{
	uint64_t pages = config->memory >> PAGE_SHIFT;

	if (config->shadow_pages)
		return config->shadow_pages;
	pages /= PAGES_PER_SHADOW_PAGE;
	return pages < SHADOW_PAGES_LEAST ? SHADOW_PAGES_LEAST :
	       pages > MMU_SHADOW_PAGES_MAX ? MMU_SHADOW_PAGES_MAX : (uint32_t)pages;
}

/* From its first instruction on. */
static int init_track(struct vm *vm)
{
	uint64_t period = vm->config->track_period * (clock_tsc_hz() / 1000);

	return vm_track_init(&vm->track, &vm->mmu.mem.track, vm->ram_bytes >> PAGE_SHIFT,
			     vm->config->track_modes, period, clock_now());
}

/* One step of the creation, for the message when it fails. */
static const char *build(struct vm *vm)
{
	const struct mmu_config mc = {
		.shadow_pages = vm_shadow_pages(vm->config),
		.hash_key = rdtsc(),
		.host = { .maxphyaddr = cpu_maxphyaddr(), .flush = guest_flush, .tsc = device_now, .ctx = vm },
	};
	struct guest_layout layout;

	if (guest_layout_init(&layout, vm->config->memory))
		return "impossible memory size";
	vm->ram_bytes = layout.low_memory + layout.high_memory;
	vm->ram = memory_guest_alloc(vm->ram_bytes);
	if (!vm->ram)
		return "not enough memory in this machine";
	if (mmu_init(&vm->mmu, &mc) || add_all_ram(vm, &layout))
		return "not enough memory for its shadow tables and slots";
	if (init_platform(vm, &layout))
		return "its platform could not be made";
	if (init_calls(vm))
		return "not enough memory for its hypercalls";
	if (init_vcpu(vm))
		return "not enough memory for its virtual CPU";
	if (load(vm, &layout))
		return "its kernel could not be loaded";
	if (vm_guard_init(&vm->guard, &vm->mmu.mem.track, vm->config))
		return "what freeze= names is not all memory";
	if (vm->config->track_modes && init_track(vm))
		return "not enough memory to track all of its pages";
	return NULL;
}

struct vm *vm_create(const struct vm_config *config, unsigned int index, bool debug)
{
	uint64_t free_before = memory_free_pages();
	struct vm *vm = mem_zalloc(sizeof(*vm));
	const char *wrong = "not enough memory in this machine";

	if (vm) {
		vm->config = config;
		vm->index = index;
		vm->debug = debug;
		vm->free_pages_before = free_before;
		vm->attention = true;
		wrong = build(vm);
	}
	if (wrong) {
		log_error("vm \"%s\" is not started: %s", config->name, wrong);
		if (vm) {
			drop_shadows(vm);
			vm_free(vm);
		}
		return NULL;
	}
	log_info("vm \"%s\": %lu MiB, %lu KiB of host memory beside", config->name,
		 (unsigned long)(vm->ram_bytes >> 20),
		 (unsigned long)((free_before - memory_free_pages()) * 4 - (vm->ram_bytes >> 10)));
	return vm;
}

bool vm_stopped(const struct vm *vm) { return vm->vcpu.stop.reason != VCPU_STOP_NONE; }

/* A tracker slows the VM down. */
static bool is_held(const struct vm *vm)
{
	return vm->mmu.mem.track.held_until > clock_now();
}

bool vm_sleeping(struct vm *vm)
{
	platform_run_timers(&vm->platform);
	return is_held(vm) || vcpu_is_asleep(&vm->vcpu);
}

uint64_t vm_deadline(const struct vm *vm)
{
	_Static_assert(PLATFORM_NEVER == UINT64_MAX, "one never");
	uint64_t devices = platform_next_deadline(&vm->platform), held = vm->mmu.mem.track.held_until;

	return is_held(vm) && held < devices ? held : devices;
}

void vm_kill(struct vm *vm)
{
	vcpu_stop(&vm->vcpu, VCPU_STOP_KILLED, 0, "");
}

void vm_run(struct vm *vm, uint64_t slice_end)
{
	struct vcpu *v = &vm->vcpu;

	v->backend->load(v);
	while (!vm_stopped(vm) && !is_held(vm) && clock_now() < slice_end) {
		uint64_t until;

		vm->attention = false;
		platform_run_timers(&vm->platform);
		vm_track_tick(&vm->track, clock_now());
		until = vm_deadline(vm);
		if (until > slice_end)
			until = slice_end;
		timer_arm(until);
		/* The clock is looked at too: not every emulator of VMX lets
		 * the timer's interrupt end the run of a guest that has
		 * interrupts off (Bochs 2.7 does not). */
		while (!vm->attention && clock_now() < until)
			if (vcpu_run_once(v) != VCPU_RESUME)
				return;
	}
}

static uint64_t tracked_total(struct vm *vm)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < vm->mmu.mem.slots.count; i++)
		for (int mode = 0; mode < PAGE_TRACK_MODES; mode++)
			sum += page_track_total(&vm->mmu.mem.slots.slot[i]->track, mode);
	return sum;
}

static void report(struct vm *vm)
{
	const struct vcpu_stop *s = &vm->vcpu.stop;
	const struct mmu_stats *m = &vm->mmu.stats;

	vm->vcpu.backend->load(&vm->vcpu);
	if (s->reason == VCPU_STOP_DEBUG_EXIT)
		log_info("vm \"%s\": exit %u", vm->config->name, s->code);
	else
		log_info("vm \"%s\" stopped: %s (%u)%s%s", vm->config->name, vcpu_stop_name(s->reason), s->code,
			 s->detail[0] ? ": " : "", s->detail);
	if (s->reason > VCPU_STOP_DEBUG_EXIT && s->reason != VCPU_STOP_KILLED)
		vcpu_dump(&vm->vcpu);
	vmx_log_exits(&vm->vcpu);
	log_info("vm \"%s\": %lu shadow faults, %lu fills, %lu table writes, %lu zapped, %lu reclaimed, %lu flushes",
		 vm->config->name, m->faults, m->fills, m->table_writes, m->zapped, m->reclaimed, m->flushes);
	if (vm->debug)
		log_info("vm \"%s\": audit of the shadow tables: %u violations", vm->config->name, mmu_audit(&vm->mmu));
	if (vm->config->track_modes)
		vm_track_report(&vm->track, vm->config->name);
	vm_guard_report(&vm->guard);
	log_info("vm \"%s\": track counts while it ran: %lu", vm->config->name, tracked_total(vm));
}

void vm_destroy(struct vm *vm)
{
	const char *name = vm->config->name;
	uint64_t before = vm->free_pages_before, now;

	report(vm);
	vm_snapshot_destroy(vm);
	drop_shadows(vm);
	log_info("vm \"%s\": track counts without its shadow tables: %lu", name, tracked_total(vm));
	vm_free(vm);
	now = memory_free_pages();
	log_info("vm \"%s\": gone, %lu of %lu free pages are back", name, now, before);
}
