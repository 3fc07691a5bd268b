/* SPDX-License-Identifier: GPL-2.0-only */
/* Saving and restoring a platform: see the header. Devices that are wired to
 * others have functions of their own, the rest is copied. */
#include "devices/platform_snapshot.h"

#include "lib/errno.h"

void platform_save(const struct platform *p, uint64_t now, struct platform_snapshot *s)
{
	__builtin_memset(s, 0, sizeof(*s));
	s->tsc_hz = p->config.tsc_hz;
	s->low_memory = p->config.low_memory;
	s->high_memory = p->config.high_memory;
	s->vcpus = p->config.vcpus;
	s->now = now - p->clock_offset;
	uart_save(&p->uart, &s->uart);
	pic_save(&p->pic, &s->pic);
	pit_save(&p->pit, &s->pit);
	rtc_save(&p->rtc, &s->rtc);
	acpi_pm_save(&p->pm, &s->pm);
	i8042_save(&p->i8042, &s->i8042);
	ioapic_save(&p->ioapic, &s->ioapic);
	for (unsigned int i = 0; i < p->config.vcpus; i++)
		lapic_save(&p->lapic[i], &s->lapic[i]);
	s->dma = p->dma;
	s->reset = p->reset;
	s->fw_cfg = p->fw_cfg;
	s->vga = p->vga;
	s->pci_address = p->pci_address;
}

static bool same_machine(const struct platform_config *c, const struct platform_snapshot *s)
{
	return c->tsc_hz == s->tsc_hz && c->low_memory == s->low_memory && c->high_memory == s->high_memory &&
	       c->vcpus == s->vcpus;
}

/* Deadlines and what can be taken are others now, and there may be room for
 * input again. */
static void kick_all(struct platform *p)
{
	const struct platform_host *h = &p->config.host;

	(void)uart_room_again(&p->uart);
	for (unsigned int i = 0; i < p->config.vcpus; i++)
		h->kick(h->ctx, i);
}

int platform_restore(struct platform *p, uint64_t now, const struct platform_snapshot *s)
{
	if (!same_machine(&p->config, s))
		return -EINVAL;
	p->clock_offset = now - s->now;
	uart_restore(&p->uart, &s->uart);
	pic_restore(&p->pic, &s->pic);
	pit_restore(&p->pit, &s->pit);
	rtc_restore(&p->rtc, &s->rtc);
	acpi_pm_restore(&p->pm, &s->pm);
	i8042_restore(&p->i8042, &s->i8042);
	ioapic_restore(&p->ioapic, &s->ioapic);
	for (unsigned int i = 0; i < p->config.vcpus; i++)
		lapic_restore(&p->lapic[i], &s->lapic[i]);
	p->dma = s->dma;
	p->reset = s->reset;
	p->fw_cfg = s->fw_cfg;
	p->vga = s->vga;
	p->pci_address = s->pci_address;
	kick_all(p);
	return 0;
}
