/* SPDX-License-Identifier: MIT */
/*
 * failure_walk_scenarios.c - all kinds of changes, alone and together
 *
 * See failure_walk_scenarios.h for the world they start in.
 */
#include "tests/property/failure_walk_scenarios.h"

#define PAGE MEMSLOT_PAGE_SIZE

static int commit(struct memslot_txn *t)
{
	return memslot_commit(t, NULL, &w.b.err);
}

static int add_create(struct memslot_txn *t, unsigned space, unsigned id,
	gfn_t gfn, uint64_t pages, uint64_t host, uint32_t flags)
{
	struct memslot_config c =
		bed_config(&w.b, space, id, gfn, pages, host, flags);

	return memslot_create(t, &c);
}

/* Most scenarios are the operations of one transaction. */
static int in_one_txn(void (*record)(struct memslot_txn *t))
{
	struct memslot_txn *t;
	int r = memslot_begin(w.b.ms, &t, &w.b.err);

	if (r)
		return r;
	record(t);
	return commit(t);
}

#define TXN(name)                                \
	static void name(struct memslot_txn *t); \
	static int sc_##name(void)               \
	{                                        \
		return in_one_txn(name);         \
	}                                        \
	static void name(struct memslot_txn *t)

/* ---- one slot ----------------------------------------------------------- */

TXN(create)
{
	add_create(t, 0, 9, 0xb00, 100, 640, 0);
}

TXN(create_logged)
{
	add_create(t, 1, 9, 0xb00, 700, 640, LOG);
}

TXN(delete)
{
	memslot_delete(t, 0, 3);
}

TXN(delete_tracked)
{
	memslot_delete(t, 0, 1);
}

TXN(move)
{
	memslot_move(t, 0, 3, 0xb00 * PAGE, ALL);
}

/* Onto a part of itself: what stays and what follows differ. */
TXN(move_tracked)
{
	memslot_move(t, 0, 1, 0x201 * PAGE, ALL);
}

TXN(move_far_keep)
{
	memslot_move(t, 0, 1, 0x4000 * PAGE, KEEP);
}

TXN(move_and_flags)
{
	memslot_move(t, 0, 1, 0x4000 * PAGE, KEEP);
	memslot_set_flags(t, 0, 1, 0);
	memslot_move(t, 0, 2, 0x5000 * PAGE, ALL);
	memslot_set_flags(t, 0, 2, LOG);
}

TXN(flags_off)
{
	memslot_set_flags(t, 0, 1, 0);
}

TXN(flags_on)
{
	memslot_set_flags(t, 0, 2, LOG);
}

TXN(flags_readonly)
{
	memslot_set_flags(t, 0, 1, LOG | RO);
}

/* Flags move nothing: also a node that refuses moves agrees. */
TXN(flags_refusing)
{
	memslot_set_flags(t, 0, 5, RO);
}

TXN(nothing)
{
	memslot_move(t, 0, 1, 0x4000 * PAGE, ALL);
	memslot_move(t, 0, 1, 0x200 * PAGE, ALL);
	memslot_set_flags(t, 0, 2, 0);
	add_create(t, 1, 9, 0x100, 4, 4, LOG);
	memslot_delete(t, 1, 9);
}

/* ---- shapes ------------------------------------------------------------- */

TXN(split)
{
	memslot_split(t, 0, 1, 0x100 * PAGE, 10);
}

/* Cuts that are no multiple of 64 pages, and the parts go their ways. */
TXN(split_and_move)
{
	memslot_split(t, 0, 1, 5 * PAGE, 10);
	memslot_split(t, 0, 10, 252 * PAGE, 11);
	memslot_move(t, 0, 10, 0x4000 * PAGE, KEEP);
	memslot_set_flags(t, 0, 11, 0);
}

TXN(split_and_delete)
{
	memslot_split(t, 0, 1, 6 * PAGE, 10);
	memslot_delete(t, 0, 1);
}

TXN(split_and_merge)
{
	memslot_split(t, 0, 1, 0x101 * PAGE, 10);
	memslot_merge(t, 0, 1, 10);
}

TXN(split_eight)
{
	for (unsigned i = 0; i < 7; i++)
		memslot_split(t, 0, i ? 29 + i : 1, 70 * PAGE, 30 + i);
}

