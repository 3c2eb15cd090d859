/* SPDX-License-Identifier: MIT */
/* steps.c - tracking, harvests, populating, questions */
#include "tests/property/model/model.h"

/* The answer to whatever wants each page of a range to be there. */
static int range_answer(unsigned space, unsigned gfn, unsigned pages)
{
	unsigned page;

	if (!pages)
		return -EINVAL;
	for (; pages; gfn++, pages--)
		if (gfn >= GFNS || !owner(&now, space, gfn, &page))
			return -ENOENT;
	return 0;
}

void step_track(const struct step *op)
{
	unsigned space = op->v[A_SPACE] % SPACES, n = op->v[A_NODE] % NODES;
	unsigned gfn = op->v[A_GFN] % GFNS, pages = op->v[A_PAGES];
	bool add = op->kind == DO_TRACK;
	int r, want = range_answer(space, gfn, pages);

	for (unsigned i = gfn; !want && i < gfn + pages; i++) {
		if (add && adds(n, space, i) == 255)
			return; /* the model counts in a byte */
		if (!add && !adds(n, space, i))
			want = -ENOENT;
	}
	if (op->v[A_WRONG] == WRONG_SPACE) {
		space += SPACES;
		want = -EINVAL;
	}
	fault_set(op);
	r = (add ? pagetrack_add : pagetrack_remove)(
		w.node[n], space, FIRST + gfn, pages, NULL);
	MUST(r == want || (r == -ENOMEM && fault_fired()));
	for (unsigned i = gfn; !r && i < gfn + pages; i++)
		set_adds(n, space, i, adds(n, space, i) + (add ? 1 : ~0u));
}

void step_node(const struct step *op)
{
	unsigned n = op->v[A_NODE] % NODES, at = 0;

	for (unsigned i = 0; i < SPACES * GFNS; i++)
		if (adds(n, i / GFNS, i % GFNS))
			set_adds(n, i / GFNS, i % GFNS, 0);
	pagetrack_unregister(w.node[n]);
	node_open(n);
	while (w.order[at] != n)
		at++;
	for (; at < NODES - 1; at++)
		w.order[at] = w.order[at + 1];
	w.order[NODES - 1] = n;
}

/* ---- harvests ------------------------------------------------------------ */

void step_end_harvest(const struct step *op)
{
	unsigned i = op->v[A_WHICH] % HARVESTS;
	bool back = op->kind == DO_GIVE_BACK;

	/* Also when there is none. */
	if (back)
		memslot_harvest_give_back(w.harvest[i]);
	else
		memslot_harvest_done(w.harvest[i]);
	w.harvest[i] = NULL;
	for (unsigned k = 0; k < SPACES * IDS; k++) {
		struct slot *s = &now.slot[k / IDS][k % IDS];

		for (unsigned p = 0; s->there && p < s->pages; p++) {
			if (back && s->page[p].out >> i & 1)
				s->page[p].dirty = true;
			s->page[p].out &= (uint8_t) ~(1u << i);
		}
	}
}

static void harvest_bits(
	const struct memslot_harvest *h, struct slot *of, unsigned bit)
{
	uint64_t first = memslot_harvest_first_page(h), n = 0;

	for (unsigned p = 0; p < PAGES; p++) {
		bool in = p - first < memslot_harvest_size_pages(h) &&
			  of->page[p].dirty;

		MUST(memslot_harvest_test(h, p) == in);
		n += in;
		if (in) {
			of->page[p].dirty = false;
			of->page[p].out |= (uint8_t)bit;
		}
	}
	MUST(memslot_harvest_count(h) == n);
}

void step_harvest(const struct step *op)
{
	unsigned i = op->v[A_WHICH] % HARVESTS, space = op->v[A_SPACE] % SPACES;
	unsigned id = op->v[A_ID] % IDS, first = op->v[A_GFN] % 64;
	unsigned pages = op->v[A_PAGES];
	struct slot *of = &now.slot[space][id];
	int r, want = 0;

	if (w.harvest[i])
		return;
	if (!of->there)
		want = -ENOENT;
	else if (!(of->flags & MEMSLOT_LOG_DIRTY))
		want = -ENXIO;
	else if (first >= of->pages || pages > of->pages - first)
		want = -EINVAL;
	fault_set(op);
	r = memslot_harvest_range(
		w.ms, space, id, first, pages, &w.harvest[i], NULL);
	MUST(r == want || (r == -ENOMEM && fault_fired()));
	if (r)
		return;
	MUST(memslot_harvest_first_page(w.harvest[i]) == first);
	MUST(memslot_harvest_size_pages(w.harvest[i]) ==
		(pages ? pages : of->pages - first));
	harvest_bits(w.harvest[i], of, 1u << i);
}

