/* SPDX-License-Identifier: MIT */
/*
 * test_track_policies.c - where a protection is after a change
 *
 * stay, follow and refuse over every kind of change; how many pages are
 * said to be gone; and that a change which fails, wherever it fails, and a
 * change which is refused, leave no trace.
 */
#include "tests/unit/test_track.h"

/*
 * S stays, F follows, R refuses. Slot 0 is at pages 8..15, slot 1 at 24..27,
 * both of space 0; slot 2 is at 8..11 of space 1.
 */
struct scene {
	struct world w;
	struct ear s, f, r;
};

static void scene_open(struct scene *x)
{
	struct world *w = &x->w;

	world_open(w);
	CHECK_EQ(slot_new(w, 0, 0, 8, 8, 0, 0), 0);
	CHECK_EQ(slot_new(w, 0, 1, 24, 4, 8, 0), 0);
	CHECK_EQ(slot_new(w, 1, 2, 8, 4, 12, 0), 0);
	CHECK_EQ(ear_open(w, &x->s, 'S', PAGETRACK_STAY), 0);
	CHECK_EQ(ear_open(w, &x->f, 'F', PAGETRACK_FOLLOW), 0);
	CHECK_EQ(ear_open(w, &x->r, 'R', PAGETRACK_REFUSE), 0);
	log_clear(w);
}

static void scene_close(struct scene *x)
{
	CHECK(books_agree(&x->w));
	ear_close(&x->s);
	ear_close(&x->f);
	ear_close(&x->r);
	world_close(&x->w);
}

/* Exactly the pages of this list, ended by END, are tracked in the space. */
static void check_pages(
	struct ear *e, unsigned space, const gfn_t *list, int line)
{
	const gfn_t *next = list;
	int held = 1;

	for (gfn_t g = 0; g < PAGES; g++) {
		bool wanted = *next == g;

		next += wanted;
		held &= pagetrack_tracks(e->node, space, g) == wanted;
	}
	test_check(held, "exactly these pages are tracked", __FILE__, line);
}
#define END (~(gfn_t)0)
#define CHECK_PAGES(e, space, ...) \
	check_pages(e, space, (const gfn_t[]){__VA_ARGS__}, __LINE__)

static void add(struct ear *e, unsigned space, gfn_t gfn, uint64_t pages)
{
	CHECK_EQ(pagetrack_add(e->node, space, gfn, pages, &e->w->err), 0);
}

static const char all_committed[] = "Sp Fp Rp Sf Ff Rf Sk Fk Rk ";

/* ---- moves -------------------------------------------------------------- */

static void test_move_away(void)
{
	struct scene x;

	scene_open(&x);
	add(&x.s, 0, 9, 2);
	add(&x.s, 0, 24, 1);
	add(&x.f, 0, 9, 2);
	add(&x.f, 0, 25, 1);
	CHECK_EQ(slot_move(&x.w, 0, 0, 40), 0);
	CHECK_HEARD(&x.w, all_committed);
	CHECK_PAGES(&x.s, 0, 24, END);
	CHECK_PAGES(&x.f, 0, 25, 41, 42, END);
	CHECK_EQ(x.s.gone, 2);
	CHECK_EQ(x.f.gone, 0);
	CHECK_EQ(x.r.gone, 0);
	CHECK(books_agree(&x.w));
	CHECK_EQ(poke(&x.w, 0, 9, 1), -EFAULT);
	CHECK_EQ(poke(&x.w, 0, 41, 1), 0);
	CHECK_HEARD(&x.w, "Fw ");
	CHECK_EQ(x.f.last.gpa, 41 * PAGE);
	CHECK_EQ(poke(&x.w, 0, 40, 1), 0);
	CHECK_HEARD(&x.w, "");
	/* And back: what is gone does not return, what follows does. */
	CHECK_EQ(slot_move(&x.w, 0, 0, 8), 0);
	CHECK_PAGES(&x.s, 0, 24, END);
	CHECK_PAGES(&x.f, 0, 9, 10, 25, END);
	CHECK_EQ(x.s.gone, 0);
	scene_close(&x);
}

