/* SPDX-License-Identifier: MIT */
/*
 * fuzz_ops.c - any sequence of operations beside a model that knows no trick
 *
 * The input is a program: transactions of up to 8 operations, good and bad
 * ones, writes, harvests that come back late or never, nodes of all three
 * policies, faults at any point. The model keeps one record per page of each
 * slot and says what every call must answer: for a bad operation which errors
 * it may get, for a good one what the map, the dirty log, the tracked pages
 * and the harvests are afterwards. All of it is compared after every step.
 * At the end nothing may be left allocated.
 *
 * Not modelled: bytes (tests/property/model_reshape.c has them), and a
 * replaced host address whose old and new memory overlap.
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>

#include "pagetrack/pagetrack.h"

#define SPACES   2u
#define IDS      8u
#define GFNS     128u
#define FIRST    448u /* gfn: the space crosses a 2 MiB boundary */
#define PAGES    48u  /* of a slot, at most */
#define FRAMES   128u
#define HARVESTS 3u
#define NONE     0xffu

enum { F, S, R, NODES }; /* follow, stay, refuse */

struct page {
	uint8_t origin, origin_page; /* published slot id, or NONE */
	uint8_t out;                 /* harvests that have its bit */
	uint8_t follow;              /* adds of node F */
	bool dirty;
};

struct slot {
	bool there, fresh, mark, copy;
	unsigned gfn, pages, frame;
	uint32_t flags;
	struct page page[PAGES];
};

struct model {
	struct slot slot[SPACES][IDS];
	uint8_t count[NODES][SPACES][GFNS]; /* of S and R */
	bool no_moves[SPACES];
};

/* An operation that was recorded: whom it names, the errors it may get. */
struct expectation {
	uint64_t errors; /* bit per errno of the first bad operation */
	bool stop;       /* a bad operation: what follows has no effect */
	bool overlap;
	unsigned last; /* bit per id: has a harvest to be handed out */
	struct memslot_harvest *out[IDS];
	unsigned out_space[IDS];
};

static struct memslots *ms;
static struct memslot_reader reader;
static struct memslot_platform platform;
static struct pagetrack *pt;
static struct pagetrack_node *node[NODES];
static struct memslot_participant backend;
static struct fault_plan plan;
static struct memslot_harvest *harvest[HARVESTS];
static struct model m, next;
static struct expectation want;
/* Not allocated: its bytes do not matter, and ASan knows its end. */
static _Alignas(4096) uint8_t host[FRAMES * 4096u];
static long live;
static int veto;
static uint8_t heard[NODES];

/* ---- surroundings ------------ */

static void *count_alloc(void *ctx, size_t size)
{
	void *p = calloc(1, size);

	(void)ctx;
	live += p != NULL;
	return p;
}

static void count_free(void *ctx, void *p)
{
	(void)ctx;
	live--;
	free(p);
}

static void hear_write(void *ctx, const struct pagetrack_write *w)
{
	heard[(uint8_t *)ctx - heard]++;
	MUST(w->len == 8);
}

static const struct pagetrack_ops node_ops = {
	.name = "fuzz", .write = hear_write};

static int backend_prepare(
	void *ctx, const struct memslot_txn *t, struct memslot_error *err)
{
	(void)ctx;
	(void)t;
	if (veto)
		*err = (struct memslot_error){veto, "the fuzzer says no"};
	return veto;
}

static int backend_apply(
	void *ctx, const struct memslot_txn *t, struct memslot_error *err)
{
	const struct memslot_change *c;
	size_t count;

	(void)ctx;
	(void)err;
	c = memslot_txn_changes(t, &count);
	MUST(count > 0);
	for (; count; c++, count--)
		MUST(!c->from || memslot_is_invalid(c->from));
	return 0;
}

static int backend_undo(void *ctx, const struct memslot_txn *t)
{
	(void)ctx;
	(void)t;
	return 0;
}

static const struct memslot_participant_ops backend_ops = {
	.name = "fuzz",
	.prepare = backend_prepare,
	.apply = backend_apply,
	.undo = backend_undo,
};

static void faults_off(void)
{
	fault_arm(&plan, FAULT_ANY, 0, false);
}

/* Most steps run without a fault. */
static void maybe_arm(struct supply *s)
{
	uint8_t how = take8(s);

	if (how >= 192)
		fault_arm(&plan, FAULT_ANY, 1 + (how & 31), how & 32);
}

static bool fired(void)
{
	return atomic_load(&plan.fired) != 0;
}

