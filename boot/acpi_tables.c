// SPDX-License-Identifier: GPL-2.0-only
/* Reads RSDP, RSDT or XSDT, MADT, FADT and the _S5 package. Field offsets are
 * those of the ACPI specification, "ACPI Software Programming Model". */
#include "boot/acpi_tables.h"
#include <string.h>
#include "lib/errno.h"
#include "lib/log.h"

#define TABLE_MAX (4u << 20)
#define TABLES_MAX 256u
#define EBDA_POINTER 0x40E
#define BIOS_ROM 0xE0000
#define BIOS_ROM_SIZE 0x20000

struct rsdp {
	char signature[8];
	uint8_t checksum;
	char oem[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t checksum2, reserved[3];
} PACKED;
#define RSDP_V1_SIZE 20u

struct sdt {
	char signature[4];
	uint32_t length;
	uint8_t revision, checksum;
	char oem[6], oem_table[8];
	uint32_t oem_revision, creator, creator_revision;
} PACKED;

struct madt { struct sdt sdt; uint32_t lapic_base, flags; } PACKED;
struct madt_entry { uint8_t type, length; } PACKED;
struct madt_lapic { struct madt_entry e; uint8_t uid, id; uint32_t flags; } PACKED;
struct madt_ioapic { struct madt_entry e; uint8_t id, reserved; uint32_t base, gsi_base; } PACKED;
struct madt_override { struct madt_entry e; uint8_t bus, irq; uint32_t gsi; uint16_t flags; } PACKED;
enum { MADT_LAPIC = 0, MADT_IOAPIC = 1, MADT_OVERRIDE = 2 };
#define LAPIC_ENABLED 1u

#define FADT_DSDT 40
#define FADT_SMI_COMMAND 48
#define FADT_ACPI_ENABLE 52
#define FADT_PM1A_CONTROL 64
#define FADT_PM1B_CONTROL 68
#define FADT_NEEDED 72u
#define FADT_X_DSDT 140

static bool checksum_ok(const void *p, size_t len)
{
	const uint8_t *b = p;
	uint8_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + b[i]);
	return sum == 0;
}

static const void *map(const struct boot_memory *m, uint64_t base, uint64_t len)
{
	return base ? m->map(m->ctx, base, len) : NULL;
}

static void complain(struct acpi_info *a, const char *what)
{
	a->complaints++;
	log_error("ACPI: %s left out", what);
}

static bool rsdp_ok(const struct rsdp *r)
{
	return r && !memcmp(r->signature, "RSD PTR ", 8) && checksum_ok(r, RSDP_V1_SIZE);
}

static const struct rsdp *scan(const struct boot_memory *m, uint64_t base, uint64_t size)
{
	for (uint64_t at = base; at + sizeof(struct rsdp) <= base + size; at += 16) {
		const struct rsdp *r = map(m, at, sizeof(*r));

		if (rsdp_ok(r))
			return r;
	}
	return NULL;
}

static bool find_rsdp(struct rsdp *out, const struct boot_info *b, const struct boot_memory *m)
{
	const struct rsdp *r = NULL;
	const uint16_t *ebda;

	memset(out, 0, sizeof(*out));
	if (b->rsdp_size >= RSDP_V1_SIZE) {
		memcpy(out, b->rsdp, b->rsdp_size);
		return rsdp_ok(out);
	}
	ebda = map(m, EBDA_POINTER, sizeof(*ebda));
	if (ebda && *ebda)
		r = scan(m, (uint64_t)*ebda << 4, 1024);
	if (!r)
		r = scan(m, BIOS_ROM, BIOS_ROM_SIZE);
	if (r)
		*out = *r;
	return r;
}

/* A whole table with a good checksum, or NULL. */
static const struct sdt *table_at(struct acpi_info *a, const struct boot_memory *m, uint64_t base)
{
	const struct sdt *t = map(m, base, sizeof(*t));
	uint32_t length = t ? t->length : 0;

	if (length < sizeof(*t) || length > TABLE_MAX || !(t = map(m, base, length)) || !checksum_ok(t, length)) {
		complain(a, "a damaged table");
		return NULL;
	}
	return t;
}

static void parse_override(struct acpi_info *a, const struct madt_override *o)
{
	/* MPS INTI flags: polarity 1:0, trigger 3:2; 3 is low and level. */
	if (o->irq >= ACPI_ISA_IRQS)
		return;
	a->override[o->irq].present = true;
	a->override[o->irq].irq = (struct acpi_irq){ o->gsi, (o->flags & 3) == 3, (o->flags >> 2 & 3) == 3 };
}

static void parse_madt_entry(struct acpi_info *a, const struct madt_entry *e)
{
	const struct madt_lapic *l = (const void *)e;
	const struct madt_ioapic *io = (const void *)e;

	if (e->type == MADT_LAPIC && e->length >= sizeof(*l)) {
		if ((l->flags & LAPIC_ENABLED) && a->cpu_count < ACPI_CPUS_MAX)
			a->cpu_apic_id[a->cpu_count++] = l->id;
	} else if (e->type == MADT_IOAPIC && e->length >= sizeof(*io)) {
		if (a->ioapic_count < ACPI_IOAPICS_MAX) {
			a->ioapic[a->ioapic_count].base = io->base;
			a->ioapic[a->ioapic_count++].gsi_base = io->gsi_base;
		}
	} else if (e->type == MADT_OVERRIDE && e->length >= sizeof(struct madt_override)) {
		parse_override(a, (const void *)e);
	}
}

