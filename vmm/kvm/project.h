/* SPDX-License-Identifier: MIT */
/*
 * project.h - which kernel slots stand for a logical slot, and how to get
 * from some kernel slots to others
 *
 * Nothing here knows of a kernel: the same input always gives the same
 * output, and tests need no /dev/kvm.
 */
#ifndef VMM_KVM_PROJECT_H
#define VMM_KVM_PROJECT_H

#include "memslot/memslot.h"

/* The kernel's flags (api.rst 4.35), so that no other header is needed. */
#define PIECE_LOG      0x1u /* KVM_MEM_LOG_DIRTY_PAGES */
#define PIECE_READONLY 0x2u /* KVM_MEM_READONLY */

/* A kernel slot as it should be, or a logical slot (flags MEMSLOT_*). */
struct piece {
	gfn_t gfn;
	uint64_t pages;
	uint8_t *host;
	uint32_t flags;
};

/* ---- project.c ------------------------------------------------------------------- */

/*
 * The kernel slots of the logical slot `l`, in order of address, into `out`
 * (NULL: they are only counted). `tracked` are `count` page numbers in
 * ascending order; those outside the slot do not matter. Returns how many
 * there are: at most one for each KVM_SLOT_PAGES begun, two for each tracked
 * page, and one.
 */
size_t project(const struct piece *l, const gfn_t *tracked, size_t count,
	struct piece *out);
/*
 * The part of a slot that is projected without looking at the rest of it:
 * widen [*gfn, *end), which lies in the slot, to where the slot is cut.
 */
void project_widen(const struct piece *l, gfn_t *gfn, gfn_t *end);

/* ---- plan.c ---------------------------------------------------------------------- */

#define PLAN_NO_ID UINT32_MAX

/* A kernel slot that there is. */
struct plan_old {
	struct piece p;
	uint32_t id;
	bool forget_log; /* its dirty bits are not the next owner's */
};

enum step_kind {
	STEP_DELETE,
	STEP_MOVE,  /* other place, perhaps other PIECE_LOG */
	STEP_FLAGS, /* other PIECE_LOG */
	STEP_CREATE,
};

/* One ioctl. Undone by the one that leads from `to` to `from`. */
struct step {
	enum step_kind kind;
	struct piece from, to;
	uint32_t id;   /* CREATE: PLAN_NO_ID until it is done */
	size_t target; /* index of `to` among the new ones; not of a DELETE */
};

struct plan {
	size_t olds, news, steps;
	struct plan_old *old; /* olds; reordered by plan_steps() */
	struct piece *new;    /* news */
	uint32_t *id;      /* of each new one; PLAN_NO_ID: a step creates it */
	struct step *step; /* room for olds + news */
	/* private */
	size_t *order;  /* news */
	size_t *mate;   /* olds: which new one it becomes */
	size_t *source; /* olds: moves by where they come from */
	bool *pending;  /* olds: moves that are not ordered yet */
};

/* Room for that many; all zeroed. NULL: no memory. */
struct plan *plan_new(size_t olds, size_t news);
void plan_free(struct plan *p);

/*
 * Fill in id and step: the fewest ioctls that lead from `old` to `new`, in an
 * order in which no two slots ever overlap. Both are free of overlaps, and
 * no kernel slot but those of `old` is in the way of `new`.
 */
void plan_steps(struct plan *p);

/* Must no vCPU run while the steps are done? */
bool plan_pauses(const struct plan *p);

#endif
