/* SPDX-License-Identifier: MIT */
/*
 * mem.c - loads and stores that the dispatch loop could not do itself
 *
 * Here is everything that is not an aligned access through a translation
 * cache: misses, misaligned accesses (done transparently, in one page or
 * across two), devices, write-tracked pages and clean dirty-logged pages.
 *
 * A store is in memory and in the dirty log before it is reported; it is
 * reported outside the read section, once per page, with the bytes as they
 * are in memory. An access across two pages is translated wholly before any
 * byte moves, so a fault has no effect. A device takes naturally aligned
 * accesses only, others are access faults (privileged spec, "Physical Memory
 * Attributes": misaligned accesses need not be supported by I/O regions).
 */
#include <errno.h>
#include <string.h>

#include "vmm/soft/hart.h"

enum mem mem_resolve(
	struct hart *h, uint64_t va, enum access access, struct place *p)
{
	enum mmu m;

	do {
		m = mmu_translate(h, va, access, &p->gpa);
		if (m == MMU_OK)
			m = mmu_slot(h, p->gpa, &p->slot);
	} while (m == MMU_RETRY);
	if (m == MMU_FAULT)
		return MEM_FAULT;
	/* A write to a read-only slot is a write to no memory. */
	if (p->slot && access == ACCESS_STORE &&
		p->slot->flags & MEMSLOT_READONLY)
		p->slot = NULL;
	return MEM_OK;
}

static enum mem fault(struct hart *h, uint64_t va, enum access access)
{
	mmu_fault(h,
		access == ACCESS_LOAD ? CAUSE_LOAD_ACCESS : CAUSE_STORE_ACCESS,
		va);
	return MEM_FAULT;
}

static enum mem done(const struct hart *h)
{
	return h->left ? MEM_LEFT : MEM_OK;
}

static enum mem device_load(
	struct hart *h, uint64_t va, gpa_t gpa, unsigned size)
{
	int err;

	if (gpa & (size - 1))
		return fault(h, va, ACCESS_LOAD);
	hart_leave(h);
	h->value = 0;
	err = bus_read(h->s->config.bus, gpa, size, &h->value);
	hart_enter(h);
	return err ? fault(h, va, ACCESS_LOAD) : MEM_LEFT;
}

static enum mem device_store(
	struct hart *h, uint64_t va, gpa_t gpa, unsigned size, uint64_t value)
{
	int err;

	if (gpa & (size - 1))
		return fault(h, va, ACCESS_STORE);
	hart_leave(h);
	err = bus_write(h->s->config.bus, gpa, size, value);
	hart_enter(h);
	return err ? fault(h, va, ACCESS_STORE) : MEM_LEFT;
}

/* Both parts of an access across pages, in one and the same section. */
static enum mem resolve_two(struct hart *h, uint64_t va, uint64_t second,
	enum access access, struct place p[2])
{
	bool left = h->left;

	do {
		h->left = false;
		if (mem_resolve(h, va, access, &p[0]) == MEM_FAULT)
			return MEM_FAULT;
		if (!p[0].slot)
			return fault(h, va, access);
		left |= h->left;
		h->left = false;
		if (mem_resolve(h, second, access, &p[1]) == MEM_FAULT)
			return MEM_FAULT;
		if (!p[1].slot)
			return fault(h, second, access);
		left |= h->left;
	} while (h->left); /* p[0] is stale */
	h->left = left;
	return MEM_OK;
}

static enum mem load_two(struct hart *h, uint64_t va, unsigned size)
{
	uint64_t second = (va | MEMSLOT_PAGE_MASK) + 1;
	unsigned first = (unsigned)(second - va);
	uint8_t bytes[8] = {0};
	struct place p[2];

