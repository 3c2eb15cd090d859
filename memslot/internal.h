/* SPDX-License-Identifier: MIT */
/* internal.h - what the files of memslot/ share with each other only */
#ifndef MEMSLOT_INTERNAL_H
#define MEMSLOT_INTERNAL_H

#include "memslot/error.h"
#include "memslot/fault.h"
#include "memslot/lock.h"
#include "memslot/map.h"
#include "memslot/memslot.h"
#include "memslot/spare.h"

#include <errno.h>
#include <string.h>

/* ---- the map ---------------------------------------------------------- */

/*
 * One version of the map. Three indexes over the same slots; keys carry the
 * address space, so that one transaction can span spaces. by_host names slots
 * by id: nothing changes there when a slot moves.
 */
struct memslot_set {
	uint64_t generation;
	struct map_node *by_gfn;  /* gfn_key -> slot */
	struct map_node *by_id;   /* id_key -> slot */
	struct map_node *by_host; /* host_key -> host_value; may overlap */
};

/* Bytes; a larger one is given back by the transaction after it. */
#define MEMSLOT_ARENA_MIN  2048u
#define MEMSLOT_ARENA_KEEP ((size_t)128 << 10)

#define MEMSLOT_NODES_KEEP 32u /* a batch of 64 neighbours takes some 25 */

/* Keeps what two sides write out of each other's cache lines. */
#define MEMSLOT_APART 64

struct memslots {
	/*
	 * Readers load these when they enter or meet an invalid slot; the
	 * writer stores to them a few times in a transaction. Pads, not an
	 * alignment: memory is aligned for any type, not for a cache line.
	 */
	char apart_before[MEMSLOT_APART];
	_Atomic(struct memslot_set *) set;
	_Atomic(uint32_t) window;  /* odd: some slot is invalid */
	_Atomic(uint32_t) waiting; /* readers that sleep on `window` */
	char apart_after[MEMSLOT_APART];

	const struct memslot_platform *pf;
	struct memslot_lock readers_lock; /* `readers`, grace periods */
	struct memslot_reader *readers;

	struct memslot_lock txn_lock; /* one transaction, join, harvest */
	_Atomic(uintptr_t) owner;     /* the thread that holds txn_lock */
	_Atomic(uint64_t) generation; /* of the published set */
	uint64_t edits;               /* numbers given to map edits */
	void *arena;                  /* what a transaction works in */
	size_t arena_size;
	struct spare slabs, nodes;
	_Atomic(struct op_chunk *) spare_ops; /* a large one that is free */
	_Atomic(bool) broken;
	struct memslot_lock list_lock; /* `participants` against protect */
	struct memslot_participant *participants;

	unsigned spaces;
	_Atomic(uint32_t) space_options[MEMSLOT_SPACES_MAX];
	const struct memslot_order *order;
	struct fault_plan *faults;
};

static inline uint64_t gfn_key(unsigned space, gfn_t gfn)
{
	return (uint64_t)space << 40 | gfn;
}

static inline uint64_t id_key(unsigned space, unsigned id)
{
	return (uint64_t)space << 15 | id;
}

/* No host we know has user addresses of more than 56 bits. */
#define MEMSLOT_HOST_LIMIT ((uint64_t)1 << 56)

/* Host page number, then space and id: unique although hosts may repeat. */
#define HOST_KEY_SHIFT 19
static inline uint64_t host_key(const void *host, uint64_t low)
{
	return ((uint64_t)(uintptr_t)host >> MEMSLOT_PAGE_SHIFT)
		       << HOST_KEY_SHIFT |
	       low;
}

/* An entry of by_host is not NULL. */
static inline void *host_value(unsigned space, unsigned id)
{
	return (void *)(uintptr_t)(id_key(space, id) + 1);
}

static inline uint64_t host_value_id_key(const void *value)
{
	return (uint64_t)(uintptr_t)value - 1;
}

static inline void *ms_alloc(struct memslots *ms, unsigned point, size_t size)
{
	if (FAULT(ms->faults, point))
		return NULL;
	return ms->pf->alloc(ms->pf->ctx, size);
}

static inline void ms_free(struct memslots *ms, void *p)
{
	if (p)
		ms->pf->free(ms->pf->ctx, p);
}

