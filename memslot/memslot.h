/* SPDX-License-Identifier: MIT */
/*
 * memslot.h - guest-physical memory under transactional control
 *
 * A machine's memory map is a set of slots. A slot says that the guest pages
 * [base_gfn, base_gfn + size_pages) of one address space are backed by
 * consecutive bytes of host memory. The map is changed only by transactions:
 *
 *   validate  apply the operations, in order, to a copy of the layout
 *   prepare   everything that can fail: memory, metadata, others' consent
 *   swap out  leaving and changing slots become invalid; readers drain
 *   flush     translations derived from those slots are forgotten
 *   apply     the backend is made to agree (may still refuse: undone)
 *   swap in   the new set is published; the generation grows by one
 *   notify    everybody hears `committed`; the old is freed
 *
 * An error leaves the machine exactly as it was. A reader never locks and
 * sees one consistent set; only an access that meets an invalid slot waits,
 * for the end of the transaction, and then looks again.
 *
 * Units: gpa and sizes given by callers are bytes, gfn and *_pages count
 * 4 KiB pages. Ranges are half open. Errors are negative errno values; where
 * a `struct memslot_error` is passed (it may be NULL), it also receives one
 * sentence with the numbers. The library prints nothing, starts no threads
 * and has no globals; memory, waiting and time come in through
 * `struct memslot_platform`.
 *
 * Locks and threads: docs/locking.md. Glossary: docs/glossary.md.
 * Kernel counterpart: Documentation/virt/kvm/api.rst 4.35,
 * KVM_SET_USER_MEMORY_REGION, and virt/kvm/kvm_main.c.
 */
#ifndef MEMSLOT_MEMSLOT_H
#define MEMSLOT_MEMSLOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memslot/cdefs.h"

MEMSLOT_BEGIN_DECLS

typedef uint64_t gpa_t; /* guest-physical address, bytes */
typedef uint64_t gfn_t; /* guest frame number: gpa >> 12 */

#define MEMSLOT_PAGE_SHIFT 12
#define MEMSLOT_PAGE_SIZE  ((uint64_t)1 << MEMSLOT_PAGE_SHIFT)
#define MEMSLOT_PAGE_MASK  (MEMSLOT_PAGE_SIZE - 1)

/* A large page is 2 MiB: 512 small ones. */
#define MEMSLOT_LARGE_SHIFT 9
#define MEMSLOT_LARGE_PAGES ((uint64_t)1 << MEMSLOT_LARGE_SHIFT)

/* Limits, the same as Linux KVM's on x86-64 (KVM_CAP_NR_MEMSLOTS and others) */
#define MEMSLOT_IDS_MAX    32764u                    /* ids 0 .. 32763 */
#define MEMSLOT_SPACES_MAX 16u                       /* address spaces */
#define MEMSLOT_GPA_LIMIT  ((uint64_t)1 << 52)       /* bytes of one space */
#define MEMSLOT_PAGES_MAX  (((uint64_t)1 << 31) - 1) /* pages of one slot */

/* What a caller may ask of a slot. */
#define MEMSLOT_LOG_DIRTY 0x1u /* writes mark pages in the dirty log */
#define MEMSLOT_READONLY  0x2u /* guest writes are not performed */
#define MEMSLOT_FLAGS_ALL (MEMSLOT_LOG_DIRTY | MEMSLOT_READONLY)

struct memslots;       /* one machine's memory map, all its address spaces */
struct memslot_set;    /* one published, immutable version of the map */
struct memslot_txn;    /* a transaction being collected or committed */
struct memslot_bitmap; /* a bit for each page of some memory */
struct memslot_track;  /* write-track counts of some memory */
struct memslot_large;  /* where 2 MiB mappings are disallowed */

struct memslot_error {
	int code;       /* negative errno, 0 if unset */
	char text[232]; /* one sentence, no newline */
};

/* ---- the platform --------------------------------------------------- */

