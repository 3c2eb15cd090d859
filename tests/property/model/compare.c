/* SPDX-License-Identifier: MIT */
/* compare.c - everything that can be seen from outside, beside the model */
#include "tests/property/model/model.h"

/* True if it is tracked. */
static bool compare_page(const struct memslot *p, const struct slot *s,
	unsigned space, unsigned page)
{
	unsigned gfn = s->gfn + page;
	bool log = s->flags & MEMSLOT_LOG_DIRTY, any = false;
	bool dirty = s->page[page].dirty;

	for (unsigned n = 0; n < NODES; n++)
		any |= adds(n, space, gfn) != 0;
	MUST(memslot_page_dirty(p, FIRST + gfn) == dirty);
	MUST(!memslot_large_ok(p, FIRST + gfn));
	MUST(memslot_page_tracked(p, FIRST + gfn) == any);
	MUST(memslot_page_writable(p, FIRST + gfn) ==
		(!(s->flags & MEMSLOT_READONLY) && !any && (!log || dirty)));
	/* How many pages a node has is compared elsewhere. */
	for (unsigned n = 0; any && n < NODES; n++)
		MUST(pagetrack_tracks(w.node[n], space, FIRST + gfn) ==
			(adds(n, space, gfn) != 0));
	return any;
}

static void compare_slot(unsigned space, unsigned id)
{
	const struct slot *s = &now.slot[space][id];
	const struct memslot *p = memslot_by_id(&w.reader, space, id);
	unsigned tracked = 0;

	MUST((p != NULL) == s->there);
	if (!p)
		return;
	MUST(p->base_gfn == FIRST + s->gfn && p->size_pages == s->pages);
	MUST(p->space == space && p->id == id && p->flags == s->flags);
	MUST(p->host == host[s->frame] && !memslot_is_invalid(p));
	for (unsigned i = 0; i < s->pages; i++)
		tracked += compare_page(p, s, space, i);
	for (gfn_t at = p->base_gfn; memslot_next_tracked(p, &at); at++)
		tracked--;
	MUST(tracked == 0);
}

/* Both kinds of lookup, everywhere; and iteration. */
static void compare_addresses(unsigned space)
{
	const struct memslot *s;
	unsigned page, count = 0, there = 0;
	gfn_t last = 0;

	for (unsigned gfn = 0; gfn < GFNS; gfn += 3) {
		const struct slot *o = owner(&now, space, gfn, &page);

		s = memslot_lookup(&w.reader, space, FIRST + gfn);
		MUST((s != NULL) == (o != NULL));
		if (s)
			MUST(s->id == (unsigned)(o - now.slot[space]));
	}
	for (unsigned id = 0; id < IDS; id++)
		there += now.slot[space][id].there;
	while ((s = memslot_next(&w.reader, space, last))) {
		MUST(s->base_gfn >= last && s->space == space);
		last = s->base_gfn + s->size_pages;
		count++;
	}
	MUST(count == there);
}

/* In order of host base, space and id. */
static void compare_host(unsigned frame)
{
	const uint8_t *at = &host[frame][17];
	const struct memslot *s = NULL, *before;
	unsigned count = 0, there = 0;

	for (unsigned i = 0; i < SPACES * IDS; i++) {
		const struct slot *o = &now.slot[i / IDS][i % IDS];

		there += o->there && frame - o->frame < o->pages;
	}
	while (before = s, (s = memslot_by_host(&w.reader, at, s))) {
		MUST(at >= s->host && count++ < there);
		MUST(at - s->host < (ptrdiff_t)(s->size_pages * PAGE));
		if (before)
			MUST(before->host < s->host ||
				(before->host == s->host &&
					before->space * 32768u + before->id <
						s->space * 32768u + s->id));
	}
	MUST(count == there);
}

/* What is ever written lies at the edges of a page. */
static void compare_edges(void)
{
	for (unsigned f = 0; f < FRAMES; f++) {
		MUST(!memcmp(host[f], bytes[f], EDGE));
		MUST(!memcmp(
			host[f] + PAGE - EDGE, bytes[f] + PAGE - EDGE, EDGE));
	}
}

void compare_memory(void)
{
	MUST(!memcmp(host, bytes, sizeof(host)));
}

void compare_all(void)
{
	for (unsigned n = 0; n < NODES; n++)
		MUST(pagetrack_size_pages(w.node[n]) == tracked_by(n));
	memslot_enter(&w.reader);
	for (unsigned space = 0; space < SPACES; space++) {
		compare_addresses(space);
		for (unsigned id = 0; id < IDS; id++)
			compare_slot(space, id);
	}
	for (unsigned frame = 0; frame < FRAMES; frame += 31)
		compare_host(frame);
	memslot_leave(&w.reader);
	compare_edges();
}

/* ---- the translation caches ------------------------------------------------- */

/* An entry is right if it is there: memory, and for stores a licence. */
static void compare_cache(const struct tlb *t, unsigned space, bool store)
{
	for (unsigned n = 0; n < TLB_SIZE; n++) {
		uint64_t va = t->e[n].tag;
		unsigned page = 0, gfn;
		const struct slot *s;

		if (va == TLB_NONE)
			continue;
		gfn = (unsigned)(va / PAGE) - FIRST;
		s = gfn < GFNS ? owner(&now, space, gfn, &page) : NULL;
		MUST(s && (uintptr_t)host[s->frame + page] ==
				  va + t->e[n].addend);
		if (!store)
			continue;
		MUST(!(s->flags & MEMSLOT_READONLY));
		MUST(!(s->flags & MEMSLOT_LOG_DIRTY) || s->page[page].dirty);
		for (unsigned k = 0; k < NODES; k++)
			MUST(!adds(k, space, gfn));
	}
}

/* After a hart has read its mail, as it does before it runs. */
void compare_caches(void)
{
	for (unsigned i = 0; i < 3; i++) {
		unsigned space = i == 2;
		struct hart *h = world_hart(space, i);

		hart_enter(h);
		for (unsigned c = 0; c < CONTEXTS; c++) {
			compare_cache(&h->loads[c], space, false);
			compare_cache(&h->stores[c], space, true);
		}
		hart_leave(h);
	}
}
