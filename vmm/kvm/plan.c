/* SPDX-License-Identifier: MIT */
/*
 * plan.c - from some kernel slots to others, with the fewest ioctls
 *
 * A new slot that is an old one at the same place costs nothing, or a change
 * of flags. One with the memory of an old one that is not needed any more
 * where it was is that one moved: one ioctl instead of two. What is left is
 * deleted and created. (Size, memory and read-only cannot be changed: api.rst
 * 4.35.)
 *
 * Everything is deleted first and created last. In between moves wait for
 * each other's places to become free; where they wait in a ring, as when two
 * slots change places, one of them is deleted and created again.
 */
#include "vmm/kvm/project.h"

#include <stdlib.h>

#define NO_MATE SIZE_MAX

/* ---- memory ------------------------------------------------------------------------ */

/* Hand out the next `size` bytes of the block. */
static void *carve(char **at, size_t size)
{
	void *p = *at;

	*at += (size + 15) & ~(size_t)15;
	return p;
}

/* One block: a plan of one step should cost one allocation. */
struct plan *plan_new(size_t olds, size_t news)
{
	struct plan *p;
	size_t size =
		sizeof(*p) + 8 * 16 +
		olds * (sizeof(*p->old) + sizeof(*p->mate) +
			       sizeof(*p->source) + sizeof(*p->pending)) +
		news * (sizeof(*p->new) + sizeof(*p->id) + sizeof(*p->order)) +
		(olds + news) * sizeof(*p->step);
	char *at = calloc(1, size);

	if (!at)
		return NULL;
	p = carve(&at, sizeof(*p));
	p->olds = olds;
	p->news = news;
	p->old = carve(&at, olds * sizeof(*p->old));
	p->mate = carve(&at, olds * sizeof(*p->mate));
	p->source = carve(&at, olds * sizeof(*p->source));
	p->pending = carve(&at, olds * sizeof(*p->pending));
	p->new = carve(&at, news * sizeof(*p->new));
	p->id = carve(&at, news * sizeof(*p->id));
	p->order = carve(&at, news * sizeof(*p->order));
	p->step = carve(&at, (olds + news) * sizeof(*p->step));
	return p;
}

void plan_free(struct plan *p)
{
	free(p);
}

/* ---- who becomes whom ---------------------------------------------------------------- */

static int compare(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

/* Equal for slots that one ioctl can turn into each other. */
static int compare_memory(const struct piece *a, const struct piece *b)
{
	int r = compare((uintptr_t)a->host, (uintptr_t)b->host);

	if (!r)
		r = compare(a->pages, b->pages);
	if (!r)
		r = compare(
			a->flags & PIECE_READONLY, b->flags & PIECE_READONLY);
	return r;
}

static int compare_pieces(const struct piece *a, const struct piece *b)
{
	int r = compare_memory(a, b);

	return r ? r : compare(a->gfn, b->gfn);
}

static int compare_old(const void *a, const void *b)
{
	return compare_pieces(&((const struct plan_old *)a)->p,
		&((const struct plan_old *)b)->p);
}

static int compare_new(const void *a, const void *b, void *ctx)
{
	const struct piece *new = ctx;

	return compare_pieces(
		&new[*(const size_t *)a], &new[*(const size_t *)b]);
}

/* A heap sort: not all C libraries have qsort_r(), and a chain is no worse. */
static void sift(size_t *a, size_t at, size_t count,
	int (*cmp)(const void *, const void *, void *), void *ctx)
{
	for (;;) {
		size_t child = 2 * at + 1, t = a[at];

		if (child >= count)
			return;
		if (child + 1 < count && cmp(&a[child], &a[child + 1], ctx) < 0)
			child++;
		if (cmp(&a[at], &a[child], ctx) >= 0)
			return;
		a[at] = a[child];
		a[child] = t;
		at = child;
	}
}

static void sort(size_t *a, size_t count,
	int (*cmp)(const void *, const void *, void *), void *ctx)
{
	for (size_t i = count / 2; i > 0; i--)
		sift(a, i - 1, count, cmp, ctx);
	for (size_t left = count; left > 1; left--) {
		size_t t = a[0];

		a[0] = a[left - 1];
		a[left - 1] = t;
		sift(a, 0, left - 1, cmp, ctx);
	}
}

static void marry(struct plan *p, size_t old, size_t new)
{
	p->mate[old] = new;
	p->id[new] = p->old[old].id;
}

/* Both are sorted: walk along them, one memory after the other. */
static void marry_in_place(struct plan *p)
{
	size_t o = 0, n = 0;

	while (o < p->olds && n < p->news) {
		size_t new = p->order[n];
		int c = compare_pieces(&p->old[o].p, &p->new[new]);

		if (c == 0)
			marry(p, o, new);
		o += c <= 0;
		n += c >= 0;
	}
}

static void marry_by_memory(struct plan *p)
{
	size_t o = 0, n = 0;

	while (o < p->olds && n < p->news) {
		size_t new = p->order[n];
		int c;

		if (p->mate[o] != NO_MATE) {
			o++;
			continue;
		}
		if (p->id[new] != PLAN_NO_ID) {
			n++;
			continue;
		}
		c = compare_memory(&p->old[o].p, &p->new[new]);
		if (c == 0)
			marry(p, o, new);
		o += c <= 0;
		n += c >= 0;
	}
}

/* ---- steps --------------------------------------------------------------------------- */

static void add_step(
	struct plan *p, enum step_kind kind, size_t old, size_t new)
{
	struct step *s = &p->step[p->steps++];

	s->kind = kind;
	s->id = PLAN_NO_ID;
	s->target = new;
	if (kind != STEP_CREATE) {
		s->from = p->old[old].p;
		s->id = p->old[old].id;
	}
	if (kind != STEP_DELETE)
		s->to = p->new[new];
}

static bool moves(const struct plan *p, size_t old)
{
	return p->mate[old] != NO_MATE &&
	       p->old[old].p.gfn != p->new[p->mate[old]].gfn;
}

static int compare_source(const void *a, const void *b, void *ctx)
{
	const struct plan_old *old = ctx;

	return compare(
		old[*(const size_t *)a].p.gfn, old[*(const size_t *)b].p.gfn);
}

/* Is the place that `old` moves to taken by one that has yet to move? */
static bool blocked(const struct plan *p, size_t old, size_t count)
{
	const struct piece *to = &p->new[p->mate[old]];
	size_t low = 0, high = count;

	/* the first that ends after `to` begins; they do not overlap */
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct piece *from = &p->old[p->source[mid]].p;

		if (from->gfn + from->pages <= to->gfn)
			low = mid + 1;
		else
			high = mid;
	}
	for (; low < count; low++) {
		size_t other = p->source[low];

		if (p->old[other].p.gfn >= to->gfn + to->pages)
			return false;
		if (other != old && p->pending[other])
			return true;
	}
	return false;
}

