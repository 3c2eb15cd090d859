/* SPDX-License-Identifier: MIT */
/*
 * slots.c - the kernel's slots, and changing them all or not at all
 *
 * Kernel slots are kept by their id, and by the logical slot for which they
 * stand. A change is made up completely, with all memory it needs, before its
 * first ioctl; an ioctl that fails is followed by the reverse of those before
 * it, backwards.
 */
#include "vmm/kvm/slots.h"

#include <stdlib.h>

/* ---- the table ----------------------------------------------------------------------- */

int slots_init(struct kvm *k, struct memslot_error *err)
{
	unsigned max = k->facts.slots_max;

	if (max > MEMSLOT_IDS_MAX)
		max = k->facts.slots_max = MEMSLOT_IDS_MAX;
	k->live = calloc(max, sizeof(*k->live));
	k->free_ids = calloc(max, sizeof(*k->free_ids));
	k->group = calloc(MEMSLOT_IDS_MAX, sizeof(*k->group));
	if (!k->live || !k->free_ids || !k->group)
		return memslot_fail(err, -ENOMEM,
			"KVM: no memory for a table of %u kernel slots", max);
	while (k->free_count < max) {
		k->free_ids[k->free_count] = max - 1 - k->free_count;
		k->free_count++;
	}
	pthread_mutex_init(&k->slots_lock, NULL);
	memslot_reader_init(&k->reader, k->config.slots, NULL, NULL);
	k->has_slots = true;
	return 0;
}

void slots_fini(struct kvm *k)
{
	if (k->has_slots) {
		memslot_reader_fini(&k->reader);
		pthread_mutex_destroy(&k->slots_lock);
	}
	for (unsigned i = 0; k->group && i < MEMSLOT_IDS_MAX; i++)
		free(k->group[i]);
	free(k->group);
	free(k->free_ids);
	free(k->live);
}

static unsigned live_count(const struct kvm *k)
{
	return k->facts.slots_max - k->free_count;
}

/* ---- one step -------------------------------------------------------------------------- */

static void set_live(struct kvm *k, uint32_t id, const struct piece *p)
{
	k->live[id] = *p;
	k->version++;
}

static int create(
	struct kvm *k, unsigned point, uint32_t id, const struct piece *p)
{
	int r = sys_set_region(k, point, id, p, p->pages);

	if (!r)
		set_live(k, id, p);
	return r;
}

static int delete (struct kvm *k, unsigned point, uint32_t id)
{
	static const struct piece none;
	int r = sys_set_region(k, point, id, &k->live[id], 0);

	if (!r)
		set_live(k, id, &none);
	return r;
}

/* An id that is taken is the last that was given back. */
static int step_do(struct kvm *k, struct step *s)
{
	static const unsigned point[] = {
		[STEP_MOVE] = FAULT_KVM_MOVE, [STEP_FLAGS] = FAULT_KVM_FLAGS};
	int r = 0;

	if ((s->from.flags & PIECE_LOG) && !(s->to.flags & PIECE_LOG))
		r = dirty_pull(k, s->id, 0, s->from.pages);
	if (r)
		return r;
	switch (s->kind) {
	case STEP_CREATE:
		s->id = k->free_ids[k->free_count - 1];
		r = create(k, FAULT_KVM_CREATE, s->id, &s->to);
		k->free_count -= r == 0;
		return r;
	case STEP_DELETE:
		r = delete (k, FAULT_KVM_DELETE, s->id);
		if (!r)
			k->free_ids[k->free_count++] = (uint16_t)s->id;
		return r;
	default:
		return create(k, point[s->kind], s->id, &s->to);
	}
}

static int step_undo(struct kvm *k, const struct step *s)
{
	int r;

	switch (s->kind) {
	case STEP_CREATE:
		r = delete (k, FAULT_KVM_UNDO, s->id);
		if (!r)
			k->free_ids[k->free_count++] = (uint16_t)s->id;
		return r;
	case STEP_DELETE:
		/* Backwards: it is the last that was given back again. */
		r = create(k, FAULT_KVM_UNDO, s->id, &s->from);
		k->free_count -= r == 0;
		return r;
	default:
		return create(k, FAULT_KVM_UNDO, s->id, &s->from);
	}
}

/* ---- a change ---------------------------------------------------------------------------- */

void change_free(struct change *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->edits; i++)
		free(c->edit[i].fresh);
	plan_free(c->plan);
	free(c);
}

struct change *change_new(size_t edits)
{
	return calloc(1, sizeof(struct change) + edits * sizeof(struct edit));
}

