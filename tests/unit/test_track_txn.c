/* SPDX-License-Identifier: MIT */
/*
 * test_track_txn.c - the tracker while a transaction runs
 *
 * In each phase of a change that passes, and of one that fails, pages are
 * added and removed and nodes come and go, from callbacks and from another
 * thread. Whatever the moment, protections are in the right place at the
 * end and both books agree.
 */
#include "tests/unit/test_track.h"

#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * Slot 0 is at pages 8..15 and is moved to 10..17. Nodes: S stays, F
 * follows, R refuses (and tracks nothing when a change begins).
 */
struct scene {
	bool too_late; /* for the node that refuses moves */
	struct world w;
	struct ear s, f, r;
	/* what to do, when, where */
	void (*deed)(struct scene *x);
	char who, when;  /* an ear's name, or b for the backend */
	bool threaded;   /* in another thread */
	unsigned done;   /* how often it was done */
	bool adopted;    /* pages are in their new places by then */
	struct ear late; /* registered on the way */
};

static struct scene *scene; /* the one at hand */

static void *deed_thread(void *arg)
{
	struct scene *x = arg;

	x->deed(x);
	return NULL;
}

static void maybe_do(struct scene *x, char who, char what)
{
	pthread_t thread;

	if (!x->deed || who != x->who || what != x->when || x->done++)
		return;
	if (x->threaded) {
		CHECK_EQ(pthread_create(&thread, NULL, deed_thread, x), 0);
		pthread_join(thread, NULL);
	} else {
		x->deed(x);
	}
}

static void on_ear(struct ear *e, char what, const struct pagetrack_write *wr)
{
	(void)wr;
	maybe_do(scene, e->name, what);
}

static void on_backend(struct world *w, char what, const struct memslot_txn *t)
{
	(void)w;
	(void)t;
	maybe_do(scene, 'b', what);
}

static void scene_open(struct scene *x)
{
	memset(x, 0, sizeof(*x));
	scene = x;
	world_open(&x->w);
	CHECK_EQ(slot_new(&x->w, 0, 0, 8, 8, 0, 0), 0);
	CHECK_EQ(slot_new(&x->w, 0, 1, 24, 4, 8, 0), 0);
	CHECK_EQ(ear_open(&x->w, &x->s, 'S', PAGETRACK_STAY), 0);
	CHECK_EQ(ear_open(&x->w, &x->f, 'F', PAGETRACK_FOLLOW), 0);
	CHECK_EQ(ear_open(&x->w, &x->r, 'R', PAGETRACK_REFUSE), 0);
	x->s.act = x->f.act = x->r.act = on_ear;
	x->w.backend.act = on_backend;
	log_clear(&x->w);
}

static void scene_close(struct scene *x)
{
	CHECK(books_agree(&x->w));
	if (x->late.node)
		ear_close(&x->late);
	if (x->s.node)
		ear_close(&x->s);
	if (x->f.node)
		ear_close(&x->f);
	if (x->r.node)
		ear_close(&x->r);
	world_close(&x->w);
}

#define END (~(gfn_t)0)
#define CHECK_PAGES(e, ...) \
	check_pages(e, (const gfn_t[]){__VA_ARGS__}, __LINE__)

static void check_pages(struct ear *e, const gfn_t *next, int line)
{
	int held = 1;

	for (gfn_t g = 0; g < PAGES; g++) {
		bool wanted = *next == g;

		next += wanted;
		if (pagetrack_tracks(e->node, 0, g) != wanted)
			held = 0;
	}
	if (!test_check(
		    held, "exactly these pages are tracked", __FILE__, line))
		fprintf(stderr, "  ear %c, deed of %c at %c%s\n", e->name,
			scene->who, scene->when,
			scene->threaded ? ", threaded" : "");
}

/* The moments of a move that passes, in order. */
struct moment {
	char who, when;
	bool adopted;
};

