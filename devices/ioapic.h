/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One I/O APIC with 24 inputs, version 0x20 (it has the EOI register). ISA
 * interrupt n is input n, but IRQ 0 is input 2 (the MADT says so). Inputs are
 * told whether they are asserted; the polarity bit is kept and changes
 * nothing. An edge at a masked input is lost, as in the 82093AA.
 */
#ifndef DEVICES_IOAPIC_H
#define DEVICES_IOAPIC_H

#include <stdbool.h>
#include <stdint.h>
#include "devices/apic_message.h"

#define IOAPIC_PINS 24u
#define IOAPIC_ID 15u
#define IOAPIC_VERSION_NUMBER 0x20u
#define IOAPIC_PIN_TIMER 2u /* where IRQ 0 is */

struct ioapic {
	uint64_t entry[IOAPIC_PINS]; /* redirection table */
	uint32_t lines;              /* asserted inputs */
	uint8_t select, id;
	/* Sends a message to the local APICs: did anyone take it? */
	bool (*send)(void *ctx, const struct apic_message *m);
	void *ctx;
};

void ioapic_init(struct ioapic *io, bool (*send)(void *ctx, const struct apic_message *m), void *ctx);
/* @offset within the page; 32-bit registers. */
uint32_t ioapic_read(const struct ioapic *io, uint32_t offset);
void ioapic_write(struct ioapic *io, uint32_t offset, uint32_t val);
void ioapic_set_pin(struct ioapic *io, unsigned int pin, bool level);
/* Would an input that rises send an NMI? */
bool ioapic_sends_nmis(const struct ioapic *io);
/* A local APIC ended the level-triggered interrupt @vector. */
void ioapic_eoi(struct ioapic *io, uint8_t vector);

/* All of @io but its wiring, which is NULL in @out. / And back: the wiring is
 * that of @io, where it is. */
void ioapic_save(const struct ioapic *io, struct ioapic *out);
void ioapic_restore(struct ioapic *io, const struct ioapic *saved);

#endif
