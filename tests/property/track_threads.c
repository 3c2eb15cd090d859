/* SPDX-License-Identifier: MIT */
/*
 * track_threads.c - who tracks hears, whatever the others do meanwhile
 *
 * Two slots of the same size lie side by side and swap places, change flags
 * and fail to, all the time. Guest page numbers are mapped throughout, so:
 *
 *   writers   write their numbered stores, each to words of its own
 *   stayers   add a page, let writers go on, remove it. Each store begun
 *             after the add returned and finished before the remove was
 *             called was reported to them exactly once; no store ever twice
 *   followers do the same with the whole memory
 *   half      follows one page, and so hears of some stores only: of those
 *             that are found in its memory, wherever that was
 *   guests    register, add, and unregister: afterwards no callback runs
 *
 * No sleeps: threads wait for the writers' progress. For ThreadSanitizer
 * too.
 *
 *	track_threads [rounds]
 */
#include "pagetrack/pagetrack.h"
#include "tests/unit/test.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

enum {
	PAGE = 4096,
	HALF = 8, /* pages of one slot */
	ALL = 2 * HALF,
	BASE = 16, /* first guest page */
	WRITERS = 2,
	STAYERS = 2,
	STORES = 1 << 18, /* numbers a writer can give */
	SAMPLES = 8,      /* looks at memory in one round of `half` */
};

static struct memslots *ms;
static struct pagetrack *pt;
static uint8_t *mem;
static unsigned rounds = 250;
static atomic_int running; /* threads the writers work for */

/* A writer goes on as far as somebody waits for it to. */
static atomic_uint begun[WRITERS], finished[WRITERS], wanted[WRITERS];

/* Which page store n of writer w goes to. */
static unsigned page_of(unsigned w, unsigned n)
{
	return (n * 2654435761u >> 16 ^ w) % ALL;
}

/* ---- writers ------------------------------------------------------------- */

static void *writer(void *arg)
{
	const unsigned w = (unsigned)(uintptr_t)arg;
	const struct pagetrack_source me = {PAGETRACK_DEVICE, w};
	struct memslot_reader r;

	memslot_reader_init(&r, ms, NULL, NULL);
	for (uint32_t n = 1; CHECK(n < STORES); n++) {
		gpa_t gpa = (gpa_t)(BASE + page_of(w, n)) * PAGE + w * 8;

		while (n > atomic_load(&wanted[w]) && atomic_load(&running))
			sched_yield();
		if (!atomic_load(&running))
			break;
		atomic_store(&begun[w], n);
		CHECK_EQ(pagetrack_guest_write(pt, &r, 0, gpa, &n, 4, me), 0);
		atomic_store(&finished[w], n);
	}
	memslot_reader_fini(&r);
	return NULL;
}

/* ---- listeners ------------------------------------------------------------ */

struct listener {
	struct pagetrack_node *node;
	atomic_int open;
	atomic_uint last[WRITERS];    /* store heard */
	atomic_uchar *heard[WRITERS]; /* how often, by number of the store */
};

static void hear(void *ctx, const struct pagetrack_write *wr)
{
	struct listener *l = ctx;
	unsigned w = wr->source.index;
	uint32_t n;

	CHECK(atomic_load(&l->open));
	CHECK_EQ(wr->len, 4);
	memcpy(&n, wr->bytes, 4);
	CHECK_EQ(wr->gpa, (gpa_t)(BASE + page_of(w, n)) * PAGE + w * 8);
	/* In program order for each writer, so never the same twice. */
	CHECK(n > atomic_load(&l->last[w]));
	atomic_store(&l->last[w], n);
	atomic_fetch_add(&l->heard[w][n], 1);
}

/* What it was registered with is there for the callbacks, at once. */
static void hear_committed(
	void *ctx, const struct memslot_txn *t, uint64_t gone_pages)
{
	struct listener *l = ctx;

	(void)t;
	CHECK(atomic_load(&l->open));
	CHECK_EQ(gone_pages, 0);
	CHECK(pagetrack_size_pages(l->node) <= ALL);
}

static const struct pagetrack_ops listener_ops = {
	.name = "listener", .write = hear, .committed = hear_committed};

static struct listener *listener_new(enum pagetrack_policy policy)
{
	struct listener *l = calloc(1, sizeof(*l));

	for (unsigned w = 0; w < WRITERS; w++)
		l->heard[w] = calloc(STORES, 1);
	atomic_store(&l->open, 1);
	CHECK_EQ(pagetrack_register(
			 pt, &listener_ops, l, policy, &l->node, NULL),
		0);
	return l;
}

static void listener_free(struct listener *l)
{
	pagetrack_unregister(l->node);
	atomic_store(&l->open, 0);
	for (unsigned w = 0; w < WRITERS; w++)
		free((void *)l->heard[w]);
	free(l);
}

