// SPDX-License-Identifier: GPL-2.0-only
/* ACPI tables, honest and hostile. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "boot/acpi_tables.h"
#include "lib/errno.h"

/* The machine's first MiB, and nothing behind it. Each mapping is copied to a
 * block of its own length, so that AddressSanitizer sees a read behind it. */
#define MEMORY_SIZE 0x100000u
#define MAPPINGS_MAX 65536

static uint8_t memory[MEMORY_SIZE];
static void *mapping[MAPPINGS_MAX];
static unsigned int mappings;
static struct boot_info boot;
static struct acpi_info acpi;

static const void *map(void *ctx, uint64_t base, uint64_t len)
{
	void *p;

	if (base >= MEMORY_SIZE || len > MEMORY_SIZE - base || mappings == MAPPINGS_MAX)
		return NULL;
	p = malloc(len ? len : 1);
	assert_non_null(p);
	mapping[mappings++] = p;
	return memcpy(p, memory + base, len);
}

static int parse(void)
{
	const struct boot_memory m = { map, NULL };
	int err = acpi_tables_parse(&acpi, &boot, &m);

	while (mappings)
		free(mapping[--mappings]);
	return err;
}

static void put32(uint32_t at, uint32_t v) { memcpy(memory + at, &v, 4); }
static void put64(uint32_t at, uint64_t v) { memcpy(memory + at, &v, 8); }

static void fix_checksum(uint32_t base, uint32_t len, uint32_t at)
{
	uint8_t sum = 0;

	memory[base + at] = 0;
	for (uint32_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + memory[base + i]);
	memory[base + at] = (uint8_t)-sum;
}

static void table(uint32_t base, const char *signature, uint32_t len)
{
	memcpy(memory + base, signature, 4);
	put32(base + 4, len);
	fix_checksum(base, len, 9);
}

enum { RSDP = 0xE0010, XSDT = 0xA0000, RSDT = 0xA1000, MADT = 0xA2000, FADT = 0xA3000, DSDT = 0xA4000 };

static const uint8_t madt_entries[] = {
	0, 8, 0, 3, 1, 0, 0, 0,                /* CPU with APIC id 3 */
	0, 8, 1, 4, 0, 0, 0, 0,                /* disabled */
	1, 12, 0, 0, 0, 0, 0xC0, 0xFE, 24, 0, 0, 0, /* IOAPIC, GSIs from 24 */
	2, 10, 0, 4, 20, 0, 0, 0, 0xF, 0,      /* IRQ 4: GSI 20, low, level */
	2, 10, 0, 99, 21, 0, 0, 0, 0, 0,       /* no such IRQ */
	4, 6, 0, 0, 0, 1,                      /* a type not in use */
};
#define MADT_LEN (44 + (uint32_t)sizeof(madt_entries))

static const uint8_t s5[] = { 0x08, '_', 'S', '5', '_', 0x12, 0x06, 0x04, 0x0A, 0x05, 0x01, 0x00, 0x00 };
#define DSDT_LEN (36 + 20 + (uint32_t)sizeof(s5))

static int machine(void **state)
{
	memset(memory, 0, sizeof(memory));
	memset(&boot, 0, sizeof(boot));
	memcpy(memory + RSDP, "RSD PTR ", 8);
	memory[RSDP + 15] = 2;
	put32(RSDP + 16, RSDT);
	put32(RSDP + 20, 36);
	put64(RSDP + 24, XSDT);
	fix_checksum(RSDP, 20, 8);
	put64(XSDT + 36, MADT);
	put64(XSDT + 44, FADT);
	table(XSDT, "XSDT", 52);
	put32(RSDT + 36, MADT);
	table(RSDT, "RSDT", 40);
	put32(MADT + 36, 0xFEE00000);
	memcpy(memory + MADT + 44, madt_entries, sizeof(madt_entries));
	table(MADT, "APIC", MADT_LEN);
	put32(FADT + 40, DSDT);
	put32(FADT + 48, 0xB2);
	memory[FADT + 52] = 0xF1;
	put32(FADT + 64, 0xB004);
	table(FADT, "FACP", 116);
	memcpy(memory + DSDT + 36 + 20, s5, sizeof(s5));
	table(DSDT, "DSDT", DSDT_LEN);
	return 0;
}

