/* SPDX-License-Identifier: GPL-2.0-only */
/* Counters in chunks, and who tells trackers apart: on a made-up MMU that notes what it is asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <pthread.h>
#include <unistd.h>
#include <cmocka.h>
#include "lib/errno.h"
#include "tests/host/pagetrack_fake.h"
#include "tests/host/port_host.h"

#define BASE 0x123ull /* not a multiple of 512 */
#define NPAGES 5000ull

static struct fake_mmu mmu;
#define slot (mmu.slot[0])

static int setup(void **state)
{
	fake_init(&mmu);
	return fake_slot_create(&mmu, 0, BASE, NPAGES);
}

static int teardown(void **state)
{
	return fake_destroy(&mmu) ? 0 : -1;
}

static int add(uint64_t g, enum page_track_mode mode)
{
	return page_track_count_add(&mmu.pt, &slot, gfn(g), mode);
}

static int sub(uint64_t g, enum page_track_mode mode)
{
	return page_track_count_sub(&slot, gfn(g), mode);
}

/* ---- counters ------------------------------------------------------------ */

static void modes_and_pages_do_not_touch_each_other(void **state)
{
	for (unsigned int m = 0; m < PAGE_TRACK_MODES; m++) {
		assert_int_equal(add(BASE + 1, m), 0);
		for (unsigned int k = 0; k < PAGE_TRACK_MODES; k++)
			assert_int_equal(page_track_count(&slot, gfn(BASE + 1), k), k <= m);
		assert_false(page_track_is_active(&slot, gfn(BASE), m));
		assert_true(page_track_is_active(&slot, gfn(BASE + 1), m));
		assert_false(page_track_is_active(&slot, gfn(BASE + 2), m));
		assert_int_equal(page_track_total(&slot, m), 1);
	}
	assert_int_equal(page_track_total(&slot, PAGE_TRACK_MODES), 0);
}

/* The MMU counts for itself: it takes rights and flushes on its own. */
static void the_mmus_counts_ask_it_nothing(void **state)
{
	assert_int_equal(add(BASE, PAGE_TRACK_WRITE), 0);
	assert_int_equal(sub(BASE, PAGE_TRACK_WRITE), 0);
	assert_int_equal(mmu.protects + mmu.unprotects + mmu.flushes, 0);
}

static void lesson_01_overflow_is_an_error(void **state)
{
	for (int i = 0; i < PAGE_TRACK_COUNT_MAX; i++)
		assert_int_equal(add(BASE, PAGE_TRACK_WRITE), 0);
	assert_int_equal(add(BASE, PAGE_TRACK_WRITE), -EOVERFLOW);
	assert_int_equal(page_track_count(&slot, gfn(BASE), PAGE_TRACK_WRITE), PAGE_TRACK_COUNT_MAX);
	for (int i = 0; i < PAGE_TRACK_COUNT_MAX; i++)
		assert_int_equal(sub(BASE, PAGE_TRACK_WRITE), 0);
	assert_int_equal(page_track_count(&slot, gfn(BASE), PAGE_TRACK_WRITE), 0);
	assert_false(page_track_range_is_active(&slot, gfn(BASE)));
}

static void lesson_01_underflow_is_an_error(void **state)
{
	assert_int_equal(sub(BASE, PAGE_TRACK_WRITE), -ENOENT); /* no chunk */
	assert_int_equal(add(BASE, PAGE_TRACK_READ), 0);
	assert_int_equal(sub(BASE, PAGE_TRACK_WRITE), -ENOENT);
	assert_int_equal(sub(BASE + 1, PAGE_TRACK_READ), -ENOENT);
	assert_int_equal(page_track_total(&slot, PAGE_TRACK_WRITE), 0);
	assert_int_equal(page_track_total(&slot, PAGE_TRACK_READ), 1);
}

static void outside_the_slot_is_an_error(void **state)
{
	const uint64_t bad[] = { 0, BASE - 1, BASE + NPAGES, UINT64_MAX, BASE + (1ull << 52) };

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(add(bad[i], PAGE_TRACK_WRITE), -EINVAL);
		assert_int_equal(sub(bad[i], PAGE_TRACK_WRITE), -EINVAL);
		assert_int_equal(page_track_count(&slot, gfn(bad[i]), PAGE_TRACK_WRITE), 0);
		assert_false(page_track_range_is_active(&slot, gfn(bad[i])));
	}
	assert_int_equal(page_track_chunks_made(&slot), 0);
}

