/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The 8259A pair. Invariant after every public call: bit 2 of the master's
 * IRR says whether the slave requests, and pic->out whether the master does.
 */
#include "devices/pic8259.h"

#include "lib/compiler.h"

#define PIC_CASCADE 2
#define PIC_SPURIOUS 7
#define PIC_NONE (-1)
#define FIRMWARE_MASK 0xF8 /* IRQ 0, 1 and 2 are open */

#define ICW1_INIT (1u << 4)
#define ICW1_SINGLE (1u << 1)
#define ICW1_ICW4 (1u << 0)
#define ICW4_FULLY_NESTED (1u << 4)
#define ICW4_AUTO_EOI (1u << 1)
#define OCW3_SELECT (1u << 3)

#define BIT8(n) ((uint8_t)(1u << (n)))

/* The input of highest priority among @inputs. */
static int chip_first(const struct pic8259_chip *c, uint8_t inputs)
{
	for (unsigned int i = 1; i <= 8; i++) {
		unsigned int input = (c->lowest + i) & 7;

		if (inputs & BIT8(input))
			return (int)input;
	}
	return PIC_NONE;
}

/* Distance from the top: 0 is the highest priority, 8 is "none". */
static unsigned int chip_priority(const struct pic8259_chip *c, int input)
{
	return input == PIC_NONE ? 8 : ((unsigned int)input - c->lowest - 1) & 7;
}

/* The input the chip asks the CPU to serve, or PIC_NONE. */
static int chip_request(const struct pic8259_chip *c)
{
	uint8_t in_service = c->isr;
	int input;

	if (c->init_step)
		return PIC_NONE;
	if (c->special_mask)
		in_service &= ~c->imr;
	if (c->fully_nested) /* a served slave may interrupt itself */
		in_service &= ~c->cascade;
	input = chip_first(c, c->irr & ~c->imr);
	if (chip_priority(c, input) < chip_priority(c, chip_first(c, in_service)))
		return input;
	return PIC_NONE;
}

static void chip_set_line(struct pic8259_chip *c, unsigned int input, bool level)
{
	uint8_t bit = BIT8(input);
	bool rises = level && !(c->lines & bit);

	c->lines = level ? c->lines | bit : c->lines & ~bit;
	if (c->elcr & bit)
		c->irr = level ? c->irr | bit : c->irr & ~bit;
	else if (rises)
		c->irr |= bit;
}

static void chip_acknowledge(struct pic8259_chip *c, unsigned int input)
{
	uint8_t bit = BIT8(input);

	if (!(c->elcr & bit))
		c->irr &= ~bit;
	if (!c->auto_eoi)
		c->isr |= bit;
	else if (c->rotate_auto_eoi)
		c->lowest = (uint8_t)input;
}

static void pic_update(struct pic8259 *pic)
{
	struct pic8259_chip *master = &pic->chip[0];
	bool slave = chip_request(&pic->chip[1]) != PIC_NONE;

	master->irr = slave ? master->irr | BIT8(PIC_CASCADE) : master->irr & ~BIT8(PIC_CASCADE);
	irq_line_set(&pic->out, chip_request(master) != PIC_NONE);
}

static void chip_icw1(struct pic8259_chip *c, uint8_t val)
{
	c->irr = c->lines & c->elcr;
	c->isr = c->imr = 0;
	c->lowest = 7;
	c->special_mask = c->read_isr = c->poll = false;
	c->fully_nested = c->auto_eoi = c->rotate_auto_eoi = false;
	c->single = val & ICW1_SINGLE;
	c->icw4_follows = val & ICW1_ICW4;
	c->init_step = 2;
}

/* ICW2, ICW3, ICW4. ICW3 tells the wiring, which is fixed: not kept. */
static void chip_icw(struct pic8259_chip *c, uint8_t val)
{
	switch (c->init_step) {
	case 2:
		c->vector_base = val & 0xF8;
		if (!c->single) {
			c->init_step = 3;
			return;
		}
		break;
	case 3:
		break;
	case 4:
		c->fully_nested = val & ICW4_FULLY_NESTED;
		c->auto_eoi = val & ICW4_AUTO_EOI;
		c->init_step = 0;
		return;
	}
	c->init_step = c->icw4_follows ? 4 : 0;
}

static void chip_eoi(struct pic8259_chip *c, int input, bool rotate)
{
	if (input == PIC_NONE)
		return;
	c->isr &= ~BIT8(input);
	if (rotate)
		c->lowest = (uint8_t)input;
}

