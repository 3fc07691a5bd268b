/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * VGA registers; see vga.h. Values at the start are those of the BIOS's mode
 * 3. Indices are kept as written; a register that no VGA has reads as zero.
 */
#include "devices/vga.h"

#include "lib/compiler.h"

#define MISC_COLOUR 0x01 /* the CRTC is at 0x3D4, not at 0x3B4 */
#define MISC_MODE3 0x67

#define CRTC_OVERFLOW 0x07
#define CRTC_LINE_COMPARE_8 0x10 /* the bit of it that is never protected */
#define CRTC_RETRACE_END 0x11
#define CRTC_PROTECT 0x80

#define ATTRIBUTE_INDEX 0x1F
#define ATTRIBUTE_USED 0x3F /* with "palette in use" */
#define ATTRIBUTE_SCREEN_ON 0x20

#define STATUS_BLANK 0x01
#define STATUS_VERTICAL 0x08

#define DAC_READING 3
#define DAC_BITS 0x3F
#define DAC_THIRD 0x2A /* of full brightness: two of them, and one */
#define DAC_SIXTH 0x15

#define NOTHING_THERE 0xFF

static const uint8_t mode3_crtc[VGA_CRTC_COUNT] = {
	0x5F, 0x4F, 0x50, 0x82, 0x55, 0x81, 0xBF, 0x1F, 0x00, 0x4F, 0x0D, 0x0E, 0x00,
	0x00, 0x00, 0x00, 0x9C, 0x8E, 0x8F, 0x28, 0x1F, 0x96, 0xB9, 0xA3, 0xFF,
};
static const uint8_t mode3_sequencer[VGA_SEQUENCER_COUNT] = { 0x03, 0x00, 0x03, 0x00, 0x02 };
static const uint8_t mode3_graphics[VGA_GRAPHICS_COUNT] = { 0, 0, 0, 0, 0, 0x10, 0x0E, 0x00, 0xFF };
static const uint8_t mode3_attribute[VGA_ATTRIBUTE_COUNT] = {
	0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3A,
	0x3B, 0x3C, 0x3D, 0x3E, 0x3F, 0x0C, 0x00, 0x0F, 0x08, 0x00,
};

/* The CRTC and its neighbours answer in one of two places. */
static bool vga_is_elsewhere(const struct vga *v, uint16_t port)
{
	bool colour = v->misc & MISC_COLOUR;

	return port < 0x3C0 ? colour : port >= 0x3D0 && !colour;
}

static uint8_t bank_read(const uint8_t *bank, unsigned int count, unsigned int index)
{
	return index < count ? bank[index] : 0;
}

static void bank_write(uint8_t *bank, unsigned int count, unsigned int index, uint8_t val)
{
	if (index < count)
		bank[index] = val;
}

/* ---- CRTC ---- */

static void crtc_write(struct vga *v, uint8_t val)
{
	uint8_t index = v->crtc_index;

	if (index <= CRTC_OVERFLOW && (v->crtc[CRTC_RETRACE_END] & CRTC_PROTECT)) {
		if (index != CRTC_OVERFLOW)
			return;
		val = (v->crtc[index] & ~CRTC_LINE_COMPARE_8) | (val & CRTC_LINE_COMPARE_8);
	}
	bank_write(v->crtc, VGA_CRTC_COUNT, index, val);
}

/* In turn: picture, horizontal retrace, picture, vertical retrace. */
static uint8_t status_read(struct vga *v)
{
	static const uint8_t turn[4] = { 0, STATUS_BLANK, 0, STATUS_BLANK | STATUS_VERTICAL };

	v->attribute_data = false;
	return turn[v->status_reads++ % ARRAY_SIZE(turn)];
}

/* ---- attributes: index and data share a port ---- */

static void attribute_write(struct vga *v, uint8_t val)
{
	if (v->attribute_data)
		bank_write(v->attribute, VGA_ATTRIBUTE_COUNT, v->attribute_index & ATTRIBUTE_INDEX, val);
	else
		v->attribute_index = val & ATTRIBUTE_USED;
	v->attribute_data = !v->attribute_data;
}

/* ---- the colour table ---- */

static uint8_t dac_read(struct vga *v)
{
	uint8_t val = v->dac[v->dac_read];

	v->dac_read = (v->dac_read + 1) % VGA_DAC_SIZE;
	return val;
}

static void dac_write(struct vga *v, uint8_t val)
{
	v->dac[v->dac_write] = val & DAC_BITS;
	v->dac_write = (v->dac_write + 1) % VGA_DAC_SIZE;
}