static enum pagetrack_policy policy_of(unsigned n)
{
	return n == F   ? PAGETRACK_FOLLOW
	       : n == S ? PAGETRACK_STAY
			: PAGETRACK_REFUSE;
}

static void node_open(unsigned n)
{
	MUST(pagetrack_register(pt, &node_ops, &heard[n], policy_of(n),
		     &node[n], NULL) == 0);
}

static void bed_open(void)
{
	platform = memslot_hosted;
	platform.alloc = count_alloc;
	platform.free = count_free;
	live = 0;
	veto = 0;
	memset(&m, 0, sizeof(m));
	memset(&backend, 0, sizeof(backend));
	MUST(memslots_create(&platform, SPACES, &ms, NULL) == 0);
	memslot_reader_init(&reader, ms, NULL, NULL);
	MUST(pagetrack_create(ms, &pt, NULL) == 0);
	for (unsigned n = 0; n < NODES; n++)
		node_open(n);
	backend.ops = &backend_ops;
	MUST(memslots_join(ms, &backend) == 0);
	memslots_set_faults(ms, &plan);
	faults_off();
}

static void bed_close(void)
{
	faults_off();
	for (unsigned i = 0; i < HARVESTS; i++) {
		memslot_harvest_done(harvest[i]);
		harvest[i] = NULL;
	}
	MUST(memslots_quit(ms, &backend) == 0);
	for (unsigned n = 0; n < NODES; n++)
		pagetrack_unregister(node[n]);
	pagetrack_destroy(pt);
	memslot_reader_fini(&reader);
	memslots_destroy(ms);
	MUST(live == 0);
}

/* ---- the model ------------ */

/* The slot of x that holds the page, and which of its pages it is. */
static struct slot *owner(
	struct model *x, unsigned space, unsigned gfn, unsigned *page)
{
	for (unsigned id = 0; id < IDS; id++) {
		struct slot *s = &x->slot[space][id];

		if (s->there && gfn - s->gfn < s->pages) {
			*page = gfn - s->gfn;
			return s;
		}
	}
	return NULL;
}

static unsigned adds(unsigned n, unsigned space, unsigned gfn)
{
	unsigned page = 0;
	struct slot *s = owner(&m, space, gfn, &page);

	if (!s)
		return 0;
	return n == F ? s->page[page].follow : m.count[n][space][gfn];
}

static void set_adds(unsigned n, unsigned space, unsigned gfn, unsigned count)
{
	unsigned page = 0;
	struct slot *s = owner(&m, space, gfn, &page);

	if (n == F)
		s->page[page].follow = (uint8_t)count;
	else
		m.count[n][space][gfn] = (uint8_t)count;
}

/* Pages know where they come from; slots have not been touched. */
static void begin_model(void)
{
	next = m;
	memset(&want, 0, sizeof(want));
	for (unsigned i = 0; i < SPACES * IDS; i++) {
		struct slot *s = &next.slot[i / IDS][i % IDS];

		s->fresh = s->mark = s->copy = false;
		for (unsigned p = 0; s->there && p < s->pages; p++) {
			s->page[p].origin = (uint8_t)(i % IDS);
			s->page[p].origin_page = (uint8_t)p;
		}
	}
}

static void new_pages(struct slot *s, unsigned from, unsigned to)
{
	for (; from < to; from++)
		s->page[from] = (struct page){.origin = NONE};
}

/* All of it, and nothing but it, in the host memory it was published with. */
static bool same_memory(
	const struct slot *s, const struct slot *was, unsigned id)
{
	if (!was->there || s->fresh || s->pages != was->pages ||
		s->frame != was->frame)
		return false;
	for (unsigned p = 0; p < s->pages; p++)
		if (s->page[p].origin != id || s->page[p].origin_page != p)
			return false;
	return true;
}

static bool slot_changed(unsigned space, unsigned id)
{
	const struct slot *s = &next.slot[space][id];
	const struct slot *was = &m.slot[space][id];

	if (!s->there || !was->there)
		return s->there || was->there;
	return !same_memory(s, was, id) || s->gfn != was->gfn ||
	       s->flags != was->flags;
}

static bool only_flags(unsigned space, unsigned id)
{
	const struct slot *s = &next.slot[space][id];
	const struct slot *was = &m.slot[space][id];

	return s->there && same_memory(s, was, id) && s->gfn == was->gfn;
}

static unsigned count_changes(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < SPACES * IDS; i++)
		n += slot_changed(i / IDS, i % IDS);
	return n;
}