/* Old 8..15, new 10..17: pages 10..15 are there before and after. */
static void test_move_overlapping(void)
{
	struct scene x;

	scene_open(&x);
	add(&x.s, 0, 8, 8);
	add(&x.f, 0, 8, 1);
	add(&x.f, 0, 14, 2);
	log_clear(&x.w);
	CHECK_EQ(slot_move(&x.w, 0, 0, 10), 0);
	CHECK_HEARD(&x.w, all_committed);
	CHECK_PAGES(&x.s, 0, 10, 11, 12, 13, 14, 15, END);
	CHECK_PAGES(&x.f, 0, 10, 16, 17, END);
	CHECK_EQ(x.s.gone, 2);
	CHECK_EQ(x.f.gone, 0);
	CHECK(books_agree(&x.w));
	CHECK_EQ(dev_write(&x.w, 0, 15 * PAGE, x.w.mem + 99 * PAGE, 3 * PAGE),
		0);
	CHECK_HEARD(&x.w, "Sw Fw Fw ");
	/* Downwards, by one page. */
	CHECK_EQ(slot_move(&x.w, 0, 0, 9), 0);
	CHECK_PAGES(&x.s, 0, 10, 11, 12, 13, 14, 15, END);
	CHECK_PAGES(&x.f, 0, 9, 15, 16, END);
	CHECK_EQ(x.s.gone, 0);
	scene_close(&x);
}

/* n adds want n removes, also at the new place. */
static void test_counts_travel(void)
{
	struct scene x;

	scene_open(&x);
	for (int i = 0; i < 3; i++) {
		add(&x.s, 0, 12, 1);
		add(&x.f, 0, 12, 1);
	}
	CHECK_EQ(slot_move(&x.w, 0, 0, 10), 0);
	for (int i = 0; i < 3; i++) {
		CHECK(pagetrack_tracks(x.s.node, 0, 12));
		CHECK(pagetrack_tracks(x.f.node, 0, 14));
		CHECK(page_is_tracked(&x.w, 0, 12));
		CHECK(page_is_tracked(&x.w, 0, 14));
		CHECK_EQ(pagetrack_remove(x.s.node, 0, 12, 1, NULL), 0);
		CHECK_EQ(pagetrack_remove(x.f.node, 0, 14, 1, NULL), 0);
	}
	CHECK(!page_is_tracked(&x.w, 0, 12));
	CHECK(!page_is_tracked(&x.w, 0, 14));
	CHECK_EQ(pagetrack_remove(x.s.node, 0, 12, 1, NULL), -ENOENT);
	CHECK_EQ(pagetrack_remove(x.f.node, 0, 12, 1, NULL), -ENOENT);
	CHECK_EQ(x.s.gone + x.f.gone, 0);
	scene_close(&x);
}

/* `gone` counts pages, not adds, and only those of this transaction. */
static void test_gone_is_pages(void)
{
	struct scene x;

	scene_open(&x);
	add(&x.s, 0, 8, 3);
	add(&x.s, 0, 8, 2);
	add(&x.f, 0, 8, 4);
	CHECK_EQ(memslots_delete_slot(x.w.ms, 0, 0, NULL), 0);
	CHECK_EQ(x.s.gone, 3);
	CHECK_EQ(x.f.gone, 4);
	CHECK_EQ(memslots_delete_slot(x.w.ms, 0, 1, NULL), 0);
	CHECK_EQ(x.s.gone, 0);
	CHECK_EQ(x.f.gone, 0);
	CHECK_EQ(pagetrack_size_pages(x.s.node), 0);
	CHECK_EQ(pagetrack_size_pages(x.f.node), 0);
	/* A slot that comes later starts without protections. */
	CHECK_EQ(slot_new(&x.w, 0, 0, 8, 8, 0, 0), 0);
	CHECK_PAGES(&x.s, 0, END);
	CHECK(!page_is_tracked(&x.w, 0, 8));
	CHECK_EQ(pagetrack_remove(x.s.node, 0, 8, 1, NULL), -ENOENT);
	scene_close(&x);
}

