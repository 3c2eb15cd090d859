/* SPDX-License-Identifier: MIT */
/*
 * test_slots.c - what a transaction may ask for, what it gets, and which
 * error is the first when several rules are broken
 */
#include "tests/unit/slots.h"

#define LIMIT_GFN (MEMSLOT_GPA_LIMIT >> MEMSLOT_PAGE_SHIFT)
#define LOG       MEMSLOT_LOG_DIRTY
#define RO        MEMSLOT_READONLY

static struct bed b;

static int commit(struct memslot_txn *t, struct memslot_result *res)
{
	memset(res, 0xee, sizeof(*res));
	memset(&b.err, 0, sizeof(b.err));
	return memslot_commit(t, res, &b.err);
}

static void create_in(struct memslot_txn *t, unsigned space, unsigned id,
	gfn_t gfn, uint64_t pages, uint64_t host_page)
{
	struct memslot_config c =
		bed_config(&b, space, id, gfn, pages, host_page, 0);

	CHECK_EQ(memslot_create(t, &c), 0);
}

/* The commit succeeds and changes that many slots. */
static void commits(struct memslot_txn *t, unsigned changes)
{
	uint64_t generation = memslots_generation(b.ms);
	struct memslot_result res;

	if (!CHECK_EQ(commit(t, &res), 0))
		fprintf(stderr, "it says: %s\n", b.err.text);
	CHECK_EQ(res.changes, changes);
	CHECK_EQ(res.generation, generation + (changes ? 1 : 0));
	CHECK_EQ(memslots_generation(b.ms), res.generation);
}

/* The commit fails and leaves no trace; the sentence has these words. */
static void fails(struct memslot_txn *t, long live, int code, const char *begin)
{
	uint64_t generation = memslots_generation(b.ms);
	unsigned count = bed_count(&b);
	struct memslot_result res;

	CHECK_EQ(commit(t, &res), code);
	CHECK_EQ(b.err.code, code);
	if (!CHECK(strncmp(b.err.text, begin, strlen(begin)) == 0))
		fprintf(stderr, "got  \"%s\"\nwant \"%s...\"\n", b.err.text,
			begin);
	CHECK_EQ(res.changes, 0);
	CHECK_EQ(res.pause_ns, 0);
	CHECK_EQ(res.generation, generation);
	CHECK_EQ(memslots_generation(b.ms), generation);
	CHECK_EQ(bed_count(&b), count);
	CHECK_EQ(atomic_load(&b.live), live);
}

/* ---- life --------------------------------------------------------------- */

static void test_life(void)
{
	struct memslots *ms = NULL;
	struct memslot_error err = {0};

	CHECK_EQ(memslots_create(&memslot_hosted, 0, &ms, &err), -EINVAL);
	CHECK_TEXT(err.text, "0 address spaces");
	CHECK_EQ(memslots_create(&memslot_hosted, 17, &ms, &err), -EINVAL);
	CHECK_EQ(err.code, -EINVAL);
	CHECK_TEXT(err.text, "17");
	CHECK_TEXT(err.text, "16");
	CHECK_EQ(memslots_create(&memslot_hosted, 17, &ms, NULL), -EINVAL);
	CHECK(ms == NULL);
	for (unsigned n = 1; n <= 16; n += 15) {
		CHECK_EQ(memslots_create(&memslot_hosted, n, &ms, NULL), 0);
		CHECK_EQ(memslots_spaces(ms), n);
		CHECK_EQ(memslots_generation(ms), 0);
		CHECK(memslots_platform(ms) == &memslot_hosted);
		CHECK(!memslots_broken(ms));
		memslots_destroy(ms);
	}
	memslots_destroy(NULL);
	memslot_discard(NULL);
	CHECK_TEXT(memslot_order_name(&memslot_order_ours), "ours");
	CHECK_TEXT(memslot_order_name(&memslot_order_legacy), "legacy");
	CHECK(!memslot_order_flush_forgets(&memslot_order_ours));
	CHECK(memslot_order_flush_forgets(&memslot_order_legacy));
}

static unsigned allocs_left;

static void *few_alloc(void *ctx, size_t size)
{
	return allocs_left ? allocs_left--, bed_alloc(ctx, size) : NULL;
}

/* A map for which there is no memory leaves none behind. */
static void test_life_without_memory(void)
{
	struct memslots *ms = NULL;
	struct memslot_error err;

	bed_open(&b, 1);
	b.pf.alloc = few_alloc;
	for (unsigned n = 0;; n++) {
		long live = b.live;
		int r;

		allocs_left = n;
		r = memslots_create(&b.pf, 1, &ms, &err);
		if (!r)
			break;
		CHECK_EQ(r, -ENOMEM);
		CHECK_EQ(err.code, -ENOMEM);
		CHECK_EQ(b.live, live);
	}
	memslots_destroy(ms);
	bed_close(&b);
}

