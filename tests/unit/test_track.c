/* SPDX-License-Identifier: MIT */
/*
 * test_track.c - nodes come and go, pages are added and removed
 *
 * Counting, ranges, every error with its sentence, all or nothing when a
 * range fails in its middle, and what a CPU sees of it.
 */
#include "tests/unit/test_track.h"

/* ---- nodes -------------------------------------------------------------- */

static const struct pagetrack_ops silent_ops = {.name = "silent"};
static const struct pagetrack_ops nameless_ops = {.name = NULL};

static void test_register_refusals(void)
{
	struct pagetrack_node *n = NULL;
	struct world w;

	world_open(&w);
	CHECK_EQ(pagetrack_register(w.pt, &silent_ops, NULL,
			 (enum pagetrack_policy)7, &n, &w.err),
		-EINVAL);
	CHECK_EQ(w.err.code, -EINVAL);
	CHECK_TEXT(w.err.text, "silent");
	CHECK_TEXT(w.err.text, "unknown policy 7");
	CHECK_EQ(pagetrack_register(w.pt, &nameless_ops, NULL,
			 (enum pagetrack_policy) - 1, &n, NULL),
		-EINVAL);
	CHECK_EQ(pagetrack_register(w.pt, &nameless_ops, NULL,
			 (enum pagetrack_policy) - 1, &n, &w.err),
		-EINVAL);
	CHECK_TEXT(w.err.text, "unknown policy -1");

	fault_arm(&w.plan, FAULT_PAGETRACK_REGISTER, 1, false);
	CHECK_EQ(pagetrack_register(
			 w.pt, &silent_ops, NULL, PAGETRACK_STAY, &n, &w.err),
		-ENOMEM);
	CHECK_TEXT(w.err.text, "no memory");
	CHECK_TEXT(w.err.text, "silent");
	CHECK_EQ(atomic_load(&w.plan.fired), 1);
	CHECK(n == NULL);
	faults_off(&w);
	CHECK_EQ(pagetrack_register(
			 w.pt, &silent_ops, NULL, PAGETRACK_STAY, &n, NULL),
		0);
	pagetrack_unregister(n);
	pagetrack_unregister(NULL);
	pagetrack_destroy(NULL);
	world_close(&w);
}

static void test_node_limit(void)
{
	struct pagetrack_node *n[PAGETRACK_NODES_MAX], *more = NULL;
	struct world w;

	world_open(&w);
	CHECK_EQ(PAGETRACK_NODES_MAX, 64);
	CHECK_EQ(slot_new(&w, 0, 0, 0, 4, 0, 0), 0);
	for (unsigned i = 0; i < PAGETRACK_NODES_MAX; i++) {
		CHECK_EQ(pagetrack_register(w.pt, &silent_ops, NULL,
				 PAGETRACK_STAY, &n[i], &w.err),
			0);
		CHECK_EQ(pagetrack_add(n[i], 0, 1, 1, &w.err), 0);
	}
	CHECK_EQ(pagetrack_register(w.pt, &silent_ops, NULL, PAGETRACK_STAY,
			 &more, &w.err),
		-ENOSPC);
	CHECK_TEXT(w.err.text, "64 nodes");
	CHECK(more == NULL);
	/* Place in the middle becomes free, and is used again. */
	pagetrack_unregister(n[31]);
	CHECK_EQ(pagetrack_register(w.pt, &silent_ops, NULL, PAGETRACK_FOLLOW,
			 &n[31], &w.err),
		0);
	CHECK_EQ(pagetrack_register(w.pt, &silent_ops, NULL, PAGETRACK_STAY,
			 &more, &w.err),
		-ENOSPC);
	/* The page is tracked until the last node has let go. */
	for (unsigned i = 0; i < PAGETRACK_NODES_MAX; i++) {
		CHECK(page_is_tracked(&w, 0, 1));
		CHECK_EQ(pagetrack_tracks(n[i], 0, 1), i != 31);
		pagetrack_unregister(n[i]);
		if (i == 62)
			CHECK(page_is_tracked(&w, 0, 1));
	}
	CHECK(!page_is_tracked(&w, 0, 1));
	world_close(&w);
}

