/* SPDX-License-Identifier: GPL-2.0-only */
/* Tracking counters and trackers, on a made-up MMU that notes what it is asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <pthread.h>
#include <unistd.h>
#include <cmocka.h>
#include "lib/errno.h"
#include "pagetrack/page_track.h"
#include "tests/host/port_host.h"

#define BASE 0x100
#define NPAGES 16

struct fake_mmu {
	unsigned int protects, unprotects, flushes;
	bool may_be_cached;
	gfn_t gfn;
	enum page_track_mode mode;
};

static bool fake_protect(void *ctx, gfn_t g, enum page_track_mode mode)
{
	struct fake_mmu *m = ctx;

	m->protects++;
	m->gfn = g;
	m->mode = mode;
	return m->may_be_cached;
}

static void fake_unprotect(void *ctx, gfn_t g, enum page_track_mode mode)
{
	struct fake_mmu *m = ctx;

	m->unprotects++;
	m->gfn = g;
	m->mode = mode;
}

static void fake_flush(void *ctx) { ((struct fake_mmu *)ctx)->flushes++; }

static const struct page_track_mmu_ops ops = {
	.protect = fake_protect, .unprotect = fake_unprotect, .flush = fake_flush,
};

static struct fake_mmu mmu;
static struct page_track pt;
static struct page_track_slot slot;

static int setup(void **state)
{
	mmu = (struct fake_mmu){ .may_be_cached = true };
	page_track_init(&pt, &ops, &mmu);
	return page_track_slot_init(&slot, gfn(BASE), NPAGES);
}

static int teardown(void **state)
{
	page_track_slot_destroy(&slot, NULL);
	return host_pages_used() != 0;
}

static void first_add_protects_and_flushes(void **state)
{
	assert_int_equal(page_track_add(&pt, &slot, gfn(BASE + 3), PAGE_TRACK_WRITE), 0);
	assert_int_equal(mmu.protects, 1);
	assert_int_equal(mmu.flushes, 1);
	assert_int_equal(mmu.gfn.v, BASE + 3);
	assert_int_equal(mmu.mode, PAGE_TRACK_WRITE);
	assert_true(page_track_is_active(&slot, gfn(BASE + 3), PAGE_TRACK_WRITE));
	assert_false(page_track_is_active(&slot, gfn(BASE + 2), PAGE_TRACK_WRITE));
	assert_false(page_track_is_active(&slot, gfn(BASE + 4), PAGE_TRACK_WRITE));
}

static void no_flush_when_no_tlb_can_hold_it(void **state)
{
	mmu.may_be_cached = false;
	assert_int_equal(page_track_add(&pt, &slot, gfn(BASE), PAGE_TRACK_WRITE), 0);
	assert_int_equal(mmu.protects, 1);
	assert_int_equal(mmu.flushes, 0);
}

static void only_the_last_remove_unprotects(void **state)
{
	for (int i = 0; i < 2; i++)
		assert_int_equal(page_track_add(&pt, &slot, gfn(BASE), PAGE_TRACK_WRITE), 0);
	assert_int_equal(page_track_remove(&pt, &slot, gfn(BASE), PAGE_TRACK_WRITE), 0);
	assert_int_equal(mmu.unprotects, 0);
	assert_int_equal(page_track_remove(&pt, &slot, gfn(BASE), PAGE_TRACK_WRITE), 0);
	assert_int_equal(mmu.unprotects, 1);
}

static void modes_do_not_touch_each_other(void **state)
{
	for (unsigned int m = 0; m < PAGE_TRACK_MODES; m++) {
		assert_int_equal(page_track_add(&pt, &slot, gfn(BASE + 1), m), 0);
		assert_int_equal(mmu.mode, m);
		for (unsigned int k = 0; k < PAGE_TRACK_MODES; k++)
			assert_int_equal(page_track_count(&slot, gfn(BASE + 1), k), k <= m);
	}
}

static void lesson_01_overflow_is_an_error(void **state)
{
	for (int i = 0; i < PAGE_TRACK_COUNT_MAX; i++)
		assert_int_equal(page_track_add(&pt, &slot, gfn(BASE), PAGE_TRACK_WRITE), 0);
	mmu.protects = mmu.flushes = 0;
	assert_int_equal(page_track_add(&pt, &slot, gfn(BASE), PAGE_TRACK_WRITE), -EOVERFLOW);
	assert_int_equal(page_track_count_add(&slot, gfn(BASE), PAGE_TRACK_WRITE), -EOVERFLOW);
	assert_int_equal(page_track_count(&slot, gfn(BASE), PAGE_TRACK_WRITE), PAGE_TRACK_COUNT_MAX);
	assert_int_equal(mmu.protects + mmu.flushes, 0);
	for (int i = 0; i < PAGE_TRACK_COUNT_MAX; i++) {
		assert_int_equal(mmu.unprotects, 0);
		assert_int_equal(page_track_remove(&pt, &slot, gfn(BASE), PAGE_TRACK_WRITE), 0);
	}
	assert_int_equal(mmu.unprotects, 1);
}

static void lesson_01_underflow_is_an_error(void **state)
{
	assert_int_equal(page_track_remove(&pt, &slot, gfn(BASE), PAGE_TRACK_WRITE), -ENOENT);
	assert_int_equal(page_track_count_sub(&slot, gfn(BASE), PAGE_TRACK_WRITE), -ENOENT);
	assert_int_equal(page_track_total(&slot, PAGE_TRACK_WRITE), 0);
	assert_int_equal(mmu.unprotects, 0);
}

static void outside_the_slot_is_an_error(void **state)
{
	const uint64_t bad[] = { 0, BASE - 1, BASE + NPAGES, UINT64_MAX, BASE + (1ull << 52) };

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(page_track_add(&pt, &slot, gfn(bad[i]), PAGE_TRACK_WRITE), -EINVAL);
		assert_int_equal(page_track_remove(&pt, &slot, gfn(bad[i]), PAGE_TRACK_WRITE), -EINVAL);
		assert_int_equal(page_track_count(&slot, gfn(bad[i]), PAGE_TRACK_WRITE), 0);
	}
	assert_int_equal(mmu.protects + mmu.unprotects + mmu.flushes, 0);
}

static void unknown_mode_is_an_error(void **state)
{
	enum page_track_mode bad[] = { PAGE_TRACK_MODES, (enum page_track_mode)255 };

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(page_track_add(&pt, &slot, gfn(BASE + 5), bad[i]), -EINVAL);
		assert_int_equal(page_track_remove(&pt, &slot, gfn(BASE + 5), bad[i]), -EINVAL);
		assert_false(page_track_is_active(&slot, gfn(BASE + 5), bad[i]));
	}
}

static void lesson_04_slot_init_is_all_or_nothing(void **state)
{
	struct page_track_slot s;
	size_t before = host_pages_used();

	for (int nth = 0; nth < PAGE_TRACK_MODES; nth++) {
		memset(&s, 0xA5, sizeof(s)); /* as an uninitialised caller would have it */
		host_fail_allocation(nth);
		assert_int_equal(page_track_slot_init(&s, gfn(0), 5000), -ENOMEM);
		host_fail_allocation(-1);
		assert_int_equal(host_pages_used(), before);
		for (int m = 0; m < PAGE_TRACK_MODES; m++)
			assert_null(s.gfn_track[m]);
		page_track_slot_destroy(&s, NULL); /* harmless */
	}
	assert_int_equal(page_track_slot_init(&s, gfn(0), 0), -EINVAL);
	assert_int_equal(page_track_slot_init(&s, gfn(0), UINT64_MAX), -EINVAL);
}

