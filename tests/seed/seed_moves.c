/* SPDX-License-Identifier: MIT */
/*
 * seed_moves.c - claims of the mail thread about moving slots under vCPUs
 */
#include "tests/seed/guest.h"

#define AWAY     0xa0000000ull
#define CROOKED  0xb0001000ull /* no multiple of 2 MiB */
#define LAST     (GUEST_SIZE - 0x1000)
#define ONE_PAGE 512u /* words of 8 bytes */

static struct guest g;
static struct guest_ear ears[GUEST_HARTS];

/* Hart 0 in the first page of the slot, hart 1 in the last. */
static const struct guest_work ends[GUEST_HARTS] = {
	{GUEST_AT, CROOKED, ONE_PAGE, 3, true},
	{GUEST_AT + LAST, CROOKED + LAST, ONE_PAGE, 3, true},
};

/* Which of the slot's pages may be part of a large one? */
static uint64_t large_pages(void)
{
	struct memslot_reader r;
	const struct memslot *s;
	uint64_t n = 0;

	memslot_reader_init(&r, g.m.slots, NULL, NULL);
	memslot_enter(&r);
	s = memslot_by_id(&r, 0, GUEST_SLOT);
	for (uint64_t i = 0; s && i < s->size_pages; i++)
		n += memslot_large_ok(s, s->base_gfn + i);
	memslot_leave(&r);
	memslot_reader_fini(&r);
	return n;
}

static void there_and_back(struct guest *guest)
{
	for (unsigned i = 0; i < 40; i++) {
		CHECK_EQ(large_pages(), 512); /* the frame between the ends */
		guest_move(guest, CROOKED, MEMSLOT_MOVE_KEEP, i % 8 == 0);
		CHECK_EQ(large_pages(), 0);
		guest_progress(guest, 20);
		guest_move(guest, GUEST_AT, MEMSLOT_MOVE_KEEP, i % 8 == 4);
		guest_progress(guest, 20);
	}
}

static void listen_at_ends(enum pagetrack_policy policy)
{
	guest_listen(&g, &ears[0], 0, policy, GUEST_AT, 1);
	guest_listen(&g, &ears[1], 1, policy, GUEST_AT + LAST, 1);
}

static void ends_are_right(void)
{
	for (unsigned k = 0; k < GUEST_HARTS; k++) {
		guest_heard_all(&g, &ears[k]);
		CHECK(guest_words_right(&g, k, &ends[k], k ? LAST : 0));
	}
}

/*
 * Claims 13 and 14. Christopherson: nobody moves slots, and it was broken for
 * years: until 2020 a move from an aligned to an unaligned base overran the
 * per-page arrays. Shown: three aligned frames become four crooked ones and
 * back, forty times, with the first and the last page tracked and written by
 * two harts; a memory sanitizer finds nothing, and no store is lost.
 */
static void aligned_to_unaligned(void)
{
	guest_open(&g, GUEST_HARTS, 0);
	listen_at_ends(PAGETRACK_FOLLOW);
	guest_run(&g, ends, there_and_back);
	CHECK(guest_get(&g, BOX_TRAPS, 0) > 0); /* it did move */
	ends_are_right();
	guest_close(&g);
}

static unsigned failures;

static void all_failures(struct guest *guest)
{
	for (unsigned i = 0; i < 6; i++)
		failures += guest_move(guest, i & 1 ? GUEST_AT : CROOKED,
			MEMSLOT_MOVE_MARK_ALL, true);
}

/*
 * Claim 21. Christopherson: moving the invalidation may be wrong for some
 * architecture. Shown, for this backend (and by the same code for the next):
 * with prepare before invalidation a move fails at each of its steps, those
 * of the backend included, while two harts write; not a store is lost,
 * unseen, or seen twice, and the next attempt works.
 */
static void order_suits_backend(void)
{
	failures = 0;
	guest_open(&g, GUEST_HARTS, MEMSLOT_LOG_DIRTY);
	listen_at_ends(PAGETRACK_FOLLOW);
	guest_run(&g, ends, all_failures);
	CHECK(failures >= 6 * 15);
	ends_are_right();
	guest_close(&g);
}

