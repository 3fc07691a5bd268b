/* SPDX-License-Identifier: GPL-2.0-only */
/* The UART as the drivers of Linux and of small kernels use it. */
#include "tests/host/devices_fixture.h"

#include <linux/serial_reg.h>

#define COM1 0x3F8
#define VECTOR 0x34 /* IRQ 4 at the 8259 as pic_setup() leaves it */

static uint8_t get(struct fixture *f, unsigned int reg) { return inb(f, (uint16_t)(COM1 + reg)); }
static void put(struct fixture *f, unsigned int reg, uint8_t val) { outb(f, (uint16_t)(COM1 + reg), val); }

static void only_irq4(struct fixture *f)
{
	pic_setup(f, (uint16_t)~(1u << 4));
	put(f, UART_MCR, UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT2);
}

static void end_irq(struct fixture *f)
{
	outb(f, 0x20, 0x20);
}

static void output_reaches_the_host_at_once(void **state)
{
	struct fixture *f = *state;

	for (const char *s = "Linux"; *s; s++) {
		assert_int_equal(get(f, UART_LSR) & 0x60, 0x60);
		put(f, UART_TX, (uint8_t)*s);
	}
	assert_int_equal(f->out_len, 5);
	assert_memory_equal(f->out, "Linux", 5);
}

/* Whatever the line is set to, and in loopback too: a byte that was written
 * has left before anybody can ask, so that no polling loop turns once. */
static void transmitter_is_always_empty(void **state)
{
	static const uint8_t fcr[] = { 0, UART_FCR_ENABLE_FIFO, 0xC7 }, mcr[] = { 0, 0x0B, UART_MCR_LOOP };
	struct fixture *f = *state;
	size_t sent = 0;

	for (unsigned int lcr = 0; lcr < 128; lcr++)
		for (unsigned int i = 0; i < 9; i++) {
			put(f, UART_LCR, (uint8_t)(UART_LCR_DLAB | lcr));
			put(f, UART_DLL, (uint8_t)i); /* a divisor of zero too */
			put(f, UART_DLM, 0);
			put(f, UART_LCR, (uint8_t)lcr);
			put(f, UART_FCR, fcr[i % 3]);
			put(f, UART_MCR, mcr[i / 3]);
			put(f, UART_IER, (uint8_t)(lcr % 16));
			assert_int_equal(get(f, UART_LSR) & 0x60, 0x60);
			put(f, UART_TX, (uint8_t)lcr);
			assert_int_equal(get(f, UART_LSR) & 0x60, 0x60);
			put(f, UART_TX, (uint8_t)lcr);
			assert_int_equal(get(f, UART_LSR) & 0x60, 0x60);
			sent += i / 3 < 2 ? 2 : 0;
			while (get(f, UART_LSR) & UART_LSR_DR)
				get(f, UART_RX);
		}
	assert_int_equal(f->out_len, sent);
}

/* Output that begins before anything is set up, as early consoles do. */
static void untouched_uart_sends(void **state)
{
	struct fixture *f = *state;

	for (unsigned int i = 0; i < 256; i++) {
		assert_int_equal(get(f, UART_LSR), 0x60);
		put(f, UART_TX, (uint8_t)i);
	}
	assert_int_equal(f->out_len, 256);
	for (unsigned int i = 0; i < 256; i++)
		assert_int_equal((uint8_t)f->out[i], i);
}

static void loopback_brings_every_byte_back(void **state)
{
	struct fixture *f = *state;

	put(f, UART_MCR, UART_MCR_LOOP | UART_MCR_OUT2 | UART_MCR_OUT1 | UART_MCR_RTS);
	for (unsigned int i = 0; i < 256; i++) {
		put(f, UART_TX, (uint8_t)i);
		assert_int_equal(get(f, UART_LSR), 0x61);
		assert_int_equal(get(f, UART_RX), i);
		assert_int_equal(get(f, UART_LSR), 0x60);
	}
	assert_int_equal(f->out_len, 0);
}

