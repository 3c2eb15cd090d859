/* SPDX-License-Identifier: MIT */
/*
 * test_track_events.c - each write is heard once, by those who asked
 *
 * pagetrack_guest_write(): split by page, bytes and source as given, after
 * memory has changed, in order. And what a write callback may do: add and
 * remove pages, write guest memory, register and unregister.
 */
#include "tests/unit/test_track.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>

/* ---- what is reported --------------------------------------------------- */

struct note {
	gpa_t gpa;
	size_t len;
	unsigned char first, last;
};

static struct note notes[16];
static unsigned note_count;

/* Memory must hold the bytes already when they are reported. */
static void note_write(
	struct ear *e, char what, const struct pagetrack_write *wr)
{
	const unsigned char *b;
	unsigned char now[4096];

	if (what != 'w')
		return;
	b = wr->bytes;
	notes[note_count++ % 16] =
		(struct note){wr->gpa, wr->len, b[0], b[wr->len - 1]};
	CHECK(wr->len >= 1 && wr->len <= PAGE);
	CHECK_EQ(wr->gpa / PAGE, (wr->gpa + wr->len - 1) / PAGE);
	/* The writer's own reader is free to be used. */
	CHECK_EQ(pagetrack_guest_read(
			 &e->w->r, wr->space, wr->gpa, now, wr->len),
		0);
	CHECK(!memcmp(now, b, wr->len));
}

static void check_note(unsigned i, gpa_t gpa, size_t len, unsigned first)
{
	CHECK_EQ(notes[i].gpa, gpa);
	CHECK_EQ(notes[i].len, len);
	CHECK_EQ(notes[i].first, first);
	CHECK_EQ(notes[i].last, (first + len - 1) & 0xff);
}

static void fill(unsigned char *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (unsigned char)i;
}

static void test_split(void)
{
	unsigned char bytes[4 * PAGE], back[4 * PAGE];
	struct ear a;
	struct world w;

	world_open(&w);
	fill(bytes, sizeof(bytes));
	/* Two slots side by side whose memory is not. */
	CHECK_EQ(slot_new(&w, 0, 0, 0, 2, 40, 0), 0);
	CHECK_EQ(slot_new(&w, 0, 1, 2, 4, 8, 0), 0);
	CHECK_EQ(ear_open(&w, &a, 'A', PAGETRACK_STAY), 0);
	CHECK_EQ(pagetrack_add(a.node, 0, 0, 6, &w.err), 0);
	a.act = note_write;

	note_count = 0;
	CHECK_EQ(dev_write(&w, 0, PAGE - 3, bytes, 2 * PAGE + 8), 0);
	CHECK_EQ(note_count, 4);
	check_note(0, PAGE - 3, 3, 0);
	check_note(1, PAGE, PAGE, 3);
	check_note(2, 2 * PAGE, PAGE, 3);
	check_note(3, 3 * PAGE, 5, 3);
	CHECK_EQ(
		pagetrack_guest_read(&w.r, 0, PAGE - 3, back, 2 * PAGE + 8), 0);
	CHECK(!memcmp(back, bytes, 2 * PAGE + 8));
	/* Memory of slot 0, then of slot 1. */
	CHECK(!memcmp(w.mem + 41 * PAGE - 3, bytes, 3 + PAGE));
	CHECK(!memcmp(w.mem + 8 * PAGE, bytes + 3 + PAGE, PAGE + 5));
	CHECK_EQ(w.mem[9 * PAGE + 5], 0);

	note_count = 0;
	CHECK_EQ(dev_write(&w, 0, 4 * PAGE, bytes, PAGE), 0);
	CHECK_EQ(dev_write(&w, 0, 5 * PAGE - 1, bytes, 1), 0);
	CHECK_EQ(dev_write(&w, 0, 5 * PAGE - 1, bytes, 2), 0);
	CHECK_EQ(dev_write(&w, 0, 5 * PAGE, bytes, 0), 0);
	CHECK_EQ(note_count, 4);
	check_note(0, 4 * PAGE, PAGE, 0);
	check_note(1, 5 * PAGE - 1, 1, 0);
	check_note(2, 5 * PAGE - 1, 1, 0);
	check_note(3, 5 * PAGE, 1, 1);
	ear_close(&a);
	world_close(&w);
}

