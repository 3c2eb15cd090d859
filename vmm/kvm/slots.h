/* SPDX-License-Identifier: MIT */
/*
 * slots.h - the kernel's slots, and changing them all or not at all
 *
 * All of it with slots_lock held, but for slots_init() and slots_fini().
 */
#ifndef VMM_KVM_SLOTS_H
#define VMM_KVM_SLOTS_H

#include "vmm/kvm/internal.h"

/* The ids of a logical slot's kernel slots, in order of address. */
struct group {
	unsigned count;
	uint32_t id[];
};

/*
 * What becomes of one logical slot: of its kernel slots the first `low` and
 * the last `high` stay, and `count` new ones, from `first` of the plan on,
 * come in between.
 */
struct edit {
	unsigned owner;      /* logical id */
	struct group *fresh; /* to be put in place; afterwards, the old one */
	size_t low, high, first, count;
	/* while it is made up */
	struct piece part; /* of the logical slot */
	size_t tracked_first, tracked_count;
};

struct change {
	struct plan *plan;
	uint64_t version, track_version; /* what it was made up from */
	bool done;
	size_t edits; /* filled in */
	struct edit edit[];
};

/* Page numbers; `failed` once there was no memory for one. */
struct gfns {
	gfn_t *at;
	size_t count, room;
	bool failed;
};
void gfns_add(struct gfns *g, gfn_t gfn);
/* Sort them, and leave each once. */
void gfns_sort(struct gfns *g);

/* ---- slots.c ----------------------------------------------------------------------- */

/* Room for that many edits, none filled in. NULL: no memory. */
struct change *change_new(size_t edits);
void change_free(struct change *c);
/*
 * With all of plan->old, plan->new and edit[] but `fresh` filled in: see that
 * it can be done. -ENOMEM, -ENOSPC.
 */
int change_plan(struct kvm *k, struct change *c, struct memslot_error *err);
int change_no_memory(const struct kvm *k, struct memslot_error *err);
/* Do it. -ENOTRECOVERABLE: it failed, and could not be undone. */
int change_run(struct kvm *k, struct change *c, struct memslot_error *err);
/* Undo what was done. An error: it could not be. */
int change_undo(struct kvm *k, struct change *c);

/* ---- sync.c: without a transaction --------------------------------------------------- */

/*
 * Make the kernel slots of the published slots that have a page in [gfn, end)
 * what they should be, as far as those pages make it necessary. `open`: as if
 * nothing were tracked. vCPUs are paused as long as needed.
 */
int slots_sync(struct kvm *k, gfn_t gfn, gfn_t end, bool open,
	struct memslot_error *err);

/* ---- txn.c --------------------------------------------------------------------------- */

extern const struct memslot_participant_ops part_ops;

/* ---- einval.c ------------------------------------------------------------------------ */

/* Why the kernel refused the step (NULL: reading a log), in one sentence. */
void explain(const struct kvm *k, const struct step *s, int code,
	struct memslot_error *err);

#endif
