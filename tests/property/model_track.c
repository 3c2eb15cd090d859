/* SPDX-License-Identifier: MIT */
/*
 * model_track.c - the tracker against a model that is too simple to be wrong
 *
 * Random slots, nodes, transactions, failures and writes. The model keeps a
 * table of pages: which slot, which host page, and per node how many adds
 * wait for their remove. It says who must hear what, in which order, and
 * what everybody tracks afterwards.
 *
 * The replay law: two nodes, one that stays and one that follows, track
 * everything. Each applies what it hears to an image of memory of its own;
 * after every step the images are equal to memory.
 *
 *	model_track [seed [steps]]
 *
 * On a failure: the seed and the step. The same numbers do it again.
 */
#include "tests/unit/test_track.h"

enum {
	NODES = 6, /* 0 and 1 track everything */
	SLOTS = 5, /* ids per space */
	ROOM = 48, /* guest pages per space */
	HOST = 96, /* host pages */
	OPS = 4,
};

struct m_slot {
	bool exists;
	unsigned base, pages, host;
	uint32_t flags;
};

struct m_page {
	unsigned count[NODES];
};

struct model {
	struct m_slot slot[SPACES][SLOTS];
	struct m_page page[SPACES][ROOM];
};

static struct world w;
static struct model m;
static struct ear ears[NODES];
static enum pagetrack_policy policy[NODES];
static uint64_t gone[NODES];
static uint8_t image[2][HOST * PAGE];
static char wanted[4096];
static struct pagetrack_write wanted_last[NODES];
static uint64_t state, seed;
static unsigned long step;
static unsigned long committed, failed, refused, injected, writes;

static uint64_t random_number(void)
{
	uint64_t z = (state += 0x9e3779b97f4a7c15u);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static unsigned below(unsigned n)
{
	return (unsigned)(random_number() % n);
}

static void want(unsigned node, char what)
{
	size_t at = strlen(wanted);

	snprintf(wanted + at, sizeof(wanted) - at, "%c%c ", ears[node].name,
		what);
}

/* ---- the model's own rules ------------------------------------------------ */

static struct m_slot *m_at(struct model *x, unsigned space, unsigned gfn)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		struct m_slot *s = &x->slot[space][i];

		if (s->exists && gfn - s->base < s->pages)
			return s;
	}
	return NULL;
}

static bool overlapping(const struct m_slot *a, const struct m_slot *b)
{
	return a->exists && b->exists && a->base < b->base + b->pages &&
	       b->base < a->base + a->pages;
}

static bool m_overlaps(const struct model *x)
{
	for (unsigned s = 0; s < SPACES; s++)
		for (unsigned i = 0; i < SLOTS; i++)
			for (unsigned k = 0; k < i; k++)
				if (overlapping(&x->slot[s][i], &x->slot[s][k]))
					return true;
	return false;
}

/* Host memory that no slot of either layout uses; HOST: none. */
static unsigned free_host(
	const struct model *a, const struct model *b, unsigned pages)
{
	for (unsigned try = 0; try < 20; try++) {
		struct m_slot want_slot = {
			true, below(HOST - pages), pages, 0, 0};
		bool hit = false;

		for (unsigned i = 0; i < SPACES * SLOTS; i++) {
			struct m_slot x = a->slot[i / SLOTS][i % SLOTS];
			struct m_slot y = b->slot[i / SLOTS][i % SLOTS];

			x.base = x.host;
			y.base = y.host;
			hit |= overlapping(&x, &want_slot) ||
			       overlapping(&y, &want_slot);
		}
		if (!hit)
			return want_slot.base;
	}
	return HOST;
}

enum kind { SAME, CREATED, DELETED, MOVED, FLAGS, REPLACED };

static enum kind change_of(
	const struct m_slot *from, const struct m_slot *to, bool fresh)
{
	if (!from->exists)
		return to->exists ? CREATED : SAME;
	if (!to->exists)
		return DELETED;
	if (fresh)
		return REPLACED;
	if (to->base != from->base)
		return MOVED;
	return to->flags != from->flags ? FLAGS : SAME;
}

/* ---- nodes ---------------------------------------------------------------- */

