/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The shadow MMU under random operations (mm_world.c), world after world.
 * SPOOR_SEED and SPOOR_STEPS choose the run; the seed of a world is printed
 * when something fails in it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "tests/host/mm_trackers.h"
#include "tests/host/mm_world.h"
#include "tests/host/port_host.h"

#define STEPS_DEFAULT 1000000ul
#define STEPS_PER_WORLD 2500

static unsigned long number(const char *name, unsigned long otherwise)
{
	const char *s = getenv(name);

	return s ? strtoul(s, NULL, 0) : otherwise;
}

static void print_seen(void)
{
	const struct world_seen *s = &world_seen;

	printf("fixed %lu spurious %lu inject %lu emulate %lu mmio %lu, ", s->result[FAULT_FIXED],
	       s->result[FAULT_SPURIOUS], s->result[FAULT_INJECT], s->result[FAULT_EMULATE],
	       s->result[FAULT_MMIO]);
	printf("TLB hits %lu, walks %lu, large %lu, steps %lu, interrupted %lu, ", s->tlb_hits, s->cpu_hits,
	       s->large, s->steps, s->interrupted);
	printf("reclaimed %lu, no memory %lu, flushes %lu, exchanges %lu, vCPUs %lu, lent %lu\n",
	       s->reclaimed, s->nomem, s->flushes, s->exchanges, s->remade, s->lent);
}

static void print_tracking(void)
{
	const struct trackers_seen *s = &trackers_seen;

	printf("asked %lu, told %lu, walks %lu, denied %lu, skipped %lu, replaced %lu, stopped %lu, overruled %lu, ",
	       s->asked, s->told, s->walks, s->denied, s->skipped, s->replaced, s->stopped, s->overruled);
	printf("of steps: denied %lu, reads %lu, writes %lu, silent %lu; fetches %lu, parked %lu, moved %lu\n",
	       s->native_denied, s->native_reads, s->native_writes, s->silent, s->fetches, s->parked, s->moved);
}

static void must_have_seen_everything(void)
{
	const struct world_seen *s = &world_seen;

	for (int i = 0; i < FAULT_NOMEM; i++)
		assert_true(s->result[i] > 0);
	for (int i = 0; i < 4; i++)
		assert_true(s->modes[i] > 0);
	assert_true(s->tlb_hits && s->large && s->steps && s->interrupted && s->reclaimed);
	assert_true(s->nomem && s->exchanges && s->remade && s->lent);
}

static void trackers_must_have_seen_everything(void)
{
	const struct trackers_seen *s = &trackers_seen;

	assert_true(s->asked && s->told && s->walks && s->denied && s->skipped && s->replaced && s->stopped);
	assert_true(s->overruled && s->native_denied && s->native_reads && s->native_writes && s->silent);
	assert_true(s->fetches && s->parked && s->moved);
}

static void random_operations(void **state)
{
	unsigned long steps = number("SPOOR_STEPS", STEPS_DEFAULT);
	uint64_t seed = number("SPOOR_SEED", 1);
	size_t pages = host_pages_used();

	for (unsigned long done = 0; done < steps; seed++) {
		world_open(seed);
		for (unsigned int i = 0; i < STEPS_PER_WORLD && done < steps; i++, done++)
			world_step(NULL);
		world_close();
		assert_int_equal(host_pages_used(), pages);
	}
	print_seen();
	print_tracking();
	if (steps >= 100000) {
		must_have_seen_everything();
		trackers_must_have_seen_everything();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_operations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