static void everything_is_found(void **state)
{
	assert_int_equal(parse(), 0);
	assert_int_equal(acpi.lapic_base, 0xFEE00000);
	assert_int_equal(acpi.cpu_count, 1);
	assert_int_equal(acpi.cpu_apic_id[0], 3);
	assert_int_equal(acpi.ioapic_count, 1);
	assert_int_equal(acpi.ioapic[0].base, 0xFEC00000);
	assert_int_equal(acpi.ioapic[0].gsi_base, 24);
	assert_int_equal(acpi_isa_irq(&acpi, 4).gsi, 20);
	assert_true(acpi_isa_irq(&acpi, 4).active_low);
	assert_true(acpi_isa_irq(&acpi, 4).level);
	assert_int_equal(acpi_isa_irq(&acpi, 3).gsi, 3);
	assert_false(acpi_isa_irq(&acpi, 3).active_low);
	assert_int_equal(acpi_isa_irq(&acpi, 99).gsi, 99);
	assert_true(acpi.has_s5);
	assert_int_equal(acpi.s5_type_a, 5);
	assert_int_equal(acpi.s5_type_b, 1);
	assert_int_equal(acpi.pm1a_control, 0xB004);
	assert_int_equal(acpi.smi_command, 0xB2);
	assert_int_equal(acpi.acpi_enable, 0xF1);
	assert_int_equal(acpi.complaints, 0);
}

static void lesson_35_rsdp_of_the_loader_wins(void **state)
{
	memcpy(boot.rsdp, memory + RSDP, 36);
	boot.rsdp_size = 36;
	memset(memory + RSDP, 0, 36);
	assert_int_equal(parse(), 0);
	assert_int_equal(acpi.cpu_count, 1);
	boot.rsdp[3] ^= 1;
	assert_int_equal(parse(), -ENOENT);
}

static void rsdp_in_the_ebda(void **state)
{
	memcpy(memory + 0x9FC20, memory + RSDP, 36);
	memset(memory + RSDP, 0, 36);
	assert_int_equal(parse(), -ENOENT);
	memory[0x40E] = 0xC0;
	memory[0x40F] = 0x9F;
	assert_int_equal(parse(), 0);
}

static void old_rsdp_means_the_rsdt(void **state)
{
	memory[RSDP + 15] = 0;
	fix_checksum(RSDP, 20, 8);
	assert_int_equal(parse(), 0);
	assert_int_equal(acpi.cpu_count, 1);
	assert_false(acpi.has_s5); /* this RSDT has no FADT */
}

static void damaged_rsdp_or_root(void **state)
{
	memory[RSDP + 9] ^= 1;
	assert_int_equal(parse(), -ENOENT);
	machine(state);
	memory[XSDT + 10] ^= 1;
	assert_int_equal(parse(), -ENOENT);
	machine(state);
	table(XSDT, "SSDT", 52);
	assert_int_equal(parse(), -ENOENT);
	machine(state);
	put64(RSDP + 24, 0xFFFFFFFFFFFFFFF0);
	assert_int_equal(parse(), -ENOENT);
}

static void tables_with_impossible_lengths(void **state)
{
	static const uint32_t bad[] = { 0, 1, 35, 0xFFFFFFFF, 0x80000000 };

	for (size_t i = 0; i < 5; i++) {
		machine(state);
		put32(MADT + 4, bad[i]);
		assert_int_equal(parse(), 0);
		assert_int_equal(acpi.cpu_count, 0);
		assert_int_equal(acpi.complaints, 1);
		assert_true(acpi.has_s5); /* the others are still good */
	}
	machine(state);
	table(MADT, "APIC", 43);
	assert_int_equal(parse(), 0);
	assert_int_equal(acpi.complaints, 1);
	machine(state);
	table(FADT, "FACP", 71);
	assert_int_equal(parse(), 0);
	assert_int_equal(acpi.complaints, 1);
	assert_false(acpi.has_s5);
}

static void lesson_36_zero_length_madt_entries(void **state)
{
	for (uint8_t len = 0; len < 2; len++) {
		machine(state);
		memory[MADT + 44 + 8 + 1] = len;
		table(MADT, "APIC", MADT_LEN);
		assert_int_equal(parse(), 0);
		assert_int_equal(acpi.cpu_count, 1); /* the one before it */
		assert_int_equal(acpi.ioapic_count, 0);
		assert_int_equal(acpi.complaints, 1);
	}
}

static void madt_entry_longer_than_the_table(void **state)
{
	memory[MADT + 44 + 1] = 255;
	table(MADT, "APIC", MADT_LEN);
	assert_int_equal(parse(), 0);
	assert_int_equal(acpi.cpu_count, 0);
	assert_int_equal(acpi.complaints, 1);
}