/*
 * What the library needs from its surroundings. All of it may be called from
 * several threads at once. `memslot_hosted` (hosted.c) does it with libc and
 * futexes; a bare-metal user brings a table of his own.
 */
struct memslot_platform {
	void *ctx;
	/* Zeroed memory aligned for any type; NULL if there is none. */
	void *(*alloc)(void *ctx, size_t size);
	void (*free)(void *ctx, void *p);
	/*
	 * Sleep while *word == seen; may return early for no reason. `wake`
	 * wakes all that sleep on word. (futex(2) FUTEX_WAIT, FUTEX_WAKE)
	 */
	void (*wait)(void *ctx, MEMSLOT_ATOMIC(uint32_t) * word, uint32_t seen);
	void (*wake)(void *ctx, MEMSLOT_ATOMIC(uint32_t) * word);
	/* A number other than 0 that names the calling thread. */
	uintptr_t (*self)(void *ctx);
	/*
	 * A monotonic clock in nanoseconds, for statistics and for how long
	 * to relax before a reader is looked at again. It may stand still.
	 */
	uint64_t (*now_ns)(void *ctx);
};

extern const struct memslot_platform memslot_hosted;

/* ---- a slot, as readers see it -------------------------------------- */

/*
 * One version of a slot. Immutable while published, but for `invalid` and
 * the per-page arrays. Valid inside the read section that looked it up.
 */
struct memslot {
	gfn_t base_gfn;
	uint64_t size_pages;
	uint8_t *host;  /* first byte, page aligned */
	uint32_t flags; /* MEMSLOT_LOG_DIRTY, MEMSLOT_READONLY */
	uint16_t id;
	uint16_t space;
	MEMSLOT_ATOMIC(bool) invalid; /* a transaction is changing it: wait */
	struct memslot_bitmap *dirty; /* NULL without LOG_DIRTY */
	struct memslot_track *track;  /* never NULL */
	struct memslot_large *large;  /* never NULL */
	/* What was asked to be populated; NULL: nothing. Of the writer only. */
	struct memslot_bitmap *populated;
};

static inline bool memslot_contains(const struct memslot *s, gfn_t gfn)
{
	return gfn - s->base_gfn < s->size_pages;
}

/* Host address of a guest-physical address inside the slot. */
static inline uint8_t *memslot_host(const struct memslot *s, gpa_t gpa)
{
	return s->host + (gpa - (s->base_gfn << MEMSLOT_PAGE_SHIFT));
}

/* Is the page write-tracked? gfn must lie in the slot. Lock-free. */
bool memslot_page_tracked(const struct memslot *s, gfn_t gfn);

/*
 * Mark a page dirty (no effect without LOG_DIRTY) / ask whether it is. gfn
 * must lie in the slot. Lock-free, any thread inside a read section. Whoever
 * writes guest memory marks after the bytes are written, so that a page
 * harvested clean can not hold bytes nobody will be told about.
 */
void memslot_mark_dirty(const struct memslot *s, gfn_t gfn);
/* As far as the log knows: under KVM stores are in it after a harvest. */
bool memslot_page_dirty(const struct memslot *s, gfn_t gfn);

/*
 * May a CPU store to this page without telling anybody? False for read-only
 * slots, tracked pages, and dirty-logged pages that are still clean. This is
 * the question to ask before a writable translation is created; the answer
 * holds until the participant's `flush` or `protect` says otherwise.
 */
static inline bool memslot_page_writable(const struct memslot *s, gfn_t gfn)
{
	return !(s->flags & MEMSLOT_READONLY) &&
	       !memslot_page_tracked(s, gfn) &&
	       (!(s->flags & MEMSLOT_LOG_DIRTY) || memslot_page_dirty(s, gfn));
}

/*
 * May the 2 MiB frame around gfn be mapped as one page? False at a head or
 * tail that is not 2 MiB aligned, where base and host address disagree
 * modulo 2 MiB, and where a page of the frame is tracked.
 */
