/* SPDX-License-Identifier: MIT */
/*
 * test_dirtycheck.c - the instruments of --move-slot notice a loss
 *
 * A write that the log does not know is counted as missed, one that it knows
 * is not; and a result with any loss in it is not "nothing lost".
 */
#include "tests/unit/slots.h"

#include "vmm/dirtycheck.h"
#include "vmm/mover.h"

static struct bed b;

static void write_page(unsigned page, bool mark)
{
	b.host[page * MEMSLOT_PAGE_SIZE + 7]++;
	memslot_enter(&b.r);
	if (mark)
		memslot_mark_dirty(memslot_by_id(&b.r, 0, 1), 0x100 + page);
	memslot_leave(&b.r);
}

static void test_dirtycheck(void)
{
	struct dirtycheck d;

	bed_open(&b, 1);
	CHECK_EQ(bed_create(&b, 0, 1, 0x100, 8, 0, MEMSLOT_LOG_DIRTY), 0);
	CHECK_EQ(dirtycheck_init(
			 &d, b.ms, 1, b.host, 8 * MEMSLOT_PAGE_SIZE, &b.err),
		0);
	write_page(1, true);
	write_page(7, true);
	dirtycheck_step(&d);
	dirtycheck_step(&d);
	CHECK_EQ(d.missed, 0);
	/* Just after a harvest: it is in the next one. */
	write_page(2, false);
	dirtycheck_step(&d);
	write_page(2, true);
	dirtycheck_step(&d);
	CHECK_EQ(d.missed, 0);
	/* Never marked. */
	write_page(3, false);
	dirtycheck_step(&d);
	CHECK_EQ(d.missed, 0);
	dirtycheck_step(&d);
	CHECK_EQ(d.missed, 1);
	dirtycheck_step(&d);
	dirtycheck_step(&d);
	CHECK_EQ(d.missed, 1); /* counted once */
	dirtycheck_fini(&d);
	bed_close(&b);
}

static void test_verdict(void)
{
	const struct mover_result good = {
		.moves_committed = 3,
		.writes_done = 10,
		.writes_seen = 10,
		.guest_reported = true,
	};
	struct mover_result r;

	CHECK(mover_lost_nothing(&good));
	r = good;
	r.writes_seen = 9;
	CHECK(!mover_lost_nothing(&r));
	CHECK_EQ(mover_writes_missed(&r), 1);
	r.writes_seen = 12; /* heard twice is as bad */
	CHECK(!mover_lost_nothing(&r));
	CHECK_EQ(mover_writes_missed(&r), 2);
	r = good;
	r.bytes_wrong = 1;
	CHECK(!mover_lost_nothing(&r));
	r = good;
	r.dirty_missed = 1;
	CHECK(!mover_lost_nothing(&r));
	r = good;
	r.guest_reported = false;
	CHECK(!mover_lost_nothing(&r));
}

int main(void)
{
	test_dirtycheck();
	test_verdict();
	return TEST_END("dirtycheck");
}
