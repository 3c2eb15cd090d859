/* SPDX-License-Identifier: MIT */
/*
 * txn.c - the phases of a transaction, and the way back from each
 *
 * The order of phases is a table. Whatever the order, three rules hold:
 *
 *   - a phase that fails leaves nothing of its own behind;
 *   - unwind() takes back what earlier phases did, latest first;
 *   - only validate, prepare and apply can fail. What they need later was
 *     reserved by them.
 *
 * In our order nothing that anybody can see happens before the last step
 * that can run out of memory. In the legacy order (Linux KVM in 2022) slots
 * are taken out and flushed first, and `flush` is read as "gone".
 */
#include "memslot/internal.h"

enum phase {
	PHASE_VALIDATE,
	PHASE_PREPARE,
	PHASE_SWAP_OUT,
	PHASE_FLUSH,
	PHASE_APPLY,
	PHASE_SWAP_IN,
	PHASE_NOTIFY,
	PHASES,
};

struct memslot_order {
	const char *name;
	bool flush_forgets;
	enum phase phase[PHASES];
};

const struct memslot_order memslot_order_ours = {
	.name = "ours",
	.phase = {PHASE_VALIDATE, PHASE_PREPARE, PHASE_SWAP_OUT, PHASE_FLUSH,
		PHASE_APPLY, PHASE_SWAP_IN, PHASE_NOTIFY},
};

const struct memslot_order memslot_order_legacy = {
	.name = "legacy",
	.flush_forgets = true,
	.phase = {PHASE_VALIDATE, PHASE_SWAP_OUT, PHASE_FLUSH, PHASE_PREPARE,
		PHASE_APPLY, PHASE_SWAP_IN, PHASE_NOTIFY},
};

const char *memslot_order_name(const struct memslot_order *order)
{
	return order->name;
}

bool memslot_order_flush_forgets(const struct memslot_order *order)
{
	return order->flush_forgets;
}

/* What a participant has done; `steps` of struct memslot_participant. */
#define STEP_PREPARED 0x1u
#define STEP_APPLIED  0x2u

/* ---- prepare -------------------------------------------------------------- */

static int prepare_participant(
	struct memslot_txn *t, struct memslot_participant *p)
{
	int r = 0;

	if (FAULT(t->ms->faults, FAULT_PREPARE_PARTICIPANT))
		return memslot_fail(t->err, -EBUSY,
			"participant \"%s\" refused the change (injected)",
			p->ops->name);
	if (p->ops->prepare)
		r = p->ops->prepare(p->ctx, t, t->err);
	if (!r)
		p->steps |= STEP_PREPARED;
	return r;
}

static int do_prepare(struct memslot_txn *t)
{
	int r = 0;

	for (size_t i = 0; !r && i < t->change_count; i++) {
		const struct memslot_change *c = &t->changes[i];

		if (c->to)
			r = meta_prepare(t, c->from, c->to, c->kind);
	}
	if (!r)
		r = reshape_prepare(t);
	for (struct memslot_participant *p = t->ms->participants; !r && p;
		p = p->next)
		r = prepare_participant(t, p);
	return r;
}

/* ---- swap out and in ------------------------------------------------------ */

static void set_invalid(struct memslot_txn *t, bool invalid)
{
	for (size_t i = 0; i < t->change_count; i++)
		if (t->changes[i].from)
			atomic_store(&t->changes[i].from->invalid, invalid);
}

/* Those who met an invalid slot look again. */
static void window_close(struct memslot_txn *t)
{
	struct memslots *ms = t->ms;

	t->pause_ns = ms->pf->now_ns(ms->pf->ctx) - t->pause_start_ns;
	atomic_fetch_add(&ms->window, 1);
	if (atomic_load(&ms->waiting))
		ms->pf->wake(ms->pf->ctx, &ms->window);
}

/*
 * Publishing a set in which these slots are invalid is one store to each of
 * them: nobody can use the slot through a new lookup, and after the grace
 * period nobody does through an old one.
 */
