/* SPDX-License-Identifier: MIT */
/*
 * validate.c - phase 1: is the end state one we can have?
 *
 * The operations are applied, in order, to a copy of that part of the layout
 * that they name. Each rule that one operation can break is checked when it
 * is applied; overlap is a rule about the end state only, so that slots may
 * swap places. What is left is the net change of each slot.
 */
#include "memslot/internal.h"

const char *memslot_op_name(enum memslot_op_kind kind)
{
	static const char *const name[] = {"create", "delete", "move",
		"set flags", "resize", "split", "merge", "replace host"};

	return name[kind];
}

/* ---- the copy of the layout --------------------------------------------- */

static uint32_t hash(uint64_t key, uint32_t mask)
{
	return (uint32_t)(key * 0x9e3779b97f4a7c15u >> 40) & mask;
}

/*
 * Memory for the arrays of a transaction, with whatever is in it. Kept for the next one: to
 * get it and give it back each time costs more than all that is done in it.
 */
static void *arena(struct memslots *ms, size_t size)
{
	if (FAULT(ms->faults, FAULT_VALIDATE_PLAN))
		return NULL;
	if (size > ms->arena_size || ms->arena_size > MEMSLOT_ARENA_KEEP) {
		size_t room =
			size < MEMSLOT_ARENA_MIN ? MEMSLOT_ARENA_MIN : size;
		void *more = ms->pf->alloc(ms->pf->ctx, room);

		if (!more)
			return NULL;
		ms_free(ms, ms->arena);
		ms->arena = more;
		ms->arena_size = room;
	}
	return ms->arena;
}

/*
 * An operation names at most two slots, begins at most a piece for each, and
 * cuts at most one.
 */
static int plans_alloc(struct memslot_txn *t)
{
	size_t slots = t->op_count * 2u + 1u, pieces = t->op_count * 3u + 1u;
	uint32_t buckets = 4;

	while (buckets < slots * 2u)
		buckets *= 2;
	t->plans =
		arena(t->ms, slots * (sizeof(*t->plans) + sizeof(*t->changes) +
					     4 * sizeof(*t->index_changes)) +
				     pieces * sizeof(*t->pool) +
				     buckets * sizeof(*t->plan_hash));
	if (!t->plans)
		return memslot_fail(t->err, -ENOMEM,
			"no memory to validate %u operations", t->op_count);
	/* In order of alignment: only the last has less than a pointer's. */
	t->changes = (void *)(t->plans + slots);
	t->index_changes = (void *)(t->changes + slots);
	t->index_scratch = t->index_changes + 2 * slots;
	t->pool = (void *)(t->index_scratch + 2 * slots);
	t->plan_hash = (void *)(t->pool + pieces);
	memset(t->plan_hash, 0, buckets * sizeof(*t->plan_hash));
	t->hash_mask = buckets - 1;
	return 0;
}

/* The plan of a slot: found, or begun from what is published. */
static struct memslot_plan *plan_of(
	struct memslot_txn *t, unsigned space, unsigned id)
{
	uint64_t key = id_key(space, id);
	uint32_t at = hash(key, t->hash_mask);
	struct memslot_plan *p;
	struct memslot *from;

	for (; t->plan_hash[at]; at = (at + 1) & t->hash_mask) {
		p = &t->plans[t->plan_hash[at] - 1];
		if (p->c.space == space && p->c.id == id)
			return p;
	}
	p = &t->plans[t->plan_count++];
	t->plan_hash[at] = t->plan_count;
	from = map_get(ms_set(t->ms)->by_id, key, &t->id_leaf);
	*p = (struct memslot_plan){
		.c = {.space = space, .id = id},
		.from = from,
		.exists = from != NULL,
	};
	if (from) {
		p->c.gpa = from->base_gfn << MEMSLOT_PAGE_SHIFT;
		p->c.size = from->size_pages << MEMSLOT_PAGE_SHIFT;
		p->c.host = from->host;
		p->c.flags = from->flags;
		p->pieces = piece_whole(t, from);
	}
	return p;
}