static const struct moment passing[] = {
	{'S', 'p', false}, /* asked first, others later */
	{'F', 'p', false},
	{'R', 'p', false},
	{'b', 'p', false}, /* the tracker has agreed */
	{'S', 'f', false},
	{'R', 'f', false},
	{'b', 'f', false},
	{'b', 'y', false},
	{'b', 'd', true}, /* adopted, not yet published */
	{'S', 'k', true},
	{'R', 'k', true},
	{'b', 'k', true},
};
#define PASSING (sizeof(passing) / sizeof(passing[0]))

/* Those of a move that the backend refuses to apply. */
static const struct moment failing[] = {
	{'S', 'p', false},
	{'R', 'p', false},
	{'b', 'p', false},
	{'S', 'f', false},
	{'R', 'f', false},
	{'b', 'f', false},
	{'b', 'y', false},
	{'b', 'c', false},
	{'R', 'c', false}, /* cancelled first */
	{'S', 'c', false},
	{'S', 'a', false},
	{'R', 'a', false},
	{'b', 'a', false},
};
#define FAILING (sizeof(failing) / sizeof(failing[0]))

static void scene_at(struct scene *x, const struct moment *m,
	void (*deed)(struct scene *x), bool threaded)
{
	scene_open(x);
	x->deed = deed;
	x->who = m->who;
	x->when = m->when;
	x->adopted = m->adopted;
	x->threaded = threaded;
}

/* ---- pages added on the way ---------------------------------------------- */

static void deed_add(struct scene *x)
{
	struct ear *ears[] = {&x->s, &x->f, &x->r};

	for (unsigned i = 0; i < 3; i++) {
		struct pagetrack_node *n = ears[i]->node;
		/* 12 is there before and after, 8 before, 16 after. */
		int late = pagetrack_add(n, 0, 12, 1, NULL);

		/* A move that cannot be refused any more, or is over. */
		CHECK(late == 0 || (late == -EBUSY && i == 2 && !x->adopted));
		x->too_late = late != 0;
		CHECK_EQ(pagetrack_add(n, 0, 12, 1, NULL), late);
		CHECK_EQ(pagetrack_add(n, 0, 8, 1, NULL),
			x->adopted ? -ENOENT : late);
		CHECK_EQ(pagetrack_add(n, 0, 16, 1, NULL),
			x->adopted ? 0 : -ENOENT);
		CHECK_EQ(pagetrack_add(n, 0, 24, 1, NULL), 0);
		CHECK_EQ(pagetrack_size_pages(n), late ? 1 : 3);
	}
}

static void check_writes_heard(struct world *w)
{
	static struct picture p;

	picture_take(w, &p);
	for (gfn_t g = 0; g < PAGES; g++) {
		const struct page_look *look = &p.page[0][g];
		char wanted[32] = "";

		for (unsigned i = 0; i < EARS; i++)
			if (w->ear[i] && look->tracks[i]) {
				char one[4] = {w->ear[i]->name, 'w', ' ', 0};

				strcat(wanted, one);
			}
		log_clear(w);
		CHECK_EQ(poke(w, 0, g, (uint8_t)g), look->host ? 0 : -EFAULT);
		CHECK_HEARD(w, wanted);
	}
}

static void test_add_passing(void)
{
	static struct scene x;

	for (unsigned i = 0; i < 2 * PASSING; i++) {
		const struct moment *m = &passing[i / 2];

		scene_at(&x, m, deed_add, i % 2);
		CHECK_EQ(slot_move(&x.w, 0, 0, 10), 0);
		CHECK_EQ(x.done, 1);
		if (m->adopted) {
			CHECK_PAGES(&x.s, 12, 16, 24, END);
			CHECK_PAGES(&x.f, 12, 16, 24, END);
			CHECK_PAGES(&x.r, 12, 16, 24, END);
		} else {
			CHECK_PAGES(&x.s, 12, 24, END);
			CHECK_PAGES(&x.f, 10, 14, 24, END);
			CHECK(x.too_late);
			CHECK_PAGES(&x.r, 24, END);
		}
		CHECK_EQ(x.s.gone, m->adopted ? 0 : 1);
		CHECK_EQ(x.f.gone, 0);
		CHECK(books_agree(&x.w));
		check_writes_heard(&x.w);
		/* Added twice: both adds have travelled. */
		CHECK_EQ(pagetrack_remove(x.s.node, 0, 12, 1, NULL), 0);
		CHECK(pagetrack_tracks(x.s.node, 0, 12));
		CHECK_EQ(pagetrack_remove(x.s.node, 0, 12, 1, NULL), 0);
		CHECK(!pagetrack_tracks(x.s.node, 0, 12));
		scene_close(&x);
	}
}

