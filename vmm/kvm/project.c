/* SPDX-License-Identifier: MIT */
#include "vmm/kvm/project.h"

#include "vmm/kvm/compat.h"
#include "vmm/kvm/kvm.h"

#include <errno.h>
#include <stdlib.h>

/* Room for one more of something in an array that doubles. */
static int grow(void **array, unsigned count, unsigned *room, size_t size)
{
	unsigned more = *room ? *room * 2 : 8;
	void *bigger;

	if (count < *room)
		return 0;
	bigger = realloc(*array, more * size);
	if (!bigger)
		return -ENOMEM;
	*array = bigger;
	*room = more;
	return 0;
}

int runs_add(struct runs *r, uint64_t first, uint64_t end)
{
	void *array = r->run;
	int e;

	/* Pages come one by one, mostly in order. */
	if (r->count && r->run[r->count - 1].end == first) {
		r->run[r->count - 1].end = end;
		return 0;
	}
	e = grow(&array, r->count, &r->room, sizeof(*r->run));
	r->run = array;
	if (!e)
		r->run[r->count++] = (struct run){first, end};
	return e;
}

static int run_order(const void *a, const void *b)
{
	const struct run *x = a, *y = b;

	return (x->first > y->first) - (x->first < y->first);
}

void runs_tidy(struct runs *r)
{
	unsigned kept = 0;

	if (!r->count)
		return;
	qsort(r->run, r->count, sizeof(*r->run), run_order);
	for (unsigned i = 1; i < r->count; i++) {
		if (r->run[i].first > r->run[kept].end)
			r->run[++kept] = r->run[i];
		else if (r->run[i].end > r->run[kept].end)
			r->run[kept].end = r->run[i].end;
	}
	r->count = kept + 1;
}

int pieces_add(struct pieces *p, const struct piece *piece)
{
	void *array = p->piece;
	int e = grow(&array, p->count, &p->room, sizeof(*p->piece));

	p->piece = array;
	if (!e)
		p->piece[p->count++] = *piece;
	return e;
}

uint64_t chunk_first(uint64_t page)
{
	return page - page % KVM_SLOT_PAGES;
}

uint64_t chunk_end(uint64_t page, uint64_t size_pages)
{
	uint64_t end = chunk_first(page) + KVM_SLOT_PAGES;

	return end < size_pages ? end : size_pages;
}

/* The first run that ends behind `page`. */
static unsigned runs_find(const struct runs *r, uint64_t page)
{
	unsigned lo = 0, hi = r->count;

	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;

		if (r->run[mid].end <= page)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

int project(const struct memslot *slot, const struct runs *tracked,
	uint64_t first, uint64_t end, struct pieces *out)
{
	const bool readonly = slot->flags & MEMSLOT_READONLY;
	const uint32_t log =
		slot->flags & MEMSLOT_LOG_DIRTY ? KVM_MEM_LOG_DIRTY_PAGES : 0;
	unsigned at = runs_find(tracked, first);
	int r = 0;

	for (uint64_t page = first, next; !r && page < end; page = next) {
		const struct run *run =
			at < tracked->count ? &tracked->run[at] : NULL;
		bool inside = run && run->first <= page;
		struct piece p = {
			.gfn = slot->base_gfn + page,
			.host = slot->host + (page << MEMSLOT_PAGE_SHIFT),
			.flags = log |
				 (readonly || inside ? KVM_MEM_READONLY : 0),
		};

		next = chunk_end(page, end);
		if (!readonly && run && !inside && run->first < next)
			next = run->first;
		if (!readonly && inside && run->end < next)
			next = run->end;
		if (run && run->end <= next)
			at++;
		p.pages = next - page;
		r = pieces_add(out, &p);
	}
	return r;
}
