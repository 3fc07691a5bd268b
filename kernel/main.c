// SPDX-License-Identifier: GPL-2.0-only
/* From the boot loader to the virtual machines and off again, in order. */
#include "boot/acpi_tables.h"
#include "boot/boot_info.h"
#include "kernel/apic.h"
#include "kernel/clock.h"
#include "kernel/console.h"
#include "kernel/cpu.h"
#include "kernel/memory.h"
#include "kernel/options.h"
#include "kernel/paging.h"
#include "kernel/panic.h"
#include "kernel/power.h"
#include "kernel/serial.h"
#include "kernel/traps.h"
#include "kernel/vmm.h"
#include "lib/cpu_ops.h"
#include "lib/log.h"
#include "mm/port.h"
#include "vmx/vmx.h"

#define EARLY_MAP_END (1ull << 32)
#define SPOOR_VERSION "0.1"

extern uintptr_t __stack_chk_guard;
void main(uint32_t magic, uint32_t info);

static struct boot_info boot;
static struct acpi_info acpi;
static struct options options;

/* The early tables reach the first 4 GiB; address 0 is nobody's. */
static const void *map_early(void *ctx, uint64_t base, uint64_t len)
{
	if (!base || base >= EARLY_MAP_END || len > EARLY_MAP_END - base)
		return NULL;
	return port_hpa_to_va(hpa(base));
}

static void banner(void)
{
	char brand[49];

	cpu_brand(brand);
	log_info("Spoor %s, a microhypervisor with shadow page tables", SPOOR_VERSION);
	log_info("CPU: %s", brand);
	log_info("memory: %lu MiB in %u ranges, %u modules", (unsigned long)(boot_ram_total(&boot) >> 20),
		 boot.ram_count, boot.module_count);
}

/* A twentieth of a second, or no time at all while there is no timer yet. */
static void doze(void)
{
	if (!clock_tsc_hz())
		return;
	timer_arm(clock_now() + clock_tsc_hz() / 20);
	cpu_idle();
}

noreturn static void end(void)
{
	if (options.noreboot) {
		log_info("noreboot: waiting; press a key to power off");
		while (serial_get() < 0)
			doze();
	}
	log_info("power off");
	power_off(&acpi);
}

/* Not inlined into main(), whose frame must not hold a guard yet to be set. */
__attribute__((noinline)) static void start(uint32_t magic, uint32_t info)
{
	static const struct boot_memory early = { .map = map_early };
	int boot_error;

	traps_init();
	serial_init(SERIAL_COM1, 115200);
	boot_error = boot_info_parse(&boot, magic, info, &early);
	banner();
	if (boot_error) {
		log_error("not started by a Multiboot loader with a memory map (magic 0x%x)", magic);
		end();
	}
	options_parse(&options, boot.command_line, boot.multiboot1);
	if (options.console_port != SERIAL_COM1 || options.console_baud != 115200)
		serial_init(options.console_port, options.console_baud);
	if (acpi_tables_parse(&acpi, &boot, &early))
		log_error("no ACPI tables: interrupt routing and power-off by guess");
	cpu_init();
	if (!memory_init(&boot) || !apic_init() || !clock_init())
		end();
	log_info("clock: %lu kHz", (unsigned long)(clock_tsc_hz() / 1000));
	if (ioapic_route_isa(&acpi, serial_irq(), VECTOR_SERIAL))
		serial_set_interrupts();
	if (options.old_cpu)
		vmx_pretend_old();
	if (vmx_init())
		end();
	vmx_log_features();
	vmx_set_debug(options.debug);
	vmx_refuse_exit(options.refused_exit);
	vmm_start(&boot, &options);
	end();
}

void main(uint32_t magic, uint32_t info)
{
	__stack_chk_guard = rdtsc() * 0x9E3779B97F4A7C15ull;
	start(magic, info);
}