static void test_add_failing(void)
{
	static struct scene x;

	for (unsigned i = 0; i < 2 * FAILING; i++) {
		scene_at(&x, &failing[i / 2], deed_add, i % 2);
		x.w.backend.refuse_apply = -ENXIO;
		CHECK_EQ(slot_move(&x.w, 0, 0, 10), -ENXIO);
		CHECK_EQ(x.done, 1);
		CHECK_PAGES(&x.s, 8, 12, 24, END);
		CHECK_PAGES(&x.f, 8, 12, 24, END);
		if (x.too_late)
			CHECK_PAGES(&x.r, 24, END);
		else
			CHECK_PAGES(&x.r, 8, 12, 24, END);
		check_writes_heard(&x.w);
		x.w.backend.refuse_apply = 0;
		if (!x.too_late)
			CHECK_EQ(slot_move(&x.w, 0, 0, 10), -EBUSY);
		ear_close(&x.r);
		CHECK_EQ(slot_move(&x.w, 0, 0, 10), 0);
		CHECK_PAGES(&x.s, 12, 24, END);
		CHECK_PAGES(&x.f, 10, 14, 24, END);
		scene_close(&x);
	}
}

/* A slot that goes, and one that comes in its place. */
static void deed_add_old(struct scene *x)
{
	CHECK_EQ(pagetrack_add(x->s.node, 0, 8, 8, NULL), 0);
	CHECK_EQ(pagetrack_add(x->f.node, 0, 8, 8, NULL), 0);
}

static void test_add_replaced(void)
{
	static struct scene x;

	for (unsigned i = 0; i < 2 * PASSING; i++) {
		struct memslot_config c;
		struct memslot_txn *t;

		if (passing[i / 2].adopted)
			continue;
		scene_at(&x, &passing[i / 2], deed_add_old, i % 2);
		c = slot_config(&x.w, 0, 0, 12, 8, 32, 0);
		CHECK_EQ(memslot_begin(x.w.ms, &t, NULL), 0);
		memslot_delete(t, 0, 0);
		memslot_create(t, &c);
		CHECK_EQ(memslot_commit(t, NULL, NULL), 0);
		CHECK_PAGES(&x.s, 12, 13, 14, 15, END);
		CHECK_PAGES(&x.f, END);
		CHECK_EQ(x.s.gone, 4);
		CHECK_EQ(x.f.gone, 8);
		check_writes_heard(&x.w);
		scene_close(&x);
	}
}

/* No memory for the counts at the new place: the add fails, not the move. */
static void deed_add_no_memory(struct scene *x)
{
	fault_arm(&x->w.plan, FAULT_PAGETRACK_RESERVE, 1, true);
	memset(&x->w.err, 0, sizeof(x->w.err));
	CHECK_EQ(pagetrack_add(x->s.node, 0, 11, 2, &x->w.err), -ENOMEM);
	CHECK_EQ(x->w.err.code, -ENOMEM);
	CHECK_TEXT(x->w.err.text, "after the running transaction");
	CHECK_EQ(pagetrack_add(x->f.node, 0, 12, 1, NULL), -ENOMEM);
	/* A slot that stays where it is, or a page that goes: no need. */
	CHECK_EQ(pagetrack_add(x->s.node, 0, 24, 1, NULL), 0);
	CHECK_EQ(pagetrack_add(x->s.node, 0, 8, 2, NULL), 0);
	fault_arm(&x->w.plan, FAULT_TRACK_RESERVE, 1, false);
	/* Arrays: the old one is there since then, the new one is not. */
	CHECK_EQ(pagetrack_add(x->f.node, 0, 12, 1, &x->w.err), -ENOMEM);
	CHECK_TEXT(x->w.err.text, "track counts");
	CHECK_EQ(atomic_load(&x->w.plan.fired), 1);
	faults_off(&x->w);
	CHECK_EQ(pagetrack_size_pages(x->f.node), 0);
}

