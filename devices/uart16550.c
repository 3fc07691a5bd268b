/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The 16550A; see uart16550.h for what is idealised. Invariant: after every
 * public call the interrupt line equals uart_irq_level(), and the FIFO is
 * full if bytes wait on the wire (outside loopback).
 */
#include "devices/uart16550.h"

#include <linux/serial_reg.h>
#include "lib/errno.h"

#define UART_IIR_FIFO_ON 0xC0
#define UART_LSR_TX_EMPTY (UART_LSR_THRE | UART_LSR_TEMT)
#define UART_MCR_USED 0x1F
#define UART_IER_USED 0x0F

static bool uart_fifo_on(const struct uart16550 *u)
{
	return u->fcr & UART_FCR_ENABLE_FIFO;
}

static unsigned int uart_fifo_depth(const struct uart16550 *u)
{
	return uart_fifo_on(u) ? UART_FIFO_SIZE : 1;
}

static unsigned int uart_fifo_trigger(const struct uart16550 *u)
{
	static const uint8_t level[4] = { 1, 4, 8, 14 };

	return uart_fifo_on(u) ? level[u->fcr >> 6] : 1;
}

static bool uart_loopback(const struct uart16550 *u)
{
	return u->mcr & UART_MCR_LOOP;
}

/* The IIR's cause bits: the pending interrupt of highest priority. */
static uint8_t uart_cause(const struct uart16550 *u)
{
	if ((u->ier & UART_IER_RLSI) && u->errors)
		return UART_IIR_RLSI;
	if ((u->ier & UART_IER_RDI) && u->fifo_len)
		return u->fifo_len >= uart_fifo_trigger(u) ? UART_IIR_RDI : UART_IIR_RX_TIMEOUT;
	if ((u->ier & UART_IER_THRI) && u->thre_pending)
		return UART_IIR_THRI;
	if ((u->ier & UART_IER_MSI) && u->delta)
		return UART_IIR_MSI;
	return UART_IIR_NO_INT;
}

static bool uart_irq_level(const struct uart16550 *u)
{
	return (u->mcr & UART_MCR_OUT2) && !uart_loopback(u) && uart_cause(u) != UART_IIR_NO_INT;
}

static void uart_update_irq(struct uart16550 *u)
{
	irq_line_set(&u->irq, uart_irq_level(u));
}

static void uart_fifo_push(struct uart16550 *u, uint8_t byte)
{
	if (u->fifo_len == uart_fifo_depth(u)) {
		u->errors |= UART_LSR_OE;
		return;
	}
	u->fifo[(u->fifo_head + u->fifo_len++) % UART_FIFO_SIZE] = byte;
}

/* In loopback the wire is disconnected: bytes wait there. */
static void uart_fill_fifo(struct uart16550 *u)
{
	while (u->wire_len && u->fifo_len < uart_fifo_depth(u) && !uart_loopback(u)) {
		uart_fifo_push(u, u->wire[u->wire_head]);
		u->wire_head = (u->wire_head + 1) % UART_WIRE_SIZE;
		u->wire_len--;
	}
}

static uint8_t uart_read_rx(struct uart16550 *u)
{
	uint8_t byte;

	if (!u->fifo_len)
		return 0;
	byte = u->fifo[u->fifo_head];
	u->fifo_head = (u->fifo_head + 1) % UART_FIFO_SIZE;
	u->fifo_len--;
	uart_fill_fifo(u);
	return byte;
}

/* Reading the IIR takes the transmitter interrupt back if it was reported. */
static uint8_t uart_read_iir(struct uart16550 *u)
{
	uint8_t cause = uart_cause(u);

	if (cause == UART_IIR_THRI)
		u->thre_pending = false;
	return cause | (uart_fifo_on(u) ? UART_IIR_FIFO_ON : 0);
}

static uint8_t uart_read_lsr(struct uart16550 *u)
{
	uint8_t lsr = UART_LSR_TX_EMPTY | u->errors | (u->fifo_len ? UART_LSR_DR : 0);

	u->errors = 0;
	return lsr;
}

/* MSR 7:4. In loopback they are MCR's outputs, else a terminal is there. */
static uint8_t uart_modem_lines(const struct uart16550 *u)
{
	uint8_t lines = 0;

	if (!uart_loopback(u))
		return UART_MSR_CTS | UART_MSR_DSR | UART_MSR_DCD;
	if (u->mcr & UART_MCR_RTS)
		lines |= UART_MSR_CTS;
	if (u->mcr & UART_MCR_DTR)
		lines |= UART_MSR_DSR;
	if (u->mcr & UART_MCR_OUT1)
		lines |= UART_MSR_RI;
	if (u->mcr & UART_MCR_OUT2)
		lines |= UART_MSR_DCD;
	return lines;
}

static uint8_t uart_read_msr(struct uart16550 *u)
{
	uint8_t msr = uart_modem_lines(u) | u->delta;

	u->delta = 0;
	return msr;
}

