/* SPDX-License-Identifier: MIT */
/*
 * seed_dirty.c - claims about the dirty log of slots that move and go
 */
#include "tests/seed/guest.h"

#define AWAY 0xa0001000ull
#define LOG  MEMSLOT_LOG_DIRTY

static struct guest g;

/*
 * Hart 0 fills 16 pages with words, hart 1 one word in each of 1024: more
 * than a harvest can be ahead of.
 */
static const struct guest_work work[GUEST_HARTS] = {
	{GUEST_AT, AWAY, 2048, 5, true},
	{GUEST_AT + 0x100000, AWAY + 0x100000, 1024, 12, true},
};

/* ---- claim 20: dirty bits and moves ------------------------------------- */

static struct memslot_reader dev;

static int dma(gpa_t gpa)
{
	const uint8_t byte = 1;

	return pagetrack_guest_write(g.m.track, &dev, 0, gpa, &byte, 1,
		(struct pagetrack_source){PAGETRACK_DEVICE, 1});
}

static bool window_failing;

/* In the window: the slot is invalid; the write is of this very thread. */
static int in_window(
	void *ctx, const struct memslot_txn *t, struct memslot_error *err)
{
	(void)ctx;
	(void)t;
	CHECK_EQ(dma(GUEST_AT + 0x2000), 0);
	if (!window_failing)
		return 0;
	err->code = -ENOSPC;
	return -ENOSPC;
}

static const struct memslot_participant_ops window_ops = {
	.name = "window", .apply = in_window};

/* Which pages of the slot are dirty? The first 64. */
static uint64_t dirty_pages(void)
{
	struct memslot_harvest *h;
	uint64_t bits = 0;

	if (!CHECK_EQ(memslot_harvest(g.m.slots, 0, GUEST_SLOT, &h, NULL), 0))
		return 0;
	for (unsigned i = 0; i < 64; i++)
		bits |= (uint64_t)memslot_harvest_test(h, i) << i;
	CHECK_EQ(memslot_harvest_count(h),
		bits == UINT64_MAX ? GUEST_PAGES
				   : (uint64_t)__builtin_popcountll(bits));
	memslot_harvest_done(h);
	return bits;
}

/*
 * Claim 20. Christopherson: MOVE + LOG_DIRTY is broken, bits are not shifted;
 * withdrawn: bits are relative to the slot. Shown: pages written before the
 * move, in its window, and after it (at the new place, or at the old one if
 * it failed) are reported under the same page numbers of the slot, and no
 * others; if all pages are to be marked, all are.
 */
static void bits_are_slot_relative(void)
{
	struct memslot_participant p = {.ops = &window_ops};

	for (unsigned i = 0; i < 3; i++) {
		gpa_t at = i == 1 ? GUEST_AT : AWAY;

		guest_open(&g, 1, LOG);
		memslot_reader_init(&dev, g.m.slots, NULL, NULL);
		CHECK_EQ(memslots_join(g.m.slots, &p), 0);
		window_failing = i == 1;
		CHECK_EQ(dma(GUEST_AT + 0x1000), 0);
		CHECK_EQ(memslots_move_slot(g.m.slots, 0, GUEST_SLOT, AWAY,
				 i == 2 ? MEMSLOT_MOVE_MARK_ALL
					: MEMSLOT_MOVE_KEEP,
				 NULL),
			i == 1 ? -ENOSPC : 0);
		CHECK_EQ(dma(at + 0x3000), 0);
		CHECK_EQ(dirty_pages(), i == 2 ? UINT64_MAX : 0xe);
		CHECK_EQ(dma(at + 0x5000), 0);
		CHECK_EQ(dirty_pages(), 1 << 5);
		CHECK_EQ(memslots_quit(g.m.slots, &p), 0);
		memslot_reader_fini(&dev);
		guest_close(&g);
	}
}

/* ---- under writing harts ------------------------------------------------ */

/*
 * What a migration does: copy the pages that were harvested. If no write is
 * lost the copy is the memory once the harts have stopped.
 */
static uint8_t *copy;
static uint64_t copied;

static void copy_harvest(struct memslot_harvest *h)
{
	uint64_t first = memslot_harvest_first_page(h);

	for (uint64_t i = 0; i < memslot_harvest_size_pages(h); i++)
		if (memslot_harvest_test(h, first + i)) {
			memcpy(copy + (first + i) * 4096,
				g.mem + (first + i) * 4096, 4096);
			copied++;
		}
	memslot_harvest_done(h);
}

static void harvest_and_copy(void)
{
	struct memslot_harvest *h;

	if (CHECK_EQ(memslot_harvest(g.m.slots, 0, GUEST_SLOT, &h, NULL), 0))
		copy_harvest(h);
}

static void migrate(void (*host)(struct guest *guest))
{
	guest_open(&g, GUEST_HARTS, LOG);
	copy = calloc(GUEST_PAGES, 4096);
	copied = 0;
	guest_run(&g, work, host);
	harvest_and_copy();
	CHECK(copied > 100);
	CHECK(!memcmp(copy, g.mem, GUEST_SIZE));
	for (unsigned k = 0; k < GUEST_HARTS; k++)
		CHECK(guest_words_right(&g, k, &work[k], k ? 0x100000 : 0));
	free(copy);
	guest_close(&g);
}

static void move_and_harvest(struct guest *guest)
{
	struct memslot_harvest *h;

	for (unsigned i = 0; i < 60; i++) {
		CHECK_EQ(memslot_harvest(
				 guest->m.slots, 0, GUEST_SLOT, &h, NULL),
			0);
		guest_move(guest, i & 1 ? GUEST_AT : AWAY, MEMSLOT_MOVE_KEEP,
			i % 8 == 3);
		if (i % 3)
			memslot_harvest_give_back(h);
		else
			copy_harvest(h);
		if (i % 4 == 0)
			guest_progress(guest, 20);
		harvest_and_copy();
	}
}

