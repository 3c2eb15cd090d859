/* SPDX-License-Identifier: MIT */
/*
 * moves.c - the tracker's part in a transaction
 *
 *   prepare  nodes with policy "refuse" may veto; count arrays are reserved
 *            where pages will land; nodes are asked
 *   flush    nodes hear of it; nothing is forgotten
 *   adopt    pages are re-keyed to their new places. Nothing is allocated:
 *            the objects are moved, the arrays are there
 *
 * Under the legacy order a flush means "gone", as in Linux 2022: protections
 * of a leaving or moving slot are dropped there and then, before anybody
 * knows whether the change will succeed, and nobody hears of its failure.
 */
#include "pagetrack/internal.h"

#include "memslot/fault.h"

/* ---- where a page goes ------------------------------------------------------ */

/* Flags keep a slot's place and its counts: nothing to do. */
static bool relocates(const struct memslot_change *c)
{
	return c->from && c->kind != MEMSLOT_CHANGE_FLAGS;
}

/*
 * The slot that holds the page of this node after the transaction, and its
 * page number there; NULL: it will be tracked no more.
 */
static const struct memslot *destination(const struct pagetrack_node *node,
	const struct memslot_txn *t, const struct memslot_change *c, gfn_t *gfn)
{
	if (node->policy != PAGETRACK_FOLLOW)
		return memslot_txn_find(t, c->from->space, *gfn);
	return memslot_txn_heir(t, c, gfn);
}

/* Is the page's memory at the same gfn afterwards, in whichever slot? */
static bool keeps_place(
	const struct memslot_txn *t, const struct memslot_change *c, gfn_t gfn)
{
	gfn_t at = gfn;

	return memslot_txn_heir(t, c, &at) && at == gfn;
}

int moves_reserve_page(struct pagetrack_node *node, unsigned space, gfn_t gfn,
	struct memslot_error *err)
{
	struct pagetrack *pt = node->pt;
	const struct memslot_change *c;
	const struct memslot *to;
	size_t count;

	if (!pt->txn || pt->adopted)
		return 0;
	c = memslot_txn_changes(pt->txn, &count);
	for (; count; c++, count--) {
		if (!relocates(c) || c->from->space != space ||
			!memslot_contains(c->from, gfn))
			continue;
		/* It was not asked, and can refuse no more. */
		if (node->policy == PAGETRACK_REFUSE &&
			!keeps_place(pt->txn, c, gfn))
			return memslot_fail(err, -EBUSY,
				"page %#llx of space %u is about to move or "
				"go; node \"%s\" comes too late to refuse",
				(ull)gfn, space, node->ops->name);
		to = destination(node, pt->txn, c, &gfn);
		if (to &&
			FAULT(memslots_faults(pt->ms), FAULT_PAGETRACK_RESERVE))
			return memslot_fail(err, -ENOMEM,
				"no memory to track page %#llx of space %u "
				"after the running transaction",
				(ull)gfn, space);
		return to ? memslot_track_reserve(pt->ms, to, err) : 0;
	}
	return 0;
}

/* ---- prepare ---------------------------------------------------------------- */

/* One page of one node in a slot that goes or moves. */
static int prepare_page(struct pagetrack_node *node,
	const struct memslot_txn *t, const struct memslot_change *c, gfn_t gfn,
	struct memslot_error *err)
{
	const struct memslot *to;

	if (!pages_find(&node->table, c->from->space, gfn))
		return 0;
	if (node->policy == PAGETRACK_REFUSE && !keeps_place(t, c, gfn))
		return memslot_fail(err, -EBUSY,
			"slot %u of space %u must stay: node \"%s\" tracks "
			"its page %#llx and refuses moves",
			c->from->id, c->from->space, node->ops->name, (ull)gfn);
	to = destination(node, t, c, &gfn);
	return to ? memslot_track_reserve(node->pt->ms, to, err) : 0;
}

static int prepare_change(struct pagetrack *pt, const struct memslot_txn *t,
	const struct memslot_change *c, struct memslot_error *err)
{
	int r = 0;

	for (gfn_t gfn = c->from->base_gfn;
		!r && memslot_next_tracked(c->from, &gfn); gfn++)
		for (struct pagetrack_node *n = pt->nodes; !r && n; n = n->next)
			r = prepare_page(n, t, c, gfn, err);
	return r;
}

static void unseal(struct pagetrack *pt)
{
	atomic_store(&pt->sealed, 0);
	pt->pf->wake(pt->pf->ctx, &pt->sealed);
}

