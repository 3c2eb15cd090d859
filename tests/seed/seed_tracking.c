/* SPDX-License-Identifier: MIT */
/*
 * seed_tracking.c - claims of the mail thread about the tracker's interface
 */
#include "memslot/internal.h"
#include "pagetrack/internal.h"

#include "tests/seed/claims.h"
#include "tests/unit/test_track.h"

static struct world w;
static struct ear gvt;

/*
 * A platform that counts. In a single-threaded test nobody else holds a lock,
 * so that a wait would be a wait for oneself: a deadlock.
 */
static struct {
	unsigned long allocs, frees, waits, calls;
} seen;

static void *counting_alloc(void *ctx, size_t size)
{
	(void)ctx;
	seen.allocs++;
	seen.calls++;
	return memslot_hosted.alloc(NULL, size);
}

static void counting_free(void *ctx, void *p)
{
	(void)ctx;
	seen.frees++;
	seen.calls++;
	memslot_hosted.free(NULL, p);
}

static void counting_wait(void *ctx, _Atomic(uint32_t) *word, uint32_t value)
{
	seen.waits++;
	seen.calls++;
	memslot_hosted.wait(ctx, word, value);
}

static void counting_wake(void *ctx, _Atomic(uint32_t) *word)
{
	seen.calls++;
	memslot_hosted.wake(ctx, word);
}

static void open_counting(void)
{
	static struct memslot_platform pf;

	pf = memslot_hosted;
	pf.alloc = counting_alloc;
	pf.free = counting_free;
	pf.wait = counting_wait;
	pf.wake = counting_wake;
	world_open_on(&w, &pf);
	memset(&seen, 0, sizeof(seen));
}

/* ---- claim 9: the interface --------------------------------------------- */

static unsigned heard_in[128]; /* by what */

/* From every callback: all that the header says a callback may do. */
static void do_everything(
	struct ear *e, char what, const struct pagetrack_write *wr)
{
	struct memslot_reader r;
	struct memslot_txn *t;
	struct memslot_harvest *h = NULL;
	uint8_t byte = 1;

	(void)wr;
	heard_in[(unsigned char)what]++;
	CHECK_EQ(pagetrack_add(e->node, 0, 13, 1, NULL), 0);
	CHECK_EQ(pagetrack_add(e->node, 0, 13, 2, NULL), 0);
	CHECK_EQ(pagetrack_remove(e->node, 0, 13, 1, NULL), 0);
	CHECK_EQ(pagetrack_remove(e->node, 0, 13, 2, NULL), 0);
	memslot_reader_init(&r, e->w->ms, NULL, NULL);
	CHECK_EQ(pagetrack_guest_read(&r, 0, 13 * PAGE, &byte, 1), 0);
	/* a write of its own: to a page nobody tracks, so it ends */
	CHECK_EQ(pagetrack_guest_write(e->w->pt, &r, 0, 15 * PAGE, &byte, 1,
			 (struct pagetrack_source){PAGETRACK_DEVICE, 2}),
		0);
	memslot_reader_fini(&r);
	if (what == 'w')
		return;
	/* A transaction in a transaction is refused, not waited for. */
	CHECK_EQ(memslot_begin(e->w->ms, &t, NULL), 0);
	memslot_delete(t, 0, 0);
	CHECK_EQ(memslot_commit(t, NULL, NULL), -EDEADLK);
	CHECK_EQ(memslot_harvest(e->w->ms, 0, 0, &h, NULL), -EDEADLK);
}

static void misuse(void)
{
	struct pagetrack_node *n = gvt.node, *bad = NULL;

	CHECK_EQ(pagetrack_add(n, 0, 100, 1, &w.err), -ENOENT);
	CHECK_TEXT(w.err.text, "no slot");
	CHECK_EQ(pagetrack_add(n, 0, 15, 2, &w.err), -ENOENT);
	CHECK(!pagetrack_tracks(n, 0, 15)); /* all or nothing */
	CHECK_EQ(pagetrack_add(n, SPACES, 9, 1, &w.err), -EINVAL);
	CHECK_EQ(pagetrack_add(n, 0, 9, 0, &w.err), -EINVAL);
	CHECK_EQ(pagetrack_add(n, 0, 9, UINT64_MAX, &w.err), -EINVAL);
	CHECK_EQ(pagetrack_add(n, 0, MEMSLOT_GPA_LIMIT / PAGE, 1, &w.err),
		-EINVAL);
	CHECK_EQ(pagetrack_remove(n, 0, 14, 1, &w.err), -ENOENT);
	CHECK_EQ(pagetrack_remove(n, 0, 9, 2, &w.err), -ENOENT);
	CHECK(pagetrack_tracks(n, 0, 9));
	CHECK_EQ(pagetrack_register(w.pt, &ear_ops, NULL,
			 (enum pagetrack_policy)7, &bad, &w.err),
		-EINVAL);
	/* counts saturate with an error, and come back down */
	for (unsigned i = 1; i < 65535; i++)
		if (pagetrack_add(n, 0, 9, 1, NULL))
			CHECK(!"65535 counts fit");
	CHECK_EQ(pagetrack_add(n, 0, 9, 1, &w.err), -EOVERFLOW);
	CHECK_EQ(pagetrack_add(n, 0, 8, 2, NULL), -EOVERFLOW);
	CHECK(!pagetrack_tracks(n, 0, 8));
	for (unsigned i = 1; i < 65535; i++)
		if (pagetrack_remove(n, 0, 9, 1, NULL))
			CHECK(!"every add can be taken back");
	CHECK(pagetrack_tracks(n, 0, 9));
	CHECK_EQ(pagetrack_size_pages(n), 1);
}