int change_plan(struct kvm *k, struct change *c, struct memslot_error *err)
{
	size_t total;

	for (size_t i = 0; i < c->edits; i++) {
		struct edit *e = &c->edit[i];

		total = e->low + e->count + e->high;
		if (!total)
			continue;
		e->fresh = calloc(
			1, sizeof(*e->fresh) + total * sizeof(e->fresh->id[0]));
		if (!e->fresh)
			return change_no_memory(k, err);
		e->fresh->count = (unsigned)total;
	}
	plan_steps(c->plan);
	total = live_count(k) - c->plan->olds + c->plan->news;
	if (total > k->facts.slots_max)
		return memslot_fail(err, -ENOSPC,
			"KVM: %zu kernel slots would be needed, this kernel "
			"has %u: track fewer pages, or such that lie together",
			total, k->facts.slots_max);
	return 0;
}

int change_no_memory(const struct kvm *k, struct memslot_error *err)
{
	return memslot_fail(err, -ENOMEM,
		"KVM: no memory to plan a change of %u kernel slots",
		live_count(k));
}

/* Put the new lists of ids in place, or the old ones back. */
static void exchange(struct kvm *k, struct change *c)
{
	for (size_t i = 0; i < c->edits; i++) {
		struct edit *e = &c->edit[i];
		struct group *old = k->group[e->owner];

		k->group[e->owner] = e->fresh;
		e->fresh = old;
	}
}

static void fill(struct kvm *k, struct change *c)
{
	for (size_t i = 0; i < c->edits; i++) {
		const struct edit *e = &c->edit[i];
		const struct group *old = k->group[e->owner];

		for (size_t n = 0; n < e->low; n++)
			e->fresh->id[n] = old->id[n];
		for (size_t n = 0; n < e->count; n++)
			e->fresh->id[e->low + n] = c->plan->id[e->first + n];
		for (size_t n = 0; n < e->high; n++)
			e->fresh->id[e->low + e->count + n] =
				old->id[old->count - e->high + n];
	}
}

static int walk_back(struct kvm *k, struct plan *p, size_t done)
{
	while (done > 0) {
		int r = step_undo(k, &p->step[--done]);

		if (r)
			return r;
	}
	return 0;
}

static int forget_logs(struct kvm *k, const struct plan *p)
{
	int r = 0;

	for (size_t i = 0; !r && i < p->olds; i++)
		if (p->old[i].forget_log && (p->old[i].p.flags & PIECE_LOG))
			r = dirty_pull(k, p->old[i].id, 0, p->old[i].p.pages);
	return r;
}

int change_run(struct kvm *k, struct change *c, struct memslot_error *err)
{
	struct plan *p = c->plan;
	size_t done = 0;
	int r = forget_logs(k, p);

	while (!r && done < p->steps) {
		r = step_do(k, &p->step[done]);
		if (!r)
			done++;
	}
	if (!r) {
		for (size_t i = 0; i < p->steps; i++)
			if (p->step[i].kind == STEP_CREATE)
				p->id[p->step[i].target] = p->step[i].id;
		fill(k, c);
		exchange(k, c);
		return 0;
	}
	explain(k, done < p->steps ? &p->step[done] : NULL, r, err);
	if (walk_back(k, p, done))
		return -ENOTRECOVERABLE;
	return r;
}

int change_undo(struct kvm *k, struct change *c)
{
	exchange(k, c);
	return walk_back(k, c->plan, c->plan->steps);
}

/* ---- lists of pages ------------------------------------------------------------------------ */

void gfns_add(struct gfns *g, gfn_t gfn)
{
	if (g->count == g->room) {
		size_t room = g->room ? g->room * 2 : 64;
		gfn_t *at = realloc(g->at, room * sizeof(*at));

		if (!at) {
			g->failed = true;
			return;
		}
		g->at = at;
		g->room = room;
	}
	g->at[g->count++] = gfn;
}

static int compare_gfns(const void *a, const void *b)
{
	gfn_t x = *(const gfn_t *)a, y = *(const gfn_t *)b;

	return x < y ? -1 : x > y;
}

void gfns_sort(struct gfns *g)
{
	size_t n = 0;

	if (g->count)
		qsort(g->at, g->count, sizeof(*g->at), compare_gfns);
	for (size_t i = 0; i < g->count; i++)
		if (!i || g->at[i] != g->at[i - 1])
			g->at[n++] = g->at[i];
	g->count = n;
}
