/* SPDX-License-Identifier: MIT */
/*
 * test_batch.c - a thousand operations are one change, or none
 *
 * Two hundred slots; a transaction rotates all of them by one place, splits
 * each, takes a dirty log in for its lower half, moves the upper halves away
 * and deletes every other one: a thousand operations. It is one generation.
 * It fails as a whole when the last of them is wrong, and wherever memory
 * ends.
 */
#include "tests/unit/slots.h"

#define SLOTS 200u
#define PAGES 4u
#define UPPER 1000u   /* id of an upper half, and */
#define AWAY  0x8000u /* where it goes */
#define LOG   MEMSLOT_LOG_DIRTY

static struct bed b;

static gfn_t place(unsigned i)
{
	return 0x100 + (gfn_t)(i % SLOTS) * PAGES;
}

/* 5 operations for each slot. */
static struct memslot_txn *batch(void)
{
	struct memslot_txn *t = bed_begin(&b);

	for (unsigned i = 0; i < SLOTS; i++) {
		memslot_move(t, 0, i, place(i + 1) << 12, MEMSLOT_MOVE_KEEP);
		memslot_split(t, 0, i, PAGES / 2 << 12, UPPER + i);
		memslot_set_flags(t, 0, i, LOG);
		memslot_move(t, 0, UPPER + i, (AWAY + place(i)) << 12,
			MEMSLOT_MOVE_KEEP);
		if (i % 2)
			memslot_delete(t, 0, UPPER + i);
		else
			memslot_set_flags(t, 0, UPPER + i, MEMSLOT_READONLY);
	}
	return t;
}

static void begin(void)
{
	bed_open(&b, 1);
	for (unsigned i = 0; i < SLOTS; i++)
		CHECK_EQ(
			bed_create(&b, 0, i, place(i), PAGES, i * PAGES, 0), 0);
}

static void is_before(void)
{
	CHECK_EQ(memslots_generation(b.ms), SLOTS);
	CHECK_EQ(bed_count(&b), SLOTS);
	for (unsigned i = 0; i < SLOTS; i++)
		CHECK(bed_has(&b, 0, i, place(i), PAGES, i * PAGES, 0));
}

static void is_after(void)
{
	CHECK_EQ(memslots_generation(b.ms), SLOTS + 1);
	CHECK_EQ(bed_count(&b), SLOTS + SLOTS / 2);
	for (unsigned i = 0; i < SLOTS; i++) {
		CHECK(bed_has(
			&b, 0, i, place(i + 1), PAGES / 2, i * PAGES, LOG));
		CHECK(i % 2 ? !bed_look_id(&b, 0, UPPER + i).there
			    : bed_has(&b, 0, UPPER + i, AWAY + place(i),
				      PAGES / 2, i * PAGES + PAGES / 2,
				      MEMSLOT_READONLY));
	}
}

static void test_all(void)
{
	struct memslot_result result;

	begin();
	CHECK_EQ(memslot_commit(batch(), &result, &b.err), 0);
	CHECK_EQ(result.changes, SLOTS + SLOTS / 2);
	is_after();
	bed_close(&b);
}

static void test_last_is_wrong(void)
{
	struct memslot_txn *t;

	begin();
	t = batch();
	memslot_delete(t, 0, 7777);
	CHECK_EQ(memslot_commit(t, NULL, &b.err), -ENOENT);
	CHECK_TEXT(b.err.text, "operation 1000 (delete) on slot 7777");
	is_before();
	/* and one that only the end state shows to be wrong */
	t = batch();
	memslot_move(t, 0, 0, place(5) << 12, MEMSLOT_MOVE_KEEP);
	CHECK_EQ(memslot_commit(t, NULL, &b.err), -EEXIST);
	is_before();
	bed_close(&b);
}

/* Some thousand allocations: each 37th fails. */
static void test_no_memory(void)
{
	struct fault_plan plan = {0};
	unsigned tried = 0;
	int r = -ENOMEM;

	begin();
	memslots_set_faults(b.ms, &plan);
	for (uint64_t nth = 1; r; nth += 37, tried++) {
		struct memslot_txn *t = batch();

		fault_arm(&plan, FAULT_ANY, nth, nth & 1);
		r = memslot_commit(t, NULL, &b.err);
		fault_arm(&plan, FAULT_ANY, 0, false);
		CHECK(!r || r == -ENOMEM);
		if (r)
			CHECK_EQ(memslots_generation(b.ms), SLOTS);
		if (r && tried % 8 == 0)
			is_before();
	}
	CHECK(tried > 20);
	is_after();
	memslots_set_faults(b.ms, NULL);
	bed_close(&b);
}

int main(void)
{
	test_all();
	test_last_is_wrong();
	test_no_memory();
	return TEST_END("test_batch");
}
