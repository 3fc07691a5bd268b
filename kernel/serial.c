// SPDX-License-Identifier: GPL-2.0-only
/*
 * The 16550 driver. Runs on the boot CPU only, the interrupt handler only
 * where interrupts are let in (kernel/cpu.h): no lock.
 */
#include "kernel/serial.h"
#include <linux/serial_reg.h>
#include "lib/cpu_ops.h"

#define BAUD_BASE 115200u
#define RING_SIZE 16384u /* a power of two */
#define FIFO_SIZE 16
#define NO_DEVICE 0xFF /* what a port with nothing behind it reads; no UART has all errors at once */

struct ring {
	uint8_t data[RING_SIZE];
	uint32_t head, tail; /* head - tail bytes are in it */
};

static struct {
	uint16_t port;
	bool interrupts;
	struct ring out, in;
	uint64_t lost;
} uart;

static bool ring_empty(const struct ring *r) { return r->head == r->tail; }
static bool ring_full(const struct ring *r) { return r->head - r->tail == RING_SIZE; }
static void ring_push(struct ring *r, uint8_t b) { r->data[r->head++ % RING_SIZE] = b; }
static uint8_t ring_pop(struct ring *r) { return r->data[r->tail++ % RING_SIZE]; }

static uint8_t reg_read(unsigned int reg) { return inb((uint16_t)(uart.port + reg)); }
static void reg_write(unsigned int reg, uint8_t v) { outb((uint16_t)(uart.port + reg), v); }

void serial_init(uint16_t port, uint32_t baud)
{
	uint32_t divisor = BAUD_BASE / (baud ? baud : BAUD_BASE);

	uart.port = port;
	if (!port)
		return;
	if (reg_read(UART_LSR) == NO_DEVICE) {
		uart.port = 0;
		return;
	}
	reg_write(UART_IER, 0);
	reg_write(UART_LCR, UART_LCR_DLAB);
	reg_write(UART_DLL, (uint8_t)divisor);
	reg_write(UART_DLM, (uint8_t)(divisor >> 8));
	reg_write(UART_LCR, UART_LCR_WLEN8);
	reg_write(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR | UART_FCR_CLEAR_XMIT);
	reg_write(UART_MCR, UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT2);
}

unsigned int serial_irq(void)
{
	return uart.port == 0x2F8 || uart.port == 0x2E8 ? 3 : 4;
}

/* The transmitter's FIFO is empty: fill it. */
static void fill_fifo(void)
{
	for (int n = 0; n < FIFO_SIZE && !ring_empty(&uart.out); n++)
		reg_write(UART_TX, ring_pop(&uart.out));
}

static void wait_and_fill(void)
{
	while (!(reg_read(UART_LSR) & UART_LSR_THRE))
		;
	fill_fifo();
}

void serial_put(uint8_t byte)
{
	if (!uart.port)
		return;
	if (ring_full(&uart.out))
		wait_and_fill();
	ring_push(&uart.out, byte);
	if (!uart.interrupts)
		while (!ring_empty(&uart.out))
			wait_and_fill();
	else if (reg_read(UART_LSR) & UART_LSR_THRE)
		fill_fifo(); /* the next interrupt comes when these are out */
}

static void receive(void)
{
	while (reg_read(UART_LSR) & UART_LSR_DR) {
		uint8_t b = reg_read(UART_RX);

		if (ring_full(&uart.in))
			uart.lost++;
		else
			ring_push(&uart.in, b);
	}
}

int serial_get(void)
{
	if (!uart.interrupts && uart.port)
		receive();
	return ring_empty(&uart.in) ? -1 : ring_pop(&uart.in);
}

uint64_t serial_lost(void) { return uart.lost; }

void serial_set_interrupts(void)
{
	if (!uart.port)
		return;
	uart.interrupts = true;
	reg_write(UART_IER, UART_IER_RDI | UART_IER_THRI);
}

void serial_set_polled(void)
{
	if (!uart.port)
		return;
	uart.interrupts = false;
	reg_write(UART_IER, 0);
	while (!ring_empty(&uart.out))
		wait_and_fill();
}

void serial_flush(void)
{
	if (!uart.port)
		return;
	while (!ring_empty(&uart.out))
		wait_and_fill();
	while (!(reg_read(UART_LSR) & UART_LSR_TEMT))
		;
}

void serial_interrupt(void)
{
	/* Until no cause is left, or the edge would not come again. */
	while (uart.port && !(reg_read(UART_IIR) & UART_IIR_NO_INT)) {
		receive();
		if (reg_read(UART_LSR) & UART_LSR_THRE)
			fill_fifo();
		(void)reg_read(UART_MSR);
	}
}
