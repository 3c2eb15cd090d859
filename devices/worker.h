/* SPDX-License-Identifier: MIT */
/*
 * worker.h - a thread that does a device's slow work
 *
 * A vCPU that stores to a device's register must not wait for a disk. So the
 * handler only kicks; the device's worker wakes up and does the rest. One
 * plain thread a queue, or a device, that waits in poll(2) for kicks and for
 * the files the device is about: docs/virtio.md says why there is no event
 * loop shared by all.
 *
 * The thread exists between worker_start() and worker_stop(), which are
 * calls of the embedder's. It has all signals blocked.
 */
#ifndef DEVICES_WORKER_H
#define DEVICES_WORKER_H

#include <poll.h>
#include <pthread.h>

#include "memslot/memslot.h"

MEMSLOT_BEGIN_DECLS

#define WORKER_FDS_MAX 64u

struct worker_ops {
	const char *name; /* of the thread; the first 15 bytes are used */
	/*
	 * Which files to wait for, besides a kick: at most WORKER_FDS_MAX are
	 * stored, and how many is returned. Asked before each wait. NULL:
	 * none.
	 */
	unsigned (*wants)(void *ctx, struct pollfd *fds);
	/* Kicked, or a file is ready (its revents). */
	void (*work)(void *ctx, const struct pollfd *fds, unsigned count);
};

/* All fields are private. */
struct worker {
	const struct worker_ops *ops;
	void *ctx;
	int event; /* eventfd: readable after a kick */
	MEMSLOT_ATOMIC(bool) kicked;
	MEMSLOT_ATOMIC(bool) stop;
	bool running;
	pthread_t thread;
};

/* Errors: what eventfd(2) says, negated. */
int worker_init(struct worker *w, const struct worker_ops *ops, void *ctx,
	struct memslot_error *err);
/* After worker_stop(). */
void worker_fini(struct worker *w);

/* Start the thread; it works once unasked. What pthread_create says. */
int worker_start(struct worker *w, struct memslot_error *err);
/* Wait for the work in hand to end, and for the thread. May be repeated. */
void worker_stop(struct worker *w);

/* Any thread; also a signal handler. Before the start it is remembered. */
void worker_kick(struct worker *w);

MEMSLOT_END_DECLS

#endif
