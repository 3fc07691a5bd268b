// SPDX-License-Identifier: GPL-2.0-only
/*
 * Local APIC and IOAPIC through their registers in memory (SDM vol. 3,
 * "Advanced Programmable Interrupt Controller"); x2APIC only where firmware
 * left it on, because it cannot be left without a reset of the APIC.
 */
#include "kernel/apic.h"
#include "kernel/paging.h"
#include "kernel/traps.h"
#include "lib/cpu_ops.h"

#define MSR_APIC_BASE 0x1B
#define APIC_BASE_X2APIC (1u << 10)
#define APIC_BASE_ENABLE (1u << 11)
#define MSR_X2APIC 0x800

enum lapic_register {
	LAPIC_ID = 0x20, LAPIC_TPR = 0x80, LAPIC_EOI = 0xB0, LAPIC_SVR = 0xF0, LAPIC_LVT_TIMER = 0x320,
	LAPIC_TIMER_INITIAL = 0x380, LAPIC_TIMER_CURRENT = 0x390, LAPIC_TIMER_DIVIDE = 0x3E0,
};

#define SVR_ENABLE (1u << 8)
#define DIVIDE_BY_16 3u
#define LVT_TIMER_DEADLINE (2u << 17)

#define IOAPIC_VERSION 1
#define IOAPIC_REDIRECTION(pin) (0x10 + 2 * (pin))
#define REDIRECTION_ACTIVE_LOW (1u << 13)
#define REDIRECTION_LEVEL (1u << 15)

#define PIC_MASTER_DATA 0x21
#define PIC_SLAVE_DATA 0xA1

static volatile uint32_t *lapic; /* NULL: x2APIC mode */

static uint32_t lapic_read(enum lapic_register reg)
{
	return lapic ? lapic[reg / 4] : (uint32_t)rdmsr(MSR_X2APIC + reg / 16);
}

static void lapic_write(enum lapic_register reg, uint32_t v)
{
	if (lapic)
		lapic[reg / 4] = v;
	else
		wrmsr(MSR_X2APIC + reg / 16, v);
}

bool apic_init(void)
{
	uint64_t base = rdmsr(MSR_APIC_BASE);

	outb(PIC_MASTER_DATA, 0xFF);
	outb(PIC_SLAVE_DATA, 0xFF);
	if (!(base & APIC_BASE_X2APIC)) {
		lapic = paging_map_device(hpa(base & ~PAGE_OFFSET_MASK & ((1ull << 52) - 1)));
		if (!lapic)
			return false;
		wrmsr(MSR_APIC_BASE, base | APIC_BASE_ENABLE);
	}
	lapic_write(LAPIC_TPR, 0);
	lapic_write(LAPIC_SVR, SVR_ENABLE | VECTOR_SPURIOUS);
	lapic_write(LAPIC_TIMER_DIVIDE, DIVIDE_BY_16);
	lapic_write(LAPIC_LVT_TIMER, VECTOR_TIMER);
	return true;
}

void apic_eoi(void) { lapic_write(LAPIC_EOI, 0); }
void apic_timer_set(uint32_t count) { lapic_write(LAPIC_TIMER_INITIAL, count); }
uint32_t apic_timer_left(void) { return lapic_read(LAPIC_TIMER_CURRENT); }

void apic_timer_use_deadline(void)
{
	lapic_write(LAPIC_LVT_TIMER, VECTOR_TIMER | LVT_TIMER_DEADLINE);
	/* The mode must be in place before the first deadline is written. */
	asm volatile("mfence" : : : "memory");
}

static uint32_t ioapic_read(volatile uint32_t *io, uint32_t reg)
{
	io[0] = reg;
	return io[4];
}

static void ioapic_write(volatile uint32_t *io, uint32_t reg, uint32_t v)
{
	io[0] = reg;
	io[4] = v;
}

static uint32_t ioapic_pins(volatile uint32_t *io)
{
	return (ioapic_read(io, IOAPIC_VERSION) >> 16 & 0xFF) + 1;
}

bool ioapic_route_isa(const struct acpi_info *acpi, unsigned int irq, uint8_t vector)
{
	struct acpi_irq route = acpi_isa_irq(acpi, irq);
	uint32_t id = lapic ? lapic_read(LAPIC_ID) >> 24 : lapic_read(LAPIC_ID);

	for (unsigned int i = 0; i < acpi->ioapic_count; i++) {
		volatile uint32_t *io = paging_map_device(hpa(acpi->ioapic[i].base));
		uint32_t pin = route.gsi - acpi->ioapic[i].gsi_base;

		if (!io || route.gsi < acpi->ioapic[i].gsi_base || pin >= ioapic_pins(io))
			continue;
		ioapic_write(io, IOAPIC_REDIRECTION(pin) + 1, id << 24);
		ioapic_write(io, IOAPIC_REDIRECTION(pin),
			     vector | (route.active_low ? REDIRECTION_ACTIVE_LOW : 0) |
				     (route.level ? REDIRECTION_LEVEL : 0));
		return true;
	}
	return false;
}