/* ---- rules of one operation ---------------------------------------------- */

static int check_id(
	struct memslot_txn *t, unsigned n, const struct memslot_op *op)
{
	if (op->c.space >= t->ms->spaces)
		return memslot_fail(t->err, -EINVAL,
			OP_FMT "there are only %u address spaces",
			OP_ARGS(n, op), t->ms->spaces);
	if (op->c.id >= MEMSLOT_IDS_MAX)
		return memslot_fail(t->err, -EINVAL,
			OP_FMT "slot ids end at %u", OP_ARGS(n, op),
			MEMSLOT_IDS_MAX - 1);
	return 0;
}

static int check_flags(
	struct memslot_txn *t, unsigned n, const struct memslot_op *op)
{
	if (op->c.flags & ~MEMSLOT_FLAGS_ALL)
		return memslot_fail(t->err, -EINVAL,
			OP_FMT "unknown flags %#x (known are %#x)",
			OP_ARGS(n, op), op->c.flags & ~MEMSLOT_FLAGS_ALL,
			MEMSLOT_FLAGS_ALL);
	return 0;
}

static int check_aligned(struct memslot_txn *t, unsigned n,
	const struct memslot_op *op, const char *what, uint64_t value)
{
	if (value & MEMSLOT_PAGE_MASK)
		return memslot_fail(t->err, -EINVAL,
			OP_FMT "%s %#llx is not a multiple of 4096",
			OP_ARGS(n, op), what, (ull)value);
	return 0;
}

static int check_host(
	struct memslot_txn *t, unsigned n, const struct memslot_op *op)
{
	uint64_t host = (uint64_t)(uintptr_t)op->c.host;

	if (!host)
		return memslot_fail(t->err, -EINVAL,
			OP_FMT "host address is NULL", OP_ARGS(n, op));
	if (host > MEMSLOT_HOST_LIMIT || op->c.size > MEMSLOT_HOST_LIMIT - host)
		return memslot_fail(t->err, -EINVAL,
			OP_FMT "%#llx bytes at host address %#llx are not "
			       "user memory",
			OP_ARGS(n, op), (ull)op->c.size, (ull)host);
	return check_aligned(t, n, op, "host address", host);
}

static int check_size(
	struct memslot_txn *t, unsigned n, const struct memslot_op *op)
{
	if (op->c.size == 0)
		return memslot_fail(t->err, -EINVAL,
			OP_FMT "size is 0; use delete to remove a slot",
			OP_ARGS(n, op));
	return 0;
}

static int check_other_id(
	struct memslot_txn *t, unsigned n, const struct memslot_op *op)
{
	if (op->other_id >= MEMSLOT_IDS_MAX || op->other_id == op->c.id)
		return memslot_fail(t->err, -EINVAL,
			OP_FMT "the other slot's id is %u; it must differ and "
			       "be at most %u",
			OP_ARGS(n, op), op->other_id, MEMSLOT_IDS_MAX - 1);
	return 0;
}

/* Rules that need nothing but the operation: all the -EINVAL ones. */
static int check_form(
	struct memslot_txn *t, unsigned n, const struct memslot_op *op)
{
	int r = check_id(t, n, op);

	/* What the kind does not use is 0 and passes. */
	if (!r)
		r = check_flags(t, n, op);
	if (!r)
		r = check_aligned(t, n, op, "guest address", op->c.gpa);
	if (!r)
		r = check_aligned(t, n, op, "size", op->c.size);
	if (r)
		return r;
	switch (op->kind) {
	case MEMSLOT_OP_CREATE:
		r = check_size(t, n, op);
		return r ? r : check_host(t, n, op);
	case MEMSLOT_OP_RESIZE:
		return check_size(t, n, op);
	case MEMSLOT_OP_HOST:
		return check_host(t, n, op);
	case MEMSLOT_OP_SPLIT:
	case MEMSLOT_OP_MERGE:
		return check_other_id(t, n, op);
	default:
		return 0;
	}
}

