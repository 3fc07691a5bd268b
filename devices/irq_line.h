/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An interrupt wire from a device to whatever it is connected to. The wire
 * remembers its level, so that the far end hears of changes only.
 */
#ifndef DEVICES_IRQ_LINE_H
#define DEVICES_IRQ_LINE_H

#include <stdbool.h>
#include <stddef.h>

struct irq_line {
	void (*changed)(void *ctx, unsigned int irq, bool level);
	void *ctx;
	unsigned int irq; /* ISA number, passed on to changed() */
	bool level;
};

static inline void irq_line_set(struct irq_line *l, bool level)
{
	if (l->level == level)
		return;
	l->level = level;
	l->changed(l->ctx, l->irq, level);
}

/* A fresh rising edge, whatever the level is now; it ends at @level. */
static inline void irq_line_pulse(struct irq_line *l, bool level)
{
	irq_line_set(l, false);
	irq_line_set(l, true);
	irq_line_set(l, level);
}

/* A snapshot keeps the level alone. The far end is told of neither: its own
 * state is saved and restored beside. */
static inline void irq_line_unwire(struct irq_line *l)
{
	l->changed = NULL;
	l->ctx = NULL;
}

static inline void irq_line_rewire(struct irq_line *l, const struct irq_line *wire)
{
	l->changed = wire->changed;
	l->ctx = wire->ctx;
}

#endif
