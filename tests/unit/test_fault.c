/* SPDX-License-Identifier: MIT */
/*
 * test_fault.c - a plan fires when it should and counts what it saw; every
 * point of memslot/ is in the table, has a name, can be reached, and gives
 * the error of the step it stands for
 */
#include <pthread.h>

#include "tests/unit/slots.h"

static unsigned hits(struct fault_plan *p, unsigned point, unsigned times)
{
	unsigned n = 0;

	for (unsigned i = 0; i < times; i++)
		n += FAULT(p, point);
	return n;
}

static void test_counting(void)
{
	struct fault_plan p = {0};

	CHECK_EQ(hits(NULL, 1, 5), 0);
	CHECK_EQ(hits(&p, 1, 5), 0); /* a zeroed plan never fires */
	fault_arm(&p, 3, 2, false);
	CHECK_EQ(hits(&p, 4, 5), 0); /* another point */
	CHECK_EQ(p.seen, 0);
	CHECK_EQ(hits(&p, 3, 1), 0);
	CHECK_EQ(hits(&p, 3, 1), 1);
	CHECK_EQ(hits(&p, 3, 5), 0);
	CHECK_EQ(p.seen, 7);
	CHECK_EQ(p.fired, 1);
	CHECK_EQ(p.last, 3);

	fault_arm(&p, 3, 2, true);
	CHECK_EQ(p.seen, 0);
	CHECK_EQ(p.fired, 0);
	CHECK_EQ(p.last, 0);
	CHECK_EQ(hits(&p, 3, 1), 0);
	CHECK_EQ(hits(&p, 3, 5), 5);
	CHECK_EQ(p.fired, 5);

	fault_arm(&p, FAULT_ANY, 3, false);
	CHECK_EQ(hits(&p, 7, 2), 0);
	CHECK_EQ(hits(&p, 9, 1), 1);
	CHECK_EQ(p.last, 9);
	CHECK_EQ(hits(&p, 8, 3), 0);
	CHECK_EQ(p.seen, 6);
	CHECK_EQ(p.last, 9);
}

/* A plan that never fires still tells how often a point is reached. */
static void test_only_count(void)
{
	struct fault_plan p = {0};

	fault_arm(&p, FAULT_ANY, 0, false);
	CHECK_EQ(hits(&p, 1, 4), 0);
	CHECK_EQ(p.seen, 4);
	fault_arm(&p, 2, 0, true);
	CHECK_EQ(hits(&p, 1, 4), 0);
	CHECK_EQ(hits(&p, 2, 3), 0);
	CHECK_EQ(p.seen, 3);
	CHECK_EQ(p.fired, 0);
}

static struct fault_plan shared;

static void *hit_many(void *arg)
{
	(void)arg;
	return (void *)(uintptr_t)hits(&shared, 5, 10000);
}

/* Exactly one thread gets the nth time. */
static void test_threads(void)
{
	pthread_t thread[4];
	uintptr_t sum = 0;

	fault_arm(&shared, 5, 20000, false);
	for (unsigned i = 0; i < 4; i++)
		pthread_create(&thread[i], NULL, hit_many, NULL);
	for (unsigned i = 0; i < 4; i++) {
		void *fired;

		pthread_join(thread[i], &fired);
		sum += (uintptr_t)fired;
	}
	CHECK_EQ(sum, 1);
	CHECK_EQ(shared.seen, 40000);
}

static void test_table(void)
{
	unsigned count = 0;

	for (const struct fault_point *p = memslot_fault_points; p->name; p++) {
		CHECK_EQ(p->number, FAULT_BASE_MEMSLOT + count);
		CHECK(strchr(p->name, '.') || p->number == FAULT_HARVEST);
		CHECK(p->what && *p->what);
		CHECK(p->number < FAULT_BASE_PAGETRACK);
		for (const struct fault_point *q = memslot_fault_points; q < p;
			q++)
			CHECK(strcmp(p->name, q->name) != 0);
		count++;
	}
	CHECK_EQ(count, FAULT_MEMSLOT_END - FAULT_BASE_MEMSLOT);
}

static int apply_ok(
	void *ctx, const struct memslot_txn *t, struct memslot_error *err)
{
	(void)ctx;
	(void)t;
	(void)err;
	return 0;
}

static int undo_ok(void *ctx, const struct memslot_txn *t)
{
	(void)ctx;
	(void)t;
	return 0;
}

