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
	static const char *const name[] = {
		"create", "delete", "move", "set flags"};

	return name[kind];
}

/* ---- the copy of the layout --------------------------------------------- */

static uint32_t hash(uint64_t key, uint32_t mask)
{
	return (uint32_t)(key * 0x9e3779b97f4a7c15u >> 40) & mask;
}

static int plans_alloc(struct memslot_txn *t)
{
	struct memslots *ms = t->ms;
	uint32_t buckets = 2;

	while (buckets < t->op_count * 2u)
		buckets *= 2;
	t->hash_mask = buckets - 1;
	t->plan_hash = ms_alloc(
		ms, FAULT_VALIDATE_PLAN, buckets * sizeof(*t->plan_hash));
	t->plans = ms_alloc(ms, FAULT_VALIDATE_PLAN,
		(t->op_count + 1u) * sizeof(*t->plans));
	t->changes = ms_alloc(ms, FAULT_VALIDATE_PLAN,
		(t->op_count + 1u) * sizeof(*t->changes));
	if (!t->plan_hash || !t->plans || !t->changes)
		return memslot_fail(t->err, -ENOMEM,
			"no memory to validate %u operations", t->op_count);
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
	from = map_find(ms_set(t->ms)->by_id, key);
	p->c.space = space;
	p->c.id = id;
	p->from = from;
	p->exists = from != NULL;
	if (from) {
		p->c.gpa = from->base_gfn << MEMSLOT_PAGE_SHIFT;
		p->c.size = from->size_pages << MEMSLOT_PAGE_SHIFT;
		p->c.host = from->host;
		p->c.flags = from->flags;
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
	if (r || op->kind != MEMSLOT_OP_CREATE)
		return r;
	if (op->c.size == 0)
		return memslot_fail(t->err, -EINVAL,
			OP_FMT "size is 0; use delete to remove a slot",
			OP_ARGS(n, op));
	r = check_aligned(t, n, op, "size", op->c.size);
	return r ? r : check_host(t, n, op);
}

/* Where a slot of `size` bytes may be. */
static int check_range(struct memslot_txn *t, unsigned n,
	const struct memslot_op *op, uint64_t size)
{
	if (op->c.gpa > MEMSLOT_GPA_LIMIT ||
		size > MEMSLOT_GPA_LIMIT - op->c.gpa)
		return memslot_fail(t->err, -ERANGE,
			OP_FMT "%#llx bytes at %#llx pass the guest address "
			       "limit %#llx",
			OP_ARGS(n, op), (ull)size, (ull)op->c.gpa,
			(ull)MEMSLOT_GPA_LIMIT);
	return 0;
}

/* ---- applying ------------------------------------------------------------- */

static int apply_create(struct memslot_txn *t, unsigned n,
	const struct memslot_op *op, struct memslot_plan *p)
{
	uint64_t size_pages = op->c.size >> MEMSLOT_PAGE_SHIFT;
	int r;

	if (size_pages > MEMSLOT_PAGES_MAX)
		return memslot_fail(t->err, -E2BIG,
			OP_FMT "%llu pages are more than the %llu a slot may "
			       "have",
			OP_ARGS(n, op), (ull)size_pages,
			(ull)MEMSLOT_PAGES_MAX);
	r = check_range(t, n, op, op->c.size);
	if (r)
		return r;
	if (p->exists)
		return memslot_fail(t->err, -EEXIST,
			OP_FMT "the id is in use, by %#llx bytes at %#llx",
			OP_ARGS(n, op), (ull)p->c.size, (ull)p->c.gpa);
	p->c = op->c;
	p->exists = p->fresh = true;
	return 0;
}

static int apply_move(struct memslot_txn *t, unsigned n,
	const struct memslot_op *op, struct memslot_plan *p)
{
	int r = check_range(t, n, op, p->c.size);

	if (r)
		return r;
	p->c.gpa = op->c.gpa;
	p->keep = op->dirty == MEMSLOT_MOVE_KEEP;
	return 0;
}

static int apply_op(struct memslot_txn *t, unsigned n)
{
	const struct memslot_op *op = &t->ops[n];
	struct memslot_plan *p;
	int r = check_form(t, n, op);

	if (r)
		return r;
	p = plan_of(t, op->c.space, op->c.id);
	p->op = n;
	if (op->kind == MEMSLOT_OP_CREATE)
		return apply_create(t, n, op, p);
	if (!p->exists)
		return memslot_fail(t->err, -ENOENT,
			OP_FMT "there is no such slot", OP_ARGS(n, op));
	switch (op->kind) {
	case MEMSLOT_OP_MOVE:
		return apply_move(t, n, op, p);
	case MEMSLOT_OP_DELETE:
		p->exists = p->fresh = false;
		return 0;
	default:
		p->c.flags = op->c.flags;
		return 0;
	}
}

/* ---- the net change ------------------------------------------------------- */

/* False: the slot ends up as it was. */
static bool net_change(
	const struct memslot_plan *p, enum memslot_change_kind *kind)
{
	if (!p->from && !p->exists)
		return false;
	if (!p->from)
		*kind = MEMSLOT_CHANGE_CREATE;
	else if (!p->exists)
		*kind = MEMSLOT_CHANGE_DELETE;
	else if (p->fresh)
		*kind = MEMSLOT_CHANGE_REPLACE;
	else if (p->c.gpa != p->from->base_gfn << MEMSLOT_PAGE_SHIFT)
		*kind = MEMSLOT_CHANGE_MOVE;
	else if (p->c.flags != p->from->flags)
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
		struct memslot_change *c = &t->changes[kept];

		if (!net_change(p, &c->kind))
			continue;
		c->op = p->op;
		c->move_keep = p->keep;
		c->from = p->from;
		t->plans[kept++] = *p;
	}
	t->change_count = kept;
}

int txn_validate(struct memslot_txn *t)
{
	int r = plans_alloc(t);

	for (unsigned n = 0; !r && n < t->op_count; n++)
		r = apply_op(t, n);
	if (r)
		return r;
	collect_changes(t);
	return layout_build(t);
}
