/* SPDX-License-Identifier: MIT */
/*
 * model_reshape.c - dirty bits, protections and bytes go with their memory
 *
 * usage: model_reshape [seed [steps]]
 *
 * Random transactions that create, delete, move, resize, split and merge
 * slots and give them other host memory, some of them made to fail, beside a
 * model that keeps one record per host page: its stamp, whether it is dirty,
 * whether node F (follow) tracks it. Node S (stay) tracks guest pages. After
 * every step all slots are compared with the model page by page, the map of
 * large pages with its definition. Harvests are taken and come back later,
 * after whatever has happened in between.
 */
#include "tests/unit/slots.h"

#include "pagetrack/pagetrack.h"

#define IDS    6u
#define PAGES  16u /* of a slot, at most */
#define GFNS   96u
#define FRAMES 160u /* host pages */
#define FIRST  500u /* gfn: the space crosses a 2 MiB boundary */

struct model_slot {
	bool there;
	unsigned gfn, pages, frame;
	uint32_t flags;
	/* of this transaction: */
	bool mark;  /* the last move marks all dirty */
	bool fresh; /* all of it was created */
	bool cut;   /* it is not what was published, whatever it looks like */
};

struct model {
	struct model_slot slot[IDS];
	bool dirty[FRAMES], follow[FRAMES], stay[GFNS];
	uint64_t stamp[FRAMES];
	/* the bits of a harvest that is out, by host page */
	bool out[FRAMES];
};

static struct bed b;
static struct pagetrack *pt;
static struct pagetrack_node *F, *S;
static struct memslot_harvest *harvest;
static struct fault_plan plan;
static struct model m;
static uint64_t seed, step_number;

static const struct pagetrack_ops quiet = {.name = "model"};

static unsigned rnd(unsigned n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(seed >> 33) % n;
}

static uint64_t *word(unsigned frame)
{
	return (uint64_t *)(b.host + frame * MEMSLOT_PAGE_SIZE);
}

/* ---- the model ------------------------------------------------------------ */

static bool frames_free(const struct model *x, unsigned frame, unsigned n,
	const struct model_slot *but)
{
	for (unsigned i = 0; i < IDS; i++) {
		const struct model_slot *s = &x->slot[i];

		if (s->there && s != but && s->frame < frame + n &&
			frame < s->frame + s->pages)
			return false;
	}
	return frame + n <= FRAMES;
}

static bool gfns_free(const struct model *x, unsigned gfn, unsigned n,
	const struct model_slot *but)
{
	for (unsigned i = 0; i < IDS; i++) {
		const struct model_slot *s = &x->slot[i];

		if (s->there && s != but && s->gfn < gfn + n &&
			gfn < s->gfn + s->pages)
			return false;
	}
	return gfn + n <= GFNS;
}

static bool backed(const struct model *x, unsigned gfn)
{
	return !gfns_free(x, gfn, 1, NULL);
}

/* Memory that no slot has is not tracked, not dirty, and in no harvest. */
static void forget_frames(struct model *x, unsigned frame, unsigned n)
{
	for (unsigned i = frame; i < frame + n; i++)
		x->dirty[i] = x->follow[i] = x->out[i] = false;
}

/* The end of a transaction that began with `was`. */
static void settle(const struct model *was, struct model *x)
{
	for (unsigned id = 0; id < IDS; id++) {
		const struct model_slot *w = &was->slot[id];
		struct model_slot *s = &x->slot[id];

		/* There and back again is no move. */
		if (s->fresh ||
			(!s->cut && w->there && w->gfn == s->gfn &&
				w->pages == s->pages && w->frame == s->frame))
			s->mark = false;
		for (unsigned i = 0; s->there && s->mark && i < s->pages; i++)
			x->dirty[s->frame + i] |=
				(s->flags & MEMSLOT_LOG_DIRTY) != 0;
		s->mark = s->fresh = s->cut = false;
	}
	for (unsigned gfn = 0; gfn < GFNS; gfn++)
		x->stay[gfn] = x->stay[gfn] && backed(x, gfn);
}

/* ---- operations: false if this one makes no sense now ----------------------- */

