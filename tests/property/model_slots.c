/* SPDX-License-Identifier: MIT */
/*
 * model_slots.c - random transactions do to the map what they do to an array
 *
 *	model_slots [seed [steps]]
 *
 * Each step is a transaction of a few operations (some of them wrong), a
 * write, a harvest or its end; now and then something in it is made to fail.
 * After each step the result code, all lookups, the generation, dirty bits
 * and large pages are compared with a model that is an array of slots.
 */
#include "tests/unit/slots.h"

#define SPACES    2u
#define IDS       6u
#define PAGES     60u /* where slots are: [0, 60) of each space */
#define MAX_PAGES 12u /* of one slot */
#define HOSTS     30u /* host pages, so that there are aliases */
#define HARVESTS  4u
#define LOG       MEMSLOT_LOG_DIRTY

/* A dirty log of the model; harvests outlive the slot. */
struct log {
	unsigned bits;
};

struct slot {
	bool exists;
	bool fresh; /* in a transaction: created by it */
	bool keep;
	gfn_t gfn;
	uint64_t pages, host;
	uint32_t flags;
	unsigned log; /* index into logs, of slots with LOG */
};

struct model {
	struct slot slot[SPACES][IDS];
	uint64_t generation;
};

struct harvest {
	struct memslot_harvest *real;
	unsigned log, bits, pages;
};

static struct bed b;
static struct model now;
static struct log *logs;
static unsigned log_count, log_room;
static struct harvest harvests[HARVESTS];
static uint64_t rng;
static uint64_t commits, refusals, injected, nothings;

static unsigned below(unsigned n)
{
	return (unsigned)rng_below(&rng, n);
}

static unsigned log_new(void)
{
	if (log_count == log_room) {
		log_room = log_room ? log_room * 2 : 64;
		logs = realloc(logs, log_room * sizeof(*logs));
		if (!logs)
			exit(1);
	}
	logs[log_count] = (struct log){0};
	return log_count++;
}

static unsigned all_bits(const struct slot *s)
{
	return (1u << s->pages) - 1;
}

/* ---- comparing ---------------------------------------------------------- */

static bool differs(const char *what, unsigned space, uint64_t at)
{
	fprintf(stderr, "%s differs: space %u, at %llu\n", what, space,
		(unsigned long long)at);
	return true;
}

static bool same_slot(const struct memslot *s, unsigned space, unsigned id)
{
	const struct slot *m = &now.slot[space][id];

	return s->space == space && s->id == id && s->base_gfn == m->gfn &&
	       s->size_pages == m->pages && s->flags == m->flags &&
	       s->host == b.host + m->host * 4096 && !memslot_is_invalid(s);
}

static const struct slot *model_find(unsigned space, gfn_t gfn, unsigned *id)
{
	for (*id = 0; *id < IDS; ++*id) {
		const struct slot *m = &now.slot[space][*id];

		if (m->exists && gfn - m->gfn < m->pages)
			return m;
	}
	return NULL;
}

static bool page_differs(
	const struct memslot *s, const struct slot *m, gfn_t gfn)
{
	bool dirty =
		(m->flags & LOG) && (logs[m->log].bits >> (gfn - m->gfn) & 1);

	return memslot_page_dirty(s, gfn) != dirty ||
	       memslot_page_tracked(s, gfn) || memslot_large_ok(s, gfn) ||
	       memslot_page_writable(s, gfn) !=
		       (!(m->flags & MEMSLOT_READONLY) &&
			       (!(m->flags & LOG) || dirty));
}

static bool gfns_differ(unsigned space)
{
	gfn_t at = 0;

	for (gfn_t gfn = 0; gfn < PAGES + MAX_PAGES; gfn++) {
		unsigned id;
		const struct slot *m = model_find(space, gfn, &id);
		const struct memslot *s = memslot_lookup(&b.r, space, gfn);

		if (!m != !s || (m && !same_slot(s, space, id)))
			return differs("lookup by gfn", space, gfn);
		if (m && page_differs(s, m, gfn))
			return differs("a page", space, gfn);
		/* iteration: `at` is where it would go on */
		if (gfn < at || !m)
			continue;
		if (memslot_next(&b.r, space, at) != s)
			return differs("iteration", space, at);
		at = m->gfn + m->pages;
	}
	return memslot_next(&b.r, space, at) &&
	       differs("end of iteration", space, at);
}