TXN(merge)
{
	memslot_merge(t, 0, 20, 21);
}

TXN(merge_and_move)
{
	memslot_merge(t, 0, 20, 21);
	memslot_move(t, 0, 20, 0xc04 * PAGE, ALL);
}

/* A piece changes hands: the border between two slots moves. */
TXN(border)
{
	memslot_split(t, 0, 20, 3 * PAGE, 22);
	memslot_merge(t, 0, 22, 21);
}

TXN(grow)
{
	memslot_resize(t, 0, 2, 20 * PAGE);
}

TXN(grow_tracked)
{
	memslot_resize(t, 0, 1, 700 * PAGE);
}

TXN(shrink_tracked)
{
	memslot_resize(t, 0, 1, 0x100 * PAGE);
}

TXN(shrink_and_fill)
{
	memslot_resize(t, 0, 1, 0x100 * PAGE);
	add_create(t, 0, 10, 0x300, 600 - 0x100, 640, LOG);
}

static void other_host(
	struct memslot_txn *t, unsigned id, uint64_t page, bool copy)
{
	memslot_replace_host(t, 0, id, w.b.host + page * PAGE,
		copy ? MEMSLOT_HOST_COPY : MEMSLOT_HOST_AS_IS);
}

TXN(host_copy)
{
	other_host(t, 20, 1552, true);
	other_host(t, 2, 1568, true);
}

TXN(host_as_is)
{
	other_host(t, 20, 1552, false);
}

TXN(host_and_move)
{
	other_host(t, 20, 1552, true);
	memslot_move(t, 0, 20, 0x5000 * PAGE, ALL);
	memslot_resize(t, 0, 21, 4 * PAGE);
}

/* ---- several slots ------------------------------------------------------ */

TXN(swap)
{
	memslot_move(t, 0, 1, 0x600 * PAGE, ALL);
	memslot_move(t, 0, 2, 0x200 * PAGE, KEEP);
	memslot_move(t, 0, 3, 0x3000 * PAGE, KEEP); /* make room */
	memslot_move(t, 0, 4, 0xa00 * PAGE, KEEP);
}

/* Two tracked slots of one size change places, and nothing else moves. */
TXN(swap_two)
{
	memslot_move(t, 0, 20, 0xc08 * PAGE, KEEP);
	memslot_move(t, 0, 21, 0xc00 * PAGE, KEEP);
}

TXN(replace)
{
	memslot_delete(t, 0, 1);
	add_create(t, 0, 1, 0x200, 300, 100, LOG);
	add_create(t, 0, 7, 0x200 + 300, 300, 400, 0);
}

/* One of each kind. */
TXN(batch)
{
	memslot_move(t, 0, 1, 0x4000 * PAGE, ALL);
	memslot_set_flags(t, 0, 1, LOG | RO);
	memslot_delete(t, 0, 2);
	memslot_set_flags(t, 0, 4, LOG);
	memslot_delete(t, 0, 3);
	add_create(t, 0, 3, 0x5000, 20, 620, LOG);
	add_create(t, 1, 50, 0x200, 600, 0, LOG);
	memslot_delete(t, 1, 1);
}

/* So many that the indexes grow by levels. */
TXN(many)
{
	for (unsigned i = 0; i < 60; i++)
		add_create(t, i % 2, 60 + i, 0x10000 + i * 3, 3, i, i & LOG);
	memslot_delete(t, 0, 2);
}

/* Eighteen operations of all kinds, some on what others have made. */
TXN(batch_of_shapes)
{
	memslot_split(t, 0, 1, 0x100 * PAGE, 10);
	memslot_split(t, 0, 10, 0x80 * PAGE, 11);
	memslot_move(t, 0, 11, 0x4000 * PAGE, KEEP);
	memslot_resize(t, 0, 10, 0x40 * PAGE);
	memslot_merge(t, 0, 20, 21);
	memslot_split(t, 0, 20, 2 * PAGE, 21);
	memslot_move(t, 0, 21, 0x5000 * PAGE, ALL);
	memslot_resize(t, 0, 2, 18 * PAGE);
	other_host(t, 2, 1568, true);
	memslot_set_flags(t, 0, 2, LOG);
	memslot_delete(t, 0, 3);
	add_create(t, 0, 3, 0x700, 4, 622, LOG | RO);
	memslot_split(t, 0, 4, 256 * PAGE, 12);
	memslot_move(t, 0, 12, 0x6000 * PAGE, KEEP);
	memslot_set_flags(t, 0, 4, LOG);
	memslot_delete(t, 1, 1);
	add_create(t, 1, 2, 0, 4, 600, LOG);
	memslot_set_flags(t, 0, 5, 0);
}