/* MCR's outputs at MSR's inputs: DTR at DSR, RTS at CTS, OUT1 at RI, OUT2 at DCD. */
static void loopback_of_modem_lines(void **state)
{
	struct fixture *f = *state;

	for (unsigned int lines = 0; lines < 16; lines++) {
		uint8_t want = 0;

		put(f, UART_MCR, (uint8_t)(UART_MCR_LOOP | lines));
		want |= lines & UART_MCR_DTR ? UART_MSR_DSR : 0;
		want |= lines & UART_MCR_RTS ? UART_MSR_CTS : 0;
		want |= lines & UART_MCR_OUT1 ? UART_MSR_RI : 0;
		want |= lines & UART_MCR_OUT2 ? UART_MSR_DCD : 0;
		assert_int_equal(get(f, UART_MSR) & 0xF0, want);
		assert_int_equal(get(f, UART_MSR) & 0x0F, 0); /* changes are told once */
	}
	put(f, UART_MCR, 0);
	assert_int_equal(get(f, UART_MSR) & 0xF0, UART_MSR_CTS | UART_MSR_DSR | UART_MSR_DCD);
}

/* What the FIFO bits of the IIR tell apart: no FIFO, 16550A, 16750. */
static void fifo_detection(void **state)
{
	static const struct {
		uint8_t fcr, lcr, iir;
	} probe[] = {
		{ 0x00, 0, 0x00 }, { 0xE7, 0, 0xC0 }, { 0xC6, 0, 0x00 }, /* not without bit 0 */
		{ 0x21, UART_LCR_DLAB, 0xC0 }, { 0x01, 0, 0xC0 }, { 0x00, 0, 0x00 },
	};
	struct fixture *f = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(probe); i++) {
		put(f, UART_LCR, probe[i].lcr);
		put(f, UART_FCR, probe[i].fcr);
		assert_int_equal(get(f, UART_IIR), probe[i].iir | UART_IIR_NO_INT);
	}
}

/* Every set of causes and enables: the IIR names the first that is enabled. */
static void every_priority(void **state)
{
	static const uint8_t name[4] = { UART_IIR_RLSI, UART_IIR_RDI, UART_IIR_THRI, UART_IIR_MSI };
	static const uint8_t enable[4] = { UART_IER_RLSI, UART_IER_RDI, UART_IER_THRI, UART_IER_MSI };
	struct fixture *f = *state;

	for (unsigned int ier = 0; ier < 16; ier++) {
		uint8_t want = UART_IIR_NO_INT;

		put(f, UART_MCR, UART_MCR_LOOP);
		put(f, UART_TX, 1);
		put(f, UART_TX, 2); /* overrun, data, transmitter empty */
		put(f, UART_MCR, UART_MCR_LOOP | UART_MCR_RTS);
		put(f, UART_IER, (uint8_t)ier);
		for (unsigned int i = 4; i-- > 0;)
			want = ier & enable[i] ? name[i] : want;
		assert_int_equal(get(f, UART_IIR), want);
		put(f, UART_IER, 0);
		assert_int_equal(get(f, UART_IIR), UART_IIR_NO_INT);
		get(f, UART_LSR), get(f, UART_RX), get(f, UART_MSR);
	}
}

/* The probe of Linux's 8250 driver: IER, loopback, FIFO type, no EFR. */
static void linux_autoconfig_finds_a_16550a(void **state)
{
	struct fixture *f = *state;
	uint8_t save_mcr = get(f, UART_MCR), save_lcr = get(f, UART_LCR);

	put(f, UART_IER, 0);
	assert_int_equal(get(f, UART_IER) & 0x0F, 0);
	put(f, UART_IER, 0x0F);
	assert_int_equal(get(f, UART_IER) & 0x0F, 0x0F);
	put(f, UART_IER, 0);

	put(f, UART_MCR, UART_MCR_LOOP | UART_MCR_OUT2 | UART_MCR_RTS);
	assert_int_equal(get(f, UART_MSR) & 0xF0, UART_MSR_DCD | UART_MSR_CTS);
	put(f, UART_MCR, save_mcr);

	put(f, UART_LCR, UART_LCR_CONF_MODE_B);
	put(f, UART_EFR, 0);
	put(f, UART_LCR, 0);
	put(f, UART_FCR, UART_FCR_ENABLE_FIFO);
	assert_int_equal(get(f, UART_IIR) >> 6, 3);

	put(f, UART_LCR, UART_LCR_CONF_MODE_A);
	assert_int_not_equal(get(f, UART_EFR), 0);
	put(f, UART_LCR, UART_LCR_CONF_MODE_B);
	assert_int_not_equal(get(f, UART_EFR), 0);
	put(f, UART_LCR, 0);
	put(f, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR7_64BYTE);
	assert_int_equal(get(f, UART_IIR) & 0xE0, 0xC0); /* FIFO on, not a 16750's */
	put(f, UART_FCR, UART_FCR_ENABLE_FIFO);
	put(f, UART_IER, UART_IER_UUE);
	assert_int_equal(get(f, UART_IER) & UART_IER_UUE, 0);
	put(f, UART_LCR, save_lcr);
}

