/* SPDX-License-Identifier: MIT */
/*
 * dma.c - a device's loads, stores and copies
 *
 * Copies are pagetrack's. What is here besides are the two accesses of a
 * virtqueue that must not tear (a memcpy may go byte by byte).
 */
#include "devices/dma.h"

#include <errno.h>

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
