/* SPDX-License-Identifier: MIT */
/*
 * spare.h - free blocks of one size, kept for the next transaction
 *
 * A transaction gives back about as many blocks as it takes. To take them
 * from malloc each time is most of what a small transaction costs, and makes
 * some mallocs map and unmap pages for a large one. Blocks are not zeroed.
 * Under the transaction lock.
 */
#ifndef MEMSLOT_SPARE_H
#define MEMSLOT_SPARE_H

#include <stdbool.h>
#include <stddef.h>

/* A sanitizer sees what is used after its end only if it ends with free(). */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MEMSLOT_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define MEMSLOT_SANITIZED 1
#endif
#endif
#ifndef MEMSLOT_SANITIZED
#define MEMSLOT_SANITIZED 0
#endif

struct spare_block {
	struct spare_block *next;
};

struct spare {
	struct spare_block *list;
	unsigned count, keep; /* how many there are, and may be */
};

/* NULL: there is none. */
static inline void *spare_take(struct spare *s)
{
	struct spare_block *block = s->list;

	if (block) {
		s->list = block->next;
		s->count--;
	}
	return block;
}

/* False: there are enough, free it. */
static inline bool spare_give(struct spare *s, void *p)
{
	struct spare_block *block = p;

	if (s->count == s->keep)
		return false;
	block->next = s->list;
	s->list = block;
	s->count++;
	return true;
}

#endif
