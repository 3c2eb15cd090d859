/* SPDX-License-Identifier: MIT */
/*
 * ops.c - a transaction that is being collected
 *
 * Operations are recorded in chunks, which stay where they are until the
 * transaction is gone. Nothing is locked and nothing is checked here.
 */
#include "memslot/internal.h"

/* ---- room ----------------------------------------------------------------- */

#define FIRST_OPS 4u
#define MORE_OPS  64u /* in each further chunk */

struct op_chunk *ops_new(struct memslots *ms, bool first)
{
	unsigned room = first ? FIRST_OPS : MORE_OPS;
	struct op_chunk *chunk = ms_alloc(ms, FAULT_TXN_RECORD,
		sizeof(*chunk) + room * sizeof(chunk->op[0]));

	if (chunk)
		chunk->room = room;
	return chunk;
}

/* One large chunk is kept: some mallocs map and unmap pages for it. */
static void ops_free(struct memslots *ms, struct op_chunk *chunk)
{
	struct op_chunk *none = NULL;

	if (chunk->room == FIRST_OPS ||
		!atomic_compare_exchange_strong(&ms->spare_ops, &none, chunk))
		ms_free(ms, chunk);
}

static struct op_chunk *ops_spare(struct memslots *ms)
{
	struct op_chunk *chunk;

	if (FAULT(ms->faults, FAULT_TXN_RECORD))
		return NULL;
	chunk = atomic_exchange(&ms->spare_ops, NULL);
	if (!chunk)
		return ops_new(ms, false);
	memset(chunk->op, 0, chunk->count * sizeof(chunk->op[0]));
	chunk->count = 0;
	chunk->next = NULL;
	return chunk;
}

static struct op_chunk *more_ops(struct memslot_txn *t)
{
	struct op_chunk *chunk =
		t->ops ? ops_spare(t->ms) : ops_new(t->ms, true);

	if (!chunk)
		return NULL;
	if (t->ops)
		t->last_ops->next = chunk;
	else
		t->ops = chunk;
	t->last_ops = chunk;
	return chunk;
}

/* Room for one more, zeroed but for what is given; NULL: no memory. */
static struct memslot_op *record(struct memslot_txn *t,
	enum memslot_op_kind kind, unsigned space, unsigned id)
{
	struct op_chunk *chunk = t->last_ops;
	struct memslot_op *op;

	if (!chunk || chunk->count == chunk->room)
		chunk = more_ops(t);
	if (!chunk) {
		t->record_failed = true;
		return NULL;
	}
	op = &chunk->op[chunk->count++];
	op->kind = kind;
	op->c.space = space;
	op->c.id = id;
	t->op_count++;
	return op;
}

const struct memslot_op *txn_op(const struct memslot_txn *t, unsigned n)
{
	const struct op_chunk *chunk = t->ops;

	for (; n >= chunk->count; chunk = chunk->next)
		n -= chunk->count;
	return &chunk->op[n];
}

/* ---- begin and end -------------------------------------------------------- */

void txn_free(struct memslot_txn *t)
{
	struct memslots *ms = t->ms;

	while (t->ops) {
		struct op_chunk *chunk = t->ops;

		t->ops = chunk->next;
		ops_free(ms, chunk);
	}
	ms_free(ms, t);
}

int memslot_begin(struct memslots *ms, struct memslot_txn **out,
	struct memslot_error *err)
{
	struct memslot_txn *t = ms_alloc(ms, FAULT_TXN_BEGIN, sizeof(*t));

	if (!t)
		return memslot_fail(
			err, -ENOMEM, "no memory for a transaction");
	t->ms = ms;
	*out = t;
	return 0;
}

void memslot_discard(struct memslot_txn *t)
{
	if (t)
		txn_free(t);
}

/* ---- operations ----------------------------------------------------------- */

int memslot_create(struct memslot_txn *t, const struct memslot_config *c)
{
	struct memslot_op *op = record(t, MEMSLOT_OP_CREATE, c->space, c->id);

	if (!op)
		return -ENOMEM;
	op->c = *c;
	return 0;
}

int memslot_delete(struct memslot_txn *t, unsigned space, unsigned id)
{
	return record(t, MEMSLOT_OP_DELETE, space, id) ? 0 : -ENOMEM;
}

int memslot_move(struct memslot_txn *t, unsigned space, unsigned id, gpa_t gpa,
	enum memslot_move_dirty dirty)
{
	struct memslot_op *op = record(t, MEMSLOT_OP_MOVE, space, id);

	if (!op)
		return -ENOMEM;
	op->c.gpa = gpa;
	op->dirty = dirty;
	return 0;
}

int memslot_set_flags(
	struct memslot_txn *t, unsigned space, unsigned id, uint32_t flags)
{
	struct memslot_op *op = record(t, MEMSLOT_OP_FLAGS, space, id);

	if (!op)
		return -ENOMEM;
	op->c.flags = flags;
	return 0;
}

int memslot_resize(
	struct memslot_txn *t, unsigned space, unsigned id, uint64_t size)
{
	struct memslot_op *op = record(t, MEMSLOT_OP_RESIZE, space, id);

	if (!op)
		return -ENOMEM;
	op->c.size = size;
	return 0;
}

int memslot_split(struct memslot_txn *t, unsigned space, unsigned id,
	uint64_t offset, unsigned new_id)
{
	struct memslot_op *op = record(t, MEMSLOT_OP_SPLIT, space, id);

	if (!op)
		return -ENOMEM;
	op->c.size = offset;
	op->other_id = new_id;
	return 0;
}

int memslot_merge(
	struct memslot_txn *t, unsigned space, unsigned id, unsigned upper)
{
	struct memslot_op *op = record(t, MEMSLOT_OP_MERGE, space, id);

	if (!op)
		return -ENOMEM;
	op->other_id = upper;
	return 0;
}

int memslot_replace_host(struct memslot_txn *t, unsigned space, unsigned id,
	void *host, enum memslot_host_bytes bytes)
{
	struct memslot_op *op = record(t, MEMSLOT_OP_HOST, space, id);

	if (!op)
		return -ENOMEM;
	op->c.host = host;
	op->copy = bytes == MEMSLOT_HOST_COPY;
	return 0;
}

int memslot_delete_harvest(struct memslot_txn *t, unsigned space, unsigned id,
	struct memslot_harvest **out)
{
	struct memslot_op *op = record(t, MEMSLOT_OP_DELETE, space, id);

	if (!op)
		return -ENOMEM;
	op->harvest = out;
	return 0;
}
