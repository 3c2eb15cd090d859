/* SPDX-License-Identifier: MIT */
/*
 * populate.c - translations that are there before the first touch
 *
 * What has been asked for is a bit for each page of the slot, which belongs
 * to the memory as dirty bits do. A transaction's flush takes translations
 * away; when it has ended, either way, they are asked for again where the
 * memory is then. A request that meets a running transaction does not wait
 * for it: it may be the transaction that waits for the one who asks.
 */
#include "memslot/internal.h"

static void ask(struct memslots *ms, const struct memslot *s, uint64_t first,
	uint64_t size_pages)
{
	for (struct memslot_participant *p = ms->participants; p; p = p->next)
		if (p->ops->populate)
			p->ops->populate(p->ctx, s->space, s->base_gfn + first,
				size_pages);
}

static bool wanted(const struct memslot *s, uint64_t page)
{
	return atomic_load(&s->populated->bits[page / 64]) >> page % 64 & 1;
}

/* Ask for each run of pages that are wanted. */
static void ask_again(struct memslots *ms, const struct memslot *s)
{
	uint64_t page = 0, first;

	while (s->populated && page < s->size_pages) {
		for (first = page; page < s->size_pages && wanted(s, page);)
			page++;
		if (page > first)
			ask(ms, s, first, page - first);
		else
			page++;
	}
}

void populate_again(struct memslot_txn *t, bool committed)
{
	for (size_t i = 0; i < t->change_count; i++) {
		const struct memslot_change *c = &t->changes[i];
		const struct memslot *s = committed ? c->to : c->from;

		if (s)
			ask_again(t->ms, s);
	}
}

static int reserve(
	struct memslots *ms, struct memslot *s, struct memslot_error *err)
{
	if (!s->populated)
		s->populated = bitmap_new(ms, FAULT_POPULATE, s->size_pages);
	if (s->populated)
		return 0;
	return memslot_fail(err, -ENOMEM,
		"slot %u of space %u: no memory to note what is populated",
		s->id, s->space);
}

static void populate_part(struct memslots *ms, struct memslot *s,
	uint64_t first, uint64_t size_pages)
{
	for (uint64_t page = first; page < first + size_pages; page++)
		atomic_fetch_or(&s->populated->bits[page / 64],
			(uint64_t)1 << page % 64);
	ask(ms, s, first, size_pages);
}

/* With the transaction lock held. First see that all of it can be done. */
static int populate_locked(struct memslots *ms, unsigned space, gfn_t gfn,
	gfn_t end, struct memslot_error *err)
{
	const struct map_node *map = ms_set(ms)->by_gfn;
	struct memslot *s;
	int r = 0;

	for (gfn_t at = gfn; !r && at < end; at = s->base_gfn + s->size_pages) {
		s = map_find(map, gfn_key(space, at));
		if (!s)
			return memslot_fail(err, -ENOENT,
				"page %#llx of space %u has no slot to "
				"populate",
				(ull)at, space);
		r = reserve(ms, s, err);
	}
	while (!r && gfn < end) {
		gfn_t stop;

		s = map_find(map, gfn_key(space, gfn));
		stop = s->base_gfn + s->size_pages;
		stop = stop < end ? stop : end;
		populate_part(ms, s, gfn - s->base_gfn, stop - gfn);
		gfn = stop;
	}
	return r;
}

int memslots_populate(struct memslots *ms, unsigned space, gfn_t gfn,
	uint64_t size_pages, struct memslot_error *err)
{
	const uint64_t limit = MEMSLOT_GPA_LIMIT >> MEMSLOT_PAGE_SHIFT;
	const struct memslot *s;
	int r;

	if (space >= ms->spaces || gfn >= limit || size_pages > limit - gfn)
		return memslot_fail(err, -EINVAL,
			"%llu pages from page %#llx of space %u: there are %u "
			"spaces of %#llx pages",
			(ull)size_pages, (ull)gfn, space, ms->spaces,
			(ull)limit);
	r = ms_trylock_txn(ms);
	if (r)
		return memslot_fail(err, r,
			"a transaction is running; populate again after it");
	s = map_find(ms_set(ms)->by_gfn, gfn_key(space, gfn));
	if (!size_pages)
		size_pages = s ? s->base_gfn + s->size_pages - gfn : 1;
	r = populate_locked(ms, space, gfn, gfn + size_pages, err);
	ms_unlock_txn(ms);
	return r;
}
