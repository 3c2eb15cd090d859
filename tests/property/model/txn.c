/* SPDX-License-Identifier: MIT */
/*
 * txn.c - operations on slots, and their commit
 *
 * A commit does all operations that were recorded since the last: to the real
 * transaction and, up to the first bad one, to `next`. Of a bad operation
 * the model knows which errors it may get (a bit per errno); rules that one
 * operation breaks at once have no order here. For all else there is one
 * answer.
 */
#include "tests/property/model/model.h"

static uint64_t errors; /* of the first bad operation; 0: all are good */
static bool stop;       /* the model stands still */
static struct memslot_harvest *last[PENDING]; /* handed out */
static unsigned handed[PENDING];              /* slot, + 1; 0: none */
static unsigned number;                       /* of the operation */

static void bad(int error)
{
	if (!stop)
		errors |= (uint64_t)1 << -error;
}

/* What the arguments say, the broken rule included. */
struct want {
	const struct step *op;
	unsigned space, id, other;
	struct slot *slot; /* of next; NULL: there cannot be one */
	gpa_t gpa;
	uint64_t size;
	uint32_t flags;
	void *host;
};

static bool fits(unsigned gfn, unsigned pages, unsigned frame)
{
	return pages && pages <= PAGES && gfn + pages <= GFNS &&
	       frame + pages <= FRAMES;
}

static struct want want_of(const struct step *op)
{
	struct want a = {.op = op,
		.space = op->v[A_SPACE] % SPACES,
		.id = op->v[A_ID] % IDS,
		.other = op->v[A_OTHER] % IDS,
		.gpa = (gpa_t)(FIRST + op->v[A_GFN]) * PAGE,
		.size = (uint64_t)op->v[A_PAGES] * PAGE,
		.flags = op->v[A_FLAGS] & MEMSLOT_FLAGS_ALL,
		.host = host[op->v[A_FRAME] % FRAMES]};

	a.slot = &next.slot[a.space][a.id];
	if (op->v[A_WRONG] == WRONG_SPACE)
		a.space = SPACES + op->v[A_GFN];
	if (op->v[A_WRONG] == WRONG_ID)
		a.id = MEMSLOT_IDS_MAX + op->v[A_GFN];
	if (op->v[A_WRONG] == WRONG_SPACE || op->v[A_WRONG] == WRONG_ID) {
		a.slot = NULL;
		bad(-EINVAL);
	}
	return a;
}

/* The operation has this argument: is this the rule to be broken? */
static bool breaks(const struct want *a, enum wrong rule)
{
	return a->op->v[A_WRONG] == (unsigned)rule;
}

static void twist_gpa(struct want *a)
{
	if (breaks(a, WRONG_GPA)) {
		a->gpa += 1 + a->op->v[A_FRAME];
		bad(-EINVAL);
	} else if (breaks(a, WRONG_LIMIT)) {
		a->gpa = MEMSLOT_GPA_LIMIT + (gpa_t)a->op->v[A_GFN] * PAGE;
		bad(-ERANGE);
	} else if (breaks(a, WRONG_WRAP)) {
		a->gpa = UINT64_MAX & ~MEMSLOT_PAGE_MASK;
		bad(-ERANGE);
	}
}

static void twist_size(struct want *a)
{
	if (breaks(a, WRONG_ZERO)) {
		a->size = 0;
		bad(-EINVAL);
	} else if (breaks(a, WRONG_SIZE)) {
		a->size += 512;
		bad(-EINVAL);
	} else if (breaks(a, WRONG_HUGE)) {
		a->size = (MEMSLOT_PAGES_MAX + 1) << MEMSLOT_PAGE_SHIFT;
		bad(-E2BIG);
	}
}

static void twist_host(struct want *a)
{
	if (breaks(a, WRONG_HOST)) {
		a->host = (uint8_t *)a->host + 8;
		bad(-EINVAL);
	} else if (breaks(a, WRONG_NULL)) {
		a->host = NULL;
		bad(-EINVAL);
	}
}

static void twist_flags(struct want *a)
{
	if (breaks(a, WRONG_FLAGS)) {
		a->flags |= 0x80000010;
		bad(-EINVAL);
	}
}

static void want_there(const struct want *a)
{
	if (a->slot && !a->slot->there)
		bad(-ENOENT);
}

/* ---- operations: to t, and, if nothing is bad so far, to a->slot --------- */