/* ---- delete and create --------------------------------------------------- */

static void test_replace(void)
{
	struct memslot_config c;
	struct memslot_txn *t;
	struct scene x;

	scene_open(&x);
	add(&x.s, 0, 8, 8);
	add(&x.f, 0, 8, 8);
	/* Same id, same place, shorter, other memory. */
	CHECK_EQ(memslot_begin(x.w.ms, &t, NULL), 0);
	memslot_delete(t, 0, 0);
	c = slot_config(&x.w, 0, 0, 10, 4, 32, 0);
	memslot_create(t, &c);
	CHECK_EQ(memslot_commit(t, NULL, &x.w.err), 0);
	CHECK_HEARD(&x.w, all_committed);
	CHECK_PAGES(&x.s, 0, 10, 11, 12, 13, END);
	CHECK_PAGES(&x.f, 0, END);
	CHECK_EQ(x.s.gone, 4);
	CHECK_EQ(x.f.gone, 8);
	CHECK_EQ(poke(&x.w, 0, 11, 5), 0);
	CHECK_EQ(x.w.mem[33 * PAGE], 5);
	CHECK_HEARD(&x.w, "Sw ");
	CHECK(books_agree(&x.w));
	/* Another id over the same place. */
	CHECK_EQ(memslot_begin(x.w.ms, &t, NULL), 0);
	c = slot_config(&x.w, 0, 7, 12, 8, 40, 0);
	memslot_create(t, &c);
	memslot_delete(t, 0, 0);
	CHECK_EQ(memslot_commit(t, NULL, &x.w.err), 0);
	CHECK_PAGES(&x.s, 0, 12, 13, END);
	CHECK_EQ(x.s.gone, 2);
	scene_close(&x);
}

/* "Moved" to another space: its memory goes, its page number too. */
static void test_other_space(void)
{
	struct memslot_config c;
	struct memslot_txn *t;
	struct scene x;

	scene_open(&x);
	add(&x.s, 0, 24, 4);
	add(&x.f, 0, 24, 4);
	add(&x.s, 1, 8, 4);
	CHECK_EQ(memslot_begin(x.w.ms, &t, NULL), 0);
	memslot_delete(t, 0, 1);
	c = slot_config(&x.w, 1, 1, 24, 4, 8, 0);
	memslot_create(t, &c);
	CHECK_EQ(memslot_commit(t, NULL, &x.w.err), 0);
	CHECK_PAGES(&x.s, 0, END);
	CHECK_PAGES(&x.f, 0, END);
	CHECK_PAGES(&x.s, 1, 8, 9, 10, 11, END);
	CHECK_PAGES(&x.f, 1, END);
	CHECK_EQ(x.s.gone, 4);
	CHECK_EQ(x.f.gone, 4);
	/* A move in space 1 does not touch the same numbers of space 0. */
	add(&x.s, 0, 8, 2);
	add(&x.f, 0, 8, 2);
	add(&x.f, 1, 8, 2);
	CHECK_EQ(slot_move(&x.w, 1, 2, 10), 0);
	CHECK_PAGES(&x.s, 0, 8, 9, END);
	CHECK_PAGES(&x.f, 0, 8, 9, END);
	CHECK_PAGES(&x.s, 1, 10, 11, END);
	CHECK_PAGES(&x.f, 1, 10, 11, END);
	CHECK_EQ(x.s.gone, 2);
	scene_close(&x);
}

