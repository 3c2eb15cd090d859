/* SPDX-License-Identifier: MIT */
/*
 * test_dirty.c - dirty bits are where the memory is: marked, harvested, done
 * or given back, carried by moves, kept by failures
 */
#include "tests/unit/slots.h"

#define LOG  MEMSLOT_LOG_DIRTY
#define RO   MEMSLOT_READONLY
#define KEEP MEMSLOT_MOVE_KEEP
#define ALL  MEMSLOT_MOVE_MARK_ALL

static struct bed b;

/* What to do with a slot inside a read section. */
static void mark(unsigned id, uint64_t page)
{
	const struct memslot *s;

	memslot_enter(&b.r);
	s = memslot_by_id(&b.r, 0, id);
	if (CHECK(s != NULL))
		memslot_mark_dirty(s, s->base_gfn + page);
	memslot_leave(&b.r);
}

static bool is_dirty(unsigned id, uint64_t page)
{
	const struct memslot *s;
	bool dirty = false;

	memslot_enter(&b.r);
	s = memslot_by_id(&b.r, 0, id);
	if (CHECK(s != NULL)) {
		dirty = memslot_page_dirty(s, s->base_gfn + page);
		/* a clean page of a logged slot is not for silent stores */
		CHECK_EQ(memslot_page_writable(s, s->base_gfn + page),
			!(s->flags & RO) && (!(s->flags & LOG) || dirty));
	}
	memslot_leave(&b.r);
	return dirty;
}

/* Exactly these pages of slot `id` are dirty; ends with -1. */
static void dirty_are(unsigned id, uint64_t pages, const int *want)
{
	unsigned bad = 0;

	for (uint64_t page = 0; page < pages; page++) {
		bool wanted = *want >= 0 && (uint64_t)*want == page;

		want += wanted;
		bad += is_dirty(id, page) != wanted;
	}
	CHECK_EQ(bad, 0);
}
#define DIRTY_ARE(id, pages, ...) \
	dirty_are(id, pages, (const int[]){__VA_ARGS__, -1})
#define NONE_DIRTY(id, pages) dirty_are(id, pages, (const int[]){-1})

static uint64_t dirty_count(unsigned id, uint64_t pages)
{
	uint64_t n = 0;

	for (uint64_t page = 0; page < pages; page++)
		n += is_dirty(id, page);
	return n;
}

static struct memslot_harvest *harvest(unsigned id)
{
	struct memslot_harvest *h = NULL;

	CHECK_EQ(memslot_harvest(b.ms, 0, id, &h, &b.err), 0);
	return h;
}

static int move(unsigned id, gfn_t gfn, enum memslot_move_dirty how)
{
	return memslots_move_slot(b.ms, 0, id, gfn << 12, how, &b.err);
}

static int flags(unsigned id, uint32_t f)
{
	return memslots_set_slot_flags(b.ms, 0, id, f, &b.err);
}

static void one_slot(uint64_t pages)
{
	bed_open(&b, 1);
	CHECK_EQ(bed_create(&b, 0, 1, 0x1003, pages, 0, LOG), 0);
}

/* ---- marking ------------------------------------------------------------ */

/* One page marked is one page dirty, at every boundary of a word. */
static void test_each_page(uint64_t pages)
{
	unsigned bad = 0;

	for (uint64_t page = 0; page < pages; page++) {
		struct memslot_harvest *h;

		one_slot(pages);
		mark(1, page);
		mark(1, page);
		for (uint64_t i = 0; i < pages; i++)
			bad += is_dirty(1, i) != (i == page);
		h = harvest(1);
		for (uint64_t i = 0; i < pages + 70; i++)
			bad += memslot_harvest_test(h, i) != (i == page);
		bad += memslot_harvest_count(h) != 1;
		bad += memslot_harvest_size_pages(h) != pages;
		bad += is_dirty(1, page);
		memslot_harvest_done(h);
		bad += dirty_count(1, pages) != 0;
		bed_close(&b);
	}
	CHECK_EQ(bad, 0);
}

