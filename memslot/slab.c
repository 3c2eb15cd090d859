/* SPDX-License-Identifier: MIT */
/*
 * slab.c - one allocation for the small objects of several slots
 *
 * A new version of a slot is three small objects, and malloc is most of what
 * they cost. A transaction takes them from a slab, which is freed with its
 * last object. Slabs are small: a slot that outlives all others that were
 * changed together with it keeps less than SLAB_MAX bytes for nothing.
 */
#include "memslot/internal.h"

#define SLAB_MAX  1024u
#define SLAB_SLOT 256u /* what the objects of one slot mostly take */

/* In front of each object, and aligned as it is. */
struct item {
	_Alignas(16) struct slab *slab;
};

struct slab {
	_Alignas(16) uint32_t refs; /* objects, and the transaction */
	uint32_t used, size;        /* bytes, of the items */
};

static void slab_unref(struct memslots *ms, struct slab *s)
{
	if (s && --s->refs == 0)
		ms_free(ms, s);
}

void slab_end(struct memslot_txn *t)
{
	slab_unref(t->ms, t->slab);
	t->slab = NULL;
}

static struct slab *slab_new(struct memslot_txn *t, unsigned point, size_t need)
{
	size_t size = t->change_count * SLAB_SLOT;
	struct slab *s;

	if (size > SLAB_MAX)
		size = SLAB_MAX;
	if (size < need)
		size = need;
	s = ms_alloc(t->ms, point, sizeof(*s) + size);
	if (!s)
		return NULL;
	s->refs = 1;
	s->size = (uint32_t)size;
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
		s = slab_new(t, point, need);
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
