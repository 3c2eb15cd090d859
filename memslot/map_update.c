/* SPDX-License-Identifier: MIT */
/*
 * map_update.c - a new version of the tree, from the old one and the changes
 *
 * From the leaves up: a node that changes is poured, entry by entry, into a
 * chain of new nodes; those are what its parent is given in its place. Nodes
 * of the old version are never written to.
 */
#include "memslot/map.h"

#include <errno.h>
#include <string.h>

/* A new node with fewer entries joins the one in front of it. */
#define MAP_SPARSE (MAP_FANOUT / 4)

/* ---- nodes ------------------------------------------------------------ */

static struct map_node *node_new(struct map_edit *e, unsigned level)
{
	struct map_node *n = NULL;

	if (FAULT(e->faults, FAULT_VALIDATE_NODE))
		return NULL;
	if (e->nodes)
		n = spare_take(e->nodes);
	if (!n)
		n = e->pf->alloc(e->pf->ctx, sizeof(*n));
	if (!n)
		return NULL;
	n->count = 0;
	n->level = (uint16_t)level;
	n->dropped = false;
	n->next = NULL;
	n->edit = e->number;
	n->link = e->made;
	e->made = n;
	for (unsigned i = 0; i < MAP_FANOUT; i++)
		n->key[i] = MAP_NO_KEY;
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

static void entry_set(
	struct map_node *n, unsigned i, uint64_t key, uint64_t end, void *ptr)
{
	n->key[i] = key;
	n->end[i] = end;
	n->ptr[i] = ptr;
}

/* ---- chains ------------------------------------------------------------- */

/* New nodes of one level, all but the last one full. */
struct chain {
	struct map_node *first, *last;
	struct map_node *before; /* the last but one */
	bool fresh;              /* the last entry is a child just made */
	unsigned level;
	bool disjoint;
};

/* The first or last value below an entry of a node of that level. */
static void *outermost(void *ptr, unsigned level, bool last)
{
	for (; level; level--) {
		struct map_node *n = ptr;

		ptr = n->ptr[last ? n->count - 1u : 0];
	}
	return ptr;
}

static int overlap(struct map_edit *e, void *low, void *high)
{
	e->overlap[0] = low;
	e->overlap[1] = high;
	return -EEXIST;
}

static int chain_grow(struct map_edit *e, struct chain *c)
{
	struct map_node *n = node_new(e, c->level);

	if (!n)
		return -ENOMEM;
	if (c->last)
		c->last->next = n;
	else
		c->first = n;
	c->before = c->last;
	c->last = n;
	return 0;
}

static int chain_put(struct map_edit *e, struct chain *c, uint64_t key,
	uint64_t end, void *ptr)
{
	struct map_node *n = c->last;

	if (n && c->disjoint && n->end[n->count - 1u] > key)
		return overlap(e,
			outermost(n->ptr[n->count - 1u], c->level, true),
			outermost(ptr, c->level, false));
	if (!n || n->count == MAP_FANOUT) {
		int r = chain_grow(e, c);

		if (r)
			return r;
		n = c->last;
	}
	entry_set(n, n->count++, key, end, ptr);
	return 0;
}

/* The last two nodes share what they have, so that neither is nearly empty. */
static void chain_end(struct chain *c)
{
	struct map_node *to = c->last, *from = c->before;
	unsigned more;

	if (!from || to->count >= MAP_FANOUT / 2)
		return;
	more = (from->count - to->count) / 2u;
	for (unsigned i = to->count; i--;)
		entry_set(to, i + more, to->key[i], to->end[i], to->ptr[i]);
	for (unsigned i = 0; i < more; i++) {
		unsigned at = from->count - more + i;

		entry_set(to, i, from->key[at], from->end[at], from->ptr[at]);
		from->key[at] = MAP_NO_KEY;
	}
	to->count = (uint16_t)(to->count + more);
	from->count = (uint16_t)(from->count - more);
}

/* ---- children ------------------------------------------------------------- */

/*
 * Should `child` be one with the node in front of it? Only new nodes are
 * looked at, so that their neighbours need not come into the cache.
 */
static bool joins(
	const struct chain *c, const struct map_node *child, bool fresh)
{
	const struct map_node *left;

	if (!c->last || !(fresh || c->fresh))
		return false;
	if (!c->fresh && child->count >= MAP_SPARSE)
		return false;
	left = c->last->ptr[c->last->count - 1u];
	return left->count + child->count <= MAP_FANOUT &&
	       (left->count < MAP_SPARSE || child->count < MAP_SPARSE);
}

/* Instead of the last child of the chain: its entries, then the child's. */
static int join(struct map_edit *e, struct chain *c, struct map_node *child)
{
	struct map_node *n = c->last, *left = n->ptr[n->count - 1u];
	struct chain both = {.level = child->level, .disjoint = c->disjoint};
	int r = 0;

	for (unsigned i = 0; !r && i < left->count; i++)
		r = chain_put(
			e, &both, left->key[i], left->end[i], left->ptr[i]);
	for (unsigned i = 0; !r && i < child->count; i++)
		r = chain_put(
			e, &both, child->key[i], child->end[i], child->ptr[i]);
	if (r)
		return r;
	node_retire(e, left);
	node_retire(e, child);
	entry_set(n, n->count - 1u, both.first->key[0],
		map_greatest_end(both.first), both.first);
	return 0;
}

static int put_child(struct map_edit *e, struct chain *c,
	struct map_node *child, uint64_t key, uint64_t end, bool fresh)
{
	bool one = joins(c, child, fresh);