static void replay(struct ear *e, char what, const struct pagetrack_write *wr)
{
	struct m_slot *s;

	if (what != 'w')
		return;
	s = m_at(&m, wr->space, (unsigned)(wr->gpa / PAGE));
	if (!CHECK(s != NULL))
		return;
	memcpy(&image[e - ears]
		     [s->host * PAGE + (wr->gpa - (gpa_t)s->base * PAGE)],
		wr->bytes, wr->len);
}

static void open_node(unsigned i)
{
	enum pagetrack_policy p = i == 0     ? PAGETRACK_STAY
				  : i == 1   ? PAGETRACK_FOLLOW
				  : below(8) ? (enum pagetrack_policy)below(2)
					     : PAGETRACK_REFUSE;

	policy[i] = p;
	CHECK_EQ(ear_open(&w, &ears[i], (char)('A' + i), p), 0);
	ears[i].act = i < 2 ? replay : NULL;
}

/* Nodes are heard in order of registration, which changes. */
static unsigned order[NODES];

static void reopen_node(unsigned i)
{
	unsigned at = 0;

	ear_close(&ears[i]);
	open_node(i);
	while (order[at] != i)
		at++;
	memmove(&order[at], &order[at + 1], (NODES - 1 - at) * sizeof(*order));
	order[NODES - 1] = i;
	for (unsigned s = 0; s < SPACES; s++)
		for (unsigned g = 0; g < ROOM; g++)
			m.page[s][g].count[i] = 0;
}

/* The two that track everything catch up after a change. */
static void catch_up(void)
{
	for (unsigned n = 0; n < 2; n++)
		for (unsigned s = 0; s < SPACES; s++)
			for (unsigned g = 0; g < ROOM; g++)
				if (m_at(&m, s, g) && !m.page[s][g].count[n]) {
					CHECK_EQ(pagetrack_add(ears[n].node, s,
							 g, 1, NULL),
						0);
					m.page[s][g].count[n] = 1;
				}
	for (unsigned n = 0; n < 2; n++)
		memcpy(image[n], w.mem, sizeof(image[n]));
}

static void do_pages(void)
{
	unsigned n = 2 + below(NODES - 2), s = below(SPACES);
	unsigned g = below(ROOM), len = 1 + below(6);
	bool add = below(5) != 0, ok = true, fault = below(8) == 0;
	int r;

	if (g + len > ROOM)
		len = ROOM - g;
	for (unsigned i = 0; i < len; i++)
		ok &= add ? m_at(&m, s, g + i) != NULL
			  : m.page[s][g + i].count[n] != 0;
	if (fault)
		fault_arm(&w.plan, FAULT_ANY, 1 + below(len + 1), false);
	r = add ? pagetrack_add(ears[n].node, s, g, len, &w.err)
		: pagetrack_remove(ears[n].node, s, g, len, &w.err);
	if (atomic_load(&w.plan.fired))
		CHECK_EQ(r, -ENOMEM);
	else
		CHECK_EQ(r, ok ? 0 : -ENOENT);
	faults_off(&w);
	for (unsigned i = 0; !r && i < len; i++)
		m.page[s][g + i].count[n] += add ? 1 : ~0u;
}

/* ---- writes --------------------------------------------------------------- */