static void unknown_mode_is_an_error(void **state)
{
	enum page_track_mode bad[] = { PAGE_TRACK_MODES, (enum page_track_mode)255 };

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(add(BASE + 5, bad[i]), -EINVAL);
		assert_int_equal(sub(BASE + 5, bad[i]), -EINVAL);
		assert_false(page_track_is_active(&slot, gfn(BASE + 5), bad[i]));
	}
}

/* ---- chunks -------------------------------------------------------------- */

static void lesson_04_slot_init_is_all_or_nothing(void **state)
{
	const struct page_track_slot zero = { 0 };
	struct page_track_slot s;
	size_t before = host_pages_used();

	memset(&s, 0xA5, sizeof(s)); /* as an uninitialised caller would have it */
	host_fail_allocation(0);
	assert_int_equal(page_track_slot_init(&s, gfn(0), 5000), -ENOMEM);
	host_fail_allocation(-1);
	assert_int_equal(host_pages_used(), before);
	assert_memory_equal(&s, &zero, sizeof(s));
	page_track_slot_destroy(&s); /* harmless */
	assert_int_equal(page_track_slot_init(&s, gfn(0), 0), -EINVAL);
	assert_int_equal(page_track_slot_init(&s, gfn(1), UINT64_MAX), -EINVAL);
	assert_memory_equal(&s, &zero, sizeof(s));
}

/* Two slots lie in the same 2 MiB: each has a chunk of its own for it. */
static void lesson_04_destroy_keeps_what_is_shared(void **state)
{
	struct page_track_slot below;

	assert_int_equal(page_track_slot_init(&below, gfn(BASE - 16), 16), 0);
	assert_int_equal(page_track_count_add(&mmu.pt, &below, gfn(BASE - 1), PAGE_TRACK_WRITE), 0);
	assert_false(page_track_range_is_active(&slot, gfn(BASE)));
	assert_int_equal(add(BASE, PAGE_TRACK_WRITE), 0);
	page_track_slot_destroy(&below);
	assert_null(below.chunk);
	assert_int_equal(page_track_count(&slot, gfn(BASE), PAGE_TRACK_WRITE), 1);
}

/* Chunks are aligned by gfn: any start and length, and no counter is another's. */
static void chunks_cover_the_slot(void **state)
{
	const uint64_t bases[] = { 0, 1, 511, 512, 513, 0xFFFFFFFFFFull };
	const uint64_t sizes[] = { 1, 2, 511, 512, 513, 1025 };

	for (unsigned int b = 0; b < ARRAY_SIZE(bases); b++) {
		for (unsigned int n = 0; n < ARRAY_SIZE(sizes); n++) {
			uint64_t first = bases[b], last = first + sizes[n] - 1;
			struct page_track_slot s;
			int err;

			assert_int_equal(page_track_slot_init(&s, gfn(first), sizes[n]), 0);
			assert_int_equal(page_track_chunks(&s), last / 512 - first / 512 + 1);
			for (uint64_t g = first; g <= last; g++) {
				assert_int_equal(page_track_count(&s, gfn(g), PAGE_TRACK_EXEC), 0);
				err = page_track_count_add(&mmu.pt, &s, gfn(g), PAGE_TRACK_EXEC);
				assert_int_equal(err, 0);
				assert_int_equal(page_track_chunks_made(&s), g / 512 - first / 512 + 1);
			}
			assert_int_equal(page_track_total(&s, PAGE_TRACK_EXEC), sizes[n]);
			page_track_slot_destroy(&s);
		}
	}
	assert_int_equal(page_track_chunks(&(struct page_track_slot){ 0 }), 0);
}

static void a_range_is_active_while_a_page_of_it_is(void **state)
{
	const uint64_t g = 0x400, ends[] = { 0x400, 0x5FF };

	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(add(ends[i], i), 0);
		assert_int_equal(add(ends[i], i), 0);
		assert_true(page_track_range_is_active(&slot, gfn(g)));
		assert_true(page_track_range_is_active(&slot, gfn(g + 511)));
		assert_false(page_track_range_is_active(&slot, gfn(g - 1)));
		assert_false(page_track_range_is_active(&slot, gfn(g + 512)));
		assert_int_equal(sub(ends[i], i), 0);
		assert_true(page_track_range_is_active(&slot, gfn(g + 7)));
		assert_int_equal(sub(ends[i], i), 0);
		assert_false(page_track_range_is_active(&slot, gfn(g)));
	}
	assert_int_equal(page_track_chunks_made(&slot), 1);
}

