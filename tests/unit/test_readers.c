/* SPDX-License-Identifier: MIT */
/*
 * test_readers.c - every way to look finds what is there, before, after and
 * while a transaction runs; who meets an invalid slot waits and comes back
 */
#include <pthread.h>

#include "tests/unit/slots.h"

#define LIMIT_GFN (MEMSLOT_GPA_LIMIT >> MEMSLOT_PAGE_SHIFT)
#define SLOTS     400u
#define KEEP      MEMSLOT_MOVE_KEEP

static struct bed b;

/* ---- lookups ------------------------------------------------------------ */

static unsigned shuffled(unsigned i)
{
	return i * 149u % SLOTS;
}

/* Slot i: [i * 8, i * 8 + 5) of space i % 2, host page i * 5. */
static void many_slots(void)
{
	bed_open(&b, 2);
	for (unsigned i = 0; i < SLOTS; i++) {
		unsigned k = shuffled(i);

		CHECK_EQ(bed_create(&b, k % 2, k, k * 8, 5, k * 5, 0), 0);
	}
}

static void test_by_gfn(void)
{
	unsigned bad = 0;

	many_slots();
	memslot_enter(&b.r);
	for (unsigned n = 0; n < 3 * SLOTS * 8; n++) {
		gfn_t gfn = n < SLOTS * 8 ? n : n * 7919u % (SLOTS * 8);
		unsigned k = (unsigned)gfn / 8;

		for (unsigned space = 0; space < 2; space++) {
			const struct memslot *s =
				memslot_lookup(&b.r, space, gfn);
			bool want = gfn % 8 < 5 && k % 2 == space;

			bad += want ? !s || s->id != k : s != NULL;
			if (s)
				bad += memslot_host(s, gfn * 4096 + 9) !=
				       b.host + (k * 5 + gfn % 8) * 4096 + 9;
		}
	}
	CHECK(!memslot_lookup(&b.r, 0, SLOTS * 8));
	CHECK(!memslot_lookup(&b.r, 0, LIMIT_GFN - 1));
	CHECK(!memslot_lookup(&b.r, 0, LIMIT_GFN));
	CHECK(!memslot_lookup(&b.r, 0, LIMIT_GFN + 8));
	CHECK(!memslot_lookup(&b.r, 0, UINT64_MAX));
	CHECK(!memslot_lookup(&b.r, 2, 8));
	CHECK(!memslot_lookup(&b.r, UINT32_MAX, 8));
	memslot_leave(&b.r);
	CHECK_EQ(bad, 0);
	bed_close(&b);
}

static void test_by_id(void)
{
	unsigned bad = 0;

	many_slots();
	memslot_enter(&b.r);
	for (unsigned id = 0; id < MEMSLOT_IDS_MAX + 5; id++)
		for (unsigned space = 0; space < 3; space++) {
			const struct memslot *s =
				memslot_by_id(&b.r, space, id);
			bool want = id < SLOTS && id % 2 == space;

			bad += want ? !s || s->id != id || s->space != space ||
					       s->base_gfn != id * 8u
				    : s != NULL;
		}
	CHECK(!memslot_by_id(&b.r, 0, UINT32_MAX));
	CHECK(!memslot_by_id(&b.r, UINT32_MAX, 0));
	memslot_leave(&b.r);
	CHECK_EQ(bad, 0);
	bed_close(&b);
}

/* In order, each once, from wherever one starts. */
static void test_iteration(void)
{
	unsigned bad = 0;

	many_slots();
	memslot_enter(&b.r);
	for (gfn_t from = 0; from < SLOTS * 8 + 3; from++) {
		unsigned space = from & 1;
		const struct memslot *s = memslot_next(&b.r, space, from);
		unsigned want = (unsigned)(from / 8) + (from % 8 >= 5);

		want += want % 2 != space;
		bad += want < SLOTS ? !s || s->id != want : s != NULL;
	}
	CHECK(!memslot_next(&b.r, 2, 0));
	memslot_leave(&b.r);
	CHECK_EQ(bad, 0);
	CHECK_EQ(bed_count(&b), SLOTS);
	bed_close(&b);
}

