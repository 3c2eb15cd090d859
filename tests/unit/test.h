/* SPDX-License-Identifier: MIT */
/*
 * test.h - all a unit test needs
 *
 * A test is a program: functions full of CHECKs, called from main, which
 * ends with `return TEST_END("name");`. A CHECK that does not hold prints
 * where and what, and the program goes on, so that one run shows everything
 * that is wrong. Exit status 0: all held. CHECKs may run in several threads.
 */
#ifndef TESTS_UNIT_TEST_H
#define TESTS_UNIT_TEST_H

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static atomic_ulong test_checks;
static atomic_ulong test_failures;

static inline int test_check(
	int held, const char *what, const char *file, int line)
{
	atomic_fetch_add(&test_checks, 1);
	if (held)
		return 1;
	atomic_fetch_add(&test_failures, 1);
	fprintf(stderr, "%s:%d: CHECK(%s) does not hold\n", file, line, what);
	return 0;
}

static inline int test_equal(unsigned long long a, unsigned long long b,
	const char *what, const char *file, int line)
{
	if (test_check(a == b, what, file, line))
		return 1;
	fprintf(stderr, "%s:%d: left %llu (%#llx), right %llu (%#llx)\n", file,
		line, a, a, b, b);
	return 0;
}

static inline int test_text(const char *text, const char *part,
	const char *what, const char *file, int line)
{
	if (test_check(strstr(text, part) != NULL, what, file, line))
		return 1;
	fprintf(stderr, "%s:%d: the text is \"%s\"\n", file, line, text);
	return 0;
}

static inline int test_end(const char *name)
{
	unsigned long failures = atomic_load(&test_failures);

	printf("%s: %lu checks", name, atomic_load(&test_checks));
	if (failures)
		printf(", %lu failed", failures);
	printf("\n");
	return failures != 0;
}

/* All are expressions: 1 if it held, so that a test can stop early. */
#define CHECK(cond) test_check(!!(cond), #cond, __FILE__, __LINE__)
/* Integers; prints both if they differ. Negative ones are sign-extended. */
#define CHECK_EQ(a, b)                                               \
	test_equal((unsigned long long)(a), (unsigned long long)(b), \
		#a " == " #b, __FILE__, __LINE__)
/* `text` contains `part`. */
#define CHECK_TEXT(text, part) \
	test_text((text), (part), #text " has " #part, __FILE__, __LINE__)

#define TEST_END(name) test_end(name)

#endif