/* 64 GiB: a pointer for each 2 MiB, and a page for each that is tracked. */
static void lesson_17_untracked_memory_costs_a_pointer_per_2m(void **state)
{
	const uint64_t npages = 64ull << 18, at[] = { 0, 5, npages / 2, npages - 1 };
	size_t before = host_pages_used();
	struct page_track_slot s;

	assert_int_equal(page_track_slot_init(&s, gfn(0), npages), 0);
	assert_int_equal(page_track_chunks(&s), npages / 512);
	assert_int_equal(host_pages_used() - before, npages / 512 * 8 / PAGE_SIZE);
	for (unsigned int i = 0; i < ARRAY_SIZE(at); i++)
		assert_int_equal(page_track_count_add(&mmu.pt, &s, gfn(at[i]), PAGE_TRACK_WRITE), 0);
	assert_int_equal(page_track_chunks_made(&s), 3);
	assert_int_equal(host_pages_used() - before, npages / 512 * 8 / PAGE_SIZE + 3);
	assert_int_equal(page_track_total(&s, PAGE_TRACK_WRITE), 4);
	page_track_slot_destroy(&s);
	assert_int_equal(host_pages_used(), before);
}

/* Random counts on the whole slot against arrays as flat as they used to be. */
static void chunks_agree_with_flat_arrays(void **state)
{
	static uint16_t flat[PAGE_TRACK_MODES][NPAGES];
	uint64_t sum[PAGE_TRACK_MODES] = { 0 };

	memset(flat, 0, sizeof(flat));
	srand(17);
	for (unsigned int i = 0; i < 200000; i++) {
		unsigned int mode = (unsigned int)rand() % PAGE_TRACK_MODES;
		uint64_t page = (uint64_t)rand() % NPAGES;
		uint16_t *want = &flat[mode][page];

		if (rand() % 2) {
			assert_int_equal(add(BASE + page, mode), 0);
			++*want;
		} else {
			assert_int_equal(sub(BASE + page, mode), *want ? 0 : -ENOENT);
			*want -= *want > 0;
		}
		assert_int_equal(page_track_count(&slot, gfn(BASE + page), mode), *want);
	}
	for (unsigned int mode = 0; mode < PAGE_TRACK_MODES; mode++) {
		for (uint64_t page = 0; page < NPAGES; page++) {
			assert_int_equal(page_track_count(&slot, gfn(BASE + page), mode), flat[mode][page]);
			sum[mode] += flat[mode][page];
		}
		assert_int_equal(page_track_total(&slot, mode), sum[mode]);
	}
}

static void no_memory_for_a_chunk_changes_nothing(void **state)
{
	size_t before = host_pages_used();

	host_fail_allocation(0);
	assert_int_equal(add(BASE, PAGE_TRACK_WRITE), -ENOMEM);
	host_fail_allocation(-1);
	assert_int_equal(page_track_chunks_made(&slot), 0);
	assert_int_equal(host_pages_used(), before);
	assert_int_equal(add(BASE, PAGE_TRACK_WRITE), 0);
}

/* So many chunks as were reserved can be made without memory, no more. */
static void what_is_reserved_is_there(void **state)
{
	assert_int_equal(page_track_reserve(&mmu.pt, 3), 0);
	assert_int_equal(mmu.pt.spares, 3);
	host_fail_allocation(0);
	assert_int_equal(page_track_reserve(&mmu.pt, 3), 0); /* asks for nothing */
	for (uint64_t i = 0; i < 3; i++)
		assert_int_equal(add(BASE + i * 512, PAGE_TRACK_WRITE), 0);
	assert_int_equal(add(BASE, PAGE_TRACK_WRITE), 0);
	assert_int_equal(mmu.pt.spares, 0);
	assert_int_equal(add(BASE + 3 * 512, PAGE_TRACK_WRITE), -ENOMEM);
	host_fail_allocation(1);
	assert_int_equal(page_track_reserve(&mmu.pt, 2), -ENOMEM);
	host_fail_allocation(-1);
	assert_int_equal(page_track_total(&slot, PAGE_TRACK_WRITE), 4);
}

