/* SPDX-License-Identifier: MIT */
/*
 * soft_flush.c - when `flush` has returned, no CPU writes the memory
 *
 * Law 1, phase 4, of the embedded CPU: a participant behind it looks at the
 * slot's memory from its own `flush`, while two harts store to it as fast as
 * they can. Once with one slot that moves, once with more slots in one
 * transaction than a hart's mailbox has room for.
 */
#include "tests/seed/guest.h"

#define EXTRA_SLOTS 24u
#define EXTRA_AT    0xa0000000ull
#define ROUNDS      40u

static struct {
	struct guest *g;
	unsigned flushes, changed;
} watch;

static void on_flush(void *ctx, const struct memslot_txn *t)
{
	static uint8_t before[GUEST_SIZE];

	(void)ctx;
	(void)t;
	memcpy(before, watch.g->mem, GUEST_SIZE);
	/* Not to order anything: time for a hart to do what it must not. */
	usleep(1000);
	watch.changed += memcmp(before, watch.g->mem, GUEST_SIZE) != 0;
	watch.flushes++;
}

static const struct memslot_participant_ops watcher_ops = {
	.name = "watcher",
	.flush = on_flush,
};

static void move_all(struct guest *g, unsigned extra, bool up)
{
	struct memslot_txn *t;

	CHECK_EQ(memslot_begin(g->m.slots, &t, NULL), 0);
	for (unsigned i = 0; i < extra; i++)
		memslot_move(t, 0, 100 + i,
			EXTRA_AT + (2 * i + up) * MEMSLOT_PAGE_SIZE,
			MEMSLOT_MOVE_KEEP);
	memslot_move(t, 0, GUEST_SLOT, GUEST_AT + (up ? GUEST_SIZE : 0),
		MEMSLOT_MOVE_KEEP);
	CHECK_EQ(memslot_commit(t, NULL, NULL), 0);
}

static void move_to_and_fro(struct guest *g, unsigned extra)
{
	struct memslot_participant watcher = {.ops = &watcher_ops};

	watch.g = g;
	watch.flushes = watch.changed = 0;
	CHECK_EQ(memslots_join(g->m.slots, &watcher), 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		move_all(g, extra, i % 2 == 0);
		guest_progress(g, 100);
	}
	CHECK_EQ(memslots_quit(g->m.slots, &watcher), 0);
	CHECK_EQ(watch.flushes, ROUNDS);
	CHECK_EQ(watch.changed, 0);
}

static void move_one(struct guest *g)
{
	move_to_and_fro(g, 0);
}

static void move_many(struct guest *g)
{
	move_to_and_fro(g, EXTRA_SLOTS);
}

static void run(void (*host)(struct guest *g), unsigned extra)
{
	const struct guest_work work[GUEST_HARTS] = {
		{GUEST_AT, GUEST_AT + GUEST_SIZE, 512, 3, false},
		{GUEST_AT + 0x1000, GUEST_AT + GUEST_SIZE + 0x1000, 512, 3,
			false},
	};
	static _Alignas(4096) uint8_t pages[EXTRA_SLOTS][4096];
	struct guest g;

	guest_open(&g, GUEST_HARTS, 0);
	for (unsigned i = 0; i < extra; i++) {
		const struct memslot_config c = {
			.id = 100 + i,
			.gpa = EXTRA_AT + 2 * i * MEMSLOT_PAGE_SIZE,
			.size = MEMSLOT_PAGE_SIZE,
			.host = pages[i],
		};

		CHECK_EQ(memslots_create_slot(g.m.slots, &c, NULL), 0);
	}
	guest_run(&g, work, host);
	guest_close(&g);
}

static void one_slot(void)
{
	run(move_one, 0);
}

static void more_than_a_mailbox(void)
{
	run(move_many, EXTRA_SLOTS);
}

static const struct claim claims[] = {
	CLAIM(one_slot, "one slot: nobody writes it after the flush"),
	CLAIM(more_than_a_mailbox, "many slots at once: the same"),
};

int main(int argc, char **argv)
{
	claims_show(argc, argv, claims, COUNT(claims));
	return sh_end("soft_flush", TEST_END("soft_flush, host side"));
}
