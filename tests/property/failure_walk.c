/* SPDX-License-Identifier: MIT */
/*
 * failure_walk.c - law 5: whatever fails, nothing has happened
 *
 * Each scenario is run with its 1st, 2nd, 3rd ... step made to fail until a
 * run passes untouched; once with a single failure, once with every later
 * step failing too; once by fault points, once by allocations, once by what
 * a node or a backend answers when it is asked. After each failure a picture
 * of everything (layout, ids, generation, dirty bits, track counts, large
 * pages, memory, what a backend maps, what nodes were told, allocations) is
 * compared with the one before. Then all tracked pages are written, and
 * heard; and the scenario is run again and must end as it does in a world
 * where nothing ever failed.
 *
 * A refused undo breaks the machine. That has its own walk at the end.
 */
#include "tests/property/failure_walk_scenarios.h"

#define USED_PAGES 1600u /* host pages that slots are made of */
#define PICTURE    400000u

struct world w;

struct picture {
	size_t len;
	uint8_t byte[PICTURE];
};

static unsigned long points, runs, differences;
static const char *current;

/* ---- the world ---------------------------------------------------------- */

static bool in_trouble(struct trouble *t)
{
	t->calls++;
	if (!t->nth || t->calls < t->nth || (t->calls > t->nth && !t->on))
		return false;
	t->failures++;
	return true;
}

static void *world_alloc(void *ctx, size_t size)
{
	return in_trouble(&w.alloc) ? NULL : bed_alloc(ctx, size);
}

/* What a node or a backend answers. */
static int consent(int code, struct memslot_error *err)
{
	if (!code && in_trouble(&w.consent))
		code = -EBUSY;
	if (code && err) {
		err->code = code;
		snprintf(err->text, sizeof(err->text), "somebody says no");
	}
	return code;
}

static void mirror_set(struct backend *be, const struct memslot *s, bool there)
{
	struct mapping *m = &be->map[s->space][s->id];

	if (there)
		*m = (struct mapping){s->base_gfn, s->size_pages,
			(size_t)(s->host - w.b.host), s->flags};
	else
		memset(m, 0, sizeof(*m));
}

/* Forwards from -> to, backwards to -> from. */
static void mirror(struct backend *be, const struct memslot_txn *t, bool back)
{
	const struct memslot_change *c;
	size_t count;

	c = memslot_txn_changes(t, &count);
	for (size_t i = 0; i < count; i++) {
		const struct memslot *old = back ? c[i].to : c[i].from;
		const struct memslot *new = back ? c[i].from : c[i].to;

		if (old)
			mirror_set(be, old, false);
		if (new)
			mirror_set(be, new, true);
	}
}

static int be_apply(
	void *ctx, const struct memslot_txn *t, struct memslot_error *err)
{
	struct backend *be = ctx;
	int r = consent(be->refuse, err);

	if (!r)
		mirror(be, t, false);
	return r;
}

static int be_prepare(
	void *ctx, const struct memslot_txn *t, struct memslot_error *err)
{
	(void)ctx;
	(void)t;
	return consent(0, err);
}

static int be_undo(void *ctx, const struct memslot_txn *t)
{
	mirror(ctx, t, true);
	return 0;
}

static const struct memslot_participant_ops backend_ops = {
	.name = "mirror",
	.prepare = be_prepare,
	.apply = be_apply,
	.undo = be_undo,
};

static int nd_prepare(
	void *ctx, const struct memslot_txn *t, struct memslot_error *err)
{
	struct node *n = ctx;
	int r = consent(0, err);

	(void)t;
	if (!r && n->adds) {
		r = pagetrack_add(n->node, 0, 0x210, 1, err);
		n->added = !r;
	}
	n->prepares += !r;
	return r;
}

static void nd_cancel(void *ctx, const struct memslot_txn *t)
{
	struct node *n = ctx;

	(void)t;
	n->cancels++;
	if (n->added)
		CHECK_EQ(pagetrack_remove(n->node, 0, 0x210, 1, NULL), 0);
	n->added = false;
}

static void nd_flush(void *ctx, const struct memslot_txn *t)
{
	(void)t;
	((struct node *)ctx)->flushes++;
}

