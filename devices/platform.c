/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The platform: wires the devices to each other and to the host, and hands
 * out the vCPU's accesses. Wiring:
 *
 *   devices -> ISA lines -+-> 8259 pair -> LINT0 of every local APIC -> CPU
 *                         +-> I/O APIC (IRQ 0 at input 2) -> local APICs
 */
#include "devices/platform.h"

#include "devices/platform_ports.h"
#include "devices/ticks.h"
#include "lib/errno.h"

#define IRQ_TIMER 0
#define IRQ_KEYBOARD 1
#define IRQ_COM1 4
#define IRQ_RTC 8
#define IRQ_AUX 12

#define TSC_HZ_LEAST 10000000u            /* above every device's clock */
#define RTC_EPOCH_MOST 253402300799ull    /* the end of the year 9999 */

_Static_assert(PLATFORM_NEVER == TICKS_NEVER, "one never");
_Static_assert(LAPIC_DEFAULT_BASE == 0xFEE00000u, "lapic.c knows it too");

/* ---- two clocks: the host's, and ours, which stands between a save and its restore ---- */

static uint64_t platform_now(const struct platform *p)
{
	return p->config.host.now(p->config.host.ctx) - p->clock_offset;
}

static bool is_ahead(const struct platform *p) { return p->clock_offset >> 63; }

/* A time of ours as the host's. Beyond the end of its clock is never, before
 * its beginning is past. */
static uint64_t to_host(const struct platform *p, uint64_t t)
{
	uint64_t host = t + p->clock_offset;

	if (t == PLATFORM_NEVER || (!is_ahead(p) && host < t))
		return PLATFORM_NEVER;
	return is_ahead(p) && host > t ? 0 : host;
}

/* And back; zero is no deadline. */
static uint64_t deadline_from_host(const struct platform *p, uint64_t t)
{
	uint64_t own = t - p->clock_offset;

	if (t == PLATFORM_NEVER || (is_ahead(p) && own < t))
		return PLATFORM_NEVER;
	return t && (!own || (!is_ahead(p) && own > t)) ? 1 : own;
}

/* ---- wiring ---- */

static void isa_irq_changed(void *ctx, unsigned int irq, bool level)
{
	struct platform *p = ctx;

	pic_set_irq(&p->pic, irq, level);
	ioapic_set_pin(&p->ioapic, irq == IRQ_TIMER ? IOAPIC_PIN_TIMER : irq, level);
}

static void pic_out_changed(void *ctx, unsigned int irq, bool level)
{
	struct platform *p = ctx;

	for (unsigned int i = 0; i < p->config.vcpus; i++)
		lapic_set_lint0(&p->lapic[i], level);
}

static void kick_cpu(void *ctx, unsigned int cpu)
{
	struct platform *p = ctx;

	p->config.host.kick(p->config.host.ctx, cpu);
}

static void broadcast_eoi(void *ctx, uint8_t vector)
{
	struct platform *p = ctx;

	ioapic_eoi(&p->ioapic, vector);
}

/* Lowest priority goes to the least busy of the addressed. */
static bool send_lowest_priority(struct platform *p, const struct apic_message *m)
{
	struct lapic *best = NULL;

	for (unsigned int i = 0; i < p->config.vcpus; i++) {
		struct lapic *l = &p->lapic[i];

		if (lapic_matches(l, m) && (!best || lapic_ppr(l) < lapic_ppr(best)))
			best = l;
	}
	return best && lapic_accept(best, m);
}

static bool send_message(void *ctx, const struct apic_message *m)
{
	struct platform *p = ctx;
	bool accepted = false;

	if (m->delivery == APIC_LOWEST_PRIORITY)
		return send_lowest_priority(p, m);
	for (unsigned int i = 0; i < p->config.vcpus; i++)
		if (lapic_matches(&p->lapic[i], m) && lapic_accept(&p->lapic[i], m))
			accepted = true;
	return accepted;
}

static void send_ipi(void *ctx, unsigned int from, const struct apic_message *m, enum apic_shorthand to)
{
	struct platform *p = ctx;

	if (to == APIC_TO_DESTINATION) {
		(void)send_message(p, m);
		return;
	}
	for (unsigned int i = 0; i < p->config.vcpus; i++)
		if (to == APIC_TO_ALL || (i == from) == (to == APIC_TO_SELF))
			(void)lapic_accept(&p->lapic[i], m);
}

/* ---- accesses ---- */

/* By our clock. */
static uint64_t next_deadline(const struct platform *p)
{
	uint64_t next = ticks_min(ticks_min(p->pit.deadline, p->rtc.deadline), p->pm.deadline);

	for (unsigned int i = 0; i < p->config.vcpus; i++)
		next = ticks_min(next, p->lapic[i].deadline);
	return next;
}

/* Every access may arm a timer, or make room for input: tell the host. */
struct access {
	uint64_t deadline;
};

static struct access access_begin(struct platform *p)
{
	p->access_now = platform_now(p);
	return (struct access){ next_deadline(p) };
}