/* Take the transaction lock; -EDEADLK if this thread already has it. */
int ms_lock_txn(struct memslots *ms, struct memslot_error *err);
/* The same without waiting: -EAGAIN. */
int ms_trylock_txn(struct memslots *ms);
void ms_unlock_txn(struct memslots *ms);
/* The machine is broken from now on: tell all participants. */
void ms_break(struct memslots *ms);
/* Does the calling thread hold it? */
bool ms_owns_txn(const struct memslots *ms);

/* memslots_synchronize() for somebody who can wait longer. */
void ms_synchronize_gently(struct memslots *ms);

/* The published set; only while the transaction lock is held. */
static inline struct memslot_set *ms_set(struct memslots *ms)
{
	return atomic_load_explicit(&ms->set, memory_order_relaxed);
}

/* ---- per-page state (meta.c) ------------------------------------------ */

/* Shared by all versions of a slot that have the same memory. */
struct memslot_bitmap {
	_Atomic(uint32_t) refs;
	_Atomic(uint32_t)
		harvests; /* that may give bits back, also through heirs */
	struct dirty_heir *heirs; /* under the transaction lock */
	uint64_t size_pages;
	_Atomic(uint64_t) bits[]; /* page k of the slot is bit k */
};

/*
 * Memory was reshaped while a harvest of it was out: bits that come back for
 * pages [first, first + size) of the old log belong to [at, ...) of another.
 */
struct dirty_heir {
	struct dirty_heir *next;
	struct memslot_bitmap *origin; /* not referenced: it has us */
	struct memslot_bitmap *target; /* referenced */
	uint64_t first_page, size_pages, at_page;
};

struct memslot_track {
	uint32_t refs; /* of versions; under the transaction lock */
	_Atomic(uint64_t) tracked_pages;     /* with a count above 0 */
	_Atomic(_Atomic(uint16_t) *) counts; /* NULL until reserved */
};

/* Counts of reasons against a large page, one per 2 MiB frame touched. */
struct memslot_large {
	uint32_t refs; /* of versions; under the transaction lock */
	uint64_t frames;
	_Atomic(uint32_t) disallow[];
};

struct memslot_harvest {
	struct memslot_harvest *next; /* of a transaction */
	struct memslots *ms;
	struct memslot_bitmap *dirty; /* referenced */
	struct memslot_harvest **out; /* of a transaction: where to put it */
	uint64_t first_page, size_pages;
	_Atomic(uint64_t) bits[]; /* bit k: page first_page + k */
};

static inline uint64_t bitmap_words(uint64_t size_pages)
{
	return (size_pages + 63) / 64;
}

/*
 * Per-page state for a new version `to` of a slot: shared with `from` where
 * the change keeps it, new where it does not. from may be NULL. -ENOMEM.
 */
int meta_prepare(struct memslot_txn *t, const struct memslot *from,
	struct memslot *to, enum memslot_change_kind kind);
/* Let go of the slot's per-page state and free the slot. NULL is allowed. */
void slot_free(struct memslots *ms, struct memslot *s);
void meta_mark_all_dirty(struct memslot *s);
/* or the bits [first, first + n) of src into [at, ...) of dst. */
void bitmap_or(struct memslot_bitmap *dst, uint64_t at,
	const _Atomic(uint64_t) *src, uint64_t first, uint64_t n);
void bitmap_unref(struct memslots *ms, struct memslot_bitmap *d);
struct memslot_bitmap *bitmap_new(
	struct memslots *ms, unsigned point, uint64_t size_pages);

/* dirty.c: an empty harvest of some pages of a log. NULL: no memory. */
struct memslot_harvest *harvest_new(struct memslots *ms, unsigned point,
	struct memslot_bitmap *d, uint64_t first_page, uint64_t size_pages);
/* Move the bits from the log into it. */
void harvest_take(struct memslot_harvest *h);
/* Under the transaction lock. */
void harvest_free(struct memslot_harvest *h);

/* ---- transactions ------------------------------------------------------ */

enum memslot_op_kind {
	MEMSLOT_OP_CREATE,
	MEMSLOT_OP_DELETE,
	MEMSLOT_OP_MOVE,
	MEMSLOT_OP_FLAGS,
	MEMSLOT_OP_RESIZE,
	MEMSLOT_OP_SPLIT,
	MEMSLOT_OP_MERGE,
	MEMSLOT_OP_HOST,
};

struct memslot_op {
	enum memslot_op_kind kind;
	struct memslot_config c; /* fields the kind does not use are 0 */
	enum memslot_move_dirty dirty;
	unsigned other_id; /* split: the new id; merge: the upper slot */
	bool copy;         /* host */
	struct memslot_harvest **harvest; /* delete: where to hand it out */
};

