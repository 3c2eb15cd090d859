/* SPDX-License-Identifier: MIT */
/*
 * txn.c - this backend's part in a transaction
 *
 *   prepare  what the kernel's slots will be, and whether it has enough
 *   flush    vCPUs are paused, if more than one ioctl is needed
 *   apply    the ioctls; a refusal undoes those before it
 *   published, cancel: vCPUs go on
 *
 * What is tracked, and so what the kernel's slots should be, may change
 * between prepare and apply; apply then makes its plan anew. From apply until
 * the new layout is published it may not: the tracker is sealed, and whoever
 * wants to re-arrange kernel slots waits for slots_lock, which the
 * transaction's thread keeps so long.
 */
#include "vmm/kvm/slots.h"

#include <stdlib.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14; older ones say EINVAL */
#endif

/* ---- making up the change ------------------------------------------------------------- */

struct listing {
	const struct kvm *k;
	struct gfns tracked;
};

static void list_page(void *ctx, unsigned space, gfn_t gfn)
{
	struct listing *l = ctx;

	if (space == l->k->config.space)
		gfns_add(&l->tracked, gfn);
}

/* Pages that will be tracked in slots that the transaction changes. */
static void list_tracked(
	struct kvm *k, const struct memslot_txn *t, struct listing *l)
{
	const struct memslot_change *m;
	size_t count;

	if (k->config.track)
		pagetrack_txn_pages(k->config.track, t, list_page, l);
	m = memslot_txn_changes(t, &count);
	for (; count; m++, count--) {
		if (m->kind != MEMSLOT_CHANGE_FLAGS)
			continue;
		for (gfn_t gfn = m->to->base_gfn;
			memslot_next_tracked(m->to, &gfn); gfn++)
			list_page(l, m->to->space, gfn);
	}
	gfns_sort(&l->tracked);
}