bool memslot_large_ok(const struct memslot *s, gfn_t gfn);

/* ---- life of a map --------------------------------------------------- */

struct memslot_order;
extern const struct memslot_order memslot_order_ours;
/*
 * Flush before prepare, and a flush that means "gone": Linux KVM's order and
 * contract of 2022. It loses write protections when a change fails. For
 * demonstrations and tests only.
 */
extern const struct memslot_order memslot_order_legacy;

/*
 * A map of `spaces` empty address spaces (1 .. MEMSLOT_SPACES_MAX). It takes
 * some 40 KiB, most of it kept for transactions to work in.
 * Errors: -EINVAL spaces out of range; -ENOMEM.
 */
int memslots_create(const struct memslot_platform *pf, unsigned spaces,
	struct memslots **out, struct memslot_error *err);

/*
 * Free the map and all slots; host memory stays the caller's. No reader,
 * transaction, harvest or participant may be left. NULL is allowed.
 */
void memslots_destroy(struct memslots *ms);

/*
 * Options of one space. NO_MOVES: moves are refused (-EPERM) in validate,
 * before they have any effect. -EINVAL unknown space or option.
 */
#define MEMSLOT_SPACE_NO_MOVES 0x1u
int memslots_set_space_options(
	struct memslots *ms, unsigned space, uint32_t options);

/* Choose the order of phases. Not while a transaction is being committed. */
void memslots_set_order(struct memslots *ms, const struct memslot_order *order);
const struct memslot_order *memslots_order(const struct memslots *ms);
const char *memslot_order_name(const struct memslot_order *order);
/* Does a flush under this order mean that the memory is gone (legacy)? */
bool memslot_order_flush_forgets(const struct memslot_order *order);

const struct memslot_platform *memslots_platform(const struct memslots *ms);
/* Grows by one with each commit that changed something. Any thread. */
uint64_t memslots_generation(const struct memslots *ms);
unsigned memslots_spaces(const struct memslots *ms);
/* Has an undo been refused? Then the machine must stop. Any thread. */
bool memslots_broken(const struct memslots *ms);

/* ---- reading --------------------------------------------------------- */

/*
 * A reader is one thread (a vCPU, a device thread). Everything it learns
 * from a set stays valid from memslot_enter() to memslot_leave(). Sections
 * do not nest. A thread must leave its section before it waits for anything
 * that a transaction may be waiting for.
 *
 * `kick`, if not NULL, is called from the transaction's thread when the
 * transaction waits for this reader; a reader that stays in a section for
 * long (a vCPU running guest code) must then leave it soon. It is called
 * with the registry of readers locked: it must not call this library.
 */
struct memslot_reader {
	/* A transaction that waits for this reader looks at these. */
	MEMSLOT_ALIGNED(64) MEMSLOT_ATOMIC(uint64_t) section; /* odd: inside */
	MEMSLOT_ATOMIC(uint32_t) asked; /* somebody waits for this reader */
	/*
	 * Nobody else touches these, and their cache line stays. The range of
	 * the last hit is kept here so that asking does not touch the slot.
	 */
	MEMSLOT_ALIGNED(64) unsigned last_space;
	gfn_t last_gfn;
	uint64_t last_pages; /* 0: no last hit */
	const struct memslot *last;
	uint64_t last_generation; /* of the set that `last` is from */
	const struct memslot_set *set;
	struct memslots *ms;
	/* Of the registry, under its lock. */
	MEMSLOT_ALIGNED(64) struct memslot_reader *next;
	uint64_t seen; /* `section` when the grace period began */
	void (*kick)(void *ctx);
	void *kick_ctx;
};

/* The reader must stay where it is until memslot_reader_fini(). */
void memslot_reader_init(struct memslot_reader *r, struct memslots *ms,
	void (*kick)(void *ctx), void *kick_ctx);
