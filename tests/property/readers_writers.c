/* SPDX-License-Identifier: MIT */
/*
 * readers_writers.c - readers see whole versions of the map, at full speed
 *
 *	readers_writers [transactions [readers]]
 *
 * A writer swaps two slots, and creates, moves, re-flags, replaces and
 * deletes others. Readers look by address, by id, by host address and in
 * order, and write to what they find. Two swapped slots are never seen at
 * one place, nor a third at theirs; slots of one look never overlap; the map
 * never goes back. That freed slots are not touched is for ASan to say, that
 * there are no races for TSan.
 */
#include <pthread.h>

#include "tests/unit/slots.h"

#define LEFT    0x100u
#define RIGHT   0x200u
#define CHURN   0x1000u
#define READERS 16u
#define SECONDS 10u
#define FEW     20 /* failures, and it is time to stop */
#define KEEP    MEMSLOT_MOVE_KEEP
#define LOG     MEMSLOT_LOG_DIRTY

struct reader {
	struct memslot_reader r;
	pthread_t thread;
	uint64_t rng;
	unsigned long looked; /* questions asked; no atomic: it would order */
	atomic_ulong looks, retries;
	atomic_bool kicked;
};

static struct bed b;
static struct reader readers[READERS];
static atomic_bool stop;
static unsigned changes;

/* A CHECK that does not make the readers share a cache line. */
static bool see(struct reader *me, bool held, const char *what, int line)
{
	me->looked++;
	if (!held && atomic_load(&test_failures) < FEW)
		test_check(0, what, __FILE__, line);
	return held;
}
#define SEE(cond) see(me, (cond), #cond, __LINE__)

static void kick(void *ctx)
{
	struct reader *me = ctx;

	atomic_store(&me->kicked, true);
}

/* Two of two: the swap is seen before, or after, or not yet to be used. */
static void look_at_swap(struct reader *me)
{
	const struct memslot *left, *right;

	memslot_enter(&me->r);
	left = memslot_lookup(&me->r, 0, LEFT + 1);
	right = memslot_lookup(&me->r, 0, RIGHT + 1);
	if (SEE(left && right)) {
		SEE(left->id + right->id == 3);
		SEE(memslot_by_id(&me->r, 0, left->id) == left);
		SEE(memslot_by_id(&me->r, 0, right->id) == right);
		SEE(left->base_gfn == LEFT && right->base_gfn == RIGHT);
		/* host memory knows whose it is */
		SEE(*memslot_host(left, LEFT << 12) == left->id);
		SEE(*memslot_host(right, RIGHT << 12) == right->id);
	}
	memslot_leave(&me->r);
}

/* In order, disjoint, each found by its id and by its memory. */
static void look_at_all(struct reader *me)
{
	const struct memslot *s, *h;
	gfn_t at = 0;
	unsigned n = 0;

	memslot_enter(&me->r);
	while ((s = memslot_next(&me->r, 0, at))) {
		SEE(s->base_gfn >= at && s->size_pages > 0);
		SEE(memslot_by_id(&me->r, 0, s->id) == s);
		h = memslot_by_host(&me->r, s->host, NULL);
		while (h && h != s)
			h = memslot_by_host(&me->r, s->host, h);
		SEE(h == s);
		at = s->base_gfn + s->size_pages;
		n++;
		if (atomic_exchange(&me->kicked, false))
			break; /* asked to leave: as a vCPU would */
	}
	memslot_leave(&me->r);
	SEE(n >= 1);
}

/* An access: waits where it must, then uses the slot to the full. */
static void access_memory(struct reader *me)
{
	gfn_t gfn = rng_below(&me->rng, 3)   ? CHURN + rng_below(&me->rng, 256)
		    : rng_below(&me->rng, 2) ? LEFT
					     : RIGHT;
	const struct memslot *s = memslot_enter_at(&me->r, 0, gfn);

	if (s) {
		SEE(memslot_contains(s, gfn));
		__atomic_fetch_add(
			memslot_host(s, (gfn << 12) + 64), 1, __ATOMIC_RELAXED);
		memslot_mark_dirty(s, gfn);
		memslot_large_ok(s, gfn);
		memslot_page_tracked(s, gfn);
	} else {
		SEE(gfn >= CHURN); /* LEFT and RIGHT are always there */
	}
	memslot_leave(&me->r);
}

/* The long way of memslot_enter_at(), by hand. */
static void wait_by_hand(struct reader *me)
{
	const struct memslot *s;

	for (;;) {
		bool invalid;

		memslot_enter(&me->r);
		s = memslot_lookup(&me->r, 0, LEFT + 2);
		invalid = SEE(s != NULL) && memslot_is_invalid(s);
		memslot_leave(&me->r);
		if (!invalid)
			return;
		atomic_fetch_add(&me->retries, 1);
		memslot_wait_valid(&me->r);
	}
}

static void *read_all(void *arg)
{
	struct reader *me = arg;
	uint64_t generation = 0;

	while (!atomic_load(&stop) && atomic_load(&test_failures) < FEW) {
		uint64_t g = memslots_generation(b.ms);

		SEE(g >= generation);
		generation = g;
		look_at_swap(me);
		look_at_all(me);
		access_memory(me);
		wait_by_hand(me);
		atomic_fetch_add(&me->looks, 1);
	}
	return NULL;
}