/*
 * Claim 20 again, under running harts: the slot moves sixty times, sometimes
 * failing at every step, while two harts write and harvests are taken, given
 * back and copied. In the end the copy is the memory.
 */
static void no_bit_is_lost_in_moves(void)
{
	migrate(move_and_harvest);
}

/* Delete, take the last bits, and create again: one transaction. */
static struct memslot_harvest *get_and_delete(bool again, bool failing)
{
	struct memslot_harvest *h = NULL;
	struct memslot_config c = guest_slot(&g, LOG);

	for (unsigned nth = 1; nth < 1000; nth++) {
		struct memslot_txn *t;
		int r;

		fault_arm(&g.plan, FAULT_ANY, failing ? nth : 0, false);
		r = memslot_begin(g.m.slots, &t, NULL);
		if (!r) {
			memslot_delete_harvest(t, 0, GUEST_SLOT, &h);
			if (again)
				memslot_create(t, &c);
			r = memslot_commit(t, NULL, NULL);
		}
		fault_arm(&g.plan, FAULT_ANY, 0, false);
		CHECK(!r == !!h);
		if (!r)
			return h;
		CHECK(failing);
	}
	CHECK(!"it fails for ever");
	return NULL;
}

static void delete_many_times(struct guest *guest)
{
	for (unsigned i = 0; i < 60; i++) {
		struct memslot_harvest *h = get_and_delete(true, i % 8 == 5);

		/* both harts go on writing; the new log has what they write */
		if (h)
			copy_harvest(h);
		if (i % 4 == 0)
			guest_progress(guest, 20);
	}
}

/*
 * Section 7.5. DELETE throws away the bits since the last get; in KVM one has
 * to stop all writers first. Shown: get-and-delete is one transaction; a slot
 * is deleted and created sixty times under two harts that write, and what the
 * harvests said is all that was written.
 */
static void no_bit_is_lost_in_deletes(void)
{
	migrate(delete_many_times);
}

#define WRITERS 2

struct writer {
	pthread_t thread;
	unsigned number;
	uint64_t wrote; /* pages, one bit each: 64 */
	unsigned long writes;
};

/* Until there is no memory any more: pages of its own, round and round. */
static void *write_until_gone(void *arg)
{
	struct writer *wr = arg;
	struct memslot_reader r;
	uint64_t rng = wr->number * 77 + 1;

	memslot_reader_init(&r, g.m.slots, NULL, NULL);
	for (;;) {
		unsigned page;
		uint8_t byte = 1;

		rng ^= rng << 13;
		rng ^= rng >> 7;
		rng ^= rng << 17;
		page = (unsigned)(rng % 64);
		if (pagetrack_guest_write(NULL, &r, 0,
			    GUEST_AT + (wr->number * 64 + page) * 4096ull,
			    &byte, 1,
			    (struct pagetrack_source){
				    PAGETRACK_DEVICE, wr->number}))
			break;
		wr->wrote |= (uint64_t)1 << page;
		wr->writes++;
	}
	memslot_reader_fini(&r);
	return NULL;
}

/*
 * The same with a slot that stays away: devices write until they are told
 * that there is no memory. Each page of which a write was performed is in the
 * last harvest. In two steps, harvest and delete, the write between them is
 * in none: the counter-example.
 */
static void last_harvest_has_all(void)
{
	struct memslot_harvest *h;

	for (unsigned round = 0; round < 40; round++) {
		struct writer wr[WRITERS] = {{.number = 0}, {.number = 1}};

		guest_open(&g, 1, LOG);
		for (unsigned i = 0; i < WRITERS; i++)
			if (!CHECK(!pthread_create(&wr[i].thread, NULL,
				    write_until_gone, &wr[i])))
				exit(1);
		usleep(round % 8 * 50);
		h = get_and_delete(false, false);
		for (unsigned i = 0; i < WRITERS; i++) {
			pthread_join(wr[i].thread, NULL);
			for (unsigned page = 0; h && page < 64; page++)
				if (!CHECK_EQ(memslot_harvest_test(
						      h, i * 64 + page),
					    wr[i].wrote >> page & 1))
					break;
		}
		memslot_harvest_done(h);
		guest_close(&g);
	}
	guest_open(&g, 1, LOG);
	memslot_reader_init(&dev, g.m.slots, NULL, NULL);
	CHECK_EQ(dirty_pages(), 0);
	CHECK_EQ(dma(GUEST_AT), 0);
	CHECK_EQ(memslots_delete_slot(g.m.slots, 0, GUEST_SLOT, NULL), 0);
	CHECK_EQ(memslot_harvest(g.m.slots, 0, GUEST_SLOT, &h, NULL), -ENOENT);
	memslot_reader_fini(&dev);
	guest_close(&g);
}

static const struct claim claims[] = {
	CLAIM(bits_are_slot_relative, "20: dirty bits before, in and after a "
				      "move have the same numbers"),
	CLAIM(no_bit_is_lost_in_moves,
		"20: nor is one lost when slots move under vCPUs"),
	CLAIM(no_bit_is_lost_in_deletes,
		"7.5: get-and-delete is one transaction: no write is lost"),
	CLAIM(last_harvest_has_all, "7.5: a slot's last harvest has every "
				    "write that was performed"),
};

int main(int argc, char **argv)
{
	claims_show(argc, argv, claims, COUNT(claims));
	return sh_end("seed_dirty", TEST_END("seed_dirty, host side"));
}