static void test_source(void)
{
	static const struct pagetrack_source sources[] = {
		{PAGETRACK_CPU, 3},
		{PAGETRACK_WALKER, 0},
		{PAGETRACK_DEVICE, 77},
		{PAGETRACK_LOADER, 0},
		{PAGETRACK_HOST, 4294967295u},
	};
	struct ear a;
	struct world w;

	world_open(&w);
	CHECK_EQ(slot_new(&w, 1, 0, 0, 2, 0, 0), 0);
	CHECK_EQ(ear_open(&w, &a, 'A', PAGETRACK_STAY), 0);
	CHECK_EQ(pagetrack_add(a.node, 1, 0, 2, &w.err), 0);
	for (unsigned i = 0; i < 5; i++) {
		CHECK_EQ(pagetrack_guest_write(
				 w.pt, &w.r, 1, PAGE - 1, "ab", 2, sources[i]),
			0);
		CHECK_HEARD(&w, "Aw Aw ");
		CHECK_EQ(a.last.source.kind, sources[i].kind);
		CHECK_EQ(a.last.source.index, sources[i].index);
		CHECK_EQ(a.last.space, 1);
	}
	ear_close(&a);
	world_close(&w);
}

static void test_who_hears(void)
{
	struct ear a, b, c, deaf_ear;
	static struct pagetrack_ops deaf;
	struct pagetrack_node *node;
	struct world w;

	world_open(&w);
	CHECK_EQ(slot_new(&w, 0, 0, 0, 8, 0, 0), 0);
	CHECK_EQ(ear_open(&w, &a, 'A', PAGETRACK_STAY), 0);
	CHECK_EQ(ear_open(&w, &b, 'B', PAGETRACK_FOLLOW), 0);
	CHECK_EQ(pagetrack_register(
			 w.pt, &deaf, &deaf_ear, PAGETRACK_STAY, &node, NULL),
		0);
	CHECK_EQ(ear_open(&w, &c, 'C', PAGETRACK_REFUSE), 0);
	CHECK_EQ(pagetrack_add(a.node, 0, 1, 2, NULL), 0);
	CHECK_EQ(pagetrack_add(b.node, 0, 2, 2, NULL), 0);
	CHECK_EQ(pagetrack_add(c.node, 0, 2, 1, NULL), 0);
	CHECK_EQ(pagetrack_add(node, 0, 0, 8, NULL), 0); /* has no ears */
	CHECK_EQ(poke(&w, 0, 0, 1), 0);
	CHECK_HEARD(&w, "");
	CHECK_EQ(poke(&w, 0, 1, 1), 0);
	CHECK_HEARD(&w, "Aw ");
	CHECK_EQ(poke(&w, 0, 2, 1), 0);
	CHECK_HEARD(&w, "Aw Bw Cw ");
	CHECK_EQ(poke(&w, 0, 3, 1), 0);
	CHECK_HEARD(&w, "Bw ");
	/* Page by page, all nodes of one before the next. */
	CHECK_EQ(dev_write(&w, 0, 2 * PAGE - 1, "ab", 2), 0);
	CHECK_HEARD(&w, "Aw Aw Bw Cw ");
	/* Counted twice is still heard once. */
	CHECK_EQ(pagetrack_add(b.node, 0, 3, 1, NULL), 0);
	CHECK_EQ(poke(&w, 0, 3, 1), 0);
	CHECK_HEARD(&w, "Bw ");
	/* Same bytes again are a write. No tracker: nobody to tell. */
	CHECK_EQ(poke(&w, 0, 3, 1), 0);
	CHECK_HEARD(&w, "Bw ");
	CHECK_EQ(pagetrack_guest_write(NULL, &w.r, 0, 3 * PAGE, "x", 1,
			 (struct pagetrack_source){PAGETRACK_HOST, 0}),
		0);
	CHECK_HEARD(&w, "");
	CHECK_EQ(w.mem[3 * PAGE], 'x');
	pagetrack_unregister(node);
	ear_close(&a);
	ear_close(&b);
	ear_close(&c);
	world_close(&w);
}

/* ---- writes that cannot be ---------------------------------------------- */

