/* SPDX-License-Identifier: MIT */
/*
 * pages.c - the pages of one node
 *
 * A chained hash table of small objects: finding, taking and putting back a
 * page never allocates, so a transaction can re-key pages at a point where
 * nothing may fail any more.
 */
#include "pagetrack/internal.h"

#define BUCKETS_MIN 16

static uint64_t bucket_of(const struct page_table *t, unsigned space, gfn_t gfn)
{
	uint64_t key = (uint64_t)space << 40 | gfn;

	return (key * 0x9e3779b97f4a7c15u >> 20) & (t->buckets - 1);
}

struct tracked_page *pages_find(
	const struct page_table *t, unsigned space, gfn_t gfn)
{
	struct tracked_page *p = NULL;

	if (t->pages)
		p = t->bucket[bucket_of(t, space, gfn)];
	while (p && (p->gfn != gfn || p->space != space))
		p = p->next;
	return p;
}

void pages_insert(struct page_table *t, struct tracked_page *p)
{
	struct tracked_page **at = &t->bucket[bucket_of(t, p->space, p->gfn)];

	p->next = *at;
	*at = p;
	t->pages++;
}

void page_free(const struct memslot_platform *pf, struct tracked_page *p)
{
	while (p->ranges) {
		struct page_range *range = p->ranges;

		p->ranges = range->next;
		pf->free(pf->ctx, range);
	}
	pf->free(pf->ctx, p);
}

int pages_grow(struct page_table *t, const struct memslot_platform *pf)
{
	struct page_table old = *t;
	struct tracked_page *p;
	uint64_t cursor = 0;

	if (t->pages < t->buckets)
		return 0;
	t->buckets = old.buckets ? old.buckets * 2 : BUCKETS_MIN;
	t->bucket = pf->alloc(pf->ctx, (size_t)t->buckets * sizeof(*t->bucket));
	if (!t->bucket) {
		*t = old;
		return -ENOMEM;
	}
	t->pages = 0;
	while ((p = pages_take_any(&old, &cursor)))
		pages_insert(t, p);
	if (old.bucket)
		pf->free(pf->ctx, old.bucket);
	return 0;
}

struct tracked_page *pages_take(struct page_table *t, unsigned space, gfn_t gfn)
{
	struct tracked_page **at = &t->bucket[bucket_of(t, space, gfn)], *p;

	while ((*at)->gfn != gfn || (*at)->space != space)
		at = &(*at)->next;
	p = *at;
	*at = p->next;
	t->pages--;
	return p;
}

struct tracked_page *pages_take_any(struct page_table *t, uint64_t *cursor)
{
	struct tracked_page *p;

	if (!t->pages)
		return NULL;
	while (!t->bucket[*cursor])
		++*cursor;
	p = t->bucket[*cursor];
	t->bucket[*cursor] = p->next;
	t->pages--;
	return p;
}
