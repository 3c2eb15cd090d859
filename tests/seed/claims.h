/* SPDX-License-Identifier: MIT */
/*
 * claims.h - what the mail thread claimed, one function each
 *
 * A program of this folder is a list of claims. Each is shown by a function
 * full of CHECKs; the program prints `ok - claim` or `not ok - claim` and
 * exits 0 if all were ok. Threads and guests that hang are ended.
 */
#ifndef TESTS_SEED_CLAIMS_H
#define TESTS_SEED_CLAIMS_H

#include "tests/unit/test.h"

#include <unistd.h>

struct claim {
	const char *text;
	void (*show)(void);
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static inline void claims_show(const struct claim *claims, size_t count)
{
	alarm(100); /* SIGALRM ends the program */
	for (size_t i = 0; i < count; i++) {
		unsigned long before = atomic_load(&test_failures);

		claims[i].show();
		printf("%sok - %s\n",
			atomic_load(&test_failures) == before ? "" : "not ",
			claims[i].text);
		fflush(stdout);
	}
}

#endif