uint8_t uart_read(struct uart16550 *u, unsigned int reg)
{
	bool dlab = u->lcr & UART_LCR_DLAB;
	uint8_t val = 0;

	switch (reg) {
	case UART_RX:
		val = dlab ? u->dll : uart_read_rx(u);
		break;
	case UART_IER:
		val = dlab ? u->dlm : u->ier;
		break;
	case UART_IIR:
		val = uart_read_iir(u);
		break;
	case UART_LCR:
		val = u->lcr;
		break;
	case UART_MCR:
		val = u->mcr;
		break;
	case UART_LSR:
		val = uart_read_lsr(u);
		break;
	case UART_MSR:
		val = uart_read_msr(u);
		break;
	case UART_SCR:
		val = u->scratch;
		break;
	}
	uart_update_irq(u);
	return val;
}

/* The byte is gone before we return. The interrupt line falls and rises as it
 * would while the shift register is busy: an edge-triggered controller whose
 * driver did not read the IIR in between must hear of it again. */
static void uart_write_tx(struct uart16550 *u, uint8_t byte)
{
	u->thre_pending = false;
	uart_update_irq(u);
	if (uart_loopback(u))
		uart_fifo_push(u, byte);
	else
		u->put(u->put_ctx, byte);
	u->thre_pending = true;
}

/* Turning the transmitter interrupt on reports an empty transmitter anew. */
static void uart_write_ier(struct uart16550 *u, uint8_t val)
{
	uint8_t turned_on = val & ~u->ier;

	u->ier = val & UART_IER_USED;
	if (turned_on & UART_IER_THRI)
		u->thre_pending = true;
}

static void uart_clear_fifo(struct uart16550 *u)
{
	u->fifo_head = u->fifo_len = 0;
	u->errors = 0;
}

/* A cleared FIFO drops what was in it, not what is still on the wire. */
static void uart_write_fcr(struct uart16550 *u, uint8_t val)
{
	bool toggled = (val ^ u->fcr) & UART_FCR_ENABLE_FIFO;

	if (toggled || ((val & UART_FCR_ENABLE_FIFO) && (val & UART_FCR_CLEAR_RCVR)))
		uart_clear_fifo(u);
	if (toggled || ((val & UART_FCR_ENABLE_FIFO) && (val & UART_FCR_CLEAR_XMIT)))
		u->thre_pending = true;
	u->fcr = (val & UART_FCR_ENABLE_FIFO) ? val & (UART_FCR_TRIGGER_MASK | UART_FCR_ENABLE_FIFO) : 0;
	uart_fill_fifo(u);
}

static void uart_write_mcr(struct uart16550 *u, uint8_t val)
{
	uint8_t before = uart_modem_lines(u), changed;

	u->mcr = val & UART_MCR_USED;
	changed = before ^ uart_modem_lines(u);
	u->delta |= (changed & (UART_MSR_CTS | UART_MSR_DSR | UART_MSR_DCD)) >> 4;
	if (changed & before & UART_MSR_RI) /* only its trailing edge counts */
		u->delta |= UART_MSR_TERI;
	uart_fill_fifo(u);
}

void uart_write(struct uart16550 *u, unsigned int reg, uint8_t val)
{
	bool dlab = u->lcr & UART_LCR_DLAB;

	switch (reg) {
	case UART_TX:
		if (dlab)
			u->dll = val;
		else
			uart_write_tx(u, val);
		break;
	case UART_IER:
		if (dlab)
			u->dlm = val;
		else
			uart_write_ier(u, val);
		break;
	case UART_FCR:
		uart_write_fcr(u, val);
		break;
	case UART_LCR:
		u->lcr = val;
		break;
	case UART_MCR:
		uart_write_mcr(u, val);
		break;
	case UART_SCR:
		u->scratch = val;
		break;
	}
	uart_update_irq(u);
}

int uart_receive(struct uart16550 *u, uint8_t byte)
{
	if (u->wire_len == UART_WIRE_SIZE) {
		u->refused = true;
		return -EAGAIN;
	}
	u->wire[(u->wire_head + u->wire_len++) % UART_WIRE_SIZE] = byte;
	uart_fill_fifo(u);
	uart_update_irq(u);
	return 0;
}

bool uart_room_again(struct uart16550 *u)
{
	bool again = u->refused && u->wire_len < UART_WIRE_SIZE;

	if (again)
		u->refused = false;
	return again;
}

void uart_init(struct uart16550 *u, struct irq_line irq, void (*put)(void *ctx, uint8_t byte), void *put_ctx)
{
	*u = (struct uart16550){ .irq = irq, .put = put, .put_ctx = put_ctx, .dll = 1 };
	u->thre_pending = true;
}

void uart_save(const struct uart16550 *u, struct uart16550 *out)
{
	*out = *u;
	irq_line_unwire(&out->irq);
	out->put = NULL;
	out->put_ctx = NULL;
	out->refused = false;
}

void uart_restore(struct uart16550 *u, const struct uart16550 *saved)
{
	struct uart16550 wiring = *u;

	*u = *saved;
	irq_line_rewire(&u->irq, &wiring.irq);
	u->put = wiring.put;
	u->put_ctx = wiring.put_ctx;
	u->refused = wiring.refused;
}
