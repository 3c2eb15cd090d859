/* SPDX-License-Identifier: MIT */
/*
 * queue.c - a bounded queue between writers and a node that may be slow
 *
 * A ring of bytes that holds whole records: a header, then the bytes. A
 * record that would cross the end of the ring starts at its beginning, and a
 * header of length 0 says so. Writers are outside any section and hold no
 * lock when they get here, so one that waits for room holds nobody up but
 * itself.
 */
#include "pagetrack/internal.h"

/* Room for the largest record, a page and its old bytes, wherever it is. */
#define QUEUE_MIN ((size_t)32 << 10)
#define QUEUE_MAX ((size_t)1 << 30)

struct record {
	size_t size; /* with the header, rounded up; 0: go to the start */
	gpa_t gpa;
	size_t len;
	unsigned space;
	bool has_old;
	struct pagetrack_source source;
	/* len bytes, and if has_old as many again */
};

struct queue {
	struct memslot_lock lock;
	enum pagetrack_full full;
	bool closed;
	_Atomic(uint32_t) room;    /* bumped when there is more of it */
	_Atomic(uint32_t) arrived; /* bumped when there is more to pump */
	size_t size, head, tail;   /* head == tail: empty */
	uint64_t dropped;
	uint8_t *bytes;
};

static size_t record_size(const struct pagetrack_write *w)
{
	size_t n = sizeof(struct record) + w->len * (w->old ? 2 : 1);

	return (n + 15) & ~(size_t)15;
}

/*
 * Where `need` bytes in a row are free, or SIZE_MAX. One more byte than need
 * stays free, so that full is not mistaken for empty.
 */
static size_t find_room(struct queue *q, size_t need)
{
	struct record *wrap;

	if (q->tail >= q->head) {
		if (q->size - q->tail > need)
			return q->tail;
		if (q->head <= need)
			return SIZE_MAX;
		wrap = (struct record *)(void *)(q->bytes + q->tail);
		wrap->size = 0;
		return 0;
	}
	return q->head - q->tail > need ? q->tail : SIZE_MAX;
}

static void put(struct queue *q, size_t at, const struct pagetrack_write *w)
{
	struct record *r = (struct record *)(void *)(q->bytes + at);

	r->size = record_size(w);
	r->gpa = w->gpa;
	r->len = w->len;
	r->space = w->space;
	r->source = w->source;
	r->has_old = w->old != NULL;
	memcpy(r + 1, w->bytes, w->len);
	if (w->old)
		memcpy((uint8_t *)(r + 1) + w->len, w->old, w->len);
	q->tail = at + r->size;
}

void queue_put(struct pagetrack_node *node, const struct pagetrack_write *w)
{
	const struct memslot_platform *pf = node->pt->pf;
	struct queue *q = node->queue;
	/* A header must always fit behind the tail: find_room() writes one. */
	size_t need = record_size(w) + sizeof(struct record), at;

	memslot_lock(&q->lock, pf);
	while ((at = find_room(q, need)) == SIZE_MAX &&
		q->full == PAGETRACK_BLOCK && !q->closed) {
		uint32_t seen = atomic_load(&q->room);

		memslot_unlock(&q->lock, pf);
		pf->wait(pf->ctx, &q->room, seen);
		memslot_lock(&q->lock, pf);
	}
	if (at != SIZE_MAX)
		put(q, at, w);
	else
		q->dropped++;
	memslot_unlock(&q->lock, pf);
	if (at != SIZE_MAX) {
		atomic_fetch_add(&q->arrived, 1);
		pf->wake(pf->ctx, &q->arrived);
	}
}

/* The oldest record, or NULL. With the lock. */
static struct record *oldest(struct queue *q)
{
	struct record *r = (struct record *)(void *)(q->bytes + q->head);

	if (q->head == q->tail)
		return NULL;
	if (r->size == 0) {
		q->head = 0;
		r = (struct record *)(void *)q->bytes;
	}
	return q->head == q->tail ? NULL : r;
}

