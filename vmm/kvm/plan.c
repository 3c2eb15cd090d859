/* SPDX-License-Identifier: MIT */
#include "vmm/kvm/plan.h"

#include "vmm/kvm/compat.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/*
 * Where the kernel slots of before and the pieces of after meet: both are
 * sorted by what may not change in a live kernel slot, and then by address.
 */
struct side {
	const struct kslot *slot; /* of `old` */
	struct kslot *want;       /* of `wanted` */
	const struct piece *piece;
	bool matched;
};

struct draft {
	struct side *old, *want;
	unsigned olds, wants;
	struct plan plan;
	/* moves that are not in the plan yet, by where they come from */
	struct step *move;
	unsigned moves;
};

static int fixed_order(const struct piece *a, const struct piece *b)
{
	uint32_t ra = a->flags & KVM_MEM_READONLY;
	uint32_t rb = b->flags & KVM_MEM_READONLY;

	if (a->host != b->host)
		return a->host < b->host ? -1 : 1;
	if (a->pages != b->pages)
		return a->pages < b->pages ? -1 : 1;
	return (ra > rb) - (ra < rb);
}

static int side_order(const void *x, const void *y)
{
	const struct piece *a = ((const struct side *)x)->piece;
	const struct piece *b = ((const struct side *)y)->piece;
	int r = fixed_order(a, b);

	return r ? r : (a->gfn > b->gfn) - (a->gfn < b->gfn);
}

static struct step *put(struct draft *d, enum step_kind kind, unsigned id,
	const struct piece *from, const struct piece *to)
{
	struct step *s = &d->plan.step[d->plan.count++];

	*s = (struct step){.kind = kind, .id = id};
	if (from)
		s->from = *from;
	if (to)
		s->to = *to;
	return s;
}

/* ---- who becomes whom ------------------------------------------------------- */

static void match(struct draft *d, struct side *old, struct side *want)
{
	old->matched = want->matched = true;
	want->want->id = old->slot->id;
	if (old->piece->gfn != want->piece->gfn)
		d->move[d->moves++] = (struct step){.kind = STEP_MOVE,
			.id = old->slot->id,
			.from = *old->piece,
			.to = *want->piece};
}

/* Those of the same memory: first who stays where it is, then the others. */
static void match_group(struct draft *d, struct side *old, unsigned olds,
	struct side *want, unsigned wants)
{
	for (unsigned i = 0, j = 0; i < olds && j < wants;) {
		gfn_t a = old[i].piece->gfn, b = want[j].piece->gfn;

		if (a == b)
			match(d, &old[i], &want[j]);
		i += a <= b;
		j += b <= a;
	}
	for (unsigned i = 0, j = 0; i < olds && j < wants;) {
		if (!old[i].matched && !want[j].matched)
			match(d, &old[i], &want[j]);
		i += old[i].matched;
		j += j < wants && want[j].matched;
	}
}

static unsigned group_end(const struct side *s, unsigned i, unsigned n)
{
	unsigned end = i + 1;

	while (end < n && fixed_order(s[i].piece, s[end].piece) == 0)
		end++;
	return end;
}

static void match_all(struct draft *d)
{
	unsigned i = 0, j = 0;

	while (i < d->olds && j < d->wants) {
		int r = fixed_order(d->old[i].piece, d->want[j].piece);
		unsigned i_end = group_end(d->old, i, d->olds);
		unsigned j_end = group_end(d->want, j, d->wants);

		if (r == 0)
			match_group(d, &d->old[i], i_end - i, &d->want[j],
				j_end - j);
		i = r <= 0 ? i_end : i;
		j = r >= 0 ? j_end : j;
	}
}

/* ---- the order of moves ------------------------------------------------------- */

static int from_order(const void *x, const void *y)
{
	const struct step *a = x, *b = y;

	return (a->from.gfn > b->from.gfn) - (a->from.gfn < b->from.gfn);
}

/* Does somebody who has not moved yet stand where `m` wants to go? */
static bool blocked(const struct draft *d, const struct step *m)
{
	gfn_t first = m->to.gfn, end = first + m->to.pages;
	unsigned lo = 0, hi = d->moves;

	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;
		const struct piece *p = &d->move[mid].from;

		if (p->gfn + p->pages <= first)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < d->moves && d->move[lo].from.gfn < end; lo++)
		if (d->move[lo].kind == STEP_MOVE && &d->move[lo] != m)
			return true;
	return false;
}

/* STEP_CREATE marks a move that is done, or has become a delete. */
static bool try_move(struct draft *d, struct step *m)
{
	if (m->kind != STEP_MOVE || blocked(d, m))
		return false;
	put(d, STEP_MOVE, m->id, &m->from, &m->to);
	m->kind = STEP_CREATE;
	return true;
}

