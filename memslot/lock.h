/* SPDX-License-Identifier: MIT */
/*
 * lock.h - a mutex over the platform's wait and wake
 *
 * 0 free, 1 held, 2 held and somebody may be asleep. (U. Drepper, "Futexes
 * Are Tricky", mutex 2.) An uncontended lock makes no call.
 */
#ifndef MEMSLOT_LOCK_H
#define MEMSLOT_LOCK_H

#include "memslot/memslot.h"

struct memslot_lock {
	_Atomic(uint32_t) state;
};

static inline void memslot_lock(
	struct memslot_lock *l, const struct memslot_platform *pf)
{
	uint32_t seen = 0;

	if (atomic_compare_exchange_strong(&l->state, &seen, 1))
		return;
	while (atomic_exchange(&l->state, 2) != 0)
		pf->wait(pf->ctx, &l->state, 2);
}

static inline bool memslot_trylock(struct memslot_lock *l)
{
	uint32_t seen = 0;

	return atomic_compare_exchange_strong(&l->state, &seen, 1);
}

static inline void memslot_unlock(
	struct memslot_lock *l, const struct memslot_platform *pf)
{
	if (atomic_exchange(&l->state, 0) == 2)
		pf->wake(pf->ctx, &l->state);
}

#endif