static void test_without_log(void)
{
	struct memslot_harvest *h = NULL;

	one_slot(10);
	CHECK_EQ(bed_create(&b, 0, 2, 0, 10, 0, 0), 0);
	CHECK_EQ(bed_create(&b, 0, 3, 0x10, 10, 0, RO), 0);
	mark(2, 5);
	NONE_DIRTY(2, 10);
	NONE_DIRTY(3, 10);
	b.err.code = 0;
	CHECK_EQ(memslot_harvest(b.ms, 0, 2, &h, &b.err), -ENXIO);
	CHECK_EQ(b.err.code, -ENXIO);
	CHECK_TEXT(b.err.text, "slot 2 of space 0");
	CHECK_EQ(memslot_harvest(b.ms, 0, 7, &h, &b.err), -ENOENT);
	CHECK_EQ(b.err.code, -ENOENT);
	CHECK_TEXT(b.err.text, "slot 7");
	CHECK_EQ(memslot_harvest(b.ms, 1, 1, &h, &b.err), -EINVAL);
	CHECK_EQ(b.err.code, -EINVAL);
	CHECK_EQ(memslot_harvest(b.ms, 0, 32764, &h, &b.err), -EINVAL);
	CHECK_TEXT(b.err.text, "32764");
	CHECK_EQ(memslot_harvest(b.ms, 0, UINT32_MAX, &h, NULL), -EINVAL);
	CHECK_EQ(memslot_harvest(b.ms, 0, 32763, &h, NULL), -ENOENT);
	CHECK(h == NULL);
	memslot_harvest_done(NULL);
	memslot_harvest_give_back(NULL);
	bed_close(&b);
}

/* ---- harvests ----------------------------------------------------------- */

static void test_done_and_given_back(void)
{
	struct memslot_harvest *h, *empty;

	one_slot(130);
	mark(1, 0);
	mark(1, 64);
	mark(1, 129);
	h = harvest(1);
	NONE_DIRTY(1, 130);
	mark(1, 64); /* written again */
	mark(1, 65);
	DIRTY_ARE(1, 130, 64, 65);
	memslot_harvest_done(h);
	DIRTY_ARE(1, 130, 64, 65);

	h = harvest(1);
	empty = harvest(1);
	CHECK_EQ(memslot_harvest_count(h), 2);
	CHECK_EQ(memslot_harvest_count(empty), 0);
	mark(1, 128);
	memslot_harvest_give_back(h);
	DIRTY_ARE(1, 130, 64, 65, 128);
	memslot_harvest_give_back(empty);
	DIRTY_ARE(1, 130, 64, 65, 128);
	h = harvest(1);
	CHECK_EQ(memslot_harvest_count(h), 3);
	CHECK(memslot_harvest_test(h, 128));
	memslot_harvest_done(h);
	NONE_DIRTY(1, 130);
	CHECK_EQ(memslots_generation(b.ms), 1); /* no change of the map */
	bed_close(&b);
}

static void test_harvest_without_memory(void)
{
	struct fault_plan plan = {0};
	struct memslot_harvest *h = NULL;
	long live;

	one_slot(70);
	mark(1, 3);
	mark(1, 69);
	live = b.live;
	memslots_set_faults(b.ms, &plan);
	fault_arm(&plan, FAULT_ANY, 1, true);
	CHECK_EQ(memslot_harvest(b.ms, 0, 1, &h, &b.err), -ENOMEM);
	CHECK_EQ(b.err.code, -ENOMEM);
	CHECK_TEXT(b.err.text, "70");
	CHECK(h == NULL);
	CHECK_EQ(b.live, live);
	DIRTY_ARE(1, 70, 3, 69);
	bed_close(&b);
}

static unsigned protects;
static uint64_t left_dirty;

static void on_protect(
	void *ctx, unsigned space, gfn_t gfn, uint64_t size_pages)
{
	(void)ctx;
	protects++;
	CHECK_EQ(space, 0);
	CHECK_EQ(gfn, 0x1003);
	CHECK_EQ(size_pages, 40);
	left_dirty = dirty_count(1, 40);
}