/* The end state of a commit that succeeded. */
static void settle_slot(unsigned space, unsigned id)
{
	struct slot *s = &next.slot[space][id];

	if (!s->there)
		return;
	for (unsigned p = 0; p < s->pages; p++) {
		struct page *page = &s->page[p];

		if (!(s->flags & MEMSLOT_LOG_DIRTY)) {
			page->dirty = false;
			page->out = 0;
		} else if (s->mark && !s->fresh && slot_changed(space, id) &&
			   !only_flags(space, id)) {
			page->dirty = true;
		}
	}
}

/* Bit of the harvest that deleting slot `id` hands out. */
static void settle_last(unsigned space, unsigned id, unsigned bit)
{
	for (unsigned i = 0; i < IDS; i++) {
		struct slot *s = &next.slot[space][i];

		for (unsigned p = 0; s->there && p < s->pages; p++)
			if (s->page[p].origin == id && s->page[p].dirty) {
				s->page[p].dirty = false;
				s->page[p].out |= (uint8_t)bit;
			}
	}
}

static void settle(void)
{
	unsigned page = 0;

	for (unsigned i = 0; i < SPACES * IDS; i++)
		settle_slot(i / IDS, i % IDS);
	for (unsigned i = 0; i < SPACES * GFNS; i++) {
		uint8_t *stay = &next.count[S][i / GFNS][i % GFNS];
		uint8_t *refuse = &next.count[R][i / GFNS][i % GFNS];

		if ((*stay || *refuse) &&
			!owner(&next, i / GFNS, i % GFNS, &page))
			*stay = *refuse = 0;
	}
	m = next;
}

static bool overlaps(unsigned space)
{
	bool used[GFNS] = {false};

	for (unsigned id = 0; id < IDS; id++) {
		const struct slot *s = &next.slot[space][id];

		for (unsigned p = 0; s->there && p < s->pages; p++) {
			if (used[s->gfn + p])
				return true;
			used[s->gfn + p] = true;
		}
	}
	return false;
}

/* Would bytes be copied within overlapping memory? Nobody says what then. */
static bool copies_over_itself(void)
{
	for (unsigned i = 0; i < SPACES * IDS; i++) {
		const struct slot *s = &next.slot[i / IDS][i % IDS];

		for (unsigned p = 0; s->there && s->copy && p < s->pages; p++) {
			const struct page *page = &s->page[p];
			unsigned from;

			if (page->origin == NONE)
				continue;
			from = m.slot[i / IDS][page->origin].frame +
			       page->origin_page;
			if (from + PAGES > s->frame &&
				from < s->frame + s->pages + PAGES)
				return true;
		}
	}
	return false;
}

/* Node R: 2 a page of its moves or goes, 1 its slot changes, 0 it does not. */
static int refusal(void)
{
	int how = 0;

	for (unsigned i = 0; i < SPACES * GFNS; i++) {
		unsigned space = i / GFNS, gfn = i % GFNS, page = 0, to;
		struct slot *s, *at;
		unsigned id;

		if (!m.count[R][space][gfn])
			continue;
		s = owner(&m, space, gfn, &page);
		id = (unsigned)(s - m.slot[space]);
		if (!slot_changed(space, id) || only_flags(space, id))
			continue;
		at = owner(&next, space, gfn, &to);
		if (!at || at->page[to].origin != id ||
			at->page[to].origin_page != page)
			return 2;
		how = 1;
	}
	return how;
}

/* ---- operations ------------ */

/* What the bytes of one operation say. Bad values come with `twist`. */
struct order {
	unsigned kind, twist, space, id, other;
	unsigned gfn, pages, frame;
	bool bit;
};

static struct order take_order(struct supply *s)
{
	uint8_t kind = take8(s), who = take8(s), other = take8(s);
	struct order o = {.kind = kind % 10, .twist = kind / 10};

	o.space = who >> 3 & 1;
	o.id = who & 7;
	o.bit = who & 16;
	o.other = other & 7;
	o.pages = 1 + (other >> 3);
	o.gfn = take8(s) % 96;
	o.frame = take8(s) % 64;
	if (who >= 0xfc)
		o.space = 2 + (who & 1) * 100;
	if (who >= 0xf8 && who < 0xfc)
		o.id = MEMSLOT_IDS_MAX + (who & 3) * 1000;
	return o;
}

static void may_fail(int error)
{
	want.errors |= (uint64_t)1 << -error;
	want.stop = true;
}