static void do_write(void)
{
	static const enum pagetrack_source_kind kinds[] = {
		PAGETRACK_CPU, PAGETRACK_DEVICE, PAGETRACK_HOST};
	const struct pagetrack_source source = {kinds[below(3)], below(9)};
	static uint8_t bytes[3 * PAGE];
	unsigned s = below(SPACES);
	gpa_t gpa = below(ROOM) * PAGE +
		    (below(2) ? below(PAGE) : PAGE - 1 - below(8));
	size_t len = below(3) ? 1 + below(16) : below(sizeof(bytes)), at = 0;
	int r = 0;

	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)random_number();
	wanted[0] = '\0';
	while (!r && at < len) {
		unsigned g = (unsigned)((gpa + at) / PAGE);
		size_t n = PAGE - (gpa + at) % PAGE;
		struct m_slot *slot = g < ROOM ? m_at(&m, s, g) : NULL;

		n = n < len - at ? n : len - at;
		if (!slot || ((slot->flags & MEMSLOT_READONLY) &&
				     source.kind != PAGETRACK_HOST)) {
			r = -EFAULT;
			break;
		}
		for (unsigned k = 0; k < NODES; k++) {
			unsigned i = order[k];

			if (!m.page[s][g].count[i])
				continue;
			want(i, 'w');
			wanted_last[i] = (struct pagetrack_write){
				.space = s,
				.gpa = gpa + at,
				.bytes = bytes + at,
				.len = n,
				.source = source,
			};
		}
		at += n;
	}
	log_clear(&w);
	CHECK_EQ(pagetrack_guest_write(w.pt, &w.r, s, gpa, bytes, len, source),
		r);
	CHECK_HEARD(&w, wanted);
	writes++;
	for (unsigned i = 0; i < NODES; i++) {
		const struct pagetrack_write *a = &ears[i].last,
					     *b = &wanted_last[i];

		if (!b->bytes)
			continue;
		CHECK(a->space == b->space && a->gpa == b->gpa &&
			a->len == b->len && a->source.kind == b->source.kind &&
			a->source.index == b->source.index &&
			!memcmp(a->bytes, b->bytes, b->len));
		wanted_last[i].bytes = NULL;
	}
}

/* ---- transactions ----------------------------------------------------------- */

static int m_op(struct model *x, bool (*fresh)[SLOTS], struct memslot_txn *t)
{
	unsigned s = below(SPACES), id = below(SLOTS), g = below(ROOM);
	unsigned what = below(6), pages = 1 + below(7), host;
	struct m_slot *slot = &x->slot[s][id];
	struct memslot_config c;

	/* Mostly what can be: a slot is there for most of these. */
	if (what < 4 && !slot->exists && below(8))
		what = 4;
	if (what >= 4 && slot->exists && below(8))
		what = below(8) ? 2 : 5;
	if (what == 0) {
		memslot_delete(t, s, id);
		if (!slot->exists)
			return -ENOENT;
		slot->exists = fresh[s][id] = false;
		return 0;
	}
	if (what == 1) {
		uint32_t flags = below(4);

		memslot_set_flags(t, s, id, flags);
		if (!slot->exists)
			return -ENOENT;
		slot->flags = flags;
		return 0;
	}
	if (what < 4) {
		if (slot->exists && below(2)) /* by a little: overlapping */
			g = slot->base + below(5);
		if (slot->exists && g + slot->pages > ROOM)
			g = ROOM - slot->pages;
		memslot_move(t, s, id, (gpa_t)g * PAGE,
			below(2) ? MEMSLOT_MOVE_KEEP : MEMSLOT_MOVE_MARK_ALL);
		if (!slot->exists)
			return -ENOENT;
		slot->base = g;
		return 0;
	}
	if (slot->exists && below(8)) { /* swap with another */
		struct m_slot *other = &x->slot[s][below(SLOTS)];
		unsigned b = other->base, o = (unsigned)(other - x->slot[s]);

		if (other->exists && b + slot->pages <= ROOM &&
			slot->base + other->pages <= ROOM) {
			memslot_move(
				t, s, id, (gpa_t)b * PAGE, MEMSLOT_MOVE_KEEP);
			memslot_move(t, s, o, (gpa_t)slot->base * PAGE,
				MEMSLOT_MOVE_KEEP);
			other->base = slot->base;
			slot->base = b;
			/* A swap with itself: the second move wins. */
			return 0;
		}
	}
	if (g + pages > ROOM)
		g = ROOM - pages;
	host = free_host(&m, x, pages);
	if (host == HOST)
		return 0;
	c = slot_config(&w, s, id, g, pages, host, below(4));
	memslot_create(t, &c);
	if (slot->exists)
		return -EEXIST;
	*slot = (struct m_slot){true, g, pages, host, c.flags};
	fresh[s][id] = true;
	return 0;
}