static void test_unmapped(void)
{
	unsigned char bytes[4 * PAGE], back[PAGE];
	struct ear a;
	struct world w;

	world_open(&w);
	fill(bytes, sizeof(bytes));
	CHECK_EQ(slot_new(&w, 0, 0, 0, 2, 0, 0), 0);
	CHECK_EQ(slot_new(&w, 0, 1, 3, 2, 2, 0), 0);
	CHECK_EQ(ear_open(&w, &a, 'A', PAGETRACK_STAY), 0);
	CHECK_EQ(pagetrack_add(a.node, 0, 0, 2, &w.err), 0);
	CHECK_EQ(pagetrack_add(a.node, 0, 3, 2, &w.err), 0);
	CHECK_EQ(poke(&w, 0, 2, 1), -EFAULT);
	CHECK_EQ(poke(&w, 1, 0, 1), -EFAULT);
	CHECK_HEARD(&w, "");
	/* Bytes before the hole are there and are reported; none behind. */
	CHECK_EQ(dev_write(&w, 0, PAGE, bytes, 3 * PAGE), -EFAULT);
	CHECK_HEARD(&w, "Aw ");
	CHECK_EQ(a.last.gpa, PAGE);
	CHECK_EQ(a.last.len, PAGE);
	CHECK(!memcmp(w.mem + PAGE, bytes, PAGE));
	CHECK_EQ(w.mem[2 * PAGE + 1], 0);
	CHECK_EQ(pagetrack_guest_read(&w.r, 0, 2 * PAGE, back, 1), -EFAULT);

	CHECK_EQ(poke(&w, SPACES, 0, 1), -EINVAL);
	CHECK_EQ(poke(&w, ~0u, 0, 1), -EINVAL);
	CHECK_EQ(dev_write(&w, 0, MEMSLOT_GPA_LIMIT, bytes, 1), -EINVAL);
	CHECK_EQ(dev_write(&w, 0, MEMSLOT_GPA_LIMIT - 1, bytes, 2), -EINVAL);
	CHECK_EQ(dev_write(&w, 0, MEMSLOT_GPA_LIMIT - 1, bytes, 1), -EFAULT);
	CHECK_EQ(dev_write(&w, 0, UINT64_MAX, bytes, 2), -EINVAL);
	CHECK_EQ(dev_write(&w, 0, UINT64_MAX - 1, bytes, 2), -EINVAL);
	CHECK_EQ(dev_write(&w, 0, 0, bytes, SIZE_MAX), -EINVAL);
	CHECK_EQ(pagetrack_guest_read(&w.r, SPACES, 0, back, 1), -EINVAL);
	CHECK_EQ(pagetrack_guest_read(&w.r, 0, MEMSLOT_GPA_LIMIT - 1, back, 2),
		-EINVAL);
	CHECK_HEARD(&w, "");
	ear_close(&a);
	world_close(&w);
}

static void test_readonly(void)
{
	static const enum pagetrack_source_kind kinds[] = {PAGETRACK_CPU,
		PAGETRACK_WALKER, PAGETRACK_DEVICE, PAGETRACK_LOADER,
		PAGETRACK_HOST};
	struct ear a;
	struct world w;

	world_open(&w);
	CHECK_EQ(slot_new(&w, 0, 0, 0, 1, 0, 0), 0);
	CHECK_EQ(slot_new(&w, 0, 1, 1, 1, 1, MEMSLOT_READONLY), 0);
	CHECK_EQ(ear_open(&w, &a, 'A', PAGETRACK_STAY), 0);
	CHECK_EQ(pagetrack_add(a.node, 0, 0, 2, &w.err), 0);
	for (unsigned i = 0; i < 5; i++) {
		bool may = kinds[i] == PAGETRACK_LOADER ||
			   kinds[i] == PAGETRACK_HOST;
		const struct pagetrack_source s = {kinds[i], 0};
		unsigned char b[2] = {
			(unsigned char)(i + 1), (unsigned char)(i + 1)};
		unsigned char was = w.mem[PAGE];

		CHECK_EQ(
			pagetrack_guest_write(w.pt, &w.r, 0, PAGE - 1, b, 2, s),
			may ? 0 : -EFAULT);
		CHECK_HEARD(&w, may ? "Aw Aw " : "Aw ");
		CHECK_EQ(w.mem[PAGE - 1], i + 1);
		CHECK_EQ(w.mem[PAGE], may ? i + 1 : was);
	}
	ear_close(&a);
	world_close(&w);
}

static void test_dirty(void)
{
	const struct memslot *s;
	struct world w;

	world_open(&w);
	CHECK_EQ(slot_new(&w, 0, 0, 0, 4, 0, MEMSLOT_LOG_DIRTY), 0);
	CHECK_EQ(dev_write(&w, 0, 2 * PAGE - 1, "ab", 2), 0);
	memslot_enter(&w.r);
	s = memslot_lookup(&w.r, 0, 0);
	for (gfn_t g = 0; g < 4; g++)
		CHECK_EQ(memslot_page_dirty(s, g), g == 1 || g == 2);
	memslot_leave(&w.r);
	world_close(&w);
}

