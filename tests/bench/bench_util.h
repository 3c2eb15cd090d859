/* SPDX-License-Identifier: MIT */
/*
 * bench_util.h - clocks, medians, figures and bounds of bench_core
 *
 * Machines that measure are shared. Therefore times are CPU times of the
 * measuring thread, things that are compared take turns in short rounds, and
 * what is reported is the median over the rounds, of a ratio the median of
 * the rounds' ratios. A bound in nanoseconds is on the least of the rounds:
 * what neighbours do in caches and to clock rates only ever adds to it.
 */
#ifndef TESTS_BENCH_BENCH_UTIL_H
#define TESTS_BENCH_BENCH_UTIL_H

#include "memslot/memslot.h"

#include <stddef.h>

#define BENCH_ROUNDS 25u
#define BENCH_SIZES  4u
extern const unsigned bench_sizes[BENCH_SIZES]; /* how many slots */

#define SLOT_PAGES 64u /* of every slot, with a hole as long after it */
/* Where slot i is, and a place for whichever is moved away. */
#define SLOT_GFN(i) ((gfn_t)(i)*2 * SLOT_PAGES)
#define FAR_GFN     ((gfn_t)1 << 30)

uint64_t bench_wall_ns(void);
/* CPU time of the calling thread. */
uint64_t bench_cpu_ns(void);
/* What the calling thread has slept in waits of the library. */
uint64_t bench_slept_ns(void);
extern const struct memslot_platform bench_platform;

/* Small and the same everywhere: xorshift64*. The seed is not 0. */
uint64_t bench_random(uint64_t *state);
/* Sorts the values. */
double bench_median(double *v, unsigned count);
double bench_least(const double *v, unsigned count);
/* The median of a[i] / b[i]. */
double bench_ratio(const double *a, const double *b, unsigned count);

/* A map of `slots` slots; exits if there is none to be had. */
struct memslots *bench_map(unsigned slots);
/* Stop with a sentence if r is an error: nothing here may fail. */
void bench_must(int r, const char *what);

/* Keep a figure for the JSON file: a value of a series at a size. */
void bench_figure(
	const char *group, const char *series, unsigned slots, double value);
/* A promise: value <= limit, or >= limit. */
void bench_at_most(double value, double limit, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void bench_at_least(double value, double limit, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Print the promises; how many are broken? */
unsigned bench_print_bounds(void);
/* Write figures and bounds. 0, or -1 with errno. */
int bench_write_json(const char *path);

/* bench_lookup.c, bench_txn.c, bench_readers.c, bench_track.c, bench_vgtt.c */
void bench_lookup(void);
void bench_txn(void);
void bench_readers(void);
void bench_track(void);
void bench_vgtt(void);

#endif
