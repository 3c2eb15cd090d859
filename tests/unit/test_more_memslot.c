/* SPDX-License-Identifier: MIT */
/*
 * test_more_memslot.c - refusals of the reshaping operations, pieces that do
 * not fit together again, and corners of the smaller files
 *
 * Every refusal must be the documented error, name the operation, and leave
 * the map as it was.
 */
#include "memslot/error.h"
#include "memslot/map.h"
#include "tests/unit/slots.h"

#include <limits.h>

#define P MEMSLOT_PAGE_SIZE

static struct bed b;

/*
 * Slots 1 to 4 are neighbours in guest memory; 1 and 2 fit together, 3 has
 * other flags, 4 other host memory. 5 is alone.
 */
static void neighbours(void)
{
	bed_open(&b, 2);
	CHECK_EQ(bed_create(&b, 0, 1, 100, 8, 0, MEMSLOT_LOG_DIRTY), 0);
	CHECK_EQ(bed_create(&b, 0, 2, 108, 4, 8, MEMSLOT_LOG_DIRTY), 0);
	CHECK_EQ(bed_create(&b, 0, 3, 112, 4, 12, 0), 0);
	CHECK_EQ(bed_create(&b, 0, 4, 116, 4, 30, 0), 0);
	CHECK_EQ(bed_create(&b, 0, 5, 200, 4, 40, 0), 0);
}

static bool unchanged(void)
{
	return bed_count(&b) == 5 && memslots_generation(b.ms) == 5 &&
	       bed_has(&b, 0, 1, 100, 8, 0, MEMSLOT_LOG_DIRTY) &&
	       bed_has(&b, 0, 2, 108, 4, 8, MEMSLOT_LOG_DIRTY) &&
	       bed_has(&b, 0, 3, 112, 4, 12, 0);
}

static void mark(unsigned space, gfn_t gfn)
{
	memslot_enter(&b.r);
	memslot_mark_dirty(memslot_lookup(&b.r, space, gfn), gfn);
	memslot_leave(&b.r);
}

/* The dirty pages of slot `id`, first page first, as "x..x". */
static const char *dirty_of(unsigned id)
{
	static char text[64];
	const struct memslot *s;
	unsigned n = 0;

	memslot_enter(&b.r);
	s = memslot_by_id(&b.r, 0, id);
	for (; s && n < s->size_pages; n++)
		text[n] = memslot_page_dirty(s, s->base_gfn + n) ? 'x' : '.';
	text[n] = '\0';
	memslot_leave(&b.r);
	return text;
}

static void commits(struct memslot_txn *t)
{
	CHECK_EQ(memslot_commit(t, NULL, &b.err), 0);
}

/* ---- refusals ----------------------------------------------------------------- */

enum what { RESIZE, SPLIT, MERGE, HOST };

static const struct refusal {
	enum what what;
	unsigned id, other;
	uint64_t value; /* bytes, or a host address */
	int code;
	const char *says;
} refusals[] = {
	{RESIZE, 9, 0, P, -ENOENT, "no such slot"},
	{RESIZE, 1, 0, 0, -EINVAL, "size is 0"},
	{RESIZE, 1, 0, P + 1, -EINVAL, "not a multiple"},
	{RESIZE, 1, 0, (MEMSLOT_PAGES_MAX + 1) * P, -E2BIG, "more than"},
	{RESIZE, 1, 0, 9 * P, -EEXIST, "overlap"},
	{SPLIT, 9, 8, P, -ENOENT, "no such slot"},
	{SPLIT, 1, 2, P, -EEXIST, "id 2 is in use"},
	{SPLIT, 1, 9, 0, -EDOM, "not inside"},
	{SPLIT, 1, 9, 8 * P, -EDOM, "not inside"},
	{SPLIT, 1, 9, 100, -EINVAL, "not a multiple"},
	{SPLIT, 1, 1, P, -EINVAL, "must differ"},
	{SPLIT, 1, MEMSLOT_IDS_MAX, P, -EINVAL, "other slot's id"},
	{MERGE, 9, 1, 0, -ENOENT, "no such slot"},
	{MERGE, 1, 9, 0, -ENOENT, "no slot 9 to merge"},
	{MERGE, 1, 1, 0, -EINVAL, "must differ"},
	{MERGE, 1, MEMSLOT_IDS_MAX, 0, -EINVAL, "other slot's id"},
	{MERGE, 2, 1, 0, -EDOM, "upper neighbour"}, /* the wrong way round */
	{MERGE, 1, 5, 0, -EDOM, "upper neighbour"}, /* far away */
	{MERGE, 3, 4, 0, -EDOM, "upper neighbour"}, /* other host memory */
	{MERGE, 2, 3, 0, -EDOM, "same flags"},
	{HOST, 9, 0, P, -ENOENT, "no such slot"},
	{HOST, 1, 0, 0, -EINVAL, "NULL"},
	{HOST, 1, 0, P + 8, -EINVAL, "not a multiple"},
	{HOST, 1, 0, (1ull << 56) + P, -EINVAL, "not user memory"},
	{HOST, 1, 0, (1ull << 56) - P, -EINVAL, "not user memory"},
};

