/* SPDX-License-Identifier: MIT */
/*
 * mmu.c - Sv39, Sv48 and Sv57, as a hardware page table walker does them
 *
 * Privileged spec, "Virtual Address Translation Process". A and D bits are
 * set by the walker with a compare-exchange on the entry (Svadu), so they
 * never undo a concurrent change by another hart; without Svadu they are a
 * page fault where they are missing (Svade). Such an update is a write
 * to guest memory like any other: it marks the page dirty, and on a tracked
 * page it is reported with source PAGETRACK_WALKER. Reporting means leaving
 * the read section, after which the walk begins anew and finds the bit set.
 *
 * Entries must lie in memory: a walk that meets a device or a hole is an
 * access fault, one that has to set a bit in a read-only slot too.
 */
#include "vmm/soft/hart.h"

enum mmu mmu_fault(struct hart *h, uint64_t cause, uint64_t va)
{
	h->cause = cause;
	h->tval = va;
	return MMU_FAULT;
}

static enum mmu page_fault(struct hart *h, uint64_t va, enum access access)
{
	static const uint8_t cause[] = {
		CAUSE_FETCH_PAGE, CAUSE_LOAD_PAGE, CAUSE_STORE_PAGE};

	return mmu_fault(h, cause[access], va);
}

static enum mmu access_fault(struct hart *h, uint64_t va, enum access access)
{
	static const uint8_t cause[] = {
		CAUSE_FETCH_ACCESS, CAUSE_LOAD_ACCESS, CAUSE_STORE_ACCESS};

	return mmu_fault(h, cause[access], va);
}

enum mmu mmu_slot(struct hart *h, gpa_t gpa, const struct memslot **slot)
{
	*slot = NULL;
	if (gpa >= MEMSLOT_GPA_LIMIT)
		return MMU_OK;
	*slot = memslot_lookup(
		&h->reader, h->s->config.space, gpa >> MEMSLOT_PAGE_SHIFT);
	if (LIKELY(!*slot || !memslot_is_invalid(*slot)))
		return MMU_OK;
	/*
	 * A transaction is changing it. It is not a hole: wait. A broken
	 * machine keeps it so for ever, but then we are being stopped.
	 */
	if (memslots_broken(h->s->config.slots))
		return mmu_fault(h, CAUSE_LOAD_ACCESS, 0);
	hart_leave(h);
	memslot_wait_valid(&h->reader);
	hart_enter(h);
	return MMU_RETRY;
}

/* May this leaf be used so? Step 6 and 7 of the spec's algorithm. */
static bool permitted(const struct hart *h, uint64_t pte, enum access access)
{
	if (h->mode == MODE_U) {
		if (!(pte & PTE_U))
			return false;
	} else if (pte & PTE_U) {
		if (access == ACCESS_FETCH || !(h->sstatus & SSTATUS_SUM))
			return false;
	}
	switch (access) {
	case ACCESS_FETCH:
		return pte & PTE_X;
	case ACCESS_LOAD:
		return pte & PTE_R || (pte & PTE_X && h->sstatus & SSTATUS_MXR);
	default:
		return pte & PTE_W;
	}
}

