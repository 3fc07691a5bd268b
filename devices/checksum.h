/* SPDX-License-Identifier: GPL-2.0-only */
/* The checksum of firmware tables: all their bytes add up to zero. */
#ifndef DEVICES_CHECKSUM_H
#define DEVICES_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* What the checksum byte must be, if it is zero now. */
static inline uint8_t checksum(const void *data, size_t size)
{
	const uint8_t *byte = data;
	uint8_t sum = 0;

	for (size_t i = 0; i < size; i++)
		sum += byte[i];
	return (uint8_t)-sum;
}

#endif