/* The page under test is in the slot before, during and after each move. */
#define OVERLAP (GUEST_AT + 0x40000)

static void up_and_down(struct guest *guest)
{
	for (unsigned i = 0; i < 60; i++) {
		guest_move(guest, GUEST_AT + (i % 3 + 1) * 0x1000ull,
			MEMSLOT_MOVE_KEEP, i % 6 == 0);
		guest_move(guest, GUEST_AT, MEMSLOT_MOVE_MARK_ALL, i % 6 == 3);
	}
}

/*
 * Claim 11. Christopherson: with an overlapping MOVE a tracker would want to
 * keep the protection of the overlap; not worth supporting. Shown: a hart
 * stores to a page that is in the slot before and after, and each of its
 * numbers is heard, one by one, whichever policy the tracker has: with "stay"
 * for that page, with "follow" for all pages of the slot.
 */
static void overlapping_move(void)
{
	static const struct guest_work work[] = {
		{OVERLAP, OVERLAP, ONE_PAGE, 3, false}};

	for (unsigned follow = 0; follow < 2; follow++) {
		guest_open(&g, 1, 0);
		if (follow)
			guest_listen(&g, &ears[0], 0, PAGETRACK_FOLLOW,
				GUEST_AT, GUEST_PAGES);
		else
			guest_listen(
				&g, &ears[0], 0, PAGETRACK_STAY, OVERLAP, 1);
		guest_run(&g, work, up_and_down);
		CHECK_EQ(guest_get(&g, BOX_TRAPS, 0), 0);
		guest_heard_all(&g, &ears[0]);
		guest_close(&g);
	}
}

/*
 * Claims 8 and 15. Zhao: KVM's own flush callback drops write protection as
 * well, and survives; Christopherson: because all shadows are rebuilt. Shown:
 * after a failed move and after one that succeeded the CPU has dropped its
 * translations and made them again, and a node that keeps a copy of the page
 * by what it hears, built once and never again, has the page byte for byte;
 * it heard as many writes as a second node, which builds its copy anew after
 * each transaction.
 */
static struct shadow {
	struct pagetrack_node *node;
	struct memslot_reader r;
	uint64_t writes, builds;
	gpa_t at;
	bool rebuilds;
	uint8_t page[4096];
} shadows[2];

static void shadow_build(struct shadow *s)
{
	s->builds++;
	CHECK_EQ(pagetrack_guest_read(&s->r, 0, s->at, s->page, 4096), 0);
}

static void shadow_write(void *ctx, const struct pagetrack_write *w)
{
	struct shadow *s = ctx;

	s->writes++;
	memcpy(s->page + (w->gpa & 4095), w->bytes, w->len);
}

/* The page follows its memory: where is it now? */
static void shadow_end(struct shadow *s)
{
	s->at = pagetrack_tracks(s->node, 0, AWAY >> 12) ? AWAY : GUEST_AT;
	if (s->rebuilds)
		shadow_build(s);
}

static void shadow_committed(
	void *ctx, const struct memslot_txn *t, uint64_t gone)
{
	(void)t;
	CHECK_EQ(gone, 0);
	shadow_end(ctx);
}

static void shadow_aborted(void *ctx, const struct memslot_txn *t)
{
	(void)t;
	shadow_end(ctx);
}

static const struct pagetrack_ops shadow_ops = {
	.name = "shadow",
	.committed = shadow_committed,
	.aborted = shadow_aborted,
	.write = shadow_write,
};

static void fail_and_move(struct guest *guest)
{
	struct soft_stats before, after;

	for (unsigned i = 0; i < 20; i++) {
		soft_stats(guest->m.soft, &before);
		fault_arm(&guest->plan, FAULT_APPLY_PARTICIPANT, 1, false);
		if (i & 1)
			fault_arm(&guest->plan, FAULT_ANY, 0, false);
		CHECK_EQ(memslots_move_slot(guest->m.slots, 0, GUEST_SLOT,
				 i & 2 ? GUEST_AT : AWAY, MEMSLOT_MOVE_KEEP,
				 NULL),
			i & 1 ? 0 : -ENOMEM);
		guest_progress(guest, 50);
		soft_stats(guest->m.soft, &after);
		CHECK(after.flushes > before.flushes);
		CHECK(after.refills > before.refills);
	}
}

