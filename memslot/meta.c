/* SPDX-License-Identifier: MIT */
/*
 * meta.c - per-page state: dirty bits, write-track counts, large pages
 *
 * State belongs to memory, not to addresses: dirty bits are indexed by page
 * within the slot and shared by every version of it, so that a move carries
 * them along and a failed move has nothing to restore. Track counts and the
 * large-page map depend on where the slot is and who stays there, so a moved
 * slot gets new ones; whoever counts fills them in (`adopt`).
 */
#include "memslot/internal.h"

/* ---- references -------------------------------------------------------- */

static void ref(_Atomic(uint32_t) *refs)
{
	atomic_fetch_add_explicit(refs, 1, memory_order_relaxed);
}

/* True for the last one. */
static bool unref(_Atomic(uint32_t) *refs)
{
	return atomic_fetch_sub_explicit(refs, 1, memory_order_acq_rel) == 1;
}

void bitmap_unref(struct memslots *ms, struct memslot_bitmap *d)
{
	if (!d || !unref(&d->refs))
		return;
	while (d->heirs) {
		struct dirty_heir *heir = d->heirs;

		d->heirs = heir->next;
		atomic_fetch_sub(&heir->target->harvests, 1);
		bitmap_unref(ms, heir->target);
		ms_free(ms, heir);
	}
	ms_free(ms, d);
}

static void track_unref(struct memslots *ms, struct memslot_track *t)
{
	if (t && --t->refs == 0) {
		ms_free(ms, (void *)atomic_load(&t->counts));
		slab_free(ms, t);
	}
}

static void large_unref(struct memslots *ms, struct memslot_large *l)
{
	if (l && --l->refs == 0)
		slab_free(ms, l);
}

void slot_free(struct memslots *ms, struct memslot *s)
{
	if (!s)
		return;
	bitmap_unref(ms, s->dirty);
	bitmap_unref(ms, s->populated);
	track_unref(ms, s->track);
	large_unref(ms, s->large);
	slab_free(ms, s);
}

/* ---- large pages ------------------------------------------------------- */

static uint64_t large_frame(gfn_t gfn)
{
	return gfn >> MEMSLOT_LARGE_SHIFT;
}

/* How many 2 MiB frames the slot touches: depends on where it begins. */
static uint64_t large_frames(const struct memslot *s)
{
	gfn_t last = s->base_gfn + s->size_pages - 1;

	return large_frame(last) - large_frame(s->base_gfn) + 1;
}

static bool large_aligned(uint64_t page)
{
	return (page & (MEMSLOT_LARGE_PAGES - 1)) == 0;
}

static struct memslot_large *large_new(
	struct memslot_txn *t, const struct memslot *s)
{
	uint64_t host_page = (uint64_t)(uintptr_t)s->host >> MEMSLOT_PAGE_SHIFT;
	uint64_t frames = large_frames(s);
	struct memslot_large *l = slab_alloc(t, FAULT_PREPARE_LARGE,
		sizeof(*l) + frames * sizeof(l->disallow[0]));

	if (!l)
		return NULL;
	l->refs = 1;
	l->frames = frames;
	if (!large_aligned(s->base_gfn))
		l->disallow[0]++;
	if (!large_aligned(s->base_gfn + s->size_pages))
		l->disallow[frames - 1]++;
	if (!large_aligned(s->base_gfn ^ host_page))
		for (uint64_t i = 0; i < frames; i++)
			l->disallow[i]++;
	return l;
}

static _Atomic(uint32_t) *large_of(const struct memslot *s, gfn_t gfn)
{
	return &s->large->disallow[large_frame(gfn) - large_frame(s->base_gfn)];
}

bool memslot_large_ok(const struct memslot *s, gfn_t gfn)
{
	return atomic_load(large_of(s, gfn)) == 0;
}

/* ---- write-track counts ------------------------------------------------ */

static struct memslot_track *track_new(struct memslot_txn *t)
{
	struct memslot_track *track =
		slab_alloc(t, FAULT_PREPARE_TRACK, sizeof(*track));

	if (track)
		track->refs = 1;
	return track;
}

static _Atomic(uint16_t) *track_of(const struct memslot *s, gfn_t gfn)
{
	_Atomic(uint16_t) *counts =
		atomic_load_explicit(&s->track->counts, memory_order_acquire);

	return counts ? counts + (gfn - s->base_gfn) : NULL;
}

bool memslot_page_tracked(const struct memslot *s, gfn_t gfn)
{
	_Atomic(uint16_t) *count = track_of(s, gfn);

	return count && atomic_load(count) != 0;
}

int memslot_track_reserve(
	struct memslots *ms, const struct memslot *s, struct memslot_error *err)
{
	_Atomic(uint16_t) *counts;

	if (atomic_load(&s->track->counts))
		return 0;
	counts = ms_alloc(ms, FAULT_TRACK_RESERVE,
		(size_t)s->size_pages * sizeof(*counts));
	if (!counts)
		return memslot_fail(err, -ENOMEM,
			"slot %u of space %u: no memory for the track counts "
			"of %llu pages",
			s->id, s->space, (unsigned long long)s->size_pages);
	atomic_store_explicit(&s->track->counts, counts, memory_order_release);
	return 0;
}

