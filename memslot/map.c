/* SPDX-License-Identifier: MIT */
/*
 * map.c - the copy-on-write B+tree behind every lookup
 *
 * All changes go through own(), which returns a node that this edit may
 * write: the node itself if the edit made it, else a copy that takes its
 * place in the parent. Since parents are owned before their children, the
 * old version is never written to.
 */
#include "memslot/map.h"

#include <errno.h>
#include <string.h>

/* A node with fewer entries looks for a neighbour to merge with. */
#define MAP_SPARSE (MAP_FANOUT / 4)

/* ---- nodes ------------------------------------------------------------ */

/* The node has `count` entries now. */
static void set_count(struct map_node *n, unsigned count)
{
	n->count = (uint16_t)count;
	for (unsigned i = count; i < MAP_FANOUT; i++)
		n->key[i] = MAP_NO_KEY;
}

static struct map_node *node_new(struct map_edit *e, unsigned level)
{
	struct map_node *n;

	if (FAULT(e->faults, FAULT_VALIDATE_NODE))
		return NULL;
	n = e->pf->alloc(e->pf->ctx, sizeof(*n));
	if (!n)
		return NULL;
	n->level = (uint16_t)level;
	n->edit = e->number;
	n->link = e->made;
	e->made = n;
	set_count(n, 0);
	return n;
}

/* The node is no longer part of the edited version. */
static void node_retire(struct map_edit *e, struct map_node *n)
{
	if (n->edit == e->number) {
		n->dropped = true; /* freed with the list of made nodes */
		return;
	}
	n->link = e->replaced;
	e->replaced = n;
}

static struct map_node *own(struct map_edit *e, struct map_node **at)
{
	struct map_node *old = *at, *n;

	if (old->edit == e->number)
		return old;
	n = node_new(e, old->level);
	if (!n)
		return NULL;
	n->count = old->count;
	memcpy(n->key, old->key, sizeof(n->key));
	memcpy(n->end, old->end, sizeof(n->end));
	memcpy(n->ptr, old->ptr, sizeof(n->ptr));
	node_retire(e, old);
	*at = n;
	return n;
}

static uint64_t greatest_end(const struct map_node *n)
{
	uint64_t end = 0;

	for (unsigned i = 0; i < n->count; i++)
		end = n->end[i] > end ? n->end[i] : end;
	return end;
}

/* The last entry with a key <= key; count if there is none. */
static unsigned floor_index(const struct map_node *n, uint64_t key)
{
	return n->key[0] <= key ? map_index(n, key) : n->count;
}

static void entries_move(struct map_node *to, unsigned at,
	const struct map_node *from, unsigned first, unsigned count)
{
	memmove(to->key + at, from->key + first, count * sizeof(*to->key));
	memmove(to->end + at, from->end + first, count * sizeof(*to->end));
	memmove(to->ptr + at, from->ptr + first, count * sizeof(*to->ptr));
}

static void entry_set(
	struct map_node *n, unsigned i, uint64_t key, uint64_t end, void *ptr)
{
	n->key[i] = key;
	n->end[i] = end;
	n->ptr[i] = ptr;
}

static void entry_erase(struct map_node *n, unsigned i)
{
	entries_move(n, i, n, i + 1, n->count - i - 1u);
	set_count(n, n->count - 1u);
}

/* Entry i again describes its child, whose contents have changed. */
static void entry_refresh(struct map_node *n, unsigned i)
{
	const struct map_node *child = n->ptr[i];

	n->key[i] = child->key[0];
	n->end[i] = greatest_end(child);
}

/*
 * Put an entry at index i of an owned node. If the node is full its upper
 * half moves to a new right neighbour, handed out in *split.
 */