/* May the model go on with this one? */
static bool good(void)
{
	stop |= errors != 0;
	return !stop;
}

static void do_create(struct memslot_txn *t, struct want *a)
{
	const unsigned *v = a->op->v;
	struct memslot_config c;

	if (!fits(v[A_GFN], v[A_PAGES], v[A_FRAME]))
		return;
	twist_gpa(a);
	twist_size(a);
	twist_host(a);
	twist_flags(a);
	c = (struct memslot_config){
		a->space, a->id, a->gpa, a->size, a->host, a->flags};
	memslot_create(t, &c);
	if (a->slot && a->slot->there)
		bad(-EEXIST);
	if (!good())
		return;
	*a->slot = (struct slot){.there = true,
		.fresh = true,
		.gfn = v[A_GFN],
		.pages = v[A_PAGES],
		.frame = v[A_FRAME],
		.flags = a->flags};
	new_pages(a->slot, 0, a->slot->pages);
}

static bool handed_out(unsigned slot)
{
	for (unsigned i = 0; i < number; i++)
		if (handed[i] == slot + 1)
			return true;
	return false;
}

static void do_delete(struct memslot_txn *t, struct want *a)
{
	bool bits = a->op->v[A_LAST];
	unsigned slot = a->space * IDS + a->id;
	const struct slot *was = a->slot ? &now.slot[a->space][a->id] : NULL;

	if (bits)
		memslot_delete_harvest(t, a->space, a->id, &last[number]);
	else
		memslot_delete(t, a->space, a->id);
	want_there(a);
	if (bits && was && (!was->there || !(was->flags & MEMSLOT_LOG_DIRTY)))
		bad(-ENXIO);
	if (bits && handed_out(slot))
		bad(-EINVAL);
	if (!good())
		return;
	if (bits)
		handed[number] = slot + 1;
	a->slot->there = a->slot->fresh = false;
}

static void do_move(struct memslot_txn *t, struct want *a)
{
	const unsigned *v = a->op->v;

	if (a->slot && a->slot->there &&
		!fits(v[A_GFN], a->slot->pages, a->slot->frame))
		return;
	twist_gpa(a);
	memslot_move(t, a->space, a->id, a->gpa,
		v[A_KEEP] ? MEMSLOT_MOVE_KEEP : MEMSLOT_MOVE_MARK_ALL);
	want_there(a);
	if (a->slot && now.no_moves[a->space])
		bad(-EPERM);
	if (!good())
		return;
	a->slot->gfn = v[A_GFN];
	a->slot->mark = !v[A_KEEP];
}

static void do_flags(struct memslot_txn *t, struct want *a)
{
	twist_flags(a);
	memslot_set_flags(t, a->space, a->id, a->flags);
	want_there(a);
	if (good())
		a->slot->flags = a->flags;
}

static void do_resize(struct memslot_txn *t, struct want *a)
{
	struct slot *s = a->slot;
	unsigned pages = a->op->v[A_PAGES];

	if (!pages || (s && s->there && !fits(s->gfn, pages, s->frame)))
		return;
	twist_size(a);
	memslot_resize(t, a->space, a->id, a->size);
	/* So long that host memory would end first. */
	if (breaks(a, WRONG_HUGE))
		bad(-EINVAL);
	want_there(a);
	if (!good())
		return;
	if (pages > s->pages)
		new_pages(s, s->pages, pages);
	s->pages = pages;
}

static void do_split(struct memslot_txn *t, struct want *a)
{
	struct slot *s = a->slot, *u;
	unsigned at = a->op->v[A_PAGES];

	if (breaks(a, WRONG_SIZE)) {
		a->size += 77;
		bad(-EINVAL);
	} else if (breaks(a, WRONG_ZERO)) {
		a->size = 0;
	}
	memslot_split(t, a->space, a->id, a->size, a->other);
	if (a->other == a->id)
		bad(-EINVAL);
	if (!s) {
		good();
		return;
	}
	u = &next.slot[a->space][a->other];
	want_there(a);
	if (u->there)
		bad(-EEXIST);
	if (!a->size || at >= s->pages)
		bad(-EDOM);
	if (!good())
		return;
	*u = *s;
	u->gfn += at;
	u->frame += at;
	u->pages -= at;
	memmove(u->page, u->page + at, u->pages * sizeof(u->page[0]));
	s->pages = at;
}