static void shadows_are_rebuilt(void)
{
	/* hart 1 writes a page nobody tracks, through its translations */
	static const struct guest_work work[GUEST_HARTS] = {
		{GUEST_AT, AWAY, ONE_PAGE, 3, true},
		{GUEST_AT + LAST, AWAY + LAST, ONE_PAGE, 3, true},
	};

	memset(shadows, 0, sizeof(shadows));
	guest_open(&g, GUEST_HARTS, 0);
	for (unsigned i = 0; i < 2; i++) {
		struct shadow *s = &shadows[i];

		s->at = GUEST_AT;
		s->rebuilds = i;
		memslot_reader_init(&s->r, g.m.slots, NULL, NULL);
		CHECK_EQ(pagetrack_register(g.m.track, &shadow_ops, s,
				 PAGETRACK_FOLLOW, &s->node, NULL),
			0);
		/* protected first, read afterwards */
		CHECK_EQ(pagetrack_add(s->node, 0, GUEST_AT >> 12, 1, NULL), 0);
		shadow_build(s);
	}
	guest_run(&g, work, fail_and_move);
	/* each of the ten moves was met once, and no failure was */
	for (unsigned k = 0; k < GUEST_HARTS; k++) {
		CHECK_EQ(guest_get(&g, BOX_TRAPS, k), 10);
		CHECK(guest_words_right(&g, k, &work[k], k ? LAST : 0));
	}
	for (unsigned i = 0; i < 2; i++) {
		struct shadow *s = &shadows[i];

		CHECK_EQ(s->writes, guest_get(&g, BOX_STORES, 0));
		CHECK(!memcmp(s->page, g.mem, 4096));
		CHECK_EQ(s->builds, i ? 21 : 1);
		CHECK_EQ(pagetrack_size_pages(s->node), 1);
		pagetrack_unregister(s->node);
		memslot_reader_fini(&s->r);
	}
	guest_close(&g);
}

/* ---- claim 7: populating ------------------------------------------------ */

/* A backend that populates, and one thread that asks it to in the window. */
static struct populator {
	struct memslot_participant p;
	struct memslot_reader r;
	unsigned asked;
	gfn_t gfn; /* where it was asked to, the last time */
	uint64_t pages;
	int refuse, in_window; /* what apply returns; what populate said */
	_Atomic(bool) stop;
	_Atomic(unsigned) done, again, gone;
} pop;

static void pop_populate(void *ctx, unsigned space, gfn_t gfn, uint64_t pages)
{
	struct populator *p = ctx;
	const struct memslot *s;

	p->asked++;
	p->gfn = gfn;
	p->pages = pages;
	/* the transaction has ended: memory is there, and valid */
	memslot_enter(&p->r);
	s = memslot_lookup(&p->r, space, gfn);
	CHECK(s && !memslot_is_invalid(s) &&
		memslot_contains(s, gfn + pages - 1));
	memslot_leave(&p->r);
}

static void *populate_once(void *arg)
{
	struct populator *p = arg;

	p->in_window = memslots_populate(
		p->r.ms, 0, (GUEST_AT + 0x2000) >> 12, 3, NULL);
	return NULL;
}

/* The transaction waits for the one who asks for populated pages. */
static int pop_apply(
	void *ctx, const struct memslot_txn *t, struct memslot_error *err)
{
	struct populator *p = ctx;
	pthread_t thread;

	(void)t;
	if (CHECK(!pthread_create(&thread, NULL, populate_once, p)))
		pthread_join(thread, NULL);
	err->code = p->refuse;
	return p->refuse;
}

static const struct memslot_participant_ops pop_ops = {
	.name = "populator", .apply = pop_apply, .populate = pop_populate};

