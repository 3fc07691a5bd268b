/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ACPI fixed hardware (ACPI specification, "ACPI Hardware Specification").
 * Invariant: the SCI line says whether an enabled status bit is set.
 */
#include "devices/acpi_pm.h"

#include "devices/ticks.h"

#define PM1_TIMER 0x0001 /* TMR_STS, TMR_EN */
#define PM1_ENABLE_USED 0x0721
#define PM1_SCI_EN 0x0001
#define PM1_SLP_TYP(control) ((control) >> 10 & 7)
#define PM1_SLP_EN 0x2000
#define PM1_CONTROL_USED 0x1C03

#define TIMER_TOP_PERIOD (1ull << 31) /* ticks between changes of bit 31 */

static uint64_t pm_ticks(const struct acpi_pm *pm, uint64_t now)
{
	return ticks_scale(now, ACPI_PM_TIMER_HZ, pm->tsc_hz);
}

/* An SCI already asked for needs no timer to ask again. */
static void pm_update(struct acpi_pm *pm)
{
	bool sci = pm->status & pm->enable;

	pm->deadline = TICKS_NEVER;
	if ((pm->enable & PM1_TIMER) && !sci)
		pm->deadline = ticks_scale_up((pm->seen / TIMER_TOP_PERIOD + 1) * TIMER_TOP_PERIOD,
					      pm->tsc_hz, ACPI_PM_TIMER_HZ);
	irq_line_set(&pm->irq, sci);
}

void acpi_pm_run(struct acpi_pm *pm, uint64_t now)
{
	uint64_t ticks = pm_ticks(pm, now);

	if (ticks / TIMER_TOP_PERIOD != pm->seen / TIMER_TOP_PERIOD)
		pm->status |= PM1_TIMER;
	pm->seen = ticks;
	pm_update(pm);
}

uint8_t acpi_pm_read(struct acpi_pm *pm, uint16_t port, uint64_t now)
{
	unsigned int shift = (port & 1) * 8;

	switch (port & ~1u) {
	case ACPI_PM1_EVENT:
		acpi_pm_run(pm, now);
		return (uint8_t)(pm->status >> shift);
	case ACPI_PM1_EVENT + 2:
		return (uint8_t)(pm->enable >> shift);
	case ACPI_PM1_CONTROL:
		return (uint8_t)((pm->control | PM1_SCI_EN) >> shift);
	case ACPI_PM_TIMER:
	case ACPI_PM_TIMER + 2:
		return (uint8_t)(pm_ticks(pm, now) >> 8 * (port - ACPI_PM_TIMER));
	}
	return 0;
}

static uint16_t replace_byte(uint16_t word, unsigned int shift, uint8_t val)
{
	return (uint16_t)((word & ~(0xFFu << shift)) | (unsigned int)val << shift);
}

static enum power_request pm_write_control(struct acpi_pm *pm, unsigned int shift, uint8_t val)
{
	uint16_t written = replace_byte(pm->control, shift, val);

	pm->control = written & PM1_CONTROL_USED;
	if ((written & PM1_SLP_EN) && PM1_SLP_TYP(written) == ACPI_S5_SLEEP_TYPE)
		return POWER_OFF;
	return POWER_NOTHING;
}

enum power_request acpi_pm_write(struct acpi_pm *pm, uint16_t port, uint8_t val, uint64_t now)
{
	unsigned int shift = (port & 1) * 8;

	acpi_pm_run(pm, now);
	switch (port & ~1u) {
	case ACPI_PM1_EVENT: /* writing ones clears */
		pm->status &= (uint16_t) ~((unsigned int)val << shift);
		break;
	case ACPI_PM1_EVENT + 2:
		pm->enable = replace_byte(pm->enable, shift, val) & PM1_ENABLE_USED;
		break;
	case ACPI_PM1_CONTROL:
		return pm_write_control(pm, shift, val);
	}
	pm_update(pm);
	return POWER_NOTHING;
}

void acpi_pm_init(struct acpi_pm *pm, uint64_t tsc_hz, struct irq_line irq)
{
	*pm = (struct acpi_pm){ .tsc_hz = tsc_hz, .irq = irq, .deadline = TICKS_NEVER };
}

void acpi_pm_save(const struct acpi_pm *pm, struct acpi_pm *out)
{
	*out = *pm;
	irq_line_unwire(&out->irq);
}

void acpi_pm_restore(struct acpi_pm *pm, const struct acpi_pm *saved)
{
	struct acpi_pm wiring = *pm;

	*pm = *saved;
	irq_line_rewire(&pm->irq, &wiring.irq);
}