/* ---- what callbacks may do ---------------------------------------------- */

static struct ear A, B, C;

static void act_remove_own(
	struct ear *e, char what, const struct pagetrack_write *wr)
{
	if (what == 'w')
		CHECK_EQ(pagetrack_remove(e->node, wr->space, wr->gpa / PAGE, 1,
				 &e->w->err),
			0);
}

static void act_add_next(
	struct ear *e, char what, const struct pagetrack_write *wr)
{
	if (what == 'w')
		CHECK_EQ(pagetrack_add(e->node, wr->space, wr->gpa / PAGE + 1,
				 1, &e->w->err),
			0);
}

/* B stops listening to the page that A hears about right now. */
static void act_remove_of_b(
	struct ear *e, char what, const struct pagetrack_write *wr)
{
	(void)e;
	if (what == 'w')
		pagetrack_remove(B.node, wr->space, wr->gpa / PAGE, 1, NULL);
}

static void test_callback_pages(void)
{
	struct world w;

	world_open(&w);
	CHECK_EQ(slot_new(&w, 0, 0, 0, 8, 0, 0), 0);
	CHECK_EQ(ear_open(&w, &A, 'A', PAGETRACK_STAY), 0);
	CHECK_EQ(ear_open(&w, &B, 'B', PAGETRACK_STAY), 0);
	CHECK_EQ(pagetrack_add(A.node, 0, 0, 2, NULL), 0);
	CHECK_EQ(pagetrack_add(B.node, 0, 0, 2, NULL), 0);
	A.act = act_remove_own;
	CHECK_EQ(poke(&w, 0, 0, 1), 0);
	CHECK_HEARD(&w, "Aw Bw ");
	CHECK_EQ(poke(&w, 0, 0, 2), 0);
	CHECK_HEARD(&w, "Bw ");
	CHECK_EQ(pagetrack_size_pages(A.node), 1);
	/* A page added in the middle of a long write: heard from there on. */
	A.act = act_add_next;
	CHECK_EQ(pagetrack_remove(B.node, 0, 0, 2, NULL), 0);
	CHECK_EQ(dev_write(&w, 0, PAGE, w.mem + 20 * PAGE, 3 * PAGE), 0);
	CHECK_HEARD(&w, "Aw Aw Aw ");
	CHECK_EQ(pagetrack_size_pages(A.node), 4);
	CHECK(pagetrack_tracks(A.node, 0, 4));
	/* Was B told of the write that came before the remove? Either is
	 * allowed; the next one it must not hear. */
	CHECK_EQ(pagetrack_add(B.node, 0, 1, 1, NULL), 0);
	A.act = act_remove_of_b;
	CHECK_EQ(poke(&w, 0, 1, 3), 0);
	log_clear(&w);
	CHECK_EQ(poke(&w, 0, 1, 4), 0);
	CHECK_HEARD(&w, "Aw ");
	CHECK(books_agree(&w));
	ear_close(&A);
	ear_close(&B);
	world_close(&w);
}

/* One write of the callback's own, with the same reader. */
static void act_write_back(
	struct ear *e, char what, const struct pagetrack_write *wr)
{
	const struct pagetrack_source host = {PAGETRACK_HOST, 9};
	gpa_t to = (gpa_t)(uintptr_t)e->act_ctx;

	if (what != 'w' || wr->source.kind == PAGETRACK_HOST)
		return;
	CHECK_EQ(pagetrack_guest_write(
			 e->w->pt, &e->w->r, wr->space, to, "nest", 4, host),
		0);
	/* The nested one has been reported when the call is back. */
	CHECK_EQ(e->last.source.kind, PAGETRACK_HOST);
	CHECK_EQ(e->last.gpa, to);
}

