/* SPDX-License-Identifier: MIT */
/*
 * accel.h - what a machine needs of its CPUs, whichever they are
 *
 * A CPU backend (vmm/soft, vmm/kvm) is a table of functions and a context.
 * The machine that created it, and knows which it is, connects interrupts and
 * says where the guest starts; running and stopping is the same for all.
 */
#ifndef VMM_ACCEL_H
#define VMM_ACCEL_H

#include "memslot/memslot.h"

MEMSLOT_BEGIN_DECLS

/* Why the CPUs stopped. */
enum accel_stop {
	ACCEL_STOP_ASKED,    /* request_stop() by the embedder */
	ACCEL_STOP_POWEROFF, /* the guest is done */
	ACCEL_STOP_FAILURE,  /* the guest says that it has failed */
	ACCEL_STOP_REBOOT,   /* the guest wants to start anew */
	ACCEL_STOP_ERROR,    /* the monitor gave up: the error says why */
};

struct accel_ops {
	const char *name; /* "soft", "kvm" */
	/*
	 * Run all vCPUs, number 0 in the calling thread and others in threads
	 * of their own, until somebody stops them. -ENOMEM, -EAGAIN: a thread
	 * could not be started; otherwise 0 and *why.
	 */
	int (*run)(void *ctx, enum accel_stop *why, struct memslot_error *err);
	/*
	 * Stop all vCPUs soon. Any thread, also a device's handler; before,
	 * while or after they run. The first reason counts.
	 */
	void (*request_stop)(void *ctx, enum accel_stop why);
	/*
	 * The state of the vCPU that stopped the machine, as lines of text of
	 * at most `size` bytes with the final 0. Returns the length, 0 if
	 * there is nothing to tell. Not while they run. May be NULL.
	 */
	size_t (*describe)(void *ctx, char *text, size_t size);
	/* Not while they run. */
	void (*destroy)(void *ctx);
};

struct accel {
	const struct accel_ops *ops; /* NULL: there are none yet */
	void *ctx;
};

MEMSLOT_END_DECLS

#endif