static void nd_committed(void *ctx, const struct memslot_txn *t, uint64_t gone)
{
	(void)t;
	(void)gone;
	((struct node *)ctx)->commits++;
}

static void nd_aborted(void *ctx, const struct memslot_txn *t)
{
	(void)t;
	((struct node *)ctx)->aborts++;
}

static void nd_write(void *ctx, const struct pagetrack_write *wr)
{
	(void)wr;
	((struct node *)ctx)->writes++;
}

const struct pagetrack_ops walk_node_ops = {.name = "node",
	.prepare = nd_prepare,
	.cancel = nd_cancel,
	.flush = nd_flush,
	.committed = nd_committed,
	.aborted = nd_aborted,
	.write = nd_write};

static void must(int r)
{
	if (r) {
		fprintf(stderr, "the world can not be set up: %d\n", r);
		exit(1);
	}
}

static int write_guest(gfn_t gfn, const char *text)
{
	return pagetrack_guest_write(w.pt, &w.b.r, 0, (gfn << 12) + 100, text,
		strlen(text), (struct pagetrack_source){PAGETRACK_HOST, 0});
}

static void world_nodes(void)
{
	static const enum pagetrack_policy policy[NODES] = {
		PAGETRACK_FOLLOW, PAGETRACK_STAY, PAGETRACK_REFUSE};
	static const struct {
		unsigned node;
		gfn_t gfn;
		uint64_t pages;
	} adds[] = {{FOLLOW, 0x205, 1}, {FOLLOW, 0x205, 1}, {FOLLOW, 0x300, 2},
		{FOLLOW, 0xc02, 1}, {STAY, 0x205, 2}, {STAY, 0x602, 1},
		{STAY, 0x400, 1}, {STAY, 0xc0a, 1}, {REFUSE, 0xd03, 1}};

	must(pagetrack_create(w.b.ms, &w.pt, NULL));
	for (unsigned i = 0; i < NODES; i++)
		must(pagetrack_register(w.pt, &walk_node_ops, &w.node[i],
			policy[i], &w.node[i].node, NULL));
	for (unsigned i = 0; i < sizeof(adds) / sizeof(adds[0]); i++)
		must(pagetrack_add(w.node[adds[i].node].node, 0, adds[i].gfn,
			adds[i].pages, NULL));
}

static const struct pci_device_ops card_ops = {.name = "card"};

static void world_cards(void)
{
	const struct pci_bus_config c = {
		.slots = w.b.ms, .window = {{0x50000000, 0x100000}}};
	const struct pci_identity id = {.vendor = 1};

	must(pci_bus_init(&w.bus, &c, NULL));
	for (unsigned i = 0; i < 2; i++) {
		pci_device_init(&w.card[i], &id, &card_ops, NULL);
		must(pci_bar_memory(&w.card[i], 0, 8 * MEMSLOT_PAGE_SIZE, 0,
			w.b.host + (1576 + 8 * i) * MEMSLOT_PAGE_SIZE, 40 + i,
			NULL));
		must(pci_bus_add(&w.bus, &w.card[i], i + 1, NULL));
		pci_config_store(&w.bus, i + 1, PCI_REG_BAR0, 4,
			0x50000000 + i * 0x10000);
	}
	pci_config_store(&w.bus, 2, PCI_REG_COMMAND, 2, PCI_COMMAND_MEMORY);
}

static void world_open(void)
{
	memset(&w, 0, sizeof(w));
	bed_open(&w.b, 2);
	w.b.pf.alloc = world_alloc;
	for (unsigned i = 0; i < BACKENDS; i++) {
		w.backend[i].p.ops = &backend_ops;
		w.backend[i].p.ctx = &w.backend[i];
		must(memslots_join(w.b.ms, &w.backend[i].p));
	}
	must(bed_create(&w.b, 0, 1, 0x200, 600, 0, LOG));
	must(bed_create(&w.b, 0, 2, 0x600, 16, 600, 0));
	must(bed_create(&w.b, 0, 3, 0x700, 8, 620, LOG | RO));
	must(bed_create(&w.b, 0, 4, 0x800, 512, 1024, 0));
	must(bed_create(&w.b, 0, 20, 0xc00, 8, 1536, LOG));
	must(bed_create(&w.b, 0, 21, 0xc08, 8, 1544, LOG));
	must(bed_create(&w.b, 0, 5, 0xd00, 8, 630, LOG));
	must(bed_create(&w.b, 1, 1, 0, 4, 600, LOG));
	world_cards();
	world_nodes();
	must(write_guest(0x203, "dirty"));
	must(write_guest(0x205, "tracked and dirty"));
	must(write_guest(0x457, "the last page"));
	must(write_guest(0x705, "rom"));
	must(write_guest(0x602, "not logged"));
	must(write_guest(0xc02, "below the border"));
	must(write_guest(0xc05, "not tracked"));
	must(write_guest(0xc0a, "above the border"));
	must(write_guest(0xd03, "may not move"));
	memslots_set_faults(w.b.ms, &w.plan);
}