/* The first of the sorted pages that is not below gfn. */
static size_t rank(const struct gfns *g, gfn_t gfn)
{
	size_t low = 0, high = g->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (g->at[mid] < gfn)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static void begin_edit(
	struct edit *e, const struct memslot_change *m, const struct gfns *g)
{
	const struct memslot *to = m->to;

	e->owner = to ? to->id : m->from->id;
	if (!to)
		return;
	e->part = (struct piece){
		to->base_gfn, to->size_pages, to->host, to->flags};
	e->tracked_first = rank(g, to->base_gfn);
	e->tracked_count =
		rank(g, to->base_gfn + to->size_pages) - e->tracked_first;
	e->count = project(
		&e->part, g->at + e->tracked_first, e->tracked_count, NULL);
}

/* What was written before belongs to nobody who comes after. */
static bool forgets_log(const struct memslot_change *m)
{
	return m->kind == MEMSLOT_CHANGE_DELETE ||
	       m->kind == MEMSLOT_CHANGE_REPLACE;
}

static bool ours(const struct kvm *k, const struct memslot_change *m)
{
	return (m->to ? m->to : m->from)->space == k->config.space;
}

static size_t list_olds(
	struct kvm *k, const struct memslot_change *m, struct plan_old *out)
{
	const struct group *g = m->from ? k->group[m->from->id] : NULL;

	for (unsigned i = 0; out && g && i < g->count; i++)
		out[i] = (struct plan_old){
			.p = k->live[g->id[i]],
			.id = g->id[i],
			.forget_log = forgets_log(m),
		};
	return g ? g->count : 0;
}

static int fill_plan(struct kvm *k, const struct memslot_txn *t,
	struct change *c, const struct gfns *g, struct memslot_error *err)
{
	size_t count, olds = 0, news = 0, i = 0;
	const struct memslot_change *m = memslot_txn_changes(t, &count);

	for (size_t n = 0; n < count; n++) {
		if (!ours(k, &m[n]))
			continue;
		c->edit[i].first = news;
		begin_edit(&c->edit[i], &m[n], g);
		news += c->edit[i++].count;
		olds += list_olds(k, &m[n], NULL);
	}
	c->plan = plan_new(olds, news);
	if (!c->plan)
		return change_no_memory(k, err);
	olds = 0;
	for (size_t n = 0; n < count; n++)
		if (ours(k, &m[n]))
			olds += list_olds(k, &m[n], c->plan->old + olds);
	for (i = 0; i < c->edits; i++) {
		const struct edit *e = &c->edit[i];

		if (e->count)
			project(&e->part, g->at + e->tracked_first,
				e->tracked_count, c->plan->new + e->first);
	}
	return change_plan(k, c, err);
}

static uint64_t track_version(const struct kvm *k)
{
	return k->config.track ? pagetrack_version(k->config.track) : 0;
}

static int make_up(
	struct kvm *k, const struct memslot_txn *t, struct memslot_error *err)
{
	struct listing l = {.k = k};
	const struct memslot_change *m;
	struct change *c = NULL;
	size_t count, edits = 0;
	int r;

	m = memslot_txn_changes(t, &count);
	for (size_t n = 0; n < count; n++)
		edits += ours(k, &m[n]);
	if (!FAULT(kvm_faults(k), FAULT_KVM_PLAN))
		c = change_new(edits);
	if (!c)
		return change_no_memory(k, err);
	c->edits = edits;
	c->version = k->version;
	c->track_version = track_version(k);
	list_tracked(k, t, &l);
	r = l.tracked.failed ? change_no_memory(k, err)
			     : fill_plan(k, t, c, &l.tracked, err);
	free(l.tracked.at);
	if (r) {
		change_free(c);
		return r;
	}
	k->change = c;
	return 0;
}

/* ---- the phases ---------------------------------------------------------------------------- */

static void drop_change(struct kvm *k)
{
	change_free(k->change);
	k->change = NULL;
}

static void pause_txn(struct kvm *k)
{
	if (!k->txn_paused)
		pause_begin(k);
	k->txn_paused = true;
}

/* Whatever the transaction's thread holds: after this it does no more. */
static void finish(struct kvm *k)
{
	if (k->txn_locked) {
		k->txn_locked = false;
		pthread_mutex_unlock(&k->slots_lock);
	}
	if (k->txn_paused) {
		k->txn_paused = false;
		pause_end(k);
	}
	drop_change(k);
}

static int part_prepare(
	void *ctx, const struct memslot_txn *t, struct memslot_error *err)
{
	struct kvm *k = ctx;
	int r;

	pthread_mutex_lock(&k->slots_lock);
	r = make_up(k, t, err);
	pthread_mutex_unlock(&k->slots_lock);
	return r;
}

static void part_cancel(void *ctx, const struct memslot_txn *t)
{
	finish(ctx);
}

/*
 * The kernel forgets translations when the slots go. Slots that take a single
 * ioctl are changed under running vCPUs. In the order of 2022 there is no
 * plan yet.
 */
static void part_flush(void *ctx, const struct memslot_txn *t)
{
	struct kvm *k = ctx;

	if (!k->change || plan_pauses(k->change->plan))
		pause_txn(k);
}

static int apply_locked(
	struct kvm *k, const struct memslot_txn *t, struct memslot_error *err)
{
	int r = 0;

	if (k->config.track)
		pagetrack_txn_seal(k->config.track);
	if (k->change->version != k->version ||
		k->change->track_version != track_version(k)) {
		drop_change(k);
		r = make_up(k, t, err);
	}
	if (r)
		return r;
	if (plan_pauses(k->change->plan))
		pause_txn(k);
	r = change_run(k, k->change, err);
	k->change->done = r == 0;
	return r;
}

static int part_apply(
	void *ctx, const struct memslot_txn *t, struct memslot_error *err)
{
	struct kvm *k = ctx;

	pthread_mutex_lock(&k->slots_lock);
	k->txn_locked = true;
	return apply_locked(k, t, err);
}

static int part_undo(void *ctx, const struct memslot_txn *t)
{
	struct kvm *k = ctx;

	if (!k->change || !k->change->done)
		return 0;
	k->change->done = false;
	return change_undo(k, k->change);
}

static void part_published(void *ctx, const struct memslot_txn *t)
{
	finish(ctx);
}

static void part_aborted(void *ctx, const struct memslot_txn *t)
{
	finish(ctx);
}

static void part_broken(void *ctx)
{
	struct kvm *k = ctx;

	kvm_accel(k).ops->request_stop(k, ACCEL_STOP_ERROR);
	finish(k);
}

/* ---- outside transactions -------------------------------------------------------------------- */

static int part_track(void *ctx, unsigned space, gfn_t gfn, uint64_t size_pages,
	struct memslot_error *err)
{
	struct kvm *k = ctx;
	int r;

	if (space != k->config.space)
		return 0;
	pthread_mutex_lock(&k->slots_lock);
	pause_begin(k);
	r = kernel_writes(k, gfn, size_pages, err);
	if (!r)
		r = slots_sync(k, gfn, gfn + size_pages, false, err);
	pause_end(k);
	pthread_mutex_unlock(&k->slots_lock);
	return r;
}

/* What cannot be opened stays closed: its writes take the slow way. */
static int part_untrack(
	void *ctx, unsigned space, gfn_t gfn, uint64_t size_pages)
{
	struct kvm *k = ctx;
	int r;

	if (space != k->config.space)
		return 0;
	pthread_mutex_lock(&k->slots_lock);
	r = slots_sync(k, gfn, gfn + size_pages, false, NULL);
	pthread_mutex_unlock(&k->slots_lock);
	return r;
}

static int part_sync_dirty(void *ctx, unsigned space, gfn_t gfn,
	uint64_t size_pages, struct memslot_error *err)
{
	struct kvm *k = ctx;
	int r;

	if (space != k->config.space)
		return 0;
	pthread_mutex_lock(&k->slots_lock);
	r = dirty_sync(k, gfn, gfn + size_pages);
	pthread_mutex_unlock(&k->slots_lock);
	return r ? memslot_fail(err, r,
			   "KVM: the kernel does not hand out its dirty log "
			   "(%d)",
			   r)
		 : 0;
}

/*
 * The host's page is what takes long at a first touch; the kernel's mapping
 * follows at the price of an exit. The caller keeps the slot in place.
 */
static void part_populate(
	void *ctx, unsigned space, gfn_t gfn, uint64_t size_pages)
{
	struct kvm *k = ctx;
	const struct memslot *s;
	uint8_t *host = NULL;

	if (space != k->config.space)
		return;
	pthread_mutex_lock(&k->slots_lock);
	memslot_enter(&k->reader);
	s = memslot_lookup(&k->reader, space, gfn);
	if (s)
		host = memslot_host(s, gfn << MEMSLOT_PAGE_SHIFT);
	memslot_leave(&k->reader);
	pthread_mutex_unlock(&k->slots_lock);
	if (host)
		(void)madvise(host, size_pages << MEMSLOT_PAGE_SHIFT,
			MADV_POPULATE_WRITE);
}

const struct memslot_participant_ops part_ops = {
	.name = "kvm",
	.prepare = part_prepare,
	.cancel = part_cancel,
	.flush = part_flush,
	.apply = part_apply,
	.undo = part_undo,
	.published = part_published,
	.aborted = part_aborted,
	.track = part_track,
	.untrack = part_untrack,
	.sync_dirty = part_sync_dirty,
	.populate = part_populate,
	.broken = part_broken,
};
