/* SPDX-License-Identifier: MIT */
/*
 * debugexit.h - a port with which a guest chooses the program's exit status
 *
 * QEMU's isa-debug-exit (hw/misc/debugexit.c), which the guests of many test
 * suites know. A store to the port ends the run with (value << 1) | 1, so
 * that no value looks like success by accident. Loads give 0.
 */
#ifndef DEVICES_DEBUGEXIT_H
#define DEVICES_DEBUGEXIT_H

#include "devices/bus.h"

MEMSLOT_BEGIN_DECLS

#define DEBUGEXIT_SIZE 4u

struct debugexit {
	/*
	 * `status` has 8 bits, as a process's. In the thread of the vCPU, no
	 * lock held; again for each store, as vCPUs run on until stopped.
	 */
	void (*event)(void *ctx, int status);
	void *ctx;
};

/* Stateless: there is nothing to undo. */
void debugexit_init(
	struct debugexit *dev, void (*event)(void *ctx, int status), void *ctx);

extern const struct bus_ops debugexit_bus_ops; /* its ctx: struct debugexit * */

MEMSLOT_END_DECLS

#endif
