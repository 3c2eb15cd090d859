/* SPDX-License-Identifier: MIT */
/*
 * change.c - the slot manager's participant: kernel slots follow the map
 *
 *   prepare  kernel slots of the end state, the steps to get there, whether
 *            there are enough ids
 *   apply    the steps; planned anew if tracking has changed kernel slots
 *            meanwhile
 *   undo     the steps backwards
 *   adopt    pages whose tracking came between `apply` and now
 *   committed the books of before are thrown away
 *
 * When slots move, whether a page will be tracked depends on the policy of
 * each node (it may stay at its address or go with its memory), and nodes may
 * still add pages. So a page is made read-only if either would have it
 * tracked: the pages that were tracked in this memory, and those that were
 * tracked at these addresses. A page too many costs its first writer a slow
 * store, after which it is writable (exits.c).
 */
#include "vmm/kvm/internal.h"

#include <stdlib.h>

/* ---- what will be tracked, at most ------------------------------------------------- */

/* Pages of `to` whose memory is tracked now. */
static int tracked_by_memory(const struct memslot_change *c, struct runs *out)
{
	int r = 0;

	if (!c->from && !c->pieces)
		return 0;
	for (const struct memslot_piece *p = c->pieces; !r && p; p = p->next) {
		const struct memslot *o = p->origin;
		gfn_t gfn = o->base_gfn + p->first_page;
		gfn_t end = gfn + p->size_pages;

		for (; !r && memslot_next_tracked(o, &gfn) && gfn < end;
			gfn++) {
			uint64_t page = p->at_page +
					(gfn - o->base_gfn - p->first_page);

			r = runs_add(out, page, page + 1);
		}
	}
	return r;
}

/* Pages of `to` at addresses that are tracked now: all in changing slots. */
static int tracked_by_address(const struct memslot_change *changes,
	size_t count, const struct memslot *to, struct runs *out)
{
	const gfn_t end = to->base_gfn + to->size_pages;
	int r = 0;

	for (size_t i = 0; !r && i < count; i++) {
		const struct memslot *from = changes[i].from;
		gfn_t gfn = to->base_gfn;

		if (!from || from->space != to->space)
			continue;
		if (gfn < from->base_gfn)
			gfn = from->base_gfn;
		for (; !r && gfn < end && memslot_contains(from, gfn) &&
			memslot_next_tracked(from, &gfn) && gfn < end;
			gfn++)
			r = runs_add(out, gfn - to->base_gfn,
				gfn - to->base_gfn + 1);
	}
	return r;
}

/* ---- the plan -------------------------------------------------------------------------- */

static void change_drop(struct change *c)
{
	for (unsigned i = 0; i < c->count; i++) {
		layout_fini(&c->slot[i].before);
		layout_fini(&c->slot[i].after);
	}
	free(c->slot);
	free(c->wanted);
	plan_free(&c->plan);
	*c = (struct change){0};
}

/* The kernel slots of a slot as it will be, without ids. */
static int layout_after(const struct memslot_change *changes, size_t count,
	const struct memslot_change *c, struct layout *out)
{
	struct runs tracked = {0};
	struct pieces pieces = {0};
	int r = 0;

	if (!c->to)
		return 0;
	r = tracked_by_memory(c, &tracked);
	if (!r)
		r = tracked_by_address(changes, count, c->to, &tracked);
	runs_tidy(&tracked);
	if (!r)
		r = project(c->to, &tracked, 0, c->to->size_pages, &pieces);
	if (!r)
		r = layout_init(out, &pieces);
	free(tracked.run);
	free(pieces.piece);
	return r;
}

static int list_slots(
	struct kvm *k, const struct memslot_change *changes, size_t count)
{
	struct change *c = &k->change;
	int r = 0;

	c->slot = calloc(count + 1, sizeof(*c->slot));
	if (!c->slot)
		return -ENOMEM;
	for (size_t i = 0; !r && i < count; i++) {
		const struct memslot *s =
			changes[i].to ? changes[i].to : changes[i].from;

		if (s->space != k->config.space)
			continue;
		c->slot[c->count].id = s->id;
		r = layout_after(changes, count, &changes[i],
			&c->slot[c->count++].after);
	}
	return r;
}

