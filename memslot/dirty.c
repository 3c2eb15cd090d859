/* SPDX-License-Identifier: MIT */
/*
 * dirty.c - harvesting the dirty log without losing a page
 *
 * Taking the bits and withdrawing write permission are two steps. A store
 * through a permission that was granted because the page was dirty lands
 * before the second step ends, and its page is in the harvest. Whoever reads
 * the pages after the harvest has returned therefore reads that store.
 */
#include "memslot/internal.h"

struct memslot_harvest {
	struct memslots *ms;
	struct memslot_dirty *dirty;
	uint64_t bits[];
};

/* With the transaction lock held. */
static int harvest_locked(struct memslots *ms, unsigned space, unsigned id,
	struct memslot_harvest **out, struct memslot_error *err)
{
	struct memslot *s = map_find(ms_set(ms)->by_id, id_key(space, id));
	struct memslot_harvest *h;
	uint64_t words;

	if (!s)
		return memslot_fail(err, -ENOENT,
			"there is no slot %u in space %u", id, space);
	if (!s->dirty)
		return memslot_fail(err, -ENXIO,
			"slot %u of space %u is not dirty-logged", id, space);
	words = dirty_words(s->size_pages);
	h = ms_alloc(
		ms, FAULT_HARVEST, sizeof(*h) + words * sizeof(h->bits[0]));
	if (!h)
		return memslot_fail(err, -ENOMEM,
			"no memory to harvest %llu pages of slot %u",
			(ull)s->size_pages, id);
	h->ms = ms;
	h->dirty = s->dirty;
	atomic_fetch_add(&s->dirty->refs, 1);
	for (uint64_t i = 0; i < words; i++)
		h->bits[i] = atomic_exchange(&s->dirty->bits[i], 0);
	memslots_protect(ms, s->space, s->base_gfn, s->size_pages);
	*out = h;
	return 0;
}

int memslot_harvest(struct memslots *ms, unsigned space, unsigned id,
	struct memslot_harvest **out, struct memslot_error *err)
{
	int r;

	if (space >= ms->spaces || id >= MEMSLOT_IDS_MAX)
		return memslot_fail(err, -EINVAL,
			"slot %u of space %u: there are %u ids in each of %u "
			"spaces",
			id, space, MEMSLOT_IDS_MAX, ms->spaces);
	r = ms_lock_txn(ms, err);
	if (r)
		return r;
	r = harvest_locked(ms, space, id, out, err);
	ms_unlock_txn(ms);
	return r;
}

uint64_t memslot_harvest_size_pages(const struct memslot_harvest *h)
{
	return h->dirty->size_pages;
}

bool memslot_harvest_test(const struct memslot_harvest *h, uint64_t page)
{
	return page < h->dirty->size_pages &&
	       (h->bits[page / 64] >> page % 64 & 1);
}

uint64_t memslot_harvest_count(const struct memslot_harvest *h)
{
	uint64_t n = 0;

	for (uint64_t i = 0; i < dirty_words(h->dirty->size_pages); i++)
		n += (unsigned)__builtin_popcountll(h->bits[i]);
	return n;
}

void memslot_harvest_done(struct memslot_harvest *h)
{
	if (!h)
		return;
	dirty_unref(h->ms, h->dirty);
	ms_free(h->ms, h);
}

void memslot_harvest_give_back(struct memslot_harvest *h)
{
	if (!h)
		return;
	for (uint64_t i = 0; i < dirty_words(h->dirty->size_pages); i++)
		atomic_fetch_or(&h->dirty->bits[i], h->bits[i]);
	memslot_harvest_done(h);
}
