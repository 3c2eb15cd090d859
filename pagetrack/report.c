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

/* Within one page. */
static int write_page(struct pagetrack *pt, struct memslot_reader *r,
	unsigned space, gpa_t gpa, const void *bytes, size_t len,
	struct pagetrack_source source)
{
	gfn_t gfn = gpa >> MEMSLOT_PAGE_SHIFT;
	const struct memslot *s = memslot_enter_at(r, space, gfn);
	struct pagetrack_write w = {
		.space = space,
		.gpa = gpa,
		.bytes = bytes,
		.len = len,
		.source = source,
	};
	struct pagetrack_hold hold;
	uint8_t old[MEMSLOT_PAGE_SIZE];
	bool ok = s && may_write(s, source.kind), tracked = false;

	if (ok) {
		if (pt && pagetrack_wants_old(pt) &&
			memslot_page_tracked(s, gfn)) {
			memcpy(old, memslot_host(s, gpa), len);
			w.old = old;
		}
		memcpy(memslot_host(s, gpa), bytes, len);
		memslot_mark_dirty(s, gfn);
		tracked = pt && memslot_page_tracked(s, gfn);
	}
	if (tracked)
		pagetrack_hold(pt, &hold, space, gpa, len);
	memslot_leave(r);
	if (tracked)
		pagetrack_report(pt, &hold, &w);
	return ok ? 0 : -EFAULT;
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
		int e = write_page(pt, r, space, gpa, from, n, source);

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