static void test_unregister_frees_pages(void)
{
	struct ear a, b;
	struct world w;

	world_open(&w);
	CHECK_EQ(slot_new(&w, 0, 0, 0, 32, 0, 0), 0);
	CHECK_EQ(ear_open(&w, &a, 'A', PAGETRACK_STAY), 0);
	CHECK_EQ(ear_open(&w, &b, 'B', PAGETRACK_STAY), 0);
	CHECK_EQ(pagetrack_add(a.node, 0, 0, 32, &w.err), 0);
	CHECK_EQ(pagetrack_add(a.node, 0, 0, 32, &w.err), 0);
	CHECK_EQ(pagetrack_add(b.node, 0, 7, 1, &w.err), 0);
	ear_close(&a);
	CHECK(books_agree(&w));
	for (gfn_t g = 0; g < 32; g++)
		CHECK_EQ(page_is_tracked(&w, 0, g), g == 7);
	CHECK_EQ(poke(&w, 0, 7, 1), 0);
	CHECK_EQ(poke(&w, 0, 8, 1), 0);
	CHECK_HEARD(&w, "Bw ");
	ear_close(&b);
	world_close(&w);
}

/* ---- the tracker itself ------------------------------------------------- */

static int nested_code;

static void create_inside(
	struct world *w, char what, const struct memslot_txn *t)
{
	struct pagetrack *pt = NULL;
	struct memslot_error err = {0};

	(void)t;
	if (what != 'p')
		return;
	nested_code = pagetrack_create(w->ms, &pt, &err);
	CHECK_TEXT(err.text, "callback");
	CHECK(pt == NULL);
}

static void *no_alloc(void *ctx, size_t size)
{
	(void)ctx;
	(void)size;
	return NULL;
}

static void test_create_refusals(void)
{
	struct memslot_platform pf = memslot_hosted;
	struct pagetrack *pt = NULL;
	struct memslot_error err = {0};
	struct memslots *ms;
	struct world w;

	world_open(&w);
	w.backend.act = create_inside;
	CHECK_EQ(slot_new(&w, 0, 0, 0, 4, 0, 0), 0);
	CHECK_EQ(nested_code, -EDEADLK);
	w.backend.act = NULL;
	world_close(&w);

	CHECK_EQ(memslots_create(&pf, 1, &ms, NULL), 0);
	pf.alloc = no_alloc;
	CHECK_EQ(pagetrack_create(ms, &pt, &err), -ENOMEM);
	CHECK_TEXT(err.text, "no memory");
	CHECK_EQ(pagetrack_create(ms, &pt, NULL), -ENOMEM);
	CHECK(pt == NULL);
	memslots_destroy(ms);
}

/* ---- counting ----------------------------------------------------------- */

static void test_counted(void)
{
	struct ear a, b;
	struct world w;

	world_open(&w);
	CHECK_EQ(slot_new(&w, 0, 3, 8, 16, 0, 0), 0);
	CHECK_EQ(ear_open(&w, &a, 'A', PAGETRACK_STAY), 0);
	CHECK_EQ(ear_open(&w, &b, 'B', PAGETRACK_FOLLOW), 0);
	CHECK_EQ(pagetrack_size_pages(a.node), 0);
	CHECK(!pagetrack_tracks(a.node, 0, 9));

	CHECK_EQ(pagetrack_add(a.node, 0, 9, 1, &w.err), 0);
	CHECK_EQ(pagetrack_add(a.node, 0, 9, 2, &w.err), 0);
	CHECK_EQ(pagetrack_add(a.node, 0, 8, 16, &w.err), 0);
	CHECK_EQ(pagetrack_size_pages(a.node), 16);
	CHECK(!pagetrack_tracks(b.node, 0, 9));
	CHECK_EQ(pagetrack_add(b.node, 0, 9, 1, &w.err), 0);
	CHECK_EQ(pagetrack_size_pages(b.node), 1);

	CHECK_EQ(pagetrack_remove(a.node, 0, 8, 16, &w.err), 0);
	CHECK_EQ(pagetrack_size_pages(a.node), 2); /* 9 twice, 10 once */
	CHECK(books_agree(&w));
	CHECK_EQ(pagetrack_remove(a.node, 0, 9, 2, &w.err), 0);
	CHECK_EQ(pagetrack_size_pages(a.node), 1);
	CHECK(pagetrack_tracks(a.node, 0, 9));
	CHECK(!pagetrack_tracks(a.node, 0, 10));
	CHECK_EQ(poke(&w, 0, 9, 1), 0);
	CHECK_HEARD(&w, "Aw Bw ");
	CHECK_EQ(pagetrack_remove(a.node, 0, 9, 1, &w.err), 0);
	CHECK(page_is_tracked(&w, 0, 9)); /* the other node's */
	CHECK_EQ(poke(&w, 0, 9, 2), 0);
	CHECK_HEARD(&w, "Bw ");
	CHECK_EQ(pagetrack_remove(b.node, 0, 9, 1, &w.err), 0);
	CHECK(!page_is_tracked(&w, 0, 9));
	CHECK_EQ(poke(&w, 0, 9, 3), 0);
	CHECK_HEARD(&w, "");
	CHECK(books_agree(&w));
	ear_close(&a);
	ear_close(&b);
	world_close(&w);
}