/* One pass over the moves that wait, upwards or downwards; how many moved. */
static size_t move_some(struct plan *p, size_t count, bool down)
{
	size_t moved = 0;

	for (size_t i = 0; i < count; i++) {
		size_t old = p->source[down ? count - 1 - i : i];

		if (!p->pending[old] || blocked(p, old, count))
			continue;
		add_step(p, STEP_MOVE, old, p->mate[old]);
		p->pending[old] = false;
		moved++;
	}
	return moved;
}

/* A ring: the first of it makes room, and is created at the end. */
static void break_ring(struct plan *p, size_t count)
{
	size_t i = 0, old;

	while (i < count && !p->pending[p->source[i]])
		i++;
	old = p->source[i];
	add_step(p, STEP_DELETE, old, 0);
	p->pending[old] = false;
	p->id[p->mate[old]] = PLAN_NO_ID;
}

/*
 * Slots that move by their own size, one behind the other, wait for each
 * other in one direction: going both ways in turn keeps that from being
 * quadratic.
 */
static void add_moves(struct plan *p)
{
	size_t count = 0, left;
	bool down = false;

	for (size_t o = 0; o < p->olds; o++) {
		p->pending[o] = moves(p, o);
		if (p->pending[o])
			p->source[count++] = o;
	}
	sort(p->source, count, compare_source, p->old);
	for (left = count; left > 0; down = !down) {
		size_t moved = move_some(p, count, down);

		if (!moved)
			moved = move_some(p, count, !down);
		if (!moved) {
			break_ring(p, count);
			moved = 1;
		}
		left -= moved;
	}
}

void plan_steps(struct plan *p)
{
	qsort(p->old, p->olds, sizeof(*p->old), compare_old);
	for (size_t o = 0; o < p->olds; o++)
		p->mate[o] = NO_MATE;
	for (size_t n = 0; n < p->news; n++) {
		p->order[n] = n;
		p->id[n] = PLAN_NO_ID;
	}
	sort(p->order, p->news, compare_new, p->new);
	marry_in_place(p);
	marry_by_memory(p);
	for (size_t o = 0; o < p->olds; o++)
		if (p->mate[o] == NO_MATE)
			add_step(p, STEP_DELETE, o, 0);
	add_moves(p);
	for (size_t o = 0; o < p->olds; o++)
		if (p->mate[o] != NO_MATE && !moves(p, o) &&
			p->old[o].p.flags != p->new[p->mate[o]].flags)
			add_step(p, STEP_FLAGS, o, p->mate[o]);
	for (size_t n = 0; n < p->news; n++)
		if (p->id[n] == PLAN_NO_ID)
			add_step(p, STEP_CREATE, 0, n);
}

/* ---- must CPUs wait? -------------------------------------------------------------------- */

static bool overlap(const struct piece *a, const struct piece *b)
{
	return a->gfn < b->gfn + b->pages && b->gfn < a->gfn + a->pages;
}

/*
 * One ioctl is atomic to a vCPU, with two exceptions. While the kernel moves
 * a slot, an access that it emulates finds no memory at either place, which
 * would be an MMIO exit for pages that both places have. And a read-only slot
 * hands over writes, which must find the slot published.
 * Dirty bits are read before their slot is changed: no write may come between.
 */
bool plan_pauses(const struct plan *p)
{
	const struct step *s = &p->step[0];

	for (size_t o = 0; o < p->olds; o++)
		if (p->old[o].forget_log && (p->old[o].p.flags & PIECE_LOG))
			return true;
	if (p->steps != 1)
		return p->steps > 1;
	if ((s->from.flags | s->to.flags) & PIECE_READONLY)
		return true;
	if ((s->from.flags & PIECE_LOG) && !(s->to.flags & PIECE_LOG))
		return true;
	return s->kind == STEP_MOVE && overlap(&s->from, &s->to);
}
