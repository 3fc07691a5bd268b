/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The I/O APIC. Invariant: Remote IRR is set only in level-triggered entries,
 * from the time a local APIC took the interrupt until its EOI.
 */
#include "devices/ioapic.h"

#include <stddef.h>

#define IOAPIC_SELECT 0x00
#define IOAPIC_WINDOW 0x10
#define IOAPIC_EOI 0x40

#define IOAPIC_REG_ID 0x00
#define IOAPIC_REG_VERSION 0x01
#define IOAPIC_REG_ARBITRATION 0x02
#define IOAPIC_REG_TABLE 0x10

#define IOAPIC_VERSION ((IOAPIC_PINS - 1) << 16 | IOAPIC_VERSION_NUMBER)

#define ENTRY_LOGICAL (1u << 11)
#define ENTRY_STATUS (1u << 12)
#define ENTRY_REMOTE_IRR (1u << 14)
#define ENTRY_LEVEL (1u << 15)
#define ENTRY_MASKED (1u << 16)
#define ENTRY_LOW_WRITABLE (0x1FFFFu & ~(ENTRY_STATUS | ENTRY_REMOTE_IRR))
#define ENTRY_HIGH_WRITABLE 0xFF000000u

/* An 8-bit physical destination of all ones is everybody. */
static struct apic_message ioapic_message(uint64_t entry)
{
	uint32_t destination = (uint32_t)(entry >> 56);
	bool logical = entry & ENTRY_LOGICAL;

	return (struct apic_message){
		.destination = !logical && destination == 0xFF ? APIC_BROADCAST : destination,
		.logical = logical,
		.level = entry & ENTRY_LEVEL,
		.vector = (uint8_t)entry,
		.delivery = (enum apic_delivery)(entry >> 8 & 7),
	};
}

/* Remote IRR is for deliveries that end with an EOI. */
static void ioapic_deliver(struct ioapic *io, unsigned int pin)
{
	struct apic_message m = ioapic_message(io->entry[pin]);

	if (io->send(io->ctx, &m) && m.level && m.delivery <= APIC_LOWEST_PRIORITY)
		io->entry[pin] |= ENTRY_REMOTE_IRR;
}

/* A level-triggered input asks until it is served. */
static void ioapic_service_level(struct ioapic *io, unsigned int pin)
{
	uint64_t e = io->entry[pin];

	if ((e & ENTRY_LEVEL) && !(e & (ENTRY_MASKED | ENTRY_REMOTE_IRR)) && (io->lines & 1u << pin))
		ioapic_deliver(io, pin);
}

void ioapic_set_pin(struct ioapic *io, unsigned int pin, bool level)
{
	uint32_t bit;
	bool rises;

	if (pin >= IOAPIC_PINS)
		return;
	bit = 1u << pin;
	rises = level && !(io->lines & bit);
	io->lines = level ? io->lines | bit : io->lines & ~bit;
	if (io->entry[pin] & ENTRY_LEVEL)
		ioapic_service_level(io, pin);
	else if (rises && !(io->entry[pin] & ENTRY_MASKED))
		ioapic_deliver(io, pin);
}

bool ioapic_sends_nmis(const struct ioapic *io)
{
	for (unsigned int pin = 0; pin < IOAPIC_PINS; pin++)
		if (!(io->entry[pin] & ENTRY_MASKED) && ioapic_message(io->entry[pin]).delivery == APIC_NMI)
			return true;
	return false;
}

void ioapic_eoi(struct ioapic *io, uint8_t vector)
{
	for (unsigned int pin = 0; pin < IOAPIC_PINS; pin++) {
		uint64_t e = io->entry[pin];

		if (!(e & ENTRY_REMOTE_IRR) || (uint8_t)e != vector)
			continue;
		io->entry[pin] &= ~(uint64_t)ENTRY_REMOTE_IRR;
		ioapic_service_level(io, pin);
	}
}

static void ioapic_write_entry(struct ioapic *io, unsigned int index, uint32_t val)
{
	unsigned int pin = index / 2;
	uint64_t *e = &io->entry[pin];

	if (index & 1) {
		*e = (*e & UINT32_MAX) | (uint64_t)(val & ENTRY_HIGH_WRITABLE) << 32;
		return;
	}
	*e = (*e & ~(uint64_t)ENTRY_LOW_WRITABLE) | (val & ENTRY_LOW_WRITABLE);
	if (!(val & ENTRY_LEVEL))
		*e &= ~(uint64_t)ENTRY_REMOTE_IRR;
	ioapic_service_level(io, pin);
}

static void ioapic_write_window(struct ioapic *io, uint32_t val)
{
	if (io->select == IOAPIC_REG_ID)
		io->id = val >> 24 & 15;
	else if (io->select >= IOAPIC_REG_TABLE && io->select < IOAPIC_REG_TABLE + 2 * IOAPIC_PINS)
		ioapic_write_entry(io, io->select - IOAPIC_REG_TABLE, val);
}

static uint32_t ioapic_read_window(const struct ioapic *io)
{
	unsigned int index = io->select - IOAPIC_REG_TABLE;

	switch (io->select) {
	case IOAPIC_REG_ID:
	case IOAPIC_REG_ARBITRATION:
		return (uint32_t)io->id << 24;
	case IOAPIC_REG_VERSION:
		return IOAPIC_VERSION;
	}
	if (io->select < IOAPIC_REG_TABLE || index >= 2 * IOAPIC_PINS)
		return 0;
	return (uint32_t)(io->entry[index / 2] >> (index & 1 ? 32 : 0));
}

uint32_t ioapic_read(const struct ioapic *io, uint32_t offset)
{
	switch (offset) {
	case IOAPIC_SELECT:
		return io->select;
	case IOAPIC_WINDOW:
		return ioapic_read_window(io);
	}
	return 0;
}

void ioapic_write(struct ioapic *io, uint32_t offset, uint32_t val)
{
	switch (offset) {
	case IOAPIC_SELECT:
		io->select = (uint8_t)val;
		break;
	case IOAPIC_WINDOW:
		ioapic_write_window(io, val);
		break;
	case IOAPIC_EOI:
		ioapic_eoi(io, (uint8_t)val);
		break;
	}
}

void ioapic_init(struct ioapic *io, bool (*send)(void *ctx, const struct apic_message *m), void *ctx)
{
	*io = (struct ioapic){ .send = send, .ctx = ctx, .id = IOAPIC_ID };
	for (unsigned int pin = 0; pin < IOAPIC_PINS; pin++)
		io->entry[pin] = ENTRY_MASKED;
}

void ioapic_save(const struct ioapic *io, struct ioapic *out)
{
	*out = *io;
	out->send = NULL;
	out->ctx = NULL;
}

void ioapic_restore(struct ioapic *io, const struct ioapic *saved)
{
	struct ioapic wiring = *io;

	*io = *saved;
	io->send = wiring.send;
	io->ctx = wiring.ctx;
}