static void test_count_limit(void)
{
	struct ear a;
	struct world w;
	unsigned added = 0;

	world_open(&w);
	CHECK_EQ(slot_new(&w, 0, 0, 0, 8, 0, 0), 0);
	CHECK_EQ(ear_open(&w, &a, 'A', PAGETRACK_STAY), 0);
	while (added < 65535 && !pagetrack_add(a.node, 0, 2, 1, NULL))
		added++;
	CHECK_EQ(added, 65535);
	CHECK_EQ(pagetrack_add(a.node, 0, 2, 1, &w.err), -EOVERFLOW);
	CHECK_EQ(w.err.code, -EOVERFLOW);
	CHECK_TEXT(w.err.text, "page 0x2 of space 0");
	CHECK_TEXT(w.err.text, "65535");
	/* In the middle of a range: the pages before it are let go. */
	CHECK_EQ(pagetrack_add(a.node, 0, 0, 4, &w.err), -EOVERFLOW);
	CHECK_EQ(pagetrack_size_pages(a.node), 1);
	CHECK(books_agree(&w));
	CHECK_EQ(pagetrack_remove(a.node, 0, 2, 1, &w.err), 0);
	CHECK_EQ(pagetrack_add(a.node, 0, 0, 4, &w.err), 0);
	CHECK_EQ(pagetrack_size_pages(a.node), 4);
	while (added > 1 && !pagetrack_remove(a.node, 0, 2, 1, NULL))
		added--;
	CHECK_EQ(added, 1);
	CHECK(pagetrack_tracks(a.node, 0, 2));
	CHECK_EQ(pagetrack_remove(a.node, 0, 2, 1, NULL), 0);
	CHECK(!pagetrack_tracks(a.node, 0, 2));
	CHECK_EQ(pagetrack_remove(a.node, 0, 2, 1, NULL), -ENOENT);
	ear_close(&a);
	world_close(&w);
}

/* ---- errors ------------------------------------------------------------- */

#define LIMIT (MEMSLOT_GPA_LIMIT >> MEMSLOT_PAGE_SHIFT)