static bool ids_differ(unsigned space)
{
	for (unsigned id = 0; id < IDS + 2; id++) {
		const struct memslot *s = memslot_by_id(&b.r, space, id);
		bool exists = id < IDS && now.slot[space][id].exists;

		if (exists != (s != NULL) || (s && !same_slot(s, space, id)))
			return differs("lookup by id", space, id);
	}
	return false;
}

/* In order of host base, space and id: try all, in that order. */
static bool hosts_differ(void)
{
	for (uint64_t page = 0; page < HOSTS + MAX_PAGES; page++) {
		const void *host = b.host + page * 4096 + page;
		const struct memslot *s = memslot_by_host(&b.r, host, NULL);

		for (uint64_t base = 0; base <= page; base++)
			for (unsigned n = 0; n < SPACES * IDS; n++) {
				const struct slot *m =
					&now.slot[n / IDS][n % IDS];

				if (!m->exists || m->host != base ||
					page - base >= m->pages)
					continue;
				if (!s || !same_slot(s, n / IDS, n % IDS))
					return differs("host", n / IDS, page);
				s = memslot_by_host(&b.r, host, s);
			}
		if (s)
			return differs("one host too many", s->space, page);
	}
	return false;
}

static bool harvests_differ(void)
{
	for (unsigned i = 0; i < HARVESTS; i++) {
		const struct harvest *h = &harvests[i];

		if (!h->real)
			continue;
		if (memslot_harvest_size_pages(h->real) != h->pages ||
			memslot_harvest_count(h->real) !=
				(unsigned)__builtin_popcount(h->bits))
			return differs("harvest", 0, i);
		for (unsigned page = 0; page < 32; page++)
			if (memslot_harvest_test(h->real, page) !=
				(h->bits >> page & 1))
				return differs("harvested page", 0, page);
	}
	return false;
}

static bool all_differs(void)
{
	bool bad = memslots_generation(b.ms) != now.generation &&
		   differs("generation", 0, now.generation);

	memslot_enter(&b.r);
	for (unsigned space = 0; space < SPACES; space++)
		bad = bad || gfns_differ(space) || ids_differ(space);
	bad = bad || hosts_differ();
	memslot_leave(&b.r);
	return bad || harvests_differ();
}

/* ---- a transaction ------------------------------------------------------ */

/* A rule to break, once in a while; the model knows the code. */
enum wrong {
	RIGHT,
	WRONG_SPACE,
	WRONG_ID,
	WRONG_FLAGS,
	WRONG_ALIGN,
	WRONG_SIZE,
	WRONG_LIMIT,
	WRONGS
};

static int code_of(enum wrong w)
{
	return w == WRONG_SIZE ? -E2BIG : w == WRONG_LIMIT ? -ERANGE : -EINVAL;
}

static int model_create(struct model *m, struct memslot_txn *t, unsigned space,
	unsigned id, enum wrong w)
{
	struct slot *s = &m->slot[space][id];
	struct slot n = {.exists = true,
		.fresh = true,
		.gfn = below(PAGES),
		.pages = 1 + below(MAX_PAGES),
		.host = below(HOSTS),
		.flags = below(4)};
	struct memslot_config c =
		bed_config(&b, space, id, n.gfn, n.pages, n.host, n.flags);

	c.space += w == WRONG_SPACE ? SPACES : 0;
	c.id += w == WRONG_ID ? MEMSLOT_IDS_MAX : 0;
	c.flags |= w == WRONG_FLAGS ? 0x80000000 : 0;
	c.gpa += w == WRONG_ALIGN ? 1 + below(4095) : 0;
	c.size = w == WRONG_SIZE ? (uint64_t)1 << 43 : c.size;
	c.gpa = w == WRONG_LIMIT ? MEMSLOT_GPA_LIMIT - c.size + 4096 : c.gpa;
	memslot_create(t, &c);
	if (w)
		return code_of(w);
	if (s->exists)
		return -EEXIST;
	*s = n;
	return 0;
}