static void test_swap(void)
{
	struct memslot_txn *t;
	struct scene x;

	scene_open(&x);
	add(&x.s, 0, 8, 8);  /* all of slot 0: 8..15 */
	add(&x.s, 0, 25, 1); /* of slot 1: 24..27 */
	add(&x.f, 0, 8, 1);
	add(&x.f, 0, 24, 4);
	/* Slot 0 to 24..31, slot 1 to 8..11. */
	CHECK_EQ(memslot_begin(x.w.ms, &t, NULL), 0);
	memslot_move(t, 0, 0, 24 * PAGE, MEMSLOT_MOVE_KEEP);
	memslot_move(t, 0, 1, 8 * PAGE, MEMSLOT_MOVE_KEEP);
	CHECK_EQ(memslot_commit(t, NULL, &x.w.err), 0);
	CHECK_HEARD(&x.w, all_committed);
	CHECK_PAGES(&x.s, 0, 8, 9, 10, 11, 25, END);
	CHECK_PAGES(&x.f, 0, 8, 9, 10, 11, 24, END);
	CHECK_EQ(x.s.gone, 4);
	CHECK_EQ(x.f.gone, 0);
	CHECK(books_agree(&x.w));
	CHECK_EQ(poke(&x.w, 0, 24, 1), 0);
	CHECK_HEARD(&x.w, "Fw ");
	CHECK_EQ(poke(&x.w, 0, 25, 1), 0);
	CHECK_HEARD(&x.w, "Sw ");
	CHECK_EQ(poke(&x.w, 0, 8, 1), 0);
	CHECK_HEARD(&x.w, "Sw Fw ");
	scene_close(&x);
}

/* ---- changes that are none to a tracker ---------------------------------- */

static void test_flags(void)
{
	struct scene x;

	scene_open(&x);
	add(&x.s, 0, 8, 2);
	add(&x.f, 0, 9, 2);
	add(&x.r, 0, 10, 2);
	CHECK_EQ(memslots_set_slot_flags(
			 x.w.ms, 0, 0, MEMSLOT_LOG_DIRTY, &x.w.err),
		0);
	CHECK_HEARD(&x.w, all_committed);
	CHECK_PAGES(&x.s, 0, 8, 9, END);
	CHECK_PAGES(&x.f, 0, 9, 10, END);
	CHECK_PAGES(&x.r, 0, 10, 11, END);
	CHECK_EQ(x.s.gone + x.f.gone + x.r.gone, 0);
	CHECK(books_agree(&x.w));
	CHECK_EQ(poke(&x.w, 0, 9, 1), 0);
	CHECK_EQ(poke(&x.w, 0, 10, 1), 0);
	CHECK_HEARD(&x.w, "Sw Fw Fw Rw ");
	/* Pages taken away after it are taken from the same counts. */
	CHECK_EQ(pagetrack_remove(x.r.node, 0, 10, 2, NULL), 0);
	CHECK_EQ(pagetrack_remove(x.f.node, 0, 9, 2, NULL), 0);
	CHECK_EQ(memslots_set_slot_flags(x.w.ms, 0, 0, 0, &x.w.err), 0);
	CHECK(books_agree(&x.w));
	/* The end state is the old one: nothing has happened at all. */
	log_clear(&x.w);
	CHECK_EQ(slot_move(&x.w, 0, 0, 8), 0);
	CHECK_HEARD(&x.w, "");
	scene_close(&x);
}

/* There and back in one transaction is no move: nobody can refuse it. */
static void test_net_nothing(void)
{
	struct picture before, after;
	struct memslot_txn *t;
	struct scene x;

	scene_open(&x);
	add(&x.r, 0, 8, 8);
	picture_take(&x.w, &before);
	CHECK_EQ(memslot_begin(x.w.ms, &t, NULL), 0);
	memslot_move(t, 0, 0, 40 * PAGE, MEMSLOT_MOVE_KEEP);
	memslot_move(t, 0, 0, 8 * PAGE, MEMSLOT_MOVE_KEEP);
	CHECK_EQ(memslot_commit(t, NULL, &x.w.err), 0);
	picture_take(&x.w, &after);
	CHECK(picture_same(&before, &after));
	CHECK_HEARD(&x.w, "");
	scene_close(&x);
}

