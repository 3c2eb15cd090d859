/* SPDX-License-Identifier: MIT */
/*
 * test_more_track.c - corners of the tracker
 *
 * Pages added while a transaction of several changes runs; nodes that go in
 * the middle of one; counts that are full; the legacy order with two nodes of
 * which one tracks the page.
 */
#include "tests/unit/test_track.h"

static struct world w;
static struct ear a, b;

static void commits(struct memslot_txn *t)
{
	CHECK_EQ(memslot_commit(t, NULL, &w.err), 0);
}

static struct memslot_txn *begin(void)
{
	struct memslot_txn *t = NULL;

	CHECK_EQ(memslot_begin(w.ms, &t, &w.err), 0);
	return t;
}

/* ---- adding in the middle -------------------------------------------------- */

/* From the backend's prepare: the tracker has prepared already. */
static void add_pages(struct world *x, char what, const struct memslot_txn *t)
{
	(void)t;
	if (what != 'p')
		return;
	/* In the slot that moves, in one that only changes flags, in one of
	 * the other space with the same page number, in one not named. */
	CHECK_EQ(pagetrack_add(a.node, 0, 10, 1, &x->err), 0);
	CHECK_EQ(pagetrack_add(a.node, 0, 20, 1, &x->err), 0);
	CHECK_EQ(pagetrack_add(a.node, 1, 10, 1, &x->err), 0);
	CHECK_EQ(pagetrack_add(a.node, 0, 30, 1, &x->err), 0);
	/* What is only being created is not there yet. */
	CHECK_EQ(pagetrack_add(a.node, 0, 40, 1, &x->err), -ENOENT);
	/* One that is deleted: its page will be gone. */
	CHECK_EQ(pagetrack_add(a.node, 0, 50, 1, &x->err), 0);
}

static void some_slots(void)
{
	world_open(&w);
	CHECK_EQ(slot_new(&w, 0, 1, 10, 2, 0, 0), 0);
	CHECK_EQ(slot_new(&w, 0, 2, 20, 2, 2, 0), 0);
	CHECK_EQ(slot_new(&w, 1, 1, 10, 2, 4, 0), 0);
	CHECK_EQ(slot_new(&w, 0, 3, 30, 2, 6, 0), 0);
	CHECK_EQ(slot_new(&w, 0, 5, 50, 2, 8, 0), 0);
}

/* Create, flags, delete, a move in each space. */
static struct memslot_txn *many_changes(void)
{
	struct memslot_config c = slot_config(&w, 0, 4, 40, 2, 10, 0);
	struct memslot_txn *t = begin();

	memslot_create(t, &c);
	memslot_set_flags(t, 0, 2, MEMSLOT_LOG_DIRTY);
	memslot_delete(t, 0, 5);
	memslot_move(t, 1, 1, 14 * PAGE, MEMSLOT_MOVE_KEEP);
	memslot_move(t, 0, 1, 12 * PAGE, MEMSLOT_MOVE_KEEP);
	return t;
}

static void test_add_among_changes(void)
{
	some_slots();
	CHECK_EQ(ear_open(&w, &a, 'A', PAGETRACK_FOLLOW), 0);
	w.backend.act = add_pages;
	commits(many_changes());
	CHECK_EQ(a.gone, 1);
	CHECK_EQ(pagetrack_size_pages(a.node), 4);
	CHECK(pagetrack_tracks(a.node, 0, 12));
	CHECK(pagetrack_tracks(a.node, 0, 20));
	CHECK(pagetrack_tracks(a.node, 1, 14));
	CHECK(pagetrack_tracks(a.node, 0, 30));
	CHECK(books_agree(&w));
	ear_close(&a);
	world_close(&w);
}

/* The same, and then the transaction fails: all stay where they are. */
static void test_add_among_changes_failing(void)
{
	some_slots();
	CHECK_EQ(ear_open(&w, &a, 'A', PAGETRACK_FOLLOW), 0);
	w.backend.act = add_pages;
	w.backend.refuse_apply = -EACCES;
	CHECK_EQ(memslot_commit(many_changes(), NULL, &w.err), -EACCES);
	CHECK_EQ(pagetrack_size_pages(a.node), 5);
	CHECK(pagetrack_tracks(a.node, 0, 10));
	CHECK(pagetrack_tracks(a.node, 0, 50));
	CHECK(books_agree(&w));
	ear_close(&a);
	world_close(&w);
}

/* ---- leaving in the middle ------------------------------------------------- */

static void leave(struct ear *e, char what, const struct pagetrack_write *wr)
{
	(void)wr;
	if (what != *(const char *)e->act_ctx)
		return;
	e->act = NULL;
	ear_forget(e);
	pagetrack_unregister(e->node);
	e->node = NULL;
}

