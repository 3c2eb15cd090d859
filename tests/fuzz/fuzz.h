/* SPDX-License-Identifier: MIT */
/*
 * fuzz.h - what the fuzz targets share
 *
 * A target is one function of a byte string. clang's libFuzzer drives it;
 * with replay.c it is a plain program that runs the files it is given, so
 * that a corpus is a regression test for any compiler. A target prints
 * nothing; what must hold is a MUST, which ends the program if it does not.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

#define MUST(cond)                                                         \
	do {                                                               \
		if (!(cond)) {                                             \
			fprintf(stderr, "%s:%d: MUST(%s) does not hold\n", \
				__FILE__, __LINE__, #cond);                \
			abort();                                           \
		}                                                          \
	} while (0)

/* The input as a supply of numbers; 0 when it has run out. */
struct supply {
	const uint8_t *at;
	size_t left;
};

static inline uint8_t take8(struct supply *s)
{
	if (!s->left)
		return 0;
	s->left--;
	return *s->at++;
}

static inline uint64_t take(struct supply *s, unsigned bytes)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < bytes; i++)
		v |= (uint64_t)take8(s) << 8 * i;
	return v;
}

/* A string of at most max bytes that ends at a 0 byte or with the input. */
static inline char *take_text(struct supply *s, size_t max)
{
	char *text = malloc(max + 1);
	size_t n = 0;

	MUST(text != NULL);
	while (n < max && s->left) {
		text[n] = (char)take8(s);
		if (!text[n])
			break;
		n++;
	}
	text[n] = '\0';
	/* Exactly as long as it is, so that ASan sees who reads behind it. */
	text = realloc(text, n + 1);
	MUST(text != NULL);
	return text;
}

#endif