static void world_close(void)
{
	memslots_set_faults(w.b.ms, NULL);
	for (unsigned i = 0; i < NODES; i++)
		pagetrack_unregister(w.node[i].node);
	pagetrack_destroy(w.pt);
	pci_bus_fini(&w.bus);
	for (unsigned i = 0; i < BACKENDS; i++)
		memslots_quit(w.b.ms, &w.backend[i].p);
	bed_close(&w.b);
}

/* ---- pictures ----------------------------------------------------------- */

static void put(struct picture *p, const void *bytes, size_t len)
{
	if (p->len + len > PICTURE) {
		fprintf(stderr, "the picture is too small\n");
		exit(1);
	}
	memcpy(p->byte + p->len, bytes, len);
	p->len += len;
}

static void put_number(struct picture *p, uint64_t n)
{
	put(p, &n, sizeof(n));
}

static void put_slot(struct picture *p, const struct memslot *s, bool identity)
{
	put_number(p, s->space << 16 | s->id);
	put_number(p, s->base_gfn);
	put_number(p, s->size_pages);
	put_number(p, (size_t)(s->host - w.b.host));
	put_number(p, s->flags | (memslot_is_invalid(s) ? 1u << 31 : 0));
	if (identity)
		put_number(p, (uintptr_t)s);
	for (uint64_t i = 0; i < s->size_pages; i++) {
		gfn_t gfn = s->base_gfn + i;
		uint8_t bits = (uint8_t)(memslot_page_dirty(s, gfn) |
					 memslot_page_tracked(s, gfn) << 1 |
					 memslot_page_writable(s, gfn) << 2 |
					 memslot_large_ok(s, gfn) << 3);

		for (unsigned n = 0; n < NODES; n++)
			bits |= (uint8_t)(pagetrack_tracks(
						  w.node[n].node, s->space, gfn)
					  << (4 + n));
		put(p, &bits, 1);
	}
}

static void put_layout(struct picture *p, bool identity)
{
	const struct memslot *s;

	for (unsigned space = 0; space < 2; space++) {
		gfn_t at = 0;

		memslot_enter(&w.b.r);
		for (; (s = memslot_next(&w.b.r, space, at));
			at = s->base_gfn + s->size_pages)
			put_slot(p, s, identity);
		for (unsigned id = 0; identity && id < MIRROR; id++)
			put_number(
				p, (uintptr_t)memslot_by_id(&w.b.r, space, id));
		memslot_leave(&w.b.r);
	}
	memslot_enter(&w.b.r);
	for (unsigned page = 0; identity && page < USED_PAGES; page += 5) {
		const uint8_t *host = w.b.host + page * 4096ul;

		for (s = NULL; (s = memslot_by_host(&w.b.r, host, s));)
			put_number(p, (uintptr_t)s);
		put_number(p, 0);
	}
	memslot_leave(&w.b.r);
}

/* The places the world and the probes write, and some they do not. */
static void put_memory(struct picture *p)
{
	for (size_t page = 0; page < USED_PAGES; page++)
		if (page < 8 || page % 256 < 2 || page / 32 == 18 ||
			page / 32 == 19 || page / 32 >= 48)
			put(p, w.b.host + page * 4096 + 96, 32);
}

/*
 * `identity`: also the very objects, the generation, allocations and what
 * was heard, which two runs of one scenario need not have in common.
 */
