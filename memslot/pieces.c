/* SPDX-License-Identifier: MIT */
/*
 * pieces.c - where the memory of a planned slot comes from
 *
 * Splits and merges rearrange slots whose dirty bits and protections must
 * stay with their memory. A planned slot is therefore a list of pieces of
 * published slots. Neighbours that belong together are joined, so that a
 * slot that was split and merged again is seen to be what it was.
 */
#include "memslot/internal.h"

static struct memslot_piece *piece_new(struct memslot_txn *t,
	struct memslot *origin, uint64_t first_page, uint64_t size_pages,
	uint64_t at_page)
{
	struct memslot_piece *p = &t->pool[t->pool_used++];

	p->next = NULL;
	p->origin = origin;
	p->first_page = first_page;
	p->size_pages = size_pages;
	p->at_page = at_page;
	return p;
}

struct memslot_piece *piece_whole(struct memslot_txn *t, struct memslot *s)
{
	return piece_new(t, s, 0, s->size_pages, 0);
}

struct memslot_piece *pieces_cut(
	struct memslot_txn *t, struct memslot_piece **list, uint64_t page)
{
	struct memslot_piece *tail, *p;

	while (*list && (*list)->at_page + (*list)->size_pages <= page)
		list = &(*list)->next;
	p = *list;
	if (p && p->at_page < page) { /* the cut goes through it */
		uint64_t keep = page - p->at_page;

		tail = piece_new(t, p->origin, p->first_page + keep,
			p->size_pages - keep, page);
		tail->next = p->next;
		p->size_pages = keep;
		p->next = NULL;
	} else {
		tail = p;
		*list = NULL;
	}
	for (p = tail; p; p = p->next)
		p->at_page -= page;
	return tail;
}

static bool follows(
	const struct memslot_piece *a, const struct memslot_piece *b)
{
	return a->origin == b->origin &&
	       a->first_page + a->size_pages == b->first_page &&
	       a->at_page + a->size_pages == b->at_page;
}

void pieces_join(struct memslot_piece **list, uint64_t size_pages,
	struct memslot_piece *tail)
{
	struct memslot_piece *last = *list;

	for (struct memslot_piece *p = tail; p; p = p->next)
		p->at_page += size_pages;
	while (last && last->next)
		last = last->next;
	if (last && tail && follows(last, tail)) {
		last->size_pages += tail->size_pages;
		tail = tail->next;
	}
	if (last)
		last->next = tail;
	else
		*list = tail;
}

bool pieces_are(const struct memslot_piece *list, const struct memslot *s)
{
	return list && !list->next && list->origin == s &&
	       list->first_page == 0 && list->at_page == 0 &&
	       list->size_pages == s->size_pages;
}
