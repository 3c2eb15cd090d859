/* SPDX-License-Identifier: MIT */
/*
 * reshape.c - what belongs to memory goes along when slots change shape
 *
 * A slot that is resized, split or merged gets a dirty log of another size.
 * Its bits are carried over while the slot is invalid, when nobody sets any.
 * A harvest that is out meanwhile keeps the old log alive; if its bits come
 * back they must find the new one: that is what heirs are for. Deleting a
 * slot can hand out its last bits. All memory is reserved in prepare.
 */
#include "memslot/internal.h"

/* ---- prepare ------------------------------------------------------------- */

static int no_memory(struct memslot_txn *t, const struct memslot *s)
{
	return memslot_fail(t->err, -ENOMEM,
		"slot %u of space %u: no memory to carry its dirty bits over",
		s->id, s->space);
}

/* Nobody can begin a harvest now: the transaction lock is ours. */
static int heir_prepare(struct memslot_txn *t, const struct memslot_piece *p,
	struct memslot *to)
{
	struct memslot_bitmap *origin = p->origin->dirty;
	struct dirty_heir *heir;

	if (!origin || !to->dirty || origin == to->dirty ||
		atomic_load(&origin->harvests) == 0)
		return 0;
	heir = ms_alloc(t->ms, FAULT_PREPARE_HEIR, sizeof(*heir));
	if (!heir)
		return no_memory(t, to);
	heir->origin = origin;
	heir->target = to->dirty;
	atomic_fetch_add(&to->dirty->refs, 1);
	heir->first_page = p->first_page;
	heir->size_pages = p->size_pages;
	heir->at_page = p->at_page;
	heir->next = t->heirs;
	t->heirs = heir;
	return 0;
}

/* A slot made of pieces is populated where they were. */
static int populated_prepare(
	struct memslot_txn *t, const struct memslot_change *c)
{
	bool any = false;

	for (const struct memslot_piece *p = c->pieces; p; p = p->next)
		any |= p->origin->populated != NULL;
	if (!any)
		return 0;
	c->to->populated = bitmap_new(t->ms, FAULT_POPULATE, c->to->size_pages);
	return c->to->populated ? 0 : no_memory(t, c->to);
}

static int harvest_prepare(struct memslot_txn *t, unsigned i)
{
	struct memslot_harvest **out = t->plans[i].harvest;
	struct memslot *from = t->changes[i].from;
	struct memslot_harvest *h;

	if (!out)
		return 0;
	h = harvest_new(
		t->ms, FAULT_PREPARE_HARVEST, from->dirty, 0, from->size_pages);
	if (!h)
		return no_memory(t, from);
	h->out = out;
	h->next = t->harvests;
	t->harvests = h;
	return 0;
}

int reshape_prepare(struct memslot_txn *t)
{
	int r = 0;

	/* First: heirs are for logs of which a harvest is out. */
	for (unsigned i = 0; !r && i < t->change_count; i++)
		r = harvest_prepare(t, i);
	for (unsigned i = 0; !r && i < t->change_count; i++) {
		const struct memslot_change *c = &t->changes[i];

		/* What else stays whole keeps its log, or has none. */
		if (c->kind != MEMSLOT_CHANGE_RESHAPE)
			continue;
		for (const struct memslot_piece *p = c->pieces; !r && p;
			p = p->next)
			r = heir_prepare(t, p, c->to);
		if (!r)
			r = populated_prepare(t, c);
	}
	return r;
}

void reshape_cancel(struct memslot_txn *t)
{
	while (t->heirs) {
		struct dirty_heir *heir = t->heirs;

		t->heirs = heir->next;
		bitmap_unref(t->ms, heir->target);
		ms_free(t->ms, heir);
	}
	while (t->harvests) {
		struct memslot_harvest *h = t->harvests;

		t->harvests = h->next;
		harvest_free(h);
	}
}

/* ---- swap in ---------------------------------------------------------------- */

static void carry(const struct memslot_change *c, const struct memslot_piece *p)
{
	const struct memslot *from = p->origin, *to = c->to;

	if (from->dirty && to->dirty && from->dirty != to->dirty)
		bitmap_or(to->dirty, p->at_page, from->dirty->bits,
			p->first_page, p->size_pages);
	if (from->populated && to->populated &&
		from->populated != to->populated)
		bitmap_or(to->populated, p->at_page, from->populated->bits,
			p->first_page, p->size_pages);
	if (c->copy)
		memcpy(to->host + (p->at_page << MEMSLOT_PAGE_SHIFT),
			from->host + (p->first_page << MEMSLOT_PAGE_SHIFT),
			p->size_pages << MEMSLOT_PAGE_SHIFT);
}

void reshape_swap_in(struct memslot_txn *t)
{
	/* Before the bits are carried: a harvest of a deleted slot has all. */
	while (t->harvests) {
		struct memslot_harvest *h = t->harvests;

		t->harvests = h->next;
		harvest_take(h);
		*h->out = h;
	}
	for (size_t i = 0; i < t->change_count; i++) {
		const struct memslot_change *c = &t->changes[i];

		if (c->kind != MEMSLOT_CHANGE_RESHAPE)
			continue;
		for (const struct memslot_piece *p = c->pieces; p; p = p->next)
			carry(c, p);
	}
	while (t->heirs) {
		struct dirty_heir *heir = t->heirs;

		t->heirs = heir->next;
		/* What may come back to the origin may come back to it. */
		atomic_fetch_add(&heir->target->harvests, 1);
		heir->next = heir->origin->heirs;
		heir->origin->heirs = heir;
	}
}