static void take_picture(struct picture *p, bool identity, bool balance)
{
	p->len = 0;
	put_layout(p, identity);
	put_memory(p);
	for (unsigned i = 0; i < BACKENDS; i++)
		put(p, w.backend[i].map, sizeof(w.backend[i].map));
	for (unsigned i = 0; i < NODES; i++) {
		put_number(p, pagetrack_size_pages(w.node[i].node));
		if (identity)
			put_number(p, w.node[i].commits);
		if (identity)
			put_number(p, w.node[i].writes);
		/* whoever heard `prepare` heard `cancel` */
		if (identity)
			put_number(p, w.node[i].prepares - w.node[i].cancels);
		/* whoever heard `flush` heard `aborted` */
		if (identity)
			put_number(p, w.node[i].flushes - w.node[i].aborts);
	}
	/* what the guest reads of its cards */
	for (unsigned i = 1; i <= 2; i++) {
		put_number(p, pci_config_load(&w.bus, i, PCI_REG_COMMAND, 2));
		put_number(p, pci_config_load(&w.bus, i, PCI_REG_BAR0, 4));
	}
	if (identity)
		put_number(p, memslots_generation(w.b.ms));
	if (balance)
		put_number(p, (uint64_t)atomic_load(&w.b.live));
	put_number(p, memslots_broken(w.b.ms));
}

static void differ(const char *what, uint64_t n)
{
	differences++;
	fprintf(stderr, "%s, failure %llu (point %u): %s\n", current,
		(unsigned long long)n, w.plan.last, what);
}

static void compare(const struct picture *a, const struct picture *b,
	const char *what, uint64_t n)
{
	size_t at = 0;

	if (a->len == b->len && memcmp(a->byte, b->byte, a->len) == 0)
		return;
	while (at < a->len && at < b->len && a->byte[at] == b->byte[at])
		at++;
	differ(what, n);
	fprintf(stderr, "  byte %zu of %zu and %zu\n", at, a->len, b->len);
}

/* ---- the walk ----------------------------------------------------------- */

/* Every tracked page is heard by the nodes that track it, and by no other. */
static void probe(uint64_t n)
{
	static const gfn_t page[] = {
		0x205, 0x206, 0x300, 0x301, 0x400, 0x602, 0xc02, 0xc0a, 0xd03};

	for (unsigned i = 0; i < sizeof(page) / sizeof(page[0]); i++) {
		unsigned before[NODES];

		for (unsigned k = 0; k < NODES; k++)
			before[k] = w.node[k].writes;

		if (write_guest(page[i], "probe"))
			differ("a tracked page can not be written", n);
		for (unsigned k = 0; k < NODES; k++)
			if (w.node[k].writes - before[k] !=
				pagetrack_tracks(w.node[k].node, 0, page[i]))
				differ("a write was not heard, or too often",
					n);
	}
}

/* What is made to fail; in an odd mode, from the nth time on. */
enum mode {
	POINTS,
	POINTS_ON,
	ALLOCS,
	ALLOCS_ON,
	CONSENTS,
	CONSENTS_ON,
	MODES
};

static void arm(enum mode mode, uint64_t n)
{
	bool on = mode & 1;

	mode &= ~1u;
	fault_arm(&w.plan, FAULT_ANY, mode == POINTS ? n : 0, on);
	w.alloc = (struct trouble){.nth = mode == ALLOCS ? n : 0, .on = on};
	w.consent = (struct trouble){.nth = mode == CONSENTS ? n : 0, .on = on};
}

static void disarm(void)
{
	w.alloc.nth = w.consent.nth = 0;
	memslots_set_faults(w.b.ms, NULL);
}

static int create_one(void)
{
	return bed_create(&w.b, 0, 9, 0xb00, 100, 640, 0);
}

static int delete_one(void)
{
	return memslots_delete_slot(w.b.ms, 0, 3, &w.b.err);
}

