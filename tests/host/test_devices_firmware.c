/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What firmware leaves in memory, looked for and read as kernels do: first
 * the places where an MP floating pointer may be, then the table by the
 * offsets of the MultiProcessor Specification. Shares no structure with the
 * code under test.
 */
#include "tests/host/devices_fixture.h"

#define FIRST_MIB 0x100000u
#define NOT_FOUND UINT32_MAX

static uint8_t memory[FIRST_MIB];

static uint16_t get16(uint32_t at) { return (uint16_t)(memory[at] | memory[at + 1] << 8); }
static uint32_t get32(uint32_t at) { return get16(at) | (uint32_t)get16(at + 2) << 16; }

static uint8_t sum(uint32_t at, uint32_t length)
{
	uint8_t s = 0;

	while (length--)
		s += memory[at++];
	return s;
}

/* Fills @memory; where nobody wrote there is 0xCC. */
static void load_images(struct fixture *f)
{
	struct platform_config c = fixture_config(f);

	memset(memory, 0xCC, sizeof(memory));
	for (unsigned int i = 0; i < PLATFORM_IMAGES; i++) {
		const struct platform_image *image = &platform_images[i];

		assert_true(image->make(&c, memory + image->base, image->max) > 0);
	}
}

static void images_keep_within_their_bounds(void **state)
{
	struct platform_config c = fixture_config(*state);
	uint32_t end = 0;

	for (unsigned int i = 0; i < PLATFORM_IMAGES; i++) {
		const struct platform_image *image = &platform_images[i];
		uint8_t *buf = malloc(image->max);
		int n = image->make(&c, buf, image->max);

		assert_in_range(n, 1, image->max);
		assert_int_equal(image->make(&c, buf, (size_t)n - 1), -ENOSPC);
		free(buf);
		buf = malloc((size_t)n); /* not a byte more is touched */
		assert_int_equal(image->make(&c, buf, (size_t)n), n);
		free(buf);
		assert_true(image->base >= end);
		end = image->base + image->max;
	}
	assert_true(end <= FIRST_MIB);
}

/* ---- MP table ---- */

static uint32_t mp_search(uint32_t at, uint32_t length)
{
	for (uint32_t end = at + length; at < end; at += 16)
		if (!memcmp(memory + at, "_MP_", 4) && sum(at, 16) == 0)
			return at;
	return NOT_FOUND;
}

/* The order of the specification, "MP Floating Pointer Structure". */
static uint32_t mp_find(void)
{
	uint32_t ebda = (uint32_t)get16(0x40E) << 4, base_top = (uint32_t)get16(0x413) << 10;
	uint32_t found = ebda ? mp_search(ebda, 1024) : NOT_FOUND;

	if (found == NOT_FOUND && base_top >= 1024 && base_top <= 0xA0000 - 1024)
		found = mp_search(base_top, 1024);
	return found != NOT_FOUND ? found : mp_search(0xF0000, 0x10000);
}

static uint32_t mp_table(void)
{
	uint32_t pointer = mp_find(), table;

	assert_int_not_equal(pointer, NOT_FOUND);
	assert_int_equal(memory[pointer + 8], 1);  /* paragraphs */
	assert_int_equal(memory[pointer + 9], 4);  /* 1.4 */
	assert_int_equal(memory[pointer + 11], 0); /* no default configuration */
	assert_int_equal(memory[pointer + 12], 0); /* no IMCR: virtual wire mode */
	table = get32(pointer + 4);
	assert_in_range(table, 0xF0000, FIRST_MIB - 44);
	assert_memory_equal(memory + table, "PCMP", 4);
	assert_true(table + get16(table + 4) <= FIRST_MIB);
	assert_int_equal(sum(table, get16(table + 4)), 0);
	return table;
}

static void mp_header_is_right(void **state)
{
	uint32_t table;

	load_images(*state);
	table = mp_table();
	assert_int_equal(memory[table + 6], 4);
	assert_memory_equal(memory + table + 8, "SPOOR   SPOORVM     ", 20);
	assert_int_equal(get32(table + 28), 0); /* no OEM table */
	assert_true(get32(table + 36) == 0xFEE00000);
	assert_int_equal(get16(table + 40), 0); /* no extended table */
}

