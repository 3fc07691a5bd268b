/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What PC firmware leaves in memory for the kernel it starts: its data area,
 * an empty screen, tables. There is no firmware here: the images are made
 * once and written into guest memory before the kernel is loaded, which may
 * then overwrite what it likes.
 */
#include "devices/platform.h"

#include "lib/errno.h"

#define EQUIPMENT (1u << 1 | 2u << 4 | 1u << 9) /* coprocessor, 80 columns in colour, one serial port */
#define KEYBOARD_BUFFER 0x1E
#define KEYBOARD_BUFFER_END 0x3E

#define BLANK 0x0720 /* a space, grey on black */

/* What is not here is zero: no other ports, no disks, no keyboard. */
static const struct {
	uint8_t offset, size;
	uint16_t value;
} bios_data[] = {
	{ 0x00, 2, 0x3F8 },                  /* COM1 */
	{ 0x0E, 2, PLATFORM_EBDA >> 4 },     /* segment of the extended data area */
	{ 0x10, 2, EQUIPMENT },
	{ 0x13, 2, PLATFORM_EBDA >> 10 },    /* KiB of conventional memory */
	{ 0x1A, 2, KEYBOARD_BUFFER },        /* head and tail: empty */
	{ 0x1C, 2, KEYBOARD_BUFFER },
	{ 0x49, 1, 3 },                      /* video mode */
	{ 0x4A, 2, 80 },                     /* columns */
	{ 0x4C, 2, 0x1000 },                 /* bytes of a screen page */
	{ 0x60, 2, 0x0D0E },                 /* lines of the cursor */
	{ 0x63, 2, 0x3D4 },                  /* port of the CRTC */
	{ 0x65, 1, 0x29 },                   /* mode and palette, as a CGA would have them */
	{ 0x66, 1, 0x30 },
	{ 0x80, 2, KEYBOARD_BUFFER },
	{ 0x82, 2, KEYBOARD_BUFFER_END },
	{ 0x84, 1, 24 },                     /* last row */
	{ 0x85, 2, 16 },                     /* lines of a character */
	{ 0x87, 1, 0x60 },                   /* a VGA with 256 KiB, in colour */
	{ 0x88, 1, 0xF9 },
	{ 0x89, 1, 0x51 },
	{ 0x8A, 1, 0x08 },
};

static int make_bios_data(const struct platform_config *c, void *buf, size_t size)
{
	uint8_t *byte = buf;

	if (size < BIOS_DATA_SIZE)
		return -ENOSPC;
	__builtin_memset(byte, 0, BIOS_DATA_SIZE);
	for (unsigned int i = 0; i < ARRAY_SIZE(bios_data); i++)
		__builtin_memcpy(byte + bios_data[i].offset, &bios_data[i].value, bios_data[i].size);
	return BIOS_DATA_SIZE;
}

/* The first byte of the extended data area is its size in KiB. */
static int make_ebda(const struct platform_config *c, void *buf, size_t size)
{
	uint8_t *byte = buf;

	if (size < PLATFORM_EBDA_SIZE)
		return -ENOSPC;
	__builtin_memset(byte, 0, PLATFORM_EBDA_SIZE);
	byte[0] = PLATFORM_EBDA_SIZE >> 10;
	return PLATFORM_EBDA_SIZE;
}

static int make_screen(const struct platform_config *c, void *buf, size_t size)
{
	uint16_t *cell = buf;

	if (size < VGA_TEXT_SIZE)
		return -ENOSPC;
	for (unsigned int i = 0; i < VGA_TEXT_SIZE / sizeof(*cell); i++)
		cell[i] = BLANK;
	return VGA_TEXT_SIZE;
}

const struct platform_image platform_images[PLATFORM_IMAGES] = {
	{ BIOS_DATA_BASE, BIOS_DATA_SIZE, make_bios_data },
	{ PLATFORM_EBDA, PLATFORM_EBDA_SIZE, make_ebda },
	{ VGA_TEXT_BASE, VGA_TEXT_SIZE, make_screen },
	{ ACPI_TABLES_BASE, ACPI_TABLES_MAX, platform_acpi_tables },
	{ MP_TABLE_BASE, MP_TABLE_MAX, platform_mp_table },
};