/* ---- registration -------------------------------------------------------- */

struct noting {
	struct page_tracker t;
	struct page_tracker *destroy; /* from inside the callback */
	unsigned int events, regions, order;
};

static unsigned int clock_;

static void note_after(struct page_tracker *t, const struct page_track_event *e)
{
	struct noting *n = container_of(t, struct noting, t);

	assert_false(mmu.pt.lock.locked);
	n->events++;
	n->order = ++clock_;
	if (n->destroy)
		assert_int_equal(page_tracker_destroy(n->destroy), 0);
}

static void note_region(struct page_tracker *t, const struct page_track_region *r)
{
	struct noting *n = container_of(t, struct noting, t);

	assert_false(mmu.pt.lock.locked);
	assert_int_equal(r->base.v, BASE);
	assert_int_equal(r->npages, NPAGES);
	n->regions++;
	n->order = ++clock_;
	if (n->destroy)
		assert_int_equal(page_tracker_destroy(n->destroy), 0);
}

static const struct page_tracker_ops noting_ops = { .after = note_after };
static const struct page_tracker_ops region_ops = { .after = note_after, .region = note_region };

static struct noting noting(const char *name, int priority)
{
	return (struct noting){ .t = { .name = name, .priority = priority, .ops = &noting_ops } };
}

static void watch(struct page_tracker *t)
{
	assert_int_equal(page_tracker_register(&mmu.pt, t), 0);
	assert_int_equal(page_tracker_add(t, gfn(BASE), 1, PAGE_TRACK_W, NULL), 0);
}

static void a_write(void)
{
	assert_int_equal(fake_access(&mmu, BASE, PAGE_TRACK_WRITE, AGENT_DEVICE), VERDICT_ALLOW);
}

static void trackers_are_told_by_priority(void **state)
{
	struct noting late = noting("late", 9), mid = noting("mid", 5), mid2 = noting("mid2", 5);
	struct noting first = noting("first", -1);

	watch(&late.t);
	watch(&mid.t);
	watch(&first.t);
	watch(&mid2.t);
	a_write();
	assert_true(first.order < mid.order && mid.order < mid2.order && mid2.order < late.order);
	assert_int_equal(first.events + mid.events + mid2.events + late.events, 4);
	fake_retire(&mmu);
}

static void registering_twice_or_wrongly_is_an_error(void **state)
{
	static const struct page_tracker_ops no_ops = { .region = note_region };
	struct noting n = noting("n", 1);
	struct page_tracker mute = { .name = "mute" }, deaf = { .name = "deaf", .ops = &no_ops };

	assert_int_equal(page_tracker_register(&mmu.pt, &mute), -EINVAL);
	assert_int_equal(page_tracker_register(&mmu.pt, &deaf), -EINVAL);
	assert_int_equal(page_tracker_destroy(&n.t), -ENOENT);
	assert_int_equal(page_tracker_register(&mmu.pt, &n.t), 0);
	assert_int_equal(page_tracker_register(&mmu.pt, &n.t), -EEXIST);
	assert_int_equal(page_tracker_destroy(&n.t), 0);
	assert_int_equal(page_tracker_destroy(&n.t), -ENOENT);
	assert_int_equal(page_tracker_add(&n.t, gfn(BASE), 1, PAGE_TRACK_W, NULL), -ENOENT);
	assert_int_equal(page_tracker_remove(&n.t, gfn(BASE), 1, PAGE_TRACK_W, NULL), -ENOENT);
	assert_int_equal(page_tracker_add_all(&n.t, PAGE_TRACK_W, NULL, 0, NULL), -ENOENT);
	assert_int_equal(page_tracker_count(&n.t, gfn(BASE), PAGE_TRACK_WRITE), 0);
	page_tracker_clear(&n.t);
	page_tracker_rearm(&n.t);
	a_write();
	assert_int_equal(n.events, 0);
}