static gpa_t twisted_gpa(const struct order *o)
{
	gpa_t gpa = (gpa_t)(FIRST + o->gfn) << MEMSLOT_PAGE_SHIFT;

	switch (o->twist) {
	case 20:
		may_fail(-EINVAL);
		return gpa + 1 + o->frame;
	case 21:
		may_fail(-ERANGE);
		return MEMSLOT_GPA_LIMIT + (gpa_t)o->gfn * MEMSLOT_PAGE_SIZE;
	case 22:
		may_fail(-ERANGE);
		return UINT64_MAX & ~MEMSLOT_PAGE_MASK;
	}
	return gpa;
}

static uint64_t twisted_size(const struct order *o)
{
	switch (o->twist) {
	case 18:
		may_fail(-EINVAL);
		return 0;
	case 19:
		may_fail(-EINVAL);
		return (uint64_t)o->pages * MEMSLOT_PAGE_SIZE + 512;
	case 23:
		may_fail(-E2BIG);
		may_fail(-EINVAL);
		return (MEMSLOT_PAGES_MAX + 1) << MEMSLOT_PAGE_SHIFT;
	}
	return (uint64_t)o->pages << MEMSLOT_PAGE_SHIFT;
}

/* A place in the bounds of the model? */
static bool fits(unsigned gfn, unsigned pages, unsigned frame)
{
	return pages <= PAGES && gfn + pages <= GFNS && frame + pages <= FRAMES;
}

static void do_create(
	struct memslot_txn *t, const struct order *o, struct slot *s)
{
	uint32_t flags = o->other & 3;
	struct memslot_config c;

	if (!fits(o->gfn, o->pages, o->frame))
		return;
	if (o->twist == 24) {
		flags |= 0x10;
		may_fail(-EINVAL);
	}
	c = (struct memslot_config){o->space, o->id, twisted_gpa(o),
		twisted_size(o), host + o->frame * MEMSLOT_PAGE_SIZE, flags};
	if (o->twist == 25) {
		c.host = o->bit ? NULL : host + 8;
		may_fail(-EINVAL);
	}
	memslot_create(t, &c);
	if (s && s->there)
		may_fail(-EEXIST);
	if (want.stop)
		return;
	*s = (struct slot){true, true, false, false, o->gfn, o->pages, o->frame,
		flags, {{0}}};
	new_pages(s, 0, s->pages);
}

static void do_delete(
	struct memslot_txn *t, const struct order *o, struct slot *s)
{
	const struct slot *was;

	if (!o->bit) {
		memslot_delete(t, o->space, o->id);
	} else {
		/* One hand-over of a slot a transaction. */
		if (s && want.last >> o->id & 1)
			return;
		memslot_delete_harvest(
			t, o->space, o->id, &want.out[o->id & 7]);
		was = &m.slot[o->space & 1][o->id & 7];
		if (!was->there || !(was->flags & MEMSLOT_LOG_DIRTY))
			may_fail(-ENXIO);
	}
	if (s && !s->there)
		may_fail(-ENOENT);
	if (want.stop)
		return;
	if (o->bit) {
		want.last |= 1u << o->id;
		want.out_space[o->id] = o->space;
	}
	s->there = s->fresh = false;
}

static void do_move(
	struct memslot_txn *t, const struct order *o, struct slot *s)
{
	if (s && s->there && !fits(o->gfn, s->pages, s->frame))
		return;
	memslot_move(t, o->space, o->id, twisted_gpa(o),
		o->bit ? MEMSLOT_MOVE_KEEP : MEMSLOT_MOVE_MARK_ALL);
	if (s && !s->there)
		may_fail(-ENOENT);
	if (s && m.no_moves[o->space])
		may_fail(-EPERM);
	if (want.stop)
		return;
	s->gfn = o->gfn;
	s->mark = !o->bit;
}

static void do_flags(
	struct memslot_txn *t, const struct order *o, struct slot *s)
{
	uint32_t flags = o->pages & 3;

	if (o->twist == 24) {
		flags |= 0x80000000;
		may_fail(-EINVAL);
	}
	memslot_set_flags(t, o->space, o->id, flags);
	if (s && !s->there)
		may_fail(-ENOENT);
	if (!want.stop)
		s->flags = flags;
}

static void do_resize(
	struct memslot_txn *t, const struct order *o, struct slot *s)
{
	if (s && s->there && !fits(s->gfn, o->pages, s->frame))
		return;
	memslot_resize(t, o->space, o->id, twisted_size(o));
	if (s && !s->there)
		may_fail(-ENOENT);
	if (want.stop)
		return;
	if (o->pages > s->pages)
		new_pages(s, s->pages, o->pages);
	s->pages = o->pages;
}

