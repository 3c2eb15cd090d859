/* SPDX-License-Identifier: MIT */
/*
 * memslot.c - life of a map, its locks and participants
 */
#include "memslot/internal.h"

static bool nodes_reserve(struct memslots *ms)
{
	ms->nodes.keep = MEMSLOT_SANITIZED ? 0 : MEMSLOT_NODES_KEEP;
	while (ms->nodes.count < ms->nodes.keep) {
		void *n = ms_alloc(
			ms, FAULT_VALIDATE_NODE, sizeof(struct map_node));

		if (!n)
			return false;
		spare_give(&ms->nodes, n);
	}
	return true;
}

static void spare_free(struct memslots *ms, struct spare *s)
{
	void *p;

	while ((p = spare_take(s)))
		ms_free(ms, p);
}

/* What memslots_create() has allocated. */
static void release(struct memslots *ms)
{
	spare_free(ms, &ms->slabs);
	spare_free(ms, &ms->nodes);
	ms_free(ms, atomic_load(&ms->spare_ops));
	ms_free(ms, ms_set(ms));
	ms_free(ms, ms->arena);
	ms_free(ms, ms);
}

int memslots_create(const struct memslot_platform *pf, unsigned spaces,
	struct memslots **out, struct memslot_error *err)
{
	struct memslots *ms;

	if (spaces == 0 || spaces > MEMSLOT_SPACES_MAX)
		return memslot_fail(err, -EINVAL,
			"%u address spaces asked for; 1 to %u are possible",
			spaces, MEMSLOT_SPACES_MAX);
	ms = pf->alloc(pf->ctx, sizeof(*ms));
	if (!ms)
		return memslot_fail(err, -ENOMEM, "no memory for a memory map");
	ms->pf = pf;
	ms->spaces = spaces;
	ms->order = &memslot_order_ours;
	ms->arena_size = MEMSLOT_ARENA_MIN;
	ms->arena = ms_alloc(ms, FAULT_VALIDATE_PLAN, ms->arena_size);
	atomic_init(&ms->set,
		ms_alloc(ms, FAULT_VALIDATE_SET, sizeof(struct memslot_set)));
	atomic_init(&ms->spare_ops, ops_new(ms, false));
	if (!ms->arena || !ms_set(ms) || !ms->spare_ops || !slabs_reserve(ms) ||
		!nodes_reserve(ms)) {
		release(ms);
		return memslot_fail(err, -ENOMEM, "no memory for a memory map");
	}
	*out = ms;
	return 0;
}

void memslots_destroy(struct memslots *ms)
{
	struct memslot_set *set;
	struct memslot *s;
	uint64_t id = 0;

	if (!ms)
		return;
	set = ms_set(ms);
	while ((s = map_ceiling(set->by_id, id))) {
		id = id_key(s->space, s->id) + 1;
		slot_free(ms, s);
	}
	map_free(ms->pf, set->by_gfn);
	map_free(ms->pf, set->by_id);
	map_free(ms->pf, set->by_host);
	release(ms);
}

int memslots_set_space_options(
	struct memslots *ms, unsigned space, uint32_t options)
{
	if (space >= ms->spaces || options & ~MEMSLOT_SPACE_NO_MOVES)
		return -EINVAL;
	atomic_store(&ms->space_options[space], options);
	return 0;
}

void memslots_set_order(struct memslots *ms, const struct memslot_order *order)
{
	ms->order = order;
}

const struct memslot_order *memslots_order(const struct memslots *ms)
{
	return ms->order;
}

const struct memslot_platform *memslots_platform(const struct memslots *ms)
{
	return ms->pf;
}

/* Kept outside the set too, since looking into a set takes a section. */
uint64_t memslots_generation(const struct memslots *ms)
{
	return atomic_load(&ms->generation);
}

unsigned memslots_spaces(const struct memslots *ms)
{
	return ms->spaces;
}

bool memslots_broken(const struct memslots *ms)
{
	return atomic_load(&ms->broken);
}

/* ---- the transaction lock ------------------------------------------------- */

bool ms_owns_txn(const struct memslots *ms)
{
	/* Only this thread can have stored its own name. */
	return atomic_load_explicit(&ms->owner, memory_order_relaxed) ==
	       ms->pf->self(ms->pf->ctx);
}

int ms_lock_txn(struct memslots *ms, struct memslot_error *err)
{
	if (ms_owns_txn(ms))
		return memslot_fail(err, -EDEADLK,
			"called from a callback of a running transaction");
	memslot_lock(&ms->txn_lock, ms->pf);
	atomic_store_explicit(
		&ms->owner, ms->pf->self(ms->pf->ctx), memory_order_relaxed);
	return 0;
}

int ms_trylock_txn(struct memslots *ms)
{
	if (ms_owns_txn(ms) || !memslot_trylock(&ms->txn_lock))
		return -EAGAIN;
	atomic_store_explicit(
		&ms->owner, ms->pf->self(ms->pf->ctx), memory_order_relaxed);
	return 0;
}

void ms_unlock_txn(struct memslots *ms)
{
	atomic_store_explicit(&ms->owner, 0, memory_order_relaxed);
	memslot_unlock(&ms->txn_lock, ms->pf);
}

