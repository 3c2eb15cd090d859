/* SPDX-License-Identifier: MIT */
/*
 * arm.c - tracked pages become read-only kernel slots
 *
 * The kernel slots of the chunk around a page are made anew from what is
 * tracked now. What has not changed stays, so the price is the pieces next to
 * the page. Nothing is done when tracking ends: the page's next writer finds
 * that nobody tracks it any more, and makes it writable then (exits.c). A
 * shadow that drops and adds the same page over and over costs nothing.
 */
#include "vmm/kvm/internal.h"

#include <limits.h>
#include <stdlib.h>

int arm_tracked(
	const struct memslot *s, uint64_t first, uint64_t end, struct runs *out)
{
	gfn_t gfn = s->base_gfn + first;
	int r = 0;

	for (; !r && gfn < s->base_gfn + end && memslot_next_tracked(s, &gfn) &&
		gfn < s->base_gfn + end;
		gfn++)
		r = runs_add(out, gfn - s->base_gfn, gfn - s->base_gfn + 1);
	return r;
}

/* The end state of pages [first, end): whole chunks. */
static int want(const struct memslot *s, uint64_t first, uint64_t end,
	struct layout *out)
{
	struct runs tracked = {0};
	struct pieces pieces = {0};
	int r = arm_tracked(s, first, end, &tracked);

	if (!r)
		r = project(s, &tracked, first, end, &pieces);
	if (!r)
		r = layout_init(out, &pieces);
	free(tracked.run);
	free(pieces.piece);
	return r;
}

/* From the kernel slots [lo, lo + olds) of the layout to the wanted ones. */
static int replace(struct kvm *k, struct layout *l, unsigned lo, unsigned olds,
	struct layout *wanted, struct memslot_error *err)
{
	struct plan plan = {0};
	bool pause;
	int r;

	r = FAULT(kvm_faults(k), FAULT_KVM_PLAN)
		    ? -ENOMEM
		    : plan_make(&l->slot[lo], olds, wanted->slot, wanted->count,
			      &plan);
	if (!r)
		r = layout_reserve(l, wanted->count);
	if (r)
		memslot_fail(err, r, "KVM: no memory to plan %u kernel slots",
			wanted->count);
	else
		r = apply_fits(k, &plan, err);
	if (!r && plan.count) {
		pause = plan_needs_pause(&plan);
		if (pause)
			pause_begin(k);
		r = apply_plan(k, &plan, wanted->slot, err);
		if (pause)
			pause_end(k);
		k->arms++;
	}
	if (!r)
		layout_splice(l, lo, olds, wanted->slot, wanted->count);
	plan_free(&plan);
	return r;
}

int arm_slot(struct kvm *k, const struct memslot *s, uint64_t first,
	uint64_t size_pages, struct memslot_error *err)
{
	struct layout *l = &k->layout[s->id], wanted = {0};
	uint64_t end = chunk_end(first + size_pages - 1, s->size_pages);
	unsigned lo, olds;
	int r;

	first = chunk_first(first);
	r = want(s, first, end, &wanted);
	if (r)
		return memslot_fail(err, r,
			"KVM: no memory for the kernel slots of slot %u",
			s->id);
	lo = layout_find(l, s->base_gfn + first);
	olds = layout_find(l, s->base_gfn + end) - lo;
	r = replace(k, l, lo, olds, &wanted, err);
	layout_fini(&wanted);
	return r;
}

/* As the kernel has been told, which may be ahead of what is published. */
static const struct memslot *slot_at(struct kvm *k, gfn_t gfn)
{
	if (k->adopted)
		return memslot_txn_find(k->adopted, k->config.space, gfn);
	return memslot_lookup(&k->reader, k->config.space, gfn);
}

int arm_range(struct kvm *k, gfn_t gfn, uint64_t size_pages,
	struct memslot_error *err)
{
	const gfn_t end = gfn + size_pages;
	int r = 0;

	pthread_mutex_lock(&k->change_lock);
	memslot_enter(&k->reader);
	while (!r && gfn < end) {
		const struct memslot *s = slot_at(k, gfn);
		gfn_t next = s ? s->base_gfn + s->size_pages : gfn + 1;

		next = next < end ? next : end;
		if (s)
			r = arm_slot(k, s, gfn - s->base_gfn, next - gfn, err);
		gfn = next;
	}
	memslot_leave(&k->reader);
	pthread_mutex_unlock(&k->change_lock);
	return r;
}
