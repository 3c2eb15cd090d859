/* SPDX-License-Identifier: MIT */
/*
 * test_track.h - a small world for the tests of pagetrack/
 *
 * A map, a tracker, a reader, a fault plan and some host memory; "ears",
 * nodes that write down what they hear; a "backend", a participant behind
 * the tracker that can refuse; and a picture of all that can be seen from
 * outside, to be compared with a later one.
 *
 * What is heard goes to one log in order, two letters each: the ear's name
 * and what it was (p prepare, c cancel, f flush, k committed, a aborted,
 * w write), as in "Ap Bp Af Bf Ak Bk ".
 */
#ifndef TESTS_UNIT_TEST_TRACK_H
#define TESTS_UNIT_TEST_TRACK_H

#include "pagetrack/pagetrack.h"
#include "tests/unit/test.h"

#include <errno.h>
#include <stdlib.h>

#define PAGE   4096u
#define PAGES  64u /* guest pages a picture shows, per space */
#define SPACES 2u
#define ARENA  ((size_t)4 << 20) /* host memory, 2 MiB aligned */
#define EARS   6u

struct ear;
struct world;

/* A participant behind the tracker. */
struct backend {
	struct memslot_participant part;
	struct world *w;
	int refuse_prepare, refuse_apply; /* what to return; 0: agree */
	void (*act)(struct world *w, char what, const struct memslot_txn *t);
	unsigned flushed, committed, aborted, protects;
	gfn_t protect_gfn;
	uint64_t protect_pages;
	bool protect_tracked; /* was its first page tracked already? */
};

struct world {
	struct memslots *ms;
	struct pagetrack *pt;
	struct memslot_reader r;
	struct fault_plan plan;
	struct memslot_error err;
	uint8_t *mem;
	struct backend backend;
	struct ear *ear[EARS]; /* what a picture asks */
	atomic_flag log_lock;  /* a writer may report while others commit */
	char log[4096];
	size_t log_len;
};

struct ear {
	struct world *w;
	struct pagetrack_node *node;
	char name;
	int refuse; /* what `prepare` returns */
	/* Called from every callback, after it was written down. */
	void (*act)(struct ear *e, char what, const struct pagetrack_write *wr);
	void *act_ctx;
	unsigned prepares, cancels, flushes, commits, aborts, writes;
	uint64_t gone;               /* of the last `committed` */
	struct pagetrack_write last; /* `bytes` points to `bytes` below */
	uint8_t bytes[4096];
};

/* ---- the log ------------------------------------------------------------ */

static inline void log_add(struct world *w, char who, char what)
{
	while (atomic_flag_test_and_set(&w->log_lock))
		;
	if (w->log_len + 4 <= sizeof(w->log)) {
		w->log[w->log_len++] = who;
		w->log[w->log_len++] = what;
		w->log[w->log_len++] = ' ';
		w->log[w->log_len] = '\0';
	}
	atomic_flag_clear(&w->log_lock);
}

static inline void log_clear(struct world *w)
{
	w->log_len = 0;
	w->log[0] = '\0';
}

/* Was exactly this heard since the last call? */
static inline int log_is(
	struct world *w, const char *wanted, const char *file, int line)
{
	int held = test_check(!strcmp(w->log, wanted), wanted, file, line);

	if (!held)
		fprintf(stderr, "%s:%d: heard \"%s\"\n", file, line, w->log);
	log_clear(w);
	return held;
}
#define CHECK_HEARD(w, wanted) log_is((w), (wanted), __FILE__, __LINE__)

/* ---- ears --------------------------------------------------------------- */

static inline int ear_prepare(
	void *ctx, const struct memslot_txn *t, struct memslot_error *err)
{
	struct ear *e = ctx;

	(void)t;
	e->prepares++;
	log_add(e->w, e->name, 'p');
	if (e->act)
		e->act(e, 'p', NULL);
	if (e->refuse) {
		err->code = e->refuse;
		snprintf(err->text, sizeof(err->text), "ear %c says no",
			e->name);
	}
	return e->refuse;
}

