/* SPDX-License-Identifier: MIT */
/* map.c - the tree behind every lookup: reading it, and the end of an edit */
#include "memslot/map.h"

uint64_t map_greatest_end(const struct map_node *n)
{
	uint64_t end = 0;

	for (unsigned i = 0; i < n->count; i++)
		end = n->end[i] > end ? n->end[i] : end;
	return end;
}

/* ---- the end of an edit ----------------------------------------------- */

static void free_list(struct map_edit *e, struct map_node *n, bool all)
{
	while (n) {
		struct map_node *next = n->link;

		if ((all || n->dropped) &&
			!(e->nodes && spare_give(e->nodes, n)))
			e->pf->free(e->pf->ctx, n);
		n = next;
	}
}

void map_edit_drop(struct map_edit *e)
{
	free_list(e, e->made, true);
	e->made = e->replaced = NULL;
}

void map_edit_finish(struct map_edit *e)
{
	free_list(e, e->made, false);
	free_list(e, e->replaced, true);
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
			map_greatest_end(child) != n->end[i])
			return false;
		if (i + 1u < n->count &&
			child->key[child->count - 1] >= n->key[i + 1])
			return false;
	}
	return true;
}
