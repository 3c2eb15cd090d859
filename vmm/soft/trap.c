/* SPDX-License-Identifier: MIT */
/*
 * trap.c - into the guest's trap handler and back
 *
 * Privileged spec, "Supervisor Trap Vector Base Address Register" and the
 * chapters on sstatus and sip. All traps go to S mode: with no M mode in the
 * guest everything counts as delegated. Traps into S from S are ordinary.
 */
#include "vmm/soft/hart.h"

uint64_t trap_enter(struct hart *h, uint64_t cause, uint64_t tval, uint64_t pc)
{
	uint64_t base = h->stvec & ~(uint64_t)3;

	h->reserve_size = 0; /* what follows is another program's business */
	h->scause = cause;
	h->stval = tval;
	h->sepc = pc;
	h->sstatus &= ~(SSTATUS_SPP | SSTATUS_SPIE);
	if (h->mode == MODE_S)
		h->sstatus |= SSTATUS_SPP;
	if (h->sstatus & SSTATUS_SIE)
		h->sstatus |= SSTATUS_SPIE;
	h->sstatus &= ~SSTATUS_SIE;
	h->mode = MODE_S;
	tlb_context(h);
	if (cause & CAUSE_INTERRUPT && h->stvec & 1)
		base += 4 * (cause & ~CAUSE_INTERRUPT);
	return base;
}

bool trap_interrupt(struct hart *h, uint64_t *pc)
{
	uint64_t pending = csr_sip(h), cause;

	h->timer_pending = pending & SIP_STI;
	pending &= h->sie;
	if (!pending || (h->mode == MODE_S && !(h->sstatus & SSTATUS_SIE)))
		return false;
	/* Priority: external, software, timer. */
	if (pending & SIP_SEI)
		cause = IRQ_SEI;
	else if (pending & SIP_SSI)
		cause = IRQ_SSI;
	else
		cause = IRQ_STI;
	*pc = trap_enter(h, CAUSE_INTERRUPT | cause, 0, *pc);
	return true;
}

uint64_t trap_sret(struct hart *h)
{
	h->mode = h->sstatus & SSTATUS_SPP ? MODE_S : MODE_U;
	h->sstatus &= ~(SSTATUS_SPP | SSTATUS_SIE);
	if (h->sstatus & SSTATUS_SPIE)
		h->sstatus |= SSTATUS_SIE;
	h->sstatus |= SSTATUS_SPIE;
	tlb_context(h);
	csr_recheck(h);
	return h->sepc;
}