/* May a slot be at `gpa` with `size` bytes? */
static int check_range(struct memslot_txn *t, unsigned n,
	const struct memslot_op *op, gpa_t gpa, uint64_t size)
{
	uint64_t size_pages = size >> MEMSLOT_PAGE_SHIFT;

	if (size_pages > MEMSLOT_PAGES_MAX)
		return memslot_fail(t->err, -E2BIG,
			OP_FMT "%llu pages are more than the %llu a slot may "
			       "have",
			OP_ARGS(n, op), (ull)size_pages,
			(ull)MEMSLOT_PAGES_MAX);
	if (gpa > MEMSLOT_GPA_LIMIT || size > MEMSLOT_GPA_LIMIT - gpa)
		return memslot_fail(t->err, -ERANGE,
			OP_FMT "%#llx bytes at %#llx pass the guest address "
			       "limit %#llx",
			OP_ARGS(n, op), (ull)size, (ull)gpa,
			(ull)MEMSLOT_GPA_LIMIT);
	return 0;
}

/* ---- applying ------------------------------------------------------------- */

static int id_in_use(struct memslot_txn *t, unsigned n,
	const struct memslot_op *op, const struct memslot_plan *p)
{
	return memslot_fail(t->err, -EEXIST,
		OP_FMT "id %u is in use, by %#llx bytes at %#llx",
		OP_ARGS(n, op), p->c.id, (ull)p->c.size, (ull)p->c.gpa);
}

static int apply_create(struct memslot_txn *t, unsigned n,
	const struct memslot_op *op, struct memslot_plan *p)
{
	int r = check_range(t, n, op, op->c.gpa, op->c.size);

	if (r)
		return r;
	if (p->exists)
		return id_in_use(t, n, op, p);
	p->c = op->c;
	p->exists = p->fresh = true;
	p->mark_dirty = p->copy = false;
	p->pieces = NULL;
	return 0;
}

static int apply_delete(struct memslot_txn *t, unsigned n,
	const struct memslot_op *op, struct memslot_plan *p)
{
	if (op->harvest && (!p->from || !p->from->dirty))
		return memslot_fail(t->err, -ENXIO,
			OP_FMT "there is no dirty log to harvest",
			OP_ARGS(n, op));
	if (op->harvest && p->harvest)
		return memslot_fail(t->err, -EINVAL,
			OP_FMT "its log is handed out by this transaction "
			       "already",
			OP_ARGS(n, op));
	p->exists = p->fresh = false;
	p->pieces = NULL;
	if (op->harvest)
		p->harvest = op->harvest;
	return 0;
}

static int apply_move(struct memslot_txn *t, unsigned n,
	const struct memslot_op *op, struct memslot_plan *p)
{
	int r = check_range(t, n, op, op->c.gpa, p->c.size);

	if (r)
		return r;
	if (t->ms->space_options[op->c.space] & MEMSLOT_SPACE_NO_MOVES)
		return memslot_fail(t->err, -EPERM,
			OP_FMT "this space allows no moves", OP_ARGS(n, op));
	p->mark_dirty = op->dirty != MEMSLOT_MOVE_KEEP;
	p->c.gpa = op->c.gpa;
	return 0;
}

static int apply_resize(struct memslot_txn *t, unsigned n,
	const struct memslot_op *op, struct memslot_plan *p)
{
	struct memslot_op grown = *op;
	int r = check_range(t, n, op, p->c.gpa, op->c.size);

	grown.c.host = p->c.host;
	if (!r)
		r = check_host(t, n, &grown);
	if (r)
		return r;
	if (op->c.size < p->c.size)
		pieces_cut(t, &p->pieces, op->c.size >> MEMSLOT_PAGE_SHIFT);
	p->c.size = op->c.size;
	return 0;
}

