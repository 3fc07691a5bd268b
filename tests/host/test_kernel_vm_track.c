// SPDX-License-Identifier: GPL-2.0-only
/* A VM all of whose pages are tracked: what is counted, and how often a page tells. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "kernel/vm_track.h"
#include "tests/host/port_host.h"
#include "tests/host/test_kernel_fakes.h"
#include "tests/host/tracked_memory.h"

#define RWX (PAGE_TRACK_R | PAGE_TRACK_W | PAGE_TRACK_X)
#define PERIOD 100
#define BEGIN 1000 /* TSC */
#define COUNT(mode, agent) track.count[PAGE_TRACK_##mode][AGENT_##agent]

static struct vm_track track;

static int setup(void **state)
{
	tracked_open();
	log_clear();
	return 0;
}

static int teardown(void **state)
{
	vm_track_destroy(&track);
	return tracked_close() != 0;
}

static void begin(unsigned int modes, uint64_t period)
{
	assert_int_equal(vm_track_init(&track, &mem.pt, MEM_PAGES, modes, period, BEGIN), 0);
}

static void poke(unsigned int page, const struct access_origin *by)
{
	assert_int_equal(tracked_write(AT(page, 8), "x", 1, by), VERDICT_ALLOW);
}

static void peek(unsigned int page, const struct access_origin *by)
{
	uint8_t b;

	assert_int_equal(tracked_read(AT(page, 8), &b, 1, by), VERDICT_ALLOW);
}

static void fetch(unsigned int page, const struct access_origin *by)
{
	assert_int_equal(tracked_fetch(AT(page, 8), 1, by), VERDICT_ALLOW);
}

static uint64_t sum(void)
{
	uint64_t n = 0;

	for (unsigned int m = 0; m < PAGE_TRACK_MODES; m++)
		for (unsigned int a = 0; a < AGENTS; a++)
			n += track.count[m][a];
	return n;
}

static void counts_by_mode_and_agent(void **state)
{
	begin(RWX, 0);
	for (unsigned int i = 0; i < 3; i++)
		poke(0, BY(EMULATOR));
	assert_int_equal(tracked_step_write(AT(1, 0), "x", 1), VERDICT_ALLOW);
	poke(2, BY(WALKER));
	poke(MEM_PAGES - 1, BY(DEVICE));
	for (unsigned int i = 0; i < 2; i++)
		peek(0, BY(INJECTION));
	peek(MEM_FIRST_SLOT, BY(HYPERCALL));
	for (unsigned int i = 0; i < 5; i++)
		fetch(0, BY(EMULATOR));
	assert_int_equal(COUNT(WRITE, EMULATOR), 3);
	assert_int_equal(COUNT(WRITE, GUEST), 1);
	assert_int_equal(COUNT(WRITE, WALKER), 1);
	assert_int_equal(COUNT(WRITE, DEVICE), 1);
	assert_int_equal(COUNT(READ, INJECTION), 2);
	assert_int_equal(COUNT(READ, HYPERCALL), 1);
	assert_int_equal(COUNT(EXEC, EMULATOR), 5);
	assert_int_equal(sum(), 14);
	assert_int_equal(mem.silent, 0);
}

static void other_modes_are_free(void **state)
{
	begin(PAGE_TRACK_W, 0);
	peek(0, BY(EMULATOR));
	fetch(0, BY(EMULATOR));
	assert_int_equal(mem.silent, 2);
	poke(0, BY(EMULATOR));
	assert_int_equal(mem.silent, 2);
	assert_int_equal(sum(), 1);
}

static void report_has_the_sums(void **state)
{
	begin(PAGE_TRACK_W | PAGE_TRACK_X, 0);
	poke(0, BY(EMULATOR));
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(tracked_step_write(AT(1, 0), "x", 1), VERDICT_ALLOW);
	for (unsigned int i = 0; i < 3; i++)
		poke(2, BY(WALKER));
	for (unsigned int i = 0; i < 4; i++)
		poke(2, BY(INJECTION));
	poke(2, BY(DEVICE));
	poke(2, BY(HYPERCALL));
	poke(2, BY(DEBUGGER));
	fetch(9, BY(EMULATOR));
	vm_track_report(&track, "k");
	assert_string_equal(log_text,
			    "vm \"k\": tracked writes: "
			    "1 emulated, 2 native, 3 walks, 4 deliveries, 3 others\n"
			    "vm \"k\": tracked fetches: "
			    "1 emulated, 0 native, 0 walks, 0 deliveries, 0 others\n");
}