/* 1,024 at once on one page, each told once; not one more, and ids are used again. */
static void as_many_trackers_as_there_may_be(void **state)
{
	static struct noting n[PAGE_TRACKERS_MAX + 1];

	for (unsigned int i = 0; i < PAGE_TRACKERS_MAX; i++) {
		n[i] = noting("n", (int)(i * 7 % 31));
		watch(&n[i].t);
	}
	n[PAGE_TRACKERS_MAX] = noting("one more", 0);
	assert_int_equal(page_tracker_register(&mmu.pt, &n[PAGE_TRACKERS_MAX].t), -ENOSPC);
	a_write();
	for (unsigned int i = 0; i < PAGE_TRACKERS_MAX; i++)
		assert_int_equal(n[i].events, 1);
	assert_int_equal(page_track_held(&mmu.pt, gfn(BASE), PAGE_TRACK_WRITE), PAGE_TRACKERS_MAX);
	assert_int_equal(page_tracker_destroy(&n[77].t), 0);
	watch(&n[PAGE_TRACKERS_MAX].t);
	a_write();
	assert_int_equal(n[77].events, 1);
	assert_int_equal(n[PAGE_TRACKERS_MAX].events, 1);
}

/* Each of three trackers, destroyed by each of them. */
static void lesson_15_unregister_from_inside_a_callback(void **state)
{
	for (int who = 0; who < 3; who++) {
		for (int whom = 0; whom < 3; whom++) {
			struct noting n[3] = { noting("a", 1), noting("b", 2), noting("c", 3) };

			for (int i = 0; i < 3; i++)
				watch(&n[i].t);
			n[who].destroy = &n[whom].t;
			a_write();
			for (int i = 0; i < 3; i++)
				assert_int_equal(n[i].events, !(i == whom && whom > who));
			n[who].destroy = NULL;
			a_write();
			assert_int_equal(n[whom].events, whom > who ? 0 : 1);
			assert_true(TAILQ_EMPTY(&mmu.pt.cursors));
			for (int i = 0; i < 3; i++)
				if (i != whom)
					assert_int_equal(page_tracker_destroy(&n[i].t), 0);
		}
	}
	assert_int_equal(page_track_total(&slot, PAGE_TRACK_WRITE), 0);
}

static void destroy_from_inside_a_region_callback(void **state)
{
	const struct page_track_region r = { REGION_REMOVED, gfn(BASE), NPAGES, gfn(0) };

	for (int who = 0; who < 3; who++) {
		for (int whom = 0; whom < 3; whom++) {
			struct noting n[3] = { noting("a", 1), noting("b", 1), noting("c", 1) };

			for (int i = 0; i < 3; i++) {
				n[i].t.ops = &region_ops;
				watch(&n[i].t);
			}
			n[who].destroy = &n[whom].t;
			page_track_notify_region(&mmu.pt, &r);
			for (int i = 0; i < 3; i++)
				assert_int_equal(n[i].regions, !(i == whom && whom > who));
			assert_true(TAILQ_EMPTY(&mmu.pt.cursors));
			for (int i = 0; i < 3; i++)
				if (i != whom)
					assert_int_equal(page_tracker_destroy(&n[i].t), 0);
		}
	}
}

static void region_is_optional_and_in_order(void **state)
{
	struct noting a = noting("a", 1), b = noting("b", 2), c = noting("c", 0);
	const struct page_track_region r = { REGION_CREATED, gfn(BASE), NPAGES, gfn(0) };

	b.t.ops = c.t.ops = &region_ops;
	watch(&a.t);
	watch(&b.t);
	watch(&c.t);
	page_track_notify_region(&mmu.pt, &r);
	assert_int_equal(a.regions, 0);
	assert_int_equal(b.regions, 1);
	assert_int_equal(c.regions, 1);
	assert_true(c.order < b.order);
	fake_retire(&mmu);
}

/* ---- on two CPUs --------------------------------------------------------- */

static struct {
	int inside, finished;
} slow;

/* Takes its time, on another CPU. */
static void slow_after(struct page_tracker *t, const struct page_track_event *e)
{
	__atomic_store_n(&slow.inside, 1, __ATOMIC_RELEASE);
	usleep(20000);
	__atomic_store_n(&slow.finished, 1, __ATOMIC_RELEASE);
}

static const struct page_tracker_ops slow_ops = { .after = slow_after };

static void *other_cpu(void *nothing)
{
	fake_running_cpu = 1;
	a_write();
	return NULL;
}