static void test_add_no_memory(void)
{
	static struct scene x;

	for (unsigned i = 0; i < PASSING; i++) {
		if (passing[i].adopted)
			continue;
		scene_at(&x, &passing[i], deed_add_no_memory, false);
		CHECK_EQ(slot_move(&x.w, 0, 0, 10), 0);
		CHECK_EQ(x.done, 1);
		CHECK_PAGES(&x.s, 24, END);
		CHECK_PAGES(&x.f, END);
		CHECK_EQ(x.s.gone, 2);
		scene_close(&x);
	}
}

/* ---- pages removed on the way -------------------------------------------- */

static void deed_remove(struct scene *x)
{
	CHECK_EQ(pagetrack_remove(x->s.node, 0, 12, 1, NULL), 0);
	CHECK_EQ(pagetrack_remove(x->f.node, 0, x->adopted ? 14 : 12, 1, NULL),
		0);
	CHECK_EQ(pagetrack_remove(x->s.node, 0, 8, 1, NULL),
		x->adopted ? -ENOENT : 0);
	CHECK_EQ(pagetrack_remove(x->f.node, 0, 24, 1, NULL), 0);
}

static void track_some(struct scene *x)
{
	struct ear *ears[] = {&x->s, &x->f};

	for (unsigned i = 0; i < 2; i++) {
		CHECK_EQ(pagetrack_add(ears[i]->node, 0, 8, 1, NULL), 0);
		CHECK_EQ(pagetrack_add(ears[i]->node, 0, 11, 2, NULL), 0);
		CHECK_EQ(pagetrack_add(ears[i]->node, 0, 24, 1, NULL), 0);
	}
}

static void test_remove_passing(void)
{
	static struct scene x;

	for (unsigned i = 0; i < 2 * PASSING; i++) {
		const struct moment *m = &passing[i / 2];

		scene_at(&x, m, deed_remove, i % 2);
		track_some(&x);
		CHECK_EQ(slot_move(&x.w, 0, 0, 10), 0);
		CHECK_EQ(x.done, 1);
		CHECK_PAGES(&x.s, 11, 24, END);
		CHECK_PAGES(&x.f, 10, 13, END);
		CHECK_EQ(x.s.gone, m->adopted ? 1 : 0);
		check_writes_heard(&x.w);
		scene_close(&x);
	}
}

static void test_remove_failing(void)
{
	static struct scene x;

	for (unsigned i = 0; i < 2 * FAILING; i++) {
		scene_at(&x, &failing[i / 2], deed_remove, i % 2);
		track_some(&x);
		x.w.backend.refuse_apply = -ENXIO;
		CHECK_EQ(slot_move(&x.w, 0, 0, 10), -ENXIO);
		CHECK_PAGES(&x.s, 11, 24, END);
		CHECK_PAGES(&x.f, 8, 11, END);
		check_writes_heard(&x.w);
		scene_close(&x);
	}
}

/* ---- nodes on the way ----------------------------------------------------- */

/* S leaves (perhaps from its own callback), and somebody new arrives. */
static void deed_nodes(struct scene *x)
{
	ear_close(&x->s);
	CHECK_EQ(ear_open(&x->w, &x->late, 'L', PAGETRACK_FOLLOW), 0);
	CHECK_EQ(pagetrack_add(x->late.node, 0, 12, 1, NULL), 0);
}