static void record(struct memslot_txn *t, const struct refusal *r)
{
	switch (r->what) {
	case RESIZE:
		memslot_resize(t, 0, r->id, r->value);
		break;
	case SPLIT:
		memslot_split(t, 0, r->id, r->value, r->other);
		break;
	case MERGE:
		memslot_merge(t, 0, r->id, r->other);
		break;
	case HOST:
		memslot_replace_host(t, 0, r->id, (void *)(uintptr_t)r->value,
			MEMSLOT_HOST_COPY);
	}
}

static void test_refusals(void)
{
	static const char *const name[] = {
		"(resize)", "(split)", "(merge)", "(replace host)"};

	neighbours();
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		const struct refusal *r = &refusals[i];
		struct memslot_txn *t = bed_begin(&b);

		record(t, r);
		if (!CHECK_EQ(memslot_commit(t, NULL, &b.err), r->code))
			fprintf(stderr, "case %zu: %s\n", i, b.err.text);
		CHECK_TEXT(b.err.text, r->says);
		if (r->code != -EEXIST)
			CHECK_TEXT(b.err.text, name[r->what]);
		CHECK(unchanged());
	}
	bed_close(&b);
}

/* The limits of guest and host memory hold for what a slot grows to. */
static void test_grows_too_far(void)
{
	const gfn_t last = (MEMSLOT_GPA_LIMIT >> MEMSLOT_PAGE_SHIFT) - 2;
	struct memslot_config c = {
		0, 2, 0, P, (void *)(uintptr_t)((1ull << 56) - 2 * P), 0};
	struct memslot_txn *t;

	bed_open(&b, 1);
	CHECK_EQ(bed_create(&b, 0, 1, last, 1, 0, 0), 0);
	CHECK_EQ(memslots_create_slot(b.ms, &c, &b.err), 0);
	t = bed_begin(&b);
	memslot_resize(t, 0, 1, 2 * P);
	memslot_resize(t, 0, 2, 2 * P);
	commits(t);
	t = bed_begin(&b);
	memslot_resize(t, 0, 1, 3 * P);
	CHECK_EQ(memslot_commit(t, NULL, &b.err), -ERANGE);
	t = bed_begin(&b);
	memslot_resize(t, 0, 2, 3 * P);
	CHECK_EQ(memslot_commit(t, NULL, &b.err), -EINVAL);
	bed_close(&b);
}

/* Two slots that are each allowed can be too large together. */
static void test_merge_too_large(void)
{
	const uint64_t half = (MEMSLOT_PAGES_MAX + 1) / 2;
	uint8_t *host = (uint8_t *)(uintptr_t)(1ull << 50);
	struct memslot_config lo = {0, 1, 0, half * P, host, 0};
	struct memslot_config hi = {
		0, 2, half * P, half * P, host + half * P, 0};
	struct memslot_txn *t;

	bed_open(&b, 1);
	CHECK_EQ(memslots_create_slot(b.ms, &lo, &b.err), 0);
	CHECK_EQ(memslots_create_slot(b.ms, &hi, &b.err), 0);
	t = bed_begin(&b);
	memslot_merge(t, 0, 1, 2);
	CHECK_EQ(memslot_commit(t, NULL, &b.err), -E2BIG);
	bed_close(&b);
}

/* A slot whose bytes will be copied does not merge with one that stays. */
static void test_merge_half_copied(void)
{
	struct memslot_txn *t;

	neighbours();
	t = bed_begin(&b);
	memslot_replace_host(t, 0, 3, b.host + 26 * P, MEMSLOT_HOST_COPY);
	memslot_merge(t, 0, 3, 4);
	CHECK_EQ(memslot_commit(t, NULL, &b.err), -EDOM);
	CHECK(unchanged());
	bed_close(&b);
}

