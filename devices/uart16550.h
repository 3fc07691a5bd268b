/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One 16550A. Output leaves at once: the transmitter is always empty. Input
 * waits "on the wire" in a queue of its own and moves into the 16-byte FIFO
 * as the guest makes room, so typing fast loses nothing and never overruns.
 * The line falls silent at once too: fewer bytes than the trigger level are a
 * character timeout without any delay.
 *
 * The interrupt pin goes through MCR.OUT2, as on a PC, and is therefore quiet
 * in loopback mode.
 */
#ifndef DEVICES_UART16550_H
#define DEVICES_UART16550_H

#include <stdbool.h>
#include <stdint.h>
#include "devices/irq_line.h"
#include "lib/compiler.h"

#define UART_FIFO_SIZE 16u
#define UART_WIRE_SIZE 256u

struct uart16550 {
	uint8_t ier, lcr, mcr, fcr, scratch, dll, dlm;
	uint8_t errors;    /* LSR error bits not read yet */
	uint8_t delta;     /* MSR delta bits not read yet */
	bool thre_pending; /* the transmitter-empty interrupt is due */
	bool refused;      /* uart_receive() said -EAGAIN since there was last room */
	uint8_t fifo[UART_FIFO_SIZE];
	unsigned int fifo_head, fifo_len;
	uint8_t wire[UART_WIRE_SIZE];
	unsigned int wire_head, wire_len;
	struct irq_line irq;
	void (*put)(void *ctx, uint8_t byte);
	void *put_ctx;
};

void uart_init(struct uart16550 *u, struct irq_line irq, void (*put)(void *ctx, uint8_t byte), void *put_ctx);
/* @reg 0..7 */
uint8_t uart_read(struct uart16550 *u, unsigned int reg);
void uart_write(struct uart16550 *u, unsigned int reg, uint8_t val);

/* A byte arrives on the wire. -EAGAIN: no room, nothing taken. */
must_check int uart_receive(struct uart16550 *u, uint8_t byte);
/* True once after there is room again for somebody who was refused. */
bool uart_room_again(struct uart16550 *u);

/* All of @u but its wiring, which is NULL in @out. / And back: the wiring is
 * that of @u, where it is. That somebody was refused belongs to the world
 * outside, too. */
void uart_save(const struct uart16550 *u, struct uart16550 *out);
void uart_restore(struct uart16550 *u, const struct uart16550 *saved);

#endif
