/* SPDX-License-Identifier: MIT */
/*
 * track.c - adding and removing pages
 *
 * Two books are kept in step under the tracker's lock: each node's table of
 * pages, and the slot's count of nodes per page, which is what CPUs look at.
 * A page is counted first and write permission withdrawn afterwards, so that
 * a translation made in between is withdrawn too.
 */
#include "pagetrack/internal.h"

#define COUNT_MAX 65535u

/* ---- where a page is counted ---------------------------------------------- */

const struct memslot *slot_get(struct pagetrack *pt, unsigned space, gfn_t gfn)
{
	memslot_enter(&pt->reader);
	/*
	 * Between adopt and publication the new layout has the counts and
	 * readers still find the old one.
	 */
	if (pt->adopted)
		return memslot_txn_find(pt->txn, space, gfn);
	return memslot_lookup(&pt->reader, space, gfn);
}

void slot_put(struct pagetrack *pt)
{
	memslot_leave(&pt->reader);
}

/* ---- one page --------------------------------------------------------------- */

static struct tracked_page *page_new(struct pagetrack_node *node)
{
	struct pagetrack *pt = node->pt;

	if (FAULT(memslots_faults(pt->ms), FAULT_PAGETRACK_PAGE) ||
		pages_grow(&node->table, pt->pf))
		return NULL;
	return pt->pf->alloc(pt->pf->ctx, sizeof(struct tracked_page));
}

static int no_memory(unsigned space, gfn_t gfn, struct memslot_error *err)
{
	return memslot_fail(err, -ENOMEM,
		"no memory to track page %#llx of space %u", (ull)gfn, space);
}

/* The page is new to the node, and the slot is there. */
static int first_add(struct pagetrack_node *node, const struct memslot *slot,
	gfn_t gfn, struct memslot_error *err)
{
	struct pagetrack *pt = node->pt;
	struct tracked_page *p;
	int r;

	r = memslot_track_reserve(pt->ms, slot, err);
	if (!r)
		r = moves_reserve_page(node, slot->space, gfn, err);
	if (r)
		return r;
	p = page_new(node);
	if (!p)
		return no_memory(slot->space, gfn, err);
	r = memslot_track_up(slot, gfn);
	if (r) {
		pt->pf->free(pt->pf->ctx, p);
		return memslot_fail(err, r,
			"page %#llx of space %u is tracked by %u nodes "
			"already",
			(ull)gfn, slot->space, COUNT_MAX);
	}
	p->node = node;
	p->space = slot->space;
	p->gfn = gfn;
	p->count = 1;
	pages_insert(&node->table, p);
	atomic_fetch_add(&pt->version, 1);
	return 0;
}

static int add_one(struct pagetrack_node *node, unsigned space, gfn_t gfn,
	struct memslot_error *err)
{
	struct tracked_page *p = pages_find(&node->table, space, gfn);
	const struct memslot *slot;
	int r;

	if (p && p->count == COUNT_MAX)
		return memslot_fail(err, -EOVERFLOW,
			"page %#llx of space %u was added %u times already",
			(ull)gfn, space, COUNT_MAX);
	if (p) {
		p->count++;
		return 0;
	}
	slot = slot_get(node->pt, space, gfn);
	if (slot)
		r = first_add(node, slot, gfn, err);
	else
		r = memslot_fail(err, -ENOENT,
			"page %#llx of space %u has no slot to track", (ull)gfn,
			space);
	slot_put(node->pt);
	return r;
}

/* Take the page out of both books. */
static void forget_one(struct pagetrack_node *node, struct tracked_page *p)
{
	const struct memslot *slot = slot_get(node->pt, p->space, p->gfn);

	if (slot)
		memslot_track_down(slot, p->gfn);
	slot_put(node->pt);
	atomic_fetch_add(&node->pt->version, 1);
	page_free(node->pt->pf, p);
}

static void remove_one(struct pagetrack_node *node, unsigned space, gfn_t gfn)
{
	struct tracked_page *p = pages_find(&node->table, space, gfn);

	if (--p->count == 0)
		forget_one(node, pages_take(&node->table, space, gfn));
}

void node_forget_pages(struct pagetrack_node *node)
{
	struct tracked_page *p;
	uint64_t cursor = 0;

	while ((p = pages_take_any(&node->table, &cursor)))
		forget_one(node, p);
}

