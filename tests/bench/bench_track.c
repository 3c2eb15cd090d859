/* SPDX-License-Identifier: MIT */
/*
 * bench_track.c - what a write to a tracked page costs more than another
 */
#include "pagetrack/pagetrack.h"
#include "tests/bench/bench_util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define WRITES 16384u
#define PAGES  64u

static const struct pagetrack_source device = {PAGETRACK_DEVICE, 0};
static uint64_t heard;

static void hear(void *ctx, const struct pagetrack_write *w)
{
	(void)ctx;
	heard += w->len;
}

static const struct pagetrack_ops listener = {
	.name = "listener",
	.write = hear,
};

static double write_ns(
	struct pagetrack *pt, struct memslot_reader *r, gfn_t gfn)
{
	uint64_t start = bench_cpu_ns();

	for (uint64_t i = 0; i < WRITES; i++)
		bench_must(pagetrack_guest_write(pt, r, 0,
				   (gfn << MEMSLOT_PAGE_SHIFT) + i % 512 * 8,
				   &i, sizeof(i), device),
			"a write");
	return (double)(bench_cpu_ns() - start) / WRITES;
}

static double report_ns(
	struct pagetrack *pt, struct memslot_reader *r, gfn_t gfn)
{
	uint64_t start = bench_cpu_ns();
	struct pagetrack_hold hold;
	struct pagetrack_write w = {
		.gpa = gfn << MEMSLOT_PAGE_SHIFT,
		.len = sizeof(uint64_t),
		.source = device,
	};

	for (uint64_t i = 0; i < WRITES; i++) {
		w.bytes = &i;
		pagetrack_hold(pt, &hold, 0, w.gpa, w.len);
		pagetrack_report(pt, &hold, &w);
	}
	(void)r;
	return (double)(bench_cpu_ns() - start) / WRITES;
}

static void measure(struct pagetrack *pt, struct memslot_reader *r)
{
	double plain[BENCH_ROUNDS], tracked[BENCH_ROUNDS], more[BENCH_ROUNDS];
	double report[BENCH_ROUNDS], ns;

	for (unsigned i = 0; i < BENCH_ROUNDS; i++) {
		plain[i] = write_ns(pt, r, 0);
		tracked[i] = write_ns(pt, r, 1);
		report[i] = report_ns(pt, r, 1);
		more[i] = tracked[i] - plain[i];
	}
	ns = bench_median(more, BENCH_ROUNDS);
	printf("\n%-20s %10s %10s %10s %14s\n", "ns a write of 8", "untracked",
		"tracked", "more", "hold + report");
	printf("%-20s %10.1f %10.1f %10.1f %14.1f\n", "one node",
		bench_median(plain, BENCH_ROUNDS),
		bench_median(tracked, BENCH_ROUNDS), ns,
		bench_median(report, BENCH_ROUNDS));
	bench_figure("tracked write", "untracked", 1,
		bench_median(plain, BENCH_ROUNDS));
	bench_figure("tracked write", "tracked", 1,
		bench_median(tracked, BENCH_ROUNDS));
	bench_at_most(bench_least(more, BENCH_ROUNDS), 60,
		"tracked write - untracked write: ns");
	bench_at_most(
		bench_least(report, BENCH_ROUNDS), 60, "hold and report: ns");
	bench_at_most(bench_least(tracked, BENCH_ROUNDS), 60,
		"tracked write, all of it: ns");
}

void bench_track(void)
{
	const size_t size = PAGES * MEMSLOT_PAGE_SIZE;
	void *host = aligned_alloc(MEMSLOT_PAGE_SIZE, size);
	struct memslot_config c = {.size = size, .host = host};
	struct memslot_reader r;
	struct pagetrack_node *node;
	struct pagetrack *pt;
	struct memslots *ms;

	bench_must(host ? 0 : -ENOMEM, "guest memory");
	bench_must(memslots_create(&bench_platform, 1, &ms, NULL), "a map");
	bench_must(memslots_create_slot(ms, &c, NULL), "a slot");
	bench_must(pagetrack_create(ms, &pt, NULL), "a tracker");
	bench_must(pagetrack_register(
			   pt, &listener, NULL, PAGETRACK_FOLLOW, &node, NULL),
		"a node");
	bench_must(pagetrack_add(node, 0, 1, 1, NULL), "a page");
	memslot_reader_init(&r, ms, NULL, NULL);
	measure(pt, &r);
	memslot_reader_fini(&r);
	pagetrack_unregister(node);
	pagetrack_destroy(pt);
	memslots_destroy(ms);
	free(host);
}