	c->fresh = fresh || one;
	return one ? join(e, c, child) : chain_put(e, c, key, end, child);
}

/* New nodes, in place of an old one. */
static int put_chain(
	struct map_edit *e, struct chain *c, const struct chain *below)
{
	int r = 0;

	for (struct map_node *n = below->first, *next; !r && n; n = next) {
		next = n->next;
		r = put_child(e, c, n, n->key[0], map_greatest_end(n), true);
	}
	return r;
}

/* ---- one node ------------------------------------------------------------- */

/* A copy of the node in which one entry is another; the whole chain. */
static int replace_entry(struct map_edit *e, struct map_node *n, unsigned i,
	uint64_t key, uint64_t end, void *ptr, struct chain *out)
{
	int r = chain_grow(e, out);
	struct map_node *copy = out->last;

	if (r)
		return r;
	copy->count = n->count;
	memcpy(copy->key, n->key, sizeof(copy->key));
	memcpy(copy->end, n->end, sizeof(copy->end));
	memcpy(copy->ptr, n->ptr, sizeof(copy->ptr));
	entry_set(copy, i, key, end, ptr);
	return 0;
}

static int update_leaf(struct map_edit *e, struct map_node *n,
	const struct map_change *c, size_t count, struct chain *out)
{
	unsigned i = map_index(n, c->key);
	bool there;
	int r = 0;

	if (count == 1 && c->replaces && i < n->count && n->key[i] == c->key &&
		n->end[i] == c->end)
		return replace_entry(e, n, i, c->key, c->end, c->value, out);
	for (i = 0; count; c++, count--) {
		for (; !r && i < n->count && n->key[i] < c->key; i++)
			r = chain_put(e, out, n->key[i], n->end[i], n->ptr[i]);
		if (r)
			return r;
		there = i < n->count && n->key[i] == c->key;
		if (there && c->value && !c->replaces)
			return overlap(e, n->ptr[i], c->value);
		if (!there && (!c->value || c->replaces))
			return -EINVAL;
		i += there;
		if (c->value)
			r = chain_put(e, out, c->key, c->end, c->value);
		if (r)
			return r;
	}
	for (; !r && i < n->count; i++)
		r = chain_put(e, out, n->key[i], n->end[i], n->ptr[i]);
	return r;
}

static int update_node(struct map_edit *e, struct map_node *n,
	const struct map_change *c, size_t count, struct chain *out);

/* What the parent has of its child i is still right, but for the child. */
static bool fits(const struct map_node *n, unsigned i, const struct chain *c)
{
	const struct map_node *child = c->first;

	return child && child == c->last && child->count >= MAP_SPARSE &&
	       (!c->disjoint || !i || n->end[i - 1] <= child->key[0]) &&
	       (!c->disjoint || i + 1u == n->count ||
		       map_greatest_end(child) <= n->key[i + 1]);
}

/* All changes are below child i, as they are if there is only one. */
static int update_one_child(struct map_edit *e, struct map_node *n, unsigned i,
	const struct map_change *c, size_t count, struct chain *out)
{
	struct chain below = {.disjoint = out->disjoint};
	int r = update_node(e, n->ptr[i], c, count, &below);

	if (r)
		return r;
	if (fits(n, i, &below))
		return replace_entry(e, n, i, below.first->key[0],
			map_greatest_end(below.first), below.first, out);
	for (unsigned k = 0; !r && k < n->count; k++)
		r = k == i ? put_chain(e, out, &below)
			   : put_child(e, out, n->ptr[k], n->key[k], n->end[k],
				     false);
	return r;
}

static int update_children(struct map_edit *e, struct map_node *n,
	const struct map_change *c, size_t count, struct chain *out)
{
	int r = 0;

	for (unsigned i = 0; !r && i < n->count; i++) {
		uint64_t limit = i + 1u < n->count ? n->key[i + 1] : MAP_NO_KEY;
		struct chain below = {.disjoint = out->disjoint};
		size_t mine = 0;

		while (mine < count && c[mine].key < limit)
			mine++;
		if (!mine) {
			r = put_child(
				e, out, n->ptr[i], n->key[i], n->end[i], false);
			continue;
		}
		r = update_node(e, n->ptr[i], c, mine, &below);
		if (!r)
			r = put_chain(e, out, &below);
		c += mine;
		count -= mine;
	}
	return r;
}

static int update_node(struct map_edit *e, struct map_node *n,
	const struct map_change *c, size_t count, struct chain *out)
{
	unsigned i = map_index(n, c->key);
	int r;

	out->level = n->level;
	if (!n->level)
		r = update_leaf(e, n, c, count, out);
	else if (i + 1u == n->count || c[count - 1].key < n->key[i + 1])
		r = update_one_child(e, n, i, c, count, out);
	else
		r = update_children(e, n, c, count, out);
	if (r)
		return r;
	node_retire(e, n);
	chain_end(out);
	return 0;
}

/* ---- the whole tree --------------------------------------------------------- */

/* A root over the nodes of a chain; one over a single node is not needed. */
static int crown(
	struct map_edit *e, struct chain *chain, struct map_node **root)
{
	struct map_node *top;