	if (resolve_two(h, va, second, ACCESS_LOAD, p) == MEM_FAULT)
		return MEM_FAULT;
	memcpy(bytes, memslot_host(p[0].slot, p[0].gpa), first);
	memcpy(bytes + first, memslot_host(p[1].slot, p[1].gpa), size - first);
	memcpy(&h->value, bytes, sizeof(bytes));
	return done(h);
}

/* Not atomic unless aligned; the architecture asks for no more. */
static uint64_t read_host(const uint8_t *host, unsigned size)
{
	uint64_t v = 0;

	if ((uintptr_t)host & (size - 1)) {
		memcpy(&v, host, size);
		return v;
	}
	switch (size) {
	case 1:
		return __atomic_load_n(host, __ATOMIC_RELAXED);
	case 2:
		return __atomic_load_n(
			(const uint16_t *)host, __ATOMIC_RELAXED);
	case 4:
		return __atomic_load_n(
			(const uint32_t *)host, __ATOMIC_RELAXED);
	default:
		return __atomic_load_n(
			(const uint64_t *)host, __ATOMIC_RELAXED);
	}
}

static void write_host(uint8_t *host, unsigned size, uint64_t v)
{
	if ((uintptr_t)host & (size - 1)) {
		memcpy(host, &v, size);
		return;
	}
	switch (size) {
	case 1:
		__atomic_store_n(host, (uint8_t)v, __ATOMIC_RELAXED);
		break;
	case 2:
		__atomic_store_n(
			(uint16_t *)host, (uint16_t)v, __ATOMIC_RELAXED);
		break;
	case 4:
		__atomic_store_n(
			(uint32_t *)host, (uint32_t)v, __ATOMIC_RELAXED);
		break;
	default:
		__atomic_store_n((uint64_t *)host, v, __ATOMIC_RELAXED);
		break;
	}
}

enum mem mem_load(struct hart *h, uint64_t va, unsigned size)
{
	const uint8_t *host;
	struct place p;
	gpa_t page;

	h->left = false;
	if ((va & MEMSLOT_PAGE_MASK) + size > MEMSLOT_PAGE_SIZE)
		return load_two(h, va, size);
	host = tlb_find(h->load, va);
	if (host) { /* misaligned: that is why it is here */
		h->value = read_host(host, size);
		return MEM_OK;
	}
	if (mem_resolve(h, va, ACCESS_LOAD, &p) == MEM_FAULT)
		return MEM_FAULT;
	if (!p.slot)
		return device_load(h, va, p.gpa, size);
	h->value = read_host(memslot_host(p.slot, p.gpa), size);
	page = p.gpa & ~MEMSLOT_PAGE_MASK;
	tlb_fill(h, h->load, va, page >> MEMSLOT_PAGE_SHIFT,
		memslot_host(p.slot, page));
	return done(h);
}

/* The bytes are in memory: mark. True: the page is tracked, *r says what. */
static bool written(
	const struct place *p, const void *bytes, size_t len, struct report *r)
{
	gfn_t gfn = p->gpa >> MEMSLOT_PAGE_SHIFT;

	memslot_mark_dirty(p->slot, gfn);
	if (LIKELY(!memslot_page_tracked(p->slot, gfn)))
		return false;
	r->gpa = p->gpa;
	r->bytes = bytes;
	r->old = NULL;
	r->len = len;
	return true;
}

/* Will somebody want the bytes that a store to this place replaces? */
static bool old_wanted(const struct hart *h, const struct place *p)
{
	const struct pagetrack *track = h->s->config.track;

	return track && UNLIKELY(pagetrack_wants_old(track)) &&
	       memslot_page_tracked(p->slot, p->gpa >> MEMSLOT_PAGE_SHIFT);
}

/* Stores to this page need not come here again, if nobody is to hear. */
static void fill_store(struct hart *h, uint64_t va, const struct place *p)
{
	gpa_t page = p->gpa & ~MEMSLOT_PAGE_MASK;
	gfn_t gfn = page >> MEMSLOT_PAGE_SHIFT;

	if (memslot_page_writable(p->slot, gfn))
		tlb_fill(h, h->store, va, gfn, memslot_host(p->slot, page));
}