static bool do_create(struct model *x, struct memslot_txn *t, unsigned id)
{
	struct model_slot s = {true, rnd(GFNS), 1 + rnd(PAGES), rnd(FRAMES),
		rnd(4) ? MEMSLOT_LOG_DIRTY : 0, false, true, true};
	struct memslot_config c;

	if (x->slot[id].there || !gfns_free(x, s.gfn, s.pages, NULL) ||
		!frames_free(x, s.frame, s.pages, NULL))
		return false;
	c = bed_config(&b, 0, id, FIRST + s.gfn, s.pages, s.frame, s.flags);
	memslot_create(t, &c);
	forget_frames(x, s.frame, s.pages);
	x->slot[id] = s;
	return true;
}

static bool do_delete(struct model *x, struct memslot_txn *t, unsigned id)
{
	struct model_slot *s = &x->slot[id];

	if (!s->there)
		return false;
	memslot_delete(t, 0, id);
	forget_frames(x, s->frame, s->pages);
	s->there = false;
	return true;
}

static bool do_move(struct model *x, struct memslot_txn *t, unsigned id)
{
	struct model_slot *s = &x->slot[id];
	unsigned gfn = rnd(GFNS);
	bool keep = rnd(2);

	if (!s->there || gfn == s->gfn || !gfns_free(x, gfn, s->pages, s))
		return false;
	memslot_move(t, 0, id, (gpa_t)(FIRST + gfn) << MEMSLOT_PAGE_SHIFT,
		keep ? MEMSLOT_MOVE_KEEP : MEMSLOT_MOVE_MARK_ALL);
	s->mark = !keep;
	s->gfn = gfn;
	return true;
}

static bool do_resize(struct model *x, struct memslot_txn *t, unsigned id)
{
	struct model_slot *s = &x->slot[id];
	unsigned pages = 1 + rnd(PAGES);

	if (!s->there || !gfns_free(x, s->gfn, pages, s) ||
		!frames_free(x, s->frame, pages, s))
		return false;
	memslot_resize(t, 0, id, (uint64_t)pages << MEMSLOT_PAGE_SHIFT);
	s->cut |= pages < s->pages;
	if (pages < s->pages)
		forget_frames(x, s->frame + pages, s->pages - pages);
	else
		forget_frames(x, s->frame + s->pages, pages - s->pages);
	s->pages = pages;
	return true;
}

static bool do_split(struct model *x, struct memslot_txn *t, unsigned id)
{
	struct model_slot *s = &x->slot[id], *u;
	unsigned other = rnd(IDS), at;

	if (!s->there || s->pages < 2 || x->slot[other].there)
		return false;
	at = 1 + rnd(s->pages - 1);
	memslot_split(t, 0, id, (uint64_t)at << MEMSLOT_PAGE_SHIFT, other);
	u = &x->slot[other];
	*u = *s;
	u->gfn += at;
	u->frame += at;
	u->pages -= at;
	s->pages = at;
	return true;
}

static bool do_merge(struct model *x, struct memslot_txn *t, unsigned id)
{
	struct model_slot *s = &x->slot[id], *u;
	unsigned other = rnd(IDS);

	u = &x->slot[other];
	if (!s->there || !u->there || other == id ||
		u->gfn != s->gfn + s->pages ||
		u->frame != s->frame + s->pages || u->flags != s->flags)
		return false;
	memslot_merge(t, 0, id, other);
	s->pages += u->pages;
	s->mark |= u->mark;
	s->fresh = s->fresh && u->fresh;
	s->cut |= u->cut;
	u->there = false;
	return true;
}

/* Alone in its transaction: bytes are copied from where they were published. */
static bool do_host(struct model *x, struct memslot_txn *t, unsigned id)
{
	struct model_slot *s = &x->slot[id];
	unsigned frame = rnd(FRAMES);

	if (!s->there || !frames_free(x, frame, s->pages, NULL))
		return false;
	memslot_replace_host(t, 0, id, b.host + frame * MEMSLOT_PAGE_SIZE,
		MEMSLOT_HOST_COPY);
	for (unsigned i = 0; i < s->pages; i++) {
		unsigned from = s->frame + i, to = frame + i;

		x->stamp[to] = x->stamp[from];
		x->dirty[to] = x->dirty[from];
		x->follow[to] = x->follow[from];
		x->out[to] = x->out[from];
		x->dirty[from] = x->follow[from] = x->out[from] = false;
	}
	s->frame = frame;
	return true;
}

