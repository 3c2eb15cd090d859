/* SPDX-License-Identifier: MIT */
/*
 * amo.c - the A extension: LR, SC and the atomic memory operations
 *
 * All are done with host atomics on guest memory, sequentially consistent
 * whatever aq and rl say, so they are atomic against other harts, device
 * threads and the page table walker. Memory only: a device is an access
 * fault (privileged spec, "Atomicity PMAs": AMONone, RsrvNone). Misaligned
 * addresses trap (no Zam, no misaligned atomicity granule).
 *
 * SC succeeds if it has LR's address and size and memory still holds what LR
 * loaded. Here we are less than exact: if other harts changed the value and
 * changed it back in between, SC should fail ("Load-Reserved/Store-
 * Conditional Instructions": it must if a store from another hart can be
 * observed in between) and succeeds. To see such stores all stores would have
 * to pay. Code for which a compare-and-swap would do, which is what compilers
 * and Linux use LR/SC for, cannot tell. With --deterministic reservations are
 * exact: they end when another hart runs.
 */
#include "vmm/soft/hart.h"

enum {
	AMO_ADD = 0,
	AMO_SWAP = 1,
	AMO_LR = 2,
	AMO_SC = 3,
	AMO_XOR = 4,
	AMO_OR = 8,
	AMO_AND = 12,
	AMO_MIN = 16,
	AMO_MAX = 20,
	AMO_MINU = 24,
	AMO_MAXU = 28
};

/* Operands are sign-extended to 64 bits, which also orders unsigned words. */
static uint64_t compute(unsigned funct5, uint64_t old, uint64_t v)
{
	switch (funct5) {
	case AMO_ADD:
		return old + v;
	case AMO_XOR:
		return old ^ v;
	case AMO_OR:
		return old | v;
	case AMO_AND:
		return old & v;
	case AMO_MIN:
		return (int64_t)old < (int64_t)v ? old : v;
	case AMO_MAX:
		return (int64_t)old > (int64_t)v ? old : v;
	case AMO_MINU:
		return old < v ? old : v;
	case AMO_MAXU:
		return old > v ? old : v;
	default: /* AMO_SWAP */
		return v;
	}
}

static uint64_t load(const uint8_t *host, unsigned size)
{
	if (size == 8)
		return __atomic_load_n(
			(const uint64_t *)host, __ATOMIC_SEQ_CST);
	return (uint64_t)(int64_t)__atomic_load_n(
		(const int32_t *)host, __ATOMIC_SEQ_CST);
}