static inline void ear_plain(struct ear *e, char what, unsigned *counter)
{
	++*counter;
	log_add(e->w, e->name, what);
	if (e->act)
		e->act(e, what, NULL);
}

static inline void ear_cancel(void *ctx, const struct memslot_txn *t)
{
	struct ear *e = ctx;

	(void)t;
	ear_plain(e, 'c', &e->cancels);
}

static inline void ear_flush(void *ctx, const struct memslot_txn *t)
{
	struct ear *e = ctx;

	(void)t;
	ear_plain(e, 'f', &e->flushes);
}

static inline void ear_committed(
	void *ctx, const struct memslot_txn *t, uint64_t gone_pages)
{
	struct ear *e = ctx;

	(void)t;
	e->gone = gone_pages;
	ear_plain(e, 'k', &e->commits);
}

static inline void ear_aborted(void *ctx, const struct memslot_txn *t)
{
	struct ear *e = ctx;

	(void)t;
	ear_plain(e, 'a', &e->aborts);
}

static inline void ear_write(void *ctx, const struct pagetrack_write *wr)
{
	struct ear *e = ctx;

	e->writes++;
	e->last = *wr;
	memcpy(e->bytes, wr->bytes, wr->len);
	e->last.bytes = e->bytes;
	log_add(e->w, e->name, 'w');
	if (e->act)
		e->act(e, 'w', wr);
}

static const struct pagetrack_ops ear_ops = {
	.name = "ear",
	.prepare = ear_prepare,
	.cancel = ear_cancel,
	.flush = ear_flush,
	.committed = ear_committed,
	.aborted = ear_aborted,
	.write = ear_write,
};

/* Register an ear; the world's list is in order of registration. */
static inline int ear_open(
	struct world *w, struct ear *e, char name, enum pagetrack_policy policy)
{
	int r;

	memset(e, 0, sizeof(*e));
	e->w = w;
	e->name = name;
	r = pagetrack_register(w->pt, &ear_ops, e, policy, &e->node, &w->err);
	for (unsigned i = 0; !r && i < EARS; i++)
		if (!w->ear[i]) {
			w->ear[i] = e;
			break;
		}
	return r;
}

/* Take it from the list: it will unregister, or has. */
static inline void ear_forget(struct ear *e)
{
	struct ear **list = e->w->ear;
	unsigned kept = 0;

	for (unsigned i = 0; i < EARS; i++)
		if (list[i] != e)
			list[kept++] = list[i];
	while (kept < EARS)
		list[kept++] = NULL;
}

static inline void ear_close(struct ear *e)
{
	ear_forget(e);
	pagetrack_unregister(e->node);
	e->node = NULL;
}

/* ---- the backend -------------------------------------------------------- */

static inline int backend_answer(struct backend *b, int code, const char *what,
	struct memslot_error *err)
{
	if (code) {
		err->code = code;
		snprintf(err->text, sizeof(err->text), "backend refused %s",
			what);
	}
	(void)b;
	return code;
}

static inline void backend_act(
	struct backend *b, char what, const struct memslot_txn *t)
{
	if (b->act)
		b->act(b->w, what, t);
}

static inline int backend_prepare(
	void *ctx, const struct memslot_txn *t, struct memslot_error *err)
{
	struct backend *b = ctx;

	backend_act(b, 'p', t);
	return backend_answer(b, b->refuse_prepare, "prepare", err);
}

static inline int backend_apply(
	void *ctx, const struct memslot_txn *t, struct memslot_error *err)
{
	struct backend *b = ctx;

	backend_act(b, 'y', t);
	return backend_answer(b, b->refuse_apply, "apply", err);
}

static inline void backend_cancel(void *ctx, const struct memslot_txn *t)
{
	backend_act(ctx, 'c', t);
}

static inline void backend_adopt(void *ctx, const struct memslot_txn *t)
{
	backend_act(ctx, 'd', t);
}

