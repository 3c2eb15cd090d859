/* SPDX-License-Identifier: MIT */
/*
 * test_large.c - where 2 MiB mappings are allowed, for every alignment of
 * guest and host, after moves, and with tracked pages
 *
 * The formula: the whole frame lies in the slot, guest and host agree modulo
 * 2 MiB, and no page of the frame is tracked.
 */
#include "tests/unit/slots.h"

#define FRAME MEMSLOT_LARGE_PAGES
#define KEEP  MEMSLOT_MOVE_KEEP

static struct bed b;

static bool naive(const struct memslot *s, gfn_t gfn)
{
	gfn_t first = gfn / FRAME * FRAME;
	uint64_t host_page = (uintptr_t)s->host / MEMSLOT_PAGE_SIZE;

	if (first < s->base_gfn ||
		first + FRAME > s->base_gfn + s->size_pages ||
		s->base_gfn % FRAME != host_page % FRAME)
		return false;
	for (gfn_t page = first; page < first + FRAME; page++)
		if (memslot_page_tracked(s, page))
			return false;
	return true;
}

/* Compare every `step`th page and the last; returns how many were wrong. */
static unsigned wrong(unsigned id, unsigned step, unsigned *allowed)
{
	const struct memslot *s;
	unsigned bad = 0;

	memslot_enter(&b.r);
	s = memslot_by_id(&b.r, 0, id);
	for (uint64_t i = 0; i < s->size_pages; i += step) {
		bad += memslot_large_ok(s, s->base_gfn + i) !=
		       naive(s, s->base_gfn + i);
		*allowed += memslot_large_ok(s, s->base_gfn + i);
	}
	bad += memslot_large_ok(s, s->base_gfn + s->size_pages - 1) !=
	       naive(s, s->base_gfn + s->size_pages - 1);
	memslot_leave(&b.r);
	return bad;
}