static void a_page_tells_once_a_period(void **state)
{
	begin(RWX, PERIOD);
	for (unsigned int i = 0; i < 3; i++) {
		peek(5, BY(EMULATOR));
		poke(5, BY(EMULATOR));
		fetch(5, BY(EMULATOR));
		poke(6, BY(EMULATOR));
	}
	assert_int_equal(COUNT(WRITE, EMULATOR), 2);
	assert_int_equal(COUNT(READ, EMULATOR), 1);
	assert_int_equal(COUNT(EXEC, EMULATOR), 1);
	assert_int_equal(mem.silent, 8);
	vm_track_tick(&track, BEGIN + PERIOD - 1);
	poke(5, BY(EMULATOR));
	assert_int_equal(sum(), 4);
	for (unsigned int n = 1; n <= 3; n++) {
		vm_track_tick(&track, BEGIN + n * PERIOD);
		vm_track_tick(&track, BEGIN + n * PERIOD + 1);
		for (unsigned int i = 0; i < 2; i++) {
			poke(5, BY(EMULATOR));
			fetch(6, BY(EMULATOR));
		}
		assert_int_equal(COUNT(WRITE, EMULATOR), 2 + n);
		assert_int_equal(COUNT(EXEC, EMULATOR), 1 + n);
	}
	assert_int_equal(COUNT(READ, EMULATOR), 1);
}

/* Late: the next period is as long as the others. */
static void a_period_begins_at_the_tick(void **state)
{
	begin(PAGE_TRACK_W, PERIOD);
	vm_track_tick(&track, BEGIN + PERIOD + 70);
	poke(5, BY(EMULATOR));
	vm_track_tick(&track, BEGIN + 2 * PERIOD + 69);
	poke(5, BY(EMULATOR));
	assert_int_equal(sum(), 1);
	vm_track_tick(&track, BEGIN + 2 * PERIOD + 70);
	poke(5, BY(EMULATOR));
	assert_int_equal(sum(), 2);
}

static void every_page_at_full_speed(void **state)
{
	begin(RWX, PERIOD);
	for (unsigned int round = 1; round <= 2; round++) {
		for (unsigned int i = 0; i < 2 * MEM_PAGES; i++) {
			peek(i % MEM_PAGES, BY(EMULATOR));
			poke(i % MEM_PAGES, BY(EMULATOR));
			fetch(i % MEM_PAGES, BY(EMULATOR));
		}
		assert_int_equal(sum(), round * 3 * MEM_PAGES);
		vm_track_tick(&track, BEGIN + round * PERIOD);
	}
}

static void without_a_period_a_tick_does_nothing(void **state)
{
	unsigned int before;

	begin(RWX, 0);
	poke(5, BY(EMULATOR));
	before = mem.protects;
	vm_track_tick(&track, UINT64_MAX);
	poke(5, BY(EMULATOR));
	assert_int_equal(sum(), 2);
	assert_int_equal(mem.protects, before);
}

/* A page that was at full speed when its memory went, and comes again, tells once like any. */
static void memory_goes_and_comes(void **state)
{
	begin(PAGE_TRACK_W, PERIOD);
	poke(MEM_FIRST_SLOT, BY(EMULATOR));
	poke(0, BY(EMULATOR));
	tracked_remove_slot(1);
	vm_track_tick(&track, BEGIN + PERIOD);
	poke(0, BY(EMULATOR));
	tracked_make_slot(1);
	poke(MEM_FIRST_SLOT, BY(EMULATOR));
	assert_int_equal(sum(), 4);

	tracked_remove_slot(1);
	tracked_make_slot(1);
	vm_track_tick(&track, BEGIN + 2 * PERIOD);
	for (unsigned int i = 0; i < 3; i++)
		poke(MEM_FIRST_SLOT, BY(EMULATOR));
	assert_int_equal(sum(), 5);
}

static void all_is_given_back(void **state)
{
	begin(RWX, PERIOD);
	poke(5, BY(EMULATOR));
	vm_track_destroy(&track);
	poke(6, BY(EMULATOR));
	assert_int_equal(mem.silent, 1);
	vm_track_destroy(&track); /* once more does no harm */
	begin(PAGE_TRACK_W, 0);
	poke(6, BY(EMULATOR));
	assert_int_equal(sum(), 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(counts_by_mode_and_agent),
		T(other_modes_are_free),
		T(report_has_the_sums),
		T(a_page_tells_once_a_period),
		T(a_period_begins_at_the_tick),
		T(every_page_at_full_speed),
		T(without_a_period_a_tick_does_nothing),
		T(memory_goes_and_comes),
		T(all_is_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