static void test_bad_ranges(void)
{
	static const struct {
		unsigned space;
		gfn_t gfn;
		uint64_t pages;
		const char *text;
	} bad[] = {
		{0, 1, 0, "0 pages from page 0x1"},
		{SPACES, 1, 1, "there are only 2"},
		{~0u, 1, 1, "space 4294967295"},
		{1u << 24, 1, 1, "there are only 2"},
		{0, LIMIT, 1, "pass the last page"},
		{0, LIMIT - 1, 2, "2 pages from page 0xffffffffff"},
		{0, 0, LIMIT + 1, "pass the last page 0xffffffffff"},
		{0, 1, UINT64_MAX, "pass the last page"},
		{0, UINT64_MAX, 1, "pass the last page"},
		{0, UINT64_MAX, 2, "pass the last page"},
		{0, UINT64_MAX - 1, UINT64_MAX, "pass the last page"},
	};
	struct ear a;
	struct world w;

	world_open(&w);
	CHECK_EQ(slot_new(&w, 0, 0, 0, 8, 0, 0), 0);
	CHECK_EQ(slot_new(&w, 0, 1, LIMIT - 2, 2, 8, 0), 0);
	CHECK_EQ(ear_open(&w, &a, 'A', PAGETRACK_STAY), 0);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memset(&w.err, 0, sizeof(w.err));
		CHECK_EQ(pagetrack_add(a.node, bad[i].space, bad[i].gfn,
				 bad[i].pages, &w.err),
			-EINVAL);
		CHECK_EQ(w.err.code, -EINVAL);
		CHECK_TEXT(w.err.text, bad[i].text);
		memset(&w.err, 0, sizeof(w.err));
		CHECK_EQ(pagetrack_remove(a.node, bad[i].space, bad[i].gfn,
				 bad[i].pages, &w.err),
			-EINVAL);
		CHECK_TEXT(w.err.text, bad[i].text);
		CHECK_EQ(pagetrack_add(a.node, bad[i].space, bad[i].gfn,
				 bad[i].pages, NULL),
			-EINVAL);
		CHECK(!pagetrack_tracks(a.node, bad[i].space, bad[i].gfn));
	}
	CHECK_EQ(pagetrack_size_pages(a.node), 0);
	CHECK_EQ(w.backend.protects, 0);
	/* The last pages there can be. */
	CHECK_EQ(pagetrack_add(a.node, 0, LIMIT - 2, 2, &w.err), 0);
	CHECK_EQ(poke(&w, 0, LIMIT - 1, 1), 0);
	CHECK_HEARD(&w, "Aw ");
	CHECK_EQ(pagetrack_remove(a.node, 0, LIMIT - 2, 2, &w.err), 0);
	ear_close(&a);
	world_close(&w);
}

static void test_no_slot(void)
{
	struct picture before, after;
	struct ear a, b;
	struct world w;

	world_open(&w);
	CHECK_EQ(slot_new(&w, 0, 0, 4, 4, 0, 0), 0);
	CHECK_EQ(slot_new(&w, 0, 1, 8, 4, 4, 0), 0);  /* next to it */
	CHECK_EQ(slot_new(&w, 0, 2, 14, 4, 8, 0), 0); /* behind a hole */
	CHECK_EQ(ear_open(&w, &a, 'A', PAGETRACK_STAY), 0);
	CHECK_EQ(ear_open(&w, &b, 'B', PAGETRACK_STAY), 0);
	CHECK_EQ(pagetrack_add(a.node, 0, 4, 8, &w.err), 0);
	CHECK_EQ(pagetrack_remove(a.node, 0, 4, 8, &w.err), 0);
	CHECK_EQ(pagetrack_add(a.node, 0, 6, 3, &w.err), 0);
	CHECK_EQ(pagetrack_add(b.node, 0, 5, 2, &w.err), 0);
	w.backend.protects = 0;
	picture_take(&w, &before);

	CHECK_EQ(pagetrack_add(a.node, 0, 3, 1, &w.err), -ENOENT);
	CHECK_EQ(w.err.code, -ENOENT);
	CHECK_TEXT(w.err.text, "page 0x3 of space 0 has no slot");
	CHECK_EQ(pagetrack_add(a.node, 1, 4, 1, &w.err), -ENOENT);
	CHECK_TEXT(w.err.text, "page 0x4 of space 1");
	CHECK_EQ(pagetrack_add(a.node, 0, 3, 2, &w.err), -ENOENT);
	CHECK_EQ(pagetrack_add(a.node, 0, 4, 12, &w.err), -ENOENT);
	CHECK_TEXT(w.err.text, "page 0xc of space 0 has no slot");
	CHECK_EQ(pagetrack_add(a.node, 0, 4, LIMIT - 4, &w.err), -ENOENT);
	CHECK_EQ(pagetrack_add(a.node, 0, 17, 2, NULL), -ENOENT);
	picture_take(&w, &after);
	CHECK(picture_same(&before, &after));
	CHECK_EQ(w.backend.protects, 0);
	/* Pages that the failed ranges touched are still counted once. */
	CHECK_EQ(pagetrack_remove(a.node, 0, 6, 3, &w.err), 0);
	CHECK_EQ(pagetrack_size_pages(a.node), 0);
	CHECK(books_agree(&w));
	ear_close(&a);
	ear_close(&b);
	world_close(&w);
}

