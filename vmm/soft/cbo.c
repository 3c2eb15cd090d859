/* SPDX-License-Identifier: MIT */
/*
 * cbo.c - cache-block operations: Zicbom and Zicboz
 *
 * Unprivileged spec, chapter "CMO". All caches of this machine are coherent,
 * so inval, clean and flush have nothing to do but to be permitted: by
 * senvcfg, where U mode asks (M mode, which would ask on behalf of S, has
 * enabled everything), and by a translation for loads. They and cbo.zero
 * fault as stores do. Zicbop's prefetches are ori to x0: nothing to do.
 */
#include "vmm/soft/hart.h"

enum { CBO_INVAL = 0, CBO_CLEAN = 1, CBO_FLUSH = 2, CBO_ZERO = 4 };

static bool enabled(const struct hart *h, unsigned what)
{
	if (h->mode != MODE_U)
		return true;
	switch (what) {
	case CBO_INVAL: /* either of its kinds: they are the same here */
		return h->senvcfg & SENVCFG_CBIE;
	case CBO_ZERO:
		return h->senvcfg & SENVCFG_CBZE;
	default:
		return h->senvcfg & SENVCFG_CBCFE;
	}
}

static enum mem manage(struct hart *h, uint64_t va)
{
	struct place p;

	h->left = false;
	if (tlb_find(h->load, va))
		return MEM_OK;
	if (mem_resolve(h, va, ACCESS_LOAD, &p) == MEM_FAULT) {
		h->cause = h->cause == CAUSE_LOAD_PAGE ? CAUSE_STORE_PAGE
						       : CAUSE_STORE_ACCESS;
		return MEM_FAULT;
	}
	/* I/O has no caches, and so no cache blocks. */
	if (!p.slot) {
		mmu_fault(h, CAUSE_STORE_ACCESS, va);
		return MEM_FAULT;
	}
	return h->left ? MEM_LEFT : MEM_OK;
}

enum mem cbo_exec(struct hart *h, uint32_t bits)
{
	uint64_t va = h->x[bits >> 15 & 31];
	unsigned what = bits >> 20;
	enum mem mem;

	if (!enabled(h, what)) {
		mmu_fault(h, CAUSE_ILLEGAL, bits);
		return MEM_FAULT;
	}
	if (what != CBO_ZERO)
		return manage(h, va);
	mem = mem_zero(h, va & ~(uint64_t)(ISA_CBO_BLOCK - 1));
	if (mem == MEM_FAULT)
		h->tval = va;
	return mem;
}
