/* SPDX-License-Identifier: MIT */
/*
 * map.h - an ordered map from disjointly keyed intervals to pointers
 *
 * A B+tree that is never changed in place: an update makes new nodes where
 * entries change, on the paths to them, and leaves the old version whole for
 * those who still read it. Everything an edit made is on one list, everything
 * it replaced on another, so that it can be dropped or finished without
 * walking a tree.
 *
 * Each entry is [key, end) -> value with a unique key. Nodes also know the
 * greatest end below them, which makes "all intervals that hold a point" a
 * search and not a scan even where intervals overlap (host addresses).
 *
 * Costs: lookup O(log n); an update takes all changes at once and makes each
 * node that they touch once.
 */
#ifndef MEMSLOT_MAP_H
#define MEMSLOT_MAP_H

#include "memslot/fault.h"
#include "memslot/memslot.h"
#include "memslot/spare.h"

#define MAP_FANOUT 16
#define MAP_NO_KEY UINT64_MAX /* after all keys */

struct map_node {
	uint16_t count;
	uint16_t level; /* 0: leaf */
	/* leaf: key; else the smallest below; MAP_NO_KEY from `count` on */
	uint64_t key[MAP_FANOUT];
	uint64_t end[MAP_FANOUT]; /* leaf: end; else the greatest below */
	void *ptr[MAP_FANOUT];    /* leaf: value; else a node */
	/* Of edits only, and not in the cache lines that a lookup reads. */
	bool dropped;          /* made and replaced by the same edit */
	uint64_t edit;         /* number of the edit that made it */
	struct map_node *link; /* on the edit's made or replaced list */
	struct map_node *next; /* on its way to its parent: the next one */
};

struct map_edit {
	const struct memslot_platform *pf;
	struct fault_plan *faults;
	struct spare *nodes; /* where nodes come from and go to, or NULL */
	uint64_t number;     /* unlike that of every earlier edit */
	struct map_node *made;
	struct map_node *replaced;
	/* Two values that overlap, the lower first: why -EEXIST. */
	void *overlap[2];
};

struct map_change {
	uint64_t key, end;
	void *value;   /* NULL: the entry goes, `end` means nothing */
	bool replaces; /* an entry that is there; else there is none */
};

/*
 * Sort changes by key for map_update(), which wants each key once: an entry
 * that goes and one that comes become one that replaces. What goes is to be
 * in front of what comes. `scratch` has room for `count`. Returns how many
 * are left.
 */
size_t map_sort(struct map_change *c, struct map_change *scratch, size_t count);

/*
 * Apply changes, sorted and each key once, to the map: entries are inserted,
 * replaced, or go. *root NULL is the empty map. An edit may be of several
 * updates. After an error it can only be dropped, and *root is as it was.
 *   -ENOMEM
 *   -EINVAL  an entry is to go, or to be replaced, that is not there
 *   -EEXIST  there is an entry of that key; or `disjoint` was asked for, and
 *            two intervals overlap
 */
int map_update(struct map_edit *e, struct map_node **root,
	const struct map_change *c, size_t count, bool disjoint);

/* The edit will not be published: free what it made. */
void map_edit_drop(struct map_edit *e);
/* The edit has been published and no reader is left: free what it replaced. */
void map_edit_finish(struct map_edit *e);

/* The last of four keys that is <= key, the first if there is none. */
static inline unsigned map_index4(const uint64_t *k, uint64_t key)
{
	return (k[1] <= key) + (k[2] <= key) + (k[3] <= key);
}

/*
 * The same of all keys of a node. Which ones are compared depends on `key`
 * once only: the processor guesses nothing and waits for memory twice, not
 * log2(MAP_FANOUT) times.
 */
static inline unsigned map_index(const struct map_node *n, uint64_t key)
{
	const uint64_t *k = n->key;
	unsigned four;

	_Static_assert(MAP_FANOUT == 16, "four times four");
	four = 4u * ((k[4] <= key) + (k[8] <= key) + (k[12] <= key));
	return four + map_index4(k + four, key);
}

/*
 * The leaf and the entry that hold `key` if any does: what the caller has to
 * see to is whether the interval does. NULL: the map is empty.
 */
static inline const struct map_node *map_seek(
	const struct map_node *n, uint64_t key, unsigned *at)
{
	if (!n)
		return NULL;
	/* Of a small map, the root has few entries: half the work. */
	for (unsigned level = n->level; level; level--)
		n = n->ptr[n->count <= 4 ? map_index4(n->key, key)
					 : map_index(n, key)];
	*at = map_index(n, key);
	return n;
}

/*
 * The value of exactly this key. *leaf is where the last one was found, or
 * NULL: keys that are asked for one after the other are often together.
 */
static inline void *map_get(
	const struct map_node *root, uint64_t key, const struct map_node **leaf)
{
	const struct map_node *n = *leaf;
	unsigned i;

	if (n && n->key[0] <= key && key <= n->key[n->count - 1u])
		i = map_index(n, key);
	else
		*leaf = n = map_seek(root, key, &i);
	return n && n->key[i] == key ? n->ptr[i] : NULL;
}

/* The value whose interval holds `key`, among intervals that are disjoint. */
void *map_find(const struct map_node *root, uint64_t key);
/* The value with the smallest key >= `key`; NULL: none. */
void *map_ceiling(const struct map_node *root, uint64_t key);
/*
 * The value with the smallest key in [from, limit] whose end is > point;
 * NULL: none. Intervals may overlap.
 */
void *map_stab(const struct map_node *root, uint64_t from, uint64_t limit,
	uint64_t point);

/* Free all nodes; values are the caller's. */
void map_free(const struct memslot_platform *pf, struct map_node *root);

uint64_t map_greatest_end(const struct map_node *n);
/* Sorted, keys and ends of parents right, no empty node. For tests. */
bool map_check(const struct map_node *root);

#endif
