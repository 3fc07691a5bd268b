/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest's ACPI tables (ACPI specification, "ACPI Software Programming
 * Model"), laid out at ACPI_TABLES_BASE:
 *
 *   RSDP -> RSDT, XSDT -> FADT -> FACS, DSDT
 *                      -> MADT
 *
 * The DSDT is devices/dsdt.asl, compiled by iasl when we are built. The FADT
 * knows no VGA, keyboard controller, MSI or C-states. The first two have
 * registers all the same, for kernels that look without asking; one that asks
 * is spared the search, as there is neither screen nor keyboard.
 */
#include "devices/platform.h"

#include "devices/checksum.h"
#include "dsdt.h"
#include "lib/errno.h"

#define OEM_ID "SPOOR "
#define OEM_TABLE_ID "SPOORVM "
#define CREATOR_ID 0x524F5053u /* "SPOR" */

#define GAS_SYSTEM_IO 1
#define GAS_BYTE 1
#define GAS_WORD 2
#define GAS_DWORD 3

#define FADT_WBINVD (1u << 0)
#define FADT_PROC_C1 (1u << 2)
#define FADT_NO_FIXED_POWER_BUTTON (1u << 4)
#define FADT_NO_FIXED_SLEEP_BUTTON (1u << 5)
#define FADT_NO_RTC_WAKE (1u << 6)
#define FADT_TIMER_32_BIT (1u << 8)
#define FADT_RESET_REGISTER (1u << 10)

#define BOOT_ARCH_LEGACY_DEVICES (1u << 0)
#define BOOT_ARCH_NO_VGA (1u << 2)
#define BOOT_ARCH_NO_MSI (1u << 3)

#define CMOS_CENTURY 0x32
#define RESET_PORT 0xCF9
#define RESET_VALUE 0x06
#define NO_C_STATE 0x0FFF /* latency that rules a state out */

#define MADT_PC_8259 1u
#define MADT_ENABLED 1u
#define MADT_ALL_CPUS 0xFF
#define MADT_ACTIVE_HIGH_LEVEL 0x0D
enum { MADT_LAPIC = 0, MADT_IOAPIC = 1, MADT_OVERRIDE = 2, MADT_LAPIC_NMI = 4 };

#define NMI_LINT 1

struct PACKED rsdp {
	char signature[8];
	uint8_t checksum; /* of the first 20 bytes */
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t extended_checksum; /* of all */
	uint8_t reserved[3];
};

struct PACKED table_header {
	char signature[4];
	uint32_t length;
	uint8_t revision;
	uint8_t checksum;
	char oem_id[6];
	char oem_table_id[8];
	uint32_t oem_revision;
	uint32_t creator_id;
	uint32_t creator_revision;
};

struct PACKED rsdt {
	struct table_header header;
	uint32_t table[2];
};

struct PACKED xsdt {
	struct table_header header;
	uint64_t table[2];
};

struct PACKED generic_address {
	uint8_t space, bit_width, bit_offset, access_size;
	uint64_t address;
};

/* Revision 4. */
struct PACKED fadt {
	struct table_header header;
	uint32_t facs, dsdt;
	uint8_t reserved0, preferred_pm_profile;
	uint16_t sci_irq;
	uint32_t smi_command;
	uint8_t acpi_enable, acpi_disable, s4bios_request, pstate_control;
	uint32_t pm1a_event, pm1b_event, pm1a_control, pm1b_control, pm2_control, pm_timer, gpe0, gpe1;
	uint8_t pm1_event_length, pm1_control_length, pm2_control_length, pm_timer_length;
	uint8_t gpe0_length, gpe1_length, gpe1_base, cstate_control;
	uint16_t c2_latency, c3_latency, flush_size, flush_stride;
	uint8_t duty_offset, duty_width, day_alarm, month_alarm, century;
	uint16_t boot_arch;
	uint8_t reserved1;
	uint32_t flags;
	struct generic_address reset_register;
	uint8_t reset_value, reserved2[3];
	uint64_t x_facs, x_dsdt;
	struct generic_address x_pm1a_event, x_pm1b_event, x_pm1a_control, x_pm1b_control, x_pm2_control,
		x_pm_timer, x_gpe0, x_gpe1;
};