static int entry_insert(struct map_edit *e, struct map_node *n, unsigned i,
	uint64_t key, uint64_t end, void *ptr, struct map_node **split)
{
	const unsigned half = MAP_FANOUT / 2;

	if (n->count == MAP_FANOUT) {
		struct map_node *right = node_new(e, n->level);

		if (!right)
			return -ENOMEM;
		entries_move(right, 0, n, half, MAP_FANOUT - half);
		right->count = MAP_FANOUT - half;
		set_count(n, half);
		*split = right;
		if (i > half) {
			n = right;
			i -= half;
		}
	}
	entries_move(n, i + 1, n, i, n->count - i);
	entry_set(n, i, key, end, ptr);
	n->count++;
	return 0;
}

/* ---- insert ----------------------------------------------------------- */

static int insert_at(struct map_edit *e, struct map_node **at, uint64_t key,
	uint64_t end, void *value, struct map_node **split)
{
	struct map_node *n = own(e, at), *child_split = NULL;
	unsigned i;
	int r;

	if (!n)
		return -ENOMEM;
	if (n->level == 0) {
		i = floor_index(n, key);
		if (i < n->count && n->key[i] == key)
			return -EINVAL;
		i = i < n->count ? i + 1 : 0;
		return entry_insert(e, n, i, key, end, value, split);
	}
	i = map_index(n, key);
	r = insert_at(e, (struct map_node **)&n->ptr[i], key, end, value,
		&child_split);
	if (r)
		return r;
	entry_refresh(n, i);
	if (!child_split)
		return 0;
	return entry_insert(e, n, i + 1, child_split->key[0],
		greatest_end(child_split), child_split, split);
}

int map_insert(struct map_edit *e, struct map_node **root, uint64_t key,
	uint64_t end, void *value)
{
	struct map_node *split = NULL, *top;
	int r;

	if (!*root) {
		*root = node_new(e, 0);
		if (!*root)
			return -ENOMEM;
	}
	r = insert_at(e, root, key, end, value, &split);
	if (r || !split)
		return r;
	top = node_new(e, (*root)->level + 1u);
	if (!top)
		return -ENOMEM;
	top->count = 2;
	top->ptr[0] = *root;
	top->ptr[1] = split;
	entry_refresh(top, 0);
	entry_refresh(top, 1);
	*root = top;
	return 0;
}

/* ---- remove ----------------------------------------------------------- */

/* Append the entries of child i + 1 to child i, if there is room. */
static int merge_with_next(struct map_edit *e, struct map_node *n, unsigned i)
{
	struct map_node *left, *right = n->ptr[i + 1];

	left = n->ptr[i];
	if (left->count + right->count > MAP_FANOUT)
		return 0;
	left = own(e, (struct map_node **)&n->ptr[i]);
	if (!left)
		return -ENOMEM;
	entries_move(left, left->count, right, 0, right->count);
	left->count = (uint16_t)(left->count + right->count);
	node_retire(e, right);
	entry_erase(n, i + 1);
	entry_refresh(n, i);
	return 0;
}

static int remove_at(struct map_edit *e, struct map_node **at, uint64_t key)
{
	struct map_node *n = own(e, at), *child;
	unsigned i;
	int r;

	if (!n)
		return -ENOMEM;
	i = floor_index(n, key);
	if (i == n->count)
		return -EINVAL;
	if (n->level == 0) {
		if (n->key[i] != key)
			return -EINVAL;
		entry_erase(n, i);
		return 0;
	}
	r = remove_at(e, (struct map_node **)&n->ptr[i], key);
	if (r)
		return r;
	child = n->ptr[i];
	if (child->count == 0) {
		node_retire(e, child);
		entry_erase(n, i);
		return 0;
	}
	entry_refresh(n, i);
	if (child->count >= MAP_SPARSE)
		return 0;
	if (i + 1u < n->count)
		return merge_with_next(e, n, i);
	return i ? merge_with_next(e, n, i - 1) : 0;
}

