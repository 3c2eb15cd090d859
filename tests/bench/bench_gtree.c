/* SPDX-License-Identifier: MIT */
/*
 * bench_gtree.c - GLib's balanced tree, for bench_lookup.c
 *
 *	bench_gtree SLOTS
 *
 * Prints for each pattern how many ns a lookup takes, the median of some
 * rounds.
 */
#include "tests/bench/bench_questions.h"

#include <glib.h>
#include <stdio.h>
#include <stdlib.h>

#define ROUNDS 5u

struct range {
	gfn_t base;
	uint64_t npages;
};

static volatile uintptr_t sink;

static gint order(gconstpointer a, gconstpointer b)
{
	const struct range *x = a, *y = b;

	return (x->base > y->base) - (x->base < y->base);
}

static gint search(gconstpointer key, gconstpointer question)
{
	const struct range *range = key;
	gfn_t gfn = *(const gfn_t *)question;

	if (gfn < range->base)
		return -1;
	return gfn - range->base >= range->npages;
}

static double once(GTree *tree, const gfn_t *question)
{
	uint64_t start = bench_cpu_ns();
	uintptr_t sum = 0;

	for (unsigned i = 0; i < QUESTIONS; i++)
		sum += (uintptr_t)g_tree_search(tree, search, &question[i]);
	sink = sum;
	return (double)(bench_cpu_ns() - start) / QUESTIONS;
}

int main(int argc, char **argv)
{
	static gfn_t question[QUESTIONS];
	unsigned slots = argc == 2 ? (unsigned)atoi(argv[1]) : 0;
	struct range *range = calloc(slots, sizeof(*range));
	GTree *tree = g_tree_new(order);

	if (!slots || !range) {
		fprintf(stderr, "usage: bench_gtree SLOTS\n");
		return 2;
	}
	for (unsigned i = 0; i < slots; i++) {
		range[i] = (struct range){SLOT_GFN(i), SLOT_PAGES};
		g_tree_insert(tree, &range[i], &range[i]);
	}
	for (unsigned p = 0; p < BENCH_PATTERNS; p++) {
		double ns[ROUNDS];

		bench_ask(p, slots, question);
		once(tree, question);
		for (unsigned i = 0; i < ROUNDS; i++)
			ns[i] = once(tree, question);
		printf("%.3f\n", bench_median(ns, ROUNDS));
	}
	g_tree_destroy(tree);
	free(range);
	return 0;
}