/* Slots that are there when the map goes, and operations nobody commits. */
static void test_leaving_things(void)
{
	struct memslot_txn *t;

	bed_open(&b, 2);
	for (unsigned i = 0; i < 100; i++)
		CHECK_EQ(bed_create(&b, i % 2, i, i * 10, 10, i * 10, LOG), 0);
	t = bed_begin(&b);
	for (unsigned i = 0; i < 20; i++)
		memslot_delete(t, 0, i);
	memslot_discard(t);
	CHECK_EQ(bed_count(&b), 100);
	CHECK_EQ(memslots_generation(b.ms), 100);
	bed_close(&b);
}

/* ---- every rule, and which comes first ---------------------------------- */

/* Ways to be wrong; code_of() knows which of them is reported. */
enum wrong {
	BAD_SPACE = 1 << 0,
	BAD_ID = 1 << 1,
	BAD_FLAGS = 1 << 2,
	SIZE_ZERO = 1 << 3,
	SIZE_ODD = 1 << 4,
	GPA_ODD = 1 << 5,
	HOST_NULL = 1 << 6,
	HOST_ODD = 1 << 7,
	HOST_WRAPS = 1 << 8,
	TOO_BIG = 1 << 9,
	PAST_LIMIT = 1 << 10,
	ID_USED = 1 << 11,
	OVERLAP = 1 << 12,
	MISSING = 1 << 13,
	WRONGS = 1 << 14,
};

static int code_of(unsigned wrong)
{
	if (wrong & (BAD_SPACE | BAD_ID | BAD_FLAGS | SIZE_ZERO | SIZE_ODD |
			    GPA_ODD | HOST_NULL | HOST_ODD | HOST_WRAPS))
		return -EINVAL;
	return wrong & TOO_BIG               ? -E2BIG
	       : wrong & MISSING             ? -ENOENT
	       : wrong & PAST_LIMIT          ? -ERANGE
	       : wrong & (ID_USED | OVERLAP) ? -EEXIST
					     : 0;
}

static struct memslot_config wrong_config(unsigned wrong)
{
	struct memslot_config c = bed_config(&b, 0, 7, 0x900, 4, 100, 0);

	if (wrong & BAD_SPACE)
		c.space = 2;
	if (wrong & ID_USED)
		c.id = 1;
	if (wrong & MISSING)
		c.id = 8;
	if (wrong & BAD_ID)
		c.id = MEMSLOT_IDS_MAX;
	if (wrong & BAD_FLAGS)
		c.flags = 0x14;
	if (wrong & OVERLAP)
		c.gpa = 0x100000;
	if (wrong & PAST_LIMIT)
		c.gpa = MEMSLOT_GPA_LIMIT - 3 * 4096;
	if (wrong & TOO_BIG)
		c.size = (MEMSLOT_PAGES_MAX + 1) * 4096;
	if (wrong & SIZE_ODD)
		c.size += 0x10;
	if (wrong & SIZE_ZERO)
		c.size = 0;
	if (wrong & GPA_ODD)
		c.gpa += 8;
	if (wrong & HOST_WRAPS)
		c.host = (void *)(UINTPTR_MAX - 3 * 4096 + 1);
	if (wrong & HOST_ODD)
		c.host = (void *)((uintptr_t)c.host + 1);
	if (wrong & HOST_NULL)
		c.host = (void *)((uintptr_t)c.host & 0);
	return c;
}

/* Record one operation with these mistakes. */
static void record_wrong(
	struct memslot_txn *t, unsigned kind, const struct memslot_config *c)
{
	switch (kind) {
	case 0:
		memslot_create(t, c);
		break;
	case 1:
		memslot_delete(t, c->space, c->id);
		break;
	case 2:
		memslot_move(t, c->space, c->id, c->gpa, MEMSLOT_MOVE_MARK_ALL);
		break;
	default:
		memslot_set_flags(t, c->space, c->id, c->flags);
		break;
	}
}

static const char *const op_name[] = {"create", "delete", "move", "set flags"};

/* True if this combination of mistakes gives what the header promises. */
static bool try_wrong(unsigned kind, unsigned wrong)
{
	struct memslot_config c = wrong_config(wrong);
	struct memslot_txn *t = bed_begin(&b);
	char begin[80];
	int r, want = code_of(wrong);
	long live = b.live - 1;

	record_wrong(t, kind, &c);
	memset(&b.err, 0, sizeof(b.err));
	r = memslot_commit(t, NULL, &b.err);
	snprintf(begin, sizeof(begin),
		"operation 0 (%s) on slot %u of space %u: ", op_name[kind],
		c.id, c.space);
	return r == want && b.err.code == want && b.live == live &&
	       strncmp(b.err.text, begin, strlen(begin)) == 0;
}

