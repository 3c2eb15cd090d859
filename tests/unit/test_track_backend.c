/* SPDX-License-Identifier: MIT */
/*
 * test_track_backend.c - what a CPU backend asks of the tracker, and refuses
 *
 * A backend whose mappings depend on what is tracked asks in `apply` which
 * pages will be tracked, and seals the tracker until the layout is adopted.
 * What it was told must be what is tracked afterwards.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "tests/unit/slots.h"

#include "memslot/error.h"
#include "pagetrack/pagetrack.h"

#define PAGES    8u
#define FIRST(n) ((gfn_t)0x100 * (n))
#define NAMED    64u

static uint8_t memory[4][PAGES * 4096] __attribute__((aligned(4096)));

struct backend {
	struct memslots *ms;
	struct pagetrack *pt;
	struct memslot_participant part;
	struct pagetrack_node *stay, *follow;
	/* what it was told in apply */
	gfn_t named[NAMED];
	unsigned named_count, untracked, published;
	/* what it answers */
	int track, untrack, apply, sync;
	/* somebody who adds a page while the tracker is sealed */
	bool with_thread;
	pthread_t thread;
	_Atomic(bool) ready;
	int added;
};

static void name(void *ctx, unsigned space, gfn_t gfn)
{
	struct backend *b = ctx;

	CHECK_EQ(space, 0);
	if (CHECK(b->named_count < NAMED))
		b->named[b->named_count++] = gfn;
}

static void *add_one(void *ctx)
{
	struct backend *b = ctx;

	atomic_store(&b->ready, true);
	b->added = pagetrack_add(b->stay, 0, FIRST(3) + 1, 1, NULL);
	return NULL;
}

static int on_apply(
	void *ctx, const struct memslot_txn *t, struct memslot_error *err)
{
	struct backend *b = ctx;

	pagetrack_txn_seal(b->pt);
	b->named_count = 0;
	pagetrack_txn_pages(b->pt, t, name, b);
	if (b->with_thread) {
		pthread_create(&b->thread, NULL, add_one, b);
		while (!atomic_load(&b->ready))
			;
	}
	return b->apply ? memslot_fail(err, b->apply, "refused") : 0;
}

static void on_published(void *ctx, const struct memslot_txn *t)
{
	struct backend *b = ctx;

	b->published++;
}

static int on_track(void *ctx, unsigned space, gfn_t gfn, uint64_t size_pages,
	struct memslot_error *err)
{
	struct backend *b = ctx;

	return b->track ? memslot_fail(err, b->track, "no room") : 0;
}

static int on_untrack(void *ctx, unsigned space, gfn_t gfn, uint64_t size_pages)
{
	struct backend *b = ctx;

	b->untracked++;
	return b->untrack;
}

static int on_sync(void *ctx, unsigned space, gfn_t gfn, uint64_t size_pages,
	struct memslot_error *err)
{
	struct backend *b = ctx;

	return b->sync ? memslot_fail(err, b->sync, "not now") : 0;
}

static const struct memslot_participant_ops ops = {
	.name = "backend",
	.apply = on_apply,
	.published = on_published,
	.track = on_track,
	.untrack = on_untrack,
	.sync_dirty = on_sync,
};

static void slot(struct backend *b, unsigned id, gfn_t gfn, uint32_t flags)
{
	struct memslot_config c = {.id = id,
		.gpa = gfn << MEMSLOT_PAGE_SHIFT,
		.size = PAGES << MEMSLOT_PAGE_SHIFT,
		.host = memory[id],
		.flags = flags};

	CHECK_EQ(memslots_create_slot(b->ms, &c, NULL), 0);
}

static void open_bed(struct backend *b)
{
	static const struct pagetrack_ops none = {.name = "node"};

	*b = (struct backend){0};
	CHECK_EQ(memslots_create(&memslot_hosted, 1, &b->ms, NULL), 0);
	CHECK_EQ(pagetrack_create(b->ms, &b->pt, NULL), 0);
	slot(b, 1, FIRST(1), MEMSLOT_LOG_DIRTY);
	slot(b, 2, FIRST(2), 0);
	slot(b, 3, FIRST(3), 0);
	CHECK_EQ(pagetrack_register(
			 b->pt, &none, NULL, PAGETRACK_STAY, &b->stay, NULL),
		0);
	CHECK_EQ(pagetrack_register(b->pt, &none, NULL, PAGETRACK_FOLLOW,
			 &b->follow, NULL),
		0);
	b->part.ops = &ops;
	b->part.ctx = b;
	CHECK_EQ(memslots_join(b->ms, &b->part), 0);
}

