/* SPDX-License-Identifier: MIT */
/* fault.c - counting up to the failure that was asked for */
#include "memslot/internal.h"

const struct fault_point memslot_fault_points[] = {
	{FAULT_TXN_BEGIN, "txn.begin", "memory for a transaction"},
	{FAULT_TXN_RECORD, "txn.record", "memory for its operations"},
	{FAULT_VALIDATE_PLAN, "validate.plan", "memory for the layout's copy"},
	{FAULT_VALIDATE_SLOT, "validate.slot", "memory for a new slot"},
	{FAULT_VALIDATE_NODE, "validate.node", "memory for an index node"},
	{FAULT_VALIDATE_SET, "validate.set", "memory for the new set"},
	{FAULT_PREPARE_DIRTY, "prepare.dirty", "a dirty bitmap"},
	{FAULT_PREPARE_TRACK, "prepare.track", "write-track state"},
	{FAULT_PREPARE_LARGE, "prepare.large", "a large-page map"},
	{FAULT_PREPARE_PARTICIPANT, "prepare.participant",
		"a participant that refuses"},
	{FAULT_APPLY_PARTICIPANT, "apply.participant",
		"a backend that refuses"},
	{FAULT_UNDO_PARTICIPANT, "undo.participant",
		"a backend that refuses to undo (breaks the machine)"},
	{FAULT_TRACK_RESERVE, "track.reserve", "write-track counts"},
	{FAULT_HARVEST, "harvest", "memory for a harvest"},
	{FAULT_PREPARE_HEIR, "prepare.heir",
		"the way of a harvest back to memory that was reshaped"},
	{FAULT_PREPARE_HARVEST, "prepare.harvest",
		"the last harvest of a slot that is deleted"},
	{FAULT_POPULATE, "prepare.populate", "a note of what is populated"},
	{FAULT_TRACK_PARTICIPANT, "track.participant",
		"a backend that cannot protect pages"},
	{FAULT_SYNC_PARTICIPANT, "sync.participant",
		"a backend that cannot hand out its dirty log"},
	{0, NULL, NULL},
};

void fault_arm(
	struct fault_plan *p, unsigned point, uint64_t nth, bool persistent)
{
	/* Disarmed while it is changed. */
	atomic_store(&p->nth, 0);
	atomic_store(&p->point, point);
	atomic_store(&p->persistent, persistent);
	atomic_store(&p->seen, 0);
	atomic_store(&p->fired, 0);
	atomic_store(&p->last, 0);
	atomic_store(&p->nth, nth);
}

bool fault_hit(struct fault_plan *p, unsigned point)
{
	unsigned wanted = atomic_load(&p->point);
	uint64_t nth = atomic_load(&p->nth), n;

	if (wanted != FAULT_ANY && wanted != point)
		return false;
	n = atomic_fetch_add(&p->seen, 1) + 1;
	if (nth == 0 || n < nth || (n > nth && !atomic_load(&p->persistent)))
		return false;
	atomic_fetch_add(&p->fired, 1);
	atomic_store(&p->last, point);
	return true;
}

void memslots_set_faults(struct memslots *ms, struct fault_plan *plan)
{
	ms->faults = plan;
}

struct fault_plan *memslots_faults(const struct memslots *ms)
{
	return ms->faults;
}