/* All combinations of mistakes that this kind of operation can make. */
static void test_order_of_rules(
	unsigned kind, unsigned possible, unsigned apart)
{
	unsigned tried = 0, bad = 0;

	bed_open(&b, 2);
	CHECK_EQ(bed_create(&b, 0, 1, 0x100, 16, 0, 0), 0);
	CHECK_EQ(bed_create(&b, 0, 7, 0x200, 16, 16, 0), 0);
	if (kind == 0)
		CHECK_EQ(memslots_delete_slot(b.ms, 0, 7, NULL), 0);
	for (unsigned wrong = 1; wrong < WRONGS; wrong++) {
		if ((wrong & ~possible) || (wrong & apart) == apart)
			continue;
		/* one slot of wrong size hides, or makes, the others */
		if ((wrong & SIZE_ZERO) && (wrong & (SIZE_ODD | TOO_BIG)))
			continue;
		tried++;
		if (try_wrong(kind, wrong))
			continue;
		if (bad++ < 5)
			fprintf(stderr,
				"%s, mistakes %#x: want %d, got %d \"%s\"\n",
				op_name[kind], wrong, code_of(wrong),
				b.err.code, b.err.text);
	}
	CHECK(tried > 2);
	CHECK_EQ(bad, 0);
	CHECK_EQ(bed_count(&b), kind == 0 ? 1 : 2);
	bed_close(&b);
}

/* ---- sentences ---------------------------------------------------------- */

static void one_wrong(unsigned kind, struct memslot_config c, int code,
	const char *begin, const char *part, const char *part2)
{
	struct memslot_txn *t;
	long live = b.live;

	t = bed_begin(&b);
	record_wrong(t, kind, &c);
	fails(t, live, code, begin);
	CHECK_TEXT(b.err.text, part);
	CHECK_TEXT(b.err.text, part2);
	CHECK(!strchr(b.err.text, '\n'));
}

#define CREATE7 "operation 0 (create) on slot 7 of space 0: "

static struct memslot_config good(void)
{
	return bed_config(&b, 0, 7, 0x900, 4, 100, 0);
}

static void test_create_sentences(void)
{
	struct memslot_config c = good();

	c.space = 2;
	one_wrong(0, c, -EINVAL,
		"operation 0 (create) on slot 7 of space 2: ", "2", "space");
	c = good();
	c.id = 32764;
	one_wrong(0, c, -EINVAL,
		"operation 0 (create) on slot 32764 of space 0: ", "32763",
		"id");
	c = good();
	c.flags = 0x83;
	one_wrong(0, c, -EINVAL, CREATE7, "0x80", "0x3");
	c = good();
	c.gpa += 0x123;
	one_wrong(0, c, -EINVAL, CREATE7, "0x900123", "4096");
	c = good();
	c.size = 0;
	one_wrong(0, c, -EINVAL, CREATE7, "size is 0", "delete");
	c.size = 0x4200;
	one_wrong(0, c, -EINVAL, CREATE7, "0x4200", "4096");
	c = good();
	c.host = NULL;
	one_wrong(0, c, -EINVAL, CREATE7, "NULL", "host");
	c.host = (void *)(uintptr_t)0x7008;
	one_wrong(0, c, -EINVAL, CREATE7, "0x7008", "4096");
	c.host = (void *)(uintptr_t)0xfffffffffffff000;
	one_wrong(0, c, -EINVAL, CREATE7, "0xfffffffffffff000", "0x4000");
	c = good();
	c.size = (MEMSLOT_PAGES_MAX + 1) * 4096;
	one_wrong(0, c, -E2BIG, CREATE7, "2147483648", "2147483647");
	c = good();
	c.gpa = MEMSLOT_GPA_LIMIT - 0x3000;
	one_wrong(
		0, c, -ERANGE, CREATE7, "0xfffffffffd000", "0x10000000000000");
}

static void test_other_sentences(void)
{
	struct memslot_config c = good();

	c.id = 1;
	one_wrong(0, c, -EEXIST,
		"operation 0 (create) on slot 1 of space 0: ", "in use",
		"0x100000");
	c = good();
	c.gpa = 0x10f000;
	one_wrong(0, c, -EEXIST, CREATE7, "[0x10f000, 0x113000)",
		"slot 1 at [0x100000, 0x110000)");
	c = good();
	one_wrong(1, c, -ENOENT,
		"operation 0 (delete) on slot 7 of space 0: ", "no such",
		"slot");
	one_wrong(2, c, -ENOENT,
		"operation 0 (move) on slot 7 of space 0: ", "no such", "slot");
	one_wrong(3, c, -ENOENT,
		"operation 0 (set flags) on slot 7 of space 0: ", "no such",
		"slot");
	c.id = 1;
	c.gpa = 0x801;
	one_wrong(2, c, -EINVAL,
		"operation 0 (move) on slot 1 of space 0: ", "0x801", "4096");
	c.gpa = MEMSLOT_GPA_LIMIT;
	one_wrong(2, c, -ERANGE,
		"operation 0 (move) on slot 1 of space 0: ", "0x10000000000000",
		"0x10000");
	c.gpa = UINT64_MAX & ~0xfffull;
	one_wrong(2, c, -ERANGE, "operation 0 (move) on slot 1 of space 0: ",
		"0xfffffffffffff000", "0x10000");
	c.flags = 0x100;
	one_wrong(3, c, -EINVAL,
		"operation 0 (set flags) on slot 1 of space 0: ", "0x100",
		"0x3");
	c.space = UINT32_MAX;
	c.id = UINT32_MAX;
	one_wrong(1, c, -EINVAL,
		"operation 0 (delete) on slot 4294967295 of space 4294967295: ",
		"2", "space");
}