static void access_end(struct platform *p, struct access a)
{
	if (next_deadline(p) < a.deadline || uart_room_again(&p->uart))
		kick_cpu(p, 0);
}

static bool port_len_ok(unsigned int len)
{
	return len == 1 || len == 2 || len == 4;
}

/* The range that takes the whole access in one piece, or NULL. */
static const struct port_range *port_range_for(uint16_t port, unsigned int len)
{
	const struct port_range *r = port_range_find(port);
	bool last_fits = r && (len == 1 || port + len - 1u <= r->last || r->first == r->last);

	return last_fits && (r->widths & len) ? r : NULL;
}

static uint32_t low_bytes(uint32_t val, unsigned int len)
{
	return len >= 4 ? val : val & ((1u << 8 * len) - 1);
}

static uint32_t port_read_one(struct platform *p, uint16_t port)
{
	const struct port_range *r = port_range_find(port);

	if (r)
		return r->read(p, port, 1) & 0xFF;
	p->unclaimed++;
	return 0xFF;
}

static void port_write_one(struct platform *p, uint16_t port, uint8_t val)
{
	const struct port_range *r = port_range_find(port);

	if (r)
		r->write(p, port, 1, val);
	else
		p->unclaimed++;
}

void platform_port_read(struct platform *p, unsigned int cpu, uint16_t port, unsigned int len, uint32_t *val)
{
	const struct port_range *r = port_range_for(port, len);
	struct access a;

	*val = UINT32_MAX;
	if (!port_len_ok(len))
		return;
	a = access_begin(p);
	if (r) {
		*val = low_bytes(r->read(p, port, len), len);
	} else {
		*val = 0;
		for (unsigned int i = 0; i < len; i++)
			*val |= port_read_one(p, (uint16_t)(port + i)) << 8 * i;
	}
	access_end(p, a);
}

void platform_port_write(struct platform *p, unsigned int cpu, uint16_t port, unsigned int len, uint32_t val)
{
	const struct port_range *r = port_range_for(port, len);
	struct access a;

	if (!port_len_ok(len))
		return;
	a = access_begin(p);
	if (r) {
		r->write(p, port, len, low_bytes(val, len));
	} else {
		for (unsigned int i = 0; i < len; i++)
			port_write_one(p, (uint16_t)(port + i), (uint8_t)(val >> 8 * i));
	}
	access_end(p, a);
}

/* The local APIC's page, where it is and if it is there at all. */
static bool mmio_is_lapic(const struct lapic *l, gpa_t addr)
{
	return lapic_hw_enabled(l) && !lapic_x2apic(l) && addr.v >> PAGE_SHIFT == l->base >> PAGE_SHIFT;
}

static bool mmio_is_ioapic(gpa_t addr)
{
	return addr.v >> PAGE_SHIFT == IOAPIC_DEFAULT_BASE >> PAGE_SHIFT;
}

static bool mmio_len_ok(unsigned int len)
{
	return len == 1 || len == 2 || len == 4 || len == 8;
}

static uint64_t mmio_low_bytes(uint64_t val, unsigned int len)
{
	return len >= 8 ? val : val & ((1ull << 8 * len) - 1);
}

void platform_mmio_read(struct platform *p, unsigned int cpu, gpa_t addr, unsigned int len, uint64_t *val)
{
	uint32_t offset = (uint32_t)gpa_offset(addr);
	struct lapic *l = &p->lapic[cpu];
	struct access a;

	*val = UINT64_MAX;
	if (!mmio_len_ok(len))
		return;
	a = access_begin(p);
	if (mmio_is_lapic(l, addr))
		*val = lapic_mmio_read(l, offset, len, p->access_now);
	else if (mmio_is_ioapic(addr))
		*val = ioapic_read(&p->ioapic, offset);
	else
		p->unclaimed++;
	*val = mmio_low_bytes(*val, len);
	access_end(p, a);
}

void platform_mmio_write(struct platform *p, unsigned int cpu, gpa_t addr, unsigned int len, uint64_t val)
{
	uint32_t offset = (uint32_t)gpa_offset(addr);
	struct lapic *l = &p->lapic[cpu];
	struct access a;

	if (!mmio_len_ok(len))
		return;
	a = access_begin(p);
	if (mmio_is_lapic(l, addr))
		lapic_mmio_write(l, offset, len, val, p->access_now);
	else if (mmio_is_ioapic(addr))
		ioapic_write(&p->ioapic, offset, (uint32_t)mmio_low_bytes(val, len));
	else
		p->unclaimed++;
	access_end(p, a);
}

int platform_msr_read(struct platform *p, unsigned int cpu, uint32_t msr, uint64_t *val)
{
	struct access a = access_begin(p);
	int err = lapic_msr_read(&p->lapic[cpu], msr, p->access_now, val);

	if (msr == MSR_IA32_TSC_DEADLINE && *val)
		*val = to_host(p, *val);
	access_end(p, a);
	return err;
}

