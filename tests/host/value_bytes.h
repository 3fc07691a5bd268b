/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A struct filled with what a test likes, byte by byte, to see whether all of
 * it comes back: members that are added later, too. A map, of the struct's
 * type, has 0xFF where a byte counts.
 */
#ifndef TESTS_HOST_VALUE_BYTES_H
#define TESTS_HOST_VALUE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Takes the holes between members out of a map, to see whether those that a test
 * names are all. gcc knows them (but goes wrong behind an array of structs), clang
 * does not tell. */
#if __has_builtin(__builtin_clear_padding)
#define KNOWS_HOLES 1
#define CLEAR_HOLES(map) __builtin_clear_padding(map)
#else
#define KNOWS_HOLES 0
#define CLEAR_HOLES(map) ((void)(map))
#endif

/* A part of a struct, by name in messages. */
struct part {
	const char *name;
	size_t offset, size;
};

#define PART(type, member) { #member, offsetof(type, member), sizeof(((type *)0)->member) }
#define PART_END(type, member) (offsetof(type, member) + sizeof(((type *)0)->member))
#define HOLE(type, after, before)                                                                            \
	{ "a hole", PART_END(type, after), offsetof(type, before) - PART_END(type, after) }

static inline void map_parts(void *map, uint8_t value, const struct part *parts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		memset((uint8_t *)map + parts[i].offset, value, parts[i].size);
}

/* Zeros and ones alone: good for a bool, too. */
static inline void fill_bytes(void *to, const void *map, size_t size, uint64_t (*random)(void))
{
	for (size_t i = 0; i < size; i++)
		if (((const uint8_t *)map)[i])
			((uint8_t *)to)[i] = random() >> 32 & 1;
}

/* Every byte another one than it was. */
static inline void scramble_bytes(void *to, const void *map, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (((const uint8_t *)map)[i])
			((uint8_t *)to)[i] ^= 1;
}

/* Where two structs differ first, or @size. */
static inline size_t first_difference(const void *a, const void *b, const void *map, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (((const uint8_t *)map)[i] && ((const uint8_t *)a)[i] != ((const uint8_t *)b)[i])
			return i;
	return size;
}

#endif
