/* SPDX-License-Identifier: GPL-2.0-only */
/* Interval trees against a plain array. SPOOR_SEED=n replays a run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>
#include "lib/compiler.h"
#include "lib/interval.h"
#include "tests/host/random.h"

#define NODES 200

static struct interval_tree tree;
static struct interval_node node[NODES];
static _Bool in[NODES];
static uint64_t seed, rng, step_number;

#define CHECK(cond) \
	do { \
		if (!(cond)) { \
			print_error("step %lu of SPOOR_SEED=%lu\n", step_number, seed); \
			assert_true(cond); \
		} \
	} while (0)

static uint64_t rnd(uint64_t below)
{
	return random_next(&rng) % below;
}

static int setup(void **state)
{
	seed = number_from_environment("SPOOR_SEED", (uint64_t)time(NULL));
	rng = seed * 0x9E3779B97F4A7C15ull + 1;
	tree = (struct interval_tree){ NULL };
	for (int i = 0; i < NODES; i++)
		in[i] = 0;
	return 0;
}

/* ---- the shape ------------------------------------------------------------ */

/* Depth of the deepest node; every link, the order and every max_last hold. */
static unsigned int check_shape(void)
{
	unsigned int deepest = 0, found = 0, expected = 0;

	CHECK(!tree.root || !tree.root->parent);
	for (int i = 0; i < NODES; i++) {
		const struct interval_node *n = &node[i];
		uint64_t max = n->last;
		unsigned int depth = 0;

		if (!in[i])
			continue;
		expected++;
		for (int side = 0; side < 2; side++) {
			const struct interval_node *c = n->child[side];

			if (!c)
				continue;
			CHECK(c->parent == n);
			CHECK(side ? c->first >= n->first : c->first <= n->first);
			if (c->max_last > max)
				max = c->max_last;
		}
		CHECK(n->max_last == max);
		for (; n->parent; n = n->parent)
			depth++;
		CHECK(n == tree.root);
		found++;
		if (depth > deepest)
			deepest = depth;
	}
	CHECK(found == expected);
	return deepest;
}

/* Ascending keys, the worst that can come to a tree that is not balanced. */
static void ascending_keys_make_no_list(void **state)
{
	for (int i = 0; i < NODES; i++) {
		node[i].first = node[i].last = (uint64_t)i;
		interval_insert(&tree, &node[i]);
		in[i] = 1;
	}
	CHECK(check_shape() < 40);
}

/* ---- the answers ----------------------------------------------------------- */

/* What the definition says. */
static struct interval_node *slow_next(uint64_t first, uint64_t last, struct interval_key key)
{
	struct interval_node *best = NULL;

	for (int i = 0; i < NODES; i++) {
		struct interval_node *n = &node[i];

		if (!in[i] || n->last < first || n->first > last)
			continue;
		if (n->first < key.first || (n->first == key.first && (uintptr_t)n <= key.node))
			continue;
		if (!best || n->first < best->first || (n->first == best->first && n < best))
			best = n;
	}
	return best;
}

static void change(uint64_t space)
{
	int i = (int)rnd(NODES);

	if (in[i]) {
		interval_remove(&tree, &node[i]);
	} else {
		node[i].first = rnd(space);
		node[i].last = node[i].first + rnd(rnd(4) ? 8 : space);
		interval_insert(&tree, &node[i]);
	}
	in[i] = !in[i];
}

static void walk(uint64_t space)
{
	uint64_t first = rnd(space + 10), last = first + rnd(10);
	struct interval_key there = { rnd(space), (uintptr_t)&node[rnd(NODES)] };
	struct interval_key key = rnd(3) ? INTERVAL_START : there;

	for (;;) {
		struct interval_key before = key;
		struct interval_node *want = slow_next(first, last, key);

		CHECK(interval_next(&tree, first, last, &key) == want);
		if (!want) {
			CHECK(key.first == before.first && key.node == before.node);
			return;
		}
		CHECK(key.first == want->first && key.node == (uintptr_t)want);
		if (!rnd(8))
			change(space); /* the node that was found, too */
	}
}

static void finds_what_overlaps_while_nodes_come_and_go(void **state)
{
	uint64_t steps = number_from_environment("SPOOR_STEPS", 80000) / 4;

	for (step_number = 0; step_number < steps; step_number++) {
		uint64_t space = step_number % 2 ? 40 : 3000;

		change(space);
		walk(space);
		if (step_number % 64 == 0)
			check_shape();
	}
}

static void the_ends_of_the_numbers(void **state)
{
	struct interval_key key = INTERVAL_START;

	node[0].first = 0;
	node[0].last = UINT64_MAX;
	node[1].first = node[1].last = UINT64_MAX;
	node[2].first = node[2].last = 0;
	for (int i = 0; i < 3; i++)
		interval_insert(&tree, &node[i]);
	assert_ptr_equal(interval_next(&tree, UINT64_MAX, UINT64_MAX, &key), &node[0]);
	assert_ptr_equal(interval_next(&tree, UINT64_MAX, UINT64_MAX, &key), &node[1]);
	assert_null(interval_next(&tree, UINT64_MAX, UINT64_MAX, &key));
	key = INTERVAL_START;
	assert_ptr_equal(interval_next(&tree, 0, 0, &key), &node[0]);
	assert_ptr_equal(interval_next(&tree, 0, 0, &key), &node[2]);
	assert_null(interval_next(&tree, 0, 0, &key));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(ascending_keys_make_no_list, setup),
		cmocka_unit_test_setup(finds_what_overlaps_while_nodes_come_and_go, setup),
		cmocka_unit_test_setup(the_ends_of_the_numbers, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