static void test_remove_refusals(void)
{
	struct picture before, after;
	struct ear a, b;
	struct world w;

	world_open(&w);
	CHECK_EQ(slot_new(&w, 0, 0, 0, 16, 0, 0), 0);
	CHECK_EQ(slot_new(&w, 1, 0, 0, 16, 16, 0), 0);
	CHECK_EQ(ear_open(&w, &a, 'A', PAGETRACK_STAY), 0);
	CHECK_EQ(ear_open(&w, &b, 'B', PAGETRACK_STAY), 0);
	CHECK_EQ(pagetrack_add(a.node, 0, 2, 3, &w.err), 0);
	CHECK_EQ(pagetrack_add(a.node, 0, 6, 2, &w.err), 0);
	CHECK_EQ(pagetrack_add(b.node, 0, 5, 1, &w.err), 0);
	picture_take(&w, &before);
	CHECK_EQ(pagetrack_remove(a.node, 0, 2, 4, &w.err), -ENOENT);
	CHECK_EQ(w.err.code, -ENOENT);
	CHECK_TEXT(w.err.text, "page 0x5 of space 0 is not tracked by");
	CHECK_TEXT(w.err.text, "ear");
	CHECK_EQ(pagetrack_remove(a.node, 0, 1, 2, &w.err), -ENOENT);
	CHECK_EQ(pagetrack_remove(a.node, 0, 7, 2, NULL), -ENOENT);
	CHECK_EQ(pagetrack_remove(a.node, 1, 2, 1, &w.err), -ENOENT);
	CHECK_TEXT(w.err.text, "space 1");
	CHECK_EQ(pagetrack_remove(b.node, 0, 2, 1, &w.err), -ENOENT);
	CHECK_EQ(pagetrack_remove(a.node, 0, 2, LIMIT - 2, NULL), -ENOENT);
	/* No slot there either: the answer is about the node. */
	CHECK_EQ(pagetrack_remove(a.node, 0, 50, 1, &w.err), -ENOENT);
	picture_take(&w, &after);
	CHECK(picture_same(&before, &after));
	ear_close(&a);
	ear_close(&b);
	world_close(&w);
}

/* ---- out of memory ------------------------------------------------------ */

/* Fail the nth point reached, n = 1, 2, ... until the add passes. */
static unsigned walk_add(struct world *w, struct ear *a, unsigned point,
	bool persistent, gfn_t gfn, uint64_t pages)
{
	struct picture before, after;
	unsigned n = 1;

	for (;; n++) {
		int r;

		picture_take(w, &before);
		fault_arm(&w->plan, point, n, persistent);
		memset(&w->err, 0, sizeof(w->err));
		r = pagetrack_add(a->node, 0, gfn, pages, &w->err);
		if (!atomic_load(&w->plan.fired)) {
			faults_off(w);
			CHECK_EQ(r, 0);
			break;
		}
		faults_off(w);
		CHECK_EQ(r, -ENOMEM);
		CHECK_EQ(w->err.code, -ENOMEM);
		CHECK_TEXT(w->err.text, "no memory");
		picture_take(w, &after);
		CHECK(picture_same(&before, &after));
		CHECK(books_agree(w));
	}
	return n - 1; /* points that could fail */
}

static void test_injected(void)
{
	struct ear a;
	struct world w;

	world_open(&w);
	for (int persistent = 0; persistent < 2; persistent++) {
		/* Two fresh slots: no count array yet. */
		CHECK_EQ(slot_new(&w, 0, 0, 0, 8, 0, 0), 0);
		CHECK_EQ(slot_new(&w, 0, 1, 8, 8, 8, 0), 0);
		CHECK_EQ(ear_open(&w, &a, 'A', PAGETRACK_STAY), 0);
		CHECK_EQ(pagetrack_add(a.node, 0, 5, 1, &w.err), 0);
		/*
		 * 9 pages new to the node, and an array for the second slot,
		 * which stays once it is there: the walk steps over one.
		 */
		CHECK_EQ(walk_add(&w, &a, FAULT_ANY, persistent, 2, 10), 9);
		CHECK_EQ(pagetrack_size_pages(a.node), 10);
		CHECK_EQ(walk_add(&w, &a, FAULT_ANY, persistent, 2, 10), 0);
		CHECK_EQ(pagetrack_remove(a.node, 0, 2, 10, NULL), 0);
		CHECK_EQ(pagetrack_remove(a.node, 0, 2, 10, NULL), 0);
		CHECK_EQ(pagetrack_size_pages(a.node), 1);
		CHECK_EQ(walk_add(&w, &a, FAULT_PAGETRACK_PAGE, persistent, 4,
				 4),
			3);
		CHECK_EQ(walk_add(&w, &a, FAULT_TRACK_RESERVE, persistent, 0,
				 16),
			0);
		ear_close(&a);
		CHECK_EQ(memslots_delete_slot(w.ms, 0, 0, NULL), 0);
		CHECK_EQ(memslots_delete_slot(w.ms, 0, 1, NULL), 0);
	}
	world_close(&w);
}