struct mp_seen {
	unsigned int cpus, buses, ioapics, extints, nmis;
	uint8_t pin_of_irq[16];
	uint16_t irqs; /* as bits */
	uint16_t flags_of_irq[16];
};

static void mp_see_interrupt(const uint8_t *e, struct mp_seen *seen)
{
	assert_int_equal(e[1], 0); /* INT */
	assert_int_equal(e[4], 0); /* from the ISA bus */
	assert_in_range(e[5], 0, 15);
	assert_int_equal(e[6], 15); /* to our I/O APIC */
	assert_in_range(e[7], 0, 23);
	assert_false(seen->irqs & 1u << e[5]);
	seen->irqs |= (uint16_t)(1u << e[5]);
	seen->pin_of_irq[e[5]] = e[7];
	seen->flags_of_irq[e[5]] = (uint16_t)(e[2] | e[3] << 8);
}

static void mp_see_local(const uint8_t *e, struct mp_seen *seen)
{
	assert_int_equal(e[2] | e[3] << 8, 0);
	assert_int_equal(e[6], 0xFF); /* all local APICs */
	if (e[1] == 3) {
		assert_int_equal(e[7], 0); /* ExtINT at LINT0 */
		seen->extints++;
	} else {
		assert_int_equal(e[1], 1);
		assert_int_equal(e[7], 1); /* NMI at LINT1 */
		seen->nmis++;
	}
}

static void mp_see_entry(const uint8_t *e, struct mp_seen *seen)
{
	switch (e[0]) {
	case 0:
		assert_int_equal(e[1], seen->cpus);
		assert_int_equal(e[2], 0x14);
		assert_int_equal(e[3], seen->cpus ? 1 : 3); /* usable; the first one boots */
		assert_int_equal(e[8] | e[9] << 8, 0x201);
		seen->cpus++;
		break;
	case 1:
		assert_int_equal(e[1], 0);
		assert_memory_equal(e + 2, "ISA   ", 6);
		seen->buses++;
		break;
	case 2:
		assert_int_equal(e[1], 15);
		assert_int_equal(e[2], 0x20);
		assert_int_equal(e[3], 1);
		assert_int_equal(e[4] | e[5] << 8 | e[6] << 16, 0xC00000);
		assert_int_equal(e[7], 0xFE);
		seen->ioapics++;
		break;
	case 3:
		mp_see_interrupt(e, seen);
		break;
	default:
		assert_int_equal(e[0], 4);
		mp_see_local(e, seen);
	}
}

/* Every entry, in ascending order of types, up to the very end. */
static struct mp_seen mp_walk(uint32_t table)
{
	uint32_t at = table + 44, end = table + get16(table + 4);
	struct mp_seen seen = { 0 };
	uint8_t type = 0;

	for (unsigned int i = 0; i < get16(table + 34); i++) {
		assert_true(at < end);
		assert_true(memory[at] >= type);
		type = memory[at];
		mp_see_entry(memory + at, &seen);
		at += type ? 8 : 20;
	}
	assert_int_equal(at, end);
	return seen;
}

static void mp_entries_describe_this_machine(void **state)
{
	struct fixture *f = *state;
	struct mp_seen seen;

	load_images(f);
	seen = mp_walk(mp_table());
	assert_int_equal(seen.cpus, 1);
	assert_int_equal(seen.buses, 1);
	assert_int_equal(seen.ioapics, 1);
	assert_int_equal(seen.extints, 1);
	assert_int_equal(seen.nmis, 1);
	assert_int_equal(seen.irqs, 0xFFFF & ~(1u << 2)); /* the cascade is no interrupt */
	for (unsigned int irq = 0; irq < 16; irq++) {
		if (irq == 2)
			continue;
		assert_int_equal(seen.pin_of_irq[irq], irq ? irq : 2);
		assert_int_equal(seen.flags_of_irq[irq], irq == 9 ? 0x0D : 0);
	}
}

/* What the table says of the hardware is what the hardware says of itself. */
static void mp_table_agrees_with_the_registers(void **state)
{
	struct fixture *f = *state;
	uint32_t table;

	load_images(f);
	table = mp_table();
	assert_int_equal(ioapic_reg_read(f, 0) >> 24, 15);
	assert_int_equal(ioapic_reg_read(f, 1) & 0xFF, 0x20);
	assert_int_equal(apic_read(f, 0x20) >> 24, memory[table + 44 + 1]);
	assert_int_equal(apic_read(f, 0x30) & 0xFF, memory[table + 44 + 2]);
}

