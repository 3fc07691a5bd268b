/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which port belongs to which device. Each pair of functions turns a port
 * number into a register of its device; the table at the end is sorted, and
 * looked up by bisection.
 */
#include "devices/platform_ports.h"

#define ALL_ONES UINT32_MAX

static void request_power(struct platform *p, enum power_request r)
{
	const struct platform_host *h = &p->config.host;

	if (r == POWER_OFF)
		h->stop(h->ctx, PLATFORM_STOP_POWEROFF, 0);
	else if (r == POWER_RESET)
		h->stop(h->ctx, PLATFORM_STOP_RESET, 0);
}

static uint32_t pic_port_read(struct platform *p, uint16_t port, unsigned int len)
{
	return pic_read(&p->pic, port >> 7 & 1, port & 1); /* 0x20, 0xA0 */
}

static void pic_port_write(struct platform *p, uint16_t port, unsigned int len, uint32_t val)
{
	pic_write(&p->pic, port >> 7 & 1, port & 1, (uint8_t)val);
}

static uint32_t elcr_port_read(struct platform *p, uint16_t port, unsigned int len)
{
	return pic_elcr_read(&p->pic, port & 1);
}

static void elcr_port_write(struct platform *p, uint16_t port, unsigned int len, uint32_t val)
{
	pic_elcr_write(&p->pic, port & 1, (uint8_t)val);
}

static uint32_t pit_port_read(struct platform *p, uint16_t port, unsigned int len)
{
	return pit_read(&p->pit, port & 3, p->access_now);
}

static void pit_port_write(struct platform *p, uint16_t port, unsigned int len, uint32_t val)
{
	pit_write(&p->pit, port & 3, (uint8_t)val, p->access_now);
}

static uint32_t speaker_port_read(struct platform *p, uint16_t port, unsigned int len)
{
	return pit_port61_read(&p->pit, p->access_now);
}

static void speaker_port_write(struct platform *p, uint16_t port, unsigned int len, uint32_t val)
{
	pit_port61_write(&p->pit, (uint8_t)val, p->access_now);
}

static uint32_t kbd_data_read(struct platform *p, uint16_t port, unsigned int len)
{
	return i8042_read_data(&p->i8042);
}

static void kbd_data_write(struct platform *p, uint16_t port, unsigned int len, uint32_t val)
{
	request_power(p, i8042_write_data(&p->i8042, (uint8_t)val));
}

static uint32_t kbd_status_read(struct platform *p, uint16_t port, unsigned int len)
{
	return i8042_read_status(&p->i8042);
}

static void kbd_command_write(struct platform *p, uint16_t port, unsigned int len, uint32_t val)
{
	request_power(p, i8042_write_command(&p->i8042, (uint8_t)val));
}

static uint32_t rtc_port_read(struct platform *p, uint16_t port, unsigned int len)
{
	return rtc_read(&p->rtc, port & 1, p->access_now);
}

static void rtc_port_write(struct platform *p, uint16_t port, unsigned int len, uint32_t val)
{
	rtc_write(&p->rtc, port & 1, (uint8_t)val, p->access_now);
}

static uint32_t dma_port_read(struct platform *p, uint16_t port, unsigned int len)
{
	return port < 0xC0 ? dma_read(&p->dma, 0, port) : dma_read(&p->dma, 1, (port - 0xC0u) / 2);
}

static void dma_port_write(struct platform *p, uint16_t port, unsigned int len, uint32_t val)
{
	if (port < 0xC0)
		dma_write(&p->dma, 0, port, (uint8_t)val);
	else
		dma_write(&p->dma, 1, (port - 0xC0u) / 2, (uint8_t)val);
}

/* Among them the POST code at 0x80. */
static uint32_t dma_page_read(struct platform *p, uint16_t port, unsigned int len)
{
	return p->dma.page[port % DMA_PAGES];
}

static void dma_page_write(struct platform *p, uint16_t port, unsigned int len, uint32_t val)
{
	p->dma.page[port % DMA_PAGES] = (uint8_t)val;
}

static uint32_t port92_read(struct platform *p, uint16_t port, unsigned int len)
{
	return i8042_port92_read(&p->i8042);
}

static void port92_write(struct platform *p, uint16_t port, unsigned int len, uint32_t val)
{
	request_power(p, i8042_port92_write(&p->i8042, (uint8_t)val));
}

/* Bochs's debug output: reading gives the port number, "I am here". */
static uint32_t debug_port_read(struct platform *p, uint16_t port, unsigned int len)
{
	return port;
}

static void debug_port_write(struct platform *p, uint16_t port, unsigned int len, uint32_t val)
{
	const struct platform_host *h = &p->config.host;

	h->console_put(h->ctx, (uint8_t)val);
}

static uint32_t ones_read(struct platform *p, uint16_t port, unsigned int len)
{
	return ALL_ONES;
}

static void swallow_write(struct platform *p, uint16_t port, unsigned int len, uint32_t val)
{
}

static void debug_exit_write(struct platform *p, uint16_t port, unsigned int len, uint32_t val)
{
	const struct platform_host *h = &p->config.host;

	h->stop(h->ctx, PLATFORM_STOP_DEBUG_EXIT, val);
}

