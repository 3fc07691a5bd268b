/* SPDX-License-Identifier: GPL-2.0-only */
/* Numbers at random, the same for the same seed, and what the environment says of a run. */
#ifndef TESTS_HOST_RANDOM_H
#define TESTS_HOST_RANDOM_H

#include <stdint.h>
#include <stdlib.h>

/* The next number of the sequence whose state, never 0, is *@state. */
static inline uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* The number in the variable @name (SPOOR_SEED, SPOOR_STEPS, ...), or @otherwise. */
static inline uint64_t number_from_environment(const char *name, uint64_t otherwise)
{
	const char *s = getenv(name);

	return s ? strtoull(s, NULL, 0) : otherwise;
}

#endif