static void test_nodes_passing(void)
{
	static struct scene x;

	for (unsigned i = 0; i < 2 * PASSING; i++) {
		const struct moment *m = &passing[i / 2];

		/* From another thread, leaving waits for the callback. */
		if (i % 2 && m->who == 'S')
			continue;
		scene_at(&x, m, deed_nodes, i % 2);
		track_some(&x);
		CHECK_EQ(slot_move(&x.w, 0, 0, 10), 0);
		CHECK_EQ(x.done, 1);
		CHECK_PAGES(&x.f, 10, 13, 14, 24, END);
		CHECK_PAGES(&x.late, m->adopted ? 12 : 14, END);
		CHECK_EQ(x.late.cancels + x.late.aborts, 0);
		CHECK(x.late.commits <= 1);
		CHECK_EQ(x.late.gone, 0);
		if (m->when != 'k') {
			CHECK_EQ(x.late.commits, 1);
			CHECK_EQ(x.s.commits, 0);
		}
		check_writes_heard(&x.w);
		log_clear(&x.w);
		CHECK_EQ(slot_move(&x.w, 0, 0, 8), 0);
		CHECK_HEARD(&x.w, "Fp Rp Lp Ff Rf Lf Fk Rk Lk ");
		scene_close(&x);
	}
}

static void test_nodes_failing(void)
{
	static struct scene x;

	for (unsigned i = 0; i < 2 * FAILING; i++) {
		const struct moment *m = &failing[i / 2];

		if (i % 2 && m->who == 'S')
			continue;
		scene_at(&x, m, deed_nodes, i % 2);
		track_some(&x);
		x.w.backend.refuse_apply = -ENXIO;
		CHECK_EQ(slot_move(&x.w, 0, 0, 10), -ENXIO);
		CHECK_EQ(x.done, 1);
		CHECK_PAGES(&x.f, 8, 11, 12, 24, END);
		CHECK_PAGES(&x.late, 12, END);
		/* Cancelled exactly if it was asked. */
		CHECK_EQ(x.late.prepares, x.late.cancels);
		CHECK_EQ(x.late.commits, 0);
		CHECK(x.s.cancels <= x.s.prepares);
		check_writes_heard(&x.w);
		scene_close(&x);
	}
}

/* A node that refuses and leaves in the same breath. */
static void act_refuse_and_leave(
	struct ear *e, char what, const struct pagetrack_write *wr)
{
	(void)wr;
	if (what != 'p')
		return;
	e->refuse = -EXDEV;
	ear_close(e);
}

static void test_refuse_and_leave(void)
{
	static struct scene x;

	scene_open(&x);
	track_some(&x);
	x.f.act = act_refuse_and_leave;
	CHECK_EQ(slot_move(&x.w, 0, 0, 10), -EXDEV);
	CHECK_HEARD(&x.w, "Sp Fp Sc ");
	CHECK_PAGES(&x.s, 8, 11, 12, 24, END);
	CHECK_EQ(slot_move(&x.w, 0, 0, 10), 0);
	CHECK_HEARD(&x.w, "Sp Rp Sf Rf Sk Rk ");
	scene_close(&x);
}

/* ---- what a callback must not --------------------------------------------- */

static void deed_commit(struct scene *x)
{
	struct memslot_error err = {0};

	CHECK_EQ(memslots_move_slot(
			 x->w.ms, 0, 1, 40 * PAGE, MEMSLOT_MOVE_KEEP, &err),
		-EDEADLK);
	CHECK_TEXT(err.text, "callback");
}

static void test_no_commit_inside(void)
{
	static struct scene x;
	uint64_t was;

	for (unsigned i = 0; i < PASSING; i++) {
		scene_at(&x, &passing[i], deed_commit, false);
		track_some(&x);
		was = memslots_generation(x.w.ms);
		CHECK_EQ(slot_move(&x.w, 0, 0, 10), 0);
		CHECK_EQ(x.done, 1);
		CHECK_EQ(memslots_generation(x.w.ms), was + 1);
		CHECK_PAGES(&x.s, 11, 12, 24, END);
		scene_close(&x);
	}
}

/* ---- writes that meet a change -------------------------------------------- */