/* Twenty moves through each other: all is in order only at the end. */
TXN(batch_of_moves)
{
	for (unsigned i = 0; i < 4; i++) {
		memslot_move(t, 0, 20, (0x600 + i) * PAGE, KEEP);
		memslot_move(t, 0, 2, (0xc00 + i) * PAGE, ALL);
		memslot_move(t, 0, 3, (0x200 + i) * PAGE, KEEP);
		memslot_move(t, 0, 1, (0x6000 + i) * PAGE, KEEP);
		memslot_move(t, 0, 21, (0x700 + i) * PAGE, ALL);
	}
	memslot_move(t, 0, 2, 0xc00 * PAGE, KEEP);
}

/* Everything goes but what may not. */
TXN(delete_most)
{
	static const unsigned id[] = {1, 2, 3, 4, 20, 21};

	for (unsigned i = 0; i < sizeof(id) / sizeof(id[0]); i++)
		memslot_delete(t, 0, id[i]);
	memslot_delete(t, 1, 1);
}

/* ---- spaces ------------------------------------------------------------- */

/* Both spaces at once, and one's memory turns up in the other. */
TXN(both_spaces)
{
	memslot_move(t, 1, 1, 0x600 * PAGE, KEEP);
	memslot_move(t, 0, 2, 0, KEEP);
	memslot_set_flags(t, 0, 1, 0);
	add_create(t, 1, 20, 0xc00, 8, 1536, LOG);
}

/* From one space to the other, under the same id. */
TXN(to_other_space)
{
	memslot_delete(t, 0, 20);
	add_create(t, 1, 20, 0xc00, 8, 1536, LOG);
	memslot_split(t, 1, 1, 2 * PAGE, 2);
}

/* A space that allows no moves says so; the other is not asked. */
static int sc_no_moves(void)
{
	int r;

	memslots_set_space_options(w.b.ms, 0, MEMSLOT_SPACE_NO_MOVES);
	r = sc_move();
	memslots_set_space_options(w.b.ms, 0, 0);
	return r;
}

static int sc_no_moves_elsewhere(void)
{
	int r;

	memslots_set_space_options(w.b.ms, 1, MEMSLOT_SPACE_NO_MOVES);
	r = sc_move_far_keep();
	memslots_set_space_options(w.b.ms, 1, 0);
	return r;
}

/* ---- refused ------------------------------------------------------------ */

TXN(refused_move)
{
	memslot_move(t, 0, 5, 0xe00 * PAGE, KEEP);
}

TXN(refused_delete)
{
	memslot_delete(t, 0, 5);
}

/* Much could be done, but for the last operation. */
TXN(refused_batch)
{
	batch_of_shapes(t);
	memslot_resize(t, 0, 5, 2 * PAGE);
}

/* ---- populated ---------------------------------------------------------- */

static int populate_two(void)
{
	return memslots_populate(w.b.ms, 0, 0xc04, 10, &w.b.err);
}

static int sc_populate(void)
{
	return populate_two();
}

static int sc_populate_hole(void)
{
	return memslots_populate(w.b.ms, 0, 0xc04, 13, &w.b.err);
}

static int sc_populate_move(void)
{
	int r = populate_two();

	return r ? r : sc_swap_two();
}

static int sc_populate_border(void)
{
	int r = populate_two();

	return r ? r : sc_border();
}

/* ---- the dirty log ------------------------------------------------------ */

static int sc_harvest(void)
{
	struct memslot_harvest *h;
	int r = memslot_harvest(w.b.ms, 0, 1, &h, &w.b.err);

	if (r)
		return r;
	CHECK(memslot_harvest_count(h) >= 3);
	memslot_harvest_done(h);
	return 0;
}

