/* SPDX-License-Identifier: MIT */
/* bench_map.c - maps to measure, on a platform whose waits are timed */
#include "tests/bench/bench_util.h"

#include <errno.h>
#include <stdlib.h>

const unsigned bench_sizes[BENCH_SIZES] = {1, 32, 1024, 32000};

/* ---- the platform ------------------------------------------------------- */

static _Thread_local uint64_t slept_ns;

uint64_t bench_slept_ns(void)
{
	return slept_ns;
}

static void *platform_alloc(void *ctx, size_t size)
{
	return memslot_hosted.alloc(ctx, size);
}

static void platform_free(void *ctx, void *p)
{
	memslot_hosted.free(ctx, p);
}

static void platform_wait(void *ctx, _Atomic(uint32_t) *word, uint32_t seen)
{
	uint64_t start = bench_wall_ns();

	memslot_hosted.wait(ctx, word, seen);
	slept_ns += bench_wall_ns() - start;
}

static void platform_wake(void *ctx, _Atomic(uint32_t) *word)
{
	memslot_hosted.wake(ctx, word);
}

static uintptr_t platform_self(void *ctx)
{
	return memslot_hosted.self(ctx);
}

static uint64_t platform_now_ns(void *ctx)
{
	return memslot_hosted.now_ns(ctx);
}

const struct memslot_platform bench_platform = {
	.alloc = platform_alloc,
	.free = platform_free,
	.wait = platform_wait,
	.wake = platform_wake,
	.self = platform_self,
	.now_ns = platform_now_ns,
};

/* ---- a map -------------------------------------------------------------- */

/* Slots are created in a random order, as life would have it. */
static void shuffled(unsigned *v, unsigned count)
{
	uint64_t seed = 7;

	for (unsigned i = 0; i < count; i++)
		v[i] = i;
	for (unsigned i = count; i > 1; i--) {
		unsigned j = (unsigned)(bench_random(&seed) % i);
		unsigned t = v[i - 1];

		v[i - 1] = v[j];
		v[j] = t;
	}
}

struct memslots *bench_map(unsigned slots)
{
	unsigned *order = malloc(slots * sizeof(*order));
	struct memslots *ms;

	bench_must(order ? 0 : -ENOMEM, "a random order");
	shuffled(order, slots);
	bench_must(memslots_create(&bench_platform, 1, &ms, NULL), "a map");
	for (unsigned i = 0; i < slots; i++) {
		unsigned id = order[i];
		gfn_t gfn = SLOT_GFN(id);
		/* Never touched: an address is all that is asked for. */
		struct memslot_config c = {
			.id = id,
			.gpa = gfn << MEMSLOT_PAGE_SHIFT,
			.size = SLOT_PAGES * MEMSLOT_PAGE_SIZE,
			.host = (void *)(uintptr_t)(((uint64_t)1 << 40) +
						    gfn * MEMSLOT_PAGE_SIZE),
		};

		bench_must(memslots_create_slot(ms, &c, NULL), "a slot");
	}
	free(order);
	return ms;
}
