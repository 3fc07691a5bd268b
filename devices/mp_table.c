/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest's MP table (MultiProcessor Specification 1.4), for kernels that
 * do not read ACPI's: the floating pointer at MP_TABLE_BASE, the configuration
 * table right behind it. It says what the MADT says (devices/acpi.c): virtual
 * wire mode, IRQ 0 at input 2 of the I/O APIC, the SCI level-triggered.
 */
#include "devices/platform.h"

#include "devices/checksum.h"
#include "lib/errno.h"

#define MP_SPEC 4 /* 1.4 */
#define OEM_ID "SPOOR   "
#define PRODUCT_ID "SPOORVM     "

#define ISA_BUS 0
#define ISA_IRQS 16u
#define IRQ_CASCADE 2
#define ALL_LAPICS 0xFF

enum { MP_CPU = 0, MP_BUS = 1, MP_IOAPIC = 2, MP_IO_INTERRUPT = 3, MP_LOCAL_INTERRUPT = 4 };
enum { MP_INT = 0, MP_NMI = 1, MP_EXTINT = 3 };

#define CPU_ENABLED 0x01
#define CPU_BOOT 0x02
#define IOAPIC_ENABLED 0x01
#define CONFORMS_TO_BUS 0x00
#define ACTIVE_HIGH_LEVEL 0x0D

/* CPUID says more; a table of 1997 cannot say less than this. */
#define CPU_SIGNATURE 0x600u
#define CPU_FEATURES (1u << 0 | 1u << 9) /* FPU, local APIC */

struct PACKED mp_pointer {
	char signature[4];
	uint32_t table;
	uint8_t paragraphs, spec, checksum;
	uint8_t default_configuration; /* 0: there is a table */
	uint8_t imcr;                  /* bit 7: there is an IMCR */
	uint8_t reserved[3];
};

struct PACKED mp_header {
	char signature[4];
	uint16_t length;
	uint8_t spec, checksum;
	char oem_id[8], product_id[12];
	uint32_t oem_table;
	uint16_t oem_table_size, entries;
	uint32_t lapic_address;
	uint16_t extended_length;
	uint8_t extended_checksum, reserved;
};

struct PACKED mp_cpu {
	uint8_t type, lapic_id, lapic_version, flags;
	uint32_t signature, features, reserved[2];
};

struct PACKED mp_bus {
	uint8_t type, id;
	char name[6];
};

struct PACKED mp_ioapic {
	uint8_t type, id, version, flags;
	uint32_t address;
};

struct PACKED mp_interrupt {
	uint8_t type, kind;
	uint16_t flags;
	uint8_t bus, irq, apic, pin;
};

/* In memory: front, one entry for each CPU, back. */
struct PACKED mp_front {
	struct mp_pointer pointer;
	struct mp_header header;
};

struct PACKED mp_back {
	struct mp_bus bus;
	struct mp_ioapic ioapic;
	struct mp_interrupt io[ISA_IRQS - 1]; /* all but the 8259's cascade */
	struct mp_interrupt local[2];
};

#define BACK_ENTRIES (2 + ISA_IRQS - 1 + 2)

_Static_assert(sizeof(struct mp_pointer) == 16, "MP floating pointer structure");
_Static_assert(sizeof(struct mp_header) == 44, "MP configuration table header");
_Static_assert(sizeof(struct mp_cpu) == 20, "processor entry");
_Static_assert(sizeof(struct mp_interrupt) == 8, "interrupt assignment entry");
_Static_assert(sizeof(struct mp_front) + PLATFORM_VCPUS_MAX * sizeof(struct mp_cpu) + sizeof(struct mp_back) <=
	       MP_TABLE_MAX, "the table fits");

static struct mp_cpu mp_cpu(unsigned int cpu)
{
	return (struct mp_cpu){
		.type = MP_CPU, .lapic_id = (uint8_t)cpu, .lapic_version = LAPIC_VERSION_NUMBER,
		.flags = CPU_ENABLED | (cpu ? 0 : CPU_BOOT),
		.signature = CPU_SIGNATURE, .features = CPU_FEATURES,
	};
}