static void test_callback_writes(void)
{
	struct world w;

	world_open(&w);
	CHECK_EQ(slot_new(&w, 0, 0, 0, 8, 0, 0), 0);
	CHECK_EQ(ear_open(&w, &A, 'A', PAGETRACK_STAY), 0);
	CHECK_EQ(ear_open(&w, &B, 'B', PAGETRACK_STAY), 0);
	CHECK_EQ(pagetrack_add(A.node, 0, 0, 8, NULL), 0);
	CHECK_EQ(pagetrack_add(B.node, 0, 5, 1, NULL), 0);
	A.act = act_write_back;
	A.act_ctx = (void *)(uintptr_t)(5 * PAGE);
	CHECK_EQ(poke(&w, 0, 0, 1), 0);
	CHECK_HEARD(&w, "Aw Aw Bw ");
	CHECK_EQ(A.writes, 2);
	CHECK_EQ(B.writes, 1);
	CHECK(!memcmp(w.mem + 5 * PAGE, "nest", 4));
	CHECK_EQ(w.mem[0], 1);
	/* To the very page: each of the two is heard once by each. */
	A.act_ctx = (void *)(uintptr_t)(5 * PAGE + 64);
	CHECK_EQ(poke(&w, 0, 5, 1), 0);
	CHECK_EQ(A.writes, 4);
	CHECK_EQ(B.writes, 3);
	log_clear(&w);
	/* Two pages with a nested write in each. */
	CHECK_EQ(dev_write(&w, 0, PAGE - 1, "ab", 2), 0);
	CHECK_HEARD(&w, "Aw Aw Bw Aw Aw Bw ");
	ear_close(&A);
	ear_close(&B);
	world_close(&w);
}

/* ---- unregistering from a callback -------------------------------------- */

static void act_leave(
	struct ear *e, char what, const struct pagetrack_write *wr)
{
	struct memslot_error err = {0};

	if (what != 'w')
		return;
	ear_forget(e);
	pagetrack_unregister(e->node);
	/* Until we return the node is there, but it is a dead one. */
	CHECK_EQ(pagetrack_size_pages(e->node), 0);
	CHECK(!pagetrack_tracks(e->node, wr->space, wr->gpa / PAGE));
	CHECK_EQ(pagetrack_add(e->node, wr->space, wr->gpa / PAGE, 1, &err),
		-EINVAL);
	CHECK_TEXT(err.text, "not registered any more");
	CHECK_EQ(pagetrack_remove(e->node, wr->space, wr->gpa / PAGE, 1, &err),
		-ENOENT);
	/* This write to a page it tracked is not for it any more. */
	CHECK_EQ(poke(e->w, 0, 1, 77), 0);
}

static void act_close_b(
	struct ear *e, char what, const struct pagetrack_write *wr)
{
	(void)e;
	(void)wr;
	if (what == 'w' && B.node)
		ear_close(&B);
}

static void act_open_c(
	struct ear *e, char what, const struct pagetrack_write *wr)
{
	if (what != 'w' || C.node)
		return;
	CHECK_EQ(ear_open(e->w, &C, 'C', PAGETRACK_STAY), 0);
	CHECK_EQ(pagetrack_add(C.node, wr->space, wr->gpa / PAGE, 1, NULL), 0);
}

static void open_abc(struct world *w)
{
	world_open(w);
	memset(&C, 0, sizeof(C));
	CHECK_EQ(slot_new(w, 0, 0, 0, 8, 0, 0), 0);
	CHECK_EQ(ear_open(w, &A, 'A', PAGETRACK_STAY), 0);
	CHECK_EQ(ear_open(w, &B, 'B', PAGETRACK_STAY), 0);
	CHECK_EQ(ear_open(w, &C, 'C', PAGETRACK_STAY), 0);
	CHECK_EQ(pagetrack_add(A.node, 0, 0, 4, NULL), 0);
	CHECK_EQ(pagetrack_add(B.node, 0, 0, 4, NULL), 0);
	CHECK_EQ(pagetrack_add(C.node, 0, 0, 4, NULL), 0);
}

static void test_unregister_inside(void)
{
	struct pagetrack_node *again;
	struct world w;

	/* The first, the middle and the last of three leave. */
	for (unsigned who = 0; who < 3; who++) {
		static const char *const first[] = {"Aw Bw Cw Bw Cw ",
			"Aw Bw Aw Cw Cw ", "Aw Bw Cw Aw Bw "};
		static const char *const then[] = {
			"Bw Cw ", "Aw Cw ", "Aw Bw "};
		struct ear *e = who == 0 ? &A : who == 1 ? &B : &C;

		open_abc(&w);
		e->act = act_leave;
		CHECK_EQ(poke(&w, 0, 0, 1), 0);
		/* The leaver's own nested write is heard by the others. */
		CHECK_EQ(A.writes + B.writes + C.writes, 5);
		CHECK_EQ(e->writes, 1);
		CHECK_HEARD(&w, first[who]);
		CHECK_EQ(poke(&w, 0, 0, 2), 0);
		CHECK_HEARD(&w, then[who]);
		CHECK(books_agree(&w));
		/* Its place is free again. */
		CHECK_EQ(pagetrack_register(w.pt, &ear_ops, e, PAGETRACK_STAY,
				 &again, NULL),
			0);
		pagetrack_unregister(again);
		for (unsigned i = 0; i < 3; i++)
			if (i != who)
				ear_close(i == 0 ? &A : i == 1 ? &B : &C);
		world_close(&w);
	}
}