/* The last page of a space is the end of its iteration, in every space. */
static void test_iteration_at_the_end(void)
{
	bed_open(&b, 4);
	for (unsigned space = 0; space < 4; space++) {
		bed_create(&b, space, 1, 0, 4, 0, 0);
		bed_create(&b, space, 2, LIMIT_GFN - 4, 4, 4, 0);
	}
	memslot_enter(&b.r);
	for (unsigned space = 0; space < 4; space++) {
		const struct memslot *s = memslot_next(&b.r, space, 4);

		CHECK(s && s->id == 2 && s->space == space);
		CHECK(memslot_next(&b.r, space, LIMIT_GFN - 1) == s);
		CHECK(memslot_next(&b.r, space, LIMIT_GFN) == NULL);
		CHECK(memslot_next(&b.r, space, LIMIT_GFN + 1) == NULL);
		CHECK(memslot_next(&b.r, space, 3 * LIMIT_GFN) == NULL);
		CHECK(memslot_next(&b.r, space, UINT64_MAX) == NULL);
	}
	memslot_leave(&b.r);
	CHECK_EQ(bed_count(&b), 8);
	bed_close(&b);
}

/* ---- by host address ---------------------------------------------------- */

struct window {
	unsigned space, id;
	uint64_t host_page, pages;
};

/* Aliases that nest, overlap, coincide and only touch. */
static const struct window windows[] = {{1, 3, 10, 10}, {0, 7, 10, 10},
	{0, 2, 10, 4}, {0, 9, 0, 100}, {1, 1, 12, 1}, {0, 4, 20, 5},
	{1, 8, 5, 5}, {0, 5, 15, 20}, {1, 2, 99, 2}, {0, 30, 100, 1}};
#define WINDOWS (sizeof(windows) / sizeof(windows[0]))

static bool before(const struct window *x, const struct window *y)
{
	if (x->host_page != y->host_page)
		return x->host_page < y->host_page;
	return x->space != y->space ? x->space < y->space : x->id < y->id;
}

/* The next window that holds the page, by a scan; prev NULL starts. */
static const struct window *naive_next(uint64_t page, const struct window *prev)
{
	const struct window *best = NULL;

	for (unsigned i = 0; i < WINDOWS; i++) {
		const struct window *w = &windows[i];

		if (page - w->host_page >= w->pages || (prev && w == prev) ||
			(prev && before(w, prev)))
			continue;
		if (!best || before(w, best))
			best = w;
	}
	return best;
}

static void test_by_host(void)
{
	unsigned bad = 0, found = 0;

	bed_open(&b, 2);
	for (unsigned i = 0; i < WINDOWS; i++) {
		const struct window *w = &windows[i];

		CHECK_EQ(bed_create(&b, w->space, w->id, i * 1000u, w->pages,
				 w->host_page, 0),
			0);
	}
	memslot_enter(&b.r);
	for (uint64_t page = 0; page < 110; page++)
		for (unsigned at = 0; at < 4096; at += 4095) {
			const uint8_t *host = b.host + page * 4096 + at;
			const struct window *w = naive_next(page, NULL);
			const struct memslot *s =
				memslot_by_host(&b.r, host, NULL);

			while (w && s) {
				bad += s->id != w->id || s->space != w->space;
				found++;
				w = naive_next(page, w);
				s = memslot_by_host(&b.r, host, s);
			}
			bad += w || s;
		}
	CHECK(!memslot_by_host(&b.r, NULL, NULL));
	CHECK(!memslot_by_host(&b.r, b.host - 1, NULL));
	CHECK(!memslot_by_host(&b.r, (void *)UINTPTR_MAX, NULL));
	/* high bits of an address are part of it */
	for (unsigned bit = 47; bit < 64; bit++)
		CHECK(!memslot_by_host(&b.r,
			(void *)((uintptr_t)b.host | (uintptr_t)1 << bit),
			NULL));
	memslot_leave(&b.r);
	CHECK_EQ(bad, 0);
	CHECK(found > 300);
	bed_close(&b);
}

/* Many slots on the same memory: all of them, in order of space and id. */
static void test_aliases(void)
{
	const struct memslot *s = NULL;
	unsigned n = 0, bad = 0;

	bed_open(&b, 2);
	for (unsigned i = 0; i < 200; i++) {
		unsigned k = i * 67 % 200;

		CHECK_EQ(bed_create(&b, k / 100, k % 100, k * 4, 2, 9, 0), 0);
	}
	memslot_enter(&b.r);
	while ((s = memslot_by_host(&b.r, b.host + 10 * 4096, s)) && n < 300) {
		bad += s->space != n / 100 || s->id != n % 100;
		n++;
	}
	memslot_leave(&b.r);
	CHECK_EQ(n, 200);
	CHECK_EQ(bad, 0);
	bed_close(&b);
}