static void end_transaction(struct pagetrack *pt)
{
	pt->txn = NULL;
	pt->adopted = false;
	if (atomic_load(&pt->sealed))
		unseal(pt);
}

/* Nodes that heard `prepare` hear `cancel`, last first. Under the lock. */
static void cancel_nodes(struct pagetrack *pt, const struct memslot_txn *t)
{
	for (;;) {
		struct pagetrack_node *last = NULL;
		struct pagetrack_pin pin;

		for (struct pagetrack_node *n = pt->nodes; n; n = n->next)
			if (n->prepared && !n->dead)
				last = n;
		if (!last)
			return;
		last->prepared = false;
		if (!last->ops->cancel)
			continue;
		node_pin(last, &pin);
		pin.running = true;
		pt_unlock(pt);
		last->ops->cancel(last->ctx, t);
		pt_lock(pt);
		node_unpin(last, &pin);
	}
}

static int prepare_nodes(struct pagetrack *pt, const struct memslot_txn *t,
	struct memslot_error *err)
{
	struct pagetrack_node *node = NULL;
	struct pagetrack_pin pin;
	int r = 0;

	for (node = pt->nodes; node; node = node->next) {
		node->prepared = false;
		node->gone_pages = 0;
	}
	while ((node = node_next(pt, node, &pin))) {
		if (node->ops->prepare) {
			pt_unlock(pt);
			r = node->ops->prepare(node->ctx, t, err);
			pt_lock(pt);
		}
		if (r) {
			node_unpin(node, &pin);
			cancel_nodes(pt, t);
			return r;
		}
		node->prepared = true;
	}
	return 0;
}

static int track_prepare(
	void *ctx, const struct memslot_txn *t, struct memslot_error *err)
{
	struct pagetrack *pt = ctx;
	const struct memslot_change *c;
	size_t count;
	int r = 0;

	if (FAULT(memslots_faults(pt->ms), FAULT_PAGETRACK_PREPARE))
		return memslot_fail(err, -ENOMEM,
			"the write tracker has no memory to follow the change "
			"(injected)");
	pt_lock(pt);
	c = memslot_txn_changes(t, &count);
	for (size_t i = 0; !r && i < count; i++)
		if (relocates(&c[i]))
			r = prepare_change(pt, t, &c[i], err);
	if (!r) {
		pt->txn = t;
		r = prepare_nodes(pt, t, err);
	}
	if (r)
		end_transaction(pt);
	pt_unlock(pt);
	return r;
}

static void track_cancel(void *ctx, const struct memslot_txn *t)
{
	struct pagetrack *pt = ctx;

	pt_lock(pt);
	cancel_nodes(pt, t);
	end_transaction(pt);
	pt_unlock(pt);
}

/* ---- adopt ------------------------------------------------------------------ */

/* Take the page from its old place; it is in passing, or gone. */
static void uproot(struct pagetrack_node *node, const struct memslot_txn *t,
	const struct memslot_change *c, gfn_t gfn, struct tracked_page **list)
{
	struct tracked_page *p;

	if (!pages_find(&node->table, c->from->space, gfn))
		return;
	p = pages_take(&node->table, c->from->space, gfn);
	if (!destination(node, t, c, &p->gfn)) {
		node->gone_pages++;
		page_free(node->pt->pf, p);
		return;
	}
	p->next = *list;
	*list = p;
}

static void uproot_change(struct pagetrack *pt, const struct memslot_txn *t,
	const struct memslot_change *c, struct tracked_page **list)
{
	for (gfn_t gfn = c->from->base_gfn; memslot_next_tracked(c->from, &gfn);
		gfn++)
		for (struct pagetrack_node *n = pt->nodes; n; n = n->next)
			uproot(n, t, c, gfn, list);
}

/*
 * All pages are taken before the first is put back: when two slots swap, one
 * page's new place is another's old one.
 */
static void track_adopt(void *ctx, const struct memslot_txn *t)
{
	struct pagetrack *pt = ctx;
	struct tracked_page *list = NULL, *p;
	const struct memslot_change *c;
	size_t count;

	pt_lock(pt);
	c = memslot_txn_changes(t, &count);
	for (size_t i = 0; i < count; i++)
		if (relocates(&c[i]))
			uproot_change(pt, t, &c[i], &list);
	while ((p = list)) {
		list = p->next;
		memslot_track_up(memslot_txn_find(t, p->space, p->gfn), p->gfn);
		pages_insert(&p->node->table, p);
	}
	pt->adopted = true;
	if (atomic_load(&pt->sealed))
		unseal(pt);
	pt_unlock(pt);
}

