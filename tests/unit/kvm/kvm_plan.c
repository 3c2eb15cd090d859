/* SPDX-License-Identifier: MIT */
/*
 * kvm_plan.c - kernel slots as a projection, without a kernel
 *
 *	kvm_plan [ROUNDS [SEED]]
 *
 * Random logical slots with random tracked pages are projected, and the plan
 * from one projection to another is carried out on a model of the kernel,
 * which refuses what the kernel refuses (api.rst 4.35). Laws:
 *
 *   projection  the pieces cover exactly the slot, in order, with its memory;
 *               a page is in a read-only piece if and only if it is tracked,
 *               or the slot is read-only; no piece passes a cut or is longer
 *               than needed; a part between cuts is projected like the whole
 *   plan        no step is refused; the end is the target; undone after any
 *               number of steps, the start is as it was
 *   fewest      no plan is longer than deleting what is not in the target
 *               and creating what is not in the start; a move is one step
 */
#include "tests/unit/slots.h"
#include "vmm/kvm/kvm.h"
#include "vmm/kvm/project.h"

#define SLOTS   6u
#define TRACKED 12u
#define HOSTS   8u
#define IDS     4096u

/* Slots are some pages long, or some cuts. */
#define HOST_BASE ((uint8_t *)0x7f0000000000)

struct world {
	unsigned slots;
	struct piece slot[SLOTS];
	size_t tracked;
	gfn_t page[SLOTS * TRACKED];
};

static uint64_t rng;

/* ---- worlds -------------------------------------------------------------------------- */

static bool overlaps(const struct world *w, gfn_t gfn, uint64_t pages)
{
	for (unsigned i = 0; i < w->slots; i++)
		if (gfn < w->slot[i].gfn + w->slot[i].pages &&
			w->slot[i].gfn < gfn + pages)
			return true;
	return false;
}

static uint64_t random_pages(void)
{
	return rng_below(&rng, 4) ? 1 + rng_below(&rng, 24)
				  : 1 + rng_below(&rng, 4 * KVM_SLOT_PAGES);
}

static int by_gfn(const void *a, const void *b)
{
	gfn_t x = *(const gfn_t *)a, y = *(const gfn_t *)b;

	return x < y ? -1 : x > y;
}

static void track_some(struct world *w, const struct piece *s)
{
	unsigned count = (unsigned)rng_below(&rng, TRACKED);
	gfn_t gfn = s->gfn + rng_below(&rng, s->pages);

	for (unsigned i = 0; i < count; i++) {
		w->page[w->tracked++] = gfn;
		/* neighbours, and the same twice */
		gfn = rng_below(&rng, 3) ? gfn + rng_below(&rng, 2)
					 : s->gfn + rng_below(&rng, s->pages);
		if (gfn >= s->gfn + s->pages)
			gfn = s->gfn;
	}
}

/* Memory is one of a few places, so that slots have the same as before. */
static void add_slot(struct world *w)
{
	struct piece *s = &w->slot[w->slots];
	static uint64_t sizes[HOSTS];
	unsigned host = (unsigned)rng_below(&rng, HOSTS);
	gfn_t gfn = rng_below(&rng, 2) ? rng_below(&rng, 64)
				       : rng_below(&rng, 8 * KVM_SLOT_PAGES);

	if (!sizes[host] || rng_below(&rng, 3) == 0)
		sizes[host] = random_pages();
	if (overlaps(w, gfn, sizes[host]))
		return;
	*s = (struct piece){
		.gfn = gfn,
		.pages = sizes[host],
		.host = HOST_BASE + (host * 8 * KVM_SLOT_PAGES + host * 3) *
					    MEMSLOT_PAGE_SIZE,
		.flags = (uint32_t)rng_below(&rng, 4),
	};
	w->slots++;
	track_some(w, s);
}

static void make_world(struct world *w)
{
	memset(w, 0, sizeof(*w));
	for (unsigned i = 0; i < SLOTS; i++)
		add_slot(w);
	qsort(w->page, w->tracked, sizeof(w->page[0]), by_gfn);
}

static bool is_tracked(const struct world *w, gfn_t gfn)
{
	return bsearch(&gfn, w->page, w->tracked, sizeof(gfn), by_gfn) != NULL;
}

/* ---- projection ----------------------------------------------------------------------- */

static bool at_cut(const struct piece *l, const uint8_t *host)
{
	return l->pages > KVM_SLOT_PAGES &&
	       (uintptr_t)host / MEMSLOT_PAGE_SIZE % KVM_SLOT_PAGES == 0;
}