static struct mp_interrupt mp_isa_interrupt(unsigned int irq)
{
	return (struct mp_interrupt){
		.type = MP_IO_INTERRUPT, .kind = MP_INT,
		.flags = irq == ACPI_SCI_IRQ ? ACTIVE_HIGH_LEVEL : CONFORMS_TO_BUS,
		.bus = ISA_BUS, .irq = (uint8_t)irq, .apic = IOAPIC_ID,
		.pin = (uint8_t)(irq ? irq : IOAPIC_PIN_TIMER),
	};
}

static struct mp_interrupt mp_local_interrupt(uint8_t kind, uint8_t lint)
{
	return (struct mp_interrupt){ .type = MP_LOCAL_INTERRUPT, .kind = kind, .bus = ISA_BUS,
				      .apic = ALL_LAPICS, .pin = lint };
}

static void mp_fill_back(struct mp_back *t)
{
	struct mp_interrupt *io = t->io;

	t->bus = (struct mp_bus){ MP_BUS, ISA_BUS, { 'I', 'S', 'A', ' ', ' ', ' ' } };
	t->ioapic = (struct mp_ioapic){ MP_IOAPIC, IOAPIC_ID, IOAPIC_VERSION_NUMBER, IOAPIC_ENABLED,
					IOAPIC_DEFAULT_BASE };
	for (unsigned int irq = 0; irq < ISA_IRQS; irq++)
		if (irq != IRQ_CASCADE)
			*io++ = mp_isa_interrupt(irq);
	t->local[0] = mp_local_interrupt(MP_EXTINT, 0);
	t->local[1] = mp_local_interrupt(MP_NMI, 1);
}

/* All but the checksum of the table, which is not complete yet. */
static void mp_fill_front(struct mp_front *t, unsigned int cpus, size_t table_length)
{
	struct mp_pointer *p = &t->pointer;
	struct mp_header *h = &t->header;

	__builtin_memcpy(h->signature, "PCMP", sizeof(h->signature));
	__builtin_memcpy(h->oem_id, OEM_ID, sizeof(h->oem_id));
	__builtin_memcpy(h->product_id, PRODUCT_ID, sizeof(h->product_id));
	h->length = (uint16_t)table_length;
	h->spec = MP_SPEC;
	h->lapic_address = LAPIC_DEFAULT_BASE;
	h->entries = (uint16_t)(cpus + BACK_ENTRIES);
	__builtin_memcpy(p->signature, "_MP_", sizeof(p->signature));
	p->table = MP_TABLE_BASE + (uint32_t)offsetof(struct mp_front, header);
	p->paragraphs = sizeof(*p) / 16;
	p->spec = MP_SPEC;
	p->checksum = checksum(p, sizeof(*p));
}

int platform_mp_table(const struct platform_config *c, void *buf, size_t size)
{
	unsigned int cpus = c->vcpus < PLATFORM_VCPUS_MAX ? c->vcpus : PLATFORM_VCPUS_MAX;
	size_t length = sizeof(struct mp_front) + cpus * sizeof(struct mp_cpu) + sizeof(struct mp_back);
	size_t header = offsetof(struct mp_front, header);
	uint8_t *image = buf, *at = image + sizeof(struct mp_front);
	struct mp_front front = { 0 };
	struct mp_back back = { 0 };

	if (size < length)
		return -ENOSPC;
	mp_fill_front(&front, cpus, length - header);
	mp_fill_back(&back);
	__builtin_memcpy(image, &front, sizeof(front));
	for (unsigned int i = 0; i < cpus; i++, at += sizeof(struct mp_cpu)) {
		struct mp_cpu cpu = mp_cpu(i);

		__builtin_memcpy(at, &cpu, sizeof(cpu));
	}
	__builtin_memcpy(at, &back, sizeof(back));
	image[header + offsetof(struct mp_header, checksum)] = checksum(image + header, length - header);
	return (int)length;
}
