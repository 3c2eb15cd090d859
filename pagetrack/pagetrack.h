/* SPDX-License-Identifier: MIT */
/*
 * pagetrack.h - hear every write to chosen guest pages
 *
 * A node is somebody interested in writes: a device that shadows a table in
 * guest memory, a debugger, a test. It adds pages; from the moment the call
 * returns, every write to them, by whatever path, is reported to the node
 * with its bytes, after memory has changed, once per write, in program order
 * per writer. Writes that cross a page are reported per page.
 *
 * What becomes of a protection when memory moves is the node's choice:
 *
 *   follow  it goes with the memory
 *   stay    it stays at the guest page number, if there is a slot afterwards
 *   refuse  a transaction that moves or deletes one of the node's pages
 *           fails with -EBUSY before it has any effect. Once a transaction
 *           is past that check, adding such a page fails with -EBUSY
 *
 * A page whose place (stay) or memory (follow) is gone after a commit is
 * tracked no more; `committed` tells how many of the node's pages went that
 * way. A transaction that fails changes nothing: all protections stand. The
 * node hears `flush` only as "forget translations"; it is never told that
 * something is gone before that is certain.
 *
 * Callbacks run in the thread that writes or commits, outside any read
 * section and with no lock of this library held (those of a transaction with
 * the transaction lock, so that a commit from there is refused). They may add and remove
 * pages, read and write guest memory (a write to a tracked page is reported
 * in turn), and unregister their own node. They must not commit a
 * transaction; a worker thread may. A write from a callback is reported at
 * once, so that a node later in the list hears of it before it hears of the
 * write that caused it. A node that registers while a transaction runs hears
 * the rest of it.
 *
 * Kernel counterpart: KVM's page_track.c and struct
 * kvm_page_track_notifier_node, as the i915 driver's GVT uses them.
 */
#ifndef PAGETRACK_PAGETRACK_H
#define PAGETRACK_PAGETRACK_H

#include "memslot/fault.h"
#include "memslot/memslot.h"

MEMSLOT_BEGIN_DECLS

struct pagetrack;
struct pagetrack_node;

enum pagetrack_policy {
	PAGETRACK_STAY,
	PAGETRACK_FOLLOW,
	PAGETRACK_REFUSE,
};

/* Who wrote. */
enum pagetrack_source_kind {
	PAGETRACK_CPU,    /* a store, or an atomic, of vCPU `index` */
	PAGETRACK_WALKER, /* accessed/dirty bits set by the MMU of that vCPU */
	PAGETRACK_DEVICE, /* DMA of device `index` */
	PAGETRACK_LOADER, /* an image loader */
	PAGETRACK_HOST,   /* the embedder, a debugger */
};

struct pagetrack_source {
	enum pagetrack_source_kind kind;
	unsigned index;
};

struct pagetrack_write {
	unsigned space;
	gpa_t gpa;         /* of the first byte */
	const void *bytes; /* as they are in memory now; valid in the call */
	/*
	 * As the writer found them just before. Never NULL for a node that
	 * asked for them (pagetrack_want_old()) before it added the page;
	 * others may find it NULL. If two write at once, both may have found
	 * the same.
	 */
	const void *old;
	size_t len; /* 1 .. 4096, within one page */
	struct pagetrack_source source;
};

/* Any of them may be NULL. */
struct pagetrack_ops {
	const char *name;
	/* May refuse the transaction: negative errno, a sentence in err. */
	int (*prepare)(void *ctx, const struct memslot_txn *t,
		struct memslot_error *err);
	void (*cancel)(void *ctx, const struct memslot_txn *t);
	void (*flush)(void *ctx, const struct memslot_txn *t);
	/* `gone`: pages of this node that are tracked no more. */
	void (*committed)(
		void *ctx, const struct memslot_txn *t, uint64_t gone_pages);
	void (*aborted)(void *ctx, const struct memslot_txn *t);
	void (*write)(void *ctx, const struct pagetrack_write *w);
};

enum pagetrack_fault {
	FAULT_PAGETRACK_REGISTER = FAULT_BASE_PAGETRACK,
	FAULT_PAGETRACK_PAGE,
	FAULT_PAGETRACK_RESERVE,
	FAULT_PAGETRACK_PREPARE,
	FAULT_PAGETRACK_FILTER,
	FAULT_PAGETRACK_QUEUE,
	FAULT_PAGETRACK_END, /* not a point */
};
extern const struct fault_point pagetrack_fault_points[];

/*
 * A tracker for one map; joins it as a participant named "pagetrack".
 * At most one per map is useful. -ENOMEM, or what memslots_join() returns.
 */