static void do_split(
	struct memslot_txn *t, const struct order *o, struct slot *s)
{
	struct slot *u = s ? &next.slot[o->space][o->other] : NULL;
	unsigned at = o->pages;
	uint64_t offset = (uint64_t)at << MEMSLOT_PAGE_SHIFT;

	if (o->twist == 19) {
		offset += 77;
		may_fail(-EINVAL);
	} else if (o->twist == 18) {
		offset = 0;
		may_fail(-EDOM);
	}
	memslot_split(t, o->space, o->id, offset, o->other);
	if (o->other == o->id)
		may_fail(-EINVAL);
	if (s && !s->there)
		may_fail(-ENOENT);
	if (u && u->there)
		may_fail(-EEXIST);
	if (s && at >= s->pages)
		may_fail(-EDOM);
	if (want.stop)
		return;
	*u = *s;
	u->gfn += at;
	u->frame += at;
	u->pages -= at;
	memmove(u->page, u->page + at, u->pages * sizeof(u->page[0]));
	s->pages = at;
}

static void do_merge(
	struct memslot_txn *t, const struct order *o, struct slot *s)
{
	struct slot *u = s ? &next.slot[o->space][o->other] : NULL;

	if (s && s->there && u->there && !fits(s->gfn, s->pages + u->pages, 0))
		return;
	memslot_merge(t, o->space, o->id, o->other);
	if (o->other == o->id)
		may_fail(-EINVAL);
	if (s && (!s->there || !u->there))
		may_fail(-ENOENT);
	if (s && (u->gfn != s->gfn + s->pages ||
			 u->frame != s->frame + s->pages ||
			 u->flags != s->flags || u->copy != s->copy))
		may_fail(-EDOM);
	if (want.stop)
		return;
	memcpy(s->page + s->pages, u->page, u->pages * sizeof(u->page[0]));
	s->pages += u->pages;
	s->mark |= u->mark;
	s->fresh = s->fresh && u->fresh;
	u->there = u->fresh = false;
}

static void do_host(
	struct memslot_txn *t, const struct order *o, struct slot *s)
{
	unsigned frame = o->frame + (o->bit ? 64 : 0);
	void *at = host + frame * MEMSLOT_PAGE_SIZE;

	if (s && s->there && !fits(s->gfn, s->pages, frame))
		return;
	if (o->twist == 25) {
		at = o->bit ? (void *)(uintptr_t)((uint64_t)1 << 56) : NULL;
		may_fail(-EINVAL);
	}
	memslot_replace_host(t, o->space, o->id, at,
		o->pages & 1 ? MEMSLOT_HOST_COPY : MEMSLOT_HOST_AS_IS);
	if (s && !s->there)
		may_fail(-ENOENT);
	if (want.stop)
		return;
	s->frame = frame;
	s->copy = o->pages & 1;
}

static void one_operation(struct memslot_txn *t, struct supply *sup)
{
	static void (*const kinds[])(struct memslot_txn * t,
		const struct order *o, struct slot *s) = {do_create, do_create,
		do_delete, do_move, do_flags, do_resize, do_split, do_merge,
		do_merge, do_host};
	struct order o = take_order(sup);
	struct slot *s = NULL;

	if (o.space >= SPACES || o.id >= IDS)
		may_fail(-EINVAL); /* and nothing else is looked at */
	else
		s = &next.slot[o.space][o.id];
	if (!s && (o.kind < 2 || o.kind == 9))
		o.frame = 0;
	kinds[o.kind](t, &o, s);
}

/* ---- transactions ------------ */

/* Harvests that a commit handed out, or not. */
static void hand_out(bool committed)
{
	for (unsigned id = 0; id < IDS; id++) {
		struct memslot_harvest *h = want.out[id];
		unsigned space = want.out_space[id], i = 0;
		const struct slot *was = &m.slot[space][id];

		MUST((h != NULL) == (committed && (want.last >> id & 1)));
		if (!h)
			continue;
		for (unsigned p = 0; p < was->pages; p++)
			MUST(memslot_harvest_test(h, p) == was->page[p].dirty);
		while (i < HARVESTS && harvest[i])
			i++;
		if (i < HARVESTS)
			harvest[i] = h;
		else
			memslot_harvest_done(h);
		settle_last(space, id, i < HARVESTS ? 1u << i : 0);
	}
}

