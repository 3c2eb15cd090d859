/* SPDX-License-Identifier: MIT */
/*
 * layout.h - which kernel slots each logical slot has
 *
 * The books of what the kernel has been told. A logical slot's kernel slots
 * are an array in order of address. All under the lock of changes (change.c).
 */
#ifndef VMM_KVM_LAYOUT_H
#define VMM_KVM_LAYOUT_H

#include "vmm/kvm/plan.h"

struct layout {
	struct kslot *slot;
	unsigned count;
};

/* Ids of kernel slots; the smallest that are free are used first. */
struct kernel_ids {
	uint64_t *used; /* a bit for each */
	unsigned limit, count;
	unsigned hint; /* all words before are full */
};

int kernel_ids_init(struct kernel_ids *ids, unsigned limit);
void kernel_ids_fini(struct kernel_ids *ids);
/* PLAN_NO_ID: there is none left. */
unsigned kernel_ids_take(struct kernel_ids *ids);
void kernel_ids_put(struct kernel_ids *ids, unsigned id);
/* Take this one, which is free, again. */
void kernel_ids_retake(struct kernel_ids *ids, unsigned id);

/* An array of `count` kernel slots of these pieces, without ids. -ENOMEM. */
int layout_init(struct layout *l, const struct pieces *pieces);
void layout_fini(struct layout *l);
/* The first kernel slot that ends behind gfn. */
unsigned layout_find(const struct layout *l, gfn_t gfn);
/* Room for so many more. -ENOMEM. */
int layout_reserve(struct layout *l, unsigned more);
/* Replace slots [first, first + count) by those of `by`; room is reserved. */
void layout_splice(struct layout *l, unsigned first, unsigned count,
	const struct kslot *by, unsigned by_count);

#endif