int pagetrack_create(
	struct memslots *ms, struct pagetrack **out, struct memslot_error *err);
/* All nodes must be unregistered. NULL is allowed. */
void pagetrack_destroy(struct pagetrack *pt);

/*
 * Register a node. `ops` must outlive it; `ctx` is handed to each callback.
 * Any thread. -EINVAL unknown policy; -ENOSPC there are
 * PAGETRACK_NODES_MAX nodes; -ENOMEM.
 */
int pagetrack_register(struct pagetrack *pt, const struct pagetrack_ops *ops,
	void *ctx, enum pagetrack_policy policy, struct pagetrack_node **out,
	struct memslot_error *err);

/*
 * Remove the node and its protections. Returns after the last callback of
 * the node has returned; from inside a callback of the node itself, no other
 * will start and the node is freed when that one returns. Outside a read
 * section. Callbacks of two nodes, in two threads, that unregister each the
 * other's node wait for each other for ever. NULL is allowed.
 */
void pagetrack_unregister(struct pagetrack_node *node);

/*
 * Track `size_pages` pages from gfn. Counted: a page added twice by a node
 * is removed by two removals. All or nothing: on an error no page is added.
 * Outside a read section; callbacks may call it; it does not wait for a
 * running transaction. When it returns, no CPU writes the pages unseen.
 * What is covered are writes through these guest pages. Memory that other
 * guest pages show too can be written through those: pagetrack_aliases()
 * tells which they are.
 *   -EINVAL     size 0, or the range wraps or passes the address limit, or
 *               space out of range
 *   -ENOENT     a page of the range has no slot
 *   -EBUSY      policy refuse, and a running transaction, which may not be
 *               refused any more, moves or deletes a page of the range
 *   -EOVERFLOW  65535 counts on one page
 *   -ENOSPC     the CPUs' backend cannot protect so many separate pages
 *   -ENOMEM
 *   -EPERM      the kernel under the CPUs writes a page of the range itself
 *   any         what else a backend's track() returned
 */
int pagetrack_add(struct pagetrack_node *node, unsigned space, gfn_t gfn,
	uint64_t size_pages, struct memslot_error *err);

/*
 * Undo one add per page. All or nothing. -EINVAL as above; -ENOENT: a page
 * of the range is not tracked by this node; -EIO: the pages are released, but
 * a backend failed beyond repair and the machine must stop.
 */
int pagetrack_remove(struct pagetrack_node *node, unsigned space, gfn_t gfn,
	uint64_t size_pages, struct memslot_error *err);

/* Does this node track the page? How many pages does it track? Any thread. */
bool pagetrack_tracks(struct pagetrack_node *node, unsigned space, gfn_t gfn);
uint64_t pagetrack_size_pages(struct pagetrack_node *node);

/*
 * For backends whose mappings depend on what is tracked, in a transaction:
 * call `page` for each page that will be tracked, if `t` commits, in a slot
 * that comes to another place or changes its shape. (Slots of which only the
 * flags change keep their counts: memslot_next_tracked().) `page` must not
 * call the tracker. Pages may be named twice.
 */
void pagetrack_txn_pages(struct pagetrack *pt, const struct memslot_txn *t,
	void (*page)(void *ctx, unsigned space, gfn_t gfn), void *ctx);
/*
 * From `apply` until the transaction's new layout is adopted, or it has
 * failed, adding and removing pages waits: what pagetrack_txn_pages() says
 * stays true. In this time nothing but callbacks of backends runs.
 */
void pagetrack_txn_seal(struct pagetrack *pt);
/* Changes whenever the set of tracked pages does. Any thread. */
uint64_t pagetrack_version(const struct pagetrack *pt);

/* ---- hearing less, hearing more -------------------------------------------- */

/*
 * Of a page that the node tracks, hear only writes that touch [gpa, gpa +
 * len), which lies in one page. Called again it adds a range. The ranges go
 * where the page's protection goes, and end with it.
 *   -EINVAL  len 0, or the range leaves the page; -ENOENT the node does not
 *            track the page; -ENOMEM
 */
int pagetrack_filter(struct pagetrack_node *node, unsigned space, gpa_t gpa,
	size_t len, struct memslot_error *err);
/* Hear all writes to the page again. No effect if it is not tracked. */
void pagetrack_unfilter(struct pagetrack_node *node, unsigned space, gfn_t gfn);

struct pagetrack_counts {
	uint64_t events;   /* writes this node was to hear of */
	uint64_t filtered; /* writes to its pages that missed its ranges */
	uint64_t dropped;  /* events that its queue had no room for */
};
void pagetrack_node_counts(
	struct pagetrack_node *node, struct pagetrack_counts *out);