/* Where the page of node n is in the new layout; false: nowhere. */
static bool m_destination(const struct model *to, enum kind kind, unsigned n,
	unsigned s, unsigned id, unsigned *g)
{
	if (policy[n] != PAGETRACK_FOLLOW)
		return m_at((struct model *)to, s, *g) != NULL;
	if (kind != MOVED)
		return false;
	*g = *g - m.slot[s][id].base + to->slot[s][id].base;
	return true;
}

/* Tracked pages after the change; false: a node refuses it. */
static bool m_relocate(struct model *to, bool (*fresh)[SLOTS])
{
	bool agreed = true;

	memset(gone, 0, sizeof(gone));
	memset(to->page, 0, sizeof(to->page));
	for (unsigned s = 0; s < SPACES; s++)
		for (unsigned g = 0; g < ROOM; g++) {
			struct m_slot *from = m_at(&m, s, g);
			unsigned id = from ? (unsigned)(from - m.slot[s]) : 0;
			enum kind kind =
				from ? change_of(from, &to->slot[s][id],
					       fresh[s][id])
				     : SAME;

			for (unsigned n = 0; n < NODES; n++) {
				unsigned count = m.page[s][g].count[n];
				unsigned at = g;

				if (!count)
					continue;
				if (kind == SAME || kind == FLAGS) {
					to->page[s][g].count[n] += count;
					continue;
				}
				agreed &= policy[n] != PAGETRACK_REFUSE;
				if (m_destination(to, kind, n, s, id, &at))
					to->page[s][at].count[n] += count;
				else
					gone[n]++;
			}
		}
	return agreed;
}

static void want_all(char what, bool backwards)
{
	for (unsigned i = 0; i < NODES; i++)
		want(order[backwards ? NODES - 1 - i : i], what);
}

/* Laws for a failure at whatever point: nobody heard half a story. */
static void check_failure_log(void)
{
	CHECK(strchr(w.log, 'k') == NULL);
	for (unsigned i = 0; i < NODES; i++) {
		CHECK_EQ(ears[i].prepares, ears[i].cancels);
		CHECK_EQ(ears[i].flushes, ears[i].aborts);
		CHECK(ears[i].flushes <= ears[i].prepares);
	}
}

static void clear_counters(void)
{
	for (unsigned i = 0; i < NODES; i++) {
		ears[i].prepares = ears[i].cancels = 0;
		ears[i].flushes = ears[i].aborts = 0;
		ears[i].commits = 0;
	}
	log_clear(&w);
}

static void do_transaction(void)
{
	static struct model to;
	bool fresh[SPACES][SLOTS] = {{false}};
	bool any_from = false, any = false;
	unsigned ops = below(2) ? 1 : 1 + below(OPS), how = below(6),
		 no = 2 + below(4);
	struct memslot_result result;
	uint64_t was = memslots_generation(w.ms);
	struct memslot_txn *t;
	int r = 0, e;

	to = m;
	clear_counters();
	wanted[0] = '\0';
	CHECK_EQ(memslot_begin(w.ms, &t, NULL), 0);
	for (unsigned i = 0; !r && i < ops; i++)
		r = m_op(&to, fresh, t);
	if (!r && m_overlaps(&to))
		r = -EEXIST;
	for (unsigned i = 0; i < SPACES * SLOTS; i++) {
		const struct m_slot *from = &m.slot[i / SLOTS][i % SLOTS];

		if (change_of(from, &to.slot[i / SLOTS][i % SLOTS],
			    fresh[i / SLOTS][i % SLOTS]) != SAME) {
			any = true;
			any_from |= from->exists;
		}
	}
	if (!r && any && !m_relocate(&to, fresh))
		r = -EBUSY;
	refused += r == -EBUSY;
	if (how == 0)
		fault_arm(&w.plan, FAULT_ANY, 1 + below(40), below(2));
	if (how == 1) { /* a node says no */
		ears[no].refuse = -EXDEV;
		for (unsigned i = 0; !r && any && i < NODES; i++) {
			want(order[i], 'p');
			if (order[i] != no)
				continue;
			while (i--)
				want(order[i], 'c');
			break;
		}
		if (!r && any)
			r = -EXDEV;
	} else if (how == 2 && !r && any) { /* a backend does */
		want_all('p', false);
		if (any_from)
			want_all('f', false);
		want_all('c', true);
		if (any_from)
			want_all('a', false);
		r = -ENXIO;
		w.backend.refuse_apply = r;
	} else if (!r && any) {
		want_all('p', false);
		if (any_from)
			want_all('f', false);
		want_all('k', false);
	}
	e = memslot_commit(t, &result, &w.err);
	ears[no].refuse = w.backend.refuse_apply = 0;
	if (atomic_load(&w.plan.fired)) {
		injected++;
		CHECK(e < 0);
		r = e;
		check_failure_log();
		log_clear(&w);
	} else {
		CHECK_EQ(e, r);
		CHECK_HEARD(&w, wanted);
	}
	faults_off(&w);
	CHECK_EQ(result.generation, was + (!r && any));
	CHECK_EQ(memslots_generation(w.ms), result.generation);
	if (r || !any) {
		failed += r != 0;
		return;
	}
	committed++;
	for (unsigned i = 0; i < NODES; i++)
		CHECK_EQ(ears[i].gone, gone[i]);
	m = to;
}

