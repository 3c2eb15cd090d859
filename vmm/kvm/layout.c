/* SPDX-License-Identifier: MIT */
#include "vmm/kvm/layout.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* ---- ids -------------------------------------------------------------------- */

int kernel_ids_init(struct kernel_ids *ids, unsigned limit)
{
	ids->used = calloc(limit / 64 + 1, sizeof(*ids->used));
	ids->limit = limit;
	ids->count = ids->hint = 0;
	return ids->used ? 0 : -ENOMEM;
}

void kernel_ids_fini(struct kernel_ids *ids)
{
	free(ids->used);
	ids->used = NULL;
}

unsigned kernel_ids_take(struct kernel_ids *ids)
{
	unsigned id;

	if (ids->count == ids->limit)
		return PLAN_NO_ID;
	while (ids->used[ids->hint] == UINT64_MAX)
		ids->hint++;
	id = ids->hint * 64 + (unsigned)__builtin_ctzll(~ids->used[ids->hint]);
	kernel_ids_retake(ids, id);
	return id;
}

void kernel_ids_retake(struct kernel_ids *ids, unsigned id)
{
	ids->used[id / 64] |= (uint64_t)1 << id % 64;
	ids->count++;
}

void kernel_ids_put(struct kernel_ids *ids, unsigned id)
{
	ids->used[id / 64] &= ~((uint64_t)1 << id % 64);
	ids->count--;
	if (id / 64 < ids->hint)
		ids->hint = id / 64;
}

/* ---- one logical slot ---------------------------------------------------------- */

int layout_init(struct layout *l, const struct pieces *pieces)
{
	l->slot = calloc(pieces->count + 1u, sizeof(*l->slot));
	if (!l->slot)
		return -ENOMEM;
	l->count = pieces->count;
	for (unsigned i = 0; i < l->count; i++)
		l->slot[i] = (struct kslot){PLAN_NO_ID, pieces->piece[i]};
	return 0;
}

void layout_fini(struct layout *l)
{
	free(l->slot);
	*l = (struct layout){NULL, 0};
}

unsigned layout_find(const struct layout *l, gfn_t gfn)
{
	unsigned lo = 0, hi = l->count;

	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;
		const struct piece *p = &l->slot[mid].piece;

		if (p->gfn + p->pages <= gfn)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

int layout_reserve(struct layout *l, unsigned more)
{
	struct kslot *slot =
		realloc(l->slot, ((size_t)l->count + more + 1) * sizeof(*slot));

	if (!slot)
		return -ENOMEM;
	l->slot = slot;
	return 0;
}

void layout_splice(struct layout *l, unsigned first, unsigned count,
	const struct kslot *by, unsigned by_count)
{
	unsigned tail = l->count - first - count;

	memmove(&l->slot[first + by_count], &l->slot[first + count],
		tail * sizeof(*by));
	memcpy(&l->slot[first], by, by_count * sizeof(*by));
	l->count = first + by_count + tail;
}
