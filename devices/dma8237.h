/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The pair of 8237 DMA controllers and their page registers, with no device
 * that ever asks for a transfer: registers hold what is written. Port 0x80 is
 * a page register that no channel uses, and shows POST codes.
 */
#ifndef DEVICES_DMA8237_H
#define DEVICES_DMA8237_H

#include <stdbool.h>
#include <stdint.h>

#define DMA_REGS 8u   /* address and count of four channels */
#define DMA_PAGES 16u /* ports 0x80..0x8F */

struct dma8237_chip {
	uint16_t reg[DMA_REGS];
	bool high; /* the flip-flop: the next byte is the high one */
	uint8_t mask;
};

struct dma8237 {
	struct dma8237_chip chip[2]; /* 8-bit channels 0..3, 16-bit channels 4..7 */
	uint8_t page[DMA_PAGES];
};

void dma_init(struct dma8237 *d);
/* @chip 0 or 1, @reg 0..15 as at ports 0x00..0x0F */
uint8_t dma_read(struct dma8237 *d, unsigned int chip, unsigned int reg);
void dma_write(struct dma8237 *d, unsigned int chip, unsigned int reg, uint8_t val);

#endif
