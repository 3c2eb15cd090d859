/* SPDX-License-Identifier: MIT */
/*
 * access.c - loads and stores, and who hears of them
 *
 * A guest access is made as the dispatch loop of vmm/soft makes it: through
 * the hart's translation cache if the page is there, which tells nobody, and
 * else through mem.c. Whether the cache may have the page is just the
 * question; the model only says what must be seen.
 */
#include "tests/property/model/model.h"

static unsigned gfn_of(gpa_t gpa)
{
	return (unsigned)(gpa / PAGE) - FIRST;
}

/* The byte at gpa in the model's memory; NULL: no slot, or not for stores. */
static uint8_t *byte_at(
	unsigned space, gpa_t gpa, bool store, struct page **page)
{
	unsigned n = 0;
	struct slot *s = gpa / PAGE - FIRST < GFNS
				 ? owner(&now, space, gfn_of(gpa), &n)
				 : NULL;

	if (!s || (store && s->flags & MEMSLOT_READONLY))
		return NULL;
	if (page)
		*page = &s->page[n];
	return &bytes[s->frame + n][gpa % PAGE];
}

/* How many bytes from gpa on are in one piece with the first page? */
static size_t in_page(gpa_t gpa, size_t len)
{
	size_t room = PAGE - gpa % PAGE;

	return len < room ? len : room;
}

/* ---- what must be heard ----------------------------------------------------- */

static unsigned seen;

static void expect_event(unsigned node, unsigned space, gpa_t gpa,
	const uint8_t *data, const uint8_t *old, size_t len,
	struct pagetrack_source source)
{
	const struct event *e = &w.event[seen++];

	MUST(seen <= w.events);
	MUST(e->node == node && e->space == space && e->gpa == gpa);
	MUST(e->len == len && !memcmp(e->bytes, data, len));
	MUST(e->source.kind == source.kind && e->source.index == source.index);
	MUST(node != F || e->has_old);
	if (e->has_old)
		MUST(!memcmp(e->old, old, len));
}

/* Store in one page: bytes, dirty bit, events. */
static void model_store(unsigned space, gpa_t gpa, const uint8_t *data,
	size_t len, struct pagetrack_source source)
{
	struct page *page = NULL;
	uint8_t old[LONGEST], *at = byte_at(space, gpa, false, &page);
	unsigned in = 0;
	const struct slot *s = owner(&now, space, gfn_of(gpa), &in);

	memcpy(old, at, len);
	memcpy(at, data, len);
	page->dirty = s->flags & MEMSLOT_LOG_DIRTY;
	for (unsigned i = 0; i < NODES; i++)
		if (adds(w.order[i], space, gfn_of(gpa)))
			expect_event(
				w.order[i], space, gpa, data, old, len, source);
}

/* ---- the guest --------------------------------------------------------------- */

/* The dispatch loop's way, or false: not through the cache. */
static bool cached(
	struct hart *h, bool store, gpa_t gpa, unsigned size, uint64_t *value)
{
	const struct tlb *t = store ? h->store : h->load;
	const struct tlb_entry *e =
		&t->e[(gpa >> MEMSLOT_PAGE_SHIFT) & TLB_MASK];
	uint8_t *at = (uint8_t *)(uintptr_t)(gpa + e->addend);

	if (e->tag != (gpa & (~MEMSLOT_PAGE_MASK | (size - 1))))
		return false;
	tally.cached++;
	/* Nowhere but in the guest's memory. */
	MUST(at >= host[0] && at + size <= host[FRAMES - 1] + PAGE);
	if (store)
		memcpy(at, value, size);
	else
		memcpy(value, at, size);
	return true;
}

static bool hart_access(
	struct hart *h, bool store, gpa_t gpa, unsigned size, uint64_t *value)
{
	enum mem m = MEM_OK;

	hart_enter(h);
	if (!cached(h, store, gpa, size, value)) {
		m = store ? mem_store(h, gpa, size, *value)
			  : mem_load(h, gpa, size);
		if (!store)
			*value = h->value;
	}
	hart_leave(h);
	return m != MEM_FAULT;
}

void access_guest(const struct step *op)
{
	bool store = op->kind == DO_STORE;
	unsigned space = op->v[A_SPACE] % SPACES;
	unsigned size = 1u << (op->v[A_SIZE] & 3);
	gpa_t gpa = (gpa_t)(FIRST + op->v[A_GFN]) * PAGE + op->v[A_OFFSET];
	struct hart *h = world_hart(space, op->v[A_HART]);
	uint64_t value = 0, want = 0;
	size_t first = in_page(gpa, size);
	bool there = byte_at(space, gpa, store, NULL) &&
		     byte_at(space, gpa + size - 1, store, NULL);
	struct pagetrack_source cpu = {PAGETRACK_CPU, h->id};
	uint8_t data[8];

	if (store)
		value = op->v[A_VALUE] * 0x9e3779b97f4a7c15u;
	memcpy(data, &value, sizeof(data));
	heard_clear();
	seen = 0;
	MUST(hart_access(h, store, gpa, size, &value) == there);
	if (!there)
		size = 0;
	else if (store)
		model_store(space, gpa, data, first, cpu);
	if (size > first && store)
		model_store(
			space, gpa + first, data + first, size - first, cpu);
	for (unsigned i = 0; i < size; i++)
		want |= (uint64_t)*byte_at(space, gpa + i, false, NULL)
			<< 8 * i;
	if (!store && there)
		MUST(value == want);
	MUST(seen == w.events);
}

/* ---- devices and the loader ----------------------------------------------------- */

static void device_read(unsigned space, gpa_t gpa, size_t len)
{
	uint8_t data[LONGEST];
	int r = pagetrack_guest_read(&w.reader, space, gpa, data, len);

	for (size_t i = 0; i < len; i++) {
		const uint8_t *at = byte_at(space, gpa + i, false, NULL);

		if (!at) {
			MUST(r == -EFAULT);
			return;
		}
		MUST(data[i] == *at);
	}
	MUST(r == 0);
}

void access_device(const struct step *op)
{
	unsigned space = op->v[A_SPACE] % SPACES;
	gpa_t gpa = (gpa_t)(FIRST + op->v[A_GFN]) * PAGE + op->v[A_OFFSET];
	size_t len = 1 + op->v[A_SIZE] % LONGEST, first = in_page(gpa, len);
	bool loader = op->v[A_SOURCE] & 1;
	struct pagetrack_source source = {
		loader ? PAGETRACK_HOST : PAGETRACK_DEVICE, op->v[A_VALUE] & 7};
	uint8_t data[LONGEST];
	int r, want = 0;

	if (op->kind == DO_READ) {
		device_read(space, gpa, len);
		return;
	}
	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)(op->v[A_VALUE] * 37 + i);
	heard_clear();
	seen = 0;
	r = pagetrack_guest_write(
		w.pt, &w.reader, space, gpa, data, len, source);
	/* Page by page: the first may be written, and the second not. */
	if (!byte_at(space, gpa, !loader, NULL))
		want = -EFAULT;
	else
		model_store(space, gpa, data, first, source);
	if (!want && len > first) {
		if (!byte_at(space, gpa + first, !loader, NULL))
			want = -EFAULT;
		else
			model_store(space, gpa + first, data + first,
				len - first, source);
	}
	MUST(r == want && seen == w.events);
}
