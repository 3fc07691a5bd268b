// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the boot loader and the firmware left in memory, as hostile input. The
 * input is the machine's memory from BASE on: first the loader's information,
 * anywhere in it ACPI tables. Its first byte picks the Multiboot version. The
 * results must keep what boot_info.h and acpi_tables.h promise.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "boot/acpi_tables.h"
#include "boot/boot_info.h"
#include "lib/log.h"

#define BASE 0x1000u

struct input {
	const uint8_t *data;
	size_t size;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Complaints are expected, by the million. */
void log_info(const char *fmt, ...) { }
void log_error(const char *fmt, ...) { }

static void require(bool cond)
{
	if (!cond)
		abort();
}

static const void *map(void *ctx, uint64_t base, uint64_t len)
{
	const struct input *in = ctx;

	if (base < BASE || base - BASE > in->size || len > in->size - (base - BASE))
		return NULL;
	return in->data + (base - BASE);
}

static void check_ram(const struct boot_info *b)
{
	uint64_t behind = 0;

	require(b->ram_count <= BOOT_RANGES_MAX);
	for (unsigned int i = 0; i < b->ram_count; i++) {
		require(b->ram[i].size && !((b->ram[i].base | b->ram[i].size) & PAGE_OFFSET_MASK));
		require(b->ram[i].base >= behind);
		behind = b->ram[i].base + b->ram[i].size;
		require(behind <= 1ull << 52);
	}
}

/* No part of it is RAM. */
static void check_reserved(const struct boot_info *b, const struct boot_range *r)
{
	for (unsigned int i = 0; i < b->ram_count; i++)
		require(r->base >= b->ram[i].base + b->ram[i].size || r->base + r->size <= b->ram[i].base);
}

static void check_modules(const struct boot_info *b)
{
	require(b->module_count <= BOOT_MODULES_MAX);
	for (unsigned int i = 0; i < b->module_count; i++) {
		const struct boot_file *f = &b->modules[i];
		bool in_ram = false;

		require(strnlen(f->string, BOOT_STRING_MAX) < BOOT_STRING_MAX);
		for (unsigned int j = 0; j < b->ram_count; j++)
			in_ram |= f->start.v >= b->ram[j].base &&
				  f->start.v + f->size <= b->ram[j].base + b->ram[j].size;
		require(in_ram);
		for (unsigned int j = 0; j < i; j++)
			require(!f->size || f->start.v + f->size <= b->modules[j].start.v ||
				b->modules[j].start.v + b->modules[j].size <= f->start.v);
	}
}

static void check_boot_info(struct boot_info *b, const struct boot_memory *m, uint32_t magic)
{
	if (boot_info_parse(b, magic, BASE + 1, m))
		return;
	require(strnlen(b->command_line, BOOT_STRING_MAX) < BOOT_STRING_MAX);
	require(b->rsdp_size <= BOOT_RSDP_MAX);
	check_ram(b);
	for (unsigned int i = 0; i < b->reserved_count; i++)
		check_reserved(b, &b->reserved[i]);
	check_modules(b);
	for (unsigned int i = 0; i < b->module_count; i++)
		if (boot_ram_exclude(b, b->modules[i].start.v, b->modules[i].size))
			return;
	check_ram(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct boot_info b;
	static struct acpi_info a;
	struct input in = { data, size };
	const struct boot_memory m = { map, &in };

	if (!size)
		return 0;
	check_boot_info(&b, &m, data[0] & 1 ? BOOT_MAGIC_MULTIBOOT2 : BOOT_MAGIC_MULTIBOOT1);
	if (acpi_tables_parse(&a, &b, &m))
		return 0;
	require(a.cpu_count <= ACPI_CPUS_MAX && a.ioapic_count <= ACPI_IOAPICS_MAX);
	return 0;
}