static const struct memslot_participant_ops protector = {
	.name = "protector", .protect = on_protect};

/* Write permission goes when the bits are gone already: see dirty.c. */
static void test_protects(void)
{
	struct memslot_participant p = {.ops = &protector};
	struct memslot_harvest *h;

	one_slot(40);
	memslots_join(b.ms, &p);
	mark(1, 7);
	protects = 0;
	left_dirty = 99;
	h = harvest(1);
	CHECK_EQ(protects, 1);
	CHECK_EQ(left_dirty, 0);
	memslot_harvest_give_back(h);
	CHECK_EQ(protects, 1);
	memslots_quit(b.ms, &p);
	bed_close(&b);
}

/* ---- moves -------------------------------------------------------------- */

static void test_move(uint64_t pages)
{
	one_slot(pages);
	mark(1, 0);
	CHECK_EQ(move(1, 0x2000, KEEP), 0);
	DIRTY_ARE(1, pages, 0);
	mark(1, pages - 1);
	CHECK_EQ(move(1, 0x2001, KEEP), 0); /* onto itself */
	CHECK_EQ(dirty_count(1, pages), pages > 1 ? 2 : 1);
	CHECK(is_dirty(1, pages - 1));
	CHECK_EQ(move(1, 0x3007, ALL), 0);
	CHECK_EQ(dirty_count(1, pages), pages);
	memslot_harvest_done(harvest(1));
	CHECK_EQ(dirty_count(1, pages), 0);
	bed_close(&b);
}

/* No bit beyond the last page is marked, nor counted. */
static void test_move_counts(uint64_t pages)
{
	struct memslot_harvest *h;

	one_slot(pages);
	CHECK_EQ(move(1, 0x3008, ALL), 0);
	h = harvest(1);
	CHECK_EQ(memslot_harvest_count(h), pages);
	memslot_harvest_done(h);
	/* not logged before: there is nothing to keep, and all to mark */
	CHECK_EQ(flags(1, 0), 0);
	CHECK_EQ(move(1, 0x4000, ALL), 0);
	CHECK_EQ(flags(1, LOG), 0);
	CHECK_EQ(dirty_count(1, pages), 0);
	bed_close(&b);
}

/* The last move of a transaction has the say. */
static void test_two_moves(enum memslot_move_dirty last)
{
	struct memslot_txn *t;

	one_slot(10);
	mark(1, 4);
	t = bed_begin(&b);
	memslot_move(t, 0, 1, 0x5000, last == KEEP ? ALL : KEEP);
	memslot_move(t, 0, 1, 0x9000, last);
	CHECK_EQ(memslot_commit(t, NULL, &b.err), 0);
	CHECK_EQ(dirty_count(1, 10), last == KEEP ? 1 : 10);
	CHECK(is_dirty(1, 4));
	/* there and back again: no move at all */
	memslot_harvest_done(harvest(1));
	mark(1, 2);
	t = bed_begin(&b);
	memslot_move(t, 0, 1, 0x5000, ALL);
	memslot_move(t, 0, 1, 0x9000, ALL);
	CHECK_EQ(memslot_commit(t, NULL, &b.err), 0);
	DIRTY_ARE(1, 10, 2);
	bed_close(&b);
}

/* Move and change of flags in one: as if one after the other. */
static void test_move_with_flags(void)
{
	struct memslot_txn *t;

	one_slot(10);
	mark(1, 4);
	t = bed_begin(&b);
	memslot_move(t, 0, 1, 0x5000, KEEP);
	memslot_set_flags(t, 0, 1, LOG | RO);
	CHECK_EQ(memslot_commit(t, NULL, &b.err), 0);
	DIRTY_ARE(1, 10, 4);
	t = bed_begin(&b);
	memslot_move(t, 0, 1, 0x9000, ALL);
	memslot_set_flags(t, 0, 1, 0);
	CHECK_EQ(memslot_commit(t, NULL, &b.err), 0);
	NONE_DIRTY(1, 10);
	t = bed_begin(&b);
	memslot_set_flags(t, 0, 1, LOG);
	memslot_move(t, 0, 1, 0xa000, ALL);
	CHECK_EQ(memslot_commit(t, NULL, &b.err), 0);
	CHECK_EQ(dirty_count(1, 10), 10);
	bed_close(&b);
}