static void lesson_04_destroy_keeps_what_is_shared(void **state)
{
	struct page_track_slot copy = slot;
	size_t before = host_pages_used();

	assert_int_equal(page_track_add(&pt, &slot, gfn(BASE), PAGE_TRACK_WRITE), 0);
	page_track_slot_destroy(&slot, &copy);
	assert_int_equal(host_pages_used(), before);
	assert_null(slot.gfn_track[0]);
	assert_int_equal(page_track_count(&copy, gfn(BASE), PAGE_TRACK_WRITE), 1);
	slot = copy;
}

/* ---- trackers ---------------------------------------------------------- */

struct noting {
	struct page_tracker t;
	struct page_tracker *unregister; /* from inside the callback */
	unsigned int writes, regions, order;
};

static unsigned int clock_;

static void note_write(struct page_tracker *t, const struct page_track_write *w)
{
	struct noting *n = container_of(t, struct noting, t);

	assert_false(pt.lock.locked);
	n->writes++;
	n->order = ++clock_;
	if (n->unregister)
		assert_int_equal(page_tracker_unregister(&pt, n->unregister), 0);
}

static void note_region(struct page_tracker *t, gfn_t base, uint64_t npages)
{
	assert_int_equal(base.v, BASE);
	assert_int_equal(npages, NPAGES);
	container_of(t, struct noting, t)->regions++;
}

