/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The pair of 8259As of a PC, the second on input 2 of the first, with the
 * edge/level registers (ELCR) of EISA. Starts as firmware leaves it: vectors
 * 0x08 and 0x70, timer, keyboard and the second chip open, the rest masked.
 *
 * An edge is a latch here: a request stays even if the device takes its line
 * back before the CPU acknowledges. Spurious vectors (IRQ 7, 15) come from
 * masking and from level inputs that fell.
 */
#ifndef DEVICES_PIC8259_H
#define DEVICES_PIC8259_H

#include <stdbool.h>
#include <stdint.h>
#include "devices/irq_line.h"

struct pic8259_chip {
	uint8_t lines;       /* levels of the inputs */
	uint8_t irr, isr, imr;
	uint8_t elcr;        /* 1: level triggered */
	uint8_t elcr_mask;   /* which bits of it can be set */
	uint8_t cascade;     /* the input a slave hangs on, as a bit */
	uint8_t vector_base; /* ICW2 */
	uint8_t init_step;   /* next ICW expected at the data port, 0: none */
	uint8_t lowest;      /* input of lowest priority */
	bool icw4_follows, single;
	bool fully_nested;   /* "special fully nested mode" */
	bool auto_eoi, rotate_auto_eoi;
	bool special_mask;
	bool read_isr, poll;
};

struct pic8259 {
	struct pic8259_chip chip[2]; /* master, slave */
	struct irq_line out;         /* INT of the master */
};

void pic_init(struct pic8259 *pic, struct irq_line out);
/* @reg 0 command, 1 data */
uint8_t pic_read(struct pic8259 *pic, unsigned int chip, unsigned int reg);
void pic_write(struct pic8259 *pic, unsigned int chip, unsigned int reg, uint8_t val);
uint8_t pic_elcr_read(const struct pic8259 *pic, unsigned int chip);
void pic_elcr_write(struct pic8259 *pic, unsigned int chip, uint8_t val);

/* Input @irq 0..15 (2 is the cascade and ignored). */
void pic_set_irq(struct pic8259 *pic, unsigned int irq, bool level);
/* The two INTA cycles: the vector, a spurious one if the request is gone. */
uint8_t pic_acknowledge(struct pic8259 *pic);

/* All of @pic but its wiring, which is NULL in @out. / And back: the wiring is
 * that of @pic, where it is. */
void pic_save(const struct pic8259 *pic, struct pic8259 *out);
void pic_restore(struct pic8259 *pic, const struct pic8259 *saved);

#endif