/* All of it, or nothing of it. */
static int sc_harvest_chunks(void)
{
	struct memslot_harvest *h[4] = {NULL};
	unsigned n = 0;
	int r = 0;

	for (; !r && n < 4; n++)
		r = memslot_harvest_range(
			w.b.ms, 0, 1, n * 150, 150, &h[n], &w.b.err);
	while (n--)
		if (r)
			memslot_harvest_give_back(h[n]);
		else
			memslot_harvest_done(h[n]);
	return r;
}

/* Harvests are out when a change fails, or succeeds; then they come back. */
static int harvested(int (*change)(void), unsigned id)
{
	struct memslot_harvest *h[2] = {NULL, NULL};
	int r;

	r = memslot_harvest_range(w.b.ms, 0, id, 0, 4, &h[0], &w.b.err);
	if (!r)
		r = memslot_harvest_range(w.b.ms, 0, id, 4, 0, &h[1], &w.b.err);
	if (!r)
		r = change();
	memslot_harvest_give_back(h[0]);
	memslot_harvest_give_back(h[1]);
	return r;
}

static int sc_harvest_move(void)
{
	return harvested(sc_move_far_keep, 1);
}

static int sc_harvest_split(void)
{
	return harvested(sc_split_and_move, 1);
}

static int sc_harvest_eight(void)
{
	return harvested(sc_split_eight, 1);
}

static int sc_harvest_merge(void)
{
	return harvested(sc_merge_and_move, 20);
}

static int sc_harvest_border(void)
{
	return harvested(sc_border, 20);
}

static int sc_harvest_grow(void)
{
	return harvested(sc_grow_tracked, 1);
}

static int sc_harvest_shrink(void)
{
	return harvested(sc_shrink_tracked, 1);
}

static int sc_harvest_host(void)
{
	return harvested(sc_host_and_move, 20);
}

static int sc_harvest_flags(void)
{
	return harvested(sc_flags_off, 1);
}

static int sc_harvest_delete(void)
{
	return harvested(sc_delete_tracked, 1);
}

static int sc_harvest_batch(void)
{
	return harvested(sc_batch_of_shapes, 1);
}

static int last_harvest(bool again)
{
	struct memslot_harvest *h = NULL;
	struct memslot_txn *t;
	int r = memslot_begin(w.b.ms, &t, &w.b.err);

	if (r)
		return r;
	memslot_delete_harvest(t, 0, 1, &h);
	if (again)
		add_create(t, 0, 1, 0x200, 600, 0, LOG);
	r = commit(t);
	CHECK(!h == !!r); /* it is handed out exactly on success */
	if (!r) {
		CHECK_EQ(memslot_harvest_size_pages(h), 600);
		CHECK(memslot_harvest_test(h, 3));
		CHECK(memslot_harvest_test(h, 5));
	}
	memslot_harvest_done(h);
	return r;
}

static int sc_delete_harvest(void)
{
	return last_harvest(false);
}

static int sc_delete_harvest_create(void)
{
	return last_harvest(true);
}

/* ---- the tracker -------------------------------------------------------- */

/* The node adds a page of the changing slot while it is asked. */
static int adding(int (*change)(void))
{
	int r;

	w.node[FOLLOW].adds = true;
	r = change();
	w.node[FOLLOW].adds = false;
	w.node[FOLLOW].added = false;
	return r;
}

static int sc_add_in_prepare(void)
{
	return adding(sc_move_far_keep);
}

static int sc_add_in_split(void)
{
	return adding(sc_split_and_move);
}

static int sc_add(void)
{
	return pagetrack_add(w.node[STAY].node, 0, 0x210, 20, &w.b.err);
}

static int sc_add_fresh(void)
{
	return pagetrack_add(w.node[FOLLOW].node, 0, 0x700, 8, &w.b.err);
}

/* Three slots in a row, the last of which ends too early. */
static int sc_add_too_many(void)
{
	return pagetrack_add(w.node[REFUSE].node, 0, 0xc00, 17, &w.b.err);
}

static int sc_add_across(void)
{
	return pagetrack_add(w.node[REFUSE].node, 0, 0xc00, 16, &w.b.err);
}