static int refuses(
	void *ctx, const struct memslot_txn *t, struct memslot_error *err)
{
	(void)ctx;
	(void)t;
	err->code = -ENODEV;
	return -ENODEV;
}

/* A machine that is broken is the nearest thing to a dead one. */
static void on_a_broken_machine(void)
{
	static const struct memslot_participant_ops ops = {
		.name = "refuses", .apply = refuses};
	struct memslot_participant late = {.ops = &ops};

	CHECK_EQ(memslots_join(w.ms, &late), 0);
	fault_arm(&w.plan, FAULT_UNDO_PARTICIPANT, 1, false);
	CHECK_EQ(slot_move(&w, 0, 0, 40), -EIO);
	CHECK(memslots_broken(w.ms));
	faults_off(&w);
	CHECK_EQ(poke(&w, 0, 9, 1), -EFAULT);
	CHECK_EQ(pagetrack_add(gvt.node, 0, 9, 1, NULL), 0);
	CHECK_EQ(pagetrack_remove(gvt.node, 0, 9, 1, NULL), 0);
	CHECK_EQ(pagetrack_add(gvt.node, 0, 100, 1, NULL), -ENOENT);
	CHECK_EQ(slot_move(&w, 0, 0, 40), -EIO);
	CHECK_EQ(memslots_quit(w.ms, &late), 0);
}

/*
 * Claim 9. Christopherson: the page-track API is a mess of references and
 * locks that callers have to get right. Shown: a node names (space, page) and
 * nothing else; whatever is wrong with that is an error code, also on a
 * machine that is broken; and every callback may add, remove, read and write
 * without one wait in a test that has one thread.
 */
static void interface_is_simple(void)
{
	static const char callbacks[] = "pcfkaw";

	open_counting();
	CHECK_EQ(slot_new(&w, 0, 0, 8, 8, 0, MEMSLOT_LOG_DIRTY), 0);
	CHECK_EQ(ear_open(&w, &gvt, 'G', PAGETRACK_STAY), 0);
	CHECK_EQ(pagetrack_add(gvt.node, 0, 9, 1, NULL), 0);
	misuse();
	memset(heard_in, 0, sizeof(heard_in));
	gvt.act = do_everything;
	CHECK_EQ(poke(&w, 0, 9, 1), 0);
	w.backend.refuse_apply = -ENOSPC;
	CHECK_EQ(slot_move(&w, 0, 0, 9), -ENOSPC);
	w.backend.refuse_apply = 0;
	CHECK_EQ(slot_move(&w, 0, 0, 9), 0);
	gvt.act = NULL;
	for (unsigned i = 0; callbacks[i]; i++)
		CHECK(heard_in[(unsigned char)callbacks[i]] > 0);
	on_a_broken_machine();
	CHECK_EQ(seen.waits, 0);
	ear_close(&gvt);
	world_close(&w);
}

/* ---- claim 10: nobody tracks -------------------------------------------- */

static void all_locks(bool take)
{
	struct memslot_lock *locks[] = {&w.ms->txn_lock, &w.ms->readers_lock,
		&w.ms->list_lock, &w.pt->lock};

	for (unsigned i = 0; i < COUNT(locks); i++)
		if (take)
			memslot_lock(locks[i], w.ms->pf);
		else
			memslot_unlock(locks[i], w.ms->pf);
}

/* Every lock there is is held, so that nobody could take one. */
static void pokes_need_nothing(gfn_t from)
{
	all_locks(true);
	memset(&seen, 0, sizeof(seen));
	for (unsigned i = 0; i < 1000; i++)
		CHECK_EQ(poke(&w, 0, from + i % (16 - from), (uint8_t)i), 0);
	CHECK_EQ(seen.calls, 0);
	all_locks(false);
}

/*
 * Claim 10. Christopherson: KVM registers a notifier of its own even when
 * nobody tracks anything. Shown: without a node a write asks the platform for
 * nothing, takes no lock and allocates nothing; a slot of a million pages
 * costs no more memory objects than one of one page; with a node on one page
 * the writes to all others cost no more than before.
 */