static uint32_t vga_port_read(struct platform *p, uint16_t port, unsigned int len)
{
	return vga_read(&p->vga, port);
}

static void vga_port_write(struct platform *p, uint16_t port, unsigned int len, uint32_t val)
{
	vga_write(&p->vga, port, (uint8_t)val);
}

static uint32_t uart_port_read(struct platform *p, uint16_t port, unsigned int len)
{
	return uart_read(&p->uart, port & 7);
}

static void uart_port_write(struct platform *p, uint16_t port, unsigned int len, uint32_t val)
{
	uart_write(&p->uart, port & 7, (uint8_t)val);
}

static void fw_cfg_select_write(struct platform *p, uint16_t port, unsigned int len, uint32_t val)
{
	if (len == 2)
		fw_cfg_select(&p->fw_cfg, (uint16_t)val);
}

static uint32_t fw_cfg_data_read(struct platform *p, uint16_t port, unsigned int len)
{
	return fw_cfg_read(&p->fw_cfg);
}

static uint32_t pm_port_read(struct platform *p, uint16_t port, unsigned int len)
{
	return acpi_pm_read(&p->pm, port, p->access_now);
}

static void pm_port_write(struct platform *p, uint16_t port, unsigned int len, uint32_t val)
{
	request_power(p, acpi_pm_write(&p->pm, port, (uint8_t)val, p->access_now));
}

/* PCI configuration mechanism #1: the address is a 32-bit register, its bytes
 * are other things (0xCF9 is the reset register). */
static uint32_t pci_address_read(struct platform *p, uint16_t port, unsigned int len)
{
	if (len == 4)
		return p->pci_address;
	return port == 0xCF9 ? reset_cf9_read(&p->reset) : ALL_ONES;
}

static void pci_address_write(struct platform *p, uint16_t port, unsigned int len, uint32_t val)
{
	if (len == 4)
		p->pci_address = val & 0x80FFFFFC;
	else if (port == 0xCF9)
		request_power(p, reset_cf9_write(&p->reset, (uint8_t)val));
}

static void shutdown_port_write(struct platform *p, uint16_t port, unsigned int len, uint32_t val)
{
	request_power(p, reset_shutdown_write(&p->reset, (uint8_t)val));
}

static const struct port_range port_map[] = {
	{ 0x000, 0x00F, 1, dma_port_read, dma_port_write },
	{ 0x020, 0x021, 1, pic_port_read, pic_port_write },
	{ 0x040, 0x043, 1, pit_port_read, pit_port_write },
	{ 0x060, 0x060, 1, kbd_data_read, kbd_data_write },
	{ 0x061, 0x061, 1, speaker_port_read, speaker_port_write },
	{ 0x064, 0x064, 1, kbd_status_read, kbd_command_write },
	{ 0x070, 0x071, 1, rtc_port_read, rtc_port_write },
	{ 0x080, 0x08F, 1, dma_page_read, dma_page_write },
	{ 0x092, 0x092, 1, port92_read, port92_write },
	{ 0x0A0, 0x0A1, 1, pic_port_read, pic_port_write },
	{ 0x0C0, 0x0DF, 1, dma_port_read, dma_port_write },
	{ 0x0E9, 0x0E9, 1, debug_port_read, debug_port_write },
	{ 0x0ED, 0x0ED, 1, ones_read, swallow_write }, /* I/O delay */
	{ 0x0F4, 0x0F7, 1 | 2 | 4, ones_read, debug_exit_write },
	{ 0x3B4, 0x3B5, 1, vga_port_read, vga_port_write },
	{ 0x3BA, 0x3BA, 1, vga_port_read, vga_port_write },
	{ 0x3C0, 0x3CF, 1, vga_port_read, vga_port_write },
	{ 0x3D4, 0x3D5, 1, vga_port_read, vga_port_write },
	{ 0x3DA, 0x3DA, 1, vga_port_read, vga_port_write },
	{ 0x3F8, 0x3FF, 1, uart_port_read, uart_port_write },
	{ 0x4D0, 0x4D1, 1, elcr_port_read, elcr_port_write },
	{ 0x510, 0x510, 1 | 2, ones_read, fw_cfg_select_write },
	{ 0x511, 0x511, 1, fw_cfg_data_read, swallow_write },
	{ ACPI_PM_BASE, ACPI_PM_LAST, 1, pm_port_read, pm_port_write },
	{ 0xCF8, 0xCFB, 1 | 4, pci_address_read, pci_address_write },
	{ 0xCFC, 0xCFF, 1 | 2 | 4, ones_read, swallow_write }, /* nothing on the bus */
	{ 0x8900, 0x8900, 1, ones_read, shutdown_port_write },
};

const struct port_range *port_range_find(uint16_t port)
{
	unsigned int low = 0, high = ARRAY_SIZE(port_map);

	while (low < high) {
		unsigned int middle = (low + high) / 2;

		if (port < port_map[middle].first)
			high = middle;
		else if (port > port_map[middle].last)
			low = middle + 1;
		else
			return &port_map[middle];
	}
	return NULL;
}
