/* SPDX-License-Identifier: MIT */
/*
 * project.c - which kernel slots stand for a logical slot
 *
 * A logical slot of more than KVM_SLOT_PAGES is cut where its host address is
 * a multiple of that size; a run of tracked pages is a read-only piece of its
 * own, which no cut divides further than that. The cuts depend on the host
 * address so that they stay where they are when a slot moves, is split,
 * merged or resized: pieces that are the same memory as before need not be
 * made anew. docs/kvm.md has the measurements behind the size.
 *
 * A slot that is read-only to the guest is so as a whole: whatever is tracked
 * in it, the guest's writes are dropped.
 */
#include "vmm/kvm/project.h"

#include "vmm/kvm/kvm.h"

/* Pages from the page at `host` to the next cut. */
static uint64_t to_cut(const uint8_t *host)
{
	uint64_t page = (uintptr_t)host >> MEMSLOT_PAGE_SHIFT;

	return KVM_SLOT_PAGES - page % KVM_SLOT_PAGES;
}

static bool is_cut(const struct piece *l)
{
	return l->pages > KVM_SLOT_PAGES;
}

static uint8_t *host_of(const struct piece *l, gfn_t gfn)
{
	return l->host + ((gfn - l->gfn) << MEMSLOT_PAGE_SHIFT);
}

void project_widen(const struct piece *l, gfn_t *gfn, gfn_t *end)
{
	gfn_t first = l->gfn, last = l->gfn + l->pages;

	if (is_cut(l)) {
		gfn_t lo = *gfn - (KVM_SLOT_PAGES - to_cut(host_of(l, *gfn)));
		gfn_t hi = *end - 1 + to_cut(host_of(l, *end - 1));

		/* `lo` may have wrapped below 0 */
		if (lo > first && lo <= *gfn)
			first = lo;
		if (hi < last)
			last = hi;
	}
	*gfn = first;
	*end = last;
}

static uint32_t flags_of(const struct piece *l, bool tracked)
{
	if (tracked || (l->flags & MEMSLOT_READONLY))
		return PIECE_READONLY;
	return l->flags & MEMSLOT_LOG_DIRTY ? PIECE_LOG : 0;
}

/* Where the run of tracked, or untracked, pages from gfn ends, before `end`. */
static gfn_t run_end(gfn_t gfn, gfn_t end, const gfn_t *tracked, size_t count,
	bool *is_tracked)
{
	size_t i = 0;

	*is_tracked = count && tracked[0] == gfn;
	if (!*is_tracked)
		return count && tracked[0] < end ? tracked[0] : end;
	while (i < count && gfn < end && tracked[i] == gfn) {
		gfn++;
		/* a page may be named twice */
		while (i < count && tracked[i] < gfn)
			i++;
	}
	return gfn;
}

size_t project(const struct piece *l, const gfn_t *tracked, size_t count,
	struct piece *out)
{
	gfn_t gfn = l->gfn, end = l->gfn + l->pages;
	size_t pieces = 0;

	if (l->flags & MEMSLOT_READONLY)
		count = 0;
	while (gfn < end) {
		uint64_t cut = is_cut(l) ? to_cut(host_of(l, gfn)) : l->pages;
		gfn_t stop = cut < end - gfn ? gfn + cut : end;
		bool is_tracked;

		while (count && tracked[0] < gfn) {
			tracked++;
			count--;
		}
		stop = run_end(gfn, stop, tracked, count, &is_tracked);
		if (out)
			out[pieces] = (struct piece){
				.gfn = gfn,
				.pages = stop - gfn,
				.host = host_of(l, gfn),
				.flags = flags_of(l, is_tracked),
			};
		pieces++;
		gfn = stop;
	}
	return pieces;
}