/* The machine is broken: no crash, no hang, no leak, no more commits. */
static void check_broken(uint64_t n, int r)
{
	uint64_t generation = memslots_generation(w.b.ms);
	char byte;

	disarm();
	if (r != -EIO || !memslots_broken(w.b.ms))
		differ("a refused undo does not break the machine", n);
	if (create_one() != -EIO || delete_one() != -EIO)
		differ("a broken machine commits", n);
	if (memslots_generation(w.b.ms) != generation)
		differ("a broken machine has a new generation", n);
	memslot_enter_at(&w.b.r, 0, 0x205);
	memslot_leave(&w.b.r);
	memslot_wait_valid(&w.b.r);
	pagetrack_guest_read(&w.b.r, 0, 0x205000, &byte, 1);
	write_guest(0x205, "x");
	/* the tracker does not ask the transaction that is no more */
	pagetrack_add(w.node[0].node, 0, 0x207, 1, NULL);
	pagetrack_add(w.node[1].node, 0, 0x602, 3, NULL);
	pagetrack_remove(w.node[0].node, 0, 0x205, 1, NULL);
	w.node[FOLLOW].added = false;
}

static void after_failure(const struct scenario *s, uint64_t n, int r,
	const struct picture *before, const struct picture *reference)
{
	static struct picture now;

	disarm();
	if (r != -ENOMEM && r != -EBUSY && r != s->want)
		differ("a failure was not reported", n);
	take_picture(&now, true, !s->reserves);
	compare(before, &now, "the world is not as it was", n);
	probe(n);
	r = s->run();
	if (r != s->want) {
		differ("it does not work afterwards either", n);
		return;
	}
	take_picture(&now, false, false);
	compare(reference, &now, "it does not end as it should", n);
}

/* False: nothing was made to fail. */
static bool walk_step(const struct scenario *s, enum mode mode, uint64_t n,
	const struct picture *reference)
{
	static struct picture before;
	bool failed;
	int r;

	world_open();
	take_picture(&before, true, !s->reserves);
	arm(mode, n);
	r = s->run();
	runs++;
	failed = w.plan.fired || w.alloc.failures || w.consent.failures;
	if (!failed) {
		if (r != s->want)
			differ("it fails all by itself", n);
	} else if (w.plan.last == FAULT_UNDO_PARTICIPANT) {
		check_broken(n, r);
	} else {
		after_failure(s, n, r, &before, reference);
	}
	world_close();
	return failed;
}

/* The scenario in a world where nothing is made to fail. */
static void walk_reference(const struct scenario *s, struct picture *reference)
{
	static struct picture before, after;

	world_open();
	probe(0);
	take_picture(&before, true, !s->reserves);
	if (s->run() != s->want)
		differ("it fails all by itself", 0);
	for (unsigned i = 0; i < NODES; i++)
		if (pagetrack_size_pages(w.node[i].node) != s->tracked[i]) {
			differ("other pages are tracked at the end", 0);
			fprintf(stderr, "  node %u: %u\n", i,
				(unsigned)pagetrack_size_pages(w.node[i].node));
		}
	take_picture(&after, true, !s->reserves);
	if (s->want)
		compare(&before, &after, "refused, and yet", 0);
	take_picture(reference, false, false);
	world_close();
}

static void walk(const struct scenario *s)
{
	static struct picture reference;

	current = s->name;
	walk_reference(s, &reference);
	for (enum mode mode = POINTS; mode < MODES; mode++) {
		uint64_t n = 1;

		while (n < 100000 && walk_step(s, mode, n, &reference))
			n++;
		points += mode & 1 ? 0 : n - 1;
	}
}

/* The second backend refuses, and the first can not go back. */
static void walk_undo(const struct scenario *s)
{
	int r;

	current = s->name;
	world_open();
	w.backend[1].refuse = -ENOSPC;
	fault_arm(&w.plan, FAULT_UNDO_PARTICIPANT, 1, false);
	r = s->run();
	runs++;
	points++;
	check_broken(0, r);
	world_close();
}

int main(void)
{
	for (unsigned i = 0; i < scenarios_count; i++)
		walk(&scenarios[i]);
	for (unsigned i = 0; i < scenarios_count; i++)
		if (scenarios[i].changes)
			walk_undo(&scenarios[i]);
	differences += atomic_load(&test_failures) + scenarios_failures();
	printf("%u scenarios, %lu fault points, %lu runs, %lu differences\n",
		scenarios_count, points, runs, differences);
	return differences != 0;
}
