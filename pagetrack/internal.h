/* SPDX-License-Identifier: MIT */
/* internal.h - what the files of pagetrack/ share with each other only */
#ifndef PAGETRACK_INTERNAL_H
#define PAGETRACK_INTERNAL_H

#include "memslot/error.h"
#include "memslot/lock.h"
#include "pagetrack/pagetrack.h"

#include <errno.h>
#include <string.h>

typedef unsigned long long ull; /* what %llx takes */

/* Of a page, the bytes [lo, hi) that its node wants to hear of. */
struct page_range {
	struct page_range *next;
	uint16_t lo, hi;
};

/* One page of one node. */
struct tracked_page {
	struct page_range *ranges; /* NULL: all of it */
	struct pagetrack_node *node;
	struct tracked_page *next; /* in its bucket, or on a list in passing */
	gfn_t gfn;
	unsigned space;
	uint32_t count; /* adds that wait for their remove, 1 .. 65535 */
};

/* pages.c: a node's pages, by hash of (space, gfn). */
struct page_table {
	struct tracked_page **bucket;
	uint64_t buckets; /* a power of two, or 0 */
	uint64_t pages;
};

struct pagetrack_node {
	struct pagetrack *pt;
	const struct pagetrack_ops *ops;
	void *ctx;
	enum pagetrack_policy policy;
	/* all below: under pt->lock */
	struct pagetrack_node *next;
	struct page_table table;
	struct pagetrack_pin *pins;
	bool dead;           /* unregistered: no callback starts any more */
	bool reap;           /* the last pin frees it */
	bool prepared;       /* heard `prepare` of the running transaction */
	uint64_t gone_pages; /* lost by the running transaction */
	bool wants_old;
	struct pagetrack_counts counts;
	struct queue *queue;
	_Atomic(uint32_t) idle; /* bumped when a pin of a dead node goes */
};

/*
 * `lock` guards the nodes, their pages and every change of a track count. It
 * is held for short, never across a callback or a wait. Order: it is taken
 * inside the transaction lock and outside nothing.
 */
struct pagetrack {
	void *memory; /* as it was allocated; the reader wants 64 bytes */
	struct memslots *ms;
	const struct memslot_platform *pf;
	struct memslot_participant participant;
	struct memslot_lock lock;
	struct memslot_reader reader; /* used under `lock` */
	struct pagetrack_node *nodes;
	unsigned node_count;
	_Atomic(unsigned) old_wanted; /* nodes that want old bytes */
	uint64_t spurious;
	/* the running transaction, from prepare to its end */
	const struct memslot_txn *txn;
	/* its new layout has been adopted: counts live there from now on */
	bool adopted;
	_Atomic(uint32_t) sealed;  /* 1: adds and removes wait for it to be 0 */
	_Atomic(uint64_t) version; /* of the set of tracked pages */
};

static inline void pt_lock(struct pagetrack *pt)
{
	memslot_lock(&pt->lock, pt->pf);
}

static inline void pt_unlock(struct pagetrack *pt)
{
	memslot_unlock(&pt->lock, pt->pf);
}

/* To change the set of pages: once no backend relies on it. */
static inline void pt_lock_pages(struct pagetrack *pt)
{
	pt_lock(pt);
	while (atomic_load(&pt->sealed)) {
		pt_unlock(pt);
		pt->pf->wait(pt->pf->ctx, &pt->sealed, 1);
		pt_lock(pt);
	}
}

/* ---- pages.c ------------------------------------------------------------ */

struct tracked_page *pages_find(
	const struct page_table *t, unsigned space, gfn_t gfn);
/* Free the page and its ranges. */
void page_free(const struct memslot_platform *pf, struct tracked_page *p);
/* Room for one more page. -ENOMEM. */
int pages_grow(struct page_table *t, const struct memslot_platform *pf);
void pages_insert(struct page_table *t, struct tracked_page *p);
/* Unlink and return a page that is there. */
struct tracked_page *pages_take(
	struct page_table *t, unsigned space, gfn_t gfn);
/*
 * Unlink and return some page; NULL: there is none left. *cursor starts at 0
 * and nothing may be inserted until the table is empty.
 */
struct tracked_page *pages_take_any(struct page_table *t, uint64_t *cursor);

/* ---- track.c -------------------------------------------------------------- */

/*
 * Under pt->lock: the slot whose counts stand for this page now, inside a
 * read section which the caller ends with slot_put(). NULL: no slot.
 */
const struct memslot *slot_get(struct pagetrack *pt, unsigned space, gfn_t gfn);
void slot_put(struct pagetrack *pt);
/* Forget all pages of a node, with their counts. Under pt->lock. */
void node_forget_pages(struct pagetrack_node *node);
/* The same for one page, if the node tracks it. */
void node_forget_page(struct pagetrack_node *node, unsigned space, gfn_t gfn);

/* ---- node.c --------------------------------------------------------------- */

/*
 * Walk the nodes with the lock dropped in the body: starts with NULL, pins
 * what it returns and unpins `prev`. Under pt->lock. A walk must be finished
 * (until NULL) or ended with node_unpin().
 */
struct pagetrack_node *node_next(struct pagetrack *pt,
	struct pagetrack_node *prev, struct pagetrack_pin *pin);
void node_pin(struct pagetrack_node *node, struct pagetrack_pin *pin);
void node_unpin(struct pagetrack_node *node, struct pagetrack_pin *pin);

/* ---- filter.c ---------------------------------------------------------------- */

/* Does the node want a write to these bytes of the page? */
bool page_wants(const struct tracked_page *p, gpa_t gpa, size_t len);

/* ---- queue.c ----------------------------------------------------------------- */

/* Under no lock. Puts the write into the node's queue, or drops it. */
void queue_put(struct pagetrack_node *node, const struct pagetrack_write *w);
/* Nobody waits for room any more: the node is dead. Under pt->lock. */
void queue_close(struct pagetrack_node *node);
void queue_free(struct pagetrack_node *node);
uint64_t queue_dropped(struct pagetrack_node *node);

/* ---- moves.c ---------------------------------------------------------------- */

extern const struct memslot_participant_ops pagetrack_participant_ops;
/*
 * While a transaction runs: make sure that a page tracked now can be counted
 * where it will be afterwards. Under pt->lock. -ENOMEM.
 */
int moves_reserve_page(struct pagetrack_node *node, unsigned space, gfn_t gfn,
	struct memslot_error *err);

#endif