void node_forget_page(struct pagetrack_node *node, unsigned space, gfn_t gfn)
{
	if (pages_find(&node->table, space, gfn))
		forget_one(node, pages_take(&node->table, space, gfn));
}

/* ---- ranges ----------------------------------------------------------------- */

static int check_range(const struct pagetrack *pt, unsigned space, gfn_t gfn,
	uint64_t size_pages, struct memslot_error *err)
{
	const uint64_t limit = MEMSLOT_GPA_LIMIT >> MEMSLOT_PAGE_SHIFT;

	if (space >= memslots_spaces(pt->ms))
		return memslot_fail(err, -EINVAL, "space %u: there are only %u",
			space, memslots_spaces(pt->ms));
	if (size_pages == 0)
		return memslot_fail(err, -EINVAL,
			"0 pages from page %#llx: nothing to track", (ull)gfn);
	if (gfn >= limit || size_pages > limit - gfn)
		return memslot_fail(err, -EINVAL,
			"%llu pages from page %#llx pass the last page %#llx",
			(ull)size_pages, (ull)gfn, (ull)limit - 1);
	return 0;
}

/* Count the pages, all or none. */
static int add_pages(struct pagetrack_node *node, unsigned space, gfn_t gfn,
	uint64_t size_pages, struct memslot_error *err)
{
	struct pagetrack *pt = node->pt;
	uint64_t done = 0;
	int r = 0;

	pt_lock_pages(pt);
	if (node->dead)
		r = memslot_fail(err, -EINVAL,
			"node \"%s\" is not registered any more",
			node->ops->name);
	while (!r && done < size_pages) {
		r = add_one(node, space, gfn + done, err);
		if (!r)
			done++;
	}
	while (r && done)
		remove_one(node, space, gfn + --done);
	pt_unlock(pt);
	return r;
}

/*
 * A backend would not have it. The pages may have gone, with a transaction
 * or with their node, since they were counted.
 */
static void take_back(struct pagetrack_node *node, unsigned space, gfn_t gfn,
	uint64_t size_pages)
{
	struct pagetrack *pt = node->pt;

	pt_lock_pages(pt);
	for (uint64_t i = 0; i < size_pages; i++)
		if (pages_find(&node->table, space, gfn + i))
			remove_one(node, space, gfn + i);
	pt_unlock(pt);
	(void)memslots_untrack(pt->ms, space, gfn, size_pages);
}

int pagetrack_add(struct pagetrack_node *node, unsigned space, gfn_t gfn,
	uint64_t size_pages, struct memslot_error *err)
{
	struct pagetrack *pt = node->pt;
	int r = check_range(pt, space, gfn, size_pages, err);

	if (!r)
		r = add_pages(node, space, gfn, size_pages, err);
	if (r)
		return r;
	r = memslots_track(pt->ms, space, gfn, size_pages, err);
	if (r)
		take_back(node, space, gfn, size_pages);
	return r;
}

int pagetrack_remove(struct pagetrack_node *node, unsigned space, gfn_t gfn,
	uint64_t size_pages, struct memslot_error *err)
{
	struct pagetrack *pt = node->pt;
	int r = check_range(pt, space, gfn, size_pages, err);

	if (r)
		return r;
	pt_lock_pages(pt);
	for (uint64_t i = 0; !r && i < size_pages; i++)
		if (!pages_find(&node->table, space, gfn + i))
			r = memslot_fail(err, -ENOENT,
				"page %#llx of space %u is not tracked by "
				"node \"%s\"",
				(ull)(gfn + i), space, node->ops->name);
	for (uint64_t i = 0; !r && i < size_pages; i++)
		remove_one(node, space, gfn + i);
	pt_unlock(pt);
	if (!r && memslots_untrack(pt->ms, space, gfn, size_pages))
		r = memslot_fail(err, -EIO,
			"the pages are released, and the machine is broken: "
			"a backend could not undo what it had begun");
	return r;
}

uint64_t pagetrack_version(const struct pagetrack *pt)
{
	return atomic_load(&pt->version);
}

bool pagetrack_tracks(struct pagetrack_node *node, unsigned space, gfn_t gfn)
{
	bool found;

	pt_lock(node->pt);
	found = pages_find(&node->table, space, gfn) != NULL;
	pt_unlock(node->pt);
	return found;
}

uint64_t pagetrack_size_pages(struct pagetrack_node *node)
{
	uint64_t pages;

	pt_lock(node->pt);
	pages = node->table.pages;
	pt_unlock(node->pt);
	return pages;
}