/* One array of all that is there, and of all that is wanted. */
static int plan_all(struct kvm *k)
{
	struct change *c = &k->change;
	unsigned olds = 0, news = 0;
	struct kslot *old;
	int r;

	for (unsigned i = 0; i < c->count; i++) {
		olds += k->layout[c->slot[i].id].count;
		news += c->slot[i].after.count;
	}
	old = calloc(olds + 1u, sizeof(*old));
	c->wanted = calloc(news + 1u, sizeof(*c->wanted));
	if (!old || !c->wanted) {
		free(old);
		return -ENOMEM;
	}
	olds = news = 0;
	for (unsigned i = 0; i < c->count; i++) {
		const struct layout *was = &k->layout[c->slot[i].id];
		const struct layout *after = &c->slot[i].after;

		memcpy(&old[olds], was->slot, was->count * sizeof(*old));
		memcpy(&c->wanted[news], after->slot,
			after->count * sizeof(*old));
		olds += was->count;
		news += after->count;
	}
	r = plan_make(old, olds, c->wanted, news, &c->plan);
	free(old);
	return r;
}

/* With change_lock held. */
static int change_plan(
	struct kvm *k, const struct memslot_txn *t, struct memslot_error *err)
{
	const struct memslot_change *changes;
	size_t count;
	int r;

	change_drop(&k->change);
	changes = memslot_txn_changes(t, &count);
	r = FAULT(kvm_faults(k), FAULT_KVM_PLAN)
		    ? -ENOMEM
		    : list_slots(k, changes, count);
	if (!r)
		r = plan_all(k);
	if (r)
		memslot_fail(err, r,
			"KVM: no memory to plan the kernel slots of %zu "
			"changes",
			count);
	else
		r = apply_fits(k, &k->change.plan, err);
	k->change.arms = k->arms;
	if (r)
		change_drop(&k->change);
	return r;
}

static int part_prepare(
	void *ctx, const struct memslot_txn *t, struct memslot_error *err)
{
	struct kvm *k = ctx;
	int r;

	pthread_mutex_lock(&k->change_lock);
	r = change_plan(k, t, err);
	pthread_mutex_unlock(&k->change_lock);
	return r;
}

static void part_cancel(void *ctx, const struct memslot_txn *t)
{
	struct kvm *k = ctx;

	(void)t;
	pthread_mutex_lock(&k->change_lock);
	change_drop(&k->change);
	pthread_mutex_unlock(&k->change_lock);
}

/* ---- apply and undo ---------------------------------------------------------------------- */

/* Exchange the books of the changed slots with those in `change`. */
static void install(struct kvm *k)
{
	struct change *c = &k->change;
	unsigned at = 0;

	for (unsigned i = 0; i < c->count; i++) {
		struct changed *s = &c->slot[i];

		memcpy(s->after.slot, &c->wanted[at],
			s->after.count * sizeof(*s->after.slot));
		at += s->after.count;
		s->before = k->layout[s->id];
		k->layout[s->id] = s->after;
		s->after = (struct layout){NULL, 0};
	}
}

static void uninstall(struct kvm *k)
{
	struct change *c = &k->change;

	for (unsigned i = 0; i < c->count; i++) {
		struct changed *s = &c->slot[i];

		layout_fini(&k->layout[s->id]);
		k->layout[s->id] = s->before;
		s->before = (struct layout){NULL, 0};
	}
}

static void let_go(struct kvm *k)
{
	if (k->change.paused)
		pause_end(k);
	k->change.paused = false;
	pthread_mutex_unlock(&k->change_lock);
}

/* From here to adopt or undo the lock is held, and vCPUs if it must be. */
static int part_apply(
	void *ctx, const struct memslot_txn *t, struct memslot_error *err)
{
	struct kvm *k = ctx;
	struct change *c = &k->change;
	int r = 0;

	pthread_mutex_lock(&k->change_lock);
	if (c->arms != k->arms)
		r = change_plan(k, t, err);
	if (!r && plan_needs_pause(&c->plan)) {
		pause_begin(k);
		c->paused = true;
	}
	if (!r)
		r = apply_plan(k, &c->plan, c->wanted, err);
	if (r) {
		let_go(k);
		return r;
	}
	install(k);
	return 0;
}

