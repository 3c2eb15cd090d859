/* SPDX-License-Identifier: MIT */
/*
 * dma.c - a device's loads, stores and copies
 *
 * Copies are pagetrack's. What is here besides are the two accesses of a
 * virtqueue that must not tear (a memcpy may go byte by byte), and discard.
 */
#include "devices/dma.h"

#include <errno.h>
#include <sys/mman.h>

int dma_read(struct dma *d, gpa_t gpa, void *bytes, size_t len)
{
	return pagetrack_guest_read(d->reader, d->space, gpa, bytes, len);
}

int dma_write(struct dma *d, gpa_t gpa, const void *bytes, size_t len)
{
	return pagetrack_guest_write(
		d->track, d->reader, d->space, gpa, bytes, len, d->source);
}

/* ---- whole words ------------------------------------------------------------ */

static bool is_word(gpa_t gpa)
{
	return gpa % 2 == 0 && gpa < MEMSLOT_GPA_LIMIT;
}

int dma_load16(struct dma *d, gpa_t gpa, uint16_t *value)
{
	const struct memslot *s;

	if (!is_word(gpa))
		return -EINVAL;
	s = memslot_enter_at(d->reader, d->space, gpa >> MEMSLOT_PAGE_SHIFT);
	if (s)
		*value = __atomic_load_n((const uint16_t *)memslot_host(s, gpa),
			__ATOMIC_ACQUIRE);
	memslot_leave(d->reader);
	return s ? 0 : -EFAULT;
}

/* Stores; true: `hold` must be reported. Inside a section. */
static bool store16(struct dma *d, const struct memslot *s,
	struct pagetrack_hold *hold, const struct pagetrack_write *w,
	uint16_t value, uint16_t *old)
{
	uint16_t *at = (uint16_t *)memslot_host(s, w->gpa);
	gfn_t gfn = w->gpa >> MEMSLOT_PAGE_SHIFT;

	*old = __atomic_load_n(at, __ATOMIC_RELAXED);
	__atomic_store_n(at, value, __ATOMIC_RELEASE);
	memslot_mark_dirty(s, gfn);
	if (!d->track || !memslot_page_tracked(s, gfn))
		return false;
	pagetrack_hold(d->track, hold, d->space, w->gpa, sizeof(value));
	return true;
}

int dma_store16(struct dma *d, gpa_t gpa, uint16_t value)
{
	uint16_t old;
	const struct pagetrack_write w = {
		.space = d->space,
		.gpa = gpa,
		.bytes = &value,
		.old = &old,
		.len = sizeof(value),
		.source = d->source,
	};
	struct pagetrack_hold hold;
	const struct memslot *s;
	bool tracked;

	if (!is_word(gpa))
		return -EINVAL;
	s = memslot_enter_at(d->reader, d->space, gpa >> MEMSLOT_PAGE_SHIFT);
	if (!s || s->flags & MEMSLOT_READONLY) {
		memslot_leave(d->reader);
		return -EFAULT;
	}
	tracked = store16(d, s, &hold, &w, value, &old);
	memslot_leave(d->reader);
	if (tracked)
		pagetrack_report(d->track, &hold, &w);
	return 0;
}

/* ---- discard ---------------------------------------------------------------- */

/*
 * A piece of a range is given back within one section. It is no larger than
 * this, because freeing memory takes its time and a transaction may be
 * waiting for the section to end.
 */
#define PIECE_PAGES ((uint64_t)512)
#define HOLDS_MAX   8u

/* Of [*gfn, end), in slot s: the untracked pages at *gfn; moves *gfn on. */
static uint64_t discard_piece(const struct memslot *s, gfn_t *gfn, gfn_t end)
{
	gfn_t first = *gfn, tracked = first;

	if (end > s->base_gfn + s->size_pages)
		end = s->base_gfn + s->size_pages;
	if (end > first + PIECE_PAGES)
		end = first + PIECE_PAGES;
	if (memslot_next_tracked(s, &tracked) && tracked < end)
		end = tracked;
	*gfn = end > first ? end : first + 1;
	if (end == first || s->flags & MEMSLOT_READONLY ||
		madvise(memslot_host(s, first << MEMSLOT_PAGE_SHIFT),
			(end - first) << MEMSLOT_PAGE_SHIFT, MADV_DONTNEED))
		return 0;
	for (gfn_t g = first; g < end; g++)
		memslot_mark_dirty(s, g);
	return end - first;
}

/*
 * Somebody may have begun to track pages while they were discarded: he hears
 * of a write of zeros. In the section of the discard, which ends here. (If
 * there are many of them the rest is told a few at a time.)
 */
static void leave_and_report(
	struct dma *d, const struct memslot *s, gfn_t gfn, gfn_t end)
{
	static const uint8_t zeros[MEMSLOT_PAGE_SIZE];
	struct pagetrack_hold hold[HOLDS_MAX];
	struct pagetrack_write w[HOLDS_MAX];
	unsigned n;

	do {
		for (n = 0; n < HOLDS_MAX && gfn < end; n++, gfn++) {
			if (!d->track || !s || !memslot_contains(s, gfn) ||
				!memslot_next_tracked(s, &gfn) || gfn >= end)
				break;
			w[n] = (struct pagetrack_write){
				.space = d->space,
				.gpa = gfn << MEMSLOT_PAGE_SHIFT,
				.bytes = zeros,
				.old = zeros,
				.len = sizeof(zeros),
				.source = d->source,
			};
			pagetrack_hold(d->track, &hold[n], d->space, w[n].gpa,
				w[n].len);
		}
		memslot_leave(d->reader);
		for (unsigned i = 0; i < n; i++)
			pagetrack_report(d->track, &hold[i], &w[i]);
		if (n == HOLDS_MAX)
			s = memslot_enter_at(d->reader, d->space, gfn);
	} while (n == HOLDS_MAX);
}

int dma_discard(struct dma *d, gpa_t gpa, uint64_t len, uint64_t *pages)
{
	gfn_t gfn, end;

	if (gpa >= MEMSLOT_GPA_LIMIT || len > MEMSLOT_GPA_LIMIT - gpa)
		return -EINVAL;
	gfn = (gpa + MEMSLOT_PAGE_MASK) >> MEMSLOT_PAGE_SHIFT;
	end = (gpa + len) >> MEMSLOT_PAGE_SHIFT;
	while (gfn < end) {
		gfn_t first = gfn;
		const struct memslot *s =
			memslot_enter_at(d->reader, d->space, gfn);
		uint64_t given = s ? discard_piece(s, &gfn, end) : 0;

		if (!s) { /* on to the next slot, if there is one */
			s = memslot_next(d->reader, d->space, gfn);
			gfn = s && s->base_gfn > gfn ? s->base_gfn : end;
		}
		*pages += given;
		leave_and_report(d, s, first, first + given);
	}
	return 0;
}
