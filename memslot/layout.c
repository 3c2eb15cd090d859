/* SPDX-License-Identifier: MIT */
/*
 * layout.c - the set that a transaction would publish
 *
 * Each index is updated at once with what goes and what comes, in order of
 * its keys: nothing in between is required to make sense, which is what lets
 * two slots swap places. Two slots of the new set that overlap are what
 * validation has to report.
 */
#include "memslot/internal.h"

static uint64_t slot_gfn_key(const struct memslot *s)
{
	return gfn_key(s->space, s->base_gfn);
}

static uint64_t slot_host_key(const struct memslot *s)
{
	return host_key(s->host, id_key(s->space, s->id));
}

static uint64_t slot_host_end(const struct memslot *s)
{
	return host_key(s->host + (s->size_pages << MEMSLOT_PAGE_SHIFT), 0);
}

static int no_memory(struct memslot_txn *t)
{
	return memslot_fail(t->err, -ENOMEM,
		"no memory for the new layout: %llu slots would change",
		(ull)t->change_count);
}

static struct memslot *slot_new(
	struct memslot_txn *t, const struct memslot_config *c)
{
	struct memslot *s = slab_alloc(t, FAULT_VALIDATE_SLOT, sizeof(*s));

	if (!s)
		return NULL;
	s->base_gfn = c->gpa >> MEMSLOT_PAGE_SHIFT;
	s->size_pages = c->size >> MEMSLOT_PAGE_SHIFT;
	s->host = c->host;
	s->flags = c->flags;
	s->id = (uint16_t)c->id;
	s->space = (uint16_t)c->space;
	return s;
}

static bool same_host(const struct memslot *a, const struct memslot *b)
{
	return a && b && a->host == b->host && a->size_pages == b->size_pages;
}

/* Does the slot keep exactly its place, so that nobody new can overlap? */
static bool same_place(const struct memslot *a, const struct memslot *b)
{
	return a && b && a->base_gfn == b->base_gfn &&
	       a->size_pages == b->size_pages;
}

/* ---- changes of the indexes ----------------------------------------------- */

/* Field by field: built elsewhere and copied, it costs five times as much. */
static void put(struct map_change *at, uint64_t key, uint64_t end, void *value,
	bool replaces)
{
	at->key = key;
	at->end = end;
	at->value = value;
	at->replaces = replaces;
}

/* First what goes, then what comes, as map_sort() wants it. */
static size_t changes_by_gfn(struct memslot_txn *t, struct map_change *list)
{
	size_t n = 0;

	for (size_t i = 0; i < t->change_count; i++) {
		const struct memslot_change *c = &t->changes[i];

		if (c->from && !same_place(c->from, c->to))
			put(&list[n++], slot_gfn_key(c->from), 0, NULL, false);
	}
	for (size_t i = 0; i < t->change_count; i++) {
		const struct memslot_change *c = &t->changes[i];

		if (c->to)
			put(&list[n++], slot_gfn_key(c->to),
				slot_gfn_key(c->to) + c->to->size_pages, c->to,
				same_place(c->from, c->to));
	}
	return n;
}

static size_t changes_by_host(struct memslot_txn *t, struct map_change *list)
{
	size_t n = 0;

	for (size_t i = 0; i < t->change_count; i++) {
		const struct memslot_change *c = &t->changes[i];

		if (c->from && !same_host(c->from, c->to))
			put(&list[n++], slot_host_key(c->from), 0, NULL, false);
	}
	for (size_t i = 0; i < t->change_count; i++) {
		const struct memslot_change *c = &t->changes[i];

		if (c->to && !same_host(c->from, c->to))
			put(&list[n++], slot_host_key(c->to),
				slot_host_end(c->to),
				host_value(c->to->space, c->to->id), false);
	}
	return n;
}

static size_t changes_by_id(struct memslot_txn *t, struct map_change *list)
{
	for (size_t i = 0; i < t->change_count; i++) {
		const struct memslot_change *c = &t->changes[i];
		const struct memslot_config *config = &t->plans[i].c;
		uint64_t key = id_key(config->space, config->id);

		put(&list[i], key, key + 1, c->to, c->to && c->from);
	}
	return t->change_count;
}

/* ---- errors --------------------------------------------------------------- */

static int overlap(struct memslot_txn *t)
{
	const struct memslot *s = t->edit.overlap[0],
			     *other = t->edit.overlap[1];
	const struct memslot_change *c = NULL;

	/* The change to blame; of two, the later one. */
	for (size_t i = 0; i < t->change_count; i++)
		if (t->changes[i].to == s || t->changes[i].to == other)
			c = &t->changes[i];
	if (c->to == other) {
		other = s;
		s = c->to;
	}
	return memslot_fail(t->err, -EEXIST,
		OP_FMT "[%#llx, %#llx) overlaps slot %u at [%#llx, %#llx)",
		OP_ARGS(c->op, txn_op(t, c->op)),
		(ull)s->base_gfn << MEMSLOT_PAGE_SHIFT,
		(ull)(s->base_gfn + s->size_pages) << MEMSLOT_PAGE_SHIFT,
		other->id, (ull)other->base_gfn << MEMSLOT_PAGE_SHIFT,
		(ull)(other->base_gfn + other->size_pages)
			<< MEMSLOT_PAGE_SHIFT);
}

static int index_update(struct memslot_txn *t, struct map_node **root,
	size_t count, bool disjoint)
{
	int r;

	count = map_sort(t->index_changes, t->index_scratch, count);
	r = map_update(&t->edit, root, t->index_changes, count, disjoint);
	if (r == -EEXIST)
		return overlap(t);
	return r ? no_memory(t) : 0;
}

static int slots_new(struct memslot_txn *t)
{
	for (size_t i = 0; i < t->change_count; i++) {
		struct memslot_change *c = &t->changes[i];

		if (c->kind == MEMSLOT_CHANGE_DELETE)
			continue;
		c->to = slot_new(t, &t->plans[i].c);
		if (!c->to)
			return -ENOMEM;
	}
	return 0;
}

int layout_build(struct memslot_txn *t)
{
	struct memslots *ms = t->ms;
	int r;

	t->edit.pf = ms->pf;
	t->edit.faults = ms->faults;
	t->edit.nodes = &ms->nodes;
	t->edit.number = ++ms->edits;
	t->set = ms_alloc(ms, FAULT_VALIDATE_SET, sizeof(*t->set));
	if (!t->set || slots_new(t))
		return no_memory(t);
	*t->set = *ms_set(ms);
	t->set->generation++;

	r = index_update(
		t, &t->set->by_gfn, changes_by_gfn(t, t->index_changes), true);
	if (!r)
		r = index_update(t, &t->set->by_id,
			changes_by_id(t, t->index_changes), false);
	if (!r)
		r = index_update(t, &t->set->by_host,
			changes_by_host(t, t->index_changes), false);
	return r;
}

void layout_drop(struct memslot_txn *t)
{
	map_edit_drop(&t->edit);
	for (size_t i = 0; i < t->change_count; i++) {
		slot_free(t->ms, t->changes[i].to);
		t->changes[i].to = NULL;
	}
	ms_free(t->ms, t->set);
	t->set = NULL;
}