/* Where large pages are forbidden goes with the count. */
static bool large_ok(struct world *w, gfn_t gfn)
{
	bool ok;

	memslot_enter(&w->r);
	ok = memslot_large_ok(memslot_lookup(&w->r, 0, gfn), gfn);
	memslot_leave(&w->r);
	return ok;
}

static void test_large_pages(void)
{
	struct world w;
	struct ear f;

	world_open(&w);
	CHECK_EQ(slot_new(&w, 0, 0, 0, 1024, 0, 0), 0);
	CHECK_EQ(ear_open(&w, &f, 'F', PAGETRACK_FOLLOW), 0);
	CHECK_EQ(pagetrack_add(f.node, 0, 600, 2, NULL), 0);
	CHECK(large_ok(&w, 0) && !large_ok(&w, 600));
	CHECK_EQ(slot_move(&w, 0, 0, 2048), 0);
	CHECK(large_ok(&w, 2048) && !large_ok(&w, 2048 + 600));
	CHECK_EQ(pagetrack_remove(f.node, 0, 2648, 2, NULL), 0);
	CHECK(large_ok(&w, 2048) && large_ok(&w, 2048 + 600));
	ear_close(&f);
	world_close(&w);
}

/* ---- refusals ----------------------------------------------------------- */

static int window_seen;

/* Is any slot invalid? Told by the backend in every phase. */
static void watch_window(
	struct world *w, char what, const struct memslot_txn *t)
{
	(void)t;
	if (what == 'p' || what == 'c')
		for (gfn_t g = 0; g < PAGES; g++) {
			const struct memslot *s;

			memslot_enter(&w->r);
			s = memslot_lookup(&w->r, 0, g);
			window_seen |= s && memslot_is_invalid(s);
			memslot_leave(&w->r);
		}
}

static int commit_kind(struct scene *x, unsigned kind)
{
	struct memslot_config c = slot_config(&x->w, 0, 0, 8, 8, 32, 0);
	struct memslot_result result;
	struct memslot_txn *t;
	int r;

	CHECK_EQ(memslot_begin(x->w.ms, &t, NULL), 0);
	switch (kind) {
	case 0: /* move away */
		memslot_move(t, 0, 0, 40 * PAGE, MEMSLOT_MOVE_MARK_ALL);
		break;
	case 1: /* overlapping: the page of R would still be there */
		memslot_move(t, 0, 0, 9 * PAGE, MEMSLOT_MOVE_KEEP);
		break;
	case 2:
		memslot_delete(t, 0, 0);
		break;
	case 3:
		memslot_delete(t, 0, 0);
		memslot_create(t, &c);
		break;
	case 4: /* with another operation before it */
		memslot_move(t, 0, 1, 50 * PAGE, MEMSLOT_MOVE_KEEP);
		memslot_move(t, 0, 0, 40 * PAGE, MEMSLOT_MOVE_KEEP);
		break;
	default: /* swap */
		memslot_move(t, 0, 0, 24 * PAGE, MEMSLOT_MOVE_KEEP);
		memslot_move(t, 0, 1, 8 * PAGE, MEMSLOT_MOVE_KEEP);
	}
	r = memslot_commit(t, &result, &x->w.err);
	CHECK_EQ(result.generation, memslots_generation(x->w.ms));
	if (r)
		CHECK_EQ(result.changes, 0);
	if (r == -EBUSY)
		CHECK_EQ(result.pause_ns, 0);
	return r;
}
#define KINDS 6u

