/* SPDX-License-Identifier: MIT */
/*
 * plan.h - the way from one set of kernel slots to another, in few steps
 *
 * Each step is one KVM_SET_USER_MEMORY_REGION (api.rst 4.35). What stays is
 * not touched; memory that only changes its address, or whether it is
 * logged, takes one step; all else is deleted and created, since nothing but
 * address and logging of a live kernel slot can be changed. The order of the
 * steps is one in which the kernel never sees an overlap and never more
 * slots than before or after. Nothing here knows a kernel.
 */
#ifndef VMM_KVM_PLAN_H
#define VMM_KVM_PLAN_H

#include "vmm/kvm/project.h"

/* A kernel slot that is there. */
struct kslot {
	unsigned id;
	struct piece piece;
};

enum step_kind {
	STEP_DELETE, /* `from`; it comes back by a CREATE if `to` has pages */
	STEP_MOVE,   /* `from` to `to`: address, perhaps logging */
	STEP_FLAGS,  /* `from` to `to`: logging */
	STEP_CREATE, /* `to` */
};

struct step {
	enum step_kind kind;
	unsigned id;
	bool fresh;    /* CREATE: its id was taken for it */
	unsigned want; /* CREATE with PLAN_NO_ID: index of the wanted piece */
	struct piece from, to;
};

struct plan {
	struct step *step;
	unsigned count;
};

#define PLAN_NO_ID UINT_MAX

/*
 * From the kernel slots old[0 .. olds) to the pieces of wanted[0 .. news),
 * whose `id` is set: to the one it has or takes over, or to PLAN_NO_ID where
 * a new id is needed: the caller chooses one and fills it in there and in the
 * step, which names the piece. Neither set may overlap itself. plan_free()
 * afterwards. -ENOMEM.
 */
int plan_make(const struct kslot *old, unsigned olds, struct kslot *wanted,
	unsigned news, struct plan *out);
void plan_free(struct plan *p);

/* May CPUs run while it is carried out? See apply.c. */
bool plan_needs_pause(const struct plan *p);

#endif