static void test_sentences(void)
{
	bed_open(&b, 2);
	CHECK_EQ(bed_create(&b, 0, 1, 0x100, 16, 0, 0), 0);
	test_create_sentences();
	test_other_sentences();
	bed_close(&b);
}

/* Not the first rule but the first operation counts; it is named. */
static void test_which_operation(void)
{
	struct memslot_txn *t;
	long live;

	bed_open(&b, 1);
	bed_create(&b, 0, 1, 0x100, 16, 0, 0);
	live = b.live;
	t = bed_begin(&b);
	create_in(t, 0, 2, 0x200, 4, 50);
	memslot_delete(t, 0, 9);
	memslot_set_flags(t, 0, 1, 0x40);
	fails(t, live, -ENOENT, "operation 1 (delete) on slot 9 of space 0: ");
	t = bed_begin(&b);
	memslot_delete(t, 0, 1);
	memslot_set_flags(t, 0, 1, LOG);
	fails(t, live, -ENOENT,
		"operation 1 (set flags) on slot 1 of space 0: ");
	t = bed_begin(&b);
	create_in(t, 0, 2, 0x200, 4, 50);
	create_in(t, 0, 2, 0x300, 4, 60);
	fails(t, live, -EEXIST, "operation 1 (create) on slot 2 of space 0: ");
	CHECK_TEXT(b.err.text, "0x200000");
	/* overlap is the end state's: the latest to name the slot is told */
	t = bed_begin(&b);
	create_in(t, 0, 2, 0x10f, 4, 50);
	memslot_move(t, 0, 2, 0x0fd000, MEMSLOT_MOVE_KEEP);
	fails(t, live, -EEXIST, "operation 1 (move) on slot 2 of space 0: ");
	CHECK_TEXT(b.err.text, "[0xfd000, 0x101000)");
	CHECK_TEXT(b.err.text, "slot 1 at [0x100000, 0x110000)");
	/* a rule of a later operation comes before an earlier overlap */
	t = bed_begin(&b);
	create_in(t, 0, 2, 0x100, 4, 50);
	memslot_delete(t, 0, 30);
	fails(t, live, -ENOENT, "operation 1 (delete) on slot 30 of space 0: ");
	bed_close(&b);
}

/* ---- limits ------------------------------------------------------------- */

static void test_id_limits(void)
{
	bed_open(&b, 16);
	CHECK_EQ(bed_create(&b, 0, 0, 0, 1, 0, 0), 0);
	CHECK_EQ(bed_create(&b, 0, 32763, 1, 1, 1, 0), 0);
	CHECK_EQ(bed_create(&b, 0, 32764, 2, 1, 2, 0), -EINVAL);
	CHECK_EQ(bed_create(&b, 15, 32763, 1, 1, 1, 0), 0);
	CHECK_EQ(bed_create(&b, 15, 0, 2, 1, 2, 0), 0);
	CHECK_EQ(bed_create(&b, 14, 32763, 2, 1, 2, 0), 0);
	CHECK_EQ(bed_create(&b, 16, 0, 2, 1, 2, 0), -EINVAL);
	CHECK(bed_has(&b, 0, 0, 0, 1, 0, 0));
	CHECK(bed_has(&b, 0, 32763, 1, 1, 1, 0));
	CHECK(bed_has(&b, 15, 32763, 1, 1, 1, 0));
	CHECK(bed_has(&b, 15, 0, 2, 1, 2, 0));
	CHECK(bed_has(&b, 14, 32763, 2, 1, 2, 0));
	CHECK(!bed_look_id(&b, 0, 32764).there);
	CHECK(!bed_look_id(&b, 16, 0).there);
	CHECK(!bed_look_id(&b, 0, 1).there);
	CHECK(!bed_look_id(&b, 1, 0).there);
	CHECK_EQ(bed_count(&b), 5);
	bed_close(&b);
}