static enum mem store_two(
	struct hart *h, uint64_t va, unsigned size, uint64_t value)
{
	uint64_t second = (va | MEMSLOT_PAGE_MASK) + 1;
	unsigned first = (unsigned)(second - va);
	struct report report[2];
	struct place p[2];
	unsigned reports = 0;
	uint8_t bytes[8], old[8];
	bool want[2];

	memcpy(bytes, &value, sizeof(bytes));
	if (resolve_two(h, va, second, ACCESS_STORE, p) == MEM_FAULT)
		return MEM_FAULT;
	want[0] = old_wanted(h, &p[0]);
	want[1] = old_wanted(h, &p[1]);
	memcpy(old, memslot_host(p[0].slot, p[0].gpa), first);
	memcpy(old + first, memslot_host(p[1].slot, p[1].gpa), size - first);
	memcpy(memslot_host(p[0].slot, p[0].gpa), bytes, first);
	memcpy(memslot_host(p[1].slot, p[1].gpa), bytes + first, size - first);
	if (written(&p[0], bytes, first, &report[reports]))
		report[reports++].old = want[0] ? old : NULL;
	if (written(&p[1], bytes + first, size - first, &report[reports]))
		report[reports++].old = want[1] ? old + first : NULL;
	if (reports)
		hart_report(h, report, reports, PAGETRACK_CPU);
	return done(h);
}

enum mem mem_store(struct hart *h, uint64_t va, unsigned size, uint64_t value)
{
	struct report report;
	uint64_t old = 0;
	struct place p;
	uint8_t *host;
	bool want;

	h->left = false;
	if ((va & MEMSLOT_PAGE_MASK) + size > MEMSLOT_PAGE_SIZE)
		return store_two(h, va, size, value);
	host = tlb_find(h->store, va);
	if (host) {
		write_host(host, size, value);
		return MEM_OK;
	}
	if (mem_resolve(h, va, ACCESS_STORE, &p) == MEM_FAULT)
		return MEM_FAULT;
	if (!p.slot)
		return device_store(h, va, p.gpa, size, value);
	want = old_wanted(h, &p);
	if (want)
		old = read_host(memslot_host(p.slot, p.gpa), size);
	write_host(memslot_host(p.slot, p.gpa), size, value);
	if (UNLIKELY(written(&p, &value, size, &report))) {
		report.old = want ? &old : NULL;
		hart_report(h, &report, 1, PAGETRACK_CPU);
		return MEM_LEFT;
	}
	fill_store(h, va, &p);
	return done(h);
}

/* cbo.zero: not one store, but eight that a reader may see one by one. */
enum mem mem_zero(struct hart *h, uint64_t va)
{
	static const uint8_t zero[ISA_CBO_BLOCK];
	uint8_t old[ISA_CBO_BLOCK];
	struct report report;
	struct place p;
	uint8_t *host;
	bool want = false;

	h->left = false;
	p.slot = NULL;
	host = tlb_find(h->store, va);
	if (!host) {
		if (mem_resolve(h, va, ACCESS_STORE, &p) == MEM_FAULT)
			return MEM_FAULT;
		if (!p.slot)
			return fault(h, va, ACCESS_STORE);
		host = memslot_host(p.slot, p.gpa);
		want = old_wanted(h, &p);
	}
	if (want)
		memcpy(old, host, sizeof(old));
	for (unsigned n = 0; n < ISA_CBO_BLOCK; n += 8)
		write_host(host + n, 8, 0);
	if (p.slot && written(&p, zero, sizeof(zero), &report)) {
		report.old = want ? old : NULL;
		hart_report(h, &report, 1, PAGETRACK_CPU);
	} else if (p.slot) {
		fill_store(h, va, &p);
	}
	return done(h);
}
