/* SPDX-License-Identifier: MIT */
/* state.c - what the model knows, and what a transaction makes of it */
#include "tests/property/model/model.h"

struct model now, next;
uint8_t bytes[FRAMES][PAGE];

/* ---- asking ------------------------------------------------------------ */

struct slot *owner(
	struct model *x, unsigned space, unsigned gfn, unsigned *page)
{
	for (unsigned id = 0; id < IDS; id++) {
		struct slot *s = &x->slot[space][id];

		if (s->there && gfn - s->gfn < s->pages) {
			*page = gfn - s->gfn;
			return s;
		}
	}
	return NULL;
}

unsigned adds(unsigned node, unsigned space, unsigned gfn)
{
	unsigned page = 0;
	struct slot *s = owner(&now, space, gfn, &page);

	if (!s)
		return 0;
	return node == F ? s->page[page].follow : now.count[node][space][gfn];
}

void set_adds(unsigned node, unsigned space, unsigned gfn, unsigned count)
{
	unsigned page = 0;
	struct slot *s = owner(&now, space, gfn, &page);

	if (node == F)
		s->page[page].follow = (uint8_t)count;
	else
		now.count[node][space][gfn] = (uint8_t)count;
}

uint64_t tracked_by(unsigned node)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < SPACES * IDS; i++) {
		const struct slot *s = &now.slot[i / IDS][i % IDS];

		for (unsigned p = 0; s->there && p < s->pages; p++)
			n += node == F ? s->page[p].follow != 0
				       : now.count[node][i / IDS][s->gfn + p] !=
						 0;
	}
	return n;
}

/* ---- a transaction ------------------------------------------------------- */

void next_begin(void)
{
	next = now;
	for (unsigned i = 0; i < SPACES * IDS; i++) {
		struct slot *s = &next.slot[i / IDS][i % IDS];

		s->fresh = s->mark = s->copy = false;
		for (unsigned p = 0; s->there && p < s->pages; p++) {
			s->page[p].origin = (uint8_t)(i % IDS);
			s->page[p].origin_page = (uint8_t)p;
		}
	}
}

void new_pages(struct slot *s, unsigned from, unsigned to)
{
	for (; from < to; from++)
		s->page[from] = (struct page){.origin = NOWHERE};
}

/* All of it, and nothing but it, in the host memory it was published with. */
static bool same_memory(
	const struct slot *s, const struct slot *was, unsigned id)
{
	if (!was->there || s->fresh || s->pages != was->pages ||
		s->frame != was->frame)
		return false;
	for (unsigned p = 0; p < s->pages; p++)
		if (s->page[p].origin != id || s->page[p].origin_page != p)
			return false;
	return true;
}

bool slot_relocated(unsigned space, unsigned id)
{
	const struct slot *s = &next.slot[space][id];
	const struct slot *was = &now.slot[space][id];

	if (!s->there || !was->there)
		return s->there || was->there;
	return !same_memory(s, was, id) || s->gfn != was->gfn;
}

bool slot_changed(unsigned space, unsigned id)
{
	return slot_relocated(space, id) ||
	       (now.slot[space][id].there &&
		       next.slot[space][id].flags != now.slot[space][id].flags);
}

unsigned count_changes(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < SPACES * IDS; i++)
		n += slot_changed(i / IDS, i % IDS);
	return n;
}

bool changes_published(void)
{
	for (unsigned i = 0; i < SPACES * IDS; i++)
		if (now.slot[i / IDS][i % IDS].there &&
			slot_changed(i / IDS, i % IDS))
			return true;
	return false;
}

bool next_overlaps(void)
{
	for (unsigned space = 0; space < SPACES; space++) {
		bool used[GFNS] = {false};

		for (unsigned id = 0; id < IDS; id++) {
			const struct slot *s = &next.slot[space][id];

			for (unsigned p = 0; s->there && p < s->pages; p++) {
				if (used[s->gfn + p])
					return true;
				used[s->gfn + p] = true;
			}
		}
	}
	return false;
}

