/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Intervals [first, last] of 64-bit numbers, in a tree that finds those that
 * overlap a given one. Intervals may overlap each other, and be equal.
 *
 * The nodes lie in the objects of the owner: nothing is allocated, nothing can
 * fail. Insertion, removal and each step of a search cost O(log n), expected:
 * the tree is a treap whose ranks are hashes of the nodes' addresses.
 *
 * Lock: the owner's.
 */
#ifndef LIB_INTERVAL_H
#define LIB_INTERVAL_H

#include <stddef.h>
#include <stdint.h>

struct interval_node {
	uint64_t first, last; /* the owner's, constant while in a tree; first <= last */
	uint64_t max_last;    /* the largest in the subtree */
	struct interval_node *parent, *child[2];
};

struct interval_tree {
	struct interval_node *root; /* NULL: empty */
};

/* A place in the order of a tree: (first, then address of the node). It names a
 * node without pointing to one, so nodes may come and go between two steps. */
struct interval_key {
	uint64_t first;
	uintptr_t node;
};

/* Before all nodes. */
#define INTERVAL_START ((struct interval_key){ 0, 0 })

/* @n is in no tree. */
void interval_insert(struct interval_tree *tree, struct interval_node *n);
/* @n is in this one. */
void interval_remove(struct interval_tree *tree, struct interval_node *n);

/* The first node, in order, that overlaps [@first, @last] and comes after *@key,
 * which moves on to it. NULL: there is none, and *@key stays. */
struct interval_node *interval_next(const struct interval_tree *tree, uint64_t first, uint64_t last,
				    struct interval_key *key);

#endif