/* Outside a section only. */
void memslot_reader_fini(struct memslot_reader *r);

void memslot_enter(struct memslot_reader *r);
void memslot_leave(struct memslot_reader *r);

/*
 * Outside a section: sleep until no slot is invalid, that is until the
 * transaction in flight, if any, has ended. Returns at once if there is none,
 * and in a callback of that transaction.
 */
void memslot_wait_valid(struct memslot_reader *r);

/* Inside a section: */
const struct memslot *memslot_search(
	struct memslot_reader *r, unsigned space, gfn_t gfn);

/*
 * The slot that holds gfn, or NULL. The slot may be invalid: leave the
 * section, memslot_wait_valid(), enter and look again; never treat it as a
 * hole. O(log slots), and a compare if it is the slot of the last lookup.
 */
static inline const struct memslot *memslot_lookup(
	struct memslot_reader *r, unsigned space, gfn_t gfn)
{
	if (gfn - r->last_gfn < r->last_pages && space == r->last_space)
		return r->last;
	return memslot_search(r, space, gfn);
}

static inline bool memslot_is_invalid(const struct memslot *s)
{
	return __atomic_load_n((const bool *)&s->invalid, __ATOMIC_ACQUIRE);
}

const struct memslot *memslot_by_id(
	struct memslot_reader *r, unsigned space, unsigned id);

/*
 * The slot whose host memory holds `host`, and if several do (aliases) the
 * first after `prev` in order of host base, space and id; prev NULL starts.
 * NULL: no (further) slot.
 */
const struct memslot *memslot_by_host(
	struct memslot_reader *r, const void *host, const struct memslot *prev);

/*
 * Ordered iteration by address: the first slot of the space that ends after
 * gfn, or NULL. Start with 0 and go on with base_gfn + size_pages.
 */
const struct memslot *memslot_next(
	struct memslot_reader *r, unsigned space, gfn_t gfn);

/*
 * The slot for an access, entering the section: enters, looks gfn up and, as
 * long as the slot is invalid, leaves, waits and retries; a callback of the
 * very transaction gets the slot as it was, at once. The reader is
 * inside a section when this returns, also when it returns NULL: there is no
 * slot, or the machine is broken (memslots_broken()) and must stop.
 */
const struct memslot *memslot_enter_at(
	struct memslot_reader *r, unsigned space, gfn_t gfn);

/*
 * Wait until every reader has been outside a section at least once since the
 * call began. Any thread that is itself outside; no lock of the caller's may
 * be one that a reader takes inside a section.
 */
void memslots_synchronize(struct memslots *ms);

/* ---- transactions ---------------------------------------------------- */

/* What a move does to the dirty log of the slot. */
enum memslot_move_dirty {
	MEMSLOT_MOVE_MARK_ALL, /* every page is dirty at its new address */
	MEMSLOT_MOVE_KEEP,     /* bits stay with their pages */
};

struct memslot_config {
	unsigned space;
	unsigned id;
	gpa_t gpa;     /* page aligned */
	uint64_t size; /* bytes, page aligned, not 0 */
	void *host;    /* page aligned; must outlive the slot */
	uint32_t flags;
};

/* Start collecting operations. Nothing is locked. -ENOMEM. */
int memslot_begin(struct memslots *ms, struct memslot_txn **out,
	struct memslot_error *err);

/*
 * Add an operation. These record what is wanted; all rules are checked by
 * memslot_commit(), which applies the operations in the order in which they
 * were added. They can only fail with -ENOMEM, which commit then reports
 * too, so that their results need not be looked at.
 */
int memslot_create(struct memslot_txn *t, const struct memslot_config *c);
int memslot_delete(struct memslot_txn *t, unsigned space, unsigned id);
int memslot_move(struct memslot_txn *t, unsigned space, unsigned id, gpa_t gpa,
	enum memslot_move_dirty dirty);
