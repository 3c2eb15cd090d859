/* SPDX-License-Identifier: MIT */
/*
 * mover.h - moves the window under a running guest, and watches what is lost
 *
 * A thread moves the window between two places. Every few moves a fault
 * point is armed, each in turn, so that the move fails there. Meanwhile a
 * tracker node counts the writes to the protected pages, and the dirty log
 * is harvested and compared with what has really changed.
 *
 * What may be lost:
 *   writes   the guest counts its stores to protected pages; the node must
 *            have heard of each
 *   bytes    the guest finds again what it stored
 *   dirty    a page whose bytes changed must be in the log
 */
#ifndef VMM_MOVER_H
#define VMM_MOVER_H

#include "vmm/machine.h"

#include <pthread.h>

struct mover_config {
	struct vmm_machine *machine;
	struct fault_plan *faults; /* the machine's; armed by the mover */
	uint64_t moves;
	uint64_t interval_us;
	gpa_t target; /* the second place */
	uint64_t window_size;
	uint64_t tracked_pages; /* from the window's first page */
	/*
	 * 0: every fourth move fails, at each point of a move in turn; else
	 * one move does, where this point is reached the nth time. If the
	 * machine has a vgtt, every other fourth time a point is armed for the
	 * move that the guest makes of a BAR.
	 */
	unsigned inject_point;
	uint64_t inject_nth;
	gpa_t stop; /* the built-in guest's word to finish; 0: none */
};

struct mover_pause {
	uint64_t min_ns, median_ns, p99_ns, max_ns;
};

struct mover_result {
	const char *accel, *order;
	uint64_t moves_tried, moves_committed, moves_failed;
	uint64_t writes_done; /* as counted by the guest */
	uint64_t writes_seen; /* by the node */
	uint64_t bytes_wrong; /* as counted by the guest */
	uint64_t dirty_missed;
	bool guest_reported;
	/* Of vgtt, if the machine has one; and what the guest moved itself. */
	bool has_vgtt;
	uint64_t bar_moves, bar_refusals;
	uint64_t table_writes, mismatches;
	struct mover_pause pause;
};

struct mover;

/*
 * Protect the pages, start the thread. It waits until the guest says that it
 * is ready (a store to DONE of the slot controller). -ENOMEM, -EAGAIN, what
 * pagetrack_add() returns.
 */
int mover_start(const struct mover_config *config, struct mover **out,
	struct memslot_error *err);
/* For vmm_config.guest_report: the guest is ready, or done. */
void mover_guest_report(struct mover *m, const struct slotctl_report *report);
/* After the machine has stopped: end the thread, count up, free. */
void mover_finish(struct mover *m, struct mover_result *result);

/* Writes that were made and not heard of (or heard of twice). */
uint64_t mover_writes_missed(const struct mover_result *r);
bool mover_lost_nothing(const struct mover_result *r);

#endif