static void test_refuse(void)
{
	static struct picture before, after;
	struct scene x;

	for (unsigned kind = 0; kind < KINDS; kind++) {
		scene_open(&x);
		add(&x.s, 0, 8, 4);
		add(&x.f, 0, 9, 4);
		add(&x.f, 0, 24, 1);
		add(&x.r, 0, 10, 1);
		x.w.backend.act = watch_window;
		x.w.backend.flushed = x.w.backend.committed = 0;
		window_seen = 0;
		picture_take(&x.w, &before);
		memset(&x.w.err, 0, sizeof(x.w.err));
		CHECK_EQ(commit_kind(&x, kind), -EBUSY);
		CHECK_EQ(x.w.err.code, -EBUSY);
		CHECK_TEXT(x.w.err.text, "slot 0 of space 0 must stay");
		CHECK_TEXT(x.w.err.text, "\"ear\"");
		CHECK_TEXT(x.w.err.text, "page 0xa");
		CHECK_HEARD(&x.w, "");
		CHECK_EQ(x.w.backend.flushed, 0);
		CHECK_EQ(x.w.backend.committed, 0);
		CHECK_EQ(x.w.backend.aborted, 0);
		CHECK_EQ(window_seen, 0);
		picture_take(&x.w, &after);
		CHECK(picture_same(&before, &after));
		CHECK_EQ(poke(&x.w, 0, 10, 1), 0);
		CHECK_HEARD(&x.w, "Sw Fw Rw ");
		/* Other slots move while this one must not. */
		CHECK_EQ(slot_move(&x.w, 0, 1, 30), 0);
		CHECK_EQ(slot_move(&x.w, 1, 2, 12), 0);
		CHECK_EQ(slot_move(&x.w, 0, 1, 24), 0);
		log_clear(&x.w);
		/* R lets go: now it is possible. */
		CHECK_EQ(pagetrack_remove(x.r.node, 0, 10, 1, NULL), 0);
		CHECK_EQ(commit_kind(&x, kind), 0);
		CHECK_HEARD(&x.w, all_committed);
		scene_close(&x);
	}
}

/* Pages of other slots, spaces and nodes are no reason to refuse. */
static void test_refuse_only_own(void)
{
	struct scene x;

	scene_open(&x);
	add(&x.r, 0, 24, 1);
	add(&x.r, 1, 8, 1);
	add(&x.s, 0, 8, 1);
	CHECK_EQ(slot_move(&x.w, 0, 0, 40), 0);
	CHECK_EQ(slot_move(&x.w, 0, 1, 8), -EBUSY);
	CHECK_EQ(memslots_delete_slot(x.w.ms, 1, 2, &x.w.err), -EBUSY);
	CHECK_TEXT(x.w.err.text, "slot 2 of space 1");
	CHECK_EQ(memslots_delete_slot(x.w.ms, 0, 0, &x.w.err), 0);
	ear_close(&x.r);
	CHECK_EQ(slot_move(&x.w, 0, 1, 8), 0);
	CHECK_EQ(ear_open(&x.w, &x.r, 'R', PAGETRACK_REFUSE), 0);
	scene_close(&x);
}

/* ---- failures ------------------------------------------------------------ */

/* Nobody heard of a change that did not come, or heard of its end as well. */
static void check_log_of_failure(struct scene *x, bool before_swap)
{
	struct ear *ears[] = {&x->s, &x->f, &x->r};

	for (unsigned i = 0; i < 3; i++) {
		CHECK_EQ(ears[i]->commits, 0);
		CHECK_EQ(ears[i]->prepares, ears[i]->cancels);
		CHECK_EQ(ears[i]->flushes, ears[i]->aborts);
		if (before_swap)
			CHECK_EQ(ears[i]->flushes, 0);
		CHECK(ears[i]->flushes <= ears[i]->prepares);
		ears[i]->prepares = ears[i]->cancels = 0;
		ears[i]->flushes = ears[i]->aborts = 0;
	}
}

static void check_undisturbed(
	struct scene *x, const struct picture *before, int r)
{
	static struct picture after;