/* ---- participants ----------------------------------------------------------- */

int memslots_join(struct memslots *ms, struct memslot_participant *p)
{
	struct memslot_participant **at = &ms->participants;
	int r = ms_lock_txn(ms, NULL);

	if (r)
		return r;
	memslot_lock(&ms->list_lock, ms->pf);
	while (*at)
		at = &(*at)->next;
	p->next = NULL;
	*at = p;
	memslot_unlock(&ms->list_lock, ms->pf);
	ms_unlock_txn(ms);
	return 0;
}

int memslots_quit(struct memslots *ms, struct memslot_participant *p)
{
	struct memslot_participant **at = &ms->participants;
	int r = ms_lock_txn(ms, NULL);

	if (r)
		return r;
	memslot_lock(&ms->list_lock, ms->pf);
	while (*at && *at != p)
		at = &(*at)->next;
	if (*at)
		*at = p->next;
	memslot_unlock(&ms->list_lock, ms->pf);
	ms_unlock_txn(ms);
	return 0;
}

void memslots_protect(
	struct memslots *ms, unsigned space, gfn_t gfn, uint64_t size_pages)
{
	memslot_lock(&ms->list_lock, ms->pf);
	for (struct memslot_participant *p = ms->participants; p; p = p->next)
		if (p->ops->protect)
			p->ops->protect(p->ctx, space, gfn, size_pages);
	memslot_unlock(&ms->list_lock, ms->pf);
}

void ms_break(struct memslots *ms)
{
	atomic_store(&ms->broken, true);
	for (struct memslot_participant *p = ms->participants; p; p = p->next)
		if (p->ops->broken)
			p->ops->broken(p->ctx);
}

static int track(struct memslots *ms, const struct memslot_participant *p,
	unsigned space, gfn_t gfn, uint64_t size_pages,
	struct memslot_error *err)
{
	struct memslot_error scratch;

	if (FAULT(ms->faults, FAULT_TRACK_PARTICIPANT))
		return memslot_fail(err, -ENOMEM,
			"backend \"%s\" could not protect %llu pages "
			"(injected)",
			p->ops->name, (ull)size_pages);
	return p->ops->track(
		p->ctx, space, gfn, size_pages, err ? err : &scratch);
}

/* With list_lock held. */
static int not_recoverable(struct memslots *ms, struct memslot_error *err)
{
	ms_break(ms);
	return memslot_fail(err, -EIO,
		"a backend could neither protect pages nor undo what it had "
		"begun; the machine must stop, its memory map is not known");
}

int memslots_track(struct memslots *ms, unsigned space, gfn_t gfn,
	uint64_t size_pages, struct memslot_error *err)
{
	int r = 0;

	memslot_lock(&ms->list_lock, ms->pf);
	for (struct memslot_participant *p = ms->participants; !r && p;
		p = p->next)
		if (p->ops->track)
			r = track(ms, p, space, gfn, size_pages, err);
	for (struct memslot_participant *p = ms->participants; !r && p;
		p = p->next)
		if (p->ops->protect)
			p->ops->protect(p->ctx, space, gfn, size_pages);
	if (r == -ENOTRECOVERABLE)
		r = not_recoverable(ms, err);
	memslot_unlock(&ms->list_lock, ms->pf);
	return r;
}

int memslots_untrack(
	struct memslots *ms, unsigned space, gfn_t gfn, uint64_t size_pages)
{
	int r = 0;

	memslot_lock(&ms->list_lock, ms->pf);
	for (struct memslot_participant *p = ms->participants; p; p = p->next)
		if (p->ops->untrack && p->ops->untrack(p->ctx, space, gfn,
					       size_pages) == -ENOTRECOVERABLE)
			r = not_recoverable(ms, NULL);
	memslot_unlock(&ms->list_lock, ms->pf);
	return r;
}

/* ---- one operation, one transaction ----------------------------------------- */

int memslots_create_slot(struct memslots *ms, const struct memslot_config *c,
	struct memslot_error *err)
{
	struct memslot_txn *t;
	int r = memslot_begin(ms, &t, err);

	if (r)
		return r;
	memslot_create(t, c);
	return memslot_commit(t, NULL, err);
}

int memslots_delete_slot(struct memslots *ms, unsigned space, unsigned id,
	struct memslot_error *err)
{
	struct memslot_txn *t;
	int r = memslot_begin(ms, &t, err);

	if (r)
		return r;
	memslot_delete(t, space, id);
	return memslot_commit(t, NULL, err);
}

int memslots_move_slot(struct memslots *ms, unsigned space, unsigned id,
	gpa_t gpa, enum memslot_move_dirty dirty, struct memslot_error *err)
{
	struct memslot_txn *t;
	int r = memslot_begin(ms, &t, err);

	if (r)
		return r;
	memslot_move(t, space, id, gpa, dirty);
	return memslot_commit(t, NULL, err);
}

int memslots_set_slot_flags(struct memslots *ms, unsigned space, unsigned id,
	uint32_t flags, struct memslot_error *err)
{
	struct memslot_txn *t;
	int r = memslot_begin(ms, &t, err);

	if (r)
		return r;
	memslot_set_flags(t, space, id, flags);
	return memslot_commit(t, NULL, err);
}
