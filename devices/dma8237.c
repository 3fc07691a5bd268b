/* SPDX-License-Identifier: GPL-2.0-only */
/* The DMA controllers; see dma8237.h. */
#include "devices/dma8237.h"

enum {
	DMA_SINGLE_MASK = 0xA, DMA_CLEAR_FLIP_FLOP = 0xC, DMA_MASTER_CLEAR = 0xD,
	DMA_CLEAR_MASK = 0xE, DMA_ALL_MASK = 0xF,
};

#define MASK_ALL 0x0F
#define MASK_UNUSED 0xF0 /* read as ones */
#define SINGLE_CHANNEL 0x03
#define SINGLE_SET 0x04
#define CASCADE 0x01 /* channel 4 passes the other chip on: firmware opens it */

uint8_t dma_read(struct dma8237 *d, unsigned int chip, unsigned int reg)
{
	struct dma8237_chip *c = &d->chip[chip];
	unsigned int shift = c->high ? 8 : 0;

	if (reg < DMA_REGS) {
		c->high = !c->high;
		return (uint8_t)(c->reg[reg] >> shift);
	}
	return reg == DMA_ALL_MASK ? c->mask | MASK_UNUSED : 0; /* no request, no end of a transfer */
}

static void dma_write_half(struct dma8237_chip *c, unsigned int reg, uint8_t val)
{
	unsigned int shift = c->high ? 8 : 0;

	c->reg[reg] = (uint16_t)((c->reg[reg] & ~(0xFFu << shift)) | (unsigned int)val << shift);
	c->high = !c->high;
}

static void dma_write_single_mask(struct dma8237_chip *c, uint8_t val)
{
	uint8_t bit = (uint8_t)(1u << (val & SINGLE_CHANNEL));

	c->mask = val & SINGLE_SET ? c->mask | bit : c->mask & (uint8_t)~bit;
}

void dma_write(struct dma8237 *d, unsigned int chip, unsigned int reg, uint8_t val)
{
	struct dma8237_chip *c = &d->chip[chip];

	if (reg < DMA_REGS) {
		dma_write_half(c, reg, val);
		return;
	}
	switch (reg) {
	case DMA_SINGLE_MASK:
		dma_write_single_mask(c, val);
		break;
	case DMA_CLEAR_FLIP_FLOP:
		c->high = false;
		break;
	case DMA_MASTER_CLEAR:
		c->high = false;
		c->mask = MASK_ALL;
		break;
	case DMA_CLEAR_MASK:
		c->mask = 0;
		break;
	case DMA_ALL_MASK:
		c->mask = val & MASK_ALL;
		break;
	}
}

void dma_init(struct dma8237 *d)
{
	*d = (struct dma8237){ .chip = { { .mask = MASK_ALL }, { .mask = MASK_ALL & (uint8_t)~CASCADE } } };
}