static void check_piece(const struct world *w, const struct piece *l,
	const struct piece *p, const struct piece *next)
{
	bool readonly = p->flags & PIECE_READONLY;
	bool log = (l->flags & MEMSLOT_LOG_DIRTY) && !readonly;

	CHECK(p->pages > 0 && p->pages <= KVM_SLOT_PAGES);
	CHECK(p->host == l->host + (p->gfn - l->gfn) * MEMSLOT_PAGE_SIZE);
	CHECK_EQ(!!(p->flags & PIECE_LOG), log);
	for (gfn_t gfn = p->gfn; gfn < p->gfn + p->pages; gfn++) {
		bool want = (l->flags & MEMSLOT_READONLY) || is_tracked(w, gfn);

		if (want != readonly) {
			CHECK(!"read-only is what is tracked");
			return;
		}
		if (gfn > p->gfn &&
			at_cut(l, l->host + (gfn - l->gfn) * MEMSLOT_PAGE_SIZE))
			CHECK(!"no piece passes a cut");
	}
	/* neighbours differ, or there is a cut between them */
	CHECK(!next || next->flags != p->flags || at_cut(l, next->host));
}

static void check_projection(const struct world *w, const struct piece *l)
{
	static struct piece p[4096];
	size_t n = project(l, w->page, w->tracked, NULL);
	gfn_t gfn = l->gfn;

	if (!CHECK(n <= 4096) ||
		!CHECK_EQ(project(l, w->page, w->tracked, p), n))
		return;
	for (size_t i = 0; i < n; i++) {
		CHECK_EQ(p[i].gfn, gfn);
		gfn += p[i].pages;
		check_piece(w, l, &p[i], i + 1 < n ? &p[i + 1] : NULL);
	}
	CHECK_EQ(gfn, l->gfn + l->pages);
}

/* What is projected for a part between cuts is a part of the projection. */
static void check_part(const struct world *w, const struct piece *l)
{
	static struct piece all[4096], part[4096];
	gfn_t lo = l->gfn + rng_below(&rng, l->pages);
	gfn_t hi = lo + 1 + rng_below(&rng, l->gfn + l->pages - lo);
	size_t n = project(l, w->page, w->tracked, all), m, first = 0;
	struct piece between;
	gfn_t gfn = lo, end = hi;

	project_widen(l, &gfn, &end);
	CHECK(gfn <= lo && end >= hi && gfn >= l->gfn);
	CHECK(end <= l->gfn + l->pages);
	between = (struct piece){gfn, end - gfn,
		l->host + (gfn - l->gfn) * MEMSLOT_PAGE_SIZE, l->flags};
	m = project(&between, w->page, w->tracked, part);
	while (first < n && all[first].gfn < gfn)
		first++;
	if (CHECK(first + m <= n))
		CHECK(memcmp(&all[first], part, m * sizeof(part[0])) == 0);
	CHECK(first + m == n || all[first + m].gfn == end);
}

/* ---- a model of the kernel -------------------------------------------------------------- */

struct kernel {
	struct piece slot[IDS]; /* pages 0: none */
	unsigned used;          /* ids from here on were never used */
};

/* The rules of one KVM_SET_USER_MEMORY_REGION; false: it is refused. */
static bool set_region(
	struct kernel *k, uint32_t id, const struct piece *p, bool delete)
{
	struct piece *old = &k->slot[id];

	if (id >= IDS)
		return false;
	if (id >= k->used)
		k->used = id + 1;
	if (delete) {
		bool there = old->pages != 0;

		old->pages = 0;
		return there;
	}
	if (old->pages && (old->pages != p->pages || old->host != p->host ||
				  (old->flags ^ p->flags) & PIECE_READONLY))
		return false;
	for (uint32_t i = 0; i < k->used; i++)
		if (i != id && k->slot[i].pages &&
			p->gfn < k->slot[i].gfn + k->slot[i].pages &&
			k->slot[i].gfn < p->gfn + p->pages)
			return false;
	*old = *p;
	return true;
}

static uint32_t free_id(const struct kernel *k)
{
	uint32_t id = 0;

	while (id < k->used && k->slot[id].pages)
		id++;
	return id;
}