/* Those that go down from the lowest on, those that go up from the highest. */
static bool move_some(struct draft *d)
{
	bool any = false;

	for (unsigned i = 0; i < d->moves; i++)
		if (d->move[i].to.gfn < d->move[i].from.gfn)
			any |= try_move(d, &d->move[i]);
	for (unsigned i = d->moves; i-- > 0;)
		if (d->move[i].to.gfn > d->move[i].from.gfn)
			any |= try_move(d, &d->move[i]);
	return any;
}

/* A circle: one of them steps out and comes back at the end. */
static bool break_circle(struct draft *d)
{
	for (unsigned i = 0; i < d->moves; i++) {
		struct step *m = &d->move[i];

		if (m->kind != STEP_MOVE)
			continue;
		put(d, STEP_DELETE, m->id, &m->from, &m->to);
		m->kind = STEP_DELETE;
		return true;
	}
	return false;
}

static void order_moves(struct draft *d)
{
	qsort(d->move, d->moves, sizeof(*d->move), from_order);
	do
		while (move_some(d))
			;
	while (break_circle(d));
}

/* ---- the whole -------------------------------------------------------------------- */

static void put_all(struct draft *d, const struct kslot *wanted)
{
	for (unsigned i = 0; i < d->olds; i++)
		if (!d->old[i].matched)
			put(d, STEP_DELETE, d->old[i].slot->id, d->old[i].piece,
				NULL);
	order_moves(d);
	for (unsigned i = 0; i < d->moves; i++)
		if (d->move[i].kind == STEP_DELETE)
			put(d, STEP_CREATE, d->move[i].id, NULL,
				&d->move[i].to);
	for (unsigned j = 0; j < d->wants; j++)
		if (!d->want[j].matched)
			put(d, STEP_CREATE, PLAN_NO_ID, NULL, d->want[j].piece)
				->want = (unsigned)(d->want[j].want - wanted);
}

/* Those that stay where they are and are to be logged, or no more. */
static void put_flags(struct draft *d)
{
	unsigned i = 0;

	for (unsigned j = 0; j < d->wants; j++) {
		const struct kslot *want = d->want[j].want;

		while (i < d->olds && side_order(&d->old[i], &d->want[j]) < 0)
			i++;
		if (d->want[j].matched && i < d->olds &&
			d->old[i].slot->id == want->id &&
			d->old[i].piece->gfn == want->piece.gfn &&
			d->old[i].piece->flags != want->piece.flags)
			put(d, STEP_FLAGS, want->id, d->old[i].piece,
				&want->piece);
	}
}

static int draft_init(struct draft *d, const struct kslot *old, unsigned olds,
	struct kslot *wanted, unsigned news)
{
	d->old = calloc(olds + 1u, sizeof(*d->old));
	d->want = calloc(news + 1u, sizeof(*d->want));
	d->move = calloc(olds + 1u, sizeof(*d->move));
	/* Each of before is deleted or changed, each of after created. */
	d->plan.step = calloc((size_t)olds + news + 1, sizeof(*d->plan.step));
	if (!d->old || !d->want || !d->move || !d->plan.step)
		return -ENOMEM;
	for (unsigned i = 0; i < olds; i++)
		d->old[i] =
			(struct side){.slot = &old[i], .piece = &old[i].piece};
	for (unsigned j = 0; j < news; j++) {
		wanted[j].id = PLAN_NO_ID;
		d->want[j] = (struct side){
			.want = &wanted[j], .piece = &wanted[j].piece};
	}
	d->olds = olds;
	d->wants = news;
	qsort(d->old, olds, sizeof(*d->old), side_order);
	qsort(d->want, news, sizeof(*d->want), side_order);
	return 0;
}

int plan_make(const struct kslot *old, unsigned olds, struct kslot *wanted,
	unsigned news, struct plan *out)
{
	struct draft d = {0};
	int r = draft_init(&d, old, olds, wanted, news);

	if (!r) {
		match_all(&d);
		put_all(&d, wanted);
		put_flags(&d);
		*out = d.plan;
	} else {
		free(d.plan.step);
	}
	free(d.old);
	free(d.want);
	free(d.move);
	return r;
}

void plan_free(struct plan *p)
{
	free(p->step);
	*p = (struct plan){NULL, 0};
}

bool plan_needs_pause(const struct plan *p)
{
	const struct step *s = p->step;

	if (p->count != 1)
		return p->count > 1;
	/* Between its two places the kernel has none: */
	return s->kind == STEP_MOVE && s->from.gfn < s->to.gfn + s->to.pages &&
	       s->to.gfn < s->from.gfn + s->from.pages;
}
