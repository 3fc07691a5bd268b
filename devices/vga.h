/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A VGA in text mode 3, without a screen: its registers (ports 0x3B4..0x3DA)
 * hold what is written, and its text memory is plain RAM that the VM puts at
 * VGA_TEXT_BASE. Nobody looks at either; a kernel that writes to the screen
 * finds all as on a PC and goes on. The graphics window at 0xA0000 is not there.
 *
 * The retrace bits change with every read of the status register, whatever the
 * time: who waits for a retrace waits for a few reads.
 */
#ifndef DEVICES_VGA_H
#define DEVICES_VGA_H

#include <stdbool.h>
#include <stdint.h>

#define VGA_CRTC_COUNT 25u
#define VGA_SEQUENCER_COUNT 5u
#define VGA_GRAPHICS_COUNT 9u
#define VGA_ATTRIBUTE_COUNT 21u
#define VGA_DAC_SIZE 768u /* red, green, blue of 256 colours */

struct vga {
	uint8_t misc, feature, enable;
	uint8_t crtc_index, sequencer_index, graphics_index, attribute_index;
	bool attribute_data; /* the next byte to port 0x3C0 is data, not an index */
	uint8_t crtc[VGA_CRTC_COUNT], sequencer[VGA_SEQUENCER_COUNT];
	uint8_t graphics[VGA_GRAPHICS_COUNT], attribute[VGA_ATTRIBUTE_COUNT];
	uint8_t dac[VGA_DAC_SIZE], dac_mask, dac_state;
	unsigned int dac_read, dac_write; /* next byte of @dac */
	unsigned int status_reads;
};

void vga_init(struct vga *v);
/* @port 0x3B0..0x3DF. What is not there reads as ones. */
uint8_t vga_read(struct vga *v, uint16_t port);
void vga_write(struct vga *v, uint16_t port, uint8_t val);

#endif