/* What moved in order to be merged is at a new address: all is dirty. */
static void test_merge_moved(void)
{
	struct memslot_txn *t;

	neighbours();
	CHECK_EQ(memslots_move_slot(
			 b.ms, 0, 2, 300 * P, MEMSLOT_MOVE_KEEP, &b.err),
		0);
	t = bed_begin(&b);
	memslot_move(t, 0, 2, 108 * P, MEMSLOT_MOVE_MARK_ALL);
	memslot_merge(t, 0, 1, 2);
	CHECK_EQ(memslot_commit(t, NULL, &b.err), 0);
	CHECK(!strcmp(dirty_of(1), "xxxxxxxxxxxx"));
	bed_close(&b);
}

/* A slot created in place of one that was to be copied is not copied. */
static void test_copy_then_new(void)
{
	struct memslot_config c;
	struct memslot_txn *t;

	neighbours();
	b.host[0] = 1;
	c = bed_config(&b, 0, 5, 200, 4, 40, 0);
	t = bed_begin(&b);
	memslot_replace_host(t, 0, 5, b.host, MEMSLOT_HOST_COPY);
	memslot_delete(t, 0, 5);
	memslot_create(t, &c);
	CHECK_EQ(memslot_commit(t, NULL, &b.err), 0);
	CHECK(bed_has(&b, 0, 5, 200, 4, 40, 0));
	CHECK_EQ(b.host[0], 1);
	bed_close(&b);
}

/* ---- deleting with a last harvest ------------------------------------------------- */

static void test_no_log_to_harvest(void)
{
	struct memslot_harvest *h = NULL;
	struct memslot_config c;
	struct memslot_txn *t;

	neighbours();
	t = bed_begin(&b);
	memslot_delete_harvest(t, 0, 3, &h);
	CHECK_EQ(memslot_commit(t, NULL, &b.err), -ENXIO);
	/* Created in the same breath: there is nothing it could have logged. */
	c = bed_config(&b, 0, 6, 300, 4, 50, MEMSLOT_LOG_DIRTY);
	t = bed_begin(&b);
	memslot_create(t, &c);
	memslot_delete_harvest(t, 0, 6, &h);
	CHECK_EQ(memslot_commit(t, NULL, &b.err), -ENXIO);
	CHECK(!h && unchanged());
	bed_close(&b);
}

/* A slot that is replaced hands out the bits of the old one. */
static void test_harvest_and_replace(void)
{
	struct memslot_harvest *h = NULL;
	struct memslot_config c;
	struct memslot_txn *t;

	neighbours();
	mark(0, 103);
	c = bed_config(&b, 0, 1, 100, 8, 0, MEMSLOT_LOG_DIRTY);
	t = bed_begin(&b);
	memslot_delete_harvest(t, 0, 1, &h);
	memslot_create(t, &c);
	commits(t);
	if (CHECK(h != NULL)) {
		CHECK_EQ(memslot_harvest_count(h), 1);
		CHECK(memslot_harvest_test(h, 3));
		memslot_harvest_give_back(h);
	}
	CHECK(strcmp(dirty_of(1), "........") == 0);
	bed_close(&b);
}

/*
 * What is split off survives the slot whose last bits are harvested. Its
 * bits come back to it, whichever of the two was named first.
 */
static void test_harvest_with_survivor(void)
{
	for (unsigned named_first = 0; named_first < 2; named_first++) {
		struct memslot_harvest *h = NULL;
		struct memslot_txn *t;

		neighbours();
		mark(0, 106);
		t = bed_begin(&b);
		if (named_first)
			memslot_delete(t, 0, 5);
		memslot_split(t, 0, 1, 4 * P, named_first ? 5 : 6);
		memslot_delete_harvest(t, 0, 1, &h);
		commits(t);
		CHECK(strcmp(dirty_of(named_first ? 5 : 6), "....") == 0);
		if (CHECK(h != NULL))
			CHECK(memslot_harvest_test(h, 6));
		memslot_harvest_give_back(h);
		CHECK(strcmp(dirty_of(named_first ? 5 : 6), "..x.") == 0);
		bed_close(&b);
	}
}

