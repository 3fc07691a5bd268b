/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The 8254. All arithmetic is in PIT clocks since TSC 0. Invariant: edges of
 * channel 0 up to pit->edges were raised, pit->deadline is the next one.
 */
#include "devices/pit8254.h"

#include "devices/ticks.h"
#include "lib/compiler.h"

#define PIT_ACCESS_LOW 1
#define PIT_ACCESS_HIGH 2
#define PIT_ACCESS_BOTH 3
#define PIT_CONTROL 3

#define STATUS_OUT 0x80
#define STATUS_NULL_COUNT 0x40

#define PORT61_GATE 0x01
#define PORT61_WRITABLE 0x0F
#define PORT61_REFRESH 0x10
#define PORT61_OUT2 0x20
#define REFRESH_CLOCKS 18 /* 15 us between DRAM refreshes */

static uint64_t pit_clock(const struct pit8254 *pit, uint64_t now)
{
	return ticks_scale(now, PIT_HZ, pit->tsc_hz);
}

static bool channel_periodic(const struct pit_channel *c)
{
	return c->mode == 2 || c->mode == 3;
}

/* Modes 1 and 5 start at a rising gate, not when the count is written. */
static bool channel_triggered(const struct pit_channel *c)
{
	return c->mode == 1 || c->mode == 5;
}

static uint64_t channel_elapsed(const struct pit_channel *c, uint64_t clock)
{
	return c->running && clock > c->start ? c->elapsed + (clock - c->start) : c->elapsed;
}

static void channel_start(struct pit_channel *c, uint64_t clock)
{
	c->start = clock;
	c->running = true;
}

static void channel_stop(struct pit_channel *c, uint64_t clock)
{
	c->elapsed = channel_elapsed(c, clock);
	c->running = false;
}

/* Was it started at all since its mode was set? */
static bool channel_active(const struct pit_channel *c)
{
	return c->loaded && (c->running || c->elapsed);
}

static uint32_t bcd_to_binary(uint32_t v)
{
	return (v & 15) + (v >> 4 & 15) * 10 + (v >> 8 & 15) * 100 + (v >> 12 & 15) * 1000;
}

static uint16_t binary_to_bcd(uint32_t v)
{
	return (uint16_t)(v % 10 | v / 10 % 10 << 4 | v / 100 % 10 << 8 | v / 1000 % 10 << 12);
}

/* The level of OUT. */
static bool channel_out(const struct pit_channel *c, uint64_t clock)
{
	uint64_t e = channel_elapsed(c, clock);

	switch (c->mode) {
	case 0:
		return channel_active(c) && e >= c->count;
	case 1:
		return !channel_active(c) || e >= c->count;
	case 2: /* low in the last clock of the period */
		return !c->gate || !channel_active(c) || e % c->count != c->count - 1;
	case 3: /* high in the first half */
		return !c->gate || !channel_active(c) || e % c->count < (c->count + 1) / 2;
	default: /* 4, 5: low for one clock at the end */
		return !channel_active(c) || e != c->count;
	}
}

/* The counting element as the guest sees it. */
static uint16_t channel_value(const struct pit_channel *c, uint64_t clock)
{
	uint64_t e = channel_elapsed(c, clock);
	uint32_t wrap = c->bcd ? 10000 : 0x10000;
	uint32_t value;

	switch (c->mode) {
	case 2:
		value = c->count - (uint32_t)(e % c->count);
		break;
	case 3:
		value = c->count - (uint32_t)(2 * e % c->count);
		value &= ~1u;
		break;
	default: /* goes on counting below zero */
		value = (c->count % wrap + wrap - (uint32_t)(e % wrap)) % wrap;
	}
	return c->bcd ? binary_to_bcd(value % wrap) : (uint16_t)value;
}

/*
 * The first rising edge of OUT after PIT clock @after that an interrupt
 * controller would see, or TICKS_NEVER. Periodic edges closer together than
 * TICKS_MAX_RATE are thinned out.
 */