static int do_swap_out(struct memslot_txn *t)
{
	struct memslots *ms = t->ms;
	bool any = false;

	for (size_t i = 0; i < t->change_count; i++)
		any |= t->changes[i].from != NULL;
	if (!any)
		return 0;
	t->pause_start_ns = ms->pf->now_ns(ms->pf->ctx);
	atomic_fetch_add(&ms->window, 1);
	set_invalid(t, true);
	t->swapped_out = true;
	memslots_synchronize(ms);
	return 0;
}

static void swap_back(struct memslot_txn *t)
{
	set_invalid(t, false);
	window_close(t);
	t->swapped_out = false;
}

static int do_swap_in(struct memslot_txn *t)
{
	struct memslots *ms = t->ms;

	reshape_swap_in(t);
	for (struct memslot_participant *p = ms->participants; p; p = p->next)
		if (p->ops->adopt)
			p->ops->adopt(p->ctx, t);
	for (size_t i = 0; i < t->change_count; i++)
		if (t->changes[i].to && t->changes[i].mark_dirty)
			meta_mark_all_dirty(t->changes[i].to);
	atomic_store(&ms->set, t->set);
	atomic_store(&ms->generation, t->set->generation);
	for (struct memslot_participant *p = ms->participants; p; p = p->next)
		if (p->ops->published)
			p->ops->published(p->ctx, t);
	if (t->swapped_out)
		window_close(t);
	return 0;
}

/* ---- flush, apply, notify ------------------------------------------------- */

static int do_flush(struct memslot_txn *t)
{
	for (struct memslot_participant *p = t->ms->participants;
		t->swapped_out && p; p = p->next)
		if (p->ops->flush)
			p->ops->flush(p->ctx, t);
	return 0;
}

static int do_apply(struct memslot_txn *t)
{
	int r = 0;

	for (struct memslot_participant *p = t->ms->participants; p;
		p = p->next) {
		if (!p->ops->apply)
			continue;
		if (FAULT(t->ms->faults, FAULT_APPLY_PARTICIPANT))
			return memslot_fail(t->err, -ENOMEM,
				"backend \"%s\" could not apply the change "
				"(injected)",
				p->ops->name);
		r = p->ops->apply(p->ctx, t, t->err);
		if (r)
			return r;
		p->steps |= STEP_APPLIED;
	}
	return 0;
}

static int do_notify(struct memslot_txn *t)
{
	populate_again(t, true);
	for (struct memslot_participant *p = t->ms->participants; p;
		p = p->next)
		if (p->ops->committed)
			p->ops->committed(p->ctx, t);
	return 0;
}

/* ---- the way back --------------------------------------------------------- */

/* The list is singly linked and short; going backwards is a recursion. */
static void cancel_backwards(
	struct memslot_txn *t, struct memslot_participant *p)
{
	if (!p)
		return;
	cancel_backwards(t, p->next);
	if ((p->steps & STEP_PREPARED) && p->ops->cancel)
		p->ops->cancel(p->ctx, t);
}

static int undo_backwards(struct memslot_txn *t, struct memslot_participant *p)
{
	int r;

	if (!p)
		return 0;
	r = undo_backwards(t, p->next);
	if (r || !(p->steps & STEP_APPLIED))
		return r;
	if (FAULT(t->ms->faults, FAULT_UNDO_PARTICIPANT))
		return -EIO;
	return p->ops->undo ? p->ops->undo(p->ctx, t) : 0;
}

/* Slots stay invalid: no access may trust the map now, and none waits. */
static int break_machine(struct memslot_txn *t)
{
	struct memslots *ms = t->ms;

	ms_break(ms);
	if (t->swapped_out)
		window_close(t);
	return memslot_fail(t->err, -EIO,
		"a backend could not undo a failed change; the machine must "
		"stop, its memory map is not known");
}

static int unwind(struct memslot_txn *t, int code)
{
	struct memslots *ms = t->ms;

	if (code == -ENOTRECOVERABLE || undo_backwards(t, ms->participants))
		return break_machine(t);
	cancel_backwards(t, ms->participants);
	if (!t->swapped_out)
		return code;
	swap_back(t);
	populate_again(t, false);
	for (struct memslot_participant *p = ms->participants; p; p = p->next)
		if (p->ops->aborted)
			p->ops->aborted(p->ctx, t);
	return code;
}

/* ---- commit --------------------------------------------------------------- */

