/* SPDX-License-Identifier: MIT */
/*
 * bench_readers.c - does a writer at full speed disturb readers?
 *
 *   short  a device: enter, look a random page up, leave
 *   long   a vCPU: stays in its section until it is kicked
 *
 * Rounds with and without the writer alternate. Reader and writer have a CPU
 * each, so that they are at it at the same time and every cache line that one
 * writes and the other reads has to travel. A reader's throughput is lookups
 * per time it used or slept in the library; time that other programs took
 * from it does not count. The writer's moves are per second on the wall.
 */
#include "tests/bench/bench_util.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#define SLOTS    1024u
#define READ     768u /* the reader's; the others are moved */
#define ROUND_NS 40000000u
#define BURST    64u /* lookups between two looks at the flags */

struct reader {
	struct memslot_reader r;
	bool keeps_section;
	atomic_bool kicked;
	int cpu;
	double per_second;
};

static atomic_bool stop;
static volatile uintptr_t sink;

/* The nth CPU this program may use; -1: there are not so many. */
static int nth_cpu(int n)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set))
		bench_must(-errno, "CPUs");
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &set) && n-- == 0)
			return cpu;
	return -1;
}

static void stay_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		bench_must(-errno, "a CPU");
}

static void kick(void *ctx)
{
	struct reader *rd = ctx;

	atomic_store(&rd->kicked, true);
}

static uintptr_t look(struct reader *rd, uint64_t *seed)
{
	gfn_t gfn = SLOT_GFN(bench_random(seed) % READ);
	const struct memslot *s = memslot_lookup(&rd->r, 0, gfn);

	return (uintptr_t)s;
}

static uintptr_t short_sections(struct reader *rd, uint64_t *seed)
{
	uintptr_t sum = 0;

	for (unsigned i = 0; i < BURST; i++) {
		memslot_enter(&rd->r);
		sum += look(rd, seed);
		memslot_leave(&rd->r);
	}
	return sum;
}

static uintptr_t long_section(struct reader *rd, uint64_t *seed)
{
	uintptr_t sum = 0;

	if (atomic_load_explicit(&rd->kicked, memory_order_relaxed)) {
		memslot_leave(&rd->r);
		atomic_store(&rd->kicked, false);
		memslot_enter(&rd->r);
	}
	for (unsigned i = 0; i < BURST; i++)
		sum += look(rd, seed);
	return sum;
}

static void *read_on(void *ctx)
{
	struct reader *rd = ctx;
	uint64_t start, lookups = 0, seed = 3;
	uintptr_t sum = 0;

	stay_on(rd->cpu);
	start = bench_cpu_ns() + bench_slept_ns();
	if (rd->keeps_section)
		memslot_enter(&rd->r);
	for (; !atomic_load_explicit(&stop, memory_order_relaxed);
		lookups += BURST)
		sum += rd->keeps_section ? long_section(rd, &seed)
					 : short_sections(rd, &seed);
	if (rd->keeps_section)
		memslot_leave(&rd->r);
	sink = sum;
	rd->per_second = (double)lookups * 1e9 /
			 (double)(bench_cpu_ns() + bench_slept_ns() - start);
	return NULL;
}

static void round_end(void)
{
	nanosleep(&(struct timespec){.tv_nsec = ROUND_NS}, NULL);
	atomic_store(&stop, true);
}

static void *end_later(void *ctx)
{
	(void)ctx;
	round_end();
	return NULL;
}

/* The calling thread writes, or sleeps; transactions per second. */
static double one_round(struct memslots *ms, struct reader *rd, bool write)
{
	pthread_t reader, clock;
	uint64_t seed = 9, start, moves = 0;

	atomic_store(&stop, false);
	bench_must(-pthread_create(&reader, NULL, read_on, rd), "a thread");
	bench_must(-pthread_create(&clock, NULL, end_later, NULL), "a thread");
	start = bench_wall_ns();
	while (write && !atomic_load(&stop)) {
		unsigned id =
			READ + (unsigned)(bench_random(&seed) % (SLOTS - READ));
		gpa_t home = SLOT_GFN(id) << MEMSLOT_PAGE_SHIFT;

		for (unsigned i = 0; i < 2; i++, moves++)
			bench_must(memslots_move_slot(ms, 0, id,
					   i ? home
					     : FAR_GFN << MEMSLOT_PAGE_SHIFT,
					   MEMSLOT_MOVE_KEEP, NULL),
				"a move");
	}
	start = bench_wall_ns() - start;
	pthread_join(reader, NULL);
	pthread_join(clock, NULL);
	return (double)moves * 1e9 / (double)(start ? start : 1);
}

static void measure(bool keeps_section, int cpu, const char *name)
{
	static double with[BENCH_ROUNDS], without[BENCH_ROUNDS];
	double writes[BENCH_ROUNDS], ratio;
	struct memslots *ms = bench_map(SLOTS);
	struct reader rd = {.keeps_section = keeps_section, .cpu = cpu};

	memslot_reader_init(&rd.r, ms, keeps_section ? kick : NULL, &rd);
	for (unsigned i = 0; i < BENCH_ROUNDS; i++) {
		one_round(ms, &rd, false);
		without[i] = rd.per_second;
		writes[i] = one_round(ms, &rd, true);
		with[i] = rd.per_second;
	}
	memslot_reader_fini(&rd.r);
	memslots_destroy(ms);
	ratio = bench_ratio(with, without, BENCH_ROUNDS);
	printf("%-20s %10.2f %12.2f %7.2f %12.0f\n", name,
		bench_median(without, BENCH_ROUNDS) / 1e6,
		bench_median(with, BENCH_ROUNDS) / 1e6, ratio,
		bench_median(writes, BENCH_ROUNDS));
	bench_figure("readers", name, SLOTS, ratio);
	bench_at_least(ratio, 0.95, "lookups with / without writer, %s", name);
}

void bench_readers(void)
{
	cpu_set_t all;
	int writer = nth_cpu(0), reader = nth_cpu(1);

	if (reader < 0) {
		printf("\nreaders: skipped, there is one CPU only\n");
		return;
	}
	sched_getaffinity(0, sizeof(all), &all);
	printf("\n%-20s %10s %12s %7s %12s\n", "10^6 lookups a s", "no writer",
		"with writer", "ratio", "moves a s");
	stay_on(writer);
	measure(false, reader, "short sections");
	measure(true, reader, "long section");
	sched_setaffinity(0, sizeof(all), &all);
}
