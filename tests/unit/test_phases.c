/* SPDX-License-Identifier: MIT */
/*
 * test_phases.c - who is called when: on success, when each phase fails, in
 * our order and in the legacy one, when an undo is refused, and when a
 * callback asks for what it must not have
 */
#include <pthread.h>

#include "tests/unit/slots.h"

static struct bed b;

/* ---- participants that write down what they hear ------------------------ */

static char heard[1024];

struct recorder {
	struct memslot_participant p;
	char name;
	int prepare, apply, undo; /* what to answer */
};

static struct recorder a[3];

static void hear(const struct recorder *r, const char *what)
{
	size_t len = strlen(heard);

	snprintf(heard + len, sizeof(heard) - len, "%s%c.%s", len ? " " : "",
		r->name, what);
}

static int answer(int code, struct memslot_error *err)
{
	if (code) {
		err->code = code;
		snprintf(err->text, sizeof(err->text), "no, says %d", code);
	}
	return code;
}

static int rec_prepare(
	void *ctx, const struct memslot_txn *t, struct memslot_error *err)
{
	struct recorder *r = ctx;

	(void)t;
	hear(r, "prepare");
	CHECK(err != NULL);
	return answer(r->prepare, err);
}

static int rec_apply(
	void *ctx, const struct memslot_txn *t, struct memslot_error *err)
{
	struct recorder *r = ctx;

	(void)t;
	hear(r, "apply");
	CHECK(err != NULL);
	return answer(r->apply, err);
}

static int rec_undo(void *ctx, const struct memslot_txn *t)
{
	struct recorder *r = ctx;

	(void)t;
	hear(r, "undo");
	return r->undo;
}