static void test_address_limits(void)
{
	bed_open(&b, 3);
	CHECK_EQ(bed_create(&b, 0, 1, LIMIT_GFN - 4, 4, 0, 0), 0);
	CHECK_EQ(bed_create(&b, 0, 2, LIMIT_GFN - 5, 1, 4, 0), 0);
	CHECK_EQ(bed_create(&b, 1, 1, LIMIT_GFN - 4, 4, 0, 0), 0);
	CHECK_EQ(bed_create(&b, 0, 3, LIMIT_GFN - 3, 4, 0, 0), -ERANGE);
	CHECK_EQ(bed_create(&b, 0, 3, LIMIT_GFN, 1, 0, 0), -ERANGE);
	CHECK_EQ(bed_create(&b, 0, 3, LIMIT_GFN + 1, 1, 0, 0), -ERANGE);
	CHECK_EQ(bed_create(&b, 0, 3, UINT64_MAX >> 12, 1, 0, 0), -ERANGE);
	/* the end of one space is not the start of the next */
	CHECK_EQ(bed_create(&b, 1, 0, 0, 4, 8, 0), 0);
	CHECK_EQ(bed_create(&b, 2, 0, 0, 4, 8, 0), 0);
	CHECK(bed_has(&b, 0, 1, LIMIT_GFN - 4, 4, 0, 0));
	CHECK(bed_has(&b, 1, 0, 0, 4, 8, 0));
	CHECK(!bed_look(&b, 0, 0).there);
	CHECK(!bed_look(&b, 0, LIMIT_GFN).there);
	CHECK(!bed_look(&b, 1, LIMIT_GFN).there);
	/* moves obey the same limit */
	CHECK_EQ(memslots_move_slot(b.ms, 1, 0, MEMSLOT_GPA_LIMIT - 0x3000,
			 MEMSLOT_MOVE_KEEP, NULL),
		-ERANGE);
	CHECK_EQ(memslots_move_slot(b.ms, 1, 0, MEMSLOT_GPA_LIMIT - 0x4000,
			 MEMSLOT_MOVE_KEEP, NULL),
		-EEXIST);
	CHECK_EQ(memslots_move_slot(b.ms, 2, 0, MEMSLOT_GPA_LIMIT - 0x4000,
			 MEMSLOT_MOVE_KEEP, NULL),
		0);
	CHECK(bed_has(&b, 2, 0, LIMIT_GFN - 4, 4, 8, 0));
	bed_close(&b);
}