static void parse_madt(struct acpi_info *a, const struct sdt *t)
{
	const struct madt *madt = (const void *)t;
	uint32_t at = sizeof(*madt);

	if (t->length < sizeof(*madt)) {
		complain(a, "a short MADT");
		return;
	}
	a->lapic_base = madt->lapic_base;
	while (t->length > at && t->length - at >= sizeof(struct madt_entry)) {
		const struct madt_entry *e = (const void *)((const char *)t + at);

		if (e->length < sizeof(*e) || e->length > t->length - at) {
			complain(a, "a damaged MADT entry and all behind it");
			return;
		}
		parse_madt_entry(a, e);
		at += e->length;
	}
}

/* A small AML integer at @p: constants 0 and 1, or a byte. */
static bool aml_byte(const uint8_t **p, const uint8_t *end, uint8_t *v)
{
	if (*p < end && **p <= 1) {
		*v = *(*p)++;
		return true;
	}
	if (end - *p >= 2 && **p == 0x0A) {
		*v = (*p)[1];
		*p += 2;
		return true;
	}
	return false;
}

/* NameOp "_S5_" PackageOp length count SLP_TYPa SLP_TYPb ... */
static void parse_s5(struct acpi_info *a, const struct sdt *dsdt)
{
	const uint8_t *p = (const uint8_t *)(dsdt + 1), *end = (const uint8_t *)dsdt + dsdt->length;

	for (; end - p > 8; p++) {
		const uint8_t *q = p + 5;

		if (memcmp(p, "_S5_\x12", 5))
			continue;
		q += 1 + (*q >> 6); /* PkgLength is 1 to 4 bytes */
		q++; /* the number of elements */
		if (q < end && aml_byte(&q, end, &a->s5_type_a) && aml_byte(&q, end, &a->s5_type_b)) {
			a->has_s5 = true;
			return;
		}
	}
}

static void parse_fadt(struct acpi_info *a, const struct sdt *t, const struct boot_memory *m)
{
	const char *f = (const char *)t;
	uint32_t pm1a, pm1b, smi_command;
	uint64_t dsdt_base = 0;
	const struct sdt *dsdt;

	if (t->length < FADT_NEEDED) {
		complain(a, "a short FADT");
		return;
	}
	memcpy(&dsdt_base, f + FADT_DSDT, 4);
	if (!dsdt_base && t->length >= FADT_X_DSDT + 8)
		memcpy(&dsdt_base, f + FADT_X_DSDT, 8);
	memcpy(&pm1a, f + FADT_PM1A_CONTROL, 4);
	memcpy(&pm1b, f + FADT_PM1B_CONTROL, 4);
	memcpy(&smi_command, f + FADT_SMI_COMMAND, 4);
	a->pm1a_control = (uint16_t)pm1a;
	a->pm1b_control = (uint16_t)pm1b;
	a->smi_command = (uint16_t)smi_command;
	a->acpi_enable = (uint8_t)f[FADT_ACPI_ENABLE];
	dsdt = table_at(a, m, dsdt_base);
	if (dsdt && pm1a)
		parse_s5(a, dsdt);
}

static void parse_root(struct acpi_info *a, const struct sdt *root, uint32_t entry_size, const struct boot_memory *m)
{
	uint32_t count = (root->length - (uint32_t)sizeof(*root)) / entry_size;

	for (uint32_t i = 0; i < count && i < TABLES_MAX; i++) {
		uint64_t base = 0;
		const struct sdt *t;

		memcpy(&base, (const char *)(root + 1) + (size_t)i * entry_size, entry_size);
		t = table_at(a, m, base);
		if (t && !memcmp(t->signature, "APIC", 4))
			parse_madt(a, t);
		else if (t && !memcmp(t->signature, "FACP", 4))
			parse_fadt(a, t, m);
	}
}

int acpi_tables_parse(struct acpi_info *a, const struct boot_info *b, const struct boot_memory *m)
{
	struct rsdp rsdp;
	const struct sdt *root;
	bool x;

	memset(a, 0, sizeof(*a));
	if (!find_rsdp(&rsdp, b, m))
		return -ENOENT;
	x = rsdp.revision >= 2 && rsdp.xsdt;
	root = table_at(a, m, x ? rsdp.xsdt : rsdp.rsdt);
	if (!root || memcmp(root->signature, x ? "XSDT" : "RSDT", 4))
		return -ENOENT;
	parse_root(a, root, x ? 8 : 4, m);
	return 0;
}

struct acpi_irq acpi_isa_irq(const struct acpi_info *a, unsigned int irq)
{
	if (irq < ACPI_ISA_IRQS && a->override[irq].present)
		return a->override[irq].irq;
	return (struct acpi_irq){ .gsi = irq };
}