static void close_bed(struct backend *b)
{
	memslots_quit(b->ms, &b->part);
	pagetrack_unregister(b->stay);
	pagetrack_unregister(b->follow);
	pagetrack_destroy(b->pt);
	memslots_destroy(b->ms);
}

static bool told(const struct backend *b, gfn_t gfn)
{
	for (unsigned i = 0; i < b->named_count; i++)
		if (b->named[i] == gfn)
			return true;
	return false;
}

/* Of the two slots that change places, what was said is what is. */
static void what_is_said_holds(void)
{
	struct memslot_txn *t;
	struct backend b;
	uint64_t before;

	open_bed(&b);
	before = pagetrack_version(b.pt);
	CHECK_EQ(pagetrack_add(b.stay, 0, FIRST(1) + 1, 2, NULL), 0);
	CHECK_EQ(pagetrack_add(b.follow, 0, FIRST(1) + 2, 2, NULL), 0);
	CHECK_EQ(pagetrack_add(b.follow, 0, FIRST(2) + 5, 1, NULL), 0);
	CHECK_EQ(pagetrack_add(b.stay, 0, FIRST(3), 1, NULL), 0);
	CHECK(pagetrack_version(b.pt) != before);
	CHECK_EQ(memslot_begin(b.ms, &t, NULL), 0);
	memslot_move(t, 0, 1, FIRST(2) << 12, MEMSLOT_MOVE_KEEP);
	memslot_move(t, 0, 2, FIRST(1) << 12, MEMSLOT_MOVE_KEEP);
	b.with_thread = true;
	CHECK_EQ(memslot_commit(t, NULL, NULL), 0);
	pthread_join(b.thread, NULL);
	CHECK_EQ(b.added, 0);
	CHECK(pagetrack_tracks(b.stay, 0, FIRST(3) + 1));
	CHECK_EQ(b.published, 1);
	for (unsigned n = 1; n <= 2; n++)
		for (gfn_t gfn = FIRST(n); gfn < FIRST(n) + PAGES; gfn++)
			CHECK_EQ(told(&b, gfn),
				pagetrack_tracks(b.stay, 0, gfn) ||
					pagetrack_tracks(b.follow, 0, gfn));
	/* a slot that stays is not told of */
	CHECK(!told(&b, FIRST(3)));
	/* one that goes: its pages will be nowhere */
	b.with_thread = false;
	CHECK_EQ(memslots_delete_slot(b.ms, 0, 2, NULL), 0);
	CHECK_EQ(b.named_count, 0);
	close_bed(&b);
}

/* Slots that are new, or only change their flags, have no pages to name. */
static void nothing_to_say(void)
{
	struct memslot_txn *t;
	struct backend b;
	struct memslot_config c = {.id = 0,
		.gpa = FIRST(7) << 12,
		.size = PAGES << 12,
		.host = memory[0]};

	open_bed(&b);
	CHECK_EQ(pagetrack_add(b.stay, 0, FIRST(2), PAGES, NULL), 0);
	CHECK_EQ(memslot_begin(b.ms, &t, NULL), 0);
	memslot_create(t, &c);
	memslot_set_flags(t, 0, 2, MEMSLOT_LOG_DIRTY);
	CHECK_EQ(memslot_commit(t, NULL, NULL), 0);
	CHECK_EQ(b.named_count, 0);
	CHECK_EQ(pagetrack_size_pages(b.stay), PAGES);
	close_bed(&b);
}

