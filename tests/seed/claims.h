/* SPDX-License-Identifier: MIT */
/*
 * claims.h - what the mail thread claimed, one function each
 *
 * A program of this folder is a list of claims. Each is shown by a function
 * full of CHECKs, which has its name; the program prints `ok - claim` or `not
 * ok - claim` and exits 0 if all were ok. Threads and guests that hang are
 * ended.
 *
 * usage: PROGRAM [NAME [CPU]]
 *
 * Only the claim NAME, on the backend CPU. "soft" is the only one so far;
 * with another the program is skipped (77). A claim without a guest does not
 * care.
 */
#ifndef TESTS_SEED_CLAIMS_H
#define TESTS_SEED_CLAIMS_H

#include "tests/unit/test.h"

#include <stdlib.h>
#include <unistd.h>

struct claim {
	const char *name, *text;
	void (*show)(void);
};
#define CLAIM(name, text)         \
	{                         \
#name, text, name \
	}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static inline void claims_show(
	int argc, char **argv, const struct claim *claims, size_t count)
{
	const char *only = argc > 1 ? argv[1] : NULL;
	const char *cpu = argc > 2 ? argv[2] : "soft";
	unsigned shown = 0;

	if (strcmp(cpu, "soft")) {
		printf("SKIP: no guest for the backend \"%s\" yet\n", cpu);
		exit(77);
	}
	alarm(100); /* SIGALRM ends the program */
	for (size_t i = 0; i < count; i++) {
		unsigned long before = atomic_load(&test_failures);

		if (only && strcmp(only, claims[i].name))
			continue;
		shown++;
		claims[i].show();
		printf("%sok - %s\n",
			atomic_load(&test_failures) == before ? "" : "not ",
			claims[i].text);
		fflush(stdout);
	}
	CHECK(shown > 0);
}

#endif