/* ---- the last hit ------------------------------------------------------- */

/* Whatever happened to the slot of the last lookup, the next one is right. */
static void test_last_hit(void)
{
	struct memslot_txn *t;
	struct memslot_config c;

	bed_open(&b, 2);
	bed_create(&b, 0, 1, 10, 4, 0, 0);
	bed_create(&b, 1, 2, 10, 4, 4, 0);
	CHECK_EQ(bed_look(&b, 0, 11).id, 1);
	CHECK_EQ(bed_look(&b, 1, 11).id, 2); /* the same gfn elsewhere */
	CHECK_EQ(bed_look(&b, 0, 12).id, 1);
	CHECK(!bed_look(&b, 0, 14).there);

	memslots_move_slot(b.ms, 0, 1, 0x14000, KEEP, NULL);
	CHECK(!bed_look(&b, 0, 12).there);
	CHECK(bed_look(&b, 0, 0x14).there);

	memslots_set_slot_flags(b.ms, 0, 1, MEMSLOT_READONLY, NULL);
	CHECK_EQ(bed_look(&b, 0, 0x14).flags, MEMSLOT_READONLY);

	t = bed_begin(&b);
	memslot_delete(t, 0, 1);
	c = bed_config(&b, 0, 1, 0x14, 4, 50, 0);
	memslot_create(t, &c);
	CHECK_EQ(memslot_commit(t, NULL, NULL), 0);
	CHECK(bed_look(&b, 0, 0x14).host == b.host + 50 * 4096);

	memslots_delete_slot(b.ms, 0, 1, NULL);
	CHECK(!bed_look(&b, 0, 0x14).there);

	/* a change elsewhere, and one that failed, keep it right too */
	bed_create(&b, 0, 1, 10, 4, 0, 0);
	CHECK_EQ(bed_look(&b, 0, 11).id, 1);
	CHECK_EQ(bed_create(&b, 0, 5, 13, 4, 0, 0), -EEXIST);
	CHECK_EQ(bed_look(&b, 0, 11).id, 1);
	bed_create(&b, 0, 6, 100, 4, 0, 0);
	CHECK_EQ(bed_look(&b, 0, 11).id, 1);
	bed_close(&b);
}

/* Many slots come and go at one address: a stale hit would be freed memory. */
static void test_last_hit_churn(void)
{
	unsigned bad = 0;

	bed_open(&b, 1);
	for (unsigned i = 0; i < 500; i++) {
		bed_create(&b, 0, i % 7, 10, 1 + i % 3, i % 100, 0);
		bad += bed_look(&b, 0, 10).host != b.host + i % 100 * 4096;
		bad += bed_look(&b, 0, 10).id != i % 7;
		memslots_delete_slot(b.ms, 0, i % 7, NULL);
		bad += bed_look(&b, 0, 10).there;
	}
	CHECK_EQ(bad, 0);
	bed_close(&b);
}

/* ---- while a transaction runs ------------------------------------------- */

enum moment {
	PREPARE,
	CANCEL,
	FLUSH,
	APPLY,
	UNDO,
	ADOPT,
	COMMITTED,
	ABORTED,
	MOMENTS
};

static struct seen at_old[MOMENTS], at_new[MOMENTS], at_other[MOMENTS];
static uint64_t at_generation[MOMENTS];
static int apply_code;
static void (*in_flush)(void);

/* Slot 1 moves from 10 to 20; slot 2 at 40 has no part in it. */
static void look(enum moment m)
{
	at_old[m] = bed_look(&b, 0, 10);
	at_new[m] = bed_look(&b, 0, 20);
	at_other[m] = bed_look(&b, 0, 40);
	at_generation[m] = memslots_generation(b.ms);
}

static int cb_prepare(
	void *ctx, const struct memslot_txn *t, struct memslot_error *err)
{
	(void)ctx;
	(void)t;
	(void)err;
	look(PREPARE);
	return 0;
}

static void cb_cancel(void *ctx, const struct memslot_txn *t)
{
	(void)ctx;
	(void)t;
	look(CANCEL);
}

static void cb_flush(void *ctx, const struct memslot_txn *t)
{
	(void)ctx;
	(void)t;
	look(FLUSH);
	if (in_flush)
		in_flush();
}