static uint64_t channel_next_edge(const struct pit_channel *c, uint64_t after)
{
	uint64_t edge, step = c->count;

	if (!channel_active(c) || !c->running)
		return TICKS_NEVER;
	if (!channel_periodic(c)) {
		if (c->mode >= 4)
			step++;
		edge = step > c->elapsed ? c->start + (step - c->elapsed) : c->start;
		return edge > after ? edge : TICKS_NEVER;
	}
	if (step < PIT_HZ / TICKS_MAX_RATE)
		step *= (PIT_HZ / TICKS_MAX_RATE + step - 1) / step;
	if (after < c->start)
		return c->start + step;
	return c->start + ((after - c->start) / step + 1) * step;
}

void pit_run(struct pit8254 *pit, uint64_t now)
{
	struct pit_channel *c = &pit->channel[0];
	uint64_t clock = pit_clock(pit, now);
	uint64_t edge = channel_next_edge(c, pit->edges);
	uint64_t next;

	if (edge <= clock)
		irq_line_pulse(&pit->irq, channel_out(c, clock));
	else
		irq_line_set(&pit->irq, channel_out(c, clock));
	pit->edges = clock;
	next = channel_next_edge(c, clock);
	pit->deadline = next == TICKS_NEVER ? TICKS_NEVER : ticks_scale_up(next, pit->tsc_hz, PIT_HZ);
}

static void channel_load(struct pit_channel *c, uint16_t raw, uint64_t clock)
{
	uint32_t count = c->bcd ? bcd_to_binary(raw) : raw;

	c->count = count ? count : c->bcd ? 10000 : 0x10000;
	c->loaded = true;
	if (channel_triggered(c))
		return;
	c->elapsed = 0;
	c->running = false;
	if (c->gate)
		channel_start(c, clock);
}

static void channel_write(struct pit_channel *c, uint8_t val, uint64_t clock)
{
	if (c->access == PIT_ACCESS_LOW) {
		channel_load(c, val, clock);
	} else if (c->access == PIT_ACCESS_HIGH) {
		channel_load(c, (uint16_t)(val << 8), clock);
	} else if (c->write_high) {
		c->write_high = false;
		channel_load(c, (uint16_t)(val << 8 | c->write_low), clock);
	} else {
		c->write_low = val;
		c->write_high = true;
		if (c->mode == 0) { /* the first byte stops mode 0 */
			c->loaded = false;
			c->running = false;
			c->elapsed = 0;
		}
	}
}

static void channel_latch_count(struct pit_channel *c, uint64_t clock)
{
	if (c->count_latched)
		return;
	c->latch = channel_value(c, clock);
	c->count_latched = true;
}

static void channel_latch_status(struct pit_channel *c, uint64_t clock)
{
	if (c->status_latched)
		return;
	c->status = (uint8_t)(c->access << 4 | c->mode << 1 | c->bcd);
	if (channel_out(c, clock))
		c->status |= STATUS_OUT;
	if (!c->loaded)
		c->status |= STATUS_NULL_COUNT;
	c->status_latched = true;
}

static uint8_t channel_read(struct pit_channel *c, uint64_t clock)
{
	uint16_t value;
	bool high;

	if (c->status_latched) {
		c->status_latched = false;
		return c->status;
	}
	value = c->count_latched ? c->latch : channel_value(c, clock);
	high = c->access == PIT_ACCESS_HIGH || (c->access == PIT_ACCESS_BOTH && c->read_high);
	if (c->access == PIT_ACCESS_BOTH)
		c->read_high = !c->read_high;
	if (c->access != PIT_ACCESS_BOTH || high)
		c->count_latched = false;
	return (uint8_t)(high ? value >> 8 : value);
}

static void channel_set_mode(struct pit_channel *c, uint8_t val)
{
	uint8_t mode = val >> 1 & 7;

	c->mode = mode > 5 ? mode - 4 : mode; /* bit 2 is "don't care" in 2, 3 */
	c->access = val >> 4 & 3;
	c->bcd = val & 1;
	c->loaded = c->running = false;
	c->elapsed = 0;
	c->write_high = c->read_high = false;
	c->count_latched = c->status_latched = false;
}