#define RECORD(what)                                                   \
	static void rec_##what(void *ctx, const struct memslot_txn *t) \
	{                                                              \
		(void)t;                                               \
		hear(ctx, #what);                                      \
	}
RECORD(cancel)
RECORD(flush)
RECORD(adopt)
RECORD(committed)
RECORD(aborted)

static void rec_broken(void *ctx)
{
	hear(ctx, "broken");
}

static void rec_protect(
	void *ctx, unsigned space, gfn_t gfn, uint64_t size_pages)
{
	char text[40];

	snprintf(text, sizeof(text), "protect(%u,%u,%u)", space, (unsigned)gfn,
		(unsigned)size_pages);
	hear(ctx, text);
}

static const struct memslot_participant_ops recorder_ops = {
	.name = "recorder",
	.prepare = rec_prepare,
	.cancel = rec_cancel,
	.flush = rec_flush,
	.apply = rec_apply,
	.undo = rec_undo,
	.adopt = rec_adopt,
	.committed = rec_committed,
	.aborted = rec_aborted,
	.protect = rec_protect,
	.broken = rec_broken,
};
static const struct memslot_participant_ops deaf_ops = {.name = "deaf"};
static struct memslot_participant deaf = {.ops = &deaf_ops};

/* Slot 1 at 0x10, 4 pages, and three recorders a, b and c. */
static void open_recorded(const struct memslot_order *order)
{
	bed_open(&b, 1);
	CHECK_EQ(bed_create(&b, 0, 1, 0x10, 4, 0, MEMSLOT_LOG_DIRTY), 0);
	memslots_set_order(b.ms, order);
	memslots_join(b.ms, &deaf);
	for (unsigned i = 0; i < 3; i++) {
		a[i] = (struct recorder){.name = (char)('a' + i)};
		a[i].p.ops = &recorder_ops;
		a[i].p.ctx = &a[i];
		CHECK_EQ(memslots_join(b.ms, &a[i].p), 0);
	}
	heard[0] = '\0';
	memset(&b.err, 0, sizeof(b.err));
}

static void close_recorded(void)
{
	for (unsigned i = 0; i < 3; i++)
		CHECK_EQ(memslots_quit(b.ms, &a[i].p), 0);
	memslots_quit(b.ms, &deaf);
	bed_close(&b);
}

static void was_heard(const char *want)
{
	if (!CHECK(strcmp(heard, want) == 0))
		fprintf(stderr, "want %s\n got %s\n", want, heard);
	heard[0] = '\0';
}

static int move_to(gpa_t gpa)
{
	return memslots_move_slot(
		b.ms, 0, 1, gpa, MEMSLOT_MOVE_MARK_ALL, &b.err);
}

/* After a failure: as before, and the same change works now. */
static void as_before(void)
{
	CHECK_EQ(memslots_generation(b.ms), 1);
	CHECK(bed_has(&b, 0, 1, 0x10, 4, 0, MEMSLOT_LOG_DIRTY));
	CHECK_EQ(bed_count(&b), 1);
	CHECK(!memslots_broken(b.ms));
	for (unsigned i = 0; i < 3; i++)
		a[i].prepare = a[i].apply = a[i].undo = 0;
	memslots_set_faults(b.ms, NULL);
	CHECK_EQ(move_to(0x20000), 0);
	CHECK_EQ(memslots_generation(b.ms), 2);
	CHECK(bed_has(&b, 0, 1, 0x20, 4, 0, MEMSLOT_LOG_DIRTY));
	close_recorded();
}

#define PREPARES   "a.prepare b.prepare c.prepare"
#define FLUSHES    "a.flush b.flush c.flush"
#define APPLIES    "a.apply b.apply c.apply"
#define ADOPTS     "a.adopt b.adopt c.adopt"
#define COMMITTEDS "a.committed b.committed c.committed"
#define CANCELS    "c.cancel b.cancel a.cancel"
#define ABORTEDS   "a.aborted b.aborted c.aborted"
#define BROKENS    "a.broken b.broken c.broken"
#define OURS       (&memslot_order_ours)
#define LEGACY     (&memslot_order_legacy)

/* ---- success ------------------------------------------------------------ */

static void test_success(void)
{
	open_recorded(OURS);
	CHECK_EQ(move_to(0x20000), 0);
	was_heard(PREPARES " " FLUSHES " " APPLIES " " ADOPTS " " COMMITTEDS);
	CHECK_EQ(memslots_set_slot_flags(b.ms, 0, 1, 0, NULL), 0);
	was_heard(PREPARES " " FLUSHES " " APPLIES " " ADOPTS " " COMMITTEDS);
	/* nothing old is touched: nothing to flush */
	CHECK_EQ(bed_create(&b, 0, 2, 0x80, 4, 4, 0), 0);
	was_heard(PREPARES " " APPLIES " " ADOPTS " " COMMITTEDS);
	CHECK_EQ(memslots_delete_slot(b.ms, 0, 2, NULL), 0);
	was_heard(PREPARES " " FLUSHES " " APPLIES " " ADOPTS " " COMMITTEDS);
	close_recorded();
}

static void test_success_legacy(void)
{
	open_recorded(LEGACY);
	CHECK_EQ(move_to(0x20000), 0);
	was_heard(FLUSHES " " PREPARES " " APPLIES " " ADOPTS " " COMMITTEDS);
	CHECK_EQ(bed_create(&b, 0, 2, 0x80, 4, 4, 0), 0);
	was_heard(PREPARES " " APPLIES " " ADOPTS " " COMMITTEDS);
	close_recorded();
}

/* Transactions that do nothing, or are wrong, are heard by nobody. */
static void test_silence(const struct memslot_order *order)
{
	struct memslot_txn *t;

	open_recorded(order);
	CHECK_EQ(move_to(0x10000), 0);
	CHECK_EQ(memslot_commit(bed_begin(&b), NULL, NULL), 0);
	CHECK_EQ(move_to(0x10001), -EINVAL);
	CHECK_EQ(bed_create(&b, 0, 2, 0x12, 4, 4, 0), -EEXIST);
	CHECK_EQ(memslots_delete_slot(b.ms, 0, 2, NULL), -ENOENT);
	t = bed_begin(&b);
	memslot_delete(t, 0, 1);
	memslot_discard(t);
	was_heard("");
	as_before();
}

/* ---- failure ------------------------------------------------------------ */

static void test_prepare_refused(const struct memslot_order *order)
{
	static const char *const ours[] = {"a.prepare",
		"a.prepare b.prepare a.cancel",
		"a.prepare b.prepare c.prepare b.cancel a.cancel"};

	for (unsigned i = 0; i < 3; i++) {
		char want[300];
		bool legacy = order == LEGACY;

		open_recorded(order);
		a[i].prepare = -EBUSY;
		CHECK_EQ(move_to(0x20000), -EBUSY);
		CHECK_EQ(b.err.code, -EBUSY);
		CHECK_TEXT(b.err.text, "no, says -16");
		snprintf(want, sizeof(want), "%s%s%s",
			legacy ? FLUSHES " " : "", ours[i],
			legacy ? " " ABORTEDS : "");
		was_heard(want);
		as_before();
	}
}

static void test_apply_refused(const struct memslot_order *order)
{
	static const char *const back[] = {"a.apply", "a.apply b.apply a.undo",
		"a.apply b.apply c.apply b.undo a.undo"};

	for (unsigned i = 0; i < 3; i++) {
		char want[400];

		open_recorded(order);
		a[i].apply = -ENXIO;
		CHECK_EQ(move_to(0x20000), -ENXIO);
		CHECK_EQ(b.err.code, -ENXIO);
		snprintf(want, sizeof(want), "%s %s %s " CANCELS " " ABORTEDS,
			order == LEGACY ? FLUSHES : PREPARES,
			order == LEGACY ? PREPARES : FLUSHES, back[i]);
		was_heard(want);
		as_before();
	}
}

/* A failed create made nothing invalid: no flush, and no `aborted`. */
static void test_create_refused(const struct memslot_order *order)
{
	open_recorded(order);
	a[1].apply = -ENXIO;
	CHECK_EQ(bed_create(&b, 0, 2, 0x80, 4, 4, 0), -ENXIO);
	was_heard(PREPARES " a.apply b.apply a.undo " CANCELS);
	a[1].apply = 0;
	a[2].prepare = -EPERM;
	CHECK_EQ(bed_create(&b, 0, 2, 0x80, 4, 4, 0), -EPERM);
	was_heard(PREPARES " b.cancel a.cancel");
	as_before();
}

/* No memory for metadata: ours tells nobody, legacy has flushed already. */
static void test_no_memory(const struct memslot_order *order, unsigned point)
{
	struct fault_plan plan = {0};

	open_recorded(order);
	memslots_set_faults(b.ms, &plan);
	fault_arm(&plan, point, 1, false);
	CHECK_EQ(move_to(0x20000), -ENOMEM);
	CHECK_EQ(plan.fired, 1);
	CHECK_EQ(b.err.code, -ENOMEM);
	was_heard(order == LEGACY ? FLUSHES " " ABORTEDS : "");
	as_before();
}

static void test_injected_refusals(void)
{
	struct fault_plan plan = {0};

	open_recorded(OURS);
	memslots_set_faults(b.ms, &plan);
	/* the first to be asked is the deaf one */
	fault_arm(&plan, FAULT_PREPARE_PARTICIPANT, 3, false);
	CHECK_EQ(move_to(0x20000), -EBUSY);
	CHECK_TEXT(b.err.text, "recorder");
	was_heard("a.prepare a.cancel");
	fault_arm(&plan, FAULT_APPLY_PARTICIPANT, 2, false);
	CHECK_EQ(move_to(0x20000), -ENOMEM);
	CHECK_TEXT(b.err.text, "recorder");
	was_heard(PREPARES " " FLUSHES " a.apply a.undo " CANCELS " " ABORTEDS);
	as_before();
}

/*
 * Who prepared and applied in one transaction has not done so in the next.
 */
static void test_steps_are_forgotten(void)
{
	struct fault_plan plan = {0};

	open_recorded(OURS);
	CHECK_EQ(move_to(0x20000), 0);
	CHECK_EQ(move_to(0x10000), 0);
	heard[0] = '\0';
	CHECK_EQ(move_to(0x10008), -EINVAL);
	memslots_set_faults(b.ms, &plan);
	fault_arm(&plan, FAULT_PREPARE_LARGE, 1, false);
	CHECK_EQ(move_to(0x20000), -ENOMEM);
	was_heard("");
	a[0].prepare = -EBUSY;
	CHECK_EQ(move_to(0x20000), -EBUSY);
	was_heard("a.prepare");
	close_recorded();
}

static void test_quitting(void)
{
	open_recorded(OURS);
	memslots_quit(b.ms, &a[1].p);
	CHECK_EQ(move_to(0x20000), 0);
	was_heard("a.prepare c.prepare a.flush c.flush a.apply c.apply "
		  "a.adopt c.adopt a.committed c.committed");
	memslots_quit(b.ms, &a[0].p);
	memslots_join(b.ms, &a[0].p); /* at the end now */
	a[0].apply = -EAGAIN;
	CHECK_EQ(move_to(0x30000), -EAGAIN);
	was_heard("c.prepare a.prepare c.flush a.flush c.apply a.apply "
		  "c.undo a.cancel c.cancel c.aborted a.aborted");
	memslots_join(b.ms, &a[1].p);
	close_recorded();
}

static void test_protect(void)
{
	struct memslot_harvest *h;

	open_recorded(OURS);
	memslots_protect(b.ms, 0, 7, 9);
	was_heard("a.protect(0,7,9) b.protect(0,7,9) c.protect(0,7,9)");
	CHECK_EQ(memslot_harvest(b.ms, 0, 1, &h, &b.err), 0);
	was_heard("a.protect(0,16,4) b.protect(0,16,4) c.protect(0,16,4)");
	memslot_harvest_done(h);
	was_heard("");
	close_recorded();
}

/* ---- the end of the machine --------------------------------------------- */

static struct memslot_reader second;
static bool came_back;

static void *try_to_read(void *arg)
{
	(void)arg;
	came_back = memslot_enter_at(&second, 0, 0x10) == NULL;
	memslot_leave(&second);
	return NULL;
}

static pthread_t reader_thread;

static void reader_comes(void *ctx, const struct memslot_txn *t)
{
	unsigned long waits = b.waits;

	(void)ctx;
	(void)t;
	pthread_create(&reader_thread, NULL, try_to_read, NULL);
	bed_until_waits(&b, waits + 1);
}

static const struct memslot_participant_ops lets_read = {
	.name = "lets read", .flush = reader_comes};

static void is_broken(void)
{
	struct memslot_result res = {0};
	struct memslot_txn *t;
	long live = b.live;

	CHECK(memslots_broken(b.ms));
	CHECK_EQ(memslots_generation(b.ms), 1);
	heard[0] = '\0';
	t = bed_begin(&b);
	memslot_move(t, 0, 1, 0x20000, MEMSLOT_MOVE_KEEP);
	CHECK_EQ(memslot_commit(t, &res, &b.err), -EIO);
	CHECK_EQ(b.err.code, -EIO);
	CHECK_EQ(res.changes, 0);
	CHECK_EQ(res.generation, 1);
	CHECK_TEXT(b.err.text, "broken");
	CHECK_EQ(memslot_commit(bed_begin(&b), NULL, &b.err), -EIO);
	CHECK_EQ(bed_create(&b, 0, 9, 0x90, 1, 0, 0), -EIO);
	CHECK_EQ(memslots_delete_slot(b.ms, 0, 1, NULL), -EIO);
	was_heard("");
	CHECK_EQ(b.live, live);
	CHECK_EQ(memslots_generation(b.ms), 1);
	/* readers learn it and do not hang */
	CHECK(memslot_enter_at(&b.r, 0, 0x10) == NULL);
	memslot_leave(&b.r);
	memslot_wait_valid(&b.r);
}

/* c refuses, b or a can not go back: nobody further is asked. */
static void test_undo_refused(const struct memslot_order *order, unsigned who)
{
	struct memslot_participant p = {.ops = &lets_read};
	char want[400];

	open_recorded(order);
	memslot_reader_init(&second, b.ms, NULL, NULL);
	memslots_join(b.ms, &p);
	came_back = false;
	a[2].apply = -ENOSPC;
	a[who].undo = -EINVAL;
	CHECK_EQ(move_to(0x20000), -EIO);
	CHECK_EQ(b.err.code, -EIO);
	CHECK_TEXT(b.err.text, "undo");
	snprintf(want, sizeof(want), "%s %s " APPLIES " b.undo%s " BROKENS,
		order == LEGACY ? FLUSHES : PREPARES,
		order == LEGACY ? PREPARES : FLUSHES,
		who == 0 ? " a.undo" : "");
	was_heard(want);
	pthread_join(reader_thread, NULL);
	CHECK(came_back);
	is_broken();
	memslots_quit(b.ms, &p);
	memslot_reader_fini(&second);
	close_recorded();
}

static void test_undo_injected(void)
{
	struct fault_plan plan = {0};

	open_recorded(OURS);
	memslots_set_faults(b.ms, &plan);
	a[2].apply = -ENOSPC;
	fault_arm(&plan, FAULT_UNDO_PARTICIPANT, 2, false);
	CHECK_EQ(move_to(0x20000), -EIO);
	was_heard(PREPARES " " FLUSHES " " APPLIES " b.undo " BROKENS);
	is_broken();
	close_recorded();
}

/* ---- what callbacks may ask --------------------------------------------- */

struct want {
	enum memslot_change_kind kind;
	unsigned id, op;
	bool keep;
};

static const struct want wants[] = {
	{MEMSLOT_CHANGE_MOVE, 1, 4, true},
	{MEMSLOT_CHANGE_DELETE, 2, 1, false},
	{MEMSLOT_CHANGE_FLAGS, 3, 2, false},
	{MEMSLOT_CHANGE_REPLACE, 4, 5, false},
	{MEMSLOT_CHANGE_CREATE, 9, 6, false},
};
#define WANTS (sizeof(wants) / sizeof(wants[0]))
static unsigned asked;

static void check_change(const struct memslot_change *c)
{
	const struct want *w = NULL;
	unsigned id = c->from ? c->from->id : c->to->id;

	for (unsigned i = 0; i < WANTS; i++)
		if (wants[i].id == id)
			w = &wants[i];
	if (!CHECK(w != NULL))
		return;
	CHECK_EQ(c->kind, w->kind);
	CHECK_EQ(c->op, w->op);
	CHECK_EQ(c->mark_dirty, c->kind == MEMSLOT_CHANGE_MOVE && !w->keep);
	CHECK_EQ(c->from == NULL, w->kind == MEMSLOT_CHANGE_CREATE);
	CHECK_EQ(c->to == NULL, w->kind == MEMSLOT_CHANGE_DELETE);
	if (c->to)
		CHECK_EQ(c->to->id, id);
	if (c->to && c->from && w->kind != MEMSLOT_CHANGE_REPLACE)
		CHECK(c->to->host == c->from->host);
}

static void ask(const struct memslot_txn *t)
{
	const struct memslot_change *c;
	const struct memslot *s;
	size_t count;

	asked++;
	c = memslot_txn_changes(t, &count);
	CHECK_EQ(count, WANTS);
	for (size_t i = 0; i < count; i++)
		check_change(&c[i]);
	CHECK(memslot_txn_order(t) == OURS);
	s = memslot_txn_find(t, 0, 0x83);
	CHECK(s && s->id == 1 && s->base_gfn == 0x80);
	s = memslot_txn_find(t, 0, 0x30);
	CHECK(s && s->flags == MEMSLOT_READONLY);
	s = memslot_txn_find(t, 0, 0x60); /* one that does not change */
	CHECK(s && s->id == 6);
	CHECK(!memslot_txn_find(t, 0, 0x10));
	CHECK(!memslot_txn_find(t, 0, 0x20));
	CHECK(!memslot_txn_find(t, 0, 0x84));
}

static int ask_prepare(
	void *ctx, const struct memslot_txn *t, struct memslot_error *err)
{
	(void)ctx;
	(void)err;
	ask(t);
	return 0;
}

static void ask_any(void *ctx, const struct memslot_txn *t)
{
	(void)ctx;
	ask(t);
}

static const struct memslot_participant_ops asker = {.name = "asker",
	.prepare = ask_prepare,
	.apply = ask_prepare,
	.flush = ask_any,
	.adopt = ask_any,
	.committed = ask_any};

static void test_questions(void)
{
	struct memslot_participant p = {.ops = &asker};
	struct memslot_config c;
	struct memslot_txn *t;

	bed_open(&b, 1);
	for (unsigned id = 1; id <= 6; id++)
		bed_create(&b, 0, id, id * 0x10, 4, id * 4, 0);
	memslots_join(b.ms, &p);
	t = bed_begin(&b);
	memslot_move(t, 0, 1, 0x70000, MEMSLOT_MOVE_MARK_ALL);
	memslot_delete(t, 0, 2);
	memslot_set_flags(t, 0, 3, MEMSLOT_READONLY);
	memslot_delete(t, 0, 4);
	memslot_move(t, 0, 1, 0x80000, MEMSLOT_MOVE_KEEP);
	c = bed_config(&b, 0, 4, 0x44, 2, 90, 0);
	memslot_create(t, &c);
	c = bed_config(&b, 0, 9, 0x90, 2, 90, 0);
	memslot_create(t, &c);
	memslot_set_flags(t, 0, 5, 0); /* no change of it */
	CHECK_EQ(memslot_commit(t, NULL, &b.err), 0);
	CHECK_EQ(asked, 5);
	memslots_quit(b.ms, &p);
	bed_close(&b);
}

/* ---- and what not ------------------------------------------------------- */

static struct memslot_participant newcomer = {.ops = &deaf_ops};
static unsigned misbehaved;

/* A nested commit is refused, frees its transaction, and harms nothing. */
static void misbehave(void)
{
	struct memslot_error err = {0};
	struct memslot_harvest *h = NULL;
	struct memslot_result res;
	struct memslot_txn *t;
	long live = b.live;

	misbehaved++;
	CHECK_EQ(memslots_delete_slot(b.ms, 0, 1, &err), -EDEADLK);
	CHECK_EQ(err.code, -EDEADLK);
	CHECK_TEXT(err.text, "callback");
	CHECK_EQ(memslot_begin(b.ms, &t, NULL), 0);
	memslot_delete(t, 7, 1); /* EDEADLK comes before EINVAL */
	CHECK_EQ(memslot_commit(t, &res, NULL), -EDEADLK);
	CHECK_EQ(res.changes, 0);
	CHECK_EQ(memslot_harvest(b.ms, 0, 1, &h, &err), -EDEADLK);
	CHECK(h == NULL);
	CHECK_EQ(memslots_join(b.ms, &newcomer), -EDEADLK);
	CHECK_EQ(memslots_quit(b.ms, &a[0].p), -EDEADLK);
	CHECK_EQ(b.live, live);
}

static int bad_prepare(
	void *ctx, const struct memslot_txn *t, struct memslot_error *err)
{
	(void)ctx;
	(void)t;
	(void)err;
	misbehave();
	return 0;
}

static int bad_undo(void *ctx, const struct memslot_txn *t)
{
	(void)ctx;
	(void)t;
	misbehave();
	return 0;
}

static void bad_any(void *ctx, const struct memslot_txn *t)
{
	(void)ctx;
	(void)t;
	misbehave();
}

static void bad_broken(void *ctx)
{
	(void)ctx;
	misbehave();
}

static const struct memslot_participant_ops naughty = {.name = "naughty",
	.prepare = bad_prepare,
	.apply = bad_prepare,
	.cancel = bad_any,
	.flush = bad_any,
	.undo = bad_undo,
	.adopt = bad_any,
	.committed = bad_any,
	.aborted = bad_any,
	.broken = bad_broken};

static void test_nested(void)
{
	struct memslot_participant p = {.ops = &naughty};

	open_recorded(OURS);
	memslots_quit(b.ms, &a[2].p);
	memslots_join(b.ms, &p);
	memslots_join(b.ms, &a[2].p);
	misbehaved = 0;
	CHECK_EQ(move_to(0x30000), 0);
	CHECK_EQ(misbehaved, 5);
	a[2].apply = -ENOSPC;
	CHECK_EQ(move_to(0x20000), -ENOSPC);
	CHECK_EQ(misbehaved, 5 + 6);
	CHECK_EQ(memslots_generation(b.ms), 2);
	/* afterwards this thread may commit again */
	a[2].apply = 0;
	CHECK_EQ(move_to(0x20000), 0);
	a[2].apply = -ENOSPC;
	a[0].undo = -EIO;
	misbehaved = 0;
	CHECK_EQ(move_to(0x10000), -EIO);
	CHECK_EQ(misbehaved, 5); /* prepare flush apply undo broken */
	memslots_quit(b.ms, &p);
	close_recorded();
}

/* Only the committing thread is inside the callback: another one waits. */
static void *delete_slot(void *arg)
{
	int *code = arg;

	*code = memslots_delete_slot(b.ms, 0, 1, NULL);
	return NULL;
}

static int other_code = 1;
static bool started; /* the other thread's commit is heard too */

static void other_thread_commits(void *ctx, const struct memslot_txn *t)
{
	unsigned long waits = b.waits;

	(void)ctx;
	(void)t;
	if (started)
		return;
	started = true;
	pthread_create(&reader_thread, NULL, delete_slot, &other_code);
	bed_until_waits(&b, waits + 1);
}

static const struct memslot_participant_ops lets_commit = {
	.name = "lets commit", .committed = other_thread_commits};

static void test_other_thread(void)
{
	struct memslot_participant p = {.ops = &lets_commit};
	struct memslot_result res;
	struct memslot_txn *t;

	bed_open(&b, 1);
	CHECK_EQ(bed_create(&b, 0, 1, 0x10, 4, 0, 0), 0);
	memslots_join(b.ms, &p);
	t = bed_begin(&b);
	memslot_move(t, 0, 1, 0x20000, MEMSLOT_MOVE_KEEP);
	CHECK_EQ(memslots_generation(b.ms), 1);
	CHECK_EQ(memslot_commit(t, &res, NULL), 0);
	pthread_join(reader_thread, NULL);
	CHECK_EQ(other_code, 0);
	CHECK_EQ(memslots_generation(b.ms), 3);
	CHECK_EQ(bed_count(&b), 0);
	memslots_quit(b.ms, &p);
	bed_close(&b);
}

int main(void)
{
	static const struct memslot_order *const order[] = {OURS, LEGACY};

	test_success();
	test_success_legacy();
	for (unsigned i = 0; i < 2; i++) {
		test_silence(order[i]);
		test_prepare_refused(order[i]);
		test_apply_refused(order[i]);
		test_create_refused(order[i]);
		test_no_memory(order[i], FAULT_PREPARE_TRACK);
		test_no_memory(order[i], FAULT_PREPARE_LARGE);
		test_undo_refused(order[i], 0);
		test_undo_refused(order[i], 1);
	}
	test_injected_refusals();
	test_steps_are_forgotten();
	test_quitting();
	test_protect();
	test_undo_injected();
	test_questions();
	test_nested();
	test_other_thread();
	return TEST_END("phases");
}