static int model_move(struct model *m, struct memslot_txn *t, unsigned space,
	unsigned id, enum wrong w)
{
	struct slot *s = &m->slot[space][id];
	gfn_t gfn = below(PAGES);
	bool keep = below(2);
	gpa_t gpa = gfn << 12;

	/* which of two mistakes counts is test_slots.c's business */
	if (!s->exists && w > WRONG_ID)
		w = RIGHT;
	if (w == WRONG_FLAGS || w == WRONG_SIZE)
		w = RIGHT;
	gpa += w == WRONG_ALIGN ? 1 + below(4095) : 0;
	if (w == WRONG_LIMIT)
		gpa = MEMSLOT_GPA_LIMIT - (s->pages << 12) + 4096;
	memslot_move(t, w == WRONG_SPACE ? SPACES : space,
		w == WRONG_ID ? MEMSLOT_IDS_MAX : id, gpa,
		keep ? MEMSLOT_MOVE_KEEP : MEMSLOT_MOVE_MARK_ALL);
	if (w)
		return code_of(w);
	if (!s->exists)
		return -ENOENT;
	s->gfn = gfn;
	s->keep = keep;
	return 0;
}

static int model_flags(struct model *m, struct memslot_txn *t, unsigned space,
	unsigned id, enum wrong w)
{
	struct slot *s = &m->slot[space][id];
	uint32_t flags = below(4);

	if (w > WRONG_FLAGS)
		w = RIGHT;
	memslot_set_flags(t, w == WRONG_SPACE ? 77 : space,
		w == WRONG_ID ? 99999 : id,
		w == WRONG_FLAGS ? 4u << below(29) : flags);
	if (w)
		return -EINVAL;
	if (!s->exists)
		return -ENOENT;
	s->flags = flags;
	return 0;
}

static int model_delete(struct model *m, struct memslot_txn *t, unsigned space,
	unsigned id, enum wrong w)
{
	struct slot *s = &m->slot[space][id];

	if (w > WRONG_ID)
		w = RIGHT;
	memslot_delete(t, w == WRONG_SPACE ? UINT32_MAX : space,
		w == WRONG_ID ? UINT32_MAX : id);
	if (w)
		return -EINVAL;
	if (!s->exists)
		return -ENOENT;
	s->exists = s->fresh = false;
	return 0;
}

/* One random operation, to both. Slots that exist are named more often. */
static int model_op(struct model *m, struct memslot_txn *t)
{
	enum wrong w = below(40) ? RIGHT : (enum wrong)below(WRONGS);
	unsigned space = below(SPACES), id = below(IDS), kind = below(8);

	for (unsigned i = 0; i < 4 && below(8); i++) {
		bool create = kind < 3;

		if (m->slot[space][id].exists != create)
			break;
		id = below(IDS);
	}
	if (kind < 3)
		return model_create(m, t, space, id, w);
	if (kind < 5)
		return model_move(m, t, space, id, w);
	if (kind < 7)
		return model_flags(m, t, space, id, w);
	return model_delete(m, t, space, id, w);
}

static int model_overlap(const struct model *m)
{
	for (unsigned n = 0; n < SPACES * IDS * IDS; n++) {
		const struct slot *x = &m->slot[n / IDS / IDS][n / IDS % IDS];
		const struct slot *y = &m->slot[n / IDS / IDS][n % IDS];

		if (x != y && x->exists && y->exists &&
			x->gfn < y->gfn + y->pages &&
			y->gfn < x->gfn + x->pages)
			return -EEXIST;
	}
	return 0;
}

/* What becomes of the log; returns whether the slot has changed. */
static bool settle(const struct slot *old, struct slot *s)
{
	bool was = old->exists, moved, changed;

	if (!was && !s->exists)
		return false;
	moved = was && s->exists && !s->fresh && s->gfn != old->gfn;
	changed =
		was != s->exists || s->fresh || moved || s->flags != old->flags;
	if (s->exists && changed && (s->flags & LOG)) {
		if (s->fresh || !(old->flags & LOG))
			s->log = log_new();
		if (moved && !s->keep)
			logs[s->log].bits = all_bits(s);
	}
	s->fresh = s->keep = false;
	return changed;
}

static unsigned settle_all(struct model *m)
{
	unsigned changes = 0;

	for (unsigned n = 0; n < SPACES * IDS; n++)
		changes += settle(&now.slot[n / IDS][n % IDS],
			&m->slot[n / IDS][n % IDS]);
	m->generation += changes > 0;
	return changes;
}