static bool (*const ops[])(struct model *x, struct memslot_txn *t,
	unsigned id) = {do_create, do_create, do_delete, do_move, do_move,
	do_resize, do_split, do_split, do_merge, do_merge, do_merge, do_merge};

#define OPS (sizeof(ops) / sizeof(ops[0]))

/* ---- steps -------------------------------------------------------------------- */

static void transaction(void)
{
	struct memslot_txn *t = bed_begin(&b);
	struct model next = m;
	unsigned n = 1 + rnd(4);
	int r;

	if (rnd(6) == 0)
		do_host(&next, t, rnd(IDS));
	else
		for (unsigned i = 0; i < n; i++)
			ops[rnd(OPS)](&next, t, rnd(IDS));
	settle(&m, &next);
	if (rnd(4) == 0)
		fault_arm(&plan, FAULT_ANY, 1 + rnd(30), rnd(2));
	r = memslot_commit(t, NULL, &b.err);
	if (!r)
		m = next;
	else
		CHECK(plan.fired);
	fault_arm(&plan, FAULT_ANY, 0, false);
}

/* A guest store to every page of one slot, by chance. */
static void store(void)
{
	struct model_slot *s = &m.slot[rnd(IDS)];
	const struct pagetrack_source cpu = {PAGETRACK_CPU, 0};

	for (unsigned i = 0; s->there && i < s->pages; i++) {
		uint64_t stamp = step_number << 8 | i;

		if (rnd(2))
			continue;
		CHECK_EQ(pagetrack_guest_write(pt, &b.r, 0,
				 (gpa_t)(FIRST + s->gfn + i)
					 << MEMSLOT_PAGE_SHIFT,
				 &stamp, sizeof(stamp), cpu),
			0);
		m.stamp[s->frame + i] = stamp;
		m.dirty[s->frame + i] = s->flags & MEMSLOT_LOG_DIRTY;
	}
}

static void track(void)
{
	unsigned gfn = rnd(GFNS), frame = 0;

	if (!backed(&m, gfn))
		return;
	for (unsigned i = 0; i < IDS; i++)
		if (m.slot[i].there && gfn - m.slot[i].gfn < m.slot[i].pages)
			frame = m.slot[i].frame + gfn - m.slot[i].gfn;
	if (!m.follow[frame])
		CHECK_EQ(pagetrack_add(F, 0, FIRST + gfn, 1, NULL), 0);
	else
		CHECK_EQ(pagetrack_remove(F, 0, FIRST + gfn, 1, NULL), 0);
	m.follow[frame] = !m.follow[frame];
	if (rnd(2))
		return;
	if (!m.stay[gfn])
		CHECK_EQ(pagetrack_add(S, 0, FIRST + gfn, 1, NULL), 0);
	else
		CHECK_EQ(pagetrack_remove(S, 0, FIRST + gfn, 1, NULL), 0);
	m.stay[gfn] = !m.stay[gfn];
}

/* Take a harvest of part of a slot, or let the one that is out come back. */
static void harvest_or_return(void)
{
	unsigned id = rnd(IDS), first, n;
	struct model_slot *s = &m.slot[id];

	if (harvest) {
		memslot_harvest_give_back(harvest);
		harvest = NULL;
		for (unsigned i = 0; i < FRAMES; i++) {
			m.dirty[i] |= m.out[i];
			m.out[i] = false;
		}
		return;
	}
	if (!s->there || !(s->flags & MEMSLOT_LOG_DIRTY))
		return;
	first = rnd(s->pages);
	n = 1 + rnd(s->pages - first);
	CHECK_EQ(memslot_harvest_range(b.ms, 0, id, first, n, &harvest, &b.err),
		0);
	for (unsigned i = first; i < first + n; i++) {
		CHECK_EQ(memslot_harvest_test(harvest, i),
			m.dirty[s->frame + i]);
		m.out[s->frame + i] = m.dirty[s->frame + i];
		m.dirty[s->frame + i] = false;
	}
}

