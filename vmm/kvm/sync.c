/* SPDX-License-Identifier: MIT */
/*
 * sync.c - kernel slots without a transaction: pages are tracked, or no more
 *
 * Not told what has changed, only where, this looks at what is tracked now:
 * whoever comes last of several threads sees what all of them did. No more of
 * a slot is looked at, and made anew, than lies between two cuts (project.c).
 */
#include "vmm/kvm/slots.h"

#include <stdlib.h>

/* ---- the published slots in a range ------------------------------------------------ */

static gfn_t slot_end(const struct memslot *s)
{
	return s->base_gfn + s->size_pages;
}

static struct piece part_of(const struct memslot *s, gfn_t gfn, gfn_t end)
{
	struct piece l = {s->base_gfn, s->size_pages, s->host, s->flags};
	gfn_t lo = gfn > l.gfn ? gfn : l.gfn;
	gfn_t hi = end < slot_end(s) ? end : slot_end(s);

	project_widen(&l, &lo, &hi);
	return (struct piece){lo, hi - lo,
		memslot_host(s, lo << MEMSLOT_PAGE_SHIFT), l.flags};
}

/* How many kernel slots of the group begin below gfn. */
static size_t rank(const struct kvm *k, const struct group *g, gfn_t gfn)
{
	size_t low = 0, high = g ? g->count : 0;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (k->live[g->id[mid]].gfn < gfn)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static void begin_edit(const struct kvm *k, struct edit *e,
	const struct memslot *s, gfn_t gfn, gfn_t end)
{
	const struct group *g = k->group[s->id];

	e->owner = s->id;
	e->part = part_of(s, gfn, end);
	e->low = rank(k, g, e->part.gfn);
	e->high = (g ? g->count : 0) - rank(k, g, e->part.gfn + e->part.pages);
}

static void list_tracked(
	struct edit *e, const struct memslot *s, struct gfns *g)
{
	gfn_t end = e->part.gfn + e->part.pages;

	e->tracked_first = g->count;
	for (gfn_t gfn = e->part.gfn;
		gfn < end && memslot_next_tracked(s, &gfn) && gfn < end; gfn++)
		gfns_add(g, gfn);
	e->tracked_count = g->count - e->tracked_first;
}

static size_t olds_of(const struct kvm *k, const struct edit *e)
{
	const struct group *g = k->group[e->owner];

	return g ? g->count - e->low - e->high : 0;
}

/* ---- making up the change ------------------------------------------------------------- */

static int fill_plan(struct kvm *k, struct change *c, const struct gfns *g,
	struct memslot_error *err)
{
	size_t olds = 0, news = 0;

	for (size_t i = 0; i < c->edits; i++) {
		struct edit *e = &c->edit[i];

		e->first = news;
		e->count = project(&e->part, g->at + e->tracked_first,
			e->tracked_count, NULL);
		news += e->count;
		olds += olds_of(k, e);
	}
	c->plan = plan_new(olds, news);
	if (!c->plan)
		return change_no_memory(k, err);
	olds = 0;
	for (size_t i = 0; i < c->edits; i++) {
		const struct edit *e = &c->edit[i];

		project(&e->part, g->at + e->tracked_first, e->tracked_count,
			c->plan->new + e->first);
		for (size_t n = 0; n < olds_of(k, e); n++) {
			uint32_t id = k->group[e->owner]->id[e->low + n];

			c->plan->old[olds++] =
				(struct plan_old){.p = k->live[id], .id = id};
		}
	}
	return change_plan(k, c, err);
}

static int make_up(struct kvm *k, gfn_t gfn, gfn_t end, bool open,
	struct change **out, struct memslot_error *err)
{
	unsigned space = k->config.space;
	const struct memslot *s;
	struct gfns tracked = {0};
	struct change *c = NULL;
	size_t slots = 0;
	int r;

	memslot_enter(&k->reader);
	for (gfn_t at = gfn;
		(s = memslot_next(&k->reader, space, at)) && s->base_gfn < end;
		at = slot_end(s))
		slots++;
	if (!FAULT(kvm_faults(k), FAULT_KVM_PLAN))
		c = change_new(slots);
	for (gfn_t at = gfn; c && c->edits < slots; at = slot_end(s)) {
		struct edit *e = &c->edit[c->edits++];

		s = memslot_next(&k->reader, space, at);
		begin_edit(k, e, s, gfn, end);
		if (!open)
			list_tracked(e, s, &tracked);
	}
	memslot_leave(&k->reader);
	*out = c;
	r = c && !tracked.failed ? fill_plan(k, c, &tracked, err)
				 : change_no_memory(k, err);
	free(tracked.at);
	return r;
}

int slots_sync(struct kvm *k, gfn_t gfn, gfn_t end, bool open,
	struct memslot_error *err)
{
	struct change *c;
	int r = make_up(k, gfn, end, open, &c, err);

	if (!r && c->plan->steps) {
		bool pause = plan_pauses(c->plan);

		if (pause)
			pause_begin(k);
		r = change_run(k, c, err);
		if (pause)
			pause_end(k);
	}
	change_free(c);
	return r;
}