static bool take(struct kernel *k, struct step *s)
{
	if (s->kind == STEP_CREATE) {
		s->id = free_id(k);
		return set_region(k, s->id, &s->to, false);
	}
	if (memcmp(&k->slot[s->id], &s->from, sizeof(s->from)))
		return false;
	return set_region(k, s->id, &s->to, s->kind == STEP_DELETE);
}

static bool take_back(struct kernel *k, const struct step *s)
{
	if (s->kind == STEP_CREATE)
		return set_region(k, s->id, &s->to, true);
	return set_region(k, s->id, &s->from, false);
}

/* ---- plans ------------------------------------------------------------------------------- */

static size_t project_all(const struct world *w, struct piece *out)
{
	size_t n = 0;

	for (unsigned i = 0; i < w->slots; i++)
		n += project(
			&w->slot[i], w->page, w->tracked, out ? out + n : NULL);
	return n;
}

static void fill_kernel(struct kernel *k, struct plan *p,
	const struct piece *olds, size_t count)
{
	memset(k, 0, sizeof(*k));
	for (size_t i = 0; i < count; i++) {
		uint32_t id = (uint32_t)(count - i);

		CHECK(set_region(k, id, &olds[i], false));
		p->old[i] = (struct plan_old){.p = olds[i], .id = id};
	}
}

static bool in_kernel(const struct kernel *k, const struct piece *p)
{
	for (uint32_t i = 0; i < k->used; i++)
		if (!memcmp(&k->slot[i], p, sizeof(*p)))
			return true;
	return false;
}

static size_t count_slots(const struct kernel *k)
{
	size_t n = 0;

	for (uint32_t i = 0; i < k->used; i++)
		n += k->slot[i].pages != 0;
	return n;
}

static size_t missing(
	const struct piece *a, size_t as, const struct piece *b, size_t bs)
{
	size_t n = 0;

	for (size_t i = 0; i < as; i++) {
		size_t j = 0;

		while (j < bs && memcmp(&a[i], &b[j], sizeof(a[i])))
			j++;
		n += j == bs;
	}
	return n;
}

static bool same_slots(const struct kernel *a, const struct kernel *b)
{
	for (uint32_t i = 0; i < IDS; i++)
		if (a->slot[i].pages != b->slot[i].pages ||
			(a->slot[i].pages && memcmp(&a->slot[i], &b->slot[i],
						     sizeof(a->slot[i]))))
			return false;
	return true;
}

static void check_undo(struct kernel *k, struct plan *p, size_t steps,
	const struct kernel *before)
{
	for (size_t i = 0; i < steps; i++)
		CHECK(take(k, &p->step[i]));
	for (size_t i = steps; i > 0; i--)
		CHECK(take_back(k, &p->step[i - 1]));
	CHECK(same_slots(k, before));
}

static unsigned long steps_seen, moves_seen;

static void check_plan(const struct world *from, const struct world *to)
{
	static struct kernel k, before;
	static struct piece old[4096];
	size_t olds = project_all(from, old), news = project_all(to, NULL);
	struct plan *p = plan_new(olds, news);

	if (!CHECK(p != NULL) || !CHECK(olds < IDS / 2 && news < IDS / 2))
		return;
	project_all(to, p->new);
	fill_kernel(&k, p, old, olds);
	before = k;
	plan_steps(p);
	CHECK(p->steps <= missing(old, olds, p->new, news) +
				  missing(p->new, news, old, olds));
	check_undo(&k, p, rng_below(&rng, p->steps + 1), &before);
	for (size_t i = 0; i < p->steps; i++) {
		CHECK(take(&k, &p->step[i]));
		moves_seen += p->step[i].kind == STEP_MOVE;
	}
	steps_seen += p->steps;
	CHECK_EQ(count_slots(&k), news);
	for (size_t i = 0; i < news; i++) {
		CHECK(in_kernel(&k, &p->new[i]));
		if (p->id[i] != PLAN_NO_ID)
			CHECK(!memcmp(&k.slot[p->id[i]], &p->new[i],
				sizeof(p->new[i])));
	}
	plan_free(p);
}

/* ---- by hand ------------------------------------------------------------------------------- */

static struct plan *plan_of(const struct piece *old, size_t olds,
	const struct piece *new, size_t news)
{
	struct plan *p = plan_new(olds, news);

	for (size_t i = 0; i < olds; i++)
		p->old[i] = (struct plan_old){.p = old[i], .id = (uint32_t)i};
	if (news)
		memcpy(p->new, new, news * sizeof(*new));
	plan_steps(p);
	return p;
}