static uint8_t dac_level(unsigned int colour, unsigned int two_thirds, unsigned int third)
{
	return (uint8_t)((colour >> two_thirds & 1) * DAC_THIRD + (colour >> third & 1) * DAC_SIXTH);
}

/* The EGA's 64 colours, bits "rgbRGB". */
static void dac_init(struct vga *v)
{
	for (unsigned int i = 0; i < 64; i++) {
		v->dac[3 * i] = dac_level(i, 2, 5);
		v->dac[3 * i + 1] = dac_level(i, 1, 4);
		v->dac[3 * i + 2] = dac_level(i, 0, 3);
	}
	v->dac_mask = 0xFF;
}

/* ---- ports ---- */

/* 0x3C0..0x3CF, the same for colour and monochrome. */
static uint8_t vga_read_common(struct vga *v, uint16_t port)
{
	switch (port) {
	case 0x3C0:
		return v->attribute_index;
	case 0x3C1:
		return bank_read(v->attribute, VGA_ATTRIBUTE_COUNT, v->attribute_index & ATTRIBUTE_INDEX);
	case 0x3C2: /* input status 0: nothing to report */
		return 0;
	case 0x3C3:
		return v->enable;
	case 0x3C4:
		return v->sequencer_index;
	case 0x3C5:
		return bank_read(v->sequencer, VGA_SEQUENCER_COUNT, v->sequencer_index);
	case 0x3C6:
		return v->dac_mask;
	case 0x3C7:
		return v->dac_state;
	case 0x3C8:
		return (uint8_t)(v->dac_write / 3);
	case 0x3C9:
		return dac_read(v);
	case 0x3CA:
		return v->feature;
	case 0x3CC:
		return v->misc;
	case 0x3CE:
		return v->graphics_index;
	case 0x3CF:
		return bank_read(v->graphics, VGA_GRAPHICS_COUNT, v->graphics_index);
	}
	return NOTHING_THERE;
}

uint8_t vga_read(struct vga *v, uint16_t port)
{
	if (vga_is_elsewhere(v, port))
		return NOTHING_THERE;
	switch (port) {
	case 0x3B4:
	case 0x3D4:
		return v->crtc_index;
	case 0x3B5:
	case 0x3D5:
		return bank_read(v->crtc, VGA_CRTC_COUNT, v->crtc_index);
	case 0x3BA:
	case 0x3DA:
		return status_read(v);
	}
	return vga_read_common(v, port);
}

static void vga_write_common(struct vga *v, uint16_t port, uint8_t val)
{
	switch (port) {
	case 0x3C0:
		attribute_write(v, val);
		break;
	case 0x3C2:
		v->misc = val;
		break;
	case 0x3C3:
		v->enable = val & 1;
		break;
	case 0x3C4:
		v->sequencer_index = val;
		break;
	case 0x3C5:
		bank_write(v->sequencer, VGA_SEQUENCER_COUNT, v->sequencer_index, val);
		break;
	case 0x3C6:
		v->dac_mask = val;
		break;
	case 0x3C7:
		v->dac_read = 3u * val;
		v->dac_state = DAC_READING;
		break;
	case 0x3C8:
		v->dac_write = 3u * val;
		v->dac_state = 0;
		break;
	case 0x3C9:
		dac_write(v, val);
		break;
	case 0x3CE:
		v->graphics_index = val;
		break;
	case 0x3CF:
		bank_write(v->graphics, VGA_GRAPHICS_COUNT, v->graphics_index, val);
		break;
	}
}

void vga_write(struct vga *v, uint16_t port, uint8_t val)
{
	if (vga_is_elsewhere(v, port))
		return;
	switch (port) {
	case 0x3B4:
	case 0x3D4:
		v->crtc_index = val;
		return;
	case 0x3B5:
	case 0x3D5:
		crtc_write(v, val);
		return;
	case 0x3BA:
	case 0x3DA:
		v->feature = val;
		return;
	}
	vga_write_common(v, port, val);
}

void vga_init(struct vga *v)
{
	*v = (struct vga){ .misc = MISC_MODE3, .enable = 1, .attribute_index = ATTRIBUTE_SCREEN_ON };
	__builtin_memcpy(v->crtc, mode3_crtc, sizeof(v->crtc));
	__builtin_memcpy(v->sequencer, mode3_sequencer, sizeof(v->sequencer));
	__builtin_memcpy(v->graphics, mode3_graphics, sizeof(v->graphics));
	__builtin_memcpy(v->attribute, mode3_attribute, sizeof(v->attribute));
	dac_init(v);
}
