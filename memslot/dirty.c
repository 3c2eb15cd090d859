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

struct memslot_harvest *harvest_new(struct memslots *ms, unsigned point,
	struct memslot_bitmap *d, uint64_t first_page, uint64_t size_pages)
{
	struct memslot_harvest *h = ms_alloc(ms, point,
		sizeof(*h) + bitmap_words(size_pages) * sizeof(h->bits[0]));

	if (!h)
		return NULL;
	h->ms = ms;
	h->dirty = d;
	h->first_page = first_page;
	h->size_pages = size_pages;
	atomic_fetch_add(&d->refs, 1);
	atomic_fetch_add(&d->harvests, 1);
	return h;
}

void harvest_free(struct memslot_harvest *h)
{
	struct memslots *ms = h->ms;

	atomic_fetch_sub(&h->dirty->harvests, 1);
	bitmap_unref(ms, h->dirty);
	ms_free(ms, h);
}

/* The bits of `word` of a log that are pages [first, first + n). */
static uint64_t word_mask(uint64_t word, uint64_t first, uint64_t n)
{
	uint64_t lo = word * 64, hi = lo + 64, mask = UINT64_MAX;

	if (lo < first)
		mask &= UINT64_MAX << (first - lo);
	if (hi > first + n)
		mask &= UINT64_MAX >> (hi - (first + n));
	return mask;
}

/* Into bits[] at bit `at`, which may be negative for the first word. */
static void put_bits(struct memslot_harvest *h, uint64_t word, uint64_t bits)
{
	uint64_t shift = h->first_page % 64;
	uint64_t at = word - h->first_page / 64;

	if (!shift) {
		h->bits[at] |= bits;
		return;
	}
	if (at < bitmap_words(h->size_pages))
		h->bits[at] |= bits >> shift;
	if (at)
		h->bits[at - 1] |= bits << (64 - shift);
}

void harvest_take(struct memslot_harvest *h)
{
	uint64_t first = h->first_page, end = first + h->size_pages;

	for (uint64_t word = first / 64; word * 64 < end; word++) {
		uint64_t mask = word_mask(word, first, h->size_pages);
		uint64_t old = atomic_fetch_and(&h->dirty->bits[word], ~mask);

		put_bits(h, word, old & mask);
	}
}

/* CPUs may keep a log of their own. With the transaction lock held. */
static int sync_dirty(struct memslots *ms, unsigned space, gfn_t gfn,
	uint64_t size_pages, struct memslot_error *err)
{
	struct memslot_error scratch;
	int r = 0;

	for (struct memslot_participant *p = ms->participants; !r && p;
		p = p->next) {
		if (!p->ops->sync_dirty)
			continue;
		if (FAULT(ms->faults, FAULT_SYNC_PARTICIPANT))
			return memslot_fail(err, -ENOMEM,
				"backend \"%s\" could not hand out its dirty "
				"log (injected)",
				p->ops->name);
		r = p->ops->sync_dirty(
			p->ctx, space, gfn, size_pages, err ? err : &scratch);
	}
	return r;
}

/* With the transaction lock held. */
static int harvest_locked(struct memslots *ms, unsigned space, unsigned id,
	uint64_t first, uint64_t n, struct memslot_harvest **out,
	struct memslot_error *err)
{
	struct memslot *s = map_find(ms_set(ms)->by_id, id_key(space, id));
	struct memslot_harvest *h;
	int r;

	if (!s)
		return memslot_fail(err, -ENOENT,
			"there is no slot %u in space %u", id, space);
	if (!s->dirty)
		return memslot_fail(err, -ENXIO,
			"slot %u of space %u is not dirty-logged", id, space);
	if (first >= s->size_pages || n > s->size_pages - first)
		return memslot_fail(err, -EINVAL,
			"slot %u has %llu pages, not %llu from page %llu", id,
			(ull)s->size_pages, (ull)n, (ull)first);
	n = n ? n : s->size_pages - first;
	h = harvest_new(ms, FAULT_HARVEST, s->dirty, first, n);
	if (!h)
		return memslot_fail(err, -ENOMEM,
			"no memory to harvest %llu pages of slot %u", (ull)n,
			id);
	r = sync_dirty(ms, s->space, s->base_gfn + first, n, err);
	if (r) {
		harvest_free(h);
		return r;
	}
	harvest_take(h);
	memslots_protect(ms, s->space, s->base_gfn + first, n);
	*out = h;
	return 0;
}

int memslot_harvest_range(struct memslots *ms, unsigned space, unsigned id,
	uint64_t first_page, uint64_t size_pages, struct memslot_harvest **out,
	struct memslot_error *err)
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
	r = harvest_locked(ms, space, id, first_page, size_pages, out, err);
	ms_unlock_txn(ms);
	return r;
}

uint64_t memslot_harvest_first_page(const struct memslot_harvest *h)
{
	return h->first_page;
}

uint64_t memslot_harvest_size_pages(const struct memslot_harvest *h)
{
	return h->size_pages;
}

bool memslot_harvest_test(const struct memslot_harvest *h, uint64_t page)
{
	page -= h->first_page;
	return page < h->size_pages && (h->bits[page / 64] >> page % 64 & 1);
}

uint64_t memslot_harvest_count(const struct memslot_harvest *h)
{
	uint64_t n = 0;

	for (uint64_t i = 0; i < bitmap_words(h->size_pages); i++)
		n += (unsigned)__builtin_popcountll(h->bits[i]);
	return n;
}

/*
 * Bits for pages [first, first + n) of a log come back: into the log, and
 * into those that took its memory over. bits[skip] is the first of them.
 */
static void give_back(struct memslot_bitmap *d, uint64_t first,
	const _Atomic(uint64_t) *bits, uint64_t skip, uint64_t n)
{
	bitmap_or(d, first, bits, skip, n);
	for (struct dirty_heir *heir = d->heirs; heir; heir = heir->next) {
		uint64_t lo = heir->first_page, hi = lo + heir->size_pages;

		lo = lo > first ? lo : first;
		hi = hi < first + n ? hi : first + n;
		if (lo < hi)
			give_back(heir->target,
				heir->at_page + (lo - heir->first_page), bits,
				skip + (lo - first), hi - lo);
	}
}

void memslot_harvest_done(struct memslot_harvest *h)
{
	if (h)
		harvest_free(h);
}

void memslot_harvest_give_back(struct memslot_harvest *h)
{
	struct memslots *ms;
	bool locked;

	if (!h)
		return;
	/* In a callback the lock is this thread's already. */
	ms = h->ms;
	locked = ms_lock_txn(ms, NULL) == 0;
	give_back(h->dirty, h->first_page, h->bits, 0, h->size_pages);
	harvest_free(h);
	if (locked)
		ms_unlock_txn(ms);
}
