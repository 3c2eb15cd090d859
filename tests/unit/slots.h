/* SPDX-License-Identifier: MIT */
/*
 * slots.h - a memory map to try things on
 *
 * A bed is a fresh map with host memory, one reader, and a platform that
 * counts what is allocated and who goes to sleep. bed_close() checks that
 * nothing is left behind.
 */
#ifndef TESTS_UNIT_SLOTS_H
#define TESTS_UNIT_SLOTS_H

#include "memslot/fault.h"
#include "memslot/memslot.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "tests/unit/test.h"

#define BED_HOST_PAGES 8192ul /* 32 MiB, 2 MiB aligned, zero until touched */

struct bed {
	struct memslot_platform pf;
	atomic_long live;   /* allocations that were not freed yet */
	atomic_ulong waits; /* calls of `wait` so far */
	struct memslots *ms;
	struct memslot_reader r;
	struct memslot_error err;
	uint8_t *host;
};

/* What a lookup said, to keep after the section. */
struct seen {
	bool there, invalid;
	unsigned space, id;
	gfn_t gfn;
	uint64_t pages;
	uint8_t *host;
	uint32_t flags;
};

static inline void *bed_alloc(void *ctx, size_t size)
{
	struct bed *b = ctx;
	void *p = memslot_hosted.alloc(NULL, size);

	if (p)
		atomic_fetch_add(&b->live, 1);
	return p;
}

static inline void bed_free(void *ctx, void *p)
{
	struct bed *b = ctx;

	if (!p)
		CHECK(!"NULL is never handed to free");
	atomic_fetch_sub(&b->live, 1);
	memslot_hosted.free(NULL, p);
}

static inline void bed_wait(void *ctx, _Atomic(uint32_t) *word, uint32_t seen)
{
	struct bed *b = ctx;

	atomic_fetch_add(&b->waits, 1);
	memslot_hosted.wait(NULL, word, seen);
}

/* Until somebody has gone, or is just going, to sleep `count` times. */
static inline void bed_until_waits(struct bed *b, unsigned long count)
{
	while (atomic_load(&b->waits) < count)
		sched_yield();
}

static inline uint8_t *bed_map_host(uint64_t pages)
{
	const size_t large = 2u << 20, size = pages * MEMSLOT_PAGE_SIZE;
	uint8_t *at = mmap(NULL, size + large, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint8_t *aligned;

	if (at == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	aligned = at + (large - (uintptr_t)at % large) % large;
	if (aligned > at)
		munmap(at, (size_t)(aligned - at));
	munmap(aligned + size, (size_t)(at + large - aligned));
	return aligned;
}

static inline void bed_open(struct bed *b, unsigned spaces)
{
	memset(b, 0, sizeof(*b));
	b->pf = memslot_hosted;
	b->pf.ctx = b;
	b->pf.alloc = bed_alloc;
	b->pf.free = bed_free;
	b->pf.wait = bed_wait;
	if (memslots_create(&b->pf, spaces, &b->ms, &b->err)) {
		fprintf(stderr, "no map: %s\n", b->err.text);
		exit(1);
	}
	memslot_reader_init(&b->r, b->ms, NULL, NULL);
	b->host = bed_map_host(BED_HOST_PAGES);
}

static inline void bed_close(struct bed *b)
{
	memslot_reader_fini(&b->r);
	memslots_destroy(b->ms);
	munmap(b->host, BED_HOST_PAGES * MEMSLOT_PAGE_SIZE);
	CHECK_EQ(atomic_load(&b->live), 0);
}

static inline struct memslot_config bed_config(struct bed *b, unsigned space,
	unsigned id, gfn_t gfn, uint64_t pages, uint64_t host_page,
	uint32_t flags)
{
	return (struct memslot_config){
		.space = space,
		.id = id,
		.gpa = gfn << MEMSLOT_PAGE_SHIFT,
		.size = pages << MEMSLOT_PAGE_SHIFT,
		.host = b->host + host_page * MEMSLOT_PAGE_SIZE,
		.flags = flags,
	};
}

static inline int bed_create(struct bed *b, unsigned space, unsigned id,
	gfn_t gfn, uint64_t pages, uint64_t host_page, uint32_t flags)
{
	struct memslot_config c =
		bed_config(b, space, id, gfn, pages, host_page, flags);

	return memslots_create_slot(b->ms, &c, &b->err);
}

static inline struct memslot_txn *bed_begin(struct bed *b)
{
	struct memslot_txn *t = NULL;

	CHECK_EQ(memslot_begin(b->ms, &t, &b->err), 0);
	return t;
}

static inline struct seen seen_of(const struct memslot *s)
{
	if (!s)
		return (struct seen){.there = false};
	return (struct seen){
		.there = true,
		.invalid = memslot_is_invalid(s),
		.space = s->space,
		.id = s->id,
		.gfn = s->base_gfn,
		.pages = s->size_pages,
		.host = s->host,
		.flags = s->flags,
	};
}

static inline struct seen bed_look(struct bed *b, unsigned space, gfn_t gfn)
{
	struct seen s;

	memslot_enter(&b->r);
	s = seen_of(memslot_lookup(&b->r, space, gfn));
	memslot_leave(&b->r);
	return s;
}

static inline struct seen bed_look_id(
	struct bed *b, unsigned space, unsigned id)
{
	struct seen s;

	memslot_enter(&b->r);
	s = seen_of(memslot_by_id(&b->r, space, id));
	memslot_leave(&b->r);
	return s;
}

/* Is the slot there, with all of these, by address and by id? */
static inline bool bed_has(struct bed *b, unsigned space, unsigned id,
	gfn_t gfn, uint64_t pages, uint64_t host_page, uint32_t flags)
{
	const struct seen both[] = {bed_look(b, space, gfn),
		bed_look(b, space, gfn + pages - 1), bed_look_id(b, space, id)};

	for (unsigned i = 0; i < 3; i++) {
		const struct seen *s = &both[i];

		if (!s->there || s->invalid || s->space != space ||
			s->id != id || s->gfn != gfn || s->pages != pages ||
			s->host != b->host + host_page * MEMSLOT_PAGE_SIZE ||
			s->flags != flags)
			return false;
	}
	return true;
}

/* Slots in all spaces, counted by ordered iteration. */
static inline unsigned bed_count(struct bed *b)
{
	const struct memslot *s;
	unsigned n = 0;

	memslot_enter(&b->r);
	for (unsigned space = 0; space < memslots_spaces(b->ms); space++) {
		gfn_t gfn = 0;

		while (n < 100000 && (s = memslot_next(&b->r, space, gfn))) {
			gfn = s->base_gfn + s->size_pages;
			n++;
		}
	}
	memslot_leave(&b->r);
	return n;
}

/* Small, fast and the same everywhere: xorshift64*. The seed is not 0. */
static inline uint64_t rng_next(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1du >> 16;
}

static inline uint64_t rng_below(uint64_t *state, uint64_t n)
{
	return rng_next(state) % n;
}

#endif