uint64_t pagetrack_pump(struct pagetrack_node *node)
{
	const struct memslot_platform *pf = node->pt->pf;
	struct queue *q = node->queue;
	struct record *r;
	uint64_t n = 0;

	if (!q)
		return 0;
	memslot_lock(&q->lock, pf);
	while ((r = oldest(q))) {
		const uint8_t *bytes = (const uint8_t *)(r + 1);
		const struct pagetrack_write w = {
			.space = r->space,
			.gpa = r->gpa,
			.bytes = bytes,
			.old = r->has_old ? bytes + r->len : NULL,
			.len = r->len,
			.source = r->source,
		};

		/* The record stays in place until head moves on. */
		memslot_unlock(&q->lock, pf);
		node->ops->write(node->ctx, &w);
		memslot_lock(&q->lock, pf);
		q->head += r->size;
		n++;
		atomic_fetch_add(&q->room, 1);
		pf->wake(pf->ctx, &q->room);
	}
	memslot_unlock(&q->lock, pf);
	return n;
}

void pagetrack_pump_wait(struct pagetrack_node *node, _Atomic(uint32_t) *stop)
{
	const struct memslot_platform *pf = node->pt->pf;
	struct queue *q = node->queue;

	while (q && !atomic_load(stop)) {
		uint32_t seen = atomic_load(&q->arrived);
		bool empty;

		memslot_lock(&q->lock, pf);
		empty = oldest(q) == NULL;
		memslot_unlock(&q->lock, pf);
		if (!empty || atomic_load(stop))
			return;
		pf->wait(pf->ctx, &q->arrived, seen);
	}
}

void pagetrack_pump_wake(struct pagetrack_node *node)
{
	const struct memslot_platform *pf = node->pt->pf;

	if (!node->queue)
		return;
	atomic_fetch_add(&node->queue->arrived, 1);
	pf->wake(pf->ctx, &node->queue->arrived);
}

/* ---- life ------------------------------------------------------------------------ */

static struct queue *queue_new(struct pagetrack *pt, size_t size)
{
	struct queue *q;

	if (FAULT(memslots_faults(pt->ms), FAULT_PAGETRACK_QUEUE))
		return NULL;
	q = pt->pf->alloc(pt->pf->ctx, sizeof(*q) + size);
	if (q) {
		q->size = size;
		q->bytes = (uint8_t *)(q + 1);
	}
	return q;
}

int pagetrack_queue(struct pagetrack_node *node, size_t size,
	enum pagetrack_full full, struct memslot_error *err)
{
	struct pagetrack *pt = node->pt;
	struct queue *q;
	bool busy;

	if (size < QUEUE_MIN || size > QUEUE_MAX)
		return memslot_fail(err, -EINVAL,
			"a queue of %zu bytes; %zu to %zu are possible", size,
			QUEUE_MIN, QUEUE_MAX);
	q = queue_new(pt, size & ~(size_t)15);
	if (!q)
		return memslot_fail(err, -ENOMEM,
			"no memory for a queue of %zu bytes", size);
	q->full = full;
	pt_lock(pt);
	busy = node->queue || node->table.pages;
	if (!busy)
		node->queue = q;
	pt_unlock(pt);
	if (!busy)
		return 0;
	pt->pf->free(pt->pf->ctx, q);
	return memslot_fail(err, -EBUSY,
		"node \"%s\" has a queue or tracks pages already",
		node->ops->name);
}

void queue_close(struct pagetrack_node *node)
{
	const struct memslot_platform *pf = node->pt->pf;
	struct queue *q = node->queue;

	if (!q)
		return;
	memslot_lock(&q->lock, pf);
	q->closed = true;
	memslot_unlock(&q->lock, pf);
	atomic_fetch_add(&q->room, 1);
	pf->wake(pf->ctx, &q->room);
}

uint64_t queue_dropped(struct pagetrack_node *node)
{
	struct queue *q = node->queue;
	uint64_t n;

	if (!q)
		return 0;
	memslot_lock(&q->lock, node->pt->pf);
	n = q->dropped;
	memslot_unlock(&q->lock, node->pt->pf);
	return n;
}

void queue_free(struct pagetrack_node *node)
{
	if (node->queue)
		node->pt->pf->free(node->pt->pf->ctx, node->queue);
}