/* Let each writer do some stores more, as long as they write. */
static void let_write(unsigned stores)
{
	unsigned until[WRITERS], old;

	for (unsigned w = 0; w < WRITERS; w++) {
		until[w] = atomic_load(&finished[w]) + stores;
		old = atomic_load(&wanted[w]);
		while (old < until[w] && !atomic_compare_exchange_weak(
						 &wanted[w], &old, until[w]))
			;
	}
	for (unsigned w = 0; w < WRITERS; w++)
		while (atomic_load(&finished[w]) < until[w] &&
			atomic_load(&running))
			sched_yield();
}

/* One round: add, listen, remove; then the books are compared. */
static void listen_round(struct listener *l, unsigned page, unsigned pages)
{
	unsigned low[WRITERS], high[WRITERS];
	unsigned long wrong = 0;

	CHECK_EQ(pagetrack_add(l->node, 0, BASE + page, pages, NULL), 0);
	for (unsigned w = 0; w < WRITERS; w++)
		low[w] = atomic_load(&begun[w]);
	let_write(40);
	for (unsigned w = 0; w < WRITERS; w++)
		high[w] = atomic_load(&finished[w]);
	CHECK_EQ(pagetrack_remove(l->node, 0, BASE + page, pages, NULL), 0);
	for (unsigned w = 0; w < WRITERS; w++)
		for (unsigned n = low[w] + 1; n <= high[w]; n++)
			if (page_of(w, n) - page < pages)
				wrong += atomic_load(&l->heard[w][n]) != 1;
			else
				wrong += atomic_load(&l->heard[w][n]) != 0;
	CHECK_EQ(wrong, 0);
}

static void *stayer(void *arg)
{
	struct listener *l = listener_new(PAGETRACK_STAY);
	unsigned page = (unsigned)(uintptr_t)arg * 5;

	for (unsigned i = 0; i < rounds; i++) {
		unsigned pages = 1 + i % 4;

		page = (page + 7) % ALL;
		if (page + pages > ALL)
			pages = ALL - page;
		listen_round(l, page, pages);
	}
	listener_free(l);
	atomic_fetch_sub(&running, 1);
	return NULL;
}

static void *follower(void *arg)
{
	struct listener *l = listener_new(PAGETRACK_FOLLOW);

	(void)arg;
	for (unsigned i = 0; i < rounds; i++)
		listen_round(l, 0, ALL);
	CHECK_EQ(pagetrack_size_pages(l->node), 0);
	listener_free(l);
	atomic_fetch_sub(&running, 1);
	return NULL;
}

/*
 * What writer w has in a page of memory now. A race on purpose: guests and
 * devices write memory without asking; an aligned word is whole.
 */
__attribute__((no_sanitize_thread)) static uint32_t look(
	unsigned page, unsigned w)
{
	return *(
		volatile uint32_t *)(void *)(mem + page * (size_t)PAGE + w * 8);
}

/* Was each store of `seen` heard once, if it was to be? */
static bool all_heard(struct listener *l, unsigned seen[SAMPLES][WRITERS],
	const unsigned *low, const unsigned *high)
{
	for (unsigned i = 0; i < SAMPLES; i++)
		for (unsigned w = 0; w < WRITERS; w++) {
			unsigned n = seen[i][w];

			if (n > low[w] && n <= high[w] &&
				atomic_load(&l->heard[w][n]) != 1)
				return false;
		}
	return true;
}

/*
 * The page that is added is of one slot or of the other; which is not known,
 * as they swap all the time. What lands in its memory is heard.
 */
static void half_round(struct listener *l, unsigned page)
{
	unsigned seen[2][SAMPLES][WRITERS], low[WRITERS], high[WRITERS];
	int r;

	CHECK_EQ(pagetrack_add(l->node, 0, BASE + page, 1, NULL), 0);
	for (unsigned w = 0; w < WRITERS; w++)
		low[w] = atomic_load(&begun[w]);
	for (unsigned i = 0; i < SAMPLES; i++) {
		let_write(8);
		for (unsigned k = 0; k < 2 * WRITERS; k++)
			seen[k % 2][i][k / 2] =
				look(k % 2 * HALF + page, k / 2);
	}
	for (unsigned w = 0; w < WRITERS; w++)
		high[w] = atomic_load(&finished[w]);
	do {
		r = pagetrack_remove(l->node, 0, BASE + page, 1, NULL);
		if (r)
			r = pagetrack_remove(
				l->node, 0, BASE + HALF + page, 1, NULL);
	} while (r == -ENOENT);
	CHECK_EQ(r, 0);
	CHECK(all_heard(l, seen[0], low, high) ||
		all_heard(l, seen[1], low, high));
}

static void *half_follower(void *arg)
{
	struct listener *l = listener_new(PAGETRACK_FOLLOW);

	(void)arg;
	for (unsigned i = 0; i < rounds; i++)
		half_round(l, i % HALF);
	CHECK_EQ(pagetrack_size_pages(l->node), 0);
	listener_free(l);
	atomic_fetch_sub(&running, 1);
	return NULL;
}