/* The tracker's own refusal comes before anybody seals. */
static void a_refusing_node(void)
{
	static const struct pagetrack_ops none = {.name = "refuses"};
	struct pagetrack_node *refuse;
	struct backend b;

	open_bed(&b);
	CHECK_EQ(pagetrack_register(
			 b.pt, &none, NULL, PAGETRACK_REFUSE, &refuse, NULL),
		0);
	CHECK_EQ(pagetrack_add(refuse, 0, FIRST(2), 1, NULL), 0);
	CHECK_EQ(memslots_delete_slot(b.ms, 0, 2, NULL), -EBUSY);
	CHECK_EQ(b.published, 0);
	pagetrack_unregister(refuse);
	CHECK(b.untracked > 0);
	CHECK_EQ(memslots_delete_slot(b.ms, 0, 2, NULL), 0);
	close_bed(&b);
}

/* A seal ends with a change that fails, too. */
static void a_failed_change_unseals(void)
{
	struct backend b;

	open_bed(&b);
	CHECK_EQ(pagetrack_add(b.follow, 0, FIRST(1), 1, NULL), 0);
	b.apply = -ENOSPC;
	b.with_thread = true;
	CHECK_EQ(memslots_move_slot(
			 b.ms, 0, 1, FIRST(8) << 12, MEMSLOT_MOVE_KEEP, NULL),
		-ENOSPC);
	pthread_join(b.thread, NULL);
	CHECK_EQ(b.added, 0);
	CHECK_EQ(b.published, 0);
	CHECK(told(&b, FIRST(8)));
	CHECK(!memslots_broken(b.ms));
	CHECK_EQ(pagetrack_remove(b.follow, 0, FIRST(1), 1, NULL), 0);
	close_bed(&b);
}

static void a_refusal_changes_nothing(void)
{
	struct memslot_harvest *h;
	struct memslot_error err;
	struct backend b;

	open_bed(&b);
	CHECK_EQ(pagetrack_add(b.stay, 0, FIRST(1), 1, NULL), 0);
	b.track = -ENOSPC;
	CHECK_EQ(pagetrack_add(b.stay, 0, FIRST(1), 3, &err), -ENOSPC);
	CHECK_EQ(pagetrack_add(b.stay, 0, FIRST(1) + 1, 1, NULL), -ENOSPC);
	CHECK_EQ(pagetrack_size_pages(b.stay), 1);
	CHECK(!pagetrack_tracks(b.stay, 0, FIRST(1) + 1));
	CHECK(!memslots_broken(b.ms));
	b.sync = -ENOMEM;
	CHECK_EQ(memslot_harvest(b.ms, 0, 1, &h, &err), -ENOMEM);
	CHECK_EQ(memslot_harvest(b.ms, 0, 1, &h, NULL), -ENOMEM);
	b.sync = 0;
	CHECK_EQ(memslot_harvest(b.ms, 0, 1, &h, NULL), 0);
	memslot_harvest_done(h);
	close_bed(&b);
}

/* What cannot be taken back breaks the machine, whoever says so. */
static void not_recoverable(void)
{
	struct memslot_error err;
	struct backend b;

	open_bed(&b);
	b.track = -ENOTRECOVERABLE;
	CHECK_EQ(pagetrack_add(b.stay, 0, FIRST(1), 1, &err), -EIO);
	CHECK(memslots_broken(b.ms));
	close_bed(&b);

	open_bed(&b);
	CHECK_EQ(pagetrack_add(b.stay, 0, FIRST(1), 1, NULL), 0);
	b.untrack = -ENOTRECOVERABLE;
	CHECK_EQ(pagetrack_remove(b.stay, 0, FIRST(1), 1, &err), -EIO);
	CHECK(!pagetrack_tracks(b.stay, 0, FIRST(1)));
	CHECK(b.untracked > 0);
	CHECK(memslots_broken(b.ms));
	close_bed(&b);

	open_bed(&b);
	b.apply = -ENOTRECOVERABLE;
	CHECK_EQ(memslots_move_slot(
			 b.ms, 0, 1, FIRST(8) << 12, MEMSLOT_MOVE_KEEP, NULL),
		-EIO);
	CHECK(memslots_broken(b.ms));
	close_bed(&b);
}

int main(void)
{
	what_is_said_holds();
	nothing_to_say();
	a_refusing_node();
	a_failed_change_unseals();
	a_refusal_changes_nothing();
	not_recoverable();
	return TEST_END("test_track_backend");
}
