/* SPDX-License-Identifier: MIT */
/*
 * test_populate.c - what is populated stays so, wherever the memory is
 */
#include "tests/unit/slots.h"

#include <pthread.h>

static struct bed b;
static struct fault_plan plan;

/* What the backend was asked for, since it was last looked at. */
static struct {
	unsigned calls;
	gfn_t gfn[8];
	uint64_t pages[8];
	int from_flush; /* a populate from inside flush returned this */
} asked;

static void on_populate(
	void *ctx, unsigned space, gfn_t gfn, uint64_t size_pages)
{
	(void)ctx;
	CHECK_EQ(space, 0);
	if (asked.calls < 8) {
		asked.gfn[asked.calls] = gfn;
		asked.pages[asked.calls] = size_pages;
	}
	asked.calls++;
}

static void on_flush(void *ctx, const struct memslot_txn *t)
{
	(void)ctx;
	(void)t;
	asked.from_flush = memslots_populate(b.ms, 0, 0x100, 1, NULL);
}

static int on_apply(
	void *ctx, const struct memslot_txn *t, struct memslot_error *err)
{
	(void)ctx;
	(void)t;
	(void)err;
	return 0;
}

static const struct memslot_participant_ops backend_ops = {
	.name = "backend",
	.populate = on_populate,
	.flush = on_flush,
	.apply = on_apply,
};

static struct memslot_participant backend = {.ops = &backend_ops};

static void begin(void)
{
	bed_open(&b, 1);
	CHECK_EQ(memslots_join(b.ms, &backend), 0);
	memslots_set_faults(b.ms, &plan);
	fault_arm(&plan, FAULT_ANY, 0, false);
	CHECK_EQ(bed_create(&b, 0, 1, 0x100, 16, 0, 0), 0);
	CHECK_EQ(bed_create(&b, 0, 2, 0x110, 16, 16, 0), 0);
	memset(&asked, 0, sizeof(asked));
}

static void end(void)
{
	CHECK_EQ(memslots_quit(b.ms, &backend), 0);
	bed_close(&b);
}

static bool asked_for(unsigned i, gfn_t gfn, uint64_t pages)
{
	return i < asked.calls && asked.gfn[i] == gfn &&
	       asked.pages[i] == pages;
}

static int populate(gfn_t gfn, uint64_t pages)
{
	return memslots_populate(b.ms, 0, gfn, pages, &b.err);
}

static void test_errors(void)
{
	begin();
	CHECK_EQ(memslots_populate(b.ms, 1, 0x100, 1, &b.err), -EINVAL);
	CHECK_EQ(populate((gfn_t)1 << 40, 1), -EINVAL);
	CHECK_EQ(populate(0x100, (uint64_t)1 << 40), -EINVAL);
	CHECK_EQ(populate(0xff, 1), -ENOENT);
	CHECK_EQ(populate(0x99, 0), -ENOENT);
	CHECK_EQ(populate(0x118, 16), -ENOENT);
	CHECK_TEXT(b.err.text, "0x120");
	fault_arm(&plan, FAULT_POPULATE, 1, false);
	CHECK_EQ(populate(0x100, 1), -ENOMEM);
	CHECK_EQ(asked.calls, 0);
	end();
}

static void test_ranges(void)
{
	begin();
	CHECK_EQ(populate(0x108, 0), 0); /* to the end of the slot */
	CHECK(asked.calls == 1 && asked_for(0, 0x108, 8));
	asked.calls = 0;
	CHECK_EQ(populate(0x10f, 3), 0); /* over two slots */
	CHECK(asked.calls == 2 && asked_for(0, 0x10f, 1) &&
		asked_for(1, 0x110, 2));
	end();
}

static void test_moves(void)
{
	struct memslot_txn *t;

	begin();
	CHECK_EQ(populate(0x102, 3), 0);
	CHECK_EQ(populate(0x10c, 1), 0);
	memset(&asked, 0, sizeof(asked));
	CHECK_EQ(memslots_move_slot(
			 b.ms, 0, 1, 0x4000000, MEMSLOT_MOVE_KEEP, &b.err),
		0);
	CHECK_EQ(asked.from_flush, -EAGAIN);
	CHECK(asked.calls == 2 && asked_for(0, 0x4002, 3) &&
		asked_for(1, 0x400c, 1));

	/* A move that fails after the flush: there again. */
	memset(&asked, 0, sizeof(asked));
	fault_arm(&plan, FAULT_APPLY_PARTICIPANT, 1, false);
	CHECK_EQ(memslots_move_slot(
			 b.ms, 0, 1, 0x100000, MEMSLOT_MOVE_KEEP, &b.err),
		-ENOMEM);
	CHECK(asked.calls == 2 && asked_for(0, 0x4002, 3) &&
		asked_for(1, 0x400c, 1));

	/* One that fails in prepare took nothing away. */
	memset(&asked, 0, sizeof(asked));
	fault_arm(&plan, FAULT_PREPARE_LARGE, 1, false);
	CHECK_EQ(memslots_move_slot(
			 b.ms, 0, 1, 0x100000, MEMSLOT_MOVE_KEEP, &b.err),
		-ENOMEM);
	CHECK_EQ(asked.calls, 0);

	/* A split takes each part to its half. */
	t = bed_begin(&b);
	memslot_split(t, 0, 1, 0x3000, 7);
	memslot_move(t, 0, 7, 0x9000000, MEMSLOT_MOVE_KEEP);
	CHECK_EQ(memslot_commit(t, NULL, &b.err), 0);
	CHECK(asked.calls == 3 && asked_for(0, 0x4002, 1) &&
		asked_for(1, 0x9000, 2) && asked_for(2, 0x9009, 1));
	end();
}

static _Atomic(bool) stop;

static void *mover(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < 2000; i++)
		memslots_move_slot(b.ms, 0, 1, i % 2 ? 0x100000 : 0x4000000,
			MEMSLOT_MOVE_KEEP, NULL);
	atomic_store(&stop, true);
	return NULL;
}

/* Racing with moves it ends with success or with a code, never not at all. */
static void test_race(void)
{
	unsigned done = 0, again = 0, gone = 0;
	pthread_t thread;

	begin();
	backend.ops = &(const struct memslot_participant_ops){
		.name = "quiet", .apply = on_apply};
	pthread_create(&thread, NULL, mover, NULL);
	while (!atomic_load(&stop)) {
		int r = populate(0x100, 16);

		done += r == 0;
		again += r == -EAGAIN;
		gone += r == -ENOENT;
		if (!CHECK(r == 0 || r == -EAGAIN || r == -ENOENT))
			break;
	}
	pthread_join(thread, NULL);
	CHECK(done + again + gone > 0);
	end();
	backend.ops = &backend_ops;
}

int main(void)
{
	test_errors();
	test_ranges();
	test_moves();
	test_race();
	return TEST_END("populate");
}