static struct noting noting(const char *name, int priority)
{
	return (struct noting){ .t = { .name = name, .priority = priority, .write = note_write } };
}

static void a_write(void)
{
	const uint8_t b = 0;
	const struct page_track_write w = { .gpa = gpa(BASE << 12), .len = 1, .old = &b, .new = &b };

	page_track_notify_write(&pt, &w);
}

static void trackers_are_told_by_priority(void **state)
{
	struct noting late = noting("late", 9), mid = noting("mid", 5), mid2 = noting("mid2", 5);
	struct noting first = noting("mmu", 0);

	assert_int_equal(page_tracker_register(&pt, &late.t), 0);
	assert_int_equal(page_tracker_register(&pt, &mid.t), 0);
	assert_int_equal(page_tracker_register(&pt, &first.t), 0);
	assert_int_equal(page_tracker_register(&pt, &mid2.t), 0);
	a_write();
	assert_true(first.order < mid.order && mid.order < mid2.order && mid2.order < late.order);
	assert_int_equal(first.writes + mid.writes + mid2.writes + late.writes, 4);
}

static void registering_twice_or_wrongly_is_an_error(void **state)
{
	struct noting n = noting("n", 1);
	struct page_tracker mute = { .name = "mute" };

	assert_int_equal(page_tracker_register(&pt, &mute), -EINVAL);
	assert_int_equal(page_tracker_unregister(&pt, &n.t), -ENOENT);
	assert_int_equal(page_tracker_register(&pt, &n.t), 0);
	assert_int_equal(page_tracker_register(&pt, &n.t), -EEXIST);
	assert_int_equal(page_tracker_unregister(&pt, &n.t), 0);
	assert_int_equal(page_tracker_unregister(&pt, &n.t), -ENOENT);
	a_write();
	assert_int_equal(n.writes, 0);
}

/* Each of three trackers, unregistered by each of them. */
static void lesson_15_unregister_from_inside_a_callback(void **state)
{
	for (int who = 0; who < 3; who++) {
		for (int whom = 0; whom < 3; whom++) {
			struct noting n[3] = { noting("a", 1), noting("b", 2), noting("c", 3) };

			for (int i = 0; i < 3; i++)
				assert_int_equal(page_tracker_register(&pt, &n[i].t), 0);
			n[who].unregister = &n[whom].t;
			a_write();
			for (int i = 0; i < 3; i++)
				assert_int_equal(n[i].writes, !(i == whom && whom > who));
			n[who].unregister = NULL;
			a_write();
			assert_int_equal(n[whom].writes, whom > who ? 0 : 1);
			assert_true(TAILQ_EMPTY(&pt.cursors));
			for (int i = 0; i < 3; i++)
				if (i != whom)
					assert_int_equal(page_tracker_unregister(&pt, &n[i].t), 0);
		}
	}
}