/* Set A, and D for a store, unless the entry has changed since it was read. */
static enum mmu update(struct hart *h, const struct memslot *slot, gpa_t at,
	uint64_t va, uint64_t pte, enum access access)
{
	uint64_t want = pte | PTE_A | (access == ACCESS_STORE ? PTE_D : 0);
	uint64_t *host = (uint64_t *)memslot_host(slot, at);
	gfn_t gfn = at >> MEMSLOT_PAGE_SHIFT;
	struct report report;

	if (want == pte)
		return MMU_OK;
	if (!isa_has(h->s->config.isa_off, ISA_SVADU))
		return page_fault(h, va, access);
	if (slot->flags & MEMSLOT_READONLY)
		return access_fault(h, va, access);
	if (!__atomic_compare_exchange_n(host, &pte, want, false,
		    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		return MMU_RETRY;
	memslot_mark_dirty(slot, gfn);
	if (LIKELY(!memslot_page_tracked(slot, gfn)))
		return MMU_OK;
	report.gpa = at;
	report.bytes = &want;
	report.old = &pte;
	report.len = sizeof(want);
	hart_report(h, &report, 1, PAGETRACK_WALKER);
	return MMU_RETRY;
}

/*
 * The size of what a leaf at this level maps, 0 if the entry is reserved.
 * Svnapot: 64 KiB, at the lowest level, and no other size.
 */
static uint64_t leaf_size(uint64_t pte, int level)
{
	if (!(pte & PTE_N))
		return (uint64_t)1 << (12 + 9 * level);
	if (level != 0 || (pte >> PTE_PPN_SHIFT & 15) != 8)
		return 0;
	return (uint64_t)16 << MEMSLOT_PAGE_SHIFT;
}

enum mmu mmu_translate(
	struct hart *h, uint64_t va, enum access access, gpa_t *gpa)
{
	unsigned mode = (unsigned)(h->satp >> SATP_MODE_SHIFT);
	int level = (int)mode - SATP_SV39 + 2;
	unsigned top = 64u - 9u * (unsigned)(level + 1) - 12u;
	gpa_t table = (h->satp & SATP_PPN) << MEMSLOT_PAGE_SHIFT;
	const struct memslot *slot;
	uint64_t pte, size;
	enum mmu m;
	gpa_t at;

	if (mode == SATP_BARE) {
		*gpa = va;
		return MMU_OK;
	}
	/* All bits above the top one must be copies of it. */
	if ((uint64_t)((int64_t)(va << top) >> top) != va)
		return page_fault(h, va, access);
	for (;; level--) {
		unsigned shift = 12u + 9u * (unsigned)level;

		at = table + (va >> shift & 511) * sizeof(pte);
		m = mmu_slot(h, at, &slot);
		if (m != MMU_OK)
			return m;
		if (!slot)
			return access_fault(h, va, access);
		pte = __atomic_load_n(
			(uint64_t *)memslot_host(slot, at), __ATOMIC_RELAXED);
		if (!(pte & PTE_V) || pte & h->s->pte_reserved ||
			(pte & PTE_PBMT) == PTE_PBMT ||
			(pte & (PTE_R | PTE_W)) == PTE_W)
			return page_fault(h, va, access);
		if (pte & (PTE_R | PTE_X))
			break;
		if (level == 0 ||
			pte & (PTE_A | PTE_D | PTE_U | PTE_PBMT | PTE_N))
			return page_fault(h, va, access);
		table = (pte >> PTE_PPN_SHIFT) << MEMSLOT_PAGE_SHIFT;
	}
	size = leaf_size(pte, level);
	table = (pte >> PTE_PPN_SHIFT & SATP_PPN) << MEMSLOT_PAGE_SHIFT;
	if (pte & PTE_N)
		table &= ~(size - 1); /* its ppn says 8 there */
	if (!size || !permitted(h, pte, access) || table & (size - 1))
		return page_fault(h, va, access);
	m = update(h, slot, at, va, pte, access);
	if (m != MMU_OK)
		return m;
	if (size > MEMSLOT_PAGE_SIZE)
		tlb_saw_super(h, va, size);
	*gpa = table | (va & (size - 1));
	return MMU_OK;
}

/* Instructions come from memory only: a device is an access fault. */
enum mem mmu_fetch(struct hart *h, uint64_t va)
{
	const struct memslot *slot;
	enum mmu m;
	gpa_t gpa;

	m = mmu_translate(h, va, ACCESS_FETCH, &gpa);
	if (m == MMU_OK)
		m = mmu_slot(h, gpa, &slot);
	if (m == MMU_RETRY)
		return MEM_LEFT;
	if (m == MMU_OK && !slot)
		m = access_fault(h, va, ACCESS_FETCH);
	if (m == MMU_FAULT)
		return MEM_FAULT;
	gpa &= ~MEMSLOT_PAGE_MASK;
	tlb_fill(h, h->fetch, va, gpa >> MEMSLOT_PAGE_SHIFT,
		memslot_host(slot, gpa));
	return MEM_OK;
}
