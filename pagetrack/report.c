/* SPDX-License-Identifier: MIT */
/*
 * report.c - telling the nodes, and the one way to write from the host
 */
#include "pagetrack/internal.h"

bool pagetrack_wants_old(const struct pagetrack *pt)
{
	return atomic_load_explicit(&pt->old_wanted, memory_order_relaxed) != 0;
}

void pagetrack_hold(struct pagetrack *pt, struct pagetrack_hold *h,
	unsigned space, gpa_t gpa, size_t len)
{
	h->count = 0;
	pt_lock(pt);
	for (struct pagetrack_node *n = pt->nodes; n; n = n->next) {
		const struct tracked_page *p;

		if (n->dead || !n->ops->write)
			continue;
		p = pages_find(&n->table, space, gpa >> MEMSLOT_PAGE_SHIFT);
		if (!p)
			continue;
		if (!page_wants(p, gpa, len)) {
			n->counts.filtered++;
			continue;
		}
		n->counts.events++;
		node_pin(n, &h->pin[h->count++]);
	}
	pt->spurious += h->count == 0;
	pt_unlock(pt);
}

void pagetrack_report(struct pagetrack *pt, struct pagetrack_hold *h,
	const struct pagetrack_write *w)
{
	pt_lock(pt);
	for (unsigned i = 0; i < h->count; i++) {
		struct pagetrack_node *node = h->pin[i].node;

		if (!node->dead) {
			h->pin[i].running = true;
			pt_unlock(pt);
			if (node->queue)
				queue_put(node, w);
			else
				node->ops->write(node->ctx, w);
			pt_lock(pt);
		}
		node_unpin(node, &h->pin[i]);
	}
	pt_unlock(pt);
}

/* ---- host access to guest memory ------------------------------------------ */

static bool range_ok(
	const struct memslot_reader *r, unsigned space, gpa_t gpa, size_t len)
{
	return space < memslots_spaces(r->ms) && gpa < MEMSLOT_GPA_LIMIT &&
	       len <= MEMSLOT_GPA_LIMIT - gpa;
}

static size_t in_page(gpa_t gpa, size_t len)
{
	size_t left = MEMSLOT_PAGE_SIZE - (gpa & MEMSLOT_PAGE_MASK);

	return len < left ? len : left;
}

/* A read-only slot is ROM to devices; loaders and debuggers fill it. */
static bool may_write(
	const struct memslot *s, enum pagetrack_source_kind source)
{
	return !(s->flags & MEMSLOT_READONLY) || source == PAGETRACK_LOADER ||
	       source == PAGETRACK_HOST;
}

/* Inside a section: the bytes are written; note who must hear of it. */
static bool put(struct pagetrack *pt, struct pagetrack_hold *hold,
	const struct memslot *s, const struct pagetrack_write *w)
{
	gfn_t gfn = w->gpa >> MEMSLOT_PAGE_SHIFT;

	memcpy(memslot_host(s, w->gpa), w->bytes, w->len);
	memslot_mark_dirty(s, gfn);
	if (!pt || !memslot_page_tracked(s, gfn))
		return false;
	pagetrack_hold(pt, hold, w->space, w->gpa, w->len);
	return true;
}

/*
 * The same for somebody who wants the old bytes. In a function of its own,
 * because few do and a page on the stack is much for a bare-metal machine.
 */
static __attribute__((noinline)) int write_with_old(struct pagetrack *pt,
	struct memslot_reader *r, const struct memslot *s,
	struct pagetrack_write *w)
{
	struct pagetrack_hold hold;
	uint8_t old[MEMSLOT_PAGE_SIZE];
	bool tracked;

	memcpy(old, memslot_host(s, w->gpa), w->len);
	w->old = old;
	tracked = put(pt, &hold, s, w);
	memslot_leave(r);
	if (tracked)
		pagetrack_report(pt, &hold, w);
	return 0;
}

/* Within one page. */
static int write_page(struct pagetrack *pt, struct memslot_reader *r,
	struct pagetrack_write *w)
{
	gfn_t gfn = w->gpa >> MEMSLOT_PAGE_SHIFT;
	const struct memslot *s = memslot_enter_at(r, w->space, gfn);
	struct pagetrack_hold hold;
	bool tracked;

	if (!s || !may_write(s, w->source.kind)) {
		memslot_leave(r);
		return -EFAULT;
	}
	if (pt && pagetrack_wants_old(pt) && memslot_page_tracked(s, gfn))
		return write_with_old(pt, r, s, w);
	tracked = put(pt, &hold, s, w);
	memslot_leave(r);
	if (tracked)
		pagetrack_report(pt, &hold, w);
	return 0;
}

int pagetrack_guest_write(struct pagetrack *pt, struct memslot_reader *r,
	unsigned space, gpa_t gpa, const void *bytes, size_t len,
	struct pagetrack_source source)
{
	const uint8_t *from = bytes;

	if (!range_ok(r, space, gpa, len))
		return -EINVAL;
	while (len) {
		size_t n = in_page(gpa, len);
		struct pagetrack_write w = {
			.space = space,
			.gpa = gpa,
			.bytes = from,
			.len = n,
			.source = source,
		};
		int e = write_page(pt, r, &w);

		if (e)
			return e;
		from += n;
		gpa += n;
		len -= n;
	}
	return 0;
}

int pagetrack_guest_read(struct memslot_reader *r, unsigned space, gpa_t gpa,
	void *bytes, size_t len)
{
	uint8_t *to = bytes;

	if (!range_ok(r, space, gpa, len))
		return -EINVAL;
	while (len) {
		size_t n = in_page(gpa, len);
		const struct memslot *s =
			memslot_enter_at(r, space, gpa >> MEMSLOT_PAGE_SHIFT);

		if (s)
			memcpy(to, memslot_host(s, gpa), n);
		memslot_leave(r);
		if (!s)
			return -EFAULT;
		to += n;
		gpa += n;
		len -= n;
	}
	return 0;
}