static void scratch_register_keeps_what_it_is_told(void **state)
{
	struct fixture *f = *state;

	put(f, UART_SCR, 0xA5);
	assert_int_equal(get(f, UART_SCR), 0xA5);
	put(f, UART_SCR, 0x5A);
	assert_int_equal(get(f, UART_SCR), 0x5A);
}

/* The driver's size test: send 256 bytes in loopback, count what comes back. */
static void fifo_size_in_loopback_is_16(void **state)
{
	struct fixture *f = *state;
	unsigned int count = 0;

	put(f, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR | UART_FCR_CLEAR_XMIT);
	put(f, UART_MCR, UART_MCR_LOOP);
	for (unsigned int i = 0; i < 256; i++)
		put(f, UART_TX, (uint8_t)i);
	assert_true(get(f, UART_LSR) & UART_LSR_OE);
	assert_false(get(f, UART_LSR) & UART_LSR_OE);
	while (get(f, UART_LSR) & UART_LSR_DR)
		assert_int_equal(get(f, UART_RX), count++);
	assert_int_equal(count, 16);
	assert_int_equal(f->out_len, 0);
}

/* Linux's tests for broken transmitter interrupts in startup(). */
static void transmitter_interrupt_returns_when_enabled_again(void **state)
{
	struct fixture *f = *state;

	put(f, UART_IER, UART_IER_THRI);
	assert_int_equal(get(f, UART_IIR) & 0x0F, UART_IIR_THRI);
	assert_int_equal(get(f, UART_IIR) & 0x0F, UART_IIR_NO_INT);
	put(f, UART_IER, 0);
	put(f, UART_IER, UART_IER_THRI);
	assert_int_equal(get(f, UART_IIR) & 0x0F, UART_IIR_THRI);
	put(f, UART_IER, 0);
}

static void divisor_latch_hides_data_and_ier(void **state)
{
	struct fixture *f = *state;

	put(f, UART_LCR, UART_LCR_DLAB | 3);
	put(f, UART_DLL, 0x34);
	put(f, UART_DLM, 0x12);
	assert_int_equal(get(f, UART_DLL), 0x34);
	assert_int_equal(get(f, UART_DLM), 0x12);
	put(f, UART_LCR, 3);
	assert_int_equal(get(f, UART_IER), 0);
	assert_int_equal(f->out_len, 0);
}

static void received_byte_interrupts_and_is_read(void **state)
{
	struct fixture *f = *state;

	only_irq4(f);
	put(f, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_R_TRIG_10);
	put(f, UART_IER, UART_IER_RDI | UART_IER_RLSI);
	assert_int_equal(take(f), -EAGAIN);
	assert_int_equal(platform_console_input(&f->p, 'x'), 0);
	assert_int_equal(take(f), VECTOR);
	assert_int_equal(get(f, UART_IIR), 0xC0 | UART_IIR_RX_TIMEOUT); /* below the trigger level */
	assert_int_equal(get(f, UART_LSR), 0x61);
	assert_int_equal(get(f, UART_RX), 'x');
	assert_int_equal(get(f, UART_IIR), 0xC0 | UART_IIR_NO_INT);
	assert_int_equal(get(f, UART_LSR), 0x60);
	end_irq(f);
	assert_int_equal(take(f), -EAGAIN);
}

static void trigger_level_tells_data_from_timeout(void **state)
{
	struct fixture *f = *state;

	put(f, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_R_TRIG_10);
	put(f, UART_IER, UART_IER_RDI);
	for (unsigned int i = 0; i < 8; i++) {
		assert_int_equal(platform_console_input(&f->p, 'a'), 0);
		assert_int_equal(get(f, UART_IIR) & 0x0F, i < 7 ? UART_IIR_RX_TIMEOUT : UART_IIR_RDI);
	}
}