/* The largest slot: its host memory is only reserved, never touched. */
static void test_size_limit(void)
{
	const size_t bytes = (size_t)MEMSLOT_PAGES_MAX << MEMSLOT_PAGE_SHIFT;
	struct memslot_config c;
	void *host = mmap(NULL, bytes, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	bed_open(&b, 1);
	c = bed_config(&b, 0, 1, 1, MEMSLOT_PAGES_MAX, 0, 0);
	/* the manager does not touch it either: any address will do */
	c.host = host == MAP_FAILED ? (void *)(uintptr_t)4096 : host;
	CHECK_EQ(memslots_create_slot(b.ms, &c, &b.err), 0);
	CHECK_EQ(bed_look(&b, 0, 1).pages, MEMSLOT_PAGES_MAX);
	CHECK_EQ(bed_look(&b, 0, MEMSLOT_PAGES_MAX).id, 1);
	CHECK(!bed_look(&b, 0, MEMSLOT_PAGES_MAX + 1).there);
	CHECK(!bed_look(&b, 0, 0).there);
	memslot_enter(&b.r);
	CHECK(memslot_by_host(&b.r, (uint8_t *)c.host + bytes - 1, NULL));
	CHECK(!memslot_by_host(&b.r, (uint8_t *)c.host + bytes, NULL));
	memslot_leave(&b.r);
	CHECK_EQ(memslots_move_slot(
			 b.ms, 0, 1, 0x5000, MEMSLOT_MOVE_KEEP, &b.err),
		0);
	CHECK_EQ(bed_look(&b, 0, MEMSLOT_PAGES_MAX + 4).gfn, 5);
	c.id = 2;
	c.gpa = MEMSLOT_GPA_LIMIT / 2;
	c.size += MEMSLOT_PAGE_SIZE;
	CHECK_EQ(memslots_create_slot(b.ms, &c, &b.err), -E2BIG);
	bed_close(&b);
	if (host != MAP_FAILED)
		munmap(host, bytes);
}

static void test_host_limits(void)
{
	struct memslot_config c;

	bed_open(&b, 1);
	c = bed_config(&b, 0, 1, 1, 2, 0, 0);
	for (unsigned k = 1; k <= 2; k++) {
		c.host = (void *)(0 - (uintptr_t)k * 4096);
		CHECK_EQ(memslots_create_slot(b.ms, &c, NULL), -EINVAL);
	}
	c.host = (void *)(uintptr_t)4096;
	CHECK_EQ(memslots_create_slot(b.ms, &c, NULL), 0);
	CHECK_EQ(bed_count(&b), 1);
	bed_close(&b);
}

/* ---- overlap ------------------------------------------------------------ */

/* A slot of every size at every place around another. */
static void test_overlap(void)
{
	unsigned bad = 0, made = 0;

	bed_open(&b, 2);
	bed_create(&b, 0, 1, 10, 4, 0, 0);
	bed_create(&b, 0, 2, 20, 1, 4, 0);
	for (gfn_t gfn = 4; gfn < 24; gfn++)
		for (uint64_t pages = 1; pages < 20; pages++) {
			bool free = (gfn + pages <= 10 || gfn >= 14) &&
				    (gfn + pages <= 20 || gfn >= 21);
			int r = bed_create(&b, 0, 3, gfn, pages, 100, 0);

			bad += r != (free ? 0 : -EEXIST);
			made += !r;
			if (!r)
				memslots_delete_slot(b.ms, 0, 3, NULL);
			/* another space does not mind */
			bad += bed_create(&b, 1, 3, gfn, pages, 100, 0) != 0;
			memslots_delete_slot(b.ms, 1, 3, NULL);
		}
	CHECK_EQ(bad, 0);
	CHECK(made > 30);
	CHECK_EQ(bed_count(&b), 2);
	bed_close(&b);
}

/* ---- several operations ------------------------------------------------- */

static void two_slots(void)
{
	bed_open(&b, 2);
	CHECK_EQ(bed_create(&b, 0, 1, 0x100, 16, 0, LOG), 0);
	CHECK_EQ(bed_create(&b, 0, 2, 0x200, 8, 16, 0), 0);
}

static void test_batch(void)
{
	struct memslot_txn *t;

	two_slots();
	t = bed_begin(&b);
	memslot_move(t, 0, 1, 0x300000, MEMSLOT_MOVE_KEEP);
	create_in(t, 0, 3, 0x100, 4, 60); /* where slot 1 was */
	memslot_set_flags(t, 0, 2, RO | LOG);
	create_in(t, 1, 1, 0x100, 4, 0);
	memslot_set_flags(t, 1, 1, RO);
	memslot_move(t, 1, 1, 0x7000, MEMSLOT_MOVE_KEEP);
	memslot_set_flags(t, 0, 1, 0);
	commits(t, 4);
	CHECK(bed_has(&b, 0, 1, 0x300, 16, 0, 0));
	CHECK(bed_has(&b, 0, 2, 0x200, 8, 16, RO | LOG));
	CHECK(bed_has(&b, 0, 3, 0x100, 4, 60, 0));
	CHECK(bed_has(&b, 1, 1, 7, 4, 0, RO));
	CHECK(!bed_look(&b, 0, 0x104).there);
	t = bed_begin(&b);
	memslot_delete(t, 0, 1);
	memslot_delete(t, 0, 3);
	memslot_delete(t, 0, 2);
	memslot_delete(t, 1, 1);
	commits(t, 4);
	CHECK_EQ(bed_count(&b), 0);
	bed_close(&b);
}

static void test_swap(void)
{
	struct memslot_txn *t;

	two_slots();
	t = bed_begin(&b);
	memslot_move(t, 0, 1, 0x200000, MEMSLOT_MOVE_MARK_ALL);
	memslot_move(t, 0, 2, 0x100000, MEMSLOT_MOVE_MARK_ALL);
	commits(t, 2);
	CHECK(bed_has(&b, 0, 1, 0x200, 16, 0, LOG));
	CHECK(bed_has(&b, 0, 2, 0x100, 8, 16, 0));
	/* three in a circle, right next to each other */
	CHECK_EQ(bed_create(&b, 0, 3, 0x108, 8, 40, 0), 0);
	CHECK_EQ(bed_create(&b, 0, 4, 0x110, 8, 50, 0), 0);
	t = bed_begin(&b);
	memslot_move(t, 0, 2, 0x108000, MEMSLOT_MOVE_KEEP);
	memslot_move(t, 0, 3, 0x110000, MEMSLOT_MOVE_KEEP);
	memslot_move(t, 0, 4, 0x100000, MEMSLOT_MOVE_KEEP);
	commits(t, 3);
	CHECK(bed_has(&b, 0, 2, 0x108, 8, 16, 0));
	CHECK(bed_has(&b, 0, 3, 0x110, 8, 40, 0));
	CHECK(bed_has(&b, 0, 4, 0x100, 8, 50, 0));
	CHECK_EQ(bed_count(&b), 4);
	bed_close(&b);
}

/* A move onto a part of itself, both ways, by every distance. */
static void test_move_onto_itself(void)
{
	unsigned bad = 0;

	two_slots();
	for (gfn_t to = 0xf0; to <= 0x110; to++) {
		if (to == 0x100)
			continue;
		bad += memslots_move_slot(b.ms, 0, 1, to << 12,
			       MEMSLOT_MOVE_KEEP, &b.err) != 0;
		bad += !bed_has(&b, 0, 1, to, 16, 0, LOG);
		bad += bed_look(&b, 0, to - 1).there;
		bad += bed_look(&b, 0, to + 16).there;
		bad += memslots_move_slot(b.ms, 0, 1, 0x100000,
			       MEMSLOT_MOVE_KEEP, &b.err) != 0;
		bad += bed_count(&b) != 2;
	}
	CHECK_EQ(bad, 0);
	bed_close(&b);
}

/* Deleted and created again under its id: another slot. */
static void test_replace(void)
{
	struct memslot_txn *t;

	two_slots();
	t = bed_begin(&b);
	memslot_delete(t, 0, 1);
	create_in(t, 0, 1, 0x100, 32, 64);
	commits(t, 1);
	CHECK(bed_has(&b, 0, 1, 0x100, 32, 64, 0));
	t = bed_begin(&b); /* the very same again is a change too */
	memslot_delete(t, 0, 1);
	create_in(t, 0, 1, 0x100, 32, 64);
	commits(t, 1);
	CHECK(bed_has(&b, 0, 1, 0x100, 32, 64, 0));
	t = bed_begin(&b);
	memslot_delete(t, 0, 1);
	create_in(t, 0, 1, 0x400, 2, 64);
	memslot_delete(t, 0, 1);
	create_in(t, 0, 1, 0x500, 3, 65);
	commits(t, 1);
	CHECK(bed_has(&b, 0, 1, 0x500, 3, 65, 0));
	CHECK(!bed_look(&b, 0, 0x100).there);
	CHECK(!bed_look(&b, 0, 0x400).there);
	memslot_enter(&b.r);
	CHECK(!memslot_by_host(&b.r, b.host + 64 * 4096, NULL));
	CHECK(memslot_by_host(&b.r, b.host + 65 * 4096, NULL));
	memslot_leave(&b.r);
	bed_close(&b);
}

/*
 * Slot 1, 16 pages, is replaced in place by one of `pages`, and slot 3 takes
 * [0x100 + at, +4). Operations may come in any order: only the end counts.
 */
static void test_resize_in_place(uint64_t pages, gfn_t at)
{
	int want = at < pages ? -EEXIST : 0;

	for (unsigned order = 0; order < 3; order++) {
		struct memslot_txn *t;

		two_slots();
		t = bed_begin(&b);
		if (order == 0)
			create_in(t, 0, 3, 0x100 + at, 4, 80);
		memslot_delete(t, 0, 1);
		if (order == 1)
			create_in(t, 0, 3, 0x100 + at, 4, 80);
		create_in(t, 0, 1, 0x100, pages, 64);
		if (order == 2)
			create_in(t, 0, 3, 0x100 + at, 4, 80);
		if (!CHECK_EQ(memslot_commit(t, NULL, &b.err), want))
			fprintf(stderr, "%u pages, +%u, order %u: %s\n",
				(unsigned)pages, (unsigned)at, order,
				b.err.text);
		else if (!want)
			CHECK(bed_has(&b, 0, 1, 0x100, pages, 64, 0) &&
				bed_has(&b, 0, 3, 0x100 + at, 4, 80, 0));
		else
			CHECK(bed_has(&b, 0, 1, 0x100, 16, 0, LOG) &&
				bed_count(&b) == 2);
		bed_close(&b);
	}
}

/* Transactions that end where they began change nothing at all. */
static void test_nothing_to_do(void)
{
	struct memslot_result res;
	struct memslot_txn *t;
	long live;

	two_slots();
	live = b.live;
	commits(bed_begin(&b), 0);
	t = bed_begin(&b);
	memslot_set_flags(t, 0, 1, LOG);
	memslot_move(t, 0, 2, 0x200000, MEMSLOT_MOVE_MARK_ALL);
	commits(t, 0);
	t = bed_begin(&b);
	memslot_move(t, 0, 1, 0x700000, MEMSLOT_MOVE_MARK_ALL);
	memslot_set_flags(t, 0, 1, RO);
	create_in(t, 0, 9, 0x100, 4, 90);
	memslot_set_flags(t, 0, 1, LOG);
	memslot_move(t, 0, 1, 0x100000, MEMSLOT_MOVE_MARK_ALL);
	memslot_delete(t, 0, 9);
	CHECK_EQ(commit(t, &res), 0);
	CHECK_EQ(res.changes, 0);
	CHECK_EQ(res.pause_ns, 0);
	CHECK_EQ(res.generation, 2);
	CHECK(bed_has(&b, 0, 1, 0x100, 16, 0, LOG));
	CHECK_EQ(b.live, live);
	/* a no-op still obeys the rules */
	t = bed_begin(&b);
	create_in(t, 0, 9, 0x100, 4, 90);
	memslot_delete(t, 0, 9);
	memslot_delete(t, 0, 9);
	fails(t, live, -ENOENT, "operation 2 (delete) on slot 9 of space 0: ");
	bed_close(&b);
}

static void test_pause(void)
{
	struct memslot_result res;
	struct memslot_txn *t;

	bed_open(&b, 1);
	t = bed_begin(&b);
	create_in(t, 0, 1, 0, 4, 0);
	CHECK_EQ(commit(t, &res), 0);
	CHECK_EQ(res.pause_ns, 0); /* nothing was there to be invalid */
	t = bed_begin(&b);
	memslot_delete(t, 0, 1);
	CHECK_EQ(commit(t, &res), 0);
	CHECK(res.pause_ns > 0);
	CHECK(res.pause_ns < 60u * 1000000000u);
	bed_close(&b);
}

/* Hundreds of slots in one go, and a mistake at the end of as many. */
static void test_large_batch(unsigned n)
{
	struct memslot_txn *t;
	unsigned bad = 0;
	long live;

	bed_open(&b, 16);
	t = bed_begin(&b);
	for (unsigned i = 0; i < n; i++)
		create_in(t, i % 16, (i * 37) % 32764, i * 4, 4, i % 64);
	commits(t, n);
	live = b.live;
	for (unsigned i = 0; i < n; i++)
		bad += !bed_has(
			&b, i % 16, (i * 37) % 32764, i * 4, 4, i % 64, 0);
	t = bed_begin(&b);
	for (unsigned i = 0; i < n; i++)
		memslot_move(t, i % 16, (i * 37) % 32764,
			(gpa_t)(i + 100000) * 0x4000, MEMSLOT_MOVE_KEEP);
	memslot_delete(t, 3, 32700);
	CHECK_EQ(memslot_commit(t, NULL, &b.err), -ENOENT);
	CHECK_EQ(b.live, live);
	t = bed_begin(&b);
	for (unsigned i = 0; i < n; i++)
		memslot_move(t, i % 16, (i * 37) % 32764,
			(gpa_t)(n - i) * 0x40000, MEMSLOT_MOVE_KEEP);
	commits(t, n);
	for (unsigned i = 0; i < n; i++)
		bad += !bed_has(&b, i % 16, (i * 37) % 32764, (n - i) * 64u, 4,
			i % 64, 0);
	CHECK_EQ(bad, 0);
	CHECK_EQ(bed_count(&b), n);
	bed_close(&b);
}

/* An operation that could not be recorded: commit says so, once and for all. */
static void test_record_fails(void)
{
	struct fault_plan plan = {0};
	struct memslot_result res;
	struct memslot_config c;
	struct memslot_txn *t;
	unsigned i;
	long live;

	two_slots();
	live = b.live;
	memslots_set_faults(b.ms, &plan);
	t = bed_begin(&b);
	fault_arm(&plan, FAULT_TXN_RECORD, 2, false);
	for (i = 0; i < 100; i++) {
		c = bed_config(&b, 0, 10 + i, 0x1000 + i, 1, i, 0);
		if (memslot_create(t, &c))
			break;
	}
	CHECK(i < 100);
	CHECK_EQ(memslot_delete(t, 0, 1), 0); /* there is memory again */
	CHECK_EQ(commit(t, &res), -ENOMEM);
	CHECK_EQ(b.err.code, -ENOMEM);
	CHECK_EQ(res.changes, 0);
	CHECK_EQ(b.live, live);
	CHECK(bed_has(&b, 0, 1, 0x100, 16, 0, LOG));
	fault_arm(&plan, FAULT_TXN_BEGIN, 1, false);
	CHECK_EQ(memslots_delete_slot(b.ms, 0, 1, &b.err), -ENOMEM);
	CHECK_EQ(memslots_delete_slot(b.ms, 0, 1, &b.err), 0);
	bed_close(&b);
}

/* NULL for err and for result is allowed everywhere. */
static void test_nobody_listens(void)
{
	struct memslot_txn *t;

	two_slots();
	CHECK_EQ(memslots_delete_slot(b.ms, 0, 9, NULL), -ENOENT);
	CHECK_EQ(memslots_set_slot_flags(b.ms, 0, 1, 8, NULL), -EINVAL);
	CHECK_EQ(memslots_set_slot_flags(b.ms, 0, 1, RO, NULL), 0);
	CHECK_EQ(memslots_move_slot(b.ms, 0, 1, 0, MEMSLOT_MOVE_KEEP, NULL), 0);
	CHECK_EQ(memslots_delete_slot(b.ms, 0, 2, NULL), 0);
	CHECK(bed_has(&b, 0, 1, 0, 16, 0, RO));
	CHECK_EQ(memslot_begin(b.ms, &t, NULL), 0);
	memslot_delete(t, 0, 1);
	CHECK_EQ(memslot_commit(t, NULL, NULL), 0);
	CHECK_EQ(bed_count(&b), 0);
	bed_close(&b);
}

int main(void)
{
	test_life();
	test_life_without_memory();
	test_leaving_things();
	test_order_of_rules(0,
		BAD_SPACE | BAD_ID | BAD_FLAGS | SIZE_ZERO | SIZE_ODD |
			GPA_ODD | HOST_NULL | HOST_ODD | HOST_WRAPS | TOO_BIG |
			PAST_LIMIT | ID_USED | OVERLAP,
		PAST_LIMIT | OVERLAP);
	test_order_of_rules(1, BAD_SPACE | BAD_ID | MISSING, 0xffff);
	test_order_of_rules(2,
		BAD_SPACE | BAD_ID | GPA_ODD | PAST_LIMIT | OVERLAP | MISSING,
		PAST_LIMIT | OVERLAP);
	test_order_of_rules(
		3, BAD_SPACE | BAD_ID | BAD_FLAGS | MISSING, 0xffff);
	test_sentences();
	test_which_operation();
	test_id_limits();
	test_address_limits();
	test_size_limit();
	test_host_limits();
	test_overlap();
	test_batch();
	test_swap();
	test_move_onto_itself();
	test_replace();
	for (gfn_t at = 1; at <= 20; at++)
		for (uint64_t pages = 1; pages <= 20; pages += 1)
			test_resize_in_place(pages, at);
	test_nothing_to_do();
	test_pause();
	test_large_batch(5);
	test_large_batch(700);
	test_record_fails();
	test_nobody_listens();
	return TEST_END("slots");
}