struct PACKED facs {
	char signature[4];
	uint32_t length, hardware_signature, waking_vector, global_lock, flags;
	uint64_t x_waking_vector;
	uint8_t version, reserved[31];
};

struct PACKED madt_lapic {
	uint8_t type, length, processor_id, apic_id;
	uint32_t flags;
};

struct PACKED madt_ioapic {
	uint8_t type, length, id, reserved;
	uint32_t address, first_interrupt;
};

struct PACKED madt_override {
	uint8_t type, length, bus, source;
	uint32_t interrupt;
	uint16_t flags;
};

struct PACKED madt_lapic_nmi {
	uint8_t type, length, processor_id;
	uint16_t flags;
	uint8_t lint;
};

struct PACKED madt {
	struct table_header header;
	uint32_t lapic_address, flags;
	struct madt_ioapic ioapic;
	struct madt_override timer, sci;
	struct madt_lapic_nmi nmi;
	struct madt_lapic lapic[PLATFORM_VCPUS_MAX]; /* the table ends after the last vCPU */
};

/* Everything in the order it lies in memory. */
struct acpi_image {
	struct rsdp rsdp;
	struct rsdt rsdt aligned_to(16);
	struct xsdt xsdt aligned_to(16);
	struct fadt fadt aligned_to(16);
	struct madt madt aligned_to(16);
	struct facs facs aligned_to(64);
	uint8_t dsdt[sizeof(dsdt_aml_code)] aligned_to(16);
};

_Static_assert(sizeof(struct rsdp) == 36, "RSDP, revision 2");
_Static_assert(sizeof(struct fadt) == 244, "FADT, revision 4");
_Static_assert(sizeof(struct facs) == 64, "FACS");
_Static_assert(sizeof(struct acpi_image) <= ACPI_TABLES_MAX, "the tables fit");

#define TABLE_ADDRESS(member) (ACPI_TABLES_BASE + (uint32_t)offsetof(struct acpi_image, member))

/* The last step of making a table: its body is complete. */
static void table_finish(struct table_header *h, const char signature[4], uint8_t revision, size_t length)
{
	__builtin_memcpy(h->signature, signature, sizeof(h->signature));
	__builtin_memcpy(h->oem_id, OEM_ID, sizeof(h->oem_id));
	__builtin_memcpy(h->oem_table_id, OEM_TABLE_ID, sizeof(h->oem_table_id));
	h->length = (uint32_t)length;
	h->revision = revision;
	h->oem_revision = h->creator_revision = 1;
	h->creator_id = CREATOR_ID;
	h->checksum = 0;
	h->checksum = checksum(h, length);
}

static struct generic_address port_address(uint64_t port, uint8_t bits, uint8_t access)
{
	return (struct generic_address){ GAS_SYSTEM_IO, bits, 0, access, port };
}

static void fadt_fill_hardware(struct fadt *f)
{
	f->sci_irq = ACPI_SCI_IRQ;
	f->pm1a_event = ACPI_PM1_EVENT;
	f->pm1_event_length = 4;
	f->pm1a_control = ACPI_PM1_CONTROL;
	f->pm1_control_length = 2;
	f->pm_timer = ACPI_PM_TIMER;
	f->pm_timer_length = 4;
	f->x_pm1a_event = port_address(ACPI_PM1_EVENT, 32, GAS_WORD);
	f->x_pm1a_control = port_address(ACPI_PM1_CONTROL, 16, GAS_WORD);
	f->x_pm_timer = port_address(ACPI_PM_TIMER, 32, GAS_DWORD);
	f->reset_register = port_address(RESET_PORT, 8, GAS_BYTE);
	f->reset_value = RESET_VALUE;
}