static void interrupt_priorities(void **state)
{
	struct fixture *f = *state;

	put(f, UART_MCR, UART_MCR_LOOP);
	put(f, UART_TX, 1);
	put(f, UART_TX, 2); /* no FIFO: overrun */
	put(f, UART_MCR, UART_MCR_LOOP | UART_MCR_RTS);
	put(f, UART_IER, 0x0F);
	assert_int_equal(get(f, UART_IIR), UART_IIR_RLSI);
	assert_true(get(f, UART_LSR) & UART_LSR_OE);
	assert_int_equal(get(f, UART_IIR), UART_IIR_RDI);
	assert_int_equal(get(f, UART_RX), 1);
	assert_int_equal(get(f, UART_IIR), UART_IIR_THRI);
	assert_int_equal(get(f, UART_IIR), UART_IIR_MSI);
	assert_true(get(f, UART_MSR) & UART_MSR_DCTS);
	assert_int_equal(get(f, UART_IIR), UART_IIR_NO_INT);
}

static void out2_gates_the_interrupt(void **state)
{
	struct fixture *f = *state;

	only_irq4(f);
	put(f, UART_MCR, 0);
	put(f, UART_IER, UART_IER_THRI);
	assert_int_equal(take(f), -EAGAIN);
	put(f, UART_MCR, UART_MCR_OUT2);
	assert_int_equal(take(f), VECTOR);
}

static void loopback_keeps_the_interrupt_inside(void **state)
{
	struct fixture *f = *state;

	only_irq4(f);
	put(f, UART_MCR, UART_MCR_LOOP | UART_MCR_OUT2);
	put(f, UART_IER, UART_IER_THRI);
	assert_int_equal(take(f), -EAGAIN);
	put(f, UART_MCR, UART_MCR_OUT2);
	assert_int_equal(take(f), VECTOR);
}

/* A driver that acknowledges, writes without reading the IIR, and waits for
 * the next edge. */
static void every_write_makes_a_new_edge(void **state)
{
	struct fixture *f = *state;

	only_irq4(f);
	put(f, UART_IER, UART_IER_THRI);
	for (unsigned int i = 0; i < 100; i++) {
		assert_int_equal(take(f), VECTOR);
		end_irq(f);
		put(f, UART_TX, 'z');
	}
	assert_int_equal(f->out_len, 100);
}

static void fast_typing_is_not_lost(void **state)
{
	struct fixture *f = *state;
	unsigned int sent = 0, got = 0;

	put(f, UART_FCR, UART_FCR_ENABLE_FIFO);
	while (platform_console_input(&f->p, (uint8_t)sent) == 0)
		sent++;
	assert_true(sent >= 256);
	f->kicks = 0;
	while (get(f, UART_LSR) & UART_LSR_DR) {
		assert_int_equal(get(f, UART_RX), (uint8_t)got);
		if (got++ == 0)
			assert_int_equal(f->kicks, 1); /* room again: told once */
	}
	assert_int_equal(got, sent);
	assert_int_equal(f->kicks, 1);
	assert_int_equal(platform_console_input(&f->p, 'n'), 0);
}

/* What the driver clears while it starts is not what is typed later. */
static void input_waits_on_the_wire_in_loopback(void **state)
{
	struct fixture *f = *state;

	put(f, UART_FCR, UART_FCR_ENABLE_FIFO);
	put(f, UART_MCR, UART_MCR_LOOP);
	assert_int_equal(platform_console_input(&f->p, 'q'), 0);
	assert_false(get(f, UART_LSR) & UART_LSR_DR);
	put(f, UART_MCR, 0);
	assert_true(get(f, UART_LSR) & UART_LSR_DR);
	assert_int_equal(get(f, UART_RX), 'q');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		device_test(output_reaches_the_host_at_once),
		device_test(transmitter_is_always_empty),
		device_test(untouched_uart_sends),
		device_test(loopback_brings_every_byte_back),
		device_test(loopback_of_modem_lines),
		device_test(fifo_detection),
		device_test(every_priority),
		device_test(linux_autoconfig_finds_a_16550a),
		device_test(scratch_register_keeps_what_it_is_told),
		device_test(fifo_size_in_loopback_is_16),
		device_test(transmitter_interrupt_returns_when_enabled_again),
		device_test(divisor_latch_hides_data_and_ier),
		device_test(received_byte_interrupts_and_is_read),
		device_test(trigger_level_tells_data_from_timeout),
		device_test(interrupt_priorities),
		device_test(out2_gates_the_interrupt),
		device_test(loopback_keeps_the_interrupt_inside),
		device_test(every_write_makes_a_new_edge),
		device_test(fast_typing_is_not_lost),
		device_test(input_waits_on_the_wire_in_loopback),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