static void do_merge(struct memslot_txn *t, struct want *a)
{
	struct slot *s = a->slot, *u = s ? &next.slot[a->space][a->other] : s;

	if (s && s->there && u->there && !fits(s->gfn, s->pages + u->pages, 0))
		return;
	memslot_merge(t, a->space, a->id, a->other);
	if (a->other == a->id)
		bad(-EINVAL);
	want_there(a);
	if (s && !u->there)
		bad(-ENOENT);
	if (s && (u->gfn != s->gfn + s->pages ||
			 u->frame != s->frame + s->pages ||
			 u->flags != s->flags || u->copy != s->copy))
		bad(-EDOM);
	if (!good())
		return;
	memcpy(s->page + s->pages, u->page, u->pages * sizeof(u->page[0]));
	s->pages += u->pages;
	s->mark |= u->mark;
	s->fresh = s->fresh && u->fresh;
	u->there = u->fresh = false;
}

static void do_host(struct memslot_txn *t, struct want *a)
{
	const unsigned *v = a->op->v;

	if (a->slot && a->slot->there &&
		!fits(a->slot->gfn, a->slot->pages, v[A_FRAME]))
		return;
	twist_host(a);
	memslot_replace_host(t, a->space, a->id, a->host,
		v[A_COPY] ? MEMSLOT_HOST_COPY : MEMSLOT_HOST_AS_IS);
	want_there(a);
	if (!good())
		return;
	a->slot->frame = v[A_FRAME];
	a->slot->copy = v[A_COPY];
}

static void do_operations(struct memslot_txn *t)
{
	static void (*const kinds[])(
		struct memslot_txn * t, struct want * a) = {
		[DO_CREATE] = do_create,
		[DO_DELETE] = do_delete,
		[DO_MOVE] = do_move,
		[DO_FLAGS] = do_flags,
		[DO_RESIZE] = do_resize,
		[DO_SPLIT] = do_split,
		[DO_MERGE] = do_merge,
		[DO_HOST] = do_host,
	};

	for (number = 0; number < w.pendings; number++) {
		struct want a = want_of(&w.pending[number]);

		kinds[w.pending[number].kind](t, &a);
	}
}

/* ---- the answer ------------------------------------------------------------ */

/* Which code, if no fault fires? 0: it is committed. */
static bool may_answer(int r)
{
	unsigned changes;

	if (errors)
		return r < 0 && errors >> -r & 1;
	if (copies_over_old())
		return r == -EINVAL;
	if (next_overlaps())
		return r == -EEXIST;
	changes = count_changes();
	if (changes && refused_by_policy())
		return r == -EBUSY;
	if (changes && w.veto >= VETO_NODE && w.veto < VETO_NODE + NODES)
		return r == -EXDEV;
	if (changes && w.veto)
		return r == -EACCES;
	return r == 0;
}

/* The node that is i-th in order of registration hears it. */
static size_t add(char *text, size_t at, unsigned i, char what)
{
	text[at++] = (char)('A' + w.order[i]);
	text[at++] = what;
	return at;
}

/* What the nodes must have heard if no fault fired. */
static void expect_heard(int r)
{
	char text[64] = "";
	size_t at = 0;
	bool asked =
		count_changes() != 0 && (r == 0 || r == -EXDEV || r == -EACCES);
	bool flushed = asked && (r == 0 || w.veto == VETO_APPLY) &&
		       changes_published();
	unsigned agreed = 0;

	for (unsigned i = 0; asked && i < NODES; i++) {
		at = add(text, at, i, 'p');
		if (r == -EXDEV && w.veto == VETO_NODE + w.order[i])
			break;
		agreed++;
	}
	for (unsigned i = 0; flushed && i < NODES; i++)
		at = add(text, at, i, 'f');
	for (unsigned i = agreed; asked && r && i--;)
		at = add(text, at, i, 'c');
	for (unsigned i = 0; asked && (!r || flushed) && i < NODES; i++)
		at = add(text, at, i, r ? 'a' : 'k');
	text[at] = '\0';
	MUST(!strcmp(w.heard, text));
	/* A refusal comes before anybody could notice. */
	MUST(w.flushed == flushed);
}

static unsigned heard_of(unsigned node, char what)
{
	unsigned n = 0;

	for (const char *c = w.heard; *c; c += 2)
		n += c[0] == (char)('A' + node) && c[1] == what;
	return n;
}