static void delete_and_harvest(void)
{
	unsigned id = rnd(IDS);
	struct model_slot *s = &m.slot[id];
	struct memslot_harvest *last = NULL;
	struct memslot_txn *t;

	if (!s->there || !(s->flags & MEMSLOT_LOG_DIRTY))
		return;
	t = bed_begin(&b);
	memslot_delete_harvest(t, 0, id, &last);
	CHECK_EQ(memslot_commit(t, NULL, &b.err), 0);
	if (!CHECK(last != NULL))
		return;
	for (unsigned i = 0; i < s->pages; i++)
		CHECK_EQ(memslot_harvest_test(last, i), m.dirty[s->frame + i]);
	memslot_harvest_done(last);
	forget_frames(&m, s->frame, s->pages);
	s->there = false;
	settle(&m, &m);
}

/* ---- comparing ------------------------------------------------------------------ */

static bool frame_large_ok(const struct model_slot *s, gfn_t gfn)
{
	gfn_t lo = gfn & ~(MEMSLOT_LARGE_PAGES - 1);
	gfn_t base = FIRST + s->gfn;

	for (unsigned i = 0; i < s->pages; i++)
		if ((base + i) / MEMSLOT_LARGE_PAGES ==
				gfn / MEMSLOT_LARGE_PAGES &&
			(m.follow[s->frame + i] || m.stay[s->gfn + i]))
			return false;
	return lo >= base && lo + MEMSLOT_LARGE_PAGES <= base + s->pages;
}

static void compare_page(
	const struct memslot *p, const struct model_slot *s, unsigned i)
{
	unsigned frame = s->frame + i;
	gfn_t gfn = FIRST + s->gfn + i;

	CHECK_EQ(memslot_page_dirty(p, gfn), m.dirty[frame]);
	CHECK_EQ(memslot_page_tracked(p, gfn),
		m.follow[frame] || m.stay[s->gfn + i]);
	CHECK_EQ(pagetrack_tracks(F, 0, gfn), m.follow[frame]);
	CHECK_EQ(pagetrack_tracks(S, 0, gfn), m.stay[s->gfn + i]);
	CHECK_EQ(memslot_large_ok(p, gfn), frame_large_ok(s, gfn));
	if (m.stamp[frame])
		CHECK_EQ(*word(frame), m.stamp[frame]);
}

static void compare(void)
{
	memslot_enter(&b.r);
	for (unsigned id = 0; id < IDS; id++) {
		const struct model_slot *s = &m.slot[id];
		const struct memslot *p = memslot_by_id(&b.r, 0, id);

		if (!CHECK_EQ(p != NULL, s->there) || !p)
			continue;
		CHECK_EQ(p->base_gfn, FIRST + s->gfn);
		CHECK_EQ(p->size_pages, s->pages);
		CHECK(p->host == (uint8_t *)word(s->frame));
		CHECK(memslot_lookup(&b.r, 0, p->base_gfn) == p);
		for (unsigned i = 0; i < s->pages; i++)
			compare_page(p, s, i);
	}
	memslot_leave(&b.r);
}

int main(int argc, char **argv)
{
	uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 0) : 20221108;
	uint64_t steps = argc > 2 ? strtoull(argv[2], NULL, 0) : 20000;

	seed = first;
	bed_open(&b, 1);
	CHECK_EQ(pagetrack_create(b.ms, &pt, &b.err), 0);
	CHECK_EQ(pagetrack_register(
			 pt, &quiet, NULL, PAGETRACK_FOLLOW, &F, &b.err),
		0);
	CHECK_EQ(pagetrack_register(
			 pt, &quiet, NULL, PAGETRACK_STAY, &S, &b.err),
		0);
	memslots_set_faults(b.ms, &plan);
	fault_arm(&plan, FAULT_ANY, 0, false);
	for (; step_number < steps && !test_failures; step_number++) {
		switch (rnd(8)) {
		case 0:
			store();
			break;
		case 1:
		case 2:
			track();
			break;
		case 3:
			harvest_or_return();
			break;
		case 4:
			if (rnd(8) == 0)
				delete_and_harvest();
			break;
		default:
			transaction();
		}
		compare();
	}
	if (test_failures)
		fprintf(stderr, "seed %llu, step %llu\n",
			(unsigned long long)first,
			(unsigned long long)step_number);
	memslot_harvest_done(harvest);
	pagetrack_unregister(F);
	pagetrack_unregister(S);
	pagetrack_destroy(pt);
	bed_close(&b);
	return test_end("model_reshape");
}