int memslot_set_flags(
	struct memslot_txn *t, unsigned space, unsigned id, uint32_t flags);

/*
 * Grow or shrink the slot at its end, to `size` bytes; its base and host
 * address stay. What is cut off is treated as deleted; new pages are clean.
 */
int memslot_resize(
	struct memslot_txn *t, unsigned space, unsigned id, uint64_t size);

/*
 * Cut the slot in two, `offset` bytes (page aligned) from its start. The
 * lower part keeps the id; the upper part becomes slot `new_id`, which must
 * be free. Nothing changes for the guest; dirty bits and protections stay.
 */
int memslot_split(struct memslot_txn *t, unsigned space, unsigned id,
	uint64_t offset, unsigned new_id);

/*
 * The reverse: slot `upper` becomes the end of slot `id`. It must begin where
 * `id` ends, in guest and in host memory, and have the same flags.
 */
int memslot_merge(
	struct memslot_txn *t, unsigned space, unsigned id, unsigned upper);

/* What becomes of the bytes when a slot gets other host memory. */
enum memslot_host_bytes {
	MEMSLOT_HOST_COPY,  /* copied while the slot is invalid */
	MEMSLOT_HOST_AS_IS, /* the caller has seen to it */
};

/*
 * Back the slot by other host memory of the same size. Everything else stays,
 * dirty bits and protections too. With COPY, the new memory must not overlap
 * what a slot of the transaction had before (-EINVAL): the bytes of two slots
 * cannot change places.
 */
int memslot_replace_host(struct memslot_txn *t, unsigned space, unsigned id,
	void *host, enum memslot_host_bytes bytes);

struct memslot_harvest;

/*
 * Delete a dirty-logged slot and hand out its last dirty bits: *out is set
 * when the transaction commits, and left alone if it fails. No write is in
 * neither this harvest nor an earlier one.
 */
int memslot_delete_harvest(struct memslot_txn *t, unsigned space, unsigned id,
	struct memslot_harvest **out);

/* What a commit did. */
struct memslot_result {
	uint64_t generation; /* of the map after the call */
	uint64_t pause_ns;   /* how long slots were invalid, 0 if never */
	unsigned changes;    /* slots changed, 0 for a transaction of no-ops */
};

/*
 * Commit, and free the transaction in either case. One transaction at a time
 * runs; others wait for it. Not inside a read section, not from a callback
 * of a participant (-EDEADLK there). `result` may be NULL.
 *
 * Errors, in the order in which they are checked; each sentence begins with
 * the number and name of the operation:
 *   -EDEADLK       the caller is inside a callback of a running commit
 *   -EIO           an earlier undo failed: the machine is broken
 *   -ENOMEM        no memory (also for recorded operations)
 *   -EINVAL        space or id out of range; flags unknown; gpa, size or host
 *                  not page aligned; size 0; host is NULL or passes the end
 *                  of user memory (2^56)
 *   -ENOENT        no slot of that id at that point of the list
 *   -ENXIO         delete and harvest: the slot is not dirty-logged
 *   -E2BIG         size above MEMSLOT_PAGES_MAX pages
 *   -ERANGE        gpa + size passes MEMSLOT_GPA_LIMIT
 *   -EPERM         move: the space has the option MEMSLOT_SPACE_NO_MOVES
 *   -EEXIST        create, split: the id is in use at that point of the list;
 *                  or, after all operations, two slots of the end state
 *                  overlap
 *   -EDOM          split: the offset is not inside the slot; merge: the two
 *                  are not neighbours, or differ in flags
 *   any            what a participant's prepare or apply returned
 *   -EIO           undo failed: the map and the backend disagree; the machine
 *                  is broken from now on
 */
int memslot_commit(struct memslot_txn *t, struct memslot_result *result,
	struct memslot_error *err);

/* Throw the transaction away instead. NULL is allowed. */
void memslot_discard(struct memslot_txn *t);

