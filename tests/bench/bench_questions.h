/* SPDX-License-Identifier: MIT */
/* bench_questions.h - which pages all lookups are asked for */
#ifndef TESTS_BENCH_BENCH_QUESTIONS_H
#define TESTS_BENCH_BENCH_QUESTIONS_H

#include "tests/bench/bench_util.h"

#define QUESTIONS 32768u /* too many for a branch predictor to learn */

#define BENCH_PATTERNS 3
static const char *const bench_patterns[BENCH_PATTERNS] = {
	"lookup, random", "lookup, sequential", "lookup, last hit"};

/*
 * Random pages; page by page through all slots, again from the start if that
 * is the end; pages of one slot.
 */
static inline void bench_ask(unsigned pattern, unsigned slots, gfn_t *question)
{
	uint64_t seed = 11;

	for (unsigned i = 0; i < QUESTIONS; i++) {
		unsigned slot = slots / 2, page = i % SLOT_PAGES;

		if (pattern == 0) {
			slot = (unsigned)(bench_random(&seed) % slots);
			page = (unsigned)(bench_random(&seed) % SLOT_PAGES);
		} else if (pattern == 1) {
			slot = i / SLOT_PAGES % slots;
		}
		question[i] = SLOT_GFN(slot) + page;
	}
}

#endif