static void test_unregister_other(void)
{
	struct world w;

	open_abc(&w);
	A.act = act_close_b;
	CHECK_EQ(poke(&w, 0, 0, 1), 0);
	CHECK_HEARD(&w, "Aw Cw "); /* B was to hear of it, and is gone */
	CHECK_EQ(poke(&w, 0, 0, 2), 0);
	CHECK_HEARD(&w, "Aw Cw ");
	ear_close(&A);
	ear_close(&C);
	world_close(&w);

	/* One that has heard already. */
	open_abc(&w);
	C.act = act_close_b;
	CHECK_EQ(poke(&w, 0, 0, 1), 0);
	CHECK_HEARD(&w, "Aw Bw Cw ");
	CHECK_EQ(poke(&w, 0, 0, 2), 0);
	CHECK_HEARD(&w, "Aw Cw ");
	ear_close(&A);
	ear_close(&C);
	world_close(&w);
}

static void test_register_inside(void)
{
	struct world w;

	open_abc(&w);
	ear_close(&C);
	A.act = act_open_c;
	CHECK_EQ(poke(&w, 0, 0, 1), 0);
	CHECK_HEARD(&w, "Aw Bw "); /* that write was before its time */
	CHECK_EQ(poke(&w, 0, 0, 2), 0);
	CHECK_HEARD(&w, "Aw Bw Cw ");
	CHECK(books_agree(&w));
	ear_close(&A);
	ear_close(&B);
	ear_close(&C);
	world_close(&w);
}

/* The node leaves from inside the inner of two of its callbacks. */
static void act_leave_nested(
	struct ear *e, char what, const struct pagetrack_write *wr)
{
	if (what != 'w')
		return;
	if (wr->gpa / PAGE == 0) {
		CHECK_EQ(poke(e->w, 0, 1, 5), 0);
		CHECK_EQ(pagetrack_size_pages(e->node), 0);
		return;
	}
	ear_forget(e);
	pagetrack_unregister(e->node);
}

static void test_unregister_nested(void)
{
	struct world w;

	open_abc(&w);
	B.act = act_leave_nested;
	CHECK_EQ(poke(&w, 0, 0, 1), 0);
	CHECK_HEARD(&w, "Aw Bw Aw Bw Cw Cw ");
	CHECK_EQ(poke(&w, 0, 0, 1), 0);
	CHECK_HEARD(&w, "Aw Cw ");
	ear_close(&A);
	ear_close(&C);
	world_close(&w);
}

/* ---- unregistering waits ------------------------------------------------ */

/*
 * B's callback is running in another thread when B is unregistered. It stays
 * for a while and looks whether pagetrack_unregister() returns meanwhile. A
 * wrong one may slip through if it is slow; a right one never fails.
 */
enum { LINGER = 200000 };

static atomic_int b_inside, b_gone, b_gone_inside;

static void act_linger(
	struct ear *e, char what, const struct pagetrack_write *wr)
{
	(void)e;
	if (what != 'w' || wr->gpa / PAGE != 1)
		return;
	atomic_store(&b_inside, 1);
	for (unsigned i = 0; i < LINGER && !atomic_load(&b_gone); i++)
		sched_yield();
	atomic_store(&b_gone_inside, atomic_load(&b_gone));
	atomic_store(&b_inside, 2);
}

static void *write_page_1(void *arg)
{
	const struct pagetrack_source dev = {PAGETRACK_DEVICE, 2};
	struct world *w = arg;
	struct memslot_reader r;

	memslot_reader_init(&r, w->ms, NULL, NULL);
	CHECK_EQ(pagetrack_guest_write(w->pt, &r, 0, PAGE, "x", 1, dev), 0);
	memslot_reader_fini(&r);
	return NULL;
}

/* From A's callback, while B is on the list of those to be told next. */
static void act_close_busy_b(
	struct ear *e, char what, const struct pagetrack_write *wr)
{
	(void)e;
	(void)wr;
	if (what != 'w')
		return;
	while (!atomic_load(&b_inside))
		sched_yield();
	ear_close(&B);
	atomic_store(&b_gone, 1);
}