/* ---- populating, questions ------------------------------------------------- */

void step_populate(const struct step *op)
{
	unsigned space = op->v[A_SPACE] % SPACES, gfn = op->v[A_GFN] % GFNS;
	unsigned pages = op->v[A_PAGES], page = 0;
	const struct slot *s = owner(&now, space, gfn, &page);
	unsigned all = pages ? pages : s ? s->pages - page : 1;
	bool want[SPACES][GFNS] = {{false}};
	int r, answer = range_answer(space, gfn, all);

	heard_clear();
	fault_set(op);
	r = memslots_populate(w.ms, space, FIRST + gfn, pages, NULL);
	MUST(r == answer || (r == -ENOMEM && fault_fired()));
	for (unsigned i = gfn; !r && i < gfn + all; i++) {
		want[space][i] = true;
		owner(&now, space, i, &page)->page[page].populated = true;
	}
	MUST(!memcmp(want, w.asked, sizeof(want)));
}

void step_ask(const struct step *op)
{
	unsigned space = op->v[A_SPACE] % SPACES, gfn = op->v[A_GFN] % GFNS;
	unsigned page = 0, n = 0;
	struct slot *of = owner(&now, space, gfn, &page), *other;
	struct pagetrack_alias list[4];
	const char *names[1];
	unsigned frame = of ? of->frame + page : 0;

	for (unsigned i = 0; i < NODES; i++)
		n += adds(i, space, gfn) != 0;
	MUST(pagetrack_who(w.pt, space, FIRST + gfn, names, 1) == n);
	n = 0;
	for (unsigned i = 0; of && i < SPACES * IDS; i++) {
		other = &now.slot[i / IDS][i % IDS];
		n += other != of && other->there &&
		     frame - other->frame < other->pages;
	}
	MUST(pagetrack_aliases(w.pt, space, FIRST + gfn, list, 4) == n);
	for (unsigned i = 0; i < n && i < 4; i++) {
		unsigned at = (unsigned)(list[i].gfn - FIRST);
		bool any = false;

		other = owner(&now, list[i].space, at, &page);
		MUST(other && other != of && other->frame + page == frame);
		for (unsigned k = 0; k < NODES; k++)
			any |= adds(k, list[i].space, at) != 0;
		MUST(list[i].tracked == any);
	}
}

void step_option(const struct step *op)
{
	unsigned space = op->v[A_SPACE] % SPACES;
	bool no = op->v[A_NO_MOVES] & 1;

	MUST(memslots_set_space_options(
		     w.ms, space, no ? MEMSLOT_SPACE_NO_MOVES : 0) == 0);
	now.no_moves[space] = no;
}

/* ---- one step -------------------------------------------------------------- */

static void record(const struct step *op)
{
	if (w.pendings < PENDING)
		w.pending[w.pendings++] = *op;
}

static void commit(const struct step *op)
{
	txn_commit(op);
	w.pendings = 0;
	w.veto = VETO_NONE;
}

static void caches(const struct step *op)
{
	(void)op;
	compare_caches();
}

bool step_run(const struct step *op)
{
	static void (*const steps[DO_COUNT])(const struct step *op) = {
		[DO_CREATE] = record,
		[DO_DELETE] = record,
		[DO_MOVE] = record,
		[DO_FLAGS] = record,
		[DO_RESIZE] = record,
		[DO_SPLIT] = record,
		[DO_MERGE] = record,
		[DO_HOST] = record,
		[DO_COMMIT] = commit,
		[DO_DISCARD] = commit,
		[DO_LOAD] = access_guest,
		[DO_STORE] = access_guest,
		[DO_READ] = access_device,
		[DO_WRITE] = access_device,
		[DO_TRACK] = step_track,
		[DO_UNTRACK] = step_track,
		[DO_NODE] = step_node,
		[DO_HARVEST] = step_harvest,
		[DO_DONE] = step_end_harvest,
		[DO_GIVE_BACK] = step_end_harvest,
		[DO_POPULATE] = step_populate,
		[DO_ASK] = step_ask,
		[DO_OPTION] = step_option,
		[DO_CACHES] = caches,
	};

	steps[op->kind](op);
	fault_set(NULL);
	if (memslots_broken(w.ms))
		return false;
	if (op->kind >= DO_COMMIT)
		compare_all();
	return true;
}
