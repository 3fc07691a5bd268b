// SPDX-License-Identifier: GPL-2.0-only
/*
 * The scheduler of this CPU: the VMs take turns of SLICE_MS each; one that
 * sleeps is passed over; when all sleep the CPU halts until the next
 * deadline or a key. Owns the table of VMs.
 */
#include "kernel/vmm.h"
#include "kernel/clock.h"
#include "kernel/console.h"
#include "kernel/cpu.h"
#include "kernel/vm.h"
#include "lib/log.h"
#include "mm/port.h"

#define SLICE_MS 10

struct vmm {
	struct vm *vm[VMS_MAX];
	unsigned int count; /* made */
	unsigned int alive;
	unsigned int turn;  /* who ran last */
};

static struct vm_configs configs;
static struct vmm vmm;

static void read_configs(const struct boot_info *info)
{
	static struct boot_module modules[BOOT_MODULES_MAX];

	for (unsigned int i = 0; i < info->module_count; i++)
		modules[i] = (struct boot_module){
			.string = info->modules[i].string,
			.data = port_hpa_to_va(info->modules[i].start),
			.size = info->modules[i].size,
		};
	vm_config_read(&configs, modules, info->module_count);
}

static void create_all(const struct options *options)
{
	for (unsigned int i = 0; i < configs.count; i++) {
		struct vm *vm;

		if (!configs.vm[i].shadow_pages)
			configs.vm[i].shadow_pages = options->shadow_pages;
		vm = vm_create(&configs.vm[i], vmm.count, options->debug);
		if (!vm)
			continue;
		console_attach(vmm.count, vm);
		vmm.vm[vmm.count++] = vm;
		vmm.alive++;
	}
}

static void end(unsigned int i)
{
	console_detach(i);
	vm_destroy(vmm.vm[i]);
	vmm.vm[i] = NULL;
	vmm.alive--;
}

static void end_stopped(void)
{
	for (unsigned int i = 0; i < vmm.count; i++)
		if (vmm.vm[i] && vm_stopped(vmm.vm[i]))
			end(i);
}

/* The next VM in turn that has something to do, or NULL. */
static struct vm *pick(void)
{
	for (unsigned int n = 1; n <= vmm.count; n++) {
		unsigned int i = (vmm.turn + n) % vmm.count;

		if (vmm.vm[i] && !vm_sleeping(vmm.vm[i])) {
			vmm.turn = i;
			return vmm.vm[i];
		}
	}
	return NULL;
}

static uint64_t earliest_deadline(void)
{
	uint64_t first = UINT64_MAX;

	for (unsigned int i = 0; i < vmm.count; i++) {
		uint64_t d = vmm.vm[i] ? vm_deadline(vmm.vm[i]) : UINT64_MAX;

		if (d < first)
			first = d;
	}
	return first;
}

static void handle_console(void)
{
	if (console_poll() == CONSOLE_QUIT)
		for (unsigned int i = 0; i < vmm.count; i++)
			if (vmm.vm[i])
				vm_kill(vmm.vm[i]);
}

/* Snapshots that could not be taken at once. */
static void serve_snapshots(void)
{
	for (unsigned int i = 0; i < vmm.count; i++)
		if (vmm.vm[i])
			vm_snapshot_serve(vmm.vm[i]);
}

static void run_all(void)
{
	const uint64_t slice = clock_tsc_hz() / 1000 * SLICE_MS;

	while (vmm.alive) {
		struct vm *vm;

		cpu_take_interrupts();
		handle_console();
		serve_snapshots();
		end_stopped();
		vm = pick();
		if (vm) {
			vm_run(vm, clock_now() + slice);
		} else if (vmm.alive) {
			timer_arm(earliest_deadline());
			cpu_idle();
		}
	}
}

void vmm_start(const struct boot_info *info, const struct options *options)
{
	read_configs(info);
	create_all(options);
	if (!vmm.count)
		log_error("no virtual machine could be started: see docs/configuration.md for the module lines");
	run_all();
	log_info("the last virtual machine has stopped");
}