/* Memory of a tracker may go when destroy has returned. */
static void lesson_15_unregister_waits_for_other_cpus(void **state)
{
	struct page_tracker t = { .name = "slow", .priority = 1, .ops = &slow_ops };
	pthread_t thread;

	memset(&slow, 0, sizeof(slow));
	watch(&t);
	assert_int_equal(pthread_create(&thread, NULL, other_cpu, NULL), 0);
	while (!__atomic_load_n(&slow.inside, __ATOMIC_ACQUIRE))
		usleep(100);
	assert_int_equal(page_tracker_destroy(&t), 0);
	assert_int_equal(__atomic_load_n(&slow.finished, __ATOMIC_ACQUIRE), 1);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

/* Counters and the number of active ones change atomically: two CPUs add and
 * remove at once, and both make the chunks. */
static void *add_and_remove(void *nothing)
{
	for (uint64_t i = 0; i < 100000; i++) {
		uint64_t g = BASE + i % 9 * 512;

		if (add(g, PAGE_TRACK_WRITE) || add(g, PAGE_TRACK_WRITE) || sub(g, PAGE_TRACK_WRITE) ||
		    sub(g, PAGE_TRACK_WRITE))
			return &slow;
	}
	return NULL;
}

static void lesson_01_counters_are_atomic(void **state)
{
	pthread_t thread;
	void *bad;

	/* The arena of the tests is not for two threads: all chunks come out of the reserve. */
	assert_int_equal(page_track_reserve(&mmu.pt, 32), 0);
	assert_int_equal(pthread_create(&thread, NULL, add_and_remove, NULL), 0);
	assert_null(add_and_remove(NULL));
	assert_int_equal(pthread_join(thread, &bad), 0);
	assert_null(bad);
	assert_int_equal(page_track_total(&slot, PAGE_TRACK_WRITE), 0);
	for (uint64_t i = 0; i < 9; i++)
		assert_false(page_track_range_is_active(&slot, gfn(BASE + i * 512)));
	assert_int_equal(page_track_chunks_made(&slot) + mmu.pt.spares, 32);
}

static void *count_one(void *nothing)
{
	return add(BASE, PAGE_TRACK_WRITE) ? &slow : NULL;
}

/* While one CPU waits for the reserve to make a chunk, another makes it: the first uses that one, and
 * puts its own back. */
static void a_race_for_a_chunk_loses_nothing(void **state)
{
	static struct noting n;
	pthread_t thread;
	void *bad;

	n = noting("n", 1);
	assert_int_equal(page_tracker_register(&mmu.pt, &n.t), 0);
	assert_int_equal(page_track_reserve(&mmu.pt, 1), 0);
	spin_lock(&mmu.pt.spare_lock);
	assert_int_equal(pthread_create(&thread, NULL, count_one, NULL), 0);
	usleep(50000); /* by now it has seen that there is none */
	assert_int_equal(page_track_chunks_made(&slot), 0);
	assert_int_equal(page_tracker_add(&n.t, gfn(BASE), 1, PAGE_TRACK_W, NULL), 0);
	spin_unlock(&mmu.pt.spare_lock);
	assert_int_equal(pthread_join(thread, &bad), 0);
	assert_null(bad);
	assert_int_equal(page_track_count(&slot, gfn(BASE), PAGE_TRACK_WRITE), 2);
	assert_int_equal(mmu.pt.spares, 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(modes_and_pages_do_not_touch_each_other),
		T(the_mmus_counts_ask_it_nothing),
		T(lesson_01_overflow_is_an_error),
		T(lesson_01_underflow_is_an_error),
		T(outside_the_slot_is_an_error),
		T(unknown_mode_is_an_error),
		T(lesson_04_slot_init_is_all_or_nothing),
		T(lesson_04_destroy_keeps_what_is_shared),
		T(chunks_cover_the_slot),
		T(a_range_is_active_while_a_page_of_it_is),
		T(lesson_17_untracked_memory_costs_a_pointer_per_2m),
		T(chunks_agree_with_flat_arrays),
		T(no_memory_for_a_chunk_changes_nothing),
		T(what_is_reserved_is_there),
		T(trackers_are_told_by_priority),
		T(registering_twice_or_wrongly_is_an_error),
		T(as_many_trackers_as_there_may_be),
		T(lesson_15_unregister_from_inside_a_callback),
		T(destroy_from_inside_a_region_callback),
		T(region_is_optional_and_in_order),
		T(lesson_15_unregister_waits_for_other_cpus),
		T(lesson_01_counters_are_atomic),
		T(a_race_for_a_chunk_loses_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