static void nothing_without_need(void)
{
	unsigned long small, large;
	struct memslot_config c;

	open_counting();
	CHECK_EQ(slot_new(&w, 0, 0, 8, 8, 0, 0), 0);
	small = seen.allocs;
	c = slot_config(&w, 0, 1, 0x100000, 1u << 20, 0, 0);
	CHECK_EQ(memslots_create_slot(w.ms, &c, NULL), 0);
	large = seen.allocs - small;
	/* one index node each may split, at most */
	CHECK(large <= small + 3);
	pokes_need_nothing(8);
	CHECK_EQ(ear_open(&w, &gvt, 'G', PAGETRACK_STAY), 0);
	pokes_need_nothing(8);
	CHECK_EQ(pagetrack_add(gvt.node, 0, 9, 1, NULL), 0);
	pokes_need_nothing(10);
	CHECK_EQ(gvt.writes, 0);
	memset(&seen, 0, sizeof(seen));
	CHECK_EQ(poke(&w, 0, 9, 1), 0);
	CHECK_EQ(gvt.writes, 1);
	CHECK_EQ(seen.allocs, 0); /* nor does a report allocate */
	ear_close(&gvt);
	world_close(&w);
}

/* ---- claim 12: refusing ------------------------------------------------- */

static unsigned asked;

static void count_asked(
	struct world *world, char what, const struct memslot_txn *t)
{
	(void)world;
	(void)what;
	(void)t;
	asked++;
}

/*
 * Claim 12. Christopherson: reject MOVE only if somebody tracks that very
 * slot; merged was a refusal for the whole VM, and only after the slot had
 * been invalidated and flushed. Shown: with slot 0 tracked slot 1 moves; slot
 * 0 is refused (EBUSY, where KVM has EINVAL) before anybody is asked, without
 * a flush or an invalid window, and the generation stays. The same for a space
 * that allows no moves (EPERM).
 */
static void only_the_tracked_slot(void)
{
	static struct picture before, after;
	struct memslot_result result;
	struct memslot_txn *t;

	world_open(&w);
	CHECK_EQ(slot_new(&w, 0, 0, 8, 8, 0, 0), 0);
	CHECK_EQ(slot_new(&w, 0, 1, 24, 8, 16, 0), 0);
	CHECK_EQ(slot_new(&w, 1, 0, 8, 8, 32, 0), 0);
	CHECK_EQ(ear_open(&w, &gvt, 'G', PAGETRACK_REFUSE), 0);
	CHECK_EQ(pagetrack_add(gvt.node, 0, 9, 1, NULL), 0);
	CHECK_EQ(
		memslots_set_space_options(w.ms, 1, MEMSLOT_SPACE_NO_MOVES), 0);
	CHECK_EQ(slot_move(&w, 0, 1, 40), 0);
	CHECK_EQ(gvt.commits, 1);
	CHECK_EQ(slot_move(&w, 0, 1, 24), 0);
	log_clear(&w);
	w.backend.act = count_asked;
	picture_take(&w, &before);
	for (unsigned i = 0; i < 4; i++) {
		unsigned flushed = w.backend.flushed;

		asked = 0;
		memset(&result, 0xff, sizeof(result));
		CHECK_EQ(memslot_begin(w.ms, &t, NULL), 0);
		/* what could be done is not done either */
		memslot_move(t, 0, 1, 40 * PAGE, MEMSLOT_MOVE_KEEP);
		if (i == 0)
			memslot_move(t, 0, 0, 50 * PAGE, MEMSLOT_MOVE_KEEP);
		if (i == 1)
			memslot_move(t, 0, 0, 9 * PAGE, MEMSLOT_MOVE_KEEP);
		if (i == 2)
			memslot_delete(t, 0, 0);
		if (i == 3)
			memslot_move(t, 1, 0, 50 * PAGE, MEMSLOT_MOVE_KEEP);
		CHECK_EQ(memslot_commit(t, &result, &w.err),
			i == 3 ? -EPERM : -EBUSY);
		CHECK_TEXT(w.err.text, i == 3 ? "no moves" : "refuses");
		CHECK_EQ(asked, 0);
		CHECK_EQ(w.backend.flushed, flushed);
		CHECK_EQ(result.pause_ns, 0);
		CHECK_EQ(result.changes, 0);
		CHECK_EQ(result.generation, before.generation);
		picture_take(&w, &after);
		CHECK(picture_same(&before, &after));
	}
	CHECK_HEARD(&w, "");
	/* without the page it may move */
	w.backend.act = NULL;
	CHECK_EQ(pagetrack_remove(gvt.node, 0, 9, 1, NULL), 0);
	CHECK_EQ(slot_move(&w, 0, 0, 50), 0);
	ear_close(&gvt);
	world_close(&w);
}

static const struct claim claims[] = {
	CLAIM(interface_is_simple, "9: the tracker takes (space, page) only; "
				   "callbacks may do all"),
	CLAIM(nothing_without_need,
		"10: nothing is registered, taken or allocated without need"),
	CLAIM(only_the_tracked_slot, "12: only the slot that is tracked is "
				     "refused, before any effect"),
};

int main(int argc, char **argv)
{
	claims_show(argc, argv, claims, COUNT(claims));
	return TEST_END("seed_tracking");
}