/* Writes to tracked pages that took the slow way and nobody wanted. */
uint64_t pagetrack_spurious(struct pagetrack *pt);

/* From now on (not) ask writers for the old bytes. */
void pagetrack_want_old(struct pagetrack_node *node, bool want);

/*
 * Who tracks the page: the names of the nodes, at most `max` of them, which
 * stay valid as their ops do. Returns how many there are. Any thread.
 */
unsigned pagetrack_who(struct pagetrack *pt, unsigned space, gfn_t gfn,
	const char **names, unsigned max);

/* A guest page that shows the same host memory as another. */
struct pagetrack_alias {
	unsigned space;
	gfn_t gfn;
	bool tracked; /* by some node */
};
/*
 * The other guest pages behind which the memory of this one is; at most `max`
 * of them are stored. Returns how many there are.
 */
unsigned pagetrack_aliases(struct pagetrack *pt, unsigned space, gfn_t gfn,
	struct pagetrack_alias *list, unsigned max);

/* ---- a node that may be slow --------------------------------------------------- */

enum pagetrack_full {
	PAGETRACK_DROP,  /* a write that finds no room is counted and lost */
	PAGETRACK_BLOCK, /* the writer waits for room */
};

/*
 * Give the node a queue of `size` bytes (32 KiB to 1 GiB; a write takes its
 * length and some 48 bytes). From then on writers put writes into it instead
 * of calling `write`, and a thread of the embedder's takes them out with
 * pagetrack_pump(). Before the node's first page is added. -EINVAL size;
 * -EBUSY it tracks pages or has a queue; -ENOMEM.
 */
int pagetrack_queue(struct pagetrack_node *node, size_t size,
	enum pagetrack_full full, struct memslot_error *err);
/*
 * Call `write` for what is in the queue, oldest first, until it is empty.
 * Returns how many. One thread at a time; not from a callback.
 */
uint64_t pagetrack_pump(struct pagetrack_node *node);
/* Sleep until the queue is not empty or *stop is not 0 (and was woken). */
void pagetrack_pump_wait(
	struct pagetrack_node *node, MEMSLOT_ATOMIC(uint32_t) * stop);
/* Let pagetrack_pump_wait() look at *stop again. */
void pagetrack_pump_wake(struct pagetrack_node *node);

/* ---- for those who write guest memory ---------------------------------- */

#define PAGETRACK_NODES_MAX 64

/* A running callback, or one that is about to run. Private. */
struct pagetrack_pin {
	struct pagetrack_pin *next;
	struct pagetrack_node *node;
	uintptr_t thread;
	bool running; /* the callback is being run */
};

/* Who must hear of one write. On the writer's stack. Private. */
struct pagetrack_hold {
	unsigned count;
	struct pagetrack_pin pin[PAGETRACK_NODES_MAX];
};

/*
 * A write to a tracked page takes three steps:
 *
 *	inside the read section, after the bytes are in memory, and only if
 *	memslot_page_tracked() says so:    pagetrack_hold(pt, &h, ...);
 *	outside it:                        pagetrack_report(pt, &h, ...);
 *
 * The hold notes who tracks the page while it cannot move; without it, a
 * move between the write and the report would make the nodes hard to find.
 * Each hold must be followed by exactly one report; in between the thread
 * must not wait for anything. `bytes` and `len` (1 .. 4096, within the page)
 * are what was written at `gpa`.
 */
void pagetrack_hold(struct pagetrack *pt, struct pagetrack_hold *h,
	unsigned space, gpa_t gpa, size_t len);
void pagetrack_report(struct pagetrack *pt, struct pagetrack_hold *h,
	const struct pagetrack_write *w);
/*
 * Does some node want old bytes? Then a writer that finds the page tracked
 * reads them before it writes. Lock-free.
 */
bool pagetrack_wants_old(const struct pagetrack *pt);

/*
 * The one way for devices, loaders and debuggers to touch guest memory:
 * copies through the slots page by page, waits for invalid slots, marks
 * dirty and reports. `pt` may be NULL (nothing to report to). The reader is
 * outside a section before and after. Devices may write read-only slots only
 * with source kind LOADER or HOST.
 *   -EFAULT  a page of the range has no slot, or is read-only for this
 *            source; bytes before it have been copied
 *   -EINVAL  space out of range, range wraps or passes the limit
 */
int pagetrack_guest_write(struct pagetrack *pt, struct memslot_reader *r,
	unsigned space, gpa_t gpa, const void *bytes, size_t len,
	struct pagetrack_source source);
int pagetrack_guest_read(struct memslot_reader *r, unsigned space, gpa_t gpa,
	void *bytes, size_t len);

MEMSLOT_END_DECLS

#endif
