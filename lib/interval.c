/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Interval trees.
 *
 * Invariant: in order of (first, address) from left to right; no node ranks
 * above its parent; max_last is the largest last of a node and all below it.
 */
#include "lib/interval.h"
#include <stdbool.h>

static struct interval_key key_of(const struct interval_node *n)
{
	return (struct interval_key){ n->first, (uintptr_t)n };
}

static bool comes_after(struct interval_key a, struct interval_key b)
{
	return a.first > b.first || (a.first == b.first && a.node > b.node);
}

/* Scatters the address, the bits of which are much the same in all nodes. */
static uint64_t rank_of(const struct interval_node *n)
{
	uint64_t x = (uintptr_t)n;

	x = (x ^ (x >> 31)) * 0x9E3779B97F4A7C15ull;
	x = (x ^ (x >> 29)) * 0xD6E8FEB86659FD93ull;
	return x ^ (x >> 32);
}

/* Does something in the subtree end at @first or later? */
static bool reaches(const struct interval_node *n, uint64_t first)
{
	return n && n->max_last >= first;
}

static void update(struct interval_node *n)
{
	n->max_last = n->last;
	for (int side = 0; side < 2; side++)
		if (n->child[side] && n->child[side]->max_last > n->max_last)
			n->max_last = n->child[side]->max_last;
}

/* @by, which may be NULL, stands where @n stood. */
static void replace(struct interval_tree *tree, const struct interval_node *n, struct interval_node *by)
{
	struct interval_node *parent = n->parent;

	if (!parent)
		tree->root = by;
	else
		parent->child[parent->child[1] == n] = by;
	if (by)
		by->parent = parent;
}

/* @n and its parent change places, the order stays. */
static void rotate_up(struct interval_tree *tree, struct interval_node *n)
{
	struct interval_node *parent = n->parent;
	int side = parent->child[1] == n;

	replace(tree, parent, n);
	parent->child[side] = n->child[!side];
	if (parent->child[side])
		parent->child[side]->parent = parent;
	n->child[!side] = parent;
	parent->parent = n;
	update(parent);
	update(n);
}

void interval_insert(struct interval_tree *tree, struct interval_node *n)
{
	struct interval_node **link = &tree->root;

	n->parent = n->child[0] = n->child[1] = NULL;
	while (*link) {
		n->parent = *link;
		link = &n->parent->child[comes_after(key_of(n), key_of(n->parent))];
	}
	*link = n;
	for (struct interval_node *up = n; up; up = up->parent)
		update(up);
	while (n->parent && rank_of(n) > rank_of(n->parent))
		rotate_up(tree, n);
}

void interval_remove(struct interval_tree *tree, struct interval_node *n)
{
	while (n->child[0] && n->child[1])
		rotate_up(tree, n->child[rank_of(n->child[1]) > rank_of(n->child[0])]);
	replace(tree, n, n->child[n->child[0] == NULL]);
	for (struct interval_node *up = n->parent; up; up = up->parent)
		update(up);
}

/* The first node of a subtree that reaches @first. */
static struct interval_node *leftmost(struct interval_node *n, uint64_t first)
{
	for (;;) {
		if (reaches(n->child[0], first))
			n = n->child[0];
		else if (n->last >= first)
			return n;
		else
			n = n->child[1];
	}
}

/*
 * On the way down to *@key, each node that is passed on its left has, with all
 * to its right, a higher key; the lowest such node with something that reaches
 * @first has the answer. All that come after that begin later: if it begins
 * too late, they do.
 */
struct interval_node *interval_next(const struct interval_tree *tree, uint64_t first, uint64_t last,
				    struct interval_key *key)
{
	struct interval_node *n = tree->root, *best = NULL;

	while (reaches(n, first)) {
		bool after = comes_after(key_of(n), *key);

		if (after && (n->last >= first || reaches(n->child[1], first)))
			best = n;
		n = n->child[!after];
	}
	if (!best)
		return NULL;
	n = best->last >= first ? best : leftmost(best->child[1], first);
	if (n->first > last)
		return NULL;
	*key = key_of(n);
	return n;
}