/* A platform that runs out after `left` allocations. */
struct budget {
	long left;
	long live;
};

static void *budget_alloc(void *ctx, size_t size)
{
	struct budget *b = ctx;

	if (b->left == 0)
		return NULL;
	b->left--;
	b->live++;
	return calloc(1, size);
}

static void budget_free(void *ctx, void *p)
{
	struct budget *b = ctx;

	b->live--;
	free(p);
}

/* Really no memory, also where a table grows: the same answer. */
static void test_real_exhaustion(void)
{
	struct budget b = {.left = -1};
	struct memslot_platform pf = memslot_hosted;
	struct memslot_config c = {.id = 1, .size = 300 * PAGE};
	struct pagetrack_node *n;
	struct memslots *ms;
	struct pagetrack *pt;
	uint8_t *mem = aligned_alloc(PAGE, 300 * PAGE);
	unsigned failures = 0;

	pf.ctx = &b;
	pf.alloc = budget_alloc;
	pf.free = budget_free;
	c.host = mem;
	CHECK_EQ(memslots_create(&pf, 1, &ms, NULL), 0);
	CHECK_EQ(pagetrack_create(ms, &pt, NULL), 0);
	CHECK_EQ(memslots_create_slot(ms, &c, NULL), 0);
	CHECK_EQ(pagetrack_register(
			 pt, &silent_ops, NULL, PAGETRACK_STAY, &n, NULL),
		0);
	for (long left = 0;; left++) {
		struct memslot_error err = {0};
		int r;

		b.left = left;
		r = pagetrack_add(n, 0, 0, 300, &err);
		b.left = -1;
		if (!r)
			break;
		failures++;
		CHECK_EQ(r, -ENOMEM);
		CHECK_EQ(err.code, -ENOMEM);
		CHECK_EQ(pagetrack_size_pages(n), 0);
		CHECK(!pagetrack_tracks(n, 0, 0));
	}
	/* Each page is an object; tables are kept, so at least these. */
	CHECK(failures >= 300);
	CHECK_EQ(pagetrack_size_pages(n), 300);
	pagetrack_unregister(n);
	pagetrack_destroy(pt);
	memslots_destroy(ms);
	CHECK_EQ(b.live, 0);
	free(mem);
}

/* ---- many pages, spaces ------------------------------------------------- */

static void test_many_pages(void)
{
	enum { MANY = 1000 };
	struct ear a;
	struct world w;
	unsigned g;

	world_open(&w);
	CHECK_EQ(slot_new(&w, 1, 9, 100, MANY, 0, 0), 0);
	CHECK_EQ(ear_open(&w, &a, 'A', PAGETRACK_STAY), 0);
	/* In a scattered order: 389 and 1000 have no common divisor. */
	for (unsigned i = 0; i < MANY; i++) {
		g = 100 + i * 389 % MANY;
		CHECK(!pagetrack_tracks(a.node, 1, g));
		CHECK_EQ(pagetrack_add(a.node, 1, g, 1, NULL), 0);
	}
	CHECK_EQ(pagetrack_size_pages(a.node), MANY);
	for (g = 0; g < MANY; g++)
		CHECK(pagetrack_tracks(a.node, 1, 100 + g));
	CHECK(!pagetrack_tracks(a.node, 1, 99));
	CHECK(!pagetrack_tracks(a.node, 1, 100 + MANY));
	CHECK(!pagetrack_tracks(a.node, 0, 100));
	for (unsigned i = 0; i < MANY; i += 2)
		CHECK_EQ(pagetrack_remove(
				 a.node, 1, 100 + i * 389 % MANY, 1, NULL),
			0);
	for (unsigned i = 0; i < MANY; i++) {
		g = 100 + i * 389 % MANY;
		CHECK_EQ(pagetrack_tracks(a.node, 1, g), i % 2);
		CHECK_EQ(page_is_tracked(&w, 1, g), i % 2);
	}
	CHECK_EQ(pagetrack_size_pages(a.node), MANY / 2);
	ear_close(&a);
	for (g = 0; g < MANY; g++)
		CHECK(!page_is_tracked(&w, 1, 100 + g));
	world_close(&w);
}