int memslot_track_up(const struct memslot *s, gfn_t gfn)
{
	_Atomic(uint16_t) *count = track_of(s, gfn);

	if (*count == UINT16_MAX)
		return -EOVERFLOW;
	/* The first reason forbids the large page before it protects. */
	if (*count == 0) {
		atomic_fetch_add(large_of(s, gfn), 1);
		atomic_fetch_add(&s->track->tracked_pages, 1);
	}
	/* Changes take turns by the caller's lock: a plain store will do. */
	atomic_store(count, (uint16_t)(*count + 1));
	return 0;
}

int memslot_track_down(const struct memslot *s, gfn_t gfn)
{
	_Atomic(uint16_t) *count = track_of(s, gfn);

	if (!count || *count == 0)
		return -EINVAL;
	atomic_store(count, (uint16_t)(*count - 1));
	if (*count == 0) {
		atomic_fetch_sub(large_of(s, gfn), 1);
		atomic_fetch_sub(&s->track->tracked_pages, 1);
	}
	return 0;
}

bool memslot_next_tracked(const struct memslot *s, gfn_t *gfn)
{
	if (atomic_load(&s->track->tracked_pages) == 0)
		return false;
	for (; memslot_contains(s, *gfn); ++*gfn)
		if (memslot_page_tracked(s, *gfn))
			return true;
	return false;
}

/* ---- dirty bits -------------------------------------------------------- */

struct memslot_bitmap *bitmap_new(
	struct memslots *ms, unsigned point, uint64_t size_pages)
{
	struct memslot_bitmap *d = ms_alloc(ms, point,
		sizeof(*d) + bitmap_words(size_pages) * sizeof(d->bits[0]));

	if (d) {
		d->refs = 1;
		d->size_pages = size_pages;
	}
	return d;
}

void memslot_mark_dirty(const struct memslot *s, gfn_t gfn)
{
	uint64_t page = gfn - s->base_gfn;

	if (s->dirty)
		atomic_fetch_or(
			&s->dirty->bits[page / 64], (uint64_t)1 << page % 64);
}

bool memslot_page_dirty(const struct memslot *s, gfn_t gfn)
{
	uint64_t page = gfn - s->base_gfn;

	return s->dirty &&
	       (atomic_load(&s->dirty->bits[page / 64]) >> page % 64 & 1);
}

void meta_mark_all_dirty(struct memslot *s)
{
	struct memslot_bitmap *d = s->dirty;

	for (uint64_t i = 0; d && i < bitmap_words(d->size_pages); i++) {
		uint64_t left = d->size_pages - i * 64;

		atomic_store(&d->bits[i],
			left >= 64 ? UINT64_MAX : ((uint64_t)1 << left) - 1);
	}
}

/* 64 bits of src from bit `at` on, as far as there are `words`. */
static uint64_t bits_at(
	const _Atomic(uint64_t) *src, uint64_t words, uint64_t at)
{
	uint64_t low = atomic_load(&src[at / 64]), high = 0;

	if (at % 64 == 0)
		return low;
	if (at / 64 + 1 < words)
		high = atomic_load(&src[at / 64 + 1]);
	return low >> at % 64 | high << (64 - at % 64);
}

void bitmap_or(struct memslot_bitmap *dst, uint64_t at,
	const _Atomic(uint64_t) *src, uint64_t first, uint64_t n)
{
	uint64_t words = bitmap_words(first + n);

	while (n) {
		/* Up to the next word of dst. */
		uint64_t take = 64 - at % 64 < n ? 64 - at % 64 : n;
		uint64_t mask =
			take == 64 ? UINT64_MAX : ((uint64_t)1 << take) - 1;
		uint64_t bits = bits_at(src, words, first) & mask;

		if (bits)
			atomic_fetch_or(&dst->bits[at / 64], bits << at % 64);
		at += take;
		first += take;
		n -= take;
	}
}

/* ---- a new version ------------------------------------------------------ */

int meta_prepare(struct memslot_txn *t, const struct memslot *from,
	struct memslot *to, enum memslot_change_kind kind)
{
	struct memslots *ms = t->ms;
	bool same_memory =
		kind == MEMSLOT_CHANGE_MOVE || kind == MEMSLOT_CHANGE_FLAGS;

	if ((to->flags & MEMSLOT_LOG_DIRTY) && same_memory && from->dirty) {
		to->dirty = from->dirty;
		ref(&to->dirty->refs);
	} else if (to->flags & MEMSLOT_LOG_DIRTY) {
		to->dirty = bitmap_new(ms, FAULT_PREPARE_DIRTY, to->size_pages);
		if (!to->dirty)
			goto no_memory;
	}
	if (same_memory && from->populated) {
		to->populated = from->populated;
		ref(&to->populated->refs);
	}
	if (kind == MEMSLOT_CHANGE_FLAGS) {
		to->track = from->track;
		to->large = from->large;
		to->track->refs++;
		to->large->refs++;
		return 0;
	}
	to->track = track_new(t);
	if (!to->track)
		goto no_memory;
	to->large = large_new(t, to);
	if (!to->large)
		goto no_memory;
	return 0;

no_memory:
	return memslot_fail(t->err, -ENOMEM,
		"slot %u of space %u: no memory for the metadata of %llu "
		"pages",
		to->id, to->space, (unsigned long long)to->size_pages);
}
