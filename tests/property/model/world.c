/* SPDX-License-Identifier: MIT */
/* world.c - the real thing: map, tracker, nodes, CPUs, a backend */
#include "tests/property/model/model.h"

struct world w;
struct tally tally;
_Alignas(PAGE) uint8_t host[FRAMES][PAGE];

/* ---- memory that is counted ---------------------------------------------- */

static void *count_alloc(void *ctx, size_t size)
{
	void *p = memslot_hosted.alloc(NULL, size);

	(void)ctx;
	w.live += p != NULL;
	return p;
}

static void count_free(void *ctx, void *p)
{
	(void)ctx;
	w.live--;
	memslot_hosted.free(NULL, p);
}

/* ---- nodes ---------------------------------------------------------------- */

static void hear(const struct ear *e, char what)
{
	size_t at = strlen(w.heard);

	MUST(at + 2 < sizeof(w.heard));
	w.heard[at] = (char)('A' + e->number);
	w.heard[at + 1] = what;
	w.heard[at + 2] = '\0';
}

void heard_clear(void)
{
	w.heard[0] = '\0';
	w.events = 0;
	w.flushed = false;
	memset(w.asked, 0, sizeof(w.asked));
}

static int node_prepare(
	void *ctx, const struct memslot_txn *t, struct memslot_error *err)
{
	const struct ear *e = ctx;

	(void)t;
	hear(e, 'p');
	if (w.veto != VETO_NODE + e->number)
		return 0;
	*err = (struct memslot_error){-EXDEV, "a node says no"};
	return -EXDEV;
}

static void node_cancel(void *ctx, const struct memslot_txn *t)
{
	(void)t;
	hear(ctx, 'c');
}

static void node_flush(void *ctx, const struct memslot_txn *t)
{
	(void)t;
	hear(ctx, 'f');
}

static void node_committed(
	void *ctx, const struct memslot_txn *t, uint64_t gone)
{
	struct ear *e = ctx;

	(void)t;
	e->gone = gone;
	hear(e, 'k');
}

static void node_aborted(void *ctx, const struct memslot_txn *t)
{
	(void)t;
	hear(ctx, 'a');
}

static void node_write(void *ctx, const struct pagetrack_write *wr)
{
	const struct ear *e = ctx;
	struct event *at = &w.event[w.events];

	MUST(w.events < sizeof(w.event) / sizeof(w.event[0]));
	MUST(wr->len >= 1 && wr->len <= LONGEST);
	w.events++;
	tally.events++;
	*at = (struct event){.node = e->number,
		.space = wr->space,
		.gpa = wr->gpa,
		.len = wr->len,
		.has_old = wr->old != NULL,
		.source = wr->source};
	memcpy(at->bytes, wr->bytes, wr->len);
	if (wr->old)
		memcpy(at->old, wr->old, wr->len);
}

static const struct pagetrack_ops node_ops = {
	.name = "model",
	.prepare = node_prepare,
	.cancel = node_cancel,
	.flush = node_flush,
	.committed = node_committed,
	.aborted = node_aborted,
	.write = node_write,
};

void node_open(unsigned n)
{
	static const enum pagetrack_policy policy[NODES] = {
		PAGETRACK_FOLLOW, PAGETRACK_STAY, PAGETRACK_REFUSE};

	w.ear[n] = (struct ear){.number = n};
	MUST(pagetrack_register(w.pt, &node_ops, &w.ear[n], policy[n],
		     &w.node[n], NULL) == 0);
	if (n == F)
		pagetrack_want_old(w.node[n], true);
}

/* ---- the backend ----------------------------------------------------------- */

static int backend_says(enum veto here, struct memslot_error *err)
{
	if (w.veto != here)
		return 0;
	*err = (struct memslot_error){-EACCES, "the backend says no"};
	return -EACCES;
}