	while (chain->first != chain->last) {
		struct chain above = {
			.level = chain->level + 1, .disjoint = chain->disjoint};
		int r = put_chain(e, &above, chain);

		if (r)
			return r;
		chain_end(&above);
		*chain = above;
	}
	top = chain->first;
	while (top && top->level && top->count == 1) {
		node_retire(e, top);
		top = top->ptr[0];
	}
	*root = top;
	return 0;
}

int map_update(struct map_edit *e, struct map_node **root,
	const struct map_change *c, size_t count, bool disjoint)
{
	struct map_node empty = {.edit = e->number};
	struct chain chain = {.disjoint = disjoint};
	int r;

	if (!count)
		return 0;
	r = update_node(e, *root ? *root : &empty, c, count, &chain);
	return r ? r : crown(e, &chain, root);
}

/* ---- sorting ------------------------------------------------------------------ */

static size_t run_end(const struct map_change *c, size_t at, size_t count)
{
	if (at < count)
		at++;
	while (at < count && c[at - 1].key <= c[at].key)
		at++;
	return at;
}

static void merge(struct map_change *to, const struct map_change *a,
	const struct map_change *a_end, const struct map_change *b,
	const struct map_change *b_end)
{
	while (a < a_end || b < b_end)
		if (b == b_end || (a < a_end && a->key <= b->key))
			*to++ = *a++;
		else
			*to++ = *b++;
}

/*
 * Changes mostly come in two runs that are sorted already, of what goes and
 * of what comes: merge neighbouring runs until there is one.
 */
static void merge_runs(
	struct map_change *c, struct map_change *scratch, size_t count)
{
	size_t runs, mid, end;

	do {
		runs = 0;
		for (size_t i = 0; i < count; i = end, runs++) {
			mid = run_end(c, i, count);
			if (mid == count && i == 0)
				return;
			end = run_end(c, mid, count);
			merge(scratch + i, c + i, c + mid, c + mid, c + end);
		}
		memcpy(c, scratch, count * sizeof(*c));
	} while (runs > 1);
}

size_t map_sort(struct map_change *c, struct map_change *scratch, size_t count)
{
	size_t left = 0;

	merge_runs(c, scratch, count);
	for (size_t i = 0; i < count; i++) {
		if (i + 1 < count && !c[i].value && c[i].key == c[i + 1].key)
			c[i + 1].replaces = true;
		else if (left != i)
			c[left++] = c[i];
		else
			left++;
	}
	return left;
}