/* The answer to a harvest of a range that is not in the slot. */
static void test_harvest_ranges(void)
{
	struct memslot_harvest *h = NULL;

	neighbours();
	mark(0, 103);
	CHECK_EQ(memslot_harvest_range(b.ms, 2, 1, 0, 0, &h, &b.err), -EINVAL);
	CHECK_EQ(memslot_harvest_range(
			 b.ms, 0, MEMSLOT_IDS_MAX, 0, 0, &h, &b.err),
		-EINVAL);
	CHECK_EQ(memslot_harvest_range(b.ms, 0, 1, 8, 0, &h, &b.err), -EINVAL);
	CHECK_EQ(memslot_harvest_range(b.ms, 0, 1, 7, 2, &h, &b.err), -EINVAL);
	CHECK_EQ(memslot_harvest_range(b.ms, 0, 1, 1, UINT64_MAX, &h, &b.err),
		-EINVAL);
	CHECK(!h && strcmp(dirty_of(1), "...x....") == 0);
	memslot_harvest_done(NULL);
	memslot_harvest_give_back(NULL);
	bed_close(&b);
}

/* Chunks that begin and end inside words of the log, over two of them. */
static void test_harvest_chunks(void)
{
	struct memslot_harvest *h;

	bed_open(&b, 1);
	CHECK_EQ(bed_create(&b, 0, 1, 0, 200, 0, MEMSLOT_LOG_DIRTY), 0);
	for (unsigned first = 0; first < 200; first += 23) {
		for (unsigned gfn = 0; gfn < 200; gfn += 3)
			mark(0, gfn);
		CHECK_EQ(memslot_harvest_range(
				 b.ms, 0, 1, first, 200 - first, &h, &b.err),
			0);
		for (unsigned p = 0; p < 210; p++)
			CHECK_EQ(memslot_harvest_test(h, p),
				p >= first && p < 200 && p % 3 == 0);
		memslot_harvest_done(h);
	}
	bed_close(&b);
}

/* ---- pieces ------------------------------------------------------------------------ */

static void marked_neighbours(void)
{
	neighbours();
	mark(0, 100);
	mark(0, 103);
	mark(0, 107);
	mark(0, 109);
}

/* Cut apart at, before and behind the seam of a merge. */
static void test_cut_at_seam(void)
{
	static const struct {
		unsigned at;
		const char *low, *high;
	} cut[] = {
		{8, "x..x...x", ".x.."},
		{5, "x..x.", "..x.x.."},
		{10, "x..x...x.x", ".."},
	};

	for (unsigned i = 0; i < 3; i++) {
		struct memslot_txn *t;

		marked_neighbours();
		t = bed_begin(&b);
		memslot_merge(t, 0, 1, 2);
		memslot_split(t, 0, 1, cut[i].at * P, 7);
		commits(t);
		CHECK(strcmp(dirty_of(1), cut[i].low) == 0);
		CHECK(strcmp(dirty_of(7), cut[i].high) == 0);
		bed_close(&b);
	}
}

/* What was cut off and grown again is new: its bits are gone. */
static void test_cut_and_grown(void)
{
	struct memslot_txn *t;

	marked_neighbours();
	t = bed_begin(&b);
	memslot_split(t, 0, 1, 4 * P, 7);
	memslot_resize(t, 0, 1, 3 * P);
	memslot_resize(t, 0, 1, 4 * P);
	memslot_merge(t, 0, 1, 7);
	commits(t);
	CHECK(strcmp(dirty_of(1), "x......x") == 0);
	bed_close(&b);
}

/* The two halves come together again a page further apart. */
static void test_wedge(void)
{
	struct memslot_txn *t;

	marked_neighbours();
	t = bed_begin(&b);
	memslot_delete(t, 0, 2);
	memslot_split(t, 0, 1, 3 * P, 7);
	memslot_move(t, 0, 7, 104 * P, MEMSLOT_MOVE_KEEP);
	memslot_replace_host(t, 0, 7, b.host + 4 * P, MEMSLOT_HOST_AS_IS);
	memslot_resize(t, 0, 1, 4 * P);
	memslot_merge(t, 0, 1, 7);
	commits(t);
	CHECK(bed_has(&b, 0, 1, 100, 9, 0, MEMSLOT_LOG_DIRTY));
	CHECK(strcmp(dirty_of(1), "x...x...x") == 0);
	bed_close(&b);
}