/* One-operation transactions. */
int memslots_create_slot(struct memslots *ms, const struct memslot_config *c,
	struct memslot_error *err);
int memslots_delete_slot(struct memslots *ms, unsigned space, unsigned id,
	struct memslot_error *err);
int memslots_move_slot(struct memslots *ms, unsigned space, unsigned id,
	gpa_t gpa, enum memslot_move_dirty dirty, struct memslot_error *err);
int memslots_set_slot_flags(struct memslots *ms, unsigned space, unsigned id,
	uint32_t flags, struct memslot_error *err);

/* ---- participants ---------------------------------------------------- */

enum memslot_change_kind {
	MEMSLOT_CHANGE_CREATE,  /* from is NULL */
	MEMSLOT_CHANGE_DELETE,  /* to is NULL */
	MEMSLOT_CHANGE_MOVE,    /* same memory, other base (perhaps flags) */
	MEMSLOT_CHANGE_FLAGS,   /* same memory and base, other flags */
	MEMSLOT_CHANGE_REPLACE, /* deleted and created again under its id */
	/*
	 * Resized, split, merged, or backed by other host memory: `from` may
	 * be NULL, `to` consists of pieces.
	 */
	MEMSLOT_CHANGE_RESHAPE,
};

/*
 * Where a new version's memory comes from: its pages [at_page, at_page +
 * size_pages) are pages [first_page, ...) of the published slot `origin`.
 */
struct memslot_piece {
	struct memslot_piece *next;
	struct memslot *origin;
	uint64_t first_page;
	uint64_t size_pages;
	uint64_t at_page;
};

/* The net effect of a transaction on one slot id. */
struct memslot_change {
	enum memslot_change_kind kind;
	unsigned op;     /* number of the last operation that named the slot */
	bool mark_dirty; /* moved, and MEMSLOT_MOVE_MARK_ALL was asked for */
	bool copy;       /* MEMSLOT_HOST_COPY was asked for */
	struct memslot *from; /* the published version, NULL for CREATE */
	struct memslot *to;   /* the version to be published, NULL for DELETE */
	const struct memslot_piece *pieces; /* of `to`, in order */
};

/* For callbacks: what the running transaction changes, and its order. */
const struct memslot_change *memslot_txn_changes(
	const struct memslot_txn *t, size_t *count);
const struct memslot_order *memslot_txn_order(const struct memslot_txn *t);
/*
 * Where the memory behind page *gfn of a leaving slot will be if the
 * transaction commits: the slot, and its page number there in *gfn; NULL if
 * no slot will have that memory.
 */
const struct memslot *memslot_txn_heir(const struct memslot_txn *t,
	const struct memslot_change *c, gfn_t *gfn);
/* The slot that will hold gfn if the transaction commits, or NULL. */
const struct memslot *memslot_txn_find(
	const struct memslot_txn *t, unsigned space, gfn_t gfn);

/*
 * A participant takes part in every transaction. Any callback may be NULL.
 * They run in the committing thread with the transaction lock held and no
 * other; vCPUs run meanwhile. `prepare` and `apply` go through the list in
 * order of registration, `cancel` and `undo` backwards.
 */