static inline void backend_flush(void *ctx, const struct memslot_txn *t)
{
	struct backend *b = ctx;

	b->flushed++;
	backend_act(b, 'f', t);
}

static inline void backend_committed(void *ctx, const struct memslot_txn *t)
{
	struct backend *b = ctx;

	b->committed++;
	backend_act(b, 'k', t);
}

static inline void backend_aborted(void *ctx, const struct memslot_txn *t)
{
	struct backend *b = ctx;

	b->aborted++;
	backend_act(b, 'a', t);
}

/* Page state through a reader of its own: callbacks come from anywhere. */
static inline bool page_is_tracked(struct world *w, unsigned space, gfn_t gfn)
{
	struct memslot_reader r;
	const struct memslot *s;
	bool tracked;

	memslot_reader_init(&r, w->ms, NULL, NULL);
	memslot_enter(&r);
	s = memslot_lookup(&r, space, gfn);
	tracked = s && memslot_page_tracked(s, gfn);
	memslot_leave(&r);
	memslot_reader_fini(&r);
	return tracked;
}

static inline void backend_protect(
	void *ctx, unsigned space, gfn_t gfn, uint64_t size_pages)
{
	struct backend *b = ctx;

	b->protects++;
	b->protect_gfn = gfn;
	b->protect_pages = size_pages;
	b->protect_tracked = page_is_tracked(b->w, space, gfn);
}

static const struct memslot_participant_ops backend_ops = {
	.name = "backend",
	.prepare = backend_prepare,
	.cancel = backend_cancel,
	.flush = backend_flush,
	.apply = backend_apply,
	.adopt = backend_adopt,
	.committed = backend_committed,
	.aborted = backend_aborted,
	.protect = backend_protect,
};

/* ---- the world ---------------------------------------------------------- */

static inline void world_open_on(
	struct world *w, const struct memslot_platform *pf)
{
	memset(w, 0, sizeof(*w));
	w->mem = aligned_alloc((size_t)2 << 20, ARENA);
	memset(w->mem, 0, ARENA);
	CHECK_EQ(memslots_create(pf, SPACES, &w->ms, &w->err), 0);
	CHECK_EQ(pagetrack_create(w->ms, &w->pt, &w->err), 0);
	w->backend.part.ops = &backend_ops;
	w->backend.part.ctx = &w->backend;
	w->backend.w = w;
	CHECK_EQ(memslots_join(w->ms, &w->backend.part), 0);
	memslot_reader_init(&w->r, w->ms, NULL, NULL);
	fault_arm(&w->plan, FAULT_ANY, 0, false);
	memslots_set_faults(w->ms, &w->plan);
}

static inline void world_open(struct world *w)
{
	world_open_on(w, &memslot_hosted);
}

static inline void world_close(struct world *w)
{
	memslot_reader_fini(&w->r);
	CHECK_EQ(memslots_quit(w->ms, &w->backend.part), 0);
	pagetrack_destroy(w->pt);
	memslots_destroy(w->ms);
	free(w->mem);
}

static inline void faults_off(struct world *w)
{
	fault_arm(&w->plan, FAULT_ANY, 0, false);
}

static inline struct memslot_config slot_config(struct world *w, unsigned space,
	unsigned id, gfn_t gfn, uint64_t pages, unsigned host_page,
	uint32_t flags)
{
	return (struct memslot_config){
		.space = space,
		.id = id,
		.gpa = gfn * PAGE,
		.size = pages * PAGE,
		.host = w->mem + (size_t)host_page * PAGE,
		.flags = flags,
	};
}

static inline int slot_new(struct world *w, unsigned space, unsigned id,
	gfn_t gfn, uint64_t pages, unsigned host_page, uint32_t flags)
{
	struct memslot_config c =
		slot_config(w, space, id, gfn, pages, host_page, flags);

	return memslots_create_slot(w->ms, &c, &w->err);
}