static int run_phases(struct memslot_txn *t)
{
	static int (*const run[PHASES])(struct memslot_txn * t) = {
		[PHASE_VALIDATE] = txn_validate,
		[PHASE_PREPARE] = do_prepare,
		[PHASE_SWAP_OUT] = do_swap_out,
		[PHASE_FLUSH] = do_flush,
		[PHASE_APPLY] = do_apply,
		[PHASE_SWAP_IN] = do_swap_in,
		[PHASE_NOTIFY] = do_notify,
	};

	for (unsigned i = 0; i < PHASES; i++) {
		int r = run[t->order->phase[i]](t);

		if (r)
			return unwind(t, r);
		if (t->order->phase[i] == PHASE_VALIDATE &&
			t->change_count == 0)
			break; /* nothing to do: nothing to be seen */
	}
	return 0;
}

/* After a grace period nobody can hold what the old set alone held. */
static void free_old(struct memslot_txn *t, struct memslot_set *old)
{
	ms_synchronize_gently(t->ms);
	map_edit_finish(&t->edit);
	for (size_t i = 0; i < t->change_count; i++)
		slot_free(t->ms, t->changes[i].from);
	ms_free(t->ms, old);
	t->set = NULL;
}

static int commit_locked(struct memslot_txn *t)
{
	struct memslots *ms = t->ms;
	struct memslot_set *old = ms_set(ms);
	int r;

	if (ms->broken)
		return memslot_fail(t->err, -EIO,
			"the machine is broken: an earlier change could "
			"not be undone");
	if (t->record_failed)
		return memslot_fail(t->err, -ENOMEM,
			"no memory to record operation %u", t->op_count);
	t->order = ms->order;
	for (struct memslot_participant *p = ms->participants; p; p = p->next)
		p->steps = 0;
	r = run_phases(t);
	if (!r && t->change_count)
		free_old(t, old);
	else
		layout_drop(t);
	reshape_cancel(t); /* what was not handed over */
	slab_end(t);
	return r;
}

int memslot_commit(struct memslot_txn *t, struct memslot_result *result,
	struct memslot_error *err)
{
	struct memslots *ms = t->ms;
	struct memslot_error scratch;
	int r;

	t->err = err ? err : &scratch;
	r = ms_lock_txn(ms, t->err);
	if (!r) {
		r = commit_locked(t);
		ms_unlock_txn(ms);
	}
	if (result) {
		result->generation = memslots_generation(ms);
		result->pause_ns = t->pause_ns;
		result->changes = r ? 0 : (unsigned)t->change_count;
	}
	txn_free(t);
	return r;
}

/* ---- for callbacks -------------------------------------------------------- */

const struct memslot_change *memslot_txn_changes(
	const struct memslot_txn *t, size_t *count)
{
	*count = t->change_count;
	return t->changes;
}

/* The piece of c->to that has this page of `origin`, or NULL. */
static const struct memslot_piece *piece_with(const struct memslot_change *c,
	const struct memslot *origin, uint64_t page)
{
	const struct memslot_piece *p = c->to ? c->pieces : NULL;

	while (p &&
		(p->origin != origin || page - p->first_page >= p->size_pages))
		p = p->next;
	return p;
}

const struct memslot *memslot_txn_heir(
	const struct memslot_txn *t, const struct memslot_change *c, gfn_t *gfn)
{
	uint64_t page = *gfn - c->from->base_gfn;
	const struct memslot_piece *p = piece_with(c, c->from, page);
	const struct memslot_change *heir = c;

	/* Mostly the slot itself; after a split or merge, another. */
	for (size_t i = 0; !p && i < t->change_count; i++) {
		heir = &t->changes[i];
		p = piece_with(heir, c->from, page);
	}
	if (!p)
		return NULL;
	*gfn = heir->to->base_gfn + p->at_page + (page - p->first_page);
	return heir->to;
}

const struct memslot *memslot_txn_find(
	const struct memslot_txn *t, unsigned space, gfn_t gfn)
{
	return map_find(t->set->by_gfn, gfn_key(space, gfn));
}

const struct memslot_order *memslot_txn_order(const struct memslot_txn *t)
{
	return t->order;
}