/* ---- the writer --------------------------------------------------------- */

static void swap(bool swapped)
{
	struct memslot_txn *t = bed_begin(&b);

	memslot_move(t, 0, 1, (gpa_t)(swapped ? RIGHT : LEFT) << 12, KEEP);
	memslot_move(t, 0, 2, (gpa_t)(swapped ? LEFT : RIGHT) << 12, KEEP);
	CHECK_EQ(memslot_commit(t, NULL, &b.err), 0);
}

/* Slot 10 + k has the window of 32 pages at CHURN + k * 32 to itself. */
static void churn(uint64_t *rng)
{
	unsigned k = (unsigned)rng_below(rng, 8), id = 10 + k;
	gfn_t base = CHURN + k * 32u;
	struct memslot_config c = bed_config(&b, 0, id,
		base + rng_below(rng, 16), 1 + rng_below(rng, 16),
		100 + rng_below(rng, 50), (uint32_t)rng_below(rng, 2));
	struct memslot_txn *t = bed_begin(&b);
	struct memslot_harvest *h;
	int r;

	switch (rng_below(rng, 6)) {
	case 0:
		memslot_delete(t, 0, id);
		break;
	case 1:
		memslot_delete(t, 0, id);
		memslot_create(t, &c);
		break;
	case 2:
		memslot_move(t, 0, id, c.gpa, (enum memslot_move_dirty)(k & 1));
		break;
	case 3:
		memslot_set_flags(t, 0, id, c.flags);
		break;
	default:
		memslot_create(t, &c);
		break;
	}
	r = memslot_commit(t, NULL, &b.err);
	CHECK(r == 0 || r == -ENOENT || r == -EEXIST);
	changes += !r;
	if (!memslot_harvest(b.ms, 0, id, &h, NULL)) {
		if (k & 1)
			memslot_harvest_give_back(h);
		else
			memslot_harvest_done(h);
	}
}

/*
 * Returns how many rounds were done: on a crowded machine each grace period
 * waits for a CPU, so there is an end to patience too.
 */
static unsigned long write_all(unsigned long transactions)
{
	uint64_t rng = 4711;
	struct fault_plan plan = {0};
	uint64_t end = b.pf.now_ns(&b) + SECONDS * 1000000000ull;
	unsigned long n;

	memslots_set_faults(b.ms, &plan);
	for (n = 0; n < transactions; n++) {
		if (b.pf.now_ns(&b) > end || atomic_load(&test_failures) >= FEW)
			break;
		swap(n & 1);
		churn(&rng);
		if (n % 7 == 0) { /* and one that fails, with slots invalid */
			memslots_set_order(b.ms, &memslot_order_legacy);
			fault_arm(&plan, FAULT_PREPARE_TRACK, 1, false);
			CHECK_EQ(memslots_move_slot(
					 b.ms, 0, 1, 0x9000000, KEEP, NULL),
				-ENOMEM);
			memslots_set_order(b.ms, &memslot_order_ours);
		}
	}
	/* everybody has had a turn: nobody is stuck */
	for (unsigned i = 0; i < READERS && readers[i].r.ms; i++)
		while (atomic_load(&readers[i].looks) < 3 &&
			atomic_load(&test_failures) < FEW)
			sched_yield();
	memslots_set_faults(b.ms, NULL);
	return n;
}

int main(int argc, char **argv)
{
	unsigned long transactions =
		argc > 1 ? strtoul(argv[1], NULL, 0) : 6000;
	unsigned count = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 0) : 3;
	unsigned long looks = 0, retries = 0;

	if (count < 1 || count > READERS)
		return 2;
	bed_open(&b, 1);
	bed_create(&b, 0, 1, RIGHT, 16, 0, LOG);
	bed_create(&b, 0, 2, LEFT, 16, 16, 0);
	b.host[0] = 1;
	b.host[16 * 4096] = 2;
	for (unsigned i = 0; i < count; i++) {
		struct reader *me = &readers[i];

		me->rng = i + 1;
		memslot_reader_init(&me->r, b.ms, i & 1 ? kick : NULL, me);
	}
	for (unsigned i = 0; i < count; i++)
		pthread_create(&readers[i].thread, NULL, read_all, &readers[i]);
	transactions = write_all(transactions);
	atomic_store(&stop, true);
	for (unsigned i = 0; i < count; i++) {
		pthread_join(readers[i].thread, NULL);
		looks += readers[i].looks;
		retries += readers[i].retries;
		atomic_fetch_add(&test_checks, readers[i].looked);
		memslot_reader_fini(&readers[i].r);
	}
	CHECK(transactions > 50);
	CHECK(changes > transactions / 8);
	bed_close(&b);
	printf("%lu swaps, %u other changes; %u readers: %lu rounds, %lu met "
	       "an invalid slot and came back\n",
		transactions, changes, count, looks, retries);
	return TEST_END("readers_writers");
}
