/* SPDX-License-Identifier: MIT */
/*
 * slotctl.h - the slot controller: a guest changes its own memory map
 *
 * A platform device of ours; docs/slot-controller.md is the same description
 * for those who write guests. The machine designates one slot, the window,
 * and a range of guest-physical space. The guest may move the window inside
 * the range, and change its flags. Nothing else: any other target is refused
 * with EPERM, whatever the slot manager would have said.
 *
 * A store to COMMAND runs the command before the store completes, in the
 * thread of the vCPU; STATUS then tells how it went. Other vCPUs run on; one
 * that touches the window meanwhile waits for the end.
 *
 *   0x00 MAGIC         32 R   0x544f4c53, "SLOT" in memory
 *   0x04 VERSION       32 R   1
 *   0x08 WINDOW_BASE   64 R   where the window is (0 if there is none)
 *   0x10 WINDOW_SIZE   64 R   its bytes           (0 if there is none)
 *   0x18 RANGE_BASE    64 R   where it may be
 *   0x20 RANGE_SIZE    64 R
 *   0x28 TARGET        64 RW  address for a move
 *   0x30 COMMAND       32 W   enum slotctl_command; reads 0
 *   0x34 STATUS        32 R   of the last command: 0, or a Linux errno > 0
 *   0x38 FLAGS         32 R   1: writes are logged, 2: read-only
 *   0x3c               32     reserved
 *   0x40 GENERATION    64 R   of the whole map: grows with every change
 *   0x48 MOVES         64 R   moves that were committed
 *   0x50 FAILED        64 R   commands that ended with STATUS != 0
 *   0x58 - 0x7f               reserved
 *   0x80 WRITES_DONE   64 RW  \
 *   0x88 BYTES_WRONG   64 RW   } the guest's report, for the monitor
 *   0x90 DONE          32 RW  /  not 0: the report is complete
 *   0x94 - 0xfff              reserved
 *
 * Accesses are naturally aligned and 4 or 8 bytes wide; others, and
 * reserved places, read 0 and write nothing. An 8-byte access is its two
 * halves at once, the low one first. A 64-bit register may be accessed by
 * halves: a load of the low half keeps the high half of that moment for the
 * next load of a high half, if that is of the same register; a load of the
 * high half alone gives the current one. Halves are stored independently.
 * There is one such latch, one TARGET and one STATUS: vCPUs that share the
 * device take turns by a lock of their own.
 *
 * STATUS, where it is not 0:
 *   EPERM  (1)    TARGET does not put the window inside the range
 *   ENOENT (2)    there is no window at present
 *   EINVAL (22)   TARGET is not page aligned
 *   ENOSYS (38)   no such command
 *   others        memslot_commit(): ENOMEM, EEXIST (another slot is there),
 *                 EBUSY (somebody who tracks its pages refused), EIO
 */
#ifndef DEVICES_SLOTCTL_H
#define DEVICES_SLOTCTL_H

#include <pthread.h>

#include "devices/bus.h"

MEMSLOT_BEGIN_DECLS

#define SLOTCTL_SIZE    0x1000u
#define SLOTCTL_MAGIC   0x544f4c53u
#define SLOTCTL_VERSION 1u

enum slotctl_register {
	SLOTCTL_REG_MAGIC = 0x00,
	SLOTCTL_REG_VERSION = 0x04,
	SLOTCTL_REG_WINDOW_BASE = 0x08,
	SLOTCTL_REG_WINDOW_SIZE = 0x10,
	SLOTCTL_REG_RANGE_BASE = 0x18,
	SLOTCTL_REG_RANGE_SIZE = 0x20,
	SLOTCTL_REG_TARGET = 0x28,
	SLOTCTL_REG_COMMAND = 0x30,
	SLOTCTL_REG_STATUS = 0x34,
	SLOTCTL_REG_FLAGS = 0x38,
	SLOTCTL_REG_GENERATION = 0x40,
	SLOTCTL_REG_MOVES = 0x48,
	SLOTCTL_REG_FAILED = 0x50,
	SLOTCTL_REG_WRITES_DONE = 0x80,
	SLOTCTL_REG_BYTES_WRONG = 0x88,
	SLOTCTL_REG_DONE = 0x90,
};

