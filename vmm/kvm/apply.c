/* SPDX-License-Identifier: MIT */
/*
 * apply.c - taking the steps of a plan, or taking them back
 *
 * Each step is one ioctl, and its reverse is another: that is the whole
 * undo record. vCPUs run on while a single step is taken, in which the kernel
 * itself sees to it that they see either the old or the new. Several steps,
 * or one move to a place that overlaps the old one, would show them a hole
 * where there is memory before and after: the caller holds them meanwhile
 * (plan_needs_pause()), until it is certain that the steps are not taken back,
 * so that what they write in between is in no log that goes.
 *
 * A logged kernel slot that is deleted takes its log with it. So its log is
 * read first, while no vCPU can add to it.
 */
#include "vmm/kvm/internal.h"

#include <limits.h>

/* ---- ids -------------------------------------------------------------------------- */

static bool gives_id(const struct step *s)
{
	return s->kind == STEP_DELETE && !s->to.pages;
}

int apply_fits(
	const struct kvm *k, const struct plan *p, struct memslot_error *err)
{
	unsigned given = 0, taken = 0;

	for (unsigned i = 0; i < p->count; i++) {
		given += gives_id(&p->step[i]);
		taken += p->step[i].kind == STEP_CREATE &&
			 p->step[i].id == PLAN_NO_ID;
	}
	if (k->ids.count - given + taken <= k->ids.limit)
		return 0;
	return memslot_fail(err, -ENOSPC,
		"the change needs %u kernel slots, KVM has %u: use fewer "
		"slots, or track fewer separate pages",
		k->ids.count - given + taken, k->ids.limit);
}

/* There are enough: apply_fits() has counted. */
static void assign_ids(struct kvm *k, struct plan *p, struct kslot *wanted)
{
	for (unsigned i = 0; i < p->count; i++)
		if (gives_id(&p->step[i]))
			kernel_ids_put(&k->ids, p->step[i].id);
	for (unsigned i = 0; i < p->count; i++) {
		struct step *s = &p->step[i];

		if (s->kind != STEP_CREATE || s->id != PLAN_NO_ID)
			continue;
		s->id = kernel_ids_take(&k->ids);
		s->fresh = true;
		wanted[s->want].id = s->id;
	}
}

static void return_ids(struct kvm *k, const struct plan *p)
{
	for (unsigned i = 0; i < p->count; i++)
		if (p->step[i].fresh)
			kernel_ids_put(&k->ids, p->step[i].id);
	for (unsigned i = 0; i < p->count; i++)
		if (gives_id(&p->step[i]))
			kernel_ids_retake(&k->ids, p->step[i].id);
}

/* ---- steps -------------------------------------------------------------------------- */

/* Save the log of what is about to go. The pages are those of the old map. */
static int save_log(struct kvm *k, const struct step *s)
{
	const struct kslot ks = {s->id, s->from};
	const struct memslot *slot;
	int r = 0;

	if (!(s->from.flags & KVM_MEM_LOG_DIRTY_PAGES))
		return 0;
	memslot_enter(&k->log_reader);
	slot = memslot_lookup(&k->log_reader, k->config.space, s->from.gfn);
	/* Between adopt and publication only arm.c comes here: the new one. */
	if (k->adopted)
		slot = memslot_txn_find(
			k->adopted, k->config.space, s->from.gfn);
	if (slot && slot->dirty)
		r = dirty_sync_slot(k, &ks, slot, 0, s->from.pages);
	memslot_leave(&k->log_reader);
	return r;
}

static int step_take(struct kvm *k, const struct step *s)
{
	int r;

	switch (s->kind) {
	case STEP_DELETE:
		r = save_log(k, s);
		return r ? r
			 : sys_set_region(
				   k, FAULT_KVM_DELETE, s->id, &s->from, 0);
	case STEP_MOVE:
		return sys_set_region(
			k, FAULT_KVM_MOVE, s->id, &s->to, s->to.pages);
	case STEP_FLAGS:
		return sys_set_region(
			k, FAULT_KVM_FLAGS, s->id, &s->to, s->to.pages);
	case STEP_CREATE:
		return sys_set_region(
			k, FAULT_KVM_CREATE, s->id, &s->to, s->to.pages);
	}
	return -EINVAL;
}

static int step_undo(struct kvm *k, const struct step *s)
{
	if (s->kind == STEP_CREATE)
		return sys_set_region(k, FAULT_KVM_UNDO, s->id, &s->to, 0);
	return sys_set_region(
		k, FAULT_KVM_UNDO, s->id, &s->from, s->from.pages);
}

static int undo_steps(struct kvm *k, const struct plan *p, unsigned count)
{
	int r = 0;

	while (!r && count > 0)
		r = step_undo(k, &p->step[--count]);
	return r ? -EIO : 0;
}

/* ---- the whole ------------------------------------------------------------------------ */

static int take_steps(struct kvm *k, struct plan *p, struct memslot_error *err)
{
	for (unsigned i = 0; i < p->count; i++) {
		int r = step_take(k, &p->step[i]);

		if (!r)
			continue;
		r = einval_explain(k, &p->step[i], r, err);
		if (undo_steps(k, p, i))
			return memslot_fail(err, -EIO,
				"KVM refused to take a failed change back; "
				"the machine must stop, its memory map is not "
				"known");
		return r;
	}
	return 0;
}

int apply_plan(struct kvm *k, struct plan *p, struct kslot *wanted,
	struct memslot_error *err)
{
	int r;

	assign_ids(k, p, wanted);
	r = take_steps(k, p, err);
	if (r)
		return_ids(k, p);
	if (r == -EIO)
		kvm_accel(k).ops->request_stop(k, ACCEL_STOP_ERROR);
	return r;
}

int apply_undo(struct kvm *k, const struct plan *p)
{
	int r = undo_steps(k, p, p->count);

	if (!r)
		return_ids(k, p);
	return r;
}