/* Held before a move, reported after it: it reaches whoever tracked then. */
static void test_hold_over_move(void)
{
	const struct pagetrack_source cpu = {PAGETRACK_CPU, 1};
	static struct scene x;
	struct pagetrack_hold h;

	for (unsigned kind = 0; kind < 3; kind++) {
		scene_open(&x);
		track_some(&x);
		memslot_enter(&x.w.r);
		pagetrack_hold(x.w.pt, &h, 0, 12 * PAGE + 4, 4);
		memslot_leave(&x.w.r);
		if (kind == 0)
			CHECK_EQ(slot_move(&x.w, 0, 0, 40), 0);
		else if (kind == 1)
			CHECK_EQ(slot_move(&x.w, 0, 0, 10), 0);
		else
			CHECK_EQ(memslots_delete_slot(x.w.ms, 0, 0, NULL), 0);
		log_clear(&x.w);
		pagetrack_report(x.w.pt, &h,
			&(struct pagetrack_write){.gpa = 12 * PAGE + 4,
				.bytes = "late",
				.len = 4,
				.source = cpu});
		CHECK_HEARD(&x.w, "Sw Fw ");
		CHECK_EQ(x.s.last.gpa, 12 * PAGE + 4);
		CHECK_EQ(x.f.last.gpa, 12 * PAGE + 4);
		CHECK(!memcmp(x.f.bytes, "late", 4));
		scene_close(&x);
	}
}

struct writer {
	struct world *w;
	gfn_t gfn;
	int result;
	atomic_int started, finished;
};

static struct writer late_writer;
static pthread_t late_thread;

static void *write_one(void *arg)
{
	const struct pagetrack_source dev = {PAGETRACK_DEVICE, 7};
	struct writer *wr = arg;
	struct memslot_reader r;

	memslot_reader_init(&r, wr->w->ms, NULL, NULL);
	atomic_store(&wr->started, 1);
	wr->result = pagetrack_guest_write(
		wr->w->pt, &r, 0, wr->gfn * PAGE, "w", 1, dev);
	atomic_store(&wr->finished, 1);
	memslot_reader_fini(&r);
	return NULL;
}

static void deed_start_writer(struct scene *x)
{
	late_writer.w = &x->w;
	atomic_store(&late_writer.started, 0);
	atomic_store(&late_writer.finished, 0);
	CHECK_EQ(
		pthread_create(&late_thread, NULL, write_one, &late_writer), 0);
	while (!atomic_load(&late_writer.started))
		sched_yield();
	for (int i = 0; i < 100; i++)
		sched_yield();
	CHECK_EQ(atomic_load(&late_writer.finished), 0);
}

/* A write in the window is not lost: it is done and heard afterwards. */
static void test_write_in_window(void)
{
	static const struct {
		gfn_t gfn;
		int refuse;
		int result;
		const char *heard;
		gfn_t host; /* page that holds it */
	} cases[] = {
		{12, 0, 0, "Sw ", 2},
		{14, 0, 0, "Fw ", 4},
		{8, 0, -EFAULT, "", 0},
		{12, -ENXIO, 0, "Sw Fw ", 4},
		{8, -ENXIO, 0, "Sw Fw ", 0},
	};
	static const struct moment at = {'b', 'f', false};
	static struct scene x;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *heard;

		scene_at(&x, &at, deed_start_writer, false);
		track_some(&x);
		late_writer.gfn = cases[i].gfn;
		x.w.backend.refuse_apply = cases[i].refuse;
		CHECK_EQ(slot_move(&x.w, 0, 0, 10), cases[i].refuse);
		pthread_join(late_thread, NULL);
		CHECK_EQ(late_writer.result, cases[i].result);
		heard = strchr(x.w.log, 'w');
		CHECK(cases[i].heard[0] ? heard != NULL : heard == NULL);
		/* w also stands last when aborts were heard meanwhile */
		CHECK_EQ(x.s.writes, strstr(cases[i].heard, "Sw") != NULL);
		CHECK_EQ(x.f.writes, strstr(cases[i].heard, "Fw") != NULL);
		if (!cases[i].result)
			CHECK_EQ(x.w.mem[cases[i].host * PAGE], 'w');
		scene_close(&x);
	}
}

/* ---- memory, from callbacks ----------------------------------------------- */

/*
 * "Callbacks may ... read and write guest memory": also memory that is being
 * moved, and then too they must come back. In a child, since a callback that
 * waits for its own transaction would wait forever.
 */