/* The override for the timer and the SCI, by the offsets of the ACPI specification. */
static void mp_table_agrees_with_the_madt(void **state)
{
	struct mp_seen seen;
	uint32_t at, end;

	load_images(*state);
	seen = mp_walk(mp_table());
	for (at = 0xF0000; memcmp(memory + at, "APIC", 4) || sum(at, get32(at + 4)); at += 16)
		assert_true(at < 0xF8000);
	end = at + get32(at + 4);
	for (at += 44; at < end; at += memory[at + 1]) {
		if (memory[at] != 2)
			continue;
		assert_int_equal(get32(at + 4), seen.pin_of_irq[memory[at + 3]]);
		assert_int_equal(get16(at + 8), seen.flags_of_irq[memory[at + 3]]);
	}
	assert_int_equal(at, end);
}

/* ---- BIOS data ---- */

static void bios_data_area_of_a_pc(void **state)
{
	load_images(*state);
	assert_int_equal(get16(0x400), 0x3F8);
	assert_int_equal(get16(0x402), 0); /* no second port */
	assert_int_equal(get16(0x408), 0); /* no parallel port */
	assert_int_equal(get16(0x40E), 0x9FC0);
	assert_int_equal(get16(0x410), 0x0222);
	assert_int_equal(get16(0x413), 639);
	assert_int_equal(get16(0x41A), get16(0x41C)); /* no key waits */
	assert_int_equal(memory[0x449], 3);
	assert_int_equal(get16(0x44A), 80);
	assert_int_equal(get16(0x463), 0x3D4);
	assert_int_equal(get16(0x472), 0); /* not a warm boot */
	assert_int_equal(memory[0x475], 0); /* no disk */
	assert_int_equal(memory[0x484], 24);
	assert_int_equal(get16(0x485), 16);
	assert_int_equal(memory[0x3FF], 0xCC); /* interrupt vectors are not ours */
	assert_int_equal(memory[0x500], 0xCC);
}

static void extended_data_area_is_one_kib(void **state)
{
	load_images(*state);
	assert_int_equal(memory[0x9FC00], 1);
	for (uint32_t at = 0x9FC01; at < 0xA0000; at++)
		assert_int_equal(memory[at], 0);
	assert_int_equal(memory[0x9FBFF], 0xCC);
	assert_int_equal(memory[0xA0000], 0xCC);
}

static void screen_is_blank(void **state)
{
	load_images(*state);
	for (uint32_t at = 0xB8000; at < 0xC0000; at += 2)
		assert_int_equal(get16(at), 0x0720);
	assert_int_equal(memory[0xB7FFF], 0xCC);
	assert_int_equal(memory[0xC0000], 0xCC);
}

/* What the BIOS data say of devices is true of the devices. */
static void bios_data_agree_with_the_devices(void **state)
{
	struct fixture *f = *state;

	load_images(f);
	outb(f, (uint16_t)(get16(0x400) + 7), 0x5A);
	assert_int_equal(inb(f, (uint16_t)(get16(0x400) + 7)), 0x5A);
	assert_int_equal(inb(f, 0x3CC) & 1, get16(0x463) == 0x3D4);
	outb(f, get16(0x463), 1); /* last character of a row */
	assert_int_equal(inb(f, (uint16_t)(get16(0x463) + 1)) + 1, get16(0x44A));
	outb(f, get16(0x463), 9); /* lines of a character */
	assert_int_equal((inb(f, (uint16_t)(get16(0x463) + 1)) & 0x1F) + 1, get16(0x485));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		device_test(images_keep_within_their_bounds),
		device_test(mp_header_is_right),
		device_test(mp_entries_describe_this_machine),
		device_test(mp_table_agrees_with_the_registers),
		device_test(mp_table_agrees_with_the_madt),
		device_test(bios_data_area_of_a_pc),
		device_test(extended_data_area_is_one_kib),
		device_test(screen_is_blank),
		device_test(bios_data_agree_with_the_devices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