/* Split where only new pages are: the upper part has no past. */
static void test_split_new_pages(void)
{
	struct memslot_config c;
	struct memslot_txn *t;

	neighbours();
	t = bed_begin(&b);
	memslot_resize(t, 0, 5, 8 * P);
	memslot_set_flags(t, 0, 5, MEMSLOT_LOG_DIRTY);
	memslot_split(t, 0, 5, 6 * P, 7);
	commits(t);
	CHECK(strcmp(dirty_of(7), "..") == 0);
	/* A slot that is all new, split and merged: just created. */
	c = bed_config(&b, 0, 8, 300, 4, 60, MEMSLOT_LOG_DIRTY);
	t = bed_begin(&b);
	memslot_create(t, &c);
	memslot_split(t, 0, 8, P, 9);
	memslot_split(t, 0, 9, P, 10);
	memslot_merge(t, 0, 9, 10);
	memslot_merge(t, 0, 8, 9);
	commits(t);
	CHECK(bed_has(&b, 0, 8, 300, 4, 60, MEMSLOT_LOG_DIRTY));
	bed_close(&b);
}

/* Split and merged again, in one transaction, is no change at all. */
static void test_there_and_back(void)
{
	struct memslot_result result;
	struct memslot_txn *t;

	neighbours();
	t = bed_begin(&b);
	memslot_split(t, 0, 1, 4 * P, 7);
	memslot_split(t, 0, 7, 2 * P, 8);
	memslot_merge(t, 0, 7, 8);
	memslot_merge(t, 0, 1, 7);
	CHECK_EQ(memslot_commit(t, &result, &b.err), 0);
	CHECK_EQ(result.changes, 0);
	CHECK(unchanged());
	bed_close(&b);
}

/* A slot may be made whole of another one's memory: it is not that one. */
static void test_other_id(void)
{
	struct memslot_txn *t;

	marked_neighbours();
	t = bed_begin(&b);
	memslot_split(t, 0, 1, 4 * P, 7);
	memslot_delete(t, 0, 1);
	memslot_split(t, 0, 7, 2 * P, 1);
	commits(t);
	CHECK(strcmp(dirty_of(7), "..") == 0);
	CHECK(strcmp(dirty_of(1), ".x") == 0);
	CHECK(bed_has(&b, 0, 1, 106, 2, 6, MEMSLOT_LOG_DIRTY));
	bed_close(&b);
}

/* ---- the smaller files ----------------------------------------------------------------- */

static unsigned allocations_left;

static void *few(void *ctx, size_t size)
{
	return allocations_left-- ? bed_alloc(ctx, size) : NULL;
}

static void test_no_memory_for_a_map(void)
{
	struct memslots *ms = NULL;

	bed_open(&b, 1);
	b.pf.alloc = few;
	for (unsigned i = 0; i < 2; i++) {
		long live = atomic_load(&b.live);

		allocations_left = i;
		CHECK_EQ(memslots_create(&b.pf, 1, &ms, &b.err), -ENOMEM);
		CHECK(!ms && atomic_load(&b.live) == live);
	}
	b.pf.alloc = bed_alloc;
	bed_close(&b);
	memslots_destroy(NULL);
}

static void *first_fails(void *ctx, size_t size)
{
	return allocations_left++ ? bed_alloc(ctx, size) : NULL;
}

static void test_first_allocation_fails(void)
{
	struct memslots *ms = NULL;
	long live;

	bed_open(&b, 1);
	live = atomic_load(&b.live);
	b.pf.alloc = first_fails;
	allocations_left = 0;
	CHECK_EQ(memslots_create(&b.pf, 1, &ms, &b.err), -ENOMEM);
	CHECK_EQ(atomic_load(&b.live), live);
	b.pf.alloc = bed_alloc;
	bed_close(&b);
}

static void test_space_options(void)
{
	bed_open(&b, 2);
	CHECK_EQ(memslots_set_space_options(b.ms, 2, 0), -EINVAL);
	CHECK_EQ(memslots_set_space_options(b.ms, 0, 2), -EINVAL);
	CHECK_EQ(
		memslots_set_space_options(b.ms, 1, MEMSLOT_SPACE_NO_MOVES), 0);
	CHECK_EQ(bed_create(&b, 1, 0, 0, 1, 0, 0), 0);
	CHECK_EQ(memslots_move_slot(b.ms, 1, 0, P, MEMSLOT_MOVE_KEEP, &b.err),
		-EPERM);
	bed_close(&b);
}

/* One that never joined may quit; others stay. */
static void test_stranger_quits(void)
{
	static const struct memslot_participant_ops none = {.name = "none"};
	struct memslot_participant first = {&none, NULL, NULL, 0};
	struct memslot_participant second = first, stranger = first;

	bed_open(&b, 1);
	CHECK_EQ(memslots_join(b.ms, &first), 0);
	CHECK_EQ(memslots_join(b.ms, &second), 0);
	CHECK_EQ(memslots_quit(b.ms, &stranger), 0);
	CHECK(first.next == &second);
	CHECK_EQ(bed_create(&b, 0, 0, 0, 1, 0, 0), 0);
	CHECK_EQ(memslots_quit(b.ms, &second), 0);
	CHECK_EQ(memslots_quit(b.ms, &first), 0);
	bed_close(&b);
}

