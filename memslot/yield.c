/* SPDX-License-Identifier: MIT */
/* yield.c - see yield.h; part of debug builds only */
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>

#include "memslot/yield.h"

/* One step in so many gives way; and one in so many of those, for long. */
#define SHORT 4u
#define LONG  64u
#define TURNS 32u

static unsigned threads;
static _Thread_local uint64_t state;

static void begin(void)
{
	const char *seed = getenv("YIELD_SEED");
	uint64_t number = __atomic_fetch_add(&threads, 1, __ATOMIC_RELAXED);

	state = (seed ? strtoull(seed, NULL, 0) : 1) + (number << 32);
	state = state * 0x9e3779b97f4a7c15u | 1;
}

void memslot_yield(void)
{
	uint64_t r;

	if (!state)
		begin();
	state ^= state << 13; /* xorshift64 */
	state ^= state >> 7;
	state ^= state << 17;
	r = state >> 16;
	if (r % SHORT)
		return;
	r /= SHORT;
	for (unsigned turns = r % LONG ? 1 : TURNS; turns; turns--)
		sched_yield();
}