/*
 * The first of two nodes unregisters itself in a callback of a transaction
 * that the backend, or the second node, then refuses.
 */
static void leaves_at(char moment, bool second_refuses)
{
	const char *heard = "Ap Bp ";

	world_open(&w);
	CHECK_EQ(slot_new(&w, 0, 1, 10, 2, 0, 0), 0);
	CHECK_EQ(ear_open(&w, &a, 'A', PAGETRACK_FOLLOW), 0);
	CHECK_EQ(ear_open(&w, &b, 'B', PAGETRACK_STAY), 0);
	CHECK_EQ(pagetrack_add(a.node, 0, 10, 2, &w.err), 0);
	CHECK_EQ(pagetrack_add(b.node, 0, 11, 1, &w.err), 0);
	a.act = leave;
	a.act_ctx = &moment;
	b.refuse = second_refuses ? -EPERM : 0;
	w.backend.refuse_apply = -EACCES;
	CHECK_EQ(slot_move(&w, 0, 1, 20), second_refuses ? -EPERM : -EACCES);
	CHECK(strncmp(w.log, heard, strlen(heard)) == 0);
	CHECK(a.node == NULL);
	/* Whoever has gone hears no more. */
	if (moment == 'p')
		CHECK_EQ(a.cancels + a.flushes + a.aborts, 0);
	CHECK_EQ(b.cancels, second_refuses ? 0 : 1);
	CHECK_EQ(pagetrack_size_pages(b.node), 1);
	CHECK(books_agree(&w));
	ear_close(&b);
	world_close(&w);
}

/* A callback of each node, one inside the other, and the outer one goes. */
static void write_again(
	struct ear *e, char what, const struct pagetrack_write *wr)
{
	struct memslot_reader r;
	const struct pagetrack_source host = {PAGETRACK_HOST, 0};

	(void)wr;
	if (what != 'w' || e->writes > 1)
		return;
	memslot_reader_init(&r, w.ms, NULL, NULL);
	CHECK_EQ(
		pagetrack_guest_write(w.pt, &r, 0, 11 * PAGE, "x", 1, host), 0);
	memslot_reader_fini(&r);
	ear_forget(e);
	pagetrack_unregister(e->node);
	e->node = NULL;
}

static void test_leave_while_nested(void)
{
	world_open(&w);
	CHECK_EQ(slot_new(&w, 0, 1, 10, 2, 0, 0), 0);
	CHECK_EQ(ear_open(&w, &a, 'A', PAGETRACK_FOLLOW), 0);
	CHECK_EQ(ear_open(&w, &b, 'B', PAGETRACK_FOLLOW), 0);
	CHECK_EQ(pagetrack_add(a.node, 0, 10, 2, &w.err), 0);
	CHECK_EQ(pagetrack_add(b.node, 0, 10, 2, &w.err), 0);
	a.act = write_again;
	CHECK_EQ(poke(&w, 0, 10, 1), 0);
	CHECK_EQ(a.writes, 2); /* its own write, inside */
	CHECK_EQ(b.writes, 2);
	CHECK_EQ(poke(&w, 0, 10, 2), 0);
	CHECK_EQ(a.writes, 2);
	CHECK_EQ(b.writes, 3);
	ear_close(&b);
	world_close(&w);
}

/* ---- full ------------------------------------------------------------------ */

/* Others have counted the page up to the top: nothing is half added. */
static void test_page_is_full(void)
{
	const struct memslot *s;

	world_open(&w);
	CHECK_EQ(slot_new(&w, 0, 1, 10, 2, 0, 0), 0);
	CHECK_EQ(ear_open(&w, &a, 'A', PAGETRACK_FOLLOW), 0);
	memslot_enter(&w.r);
	s = memslot_lookup(&w.r, 0, 11);
	CHECK_EQ(memslot_track_down(s, 11), -EINVAL);
	CHECK_EQ(memslot_track_reserve(w.ms, s, &w.err), 0);
	for (unsigned i = 0; i < 65535; i++)
		memslot_track_up(s, 11);
	CHECK_EQ(memslot_track_up(s, 11), -EOVERFLOW);
	memslot_leave(&w.r);
	CHECK_EQ(pagetrack_add(a.node, 0, 10, 2, &w.err), -EOVERFLOW);
	CHECK_EQ(pagetrack_size_pages(a.node), 0);
	CHECK(!page_is_tracked(&w, 0, 10));
	memslot_enter(&w.r);
	s = memslot_lookup(&w.r, 0, 11);
	for (unsigned i = 0; i < 65535; i++)
		memslot_track_down(s, 11);
	memslot_leave(&w.r);
	CHECK_EQ(pagetrack_add(a.node, 0, 10, 2, &w.err), 0);
	ear_close(&a);
	world_close(&w);
}