int platform_msr_write(struct platform *p, unsigned int cpu, uint32_t msr, uint64_t val)
{
	struct access a = access_begin(p);
	int err;

	if (msr == MSR_IA32_TSC_DEADLINE)
		val = deadline_from_host(p, val);
	err = lapic_msr_write(&p->lapic[cpu], msr, p->access_now, val);
	access_end(p, a);
	return err;
}

uint8_t platform_cr8_read(struct platform *p, unsigned int cpu)
{
	return (uint8_t)(p->lapic[cpu].tpr >> 4);
}

void platform_cr8_write(struct platform *p, unsigned int cpu, uint8_t val)
{
	lapic_set_tpr(&p->lapic[cpu], (uint8_t)(val << 4));
}

/* ---- interrupts ---- */

static bool extint_pending(const struct platform *p, unsigned int cpu)
{
	return p->pic.out.level && lapic_passes_extint(&p->lapic[cpu]);
}

bool platform_interrupt_pending(struct platform *p, unsigned int cpu)
{
	return extint_pending(p, cpu) || lapic_pending(&p->lapic[cpu]) >= 0;
}

/* The 8259 first: the priority of the task does not hold it back. */
int platform_interrupt_ack(struct platform *p, unsigned int cpu)
{
	int vector;

	if (extint_pending(p, cpu))
		return pic_acknowledge(&p->pic);
	vector = lapic_pending(&p->lapic[cpu]);
	if (vector < 0)
		return -EAGAIN;
	lapic_acknowledge(&p->lapic[cpu], (uint8_t)vector);
	return vector;
}

bool platform_nmi_take(struct platform *p, unsigned int cpu)
{
	bool nmi = p->lapic[cpu].nmi;

	p->lapic[cpu].nmi = false;
	return nmi;
}

bool platform_nmi_possible(const struct platform *p, unsigned int cpu)
{
	return p->lapic[cpu].nmi || lapic_lint0_is_nmi(&p->lapic[cpu]) || ioapic_sends_nmis(&p->ioapic);
}

/* ---- time ---- */

void platform_run_timers(struct platform *p)
{
	uint64_t now = platform_now(p);

	if (p->pit.deadline <= now)
		pit_run(&p->pit, now);
	if (p->rtc.deadline <= now)
		rtc_run(&p->rtc, now);
	if (p->pm.deadline <= now)
		acpi_pm_run(&p->pm, now);
	for (unsigned int i = 0; i < p->config.vcpus; i++)
		if (p->lapic[i].deadline <= now)
			lapic_run(&p->lapic[i], now);
}

uint64_t platform_next_deadline(const struct platform *p)
{
	return to_host(p, next_deadline(p));
}

int platform_console_input(struct platform *p, uint8_t byte)
{
	return uart_receive(&p->uart, byte);
}

/* ---- life ---- */

static struct irq_line isa_line(struct platform *p, unsigned int irq)
{
	return (struct irq_line){ .changed = isa_irq_changed, .ctx = p, .irq = irq };
}

static void platform_init_interrupts(struct platform *p)
{
	struct lapic_bus bus = { .send = send_ipi, .eoi = broadcast_eoi, .kick = kick_cpu, .ctx = p };

	pic_init(&p->pic, (struct irq_line){ .changed = pic_out_changed, .ctx = p });
	pic_elcr_write(&p->pic, 1, 1u << (ACPI_SCI_IRQ - 8)); /* the SCI is level-triggered */
	ioapic_init(&p->ioapic, send_message, p);
	for (unsigned int i = 0; i < p->config.vcpus; i++)
		lapic_init(&p->lapic[i], i, p->config.tsc_hz, &bus);
}

int platform_init(struct platform *p, const struct platform_config *c)
{
	const struct platform_host *h = &c->host;

	if (!h->now || !h->console_put || !h->stop || !h->kick)
		return -EINVAL;
	if (c->tsc_hz < TSC_HZ_LEAST || c->vcpus < 1 || c->vcpus > PLATFORM_VCPUS_MAX ||
	    c->rtc_epoch > RTC_EPOCH_MOST || c->low_memory > IOAPIC_DEFAULT_BASE)
		return -EINVAL;
	*p = (struct platform){ .config = *c };
	platform_init_interrupts(p);
	uart_init(&p->uart, isa_line(p, IRQ_COM1), h->console_put, h->ctx);
	pit_init(&p->pit, c->tsc_hz, isa_line(p, IRQ_TIMER));
	rtc_init(&p->rtc, c->tsc_hz, c->rtc_epoch, c->low_memory, c->high_memory, isa_line(p, IRQ_RTC));
	acpi_pm_init(&p->pm, c->tsc_hz, isa_line(p, ACPI_SCI_IRQ));
	i8042_init(&p->i8042, isa_line(p, IRQ_KEYBOARD), isa_line(p, IRQ_AUX));
	dma_init(&p->dma);
	reset_init(&p->reset);
	vga_init(&p->vga);
	fw_cfg_init(&p->fw_cfg, c->low_memory + c->high_memory, (uint16_t)c->vcpus);
	return 0;
}