/* Two logged slots change places: each keeps its own. */
static void test_swap(void)
{
	struct memslot_txn *t;

	one_slot(10);
	CHECK_EQ(bed_create(&b, 0, 2, 0x50, 70, 10, LOG), 0);
	mark(1, 9);
	mark(2, 65);
	t = bed_begin(&b);
	memslot_move(t, 0, 1, 0x50000, KEEP);
	memslot_move(t, 0, 2, 0x1003000, KEEP);
	CHECK_EQ(memslot_commit(t, NULL, &b.err), 0);
	DIRTY_ARE(1, 10, 9);
	DIRTY_ARE(2, 70, 65);
	bed_close(&b);
}

/* ---- flags -------------------------------------------------------------- */

static void test_flags(void)
{
	one_slot(10);
	mark(1, 3);
	CHECK_EQ(flags(1, LOG | RO), 0);
	DIRTY_ARE(1, 10, 3);
	CHECK_EQ(flags(1, LOG), 0);
	DIRTY_ARE(1, 10, 3);
	CHECK_EQ(flags(1, RO), 0); /* forgets */
	NONE_DIRTY(1, 10);
	CHECK_EQ(flags(1, LOG), 0); /* begins anew */
	NONE_DIRTY(1, 10);
	mark(1, 9);
	DIRTY_ARE(1, 10, 9);
	bed_close(&b);
}

/* Deleted and created again is new memory: clean. */
static void test_replace(void)
{
	struct memslot_config c;
	struct memslot_txn *t;

	one_slot(10);
	mark(1, 3);
	t = bed_begin(&b);
	memslot_delete(t, 0, 1);
	c = bed_config(&b, 0, 1, 0x1003, 10, 0, LOG);
	memslot_create(t, &c);
	CHECK_EQ(memslot_commit(t, NULL, &b.err), 0);
	NONE_DIRTY(1, 10);
	t = bed_begin(&b);
	memslot_delete(t, 0, 1);
	c = bed_config(&b, 0, 1, 0x90, 200, 0, LOG);
	memslot_create(t, &c);
	memslot_move(t, 0, 1, 0x1003000, ALL);
	CHECK_EQ(memslot_commit(t, NULL, &b.err), 0);
	mark(1, 199);
	DIRTY_ARE(1, 200, 199);
	bed_close(&b);
}

/* ---- failures ----------------------------------------------------------- */

static int code_to_give;

static int refuse(
	void *ctx, const struct memslot_txn *t, struct memslot_error *err)
{
	(void)ctx;
	(void)t;
	err->code = code_to_give;
	return code_to_give;
}

static const struct memslot_participant_ops refuses_apply = {
	.name = "refuses apply", .apply = refuse};
static const struct memslot_participant_ops refuses_prepare = {
	.name = "refuses prepare", .prepare = refuse};

static void test_failed(const struct memslot_participant_ops *ops,
	const struct memslot_order *order)
{
	struct memslot_participant p = {.ops = ops};
	struct memslot_txn *t;

	one_slot(10);
	mark(1, 3);
	memslots_set_order(b.ms, order);
	memslots_join(b.ms, &p);
	code_to_give = -EFBIG;
	CHECK_EQ(move(1, 0x20, ALL), -EFBIG);
	DIRTY_ARE(1, 10, 3);
	CHECK_EQ(move(1, 0x20, KEEP), -EFBIG);
	DIRTY_ARE(1, 10, 3);
	CHECK_EQ(flags(1, 0), -EFBIG);
	DIRTY_ARE(1, 10, 3);
	CHECK_EQ(memslots_delete_slot(b.ms, 0, 1, &b.err), -EFBIG);
	DIRTY_ARE(1, 10, 3);
	t = bed_begin(&b);
	memslot_set_flags(t, 0, 1, 0);
	memslot_move(t, 0, 1, 0x77000, ALL);
	CHECK_EQ(memslot_commit(t, NULL, &b.err), -EFBIG);
	DIRTY_ARE(1, 10, 3);
	mark(1, 4);
	code_to_give = 0;
	CHECK_EQ(move(1, 0x20, KEEP), 0);
	DIRTY_ARE(1, 10, 3, 4);
	memslots_quit(b.ms, &p);
	bed_close(&b);
}