static void one(const struct piece *old, const struct piece *new,
	enum step_kind kind, bool pauses)
{
	struct plan *p = plan_of(old, old != NULL, new, new != NULL);

	CHECK_EQ(p->steps, 1);
	CHECK_EQ(p->step[0].kind, kind);
	CHECK_EQ(plan_pauses(p), pauses);
	plan_free(p);
}

/* One ioctl where one does it, and who notices. */
static void test_single(void)
{
	const struct piece a = {0x100, 16, HOST_BASE, 0};
	struct piece b = a, r = a, l = a;

	one(NULL, &a, STEP_CREATE, false);
	one(&a, NULL, STEP_DELETE, false);
	b.gfn = 0x200;
	one(&a, &b, STEP_MOVE, false);
	b.gfn = 0x10f; /* one page of both */
	one(&a, &b, STEP_MOVE, true);
	l.flags = PIECE_LOG;
	one(&a, &l, STEP_FLAGS, false);
	one(&l, &a, STEP_FLAGS, true); /* its log is read first */
	one(&l, NULL, STEP_DELETE, true);
	r.flags = PIECE_READONLY;
	one(NULL, &r, STEP_CREATE, true); /* writes must find it published */
}

/* 1,000 slots in a row, each to where the next was: no ring, so no detour. */
static void test_chain(bool down)
{
	static struct piece old[1000], new[1000];
	struct plan *p;
	size_t in_order = 0;

	for (unsigned i = 0; i < 1000; i++) {
		old[i] = new[i] = (struct piece){
			1000 + i, 1, HOST_BASE + i * 2 * MEMSLOT_PAGE_SIZE, 0};
		new[i].gfn += down ? (gfn_t)-1 : 1;
	}
	p = plan_of(old, 1000, new, 1000);
	CHECK_EQ(p->steps, 1000);
	for (size_t i = 0; i < p->steps; i++)
		in_order += p->step[i].kind == STEP_MOVE;
	CHECK_EQ(in_order, 1000);
	plan_free(p);
}

/* Two change places: a delete, a move, a create. */
static void test_ring(void)
{
	struct piece old[2] = {{0x100, 16, HOST_BASE, 0},
		{0x200, 16, HOST_BASE + 0x100000, 0}};
	struct piece new[2] = {old[0], old[1]};
	struct plan *p;

	new[0].gfn = old[1].gfn;
	new[1].gfn = old[0].gfn;
	p = plan_of(old, 2, new, 2);
	CHECK_EQ(p->steps, 3);
	CHECK_EQ(p->step[0].kind, STEP_DELETE);
	CHECK_EQ(p->step[1].kind, STEP_MOVE);
	CHECK_EQ(p->step[2].kind, STEP_CREATE);
	plan_free(p);
}

/* The choice of granularity: a page of 4 GiB re-creates 64 MiB at most. */
static void test_granularity(void)
{
	struct piece l = {0x100000, 4ul << 18, HOST_BASE, 0};
	const gfn_t page = 0x12345f;
	static struct piece old[128], new[128];
	size_t olds = project(&l, NULL, 0, old);
	size_t news = project(&l, &page, 1, new);
	struct plan *p = plan_of(old, olds, new, news);
	uint64_t pages = 0;

	CHECK_EQ(olds, 64);
	CHECK_EQ(news, 66);
	CHECK_EQ(p->steps, 4);
	for (size_t i = 0; i < p->steps; i++)
		if (p->step[i].kind == STEP_CREATE)
			pages += p->step[i].to.pages;
	CHECK_EQ(pages, KVM_SLOT_PAGES);
	plan_free(p);
}

int main(int argc, char **argv)
{
	unsigned long rounds = argc > 1 ? strtoul(argv[1], NULL, 0) : 3000;
	struct world w[2];

	rng = argc > 2 ? strtoull(argv[2], NULL, 0) : 4;
	printf("seed %llu\n", (unsigned long long)rng);
	test_single();
	test_chain(false);
	test_chain(true);
	test_ring();
	test_granularity();
	make_world(&w[1]);
	for (unsigned long n = 0; n < rounds; n++) {
		struct world *to = &w[n % 2];

		make_world(to);
		for (unsigned i = 0; i < to->slots; i++) {
			check_projection(to, &to->slot[i]);
			check_part(to, &to->slot[i]);
		}
		check_plan(&w[(n + 1) % 2], to);
	}
	printf("%lu steps, %lu of them moves\n", steps_seen, moves_seen);
	return TEST_END("kvm-plan");
}