/* ---- as it was in 2022 ------------------------------------------------------- */

/* A flush forgets what moves or goes, of those who track it, and no more. */
static void test_legacy_forgets(void)
{
	some_slots();
	memslots_set_order(w.ms, &memslot_order_legacy);
	CHECK_EQ(ear_open(&w, &a, 'A', PAGETRACK_FOLLOW), 0);
	CHECK_EQ(ear_open(&w, &b, 'B', PAGETRACK_STAY), 0);
	CHECK_EQ(pagetrack_add(a.node, 0, 10, 2, &w.err), 0);
	CHECK_EQ(pagetrack_add(a.node, 0, 20, 1, &w.err), 0);
	CHECK_EQ(pagetrack_add(b.node, 0, 50, 1, &w.err), 0);
	CHECK_EQ(pagetrack_add(b.node, 0, 30, 1, &w.err), 0);
	commits(many_changes());
	CHECK_EQ(pagetrack_size_pages(a.node), 1);
	CHECK(pagetrack_tracks(a.node, 0, 20));
	CHECK_EQ(pagetrack_size_pages(b.node), 1);
	CHECK(pagetrack_tracks(b.node, 0, 30));
	CHECK(books_agree(&w));
	ear_close(&b);
	ear_close(&a);
	world_close(&w);
}

/* ---- queues --------------------------------------------------------------------- */

#define WRITES 4000u

/* What went in and has not come out: lengths, in order. */
static struct {
	struct {
		gpa_t gpa;
		uint16_t len;
		uint8_t value;
		int old; /* the byte before, -1: not told */
	} at[WRITES];
	unsigned in, out;
} fifo;

static void comes_out(
	struct ear *e, char what, const struct pagetrack_write *wr)
{
	unsigned i = fifo.out++;
	const uint8_t *bytes = wr ? wr->bytes : NULL, *old;

	if (what != 'w' || !CHECK(i < fifo.in))
		return;
	CHECK_EQ(wr->gpa, fifo.at[i].gpa);
	CHECK_EQ(wr->len, fifo.at[i].len);
	CHECK_EQ(bytes[0], fifo.at[i].value);
	CHECK_EQ(bytes[wr->len - 1], fifo.at[i].value);
	old = wr->old;
	CHECK_EQ(old != NULL, fifo.at[i].old >= 0);
	if (old)
		CHECK_EQ(old[0], fifo.at[i].old);
	(void)e;
}

static uint64_t dropped(struct ear *e)
{
	struct pagetrack_counts counts;

	pagetrack_node_counts(e->node, &counts);
	return counts.dropped;
}

/*
 * Writes of all lengths, with and without old bytes, into a queue that is
 * emptied now and then: what comes out is what went in, in order, but for
 * what was counted as dropped. It wraps around many times, also while empty.
 */
static void test_queue_in_order(void)
{
	static uint8_t bytes[PAGE];
	unsigned seed = 7, lost = 0, pumped = 0;
	bool old = false;

	world_open(&w);
	memset(&fifo, 0, sizeof(fifo));
	CHECK_EQ(slot_new(&w, 0, 1, 10, 2, 0, 0), 0);
	CHECK_EQ(ear_open(&w, &a, 'A', PAGETRACK_FOLLOW), 0);
	a.act = comes_out;
	CHECK_EQ(pagetrack_queue(a.node, 32769, PAGETRACK_DROP, &w.err), 0);
	CHECK_EQ(pagetrack_add(a.node, 0, 10, 2, &w.err), 0);
	CHECK_EQ(
		pagetrack_queue(a.node, 32768, PAGETRACK_DROP, &w.err), -EBUSY);
	for (unsigned i = 0; i < WRITES; i++) {
		unsigned len, how;
		gpa_t gpa = (10 + i % 2) * PAGE;
		int was = w.mem[i % 2 * PAGE];

		seed = seed * 1103515245 + 12345;
		how = seed >> 16 & 255;
		len = 1 + (seed >> 8) % (how & 1 ? PAGE : 64);
		memset(bytes, (int)(i & 255), len);
		CHECK_EQ(dev_write(&w, 0, gpa, bytes, len), 0);
		if (dropped(&a) == lost) {
			fifo.at[fifo.in].gpa = gpa;
			fifo.at[fifo.in].len = (uint16_t)len;
			fifo.at[fifo.in].value = (uint8_t)i;
			fifo.at[fifo.in++].old = old ? was : -1;
		} else {
			lost++;
		}
		CHECK_EQ(dropped(&a), lost);
		if (how < 40 || i % 500 < 50)
			pumped += (unsigned)pagetrack_pump(a.node);
		if (how > 240)
			pagetrack_want_old(a.node, old = !old);
	}
	pumped += (unsigned)pagetrack_pump(a.node);
	CHECK_EQ(pumped, fifo.in);
	CHECK_EQ(fifo.out, fifo.in);
	CHECK_EQ(pumped + lost, WRITES);
	CHECK(lost > 0);
	ear_close(&a);
	world_close(&w);
}

