/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The console UART, a 16550 at COM1. Output is buffered and drained by
 * interrupts, so that a guest does not wait 87 microseconds a character; it is
 * never lost: a full buffer makes the writer wait. Before interrupts are up,
 * and in a panic, characters go out at once.
 */
#ifndef KERNEL_SERIAL_H
#define KERNEL_SERIAL_H

#include "lib/types.h"

#define SERIAL_COM1 0x3F8

/* @port 0, or with no UART behind it: no console. The UART starts polled. */
void serial_init(uint16_t port, uint32_t baud);
/* The ISA interrupt its port usually has: 3 for COM2 and COM4, else 4. */
unsigned int serial_irq(void);
/* From now on interrupts drain the buffer: the IRQ is routed. */
void serial_set_interrupts(void);
void serial_set_polled(void);

void serial_put(uint8_t byte);
/* The next byte typed, or -1. */
int serial_get(void);
/* Bytes typed that did not fit the buffer. */
uint64_t serial_lost(void);
/* Returns when the last bit has left the wire. */
void serial_flush(void);

void serial_interrupt(void);

#endif