/* Comes and goes; pages are left to unregister. */
static void *passing_guest(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < 2 * rounds; i++) {
		struct listener *l =
			listener_new(i % 2 ? PAGETRACK_STAY : PAGETRACK_FOLLOW);

		CHECK_EQ(pagetrack_add(l->node, 0, BASE, ALL, NULL), 0);
		let_write(3);
		listener_free(l);
	}
	atomic_fetch_sub(&running, 1);
	return NULL;
}

/* ---- transactions --------------------------------------------------------- */

static atomic_uint refuse_apply;

static int maybe_refuse(
	void *ctx, const struct memslot_txn *t, struct memslot_error *err)
{
	(void)ctx;
	(void)t;
	(void)err;
	return atomic_load(&refuse_apply) ? -ENXIO : 0;
}

static const struct memslot_participant_ops backend_ops = {
	.name = "backend", .apply = maybe_refuse};

static int swap_slots(bool swapped)
{
	const gpa_t low = (gpa_t)BASE * PAGE;
	const gpa_t high = (gpa_t)(BASE + HALF) * PAGE;
	struct memslot_txn *t;

	CHECK_EQ(memslot_begin(ms, &t, NULL), 0);
	memslot_move(t, 0, 0, swapped ? low : high, MEMSLOT_MOVE_KEEP);
	memslot_move(t, 0, 1, swapped ? high : low, MEMSLOT_MOVE_KEEP);
	return memslot_commit(t, NULL, NULL);
}

static void *mover(void *arg)
{
	bool swapped = false;
	unsigned long swaps = 0;

	(void)arg;
	for (unsigned i = 0; atomic_load(&running); i++) {
		int fail = i % 3 == 1;

		atomic_store(&refuse_apply, (unsigned)fail);
		CHECK_EQ(swap_slots(swapped), fail ? -ENXIO : 0);
		if (!fail) {
			swapped = !swapped;
			swaps++;
		}
		atomic_store(&refuse_apply, 0);
		if (i % 4 == 0)
			CHECK_EQ(memslots_set_slot_flags(ms, 0, i / 4 % 2,
					 i / 8 % 2 ? MEMSLOT_LOG_DIRTY : 0,
					 NULL),
				0);
		/* Writers must get on, or the others never do. */
		let_write(1);
	}
	CHECK(swaps > 0);
	return NULL;
}

int main(int argc, char **argv)
{
	struct memslot_participant backend = {.ops = &backend_ops};
	struct memslot_config c = {.size = (uint64_t)HALF * PAGE};
	pthread_t writers[WRITERS], listeners[STAYERS + 3], moves;
	struct memslot_reader r;
	const struct memslot *s;

	if (argc > 1)
		rounds = (unsigned)strtoul(argv[1], NULL, 0);
	mem = aligned_alloc(PAGE, (size_t)ALL * PAGE);
	memset(mem, 0, (size_t)ALL * PAGE);
	CHECK_EQ(memslots_create(&memslot_hosted, 1, &ms, NULL), 0);
	CHECK_EQ(pagetrack_create(ms, &pt, NULL), 0);
	CHECK_EQ(memslots_join(ms, &backend), 0);
	for (unsigned i = 0; i < 2; i++) {
		c.id = i;
		c.gpa = (gpa_t)(BASE + i * HALF) * PAGE;
		c.host = mem + (size_t)i * HALF * PAGE;
		CHECK_EQ(memslots_create_slot(ms, &c, NULL), 0);
	}
	atomic_store(&running, STAYERS + 3);
	for (uintptr_t i = 0; i < WRITERS; i++)
		pthread_create(&writers[i], NULL, writer, (void *)i);
	for (uintptr_t i = 0; i < STAYERS; i++)
		pthread_create(&listeners[i], NULL, stayer, (void *)i);
	pthread_create(&listeners[STAYERS], NULL, follower, NULL);
	pthread_create(&listeners[STAYERS + 1], NULL, passing_guest, NULL);
	pthread_create(&listeners[STAYERS + 2], NULL, half_follower, NULL);
	pthread_create(&moves, NULL, mover, NULL);
	for (unsigned i = 0; i < STAYERS + 3; i++)
		pthread_join(listeners[i], NULL);
	pthread_join(moves, NULL);
	for (unsigned i = 0; i < WRITERS; i++)
		pthread_join(writers[i], NULL);
	/* Nobody is left who tracks. */
	memslot_reader_init(&r, ms, NULL, NULL);
	memslot_enter(&r);
	for (gfn_t g = BASE; g < BASE + ALL; g++) {
		s = memslot_lookup(&r, 0, g);
		CHECK(s && !memslot_page_tracked(s, g));
	}
	memslot_leave(&r);
	memslot_reader_fini(&r);
	CHECK_EQ(memslots_quit(ms, &backend), 0);
	printf("%u and %u stores, map generation %llu\n",
		atomic_load(&finished[0]), atomic_load(&finished[1]),
		(unsigned long long)memslots_generation(ms));
	pagetrack_destroy(pt);
	memslots_destroy(ms);
	free(mem);
	return TEST_END("track_threads");
}