static int apply_split(struct memslot_txn *t, unsigned n,
	const struct memslot_op *op, struct memslot_plan *p)
{
	struct memslot_plan *upper = plan_of(t, op->c.space, op->other_id);
	uint64_t offset = op->c.size;

	if (upper->exists)
		return id_in_use(t, n, op, upper);
	if (offset == 0 || offset >= p->c.size)
		return memslot_fail(t->err, -EDOM,
			OP_FMT "offset %#llx is not inside its %#llx bytes",
			OP_ARGS(n, op), (ull)offset, (ull)p->c.size);
	upper->c = p->c;
	upper->c.id = op->other_id;
	upper->c.gpa += offset;
	upper->c.host = (uint8_t *)p->c.host + offset;
	upper->c.size -= offset;
	upper->exists = true;
	upper->fresh = p->fresh;
	upper->mark_dirty = p->mark_dirty;
	upper->copy = p->copy;
	upper->op = n;
	upper->pieces = pieces_cut(t, &p->pieces, offset >> MEMSLOT_PAGE_SHIFT);
	p->c.size = offset;
	return 0;
}

static int apply_merge(struct memslot_txn *t, unsigned n,
	const struct memslot_op *op, struct memslot_plan *p)
{
	struct memslot_plan *upper = plan_of(t, op->c.space, op->other_id);
	uint64_t size = p->c.size + upper->c.size;
	int r;

	if (!upper->exists)
		return memslot_fail(t->err, -ENOENT,
			OP_FMT "there is no slot %u to merge", OP_ARGS(n, op),
			op->other_id);
	if (upper->c.gpa != p->c.gpa + p->c.size ||
		upper->c.host != (uint8_t *)p->c.host + p->c.size ||
		upper->c.flags != p->c.flags || upper->copy != p->copy)
		return memslot_fail(t->err, -EDOM,
			OP_FMT "slot %u at %#llx is not its upper neighbour in "
			       "guest and host memory with the same flags",
			OP_ARGS(n, op), op->other_id, (ull)upper->c.gpa);
	r = check_range(t, n, op, p->c.gpa, size);
	if (r)
		return r;
	pieces_join(&p->pieces, p->c.size >> MEMSLOT_PAGE_SHIFT, upper->pieces);
	p->c.size = size;
	p->mark_dirty |= upper->mark_dirty;
	p->fresh = p->fresh && upper->fresh;
	upper->exists = upper->fresh = false;
	upper->pieces = NULL;
	upper->op = n;
	return 0;
}

static int apply_host(struct memslot_txn *t, unsigned n,
	const struct memslot_op *op, struct memslot_plan *p)
{
	struct memslot_op sized = *op;
	int r;

	sized.c.size = p->c.size;
	r = check_host(t, n, &sized);
	if (r)
		return r;
	p->c.host = op->c.host;
	p->copy = op->copy;
	return 0;
}

static int apply_flags(struct memslot_txn *t, unsigned n,
	const struct memslot_op *op, struct memslot_plan *p)
{
	(void)t;
	(void)n;
	p->c.flags = op->c.flags;
	return 0;
}

static int apply_op(
	struct memslot_txn *t, unsigned n, const struct memslot_op *op)
{
	static int (*const apply[])(struct memslot_txn * t, unsigned n,
		const struct memslot_op *op, struct memslot_plan *p) = {
		[MEMSLOT_OP_CREATE] = apply_create,
		[MEMSLOT_OP_DELETE] = apply_delete,
		[MEMSLOT_OP_MOVE] = apply_move,
		[MEMSLOT_OP_FLAGS] = apply_flags,
		[MEMSLOT_OP_RESIZE] = apply_resize,
		[MEMSLOT_OP_SPLIT] = apply_split,
		[MEMSLOT_OP_MERGE] = apply_merge,
		[MEMSLOT_OP_HOST] = apply_host,
	};
	struct memslot_plan *p;
	int r = check_form(t, n, op);