static void *populate_for_ever(void *arg)
{
	struct populator *p = arg;

	while (!atomic_load(&p->stop)) {
		int r = memslots_populate(
			p->r.ms, 0, GUEST_AT >> 12, GUEST_PAGES, NULL);

		CHECK(!r || r == -EAGAIN || r == -ENOENT);
		atomic_fetch_add(r == -EAGAIN ? &p->again
				 : r          ? &p->gone
					      : &p->done,
			1);
		usleep(10);
	}
	return NULL;
}

static void move_and_populate(struct guest *guest)
{
	pthread_t thread;

	if (!CHECK(!pthread_create(&thread, NULL, populate_for_ever, &pop)))
		return;
	for (unsigned i = 0; i < 60 || atomic_load(&pop.done) < 10; i++) {
		guest_move(guest, i & 1 ? GUEST_AT : CROOKED, MEMSLOT_MOVE_KEEP,
			i % 8 == 3);
		guest_progress(guest, 20);
	}
	guest_move(guest, GUEST_AT, MEMSLOT_MOVE_KEEP, false);
	atomic_store(&pop.stop, true);
	pthread_join(thread, NULL);
}

/* Is it populated again where the memory is, after such a move? */
static void after_move(gpa_t to, int refuse, gpa_t populated)
{
	unsigned asked = pop.asked;

	pop.refuse = refuse;
	CHECK_EQ(memslots_move_slot(
			 g.m.slots, 0, GUEST_SLOT, to, MEMSLOT_MOVE_KEEP, NULL),
		refuse);
	CHECK_EQ(pop.in_window, -EAGAIN);
	CHECK_EQ(pop.asked, asked + 1);
	CHECK_EQ(pop.gfn, (populated + 0x2000) >> 12);
	CHECK_EQ(pop.pages, 3);
}

/*
 * Claim 7. Zhao: somebody who populates pages ahead would want to hear of a
 * failed MOVE, to do it at the old place again; upstream a prefault that
 * meets a change returns EAGAIN. Shown: what was asked for is populated at
 * the new place after a move, and at the old one after a failure; a request
 * that meets a transaction, even one that waits for it, returns EAGAIN; and a
 * loop of requests beside moves and running harts comes to its end.
 */
static void populate_and_move(void)
{
	memset(&pop, 0, sizeof(pop));
	guest_open(&g, GUEST_HARTS, 0);
	memslot_reader_init(&pop.r, g.m.slots, NULL, NULL);
	pop.p.ops = &pop_ops;
	pop.p.ctx = &pop;
	CHECK_EQ(memslots_join(g.m.slots, &pop.p), 0);
	CHECK_EQ(memslots_populate(
			 g.m.slots, 0, (GUEST_AT + 0x2000) >> 12, 3, NULL),
		0);
	CHECK_EQ(pop.asked, 1);
	after_move(CROOKED, -ENOSPC, GUEST_AT);
	after_move(CROOKED, 0, CROOKED);
	after_move(GUEST_AT, -ENOSPC, CROOKED);
	after_move(GUEST_AT, 0, GUEST_AT);
	CHECK_EQ(memslots_quit(g.m.slots, &pop.p), 0);
	guest_run(&g, ends, move_and_populate);
	CHECK(atomic_load(&pop.done) > 0);
	for (unsigned k = 0; k < GUEST_HARTS; k++)
		CHECK(guest_words_right(&g, k, &ends[k], k ? LAST : 0));
	memslot_reader_fini(&pop.r);
	guest_close(&g);
}

static const struct claim claims[] = {
	CLAIM(aligned_to_unaligned, "13, 14: slots move between aligned and "
				    "unaligned bases under vCPUs"),
	CLAIM(order_suits_backend,
		"21: the order of phases suits the backend: every step fails"),
	CLAIM(overlapping_move, "11: an overlapping move keeps the overlap "
				"protected, without a gap"),
	CLAIM(shadows_are_rebuilt,
		"8, 15: after a failure and after a move shadows are rebuilt"),
	CLAIM(populate_and_move, "7: populated pages follow a move, stand "
				 "after a failure, never lock"),
};

int main(int argc, char **argv)
{
	claims_show(argc, argv, claims, COUNT(claims));
	return sh_end("seed_moves", TEST_END("seed_moves, host side"));
}