/* ---- harvests across changes -------------------------------------------- */

static void test_give_back_after_move(enum memslot_move_dirty how)
{
	struct memslot_harvest *h;

	one_slot(100);
	mark(1, 70);
	h = harvest(1);
	CHECK_EQ(move(1, 0x9000, how), 0);
	if (how == ALL)
		memslot_harvest_done(harvest(1));
	NONE_DIRTY(1, 100);
	CHECK_EQ(flags(1, LOG | RO), 0);
	CHECK_EQ(move(1, 0x9005, KEEP), 0);
	CHECK_EQ(memslot_harvest_size_pages(h), 100);
	memslot_harvest_give_back(h);
	DIRTY_ARE(1, 100, 70);
	bed_close(&b);
}

/* Nothing to give back to, or somebody else: harmless either way. */
static void test_give_back_after_delete(unsigned how)
{
	struct memslot_harvest *h;
	struct memslot_config c;
	struct memslot_txn *t;

	one_slot(100);
	mark(1, 70);
	h = harvest(1);
	t = bed_begin(&b);
	memslot_delete(t, 0, 1);
	c = bed_config(&b, 0, 1, 0x1003, 5, 0, LOG);
	if (how == 1)
		memslot_create(t, &c);
	CHECK_EQ(memslot_commit(t, NULL, NULL), 0);
	if (how == 2)
		memslots_create_slot(b.ms, &c, NULL);
	CHECK(memslot_harvest_test(h, 70));
	CHECK_EQ(memslot_harvest_size_pages(h), 100);
	CHECK_EQ(memslot_harvest_count(h), 1);
	memslot_harvest_give_back(h);
	if (how)
		NONE_DIRTY(1, 5);
	bed_close(&b);
}

/* The log was turned off meanwhile. */
static void test_give_back_after_flags(void)
{
	struct memslot_harvest *h, *h2;

	one_slot(100);
	mark(1, 70);
	h = harvest(1);
	h2 = harvest(1);
	CHECK_EQ(flags(1, 0), 0);
	memslot_harvest_give_back(h);
	NONE_DIRTY(1, 100);
	memslot_harvest_done(h2);
	CHECK_EQ(flags(1, LOG), 0);
	NONE_DIRTY(1, 100);
	bed_close(&b);
}

int main(void)
{
	static const uint64_t sizes[] = {1, 2, 63, 64, 65, 127, 128, 129, 200};

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		test_each_page(sizes[i]);
		test_move(sizes[i]);
		test_move_counts(sizes[i]);
	}
	test_without_log();
	test_done_and_given_back();
	test_harvest_without_memory();
	test_protects();
	test_two_moves(KEEP);
	test_two_moves(ALL);
	test_move_with_flags();
	test_swap();
	test_flags();
	test_replace();
	test_failed(&refuses_apply, &memslot_order_ours);
	test_failed(&refuses_prepare, &memslot_order_ours);
	test_failed(&refuses_apply, &memslot_order_legacy);
	test_failed(&refuses_prepare, &memslot_order_legacy);
	test_give_back_after_move(KEEP);
	test_give_back_after_move(ALL);
	for (unsigned how = 0; how < 3; how++)
		test_give_back_after_delete(how);
	test_give_back_after_flags();
	return TEST_END("dirty");
}
