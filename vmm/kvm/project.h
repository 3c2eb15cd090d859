/* SPDX-License-Identifier: MIT */
/*
 * project.h - what the kernel's slots should be
 *
 * A logical slot becomes kernel slots ("pieces"): it is cut at every
 * KVM_SLOT_PAGES of its own pages, and at both ends of each run of pages
 * that is to be read-only because it is tracked. The cuts count from the
 * slot's start, so that a slot that moves keeps its pieces and each of them
 * is one MOVE of the kernel's. Nothing here knows a kernel: these are
 * functions of their arguments.
 */
#ifndef VMM_KVM_PROJECT_H
#define VMM_KVM_PROJECT_H

#include "memslot/memslot.h"

/* A kernel slot as it should be. */
struct piece {
	gfn_t gfn;
	uint64_t pages;
	uint8_t *host;
	uint32_t flags; /* KVM_MEM_LOG_DIRTY_PAGES, KVM_MEM_READONLY */
};

struct pieces {
	struct piece *piece;
	unsigned count, room;
};

/* Pages [first, end) of a slot, counted from its start. */
struct run {
	uint64_t first, end;
};

struct runs {
	struct run *run;
	unsigned count, room;
};

/* Append. 0 or -ENOMEM, which leaves what was there. */
int runs_add(struct runs *r, uint64_t first, uint64_t end);
/* Sort, and join those that touch or overlap. */
void runs_tidy(struct runs *r);
int pieces_add(struct pieces *p, const struct piece *piece);

/*
 * Append the pieces of pages [first, end) of a slot; both are multiples of
 * KVM_SLOT_PAGES, or the slot's end. `tracked` is tidy. 0 or -ENOMEM.
 */
int project(const struct memslot *slot, const struct runs *tracked,
	uint64_t first, uint64_t end, struct pieces *out);

/* The first page of the chunk that holds `page`, and the one behind it. */
uint64_t chunk_first(uint64_t page);
uint64_t chunk_end(uint64_t page, uint64_t size_pages);

#endif