/* Operations come one by one; what is recorded stays where it is. */
struct op_chunk {
	struct op_chunk *next;
	unsigned count, room;
	struct memslot_op op[];
};

/* What validation works on: the layout's copy, one entry per named slot. */
struct memslot_plan {
	struct memslot_config c; /* as the operations so far would have it */
	struct memslot *from;    /* the published slot or NULL */
	bool exists;
	bool fresh; /* created by this transaction: nothing is carried over */
	bool mark_dirty; /* moved, and all pages are to be dirty */
	bool copy;       /* other host memory, and the bytes are to be copied */
	struct memslot_piece *pieces; /* in order, neighbours joined */
	struct memslot_harvest **harvest;
	unsigned op;
};

struct memslot_txn {
	struct memslots *ms;
	const struct memslot_order *order;
	struct memslot_error *err; /* never NULL during a commit */

	struct op_chunk *ops, *last_ops; /* in order */
	unsigned op_count;
	bool record_failed;

	/* Six arrays in the arena of the map. */
	struct memslot_plan *plans;       /* one per slot named */
	struct map_change *index_changes; /* two per slot named */
	struct map_change *index_scratch;
	unsigned plan_count;
	struct memslot_piece *pool; /* pieces, as many as can be needed */
	unsigned pool_used;
	const struct map_node *id_leaf; /* for map_get() */
	uint32_t *plan_hash;            /* id_key -> index + 1 into plans */
	uint32_t hash_mask;

	struct memslot_change *changes;
	size_t change_count;

	struct slab *slab; /* has room for more, or NULL */
	struct map_edit edit;
	struct memslot_set *set; /* to be published */

	struct dirty_heir *heirs; /* attached to their origins at swap in */
	struct memslot_harvest *harvests; /* handed out at swap in */

	bool swapped_out; /* what a failure has to take back */
	uint64_t pause_start_ns;
	uint64_t pause_ns;
};

/*
 * slab.c: small objects that come into the world together. Zeroed; NULL: no
 * memory. Freed one by one, under the transaction lock.
 */
bool slabs_reserve(struct memslots *ms); /* false: no memory */
void *slab_alloc(struct memslot_txn *t, unsigned point, size_t size);
void slab_free(struct memslots *ms, void *object);
/* No more objects from this transaction. */
void slab_end(struct memslot_txn *t);

/* validate.c: plans, changes, and through layout.c the new set. */
int txn_validate(struct memslot_txn *t);
/* layout.c: slots and indexes of the end state. */
int layout_build(struct memslot_txn *t);
void layout_drop(struct memslot_txn *t);

/* pieces.c */
struct memslot_piece *piece_whole(struct memslot_txn *t, struct memslot *s);
/* Cut the list at `page`; returns what is at and after it, from page 0. */
struct memslot_piece *pieces_cut(
	struct memslot_txn *t, struct memslot_piece **list, uint64_t page);
/* Append `tail` behind `size_pages` pages; joins what belongs together. */
void pieces_join(struct memslot_piece **list, uint64_t size_pages,
	struct memslot_piece *tail);
/* Is this exactly the slot as it is published? */
bool pieces_are(const struct memslot_piece *list, const struct memslot *s);

/* populate.c: what has been asked for, again, where it is now. */
void populate_again(struct memslot_txn *t, bool committed);

/* reshape.c: dirty bits, harvests and bytes of memory that changes shape. */
int reshape_prepare(struct memslot_txn *t);
void reshape_cancel(struct memslot_txn *t);
void reshape_swap_in(struct memslot_txn *t);

const char *memslot_op_name(enum memslot_op_kind kind);
/* ops.c: room for a few operations, or for many; NULL: no memory. */
struct op_chunk *ops_new(struct memslots *ms, bool first);
void txn_free(struct memslot_txn *t);
/* Operation n, from 0. */
const struct memslot_op *txn_op(const struct memslot_txn *t, unsigned n);

/* "operation 2 (move) on slot 5 of space 0", for the start of a sentence */
#define OP_FMT "operation %u (%s) on slot %u of space %u: "
#define OP_ARGS(n, op) \
	(n), memslot_op_name((op)->kind), (op)->c.id, (op)->c.space

typedef unsigned long long ull; /* what %llx takes */

#endif