static bool frames_meet(const struct slot *a, const struct slot *b)
{
	return a->frame < b->frame + b->pages && b->frame < a->frame + a->pages;
}

static bool copies(unsigned i)
{
	return next.slot[i / IDS][i % IDS].there &&
	       next.slot[i / IDS][i % IDS].copy &&
	       slot_changed(i / IDS, i % IDS);
}

bool copies_over_old(void)
{
	for (unsigned i = 0; i < SPACES * IDS; i++)
		for (unsigned k = 0; copies(i) && k < SPACES * IDS; k++) {
			const struct slot *was = &now.slot[k / IDS][k % IDS];

			if (was->there && slot_changed(k / IDS, k % IDS) &&
				frames_meet(&next.slot[i / IDS][i % IDS], was))
				return true;
		}
	return false;
}

bool copies_collide(void)
{
	for (unsigned i = 0; i < SPACES * IDS; i++)
		for (unsigned k = 0; copies(i) && k < i; k++)
			if (copies(k) &&
				frames_meet(&next.slot[i / IDS][i % IDS],
					&next.slot[k / IDS][k % IDS]))
				return true;
	return false;
}

/* A page of node R that would not be where it is, with the same memory. */
bool refused_by_policy(void)
{
	for (unsigned i = 0; i < SPACES * GFNS; i++) {
		unsigned space = i / GFNS, gfn = i % GFNS, page = 0, to = 0;
		struct slot *s, *at;
		unsigned id;

		if (!now.count[R][space][gfn])
			continue;
		s = owner(&now, space, gfn, &page);
		id = (unsigned)(s - now.slot[space]);
		if (!slot_relocated(space, id))
			continue;
		at = owner(&next, space, gfn, &to);
		if (!at || at->page[to].origin != id ||
			at->page[to].origin_page != page)
			return true;
	}
	return false;
}

/* ---- its end ------------------------------------------------------------- */

void next_last_bits(unsigned space, unsigned id, unsigned bit)
{
	for (unsigned i = 0; i < IDS; i++) {
		struct slot *s = &next.slot[space][i];

		for (unsigned p = 0; s->there && p < s->pages; p++)
			if (s->page[p].origin == id && s->page[p].dirty) {
				s->page[p].dirty = false;
				s->page[p].out |= (uint8_t)bit;
			}
	}
}

static void settle_slot(unsigned space, unsigned id)
{
	struct slot *s = &next.slot[space][id];
	bool mark = s->mark && !s->fresh && slot_relocated(space, id);

	for (unsigned p = 0; s->there && p < s->pages; p++) {
		struct page *page = &s->page[p];

		if (!(s->flags & MEMSLOT_LOG_DIRTY)) {
			page->dirty = false;
			page->out = 0;
		} else if (mark) {
			page->dirty = true;
		}
	}
}

/* All copies read what was published; they write somewhere else. */
static void settle_bytes(unsigned space, unsigned id)
{
	const struct slot *s = &next.slot[space][id];

	if (!copies(space * IDS + id))
		return;
	for (unsigned p = 0; p < s->pages; p++) {
		const struct page *page = &s->page[p];
		const struct slot *was;

		if (page->origin == NOWHERE)
			continue;
		was = &now.slot[space][page->origin];
		memcpy(bytes[s->frame + p],
			bytes[was->frame + page->origin_page], PAGE);
	}
}

void next_settle(void)
{
	unsigned page = 0;

	for (unsigned i = 0; i < SPACES * IDS; i++) {
		settle_slot(i / IDS, i % IDS);
		settle_bytes(i / IDS, i % IDS);
	}
	for (unsigned i = 0; i < SPACES * GFNS; i++)
		if (!owner(&next, i / GFNS, i % GFNS, &page))
			next.count[S][i / GFNS][i % GFNS] =
				next.count[R][i / GFNS][i % GFNS] = 0;
	now = next;
}