/* Bits 3:1 choose channels; bits 5 and 4 are "not count", "not status". */
static void pit_read_back(struct pit8254 *pit, uint8_t val, uint64_t clock)
{
	for (unsigned int i = 0; i < PIT_CHANNELS; i++) {
		if (!(val & 2u << i))
			continue;
		if (!(val & 0x20))
			channel_latch_count(&pit->channel[i], clock);
		if (!(val & 0x10))
			channel_latch_status(&pit->channel[i], clock);
	}
}

static void pit_write_control(struct pit8254 *pit, uint8_t val, uint64_t clock)
{
	unsigned int select = val >> 6;

	if (select == 3)
		pit_read_back(pit, val, clock);
	else if (!(val & 0x30))
		channel_latch_count(&pit->channel[select], clock);
	else
		channel_set_mode(&pit->channel[select], val);
}

/* The edges of the old programme are raised before it changes. */
void pit_write(struct pit8254 *pit, unsigned int reg, uint8_t val, uint64_t now)
{
	uint64_t clock = pit_clock(pit, now);

	pit_run(pit, now);
	if (reg == PIT_CONTROL)
		pit_write_control(pit, val, clock);
	else
		channel_write(&pit->channel[reg], val, clock);
	pit_run(pit, now);
}

uint8_t pit_read(struct pit8254 *pit, unsigned int reg, uint64_t now)
{
	if (reg == PIT_CONTROL)
		return 0xFF; /* write only */
	return channel_read(&pit->channel[reg], pit_clock(pit, now));
}

static void channel_set_gate(struct pit_channel *c, bool gate, uint64_t clock)
{
	bool rises = gate && !c->gate;

	if (gate == c->gate)
		return;
	c->gate = gate;
	if (!c->loaded)
		return;
	if (channel_triggered(c) || channel_periodic(c)) {
		if (rises) {
			c->elapsed = 0;
			channel_start(c, clock);
		} else if (channel_periodic(c)) {
			channel_stop(c, clock);
		}
	} else if (rises) {
		channel_start(c, clock);
	} else {
		channel_stop(c, clock);
	}
}

uint8_t pit_port61_read(struct pit8254 *pit, uint64_t now)
{
	uint64_t clock = pit_clock(pit, now);
	uint8_t val = pit->port61;

	if (clock / REFRESH_CLOCKS & 1)
		val |= PORT61_REFRESH;
	if (channel_out(&pit->channel[2], clock))
		val |= PORT61_OUT2;
	return val;
}

void pit_port61_write(struct pit8254 *pit, uint8_t val, uint64_t now)
{
	pit->port61 = val & PORT61_WRITABLE;
	channel_set_gate(&pit->channel[2], val & PORT61_GATE, pit_clock(pit, now));
}

/* Channel 0 runs from TSC 0 on with the longest period, 18.2 times a second.
 * Its output is high, and that edge is long past. */
static void pit_start_as_firmware(struct pit8254 *pit)
{
	struct pit_channel *c = &pit->channel[0];

	c->mode = 2;
	c->loaded = true;
	channel_start(c, 0);
	pit->irq.level = true;
	pit_run(pit, 0);
}

void pit_init(struct pit8254 *pit, uint64_t tsc_hz, struct irq_line irq)
{
	*pit = (struct pit8254){ .tsc_hz = tsc_hz, .irq = irq, .deadline = TICKS_NEVER };
	for (unsigned int i = 0; i < PIT_CHANNELS; i++) {
		pit->channel[i].access = PIT_ACCESS_BOTH;
		pit->channel[i].count = 0x10000;
		pit->channel[i].gate = i != 2;
	}
	pit_start_as_firmware(pit);
}

void pit_save(const struct pit8254 *pit, struct pit8254 *out)
{
	*out = *pit;
	irq_line_unwire(&out->irq);
}

void pit_restore(struct pit8254 *pit, const struct pit8254 *saved)
{
	struct pit8254 wiring = *pit;

	*pit = *saved;
	irq_line_rewire(&pit->irq, &wiring.irq);
}