static void test_spaces(void)
{
	struct ear a;
	struct world w;

	world_open(&w);
	CHECK_EQ(slot_new(&w, 0, 5, 0, 8, 0, 0), 0);
	CHECK_EQ(slot_new(&w, 1, 5, 0, 8, 8, 0), 0);
	CHECK_EQ(ear_open(&w, &a, 'A', PAGETRACK_STAY), 0);
	CHECK_EQ(pagetrack_add(a.node, 1, 3, 1, &w.err), 0);
	CHECK(!pagetrack_tracks(a.node, 0, 3));
	CHECK(pagetrack_tracks(a.node, 1, 3));
	CHECK_EQ(poke(&w, 0, 3, 1), 0);
	CHECK_HEARD(&w, "");
	CHECK_EQ(poke(&w, 1, 3, 1), 0);
	CHECK_HEARD(&w, "Aw ");
	CHECK_EQ(a.last.space, 1);
	CHECK_EQ(pagetrack_add(a.node, 0, 3, 1, &w.err), 0);
	CHECK_EQ(pagetrack_remove(a.node, 1, 3, 1, &w.err), 0);
	CHECK_EQ(poke(&w, 0, 3, 1), 0);
	CHECK_HEARD(&w, "Aw ");
	CHECK_EQ(a.last.space, 0);
	CHECK(books_agree(&w));
	ear_close(&a);
	world_close(&w);
}

/* ---- what a CPU sees ---------------------------------------------------- */

static void look(struct world *w, gfn_t gfn, bool *writable, bool *large)
{
	const struct memslot *s;

	memslot_enter(&w->r);
	s = memslot_lookup(&w->r, 0, gfn);
	*writable = memslot_page_writable(s, gfn);
	*large = memslot_large_ok(s, gfn);
	memslot_leave(&w->r);
}

static void test_cpu_side(void)
{
	bool writable, large;
	struct ear a, b;
	struct world w;

	world_open(&w);
	CHECK_EQ(slot_new(&w, 0, 0, 512, 512, 0, 0), 0);
	CHECK_EQ(ear_open(&w, &a, 'A', PAGETRACK_STAY), 0);
	CHECK_EQ(ear_open(&w, &b, 'B', PAGETRACK_STAY), 0);
	look(&w, 600, &writable, &large);
	CHECK(writable && large);
	CHECK_EQ(pagetrack_add(a.node, 0, 600, 4, &w.err), 0);
	/* Permission is withdrawn after the page was counted, and once. */
	CHECK_EQ(w.backend.protects, 1);
	CHECK_EQ(w.backend.protect_gfn, 600);
	CHECK_EQ(w.backend.protect_pages, 4);
	CHECK(w.backend.protect_tracked);
	look(&w, 600, &writable, &large);
	CHECK(!writable && !large);
	look(&w, 604, &writable, &large);
	CHECK(writable && !large); /* same 2 MiB */
	CHECK_EQ(pagetrack_add(b.node, 0, 601, 1, &w.err), 0);
	CHECK_EQ(pagetrack_remove(a.node, 0, 600, 4, &w.err), 0);
	look(&w, 600, &writable, &large);
	CHECK(writable && !large);
	look(&w, 601, &writable, &large);
	CHECK(!writable && !large);
	CHECK_EQ(pagetrack_remove(b.node, 0, 601, 1, &w.err), 0);
	look(&w, 601, &writable, &large);
	CHECK(writable && large);
	ear_close(&a);
	ear_close(&b);
	world_close(&w);
}

int main(void)
{
	test_register_refusals();
	test_node_limit();
	test_unregister_frees_pages();
	test_create_refusals();
	test_counted();
	test_count_limit();
	test_bad_ranges();
	test_no_slot();
	test_remove_refusals();
	test_injected();
	test_real_exhaustion();
	test_many_pages();
	test_spaces();
	test_cpu_side();
	return TEST_END("track");
}
