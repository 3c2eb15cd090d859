/* SPDX-License-Identifier: MIT */
/*
 * bench_lookup.c - ours beside a binary search and GLib's balanced tree
 *
 * All three answer the same questions, one after the other in each round:
 * which slot holds this page? The binary search is what Linux KVM used until
 * 5.16 (search_memslots), over 24 bytes a slot, without its last-used slot.
 */
#include "tests/bench/bench_util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef HAVE_GLIB
#include <glib.h>
#endif

#define QUESTIONS 32768u /* too many for a branch predictor to learn */

/* "Not slower" with what two runs of the same thing differ by here. */
#define NOISE 1.05

struct range {
	gfn_t base;
	uint64_t npages;
	const struct memslot *slot;
};

struct subject {
	struct memslot_reader r;
	unsigned slots;
	struct range *range;
	void *tree;
	gfn_t *question;
};

static volatile uintptr_t sink;

/* ---- the three ---------------------------------------------------------- */

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

#ifdef HAVE_GLIB

static gint tree_order(gconstpointer a, gconstpointer b)
{
	const struct range *x = a, *y = b;

	return (x->base > y->base) - (x->base < y->base);
}

static gint tree_search(gconstpointer key, gconstpointer question)
{
	const struct range *range = key;
	gfn_t gfn = *(const gfn_t *)question;

	if (gfn < range->base)
		return -1;
	return gfn - range->base >= range->npages;
}

static void tree_fill(struct subject *s)
{
	GTree *tree = g_tree_new(tree_order);

	for (unsigned i = 0; i < s->slots; i++)
		g_tree_insert(tree, &s->range[i], (void *)s->range[i].slot);
	s->tree = tree;
}

static void ask_tree(struct subject *s)
{
	uintptr_t sum = 0;

	for (unsigned i = 0; i < QUESTIONS; i++)
		sum += (uintptr_t)g_tree_search(
			s->tree, tree_search, &s->question[i]);
	sink = sum;
}

static void tree_free(struct subject *s)
{
	g_tree_destroy(s->tree);
}

#else

static void tree_fill(struct subject *s)
{
	s->tree = NULL;
}

static void ask_tree(struct subject *s)
{
	(void)s;
}

static void tree_free(struct subject *s)
{
	(void)s;
}

#endif

/* ---- questions ---------------------------------------------------------- */

static void ask_random(struct subject *s)
{
	uint64_t seed = 11;

	for (unsigned i = 0; i < QUESTIONS; i++) {
		unsigned slot = (unsigned)(bench_random(&seed) % s->slots);

		s->question[i] =
			SLOT_GFN(slot) + bench_random(&seed) % SLOT_PAGES;
	}
}

/* Page by page through all slots, again from the start if that is the end. */
static void ask_sequential(struct subject *s)
{
	for (unsigned i = 0; i < QUESTIONS; i++)
		s->question[i] =
			SLOT_GFN(i / SLOT_PAGES % s->slots) + i % SLOT_PAGES;
}

static void ask_same(struct subject *s)
{
	for (unsigned i = 0; i < QUESTIONS; i++)
		s->question[i] = SLOT_GFN(s->slots / 2) + i % SLOT_PAGES;
}

/*
 * Where in memory a map happens to lie matters at times (4K aliasing), so
 * that a size is measured on several.
 */
#define MAPS 5u

static const struct pattern {
	const char *group;
	void (*ask)(struct subject *s);
	double limit_ns; /* 0: none */
} patterns[] = {
	{"lookup, random", ask_random, 0},
	{"lookup, sequential", ask_sequential, 3},
	{"lookup, last hit", ask_same, 3},
};

#define PATTERNS (sizeof(patterns) / sizeof(patterns[0]))

static struct times {
	double ours[BENCH_ROUNDS], binary[BENCH_ROUNDS], tree[BENCH_ROUNDS];
} times[PATTERNS];

/* ---- measuring ---------------------------------------------------------- */

static double once(struct subject *s, void (*ask)(struct subject *s))
{
	uint64_t start = bench_cpu_ns();

	ask(s);
	return (double)(bench_cpu_ns() - start) / QUESTIONS;
}

static void measure(struct subject *s, const struct pattern *p, unsigned from)
{
	struct times *t = &times[p - patterns];

	p->ask(s);
	ask_ours(s);
	for (unsigned i = from; i < from + BENCH_ROUNDS / MAPS; i++) {
		t->ours[i] = once(s, ask_ours);
		t->binary[i] = once(s, ask_binary);
		t->tree[i] = once(s, ask_tree);
	}
}

static void print(const struct pattern *p, unsigned slots, bool has_tree)
{
	const char *group = p->group;
	double *ours = times[p - patterns].ours;
	double *binary = times[p - patterns].binary;
	double *tree = times[p - patterns].tree;
	double ns, vs_binary, vs_tree;

	vs_binary = bench_ratio(ours, binary, BENCH_ROUNDS);
	vs_tree = bench_ratio(ours, tree, BENCH_ROUNDS);
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
	bench_at_most(vs_binary, NOISE, "%s, %u slots: ours / binary search",
		group, slots);
	if (p->limit_ns > 0)
		bench_at_most(
			ns, p->limit_ns, "%s, %u slots: ns", group, slots);
}

/* One map's share of the rounds; was there a tree to compare with? */
static bool measure_map(unsigned slots, unsigned from)
{
	struct memslots *ms = bench_map(slots);
	struct subject s = {.slots = slots};
	bool has_tree;

	s.range = calloc(slots, sizeof(*s.range));
	s.question = calloc(QUESTIONS, sizeof(*s.question));
	bench_must(s.range && s.question ? 0 : -ENOMEM, "questions");
	memslot_reader_init(&s.r, ms, NULL, NULL);
	memslot_enter(&s.r);
	for (unsigned i = 0; i < slots; i++)
		s.range[i] = (struct range){SLOT_GFN(i), SLOT_PAGES,
			memslot_lookup(&s.r, 0, SLOT_GFN(i))};
	memslot_leave(&s.r);
	tree_fill(&s);
	has_tree = s.tree != NULL;
	for (unsigned i = 0; i < PATTERNS; i++)
		measure(&s, &patterns[i], from);
	tree_free(&s);
	memslot_reader_fini(&s.r);
	memslots_destroy(ms);
	free(s.question);
	free(s.range);
	return has_tree;
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
		for (unsigned p = 0; p < PATTERNS; p++)
			print(&patterns[p], bench_sizes[i], has_tree);
	}
}
