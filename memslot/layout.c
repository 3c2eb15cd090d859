/* SPDX-License-Identifier: MIT */
/*
 * layout.c - the set that a transaction would publish
 *
 * First every slot that changes leaves the indexes, then every new version
 * enters; in between nothing is required to make sense, which is what lets
 * two slots swap places. A new version that meets another slot on its way in
 * is the overlap that validation has to report.
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
	struct memslots *ms, const struct memslot_config *c)
{
	struct memslot *s = ms_alloc(ms, FAULT_VALIDATE_SLOT, sizeof(*s));

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

/* Does the slot keep exactly its place, so that nobody new can overlap? */
static bool same_place(const struct memslot *a, const struct memslot *b)
{
	return a && b && a->base_gfn == b->base_gfn &&
	       a->size_pages == b->size_pages;
}

/* Take the slot out of those indexes in which its key changes. */
static int leave(struct memslot_txn *t, const struct memslot_change *c)
{
	const struct memslot *from = c->from, *to = c->to;
	struct memslot_set *set = t->set;
	int r = 0;

	if (!same_place(from, to))
		r = map_remove(&t->edit, &set->by_gfn, slot_gfn_key(from));
	if (!r && (!to || to->host != from->host))
		r = map_remove(&t->edit, &set->by_host, slot_host_key(from));
	if (!r && !to)
		r = map_remove(
			&t->edit, &set->by_id, id_key(from->space, from->id));
	return r;
}

/* A slot of the new set that shares pages with s, other than s's old self. */
static const struct memslot *overlapped(
	const struct memslot_set *set, const struct memslot_change *c)
{
	const struct memslot *s = c->to, *other;
	uint64_t key = slot_gfn_key(s);

	other = map_find(set->by_gfn, key);
	if (other && other != c->from)
		return other;
	other = map_ceiling(set->by_gfn, key + 1);
	if (other && other->space == s->space &&
		other->base_gfn < s->base_gfn + s->size_pages)
		return other;
	return NULL;
}

static int enter(struct memslot_txn *t, const struct memslot_change *c)
{
	const struct memslot *from = c->from, *other;
	struct memslot_set *set = t->set;
	struct memslot *to = c->to;
	uint64_t key = slot_gfn_key(to), end = key + to->size_pages;
	uint64_t id = id_key(to->space, to->id);
	int r;

	other = overlapped(set, c);
	if (other)
		return memslot_fail(t->err, -EEXIST,
			OP_FMT "[%#llx, %#llx) overlaps slot %u at "
			       "[%#llx, %#llx)",
			OP_ARGS(c->op, &t->ops[c->op]),
			(ull)to->base_gfn << MEMSLOT_PAGE_SHIFT,
			(ull)(to->base_gfn + to->size_pages)
				<< MEMSLOT_PAGE_SHIFT,
			other->id, (ull)other->base_gfn << MEMSLOT_PAGE_SHIFT,
			(ull)(other->base_gfn + other->size_pages)
				<< MEMSLOT_PAGE_SHIFT);
	if (same_place(from, to))
		r = map_replace(&t->edit, &set->by_gfn, key, end, to);
	else
		r = map_insert(&t->edit, &set->by_gfn, key, end, to);
	if (r)
		return no_memory(t);
	if (from && from->host == to->host)
		r = map_replace(&t->edit, &set->by_host, slot_host_key(to),
			slot_host_end(to), to);
	else
		r = map_insert(&t->edit, &set->by_host, slot_host_key(to),
			slot_host_end(to), to);
	if (r)
		return no_memory(t);
	r = from ? map_replace(&t->edit, &set->by_id, id, id + 1, to)
		 : map_insert(&t->edit, &set->by_id, id, id + 1, to);
	return r ? no_memory(t) : 0;
}

static int slots_new(struct memslot_txn *t)
{
	for (size_t i = 0; i < t->change_count; i++) {
		struct memslot_change *c = &t->changes[i];

		if (c->kind == MEMSLOT_CHANGE_DELETE)
			continue;
		c->to = slot_new(t->ms, &t->plans[i].c);
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
	t->edit.number = ++ms->edits;
	t->set = ms_alloc(ms, FAULT_VALIDATE_SET, sizeof(*t->set));
	if (!t->set || slots_new(t))
		return no_memory(t);
	*t->set = *ms_set(ms);
	t->set->generation++;

	for (size_t i = 0; i < t->change_count; i++)
		if (t->changes[i].from && leave(t, &t->changes[i]))
			return no_memory(t);
	for (size_t i = 0; i < t->change_count; i++) {
		if (!t->changes[i].to)
			continue;
		r = enter(t, &t->changes[i]);
		if (r)
			return r;
	}
	return 0;
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