static int cb_apply(
	void *ctx, const struct memslot_txn *t, struct memslot_error *err)
{
	(void)ctx;
	(void)t;
	look(APPLY);
	err->code = apply_code;
	return apply_code;
}

static void cb_adopt(void *ctx, const struct memslot_txn *t)
{
	(void)ctx;
	(void)t;
	look(ADOPT);
}

static void cb_committed(void *ctx, const struct memslot_txn *t)
{
	(void)ctx;
	(void)t;
	look(COMMITTED);
}

static void cb_aborted(void *ctx, const struct memslot_txn *t)
{
	(void)ctx;
	(void)t;
	look(ABORTED);
}

static const struct memslot_participant_ops looker = {
	.name = "looker",
	.prepare = cb_prepare,
	.cancel = cb_cancel,
	.flush = cb_flush,
	.apply = cb_apply,
	.adopt = cb_adopt,
	.committed = cb_committed,
	.aborted = cb_aborted,
};
static struct memslot_participant looking = {.ops = &looker};

static void watched(void)
{
	bed_open(&b, 1);
	memset(at_old, 0, sizeof(at_old));
	memset(at_new, 0, sizeof(at_new));
	memset(at_other, 0, sizeof(at_other));
	bed_create(&b, 0, 1, 10, 4, 0, 0);
	bed_create(&b, 0, 2, 40, 4, 4, 0);
	memslots_join(b.ms, &looking);
	apply_code = 0;
	in_flush = NULL;
}

static void old_and(enum moment m, bool invalid)
{
	CHECK(at_old[m].there && at_old[m].id == 1);
	CHECK_EQ(at_old[m].invalid, invalid);
	CHECK(!at_new[m].there);
	CHECK(at_other[m].there && !at_other[m].invalid);
	CHECK_EQ(at_generation[m], 2);
}

/* Valid, then invalid, then valid and elsewhere. Never gone, never both. */
static void test_what_is_seen(void)
{
	watched();
	CHECK_EQ(memslots_move_slot(b.ms, 0, 1, 0x14000, KEEP, NULL), 0);
	old_and(PREPARE, false);
	old_and(FLUSH, true);
	old_and(APPLY, true);
	old_and(ADOPT, true);
	CHECK(!at_old[COMMITTED].there);
	CHECK(at_new[COMMITTED].there && !at_new[COMMITTED].invalid);
	CHECK(at_other[COMMITTED].there && !at_other[COMMITTED].invalid);
	CHECK_EQ(at_generation[COMMITTED], 3);
	memslots_quit(b.ms, &looking);
	bed_close(&b);
}

static void test_what_is_seen_of_a_failure(void)
{
	watched();
	apply_code = -EREMOTEIO;
	CHECK_EQ(memslots_move_slot(b.ms, 0, 1, 0x14000, KEEP, NULL),
		-EREMOTEIO);
	old_and(PREPARE, false);
	old_and(FLUSH, true);
	old_and(APPLY, true);
	old_and(ABORTED, false);
	look(PREPARE);
	old_and(PREPARE, false);
	memslots_quit(b.ms, &looking);
	bed_close(&b);
}

/* In the legacy order the slot is out already when prepare is asked. */
static void test_what_is_seen_in_legacy(void)
{
	watched();
	memslots_set_order(b.ms, &memslot_order_legacy);
	CHECK_EQ(memslots_move_slot(b.ms, 0, 1, 0x14000, KEEP, NULL), 0);
	old_and(FLUSH, true);
	old_and(PREPARE, true);
	CHECK(at_new[COMMITTED].there);
	memslots_quit(b.ms, &looking);
	bed_close(&b);
}

/* ---- waiting ------------------------------------------------------------ */

static struct memslot_reader second;
static struct seen met;
static gfn_t meets;
static pthread_t thread;
static atomic_bool inside, kicked;

static void *enter_at(void *arg)
{
	(void)arg;
	met = seen_of(memslot_enter_at(&second, 0, meets));
	memslot_leave(&second);
	return NULL;
}

/* The slots are invalid now. A reader comes, and goes to sleep. */
static void reader_comes(void)
{
	unsigned long waits = b.waits;

	pthread_create(&thread, NULL, enter_at, NULL);
	bed_until_waits(&b, waits + 1);
}