/* *old is updated if memory held something else. */
static bool exchange(uint8_t *host, unsigned size, uint64_t *old, uint64_t v)
{
	uint32_t o = (uint32_t)*old;
	bool ok;

	if (size == 8)
		return __atomic_compare_exchange_n((uint64_t *)host, old, v,
			false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	ok = __atomic_compare_exchange_n((uint32_t *)host, &o, (uint32_t)v,
		false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	*old = (uint64_t)(int32_t)o;
	return ok;
}

static void fill(struct hart *h, struct tlb *t, uint64_t va, gpa_t gpa,
	const uint8_t *host)
{
	uint64_t offset = va & MEMSLOT_PAGE_MASK;

	tlb_fill(h, t, va, gpa >> MEMSLOT_PAGE_SHIFT, host - offset);
}

/*
 * Memory has been changed through a place off the store cache: mark it, and
 * report or fill.
 */
static void written(struct hart *h, const struct place *p, uint64_t va,
	uint8_t *host, unsigned size, uint64_t old, uint64_t value)
{
	gfn_t gfn = p->gpa >> MEMSLOT_PAGE_SHIFT;
	struct report report;

	memslot_mark_dirty(p->slot, gfn);
	if (UNLIKELY(memslot_page_tracked(p->slot, gfn))) {
		report.gpa = p->gpa;
		report.bytes = &value;
		report.old = &old;
		report.len = size;
		hart_report(h, &report, 1, PAGETRACK_CPU);
	} else if (memslot_page_writable(p->slot, gfn)) {
		fill(h, h->store, va, p->gpa, host);
	}
}

/*
 * Where an atomic access goes, and its gpa. With a hit in the cache p->slot
 * is NULL, and if it is a store nothing is to be marked or reported. NULL: a
 * trap.
 */
static uint8_t *locate(
	struct hart *h, uint64_t va, enum access access, struct place *p)
{
	struct tlb *t = access == ACCESS_LOAD ? h->load : h->store;
	uint8_t *host = tlb_find(t, va);

	p->slot = NULL;
	if (host) {
		p->gpa = tlb_gpa(t, va);
		return host;
	}
	if (mem_resolve(h, va, access, p) == MEM_FAULT)
		return NULL;
	if (!p->slot) {
		mmu_fault(h,
			access == ACCESS_LOAD ? CAUSE_LOAD_ACCESS
					      : CAUSE_STORE_ACCESS,
			va);
		return NULL;
	}
	return memslot_host(p->slot, p->gpa);
}

static enum mem load_reserved(
	struct hart *h, uint64_t va, unsigned rd, unsigned size)
{
	struct place p;
	uint8_t *host;

	if (va & (size - 1)) {
		mmu_fault(h, CAUSE_LOAD_MISALIGNED, va);
		return MEM_FAULT;
	}
	host = locate(h, va, ACCESS_LOAD, &p);
	if (!host)
		return MEM_FAULT;
	if (p.slot)
		fill(h, h->load, va, p.gpa, host);
	h->reserve_va = va;
	h->reserve_gpa = p.gpa;
	h->reserve_size = size;
	h->reserve_value = load(host, size);
	h->x[rd] = h->reserve_value;
	return h->left ? MEM_LEFT : MEM_OK;
}

static enum mem store_conditional(
	struct hart *h, uint64_t va, unsigned rd, uint64_t v, unsigned size)
{
	uint64_t old = h->reserve_value;
	struct place p;
	uint8_t *host;
	bool ok;

	/* Without a reservation for it memory is not looked at. */
	if (!h->reserve_size || h->reserve_va != va) {
		h->reserve_size = 0;
		h->x[rd] = 1;
		return MEM_OK;
	}
	host = locate(h, va, ACCESS_STORE, &p);
	if (!host)
		return MEM_FAULT;
	/* The address may lead elsewhere than it did for LR. */
	ok = h->reserve_size == size && h->reserve_gpa == p.gpa &&
	     exchange(host, size, &old, v);
	h->reserve_size = 0;
	h->x[rd] = !ok;
	if (ok && p.slot)
		written(h, &p, va, host, size, old, v);
	return h->left ? MEM_LEFT : MEM_OK;
}

enum mem amo_exec(struct hart *h, uint32_t bits)
{
	unsigned funct5 = bits >> 27, size = bits >> 12 & 1 ? 8 : 4;
	unsigned rd = bits >> 7 & 31 ? bits >> 7 & 31 : X_SINK;
	uint64_t va = h->x[bits >> 15 & 31], v = h->x[bits >> 20 & 31];
	uint64_t old, new;
	struct place p;
	uint8_t *host;

	h->left = false;
	if (funct5 == AMO_LR)
		return load_reserved(h, va, rd, size);
	if (va & (size - 1)) {
		mmu_fault(h, CAUSE_STORE_MISALIGNED, va);
		return MEM_FAULT;
	}
	if (size == 4)
		v = (uint64_t)(int32_t)v;
	if (funct5 == AMO_SC)
		return store_conditional(h, va, rd, v, size);
	host = locate(h, va, ACCESS_STORE, &p);
	if (!host)
		return MEM_FAULT;
	old = load(host, size);
	do
		new = compute(funct5, old, v);
	while (!exchange(host, size, &old, new));
	h->x[rd] = old;
	if (p.slot)
		written(h, &p, va, host, size, old, new);
	return h->left ? MEM_LEFT : MEM_OK;
}
