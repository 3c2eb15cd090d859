/* SPDX-License-Identifier: MIT */
/*
 * fault.h - every step that can fail can be made to fail
 *
 * A fallible step asks `FAULT(plan, point)` before it does the real thing and
 * fails as the real thing would if the answer is yes. Points have numbers and
 * names; each folder lists its own in a table. With no plan attached a point
 * costs one test of a pointer on a path that allocates or waits anyway.
 *
 * Two ways to use a plan:
 *   by point   "the 3rd time prepare.track is reached"   (--inject)
 *   by count   "the Nth point that is reached, whichever" (failure walks:
 *              N = 1, 2, 3 ... until a run passes with `fired` still 0)
 */
#ifndef MEMSLOT_FAULT_H
#define MEMSLOT_FAULT_H

#include <stdbool.h>
#include <stdint.h>

#include "memslot/cdefs.h"

MEMSLOT_BEGIN_DECLS

#define FAULT_ANY 0u /* a plan for whichever point is reached */

/*
 * Numbers: 1.. memslot, 32.. pagetrack, 64.. backends and the machine,
 * 128.. devices, 160.. virtio.
 */
#define FAULT_BASE_MEMSLOT   1u
#define FAULT_BASE_PAGETRACK 32u
#define FAULT_BASE_VMM       64u
#define FAULT_BASE_DEVICES   128u
#define FAULT_BASE_VIRTIO    160u

enum memslot_fault {
	FAULT_TXN_BEGIN = FAULT_BASE_MEMSLOT,
	FAULT_TXN_RECORD,
	FAULT_VALIDATE_PLAN,
	FAULT_VALIDATE_SLOT,
	FAULT_VALIDATE_NODE,
	FAULT_VALIDATE_SET,
	FAULT_PREPARE_DIRTY,
	FAULT_PREPARE_TRACK,
	FAULT_PREPARE_LARGE,
	FAULT_PREPARE_PARTICIPANT,
	FAULT_APPLY_PARTICIPANT,
	FAULT_UNDO_PARTICIPANT,
	FAULT_TRACK_RESERVE,
	FAULT_HARVEST,
	FAULT_PREPARE_HEIR,
	FAULT_PREPARE_HARVEST,
	FAULT_POPULATE,
	FAULT_TRACK_PARTICIPANT,
	FAULT_SYNC_PARTICIPANT,
	FAULT_MEMSLOT_END, /* not a point */
};

struct fault_point {
	unsigned number;
	const char *name; /* "prepare.slot": what --inject takes */
	const char *what; /* a few words for --help */
};

/* This folder's points; ends with a NULL name. */
extern const struct fault_point memslot_fault_points[];

struct fault_plan {
	MEMSLOT_ATOMIC(unsigned) point; /* a number, or FAULT_ANY */
	MEMSLOT_ATOMIC(uint64_t) nth; /* fail the nth time, from 1; 0: never */
	MEMSLOT_ATOMIC(bool) persistent; /* and every later time */
	MEMSLOT_ATOMIC(uint64_t) seen;  /* times a matching point was reached */
	MEMSLOT_ATOMIC(uint64_t) fired; /* times it was made to fail */
	MEMSLOT_ATOMIC(unsigned) last;  /* the point that fired last */
};

/* Arm the plan anew; counters start at 0. Any thread. */
void fault_arm(
	struct fault_plan *p, unsigned point, uint64_t nth, bool persistent);
bool fault_hit(struct fault_plan *p, unsigned point);

#define FAULT(plan, point) \
	(__builtin_expect((plan) != 0, 0) && fault_hit((plan), (point)))

struct memslots;
/* Attach a plan (NULL: none). It must outlive the map or the next call. */
void memslots_set_faults(struct memslots *ms, struct fault_plan *plan);
struct fault_plan *memslots_faults(const struct memslots *ms);

MEMSLOT_END_DECLS

#endif