static void deed_touch(struct scene *x)
{
	gfn_t gfn = x->adopted ? 10 : 8;
	unsigned char b = 1;

	pagetrack_guest_read(&x->w.r, 0, gfn * PAGE, &b, 1);
	poke(&x->w, 0, 24, 3);
	poke(&x->w, 0, gfn, 4);
}

static int touch_in_child(const struct moment *m, bool fail)
{
	static struct scene x;
	int status = 0;
	pid_t child;

	fflush(NULL);
	child = fork();
	if (child == 0) {
		alarm(5);
		scene_at(&x, m, deed_touch, false);
		track_some(&x);
		x.w.backend.refuse_apply = fail ? -ENXIO : 0;
		slot_move(&x.w, 0, 0, 10);
		_exit(x.done == 1 ? 0 : 1);
	}
	if (!CHECK(child > 0))
		return 0;
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 1;
	fprintf(stderr, "  callback of %c at %c%s: child %s\n", m->who, m->when,
		fail ? " (fails)" : "",
		WIFSIGNALED(status) ? "hangs" : "fails");
	return 0;
}

static void test_touch_memory(void)
{
	static const struct moment touch_passing[] = {
		{'S', 'p', false}, {'S', 'f', false}, {'S', 'k', true}};
	static const struct moment touch_failing[] = {
		{'S', 'c', false}, {'S', 'a', false}};

	for (unsigned i = 0; i < 3; i++)
		CHECK(touch_in_child(&touch_passing[i], false));
	for (unsigned i = 0; i < 2; i++)
		CHECK(touch_in_child(&touch_failing[i], true));
}

/* ---- before register has returned --------------------------------------- */

/*
 * A change can come between the moment a node is in the list and the one its
 * caller goes on. Its callbacks must find what register gives: `*out`. To
 * get there: another thread is stopped under the tracker's lock, in its
 * allocation, until register waits for the lock; an unlock that wakes comes
 * right after the node is in the list.
 */
static _Thread_local int in_add, in_register;
static atomic_int add_holds, register_waits;
static struct world *early_world;
static int early_heard, early_known;

static void *early_alloc(void *ctx, size_t size)
{
	if (in_add) {
		in_add = 0;
		atomic_store(&add_holds, 1);
		for (unsigned i = 0;
			i < 200000 && !atomic_load(&register_waits); i++)
			sched_yield();
	}
	return memslot_hosted.alloc(ctx, size);
}

static void early_wait(void *ctx, _Atomic(uint32_t) *word, uint32_t seen)
{
	if (in_register)
		atomic_store(&register_waits, 1);
	memslot_hosted.wait(ctx, word, seen);
}

static void *early_move(void *arg)
{
	CHECK_EQ(slot_move(arg, 0, 0, 10), 0);
	return NULL;
}

static void early_wake(void *ctx, _Atomic(uint32_t) *word)
{
	pthread_t thread;

	memslot_hosted.wake(ctx, word);
	if (!in_register)
		return;
	in_register = 0;
	CHECK_EQ(pthread_create(&thread, NULL, early_move, early_world), 0);
	pthread_join(thread, NULL);
}

static void act_early(struct ear *e, char what, const struct pagetrack_write *w)
{
	(void)what;
	(void)w;
	early_heard++;
	early_known += e->node != NULL;
}

/* As ear_open(), but deaf to nothing from the first moment. */
static void early_register(struct world *w, struct ear *e)
{
	memset(e, 0, sizeof(*e));
	e->w = w;
	e->name = 'E';
	e->act = act_early;
	in_register = 1;
	CHECK_EQ(pagetrack_register(
			 w->pt, &ear_ops, e, PAGETRACK_FOLLOW, &e->node, NULL),
		0);
	in_register = 0;
}

static void *early_add(void *arg)
{
	struct ear *e = arg;

	in_add = 1;
	CHECK_EQ(pagetrack_add(e->node, 0, 12, 1, NULL), 0);
	return NULL;
}