static int apply_refuses(
	void *ctx, const struct memslot_txn *t, struct memslot_error *err)
{
	(void)ctx;
	(void)t;
	err->code = -EAGAIN;
	return -EAGAIN;
}

static int pages_ok(void *ctx, unsigned space, gfn_t gfn, uint64_t size_pages,
	struct memslot_error *err)
{
	(void)ctx;
	(void)space;
	(void)gfn;
	(void)size_pages;
	(void)err;
	return 0;
}

static const struct memslot_participant_ops backend = {
	.name = "backend",
	.apply = apply_ok,
	.undo = undo_ok,
	.track = pages_ok,
	.sync_dirty = pages_ok,
};
static const struct memslot_participant_ops refuser = {
	.name = "refuser", .apply = apply_refuses};

/* With a harvest of slot 1 out: cut it, and delete the upper part. */
static int split_and_delete(struct bed *b)
{
	struct memslot_harvest *last = NULL;
	struct memslot_txn *t;
	int r = memslot_begin(b->ms, &t, &b->err);

	if (r)
		return r;
	memslot_split(t, 0, 1, 0x1000, 2);
	r = memslot_commit(t, NULL, &b->err);
	if (r)
		return r;
	r = memslot_begin(b->ms, &t, &b->err);
	if (r)
		return r;
	memslot_delete_harvest(t, 0, 2, &last);
	r = memslot_commit(t, NULL, &b->err);
	memslot_harvest_done(last);
	return r;
}

/* All steps of memslot/ there are, until one fails. */
static int everything(struct bed *b)
{
	struct memslot_harvest *h;
	const struct memslot *s;
	struct memslot_participant second = {.ops = &refuser};
	int r = bed_create(b, 0, 1, 0, 600, 0, MEMSLOT_LOG_DIRTY);

	if (!r)
		r = memslots_move_slot(
			b->ms, 0, 1, 0x1000000, MEMSLOT_MOVE_KEEP, &b->err);
	if (!r)
		r = memslot_harvest(b->ms, 0, 1, &h, &b->err);
	if (r)
		return r;
	r = split_and_delete(b);
	memslot_harvest_give_back(h);
	if (r)
		return r;
	r = memslots_populate(b->ms, 0, 0x1000, 1, &b->err);
	if (r)
		return r;
	memslot_enter(&b->r);
	s = memslot_by_id(&b->r, 0, 1);
	r = memslot_track_reserve(b->ms, s, &b->err);
	memslot_leave(&b->r);
	if (!r)
		r = memslots_track(b->ms, 0, 0x1000, 1, &b->err);
	if (r)
		return r;
	/* the way back: the second backend refuses */
	memslots_join(b->ms, &second);
	r = memslots_delete_slot(b->ms, 0, 1, &b->err);
	memslots_quit(b->ms, &second);
	return r == -EAGAIN ? 0 : r;
}

static void test_point(const struct fault_point *p)
{
	struct memslot_participant first = {.ops = &backend};
	struct fault_plan plan = {0};
	struct bed b;
	int want = p->number == FAULT_PREPARE_PARTICIPANT ? -EBUSY
		   : p->number == FAULT_UNDO_PARTICIPANT  ? -EIO
							  : -ENOMEM;

	bed_open(&b, 1);
	memslots_join(b.ms, &first);
	CHECK(memslots_faults(b.ms) == NULL);
	memslots_set_faults(b.ms, &plan);
	CHECK(memslots_faults(b.ms) == &plan);
	fault_arm(&plan, p->number, 1, false);
	if (!CHECK_EQ(everything(&b), want))
		fprintf(stderr, "at point %s\n", p->name);
	CHECK_EQ(plan.fired, 1);
	CHECK_EQ(plan.last, p->number);
	CHECK_EQ(b.err.code, want);
	CHECK(strlen(b.err.text) > 10);
	CHECK_EQ(memslots_broken(b.ms), p->number == FAULT_UNDO_PARTICIPANT);
	memslots_set_faults(b.ms, NULL);
	memslots_quit(b.ms, &first);
	bed_close(&b);
}

int main(void)
{
	test_counting();
	test_only_count();
	test_threads();
	test_table();
	for (const struct fault_point *p = memslot_fault_points; p->name; p++)
		test_point(p);
	return TEST_END("fault");
}