/* ---- comparing -------------------------------------------------------------- */

static void compare_page(
	unsigned s, unsigned g, const struct page_look *look, uint64_t *sum)
{
	struct m_slot *slot = m_at(&m, s, g);
	const uint8_t *host =
		slot ? w.mem + (slot->host + g - slot->base) * PAGE : NULL;
	bool any = false, same = look->host == host && !look->invalid;

	for (unsigned i = 0; i < NODES; i++) {
		bool tracks = m.page[s][g].count[i] != 0;

		any |= tracks;
		sum[i] += tracks;
		same &= w.ear[i] != NULL;
		same &= pagetrack_tracks(ears[i].node, s, g) == tracks;
	}
	same &= look->tracked == any;
	if (!CHECK(same))
		fprintf(stderr, "  page %u of space %u\n", g, s);
}

static void compare(void)
{
	static struct picture p;
	uint64_t sum[NODES] = {0};

	picture_take(&w, &p);
	for (unsigned s = 0; s < SPACES; s++)
		for (unsigned g = 0; g < ROOM; g++)
			compare_page(s, g, &p.page[s][g], sum);
	for (unsigned i = 0; i < NODES; i++)
		CHECK_EQ(pagetrack_size_pages(ears[i].node), sum[i]);
	for (unsigned n = 0; n < 2; n++)
		CHECK(!memcmp(image[n], w.mem, sizeof(image[n])));
}

int main(int argc, char **argv)
{
	unsigned long steps = argc > 2 ? strtoul(argv[2], NULL, 0) : 20000;

	seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 20221109;
	state = seed;
	world_open(&w);
	for (unsigned i = 0; i < NODES; i++) {
		order[i] = i;
		open_node(i);
	}
	memcpy(image[0], w.mem, sizeof(image[0]));
	memcpy(image[1], w.mem, sizeof(image[1]));
	for (step = 0; step < steps && !atomic_load(&test_failures); step++) {
		unsigned what = below(20);

		if (what < 5) {
			do_transaction();
			/* Only what was heard counts until here. */
			for (unsigned n = 0; n < 2; n++)
				CHECK(!memcmp(
					image[n], w.mem, sizeof(image[n])));
			catch_up();
		} else if (what < 11) {
			do_pages();
		} else if (what < 19) {
			do_write();
		} else if (below(4) == 0) {
			reopen_node(2 + below(NODES - 2));
		}
		if (what < 11 || step % 8 == 0)
			compare();
	}
	if (atomic_load(&test_failures))
		fprintf(stderr,
			"model_track: seed %llu, step %lu; again with: "
			"model_track %llu %lu\n",
			(unsigned long long)seed, step - 1,
			(unsigned long long)seed, step);
	for (unsigned i = 0; i < NODES; i++)
		ear_close(&ears[i]);
	world_close(&w);
	printf("seed %llu: %lu steps, %lu committed, %lu failed (%lu refused, "
	       "%lu injected), %lu writes\n",
		(unsigned long long)seed, step, committed, failed, refused,
		injected, writes);
	return TEST_END("model_track");
}
