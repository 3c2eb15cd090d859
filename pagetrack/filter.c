/* SPDX-License-Identifier: MIT */
/*
 * filter.c - which writes a node hears of, and questions about nodes
 *
 * A range of bytes hangs off the node's page, so that it goes along when the
 * page is re-keyed by a transaction and vanishes with the page.
 */
#include "pagetrack/internal.h"

static uint16_t in_page(gpa_t gpa)
{
	return (uint16_t)(gpa & MEMSLOT_PAGE_MASK);
}

bool page_wants(const struct tracked_page *p, gpa_t gpa, size_t len)
{
	unsigned lo = in_page(gpa), hi = lo + (unsigned)len;

	if (!p->ranges)
		return true;
	for (const struct page_range *r = p->ranges; r; r = r->next)
		if (lo < r->hi && r->lo < hi)
			return true;
	return false;
}

int pagetrack_filter(struct pagetrack_node *node, unsigned space, gpa_t gpa,
	size_t len, struct memslot_error *err)
{
	struct pagetrack *pt = node->pt;
	struct page_range *range = NULL;
	struct tracked_page *p;

	if (len == 0 || len > MEMSLOT_PAGE_SIZE - in_page(gpa))
		return memslot_fail(err, -EINVAL,
			"%zu bytes at %#llx are not inside one page", len,
			(ull)gpa);
	if (!FAULT(memslots_faults(pt->ms), FAULT_PAGETRACK_FILTER))
		range = pt->pf->alloc(pt->pf->ctx, sizeof(*range));
	if (!range)
		return memslot_fail(err, -ENOMEM,
			"no memory for a filter at %#llx", (ull)gpa);
	range->lo = in_page(gpa);
	range->hi = (uint16_t)(range->lo + len);
	pt_lock(pt);
	p = pages_find(&node->table, space, gpa >> MEMSLOT_PAGE_SHIFT);
	if (p) {
		range->next = p->ranges;
		p->ranges = range;
	}
	pt_unlock(pt);
	if (p)
		return 0;
	pt->pf->free(pt->pf->ctx, range);
	return memslot_fail(err, -ENOENT,
		"page %#llx of space %u is not tracked by node \"%s\"",
		(ull)gpa >> MEMSLOT_PAGE_SHIFT, space, node->ops->name);
}

void pagetrack_unfilter(struct pagetrack_node *node, unsigned space, gfn_t gfn)
{
	struct pagetrack *pt = node->pt;
	struct page_range *ranges = NULL;
	struct tracked_page *p;

	pt_lock(pt);
	p = pages_find(&node->table, space, gfn);
	if (p) {
		ranges = p->ranges;
		p->ranges = NULL;
	}
	pt_unlock(pt);
	while (ranges) {
		struct page_range *next = ranges->next;

		pt->pf->free(pt->pf->ctx, ranges);
		ranges = next;
	}
}

/* ---- questions ---------------------------------------------------------------- */

void pagetrack_node_counts(
	struct pagetrack_node *node, struct pagetrack_counts *out)
{
	pt_lock(node->pt);
	*out = node->counts;
	out->dropped = queue_dropped(node);
	pt_unlock(node->pt);
}

uint64_t pagetrack_spurious(struct pagetrack *pt)
{
	uint64_t n;

	pt_lock(pt);
	n = pt->spurious;
	pt_unlock(pt);
	return n;
}

void pagetrack_want_old(struct pagetrack_node *node, bool want)
{
	struct pagetrack *pt = node->pt;

	pt_lock(pt);
	if (want && !node->wants_old)
		atomic_fetch_add(&pt->old_wanted, 1);
	if (!want && node->wants_old)
		atomic_fetch_sub(&pt->old_wanted, 1);
	node->wants_old = want;
	pt_unlock(pt);
}

unsigned pagetrack_who(struct pagetrack *pt, unsigned space, gfn_t gfn,
	const char **names, unsigned max)
{
	unsigned n = 0;

	pt_lock(pt);
	for (struct pagetrack_node *node = pt->nodes; node; node = node->next) {
		if (!pages_find(&node->table, space, gfn))
			continue;
		if (n < max)
			names[n] = node->ops->name;
		n++;
	}
	pt_unlock(pt);
	return n;
}

unsigned pagetrack_aliases(struct pagetrack *pt, unsigned space, gfn_t gfn,
	struct pagetrack_alias *list, unsigned max)
{
	const struct memslot *s, *other = NULL;
	unsigned n = 0;
	uint8_t *host;

	pt_lock(pt);
	memslot_enter(&pt->reader);
	s = memslot_lookup(&pt->reader, space, gfn);
	host = s ? memslot_host(s, gfn << MEMSLOT_PAGE_SHIFT) : NULL;
	while (s && (other = memslot_by_host(&pt->reader, host, other))) {
		gfn_t at = other->base_gfn + ((uint64_t)(host - other->host) >>
						     MEMSLOT_PAGE_SHIFT);

		if (other == s)
			continue;
		if (n < max)
			list[n] = (struct pagetrack_alias){other->space, at,
				memslot_page_tracked(other, at)};
		n++;
	}
	memslot_leave(&pt->reader);
	pt_unlock(pt);
	return n;
}
