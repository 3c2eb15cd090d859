/* SPDX-License-Identifier: MIT */
/* error.h - fill a caller-owned error with one sentence */
#ifndef MEMSLOT_ERROR_H
#define MEMSLOT_ERROR_H

#include "memslot/memslot.h"

MEMSLOT_BEGIN_DECLS

/*
 * Store `code` and the formatted sentence in err (NULL: nothing is stored)
 * and return `code`, so that a caller can write
 *
 *	return memslot_fail(err, -EINVAL, "slot %u: ...", id);
 *
 * Formats: %s %d %u %x %c %%, with l, ll or z, and # (which puts 0x before a
 * hexadecimal number). Works without libc. Too long a sentence is cut.
 */
int memslot_fail(struct memslot_error *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The same without an error: for any other line of text. */
size_t memslot_format(char *buf, size_t size, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

MEMSLOT_END_DECLS

#endif
