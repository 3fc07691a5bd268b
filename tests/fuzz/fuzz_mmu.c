// SPDX-License-Identifier: GPL-2.0-only
/*
 * The whole shadow MMU: the input chooses a world (tests/host/mm_world.c) and
 * then every operation in it. After each one all invariants are audited, and
 * nothing may go through that the guest's tables and the trackers forbid.
 */
#include <stdlib.h>
#include "tests/host/mm_world.h"
#include "tests/host/port_host.h"

#define STEPS_MAX 400

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t *next;
static size_t left;

/* As many bytes as @n has, so that each choice is a place in the input. */
static uint64_t choose(uint64_t n)
{
	uint64_t v = 0;

	for (uint64_t m = n - 1; m > 0 && left > 0; m >>= 8, left--)
		v = v << 8 | *next++;
	return v % n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	world_open(1 + (data[0] | (uint64_t)data[1] << 8));
	next = data + 2;
	left = size - 2;
	for (unsigned int i = 0; i < STEPS_MAX && left > 0; i++)
		world_step(choose);
	world_close();
	if (host_pages_used() != 0)
		abort();
	return 0;
}