static int sc_register(void)
{
	struct pagetrack_node *n;
	int r = pagetrack_register(w.pt, &walk_node_ops, &w.node[FOLLOW],
		PAGETRACK_STAY, &n, &w.b.err);

	if (r)
		return r;
	r = pagetrack_add(n, 0, 0x205, 3, &w.b.err);
	pagetrack_unregister(n);
	return r;
}

/* ---- BARs ---------------------------------------------------------------- */

/* A guest's store; what it is told of a failure is that nothing happened. */
static int card_store(
	unsigned card, unsigned offset, unsigned len, uint32_t value)
{
	struct pci_counts before, after;

	pci_get_counts(&w.bus, &before);
	pci_config_store(&w.bus, card + 1, offset, len, value);
	pci_get_counts(&w.bus, &after);
	if (memslots_broken(w.b.ms))
		return -EIO;
	return after.refused == before.refused ? 0 : -ENOMEM;
}

static int sc_bar_create(void)
{
	return card_store(0, PCI_REG_COMMAND, 2, PCI_COMMAND_MEMORY);
}

static int sc_bar_move(void)
{
	return card_store(1, PCI_REG_BAR0, 4, 0x50040 * PAGE);
}

static int sc_bar_delete(void)
{
	return card_store(1, PCI_REG_COMMAND, 2, 0);
}

/* Where the other one's registers say it would be: it is not there. */
static int sc_bar_move_beside(void)
{
	return card_store(1, PCI_REG_BAR0, 4, 0x50000 * PAGE);
}

/* ---- the table ---------------------------------------------------------- */