static void open_busy(struct world *w, pthread_t *thread)
{
	atomic_store(&b_inside, 0);
	atomic_store(&b_gone, 0);
	atomic_store(&b_gone_inside, 0);
	world_open(w);
	CHECK_EQ(slot_new(w, 0, 0, 0, 8, 0, 0), 0);
	CHECK_EQ(ear_open(w, &A, 'A', PAGETRACK_STAY), 0);
	CHECK_EQ(ear_open(w, &B, 'B', PAGETRACK_STAY), 0);
	CHECK_EQ(pagetrack_add(A.node, 0, 0, 1, NULL), 0);
	CHECK_EQ(pagetrack_add(B.node, 0, 0, 2, NULL), 0);
	B.act = act_linger;
	CHECK_EQ(pthread_create(thread, NULL, write_page_1, w), 0);
}

static void test_unregister_waits(void)
{
	pthread_t thread;
	struct world w;

	open_busy(&w, &thread);
	while (!atomic_load(&b_inside))
		sched_yield();
	ear_close(&B);
	CHECK_EQ(atomic_load(&b_inside), 2);
	atomic_store(&b_gone, 1);
	pthread_join(thread, NULL);
	CHECK_EQ(atomic_load(&b_gone_inside), 0);
	ear_close(&A);
	world_close(&w);
}

static void test_unregister_other_waits(void)
{
	pthread_t thread;
	struct world w;

	open_busy(&w, &thread);
	A.act = act_close_busy_b;
	CHECK_EQ(poke(&w, 0, 0, 1), 0);
	pthread_join(thread, NULL);
	/* Not a callback of B's own: it must have waited for the other. */
	CHECK_EQ(atomic_load(&b_gone_inside), 0);
	CHECK_EQ(B.writes, 1);
	ear_close(&A);
	world_close(&w);
}

/* ---- hold and report ---------------------------------------------------- */

static void test_hold_report(void)
{
	const struct pagetrack_source cpu = {PAGETRACK_CPU, 0};
	struct pagetrack_hold h;
	struct world w;

	open_abc(&w);
	/* What is heard is decided by the hold. */
	memslot_enter(&w.r);
	CHECK(memslot_page_tracked(memslot_lookup(&w.r, 0, 2), 2));
	pagetrack_hold(w.pt, &h, 0, 2 * PAGE + 8, 8);
	memslot_leave(&w.r);
	CHECK_EQ(pagetrack_remove(A.node, 0, 2, 1, NULL), 0);
	pagetrack_report(w.pt, &h,
		&(struct pagetrack_write){.gpa = 2 * PAGE + 8,
			.bytes = "12345678",
			.len = 8,
			.source = cpu});
	CHECK_HEARD(&w, "Aw Bw Cw ");
	CHECK_EQ(C.last.gpa, 2 * PAGE + 8);
	CHECK_EQ(C.last.len, 8);
	CHECK(!memcmp(C.bytes, "12345678", 8));
	/* A hold that finds nobody. */
	memslot_enter(&w.r);
	pagetrack_hold(w.pt, &h, 0, 7 * PAGE, 1);
	memslot_leave(&w.r);
	pagetrack_report(w.pt, &h,
		&(struct pagetrack_write){.gpa = 7 * PAGE,
			.bytes = "1",
			.len = 1,
			.source = cpu});
	CHECK_HEARD(&w, "");
	ear_close(&A);
	ear_close(&B);
	ear_close(&C);
	world_close(&w);
}

/* ---- in the middle of a write ------------------------------------------- */

/*
 * The bytes to be written are in a page that cannot be read, so that the
 * writer stops inside its copy, in its read section. Another thread does
 * something then, and after it the page becomes readable.
 */
static unsigned char *trap;
static atomic_int trapped, other_done, mover_waits;
static bool wait_for_mover;
static struct world *trap_world;

static void on_trap(int sig, siginfo_t *info, void *context)
{
	atomic_int *until = wait_for_mover ? &mover_waits : &other_done;

	(void)context;
	if ((unsigned char *)info->si_addr - trap >= (ptrdiff_t)PAGE) {
		signal(sig, SIG_DFL);
		return;
	}
	atomic_store(&trapped, 1);
	for (unsigned i = 0; i < LINGER && !atomic_load(until); i++)
		sched_yield();
	mprotect(trap, PAGE, PROT_READ);
}

/* A mover has found the writer in its section and sleeps. */
static void trap_wait(void *ctx, _Atomic(uint32_t) *word, uint32_t seen)
{
	if (word == &trap_world->r.asked)
		atomic_store(&mover_waits, 1);
	memslot_hosted.wait(ctx, word, seen);
}

