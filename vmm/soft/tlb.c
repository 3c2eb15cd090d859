/* SPDX-License-Identifier: MIT */
/*
 * tlb.c - the translation caches: this machine's shadow page tables
 *
 * An entry of the store cache is a licence to write a page without telling
 * anybody: it exists only if memslot_page_writable() said yes in the current
 * or an earlier section and no `protect` or `flush` for the page has been
 * drained since. So tracking costs untracked stores nothing.
 *
 * ASIDs are not implemented (satp.ASID reads zero), so sfence.vma with an
 * ASID is the same without. All of it belongs to the hart's own thread.
 */
#include <string.h>

#include "vmm/soft/hart.h"

static void clear(struct tlb *t)
{
	/* All ones is TLB_NONE; the other fields do not matter. */
	memset(t->e, 0xff, sizeof(t->e));
}

void tlb_drop_loads(struct hart *h)
{
	for (unsigned n = 0; n < CONTEXTS; n++)
		clear(&h->loads[n]);
}

void tlb_drop_all(struct hart *h)
{
	tlb_drop_loads(h);
	for (unsigned n = 0; n < CONTEXTS; n++)
		clear(&h->stores[n]);
	for (unsigned n = 0; n < CONTEXT_SUM; n++)
		clear(&h->fetches[n]);
	memset(h->super, 0, sizeof(h->super));
}

void tlb_fill(struct hart *h, struct tlb *t, uint64_t va, gfn_t gfn,
	const uint8_t *page)
{
	unsigned n = (va >> MEMSLOT_PAGE_SHIFT) & TLB_MASK;

	t->e[n].tag = va & ~MEMSLOT_PAGE_MASK;
	t->e[n].addend = (uintptr_t)page - (uintptr_t)t->e[n].tag;
	t->gfn[n] = gfn;
	stat_add(&h->stat_refills, 1);
}

void tlb_populate(struct hart *h, gfn_t gfn, uint64_t pages)
{
	pages = pages < TLB_SIZE ? pages : TLB_SIZE;
	for (gfn_t end = gfn + pages; gfn < end; gfn++) {
		const struct memslot *s =
			memslot_lookup(&h->reader, h->s->config.space, gfn);
		uint64_t va = gfn << MEMSLOT_PAGE_SHIFT;

		if (!s || memslot_is_invalid(s))
			continue;
		tlb_fill(h, h->load, va, gfn, memslot_host(s, va));
		if (memslot_page_writable(s, gfn))
			tlb_fill(h, h->store, va, gfn, memslot_host(s, va));
	}
}

void tlb_saw_super(struct hart *h, uint64_t va, uint64_t size)
{
	struct tlb_super *s = &h->super[va >> 63];
	uint64_t lo = va & ~(size - 1), hi = lo + (size - 1);

	if (!s->size || lo < s->lo)
		s->lo = lo;
	if (!s->size || hi > s->hi)
		s->hi = hi;
	if (size > s->size)
		s->size = size;
}

static void drop_page(struct tlb *t, uint64_t page)
{
	struct tlb_entry *e = &t->e[(page >> MEMSLOT_PAGE_SHIFT) & TLB_MASK];

	if (e->tag == page)
		e->tag = TLB_NONE;
}

static void drop_frame(struct tlb *t, uint64_t va, uint64_t size)
{
	for (unsigned n = 0; n < TLB_SIZE; n++)
		if (((t->e[n].tag ^ va) & ~(size - 1)) == 0)
			t->e[n].tag = TLB_NONE;
}

/*
 * One page, in every cache. The fragments of a superpage must go together,
 * because one sfence.vma for any address in it is enough (privileged spec,
 * "Supervisor Memory-Management Fence Instruction"). Where superpages have
 * been seen, the whole frame of the largest size goes.
 */
void tlb_drop_va(struct hart *h, uint64_t va)
{
	const struct tlb_super *s = &h->super[va >> 63];
	bool frame = s->size && va >= s->lo && va <= s->hi;
	uint64_t page = va & ~MEMSLOT_PAGE_MASK;

	for (unsigned n = 0; n < CONTEXTS; n++) {
		if (frame) {
			drop_frame(&h->loads[n], va, s->size);
			drop_frame(&h->stores[n], va, s->size);
		} else {
			drop_page(&h->loads[n], page);
			drop_page(&h->stores[n], page);
		}
	}
	for (unsigned n = 0; n < CONTEXT_SUM; n++) {
		if (frame)
			drop_frame(&h->fetches[n], va, s->size);
		else
			drop_page(&h->fetches[n], page);
	}
}

static void drop_gfns(struct tlb *t, gfn_t gfn, uint64_t pages)
{
	for (unsigned n = 0; n < TLB_SIZE; n++)
		if (t->gfn[n] - gfn < pages)
			t->e[n].tag = TLB_NONE;
}

void tlb_drop_gfns(struct hart *h, gfn_t gfn, uint64_t pages, bool stores)
{
	for (unsigned n = 0; n < CONTEXTS; n++) {
		drop_gfns(&h->stores[n], gfn, pages);
		if (!stores)
			drop_gfns(&h->loads[n], gfn, pages);
	}
	if (stores)
		return;
	for (unsigned n = 0; n < CONTEXT_SUM; n++)
		drop_gfns(&h->fetches[n], gfn, pages);
}

void tlb_context(struct hart *h)
{
	enum context c = CONTEXT_U;

	if (h->mode == MODE_S)
		c = h->sstatus & SSTATUS_SUM ? CONTEXT_SUM : CONTEXT_S;
	h->load = &h->loads[c];
	h->store = &h->stores[c];
	h->fetch = &h->fetches[h->mode == MODE_S ? CONTEXT_S : CONTEXT_U];
}
