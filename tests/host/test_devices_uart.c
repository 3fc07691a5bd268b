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