static int part_undo(void *ctx, const struct memslot_txn *t)
{
	struct kvm *k = ctx;
	int r;

	(void)t;
	r = apply_undo(k, &k->change.plan);
	if (!r)
		uninstall(k);
	let_go(k);
	return r;
}

/* ---- after it is certain ------------------------------------------------------------------ */

static bool is_readonly(const struct layout *l, gfn_t gfn)
{
	unsigned i = layout_find(l, gfn);

	return i < l->count && (l->slot[i].piece.flags & KVM_MEM_READONLY);
}

/* Pages that somebody began to track after the plan was made. */
static int arm_late(
	struct kvm *k, const struct memslot *to, struct memslot_error *err)
{
	int r = 0;

	for (gfn_t gfn = to->base_gfn; !r && memslot_next_tracked(to, &gfn);
		gfn++)
		if (!is_readonly(&k->layout[to->id], gfn))
			r = arm_slot(k, to, gfn - to->base_gfn, 1, err);
	return r;
}

/*
 * Nothing may fail here. If the kernel has no memory for a page that came
 * late, its writes would go unseen: the VM stops instead.
 */
static void part_adopt(void *ctx, const struct memslot_txn *t)
{
	struct kvm *k = ctx;
	const struct memslot_change *c;
	struct memslot_error err;
	size_t count;
	int r = 0;

	k->adopted = t;
	c = memslot_txn_changes(t, &count);
	for (size_t i = 0; !r && i < count; i++)
		if (c[i].to && c[i].to->space == k->config.space)
			r = arm_late(k, c[i].to, &err);
	if (r)
		vm_fail(k, &err);
	let_go(k);
}

static void part_committed(void *ctx, const struct memslot_txn *t)
{
	struct kvm *k = ctx;

	(void)t;
	pthread_mutex_lock(&k->change_lock);
	k->adopted = NULL;
	change_drop(&k->change);
	pthread_mutex_unlock(&k->change_lock);
}

static void part_broken(void *ctx)
{
	struct kvm *k = ctx;

	kvm_accel(k).ops->request_stop(k, ACCEL_STOP_ERROR);
}

/* ---- outside a transaction ------------------------------------------------------------------ */

static int part_track(void *ctx, unsigned space, gfn_t gfn, uint64_t size_pages,
	struct memslot_error *err)
{
	struct kvm *k = ctx;

	return space == k->config.space ? arm_range(k, gfn, size_pages, err)
					: 0;
}

const struct memslot_participant_ops change_ops = {
	.name = "kvm",
	.prepare = part_prepare,
	.cancel = part_cancel,
	.apply = part_apply,
	.undo = part_undo,
	.adopt = part_adopt,
	.committed = part_committed,
	.track = part_track,
	.sync_dirty = dirty_sync,
	.broken = part_broken,
};

/* ---- life -------------------------------------------------------------------------------------- */

int change_init(struct kvm *k, struct memslot_error *err)
{
	k->layout = calloc(MEMSLOT_IDS_MAX, sizeof(*k->layout));
	if (!k->layout || kernel_ids_init(&k->ids, k->facts.slots_max))
		return memslot_fail(err, -ENOMEM,
			"KVM: no memory for the books of %u slots",
			k->facts.slots_max);
	return 0;
}

void change_fini(struct kvm *k)
{
	for (unsigned i = 0; k->layout && i < MEMSLOT_IDS_MAX; i++)
		layout_fini(&k->layout[i]);
	free(k->layout);
	kernel_ids_fini(&k->ids);
}

/* Chunk by chunk, as if each page's tracking had just changed. */
int change_first(struct kvm *k, struct memslot_error *err)
{
	const struct memslot *s;
	gfn_t gfn = 0;
	int r = 0;

	pthread_mutex_lock(&k->change_lock);
	memslot_enter(&k->reader);
	while (!r && (s = memslot_next(&k->reader, k->config.space, gfn))) {
		r = arm_slot(k, s, 0, s->size_pages, err);
		gfn = s->base_gfn + s->size_pages;
	}
	memslot_leave(&k->reader);
	pthread_mutex_unlock(&k->change_lock);
	return r;
}