static void fadt_fill(struct fadt *f)
{
	fadt_fill_hardware(f);
	f->facs = TABLE_ADDRESS(facs);
	f->dsdt = TABLE_ADDRESS(dsdt);
	f->x_dsdt = f->dsdt; /* the FACS is told once: a second address would be a second FACS */
	f->c2_latency = f->c3_latency = NO_C_STATE;
	f->century = CMOS_CENTURY;
	f->boot_arch = BOOT_ARCH_LEGACY_DEVICES | BOOT_ARCH_NO_VGA | BOOT_ARCH_NO_MSI;
	f->flags = FADT_WBINVD | FADT_PROC_C1 | FADT_NO_FIXED_POWER_BUTTON | FADT_NO_FIXED_SLEEP_BUTTON |
		   FADT_NO_RTC_WAKE | FADT_TIMER_32_BIT | FADT_RESET_REGISTER;
	table_finish(&f->header, "FACP", 4, sizeof(*f));
}

static void madt_fill(struct madt *m, unsigned int vcpus)
{
	m->lapic_address = LAPIC_DEFAULT_BASE;
	m->flags = MADT_PC_8259;
	m->ioapic = (struct madt_ioapic){ .type = MADT_IOAPIC, .length = sizeof(m->ioapic), .id = IOAPIC_ID,
					  .address = IOAPIC_DEFAULT_BASE };
	m->timer = (struct madt_override){ MADT_OVERRIDE, sizeof(m->timer), 0, 0, IOAPIC_PIN_TIMER, 0 };
	m->sci = (struct madt_override){ .type = MADT_OVERRIDE, .length = sizeof(m->sci),
					 .source = ACPI_SCI_IRQ, .interrupt = ACPI_SCI_IRQ,
					 .flags = MADT_ACTIVE_HIGH_LEVEL };
	m->nmi = (struct madt_lapic_nmi){ MADT_LAPIC_NMI, sizeof(m->nmi), MADT_ALL_CPUS, 0, NMI_LINT };
	for (unsigned int i = 0; i < vcpus; i++)
		m->lapic[i] = (struct madt_lapic){ MADT_LAPIC, sizeof(m->lapic[i]), (uint8_t)i, (uint8_t)i,
						   MADT_ENABLED };
	table_finish(&m->header, "APIC", 3, offsetof(struct madt, lapic) + vcpus * sizeof(m->lapic[0]));
}

static void root_tables_fill(struct acpi_image *t)
{
	t->rsdt.table[0] = TABLE_ADDRESS(fadt);
	t->rsdt.table[1] = TABLE_ADDRESS(madt);
	table_finish(&t->rsdt.header, "RSDT", 1, sizeof(t->rsdt));
	t->xsdt.table[0] = TABLE_ADDRESS(fadt);
	t->xsdt.table[1] = TABLE_ADDRESS(madt);
	table_finish(&t->xsdt.header, "XSDT", 1, sizeof(t->xsdt));
}

static void rsdp_fill(struct rsdp *r)
{
	__builtin_memcpy(r->signature, "RSD PTR ", sizeof(r->signature));
	__builtin_memcpy(r->oem_id, OEM_ID, sizeof(r->oem_id));
	r->revision = 2;
	r->rsdt = TABLE_ADDRESS(rsdt);
	r->xsdt = TABLE_ADDRESS(xsdt);
	r->length = sizeof(*r);
	r->checksum = checksum(r, offsetof(struct rsdp, length));
	r->extended_checksum = checksum(r, sizeof(*r));
}

int platform_acpi_tables(const struct platform_config *c, void *buf, size_t size)
{
	struct acpi_image t = { 0 }; /* about a kilobyte; @buf may be aligned to nothing */

	if (size < sizeof(t))
		return -ENOSPC;
	rsdp_fill(&t.rsdp);
	root_tables_fill(&t);
	fadt_fill(&t.fadt);
	madt_fill(&t.madt, c->vcpus < PLATFORM_VCPUS_MAX ? c->vcpus : PLATFORM_VCPUS_MAX);
	__builtin_memcpy(t.facs.signature, "FACS", sizeof(t.facs.signature));
	t.facs.length = sizeof(t.facs);
	t.facs.version = 1;
	__builtin_memcpy(t.dsdt, dsdt_aml_code, sizeof(t.dsdt));
	__builtin_memcpy(buf, &t, sizeof(t));
	return sizeof(t);
}