/* ---- what will be tracked ----------------------------------------------------- */

void pagetrack_txn_seal(struct pagetrack *pt)
{
	pt_lock(pt);
	atomic_store(&pt->sealed, 1);
	pt_unlock(pt);
}

static void name_page(struct pagetrack *pt, const struct memslot_txn *t,
	const struct memslot_change *c, gfn_t gfn,
	void (*page)(void *ctx, unsigned space, gfn_t gfn), void *ctx)
{
	for (struct pagetrack_node *n = pt->nodes; n; n = n->next) {
		gfn_t at = gfn;
		const struct memslot *to;

		if (!pages_find(&n->table, c->from->space, gfn))
			continue;
		to = destination(n, t, c, &at);
		if (to)
			page(ctx, to->space, at);
	}
}

void pagetrack_txn_pages(struct pagetrack *pt, const struct memslot_txn *t,
	void (*page)(void *ctx, unsigned space, gfn_t gfn), void *ctx)
{
	const struct memslot_change *c;
	size_t count;

	pt_lock(pt);
	c = memslot_txn_changes(t, &count);
	for (; count; c++, count--) {
		if (!relocates(c))
			continue;
		for (gfn_t gfn = c->from->base_gfn;
			memslot_next_tracked(c->from, &gfn); gfn++)
			name_page(pt, t, c, gfn, page, ctx);
	}
	pt_unlock(pt);
}

/* ---- flush and the end ------------------------------------------------------ */

static void forget_slot(struct pagetrack *pt, const struct memslot *s)
{
	for (gfn_t gfn = s->base_gfn; memslot_next_tracked(s, &gfn); gfn++)
		for (struct pagetrack_node *n = pt->nodes; n; n = n->next)
			node_forget_page(n, s->space, gfn);
}

/* The 2022 contract: on a flush, drop the protections of the slot. */
static void forget_flushed(struct pagetrack *pt, const struct memslot_txn *t)
{
	const struct memslot_change *c;
	size_t count;

	c = memslot_txn_changes(t, &count);
	for (; count; c++, count--)
		if (relocates(c))
			forget_slot(pt, c->from);
}

static void track_flush(void *ctx, const struct memslot_txn *t)
{
	struct pagetrack *pt = ctx;
	struct pagetrack_node *node = NULL;
	struct pagetrack_pin pin;

	pt_lock(pt);
	if (memslot_order_flush_forgets(memslot_txn_order(t)))
		forget_flushed(pt, t);
	while ((node = node_next(pt, node, &pin))) {
		if (!node->ops->flush)
			continue;
		pt_unlock(pt);
		node->ops->flush(node->ctx, t);
		pt_lock(pt);
	}
	pt_unlock(pt);
}

static void track_committed(void *ctx, const struct memslot_txn *t)
{
	struct pagetrack *pt = ctx;
	struct pagetrack_node *node = NULL;
	struct pagetrack_pin pin;

	pt_lock(pt);
	end_transaction(pt);
	while ((node = node_next(pt, node, &pin))) {
		if (!node->ops->committed)
			continue;
		pt_unlock(pt);
		node->ops->committed(node->ctx, t, node->gone_pages);
		pt_lock(pt);
	}
	pt_unlock(pt);
}

static void track_aborted(void *ctx, const struct memslot_txn *t)
{
	struct pagetrack *pt = ctx;
	struct pagetrack_node *node = NULL;
	struct pagetrack_pin pin;

	/* In 2022 nobody was told. */
	if (memslot_order_flush_forgets(memslot_txn_order(t)))
		return;
	pt_lock(pt);
	while ((node = node_next(pt, node, &pin))) {
		if (!node->ops->aborted)
			continue;
		pt_unlock(pt);
		node->ops->aborted(node->ctx, t);
		pt_lock(pt);
	}
	pt_unlock(pt);
}

/* The transaction is over without an end: it must not be looked at again. */
static void track_broken(void *ctx)
{
	struct pagetrack *pt = ctx;

	pt_lock(pt);
	end_transaction(pt);
	pt_unlock(pt);
}

const struct memslot_participant_ops pagetrack_participant_ops = {
	.name = "pagetrack",
	.prepare = track_prepare,
	.cancel = track_cancel,
	.flush = track_flush,
	.adopt = track_adopt,
	.committed = track_committed,
	.aborted = track_aborted,
	.broken = track_broken,
};