/* Laws for a failure at whatever point: nobody heard half a story. */
static void expect_whole_story(void)
{
	for (unsigned n = 0; n < NODES; n++) {
		unsigned flushes = heard_of(n, 'f');

		MUST(heard_of(n, 'k') == 0);
		MUST(heard_of(n, 'p') <= 1);
		MUST(heard_of(n, 'p') == heard_of(n, 'c'));
		MUST(flushes == heard_of(n, 'a'));
		MUST(flushes <= heard_of(n, 'p'));
		MUST(flushes == w.flushed);
	}
}

/* What is to be populated is asked for again, where it is afterwards. */
static void expect_asked(bool committed)
{
	const struct model *x = committed ? &next : &now;
	bool want[SPACES][GFNS] = {{false}};

	for (unsigned i = 0; i < SPACES * IDS; i++) {
		const struct slot *s = &x->slot[i / IDS][i % IDS];

		if (!s->there || !slot_changed(i / IDS, i % IDS) ||
			(!committed && !w.flushed))
			continue;
		for (unsigned p = 0; p < s->pages; p++)
			want[i / IDS][s->gfn + p] = s->page[p].populated;
	}
	MUST(!memcmp(want, w.asked, sizeof(want)));
}

/* Pages that nodes lost, as they were told. */
static void expect_gone(const uint64_t before[NODES])
{
	for (unsigned n = 0; n < NODES; n++)
		MUST(w.ear[n].gone == before[n] - tracked_by(n));
}

static void hand_out(bool committed)
{
	for (unsigned i = 0; i < w.pendings; i++) {
		unsigned slot = handed[i] - 1, free = 0;
		const struct slot *was;

		MUST((last[i] != NULL) == (committed && handed[i]));
		if (!last[i])
			continue;
		was = &now.slot[slot / IDS][slot % IDS];
		for (unsigned p = 0; p < was->pages; p++)
			MUST(memslot_harvest_test(last[i], p) ==
				was->page[p].dirty);
		while (free < HARVESTS && w.harvest[free])
			free++;
		next_last_bits(slot / IDS, slot % IDS,
			free < HARVESTS ? 1u << free : 0);
		if (free < HARVESTS)
			w.harvest[free] = last[i];
		else
			memslot_harvest_done(last[i]);
	}
}

/* ---- commit ----------------------------------------------------------------- */

static void committed(const struct memslot_result *result)
{
	uint64_t before[NODES];

	MUST(result->changes == count_changes());
	expect_asked(true);
	hand_out(true);
	for (unsigned n = 0; n < NODES; n++)
		before[n] = tracked_by(n);
	next_settle();
	if (result->changes)
		expect_gone(before);
}

static void count(int r, unsigned changes)
{
	if (memslots_broken(w.ms))
		tally.broken++;
	else if (fault_fired())
		tally.injected++;
	else if (r == -EXDEV || r == -EACCES || r == -EBUSY)
		tally.vetoed++;
	else if (r)
		tally.refused++;
	else if (changes)
		tally.committed++;
	else
		tally.unchanged++;
}

void txn_commit(const struct step *op)
{
	uint64_t generation = memslots_generation(w.ms);
	long live = w.live;
	struct memslot_result result = {0};
	struct memslot_error err = {0};
	struct memslot_txn *t;
	int r;

	errors = 0;
	stop = false;
	memset(last, 0, sizeof(last));
	memset(handed, 0, sizeof(handed));
	next_begin();
	heard_clear();
	fault_set(op);
	w.veto = op->v[A_VETO];
	r = memslot_begin(w.ms, &t, &err);
	if (r) {
		MUST(r == -ENOMEM && fault_fired());
		return;
	}
	do_operations(t);
	if (op->kind == DO_DISCARD || (!errors && copies_collide())) {
		memslot_discard(t);
		hand_out(false);
		MUST(!w.heard[0] && w.live == live);
		return;
	}
	r = memslot_commit(t, &result, &err);
	MUST(r <= 0 && err.code == r && !r == !err.text[0]);
	MUST(result.generation == memslots_generation(w.ms));
	MUST(result.generation == generation + (!r && result.changes));
	count(r, result.changes);
	if (fault_fired()) {
		MUST(r < 0);
		if (memslots_broken(w.ms))
			return;
		expect_whole_story();
	} else {
		MUST(may_answer(r));
		expect_heard(r);
	}
	if (!r) {
		committed(&result);
		return;
	}
	expect_asked(false);
	hand_out(false);
	MUST(w.live == live);
}