const struct scenario scenarios[] = {
	{"create", sc_create, 0, false, false, {4, 5, 1}},
	{"create, logged", sc_create_logged, 0, false, false, {4, 5, 1}},
	{"delete", sc_delete, 0, false, true, {4, 5, 1}},
	{"delete, tracked", sc_delete_tracked, 0, false, true, {1, 2, 1}},
	{"move", sc_move, 0, false, true, {4, 5, 1}},
	{"move onto itself, tracked", sc_move_tracked, 0, false, true,
		{4, 5, 1}},
	{"move far and keep", sc_move_far_keep, 0, false, true, {4, 2, 1}},
	{"move and flags", sc_move_and_flags, 0, false, true, {4, 1, 1}},
	{"log off", sc_flags_off, 0, false, true, {4, 5, 1}},
	{"log on", sc_flags_on, 0, false, true, {4, 5, 1}},
	{"read-only", sc_flags_readonly, 0, false, true, {4, 5, 1}},
	{"flags where moves are refused", sc_flags_refusing, 0, false, true,
		{4, 5, 1}},
	{"nothing, at length", sc_nothing, 0, false, false, {4, 5, 1}},

	{"split", sc_split, 0, false, true, {4, 5, 1}},
	{"split and move", sc_split_and_move, 0, false, true, {4, 3, 1}},
	{"split and delete", sc_split_and_delete, 0, false, true, {3, 4, 1}},
	{"split and merge", sc_split_and_merge, 0, false, false, {4, 5, 1}},
	{"split in eight", sc_split_eight, 0, false, true, {4, 5, 1}},
	{"merge", sc_merge, 0, false, true, {4, 5, 1}},
	{"merge and move", sc_merge_and_move, 0, false, true, {4, 5, 1}},
	{"move a border", sc_border, 0, false, true, {4, 5, 1}},
	{"grow", sc_grow, 0, false, true, {4, 5, 1}},
	{"grow, tracked", sc_grow_tracked, 0, false, true, {4, 5, 1}},
	{"shrink, tracked", sc_shrink_tracked, 0, false, true, {2, 4, 1}},
	{"shrink and fill", sc_shrink_and_fill, 0, false, true, {2, 5, 1}},
	{"other host memory, copied", sc_host_copy, 0, false, true, {4, 5, 1}},
	{"other host memory, as is", sc_host_as_is, 0, false, true, {4, 5, 1}},
	{"other host memory and move", sc_host_and_move, 0, false, true,
		{4, 5, 1}},

	{"swap", sc_swap, 0, false, true, {4, 4, 1}},
	{"swap two", sc_swap_two, 0, false, true, {4, 5, 1}},
	{"replace by two", sc_replace, 0, false, true, {1, 5, 1}},
	{"batch", sc_batch, 0, false, true, {4, 1, 1}},
	{"many", sc_many, 0, false, true, {4, 4, 1}},
	{"batch of shapes", sc_batch_of_shapes, 0, false, true, {4, 3, 1}},
	{"batch of moves", sc_batch_of_moves, 0, false, true, {4, 3, 1}},
	{"delete most", sc_delete_most, 0, false, true, {0, 0, 1}},

	{"both spaces", sc_both_spaces, 0, false, true, {4, 4, 1}},
	{"to the other space", sc_to_other_space, 0, false, true, {3, 5, 1}},
	{"a space without moves", sc_no_moves, -EPERM, false, false, {4, 5, 1}},
	{"the other without moves", sc_no_moves_elsewhere, 0, false, true,
		{4, 2, 1}},

	{"refused move", sc_refused_move, -EBUSY, false, false, {4, 5, 1}},
	{"refused delete", sc_refused_delete, -EBUSY, false, false, {4, 5, 1}},
	{"refused batch", sc_refused_batch, -EBUSY, false, false, {4, 5, 1}},

	{"populate", sc_populate, 0, true, false, {4, 5, 1}},
	{"populate a hole", sc_populate_hole, -ENOENT, true, false, {4, 5, 1}},
	{"populate and swap", sc_populate_move, 0, true, true, {4, 5, 1}},
	{"populate and move a border", sc_populate_border, 0, true, true,
		{4, 5, 1}},

	{"harvest", sc_harvest, 0, false, false, {4, 5, 1}},
	{"harvest in chunks", sc_harvest_chunks, 0, false, false, {4, 5, 1}},
	{"harvest and move", sc_harvest_move, 0, false, true, {4, 2, 1}},
	{"harvest and split", sc_harvest_split, 0, false, true, {4, 3, 1}},
	{"harvest and split in eight", sc_harvest_eight, 0, false, true,
		{4, 5, 1}},
	{"harvest and merge", sc_harvest_merge, 0, false, true, {4, 5, 1}},
	{"harvest and move a border", sc_harvest_border, 0, false, true,
		{4, 5, 1}},
	{"harvest and grow", sc_harvest_grow, 0, false, true, {4, 5, 1}},
	{"harvest and shrink", sc_harvest_shrink, 0, false, true, {2, 4, 1}},
	{"harvest and other host memory", sc_harvest_host, 0, false, true,
		{4, 5, 1}},
	{"harvest and log off", sc_harvest_flags, 0, false, true, {4, 5, 1}},
	{"harvest and delete", sc_harvest_delete, 0, false, true, {1, 2, 1}},
	{"harvest and batch", sc_harvest_batch, 0, false, true, {4, 3, 1}},
	{"delete and harvest", sc_delete_harvest, 0, false, true, {1, 2, 1}},
	{"delete, harvest, create", sc_delete_harvest_create, 0, false, true,
		{1, 5, 1}},

	{"add in prepare", sc_add_in_prepare, 0, false, true, {5, 2, 1}},
	{"add while split", sc_add_in_split, 0, false, true, {5, 3, 1}},
	{"add pages", sc_add, 0, false, false, {4, 25, 1}},
	{"add to a fresh slot", sc_add_fresh, 0, true, false, {12, 5, 1}},
	{"add too many", sc_add_too_many, -ENOENT, false, false, {4, 5, 1}},
	{"add across slots", sc_add_across, 0, false, false, {4, 5, 17}},
	{"BAR, enabled", sc_bar_create, 0, false, false, {4, 5, 1}},
	{"BAR, moved", sc_bar_move, 0, false, true, {4, 5, 1}},
	{"BAR, moved to where one may be", sc_bar_move_beside, 0, false, true,
		{4, 5, 1}},
	{"BAR, disabled", sc_bar_delete, 0, false, true, {4, 5, 1}},
	{"register", sc_register, 0, false, false, {4, 5, 1}},
};
const unsigned scenarios_count = sizeof(scenarios) / sizeof(scenarios[0]);

unsigned long scenarios_failures(void)
{
	return atomic_load(&test_failures);
}
