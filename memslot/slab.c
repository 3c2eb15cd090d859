/* SPDX-License-Identifier: MIT */
/*
 * slab.c - one allocation for the small objects of several slots
 *
 * A new version of a slot is three small objects, and malloc is most of what
 * they cost. A transaction takes them from a slab, which is freed with its
 * last object. Slabs are small: a slot that outlives all others that were
 * changed together with it keeps less than SLAB_MAX bytes for nothing. Some
 * of the largest are kept for the next transaction, since a batch that gives
 * back as many as it takes makes some mallocs map and unmap pages each time.
 */
#include "memslot/internal.h"

#define SLAB_MAX  1024u
#define SLAB_SLOT 256u /* what the objects of one slot mostly take */
#define SLAB_KEEP 16u  /* free slabs of SLAB_MAX; a batch of 64 takes 13 */

/* In front of each object, and aligned as it is. */
struct item {
	_Alignas(16) struct slab *slab;
};

struct slab {
	_Alignas(16) uint32_t refs; /* objects, and the transaction */
	uint32_t size, used;        /* bytes, of the items */
};

/* ---- slabs ---------------------------------------------------------------- */

static struct slab *slab_new(struct memslots *ms, unsigned point, size_t size)
{
	struct slab *s = NULL;

	if (FAULT(ms->faults, point))
		return NULL;
	if (size == SLAB_MAX)
		s = spare_take(&ms->slabs);
	if (s)
		memset(s, 0, sizeof(*s) + size);
	else
		s = ms->pf->alloc(ms->pf->ctx, sizeof(*s) + size);
	if (!s)
		return NULL;
	s->refs = 1;
	s->size = (uint32_t)size;
	return s;
}

static void slab_unref(struct memslots *ms, struct slab *s)
{
	if (!s || --s->refs)
		return;
	if (s->size != SLAB_MAX || !spare_give(&ms->slabs, s))
		ms_free(ms, s);
}

bool slabs_reserve(struct memslots *ms)
{
	ms->slabs.keep = MEMSLOT_SANITIZED ? 0 : SLAB_KEEP;
	while (ms->slabs.count < ms->slabs.keep) {
		void *s = ms_alloc(ms, FAULT_VALIDATE_SLOT,
			sizeof(struct slab) + SLAB_MAX);

		if (!s)
			return false;
		spare_give(&ms->slabs, s);
	}
	return true;
}

/* ---- objects -------------------------------------------------------------- */

/* Begin another slab, with room for `need` bytes at least. */
static struct slab *next_slab(
	struct memslot_txn *t, unsigned point, size_t need)
{
	size_t size = MEMSLOT_SANITIZED ? 0 : t->change_count * SLAB_SLOT;
	struct slab *s;

	if (size > SLAB_MAX)
		size = SLAB_MAX;
	if (size < need)
		size = need;
	s = slab_new(t->ms, point, size);
	if (!s)
		return NULL;
	slab_end(t);
	t->slab = s;
	return s;
}

void *slab_alloc(struct memslot_txn *t, unsigned point, size_t size)
{
	size_t need = sizeof(struct item) + ((size + 15) & ~(size_t)15);
	struct slab *s = t->slab;
	struct item *item;

	if (!s || need > s->size - s->used)
		s = next_slab(t, point, need);
	else if (FAULT(t->ms->faults, point))
		return NULL;
	if (!s)
		return NULL;
	item = (struct item *)(void *)((uint8_t *)(s + 1) + s->used);
	item->slab = s;
	s->used += (uint32_t)need;
	s->refs++;
	return item + 1;
}

void slab_free(struct memslots *ms, void *object)
{
	if (object)
		slab_unref(ms, ((struct item *)object - 1)->slab);
}

void slab_end(struct memslot_txn *t)
{
	slab_unref(t->ms, t->slab);
	t->slab = NULL;
}