/* The access that met the slot at 10 ends where the transaction ends. */
static void test_wait_and_retry(gfn_t gfn, int code)
{
	watched();
	memslot_reader_init(&second, b.ms, NULL, NULL);
	in_flush = reader_comes;
	meets = gfn;
	apply_code = code;
	memset(&met, 0xff, sizeof(met));
	CHECK_EQ(memslots_move_slot(b.ms, 0, 1, 0xc000, KEEP, NULL), code);
	pthread_join(thread, NULL);
	if (code == 0 && gfn < 12) {
		CHECK(!met.there);
	} else {
		CHECK(met.there && !met.invalid && met.id == 1);
		CHECK_EQ(met.gfn, code ? 10 : 12);
	}
	memslot_reader_fini(&second);
	memslots_quit(b.ms, &looking);
	bed_close(&b);
}

static void look_elsewhere(void)
{
	unsigned long waits = b.waits;

	met = seen_of(memslot_enter_at(&second, 0, 41));
	memslot_leave(&second);
	CHECK_EQ(b.waits, waits);
}

/* Only the slots that change make anybody wait. */
static void test_others_do_not_wait(void)
{
	watched();
	memslot_reader_init(&second, b.ms, NULL, NULL);
	in_flush = look_elsewhere;
	CHECK_EQ(memslots_move_slot(b.ms, 0, 1, 0x14000, KEEP, NULL), 0);
	CHECK(met.there && met.id == 2);
	memslot_wait_valid(&second); /* returns at once */
	CHECK(memslot_enter_at(&second, 0, 5) == NULL);
	memslot_leave(&second); /* inside, although there was no slot */
	memslot_reader_fini(&second);
	memslots_quit(b.ms, &looking);
	bed_close(&b);
}

/*
 * A callback that touches the memory of its own transaction does not wait
 * for itself: it gets the slot as it was.
 */
static void look_at_own(void)
{
	unsigned long waits = b.waits;

	met = seen_of(memslot_enter_at(&second, 0, 11));
	memslot_leave(&second);
	memslot_wait_valid(&second);
	CHECK_EQ(b.waits, waits);
	CHECK(met.there && met.invalid && met.id == 1);
	CHECK_EQ(met.gfn, 10);
	/* what is not there yet is not there */
	CHECK(memslot_enter_at(&second, 0, 20) == NULL);
	memslot_leave(&second);
}

static void test_own_transaction(void)
{
	watched();
	memslot_reader_init(&second, b.ms, NULL, NULL);
	in_flush = look_at_own;
	CHECK_EQ(memslots_move_slot(b.ms, 0, 1, 0x14000, KEEP, NULL), 0);
	apply_code = -EXDEV;
	in_flush = NULL;
	CHECK_EQ(memslots_move_slot(b.ms, 0, 1, 0xa000, KEEP, NULL), -EXDEV);
	met = seen_of(memslot_enter_at(&second, 0, 20));
	memslot_leave(&second);
	CHECK(met.there && !met.invalid);
	memslot_reader_fini(&second);
	memslots_quit(b.ms, &looking);
	bed_close(&b);
}

static void kick(void *ctx)
{
	CHECK(ctx == &kicked);
	atomic_store(&kicked, true);
}

/* Holds a slot until it is kicked, or until the writer sleeps. */
static void *stay_inside(void *arg)
{
	bool with_kick = arg;
	const struct memslot *s;

	memslot_enter(&second);
	s = memslot_lookup(&second, 0, 10);
	atomic_store(&inside, true);
	if (with_kick)
		while (!atomic_load(&kicked))
			sched_yield();
	else
		bed_until_waits(&b, 1);
	/* still inside: the slot is as good as it was */
	CHECK(s && s->id == 1 && s->base_gfn == 10);
	memslot_leave(&second);
	return NULL;
}

static void test_grace_period(bool with_kick, bool only_wait)
{
	bed_open(&b, 1);
	bed_create(&b, 0, 1, 10, 4, 0, 0);
	atomic_store(&inside, false);
	atomic_store(&kicked, false);
	memslot_reader_init(&second, b.ms, with_kick ? kick : NULL, &kicked);
	pthread_create(&thread, NULL, stay_inside, with_kick ? &kicked : NULL);
	while (!atomic_load(&inside))
		sched_yield();
	if (only_wait)
		memslots_synchronize(b.ms);
	else
		CHECK_EQ(memslots_delete_slot(b.ms, 0, 1, NULL), 0);
	CHECK_EQ(atomic_load(&kicked), with_kick);
	pthread_join(thread, NULL);
	CHECK_EQ(bed_look(&b, 0, 10).there, only_wait);
	memslot_reader_fini(&second);
	bed_close(&b);
}