static void test_sentences(void)
{
	char text[64];

	memslot_format(text, sizeof(text), "%d %ld %lld %d", -5, LONG_MIN,
		LLONG_MIN, INT_MAX);
	CHECK_TEXT(text, "-5 -9223372036854775808 -9223372036854775808 "
			 "2147483647");
	memslot_format(text, sizeof(text), "%c%% %x %#lx %zu", 'k', 255u, 255ul,
		(size_t)7);
	CHECK_TEXT(text, "k% ff 0xff 7");
}

static void no_more_keys(struct map_node *n)
{
	for (unsigned i = n->count; i < MAP_FANOUT; i++)
		n->key[i] = MAP_NO_KEY;
}

/* The checker of trees, which every test of them trusts, sees each fault. */
static void test_map_check(void)
{
	struct map_node low = {.count = 2, .key = {1, 5}, .end = {3, 9}};
	struct map_node high = {.count = 1, .key = {20}, .end = {22}};
	struct map_node top = {.count = 2,
		.level = 1,
		.key = {1, 20},
		.end = {9, 22},
		.ptr = {&low, &high}};
	struct map_node bad;

	no_more_keys(&low);
	no_more_keys(&high);
	no_more_keys(&top);
	CHECK(map_check(NULL));
	CHECK(map_check(&top));
#define SPOILT(node, change)             \
	do {                             \
		bad = (node);            \
		change;                  \
		CHECK(!map_check(&top)); \
		(node) = bad;            \
		CHECK(map_check(&top));  \
	} while (0)
	SPOILT(low, low.count = 0);
	SPOILT(low, low.count = MAP_FANOUT + 1);
	SPOILT(low, low.key[2] = 30);
	SPOILT(low, low.key[1] = 1);
	SPOILT(low, low.key[0] = 2);
	SPOILT(low, low.end[1] = 8);
	SPOILT(high, high.level = 1; high.count = 0);
	SPOILT(top, top.level = 2);
	SPOILT(top, top.key[1] = 5);
	SPOILT(low, low.key[1] = 25);
	SPOILT(top, top.end[0] = 10);
}

/* Bytes are copied one slot after the other: none may be copied over. */
static void test_copy_over(void)
{
	struct memslot_txn *t;

	bed_open(&b, 1);
	CHECK_EQ(bed_create(&b, 0, 1, 0x100, 8, 0, 0), 0);
	CHECK_EQ(bed_create(&b, 0, 2, 0x200, 8, 16, 0), 0);
	t = bed_begin(&b); /* two slots change places */
	memslot_replace_host(t, 0, 1, b.host + 16 * P, MEMSLOT_HOST_COPY);
	memslot_replace_host(t, 0, 2, b.host, MEMSLOT_HOST_COPY);
	CHECK_EQ(memslot_commit(t, NULL, &b.err), -EINVAL);
	CHECK_TEXT(b.err.text, "that slot 2 has now");
	t = bed_begin(&b); /* one page on, into itself */
	memslot_replace_host(t, 0, 1, b.host + P, MEMSLOT_HOST_COPY);
	CHECK_EQ(memslot_commit(t, NULL, &b.err), -EINVAL);
	t = bed_begin(&b); /* right behind itself */
	memslot_replace_host(t, 0, 1, b.host + 8 * P, MEMSLOT_HOST_COPY);
	CHECK_EQ(memslot_commit(t, NULL, &b.err), 0);
	bed_close(&b);
}

int main(void)
{
	test_copy_over();
	test_refusals();
	test_grows_too_far();
	test_merge_too_large();
	test_merge_half_copied();
	test_merge_moved();
	test_copy_then_new();
	test_no_log_to_harvest();
	test_harvest_and_replace();
	test_harvest_with_survivor();
	test_harvest_ranges();
	test_harvest_chunks();
	test_cut_at_seam();
	test_cut_and_grown();
	test_wedge();
	test_split_new_pages();
	test_there_and_back();
	test_other_id();
	test_no_memory_for_a_map();
	test_first_allocation_fails();
	test_space_options();
	test_stranger_quits();
	test_sentences();
	test_map_check();
	return TEST_END("test_more_memslot");
}
