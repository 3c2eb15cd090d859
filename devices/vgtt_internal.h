/* SPDX-License-Identifier: MIT */
/*
 * vgtt_internal.h - what the files of vgtt share
 *
 *   vgtt.c         registers, commands, life
 *   vgtt_shadow.c  the shadow: tables, writes to them, transactions
 *   vgtt_engine.c  loads and stores through it
 *
 * Two locks. `command_lock` makes commands one at a time; whoever has it may
 * wait for the end of a transaction. `lock` guards everything else and is
 * taken by callbacks of a transaction, so whoever has it waits for nothing
 * but the tracker (pagetrack_add(), which waits for no transaction): where
 * a page's slot is invalid, functions return -EBUSY, and the caller lets go
 * of the lock and waits.
 */
#ifndef DEVICES_VGTT_INTERNAL_H
#define DEVICES_VGTT_INTERNAL_H

#include "devices/vgtt.h"

#define VGTT_BUCKETS 256u

/* What a page of the guest's table holds, as we know. */
struct vgtt_table {
	gfn_t gfn;
	bool tracked; /* protected, as far as we have been told */
	bool stale;   /* to be read anew before it is used */
	uint64_t entry[VGTT_ENTRIES];
};

struct vgtt_leaf {
	struct vgtt_table table;
	unsigned refs; /* root entries that name it */
	struct vgtt_leaf *next;
	/*
	 * Where the pages are in host memory, NULL: not looked up yet. Good
	 * only if `epoch` is the device's and it is not `changing`.
	 */
	uint64_t epoch;
	uint8_t *host[VGTT_ENTRIES];
};

struct vgtt {
	struct vgtt_config config;
	struct pci_device pci;
	uint8_t *aperture;
	struct pagetrack_node *node;

	pthread_mutex_t command_lock;
	struct memslot_reader waiter; /* used under command_lock */

	pthread_mutex_t lock;
	struct memslot_reader reader; /* used under lock; so is all below */
	bool changing;  /* from a transaction's prepare to its end */
	uint64_t epoch; /* grows when host addresses are forgotten */
	bool has_root;
	struct vgtt_table root;
	struct vgtt_leaf *leaf[VGTT_ENTRIES];   /* by root entry */
	struct vgtt_leaf *bucket[VGTT_BUCKETS]; /* by gfn */
	struct vgtt_counts counts;
	uint64_t reg_root, reg_source, reg_target, reg_length, reg_value;
	uint64_t reg_fault;
	uint32_t reg_status;
};

/* ---- vgtt_shadow.c, under `lock` -------------------------------------------- */

extern const struct pagetrack_ops vgtt_track_ops;

/* -EBUSY; or what pagetrack_add() says. Then the old root stays. */
int vgtt_set_root(struct vgtt *g, gfn_t gfn, struct memslot_error *err);
void vgtt_clear_root(struct vgtt *g);

/*
 * The leaf and the entry for a device address. -EFAULT: nothing is there,
 * or its table cannot be shadowed; -EBUSY: a table page is being moved.
 */
int vgtt_walk(struct vgtt *g, uint64_t address, struct vgtt_leaf **leaf,
	unsigned *index);

/*
 * Compare root entry `index` and the page it names with guest memory; add up
 * in counts. -EBUSY.
 */
int vgtt_compare(struct vgtt *g, unsigned index);

/* ---- vgtt_engine.c, under command_lock --------------------------------------- */

/* Let go of `lock`, which the caller has, until no slot is invalid. */
int vgtt_wait(struct vgtt *g);

/* Addresses and lengths are multiples of 8. -EFAULT and reg_fault, -EIO. */
int vgtt_fill(struct vgtt *g, uint64_t target, uint64_t len, uint64_t value);
int vgtt_copy(struct vgtt *g, uint64_t source, uint64_t target, uint64_t len);
int vgtt_add_up(struct vgtt *g, uint64_t source, uint64_t len, uint64_t *sum);

#endif