struct memslot_participant_ops {
	const char *name;
	/* May refuse: negative errno and a sentence in err (never NULL). */
	int (*prepare)(void *ctx, const struct memslot_txn *t,
		struct memslot_error *err);
	/* A later step failed; this participant's prepare had succeeded. */
	void (*cancel)(void *ctx, const struct memslot_txn *t);
	/*
	 * Forget translations of the old ranges of all changes. When it
	 * returns no CPU uses one. Protections stay.
	 */
	void (*flush)(void *ctx, const struct memslot_txn *t);
	/*
	 * Backends: make the outside agree. A refusal must leave nothing
	 * applied; participants that had applied get `undo`. A failing undo
	 * breaks the machine, and so does a refusal with -ENOTRECOVERABLE:
	 * what had been applied could not be taken back.
	 */
	int (*apply)(void *ctx, const struct memslot_txn *t,
		struct memslot_error *err);
	int (*undo)(void *ctx, const struct memslot_txn *t);
	/*
	 * Last call before the new set is published: bring per-page state of
	 * the new slots up to date. Cannot fail.
	 */
	void (*adopt)(void *ctx, const struct memslot_txn *t);
	/*
	 * Readers see the new set from now on, and nobody has been told yet:
	 * for backends that have held up CPUs, or others, until this point.
	 */
	void (*published)(void *ctx, const struct memslot_txn *t);
	void (*committed)(void *ctx, const struct memslot_txn *t);
	/*
	 * The transaction failed after slots had been invalid. The old set
	 * stands again. Follows `cancel`/`undo`.
	 */
	void (*aborted)(void *ctx, const struct memslot_txn *t);
	/*
	 * Not part of a transaction: withdraw write permission from cached
	 * translations of these pages (tracking starts, dirty log re-armed).
	 * When it returns no CPU writes them without a slow path. Any thread
	 * outside a read section; a harvest calls it with the transaction
	 * lock held.
	 */
	void (*protect)(
		void *ctx, unsigned space, gfn_t gfn, uint64_t size_pages);
	/*
	 * Nor are these part of a transaction. Pages of the range have become
	 * tracked: from the return of `track` on no CPU writes a tracked page
	 * of the range unseen. May refuse, changing nothing, with a negative
	 * errno and a sentence in err (never NULL); only for backends to which
	 * `protect` is not enough. `untrack`: pages of the range are tracked no
	 * more; what fails leaves them protected for nothing. Which pages are
	 * tracked is to be looked up when these are called. Threads as for
	 * `protect`; also while a transaction runs. -ENOTRECOVERABLE from
	 * either breaks the machine.
	 */
	int (*track)(void *ctx, unsigned space, gfn_t gfn, uint64_t size_pages,
		struct memslot_error *err);
	int (*untrack)(
		void *ctx, unsigned space, gfn_t gfn, uint64_t size_pages);
	/*
	 * Somebody asks for the dirty log of these pages: mark what CPUs have
	 * written and not marked yet, in such a way that what they write from
	 * now on is found by the next call. May fail: what it has marked
	 * stays marked. With the transaction lock held.
	 */
	int (*sync_dirty)(void *ctx, unsigned space, gfn_t gfn,
		uint64_t size_pages, struct memslot_error *err);
	/*
	 * Have translations of these pages ready before they are touched, as
	 * far as that can be done. Writable ones only where
	 * memslot_page_writable() allows. With the transaction lock held.
	 */
	void (*populate)(
		void *ctx, unsigned space, gfn_t gfn, uint64_t size_pages);
	/*
	 * An undo was refused: what the backend maps is not known any more.
	 * A CPU backend stops its CPUs; memslots_broken() is true from now on.
	 */
	void (*broken)(void *ctx);
};

struct memslot_participant {
	const struct memslot_participant_ops *ops;
	void *ctx;
	struct memslot_participant *next; /* private */
	unsigned steps; /* private: what it has done in this transaction */
};

/*
 * Join at the end of the list, leave. Both wait for a running transaction;
 * -EDEADLK from a callback. The participant must stay where it is between.
 */
int memslots_join(struct memslots *ms, struct memslot_participant *p);
int memslots_quit(struct memslots *ms, struct memslot_participant *p);

/*
 * Call every participant's `protect`. Any thread outside a read section and
 * not from a callback of `protect` itself.
 */
void memslots_protect(
	struct memslots *ms, unsigned space, gfn_t gfn, uint64_t size_pages);

/*
 * Call every participant's `track`, or `untrack`; by the tracker, after it has
 * counted. If one refuses, those before it are told so once the caller
 * has taken back its counts and called memslots_untrack().
 */