/* Every offset into a frame, sizes around the frame, host right and wrong. */
static void test_alignments(void)
{
	static const uint64_t sizes[] = {
		1, 2, 511, 512, 513, 767, 1023, 1024, 1025, 1535, 1536, 1537};
	unsigned bad = 0, allowed = 0;

	bed_open(&b, 1);
	for (uint64_t offset = 0; offset < FRAME; offset++)
		for (unsigned i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
			for (unsigned off = 0; off < 3; off++) {
				uint64_t host =
					offset + (off == 1          ? 1
							 : off == 2 ? 256
								    : 0);

				bad += bed_create(&b, 0, 1, 4 * FRAME + offset,
					       sizes[i], host, 0) != 0;
				bad += wrong(1, 127, &allowed);
				memslots_delete_slot(b.ms, 0, 1, NULL);
			}
	CHECK_EQ(bad, 0);
	CHECK(allowed > 1000);
	bed_close(&b);
}

/* Page by page, for a few. */
static void test_each_page(void)
{
	unsigned bad = 0, allowed = 0;

	bed_open(&b, 1);
	for (unsigned i = 0; i < 7; i++) {
		static const uint64_t offset[] = {0, 1, 255, 256, 510, 511, 0};

		bed_create(&b, 0, 1, FRAME + offset[i], 1600, offset[i], 0);
		bad += wrong(1, 1, &allowed);
		memslots_delete_slot(b.ms, 0, 1, NULL);
	}
	CHECK_EQ(bad, 0);
	CHECK_EQ(allowed, (3 + 2 + 2 + 2 + 3 + 3 + 3) * FRAME);
	bed_close(&b);
}

/* A moved slot gets a map for its new place; the number of frames changes. */
static void test_moves(void)
{
	uint64_t rng = 99;
	unsigned bad = 0, allowed = 0;

	bed_open(&b, 1);
	bed_create(&b, 0, 1, 0, 2 * FRAME, 3, 0);
	bed_create(&b, 0, 2, 100 * FRAME, FRAME + 1, FRAME, MEMSLOT_LOG_DIRTY);
	for (unsigned i = 0; i < 600; i++) {
		gfn_t to = rng_below(&rng, 40) * FRAME;

		if (i % 3)
			to += rng_below(&rng, FRAME);
		else
			to += i % 2 ? 3 : 0;
		memslots_move_slot(b.ms, 0, 1, to << 12, KEEP, NULL);
		bad += wrong(1, 31, &allowed);
		memslots_move_slot(
			b.ms, 0, 2, (to + 100 * FRAME) << 12, KEEP, NULL);
		bad += wrong(2, 31, &allowed);
	}
	CHECK_EQ(bad, 0);
	CHECK(allowed > 1000);
	bed_close(&b);
}

/* ---- tracked pages ------------------------------------------------------ */

static const struct memslot *enter_slot(void)
{
	memslot_enter(&b.r);
	return memslot_by_id(&b.r, 0, 1);
}

static void test_tracked(void)
{
	const struct memslot *s;
	uint64_t rng = 5;
	unsigned bad = 0, allowed = 0;
	static unsigned count[4 * FRAME];

	memset(count, 0, sizeof(count));
	bed_open(&b, 1);
	bed_create(&b, 0, 1, 7 * FRAME, 4 * FRAME, 0, 0);
	s = enter_slot();
	CHECK(!memslot_page_tracked(s, 7 * FRAME));
	CHECK(memslot_page_writable(s, 7 * FRAME));
	CHECK_EQ(memslot_track_down(s, 7 * FRAME), -EINVAL);
	CHECK_EQ(memslot_track_reserve(b.ms, s, &b.err), 0);
	CHECK_EQ(memslot_track_reserve(b.ms, s, &b.err), 0);
	CHECK_EQ(memslot_track_down(s, 7 * FRAME), -EINVAL);
	memslot_leave(&b.r);
	for (unsigned i = 0; i < 3000; i++) {
		unsigned page = (unsigned)rng_below(&rng, 12) * 186;
		bool up = rng_below(&rng, 5) < 2;
		int r, want = up || count[page] ? 0 : -EINVAL;

		s = enter_slot();
		r = up ? memslot_track_up(s, s->base_gfn + page)
		       : memslot_track_down(s, s->base_gfn + page);
		memslot_leave(&b.r);
		bad += r != want;
		if (!r)
			count[page] += up ? 1 : -1u;
		s = enter_slot();
		bad += memslot_page_tracked(s, s->base_gfn + page) !=
		       (count[page] > 0);
		bad += memslot_page_writable(s, s->base_gfn + page) !=
		       (count[page] == 0);
		memslot_leave(&b.r);
		if (i % 8 == 0)
			bad += wrong(1, 97, &allowed);
	}
	CHECK_EQ(bad, 0);
	CHECK(allowed > 100);
	bed_close(&b);
}

/* Skipping to the next tracked page, from everywhere. */
static void test_next_tracked(void)
{
	static const unsigned at[] = {0, 1, 77, 511, 512, 599};
	const struct memslot *s;
	unsigned bad = 0;

	bed_open(&b, 1);
	bed_create(&b, 0, 1, 1000, 600, 0, 0);
	s = enter_slot();
	for (gfn_t gfn = 1000; gfn < 1600; gfn++) {
		gfn_t found = gfn;

		bad += memslot_next_tracked(s, &found);
	}
	memslot_track_reserve(b.ms, s, NULL);
	for (unsigned i = 0; i < 6; i++)
		memslot_track_up(s, 1000 + at[i]);
	for (gfn_t gfn = 1000; gfn <= 1600; gfn++) {
		gfn_t found = gfn;
		unsigned i = 0;

		while (i < 6 && 1000 + at[i] < gfn)
			i++;
		bad += memslot_next_tracked(s, &found) != (i < 6);
		bad += i < 6 && found != 1000 + at[i];
	}
	memslot_leave(&b.r);
	CHECK_EQ(bad, 0);
	bed_close(&b);
}

/* Counts end at 65535, and a refused one more changes nothing. */
static void test_saturation(void)
{
	const struct memslot *s;
	unsigned bad = 0;

	bed_open(&b, 1);
	bed_create(&b, 0, 1, 0, FRAME, 0, 0);
	s = enter_slot();
	memslot_track_reserve(b.ms, s, NULL);
	for (unsigned i = 0; i < 65535; i++)
		bad += memslot_track_up(s, 9) != 0;
	CHECK_EQ(memslot_track_up(s, 9), -EOVERFLOW);
	CHECK_EQ(memslot_track_up(s, 9), -EOVERFLOW);
	CHECK(memslot_page_tracked(s, 9));
	CHECK(!memslot_page_tracked(s, 8));
	CHECK(!memslot_page_tracked(s, 10));
	CHECK_EQ(memslot_track_up(s, 10), 0);
	CHECK_EQ(memslot_track_down(s, 10), 0);
	CHECK(!memslot_large_ok(s, 0));
	for (unsigned i = 0; i < 65535; i++)
		bad += memslot_track_down(s, 9) != 0;
	CHECK_EQ(memslot_track_down(s, 9), -EINVAL);
	CHECK(!memslot_page_tracked(s, 9));
	CHECK(memslot_large_ok(s, 0));
	memslot_leave(&b.r);
	CHECK_EQ(bad, 0);
	bed_close(&b);
}

/* Counts stay through changes of flags, and leave a slot that moves. */
static void test_counts_and_changes(void)
{
	struct fault_plan plan = {0};
	const struct memslot *s;

	bed_open(&b, 1);
	bed_create(&b, 0, 1, 0, 2 * FRAME, 0, 0);
	s = enter_slot();
	memslot_track_reserve(b.ms, s, NULL);
	memslot_track_up(s, 3);
	memslot_leave(&b.r);
	CHECK_EQ(memslots_set_slot_flags(b.ms, 0, 1, MEMSLOT_READONLY, &b.err),
		0);
	CHECK_EQ(memslots_set_slot_flags(b.ms, 0, 1, 0, &b.err), 0);
	s = enter_slot();
	CHECK(memslot_page_tracked(s, 3));
	CHECK(!memslot_large_ok(s, 0));
	CHECK(memslot_large_ok(s, FRAME));
	memslot_leave(&b.r);
	/* a move that fails leaves both alone */
	memslots_set_faults(b.ms, &plan);
	fault_arm(&plan, FAULT_PREPARE_LARGE, 1, false);
	CHECK_EQ(memslots_move_slot(b.ms, 0, 1, 0x1000, KEEP, NULL), -ENOMEM);
	s = enter_slot();
	CHECK(memslot_page_tracked(s, 3));
	CHECK(!memslot_large_ok(s, 0));
	memslot_leave(&b.r);
	/* whoever counts brings the counts along; here nobody does */
	CHECK_EQ(memslots_move_slot(b.ms, 0, 1, 0x400000, KEEP, NULL), 0);
	s = enter_slot();
	CHECK(!memslot_page_tracked(s, 2 * FRAME + 3));
	CHECK(memslot_large_ok(s, 2 * FRAME));
	memslot_leave(&b.r);
	bed_close(&b);
}

static void test_reserve_fails(void)
{
	struct fault_plan plan = {0};
	const struct memslot *s;

	bed_open(&b, 1);
	bed_create(&b, 0, 1, 5, 20, 0, 0);
	memslots_set_faults(b.ms, &plan);
	fault_arm(&plan, FAULT_TRACK_RESERVE, 1, false);
	s = enter_slot();
	CHECK_EQ(memslot_track_reserve(b.ms, s, &b.err), -ENOMEM);
	CHECK_EQ(b.err.code, -ENOMEM);
	CHECK_TEXT(b.err.text, "slot 1 of space 0");
	CHECK_TEXT(b.err.text, "20 pages");
	CHECK(!memslot_page_tracked(s, 5));
	CHECK_EQ(memslot_track_reserve(b.ms, s, NULL), 0);
	memslot_leave(&b.r);
	bed_close(&b);
}

int main(void)
{
	test_alignments();
	test_each_page();
	test_moves();
	test_tracked();
	test_next_tracked();
	test_saturation();
	test_counts_and_changes();
	test_reserve_fails();
	return TEST_END("large");
}