/* End of interrupt and priority rotation: bits 7:5 are the command. */
static void chip_ocw2(struct pic8259_chip *c, uint8_t val)
{
	int input = val & 7;
	int served = chip_first(c, c->special_mask ? c->isr & ~c->imr : c->isr);

	switch (val >> 5) {
	case 0: /* rotate in automatic EOI mode: off, on */
	case 4:
		c->rotate_auto_eoi = val >> 7;
		break;
	case 1: /* non-specific EOI, with and without rotation */
	case 5:
		chip_eoi(c, served, val >> 7);
		break;
	case 3: /* specific EOI, with and without rotation */
	case 7:
		chip_eoi(c, input, val >> 7);
		break;
	case 6: /* set priority */
		c->lowest = (uint8_t)input;
		break;
	}
}

static void chip_ocw3(struct pic8259_chip *c, uint8_t val)
{
	if (val & 0x40)
		c->special_mask = val & 0x20;
	if (val & 0x04)
		c->poll = true;
	if (val & 0x02)
		c->read_isr = val & 0x01;
}

void pic_write(struct pic8259 *pic, unsigned int chip, unsigned int reg, uint8_t val)
{
	struct pic8259_chip *c = &pic->chip[chip];

	if (reg == 0) {
		if (val & ICW1_INIT)
			chip_icw1(c, val);
		else if (val & OCW3_SELECT)
			chip_ocw3(c, val);
		else
			chip_ocw2(c, val);
	} else if (c->init_step) {
		chip_icw(c, val);
	} else {
		c->imr = val;
	}
	pic_update(pic);
}

/* The poll command makes the next read an acknowledge cycle. */
static uint8_t pic_poll(struct pic8259 *pic, struct pic8259_chip *c)
{
	int input = chip_request(c);

	c->poll = false;
	if (input == PIC_NONE)
		return 0;
	chip_acknowledge(c, (unsigned int)input);
	pic_update(pic);
	return (uint8_t)(0x80 | input);
}

uint8_t pic_read(struct pic8259 *pic, unsigned int chip, unsigned int reg)
{
	struct pic8259_chip *c = &pic->chip[chip];

	if (c->poll)
		return pic_poll(pic, c);
	if (reg == 1)
		return c->imr;
	return c->read_isr ? c->isr : c->irr;
}

uint8_t pic_elcr_read(const struct pic8259 *pic, unsigned int chip)
{
	return pic->chip[chip].elcr;
}

void pic_elcr_write(struct pic8259 *pic, unsigned int chip, uint8_t val)
{
	struct pic8259_chip *c = &pic->chip[chip];

	c->elcr = val & c->elcr_mask;
	c->irr = (c->irr & ~c->elcr) | (c->lines & c->elcr);
	pic_update(pic);
}

void pic_set_irq(struct pic8259 *pic, unsigned int irq, bool level)
{
	if (irq >= 16 || irq == PIC_CASCADE)
		return;
	chip_set_line(&pic->chip[irq / 8], irq % 8, level);
	pic_update(pic);
}

uint8_t pic_acknowledge(struct pic8259 *pic)
{
	struct pic8259_chip *master = &pic->chip[0], *slave = &pic->chip[1];
	int input = chip_request(master);
	uint8_t vector;

	if (input == PIC_NONE)
		return master->vector_base + PIC_SPURIOUS;
	/* INT falls during the cycle: the next request is an edge again. */
	irq_line_set(&pic->out, false);
	chip_acknowledge(master, (unsigned int)input);
	vector = (uint8_t)(master->vector_base + input);
	if (input == PIC_CASCADE) {
		input = chip_request(slave);
		if (input != PIC_NONE)
			chip_acknowledge(slave, (unsigned int)input);
		vector = (uint8_t)(slave->vector_base + (input == PIC_NONE ? PIC_SPURIOUS : input));
	}
	pic_update(pic);
	return vector;
}

void pic_init(struct pic8259 *pic, struct irq_line out)
{
	*pic = (struct pic8259){ .out = out };
	pic->chip[0].cascade = BIT8(PIC_CASCADE);
	pic->chip[0].vector_base = 0x08;
	pic->chip[1].vector_base = 0x70;
	pic->chip[0].elcr_mask = 0xF8; /* IRQ 0, 1, 2, 8 and 13 are always edges */
	pic->chip[1].elcr_mask = 0xDE;
	for (unsigned int i = 0; i < ARRAY_SIZE(pic->chip); i++) {
		pic->chip[i].imr = 0xFF;
		pic->chip[i].lowest = 7;
	}
	pic->chip[0].imr = FIRMWARE_MASK;
}

void pic_save(const struct pic8259 *pic, struct pic8259 *out)
{
	*out = *pic;
	irq_line_unwire(&out->out);
}

void pic_restore(struct pic8259 *pic, const struct pic8259 *saved)
{
	struct pic8259 wiring = *pic;

	*pic = *saved;
	irq_line_rewire(&pic->out, &wiring.out);
}