	if (r)
		return r;
	p = plan_of(t, op->c.space, op->c.id);
	p->op = n;
	if (op->kind != MEMSLOT_OP_CREATE && !p->exists)
		return memslot_fail(t->err, -ENOENT,
			OP_FMT "there is no such slot", OP_ARGS(n, op));
	return apply[op->kind](t, n, op, p);
}

/* ---- the net change ------------------------------------------------------- */

/* False: the slot ends up as it was. */
static bool net_change(
	const struct memslot_plan *p, enum memslot_change_kind *kind)
{
	const struct memslot *from = p->from;

	if (!from && !p->exists)
		return false;
	if (!p->exists)
		*kind = MEMSLOT_CHANGE_DELETE;
	else if (p->fresh)
		*kind = from ? MEMSLOT_CHANGE_REPLACE : MEMSLOT_CHANGE_CREATE;
	else if (!from || !pieces_are(p->pieces, from) ||
		 p->c.size != from->size_pages << MEMSLOT_PAGE_SHIFT ||
		 p->c.host != from->host)
		*kind = MEMSLOT_CHANGE_RESHAPE;
	else if (p->c.gpa != from->base_gfn << MEMSLOT_PAGE_SHIFT)
		*kind = MEMSLOT_CHANGE_MOVE;
	else if (p->c.flags != from->flags)
		*kind = MEMSLOT_CHANGE_FLAGS;
	else
		return false;
	return true;
}

/*
 * Keep the plans that change something, in step with `changes`. The hash is
 * of no use afterwards.
 */
static void collect_changes(struct memslot_txn *t)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < t->plan_count; i++) {
		const struct memslot_plan *p = &t->plans[i];
		enum memslot_change_kind kind;

		if (!net_change(p, &kind))
			continue;
		t->changes[kept] = (struct memslot_change){
			.kind = kind,
			.op = p->op,
			/* There and back again is no move. */
			.mark_dirty = p->mark_dirty &&
				      (kind == MEMSLOT_CHANGE_MOVE ||
					      kind == MEMSLOT_CHANGE_RESHAPE),
			.copy = p->copy,
			.from = p->from,
			.pieces = p->pieces,
		};
		if (kept != i)
			t->plans[kept] = *p;
		kept++;
	}
	t->change_count = kept;
}

/*
 * Bytes are copied one slot after the other, so a copy must not write what
 * another slot of the transaction, or the slot itself, had before.
 */
static int check_copy(struct memslot_txn *t, const struct memslot_plan *p)
{
	const uint8_t *host = p->c.host;

	for (size_t i = 0; i < t->change_count; i++) {
		const struct memslot *from = t->changes[i].from;
		uint64_t size;

		if (!from)
			continue;
		size = from->size_pages << MEMSLOT_PAGE_SHIFT;
		if (host < from->host + size && from->host < host + p->c.size)
			return memslot_fail(t->err, -EINVAL,
				OP_FMT "its bytes cannot be copied over the "
				       "host memory that slot %u has now",
				OP_ARGS(p->op, txn_op(t, p->op)), from->id);
	}
	return 0;
}

int txn_validate(struct memslot_txn *t)
{
	unsigned n = 0;
	int r = plans_alloc(t);

	for (const struct op_chunk *c = t->ops; !r && c; c = c->next)
		for (unsigned i = 0; !r && i < c->count; i++)
			r = apply_op(t, n++, &c->op[i]);
	if (r)
		return r;
	collect_changes(t);
	for (size_t i = 0; !r && i < t->change_count; i++)
		if (t->changes[i].copy && t->plans[i].exists)
			r = check_copy(t, &t->plans[i]);
	return r ? r : layout_build(t);
}