enum slotctl_command {
	SLOTCTL_MOVE = 1,           /* to TARGET; marks all pages dirty */
	SLOTCTL_SET_READONLY = 2,   /* stores have no effect from now on */
	SLOTCTL_CLEAR_READONLY = 3, /* stores have effect again */
	SLOTCTL_SET_LOG = 4,        /* the monitor logs what is written */
	SLOTCTL_CLEAR_LOG = 5,      /* what was logged is forgotten */
	SLOTCTL_MOVE_KEEP = 6,      /* to TARGET; the log stays as it is */
};

/* What the guest says about itself. Not to be trusted, only printed. */
struct slotctl_report {
	uint64_t writes_done;
	uint64_t bytes_wrong;
	uint32_t done;
};

struct slotctl_counts {
	uint64_t moves;  /* committed, by guest or host */
	uint64_t failed; /* commands that ended with an error */
};

/* All may be NULL. */
struct slotctl_events {
	/*
	 * A command has ended: 0 or a negative errno with its sentence. In the
	 * thread that gave it; only the controller's command lock is held, so
	 * that this may read, but not give, commands.
	 */
	void (*command)(void *ctx, unsigned command, gpa_t target,
		const struct memslot_result *result,
		const struct memslot_error *err);
	/* The guest stored to DONE. In the vCPU's thread, no lock held. */
	void (*done)(void *ctx, const struct slotctl_report *report);
	void *ctx;
};

struct slotctl_config {
	struct memslots *slots;
	unsigned space;
	unsigned id;      /* the window's slot; it need not exist yet */
	gpa_t range_base; /* page aligned */
	uint64_t range_size;
	struct slotctl_events events;
};

/* All fields are private. */
struct slotctl {
	struct slotctl_config config;
	pthread_mutex_t command_lock; /* taken first: one command at a time */
	pthread_mutex_t lock;         /* what follows; never held in a commit */
	struct memslot_reader reader; /* used under `lock` */
	struct slotctl_report report;
	struct slotctl_counts counts;
	uint64_t target;
	uint32_t status;
	uint64_t latch_offset; /* of the register latched, or SLOTCTL_SIZE */
	uint32_t latch_high;
};

/*
 * Registers a reader with config->slots until slotctl_fini(). Errors:
 * -EINVAL the range is empty, not page aligned, or passes the address limit;
 * what pthread_mutex_init returns, negated.
 */
int slotctl_init(struct slotctl *dev, const struct slotctl_config *config,
	struct memslot_error *err);
void slotctl_fini(struct slotctl *dev);

/*
 * The same as the guest's commands, for the host: same rules, same counters,
 * same lock, same event; TARGET and STATUS are left alone. Any thread outside
 * a read section; not from a callback of a running commit (-EDEADLK from
 * memslot_commit) nor from `events.command`. `result` may be NULL.
 */
int slotctl_command(struct slotctl *dev, enum slotctl_command command,
	gpa_t target, struct memslot_result *result, struct memslot_error *err);

static inline int slotctl_move(struct slotctl *dev, gpa_t target,
	struct memslot_result *result, struct memslot_error *err)
{
	return slotctl_command(dev, SLOTCTL_MOVE, target, result, err);
}

/* Where the window is: 0, or -ENOENT. Any thread outside a read section. */
int slotctl_window(struct slotctl *dev, gpa_t *gpa, uint64_t *size);

void slotctl_get_report(struct slotctl *dev, struct slotctl_report *out);
void slotctl_get_counts(struct slotctl *dev, struct slotctl_counts *out);

extern const struct bus_ops slotctl_bus_ops; /* its ctx: struct slotctl * */

MEMSLOT_END_DECLS

#endif
