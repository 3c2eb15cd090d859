/* SPDX-License-Identifier: MIT */
/*
 * bench_txn.c - what a transaction costs, from begin to committed
 *
 * Without a backend: what is measured is the manager. A move takes a slot to
 * a far place and the next one takes it back. Its metadata is that of a
 * small slot: two small objects.
 *
 *   a slot   one slot that is moved again and again, as guests move a BAR
 *   random   another one each time: with many slots, memory out of cache;
 *            shown, but what is promised is about the first
 *   64       moves in one transaction, of neighbours or all over the map; a
 *            map of fewer slots has them named more than once
 */
#include "tests/bench/bench_util.h"

#include <stdio.h>

#define MOVES 256u /* in a round; even, so that all are back */
#define BATCH 64u

static void move(
	struct memslot_txn *t, unsigned id, gfn_t gfn, const char *what)
{
	bench_must(memslot_move(t, 0, id, gfn << MEMSLOT_PAGE_SHIFT,
			   MEMSLOT_MOVE_KEEP),
		what);
}

static void move_one(struct memslots *ms, unsigned id, bool away)
{
	struct memslot_txn *t;

	bench_must(memslot_begin(ms, &t, NULL), "begin");
	move(t, id, away ? FAR_GFN : SLOT_GFN(id), "a move");
	bench_must(memslot_commit(t, NULL, NULL), "a move");
}

static double moves_ns(struct memslots *ms, unsigned slots, bool random)
{
	static uint64_t seed = 5;
	uint64_t start = bench_cpu_ns();
	unsigned id = slots / 2;

	for (unsigned i = 0; i < MOVES; i++) {
		if (random && i % 2 == 0)
			id = (unsigned)(bench_random(&seed) % slots);
		move_one(ms, id, i % 2 == 0);
	}
	return (double)(bench_cpu_ns() - start) / MOVES;
}

/* 64 slots, each `stride` after the one before, to far places, and back. */
static double batch_ns(struct memslots *ms, unsigned slots, unsigned stride)
{
	const unsigned count = slots < BATCH ? slots : BATCH;
	const unsigned rounds = 8;
	uint64_t start = bench_cpu_ns();

	for (unsigned n = 0; n < rounds; n++) {
		struct memslot_txn *t;

		bench_must(memslot_begin(ms, &t, NULL), "begin");
		for (unsigned i = 0; i < BATCH; i++) {
			unsigned id = i % count * stride;
			gfn_t far = FAR_GFN + SLOT_GFN(i % count);

			move(t, id, n % 2 ? SLOT_GFN(id) : far, "a batch");
		}
		bench_must(memslot_commit(t, NULL, NULL), "a batch");
	}
	return (double)(bench_cpu_ns() - start) / rounds;
}

static double near[BENCH_SIZES][BENCH_ROUNDS],
	spread[BENCH_SIZES][BENCH_ROUNDS];
static double same[BENCH_SIZES][BENCH_ROUNDS],
	random[BENCH_SIZES][BENCH_ROUNDS];

static void print_size(unsigned i)
{
	unsigned slots = bench_sizes[i];
	double batch = bench_ratio(near[i], same[i], BENCH_ROUNDS);
	double one = bench_median(same[i], BENCH_ROUNDS);
	double other = bench_median(random[i], BENCH_ROUNDS);
	double many = bench_median(near[i], BENCH_ROUNDS);

	printf("%-20s %6u %8.0f %8.0f %8.0f %9.0f %15.1f\n", "move", slots, one,
		other, many, bench_median(spread[i], BENCH_ROUNDS), batch);
	bench_figure("transaction", "a slot", slots, one);
	bench_figure("transaction", "random slot", slots, other);
	bench_figure("transaction", "64 moves", slots, many);
	bench_at_most(bench_least(same[i], BENCH_ROUNDS), 2000,
		"move, %u slots: ns", slots);
	bench_at_most(batch, 10, "64 moves / a move, %u slots", slots);
}

void bench_txn(void)
{
	struct memslots *ms[BENCH_SIZES];
	double growth, growth_random;

	for (unsigned i = 0; i < BENCH_SIZES; i++)
		ms[i] = bench_map(bench_sizes[i]);
	for (unsigned n = 0; n < BENCH_ROUNDS; n++)
		for (unsigned i = 0; i < BENCH_SIZES; i++) {
			unsigned slots = bench_sizes[i];
			unsigned stride = slots > BATCH ? slots / BATCH : 1;

			same[i][n] = moves_ns(ms[i], slots, false);
			random[i][n] = moves_ns(ms[i], slots, true);
			near[i][n] = batch_ns(ms[i], slots, 1);
			spread[i][n] = batch_ns(ms[i], slots, stride);
		}
	/* Compared round by round, before the medians sort them. */
	growth = bench_ratio(same[3], same[1], BENCH_ROUNDS);
	growth_random = bench_ratio(random[3], random[1], BENCH_ROUNDS);
	printf("\n%-20s %6s %8s %8s %8s %9s %15s\n", "ns a transaction",
		"slots", "a slot", "random", "64 near", "64 spread",
		"64 near/a slot");
	for (unsigned i = 0; i < BENCH_SIZES; i++) {
		print_size(i);
		memslots_destroy(ms[i]);
	}
	bench_at_most(growth, 2, "move, 32000 slots / 32 slots");
	printf("a random slot, 32000 slots / 32 slots: %.2f\n", growth_random);
}