static int backend_prepare(
	void *ctx, const struct memslot_txn *t, struct memslot_error *err)
{
	(void)ctx;
	(void)t;
	return backend_says(VETO_PREPARE, err);
}

static void backend_flush(void *ctx, const struct memslot_txn *t)
{
	(void)ctx;
	(void)t;
	w.flushed = true;
}

static int backend_apply(
	void *ctx, const struct memslot_txn *t, struct memslot_error *err)
{
	const struct memslot_change *c;
	size_t count;

	(void)ctx;
	c = memslot_txn_changes(t, &count);
	MUST(count > 0);
	for (; count; c++, count--)
		MUST(!c->from || memslot_is_invalid(c->from));
	return backend_says(VETO_APPLY, err);
}

static int backend_undo(void *ctx, const struct memslot_txn *t)
{
	(void)ctx;
	(void)t;
	return 0;
}

static void backend_populate(
	void *ctx, unsigned space, gfn_t gfn, uint64_t size_pages)
{
	(void)ctx;
	for (; size_pages; gfn++, size_pages--) {
		MUST(space < SPACES && gfn - FIRST < GFNS);
		w.asked[space][gfn - FIRST] = true;
	}
}

static const struct memslot_participant_ops backend_ops = {
	.name = "model",
	.prepare = backend_prepare,
	.flush = backend_flush,
	.apply = backend_apply,
	.undo = backend_undo,
	.populate = backend_populate,
};

/* ---- faults ----------------------------------------------------------------- */

bool fault_fired(void)
{
	return atomic_load(&w.plan.fired) != 0;
}

void fault_set(const struct step *op)
{
	fault_arm(&w.plan, FAULT_ANY, op ? op->v[A_FAULT] : 0,
		op && op->v[A_ONWARD]);
}

/* ---- open, close -------------------------------------------------------------- */

/* One hart for space 1, two for space 0. None of them runs by itself. */
static void cpu_open(unsigned space)
{
	static const struct bus no_devices;
	struct soft_config c = {.slots = w.ms,
		.track = w.pt,
		.bus = &no_devices,
		.space = space,
		.harts = 2 - space,
		.timebase_hz = 1000000};

	MUST(soft_create(&c, &w.cpu[space], NULL) == 0);
}

struct hart *world_hart(unsigned space, unsigned number)
{
	return &w.cpu[space]->hart[number % (2 - space)];
}

void world_open(void)
{
	memset(&w, 0, sizeof(w));
	memset(&now, 0, sizeof(now));
	/* `host` and `bytes` are equal, as the last world left them. */
	w.platform = memslot_hosted;
	w.platform.alloc = count_alloc;
	w.platform.free = count_free;
	MUST(memslots_create(&w.platform, SPACES, &w.ms, NULL) == 0);
	memslot_reader_init(&w.reader, w.ms, NULL, NULL);
	MUST(pagetrack_create(w.ms, &w.pt, NULL) == 0);
	for (unsigned n = 0; n < NODES; n++) {
		node_open(n);
		w.order[n] = n;
	}
	for (unsigned space = 0; space < SPACES; space++)
		cpu_open(space);
	w.backend.ops = &backend_ops;
	MUST(memslots_join(w.ms, &w.backend) == 0);
	memslots_set_faults(w.ms, &w.plan);
	fault_set(NULL);
}

void world_close(void)
{
	fault_set(NULL);
	for (unsigned i = 0; i < HARVESTS; i++)
		memslot_harvest_done(w.harvest[i]);
	MUST(memslots_quit(w.ms, &w.backend) == 0);
	for (unsigned space = 0; space < SPACES; space++)
		soft_destroy(w.cpu[space]);
	for (unsigned n = 0; n < NODES; n++)
		pagetrack_unregister(w.node[n]);
	pagetrack_destroy(w.pt);
	memslot_reader_fini(&w.reader);
	memslots_destroy(w.ms);
	MUST(w.live == 0);
}