static bool do_transaction(void)
{
	static struct fault_plan plan;
	struct model next = now;
	struct memslot_txn *t = bed_begin(&b);
	struct memslot_result res;
	unsigned ops = 1 + below(below(4) ? 3 : 7), changes = 0;
	int want = 0, r;
	long live;

	for (unsigned i = 0; i < ops; i++) {
		int code = model_op(&next, t);

		want = want ? want : code;
	}
	live = b.live - 2; /* the transaction and its operations */
	if (!want)
		want = model_overlap(&next);
	if (below(6) == 0) {
		fault_arm(&plan, FAULT_ANY, 1 + below(25), below(2));
		memslots_set_faults(b.ms, &plan);
	}
	r = memslot_commit(t, &res, &b.err);
	if (memslots_faults(b.ms) && plan.fired && r == -ENOMEM)
		want = -ENOMEM, injected++;
	else if (memslots_faults(b.ms) && plan.fired)
		return differs("result after a fault", 0, (uint64_t)-r);
	memslots_set_faults(b.ms, NULL);
	if (want == 0) {
		changes = settle_all(&next);
		now = next;
		commits += changes > 0;
		nothings += changes == 0;
	} else {
		refusals += want != -ENOMEM;
	}
	if ((want || !changes) && b.live != live)
		return differs("allocations", 0, (uint64_t)b.live);
	if (r != want || res.changes != changes ||
		res.generation != now.generation) {
		fprintf(stderr,
			"want %d, %u changes; got %d, %u changes, "
			"generation %llu: %s\n",
			want, changes, r, res.changes,
			(unsigned long long)res.generation,
			r ? b.err.text : "");
		return true;
	}
	return false;
}

/* ---- other steps -------------------------------------------------------- */

static bool do_write(void)
{
	unsigned space = below(SPACES), id;
	gfn_t gfn = below(PAGES);
	const struct slot *m = model_find(space, gfn, &id);
	const struct memslot *s;

	memslot_enter(&b.r);
	s = memslot_lookup(&b.r, space, gfn);
	if (s)
		memslot_mark_dirty(s, gfn);
	memslot_leave(&b.r);
	if (m && (m->flags & LOG))
		logs[m->log].bits |= 1u << (gfn - m->gfn);
	return false;
}

static bool do_harvest(void)
{
	unsigned space = below(SPACES), id = below(IDS);
	struct harvest *h = &harvests[below(HARVESTS)];
	const struct slot *m = &now.slot[space][id];
	int want = !m->exists ? -ENOENT : m->flags & LOG ? 0 : -ENXIO, r;

	if (h->real)
		return false;
	r = memslot_harvest(b.ms, space, id, &h->real, &b.err);
	if (r != want)
		return differs("code of a harvest", space, id);
	if (r)
		return false;
	h->log = m->log;
	h->bits = logs[m->log].bits;
	h->pages = (unsigned)m->pages;
	logs[m->log].bits = 0;
	return false;
}

static bool do_end_harvest(void)
{
	struct harvest *h = &harvests[below(HARVESTS)];

	if (!h->real)
		return false;
	if (below(2)) {
		logs[h->log].bits |= h->bits;
		memslot_harvest_give_back(h->real);
	} else {
		memslot_harvest_done(h->real);
	}
	h->real = NULL;
	return false;
}

static bool step(void)
{
	unsigned what = below(10);

	if (what < 5)
		return do_transaction();
	if (what < 8)
		return do_write();
	return what < 9 ? do_harvest() : do_end_harvest();
}

static int run(uint64_t seed, unsigned long steps)
{
	unsigned long n;
	bool bad = false;

	rng = seed * 2 + 1;
	bed_open(&b, SPACES);
	/* large pages are decided elsewhere: here they are never allowed */
	for (n = 0; n < steps && !bad; n++)
		bad = step() || all_differs();
	for (unsigned i = 0; i < HARVESTS; i++)
		memslot_harvest_done(harvests[i].real);
	bed_close(&b);
	free(logs);
	if (bad) {
		fprintf(stderr, "seed %llu, step %lu\n",
			(unsigned long long)seed, n - 1);
		return 1;
	}
	CHECK(commits && refusals && injected && nothings);
	printf("seed %llu, %lu steps: %llu commits, %llu refusals, %llu "
	       "without effect, %llu injected failures\n",
		(unsigned long long)seed, steps, (unsigned long long)commits,
		(unsigned long long)refusals, (unsigned long long)nothings,
		(unsigned long long)injected);
	return atomic_load(&test_failures) != 0;
}

int main(int argc, char **argv)
{
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 20240607;
	unsigned long steps = argc > 2 ? strtoul(argv[2], NULL, 0) : 25000;

	return run(seed, steps);
}
