/* SPDX-License-Identifier: MIT */
/* bench_util.c - clocks, medians, figures and bounds of bench_core */
#include "tests/bench/bench_util.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- clocks ------------------------------------------------------------- */

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t bench_wall_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

uint64_t bench_cpu_ns(void)
{
	return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

/* ---- numbers ------------------------------------------------------------ */

uint64_t bench_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1du >> 16;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_median(double *v, unsigned count)
{
	qsort(v, count, sizeof(*v), by_value);
	return v[count / 2];
}

double bench_least(const double *v, unsigned count)
{
	double least = v[0];

	for (unsigned i = 1; i < count; i++)
		least = v[i] < least ? v[i] : least;
	return least;
}

double bench_ratio(const double *a, const double *b, unsigned count)
{
	double ratio[BENCH_ROUNDS];

	for (unsigned i = 0; i < count; i++)
		ratio[i] = a[i] / b[i];
	return bench_median(ratio, count);
}

void bench_must(int r, const char *what)
{
	if (!r)
		return;
	fprintf(stderr, "bench_core: %s: %s\n", what, strerror(-r));
	exit(2);
}

/* ---- figures and bounds ------------------------------------------------- */

#define FIGURES_MAX 128
#define BOUNDS_MAX  64

static struct figure {
	const char *group, *series;
	unsigned slots;
	double value;
} figures[FIGURES_MAX];

static struct bound {
	char what[72];
	double value, limit;
	int held, at_least;
} bounds[BOUNDS_MAX];

static unsigned figure_count, bound_count;

void bench_figure(
	const char *group, const char *series, unsigned slots, double value)
{
	if (figure_count == FIGURES_MAX)
		bench_must(-ENOSPC, "a figure too many");
	figures[figure_count++] = (struct figure){group, series, slots, value};
}

static struct bound *bound_new(double value, double limit)
{
	struct bound *b;

	if (bound_count == BOUNDS_MAX)
		bench_must(-ENOSPC, "a bound too many");
	b = &bounds[bound_count++];
	b->value = value;
	b->limit = limit;
	return b;
}

void bench_at_most(double value, double limit, const char *fmt, ...)
{
	struct bound *b = bound_new(value, limit);
	va_list args;

	b->held = value <= limit;
	va_start(args, fmt);
	vsnprintf(b->what, sizeof(b->what), fmt, args);
	va_end(args);
}

void bench_at_least(double value, double limit, const char *fmt, ...)
{
	struct bound *b = bound_new(value, limit);
	va_list args;

	b->held = value >= limit;
	b->at_least = 1;
	va_start(args, fmt);
	vsnprintf(b->what, sizeof(b->what), fmt, args);
	va_end(args);
}

unsigned bench_print_bounds(void)
{
	unsigned broken = 0;

	printf("\n%-56s %9s    %7s\n", "bounds", "measured", "limit");
	for (unsigned i = 0; i < bound_count; i++) {
		const struct bound *b = &bounds[i];

		printf("%-56s %9.2f %s %7.2f  %s\n", b->what, b->value,
			b->at_least ? ">=" : "<=", b->limit,
			b->held ? "ok" : "BROKEN");
		broken += !b->held;
	}
	printf("%u bounds, %u broken\n", bound_count, broken);
	return broken;
}

int bench_write_json(const char *path)
{
	FILE *f = fopen(path, "w");

	if (!f)
		return -1;
	fprintf(f, "{\n\"figures\": [\n");
	for (unsigned i = 0; i < figure_count; i++)
		fprintf(f,
			"{\"group\": \"%s\", \"series\": \"%s\", "
			"\"slots\": %u, \"value\": %.3f}%s\n",
			figures[i].group, figures[i].series, figures[i].slots,
			figures[i].value, i + 1 < figure_count ? "," : "");
	fprintf(f, "],\n\"bounds\": [\n");
	for (unsigned i = 0; i < bound_count; i++)
		fprintf(f,
			"{\"what\": \"%s\", \"value\": %.3f, "
			"\"limit\": %.3f, \"held\": %s}%s\n",
			bounds[i].what, bounds[i].value, bounds[i].limit,
			bounds[i].held ? "true" : "false",
			i + 1 < bound_count ? "," : "");
	fprintf(f, "]\n}\n");
	return fclose(f);
}