static void madt_entry_shorter_than_its_kind(void **state)
{
	static const uint8_t entries[] = { 0, 4, 0, 1, 1, 4, 0, 0, 2, 4, 0, 1 };

	memcpy(memory + MADT + 44, entries, sizeof(entries));
	table(MADT, "APIC", 44 + sizeof(entries));
	assert_int_equal(parse(), 0);
	assert_int_equal(acpi.cpu_count, 0);
	assert_int_equal(acpi.ioapic_count, 0);
	assert_false(acpi.override[1].present);
}

static void madt_with_more_than_fits(void **state)
{
	put64(XSDT + 36, 0xB0000);
	table(XSDT, "XSDT", 52);
	for (uint32_t i = 0; i < 400; i++)
		memcpy(memory + 0xB0000 + 44 + i * 8, "\0\x08\0\x03\1\0\0\0", 8);
	for (uint32_t i = 0; i < 40; i++)
		memcpy(memory + 0xB0000 + 44 + 3200 + i * 12, "\1\x0c\0\0\0\0\xC0\xFE\0\0\0\0", 12);
	table(0xB0000, "APIC", 44 + 3200 + 480);
	assert_int_equal(parse(), 0);
	assert_int_equal(acpi.cpu_count, ACPI_CPUS_MAX);
	assert_int_equal(acpi.ioapic_count, ACPI_IOAPICS_MAX);
}

static void dsdt_behind_the_64_bit_pointer(void **state)
{
	put32(FADT + 40, 0);
	put64(FADT + 140, DSDT);
	table(FADT, "FACP", 148);
	assert_int_equal(parse(), 0);
	assert_true(acpi.has_s5);
	table(FADT, "FACP", 147); /* a byte short: not there */
	assert_int_equal(parse(), 0);
	assert_false(acpi.has_s5);
}

static void s5_cut_anywhere(void **state)
{
	for (uint32_t len = 36; len < DSDT_LEN; len++) {
		machine(state);
		table(DSDT, "DSDT", len);
		assert_int_equal(parse(), 0);
		if (len < 36 + 20 + 10) {
			assert_false(acpi.has_s5);
		}
	}
}

static void s5_with_a_long_package_length(void **state)
{
	static const uint8_t longest[] = { 0x08, '_', 'S', '5', '_', 0x12, 0xC8, 0, 0, 0, 0x04, 0x01, 0x0A, 0x07 };

	memcpy(memory + DSDT + 36, longest, sizeof(longest));
	table(DSDT, "DSDT", 36 + sizeof(longest));
	assert_int_equal(parse(), 0);
	assert_true(acpi.has_s5);
	assert_int_equal(acpi.s5_type_a, 1);
	assert_int_equal(acpi.s5_type_b, 7);
}

/* Every byte of every table damaged, the checksum put right again. */
static void every_byte_damaged(void **state)
{
	static const struct { uint32_t base, len; const char *name; } t[] = {
		{ XSDT, 52, "XSDT" }, { MADT, MADT_LEN, "APIC" }, { FADT, 116, "FACP" }, { DSDT, DSDT_LEN, "DSDT" },
	};
	static const uint8_t values[] = { 0x00, 0x01, 0x40, 0x7F, 0xFF };
	int out = dup(STDERR_FILENO), quiet = open("/dev/null", O_WRONLY);

	dup2(quiet, STDERR_FILENO);
	for (size_t k = 0; k < 4; k++)
		for (uint32_t i = 36; i < t[k].len; i++)
			for (size_t v = 0; v < sizeof(values); v++) {
				machine(state);
				memory[t[k].base + i] = values[v];
				table(t[k].base, t[k].name, t[k].len);
				(void)!parse();
			}
	dup2(out, STDERR_FILENO);
	close(out);
	close(quiet);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(everything_is_found, machine),
		cmocka_unit_test_setup(lesson_35_rsdp_of_the_loader_wins, machine),
		cmocka_unit_test_setup(rsdp_in_the_ebda, machine),
		cmocka_unit_test_setup(old_rsdp_means_the_rsdt, machine),
		cmocka_unit_test_setup(damaged_rsdp_or_root, machine),
		cmocka_unit_test_setup(tables_with_impossible_lengths, machine),
		cmocka_unit_test_setup(lesson_36_zero_length_madt_entries, machine),
		cmocka_unit_test_setup(madt_entry_longer_than_the_table, machine),
		cmocka_unit_test_setup(madt_entry_shorter_than_its_kind, machine),
		cmocka_unit_test_setup(madt_with_more_than_fits, machine),
		cmocka_unit_test_setup(dsdt_behind_the_64_bit_pointer, machine),
		cmocka_unit_test_setup(s5_cut_anywhere, machine),
		cmocka_unit_test_setup(s5_with_a_long_package_length, machine),
		cmocka_unit_test_setup(every_byte_damaged, machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