/* What must it answer? 0: it is free to choose (a fault has fired). */
static void judge(int r, const struct memslot_result *result, uint64_t before)
{
	bool vetoed = veto && count_changes();
	int refused;

	if (want.errors) {
		MUST(r < 0 && (want.errors >> -r & 1 || fired()));
		return;
	}
	if (overlaps(0) || overlaps(1)) {
		MUST(r == -EEXIST || (r < 0 && fired()));
		return;
	}
	refused = refusal();
	if (refused == 2 || (refused && r == -EBUSY)) {
		MUST(r == -EBUSY || (r < 0 && fired()));
		return;
	}
	if (vetoed) {
		MUST(r == veto || (r < 0 && fired()));
		return;
	}
	MUST(r == 0 || fired());
	if (r)
		return;
	MUST(result->changes == count_changes());
	MUST(result->generation == before + (result->changes != 0));
}

static void transaction(struct supply *s)
{
	uint64_t before = memslots_generation(ms);
	uint8_t how = take8(s);
	struct memslot_result result;
	struct memslot_error err = {0};
	struct memslot_txn *t;
	int r;

	maybe_arm(s);
	begin_model();
	r = memslot_begin(ms, &t, &err);
	if (r) {
		MUST(r == -ENOMEM && fired());
		return;
	}
	for (unsigned i = 0; i <= (how & 7u); i++) {
		struct expectation so_far = want;

		/* After a bad one the model stands still. */
		if (so_far.stop)
			break;
		one_operation(t, s);
	}
	veto = how & 0x80 && how & 0x40 ? -EACCES : 0;
	if (how == 0x3f || (!want.errors && copies_over_itself())) {
		memslot_discard(t);
		hand_out(false);
		return;
	}
	r = memslot_commit(t, &result, &err);
	MUST(r <= 0 && err.code == r && !r == !err.text[0]);
	judge(r, &result, before);
	veto = 0;
	MUST(memslots_generation(ms) == before + (!r && result.changes));
	hand_out(!r);
	if (!r)
		settle();
}

/* ---- the other steps ------------ */

static void write_page(struct supply *s)
{
	uint8_t how = take8(s);
	unsigned space = how & 1, gfn = take8(s) % GFNS, page;
	struct slot *to = owner(&m, space, gfn, &page);
	struct pagetrack_source source = {
		how & 2 ? PAGETRACK_HOST : PAGETRACK_DEVICE, 1};
	uint64_t value = 0x0123456789abcdef;
	int r;

	memset(heard, 0, sizeof(heard));
	r = pagetrack_guest_write(pt, &reader, space,
		((gpa_t)(FIRST + gfn) << MEMSLOT_PAGE_SHIFT) + (how >> 2) * 8,
		&value, sizeof(value), source);
	if (!to || (to->flags & MEMSLOT_READONLY && !(how & 2))) {
		MUST(r == -EFAULT);
		return;
	}
	MUST(r == 0);
	to->page[page].dirty = to->flags & MEMSLOT_LOG_DIRTY;
	for (unsigned n = 0; n < NODES; n++)
		MUST(heard[n] == (adds(n, space, gfn) != 0));
}

/* The answer to add and remove. */
static int track_answer(
	unsigned n, unsigned space, unsigned gfn, unsigned pages, bool add)
{
	unsigned page = 0;

	if (space >= SPACES || !pages)
		return -EINVAL;
	for (unsigned i = gfn; i < gfn + pages; i++) {
		if (i >= GFNS || !owner(&m, space, i, &page))
			return -ENOENT;
		if (!add && !adds(n, space, i))
			return -ENOENT;
	}
	return 0;
}

static void track(struct supply *s)
{
	uint8_t how = take8(s);
	unsigned gfn = take8(s) % GFNS, n = (how & 15) % NODES;
	unsigned space = how == 255 ? 9 : how >> 4 & 1, pages = how >> 5;
	bool add = how & 8;
	int r, expected;

	/* The model counts in a byte. */
	for (unsigned i = gfn; i < gfn + pages && i < GFNS && space < SPACES;
		i++)
		if (adds(n, space, i) == 255)
			return;
	maybe_arm(s);
	expected = track_answer(n, space, gfn, pages, add);
	r = (add ? pagetrack_add : pagetrack_remove)(
		node[n], space, FIRST + gfn, pages, NULL);
	MUST(r == expected || (r == -ENOMEM && fired()));
	for (unsigned i = gfn; !r && i < gfn + pages; i++)
		set_adds(n, space, i, adds(n, space, i) + (add ? 1 : -1));
}

/* A node goes, with all its pages, and another comes. */
static void node_again(struct supply *s)
{
	unsigned n = take8(s) % NODES;

	for (unsigned i = 0; i < SPACES * GFNS; i++)
		if (adds(n, i / GFNS, i % GFNS))
			set_adds(n, i / GFNS, i % GFNS, 0);
	pagetrack_unregister(node[n]);
	node_open(n);
}