int map_remove(struct map_edit *e, struct map_node **root, uint64_t key)
{
	int r;

	if (!*root)
		return -EINVAL;
	r = remove_at(e, root, key);
	if (r)
		return r;
	/* A root with one child is not needed, nor is an empty leaf. */
	while (*root && (*root)->count <= ((*root)->level ? 1 : 0)) {
		struct map_node *top = *root;

		*root = top->count ? top->ptr[0] : NULL;
		node_retire(e, top);
	}
	return 0;
}

/* ---- replace ---------------------------------------------------------- */

static int replace_at(struct map_edit *e, struct map_node **at, uint64_t key,
	uint64_t end, void *value)
{
	struct map_node *n = own(e, at);
	unsigned i;
	int r;

	if (!n)
		return -ENOMEM;
	i = floor_index(n, key);
	if (i == n->count)
		return -EINVAL;
	if (n->level == 0) {
		if (n->key[i] != key)
			return -EINVAL;
		entry_set(n, i, key, end, value);
		return 0;
	}
	r = replace_at(e, (struct map_node **)&n->ptr[i], key, end, value);
	if (!r)
		entry_refresh(n, i);
	return r;
}

int map_replace(struct map_edit *e, struct map_node **root, uint64_t key,
	uint64_t end, void *value)
{
	return *root ? replace_at(e, root, key, end, value) : -EINVAL;
}

/* ---- the end of an edit ----------------------------------------------- */

static void free_list(
	const struct memslot_platform *pf, struct map_node *n, bool all)
{
	while (n) {
		struct map_node *next = n->link;

		if (all || n->dropped)
			pf->free(pf->ctx, n);
		n = next;
	}
}

void map_edit_drop(struct map_edit *e)
{
	free_list(e->pf, e->made, true);
	e->made = e->replaced = NULL;
}

void map_edit_finish(struct map_edit *e)
{
	free_list(e->pf, e->made, false);
	free_list(e->pf, e->replaced, true);
	e->made = e->replaced = NULL;
}

/* ---- lookups ---------------------------------------------------------- */

void *map_find(const struct map_node *n, uint64_t key)
{
	unsigned i;

	n = map_seek(n, key, &i);
	return n && n->key[i] <= key && key < n->end[i] ? n->ptr[i] : NULL;
}

void *map_ceiling(const struct map_node *n, uint64_t key)
{
	return map_stab(n, key, UINT64_MAX, 0);
}

void *map_stab(
	const struct map_node *n, uint64_t from, uint64_t limit, uint64_t point)
{
	for (unsigned i = 0; n && i < n->count && n->key[i] <= limit; i++) {
		void *found;

		if (n->end[i] <= point)
			continue;
		if (n->level == 0) {
			if (n->key[i] >= from)
				return n->ptr[i];
			continue;
		}
		/* The next child begins at or before `from`: skip this one. */
		if (i + 1u < n->count && n->key[i + 1] <= from)
			continue;
		found = map_stab(n->ptr[i], from, limit, point);
		if (found)
			return found;
	}
	return NULL;
}

void map_free(const struct memslot_platform *pf, struct map_node *n)
{
	if (!n)
		return;
	for (unsigned i = 0; n->level && i < n->count; i++)
		map_free(pf, n->ptr[i]);
	pf->free(pf->ctx, n);
}

bool map_check(const struct map_node *n)
{
	if (!n)
		return true;
	if (n->count == 0 || n->count > MAP_FANOUT)
		return false;
	for (unsigned i = n->count; i < MAP_FANOUT; i++)
		if (n->key[i] != MAP_NO_KEY)
			return false;
	for (unsigned i = 0; i < n->count; i++) {
		const struct map_node *child = n->ptr[i];

		if (i && n->key[i - 1] >= n->key[i])
			return false;
		if (!n->level)
			continue;
		if (child->level + 1 != n->level || !map_check(child) ||
			child->key[0] != n->key[i] ||
			greatest_end(child) != n->end[i])
			return false;
		if (i + 1u < n->count &&
			child->key[child->count - 1] >= n->key[i + 1])
			return false;
	}
	return true;
}