int memslots_track(struct memslots *ms, unsigned space, gfn_t gfn,
	uint64_t size_pages, struct memslot_error *err);
/* 0, or -EIO: the machine is broken. */
int memslots_untrack(
	struct memslots *ms, unsigned space, gfn_t gfn, uint64_t size_pages);

/*
 * Have the pages ready before the guest touches them (size 0: to the end of
 * the slot), and remember it: after a committed move they are populated at
 * the new place, after a failed one again at the old. Never waits for a
 * transaction. Any thread outside a read section.
 *   -EAGAIN  a transaction is running: try again later
 *   -ENOENT  a page of the range has no slot (nothing was done)
 *   -EINVAL  space out of range, range wraps or passes the limit
 *   -ENOMEM
 */
int memslots_populate(struct memslots *ms, unsigned space, gfn_t gfn,
	uint64_t size_pages, struct memslot_error *err);

/* ---- write-track counts (used by pagetrack/) -------------------------- */

/*
 * Make sure the slot's memory has a count array, 2 bytes a page. -ENOMEM.
 * The functions below want one lock of the caller's held by all who
 * change the counts of this map; readers of the counts need none.
 */
int memslot_track_reserve(struct memslots *ms, const struct memslot *s,
	struct memslot_error *err);
/*
 * Count a page up or down; gfn lies in the slot and the array is reserved.
 * Up returns -EOVERFLOW at 65535, down -EINVAL at 0: nothing has changed.
 */
int memslot_track_up(const struct memslot *s, gfn_t gfn);
int memslot_track_down(const struct memslot *s, gfn_t gfn);
/*
 * Advance *gfn to the first tracked page at or after it; false: there is
 * none in the slot. Costs nothing for a slot without tracked pages.
 */
bool memslot_next_tracked(const struct memslot *s, gfn_t *gfn);

/* ---- dirty log -------------------------------------------------------- */

/*
 * A harvest takes the dirty bits of one slot, or of some of its pages, out of
 * the log. It ends with done (the bits are forgotten) or give_back (they are
 * dirty again, wherever the memory is by then: moves, splits, merges and
 * resizes in between do not matter; what was deleted needs no bits). Pages
 * written after the harvest returned are dirty again; pages written before
 * are in it.
 *
 * A log of many pages can be harvested in chunks, each of which withdraws
 * write permission from its own pages only.
 */

/*
 * Outside a read section, not from a callback (-EDEADLK). Waits for a running
 * transaction. Errors: -EINVAL no such id or space, or the pages are not in
 * the slot; -ENOENT no such slot; -ENXIO the slot is not dirty-logged;
 * -ENOMEM, or what a backend's sync_dirty returned: nothing is lost.
 * `size_pages` 0: to the end of the slot.
 */
int memslot_harvest_range(struct memslots *ms, unsigned space, unsigned id,
	uint64_t first_page, uint64_t size_pages, struct memslot_harvest **out,
	struct memslot_error *err);
static inline int memslot_harvest(struct memslots *ms, unsigned space,
	unsigned id, struct memslot_harvest **out, struct memslot_error *err)
{
	return memslot_harvest_range(ms, space, id, 0, 0, out, err);
}
/*
 * The pages of the slot that were looked at: [first, first + size). Pages are
 * numbered from the start of the slot at the time of the harvest.
 */
uint64_t memslot_harvest_first_page(const struct memslot_harvest *h);
uint64_t memslot_harvest_size_pages(const struct memslot_harvest *h);
bool memslot_harvest_test(const struct memslot_harvest *h, uint64_t page);
uint64_t memslot_harvest_count(const struct memslot_harvest *h);
/* Both free the harvest; NULL is allowed. give_back waits like harvest. */
void memslot_harvest_done(struct memslot_harvest *h);
void memslot_harvest_give_back(struct memslot_harvest *h);

MEMSLOT_END_DECLS

#endif