	CHECK(r < 0);
	picture_take(&x->w, &after);
	CHECK(picture_same(before, &after));
	CHECK(books_agree(&x->w));
	check_log_of_failure(
		x, atomic_load(&x->w.plan.last) != FAULT_APPLY_PARTICIPANT);
	log_clear(&x->w);
	CHECK_EQ(poke(&x->w, 0, 9, 1), 0);
	CHECK_HEARD(&x->w, "Sw Fw ");
	CHECK_EQ(poke(&x->w, 0, 24, 1), 0);
	CHECK_HEARD(&x->w, "Sw Rw ");
}

/* Fail at the 1st, 2nd, 3rd ... point until the change passes. */
static unsigned walk(unsigned kind, bool persistent)
{
	static struct picture before;
	struct memslot_txn *t;
	struct scene x;
	unsigned n = 1;
	int r;

	scene_open(&x);
	CHECK_EQ(memslots_set_slot_flags(x.w.ms, 0, 0, MEMSLOT_LOG_DIRTY, NULL),
		0);
	CHECK_EQ(slot_new(&x.w, 0, 5, 44, 2, 60, 0), 0);
	add(&x.s, 0, 8, 4);
	add(&x.f, 0, 9, 4);
	add(&x.s, 0, 24, 1);
	add(&x.r, 0, 24, 1);
	x.s.commits = x.f.commits = x.r.commits = 0;
	x.s.prepares = x.f.prepares = x.r.prepares = 0;
	x.s.flushes = x.f.flushes = x.r.flushes = 0;
	CHECK_EQ(poke(&x.w, 0, 9, 1), 0); /* dirty, and so it stays */
	CHECK_EQ(poke(&x.w, 0, 24, 1), 0);
	for (;; n++) {
		struct memslot_config c = slot_config(&x.w, 0, 0, 8, 8, 32, 0);

		picture_take(&x.w, &before);
		log_clear(&x.w);
		fault_arm(&x.w.plan, FAULT_ANY, n, persistent);
		memset(&x.w.err, 0, sizeof(x.w.err));
		r = memslot_begin(x.w.ms, &t, &x.w.err);
		if (!r) {
			if (kind == 0)
				memslot_move(t, 0, 0, 10 * PAGE,
					MEMSLOT_MOVE_MARK_ALL);
			if (kind >= 1)
				memslot_delete(t, 0, 0);
			if (kind == 2)
				memslot_create(t, &c);
			memslot_delete(t, 0, 5);
			r = memslot_commit(t, NULL, &x.w.err);
		}
		if (!atomic_load(&x.w.plan.fired))
			break;
		x.w.plan.nth = 0; /* off; `last` is still to be read */
		CHECK(x.w.err.text[0] && x.w.err.code == r);
		check_undisturbed(&x, &before, r);
	}
	CHECK_EQ(r, 0);
	CHECK_HEARD(&x.w, all_committed);
	CHECK(books_agree(&x.w));
	if (kind == 0) {
		CHECK_PAGES(&x.s, 0, 10, 11, 24, END);
		CHECK_PAGES(&x.f, 0, 11, 12, 13, 14, END);
	} else {
		CHECK_PAGES(&x.f, 0, END);
	}
	faults_off(&x.w);
	scene_close(&x);
	return n - 1;
}

static void test_injected(void)
{
	for (unsigned kind = 0; kind < 3; kind++)
		for (int persistent = 0; persistent < 2; persistent++) {
			unsigned points = walk(kind, persistent);

			CHECK(points >= 8);
		}
}

