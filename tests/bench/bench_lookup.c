/* SPDX-License-Identifier: MIT */
/*
 * bench_lookup.c - ours beside a binary search and GLib's balanced tree
 *
 * All three answer the same questions, one after the other: which slot holds
 * this page? The binary search is what Linux KVM used until 5.16
 * (search_memslots), over 24 bytes a slot, without its last-used slot. The
 * tree is asked by a program of its own, which $BENCH_GTREE names: GLib does
 * not go with a static musl build.
 */
#include "tests/bench/bench_questions.h"
#include "tests/bench/bench_util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct range {
	gfn_t base;
	uint64_t npages;
	const struct memslot *slot;
};

struct subject {
	struct memslot_reader r;
	unsigned slots;
	struct range *range;
	gfn_t *question;
};

static volatile uintptr_t sink;

/* ---- the two ----------------------------------------------------------- */

static void ask_ours(struct subject *s)
{
	uintptr_t sum = 0;

	memslot_enter(&s->r);
	for (unsigned i = 0; i < QUESTIONS; i++)
		sum += (uintptr_t)memslot_lookup(&s->r, 0, s->question[i]);
	memslot_leave(&s->r);
	sink = sum;
}

/* Behind a call, as the others are. */
static __attribute__((noinline)) const struct memslot *binary_search(
	const struct range *range, unsigned count, gfn_t gfn)
{
	unsigned low = 0, high = count;

	while (high - low > 1) {
		unsigned mid = low + (high - low) / 2;

		if (range[mid].base <= gfn)
			low = mid;
		else
			high = mid;
	}
	return gfn - range[low].base < range[low].npages ? range[low].slot
							 : NULL;
}

static void ask_binary(struct subject *s)
{
	uintptr_t sum = 0;

	for (unsigned i = 0; i < QUESTIONS; i++)
		sum += (uintptr_t)binary_search(
			s->range, s->slots, s->question[i]);
	sink = sum;
}

/*
 * Where in memory a map happens to lie matters at times (4K aliasing), so
 * that a size is measured on several.
 */
#define MAPS 5u

static const double limit_ns[BENCH_PATTERNS] = {0, 3, 3}; /* 0: none */

static struct times {
	double ours[BENCH_ROUNDS], binary[BENCH_ROUNDS], tree[BENCH_ROUNDS];
} times[BENCH_PATTERNS];

/* ---- measuring ---------------------------------------------------------- */

static double once(struct subject *s, void (*ask)(struct subject *s))
{
	uint64_t start = bench_cpu_ns();

	ask(s);
	return (double)(bench_cpu_ns() - start) / QUESTIONS;
}

static void measure(struct subject *s, unsigned pattern, unsigned from)
{
	struct times *t = &times[pattern];

	bench_ask(pattern, s->slots, s->question);
	ask_ours(s);
	for (unsigned i = from; i < from + BENCH_ROUNDS / MAPS; i++) {
		t->ours[i] = once(s, ask_ours);
		t->binary[i] = once(s, ask_binary);
	}
}

/* What the tree takes, for each round of a map; false: there is none. */
static bool measure_tree(unsigned slots, unsigned from)
{
	const char *program = getenv("BENCH_GTREE");
	char command[4096];
	double ns[BENCH_PATTERNS];
	FILE *f;
	bool ok;

	if (!program)
		return false;
	snprintf(command, sizeof(command), "'%s' %u", program, slots);
	f = popen(command, "r");
	if (!f)
		return false;
	ok = fscanf(f, "%lf %lf %lf", &ns[0], &ns[1], &ns[2]) == BENCH_PATTERNS;
	pclose(f);
	for (unsigned p = 0; ok && p < BENCH_PATTERNS; p++)
		for (unsigned i = from; i < from + BENCH_ROUNDS / MAPS; i++)
			times[p].tree[i] = ns[p];
	return ok;
}

static void print(unsigned pattern, unsigned slots, bool has_tree)
{
	const char *group = bench_patterns[pattern];
	double *ours = times[pattern].ours;
	double *binary = times[pattern].binary;
	double *tree = times[pattern].tree;
	double ns, vs_binary, vs_tree;

	vs_binary = bench_ratio(ours, binary, BENCH_ROUNDS);
	vs_tree = has_tree ? bench_ratio(ours, tree, BENCH_ROUNDS) : 0;
	ns = bench_median(ours, BENCH_ROUNDS);
	bench_figure(group, "ours", slots, ns);
	bench_figure(group, "binary search", slots,
		bench_median(binary, BENCH_ROUNDS));
	printf("%-20s %6u %8.1f %8.1f ", group, slots, ns,
		bench_median(binary, BENCH_ROUNDS));
	if (has_tree) {
		bench_figure(group, "GTree", slots,
			bench_median(tree, BENCH_ROUNDS));
		printf("%8.1f %12.2f %10.2f\n",
			bench_median(tree, BENCH_ROUNDS), vs_binary, vs_tree);
	} else {
		printf("%8s %12.2f %10s\n", "-", vs_binary, "-");
	}
	bench_at_most(vs_binary, 1, "%s, %u slots: ours / binary search", group,
		slots);
	if (limit_ns[pattern] > 0)
		bench_at_most(bench_least(ours, BENCH_ROUNDS),
			limit_ns[pattern], "%s, %u slots: ns", group, slots);
}

/* One map's share of the rounds; was there a tree to compare with? */
static bool measure_map(unsigned slots, unsigned from)
{
	struct memslots *ms = bench_map(slots);
	struct subject s = {.slots = slots};

	s.range = calloc(slots, sizeof(*s.range));
	s.question = calloc(QUESTIONS, sizeof(*s.question));
	bench_must(s.range && s.question ? 0 : -ENOMEM, "questions");
	memslot_reader_init(&s.r, ms, NULL, NULL);
	memslot_enter(&s.r);
	for (unsigned i = 0; i < slots; i++)
		s.range[i] = (struct range){SLOT_GFN(i), SLOT_PAGES,
			memslot_lookup(&s.r, 0, SLOT_GFN(i))};
	memslot_leave(&s.r);
	for (unsigned i = 0; i < BENCH_PATTERNS; i++)
		measure(&s, i, from);
	memslot_reader_fini(&s.r);
	memslots_destroy(ms);
	free(s.question);
	free(s.range);
	return measure_tree(slots, from);
}

void bench_lookup(void)
{
	printf("%-20s %6s %8s %8s %8s %12s %10s\n", "ns each", "slots", "ours",
		"binary", "GTree", "ours/binary", "ours/GTree");
	for (unsigned i = 0; i < BENCH_SIZES; i++) {
		bool has_tree = false;

		for (unsigned m = 0; m < MAPS; m++)
			has_tree = measure_map(
				bench_sizes[i], m * (BENCH_ROUNDS / MAPS));
		for (unsigned p = 0; p < BENCH_PATTERNS; p++)
			print(p, bench_sizes[i], has_tree);
	}
}