static void test_queue_refused(void)
{
	_Atomic(uint32_t) stop = 1;

	world_open(&w);
	CHECK_EQ(slot_new(&w, 0, 1, 10, 2, 0, 0), 0);
	CHECK_EQ(ear_open(&w, &a, 'A', PAGETRACK_FOLLOW), 0);
	/* Without a queue there is nothing to wait for or to wake. */
	pagetrack_pump_wake(a.node);
	pagetrack_pump_wait(a.node, &stop);
	stop = 0;
	pagetrack_pump_wait(a.node, &stop);
	CHECK_EQ(pagetrack_queue(
			 a.node, (size_t)2 << 30, PAGETRACK_DROP, &w.err),
		-EINVAL);
	fault_arm(&w.plan, FAULT_PAGETRACK_QUEUE, 1, false);
	CHECK_EQ(pagetrack_queue(a.node, 32768, PAGETRACK_DROP, &w.err),
		-ENOMEM);
	/* A node that tracks pages already hears of them as it began. */
	CHECK_EQ(pagetrack_add(a.node, 0, 10, 1, &w.err), 0);
	CHECK_EQ(
		pagetrack_queue(a.node, 32768, PAGETRACK_DROP, &w.err), -EBUSY);
	CHECK_EQ(pagetrack_remove(a.node, 0, 10, 1, &w.err), 0);
	CHECK_EQ(pagetrack_queue(a.node, 32768, PAGETRACK_BLOCK, &w.err), 0);
	CHECK_EQ(pagetrack_add(a.node, 0, 10, 1, &w.err), 0);
	CHECK_EQ(poke(&w, 0, 10, 1), 0);
	pagetrack_pump_wait(a.node, &stop); /* there is something */
	stop = 1;
	pagetrack_pump_wait(a.node, &stop);
	CHECK_EQ(pagetrack_pump(a.node), 1);
	ear_close(&a);
	world_close(&w);
}

/* ---- filters that are refused, wishes said twice ------------------------------- */

static void test_filter_refused(void)
{
	world_open(&w);
	CHECK_EQ(slot_new(&w, 0, 1, 10, 2, 0, 0), 0);
	CHECK_EQ(ear_open(&w, &a, 'A', PAGETRACK_FOLLOW), 0);
	CHECK_EQ(pagetrack_add(a.node, 0, 10, 1, &w.err), 0);
	CHECK_EQ(pagetrack_filter(a.node, 0, 10 * PAGE, 0, &w.err), -EINVAL);
	CHECK_EQ(pagetrack_filter(a.node, 0, 10 * PAGE + 1, PAGE, &w.err),
		-EINVAL);
	CHECK_EQ(pagetrack_filter(a.node, 0, 11 * PAGE, 8, &w.err), -ENOENT);
	fault_arm(&w.plan, FAULT_PAGETRACK_FILTER, 1, false);
	CHECK_EQ(pagetrack_filter(a.node, 0, 10 * PAGE, 8, &w.err), -ENOMEM);
	CHECK_EQ(poke(&w, 0, 10, 1), 0);
	CHECK_EQ(a.writes, 1);
	CHECK_EQ(pagetrack_filter(a.node, 0, 10 * PAGE + 8, 8, &w.err), 0);
	CHECK_EQ(poke(&w, 0, 10, 1), 0);
	CHECK_EQ(a.writes, 1);
	pagetrack_unfilter(a.node, 0, 11);
	pagetrack_unfilter(a.node, 0, 10);
	CHECK_EQ(poke(&w, 0, 10, 1), 0);
	CHECK_EQ(a.writes, 2);
	pagetrack_want_old(a.node, false);
	CHECK(!pagetrack_wants_old(w.pt));
	pagetrack_want_old(a.node, true);
	pagetrack_want_old(a.node, true);
	pagetrack_want_old(a.node, false);
	CHECK(!pagetrack_wants_old(w.pt));
	ear_close(&a);
	world_close(&w);
}

int main(void)
{
	test_queue_in_order();
	test_queue_refused();
	test_filter_refused();
	test_add_among_changes();
	test_add_among_changes_failing();
	leaves_at('p', true);
	leaves_at('p', false);
	leaves_at('f', false);
	leaves_at('c', false);
	leaves_at('a', false);
	test_leave_while_nested();
	test_page_is_full();
	test_legacy_forgets();
	return TEST_END("test_more_track");
}
