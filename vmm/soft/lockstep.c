/* SPDX-License-Identifier: MIT */
/*
 * lockstep.c - all harts in one thread, one after the other, the same always
 *
 * With config.deterministic each hart has turns of about TURN_INSNS
 * instructions, in order of their numbers, and time is what has been executed:
 * INSNS_PER_TICK instructions are a tick of the time CSR. When all harts wait
 * for an interrupt, time jumps to the next timer. So a guest that is given
 * the same memory, device tree and input does the same, to the instruction,
 * and what went wrong once can be looked at again.
 *
 * What comes from outside comes when it comes: input at the console, and
 * changes of the memory map that other threads make. Changes that the guest
 * asks for happen in its own turn.
 */
#include "vmm/soft/hart.h"

/* Linux takes some 100 instructions for a lock; others shall meet it held. */
#define TURN_INSNS     20000u
#define INSNS_PER_TICK 10u /* at 10 MHz 100 million instructions a second */

uint64_t lockstep_time(const struct soft *s)
{
	uint64_t insns = atomic_load_explicit(&s->past, memory_order_relaxed);

	if (s->turn)
		insns += s->turn->instret - s->turn_begin;
	return insns / INSNS_PER_TICK;
}

uint64_t lockstep_turn_time(const struct soft *s)
{
	return atomic_load_explicit(&s->past, memory_order_relaxed) /
	       INSNS_PER_TICK;
}

static bool can_run(struct hart *h)
{
	switch (atomic_load(&h->state)) {
	case HART_STARTED:
	case HART_SUSPENDED:
		break;
	case HART_START_PENDING:
		return true;
	default:
		return false;
	}
	if (h->waiting && !(csr_sip(h) & h->sie))
		return false;
	h->waiting = false;
	atomic_store(&h->state, HART_STARTED);
	return true;
}

static void turn(struct hart *h)
{
	struct soft *s = h->s;

	s->turn_begin = h->instret;
	s->turn = h;
	h->turn_end = h->instret + TURN_INSNS;
	atomic_store(&h->check_at, 0); /* others have had their turn */
	while (h->instret < h->turn_end && can_run(h)) {
		/* In this order: a stop sets the flag, then kicks. */
		atomic_store(&h->kicked, false);
		if (soft_stopping(s))
			break;
		hart_run(h);
	}
	s->turn = NULL;
	atomic_store(
		&s->past, atomic_load(&s->past) + h->instret - s->turn_begin);
	/* Exact, unlike those of harts that run at the same time: amo.c */
	h->reserve_size = 0;
}

/* All wait: let the first timer ring. False: there is none. */
static bool skip(struct soft *s)
{
	uint64_t first = ~(uint64_t)0;

	for (unsigned n = 0; n < s->harts; n++) {
		const struct hart *h = &s->hart[n];

		if (h->waiting && h->sie & SIP_STI && h->stimecmp < first)
			first = h->stimecmp;
	}
	if (first >= ~(uint64_t)0 / INSNS_PER_TICK)
		return false;
	atomic_store(&s->past, first * INSNS_PER_TICK);
	return true;
}

static bool all_wait(struct soft *s)
{
	for (unsigned n = 0; n < s->harts; n++)
		if (can_run(&s->hart[n]))
			return false;
	return true;
}

/* Until somebody outside does something; hart 0 sleeps for all. */
static void sleep_all(struct soft *s)
{
	struct hart *h = &s->hart[0];

	pthread_mutex_lock(&h->lock);
	atomic_store(&h->sleeping, true);
	while (!soft_stopping(s) && all_wait(s))
		pthread_cond_wait(&h->wake, &h->lock);
	atomic_store(&h->sleeping, false);
	pthread_mutex_unlock(&h->lock);
}

void lockstep_run(struct soft *s)
{
	while (!soft_stopping(s)) {
		bool ran = false;

		for (unsigned n = 0; n < s->harts; n++) {
			if (!can_run(&s->hart[n]))
				continue;
			turn(&s->hart[n]);
			ran = true;
		}
		if (!ran && !skip(s))
			sleep_all(s);
	}
	for (unsigned n = 0; n < s->harts; n++)
		atomic_store_explicit(&s->hart[n].stat_instret,
			s->hart[n].instret, memory_order_relaxed);
}