static void end_harvest(unsigned i, bool give_back)
{
	if (give_back)
		memslot_harvest_give_back(harvest[i]);
	else
		memslot_harvest_done(harvest[i]);
	harvest[i] = NULL;
	for (unsigned k = 0; k < SPACES * IDS; k++) {
		struct slot *s = &m.slot[k / IDS][k % IDS];

		for (unsigned p = 0; s->there && p < s->pages; p++) {
			if (give_back && s->page[p].out >> i & 1)
				s->page[p].dirty = true;
			s->page[p].out &= (uint8_t) ~(1u << i);
		}
	}
}

static void take_harvest(struct supply *s)
{
	uint8_t how = take8(s);
	unsigned i = how % HARVESTS, space = how >> 7, id = how >> 4 & 7;
	unsigned first = take8(s) & 63, n = take8(s) & 63, end;
	struct slot *of = &m.slot[space][id];
	int r, expected = 0;

	if (harvest[i]) {
		end_harvest(i, how & 8);
		return;
	}
	maybe_arm(s);
	if (!of->there)
		expected = -ENOENT;
	else if (!(of->flags & MEMSLOT_LOG_DIRTY))
		expected = -ENXIO;
	else if (first >= of->pages || n > of->pages - first)
		expected = -EINVAL;
	r = memslot_harvest_range(ms, space, id, first, n, &harvest[i], NULL);
	MUST(r == expected || (r == -ENOMEM && fired()));
	if (r)
		return;
	end = n ? first + n : of->pages;
	MUST(memslot_harvest_first_page(harvest[i]) == first);
	MUST(memslot_harvest_size_pages(harvest[i]) == end - first);
	n = 0;
	for (unsigned p = 0; p < PAGES; p++) {
		bool bit = p >= first && p < end && of->page[p].dirty;

		MUST(memslot_harvest_test(harvest[i], p) == bit);
		n += bit;
		if (bit) {
			of->page[p].dirty = false;
			of->page[p].out |= (uint8_t)(1u << i);
		}
	}
	MUST(memslot_harvest_count(harvest[i]) == n);
}

/* Nobody is there who could populate, but it is remembered. */
static void populate(struct supply *s)
{
	uint8_t how = take8(s);
	unsigned gfn = take8(s) % GFNS, space = how & 1, pages = how >> 3;
	int r, expected;

	maybe_arm(s);
	expected = track_answer(F, space, gfn, pages ? pages : 1, true);
	r = memslots_populate(ms, space, FIRST + gfn, pages, NULL);
	MUST(r == expected || (r == -ENOMEM && fired()));
}

/* Who tracks a page, and which other pages show the same memory? */
static void ask(struct supply *s)
{
	unsigned space = take8(s) & 1, gfn = take8(s) % GFNS, page, n = 0;
	struct slot *of = owner(&m, space, gfn, &page), *other;
	struct pagetrack_alias list[4];
	const char *names[1];
	unsigned frame = of ? of->frame + page : 0;

	for (unsigned i = 0; i < NODES; i++)
		n += adds(i, space, gfn) != 0;
	MUST(pagetrack_who(pt, space, FIRST + gfn, names, 1) == n);
	n = 0;
	for (unsigned i = 0; of && i < SPACES * IDS; i++) {
		other = &m.slot[i / IDS][i % IDS];
		if (other != of && other->there &&
			frame - other->frame < other->pages)
			n++;
	}
	MUST(pagetrack_aliases(pt, space, FIRST + gfn, list, 4) == n);
	for (unsigned i = 0; i < n && i < 4; i++) {
		other = owner(&m, list[i].space,
			(unsigned)(list[i].gfn - FIRST), &page);
		MUST(other && other != of && other->frame + page == frame);
	}
}

static void space_option(struct supply *s)
{
	uint8_t how = take8(s);

	MUST(memslots_set_space_options(
		     ms, how & 1, how & 2 ? MEMSLOT_SPACE_NO_MOVES : 0) == 0);
	m.no_moves[how & 1] = how & 2;
}

/* ---- comparing ------------ */