/*
 * Two moments of a move of slot 1 for which the transaction must wait: who
 * found it valid has left before `flush`; who found it invalid, and is
 * inside still, has left before it is freed.
 */
static atomic_bool returned, flushed;

static void wait_for_writer(void)
{
	while (!atomic_load(&b.waits) && !atomic_load(&returned))
		sched_yield();
}

static void *hold_valid(void *arg)
{
	const struct memslot *s;

	(void)arg;
	memslot_enter(&second);
	s = memslot_lookup(&second, 0, 10);
	CHECK(s && !memslot_is_invalid(s));
	atomic_store(&inside, true);
	wait_for_writer();
	CHECK(!atomic_load(&flushed));
	memslot_leave(&second);
	return NULL;
}

static void *hold_invalid(void *arg)
{
	const struct memslot *s;

	(void)arg;
	memslot_enter(&second);
	s = memslot_lookup(&second, 0, 10);
	CHECK(s && memslot_is_invalid(s));
	atomic_store(&inside, true);
	wait_for_writer();
	CHECK(!atomic_load(&returned));
	CHECK(s && s->id == 1 && s->base_gfn == 10);
	memslot_leave(&second);
	return NULL;
}

static void start(void *(*what)(void *))
{
	atomic_store(&inside, false);
	pthread_create(&thread, NULL, what, NULL);
	while (!atomic_load(&inside))
		sched_yield();
}

static void note_flush(void)
{
	atomic_store(&flushed, true);
}

static void start_hold_invalid(void)
{
	start(hold_invalid);
}

static void test_no_use_after(bool valid)
{
	watched();
	memslot_reader_init(&second, b.ms, NULL, NULL);
	atomic_store(&returned, false);
	atomic_store(&flushed, false);
	in_flush = valid ? note_flush : start_hold_invalid;
	if (valid)
		start(hold_valid);
	CHECK_EQ(memslots_move_slot(b.ms, 0, 1, 0x14000, KEEP, NULL), 0);
	atomic_store(&returned, true);
	pthread_join(thread, NULL);
	memslot_reader_fini(&second);
	memslots_quit(b.ms, &looking);
	bed_close(&b);
}

/* Nobody inside: nobody is kicked, nobody sleeps. */
static void test_idle_readers_cost_nothing(void)
{
	bed_open(&b, 1);
	atomic_store(&kicked, false);
	memslot_reader_init(&second, b.ms, kick, &kicked);
	bed_create(&b, 0, 1, 10, 4, 0, 0);
	memslots_delete_slot(b.ms, 0, 1, NULL);
	memslots_synchronize(b.ms);
	CHECK(!atomic_load(&kicked));
	CHECK_EQ(b.waits, 0);
	memslot_reader_fini(&second);
	bed_close(&b);
}

/* Readers come and go; those who have gone are not waited for. */
static void test_registry(void)
{
	struct memslot_reader r[5];

	bed_open(&b, 1);
	for (unsigned leaver = 0; leaver < 5; leaver++) {
		for (unsigned i = 0; i < 5; i++)
			memslot_reader_init(&r[i], b.ms, NULL, NULL);
		memslot_reader_fini(&r[leaver]);
		/* garbage that would block for ever if it was still listed */
		memset(&r[leaver], 1, sizeof(r[leaver]));
		memslots_synchronize(b.ms);
		for (unsigned i = 0; i < 5; i++)
			if (i != leaver)
				memslot_reader_fini(&r[i]);
	}
	memslots_synchronize(b.ms);
	CHECK_EQ(b.waits, 0);
	bed_close(&b);
}

int main(void)
{
	test_by_gfn();
	test_by_id();
	test_iteration();
	test_iteration_at_the_end();
	test_by_host();
	test_aliases();
	test_last_hit();
	test_last_hit_churn();
	test_what_is_seen();
	test_what_is_seen_of_a_failure();
	test_what_is_seen_in_legacy();
	test_wait_and_retry(10, 0);
	test_wait_and_retry(12, 0);
	test_wait_and_retry(10, -ENOSPC);
	test_wait_and_retry(12, -ENOSPC);
	test_others_do_not_wait();
	test_own_transaction();
	for (unsigned i = 0; i < 4; i++)
		test_grace_period(i & 1, i & 2);
	test_no_use_after(true);
	test_no_use_after(false);
	test_idle_readers_cost_nothing();
	test_registry();
	return TEST_END("readers");
}