/* The backend behind the tracker refuses, before and after the swap. */
static void test_backend_refuses(void)
{
	static struct picture before, after;
	struct scene x;

	for (unsigned kind = 0; kind < KINDS; kind++) {
		scene_open(&x);
		add(&x.s, 0, 8, 4);
		add(&x.f, 0, 9, 4);
		picture_take(&x.w, &before);
		x.w.backend.refuse_prepare = -ENODEV;
		CHECK_EQ(commit_kind(&x, kind), -ENODEV);
		CHECK_TEXT(x.w.err.text, "backend refused prepare");
		CHECK_HEARD(&x.w, "Sp Fp Rp Rc Fc Sc ");
		picture_take(&x.w, &after);
		CHECK(picture_same(&before, &after));
		x.w.backend.refuse_prepare = 0;
		x.w.backend.refuse_apply = -ENXIO;
		CHECK_EQ(commit_kind(&x, kind), -ENXIO);
		CHECK_TEXT(x.w.err.text, "backend refused apply");
		CHECK_HEARD(&x.w, "Sp Fp Rp Sf Ff Rf Rc Fc Sc Sa Fa Ra ");
		picture_take(&x.w, &after);
		CHECK(picture_same(&before, &after));
		CHECK(books_agree(&x.w));
		x.w.backend.refuse_apply = 0;
		CHECK_EQ(poke(&x.w, 0, 10, 1), 0);
		CHECK_HEARD(&x.w, "Sw Fw ");
		/* And again, untouched. */
		CHECK_EQ(commit_kind(&x, kind), 0);
		CHECK_HEARD(&x.w, all_committed);
		scene_close(&x);
	}
}

/* A node says no: those asked before it are told, last first. */
static void test_node_refuses(void)
{
	static struct picture before, after;
	struct scene x;

	scene_open(&x);
	add(&x.s, 0, 8, 4);
	add(&x.f, 0, 9, 4);
	picture_take(&x.w, &before);
	x.f.refuse = -EXDEV;
	CHECK_EQ(slot_move(&x.w, 0, 0, 10), -EXDEV);
	CHECK_TEXT(x.w.err.text, "ear F says no");
	CHECK_HEARD(&x.w, "Sp Fp Sc ");
	CHECK_EQ(x.w.backend.flushed, 0);
	x.f.refuse = 0;
	x.r.refuse = -EXDEV;
	CHECK_EQ(slot_move(&x.w, 0, 0, 10), -EXDEV);
	CHECK_HEARD(&x.w, "Sp Fp Rp Fc Sc ");
	x.s.refuse = -EAGAIN;
	CHECK_EQ(slot_move(&x.w, 0, 0, 10), -EAGAIN);
	CHECK_HEARD(&x.w, "Sp ");
	picture_take(&x.w, &after);
	CHECK(picture_same(&before, &after));
	x.r.refuse = x.s.refuse = 0;
	/* Validation fails: not even asked. */
	CHECK_EQ(slot_move(&x.w, 0, 0, 22), -EEXIST);
	CHECK_EQ(slot_move(&x.w, 0, 9, 22), -ENOENT);
	CHECK_HEARD(&x.w, "");
	CHECK_EQ(slot_move(&x.w, 0, 0, 10), 0);
	CHECK_HEARD(&x.w, all_committed);
	scene_close(&x);
}

/* Only new slots: nothing becomes invalid, so there is nothing to flush. */
static void test_create_only(void)
{
	struct scene x;

	scene_open(&x);
	CHECK_EQ(slot_new(&x.w, 0, 9, 50, 2, 50, 0), 0);
	CHECK_HEARD(&x.w, "Sp Fp Rp Sk Fk Rk ");
	x.w.backend.refuse_apply = -EPERM;
	CHECK_EQ(slot_new(&x.w, 0, 10, 54, 2, 54, 0), -EPERM);
	CHECK_HEARD(&x.w, "Sp Fp Rp Rc Fc Sc ");
	CHECK_EQ(pagetrack_add(x.s.node, 0, 54, 1, NULL), -ENOENT);
	scene_close(&x);
}

int main(void)
{
	test_move_away();
	test_move_overlapping();
	test_counts_travel();
	test_gone_is_pages();
	test_replace();
	test_other_space();
	test_swap();
	test_flags();
	test_net_nothing();
	test_large_pages();
	test_refuse();
	test_refuse_only_own();
	test_injected();
	test_backend_refuses();
	test_node_refuses();
	test_create_only();
	return TEST_END("track_policies");
}