/* True if it is tracked. */
static bool compare_page(const struct memslot *p, const struct slot *s,
	unsigned space, unsigned page)
{
	unsigned gfn = s->gfn + page;
	bool any = s->page[page].follow || m.count[S][space][gfn] ||
		   m.count[R][space][gfn];

	MUST(memslot_page_dirty(p, FIRST + gfn) == s->page[page].dirty);
	MUST(!memslot_large_ok(p, FIRST + gfn));
	MUST(memslot_page_tracked(p, FIRST + gfn) == any);
	/* How many pages a node has is compared elsewhere. */
	for (unsigned n = 0; any && n < NODES; n++)
		MUST(pagetrack_tracks(node[n], space, FIRST + gfn) ==
			(adds(n, space, gfn) != 0));
	return any;
}

static void compare_slot(unsigned space, unsigned id)
{
	const struct slot *s = &m.slot[space][id];
	const struct memslot *p = memslot_by_id(&reader, space, id);
	unsigned tracked = 0;

	MUST((p != NULL) == s->there);
	if (!p)
		return;
	MUST(p->base_gfn == FIRST + s->gfn && p->size_pages == s->pages);
	MUST(p->space == space && p->id == id && p->flags == s->flags);
	MUST(p->host == host + s->frame * MEMSLOT_PAGE_SIZE);
	MUST(!memslot_is_invalid(p));
	for (unsigned i = 0; i < s->pages; i++)
		tracked += compare_page(p, s, space, i);
	for (gfn_t at = p->base_gfn; memslot_next_tracked(p, &at); at++)
		tracked--;
	MUST(tracked == 0);
}

static void compare_addresses(unsigned space)
{
	const struct memslot *s;
	unsigned page, seen = 0, there = 0;
	gfn_t last = 0;

	for (unsigned gfn = 0; gfn < GFNS; gfn += 3) {
		const struct slot *o = owner(&m, space, gfn, &page);

		s = memslot_lookup(&reader, space, FIRST + gfn);
		MUST((s != NULL) == (o != NULL));
		if (s)
			MUST(s->id == (unsigned)(o - m.slot[space]));
	}
	for (unsigned id = 0; id < IDS; id++)
		there += m.slot[space][id].there;
	while ((s = memslot_next(&reader, space, last))) {
		MUST(s->base_gfn >= last && s->space == space);
		last = s->base_gfn + s->size_pages;
		seen++;
	}
	MUST(seen == there);
}

static void compare_host(unsigned frame)
{
	const uint8_t *at = host + frame * MEMSLOT_PAGE_SIZE + 17;
	const struct memslot *s = NULL, *before;
	unsigned seen = 0, there = 0;

	for (unsigned i = 0; i < SPACES * IDS; i++) {
		const struct slot *o = &m.slot[i / IDS][i % IDS];

		there += o->there && frame - o->frame < o->pages;
	}
	while (before = s, (s = memslot_by_host(&reader, at, s))) {
		MUST(at - s->host < (ptrdiff_t)(s->size_pages << 12));
		MUST(at >= s->host && seen++ < there);
		if (before)
			MUST(before->host < s->host ||
				(before->host == s->host &&
					before->space * 32768u + before->id <
						s->space * 32768u + s->id));
	}
	MUST(seen == there);
}

static void compare(void)
{
	uint64_t pages[NODES] = {0};

	for (unsigned i = 0; i < SPACES * IDS; i++) {
		const struct slot *s = &m.slot[i / IDS][i % IDS];

		for (unsigned p = 0; s->there && p < s->pages; p++)
			pages[F] += s->page[p].follow != 0;
	}
	/* Where there is no slot, these are 0. */
	for (unsigned i = 0; i < SPACES * GFNS; i++) {
		pages[S] += m.count[S][i / GFNS][i % GFNS] != 0;
		pages[R] += m.count[R][i / GFNS][i % GFNS] != 0;
	}
	for (unsigned n = 0; n < NODES; n++)
		MUST(pagetrack_size_pages(node[n]) == pages[n]);
	memslot_enter(&reader);
	for (unsigned space = 0; space < SPACES; space++) {
		compare_addresses(space);
		for (unsigned id = 0; id < IDS; id++)
			compare_slot(space, id);
	}
	for (unsigned frame = 0; frame < FRAMES; frame += 31)
		compare_host(frame);
	memslot_leave(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static void (*const steps[])(struct supply * s) = {transaction,
		transaction, transaction, transaction, write_page, write_page,
		track, track, take_harvest, take_harvest, node_again,
		space_option, populate, ask};
	struct supply s = {bytes, len};

	bed_open();
	for (unsigned n = 0; s.left && n < 60; n++) {
		steps[take8(&s) % (sizeof(steps) / sizeof(steps[0]))](&s);
		faults_off();
		/* An undo that fails is the end of this machine. */
		if (memslots_broken(ms))
			break;
		compare();
	}
	bed_close();
	return 0;
}