static inline int slot_move(
	struct world *w, unsigned space, unsigned id, gfn_t gfn)
{
	return memslots_move_slot(
		w->ms, space, id, gfn * PAGE, MEMSLOT_MOVE_MARK_ALL, &w->err);
}

static inline int dev_write(struct world *w, unsigned space, gpa_t gpa,
	const void *bytes, size_t len)
{
	const struct pagetrack_source dev = {PAGETRACK_DEVICE, 1};

	return pagetrack_guest_write(w->pt, &w->r, space, gpa, bytes, len, dev);
}

/* One byte to the start of a page. */
static inline int poke(
	struct world *w, unsigned space, gfn_t gfn, uint8_t value)
{
	return dev_write(w, space, gfn * PAGE, &value, 1);
}

/* ---- pictures ----------------------------------------------------------- */

struct page_look {
	const uint8_t *host; /* NULL: no slot */
	uint32_t flags;
	uint16_t id;
	uint8_t tracked, large_ok, dirty, invalid, writable;
	uint8_t tracks[EARS];
};

struct picture {
	uint64_t generation;
	uint64_t size_pages[EARS];
	struct page_look page[SPACES][PAGES];
};

static inline void picture_page(
	struct world *w, unsigned space, gfn_t gfn, struct page_look *look)
{
	const struct memslot *s;

	memslot_enter(&w->r);
	s = memslot_lookup(&w->r, space, gfn);
	if (s) {
		look->host = memslot_host(s, gfn * PAGE);
		look->flags = s->flags;
		look->id = s->id;
		look->tracked = memslot_page_tracked(s, gfn);
		look->large_ok = memslot_large_ok(s, gfn);
		look->dirty = memslot_page_dirty(s, gfn);
		look->invalid = memslot_is_invalid(s);
		look->writable = memslot_page_writable(s, gfn);
	}
	memslot_leave(&w->r);
	for (unsigned i = 0; i < EARS; i++)
		look->tracks[i] = w->ear[i] &&
				  pagetrack_tracks(w->ear[i]->node, space, gfn);
}

static inline void picture_take(struct world *w, struct picture *p)
{
	memset(p, 0, sizeof(*p));
	p->generation = memslots_generation(w->ms);
	for (unsigned i = 0; i < EARS; i++)
		if (w->ear[i])
			p->size_pages[i] =
				pagetrack_size_pages(w->ear[i]->node);
	for (unsigned s = 0; s < SPACES; s++)
		for (gfn_t g = 0; g < PAGES; g++)
			picture_page(w, s, g, &p->page[s][g]);
}

static inline bool picture_same(
	const struct picture *a, const struct picture *b)
{
	for (unsigned s = 0; s < SPACES; s++)
		for (unsigned g = 0; g < PAGES; g++)
			if (memcmp(&a->page[s][g], &b->page[s][g],
				    sizeof(a->page[s][g]))) {
				fprintf(stderr,
					"page %u of space %u looks "
					"different\n",
					g, s);
				return false;
			}
	return a->generation == b->generation &&
	       !memcmp(a->size_pages, b->size_pages, sizeof(a->size_pages));
}

/*
 * The two books agree: a page of a slot is tracked exactly if some ear of
 * the list tracks it, and an ear tracks nothing where there is no slot.
 */
static inline bool books_agree(struct world *w)
{
	static struct picture p;
	uint64_t sum[EARS] = {0};

	picture_take(w, &p);
	for (unsigned s = 0; s < SPACES; s++)
		for (unsigned g = 0; g < PAGES; g++) {
			const struct page_look *look = &p.page[s][g];
			bool any = false;

			for (unsigned i = 0; i < EARS; i++) {
				any |= look->tracks[i];
				sum[i] += look->tracks[i];
			}
			if (look->tracked != any || look->invalid) {
				fprintf(stderr,
					"page %u of space %u: count says %d, "
					"nodes say %d, invalid %d\n",
					g, s, look->tracked, any,
					look->invalid);
				return false;
			}
		}
	return !memcmp(sum, p.size_pages, sizeof(sum));
}

#endif