/* The writer has left its section: let the mover finish before it goes on. */
static void trap_wake(void *ctx, _Atomic(uint32_t) *word)
{
	memslot_hosted.wake(ctx, word);
	if (word == &trap_world->r.asked)
		for (unsigned i = 0; i < LINGER && !atomic_load(&other_done);
			i++)
			sched_yield();
}

static void *add_meanwhile(void *arg)
{
	(void)arg;
	while (!atomic_load(&trapped))
		sched_yield();
	CHECK_EQ(pagetrack_add(A.node, 0, 1, 1, NULL), 0);
	atomic_store(&other_done, 1);
	return NULL;
}

static void *move_meanwhile(void *arg)
{
	struct world *w = arg;

	while (!atomic_load(&trapped))
		sched_yield();
	CHECK_EQ(memslots_move_slot(
			 w->ms, 0, 0, 40 * PAGE, MEMSLOT_MOVE_KEEP, NULL),
		0);
	atomic_store(&other_done, 1);
	return NULL;
}

static void write_trapped(void *(*other)(void *), struct world *w, gpa_t gpa)
{
	struct sigaction old,
		act = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
	pthread_t thread;

	atomic_store(&trapped, 0);
	atomic_store(&other_done, 0);
	atomic_store(&mover_waits, 0);
	trap = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memcpy(trap, "trapped", 8);
	mprotect(trap, PAGE, PROT_NONE);
	sigaction(SIGSEGV, &act, &old);
	CHECK_EQ(pthread_create(&thread, NULL, other, w), 0);
	CHECK_EQ(dev_write(w, 0, gpa, trap, 8), 0);
	pthread_join(thread, NULL);
	sigaction(SIGSEGV, &old, NULL);
	munmap(trap, PAGE);
	CHECK(atomic_load(&trapped) && atomic_load(&other_done));
}

/*
 * An add returns while the bytes are on their way. They are in memory after
 * it, so they have to be reported.
 */
static void test_add_in_the_middle(void)
{
	struct world w;

	world_open(&w);
	CHECK_EQ(slot_new(&w, 0, 0, 0, 8, 0, 0), 0);
	CHECK_EQ(ear_open(&w, &A, 'A', PAGETRACK_STAY), 0);
	wait_for_mover = false;
	write_trapped(add_meanwhile, &w, PAGE + 16);
	CHECK(!memcmp(w.mem + PAGE + 16, "trapped", 8));
	CHECK_HEARD(&w, "Aw ");
	CHECK(!memcmp(A.bytes, "trapped", 8));
	ear_close(&A);
	world_close(&w);
}

/* The page moves between the write and its report. */
static void test_move_in_the_middle(void)
{
	struct memslot_platform pf = memslot_hosted;
	struct world w;

	pf.wait = trap_wait;
	pf.wake = trap_wake;
	trap_world = &w;
	world_open_on(&w, &pf);
	CHECK_EQ(slot_new(&w, 0, 0, 0, 8, 0, 0), 0);
	CHECK_EQ(ear_open(&w, &A, 'A', PAGETRACK_STAY), 0);
	CHECK_EQ(ear_open(&w, &B, 'B', PAGETRACK_FOLLOW), 0);
	CHECK_EQ(pagetrack_add(A.node, 0, 1, 1, NULL), 0);
	CHECK_EQ(pagetrack_add(B.node, 0, 1, 1, NULL), 0);
	wait_for_mover = true;
	write_trapped(move_meanwhile, &w, PAGE + 16);
	CHECK(atomic_load(&mover_waits));
	CHECK(!memcmp(w.mem + PAGE + 16, "trapped", 8));
	CHECK_EQ(A.writes, 1);
	CHECK_EQ(B.writes, 1);
	CHECK_EQ(B.last.gpa, PAGE + 16);
	CHECK_EQ(A.gone, 1);
	CHECK(pagetrack_tracks(B.node, 0, 41));
	ear_close(&A);
	ear_close(&B);
	world_close(&w);
}

int main(void)
{
	test_split();
	test_source();
	test_who_hears();
	test_unmapped();
	test_readonly();
	test_dirty();
	test_callback_pages();
	test_callback_writes();
	test_unregister_inside();
	test_unregister_other();
	test_register_inside();
	test_unregister_nested();
	test_unregister_waits();
	test_unregister_other_waits();
	test_hold_report();
	test_add_in_the_middle();
	test_move_in_the_middle();
	return TEST_END("track_events");
}