static void test_heard_before_register_returns(void)
{
	struct memslot_platform pf = memslot_hosted;
	struct ear first, early;
	pthread_t thread;
	struct world w;

	pf.alloc = early_alloc;
	pf.wait = early_wait;
	pf.wake = early_wake;
	early_world = &w;
	world_open_on(&w, &pf);
	CHECK_EQ(slot_new(&w, 0, 0, 8, 8, 0, 0), 0);
	CHECK_EQ(ear_open(&w, &first, 'A', PAGETRACK_STAY), 0);
	CHECK_EQ(pthread_create(&thread, NULL, early_add, &first), 0);
	while (!atomic_load(&add_holds))
		sched_yield();
	early_register(&w, &early);
	pthread_join(thread, NULL);
	CHECK_EQ(early_heard, 3); /* prepare, flush, committed */
	CHECK_EQ(early_known, 3);
	pagetrack_unregister(early.node);
	ear_close(&first);
	world_close(&w);
}

/* ---- after the end ---------------------------------------------------------- */

static int apply_yes(
	void *ctx, const struct memslot_txn *t, struct memslot_error *err)
{
	(void)ctx;
	(void)t;
	(void)err;
	return 0;
}

static int undo_no(void *ctx, const struct memslot_txn *t)
{
	(void)ctx;
	(void)t;
	return -EIO;
}

/* A machine whose undo failed is taken down in order, with its tracker. */
static void test_broken(void)
{
	static const struct memslot_participant_ops stubborn_ops = {
		.name = "stubborn", .apply = apply_yes, .undo = undo_no};
	struct memslot_participant stubborn = {.ops = &stubborn_ops};
	static struct scene x;

	scene_open(&x);
	/* Between the tracker and the backend. */
	CHECK_EQ(memslots_quit(x.w.ms, &x.w.backend.part), 0);
	CHECK_EQ(memslots_join(x.w.ms, &stubborn), 0);
	CHECK_EQ(memslots_join(x.w.ms, &x.w.backend.part), 0);
	track_some(&x);
	x.w.backend.refuse_apply = -ENXIO;
	CHECK_EQ(slot_move(&x.w, 0, 0, 10), -EIO);
	CHECK(memslots_broken(x.w.ms));
	CHECK_EQ(slot_move(&x.w, 0, 1, 40), -EIO);
	CHECK_EQ(poke(&x.w, 0, 12, 1), -EFAULT);
	/* The transaction is gone: nothing may ask it any more. */
	CHECK_EQ(pagetrack_add(x.f.node, 0, 9, 1, NULL), 0);
	CHECK_EQ(pagetrack_add(x.s.node, 0, 9, 1, NULL), 0);
	CHECK_EQ(pagetrack_remove(x.f.node, 0, 9, 1, NULL), 0);
	CHECK_PAGES(&x.s, 8, 9, 11, 12, 24, END);
	CHECK_EQ(memslots_quit(x.w.ms, &stubborn), 0);
	ear_close(&x.s);
	ear_close(&x.f);
	ear_close(&x.r);
	world_close(&x.w);
}

/* Many times over: nothing is left behind by one for the next. */
static void test_again_and_again(void)
{
	static struct scene x;

	scene_open(&x);
	track_some(&x);
	for (unsigned i = 0; i < 200; i++) {
		x.w.backend.refuse_apply = i % 3 == 1 ? -ENXIO : 0;
		x.w.backend.refuse_prepare = i % 5 == 1 ? -ENODEV : 0;
		slot_move(&x.w, 0, 0, i % 2 ? 8 : 10);
		if (i % 7 == 0)
			slot_move(&x.w, 0, 1, i % 2 ? 24 : 25);
		log_clear(&x.w);
		CHECK(books_agree(&x.w));
		CHECK_EQ(pagetrack_size_pages(x.f.node), 4);
	}
	scene_close(&x);
}

int main(void)
{
	test_touch_memory();
	test_add_passing();
	test_add_failing();
	test_add_replaced();
	test_add_no_memory();
	test_remove_passing();
	test_remove_failing();
	test_nodes_passing();
	test_nodes_failing();
	test_refuse_and_leave();
	test_no_commit_inside();
	test_hold_over_move();
	test_write_in_window();
	test_again_and_again();
	test_heard_before_register_returns();
	test_broken();
	return TEST_END("track_txn");
}