/* ---- on two CPUs ------------------------------------------------------- */

static _Thread_local unsigned int cpu;
static unsigned int this_cpu(void) { return cpu; }

static struct {
	int inside, finished;
} slow;

/* Takes its time, on another CPU. */
static void slow_write(struct page_tracker *t, const struct page_track_write *w)
{
	__atomic_store_n(&slow.inside, 1, __ATOMIC_RELEASE);
	usleep(20000);
	__atomic_store_n(&slow.finished, 1, __ATOMIC_RELEASE);
}

static void *other_cpu(void *nothing)
{
	cpu = 1;
	a_write();
	return NULL;
}

/* Memory of a tracker may go when unregister has returned. */
static void lesson_15_unregister_waits_for_other_cpus(void **state)
{
	struct page_track_mmu_ops with_cpu = ops;
	struct page_tracker t = { .name = "slow", .priority = 1, .write = slow_write };
	pthread_t thread;

	with_cpu.cpu = this_cpu;
	pt.ops = &with_cpu;
	memset(&slow, 0, sizeof(slow));
	assert_int_equal(page_tracker_register(&pt, &t), 0);
	assert_int_equal(pthread_create(&thread, NULL, other_cpu, NULL), 0);
	while (!__atomic_load_n(&slow.inside, __ATOMIC_ACQUIRE))
		usleep(100);
	assert_int_equal(page_tracker_unregister(&pt, &t), 0);
	assert_int_equal(__atomic_load_n(&slow.finished, __ATOMIC_ACQUIRE), 1);
	assert_int_equal(pthread_join(thread, NULL), 0);
	pt.ops = &ops;
}

/* The counter changes atomically: two CPUs add and remove at once. */
static void *add_and_remove(void *nothing)
{
	cpu = 1;
	for (int i = 0; i < 100000; i++) {
		if (page_track_count_add(&slot, gfn(BASE), PAGE_TRACK_WRITE) ||
		    page_track_count_sub(&slot, gfn(BASE), PAGE_TRACK_WRITE))
			return &cpu;
	}
	return NULL;
}

static void lesson_01_counters_are_atomic(void **state)
{
	pthread_t thread;
	void *bad;

	assert_int_equal(pthread_create(&thread, NULL, add_and_remove, NULL), 0);
	assert_null(add_and_remove(NULL));
	assert_int_equal(pthread_join(thread, &bad), 0);
	assert_null(bad);
	assert_int_equal(page_track_count(&slot, gfn(BASE), PAGE_TRACK_WRITE), 0);
	cpu = 0;
}

static void region_removed_is_optional(void **state)
{
	struct noting a = noting("a", 1), b = noting("b", 2);

	b.t.region_removed = note_region;
	assert_int_equal(page_tracker_register(&pt, &a.t), 0);
	assert_int_equal(page_tracker_register(&pt, &b.t), 0);
	page_track_notify_region_removed(&pt, gfn(BASE), NPAGES);
	assert_int_equal(a.regions, 0);
	assert_int_equal(b.regions, 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(first_add_protects_and_flushes),
		T(no_flush_when_no_tlb_can_hold_it),
		T(only_the_last_remove_unprotects),
		T(modes_do_not_touch_each_other),
		T(lesson_01_overflow_is_an_error),
		T(lesson_01_underflow_is_an_error),
		T(outside_the_slot_is_an_error),
		T(unknown_mode_is_an_error),
		T(lesson_04_slot_init_is_all_or_nothing),
		T(lesson_04_destroy_keeps_what_is_shared),
		T(trackers_are_told_by_priority),
		T(registering_twice_or_wrongly_is_an_error),
		T(lesson_15_unregister_from_inside_a_callback),
		T(lesson_15_unregister_waits_for_other_cpus),
		T(lesson_01_counters_are_atomic),
		T(region_removed_is_optional),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
